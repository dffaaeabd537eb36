package inet

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/waiter"

	"usersock/stack/endpoint"
)

// rawProtocol stands in netstack for a protocol that only raw sockets know:
// netstack hands packets of protocols that it was not made with to nobody. A
// packet that no raw socket takes is answered as netstack answers an unknown
// protocol.
type rawProtocol struct {
	optionless
	number tcpip.TransportProtocolNumber
	stack  *gvstack.Stack
}

var _ gvstack.TransportProtocol = (*rawProtocol)(nil)

// usualRaw are the protocols that programs open raw sockets of: those that
// Linux has a name for, besides OSPF, VRRP, L2TP and the two for experiments
// (RFC 3692; over IPv6 netstack takes 253 for an extension header). Each number costs a host about 400 bytes, so that all of them
// would be most of what a host takes.
var usualRaw = [...]int{
	endpoint.IPPROTO_IGMP, endpoint.IPPROTO_IPIP, endpoint.IPPROTO_EGP, endpoint.IPPROTO_PUP, endpoint.IPPROTO_IDP,
	endpoint.IPPROTO_TP, endpoint.IPPROTO_DCCP, endpoint.IPPROTO_IPV6, endpoint.IPPROTO_RSVP, endpoint.IPPROTO_GRE,
	endpoint.IPPROTO_ESP, endpoint.IPPROTO_AH, 89, endpoint.IPPROTO_MTP, endpoint.IPPROTO_BEETPH, endpoint.IPPROTO_ENCAP,
	endpoint.IPPROTO_PIM, endpoint.IPPROTO_COMP, 112, 115, endpoint.IPPROTO_SCTP, endpoint.IPPROTO_MH,
	endpoint.IPPROTO_MPLS, endpoint.IPPROTO_ETHERNET, 253, 254,
}

// RawProtocols makes the protocols for raw sockets: the usual ones, and more.
// Numbers out of 1 to 254, and those of a protocol that is served anyhow, are
// left out.
func RawProtocols(more []int) (list []gvstack.TransportProtocolFactory) {
	var made [256]bool
	for _, n := range [...]int{endpoint.IPPROTO_TCP, endpoint.IPPROTO_UDP, endpoint.IPPROTO_UDPLITE, endpoint.IPPROTO_ICMP, endpoint.IPPROTO_ICMPV6} {
		made[n] = true
	}
	for _, n := range append(usualRaw[:], more...) {
		if n < 1 || n >= endpoint.IPPROTO_RAW || made[n] {
			continue
		}
		made[n] = true
		list = append(list, func(s *gvstack.Stack) gvstack.TransportProtocol {
			return &rawProtocol{number: tcpip.TransportProtocolNumber(n), stack: s}
		})
	}
	return list
}

// Number implements stack.TransportProtocol.
func (pr *rawProtocol) Number() tcpip.TransportProtocolNumber { return pr.number }

// NewEndpoint implements stack.TransportProtocol.
func (*rawProtocol) NewEndpoint(tcpip.NetworkProtocolNumber, *waiter.Queue) (tcpip.Endpoint, tcpip.Error) {
	return nil, &tcpip.ErrNotSupported{}
}

// NewRawEndpoint implements stack.TransportProtocol: see openRaw.
func (*rawProtocol) NewRawEndpoint(tcpip.NetworkProtocolNumber, *waiter.Queue) (tcpip.Endpoint, tcpip.Error) {
	return nil, &tcpip.ErrNotSupported{}
}

// MinimumPacketSize implements stack.TransportProtocol.
func (*rawProtocol) MinimumPacketSize() int { return 1 }

// ParsePorts implements stack.TransportProtocol: there are none.
func (*rawProtocol) ParsePorts([]byte) (src, dst uint16, err tcpip.Error) { return 0, 0, nil }

// Parse implements stack.TransportProtocol. Netstack asks for a header, so a
// byte is one.
func (pr *rawProtocol) Parse(pkt *gvstack.PacketBuffer) bool {
	pkt.TransportProtocolNumber = pr.number
	_, ok := pkt.TransportHeader().Consume(1)
	return ok
}

// HandleUnknownDestinationPacket implements stack.TransportProtocol. Raw
// sockets have their copies by now.
func (pr *rawProtocol) HandleUnknownDestinationPacket(id gvstack.TransportEndpointID, pkt *gvstack.PacketBuffer) gvstack.UnknownDestinationPacketDisposition {
	if udp, ok := pr.stack.TransportProtocolInstance(endpoint.IPPROTO_UDP).(*datagramProtocol); ok {
		if p := udp.p.Load(); p != nil {
			p.rawBehind(uint8(pr.number), pkt)
			if len(p.rawTakers(uint8(pr.number), pkt, id.RemoteAddress, id.LocalAddress)) != 0 {
				return gvstack.UnknownDestinationPacketHandled
			}
		}
	}
	if !isMulticast(id.LocalAddress) && !pkt.NetworkPacketInfo.LocalAddressBroadcast && pr.stack.AllowICMPMessage() {
		pr.unreachable(id, pkt)
	}
	return gvstack.UnknownDestinationPacketHandled
}

// rawBehind gives raw sockets what netstack does not: it looks at the first
// header of an IPv6 packet alone, so that what is behind extension headers, or
// was put together from fragments, would be nobody's.
func (p *Protocols) rawBehind(proto uint8, pkt *gvstack.PacketBuffer) {
	if pkt.NetworkProtocolNumber != header.IPv6ProtocolNumber || !p.anyRaw.Load() {
		return
	}
	ip := header.IPv6(pkt.NetworkHeader().Slice())
	if ip.NextHeader() == proto {
		return
	}
	for _, d := range p.rawTakers(proto, pkt, ip.SourceAddress(), ip.DestinationAddress()) {
		own := pkt.Clone()
		(*rawReceiver)(d).HandlePacket(own)
		own.DecRef()
	}
}

// rawTakers are the raw sockets that a packet is for.
func (p *Protocols) rawTakers(proto uint8, pkt *gvstack.PacketBuffer, src, dst tcpip.Address) (list []*datagram) {
	l := &p.raws
	l.mu.RLock()
	defer l.mu.RUnlock()
	id := packetID{net: pkt.NetworkProtocolNumber, nic: pkt.NICID, local: dst, remote: src}
	for _, d := range l.list {
		if d.proto == uint16(proto) && d.score(&id) >= 0 {
			list = append(list, d)
		}
	}
	return list
}

// unreachable tells the sender that its protocol is not served: "protocol
// unreachable" of RFC 792, "unrecognized next header" of RFC 4443. The quoted
// packet is cut to what both recommend.
func (pr *rawProtocol) unreachable(id gvstack.TransportEndpointID, pkt *gvstack.PacketBuffer) {
	net := pkt.NetworkProtocolNumber
	r, err := pr.stack.FindRoute(0, id.LocalAddress, id.RemoteAddress, net, false)
	if err != nil {
		return
	}
	defer r.Release()
	ip := pkt.NetworkHeader().Slice()
	quoted := make([]byte, 0, len(ip)+1+pkt.Data().Size())
	quoted = append(append(append(quoted, ip...), pkt.TransportHeader().Slice()...), dataOf(pkt)...)
	const icmpHeader = 8
	most := header.IPv4MinimumProcessableDatagramSize - header.IPv4MinimumSize - icmpHeader
	message := []byte{uint8(header.ICMPv4DstUnreachable), uint8(header.ICMPv4ProtoUnreachable), 0, 0, 0, 0, 0, 0}
	proto := header.ICMPv4ProtocolNumber
	if net == header.IPv6ProtocolNumber {
		most = header.IPv6MinimumMTU - header.IPv6MinimumSize - icmpHeader
		message[0], message[1] = uint8(header.ICMPv6ParamProblem), uint8(header.ICMPv6UnknownHeader)
		binary.BigEndian.PutUint32(message[4:], uint32(nextHeaderAt(ip)))
		proto = header.ICMPv6ProtocolNumber
	}
	message = append(message, quoted[:min(len(quoted), most)]...)
	sum := uint16(0)
	if net == header.IPv6ProtocolNumber {
		sum = header.PseudoHeaderChecksum(proto, r.LocalAddress(), r.RemoteAddress(), uint16(len(message)))
	}
	checksum.Put(message[2:], ^checksum.Checksum(message, sum))
	view := buffer.NewViewSize(len(message))
	copy(view.AsSlice(), message)
	out := gvstack.NewPacketBuffer(gvstack.PacketBufferOptions{
		ReserveHeaderBytes: int(r.MaxHeaderLength()),
		Payload:            buffer.MakeWithView(view),
	})
	defer out.DecRef()
	out.TransportProtocolNumber = proto
	_ = r.WritePacket(gvstack.NetworkHeaderParams{Protocol: proto, TTL: r.DefaultTTL()}, out)
}

// nextHeaderAt is the offset of the field that names the last header of an
// IPv6 packet.
func nextHeaderAt(ip []byte) int {
	at, next, b := 6, ip[6], ip[header.IPv6MinimumSize:]
	off := header.IPv6MinimumSize
	for {
		_, rest, ok := skipOne(next, b)
		if !ok {
			return at
		}
		at, next = off, b[0]
		off += len(b) - len(rest)
		b = rest
	}
}
