package sockapi_test

import (
	"errors"
	"os"
	"testing"
	"time"

	. "usersock/sockapi"
	"usersock/stack/endpoint"
)

// timeval is struct timeval of this host.
func timeval(d time.Duration) []byte {
	b := make([]byte, 16)
	return b[:endpoint.PutTimeval(b, d)]
}

// streams makes a connection of each kind of stream.
func streams(t *testing.T) map[string][2]*Socket {
	t.Helper()
	na, nb := hosts(t)
	a, b := connected(t, na, nb, InetAddr{"192.0.2.2", 0})
	c, d := connected(t, na, nb, Inet6Addr{Host: "2001:db8::2"})
	e, f := pair(t, na, SOCK_STREAM)
	return map[string][2]*Socket{"TCP": {a, b}, "TCP over IPv6": {c, d}, "AF_UNIX": {e, f}}
}

// TestTimeoutOptions: SO_RCVTIMEO and SO_SNDTIMEO end calls that wait, with
// EAGAIN, unless the mode's timeout ends them before.
func TestTimeoutOptions(t *testing.T) {
	const short, long = time.Millisecond, time.Hour
	for name, p := range streams(t) {
		t.Run(name, func(t *testing.T) {
			a, b := p[0], p[1]
			check(t, a.SetsockoptBytes(SOL_SOCKET, SO_RCVTIMEO, timeval(short)))
			check(t, a.SetsockoptBytes(SOL_SOCKET, SO_SNDTIMEO, timeval(short)))
			option := func(what string, err error) {
				t.Helper()
				if errnoOf(err) != endpoint.EAGAIN || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s: %v, want EAGAIN", what, err)
				}
			}
			for _, mode := range []time.Duration{Forever, long} {
				check(t, a.Settimeout(mode))
				_, err := a.Recv(1)
				option("recv", err)
				_, err = a.Recv(1 << 20)
				option("a large recv", err)
				_, _, _, _, err = a.Recvmsg(1, 0)
				option("recvmsg", err)
			}
			check(t, a.SetsockoptBytes(SOL_SOCKET, SO_RCVTIMEO, timeval(long)))
			check(t, a.Settimeout(short))
			if _, err := a.Recv(1); !errors.Is(err, ErrTimeout) {
				t.Errorf("a longer option: %v", err)
			}
			check(t, a.SetsockoptBytes(SOL_SOCKET, SO_RCVTIMEO, timeval(-time.Second)))
			check(t, a.Settimeout(Forever))
			_, err := a.Recv(1)
			option("recv with a negative time", err)
			check(t, a.SetsockoptBytes(SOL_SOCKET, SO_RCVTIMEO, timeval(0))) // none
			check(t, b.Sendall([]byte("x")))
			if data, err := a.Recv(1, MSG_WAITALL); string(data) != "x" || err != nil {
				t.Errorf("%q, %v", data, err)
			}
			// A send that cannot go on tells what it has sent, then EAGAIN.
			n, err := a.Send(make([]byte, 64<<20))
			if n <= 0 || n == 64<<20 || err != nil {
				t.Errorf("send: %d, %v", n, err)
			}
			for err == nil { // until the peer's buffer is full as well
				_, err = a.Send(make([]byte, 64<<20))
			}
			option("send", err)
			option("sendall", a.Sendall(make([]byte, 64<<20)))
			// A Conn has deadlines instead.
			check(t, a.SetsockoptBytes(SOL_SOCKET, SO_RCVTIMEO, timeval(short)))
			conn := a.Conn()
			check(t, conn.SetReadDeadline(time.Now().Add(-time.Second)))
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Conn.Read: %v", err)
			}
		})
	}
	n := host(t)
	l := listener(t, n, InetAddr{"127.0.0.1", 0})
	check(t, l.SetsockoptBytes(SOL_SOCKET, SO_RCVTIMEO, timeval(short)))
	if _, _, err := l.Accept(); errnoOf(err) != endpoint.EAGAIN {
		t.Errorf("accept: %v", err)
	}
	// An accepted socket has the option too.
	name, err := l.Getsockname()
	check(t, err)
	c := open(t, n, AF_INET, SOCK_STREAM)
	check(t, c.Connect(name))
	s, _, err := l.Accept()
	check(t, err)
	defer s.Close()
	if _, err := s.Recv(1); errnoOf(err) != endpoint.EAGAIN {
		t.Errorf("recv of an accepted socket: %v", err)
	}
	b, err := s.GetsockoptBytes(SOL_SOCKET, SO_RCVTIMEO, 16)
	if d, _ := endpoint.Timeval(b); d != short || err != nil {
		t.Errorf("an accepted socket has %v, %v", d, err)
	}
	// A datagram socket.
	u := open(t, n, AF_INET, SOCK_DGRAM)
	check(t, u.SetsockoptBytes(SOL_SOCKET, SO_RCVTIMEO, timeval(short)))
	if _, _, err := u.Recvfrom(1); errnoOf(err) != endpoint.EAGAIN {
		t.Errorf("recvfrom: %v", err)
	}
}

// TestConnectTimeoutOption: SO_SNDTIMEO ends a connect with EINPROGRESS.
func TestConnectTimeoutOption(t *testing.T) {
	a, _ := hosts(t)
	c := open(t, a, AF_INET, SOCK_STREAM)
	check(t, c.SetsockoptBytes(SOL_SOCKET, SO_SNDTIMEO, timeval(time.Millisecond)))
	err := c.Connect(InetAddr{"192.0.2.77", 9}) // nobody there, and nobody says so
	if errnoOf(err) != endpoint.EINPROGRESS {
		t.Errorf("%v, want EINPROGRESS", err)
	}
	// A full backlog of AF_UNIX is EAGAIN.
	l := open(t, a, AF_UNIX, SOCK_STREAM)
	check(t, l.Bind(UnixAddr{"\x00l"}))
	check(t, l.Listen(0))
	d := open(t, a, AF_UNIX, SOCK_STREAM)
	check(t, d.Connect(UnixAddr{"\x00l"}))
	d = open(t, a, AF_UNIX, SOCK_STREAM)
	check(t, d.SetsockoptBytes(SOL_SOCKET, SO_SNDTIMEO, timeval(time.Millisecond)))
	if err := d.Connect(UnixAddr{"\x00l"}); errnoOf(err) != endpoint.EAGAIN {
		t.Errorf("%v, want EAGAIN", err)
	}
}

// TestLowWater: a receive that waits waits for SO_RCVLOWAT bytes, or for all
// that there is room for, or for the end.
func TestLowWater(t *testing.T) {
	for name, p := range streams(t) {
		t.Run(name, func(t *testing.T) {
			a, b := p[0], p[1]
			check(t, a.Setsockopt(SOL_SOCKET, SO_RCVLOWAT, 5))
			got := make(chan string)
			go func() {
				for _, n := range []int{100, 3, 100, 100, 100} {
					data, err := a.Recv(n)
					if err != nil {
						data = []byte(err.Error())
					}
					got <- string(data)
				}
			}()
			next := func(want string) {
				t.Helper()
				if data := <-got; data != want {
					t.Errorf("received %q, want %q", data, want)
				}
			}
			check(t, b.Sendall([]byte("ab")))
			check(t, b.Sendall([]byte("cde")))
			next("abcde")
			check(t, b.Sendall([]byte("fgh")))
			next("fgh")
			check(t, b.Sendall([]byte("ijklmnop")))
			next("ijklmnop")
			check(t, b.Sendall([]byte("qr")))
			check(t, b.Shutdown(SHUT_WR))
			next("qr")
			next("")
		})
	}
}

// TestPeekAll: MSG_PEEK with MSG_WAITALL waits for all of it, and leaves it.
func TestPeekAll(t *testing.T) {
	for name, p := range streams(t) {
		t.Run(name, func(t *testing.T) {
			a, b := p[0], p[1]
			check(t, b.Sendall([]byte("abc")))
			got := make(chan string)
			go func() {
				for _, flags := range []int{MSG_PEEK, MSG_PEEK, 0} {
					data, err := a.Recv(6, MSG_WAITALL|flags)
					if err != nil {
						data = []byte(err.Error())
					}
					got <- string(data)
				}
			}()
			check(t, b.Sendall([]byte("d")))
			check(t, b.Sendall([]byte("efgh")))
			for range 3 {
				if data := <-got; data != "abcdef" {
					t.Errorf("%q, want abcdef", data)
				}
			}
			// Without enough: what there is when time is up, or at the end.
			check(t, a.Settimeout(time.Millisecond))
			data, err := a.Recv(6, MSG_PEEK|MSG_WAITALL)
			if string(data) != "gh" || err != nil {
				t.Errorf("%q, %v", data, err)
			}
			check(t, a.Settimeout(Forever))
			check(t, b.Shutdown(SHUT_WR))
			data, err = a.Recv(6, MSG_PEEK|MSG_WAITALL)
			if string(data) != "gh" || err != nil {
				t.Errorf("at the end: %q, %v", data, err)
			}
		})
	}
}

// TestLowWaterBeyondTheBuffer: a receive waits for more than the sender may have
// under way at once.
func TestLowWaterBeyondTheBuffer(t *testing.T) {
	a, b := pair(t, host(t), SOCK_STREAM)
	const much = 1 << 20
	check(t, a.Setsockopt(SOL_SOCKET, SO_RCVLOWAT, much))
	sent := make(chan error, 1)
	go func() { sent <- b.Sendall(make([]byte, much)) }()
	n, err := a.RecvInto(make([]byte, 2*much), 0)
	if n != much || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	check(t, <-sent)
}
