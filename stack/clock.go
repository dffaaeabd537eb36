package stack

import (
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"

	"usersock/stack/endpoint"
)

// netClock is an endpoint.Clock as netstack wants to see it.
type netClock struct{ c endpoint.Clock }

func (c netClock) Now() time.Time { return c.c.Now() }

func (c netClock) NowMonotonic() tcpip.MonotonicTime {
	return tcpip.MonotonicTime{}.Add(c.c.Monotonic())
}

func (c netClock) AfterFunc(d time.Duration, f func()) tcpip.Timer {
	return c.c.AfterFunc(d, f)
}
