package sockapi_test

import (
	"encoding/binary"
	"fmt"
	"log"
	"net/netip"
	"time"

	"usersock/netdev"
	. "usersock/sockapi"
	"usersock/stack"
)

// ping sends three echo requests by a ping socket, and prints the replies.
func ping(n *Net, to Addr) {
	proto, request := IPPROTO_ICMP, byte(8)
	if to.Family() == AF_INET6 {
		proto, request = IPPROTO_ICMPV6, 128
	}
	s, err := n.Socket(to.Family(), SOCK_DGRAM, proto)
	check1(err)
	defer s.Close()
	check1(s.Settimeout(5 * time.Second))
	for sequence := range uint16(3) {
		// Type, code; the stack fills in checksum and identifier.
		message := []byte{request, 0, 0, 0, 0, 0, 0, 0, 'p', 'i', 'n', 'g'}
		binary.BigEndian.PutUint16(message[6:], sequence)
		_, err := s.Sendto(message, to)
		check1(err)
		reply, from, err := s.Recvfrom(1500)
		check1(err)
		fmt.Printf("%d bytes from %s: sequence %d\n", len(reply), hostOf(from), binary.BigEndian.Uint16(reply[6:]))
	}
}

// traceroute sends a datagram to a port where nobody listens with one hop, two
// hops and so on, and prints who complains, until that is the destination. A raw
// ICMP socket hears the complaints.
func traceroute(n *Net, to Addr) {
	level, hops, icmp, from, unreachable := IPPROTO_IP, IP_TTL, IPPROTO_ICMP, 20, byte(3)
	if to.Family() == AF_INET6 {
		level, hops, icmp, from, unreachable = IPPROTO_IPV6, IPV6_UNICAST_HOPS, IPPROTO_ICMPV6, 0, 1
	}
	listen, err := n.Socket(to.Family(), SOCK_RAW, icmp)
	check1(err)
	defer listen.Close()
	check1(listen.Settimeout(5 * time.Second))
	send, err := n.Socket(to.Family(), SOCK_DGRAM, 0)
	check1(err)
	defer send.Close()
	for ttl := 1; ttl <= 30; ttl++ {
		check1(send.Setsockopt(level, hops, ttl))
		_, err := send.Sendto([]byte("probe"), to)
		check1(err)
		// An IPv4 raw socket receives the IP header too.
		packet, router, err := listen.Recvfrom(1500)
		check1(err)
		fmt.Printf("%d  %s\n", ttl, hostOf(router))
		if packet[from] == unreachable {
			return
		}
	}
}

func hostOf(a Addr) string {
	switch a := a.(type) {
	case InetAddr:
		return a.Host
	case Inet6Addr:
		return a.Host
	}
	return "?"
}

func check1(err error) {
	if err != nil {
		log.Panic(err)
	}
}

// chain makes four hosts in a row: one, two routers, and another one.
func chain() (first *Net, end func()) {
	links := make([]netdev.Link, 0, 6)
	for range 3 {
		a, b := netdev.Pair(netdev.PairConfig{MTU: 1500})
		links = append(links, a, b)
	}
	// Network i is 192.0.2.0/24, 198.51.100.0/24 or 203.0.113.0/24.
	nets := []string{"192.0.2.%d/24", "198.51.100.%d/24", "203.0.113.%d/24"}
	on := func(link, network, host int) stack.Interface {
		return stack.Interface{Link: links[link], Addrs: []netip.Prefix{
			netip.MustParsePrefix(fmt.Sprintf(nets[network], host)),
			netip.MustParsePrefix(fmt.Sprintf("2001:db8:%d::%d/64", network, host)),
		}}
	}
	via := func(network, host int) []stack.Route {
		four, six := fmt.Sprintf(nets[network], host), fmt.Sprintf("2001:db8:%d::%d/64", network, host)
		return []stack.Route{
			{Dst: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParsePrefix(four).Addr()},
			{Dst: netip.MustParsePrefix("::/0"), Via: netip.MustParsePrefix(six).Addr()},
		}
	}
	var hosts []*stack.Stack
	for _, cfg := range []stack.Config{
		{Interfaces: []stack.Interface{on(0, 0, 1)}, Routes: via(0, 2)},
		{Interfaces: []stack.Interface{on(1, 0, 2), on(2, 1, 1)}, Routes: via(1, 2), Forwarding: true},
		{Interfaces: []stack.Interface{on(3, 1, 2), on(4, 2, 1)}, Routes: via(1, 1), Forwarding: true},
		{Interfaces: []stack.Interface{on(5, 2, 2)}, Routes: via(2, 1)},
	} {
		host, err := stack.New(cfg)
		check1(err)
		hosts = append(hosts, host)
	}
	first, err := New(Config{Stack: hosts[0]})
	check1(err)
	return first, func() {
		first.Close()
		for _, h := range hosts {
			h.Close()
		}
	}
}

func Example_ping() {
	n, end := chain()
	defer end()
	ping(n, InetAddr{Host: "203.0.113.2"})
	ping(n, Inet6Addr{Host: "2001:db8:2::2"})
	// Output:
	// 12 bytes from 203.0.113.2: sequence 0
	// 12 bytes from 203.0.113.2: sequence 1
	// 12 bytes from 203.0.113.2: sequence 2
	// 12 bytes from 2001:db8:2::2: sequence 0
	// 12 bytes from 2001:db8:2::2: sequence 1
	// 12 bytes from 2001:db8:2::2: sequence 2
}

func Example_traceroute() {
	n, end := chain()
	defer end()
	traceroute(n, InetAddr{Host: "203.0.113.2", Port: 33434})
	traceroute(n, Inet6Addr{Host: "2001:db8:2::2", Port: 33434})
	// Output:
	// 1  192.0.2.2
	// 2  198.51.100.2
	// 3  203.0.113.2
	// 1  2001:db8::2
	// 2  2001:db8:1::2
	// 3  2001:db8:2::2
}
