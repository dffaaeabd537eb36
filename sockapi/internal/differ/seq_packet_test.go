package differ

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"usersock/stack/endpoint"
)

// own4or6 is the script's own address on the interface beside lo.
func (s *script) own4or6(port uint16) endpoint.Addr {
	if s.af == endpoint.AF_INET6 {
		return at(own6, port)
	}
	return at(own4, port)
}

// source is IP_PKTINFO or IPV6_PKTINFO for what is sent.
func (s *script) source(ip string, index int) item {
	a := netip.MustParseAddr(ip)
	if s.af == endpoint.AF_INET {
		return item{level: endpoint.IPPROTO_IP, typ: endpoint.IP_PKTINFO, data: append(append(intBytes(index), a.AsSlice()...), 0, 0, 0, 0)}
	}
	b := a.As16()
	return item{level: endpoint.IPPROTO_IPV6, typ: endpoint.IPV6_PKTINFO, data: append(b[:], intBytes(index)...)}
}

// lite opens a UDP-Lite socket.
func (s *script) lite(name string) *sock {
	return s.open(name, s.af, endpoint.SOCK_DGRAM, endpoint.IPPROTO_UDPLITE)
}

var udpSegment = option{"UDP_SEGMENT", endpoint.SOL_UDP, endpoint.UDP_SEGMENT}

// packetSequences are about single datagrams: what is asked for with one, and what
// is told of one.
var packetSequences = []sequence{
	{name: "to an own address beside lo", run: func(s *script) {
		a, b := s.datagram("a"), s.datagram("b")
		b.bind(s.any(0))
		for _, o := range s.asked() {
			b.set(o, 1)
		}
		a.sendto("x", s.own4or6(b.addr().Port), 0)
		b.recvmsg([]int{9}, space, 0)
		a.sendto("y", s.lo(b.addr().Port), 0)
		b.recvmsg([]int{9}, space, 0)
	}},
	{name: "what comes with an error", run: func(s *script) {
		for i, to := range []endpoint.Addr{s.lo(9), s.own4or6(9)} {
			a := s.datagram(fmt.Sprint("a", i))
			a.set(s.recverr(), 1)
			for _, o := range s.asked() {
				if o.number != endpoint.IP_RECVTOS {
					a.set(o, 1)
				}
			}
			a.sendto("x", to, 0)
			a.recvmsg([]int{9}, space, errq)
			a.sendto("x", to, 0)
			a.recvmsg([]int{9}, 40, errq)
			a.set(soTimestamp, 1)
			a.sendto("x", to, 0)
			a.recvmsg([]int{9}, space, errq)
			a.sendto("x", to, 0)
			a.recvmsg([]int{9}, 0, errq)
		}
	}},
	{name: "sources that are none", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		sources := []string{"224.0.0.1", "255.255.255.255", "0.1.2.3", "198.51.100.1", "127.0.0.9"}
		if s.af == endpoint.AF_INET6 {
			sources = []string{"ff02::1", "2001:db8::99", "fe80::1", "::ffff:127.0.0.1", "::1"}
		}
		for _, ip := range sources {
			a.sendmsgTo([]string{"x"}, 0, b.addr(), s.source(ip, 0))
			a.sendmsgTo([]string{"x"}, 0, b.addr(), s.source(ip, 99))
		}
		b.recv(9, 0)
	}},
	{name: "by an interface", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		any := "0.0.0.0"
		if s.af == endpoint.AF_INET6 {
			any = "::"
		}
		for _, index := range []int{1, 99, -1} {
			a.sendmsgTo([]string{"x"}, 0, b.addr(), s.source(any, index))
		}
		if s.af == endpoint.AF_INET6 {
			a.sendmsgTo([]string{"x"}, 0, b.addr(), s.source(any, 2)) // ::1 by another interface than lo
		}
		b.recv(9, 0)
		b.recv(9, 0)
	}},
	{name: "from an own address to any", run: func(s *script) {
		a, b := s.datagram("a"), s.datagram("b")
		b.bind(s.any(0))
		own := s.own4or6(0)
		a.sendmsgTo([]string{"x"}, 0, s.any(b.addr().Port), s.source(own.IP.String(), 0))
		b.recv(9, 0)
		a.sendmsgTo([]string{"x"}, 0, s.any(b.addr().Port))
		b.recv(9, 0)
		c := s.datagram("c")
		c.bind(own)
		c.sendto("y", s.any(b.addr().Port), 0)
		b.recv(9, 0)
	}},
	{name: "a mark and a priority", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		for _, typ := range []int{endpoint.SO_MARK, endpoint.SO_PRIORITY} {
			for _, data := range [][]byte{intBytes(3), intBytes(3)[:3], append(intBytes(3), 0), nil} {
				a.sendmsgTo([]string{"x"}, 0, b.addr(), item{level: endpoint.SOL_SOCKET, typ: typ, data: data})
			}
		}
		b.recv(9, 0)
		b.recv(9, 0)
		b.recv(9, 0)
	}},
	{name: "longer than any datagram", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		a.set(s.recverr(), 1)
		for _, n := range []int{65536, 65535} {
			a.sendto(strings.Repeat("x", n), b.addr(), 0)
			a.recvmsg([]int{9}, space, errq)
		}
	}},
	{name: "a peer without a port", run: func(s *script) {
		a, b := s.receiver("a"), s.receiver("b")
		b.connect(s.lo(0))
		b.peername()
		a.sendto("x", b.addr(), 0)
		b.recv(9, 0)
		b.sendto("y", a.addr(), 0)
		a.recv(9, 0)
		to := s.closedPort(endpoint.SOCK_DGRAM)
		b.sendto("z", to, 0)
		b.errno()
	}},
	{name: "held back and shut down", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		a.connect(b.addr())
		a.send("be", more)
		a.shutdown(wr)
		a.send("gun", 0)
		b.recv(9, 0)
		a.send("more", more)
		a.send("", more)
		a.send("x", 0)
		b.recv(9, 0)
	}},
	{name: "UDP-Lite in segments", run: func(s *script) {
		a, b := s.lite("a"), s.lite("b")
		b.bind(s.lo(0))
		size := binary.NativeEndian.AppendUint16(nil, 2)
		segments := item{level: endpoint.SOL_UDP, typ: endpoint.UDP_SEGMENT, data: size}
		a.sendmsgTo([]string{"hello"}, 0, b.addr(), segments)
		a.sendmsgTo([]string{"h"}, 0, b.addr(), segments)
		a.sendmsgTo([]string{"h"}, 0, b.addr(), item{level: endpoint.SOL_UDP, typ: endpoint.UDP_SEGMENT, data: size[:1]})
		a.sendmsgTo([]string{"h"}, 0, b.addr(), item{level: endpoint.SOL_UDP, typ: 77})
		a.set(udpSegment, 100)
		a.sendto("hello", b.addr(), 0)
		a.set(udpSegment, 0)
		a.sendto("hello", b.addr(), 0)
		b.recv(9, 0)
	}},
	{name: "IPv6 sources of IPv4", run: func(s *script) {
		if s.af != endpoint.AF_INET6 {
			return
		}
		a := s.datagram("a")
		b := s.open("b", endpoint.AF_INET, endpoint.SOCK_DGRAM, 0)
		b.bind(at("127.0.0.1", 0))
		to := at("::ffff:127.0.0.1", b.addr().Port)
		to.Family = endpoint.AF_INET6
		for _, ip := range []string{"::", "::1", "::ffff:0.0.0.0", "::ffff:127.0.0.9"} {
			a.sendmsgTo([]string{"x"}, 0, to, s.source(ip, 0))
		}
		b.recv(9, 0)
		b.recv(9, 0)
		b.recv(9, 0)
	}},
	{name: "link-local groups", run: func(s *script) {
		if s.af != endpoint.AF_INET6 {
			return
		}
		a := s.datagram("a")
		a.bind(at("ff02::1", 0))
		a.connect(at("ff02::1", 9))
		a.connect(at("fe80::9", 9))
		scoped := at("ff02::1", 0)
		scoped.Scope = 2
		b := s.datagram("b")
		b.bind(scoped)
		b.sockname()
	}},
}
