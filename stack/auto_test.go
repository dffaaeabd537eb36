package stack

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/netdev"
	"usersock/stack/endpoint"
)

// TestLease: what a lease brings is there while it holds, and all of it goes
// when it ends.
func TestLease(t *testing.T) {
	l := newAutoLab(t, false, dhcpServer(dhcpv4.OptDNS(net.IP{192, 0, 2, 53}), dhcpv4.OptDomainName("lab.example"), dhcpv4.OptHostName("guest7"),
		dhcpv4.OptGeneric(dhcpv4.OptionInterfaceMTU, []byte{5, 120})), Auto{DHCPv4: true}, nil)
	if err := l.s.Configured(t.Context()); err != nil {
		t.Fatal(err)
	}
	there := func() {
		t.Helper()
		st := l.state()
		servers, search := l.s.NameServers()
		if !l.has("192.0.2.100/24") || l.via("0.0.0.0/0") != labServer.String() || l.via("192.0.2.0/24") == "" || st.DHCPv4 != "bound" || st.Lease == nil || st.MTU != 1400 ||
			!slices.Equal(servers, []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}) || !slices.Equal(search, []string{"lab.example"}) ||
			l.s.Interfaces()[1].MTU != 1400 || l.s.Hostname() != "guest7" {
			t.Fatalf("%+v\n%v\n%v\n%v %v %q", st, l.s.Interfaces(), l.s.Routes(), servers, search, l.s.Hostname())
		}
	}
	there()
	if snap := l.s.Snapshot(); len(snap.Auto) != 1 || snap.Auto[0].Lease == nil || snap.Auto[0].Interface != "eth0" {
		t.Errorf("snapshot: %+v", snap.Auto)
	}
	l.dev.take()
	obtained := l.state().Lease.Obtained
	l.advance(30 * time.Second)
	there()
	if got := typesOf(l.dev.take()); !slices.Equal(got, []dhcpv4.MessageType{dhcpv4.MessageTypeRequest}) || !l.state().Lease.Obtained.After(obtained) {
		t.Errorf("renewal: %v, %+v", got, l.state().Lease)
	}
	l.silence()
	l.advance(time.Minute - time.Second)
	if st := l.state(); st.DHCPv4 != "rebinding" || !l.has("192.0.2.100/24") {
		t.Errorf("before the end: %+v", st)
	}
	l.advance(time.Second)
	servers, search := l.s.NameServers()
	if st := l.state(); l.has("192.0.2.100/24") || len(servers)+len(search) != 0 || st.Lease != nil || st.DHCPv4 != "selecting" || l.s.Interfaces()[1].MTU != labMTU ||
		l.s.Hostname() != "localhost" || l.via("0.0.0.0/0")+l.via("192.0.2.0/24") != "" {
		t.Errorf("after the end: %+v\n%v\n%v", st, l.s.Interfaces(), l.s.Routes())
	}
	seen := l.events()
	for _, want := range []string{"eth0: address added: 192.0.2.100/24", "route added: 0.0.0.0/0 via 192.0.2.1 dev eth0", "eth0: configuration learnt", "eth0: name servers learnt",
		"eth0: address removed: 192.0.2.100/24", "route removed: 0.0.0.0/0 via 192.0.2.1 dev eth0"} {
		if !slices.ContainsFunc(seen, func(e Event) bool { return e.String() == want }) {
			t.Errorf("no event %q in %v", want, seen)
		}
	}
}

// TestLeaseGivenBack: an interface that is detached gives its lease back first,
// and nothing learnt is left.
func TestLeaseGivenBack(t *testing.T) {
	for name, end := range map[string]func(*Stack) error{
		"detach": func(s *Stack) error { return s.Detach("eth0") },
		"close":  (*Stack).Close,
	} {
		for _, mac := range []bool{false, true} {
			l := newAutoLab(t, mac, dhcpServer(dhcpv4.OptDNS(net.IP{192, 0, 2, 53})), Auto{DHCPv4: true}, nil)
			l.advance(2 * time.Second) // the neighbours are asked
			if l.state().Lease == nil {
				t.Fatalf("%+v", l.state())
			}
			l.dev.take()
			if err := end(l.s); err != nil {
				t.Fatal(err)
			}
			sent := dhcpOf(l.dev.take())
			if len(sent) != 1 || sent[0].MessageType() != dhcpv4.MessageTypeRelease || sent[0].ClientIPAddr.String() != "192.0.2.100" {
				t.Errorf("%s: sent %v", name, sent)
			}
			if servers, _ := l.s.NameServers(); len(servers) != 0 || l.via("0.0.0.0/0") != "" {
				t.Errorf("%s: %v, %v", name, servers, l.s.Routes())
			}
			if _, ok := l.s.AutoState("eth0"); ok {
				t.Errorf("%s: there is still a state", name)
			}
			l.s.Close()
		}
	}
}

// arpReply says that otherMAC has the address that a request asks for.
func arpReply(request []byte) []byte {
	in := header.ARP(request)
	b := make([]byte, header.ARPSize)
	out := header.ARP(b)
	out.SetIPv4OverEthernet()
	out.SetOp(header.ARPReply)
	copy(out.HardwareAddressSender(), otherMAC)
	copy(out.ProtocolAddressSender(), in.ProtocolAddressTarget())
	copy(out.HardwareAddressTarget(), labMAC)
	return b
}

// TestLeaseDeclined: an address that a neighbour answers for is declined.
func TestLeaseDeclined(t *testing.T) {
	server := dhcpServer()
	probes, taken := 0, true
	l := newAutoLab(t, true, func(d *scripted, b []byte) {
		if b[0]>>4 != 0 { // not ARP, which begins with 0, 1
			server(d, b)
			return
		}
		probes++
		if a := header.ARP(b); taken {
			if from, _ := netip.AddrFromSlice(a.ProtocolAddressSender()); !from.IsUnspecified() {
				t.Errorf("the probe has the sender %v", from)
			}
			d.hand(arpReply(b))
		}
	}, Auto{DHCPv4: true}, nil)
	l.advance(time.Second)
	if got := typesOf(l.dev.take()); !slices.Equal(got, []dhcpv4.MessageType{dhcpv4.MessageTypeDiscover, dhcpv4.MessageTypeRequest, dhcpv4.MessageTypeDecline}) {
		t.Errorf("sent %v", got)
	}
	if l.has("192.0.2.100/24") || probes != 1 || l.state().DHCPv4 != "init" {
		t.Errorf("%d probes, %+v", probes, l.state())
	}
	taken = false
	l.advance(10 * time.Second)
	if !l.has("192.0.2.100/24") || probes != 1+probes4 {
		t.Errorf("%d probes, %+v", probes, l.state())
	}
}

// TestClientPortIsQuiet: what comes to the client's port is not answered,
// whoever sends it, to whatever address.
func TestClientPortIsQuiet(t *testing.T) {
	l := newAutoLab(t, false, dhcpServer(), Auto{DHCPv4: true}, nil)
	l.dev.take()
	for _, dst := range []string{"192.0.2.100", "192.0.2.255", "255.255.255.255"} {
		for _, payload := range [][]byte{nil, {1, 2, 3}, make([]byte, 300)} {
			l.dev.hand(udp4(labServer, netip.MustParseAddr(dst), 67, 68, payload))
			l.dev.hand(udp4(labServer, netip.MustParseAddr(dst), 9, 68, payload))
		}
	}
	l.rest()
	if sent := l.dev.take(); len(sent) != 0 {
		t.Errorf("answered: %x", sent)
	}
	l.dev.hand(udp4(labServer, netip.MustParseAddr("192.0.2.100"), 67, 69, nil))
	l.rest()
	if sent := l.dev.take(); len(sent) != 1 || sent[0][9] != uint8(header.ICMPv4ProtocolNumber) {
		t.Errorf("port 69: %x", sent) // the test can fail
	}
}

// TestGivenWins: routes, addresses and a name that were given stay.
func TestGivenWins(t *testing.T) {
	l := newAutoLab(t, false, dhcpServer(dhcpv4.OptHostName("guest7")), Auto{DHCPv4: true}, func(c *Config) {
		c.Hostname = "mine"
		c.Interfaces[0].Addrs = []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24")}
		c.Routes = []Route{{Dst: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("192.0.2.7")}}
	})
	if err := l.s.Configured(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l.via("0.0.0.0/0") != "192.0.2.7" || l.s.Hostname() != "mine" {
		t.Errorf("%v, %q", l.s.Routes(), l.s.Hostname())
	}
	l.silence()
	l.advance(2 * time.Minute)
	if l.state().Lease != nil || !l.has("192.0.2.100/24") || l.via("0.0.0.0/0") != "192.0.2.7" {
		t.Errorf("%+v, %v, %v", l.state(), l.s.Interfaces(), l.s.Routes())
	}
}

// TestAdvertisement: what routers say, on an Ethernet: the link-local address,
// then the solicitation, then the addresses, each once no neighbour has it.
func TestAdvertisement(t *testing.T) {
	l := newAutoLab(t, true, func(d *scripted, b []byte) {
		if icmp6Of([][]byte{b}, header.ICMPv6RouterSolicit) > 0 {
			if src, _ := netip.AddrFromSlice(b[8:24]); src.String() != "fe80::ff:fe00:1" {
				t.Errorf("solicited from %v", src)
			}
			d.hand(advert(60,
				prefixOption("2001:db8:1::/64", 120, 30),
				prefixOption("2001:db8:2::/64", 120, 120),
				[]byte{5, 1, 0, 0, 0, 0, 5, 0x78}, // MTU 1400
				append([]byte{25, 3, 0, 0, 0, 0, 0, 20}, netip.MustParseAddr("fe80::53").AsSlice()...),
				[]byte{31, 2, 0, 0, 0, 0, 0, 40, 1, '1', 3, 'l', 'a', 'b', 0, 0},
			))
		}
	}, Auto{RouterAdvertisements: true}, nil)
	if n := icmp6Of(l.dev.take(), header.ICMPv6RouterSolicit); n != 0 || len(l.state().Addrs) != 0 {
		t.Errorf("%d solicitations before the link-local address can be used", n)
	}
	l.advance(999 * time.Millisecond)
	l.advance(time.Millisecond)
	if st := l.state(); len(st.Addrs) != 2 || !st.Addrs[0].Tentative || st.Addrs[0].Valid != 2*time.Minute {
		t.Fatalf("%+v", st)
	}
	l.advance(time.Second)
	if err := l.s.Configured(t.Context()); err != nil {
		t.Fatal(err)
	}
	index, _ := l.s.InterfaceIndex("eth0")
	servers, search := l.s.NameServers()
	if !l.has("2001:db8:1::ff:fe00:1/64") || !l.has("2001:db8:2::ff:fe00:1/64") || l.via("::/0") != labRouter.String() || l.s.Interfaces()[1].MTU != 1400 ||
		l.via("2001:db8:1::/64") == "" || !slices.Equal(search, []string{"1.lab"}) || len(servers) != 1 ||
		servers[0] != netip.AddrPortFrom(netip.MustParseAddr("fe80::53").WithZone(strconv.Itoa(index)), 53) {
		t.Fatalf("%v\n%v\n%v %v", l.s.Interfaces(), l.s.Routes(), servers, search)
	}
	near := netip.MustParseAddr("2001:db8:1::53")
	if src, ok := l.s.Source(near, 0); !ok || src.String() != "2001:db8:1::ff:fe00:1" {
		t.Errorf("source %v", src)
	}
	l.advance(30 * time.Second)
	// RFC 6724, section 5, rule 3: not a deprecated one, though it has more in common.
	if src, ok := l.s.Source(near, 0); !ok || src.String() != "2001:db8:2::ff:fe00:1" || !l.state().Addrs[0].Deprecated {
		t.Errorf("source %v, %+v", src, l.state().Addrs)
	}
	l.silence()
	l.advance(30 * time.Second)
	if servers, search := l.s.NameServers(); l.via("::/0") != "" || len(servers)+len(search) != 0 {
		t.Errorf("after the router: %v, %v, %v", l.s.Routes(), servers, search)
	}
	l.advance(2 * time.Minute)
	if len(l.state().Addrs) != 0 || l.has("2001:db8:1::ff:fe00:1/64") || l.via("2001:db8:1::/64") != "" || !l.has("fe80::ff:fe00:1/64") {
		t.Errorf("after the prefixes: %v, %v", l.s.Interfaces(), l.s.Routes())
	}
}

// claim says that a neighbour has the address.
func claim(a netip.Addr) []byte {
	ip := a.As16()
	body := slices.Concat([]byte{0x20, 0, 0, 0}, ip[:], []byte{2, 1}, otherMAC)
	return icmp6(a, allNodes, header.ICMPv6NeighborAdvert, body)
}

// TestDuplicate: an address that a neighbour has is not used, and without the
// link-local one there is no IPv6.
func TestDuplicate(t *testing.T) {
	taken := "2001:db8:1::ff:fe00:1"
	play := func(d *scripted, b []byte) {
		switch {
		case icmp6Of([][]byte{b}, header.ICMPv6RouterSolicit) > 0:
			d.hand(advert(60, prefixOption("2001:db8:1::/64", 120, 30), prefixOption("2001:db8:2::/64", 120, 120)))
		case icmp6Of([][]byte{b}, header.ICMPv6NeighborSolicit) > 0:
			if target, _ := netip.AddrFromSlice(b[48:64]); target.String() == taken {
				d.hand(claim(target))
			}
		}
	}
	l := newAutoLab(t, true, play, Auto{RouterAdvertisements: true}, nil)
	l.advance(3 * time.Second)
	if l.has(taken+"/64") || !l.has("2001:db8:2::ff:fe00:1/64") || len(l.state().Addrs) != 1 {
		t.Errorf("%+v, %v", l.state(), l.s.Interfaces())
	}
	taken = "fe80::ff:fe00:1"
	l = newAutoLab(t, true, play, Auto{RouterAdvertisements: true}, nil)
	l.advance(time.Minute)
	if n := icmp6Of(l.dev.take(), header.ICMPv6RouterSolicit); n != 0 || l.has(taken+"/64") {
		t.Errorf("%d solicitations, %v", n, l.s.Interfaces())
	}
}

// TestInterfaceID: where there is no hardware address, the lower half of
// addresses is random, or that of a link-local address that was given.
func TestInterfaceID(t *testing.T) {
	play := func(d *scripted, b []byte) {
		if icmp6Of([][]byte{b}, header.ICMPv6RouterSolicit) > 0 {
			d.hand(advert(60, prefixOption("2001:db8:1::/64", 120, 30)))
		}
	}
	l := newAutoLab(t, false, play, Auto{RouterAdvertisements: true}, func(c *Config) {
		c.Interfaces[0].Addrs = []netip.Prefix{netip.MustParsePrefix("fe80::7/64")}
	})
	if !l.has("2001:db8:1::7/64") {
		t.Errorf("%v", l.s.Interfaces())
	}
	l = newAutoLab(t, false, play, Auto{RouterAdvertisements: true}, nil)
	if st := l.state(); len(st.Addrs) != 1 || st.Addrs[0].Tentative || st.Addrs[0].Addr.Addr().As16()[11] == 0xff && st.Addrs[0].Addr.Addr().As16()[12] == 0xfe {
		t.Errorf("%+v", st)
	}
}

// TestConfigured: what the waiting ends with.
func TestConfigured(t *testing.T) {
	l := newAutoLab(t, false, nil, Auto{DHCPv4: true, RouterAdvertisements: true}, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	err := l.s.Configured(ctx)
	if err == nil || !strings.Contains(err.Error(), "eth0: no lease by DHCPv4 (it is selecting), no prefix by a router advertisement: enough") {
		t.Error(err)
	}
	ended := make(chan error)
	go func() { ended <- l.s.Configured(t.Context()) }()
	l.s.Close()
	if err := <-ended; !errors.Is(err, endpoint.ENETDOWN) {
		t.Error(err)
	}

	// IPv4 is there; that nobody answers for IPv6 is known after four seconds.
	l = newAutoLab(t, false, dhcpServer(), Auto{DHCPv4: true, RouterAdvertisements: true}, nil)
	go func() { ended <- l.s.Configured(t.Context()) }()
	select {
	case err := <-ended:
		t.Errorf("too early: %v", err)
	default:
	}
	l.advance(5 * time.Second)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Configured(t.Context()); err != nil {
		t.Error("without such interfaces:", err)
	}
}

// ending is a device that can end by itself.
type ending struct {
	scripted
	set func(netdev.State)
}

func (d *ending) Watch(set func(netdev.State)) { d.set = set; set(netdev.State{Up: true}) }

// TestLinkEndsOrComesBack: what was learnt is asked for again when the link
// comes up again, and withdrawn when it ends; nobody waits for it in vain.
func TestLinkEndsOrComesBack(t *testing.T) {
	dev := &ending{scripted: scripted{play: dhcpServer()}}
	s, err := New(Config{Interfaces: []Interface{{Name: "eth0", Link: netdev.FromDevice(dev, netdev.DeviceConfig{}), Auto: Auto{DHCPv4: true}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	renewed, down, gone := make(chan bool, 1), make(chan bool, 1), make(chan bool, 1)
	if err := s.Configured(t.Context()); err != nil {
		t.Fatal(err)
	}
	st, _ := s.AutoState("eth0")
	s.Watch(func(e Event) {
		if now, _ := s.AutoState("eth0"); now.Lease != nil && now.Lease.Obtained.After(st.Lease.Obtained) {
			select {
			case renewed <- true:
			default:
			}
		}
		switch e.Kind {
		case LinkDown:
			down <- true
		case AddrRemoved:
			gone <- true
		}
	})
	dev.set(netdev.State{Up: false})
	<-down
	dev.set(netdev.State{Up: true})
	<-renewed
	dev.take()
	dev.set(netdev.State{Err: endpoint.EIO})
	<-gone
	if err := s.Configured(t.Context()); !errors.Is(err, endpoint.ENETDOWN) || !strings.Contains(err.Error(), "eth0: its link has ended") {
		t.Error(err)
	}
	if sent := dev.take(); len(sent) != 0 {
		t.Errorf("sent by a link that has ended: %v", typesOf(sent))
	}
}

func TestAutoIsRefused(t *testing.T) {
	for _, c := range []struct {
		auto     Auto
		families []int
		mtu      int
		want     endpoint.Errno
	}{
		{Auto{DHCPv4: true}, []int{endpoint.AF_INET6}, 0, endpoint.EAFNOSUPPORT},
		{Auto{RouterAdvertisements: true}, []int{endpoint.AF_INET}, 0, endpoint.EAFNOSUPPORT},
		{Auto{DHCPv6: true}, []int{endpoint.AF_INET}, 0, endpoint.EAFNOSUPPORT},
		{Auto{RouterAdvertisements: true}, nil, 1279, endpoint.EINVAL},
		{Auto{DHCPv4: true, ClientID: []byte{1}}, nil, 0, endpoint.EINVAL},
		{Auto{DHCPv4: true, Hostname: strings.Repeat("a", 65)}, nil, 0, endpoint.EINVAL},
	} {
		s, err := New(Config{Families: c.families, Interfaces: []Interface{{Link: netdev.FromDevice(&scripted{}, netdev.DeviceConfig{}), Auto: c.auto, MTU: c.mtu}}})
		if !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c, err, c.want)
		}
		if err == nil {
			s.Close()
		}
	}
}

// TestAutoLeavesNothing: rounds of attaching and closing in the middle of
// everything, on the machine's clock.
func TestAutoLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	server := dhcpServer()
	for i := range 50 {
		dev := &scripted{mac: labMAC, play: func(d *scripted, b []byte) {
			server(d, b)
			if icmp6Of([][]byte{b}, header.ICMPv6RouterSolicit) > 0 {
				d.hand(advert(60, prefixOption("2001:db8:1::/64", 120, 30)))
			}
		}}
		s, err := New(Config{Interfaces: []Interface{{Name: "eth0", Link: netdev.FromDevice(dev, netdev.DeviceConfig{HardwareAddr: labMAC}),
			Auto: Auto{DHCPv4: true, RouterAdvertisements: true, DHCPv6: true}}}})
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			go s.Detach("eth0")
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(end) {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
		}
	}
}

// TestTapCosts: packets that are not for the machines pass the tap without an
// allocation.
func TestTapCosts(t *testing.T) {
	l := newAutoLab(t, false, nil, Auto{DHCPv4: true, RouterAdvertisements: true}, nil)
	tap := l.s.listAutos()[0].tap
	for name, packet := range map[string][]byte{
		"UDP":    udp4(labServer, netip.MustParseAddr("192.0.2.100"), 9, 9, make([]byte, 1000)),
		"ICMPv6": icmp6(labRouter, allNodes, header.ICMPv6EchoRequest, make([]byte, 1000)),
	} {
		proto := header.IPv4ProtocolNumber
		if packet[0]>>4 == 6 {
			proto = header.IPv6ProtocolNumber
		}
		pkt := gvstack.NewPacketBuffer(gvstack.PacketBufferOptions{Payload: buffer.MakeWithData(packet)})
		defer pkt.DecRef()
		if n := testing.AllocsPerRun(100, func() {
			if tap.take(proto, pkt) {
				t.Errorf("%s is taken", name)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestTapIsBounded: what comes faster than it is looked at is left out.
func TestTapIsBounded(t *testing.T) {
	l := newAutoLab(t, false, nil, Auto{DHCPv4: true}, nil)
	a := l.s.listAutos()[0]
	begun, stop := make(chan struct{}), make(chan struct{})
	a.do(func() { close(begun); <-stop })
	<-begun
	for range 10 * maxWaiting {
		l.dev.hand(udp4(labServer, netip.MustParseAddr("255.255.255.255"), 67, 68, nil))
	}
	a.jobs.mu.Lock()
	n := len(a.jobs.todo)
	a.jobs.mu.Unlock()
	close(stop)
	if n != maxWaiting {
		t.Errorf("%d packets wait", n)
	}
	l.rest()
	if n := a.waiting.Load(); n != 0 {
		t.Errorf("%d packets are counted when none is left", n)
	}
}
