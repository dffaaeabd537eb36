package sockapi_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	. "usersock/sockapi"
	"usersock/stack/endpoint"
)

// listenPacket opens a datagram socket of the Go dialect.
func listenPacket(t testing.TB, n *Net, network, address string) *PacketConn {
	t.Helper()
	pc, err := n.ListenPacket(network, address)
	check(t, err)
	t.Cleanup(func() { pc.Close() })
	return pc.(*PacketConn)
}

func dialPacket(t testing.TB, n *Net, network, address string) *PacketConn {
	t.Helper()
	c, err := n.Dial(network, address)
	check(t, err)
	t.Cleanup(func() { c.Close() })
	return c.(*PacketConn)
}

// TestDialectUDP sends messages in every form of net.UDPConn.
func TestDialectUDP(t *testing.T) {
	a, b := hosts(t)
	for _, v := range []struct {
		network, from, to string
		level, option     int
		item              Ancillary
	}{
		{"udp4", "192.0.2.1:0", "192.0.2.2:0", IPPROTO_IP, IP_RECVTTL, TTL(9)},
		{"udp6", "[2001:db8::1]:0", "[2001:db8::2]:0", IPPROTO_IPV6, IPV6_RECVHOPLIMIT, HopLimit(9)},
	} {
		t.Run(v.network, func(t *testing.T) {
			x, y := listenPacket(t, a, v.network, v.from), listenPacket(t, b, v.network, v.to)
			own := x.LocalAddr().(*net.UDPAddr)
			to := y.LocalAddr().(*net.UDPAddr)
			check(t, y.Socket().Setsockopt(v.level, v.option, 1))
			oob, err := PackControl([]Ancillary{v.item})
			check(t, err)
			buf, in := make([]byte, 4), make([]byte, 100)

			_, err = x.WriteToUDP([]byte("one"), to)
			check(t, err)
			n, from, err := y.ReadFromUDP(buf)
			if string(buf[:n]) != "one" || err != nil || from.String() != own.String() {
				t.Errorf("%q from %v, %v", buf[:n], from, err)
			}
			n, oobn, err := x.WriteMsgUDP([]byte("a long one"), oob, to)
			if n != 10 || oobn != len(oob) || err != nil {
				t.Errorf("WriteMsgUDP: %d, %d, %v", n, oobn, err)
			}
			n, oobn, flags, from, err := y.ReadMsgUDP(buf, in)
			items, perr := ParseControl(in[:oobn])
			if string(buf[:n]) != "a lo" || flags != MSG_TRUNC || err != nil || perr != nil || from.String() != own.String() {
				t.Errorf("%q, %#x from %v, %v, %v", buf[:n], flags, from, err, perr)
			}
			ttl, ok := 0, false
			for _, it := range items {
				if v.network == "udp4" {
					ttl, ok = it.TTL()
				} else {
					ttl, ok = it.HopLimit()
				}
			}
			if ttl != 9 || !ok || len(items) != 1 {
				t.Errorf("came with %v", items)
			}
			_, _, err = x.WriteMsgUDPAddrPort([]byte("two"), nil, to.AddrPort())
			check(t, err)
			n, _, flags, ap, err := y.ReadMsgUDPAddrPort(buf, nil)
			if string(buf[:n]) != "two" || flags != MSG_CTRUNC || err != nil || ap != own.AddrPort() {
				t.Errorf("%q, %#x from %v, %v", buf[:n], flags, ap, err)
			}

			// A connected one has its destination.
			c := dialPacket(t, a, v.network, to.String())
			_, _, err = c.WriteMsgUDP([]byte("x"), oob, nil)
			check(t, err)
			_, _, err = c.WriteMsgUDPAddrPort([]byte("x"), oob, netip.AddrPort{})
			check(t, err)
			for _, want := range []struct {
				what  string
				err   error
				errno Errno
			}{
				{"a destination while connected", third(c.WriteMsgUDP([]byte("x"), nil, to)), endpoint.EISCONN},
				{"the same", second(c.WriteToUDP([]byte("x"), to)), endpoint.EISCONN},
				{"no destination", third(x.WriteMsgUDP([]byte("x"), nil, nil)), endpoint.EDESTADDRREQ},
				{"no destination", second(x.WriteToUDP([]byte("x"), nil)), endpoint.EDESTADDRREQ},
				{"cut control data", third(x.WriteMsgUDP([]byte("x"), oob[:CmsgLen(4)-1], to)), endpoint.EINVAL},
				{"too many control data", third(x.WriteMsgUDP([]byte("x"), make([]byte, 1<<20), to)), endpoint.ENOBUFS},
			} {
				wantErr(t, want.what, want.err, want.errno)
				var op *net.OpError
				if !errors.As(want.err, &op) || op.Op != "write" {
					t.Errorf("%s: %T", want.what, want.err)
				}
			}
			check(t, y.SetReadDeadline(time.Now().Add(-time.Second)))
			_, _, _, _, err = y.ReadMsgUDP(buf, in)
			if !errors.Is(err, ErrTimeout) {
				t.Errorf("after the deadline: %v", err)
			}
		})
	}
}

// TestDialectUnix sends descriptors in the forms of net.UnixConn.
func TestDialectUnix(t *testing.T) {
	n := host(t)
	payload, _ := pair(t, n, SOCK_STREAM)
	oob, err := PackControl([]Ancillary{Rights(payload.Fileno())})
	check(t, err)
	buf, in := make([]byte, 10), make([]byte, CmsgSpace(4))
	took := func(k, oobn, flags int, err error) {
		t.Helper()
		items, perr := ParseControl(in[:oobn])
		if string(buf[:k]) != "text" || flags != 0 || err != nil || perr != nil || len(items) != 1 {
			t.Fatalf("%q, %v, %#x, %v", buf[:k], items, flags, err)
		}
		fds, _ := items[0].Rights()
		check(t, n.CloseFd(fds[0]))
	}
	a, b := pair(t, n, SOCK_STREAM)
	ca, cb := a.Conn(), b.Conn()
	k, oobn, err := ca.WriteMsgUnix([]byte("text"), oob, nil)
	if k != 4 || oobn != len(oob) || err != nil {
		t.Fatal(k, oobn, err)
	}
	k, oobn, flags, _, err := cb.ReadMsgUnix(buf, in)
	took(k, oobn, flags, err)
	wantErr(t, "a stream with a destination", third(ca.WriteMsgUnix(nil, nil, &net.UnixAddr{Name: "x"})), endpoint.EISCONN)
	check(t, ca.CloseWrite())
	if _, _, _, _, err := cb.ReadMsgUnix(buf, in); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}

	x, y := listenPacket(t, n, "unixgram", "/x"), listenPacket(t, n, "unixgram", "@y")
	_, err = x.WriteToUnix([]byte("text"), y.LocalAddr().(*net.UnixAddr))
	check(t, err)
	k, from, err := y.ReadFromUnix(buf)
	if string(buf[:k]) != "text" || from.String() != "/x" || err != nil {
		t.Errorf("%q from %v, %v", buf[:k], from, err)
	}
	_, _, err = y.WriteMsgUnix([]byte("text"), oob, from)
	check(t, err)
	k, oobn, flags, from, err = x.ReadMsgUnix(buf, in)
	took(k, oobn, flags, err)
	if from.String() != "@y" {
		t.Errorf("from %v", from)
	}
	wantErr(t, "no destination", second(x.WriteToUnix(nil, nil)), endpoint.EDESTADDRREQ)
	wantErr(t, "a descriptor that is not open", third(x.WriteMsgUnix([]byte("x"), pack(t, Rights(99)), from)), endpoint.EBADF)

	s, d := pair(t, n, SOCK_SEQPACKET)
	ps, pd := s.PacketConn(), d.PacketConn()
	check(t, ps.CloseWrite())
	if _, err := pd.Read(buf); err != io.EOF {
		t.Errorf("after CloseWrite: %v", err)
	}
	check(t, pd.CloseRead())
}

func pack(t *testing.T, items ...Ancillary) []byte {
	t.Helper()
	b, err := PackControl(items)
	check(t, err)
	return b
}

// TestDialectOptions sets what net.TCPConn can set, and reads it as options.
func TestDialectOptions(t *testing.T) {
	a, b := hosts(t)
	s, _ := connected(t, a, b, InetAddr{"192.0.2.2", 0})
	c := s.Conn()
	want := func(level, name, want int) {
		t.Helper()
		if got, err := s.Getsockopt(level, name); got != want || err != nil {
			t.Errorf("option %d, %d is %d, %v, want %d", level, name, got, err, want)
		}
	}
	check(t, c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 90*time.Second + 1, Interval: time.Minute, Count: 3}))
	want(SOL_SOCKET, SO_KEEPALIVE, 1)
	want(IPPROTO_TCP, TCP_KEEPIDLE, 91)
	want(IPPROTO_TCP, TCP_KEEPINTVL, 60)
	want(IPPROTO_TCP, TCP_KEEPCNT, 3)
	check(t, c.SetKeepAliveConfig(net.KeepAliveConfig{Idle: -1, Count: -1}))
	want(SOL_SOCKET, SO_KEEPALIVE, 0)
	want(IPPROTO_TCP, TCP_KEEPIDLE, 91)
	want(IPPROTO_TCP, TCP_KEEPINTVL, 15)
	want(IPPROTO_TCP, TCP_KEEPCNT, 3)
	check(t, c.SetKeepAlive(true))
	want(SOL_SOCKET, SO_KEEPALIVE, 1)
	check(t, c.SetKeepAlivePeriod(time.Millisecond))
	want(IPPROTO_TCP, TCP_KEEPIDLE, 1)
	check(t, c.SetKeepAlivePeriod(0))
	want(IPPROTO_TCP, TCP_KEEPIDLE, 15)
	wantErr(t, "a period beyond the option's", c.SetKeepAlivePeriod(1<<62), endpoint.EINVAL)
	check(t, c.SetNoDelay(true))
	want(IPPROTO_TCP, TCP_NODELAY, 1)
	check(t, c.SetNoDelay(false))
	want(IPPROTO_TCP, TCP_NODELAY, 0)
	check(t, c.SetLinger(5))
	l, err := s.GetsockoptBytes(SOL_SOCKET, SO_LINGER, 8)
	check(t, err)
	if on, d, err := endpoint.Linger(l); !on || d != 5*time.Second || err != nil {
		t.Errorf("linger %v, %v, %v", on, d, err)
	}
	check(t, c.SetLinger(-1))
	check(t, c.SetReadBuffer(50_000))
	want(SOL_SOCKET, SO_RCVBUF, 100_000)
	check(t, c.SetWriteBuffer(60_000))
	want(SOL_SOCKET, SO_SNDBUF, 120_000)
	c.Close()
	for _, err := range []error{c.SetNoDelay(true), c.SetKeepAlive(true), c.SetKeepAlivePeriod(1), c.SetLinger(0),
		c.SetKeepAliveConfig(net.KeepAliveConfig{}), c.SetReadBuffer(1), c.SetWriteBuffer(1), c.CloseRead(), c.CloseWrite()} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	}
	u := listenPacket(t, a, "udp", "192.0.2.1:0")
	check(t, u.SetReadBuffer(10_000))
	check(t, u.SetWriteBuffer(10_000))
}

// TestNetworks dials and listens on every network that package net has.
func TestNetworks(t *testing.T) {
	a, b := hosts(t)
	for _, c := range []struct{ network, address string }{
		{"tcp", "192.0.2.2:0"}, {"tcp4", "192.0.2.2:0"}, {"tcp6", "[2001:db8::2]:0"}, {"unix", "/s"}, {"unixpacket", "@p"},
	} {
		l, err := b.Listen(c.network, c.address)
		check(t, err)
		from := a
		if strings.HasPrefix(c.network, "unix") {
			from = b // its names are the host's own
		}
		x, err := from.Dial(c.network, l.Addr().String())
		check(t, err)
		y, err := l.Accept()
		check(t, err)
		_, err = x.Write([]byte("hello"))
		check(t, err)
		buf := make([]byte, 10)
		if n, err := y.Read(buf); string(buf[:n]) != "hello" || err != nil {
			t.Errorf("%s: %q, %v", c.network, buf[:n], err)
		}
		if got := l.Addr().Network(); got != strings.TrimRight(c.network, "46") {
			t.Errorf("%s: the address is of %s", c.network, got)
		}
		for _, end := range []any{x, y, l} {
			raw, err := end.(syscall.Conn).SyscallConn()
			if raw != nil || !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%s: SyscallConn: %v, %v", c.network, raw, err)
			}
		}
		x.Close()
		y.Close()
		check(t, l.Close())
	}
	for _, network := range []string{"", "tcp5", "ip", "ip4", "ip:", "ip:nothing", "ip:256", "ip:-1", "tcp:6", "unix4", "udp:17"} {
		var unknown net.UnknownNetworkError
		_, err := a.Dial(network, "192.0.2.2:80")
		if !errors.As(err, &unknown) {
			t.Errorf("Dial %q: %v", network, err)
		}
		if _, err = a.ListenPacket(network, "192.0.2.1:0"); !errors.As(err, &unknown) {
			t.Errorf("ListenPacket %q: %v", network, err)
		}
	}
	for _, network := range []string{"udp", "unixgram", "ip4:icmp"} {
		var unknown net.UnknownNetworkError
		if _, err := a.Listen(network, ""); !errors.As(err, &unknown) {
			t.Errorf("Listen %q: %v", network, err)
		}
	}
}

// TestIPNetworks exchanges packets of a protocol of nobody's over raw sockets.
func TestIPNetworks(t *testing.T) {
	a, b := hosts(t)
	for _, c := range []struct {
		network, listen, to string
		header              int
	}{
		{"ip4:253", "192.0.2.2", "192.0.2.2", 20},
		{"ip6:253", "2001:db8::2", "2001:db8::2", 0},
		{"ip:253", "192.0.2.2", "192.0.2.2", 20},
	} {
		pc, err := b.ListenPacket(c.network, c.listen)
		check(t, err)
		y := pc.(*PacketConn)
		x := dialPacket(t, a, c.network, c.to)
		if _, ok := x.RemoteAddr().(*net.IPAddr); !ok || y.LocalAddr().Network() != "ip" {
			t.Errorf("%s: the peer is %#v", c.network, x.RemoteAddr())
		}
		buf := make([]byte, 100)
		_, err = x.Write([]byte("payload"))
		check(t, err)
		n, from, err := y.ReadFromIP(buf)
		if string(buf[:n]) != "payload" || from == nil || from.IP.Equal(net.ParseIP(c.to)) || err != nil {
			t.Errorf("%s: %q from %v, %v", c.network, buf[:n], from, err)
		}
		_, _, err = x.WriteMsgIP([]byte("again"), nil, nil)
		check(t, err)
		n, _, _, from, err = y.ReadMsgIP(buf, nil)
		if n != c.header+5 || string(buf[c.header:n]) != "again" || from == nil || err != nil {
			t.Errorf("%s: %q from %v, %v", c.network, buf[:n], from, err)
		}
		_, err = y.WriteToIP([]byte("back"), from)
		check(t, err)
		n, _, err = x.ReadFrom(buf)
		if string(buf[:n]) != "back" || err != nil {
			t.Errorf("%s: %q, %v", c.network, buf[:n], err)
		}
		pc.Close()
	}
}
