package inet

import (
	"encoding/binary"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/waiter"

	"usersock/stack/endpoint"
)

// datagramProtocol is UDP or UDP-Lite as netstack sees it. No endpoint is ever
// registered with netstack's own demultiplexer: a packet that it finds no
// endpoint for comes to HandleUnknownDestinationPacket, and the port table is
// asked there.
type datagramProtocol struct {
	optionless
	number tcpip.TransportProtocolNumber
	stack  *gvstack.Stack
	p      atomic.Pointer[Protocols] // nil until New
}

var _ gvstack.TransportProtocol = (*datagramProtocol)(nil)

// NewUDP and NewUDPLite make the protocols for a netstack, in place of its own.
func NewUDP(s *gvstack.Stack) gvstack.TransportProtocol {
	return &datagramProtocol{number: endpoint.IPPROTO_UDP, stack: s}
}

// NewUDPLite makes UDP-Lite, RFC 3828.
func NewUDPLite(s *gvstack.Stack) gvstack.TransportProtocol {
	return &datagramProtocol{number: endpoint.IPPROTO_UDPLITE, stack: s}
}

// attach tells the protocols of a netstack whose they are.
func (p *Protocols) attach() {
	if t, ok := p.stack.TransportProtocolInstance(endpoint.IPPROTO_TCP).(*tcpProtocol); ok {
		t.p.Store(p)
	}
	for _, number := range []tcpip.TransportProtocolNumber{endpoint.IPPROTO_UDP, endpoint.IPPROTO_UDPLITE} {
		if d, ok := p.stack.TransportProtocolInstance(number).(*datagramProtocol); ok {
			d.p.Store(p)
		}
	}
	for _, number := range []tcpip.NetworkProtocolNumber{header.IPv4ProtocolNumber, header.IPv6ProtocolNumber} {
		if ip, ok := p.stack.NetworkProtocolInstance(number).(*ipProtocol); ok {
			ip.p.Store(p)
		}
	}
}

// Number implements stack.TransportProtocol.
func (pr *datagramProtocol) Number() tcpip.TransportProtocolNumber { return pr.number }

// NewEndpoint implements stack.TransportProtocol: endpoints come from openUDP.
func (*datagramProtocol) NewEndpoint(tcpip.NetworkProtocolNumber, *waiter.Queue) (tcpip.Endpoint, tcpip.Error) {
	return nil, &tcpip.ErrNotSupported{}
}

// NewRawEndpoint implements stack.TransportProtocol: see openRaw.
func (*datagramProtocol) NewRawEndpoint(tcpip.NetworkProtocolNumber, *waiter.Queue) (tcpip.Endpoint, tcpip.Error) {
	return nil, &tcpip.ErrNotSupported{}
}

// MinimumPacketSize implements stack.TransportProtocol.
func (*datagramProtocol) MinimumPacketSize() int { return header.UDPMinimumSize }

// ParsePorts implements stack.TransportProtocol.
func (*datagramProtocol) ParsePorts(b []byte) (src, dst uint16, err tcpip.Error) {
	if len(b) < 4 {
		return 0, 0, &tcpip.ErrMalformedHeader{}
	}
	return binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), nil
}

// Parse implements stack.TransportProtocol. Bytes beyond the length that a UDP
// header tells are padding. A header that tells more than there is stays, and
// is refused when the packet is delivered.
func (pr *datagramProtocol) Parse(pkt *gvstack.PacketBuffer) bool {
	h, ok := pkt.TransportHeader().Consume(header.UDPMinimumSize)
	if !ok {
		return false
	}
	pkt.TransportProtocolNumber = pr.number
	if pr.number != endpoint.IPPROTO_UDP {
		return true
	}
	if n := int(header.UDP(h).Length()) - header.UDPMinimumSize; n >= 0 && n < pkt.Data().Size() {
		pkt.Data().CapLength(n)
	}
	return true
}

// HandleUnknownDestinationPacket implements stack.TransportProtocol: it is the
// way of every packet.
func (pr *datagramProtocol) HandleUnknownDestinationPacket(tid gvstack.TransportEndpointID, pkt *gvstack.PacketBuffer) gvstack.UnknownDestinationPacketDisposition {
	p := pr.p.Load()
	if p == nil {
		return gvstack.UnknownDestinationPacketUnhandled
	}
	id := packetID{
		net: pkt.NetworkProtocolNumber, nic: pkt.NICID,
		local: tid.LocalAddress, remote: tid.RemoteAddress, lport: tid.LocalPort, rport: tid.RemotePort,
		toGroup: isMulticast(tid.LocalAddress), toAll: pkt.NetworkPacketInfo.LocalAddressBroadcast,
	}
	stats := p.stack.Stats().UDP
	table := &p.udp
	udp := pr.number == endpoint.IPPROTO_UDP
	if udp {
		stats.UnknownPortErrors.Decrement() // netstack counts each as unknown
	} else {
		table = &p.udpLite
	}
	verdict, noChecksum := pr.check(pkt, &id)
	if verdict != packetValid {
		if udp {
			if verdict == packetMalformed {
				stats.MalformedPacketsReceived.Increment()
			} else {
				stats.ChecksumErrors.Increment()
			}
		}
		return gvstack.UnknownDestinationPacketMalformed
	}
	p.rawBehind(uint8(pr.number), pkt)
	if id.toGroup || id.toAll {
		list := table.each(&id)
		for _, d := range list {
			if noChecksum && !d.has(flagNoCheck6RX) || d.kind == kindUDPLite && !d.lite.covers(pkt) {
				continue
			}
			own := pkt.Clone()
			d.deliver(own)
			own.DecRef()
		}
		if udp && len(list) == 0 {
			stats.UnknownPortErrors.Increment()
		}
		return gvstack.UnknownDestinationPacketHandled
	}
	d := table.find(&id, p.seed)
	if d == nil {
		if udp {
			stats.UnknownPortErrors.Increment()
		}
		return gvstack.UnknownDestinationPacketUnhandled
	}
	if noChecksum && !d.has(flagNoCheck6RX) {
		stats.ChecksumErrors.Increment()
		return gvstack.UnknownDestinationPacketMalformed
	}
	if d.kind == kindUDPLite && !d.lite.covers(pkt) {
		return gvstack.UnknownDestinationPacketMalformed
	}
	d.deliver(pkt)
	return gvstack.UnknownDestinationPacketHandled
}

type packetVerdict uint8

const (
	packetValid packetVerdict = iota
	packetMalformed
	packetCorrupt
)

// check verifies length and checksum. noChecksum is an IPv6 datagram of UDP
// without one, which is for those alone that asked for such (RFC 6936).
func (pr *datagramProtocol) check(pkt *gvstack.PacketBuffer, id *packetID) (verdict packetVerdict, noChecksum bool) {
	h := header.UDP(pkt.TransportHeader().Slice())
	if len(h) < header.UDPMinimumSize {
		return packetMalformed, false
	}
	size := header.UDPMinimumSize + pkt.Data().Size()
	length := int(h.Length())
	covered := size
	if pr.number == endpoint.IPPROTO_UDP {
		if length < header.UDPMinimumSize || length > size {
			return packetMalformed, false
		}
		if h.Checksum() == 0 && !pkt.RXChecksumValidated { // a link may have promised what it left out
			return packetValid, id.net == header.IPv6ProtocolNumber
		}
	} else {
		// RFC 3828, section 3.1: 0 is the whole packet; a checksum is a must.
		if length != 0 {
			covered = length
		}
		if covered < header.UDPMinimumSize || covered > size {
			return packetMalformed, false
		}
		if h.Checksum() == 0 {
			return packetCorrupt, false
		}
	}
	if pkt.RXChecksumValidated {
		return packetValid, false
	}
	sum := header.PseudoHeaderChecksum(pr.number, id.remote, id.local, uint16(size))
	sum = checksum.Checksum(h, sum)
	if covered == size {
		sum = checksum.Combine(sum, pkt.Data().Checksum())
	} else {
		left := covered - header.UDPMinimumSize
		if left > 0 {
			b, ok := pkt.Data().PullUp(left)
			if !ok {
				return packetMalformed, false
			}
			sum = checksum.Combine(sum, checksum.Checksum(b, 0))
		}
	}
	if sum != 0xffff {
		return packetCorrupt, false
	}
	return packetValid, false
}

// optionless is what protocols have in common that have neither options nor
// goroutines of their own: a part of stack.TransportProtocol.
type optionless struct{}

func (optionless) SetOption(tcpip.SettableTransportProtocolOption) tcpip.Error {
	return &tcpip.ErrUnknownProtocolOption{}
}

func (optionless) Option(tcpip.GettableTransportProtocolOption) tcpip.Error {
	return &tcpip.ErrUnknownProtocolOption{}
}

func (optionless) Close()   {}
func (optionless) Wait()    {}
func (optionless) Pause()   {}
func (optionless) Resume()  {}
func (optionless) Restore() {}
