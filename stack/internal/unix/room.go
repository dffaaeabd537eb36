package unix

import "sync"

// Datagrams have a limit of their own: the queue that they go to. A sender
// that finds it full is noted there, in turn, and told when there is room. An
// endpoint may have tried several queues; the list of those lets Close take it
// out of each.

// trying is where an endpoint waits for room.
type trying struct {
	mu     sync.Mutex // a leaf, under a queue's
	queues []*queue
	closed bool
}

// full reports whether a datagram of an endpoint that is not the peer has to
// wait. Called with mu held.
func (q *queue) full() bool { return len(q.segs)-q.head > maxDatagrams }

// await puts e among those who are told when there is room. Called with mu
// held.
func (q *queue) await(e *Endpoint) {
	t := &e.trying
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.has(q) >= 0 {
		return
	}
	t.queues = append(t.queues, q)
	q.waiters = append(q.waiters, e)
}

// has returns the index of q, or -1. Called with mu held.
func (t *trying) has(q *queue) int {
	for i, at := range t.queues {
		if at == q {
			return i
		}
	}
	return -1
}

// forget undoes await. Called with the queue's mu held.
func (t *trying) forget(q *queue) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := t.has(q); i >= 0 {
		last := len(t.queues) - 1
		t.queues[i], t.queues[last] = t.queues[last], nil
		t.queues = t.queues[:last]
	}
}

// takeWaiters returns those who wait for room, who wait no more. Called with
// mu held.
func (q *queue) takeWaiters() []*Endpoint {
	woken := q.waiters
	q.waiters = nil
	for _, w := range woken {
		w.trying.forget(q)
	}
	return woken
}

// leave takes e out of the waiters of q.
func (q *queue) leave(e *Endpoint) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, w := range q.waiters {
		if w == e {
			q.waiters = append(q.waiters[:i], q.waiters[i+1:]...)
			break
		}
	}
	e.trying.forget(q)
}

// stopTrying takes an endpoint that closes out of all queues.
func (e *Endpoint) stopTrying() {
	t := &e.trying
	t.mu.Lock()
	t.closed = true
	queues := append([]*queue(nil), t.queues...)
	t.mu.Unlock()
	for _, q := range queues {
		q.leave(e)
	}
}

// roomAt reports whether p's queue has room for a datagram of e. If not, e
// hears when it has.
func (e *Endpoint) roomAt(p *Endpoint) bool {
	if p == e || p.peer.Load() == e {
		return true
	}
	q := &p.in
	q.mu.Lock()
	defer q.mu.Unlock()
	if p.shut.Load()&shutRead != 0 || !q.full() {
		return true
	}
	q.await(e)
	return false
}

// wakeSenders tells those who wait for room in e's queue to look again.
func (e *Endpoint) wakeSenders() {
	e.in.mu.Lock()
	woken := e.in.takeWaiters()
	e.in.mu.Unlock()
	wake(woken)
}
