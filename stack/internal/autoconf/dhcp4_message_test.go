package autoconf

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/rfc1035label"
)

func TestOptions(t *testing.T) {
	names := &rfc1035label.Labels{Labels: []string{"lab.example", "B.Example", "no name", "1.example"}}
	dst := func(s string) *net.IPNet { _, n, _ := net.ParseCIDR(s); return n }
	route := func(s, via string) *dhcpv4.Route { return &dhcpv4.Route{Dest: dst(s), Router: net.ParseIP(via).To4()} }
	for _, c := range []struct {
		name    string
		options []dhcpv4.Option
		check   func(l *Lease) bool
	}{
		{"router", nil, func(l *Lease) bool {
			return len(l.Routers) == 1 && slices.Equal(l.Routes, []Route{{netip.MustParsePrefix("0.0.0.0/0"), testServer}})
		}},
		{"classless routes win", []dhcpv4.Option{dhcpv4.OptClasslessStaticRoute(route("198.51.100.0/24", "192.0.2.7"), route("203.0.113.128/25", "0.0.0.0"))}, func(l *Lease) bool {
			return len(l.Routers) == 0 && slices.Equal(l.Routes, []Route{{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParseAddr("192.0.2.7")}, {Dst: netip.MustParsePrefix("203.0.113.128/25")}})
		}},
		{"name servers", []dhcpv4.Option{dhcpv4.OptDNS(net.IP{192, 0, 2, 53}, net.IP{0, 0, 0, 0}, net.IP{127, 0, 0, 1}, net.IP{255, 255, 255, 255}, net.IP{224, 0, 0, 1}, net.IP{192, 0, 2, 53})}, func(l *Lease) bool {
			return slices.Equal(l.NameServers, []netip.Addr{netip.MustParseAddr("192.0.2.53")})
		}},
		{"search list", []dhcpv4.Option{dhcpv4.OptDomainSearch(names), dhcpv4.OptDomainName("other.example")}, func(l *Lease) bool {
			return slices.Equal(l.Search, []string{"lab.example", "b.example", "1.example"}) && l.Domain == "other.example"
		}},
		{"domain name", []dhcpv4.Option{dhcpv4.OptDomainName("a.example b.example")}, func(l *Lease) bool {
			return slices.Equal(l.Search, []string{"a.example", "b.example"}) && l.Domain == "a.example"
		}},
		{"host name", []dhcpv4.Option{dhcpv4.OptHostName("guest7")}, func(l *Lease) bool { return l.Hostname == "guest7" }},
		{"host name that is none", []dhcpv4.Option{dhcpv4.OptHostName("a b\n")}, func(l *Lease) bool { return l.Hostname == "" }},
		{"MTU", []dhcpv4.Option{dhcpv4.OptGeneric(dhcpv4.OptionInterfaceMTU, []byte{2, 64})}, func(l *Lease) bool { return l.MTU == 576 }},
		{"small MTU", []dhcpv4.Option{dhcpv4.OptGeneric(dhcpv4.OptionInterfaceMTU, []byte{2, 63})}, func(l *Lease) bool { return l.MTU == 0 }},
		{"cut MTU", []dhcpv4.Option{dhcpv4.OptGeneric(dhcpv4.OptionInterfaceMTU, []byte{9})}, func(l *Lease) bool { return l.MTU == 0 }},
		{"mask with holes", []dhcpv4.Option{dhcpv4.OptGeneric(dhcpv4.OptionSubnetMask, []byte{255, 0, 255, 0})}, func(l *Lease) bool { return l.Addr.Bits() == 24 }},
		{"single address", []dhcpv4.Option{dhcpv4.OptGeneric(dhcpv4.OptionSubnetMask, []byte{255, 255, 255, 255})}, func(l *Lease) bool { return l.Addr.Bits() == 32 }},
		{"cut routes", []dhcpv4.Option{dhcpv4.OptGeneric(dhcpv4.OptionClasslessStaticRoute, []byte{24, 198, 51})}, func(l *Lease) bool { return len(l.Routes) == 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab4(t, nil)
			l.bind(c.options...)
			if got := l.c.Lease(); !c.check(got) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestForeign: what is not the answer changes nothing.
func TestForeign(t *testing.T) {
	l := newLab4(t, nil)
	l.c.Start()
	m, _ := l.take(dhcpv4.MessageTypeDiscover)
	good := answer(m, dhcpv4.MessageTypeOffer)
	for name, spoil := range map[string]func(*dhcpv4.DHCPv4){
		"other transaction": func(r *dhcpv4.DHCPv4) { r.TransactionID[0]++ },
		"other hardware":    func(r *dhcpv4.DHCPv4) { r.ClientHWAddr = serverMAC },
		"request":           func(r *dhcpv4.DHCPv4) { r.OpCode = dhcpv4.OpcodeBootRequest },
		"no type":           func(r *dhcpv4.DHCPv4) { r.Options.Del(dhcpv4.OptionDHCPMessageType) },
		"no server":         func(r *dhcpv4.DHCPv4) { r.Options.Del(dhcpv4.OptionServerIdentifier) },
		"no address":        func(r *dhcpv4.DHCPv4) { r.YourIPAddr = net.IP{0, 0, 0, 0} },
		"group":             func(r *dhcpv4.DHCPv4) { r.YourIPAddr = net.IP{224, 0, 0, 1} },
		"loopback":          func(r *dhcpv4.DHCPv4) { r.YourIPAddr = net.IP{127, 0, 0, 1} },
		"acknowledgement":   func(r *dhcpv4.DHCPv4) { r.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageTypeAck)) },
		"refusal":           func(r *dhcpv4.DHCPv4) { r.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageTypeNak)) },
	} {
		r, err := dhcpv4.FromBytes(good.ToBytes())
		if err != nil {
			t.Fatal(err)
		}
		spoil(r)
		l.hand(r)
		if l.c.State() != Selecting || len(l.sent) != 0 {
			t.Fatalf("%s: state %v", name, l.c.State())
		}
	}
	whole := good.ToBytes()
	for n := range whole[:256] { // the rest is padding
		l.c.Receive(Datagram{Payload: whole[:n]})
	}
	l.c.Receive(Datagram{Payload: append(whole, make([]byte, maxMessage)...)})
	l.in(Selecting)
	l.hand(good)
	l.in(Requesting)
	m, _ = l.take(dhcpv4.MessageTypeRequest)
	r := answer(m, dhcpv4.MessageTypeAck, dhcpv4.OptServerIdentifier(net.IP{192, 0, 2, 9}))
	l.hand(r)
	l.in(Requesting) // not the server that was asked
	r = answer(m, dhcpv4.MessageTypeNak, dhcpv4.OptServerIdentifier(net.IP{192, 0, 2, 9}))
	l.hand(r)
	l.in(Requesting)
	r = answer(m, dhcpv4.MessageTypeAck)
	r.YourIPAddr = net.IP{192, 0, 2, 66}
	l.hand(r)
	l.in(Requesting) // not what was asked for
	r = answer(m, dhcpv4.MessageTypeAck)
	r.Options.Del(dhcpv4.OptionIPAddressLeaseTime)
	l.hand(r)
	l.in(Requesting)
}

// TestHugeOptions: lists are cut to what a host can use.
func TestHugeOptions(t *testing.T) {
	l := newLab4(t, nil)
	var servers []net.IP
	var routes []*dhcpv4.Route
	for i := range 200 {
		servers = append(servers, net.IP{192, 0, 2, byte(i + 1)})
		routes = append(routes, &dhcpv4.Route{Dest: &net.IPNet{IP: net.IP{198, 51, 100, byte(i)}, Mask: net.CIDRMask(32, 32)}, Router: net.IP{192, 0, 2, 1}})
	}
	l.bind(dhcpv4.OptDNS(servers...), dhcpv4.OptRouter(servers...), dhcpv4.OptClasslessStaticRoute(routes...))
	if got := l.c.Lease(); len(got.NameServers) != maxServers || len(got.Routes) != maxRoutes {
		t.Errorf("%d name servers, %d routes", len(got.NameServers), len(got.Routes))
	}
}

// TestDomains: a list that is made to expand is not read.
func TestDomains(t *testing.T) {
	var bomb []byte
	for range 8 {
		bomb = append(bomb, 1, 'a')
	}
	bomb = append(bomb, 0)
	for len(bomb) < 4*maxNames {
		bomb = append(bomb, 0xc0, 0)
	}
	if got := Domains(bomb); got != nil {
		t.Errorf("%d names", len(got))
	}
	if got := Domains(bomb[:maxNames-1]); len(got) != 1 {
		t.Errorf("%v", got)
	}
	for _, b := range [][]byte{nil, {0}, {3, 'a'}, {0xc0}, {0xc0, 0}, {0xc0, 9}, {1, ' ', 0}, {1, 'a', 0xc0, 2, 0}} {
		if got := Domains(b); len(got) != 0 {
			t.Errorf("%x: %v", b, got)
		}
	}
}
