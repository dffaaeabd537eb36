package sockapi

import "sync"

// A turn keeps the calls of one direction apart: one has the turn, the others
// queue. It is a place in a queue and not a mutex, because whoever has it may
// sleep in the socket, those who queue heed deadlines and closes, and virtual
// time takes no goroutine that waits for a mutex as waiting.
type turn struct {
	mu          sync.Mutex // a leaf: nothing is called while it is held
	taken       bool
	first, last *waiter
}

// take waits for the turn, until the limit is reached or d, if not nil, is
// closed.
func (t *turn) take(n *Net, d *desc, lim limit) error {
	t.mu.Lock()
	if !t.taken {
		t.taken = true
		t.mu.Unlock()
		return nil
	}
	w := n.getWaiter()
	w.turn, w.next = false, nil
	if t.last != nil {
		t.last.next = w
	} else {
		t.first = w
	}
	t.last = w
	t.mu.Unlock()
	err := t.await(w, d, lim)
	w.disarm()
	n.putWaiter(w)
	return err
}

func (t *turn) await(w *waiter, d *desc, lim limit) error {
	for {
		err := lim.over(w.clock)
		if d != nil && d.closed.Load() {
			err = errClosed
		}
		t.mu.Lock()
		mine := w.turn
		if !mine && err != nil {
			t.remove(w)
		}
		t.mu.Unlock()
		switch {
		case mine:
			return nil
		case err != nil:
			return err
		}
		w.sleep(lim.end())
	}
}

// give passes the turn on.
func (t *turn) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
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

// wake lets all that queue look at their limits again.
func (t *turn) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for w := t.first; w != nil; w = w.next {
		w.signal()
	}
}

// remove takes w out of the queue.
func (t *turn) remove(w *waiter) {
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
