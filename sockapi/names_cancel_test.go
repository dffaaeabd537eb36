package sockapi_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"

	"usersock/resolver"
	. "usersock/sockapi"
	"usersock/testnet/dnszone"
)

// TestCancelledLookups calls lookups and dials off at any point, over real
// sockets of two stacks: UDP, TCP after a truncated reply, and connections to
// what was found. No descriptor stays behind, and the next lookup works.
func TestCancelledLookups(t *testing.T) {
	rounds := 1000
	if testing.Short() {
		rounds = 100
	}
	a, b := hosts(t)
	zone, err := dnszone.Parse("@ 300 SOA a b 1 2 3 4 60\n*.udp 0 A 192.0.2.2\n*.udp 0 AAAA 2001:db8::2\n*.tcp 0 A 192.0.2.2\n*.tcp 0 AAAA 2001:db8::2\n", "example")
	check(t, err)
	server := dnszone.NewServer(zone)
	server.Intercept = func(q dnszone.Query, honest []byte) []dnszone.Reply {
		if q.UDP && strings.HasSuffix(q.Name, ".tcp.example.") {
			honest[2] |= 2 // truncated
		}
		return []dnszone.Reply{{Message: honest}}
	}
	packets, err := b.ListenPacket("udp", ":53")
	check(t, err)
	listener, err := b.Listen("tcp", ":53")
	check(t, err)
	web, err := b.Listen("tcp", ":80")
	check(t, err)
	var servers sync.WaitGroup
	servers.Go(func() { server.Serve(packets) })
	servers.Go(func() { server.ServeListener(listener) })
	servers.Go(func() {
		for {
			c, err := web.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	})
	n, err := New(Config{Stack: a.Stack(), Resolver: resolver.Config{Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.2:53")}}})
	check(t, err)
	random := rand.New(rand.NewPCG(3, 4))
	ended := map[bool]int{}
	for round := range rounds {
		ctx, cancel := context.WithCancel(bg)
		kind := [...]string{".udp.example.", ".tcp.example."}[round%2]
		name := "n" + strconv.Itoa(round) + kind
		spin := random.IntN(20000)
		var wait sync.WaitGroup
		wait.Go(func() {
			for range spin {
				if ctx.Err() != nil {
					break
				}
			}
			cancel()
		})
		var err error
		if round%3 == 0 {
			var c net.Conn
			if c, err = n.DialContext(ctx, "tcp", name+":80"); err == nil {
				c.Close()
			}
		} else {
			_, err = n.Resolver().LookupHost(ctx, name)
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("round %d: %v", round, err)
		}
		ended[err == nil]++
		wait.Wait()
	}
	if ended[false] == 0 {
		t.Errorf("nothing was cancelled in time: %v", ended)
	}
	if got, err := n.Resolver().LookupHost(bg, "last.tcp.example."); len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
	check(t, n.Resolver().Close())
	if fd := nextFd(t, n); fd != 3 {
		t.Errorf("the next descriptor is %d: a socket was left open", fd)
	}
	check(t, n.Close())
	packets.Close()
	listener.Close()
	web.Close()
	servers.Wait()
}
