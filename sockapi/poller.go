package sockapi

import (
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"time"

	"usersock/internal/virtual"
	"usersock/stack/endpoint"
)

// This file has the Poller, readiness of many descriptors as epoll(7) gives it.
//
// An interest is one descriptor in a Poller. It has a watch on the open file
// description, as a call that waits has, and stays in the description's list
// until it is removed. When the description's sink hears of an event that the
// interest is about, the interest goes to the end of the Poller's ready queue and
// one goroutine that waits is woken. Wait looks at the interests in the queue
// alone: what an idle descriptor costs is its memory. An interest that turns
// out to have nothing leaves the queue; a level-triggered one that has something
// goes back to the end; an edge-triggered one leaves until the next event.
//
// Locks: file.mu, then Poller.mu; neither is held while an endpoint is called.
// So an interest is looked at while it is in no queue; an event that comes
// meanwhile puts it back. Add enters an interest before its watch hangs on the
// description, and whoever removes it in between leaves it to Add to take the
// watch off again.

// Events of a Poller, with the numbers of epoll_ctl(2). The lower ones are those
// of poll(2).
const (
	EPOLLIN     = 0x001
	EPOLLPRI    = 0x002
	EPOLLOUT    = 0x004
	EPOLLERR    = 0x008 // always reported
	EPOLLHUP    = 0x010 // always reported
	EPOLLRDNORM = 0x040
	EPOLLRDBAND = 0x080
	EPOLLWRNORM = 0x100
	EPOLLWRBAND = 0x200
	EPOLLMSG    = 0x400
	EPOLLRDHUP  = 0x2000

	EPOLLEXCLUSIVE = 1 << 28 // checked and kept; every Poller hears
	EPOLLWAKEUP    = 1 << 29 // without effect: nothing suspends
	EPOLLONESHOT   = 1 << 30 // after one report the descriptor is disabled until Modify
	EPOLLET        = 1 << 31 // edge-triggered
)

const (
	epollAlways    = EPOLLERR | EPOLLHUP
	epollPrivate   = EPOLLEXCLUSIVE | EPOLLWAKEUP | EPOLLONESHOT | EPOLLET
	epollExclusive = EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE
)

// Poller waits for many descriptors of a Net, as epoll(7): what a Wait costs
// depends on how many are ready, not on how many there are. All methods may be
// called from any goroutine.
//
// As with epoll a registration is of a descriptor's number and the open socket
// that it stands for. It ends when Remove is called or when the last descriptor
// of that open socket is closed: if there is a dup, closing the number that was
// registered ends nothing. A Poller is no descriptor itself, so that it cannot
// be put into another one. It does not keep a Socket from being closed by the
// garbage collector, unless the Socket is its data.
type Poller struct {
	net  *Net
	name string // at the gate of virtual time
	call uint64 // number of waits, for the same

	mu      sync.Mutex // while it is held only a waiter is signalled
	closed  bool
	set     map[interestKey]*interest
	first   *interest // of the ready queue
	last    *interest
	ready   int // its length
	waiters []*waiter
}

type interestKey struct {
	file *file
	fd   int
}

// interest is one descriptor in a Poller. What follows key is guarded by the
// Poller's mu.
type interest struct {
	poller *Poller
	watch  watch
	key    interestKey

	events     uint32 // with EPOLLERR and EPOLLHUP, or nothing but private bits: disabled
	data       any
	enlisted   bool // watch hangs on the description
	removed    bool
	queued     bool
	prev, next *interest
}

// PollerEvent says what holds on a descriptor.
type PollerEvent struct {
	FD     int    // as it was given to Add, perhaps closed since
	Events uint32 // EPOLLIN and so on, or-ed
	Data   any    // what was given to Add or Modify
}

// Poller makes an empty one. Close ends it.
func (n *Net) Poller() *Poller {
	return &Poller{
		net:  n,
		name: "poller " + strconv.FormatUint(n.pollers.Add(1), 10),
		set:  make(map[interestKey]*interest),
	}
}

// Add registers a descriptor for events, EPOLLIN and so on, or-ed with EPOLLET,
// EPOLLONESHOT, EPOLLEXCLUSIVE and EPOLLWAKEUP; EPOLLERR and EPOLLHUP are always
// reported. data comes back with each report. Errors: EBADF if the descriptor is
// not open, EEXIST if it is there already, EINVAL for EPOLLEXCLUSIVE with
// others than the events it may be with.
func (p *Poller) Add(fd int, events uint32, data any) error {
	// A reference, so that the open socket cannot go while it gets in.
	f, err := p.net.retain(fd)
	if err != nil {
		return p.fail("add", fd, err)
	}
	defer f.Release()
	if events&EPOLLEXCLUSIVE != 0 && events&^uint32(epollExclusive) != 0 {
		return p.fail("add", fd, endpoint.EINVAL)
	}
	it := &interest{poller: p, key: interestKey{f, fd}, events: events | epollAlways, data: data}
	it.watch.interest = it
	p.mu.Lock()
	switch {
	case p.closed:
		err = errClosed
	case p.set[it.key] != nil:
		err = endpoint.EEXIST
	default:
		p.set[it.key] = it
	}
	p.mu.Unlock()
	if err != nil {
		return p.fail("add", fd, err)
	}
	f.enlist(&it.watch, nil, 0)
	p.mu.Lock()
	it.enlisted = true
	removed := it.removed
	p.mu.Unlock()
	if removed {
		f.delist(&it.watch)
		return nil
	}
	p.look(it)
	return nil
}

// Modify replaces the events and the data of a descriptor, and enables it again
// after EPOLLONESHOT. What holds then is reported anew, edge-triggered or not.
// Errors: EBADF, ENOENT if it is not registered, EINVAL for EPOLLEXCLUSIVE.
func (p *Poller) Modify(fd int, events uint32, data any) error {
	it, err := p.find(fd)
	if (err == nil || err == endpoint.ENOENT) && events&EPOLLEXCLUSIVE != 0 || err == nil && it.events&EPOLLEXCLUSIVE != 0 {
		err = endpoint.EINVAL // Linux looks at it first
	}
	if err == nil {
		it.events, it.data = events|epollAlways, data
	}
	p.mu.Unlock()
	if err != nil {
		return p.fail("modify", fd, err)
	}
	p.look(it)
	return nil
}

// Remove takes a descriptor out: EBADF if it is not open, ENOENT if it is not
// registered.
func (p *Poller) Remove(fd int) error {
	it, err := p.find(fd)
	delist := err == nil && p.drop(it)
	p.mu.Unlock()
	if delist {
		it.key.file.delist(&it.watch)
	}
	return p.fail("remove", fd, err)
}

// find returns the interest of an open descriptor, with mu held.
func (p *Poller) find(fd int) (*interest, error) {
	d, err := p.net.lookup(fd)
	p.mu.Lock()
	if err != nil {
		return nil, err
	}
	if p.closed {
		return nil, errClosed
	}
	it := p.set[interestKey{d.file, fd}]
	if it == nil {
		return nil, endpoint.ENOENT
	}
	return it, nil
}

func (p *Poller) fail(op string, fd int, err error) error {
	if err == nil || err == errClosed {
		return fail(op, nil, err)
	}
	return fail(op, nil, fmt.Errorf("descriptor %d: %w", fd, err))
}

// drop takes an interest out, with mu held. It reports whether the caller has to
// take the watch off the description.
func (p *Poller) drop(it *interest) (delist bool) {
	if it.removed {
		return false
	}
	it.removed = true
	delete(p.set, it.key)
	p.dequeue(it)
	return it.enlisted
}

// leavePollers ends the registrations of a description that has no descriptor
// any more.
func (f *file) leavePollers() {
	var gone []*interest
	f.mu.Lock()
	for w := f.watches; w != nil; w = w.next {
		if w.interest != nil {
			gone = append(gone, w.interest)
		}
	}
	f.mu.Unlock()
	for _, it := range gone {
		it.poller.mu.Lock()
		delist := it.poller.drop(it)
		it.poller.mu.Unlock()
		if delist {
			f.delist(&it.watch)
		}
	}
}

// Close ends the Poller: Wait calls return, and later calls fail, with an error
// that is EBADF and net.ErrClosed. The descriptors stay open. Closing twice is
// harmless.
func (p *Poller) Close() error {
	var gone []*interest
	p.mu.Lock()
	p.closed = true
	for _, it := range p.set {
		if p.drop(it) {
			gone = append(gone, it)
		}
	}
	for _, w := range p.waiters {
		w.signal()
	}
	p.mu.Unlock()
	for _, it := range gone {
		it.key.file.delist(&it.watch)
	}
	return nil
}

// event is the sink's: it queues the interest if the event is one of its own.
// It comes with the description's mu held.
func (it *interest) event(e endpoint.Events) {
	p := it.poller
	p.mu.Lock()
	defer p.mu.Unlock()
	if e&it.want() != 0 && !it.removed {
		p.enqueue(it)
	}
}

// want is what to hear of, nothing while the interest is disabled.
func (it *interest) want() endpoint.Events {
	if it.events&epollAlways == 0 {
		return 0
	}
	return watchFor(pollWant(int(it.events&^uint32(epollPrivate)))) | endpoint.Always
}

// look queues an interest on which something holds now.
func (p *Poller) look(it *interest) {
	p.mu.Lock()
	want := it.want()
	p.mu.Unlock()
	if want != 0 && it.key.file.ep.Ready(want)&want != 0 {
		it.event(want)
	}
}

// enqueue puts an interest at the end of the ready queue and wakes one waiter.
// mu is held.
func (p *Poller) enqueue(it *interest) {
	if it.queued {
		return
	}
	it.queued = true
	it.prev, it.next = p.last, nil
	if p.last != nil {
		p.last.next = it
	} else {
		p.first = it
	}
	p.last = it
	p.ready++
	p.wakeOne()
}

// wakeOne wakes the goroutine that has waited longest. When it leaves it passes
// on what it did not take.
func (p *Poller) wakeOne() {
	if len(p.waiters) > 0 {
		p.waiters[0].signal()
	}
}

// dequeue takes an interest out of the ready queue. mu is held.
func (p *Poller) dequeue(it *interest) {
	if !it.queued {
		return
	}
	it.queued = false
	if it.prev != nil {
		it.prev.next = it.next
	} else {
		p.first = it.next
	}
	if it.next != nil {
		it.next.prev = it.prev
	} else {
		p.last = it.prev
	}
	it.prev, it.next = nil, nil
	p.ready--
}

// Wait waits until something holds on at least one of the descriptors, fills
// events with what does, at most its length, and returns how many. timeout is
// Forever, 0 (do not wait) or a duration on the stack's clock, after which the
// number is 0. Descriptors that did not fit come first the next time. EINVAL
// without room for an event; any other negative timeout is a [*ValueError].
func (p *Poller) Wait(events []PollerEvent, timeout time.Duration) (int, error) {
	if err := checkTimeout("wait", timeout); err != nil {
		return 0, err
	}
	if len(events) == 0 {
		return 0, fail("wait", nil, endpoint.EINVAL)
	}
	lim := limitFor(p.net.clock, timeout)
	n, err := p.collect(events)
	if n > 0 || err != nil || lim.until == atOnce {
		return n, fail("wait", nil, err)
	}
	gate := p.net.stack.Virtual()
	if gate == nil {
		// Often the other side only needs the processor.
		runtime.Gosched()
		if n, err = p.collect(events); n > 0 || err != nil {
			return n, fail("wait", nil, err)
		}
	}
	w := p.net.getWaiter()
	key := p.join(w)
	for {
		if n, err = p.collect(events); n > 0 || err != nil || lim.over(p.net.clock) != nil {
			break
		}
		w.sleep(lim.end())
		if gate != nil {
			gate.Admit(key)
		}
	}
	p.leave(w)
	w.disarm()
	p.net.putWaiter(w)
	return n, fail("wait", nil, err)
}

// join adds a goroutine to those to be woken, and gives it its place at the
// gate of virtual time.
func (p *Poller) join(w *waiter) virtual.Key {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiters = append(p.waiters, w)
	p.call++
	return virtual.Key{Pid: p.net.pid(), FD: -1, What: p.name, Call: p.call}
}

// leave takes it out, and wakes another for what is still in the queue.
func (p *Poller) leave(w *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, other := range p.waiters {
		if other == w {
			p.waiters = append(p.waiters[:i], p.waiters[i+1:]...)
			break
		}
	}
	if p.first != nil {
		p.wakeOne()
	}
}

// collect looks once at each interest in the ready queue, until events is full.
func (p *Poller) collect(events []PollerEvent) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for left := p.ready; left > 0 && p.first != nil && n < len(events); left-- {
		it := p.first
		p.dequeue(it)
		mask := it.events
		if it.want() == 0 {
			continue
		}
		p.mu.Unlock()
		f, shown := it.key.file, int(mask&^uint32(epollPrivate))
		got := uint32(f.pollEvents(f.ep.Ready(pollWant(shown)), shown|alwaysEvents))
		p.mu.Lock()
		switch {
		case it.removed || got == 0:
			continue
		case it.events != mask:
			p.enqueue(it) // modified meanwhile: look again
			continue
		}
		events[n] = PollerEvent{it.key.fd, got, it.data}
		n++
		switch {
		case mask&EPOLLONESHOT != 0:
			it.events = mask & epollPrivate
		case mask&EPOLLET == 0:
			p.enqueue(it)
		}
	}
	if n == 0 && p.closed {
		return 0, errClosed
	}
	return n, nil
}
