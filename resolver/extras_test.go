package resolver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"usersock/testnet/dnszone"
)

// TestExtras: what a reply holds beside the answer to the question is neither
// used nor remembered, whichever section it is in and however near its name.
func TestExtras(t *testing.T) {
	a := func(name string, class dnsmessage.Class, last byte) dnsmessage.Resource {
		return dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: class, TTL: 9999},
			Body:   &dnsmessage.AResource{A: [4]byte{203, 0, 113, last}},
		}
	}
	in := dnsmessage.ClassINET
	cname := dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("ns.example."), Class: in, TTL: 9999},
		Body:   &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("evil.example.")},
	}
	ns := dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("example."), Class: in, TTL: 9999},
		Body:   &dnsmessage.NSResource{NS: dnsmessage.MustNewName("ns.example.")},
	}
	extras := []dnsmessage.Resource{
		a("ns.example.", in, 1), a("example.", in, 2), a("sub.www.example.", in, 3), a(".", in, 4),
		a("www.example.", dnsmessage.ClassCHAOS, 5), a("alias.example.", in, 6), a("evil.example.", in, 7), cname, ns,
	}
	for _, section := range []string{"answer, before", "answer, after", "authority", "additional"} {
		t.Run(section, func(t *testing.T) {
			l := newLab(t, nil)
			with := true
			l.server.Intercept = func(q dnszone.Query, honest []byte) []dnszone.Reply {
				if !with {
					return send(honest)
				}
				var m dnsmessage.Message
				if err := m.Unpack(honest); err != nil {
					t.Fatal(err)
				}
				if section == "authority" || section == "additional" {
					// There, an address of the very name is no answer either.
					extras = append(extras[:9:9], a("www.example.", in, 8))
				}
				switch section {
				case "answer, before":
					m.Answers = append(slices.Clone(extras), m.Answers...)
				case "answer, after":
					m.Answers = append(m.Answers, extras...)
				case "authority":
					m.Authorities = append(m.Authorities, extras...)
				case "additional":
					m.Additionals = append(m.Additionals, extras...)
				}
				msg, err := m.Pack()
				if err != nil {
					t.Fatal(err)
				}
				return send(msg)
			}
			l.want(t, "www.example.", "2001:db8:1::1 192.0.2.1")
			if s := l.Stats(); s.Entries != 2 {
				t.Errorf("%d answers are remembered, want 2", s.Entries)
			}
			with = false
			l.want(t, "www.example.", "2001:db8:1::1 192.0.2.1")
			l.want(t, "ns.example.", "192.0.2.53")
			l.want(t, "alias.example.", "2001:db8:1::1 192.0.2.1")
			l.want(t, "evil.example.", "Name or service not known")
		})
	}
}

// TestFloodOfRecords: a reply as long as one can be is read once, and what it
// leaves behind is bounded by the cache's size.
func TestFloodOfRecords(t *testing.T) {
	zone := mustZone(t, "@ 60 SOA a b 1 2 3 4 5\n", "example")
	for i := range 3900 {
		if err := zone.Add("big", "A", fmt.Sprintf("198.51.%d.%d", i/250, i%250), 60); err != nil {
			t.Fatal(err)
		}
	}
	l := newLab(t, func(c *Config) { c.CacheSize = 64 << 10 }, dnszone.NewServer(zone))
	ips, err := l.LookupNetIP(context.Background(), "ip4", "big.example.")
	if err != nil || len(ips) != 3900 {
		t.Errorf("%d addresses, %v", len(ips), err)
	}
	if s := l.Stats(); s.Entries != 0 || s.Bytes != 0 {
		t.Errorf("an answer larger than the cache is in it: %+v", s)
	}
}

// TestLongChain: aliases in the worst order and number are followed in bounded
// time, and their loop is found.
func TestLongChain(t *testing.T) {
	const n = 2000
	name := dnsmessage.MustNewName("c0.example.")
	q := &question{name: name, text: "c0.example", typ: dnsmessage.TypeA, id: 1}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 1, Response: true},
		Questions: []dnsmessage.Question{{Name: name, Type: q.typ, Class: dnsmessage.ClassINET}},
	}
	for i := n; i >= 0; i-- {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(fmt.Sprintf("c%d.example.", i)), Class: dnsmessage.ClassINET, TTL: 1},
			Body:   &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(fmt.Sprintf("c%d.example.", (i+1)%n))},
		})
	}
	msg, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if kind, _, _, why := readReply(msg, q); kind != replyUnusable || !strings.Contains(fmt.Sprint(why), "CNAME") {
		t.Errorf("kind %d, %v", kind, why)
	}
}
