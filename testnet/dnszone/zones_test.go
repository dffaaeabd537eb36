package dnszone

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

const parentText = `
$TTL 1h
@         SOA  ns hostmaster 1 2 3 4 60
          NS   ns
ns        A    192.0.2.53
child     NS   ns.child
child     NS   ns.elsewhere.test.
child     NS   ns.other
ns.child  A    192.0.2.54
ns.child  AAAA 2001:db8::54
host.child A   192.0.2.66 ; occluded: not glue of anything
child     DS   12345 13 2 00ff
ns.other  A    192.0.2.55
in        CNAME www.child
*.star    A    192.0.2.4
a.star    TXT  here
*.cstar   CNAME www
sub.*.star TXT "below a wildcard"
www       A    192.0.2.1
d         DNAME new
x.d       A    192.0.2.99 ; occluded
d         A    192.0.2.98
y.new     A    192.0.2.7
z.new     CNAME y.d
loop      DNAME looooooooooooooooooooooooooooooooooooooooooooooooooooong.loop
dd        DNAME d
long      DNAME ` + "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg.aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg.aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg" + `
`

// showAll shows a reply's AA and RA bits and its additional section too.
func showAll(t testing.TB, reply []byte) string {
	t.Helper()
	var m dnsmessage.Message
	if err := m.Unpack(reply); err != nil {
		t.Fatal(err)
	}
	out := show(t, reply)
	if m.Authoritative {
		out += "; AA"
	}
	if m.RecursionAvailable {
		out += "; RA"
	}
	for _, r := range m.Additionals {
		out += fmt.Sprintf("; + %v %s", r.Header.Name, typeText(uint16(r.Header.Type)))
	}
	return out
}

// TestFind goes through the algorithm of RFC 1034, section 4.3.2, as RFC 4592,
// RFC 6672 and RFC 4035 have changed it.
func TestFind(t *testing.T) {
	z, err := Parse(parentText, "example.test")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(z)
	const (
		soa      = "; / example.test. SOA 60; AA; RA"
		referral = "; / child.example.test. NS 3600; / child.example.test. NS 3600; / child.example.test. NS 3600"
		glue     = "; + ns.child.example.test. A; + ns.child.example.test. AAAA; + ns.other.example.test. A"
		dname    = "d.example.test. DNAME 3600 036e6577076578616d706c65047465737400"
	)
	for _, c := range []struct {
		name string
		typ  dnsmessage.Type
		want string
	}{
		// Delegation.
		{"child.example.test.", 1, "Success" + referral + glue},
		{"child.example.test.", 2, "Success" + referral + glue},
		{"host.child.example.test.", 1, "Success" + referral + glue},
		{"ns.child.example.test.", 1, "Success" + referral + glue},
		{"a.b.child.example.test.", 28, "Success" + referral + glue},
		{"child.example.test.", typeDS, "Success; child.example.test. DS 3600 30390d0200ff; AA; RA"},
		{"a.child.example.test.", typeDS, "Success" + referral + glue},
		{"in.example.test.", 1, "Success; in.example.test. CNAME 3600 www.child.example.test." + referral + "; AA" + glue},
		// Wildcards, RFC 4592, sections 2.2 and 3.3.
		{"x.star.example.test.", 1, "Success; x.star.example.test. A 3600 192.0.2.4; AA; RA"},
		{"x.y.star.example.test.", 1, "Success; x.y.star.example.test. A 3600 192.0.2.4; AA; RA"},
		{"x.star.example.test.", 16, "Success" + soa},
		{"a.star.example.test.", 1, "Success" + soa},     // the name exists
		{"x.a.star.example.test.", 1, "NameError" + soa}, // the closest encloser has no wildcard
		{"star.example.test.", 1, "Success" + soa},       // an empty non-terminal
		{"*.star.example.test.", 1, "Success; *.star.example.test. A 3600 192.0.2.4; AA; RA"},
		{"x.*.star.example.test.", 1, "NameError" + soa}, // a wildcard that is the encloser
		{"sub.*.star.example.test.", 16, `Success; sub.*.star.example.test. TXT 3600 ["below a wildcard"]; AA; RA`},
		{"x.cstar.example.test.", 1, "Success; x.cstar.example.test. CNAME 3600 www.example.test.; www.example.test. A 3600 192.0.2.1; AA; RA"},
		// DNAME, RFC 6672.
		{"y.d.example.test.", 1, "Success; " + dname + "; y.d.example.test. CNAME 3600 y.new.example.test.; y.new.example.test. A 3600 192.0.2.7; AA; RA"},
		{"x.d.example.test.", 1, "NameError; " + dname + "; x.d.example.test. CNAME 3600 x.new.example.test." + soa},
		{"d.example.test.", 1, "Success; d.example.test. A 3600 192.0.2.98; AA; RA"},
		{"d.example.test.", typeDNAME, "Success; " + dname + "; AA; RA"},
		{"d.example.test.", 28, "Success" + soa},
		{"y.d.example.test.", 5, "Success; " + dname + "; y.d.example.test. CNAME 3600 y.new.example.test.; AA; RA"},
		{"z.d.example.test.", 1, "Success; " + dname + "; z.d.example.test. CNAME 3600 z.new.example.test.; z.new.example.test. CNAME 3600 y.d.example.test.; y.d.example.test. CNAME 3600 y.new.example.test.; y.new.example.test. A 3600 192.0.2.7; AA; RA"},
		{"y.dd.example.test.", 1, "Success; dd.example.test. DNAME 3600 0164076578616d706c65047465737400; y.dd.example.test. CNAME 3600 y.d.example.test.; " + dname + "; y.d.example.test. CNAME 3600 y.new.example.test.; y.new.example.test. A 3600 192.0.2.7; AA; RA"},
		// Not for this server.
		{"example.test.", typeAXFR, "Refused"},
		{"example.test.", typeIXFR, "Refused"},
	} {
		if got := showAll(t, s.Answer(query(t, c.name, c.typ, 0), false)); got != c.want {
			t.Errorf("%s %d:\n got %s\nwant %s", c.name, c.typ, got, c.want)
		}
	}
	for name, rcode := range map[string]dnsmessage.RCode{
		"a.loop.example.test.": 6, // grows until it is too long
		"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg.long.example.test.": 6,
	} {
		var m dnsmessage.Message
		if err := m.Unpack(s.Answer(query(t, name, 1, 0), false)); err != nil || m.RCode != rcode || len(m.Answers) == 0 {
			t.Errorf("%s: %v, %v, %d answers", name, err, m.RCode, len(m.Answers))
		}
	}
	// Where the delegated zone is served as well, it answers, but for DS.
	child, err := Parse("@ SOA a b 1 2 3 4 60\nwww A 192.0.2.77\n", "child.example.test")
	if err != nil {
		t.Fatal(err)
	}
	s.AddZone(child)
	for _, c := range []struct {
		name string
		typ  dnsmessage.Type
		want string
	}{
		{"in.example.test.", 1, "Success; in.example.test. CNAME 3600 www.child.example.test.; www.child.example.test. A 3600 192.0.2.77; AA; RA"},
		{"child.example.test.", typeDS, "Success; child.example.test. DS 3600 30390d0200ff; AA; RA"},
		{"child.example.test.", 2, "Success; / child.example.test. SOA 60; AA; RA"},
	} {
		if got := showAll(t, s.Answer(query(t, c.name, c.typ, 0), false)); got != c.want {
			t.Errorf("%s %d:\n got %s\nwant %s", c.name, c.typ, got, c.want)
		}
	}
}

// TestBuild makes zones without a text, and reads them back from theirs.
func TestBuild(t *testing.T) {
	z, err := NewZone("example.test")
	if err != nil {
		t.Fatal(err)
	}
	ip := netip.MustParseAddr
	four, err := Reverse(netip.MustParsePrefix("192.0.2.0/24"))
	if err != nil {
		t.Fatal(err)
	}
	six, err := Reverse(netip.MustParsePrefix("2001:db8::/32"))
	if err != nil {
		t.Fatal(err)
	}
	ns := NameServer{"ns.example.test.", []netip.Addr{ip("192.0.2.53")}}
	for i, err := range []error{
		z.Start(60, ns),
		z.Delegate("child", 60, NameServer{"ns.child", []netip.Addr{ip("2001:db8::54")}}, NameServer{"ns.far.test.", []netip.Addr{ip("192.0.2.9")}}),
		z.AddAddrs("www", 60, ip("192.0.2.1"), ip("2001:db8::1"), ip("192.0.2.1")),
		z.Add(`odd\.\$x`, "TXT", `"a \"b\" \\ \001" ""`, 60),
		z.Add("raw", "TYPE65280", `\# 3 010203`, 60),
		z.Add("short", "A", `\# 3 010203`, 60),
		z.Add("n", "NAPTR", `1 2 "s" "SIP" "" repl`, 60),
		z.Add("t", "TLSA", "3 1 1 00 ff 17", 60),
		four.Start(60, ns), six.Start(60, ns),
		four.AddPTR(ip("192.0.2.1"), "www.example.test", 60),
		six.AddPTR(ip("2001:db8::1"), "www.example.test", 60),
	} {
		if err != nil {
			t.Errorf("step %d: %v", i, err)
		}
	}
	const want = `example.test. 60 IN SOA ns.example.test. hostmaster.example.test. 1 3600 600 86400 60
example.test. 60 IN NS ns.example.test.
child.example.test. 60 IN NS ns.child.example.test.
child.example.test. 60 IN NS ns.far.test.
ns.child.example.test. 60 IN AAAA 2001:db8::54
n.example.test. 60 IN NAPTR 1 2 "s" "SIP" "" repl.example.test.
ns.example.test. 60 IN A 192.0.2.53
odd\.\$x.example.test. 60 IN TXT "a \"b\" \\ \001" ""
raw.example.test. 60 IN TYPE65280 \# 3 010203
short.example.test. 60 IN A \# 3 010203
t.example.test. 60 IN TLSA 3 1 1 00ff17
www.example.test. 60 IN A 192.0.2.1
www.example.test. 60 IN AAAA 2001:db8::1
`
	if got := z.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	again, err := Parse(want, "example.test")
	if err != nil || again.String() != want {
		t.Errorf("read back: %v\n%v", err, again)
	}
	s := NewServer(z, four, six)
	for name, want := range map[string]string{
		"1.2.0.192.in-addr.arpa.":   "Success; 1.2.0.192.in-addr.arpa. PTR 60 ",
		"2.2.0.192.in-addr.arpa.":   "NameError; / 2.0.192.in-addr.arpa. SOA 60",
		"9.b.d.0.1.0.0.2.ip6.arpa.": "Refused",
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.": "Success; 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR 60 ",
	} {
		if got := show(t, s.Answer(query(t, name, dnsmessage.TypePTR, 0), true)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for what, err := range map[string]error{
		"no address":    z.AddAddrs("x", 60, netip.Addr{}),
		"no address ":   z.AddAddrs("x", 60, ip("fe80::1%eth0")),
		"servers":       z.Start(60),
		"not in zone":   z.AddAddrs("x.", 60, ip("192.0.2.1")),
		"not in zone ":  four.AddPTR(ip("198.51.100.1"), "x", 60),
		"63 bytes":      z.Delegate("a..b", 60, ns),
		"63 bytes ":     z.Delegate("a", 60, NameServer{Name: "..x"}),
		"no address  ":  four.AddPTR(netip.Addr{}, "x", 60),
		"multiple of 8": func() error { _, err := Reverse(netip.MustParsePrefix("192.0.0.0/20")); return err }(),
		"multiple of 4": func() error { _, err := Reverse(netip.MustParsePrefix("2001:db8::/33")); return err }(),
		"multiple":      func() error { _, err := Reverse(netip.Prefix{}); return err }(),
	} {
		if err == nil || !strings.Contains(err.Error(), strings.TrimSpace(what)) {
			t.Errorf("%q: %v", what, err)
		}
	}
}

// TestCheck: each rule is found when it is broken, and nothing else.
func TestCheck(t *testing.T) {
	const good = "@ SOA ns b 1 2 3 4 60\n@ NS ns\nns A 192.0.2.1\nalias CNAME ns\n"
	for text, want := range map[string]string{
		good: "",
		good + "c NS ns.c\nc NS ns.other.test.\nns.c A 192.0.2.2\nd DNAME e\n": "",
		"ns A 192.0.2.1\n@ NS ns\n":                             "0 SOA records",
		"@ SOA a b 1 2 3 4 60\n":                                "no NS records",
		good + "@ SOA ns b 2 2 3 4 60\n":                        "2 SOA records",
		good + "x SOA ns b 2 2 3 4 60\n":                        "not the zone's top",
		good + "alias A 192.0.2.1\n":                            "beside a CNAME",
		good + "alias CNAME x\n":                                "beside a CNAME",
		good + "d DNAME e\nd DNAME f\n":                         "2 DNAME",
		good + "d DNAME e\nx.d A 192.0.2.1\n":                   "below the DNAME",
		good + "c NS ns.c\n":                                    "no address",
		good + "@ NS ns2\n":                                     "no address",
		good + "@ MX 1 alias\n":                                 "alias",
		good + "@ NS alias\nx 5 A 192.0.2.1\nx 6 A 192.0.2.2\n": "more than one TTL",
		good + "@ NS alias\n":                                   "2181, section 10.3",
		good + `x A \# 1 00`:                                    "not of its type",
	} {
		z, err := Parse(text, "zone.test")
		if err != nil {
			t.Fatal(err)
		}
		if err = z.Check(); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestEDNS: what each kind of server does with an OPT record.
func TestEDNS(t *testing.T) {
	for _, c := range []struct {
		how  EDNS
		size int // of the server
		want string
	}{
		{EDNSFull, 0, "Success; DO 1400"},
		{EDNSFull, 4096, "Success; DO 4096"},
		{EDNSFull, 1, "Success; DO 512"},
		{EDNSFormErr, 0, "FormatError"},
		{EDNSIgnored, 0, "Success"},
		{EDNSBadVers, 0, "RCode(16); DO 1400"},
		{EDNSDropped, 0, "silence"},
	} {
		s := testServer(t)
		s.EDNS, s.MaxUDP = c.how, c.size
		q := query(t, "www.example.test.", 1, 1232)
		q[len(q)-4] |= 0x80 // DO
		got := "silence"
		if reply := s.Answer(q, true); reply != nil {
			var m dnsmessage.Message
			if err := m.Unpack(reply); err != nil {
				t.Fatal(err)
			}
			rcode := m.RCode
			var opt string
			for _, r := range m.Additionals {
				rcode = r.Header.ExtendedRCode(rcode)
				if r.Header.DNSSECAllowed() {
					opt = fmt.Sprintf("; DO %d", r.Header.Class)
				}
			}
			got = strings.TrimPrefix(rcode.String(), "RCode") + opt
			if rcode == 16 {
				got = "RCode(16)" + opt
			}
		}
		if got != c.want {
			t.Errorf("EDNS %d, MaxUDP %d: %s, want %s", c.how, c.size, got, c.want)
		}
		if got := show(t, s.Answer(query(t, "www.example.test.", 1, 0), true)); !strings.HasPrefix(got, "Success; www") {
			t.Errorf("EDNS %d, a query without: %s", c.how, got)
		}
	}
}
