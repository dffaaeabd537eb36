package endpoint

import (
	"net/netip"
	"testing"
)

func TestAddrString(t *testing.T) {
	ll := Inet(netip.MustParseAddrPort("[fe80::1%eth0]:80"))
	if ll.IP.Zone() != "" {
		t.Errorf("Inet kept the zone: %v", ll.IP)
	}
	ll.Scope = 2
	for _, c := range []struct {
		a    Addr
		want string
	}{
		{Addr{}, "unspecified"},
		{Inet(netip.MustParseAddrPort("192.0.2.1:80")), "192.0.2.1:80"},
		{Inet(netip.MustParseAddrPort("[2001:db8::1]:443")), "[2001:db8::1]:443"},
		{ll, "[fe80::1%2]:80"},
		{Addr{Family: AF_INET, IP: netip.MustParseAddr("192.0.2.1"), Scope: 5}, "192.0.2.1:0"},
		{Inet(netip.MustParseAddrPort("[::ffff:192.0.2.1]:1")), "[::ffff:192.0.2.1]:1"},
		{Unix("/run/x"), "/run/x"},
		{Unix("\x00name"), "@name"},
		{Unix(""), ""},
		{Addr{Family: AF_NETLINK, Pid: 7, Groups: 0x11}, "netlink pid 7 groups 0x11"},
		{Addr{Family: 99}, "address of family 99"},
	} {
		if got := c.a.String(); got != c.want {
			t.Errorf("%#v: %q, want %q", c.a, got, c.want)
		}
	}
}

func TestAddrFamilies(t *testing.T) {
	for text, family := range map[string]int{
		"192.0.2.1:1": AF_INET, "[2001:db8::1]:1": AF_INET6, "[::ffff:192.0.2.1]:1": AF_INET6, "[::]:0": AF_INET6,
	} {
		ap := netip.MustParseAddrPort(text)
		a := Inet(ap)
		if a.Family != family || a.AddrPort() != ap {
			t.Errorf("Inet(%v): family %d, back %v", ap, a.Family, a.AddrPort())
		}
		if a.IsZero() {
			t.Errorf("%v is zero", a)
		}
	}
	if !(Addr{}).IsZero() {
		t.Error("the zero address is not zero")
	}
}

// TestAddrComparable: addresses are keys of maps, and each field counts.
func TestAddrComparable(t *testing.T) {
	base := Inet(netip.MustParseAddrPort("[2001:db8::1]:1"))
	seen := map[Addr]bool{base: true}
	for i, change := range []func(*Addr){
		func(a *Addr) { a.Family = AF_INET },
		func(a *Addr) { a.IP = netip.MustParseAddr("2001:db8::2") },
		func(a *Addr) { a.Port++ },
		func(a *Addr) { a.Flowinfo++ },
		func(a *Addr) { a.Scope++ },
		func(a *Addr) { a.Path = "x" },
		func(a *Addr) { a.Pid++ },
		func(a *Addr) { a.Groups++ },
	} {
		a := base
		change(&a)
		if seen[a] {
			t.Errorf("change %d makes an equal address", i)
		}
		seen[a] = true
	}
	if !seen[Inet(netip.MustParseAddrPort("[2001:db8::1]:1"))] {
		t.Error("an equal address is not found")
	}
}

// Package variables, so that the compiler cannot keep what is passed on the
// stack only because it sees through it.
var (
	sinkAddr     Addr
	sinkAddrPort netip.AddrPort
	sinkBool     bool
)

func TestAddrAllocs(t *testing.T) {
	ap := netip.MustParseAddrPort("[2001:db8::1]:80")
	path := "/run/x"
	if n := testing.AllocsPerRun(100, func() {
		sinkAddr = Inet(ap)
		sinkAddrPort = sinkAddr.AddrPort()
		sinkAddr = Unix(path)
		sinkBool = sinkAddr == Unix(path) && !sinkAddr.IsZero()
	}); n != 0 {
		t.Errorf("making and comparing addresses allocates %v times", n)
	}
	if !sinkBool {
		t.Error("equal addresses differ")
	}
}

func BenchmarkInet(b *testing.B) {
	ap := netip.MustParseAddrPort("192.0.2.1:80")
	b.ReportAllocs()
	for b.Loop() {
		sinkAddr = Inet(ap)
	}
}
