package differ

import "usersock/stack/endpoint"

// streamData are about sending and receiving, bind and options.
var streamData = []sequence{
	{name: "connected", run: func(s *script) {
		c, p := s.pair()
		c.state()
		c.connect(s.lo(9))
		c.listen(1)
		c.bind(s.lo(0))
		c.accept("x")
		c.sockname()
		c.peername()
		p.sockname()
		p.peername()
		c.recv(1, 0)
		c.recv(0, 0)
		c.send("", 0)
		c.sendto("to", s.foreign(9), 0)
		p.recv(9, 0)
		c.get(soType)
		c.get(soProtocol)
		c.get(soDomain)
		c.errno()
		c.shutdown(5)
	}},
	{name: "connected, the accepted side", run: func(s *script) {
		c, p := s.pair()
		p.connect(c.addr())
		p.bind(s.lo(0))
		p.listen(1)
		p.accept("x")
	}},
	{name: "peek", run: func(s *script) {
		c, p := s.pair()
		p.recv(4, peek)
		c.send("abcdefgh", 0)
		p.recv(4, peek)
		p.recv(4, peek)
		p.recv(99, peek)
		p.recv(2, 0)
		p.recv(99, peek)
		p.recv(0, peek)
		p.recv(99, 0)
		p.recv(99, peek)
		c.shutdown(wr)
		p.recv(99, peek)
		p.recv(99, peek)
	}},
	{name: "peek at an offset", run: func(s *script) {
		c, p := s.pair()
		p.set(soPeekOff, 0)
		p.recv(4, peek)
		c.send("abcdefgh", 0)
		p.recv(3, peek)
		p.get(soPeekOff)
		p.recv(3, peek)
		p.recv(2, 0)
		p.get(soPeekOff)
		p.recv(99, peek)
		p.recv(99, peek)
		p.recv(0, peek)
		c.send("ij", 0)
		p.recv(99, peek)
		p.recv(99, 0)
		p.get(soPeekOff)
		p.set(soPeekOff, 4)
		c.send("klm", 0)
		p.recv(99, peek)
		c.shutdown(wr)
		p.recv(99, peek)
		p.set(soPeekOff, -7)
		p.get(soPeekOff)
		p.recv(99, peek)
	}},
	{name: "trunc", run: func(s *script) {
		c, p := s.pair()
		c.send("abcdefgh", 0)
		p.recv(3, trunc)
		p.recv(2, trunc|peek)
		p.recv(99, 0)
	}},
	{name: "waitall", run: func(s *script) {
		c, p := s.pair()
		p.recv(4, waitall)
		c.send("ab", 0)
		p.recv(4, waitall)
		c.send("abcd", 0)
		p.recv(4, waitall)
		c.send("xyz", 0)
		p.recv(9, waitall|peek)
		c.shutdown(wr)
		p.recv(9, waitall)
		p.recv(9, waitall)
	}},
	{name: "pieces", run: func(s *script) {
		c, p := s.pair()
		c.send("one", 0)
		c.send("two", 0)
		c.send("three", 0)
		p.recv(4, 0)
		p.recv(99, 0)
	}},
	{name: "into no room", run: func(s *script) {
		c, p := s.pair()
		p.recv(0, 0)
		c.send("x", 0)
		p.recv(0, 0)
		p.recv(0, trunc)
		p.recv(1, 0)
		c.close()
		p.recv(0, 0)
	}},
	{name: "a socket that is full", run: func(s *script) {
		c, p := s.smallPair()
		c.fill()
		p.drain()
		c.send("x", 0)
	}},
	{name: "a socket that is full and shut", run: func(s *script) {
		c, p := s.smallPair()
		c.fill()
		c.shutdown(wr)
		c.send("x", 0)
		p.drain()
		p.recv(1, 0)
	}},
	{name: "the peer of a full socket is reset", run: func(s *script) {
		c, p := s.smallPair()
		c.fill()
		p.closeReset()
		c.send("x", 0)
		c.send("x", 0)
	}},
	{name: "cork", run: func(s *script) {
		c, p := s.pair()
		c.set(tcpCork, 1)
		c.send("held", 0)
		p.recv(9, 0)
		c.send(" back", 0)
		c.set(tcpCork, 0)
		p.recv(99, 0)
	}},
	{name: "more", run: func(s *script) {
		c, p := s.pair()
		c.send("held", more)
		p.recv(9, 0)
		c.send(" back", 0)
		p.recv(99, 0)
		c.send("until the end", more)
		c.shutdown(wr)
		p.recv(99, 0)
	}},
	{name: "flags that a stream does not mind", run: func(s *script) {
		c, p := s.pair()
		c.send("a", eor)
		c.send("b", endpoint.MSG_DONTROUTE)
		c.send("c", endpoint.MSG_CONFIRM)
		c.send("d", endpoint.MSG_NOSIGNAL|endpoint.MSG_DONTWAIT)
		p.recv(9, endpoint.MSG_DONTWAIT)
		p.recv(9, errq)
		c.recv(9, oob)
	}},
	{name: "urgent data", run: func(s *script) {
		c, p := s.pair()
		c.send("ab!", oob)
		p.recv(9, oob)
		p.recv(9, oob)
		p.recv(9, 0)
		p.recv(9, 0)
	}},
	{name: "urgent data in line", run: func(s *script) {
		c, p := s.pair()
		p.set(soOobinline, 1)
		c.send("ab!", oob)
		p.recv(9, oob)
		p.recv(9, 0)
		p.recv(9, 0)
	}},
	{name: "urgent data between others", run: func(s *script) {
		c, p := s.pair()
		c.send("before", 0)
		c.send("!", oob)
		c.send("after", 0)
		p.recv(3, 0)
		p.recv(3, 0)
		p.recv(9, oob|peek)
		p.recv(9, oob)
		p.recv(1, 0)
		p.recv(9, 0)
	}},
	{name: "dup", run: func(s *script) {
		c, p := s.pair()
		d := c.dup("d")
		c.close()
		d.send("x", 0)
		p.recv(9, 0)
		d.shutdown(wr)
		p.recv(9, 0)
		p.send("y", 0)
		d.recv(9, 0)
		d.close()
		p.send("z", 0)
		p.recv(9, 0)
	}},
	{name: "two dups of a listener", run: func(s *script) {
		l := s.listener()
		m := l.dup("m")
		a := l.addr()
		l.close()
		c := s.stream("c")
		c.connect(a)
		p := m.accept("p")
		m.close()
		p.send("x", 0)
		c.recv(9, 0)
		d := s.stream("d")
		d.connect(a)
		d.errno()
	}},
	{name: "low-water mark", run: func(s *script) {
		c, p := s.pair()
		p.get(soRcvlowat)
		p.set(soRcvlowat, 4)
		c.send("ab", 0)
		p.recv(1, peek)
		c.send("cd", 0)
		p.recv(9, 0)
		c.send("e", 0)
		c.shutdown(wr)
		p.recv(9, 0)
		p.set(soRcvlowat, 0)
		p.get(soRcvlowat)
	}},
	{name: "deferred accept", run: func(s *script) {
		l := s.stream("l")
		l.bind(s.lo(0))
		l.set(tcpDefer, 30)
		l.get(tcpDefer)
		l.listen(3)
		c := s.stream("c")
		c.connect(l.addr())
		c.state()
		l.accept("p")
		c.send("data", 0)
		p := l.accept("p")
		p.recv(9, 0)
	}},
	{name: "bind", run: func(s *script) {
		a := s.stream("a")
		a.bind(s.foreign(0))
		a.bind(s.lo(0))
		a.bind(s.lo(0))
		a.sockname()
		a.state()
		b := s.stream("b")
		b.bind(a.addr())
		b.bind(s.any(a.addr().Port))
		b.bind(s.any(0))
		b.sockname()
		b.connect(unspec)
		b.sockname()
	}},
	{name: "bind a port again after its socket is closed", run: func(s *script) {
		a := s.stream("a")
		a.bind(s.lo(0))
		to := a.addr()
		a.close()
		b := s.stream("b")
		b.bind(to)
		b.listen(1)
		b.close()
		c := s.stream("c")
		c.bind(to)
	}},
	{name: "listen where another listens", run: func(s *script) {
		a, b := s.stream("a"), s.stream("b")
		a.set(soReuseaddr, 1)
		b.set(soReuseaddr, 1)
		a.bind(s.lo(0))
		b.bind(a.addr())
		a.listen(1)
		b.listen(1)
		c := s.stream("c")
		c.set(soReuseaddr, 1)
		c.bind(a.addr())
		a.close()
		b.listen(1)
	}},
	{name: "connect from where another listens", run: func(s *script) {
		l := s.listener()
		a := s.stream("a")
		a.set(soReuseport, 1)
		a.bind(s.lo(0))
		b := s.stream("b")
		b.set(soReuseport, 1)
		b.bind(a.addr())
		a.listen(1)
		b.connect(l.addr())
		b.sockname()
	}},
	{name: "socketpair", run: func(s *script) {
		s.socketpair("a", "b", s.af, endpoint.SOCK_STREAM, 0)
	}},
	{name: "addresses of other families", run: func(s *script) {
		a := s.stream("a")
		other := at("::1", 0)
		if s.af == endpoint.AF_INET6 {
			other = at("127.0.0.1", 0)
		}
		a.bind(other)
		other.Port = 9
		a.connect(other)
		a.sendto("x", other, 0)
		a.bind(s.path("a name as long as an IPv6 address"))
		a.connect(s.path("a name as long as an IPv6 address"))
	}},
}

// smallPair is pair with small buffers.
func (s *script) smallPair() (c, p *sock) {
	l := s.listener()
	l.set(soRcvbuf, 20000)
	c = s.stream("c")
	c.set(soSndbuf, 20000)
	c.connect(l.addr())
	p = l.accept("p")
	return c, p
}
