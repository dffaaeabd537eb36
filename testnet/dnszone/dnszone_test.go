package dnszone

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const zoneText = `
$TTL 1h ; an hour
@       IN SOA ns hostmaster ( 2026010101 ; serial
                 1h 10m 1w 60 )
        NS     ns
        MX     10 mail
ns      A      192.0.2.53
www 300 IN A   192.0.2.1
        IN 300 AAAA 2001:db8::1
alias   CNAME  www
alias2  CNAME  alias
away    CNAME  host.other.test.
dead    CNAME  nowhere
*.wild  A      192.0.2.4
leaf.ent A     192.0.2.5
txt     TXT    "hello \"world\"" two
_s._tcp SRV    1 2 443 www
odd\.dot A     192.0.2.6
d       DNAME  target
h.target A     192.0.2.7
raw     TYPE65280 \# 3 0102 03
loopa   CNAME  loopb
loopb   CNAME  loopa
$ORIGIN sub
deep    A      192.0.2.8
`

func testServer(t testing.TB) *Server {
	t.Helper()
	z, err := Parse(zoneText, "example.test")
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewZone("other.test.")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range [][3]string{{"@", "SOA", "ns host 1 2 3 4 5"}, {"host", "A", "198.51.100.1"}} {
		if err := other.Add(r[0], r[1], r[2], 60); err != nil {
			t.Fatal(err)
		}
	}
	return NewServer(z, other)
}

// query makes a query; size 0 means without EDNS.
func query(t testing.TB, name string, typ dnsmessage.Type, size int) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: typ, Class: dnsmessage.ClassINET}},
	}
	if size > 0 {
		var h dnsmessage.ResourceHeader
		if err := h.SetEDNS0(size, 0, false); err != nil {
			t.Fatal(err)
		}
		m.Additionals = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.OPTResource{}}}
	}
	out, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// show puts a reply in one line: code, answers, authority.
func show(t testing.TB, reply []byte) string {
	t.Helper()
	var m dnsmessage.Message
	if err := m.Unpack(reply); err != nil {
		t.Fatalf("%v in % x", err, reply)
	}
	if m.ID != 7 || !m.Response || len(m.Questions) != 1 {
		t.Fatalf("header %+v, %d questions", m.Header, len(m.Questions))
	}
	out := []string{strings.TrimPrefix(m.RCode.String(), "RCode")}
	if m.Truncated {
		out = append(out, "TC")
	}
	for _, r := range m.Answers {
		var data string
		switch b := r.Body.(type) {
		case *dnsmessage.AResource:
			data = net.IP(b.A[:]).String()
		case *dnsmessage.AAAAResource:
			data = net.IP(b.AAAA[:]).String()
		case *dnsmessage.CNAMEResource:
			data = b.CNAME.String()
		case *dnsmessage.NSResource:
			data = b.NS.String()
		case *dnsmessage.MXResource:
			data = fmt.Sprint(b.Pref, b.MX)
		case *dnsmessage.SRVResource:
			data = fmt.Sprint(b.Priority, b.Weight, b.Port, b.Target)
		case *dnsmessage.TXTResource:
			data = fmt.Sprintf("%q", b.TXT)
		case *dnsmessage.UnknownResource:
			data = fmt.Sprintf("%x", b.Data)
		}
		out = append(out, fmt.Sprintf("%v %s %v %s", r.Header.Name, typeText(uint16(r.Header.Type)), r.Header.TTL, data))
	}
	for _, r := range m.Authorities {
		out = append(out, fmt.Sprintf("/ %v %s %d", r.Header.Name, typeText(uint16(r.Header.Type)), r.Header.TTL))
	}
	return strings.Join(out, "; ")
}

func TestAnswers(t *testing.T) {
	s := testServer(t)
	const soa = "; / example.test. SOA 60"
	for _, c := range []struct {
		name string
		typ  dnsmessage.Type
		want string
	}{
		{"www.example.test.", 1, "Success; www.example.test. A 300 192.0.2.1"},
		{"WWW.Example.Test.", 1, "Success; WWW.Example.Test. A 300 192.0.2.1"},
		{"www.example.test.", 28, "Success; www.example.test. AAAA 300 2001:db8::1"},
		{"www.example.test.", 16, "Success" + soa},
		{"nx.example.test.", 1, "NameError" + soa},
		{"ent.example.test.", 1, "Success" + soa},
		{"leaf.ent.example.test.", 1, "Success; leaf.ent.example.test. A 3600 192.0.2.5"},
		{"alias2.example.test.", 1, "Success; alias2.example.test. CNAME 3600 alias.example.test.; alias.example.test. CNAME 3600 www.example.test.; www.example.test. A 300 192.0.2.1"},
		{"alias2.example.test.", 5, "Success; alias2.example.test. CNAME 3600 alias.example.test."},
		{"away.example.test.", 1, "Success; away.example.test. CNAME 3600 host.other.test.; host.other.test. A 60 198.51.100.1"},
		{"dead.example.test.", 1, "NameError; dead.example.test. CNAME 3600 nowhere.example.test." + soa},
		{"a.b.wild.example.test.", 1, "Success; a.b.wild.example.test. A 3600 192.0.2.4"},
		{"a.wild.example.test.", 28, "Success" + soa},
		{"example.test.", 2, "Success; example.test. NS 3600 ns.example.test."},
		{"example.test.", 15, "Success; example.test. MX 3600 10 mail.example.test."},
		{"txt.example.test.", 16, `Success; txt.example.test. TXT 3600 ["hello \"world\"" "two"]`},
		{"_s._tcp.example.test.", 33, "Success; _s._tcp.example.test. SRV 3600 1 2 443 www.example.test."},
		{"raw.example.test.", 65280, "Success; raw.example.test. TYPE65280 3600 010203"},
		{"deep.sub.example.test.", 1, "Success; deep.sub.example.test. A 3600 192.0.2.8"},
		{"loopa.example.test.", 1, "Success; loopa.example.test. CNAME 3600 loopb.example.test.; loopb.example.test. CNAME 3600 loopa.example.test."},
		{"h.d.example.test.", 1, "Success; d.example.test. DNAME 3600 06746172676574076578616d706c65047465737400; h.d.example.test. CNAME 3600 h.target.example.test.; h.target.example.test. A 3600 192.0.2.7"},
		{"elsewhere.", 1, "Refused"},
	} {
		if got := show(t, s.Answer(query(t, c.name, c.typ, 0), true)); got != c.want {
			t.Errorf("%s %d:\n got %s\nwant %s", c.name, c.typ, got, c.want)
		}
	}
}

func TestChangingZone(t *testing.T) {
	z, err := NewZone(".")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(z)
	ask := func() string { return show(t, s.Answer(query(t, "a.b.", 1, 0), true)) }
	steps := []struct {
		do   func() error
		want string
	}{
		{func() error { return nil }, "NameError"},
		{func() error { return z.Add("a.b", "A", "192.0.2.1", 9) }, "Success; a.b. A 9 192.0.2.1"},
		{func() error { return z.Remove("a.b", "AAAA") }, "Success; a.b. A 9 192.0.2.1"},
		{func() error { return z.Remove("A.B.", "") }, "Success"},
	}
	for i, step := range steps {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got := ask(); got != step.want {
			t.Errorf("step %d: %s, want %s", i, got, step.want)
		}
	}
	b, err := Parse("a A 192.0.2.2", "b")
	if err != nil {
		t.Fatal(err)
	}
	s.AddZone(b)
	if got := ask(); got != "Success; a.b. A 3600 192.0.2.2" {
		t.Errorf("after AddZone: %s", got)
	}
}

func TestTruncation(t *testing.T) {
	z, err := NewZone("big")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		if err := z.Add("@", "A", fmt.Sprintf("192.0.2.%d", i), 60); err != nil {
			t.Fatal(err)
		}
	}
	s := NewServer(z)
	for _, c := range []struct {
		size      int
		udp, full bool
	}{{0, true, false}, {600, true, false}, {1232, true, true}, {0, false, true}} {
		got := show(t, s.Answer(query(t, "big.", 1, c.size), c.udp))
		if full := strings.Count(got, "192.0.2.") == 60; full != c.full || !full && got != "Success; TC" {
			t.Errorf("EDNS %d, UDP %v: %s", c.size, c.udp, got)
		}
	}
}

func TestBadQueries(t *testing.T) {
	s := testServer(t)
	good := query(t, "www.example.test.", 1, 1232)
	change := func(f func(m []byte) []byte) []byte { return f(slices.Clone(good)) }
	for name, c := range map[string]struct {
		query []byte
		rcode int // −1: no reply
	}{
		"empty":         {nil, -1},
		"short":         {good[:11], -1},
		"a reply":       {change(func(m []byte) []byte { m[2] |= 0x80; return m }), -1},
		"opcode":        {change(func(m []byte) []byte { m[2] |= 0x10; return m }), rcodeNotImp},
		"no question":   {change(func(m []byte) []byte { m[5] = 0; return m }), rcodeFormErr},
		"cut":           {good[:20], rcodeFormErr},
		"cut OPT":       {good[:len(good)-3], rcodeFormErr},
		"class":         {change(func(m []byte) []byte { m[12+18+3] = 3; return m }), rcodeRefused},
		"pointer loop":  {append(slices.Clone(good[:12]), 0xc0, 12, 0, 1, 0, 1), rcodeFormErr},
		"EDNS version":  {change(func(m []byte) []byte { m[len(m)-5] = 1; return m }), rcodeBadVers},
		"honest at all": {good, rcodeSuccess},
	} {
		reply := s.Answer(c.query, true)
		if c.rcode < 0 {
			if reply != nil {
				t.Errorf("%s: a reply", name)
			}
			continue
		}
		if len(reply) < 12 {
			t.Errorf("%s: reply % x", name, reply)
			continue
		}
		rcode := int(reply[3] & 0xf)
		if c.rcode > 15 { // the upper bits are in the OPT record
			rcode |= int(reply[len(reply)-6]) << 4
		}
		if rcode != c.rcode {
			t.Errorf("%s: code %d, want %d", name, rcode, c.rcode)
		}
	}
}

func TestMasterFileErrors(t *testing.T) {
	for text, want := range map[string]string{
		"  A 192.0.2.1":                          "no owner",
		"a A 192.0.2.256":                        "no address",
		"a AAAA 192.0.2.1":                       "no address",
		"a A":                                    "0 fields",
		"a 300 IN":                               "without type",
		"a FOO x":                                "no record type",
		"a ANY x":                                "no record type",
		"a A 192.0.2.1 )":                        ") without (",
		"a SOA x y ( 1 2 3":                      "( without )",
		`a TXT "x`:                               "not closed",
		"\n\na..b A 192.0.2.1":                   "line 3",
		"b.c. A 192.0.2.1":                       "not in zone",
		"$INCLUDE x":                             "no directive",
		"$TTL x":                                 "no TTL",
		"$TTL":                                   "one value",
		`a TYPE9 \# 2 01`:                        "length says",
		"a TYPE9 x":                              `\# form`,
		`a\999 A 192.0.2.1`:                      "beyond 255",
		strings.Repeat("a", 64) + " A 192.0.2.1": "63 bytes",
		strings.Repeat("a.", 126) + "aaa A 192.0.2.1": "255 bytes",
		"a TXT " + strings.Repeat("x", 256):           "255 bytes",
		"a MX x mail":                                 "16 bits",
		"a SOA x y 1 2 3 4 z":                         "32 bits",
	} {
		_, err := Parse(text, "zone.test")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestSockets serves over the loopback of this machine's kernel.
func TestSockets(t *testing.T) {
	s := testServer(t)
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	go func() { done <- s.Serve(packets) }()
	go func() { done <- s.ServeListener(listener) }()

	ask := query(t, "www.example.test.", 1, 0)
	const want = "Success; www.example.test. A 300 192.0.2.1"
	conn, err := net.Dial("udp", packets.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	buf := make([]byte, 512)
	conn.Write([]byte("junk")) // is passed over
	conn.Write(ask)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	if got := show(t, buf[:n]); got != want {
		t.Errorf("UDP: %s", got)
	}

	stream, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	stream.SetDeadline(time.Now().Add(20 * time.Second))
	framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(ask))), ask...)
	stream.Write(append(slices.Clone(framed), framed...)) // two at once
	for range 2 {
		io.ReadFull(stream, buf[:2])
		n := int(binary.BigEndian.Uint16(buf))
		if _, err := io.ReadFull(stream, buf[:n]); err != nil {
			t.Fatal(err)
		}
		if got := show(t, buf[:n]); got != want {
			t.Errorf("TCP: %s", got)
		}
	}
	packets.Close()
	listener.Close()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if _, err := stream.Read(buf); err == nil {
		t.Error("the connection outlives the listener")
	}
}

// failing is a PacketConn that cannot be read.
type failing struct{ net.PacketConn }

var errWire = errors.New("wire is cut")

func (failing) ReadFrom([]byte) (int, net.Addr, error) { return 0, nil, errWire }

func TestServeError(t *testing.T) {
	if err := testServer(t).Serve(failing{}); err != errWire {
		t.Errorf("Serve returns %v", err)
	}
}

// TestIntercept: replies are dropped, doubled and delayed as told, and a delay
// that is still running when the socket is closed is called off.
func TestIntercept(t *testing.T) {
	s := testServer(t)
	var stopped, fired int
	ctx, late := context.WithCancel(context.Background())
	s.AfterFunc = func(d time.Duration, f func()) func() bool {
		if d == time.Second {
			fired++
			go f()
			return func() bool { return false }
		}
		late()
		return func() bool { stopped++; return true }
	}
	s.Intercept = func(q Query, honest []byte) []Reply {
		switch q.Name {
		case "www.example.test.":
			return []Reply{{Message: honest}, {Message: honest, After: time.Second}}
		case "txt.example.test.":
			return []Reply{{Message: honest, After: time.Hour}}
		}
		return nil
	}
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(packets) }()
	conn, err := net.Dial("udp", packets.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	conn.Write(query(t, "ns.example.test.", 1, 0)) // dropped
	conn.Write(query(t, "www.example.test.", 1, 0))
	buf := make([]byte, 512)
	for range 2 {
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if got := show(t, buf[:n]); !strings.Contains(got, "192.0.2.1") {
			t.Errorf("got %s", got)
		}
	}
	conn.Write(query(t, "txt.example.test.", 16, 0))
	<-ctx.Done()
	packets.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if stopped != 1 || fired != 1 {
		t.Errorf("%d called off, %d sent late", stopped, fired)
	}
}

func BenchmarkAnswer(b *testing.B) {
	s := testServer(b)
	q := query(b, "alias2.example.test.", 1, 1232)
	b.ReportAllocs()
	for b.Loop() {
		if s.Answer(q, true) == nil {
			b.Fatal("no answer")
		}
	}
}
