package unix

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"usersock/stack/endpoint"
)

func newPair(t testing.TB, typ int) (a, b *Endpoint) {
	t.Helper()
	x, y, err := New(Config{}).Pair(endpoint.Request{Type: typ})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close(); y.Close() })
	return x.(*Endpoint), y.(*Endpoint)
}

func newOpen(t testing.TB, f *Family, r endpoint.Request) *Endpoint {
	t.Helper()
	e, err := f.Open(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e.(*Endpoint)
}

// counter is a sink that counts.
type counter struct{ in, out, calls atomic.Int32 }

func (c *counter) Event(ev endpoint.Events) {
	c.calls.Add(1)
	if ev&endpoint.In != 0 {
		c.in.Add(1)
	}
	if ev&endpoint.Out != 0 {
		c.out.Add(1)
	}
}

func TestNames(t *testing.T) {
	f := New(Config{})
	stream := endpoint.Request{Type: endpoint.SOCK_STREAM}
	long := "/" + strings.Repeat("x", 107)
	for _, c := range []struct {
		path, is string
		err      error
	}{
		{long, long, nil},
		{long + "x", "", endpoint.EINVAL},
		{"\x00" + long[1:], "\x00" + long[1:], nil},
		{"\x00" + long, "", endpoint.EINVAL},
		{"\x00", "\x00", nil},
		{"\x00with\x00nul", "\x00with\x00nul", nil},
		{"/cut\x00here", "/cut", nil},
		{"/cut", "", endpoint.EADDRINUSE},
		{"", "\x0000001", nil},
		{"", "\x0000002", nil},
	} {
		e := newOpen(t, f, stream)
		err := e.Bind(endpoint.Unix(c.path))
		local, _ := e.LocalAddr()
		if err != c.err || local.Path != c.is {
			t.Errorf("Bind(%q): %v, is %q; want %v, %q", c.path, err, local.Path, c.err, c.is)
		}
	}
}

// TestAutobindFull: the names of five digits run out.
func TestAutobindFull(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("a table of a million names takes seconds")
	}
	f := New(Config{Random: func() uint64 { return 1<<63 + 0xFFFFE }})
	r := endpoint.Request{Type: endpoint.SOCK_DGRAM}
	taken := &node{}
	for i := range 1 << 20 {
		f.names[name{autoName(uint32(i)), r.Type}] = taken
	}
	delete(f.names, name{"\x00fffff", r.Type})
	delete(f.names, name{"\x0000000", r.Type})
	for _, want := range []string{"\x00fffff", "\x0000000"} {
		e := newOpen(t, f, r)
		if err := e.Bind(endpoint.Unix("")); err != nil || e.addr().Path != want {
			t.Errorf("autobind: %v, %q; want %q", err, e.addr().Path, want)
		}
	}
	if err := newOpen(t, f, r).Bind(endpoint.Unix("")); err != endpoint.ENOSPC {
		t.Errorf("autobind without a free name: %v", err)
	}
}

// TestUnlink: a name can be taken over while its first owner lives on.
func TestUnlink(t *testing.T) {
	f := New(Config{})
	r := endpoint.Request{Type: endpoint.SOCK_STREAM}
	first, second, c := newOpen(t, f, r), newOpen(t, f, r), newOpen(t, f, r)
	at := endpoint.Unix("/run/x")
	check := func(what string, err, want error) {
		t.Helper()
		if err != want {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	check("Bind", first.Bind(at), nil)
	check("Listen", first.Listen(1), nil)
	check("Unlink", f.Unlink("/run/x"), nil)
	check("second Unlink", f.Unlink("/run/x"), endpoint.ENOENT)
	check("Unlink of nothing", f.Unlink(""), endpoint.ENOENT)
	check("Connect", c.Connect(at), endpoint.ENOENT)
	check("Bind of another", second.Bind(at), nil)
	check("Listen of another", second.Listen(1), nil)
	check("Close of the first", first.Close(), nil)
	check("Connect", c.Connect(at), nil)
	if _, _, err := second.Accept(); err != nil {
		t.Errorf("Accept: %v", err)
	}
	check("Close of the other", second.Close(), nil)
	check("Connect to a name without an endpoint", newOpen(t, f, r).Connect(at), endpoint.ECONNREFUSED)
	check("Unlink of a name without an endpoint", f.Unlink("/run/x"), nil)
	check("Unlink of an abstract name", f.Unlink("\x00x"), endpoint.ENOENT)
}

// TestFamiliesApart: the names of one family are unknown in another.
func TestFamiliesApart(t *testing.T) {
	r := endpoint.Request{Type: endpoint.SOCK_STREAM}
	at := endpoint.Unix("/run/x")
	for range 2 {
		l := newOpen(t, New(Config{}), r)
		if err := errors.Join(l.Bind(at), l.Listen(1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := newOpen(t, New(Config{}), r).Connect(at); err != endpoint.ENOENT {
		t.Errorf("Connect in a third family: %v", err)
	}
}

// TestPeerCredentials: each end sees who made the other; the listener's are
// those of listen(2).
func TestPeerCredentials(t *testing.T) {
	f := New(Config{})
	server := endpoint.Cred{Pid: 10, Uid: 100, Gid: 1000}
	client := endpoint.Cred{Pid: 20, Uid: 200, Gid: 2000}
	l := newOpen(t, f, endpoint.Request{Type: endpoint.SOCK_STREAM, Cred: server})
	c := newOpen(t, f, endpoint.Request{Type: endpoint.SOCK_STREAM, Cred: client})
	at := endpoint.Unix("/run/x")
	if err := errors.Join(l.Bind(at), l.Listen(1), c.Connect(at)); err != nil {
		t.Fatal(err)
	}
	s, _, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		e    endpoint.Endpoint
		want endpoint.Cred
	}{{c, server}, {s, client}, {l, server}, {newOpen(t, f, endpoint.Request{Type: endpoint.SOCK_STREAM}), unknownPeer}} {
		got, want := make([]byte, 12), make([]byte, 12)
		endpoint.PutCred(want, x.want)
		if n, err := x.e.Option(endpoint.SOL_SOCKET, endpoint.SO_PEERCRED, got); n != 12 || err != nil || !bytes.Equal(got, want) {
			t.Errorf("SO_PEERCRED: % x, %d, %v; want % x", got, n, err, want)
		}
	}
	forged := make([]byte, 12)
	endpoint.PutCred(forged, server)
	m := endpoint.Message{Bufs: [][]byte{{1}}, Control: []endpoint.Control{
		{Level: endpoint.SOL_SOCKET, Type: endpoint.SCM_CREDENTIALS, Data: forged},
	}}
	if _, err := c.Send(m); err != endpoint.EPERM {
		t.Errorf("sending another's credentials: %v", err)
	}
}

func intOf(v int) []byte {
	b := make([]byte, 4)
	endpoint.PutInt(b, v)
	return b
}

// TestSendBuffer: a stream's sender may have as much memory under way as
// SO_SNDBUF says, and is woken when three quarters of it are free.
func TestSendBuffer(t *testing.T) {
	a, b := newPair(t, endpoint.SOCK_STREAM)
	var sink counter
	a.Notify(&sink)
	if err := a.SetOption(endpoint.SOL_SOCKET, endpoint.SO_SNDBUF, intOf(4000)); err != nil {
		t.Fatal(err)
	}
	one := endpoint.Message{Bufs: [][]byte{{1}}}
	sent := 0
	for ; ; sent++ {
		if n, err := a.Send(one); err == endpoint.EAGAIN {
			break
		} else if n != 1 || err != nil {
			t.Fatalf("Send: %d, %v", n, err)
		}
	}
	if sent != 11 { // the eleventh goes beyond 8000
		t.Errorf("%d pieces of %d fit into 8000", sent, pieceCost(1))
	}
	if _, out := a.Queued(); out != sent {
		t.Errorf("Queued: %d out, want %d", out, sent)
	}
	before := sink.out.Load()
	recv := func(n int) {
		t.Helper()
		if r, err := b.Recv(endpoint.RecvRequest{Bufs: [][]byte{make([]byte, n)}}); r.N != n || err != nil {
			t.Fatalf("Recv: %+v, %v", r, err)
		}
	}
	recv(8)
	if a.Ready(endpoint.Out) != 0 || sink.out.Load() != before {
		t.Error("writable with more than a quarter under way")
	}
	recv(1)
	if a.Ready(endpoint.Out) != endpoint.Out || sink.out.Load() != before+1 {
		t.Error("not writable, or not told, with a quarter under way")
	}
	if n, err := a.Send(one); n != 1 || err != nil {
		t.Errorf("Send with room: %d, %v", n, err)
	}
	for set, want := range map[int]int64{0: 4608, 1: 4608, 50_000: 100_000, 1 << 30: 8 << 20, -1: 8 << 20} {
		a.SetOption(endpoint.SOL_SOCKET, endpoint.SO_SNDBUF, intOf(set))
		if got := a.sndbuf.Load(); got != want {
			t.Errorf("SO_SNDBUF %d: %d, want %d", set, got, want)
		}
	}
}

// TestMemory: an idle pair has no chunk, a drained one at most the small one.
func TestMemory(t *testing.T) {
	a, b := newPair(t, endpoint.SOCK_STREAM)
	if a.in.first != nil || a.in.small != nil || b.in.first != nil || b.in.small != nil {
		t.Error("a fresh pair has chunks")
	}
	buf := make([]byte, 200_000)
	for _, size := range []int{10, 200_000, 3, 70_000} {
		if n, err := a.Send(endpoint.Message{Bufs: [][]byte{buf[:size]}}); n != size || err != nil {
			t.Fatalf("Send: %d, %v", n, err)
		}
		if r, err := b.Recv(endpoint.RecvRequest{Bufs: [][]byte{buf}}); r.N != size || err != nil {
			t.Fatalf("Recv: %+v, %v", r, err)
		}
		if b.in.first != nil || b.in.last != nil || b.in.small == nil || len(b.in.small.buf) != smallChunk {
			t.Errorf("after %d bytes the queue holds first %v, small %v", size, b.in.first, b.in.small)
		}
	}
}

// TestManyPeeksAndReaders: several goroutines read and peek one stream while
// another writes: no byte is lost, doubled or torn.
func TestManyReaders(t *testing.T) {
	a, b := newPair(t, endpoint.SOCK_STREAM)
	const total = 1 << 20
	var sum, count atomic.Int64
	var readers sync.WaitGroup
	for id := range 4 {
		readers.Go(func() {
			buf := make([]byte, 1000+id*777)
			for {
				flags := 0
				if id == 3 {
					flags = endpoint.MSG_PEEK
				}
				r, err := b.Recv(endpoint.RecvRequest{Bufs: [][]byte{buf}, Flags: flags})
				if err == endpoint.EAGAIN {
					continue
				}
				if err != nil || r.N == 0 {
					return
				}
				if flags == 0 {
					count.Add(int64(r.N))
					for _, c := range buf[:r.N] {
						sum.Add(int64(c))
					}
				}
			}
		})
	}
	var want int64
	buf := make([]byte, 5000)
	for sent := 0; sent < total; {
		n := min(len(buf), total-sent)
		for i := range n {
			buf[i] = byte((sent + i) * 7)
		}
		n, err := a.Send(endpoint.Message{Bufs: [][]byte{buf[:n]}})
		if err != nil && err != endpoint.EAGAIN {
			t.Fatal(err)
		}
		for i := range n {
			want += int64(byte((sent + i) * 7))
		}
		sent += n
	}
	a.Shutdown(endpoint.SHUT_WR)
	readers.Wait()
	if count.Load() != total || sum.Load() != want {
		t.Errorf("read %d bytes of sum %d; sent %d of sum %d", count.Load(), sum.Load(), total, want)
	}
}

// closer is a right that closes an endpoint when its last reference goes.
type closer struct {
	refs atomic.Int32
	e    *Endpoint
}

func (c *closer) Retain() { c.refs.Add(1) }
func (c *closer) Release() {
	if c.refs.Add(-1) == 0 {
		c.e.Close()
	}
}

// TestRightToItself: rights may stand for the very endpoints they travel
// through, and their release closes those: nothing may deadlock.
func TestRightToItself(t *testing.T) {
	for _, typ := range []int{endpoint.SOCK_STREAM, endpoint.SOCK_DGRAM, endpoint.SOCK_SEQPACKET} {
		a, b := newPair(t, typ)
		other, _ := newPair(t, typ)
		for _, e := range []*Endpoint{a, b, other} {
			r := &closer{e: e}
			r.Retain()
			m := endpoint.Message{Bufs: [][]byte{{1}}, Control: []endpoint.Control{
				{Level: endpoint.SOL_SOCKET, Type: endpoint.SCM_RIGHTS, Rights: []endpoint.Right{r}},
			}}
			if _, err := a.Send(m); err != nil {
				t.Fatal(err)
			}
		}
		b.Close()
		for name, e := range map[string]*Endpoint{"a": a, "other": other} {
			if _, err := e.LocalAddr(); err != endpoint.EBADF {
				t.Errorf("type %d: %s was in a queue that was closed, and is still open: %v", typ, name, err)
			}
		}
	}
}

func TestAllocs(t *testing.T) {
	for _, typ := range []struct {
		name string
		typ  int
	}{{"stream", endpoint.SOCK_STREAM}, {"dgram", endpoint.SOCK_DGRAM}, {"seqpacket", endpoint.SOCK_SEQPACKET}} {
		for _, size := range []int{1, 100, 4096, 60_000} {
			if raceEnabled && size > smallChunk {
				continue
			}
			a, b := newPair(t, typ.typ)
			var sink counter
			a.Notify(&sink)
			b.Notify(&sink)
			move := mover(t, a, b, size)
			move()
			if n := testing.AllocsPerRun(200, move); n != 0 {
				t.Errorf("%s: Send and Recv of %d bytes allocate %v times", typ.name, size, n)
			}
		}
	}
}

// mover returns a function that sends and receives size bytes.
func mover(t testing.TB, a, b endpoint.Endpoint, size int) func() {
	out, in := [][]byte{make([]byte, size)}, [][]byte{make([]byte, size)}
	return func() {
		if n, err := a.Send(endpoint.Message{Bufs: out}); n != size || err != nil {
			t.Fatalf("Send: %d, %v", n, err)
		}
		if r, err := b.Recv(endpoint.RecvRequest{Bufs: in}); r.N != size || err != nil {
			t.Fatalf("Recv: %d, %v", r.N, err)
		}
		b.Ready(endpoint.In | endpoint.Out)
	}
}

// TestOptionsTable: each row says what it does, once.
func TestOptionsTable(t *testing.T) {
	seen := make(map[int]bool)
	for _, o := range Options() {
		if seen[o.Name] || o.Level != endpoint.SOL_SOCKET || !strings.HasPrefix(o.Label, "SO_") {
			t.Errorf("row %+v", o)
		}
		if !o.Effective && o.Note == "" {
			t.Errorf("%s is stored and does not say why", o.Label)
		}
		seen[o.Name] = true
	}
}

// A datagram endpoint that had a peer of its own and is closed refuses, as any
// closed one: EPERM was for its lifetime.
func TestClosedDatagramPeer(t *testing.T) {
	f := New(Config{})
	dgram := endpoint.Request{Type: endpoint.SOCK_DGRAM}
	a, b, c := newOpen(t, f, dgram), newOpen(t, f, dgram), newOpen(t, f, dgram)
	for _, x := range []struct {
		e    *Endpoint
		path string
	}{{b, "b"}, {c, "c"}} {
		if err := x.e.Bind(endpoint.Unix(x.path)); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Connect(endpoint.Unix("b")); err != nil {
		t.Fatal(err)
	}
	if err := b.Connect(endpoint.Unix("c")); err != nil {
		t.Fatal(err)
	}
	m := endpoint.Message{Bufs: [][]byte{{1}}}
	if _, err := a.Send(m); err != endpoint.EPERM {
		t.Errorf("to an endpoint connected elsewhere: %v, want EPERM", err)
	}
	b.Close()
	if _, err := a.Send(m); err != endpoint.ECONNREFUSED {
		t.Errorf("after it has closed: %v, want ECONNREFUSED", err)
	}
	if _, err := a.Send(m); err != endpoint.ENOTCONN {
		t.Errorf("the peer is gone: %v, want ENOTCONN", err)
	}
}
