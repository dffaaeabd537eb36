package dnszone

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// handClock is a clock that goes on when it is told.
type handClock struct {
	mu   sync.Mutex
	now  time.Duration
	due  map[int]handTimer
	last int
	set  chan struct{} // hears of every timer
}

type handTimer struct {
	at time.Duration
	f  func()
}

func newHandClock() *handClock {
	return &handClock{due: map[int]handTimer{}, set: make(chan struct{}, 10000)}
}

func (c *handClock) AfterFunc(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	id := c.last
	c.due[id] = handTimer{c.now + d, f}
	c.set <- struct{}{}
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, waits := c.due[id]
		delete(c.due, id)
		return waits
	}
}

// pass lets time pass up to the next timer, which it runs, and returns the time.
func (c *handClock) pass() time.Duration {
	c.mu.Lock()
	next := 0
	for id, t := range c.due {
		if next == 0 || t.at < c.due[next].at {
			next = id
		}
	}
	t := c.due[next]
	delete(c.due, next)
	c.now = max(c.now, t.at)
	now := c.now
	c.mu.Unlock()
	if t.f != nil {
		t.f()
	}
	return now
}

// served is a server on the loopback of this machine's kernel.
type served struct {
	t       *testing.T
	s       *Server
	clock   *handClock
	udp     net.Conn
	tcpAddr string
}

func serve(t *testing.T) *served {
	t.Helper()
	v := &served{t: t, s: testServer(t), clock: newHandClock()}
	v.s.AfterFunc = v.clock.AfterFunc
	elsewhere, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v.s.Elsewhere = elsewhere
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v.tcpAddr = listener.Addr().String()
	var tasks sync.WaitGroup
	tasks.Go(func() { v.s.Serve(packets) })
	tasks.Go(func() { v.s.ServeListener(listener) })
	v.udp, err = net.Dial("udp", packets.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		v.udp.Close()
		packets.Close()
		listener.Close()
		tasks.Wait()
		elsewhere.Close()
	})
	return v
}

func (v *served) add(f Fault) *Active {
	v.t.Helper()
	a, err := v.s.AddFault(f)
	if err != nil {
		v.t.Fatal(err)
	}
	return a
}

// dial opens a TCP connection and sends a query.
func (v *served) dial(q []byte) net.Conn {
	v.t.Helper()
	c, err := net.Dial("tcp", v.tcpAddr)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...)); err != nil {
		v.t.Fatal(err)
	}
	return c
}

const truth = "Success; www.example.test. A 300 192.0.2.1"

// TestFaults: what each action makes of a reply, without a network.
func TestFaults(t *testing.T) {
	ask := query(t, "www.example.test.", 1, 0)
	honest := testServer(t).Answer(ask, true)
	for _, c := range []struct {
		f    Fault
		udp  string // the replies
		tcp  string
		more func(r Reply) bool
	}{
		{f: Fault{}, udp: truth, tcp: truth},
		{f: Fault{Do: Drop}, udp: "nothing", tcp: "nothing", more: func(r Reply) bool { return !r.End }},
		{f: Fault{Do: Hangup}, udp: "nothing", tcp: "nothing", more: func(r Reply) bool { return r.End }},
		{f: Fault{Do: Drop, Then: true}, udp: "nothing | " + truth, tcp: "nothing | " + truth},
		{f: Fault{Do: Truncate}, udp: "Success; TC", tcp: "Success; TC"},
		{f: Fault{Do: Truncate, Over: UDP}, udp: "Success; TC", tcp: truth},
		{f: Fault{Do: Fail}, udp: "ServerFailure", tcp: "ServerFailure"},
		{f: Fault{Do: Fail, RCode: 5, Over: TCP}, udp: truth, tcp: "Refused"},
		{f: Fault{Do: Lie, Answer: " 60 A 203.0.113.66\nother.test. AAAA 2001:db8::66"}, udp: "Success; www.example.test. A 60 203.0.113.66; other.test. AAAA 3600 2001:db8::66",
			tcp: "Success; www.example.test. A 60 203.0.113.66; other.test. AAAA 3600 2001:db8::66"},
		{f: Fault{Do: Lie, Answer: " A 203.0.113.66", Then: true}, udp: "Success; www.example.test. A 3600 203.0.113.66 | " + truth,
			tcp: "Success; www.example.test. A 3600 203.0.113.66 | " + truth},
		{f: Fault{Do: Cut}, udp: fmt.Sprintf("% x", honest[:len(honest)/2]), tcp: fmt.Sprintf("% x", honest[:len(honest)/2]),
			more: func(r Reply) bool { return r.Length == len(honest) && r.End }},
		{f: Fault{Do: Cut, Bytes: 13}, udp: fmt.Sprintf("% x", honest[:13]), tcp: fmt.Sprintf("% x", honest[:13])},
		{f: Fault{Do: Garbage, Bytes: 6}, udp: "00 07 fb f6 ef e6", tcp: "00 07 fb f6 ef e6"},
		{f: Fault{Do: WrongID}, udp: fmt.Sprintf("% x", "\x00\x08"+string(honest[2:])), tcp: fmt.Sprintf("% x", "\x00\x08"+string(honest[2:]))},
		{f: Fault{Do: WrongName}, udp: "Success; vww.example.test. A 300 192.0.2.1", tcp: "Success; vww.example.test. A 300 192.0.2.1"},
	} {
		s := testServer(t)
		a, err := s.AddFault(c.f)
		if err != nil {
			t.Fatal(err)
		}
		s.Intercept = func(q Query, honest []byte) []Reply { return []Reply{{Message: honest}} }
		for _, udp := range []bool{true, false} {
			want := c.udp
			if !udp {
				want = c.tcp
			}
			replies := s.Respond(ask, udp)
			var got []string
			for _, r := range replies {
				switch {
				case len(r.Message) == 0:
					got = append(got, "nothing")
				case c.f.Do == Cut || c.f.Do == Garbage || c.f.Do == WrongID:
					got = append(got, fmt.Sprintf("% x", r.Message))
				default:
					got = append(got, show(t, r.Message))
				}
			}
			if got := strings.Join(got, " | "); got != want {
				t.Errorf("%+v, UDP %v:\n got %s\nwant %s", c.f, udp, got, want)
			}
			if c.more != nil && !c.more(replies[0]) {
				t.Errorf("%+v: %+v", c.f, replies[0])
			}
		}
		want := 2
		if c.f.Over != AnyTransport {
			want = 1
		}
		if a.Hits() != want {
			t.Errorf("%+v: %d hits", c.f, a.Hits())
		}
	}
}

// TestFaultMatch: which queries a fault is for, and how many of them.
func TestFaultMatch(t *testing.T) {
	s := testServer(t)
	var all []*Active
	for _, f := range []Fault{
		{Name: "www.example.test", Type: "A", Skip: 1, Times: 2, Do: Fail, RCode: 9},
		{Name: "WWW.example.test.", Type: "AAAA", Do: Fail, RCode: 10},
		{Name: "*.wild.example.test.", Do: Fail, RCode: 11},
		{Type: "TYPE65280", Do: Fail, RCode: 12},
		{Type: "ANY", Do: Fail, RCode: 13},
		{Name: "*.", Type: "MX", Do: Fail, RCode: 14},
	} {
		a, err := s.AddFault(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	for i, c := range []struct {
		name  string
		typ   uint16
		rcode byte
	}{
		{"www.example.test.", 1, 0}, {"www.example.test.", 1, 9}, {"www.EXAMPLE.test.", 1, 9}, {"www.example.test.", 1, 0},
		{"www.example.test.", 28, 10}, {"x.wild.example.test.", 28, 11}, {"a.b.wild.example.test.", 1, 11}, {"wild.example.test.", 1, 0},
		{"raw.example.test.", 65280, 12}, {"raw.example.test.", 255, 13}, {"example.test.", typeMX, 14},
	} {
		q := query(t, c.name, 1, 0)
		binary.BigEndian.PutUint16(q[len(q)-4:], c.typ)
		if rcode := s.Answer(q, true)[3] & 0xf; rcode != c.rcode {
			t.Errorf("query %d for %s: code %d, want %d", i, c.name, rcode, c.rcode)
		}
	}
	for i, want := range []int{2, 1, 2, 1, 1, 1} {
		if got := all[i].Hits(); got != want {
			t.Errorf("fault %d: %d hits, want %d", i, got, want)
		}
	}
	all[1].Remove()
	if rcode := s.Answer(query(t, "www.example.test.", 28, 0), true)[3] & 0xf; rcode != 0 {
		t.Errorf("after Remove: code %d", rcode)
	}
}

func TestFaultErrors(t *testing.T) {
	for want, f := range map[string]Fault{
		"63 bytes":          {Name: "a..b"},
		"no record type":    {Type: "FOO"},
		"no such action":    {Do: 200},
		"no such transport": {Over: 9},
		"negative":          {Skip: -1},
		"12 bits":           {Do: Fail, RCode: 4096},
		"RCode is for":      {RCode: 2},
		"Bytes is for":      {Bytes: 2},
		"more bytes":        {Bytes: 1 << 16, Do: Garbage},
		"Answer is for":     {Answer: " A 192.0.2.1"},
		"no address":        {Do: Lie, Answer: " A x"},
		"Every is for":      {Every: 1},
		"needs Every":       {Do: Drip},
		"Server.Elsewhere":  {Do: WrongPort},
		"for UDP alone":     {Do: WrongPort, Over: TCP},
		"for TCP alone":     {Do: Drip, Every: 1, Over: UDP},
		"Server.AfterFunc":  {Delay: 1},
	} {
		if _, err := new(Server).AddFault(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", f, err, want)
		}
	}
}

// TestDelay: a reply comes when its time has come, by the clock handed in.
func TestDelay(t *testing.T) {
	v := serve(t)
	v.add(Fault{Name: "www.example.test.", Delay: 3 * time.Second})
	v.udp.Write(query(t, "www.example.test.", 1, 0))
	<-v.clock.set
	v.udp.Write(query(t, "txt.example.test.", 16, 0)) // is not held up
	v.udp.SetDeadline(time.Now().Add(20 * time.Second))
	buf := make([]byte, 512)
	for _, want := range []string{"txt", "www"} {
		n, err := v.udp.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if got := show(t, buf[:n]); !strings.Contains(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
		if want == "txt" {
			if at := v.clock.pass(); at != 3*time.Second {
				t.Errorf("the reply came at %v", at)
			}
		}
	}
}

// timedConn notes when how many bytes are written.
type timedConn struct {
	net.Conn
	clock *handClock
	log   []string
}

func (c *timedConn) Write(b []byte) (int, error) {
	c.clock.mu.Lock()
	c.log = append(c.log, fmt.Sprintf("%v: %d", c.clock.now, len(b)))
	c.clock.mu.Unlock()
	return c.Conn.Write(b)
}

// TestDrip: a reply goes out byte by byte, each at its time, and another
// query's reply after it.
func TestDrip(t *testing.T) {
	s, clock := testServer(t), newHandClock()
	s.AfterFunc = clock.AfterFunc
	if _, err := s.AddFault(Fault{Name: "www.example.test.", Do: Drip, Every: time.Second, Over: TCP}); err != nil {
		t.Fatal(err)
	}
	client, server := net.Pipe()
	conn := &timedConn{Conn: server, clock: clock}
	var tasks sync.WaitGroup
	tasks.Go(func() { s.serveConn(conn) })
	size := 2 + len(s.Answer(query(t, "www.example.test.", 1, 0), true))
	second := s.Answer(query(t, "ns.example.test.", 1, 0), true)
	got := make([]byte, size+2+len(second))
	read := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(client, got)
		read <- err
	}()
	for _, name := range []string{"www.example.test.", "ns.example.test."} {
		q := query(t, name, 1, 0)
		client.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...))
	}
	client.Write([]byte{0}) // has been read: so has the second query, whose reply waits
	want := []string{"0s: 1"}
	for i := range size - 1 {
		<-clock.set
		clock.pass()
		want = append(want, fmt.Sprintf("%v: 1", time.Duration(i+1)*time.Second))
	}
	want = append(want, fmt.Sprintf("%v: %d", time.Duration(size-1)*time.Second, 2+len(second)))
	if err := <-read; err != nil {
		t.Error(err)
	}
	client.Close()
	tasks.Wait()
	if fmt.Sprint(conn.log) != fmt.Sprint(want) {
		t.Errorf("written %v\nwant %v", conn.log, want)
	}
	if show(t, got[2:size]) != truth || !bytes.Equal(got[size+2:], second) {
		t.Errorf("% x", got)
	}
}

// TestFaultsOnSockets: what can only be seen on a connection.
func TestFaultsOnSockets(t *testing.T) {
	v := serve(t)
	v.add(Fault{Name: "www.example.test.", Do: Cut, Over: TCP})
	v.add(Fault{Name: "ns.example.test.", Do: Hangup})
	v.add(Fault{Name: "txt.example.test.", Do: Drop})
	v.add(Fault{Name: "alias.example.test.", Do: WrongPort})
	all, err := io.ReadAll(v.dial(query(t, "www.example.test.", 1, 0)))
	if promised := int(binary.BigEndian.Uint16(all)); err != nil || promised/2 != len(all)-2 {
		t.Errorf("cut: %d bytes after a length of %d, %v", len(all)-2, promised, err)
	}
	if all, err := io.ReadAll(v.dial(query(t, "ns.example.test.", 1, 0))); err != nil || len(all) != 0 {
		t.Errorf("hangup: % x, %v", all, err)
	}
	// A dropped query leaves the connection open: the next one is answered.
	c := v.dial(query(t, "txt.example.test.", 16, 0))
	other := query(t, "alias2.example.test.", 1, 0)
	c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(other))), other...))
	buf := make([]byte, 512)
	if n, err := c.Read(buf); err != nil || !strings.Contains(show(t, buf[2:n]), "alias2") {
		t.Errorf("after a drop: %v", err)
	}
	// From another port: a connected socket does not get it, another one does.
	any, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer any.Close()
	any.SetDeadline(time.Now().Add(20 * time.Second))
	any.WriteTo(query(t, "alias.example.test.", 1, 0), v.udp.RemoteAddr())
	n, from, err := any.ReadFrom(buf)
	if err != nil || from.String() != v.s.Elsewhere.LocalAddr().String() || !strings.Contains(show(t, buf[:n]), "192.0.2.1") {
		t.Errorf("wrong port: from %v, %v", from, err)
	}
}
