package sockapi_test

import (
	"testing"

	. "usersock/sockapi"
)

// The module bench compares these with the kernel and other systems; here they
// stand beside the code, for a profile and for benchstat.

func BenchmarkPingPong(b *testing.B) {
	x, y := hosts(b)
	c, s := connected(b, x, y, InetAddr{"192.0.2.2", 0})
	done := make(chan error, 1)
	go func() {
		buf := make([]byte, 64)
		for {
			n, err := s.RecvInto(buf, 0)
			if err != nil || n == 0 {
				done <- err
				return
			}
			if _, err := s.Send(buf[:n]); err != nil {
				done <- err
				return
			}
		}
	}()
	buf := []byte{1}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Send(buf); err != nil {
			b.Fatal(err)
		}
		if _, err := c.RecvInto(buf, 0); err != nil {
			b.Fatal(err)
		}
	}
	c.Close()
	check(b, <-done)
}

func BenchmarkStream(b *testing.B) {
	const size = 61440
	x, y := hosts(b)
	c, s := connected(b, x, y, InetAddr{"192.0.2.2", 0})
	done := make(chan error, 1)
	go func() {
		buf := make([]byte, 1<<18)
		for {
			if n, err := s.RecvInto(buf, 0); err != nil || n == 0 {
				done <- err
				return
			}
		}
	}()
	buf := make([]byte, size)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		check(b, c.Sendall(buf))
	}
	check(b, c.Shutdown(SHUT_WR))
	check(b, <-done)
}

func BenchmarkDatagram(b *testing.B) {
	x, y := hosts(b)
	s := open(b, y, AF_INET, SOCK_DGRAM)
	check(b, s.Bind(InetAddr{"192.0.2.2", 0}))
	name, err := s.Getsockname()
	check(b, err)
	c := open(b, x, AF_INET, SOCK_DGRAM)
	check(b, c.Connect(name))
	buf := make([]byte, 1400)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Send(buf); err != nil {
			b.Fatal(err)
		}
		if _, err := s.RecvInto(buf, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkConnect(b *testing.B) {
	x, y := hosts(b)
	l := listener(b, y, InetAddr{"192.0.2.2", 0})
	name, err := l.Getsockname()
	check(b, err)
	b.ReportAllocs()
	for b.Loop() {
		c, err := x.Socket(AF_INET, SOCK_STREAM, 0)
		check(b, err)
		check(b, c.Connect(name))
		s, _, err := l.Accept()
		check(b, err)
		// A reset, so that ports do not run out in TIME-WAIT.
		c.SetsockoptBytes(SOL_SOCKET, SO_LINGER, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		c.Close()
		s.Close()
	}
}
