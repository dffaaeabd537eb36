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
