package differ

import "usersock/stack/endpoint"

// netMessages are about sendmsg and recvmsg over lo, on both sorts of sockets.
var netMessages = []sequence{
	{name: "several buffers", run: func(s *script) {
		a, b := s.talk()
		a.sendmsg([]string{"one ", "", "two"}, 0)
		b.recvmsg([]int{2, 0, 9}, 0, 0)
		a.sendmsg([]string{"longer than that"}, 0)
		b.recvmsg([]int{2, 2}, 0, 0)
		b.recvmsg([]int{50}, 0, 0)
		a.sendmsg([]string{"cut"}, 0)
		b.recvmsg([]int{1}, 0, trunc)
		a.sendmsg([]string{"items"}, 0, item{level: endpoint.SOL_SOCKET, typ: 77, data: make([]byte, 4)})
		a.sendmsg([]string{"items"}, 0, item{level: endpoint.SOL_SOCKET, typ: endpoint.SCM_RIGHTS, data: make([]byte, 4)})
		b.recvmsg([]int{50}, space, errq)
	}},
	{name: "ancillary data asked for", run: func(s *script) {
		a, b := s.talk()
		for _, o := range s.asked() {
			b.set(o, 1)
		}
		a.send("x", 0)
		b.recvmsg([]int{9}, space, 0)
		a.send("y", 0)
		b.recvmsg([]int{9}, 0, 0)
		a.send("z", 0)
		b.recvmsg([]int{9}, 20, 0)
	}},
	{name: "ancillary data per message", run: func(s *script) {
		a, b := s.talk()
		for _, o := range s.asked() {
			b.set(o, 1)
		}
		level, hops, class := endpoint.IPPROTO_IP, endpoint.IP_TTL, endpoint.IP_TOS
		if s.af == endpoint.AF_INET6 {
			level, hops, class = endpoint.IPPROTO_IPV6, endpoint.IPV6_HOPLIMIT, endpoint.IPV6_TCLASS
		}
		for _, v := range []int{7, 0, -1, 256} {
			a.sendmsg([]string{"h"}, 0, item{level: level, typ: hops, data: intBytes(v)})
			b.recvmsg([]int{9}, space, 0)
			a.sendmsg([]string{"c"}, 0, item{level: level, typ: class, data: intBytes(v)})
			b.recvmsg([]int{9}, space, 0)
		}
		a.sendmsg([]string{"s"}, 0, item{level: level, typ: hops, data: []byte{7}})
		a.sendmsg([]string{"u"}, 0, item{level: level, typ: 99, data: intBytes(7)})
		a.sendmsg([]string{"o"}, 0, item{level: 77, typ: 1, data: intBytes(7)})
	}},
	{name: "a timestamp", run: func(s *script) {
		if s.typ == endpoint.SOCK_STREAM {
			return // the kernel begins to stamp packets when it has the time
		}
		a, b := s.talk()
		b.set(soTimestamp, 1)
		a.send("x", 0)
		b.recvmsg([]int{9}, space, 0)
	}},
}

// talk is two connected sockets of the script's type.
func (s *script) talk() (a, b *sock) {
	if s.typ == endpoint.SOCK_STREAM {
		return s.pair()
	}
	a, b = s.datagram("a"), s.receiver("b")
	a.connect(b.addr())
	return a, b
}

// asked are the options that ask for ancillary data.
func (s *script) asked() []option {
	if s.af == endpoint.AF_INET6 {
		return []option{ipv6Pktinfo, {"IPV6_RECVHOPLIMIT", endpoint.IPPROTO_IPV6, endpoint.IPV6_RECVHOPLIMIT},
			{"IPV6_RECVTCLASS", endpoint.IPPROTO_IPV6, endpoint.IPV6_RECVTCLASS}}
	}
	return []option{ipPktinfo, ipRecvttl, {"IP_RECVTOS", endpoint.IPPROTO_IP, endpoint.IP_RECVTOS}}
}
