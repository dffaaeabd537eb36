package stack

import (
	"net"
	"net/netip"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/stack/internal/autoconf"
)

// tap stands between netstack and the link of an interface that configures
// itself. Packets for the ports of the DHCP clients end here: they come to
// addresses that the host does not have yet, and netstack would answer those that
// it does have with "port unreachable". Router advertisements are looked at and go
// on: netstack learns the router's hardware address from them.
//
// It may run under netstack's locks and inside the call of another stack's send:
// it only copies and queues.
type tap struct {
	gvstack.LinkEndpoint
	to  *auto
	up  atomic.Pointer[gvstack.NetworkDispatcher]
	mtu atomic.Uint32 // of the network, if less than the link's; 0: not known
}

// tapGSO is a tap on a link with GSO: netstack asks for that by a type
// assertion.
type tapGSO struct {
	*tap
	gvstack.GSOEndpoint
}

var (
	_ gvstack.LinkEndpoint      = (*tap)(nil)
	_ gvstack.NetworkDispatcher = (*tap)(nil)
	_ gvstack.LinkEndpoint      = (*tapGSO)(nil)
	_ gvstack.GSOEndpoint       = (*tapGSO)(nil)
)

// endpoint is what netstack gets.
func (t *tap) endpoint() gvstack.LinkEndpoint {
	if gso, ok := t.LinkEndpoint.(gvstack.GSOEndpoint); ok {
		return &tapGSO{t, gso}
	}
	return t
}

// MTU implements stack.LinkEndpoint. The link still takes longer packets.
func (t *tap) MTU() uint32 {
	mtu := t.LinkEndpoint.MTU()
	if learnt := t.mtu.Load(); learnt != 0 {
		mtu = min(mtu, learnt)
	}
	return mtu
}

// Attach implements stack.LinkEndpoint.
func (t *tap) Attach(d gvstack.NetworkDispatcher) {
	if d == nil {
		t.LinkEndpoint.Attach(nil)
		t.up.Store(nil)
		return
	}
	t.up.Store(&d)
	t.LinkEndpoint.Attach(t)
}

// DeliverLinkPacket implements stack.NetworkDispatcher.
func (t *tap) DeliverLinkPacket(proto tcpip.NetworkProtocolNumber, pkt *gvstack.PacketBuffer) {
	if d := t.up.Load(); d != nil {
		(*d).DeliverLinkPacket(proto, pkt)
	}
}

// DeliverNetworkPacket implements stack.NetworkDispatcher.
func (t *tap) DeliverNetworkPacket(proto tcpip.NetworkProtocolNumber, pkt *gvstack.PacketBuffer) {
	if d := t.up.Load(); d != nil && !t.take(proto, pkt) {
		(*d).DeliverNetworkPacket(proto, pkt)
	}
}

// maxTaken is the longest packet that is copied.
const maxTaken = 8 << 10

// take looks at a packet and reports whether it ends here.
func (t *tap) take(proto tcpip.NetworkProtocolNumber, pkt *gvstack.PacketBuffer) bool {
	data := pkt.Data()
	switch proto {
	case header.IPv4ProtocolNumber:
		b, ok := data.PullUp(header.IPv4MinimumSize)
		if !ok || b[9] != uint8(header.UDPProtocolNumber) {
			return false
		}
		h := header.IPv4(b)
		n := int(h.HeaderLength())
		if h.FragmentOffset() != 0 || h.More() || !t.clientPort(data, n, autoconf.ClientPort4) || t.to.dhcp4 == nil {
			return false
		}
		t.queue(pkt, t.to.receive4)
		return true
	case header.IPv6ProtocolNumber:
		b, ok := data.PullUp(header.IPv6MinimumSize)
		if !ok {
			return false
		}
		switch tcpip.TransportProtocolNumber(b[6]) {
		case header.UDPProtocolNumber:
			if t.to.dhcp6 != nil && t.clientPort(data, header.IPv6MinimumSize, autoconf.ClientPort6) {
				t.queue(pkt, t.to.receive6)
				return true
			}
		case header.ICMPv6ProtocolNumber:
			b, ok := data.PullUp(header.IPv6MinimumSize + 1)
			if ok && header.ICMPv6Type(b[header.IPv6MinimumSize]) == header.ICMPv6RouterAdvert && t.to.router != nil {
				t.queue(pkt, t.to.receiveAdvert)
			}
		}
	}
	return false
}

func (t *tap) clientPort(data gvstack.PacketData, network int, port uint16) bool {
	b, ok := data.PullUp(network + header.UDPMinimumSize)
	return ok && header.UDP(b[network:]).DestinationPort() == port
}

// queue lets f have a copy of a packet, unless too many wait.
func (t *tap) queue(pkt *gvstack.PacketBuffer, f func(packet []byte, from net.HardwareAddr, checked bool)) {
	if pkt.Data().Size() > maxTaken || !t.to.admit() {
		return
	}
	var from net.HardwareAddr
	if h := pkt.LinkHeader().Slice(); len(h) >= header.EthernetMinimumSize {
		from = net.HardwareAddr(header.Ethernet(h).SourceAddress())
	}
	packet := pkt.Data().AsRange().ToSlice()
	checked := t.Capabilities()&gvstack.CapabilityRXChecksumOffload != 0
	t.to.do(func() {
		t.to.waiting.Add(-1)
		f(packet, from, checked)
	})
}

// datagram reads a UDP datagram out of an IP packet; ok is false for one that is
// malformed or damaged.
func datagram(packet []byte, checked bool) (d autoconf.Datagram, ok bool) {
	var src, dst tcpip.Address
	var payload []byte
	if header.IPVersion(packet) == header.IPv4Version {
		ip := header.IPv4(packet)
		if !ip.IsValid(len(packet)) || !ip.IsChecksumValid() {
			return d, false
		}
		src, dst, payload = ip.SourceAddress(), ip.DestinationAddress(), packet[ip.HeaderLength():ip.TotalLength()]
	} else {
		ip := header.IPv6(packet)
		if !ip.IsValid(len(packet)) {
			return d, false
		}
		src, dst, payload = ip.SourceAddress(), ip.DestinationAddress(), packet[header.IPv6MinimumSize:][:ip.PayloadLength()]
	}
	if len(payload) < header.UDPMinimumSize {
		return d, false
	}
	udp := header.UDP(payload)
	if n := int(udp.Length()); n < header.UDPMinimumSize || n > len(payload) {
		return d, false
	}
	udp = udp[:udp.Length()]
	none := udp.Checksum() == 0 && len(src.AsSlice()) == header.IPv4AddressSize
	if !checked && !none && !udp.IsChecksumValid(src, dst, checksum.Checksum(udp.Payload(), 0)) {
		return d, false
	}
	return autoconf.Datagram{
		Src:     netip.AddrPortFrom(ipOf(src), udp.SourcePort()),
		Dst:     netip.AddrPortFrom(ipOf(dst), udp.DestinationPort()),
		Payload: udp.Payload(),
	}, true
}
