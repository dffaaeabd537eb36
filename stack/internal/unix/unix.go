package unix

import (
	"sync"
	"sync/atomic"

	"usersock/stack/endpoint"
)

// States of an endpoint. Those of a stream or sequenced-packet endpoint only
// go down this list; a datagram endpoint is open until it is closed.
const (
	open      = iota // not connected
	listening        // until it is closed
	connected        // until it is closed, whatever the peer does
	closed
)

// What of an endpoint is shut down.
const (
	shutRead  = 1 // at the end of its data: RCV_SHUTDOWN of Linux
	shutWrite = 2 // Send is EPIPE: SEND_SHUTDOWN
)

// everything is what an event says when it is not worth telling apart.
const everything = endpoint.In | endpoint.Out | endpoint.RdHup | endpoint.Always

// Endpoint is one AF_UNIX endpoint of any type. It is made by a [Family].
type Endpoint struct {
	family *Family
	typ    int
	cred   endpoint.Cred
	id     uint64 // SO_COOKIE

	sink atomic.Pointer[endpoint.Sink]

	state    atomic.Int32             // changes with family.mu held
	peer     atomic.Pointer[Endpoint] // a stream's is set once
	local    atomic.Pointer[string]   // the path bound to; set once
	shut     atomic.Uint32            // shutRead, shutWrite
	err      atomic.Int32             // pending error, SO_ERROR
	listener atomic.Pointer[Endpoint] // in whose backlog it still is: no program has it

	// in is what waits to be received here.
	in queue

	// What was sent from here and not yet received: bytes, and the charge
	// against sndbuf.
	unread  atomic.Int64
	charged atomic.Int64

	// Options that the transfer of data looks at.
	sndbuf   atomic.Int64
	peekOff  atomic.Int32
	passCred atomic.Bool
	noRights atomic.Bool  // SO_PASSRIGHTS is off
	inline   atomic.Bool  // SO_OOBINLINE
	errPri   atomic.Bool  // SO_SELECT_ERR_QUEUE
	stamp    atomic.Int32 // 0, SO_TIMESTAMP or SO_TIMESTAMPNS

	stored stored // the other options

	trying []*queue // where datagrams wait for room, guarded by family.tryMu
	flight *flight  // the endpoint itself in flight, guarded by family.air.mu

	prevLive, nextLive *Endpoint // guarded by family.liveMu

	// Guarded by family.mu.
	node      *node
	name      name
	backlog   int
	pending   []*Endpoint   // connections that wait for Accept
	waiters   []*Endpoint   // those whose Connect found the backlog full
	waitingOn *Endpoint     // the listener that has this one among its waiters
	peerCred  endpoint.Cred // SO_PEERCRED
}

var (
	_ endpoint.Carried = (*Endpoint)(nil)
	_ endpoint.Marker  = (*Endpoint)(nil)
)

// stored has the values of options that are kept and told, no more.
type stored struct {
	mu     sync.Mutex
	values map[int][]byte
}

// event tells the sink. It is called without a lock.
func (e *Endpoint) event(ev endpoint.Events) {
	if s := e.sink.Load(); s != nil {
		(*s).Event(ev)
	}
}

// Notify implements endpoint.Endpoint.
func (e *Endpoint) Notify(s endpoint.Sink) {
	e.sink.Store(&s)
	s.Event(e.Ready(everything))
}

// takeErr returns and clears the pending error.
func (e *Endpoint) takeErr() error {
	if e.err.Load() == 0 {
		return nil
	}
	if n := e.err.Swap(0); n != 0 {
		return endpoint.Errno(n)
	}
	return nil
}

// writable reports whether enough of the send buffer is free to make Out true.
// As on Linux that is three quarters, so that a sender is not woken for each
// byte.
func (e *Endpoint) writable() bool { return roomy(e.charged.Load(), e.sndbuf.Load()) }

// roomy reports whether so little of a buffer is used that its socket is
// writable: less than a quarter, as the kernel counts one byte more.
func roomy(used, limit int64) bool { return (used+1)*4 <= limit }

// release gives back what one message, or a part of a stream, took of the send
// buffer, and tells the sender if that made it writable.
func (e *Endpoint) release(bytes, charge int64) {
	e.unread.Add(-bytes)
	now := e.charged.Add(-charge)
	limit := e.sndbuf.Load()
	if roomy(now, limit) && !roomy(now+charge, limit) {
		e.event(endpoint.Out)
	}
}

// Ready implements endpoint.Endpoint.
func (e *Endpoint) Ready(want endpoint.Events) endpoint.Events {
	return e.ready(want) & (want | endpoint.Always)
}

func (e *Endpoint) ready(want endpoint.Events) (r endpoint.Events) {
	// A closed endpoint keeps nobody waiting. What it sent is the peer's to
	// read, so there is nothing to linger for.
	state := e.state.Load()
	if state == closed {
		return everything &^ endpoint.Err
	}
	shut := e.shut.Load()
	if e.err.Load() != 0 {
		r |= endpoint.Err
		if e.errPri.Load() && e.typ != endpoint.SOCK_STREAM {
			r |= endpoint.Pri
		}
	}
	if shut == shutRead|shutWrite || state == open && e.typ != endpoint.SOCK_DGRAM {
		r |= endpoint.Hup
	}
	if shut&shutRead != 0 {
		r |= endpoint.In | endpoint.RdHup
	}
	if want&endpoint.In != 0 && r&endpoint.In == 0 {
		if state == listening {
			e.family.mu.Lock()
			if len(e.pending) > 0 {
				r |= endpoint.In
			}
			e.family.mu.Unlock()
		} else if e.in.readable() {
			r |= endpoint.In
		}
	}
	if e.in.mark.Load() {
		r |= endpoint.Pri
	}
	if want&endpoint.Out != 0 && state != listening && e.writable() && e.peerHasRoom() {
		r |= endpoint.Out
	}
	return r
}

// LocalAddr implements endpoint.Endpoint. Path is "" for an unnamed endpoint.
// An accepted one has the listener's address.
func (e *Endpoint) LocalAddr() (endpoint.Addr, error) {
	if e.state.Load() == closed {
		return endpoint.Addr{}, endpoint.EBADF
	}
	return e.addr(), nil
}

// PeerAddr implements endpoint.Endpoint: ENOTCONN without a peer.
func (e *Endpoint) PeerAddr() (endpoint.Addr, error) {
	if e.state.Load() == closed {
		return endpoint.Addr{}, endpoint.EBADF
	}
	p := e.peer.Load()
	if p == nil {
		return endpoint.Addr{}, endpoint.ENOTCONN
	}
	return p.addr(), nil
}

func (e *Endpoint) addr() endpoint.Addr {
	a := endpoint.Addr{Family: endpoint.AF_UNIX}
	if path := e.local.Load(); path != nil {
		a.Path = *path
	}
	return a
}

// Queued implements endpoint.Endpoint. Both directions are known: in is all
// that waits on a stream or sequenced-packet endpoint and the next datagram on
// the others, out is the bytes that peers have not read.
func (e *Endpoint) Queued() (in, out int) {
	return e.in.waiting(), int(e.unread.Load())
}
