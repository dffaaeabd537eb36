package inet

import (
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

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

// With netstack's receive buffers sized by demand every byte still arrives.
func TestModeration(t *testing.T) {
	s := newStack(t, true, true)
	on := tcpip.TCPModerateReceiveBufferOption(true)
	rcv := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4096, Default: 1 << 17, Max: 4 << 20}
	must(t, s.SetTransportProtocolOption(tcp.ProtocolNumber, &on))
	must(t, s.SetTransportProtocolOption(tcp.ProtocolNumber, &rcv))
	p := New(Config{Stack: s, Clock: endpoint.SystemClock(), IPv4: true, IPv6: true})
	if !p.moderate {
		t.Fatal("moderation is not noticed")
	}
	c, peer := pair(t, p, lo4)
	data := make([]byte, 8<<20)
	for i := range data {
		data[i] = byte(i >> 8)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := c.send(data)
		sent <- err
	}()
	for off := 0; off < len(data); {
		got, _, err := peer.recv(1<<16, 0)
		check(t, err)
		if got != string(data[off:off+len(got)]) {
			t.Fatalf("wrong bytes after %d", off)
		}
		off += len(got)
	}
	check(t, <-sent)
}
