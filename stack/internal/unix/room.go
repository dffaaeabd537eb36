package unix

import "slices"

// Datagrams have a limit of their own: the queue that they go to. A sender
// that finds it full is noted there, in turn, and told when there is room. An
// endpoint may have tried several queues; the list of those lets Close take it
// out of each.

// full reports whether a datagram of an endpoint that is not the peer has to
// wait. Called with mu held.
func (q *queue) full() bool { return len(q.segs)-q.head > maxDatagrams }

// await puts e among those who are told when there is room. Called with mu
// held.
func (q *queue) await(e *Endpoint) {
	e.family.tryMu.Lock()
	defer e.family.tryMu.Unlock()
	if e.state.Load() == closed || slices.Contains(e.trying, q) {
		return
	}
	e.trying = append(e.trying, q)
	q.waiters = append(q.waiters, e)
}

// forget undoes the endpoint's half of await. Called with the queue's mu held.
func (e *Endpoint) forget(q *queue) {
	e.family.tryMu.Lock()
	defer e.family.tryMu.Unlock()
	if i := slices.Index(e.trying, q); i >= 0 {
		e.trying = slices.Delete(e.trying, i, i+1)
	}
}

// takeWaiters returns those who wait for room, who wait no more. Called with
// mu held.
func (q *queue) takeWaiters() []*Endpoint {
	woken := q.waiters
	q.waiters = nil
	for _, w := range woken {
		w.forget(q)
	}
	return woken
}

// leave takes e out of the waiters of q.
func (q *queue) leave(e *Endpoint) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.waiters, e); i >= 0 {
		q.waiters = slices.Delete(q.waiters, i, i+1)
	}
	e.forget(q)
}

// stopTrying takes an endpoint that is closed out of all queues.
func (e *Endpoint) stopTrying() {
	e.family.tryMu.Lock()
	queues := slices.Clone(e.trying)
	e.family.tryMu.Unlock()
	for _, q := range queues {
		q.leave(e)
	}
}

// roomAt reports whether p's queue has room for a datagram of e, whether or not
// p takes any. If not, e hears when it has.
func (e *Endpoint) roomAt(p *Endpoint) bool {
	if p == e || p.peer.Load() == e {
		return true
	}
	q := &p.in
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.full() {
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
