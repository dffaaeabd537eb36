package tls

import (
	"sync"
	"time"

	"usersock/stack/endpoint"
)

// manualClock is a clock that the test moves.
type manualClock struct {
	mu     sync.Mutex
	now    time.Time
	passed time.Duration
	timers map[*manualTimer]bool
}

type manualTimer struct {
	clock *manualClock
	at    time.Duration
	f     func()
}

func (c *manualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now.Add(c.passed)
}

func (c *manualClock) Monotonic() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.passed
}

func (c *manualClock) AfterFunc(d time.Duration, f func()) endpoint.Timer {
	t := &manualTimer{clock: c, f: f}
	t.Reset(d)
	return t
}

func (t *manualTimer) Reset(d time.Duration) {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	if t.clock.timers == nil {
		t.clock.timers = map[*manualTimer]bool{}
	}
	t.at = t.clock.passed + d
	t.clock.timers[t] = true
}

func (t *manualTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	was := t.clock.timers[t]
	delete(t.clock.timers, t)
	return was
}

// waiting is how many timers are set.
func (c *manualClock) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.timers)
}

func (c *manualClock) advance(d time.Duration) {
	c.mu.Lock()
	c.passed += d
	var due []*manualTimer
	for t := range c.timers {
		if t.at <= c.passed {
			due = append(due, t)
			delete(c.timers, t)
		}
	}
	c.mu.Unlock()
	for _, t := range due {
		go t.f()
	}
}
