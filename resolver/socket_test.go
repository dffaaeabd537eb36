package resolver

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"usersock/stack/endpoint"
	"usersock/testnet/dnszone"
)

// TestKernelSockets runs the resolver over sockets of this machine's kernel,
// on its loopback: deadlines, framing and errors of real connections.
func TestKernelSockets(t *testing.T) {
	zone := mustZone(t, testZone, "example")
	for i := range 100 {
		if err := zone.Add("big", "A", fmt.Sprintf("198.51.100.%d", i), 60); err != nil {
			t.Fatal(err)
		}
	}
	server := dnszone.NewServer(zone)
	var lost sync.Map
	server.Intercept = func(q dnszone.Query, honest []byte) []dnszone.Reply {
		if _, again := lost.LoadOrStore(q.Name+q.Type, true); strings.HasPrefix(q.Name, "alias") && !again {
			return nil
		}
		return send(honest)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().(*net.TCPAddr).AddrPort()
	packets, err := net.ListenPacket("udp", addr.String())
	if err != nil {
		listener.Close()
		t.Skipf("UDP port of the TCP listener is taken: %v", err)
	}
	done := make(chan error, 2)
	go func() { done <- server.Serve(packets) }()
	go func() { done <- server.ServeListener(listener) }()
	closed, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close() // now a port that refuses
	cfg := Config{
		Dial:       new(net.Dialer).DialContext,
		Host:       testHost(),
		Servers:    []netip.AddrPort{closed.LocalAddr().(*net.UDPAddr).AddrPort(), addr},
		ResolvConf: "options timeout:1\n",
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{Resolver: r}
	l.want(t, "www.example", "2001:db8:1::1 192.0.2.1")
	l.want(t, "alias.example", "2001:db8:1::1 192.0.2.1") // the first query of each type is lost
	l.want(t, "nx.example.", "Name or service not known")
	if n := strings.Count(l.lookup("big.example"), "198.51.100."); n != 100 {
		t.Errorf("%d of 100 addresses over TCP", n)
	}
	packets.Close()
	listener.Close()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestManyCallers lets callers of few names meet in the cache, its flights and
// its eviction; the race detector watches.
func TestManyCallers(t *testing.T) {
	l := newLab(t, func(c *Config) { c.CacheSize = 8; c.Clock = nil })
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			for j := range 50 {
				name := fmt.Sprintf("h%d.wild.example", (i*j)%12)
				ip, err := l.Gethostbyname(context.Background(), name)
				if err != nil || ip.String() != "192.0.2.4" {
					t.Errorf("%s: %v, %v", name, ip, err)
				}
				switch j % 10 {
				case 0:
					l.Flush()
				case 1:
					ctx, cancel := context.WithCancel(context.Background())
					cancel()
					if _, err := l.Getaddrinfo(ctx, "www.example", "", 0, 0, 0, 0); err == nil {
						t.Error("a done context finds a name")
					}
				case 2:
					if _, err := l.Getaddrinfo(context.Background(), "www.example", "http", 0, endpoint.SOCK_STREAM, 0, 0); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wait.Wait()
	if n := len(l.cache.flights); n != 0 {
		t.Errorf("%d flights have not landed", n)
	}
}
