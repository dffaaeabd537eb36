package unix

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"usersock/stack/endpoint"
)

// description is what package sockapi makes of an endpoint: references are
// counted, and the last one closes it.
type description struct {
	e    *Endpoint
	refs atomic.Int32
}

func newDescription(e endpoint.Endpoint) *description {
	d := &description{e: e.(*Endpoint)}
	d.refs.Store(1)
	return d
}

func (d *description) Retain()                     { d.refs.Add(1) }
func (d *description) Endpoint() endpoint.Endpoint { return d.e }
func (d *description) References() int             { return int(d.refs.Load()) }

func (d *description) Release() {
	if left := d.refs.Add(-1); left == 0 {
		d.e.Close()
	} else {
		d.e.Dropped(int(left))
	}
}

var _ endpoint.Description = (*description)(nil)

// nothing is a right whose references do not matter.
type nothing struct{}

func (nothing) Retain()  {}
func (nothing) Release() {}

// passing returns a message with rights that stand for endpoints.
func passing(ds ...*description) endpoint.Message {
	item := endpoint.Control{Level: endpoint.SOL_SOCKET, Type: endpoint.SCM_RIGHTS}
	for _, d := range ds {
		d.Retain()
		item.Rights = append(item.Rights, d)
	}
	return endpoint.Message{Bufs: [][]byte{{1}}, Control: []endpoint.Control{item}}
}

func mustSend(t testing.TB, e endpoint.Endpoint, m endpoint.Message) {
	t.Helper()
	if _, err := e.Send(m); err != nil {
		t.Fatal(err)
	}
}

// described returns a pair and its descriptions.
func described(t testing.TB, f *Family, typ int) (a, b *Endpoint, da, db *description) {
	t.Helper()
	x, y, err := f.Pair(endpoint.Request{Type: typ})
	if err != nil {
		t.Fatal(err)
	}
	return x.(*Endpoint), y.(*Endpoint), newDescription(x), newDescription(y)
}

// empty fails if a family's book has anything in it.
func empty(t testing.TB, f *Family) {
	t.Helper()
	a := &f.air
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := a.count.Load(); n != 0 || a.first != nil || a.last != nil || len(a.users) != 0 || len(a.drops) != 0 || a.busy {
		t.Errorf("the book has %d rights, first %v, users %v, drops %v, busy %v", n, a.first, a.users, a.drops, a.busy)
	}
}

func isClosed(e *Endpoint) bool { return e.state.Load() == closed }

// TestFlightBook: what is in flight is counted, for the endpoint and for the
// user who sent it, until it is received, dropped or refused.
func TestFlightBook(t *testing.T) {
	f := New(Config{})
	a, b, da, db := described(t, f, endpoint.SOCK_STREAM)
	x, y, dx, dy := described(t, f, endpoint.SOCK_STREAM)
	aloft := func(e *Endpoint, user uint32, want, wantUser int) {
		t.Helper()
		n := 0
		if e.flight != nil {
			n = e.flight.aloft
		}
		if n != want || f.air.users[user] != wantUser {
			t.Errorf("aloft %d, of the user %d; want %d, %d", n, f.air.users[user], want, wantUser)
		}
	}
	mustSend(t, a, passing(dx, dx, dy))
	aloft(x, 0, 2, 3)
	mustSend(t, a, endpoint.Message{Bufs: [][]byte{{1}}, Control: []endpoint.Control{{
		Level: endpoint.SOL_SOCKET, Type: endpoint.SCM_RIGHTS, Rights: []endpoint.Right{nothing{}, nothing{}},
	}}})
	aloft(x, 0, 2, 5)
	req := endpoint.RecvRequest{Bufs: [][]byte{make([]byte, 10)}, Control: true, Flags: endpoint.MSG_PEEK}
	if _, err := b.Recv(req); err != nil {
		t.Fatal(err)
	}
	aloft(x, 0, 2, 5)
	if dx.References() != 5 {
		t.Errorf("after a peek %d references, want 5", dx.References())
	}
	dx.Release()
	dx.Release()
	dy.Release()
	req.Flags = 0
	if _, err := b.Recv(req); err != nil {
		t.Fatal(err)
	}
	aloft(x, 0, 0, 2)
	aloft(y, 0, 0, 2)
	db.Release()
	if !isClosed(b) {
		t.Fatal("not closed")
	}
	empty(t, f)
	m := passing(dx)
	if _, err := a.Send(m); err != endpoint.EPIPE {
		t.Fatalf("Send to a closed peer: %v", err)
	}
	empty(t, f)
	da.Release()
}

// TestLongChain: endpoints in each other's queues are closed one after the
// other, not one inside the other.
func TestLongChain(t *testing.T) {
	n := 20_000
	if raceEnabled || testing.Short() {
		n = 2000
	}
	f := New(Config{})
	_, first, da, db := described(t, f, endpoint.SOCK_DGRAM)
	dfirst := db
	da.Release()
	for range n {
		x, _, dx, dy := described(t, f, endpoint.SOCK_DGRAM)
		mustSend(t, x, passing(db))
		db.Release()
		dx.Release()
		db = dy
	}
	if isClosed(first) || dfirst.References() != 1 {
		t.Fatal("the first does not live in the queue of the second")
	}
	db.Release()
	if !isClosed(first) {
		t.Error("the first is still open")
	}
	empty(t, f)
	if f.live != nil {
		t.Error("something is left")
	}
}

// TestCircles makes random graphs of endpoints in each other's queues, and
// compares what is closed with what a plain search from those that are held
// cannot reach.
func TestCircles(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		f := New(Config{})
		n := 2 + rnd.IntN(12)
		var ds []*description
		var front []*Endpoint
		for range n {
			a, _, _, db := described(t, f, endpoint.SOCK_DGRAM)
			front, ds = append(front, a), append(ds, db)
		}
		edges := make([][]int, n) // what is in the queue of each
		held := make([]bool, n)
		for range rnd.IntN(3 * n) {
			at, x := rnd.IntN(n), rnd.IntN(n)
			mustSend(t, front[at], passing(ds[x]))
			edges[at] = append(edges[at], x)
		}
		for i := range held {
			held[i] = true
		}
		for _, i := range rnd.Perm(n)[:1+rnd.IntN(n)] {
			held[i] = false
			ds[i].Release()
			reached := make([]bool, n)
			var reach func(int)
			reach = func(i int) {
				if !reached[i] {
					reached[i] = true
					for _, x := range edges[i] {
						reach(x)
					}
				}
			}
			for i, h := range held {
				if h {
					reach(i)
				}
			}
			for k := range ds {
				if isClosed(ds[k].e) == reached[k] {
					t.Fatalf("seed %d: after %d is dropped, %d is closed: %v; reached: %v; held %v, edges %v",
						seed, i, k, isClosed(ds[k].e), reached[k], held, edges)
				}
			}
		}
		for i, h := range held {
			if h {
				ds[i].Release()
			}
		}
		empty(t, f)
	}
}

// TestCirclesWhileOthersWork makes and leaves circles in several goroutines
// that pass endpoints to each other: what is left at the end is nothing.
func TestCirclesWhileOthersWork(t *testing.T) {
	f := New(Config{})
	hub, out, dhub, dout := described(t, f, endpoint.SOCK_SEQPACKET)
	rounds := 300
	if testing.Short() {
		rounds = 50
	}
	var busy sync.WaitGroup
	for id := range 4 {
		busy.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(id), 7))
			for range rounds {
				a, b, da, db := described(t, f, endpoint.SOCK_STREAM)
				c, d, dc, dd := described(t, f, endpoint.SOCK_DGRAM)
				a.Send(passing(dd, db))
				c.Send(passing(db, dc))
				if rnd.IntN(2) == 0 {
					m := passing(dd, da)
					if _, err := hub.Send(m); err != nil {
						dd.Release()
						da.Release()
					}
				}
				if rnd.IntN(2) == 0 {
					r, err := out.Recv(endpoint.RecvRequest{Bufs: [][]byte{{0}}, Control: true})
					if err == nil {
						for _, item := range r.Control {
							for _, right := range item.Rights {
								x := right.(endpoint.Description).Endpoint()
								got, err := x.Recv(endpoint.RecvRequest{Bufs: [][]byte{{0}}, Control: true, Flags: endpoint.MSG_PEEK * rnd.IntN(2)})
								if err == nil {
									for _, item := range got.Control {
										for _, r := range item.Rights {
											r.Release()
										}
									}
								}
								right.Release()
							}
						}
					}
				}
				for _, d := range []*description{da, db, dc, dd} {
					d.Release()
				}
				_, _ = b, d
			}
		})
	}
	busy.Wait()
	dhub.Release()
	dout.Release()
	empty(t, f)
	if f.live != nil {
		t.Error("an endpoint is left")
	}
}

// TestClosedFamilyInFlight: Family.Close ends endpoints in flight too, and
// the rights that refer to them do no harm.
func TestClosedFamilyInFlight(t *testing.T) {
	f := New(Config{})
	a, _, da, db := described(t, f, endpoint.SOCK_STREAM)
	mustSend(t, a, passing(da, db))
	f.Close()
	da.Release()
	db.Release()
	empty(t, f)
}

// TestOtherFamilysCircle: a right of another family's endpoint is a leaf, and
// what is held from outside keeps everything.
func TestOtherFamilysCircle(t *testing.T) {
	f, g := New(Config{}), New(Config{})
	a, b, da, db := described(t, f, endpoint.SOCK_STREAM)
	_, y, dx, dy := described(t, g, endpoint.SOCK_STREAM)
	mustSend(t, a, passing(dy, db))
	dy.Release()
	if f.air.count.Load() != 1 || y.flight != nil {
		t.Error("the endpoint of another family is in the book")
	}
	if isClosed(y) {
		t.Fatal("closed in flight")
	}
	db.Release()
	if !isClosed(b) || !isClosed(y) {
		t.Error("a circle with a leaf is not closed")
	}
	da.Release()
	dx.Release()
	empty(t, f)
	empty(t, g)
}

// TestWaitersLeave: a datagram sender that waits for room and closes, or takes
// another peer, is listed no longer.
func TestWaitersLeave(t *testing.T) {
	f := New(Config{})
	r := endpoint.Request{Type: endpoint.SOCK_DGRAM}
	b, other := newOpen(t, f, r), newOpen(t, f, r)
	to := endpoint.Unix("b")
	if err := errors.Join(b.Bind(to), other.Bind(endpoint.Unix("other"))); err != nil {
		t.Fatal(err)
	}
	fill := endpoint.Message{Bufs: [][]byte{{1}}, To: to}
	senders := make([]*Endpoint, 3)
	for i := range senders {
		senders[i] = newOpen(t, f, r)
		if err := senders[i].Connect(to); err != nil {
			t.Fatal(err)
		}
	}
	for {
		if _, err := senders[0].Send(fill); err == endpoint.EAGAIN {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range senders {
		for range 2 {
			if s.Ready(endpoint.Out) != 0 {
				t.Fatal("writable")
			}
		}
	}
	if len(b.in.waiters) != 3 {
		t.Fatalf("%d wait, want 3", len(b.in.waiters))
	}
	senders[0].Close()
	if len(b.in.waiters) != 2 || len(senders[0].trying) != 0 {
		t.Error("one that is closed is still listed")
	}
	if err := senders[1].Connect(endpoint.Unix("other")); err != nil {
		t.Fatal(err)
	}
	if len(b.in.waiters) != 1 || len(senders[1].trying) != 0 {
		t.Error("one with another peer is still listed")
	}
	var told counter
	senders[2].Notify(&told)
	before := told.out.Load()
	if _, err := b.Recv(endpoint.RecvRequest{Bufs: [][]byte{{0}}}); err != nil {
		t.Fatal(err)
	}
	if told.out.Load() != before+1 || len(b.in.waiters) != 0 || len(senders[2].trying) != 0 {
		t.Error("the one that waits was not told, or is still listed")
	}
	senders[2].Ready(endpoint.Out)
	b.Close()
	if len(senders[2].trying) != 0 {
		t.Error("listed at a queue that is gone")
	}
}
