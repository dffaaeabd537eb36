package resolver

import (
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"usersock/testnet/dnszone"
)

// FuzzReadReply: no message makes the reader panic, a reply is only taken for
// the question's own, and what is taken from it is fit to be shown.
func FuzzReadReply(f *testing.F) {
	server := dnszone.NewServer(mustZone(f, testZone, "example"), mustZone(f, reverseZone, "2.0.192.in-addr.arpa"))
	types := []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypePTR, dnsmessage.TypeMX,
		dnsmessage.TypeTXT, dnsmessage.TypeSRV, dnsmessage.TypeNS}
	ask := func(name string, typ byte) *question {
		wire, err := dnsmessage.NewName(name + ".")
		if err != nil {
			return nil
		}
		return &question{name: wire, text: name, typ: types[int(typ)%len(types)], id: 0x1234, edns: true}
	}
	for _, name := range []string{"www.example", "alias.example", "loopa.example", "nx.example", "text.example", "1.2.0.192.in-addr.arpa"} {
		for typ := range byte(len(types)) {
			q := ask(name, typ)
			msg, err := appendQuery(nil, q, false)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(name, typ, server.Answer(msg, true))
		}
	}
	f.Fuzz(func(t *testing.T, name string, typ byte, msg []byte) {
		q := ask(name, typ)
		if q == nil {
			return
		}
		kind, ans, _, why := readReply(msg, q)
		if kind != replyForeign && (len(msg) < 12 || msg[0] != 0x12 || msg[1] != 0x34 || msg[2]&0x80 == 0) {
			t.Fatalf("kind %d of a foreign message", kind)
		}
		if (kind == replyAnswer) != (ans != nil) || kind > replyAnswer && why == nil {
			t.Fatalf("kind %d, answer %v, why %v", kind, ans, why)
		}
		if ans == nil {
			return
		}
		if ans.ttl < 0 || (ans.err == nil) != (len(ans.addrs)+len(ans.records) > 0) {
			t.Fatalf("answer %+v", ans)
		}
		if ans.canon != "" && !isHostname(ans.canon) || ans.name != "" && !isPeerName(ans.name) || len(ans.aliases) > maxChain {
			t.Fatalf("unfit names in %+v", ans)
		}
		for _, rr := range ans.records {
			if rr.typ != q.typ || !rr.fit() {
				t.Fatalf("record %v for a question of type %v", rr, q.typ)
			}
		}
		for _, ip := range ans.addrs {
			if ip.Is4() != (q.typ == dnsmessage.TypeA) {
				t.Fatalf("%v for a question of type %v", ip, q.typ)
			}
		}
	})
}

func FuzzHosts(f *testing.F) {
	f.Add("127.0.0.1 localhost # c\n::1 localhost\r\n10.0.0.1\tA b a\n", "a")
	f.Fuzz(func(t *testing.T, text, name string) {
		table := parseHosts(text)
		for _, want := range []families{want4, want6, want4 | want6} {
			e, err := table.lookupHost(t.Context(), name, want)
			if (err == nil) != !e.empty() {
				t.Fatalf("%+v, %v", e, err)
			}
			if err == nil && e.name == "" {
				t.Fatalf("no name: %+v", e)
			}
		}
		for ip := range table.byAddr {
			if e, err := table.lookupAddr(t.Context(), ip); err != nil || e.name == "" {
				t.Fatalf("%v: %+v, %v", ip, e, err)
			}
		}
	})
}

func FuzzResolvConf(f *testing.F) {
	f.Add("nameserver 192.0.2.1\nnameserver fe80::1%v0\nsearch a b. .\noptions ndots:3 timeout:99 attempts:0 rotate\ndomain x\n")
	f.Fuzz(func(t *testing.T, text string) {
		c := parseResolvConf(text, testHost())
		if len(c.servers) < 1 || len(c.servers) > maxServers || c.ndots < 0 || c.ndots > maxNdots ||
			c.timeout <= 0 || c.timeout > maxTimeout || c.attempts < 1 || c.attempts > maxAttempts {
			t.Fatalf("out of bounds: %+v", c)
		}
		for _, s := range c.servers {
			if !s.IsValid() {
				t.Fatalf("server %v", s)
			}
		}
	})
}

func FuzzNsswitch(f *testing.F) {
	f.Add("passwd: files\nhosts: files mdns4_minimal [NOTFOUND=return] dns [!UNAVAIL=return SUCCESS=continue] own # c\n")
	f.Add("hosts: [a=b] dns[\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range parseNsswitch(text) {
			if s.name == "" || strings.ContainsAny(s.name, " \t[") {
				t.Fatalf("source %q", s.name)
			}
		}
	})
}

func FuzzGaiConf(f *testing.F) {
	f.Add("precedence ::ffff:0:0/96 100\nlabel 2001:db8::/32 9\nscopev4 169.254.0.0/16 2\nreload no\n")
	f.Fuzz(func(t *testing.T, text string) {
		p := ParseGaiConf(text)
		for _, rows := range [][]policyRow{p.precedence, p.labels, p.scopes4} {
			for i := range rows {
				if i > 0 && rows[i-1].prefix.Bits() < rows[i].prefix.Bits() {
					t.Fatalf("rows out of order: %v", rows)
				}
			}
		}
		for _, ip := range []string{"192.0.2.1", "2001:db8::1"} {
			if v := lookupPolicy(p.precedence, defaultPrecedence, bitsOf(netip.MustParseAddr(ip))); v < 0 {
				t.Fatalf("precedence %d", v)
			}
		}
	})
}

func FuzzServices(f *testing.F) {
	f.Add("http 80/tcp www # c\nx 1/tcp,udp\n", "ip 0 IP\n")
	f.Fuzz(func(t *testing.T, services, protocols string) {
		for key, name := range parseServices(services).byPort {
			if name == "" {
				t.Fatalf("%v has no name", key)
			}
		}
		parseProtocols(protocols)
	})
}

// FuzzLiteral: what is taken for an address means the same when printed.
func FuzzLiteral(f *testing.F) {
	for _, s := range []string{"127.1", "0x7f.1", "010.1.1.1", "fe80::1%v0", "::ffff:192.0.2.1", "1.2.3.4 x", "4294967295"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		lit, found, err := parseLiteral(s, testHost())
		if err != nil || !found {
			return
		}
		again, found, err := parseLiteral(lit.ip.String(), testHost())
		if err != nil || !found || again.ip != lit.ip {
			t.Fatalf("%q is %v, which is %v", s, lit.ip, again.ip)
		}
		if strict, err := netip.ParseAddr(s); err == nil && strict.WithZone("") != lit.ip {
			t.Fatalf("%q is %v, but strictly %v", s, lit.ip, strict)
		}
	})
}
