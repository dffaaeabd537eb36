package sockapi_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	. "usersock/sockapi"
	"usersock/stack/endpoint"
)

func TestEchoOverTCP(t *testing.T) {
	a, b := hosts(t)
	for _, addr := range []Addr{InetAddr{"192.0.2.2", 0}, Inet6Addr{Host: "2001:db8::2"}, Inet6Addr{Host: "fe80::2%eth0"}} {
		t.Run(fmt.Sprint(addr), func(t *testing.T) {
			c, s := connected(t, a, b, addr)
			if n, err := c.Send([]byte("Hello, world")); n != 12 || err != nil {
				t.Fatal(n, err)
			}
			data, err := s.Recv(1024)
			if err != nil || string(data) != "Hello, world" {
				t.Fatalf("%q %v", data, err)
			}
			if err := s.Sendall(data); err != nil {
				t.Fatal(err)
			}
			if data, err = c.Recv(1024); err != nil || string(data) != "Hello, world" {
				t.Fatalf("%q %v", data, err)
			}
			own, _ := c.Getsockname()
			peer, _ := s.Getpeername()
			if own != peer || own == nil {
				t.Errorf("the client is %v, the server sees %v", own, peer)
			}
			if err := c.Shutdown(SHUT_WR); err != nil {
				t.Fatal(err)
			}
			if data, err = s.Recv(1024); err != nil || len(data) != 0 {
				t.Errorf("after the peer's shutdown: %q %v", data, err)
			}
			if _, err := c.Send([]byte("x")); !errors.Is(err, endpoint.EPIPE) {
				t.Errorf("send after shutdown: %v, want EPIPE", err)
			}
		})
	}
}

func TestDatagrams(t *testing.T) {
	a, b := hosts(t)
	for _, addr := range []Addr{InetAddr{"192.0.2.2", 0}, Inet6Addr{Host: "2001:db8::2"}} {
		t.Run(fmt.Sprint(addr), func(t *testing.T) {
			s := open(t, b, addr.Family(), SOCK_DGRAM)
			if err := s.Bind(addr); err != nil {
				t.Fatal(err)
			}
			name, _ := s.Getsockname()
			c := open(t, a, addr.Family(), SOCK_DGRAM)
			for _, p := range []string{"one", "", "three"} {
				if n, err := c.Sendto([]byte(p), name); n != len(p) || err != nil {
					t.Fatal(n, err)
				}
			}
			for _, p := range []string{"one", "", "thr"} {
				data, from, err := s.Recvfrom(3)
				if err != nil || string(data) != p || from == nil {
					t.Fatalf("%q from %v: %v, want %q", data, from, err, p)
				}
			}
		})
	}
}

func TestModes(t *testing.T) {
	a, b := hosts(t)
	c, s := connected(t, a, b, InetAddr{"192.0.2.2", 0})
	if c.Gettimeout() != Forever || !c.Getblocking() {
		t.Errorf("a new socket's timeout is %v", c.Gettimeout())
	}
	if err := c.Settimeout(-2); err == nil {
		t.Error("a negative timeout was taken")
	}
	c.Setblocking(false)
	d, err := c.Dup()
	if err != nil {
		t.Fatal(err)
	}
	if d.Gettimeout() != 0 {
		t.Errorf("the mode is not shared with a duplicate: %v", d.Gettimeout())
	}
	if _, err := d.Recv(1); !errors.Is(err, endpoint.EAGAIN) {
		t.Errorf("non-blocking: %v, want EAGAIN", err)
	}
	d.Settimeout(20 * time.Millisecond)
	_, err = c.Recv(1)
	var ne net.Error
	if !errors.Is(err, ErrTimeout) || !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, endpoint.ETIMEDOUT) ||
		!errors.As(err, &ne) || !ne.Timeout() || err.Error() != "recv: timed out" {
		t.Errorf("timeout: %v", err)
	}
	s.Sendall([]byte("x"))
	if data, err := c.Recv(1); err != nil || string(data) != "x" {
		t.Errorf("%q %v", data, err)
	}
}

func TestBlockingSendTakesEverything(t *testing.T) {
	a, b := hosts(t)
	c, s := connected(t, a, b, InetAddr{"192.0.2.2", 0})
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // 16 MiB: more than both buffers
	done := make(chan error, 1)
	go func() {
		n, err := c.Send(want)
		if err == nil && n != len(want) {
			err = fmt.Errorf("send took %d of %d bytes", n, len(want))
		}
		c.Close()
		done <- err
	}()
	var got []byte
	for {
		p, err := s.Recv(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		if len(p) == 0 {
			break
		}
		got = append(got, p...)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes arrived, or not the right ones", len(got))
	}
}

// TestConnectAnew: after a failed attempt the socket can be used for another.
func TestConnectAnew(t *testing.T) {
	a, b := hosts(t)
	l := listener(t, b, InetAddr{"192.0.2.2", 0})
	name, _ := l.Getsockname()
	s := open(t, a, AF_INET, SOCK_STREAM)
	for range 3 {
		if err := s.Connect(InetAddr{"192.0.2.2", 1}); !errors.Is(err, endpoint.ECONNREFUSED) {
			t.Fatal(err)
		}
	}
	check(t, s.Connect(name))
	if errno, err := s.ConnectEx(name); errno != endpoint.EISCONN || err != nil {
		t.Errorf("connected again: %v %v, want EISCONN", errno, err)
	}
}

// TestReceiveNothing: no bytes asked for, none waited for.
func TestReceiveNothing(t *testing.T) {
	a, b := hosts(t)
	c, _ := connected(t, a, b, InetAddr{"192.0.2.2", 0})
	if data, err := c.Recv(0); len(data) != 0 || err != nil {
		t.Error(data, err)
	}
	if n, err := c.RecvInto(nil, 0); n != 0 || err != nil {
		t.Error(n, err)
	}
	if n, err := c.Conn().Read(nil); n != 0 || err != nil {
		t.Error(n, err)
	}
}

// TestDisconnect: a TCP socket can be disconnected and connected again.
func TestDisconnect(t *testing.T) {
	a, b := hosts(t)
	l := listener(t, b, InetAddr{"192.0.2.2", 0})
	name, _ := l.Getsockname()
	s := open(t, a, AF_INET, SOCK_STREAM)
	for range 20 {
		check(t, s.Connect(name))
		p, _, err := l.Accept()
		check(t, err)
		check(t, s.Connect(UnspecAddr{}))
		if _, err := s.Getpeername(); !errors.Is(err, endpoint.ENOTCONN) {
			t.Errorf("peer after disconnect: %v, want ENOTCONN", err)
		}
		if _, err := p.Recv(1); !errors.Is(err, endpoint.ECONNRESET) {
			t.Errorf("the peer sees %v, want ECONNRESET", err)
		}
		p.Close()
	}
}

// TestErrorQueueNeverWaits, whatever the mode.
func TestErrorQueueNeverWaits(t *testing.T) {
	a, b := hosts(t)
	c, _ := connected(t, a, b, InetAddr{"192.0.2.2", 0})
	u := open(t, a, AF_INET, SOCK_DGRAM)
	for _, s := range []*Socket{c, u} {
		if _, err := s.Recv(1, MSG_ERRQUEUE); !errors.Is(err, endpoint.EAGAIN) {
			t.Errorf("%v, want EAGAIN", err)
		}
	}
}
