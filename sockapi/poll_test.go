package sockapi_test

import (
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "usersock/sockapi"
	"usersock/stack/endpoint"
)

// wantPoll checks one Poll.
func wantPoll(t *testing.T, p *Poll, timeout time.Duration, want ...PollEvent) {
	t.Helper()
	if got, err := p.Poll(timeout); err != nil || !slices.Equal(got, want) {
		t.Errorf("Poll(%v) = %+v, %v, want %+v", timeout, got, err, want)
	}
}

func TestPollNumbers(t *testing.T) {
	// <asm-generic/poll.h>
	for got, want := range map[int]int{
		POLLIN: 0x1, POLLPRI: 0x2, POLLOUT: 0x4, POLLERR: 0x8, POLLHUP: 0x10, POLLNVAL: 0x20,
		POLLRDNORM: 0x40, POLLRDBAND: 0x80, POLLWRNORM: 0x100, POLLWRBAND: 0x200, POLLMSG: 0x400, POLLRDHUP: 0x2000,
	} {
		if got != want {
			t.Errorf("%#x, want %#x", got, want)
		}
	}
}

func TestPollRegistration(t *testing.T) {
	n := host(t)
	p := n.Poll()
	wantPoll(t, p, 0)
	a, b := pair(t, n, SOCK_STREAM)
	fa, fb := a.Fileno(), b.Fileno()
	for _, fd := range []int{fb, fa} {
		if err := p.Register(fd); err != nil {
			t.Fatal(err)
		}
	}
	sendText(t, b, "x")
	wantPoll(t, p, Forever, PollEvent{fb, POLLOUT}, PollEvent{fa, POLLIN | POLLOUT})
	// Registered again, it keeps its place and takes the new mask.
	if err := p.Register(fb, POLLIN, POLLPRI); err != nil {
		t.Fatal(err)
	}
	wantPoll(t, p, Forever, PollEvent{fa, POLLIN | POLLOUT})
	if err := p.Modify(fa, POLLIN|POLLRDNORM); err != nil {
		t.Fatal(err)
	}
	wantPoll(t, p, Forever, PollEvent{fa, POLLIN | POLLRDNORM})
	if err := p.Modify(fb, POLLOUT|POLLWRNORM|POLLWRBAND|POLLRDBAND|POLLMSG); err != nil {
		t.Fatal(err)
	}
	wantPoll(t, p, Forever, PollEvent{fb, POLLOUT | POLLWRNORM | POLLWRBAND}, PollEvent{fa, POLLIN | POLLRDNORM})
	if err := p.Unregister(fb); err != nil {
		t.Fatal(err)
	}
	wantPoll(t, p, Forever, PollEvent{fa, POLLIN | POLLRDNORM})

	wantErrno(t, "modify", p.Modify(fb, POLLIN), endpoint.ENOENT)
	wantErrno(t, "unregister", p.Unregister(fb), endpoint.ENOENT)
	wantErrno(t, "unregister", p.Unregister(1000), endpoint.ENOENT)
	wantValueError(t, "register of a negative descriptor", p.Register(-1))
	wantValueError(t, "register of a large mask", p.Register(fb, 0x10000))
	wantValueError(t, "register of a negative mask", p.Register(fb, -1))
	wantValueError(t, "modify to a large mask", p.Modify(fa, 0x10000))
	_, err := p.Poll(-2)
	wantValueError(t, "a negative timeout", err)

	// A mask of 0 leaves what is always reported.
	if err := p.Modify(fa, 0); err != nil {
		t.Fatal(err)
	}
	wantPoll(t, p, 0)
	a.Recv(1)
	b.Close()
	wantPoll(t, p, Forever, PollEvent{fa, POLLHUP})
	a.Close()
	wantPoll(t, p, Forever, PollEvent{fa, POLLNVAL})
	// The number is given out again: it is the new socket that is asked.
	c := open(t, n, AF_UNIX, SOCK_DGRAM)
	if c.Fileno() != fa {
		t.Fatalf("new descriptor is %d, want %d", c.Fileno(), fa)
	}
	wantPoll(t, p, 0)
}

func TestPollOrder(t *testing.T) {
	n := host(t)
	p := n.Poll()
	for fd := 999; fd >= 100; fd-- {
		if err := p.Register(fd); err != nil {
			t.Fatal(err)
		}
	}
	for fd := 100; fd < 1000; fd++ {
		if fd%10 == 5 {
			continue
		}
		if err := p.Unregister(fd); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Register(100); err != nil {
		t.Fatal(err)
	}
	if err := p.Modify(505, POLLOUT); err != nil {
		t.Fatal(err)
	}
	var want []PollEvent
	for fd := 995; fd > 100; fd -= 10 {
		want = append(want, PollEvent{fd, POLLNVAL})
	}
	wantPoll(t, p, Forever, append(want, PollEvent{100, POLLNVAL})...)
}

// TestPollTCP has the events of a connection's states, as tcp_poll of Linux
// has them.
func TestPollTCP(t *testing.T) {
	a, b := hosts(t)
	client, server := connected(t, a, b, Inet6Addr{Host: "2001:db8::2"})
	p := b.Poll()
	fd := server.Fileno()
	const all = POLLIN | POLLPRI | POLLOUT | POLLRDHUP | POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND | POLLMSG
	if err := p.Register(fd, all); err != nil {
		t.Fatal(err)
	}
	wantPoll(t, p, Forever, PollEvent{fd, POLLOUT | POLLWRNORM})
	sendText(t, client, "x")
	if got, err := server.Wait(POLLIN, Forever); got != POLLIN || err != nil {
		t.Fatalf("Wait = %#x, %v", got, err)
	}
	wantPoll(t, p, Forever, PollEvent{fd, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM})
	server.Recv(1)
	if err := client.Shutdown(SHUT_WR); err != nil {
		t.Fatal(err)
	}
	if got, err := server.Wait(POLLRDHUP, Forever); got != POLLRDHUP || err != nil {
		t.Fatalf("Wait = %#x, %v", got, err)
	}
	wantPoll(t, p, Forever, PollEvent{fd, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM | POLLRDHUP})
	if err := server.Shutdown(SHUT_WR); err != nil {
		t.Fatal(err)
	}
	if got, err := server.Wait(0, Forever); got != POLLHUP || err != nil {
		t.Fatalf("Wait = %#x, %v", got, err)
	}
}

func TestPollWaits(t *testing.T) {
	n := bubbleHost(t)
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, n, SOCK_STREAM)
		p := n.Poll()
		start := func() <-chan []PollEvent {
			done := make(chan []PollEvent, 1)
			go func() {
				got, err := p.Poll(Forever)
				if err != nil {
					t.Error(err)
				}
				done <- got
			}()
			synctest.Wait()
			if len(done) != 0 {
				t.Fatalf("did not wait: %v", <-done)
			}
			return done
		}
		before := time.Now()
		wantPoll(t, p, time.Hour)
		p.Register(a.Fileno(), POLLIN)
		wantPoll(t, p, time.Hour)
		if passed := time.Since(before); passed != 2*time.Hour {
			t.Errorf("waited %v, want 2h", passed)
		}
		one, two := start(), start()
		// A change is for the next call.
		p.Modify(a.Fileno(), POLLOUT)
		synctest.Wait()
		if len(one)+len(two) != 0 {
			t.Error("a change woke a call that was waiting")
		}
		sendText(t, b, "x")
		want := []PollEvent{{a.Fileno(), POLLIN}}
		if x, y := <-one, <-two; !slices.Equal(x, want) || !slices.Equal(y, want) {
			t.Errorf("woken by data: %v, %v", x, y)
		}
		a.Recv(1)
		p.Modify(a.Fileno(), POLLIN)
		done := start()
		fd := a.Fileno()
		a.Close()
		if got := <-done; !slices.Equal(got, []PollEvent{{fd, POLLNVAL}}) {
			t.Errorf("closed while waiting: %v", got)
		}
	})
}

// TestPollConcurrent changes a set while others wait on it.
func TestPollConcurrent(t *testing.T) {
	n := host(t)
	a, b := pair(t, n, SOCK_DGRAM)
	p := n.Poll()
	p.Register(a.Fileno(), POLLIN)
	sendText(t, b, "x")
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 200 {
				got, err := p.Poll(Forever)
				if err != nil || len(got) == 0 || got[0] != (PollEvent{a.Fileno(), POLLIN}) {
					t.Errorf("Poll = %v, %v", got, err)
					return
				}
			}
		})
		wg.Go(func() {
			for range 200 {
				fd := 100 + i
				p.Register(fd)
				p.Modify(fd, POLLOUT)
				p.Unregister(fd)
			}
		})
	}
	wg.Wait()
}

func TestPollSocketWait(t *testing.T) {
	n := bubbleHost(t)
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, n, SOCK_STREAM)
		want := func(s *Socket, events int, timeout time.Duration, want int) {
			t.Helper()
			if got, err := s.Wait(events, timeout); got != want || err != nil {
				t.Errorf("Wait(%#x, %v) = %#x, %v, want %#x", events, timeout, got, err, want)
			}
		}
		want(a, POLLIN, 0, 0)
		before := time.Now()
		want(a, POLLIN, time.Hour, 0)
		if passed := time.Since(before); passed != time.Hour {
			t.Errorf("waited %v", passed)
		}
		want(a, POLLIN|POLLOUT, Forever, POLLOUT)
		go func() {
			synctest.Wait()
			sendText(t, b, "x")
		}()
		want(a, POLLIN, Forever, POLLIN)
		a.Recv(1)
		// The socket's own mode says nothing here.
		a.Setblocking(false)
		go func() {
			synctest.Wait()
			b.Shutdown(SHUT_WR)
		}()
		want(a, POLLRDHUP, Forever, POLLRDHUP)

		_, err := a.Wait(POLLIN, -2)
		wantValueError(t, "a negative timeout", err)
		_, err = a.Wait(-1, 0)
		wantValueError(t, "a negative mask", err)
		go func() {
			synctest.Wait()
			b.Close()
		}()
		if _, err = b.Wait(POLLIN, Forever); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed while waiting: %v", err)
		}
		wantErrno(t, "closed while waiting", err, endpoint.EBADF)
		_, err = b.Wait(POLLIN, 0)
		wantErrno(t, "closed", err, endpoint.EBADF)
	})
}

func TestPollAllocs(t *testing.T) {
	n := host(t)
	a, b := pair(t, n, SOCK_STREAM)
	p := n.Poll()
	p.Register(a.Fileno(), POLLIN)
	p.Register(b.Fileno(), POLLIN)
	idle := testing.AllocsPerRun(100, func() { p.Poll(0) })
	p.Modify(a.Fileno(), POLLOUT)
	ready := testing.AllocsPerRun(100, func() { p.Poll(Forever) })
	wait := testing.AllocsPerRun(100, func() { a.Wait(POLLOUT, Forever) })
	if raceEnabled {
		t.Skip("the race detector empties pools")
	}
	if idle > 0 || ready > 1 || wait > 0 {
		t.Errorf("allocations: %v with nothing ready, %v with one ready, %v for Wait; want 0, 1, 0", idle, ready, wait)
	}
}

func BenchmarkPoll(b *testing.B) {
	for name, size := range map[string]int{"2": 2, "100": 100, "1000": 1000} {
		b.Run(name, func(b *testing.B) {
			n := host(b)
			p := n.Poll()
			for i := range size / 2 {
				x, y := pair(b, n, SOCK_DGRAM)
				p.Register(x.Fileno(), POLLIN)
				p.Register(y.Fileno(), POLLIN)
				if i == 0 {
					p.Modify(x.Fileno(), POLLOUT)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				if got, err := p.Poll(Forever); len(got) != 1 || err != nil {
					b.Fatal(got, err)
				}
			}
		})
	}
}

// BenchmarkPollWake is a round trip in which each side waits in Poll.
func BenchmarkPollWake(b *testing.B) {
	n := host(b)
	x, y := pair(b, n, SOCK_DGRAM)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p := n.Poll()
		p.Register(y.Fileno(), POLLIN)
		var buf [1]byte
		for {
			p.Poll(Forever)
			if _, err := y.RecvInto(buf[:], 0); err != nil {
				return
			}
			y.Send(buf[:])
		}
	}()
	p := n.Poll()
	p.Register(x.Fileno(), POLLIN)
	buf := []byte{1}
	b.ReportAllocs()
	for b.Loop() {
		x.Send(buf)
		p.Poll(Forever)
		if _, err := x.RecvInto(buf, 0); err != nil {
			b.Fatal(err)
		}
	}
	y.Close()
	<-done
}
