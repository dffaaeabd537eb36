package unix

import (
	"testing"

	"usersock/stack/endpoint"
)

// FuzzUnixCalls makes calls as the bytes say, on up to sixteen endpoints of all
// types, which also send each other. Whatever they are: no panic, results within
// their bounds, and when everything has been dropped nothing is left, be it
// bytes, rights, waiters or endpoints in a circle.
func FuzzUnixCalls(f *testing.F) {
	for _, seed := range []string{
		"",
		"\x00\x00\x01\x10\x05\x02\x11\x10\x01", // a pair, bytes
		"\x00\x02\x01\x30\x01\x00\x30\x10\x01\x07\x00\x07\x01\x07\x02", // rights, and drops
		"\x01\x00\x02\x00\x01\x04\x00\x03\x01\x00\x03\x02\x01\x05\x02\x01\x08\x03\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		m := newMachine(t)
		for len(program) >= 3 {
			m.step(program[0], int(program[1]), int(program[2]))
			program = program[3:]
		}
		m.end()
	})
}

// machine has the endpoints that a program works on.
type machine struct {
	t      *testing.T
	family *Family
	all    []*Endpoint // also closed ones
	held   []*description
	known  map[*Endpoint]*description
	sinks  map[*Endpoint]*counter
}

func newMachine(t *testing.T) *machine {
	return &machine{t: t, family: New(Config{}), known: make(map[*Endpoint]*description), sinks: make(map[*Endpoint]*counter)}
}

// hold takes over one reference.
func (m *machine) hold(d *description) {
	if len(m.held) == 16 {
		d.Release()
		return
	}
	m.held = append(m.held, d)
}

// add takes a new endpoint.
func (m *machine) add(e endpoint.Endpoint, err error) {
	if err != nil {
		return
	}
	d := newDescription(e)
	m.known[d.e] = d
	m.all = append(m.all, d.e)
	m.hold(d)
}

var fuzzTypes = [...]int{endpoint.SOCK_STREAM, endpoint.SOCK_DGRAM, endpoint.SOCK_SEQPACKET}

// request has one of two users, by the argument.
func (m *machine) request(arg int) endpoint.Request {
	return endpoint.Request{Type: fuzzTypes[arg%3], Cred: endpoint.Cred{Pid: 7, Uid: uint32(arg>>4&1) * 1000}}
}

// fuzzNames are the addresses of programs: free ones, long ones, none.
func fuzzName(arg int) endpoint.Addr {
	switch arg % 16 {
	case 13:
		return endpoint.Addr{}
	case 14:
		return endpoint.Unix("")
	case 15:
		return endpoint.Unix("/" + string(make([]byte, 108)))
	}
	if arg&8 != 0 {
		return endpoint.Unix("\x00" + string(rune('a'+arg%5)))
	}
	return endpoint.Unix(string(rune('a' + arg%5)))
}

func (m *machine) step(op byte, who, arg int) {
	if op%16 <= 1 || len(m.held) == 0 {
		if op&1 == 0 {
			a, b, err := m.family.Pair(m.request(arg))
			m.add(a, err)
			m.add(b, err)
		} else {
			m.add(m.family.Open(m.request(arg)))
		}
		return
	}
	at := who % len(m.held)
	d := m.held[at]
	e := d.e
	switch op % 16 {
	case 2:
		e.Bind(fuzzName(arg))
	case 3:
		e.Connect(fuzzName(arg))
	case 4:
		e.Listen(arg%8 - 1)
	case 5:
		n, _, err := e.Accept()
		m.add(n, err)
	case 6:
		e.Shutdown(arg%5 - 1)
	case 7:
		m.held = append(m.held[:at], m.held[at+1:]...)
		d.Release()
	case 8, 9, 10:
		m.send(e, op, arg)
	case 11, 12:
		m.recv(e, op, arg)
	case 13:
		name := arg % 84
		buf := make([]byte, who%20)
		if n, err := e.Option(endpoint.SOL_SOCKET, name, buf); n > len(buf) || n < 0 || err != nil && n != 0 {
			m.t.Fatalf("Option %d into %d: %d, %v", name, len(buf), n, err)
		}
		for i := range buf {
			buf[i] = byte(who >> (i % 8))
		}
		e.SetOption(endpoint.SOL_SOCKET, name, buf)
	case 14:
		if got, want := e.Ready(endpoint.Events(arg)), endpoint.Events(arg)|endpoint.Always; got&^want != 0 {
			m.t.Fatalf("Ready(%#x): %#x", arg, got)
		}
		if in, out := e.Queued(); in < 0 || out < 0 {
			m.t.Fatalf("Queued: %d, %d", in, out)
		}
		e.LocalAddr()
		e.PeerAddr()
		if m.sinks[e] == nil {
			m.sinks[e] = &counter{}
			e.Notify(m.sinks[e])
		}
	case 15:
		if arg&1 == 0 {
			m.family.Unlink(fuzzName(arg >> 1).Path)
			return
		}
		d.Retain()
		m.hold(d)
	}
}

func (m *machine) send(e *Endpoint, op byte, arg int) {
	msg := endpoint.Message{Bufs: [][]byte{make([]byte, (arg>>4)*(arg>>4)*(arg>>4)*20), {}, make([]byte, arg%4)}}
	if arg&16 != 0 {
		msg.To = fuzzName(arg)
	}
	if arg&32 != 0 {
		msg.Flags = endpoint.MSG_OOB
	}
	if op%16 == 9 {
		item := endpoint.Control{Level: endpoint.SOL_SOCKET, Type: endpoint.SCM_RIGHTS}
		for i := range arg%3 + 1 {
			d := m.held[(arg+i*5)%len(m.held)]
			d.Retain()
			item.Rights = append(item.Rights, d)
		}
		msg.Control = append(msg.Control, item)
	}
	if op%16 == 10 {
		msg.Control = append(msg.Control, endpoint.Control{Level: endpoint.SOL_SOCKET, Type: arg % 4, Data: make([]byte, 8+arg%8)})
	}
	n, err := e.Send(msg)
	if n < 0 || n > msg.Len() || err != nil && n != 0 || err == nil && n < msg.Len() && e.typ != endpoint.SOCK_STREAM {
		m.t.Fatalf("Send of %d: %d, %v", msg.Len(), n, err)
	}
	if err != nil {
		for _, c := range msg.Control {
			for _, r := range c.Rights {
				r.Release()
			}
		}
	}
}

func (m *machine) recv(e *Endpoint, op byte, arg int) {
	req := endpoint.RecvRequest{Bufs: [][]byte{make([]byte, arg&15), make([]byte, (arg>>4)*(arg>>4)*100)}, Control: op%16 == 11}
	for i, flag := range []int{endpoint.MSG_PEEK, endpoint.MSG_OOB, endpoint.MSG_DONTWAIT, endpoint.MSG_TRUNC} {
		if arg>>(2*i)&3 == 3 {
			req.Flags |= flag
		}
	}
	r, err := e.Recv(req)
	if r.N < 0 || r.N > req.Len() || r.Size < r.N || err != nil && (r.N != 0 || r.Control != nil) {
		m.t.Fatalf("Recv of %d: %+v, %v", req.Len(), r, err)
	}
	for _, c := range r.Control {
		for _, right := range c.Rights {
			m.hold(right.(*description))
		}
	}
}

// end drops everything, and looks whether anything is left.
func (m *machine) end() {
	for _, d := range m.held {
		d.Release()
	}
	t := m.t
	empty(t, m.family)
	if m.family.live != nil {
		t.Error("an endpoint is left open")
	}
	for _, e := range m.all {
		d := m.known[e]
		if d.References() != 0 || !isClosed(e) {
			t.Errorf("an endpoint of type %d has %d references, closed: %v", e.typ, d.References(), isClosed(e))
		}
		if n, c := e.unread.Load(), e.charged.Load(); n != 0 || c != 0 {
			t.Errorf("an endpoint of type %d has %d bytes under way, charged %d", e.typ, n, c)
		}
		q := &e.in
		if q.bytes != 0 || q.head != len(q.segs) || q.first != nil || len(q.waiters) != 0 || len(e.trying) != 0 || q.mark.Load() ||
			len(e.waiters) != 0 || e.waitingOn != nil || len(e.pending) != 0 {
			t.Errorf("an endpoint of type %d has something in its queue: %d bytes, %d segments, waiters %d %d %d",
				e.typ, q.bytes, len(q.segs)-q.head, len(q.waiters), len(e.trying), len(e.waiters))
		}
	}
	for n := range m.family.names {
		if n.typ != 0 {
			t.Errorf("the abstract name %q is left", n.path)
		}
	}
}
