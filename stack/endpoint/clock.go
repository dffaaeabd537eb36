package endpoint

import "time"

// Clock tells the time and sets timers for a whole stack: its protocols,
// sockets, resolver and TLS. Real time is [SystemClock].
type Clock interface {
	// Now is the time of day.
	Now() time.Time
	// Monotonic is the time since some fixed point; it never goes back.
	Monotonic() time.Duration
	// AfterFunc calls f, in a goroutine of the clock's choice, once d has
	// passed.
	AfterFunc(d time.Duration, f func()) Timer
}

// Timer is a pending call of AfterFunc.
type Timer interface {
	// Stop prevents the call and reports whether it did.
	Stop() bool
	// Reset lets the call come d from now.
	Reset(d time.Duration)
}

// SystemClock returns the clock of the machine.
func SystemClock() Clock { return systemClock{origin: time.Now()} }

type systemClock struct{ origin time.Time }

func (systemClock) Now() time.Time             { return time.Now() }
func (c systemClock) Monotonic() time.Duration { return time.Since(c.origin) }
func (systemClock) AfterFunc(d time.Duration, f func()) Timer {
	return systemTimer{time.AfterFunc(d, f)}
}

type systemTimer struct{ t *time.Timer }

func (t systemTimer) Stop() bool            { return t.t.Stop() }
func (t systemTimer) Reset(d time.Duration) { t.t.Reset(d) }
