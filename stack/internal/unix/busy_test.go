package unix

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"usersock/stack/endpoint"
)

// TestManyCallsAtOnce makes all kinds of calls on the same endpoints from
// several goroutines, closes among them. Afterwards nothing may be left.
func TestManyCallsAtOnce(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	for round := range uint64(rounds) {
		f := New(Config{})
		var ds []*description
		for _, typ := range fuzzTypes {
			_, _, a, b := described(t, f, typ)
			ds = append(ds, a, b)
		}
		for i, typ := range []int{endpoint.SOCK_DGRAM, endpoint.SOCK_DGRAM, endpoint.SOCK_STREAM, endpoint.SOCK_SEQPACKET, endpoint.SOCK_STREAM} {
			e, err := f.Open(endpoint.Request{Type: typ})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Bind(endpoint.Unix(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
			if i == 2 || i == 3 {
				e.Listen(1)
			}
			ds = append(ds, newDescription(e))
		}
		var busy sync.WaitGroup
		for id := range uint64(4) {
			busy.Go(func() {
				rnd := rand.New(rand.NewPCG(round, id))
				for range 150 {
					ds[rnd.IntN(len(ds))].call(rnd, ds)
				}
			})
		}
		busy.Go(func() { // a part is closed in the middle
			for _, d := range ds[round%3:] {
				d.e.Queued()
				if round%2 == 0 {
					d.e.Close()
				}
			}
		})
		busy.Wait()
		for _, d := range ds {
			d.Release()
		}
		empty(t, f)
		if f.live != nil {
			t.Error("an endpoint is left open")
		}
		for _, d := range ds {
			e, q := d.e, &d.e.in
			if n, c := e.unread.Load(), e.charged.Load(); n != 0 || c != 0 || d.References() != 0 {
				t.Errorf("round %d: type %d has %d bytes under way, charged %d, %d references", round, e.typ, n, c, d.References())
			}
			if q.bytes != 0 || q.first != nil || q.head != len(q.segs) || len(q.waiters) != 0 || len(e.trying) != 0 ||
				len(e.waiters) != 0 || e.waitingOn != nil {
				t.Errorf("round %d: type %d has something left", round, e.typ)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// call makes one call on d, with some of others in flight.
func (d *description) call(rnd *rand.Rand, others []*description) {
	e := d.e
	req := endpoint.RecvRequest{Bufs: [][]byte{make([]byte, rnd.IntN(3000))}, Control: rnd.IntN(2) == 0}
	m := endpoint.Message{Bufs: [][]byte{make([]byte, rnd.IntN(6000))}}
	switch rnd.IntN(12) {
	case 0, 1, 2:
		if rnd.IntN(3) == 0 {
			m.To = endpoint.Unix(fmt.Sprint(rnd.IntN(4)))
		}
		if rnd.IntN(4) == 0 {
			m.Flags = endpoint.MSG_OOB
		}
		e.Send(m)
	case 3, 4:
		x := others[rnd.IntN(len(others))]
		// Retained while nobody else can drop the last one: the test holds all.
		m = passing(x, others[rnd.IntN(len(others))])
		if rnd.IntN(2) == 0 {
			m.To = endpoint.Unix(fmt.Sprint(rnd.IntN(2)))
		}
		if _, err := e.Send(m); err != nil {
			for _, r := range m.Control[0].Rights {
				r.Release()
			}
		}
	case 5, 6, 7, 8:
		if rnd.IntN(3) == 0 {
			req.Flags = endpoint.MSG_PEEK
		} else if rnd.IntN(4) == 0 {
			req.Flags = endpoint.MSG_OOB
		}
		r, _ := e.Recv(req)
		for _, c := range r.Control {
			for _, right := range c.Rights {
				right.Release()
			}
		}
	case 9:
		e.Ready(everything)
		e.SetOption(endpoint.SOL_SOCKET, endpoint.SO_PASSCRED, intOf(rnd.IntN(2)))
		e.SetOption(endpoint.SOL_SOCKET, endpoint.SO_OOBINLINE, intOf(rnd.IntN(2)))
		e.SetOption(endpoint.SOL_SOCKET, endpoint.SO_PEEK_OFF, intOf(rnd.IntN(4)-1))
	case 10:
		if rnd.IntN(8) == 0 {
			e.Shutdown(rnd.IntN(3))
		}
		to := endpoint.Addr{}
		if rnd.IntN(3) > 0 {
			to = endpoint.Unix(fmt.Sprint(rnd.IntN(4)))
		}
		e.Connect(to)
	case 11:
		if n, _, err := e.Accept(); err == nil {
			n.Close()
		}
	}
}
