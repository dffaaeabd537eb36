package differ

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"usersock/stack/endpoint"
)

// experiment is a protocol of IP that nobody serves, RFC 3692. The other one,
// 253, netstack takes for an extension header of IPv6.
const experiment = 254

// icmp is the ICMP of the script's version of IP.
func (s *script) icmp() (proto, request, reply int) {
	if s.af == endpoint.AF_INET6 {
		return endpoint.IPPROTO_ICMPV6, 128, 129
	}
	return endpoint.IPPROTO_ICMP, 8, 0
}

func (s *script) rawSocket(name string, proto int) *sock {
	return s.open(name, s.af, endpoint.SOCK_RAW, proto)
}

// rawSequences are about sockets that have no port, and about UDP-Lite.
var rawSequences = []sequence{
	{name: "UDP-Lite, coverage of what is sent", run: func(s *script) {
		a, b := s.litePair()
		a.get(named("UDPLITE_SEND_CSCOV"))
		b.get(named("UDPLITE_RECV_CSCOV"))
		to := b.addr()
		a.sendto(strings.Repeat("x", 20), to, 0)
		b.recv(100, 0)
		for _, v := range []int{0, 3, 8, 12, 20, 70000, -1} {
			a.set(named("UDPLITE_SEND_CSCOV"), v)
			a.get(named("UDPLITE_SEND_CSCOV"))
			a.sendto(strings.Repeat("x", 20), to, 0)
			b.recv(100, 0)
		}
	}},
	{name: "UDP-Lite, coverage of what is received", run: func(s *script) {
		a, b := s.litePair()
		a.set(named("UDPLITE_SEND_CSCOV"), 12)
		for _, v := range []int{12, 13, 0} {
			b.set(named("UDPLITE_RECV_CSCOV"), v)
			a.sendto(strings.Repeat("x", 20), b.addr(), 0)
			b.recv(100, 0)
		}
	}},
	{name: "UDP-Lite and UDP", run: func(s *script) {
		a, b := s.litePair()
		u := s.datagram("u")
		u.set(named("UDPLITE_SEND_CSCOV"), 8)
		u.bind(b.addr())
		a.set(option{"UDPLITE_SEND_CSCOV of SOL_UDP", endpoint.SOL_UDP, endpoint.UDPLITE_SEND_CSCOV}, 0)
		a.connect(s.closedPort(endpoint.SOCK_DGRAM))
		a.send("nobody", 0)
		a.errno()
	}},
	{name: "ping", run: func(s *script) {
		proto, request, reply := s.icmp()
		a := s.open("a", s.af, endpoint.SOCK_DGRAM, proto)
		to := s.lo(0)
		echo := func(typ int, rest string) string { return string([]byte{byte(typ), 0, 0, 0}) + rest }
		a.sockname()
		a.send(echo(request, "\t\t\x00\x01data"), 0)
		a.sendto(echo(request, "\t\t\x00"), to, 0)
		a.sendto(echo(reply, "\x00\x00\x00\x00"), to, 0)
		a.sendto(string([]byte{byte(request), 1, 0, 0, 0, 0, 0, 0}), to, 0)
		a.sendto(echo(request, "\t\t\x00\x01data"), to, oob)
		a.sendto(echo(request, "\t\t\x00\x01data"), to, 0)
		s.nameIt(a.addr().Port, "id") // the kernel counts them from 1 on
		a.sockname()
		a.on("recv of the reply", func() string {
			b := make([]byte, 100)
			n, from, err := s.net.recvfrom(a.h, b, 0)
			if err != nil {
				return errText(err)
			}
			id := "another's identifier"
			if binary.BigEndian.Uint16(b[4:]) == a.addr().Port {
				id = "its own identifier"
			}
			return fmt.Sprintf("%d from %s type %d %s %q", n, s.addrText(from), b[0], id, b[6:n])
		})
		a.bind(s.lo(7))
	}},
	{name: "ping, bound and connected", run: func(s *script) {
		proto, request, _ := s.icmp()
		a := s.open("a", s.af, endpoint.SOCK_DGRAM, proto)
		s.nameIt(4711, "4711")
		a.bind(s.lo(4711))
		a.sockname()
		b := s.open("b", s.af, endpoint.SOCK_DGRAM, proto)
		b.bind(s.lo(4711))
		b.bind(s.foreign(0))
		b.connect(s.lo(0))
		b.send(string([]byte{byte(request), 0, 0, 0, 0, 0, 0, 1}), 0)
		b.peername()
	}},
	{name: "ping of the other version", run: func(s *script) {
		proto := endpoint.IPPROTO_ICMPV6
		if s.af == endpoint.AF_INET6 {
			proto = endpoint.IPPROTO_ICMP
		}
		s.open("a", s.af, endpoint.SOCK_DGRAM, proto)
	}},
	{name: "raw sockets see packets of UDP", run: func(s *script) {
		s.rawSocket("x", 0)
		a := s.rawSocket("a", endpoint.IPPROTO_UDP)
		a.sockname()
		u, v := s.receiver("u"), s.receiver("v")
		v.sendto("hello", u.addr(), 0)
		a.packet()
		u.recv(9, 0)
		a.send("x", 0)
		a.bind(s.foreign(0))
		a.bind(s.lo(77))
		a.sockname()
		a.bind(s.lo(0))
		a.connect(s.lo(0))
		a.bind(s.lo(0))
		a.peername()
		v.sendto("again", u.addr(), 0)
		a.packet()
		a.connect(unspec)
		a.peername()
	}},
	{name: "raw, of any protocol", run: func(s *script) {
		a, b := s.rawSocket("a", experiment), s.rawSocket("b", experiment)
		a.sendto(strings.Repeat("x", 30), s.lo(0), 0)
		b.packet()
		a.sendto(strings.Repeat("x", 30), s.lo(80), 0)
		b.packet()
		a.sendto(strings.Repeat("x", 65536), s.lo(0), 0)
		a.sendto("x", s.lo(0), oob)
		b.recv(9, 0)
		c := s.rawSocket("c", endpoint.IPPROTO_RAW)
		c.recv(9, 0)
	}},
	{name: "raw, of protocol 253", run: func(s *script) {
		a, b := s.rawSocket("a", 253), s.rawSocket("b", 253)
		a.sendto(strings.Repeat("x", 30), s.lo(0), 0)
		b.packet()
	}},
	{name: "raw, in fragments", run: func(s *script) {
		a := s.rawSocket("a", experiment)
		p := s.peer()
		a.sendto(strings.Repeat("x", 3000), s.of(peer4, peer6, 0), 0)
		p.echo(3)
		a.packet()
		a.recv(9, 0)
	}},
	{name: "raw, with the program's own header", run: func(s *script) {
		if s.af == endpoint.AF_INET6 {
			return
		}
		a, b := s.rawSocket("a", endpoint.IPPROTO_RAW), s.rawSocket("b", experiment)
		packet := make([]byte, 25)
		copy(packet, []byte{0x45, 0x10, 0, 0, 0, 0, 0, 0, 33, experiment, 0, 0})
		copy(packet[16:], s.lo(0).IP.AsSlice())
		a.sendto(string(packet), s.lo(0), 0)
		b.packet()
		a.sendto(string(packet[:19]), s.lo(0), 0)
		a.sendto(string(packet)+strings.Repeat("\x00", 1500), s.filtered(0), 0)
	}},
	{name: "raw ICMP, filtered", run: func(s *script) {
		proto, request, reply := s.icmp()
		filter, size := named("ICMP_FILTER"), 4
		if s.af == endpoint.AF_INET6 {
			filter, size = named("ICMP6_FILTER"), 32
		}
		a := s.deaf("a", proto, filter, size)
		blocked := []byte(strings.Repeat("\xff", size))
		blocked[reply/8] &^= 1 << (reply % 8)
		a.setBytes(filter, blocked)
		a.getBytes(filter, 40)
		packet := []byte{byte(request), 0, 0, 0, 0x12, 0x34, 0, 1}
		if s.af == endpoint.AF_INET {
			binary.BigEndian.PutUint16(packet[2:], fold(sum(packet, 0)))
		}
		a.sendto(string(packet), s.lo(0), 0)
		a.packet()
		a.recv(100, 0)
		a.setBytes(filter, []byte{0})
		a.getBytes(filter, 40)
		b := s.rawSocket("b", endpoint.IPPROTO_UDP)
		b.setBytes(filter, blocked)
		b.getBytes(filter, 40)
		s.datagram("c").setBytes(filter, blocked)
	}},
	{name: "raw, with a checksum", run: func(s *script) {
		if s.af == endpoint.AF_INET {
			return
		}
		checksum := named("IPV6_CHECKSUM")
		s.rawSocket("a", endpoint.IPPROTO_ICMPV6).set(checksum, 2)
		b := s.rawSocket("b", endpoint.IPPROTO_UDP)
		for _, v := range []int{6, 5, -2, 0} {
			b.set(checksum, v)
			b.get(checksum)
		}
		b.set(checksum, 6)
		d := s.receiver("d")
		packet := make([]byte, 12)
		packet[0], packet[5] = 9, 12
		binary.BigEndian.PutUint16(packet[2:], d.addr().Port)
		b.on("sendto(a datagram without checksum)", func() string { return count(s.net.sendto(b.h, packet, 0, s.lo(0))) })
		s.nameIt(9<<8, "9<<8")
		d.recv(9, 0)
		b.sendto("x", s.lo(0), 0)
	}},
	{name: "raw, and errors", run: func(s *script) {
		a := s.rawSocket("a", endpoint.IPPROTO_UDP)
		a.set(s.recvErr(), 1)
		d := s.datagram("d")
		d.sendto("to nobody", s.closedPort(endpoint.SOCK_DGRAM), 0)
		a.errno()
		a.recvmsg([]int{0}, space, errq)
		a.errno()
	}},
}

// litePair are two sockets of UDP-Lite, of which b is bound.
func (s *script) litePair() (a, b *sock) {
	a, b = s.lite("a"), s.lite("b")
	b.bind(s.lo(0))
	return a, b
}

// packet receives a packet whole: what of its headers is not chance's, and its
// length.
func (k *sock) packet() {
	k.on("recv of a packet", func() string {
		b := make([]byte, 5000)
		n, from, err := k.s.net.recvfrom(k.h, b, 0)
		if err != nil {
			return errText(err)
		}
		text := fmt.Sprintf("%d from %s", n, k.s.addrText(from))
		if k.s.af == endpoint.AF_INET && n >= 20 {
			b[4], b[5], b[10], b[11] = 0, 0, 0, 0 // identification and checksum
			text += fmt.Sprintf(" header %x", b[:20])
		}
		return text
	})
}

// echo waits for a packet of no protocol in n fragments, and sends them back.
func (p *peer) echo(n int) {
	var got [][]byte
	p.s.step(fmt.Sprintf("peer expects %d fragments", n), func() string {
		text := ""
		for end := time.Now().Add(p.s.patience); len(got) < n; {
			b := p.w.next(time.Until(end))
			if b == nil {
				return "nothing came after" + text
			}
			switch {
			case b[0]>>4 == 4 && b[9] == experiment:
				at := binary.BigEndian.Uint16(b[6:])
				text += fmt.Sprintf(" %d bytes, from %d, more %v;", len(b), at&0x1fff*8, at&0x2000 != 0)
				for i := range 4 {
					b[12+i], b[16+i] = b[16+i], b[12+i]
				}
			case b[0]>>4 == 6 && b[6] == 44 && b[40] == experiment:
				at := binary.BigEndian.Uint16(b[42:])
				text += fmt.Sprintf(" %d bytes, from %d, more %v;", len(b), at&^7, at&1 != 0)
				for i := range 16 {
					b[8+i], b[24+i] = b[24+i], b[8+i]
				}
			default:
				continue
			}
			got = append(got, b)
		}
		return strings.TrimSpace(text)
	})
	p.s.step("peer sends them back", func() string {
		for _, b := range got {
			p.w.inject(b)
		}
		return "ok"
	})
}
