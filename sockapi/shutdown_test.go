package sockapi_test

import (
	"context"
	"errors"
	"testing"

	. "usersock/sockapi"
	"usersock/stack/endpoint"
)

// TestShutdownDrains: what a closed connection still has to send arrives
// before the stack ends, however slowly the peer reads.
func TestShutdownDrains(t *testing.T) {
	a, b := hosts(t)
	c, s := connected(t, a, b, InetAddr{"192.0.2.2", 0})
	sent := 0
	block := make([]byte, 64<<10)
	for {
		n, err := c.Send(block, MSG_DONTWAIT)
		if errors.Is(err, endpoint.EAGAIN) {
			break
		}
		check(t, err)
		sent += n
	}
	check(t, c.Close())
	done := make(chan error, 1)
	go func() { done <- a.Stack().Shutdown(bg) }()
	got := 0
	for {
		data, err := s.Recv(1000)
		check(t, err)
		if len(data) == 0 {
			break
		}
		got += len(data)
	}
	if got != sent {
		t.Errorf("%d bytes arrived of %d", got, sent)
	}
	s.Close()
	check(t, <-done)
}

// TestShutdownGivesUp: when the context ends, what is left is reset.
func TestShutdownGivesUp(t *testing.T) {
	a, b := hosts(t)
	c, s := connected(t, a, b, InetAddr{"192.0.2.2", 0})
	for {
		if _, err := c.Send(make([]byte, 64<<10), MSG_DONTWAIT); err != nil {
			break
		}
	}
	check(t, c.Close())
	ctx, cancel := context.WithCancel(bg)
	cancel()
	if err := a.Stack().Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the context's error", err)
	}
	for {
		data, err := s.Recv(1 << 20)
		if errors.Is(err, endpoint.ECONNRESET) {
			return
		}
		check(t, err)
		if len(data) == 0 {
			t.Fatal("the end of the stream, want a reset")
		}
	}
}

// TestStackCloseEndsCalls: a call that waits on a socket of a stack that is
// closed does not wait for ever.
func TestStackCloseEndsCalls(t *testing.T) {
	for name, make := range map[string]func(*testing.T, *Net, *Net) (*Socket, func()){
		"TCP": stream, "UDP": datagram, "UDP without a port": unbound, "AF_UNIX": unixStream,
	} {
		t.Run(name, func(t *testing.T) {
			a, b := hosts(t)
			s, _ := make(t, a, b)
			result := newResult(func() error { _, err := s.Recv(1); return err })
			check(t, a.Stack().Close())
			<-result
			if _, err := a.Socket(AF_INET, SOCK_STREAM, 0); !errors.Is(err, endpoint.ENETDOWN) {
				t.Errorf("socket: %v, want ENETDOWN", err)
			}
		})
	}
}

// newResult runs a call in a goroutine.
func newResult(call func() error) chan error {
	result := make(chan error, 1)
	go func() { result <- call() }()
	return result
}

func unbound(t *testing.T, a, b *Net) (*Socket, func()) {
	s, err := a.Socket(AF_INET, SOCK_DGRAM, 0)
	check(t, err)
	return s, func() {}
}
