package differ

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"usersock/stack/endpoint"
)

var (
	ipTransparent   = option{"IP_TRANSPARENT", endpoint.IPPROTO_IP, endpoint.IP_TRANSPARENT}
	ipv6Freebind    = option{"IPV6_FREEBIND", endpoint.IPPROTO_IPV6, endpoint.IPV6_FREEBIND}
	ipv6Transparent = option{"IPV6_TRANSPARENT", endpoint.IPPROTO_IPV6, endpoint.IPV6_TRANSPARENT}
)

// expectFrom waits for a datagram of UDP, and says what its header tells.
func (p *peer) expectFrom() {
	p.s.step("peer expects a datagram and looks at its header", func() string {
		for end := time.Now().Add(p.s.patience); ; {
			b := p.w.next(time.Until(end))
			if b == nil {
				return "nothing came"
			}
			k, ok := parsePacket(b)
			if !ok || !p.matches(k, "UDP") {
				continue
			}
			p.ownPort, p.last = k.srcPort, k
			hops, class := int(b[8]), int(b[1])
			if b[0]>>4 == 6 {
				hops, class = int(b[7]), int(b[0]&15)<<4|int(b[1])>>4
			}
			text := fmt.Sprintf("%q from %v, hops %d class %#x", k.data, k.src, hops, class)
			if b[0]>>4 == 4 && b[6]&0x40 != 0 {
				text += " DF"
			}
			if b[0]>>4 == 4 && fold(sum(b[:20], 0)) != 0 {
				text += ", its IP checksum is wrong"
			}
			if !udpChecksumOK(k) {
				text += ", its checksum is wrong"
			}
			return text
		}
	})
}

// udpChecksumOK verifies the checksum of a whole packet of UDP. A checksum may be
// missing over IPv4.
func udpChecksumOK(k packet) bool {
	at := len(k.raw) - len(k.data) - 8
	segment := k.raw[at:]
	if k.src.Is4() && binary.BigEndian.Uint16(segment[6:]) == 0 {
		return true
	}
	pseudo := append(k.src.AsSlice(), k.dst.AsSlice()...)
	return fold(sum(segment, sum(pseudo, uint32(protoUDP)+uint32(len(segment))))) == 0
}

// expectFragments puts the fragments of one datagram together.
func (p *peer) expectFragments() {
	p.s.step("peer puts fragments together", func() string {
		var whole []byte
		pieces, src := 0, netip.Addr{}
		for end := time.Now().Add(p.s.patience); ; {
			b := p.w.next(time.Until(end))
			if b == nil {
				return fmt.Sprintf("%d pieces, and no last one", pieces)
			}
			head, off, more := 20, 0, false
			if b[0]>>4 == 4 {
				if b[9] != protoUDP {
					continue
				}
				word := binary.BigEndian.Uint16(b[6:])
				off, more, src = int(word&0x1fff)*8, word&0x2000 != 0, netip.AddrFrom4([4]byte(b[12:]))
			} else {
				if b[6] != 44 {
					continue
				}
				word := binary.BigEndian.Uint16(b[42:])
				head, off, more, src = 48, int(word&^7), word&1 != 0, netip.AddrFrom16([16]byte(b[8:]))
			}
			if off != len(whole) {
				return fmt.Sprintf("a piece at %d after %d bytes", off, len(whole))
			}
			whole, pieces = append(whole, b[head:]...), pieces+1
			if more {
				continue
			}
			ok := udpChecksumOK(packet{raw: whole, data: whole[8:], src: src, dst: p.ip})
			return fmt.Sprintf("%d pieces of %d bytes from %v, checksum %v", pieces, len(whole), src, ok)
		}
	})
}

// sendFrom sends with a source in a control item.
func (k *sock) sendFrom(source string, to endpoint.Addr) {
	ip := netip.MustParseAddr(source)
	it := item{level: endpoint.SOL_IP, typ: endpoint.IP_PKTINFO, data: append(append(make([]byte, 4), ip.AsSlice()...), make([]byte, 4)...)}
	if ip.Is6() {
		it = item{level: endpoint.SOL_IPV6, typ: endpoint.IPV6_PKTINFO, data: append(ip.AsSlice(), make([]byte, 4)...)}
	}
	k.on(fmt.Sprintf("sendmsg(%q, %s) from %v", "m", k.s.addrText(to), source), func() string {
		return count(k.s.net.sendmsg(k.h, [][]byte{[]byte("m")}, []item{it}, 0, to))
	})
}

// sourceSequences are about datagrams from addresses that the interface that they
// leave by has not, or that the host has not.
var sourceSequences = []sequence{
	{name: "from nowhere", run: func(s *script) {
		a := s.datagram("a")
		a.bind(at(nowhere, 0))
		a.get(ipFreebind)
		a.set(ipFreebind, 1)
		a.bind(at(nowhere, 0))
		a.sockname()
		p := s.peer()
		a.sendto("free", p.addr(), 0)
		a.connect(p.addr())
		a.get(ipTransparent)
		a.set(ipTransparent, 1)
		a.sendto("transparent", p.addr(), 0)
		p.expectFrom()
		a.connect(p.addr())
		a.sockname()
		a.set(ipTTL, 9)
		a.set(ipTOS, 0x20)
		a.set(ipMTUDisc, 0)
		a.send("again", 0)
		p.expectFrom()
		a.send(strings.Repeat("f", 3000), 0)
		p.expectFragments()
		b := s.stream("b")
		b.set(ipFreebind, 1)
		b.bind(at(nowhere, 0))
	}},
	{name: "transparent alone", run: func(s *script) {
		a := s.datagram("a")
		a.set(ipTransparent, 1)
		a.get(ipFreebind)
		a.bind(at(nowhere, 0))
		a.connect(s.lo(9))
		a.close()
		b := s.datagram("b")
		b.set(ipTransparent, 1)
		b.bind(at("127.0.0.1", 0))
		b.sendto("x", s.filtered(9), 0)
	}},
	{name: "from nowhere by a control item", run: func(s *script) {
		p := s.peer()
		a := s.datagram("a")
		a.sendFrom(nowhere, p.addr())
		a.set(ipFreebind, 1)
		a.sendFrom(nowhere, p.addr())
		a.set(ipTransparent, 1)
		a.sendFrom(nowhere, p.addr())
		p.expectFrom()
		a.sendFrom("127.0.0.1", p.addr())
		a.sendFrom(own4, p.addr())
		p.expectFrom()
	}},
	{name: "from a broadcast address by a control item", run: func(s *script) {
		r := s.receiver("r")
		a := s.datagram("a")
		for _, ip := range []string{"127.255.255.255", "192.0.2.255", "255.255.255.255", "127.0.0.0", "192.0.2.0", "224.0.0.1", "127.255.255.254"} {
			a.sendFrom(ip, r.addr())
			a.sendFrom(ip, s.filtered(9))
		}
		r.recv(9, 0)
		r.recv(9, 0)
		a.sendto("x", r.addr(), 0)
		b := s.datagram("b")
		b.bind(at("127.255.255.255", 0))
		b.sendto("y", r.addr(), 0)
		b.sendto("z", s.any(9), 0)
		b.connect(r.addr())
		b.sockname()
		r.recv(9, 0)
		r.recv(9, 0)
	}},
	{name: "source of a connection to another loopback address", run: func(s *script) {
		for _, to := range []string{"127.3.2.1", "127.0.0.1", "127.255.255.254"} {
			a := s.datagram("a")
			a.connect(at(to, 9))
			a.sockname()
			a.connect(s.filtered(9))
			a.sockname()
			l, c := s.stream("l"), s.stream("c")
			l.bind(at(to, 0))
			l.listen(1)
			c.connect(l.addr())
			c.sockname()
			p := l.accept("p")
			d := s.stream("d")
			d.bind(at("127.0.0.9", 0))
			d.connect(l.addr())
			d.sockname()
			e := s.stream("e")
			e.connect(s.foreign(9))
			e.connect(l.addr())
			e.sockname()
			e.peername()
			for _, k := range []*sock{a, l, c, p, d, e} { // the names are used again
				k.close()
			}
		}
		r, a := s.datagram("r"), s.datagram("a")
		r.bind(at("127.9.9.9", 0))
		a.sendto("x", r.addr(), 0)
		r.recv(9, 0)
		a.sockname()
	}},
}

var ipNoPort = option{"IP_BIND_ADDRESS_NO_PORT", endpoint.IPPROTO_IP, endpoint.IP_BIND_ADDRESS_NO_PORT}

// noPortSequences bind to an address, and leave the port for later.
var noPortSequences = []sequence{
	{name: "bind without a port, connect", run: func(s *script) {
		l := s.listener()
		a := s.stream("a")
		a.set(ipNoPort, 1)
		a.get(ipNoPort)
		a.bind(s.lo(0))
		a.sockname()
		a.bind(s.foreign(0))
		a.sockname()
		a.bind(s.any(0))
		a.sockname()
		a.bind(s.lo(0))
		a.connect(l.addr())
		a.sockname()
		a.bind(s.lo(0))
		l.accept("p")
		b := s.stream("b")
		b.set(ipNoPort, 1)
		b.bind(s.lo(0))
		b.connect(s.closedPort(endpoint.SOCK_STREAM))
		b.errno()
		b.sockname()
		b.connect(l.addr())
		b.connect(l.addr())
		b.sockname()
		b.connect(unspec)
		b.sockname()
	}},
	{name: "bind without a port, another address", run: func(s *script) {
		l := s.listener()
		a := s.stream("a")
		a.set(ipNoPort, 1)
		if s.af == endpoint.AF_INET {
			a.bind(at("127.0.0.5", 0))
		} else {
			a.bind(at(own6, 0))
		}
		a.sockname()
		a.connect(l.addr())
		a.sockname()
		l.accept("p")
	}},
	{name: "bind without a port, listen", run: func(s *script) {
		a := s.stream("a")
		a.set(ipNoPort, 1)
		a.bind(s.lo(0))
		a.listen(1)
		a.sockname()
		c := s.stream("c")
		c.connect(a.addr())
		a.accept("p")
		b := s.stream("b")
		b.set(ipNoPort, 1)
		b.bind(s.any(0))
		b.listen(1)
		b.sockname()
		d := s.stream("d")
		d.set(ipNoPort, 1)
		d.bind(b.addr())
		d.bind(a.addr())
		d.bind(s.lo(0))
		d.shutdown(wr)
		d.peername()
		d.recv(1, 0)
	}},
	{name: "bind without a port, after a connection", run: func(s *script) {
		l := s.listener()
		a := s.stream("a")
		a.set(ipNoPort, 1)
		a.connect(l.addr())
		p := l.accept("p")
		p.closeReset()
		a.errno()
		a.sockname()
		a.bind(s.foreign(0))
		a.bind(s.lo(0))
		a.sockname()
		a.connect(l.addr())
		a.connect(l.addr())
		a.sockname()
		q := l.accept("q")
		q.peername()
		a.close()
	}},
	{name: "bind without a port, datagrams", run: func(s *script) {
		r := s.receiver("r")
		a := s.datagram("a")
		a.set(ipNoPort, 1)
		a.bind(s.lo(0))
		a.sockname()
		a.bind(s.any(0))
		a.sockname()
		a.bind(s.lo(0))
		a.sendto("x", r.addr(), 0)
		a.sockname()
		a.bind(s.lo(0))
		r.recv(9, 0)
		b := s.datagram("b")
		b.set(ipNoPort, 1)
		b.bind(s.lo(0))
		b.connect(r.addr())
		b.sockname()
		b.connect(unspec)
		b.sockname()
	}},
}

var soSelectErrQueue = option{"SO_SELECT_ERR_QUEUE", endpoint.SOL_SOCKET, endpoint.SO_SELECT_ERR_QUEUE}

// routerSequences are about addresses behind a router, and about errors that
// select(2) hears of.
var routerSequences = []sequence{
	{name: "errors that are urgent", run: func(s *script) {
		recverr := option{"IP_RECVERR", endpoint.IPPROTO_IP, endpoint.IP_RECVERR}
		if s.af == endpoint.AF_INET6 {
			recverr = option{"IPV6_RECVERR", endpoint.IPPROTO_IPV6, endpoint.IPV6_RECVERR}
		}
		a := s.datagram("a")
		a.connect(s.closedPort(endpoint.SOCK_DGRAM))
		a.set(soSelectErrQueue, 1)
		a.get(soSelectErrQueue)
		a.send("x", 0)
		a.errno()
		a.set(recverr, 1)
		a.send("x", 0)
		a.errno()
		a.set(soSelectErrQueue, 0)
		a.recv(0, errq)
		c := s.stream("c")
		c.set(soSelectErrQueue, 1)
		c.connect(s.closedPort(endpoint.SOCK_STREAM))
		c.errno()
	}},
	{name: "no router", run: func(s *script) {
		far, near := at(distant4, 9), s.filtered(9)
		if s.af == endpoint.AF_INET6 {
			far = at(distant6, 9)
		}
		a := s.datagram("a")
		a.sendto("x", far, endpoint.MSG_DONTROUTE)
		a.sendto("x", near, endpoint.MSG_DONTROUTE)
		a.sendto("x", s.lo(9), endpoint.MSG_DONTROUTE)
		a.sendto("x", far, 0)
		a.set(soDontroute, 1)
		a.sendto("x", far, 0)
		a.connect(far)
		a.sendto("x", near, 0)
		a.connect(near)
		b := s.datagram("b")
		b.connect(far)
		b.send("x", endpoint.MSG_DONTROUTE)
		c := s.stream("c")
		c.set(soDontroute, 1)
		c.connect(far)
		c.connect(near)
		c.connect(far)
		d := s.stream("d")
		d.set(soDontroute, 1)
		d.connect(s.lo(9))
	}},
}

// sourceSequences6 are their like of IPv6.
var sourceSequences6 = []sequence{
	{name: "from nowhere, IPv6", run: func(s *script) {
		a := s.datagram("a")
		a.bind(at(nobody6, 0))
		a.set(ipv6Freebind, 1)
		a.get(ipFreebind)
		a.bind(at(nobody6, 0))
		p := s.peer()
		a.sendto("free", p.addr(), 0)
		p.expectFrom()
		a.connect(p.addr())
		a.sockname()
		a.set(ipv6Hops, 9)
		a.set(ipv6Tclass, 0x20)
		a.send("again", 0)
		p.expectFrom()
		a.send(strings.Repeat("f", 3000), 0)
		p.expectFragments()
		b := s.datagram("b")
		b.set(ipv6Transparent, 1)
		b.get(ipTransparent)
		b.bind(at(nobody6, 0))
		b.sendto("transparent", p.addr(), 0)
		p.expectFrom()
	}},
	{name: "from lo, IPv6", run: func(s *script) {
		p := s.peer()
		a := s.receiver("a")
		a.sendto("x", p.addr(), 0)
		p.expectFrom()
		a.connect(p.addr())
		a.sockname()
		b := s.stream("b")
		b.bind(s.lo(0))
		b.connect(p.addr())
	}},
	{name: "from nowhere by a control item, IPv6", run: func(s *script) {
		p := s.peer()
		a := s.datagram("a")
		a.sendFrom(nobody6, p.addr())
		a.sendFrom("::1", p.addr())
		p.expectFrom()
		a.set(ipv6Freebind, 1)
		a.sendFrom(nobody6, p.addr())
		p.expectFrom()
	}},
	{name: "source of a connection to another loopback address, IPv6 socket", run: func(s *script) {
		a := s.datagram("a")
		a.connect(at("::ffff:127.3.2.1", 9))
		a.sockname()
		l, c := s.stream("l"), s.stream("c")
		l.bind(at("::ffff:127.3.2.1", 0))
		l.listen(1)
		c.connect(l.addr())
		c.sockname()
	}},
}
