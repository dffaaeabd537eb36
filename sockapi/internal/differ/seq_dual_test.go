package differ

import (
	"strings"

	"usersock/stack/endpoint"
)

func mapped(port uint16) endpoint.Addr { return at("::ffff:127.0.0.1", port) }

// only sets IPV6_V6ONLY.
func (k *sock) only() { k.set(ipv6V6only, 1) }

// dualSequences are about AF_INET6 sockets and IPv4.
var dualSequences = []sequence{
	{name: "an IPv4 client of a dual listener", run: func(s *script) {
		l := s.stream("l")
		l.bind(at("::", 0))
		l.listen(2)
		c := s.open("c", endpoint.AF_INET, endpoint.SOCK_STREAM, 0)
		c.connect(at("127.0.0.1", l.addr().Port))
		p := l.accept("p")
		p.sockname()
		p.peername()
		c.peername()
		p.send("x", 0)
		c.recv(9, 0)
		p.get(ipv6V6only)
	}},
	{name: "a client of a mapped address", run: func(s *script) {
		l := s.stream("l")
		l.bind(at("::", 0))
		l.listen(2)
		c := s.stream("c")
		c.connect(mapped(l.addr().Port))
		c.sockname()
		c.peername()
		p := l.accept("p")
		p.peername()
	}},
	{name: "a client of the mapped wildcard", run: func(s *script) {
		l := s.open("l", endpoint.AF_INET, endpoint.SOCK_STREAM, 0)
		l.bind(at("0.0.0.0", 0))
		l.listen(2)
		c := s.stream("c")
		c.connect(at("::ffff:0.0.0.0", l.addr().Port))
		c.sockname()
		c.peername()
		d := s.stream("d")
		d.connect(at("::", l.addr().Port))
		d.errno()
	}},
	{name: "IPv6 alone, listening", run: func(s *script) {
		l := s.stream("l")
		l.only()
		l.get(ipv6V6only)
		l.bind(at("::", 0))
		l.listen(2)
		c := s.open("c", endpoint.AF_INET, endpoint.SOCK_STREAM, 0)
		c.connect(at("127.0.0.1", l.addr().Port))
		c.errno()
		d := s.stream("d")
		d.connect(at("::1", l.addr().Port))
		p := l.accept("p")
		p.get(ipv6V6only)
	}},
	{name: "IPv6 alone, and mapped addresses", run: func(s *script) {
		a := s.stream("a")
		a.only()
		a.bind(mapped(0))
		a.connect(mapped(9))
		a.sockname()
		b := s.datagram("b")
		b.only()
		b.bind(mapped(0))
		b.connect(mapped(9))
		b.sendto("x", mapped(9), 0)
	}},
	{name: "the option after bind", run: func(s *script) {
		a := s.stream("a")
		a.bind(at("::", 0))
		a.only()
		a.get(ipv6V6only)
		b := s.datagram("b")
		b.bind(at("::", 0))
		b.only()
		c := s.stream("c")
		c.connect(s.filtered(9))
		c.only()
	}},
	{name: "bound to an IPv6 address, it is IPv6 alone", run: func(s *script) {
		l := s.stream("l")
		l.bind(at("::1", 0))
		l.get(ipv6V6only)
		l.listen(2)
		c := s.stream("c")
		c.connect(l.addr())
		c.get(ipv6V6only)
		p := l.accept("p")
		p.get(ipv6V6only)
		l.connect(unspec)
		l.get(ipv6V6only)
		for _, to := range []endpoint.Addr{at("::1", 0), at("::", 0), mapped(0)} {
			a := s.datagram("a")
			a.bind(to)
			a.get(ipv6V6only)
			a.only()
			a.close()
		}
		u := s.datagram("u")
		u.connect(at("::1", 9))
		u.get(ipv6V6only)
	}},
	{name: "the option after the connection", run: func(s *script) {
		a := s.stream("a")
		closed := s.closedPort(endpoint.SOCK_STREAM)
		a.connect(closed)
		a.errno()
		a.only()
		a.get(ipv6V6only)
		a.connect(mapped(closed.Port))
		a.connect(mapped(closed.Port))
		a.get(ipv6V6only)
	}},
	{name: "bound to a mapped address", run: func(s *script) {
		l := s.stream("l")
		l.bind(mapped(0))
		l.sockname()
		l.listen(1)
		c := s.open("c", endpoint.AF_INET, endpoint.SOCK_STREAM, 0)
		c.connect(at("127.0.0.1", l.addr().Port))
		p := l.accept("p")
		p.sockname()
		d := s.stream("d")
		d.connect(at("::1", l.addr().Port))
		d.errno()
	}},
	{name: "bound to a mapped address, sending to IPv6", run: func(s *script) {
		a := s.datagram("a")
		a.bind(mapped(0))
		a.sockname()
		a.sendto("x", at("::1", 9), 0)
		a.connect(at("::1", 9))
		b := s.stream("b")
		b.bind(mapped(0))
		b.connect(at("::1", 9))
	}},
	{name: "bound to IPv6, sending to a mapped address", run: func(s *script) {
		a := s.datagram("a")
		a.bind(at("::1", 0))
		a.sendto("x", mapped(9), 0)
		a.connect(mapped(9))
		b := s.stream("b")
		b.bind(at("::1", 0))
		b.connect(mapped(9))
	}},
	{name: "bound to the mapped wildcard", run: func(s *script) {
		a := s.datagram("a")
		a.bind(at("::ffff:0.0.0.0", 0))
		a.sockname()
		b := s.open("b", endpoint.AF_INET, endpoint.SOCK_DGRAM, 0)
		b.sendto("x", at("127.0.0.1", a.addr().Port), 0)
		a.recv(9, 0)
		c := s.datagram("c")
		c.sendto("y", at("::1", a.addr().Port), 0)
		a.recv(9, 0)
		l := s.stream("l")
		l.bind(at("::ffff:0.0.0.0", 0))
		l.sockname()
	}},
	{name: "datagrams of both versions", run: func(s *script) {
		a := s.datagram("a")
		a.bind(at("::", 0))
		b := s.open("b", endpoint.AF_INET, endpoint.SOCK_DGRAM, 0)
		b.bind(at("127.0.0.1", 0))
		b.sendto("four", at("127.0.0.1", a.addr().Port), 0)
		a.recv(9, 0)
		a.sendto("back", mapped(b.addr().Port), 0)
		b.recv(9, 0)
		c := s.datagram("c")
		c.sendto("six", at("::1", a.addr().Port), 0)
		a.recv(9, 0)
	}},
	{name: "a datagram socket connected to a mapped address", run: func(s *script) {
		b := s.open("b", endpoint.AF_INET, endpoint.SOCK_DGRAM, 0)
		b.bind(at("127.0.0.1", 0))
		a := s.datagram("a")
		a.connect(mapped(b.addr().Port))
		a.sockname()
		a.peername()
		a.send("x", 0)
		b.recv(9, 0)
		a.connect(at("::1", 9))
		a.sockname()
		a.connect(unspec)
		a.sockname()
		a.peername()
	}},
	{name: "a datagram as long as can be over the mapped address", run: func(s *script) {
		b := s.open("b", endpoint.AF_INET, endpoint.SOCK_DGRAM, 0)
		b.bind(at("127.0.0.1", 0))
		a := s.datagram("a")
		a.connect(mapped(b.addr().Port))
		a.send(strings.Repeat("x", 65508), 0)
		a.send(strings.Repeat("x", 65507), 0)
		b.recv(70000, 0)
	}},
	{name: "a datagram refused over the mapped address", run: func(s *script) {
		a := s.datagram("a")
		closed := s.closedPort(endpoint.SOCK_DGRAM)
		a.connect(mapped(closed.Port))
		a.send("x", 0)
		a.errno()
	}},
	{name: "a listener of each version on one port", run: func(s *script) {
		l := s.stream("l")
		l.only()
		l.bind(at("::", 0))
		l.listen(1)
		m := s.open("m", endpoint.AF_INET, endpoint.SOCK_STREAM, 0)
		m.bind(at("0.0.0.0", l.addr().Port))
		m.listen(1)
		c := s.open("c", endpoint.AF_INET, endpoint.SOCK_STREAM, 0)
		c.connect(at("127.0.0.1", l.addr().Port))
		m.accept("p")
		d := s.stream("d")
		d.connect(at("::1", l.addr().Port))
		l.accept("q")
	}},
	{name: "link-local addresses without a scope", run: func(s *script) {
		a, b := s.stream("a"), s.datagram("b")
		a.connect(at("fe80::1", 9))
		a.bind(at("fe80::1", 0))
		b.connect(at("fe80::1", 9))
		b.bind(at("fe80::1", 0))
		b.sendto("x", at("fe80::1", 9), 0)
		to := at("fe80::1", 9)
		to.Scope = 4711
		a.connect(to)
		b.connect(to)
		b.sendto("x", to, 0)
		c := s.stream("c")
		to.Port = 0
		c.bind(to)
	}},
	{name: "groups and their scopes", run: func(s *script) {
		scoped := func(ip string, scope uint32) endpoint.Addr {
			a := at(ip, 0)
			a.Scope = scope
			return a
		}
		a, b, c, d := s.datagram("a"), s.datagram("b"), s.datagram("c"), s.stream("d")
		a.bind(at("ff02::1", 0))
		a.bind(at("ff01::1", 0))
		a.bind(scoped("ff02::1", 4711))
		a.bind(scoped("ff02::1", 1))
		b.bind(scoped("ff01::1", 1))
		c.bind(at("ff0e::1", 0))
		d.bind(at("ff02::1", 0))
		d.bind(scoped("ff02::1", 1))
		d.bind(at("ff0e::1", 0))
		e := s.datagram("e")
		e.connect(at("ff02::1", 9))
		e.connect(at("ff01::1", 9))
		e.connect(scoped("ff02::1", 4711))
	}},
	{name: "a scope where none is needed", run: func(s *script) {
		a := s.datagram("a")
		to := at("::1", 0)
		to.Scope = 1
		a.bind(to)
		a.sockname()
		to.Port = 9
		a.connect(to)
		a.peername()
	}},
	{name: "options of both levels on AF_INET6", run: func(s *script) {
		a := s.stream("a")
		a.set(ipTTL, 33)
		a.get(ipTTL)
		a.set(ipv6Hops, 44)
		a.get(ipv6Hops)
		a.get(ipTOS)
		a.get(ipv6Tclass)
		b := s.open("b", endpoint.AF_INET, endpoint.SOCK_STREAM, 0)
		b.get(ipv6V6only)
		b.set(ipv6V6only, 1)
		b.get(ipv6Hops)
	}},
}
