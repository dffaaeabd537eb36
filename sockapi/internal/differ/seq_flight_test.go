package differ

import (
	"fmt"
	"slices"

	"usersock/sockapi"
	"usersock/stack/endpoint"
)

// pairOf is a socketpair of the script's type whose names begin with name.
func (s *script) pairOf(name string) (front, back *sock) {
	return s.socketpair(name+"1", name+"2", endpoint.AF_UNIX, s.typ, 0)
}

// flightSequences are about descriptors in flight that refer to each other. d
// tells by HUP when c, which flies with them, is closed.
var flightSequences = []sequence{
	{name: "a queue in a queue", run: func(s *script) {
		c, d := s.flyer()
		for i := range 20 {
			a, b := s.pairOf(fmt.Sprint("n", i))
			a.sendItems("r", rights(c, a))
			c.close()
			a.close()
			c = b
		}
		s.closeUntil(d, c)
	}},
	{name: "not asked for", run: func(s *script) {
		a, b := s.upair()
		c, d := s.flyer()
		a.sendItems("r", rights(c))
		c.close()
		b.recv(10, peek)
		b.recv(10, 0)
		d.until(sockapi.POLLHUP)
	}},
	{name: "both ends in one queue", run: func(s *script) {
		a, b := s.upair()
		c, d := s.flyer()
		a.sendItems("r", rights(a, b, c))
		s.closeUntil(d, c, a, b)
	}},
	{name: "circle of two, and their peers", run: func(s *script) {
		a, b := s.pairOf("x")
		e, f := s.pairOf("y")
		c, d := s.flyer()
		a.sendItems("r", rights(f, c))
		e.sendItems("r", rights(b))
		s.closeUntil(d, b, f, c)
		a.send("x", 0)
		e.send("x", 0)
	}},
	{name: "circle of five", run: func(s *script) {
		var fronts, backs []*sock
		for i := range 5 {
			a, b := s.pairOf(fmt.Sprint("n", i))
			fronts, backs = append(fronts, a), append(backs, b)
		}
		c, d := s.flyer()
		for i := range fronts {
			fronts[i].sendItems("r", rights(backs[(i+1)%5]))
		}
		fronts[3].sendItems("r", rights(c, backs[3], backs[0]))
		s.closeUntil(d, slices.Concat([]*sock{c}, fronts, backs)...)
	}},
	{name: "circle with a way in", run: func(s *script) {
		a, b := s.pairOf("x")
		e, f := s.pairOf("y")
		g, h := s.pairOf("z")
		c, _ := s.flyer()
		a.sendItems("r", rights(f, c))
		e.sendItems("r", rights(b))
		g.sendItems("r", rights(f))
		b.close()
		f.close()
		c.close()
		again := h.recvmsg([]int{10}, space, 0, "y2again")[0]
		back := again.recvmsg([]int{10}, space, 0, "x2again")[0]
		a.send("through", 0)
		back.recvmsg([]int{10}, space, 0, "y2more", "cagain")
		back.recv(20, 0)
	}},
	{name: "circle whose way in is closed", run: func(s *script) {
		a, b := s.pairOf("x")
		e, f := s.pairOf("y")
		g, h := s.pairOf("z")
		c, d := s.flyer()
		a.sendItems("r", rights(f, c))
		e.sendItems("r", rights(b))
		g.sendItems("r", rights(f))
		b.close()
		f.close()
		c.close()
		s.closeUntil(d, h)
	}},
	{name: "circle through a backlog", run: func(s *script) {
		if s.typ == endpoint.SOCK_DGRAM {
			return
		}
		l, a := s.own("l"), s.own("a")
		c, d := s.flyer()
		l.bind(s.path("l"))
		l.listen(5)
		a.connect(s.path("l"))
		a.sendItems("r", rights(l, c))
		c.close()
		s.closeUntil(d, l)
		a.until(sockapi.POLLHUP)
		a.recv(1, 0)
		a.recv(1, 0)
	}},
	{name: "circle of the accepted", run: func(s *script) {
		if s.typ == endpoint.SOCK_DGRAM {
			return
		}
		l, a := s.own("l"), s.own("a")
		c, d := s.flyer()
		l.bind(s.path("l"))
		l.listen(5)
		a.connect(s.path("l"))
		a.sendItems("r", rights(l, c))
		p := l.accept("p")
		l.close()
		c.close()
		a.sendItems("r", rights(p))
		s.closeUntil(d, p)
	}},
	{name: "circle of datagrams to a name", run: func(s *script) {
		if s.typ != endpoint.SOCK_DGRAM {
			return
		}
		a, b, e := s.own("a"), s.own("b"), s.own("e")
		c, d := s.flyer()
		a.bind(s.path("a"))
		b.bind(s.path("b"))
		e.connect(s.path("a"))
		e.sendmsgTo([]string{"r"}, 0, s.path("a"), rights(b, c))
		e.sendmsgTo([]string{"r"}, 0, s.path("b"), rights(a))
		s.closeUntil(d, a, b, c)
		e.send("x", 0)
		e.send("x", 0)
	}},
	{name: "flushed by a new peer", run: func(s *script) {
		if s.typ != endpoint.SOCK_DGRAM {
			return
		}
		a, b := s.upair()
		c, d := s.flyer()
		a.sendItems("r", rights(c))
		c.close()
		b.connect(unspec)
		d.until(sockapi.POLLHUP)
	}},
}
