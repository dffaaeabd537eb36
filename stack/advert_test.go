package stack

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"usersock/stack/internal/autoconf"
)

// TestParseAdvert reads every option.
func TestParseAdvert(t *testing.T) {
	ip := func(s string) []byte { return netip.MustParseAddr(s).AsSlice() }
	body := []byte{64, 0x40 | 0x08, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0} // other, high, 1800 s
	packet := icmp6(labRouter, allNodes, header.ICMPv6RouterAdvert, slices.Concat(body,
		prefixOption("2001:db8:1::/64", 200, 100),
		[]byte{5, 1, 0, 0, 0, 0, 5, 0xdc},
		[]byte{24, 2, 60, 0x18, 0, 0, 0, 9, 0x20, 0x01, 0x0d, 0xb8, 0, 0x50, 0xff, 0xff}, // low, not masked
		[]byte{24, 1, 0, 0x10, 0, 0, 0, 9},                                               // the reserved preference
		[]byte{24, 1, 60, 0, 0, 0, 0, 9},                                                 // too short for its length
		[]byte{25, 5, 0, 0, 255, 255, 255, 255}, ip("2001:db8::53"), ip("2001:db8::54"),
		[]byte{25, 3, 0, 0, 0, 0, 0, 9}, ip("ff02::1"), // no name server
		[]byte{31, 3, 0, 0, 0, 0, 0, 9, 3, 'l', 'a', 'b', 0, 2, '1', 'a', 1, 'b', 0, 0, 0, 0, 0, 0},
		[]byte{1, 1}, otherMAC,
		[]byte{200, 1, 1, 2, 3, 4, 5, 6}, // unknown
	))
	got, ok := parseAdvert(packet, false)
	want := autoconf.RouterAdvertisement{
		Router: labRouter, Lifetime: 1800, Preference: autoconf.High, Other: true, MTU: 1500,
		Prefixes: []autoconf.AdvertisedPrefix{{Prefix: netip.MustParsePrefix("2001:db8:1::/64"), OnLink: true, Auto: true, Valid: 200, Preferred: 100}},
		Routes:   []autoconf.AdvertisedRoute{{Dst: netip.MustParsePrefix("2001:db8:50:fff0::/60"), Lifetime: 9, Preference: autoconf.Low}},
		Servers:  []autoconf.AdvertisedServers{{Lifetime: 1<<32 - 1, Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::53"), netip.MustParseAddr("2001:db8::54")}}},
		Domains:  []autoconf.AdvertisedDomains{{Lifetime: 9, Domains: []string{"lab", "1a.b"}}},
	}
	if !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v\nwant %+v", got, ok, want)
	}
}

// TestBadAdvert: what RFC 4861, section 6.1.2, has dropped.
func TestBadAdvert(t *testing.T) {
	good := advert(60, prefixOption("2001:db8:1::/64", 200, 100))
	if _, ok := parseAdvert(good, false); !ok {
		t.Fatal("the good one is refused")
	}
	sum := func(b []byte) []byte { // with the right checksum again
		h := header.IPv6(b)
		m := header.ICMPv6(b[header.IPv6MinimumSize:])
		m.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: m, Src: h.SourceAddress(), Dst: h.DestinationAddress()}))
		return b
	}
	for name, spoil := range map[string]func(b []byte) []byte{
		"hop limit":          func(b []byte) []byte { b[7] = 254; return b },
		"source":             func(b []byte) []byte { b[8], b[9] = 0x20, 0x01; return sum(b) },
		"code":               func(b []byte) []byte { b[41] = 1; return sum(b) },
		"type":               func(b []byte) []byte { b[40] = 133; return sum(b) },
		"checksum":           func(b []byte) []byte { b[42]++; return b },
		"option of length 0": func(b []byte) []byte { b[57] = 0; return sum(b) },
		"cut option":         func(b []byte) []byte { b[57] = 5; return sum(b) },
		"other protocol":     func(b []byte) []byte { b[0] = 0x45; return b },
	} {
		if ra, ok := parseAdvert(spoil(slices.Clone(good)), false); ok {
			t.Errorf("%s: %+v", name, ra)
		}
	}
	for n := range good {
		if _, ok := parseAdvert(good[:n], true); ok {
			t.Errorf("%d of %d bytes are enough", n, len(good))
		}
	}
	if _, ok := parseAdvert(icmp6(labRouter, allNodes, header.ICMPv6RouterAdvert, make([]byte, 11)), false); ok {
		t.Error("without the whole header")
	}
}

// FuzzRouterAdvertisement hands packets to the reader and what it finds to the
// host's side. The packet is b itself, or a good one around it.
func FuzzRouterAdvertisement(f *testing.F) {
	whole := advert(60, prefixOption("2001:db8:1::/64", 200, 100), []byte{5, 1, 0, 0, 0, 0, 5, 0xdc},
		append([]byte{25, 3, 0, 0, 0, 0, 0, 20}, netip.MustParseAddr("fe80::53").AsSlice()...),
		[]byte{31, 2, 0, 0, 0, 0, 0, 40, 1, '1', 3, 'l', 'a', 'b', 0, 0})
	f.Add(true, whole)
	f.Add(false, whole[44:])
	f.Fuzz(func(t *testing.T, raw bool, b []byte) {
		if len(b) >= header.IPv6MinimumSize { // as the tap sees to it
			if d, ok := datagram(b, false); ok && len(d.Payload) > len(b)-28 {
				t.Fatalf("%d bytes of %d", len(d.Payload), len(b))
			}
		}
		if !raw {
			if len(b) > 1400 {
				return
			}
			b = icmp6(labRouter, allNodes, header.ICMPv6RouterAdvert, b)
		}
		clock := new(handClock)
		r := autoconf.NewRouter(autoconf.RouterConfig{
			Env:       autoconf.Env{Clock: clock, Do: func(job func()) { job() }, Rand: rand.New(rand.NewPCG(1, 2)), Log: slog.New(slog.DiscardHandler)},
			MTU:       1500,
			Solicit:   func() {},
			Stateless: func() {},
			Changed:   func() {},
		})
		r.Start()
		for range 2 {
			ra, ok := parseAdvert(b, raw)
			if !ok {
				return
			}
			r.Receive(ra)
			a := r.Advertised()
			if n := len(a.Addrs) + len(a.OnLink) + len(a.Routes) + len(a.NameServers) + len(a.Search); n > 100 || a.MTU != 0 && (a.MTU < 1280 || a.MTU > 1500) {
				t.Fatalf("%+v", a)
			}
			for _, ip := range a.Addrs {
				if !ip.Prefix.IsValid() || ip.Prefix.Bits() != 64 || ip.Prefix.Addr().IsLinkLocalUnicast() || ip.Prefix.Addr().IsMulticast() {
					t.Fatalf("address %+v", ip)
				}
			}
			for _, e := range a.Routes {
				if !e.Dst.IsValid() || e.Dst != e.Dst.Masked() || !e.Via.IsLinkLocalUnicast() {
					t.Fatalf("route %+v", e)
				}
			}
			clock.fire(clock.Monotonic() + 10*time.Second)
		}
		if len(clock.timers) > 2 {
			t.Fatal(fmt.Sprint(len(clock.timers), " timers"))
		}
		r.Stop()
		if a := r.Advertised(); len(clock.timers) != 0 || len(a.Addrs)+len(a.Routes) != 0 {
			t.Fatalf("left at the end: %d timers, %+v", len(clock.timers), a)
		}
	})
}
