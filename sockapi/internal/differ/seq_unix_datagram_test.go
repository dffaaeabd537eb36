package differ

import (
	"strings"

	"usersock/stack/endpoint"
)

// bound opens a socket whose name is its path.
func (s *script) bound(name string) *sock {
	k := s.own(name)
	k.bind(s.path(name))
	return k
}

// unixDatagrams are about datagrams of AF_UNIX, and who may send them where.
var unixDatagrams = []sequence{
	{name: "only the peer may send", run: func(s *script) {
		a, b, c := s.bound("a"), s.bound("b"), s.bound("c")
		a.connect(s.path("b"))
		c.sendto("x", s.path("a"), 0)
		c.connect(s.path("a"))
		b.sendto("from the peer, unconnected", s.path("a"), 0)
		a.recv(10, 0)
		a.send("to b", 0)
		c.sendto("b takes all", s.path("b"), 0)
		b.recv(10, 0)
		b.recv(10, 0)
		b.connect(s.path("c"))
		a.send("b has another", 0)
		b.connect(unspec)
		a.send("b has none", 0)
		b.recv(20, 0)
		a.errno()
		a.cred()
	}},
	{name: "a new peer", run: func(s *script) {
		a, b, c := s.bound("a"), s.bound("b"), s.bound("c")
		a.connect(s.path("b"))
		b.connect(s.path("a"))
		b.send("1", 0)
		b.send("2", 0)
		a.connect(s.path("b"))
		a.recv(5, 0)
		a.connect(s.path("c"))
		a.recv(5, 0)
		b.errno()
		c.sendto("3", s.path("a"), 0)
		a.recv(5, 0)
		a.connect(s.path("none"))
		a.connect(s.path("b"))
		c.sendto("4", s.path("a"), 0)
		b.send("5", 0)
		b.send("6", 0)
		a.recv(5, 0)
		a.connect(unspec)
		a.connect(unspec)
		b.send("7", 0)
		b.send("8", 0)
		a.recv(5, 0)
	}},
	{name: "an error and no peer", run: func(s *script) {
		a, b := s.bound("a"), s.bound("b")
		a.connect(s.path("b"))
		b.connect(s.path("a"))
		b.send("1", 0)
		a.connect(unspec)
		b.connect(unspec)
		b.send("x", 0)
		b.send("x", 0)
		b.recv(5, 0)
		b.errno()
	}},
	{name: "order of errors", run: func(s *script) {
		a, b := s.bound("a"), s.bound("b")
		big := strings.Repeat("x", 300_000)
		a.send(big, 0)
		a.sendto(big, s.path("none"), 0)
		a.sendto(big, endpoint.Unix("/nowhere/"+strings.Repeat("x", 99)), 0)
		a.send(big, oob)
		a.connect(s.path("b"))
		a.send(big, 0)
		b.connect(s.abstract("none"))
		a.shutdown(wr)
		a.send(big, 0)
		a.send("x", 0)
		a.sendto("x", s.path("none"), 0)
		b.shutdown(rd)
		c := s.own("c")
		c.sendto("x", s.path("b"), 0)
		c.sendto(big, s.path("b"), 0)
		c.connect(s.path("b"))
		c.send("x", 0)
	}},
	{name: "a peer that closes", run: func(s *script) {
		a, b := s.bound("a"), s.bound("b")
		a.connect(s.path("b"))
		b.connect(s.path("a"))
		b.send("kept", 0)
		b.close()
		a.recv(5, peek)
		a.sendto("x", s.path("b"), 0)
		a.recv(5, 0)
		a.send("x", 0)
		a.send("x", 0)
		a.sendto("x", s.path("b"), 0)
		s.unlink("b")
		c := s.own("c")
		c.bind(s.path("b"))
		a.sendto("to the new one", s.path("b"), 0)
		c.recv(20, 0)
	}},
	{name: "a peer of a pair that closes", run: func(s *script) {
		a, b := s.upair()
		a.send("kept until noticed", 0)
		a.close()
		b.send("x", 0)
		b.recv(20, 0)
		b.send("x", 0)
	}},
	{name: "a peer with another name", run: func(s *script) {
		a, b := s.bound("a"), s.bound("b")
		a.connect(s.path("b"))
		s.unlink("b")
		c := s.own("c")
		c.bind(s.path("b"))
		a.send("to the old one", 0)
		a.sendto("to the new one", s.path("b"), 0)
		b.recv(20, 0)
		c.recv(20, 0)
		a.connect(s.path("b"))
		a.send("x", 0)
		c.recv(20, 0)
	}},
	{name: "itself", run: func(s *script) {
		a, c := s.bound("a"), s.bound("c")
		for range 13 {
			a.sendto("to itself", s.path("a"), 0)
		}
		a.connect(s.path("a"))
		a.send("x", 0)
		c.sendto("x", s.path("a"), 0)
		a.shutdown(rd)
		a.send("x", 0)
		a.recv(20, 0)
		a.connect(unspec)
		a.recv(20, 0)
	}},
	{name: "itself, by an abstract name", run: func(s *script) {
		a := s.own("a")
		a.bind(s.abstract("a"))
		a.connect(s.abstract("a"))
		a.send("myself", 0)
		a.recv(10, 0)
	}},
	{name: "room", run: func(s *script) {
		a, b, c := s.own("a"), s.bound("b"), s.own("c")
		a.connect(s.path("b"))
		c.connect(s.path("b"))
		for range 12 {
			a.send("x", 0)
		}
		c.send("x", 0)
		b.recv(1, peek)
		b.recv(1, 0)
		c.send("x", 0)
		a.connect(unspec)
		c.connect(s.path("b"))
		b.shutdown(rd)
		c.send("x", 0)
		b.connect(unspec)
		b.close()
		c.send("x", 0)
	}},
	{name: "room for the peer alone", run: func(s *script) {
		a, b, c := s.bound("a"), s.bound("b"), s.own("c")
		for range 12 {
			c.sendto("x", s.path("b"), 0)
		}
		a.connect(s.path("b"))
		a.send("x", 0)
		b.connect(s.path("a"))
		for range 3 {
			a.send("x", 0)
		}
		b.recv(1, 0)
		c.sendto("x", s.path("b"), 0)
	}},
	{name: "shut down for reading, twice", run: func(s *script) {
		a, b := s.upair()
		a.send("left", 0)
		b.shutdown(rd)
		b.recv(10, 0)
		b.recv(10, 0)
		b.send("answer", 0)
		a.recv(10, 0)
		a.shutdown(rdwr)
		a.recv(10, 0)
		b.send("x", 0)
	}},
	{name: "autobind of a sender", run: func(s *script) {
		a, b := s.own("a"), s.bound("b")
		a.set(soPasscred, 1)
		a.sendto("x", s.path("none"), 0)
		a.sockname()
		a.sendto("x", s.path("b"), 0)
		b.take(5, space, 0)
		b.connect(a.addr())
		b.send("back", 0)
		a.take(5, space, 0)
		c := s.own("c")
		c.set(soPasscred, 1)
		c.connect(s.path("b"))
		c.sockname()
		c.bind(s.path("later"))
		d := s.own("d")
		d.set(soPasscred, 1)
		d.send("unconnected", 0)
		d.sockname()
	}},
	{name: "peeks at nothing", run: func(s *script) {
		a, b := s.upair()
		a.send("", 0)
		a.send("x", 0)
		a.send("", 0)
		b.set(soPeekOff, 0)
		for range 4 {
			b.recv(5, peek)
		}
		b.recv(0, 0)
		b.recv(0, 0)
		b.get(soPeekOff)
		b.recv(5, peek)
		b.recv(5, 0)
		b.recv(5, 0)
	}},
}
