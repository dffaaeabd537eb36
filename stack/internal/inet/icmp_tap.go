package inet

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/stack/endpoint"
)

// icmpTap sees every ICMP message that arrives, of one version of IP. Netstack
// tells transport endpoints of few errors and not who sent them; the tap reads
// the messages themselves. It finds the endpoint that sent the packet in
// question, learns path MTUs, and gives echo replies to ping sockets. See
// ip_protocol.go for what netstack is told of the same message.
type icmpTap struct {
	p   *Protocols
	net tcpip.NetworkProtocolNumber
}

var _ gvstack.RawTransportEndpoint = (*icmpTap)(nil)

// tap puts the taps into netstack, for as long as that lives.
func (p *Protocols) tap() {
	if p.ipv4 {
		p.stack.RegisterRawTransportEndpoint(header.IPv4ProtocolNumber, header.ICMPv4ProtocolNumber, &icmpTap{p, header.IPv4ProtocolNumber})
	}
	if p.ipv6 {
		p.stack.RegisterRawTransportEndpoint(header.IPv6ProtocolNumber, header.ICMPv6ProtocolNumber, &icmpTap{p, header.IPv6ProtocolNumber})
	}
}

// icmpError is an error message about a packet of ours.
type icmpError struct {
	net            tcpip.NetworkProtocolNumber
	nic            tcpip.NICID
	typ, code      uint8
	info           uint32
	errno          endpoint.Errno
	hard           bool // a connected socket hears of it unasked
	tooBig         bool
	own            bool // this host's, about what it has just sent
	offender       tcpip.Address
	local, remote  tcpip.Address // source and destination of the packet
	lport, rport   uint16        // of TCP, UDP and UDP-Lite
	packet         []byte        // what came back of it
	transport      []byte        // the same, without its IP header
	transportProto uint8
	message        arrival
}

// HandlePacket implements stack.RawTransportEndpoint. Netstack calls it before
// it checks anything, also for packets that are to be forwarded.
func (t *icmpTap) HandlePacket(pkt *gvstack.PacketBuffer) {
	h := pkt.TransportHeader().Slice()
	if len(h) < header.ICMPv6MinimumSize || !t.wants(h[0]) {
		return
	}
	src, dst := packetAddresses(t.net, pkt.NetworkHeader().Slice())
	if !t.p.isOwn(t.net, dst) {
		return
	}
	message := make([]byte, 0, len(h)+pkt.Data().Size())
	message = append(message, h...)
	message = append(message, dataOf(pkt)...)
	sum := uint16(0)
	if t.net == header.IPv6ProtocolNumber {
		sum = header.PseudoHeaderChecksum(header.ICMPv6ProtocolNumber, src, dst, uint16(len(message)))
	}
	if checksum.Checksum(message, sum) != 0xffff {
		return
	}
	switch {
	case t.isReply(message[0]):
		t.reply(pkt, src, dst, message)
		return
	case t.isRequest(message[0]):
		t.answerEcho(pkt, src, dst, message)
		return
	}
	e := icmpError{net: t.net, nic: pkt.NICID, offender: src, message: arrival{
		net: t.net, nic: pkt.NICID, dst: dst, hops: hopLimit(pkt), class: trafficClass(pkt),
	}}
	if t.net == header.IPv4ProtocolNumber && !parseICMP4(message, &e) ||
		t.net == header.IPv6ProtocolNumber && !parseICMP6(message, &e) {
		return
	}
	t.p.icmpFailed(&e)
}

// dataOf returns the bytes behind a packet's headers.
func dataOf(pkt *gvstack.PacketBuffer) []byte {
	if pkt.Data().Size() == 0 {
		return nil // a range of nothing has no view
	}
	r := pkt.Data().AsRange()
	v := r.ToView()
	defer v.Release()
	return append([]byte(nil), v.AsSlice()...)
}

func (t *icmpTap) isReply(typ uint8) bool {
	if t.net == header.IPv4ProtocolNumber {
		return header.ICMPv4Type(typ) == header.ICMPv4EchoReply
	}
	return header.ICMPv6Type(typ) == header.ICMPv6EchoReply
}

// isRequest reports whether a message is one that answerEcho may answer.
func (t *icmpTap) isRequest(typ uint8) bool {
	if t.net == header.IPv4ProtocolNumber {
		return header.ICMPv4Type(typ) == header.ICMPv4Echo
	}
	return header.ICMPv6Type(typ) == header.ICMPv6EchoRequest
}

// wants reports whether anything is done with messages of a type.
func (t *icmpTap) wants(typ uint8) bool {
	if t.isReply(typ) || t.isRequest(typ) {
		return true
	}
	if t.net == header.IPv4ProtocolNumber {
		switch header.ICMPv4Type(typ) {
		case header.ICMPv4DstUnreachable, header.ICMPv4TimeExceeded, header.ICMPv4ParamProblem:
			return true
		}
		return false
	}
	return typ >= uint8(header.ICMPv6DstUnreachable) && typ <= uint8(header.ICMPv6ParamProblem)
}

// isOwn reports whether an address is one of the stack's.
func (p *Protocols) isOwn(net tcpip.NetworkProtocolNumber, a tcpip.Address) bool {
	return header.IsV4LoopbackAddress(a) || header.IsV6LoopbackAddress(a) || p.stack.CheckLocalAddress(0, net, a) != 0
}

// reply gives an echo reply to the ping socket that has its identifier.
func (t *icmpTap) reply(pkt *gvstack.PacketBuffer, src, dst tcpip.Address, message []byte) {
	if len(message) < header.ICMPv4MinimumSize {
		return
	}
	id := packetID{net: t.net, nic: pkt.NICID, local: dst, remote: src, lport: binary.BigEndian.Uint16(message[4:])}
	table := &t.p.ping4
	if t.net == header.IPv6ProtocolNumber {
		table = &t.p.ping6
	}
	if d := table.find(&id, t.p.seed); d != nil {
		d.deliver(pkt)
	}
}

// icmp4Errors is icmp_err_convert of Linux, by code of "destination
// unreachable".
var icmp4Errors = [...]struct {
	errno endpoint.Errno
	hard  bool
}{
	{endpoint.ENETUNREACH, false},
	{endpoint.EHOSTUNREACH, false},
	{endpoint.ENOPROTOOPT, true},
	{endpoint.ECONNREFUSED, true},
	{endpoint.EMSGSIZE, false}, // fragmentation needed
	{endpoint.EOPNOTSUPP, false},
	{endpoint.ENETUNREACH, true},
	{endpoint.EHOSTDOWN, true},
	{endpoint.ENONET, true},
	{endpoint.ENETUNREACH, true},
	{endpoint.EHOSTUNREACH, true},
	{endpoint.ENETUNREACH, false},
	{endpoint.EHOSTUNREACH, false},
	{endpoint.EHOSTUNREACH, true},
	{endpoint.EHOSTUNREACH, true},
	{endpoint.EHOSTUNREACH, true},
}

// parseICMP4 reads an ICMPv4 error and the packet in it, RFC 792.
func parseICMP4(message []byte, e *icmpError) bool {
	if len(message) < header.ICMPv4MinimumSize {
		return false
	}
	e.typ, e.code = message[0], message[1]
	rest := binary.BigEndian.Uint32(message[4:])
	switch header.ICMPv4Type(e.typ) {
	case header.ICMPv4TimeExceeded:
		if header.ICMPv4Code(e.code) != header.ICMPv4TTLExceeded {
			return false // a fragment was lost
		}
		e.errno = endpoint.EHOSTUNREACH
	case header.ICMPv4ParamProblem:
		e.errno, e.hard, e.info = endpoint.EPROTO, true, rest>>24
	case header.ICMPv4DstUnreachable:
		if int(e.code) >= len(icmp4Errors) {
			return false
		}
		e.errno, e.hard = icmp4Errors[e.code].errno, icmp4Errors[e.code].hard
		if header.ICMPv4Code(e.code) == header.ICMPv4FragmentationNeeded {
			e.tooBig, e.info = true, rest&0xffff
		}
	default:
		return false
	}
	return e.quote4(message[header.ICMPv4MinimumSize:])
}

// quote4 reads the IPv4 packet that an error is about, as far as it came back.
// Fragments other than the first have no ports and are of no use.
func (e *icmpError) quote4(packet []byte) bool {
	if len(packet) < header.IPv4MinimumSize {
		return false
	}
	e.packet = packet
	ip := header.IPv4(packet)
	n := int(ip.HeaderLength())
	if e.packet[0]>>4 != header.IPv4Version || n < header.IPv4MinimumSize || n > len(e.packet) || ip.FragmentOffset() != 0 {
		return false
	}
	e.local, e.remote = ip.SourceAddress(), ip.DestinationAddress()
	e.transportProto, e.transport = ip.Protocol(), e.packet[n:]
	return e.ports()
}

// parseICMP6 reads an ICMPv6 error and the packet in it, RFC 4443.
func parseICMP6(message []byte, e *icmpError) bool {
	const icmpHeader = 8
	if len(message) < icmpHeader {
		return false
	}
	e.typ, e.code = message[0], message[1]
	rest := binary.BigEndian.Uint32(message[4:])
	switch header.ICMPv6Type(e.typ) {
	case header.ICMPv6DstUnreachable:
		switch e.code {
		case 0: // no route
			e.errno = endpoint.ENETUNREACH
		case 1, 5, 6: // prohibited, source address policy, reject route
			e.errno, e.hard = endpoint.EACCES, true
		case 2, 3: // beyond scope, address unreachable
			e.errno = endpoint.EHOSTUNREACH
		case 4:
			e.errno, e.hard = endpoint.ECONNREFUSED, true
		default:
			e.errno, e.hard = endpoint.EPROTO, true
		}
	case header.ICMPv6PacketTooBig:
		e.errno, e.tooBig, e.info = endpoint.EMSGSIZE, true, rest
	case header.ICMPv6TimeExceeded:
		e.errno = endpoint.EHOSTUNREACH
	case header.ICMPv6ParamProblem:
		e.errno, e.hard, e.info = endpoint.EPROTO, true, rest
	default:
		return false
	}
	return e.quote6(message[icmpHeader:])
}

// quote6 is quote4 for IPv6.
func (e *icmpError) quote6(packet []byte) bool {
	if len(packet) < header.IPv6MinimumSize {
		return false
	}
	e.packet = packet
	ip := header.IPv6(packet)
	if e.packet[0]>>4 != header.IPv6Version {
		return false
	}
	e.local, e.remote = ip.SourceAddress(), ip.DestinationAddress()
	next, rest6, ok := skipExtensions(e.packet[6], e.packet[header.IPv6MinimumSize:])
	if !ok {
		return false
	}
	e.transportProto, e.transport = next, rest6
	return e.ports()
}

// skipExtensions finds the upper-layer header behind IPv6's extension headers,
// RFC 8200, section 4. A fragment that is not the first has none.
func skipExtensions(next uint8, b []byte) (uint8, []byte, bool) {
	for {
		after, rest, ok := skipOne(next, b)
		switch {
		case ok:
			next, b = after, rest
		case isExtension(next):
			return 0, nil, false
		default:
			return next, b, true
		}
	}
}

func isExtension(next uint8) bool {
	switch next {
	case endpoint.IPPROTO_HOPOPTS, endpoint.IPPROTO_ROUTING, endpoint.IPPROTO_DSTOPTS, endpoint.IPPROTO_FRAGMENT:
		return true
	}
	return false
}

// skipOne skips one extension header, if there is a whole one.
func skipOne(next uint8, b []byte) (after uint8, rest []byte, ok bool) {
	if !isExtension(next) || len(b) < 8 {
		return 0, nil, false
	}
	size := (int(b[1]) + 1) * 8
	if next == endpoint.IPPROTO_FRAGMENT {
		if binary.BigEndian.Uint16(b[2:])&^7 != 0 {
			return 0, nil, false
		}
		size = 8
	}
	if size > len(b) {
		return 0, nil, false
	}
	return b[0], b[size:], true
}

// ports reads the ports of the packet, if its protocol has any. Less than eight
// bytes of what is behind the IP header are of no use, icmp_socket_deliver and
// icmpv6_notify of Linux.
func (e *icmpError) ports() bool {
	if len(e.transport) < 8 {
		return false
	}
	switch e.transportProto {
	case endpoint.IPPROTO_TCP, endpoint.IPPROTO_UDP, endpoint.IPPROTO_UDPLITE:
		e.lport, e.rport = binary.BigEndian.Uint16(e.transport), binary.BigEndian.Uint16(e.transport[2:])
	}
	return true
}

// icmpFailed tells those who sent the packet.
func (p *Protocols) icmpFailed(e *icmpError) {
	var found []*datagram
	id := packetID{net: e.net, nic: e.nic, local: e.local, remote: e.remote, lport: e.lport, rport: e.rport}
	switch e.transportProto {
	case endpoint.IPPROTO_TCP:
		p.tcpFailed(e)
	case endpoint.IPPROTO_UDP:
		found = append(found, p.udp.find(&id, p.seed))
	case endpoint.IPPROTO_UDPLITE:
		found = append(found, p.udpLite.find(&id, p.seed))
	case endpoint.IPPROTO_ICMP, endpoint.IPPROTO_ICMPV6:
		found = append(found, p.pingOf(e, id))
	}
	for _, d := range append(found, p.rawSenders(e)...) {
		if d == nil {
			continue
		}
		if e.tooBig && d.ip.discovery(e.net) < endpoint.IP_PMTUDISC_INTERFACE {
			p.learnMTU(e.remote, int(e.info))
		}
		d.icmpFailed(e)
	}
}

// pingOf finds the ping socket that sent the echo request in e.
func (p *Protocols) pingOf(e *icmpError, id packetID) *datagram {
	if len(e.transport) < header.ICMPv4MinimumSize {
		return nil
	}
	id.lport = binary.BigEndian.Uint16(e.transport[4:])
	switch {
	case e.net == header.IPv4ProtocolNumber && header.ICMPv4Type(e.transport[0]) == header.ICMPv4Echo:
		return p.ping4.find(&id, p.seed)
	case e.net == header.IPv6ProtocolNumber && header.ICMPv6Type(e.transport[0]) == header.ICMPv6EchoRequest:
		return p.ping6.find(&id, p.seed)
	}
	return nil
}
