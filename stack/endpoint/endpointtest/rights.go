package endpointtest

import (
	"sync/atomic"
	"testing"

	"usersock/stack/endpoint"
)

// rightsTests are the tests of SCM_RIGHTS. A right is counted: the reference
// in a message passes to the family when Send succeeds, and to the receiver
// with Recv.
var rightsTests = []test{
	{"RightsCarried", testRightsCarried},
	{"RightsPeek", testRightsPeek},
	{"RightsNotTaken", testRightsNotTaken},
	{"RightsRefused", testRightsRefused},
	{"RightsClosed", testRightsClosed},
	{"RightsInFlight", testRightsInFlight},
	{"RightsInCircles", testRightsInCircles},
}

// right counts its references, of which the test has one to begin with.
type right struct {
	id   int
	refs atomic.Int32
}

func newRight(id int) *right {
	r := &right{id: id}
	r.refs.Store(1)
	return r
}

func (r *right) Retain()  { r.refs.Add(1) }
func (r *right) Release() { r.refs.Add(-1) }

func (r *right) want(t *testing.T, when string, n int32) {
	t.Helper()
	if got := r.refs.Load(); got != n {
		t.Errorf("%s: right %d has %d references, want %d", when, r.id, got, n)
	}
}

// withRights returns a message with rights, each retained for it.
func withRights(text string, rights ...*right) endpoint.Message {
	item := endpoint.Control{Level: endpoint.SOL_SOCKET, Type: endpoint.SCM_RIGHTS}
	for _, r := range rights {
		r.Retain()
		item.Rights = append(item.Rights, r)
	}
	m := message([]byte(text))
	m.Control = []endpoint.Control{item}
	return m
}

// rightsOf returns the rights that were received.
func rightsOf(t *testing.T, r endpoint.Received) []endpoint.Right {
	t.Helper()
	var all []endpoint.Right
	for _, c := range r.Control {
		if c.Level == endpoint.SOL_SOCKET && c.Type == endpoint.SCM_RIGHTS {
			all = append(all, c.Rights...)
		}
	}
	return all
}

func testRightsCarried(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	x, y := newRight(1), newRight(2)
	_, err := a.sendMsg(withRights("two", x, y))
	must(t, "Send", err)
	buf := make([]byte, 10)
	req := request(buf, 0)
	req.Control = true
	r, err := b.recvMsg(req)
	must(t, "Recv", err)
	got := rightsOf(t, r)
	if string(buf[:r.N]) != "two" || len(got) != 2 || got[0] != endpoint.Right(x) || got[1] != endpoint.Right(y) || r.Flags != 0 {
		t.Fatalf("Recv: %q, %+v", buf[:r.N], r)
	}
	x.want(t, "received", 2)
	y.want(t, "received", 2)
	exchange(t, a, b)
}

func testRightsPeek(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	x := newRight(1)
	_, err := a.sendMsg(withRights("one", x))
	must(t, "Send", err)
	buf := make([]byte, 10)
	for i := range 3 {
		flags := endpoint.MSG_PEEK
		if i == 2 {
			flags = 0
		}
		req := request(buf, flags)
		req.Control = true
		r, err := b.recvMsg(req)
		if got := rightsOf(t, r); err != nil || r.N != 3 || len(got) != 1 || got[0] != endpoint.Right(x) {
			t.Fatalf("Recv %d: %+v, %v", i, r, err)
		}
		x.want(t, "peeked and received", []int32{3, 4, 4}[i])
	}
}

// testRightsNotTaken: who does not ask for control items loses the rights, and
// is told.
func testRightsNotTaken(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	x := newRight(1)
	_, err := a.sendMsg(withRights("one", x))
	must(t, "Send", err)
	r, err := b.recvMsg(request(make([]byte, 10), endpoint.MSG_PEEK))
	if err != nil || r.Flags&endpoint.MSG_CTRUNC == 0 {
		t.Errorf("peek without control: %+v, %v; want MSG_CTRUNC", r, err)
	}
	x.want(t, "peeked without control", 2)
	r, err = b.recvMsg(request(make([]byte, 10), 0))
	if err != nil || r.N != 3 || r.Flags&endpoint.MSG_CTRUNC == 0 || len(r.Control) != 0 {
		t.Errorf("Recv without control: %+v, %v; want MSG_CTRUNC", r, err)
	}
	x.want(t, "received without control", 1)
}

// testRightsRefused: when Send fails the rights stay the sender's.
func testRightsRefused(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	must(t, "Close", b.Close())
	must(t, "becoming aware", a.until(endpoint.RdHup|endpoint.Out))
	x := newRight(1)
	if _, err := a.Send(withRights("one", x)); err == nil {
		t.Fatal("Send to a closed peer succeeded")
	}
	x.want(t, "refused", 2)
}

// testRightsClosed: rights in flight are released with the queue they wait in.
func testRightsClosed(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	x, y := newRight(1), newRight(2)
	for _, r := range []*right{x, y} {
		_, err := a.sendMsg(withRights("one", r))
		must(t, "Send", err)
	}
	must(t, "Close", a.Close())
	x.want(t, "sent by one that closed", 2)
	must(t, "Close", b.Close())
	x.want(t, "never received", 1)
	y.want(t, "never received", 1)
}

// description is a right that stands for an endpoint, which its last release
// closes.
type description struct {
	right
	ep endpoint.Endpoint
}

func describe(ep endpoint.Endpoint) *description {
	d := &description{ep: ep}
	d.refs.Store(1)
	return d
}

func (d *description) Release() {
	left := d.refs.Add(-1)
	if left == 0 {
		d.ep.Close()
	} else if c, ok := d.ep.(endpoint.Carried); ok {
		c.Dropped(int(left))
	}
}

func (d *description) Endpoint() endpoint.Endpoint { return d.ep }
func (d *description) References() int             { return int(d.refs.Load()) }

var _ endpoint.Description = (*description)(nil)

// carry sends rights that stand for endpoints.
func carry(t *testing.T, from *end, ds ...*description) {
	t.Helper()
	item := endpoint.Control{Level: endpoint.SOL_SOCKET, Type: endpoint.SCM_RIGHTS}
	for _, d := range ds {
		d.Retain()
		item.Rights = append(item.Rights, d)
	}
	m := message([]byte("x"))
	m.Control = []endpoint.Control{item}
	_, err := from.sendMsg(m)
	must(t, "Send", err)
}

// ended reports whether an endpoint has been closed.
func ended(ep endpoint.Endpoint) bool {
	_, err := ep.LocalAddr()
	return err == endpoint.EBADF
}

// testRightsInFlight: an endpoint lives as long as a right that stands for it
// can be received.
func testRightsInFlight(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	c, d := p.pair(t)
	dc := describe(c.Endpoint)
	carry(t, a, dc)
	dc.Release()
	if ended(c) {
		t.Fatal("closed although it is in flight")
	}
	exchange(t, c, d)
	req := request(make([]byte, 10), 0)
	req.Control = true
	r, err := b.recvMsg(req)
	must(t, "Recv", err)
	for _, got := range rightsOf(t, r) {
		got.Release()
	}
	if !ended(c) {
		t.Error("still open after the last release")
	}
}

// testRightsInCircles: endpoints that nothing refers to but rights in each
// other's queues are closed; one that can be reached from outside is not.
func testRightsInCircles(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	self := describe(b.Endpoint)
	carry(t, a, self)
	if ended(b) {
		t.Fatal("closed while there is a reference")
	}
	self.Release()
	if !ended(b) {
		t.Error("one in its own queue is still open")
	}

	e, f := p.pair(t)
	c, d := p.pair(t)
	df, dd := describe(f.Endpoint), describe(d.Endpoint)
	leaf := newRight(1)
	carry(t, e, dd)
	_, err := e.sendMsg(withRights("leaf", leaf))
	must(t, "Send", err)
	carry(t, c, df)
	df.Release()
	if ended(f) || ended(d) {
		t.Fatal("closed although one can be reached")
	}
	leaf.want(t, "in flight", 2)
	dd.Release()
	if !ended(f) || !ended(d) {
		t.Error("two in each other's queues are still open")
	}
	leaf.want(t, "after the circle is closed", 1)
}
