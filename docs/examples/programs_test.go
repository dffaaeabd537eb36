package examples_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	"usersock/netdev"
	"usersock/resolver"
	"usersock/sockapi"
	"usersock/stack"
	"usersock/stack/endpoint"
	"usersock/testnet/dnszone"
)

type program = func(socket *sockapi.Net, print func(...any)) error

// TestPrograms runs each client with a server. Where both families are served
// the server for both listens on IPv4, whose address getaddrinfo has first, so
// that the IPv6 pair runs where there is IPv6 alone.
func TestPrograms(t *testing.T) {
	four, six := []int{endpoint.AF_INET, endpoint.AF_INET6}, []int{endpoint.AF_INET6}
	for _, c := range []struct {
		name           string
		families       []int
		server, client program
		prints         string
	}{
		{"echo", four, echoServer, echoClient, `Connected by 192\.0\.2\.1:\d+
Received "Hello, world"
`},
		{"echo over both", four, echoServerAny, echoClientAny, `Connected by 192\.0\.2\.1:\d+
Received "Hello, world"
`},
		{"echo over IPv6", six, echoServerAny, echoClientAny, `Connected by \[2001:db8::1\]:\d+
Received "Hello, world"
`},
		{"create_connection", four, echoServer, withConnection, `Connected by 192\.0\.2\.1:\d+
Received "Hello, world"
`},
		{"detach", four, echoServer, detach, `(Connected by 192\.0\.2\.1:\d+
Detached -1|Detached -1
Connected by 192\.0\.2\.1:\d+)
Received "Hello, world"
`},
		{"ssl", four, sslServer, sslClient, `"/C=US/ST=California/L=Mountain View/O=VeriSign, Inc\./OU=Production Services/OU=Terms of use at www\.verisign\.com/rpa \(c\)00/CN=www\.verisign\.com"
"/O=VeriSign Trust Network/OU=VeriSign, Inc\./OU=VeriSign International Server CA - Class 3/OU=www\.verisign\.com/CPS Incorp\.by Ref\. LIABILITY LTD\.\(c\)97 VeriSign"
Read 24 bytes
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := world(t, c.families)
			var mu sync.Mutex
			var printed strings.Builder
			print := func(args ...any) {
				mu.Lock()
				defer mu.Unlock()
				fmt.Fprintln(&printed, args...)
			}
			ended := make(chan error)
			go func() { ended <- c.server(server, print) }()
			for !listens(server) {
				runtime.Gosched()
			}
			if err := c.client(client, print); err != nil {
				t.Error("client:", err)
			}
			if err := <-ended; err != nil {
				t.Error("server:", err)
			}
			if !regexp.MustCompile("^" + c.prints + "$").MatchString(printed.String()) {
				t.Errorf("printed\n%s\nwant\n%s", printed.String(), c.prints)
			}
		})
	}
}

// listens reports whether the host has a socket that takes connections to one of
// the programs' ports.
func listens(n *sockapi.Net) bool {
	for _, s := range n.Stack().Snapshot().Sockets {
		if s.State == endpoint.SocketListen && (s.Local.Port == 50007 || s.Local.Port == 443) {
			return true
		}
	}
	return false
}

// zone is what the Internet of the programs knows.
const zone = `
daring.cwi.nl. A    192.0.2.2
daring.cwi.nl. AAAA 2001:db8::2
www.verisign.com. A 192.0.2.2
`

// world makes the client's host and the server's, with a link between them. The
// server's is daring.cwi.nl and the name server too.
func world(t *testing.T, families []int) (client, server *sockapi.Net) {
	var links [2]netdev.Link
	links[0], links[1] = netdev.Pair(netdev.PairConfig{})
	names := netip.MustParseAddrPort("[2001:db8::2]:53")
	var nets [2]*sockapi.Net
	for i, link := range links {
		last := byte(i + 1)
		addrs := []netip.Prefix{netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 15: last}), 64)}
		if len(families) > 1 {
			addrs = append(addrs, netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, last}), 24))
		}
		st, err := stack.New(stack.Config{
			Families:   families,
			Interfaces: []stack.Interface{{Name: "eth0", Link: link, Addrs: addrs}},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { st.Close() })
		n, err := sockapi.New(sockapi.Config{Stack: st, Resolver: resolver.Config{Servers: []netip.AddrPort{names}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close() })
		nets[i] = n
	}
	z, err := dnszone.Parse(zone, ".")
	if err != nil {
		t.Fatal(err)
	}
	pc, err := nets[1].ListenPacket("udp6", "[2001:db8::2]:53")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	go dnszone.NewServer(z).Serve(pc)
	return nets[0], nets[1]
}
