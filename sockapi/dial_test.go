package sockapi_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"usersock/resolver"
	. "usersock/sockapi"
	"usersock/stack"
	"usersock/stack/endpoint"
)

// TestGoErrors: what a Go program finds in the errors of the Go dialect.
func TestGoErrors(t *testing.T) {
	a, b := hosts(t)
	_, err := a.Dial("tcp", "192.0.2.2:80")
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "dial" || op.Net != "tcp" || op.Addr.String() != "192.0.2.2:80" ||
		!errors.Is(err, syscall.ECONNREFUSED) || err.Error() != "dial tcp 192.0.2.2:80: connect: connection refused" {
		t.Errorf("refused: %v", err)
	}
	for _, c := range []struct{ network, address, text string }{
		{"tcp5", "192.0.2.2:80", "dial tcp5: unknown network tcp5"},
		{"tcp", "192.0.2.2", "dial tcp: address 192.0.2.2: missing port in address"},
		{"tcp4", "[2001:db8::2]:80", "dial tcp4: address 2001:db8::2: no suitable address found"},
		{"tcp", "nothing.invalid:80", "dial tcp: lookup nothing.invalid: no such host"},
		{"tcp", "192.0.2.2:65536", "dial tcp: address 65536: invalid port"},
		{"unix", "/none", "dial unix /none: connect: no such file or directory"},
	} {
		conn, err := a.Dial(c.network, c.address)
		if err == nil || !strings.HasPrefix(err.Error(), c.text) || !errors.As(err, &op) {
			t.Errorf("dial %s %s: %v, want %s", c.network, c.address, err, c.text)
		}
		if conn != nil {
			t.Errorf("dial %s %s: a connection besides the error", c.network, c.address)
		}
	}
	l, err := b.Listen("tcp", "192.0.2.2:7000")
	check(t, err)
	_, err = b.Listen("tcp", "192.0.2.2:7000")
	if !errors.Is(err, syscall.EADDRINUSE) || err.Error() != "listen tcp 192.0.2.2:7000: bind: address already in use" {
		t.Errorf("listen twice: %v", err)
	}
	check(t, l.Close())
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed again: %v", err)
	}
	if _, err = l.Accept(); !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "use of closed network connection") {
		t.Errorf("accept after close: %v", err)
	}
}

func TestDialContext(t *testing.T) {
	a, _ := hosts(t)
	ctx, cancel := context.WithCancel(bg)
	result := make(chan error, 1)
	go func() { _, err := a.DialContext(ctx, "tcp", "192.0.2.99:80"); result <- err }()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	ctx, cancel = context.WithTimeout(bg, 10*time.Millisecond)
	defer cancel()
	_, err := a.DialContext(ctx, "tcp", "192.0.2.99:80")
	var ne net.Error
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("deadline: %v", err)
	}
	if fd := nextFd(t, a); fd != 3 {
		t.Errorf("the next descriptor is %d: a socket was left open", fd)
	}
}

// TestListenIsDual: without a host, tcp listens on both versions of IP, tcp4
// and tcp6 on one.
func TestListenIsDual(t *testing.T) {
	a, b := hosts(t)
	for _, c := range []struct {
		network   string
		four, six bool
	}{{"tcp", true, true}, {"tcp4", true, false}, {"tcp6", false, true}} {
		l, err := b.Listen(c.network, ":0")
		check(t, err)
		_, port, _ := net.SplitHostPort(l.Addr().String())
		for host, want := range map[string]bool{"192.0.2.2": c.four, "2001:db8::2": c.six, "fe80::2%eth0": c.six} {
			conn, err := a.Dial("tcp", net.JoinHostPort(host, port))
			if (err == nil) != want {
				t.Errorf("%s: dial %s: %v", c.network, host, err)
			}
			if err != nil {
				continue
			}
			s, err := l.Accept()
			check(t, err)
			if got, want := s.RemoteAddr().String(), conn.LocalAddr().String(); got != want {
				t.Errorf("%s: the client is %s, the server sees %s", c.network, want, got)
			}
			conn.Close()
			s.Close()
		}
		l.Close()
	}
}

// TestGoOptions: connections of the Go dialect have what package net sets,
// sockets have Linux's.
func TestGoOptions(t *testing.T) {
	a, b := hosts(t)
	l, err := b.Listen("tcp", "192.0.2.2:0")
	check(t, err)
	defer l.Close()
	c, err := a.Dial("tcp", l.Addr().String())
	check(t, err)
	defer c.Close()
	s, err := l.Accept()
	check(t, err)
	defer s.Close()
	plain := open(t, a, AF_INET, SOCK_STREAM)
	for _, o := range []struct{ level, name, dialled, plain int }{
		{IPPROTO_TCP, TCP_NODELAY, 1, 0},
		{SOL_SOCKET, SO_KEEPALIVE, 1, 0},
		{IPPROTO_TCP, TCP_KEEPIDLE, 15, 7200},
		{IPPROTO_TCP, TCP_KEEPINTVL, 15, 75},
		{IPPROTO_TCP, TCP_KEEPCNT, 9, 9},
	} {
		for name, s := range map[string]*Socket{"dialled": c.(*Conn).Socket(), "accepted": s.(*Conn).Socket()} {
			if got, err := s.Getsockopt(o.level, o.name); got != o.dialled || err != nil {
				t.Errorf("%s: option %d is %d %v, want %d", name, o.name, got, err, o.dialled)
			}
		}
		if got, err := plain.Getsockopt(o.level, o.name); got != o.plain || err != nil {
			t.Errorf("a socket: option %d is %d %v, want %d", o.name, got, err, o.plain)
		}
	}
}

func TestHalfClose(t *testing.T) {
	for _, network := range []string{"tcp4", "unix"} {
		a, b, stop, err := dialled(t, network, "192.0.2.2:0")
		check(t, err)
		_, err = a.Write([]byte("question"))
		check(t, err)
		check(t, a.(*Conn).CloseWrite())
		got, err := io.ReadAll(b)
		if string(got) != "question" || err != nil {
			t.Errorf("%s: %q %v", network, got, err)
		}
		_, err = io.Copy(b, strings.NewReader("answer")) // by ReadFrom
		check(t, err)
		check(t, b.Close())
		var out strings.Builder
		if _, err = io.Copy(&out, a); out.String() != "answer" || err != nil { // by WriteTo
			t.Errorf("%s: %q %v", network, out.String(), err)
		}
		stop()
	}
}

func TestPacketConn(t *testing.T) {
	a, b := hosts(t)
	s, err := b.ListenPacket("udp", ":0")
	check(t, err)
	defer s.Close()
	port := s.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	for _, host := range []string{"192.0.2.2", "2001:db8::2", "fe80::2%eth0"} {
		to := netip.AddrPortFrom(netip.MustParseAddr(host), port)
		c, err := a.Dial("udp", to.String())
		check(t, err)
		_, err = c.Write([]byte("ping"))
		check(t, err)
		buf := make([]byte, 100)
		n, from, err := s.ReadFrom(buf)
		check(t, err)
		if string(buf[:n]) != "ping" || from.String() != c.LocalAddr().String() {
			t.Errorf("%q from %v, want ping from %v", buf[:n], from, c.LocalAddr())
		}
		_, err = s.WriteTo([]byte("pong"), from)
		check(t, err)
		n, err = c.Read(buf)
		if string(buf[:n]) != "pong" || err != nil {
			t.Errorf("%q %v", buf[:n], err)
		}
		if _, err := c.(*PacketConn).WriteTo(nil, from); !errors.Is(err, endpoint.EISCONN) {
			t.Errorf("WriteTo on a connected socket: %v, want EISCONN", err)
		}
		c.SetReadDeadline(time.Unix(1, 0))
		if _, err := c.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("deadline in the past: %v", err)
		}
		c.Close()
	}
	for _, to := range []net.Addr{nil, (*net.UDPAddr)(nil), &net.TCPAddr{}, &net.UnixAddr{Name: "x"}} {
		if _, err := s.WriteTo([]byte("x"), to); err == nil {
			t.Errorf("WriteTo %v: no error", to)
		}
	}
}

// TestUnixListener: a path disappears with the listener that Listen made.
func TestUnixListener(t *testing.T) {
	n := host(t)
	for _, path := range []string{"/run/echo", "@echo"} {
		for range 2 {
			l, err := n.Listen("unix", path)
			check(t, err)
			c, err := n.Dial("unix", path)
			check(t, err)
			s, err := l.Accept()
			check(t, err)
			if got := c.RemoteAddr().String(); got != path {
				t.Errorf("remote address %q, want %q", got, path)
			}
			c.Close()
			s.Close()
			check(t, l.Close())
		}
	}
}

// TestIPv6Alone: on a stack without IPv4 an AF_INET socket cannot be had, and
// everything else works.
func TestIPv6Alone(t *testing.T) {
	n := hostOn(t, stack.Config{Families: []int{AF_INET6}})
	if _, err := n.Socket(AF_INET, SOCK_STREAM, 0); !errors.Is(err, endpoint.EAFNOSUPPORT) {
		t.Errorf("AF_INET: %v, want EAFNOSUPPORT", err)
	}
	l, err := n.Listen("tcp", ":0")
	check(t, err)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	c, err := n.Dial("tcp", "[::1]:"+port)
	check(t, err)
	c.Close()
	s := open(t, n, AF_INET6, SOCK_STREAM)
	if err := s.Connect(Inet6Addr{Host: "::ffff:127.0.0.1", Port: 80}); !errors.Is(err, endpoint.ENETUNREACH) {
		t.Errorf("connect to a mapped address: %v, want ENETUNREACH", err)
	}
}

func TestSyscallConnIsHonest(t *testing.T) {
	a, _, stop, err := dialled(t, "tcp4", "192.0.2.2:0")
	check(t, err)
	defer stop()
	if raw, err := a.(syscall.Conn).SyscallConn(); raw != nil || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v %v, want ErrUnsupported", raw, err)
	}
}

// TestDialTriesAll: an error after several addresses is one *net.OpError, in
// which each reason can be found.
func TestDialTriesAll(t *testing.T) {
	s, err := stack.New(stack.Config{})
	check(t, err)
	defer s.Close()
	n, err := New(Config{Stack: s, Resolver: resolver.Config{Hosts: "127.0.0.1 two\n198.51.100.1 two\n"}})
	check(t, err)
	defer n.Close()
	_, err = n.Dial("tcp", "two:80")
	op, ok := err.(*net.OpError)
	if !ok || op.Op != "dial" || !errors.Is(err, endpoint.ECONNREFUSED) || !errors.Is(err, endpoint.ENETUNREACH) {
		t.Errorf("%T %v, want a *net.OpError with ECONNREFUSED and ENETUNREACH", err, err)
	}
}
