package stack_test

import (
	"errors"
	"net/netip"
	"sync"
	"testing"

	"usersock/netdev"
	"usersock/stack"
	"usersock/stack/endpoint"
)

// hostWith makes a host with one interface for each list of addresses; the
// other ends of the links are closed with the test.
func hostWith(t *testing.T, lists ...[]string) *stack.Stack {
	t.Helper()
	var cfg stack.Config
	for _, list := range lists {
		a, b := netdev.Pair(netdev.PairConfig{})
		t.Cleanup(func() { netdev.Close(b) })
		in := stack.Interface{Link: a}
		for _, p := range list {
			in.Addrs = append(in.Addrs, netip.MustParsePrefix(p))
		}
		cfg.Interfaces = append(cfg.Interfaces, in)
	}
	s, err := stack.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// routesTo returns the routes to a network.
func routesTo(s *stack.Stack, dst netip.Prefix) (list []stack.Route) {
	for _, r := range s.Routes() {
		if r.Dst == dst {
			list = append(list, r)
		}
	}
	return list
}

// A router is looked for by the longest prefix, not by the first interface.
func TestRouterByLongestPrefix(t *testing.T) {
	s := hostWith(t, []string{"10.0.0.1/8", "2001:db8::1/32"}, []string{"10.1.0.1/16", "2001:db8:1::1/64"})
	for dst, via := range map[string]string{"0.0.0.0/0": "10.1.0.9", "::/0": "2001:db8:1::9"} {
		r := stack.Route{Dst: netip.MustParsePrefix(dst), Via: netip.MustParseAddr(via)}
		if err := s.AddRoute(r); err != nil {
			t.Fatal(err)
		}
		if got := routesTo(s, r.Dst); len(got) != 1 || got[0].Dev != "eth1" || got[0].Via != r.Via {
			t.Errorf("%v by %v: %v, want eth1", dst, via, got)
		}
	}
}

// A route is not taken away under the name of another.
func TestRemoveRouteLooksAtTheRouter(t *testing.T) {
	s := hostWith(t, []string{"192.0.2.1/24"})
	dst := netip.MustParsePrefix("198.51.100.0/24")
	r := stack.Route{Dst: dst, Via: netip.MustParseAddr("192.0.2.7"), MTU: 1400}
	if err := s.AddRoute(r); err != nil {
		t.Fatal(err)
	}
	other := stack.Route{Dst: dst, Via: netip.MustParseAddr("192.0.2.8")}
	if err := s.RemoveRoute(other); !errors.Is(err, endpoint.ESRCH) {
		t.Errorf("by another router: %v, want ESRCH", err)
	}
	if err := s.RemoveRoute(stack.Route{Dst: dst, Dev: "eth0", MTU: 1300}); !errors.Is(err, endpoint.ESRCH) {
		t.Errorf("of another MTU: %v, want ESRCH", err)
	}
	if err := s.RemoveRoute(stack.Route{Dst: dst, Dev: "eth0"}); err != nil {
		t.Errorf("router not named: %v", err)
	}
	if left := routesTo(s, dst); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// Two addresses of one network bring one route, and the last takes it away.
func TestTwoAddressesOneRoute(t *testing.T) {
	s := hostWith(t, []string{"192.0.2.1/24", "192.0.2.2/24"})
	dst := netip.MustParsePrefix("192.0.2.0/24")
	if got := routesTo(s, dst); len(got) != 1 {
		t.Errorf("routes %v, want one", got)
	}
	for i, left := range []int{1, 0} {
		a := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 24)
		if err := s.RemoveAddr("eth0", a); err != nil {
			t.Fatal(err)
		}
		if got := routesTo(s, dst); len(got) != left {
			t.Errorf("without %v: routes %v, want %d", a, got, left)
		}
	}
}

func TestIPv6AddressNeedsItsMTU(t *testing.T) {
	a, b := netdev.Pair(netdev.PairConfig{})
	defer netdev.Close(b)
	s, err := stack.New(stack.Config{Interfaces: []stack.Interface{{Link: a, MTU: 1000}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.AddAddr("eth0", netip.MustParsePrefix("2001:db8::1/64")); !errors.Is(err, endpoint.EINVAL) {
		t.Errorf("an IPv6 address on an MTU of 1000: %v, want EINVAL", err)
	}
	if err := s.AddAddr("eth0", netip.MustParsePrefix("192.0.2.1/24")); err != nil {
		t.Error(err)
	}
}

// A name that Detach has freed can be taken at once, however many try.
func TestDetachAttachRace(t *testing.T) {
	s := hostWith(t)
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for range 50 {
				a, b := netdev.Pair(netdev.PairConfig{})
				if err := s.Attach(stack.Interface{Link: a}); err != nil {
					t.Error(err) // ethN, the lowest free: never taken
				}
				netdev.Close(b)
				for _, in := range s.Interfaces() {
					if !in.Loopback {
						s.Detach(in.Name)
						break
					}
				}
			}
		})
	}
	work.Wait()
}

// What is attached, opened and started while the stack closes ends with it, and
// Close does not wait for it.
func TestCloseRaces(t *testing.T) {
	for range 50 {
		s, err := stack.New(stack.Config{})
		if err != nil {
			t.Fatal(err)
		}
		var early []endpoint.Endpoint
		for range 20 {
			ep, err := s.Open(endpoint.AF_INET, endpoint.Request{Type: endpoint.SOCK_STREAM})
			if err != nil {
				t.Fatal(err)
			}
			early = append(early, ep)
		}
		var work sync.WaitGroup
		work.Go(func() {
			for _, ep := range early {
				if err := ep.Listen(1); err == nil {
					continue
				}
				if err := ep.Connect(endpoint.Inet(netip.MustParseAddrPort("127.0.0.1:9"))); err == nil {
					t.Error("connected on a closed stack")
				}
			}
		})
		work.Go(func() {
			for {
				a, b := netdev.Pair(netdev.PairConfig{})
				err := s.Attach(stack.Interface{Link: a})
				netdev.Close(b)
				if err != nil {
					if !errors.Is(err, endpoint.ENETDOWN) {
						t.Error(err)
					}
					return
				}
			}
		})
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		work.Wait()
		if left := s.Interfaces(); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
		if states := s.ConnStates(); len(states) != 0 {
			t.Errorf("connections left: %v", states)
		}
		ep := early[0]
		if err := ep.Listen(1); err == nil {
			t.Error("a closed stack listens")
		}
	}
}
