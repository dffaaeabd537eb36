package resolver_test

import (
	"context"
	"fmt"
	"net"

	"usersock/resolver"
	"usersock/stack/endpoint"
)

// A resolver with nothing but a hosts text. In a program Dial opens sockets of
// a stack; here no name server is reached.
func Example() {
	r, err := resolver.New(resolver.Config{
		Hosts:    "192.0.2.1 daring.example daring # the first name is the canonical one\n",
		Nsswitch: "hosts: files\n",
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			return nil, endpoint.ENETUNREACH
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	infos, err := r.Getaddrinfo(context.Background(), "daring", "http", endpoint.AF_UNSPEC,
		endpoint.SOCK_STREAM, 0, endpoint.AI_CANONNAME)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, a := range infos {
		fmt.Println(a.Canonname, a.Addr)
	}
	_, err = r.Gethostbyname(context.Background(), "nosuch")
	fmt.Println(err)
	// Output:
	// daring.example 192.0.2.1:80
	// Name or service not known
}
