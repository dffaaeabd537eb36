package inet

import (
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// IP_MINTTL and IPV6_MINHOPCOUNT of TCP, the security of RFC 5082: a segment that
// comes from too far is dropped. Netstack does not look, so its protocol is
// wrapped here where segments come in. As long as no socket has asked, a segment
// costs one more call.

// tcpProtocol is netstack's TCP.
type tcpProtocol struct {
	netstackTCP
	p atomic.Pointer[Protocols] // nil until New
}

// netstackTCP is what netstack asks of its TCP, besides what it says.
type netstackTCP interface {
	gvstack.TransportProtocol
	gvstack.SendBufSizeProto
	QueuePacket(gvstack.TransportEndpoint, gvstack.TransportEndpointID, *gvstack.PacketBuffer)
}

var _ netstackTCP = (*tcpProtocol)(nil)

// NewTCP makes TCP for a netstack.
func NewTCP(s *gvstack.Stack) gvstack.TransportProtocol {
	return &tcpProtocol{netstackTCP: tcp.NewProtocol(s).(netstackTCP)}
}

// QueuePacket takes a segment for an endpoint. One for a connection that waits
// to be accepted is not looked at: that the connection began with was. Nor is one
// for a connection whose socket is closed.
func (t *tcpProtocol) QueuePacket(ep gvstack.TransportEndpoint, id gvstack.TransportEndpointID, pkt *gvstack.PacketBuffer) {
	if p := t.p.Load(); p != nil && p.farChecks.Load() && p.tooFar(ep, pkt) {
		p.stack.Stats().DroppedPackets.Increment()
		return
	}
	t.netstackTCP.QueuePacket(ep, id, pkt)
}

// tooFar reports whether a segment has passed more routers than the socket it is
// for allows.
func (p *Protocols) tooFar(ep gvstack.TransportEndpoint, pkt *gvstack.PacketBuffer) bool {
	raw, ok := ep.(*tcp.Endpoint)
	if !ok {
		return false
	}
	t := p.owners.find(raw)
	if t == nil {
		return false
	}
	return hopLimit(pkt) < t.leastHops(pkt.NetworkProtocolNumber)
}

// leastHops is the least hop limit that a segment may come with, 0 for any.
func (t *tcpEndpoint) leastHops(net tcpip.NetworkProtocolNumber) uint8 {
	v := t.least.Load()
	if net != header.IPv4ProtocolNumber {
		v >>= 8
	}
	return uint8(v)
}

func (t *tcpEndpoint) setLeastHops(net tcpip.NetworkProtocolNumber, hops uint8) {
	set, keep := uint32(hops), uint32(0xff<<8)
	if net != header.IPv4ProtocolNumber {
		set, keep = set<<8, 0xff
	}
	for {
		old := t.least.Load()
		if t.least.CompareAndSwap(old, old&keep|set) {
			break
		}
	}
	if hops != 0 {
		t.p.farChecks.Store(true)
	}
}
