package inet

import (
	"encoding/binary"
	"slices"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/stack/endpoint"
)

// Ancillary data in the layout of Linux: ip(7), ipv6(7), socket(7).

// checkSocketItem refuses an item of SOL_SOCKET, __sock_cmsg_send of Linux.
// Descriptors and credentials mean nothing to an inet socket and do not disturb
// it; a mark or a priority of one message has as little effect as the option.
func (s *socket) checkSocketItem(item *endpoint.Control) error {
	switch item.Type {
	case endpoint.SCM_RIGHTS, endpoint.SCM_CREDENTIALS:
		return nil
	case endpoint.SO_MARK:
		if !s.admin() {
			return endpoint.EPERM
		}
		if len(item.Data) == 4 {
			return nil
		}
	case endpoint.SO_PRIORITY:
		if v, err := endpoint.Int(item.Data); err == nil && len(item.Data) == 4 {
			return s.checkPriority(v)
		}
	}
	return endpoint.EINVAL
}

// checkStreamControl refuses items that a TCP socket does not take. Those of
// other levels than SOL_SOCKET are ignored, as on Linux.
func (s *socket) checkStreamControl(items []endpoint.Control) error {
	for i := range items {
		if items[i].Err != nil {
			return items[i].Err
		}
		if items[i].Level == endpoint.SOL_SOCKET {
			if err := s.checkSocketItem(&items[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// outgoing is what the control items of one message ask for.
type outgoing struct {
	src     tcpip.Address // IP_PKTINFO, IPV6_PKTINFO: the source address
	nic     tcpip.NICID   // and the interface
	tos     int           // IP_TOS, IPV6_TCLASS; valid with hasTOS
	hops    int           // IP_TTL, IPV6_HOPLIMIT; valid with hasHops
	segment int           // UDP_SEGMENT; valid with hasSegment

	held                        bool // it was held back: MSG_MORE, UDP_CORK
	hasTOS, hasHops, hasSegment bool
	dontFrag, mayFrag           bool // IPV6_DONTFRAG on, off
}

// sendControl reads the items of one datagram to an address, as ip_cmsg_send and
// ip6_datagram_send_ctl of Linux: what is unknown at a level of the socket's is
// EINVAL, other levels are ignored.
func (d *datagram) sendControl(items []endpoint.Control, to tcpip.FullAddress, out *outgoing) error {
	net := netOf(to.Addr)
	for i := range items {
		item := &items[i]
		var err error
		switch {
		case item.Err != nil:
			err = item.Err
		case item.Level == endpoint.SOL_SOCKET:
			err = d.checkSocketItem(item)
		case item.Level == endpoint.SOL_UDP && item.Type == endpoint.UDP_SEGMENT && d.kind.ports():
			if len(item.Data) != 2 {
				return endpoint.EINVAL
			}
			out.segment, out.hasSegment = int(binary.NativeEndian.Uint16(item.Data)), true
		case item.Level == endpoint.SOL_UDP && d.kind.ports():
			err = endpoint.EINVAL
		case net == header.IPv4ProtocolNumber && d.af == endpoint.AF_INET6 &&
			item.Level == endpoint.SOL_IPV6 && item.Type == endpoint.IPV6_PKTINFO:
			err = d.mappedPacketInfo(item.Data, out)
		case item.Level == endpoint.SOL_IP && net == header.IPv4ProtocolNumber:
			err = d.sendControl4(item, out)
		case item.Level == endpoint.SOL_IPV6 && net == header.IPv6ProtocolNumber:
			err = d.sendControl6(item, to.NIC, out)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *datagram) sendControl4(item *endpoint.Control, out *outgoing) error {
	switch item.Type {
	case endpoint.IP_PKTINFO: // struct in_pktinfo
		if len(item.Data) != 12 {
			return endpoint.EINVAL
		}
		return d.packetInfo4(binary.NativeEndian.Uint32(item.Data), item.Data[4:8], out)
	case endpoint.IP_TTL:
		v, err := endpoint.Int(item.Data)
		if err != nil || v < 1 || v > 255 {
			return endpoint.EINVAL
		}
		out.hops, out.hasHops = v, true
	case endpoint.IP_TOS:
		v := 0
		switch len(item.Data) {
		case 4:
			v, _ = endpoint.Int(item.Data)
		case 1:
			v = int(item.Data[0])
		default:
			return endpoint.EINVAL
		}
		if v < 0 || v > 255 {
			return endpoint.EINVAL
		}
		out.tos, out.hasTOS = v, true
	case endpoint.IP_RETOPTS:
		if len(item.Data) != 0 {
			return endpoint.EINVAL // netstack sends no options
		}
	default:
		return endpoint.EINVAL
	}
	return nil
}

// sendControl6 reads an item of IPv6. at is the interface of the destination.
func (d *datagram) sendControl6(item *endpoint.Control, at tcpip.NICID, out *outgoing) error {
	switch item.Type {
	case endpoint.IPV6_PKTINFO, endpoint.IPV6_2292PKTINFO:
		if len(item.Data) < 20 {
			return endpoint.EINVAL
		}
		return d.packetInfo6(binary.NativeEndian.Uint32(item.Data[16:]), item.Data[:16], at, out)
	case endpoint.IPV6_HOPLIMIT, endpoint.IPV6_2292HOPLIMIT:
		v, err := endpoint.Int(item.Data)
		if err != nil || len(item.Data) != 4 || v < -1 || v > 255 {
			return endpoint.EINVAL
		}
		out.hops, out.hasHops = v, v >= 0
	case endpoint.IPV6_TCLASS:
		v, err := endpoint.Int(item.Data)
		if err != nil || len(item.Data) != 4 || v < -1 || v > 255 {
			return endpoint.EINVAL
		}
		out.tos, out.hasTOS = v&0xff, true // -1 is 255, as on Linux
	case endpoint.IPV6_DONTFRAG:
		v, err := endpoint.Int(item.Data)
		if err != nil || len(item.Data) != 4 || v < 0 || v > 1 {
			return endpoint.EINVAL
		}
		out.dontFrag, out.mayFrag = v == 1, v == 0
	default:
		return endpoint.EINVAL
	}
	return nil
}

// mappedPacketInfo is IPV6_PKTINFO with a datagram to an IPv4 address.
func (d *datagram) mappedPacketInfo(data []byte, out *outgoing) error {
	if len(data) < 20 || !isMapped(tcpip.AddrFrom16Slice(data[:16])) {
		return endpoint.EINVAL
	}
	return d.packetInfo4(binary.NativeEndian.Uint32(data[16:]), data[12:16], out)
}

// packetInfo4 checks a source, as ip_route_output_key of Linux does: the address
// is one of the stack's, on whatever interface, and the interface exists.
func (d *datagram) packetInfo4(nic uint32, addr []byte, out *outgoing) error {
	out.nic = tcpip.NICID(nic)
	out.src = address4(addr)
	if out.src.Len() != 0 {
		if isMulticast(out.src) || out.src == header.IPv4Broadcast {
			return endpoint.EINVAL
		}
		own := d.p.stack.CheckLocalAddress(0, header.IPv4ProtocolNumber, out.src) != 0 && !d.p.isBroadcast(out.src)
		if !own && !d.has(flagFreeBind|flagTransparent) {
			return endpoint.ENETUNREACH // no route has that source
		}
	}
	if nic != 0 && !d.p.stack.HasNIC(out.nic) {
		return endpoint.ENODEV
	}
	return nil
}

// packetInfo6 is packetInfo4 for IPv6, where the address is one of the interface's
// if that is named, by whatever: at is the destination's.
func (d *datagram) packetInfo6(nic uint32, addr []byte, at tcpip.NICID, out *outgoing) error {
	if at == 0 {
		at = d.device(d.where.Load())
	}
	if out.nic = tcpip.NICID(nic); nic != 0 {
		if at != 0 && at != out.nic {
			return endpoint.EINVAL
		}
		if !d.p.stack.HasNIC(out.nic) {
			return endpoint.ENODEV
		}
		at = out.nic
	}
	if [16]byte(addr) == [16]byte{} {
		return nil
	}
	out.src = tcpip.AddrFrom16Slice(addr)
	if at == 0 && header.IsV6LinkLocalUnicastAddress(out.src) {
		return endpoint.EINVAL
	}
	if d.has(flagFreeBind|flagTransparent) || d.p.stack.CheckLocalAddress(out.nic, header.IPv6ProtocolNumber, out.src) != 0 {
		return nil
	}
	return endpoint.EINVAL
}

// wantsControl reports whether any option asks for control items.
func (d *datagram) wantsControl() bool {
	o := &d.ops
	return d.has(flagTimestamp|flagTimestampNS|flagDropCount) || o.GetReceivePacketInfo() || o.GetReceiveTTL() || o.GetReceiveTOS() ||
		o.GetReceiveOriginalDstAddress() || o.GetIPv6ReceivePacketInfo() || o.GetReceiveHopLimit() || o.GetReceiveTClass()
}

// arrival is what the options tell of a packet that came in.
type arrival struct {
	net         tcpip.NetworkProtocolNumber
	nic         tcpip.NICID
	dst         tcpip.Address
	port        uint16 // what stands where a port of the destination would
	hasPort     bool
	hops, class uint8
	reply       tcpip.Address // ipi_spec_dst: the address to answer from
}

// recvControl makes the items that the socket's options ask for. wanted is
// whether the caller has room for any; MSG_CTRUNC says that some were lost.
func (d *datagram) recvControl(got *endpoint.Received, r received, wanted bool) {
	if !wanted {
		// No item is built for nobody, but the caller hears of the loss.
		got.Flags |= d.lostControl(r)
		return
	}
	pkt := r.buffer
	_, dst := packetAddresses(pkt.NetworkProtocolNumber, pkt.NetworkHeader().Slice())
	a := arrival{
		net: pkt.NetworkProtocolNumber, nic: pkt.NICID, dst: dst,
		hops: hopLimit(pkt), class: trafficClass(pkt),
	}
	if d.ops.GetReceivePacketInfo() || d.ops.GetIPv6ReceivePacketInfo() {
		a.nic = d.p.homes().arrivedBy(pkt.NICID, dst)
	}
	a.port, a.hasPort = portOf(pkt)
	if a.net == header.IPv4ProtocolNumber && d.ops.GetReceivePacketInfo() {
		a.reply = d.replyAddress(pkt, dst)
	}
	got.Control = d.stampItem(got.Control, r.at)
	if d.has(flagDropCount) {
		if lost := d.in.drops(); lost != 0 {
			got.Control = append(got.Control, endpoint.Control{Level: endpoint.SOL_SOCKET, Type: endpoint.SO_RXQ_OVFL, Data: intData(int(lost))})
		}
	}
	got.Control = d.packetItems(got.Control, &a)
}

// portOf is the third and the fourth byte behind the IP header, which Linux takes for
// the port whatever the protocol is.
func portOf(pkt *gvstack.PacketBuffer) (port uint16, ok bool) {
	h := pkt.TransportHeader().Slice()
	if len(h) < 4 {
		h = append(slices.Clone(h), dataOf(pkt)...)
	}
	if len(h) < 4 {
		return 0, false
	}
	return binary.BigEndian.Uint16(h[2:]), true
}

// stampItem adds when a packet came, sock_recv_timestamp of Linux; without an at
// that is now.
func (d *datagram) stampItem(list []endpoint.Control, at time.Time) []endpoint.Control {
	stamp := d.flags.Load() & (flagTimestamp | flagTimestampNS)
	if stamp == 0 {
		return list
	}
	if at.IsZero() {
		at = d.p.clock.Now()
	}
	typ, sub := endpoint.SCM_TIMESTAMP, at.Nanosecond()/1000
	if stamp&flagTimestampNS != 0 {
		typ, sub = endpoint.SCM_TIMESTAMPNS, at.Nanosecond()
	}
	return append(list, endpoint.Control{Level: endpoint.SOL_SOCKET, Type: typ, Data: timeWords(at.Unix(), int64(sub))})
}

// packetItems adds the items about a packet, in the order of
// ip6_datagram_recv_common_ctl, ip_cmsg_recv and ip6_datagram_recv_specific_ctl.
func (d *datagram) packetItems(list []endpoint.Control, a *arrival) []endpoint.Control {
	add := func(level, typ int, data []byte) {
		list = append(list, endpoint.Control{Level: level, Type: typ, Data: data})
	}
	if d.af == endpoint.AF_INET6 && d.ops.GetIPv6ReceivePacketInfo() {
		b := make([]byte, 20) // struct in6_pktinfo
		if s := a.dst.AsSlice(); len(s) == 4 {
			b[10], b[11] = 0xff, 0xff
			copy(b[12:], s)
		} else {
			copy(b, s)
		}
		binary.NativeEndian.PutUint32(b[16:], uint32(a.nic))
		add(endpoint.SOL_IPV6, endpoint.IPV6_PKTINFO, b)
	}
	original := d.ops.GetReceiveOriginalDstAddress() && a.hasPort
	if a.net == header.IPv4ProtocolNumber {
		if d.ops.GetReceivePacketInfo() {
			b := make([]byte, 12) // struct in_pktinfo
			binary.NativeEndian.PutUint32(b, uint32(a.nic))
			copy(b[4:], a.reply.AsSlice())
			copy(b[8:], a.dst.AsSlice())
			add(endpoint.SOL_IP, endpoint.IP_PKTINFO, b)
		}
		if d.ops.GetReceiveTTL() {
			add(endpoint.SOL_IP, endpoint.IP_TTL, intData(int(a.hops)))
		}
		if d.ops.GetReceiveTOS() {
			add(endpoint.SOL_IP, endpoint.IP_TOS, []byte{a.class})
		}
		if original {
			add(endpoint.SOL_IP, endpoint.IP_RECVORIGDSTADDR, sockaddrIn(a.dst, a.port))
		}
		return list
	}
	if d.ops.GetReceiveHopLimit() {
		add(endpoint.SOL_IPV6, endpoint.IPV6_HOPLIMIT, intData(int(a.hops)))
	}
	if d.ops.GetReceiveTClass() {
		add(endpoint.SOL_IPV6, endpoint.IPV6_TCLASS, intData(int(a.class)))
	}
	if original {
		add(endpoint.SOL_IPV6, endpoint.IPV6_RECVORIGDSTADDR, sockaddrIn6(a.dst, a.port, scopeOf(a.dst, a.nic)))
	}
	return list
}

// lostControl is MSG_CTRUNC if recvControl would make any item.
func (d *datagram) lostControl(r received) int {
	o := &d.ops
	lost := d.has(flagTimestamp|flagTimestampNS) || d.has(flagDropCount) && d.in.drops() != 0 ||
		d.af == endpoint.AF_INET6 && o.GetIPv6ReceivePacketInfo()
	_, port := portOf(r.buffer)
	original := o.GetReceiveOriginalDstAddress() && port
	if r.buffer.NetworkProtocolNumber == header.IPv4ProtocolNumber {
		lost = lost || o.GetReceivePacketInfo() || o.GetReceiveTTL() || o.GetReceiveTOS() || original
	} else {
		lost = lost || o.GetReceiveHopLimit() || o.GetReceiveTClass() || original
	}
	if lost {
		return endpoint.MSG_CTRUNC
	}
	return 0
}

// replyAddress is ipi_spec_dst: the address to answer from, which for a group
// or a broadcast address is one of the interface.
func (d *datagram) replyAddress(pkt *gvstack.PacketBuffer, dst tcpip.Address) tcpip.Address {
	if !isMulticast(dst) && !pkt.NetworkPacketInfo.LocalAddressBroadcast {
		return dst
	}
	main, err := d.p.stack.GetMainNICAddress(pkt.NICID, pkt.NetworkProtocolNumber)
	if err != nil {
		return tcpip.Address{}
	}
	return main.Address
}

func scopeOf(a tcpip.Address, nic tcpip.NICID) uint32 {
	if needsScopeAddress(a) {
		return uint32(nic)
	}
	return 0
}

func intData(v int) []byte {
	b := make([]byte, 4)
	endpoint.PutInt(b, v)
	return b
}

// timeWords writes two C longs: struct timeval and struct timespec.
func timeWords(a, b int64) []byte {
	if wordSize == 4 {
		out := make([]byte, 8)
		binary.NativeEndian.PutUint32(out, uint32(a))
		binary.NativeEndian.PutUint32(out[4:], uint32(b))
		return out
	}
	out := make([]byte, 16)
	binary.NativeEndian.PutUint64(out, uint64(a))
	binary.NativeEndian.PutUint64(out[8:], uint64(b))
	return out
}

// wordSize is the size of a C long on this host.
const wordSize = 4 << (^uint(0) >> 63)

// sockaddrIn writes struct sockaddr_in.
func sockaddrIn(addr tcpip.Address, port uint16) []byte {
	b := make([]byte, 16)
	binary.NativeEndian.PutUint16(b, endpoint.AF_INET)
	binary.BigEndian.PutUint16(b[2:], port)
	copy(b[4:], addr.AsSlice())
	return b
}

// sockaddrIn6 writes struct sockaddr_in6; an IPv4 address becomes a mapped one.
func sockaddrIn6(addr tcpip.Address, port uint16, scope uint32) []byte {
	b := make([]byte, 28)
	binary.NativeEndian.PutUint16(b, endpoint.AF_INET6)
	binary.BigEndian.PutUint16(b[2:], port)
	if s := addr.AsSlice(); len(s) == 4 {
		b[18], b[19] = 0xff, 0xff
		copy(b[20:], s)
	} else {
		copy(b[8:], s)
	}
	binary.NativeEndian.PutUint32(b[24:], scope)
	return b
}
