package differ

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"usersock/stack/endpoint"
)

// What sequences about errors do: sockets that asked for errors, ICMP messages
// and the error queue.

// recverrStream opens a stream socket that asked for errors.
func (s *script) recverrStream(name string) *sock {
	a := s.stream(name)
	a.set(s.recverr(), 1)
	return a
}

func askedSynSent(s *script) (*sock, *peer) {
	p := s.peer()
	a := s.recverrStream("a")
	a.connect(p.addr())
	p.expect("SYN")
	return a, p
}

func askedSynRecv(s *script) (*sock, *peer) {
	a, p := askedSynSent(s)
	p.sendOld("SYN", "")
	p.expect("SYN|ACK")
	return a, p
}

func askedEstablished(s *script) (*sock, *peer) {
	a, p := askedSynSent(s)
	p.send("SYN|ACK", "")
	p.expect("ACK")
	return a, p
}

// halfOpen answers the second segment of a handshake with an error.
func halfOpen(s *script, code4, code6 int) {
	l := s.recverrStream("l")
	l.bind(s.any(0))
	l.listen(1)
	p := s.peer()
	p.toward(l)
	p.send("SYN", "")
	p.expect("SYN|ACK")
	p.unreachable(code4, code6)
	p.send("ACK", "data")
	p.expect("END or ACK")
	l.accept("x")
	l.errno()
	l.queued()
}

// peer4 is a peer of IPv4, and mapped its address for sockets of AF_INET6.
func (s *script) peer4() *peer {
	p := s.peer()
	p.ip, p.own = netip.MustParseAddr(peer4), netip.MustParseAddr(own4)
	return p
}

func (p *peer) mapped() endpoint.Addr {
	return endpoint.Inet(netip.AddrPortFrom(netip.AddrFrom16(p.ip.As16()), p.port))
}

// farPeer is a peer of an address of its own, which is written as "far": what
// is learnt of the way to one lasts.
func (s *script) farPeer() *peer {
	p := s.peer()
	ip := p.ip.As16()
	ip[15] = byte(10 + p.port%200)
	p.ip = netip.AddrFrom16(ip).Unmap()
	s.far = p.ip
	return p
}

func (s *script) farEstablished() (*sock, *peer) {
	p := s.farPeer()
	a := s.stream("a")
	a.connect(p.addr())
	p.expect("SYN")
	p.send("SYN|ACK", "")
	p.expect("ACK")
	return a, p
}

// unanswered is an address on the silent interface.
func (s *script) unanswered(port uint16) endpoint.Addr {
	s.must(s.net.silent())
	if s.af == endpoint.AF_INET6 {
		return at("2001:db8:77::77", port)
	}
	return at("203.0.113.77", port)
}

// A message is the type and code of ICMP, or ICMPv6.
type message struct{ typ, code int }

// messages are all errors but "too big", some that do not exist, and one that
// is none.
func (s *script) messages() (list []message) {
	if s.af == endpoint.AF_INET6 {
		for code := range 8 {
			list = append(list, message{1, code})
		}
		return append(list, message{3, 0}, message{3, 1}, message{4, 0}, message{4, 1}, message{4, 2})
	}
	for code := range 17 {
		if code != 4 {
			list = append(list, message{3, code})
		}
	}
	return append(list, message{4, 0}, message{11, 0}, message{11, 1}, message{12, 0})
}

// tooBig says that only so many bytes would fit.
func (p *peer) tooBig(mtu uint32) {
	if p.ip.Is6() {
		p.icmp(2, 0, mtu)
	} else {
		p.icmp(3, 4, mtu)
	}
}

// inner is the last packet that was expected, behind its IP header.
func (p *peer) inner() []byte {
	if p.ip.Is6() {
		return p.last.raw[40:]
	}
	return p.last.raw[20:]
}

// forge makes later messages be about a segment far ahead of the last one.
func (p *peer) forge(ahead uint32) {
	p.last.raw = slices.Clone(p.last.raw)
	seq := p.inner()[4:]
	binary.BigEndian.PutUint32(seq, binary.BigEndian.Uint32(seq)+ahead)
}

// lastFrom makes later messages be about a segment from the port of a socket.
func (p *peer) lastFrom(k *sock) {
	p.last.raw = slices.Clone(p.last.raw)
	binary.BigEndian.PutUint16(p.inner(), k.addr().Port)
}

// expectLength waits for data and notes how long the packet is.
func (p *peer) expectLength() {
	p.s.step("peer expects data", func() string {
		for end := time.Now().Add(p.s.patience); ; {
			b := p.w.next(time.Until(end))
			if b == nil {
				return "nothing came"
			}
			if k, ok := parsePacket(b); ok && p.matches(k, "DATA") {
				p.last = k
				return fmt.Sprintf("%d bytes", len(k.raw))
			}
		}
	})
}

// queued takes an error from the error queue and writes it down.
func (k *sock) queued() { k.queuedInto(600, 200, 0) }

func (k *sock) queuedInto(size, control, flags int) {
	call := "error queue"
	if size < 600 || flags != 0 {
		call = fmt.Sprintf("error queue(%d, %d%s)", size, control, flagsArg(flags))
	}
	k.on(call, func() string {
		b := make([]byte, size)
		r, err := k.s.net.recvmsg(k.h, [][]byte{b}, control, flags|errq)
		if err != nil {
			return errText(err)
		}
		text := k.quotedText(b[:r.n], size)
		if rest := r.flags &^ endpoint.MSG_ERRQUEUE; rest != 0 {
			text += " " + msgText(rest)
		}
		if r.flags&endpoint.MSG_ERRQUEUE == 0 {
			text += " without MSG_ERRQUEUE"
		}
		if r.from.Family != endpoint.AF_UNSPEC {
			text += " to " + k.s.addrText(r.from)
		}
		for _, it := range r.items {
			text += ", " + k.s.extendedText(it)
		}
		return text
	})
}

// quotedText is what came back of a packet. Sequence numbers and options of TCP
// are each side's own.
func (k *sock) quotedText(b []byte, room int) string {
	if !k.stream || len(b) < 20 {
		if len(b) == room {
			return fmt.Sprintf("%d bytes", len(b))
		}
		return dataText(b)
	}
	n := min(int(b[12]>>4)*4, len(b))
	return fmt.Sprintf("%s %s to %s %s", flagsText(int(b[13])), k.s.portText(binary.BigEndian.Uint16(b)),
		k.s.portText(binary.BigEndian.Uint16(b[2:])), dataText(b[n:]))
}

// extendedText is struct sock_extended_err and the offender's address behind it.
func (s *script) extendedText(it item) string {
	kind := itemName(it)
	for _, o := range []option{ipRecverr, ipv6Recverr} {
		if it.level == o.level && it.typ == o.number {
			kind = o.name
		}
	}
	if len(it.data) < 16 {
		return fmt.Sprintf("%s %x", kind, it.data)
	}
	text := fmt.Sprintf("%s %s origin %d type %d code %d info %d", kind, endpoint.Errno(binary.NativeEndian.Uint32(it.data)).Name(),
		it.data[4], it.data[5], it.data[6], binary.NativeEndian.Uint32(it.data[8:]))
	if rest := it.data[16:]; strings.Trim(string(rest), "\x00") != "" {
		text += " by " + s.addrText(decode(rest))
	}
	return text
}
