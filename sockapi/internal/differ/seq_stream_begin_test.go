package differ

import "usersock/stack/endpoint"

// streamBeginnings are about listen, accept and connect.
var streamBeginnings = []sequence{
	{name: "listener", run: func(s *script) {
		l := s.stream("l")
		l.listen(1)
		l.state()
		l.accept("x")
		l.connect(s.lo(9))
		l.bind(s.lo(0))
		l.send("x", 0)
		l.recv(1, 0)
		l.recv(0, 0)
		l.peername()
		l.errno()
		l.get(soAcceptconn)
		l.listen(5)
		l.listen(-1)
		l.listen(1 << 20)
		l.sockname()
		c := s.stream("c")
		a := l.addr()
		c.connect(s.lo(a.Port))
		p := l.accept("p")
		p.sockname()
		p.peername()
		p.get(soAcceptconn)
		l.shutdown(wr)
		l.shutdown(rd)
		l.accept("x")
		l.get(soAcceptconn)
		l.listen(3)
		l.sockname()
		c.send("x", 0)
		p.recv(9, 0)
	}},
	{name: "listener, unbound, disconnected", run: func(s *script) {
		l := s.listener()
		l.connect(unspec)
		l.accept("x")
		l.sockname()
		l.state()
		l.listen(1)
		l.sockname()
	}},
	{name: "listener with a connection waiting is shut down", run: func(s *script) {
		l := s.listener()
		c := s.stream("c")
		c.connect(l.addr())
		l.shutdown(rdwr)
		l.accept("p")
		c.recv(1, 0)
		c.recv(1, 0)
	}},
	{name: "listener with a connection waiting is closed", run: func(s *script) {
		l := s.listener()
		c := s.stream("c")
		c.connect(l.addr())
		l.close()
		c.recv(1, 0)
		c.recv(1, 0)
		c.errno()
	}},
	{name: "listener with a connection and data waiting is closed", run: func(s *script) {
		l := s.listener()
		c := s.stream("c")
		c.connect(l.addr())
		c.send("early", 0)
		l.close()
		c.send("x", 0)
		c.send("x", 0)
	}},
	{name: "data and end before accept", run: func(s *script) {
		l := s.listener()
		c := s.stream("c")
		c.connect(l.addr())
		c.send("early", 0)
		c.shutdown(wr)
		p := l.accept("p")
		p.recv(2, 0)
		p.recv(9, 0)
		p.recv(9, 0)
		p.send("late", 0)
		c.recv(9, 0)
	}},
	{name: "reset before accept", run: func(s *script) {
		l := s.listener()
		c := s.stream("c")
		c.connect(l.addr())
		c.closeReset()
		p := l.accept("p")
		p.recv(1, 0)
		p.send("x", 0)
		p.peername()
	}},
	{name: "closed before accept", run: func(s *script) {
		l := s.listener()
		c := s.stream("c")
		c.connect(l.addr())
		c.send("gone", 0)
		c.close()
		p := l.accept("p")
		p.recv(9, 0)
		p.recv(9, 0)
	}},
	{name: "backlog 0", run: func(s *script) { backlog(s, 0, 1) }},
	{name: "backlog 1", run: func(s *script) { backlog(s, 1, 2) }},
	{name: "backlog 3", run: func(s *script) { backlog(s, 3, 4) }},
	{name: "backlog made smaller and larger", run: func(s *script) {
		l := s.stream("l")
		l.bind(s.lo(0))
		l.listen(0)
		a := s.stream("a")
		a.connect(l.addr())
		l.listen(2)
		b := s.stream("b")
		b.connect(l.addr())
		l.listen(0)
		l.accept("p")
		l.accept("q")
		l.accept("r")
	}},
	{name: "a full backlog leaves a client waiting", run: func(s *script) {
		l := s.stream("l")
		l.bind(s.lo(0))
		l.listen(0)
		a := s.stream("a")
		a.connect(l.addr())
		b := s.stream("b")
		b.connect(l.addr())
		b.connect(l.addr())
		b.errno()
		b.state()
		b.send("x", 0)
		b.recv(1, 0)
		b.peername()
		b.close()
		l.accept("p")
	}},
	{name: "connect again while connecting", run: func(s *script) {
		a := s.stream("a")
		a.connect(s.filtered(7))
		a.connect(s.filtered(7))
		a.connect(s.lo(7))
		a.errno()
		a.send("x", 0)
		a.send("", 0)
		a.recv(1, 0)
		a.recv(0, 0)
		a.listen(1)
		a.bind(s.lo(0))
		a.accept("b")
		a.peername()
		a.shutdown(rd)
		a.recv(1, 0)
		a.shutdown(wr)
		a.state()
		a.connect(s.filtered(7))
	}},
	{name: "connect to a filtered port, closed meanwhile", run: func(s *script) {
		a := s.stream("a")
		a.connect(s.filtered(7))
		a.state()
		a.close()
	}},
	{name: "connect to where no route leads", run: func(s *script) {
		a := s.stream("a")
		a.connect(s.foreign(7))
		a.connect(s.foreign(7))
		a.errno()
		a.sockname()
		a.state()
	}},
	{name: "connect to port 0", run: func(s *script) {
		a := s.stream("a")
		a.connect(s.lo(0))
		a.errno()
		a.connect(s.lo(0))
	}},
	{name: "connect to the wildcard address", run: func(s *script) {
		l := s.stream("l")
		l.bind(s.any(0))
		l.listen(1)
		c := s.stream("c")
		c.connect(l.addr())
		c.peername()
		c.sockname()
		p := l.accept("p")
		p.sockname()
		l.sockname()
	}},
	{name: "connect to the interface's own address", run: func(s *script) {
		l := s.stream("l")
		l.bind(s.any(0))
		l.listen(1)
		c := s.stream("c")
		to := at(own4, l.addr().Port)
		if s.af == endpoint.AF_INET6 {
			to = at(own6, l.addr().Port)
		}
		c.connect(to)
		c.sockname()
		c.peername()
		p := l.accept("p")
		p.sockname()
		c.send("x", 0)
		p.recv(9, 0)
	}},
	{name: "connect to itself", run: func(s *script) {
		a := s.stream("a")
		a.bind(s.lo(0))
		a.connect(a.addr())
		a.state()
		a.peername()
		a.send("myself", 0)
		a.recv(9, 0)
		a.shutdown(wr)
		a.recv(1, 0)
	}},
	{name: "connect from a bound port", run: func(s *script) {
		l := s.listener()
		c := s.stream("c")
		c.bind(s.lo(0))
		c.sockname()
		c.connect(l.addr())
		c.sockname()
		p := l.accept("p")
		p.peername()
	}},
	{name: "connect from a bound wildcard", run: func(s *script) {
		l := s.listener()
		c := s.stream("c")
		c.bind(s.any(0))
		c.sockname()
		c.connect(l.addr())
		c.sockname()
	}},
	{name: "two connections from one port", run: func(s *script) {
		l, m := s.listener(), s.stream("m")
		m.bind(s.lo(0))
		m.listen(1)
		c := s.stream("c")
		c.set(soReuseaddr, 1)
		c.bind(s.lo(0))
		d := s.stream("d")
		d.set(soReuseaddr, 1)
		d.bind(c.addr())
		c.connect(l.addr())
		d.connect(l.addr())
		d.connect(m.addr())
		d.sockname()
	}},
	{name: "two sockets on one port listen", run: func(s *script) {
		a, b := s.stream("a"), s.stream("b")
		a.set(soReuseaddr, 1)
		b.set(soReuseaddr, 1)
		a.bind(s.any(0))
		b.bind(s.lo(a.addr().Port))
		a.listen(1)
		b.listen(1)
		b.sockname()
		a.close()
		b.listen(1)
		c := s.stream("c")
		c.set(soReuseaddr, 1)
		c.bind(s.any(b.addr().Port))
		b.shutdown(rd)
		c.bind(s.any(b.addr().Port))
		b.listen(1)
		c.listen(1)
	}},
	{name: "SO_REUSEPORT and a port of connect", run: func(s *script) {
		l := s.listener()
		c := s.stream("c")
		c.connect(l.addr())
		p := l.accept("p")
		a := s.stream("a")
		a.set(soReuseport, 1)
		a.bind(c.addr())
		c.set(soReuseport, 1)
		a.bind(c.addr())
		c.shutdown(wr)
		p.close()
		c.state("CLOSE")
		a.close()
		b := s.stream("b")
		b.set(soReuseport, 1)
		b.bind(c.addr())
		d, q := s.pair()
		d.shutdown(wr)
		q.shutdown(wr)
		had := d.addr()
		d.close()
		e := s.stream("e")
		e.set(soReuseport, 1)
		e.bind(had)
		e.set(soReuseaddr, 1)
		e.bind(had)
	}},
	{name: "SO_REUSEPORT and connections that wait", run: func(s *script) {
		l, m, c := s.stream("l"), s.stream("m"), s.stream("c")
		l.set(soReuseport, 1)
		l.bind(s.lo(0))
		l.listen(2)
		c.connect(l.addr())
		m.set(soReuseport, 1)
		m.bind(l.addr())
		m.listen(1)
	}},
	{name: "disconnect", run: func(s *script) {
		c, p := s.pair()
		c.connect(unspec)
		c.peername()
		c.sockname()
		c.errno()
		c.recv(1, 0)
		c.send("x", 0)
		c.state()
		p.recv(1, 0)
		p.recv(1, 0)
		l := s.listener()
		c.connect(l.addr())
		c.connect(l.addr())
		c.peername()
	}},
	{name: "disconnect with data", run: func(s *script) {
		c, p := s.pair()
		p.send("unread", 0)
		c.send("sent", 0)
		c.connect(unspec)
		c.recv(9, 0)
		p.recv(9, 0)
		p.recv(9, 0)
	}},
	{name: "disconnect while connecting", run: func(s *script) {
		a := s.stream("a")
		a.connect(s.filtered(7))
		a.connect(unspec)
		a.state()
		a.errno()
		l := s.listener()
		a.connect(l.addr())
		a.connect(l.addr())
	}},
	{name: "disconnect after the end", run: func(s *script) {
		c, p := s.pair()
		p.close()
		c.recv(1, 0)
		c.connect(unspec)
		c.state()
		c.errno()
		c.sockname()
	}},
}

// backlog fills the queue of a listener.
func backlog(s *script, n, fit int) {
	l := s.stream("l")
	l.bind(s.lo(0))
	l.listen(n)
	for i := range fit {
		c := s.stream(string(rune('a' + i)))
		c.connect(l.addr())
	}
	for range fit {
		l.accept("p")
	}
	l.accept("p")
}
