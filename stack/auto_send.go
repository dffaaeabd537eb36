package stack

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/stack/internal/autoconf"
)

// What leaves before the host has an address, or to a group, is put together
// here and handed to the link: netstack has no route for it. The rest takes
// netstack's way.

// autoTTL is that of DHCP's packets.
const autoTTL = 64

// send4 sends a datagram of the DHCPv4 client.
func (a *auto) send4(d autoconf.Datagram) {
	src, dst := address(d.Src.Addr()), address(d.Dst.Addr())
	pkt := a.udp(src, dst, d)
	defer pkt.DecRef()
	link := tcpip.LinkAddress(d.Link)
	if d.Dst.Addr() == broadcast4 {
		link = header.EthernetBroadcastAddress
	} else if link == "" {
		r, err := a.s.net.FindRoute(a.id, src, dst, header.IPv4ProtocolNumber, false)
		if err != nil {
			a.s.log.Debug("DHCPv4: no route", "interface", a.name, "server", d.Dst, "error", err.String())
			return
		}
		defer r.Release()
		r.WritePacket(gvstack.NetworkHeaderParams{Protocol: header.UDPProtocolNumber, TTL: autoTTL}, pkt)
		return
	}
	ip := header.IPv4(pkt.NetworkHeader().Push(header.IPv4MinimumSize))
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(pkt.Size()),
		TTL:         autoTTL,
		Protocol:    uint8(header.UDPProtocolNumber),
		SrcAddr:     src,
		DstAddr:     dst,
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	a.write(pkt, header.IPv4ProtocolNumber, link)
}

var broadcast4 = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// allDHCP6 is All_DHCP_Relay_Agents_and_Servers, RFC 8415, section 7.1.
var allDHCP6 = netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 13: 1, 15: 2})

// send6 sends a message of the DHCPv6 client.
func (a *auto) send6(message []byte) {
	d := autoconf.Datagram{
		Src:     netip.AddrPortFrom(a.linkLocal, autoconf.ClientPort6),
		Dst:     netip.AddrPortFrom(allDHCP6, autoconf.ServerPort6),
		Payload: message,
	}
	src, dst := address(d.Src.Addr()), address(d.Dst.Addr())
	pkt := a.udp(src, dst, d)
	defer pkt.DecRef()
	a.multicast6(pkt, src, dst, header.UDPProtocolNumber, autoTTL)
}

// solicit sends a router solicitation, RFC 4861, section 4.1.
func (a *auto) solicit() {
	size := header.ICMPv6HeaderSize + header.NDPRSMinimumSize
	var options header.NDPOptionsSerializer
	if len(a.mac) > 0 {
		options = header.NDPOptionsSerializer{header.NDPSourceLinkLayerAddressOption(a.mac)}
		size += options.Length()
	}
	pkt := gvstack.NewPacketBuffer(gvstack.PacketBufferOptions{ReserveHeaderBytes: int(a.tap.MaxHeaderLength()) + header.IPv6MinimumSize + size})
	defer pkt.DecRef()
	pkt.TransportProtocolNumber = header.ICMPv6ProtocolNumber
	b := header.ICMPv6(pkt.TransportHeader().Push(size))
	clear(b)
	b.SetType(header.ICMPv6RouterSolicit)
	header.NDPRouterSolicit(b.MessageBody()).Options().Serialize(options)
	src, dst := address(a.linkLocal), header.IPv6AllRoutersLinkLocalMulticastAddress
	b.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: b, Src: src, Dst: dst}))
	a.multicast6(pkt, src, dst, header.ICMPv6ProtocolNumber, header.NDPHopLimit)
}

// udp makes a UDP datagram without an IP header.
func (a *auto) udp(src, dst tcpip.Address, d autoconf.Datagram) *gvstack.PacketBuffer {
	pkt := gvstack.NewPacketBuffer(gvstack.PacketBufferOptions{
		ReserveHeaderBytes: int(a.tap.MaxHeaderLength()) + header.IPv6MinimumSize + header.UDPMinimumSize,
		Payload:            buffer.MakeWithData(d.Payload),
	})
	pkt.TransportProtocolNumber = header.UDPProtocolNumber
	length := uint16(header.UDPMinimumSize + len(d.Payload))
	udp := header.UDP(pkt.TransportHeader().Push(header.UDPMinimumSize))
	udp.Encode(&header.UDPFields{SrcPort: d.Src.Port(), DstPort: d.Dst.Port(), Length: length})
	sum := header.PseudoHeaderChecksum(header.UDPProtocolNumber, src, dst, length)
	sum = ^udp.CalculateChecksum(checksum.Combine(sum, pkt.Data().Checksum()))
	if sum == 0 {
		sum = 0xffff // 0 means none
	}
	udp.SetChecksum(sum)
	return pkt
}

func (a *auto) multicast6(pkt *gvstack.PacketBuffer, src, dst tcpip.Address, proto tcpip.TransportProtocolNumber, hops uint8) {
	length := uint16(pkt.Size())
	header.IPv6(pkt.NetworkHeader().Push(header.IPv6MinimumSize)).Encode(&header.IPv6Fields{
		PayloadLength:     length,
		TransportProtocol: proto,
		HopLimit:          hops,
		SrcAddr:           src,
		DstAddr:           dst,
	})
	a.write(pkt, header.IPv6ProtocolNumber, header.EthernetAddressFromMulticastIPv6Address(dst))
}

// write hands a whole IP packet to the link.
func (a *auto) write(pkt *gvstack.PacketBuffer, proto tcpip.NetworkProtocolNumber, link tcpip.LinkAddress) {
	pkt.NetworkProtocolNumber = proto
	pkt.EgressRoute.RemoteLinkAddress = link
	a.tap.AddHeader(pkt)
	var list gvstack.PacketBufferList
	list.PushBack(pkt)
	a.tap.WritePackets(list)
}
