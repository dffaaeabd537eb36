package stack_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"usersock/netdev"
	"usersock/stack"
	"usersock/stack/endpoint"
)

func TestZeroConfigIsAHostWithLoopback(t *testing.T) {
	s, err := stack.New(stack.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	list := s.Interfaces()
	if len(list) != 1 {
		t.Fatalf("interfaces %v, want the loopback alone", list)
	}
	lo := list[0]
	want := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128")}
	if lo.Name != "lo" || lo.Index != 1 || !lo.Loopback || !lo.Up || len(lo.Addrs) != 2 || lo.Addrs[0] != want[0] || lo.Addrs[1] != want[1] {
		t.Errorf("loopback interface %+v", lo)
	}
	if s.Hostname() != "localhost" || s.Cred() != (endpoint.Cred{Pid: 1}) {
		t.Errorf("host name %q, credentials %+v", s.Hostname(), s.Cred())
	}
	for _, f := range []int{endpoint.AF_INET, endpoint.AF_INET6, endpoint.AF_UNIX} {
		ep, err := s.Open(f, endpoint.Request{Type: endpoint.SOCK_STREAM})
		if err != nil {
			t.Errorf("family %d: %v", f, err)
			continue
		}
		ep.Close()
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		a, b := netdev.Pair(netdev.PairConfig{})
		var stacks []*stack.Stack
		for i, l := range []netdev.Link{a, b} {
			addr := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 24)
			s, err := stack.New(stack.Config{Interfaces: []stack.Interface{{Link: l, Addrs: []netip.Prefix{addr}}}})
			if err != nil {
				t.Fatal(err)
			}
			stacks = append(stacks, s)
		}
		for _, s := range stacks {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error("closed again:", err)
			}
			if _, err := s.Open(endpoint.AF_INET, endpoint.Request{Type: endpoint.SOCK_STREAM}); err != endpoint.ENETDOWN {
				t.Errorf("open on a closed stack: %v, want ENETDOWN", err)
			}
		}
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); runtime.Gosched() {
		if runtime.NumGoroutine() <= before {
			return
		}
	}
	buf := make([]byte, 1<<16)
	t.Errorf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
}

func TestConfigIsRefusedBeforeAnythingHappens(t *testing.T) {
	p := netip.MustParsePrefix
	for name, c := range map[string]struct {
		cfg  func(netdev.Link) stack.Config
		want endpoint.Errno
	}{
		"unknown family": {func(netdev.Link) stack.Config { return stack.Config{Families: []int{99}} }, endpoint.EAFNOSUPPORT},
		"long name": {func(l netdev.Link) stack.Config {
			return stack.Config{Interfaces: []stack.Interface{{Name: "sixteen-bytes-xx", Link: l}}}
		}, endpoint.EINVAL},
		"name with a slash": {func(l netdev.Link) stack.Config {
			return stack.Config{Interfaces: []stack.Interface{{Name: "a/b", Link: l}}}
		}, endpoint.EINVAL},
		"name taken": {func(l netdev.Link) stack.Config {
			return stack.Config{Interfaces: []stack.Interface{{Name: "lo", Link: l}}}
		}, endpoint.EEXIST},
		"no link": {func(netdev.Link) stack.Config {
			return stack.Config{Interfaces: []stack.Interface{{Name: "eth0"}}}
		}, endpoint.EINVAL},
		"MTU too small for IPv6": {func(l netdev.Link) stack.Config {
			return stack.Config{Interfaces: []stack.Interface{{Link: l, MTU: 1279, Addrs: []netip.Prefix{p("2001:db8::1/64")}}}}
		}, endpoint.EINVAL},
		"address of a family not served": {func(l netdev.Link) stack.Config {
			return stack.Config{Families: []int{endpoint.AF_INET6}, Interfaces: []stack.Interface{{Link: l, Addrs: []netip.Prefix{p("192.0.2.1/24")}}}}
		}, endpoint.EAFNOSUPPORT},
		"route without a way": {func(l netdev.Link) stack.Config {
			return stack.Config{Routes: []stack.Route{{Dst: p("198.51.100.0/24")}}}
		}, endpoint.ENODEV},
		"route to an unreachable router": {func(l netdev.Link) stack.Config {
			return stack.Config{Routes: []stack.Route{{Dst: p("198.51.100.0/24"), Via: netip.MustParseAddr("192.0.2.9")}}}
		}, endpoint.ENETUNREACH},
		"ports in the wrong order": {func(netdev.Link) stack.Config {
			return stack.Config{LocalPorts: stack.PortRange{First: 2, Last: 1}}
		}, endpoint.EINVAL},
		"ports from 0": {func(netdev.Link) stack.Config {
			return stack.Config{LocalPorts: stack.PortRange{Last: 1000}}
		}, endpoint.EINVAL},
		"host name too long": {func(netdev.Link) stack.Config {
			return stack.Config{Hostname: string(make([]byte, 65))}
		}, endpoint.EINVAL},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := netdev.Pair(netdev.PairConfig{})
			defer netdev.Close(b)
			s, err := stack.New(c.cfg(a))
			if err == nil {
				s.Close()
			}
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %s", err, c.want.Name())
			}
		})
	}
}

func TestAddressesAndRoutesChangeWhileItRuns(t *testing.T) {
	s, err := stack.New(stack.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a, b := netdev.Pair(netdev.PairConfig{})
	defer netdev.Close(b)
	if err := s.Attach(stack.Interface{Link: a}); err != nil {
		t.Fatal(err)
	}
	dst := netip.MustParseAddr("192.0.2.7")
	if src, ok := s.Source(dst, 0); ok {
		t.Fatalf("%v is reached from %v without a route", dst, src)
	}
	addr := netip.MustParsePrefix("192.0.2.1/24")
	if err := s.AddAddr("eth0", addr); err != nil {
		t.Fatal(err)
	}
	if err := s.AddAddr("eth0", addr); !errors.Is(err, endpoint.EEXIST) {
		t.Errorf("the same address again: %v, want EEXIST", err)
	}
	if src, ok := s.Source(dst, 0); !ok || src != addr.Addr() {
		t.Errorf("source %v %v, want %v", src, ok, addr.Addr())
	}
	r := stack.Route{Dst: netip.MustParsePrefix("198.51.100.0/24"), Via: dst}
	if err := s.AddRoute(r); err != nil {
		t.Fatal(err)
	}
	if err := s.AddRoute(r); !errors.Is(err, endpoint.EEXIST) {
		t.Errorf("the same route again: %v, want EEXIST", err)
	}
	if src, ok := s.Source(netip.MustParseAddr("198.51.100.1"), 0); !ok || src != addr.Addr() {
		t.Errorf("by the router: source %v %v", src, ok)
	}
	found := false
	for _, have := range s.Routes() {
		found = found || have.Dst == r.Dst && have.Via == dst && have.Dev == "eth0"
	}
	if !found {
		t.Errorf("routes %v lack %v", s.Routes(), r)
	}
	if err := s.RemoveRoute(r); err != nil {
		t.Error(err)
	}
	if err := s.RemoveRoute(r); !errors.Is(err, endpoint.ESRCH) {
		t.Errorf("no such route: %v, want ESRCH", err)
	}
	if err := s.RemoveAddr("eth0", addr); err != nil {
		t.Error(err)
	}
	if err := s.RemoveAddr("eth0", addr); !errors.Is(err, endpoint.EADDRNOTAVAIL) {
		t.Errorf("no such address: %v, want EADDRNOTAVAIL", err)
	}
	if src, ok := s.Source(dst, 0); ok {
		t.Errorf("%v is still reached from %v", dst, src)
	}
	if err := s.Detach("eth0"); err != nil {
		t.Error(err)
	}
	if err := s.Detach("eth0"); !errors.Is(err, endpoint.ENODEV) {
		t.Errorf("no such interface: %v, want ENODEV", err)
	}
	if err := s.Detach("lo"); !errors.Is(err, endpoint.EPERM) {
		t.Errorf("the loopback interface: %v, want EPERM", err)
	}
}

// TestNamesOfInterfaces: interfaces without a name get what the others leave.
func TestNamesOfInterfaces(t *testing.T) {
	var list []stack.Interface
	for _, name := range []string{"", "eth0", "", "eth2"} {
		a, b := netdev.Pair(netdev.PairConfig{})
		defer netdev.Close(b)
		list = append(list, stack.Interface{Name: name, Link: a})
	}
	s, err := stack.New(stack.Config{Interfaces: list})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i, want := range []string{"lo", "eth1", "eth0", "eth3", "eth2"} {
		if got := s.Interfaces()[i].Name; got != want {
			t.Errorf("interface %d is %q, want %q", i+1, got, want)
		}
	}
	if list[0].Name != "" {
		t.Error("the caller's slice was changed")
	}
}

// TestLog: what happens to the host is told, and nothing without a logger.
func TestLog(t *testing.T) {
	var out bytes.Buffer
	s, err := stack.New(stack.Config{Log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	a, b := netdev.Pair(netdev.PairConfig{})
	defer netdev.Close(b)
	addr := netip.MustParsePrefix("192.0.2.1/24")
	route := stack.Route{Dst: netip.MustParsePrefix("198.51.100.0/24"), Via: netip.MustParseAddr("192.0.2.2")}
	for _, err := range []error{
		s.Attach(stack.Interface{Link: a}), s.AddAddr("eth0", addr), s.AddRoute(route),
		s.RemoveRoute(route), s.RemoveAddr("eth0", addr), s.Detach("eth0"), s.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	text := out.String()
	for _, want := range []string{
		`msg="interface attached" interface=eth0`, `msg="address added" interface=eth0 address=192.0.2.1/24`,
		`msg="route added" to=198.51.100.0/24 via=192.0.2.2`, `msg="route removed" to=198.51.100.0/24`,
		`msg="address removed" interface=eth0`, `msg="interface detached" interface=eth0`, `level=INFO msg="host closed" host=localhost`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %s:\n%s", want, text)
		}
	}
}
