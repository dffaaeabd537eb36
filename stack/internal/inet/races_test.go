package inet

import (
	"sync"
	"testing"

	"usersock/stack/endpoint"
)

// The error of a connect that failed is told once, to whoever asks, also while
// another goroutine polls.
func TestConnectErrorWhilePolled(t *testing.T) {
	p := newProtocols(t, true, false)
	for range 100 {
		c := open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM)
		if err := c.Connect(inet(lo4, 9)); err != endpoint.EINPROGRESS {
			wantErrno(t, "connect", err, endpoint.ECONNREFUSED)
			continue
		}
		var pollers sync.WaitGroup
		for range 3 {
			pollers.Go(func() {
				for c.Ready(endpoint.Out)&endpoint.Hup == 0 {
				}
			})
		}
		for c.Ready(endpoint.Out)&endpoint.Hup == 0 {
		}
		wantErrno(t, "SO_ERROR", c.soError(), endpoint.ECONNREFUSED)
		pollers.Wait()
		check(t, c.soError())
		check(t, c.Close())
	}
}

// What Shutdown of a listener changes is told, and stays.
func TestListenerShutdown(t *testing.T) {
	p := newProtocols(t, true, false)
	l := open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM)
	check(t, l.Bind(inet(lo4, 0)))
	check(t, l.Listen(1))
	ep := l.Endpoint.(*tcpEndpoint)
	listening := ep.raw.Load()
	told := false
	ep.sink = eventFunc(func(e endpoint.Events) {
		told = e&endpoint.Hup != 0 && ep.raw.Load() != listening
	})
	check(t, l.Shutdown(endpoint.SHUT_RD))
	if !told {
		t.Error("the last event came before the hang-up that it tells")
	}
	wantErrno(t, "shutdown", l.Shutdown(endpoint.SHUT_WR), endpoint.ENOTCONN)
	if e := l.Ready(endpoint.In); e&endpoint.Hup == 0 {
		t.Errorf("after SHUT_WR too: %v, want hang-up", e)
	}
}

// A reader gets the bytes in order also when the connection is shut down both
// ways meanwhile, with bytes unread.
func TestShutdownWhileRead(t *testing.T) {
	p := newProtocols(t, true, false)
	data := make([]byte, 1<<16)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	for range 50 {
		c, peer := pair(t, p, lo4)
		var work sync.WaitGroup
		work.Go(func() {
			for {
				if _, err := peer.send(data); err != nil {
					return
				}
			}
		})
		begun := make(chan struct{}, 1)
		work.Go(func() {
			buf := make([]byte, 1000)
			for off := 0; ; {
				c.await(endpoint.In)
				r, err := c.Recv(endpoint.RecvRequest{Bufs: [][]byte{buf}})
				switch {
				case err == endpoint.EAGAIN:
					continue
				case err != nil || r.N == 0:
					return
				}
				for i, b := range buf[:r.N] {
					if at := (off + i) % len(data); b != data[at] {
						t.Errorf("a wrong byte after %d", off+i)
						return
					}
				}
				off += r.N
				select {
				case begun <- struct{}{}:
				default:
				}
			}
		})
		<-begun
		check(t, c.Shutdown(endpoint.SHUT_RDWR))
		work.Wait()
		check(t, c.Close())
		check(t, peer.Close())
	}
}

// eventFunc is a sink.
type eventFunc func(endpoint.Events)

func (f eventFunc) Event(e endpoint.Events) { f(e) }

// After End nothing starts.
func TestEnd(t *testing.T) {
	p := newProtocols(t, true, false)
	l := open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM)
	check(t, l.Bind(inet(lo4, 0)))
	c := open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM)
	p.End()
	wantErrno(t, "listen", l.Listen(1), endpoint.ENETDOWN)
	wantErrno(t, "connect", c.Connect(inet(lo4, 9)), endpoint.ENETDOWN)
	if left := p.stack.RegisteredEndpoints(); len(left) != 0 {
		t.Errorf("%d endpoints are left", len(left))
	}
}

// The control items of a datagram that is held back are the endpoint's own.
func TestCorkKeepsNoBuffer(t *testing.T) {
	p := newProtocols(t, true, false)
	a := open(t, p, endpoint.AF_INET, endpoint.SOCK_DGRAM)
	b := open(t, p, endpoint.AF_INET, endpoint.SOCK_DGRAM)
	check(t, b.Bind(inet(lo4, 0)))
	check(t, b.SetOption(endpoint.SOL_IP, endpoint.IP_RECVTTL, intData(1)))
	ttl := intData(42)
	_, err := a.Send(endpoint.Message{
		Bufs: [][]byte{[]byte("x")}, To: b.local(), Flags: endpoint.MSG_MORE,
		Control: []endpoint.Control{{Level: endpoint.SOL_IP, Type: endpoint.IP_TTL, Data: ttl}},
	})
	check(t, err)
	copy(ttl, intData(7))
	_, err = a.Send(endpoint.Message{Bufs: [][]byte{[]byte("y")}})
	check(t, err)
	b.await(endpoint.In)
	got, err := b.Recv(endpoint.RecvRequest{Bufs: [][]byte{make([]byte, 9)}, Control: true})
	check(t, err)
	if len(got.Control) != 1 {
		t.Fatalf("control items %v", got.Control)
	}
	if v, _ := endpoint.Int(got.Control[0].Data); v != 42 {
		t.Errorf("TTL %d, want 42", v)
	}
}
