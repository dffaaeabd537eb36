package sockapi

import (
	"sync"
	"sync/atomic"
	"time"

	"usersock/internal/virtual"
	"usersock/stack"
	"usersock/stack/endpoint"
)

// file is an open file description: what dup'd descriptors share. It belongs
// to a Stack and points to no Net, so that descriptors can cross from one Net
// of a Stack to another.
type file struct {
	stack   *stack.Stack
	virtual virtual.Host // nil in real time
	ep      endpoint.Endpoint
	carried endpoint.Carried // ep, if it wants to hear of dropped references
	family  int
	typ     int
	proto   int
	timeout atomic.Int64 // the mode: Forever, 0 or a time.Duration
	refs    atomic.Int32 // descriptors and rights in flight

	rcvtimeo atomic.Int64 // SO_RCVTIMEO: 0 for none, negative for not at all
	sndtimeo atomic.Int64 // SO_SNDTIMEO
	lowat    atomic.Int32 // SO_RCVLOWAT; 0 if it was never set, which is 1

	sent     atomic.Bool  // a datagram, in virtual time
	later    atomic.Int32 // the errno that the next transfer reports, see keepLater
	watching atomic.Int32 // length of watches, so that the sink need not lock
	notified atomic.Bool  // the endpoint has its sink

	mu      sync.Mutex // while it is held only a Poller's is taken
	watches *watch

	writing turn // of Conn.Write
}

var _ endpoint.Sink = (*file)(nil)
var _ endpoint.Description = (*file)(nil)

func newFile(st *stack.Stack, ep endpoint.Endpoint, family, typ, proto int, timeout time.Duration) *file {
	f := &file{stack: st, virtual: st.Virtual(), ep: ep, family: family, typ: typ, proto: proto}
	f.carried, _ = ep.(endpoint.Carried)
	f.timeout.Store(int64(timeout))
	return f
}

// Event is the sink's: it wakes every call that waits for one of the events.
func (f *file) Event(e endpoint.Events) {
	if f.watching.Load() == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := f.watches; w != nil; w = w.next {
		switch {
		case w.interest != nil:
			w.interest.event(e)
		case (w.want|endpoint.Always)&e != 0:
			w.waiter.signal()
		}
	}
}

// enlist adds a watch. The caller looks at the endpoint again afterwards.
func (f *file) enlist(w *watch, owner *desc, want endpoint.Events) {
	w.owner, w.want = owner, want
	f.mu.Lock()
	w.prev, w.next = nil, f.watches
	if w.next != nil {
		w.next.prev = w
	}
	f.watches = w
	f.watching.Add(1)
	f.mu.Unlock()
	if !f.notified.Load() && !f.notified.Swap(true) {
		f.ep.Notify(f)
		if f.virtual == nil && f.watching.Load() > 1 {
			// Others have enlisted meanwhile and tried without a sink.
			f.Event(^endpoint.Events(0))
		}
	}
}

func (f *file) delist(w *watch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		f.watches = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	}
	w.owner, w.prev, w.next = nil, nil, nil
	f.watching.Add(-1)
}

// wake signals every call made through d.
func (f *file) wake(d *desc) {
	f.writing.wake()
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := f.watches; w != nil; w = w.next {
		if w.owner == d {
			w.waiter.signal()
		}
	}
}

// keepLater keeps the error of a transfer that moved some bytes before it, for
// the next call, as Linux does: the endpoint has reported it and forgotten.
func (f *file) keepLater(err error) {
	if errno, ok := err.(Errno); ok && errno != 0 && errno != endpoint.EAGAIN {
		f.later.Store(int32(errno))
	}
}

// takeLater returns what was kept, once.
func (f *file) takeLater() error {
	if f.later.Load() == 0 {
		return nil
	}
	if errno := f.later.Swap(0); errno != 0 {
		return Errno(errno)
	}
	return nil
}

// Retain adds a reference, for a right in flight.
func (f *file) Retain() { f.refs.Add(1) }

// Release drops a reference; the last one takes the description out of all
// Pollers and closes the endpoint.
func (f *file) Release() {
	switch left := f.refs.Add(-1); {
	case left == 0:
		f.leavePollers()
		f.ep.Close()
	case f.carried != nil:
		f.carried.Dropped(int(left))
	}
}

// Endpoint implements endpoint.Description.
func (f *file) Endpoint() endpoint.Endpoint { return f.ep }

// References implements endpoint.Description.
func (f *file) References() int { return int(f.refs.Load()) }
