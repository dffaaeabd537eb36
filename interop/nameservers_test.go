//go:build linux

package interop

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"usersock/interop/netns"
	"usersock/resolver"
	"usersock/sockapi"
	"usersock/stack/endpoint"
	"usersock/testnet/dnszone"
)

// process is another process on n's stack, with a resolver of its own.
func process(t *testing.T, n *sockapi.Net, conf string, cfg resolver.Config) *sockapi.Net {
	t.Helper()
	cfg.ResolvConf = conf
	p, err := sockapi.New(sockapi.Config{Stack: n.Stack(), Resolver: cfg})
	check(t, err)
	t.Cleanup(func() { check(t, p.Close()) })
	return p
}

// hosts puts the answers of getaddrinfo for streams in one line.
func hosts(n *sockapi.Net, name string, family int) string {
	infos, err := n.Getaddrinfo(context.Background(), name, "80", family, sockapi.SOCK_STREAM, 0, sockapi.AI_CANONNAME)
	if err != nil {
		var gai *sockapi.Gaierror
		if errors.As(err, &gai) {
			switch gai.Code {
			case endpoint.EAI_NONAME:
				return "EAI_NONAME"
			case endpoint.EAI_NODATA:
				return "EAI_NODATA"
			case endpoint.EAI_AGAIN:
				return "EAI_AGAIN"
			}
		}
		return err.Error()
	}
	out := []string{infos[0].Canonname}
	for _, i := range infos {
		host, _, err := n.Getnameinfo(context.Background(), i.Addr, sockapi.NI_NUMERICHOST|sockapi.NI_NUMERICSERV)
		if err != nil {
			return err.Error()
		}
		out = append(out, host)
	}
	return strings.Join(out, " ")
}

// TestNameServers: names as nsd and unbound tell them, over IPv4 and IPv6.
func TestNameServers(t *testing.T) {
	netns.Need(t, "nsd", "unbound", "ip")
	n := host(t, "tun")
	p := startNSD(t, signedZone)
	p.startUnbound(t, "iterator", "")
	for _, server := range append(slices.Clone(p.nsd), p.unbound...) {
		recursive := slices.Contains(p.unbound, server)
		t.Run(server, func(t *testing.T) {
			var trace traced
			c := process(t, n, "search none.example example other\noptions timeout:5 attempts:2\n", resolver.Config{Servers: addrPorts(t, server), Trace: trace.add})
			for _, q := range []struct {
				name   string
				family int
				want   string
				only   bool // what only a recursive server says
			}{
				{"www.example", 0, "www.example 2001:db8:77::1 203.0.113.1", false},
				{"WWW.EXAMPLE.", sockapi.AF_INET, "WWW.EXAMPLE 203.0.113.1", false},
				{"four.example.", sockapi.AF_INET6, "EAI_NODATA", false},
				{"four.example.", 0, "four.example 203.0.113.4", false},
				{"six.example.", 0, "six.example 2001:db8:77::6", false},
				{"alias.example.", 0, "www.example 2001:db8:77::1 203.0.113.1", false},
				{"toother.example.", 0, "www.other 203.0.113.20", true},
				{"nowhere.example.", 0, "EAI_NONAME", false},
				{"dangling.example.", 0, "EAI_NONAME", false},
				{"text.example.", 0, "EAI_NODATA", false},
				{"sub.example.", 0, "EAI_NODATA", false}, // an empty non-terminal
				{"y.d.example.", 0, "y.new.example 203.0.113.7", false},
				{"z.d.example.", 0, "y.new.example 203.0.113.7", false},
				{"y.dd.example.", 0, "y.new.example 203.0.113.7", false},
				{"x.d.example.", 0, "EAI_NONAME", false},
				{"x.y.star.example.", 0, "x.y.star.example 203.0.113.3", false},
				{"x.a.star.example.", 0, "EAI_NONAME", false},
				{"x.cstar.example.", sockapi.AF_INET, "www.example 203.0.113.1", false},
				// The search list: the first domain does not exist.
				{"www", sockapi.AF_INET, "www.example 203.0.113.1", false},
				{"four", sockapi.AF_INET, "four.example 203.0.113.4", false},
				{"only", sockapi.AF_INET, "only.other 203.0.113.22", false},
				{"nowhere", 0, "EAI_NONAME", false},
			} {
				if q.only && !recursive {
					continue
				}
				if got := hosts(c, q.name, q.family); got != q.want {
					t.Errorf("%s (family %d): %s, want %s", q.name, q.family, got, q.want)
				}
			}
			if events := trace.take(); strings.Contains(events, "tcp") {
				t.Errorf("short answers took TCP:\n%s", events)
			}
			// Answers that no datagram holds.
			for name, want := range map[string]int{"many.example.": 256, "hundred.example.": 100} {
				got := strings.Fields(hosts(c, name, 0))
				slices.Sort(got[1:])
				if got[0]+"." != name || len(slices.Compact(got[1:])) != want {
					t.Errorf("%s: %d addresses, want %d: %.300v", name, len(got)-1, want, got)
				}
			}
			if events := trace.take(); !strings.Contains(events, "tcp many.example A") || !strings.Contains(events, "udp many.example A") {
				t.Errorf("a long answer went otherwise than over UDP, then TCP:\n%.2000s", events)
			}
			for addr, want := range map[string]string{
				"203.0.113.1":    "www.example",
				"203.0.113.2":    "mail.example", // RFC 2317
				"203.0.113.3":    "203.0.113.3",  // its name is unfit
				"203.0.113.77":   "203.0.113.77",
				"2001:db8:77::1": "www.example",
			} {
				family := sockapi.Addr(sockapi.InetAddr{Host: addr, Port: 80})
				if strings.Contains(addr, ":") {
					family = sockapi.Inet6Addr{Host: addr, Port: 80}
				}
				if got, _, err := c.Getnameinfo(context.Background(), family, 0); err != nil || got != want {
					t.Errorf("the name of %s: %s, %v, want %s", addr, got, err, want)
				}
			}
			if got, want := goLookups(c.Resolver()), `txt 200; mx 10 mail.example.; srv 1 2 443 www.example.; ns ns.example.; cname www.example.; addr www.example.; host 2001:db8:77::1 203.0.113.1; exchange 43 kB`; got != want {
				t.Errorf("the lookups of package net: %s\nwant %s", got, want)
			}
			// Large over TCP, and without EDNS.
			reply := ask(t, n, server, "tcp", "large.example.", dnsmessage.TypeTXT, 0, false)
			if got := summary(t, reply); strings.Count(got, "TXTResource") != 200 {
				t.Errorf("large.example: %d bytes, %.200s", len(reply), got)
			}
			if got := summary(t, ask(t, n, server, "udp", "hundred.example.", dnsmessage.TypeAAAA, 0, false)); !strings.Contains(got, "TC") {
				t.Errorf("without EDNS: %.200s", got)
			}
		})
	}
}

// goLookups makes the lookups of net.Resolver, and one of a message.
func goLookups(r *resolver.Resolver) string {
	ctx := context.Background()
	var out []string
	say := func(err error, format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		if err != nil {
			text = err.Error()
		}
		out = append(out, text)
	}
	txt, err := r.LookupTXT(ctx, "large.example.")
	say(err, "txt %d", len(txt))
	mx, err := r.LookupMX(ctx, "example.")
	for _, m := range mx {
		say(err, "mx %d %s", m.Pref, m.Host)
	}
	_, srv, err := r.LookupSRV(ctx, "s", "tcp", "example.")
	for _, s := range srv {
		say(err, "srv %d %d %d %s", s.Priority, s.Weight, s.Port, s.Target)
	}
	ns, err := r.LookupNS(ctx, "example.")
	for _, n := range ns {
		say(err, "ns %s", n.Host)
	}
	cname, err := r.LookupCNAME(ctx, "alias.example.")
	say(err, "cname %s", cname)
	names, err := r.LookupAddr(ctx, "203.0.113.1")
	say(err, "addr %s", strings.Join(names, " "))
	addrs, err := r.LookupHost(ctx, "www.example.")
	say(err, "host %s", strings.Join(addrs, " "))
	query := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 99, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName("large.example."), Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassINET}},
	}
	packed, err := query.Pack()
	if err == nil {
		packed, err = r.Exchange(ctx, packed) // over UDP, then TCP
	}
	say(err, "exchange %d kB", len(packed)/1000)
	return strings.Join(out, "; ")
}

// traced collects what a resolver tells of its questions.
type traced struct {
	mu     sync.Mutex
	events []string
}

func (r *traced) add(e resolver.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e.Network+" "+e.Name+" "+e.Type)
}

func (r *traced) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := strings.Join(r.events, "\n")
	r.events = nil
	return out
}

// ask sends one query from our stack and returns the reply. size 0 is without
// EDNS; dnssec asks for signatures.
func ask(t *testing.T, n *sockapi.Net, server, network, name string, typ dnsmessage.Type, size int, dnssec bool) []byte {
	t.Helper()
	query := wireQuery(t, name, typ, size, dnssec)
	conn, err := n.Dial(network, server)
	check(t, err)
	defer conn.Close()
	check(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	if network == "tcp" {
		query = append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)
	}
	_, err = conn.Write(query)
	check(t, err)
	buf := make([]byte, 65535)
	if network == "udp" {
		size, err := conn.Read(buf)
		check(t, err)
		return buf[:size]
	}
	_, err = io.ReadFull(conn, buf[:2])
	check(t, err)
	buf = buf[:binary.BigEndian.Uint16(buf)]
	_, err = io.ReadFull(conn, buf)
	check(t, err)
	return buf
}

func wireQuery(t *testing.T, name string, typ dnsmessage.Type, size int, dnssec bool) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 0x1234, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: typ, Class: dnsmessage.ClassINET}},
	}
	if size > 0 {
		var h dnsmessage.ResourceHeader
		check(t, h.SetEDNS0(size, 0, dnssec))
		m.Additionals = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.OPTResource{}}}
	}
	out, err := m.Pack()
	check(t, err)
	return out
}

// summary puts a reply in one line: the code, AA and TC, the records of each
// section in an order of their own. Authority and additional records matter
// only where there is no answer, or where it ends in a referral.
func summary(t *testing.T, reply []byte) string {
	t.Helper()
	var m dnsmessage.Message
	if err := m.Unpack(reply); err != nil {
		t.Fatalf("%v in % x", err, reply)
	}
	out := strings.TrimPrefix(m.RCode.String(), "RCode")
	if m.Authoritative {
		out += " AA"
	}
	if m.Truncated {
		return out + " TC"
	}
	section := func(title string, list []dnsmessage.Resource) {
		var lines []string
		for _, r := range list {
			if r.Header.Type != dnsmessage.TypeOPT {
				b := r.Body
				if u, ok := b.(*dnsmessage.UnknownResource); ok {
					b = &dnsmessage.UnknownResource{Type: u.Type, Data: bytes.ToLower(u.Data)}
				}
				lines = append(lines, strings.ToLower(fmt.Sprintf("%v %d ", r.Header.Name, r.Header.TTL))+strings.TrimPrefix(b.GoString(), "&dnsmessage."))
			}
		}
		slices.Sort(lines)
		if len(lines) > 0 {
			out += "\n  " + title + "\n    " + strings.Join(lines, "\n    ")
		}
	}
	section("answer", m.Answers)
	last := dnsmessage.TypeCNAME
	referral := false
	for _, r := range m.Answers {
		last = r.Header.Type
	}
	for _, r := range m.Authorities {
		referral = referral || r.Header.Type == dnsmessage.TypeNS
	}
	if len(m.Answers) == 0 || last == dnsmessage.TypeCNAME {
		section("authority", m.Authorities)
		if referral {
			section("additional", m.Additionals)
		}
	}
	return out
}

// TestLikeNSD: dnszone says what nsd says of the same zone.
func TestLikeNSD(t *testing.T) {
	netns.Need(t, "nsd", "ip")
	n := host(t, "tun")
	p := startNSD(t, signedZone)
	zone, err := dnszone.Parse(peerZone(), "example")
	check(t, err)
	check(t, zone.Check())
	root, err := dnszone.Parse(rootZone, ".")
	check(t, err)
	check(t, root.Check())
	server := dnszone.NewServer(zone, root)
	types := []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeTXT, dnsmessage.TypeNS,
		dnsmessage.TypeCNAME, dnsmessage.TypeMX, dnsmessage.TypeSOA, dnsmessage.TypeSRV, 39 /* DNAME */, 43 /* DS */}
	compared := 0
	for _, name := range strings.Fields(`@ www four alias dangling nowhere loopa text _s._tcp _tcp sub host.sub x.host.sub d y.d x.d z.d a.b.d
		dd y.dd new y.new z.new star x.star x.y.star a.star x.a.star *.star x.*.star sub.*.star x.sub.*.star cstar x.cstar
		child ns.child x.child x.y.child in WWW hundred aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.d`) {
		full := name + ".example."
		if name == "@" {
			full = "example."
		}
		for _, typ := range types {
			theirs := ask(t, n, p.nsd[0], "udp", full, typ, 1232, false)
			ours := server.Answer(wireQuery(t, full, typ, 1232, false), true)
			if got, want := summary(t, ours), summary(t, theirs); got != want {
				t.Errorf("%s %v:\nours %s\nnsd  %s", full, typ, got, want)
			}
			compared++
		}
	}
	if compared < 400 {
		t.Errorf("%d replies compared", compared)
	}
	// The zone as we write it is one that nsd takes, and is the same.
	file := p.write(t, "written", zone.String())
	netns.Run(t, "nsd-checkzone", "example", file)
}
