package netdev

import (
	"encoding/binary"
	"sync"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Theory of the offloads.
//
// Between two stacks of one process nothing damages a packet, so the ends of
// a pair offer to compute and to verify TCP and UDP checksums and do neither.
// They also take TCP segments of up to 64 KiB whatever the MTU is (GSO, as a
// host's network card does), and pass them on uncut.
//
// A router breaks both. The clone that enters a stack has lost its GSO options,
// so a router would see an ordinary packet far above the MTU; and what it
// forwards may leave through a link without offloads. So a pair with a stack
// that forwards at either end (wire.End.Forwards) is plain: it offers no GSO, and
// verifies and completes checksums like a real wire.
//
//	end of a pair                 verifies (RX)  leaves out (TX)  GSO
//	nobody forwards               no             yes              yes
//	the other stack forwards      yes            no               no
//	its own stack forwards        yes            see below        no
//
// What a forwarding stack sends. Netstack treats a packet to forward, towards
// a link without checksum offload, as one whose checksum has yet to be
// computed, and computes it anew. That is wrong twice: a packet that was
// damaged on its way becomes valid, and in a fragment of an IPv4 datagram the
// bytes where a header would be are overwritten. So the links of a forwarding
// stack offer checksum offload and keep the promise themselves: what the stack
// forwards (netstack marks it) has been complete when it came and passes
// untouched; in what the stack itself sends, this file fills in the checksum.
//
// One case needs memory. A datagram of the stack itself that is longer than
// the MTU arrives here as fragments with a checksum of zero. In IPv4 that means
// "none" and is allowed (RFC 768). In IPv6 it is not (RFC 8200, section 8.1),
// and the checksum stands in the first fragment but depends on all of them. They
// come one after the other from one call, so they are held until the last one is
// there.
//
// A packet may still arrive that was built for an offload the pair has
// withdrawn meanwhile (its stack was attached first): segments that are too
// long are cut here, and partial checksums completed.

// gsoMaxSize is the length of the longest GSO packet in bytes: what the length
// field of IPv4 can say.
const gsoMaxSize = 65535

// plainCapabilities are those of a link without offloads of its own.
func plainCapabilities(forwards bool) stack.LinkEndpointCapabilities {
	if forwards {
		return stack.CapabilityTXChecksumOffload
	}
	return stack.CapabilityNone
}

// isSuper reports whether pkt is one long TCP segment that stands for several.
func isSuper(pkt *stack.PacketBuffer) bool {
	g := &pkt.GSOOptions
	return g.Type != stack.GSONone && g.MSS != 0 && pkt.Data().Size() > int(g.MSS)
}

// wireSize is the length of the longest IP packet that pkt is on a real wire.
func wireSize(pkt *stack.PacketBuffer) int {
	if isSuper(pkt) {
		return pkt.HeaderSize() - linkLen(pkt) + int(pkt.GSOOptions.MSS)
	}
	return ipSize(pkt)
}

// needsChecksum reports whether netstack left a partial checksum in pkt.
func needsChecksum(pkt *stack.PacketBuffer) bool {
	return pkt.GSOOptions.Type != stack.GSONone && pkt.GSOOptions.NeedsCsum
}

// fillChecksum computes the checksum of a whole TCP or UDP packet, unless it
// has one that is not partial.
func fillChecksum(pkt *stack.PacketBuffer) {
	t := pkt.TransportHeader().Slice()
	length := uint16(len(t) + pkt.Data().Size())
	switch pkt.TransportProtocolNumber {
	case header.TCPProtocolNumber:
		h := header.TCP(t)
		if len(h) < header.TCPMinimumSize || h.Checksum() != 0 && !needsChecksum(pkt) {
			return
		}
		h.SetChecksum(0)
		h.SetChecksum(^h.CalculateChecksum(payloadSum(pkt, length)))
	case header.UDPProtocolNumber:
		h := header.UDP(t)
		if len(h) < header.UDPMinimumSize || h.Checksum() != 0 {
			return
		}
		h.SetChecksum(udpChecksum(h.CalculateChecksum(payloadSum(pkt, length))))
	}
}

func payloadSum(pkt *stack.PacketBuffer, length uint16) uint16 {
	ip := pkt.Network()
	pseudo := header.PseudoHeaderChecksum(pkt.TransportProtocolNumber, ip.SourceAddress(), ip.DestinationAddress(), length)
	return checksum.Combine(pseudo, pkt.Data().Checksum())
}

// udpChecksum turns a sum into the checksum of UDP, in which zero means none.
func udpChecksum(sum uint16) uint16 {
	if c := ^sum; c != 0 {
		return c
	}
	return 0xffff
}

// segment cuts the TCP segment pkt into segments of its MSS and hands each to
// emit with all lengths, flags and checksums in place. emit does not keep what
// it is given; the caller keeps pkt.
func segment(pkt *stack.PacketBuffer, emit func(*stack.PacketBuffer)) {
	link, ip, tcp := pkt.LinkHeader().Slice(), pkt.NetworkHeader().Slice(), header.TCP(pkt.TransportHeader().Slice())
	if len(tcp) < header.TCPMinimumSize {
		return
	}
	data := pkt.Data().AsRange().ToView()
	defer data.Release()
	rest := data.AsSlice()
	mss := int(pkt.GSOOptions.MSS)
	seq, flags := tcp.SequenceNumber(), tcp.Flags()
	for i := 0; len(rest) > 0; i++ {
		part := rest[:min(mss, len(rest))]
		rest = rest[len(part):]
		seg := stack.NewPacketBuffer(stack.PacketBufferOptions{
			ReserveHeaderBytes: len(link) + len(ip) + len(tcp),
			Payload:            buffer.MakeWithView(buffer.NewViewWithData(part)),
		})
		t := header.TCP(seg.TransportHeader().Push(len(tcp)))
		copy(t, tcp)
		n := seg.NetworkHeader().Push(len(ip))
		copy(n, ip)
		if len(link) > 0 {
			copy(seg.LinkHeader().Push(len(link)), link)
		}
		seg.NetworkProtocolNumber = pkt.NetworkProtocolNumber
		seg.TransportProtocolNumber = header.TCPProtocolNumber

		f := flags
		if len(rest) > 0 { // only the last segment ends or pushes
			f &^= header.TCPFlagFin | header.TCPFlagPsh
		}
		if i > 0 { // the window reduction is told once (RFC 3168, section 6.1.2)
			f &^= flagCWR
		}
		t.SetFlags(uint8(f))
		t.SetSequenceNumber(seq)
		seq += uint32(len(part))
		setLength(n, len(n)+len(t)+len(part), i)
		t.SetChecksum(0)
		fillChecksum(seg)
		emit(seg)
		seg.DecRef()
	}
}

// superOf makes a packet buffer of one long TCP segment, ready for segment: b
// has a link header of link bytes, its TCP header of tcp bytes begins at
// transport, and it stands for segments of mss bytes. It copies b.
func superOf(b []byte, link, transport, tcp, mss int) *stack.PacketBuffer {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithView(buffer.NewViewWithData(b))})
	if link > 0 {
		pkt.LinkHeader().Consume(link)
	}
	pkt.NetworkHeader().Consume(transport - link)
	pkt.TransportHeader().Consume(tcp)
	pkt.TransportProtocolNumber = header.TCPProtocolNumber
	pkt.NetworkProtocolNumber = header.IPv4ProtocolNumber
	if b[link]>>4 == header.IPv6Version {
		pkt.NetworkProtocolNumber = header.IPv6ProtocolNumber
	}
	pkt.GSOOptions = stack.GSO{Type: stack.GSOTCPv4, MSS: uint16(mss), NeedsCsum: true}
	return pkt
}

// transportPart is what an IP packet carries.
type transportPart struct {
	b        []byte
	at       int // where it begins in the packet
	proto    tcpip.TransportProtocolNumber
	src, dst tcpip.Address
}

// transportOf finds it in a packet that check and atOnce have passed.
func transportOf(ip []byte, proto tcpip.NetworkProtocolNumber) transportPart {
	if proto == header.IPv4ProtocolNumber {
		h := header.IPv4(ip)
		at := int(h.HeaderLength())
		return transportPart{ip[at:h.TotalLength()], at, h.TransportProtocol(), h.SourceAddress(), h.DestinationAddress()}
	}
	h := header.IPv6(ip)
	const at = header.IPv6MinimumSize
	return transportPart{ip[at : at+int(h.PayloadLength())], at, tcpip.TransportProtocolNumber(h.NextHeader()), h.SourceAddress(), h.DestinationAddress()}
}

// sum is the sum over the transport header, its data and the pseudo header.
func (p *transportPart) sum() uint16 {
	return checksum.Checksum(p.b, header.PseudoHeaderChecksum(p.proto, p.src, p.dst, uint16(len(p.b))))
}

// flagCWR is "congestion window reduced", RFC 3168.
const flagCWR header.TCPFlags = 1 << 7

// setLength makes the IP header b that of a packet of total bytes, the i-th
// that was cut from one.
func setLength(b []byte, total, i int) {
	if b[0]>>4 == header.IPv6Version {
		header.IPv6(b).SetPayloadLength(uint16(total - header.IPv6MinimumSize))
		return
	}
	h := header.IPv4(b)
	h.SetTotalLength(uint16(total))
	h.SetID(h.ID() + uint16(i))
	h.SetChecksum(0)
	h.SetChecksum(^h.CalculateChecksum())
}

// datagrams completes what a stack sends through a link that only promised to
// compute checksums. Its zero value is ready.
type datagrams struct {
	mu   sync.Mutex
	open map[datagramKey]*datagram
	last uint64
}

// maxDatagrams is how many IPv6 datagrams may be incomplete at a time: each
// belongs to a call that is in the middle of sending it.
const maxDatagrams = 64

type datagramKey struct {
	src, dst [16]byte
	id       uint32
}

type datagram struct {
	number uint64 // in the order of arrival, for eviction
	first  *buffer.View
	link   int // length of first's Ethernet header
	rest   []*stack.PacketBuffer
	sum    uint16
	need   int // bytes of the UDP datagram still to come
}

const (
	fragmentEnd    = header.IPv6MinimumSize + header.IPv6FragmentHeaderSize // of both headers
	udpLengthAt    = 4
	udpChecksumAt  = 6
	fragmentHeader = 44 // IPv6-Frag, RFC 8200, section 4.5
)

// finish hands pkt to emit in a form that a real wire can carry: in segments
// of the MSS and with its checksums in place. forwards says whether the stack
// that sends it forwards.
func (d *datagrams) finish(pkt *stack.PacketBuffer, forwards bool, emit func(*stack.PacketBuffer)) {
	switch {
	case isSuper(pkt):
		segment(pkt, emit)
	case pkt.NetworkPacketInfo.IsForwardedPacket, !forwards && !needsChecksum(pkt):
		emit(pkt)
	default:
		d.complete(pkt, emit)
	}
}

// complete hands pkt to emit once its checksum is in place. The caller keeps
// pkt; emit does not keep what it is given.
func (d *datagrams) complete(pkt *stack.PacketBuffer, emit func(*stack.PacketBuffer)) {
	ip := pkt.NetworkHeader().Slice()
	if atOnce(ip) {
		fillChecksum(pkt)
	} else if len(ip) == fragmentEnd && ip[0]>>4 == header.IPv6Version && ip[6] == fragmentHeader &&
		ip[header.IPv6MinimumSize] == uint8(header.UDPProtocolNumber) {
		d.fragment(pkt, ip, emit)
		return
	}
	emit(pkt)
}

// fragment takes one fragment of an IPv6 datagram.
func (d *datagrams) fragment(pkt *stack.PacketBuffer, ip []byte, emit func(*stack.PacketBuffer)) {
	key := datagramKey{id: binary.BigEndian.Uint32(ip[header.IPv6MinimumSize+4:])}
	copy(key.src[:], ip[8:])
	copy(key.dst[:], ip[24:])
	offset := binary.BigEndian.Uint16(ip[header.IPv6MinimumSize+2:]) &^ 7
	whole := pkt.ToView()
	link := linkLen(pkt)
	payload := whole.AsSlice()[link+fragmentEnd:]

	d.mu.Lock()
	g := d.open[key]
	switch {
	case offset == 0 && g == nil && len(payload) >= header.UDPMinimumSize &&
		binary.BigEndian.Uint16(payload[udpChecksumAt:]) == 0:
		g = d.begin(key)
		g.need = int(binary.BigEndian.Uint16(payload[udpLengthAt:]))
		ip := header.IPv6(ip)
		g.sum = header.PseudoHeaderChecksum(header.UDPProtocolNumber, ip.SourceAddress(), ip.DestinationAddress(), uint16(g.need))
		g.first, g.link = whole, link
	case offset != 0 && g != nil:
		g.rest = append(g.rest, pkt.Clone())
		defer whole.Release()
	default: // its checksum is in place, or it is none of ours
		d.mu.Unlock()
		whole.Release()
		emit(pkt)
		return
	}
	// Every fragment but the last has a multiple of 8 bytes, so that the sums
	// add up whatever their order.
	g.sum = checksum.Combine(g.sum, checksum.Checksum(payload, 0))
	g.need -= len(payload)
	if g.need > 0 {
		d.mu.Unlock()
		return
	}
	delete(d.open, key)
	d.mu.Unlock()
	g.send(emit)
}

// begin makes room for one more datagram. It is called with d.mu held.
func (d *datagrams) begin(key datagramKey) *datagram {
	if d.open == nil {
		d.open = make(map[datagramKey]*datagram)
	}
	if len(d.open) >= maxDatagrams {
		var oldest datagramKey
		least := d.last + 1
		for k, g := range d.open {
			if g.number < least {
				oldest, least = k, g.number
			}
		}
		d.open[oldest].drop()
		delete(d.open, oldest)
	}
	d.last++
	g := &datagram{number: d.last}
	d.open[key] = g
	return g
}

func (g *datagram) send(emit func(*stack.PacketBuffer)) {
	binary.BigEndian.PutUint16(g.first.AsSlice()[g.link+fragmentEnd+udpChecksumAt:], udpChecksum(g.sum))
	first := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithView(g.first)})
	if g.link > 0 {
		first.LinkHeader().Consume(g.link)
	}
	first.NetworkHeader().Consume(fragmentEnd)
	first.NetworkProtocolNumber = header.IPv6ProtocolNumber
	emit(first)
	first.DecRef()
	for _, pkt := range g.rest {
		emit(pkt)
		pkt.DecRef()
	}
}

func (g *datagram) drop() {
	g.first.Release()
	for _, pkt := range g.rest {
		pkt.DecRef()
	}
}

func (d *datagrams) clear() {
	d.mu.Lock()
	open := d.open
	d.open = nil
	d.mu.Unlock()
	for _, g := range open {
		g.drop()
	}
}
