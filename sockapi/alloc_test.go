package sockapi_test

import (
	"net"
	"net/netip"
	"testing"

	"usersock/resolver"
	. "usersock/sockapi"
	"usersock/stack/endpoint"
	"usersock/testnet/dnszone"
)

// rawPair returns two endpoints without a socket layer: what the calls above
// them are measured against.
type rawPair struct{ a, b endpoint.Endpoint }

func rawTCP(t testing.TB, na, nb *Net, to netip.AddrPort) rawPair {
	t.Helper()
	request := endpoint.Request{Type: SOCK_STREAM}
	l := rawOpen(t, nb, AF_INET, request)
	check(t, l.Bind(endpoint.Inet(to)))
	check(t, l.Listen(1))
	at, err := l.LocalAddr()
	check(t, err)
	c := rawOpen(t, na, AF_INET, request)
	accepting, connecting := make(eventChan, 1), make(eventChan, 1)
	l.Notify(accepting)
	c.Notify(connecting)
	if err := c.Connect(at); err != endpoint.EINPROGRESS {
		t.Fatal(err)
	}
	for c.Ready(endpoint.Out) == 0 {
		<-connecting
	}
	for {
		s, _, err := l.Accept()
		if err == endpoint.EAGAIN {
			<-accepting
			continue
		}
		check(t, err)
		t.Cleanup(func() { s.Close() })
		return rawPair{c, s}
	}
}

func rawOpen(t testing.TB, n *Net, family int, r endpoint.Request) endpoint.Endpoint {
	t.Helper()
	ep, err := n.Stack().Open(family, r)
	check(t, err)
	t.Cleanup(func() { ep.Close() })
	return ep
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventChan is a sink with room for one event.
type eventChan chan struct{}

func (c eventChan) Event(endpoint.Events) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// TestAllocations: the socket layer adds no allocation to sending and
// receiving; Recv adds its result, Recvfrom its address as well.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools drop what they hold")
	}
	na, nb := hosts(t)
	out, in := []byte("Hello, world"), make([]byte, 64)

	raw := rawTCP(t, na, nb, netip.MustParseAddrPort("192.0.2.2:0"))
	bufs, rbufs := [][]byte{out}, [][]byte{in}
	readable := make(eventChan, 1)
	raw.b.Notify(readable)
	stream := allocs(func() {
		if _, err := raw.a.Send(endpoint.Message{Bufs: bufs}); err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := raw.b.Recv(endpoint.RecvRequest{Bufs: rbufs}); err == nil {
				return
			}
			<-readable
		}
	})
	ua, ub := rawOpen(t, na, AF_INET, endpoint.Request{Type: SOCK_DGRAM}), rawOpen(t, nb, AF_INET, endpoint.Request{Type: SOCK_DGRAM})
	check(t, ub.Bind(endpoint.Inet(netip.MustParseAddrPort("192.0.2.2:0"))))
	to, err := ub.LocalAddr()
	check(t, err)
	datagram := allocs(func() {
		if _, err := ua.Send(endpoint.Message{Bufs: bufs, To: to}); err != nil {
			t.Fatal(err)
		}
		if _, err := ub.Recv(endpoint.RecvRequest{Bufs: rbufs}); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("the endpoints allocate %v times a stream transfer, %v times a datagram", stream, datagram)

	c, s := connected(t, na, nb, InetAddr{"192.0.2.2", 0})
	cc, sc := c.Conn(), s.Conn()
	d, e := open(t, na, AF_INET, SOCK_DGRAM), open(t, nb, AF_INET, SOCK_DGRAM)
	check(t, e.Bind(InetAddr{"192.0.2.2", 0}))
	name, err := e.Getsockname()
	check(t, err)
	dc, ec := d.PacketConn(), e.PacketConn()
	target := ec.LocalAddr().(*net.UDPAddr).AddrPort()
	lists, inlists := [][]byte{out[:3], out[3:]}, [][]byte{in[:1], in[1:]}
	for _, m := range []struct {
		name string
		most float64
		f    func() error
	}{
		{"Send and RecvInto", stream, func() error {
			if _, err := c.Send(out); err != nil {
				return err
			}
			_, err := s.RecvInto(in, 0)
			return err
		}},
		{"Send and Recv", stream + 1, func() error {
			if _, err := c.Send(out); err != nil {
				return err
			}
			_, err := s.Recv(64)
			return err
		}},
		{"Conn.Write and Conn.Read", stream, func() error {
			if _, err := cc.Write(out); err != nil {
				return err
			}
			_, err := sc.Read(in)
			return err
		}},
		{"WriteToUDPAddrPort and ReadFromUDPAddrPort", datagram, func() error {
			if _, err := dc.WriteToUDPAddrPort(out, target); err != nil {
				return err
			}
			_, _, err := ec.ReadFromUDPAddrPort(in)
			return err
		}},
		{"WriteMsgUDPAddrPort and ReadMsgUDPAddrPort", datagram, func() error {
			if _, _, err := dc.WriteMsgUDPAddrPort(out, nil, target); err != nil {
				return err
			}
			_, _, _, _, err := ec.ReadMsgUDPAddrPort(in, nil)
			return err
		}},
		// The list of buffers.
		{"Sendmsg and RecvmsgInto", stream + 1, func() error {
			if _, err := c.Sendmsg(lists, nil, 0, nil); err != nil {
				return err
			}
			_, _, _, _, err := s.RecvmsgInto(inlists, 0)
			return err
		}},
		// The address is a string and an interface.
		{"Sendto and Recvfrom", datagram + 1 + 2, func() error {
			if _, err := d.Sendto(out, name); err != nil {
				return err
			}
			_, _, err := e.Recvfrom(64)
			return err
		}},
		{"Sendto and RecvfromInto", datagram + 2, func() error {
			if _, err := d.Sendto(out, name); err != nil {
				return err
			}
			_, _, err := e.RecvfromInto(in, 0)
			return err
		}},
	} {
		got := allocs(func() {
			if err := m.f(); err != nil {
				t.Fatal(err)
			}
		})
		if got > m.most {
			t.Errorf("%s: %v allocations, want at most %v", m.name, got, m.most)
		}
	}
}

// allocs counts the allocations of one call of f, without the odd one of
// another goroutine.
func allocs(f func()) float64 {
	least := testing.AllocsPerRun(300, f)
	for range 4 {
		least = min(least, testing.AllocsPerRun(300, f))
	}
	return least
}

// TestNameAllocations: a name in the cache costs its result alone, also where
// its addresses have to be sorted by the stack's own; and a change of the stack
// is seen.
func TestNameAllocations(t *testing.T) {
	a, b := hosts(t)
	zone, err := dnszone.Parse("@ 300 SOA a b 1 2 3 4 60\nwww 300 A 198.51.100.1\nwww 300 A 192.0.2.200\nwww 300 AAAA 2001:db8::99\n", "example")
	check(t, err)
	packets, err := b.ListenPacket("udp", ":53")
	check(t, err)
	done := make(chan error, 1)
	go func() { done <- dnszone.NewServer(zone).Serve(packets) }()
	defer func() { packets.Close(); check(t, <-done) }()
	n, err := New(Config{Stack: a.Stack(), Resolver: resolver.Config{Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.2:53")}}})
	check(t, err)
	defer n.Close()
	r := n.Resolver()
	first := func() string {
		infos, err := r.Getaddrinfo(bg, "www.example.", "80", AF_INET, SOCK_STREAM, 0, 0)
		check(t, err)
		return infos[0].Addr.IP.String()
	}
	if got := first(); got != "192.0.2.200" {
		t.Errorf("first address %s, want the one that can be reached", got)
	}
	for name, lookup := range map[string]func(){
		"Getaddrinfo": func() { r.Getaddrinfo(bg, "www.example.", "80", 0, SOCK_STREAM, 0, 0) },
		"LookupNetIP": func() { r.LookupNetIP(bg, "ip", "www.example.") },
	} {
		lookup()
		if got := testing.AllocsPerRun(200, lookup); got > 1 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
	check(t, a.Stack().RemoveAddr("eth0", netip.MustParsePrefix("192.0.2.1/24")))
	check(t, a.Stack().AddAddr("eth0", netip.MustParsePrefix("198.51.100.9/24")))
	if got := first(); got != "198.51.100.1" {
		t.Errorf("first address %s after a change of the stack's", got)
	}
}
