package differ

import "usersock/stack/endpoint"

// streamAgain are about sockets that are used again after an attempt, a
// connection or a listener: what remains of their names, and of shutdown.
var streamAgain = []sequence{
	{name: "refused from a port that bind picked", run: func(s *script) {
		a, other := s.stream("a"), s.stream("other")
		closed := s.closedPort(endpoint.SOCK_STREAM)
		a.bind(s.lo(0))
		had := a.addr()
		a.connect(closed)
		a.sockname()
		other.bind(had)
		a.connect(closed)
		a.sockname()
		other.listen(1)
		a.connect(had)
		a.sockname()
		a.connect(had)
	}},
	{name: "refused from the wildcard address, then listening", run: func(s *script) {
		a := s.stream("a")
		closed := s.closedPort(endpoint.SOCK_STREAM)
		a.bind(s.any(0))
		a.connect(closed)
		a.sockname()
		a.connect(closed)
		a.sockname()
		a.listen(1)
		a.sockname()
		a.bind(s.lo(0))
	}},
	{name: "refused from a port that was named", run: func(s *script) {
		a, other := s.stream("a"), s.stream("other")
		own := s.unusedPort(endpoint.SOCK_STREAM, "own")
		closed := s.closedPort(endpoint.SOCK_STREAM)
		a.bind(own)
		a.connect(closed)
		a.bind(s.lo(0))
		a.connect(closed)
		a.sockname()
		other.bind(own)
		l := s.listener()
		a.connect(l.addr())
		a.sockname()
		a.connect(unspec)
		a.sockname()
		a.listen(1)
		a.sockname()
	}},
	{name: "bound after a refusal", run: func(s *script) {
		a := s.stream("a")
		l := s.listener()
		a.connect(s.closedPort(endpoint.SOCK_STREAM))
		a.bind(s.lo(0))
		a.sockname()
		a.bind(s.lo(0))
		a.listen(1)
		a.connect(l.addr())
		a.sockname()
		a.connect(l.addr())
		a.sockname()
		a.connect(l.addr())
		l.accept("p").peername()
	}},
	{name: "bound in vain after a refusal", run: func(s *script) {
		a := s.stream("a")
		l := s.stream("l")
		l.bind(s.lo(0))
		l.listen(1)
		a.connect(s.closedPort(endpoint.SOCK_STREAM))
		a.bind(l.addr())
		a.sockname()
		a.recv(1, 0)
		a.bind(s.lo(0))
		a.sockname()
		a.recv(1, 0)
	}},
	{name: "bound in vain, then connected", run: func(s *script) {
		a := s.stream("a")
		l := s.stream("l")
		l.bind(s.lo(0))
		l.listen(1)
		a.bind(l.addr())
		a.sockname()
		a.connect(l.addr())
		a.sockname()
		a.peername()
	}},
	{name: "bound with bytes unread", run: func(s *script) {
		c, p := s.pair()
		c.send("unread", 0)
		c.closeReset()
		p.recv(2, 0)
		p.sockname()
		p.bind(s.lo(0))
		p.sockname()
		p.peername()
		p.recv(2, 0)
		p.recv(9, 0)
		p.recv(9, 0)
		p.recv(9, 0)
		p.send("x", 0)
		p.bind(s.lo(0))
		p.listen(1)
		p.connect(s.lo(9))
		p.connect(unspec)
		p.sockname()
		p.listen(1)
		p.sockname()
	}},
	{name: "bound after the end, and closed", run: func(s *script) {
		c, p := s.pair()
		c.closeReset()
		p.bind(s.lo(0))
		had := p.addr()
		other := s.stream("other")
		other.bind(had)
		p.close()
		other.bind(had)
	}},
	{name: "disconnected from a port that bind picked", run: func(s *script) {
		l := s.listener()
		c := s.stream("c")
		c.bind(s.lo(0))
		c.connect(l.addr())
		c.connect(unspec)
		c.sockname()
		c.connect(l.addr())
		c.sockname()
		c.connect(unspec)
		c.bind(s.any(0))
		c.sockname()
	}},
	{name: "disconnected without a connection", run: func(s *script) {
		a, other := s.stream("a"), s.stream("other")
		a.bind(s.lo(0))
		a.shutdown(rdwr)
		a.connect(unspec)
		a.sockname()
		other.bind(a.addr())
		a.bind(s.lo(0))
		a.listen(1)
		a.sockname()
	}},
	{name: "listener with a port that it picked, shut down", run: func(s *script) {
		l, other := s.stream("l"), s.stream("other")
		l.bind(s.lo(0))
		l.listen(1)
		had := l.addr()
		l.shutdown(rd)
		l.recv(1, 0)
		l.send("x", 0)
		l.errno()
		other.bind(had)
		l.sockname()
		l.listen(1)
		l.sockname()
		l.get(soAcceptconn)
	}},
	{name: "listener with a port that was named, shut down", run: func(s *script) {
		l, other := s.stream("l"), s.stream("other")
		l.bind(s.closedPort(endpoint.SOCK_STREAM))
		l.listen(1)
		had := l.addr()
		l.shutdown(rdwr)
		other.bind(had)
		l.bind(s.lo(0))
		l.sockname()
		l.listen(1)
		l.sockname()
		c := s.stream("c")
		c.connect(had)
		l.accept("p")
		l.shutdown(rd)
		l.sockname()
		l.listen(1)
	}},
	{name: "listener with a port that it picked connects to where it was", run: func(s *script) {
		l := s.stream("l")
		l.bind(s.lo(0))
		l.listen(1)
		had := l.addr()
		l.shutdown(rd)
		l.connect(had)
		l.sockname()
		l.connect(had)
	}},
	{name: "listener with a port that was named connects to itself", run: func(s *script) {
		l := s.stream("l")
		l.bind(s.closedPort(endpoint.SOCK_STREAM))
		l.listen(1)
		had := l.addr()
		l.shutdown(rd)
		l.connect(had)
		l.sockname()
		l.peername()
		l.send("myself", 0)
		l.recv(9, 0)
	}},
	{name: "shut for reading, then connected", run: func(s *script) { shutFirst(s, rd) }},
	{name: "shut for writing, then connected", run: func(s *script) { shutFirst(s, wr) }},
	{name: "shut both ways, then connected", run: func(s *script) { shutFirst(s, rdwr) }},
	{name: "shut for reading, then listening", run: func(s *script) { shutListens(s, rd) }},
	{name: "shut for writing, then listening", run: func(s *script) { shutListens(s, wr) }},
	{name: "shut both ways, then listening", run: func(s *script) { shutListens(s, rdwr) }},
	{name: "shut for writing, then connected to itself", run: func(s *script) {
		a := s.stream("a")
		a.bind(s.lo(0))
		a.shutdown(wr)
		a.connect(a.addr())
	}},
	{name: "shut down and bound", run: func(s *script) {
		a := s.stream("a")
		a.shutdown(rd)
		a.bind(s.foreign(0))
		a.recv(1, 0)
		a.bind(s.lo(0))
		a.recv(1, 0)
		a.send("x", 0)
		a.connect(unspec)
		a.recv(1, 0)
	}},
	{name: "a refused attempt is shut down", run: func(s *script) {
		a := s.stream("a")
		closed := s.closedPort(endpoint.SOCK_STREAM)
		a.connect(closed)
		a.shutdown(rd)
		a.connect(closed)
		a.listen(1)
		a.bind(s.lo(0))
		a.shutdown(rdwr)
		a.errno()
		a.connect(closed)
		a.connect(unspec)
		a.sockname()
		a.connect(closed)
		a.connect(closed)
		a.connect(closed)
	}},
	{name: "a refused attempt that was told is shut down", run: func(s *script) {
		a := s.stream("a")
		closed := s.closedPort(endpoint.SOCK_STREAM)
		a.connect(closed)
		a.connect(closed)
		a.shutdown(wr)
		a.connect(closed)
		a.connect(closed)
	}},
	{name: "disconnected, and where it peeked", run: func(s *script) {
		a := s.stream("a")
		a.set(soPeekOff, 3)
		a.connect(unspec)
		a.get(soPeekOff)
	}},
}

// shutFirst shuts a socket down before it connects: what becomes of that.
func shutFirst(s *script, how int) {
	l, c := s.listener(), s.stream("c")
	c.shutdown(how)
	c.connect(l.addr())
	p := l.accept("p")
	c.connect(l.addr())
	c.send("out", 0)
	c.recv(9, 0)
	p.send("in", 0)
	c.recv(9, 0)
	c.recv(9, 0)
	c.shutdown(wr)
	c.state("FIN-WAIT-2")
	p.recv(9, 0)
	p.recv(9, 0)
	p.send("more", 0)
	c.recv(9, 0)
	c.connect(unspec)
	c.connect(l.addr())
	c.send("anew", 0)
}

// shutListens shuts a socket down before it listens: its connections have that
// of it.
func shutListens(s *script, how int) {
	l, c := s.stream("l"), s.stream("c")
	l.bind(s.lo(0))
	l.shutdown(how)
	l.listen(1)
	c.connect(l.addr())
	p := l.accept("p")
	p.send("out", 0)
	p.recv(9, 0)
	c.send("in", 0)
	p.recv(9, 0)
	p.shutdown(wr)
	l.shutdown(rd)
	l.shutdown(wr)
	l.listen(1)
}
