package stack

import (
	"net/netip"
	"testing"

	"usersock/netdev"
	"usersock/stack/endpoint"
)

// TestEthernetInterface: a host on an Ethernet has a hardware address and a
// link-local one made of it.
func TestEthernetInterface(t *testing.T) {
	for _, c := range []struct {
		families []int
		addrs    []netip.Prefix
		want     string
	}{
		{nil, nil, "[fe80::ff:fe00:1/64]"},
		{nil, []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}, "[192.0.2.1/24 fe80::ff:fe00:1/64]"},
		{nil, []netip.Prefix{netip.MustParsePrefix("fe80::7/64")}, "[fe80::7/64]"},
		{[]int{endpoint.AF_INET}, nil, "[]"},
	} {
		link, err := netdev.NewSegment(netdev.SegmentConfig{}).Join(netdev.PortConfig{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(Config{Families: c.families, Interfaces: []Interface{{Name: "eth0", Link: link, Addrs: c.addrs}}})
		if err != nil {
			t.Fatal(err)
		}
		in := s.Interfaces()[1]
		if got := addrsText(in.Addrs); got != c.want || in.HardwareAddr.String() != "02:00:00:00:00:01" {
			t.Errorf("%v, %v: want %s", got, in.HardwareAddr, c.want)
		}
		if lo := s.Interfaces()[0]; lo.HardwareAddr != nil {
			t.Errorf("lo has %v", lo.HardwareAddr)
		}
		s.Close()
	}
}

func addrsText(list []netip.Prefix) string {
	text := "["
	for i, p := range list {
		if i > 0 {
			text += " "
		}
		text += p.String()
	}
	return text + "]"
}
