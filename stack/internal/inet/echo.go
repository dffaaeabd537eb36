package inet

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// answerEcho answers an echo request to an own address that came by lo, where
// netstack does not: over IPv4 lo has to have the address itself, and over IPv6 it
// finds no way back to ::1 from another interface's. The reply is icmp_reply's, the
// message again with the TOS of the request.
func (t *icmpTap) answerEcho(pkt *gvstack.PacketBuffer, src, dst tcpip.Address, message []byte) {
	h := t.p.homes()
	six := t.net == header.IPv6ProtocolNumber
	if pkt.NICID != h.lo || h.arrivedBy(h.lo, dst) == h.lo || six && src != header.IPv6Loopback {
		return
	}
	r, err := t.p.stack.FindRoute(0, dst, src, t.net, false)
	if err != nil {
		return
	}
	defer r.Release()
	sum, proto := uint16(0), header.ICMPv4ProtocolNumber
	message[0] = uint8(header.ICMPv4EchoReply)
	if six {
		message[0], proto = uint8(header.ICMPv6EchoReply), header.ICMPv6ProtocolNumber
		sum = header.PseudoHeaderChecksum(proto, dst, src, uint16(len(message)))
	}
	checksum.Put(message[2:], 0)
	checksum.Put(message[2:], ^checksum.Checksum(message, sum))
	out := gvstack.NewPacketBuffer(gvstack.PacketBufferOptions{
		ReserveHeaderBytes: int(r.MaxHeaderLength()),
		Payload:            buffer.MakeWithData(message),
	})
	defer out.DecRef()
	out.TransportProtocolNumber = proto
	_ = r.WritePacket(gvstack.NetworkHeaderParams{Protocol: proto, TTL: r.DefaultTTL(), TOS: trafficClass(pkt)}, out)
}
