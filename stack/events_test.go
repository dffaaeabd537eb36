package stack

import (
	"errors"
	"net/netip"
	"testing"

	"usersock/netdev"
	"usersock/stack/endpoint"
)

// switched is a device that a test takes up, down and away.
type switched struct{ set func(netdev.State) }

func (d *switched) MTU() int                   { return 1500 }
func (d *switched) Send([]byte) error          { return nil }
func (d *switched) Attach(func([]byte))        {}
func (d *switched) Close() error               { return nil }
func (d *switched) Watch(f func(netdev.State)) { d.set = f; f(netdev.State{Up: true}) }

// TestEvents: every change is told, in order, and nothing after stop.
func TestEvents(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := make(chan string, 100)
	stop := s.Watch(func(e Event) { got <- e.String() })
	dev := &switched{}
	net4 := netip.MustParsePrefix("192.0.2.1/24")
	if err := s.Attach(Interface{Name: "eth0", Link: netdev.FromDevice(dev, netdev.DeviceConfig{}), Addrs: []netip.Prefix{net4}}); err != nil {
		t.Fatal(err)
	}
	route := Route{Dst: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("192.0.2.2")}
	other := netip.MustParsePrefix("198.51.100.1/24")
	gone := errors.New("pulled out")
	want := []string{"eth0: interface attached", "eth0: address added: 192.0.2.1/24",
		"route added: 0.0.0.0/0 via 192.0.2.2 dev eth0", "route removed: 0.0.0.0/0 via 192.0.2.2 dev eth0",
		"eth0: address added: 198.51.100.1/24", "eth0: address removed: 198.51.100.1/24",
		"eth0: link down", "eth0: link up", "eth0: link ended: pulled out", "eth0: interface detached"}
	next := func() string { return <-got }
	for _, w := range want[:2] {
		if e := next(); e != w {
			t.Errorf("%q, want %q", e, w)
		}
	}
	for i, step := range []func() error{
		func() error { return s.AddRoute(route) },
		func() error { return s.RemoveRoute(route) },
		func() error { return s.AddAddr("eth0", other) },
		func() error { return s.RemoveAddr("eth0", other) },
		func() error { dev.set(netdev.State{}); return nil },
		func() error { dev.set(netdev.State{Up: true}); return nil },
		func() error { dev.set(netdev.State{Err: gone}); return nil },
		func() error { return s.Detach("eth0") },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
		if e := next(); e != want[i+2] {
			t.Errorf("%q, want %q", e, want[i+2])
		}
		up := i < 4 || i == 5
		if in := s.Interfaces(); len(in) > 1 && in[1].Up != up {
			t.Errorf("after %q: up is %v", want[i+2], in[1].Up)
		}
	}
	stop()
	stop()
	s.AddAddr("lo", other)
	s.Close()
	if len(got) > 0 {
		t.Errorf("after stop: %q", <-got)
	}
}

// TestLinkEnds: what has an address of the interface ends, and nothing else.
func TestLinkEnds(t *testing.T) {
	dev := &switched{}
	s, err := New(Config{Interfaces: []Interface{{Name: "eth0", Link: netdev.FromDevice(dev, netdev.DeviceConfig{}),
		Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64")}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ended := make(chan error, 1)
	s.Watch(func(e Event) {
		if e.Kind == LinkEnded {
			ended <- e.Err
		}
	})
	open := func(af, typ int, bind string) endpoint.Endpoint {
		t.Helper()
		e, err := s.Open(af, endpoint.Request{Type: typ})
		if err == nil {
			ip := netip.MustParseAddr(bind)
			err = e.Bind(endpoint.Addr{Family: af, IP: ip, Port: 7})
		}
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	bound := open(endpoint.AF_INET, endpoint.SOCK_DGRAM, "192.0.2.1")
	bound6 := open(endpoint.AF_INET6, endpoint.SOCK_DGRAM, "2001:db8::1")
	other := open(endpoint.AF_INET, endpoint.SOCK_DGRAM, "127.0.0.1")
	connecting, err := s.Open(endpoint.AF_INET, endpoint.Request{Type: endpoint.SOCK_STREAM})
	if err != nil {
		t.Fatal(err)
	}
	if err := connecting.Connect(endpoint.Addr{Family: endpoint.AF_INET, IP: netip.MustParseAddr("192.0.2.9"), Port: 9}); err != endpoint.EINPROGRESS {
		t.Fatal(err)
	}
	listening := open(endpoint.AF_INET, endpoint.SOCK_STREAM, "192.0.2.1")
	if err := listening.Listen(1); err != nil {
		t.Fatal(err)
	}
	defer listening.Close()
	gone := errors.New("gone")
	dev.set(netdev.State{Err: gone})
	if err := <-ended; err != gone {
		t.Errorf("the event says %v", err)
	}
	if _, _, err := listening.Accept(); err != endpoint.ECONNABORTED {
		t.Errorf("accept: %v", err)
	}
	buf := endpoint.RecvRequest{Bufs: [][]byte{make([]byte, 10)}}
	for _, c := range []struct {
		name string
		e    endpoint.Endpoint
		want error
	}{{"bound", bound, endpoint.ENETDOWN}, {"bound to IPv6", bound6, endpoint.ENETDOWN}, {"of lo", other, endpoint.EAGAIN}, {"connecting", connecting, endpoint.ECONNABORTED}} {
		if _, err := c.e.Recv(buf); err != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		c.e.Close()
	}
	if in := s.Snapshot().Interfaces[1]; in.Up || in.Error != "gone" {
		t.Errorf("the snapshot says %+v", in)
	}
	late, err := s.Open(endpoint.AF_INET, endpoint.Request{Type: endpoint.SOCK_STREAM})
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	if err := late.Connect(endpoint.Addr{Family: endpoint.AF_INET, IP: netip.MustParseAddr("192.0.2.9"), Port: 9}); err != endpoint.ENETUNREACH && err != endpoint.EHOSTUNREACH {
		t.Errorf("a connect afterwards: %v", err)
	}
}
