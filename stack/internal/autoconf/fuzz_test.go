package autoconf

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv6"
)

// FuzzDHCPv4 hands bytes to a client in every state, as answers to what it
// asked last. The first byte chooses the state.
func FuzzDHCPv4(f *testing.F) {
	l := newLab4(&testing.T{}, nil)
	l.c.Start()
	m, _ := l.take(dhcpv4.MessageTypeDiscover)
	for i, typ := range []dhcpv4.MessageType{dhcpv4.MessageTypeOffer, dhcpv4.MessageTypeAck, dhcpv4.MessageTypeNak, dhcpv4.MessageTypeAck} {
		f.Add(byte(i), answer(m, typ, dhcpv4.OptDNS(net.IP{192, 0, 2, 53}), dhcpv4.OptDomainName("lab.example")).ToBytes())
	}
	f.Fuzz(func(t *testing.T, state byte, b []byte) {
		l := newLab4(t, func(c *DHCPv4Config) {
			if state&0x80 != 0 {
				c.Probe = func(_ netip.Addr, done func(bool)) { done(state&0x40 != 0) }
			}
			if state&0x20 != 0 {
				c.HardwareAddr = nil
			}
		})
		l.c.Start()
		step := func(typ dhcpv4.MessageType) {
			if m, err := dhcpv4.FromBytes(l.sent[len(l.sent)-1].Payload); err == nil {
				l.hand(answer(m, typ))
			}
		}
		switch state & 3 {
		case 1:
			step(dhcpv4.MessageTypeOffer)
		case 2, 3:
			step(dhcpv4.MessageTypeOffer)
			step(dhcpv4.MessageTypeAck)
			l.clock.advance(30 * time.Minute)
			if state&3 == 3 {
				l.clock.advance(23 * time.Minute)
			}
		}
		for range 3 { // the same again, as an answer to what it led to
			in := append([]byte(nil), b...)
			if len(in) >= 44 && state&0x10 == 0 {
				binary.BigEndian.PutUint32(in[4:], l.c.xid)
				copy(in[28:44], make([]byte, 16))
				copy(in[28:], l.c.cfg.HardwareAddr)
				in[2] = byte(len(l.c.cfg.HardwareAddr))
			}
			l.c.Receive(Datagram{Payload: in})
			if got := l.c.Lease(); got != nil && (!unicast(got.Addr.Addr()) || !got.Addr.IsValid() || len(got.NameServers) > maxServers ||
				len(got.Routes) > maxRoutes || len(got.Search) > maxDomains || got.MTU != 0 && got.MTU < leastMTU ||
				got.Renew > got.Rebind || got.Rebind > got.Duration) {
				t.Fatalf("%+v", got)
			}
			l.clock.advance(10 * time.Second)
		}
		if len(l.clock.timers) > 1 || len(l.sent) > 100 { // one a minute, and those that the input led to
			t.Fatalf("%d timers, %d messages", len(l.clock.timers), len(l.sent))
		}
		l.c.Stop(true)
		if len(l.clock.timers) != 0 {
			t.Fatalf("%d timers after the end", len(l.clock.timers))
		}
	})
}

// FuzzDHCPv6 hands bytes to a client that asks, as the answer.
func FuzzDHCPv6(f *testing.F) {
	f.Add(reply6(&dhcpv6.Message{}, dhcpv6.OptDNS(net.ParseIP("2001:db8::53"))).ToBytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		l := newLab6(t, nil)
		l.c.Start()
		l.clock.advance(time.Second)
		l.c.Receive(b)
		if len(b) >= 4 {
			in := append([]byte(nil), b...)
			in[0] = byte(dhcpv6.MessageTypeReply)
			copy(in[1:], l.c.id[:])
			l.c.Receive(in)
		}
		if got := l.c.Information(); got != nil && (len(got.NameServers) > maxServers || len(got.Search) > maxDomains || got.Refresh < informLeast) {
			t.Fatalf("%+v", got)
		}
		if len(l.clock.timers) > 1 {
			t.Fatalf("%d timers", len(l.clock.timers))
		}
	})
}
