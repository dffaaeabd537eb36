package unix

import (
	"fmt"
	"runtime"
	"testing"

	"usersock/stack/endpoint"
)

// BenchmarkMove sends and receives in one goroutine.
func BenchmarkMove(b *testing.B) {
	for _, typ := range []struct {
		name string
		typ  int
	}{{"stream", endpoint.SOCK_STREAM}, {"dgram", endpoint.SOCK_DGRAM}} {
		for _, size := range []int{1, 1024, 65536} {
			b.Run(fmt.Sprint(typ.name, "/", size), func(b *testing.B) {
				x, y := newPair(b, typ.typ)
				move := mover(b, x, y, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					move()
				}
			})
		}
	}
}

// BenchmarkStream has a sender and a receiver side by side.
func BenchmarkStream(b *testing.B) {
	for _, size := range []int{1024, 65536} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			x, y := newPair(b, endpoint.SOCK_STREAM)
			xw, yw := newWaiter(x), newWaiter(y)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			done := make(chan struct{})
			go func() {
				defer close(done)
				bufs := [][]byte{make([]byte, 65536)}
				for {
					r, err := y.Recv(endpoint.RecvRequest{Bufs: bufs})
					if err == endpoint.EAGAIN {
						<-yw
					} else if err != nil || r.N == 0 {
						return
					}
				}
			}()
			buf := make([]byte, size)
			bufs := make([][]byte, 1)
			for b.Loop() {
				for rest := buf; len(rest) > 0; {
					bufs[0] = rest
					n, err := x.Send(endpoint.Message{Bufs: bufs})
					if err == endpoint.EAGAIN {
						<-xw
					} else if err != nil {
						b.Fatal(err)
					}
					rest = rest[n:]
				}
			}
			x.Close()
			<-done
		})
	}
}

// newWaiter returns a channel that has something after each event.
func newWaiter(e *Endpoint) waiter {
	w := make(waiter, 1)
	e.Notify(w)
	return w
}

type waiter chan struct{}

func (w waiter) Event(endpoint.Events) {
	select {
	case w <- struct{}{}:
	default:
	}
}

// BenchmarkConnect makes and closes a connection.
func BenchmarkConnect(b *testing.B) {
	f := New(Config{})
	l := newOpen(b, f, endpoint.Request{Type: endpoint.SOCK_STREAM})
	at := endpoint.Unix("/run/x")
	l.Bind(at)
	l.Listen(1)
	b.ReportAllocs()
	for b.Loop() {
		c, _ := f.Open(endpoint.Request{Type: endpoint.SOCK_STREAM})
		if err := c.Connect(at); err != nil {
			b.Fatal(err)
		}
		s, _, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		c.Close()
		s.Close()
	}
}

// BenchmarkRight sends a right to an endpoint, and receives it.
func BenchmarkRight(b *testing.B) {
	for _, typ := range []struct {
		name string
		typ  int
	}{{"stream", endpoint.SOCK_STREAM}, {"dgram", endpoint.SOCK_DGRAM}} {
		b.Run(typ.name, func(b *testing.B) {
			x, y := newPair(b, typ.typ)
			f := x.family
			_, _, d, _ := described(b, f, endpoint.SOCK_STREAM)
			m := passing(d)
			req := endpoint.RecvRequest{Bufs: [][]byte{{0}}, Control: true}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := x.Send(m); err != nil {
					b.Fatal(err)
				}
				if _, err := y.Recv(req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkIdlePair reports the heap of a pair that nobody uses.
func BenchmarkIdlePair(b *testing.B) {
	f := New(Config{})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var keep []endpoint.Endpoint
	for b.Loop() {
		x, y, err := f.Pair(endpoint.Request{Type: endpoint.SOCK_STREAM})
		if err != nil {
			b.Fatal(err)
		}
		keep = append(keep, x, y)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(keep)/2), "heap-B/pair")
	runtime.KeepAlive(keep)
}
