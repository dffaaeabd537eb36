package testnet_test

import (
	"context"
	"encoding/binary"
	"fmt"

	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"usersock/internal/virtual"
	"usersock/sockapi"
	"usersock/testnet/dnszone"
)

// A forger sits beside the link: it sees every question and puts packets of its
// own onto the wire, with any source, before the name server's answer comes.
// What it cannot do is repeat the question's ID, or else it would be the name
// server; where it has the ID all the same, something else is wrong.
type forger struct {
	w       *world
	t       *testing.T
	count   int // packets a question
	sent    int
	counter int
}

// kinds are the forged packets, each made from the true question.
var forgedKinds = []struct {
	name string
	make func(f *forger, q forgedQuery) [][]byte
}{
	{"another ID", func(f *forger, q forgedQuery) [][]byte {
		return q.packets(f.evil(q, func(m *dnsmessage.Message) { m.ID += 1 + f.any(65534) }))
	}},
	{"another client port", func(f *forger, q forgedQuery) [][]byte {
		q.client = netip.AddrPortFrom(q.client.Addr(), q.client.Port()+1+f.any(65534))
		return q.packets(f.evil(q, nil))
	}},
	{"another server port", func(f *forger, q forgedQuery) [][]byte {
		q.server = netip.AddrPortFrom(q.server.Addr(), 54+f.any(60000))
		return q.packets(f.evil(q, nil))
	}},
	{"another source", func(f *forger, q forgedQuery) [][]byte {
		q.server = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(3 + f.any(250))}), 53)
		return q.packets(f.evil(q, nil))
	}},
	{"another question", func(f *forger, q forgedQuery) [][]byte {
		return q.packets(f.evil(q, func(m *dnsmessage.Message) { m.Questions[0].Name = dnsmessage.MustNewName(otherName) }))
	}},
	{"another type", func(f *forger, q forgedQuery) [][]byte {
		return q.packets(f.evil(q, func(m *dnsmessage.Message) { m.Questions[0].Type = dnsmessage.TypeMX }))
	}},
	{"another class", func(f *forger, q forgedQuery) [][]byte {
		return q.packets(f.evil(q, func(m *dnsmessage.Message) { m.Questions[0].Class = dnsmessage.ClassCHAOS }))
	}},
	{"no question", func(f *forger, q forgedQuery) [][]byte {
		return q.packets(f.evil(q, func(m *dnsmessage.Message) { m.Questions = nil }))
	}},
	{"two questions", func(f *forger, q forgedQuery) [][]byte {
		return q.packets(f.evil(q, func(m *dnsmessage.Message) { m.Questions = append(m.Questions, m.Questions[0]) }))
	}},
	{"a query", func(f *forger, q forgedQuery) [][]byte {
		return q.packets(f.evil(q, func(m *dnsmessage.Message) { m.Response = false }))
	}},
	{"another opcode", func(f *forger, q forgedQuery) [][]byte {
		return q.packets(f.evil(q, func(m *dnsmessage.Message) { m.OpCode = 4 }))
	}},
	{"SERVFAIL with another ID", func(f *forger, q forgedQuery) [][]byte {
		return q.packets(f.evil(q, func(m *dnsmessage.Message) { m.ID++; m.RCode = dnsmessage.RCodeServerFailure }))
	}},
	{"NXDOMAIN with another ID", func(f *forger, q forgedQuery) [][]byte {
		return q.packets(f.evil(q, func(m *dnsmessage.Message) { m.ID++; m.RCode = dnsmessage.RCodeNameError; m.Answers = nil }))
	}},
	{"a loop in the question's name", func(f *forger, q forgedQuery) [][]byte {
		msg := f.evil(q, nil)
		msg[12], msg[13] = 0xc0, 12
		return q.packets(msg)
	}},
	{"cut off", func(f *forger, q forgedQuery) [][]byte { return q.packets(f.evil(q, nil)[:20]) }},
	{"a wrong checksum", func(f *forger, q forgedQuery) [][]byte {
		packets := q.packets(f.evil(q, nil))
		packets[0][26] ^= 0x55
		return packets
	}},
	{"a first fragment", func(f *forger, q forgedQuery) [][]byte { return q.fragments(f.evil(q, nil), f.any(65535))[:1] }},
	{"a second fragment", func(f *forger, q forgedQuery) [][]byte { return q.fragments(f.evil(q, nil), f.any(65535))[1:] }},
	{"two fragments, another ID", func(f *forger, q forgedQuery) [][]byte {
		return q.fragments(f.evil(q, func(m *dnsmessage.Message) { m.ID++ }), f.any(65535))
	}},
}

const otherName = "other.example."

// forgedQuery is a question on the wire.
type forgedQuery struct {
	client, server netip.AddrPort
	msg            dnsmessage.Message
}

func (f *forger) any(n int) uint16 {
	f.counter++
	return uint16(virtual.Draw(1, 2, f.counter, 0, 0, 0) % uint64(n))
}

// evil is the reply that would lead astray.
func (f *forger) evil(q forgedQuery, change func(*dnsmessage.Message)) []byte {
	m := q.msg
	m.Questions = slices.Clone(m.Questions)
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	h := dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 9999}
	var body dnsmessage.ResourceBody = &dnsmessage.AResource{A: [4]byte{203, 0, 113, 66}}
	if m.Questions[0].Type == dnsmessage.TypeAAAA {
		body = &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr("2001:db8:bad::66").As16()}
	}
	m.Answers = []dnsmessage.Resource{{Header: h, Body: body}}
	if change != nil {
		change(&m)
	}
	msg, err := m.Pack()
	if err != nil {
		f.t.Fatal(err)
	}
	return msg
}

// packets is the message as a UDP packet from the server to the client.
func (q forgedQuery) packets(msg []byte) [][]byte {
	return [][]byte{ipv4(q.server.Addr(), q.client.Addr(), q.udp(msg), 1, 0)}
}

// fragments is the same in two pieces.
func (q forgedQuery) fragments(msg []byte, id uint16) [][]byte {
	data := q.udp(msg)
	const cut = 24
	return [][]byte{
		ipv4(q.server.Addr(), q.client.Addr(), data[:cut], id, 0x2000),
		ipv4(q.server.Addr(), q.client.Addr(), data[cut:], id, cut/8),
	}
}

func (q forgedQuery) udp(msg []byte) []byte {
	u := make([]byte, 8, 8+len(msg))
	binary.BigEndian.PutUint16(u[0:], q.server.Port())
	binary.BigEndian.PutUint16(u[2:], q.client.Port())
	binary.BigEndian.PutUint16(u[4:], uint16(8+len(msg)))
	u = append(u, msg...)
	src, dst := q.server.Addr().As4(), q.client.Addr().As4()
	pseudo := slices.Concat(src[:], dst[:], []byte{0, 17, u[4], u[5]}, u)
	binary.BigEndian.PutUint16(u[6:], checksum(pseudo))
	return u
}

func ipv4(src, dst netip.Addr, data []byte, id, fragment uint16) []byte {
	h := make([]byte, 20, 20+len(data))
	h[0], h[8], h[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(h[2:], uint16(20+len(data)))
	binary.BigEndian.PutUint16(h[4:], id)
	binary.BigEndian.PutUint16(h[6:], fragment)
	s, d := src.As4(), dst.As4()
	copy(h[12:], s[:])
	copy(h[16:], d[:])
	binary.BigEndian.PutUint16(h[10:], checksum(h))
	return append(h, data...)
}

func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i]) << 8
		if i+1 < len(b) {
			sum += uint32(b[i+1])
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// see is the world's tap.
func (f *forger) see(host int, p virtual.Packet) {
	b := p.Bytes
	if host != 0 || b[0] != 0x45 || b[9] != 17 || binary.BigEndian.Uint16(b[22:]) != 53 {
		return
	}
	q := forgedQuery{
		client: netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[12:16])), binary.BigEndian.Uint16(b[20:])),
		server: netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:20])), 53),
	}
	if err := q.msg.Unpack(b[28:]); err != nil {
		f.t.Error(err)
		return
	}
	if q.msg.Questions[0].Name.String() == otherName {
		return // one kind of forged packet answers this question
	}
	f.w.mu.Lock()
	to := f.w.ends[0]
	f.w.mu.Unlock()
	for i := range f.count {
		for _, packet := range forgedKinds[(i+f.sent)%len(forgedKinds)].make(f, q) {
			to.Deliver(time.Millisecond+time.Duration(i)*time.Microsecond/4, packet)
		}
	}
	f.sent += f.count
}

// TestForgedPackets: whatever is put onto the wire before the true answer, none
// of it is believed or remembered, and the true answer is still the result.
func TestForgedPackets(t *testing.T) {
	for _, c := range []struct {
		count, names int
		tcp          uint64 // questions that go over TCP
	}{{1, 19, 0}, {10_000, 2, 4}} {
		if testing.Short() {
			c.count = min(c.count, 500)
		}
		t.Run(fmt.Sprint(c.count), func(t *testing.T) {
			run(t, 1, wire{delay: 10 * time.Millisecond}, func(w *world) {
				f := &forger{w: w, t: t, count: c.count}
				w.tap = f.see
				stop := w.zoneServer("@ 300 SOA a. b. 1 2 3 4 60\n*.true 300 A 192.0.2.7\n*.true 300 AAAA 2001:db8::7\nother 300 A 192.0.2.8\n", "example")
				w.task(0, "lookup", func(n *sockapi.Net) {
					defer stop()
					want := []string{"2001:db8::7", "192.0.2.7"}
					r := n.Resolver()
					for round := range 2 { // the second from the cache
						for i := range c.names {
							got, err := r.LookupHost(context.Background(), fmt.Sprintf("n%d.true.example.", i))
							if err != nil || !slices.Equal(got, want) {
								t.Errorf("round %d: %v, %v", round, got, err)
							}
						}
					}
					s := r.Stats()
					if s.Entries != 2*c.names || s.Hits != 2*uint64(c.names) || s.TCP != c.tcp || s.Foreign == 0 && c.count > 1 {
						t.Errorf("%+v", s)
					}
					if got, err := r.LookupHost(context.Background(), otherName); len(got) != 1 || got[0] != "192.0.2.8" {
						t.Errorf("a name that was only in forged questions: %v, %v", got, err)
					}
					t.Logf("%d forged packets, %+v", f.sent, s)
				})
			})
		})
	}
}

// zoneServer serves a zone over UDP and TCP on the second host, until stop.
func (w *world) zoneServer(text, origin string) (stop func()) {
	zone, err := dnszone.Parse(text, origin)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.serveNames(dnszone.NewServer(zone))
}

// serveNames lets a name server answer over UDP and TCP on the second host,
// until stop.
func (w *world) serveNames(server *dnszone.Server) (stop func()) {
	packets, err := w.nets[1].ListenPacket("udp", ":53")
	if err != nil {
		w.t.Fatal(err)
	}
	listener, err := w.nets[1].Listen("tcp", ":53")
	if err != nil {
		w.t.Fatal(err)
	}
	var ended sync.WaitGroup
	ended.Add(2)
	w.task(1, "name server", func(*sockapi.Net) { defer ended.Done(); server.Serve(packets) })
	w.task(1, "name server, TCP", func(*sockapi.Net) { defer ended.Done(); server.ServeListener(listener) })
	return func() {
		packets.Close()
		listener.Close()
		ended.Wait()
	}
}
