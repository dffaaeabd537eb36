package inet

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/loopback"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/stack/endpoint"
)

// twoLinks makes a stack with two interfaces that have a link-local address
// each, and loop.
func twoLinks(t *testing.T) *Protocols {
	s := newStack(t, true, true)
	for id := tcpip.NICID(2); id <= 3; id++ {
		must(t, s.CreateNICWithOptions(id, loopback.New(), gvstack.NICOptions{Name: []string{"eth0", "eth1"}[id-2]}))
		addr := tcpip.AddrFrom16(linkLocal(int(id)).As16())
		must(t, s.AddProtocolAddress(id, tcpip.ProtocolAddress{Protocol: ipv6.ProtocolNumber,
			AddressWithPrefix: tcpip.AddressWithPrefix{Address: addr, PrefixLen: 64}}, gvstack.AddressProperties{}))
	}
	return New(Config{Stack: s, Clock: endpoint.SystemClock(), IPv4: true, IPv6: true})
}

func linkLocal(n int) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 15: byte(n)})
}

// The scope of a link-local address names an interface, both ways; a global
// address shows none.
func TestScope(t *testing.T) {
	p := twoLinks(t)
	at := func(n int, scope uint32) endpoint.Addr {
		a := inet(linkLocal(n), 0)
		a.Scope = scope
		return a
	}
	wantErrno(t, "the other interface's address", open(t, p, endpoint.AF_INET6, endpoint.SOCK_STREAM).Bind(at(2, 3)), endpoint.EADDRNOTAVAIL)
	l := open(t, p, endpoint.AF_INET6, endpoint.SOCK_STREAM)
	check(t, l.Bind(at(2, 2)))
	check(t, l.Listen(1))
	addr := l.local()
	if addr.Scope != 2 || addr.IP != linkLocal(2) {
		t.Errorf("bound to %v", addr)
	}
	c := open(t, p, endpoint.AF_INET6, endpoint.SOCK_STREAM)
	check(t, c.connect(addr))
	s, from := l.accept()
	peer, err := c.PeerAddr()
	check(t, err)
	mine, err := s.LocalAddr()
	check(t, err)
	for _, a := range []endpoint.Addr{from, peer, mine, c.local()} {
		if a.Scope != 2 {
			t.Errorf("%v has scope %d, want 2", a, a.Scope)
		}
	}

	u := open(t, p, endpoint.AF_INET6, endpoint.SOCK_DGRAM)
	check(t, u.Bind(inet(netip.IPv6Unspecified(), 0)))
	v := open(t, p, endpoint.AF_INET6, endpoint.SOCK_DGRAM)
	to := at(3, 3)
	to.Port = u.local().Port
	_, err = v.Send(endpoint.Message{Bufs: [][]byte{[]byte("x")}, To: to})
	check(t, err)
	_, r, err := u.recv(9, 0)
	check(t, err)
	if r.From.Scope != 3 || r.From.IP != linkLocal(3) {
		t.Errorf("a datagram from %v", r.From)
	}
	_, err = u.Send(endpoint.Message{Bufs: [][]byte{[]byte("y")}, To: r.From})
	check(t, err)
	if _, r, err = v.recv(9, 0); err != nil || r.From.Scope != 3 {
		t.Errorf("the answer from %v, %v", r.From, err)
	}
	_, err = v.Send(endpoint.Message{Bufs: [][]byte{[]byte("x")}, To: inet(lo6, to.Port)})
	check(t, err)
	if _, r, err = u.recv(9, 0); err != nil || r.From.Scope != 0 {
		t.Errorf("a global address from %v, %v", r.From, err)
	}

	// SO_BINDTODEVICE stands for the scope.
	w := open(t, p, endpoint.AF_INET6, endpoint.SOCK_DGRAM)
	check(t, w.SetOption(endpoint.SOL_SOCKET, endpoint.SO_BINDTODEVICE, []byte("eth1")))
	b := make([]byte, 16)
	n, err := w.Option(endpoint.SOL_SOCKET, endpoint.SO_BINDTODEVICE, b)
	if err != nil || string(b[:n]) != "eth1\x00" {
		t.Errorf("bound to %q, %v", b[:n], err)
	}
	to.Scope = 0
	if _, err = w.Send(endpoint.Message{Bufs: [][]byte{[]byte("z")}, To: to}); err != nil {
		t.Errorf("send by device: %v", err)
	}
}

// A socket that forbids fragments gets EMSGSIZE for what the interface cannot
// carry whole.
func TestDontFragment(t *testing.T) {
	s := newStack(t, true, true)
	must(t, s.SetNICMTU(1, 1500))
	p := New(Config{Stack: s, Clock: endpoint.SystemClock(), IPv4: true, IPv6: true})
	for _, c := range []struct {
		ip          netip.Addr
		level, name int
		most        int
	}{
		{lo4, endpoint.IPPROTO_IP, endpoint.IP_MTU_DISCOVER, 1472},
		{lo6, endpoint.IPPROTO_IPV6, endpoint.IPV6_MTU_DISCOVER, 1452},
	} {
		u := open(t, p, inet(c.ip, 0).Family, endpoint.SOCK_DGRAM)
		to := inet(c.ip, 9)
		send := func(n int) error {
			_, err := u.Send(endpoint.Message{Bufs: [][]byte{make([]byte, n)}, To: to})
			return err
		}
		check(t, send(c.most+1))
		check(t, u.SetOption(c.level, c.name, intData(endpoint.IP_PMTUDISC_DO)))
		wantErrno(t, "too long", send(c.most+1), endpoint.EMSGSIZE)
		check(t, send(c.most))
		check(t, u.Connect(to))
		_, err := u.Send(endpoint.Message{Bufs: [][]byte{make([]byte, c.most+1)}})
		wantErrno(t, "too long, connected", err, endpoint.EMSGSIZE)
		mtu := endpoint.IP_MTU
		if c.level == endpoint.IPPROTO_IPV6 {
			mtu = endpoint.IPV6_MTU
		}
		var b [4]byte
		_, err = u.Option(c.level, mtu, b[:])
		if v, _ := endpoint.Int(b[:]); err != nil || v != 1500 {
			t.Errorf("MTU %d, %v", v, err)
		}
	}
}

// MSG_MORE and TCP_CORK hold a stream's last partial segment back, and let it
// go.
func TestCork(t *testing.T) {
	p := newProtocols(t, true, true)
	c, s := pair(t, p, lo4)
	send := func(text string, flags int) {
		t.Helper()
		n, err := c.Send(endpoint.Message{Bufs: [][]byte{[]byte(text)}, Flags: flags})
		if err != nil || n != len(text) {
			t.Fatal(n, err)
		}
	}
	send("head ", endpoint.MSG_MORE)
	send("tail", 0)
	s.await(endpoint.In)
	got := ""
	for len(got) < 9 {
		part, _, err := s.recv(100, 0)
		check(t, err)
		got += part
	}
	if got != "head tail" {
		t.Errorf("got %q", got)
	}
	check(t, c.SetOption(endpoint.IPPROTO_TCP, endpoint.TCP_CORK, intData(1)))
	send("one ", endpoint.MSG_MORE)
	send("two", 0)
	if !c.has(t, flagUserCork) {
		t.Error("TCP_CORK ended with MSG_MORE")
	}
	check(t, c.SetOption(endpoint.IPPROTO_TCP, endpoint.TCP_CORK, intData(0)))
	s.await(endpoint.In)
	got = ""
	for len(got) < 7 {
		part, _, err := s.recv(100, 0)
		check(t, err)
		got += part
	}
	if got != "one two" {
		t.Errorf("got %q", got)
	}
}

// Closing and shutting down let go what is held back.
func TestCorkedEnd(t *testing.T) {
	p := newProtocols(t, true, true)
	for _, end := range []func(*sock) error{
		func(c *sock) error { return c.Close() },
		func(c *sock) error { return c.Shutdown(endpoint.SHUT_WR) },
	} {
		c, s := pair(t, p, lo4)
		_, err := c.Send(endpoint.Message{Bufs: [][]byte{[]byte("held")}, Flags: endpoint.MSG_MORE})
		check(t, err)
		check(t, end(c))
		if rawOf(c.Endpoint).SocketOptions().GetCorkOption() {
			t.Error("still corked")
		}
		if got, _, err := s.recv(9, 0); got != "held" || err != nil {
			t.Error(got, err)
		}
		if got, _, err := s.recv(9, 0); got != "" || err != nil {
			t.Error(got, err)
		}
	}
}

// has looks at a flag of the endpoint and at netstack's cork.
func (s *sock) has(t *testing.T, bit uint64) bool {
	ep := s.Endpoint.(*tcpEndpoint)
	return ep.socket.has(bit) && rawOf(ep).SocketOptions().GetCorkOption()
}

// SO_RCVLOWAT delays readiness until enough is there, or the end.
func TestLowWater(t *testing.T) {
	p := newProtocols(t, true, true)
	c, s := pair(t, p, lo4)
	check(t, s.SetOption(endpoint.SOL_SOCKET, endpoint.SO_RCVLOWAT, intData(5)))
	_, err := c.send([]byte("1234"))
	check(t, err)
	// The bytes are there when a peek sees them.
	if got, _, err := s.recv(9, endpoint.MSG_PEEK); got != "1234" || err != nil {
		t.Fatal(got, err)
	}
	if s.Ready(endpoint.In) != 0 {
		t.Error("readable with 4 bytes of 5")
	}
	_, err = c.send([]byte("5"))
	check(t, err)
	s.await(endpoint.In)
	if got, _, err := s.recv(4, 0); got != "1234" || err != nil {
		t.Fatal(got, err)
	}
	check(t, c.Shutdown(endpoint.SHUT_WR))
	s.await(endpoint.RdHup)
	if s.Ready(endpoint.In) != endpoint.In {
		t.Error("not readable at the end")
	}
}

func TestQueued(t *testing.T) {
	p := newProtocols(t, true, true)
	c, s := pair(t, p, lo4)
	_, err := c.send([]byte("12345"))
	check(t, err)
	s.await(endpoint.In)
	if in, out := s.Queued(); in != 5 || out != 0 {
		t.Errorf("queued %d, %d", in, out)
	}
	a, b := open(t, p, endpoint.AF_INET, endpoint.SOCK_DGRAM), open(t, p, endpoint.AF_INET, endpoint.SOCK_DGRAM)
	check(t, b.Bind(inet(lo4, 0)))
	for _, n := range []int{7, 9} {
		_, err = a.Send(endpoint.Message{Bufs: [][]byte{make([]byte, n)}, To: b.local()})
		check(t, err)
	}
	b.await(endpoint.In)
	if in, _ := b.Queued(); in != 7 {
		t.Errorf("the next datagram has %d bytes, want 7", in)
	}
}

// A datagram to an IPv6 group reaches who joined it on the interface.
func TestMulticast6(t *testing.T) {
	p := newProtocols(t, true, true)
	r, s := open(t, p, endpoint.AF_INET6, endpoint.SOCK_DGRAM), open(t, p, endpoint.AF_INET6, endpoint.SOCK_DGRAM)
	check(t, r.Bind(inet(netip.IPv6Unspecified(), 0)))
	check(t, r.SetOption(endpoint.IPPROTO_IPV6, endpoint.IPV6_JOIN_GROUP, group6(1)))
	check(t, s.SetOption(endpoint.IPPROTO_IPV6, endpoint.IPV6_MULTICAST_IF, intData(1)))
	group := inet(netip.MustParseAddr("ff02::fb"), r.local().Port)
	_, err := s.Send(endpoint.Message{Bufs: [][]byte{[]byte("all")}, To: group})
	check(t, err)
	if got, _, err := r.recv(9, 0); got != "all" || err != nil {
		t.Error(got, err)
	}
	// The same by RFC 3678's structure.
	check(t, r.SetOption(endpoint.IPPROTO_IPV6, endpoint.IPV6_LEAVE_GROUP, group6(1)))
	req := make([]byte, wordSize+128)
	copy(req, intData(1))
	binary.NativeEndian.PutUint16(req[wordSize:], endpoint.AF_INET6)
	copy(req[wordSize+8:], group6(1)[:16])
	check(t, r.SetOption(endpoint.IPPROTO_IPV6, endpoint.MCAST_JOIN_GROUP, req))
	wantErrno(t, "join twice", r.SetOption(endpoint.IPPROTO_IPV6, endpoint.MCAST_JOIN_GROUP, req), endpoint.EADDRINUSE)
	_, err = s.Send(endpoint.Message{Bufs: [][]byte{[]byte("again")}, To: group})
	check(t, err)
	if got, _, err := r.recv(9, 0); got != "again" || err != nil {
		t.Error(got, err)
	}
	check(t, r.SetOption(endpoint.IPPROTO_IPV6, endpoint.MCAST_LEAVE_GROUP, req))
}

// The table names no option twice, says what each stored one lacks, and gives
// no option that cannot be used.
func TestOptionTable(t *testing.T) {
	seen := make(map[optionKey]string)
	effective := 0
	for _, o := range Options() {
		key := optionKey{o.Level, o.Name}
		if other, twice := seen[key]; twice {
			t.Errorf("%s and %s have level %d, name %d", o.Symbol, other, o.Level, o.Name)
		}
		seen[key] = o.Symbol
		if o.Status == Stored && o.Note == "" {
			t.Errorf("%s is stored, and nothing says why", o.Symbol)
		}
		if !o.Readable && !o.Writable || !o.Stream && !o.Datagram && !o.Lite && !o.Ping && !o.Raw || !o.Inet4 && !o.Inet6 {
			t.Errorf("%s is of no use", o.Symbol)
		}
		if o.Status == Effective {
			effective++
		}
	}
	t.Logf("%d options, %d effective", len(seen), effective)
	p := newProtocols(t, true, true)
	for _, k := range kinds {
		s := open(t, p, k.af, k.typ)
		wantErrno(t, "an unknown option", s.SetOption(endpoint.SOL_SOCKET, 12345, intData(1)), endpoint.ENOPROTOOPT)
	}
}
