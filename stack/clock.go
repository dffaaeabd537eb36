package stack

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"

	"usersock/internal/virtual"
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

// seeded is a repeatable source of random numbers for many goroutines.
type seeded struct {
	mu  sync.Mutex
	pcg rand.PCG
}

var _ virtual.Source = (*seeded)(nil)

func newSeeded(seed uint64) *seeded {
	s := new(seeded)
	s.pcg.Seed(seed, 0x75736572736f636b)
	return s
}

func (s *seeded) Uint64() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pcg.Uint64()
}

func (s *seeded) Int63() int64 { return int64(s.Uint64() >> 1) }

// Seed does nothing: the seed is the configuration's.
func (s *seeded) Seed(int64) {}

func (s *seeded) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for b := p; len(b) > 0; {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], s.pcg.Uint64())
		b = b[copy(b, word[:]):]
	}
	return len(p), nil
}
