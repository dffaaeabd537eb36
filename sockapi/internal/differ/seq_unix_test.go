package differ

import (
	"strings"

	"usersock/stack/endpoint"
)

// upair is a socketpair of the script's type.
func (s *script) upair() (a, b *sock) { return s.socketpair("a", "b", endpoint.AF_UNIX, s.typ, 0) }

// named is a connection by a path: c connected, p was accepted, on stream
// and seqpacket sockets; two connected datagram sockets otherwise.
func (s *script) named() (c, p *sock) {
	if s.typ == endpoint.SOCK_DGRAM {
		p, c = s.own("p"), s.own("c")
		p.bind(s.path("p"))
		c.bind(s.path("c"))
		c.connect(s.path("p"))
		p.connect(s.path("c"))
		return c, p
	}
	l := s.own("l")
	l.bind(s.path("l"))
	l.listen(2)
	c = s.own("c")
	c.connect(s.path("l"))
	p = l.accept("p")
	l.close()
	return c, p
}

// unixSequences are about calls on sockets of AF_UNIX.
var unixSequences = []sequence{
	{name: "fresh", run: func(s *script) {
		a := s.own("a")
		a.sockname()
		a.peername()
		a.send("x", 0)
		a.send("", 0)
		a.recv(1, 0)
		a.recv(0, 0)
		a.accept("b")
		a.listen(1)
		a.errno()
		a.get(soType)
		a.get(soDomain)
		a.get(soAcceptconn)
		a.connect(unspec)
		a.shutdown(rd)
		a.shutdown(wr)
		a.shutdown(7)
		a.close()
		a.sockname()
	}},
	{name: "bind a path", run: func(s *script) {
		a, b := s.own("a"), s.own("b")
		a.bind(s.path("x"))
		a.sockname()
		a.bind(s.path("y"))
		a.bind(s.path("x"))
		b.bind(s.path("x"))
		a.close()
		b.bind(s.path("x"))
		s.unlink("x")
		b.bind(s.path("x"))
		s.unlink("x")
		s.unlink("x")
		b.sockname()
	}},
	{name: "bind an abstract name", run: func(s *script) {
		a, b := s.own("a"), s.own("b")
		a.bind(s.abstract("x"))
		a.sockname()
		b.bind(s.abstract("x"))
		a.close()
		b.bind(s.abstract("x"))
		b.bind(s.abstract("y"))
	}},
	{name: "autobind", run: func(s *script) {
		a, b := s.own("a"), s.own("b")
		a.bind(endpoint.Unix(""))
		a.sockname()
		a.bind(endpoint.Unix(""))
		a.sockname()
		b.bind(endpoint.Unix(""))
		b.sockname()
		a.bind(s.path("x"))
	}},
	{name: "long names", run: func(s *script) {
		a := s.own("a")
		a.bind(endpoint.Unix("/nowhere/" + strings.Repeat("x", 99))) // 108 bytes
		a.connect(endpoint.Unix("/nowhere/" + strings.Repeat("x", 98)))
		a.bind(endpoint.Unix("\x00" + strings.Repeat("n", 107)))
		a.close()
	}},
	{name: "connect to nothing", run: func(s *script) {
		a := s.own("a")
		a.connect(s.path("none"))
		a.connect(s.abstract("none"))
		a.connect(endpoint.Unix(""))
		b := s.own("b")
		b.bind(s.path("b"))
		a.connect(s.path("b"))
		a.errno()
		b.close()
		c := s.own("c")
		c.connect(s.path("b"))
	}},
	{name: "connect to a socket of another type", run: func(s *script) {
		other := endpoint.SOCK_STREAM
		if s.typ == other {
			other = endpoint.SOCK_DGRAM
		}
		b := s.open("b", endpoint.AF_UNIX, other, 0)
		b.bind(s.path("b"))
		b.listen(1)
		a := s.own("a")
		a.connect(s.path("b"))
		a.sendto("x", s.path("b"), 0)
		c := s.open("c", endpoint.AF_UNIX, other, 0)
		c.bind(s.abstract("c"))
		a.connect(s.abstract("c"))
	}},
	{name: "connection by a path", run: func(s *script) {
		c, p := s.named()
		c.sockname()
		c.peername()
		p.sockname()
		p.peername()
		c.send("hello", 0)
		p.recv(9, 0)
		p.send("world", 0)
		c.recv(9, 0)
		c.connect(s.path("l"))
		c.bind(s.path("late"))
		c.listen(1)
	}},
	{name: "connection by an abstract name", run: func(s *script) {
		l := s.own("l")
		l.bind(s.abstract("l"))
		l.listen(2)
		c := s.own("c")
		c.bind(s.abstract("c"))
		c.connect(s.abstract("l"))
		c.peername()
		p := l.accept("p")
		p.peername()
		p.sockname()
		c.send("hello", 0)
		p.recv(9, 0)
	}},
	{name: "listener", run: func(s *script) {
		l := s.own("l")
		l.listen(1)
		l.bind(s.path("l"))
		l.accept("x")
		l.listen(2)
		l.accept("x")
		l.get(soAcceptconn)
		l.send("x", 0)
		l.recv(1, 0)
		l.connect(s.path("l"))
		l.peername()
		l.listen(5)
		l.listen(-1)
		l.shutdown(rd)
		l.accept("x")
		c := s.own("c")
		c.connect(s.path("l"))
		l.listen(1)
		l.accept("x")
	}},
	{name: "backlog", run: func(s *script) {
		l := s.own("l")
		l.bind(s.path("l"))
		l.listen(1)
		for _, n := range []string{"c", "d", "e"} {
			s.own(n).connect(s.path("l"))
		}
		l.accept("p")
		s.own("f").connect(s.path("l"))
		l.accept("q")
		l.accept("r")
		l.accept("t")
	}},
	{name: "backlog 0", run: func(s *script) {
		l := s.own("l")
		l.bind(s.path("l"))
		l.listen(0)
		s.own("c").connect(s.path("l"))
		s.own("d").connect(s.path("l"))
		l.accept("p")
		l.accept("q")
	}},
	{name: "before accept", run: func(s *script) {
		l := s.own("l")
		l.bind(s.path("l"))
		l.listen(2)
		c := s.own("c")
		c.connect(s.path("l"))
		c.send("early", 0)
		c.shutdown(wr)
		p := l.accept("p")
		p.recv(9, 0)
		p.recv(9, 0)
		p.send("late", 0)
		c.recv(9, 0)
	}},
	{name: "closed before accept", run: func(s *script) {
		l := s.own("l")
		l.bind(s.path("l"))
		l.listen(2)
		c := s.own("c")
		c.connect(s.path("l"))
		c.send("gone", 0)
		c.close()
		p := l.accept("p")
		p.recv(9, 0)
		p.recv(9, 0)
		p.send("x", 0)
		p.peername()
	}},
	{name: "listener closed with a connection waiting", run: func(s *script) {
		l := s.own("l")
		l.bind(s.path("l"))
		l.listen(2)
		c := s.own("c")
		c.connect(s.path("l"))
		l.close()
		c.recv(1, 0)
		c.recv(1, 0)
		c.send("x", 0)
		c.peername()
	}},
	{name: "listener closed with data waiting", run: func(s *script) {
		l := s.own("l")
		l.bind(s.path("l"))
		l.listen(2)
		c := s.own("c")
		c.connect(s.path("l"))
		c.send("early", 0)
		l.close()
		c.recv(1, 0)
		c.recv(1, 0)
	}},
	{name: "pair", run: func(s *script) {
		a, b := s.upair()
		a.sockname()
		a.peername()
		a.send("one", 0)
		a.send("two", 0)
		b.recv(4, peek)
		b.recv(4, 0)
		b.recv(9, 0)
		b.recv(9, 0)
		a.connect(s.path("x"))
		a.listen(1)
		a.accept("x")
		a.bind(s.path("a"))
		a.sockname()
		b.peername()
	}},
	{name: "of no length", run: func(s *script) {
		a, b := s.upair()
		a.send("", 0)
		b.recv(9, 0)
		a.send("", 0)
		b.recv(0, 0)
		b.recv(9, 0)
		a.send("x", 0)
		b.recv(0, 0)
		b.recv(9, 0)
	}},
	{name: "cut", run: func(s *script) {
		a, b := s.upair()
		a.send("longer", 0)
		b.recv(2, peek|trunc)
		b.recv(2, trunc)
		b.recv(9, 0)
		a.send("longer", 0)
		b.recv(2, 0)
		b.recv(9, 0)
	}},
	{name: "waitall", run: func(s *script) {
		a, b := s.upair()
		a.send("ab", 0)
		a.send("cd", 0)
		b.recv(3, waitall)
		b.recv(3, waitall)
		b.recv(3, waitall)
	}},
	{name: "flags", run: func(s *script) {
		a, b := s.upair()
		a.send("a", eor)
		a.send("b", more)
		a.send("c", endpoint.MSG_DONTROUTE)
		a.send("d", endpoint.MSG_CONFIRM)
		b.recv(1, endpoint.MSG_DONTWAIT)
		b.recv(1, 0)
		b.recv(1, 0)
		b.recv(1, 0)
		b.recv(1, errq)
	}},
	{name: "shutdown for writing", run: func(s *script) {
		a, b := s.upair()
		a.send("left", 0)
		a.shutdown(wr)
		a.send("x", 0)
		b.recv(9, 0)
		b.recv(9, 0)
		b.send("back", 0)
		a.recv(9, 0)
		b.shutdown(wr)
		a.recv(9, 0)
		a.shutdown(rdwr)
		a.peername()
	}},
	{name: "shutdown for reading", run: func(s *script) {
		a, b := s.upair()
		a.send("left", 0)
		b.shutdown(rd)
		b.recv(9, 0)
		b.recv(9, 0)
		a.send("x", 0)
		b.send("back", 0)
		a.recv(9, 0)
		a.errno()
	}},
	{name: "shutdown both ways", run: func(s *script) {
		a, b := s.upair()
		a.shutdown(rdwr)
		a.send("x", 0)
		a.recv(1, 0)
		b.send("x", 0)
		b.recv(1, 0)
	}},
	{name: "shutdown before connect", run: func(s *script) {
		l, c := s.own("l"), s.own("c")
		l.bind(s.path("l"))
		l.listen(2)
		c.shutdown(wr)
		c.connect(s.path("l"))
		c.send("x", 0)
		p := l.accept("p")
		p.recv(1, 0)
	}},
	{name: "closed with unread data", run: func(s *script) {
		a, b := s.upair()
		a.send("unread", 0)
		b.close()
		a.recv(1, 0)
		a.recv(1, 0)
		a.send("x", 0)
		a.errno()
		a.peername()
	}},
	{name: "closed with unread data, told by send", run: func(s *script) {
		a, b := s.upair()
		a.send("unread", 0)
		b.close()
		a.send("x", 0)
		a.send("x", 0)
		a.recv(1, 0)
	}},
	{name: "closed with everything read", run: func(s *script) {
		a, b := s.upair()
		a.send("read", 0)
		b.recv(9, 0)
		b.send("kept", 0)
		b.close()
		a.recv(2, peek)
		a.recv(9, 0)
		a.recv(9, 0)
		a.send("x", 0)
		a.errno()
	}},
	{name: "full", run: func(s *script) {
		a, b := s.upair()
		a.fill()
		b.drain()
		a.send("x", 0)
		b.recv(9, 0)
	}},
	{name: "full, and closed", run: func(s *script) {
		a, b := s.upair()
		a.fill()
		b.close()
		a.send("x", 0)
	}},
	{name: "too long", run: func(s *script) {
		a, b := s.upair()
		a.set(soSndbuf, 5000)
		a.send(strings.Repeat("x", 1<<20), 0)
		b.recv(1, 0)
	}},
	{name: "linger means nothing", run: func(s *script) {
		a, b := s.upair()
		a.send("sent", 0)
		a.closeReset()
		b.recv(9, 0)
		b.recv(9, 0)
	}},
	{name: "dup", run: func(s *script) {
		a, b := s.upair()
		c := a.dup("c")
		a.close()
		c.send("x", 0)
		b.recv(9, 0)
		c.close()
		b.recv(9, 0)
	}},
	{name: "peek offset", run: func(s *script) {
		a, b := s.upair()
		b.get(soPeekOff)
		b.set(soPeekOff, 0)
		a.send("abcdef", 0)
		b.recv(2, peek)
		b.recv(3, peek)
		b.get(soPeekOff)
		b.recv(1, 0)
		b.get(soPeekOff)
		b.recv(9, peek)
		b.set(soPeekOff, -1)
		b.recv(9, peek)
	}},
	{name: "credentials", run: func(s *script) {
		a, b := s.upair()
		a.cred()
		b.cred()
		c := s.own("c")
		c.cred()
		l := s.own("l")
		l.bind(s.path("l"))
		l.listen(1)
		l.cred()
		c.connect(s.path("l"))
		c.cred()
		p := l.accept("p")
		p.cred()
	}},
	{name: "sendto", run: func(s *script) {
		a, b := s.own("a"), s.own("b")
		b.bind(s.path("b"))
		a.sendto("unnamed", s.path("b"), 0)
		b.recv(20, 0)
		a.bind(s.path("a"))
		a.sendto("named", s.path("b"), 0)
		b.recv(20, 0)
		a.sendto("x", s.path("none"), 0)
		a.sendto("x", s.abstract("none"), 0)
		b.close()
		a.sendto("x", s.path("b"), 0)
		c, _ := s.socketpair("c", "d", endpoint.AF_UNIX, s.typ, 0)
		c.sendto("x", s.path("a"), 0)
	}},
	{name: "connected datagrams", run: func(s *script) {
		if s.typ != endpoint.SOCK_DGRAM {
			return
		}
		a, b, c := s.own("a"), s.own("b"), s.own("c")
		a.bind(s.path("a"))
		b.bind(s.path("b"))
		b.connect(s.path("a"))
		c.sendto("not its peer", s.path("b"), 0)
		c.connect(s.path("b"))
		b.send("to a", 0)
		a.recv(9, 0)
		a.connect(s.path("b"))
		a.connect(unspec)
		a.peername()
		a.close()
		b.send("x", 0)
		b.send("x", 0)
		b.peername()
	}},
	{name: "datagrams to a full queue", run: func(s *script) {
		if s.typ != endpoint.SOCK_DGRAM {
			return
		}
		a, b := s.own("a"), s.own("b")
		b.bind(s.path("b"))
		for range 12 {
			a.sendto("x", s.path("b"), 0)
		}
		a.connect(s.path("b"))
		a.send("x", 0)
		b.recv(1, 0)
		a.send("x", 0)
		a.send("x", 0)
		b.close()
		a.send("x", 0)
	}},
	{name: "reconnected datagrams lose what came from another", run: func(s *script) {
		if s.typ != endpoint.SOCK_DGRAM {
			return
		}
		a, b, c := s.own("a"), s.own("b"), s.own("c")
		a.bind(s.path("a"))
		b.bind(s.path("b"))
		c.bind(s.path("c"))
		c.sendto("from c", s.path("a"), 0)
		a.connect(s.path("b"))
		a.recv(9, 0)
		a.connect(s.path("c"))
		c.connect(s.path("a"))
		c.send("x", 0)
		a.connect(s.path("b"))
		a.recv(9, 0)
		c.errno()
	}},
	{name: "addresses of other families", run: func(s *script) {
		a := s.own("a")
		a.bind(at("127.0.0.1", 0))
		a.connect(at("127.0.0.1", 9))
		a.sendto("x", at("127.0.0.1", 9), 0)
	}},
}

// cred is SO_PEERCRED, with the process by name.
func (k *sock) cred() {
	k.on("getsockopt(SO_PEERCRED)", func() string { return k.credText() })
}
