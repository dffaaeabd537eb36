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
	family  int
	typ     int
	proto   int
	timeout atomic.Int64 // the mode: Forever, 0 or a time.Duration
	refs    atomic.Int32 // descriptors and rights in flight

	watching atomic.Int32 // length of watches, so that the sink need not lock
	notified atomic.Bool  // the endpoint has its sink

	mu      sync.Mutex // a leaf: nothing is called while it is held
	watches *watch
	turns   [2]turns // of Conn.Read and Conn.Write
}

// turns keeps the calls of one direction apart: one has its turn, the others
// queue.
type turns struct {
	taken       bool
	first, last *waiter
}

var _ endpoint.Sink = (*file)(nil)
var _ endpoint.Right = (*file)(nil)

func newFile(st *stack.Stack, ep endpoint.Endpoint, family, typ, proto int, timeout time.Duration) *file {
	f := &file{stack: st, virtual: st.Virtual(), ep: ep, family: family, typ: typ, proto: proto}
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
		if (w.want|endpoint.Always)&e != 0 {
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
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := f.watches; w != nil; w = w.next {
		if w.owner == d {
			w.waiter.signal()
		}
	}
	for i := range f.turns {
		for w := f.turns[i].first; w != nil; w = w.next {
			w.signal()
		}
	}
}

// takeTurn waits until no other call of this direction (0 reading, 1 writing)
// is under way.
func (d *desc) takeTurn(dir int, w *waiter, lim limit) error {
	f := d.file
	t := &f.turns[dir]
	f.mu.Lock()
	if !t.taken {
		t.taken = true
		f.mu.Unlock()
		return nil
	}
	w.turn, w.next = false, nil
	if t.last != nil {
		t.last.next = w
	} else {
		t.first = w
	}
	t.last = w
	f.mu.Unlock()
	key := d.waitKey([...]endpoint.Events{endpoint.In, endpoint.Out}[dir])
	for {
		err := lim.over(w.clock)
		if d.closed.Load() {
			err = errClosed
		}
		f.mu.Lock()
		if w.turn {
			f.mu.Unlock()
			w.disarm()
			return nil
		}
		if err != nil {
			t.remove(w)
			f.mu.Unlock()
			w.disarm()
			return err
		}
		f.mu.Unlock()
		w.sleep(lim.end())
		f.gateWake(key)
	}
}

// giveTurn lets the next call of this direction go on.
func (f *file) giveTurn(dir int) {
	t := &f.turns[dir]
	f.mu.Lock()
	defer f.mu.Unlock()
	w := t.first
	if w == nil {
		t.taken = false
		return
	}
	t.first = w.next
	if t.first == nil {
		t.last = nil
	}
	w.turn = true
	w.signal()
}

func (t *turns) remove(w *waiter) {
	var before *waiter
	for at := t.first; at != nil; before, at = at, at.next {
		if at != w {
			continue
		}
		if before == nil {
			t.first = w.next
		} else {
			before.next = w.next
		}
		if t.last == w {
			t.last = before
		}
		w.next = nil
		return
	}
}

// Retain adds a reference, for a right in flight.
func (f *file) Retain() { f.refs.Add(1) }

// Release drops a reference; the last one closes the endpoint.
func (f *file) Release() {
	if f.refs.Add(-1) == 0 {
		f.ep.Close()
	}
}
