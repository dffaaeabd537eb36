package autoconf

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

var (
	router1 = netip.MustParseAddr("fe80::1")
	router2 = netip.MustParseAddr("fe80::2")
)

// labRA is a host in front of routers that the test plays.
type labRA struct {
	t         *testing.T
	clock     *handClock
	r         *Router
	solicited int
	stateless int
	told      int
}

func newLabRA(t *testing.T) *labRA {
	l := &labRA{t: t, clock: &handClock{now: time.Hour}}
	l.r = NewRouter(RouterConfig{
		Env:         testEnv(l.clock),
		InterfaceID: [8]byte{0, 0, 0, 0, 0, 0, 0, 7},
		MTU:         1500,
		Solicit:     func() { l.solicited++ },
		Stateless:   func() { l.stateless++ },
		Changed:     func() { l.told++ },
	})
	l.r.Start()
	return l
}

// prefix is the option of 2001:db8:N::/64 with its flags L and A.
func prefix(n int, valid, preferred uint32) AdvertisedPrefix {
	return AdvertisedPrefix{Prefix: netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x::/64", n)), OnLink: true, Auto: true, Valid: valid, Preferred: preferred}
}

func (l *labRA) hear(ra RouterAdvertisement) {
	if !ra.Router.IsValid() {
		ra.Router = router1
	}
	l.r.Receive(ra)
}

// addrs is the addresses as text; a deprecated one has a "-".
func (l *labRA) addrs() (list []string) {
	for _, a := range l.r.Advertised().Addrs {
		text := a.Prefix.String()
		if a.Deprecated {
			text += " -"
		}
		list = append(list, text)
	}
	return list
}

func (l *labRA) want(what string, got, want []string) {
	l.t.Helper()
	if !slices.Equal(got, want) {
		l.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func (l *labRA) routes() (list []string) {
	for _, r := range l.r.Advertised().Routes {
		list = append(list, fmt.Sprint(r.Dst, " ", r.Via))
	}
	return list
}

func TestSolicit(t *testing.T) {
	l := newLabRA(t)
	if l.solicited != 1 || l.r.Settled() {
		t.Fatalf("solicited %d times", l.solicited)
	}
	l.clock.advance(5 * time.Second)
	if l.solicited != 2 || !l.r.Settled() {
		t.Errorf("solicited %d times in 5 s", l.solicited)
	}
	l.clock.advance(time.Hour)
	if l.solicited != 10 { // after 0, 4, 12 … 2044 s
		t.Errorf("solicited %d times in an hour", l.solicited)
	}
	l.clock.advance(24 * time.Hour)
	if l.solicited < 10+22 || l.solicited > 10+28 {
		t.Errorf("solicited %d times in the day after it", l.solicited)
	}
	n := l.solicited
	l.hear(RouterAdvertisement{Lifetime: 1800})
	l.clock.advance(29 * time.Minute)
	if l.solicited != n {
		t.Error("goes on though a router is there")
	}
	l.clock.advance(time.Minute)
	if l.solicited != n+1 {
		t.Error("the last router has gone, and none is looked for")
	}
	l.r.LinkUp()
	if l.solicited != n+2 {
		t.Error("not solicited on another link")
	}
	l.r.Stop()
	if len(l.clock.timers) != 0 {
		t.Errorf("%d timers", len(l.clock.timers))
	}
	l.r.LinkUp()
	l.hear(RouterAdvertisement{Lifetime: 1800})
	if len(l.clock.timers) != 0 || len(l.routes()) != 0 {
		t.Error("it lives on")
	}
}

func TestDefaultRouters(t *testing.T) {
	l := newLabRA(t)
	l.hear(RouterAdvertisement{Lifetime: 100})
	l.hear(RouterAdvertisement{Router: router2, Lifetime: 200})
	l.want("first come", l.routes(), []string{"::/0 fe80::1"})
	l.hear(RouterAdvertisement{Router: router2, Lifetime: 200, Preference: High})
	l.want("preferred", l.routes(), []string{"::/0 fe80::2"})
	l.hear(RouterAdvertisement{Router: router2, Lifetime: 200, Preference: Low})
	l.want("not preferred", l.routes(), []string{"::/0 fe80::1"})
	l.clock.advance(100*time.Second - 1)
	l.want("before the end", l.routes(), []string{"::/0 fe80::1"})
	l.clock.advance(1)
	l.want("after the end", l.routes(), []string{"::/0 fe80::2"})
	told := l.told
	l.hear(RouterAdvertisement{Router: router2, Lifetime: 300, Preference: Low})
	if l.told != told {
		t.Error("what is the same is told")
	}
	l.hear(RouterAdvertisement{Router: router2})
	l.want("good-bye", l.routes(), nil)
}

func TestRouteInformation(t *testing.T) {
	l := newLabRA(t)
	dst := netip.MustParsePrefix("2001:db8:f0::/44")
	l.hear(RouterAdvertisement{Routes: []AdvertisedRoute{{Dst: dst, Lifetime: 60}}})
	l.want("no default router", l.routes(), []string{"2001:db8:f0::/44 fe80::1"})
	l.hear(RouterAdvertisement{Router: router2, Routes: []AdvertisedRoute{{Dst: dst, Lifetime: 60, Preference: High}}})
	l.want("preferred", l.routes(), []string{"2001:db8:f0::/44 fe80::2"})
	l.hear(RouterAdvertisement{Router: router2, Routes: []AdvertisedRoute{{Dst: dst}}})
	l.want("taken back", l.routes(), []string{"2001:db8:f0::/44 fe80::1"})
	l.clock.advance(time.Minute)
	l.want("over", l.routes(), nil)
	l.hear(RouterAdvertisement{Routes: []AdvertisedRoute{{Dst: netip.MustParsePrefix("fe80::/64"), Lifetime: 60}, {Dst: netip.MustParsePrefix("ff00::/8"), Lifetime: 60}}})
	l.want("no route to take over the link", l.routes(), nil)
	l.hear(RouterAdvertisement{Routes: []AdvertisedRoute{{Dst: dst, Lifetime: infinite}}})
	l.clock.advance(1000 * time.Hour)
	l.want("for ever", l.routes(), []string{"2001:db8:f0::/44 fe80::1"})
}

func TestAddress(t *testing.T) {
	l := newLabRA(t)
	l.hear(RouterAdvertisement{Prefixes: []AdvertisedPrefix{prefix(1, 10000, 8000)}})
	l.want("new", l.addrs(), []string{"2001:db8:1::7/64"})
	if on := l.r.Advertised().OnLink; !slices.Equal(on, []netip.Prefix{netip.MustParsePrefix("2001:db8:1::/64")}) {
		t.Errorf("on link: %v", on)
	}
	l.clock.advance(8000*time.Second - 1)
	l.want("preferred", l.addrs(), []string{"2001:db8:1::7/64"})
	l.clock.advance(1)
	l.want("deprecated", l.addrs(), []string{"2001:db8:1::7/64 -"})
	l.hear(RouterAdvertisement{Prefixes: []AdvertisedPrefix{prefix(1, 10000, 8000)}})
	l.want("renewed", l.addrs(), []string{"2001:db8:1::7/64"})
	l.clock.advance(10000*time.Second - 1)
	l.want("valid", l.addrs(), []string{"2001:db8:1::7/64 -"})
	l.clock.advance(1)
	l.want("over", l.addrs(), nil)
	if on := l.r.Advertised().OnLink; len(on) != 0 {
		t.Errorf("on link: %v", on)
	}
	l.hear(RouterAdvertisement{Prefixes: []AdvertisedPrefix{prefix(1, infinite, infinite)}})
	l.clock.advance(100000 * time.Hour)
	l.want("for ever", l.addrs(), []string{"2001:db8:1::7/64"})
}

// TestPrefixFlags: what is no prefix for an address, or not on the link.
func TestPrefixFlags(t *testing.T) {
	for _, c := range []struct {
		name         string
		change       func(*AdvertisedPrefix)
		addr, onLink bool
	}{
		{"both", func(*AdvertisedPrefix) {}, true, true},
		{"not on link", func(p *AdvertisedPrefix) { p.OnLink = false }, true, false},
		{"not for addresses", func(p *AdvertisedPrefix) { p.Auto = false }, false, true},
		{"another length", func(p *AdvertisedPrefix) { p.Prefix = netip.MustParsePrefix("2001:db8:1::/63") }, false, true},
		{"preferred longer than valid", func(p *AdvertisedPrefix) { p.Preferred = p.Valid + 1 }, false, true},
		{"not valid", func(p *AdvertisedPrefix) { p.Valid, p.Preferred = 0, 0 }, false, false},
		{"link-local", func(p *AdvertisedPrefix) { p.Prefix = netip.MustParsePrefix("fe80::/64") }, false, false},
		{"group", func(p *AdvertisedPrefix) { p.Prefix = netip.MustParsePrefix("ff02::/64") }, false, false},
		{"too long", func(p *AdvertisedPrefix) { p.Prefix = netip.PrefixFrom(p.Prefix.Addr(), 129) }, false, false},
		{"deprecated from the start", func(p *AdvertisedPrefix) { p.Preferred = 0 }, true, true},
	} {
		l := newLabRA(t)
		p := prefix(1, 3600, 1800)
		c.change(&p)
		l.hear(RouterAdvertisement{Prefixes: []AdvertisedPrefix{p}})
		a := l.r.Advertised()
		if (len(a.Addrs) > 0) != c.addr || (len(a.OnLink) > 0) != c.onLink {
			t.Errorf("%s: %+v", c.name, a)
		}
	}
}

// TestTwoHours: RFC 4862, section 5.5.3 e. The tables are what is left and what
// is said, then what is left after it, in seconds.
func TestTwoHours(t *testing.T) {
	for _, c := range []struct{ left, said, want uint32 }{
		{10000, 20000, 20000},  // longer
		{10000, 7201, 7201},    // shorter, but more than two hours
		{10000, 7200, 7200},    // two hours
		{10000, 60, 7200},      // not less than two hours
		{10000, 0, 7200},       // not at once
		{7200, 60, 7200},       // less is left: not changed
		{3600, 60, 3600},       // the same
		{3600, 0, 3600},        // the same
		{3600, 3601, 3601},     // longer, though less than two hours
		{60, 7200, 7200},       // longer
		{infinite, 60, 7200},   // from for ever
		{60, infinite, 100000}, // to for ever (more than can be seen here)
	} {
		l := newLabRA(t)
		l.hear(RouterAdvertisement{Prefixes: []AdvertisedPrefix{prefix(1, c.left, 0)}})
		l.hear(RouterAdvertisement{Prefixes: []AdvertisedPrefix{prefix(1, c.said, 0)}})
		l.clock.advance(time.Duration(c.want)*time.Second - 1)
		if len(l.addrs()) != 1 {
			t.Errorf("%+v: gone too early", c)
		}
		l.clock.advance(1)
		if c.said != infinite && len(l.addrs()) != 0 {
			t.Errorf("%+v: still there", c)
		}
	}
	// The preferred lifetime is believed whatever it is.
	l := newLabRA(t)
	l.hear(RouterAdvertisement{Prefixes: []AdvertisedPrefix{prefix(1, 3600, 3600)}})
	l.hear(RouterAdvertisement{Prefixes: []AdvertisedPrefix{prefix(1, 0, 0)}})
	l.want("deprecated at once", l.addrs(), []string{"2001:db8:1::7/64 -"})
}

func TestDuplicate(t *testing.T) {
	l := newLabRA(t)
	l.hear(RouterAdvertisement{Prefixes: []AdvertisedPrefix{prefix(1, 3600, 1800), prefix(2, 3600, 1800)}})
	l.r.Duplicate(netip.MustParseAddr("2001:db8:1::7"))
	l.want("the other one", l.addrs(), []string{"2001:db8:2::7/64"})
	l.hear(RouterAdvertisement{Prefixes: []AdvertisedPrefix{prefix(1, 3600, 1800)}})
	l.want("not tried again", l.addrs(), []string{"2001:db8:2::7/64"})
}

func TestNames(t *testing.T) {
	l := newLabRA(t)
	a, b := netip.MustParseAddr("2001:db8::53"), netip.MustParseAddr("fe80::53")
	l.hear(RouterAdvertisement{
		Servers: []AdvertisedServers{{Lifetime: 60, Addrs: []netip.Addr{a}}, {Lifetime: infinite, Addrs: []netip.Addr{b, netip.IPv6Unspecified(), netip.MustParseAddr("ff02::1")}}},
		Domains: []AdvertisedDomains{{Lifetime: 30, Domains: []string{"Lab.Example", "not a name"}}},
	})
	got := l.r.Advertised()
	if !slices.Equal(got.NameServers, []netip.Addr{a, b}) || !slices.Equal(got.Search, []string{"lab.example"}) {
		t.Errorf("%+v", got)
	}
	l.clock.advance(30 * time.Second)
	if got = l.r.Advertised(); len(got.Search) != 0 || len(got.NameServers) != 2 {
		t.Errorf("%+v", got)
	}
	l.clock.advance(30 * time.Second)
	if got = l.r.Advertised(); !slices.Equal(got.NameServers, []netip.Addr{b}) {
		t.Errorf("%+v", got)
	}
	l.hear(RouterAdvertisement{Servers: []AdvertisedServers{{Addrs: []netip.Addr{b}}}})
	if got = l.r.Advertised(); len(got.NameServers) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestMTUAndFlags(t *testing.T) {
	l := newLabRA(t)
	for _, c := range []struct {
		said uint32
		want int
	}{{0, 0}, {1279, 0}, {1501, 0}, {1<<32 - 1, 0}, {1280, 1280}, {1500, 1500}, {0, 1500}} {
		l.hear(RouterAdvertisement{MTU: c.said})
		if got := l.r.Advertised().MTU; got != c.want {
			t.Errorf("MTU %d: %d, want %d", c.said, got, c.want)
		}
	}
	if l.stateless != 0 {
		t.Error("DHCPv6 without a flag")
	}
	l.hear(RouterAdvertisement{Other: true})
	l.hear(RouterAdvertisement{Managed: true})
	if l.stateless != 2 {
		t.Errorf("DHCPv6 began %d times", l.stateless)
	}
}

// TestFlood: what a hostile neighbour says does not fill memory.
func TestFlood(t *testing.T) {
	l := newLabRA(t)
	for i := range 1000 {
		b := router1.As16()
		b[14], b[15] = byte(i>>8), byte(i)
		dst := netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x::/48", i))
		l.hear(RouterAdvertisement{
			Router:   netip.AddrFrom16(b),
			Lifetime: 100,
			Prefixes: []AdvertisedPrefix{prefix(i, 100, 100)},
			Routes:   []AdvertisedRoute{{Dst: dst, Lifetime: 100}},
			Servers:  []AdvertisedServers{{Lifetime: 100, Addrs: []netip.Addr{dst.Addr().Next()}}},
			Domains:  []AdvertisedDomains{{Lifetime: 100, Domains: []string{fmt.Sprintf("d%d.example", i)}}},
		})
	}
	l.r.check(t)
	if a := l.r.Advertised(); len(a.Addrs) != maxPrefixes || len(a.NameServers) != maxServers || len(a.Search) != maxDomains || len(l.r.routes) > maxRoutes {
		t.Errorf("%+v", a)
	}
	if len(l.clock.timers) > 2 {
		t.Errorf("%d timers", len(l.clock.timers))
	}
	l.clock.advance(100 * time.Second)
	if a := l.r.Advertised(); len(a.Addrs)+len(a.OnLink)+len(a.Routes)+len(a.NameServers)+len(a.Search) != 0 {
		t.Errorf("left after all is over: %+v", a)
	}
}

// check fails if the tables are longer than they may be.
func (r *Router) check(t testing.TB) {
	t.Helper()
	if len(r.routes) > maxRoutes || len(r.onLink) > maxPrefixes || len(r.prefixes) > maxPrefixes || len(r.servers) > maxServers || len(r.domains) > maxDomains {
		t.Fatalf("%d routes, %d on link, %d prefixes, %d name servers, %d domains", len(r.routes), len(r.onLink), len(r.prefixes), len(r.servers), len(r.domains))
	}
	if n := r.routers(router1); n > maxRouters+1 {
		t.Fatalf("%d routers", n)
	}
}
