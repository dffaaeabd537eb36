package differ

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"usersock/stack/endpoint"
)

// wire is the far end of a side's interface: whole IP packets.
type wire interface {
	inject(packet []byte)
	next(d time.Duration) []byte // the next packet that the side sent; nil after d
}

// device is our side's wire.
type device struct {
	sent chan []byte

	mu      sync.Mutex
	deliver func([]byte)
}

func newDevice() *device { return &device{sent: make(chan []byte, 1024)} }

func (d *device) MTU() int { return 1500 }

func (d *device) Send(packet []byte) error {
	select {
	case d.sent <- append([]byte(nil), packet...):
	default: // nobody reads: as a queue that is full
	}
	return nil
}

func (d *device) Attach(deliver func([]byte)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deliver = deliver
}

func (d *device) Close() error { return nil }

func (d *device) inject(packet []byte) {
	d.mu.Lock()
	deliver := d.deliver
	d.mu.Unlock()
	if deliver != nil {
		deliver(packet)
	}
}

func (d *device) next(wait time.Duration) []byte {
	select {
	case p := <-d.sent:
		return p
	case <-time.After(wait):
		return nil
	}
}

const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
)

// The bits of a TCP header.
const (
	tcpFIN = 1 << iota
	tcpSYN
	tcpRST
	tcpPSH
	tcpACK
	tcpURG
)

var tcpFlags = []struct {
	bit  int
	name string
}{{tcpSYN, "SYN"}, {tcpFIN, "FIN"}, {tcpRST, "RST"}, {tcpURG, "URG"}, {tcpACK, "ACK"}}

// A packet is what a peer reads of one.
type packet struct {
	raw              []byte
	src, dst         netip.Addr
	proto            int
	srcPort, dstPort uint16
	flags            int
	seq, ack         uint32
	data             []byte
}

func parsePacket(b []byte) (p packet, ok bool) {
	if len(b) < 20 {
		return p, false
	}
	p.raw = b
	var rest []byte
	switch b[0] >> 4 {
	case 4:
		n, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
		if total > len(b) || n > total {
			return p, false
		}
		p.src, p.dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		p.proto, rest = int(b[9]), b[n:total]
	case 6:
		if len(b) < 40 {
			return p, false
		}
		p.src, p.dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		p.proto, rest = int(b[6]), b[40:]
	default:
		return p, false
	}
	switch {
	case p.proto == protoTCP && len(rest) >= 20:
		p.seq, p.ack = binary.BigEndian.Uint32(rest[4:]), binary.BigEndian.Uint32(rest[8:])
		p.flags = int(rest[13])
		n := int(rest[12]>>4) * 4
		if n > len(rest) {
			return p, false
		}
		p.data = rest[n:]
	case p.proto == protoUDP && len(rest) >= 8:
		p.data = rest[8:]
	default:
		return p, p.proto != protoTCP && p.proto != protoUDP
	}
	p.srcPort, p.dstPort = binary.BigEndian.Uint16(rest), binary.BigEndian.Uint16(rest[2:])
	return p, true
}

func sum(b []byte, s uint32) uint32 {
	for ; len(b) > 1; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

func fold(s uint32) uint16 {
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return ^uint16(s)
}

// buildIP puts an IP header before a payload whose checksum is at offset at.
func buildIP(src, dst netip.Addr, proto int, payload []byte, at int) []byte {
	pseudo := append(src.AsSlice(), dst.AsSlice()...)
	s := sum(pseudo, uint32(proto)+uint32(len(payload)))
	if proto == protoICMP {
		s = 0
	}
	binary.BigEndian.PutUint16(payload[at:], fold(sum(payload, s)))
	if src.Is4() {
		h := make([]byte, 20)
		h[0], h[8], h[9] = 0x45, 64, byte(proto)
		binary.BigEndian.PutUint16(h[2:], uint16(20+len(payload)))
		copy(h[12:], src.AsSlice())
		copy(h[16:], dst.AsSlice())
		binary.BigEndian.PutUint16(h[10:], fold(sum(h, 0)))
		return append(h, payload...)
	}
	h := make([]byte, 40)
	h[0], h[6], h[7] = 0x60, byte(proto), 64
	binary.BigEndian.PutUint16(h[4:], uint16(len(payload)))
	copy(h[8:], src.AsSlice())
	copy(h[24:], dst.AsSlice())
	return append(h, payload...)
}

// A peer is one TCP port, or UDP port, on the far end of the interface, which
// does only what the sequence says. Its sequence numbers are written as
// distances from the first, and so are the stack's.
type peer struct {
	s        *script
	w        wire
	ip       netip.Addr
	port     uint16
	own      netip.Addr // the stack's end
	ownPort  uint16
	isn, nxt uint32 // its own
	iss, rcv uint32 // the stack's
	known    bool   // iss is
	before   uint32 // rcv before the last packet that was expected
	last     packet
}

const (
	peer4, peer6 = "192.0.2.2", "2001:db8::2"
	peerISN      = 5000
)

// peerPorts makes the ports of a process's peers differ: a connection of an
// earlier sequence may still rest in TIME-WAIT.
var peerPorts = struct {
	sync.Mutex
	n uint16
}{n: 2000}

// peer returns a new peer of the version of IP that the script's addresses are of.
func (s *script) peer() *peer {
	peerPorts.Lock()
	if peerPorts.n++; peerPorts.n > 30000 {
		peerPorts.n = 2001
	}
	port := peerPorts.n
	peerPorts.Unlock()
	p := &peer{s: s, w: s.net.wire(), port: port, isn: peerISN, nxt: peerISN}
	p.ip, p.own = netip.MustParseAddr(peer4), netip.MustParseAddr(own4)
	if s.af == endpoint.AF_INET6 && !s.mapped {
		p.ip, p.own = netip.MustParseAddr(peer6), netip.MustParseAddr(own6)
	}
	s.nameIt(port, "peer")
	return p
}

func (p *peer) addr() endpoint.Addr {
	if p.s.mapped {
		return p.mapped()
	}
	return endpoint.Inet(netip.AddrPortFrom(p.ip, p.port))
}

// toward makes the peer send to the port that a socket is bound to.
func (p *peer) toward(s *sock) {
	a, err := p.s.net.getsockname(s.h)
	if err != nil {
		p.s.broken("getsockname of %s: %v", s.name, err)
	}
	p.ownPort = a.Port
}

// opened is a new peer that has opened a connection to a listener.
func (s *script) opened(l *sock) *peer {
	p := s.peer()
	p.toward(l)
	p.send("SYN", "")
	p.expect("SYN|ACK")
	p.send("ACK", "")
	return p
}

// matches reports whether a packet is what expect asks for.
func (p *peer) matches(k packet, what string) bool {
	if k.dst != p.ip || k.dstPort != p.port {
		return false
	}
	switch what {
	case "UDP":
		return k.proto == protoUDP
	case "DATA":
		return k.proto == protoTCP && len(k.data) > 0 && k.seq == p.rcv
	case "ACK":
		return k.proto == protoTCP && k.flags&(tcpSYN|tcpFIN|tcpRST) == 0 && k.ack == p.nxt
	case "SYN":
		return k.proto == protoTCP && k.flags&(tcpSYN|tcpACK) == tcpSYN
	case "SYN|ACK":
		return k.proto == protoTCP && k.flags&(tcpSYN|tcpACK) == tcpSYN|tcpACK
	case "FIN":
		return k.proto == protoTCP && k.flags&tcpFIN != 0
	case "RST":
		return k.proto == protoTCP && k.flags&tcpRST != 0
	case "END or ACK":
		return p.matches(k, "END") || p.matches(k, "ACK")
	case "END": // FIN or RST, whichever comes
		return k.proto == protoTCP && k.flags&(tcpRST|tcpFIN) != 0
	}
	panic("no such packet: " + what)
}

// expect waits for a packet: SYN, SYN|ACK, FIN, RST, END (either of them), DATA,
// UDP, or ACK, which is one that acknowledges everything. Packets of other
// kinds are passed over.
func (p *peer) expect(what string) {
	p.s.step("peer expects "+what, func() string {
		for end := time.Now().Add(p.s.patience); ; {
			b := p.w.next(time.Until(end))
			if b == nil {
				return "nothing came"
			}
			k, ok := parsePacket(b)
			if !ok || !p.matches(k, what) {
				continue
			}
			p.ownPort, p.last = k.srcPort, k
			if k.proto == protoUDP {
				return fmt.Sprintf("%q", k.data)
			}
			if !p.known {
				p.iss, p.rcv, p.known = k.seq, k.seq, true
			}
			text := fmt.Sprintf("%s seq %d", flagsText(k.flags), int32(k.seq-p.iss))
			if k.flags&tcpACK != 0 {
				text += fmt.Sprintf(" ack %d", int32(k.ack-p.isn))
			}
			if len(k.data) > 0 {
				text += fmt.Sprintf(" %q", k.data)
			}
			next := k.seq + uint32(len(k.data))
			if k.flags&tcpSYN != 0 {
				next++
			}
			if k.flags&tcpFIN != 0 {
				next++
			}
			if k.flags&tcpRST == 0 && int32(next-p.rcv) > 0 {
				p.before, p.rcv = p.rcv, next
			}
			return text
		}
	})
}

func flagsText(flags int) string {
	var names []string
	for _, f := range tcpFlags {
		if flags&f.bit != 0 {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, "|")
}

// send sends a segment with flags (as SYN|ACK) and data.
func (p *peer) send(flags, data string) { p.segment("peer sends "+flags, flags, data, p.rcv) }

// sendOld is send without acknowledging the last packet that was expected.
func (p *peer) sendOld(flags, data string) {
	p.segment("peer, without acknowledging the last, sends "+flags, flags, data, p.before)
}

func (p *peer) segment(call, flags, data string, ack uint32) {
	if data != "" {
		call += fmt.Sprintf(" %q", data)
	}
	p.s.step(call, func() string {
		p.w.inject(p.packet(flags, data, ack))
		return "ok"
	})
}

// sendTogether sends two segments, the second before the first has had an effect.
// Neither acknowledges the last packet that was expected.
func (p *peer) sendTogether(first, second string) {
	p.s.step("peer sends "+first+" and "+second+" together", func() string {
		packets := [][]byte{p.packet(first, "", p.before), p.packet(second, "", p.before)}
		for _, b := range packets {
			p.w.inject(b)
		}
		return "ok"
	})
}

// packet makes the next segment.
func (p *peer) packet(flags, data string, ack uint32) []byte {
	bits := 0
	for name := range strings.SplitSeq(flags, "|") {
		for _, f := range tcpFlags {
			if f.name == name {
				bits |= f.bit
			}
		}
	}
	b := make([]byte, 20, 24+len(data))
	binary.BigEndian.PutUint16(b, p.port)
	binary.BigEndian.PutUint16(b[2:], p.ownPort)
	binary.BigEndian.PutUint32(b[4:], p.nxt)
	if bits&tcpACK != 0 {
		binary.BigEndian.PutUint32(b[8:], ack)
	}
	b[13] = byte(bits)
	binary.BigEndian.PutUint16(b[14:], 60000)
	if bits&tcpURG != 0 {
		binary.BigEndian.PutUint16(b[18:], uint16(len(data)))
	}
	if bits&tcpSYN != 0 {
		b = append(b, 2, 4, 1400>>8, 1400&255) // the maximum segment size
	}
	b[12] = byte(len(b) / 4 << 4)
	b = append(b, data...)
	p.nxt += uint32(len(data))
	if bits&tcpSYN != 0 {
		p.nxt++
	}
	if bits&tcpFIN != 0 {
		p.nxt++
	}
	return buildIP(p.ip, p.own, protoTCP, b, 16)
}

// datagram sends a UDP datagram.
func (p *peer) datagram(data string) {
	p.s.step(fmt.Sprintf("peer sends a datagram %q", data), func() string {
		b := make([]byte, 8, 8+len(data))
		binary.BigEndian.PutUint16(b, p.port)
		binary.BigEndian.PutUint16(b[2:], p.ownPort)
		binary.BigEndian.PutUint16(b[4:], uint16(8+len(data)))
		p.w.inject(buildIP(p.ip, p.own, protoUDP, append(b, data...), 6))
		return "ok"
	})
}

// icmp answers the last packet that was expected with an error of ICMP, of
// ICMPv6 where that is the version. info is the second word of its header.
func (p *peer) icmp(typ, code int, info uint32) {
	p.s.step(fmt.Sprintf("peer sends ICMP type %d code %d", typ, code), func() string {
		b := make([]byte, 8)
		b[0], b[1] = byte(typ), byte(code)
		binary.BigEndian.PutUint32(b[4:], info)
		b = append(b, p.last.raw[:min(len(p.last.raw), 500)]...)
		proto := protoICMP
		if p.ip.Is6() {
			proto = protoICMPv6
		}
		p.w.inject(buildIP(p.ip, p.own, proto, b, 2))
		return "ok"
	})
}
