package endpointtest

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"usersock/stack/endpoint"
)

// raceTests do many things at once; they are meant to be run with -race.
var raceTests = []test{
	{"BothWays", testBothWays},
	{"ManyConnections", testManyConnections},
	{"EndAfterBytes", testEndAfterBytes},
	{"Chaos", testChaos},
}

// testBothWays moves messages both ways at once, while options and readiness
// are asked for.
func testBothWays(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	const rounds, size = 400, 700
	done := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			a.Ready(endpoint.In | endpoint.Out)
			b.Queued()
			a.optInt(endpoint.SOL_SOCKET, endpoint.SO_ERROR)
			b.PeerAddr()
		}
	})
	defer asking.Wait()
	defer close(done)
	var finish []func(*testing.T, string) int
	for _, way := range [][2]*end{{a, b}, {b, a}} {
		from, to := way[0], way[1]
		finish = append(finish, start(func() (int, error) {
			for i := range rounds {
				if err := from.sendAll(blockOf(i, size)); err != nil {
					return i, fmt.Errorf("Send: %w", err)
				}
			}
			return rounds, nil
		}), start(func() (int, error) {
			for i := range rounds {
				got, err := to.recvFull(size)
				if err != nil {
					return i, fmt.Errorf("Recv: %w", err)
				}
				if string(got) != string(blockOf(i, size)) {
					return i, fmt.Errorf("block %d arrived changed", i)
				}
			}
			return rounds, nil
		}))
	}
	for _, f := range finish {
		f(t, "moving bytes both ways")
	}
}

func blockOf(i, size int) []byte {
	b := make([]byte, size)
	for j := range b {
		b[j] = byte(i*7 + j)
	}
	return b
}

// testManyConnections: several goroutines connect, several accept; each
// connection carries its own bytes.
func testManyConnections(t *testing.T, p *Provider) {
	const dialers, each = 4, 15
	l, addr := p.listen(t, 2)
	var finish []func(*testing.T, string) int
	for d := range dialers {
		finish = append(finish, start(func() (int, error) {
			for i := range each {
				if err := dialOnce(p, addr, []byte{byte(d), byte(i)}); err != nil {
					return i, err
				}
			}
			return each, nil
		}), start(func() (int, error) {
			for i := range each {
				ep, _, err := l.accept()
				if err != nil {
					return i, err
				}
				if err := echoOnce(ep); err != nil {
					return i, err
				}
			}
			return each, nil
		}))
	}
	for _, f := range finish {
		f(t, "connecting")
	}
}

func newEnd(ep endpoint.Endpoint) *end {
	e := &end{Endpoint: ep, change: make(chan struct{})}
	ep.Notify(e)
	return e
}

func dialOnce(p *Provider, addr endpoint.Addr, text []byte) error {
	ep, err := p.Family.Open(p.Request)
	if err != nil {
		return err
	}
	c := newEnd(ep)
	defer c.Close()
	if err := c.connect(addr); err != nil {
		return fmt.Errorf("Connect: %w", err)
	}
	if err := c.sendAll(text); err != nil {
		return fmt.Errorf("Send: %w", err)
	}
	got, err := c.recvFull(len(text))
	if err != nil || string(got) != string(text) {
		return fmt.Errorf("received % x, %w; sent % x", got, err, text)
	}
	return nil
}

func echoOnce(ep endpoint.Endpoint) error {
	s := newEnd(ep)
	defer s.Close()
	got, err := s.recvFull(2)
	if err != nil {
		return fmt.Errorf("Recv of the accepted end: %w", err)
	}
	if err := s.sendAll(got); err != nil {
		return fmt.Errorf("Send of the accepted end: %w", err)
	}
	// The other end closes first: then nothing is lost.
	if got, err := s.recv(1); err != nil || len(got) != 0 {
		return fmt.Errorf("Recv at the end: % x, %w", got, err)
	}
	return nil
}

// testEndAfterBytes: a receiver that looks all the time never sees the end
// before what was sent ahead of it.
func testEndAfterBytes(t *testing.T, p *Provider) {
	for round := range 150 {
		a, b := p.pair(t)
		looking := make(chan struct{})
		finish := start(func() (int, error) {
			buf := make([]byte, 1)
			for first := true; ; first = false {
				r, err := b.Recv(request(buf, 0))
				if !errors.Is(err, endpoint.EAGAIN) {
					return r.N, err
				}
				if first {
					close(looking)
				}
				runtime.Gosched()
			}
		})
		<-looking
		_, err := a.send([]byte("x"))
		must(t, "Send", err)
		if round%2 == 0 {
			must(t, "Shutdown", a.Shutdown(endpoint.SHUT_WR))
		} else {
			must(t, "Close", a.Close())
		}
		if n := finish(t, "Recv"); n != 1 {
			t.Fatalf("round %d: the end came before the byte", round)
		}
		a.Close()
		b.Close()
	}
}

// testChaos closes and shuts down ends while both are in use. Nothing may
// hang, panic or race; each call ends with bytes, the end, or an error.
func testChaos(t *testing.T, p *Provider) {
	for round := range 30 {
		a, b := p.pair(t)
		var finish []func(*testing.T, string) int
		for _, e := range []*end{a, b} {
			finish = append(finish, start(func() (int, error) {
				for {
					if _, err := e.send(make([]byte, 3000)); err != nil {
						return 0, unlessPromiseBroken(err)
					}
				}
			}), start(func() (int, error) {
				for {
					got, err := e.recv(5000)
					if err != nil || len(got) == 0 {
						return 0, unlessPromiseBroken(err)
					}
				}
			}))
		}
		switch round % 3 {
		case 0:
			a.Close()
			b.Close()
		case 1:
			a.Shutdown(endpoint.SHUT_RDWR)
			b.Close()
		case 2:
			b.Shutdown(endpoint.SHUT_WR)
			a.Shutdown(endpoint.SHUT_WR)
			b.Shutdown(endpoint.SHUT_RD)
			a.Close()
		}
		for _, f := range finish {
			f(t, fmt.Sprintf("round %d: a call on an end that was closed", round))
		}
		a.Close()
		b.Close()
	}
}

// unlessPromiseBroken forgives an errno, which the end of a connection gives,
// and nothing else.
func unlessPromiseBroken(err error) error {
	var errno endpoint.Errno
	if errors.As(err, &errno) {
		return nil
	}
	return err
}
