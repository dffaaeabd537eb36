package sockapi_test

import (
	"container/heap"
	"runtime"
	"sync"
	"testing"
	"time"

	. "usersock/sockapi"
	"usersock/stack/endpoint"
)

// handClock stands still until it is moved.
type handClock struct {
	mu     sync.Mutex
	now    time.Duration
	timers timerHeap
}

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (c *handClock) Now() time.Time { return epoch.Add(c.Monotonic()) }

func (c *handClock) Monotonic() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) AfterFunc(d time.Duration, f func()) endpoint.Timer {
	t := &handTimer{clock: c, f: f, index: -1}
	t.Reset(d)
	return t
}

// advance moves the clock and calls what is due, in order.
func (c *handClock) advance(d time.Duration) {
	c.mu.Lock()
	end := c.now + d
	for len(c.timers) > 0 && c.timers[0].at <= end {
		t := heap.Pop(&c.timers).(*handTimer)
		c.now = max(c.now, t.at)
		c.mu.Unlock()
		t.f()
		c.mu.Lock()
	}
	c.now = end
	c.mu.Unlock()
}

type handTimer struct {
	clock *handClock
	at    time.Duration
	f     func()
	index int
}

func (t *handTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	if t.index < 0 {
		return false
	}
	heap.Remove(&t.clock.timers, t.index)
	return true
}

func (t *handTimer) Reset(d time.Duration) {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	if t.index >= 0 {
		heap.Remove(&t.clock.timers, t.index)
	}
	t.at = t.clock.now + max(d, 0)
	heap.Push(&t.clock.timers, t)
}

type timerHeap []*handTimer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *timerHeap) Push(x any) {
	t := x.(*handTimer)
	t.index = len(*h)
	*h = append(*h, t)
}
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = -1
	return t
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestNothingIsLeft opens, connects, exchanges and closes ten thousand times;
// when TIME-WAIT is over, memory and goroutines are as before.
func TestNothingIsLeft(t *testing.T) {
	rounds := 10000
	if testing.Short() || raceEnabled {
		rounds = 1000
	}
	clock := new(handClock)
	a, b := hostsOn(t, clock)
	l := listener(t, b, InetAddr{"192.0.2.2", 0})
	name, err := l.Getsockname()
	check(t, err)
	round := func(n int) {
		for range n {
			c, err := a.Socket(AF_INET, SOCK_STREAM, 0)
			check(t, err)
			check(t, c.Connect(name))
			s, _, err := l.Accept()
			check(t, err)
			check(t, c.Sendall([]byte("Hello, world")))
			data, err := s.Recv(64)
			check(t, err)
			check(t, s.Sendall(data))
			data, err = c.Recv(64)
			check(t, err)
			if string(data) != "Hello, world" {
				t.Fatalf("%q came back", data)
			}
			check(t, c.Close())
			check(t, s.Close())
		}
	}
	afterwards := func() {
		for range 6 {
			clock.advance(30 * time.Second)
			for range 100 {
				runtime.Gosched()
			}
		}
	}
	// The tables of ports and connections grow to the size that so many need
	// at once and keep it.
	round(rounds)
	afterwards()
	goroutines, before := runtime.NumGoroutine(), heapInUse()
	round(rounds)
	during := heapInUse()
	afterwards()
	after := heapInUse()
	t.Logf("%d rounds: heap %d KB before, %d KB in TIME-WAIT, %d KB after", rounds, before>>10, during>>10, after>>10)
	if grown := int64(after) - int64(before); grown > 1<<20 {
		t.Errorf("the heap grew by %d KB", grown>>10)
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); runtime.Gosched() {
		if runtime.NumGoroutine() <= goroutines {
			return
		}
	}
	buf := make([]byte, 1<<16)
	t.Errorf("%d goroutines before, %d after:\n%s", goroutines, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
}
