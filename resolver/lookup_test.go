package resolver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/net/dns/dnsmessage"

	"usersock/stack/endpoint"
	"usersock/testnet/dnszone"
)

// goLookups are the lookups of net.Resolver, which a Resolver can stand in for.
type goLookups interface {
	LookupHost(ctx context.Context, host string) ([]string, error)
	LookupIP(ctx context.Context, network, host string) ([]net.IP, error)
	LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupPort(ctx context.Context, network, service string) (int, error)
	LookupAddr(ctx context.Context, addr string) ([]string, error)
	LookupCNAME(ctx context.Context, host string) (string, error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
	LookupNS(ctx context.Context, name string) ([]*net.NS, error)
}

var (
	_ goLookups = (*net.Resolver)(nil)
	_ goLookups = (*Resolver)(nil)
)

const recordZone = `
$TTL 300
@         SOA ns host 1 3600 600 86400 60
@         NS  ns
@         NS  ns.other.example.
@         MX  20 mail2
@         MX  10 mail1
@         TXT "v=x " "y"
@         TXT "second"
ns        A     192.0.2.53
www       A     192.0.2.1
          AAAA  2001:db8:1::1
alias     CNAME www
nomail    MX  0 .
mixed     MX  5 good
mixed     MX  5 bad\;name
onlybad   MX  5 bad\;name
_sip._tcp SRV 2 0 5060 last
_sip._tcp SRV 1 0 5060 zero
_sip._tcp SRV 1 90 5061 heavy
salias    CNAME _sip._tcp
`

const manyPTR = `
$TTL 300
@ SOA ns.example. host.example. 1 3600 600 86400 60
1 PTR www.example.
1 PTR other.example.
1 PTR bad\;name.example.
2 PTR bad\;name.example.
2 PTR fine.example.
`

func recordLab(t *testing.T, change func(*Config)) *lab {
	return newLab(t, change, dnszone.NewServer(mustZone(t, recordZone, "example"), mustZone(t, manyPTR, "2.0.192.in-addr.arpa")))
}

func TestGoLookups(t *testing.T) {
	l := recordLab(t, func(c *Config) {
		c.ResolvConf += "search example\n"
		c.Hosts = "198.51.100.1 filed.example filed\n"
	})
	ctx := context.Background()
	show := func(v any, err error) string {
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(v)
	}
	mx := func(name string) string {
		list, err := l.LookupMX(ctx, name)
		var out []string
		for _, m := range list {
			out = append(out, fmt.Sprint(m.Pref, " ", m.Host))
		}
		return show(out, err)
	}
	srv := func(service, proto, name string) string {
		cname, list, err := l.LookupSRV(ctx, service, proto, name)
		out := []string{cname}
		for _, s := range list {
			out = append(out, fmt.Sprint(s.Priority, s.Weight, s.Port, " ", s.Target))
		}
		slices.Sort(out[1:])
		return show(out, err)
	}
	ns := func(name string) string {
		list, err := l.LookupNS(ctx, name)
		var out []string
		for _, s := range list {
			out = append(out, s.Host)
		}
		slices.Sort(out)
		return show(out, err)
	}
	for _, c := range []struct{ what, got, want string }{
		{"host", show(l.LookupHost(ctx, "www")), "[2001:db8:1::1 192.0.2.1]"},
		{"literal", show(l.LookupHost(ctx, "fe80::1%v0")), "[fe80::1%v0]"},
		{"hosts text", show(l.LookupHost(ctx, "filed")), "[198.51.100.1]"},
		{"ip", show(l.LookupIP(ctx, "ip4", "www.example")), "[192.0.2.1]"},
		{"netip", show(l.LookupNetIP(ctx, "ip6", "alias")), "[2001:db8:1::1]"},
		{"ipaddr", show(l.LookupIPAddr(ctx, "fe80::1%3")), "[{fe80::1 v0}]"},
		{"cname", show(l.LookupCNAME(ctx, "alias")), "www.example."},
		{"cname of none", show(l.LookupCNAME(ctx, "www.example.")), "www.example."},
		{"addr", show(l.LookupAddr(ctx, "192.0.2.1")), "[www.example. other.example.]"},
		{"addr, first unfit", show(l.LookupAddr(ctx, "192.0.2.2")), "lookup 192.0.2.2: no such host"},
		{"addr of a hosts text", show(l.LookupAddr(ctx, "198.51.100.1")), "[filed.example. filed.]"},
		{"no addr", show(l.LookupAddr(ctx, "www")), "lookup www: unrecognized address"},
		{"txt", show(l.LookupTXT(ctx, "example.")), "[v=x y second]"},
		{"mx", mx("example."), "[10 mail1.example. 20 mail2.example.]"},
		{"null mx", mx("nomail"), "[0 .]"},
		{"one unfit mx", mx("mixed"), "[5 good.example.]"},
		{"unfit mx", mx("onlybad.example."), "lookup onlybad.example.: no such host"},
		{"ns", ns("example."), "[ns.example. ns.other.example.]"},
		{"srv", srv("sip", "tcp", "example."), "[_sip._tcp.example. 1 0 5060 zero.example. 1 90 5061 heavy.example. 2 0 5060 last.example.]"},
		{"srv by alias", srv("", "", "salias"), "[_sip._tcp.example. 1 0 5060 zero.example. 1 90 5061 heavy.example. 2 0 5060 last.example.]"},
		{"port", show(l.LookupPort(ctx, "tcp", "HTTP")), "80"},
		{"udp port", show(l.LookupPort(ctx, "udp4", "biff")), "512"},
		{"any port", show(l.LookupPort(ctx, "ip", "syslog")), "514"},
		{"number", show(l.LookupPort(ctx, "tcp", "8080")), "8080"},
		{"bad port", show(l.LookupPort(ctx, "tcp", "65536")), "lookup tcp/65536: invalid port"},
		{"unknown port", show(l.LookupPort(ctx, "tcp", "nosuch")), "lookup tcp/nosuch: unknown port"},
		{"unknown network", show(l.LookupNetIP(ctx, "tcp", "www")), "lookup www: unknown network tcp"},
		{"nobody", show(l.LookupHost(ctx, "nobody.example.")), "lookup nobody.example.: no such host"},
		{"no name", show(l.LookupHost(ctx, "")), "lookup : no such host"},
		{"special", show(l.LookupTXT(ctx, "x.onion")), "lookup x.onion: no such host"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", c.what, c.got, c.want)
		}
	}
	l.net.asked()
	mx("example.")
	if asked := l.net.asked(); len(asked) != 0 {
		t.Errorf("cached records are asked for again: %q", asked)
	}
}

func TestGoErrors(t *testing.T) {
	l := recordLab(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	check := func(what string, err error, notFound, timeout, temporary bool) {
		t.Helper()
		var e *net.DNSError
		if !errors.As(err, &e) || e.IsNotFound != notFound || e.IsTimeout != timeout || e.IsTemporary != temporary {
			t.Errorf("%s: %#v", what, err)
		}
	}
	_, err := l.LookupHost(ctx, "nobody.example.")
	check("nobody", err, true, false, false)
	_, err = l.LookupIP(ctx, "ip6", "ns.example.")
	check("no address of the family", err, true, false, false)
	_, err = l.LookupIP(ctx, "ip6", "192.0.2.1")
	check("literal of the other family", err, true, false, false)
	_, err = l.LookupTXT(ctx, "www.example.")
	check("no record", err, true, false, false)
	l.server.Intercept = func(q dnszone.Query, _ []byte) []dnszone.Reply { return send(withRcode(q.Message, 2)) }
	_, err = l.LookupTXT(ctx, "other.example.")
	check("SERVFAIL", err, false, false, true)
	l.server.Intercept = func(dnszone.Query, []byte) []dnszone.Reply { return nil }
	_, err = l.LookupTXT(ctx, "silent.example.")
	check("silence", err, false, true, true)
	_, err = l.LookupHost(ctx, "silent2.example.")
	check("silence", err, false, true, true)
	cancel()
	_, err = l.LookupTXT(ctx, "more.example.")
	check("cancelled", err, false, false, true)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestSRVWeights: the order within a priority follows the weights (RFC 2782).
func TestSRVWeights(t *testing.T) {
	r, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	first := map[uint16]int{}
	const rounds = 4000
	for range rounds {
		list := []*net.SRV{{Weight: 10, Port: 1}, {Weight: 30, Port: 2}, {Weight: 60, Port: 3}, {Weight: 0, Port: 4}, {Priority: 1, Weight: 99, Port: 5}}
		if err := sortSRV(r, list); err != nil {
			t.Fatal(err)
		}
		first[list[0].Port]++
		if list[4].Port != 5 {
			t.Fatalf("the lower priority is not last: %v", list[4])
		}
	}
	for port, want := range map[uint16]float64{1: 0.1, 2: 0.3, 3: 0.6, 4: 0.01} {
		if got := float64(first[port]) / rounds; got < want-0.04 || got > want+0.04 {
			t.Errorf("port %d is first in %v of the rounds, want %v", port, got, want)
		}
	}
}

func TestRawExchange(t *testing.T) {
	l := recordLab(t, nil)
	ask := func(name string, typ dnsmessage.Type, class dnsmessage.Class) (*dnsmessage.Message, error) {
		t.Helper()
		q := dnsmessage.Message{
			Header:    dnsmessage.Header{ID: 0x1234, RecursionDesired: true},
			Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: typ, Class: class}},
		}
		msg, err := q.Pack()
		if err != nil {
			t.Fatal(err)
		}
		reply, err := l.Exchange(context.Background(), msg)
		if err != nil {
			return nil, err
		}
		var m dnsmessage.Message
		if err := m.Unpack(reply); err != nil || m.ID != 0x1234 || !m.Response {
			t.Errorf("%s: %+v, %v", name, m.Header, err)
		}
		return &m, nil
	}
	var ids []uint16
	var udp []bool
	l.server.Intercept = func(q dnszone.Query, honest []byte) []dnszone.Reply {
		ids, udp = append(ids, binary.BigEndian.Uint16(q.Message)), append(udp, q.UDP)
		if q.UDP && strings.HasPrefix(q.Name, "www") {
			honest[2] |= 2
			return send(honest[:12+17])
		}
		return send(honest)
	}
	if m, err := ask("example.", dnsmessage.TypeSOA, dnsmessage.ClassINET); err != nil || len(m.Answers) != 1 {
		t.Errorf("SOA: %+v, %v", m, err)
	}
	if m, err := ask("nobody.example.", dnsmessage.TypeA, dnsmessage.ClassINET); err != nil || m.RCode != dnsmessage.RCodeNameError || len(m.Authorities) != 1 {
		t.Errorf("NXDOMAIN: %+v, %v", m, err)
	}
	if m, err := ask("www.example.", dnsmessage.TypeA, dnsmessage.ClassINET); err != nil || len(m.Answers) != 1 || m.Truncated {
		t.Errorf("cut off: %+v, %v", m, err)
	}
	if m, err := ask("version.bind.", dnsmessage.TypeTXT, dnsmessage.ClassCHAOS); err != nil || m.RCode != dnsmessage.RCodeRefused {
		t.Errorf("REFUSED: %+v, %v", m, err)
	}
	if slices.Contains(ids, 0x1234) || !slices.Contains(udp, false) {
		t.Errorf("IDs %x, over UDP %v", ids, udp)
	}
	for _, bad := range []string{"", "short", strings.Repeat("\x00", 12), "\x00\x01\x81\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01"} {
		if _, err := l.Exchange(context.Background(), []byte(bad)); !errors.Is(err, ErrNoRecovery) {
			t.Errorf("query %q: %v", bad, err)
		}
	}
	l.server.Intercept = func(dnszone.Query, []byte) []dnszone.Reply { return nil }
	var e *net.DNSError
	if _, err := ask("example.", dnsmessage.TypeSOA, dnsmessage.ClassINET); !errors.As(err, &e) || !e.IsTimeout {
		t.Errorf("silence: %v", err)
	}
	if s := l.Stats(); s.Entries != 0 {
		t.Errorf("%d answers in the cache", s.Entries)
	}
}

// TestTCPIsReused: answers that need TCP share one connection, which ends when
// it was idle.
func TestTCPIsReused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which knows when the connection's goroutine has ended
		l := newLab(t, func(c *Config) { c.ResolvConf += "options use-vc\n" })
		for i := range 10 {
			l.want(t, fmt.Sprintf("h%d.wild.example.", i), "192.0.2.4")
		}
		open := func() int {
			synctest.Wait()
			l.net.mu.Lock()
			defer l.net.mu.Unlock()
			return l.net.open
		}
		if l.net.dials != 1 || open() != 1 {
			t.Errorf("%d connections, %d open", l.net.dials, open())
		}
		for l.net.clock.step() {
		}
		if got := l.net.clock.Monotonic(); got != tcpIdle || open() != 0 {
			t.Errorf("%d open after %v", open(), got)
		}
		l.want(t, "www.example", "2001:db8:1::1 192.0.2.1")
		l.Close()
		if open() != 0 {
			t.Errorf("%d open after Close", open())
		}
	})
}

// TestHealth: a server that did not reply is asked after the others for a while,
// and first again when it replies.
func TestHealth(t *testing.T) {
	down := true
	zone := func() *dnszone.Zone { return mustZone(t, testZone, "example") }
	first, second := dnszone.NewServer(zone()), dnszone.NewServer(zone())
	first.Intercept = func(_ dnszone.Query, honest []byte) []dnszone.Reply {
		if down {
			return nil
		}
		return send(honest)
	}
	l := newLab(t, func(c *Config) { c.CacheSize = -1 }, first, second)
	asks := func(want ...string) {
		t.Helper()
		l.net.asked()
		if _, err := l.LookupNetIP(context.Background(), "ip4", "www.example."); err != nil {
			t.Error(err)
		}
		var servers []string
		for _, q := range l.net.asked() {
			servers = append(servers, q[strings.LastIndexByte(q, '.')+1:])
		}
		if !slices.Equal(servers, want) {
			t.Errorf("asked %v, want %v", servers, want)
		}
	}
	asks("53", "54")
	l.net.clock.advance(1)
	asks("54")
	l.net.clock.advance(downTime)
	asks("53", "54")
	l.net.clock.advance(1)
	second.Intercept = func(dnszone.Query, []byte) []dnszone.Reply { return nil }
	down = false
	asks("54", "53") // now the second is the one that is down
	l.net.clock.advance(1)
	asks("53")
}

// TestEarly: whoever wants it hears of one family before the other is there.
func TestEarly(t *testing.T) {
	for _, late := range []string{"A", "AAAA"} {
		l := newLab(t, nil)
		l.server.Intercept = func(q dnszone.Query, honest []byte) []dnszone.Reply {
			if q.Type == late {
				return nil
			}
			return send(honest)
		}
		var early []netip.Addr
		ctx := WithEarly(context.Background(), func(infos []AddrInfo) {
			for _, a := range infos {
				early = append(early, a.Addr.IP)
			}
		})
		infos, err := l.Getaddrinfo(ctx, "www.example.", "80", 0, endpoint.SOCK_STREAM, 0, 0)
		want := map[string]string{"A": "2001:db8:1::1", "AAAA": "192.0.2.1"}[late]
		if err != nil || len(infos) != 1 || len(early) != 1 || early[0].String() != want {
			t.Errorf("without %s: early %v, then %v, %v", late, early, infos, err)
		}
	}
}
