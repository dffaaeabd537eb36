package inet

import (
	"net/netip"
	"testing"

	"usersock/stack/endpoint"
)

func eachIP(t *testing.T, f func(t *testing.T, p *Protocols, ip netip.Addr)) {
	for _, ip := range []netip.Addr{lo4, lo6} {
		t.Run(ip.String(), func(t *testing.T) { f(t, newProtocols(t, true, true), ip) })
	}
}

func TestStream(t *testing.T) {
	eachIP(t, func(t *testing.T, p *Protocols, ip netip.Addr) {
		c, s := pair(t, p, ip)
		n, err := c.send([]byte("hello"))
		check(t, err)
		if n != 5 {
			t.Fatal(n)
		}
		got, r, err := s.recv(100, 0)
		check(t, err)
		if got != "hello" || !r.From.IsZero() {
			t.Fatalf("got %q from %v", got, r.From)
		}
		check(t, c.Shutdown(endpoint.SHUT_WR))
		got, _, err = s.recv(100, 0)
		if got != "" || err != nil {
			t.Fatalf("at the end: %q, %v", got, err)
		}
	})
}
