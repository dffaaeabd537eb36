package testnet_test

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"testing"

	"usersock/sockapi"
	"usersock/stack/endpoint"
)

// TestSameTraceOfPollers has a server that is one loop around a Poller, and six
// clients over a link that loses packets.
func TestSameTraceOfPollers(t *testing.T) {
	runs := 20
	if testing.Short() {
		runs = 5
	}
	const clients = 6
	talk := func(t *testing.T) outcome {
		return run(t, 5, lossy, func(w *world) {
			l, err := listen(w.nets[1], sockapi.AF_INET, 80)
			if err != nil {
				t.Fatal(err)
			}
			w.task(1, "poller", func(n *sockapi.Net) {
				if err := pollLoop(n, l, clients); err != nil {
					w.t.Error("server:", err)
				}
			})
			for i := range clients {
				w.task(0, fmt.Sprint("client ", i), func(n *sockapi.Net) {
					w.upload(n, sockapi.InetAddr{Host: "beta", Port: 80}, payload(50_000, byte(i)))
				})
			}
		})
	}
	if o := same(t, runs, talk); o.lost < 5 {
		t.Errorf("%v: hardly anything was lost", o)
	}
}

// pollLoop is serve in one goroutine: edge-triggered, all sockets non-blocking.
func pollLoop(n *sockapi.Net, l *sockapi.Socket, count int) error {
	defer l.Close()
	p := n.Poller()
	defer p.Close()
	type conn struct {
		*sockapi.Socket
		sum hash.Hash
	}
	if err := l.Setblocking(false); err != nil {
		return err
	}
	if err := p.Add(l.Fileno(), sockapi.EPOLLIN|sockapi.EPOLLET, nil); err != nil {
		return err
	}
	events := make([]sockapi.PollerEvent, 3)
	for count > 0 {
		k, err := p.Wait(events, sockapi.Forever)
		if err != nil {
			return err
		}
		for _, e := range events[:k] {
			c, ok := e.Data.(conn)
			for !ok {
				s, _, err := l.Accept()
				if errno(err) == endpoint.EAGAIN {
					break
				}
				if err == nil {
					err = s.Setblocking(false)
				}
				if err == nil {
					err = p.Add(s.Fileno(), sockapi.EPOLLIN|sockapi.EPOLLRDHUP|sockapi.EPOLLET, conn{s, sha256.New()})
				}
				if err != nil {
					return err
				}
			}
			for ok {
				data, err := c.Recv(10_000)
				if errno(err) == endpoint.EAGAIN {
					break
				}
				if err != nil {
					return err
				}
				if len(data) > 0 {
					c.sum.Write(data)
					continue
				}
				if _, err := c.Send(c.sum.Sum(nil)); err != nil {
					return err
				}
				c.Close()
				count--
				break
			}
		}
	}
	return nil
}

func errno(err error) endpoint.Errno {
	if e, ok := err.(*sockapi.Error); ok {
		return e.Errno
	}
	return 0
}
