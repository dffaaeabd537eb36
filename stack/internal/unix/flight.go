package unix

import (
	"slices"
	"sync"
	"sync/atomic"

	"usersock/stack/endpoint"
)

// Theory of operation.
//
// A right in flight may stand for an endpoint of this family, and so a queue
// may hold what refers to an endpoint whose queue holds what refers to the
// first. When no descriptor is left to any of them nobody can ever receive those
// rights: they are garbage, which counting references does not find.
//
// What does is the counting of Linux, which has two numbers for an endpoint:
// how many references its description has in all, and how many of them are in
// flight (aloft). Where the two are equal no descriptor is left: a suspect.
// Whatever is aloft in the queue of a suspect is taken off a copy of the second
// number. A suspect with some left is aloft in a queue that somebody can still
// read; it is freed from suspicion, and with it all that is aloft in its queue,
// and so on. The others are garbage. Their queues are emptied and the rights
// released, which closes them the usual way.
//
// The books are written before a message enters a queue and after it has left
// it, so at any moment they have at least what is in the queues. What they have
// more counts as aloft in a queue that somebody can read: a mistake is always
// to the side of life. Nor can a suspect gain a descriptor meanwhile: that takes
// a receiver, whose own books wait for the collector.
//
// The collector runs in the goroutine of whoever dropped a reference that left
// an endpoint without descriptors ([Endpoint.Dropped]); since only such a moment
// can make garbage, none is ever left. Most such endpoints are on their way to
// somebody: the book knows which queues they are in, and looks first whether the
// way up from there leads to an endpoint with a descriptor.
//
// A listener's queue is those of the connections that wait for Accept.
//
// Locks: air.mu is taken with none of the others held; the collector takes
// family.mu and the mu of queues under it, and asks Descriptions under it.

// air is the book of rights in flight in a family.
type air struct {
	count atomic.Int64 // endpoints' rights aloft, to see without the lock that there is nothing to do

	mu    sync.Mutex
	first *Endpoint        // endpoints that are aloft, the longest first
	last  *Endpoint        //
	users map[uint32]int   // rights of any kind that are aloft, by the sender's user
	round uint64           // of searches upwards
	drops []endpoint.Right // to be released
	busy  bool             // somebody is releasing them
}

// flight is what an endpoint has in the book while it is aloft, guarded by
// air.mu.
type flight struct {
	aloft       int
	holders     []holder // the queues that they are in
	description endpoint.Description
	prev, next  *Endpoint
	round       uint64 // the search that has been here

	// Of the collector, while it runs.
	suspect bool
	open    int // what of aloft is not explained by the queues of suspects
}

// holder is a queue with n rights to one endpoint.
type holder struct {
	q *queue
	n int
}

// hold notes one right more in q, or with n −1 one less.
func (x *flight) hold(q *queue, n int) {
	x.aloft += n
	i := slices.IndexFunc(x.holders, func(h holder) bool { return h.q == q })
	if i < 0 {
		x.holders = append(x.holders, holder{q, n})
	} else if x.holders[i].n += n; x.holders[i].n == 0 {
		x.holders = slices.Delete(x.holders, i, i+1)
	}
}

// maxInFlight is how many rights a user other than 0 may have in flight
// before the next message that has any fails with ETOOMANYREFS: the usual
// RLIMIT_NOFILE of a process.
const maxInFlight = 1024

// endpointOf returns the endpoint of this family that a right stands for, or
// nil.
func (f *Family) endpointOf(r endpoint.Right) (*Endpoint, endpoint.Description) {
	d, ok := r.(endpoint.Description)
	if !ok {
		return nil, nil
	}
	e, ok := d.Endpoint().(*Endpoint)
	if !ok || e.family != f {
		return nil, nil
	}
	return e, d
}

// mayFly is ETOOMANYREFS if the user of e may not send rights now.
func (e *Endpoint) mayFly(rights []endpoint.Right) error {
	user := e.cred.Uid
	if len(rights) == 0 || user == 0 {
		return nil
	}
	a := &e.family.air
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users[user] > maxInFlight {
		return endpoint.ETOOMANYREFS
	}
	return nil
}

// board enters rights that e is about to put into q.
func (e *Endpoint) board(q *queue, rights []endpoint.Right) {
	if len(rights) == 0 {
		return
	}
	f := e.family
	a := &f.air
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users == nil {
		a.users = make(map[uint32]int)
	}
	a.users[e.cred.Uid] += len(rights)
	for _, r := range rights {
		x, d := f.endpointOf(r)
		if x == nil {
			continue
		}
		a.count.Add(1)
		if x.flight == nil {
			x.flight = &flight{description: d, prev: a.last}
			if a.last != nil {
				a.last.flight.next = x
			} else {
				a.first = x
			}
			a.last = x
		}
		x.flight.hold(q, 1)
	}
}

// land strikes out rights that e had sent and that are in q no more.
func (e *Endpoint) land(q *queue, rights []endpoint.Right) {
	if len(rights) == 0 {
		return
	}
	f := e.family
	a := &f.air
	a.mu.Lock()
	defer a.mu.Unlock()
	user := e.cred.Uid
	if a.users[user] -= len(rights); a.users[user] == 0 {
		delete(a.users, user)
	}
	for _, r := range rights {
		x, _ := f.endpointOf(r)
		if x == nil {
			continue
		}
		a.count.Add(-1)
		if x.flight.hold(q, -1); x.flight.aloft > 0 {
			continue
		}
		prev, next := x.flight.prev, x.flight.next
		if prev != nil {
			prev.flight.next = next
		} else {
			a.first = next
		}
		if next != nil {
			next.flight.prev = prev
		} else {
			a.last = prev
		}
		x.flight = nil
	}
}

// Dropped implements endpoint.Carried: if all the references that are left are
// in flight, this may have been the last way to a circle of them.
func (e *Endpoint) Dropped(left int) {
	f := e.family
	if f.air.count.Load() == 0 {
		return
	}
	f.air.mu.Lock()
	lost := e.flight != nil && e.flight.aloft >= left && !f.air.held(e)
	f.air.mu.Unlock()
	if lost {
		f.collect()
	}
}

// held reports whether there is a descriptor for e, or for an endpoint whose
// queue it is in, or for one whose queue that is in, and so on.
func (a *air) held(e *Endpoint) bool {
	a.round++
	above := []*Endpoint{e}
	for len(above) > 0 {
		e := above[len(above)-1]
		above = above[:len(above)-1]
		x := e.flight
		if x == nil || x.description.References() > x.aloft {
			return true
		}
		if x.round == a.round {
			continue
		}
		x.round = a.round
		for _, h := range x.holders {
			owner := h.q.owner
			if l := owner.listener.Load(); l != nil {
				owner = l
			}
			above = append(above, owner)
		}
	}
	return false
}

// collect finds endpoints that nothing can reach any more, and drops what is in
// their queues. It is called with no lock held. What is garbage stays so, and to
// purge a queue twice does no harm, so the lock is not needed for that.
func (f *Family) collect() {
	f.air.mu.Lock()
	var queues []*queue
	for _, e := range f.air.garbage() {
		e.eachQueue(func(q *queue) { queues = append(queues, q) })
	}
	f.air.mu.Unlock()
	var dropped []endpoint.Right
	for _, q := range queues {
		_, rights := q.purge()
		dropped = append(dropped, rights...)
	}
	f.release(dropped)
}

// garbage returns the endpoints that nothing can reach.
func (a *air) garbage() []*Endpoint {
	var suspects []*Endpoint
	for e := a.first; e != nil; e = e.flight.next {
		if e.flight.description.References() <= e.flight.aloft {
			e.flight.suspect, e.flight.open = true, e.flight.aloft
			suspects = append(suspects, e)
		}
	}
	for _, e := range suspects {
		e.eachAloft(func(x *Endpoint) {
			if x.flight.suspect {
				x.flight.open--
			}
		})
	}
	var alive []*Endpoint
	free := func(e *Endpoint) {
		if e.flight.suspect {
			e.flight.suspect = false
			alive = append(alive, e)
		}
	}
	for _, e := range suspects {
		if e.flight.open > 0 {
			free(e)
		}
	}
	for len(alive) > 0 {
		e := alive[len(alive)-1]
		alive = alive[:len(alive)-1]
		e.eachAloft(free)
	}
	garbage := suspects[:0]
	for _, e := range suspects {
		if e.flight.suspect {
			e.flight.suspect = false
			garbage = append(garbage, e)
		}
	}
	return garbage
}

// eachAloft calls do for each right to an endpoint in the queue of e. Called
// with air.mu held.
func (e *Endpoint) eachAloft(do func(*Endpoint)) {
	e.eachQueue(func(q *queue) {
		q.mu.Lock()
		defer q.mu.Unlock()
		for _, s := range q.segs[q.head:] {
			for _, r := range s.rights {
				if x, _ := e.family.endpointOf(r); x != nil {
					do(x)
				}
			}
		}
	})
}

// eachQueue calls do for the queue of e, or for those of the connections that
// wait for Accept.
func (e *Endpoint) eachQueue(do func(*queue)) {
	if e.state.Load() != listening {
		do(&e.in)
		return
	}
	e.family.mu.Lock()
	pending := append([]*Endpoint(nil), e.pending...)
	e.family.mu.Unlock()
	for _, p := range pending {
		do(&p.in)
	}
}

// release drops references to what was in flight. It is called without a lock:
// the last of them closes something, perhaps an endpoint of this family with
// rights in its own queue. Those are only noted, and released by the call that
// is busy with it, so that a long chain of endpoints in each other's queues does
// not become a deep stack.
func (f *Family) release(rights []endpoint.Right) {
	if len(rights) == 0 {
		return
	}
	a := &f.air
	a.mu.Lock()
	a.drops = append(a.drops, rights...)
	if a.busy {
		a.mu.Unlock()
		return
	}
	a.busy = true
	for len(a.drops) > 0 {
		drops := a.drops
		a.drops = nil
		a.mu.Unlock()
		for _, r := range drops {
			r.Release()
		}
		a.mu.Lock()
	}
	a.busy = false
	a.mu.Unlock()
}
