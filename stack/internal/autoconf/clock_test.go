package autoconf

import (
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"usersock/stack/endpoint"
)

// handClock moves only when a test says so. It is for one goroutine.
type handClock struct {
	now    time.Duration
	timers []*handTimer
}

type handTimer struct {
	clock *handClock
	at    time.Duration
	f     func()
}

var _ endpoint.Clock = (*handClock)(nil)

func (c *handClock) Now() time.Time           { return time.Unix(1<<30, 0).UTC().Add(c.now) }
func (c *handClock) Monotonic() time.Duration { return c.now }

func (c *handClock) AfterFunc(d time.Duration, f func()) endpoint.Timer {
	t := &handTimer{clock: c, f: f}
	t.Reset(d)
	return t
}

func (t *handTimer) Stop() bool {
	i := slices.Index(t.clock.timers, t)
	if i >= 0 {
		t.clock.timers = slices.Delete(t.clock.timers, i, i+1)
	}
	return i >= 0
}

func (t *handTimer) Reset(d time.Duration) {
	t.Stop()
	t.at = t.clock.now + d
	t.clock.timers = append(t.clock.timers, t)
}

// advance moves time, and runs the timers that are due on the way.
func (c *handClock) advance(d time.Duration) {
	end := c.now + d
	for {
		var next *handTimer
		for _, t := range c.timers {
			if t.at <= end && (next == nil || t.at < next.at) {
				next = t
			}
		}
		if next == nil {
			c.now = end
			return
		}
		c.now = max(c.now, next.at)
		next.Stop()
		next.f()
	}
}

func testEnv(c *handClock) Env {
	return Env{
		Clock: c,
		Do:    func(job func()) { job() },
		Rand:  rand.New(rand.NewPCG(1, 2)),
		Log:   slog.New(slog.DiscardHandler),
	}
}

// TestTimer: a timer that was stopped or set again while its call waited does
// not call.
func TestTimer(t *testing.T) {
	c := new(handClock)
	env := testEnv(c)
	var waiting []func()
	env.Do = func(job func()) { waiting = append(waiting, job) }
	called := ""
	tm := timer{env: &env}
	tm.set(time.Second, func() { called += "a" })
	c.advance(time.Second)
	tm.set(time.Second, func() { called += "b" })
	c.advance(time.Second)
	for _, job := range waiting {
		job()
	}
	if called != "b" {
		t.Errorf("called %q", called)
	}
	tm.set(forever, func() { t.Error("for ever is over") })
	if len(c.timers) != 0 {
		t.Errorf("%d timers", len(c.timers))
	}
}
