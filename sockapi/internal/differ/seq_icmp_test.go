package differ

import (
	"usersock/sockapi"
	"usersock/stack/endpoint"
)

// ping opens a ping socket of the script's family, and echo is a request for it: the
// kernel fills in identifier and checksum.
func (s *script) ping(name string) *sock {
	proto := endpoint.IPPROTO_ICMP
	if s.af == endpoint.AF_INET6 {
		proto = endpoint.IPPROTO_ICMPV6
	}
	return s.open(name, s.af, endpoint.SOCK_DGRAM, proto)
}

func (s *script) echo() string {
	if s.af == endpoint.AF_INET6 {
		return "\x80\x00\x00\x00\x00\x00\x00\x01data"
	}
	return "\x08\x00\x00\x00\x00\x00\x00\x01data"
}

// echoSequences are about ping and raw sockets. Of a message two bytes are looked
// at: behind them are identifiers that the kernel picks.
var echoSequences = []sequence{
	{name: "ping own addresses", run: func(s *script) {
		a := s.ping("a")
		for _, to := range []endpoint.Addr{s.lo(0), s.own4or6(0), s.any(0)} {
			a.sendto(s.echo(), to, 0)
			a.recvmsg([]int{2}, 0, 0)
		}
		if s.af == endpoint.AF_INET {
			b := s.ping("b")
			b.bind(s.lo(0))
			b.sendto(s.echo(), s.own4or6(0), 0)
			b.recvmsg([]int{2}, 0, 0)
		}
	}},
	{name: "ping another address than the peer's", run: func(s *script) {
		a := s.ping("a")
		a.connect(s.own4or6(0))
		a.send(s.echo(), 0)
		a.recvmsg([]int{2}, 0, 0)
		if s.af == endpoint.AF_INET {
			a.sendto(s.echo(), s.lo(0), 0)
			a.recvmsg([]int{2}, 0, 0)
		}
	}},
	{name: "what ping sockets refuse", run: func(s *script) {
		a := s.ping("a")
		for _, data := range []string{"", "short", s.echo()[:8], "\x00" + s.echo()[1:], s.echo()[:1] + "\x01" + s.echo()[2:]} {
			a.sendto(data, s.lo(0), oob)
			a.sendto(data, s.lo(0), 0)
		}
		a.recv(1, oob)
		a.recv(1, oob|errq)
		a.ioctl("SIOCINQ", sockapi.SIOCINQ)
		a.ioctl("SIOCOUTQ", sockapi.SIOCOUTQ)
		a.recvmsg([]int{2}, 0, trunc)
		a.recv(1, 0)
	}},
	{name: "raw", run: func(s *script) {
		a, b := s.rawSocket("a", 254), s.rawSocket("b", 254)
		b.bind(s.lo(0))
		a.recv(1, oob)
		a.recv(1, oob|errq)
		a.connect(s.lo(0))
		a.shutdown(wr)
		a.send("after the end", 0)
		b.ioctl("SIOCINQ", sockapi.SIOCINQ)
		b.recvmsg([]int{1}, 0, trunc)
	}},
	{name: "raw in parts", run: func(s *script) {
		a, b := s.rawSocket("a", 254), s.rawSocket("b", 254)
		b.bind(s.lo(0))
		a.sendto("in ", s.lo(0), more)
		a.send("parts", 0)
		a.sendto("parts", s.lo(0), 0)
		b.ioctl("SIOCINQ", sockapi.SIOCINQ)
	}},
	{name: "the destination of a raw packet", run: func(s *script) {
		a, b := s.rawSocket("a", 254), s.rawSocket("b", 254)
		b.bind(s.lo(0))
		o := option{"IP_RECVORIGDSTADDR", endpoint.IPPROTO_IP, endpoint.IP_RECVORIGDSTADDR}
		if s.af == endpoint.AF_INET6 {
			o = option{"IPV6_RECVORIGDSTADDR", endpoint.IPPROTO_IPV6, endpoint.IPV6_RECVORIGDSTADDR}
		}
		b.set(o, 1)
		a.sendto("abcd", s.lo(0), 0)
		b.recvmsg([]int{1}, space, 0)
		a.sendto("abc", s.lo(0), 0)
		b.recvmsg([]int{1}, space, 0)
	}},
}
