package docs_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"testing"
	"time"

	"usersock/netdev"
	"usersock/resolver"
	. "usersock/sockapi"
	"usersock/stack"
	"usersock/stack/endpoint"
)

// Tests of the calls that calls.md would otherwise have no test for. Each
// works over IPv4 and IPv6 between two hosts where that makes sense.

// world is two hosts on a link: the first asks the DNS server on the second.
func world(t *testing.T, cfg resolver.Config) (client, server *Net) {
	t.Helper()
	cfg.Servers = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.2:53")}
	a, b := netdev.Pair(netdev.PairConfig{})
	client, err := newHost("client", a, cfg, netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64"))
	if err != nil {
		netdev.Close(b)
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); client.Stack().Close() })
	server, err = newHost("server", b, resolver.Config{}, netip.MustParsePrefix("192.0.2.2/24"), netip.MustParsePrefix("2001:db8::2/64"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close(); server.Stack().Close() })
	return client, server
}

func socket(t *testing.T, n *Net, family, typ int) *Socket {
	t.Helper()
	s, err := n.Socket(family, typ, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// listening opens a TCP socket that listens on addr, and returns its address.
func listening(t *testing.T, n *Net, addr Addr) (*Socket, Addr) {
	t.Helper()
	s := socket(t, n, addr.Family(), SOCK_STREAM)
	if err := errors.Join(s.Bind(addr), s.Listen(8)); err != nil {
		t.Fatal(err)
	}
	name, err := s.Getsockname()
	if err != nil {
		t.Fatal(err)
	}
	return s, name
}

func portOf(t *testing.T, a Addr) int {
	t.Helper()
	switch a := a.(type) {
	case InetAddr:
		return a.Port
	case Inet6Addr:
		return a.Port
	}
	t.Fatalf("%v has no port", a)
	return 0
}

// both are the two versions of IP, and the server's address in each.
var both = []Addr{InetAddr{Host: "192.0.2.2"}, Inet6Addr{Host: "2001:db8::2"}}

func TestCallCreateConnection(t *testing.T) {
	client, server := withNames(t)
	// Only IPv4 listens, so the first address of the name refuses.
	l, name := listening(t, server, both[0])
	to := InetAddr{Host: "www.example.com", Port: portOf(t, name)}
	s, err := client.CreateConnection(to, 5*time.Second, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Family() != AF_INET || s.Gettimeout() != 5*time.Second {
		t.Errorf("create_connection made a socket of family %d with timeout %v", s.Family(), s.Gettimeout())
	}
	broken := errors.New("the body's")
	var inside *Socket
	err = client.WithConnection(to, Forever, InetAddr{Host: "192.0.2.1", Port: 0}, func(s *Socket) error {
		inside = s
		return broken
	})
	if err != broken || inside == nil || inside.Fileno() != -1 {
		t.Errorf("with create_connection: %v, want the body's error and a closed socket", err)
	}
	l.Close()
	before := socket(t, client, AF_INET, SOCK_DGRAM).Fileno()
	_, err = client.CreateConnection(to, Forever, nil)
	if !errors.Is(err, endpoint.ECONNREFUSED) {
		t.Errorf("create_connection to a closed port: %v, want ECONNREFUSED", err)
	}
	if after := socket(t, client, AF_INET, SOCK_DGRAM).Fileno(); after != before+1 {
		t.Errorf("the next descriptor is %d, not %d: something stayed open", after, before+1)
	}
}

func TestCallConnectEx(t *testing.T) {
	client, server := world(t, resolver.Config{})
	for _, addr := range both {
		l, name := listening(t, server, addr)
		s := socket(t, client, addr.Family(), SOCK_STREAM)
		if errno, err := s.ConnectEx(name); errno != 0 || err != nil {
			t.Errorf("connect_ex: %v, %v", errno, err)
		}
		if errno, err := s.ConnectEx(name); errno != endpoint.EISCONN || err != nil {
			t.Errorf("connect_ex of a connected socket: %v, %v, want EISCONN", errno, err)
		}
		l.Close()
		s = socket(t, client, addr.Family(), SOCK_STREAM)
		if errno, err := s.ConnectEx(name); errno != endpoint.ECONNREFUSED || err != nil {
			t.Errorf("connect_ex to a closed port: %v, %v, want ECONNREFUSED", errno, err)
		}
	}
	s := socket(t, client, AF_INET, SOCK_STREAM)
	errno, err := s.ConnectEx(InetAddr{Host: "nobody.invalid", Port: 1})
	var gai *Gaierror
	if errno != 0 || !errors.As(err, &gai) {
		t.Errorf("connect_ex to a name that does not exist: %v, %v, want 0 and a gaierror", errno, err)
	}
}

// A name that cannot be resolved, an address of another family, a port out of
// range: refused before anything happens.
func TestCallAddresses(t *testing.T) {
	client, _ := world(t, resolver.Config{})
	for _, c := range []struct {
		family int
		addr   Addr
		errno  Errno
		text   string
	}{
		{AF_INET, InetAddr{Host: "192.0.2.1", Port: 65536}, endpoint.EINVAL, "bind: port must be 0-65535."},
		{AF_INET, InetAddr{Host: "192.0.2.1", Port: -1}, endpoint.EINVAL, "bind: port must be 0-65535."},
		{AF_INET6, Inet6Addr{Host: "::1", Flowinfo: 0x100000}, endpoint.EINVAL, "bind: flowinfo must be 0-1048575"},
		{AF_INET, Inet6Addr{Host: "::1"}, endpoint.EAFNOSUPPORT, ""},
		{AF_INET6, InetAddr{Host: "127.0.0.1", Port: 0}, endpoint.EAFNOSUPPORT, ""},
		{AF_INET, UnixAddr{Path: "/x"}, endpoint.EAFNOSUPPORT, ""},
		{AF_INET, NetlinkAddr{}, endpoint.EAFNOSUPPORT, ""},
		{AF_UNIX, UnixAddr{Path: string(make([]byte, 109))}, endpoint.EINVAL, "bind: AF_UNIX path too long"},
		{AF_INET, InetAddr{Host: "192.0.2.99", Port: 0}, endpoint.EADDRNOTAVAIL, ""},
	} {
		s := socket(t, client, c.family, SOCK_STREAM)
		err := s.Bind(c.addr)
		if !errors.Is(err, c.errno) || c.text != "" && err.Error() != c.text {
			t.Errorf("bind of family %d to %#v: %v, want %v %s", c.family, c.addr, err, c.errno, c.text)
		}
	}
	s := socket(t, client, AF_INET6, SOCK_DGRAM)
	if err := s.Bind(Inet6Addr{Host: "<broadcast>"}); err == nil {
		t.Error("<broadcast> was taken as an IPv6 address")
	}
	for host, want := range map[string]string{"": "0.0.0.0", "127.1": "127.0.0.1", "0x7f.1": "127.0.0.1"} {
		s := socket(t, client, AF_INET, SOCK_DGRAM)
		err := s.Bind(InetAddr{Host: host, Port: 0})
		if a, _ := s.Getsockname(); err != nil || a.(InetAddr).Host != want {
			t.Errorf("bind to %q: %v, the address is %v", host, err, a)
		}
	}
	for _, name := range []string{"/run/echo", "\x00abstract"} {
		s := socket(t, client, AF_UNIX, SOCK_STREAM)
		if err := s.Bind(UnixAddr{Path: name}); err != nil {
			t.Fatal(err)
		}
		if a, err := s.Getsockname(); a != (UnixAddr{Path: name}) || err != nil {
			t.Errorf("getsockname: %v, %v", a, err)
		}
		if err := socket(t, client, AF_UNIX, SOCK_STREAM).Bind(UnixAddr{Path: name}); !errors.Is(err, endpoint.EADDRINUSE) {
			t.Errorf("a second bind to %q: %v", name, err)
		}
	}
	if _, err := os.Lstat("/run/echo"); err == nil {
		t.Error("a file of the machine was made")
	}
}

func TestCallDualStack(t *testing.T) {
	client, server := world(t, resolver.Config{})
	l, name := listening(t, server, Inet6Addr{Host: ""})
	c := socket(t, client, AF_INET, SOCK_STREAM)
	if err := c.Connect(InetAddr{Host: "192.0.2.2", Port: portOf(t, name)}); err != nil {
		t.Fatal(err)
	}
	s, peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if a, ok := peer.(Inet6Addr); !ok || a.Host != "::ffff:192.0.2.1" {
		t.Errorf("the peer is %v, want ::ffff:192.0.2.1", peer)
	}
	only := socket(t, server, AF_INET6, SOCK_STREAM)
	if err := errors.Join(only.Setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1), only.Bind(Inet6Addr{}), only.Listen(1)); err != nil {
		t.Fatal(err)
	}
	name, _ = only.Getsockname()
	c = socket(t, client, AF_INET, SOCK_STREAM)
	if err := c.Connect(InetAddr{Host: "192.0.2.2", Port: portOf(t, name)}); !errors.Is(err, endpoint.ECONNREFUSED) {
		t.Errorf("IPv4 to a socket with IPV6_V6ONLY: %v, want ECONNREFUSED", err)
	}
}

func TestCallSocket(t *testing.T) {
	client, _ := world(t, resolver.Config{})
	for _, c := range []struct {
		family, typ, proto int
		errno              Errno
	}{
		{AF_INET, SOCK_STREAM, IPPROTO_UDP, endpoint.EPROTONOSUPPORT},
		{AF_INET, SOCK_RDM, 0, endpoint.ESOCKTNOSUPPORT},
		{AF_INET, 12, 0, endpoint.EINVAL},
		{45, SOCK_STREAM, 0, endpoint.EAFNOSUPPORT},
	} {
		if s, err := client.Socket(c.family, c.typ, c.proto); !errors.Is(err, c.errno) {
			t.Errorf("socket(%d, %d, %d): %v, %v, want %v", c.family, c.typ, c.proto, s, err, c.errno)
		}
	}
	s, err := client.Socket(AF_INET6, SOCK_DGRAM|SOCK_NONBLOCK|SOCK_CLOEXEC, IPPROTO_UDP)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var _ *SocketType = s
	if s.Family() != AF_INET6 || s.Type() != SOCK_DGRAM || s.Proto() != IPPROTO_UDP || s.Gettimeout() != 0 {
		t.Errorf("family %d, type %d, proto %d, timeout %v", s.Family(), s.Type(), s.Proto(), s.Gettimeout())
	}
	host, err := stack.New(stack.Config{Families: []int{AF_INET6}})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	six, err := New(Config{Stack: host})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := six.Socket(AF_INET, SOCK_STREAM, 0); !errors.Is(err, endpoint.EAFNOSUPPORT) {
		t.Errorf("AF_INET on a host with IPv6 alone: %v, want EAFNOSUPPORT", err)
	}
}

func TestCallSocketpair(t *testing.T) {
	client, _ := world(t, resolver.Config{})
	for _, typ := range []int{SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET} {
		a, b, err := client.Socketpair(AF_UNIX, typ, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		defer b.Close()
		if _, err := a.Send([]byte("both")); err != nil {
			t.Fatal(err)
		}
		if data, err := b.Recv(10); string(data) != "both" || err != nil {
			t.Errorf("type %d: %q, %v", typ, data, err)
		}
	}
	if _, _, err := client.Socketpair(AF_INET, SOCK_STREAM, 0); !errors.Is(err, endpoint.EOPNOTSUPP) {
		t.Errorf("a pair of AF_INET: %v, want EOPNOTSUPP", err)
	}
}

func TestCallDefaultTimeout(t *testing.T) {
	client, server := world(t, resolver.Config{})
	if d := server.Getdefaulttimeout(); d != Forever {
		t.Errorf("the default is %v, want Forever", d)
	}
	if err := server.Setdefaulttimeout(-2); err == nil {
		t.Error("a negative default timeout was taken")
	}
	l, name := listening(t, server, both[0])
	if err := server.Setdefaulttimeout(3 * time.Second); err != nil {
		t.Fatal(err)
	}
	if err := socket(t, client, AF_INET, SOCK_STREAM).Connect(name); err != nil {
		t.Fatal(err)
	}
	s, _, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Gettimeout() != 3*time.Second || l.Gettimeout() != Forever || client.Getdefaulttimeout() != Forever {
		t.Errorf("timeouts: accepted %v, listener %v, the other Net's default %v", s.Gettimeout(), l.Gettimeout(), client.Getdefaulttimeout())
	}
}

func TestCallOptions(t *testing.T) {
	client, _ := world(t, resolver.Config{})
	for _, addr := range both {
		s := socket(t, client, addr.Family(), SOCK_STREAM)
		if v, err := s.Getsockopt(IPPROTO_TCP, TCP_NODELAY); v != 0 || err != nil {
			t.Errorf("TCP_NODELAY at first: %d, %v", v, err)
		}
		if err := s.Setsockopt(IPPROTO_TCP, TCP_NODELAY, 1); err != nil {
			t.Error(err)
		}
		if v, err := s.Getsockopt(IPPROTO_TCP, TCP_NODELAY); v != 1 || err != nil {
			t.Errorf("TCP_NODELAY: %d, %v", v, err)
		}
		if err := s.SetsockoptBytes(SOL_SOCKET, SO_LINGER, []byte{1, 0, 0, 0, 5, 0, 0, 0}); err != nil {
			t.Error(err)
		}
		if b, err := s.GetsockoptBytes(SOL_SOCKET, SO_LINGER, 100); len(b) != 8 || err != nil {
			t.Errorf("SO_LINGER: %v, %v", b, err)
		}
		if b, err := s.GetsockoptBytes(SOL_SOCKET, SO_LINGER, 3); len(b) != 3 || err != nil {
			t.Errorf("SO_LINGER in 3 bytes: %v, %v", b, err)
		}
		var b [8]byte
		if n, err := s.GetsockoptInto(SOL_SOCKET, SO_LINGER, b[:]); n != 8 || b[4] != 5 || err != nil {
			t.Errorf("SO_LINGER into a buffer: %d, %v, %v", n, b, err)
		}
		if err := s.SetsockoptBytes(SOL_SOCKET, SO_LINGER, []byte{1}); !errors.Is(err, endpoint.EINVAL) {
			t.Errorf("SO_LINGER of 1 byte: %v, want EINVAL", err)
		}
		if err := s.SetsockoptNone(SOL_SOCKET, SO_KEEPALIVE, 4); !errors.Is(err, endpoint.EFAULT) {
			t.Errorf("None for an option with a value: %v, want EFAULT", err)
		}
		if _, err := s.Getsockopt(SOL_SOCKET, 9999); !errors.Is(err, endpoint.ENOPROTOOPT) {
			t.Errorf("an unknown option: %v, want ENOPROTOOPT", err)
		}
		for _, buflen := range []int{-1, 1025} {
			_, err := s.GetsockoptBytes(SOL_SOCKET, SO_LINGER, buflen)
			var e *Error
			if !errors.As(err, &e) || e.Errno != 0 || err.Error() != "getsockopt: getsockopt buflen out of range" {
				t.Errorf("buflen %d: %v", buflen, err)
			}
		}
	}
}

// A datagram socket's peer can be set, changed and taken away.
func TestCallConnectDatagrams(t *testing.T) {
	client, server := world(t, resolver.Config{})
	for _, addr := range both {
		s := socket(t, server, addr.Family(), SOCK_DGRAM)
		if err := s.Bind(addr); err != nil {
			t.Fatal(err)
		}
		name, _ := s.Getsockname()
		c := socket(t, client, addr.Family(), SOCK_DGRAM)
		if _, err := c.Send([]byte("x")); !errors.Is(err, endpoint.EDESTADDRREQ) {
			t.Errorf("send without a peer: %v, want EDESTADDRREQ", err)
		}
		if err := c.Connect(name); err != nil {
			t.Fatal(err)
		}
		if peer, err := c.Getpeername(); peer != name || err != nil {
			t.Errorf("getpeername: %v, %v", peer, err)
		}
		buf := make([]byte, 8)
		c.Send([]byte("hello"))
		if n, from, err := s.RecvfromInto(buf, 2); n != 2 || string(buf[:2]) != "he" || from == nil || err != nil {
			t.Errorf("recvfrom_into: %d %q %v %v", n, buf[:2], from, err)
		}
		if err := c.Connect(UnspecAddr{}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Getpeername(); !errors.Is(err, endpoint.ENOTCONN) {
			t.Errorf("getpeername after the disconnect: %v, want ENOTCONN", err)
		}
	}
}

// MSG_OOB sends in line and receives nothing, MSG_PEEK leaves the bytes.
func TestCallFlags(t *testing.T) {
	client, server := world(t, resolver.Config{})
	for _, addr := range both {
		t.Run(fmt.Sprint(addr), func(t *testing.T) {
			l, name := listening(t, server, addr)
			c := socket(t, client, addr.Family(), SOCK_STREAM)
			if err := c.Connect(name); err != nil {
				t.Fatal(err)
			}
			s, _, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if n, err := c.Send([]byte("ab"), MSG_OOB); n != 2 || err != nil {
				t.Errorf("send with MSG_OOB: %d, %v", n, err)
			}
			if err := c.Sendall([]byte("cd"), MSG_NOSIGNAL); err != nil {
				t.Error(err)
			}
			buf := make([]byte, 4)
			if n, err := s.RecvInto(buf, 0, MSG_PEEK, MSG_WAITALL); err != nil || n == 0 || string(buf[:n]) != "abcd"[:n] {
				t.Errorf("MSG_PEEK: %q, %v", buf[:n], err)
			}
			if data, err := s.Recv(4, MSG_WAITALL); string(data) != "abcd" || err != nil {
				t.Errorf("MSG_WAITALL: %q, %v", data, err)
			}
			if _, err := s.Recv(1, MSG_OOB); !errors.Is(err, endpoint.EINVAL) {
				t.Errorf("recv with MSG_OOB: %v, want EINVAL", err)
			}
			if _, err := s.Recv(1, MSG_DONTWAIT); !errors.Is(err, endpoint.EAGAIN) {
				t.Errorf("MSG_DONTWAIT: %v, want EAGAIN", err)
			}
			if _, err := s.RecvInto(buf, 5); err == nil {
				t.Error("nbytes larger than the buffer was taken")
			}
		})
	}
}

// README.md says that crypto/tls works over a Conn.
func TestTLSOverConn(t *testing.T) {
	client, server := world(t, resolver.Config{})
	l, err := server.Listen("tcp", "192.0.2.2:443")
	if err != nil {
		t.Fatal(err)
	}
	web := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.NotFoundHandler()}}
	web.StartTLS()
	defer web.Close()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	conn, err := client.Dial("tcp", "192.0.2.2:443")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	secure := tls.Client(conn, &tls.Config{RootCAs: roots, ServerName: "example.com"})
	fmt.Fprint(secure, "GET / HTTP/1.0\r\n\r\n")
	reply := make([]byte, len("HTTP/1.0 404"))
	if _, err := io.ReadFull(secure, reply); string(reply) != "HTTP/1.0 404" || err != nil {
		t.Errorf("%q, %v", reply, err)
	}
}
