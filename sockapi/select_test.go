package sockapi_test

import (
	"errors"
	"math/rand"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usersock/internal/virtual"
	. "usersock/sockapi"
	"usersock/stack"
	"usersock/stack/endpoint"
)

// pair opens two connected sockets of AF_UNIX.
func pair(t testing.TB, n *Net, typ int) (a, b *Socket) {
	t.Helper()
	a, b, err := n.Socketpair(AF_UNIX, typ, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Close()
		b.Close()
	})
	return a, b
}

// bubbleHost is a host whose clock can be read outside a bubble of synctest,
// where it was made, and inside, where its sockets are. Only AF_UNIX works in
// there: netstack's goroutines are outside.
func bubbleHost(t testing.TB) *Net {
	t.Helper()
	return hostOn(t, stack.Config{Clock: bubbleClock{endpoint.SystemClock()}})
}

type bubbleClock struct{ endpoint.Clock }

func (bubbleClock) Monotonic() time.Duration { return time.Duration(time.Now().UnixNano()) }

func sendText(t testing.TB, s *Socket, text string) {
	t.Helper()
	if err := s.Sendall([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// wantSelect checks one Select.
func wantSelect(t *testing.T, n *Net, rlist, wlist, xlist []int, timeout time.Duration, r, w, x []int) {
	t.Helper()
	gr, gw, gx, err := n.Select(rlist, wlist, xlist, timeout)
	if err != nil || !slices.Equal(gr, r) || !slices.Equal(gw, w) || !slices.Equal(gx, x) {
		t.Errorf("Select(%v, %v, %v, %v) = %v, %v, %v, %v, want %v, %v, %v",
			rlist, wlist, xlist, timeout, gr, gw, gx, err, r, w, x)
	}
}

func TestSelectLists(t *testing.T) {
	n := host(t)
	a, b := pair(t, n, SOCK_STREAM)
	c, d := pair(t, n, SOCK_DGRAM)
	fa, fb, fc, fd := a.Fileno(), b.Fileno(), c.Fileno(), d.Fileno()
	all := []int{fd, fa, fc, fa, fb}
	wantSelect(t, n, all, nil, all, 0, nil, nil, nil)
	wantSelect(t, n, nil, []int{fc, fb}, nil, Forever, nil, []int{fc, fb}, nil)
	sendText(t, b, "x")
	wantSelect(t, n, all, nil, all, Forever, []int{fa, fa}, nil, nil)
	sendText(t, c, "y")
	wantSelect(t, n, all, []int{fb}, nil, Forever, []int{fd, fa, fa}, []int{fb}, nil)
	// Level-triggered: still there until it is received.
	wantSelect(t, n, all, nil, nil, time.Hour, []int{fd, fa, fa}, nil, nil)
	if _, err := a.Recv(10); err != nil {
		t.Fatal(err)
	}
	wantSelect(t, n, all, nil, nil, 0, []int{fd}, nil, nil)
	dup, err := n.DupFd(fd)
	if err != nil {
		t.Fatal(err)
	}
	wantSelect(t, n, []int{dup, fd}, nil, nil, 0, []int{dup, fd}, nil, nil)
	b.Close()
	wantSelect(t, n, []int{fa, fc}, nil, []int{fa}, Forever, []int{fa}, nil, nil)
	wantSelect(t, n, []int{fa, fc}, []int{fa}, []int{fa}, Forever, []int{fa}, []int{fa}, nil)
}

// TestSelectTCP has the states of a connection over a link, in both families.
func TestSelectTCP(t *testing.T) {
	for name, addr := range map[string]Addr{
		"IPv4": InetAddr{Host: "192.0.2.2"},
		"IPv6": Inet6Addr{Host: "2001:db8::2"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := hosts(t)
			l := listener(t, b, addr)
			fl := l.Fileno()
			wantSelect(t, b, []int{fl}, nil, nil, 0, nil, nil, nil)
			to, err := l.Getsockname()
			if err != nil {
				t.Fatal(err)
			}
			c := open(t, a, addr.Family(), SOCK_STREAM)
			fc := c.Fileno()
			if err := c.Setblocking(false); err != nil {
				t.Fatal(err)
			}
			if err := c.Connect(to); err != nil && !errors.Is(err, endpoint.EINPROGRESS) {
				t.Fatal(err)
			}
			wantSelect(t, a, nil, []int{fc}, nil, Forever, nil, []int{fc}, nil)
			if e, err := c.Getsockopt(SOL_SOCKET, SO_ERROR); e != 0 || err != nil {
				t.Fatalf("SO_ERROR = %d, %v", e, err)
			}
			wantSelect(t, b, []int{fl}, nil, nil, Forever, []int{fl}, nil, nil)
			s, _, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			fs := s.Fileno()
			wantSelect(t, b, []int{fl, fs}, nil, nil, 0, nil, nil, nil)
			sendText(t, c, "x")
			wantSelect(t, b, []int{fl, fs}, nil, nil, Forever, []int{fs}, nil, nil)
			if _, err := s.Recv(10); err != nil {
				t.Fatal(err)
			}
			wantSelect(t, b, []int{fs}, nil, nil, 0, nil, nil, nil)
			if err := c.Shutdown(SHUT_WR); err != nil {
				t.Fatal(err)
			}
			wantSelect(t, b, []int{fs}, nil, nil, Forever, []int{fs}, nil, nil)
			wantSelect(t, b, []int{fs}, []int{fs}, nil, Forever, []int{fs}, []int{fs}, nil)
			if data, err := s.Recv(10); len(data) != 0 || err != nil {
				t.Errorf("end of stream: %q, %v", data, err)
			}
			wantSelect(t, b, []int{fs}, nil, nil, Forever, []int{fs}, nil, nil)

			// A refused connection is readable and writable.
			l.Close()
			r := open(t, a, addr.Family(), SOCK_STREAM)
			fr := r.Fileno()
			if err := r.Setblocking(false); err != nil {
				t.Fatal(err)
			}
			if err := r.Connect(to); !errors.Is(err, endpoint.EINPROGRESS) && !errors.Is(err, endpoint.ECONNREFUSED) {
				t.Fatal(err)
			}
			wantSelect(t, a, nil, []int{fr}, nil, Forever, nil, []int{fr}, nil)
			wantSelect(t, a, []int{fr}, []int{fr}, nil, Forever, []int{fr}, []int{fr}, nil)
		})
	}
}

func TestSelectErrors(t *testing.T) {
	n := host(t)
	a, b := pair(t, n, SOCK_STREAM)
	sendText(t, b, "x")
	good := a.Fileno()
	closed := b.Fileno()
	b.Close()
	for _, fd := range []int{-1, 0, 2, closed, 100, 1<<31 - 1, b.Fileno()} {
		for i := range 3 {
			var lists [3][]int
			lists[0] = []int{good}
			lists[i] = append(lists[i], fd)
			r, w, x, err := n.Select(lists[0], lists[1], lists[2], Forever)
			wantErrno(t, "select", err, endpoint.EBADF)
			if r != nil || w != nil || x != nil {
				t.Errorf("lists beside an error: %v %v %v", r, w, x)
			}
		}
	}
	for _, timeout := range []time.Duration{-2, -time.Second} {
		_, _, _, err := n.Select([]int{good}, nil, nil, timeout)
		wantValueError(t, "a negative timeout", err)
	}
	other := host(t)
	_, _, _, err := other.Select([]int{good}, nil, nil, 0)
	wantErrno(t, "a descriptor of another Net", err, endpoint.EBADF)
}

// TestSelectWaits runs in a bubble, whose clock stands still until all its
// goroutines wait.
func TestSelectWaits(t *testing.T) {
	type result struct {
		r, w []int
		err  error
	}
	n := bubbleHost(t)
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, n, SOCK_STREAM)
		c, d := pair(t, n, SOCK_STREAM)
		start := func(timeout time.Duration, rlist ...int) <-chan result {
			done := make(chan result, 1)
			go func() {
				r, w, _, err := n.Select(rlist, nil, nil, timeout)
				done <- result{r, w, err}
			}()
			synctest.Wait()
			select {
			case got := <-done:
				t.Fatalf("did not wait: %v", got)
			default:
			}
			return done
		}

		// Nothing comes: exactly the timeout passes, with and without
		// descriptors.
		for _, fds := range [][]int{nil, {a.Fileno(), c.Fileno()}} {
			before := time.Now()
			wantSelect(t, n, fds, nil, fds, 90*time.Minute, nil, nil, nil)
			if passed := time.Since(before); passed != 90*time.Minute {
				t.Errorf("Select(%v) waited %v", fds, passed)
			}
		}

		done := start(Forever, a.Fileno(), c.Fileno())
		sendText(t, d, "x")
		if got := <-done; got.err != nil || !slices.Equal(got.r, []int{c.Fileno()}) {
			t.Errorf("woken by data: %v", got)
		}
		c.Recv(1)

		// Two goroutines wait for the same descriptor.
		one, two := start(time.Hour, a.Fileno()), start(Forever, a.Fileno())
		sendText(t, b, "x")
		for _, done := range []<-chan result{one, two} {
			if got := <-done; got.err != nil || !slices.Equal(got.r, []int{a.Fileno()}) {
				t.Errorf("both woken by data: %v", got)
			}
		}
		a.Recv(1)

		done = start(Forever, a.Fileno(), c.Fileno())
		c.Close()
		got := <-done
		wantErrno(t, "closed while waiting", got.err, endpoint.EBADF)
		if !errors.Is(got.err, net.ErrClosed) {
			t.Errorf("closed while waiting: %v is not net.ErrClosed", got.err)
		}

		// The close of a duplicate is no concern of the original.
		dup, err := n.DupFd(a.Fileno())
		if err != nil {
			t.Fatal(err)
		}
		done = start(time.Minute, a.Fileno())
		if err := n.CloseFd(dup); err != nil {
			t.Fatal(err)
		}
		if got := <-done; got.err != nil || got.r != nil {
			t.Errorf("after the close of a duplicate: %v", got)
		}

		done = start(Forever, a.Fileno())
		n.Close()
		wantErrno(t, "Net closed while waiting", (<-done).err, endpoint.EBADF)
	})
}

// gateClock is a host of virtual time that admits everybody and keeps the
// keys.
type gateClock struct {
	endpoint.Clock
	mu   sync.Mutex
	keys []virtual.Key
}

func (c *gateClock) Source() virtual.Source   { return rand.New(rand.NewSource(1)) }
func (c *gateClock) AttachPump(func()) func() { return func() {} }
func (c *gateClock) Monotonic() time.Duration { return time.Duration(time.Now().UnixNano()) }
func (c *gateClock) take() (keys []virtual.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	keys, c.keys = c.keys, nil
	return keys
}
func (c *gateClock) Admit(k virtual.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys = append(c.keys, k)
}

// TestSelectGate has virtual time admit a call that waited, and none that did
// not.
func TestSelectGate(t *testing.T) {
	clock := &gateClock{Clock: endpoint.SystemClock()}
	n := hostOn(t, stack.Config{Clock: clock})
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, n, SOCK_STREAM)
		fa, fb := a.Fileno(), b.Fileno()
		p := n.Poll()
		p.Register(fb, POLLIN)
		clock.take()
		wantSelect(t, n, []int{fa}, []int{fa}, nil, Forever, nil, []int{fa}, nil)
		wantSelect(t, n, []int{fa}, nil, nil, 0, nil, nil, nil)
		wantPoll(t, p, 0)
		if keys := clock.take(); keys != nil {
			t.Errorf("calls that did not wait passed the gate: %v", keys)
		}
		wantSelect(t, n, []int{fb, fa}, nil, nil, time.Second, nil, nil, nil)
		wantPoll(t, p, time.Second)
		wantSelect(t, n, nil, nil, nil, time.Second, nil, nil, nil)
		want := []virtual.Key{{Pid: 1, FD: fb, Dir: 1, Call: 1}, {Pid: 1, FD: fb, Dir: 1, Call: 2}, {Pid: 1, FD: -1, What: "select"}}
		if keys := clock.take(); !slices.Equal(keys, want) {
			t.Errorf("admitted %+v, want %+v", keys, want)
		}
	})
}

// TestSelectMany waits on 10,000 descriptors.
func TestSelectMany(t *testing.T) {
	n := bubbleHost(t)
	const pairs = 5000
	var fds []int
	var last *Socket
	for range pairs {
		a, b, err := n.Socketpair(AF_UNIX, SOCK_DGRAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, a.Detach(), b.Fileno())
		if last != nil {
			last.Detach()
		}
		last = b
	}
	defer last.Close()
	woken := fds[2*(pairs-1)]
	synctest.Test(t, func(t *testing.T) {
		done := make(chan []int, 1)
		go func() {
			r, _, _, err := n.Select(fds, nil, nil, Forever)
			if err != nil {
				t.Error(err)
			}
			done <- r
		}()
		synctest.Wait()
		sendText(t, last, "x")
		if r := <-done; !slices.Equal(r, []int{woken}) {
			t.Errorf("readable: %v, want %d", r, woken)
		}
		p := n.Poll()
		for _, fd := range fds {
			if err := p.Register(fd, POLLIN); err != nil {
				t.Fatal(err)
			}
		}
		wantPoll(t, p, Forever, PollEvent{FD: woken, Events: POLLIN})
	})
	wantSelect(t, n, nil, fds, nil, 0, nil, fds, nil)
}

func TestSelectAllocs(t *testing.T) {
	n := host(t)
	a, b := pair(t, n, SOCK_STREAM)
	fds := []int{a.Fileno(), b.Fileno()}
	idle := testing.AllocsPerRun(100, func() { n.Select(fds, nil, nil, 0) })
	ready := testing.AllocsPerRun(100, func() { n.Select(nil, fds[:1], nil, 0) })
	if raceEnabled {
		t.Skip("the race detector empties pools")
	}
	if idle > 0 || ready > 1 {
		t.Errorf("Select: %v allocations with nothing ready, %v with one, want at most 0 and 1", idle, ready)
	}
}

func BenchmarkSelect(b *testing.B) {
	for _, size := range []int{2, 100, 1000} {
		b.Run(map[int]string{2: "2", 100: "100", 1000: "1000"}[size], func(b *testing.B) {
			n := host(b)
			var fds []int
			for range size / 2 {
				x, y := pair(b, n, SOCK_DGRAM)
				fds = append(fds, x.Fileno(), y.Fileno())
			}
			wlist := fds[:1]
			b.ReportAllocs()
			for b.Loop() {
				if _, w, _, err := n.Select(fds, wlist, nil, Forever); len(w) != 1 || err != nil {
					b.Fatal(w, err)
				}
			}
		})
	}
}
