package sockapi_test

import (
	"errors"
	"testing"
	"time"

	. "usersock/sockapi"
	"usersock/stack"
	"usersock/stack/endpoint"
)

// ended fails unless the other end of s has been closed. Nothing is waited for.
func ended(t *testing.T, what string, s *Socket) {
	t.Helper()
	if err := s.Settimeout(0); err != nil {
		t.Fatal(err)
	}
	if data, err := s.Recv(10); len(data) != 0 || err != nil {
		t.Errorf("%s: %q, %v; want the end", what, data, err)
	}
}

// stillOpen fails unless the other end of s is open.
func stillOpen(t *testing.T, what string, s *Socket) {
	t.Helper()
	if err := s.Settimeout(0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(10); !errors.Is(err, endpoint.EAGAIN) {
		t.Errorf("%s: %v, want EAGAIN", what, err)
	}
}

func pairOf(t *testing.T, n *Net) (a, b *Socket) {
	t.Helper()
	a, b, err := n.Socketpair(AF_UNIX, SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

// TestFlightBetweenNets: an open socket crosses from one Net of a Stack to
// another, and lives as long as somebody can receive it.
func TestFlightBetweenNets(t *testing.T) {
	st, err := stack.New(stack.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	var nets [2]*Net
	for i := range nets {
		if nets[i], err = New(Config{Stack: st}); err != nil {
			t.Fatal(err)
		}
	}
	a, b := pairOf(t, nets[0])
	x, y := pairOf(t, nets[0])
	if err := Carry(a, x); err != nil {
		t.Fatal(err)
	}
	x.Close()
	stillOpen(t, "in flight", y)
	got, err := Fetch(nets[1], b)
	if err != nil {
		t.Fatal(err)
	}
	nets[0].Close()
	if err := got.Settimeout(0); err != nil {
		t.Fatal(err)
	}
	if data, err := got.Recv(10); len(data) != 0 || err != nil {
		t.Errorf("the other end was closed with its Net: %q, %v", data, err)
	}
	got.Close()
}

// TestFlightInCircles: sockets whose last descriptors are closed while they are
// in each other's queues are closed at once.
func TestFlightInCircles(t *testing.T) {
	n := host(t)
	a, b := pairOf(t, n)
	c, d := pairOf(t, n)
	watcher, watched := pairOf(t, n)
	tcpClient, tcpServer := tcpPair(t, n)
	for _, x := range []struct{ via, what *Socket }{{a, d}, {c, b}, {a, watched}, {a, tcpServer}} {
		if err := Carry(x.via, x.what); err != nil {
			t.Fatal(err)
		}
	}
	watched.Close()
	tcpServer.Close()
	copied, err := b.Dup()
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	d.Close()
	stillOpen(t, "a way is left", watcher)
	stillOpen(t, "a way is left", a)
	copied.Close()
	ended(t, "the watched one", watcher)
	ended(t, "the circle", a)
	ended(t, "the circle", c)
	if err := tcpClient.Settimeout(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	if data, err := tcpClient.Recv(10); len(data) != 0 || err != nil {
		t.Errorf("a TCP socket in the circle: %q, %v; want the end", data, err)
	}
}

// tcpPair returns the ends of a connection on the loopback interface.
func tcpPair(t *testing.T, n *Net) (client, server *Socket) {
	t.Helper()
	l, err := n.Socket(AF_INET, SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := errors.Join(l.Bind(InetAddr{"127.0.0.1", 0}), l.Listen(1)); err != nil {
		t.Fatal(err)
	}
	at, err := l.Getsockname()
	if err != nil {
		t.Fatal(err)
	}
	if client, err = n.Socket(AF_INET, SOCK_STREAM, 0); err != nil {
		t.Fatal(err)
	}
	if err := client.Connect(at); err != nil {
		t.Fatal(err)
	}
	if server, _, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// TestUnixWithoutWaiting: what Linux decides by whether a call waits.
func TestUnixWithoutWaiting(t *testing.T) {
	n := host(t)
	a, b := pairOf(t, n)
	if err := b.Setsockopt(SOL_SOCKET, SO_RCVLOWAT, 4); err != nil {
		t.Fatal(err)
	}
	if err := a.Sendall([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	if data, err := b.Recv(10, MSG_DONTWAIT); string(data) != "abc" || err != nil {
		t.Errorf("MSG_DONTWAIT below SO_RCVLOWAT: %q, %v", data, err)
	}
	got := make(chan string)
	go func() {
		data, err := b.Recv(10)
		if err != nil {
			t.Error(err)
		}
		got <- string(data)
	}()
	for _, text := range []string{"12", "3", "45"} {
		if err := a.Sendall([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if text := <-got; text != "12345" && text != "123" && len(text) < 4 {
		t.Errorf("a call that waits got %q below SO_RCVLOWAT", text)
	}

	// More than the sender may have under way is waited for too.
	const much = 1 << 20
	if err := b.Setsockopt(SOL_SOCKET, SO_RCVLOWAT, much); err != nil {
		t.Fatal(err)
	}
	go func() {
		data, err := b.Recv(much)
		if err != nil {
			t.Error(err)
		}
		got <- string(data)
	}()
	if err := a.Sendall(make([]byte, much)); err != nil {
		t.Fatal(err)
	}
	if data := <-got; len(data) != much {
		t.Errorf("SO_RCVLOWAT %d: %d bytes", much, len(data))
	}

	// Bytes that came with a right end a call with MSG_WAITALL.
	x, y := pairOf(t, n)
	if err := x.Sendall([]byte("ab")); err != nil {
		t.Fatal(err)
	}
	if err := Carry(x, a); err != nil {
		t.Fatal(err)
	}
	if err := x.Sendall([]byte("cdefgh")); err != nil {
		t.Fatal(err)
	}
	if data, err := y.Recv(5, MSG_WAITALL); string(data) != "ab\x01" || err != nil {
		t.Errorf("MSG_WAITALL: %q, %v; want what came before and with the right", data, err)
	}
	if data, err := y.Recv(5, MSG_WAITALL); string(data) != "cdefg" || err != nil {
		t.Errorf("MSG_WAITALL: %q, %v", data, err)
	}

	d, e, err := n.Socketpair(AF_UNIX, SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Shutdown(SHUT_RD); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Recv(10, MSG_DONTWAIT); !errors.Is(err, endpoint.EAGAIN) {
		t.Errorf("MSG_DONTWAIT on datagrams that are shut down: %v, want EAGAIN", err)
	}
	if data, err := d.Recv(10); len(data) != 0 || err != nil {
		t.Errorf("waiting on datagrams that are shut down: %q, %v, want the end", data, err)
	}
	e.Close()
}

// TestUnixAcceptedOptions: an accepted AF_UNIX socket does not have the
// listener's SO_RCVLOWAT.
func TestUnixAcceptedOptions(t *testing.T) {
	n := host(t)
	l, c := open(t, n, AF_UNIX, SOCK_STREAM), open(t, n, AF_UNIX, SOCK_STREAM)
	at := UnixAddr{"/run/l"}
	if err := errors.Join(l.Bind(at), l.Listen(1), l.Setsockopt(SOL_SOCKET, SO_RCVLOWAT, 10), c.Connect(at)); err != nil {
		t.Fatal(err)
	}
	s, _, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Sendall([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	if data, err := s.Recv(10); string(data) != "abc" || err != nil {
		t.Errorf("%q, %v", data, err)
	}
}

// TestUnixUrgent: MSG_OOB between two sockets, seen by poll and select.
func TestUnixUrgent(t *testing.T) {
	n := host(t)
	a, b := pairOf(t, n)
	if _, err := a.Send([]byte("abc!"), MSG_OOB); err != nil {
		t.Fatal(err)
	}
	if _, _, x, err := n.Select(nil, nil, []int{b.Fileno()}, time.Minute); err != nil || len(x) != 1 {
		t.Errorf("select: %v, %v; want urgent data", x, err)
	}
	p := n.Poll()
	if err := p.Register(b.Fileno(), POLLPRI); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Poll(time.Minute); err != nil || len(got) != 1 || got[0].Events != POLLPRI {
		t.Errorf("poll: %+v, %v; want POLLPRI", got, err)
	}
	if data, err := b.Recv(1, MSG_OOB); string(data) != "!" || err != nil {
		t.Errorf("MSG_OOB: %q, %v", data, err)
	}
	if _, err := b.Recv(1, MSG_OOB); !errors.Is(err, endpoint.EINVAL) {
		t.Errorf("MSG_OOB again: %v, want EINVAL", err)
	}
	if data, err := b.Recv(10); string(data) != "abc" || err != nil {
		t.Errorf("the rest: %q, %v", data, err)
	}
}
