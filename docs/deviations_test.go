package docs_test

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"

	"usersock/resolver"
	. "usersock/sockapi"
	"usersock/stack/endpoint"
)

// TestDeviations holds the rows of deviations.md that are marked with a dagger:
// it fails when one of them is no longer true, and the row has to go.
func TestDeviations(t *testing.T) {
	n, _ := world(t, resolver.Config{})
	l, _ := listening(t, n, InetAddr{Host: "0.0.0.0", Port: 7})
	connected := func() (client, server *Socket) {
		c := socket(t, n, AF_INET, SOCK_STREAM)
		if err := c.Connect(InetAddr{Host: "127.3.2.1", Port: 7}); err != nil {
			t.Fatal(err)
		}
		s, _, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return c, s
	}
	want := func(what string, err error, errno Errno) {
		t.Helper()
		if !errors.Is(err, errno) {
			t.Errorf("%s: %v, want %v", what, err, errno)
		}
	}

	user, err := New(Config{Stack: n.Stack(), Cred: endpoint.Cred{Pid: 2, Uid: 1000, Gid: 1000}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { user.Close() })
	if err := socket(t, user, AF_INET, SOCK_STREAM).Bind(InetAddr{Port: 80}); err != nil {
		t.Errorf("bind to port 80 without a privilege: %v", err)
	}
	six := socket(t, n, AF_INET6, SOCK_DGRAM)
	err = six.Bind(Inet6Addr{Host: ""})
	if own, _ := six.Getsockname(); err != nil || own.(Inet6Addr).Host != "::" {
		t.Errorf("the empty host as an IPv6 address: %v, %v", own, err)
	}
	if err := socket(t, n, AF_INET6, SOCK_DGRAM).Bind(Inet6Addr{Host: "<broadcast>"}); err == nil {
		t.Error("<broadcast> is an IPv6 address")
	}
	for _, c := range []struct {
		family, typ, proto int
		errno              Errno
	}{
		{AF_NETLINK, SOCK_RAW, 0, endpoint.EAFNOSUPPORT},
		{AF_INET, SOCK_RAW, 99, endpoint.EPROTONOSUPPORT},
		{AF_INET6, SOCK_STREAM, IPPROTO_SCTP, endpoint.EPROTONOSUPPORT},
		{AF_INET, SOCK_STREAM, IPPROTO_MPTCP, endpoint.EPROTONOSUPPORT},
	} {
		_, err := n.Socket(c.family, c.typ, c.proto)
		want("socket", err, c.errno)
	}
	want("an address of another family", socket(t, n, AF_UNIX, SOCK_STREAM).Bind(InetAddr{}), endpoint.EAFNOSUPPORT)

	if err := six.Connect(Inet6Addr{Host: "::1", Port: 9, Flowinfo: 5}); err != nil {
		t.Error(err)
	}
	if peer, err := six.Getpeername(); err != nil || peer.(Inet6Addr).Flowinfo != 0 {
		t.Errorf("the peer is %#v, %v: the flowinfo is reported", peer, err)
	}

	c, _ := connected()
	_, err = c.Send([]byte("x"), MSG_FASTOPEN)
	want("MSG_FASTOPEN", err, endpoint.EOPNOTSUPP)
	_, err = c.Recv(1, MSG_OOB)
	want("MSG_OOB", err, endpoint.EINVAL)

	ctx := context.Background()
	for _, q := range []struct {
		host, port string
		code       int
	}{{"127.0.0.1", "65616", EAI_SERVICE}, {"x\x00y", "", EAI_NONAME}} {
		_, err := n.Getaddrinfo(ctx, q.host, q.port, AF_UNSPEC, SOCK_STREAM, 0, 0)
		var gai *Gaierror
		if !errors.As(err, &gai) || gai.Code != q.code {
			t.Errorf("getaddrinfo(%q, %q): %v, want code %d", q.host, q.port, err, q.code)
		}
	}

	a, b := socket(t, n, AF_UNIX, SOCK_STREAM), socket(t, n, AF_UNIX, SOCK_STREAM)
	if err := errors.Join(a.Bind(UnixAddr{Path: "/tmp/docs-test/x"}), b.Bind(UnixAddr{Path: "/tmp/docs-test/../docs-test/x"})); err != nil {
		t.Errorf("two spellings of a path: %v", err)
	}
	if _, err := os.Lstat("/tmp/docs-test"); err == nil {
		t.Error("a file of the machine was made")
	}

	conn := c.Conn()
	if _, ok := any(conn).(*net.TCPConn); ok {
		t.Error("a Conn is a net.TCPConn")
	}
	if _, err := conn.SyscallConn(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("SyscallConn: %v", err)
	}
}
