package sockapi

import (
	"context"
	"time"

	"usersock/stack/endpoint"
)

// Happy Eyeballs, version 2: RFC 8305, for DialContext over TCP.
//
// One goroutine looks the name up, one each tries an address, and the caller's
// own decides. It begins as soon as the addresses of one version of IP are
// known; if that is IPv4 it gives IPv6 another 50 ms. The addresses are those of
// getaddrinfo in its order (RFC 6724), but the versions take turns. The next
// one begins when 250 ms have passed since the last began, or at once when one
// fails. The first connection wins; the others, and the lookup, are called off
// and waited for.
//
// Both delays are one timer of the stack's clock. Whoever reports to the
// deciding goroutine waits until it has taken the report, and the timer only
// pokes it, so that in virtual time one thing is decided after the other.

// The values that RFC 8305, section 8, recommends.
const (
	resolutionDelay = 50 * time.Millisecond
	attemptDelay    = 250 * time.Millisecond
)

// lookupFunc looks a name up. It calls early, if at all, before it returns, with
// the addresses of one version of IP while it waits for the other.
type lookupFunc func(ctx context.Context, early func([]endpoint.Addr)) ([]endpoint.Addr, error)

// race is one DialContext.
type race struct {
	n      *Net
	nw     network
	ctx    context.Context // of the lookup and the attempts
	cancel context.CancelFunc

	found    chan raceFound
	attempts chan raceAttempt
	tick     chan struct{}

	running int // goroutines that have not sent their last report
	open    int // of those the attempts

	known   []endpoint.Addr // in the order in which to try them
	tried   map[endpoint.Addr]bool
	waiting bool          // for IPv6
	idle    bool          // the delay has passed, and there was no address
	due     time.Duration // when the timer ends, on the monotonic clock
	timer   endpoint.Timer

	won      *Socket
	last     endpoint.Addr // that was won or failed last
	failures []error
}

// raceFound is what the lookup found, so far or at last.
type raceFound struct {
	list  []endpoint.Addr
	err   error
	final bool
}

// raceAttempt is how an attempt ended.
type raceAttempt struct {
	addr endpoint.Addr
	s    *Socket
	err  error
}

// race connects to the first address of a name that answers. Without one the
// error is that of the lookup, or those of all attempts; then the address is
// that of the last one.
func (n *Net) race(ctx context.Context, nw network, lookup lookupFunc) (*Socket, endpoint.Addr, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &race{
		n: n, nw: nw, ctx: ctx, cancel: cancel,
		found: make(chan raceFound), attempts: make(chan raceAttempt), tick: make(chan struct{}, 1),
		tried: map[endpoint.Addr]bool{},
	}
	r.running = 1
	go func() {
		list, err := lookup(ctx, func(list []endpoint.Addr) { r.found <- raceFound{list: list} })
		r.found <- raceFound{list, err, true}
	}()
	var failed error
	for r.running > 0 {
		select {
		case f := <-r.found:
			if f.final {
				failed = f.err
			}
			r.learn(f)
		case a := <-r.attempts:
			r.ended(a)
		case <-r.tick:
			if n.clock.Monotonic() >= r.due { // and no earlier timer's
				r.waiting = false
				r.next()
			}
		}
	}
	if r.timer != nil {
		r.timer.Stop()
	}
	if r.won != nil {
		return r.won, r.last, nil
	}
	if len(r.failures) == 0 {
		return nil, endpoint.Addr{}, failed
	}
	return nil, r.last, lastOf(r.failures)
}

// learn takes addresses from the lookup.
func (r *race) learn(f raceFound) {
	if f.final {
		r.running--
	}
	if f.err != nil || len(f.list) == 0 {
		if r.waiting {
			r.waiting = false
			r.next()
		}
		return
	}
	r.known = inTurns(f.list)
	switch {
	case f.final && r.waiting, r.idle:
		r.waiting = false
		r.next()
	case len(r.tried) > 0:
	case !f.final && f.list[0].IP.Is4():
		r.waiting = true
		r.wake(resolutionDelay)
	default:
		r.next()
	}
}

// ended takes an attempt's result.
func (r *race) ended(a raceAttempt) {
	r.running--
	r.open--
	switch {
	case a.err == nil && r.won == nil:
		r.won, r.last = a.s, a.addr
		r.cancel()
	case a.err == nil:
		a.s.Close()
	case r.won == nil:
		r.last = a.addr
		r.failures = append(r.failures, a.err)
		r.next()
	}
}

// next begins the next attempt, if there is an address to try.
func (r *race) next() {
	if r.won != nil || r.waiting || r.ctx.Err() != nil && len(r.tried) > 0 {
		return
	}
	for _, addr := range r.known {
		if r.tried[addr] {
			continue
		}
		r.idle = false
		r.tried[addr] = true
		r.running++
		r.open++
		go func() {
			s, err := r.n.dialOne(r.ctx, r.nw, addr)
			r.attempts <- raceAttempt{addr, s, err}
		}()
		r.wake(attemptDelay)
		return
	}
	r.idle = true
}

// wake sets the timer.
func (r *race) wake(d time.Duration) {
	r.due = r.n.clock.Monotonic() + d
	if r.timer == nil {
		r.timer = r.n.clock.AfterFunc(d, func() {
			select {
			case r.tick <- struct{}{}:
			default:
			}
		})
		return
	}
	r.timer.Reset(d)
}

// inTurns lets the versions of IP take turns, beginning with that of the first
// address (RFC 8305, section 4, with a First Address Family Count of 1).
func inTurns(list []endpoint.Addr) []endpoint.Addr {
	var first, second []endpoint.Addr
	for _, a := range list {
		if a.Family == list[0].Family {
			first = append(first, a)
		} else {
			second = append(second, a)
		}
	}
	out := make([]endpoint.Addr, 0, len(list))
	for i := range max(len(first), len(second)) {
		if i < len(first) {
			out = append(out, first[i])
		}
		if i < len(second) {
			out = append(out, second[i])
		}
	}
	return out
}
