package inet

import (
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/stack/endpoint"
)

// holdingLink keeps what is sent until it is let go.
type holdingLink struct {
	*channel.Endpoint
	held []*gvstack.PacketBuffer
}

func (l *holdingLink) WritePackets(list gvstack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range list.AsSlice() {
		l.held = append(l.held, pkt.IncRef())
	}
	return list.Len(), nil
}

func (l *holdingLink) letGo() {
	for _, pkt := range l.held {
		pkt.DecRef()
	}
	l.held = nil
}

// A socket whose datagrams wait for a link is writable while half of SO_SNDBUF is
// free, and who was told that it is not hears when it is again, though no Send
// ever failed.
func TestWritableAgain(t *testing.T) {
	p := newProtocols(t, true, false)
	link := &holdingLink{Endpoint: channel.New(1, 1500, "")}
	must(t, p.stack.CreateNIC(2, link))
	must(t, p.stack.AddProtocolAddress(2, tcpip.ProtocolAddress{Protocol: header.IPv4ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: tcpip.AddrFrom4([4]byte{192, 0, 2, 1}), PrefixLen: 24}}, gvstack.AddressProperties{}))
	p.stack.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 2}})

	s := open(t, p, endpoint.AF_INET, endpoint.SOCK_DGRAM)
	check(t, s.SetOption(endpoint.SOL_SOCKET, endpoint.SO_SNDBUF, intData(10_000))) // 20,000
	check(t, s.Connect(endpoint.Inet(netip.MustParseAddrPort("192.0.2.9:9"))))
	const each = 2304 // of 1,400 bytes
	for n := 1; n <= 9; n++ {
		want := endpoint.Out
		if 2*n*each >= 20_000 {
			want = 0
		}
		_, err := s.send(make([]byte, 1400))
		check(t, err)
		if got := s.Ready(endpoint.Out); got != want {
			t.Errorf("%d datagrams wait: ready %#x", n, got)
		}
		if _, out := s.Queued(); out != n*each {
			t.Errorf("%d datagrams wait: SIOCOUTQ %d", n, out)
		}
	}
	select {
	case <-s.w.ch: // what has been told before
	default:
	}
	link.letGo()
	s.await(endpoint.Out)
	select {
	case <-s.w.ch:
	default:
		t.Error("no event")
	}
}
