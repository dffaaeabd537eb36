package autoconf

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/rfc1035label"
)

// lab6 is a client in front of a server that the test plays.
type lab6 struct {
	t     *testing.T
	clock *handClock
	c     *DHCPv6
	sent  [][]byte
	told  int
}

func newLab6(t *testing.T, change func(*DHCPv6Config)) *lab6 {
	l := &lab6{t: t, clock: &handClock{now: time.Hour}}
	cfg := DHCPv6Config{
		Env:          testEnv(l.clock),
		HardwareAddr: testMAC,
		Send:         func(b []byte) { l.sent = append(l.sent, b) },
		Changed:      func() { l.told++ },
	}
	if change != nil {
		change(&cfg)
	}
	l.c = NewDHCPv6(cfg)
	return l
}

func (l *lab6) take() *dhcpv6.Message {
	l.t.Helper()
	if len(l.sent) != 1 {
		l.t.Fatalf("%d messages were sent, want one", len(l.sent))
	}
	m, err := dhcpv6.MessageFromBytes(l.sent[0])
	if err != nil || m.MessageType != dhcpv6.MessageTypeInformationRequest {
		l.t.Fatalf("%v, %v", m, err)
	}
	l.sent = nil
	return m
}

// reply6 is the server's answer to m.
func reply6(m *dhcpv6.Message, options ...dhcpv6.Option) *dhcpv6.Message {
	r := &dhcpv6.Message{MessageType: dhcpv6.MessageTypeReply, TransactionID: m.TransactionID}
	r.AddOption(dhcpv6.OptServerID(&dhcpv6.DUIDLL{HWType: 1, LinkLayerAddr: serverMAC}))
	for _, o := range options {
		r.AddOption(o)
	}
	return r
}

func TestInformation(t *testing.T) {
	l := newLab6(t, nil)
	l.c.Start()
	l.c.Start()
	if len(l.sent) != 0 || l.c.Settled() {
		t.Error("sent without the delay")
	}
	l.clock.advance(time.Second)
	m := l.take()
	if id, ok := m.Options.ClientID().(*dhcpv6.DUIDLL); !ok || !slices.Equal(id.LinkLayerAddr, testMAC) {
		t.Errorf("client %v", m.Options.ClientID())
	}
	if asked := m.Options.RequestedOptions(); !asked.Contains(dhcpv6.OptionDNSRecursiveNameServer) || !asked.Contains(dhcpv6.OptionDomainSearchList) {
		t.Errorf("asked for %v", asked)
	}
	l.c.Receive(reply6(m,
		dhcpv6.OptClientID(m.Options.ClientID()),
		dhcpv6.OptDNS(net.ParseIP("2001:db8::53"), net.ParseIP("ff02::1"), net.ParseIP("::ffff:192.0.2.1")),
		dhcpv6.OptDomainSearchList(&rfc1035label.Labels{Labels: []string{"lab.example"}}),
		dhcpv6.OptInformationRefreshTime(700*time.Second),
	).ToBytes())
	got := l.c.Information()
	if got == nil || !slices.Equal(got.NameServers, []netip.Addr{netip.MustParseAddr("2001:db8::53")}) || !slices.Equal(got.Search, []string{"lab.example"}) ||
		got.Refresh != 700*time.Second || l.told != 1 || !l.c.Settled() {
		t.Fatalf("%+v, told %d times", got, l.told)
	}
	l.clock.advance(700*time.Second - 1)
	if len(l.sent) != 0 {
		t.Error("asks too early")
	}
	l.clock.advance(1)
	again := l.take()
	if again.TransactionID == m.TransactionID {
		t.Error("the same transaction")
	}
	if l.c.Information() == nil {
		t.Error("forgotten when it is time to ask")
	}
	l.c.Receive(reply6(again).ToBytes())
	if got := l.c.Information(); len(got.NameServers) != 0 || got.Refresh != informRefresh {
		t.Errorf("%+v", got)
	}
	l.c.LinkUp()
	l.take()
	l.c.Stop()
	if l.c.Information() != nil || len(l.clock.timers) != 0 || l.told != 3 {
		t.Errorf("%+v, %d timers, told %d times", l.c.Information(), len(l.clock.timers), l.told)
	}
	l.c.LinkUp()
	if len(l.sent) != 0 {
		t.Error("asks after its end")
	}
}

func TestInformationRefresh(t *testing.T) {
	for _, c := range []struct {
		said uint32
		want time.Duration
	}{{0, informRefresh}, {1, informLeast}, {599, informLeast}, {601, 601 * time.Second}, {infinite, forever}} {
		l := newLab6(t, nil)
		l.c.Start()
		l.clock.advance(time.Second)
		r := reply6(l.take(), dhcpv6.OptInformationRefreshTime(time.Duration(c.said)*time.Second))
		l.c.Receive(r.ToBytes())
		if got := l.c.Information(); got == nil || got.Refresh != c.want {
			t.Errorf("%d: %+v", c.said, got)
		}
	}
}

// TestInformationUnanswered: 1, 2, 4 … 3600 s, ± 10 %.
func TestInformationUnanswered(t *testing.T) {
	l := newLab6(t, func(c *DHCPv6Config) { c.HardwareAddr, c.UUID = nil, [16]byte{1: 7} })
	l.c.Start()
	l.clock.advance(time.Second)
	if id, ok := l.take().Options.ClientID().(*dhcpv6.DUIDUUID); !ok || id.UUID != [16]byte{1: 7} {
		t.Error("not the identity of a client without hardware address")
	}
	begun := l.clock.now
	l.clock.advance(time.Hour)
	if n := len(l.sent); n < 11 || n > 12 {
		t.Errorf("%d messages in an hour", n)
	}
	m, err := dhcpv6.MessageFromBytes(l.sent[len(l.sent)-1])
	if err != nil || m.Options.ElapsedTime() <= 0 || m.Options.ElapsedTime() > l.clock.now-begun+time.Second {
		t.Errorf("%v, %v", m, err)
	}
	if !l.c.Settled() {
		t.Error("not settled though nobody answers")
	}
	l.sent = nil
	l.clock.advance(100 * time.Hour)
	if n := len(l.sent); n < 90 || n > 112 {
		t.Errorf("%d messages in 100 hours", n)
	}
}

func TestForeign6(t *testing.T) {
	l := newLab6(t, nil)
	l.c.Start()
	l.clock.advance(time.Second)
	m := l.take()
	good := reply6(m, dhcpv6.OptDNS(net.ParseIP("2001:db8::53")))
	for name, spoil := range map[string]func(*dhcpv6.Message){
		"other transaction": func(r *dhcpv6.Message) { r.TransactionID[0]++ },
		"other type":        func(r *dhcpv6.Message) { r.MessageType = dhcpv6.MessageTypeAdvertise },
		"no server":         func(r *dhcpv6.Message) { r.Options.Del(dhcpv6.OptionServerID) },
		"other client": func(r *dhcpv6.Message) {
			r.AddOption(dhcpv6.OptClientID(&dhcpv6.DUIDLL{HWType: 1, LinkLayerAddr: serverMAC}))
		},
		"empty client": func(r *dhcpv6.Message) { r.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionClientID}) },
		"cut name server": func(r *dhcpv6.Message) {
			r.Options.Del(dhcpv6.OptionDNSRecursiveNameServer)
			r.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionDNSRecursiveNameServer, OptionData: []byte{1, 2, 3}})
		},
	} {
		r, err := dhcpv6.MessageFromBytes(good.ToBytes())
		if err != nil {
			t.Fatal(err)
		}
		spoil(r)
		l.c.Receive(r.ToBytes())
		if l.c.Information() != nil {
			t.Fatalf("%s: %+v", name, l.c.Information())
		}
	}
	whole := good.ToBytes()
	for n := range whole {
		l.c.Receive(whole[:n])
	}
	l.c.Receive(append(whole, make([]byte, maxMessage)...))
	if got := l.c.Information(); got != nil && len(got.NameServers) != 0 {
		t.Errorf("%+v", got)
	}
}
