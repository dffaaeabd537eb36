// Package wire is what a link of package netdev gives to a stack: netstack's
// link endpoint, and what the stack and the link must agree on besides. It
// exists so that no public package shows a type of gVisor.
//
// Start with [End]. [Medium] is what both ends of a link share when they are in
// one process; it knows nothing of netstack.
package wire

import (
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/stack/endpoint"
)

// End is one end of a link. A stack attaches it once, by CreateNIC, and owns
// it from then on: Endpoint.Close ends the link's goroutines and releases what
// it holds of the host.
type End struct {
	// Endpoint is what netstack gets.
	//
	// Its Wait never blocks, because netstack calls it with the stack's lock
	// held, and a packet on its way up may need that lock. Close is what waits:
	// call it, or Stack.RemoveNIC which calls it, without a lock of netstack.
	Endpoint stack.LinkEndpoint

	// Forwards, if not nil, is called before the attachment with whether the
	// stack forwards packets between its interfaces. Offloads that a forwarder
	// would lose (GSO: CloneToInbound drops it) are then not offered, at
	// either end, and checksums of forwarded packets are left as they came.
	//
	// A stack that also rewrites forwarded packets (NAT) must bring their
	// transport checksums up to date itself: netstack's NAT leaves that to
	// links that offer CapabilityTXChecksumOffload, as a forwarding stack's do.
	Forwards func(bool)

	// Clock, if not nil, is called before the attachment with the stack's
	// clock, if that is the machine's: the link may then wait a moment for what
	// makes a packet needless.
	Clock func(endpoint.Clock)

	// Medium is the wire that both ends share in this process; nil means that
	// the other end is out of sight (a TUN, a socket).
	Medium *Medium

	// Drops, if not nil, returns how many packets this end has lost so far,
	// and why.
	Drops func() Drops
}

// Drops counts the packets that one end of a link did not pass on.
type Drops struct {
	TxDown    uint64 // sent while the other end was closed or not attached
	TxTooLong uint64 // longer than the MTU of this or the other end
	TxFailed  uint64 // refused by the device: full, or an error of the host

	RxDown      uint64 // arrived while no stack was attached
	RxQueueFull uint64 // arrived faster than the stack took them
	RxMalformed uint64 // neither an IPv4 nor an IPv6 packet, or cut short
	RxTooLong   uint64 // longer than the MTU
}
