package sockapi

import (
	"context"
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"usersock/internal/virtual"
	"usersock/stack/endpoint"
)

// This file is the only place in the project that waits.
//
// A call is tried first. If the endpoint says EAGAIN, the call enlists a
// watch with the open file description, tries again (what changed in between
// told nobody), and sleeps on its waiter's one channel. Whatever may end the
// wait signals that channel: the description's sink, the close of the
// descriptor, a deadline that passed or was moved, a context. Signals carry
// no meaning; whoever wakes looks at everything again.

// Forever is the timeout of a socket in blocking mode, Python's None.
const Forever time.Duration = -1

// A waiter is what one goroutine sleeps on. It comes from its Net's pool, so
// that a channel made inside a bubble of virtual time stays there.
type waiter struct {
	ch    chan struct{} // holds at most one signal
	watch watch         // for a wait on one description
	one   [1][]byte     // the buffer list of a call with one buffer
	clock endpoint.Clock
	timer endpoint.Timer // made by the first wait with a deadline
	armed bool
	next  *waiter    // in the queue for a turn
	turn  bool       // it is this waiter's turn
	items []pollItem // for a wait on many; kept for its memory
}

func newWaiter(clock endpoint.Clock) *waiter {
	w := &waiter{ch: make(chan struct{}, 1), clock: clock}
	w.watch.waiter = w
	return w
}

// signal wakes the sleeper, now or when it next goes to sleep.
func (w *waiter) signal() {
	select {
	case w.ch <- struct{}{}:
	default:
	}
}

// getWaiter takes a waiter from the Net's pool.
func (n *Net) getWaiter() *waiter { return n.waiters.Get().(*waiter) }

// putWaiter gives it back. A signal still under way to it costs its next user
// one look too many, no more.
func (n *Net) putWaiter(w *waiter) {
	w.one[0] = nil
	n.waiters.Put(w)
}

// A watch says that a waiter, or a Poller, wants to hear of a description's
// events.
type watch struct {
	waiter     *waiter
	interest   *interest // a Poller's; nil for a waiter
	owner      *desc     // whose close ends the wait; nil for none
	want       endpoint.Events
	prev, next *watch
}

// limit says how long a call may wait.
type limit struct {
	until    int64           // monotonic nanoseconds; noLimit, or atOnce
	late     error           // what until means when it has passed; nil is ErrTimeout
	blocking bool            // the socket's mode is to wait without a timeout
	deadline *deadline       // a Conn's, which may move; nil for none
	ctx      context.Context // nil for none
}

const (
	noLimit = int64(math.MaxInt64)
	atOnce  = int64(math.MinInt64) // do not wait at all
)

// deadline is a point in time that may be moved while calls wait for it: in
// monotonic nanoseconds plus one, 0 for none.
type deadline struct{ at atomic.Int64 }

func (d *deadline) load() int64 {
	if at := d.at.Load(); at != 0 {
		return at - 1
	}
	return noLimit
}

// limitFor turns a timeout into a limit that begins now.
func limitFor(clock endpoint.Clock, timeout time.Duration) limit {
	switch {
	case timeout < 0:
		return limit{until: noLimit}
	case timeout == 0:
		return limit{until: atOnce}
	}
	now := int64(clock.Monotonic())
	until := now + int64(timeout)
	if until < now { // longer than it can count is for ever
		until = noLimit
	}
	return limit{until: until}
}

// end returns the moment after which the call must not wait any more.
func (l *limit) end() int64 {
	if l.deadline != nil {
		return min(l.until, l.deadline.load())
	}
	return l.until
}

// over reports why the call may not go on waiting, nil if it may.
func (l *limit) over(clock endpoint.Clock) error {
	if l.ctx != nil && l.ctx.Err() != nil {
		return ctxError(l.ctx)
	}
	end := l.end()
	if end == noLimit || end > int64(clock.Monotonic()) {
		return nil
	}
	if l.late != nil && end == l.until {
		return l.late
	}
	return ErrTimeout
}

// ctxError is the reason that a context ended: a deadline is a timeout.
func ctxError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause != err {
		return contextCause{cause, ctxReason(err)}
	}
	return ctxReason(err)
}

func ctxReason(err error) error {
	if err == context.DeadlineExceeded {
		return contextTimeout{}
	}
	return err
}

// contextCause is the cause that a program gave for the end of a context, and
// to errors.Is and Timeout the context's own error as well.
type contextCause struct{ cause, err error }

func (e contextCause) Error() string   { return e.cause.Error() }
func (e contextCause) Unwrap() []error { return []error{e.cause, e.err} }
func (e contextCause) Timeout() bool   { return e.err != context.Canceled }

// contextTimeout is both a timeout of the socket calls and the context's.
type contextTimeout struct{ timeoutError }

func (contextTimeout) Is(target error) bool {
	return target == context.DeadlineExceeded || target == ErrTimeout || timeoutError{}.Is(target)
}

// sleep waits for a signal, at most until end.
func (w *waiter) sleep(end int64) {
	if end != noLimit {
		left := time.Duration(end - int64(w.clock.Monotonic()))
		if left <= 0 {
			return
		}
		w.armed = true
		if w.timer == nil {
			w.timer = w.clock.AfterFunc(left, w.signal)
		} else {
			w.timer.Reset(left)
		}
	} else if w.armed {
		// The deadline was taken away.
		w.disarm()
	}
	<-w.ch
}

func (w *waiter) disarm() {
	if w.armed {
		w.timer.Stop()
		w.armed = false
	}
}

// wait calls try until it no longer says EAGAIN, sleeping between calls until
// one of want may have come to hold on d's description, d is closed, or the
// limit is reached.
func (d *desc) wait(w *waiter, want endpoint.Events, lim limit, try func() error) error {
	f := d.file
	if d.closed.Load() {
		return errClosed
	}
	if lim.deadline != nil || lim.ctx != nil {
		if err := lim.over(w.clock); err != nil {
			return err
		}
	}
	err := try()
	if err != endpoint.EAGAIN || lim.until == atOnce {
		return d.outcome(err)
	}
	if f.virtual == nil {
		// Often the other side only needs the processor.
		runtime.Gosched()
		if err = try(); err != endpoint.EAGAIN {
			return d.outcome(err)
		}
	}
	var stop func() bool
	if lim.ctx != nil && lim.ctx.Done() != nil {
		stop = context.AfterFunc(lim.ctx, w.signal)
	}
	key := d.waitKey(want)
	f.enlist(&w.watch, d, want)
	for {
		if err = try(); err != endpoint.EAGAIN {
			err = d.outcome(err)
			break
		}
		if d.closed.Load() {
			err = errClosed
			break
		}
		if err = lim.over(w.clock); err != nil {
			break
		}
		w.sleep(lim.end())
		f.gateWake(key)
	}
	f.delist(&w.watch)
	w.disarm()
	if stop != nil {
		stop()
	}
	return err
}

// outcome is what a call through d reports: an error that only the close of
// the descriptor explains becomes that.
func (d *desc) outcome(err error) error {
	if err != nil && d.closed.Load() {
		return errClosed
	}
	return err
}

// waitKey is the place at the gate of virtual time of a call that begins to
// wait. It is taken once: of several calls that one event wakes, the one that
// began first goes on first.
func (d *desc) waitKey(want endpoint.Events) virtual.Key {
	if d.file.virtual == nil {
		return virtual.Key{}
	}
	dir := 1
	if want&endpoint.Out != 0 {
		dir = 2
	}
	return virtual.Key{Pid: d.net.pid(), FD: d.fd, Dir: dir, Call: d.calls[dir].Add(1)}
}

// gateWake parks a call that woke up until virtual time admits it. A transfer
// that can finish at once is never parked.
func (f *file) gateWake(key virtual.Key) {
	if f.virtual != nil {
		f.virtual.Admit(key)
	}
}

// gate parks a call that draws from what the host's sockets share (ports,
// random numbers, descriptors) until virtual time admits it. Calls that only
// give back, as close does, need no gate: the next call that draws is admitted
// when all of them are done. And they must not stop here, because programs hold
// mutexes across them.
func (n *Net) gate(fd int, d *desc, what string) {
	v := n.stack.Virtual()
	if v == nil {
		return
	}
	key := virtual.Key{Pid: n.pid(), FD: fd, What: what}
	if d != nil {
		key.Call = d.calls[0].Add(1)
	}
	v.Admit(key)
}

// wholeDatagram is how long a datagram may be that no link cuts: the smallest
// MTU of IPv6 (RFC 8200, section 5) without the headers.
const wholeDatagram = 1280 - 40 - 8

// gateDatagram is the gate for sending a datagram of n bytes. Only those stop
// there that draw: the first of a description a port or a name, and long ones
// the identification of their fragments. Programs hold mutexes across sends.
func (d *desc) gateDatagram(n int) {
	if !d.file.sent.Swap(true) || n > wholeDatagram {
		d.net.gate(d.fd, d, "send")
	}
}

// pid is the process that the Net stands for.
func (n *Net) pid() int {
	if n.cred.Pid != 0 {
		return int(n.cred.Pid)
	}
	return int(n.stack.Cred().Pid)
}

// gatedRand is a reader of the host's random numbers that passes the gate.
type gatedRand struct {
	net    *Net
	source virtual.Source
}

func (g gatedRand) Read(p []byte) (int, error) {
	g.net.gate(-1, nil, "random")
	return g.source.Read(p)
}
