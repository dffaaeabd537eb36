package sockapi_test

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	. "usersock/sockapi"
	"usersock/stack/endpoint"
)

// TestCloseEndsBlockedCalls closes a socket from another goroutine during each
// call that can block, many times, and wants the one error every time.
func TestCloseEndsBlockedCalls(t *testing.T) {
	rounds := 1000
	if testing.Short() {
		rounds = 50
	}
	buf := make([]byte, 1)
	full := make([]byte, 64<<10)
	for _, c := range []struct {
		name string
		make func(t *testing.T, a, b *Net) (*Socket, func())
		call func(*Socket) error
	}{
		{"accept", listening, func(s *Socket) error { _, _, err := s.Accept(); return err }},
		{"recv", stream, func(s *Socket) error { _, err := s.Recv(1); return err }},
		{"recv_into", stream, func(s *Socket) error { _, err := s.RecvInto(buf, 0); return err }},
		{"recv, waiting for all", stream, func(s *Socket) error { _, err := s.Recv(10, MSG_WAITALL); return err }},
		{"recv with a timeout", stream, func(s *Socket) error {
			s.Settimeout(time.Hour)
			_, err := s.Recv(1)
			return err
		}},
		{"recv of a large buffer", stream, func(s *Socket) error { _, err := s.Recv(1 << 20); return err }},
		{"recvfrom", datagram, func(s *Socket) error { _, _, err := s.Recvfrom(1); return err }},
		{"send", fullStream, func(s *Socket) error { _, err := s.Send(full); return err }},
		{"sendall", fullStream, func(s *Socket) error { return s.Sendall(full) }},
		{"connect", nowhere, func(s *Socket) error { return s.Connect(InetAddr{"192.0.2.99", 9}) }},
		{"Conn.Read", stream, func(s *Socket) error { _, err := s.Conn().Read(buf); return err }},
		{"Conn.Write", fullStream, func(s *Socket) error { _, err := s.Conn().Write(full); return err }},
		{"Listener.Accept", listening, func(s *Socket) error { _, err := s.Listener().Accept(); return err }},
		{"PacketConn.ReadFrom", datagram, func(s *Socket) error { _, _, err := s.PacketConn().ReadFrom(buf); return err }},
		{"recv of AF_UNIX", unixStream, func(s *Socket) error { _, err := s.Recv(1); return err }},
		{"send of AF_UNIX", fullUnix, func(s *Socket) error { return s.Sendall(full) }},
		{"accept of AF_UNIX", unixListening, func(s *Socket) error { _, _, err := s.Accept(); return err }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a, b := hosts(t)
			for i := range rounds {
				s, end := c.make(t, a, b)
				result := make(chan error, 1)
				started := make(chan struct{})
				go func() {
					close(started)
					result <- c.call(s)
				}()
				<-started
				if i%2 == 0 {
					// The close finds the call asleep, or about to be.
					for !Waiting(s) && len(result) == 0 {
						runtime.Gosched()
					}
				} else {
					for range i % 7 {
						runtime.Gosched() // it comes at some other moment
					}
				}
				if len(result) > 0 {
					t.Fatalf("round %d: the call did not block: %v", i, <-result)
				}
				if err := s.Close(); err != nil {
					t.Fatal("close:", err)
				}
				err := <-result
				if !errors.Is(err, net.ErrClosed) || !errors.Is(err, endpoint.EBADF) || !errors.Is(err, syscall.EBADF) {
					t.Fatalf("round %d: %v, want EBADF and net.ErrClosed", i, err)
				}
				end()
			}
		})
	}
}

func listening(t *testing.T, a, b *Net) (*Socket, func()) {
	s, err := b.Socket(AF_INET, SOCK_STREAM, 0)
	check(t, err)
	check(t, s.Bind(InetAddr{"", 0}))
	check(t, s.Listen(5))
	return s, func() {}
}

func unixListening(t *testing.T, a, b *Net) (*Socket, func()) {
	s, err := b.Socket(AF_UNIX, SOCK_STREAM, 0)
	check(t, err)
	check(t, s.Bind(UnixAddr{"\x00listener"}))
	check(t, s.Listen(5))
	return s, func() {}
}

func stream(t *testing.T, a, b *Net) (*Socket, func()) {
	l, end := listening(t, a, b)
	defer end()
	name, err := l.Getsockname()
	check(t, err)
	c, err := a.Socket(AF_INET, SOCK_STREAM, 0)
	check(t, err)
	check(t, c.Setsockopt(SOL_SOCKET, SO_SNDBUF, 4096))
	check(t, c.Connect(InetAddr{"192.0.2.2", name.(InetAddr).Port}))
	s, _, err := l.Accept()
	check(t, err)
	l.Close()
	return c, func() {
		// A reset: no TIME-WAIT of a minute for each round.
		s.SetsockoptBytes(SOL_SOCKET, SO_LINGER, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		s.Close()
	}
}

func datagram(t *testing.T, a, b *Net) (*Socket, func()) {
	s, err := a.Socket(AF_INET, SOCK_DGRAM, 0)
	check(t, err)
	check(t, s.Bind(InetAddr{"", 0}))
	return s, func() {}
}

func unixStream(t *testing.T, a, b *Net) (*Socket, func()) {
	s, p, err := a.Socketpair(AF_UNIX, SOCK_STREAM, 0)
	check(t, err)
	return s, func() { p.Close() }
}

// fillUp sends until nothing more is taken.
func fillUp(t *testing.T, s *Socket) {
	block := make([]byte, 64<<10)
	for {
		if _, err := s.Send(block, MSG_DONTWAIT); errors.Is(err, endpoint.EAGAIN) {
			return
		} else {
			check(t, err)
		}
	}
}

func fullStream(t *testing.T, a, b *Net) (*Socket, func()) {
	l, _ := listening(t, a, b)
	defer l.Close()
	check(t, l.Setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)) // inherited
	name, err := l.Getsockname()
	check(t, err)
	c, err := a.Socket(AF_INET, SOCK_STREAM, 0)
	check(t, err)
	check(t, c.Setsockopt(SOL_SOCKET, SO_SNDBUF, 4096))
	check(t, c.Connect(InetAddr{"192.0.2.2", name.(InetAddr).Port}))
	s, _, err := l.Accept()
	check(t, err)
	// What is on its way leaves the send buffer when it is acknowledged: fill
	// it until it stays full.
	for range 3 {
		fillUp(t, c)
	}
	return c, func() {
		s.SetsockoptBytes(SOL_SOCKET, SO_LINGER, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		s.Close()
	}
}

func fullUnix(t *testing.T, a, b *Net) (*Socket, func()) {
	s, end := unixStream(t, a, b)
	fillUp(t, s)
	return s, end
}

func nowhere(t *testing.T, a, b *Net) (*Socket, func()) {
	s, err := a.Socket(AF_INET, SOCK_STREAM, 0)
	check(t, err)
	return s, func() {}
}

// TestNetCloseEndsEverything closes a Net with many connections open and a
// call blocked in each.
func TestNetCloseEndsEverything(t *testing.T) {
	const count = 1000
	a, b := hosts(t)
	l := listener(t, b, InetAddr{"192.0.2.2", 0})
	check(t, l.Listen(SOMAXCONN))
	name, err := l.Getsockname()
	check(t, err)
	results := make(chan error, count)
	var peers []*Socket
	for range count {
		c, err := a.Socket(AF_INET, SOCK_STREAM, 0)
		check(t, err)
		check(t, c.Connect(name))
		p, _, err := l.Accept()
		check(t, err)
		peers = append(peers, p)
		go func() {
			_, err := c.Recv(1)
			results <- err
		}()
	}
	check(t, a.Close())
	for range count {
		if err := <-results; !errors.Is(err, net.ErrClosed) || !errors.Is(err, endpoint.EBADF) {
			t.Fatalf("blocked call: %v, want EBADF and net.ErrClosed", err)
		}
	}
	for i, p := range peers {
		if data, err := p.Recv(1); err != nil || len(data) != 0 {
			t.Fatalf("peer %d: %q %v, want the end of the stream", i, data, err)
		}
		p.Close()
	}
	if _, err := a.Socket(AF_INET, SOCK_STREAM, 0); !errors.Is(err, net.ErrClosed) {
		t.Errorf("socket on a closed Net: %v", err)
	}
	check(t, a.Close())
}

func TestCloseTwice(t *testing.T) {
	a, b := hosts(t)
	c, s := connected(t, a, b, InetAddr{"192.0.2.2", 0})
	check(t, c.Close())
	check(t, c.Close())
	if fd := c.Fileno(); fd != -1 {
		t.Errorf("descriptor %d after close", fd)
	}
	conn := s.Conn()
	check(t, conn.Close())
	if err := conn.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Conn closed again: %v, want net.ErrClosed", err)
	}
	for name, call := range map[string]func() error{
		"send":        func() error { _, err := c.Send(nil); return err },
		"bind":        func() error { return c.Bind(InetAddr{}) },
		"connect":     func() error { return c.Connect(InetAddr{"192.0.2.2", 1}) },
		"listen":      func() error { return c.Listen(1) },
		"accept":      func() error { _, _, err := c.Accept(); return err },
		"recv":        func() error { _, err := c.Recv(1); return err },
		"shutdown":    func() error { return c.Shutdown(SHUT_RD) },
		"getsockname": func() error { _, err := c.Getsockname(); return err },
		"getpeername": func() error { _, err := c.Getpeername(); return err },
		"getsockopt":  func() error { _, err := c.Getsockopt(SOL_SOCKET, SO_TYPE); return err },
		"setsockopt":  func() error { return c.Setsockopt(SOL_SOCKET, SO_DEBUG, 1) },
		"settimeout":  func() error { return c.Settimeout(1) },
		"dup":         func() error { _, err := c.Dup(); return err },
	} {
		if err := call(); !errors.Is(err, net.ErrClosed) || !errors.Is(err, endpoint.EBADF) || !strings.HasPrefix(err.Error(), name) || !strings.HasSuffix(err.Error(), ": Bad file descriptor") {
			t.Errorf("%s after close: %v", name, err)
		}
	}
}

// TestDescriptors: lowest free number first, duplicates live on, detached
// descriptors stay.
func TestDescriptors(t *testing.T) {
	n := host(t)
	a, b, c := open(t, n, AF_INET, SOCK_DGRAM), open(t, n, AF_INET, SOCK_DGRAM), open(t, n, AF_INET, SOCK_DGRAM)
	if fmt.Sprint(a.Fileno(), b.Fileno(), c.Fileno()) != "3 4 5" {
		t.Fatalf("descriptors %d %d %d, want 3 4 5", a.Fileno(), b.Fileno(), c.Fileno())
	}
	check(t, b.Close())
	d, err := c.Dup()
	check(t, err)
	if d.Fileno() != 4 {
		t.Errorf("the copy is %d, want the lowest free one, 4", d.Fileno())
	}
	check(t, c.Bind(InetAddr{"127.0.0.1", 0}))
	check(t, c.Close())
	if name, err := d.Getsockname(); err != nil || name.(InetAddr).Port == 0 {
		t.Errorf("the copy after close of the original: %v %v", name, err)
	}
	fd := d.Detach()
	if fd != 4 || d.Fileno() != -1 || d.Detach() != -1 {
		t.Errorf("detach gives %d, then %d", fd, d.Fileno())
	}
	if _, err := d.Getsockname(); !errors.Is(err, endpoint.EBADF) {
		t.Errorf("a detached socket: %v, want EBADF", err)
	}
	e, err := n.Fromfd(fd, AF_INET, SOCK_DGRAM, 0)
	check(t, err)
	if e.Fileno() != 5 {
		t.Errorf("fromfd gives %d, want 5", e.Fileno())
	}
	f, err := n.Adopt(fd)
	check(t, err)
	if f.Fileno() != 4 || f.Type() != SOCK_DGRAM {
		t.Errorf("adopted %d of type %d", f.Fileno(), f.Type())
	}
	check(t, n.CloseFd(4))
	if err := n.CloseFd(4); !errors.Is(err, endpoint.EBADF) {
		t.Errorf("closed again: %v, want EBADF", err)
	}
	if _, err := f.Getsockname(); !errors.Is(err, endpoint.EBADF) {
		t.Errorf("its socket: %v, want EBADF", err)
	}
	if fd, err := n.DupFd(5); fd != 4 || err != nil {
		t.Errorf("dup gives %d %v, want 4", fd, err)
	}
	for _, fd := range []int{-1, 0, 2, 99} {
		if _, err := n.Fromfd(fd, AF_INET, SOCK_DGRAM, 0); !errors.Is(err, endpoint.EBADF) {
			t.Errorf("fromfd(%d): %v, want EBADF", fd, err)
		}
	}
}

// TestGarbageIsClosed: a socket that nobody holds is closed by the garbage
// collector, one that was detached is not.
func TestGarbageIsClosed(t *testing.T) {
	n := host(t)
	func() {
		s, err := n.Socket(AF_INET, SOCK_DGRAM, 0)
		check(t, err)
		check(t, s.Bind(InetAddr{"127.0.0.1", 5000}))
		d, err := n.Socket(AF_INET, SOCK_DGRAM, 0)
		check(t, err)
		check(t, d.Bind(InetAddr{"127.0.0.1", 5001}))
		if d.Detach() != 4 {
			t.Fatal("descriptor")
		}
	}()
	again := open(t, n, AF_INET, SOCK_DGRAM)
	for try := 0; ; try++ {
		runtime.GC()
		err := again.Bind(InetAddr{"127.0.0.1", 5000})
		if err == nil {
			break
		}
		if !errors.Is(err, endpoint.EADDRINUSE) || try == 1000 {
			t.Fatalf("the port of a forgotten socket: %v", err)
		}
		runtime.Gosched()
	}
	other := open(t, n, AF_INET, SOCK_DGRAM)
	if err := other.Bind(InetAddr{"127.0.0.1", 5001}); !errors.Is(err, endpoint.EADDRINUSE) {
		t.Errorf("the port of a detached descriptor: %v, want EADDRINUSE", err)
	}
}
