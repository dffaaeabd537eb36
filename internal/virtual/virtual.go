// Package virtual has the seams of virtual time: what a stack, its sockets
// and a driver of simulated time must say to each other so that a run with
// the same seed makes the same packets. In real time none of it is used: the
// stack's clock is then not a [Host], and every seam is nil.
//
// The driver (one for a network) lets application goroutines run until all of
// them wait, then lets each stack process what is queued (the pump), then moves
// the packets that were sent, then admits one call that waits at the gate, and
// only when nothing is left to do lets the clock jump to the next event.
//
// Start with [Host], which is all that a stack and its sockets know of virtual
// time. The rest is the driver's side:
//
//   - driver.go: [Driver], the loop, with its theory of operation
//   - node.go: [Node], one host: its clock, its gate, its pump
//   - port.go: [Port], the link end that only appends
//   - events.go, gate.go: what is due, and who waits to go on
//   - source.go: random numbers by host; [Draw], those of links
//   - flow.go: which packets belong together
//
// What is not here: topology, delays, losses and captures. The driver hands
// every packet to a function and is told what arrives where; package testnet
// makes networks of that. Nor is the bubble here (package testing/synctest):
// the driver takes the one function of it that it needs.
package virtual

import "usersock/stack/endpoint"

// Host is the view that one stack has of the driver. A stack whose
// Config.Clock implements it takes its gate, pump and random numbers from it.
type Host interface {
	endpoint.Clock

	// Source is the host's only source of random numbers. It is safe for use
	// by many goroutines.
	Source() Source

	// AttachPump hands the driver what makes the stack process everything
	// queued and then stand still. The driver calls it, on its own goroutine,
	// after every event that may concern this host. stop ends that for good;
	// after it returns, the driver does not call pump again.
	AttachPump(pump func()) (stop func())

	// Admit parks the calling goroutine until the driver lets it go on. Calls
	// are admitted one at a time, the smallest key first. Whoever calls it
	// holds no lock.
	Admit(Key)
}

// Looper is a Host that carries the packets which a stack sends to itself. A
// stack makes its loopback interface of that port, so that those packets wait
// for the driver as all others do.
type Looper interface {
	Host
	// Loopback returns a new port that gives back what is sent on it; mtu is in
	// bytes.
	Loopback(mtu int) *Port
}

// Source draws random numbers from a seed: math/rand's Source64 and io.Reader
// in one.
type Source interface {
	Int63() int64
	Uint64() uint64
	Seed(int64)
	Read(p []byte) (int, error)
}

// Key orders the calls that wait at the gate within one instant of one host.
// Equal keys are admitted in the order of their arrival, which is only
// repeatable if they did not arrive while both callers ran.
type Key struct {
	Pid  int    // process: descriptors of different processes have equal numbers
	FD   int    // descriptor; −1 for a call that creates one
	Dir  int    // 0 neither, 1 receiving, 2 sending
	Call uint64 // the how-manieth call this is on that descriptor and direction
	What string // kind of call, and address for calls without a descriptor
}

// Less reports whether k is admitted before o.
func (k Key) Less(o Key) bool {
	if k.Pid != o.Pid {
		return k.Pid < o.Pid
	}
	if k.FD != o.FD {
		return k.FD < o.FD
	}
	if k.Dir != o.Dir {
		return k.Dir < o.Dir
	}
	if k.Call != o.Call {
		return k.Call < o.Call
	}
	return k.What < o.What
}
