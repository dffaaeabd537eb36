package autoconf

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// Lease is what a DHCPv4 server gave.
type Lease struct {
	Addr   netip.Prefix // the address with the length of its subnet
	Server netip.Addr

	Routers     []netip.Addr // option 3, unless there are classless routes
	Routes      []Route      // option 121, else the default route by the first router
	NameServers []netip.Addr
	Search      []string // option 119, else the domain name of option 15
	Domain      string   // option 15
	Hostname    string   // option 12
	MTU         int      // option 26, at least 576; 0: not said

	// When the lease was asked for, how long it holds, and after what time it
	// is renewed with the server and with any. Duration, Renew and Rebind are 0
	// for a lease without end.
	Obtained                time.Time
	Duration, Renew, Rebind time.Duration
}

// Route is a way to a network: by a router or, without one, on the link.
type Route struct {
	Dst netip.Prefix
	Via netip.Addr
}

// lease is a Lease with its moments on the monotonic clock.
type lease struct {
	Lease
	renew, rebind, end time.Duration
}

// leastMTU is what every host of IPv4 can receive (RFC 791, section 3.1); a
// smaller MTU is more likely a mistake or an attack.
const leastMTU = 576

// asked are the options that a server is asked for, option 55.
var asked = []dhcpv4.OptionCode{
	dhcpv4.OptionSubnetMask,
	dhcpv4.OptionClasslessStaticRoute, // before the router: RFC 3442
	dhcpv4.OptionRouter,
	dhcpv4.OptionDomainNameServer,
	dhcpv4.OptionDomainName,
	dhcpv4.OptionDNSDomainSearchList,
	dhcpv4.OptionHostName,
	dhcpv4.OptionInterfaceMTU,
	dhcpv4.OptionIPAddressLeaseTime,
	dhcpv4.OptionRenewTimeValue,
	dhcpv4.OptionRebindingTimeValue,
}

// message makes a message of a type: what all have in common.
func (c *DHCPv4) message(t dhcpv4.MessageType) *dhcpv4.DHCPv4 {
	m := &dhcpv4.DHCPv4{
		OpCode:        dhcpv4.OpcodeBootRequest,
		ClientIPAddr:  net.IPv4zero,
		YourIPAddr:    net.IPv4zero,
		ServerIPAddr:  net.IPv4zero,
		GatewayIPAddr: net.IPv4zero,
		ClientHWAddr:  c.cfg.HardwareAddr,
		NumSeconds:    uint16(min((c.now()-c.begun)/time.Second, 0xffff)),
		Options:       make(dhcpv4.Options),
	}
	binary.BigEndian.PutUint32(m.TransactionID[:], c.xid)
	if len(c.cfg.HardwareAddr) > 0 {
		m.HWType = iana.HWTypeEthernet
	} else if t != dhcpv4.MessageTypeRelease && t != dhcpv4.MessageTypeDecline {
		m.SetBroadcast()
	}
	m.UpdateOption(dhcpv4.OptMessageType(t))
	if len(c.cfg.ClientID) > 0 {
		m.UpdateOption(dhcpv4.OptClientIdentifier(c.cfg.ClientID))
	}
	return m
}

// ask adds what discover and request have in common.
func (c *DHCPv4) ask(m *dhcpv4.DHCPv4) {
	m.UpdateOption(dhcpv4.OptParameterRequestList(asked...))
	m.UpdateOption(dhcpv4.OptMaxMessageSize(uint16(min(max(c.cfg.MTU, leastMTU), 1500))))
	if c.cfg.Hostname != "" {
		m.UpdateOption(dhcpv4.OptHostName(c.cfg.Hostname))
	}
}

func (c *DHCPv4) broadcast(m *dhcpv4.DHCPv4, src netip.Addr) {
	c.cfg.Send(Datagram{
		Src:     netip.AddrPortFrom(src, ClientPort4),
		Dst:     netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), ServerPort4),
		Payload: m.ToBytes(),
	})
}

// unicast sends from our address to the server.
func (c *DHCPv4) unicast(m *dhcpv4.DHCPv4, link net.HardwareAddr) {
	c.cfg.Send(Datagram{
		Src:     netip.AddrPortFrom(c.lease.Addr.Addr(), ClientPort4),
		Dst:     netip.AddrPortFrom(c.lease.Server, ServerPort4),
		Link:    link,
		Payload: m.ToBytes(),
	})
}

// read takes the lease out of a DHCPACK. An acknowledgement without an address
// or the length of the lease is none.
func (c *DHCPv4) read(m *dhcpv4.DHCPv4, server netip.Addr) (*lease, bool) {
	addr, _ := netip.AddrFromSlice(m.YourIPAddr.To4())
	length := m.Options.Get(dhcpv4.OptionIPAddressLeaseTime)
	if !unicast(addr) || len(length) != 4 {
		return nil, false
	}
	l := &lease{Lease: Lease{
		Server:      server,
		Routers:     addrs(m.Router(), maxRouters),
		NameServers: addrs(m.DNS(), maxServers),
		Search:      Domains(m.Options.Get(dhcpv4.OptionDNSDomainSearchList)),
		Obtained:    c.cfg.Clock.Now().Add(c.sent - c.now()),
	}}
	bits, ok := maskBits(m.Options.Get(dhcpv4.OptionSubnetMask))
	if !ok {
		bits, _ = net.IP(addr.AsSlice()).DefaultMask().Size() // the class's
	}
	l.Addr = netip.PrefixFrom(addr, bits)
	l.routes(m)
	if list := domains(strings.Fields(m.DomainName())); len(list) > 0 {
		l.Domain = list[0]
		if len(l.Search) == 0 {
			l.Search = list // some servers list several there
		}
	}
	if name := m.HostName(); len(name) <= maxHostname && isDomain(name) {
		l.Hostname = name
	}
	if b := m.Options.Get(dhcpv4.OptionInterfaceMTU); len(b) == 2 {
		if mtu := int(binary.BigEndian.Uint16(b)); mtu >= leastMTU {
			l.MTU = mtu
		}
	}
	l.times(seconds(binary.BigEndian.Uint32(length)), m.IPAddressRenewalTime(0), m.IPAddressRebindingTime(0), c.sent)
	return l, true
}

// times sets when the lease is renewed: by the server's times where they make
// sense.
func (l *lease) times(d, t1, t2, sent time.Duration) {
	if d == forever {
		l.renew, l.rebind, l.end = forever, forever, forever
		return
	}
	d = max(d, leastLease)
	if t2 <= 0 || t2 >= d {
		t2 = d * 7 / 8
	}
	if t1 <= 0 || t1 >= t2 {
		t1 = min(d/2, t2)
	}
	l.Duration, l.Renew, l.Rebind = d, t1, t2
	l.renew, l.rebind, l.end = sent+t1, sent+t2, sent+d
}

// routes takes the classless routes, which make the routers void (RFC 3442), or
// the default route by the first router.
func (l *lease) routes(m *dhcpv4.DHCPv4) {
	if list := m.ClasslessStaticRoute(); len(list) > 0 {
		l.Routers = nil
		for _, r := range list {
			dst, ok := netip.AddrFromSlice(r.Dest.IP)
			via, ok2 := netip.AddrFromSlice(r.Router)
			bits, _ := r.Dest.Mask.Size()
			if !ok || !ok2 || dst.IsMulticast() || !unicast(via) && !via.IsUnspecified() || len(l.Routes) == maxRoutes {
				continue
			}
			if via.IsUnspecified() {
				via = netip.Addr{} // on the link
			}
			l.Routes = append(l.Routes, Route{netip.PrefixFrom(dst, bits).Masked(), via})
		}
		return
	}
	if len(l.Routers) > 0 {
		l.Routes = []Route{{netip.PrefixFrom(netip.IPv4Unspecified(), 0), l.Routers[0]}}
	}
}

func maskBits(mask []byte) (bits int, ok bool) {
	if len(mask) != 4 {
		return 0, false
	}
	bits, size := net.IPMask(mask).Size()
	return bits, size == 32 && bits > 0 // Size is 0, 0 for a mask with holes
}

// clean makes a text of the network fit for a log.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), 200)])
}
