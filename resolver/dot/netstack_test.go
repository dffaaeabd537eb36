package dot

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"

	"usersock/netdev"
	"usersock/resolver"
	"usersock/sockapi"
	"usersock/stack"
	"usersock/testnet/dnszone"
)

// TestOverNetstack asks over sockets of a Net, as programs will: many questions
// at a time on one connection, and nothing is left when all is closed.
func TestOverNetstack(t *testing.T) {
	a, b := netdev.Pair(netdev.PairConfig{})
	host := func(link netdev.Link, addr string) *sockapi.Net {
		s, err := stack.New(stack.Config{Interfaces: []stack.Interface{{Link: link, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		n, err := sockapi.New(sockapi.Config{Stack: s})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close() })
		return n
	}
	client, server := host(a, "192.0.2.1/24"), host(b, "192.0.2.2/24")
	https := httptest.NewTLSServer(nil)
	defer https.Close()
	roots := x509.NewCertPool()
	roots.AddCert(https.Certificate())
	inner, err := server.Listen("tcp", ":853")
	if err != nil {
		t.Fatal(err)
	}
	listener := tls.NewListener(inner, &tls.Config{Certificates: https.TLS.Certificates, NextProtos: []string{"dot"}})
	zone, err := dnszone.Parse("@ SOA a b 1 2 3 4 60\n* A 192.0.2.7\n", "test")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- dnszone.NewServer(zone).ServeListener(listener) }()
	c, err := New(Config{
		Dial: client.DialContext, Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.2:0")},
		ServerName: "example.com", RootCAs: roots, Clock: client.Stack().Clock(),
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := resolver.New(resolver.Config{Exchange: c.Exchange, Clock: client.Stack().Clock()})
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for i := range 32 {
		wait.Go(func() {
			ips, err := r.LookupNetIP(context.Background(), "ip", fmt.Sprintf("n%d.test.", i))
			if err != nil || len(ips) != 1 || ips[0].String() != "192.0.2.7" {
				t.Errorf("%v, %v", ips, err)
			}
		})
	}
	wait.Wait()
	c.Close()
	r.Close()
	listener.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	s, err := client.Socket(sockapi.AF_INET, sockapi.SOCK_DGRAM, 0)
	if err != nil || s.Fileno() != 3 {
		t.Errorf("the next descriptor is %d, %v: a connection was left open", s.Fileno(), err)
	}
	s.Close()
}
