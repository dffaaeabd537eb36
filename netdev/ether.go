package netdev

import (
	"crypto/rand"
	"fmt"
	"net"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/stack/endpoint"
)

// Theory of Ethernet here.
//
// A port with a hardware address carries Ethernet frames: netstack resolves
// neighbours (ARP, RFC 826; NDP, RFC 4861) and asks AddHeader to put the 14
// bytes of destination, source and type before each packet. Everything behind
// WritePackets sees a packet buffer whose link header is that; the MTU is always
// that of IP, without the header. A port without a hardware address carries
// bare IP packets, and the link header is empty.
//
// On the way in a port does what a network card does: it takes frames for its
// own address, for all (broadcast) and for groups (multicast; IP sorts those
// out), and of them IPv4, IPv6 and ARP. Others are counted as RxForeign. A
// sender address that is a group is malformed.

// etherHeader is the length of an Ethernet header in bytes: no VLAN tag, no
// frame check sequence.
const etherHeader = header.EthernetMinimumSize

// checkHardwareAddr refuses what is no address of one station. An empty one is
// fine: it means none.
func checkHardwareAddr(mac net.HardwareAddr) error {
	switch {
	case len(mac) == 0:
		return nil
	case len(mac) != header.EthernetAddressSize:
		return fmt.Errorf("hardware address %v has %d bytes and not %d: %w", mac, len(mac), header.EthernetAddressSize, endpoint.EINVAL)
	case mac[0]&1 != 0:
		return fmt.Errorf("hardware address %v is that of a group: %w", mac, endpoint.EINVAL)
	case string(mac) == string(header.UnspecifiedEthernetAddress):
		return fmt.Errorf("hardware address %v is none: %w", mac, endpoint.EINVAL)
	}
	return nil
}

// RandomHardwareAddr returns a random hardware address of one station that is
// locally administered (IEEE 802, section 8.2.2). Tests that want the same
// addresses every time choose their own.
func RandomHardwareAddr() net.HardwareAddr {
	mac := make(net.HardwareAddr, header.EthernetAddressSize)
	rand.Read(mac)
	mac[0] = mac[0]&^1 | 2
	return mac
}

// linkLen returns the length of pkt's Ethernet header, 0 if it has none.
func linkLen(pkt *stack.PacketBuffer) int { return len(pkt.LinkHeader().Slice()) }

// ipSize returns the length of the IP packet in pkt.
func ipSize(pkt *stack.PacketBuffer) int { return pkt.Size() - linkLen(pkt) }

// MaxHeaderLength implements stack.LinkEndpoint.
func (p *port) MaxHeaderLength() uint16 {
	if p.mac == "" {
		return 0
	}
	return etherHeader
}

// LinkAddress implements stack.LinkEndpoint.
func (p *port) LinkAddress() tcpip.LinkAddress { return p.mac }

// SetLinkAddress implements stack.LinkEndpoint. It has no effect: a link keeps
// the address that it was opened with.
func (p *port) SetLinkAddress(tcpip.LinkAddress) {}

// ARPHardwareType implements stack.LinkEndpoint.
func (p *port) ARPHardwareType() header.ARPHardwareType {
	if p.mac == "" {
		return header.ARPHardwareNone
	}
	return header.ARPHardwareEther
}

// AddHeader implements stack.LinkEndpoint.
func (p *port) AddHeader(pkt *stack.PacketBuffer) {
	if p.mac == "" {
		return
	}
	header.Ethernet(pkt.LinkHeader().Push(etherHeader)).Encode(&header.EthernetFields{
		SrcAddr: p.mac,
		DstAddr: pkt.EgressRoute.RemoteLinkAddress,
		Type:    pkt.NetworkProtocolNumber,
	})
}

// ParseHeader implements stack.LinkEndpoint.
func (p *port) ParseHeader(pkt *stack.PacketBuffer) bool {
	if p.mac == "" {
		return true
	}
	_, ok := pkt.LinkHeader().Consume(etherHeader)
	return ok
}

// resolution is the capability that makes netstack resolve neighbours.
func (p *port) resolution() stack.LinkEndpointCapabilities {
	if p.mac == "" {
		return stack.CapabilityNone
	}
	return stack.CapabilityResolutionRequired
}

// An arrival is what accept found out about a frame or a packet from outside.
type arrival struct {
	proto tcpip.NetworkProtocolNumber
	kind  tcpip.PacketType
	link  int  // length of the link header
	now   bool // it may be handed over inside the sender's call
}

// accept looks at what came from outside: a frame if p has a hardware
// address, else an IP packet of at most mtu bytes. It counts why it refuses b.
func (p *port) accept(b []byte, mtu int) (a arrival, ok bool) {
	if p.mac != "" {
		if a, ok = p.acceptFrame(b); !ok {
			return a, false
		}
		b = b[a.link:]
	}
	if a.proto == header.ARPProtocolNumber {
		return a, p.open(b, mtu)
	}
	proto, ok := check(b)
	if !ok || a.link > 0 && proto != a.proto {
		p.drops.rxMalformed.Add(1)
		return a, false
	}
	a.proto, a.now = proto, atOnce(b)
	return a, p.open(b, mtu)
}

// open reports whether a packet that is well formed can go up.
func (p *port) open(b []byte, mtu int) bool {
	switch {
	case len(b) > mtu:
		p.drops.rxTooLong.Add(1)
	case p.down():
		p.drops.rxDown.Add(1)
	default:
		return true
	}
	return false
}

func (p *port) acceptFrame(b []byte) (a arrival, ok bool) {
	if len(b) < etherHeader {
		p.drops.rxMalformed.Add(1)
		return a, false
	}
	eth := header.Ethernet(b)
	a.link, a.proto = etherHeader, eth.Type()
	switch dst := b[:header.EthernetAddressSize]; {
	case b[header.EthernetAddressSize]&1 != 0: // the source
		p.drops.rxMalformed.Add(1)
		return a, false
	case string(dst) == string(p.mac):
		a.kind = tcpip.PacketHost
	case string(dst) == string(header.EthernetBroadcastAddress):
		a.kind = tcpip.PacketBroadcast
	case dst[0]&1 != 0:
		a.kind = tcpip.PacketMulticast
	default:
		p.drops.rxForeign.Add(1)
		return a, false
	}
	switch a.proto {
	case header.IPv4ProtocolNumber, header.IPv6ProtocolNumber, header.ARPProtocolNumber:
		return a, true
	}
	p.drops.rxForeign.Add(1)
	return a, false
}

// inbound makes a packet buffer of a frame or packet from outside, or counts
// why it cannot and returns nil. It copies b.
func (p *port) inbound(b []byte) (pkt *stack.PacketBuffer, now bool) {
	a, ok := p.accept(b, int(p.mtu.Load()))
	if !ok {
		return nil, false
	}
	return packetOf(buffer.MakeWithView(buffer.NewViewWithData(b)), a), a.now
}

// packetOf makes the packet buffer of what accept has let in, and takes over
// data.
func packetOf(data buffer.Buffer, a arrival) *stack.PacketBuffer {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: data})
	if a.link > 0 {
		pkt.LinkHeader().Consume(a.link)
	}
	pkt.NetworkProtocolNumber, pkt.PktType = a.proto, a.kind
	return pkt
}

// outsideFrame makes a packet buffer of a frame as a stack would send it: with
// its headers told apart as far as they are there. It copies frame.
func outsideFrame(frame []byte) *stack.PacketBuffer {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithView(buffer.NewViewWithData(frame))})
	pkt.LinkHeader().Consume(etherHeader)
	pkt.NetworkProtocolNumber = header.Ethernet(frame).Type()
	if n := ipHeaderLen(frame[etherHeader:]); n > 0 {
		pkt.NetworkHeader().Consume(n)
	}
	return pkt
}

// ipHeaderLen returns the length of the IP header at the start of b, 0 if
// there is no whole one.
func ipHeaderLen(b []byte) int {
	if len(b) < header.IPv4MinimumSize {
		return 0
	}
	n := 0
	switch b[0] >> 4 {
	case header.IPv4Version:
		n = int(b[0]&15) * 4
	case header.IPv6Version:
		n = header.IPv6MinimumSize
	}
	if n < header.IPv4MinimumSize || n > len(b) {
		return 0
	}
	return n
}
