package inet

import (
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

// ipProtocol is netstack's IPv4 or IPv6, which tells of the errors of packets
// here. Netstack would tell them to transport endpoints of its own alone, of
// which there are those of TCP, and not which error it was.
//
// What a message of ICMP says is read by the tap (icmp_tap.go), which has seen
// the message before. What no message says comes from here: that a neighbour does
// not answer. So netstack's TCP is told of narrow paths alone, and the tap ends
// its attempts to connect, see tcp_error.go.
type ipProtocol struct {
	gvstack.MulticastForwardingNetworkProtocol
	p atomic.Pointer[Protocols] // nil until New
}

// NewIPv4 makes IPv4 for a netstack, in place of its own.
func NewIPv4(s *gvstack.Stack) gvstack.NetworkProtocol { return newIP(ipv4.NewProtocol(s)) }

// NewIPv6 makes IPv6 without duplicate address detection, and deaf to router
// advertisements: who wants either says so of an interface.
func NewIPv6(s *gvstack.Stack) gvstack.NetworkProtocol {
	return newIP(ipv6.NewProtocol(s))
}

func newIP(own gvstack.NetworkProtocol) *ipProtocol {
	return &ipProtocol{MulticastForwardingNetworkProtocol: own.(gvstack.MulticastForwardingNetworkProtocol)}
}

// NewEndpoint implements stack.NetworkProtocol.
func (ip *ipProtocol) NewEndpoint(nic gvstack.NetworkInterface, d gvstack.TransportDispatcher) gvstack.NetworkEndpoint {
	return ip.MulticastForwardingNetworkProtocol.NewEndpoint(nic, &errorReader{d, ip})
}

// errorReader is the way of one interface's packets up to the transport
// protocols.
type errorReader struct {
	gvstack.TransportDispatcher
	ip *ipProtocol
}

// DeliverTransportError implements stack.TransportDispatcher. local sent the
// packet in pkt.
func (r *errorReader) DeliverTransportError(local, remote tcpip.Address, net tcpip.NetworkProtocolNumber, trans tcpip.TransportProtocolNumber, err gvstack.TransportError, pkt *gvstack.PacketBuffer) {
	p := r.ip.p.Load()
	switch {
	case p == nil:
	case err.Kind() == gvstack.PacketTooBigTransportError:
		if trans == tcp.ProtocolNumber && !p.believes(local, remote, net, pkt) {
			return
		}
		r.TransportDispatcher.DeliverTransportError(local, remote, net, trans, believable(err, net), pkt)
	case len(pkt.NetworkHeader().Slice()) == 0: // no message came
		p.neighbourFailed(local, net, pkt)
	}
}

// believes reports whether a message that a segment was too long counts, as in
// tcpFailed: in pkt is what came back of the segment.
func (p *Protocols) believes(local, remote tcpip.Address, net tcpip.NetworkProtocolNumber, pkt *gvstack.PacketBuffer) bool {
	h, ok := pkt.Data().PullUp(8)
	if !ok {
		return false
	}
	segment := header.TCP(h)
	id := gvstack.TransportEndpointID{LocalPort: segment.SourcePort(), LocalAddress: local, RemotePort: segment.DestinationPort(), RemoteAddress: remote}
	raw := p.connection(net, id, pkt.NICID)
	return raw != nil && underWay(raw, segment.SequenceNumber()) && p.owners.find(raw).believesMTU(net, raw.EndpointState())
}

// narrowPath is a "packet too big" with an MTU that can be believed.
type narrowPath struct {
	gvstack.TransportError
	mtu uint32 // without the IP header
}

// Info implements tcpip.SockErrorCause.
func (e narrowPath) Info() uint32 { return e.mtu }

// believable keeps a message from making segments smaller than Linux would.
func believable(err gvstack.TransportError, net tcpip.NetworkProtocolNumber) gvstack.TransportError {
	return narrowPath{err, max(err.Info(), uint32(leastMTU(net)-headerSize(net)))}
}

// neighbourFailed says that the next hop of a packet did not answer ARP or
// neighbour discovery. Linux sends itself an ICMP error then
// (ipv4_link_failure, ip6_link_failure).
func (p *Protocols) neighbourFailed(local tcpip.Address, net tcpip.NetworkProtocolNumber, pkt *gvstack.PacketBuffer) {
	e := icmpError{
		net: net, nic: pkt.NICID, errno: endpoint.EHOSTUNREACH, offender: local, own: true,
		typ: uint8(header.ICMPv4DstUnreachable), code: uint8(header.ICMPv4HostUnreachable),
	}
	quote := e.quote4
	if net == header.IPv6ProtocolNumber {
		e.typ, e.code = uint8(header.ICMPv6DstUnreachable), uint8(header.ICMPv6AddressUnreachable)
		quote = e.quote6
	}
	packet := pkt.ToBuffer() // its IP header, too
	defer packet.Release()
	if quote(packet.Flatten()) {
		p.icmpFailed(&e)
	}
}
