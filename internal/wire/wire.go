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

	// Text says in a line for people what the link is and how: "tun0, TUN, MTU
	// 1500, TSO". "" says nothing.
	Text string

	// Status, if not nil, returns how the link is. It may be called at any time,
	// also after the close, and takes no lock that is held around a call into
	// netstack. A link without Status is always up.
	Status func() State

	// Watch, if not nil, registers the one function that is called after every
	// change of Status, by any goroutine; nil takes it away. The function may
	// be called without a change, and under locks: it does not block and calls
	// neither the link nor netstack. A call that has begun may still be running
	// when Watch returns.
	Watch func(changed func())

	// Drops, if not nil, returns how many packets this end has lost so far,
	// and why.
	Drops func() Drops
}

// State is how a link is.
type State struct {
	// Up says that packets can pass: the interface of the host is up, the peer
	// is there.
	Up bool

	// Err says why the link has ended by itself and for good (the interface
	// was deleted, the peer has gone). nil while it may come up again, and
	// after an ordinary close. It wraps an endpoint.Errno.
	Err error
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
	RxForeign   uint64 // an Ethernet frame for another station, or neither IP nor ARP
}
