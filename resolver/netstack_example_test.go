package resolver_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"usersock/netdev"
	"usersock/resolver"
	"usersock/sockapi"
	"usersock/stack"
	"usersock/testnet/dnszone"
)

// DNS over netstack and nothing else: two hosts on a link in memory, of which
// one is a name server, and a resolver that dials by the other's sockets. It has
// the methods of net.Resolver.
func Example_netstack() {
	a, b := netdev.Pair(netdev.PairConfig{})
	host := func(link netdev.Link, addr string) (*sockapi.Net, error) {
		s, err := stack.New(stack.Config{Interfaces: []stack.Interface{{
			Name: "eth0", Link: link, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)},
		}}})
		if err != nil {
			return nil, err
		}
		return sockapi.New(sockapi.Config{Stack: s})
	}
	client, err := host(a, "192.0.2.1/24")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Stack().Close()
	server, err := host(b, "192.0.2.53/24")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Stack().Close()

	zone, err := dnszone.Parse("@ 60 SOA ns host 1 2 3 4 60\n@ 60 MX 10 mail\nmail 60 A 198.51.100.25\n", "example.")
	if err != nil {
		fmt.Println(err)
		return
	}
	packets, err := server.ListenPacket("udp", ":53")
	if err != nil {
		fmt.Println(err)
		return
	}
	done := make(chan error)
	go func() { done <- dnszone.NewServer(zone).Serve(packets) }()

	r, err := resolver.New(resolver.Config{
		Dial:    client.DialContext,
		Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	mx, err := r.LookupMX(ctx, "example.")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(mx[0].Pref, mx[0].Host)
	fmt.Println(r.LookupHost(ctx, mx[0].Host))
	_, err = r.LookupHost(ctx, "nobody.example.")
	var dns *net.DNSError
	fmt.Println(errors.As(err, &dns) && dns.IsNotFound, err)

	r.Close()
	packets.Close()
	<-done
	// Output:
	// 10 mail.example.
	// [198.51.100.25] <nil>
	// true lookup nobody.example.: no such host
}
