package sockapi_test

import (
	"errors"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"usersock/netdev"
	. "usersock/sockapi"
	"usersock/stack"
	"usersock/stack/endpoint"
)

// routed makes two hosts with a router between them: 192.0.2.1 and
// 2001:db8::1 on one side, 198.51.100.1 and 2001:db8:1::1 on the other.
func routed(t testing.TB, clock endpoint.Clock) (a, b *Net) {
	t.Helper()
	p := netip.MustParsePrefix
	left, l := netdev.Pair(netdev.PairConfig{})
	r, right := netdev.Pair(netdev.PairConfig{MTU: 1500})
	hostOn(t, stack.Config{
		Clock:      clock,
		Forwarding: true,
		Interfaces: []stack.Interface{
			{Link: l, Addrs: []netip.Prefix{p("192.0.2.254/24"), p("2001:db8::fe/64")}},
			{Link: r, Addrs: []netip.Prefix{p("198.51.100.254/24"), p("2001:db8:1::fe/64")}},
		},
	})
	side := func(link netdev.Link, four, six, via4, via6 string) *Net {
		return hostOn(t, stack.Config{
			Clock:      clock,
			Interfaces: []stack.Interface{{Link: link, Addrs: []netip.Prefix{p(four), p(six)}}},
			Routes: []stack.Route{
				{Dst: p("0.0.0.0/0"), Via: netip.MustParseAddr(via4)},
				{Dst: p("::/0"), Via: netip.MustParseAddr(via6)},
			},
		})
	}
	a = side(left, "192.0.2.1/24", "2001:db8::1/64", "192.0.2.254", "2001:db8::fe")
	b = side(right, "198.51.100.1/24", "2001:db8:1::1/64", "198.51.100.254", "2001:db8:1::fe")
	return a, b
}

// TestThroughARouter: large segments meet a smaller MTU on the way, and the
// bytes arrive all the same.
func TestThroughARouter(t *testing.T) {
	const size = 10 << 20
	a, b := routed(t, nil)
	for _, address := range []string{"198.51.100.1:0", "[2001:db8:1::1]:0"} {
		l, err := b.Listen("tcp", address)
		check(t, err)
		sent := make(chan error, 1)
		go func() {
			c, err := l.Accept()
			if err == nil {
				_, err = io.Copy(c, noise(1, size))
				c.Close()
			}
			sent <- err
		}()
		c, err := a.Dial("tcp", l.Addr().String())
		check(t, err)
		if got := sumOf(c); got != sumOf(noise(1, size)) {
			t.Errorf("%s: not the bytes that were sent", address)
		}
		check(t, <-sent)
		c.Close()
		l.Close()
	}
}

// TestUnreachable: what a router says reaches the caller.
func TestUnreachable(t *testing.T) {
	a, _ := routed(t, nil)
	for _, addr := range []Addr{InetAddr{"203.0.113.1", 80}, Inet6Addr{Host: "2001:db8:2::1", Port: 80}} {
		s := open(t, a, addr.Family(), SOCK_STREAM)
		if err := s.Connect(addr); !errors.Is(err, endpoint.ENETUNREACH) && !errors.Is(err, endpoint.EHOSTUNREACH) {
			t.Errorf("connect %v: %v, want ENETUNREACH", addr, err)
		}
	}
}

// TestConnectTimesOut: nobody answers, and the stack gives up by itself,
// which is not the socket's timeout.
func TestConnectTimesOut(t *testing.T) { connectTimesOut(t, func(*Socket) {}) }

// TestConnectShutDown: a socket that was shut down both ways before it connects
// hangs up from the start, and waits for the attempt all the same.
func TestConnectShutDown(t *testing.T) {
	connectTimesOut(t, func(s *Socket) {
		if err := s.Shutdown(SHUT_RDWR); !errors.Is(err, endpoint.ENOTCONN) {
			t.Errorf("shutdown: %v", err)
		}
	})
}

func connectTimesOut(t *testing.T, before func(*Socket)) {
	clock := new(handClock)
	a, _ := hostsOn(t, clock)
	s := open(t, a, AF_INET, SOCK_STREAM)
	before(s)
	result := make(chan error, 1)
	go func() { result <- s.Connect(InetAddr{"192.0.2.99", 80}) }()
	for {
		select {
		case err := <-result:
			if !errors.Is(err, endpoint.ETIMEDOUT) || errors.Is(err, ErrTimeout) {
				t.Errorf("%v, want ETIMEDOUT", err)
			}
			if at := clock.Monotonic(); at < 30*time.Second {
				t.Errorf("it gave up after %v", at)
			}
			return
		default:
			clock.advance(100 * time.Millisecond)
			runtime.Gosched()
		}
	}
}

// TestSynCount: a connect gives up when TCP_SYNCNT retransmissions have had no
// answer: after 3 seconds with one of them.
func TestSynCount(t *testing.T) {
	clock := new(handClock)
	a, _ := hostsOn(t, clock)
	s := open(t, a, AF_INET, SOCK_STREAM)
	check(t, s.Setsockopt(IPPROTO_TCP, TCP_SYNCNT, 1))
	result := make(chan error, 1)
	go func() { result <- s.Connect(InetAddr{"192.0.2.99", 80}) }()
	for !slices.ContainsFunc(a.Stack().Snapshot().Sockets, func(i endpoint.SocketInfo) bool { return i.State == endpoint.SocketSynSent }) {
		runtime.Gosched()
	}
	stuck := time.After(time.Minute)
	for {
		select {
		case <-stuck:
			t.Fatal("after 100 seconds it has not given up")
		case err := <-result:
			if !errors.Is(err, endpoint.ETIMEDOUT) {
				t.Errorf("%v, want ETIMEDOUT", err)
			}
			if at := clock.Monotonic(); at < 3*time.Second {
				t.Errorf("it gave up after %v", at)
			}
			// The socket is as new.
			if err := s.Bind(InetAddr{"192.0.2.1", 0}); err != nil {
				t.Error(err)
			}
			return
		default:
			// Not farther: the stack works on what has run out in goroutines of
			// its own, and without an effect the connect would go on to 127 s.
			if clock.Monotonic() < 100*time.Second {
				clock.advance(100 * time.Millisecond)
			}
			runtime.Gosched()
		}
	}
}

// TestTimeoutsRunOnTheStacksClock: a timeout comes when the stack's clock says
// so, and not before.
func TestTimeoutsRunOnTheStacksClock(t *testing.T) {
	clock := new(handClock)
	a, b := hostsOn(t, clock)
	c, _ := connected(t, a, b, InetAddr{"192.0.2.2", 0})
	c.Settimeout(time.Hour)
	result := make(chan error, 1)
	go func() { _, err := c.Recv(1); result <- err }()
	for clock.pending() == 0 {
		runtime.Gosched()
	}
	clock.advance(59 * time.Minute)
	select {
	case err := <-result:
		t.Fatalf("after 59 minutes: %v", err)
	default:
	}
	clock.advance(time.Minute)
	if err := <-result; !errors.Is(err, ErrTimeout) {
		t.Errorf("%v, want a timeout", err)
	}
}

// pending counts the timers that are longer than TCP's own.
func (c *handClock) pending() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.timers {
		if t.at-c.now > 30*time.Minute {
			n++
		}
	}
	return n
}
