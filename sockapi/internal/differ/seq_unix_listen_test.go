package differ

import (
	"fmt"
	"strings"

	"usersock/stack/endpoint"
)

// unixListening are about names and listeners of AF_UNIX, and how connections
// of it end.
var unixListening = []sequence{
	{name: "bind again", run: func(s *script) {
		a, b, c := s.own("a"), s.own("b"), s.own("c")
		a.bind(s.path("x"))
		a.bind(s.abstract("x"))
		a.bind(endpoint.Unix(""))
		b.bind(endpoint.Unix("/nowhere/" + strings.Repeat("x", 120)))
		b.bind(endpoint.Unix("\x00" + strings.Repeat("x", 120)))
		b.bind(s.abstract("y"))
		b.bind(s.abstract("y"))
		c.bind(s.abstract("y"))
		other := endpoint.SOCK_STREAM
		if s.typ == other {
			other = endpoint.SOCK_DGRAM
		}
		d := s.open("d", endpoint.AF_UNIX, other, 0)
		d.bind(s.path("x"))
		d.bind(s.abstract("y"))
		b.close()
		c.bind(s.abstract("y"))
		s.unlink("none")
	}},
	{name: "lengths of names", run: func(s *script) {
		for _, n := range []int{106, 107, 108, 109} {
			for _, kind := range []string{"path", "abstract name"} {
				to := s.path(strings.Repeat("n", n))
				if kind != "path" {
					to = s.abstract(strings.Repeat("n", n))
				}
				to.Path = to.Path[:n]
				a, b := s.own(fmt.Sprintf("%c%d", kind[0], n)), s.own("x")
				a.on(fmt.Sprintf("bind(%s of %d bytes)", kind, n), func() string {
					text := errText(s.net.bind(a.h, to))
					return fmt.Sprintf("%s, its name has %d", text, len(a.addr().Path))
				})
				b.on("connect", func() string { return errText(s.net.connect(b.h, to)) })
				b.close()
			}
		}
	}},
	{name: "names with NUL", run: func(s *script) {
		a, b, c := s.own("a"), s.own("b"), s.own("c")
		a.bind(s.abstract("a\x00b"))
		b.bind(s.abstract("a"))
		c.bind(s.abstract("a\x00"))
		s.own("d").connect(s.abstract("a\x00b\x00"))
		a.close()
		s.own("e").bind(s.abstract("a\x00b"))
	}},
	{name: "connect to what was closed", run: func(s *script) {
		a, b := s.own("a"), s.own("b")
		a.bind(s.abstract("a"))
		b.connect(endpoint.Unix("/nowhere/" + strings.Repeat("x", 120)))
		a.close()
		b.connect(s.abstract("a"))
	}},
	{name: "backlog made larger and smaller", run: func(s *script) {
		l := s.own("l")
		l.bind(s.path("l"))
		l.listen(1)
		connect := func(names ...string) {
			for _, n := range names {
				s.own(n).connect(s.path("l"))
			}
		}
		connect("a", "b", "c")
		l.listen(2)
		connect("d", "e")
		l.listen(0)
		l.accept("p1")
		connect("f")
		l.accept("p2")
		l.accept("p3")
		connect("g")
		l.shutdown(rd)
		connect("h")
		l.accept("p4")
		l.accept("p5")
		l.close()
	}},
	{name: "listen from 0", run: func(s *script) {
		l := s.own("l")
		l.bind(s.path("l"))
		connect := func(names ...string) {
			for _, n := range names {
				s.own(n).connect(s.path("l"))
			}
		}
		l.listen(0)
		connect("a", "b")
		l.listen(2)
		connect("c", "d", "e")
		l.listen(0)
		l.accept("p1")
		connect("f")
		l.accept("p2")
		l.accept("p3")
		connect("g")
		l.accept("p4")
		l.accept("p5")
	}},
	{name: "the listener's end", run: func(s *script) {
		l, c, d := s.own("l"), s.own("c"), s.own("d")
		l.bind(s.path("l"))
		l.listen(5)
		c.connect(s.path("l"))
		d.connect(s.path("l"))
		c.send("never read", 0)
		s.unlink("l")
		p := l.accept("p")
		s.own("e").connect(s.path("l"))
		l.close()
		d.errno()
		c.send("more", 0)
		p.recv(10, 0)
		p.recv(10, 0)
	}},
	{name: "a client that is gone", run: func(s *script) {
		l, c := s.own("l"), s.own("c")
		l.bind(s.path("l"))
		l.listen(5)
		c.connect(s.path("l"))
		c.send("1", 0)
		c.send("2", 0)
		c.close()
		p := l.accept("p")
		p.cred()
		p.recv(1, 0)
		p.recv(5, 0)
		p.recv(5, 0)
		p.send("x", 0)
		p.errno()
		p.shutdown(rdwr)
		p.peername()
	}},
	{name: "closed with unread data, told by SO_ERROR", run: func(s *script) {
		a, b := s.upair()
		a.send("unread", 0)
		b.send("kept", 0)
		b.close()
		a.errno()
		a.errno()
		a.recv(10, 0)
	}},
	{name: "low-water mark", run: func(s *script) {
		a, b := s.upair()
		b.set(soRcvlowat, 10)
		a.send("abc", 0)
		b.recv(20, 0)
		b.recv(20, 0)
	}},
	{name: "nothing as a message", run: func(s *script) {
		a, b := s.upair()
		a.send("", 0)
		a.send("three", 0)
		b.recv(0, 0)
		b.recv(10, endpoint.MSG_DONTWAIT)
		b.recv(10, 0)
		a.send("flags", eor|more|endpoint.MSG_DONTROUTE)
		b.recv(10, errq)
		a.sendto("to", s.path("none"), 0)
		b.recv(10, 0)
	}},
}

// halves shut down both ends of a pair in every way.
func halves() (qs []sequence) {
	names := []string{"reading", "writing", "both"}
	for first, one := range names {
		for second, two := range names {
			qs = append(qs, sequence{name: "shut down for " + one + ", the other for " + two, run: func(s *script) {
				a, b := s.upair()
				a.send("to b", 0)
				b.send("to a", 0)
				a.shutdown(first)
				b.shutdown(second)
				for _, k := range []*sock{a, b} {
					k.recv(10, 0)
					k.recv(10, 0)
					k.send("x", 0)
				}
				a.close()
				b.recv(10, 0)
				b.errno()
			}})
		}
	}
	return qs
}
