package autoconf

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

var (
	testMAC    = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	serverMAC  = net.HardwareAddr{2, 0, 0, 0, 0, 0x53}
	testServer = netip.MustParseAddr("192.0.2.1")
	testAddr   = netip.MustParseAddr("192.0.2.100")
)

// lab4 is a client in front of a server that the test plays.
type lab4 struct {
	t     *testing.T
	clock *handClock
	c     *DHCPv4
	sent  []Datagram
	told  int // calls of Changed
	probe func(taken bool)
}

func newLab4(t *testing.T, change func(*DHCPv4Config)) *lab4 {
	l := &lab4{t: t, clock: &handClock{now: time.Hour}}
	cfg := DHCPv4Config{
		Env:          testEnv(l.clock),
		HardwareAddr: testMAC,
		ClientID:     append([]byte{1}, testMAC...),
		MTU:          1500,
		Send:         func(d Datagram) { l.sent = append(l.sent, d) },
		Changed:      func() { l.told++ },
	}
	if change != nil {
		change(&cfg)
	}
	l.c = NewDHCPv4(cfg)
	return l
}

// take returns the only message that was sent since the last call, which must
// be of that type.
func (l *lab4) take(typ dhcpv4.MessageType) (*dhcpv4.DHCPv4, Datagram) {
	l.t.Helper()
	if len(l.sent) != 1 {
		l.t.Fatalf("%d messages were sent, want one %v", len(l.sent), typ)
	}
	d := l.sent[0]
	l.sent = nil
	m, err := dhcpv4.FromBytes(d.Payload)
	if err != nil {
		l.t.Fatal(err)
	}
	if m.MessageType() != typ {
		l.t.Fatalf("sent %v, want %v", m.MessageType(), typ)
	}
	return m, d
}

func (l *lab4) nothing() {
	l.t.Helper()
	if len(l.sent) != 0 {
		l.t.Fatalf("%d messages were sent", len(l.sent))
	}
}

func (l *lab4) in(want State) {
	l.t.Helper()
	if l.c.State() != want {
		l.t.Fatalf("state %v, want %v", l.c.State(), want)
	}
}

// answer is a reply of the server to m.
func answer(m *dhcpv4.DHCPv4, typ dhcpv4.MessageType, options ...dhcpv4.Option) *dhcpv4.DHCPv4 {
	r := &dhcpv4.DHCPv4{
		OpCode:        dhcpv4.OpcodeBootReply,
		HWType:        m.HWType,
		TransactionID: m.TransactionID,
		ClientHWAddr:  m.ClientHWAddr,
		YourIPAddr:    testAddr.AsSlice(),
		Options:       dhcpv4.Options{},
	}
	for _, o := range append([]dhcpv4.Option{
		dhcpv4.OptMessageType(typ),
		dhcpv4.OptServerIdentifier(testServer.AsSlice()),
		dhcpv4.OptIPAddressLeaseTime(time.Hour),
		dhcpv4.OptSubnetMask(net.CIDRMask(24, 32)),
		dhcpv4.OptRouter(testServer.AsSlice()),
	}, options...) {
		r.UpdateOption(o)
	}
	return r
}

func (l *lab4) hand(r *dhcpv4.DHCPv4) {
	l.c.Receive(Datagram{Src: netip.AddrPortFrom(testServer, ServerPort4), Link: serverMAC, Payload: r.ToBytes()})
}

// bind takes the client to Bound, and returns its request.
func (l *lab4) bind(options ...dhcpv4.Option) *dhcpv4.DHCPv4 {
	l.t.Helper()
	l.c.Start()
	m, _ := l.take(dhcpv4.MessageTypeDiscover)
	l.hand(answer(m, dhcpv4.MessageTypeOffer))
	l.in(Requesting)
	m, _ = l.take(dhcpv4.MessageTypeRequest)
	l.hand(answer(m, dhcpv4.MessageTypeAck, options...))
	l.in(Bound)
	l.nothing()
	return m
}

func TestDiscover(t *testing.T) {
	l := newLab4(t, func(c *DHCPv4Config) { c.Hostname = "guest" })
	l.c.Start()
	l.c.Start()
	m, d := l.take(dhcpv4.MessageTypeDiscover)
	if d.Src.String() != "0.0.0.0:68" || d.Dst.String() != "255.255.255.255:67" || m.IsBroadcast() || m.HostName() != "guest" ||
		!slices.Equal(m.ClientHWAddr, testMAC) || len(d.Payload) < 300 {
		t.Errorf("%v: %v", d, m.Summary())
	}
	for _, o := range []dhcpv4.OptionCode{dhcpv4.OptionClasslessStaticRoute, dhcpv4.OptionRouter, dhcpv4.OptionDNSDomainSearchList, dhcpv4.OptionInterfaceMTU} {
		if !m.IsOptionRequested(o) {
			t.Errorf("%v is not asked for", o)
		}
	}
	l.in(Selecting)
	l.hand(answer(m, dhcpv4.MessageTypeOffer))
	l.in(Requesting)
	r, d := l.take(dhcpv4.MessageTypeRequest)
	if r.TransactionID != m.TransactionID || d.Dst.String() != "255.255.255.255:67" || r.RequestedIPAddress().String() != testAddr.String() ||
		r.ServerIdentifier().String() != testServer.String() || !r.ClientIPAddr.IsUnspecified() {
		t.Errorf("%v: %v", d, r.Summary())
	}
	l.hand(answer(r, dhcpv4.MessageTypeOffer)) // late
	l.in(Requesting)
	l.nothing()
	if l.told != 0 || l.c.Settled() {
		t.Errorf("told %d times", l.told)
	}
	l.hand(answer(r, dhcpv4.MessageTypeAck))
	l.in(Bound)
	if got := l.c.Lease(); l.told != 1 || got == nil || got.Addr.String() != "192.0.2.100/24" || !l.c.Settled() {
		t.Errorf("told %d times, lease %+v", l.told, got)
	}
}

// TestBroadcastFlag: without a hardware address the answer can only come to all
// (RFC 2131, section 4.1), and the client identifier says who asks.
func TestBroadcastFlag(t *testing.T) {
	l := newLab4(t, func(c *DHCPv4Config) { c.HardwareAddr, c.ClientID = nil, []byte{0, 7, 7} })
	l.c.Start()
	m, _ := l.take(dhcpv4.MessageTypeDiscover)
	if !m.IsBroadcast() || len(m.ClientHWAddr) != 0 || m.HWType != 0 || !slices.Equal(m.Options.Get(dhcpv4.OptionClientIdentifier), []byte{0, 7, 7}) {
		t.Error(m.Summary())
	}
	l.hand(answer(m, dhcpv4.MessageTypeOffer))
	m, _ = l.take(dhcpv4.MessageTypeRequest)
	l.hand(answer(m, dhcpv4.MessageTypeAck))
	l.in(Bound)
	l.clock.advance(30 * time.Minute)
	if m, _ = l.take(dhcpv4.MessageTypeRequest); m.IsBroadcast() {
		t.Error("the flag is set where the client has an address")
	}
}

// TestRetransmission: 4, 8, 16, 32, 64, 64 … s, ± 1 s, each its own draw.
func TestRetransmission(t *testing.T) {
	l := newLab4(t, nil)
	l.c.Start()
	var first []time.Duration
	last := l.clock.now
	for _, want := range []time.Duration{4, 8, 16, 32, 64, 64, 64} {
		l.sent = nil
		for len(l.sent) == 0 {
			l.clock.advance(10 * time.Millisecond)
		}
		m, _ := l.take(dhcpv4.MessageTypeDiscover)
		wait := l.clock.now - last
		last = l.clock.now
		if diff := wait - want*time.Second; diff < -time.Second || diff > time.Second+10*time.Millisecond {
			t.Errorf("waited %v, want %v s", wait, int(want))
		}
		if secs := time.Duration(m.NumSeconds) * time.Second; secs != (l.clock.now - time.Hour).Truncate(time.Second) {
			t.Errorf("secs is %v after %v", secs, l.clock.now-time.Hour)
		}
		first = append(first, wait%time.Second)
	}
	if slices.Min(first) == slices.Max(first) {
		t.Error("no spread")
	}
	if !l.c.Settled() {
		t.Error("not settled though nobody answers")
	}
}

// TestRequestUnanswered: after a minute the client begins anew.
func TestRequestUnanswered(t *testing.T) {
	l := newLab4(t, nil)
	l.c.Start()
	m, _ := l.take(dhcpv4.MessageTypeDiscover)
	l.hand(answer(m, dhcpv4.MessageTypeOffer))
	l.clock.advance(50 * time.Second)
	if len(l.sent) != requestTries {
		t.Errorf("%d requests", len(l.sent))
	}
	l.in(Requesting)
	l.sent = nil
	for l.c.State() == Requesting && l.clock.now < time.Hour+70*time.Second {
		l.clock.advance(10 * time.Millisecond)
	}
	l.in(Selecting)
	if again, _ := l.take(dhcpv4.MessageTypeDiscover); again.TransactionID == m.TransactionID {
		t.Error("the same transaction")
	}
}

func TestRenew(t *testing.T) {
	l := newLab4(t, nil)
	l.bind()
	l.clock.advance(30*time.Minute - time.Second)
	l.in(Bound)
	l.clock.advance(time.Second)
	l.in(Renewing)
	m, d := l.take(dhcpv4.MessageTypeRequest)
	if d.Src.String() != "192.0.2.100:68" || d.Dst.String() != "192.0.2.1:67" || m.ClientIPAddr.String() != testAddr.String() ||
		m.Options.Has(dhcpv4.OptionRequestedIPAddress) || m.Options.Has(dhcpv4.OptionServerIdentifier) {
		t.Errorf("%v: %v", d, m.Summary())
	}
	// Unanswered: after half of what is left until T2 at 52.5 min.
	l.clock.advance(22*time.Minute + 30*time.Second - time.Second)
	if n := len(l.sent); n != 5 { // 11:15, 5:37, 2:49, 1:24, 1:00
		t.Errorf("%d renewals", n)
	}
	m, _ = dhcpv4.FromBytes(l.sent[len(l.sent)-1].Payload)
	l.hand(answer(m, dhcpv4.MessageTypeAck))
	l.in(Bound)
	l.sent = nil
	if l.told != 2 {
		t.Errorf("told %d times", l.told)
	}
	l.clock.advance(29 * time.Minute)
	l.in(Bound) // counted from the renewal
}

func TestRebindAndExpiry(t *testing.T) {
	l := newLab4(t, nil)
	l.bind()
	l.clock.advance(52*time.Minute + 29*time.Second)
	l.in(Renewing)
	l.sent = nil
	l.clock.advance(time.Second)
	l.in(Rebinding)
	m, d := l.take(dhcpv4.MessageTypeRequest)
	if d.Src.String() != "192.0.2.100:68" || d.Dst.String() != "255.255.255.255:67" || m.ClientIPAddr.String() != testAddr.String() {
		t.Errorf("%v: %v", d, m.Summary())
	}
	l.clock.advance(7*time.Minute + 29*time.Second)
	l.in(Rebinding)
	if l.c.Lease() == nil {
		t.Fatal("no lease before its end")
	}
	l.sent = nil
	l.clock.advance(time.Second)
	l.in(Selecting)
	if l.c.Lease() != nil || l.told != 2 {
		t.Errorf("lease %v, told %d times", l.c.Lease(), l.told)
	}
	l.take(dhcpv4.MessageTypeDiscover)
}

// TestRebindElsewhere: another server may answer a rebinding client.
func TestRebindElsewhere(t *testing.T) {
	l := newLab4(t, nil)
	l.bind()
	l.clock.advance(53 * time.Minute)
	l.in(Rebinding)
	m, _ := dhcpv4.FromBytes(l.sent[len(l.sent)-1].Payload)
	l.sent = nil
	l.hand(answer(m, dhcpv4.MessageTypeAck, dhcpv4.OptServerIdentifier(net.IP{192, 0, 2, 9})))
	l.in(Bound)
	if s := l.c.Lease().Server.String(); s != "192.0.2.9" {
		t.Errorf("server %v", s)
	}
}

func TestTimesOfTheServer(t *testing.T) {
	secs := func(code dhcpv4.OptionCode, n byte) dhcpv4.Option {
		return dhcpv4.OptGeneric(code, []byte{0, 0, 0, n})
	}
	for _, c := range []struct {
		name           string
		options        []dhcpv4.Option
		t1, t2, length time.Duration
	}{
		{"defaults", []dhcpv4.Option{secs(dhcpv4.OptionIPAddressLeaseTime, 80)}, 40, 70, 80},
		{"given", []dhcpv4.Option{secs(dhcpv4.OptionIPAddressLeaseTime, 80), secs(dhcpv4.OptionRenewTimeValue, 10), secs(dhcpv4.OptionRebindingTimeValue, 60)}, 10, 60, 80},
		{"T1 after T2", []dhcpv4.Option{secs(dhcpv4.OptionIPAddressLeaseTime, 80), secs(dhcpv4.OptionRenewTimeValue, 70), secs(dhcpv4.OptionRebindingTimeValue, 60)}, 40, 60, 80},
		{"T2 after the end", []dhcpv4.Option{secs(dhcpv4.OptionIPAddressLeaseTime, 80), secs(dhcpv4.OptionRebindingTimeValue, 90)}, 40, 70, 80},
		{"very short", []dhcpv4.Option{secs(dhcpv4.OptionIPAddressLeaseTime, 0)}, 8, 14, 16},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab4(t, nil)
			l.bind(c.options...)
			got := l.c.Lease()
			if got.Renew != c.t1*time.Second || got.Rebind != c.t2*time.Second || got.Duration != c.length*time.Second {
				t.Errorf("%v %v %v", got.Renew, got.Rebind, got.Duration)
			}
			l.clock.advance(c.t1*time.Second - 1)
			l.in(Bound)
			l.clock.advance(1)
			l.in(Renewing)
			l.clock.advance((c.t2 - c.t1) * time.Second)
			l.in(Rebinding)
			l.clock.advance((c.length-c.t2)*time.Second - 1)
			l.in(Rebinding)
			l.clock.advance(1)
			l.in(Selecting)
		})
	}
}

func TestInfiniteLease(t *testing.T) {
	l := newLab4(t, nil)
	l.bind(dhcpv4.OptGeneric(dhcpv4.OptionIPAddressLeaseTime, []byte{255, 255, 255, 255}))
	l.clock.advance(10 * 365 * 24 * time.Hour)
	l.in(Bound)
	l.nothing()
	if len(l.clock.timers) != 0 || l.c.Lease().Duration != 0 {
		t.Errorf("%d timers, %+v", len(l.clock.timers), l.c.Lease())
	}
	l.c.LinkUp()
	l.in(Rebinding)
	l.take(dhcpv4.MessageTypeRequest)
	l.clock.advance(10 * time.Minute)
	l.in(Rebinding)
	if n := len(l.sent); n < 8 || n > 10 {
		t.Errorf("%d requests in ten minutes", n)
	}
}

func TestNak(t *testing.T) {
	l := newLab4(t, nil)
	l.bind()
	l.clock.advance(30 * time.Minute)
	m, _ := l.take(dhcpv4.MessageTypeRequest)
	l.hand(answer(m, dhcpv4.MessageTypeNak))
	if l.c.Lease() != nil || l.told != 2 {
		t.Errorf("lease %v, told %d times", l.c.Lease(), l.told)
	}
	l.in(Init)
	l.clock.advance(0)
	l.in(Selecting)
	m, _ = l.take(dhcpv4.MessageTypeDiscover)
	// A server that refuses what it offers is not asked in a loop.
	for _, wait := range []time.Duration{4, 8, 16, 32, 64, 64} {
		l.hand(answer(m, dhcpv4.MessageTypeOffer))
		m, _ = l.take(dhcpv4.MessageTypeRequest)
		l.hand(answer(m, dhcpv4.MessageTypeNak))
		l.in(Init)
		l.clock.advance(wait*time.Second - 1)
		l.in(Init)
		l.nothing()
		l.clock.advance(1)
		m, _ = l.take(dhcpv4.MessageTypeDiscover)
	}
}

// probing makes a client that asks its neighbours.
func probing(t *testing.T) *lab4 {
	var l *lab4
	l = newLab4(t, func(c *DHCPv4Config) {
		c.Probe = func(a netip.Addr, done func(bool)) {
			if a != testAddr {
				t.Errorf("probes %v", a)
			}
			l.probe = done
		}
	})
	l.c.Start()
	m, _ := l.take(dhcpv4.MessageTypeDiscover)
	l.hand(answer(m, dhcpv4.MessageTypeOffer))
	m, _ = l.take(dhcpv4.MessageTypeRequest)
	l.hand(answer(m, dhcpv4.MessageTypeAck))
	l.in(Probing)
	if l.c.Lease() != nil || l.told != 0 {
		t.Error("there is a lease before the neighbours were asked")
	}
	return l
}

func TestProbe(t *testing.T) {
	l := probing(t)
	l.probe(false)
	l.in(Bound)
	l.probe(true) // once more
	l.in(Bound)
	if l.c.Lease() == nil || l.told != 1 {
		t.Errorf("lease %v, told %d times", l.c.Lease(), l.told)
	}
	// No second probe for the same address.
	l.probe = nil
	l.clock.advance(30 * time.Minute)
	m, _ := l.take(dhcpv4.MessageTypeRequest)
	l.hand(answer(m, dhcpv4.MessageTypeAck))
	l.in(Bound)
	if l.probe != nil {
		t.Error("probed again")
	}
}

func TestDecline(t *testing.T) {
	l := probing(t)
	l.probe(true)
	l.in(Init)
	m, d := l.take(dhcpv4.MessageTypeDecline)
	if d.Dst.String() != "255.255.255.255:67" || m.RequestedIPAddress().String() != testAddr.String() || m.ServerIdentifier().String() != testServer.String() ||
		!m.ClientIPAddr.IsUnspecified() || m.Options.Has(dhcpv4.OptionParameterRequestList) {
		t.Errorf("%v: %v", d, m.Summary())
	}
	l.clock.advance(10*time.Second - 1)
	l.nothing()
	l.clock.advance(1)
	l.take(dhcpv4.MessageTypeDiscover)
	l.in(Selecting)
	if l.told != 0 {
		t.Errorf("told %d times", l.told)
	}
}

func TestRelease(t *testing.T) {
	l := newLab4(t, nil)
	l.bind()
	l.c.Stop(true)
	l.in(Off)
	m, d := l.take(dhcpv4.MessageTypeRelease)
	if d.Src.String() != "192.0.2.100:68" || d.Dst.String() != "192.0.2.1:67" || !slices.Equal(d.Link, serverMAC) ||
		m.ClientIPAddr.String() != testAddr.String() || m.ServerIdentifier().String() != testServer.String() ||
		!slices.Equal(m.Options.Get(dhcpv4.OptionClientIdentifier), append([]byte{1}, testMAC...)) {
		t.Errorf("%v: %v", d, m.Summary())
	}
	if l.c.Lease() != nil || l.told != 2 || len(l.clock.timers) != 0 {
		t.Errorf("lease %v, told %d times, %d timers", l.c.Lease(), l.told, len(l.clock.timers))
	}
	l.c.Stop(true)
	l.nothing()

	l = newLab4(t, nil)
	l.bind()
	l.c.Stop(false)
	l.nothing()
	l = newLab4(t, nil)
	l.c.Start()
	l.sent = nil
	l.c.Stop(true) // there is nothing to give back
	l.nothing()
	if len(l.clock.timers) != 0 {
		t.Errorf("%d timers", len(l.clock.timers))
	}
}

func TestLinkUp(t *testing.T) {
	l := newLab4(t, nil)
	l.c.LinkUp()
	l.nothing()
	l.bind()
	l.c.LinkUp()
	l.in(Rebinding)
	m, _ := l.take(dhcpv4.MessageTypeRequest)
	l.hand(answer(m, dhcpv4.MessageTypeNak)) // another network
	if l.c.Lease() != nil {
		t.Error("the lease of another network is kept")
	}
	l.clock.advance(0)
	l.take(dhcpv4.MessageTypeDiscover)
	l.c.LinkUp()
	l.take(dhcpv4.MessageTypeDiscover)
}

// TestAnotherAddress: an acknowledgement of a renewal may bring another
// address: the old one goes first.
func TestAnotherAddress(t *testing.T) {
	l := newLab4(t, nil)
	l.bind()
	l.clock.advance(30 * time.Minute)
	m, _ := l.take(dhcpv4.MessageTypeRequest)
	r := answer(m, dhcpv4.MessageTypeAck)
	r.YourIPAddr = net.IP{192, 0, 2, 101}
	l.hand(r)
	l.in(Bound)
	if got := l.c.Lease().Addr.String(); got != "192.0.2.101/24" || l.told != 3 {
		t.Errorf("%s, told %d times", got, l.told)
	}
}
