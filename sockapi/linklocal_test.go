package sockapi_test

import (
	"testing"

	"usersock/netdev"
	. "usersock/sockapi"
	"usersock/stack"
	"usersock/stack/endpoint"
)

// onSegment makes a host on an Ethernet, and returns it with its link-local address.
func onSegment(t *testing.T, seg *netdev.Segment) (*Net, string) {
	t.Helper()
	link, err := seg.Join(netdev.PortConfig{})
	check(t, err)
	s, err := stack.New(stack.Config{Interfaces: []stack.Interface{{Name: "eth0", Link: link}}})
	check(t, err)
	t.Cleanup(func() { s.Close() })
	n, err := New(Config{Stack: s})
	check(t, err)
	for _, i := range s.Interfaces() {
		for _, a := range i.Addrs {
			if a.Addr().IsLinkLocalUnicast() {
				return n, a.Addr().String()
			}
		}
	}
	t.Fatal("no link-local address")
	return nil, ""
}

// TestLinkLocalWithoutScope sends to link-local addresses and groups whose interface
// nobody names: Linux asks its routes, of which each interface has one. To
// connect, the interface has to be named.
func TestLinkLocalWithoutScope(t *testing.T) {
	seg := netdev.NewSegment(netdev.SegmentConfig{})
	defer seg.Close()
	a, mine := onSegment(t, seg)
	b, there := onSegment(t, seg)
	r := open(t, b, AF_INET6, SOCK_DGRAM)
	check(t, r.Bind(Inet6Addr{Port: 9}))
	s := open(t, a, AF_INET6, SOCK_DGRAM)
	for _, to := range []string{there, "ff02::1", "ff05::1"} {
		if to == "ff05::1" {
			joined := append(make([]byte, 0, 20), 0xff, 5)
			joined = append(joined, make([]byte, 14)...)
			joined[15] = 1
			joined = append(joined, 0, 0, 0, 0)
			check(t, r.SetsockoptBytes(IPPROTO_IPV6, IPV6_JOIN_GROUP, joined))
		}
		_, err := s.Sendto([]byte("x"), Inet6Addr{Host: to, Port: 9})
		check(t, err)
		data, from, err := r.Recvfrom(9)
		check(t, err)
		if f, ok := from.(Inet6Addr); !ok || string(data) != "x" || f.Host != mine || f.ScopeID == 0 {
			t.Errorf("to %s: %q from %v, want it from %s with a scope", to, data, from, mine)
		}
	}
	for _, to := range []string{there, "ff02::1"} {
		wantErr(t, "connect "+to, s.Connect(Inet6Addr{Host: to, Port: 9}), endpoint.EINVAL)
	}
	check(t, s.Connect(Inet6Addr{Host: there, Port: 9, ScopeID: 2}))
	_, err := s.Sendto([]byte("x"), Inet6Addr{Host: there, Port: 9, ScopeID: 1}) // lo has no such route
	wantErr(t, "by lo", err, endpoint.ENETUNREACH)
}
