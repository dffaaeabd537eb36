package stack_test

import (
	"fmt"
	"net/netip"
	"testing"

	"usersock/stack"
	"usersock/stack/endpoint"
)

// bindTo binds a new endpoint on lo, to a port that is picked for 0.
func bindTo(t *testing.T, s *stack.Stack, typ int, port uint16) (*waiting, uint16, error) {
	t.Helper()
	w := openOn(t, s, endpoint.AF_INET, typ, 0)
	if err := w.Bind(lo(port)); err != nil {
		return w, 0, err
	}
	a, err := w.LocalAddr()
	if err != nil {
		t.Fatal(err)
	}
	return w, a.Port, nil
}

func lo(port uint16) endpoint.Addr {
	return endpoint.Inet(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port))
}

// Without a word about them, the ports that a socket is given are Linux's.
func TestLocalPortsOfLinux(t *testing.T) {
	s, err := stack.New(stack.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, typ := range []int{endpoint.SOCK_STREAM, endpoint.SOCK_DGRAM} {
		for range 500 {
			_, port, err := bindTo(t, s, typ, 0)
			if err != nil || port < 32768 || port > 60999 {
				t.Fatalf("type %d: port %d, %v", typ, port, err)
			}
		}
	}
}

// A range is used up by sockets that name no port, and by connections to one
// address alone, whether bound to an address before or not.
func TestLocalPortsAreARange(t *testing.T) {
	s, err := stack.New(stack.Config{LocalPorts: stack.PortRange{First: 5001, Last: 5003}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, typ := range []int{endpoint.SOCK_STREAM, endpoint.SOCK_DGRAM} {
		t.Run(fmt.Sprint("type ", typ), func(t *testing.T) {
			seen := map[uint16]bool{}
			for range 3 {
				_, port, err := bindTo(t, s, typ, 0)
				if err != nil {
					t.Fatal(err)
				}
				seen[port] = true
			}
			if len(seen) != 3 || !seen[5001] || !seen[5002] || !seen[5003] {
				t.Errorf("ports %v", seen)
			}
			if _, port, err := bindTo(t, s, typ, 0); err != endpoint.EADDRINUSE {
				t.Errorf("one more: port %d, %v", port, err)
			}
			if _, _, err := bindTo(t, s, typ, 6000); err != nil {
				t.Errorf("a port outside, by name: %v", err)
			}
		})
	}
	connect := func(port uint16, bind bool) error {
		w := openOn(t, s, endpoint.AF_INET, endpoint.SOCK_STREAM, 0)
		if bind { // to the address alone
			w.set(endpoint.IPPROTO_IP, endpoint.IP_BIND_ADDRESS_NO_PORT, 1)
			if err := w.Bind(lo(0)); err != nil {
				t.Error(err)
			}
		}
		if err := w.Connect(lo(port)); err != endpoint.EINPROGRESS {
			return err
		}
		w.await(endpoint.Out)
		return w.Connect(lo(port))
	}
	for _, port := range []uint16{7000, 7001, 7002} {
		l, _, err := bindTo(t, s, endpoint.SOCK_STREAM, port)
		if err == nil {
			err = l.Listen(9)
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if err := connect(port, port > 7000); err != nil {
				t.Errorf("connection %d to port %d: %v", i, port, err)
			}
		}
		if err := connect(port, port > 7000); err != endpoint.EADDRNOTAVAIL {
			t.Errorf("one more to port %d: %v", port, err)
		}
	}
}
