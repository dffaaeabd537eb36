package sockapi_test

import (
	"errors"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	. "usersock/sockapi"
	"usersock/stack/endpoint"
)

// wantEvents waits without waiting and checks what is reported.
func wantEvents(t *testing.T, p *Poller, want ...PollerEvent) {
	t.Helper()
	events := make([]PollerEvent, 16)
	n, err := p.Wait(events, 0)
	if err != nil || !slices.Equal(events[:n], want) {
		t.Errorf("%+v, %v, want %+v", events[:n], err, want)
	}
}

// TestPoller: a descriptor is reported as long as something holds.
func TestPoller(t *testing.T) {
	n := host(t)
	p := n.Poller()
	defer p.Close()
	a, b := pair(t, n, SOCK_STREAM)
	fa := a.Fileno()
	check(t, p.Add(fa, EPOLLIN, "a"))
	wantEvents(t, p)
	sendText(t, b, "xy")
	for range 3 {
		wantEvents(t, p, PollerEvent{fa, EPOLLIN, "a"})
	}
	_, err := a.Recv(1)
	check(t, err)
	wantEvents(t, p, PollerEvent{fa, EPOLLIN, "a"})
	_, err = a.Recv(1)
	check(t, err)
	wantEvents(t, p)
	check(t, p.Modify(fa, EPOLLIN|EPOLLOUT|EPOLLWRNORM, 7))
	wantEvents(t, p, PollerEvent{fa, EPOLLOUT | EPOLLWRNORM, 7})
	check(t, p.Modify(fa, EPOLLIN|EPOLLRDHUP, 8))
	wantEvents(t, p)
	check(t, b.Shutdown(SHUT_WR))
	wantEvents(t, p, PollerEvent{fa, EPOLLIN | EPOLLRDHUP, 8})
	check(t, p.Modify(fa, 0, nil))
	wantEvents(t, p)
	check(t, a.Shutdown(SHUT_WR))
	wantEvents(t, p, PollerEvent{fa, EPOLLHUP, nil})
	check(t, p.Remove(fa))
	wantEvents(t, p)
}

// TestPollerOneShot: one report, then nothing until Modify.
func TestPollerOneShot(t *testing.T) {
	n := host(t)
	p := n.Poller()
	a, b := pair(t, n, SOCK_STREAM)
	sendText(t, b, "x")
	check(t, p.Add(a.Fileno(), EPOLLIN|EPOLLONESHOT, nil))
	wantEvents(t, p, PollerEvent{a.Fileno(), EPOLLIN, nil})
	sendText(t, b, "y")
	wantEvents(t, p)
	b.Close() // not even this is reported
	wantEvents(t, p)
	check(t, p.Modify(a.Fileno(), EPOLLIN|EPOLLONESHOT, nil))
	wantEvents(t, p, PollerEvent{a.Fileno(), EPOLLIN | EPOLLHUP, nil})
	wantEvents(t, p)
}

// TestPollerEdgeOfDatagrams: edge-triggered, every datagram is an event, also
// one that joins others.
func TestPollerEdgeOfDatagrams(t *testing.T) {
	a, b := hosts(t)
	x, y := open(t, a, AF_INET, SOCK_DGRAM), open(t, b, AF_INET, SOCK_DGRAM)
	check(t, y.Bind(InetAddr{"192.0.2.2", 0}))
	name, err := y.Getsockname()
	check(t, err)
	p := b.Poller()
	defer p.Close()
	check(t, p.Add(y.Fileno(), EPOLLIN|EPOLLET, nil))
	events := make([]PollerEvent, 2)
	for i := range 3 {
		if _, err := x.Sendto([]byte("x"), name); err != nil {
			t.Fatal(err)
		}
		if n, err := p.Wait(events, 10*time.Second); n != 1 || err != nil {
			t.Fatalf("datagram %d: %d events, %v", i, n, err)
		}
		if n, err := p.Wait(events, 0); n != 0 || err != nil {
			t.Fatalf("datagram %d again: %d events, %v", i, n, err)
		}
	}
}

// TestPollerErrors: what epoll_ctl(2) and epoll_wait(2) refuse.
func TestPollerErrors(t *testing.T) {
	n := host(t)
	p := n.Poller()
	a, b := pair(t, n, SOCK_STREAM)
	check(t, p.Add(a.Fileno(), EPOLLIN, nil))
	for _, fd := range []int{-1, 0, 99, 1 << 40 >> 20} {
		wantErr(t, "add of nothing", p.Add(fd, EPOLLIN, nil), endpoint.EBADF)
		wantErr(t, "modify of nothing", p.Modify(fd, EPOLLIN, nil), endpoint.EBADF)
		wantErr(t, "remove of nothing", p.Remove(fd), endpoint.EBADF)
	}
	wantErr(t, "add twice", p.Add(a.Fileno(), EPOLLIN, nil), endpoint.EEXIST)
	wantErr(t, "modify of another", p.Modify(b.Fileno(), EPOLLIN, nil), endpoint.ENOENT)
	wantErr(t, "remove of another", p.Remove(b.Fileno()), endpoint.ENOENT)
	wantErr(t, "exclusive and one-shot", p.Add(b.Fileno(), EPOLLIN|EPOLLEXCLUSIVE|EPOLLONESHOT, nil), endpoint.EINVAL)
	check(t, p.Add(b.Fileno(), EPOLLIN|EPOLLEXCLUSIVE, nil))
	wantErr(t, "modify of an exclusive one", p.Modify(b.Fileno(), EPOLLIN, nil), endpoint.EINVAL)
	_, err := p.Wait(nil, 0)
	wantErr(t, "wait without room", err, endpoint.EINVAL)
	_, err = p.Wait(make([]PollerEvent, 1), -2)
	wantErr(t, "a negative timeout", err, endpoint.EINVAL)
	check(t, p.Close())
	check(t, p.Close())
	for _, err := range []error{
		p.Add(a.Fileno(), EPOLLIN, nil), p.Modify(a.Fileno(), EPOLLIN, nil), p.Remove(a.Fileno()),
		second(p.Wait(make([]PollerEvent, 1), 0)),
	} {
		if !errors.Is(err, endpoint.EBADF) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

// TestPollerDescriptors: a registration lasts as long as the open socket, and a
// number that was given out again is another.
func TestPollerDescriptors(t *testing.T) {
	n := host(t)
	p := n.Poller()
	a, b := pair(t, n, SOCK_STREAM)
	dup, err := a.Dup()
	check(t, err)
	fa, fd := a.Fileno(), dup.Fileno()
	check(t, p.Add(fa, EPOLLIN, "first"))
	check(t, p.Add(fd, EPOLLIN, "dup"))
	sendText(t, b, "x")
	wantEvents(t, p, PollerEvent{fd, EPOLLIN, "dup"}, PollerEvent{fa, EPOLLIN, "first"})
	a.Close()
	// The open socket lives on, and so do both; the first number is not open.
	// As with the kernel the younger one hears first.
	wantEvents(t, p, PollerEvent{fd, EPOLLIN, "dup"}, PollerEvent{fa, EPOLLIN, "first"})
	wantErr(t, "remove of a closed descriptor", p.Remove(fa), endpoint.EBADF)
	c, d := pair(t, n, SOCK_STREAM)
	if c.Fileno() != fa {
		t.Fatal("the number was not given out again")
	}
	wantErr(t, "modify of another socket's number", p.Modify(fa, EPOLLIN, nil), endpoint.ENOENT)
	check(t, p.Add(fa, EPOLLIN, "new"))
	sendText(t, d, "y")
	wantEvents(t, p, PollerEvent{fd, EPOLLIN, "dup"}, PollerEvent{fa, EPOLLIN, "first"}, PollerEvent{fa, EPOLLIN, "new"})
	dup.Close()
	wantEvents(t, p, PollerEvent{fa, EPOLLIN, "new"})
	// A right in flight keeps it open too.
	_, err = d.SendFds([][]byte{{0}}, []int{b.Fileno()}, 0, nil)
	check(t, err)
	check(t, p.Add(b.Fileno(), EPOLLOUT, "travels"))
	number := b.Fileno()
	b.Close()
	wantEvents(t, p, PollerEvent{fa, EPOLLIN, "new"}, PollerEvent{number, EPOLLOUT | EPOLLERR | EPOLLHUP, "travels"})
	c.Close()
	wantEvents(t, p)
}

// TestPollerRoom: what does not fit comes first the next time.
func TestPollerRoom(t *testing.T) {
	n := host(t)
	p := n.Poller()
	var ends []*Socket
	for i := range 5 {
		a, _ := pair(t, n, SOCK_DGRAM)
		ends = append(ends, a)
		check(t, p.Add(a.Fileno(), EPOLLOUT, i))
	}
	events := make([]PollerEvent, 2)
	var got []any
	for range 5 {
		k, err := p.Wait(events, Forever)
		if k != 2 || err != nil {
			t.Fatal(k, err)
		}
		got = append(got, events[0].Data, events[1].Data)
	}
	if want := []any{0, 1, 2, 3, 4, 0, 1, 2, 3, 4}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	_ = ends
}

// TestPollerWaits: a Wait ends by an event, by time and by Close, and every
// event wakes one who waits.
func TestPollerWaits(t *testing.T) {
	n := bubbleHost(t)
	synctest.Test(t, func(t *testing.T) {
		p := n.Poller()
		a, b, err := n.Socketpair(AF_UNIX, SOCK_STREAM, 0)
		check(t, err)
		defer a.Close()
		defer b.Close()
		check(t, p.Add(a.Fileno(), EPOLLIN|EPOLLET, nil))
		begin := time.Now()
		k, err := p.Wait(make([]PollerEvent, 1), time.Minute)
		if k != 0 || err != nil || time.Since(begin) != time.Minute {
			t.Errorf("%d, %v after %v", k, err, time.Since(begin))
		}
		var woken atomic.Int32
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				k, err := p.Wait(make([]PollerEvent, 1), Forever)
				if k == 1 && err == nil {
					woken.Add(1)
				} else if !errors.Is(err, net.ErrClosed) {
					t.Errorf("%d, %v", k, err)
				}
			})
		}
		synctest.Wait()
		for i := range int32(2) {
			sendText(t, b, "x")
			synctest.Wait()
			if woken.Load() != i+1 {
				t.Errorf("%d were woken by %d events", woken.Load(), i+1)
			}
			_, err := a.Recv(1)
			check(t, err)
		}
		p.Close()
		all.Wait()
	})
}

// TestPollerScale: of 10,000 sockets a Wait looks at those that something
// happened to, and at no other.
func TestPollerScale(t *testing.T) {
	const idle, busy = 10_000, 10
	n := host(t)
	p := n.Poller()
	type end struct {
		in, out *Socket
		looks   *atomic.Int64
	}
	ends := make([]end, 0, idle+busy)
	for i := range idle + busy {
		typ := []int{SOCK_STREAM, SOCK_DGRAM}[i%2]
		a, b, err := n.Socketpair(AF_UNIX, typ, 0)
		check(t, err)
		ends = append(ends, end{a, b, CountReady(a)})
		check(t, p.Add(a.Fileno(), EPOLLIN, i))
	}
	wantEvents(t, p)
	looks := func() (n int64) {
		for _, e := range ends {
			n += e.looks.Swap(0)
		}
		return n
	}
	looks()
	events := make([]PollerEvent, 64)
	for round := range 20 {
		var want []int
		for i := range busy {
			at := (round*7919 + i*997) % len(ends)
			want = append(want, at)
			_, err := ends[at].out.Send([]byte("x"))
			check(t, err)
		}
		k, err := p.Wait(events, Forever)
		check(t, err)
		var got []int
		for _, e := range events[:k] {
			at := e.Data.(int)
			got = append(got, at)
			if e.FD != ends[at].in.Fileno() || e.Events != EPOLLIN {
				t.Errorf("%+v", e)
			}
			_, err := ends[at].in.Recv(1)
			check(t, err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v were ready, want %v", got, want)
		}
		// Level-triggered: a second Wait looks at them again, and lets go.
		wantEvents(t, p)
		wantEvents(t, p)
		if n := looks(); n != 2*busy {
			t.Errorf("%d looks at 10 ready of %d, want %d", n, len(ends), 2*busy)
		}
	}
	for _, e := range ends {
		e.in.Close()
		e.out.Close()
	}
	wantEvents(t, p)
}

// TestPollerRaces uses everything at once; the race detector and the count of
// what was received decide.
func TestPollerRaces(t *testing.T) {
	n := host(t)
	p := n.Poller()
	const sockets, each = 20, 200
	var received atomic.Int64
	all := make(chan struct{}) // all was received
	var readers, writers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			events := make([]PollerEvent, 4)
			for {
				k, err := p.Wait(events, Forever)
				if err != nil {
					return
				}
				for _, e := range events[:k] {
					s, receives := e.Data.(*Socket)
					if !receives {
						continue // it may be closed by now, and its number another's
					}
					for {
						data, err := s.Recv(8, MSG_DONTWAIT)
						if err != nil || len(data) == 0 {
							break
						}
						if received.Add(int64(len(data))) == sockets*each {
							close(all)
						}
					}
					if err := p.Modify(e.FD, EPOLLIN|EPOLLONESHOT, s); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for i := range sockets {
		typ := []int{SOCK_STREAM, SOCK_SEQPACKET}[i%2]
		a, b := pair(t, n, typ)
		check(t, p.Add(a.Fileno(), EPOLLIN|EPOLLONESHOT, a))
		writers.Go(func() {
			for range each {
				if _, err := b.Send([]byte("x")); err != nil {
					t.Error(err)
				}
			}
		})
		writers.Go(func() {
			for range each {
				s, err := n.Socket(AF_UNIX, SOCK_DGRAM, 0)
				check(t, err)
				if err := p.Add(s.Fileno(), EPOLLOUT|EPOLLET, nil); err != nil {
					t.Error(err)
				}
				if i%3 == 0 {
					if err := p.Remove(s.Fileno()); err != nil {
						t.Error(err)
					}
				}
				s.Close()
			}
		})
	}
	writers.Wait()
	<-all
	p.Close()
	readers.Wait()
}

// BenchmarkPoller is a Wait with 10 ready descriptors among idle ones.
func BenchmarkPoller(b *testing.B) {
	for _, idle := range []int{100, 1_000, 10_000} {
		b.Run(strconv.Itoa(idle), func(b *testing.B) {
			n := host(b)
			p := n.Poller()
			var ends []*Socket
			var waiting []*Socket
			for i := range idle + 10 {
				x, y, err := n.Socketpair(AF_UNIX, SOCK_DGRAM, 0)
				check(b, err)
				ends = append(ends, x, y)
				check(b, p.Add(x.Fileno(), EPOLLIN, x))
				if i < 10 {
					waiting = append(waiting, y)
				}
			}
			events, buf := make([]PollerEvent, 64), make([]byte, 1)
			b.ReportAllocs()
			for b.Loop() {
				for _, y := range waiting {
					if _, err := y.Send(buf); err != nil {
						b.Fatal(err)
					}
				}
				k, err := p.Wait(events, Forever)
				if k != 10 || err != nil {
					b.Fatal(k, err)
				}
				for _, e := range events[:k] {
					if _, err := e.Data.(*Socket).RecvInto(buf, 0); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.StopTimer()
			for _, s := range ends {
				s.Close()
			}
		})
	}
}
