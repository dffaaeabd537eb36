// Package wire is what a link of package netdev gives to a stack: netstack's
// link endpoint, and what the stack and the link must agree on besides. It
// exists so that no public package shows a type of gVisor.
package wire

import "gvisor.dev/gvisor/pkg/tcpip/stack"

// End is one end of a link. A stack attaches it once, by CreateNIC.
type End struct {
	// Endpoint is what netstack gets.
	Endpoint stack.LinkEndpoint

	// Forwards, if not nil, is called before the attachment with whether the
	// stack forwards packets between its interfaces. Offloads that a forwarder
	// would lose (GSO: CloneToInbound drops it) are then not offered, at
	// either end.
	Forwards func(bool)

	// Medium is the wire that both ends share in this process; nil means that
	// the other end is out of sight (a TUN, a socket).
	Medium *Medium
}
