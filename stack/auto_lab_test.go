package stack

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"usersock/netdev"
	"usersock/stack/endpoint"
	"usersock/stack/internal/autoconf"
)

// autoLab is a host that configures itself, in front of a network that the
// test plays. Time moves when the test says so, and nothing runs meanwhile.
type autoLab struct {
	t     *testing.T
	clock *handClock
	s     *Stack
	dev   *scripted
	mu    sync.Mutex
	seen  []Event
}

const labMTU = 1500

var (
	labMAC    = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	otherMAC  = net.HardwareAddr{2, 0, 0, 0, 0, 9}
	labServer = netip.MustParseAddr("192.0.2.1")
	labRouter = netip.MustParseAddr("fe80::9")
)

// newAutoLab makes the host; with mac it is on an Ethernet. Without change the
// interface is attached after the events are watched.
func newAutoLab(t *testing.T, mac bool, play func(*scripted, []byte), auto Auto, change func(*Config)) *autoLab {
	t.Helper()
	l := &autoLab{t: t, clock: new(handClock), dev: &scripted{play: play}}
	dc := netdev.DeviceConfig{Direct: true}
	if mac {
		dc.HardwareAddr, l.dev.mac = labMAC, labMAC
	}
	cfg := Config{Clock: l.clock, Seed: 1, Interfaces: []Interface{{Name: "eth0", Link: netdev.FromDevice(l.dev, dc), Auto: auto}}}
	late := cfg.Interfaces[0]
	if change != nil {
		change(&cfg)
	} else {
		cfg.Interfaces = nil
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l.s = s
	t.Cleanup(func() { s.Close() })
	s.Watch(func(e Event) {
		l.mu.Lock()
		l.seen = append(l.seen, e)
		l.mu.Unlock()
	})
	if change == nil {
		if err := s.Attach(late); err != nil {
			t.Fatal(err)
		}
	}
	l.rest()
	return l
}

// rest waits until the host has done what there is to do.
func (l *autoLab) rest() {
	for range 5 { // a job may bring about others
		for _, a := range l.s.listAutos() {
			done := make(chan struct{})
			a.do(func() { close(done) })
			<-done
		}
	}
}

// events returns what was told so far.
func (l *autoLab) events() []Event {
	done := make(chan struct{})
	l.s.events.do(func() { close(done) })
	<-done
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.seen)
}

// silence lets nobody answer any more.
func (l *autoLab) silence() {
	l.dev.mu.Lock()
	defer l.dev.mu.Unlock()
	l.dev.play = nil
}

// advance moves time, and lets the host rest after every timer.
func (l *autoLab) advance(d time.Duration) {
	end := l.clock.Monotonic() + d
	for l.clock.fire(end) {
		l.rest()
	}
}

func (l *autoLab) state() AutoState {
	st, _ := l.s.AutoState("eth0")
	return st
}

// has reports whether the interface has an address.
func (l *autoLab) has(addr string) bool {
	for _, in := range l.s.Interfaces() {
		if in.Name == "eth0" && slices.Contains(in.Addrs, netip.MustParsePrefix(addr)) {
			return true
		}
	}
	return false
}

// via returns the router of a route, "" for none.
func (l *autoLab) via(dst string) string {
	for _, r := range l.s.Routes() {
		if r.Dst.String() == dst && r.Dev == "eth0" {
			return r.Via.String()
		}
	}
	return ""
}

// scripted is a device that shows what the host sends to play.
type scripted struct {
	mac     net.HardwareAddr
	play    func(d *scripted, packet []byte)
	deliver func([]byte)

	mu   sync.Mutex
	sent [][]byte // IP packets and ARP, without their Ethernet header
}

func (d *scripted) MTU() int     { return labMTU }
func (d *scripted) Close() error { return nil }
func (d *scripted) Attach(f func([]byte)) {
	d.mu.Lock()
	d.deliver = f
	d.mu.Unlock()
}

func (d *scripted) Send(b []byte) error {
	if d.mac != nil {
		b = b[header.EthernetMinimumSize:]
	}
	b = slices.Clone(b)
	d.mu.Lock()
	d.sent = append(d.sent, b)
	play := d.play
	d.mu.Unlock()
	if play != nil {
		play(d, b)
	}
	return nil
}

// hand gives the host a packet.
func (d *scripted) hand(packet []byte) {
	d.mu.Lock()
	deliver := d.deliver
	d.mu.Unlock()
	if deliver == nil {
		return
	}
	if d.mac != nil {
		kind := []byte{0x08, 0x06}
		switch {
		case packet[0]>>4 == 4:
			kind = []byte{0x08, 0x00}
		case packet[0]>>4 == 6:
			kind = []byte{0x86, 0xdd}
		}
		packet = slices.Concat(labMAC, otherMAC, kind, packet)
	}
	deliver(packet)
}

// take returns what was sent since the last call.
func (d *scripted) take() [][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	sent := d.sent
	d.sent = nil
	return sent
}

// dhcp returns the DHCPv4 messages of packets.
func dhcpOf(packets [][]byte) (list []*dhcpv4.DHCPv4) {
	for _, b := range packets {
		if b[0]>>4 != 4 {
			continue
		}
		if d, ok := datagram(b, false); ok && d.Dst.Port() == autoconf.ServerPort4 {
			if m, err := dhcpv4.FromBytes(d.Payload); err == nil {
				list = append(list, m)
			}
		}
	}
	return list
}

func typesOf(packets [][]byte) (list []dhcpv4.MessageType) {
	for _, m := range dhcpOf(packets) {
		list = append(list, m.MessageType())
	}
	return list
}

// icmp6Of returns how many ICMPv6 messages of a type are among packets.
func icmp6Of(packets [][]byte, typ header.ICMPv6Type) (n int) {
	for _, b := range packets {
		if b[0]>>4 == 6 && b[6] == uint8(header.ICMPv6ProtocolNumber) && header.ICMPv6Type(b[40]) == typ {
			n++
		}
	}
	return n
}

// dhcpServer answers with a lease of a minute.
func dhcpServer(options ...dhcpv4.Option) func(*scripted, []byte) {
	return func(d *scripted, b []byte) {
		for _, m := range dhcpOf([][]byte{b}) {
			typ := dhcpv4.MessageTypeOffer
			switch m.MessageType() {
			case dhcpv4.MessageTypeRequest:
				typ = dhcpv4.MessageTypeAck
			case dhcpv4.MessageTypeDiscover:
			default:
				continue
			}
			r := &dhcpv4.DHCPv4{OpCode: dhcpv4.OpcodeBootReply, HWType: m.HWType, TransactionID: m.TransactionID, ClientHWAddr: m.ClientHWAddr,
				YourIPAddr: net.IP{192, 0, 2, 100}, Options: dhcpv4.Options{}}
			for _, o := range append([]dhcpv4.Option{
				dhcpv4.OptMessageType(typ), dhcpv4.OptServerIdentifier(labServer.AsSlice()), dhcpv4.OptIPAddressLeaseTime(time.Minute),
				dhcpv4.OptSubnetMask(net.CIDRMask(24, 32)), dhcpv4.OptRouter(labServer.AsSlice()),
			}, options...) {
				r.UpdateOption(o)
			}
			d.hand(udp4(labServer, netip.MustParseAddr("255.255.255.255"), 67, 68, r.ToBytes()))
		}
	}
}

// udp4 makes an IPv4 packet with a UDP datagram.
func udp4(src, dst netip.Addr, from, to uint16, payload []byte) []byte {
	b := make([]byte, header.IPv4MinimumSize+header.UDPMinimumSize+len(payload))
	ip := header.IPv4(b)
	ip.Encode(&header.IPv4Fields{TotalLength: uint16(len(b)), TTL: 64, Protocol: uint8(header.UDPProtocolNumber), SrcAddr: address(src), DstAddr: address(dst)})
	ip.SetChecksum(^ip.CalculateChecksum())
	header.UDP(b[header.IPv4MinimumSize:]).Encode(&header.UDPFields{SrcPort: from, DstPort: to, Length: uint16(header.UDPMinimumSize + len(payload))})
	copy(b[header.IPv4MinimumSize+header.UDPMinimumSize:], payload) // without a checksum, as IPv4 allows
	return b
}

// icmp6 makes an IPv6 packet with an ICMPv6 message of a type and its body.
func icmp6(src, dst netip.Addr, typ header.ICMPv6Type, body []byte) []byte {
	b := make([]byte, header.IPv6MinimumSize+header.ICMPv6HeaderSize+len(body))
	header.IPv6(b).Encode(&header.IPv6Fields{PayloadLength: uint16(len(b) - header.IPv6MinimumSize), TransportProtocol: header.ICMPv6ProtocolNumber,
		HopLimit: header.NDPHopLimit, SrcAddr: address(src), DstAddr: address(dst)})
	m := header.ICMPv6(b[header.IPv6MinimumSize:])
	m.SetType(typ)
	copy(m[header.ICMPv6HeaderSize:], body)
	m.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: m, Src: address(src), Dst: address(dst)}))
	return b
}

var allNodes = netip.MustParseAddr("ff02::1")

// advert makes a router advertisement: its lifetime in seconds, then options.
func advert(lifetime uint16, options ...[]byte) []byte {
	body := []byte{64, 0, byte(lifetime >> 8), byte(lifetime), 0, 0, 0, 0, 0, 0, 0, 0}
	return icmp6(labRouter, allNodes, header.ICMPv6RouterAdvert, append(body, slices.Concat(options...)...))
}

// prefixOption has the flags L and A.
func prefixOption(prefix string, valid, preferred byte) []byte {
	p := netip.MustParsePrefix(prefix)
	ip := p.Addr().As16()
	return append([]byte{3, 4, byte(p.Bits()), 0xc0, 0, 0, 0, valid, 0, 0, 0, preferred, 0, 0, 0, 0}, ip[:]...)
}

// handClock moves only when a test says so.
type handClock struct {
	mu     sync.Mutex
	now    time.Duration
	timers []*handTimer
}

type handTimer struct {
	clock *handClock
	at    time.Duration
	f     func()
}

var _ endpoint.Clock = (*handClock)(nil)

func (c *handClock) Now() time.Time { return time.Unix(1<<30, 0).Add(c.Monotonic()) }

func (c *handClock) Monotonic() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) AfterFunc(d time.Duration, f func()) endpoint.Timer {
	t := &handTimer{clock: c, f: f}
	t.Reset(d)
	return t
}

func (t *handTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	return t.stop()
}

func (t *handTimer) stop() bool {
	i := slices.Index(t.clock.timers, t)
	if i >= 0 {
		t.clock.timers = slices.Delete(t.clock.timers, i, i+1)
	}
	return i >= 0
}

func (t *handTimer) Reset(d time.Duration) {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	t.stop()
	t.at = t.clock.now + d
	t.clock.timers = append(t.clock.timers, t)
}

// fire runs the next timer that is due by end; else it moves time to end.
func (c *handClock) fire(end time.Duration) bool {
	c.mu.Lock()
	var next *handTimer
	for _, t := range c.timers {
		if t.at <= end && (next == nil || t.at < next.at) {
			next = t
		}
	}
	if next == nil {
		c.now = end
		c.mu.Unlock()
		return false
	}
	c.now = max(c.now, next.at)
	next.stop()
	c.mu.Unlock()
	next.f()
	return true
}
