package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"usersock/stack/endpoint"
)

// TestOrderExplained: each rule that can decide is named where it does, and the
// order is that of Getaddrinfo.
func TestOrderExplained(t *testing.T) {
	prefix, ip := netip.MustParsePrefix, netip.MustParseAddr
	both := []Address{{Prefix: prefix("192.0.2.2/24"), Index: 1, Interface: "eth0"}, {Prefix: prefix("2001:db8::2/64"), Index: 1, Interface: "eth0"}}
	everywhere := []netip.Prefix{prefix("0.0.0.0/0"), prefix("::/0")}
	for _, c := range []struct {
		what  string
		own   []Address
		addrs string
		want  string // addresses in order, with the rule between
	}{
		{"out of reach", both[:1], "2001:db8::1 192.0.2.1", "192.0.2.1 1 2001:db8::1"},
		{"scope", []Address{both[0], {Prefix: prefix("fe80::2/64"), Index: 1, Interface: "eth0"}}, "2001:db8::1 198.51.100.1", "198.51.100.1 2 2001:db8::1"},
		{"deprecated", []Address{both[0], {Prefix: prefix("2001:db8::2/64"), Index: 1, Deprecated: true}}, "2001:db8::1 192.0.2.1", "192.0.2.1 3 2001:db8::1"},
		{"care-of", []Address{both[0], {Prefix: prefix("2001:db8::2/64"), Index: 1, CareOf: true}}, "2001:db8::1 192.0.2.1", "192.0.2.1 4 2001:db8::1"},
		{"label", both, "2002:c633:6401::1 192.0.2.1", "192.0.2.1 5 2002:c633:6401::1"},
		{"precedence", both, "192.0.2.1 2001:db8::1", "2001:db8::1 6 192.0.2.1"},
		{"small scope", append(both[:2:2], Address{Prefix: prefix("fe80::2/64"), Index: 1, Interface: "eth0"}), "2001:db8::1 fe80::1%eth0", "fe80::1%eth0 8 2001:db8::1"},
		{"prefix", both, "2001:db8:1::1 2001:db8::7", "2001:db8::7 9 2001:db8:1::1"},
		{"nothing", both, "192.0.2.7 192.0.2.5 192.0.2.6", "192.0.2.7 10 192.0.2.5 10 192.0.2.6"},
		{"an unknown zone", both, "fe80::1%eth7 192.0.2.1", "192.0.2.1 1 fe80::1"},
		{"one", both, "192.0.2.1", "192.0.2.1"},
		{"none", both, "", ""},
	} {
		r, err := New(Config{Host: StaticHost{Addrs: c.own, Routes: everywhere}})
		if err != nil {
			t.Fatal(err)
		}
		var addrs []netip.Addr
		for _, s := range strings.Fields(c.addrs) {
			addrs = append(addrs, ip(s))
		}
		var got []string
		for _, d := range r.Order(addrs...) {
			got = append(got, d.Addr.String())
			if d.Rule != 0 {
				got = append(got, fmt.Sprint(int(d.Rule)))
			}
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
	r, err := New(Config{Host: StaticHost{Addrs: both}})
	if err != nil {
		t.Fatal(err)
	}
	d := r.Order(ip("192.0.2.9"), ip("2001:db8::9"))
	want := Destination{Addr: ip("2001:db8::9"), Source: ip("2001:db8::2"), Scope: 14, SourceScope: 14, Label: 1, SourceLabel: 1, Precedence: 40, CommonPrefix: 64, Rule: 6}
	if d[0] != want {
		t.Errorf("%+v\nwant %+v", d[0], want)
	}
	for rule, want := range map[Rule]string{0: "rule 0", 6: "rule 6: prefer the higher precedence", 11: "rule 11"} {
		if rule.String() != want {
			t.Errorf("%d prints as %s", int(rule), rule)
		}
	}
}

// TestTraceSource: each source that is consulted is told of, in order, after
// its questions, and the one that ends the lookup is marked.
func TestTraceSource(t *testing.T) {
	var told []string
	l := newLab(t, func(cfg *Config) {
		cfg.Trace = func(e Event) { told = append(told, "asked "+e.Name+" "+e.Type) }
		cfg.TraceSource = func(e SourceEvent) {
			told = append(told, fmt.Sprint(e.Source, " ", e.Asked, " ", e.Names, e.Addrs, errors.Is(e.Err, ErrNotFound), errors.Is(e.Err, ErrNoData), e.Last))
			if e.Elapsed < 0 {
				t.Errorf("%+v", e)
			}
		}
		cfg.Hosts = "192.0.2.200 infile alias\n"
		cfg.Nsswitch = "hosts: files dns [NOTFOUND=return] own"
	})
	for _, c := range []struct {
		name string
		want string
	}{
		{"infile", "files infile [infile alias] [192.0.2.200] false false true"},
		{"www.example.", "files www.example. [] [] true false false; asked www.example A; asked www.example AAAA; dns www.example. [www.example] [192.0.2.1 2001:db8:1::1] false false true"},
		{"nowhere.example.", "files nowhere.example. [] [] true false false; asked nowhere.example A; asked nowhere.example AAAA; dns nowhere.example. [] [] true false true"},
	} {
		told = nil
		l.Getaddrinfo(context.Background(), c.name, "", endpoint.AF_UNSPEC, 0, 0, 0)
		if got := strings.Join(told, "; "); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
	told = nil
	l.Getnameinfo(context.Background(), endpoint.Addr{Family: endpoint.AF_INET, IP: netip.MustParseAddr("192.0.2.200")}, 0)
	if got, want := strings.Join(told, "; "), "files 192.0.2.200 [infile alias] [] false false true"; got != want {
		t.Errorf("reverse: %s, want %s", got, want)
	}
}
