package sockapi

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"usersock/internal/virtual"
	"usersock/stack/endpoint"
)

// This file has readiness: poll(2) over the descriptors of a Net, the wait on
// many descriptors that select shares with it, and [Socket.Wait] on one.
//
// A wait on many is the wait of wait.go with more than one watch. All
// descriptors are looked at. If none has anything to report, one waiter
// enlists a watch with each description, looks again at all, and sleeps; every
// wake-up looks at all again, so that readiness is level-triggered and a
// signal need not say whose it was. Looking costs one call of Ready for each
// descriptor, as in the kernel.

// Events of poll(2), with Linux's numbers.
const (
	POLLIN     = int(endpoint.In)    // a receive or accept would not wait
	POLLPRI    = int(endpoint.Pri)   // urgent data: on an AF_UNIX stream alone
	POLLOUT    = int(endpoint.Out)   // a send would not wait
	POLLERR    = int(endpoint.Err)   // an error is pending, see SO_ERROR; always reported
	POLLHUP    = int(endpoint.Hup)   // both directions are closed; always reported
	POLLNVAL   = 0x0020              // the descriptor is not open; always reported
	POLLRDNORM = 0x0040              // the same as POLLIN
	POLLRDBAND = 0x0080              // never true for sockets
	POLLWRNORM = 0x0100              // the same as POLLOUT
	POLLWRBAND = 0x0200              // the same as POLLOUT, except on TCP: never
	POLLMSG    = 0x0400              // never true for sockets
	POLLRDHUP  = int(endpoint.RdHup) // the peer closed its sending direction
)

// maxEvents bounds a set of events: an unsigned short in CPython.
const maxEvents = 0xffff

// pollWant is what to ask an endpoint for, by what poll(2) was asked for.
func pollWant(mask int) endpoint.Events {
	want := endpoint.Events(mask) & (endpoint.In | endpoint.Pri | endpoint.Out | endpoint.RdHup)
	if mask&POLLRDNORM != 0 {
		want |= endpoint.In
	}
	if mask&(POLLWRNORM|POLLWRBAND) != 0 {
		want |= endpoint.Out
	}
	return want
}

// alwaysEvents are reported by poll(2) whether asked for or not.
const alwaysEvents = POLLERR | POLLHUP

// pollEvents is the other way: which of mask hold on f.
func (f *file) pollEvents(got endpoint.Events, mask int) int {
	events := int(got & (endpoint.In | endpoint.Pri | endpoint.Out | endpoint.RdHup | endpoint.Always))
	if got&endpoint.In != 0 {
		events |= POLLRDNORM
	}
	if got&endpoint.Out != 0 {
		events |= POLLWRNORM
		if f.family == AF_UNIX || f.typ != SOCK_STREAM {
			events |= POLLWRBAND
		}
	}
	return events & mask
}

// watchFor is which events to hear of to notice want: the end of input is In
// and RdHup, and a family may call it either.
func watchFor(want endpoint.Events) endpoint.Events {
	if want&(endpoint.In|endpoint.RdHup) != 0 {
		want |= endpoint.In | endpoint.RdHup
	}
	return want
}

func checkEvents(op string, mask int) error {
	if mask < 0 || mask > maxEvents {
		return &ValueError{Op: op, Msg: fmt.Sprintf("event mask %#x is not an unsigned short", mask)}
	}
	return nil
}

// A pollItem is one descriptor in a wait on many.
type pollItem struct {
	fd    int
	mask  int   // the events that count
	desc  *desc // nil if fd was not open when the wait began
	got   int   // what holds, by the last look
	watch watch
}

// look notes what holds now, and reports whether that is anything.
func (it *pollItem) look() bool {
	d := it.desc
	if d == nil {
		it.got = POLLNVAL
		return true
	}
	it.got = d.file.pollEvents(d.file.ep.Ready(pollWant(it.mask)), it.mask)
	if d.closed.Load() {
		// Checked last: it tells Ready's answer about a descriptor that is
		// open from one about the remains of a closed one.
		it.got = POLLNVAL
	}
	return it.got != 0
}

// lookAll returns how many descriptors have anything to report.
func lookAll(items []pollItem) (ready int) {
	for i := range items {
		if items[i].look() {
			ready++
		}
	}
	return ready
}

// lookupAll finds the descriptors of items, in one look at the table.
func (n *Net) lookupAll(items []pollItem) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range items {
		items[i].desc = nil
		if fd := items[i].fd; fd >= firstFd && fd < len(n.table) {
			items[i].desc = n.table[fd]
		}
	}
}

// waitMany waits until one of the descriptors has something to report, at
// most for timeout, and returns how many have. Without descriptors it sleeps.
func (n *Net) waitMany(op string, w *waiter, items []pollItem, timeout time.Duration) (ready int) {
	lim := limitFor(n.clock, timeout)
	n.lookupAll(items)
	if ready = lookAll(items); ready > 0 || lim.until == atOnce {
		return ready
	}
	if n.stack.Virtual() == nil && len(items) > 0 {
		// Often the other side only needs the processor.
		runtime.Gosched()
		if ready = lookAll(items); ready > 0 {
			return ready
		}
	}
	for i := range items {
		it := &items[i]
		it.watch.waiter = w
		it.desc.file.enlist(&it.watch, it.desc, watchFor(pollWant(it.mask)))
	}
	place, key := n.manyKey(op, items)
	for {
		if ready = lookAll(items); ready > 0 || lim.over(n.clock) != nil {
			break
		}
		w.sleep(lim.end())
		if place != nil {
			place.Admit(key)
		}
	}
	for i := range items {
		items[i].desc.file.delist(&items[i].watch)
	}
	w.disarm()
	return ready
}

// putItems gives a waiter back with the memory of its items, which then hold
// no descriptor any more.
func (n *Net) putItems(w *waiter, items []pollItem) {
	clear(items)
	w.items = items
	n.putWaiter(w)
}

// manyKey is waitKey for a wait on many: it counts as a call on its first
// descriptor. Without virtual time there is no gate.
func (n *Net) manyKey(op string, items []pollItem) (virtual.Host, virtual.Key) {
	gate := n.stack.Virtual()
	switch {
	case gate == nil:
		return nil, virtual.Key{}
	case len(items) == 0:
		return gate, virtual.Key{Pid: n.pid(), FD: -1, What: op}
	}
	return gate, items[0].desc.waitKey(pollWant(items[0].mask))
}

// Wait waits until one of events (POLLIN and so on, or-ed) holds on the socket,
// and returns those that do; POLLERR and POLLHUP are reported whether asked for
// or not. timeout is Forever, 0 or a duration, whatever the socket's mode; when
// it has passed the result is 0. A close in another goroutine ends the wait
// with an error that is EBADF and net.ErrClosed. A timeout or an event mask out
// of range is a [*ValueError].
func (s *Socket) Wait(events int, timeout time.Duration) (int, error) {
	defer runtime.KeepAlive(s)
	if err := checkTimeout("wait", timeout); err != nil {
		return 0, err
	}
	if err := checkEvents("wait", events); err != nil {
		return 0, err
	}
	d, err := s.use()
	if err != nil {
		return 0, fail("wait", nil, err)
	}
	want := pollWant(events)
	got := 0
	w := d.net.getWaiter()
	err = d.wait(w, watchFor(want), limitFor(d.net.clock, timeout), func() error {
		if got = d.file.pollEvents(d.file.ep.Ready(want), events|alwaysEvents); got == 0 {
			return endpoint.EAGAIN
		}
		return nil
	})
	d.net.putWaiter(w)
	switch {
	case err == endpoint.EAGAIN || err == ErrTimeout:
		return 0, nil
	case err == nil && d.closed.Load():
		err = errClosed
	}
	if err != nil {
		return 0, fail("wait", nil, err)
	}
	return got, nil
}

// Poll is a set of descriptors to wait for, Python's select.poll. It holds
// numbers, not sockets: it neither keeps a Socket from being closed by the
// garbage collector nor notices that a number has been closed and given out
// again. All methods may be called from any goroutine; a change does not affect
// a Poll call that is already waiting.
type Poll struct {
	net *Net

	mu      sync.Mutex // for what follows; nothing is called while it is held
	entries []pollEntry
	at      map[int]int // the place of a descriptor in entries
}

// pollEntry is a registration; one that was taken back has fd −1.
type pollEntry struct{ fd, mask int }

// PollEvent says what holds on a descriptor.
type PollEvent struct {
	FD     int
	Events int // POLLIN and so on, or-ed
}

// Poll makes an empty set of descriptors of this Net.
func (n *Net) Poll() *Poll { return &Poll{net: n, at: make(map[int]int)} }

// Register adds a descriptor, open or not. The event masks are or-ed; without
// any it is POLLIN, POLLPRI and POLLOUT. A descriptor that is there already
// keeps its place and takes the new mask. A negative descriptor or a mask out
// of range is a [*ValueError].
func (p *Poll) Register(fd int, eventmask ...int) error {
	mask := POLLIN | POLLPRI | POLLOUT
	if len(eventmask) > 0 {
		mask = joinFlags(eventmask)
	}
	if fd < 0 {
		return &ValueError{Op: "register", Msg: fmt.Sprintf("file descriptor cannot be a negative integer (%d)", fd)}
	}
	if err := checkEvents("register", mask); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i, ok := p.at[fd]; ok {
		p.entries[i].mask = mask
		return nil
	}
	p.at[fd] = len(p.entries)
	p.entries = append(p.entries, pollEntry{fd, mask})
	return nil
}

// Modify replaces the event mask of a descriptor: ENOENT if it is not
// registered.
func (p *Poll) Modify(fd, eventmask int) error {
	if err := checkEvents("modify", eventmask); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	i, ok := p.at[fd]
	if !ok {
		return notRegistered("modify", fd)
	}
	p.entries[i].mask = eventmask
	return nil
}

// Unregister takes a descriptor out: ENOENT if it is not registered, where
// Python has a KeyError.
func (p *Poll) Unregister(fd int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, ok := p.at[fd]
	if !ok {
		return notRegistered("unregister", fd)
	}
	delete(p.at, fd)
	p.entries[i].fd = -1
	if len(p.at) < len(p.entries)/2 {
		p.compact()
	}
	return nil
}

// compact drops the places of descriptors that were taken out.
func (p *Poll) compact() {
	kept := p.entries[:0]
	for _, e := range p.entries {
		if e.fd >= 0 {
			p.at[e.fd] = len(kept)
			kept = append(kept, e)
		}
	}
	p.entries = kept
}

func notRegistered(op string, fd int) error {
	return fail(op, nil, fmt.Errorf("descriptor %d is not registered: %w", fd, endpoint.ENOENT))
}

// Poll waits until an event holds on at least one of the descriptors, and
// returns all of which one does, in the order of their registration. Events not
// asked for are left out, except POLLERR, POLLHUP and POLLNVAL; the last is
// reported of a descriptor that is not open, or is closed meanwhile. timeout is
// Forever, 0 (do not wait) or a duration on the stack's clock, after which the
// list is empty; any other negative is a [*ValueError]. An empty set waits for
// the timeout alone.
func (p *Poll) Poll(timeout time.Duration) ([]PollEvent, error) {
	if err := checkTimeout("poll", timeout); err != nil {
		return nil, err
	}
	w := p.net.getWaiter()
	items := w.items[:0]
	p.mu.Lock()
	for _, e := range p.entries {
		if e.fd >= 0 {
			items = append(items, pollItem{fd: e.fd, mask: e.mask | alwaysEvents})
		}
	}
	p.mu.Unlock()
	var events []PollEvent
	if ready := p.net.waitMany("poll", w, items, timeout); ready > 0 {
		events = make([]PollEvent, 0, ready)
		for i := range items {
			if items[i].got != 0 {
				events = append(events, PollEvent{items[i].fd, items[i].got})
			}
		}
	}
	p.net.putItems(w, items)
	return events, nil
}
