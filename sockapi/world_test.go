package sockapi_test

import (
	"context"
	"net/netip"
	"testing"

	"usersock/netdev"
	. "usersock/sockapi"
	"usersock/stack"
	"usersock/stack/endpoint"
)

// bg is a short name for a context that never ends.
var bg = context.Background()

// host makes a Net on a stack with a loopback interface alone.
func host(t testing.TB) *Net {
	t.Helper()
	return hostOn(t, stack.Config{})
}

func hostOn(t testing.TB, cfg stack.Config) *Net {
	t.Helper()
	s, err := stack.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	n, err := New(Config{Stack: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// hosts makes two hosts on a link in memory: 192.0.2.1 and .2, 2001:db8::1
// and ::2, fe80::1 and ::2.
func hosts(t testing.TB) (a, b *Net) {
	t.Helper()
	return hostsOn(t, nil)
}

func hostsOn(t testing.TB, clock endpoint.Clock) (a, b *Net) {
	t.Helper()
	var nets [2]*Net
	var links [2]netdev.Link
	links[0], links[1] = netdev.Pair(netdev.PairConfig{})
	for i, l := range links {
		last := byte(i + 1)
		nets[i] = hostOn(t, stack.Config{
			Clock: clock,
			Interfaces: []stack.Interface{{Name: "eth0", Link: l, Addrs: []netip.Prefix{
				netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, last}), 24),
				netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 15: last}), 64),
				netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: last}), 64),
			}}},
		})
	}
	return nets[0], nets[1]
}

func open(t testing.TB, n *Net, family, typ int) *Socket {
	t.Helper()
	s, err := n.Socket(family, typ, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// listener opens a listening TCP socket on addr.
func listener(t testing.TB, n *Net, addr Addr) *Socket {
	t.Helper()
	s := open(t, n, addr.Family(), SOCK_STREAM)
	if err := s.Bind(addr); err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(128); err != nil {
		t.Fatal(err)
	}
	return s
}

// connected returns both ends of a TCP connection from a to an address of b.
func connected(t testing.TB, a, b *Net, addr Addr) (client, server *Socket) {
	t.Helper()
	l := listener(t, b, addr)
	defer l.Close()
	name, err := l.Getsockname()
	if err != nil {
		t.Fatal(err)
	}
	client = open(t, a, addr.Family(), SOCK_STREAM)
	if err := client.Connect(name); err != nil {
		t.Fatal(err)
	}
	server, _, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return client, server
}
