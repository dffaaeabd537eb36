package differ

import "usersock/stack/endpoint"

// datagramPorts are about ports that sockets share, broadcasts and groups.
var datagramPorts = []sequence{
	{name: "two sockets of one port", run: func(s *script) {
		a, b, c := s.datagram("a"), s.datagram("b"), s.datagram("c")
		a.set(soReuseaddr, 1)
		b.set(soReuseaddr, 1)
		a.bind(s.lo(0))
		b.bind(a.addr())
		c.sendto("to the later", a.addr(), 0)
		b.recv(20, 0)
		b.close()
		c.sendto("to the one left", a.addr(), 0)
		a.recv(20, 0)
	}},
	{name: "the more special socket receives", run: func(s *script) {
		a, b, c := s.datagram("a"), s.datagram("b"), s.datagram("c")
		a.set(soReuseaddr, 1)
		b.set(soReuseaddr, 1)
		a.bind(s.any(0))
		b.bind(s.lo(a.addr().Port))
		c.sendto("special", b.addr(), 0)
		a.recv(20, 0)
		b.recv(20, 0)
		b.connect(s.lo(9))
		c.sendto("wild", s.lo(a.addr().Port), 0)
		a.recv(20, 0)
		b.recv(20, 0)
	}},
	{name: "three sockets of one port", run: func(s *script) {
		open := func(name string, a endpoint.Addr) *sock {
			k := s.datagram(name)
			k.set(soReuseaddr, 1)
			k.bind(a)
			return k
		}
		wide := open("wide", s.any(0))
		to := s.lo(wide.addr().Port)
		older, newer, c := open("older", to), open("newer", to), s.receiver("c")
		all := []*sock{wide, older, newer}
		sent := func(text string) {
			c.sendto(text, to, 0)
			for _, k := range all {
				k.recv(20, 0)
			}
		}
		sent("shared")
		older.connect(c.addr())
		sent("older connected")
		newer.close()
		all = all[:2]
		older.connect(s.lo(9))
		sent("connected elsewhere")
	}},
	{name: "bound after it was disconnected", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		a.connect(b.addr())
		a.connect(unspec)
		a.sockname()
		a.bind(s.lo(0))
		a.sockname()
		a.bind(s.lo(0))
	}},
	{name: "broadcast without leave", run: func(s *script) {
		if s.af == endpoint.AF_INET6 {
			return
		}
		a := s.datagram("a")
		a.sendto("x", at("255.255.255.255", 9), 0)
		a.connect(at("255.255.255.255", 9))
		a.sendto("x", at("192.0.2.255", 9), 0)
		a.connect(at("192.0.2.255", 9))
		a.sendto("x", at("127.255.255.255", 9), 0)
		a.set(soBroadcast, 1)
		a.sendto("x", at("192.0.2.255", 9), 0)
		a.sendto("x", at("127.255.255.255", 9), 0)
		a.connect(at("192.0.2.255", 9))
		a.peername()
		a.sockname()
	}},
	{name: "multicast", run: func(s *script) {
		if s.af == endpoint.AF_INET6 {
			return
		}
		join := option{"IP_ADD_MEMBERSHIP", endpoint.IPPROTO_IP, endpoint.IP_ADD_MEMBERSHIP}
		leave := option{"IP_DROP_MEMBERSHIP", endpoint.IPPROTO_IP, endpoint.IP_DROP_MEMBERSHIP}
		out := option{"IP_MULTICAST_IF", endpoint.IPPROTO_IP, endpoint.IP_MULTICAST_IF}
		group := []byte{224, 0, 0, 251, 127, 0, 0, 1}
		a, b := s.datagram("a"), s.datagram("b")
		b.bind(s.any(0))
		b.setBytes(join, group)
		b.setBytes(join, group)
		b.setBytes(join, []byte{127, 0, 0, 1, 127, 0, 0, 1})
		b.setBytes(join, group[:4])
		a.setBytes(out, []byte{127, 0, 0, 1})
		a.sendto("to the group", at("224.0.0.251", b.addr().Port), 0)
		b.recv(20, 0)
		b.setBytes(leave, group)
		b.setBytes(leave, group)
		a.sendto("nobody", at("224.0.0.251", b.addr().Port), 0)
		b.recv(20, 0)
		s.stream("t").setBytes(join, group)
	}},
}
