package resolver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"usersock/stack/endpoint"
	"usersock/testnet/dnszone"
)

// forge runs a lookup of www against a server that sends what forge makes of
// each honest datagram.
func forge(t *testing.T, forge func(honest []byte) []dnszone.Reply) (*lab, string) {
	l := newLab(t, nil)
	l.server.Intercept = func(q dnszone.Query, honest []byte) []dnszone.Reply {
		if !q.UDP {
			return send(honest)
		}
		return forge(honest)
	}
	return l, l.lookup("www.example")
}

func TestForgedReplies(t *testing.T) {
	const honestAddrs = "2001:db8:1::1 192.0.2.1"
	changed := func(change func(m []byte) []byte) func([]byte) []byte {
		return func(honest []byte) []byte { return change(slices.Clone(honest)) }
	}
	for name, forged := range map[string]func([]byte) []byte{
		"other ID":         changed(func(m []byte) []byte { m[0] ^= 1; return m }),
		"query":            changed(func(m []byte) []byte { m[2] &^= 0x80; return m }),
		"opcode":           changed(func(m []byte) []byte { m[2] |= 0x20; return m }),
		"other name":       changed(func(m []byte) []byte { m[13] ^= 1; return m }),
		"other type":       changed(func(m []byte) []byte { m[12+13+1] = 16; return m }),
		"other class":      changed(func(m []byte) []byte { m[12+13+3] = 3; return m }),
		"no question":      changed(func(m []byte) []byte { m[5] = 0; return m }),
		"cut in header":    changed(func(m []byte) []byte { return m[:7] }),
		"cut in question":  changed(func(m []byte) []byte { return m[:20] }),
		"empty":            changed(func(m []byte) []byte { return nil }),
		"second question":  changed(func(m []byte) []byte { m[5] = 2; return m }),
		"SERVFAIL, ID off": changed(func(m []byte) []byte { m[1] ^= 1; m[3] |= 2; return m }),
	} {
		t.Run(name, func(t *testing.T) {
			l, got := forge(t, func(honest []byte) []dnszone.Reply {
				f := forged(honest)
				return send(f, f, honest)
			})
			if got != honestAddrs {
				t.Errorf("two forged replies, then the honest one: %s", got)
			}
			for _, q := range l.net.asked() {
				if !strings.HasPrefix(q, "udp") {
					t.Errorf("asked %s", q)
				}
			}
			l, got = forge(t, func(honest []byte) []dnszone.Reply {
				f := forged(honest)
				return send(f, f, f, honest)
			})
			asked := strings.Join(l.net.asked(), "\n")
			if got != honestAddrs || strings.Count(asked, "tcp") != 2 {
				t.Errorf("three forged replies: %s after\n%s", got, asked)
			}
		})
	}
}

func TestTruncated(t *testing.T) {
	l, got := forge(t, func(honest []byte) []dnszone.Reply {
		honest[2] |= 2
		return send(honest)
	})
	if got != "2001:db8:1::1 192.0.2.1" || strings.Count(strings.Join(l.net.asked(), " "), "tcp") != 2 {
		t.Errorf("got %s", got)
	}
}

func TestBigAnswer(t *testing.T) {
	z := mustZone(t, "@ 60 SOA a b 1 2 3 4 5\n", "example")
	for i := range 200 {
		if err := z.Add("big", "A", fmt.Sprintf("198.51.100.%d", i), 60); err != nil {
			t.Fatal(err)
		}
	}
	l := newLab(t, nil, dnszone.NewServer(z))
	if n := strings.Count(l.lookup("big.example"), "198.51.100."); n != 200 {
		t.Errorf("%d addresses", n)
	}
	if asked := strings.Join(l.net.asked(), " "); !strings.Contains(asked, "tcp big.example. A") {
		t.Errorf("asked %s", asked)
	}
}

// TestFormErr: the OPT record is dropped on FORMERR, and only then.
func TestFormErr(t *testing.T) {
	l := newLab(t, nil)
	var sizes []int
	l.server.Intercept = func(q dnszone.Query, honest []byte) []dnszone.Reply {
		sizes = append(sizes, q.EDNS)
		if q.EDNS > 0 {
			return send(withRcode(q.Message, 1))
		}
		return send(honest)
	}
	l.want(t, "www.example", "2001:db8:1::1 192.0.2.1")
	if want := []int{1232, 1232, 0, 0}; !slices.Equal(sizes, want) {
		t.Errorf("EDNS sizes %v, want %v", sizes, want)
	}
}

func TestChains(t *testing.T) {
	l := newLab(t, nil)
	_, _, _, err := l.GethostbynameEx(context.Background(), "loopa.example")
	var gai *Gaierror
	if !errors.As(err, &gai) || gai.Code != endpoint.EAI_FAIL && gai.Code != endpoint.EAI_NODATA {
		t.Errorf("loop: %v", err)
	}
	canon, aliases, addrs, err := l.GethostbynameEx(context.Background(), "Alias.Example")
	if canon != "www.example" || !slices.Equal(aliases, []string{"alias.example"}) || fmt.Sprint(addrs) != "[192.0.2.1]" || err != nil {
		t.Errorf("alias: %s %v %v %v", canon, aliases, addrs, err)
	}
}

// TestQueryIDs: the IDs are what the random source gives.
func TestQueryIDs(t *testing.T) {
	l := newLab(t, func(c *Config) { c.Rand = strings.NewReader("\x12\x34\xab\xcd") })
	var ids []uint16
	l.server.Intercept = func(q dnszone.Query, honest []byte) []dnszone.Reply {
		ids = append(ids, binary.BigEndian.Uint16(q.Message))
		return send(honest)
	}
	l.want(t, "www.example", "2001:db8:1::1 192.0.2.1")
	if !slices.Equal(ids, []uint16{0x1234, 0xabcd}) {
		t.Errorf("IDs %x", ids)
	}
	// Without random numbers nothing is sent.
	l.want(t, "short.example.", "Temporary failure in name resolution")
	if len(ids) != 2 {
		t.Errorf("IDs %x", ids)
	}
}

// TestNegativeTTL: the smaller of the SOA's TTL and its MINIMUM counts; without
// SOA the answer is not kept.
func TestNegativeTTL(t *testing.T) {
	name := dnsmessage.MustNewName("nx.example.")
	q := &question{name: name, text: "nx.example", typ: dnsmessage.TypeA, id: 9}
	for _, c := range []struct {
		ttl, minimum uint32
		soa          bool
		want         time.Duration
	}{
		{10, 60, true, 10 * time.Second},
		{60, 10, true, 10 * time.Second},
		{1 << 31, 1 << 31, true, 0},
		{0, 0, false, 0},
	} {
		m := dnsmessage.Message{
			Header:    dnsmessage.Header{ID: 9, Response: true, RCode: dnsmessage.RCodeNameError},
			Questions: []dnsmessage.Question{{Name: name, Type: q.typ, Class: dnsmessage.ClassINET}},
		}
		if c.soa {
			m.Authorities = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: c.ttl},
				Body:   &dnsmessage.SOAResource{NS: name, MBox: name, MinTTL: c.minimum},
			}}
		}
		msg, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		kind, ans, _, why := readReply(msg, q)
		if kind != replyAnswer || !errors.Is(ans.err, ErrNotFound) || ans.ttl != c.want {
			t.Errorf("%+v: kind %d, %v, %+v", c, kind, why, ans)
		}
	}
}

// TestChainLimit: sixteen CNAMEs are followed, seventeen are not.
func TestChainLimit(t *testing.T) {
	zone := mustZone(t, "@ 60 SOA a b 1 2 3 4 5\n", "example")
	add := func(owner, typ, data string) {
		if err := zone.Add(owner, typ, data, 60); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 17 {
		add(fmt.Sprintf("c%d", i), "CNAME", fmt.Sprintf("c%d", i+1))
	}
	add("c17", "A", "192.0.2.17")
	l := newLab(t, nil, dnszone.NewServer(zone))
	l.want(t, "c1.example.", "192.0.2.17")
	l.want(t, "c0.example.", "Non-recoverable failure in name resolution")
}
