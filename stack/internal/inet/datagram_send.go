package inet

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/stack/endpoint"
)

// The longest payloads that fit into one IP packet, headers included, when it
// is fragmented: RFC 768 over RFC 791 and RFC 8200.
const (
	maxPayload4 = 65535 - header.IPv4MinimumSize - header.UDPMinimumSize
	maxPayload6 = 65535 - header.UDPMinimumSize
)

// Send implements endpoint.Endpoint. MSG_OOB is EOPNOTSUPP over IPv4 and means
// nothing over IPv6. MSG_MORE gathers one datagram out of several calls. As on
// Linux a Send that fails leaves the port that it picked (inet_send_prepare).
func (d *datagram) Send(m endpoint.Message) (int, error) {
	if err := d.alive(); err != nil {
		return 0, err
	}
	if m.To.IsZero() || m.To.Family == int(d.af) {
		if _, err := d.autobind(); err != nil {
			return 0, err
		}
	}
	if d.kind == kindPing {
		if err := checkPingSize(m.Len()); err != nil {
			return 0, err
		}
	}
	if m.Flags&endpoint.MSG_OOB != 0 && (d.af == endpoint.AF_INET || !d.kind.ports()) {
		return 0, endpoint.EOPNOTSUPP
	}
	if (m.Flags&endpoint.MSG_MORE != 0 || d.has(flagUserCork|flagMore)) && d.kind != kindPing {
		return d.sendCorked(m)
	}
	return d.sendNow(m, false)
}

// sendNow sends one datagram, with the checks of udp_sendmsg, ping_v4_sendmsg
// and raw_sendmsg of Linux in their order. held says that it was held back, and
// some of the checks made before.
func (d *datagram) sendNow(m endpoint.Message, held bool) (int, error) {
	size := m.Len()
	if size > 0xffff && d.af == endpoint.AF_INET {
		return 0, endpoint.EMSGSIZE
	}
	if d.kind == kindPing {
		if err := d.checkPing(m.Bufs); err != nil {
			return 0, err
		}
	}
	b := d.where.Load()
	to, err := d.destination(m.To, b)
	if err != nil {
		return 0, err
	}
	items := outgoing{held: held}
	if len(m.Control) != 0 {
		if err := d.sendControl(m.Control, to, &items); err != nil {
			return 0, err
		}
		if isAny(m.To) {
			to.Addr = d.anyAddress(to.Addr, b, items)
		}
	}
	if b, err = d.autobind(); err != nil { // again: Connect may have taken the port away
		return 0, err
	}
	for again := true; ; again = false {
		r, err := d.findRoute(b, to, items)
		if err != nil {
			return 0, err
		}
		if (m.Flags&endpoint.MSG_DONTROUTE != 0 || d.has(flagNoRouter)) && r.router() {
			r.Release()
			return 0, endpoint.ENETUNREACH
		}
		err = d.sendOn(r, b, to, &items, m.Bufs, size)
		r.Release()
		if err == errStale && again {
			d.forgetRoute() // its source address or interface has gone
			continue
		}
		if err == errStale {
			err = endpoint.ENETUNREACH
		}
		if err != nil {
			return 0, err
		}
		return size, nil
	}
}

// destination translates and checks where one datagram goes: to, or the peer.
func (d *datagram) destination(to endpoint.Addr, b *binding) (tcpip.FullAddress, error) {
	if to.IsZero() {
		if !b.connected {
			return tcpip.FullAddress{}, endpoint.EDESTADDRREQ
		}
		return b.peer, nil
	}
	fa, err := d.fullAddress(to)
	if err != nil {
		return fa, err
	}
	if fa.Port == 0 && d.kind.ports() {
		return fa, endpoint.EINVAL
	}
	if !d.kind.ports() && isMapped(fa.Addr) {
		return fa, endpoint.ENETUNREACH
	}
	if d.kind == kindRaw && d.af == endpoint.AF_INET6 && fa.Port != 0 && fa.Port != b.port {
		return fa, endpoint.EINVAL // the port stands for the protocol, rawv6_sendmsg
	}
	if err = d.checkPeer(&fa, &d.ops); err != nil && err != endpoint.EINVAL {
		return fa, err // EINVAL, a link-local address without scope, is for Connect alone
	}
	if d.kind == kindPing && d.af == endpoint.AF_INET6 && fa.Addr.Len() == 0 {
		return fa, endpoint.ENETUNREACH // for ping_v6_sendmsg of Linux it is no address
	}
	fa = d.anyIsLoopback(fa, b)
	fa.Addr = unmap(fa.Addr)
	return fa, nil
}

// sendOn sends one datagram by a route.
func (d *datagram) sendOn(r way, b *binding, to tcpip.FullAddress, items *outgoing, bufs [][]byte, size int) error {
	if r.IsOutboundBroadcast() && !d.ops.GetBroadcast() {
		return endpoint.EACCES
	}
	segment := int(d.ip.segment.Load())
	if items.hasSegment {
		segment = items.segment
	}
	df, err := d.checkSize(r, b, to, items, size, segment)
	if err != nil {
		return err
	}
	if !items.held {
		if err := d.maySend(); err != nil {
			return err
		}
	}
	if segment != 0 && d.kind == kindUDPLite {
		return endpoint.EIO // udp_send_skb
	}
	if segment == 0 || size <= segment || d.kind != kindUDP {
		return d.write(r, b, to, items, payload{bufs: bufs, size: size}, df)
	}
	rest := payload{bufs: bufs}
	for left := size; left > 0; left -= rest.size {
		rest.size = min(left, segment)
		if err := d.write(r, b, to, items, rest, df); err != nil {
			if left < size {
				return nil // the rest is lost, as on a link
			}
			return err
		}
		rest.skip()
	}
	return nil
}

// maySend is what sock_alloc_send_pskb of Linux looks at before it makes a packet.
// A raw socket gets its packets elsewhere, unless they bring their own header.
func (d *datagram) maySend() error {
	if d.kind == kindRaw && !d.has(flagHdrIncl) {
		return nil
	}
	if err := d.takePending(); err != nil {
		return err
	}
	if d.has(flagShutWrite) {
		return endpoint.EPIPE
	}
	return nil
}

// maxSegments is UDP_MAX_SEGMENTS.
const maxSegments = 128

// checkSize refuses what no packet can hold, and what the socket forbids to
// fragment: EMSGSIZE, which the error queue tells with the MTU if it is on. df
// is whether the packet forbids routers to fragment it.
func (d *datagram) checkSize(r way, b *binding, to tcpip.FullAddress, items *outgoing, size, segment int) (df bool, err error) {
	net := r.NetProto()
	overhead, headers := headerSize(net), 0
	if d.kind.ports() {
		headers = header.UDPMinimumSize
	}
	if segment != 0 && d.kind == kindUDP && size > segment {
		if size > segment*maxSegments {
			return false, endpoint.EINVAL
		}
		size = segment
		if mtu, _ := d.mtus(r, net); size+headers+overhead > mtu {
			return false, endpoint.EMSGSIZE
		}
	}
	most := 65535 - headers
	if net == header.IPv4ProtocolNumber {
		most -= overhead
	}
	if d.has(flagHdrIncl) && d.kind == kindRaw {
		headers = -overhead
		most = 65535
	}
	device, path := d.mtus(r, net)
	mtu := path
	how := d.ip.discovery(net)
	if how >= endpoint.IP_PMTUDISC_PROBE {
		mtu = device
	}
	total := size + headers + overhead
	whole := how >= endpoint.IP_PMTUDISC_DO && how != endpoint.IP_PMTUDISC_OMIT || d.has(flagHdrIncl) && d.kind == kindRaw
	if net == header.IPv6ProtocolNumber && !items.mayFrag && (items.dontFrag || d.has(flagDontFrag)) {
		whole = true
	}
	if size > most || whole && total > mtu {
		if size <= 0xffff || net == header.IPv6ProtocolNumber {
			d.localError(net, endpoint.EMSGSIZE, to, uint32(mtu))
		}
		return false, endpoint.EMSGSIZE
	}
	switch how {
	case endpoint.IP_PMTUDISC_DO, endpoint.IP_PMTUDISC_PROBE:
		df = true
	case endpoint.IP_PMTUDISC_WANT:
		df = total <= mtu
	}
	return df, nil
}

// headerSize is the length of an IP header without options.
func headerSize(net tcpip.NetworkProtocolNumber) int {
	if net == header.IPv4ProtocolNumber {
		return header.IPv4MinimumSize
	}
	return header.IPv6MinimumSize
}

// mtus returns the largest packet of a route's interface, and of its whole
// path as far as that is known, or as IPV6_MTU says.
func (d *datagram) mtus(r way, net tcpip.NetworkProtocolNumber) (device, path int) {
	device = int(r.MTU()) + headerSize(net)
	path = d.p.knownMTU(r.RemoteAddress(), device)
	if set := int(d.ip.frag6.Load()); set != 0 && net == header.IPv6ProtocolNumber {
		path = min(path, set)
	}
	return device, path
}

// payload is the next size bytes of several buffers.
type payload struct {
	bufs [][]byte
	off  int // bytes of the first buffer that are gone
	size int
}

// copyTo fills dst, which has size bytes.
func (p payload) copyTo(dst []byte) {
	off := p.off
	for i := 0; len(dst) > 0; i++ {
		n := copy(dst, p.bufs[i][off:])
		dst, off = dst[n:], 0
	}
}

// skip takes size bytes off the front.
func (p *payload) skip() {
	for n := p.size; n > 0; {
		have := len(p.bufs[0]) - p.off
		if n < have {
			p.off += n
			return
		}
		n -= have
		p.bufs, p.off = p.bufs[1:], 0
	}
}

// write makes one packet and hands it to netstack. No lock is held: the packet
// may come back to this endpoint before it returns.
func (d *datagram) write(r way, b *binding, to tcpip.FullAddress, items *outgoing, data payload, df bool) error {
	size := data.size
	if d.kind.ports() {
		size += header.UDPMinimumSize
	}
	charge, err := d.charge(d.packetCost(r.NetProto(), size))
	if err != nil {
		return err
	}
	var view *buffer.View
	if data.size > 0 {
		view = buffer.NewViewSize(data.size)
		data.copyTo(view.AsSlice())
	}
	pkt := gvstack.NewPacketBuffer(gvstack.PacketBufferOptions{
		ReserveHeaderBytes: header.UDPMinimumSize + int(r.MaxHeaderLength()),
		Payload:            buffer.MakeWithView(view),
		OnRelease:          charge.free,
		Mark:               d.ops.GetMark(),
	})
	defer pkt.DecRef()
	switch d.kind {
	case kindUDP, kindUDPLite:
		d.putHeader(pkt, r, b.port, to.Port, data.size)
	case kindPing:
		d.putIdentifier(pkt, r, b.port)
	case kindRaw:
		if d.has(flagHdrIncl) {
			return d.writeError(r, d.writeIncluded(r, pkt))
		}
		if err := d.rawChecksum(pkt, r); err != nil {
			return err
		}
	}
	net := r.NetProto()
	params := gvstack.NetworkHeaderParams{Protocol: tcpip.TransportProtocolNumber(d.proto), DF: df}
	if params.TOS = d.ip.class(net); items.hasTOS {
		params.TOS = uint8(items.tos)
	}
	if items.hasHops {
		params.TTL = uint8(items.hops)
	} else {
		params.TTL = d.ip.hopsTo(r.Route, isMulticast(to.Addr))
	}
	if r.foreign.Len() != 0 {
		mtu, path := d.mtus(r, net)
		if d.ip.discovery(net) < endpoint.IP_PMTUDISC_PROBE {
			mtu = path
		}
		return d.writeError(r, d.p.writeFragments(r, params, pkt, mtu))
	}
	if (d.p.learnt.Load() || d.ip.frag6.Load() != 0) && d.ip.discovery(net) < endpoint.IP_PMTUDISC_PROBE {
		if device, path := d.mtus(r, net); path < device && pkt.Size()+headerSize(net) > path {
			return d.writeError(r, d.p.writeFragments(r, params, pkt, path))
		}
	}
	return d.writeError(r, r.WritePacket(params, pkt))
}

// writeError turns an error of netstack's write into Linux's. A full queue of
// the link is told to those alone that ask for errors.
func (d *datagram) writeError(r way, err tcpip.Error) error {
	switch err.(type) {
	case nil:
		return nil
	case *tcpip.ErrInvalidEndpointState:
		return errStale
	case *tcpip.ErrMalformedHeader:
		return endpoint.EINVAL
	case *tcpip.ErrNoBufferSpace:
		if !d.recvErr(r.NetProto()) {
			return nil
		}
	}
	return errno(err)
}

// putHeader writes the header of UDP or UDP-Lite.
func (d *datagram) putHeader(pkt *gvstack.PacketBuffer, r way, from, to uint16, size int) {
	h := header.UDP(pkt.TransportHeader().Push(header.UDPMinimumSize))
	number := tcpip.TransportProtocolNumber(d.proto)
	pkt.TransportProtocolNumber = number
	length := uint16(header.UDPMinimumSize + size)
	h.Encode(&header.UDPFields{SrcPort: from, DstPort: to, Length: length})
	six := r.NetProto() == header.IPv6ProtocolNumber
	switch {
	case d.kind == kindUDPLite:
		d.lite.put(h, pkt, r, length)
		return
	case !r.RequiresTXTransportChecksum():
		return
	case six && d.has(flagNoCheck6TX), !six && d.ops.GetNoChecksum():
		return
	}
	sum := header.PseudoHeaderChecksum(number, r.LocalAddress(), r.RemoteAddress(), length)
	sum = ^checksum.Checksum(h, checksum.Combine(sum, pkt.Data().Checksum()))
	if sum == 0 {
		sum = 0xffff // 0 is "none"
	}
	h.SetChecksum(sum)
}

// charge is what a packet holds of its socket's send buffer until a link has
// taken it.
type charge struct {
	d    *datagram
	size int64
	free func() // release, bound once
}

// charge takes room for a packet: EAGAIN if there is none, with an event to
// come.
func (d *datagram) charge(cost int) (*charge, error) {
	if d.inFlight.Load() >= d.ops.GetSendBufferSize() {
		d.full.Store(true)
		if d.inFlight.Load() >= d.ops.GetSendBufferSize() {
			return nil, endpoint.EAGAIN
		}
	}
	c := d.p.charges.Get().(*charge)
	c.d, c.size = d, int64(cost)
	d.inFlight.Add(c.size)
	return c, nil
}

// release is called by netstack, under locks of its own.
func (c *charge) release() {
	d := c.d
	d.inFlight.Add(-c.size)
	c.d = nil
	d.p.charges.Put(c)
	if d.full.Load() && d.halfFree() {
		d.full.Store(false)
		d.tell(endpoint.Out)
	}
}
