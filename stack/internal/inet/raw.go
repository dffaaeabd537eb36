package inet

import (
	"encoding/binary"
	"slices"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/stack/endpoint"
)

// rawSettings are the options of raw sockets, raw(7), icmp(7) and RFC 3542.
type rawSettings struct {
	mu       sync.Mutex // a leaf
	filter4  uint32     // ICMP_FILTER: a bit for each type that is dropped
	filter6  [32]byte   // ICMP6_FILTER: the same
	checksum int        // IPV6_CHECKSUM: offset of the checksum; −1: none
}

// rawList has the raw sockets of a stack, by protocol.
type rawList struct {
	mu   sync.RWMutex // a leaf
	list []*datagram
}

// rawReceiver is a raw socket as netstack sees it: it gets a copy of every
// packet of its protocol.
type rawReceiver datagram

var _ gvstack.RawTransportEndpoint = (*rawReceiver)(nil)

// openRaw opens a SOCK_RAW socket of any protocol. IPPROTO_RAW only sends, and
// so do numbers that no packet can have, which Linux opens up to 262.
func openRaw(f *family, req endpoint.Request) (endpoint.Endpoint, error) {
	if !f.p.rawSockets(req.Cred) {
		return nil, endpoint.EPERM
	}
	d := openDatagram(f, req, kindRaw, req.Protocol)
	d.raw = &rawSettings{checksum: -1}
	six := f.af == endpoint.AF_INET6
	switch {
	case req.Protocol == endpoint.IPPROTO_RAW:
		d.set(flagHdrIncl, true)
	case six && req.Protocol == endpoint.IPPROTO_ICMPV6:
		d.raw.checksum = 2
	case six && req.Protocol == endpoint.IPPROTO_MH:
		d.raw.checksum = 4
	}
	d.where.Store(&binding{nets: d.nets(false), port: uint16(req.Protocol)})
	if req.Protocol < endpoint.IPPROTO_RAW {
		if err := f.p.stack.RegisterRawTransportEndpoint(f.net, tcpip.TransportProtocolNumber(req.Protocol), (*rawReceiver)(d)); err != nil {
			d.end(stateClosed)
			return nil, endpoint.EPROTONOSUPPORT
		}
	}
	l := &f.p.raws
	f.p.anyRaw.Store(true)
	l.mu.Lock()
	l.list = append(l.list, d)
	l.mu.Unlock()
	if d.state.Load() != stateOpen {
		d.unregisterRaw() // the stack ended meanwhile
	}
	return d, nil
}

// unregisterRaw takes a raw socket off netstack's list and ours.
func (d *datagram) unregisterRaw() {
	l := &d.p.raws
	l.mu.Lock()
	i := slices.Index(l.list, d)
	if i >= 0 {
		l.list = slices.Delete(l.list, i, i+1)
	}
	l.mu.Unlock()
	if i < 0 || d.proto >= endpoint.IPPROTO_RAW {
		return
	}
	net := header.IPv4ProtocolNumber
	if d.af == endpoint.AF_INET6 {
		net = header.IPv6ProtocolNumber
	}
	d.p.stack.UnregisterRawTransportEndpoint(net, tcpip.TransportProtocolNumber(d.proto), (*rawReceiver)(d))
}

// HandlePacket implements stack.RawTransportEndpoint, after raw_v4_input and
// ipv6_raw_deliver. Netstack calls it for packets that it will forward, too.
func (r *rawReceiver) HandlePacket(pkt *gvstack.PacketBuffer) {
	d := (*datagram)(r)
	src, dst := packetAddresses(pkt.NetworkProtocolNumber, pkt.NetworkHeader().Slice())
	id := packetID{net: pkt.NetworkProtocolNumber, nic: pkt.NICID, local: dst, remote: src, toGroup: isMulticast(dst)}
	if d.score(&id) < 0 || id.toGroup && !d.groups.allow(d, &id) {
		return
	}
	if !id.toGroup && !d.p.isOwn(id.net, dst) && dst != header.IPv4Broadcast && !d.p.stack.IsSubnetBroadcast(pkt.NICID, id.net, dst) {
		return
	}
	if !d.raw.admits(d, pkt, src, dst) {
		return
	}
	d.deliver(pkt)
}

// admits applies the ICMP filters and IPV6_CHECKSUM.
func (s *rawSettings) admits(d *datagram, pkt *gvstack.PacketBuffer, src, dst tcpip.Address) bool {
	s.mu.Lock()
	filter4, filter6, offset := s.filter4, s.filter6, s.checksum
	s.mu.Unlock()
	h := pkt.TransportHeader().Slice()
	if d.af == endpoint.AF_INET {
		if d.proto == endpoint.IPPROTO_ICMP && len(h) > 0 && h[0] < 32 {
			return filter4>>h[0]&1 == 0
		}
		return true
	}
	if d.proto == endpoint.IPPROTO_ICMPV6 {
		if len(h) == 0 || filter6Blocks(&filter6, h[0]) {
			return false
		}
	}
	if offset < 0 {
		return true
	}
	size := len(h) + pkt.Data().Size()
	if size < offset+checksum.Size {
		return false
	}
	sum := header.PseudoHeaderChecksum(tcpip.TransportProtocolNumber(d.proto), src, dst, uint16(size))
	if len(h)%2 == 0 {
		return checksum.Combine(checksum.Checksum(h, sum), pkt.Data().Checksum()) == 0xffff
	}
	return checksum.Checksum(append(slices.Clone(h), dataOf(pkt)...), sum) == 0xffff
}

// filter6Blocks reads struct icmp6_filter: eight words of the host's order.
func filter6Blocks(f *[32]byte, typ uint8) bool {
	word := binary.NativeEndian.Uint32(f[typ/32*4:])
	return word>>(typ%32)&1 != 0
}

// rawSenders are the raw sockets that hear of an ICMP error.
func (p *Protocols) rawSenders(e *icmpError) (list []*datagram) {
	l := &p.raws
	l.mu.RLock()
	defer l.mu.RUnlock()
	id := packetID{net: e.net, nic: e.nic, local: e.local, remote: e.remote}
	for _, d := range l.list {
		if d.proto == uint16(e.transportProto) && d.score(&id) >= 0 {
			list = append(list, d)
		}
	}
	return list
}

// rawChecksum fills in the checksum that IPV6_CHECKSUM asks for.
func (d *datagram) rawChecksum(pkt *gvstack.PacketBuffer, r way) error {
	pkt.TransportProtocolNumber = tcpip.TransportProtocolNumber(d.proto)
	if d.af != endpoint.AF_INET6 {
		return nil
	}
	d.raw.mu.Lock()
	offset := d.raw.checksum
	d.raw.mu.Unlock()
	if offset < 0 {
		return nil
	}
	size := pkt.Data().Size()
	if size < offset+checksum.Size {
		return endpoint.EINVAL
	}
	b, ok := pkt.Data().PullUp(size)
	if !ok {
		return endpoint.EINVAL
	}
	checksum.Put(b[offset:], 0)
	sum := header.PseudoHeaderChecksum(pkt.TransportProtocolNumber, r.LocalAddress(), r.RemoteAddress(), uint16(size))
	sum = ^checksum.Checksum(b, sum)
	if sum == 0 && d.proto == endpoint.IPPROTO_UDP {
		sum = 0xffff
	}
	checksum.Put(b[offset:], sum)
	return nil
}

// writeIncluded sends a packet that brings its own IP header. IPv4 fills in
// source, identification, length and checksum as raw_send_hdrinc does; IPv6
// nothing.
func (d *datagram) writeIncluded(r way, pkt *gvstack.PacketBuffer) tcpip.Error {
	size := pkt.Data().Size()
	if r.NetProto() == header.IPv4ProtocolNumber {
		h, ok := pkt.Data().PullUp(header.IPv4MinimumSize)
		if !ok || int(header.IPv4(h).HeaderLength()) > size || header.IPv4(h).HeaderLength() < header.IPv4MinimumSize {
			return &tcpip.ErrMalformedHeader{}
		}
		if header.IPv4(h).SourceAddress() == header.IPv4Any {
			header.IPv4(h).SetSourceAddress(r.LocalAddress())
		}
	}
	return r.WriteHeaderIncludedPacket(pkt)
}
