package differ

import "usersock/stack/endpoint"

// streamEnds are about how connections end.
var streamEnds = []sequence{
	{name: "fresh", run: func(s *script) {
		a := s.stream("a")
		a.state()
		a.send("x", 0)
		a.send("", 0)
		a.recv(1, 0)
		a.recv(0, 0)
		a.recv(1, peek)
		a.recv(1, errq)
		a.recv(1, oob)
		a.sockname()
		a.peername()
		a.accept("b")
		a.errno()
		a.shutdown(rd)
		a.shutdown(wr)
		a.shutdown(rdwr)
		a.shutdown(3)
		a.shutdown(-1)
		a.connect(unspec)
		a.close()
		a.close()
		a.send("x", 0)
		a.recv(1, 0)
		a.sockname()
		a.peername()
		a.listen(1)
		a.bind(s.lo(0))
		a.connect(s.lo(9))
		a.shutdown(rd)
		a.accept("c")
		a.errno()
	}},
	{name: "refused", run: func(s *script) {
		a := s.stream("a")
		closed := s.closedPort(endpoint.SOCK_STREAM)
		a.connect(closed)
		a.connect(closed)
		a.errno()
		a.send("x", 0)
		a.recv(1, 0)
		a.connect(closed)
		a.errno()
		a.errno()
		l := s.listener()
		a.connect(l.addr())
		a.connect(l.addr())
		a.connect(l.addr())
	}},
	{name: "refused, and its name", run: func(s *script) {
		a := s.stream("a")
		a.connect(s.closedPort(endpoint.SOCK_STREAM))
		a.errno()
		a.sockname()
	}},
	{name: "refused from a bound port", run: func(s *script) {
		a := s.stream("a")
		a.bind(s.lo(0))
		a.sockname()
		closed := s.closedPort(endpoint.SOCK_STREAM)
		a.connect(closed)
		a.connect(closed)
		a.sockname()
		l := s.listener()
		a.connect(l.addr())
		a.connect(l.addr())
		a.sockname()
	}},
	{name: "refused from a named port", run: func(s *script) {
		port := freshPort()
		s.nameIt(port, "named")
		a := s.stream("a")
		a.bind(s.lo(port))
		closed := s.closedPort(endpoint.SOCK_STREAM)
		a.connect(closed)
		a.connect(closed)
		a.sockname()
		l := s.listener()
		a.connect(l.addr())
		a.connect(l.addr())
		a.sockname()
	}},
	{name: "half close by the client", run: func(s *script) {
		c, p := s.pair()
		c.shutdown(wr)
		c.state("FIN-WAIT-2")
		c.send("x", 0)
		c.send("", 0)
		p.state()
		p.recv(1, 0)
		p.recv(0, 0)
		p.recv(1, 0)
		p.send("abc", 0)
		c.recv(10, 0)
		c.shutdown(wr)
		p.shutdown(wr)
		c.recv(1, 0)
		c.state()
		c.peername()
		c.sockname()
		c.shutdown(wr)
		c.send("x", 0)
		c.connect(s.lo(9))
		p.state()
		p.errno()
		p.peername()
		p.shutdown(wr)
		p.connect(s.lo(9))
		p.send("x", 0)
		p.recv(1, 0)
	}},
	{name: "half close by the server", run: func(s *script) {
		c, p := s.pair()
		p.send("bye", 0)
		p.shutdown(wr)
		p.recv(1, 0)
		c.recv(2, 0)
		c.recv(2, 0)
		c.recv(2, 0)
		c.send("last words", 0)
		p.recv(20, 0)
		c.close()
		p.recv(1, 0)
		p.state()
		p.close()
	}},
	{name: "closed both ways by one side", run: func(s *script) {
		c, p := s.pair()
		c.shutdown(rdwr)
		c.recv(1, 0)
		c.send("x", 0)
		p.recv(1, 0)
		p.send("into the void", 0)
		p.recv(1, 0)
		p.errno()
		c.errno()
	}},
	{name: "closed both ways with bytes unread", run: func(s *script) {
		c, p := s.pair()
		p.send("early", 0)
		c.shutdown(rdwr)
		c.recv(2, peek)
		c.recv(0, 0)
		c.recv(2, 0)
		c.recv(1, trunc)
		p.recv(1, 0)
		p.send("late", 0)
		c.recv(1, 0)
		c.recv(9, 0)
		c.recv(9, 0)
		c.recv(9, 0)
		p.errno()
	}},
	{name: "closed both ways with bytes unread, that are read", run: func(s *script) {
		c, p := s.pair()
		c.set(soPeekOff, 1)
		p.send("early", 0)
		c.shutdown(wr)
		c.shutdown(rd)
		c.recv(2, peek)
		c.recv(2, peek)
		c.recv(2, peek)
		c.recv(9, 0)
		c.recv(9, 0)
		p.shutdown(wr)
		c.recv(9, 0)
		c.state()
	}},
	{name: "closed both ways with bytes unread, then closed", run: func(s *script) {
		c, p := s.pair()
		p.send("early", 0)
		c.shutdown(rd)
		c.shutdown(wr)
		p.recv(1, 0)
		c.close()
		p.send("x", 0)
		p.recv(1, 0)
	}},
	{name: "closed both ways with bytes unread, then disconnected", run: func(s *script) {
		c, p := s.pair()
		p.send("early", 0)
		c.shutdown(rdwr)
		c.connect(unspec)
		c.recv(1, 0)
		c.recv(1, 0)
		p.recv(1, 0)
	}},
	{name: "shut for reading", run: func(s *script) {
		c, p := s.pair()
		p.send("before", 0)
		c.shutdown(rd)
		c.recv(3, 0)
		c.recv(10, 0)
		c.recv(10, 0)
		c.send("still sends", 0)
		p.recv(20, 0)
		c.shutdown(rd)
		c.shutdown(wr)
		p.recv(1, 0)
		c.send("x", 0)
	}},
	{name: "shut for reading, then data comes", run: func(s *script) {
		c, p := s.pair()
		c.shutdown(rd)
		p.send("after", 0)
		c.recv(10, 0)
		p.recv(1, 0)
	}},
	{name: "both close at the same time", run: func(s *script) {
		c, p := s.pair()
		c.close()
		p.close()
	}},
	{name: "both shut down for writing", run: func(s *script) {
		c, p := s.pair()
		c.shutdown(wr)
		p.shutdown(wr)
		c.recv(1, 0)
		p.recv(1, 0)
		c.peername()
		p.peername()
		c.listen(1)
		p.bind(s.lo(0))
	}},
	{name: "reset with data before it", run: func(s *script) {
		c, p := s.pair()
		c.send("data", 0)
		c.closeReset()
		p.recv(10, 0)
		p.recv(10, 0)
		p.recv(10, 0)
		p.send("x", 0)
		p.errno()
		p.peername()
		p.connect(s.lo(9))
		p.shutdown(rdwr)
		p.listen(1)
		p.sockname()
	}},
	{name: "reset reported by send", run: func(s *script) {
		c, p := s.pair()
		c.closeReset()
		p.send("x", 0)
		p.send("x", 0)
		p.recv(1, 0)
	}},
	{name: "reset reported by SO_ERROR", run: func(s *script) {
		c, p := s.pair()
		c.closeReset()
		p.errno()
		p.errno()
		p.recv(1, 0)
		p.send("x", 0)
	}},
	{name: "reset reported by recv of nothing", run: func(s *script) {
		c, p := s.pair()
		c.closeReset()
		p.recv(0, 0)
		p.recv(0, 0)
		p.send("", 0)
	}},
	{name: "reset reported by peek", run: func(s *script) {
		c, p := s.pair()
		c.closeReset()
		p.recv(1, peek)
		p.recv(1, peek)
	}},
	{name: "reset reported by connect", run: func(s *script) {
		c, p := s.pair()
		c.closeReset()
		p.connect(s.lo(9))
		p.errno()
	}},
	{name: "reset reported by accept", run: func(s *script) {
		c, p := s.pair()
		c.closeReset()
		p.accept("x")
		p.errno()
	}},
	{name: "reset of a half-closed connection", run: func(s *script) {
		c, p := s.pair()
		p.shutdown(wr)
		c.closeReset()
		p.recv(1, 0)
		p.recv(1, 0)
		p.send("x", 0)
	}},
	{name: "reset after the peer's end was read", run: func(s *script) {
		c, p := s.pair()
		c.shutdown(wr)
		p.recv(1, 0)
		c.closeReset()
		p.recv(1, 0)
		p.send("x", 0)
		p.errno()
	}},
	{name: "closed with unread data", run: func(s *script) {
		c, p := s.pair()
		c.send("unread", 0)
		p.close()
		c.recv(1, 0)
		c.recv(1, 0)
		c.send("x", 0)
	}},
	{name: "closed with a part unread", run: func(s *script) {
		c, p := s.pair()
		c.send("a part is read", 0)
		p.send("waits", 0)
		p.recv(2, 0)
		p.close()
		c.recv(10, 0)
		c.recv(10, 0)
	}},
	{name: "send to the gone", run: func(s *script) {
		c, p := s.pair()
		p.close()
		c.send("first", 0)
		c.recv(1, 0)
		c.send("second", 0)
		c.send("third", 0)
		c.errno()
	}},
	{name: "send to the gone, then SO_ERROR", run: func(s *script) {
		c, p := s.pair()
		p.close()
		c.send("first", 0)
		c.errno()
		c.send("second", 0)
		c.recv(1, 0)
	}},
	{name: "linger 0 on the accepted side", run: func(s *script) {
		c, p := s.pair()
		p.linger(1, 0)
		p.close()
		c.recv(1, 0)
		c.recv(1, 0)
	}},
	{name: "linger with time, nothing sent", run: func(s *script) {
		c, p := s.pair()
		c.linger(1, 30)
		c.get(soLinger)
		c.getBytes(soLinger, 8)
		c.close()
		p.recv(1, 0)
		p.close()
	}},
	{name: "linger off with a time", run: func(s *script) {
		c, p := s.pair()
		c.linger(0, 30)
		c.getBytes(soLinger, 8)
		c.linger(-1, 7)
		c.getBytes(soLinger, 8)
		c.setBytes(soLinger, intBytes(1))
		c.linger(0, 0)
		c.send("x", 0)
		c.close()
		p.recv(9, 0)
		p.recv(9, 0)
	}},
	{name: "linger 0 on an unconnected socket", run: func(s *script) {
		a := s.stream("a")
		a.closeReset()
		l := s.listener()
		l.closeReset()
	}},
	{name: "linger 0 with data in flight both ways", run: func(s *script) {
		c, p := s.pair()
		c.send("to the server", 0)
		p.send("to the client", 0)
		p.closeReset()
		c.recv(4, 0)
		c.recv(99, 0)
		c.send("x", 0)
	}},
	{name: "linger 0 after shutdown for writing", run: func(s *script) {
		c, p := s.pair()
		c.shutdown(wr)
		c.closeReset()
		p.recv(1, 0)
		p.errno()
		p.send("x", 0)
	}},
}
