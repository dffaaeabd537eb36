package endpointtest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"usersock/stack/endpoint"
)

// patience is how long the suite waits for a promise before it calls it
// broken. Only a failing test ever waits so long.
const patience = 10 * time.Second

// end is an endpoint that can wait: the smallest thing above the contract. Its
// sink closes a channel at each event, and whoever wants to wait takes the
// channel before trying, so that no event can be missed between the two.
type end struct {
	endpoint.Endpoint

	mu     sync.Mutex
	change chan struct{}
	events endpoint.Events // all that were ever reported
	calls  int
}

// Event implements endpoint.Sink.
func (e *end) Event(ev endpoint.Events) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.events |= ev
	e.calls++
	close(e.change)
	e.change = make(chan struct{})
}

// next returns a channel that the next event closes.
func (e *end) next() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.change
}

func (e *end) seen() (calls int, events endpoint.Events) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calls, e.events
}

// wrap gives ep its sink, and closes it when the test ends.
func wrap(t *testing.T, ep endpoint.Endpoint) *end {
	e := &end{Endpoint: ep, change: make(chan struct{})}
	ep.Notify(e)
	t.Cleanup(func() { ep.Close() })
	return e
}

// try calls op until it returns something else than EAGAIN, waiting for the
// sink between two tries.
func (e *end) try(what string, op func() error) error {
	for {
		next := e.next()
		err := op()
		if !errors.Is(err, endpoint.EAGAIN) {
			return err
		}
		if !wait(next) {
			return fmt.Errorf("%s returned EAGAIN and the promised event did not come in %v", what, patience)
		}
	}
}

// wait waits for a channel to close, and reports false if it does not.
func wait(c <-chan struct{}) bool {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-c:
		return true
	case <-timeout.C:
		return false
	}
}

// until waits for one of want to be ready.
func (e *end) until(want endpoint.Events) error {
	for {
		next := e.next()
		got := e.Ready(want)
		if got&want != 0 {
			return nil
		}
		if !wait(next) {
			return fmt.Errorf("events %#x did not become ready in %v: ready are %#x", want, patience, got)
		}
	}
}

func (e *end) send(b []byte) (n int, err error) { return e.sendMsg(message(b)) }

func (e *end) sendMsg(m endpoint.Message) (n int, err error) {
	err = e.try("Send", func() (err error) {
		n, err = e.Send(m)
		return err
	})
	return n, err
}

// sendAll sends every byte of b.
func (e *end) sendAll(b []byte) error {
	for len(b) > 0 {
		n, err := e.send(b)
		if err != nil {
			return err
		}
		if n <= 0 || n > len(b) {
			return fmt.Errorf("Send took %d of %d bytes", n, len(b))
		}
		b = b[n:]
	}
	return nil
}

func (e *end) recv(size int) ([]byte, error) {
	b := make([]byte, size)
	r, err := e.recvMsg(endpoint.RecvRequest{Bufs: [][]byte{b}})
	return b[:r.N], err
}

func (e *end) recvMsg(req endpoint.RecvRequest) (r endpoint.Received, err error) {
	err = e.try("Recv", func() (err error) {
		r, err = e.Recv(req)
		return err
	})
	return r, err
}

// recvFull receives exactly size bytes of a stream, or up to its end.
func (e *end) recvFull(size int) ([]byte, error) {
	b := make([]byte, size)
	n := 0
	for n < size {
		r, err := e.recvMsg(endpoint.RecvRequest{Bufs: [][]byte{b[n:]}})
		if err != nil {
			return b[:n], err
		}
		if r.N == 0 {
			return b[:n], nil
		}
		n += r.N
	}
	return b, nil
}

func (e *end) accept() (ep endpoint.Endpoint, from endpoint.Addr, err error) {
	err = e.try("Accept", func() (err error) {
		ep, from, err = e.Accept()
		return err
	})
	return ep, from, err
}

// connect connects, and waits for the outcome.
func (e *end) connect(to endpoint.Addr) error {
	err := e.try("Connect", func() error { return e.Connect(to) })
	if !errors.Is(err, endpoint.EINPROGRESS) {
		return err
	}
	if err := e.until(endpoint.Out | endpoint.Always); err != nil {
		return err
	}
	pending, err := e.optInt(endpoint.SOL_SOCKET, endpoint.SO_ERROR)
	if err != nil {
		return err
	}
	if pending != 0 {
		return endpoint.Errno(pending)
	}
	return nil
}

func (e *end) optInt(level, name int) (int, error) {
	var b [4]byte
	n, err := e.Option(level, name, b[:])
	if err != nil {
		return 0, err
	}
	return endpoint.Int(b[:n])
}

func (e *end) setInt(level, name, v int) error {
	var b [4]byte
	endpoint.PutInt(b[:], v)
	return e.SetOption(level, name, b[:])
}

func message(b []byte) endpoint.Message { return endpoint.Message{Bufs: [][]byte{b}} }

func request(b []byte, flags int) endpoint.RecvRequest {
	return endpoint.RecvRequest{Bufs: [][]byte{b}, Flags: flags}
}

// open opens an unbound endpoint.
func (p *Provider) open(t *testing.T) *end {
	t.Helper()
	ep, err := p.Family.Open(p.Request)
	if err != nil {
		t.Fatalf("Open(%+v): %v", p.Request, err)
	}
	return wrap(t, ep)
}

// bound opens an endpoint and binds it, and returns its address too.
func (p *Provider) bound(t *testing.T) (*end, endpoint.Addr) {
	t.Helper()
	e, addr := p.open(t), p.Bind()
	if err := e.Bind(addr); err != nil {
		t.Fatalf("Bind(%v): %v", addr, err)
	}
	addr, err := e.LocalAddr()
	if err != nil {
		t.Fatalf("LocalAddr: %v", err)
	}
	return e, addr
}

// listen returns a listener and its address.
func (p *Provider) listen(t *testing.T, backlog int) (*end, endpoint.Addr) {
	t.Helper()
	l, addr := p.bound(t)
	if err := l.Listen(backlog); err != nil {
		t.Fatalf("Listen(%d): %v", backlog, err)
	}
	return l, addr
}

// dial connects a new endpoint to a listener, and returns both ends.
func (p *Provider) dial(t *testing.T, l *end, to endpoint.Addr) (dialed, accepted *end) {
	t.Helper()
	c := p.open(t)
	if err := c.connect(to); err != nil {
		t.Fatalf("Connect(%v): %v", to, err)
	}
	s, _, err := l.accept()
	if err != nil {
		t.Fatalf("Accept: %v", err)
	}
	return c, wrap(t, s)
}

// pair returns two connected endpoints.
func (p *Provider) pair(t *testing.T) (a, b *end) {
	t.Helper()
	if p.Pair != nil {
		x, y, err := p.Pair()
		if err != nil {
			t.Fatalf("Pair: %v", err)
		}
		return wrap(t, x), wrap(t, y)
	}
	if p.Request.Type != endpoint.SOCK_DGRAM {
		l, addr := p.listen(t, 1)
		a, b = p.dial(t, l, addr)
		l.Close()
		return a, b
	}
	a, addrA := p.bound(t)
	b, addrB := p.bound(t)
	if err := errors.Join(a.connect(addrB), b.connect(addrA)); err != nil {
		t.Fatalf("Connect: %v", err)
	}
	return a, b
}

// must fails the test for an error.
func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// wantErr fails the test unless err is want.
func wantErr(t *testing.T, what string, err error, want ...endpoint.Errno) {
	t.Helper()
	for _, w := range want {
		if errors.Is(err, w) {
			return
		}
	}
	names := ""
	for i, w := range want {
		if i > 0 {
			names += " or "
		}
		names += w.Name()
	}
	t.Errorf("%s: got error %v, want %s", what, err, names)
}

// start runs f in a goroutine whose result finish returns; the test fails if
// it does not come.
func start[T any](f func() (T, error)) (finish func(t *testing.T, what string) T) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	return func(t *testing.T, what string) T {
		t.Helper()
		timeout := time.NewTimer(2 * patience)
		defer timeout.Stop()
		select {
		case r := <-done:
			must(t, what, r.err)
			return r.v
		case <-timeout.C:
			t.Fatalf("%s did not end in %v", what, 2*patience)
			panic("unreachable")
		}
	}
}
