package differ

import "usersock/stack/endpoint"

// modeSequences are about calls that wait, with a limit. They are played over
// every family and type.
var modeSequences = []sequence{
	{name: "recv waits in vain", run: func(s *script) {
		a, b := s.both()
		b.patient()
		b.recv(9, 0)
		b.recv(9, peek)
		b.recv(9, endpoint.MSG_DONTWAIT)
		b.recv(0, 0)
		a.send("x", 0)
		b.recv(9, 0)
	}},
	{name: "recv of all waits in vain", run: func(s *script) {
		a, b := s.both()
		b.patient()
		a.send("ab", 0)
		b.recv(4, waitall|peek)
		b.recv(4, waitall)
		b.recv(4, waitall)
		a.send("abcdef", 0)
		b.recv(4, waitall)
		a.shutdown(wr)
		b.recv(4, waitall)
	}},
	{name: "recv of all is not waited for", run: func(s *script) {
		a, b := s.both()
		b.patient()
		a.send("ab", 0)
		b.recv(4, waitall|endpoint.MSG_DONTWAIT)
	}},
	{name: "a low-water mark is waited for in vain", run: func(s *script) {
		a, b := s.both()
		b.patient()
		b.set(soRcvlowat, 4)
		a.send("ab", 0)
		b.recv(9, 0)
		a.send("cd", 0)
		a.send("ef", 0)
		b.recv(9, 0)
	}},
	{name: "accept waits in vain", run: func(s *script) {
		l := s.own("l")
		if s.af == endpoint.AF_UNIX {
			l.bind(s.path("l"))
		} else {
			l.bind(s.lo(0))
		}
		l.listen(1)
		l.patient()
		l.accept("x")
		l.shutdown(rd)
		l.accept("x")
	}},
	{name: "connect waits in vain", run: func(s *script) {
		a := s.own("a")
		a.patient()
		if s.af == endpoint.AF_UNIX {
			l := s.own("l")
			l.bind(s.path("l"))
			l.listen(0)
			s.own("b").connect(s.path("l"))
			a.connect(s.path("l"))
			return
		}
		a.connect(s.filtered(7))
		a.connect(s.filtered(7))
		a.errno()
	}},
	{name: "connect waits", run: func(s *script) {
		l := s.own("l")
		a := s.own("a")
		if s.af == endpoint.AF_UNIX {
			l.bind(s.path("l"))
		} else {
			l.bind(s.lo(0))
		}
		to := l.addr()
		a.patient()
		a.connect(to)
		l.listen(1)
		a.connect(to)
		a.connect(to)
	}},
	{name: "send waits in vain", run: func(s *script) {
		a, _ := s.both()
		if s.af != endpoint.AF_UNIX {
			return // UDP never waits, and TCP finds room when it likes
		}
		a.set(soSndbuf, 5000)
		a.fill()
		a.patient()
		a.send("x", 0)
	}},
	{name: "the mode is shared", run: func(s *script) {
		a, b := s.both()
		c := b.dup("c")
		b.patient()
		c.recv(9, 0)
		c.blocking(false)
		b.recv(9, 0)
		a.send("x", 0)
		c.recv(9, 0)
	}},
	{name: "the end is not waited for", run: func(s *script) {
		a, b := s.both()
		b.patient()
		a.shutdown(wr)
		b.recv(9, 0)
		b.shutdown(rd)
		b.recv(9, 0)
	}},
}

// both are two connected sockets of the script's family and type.
func (s *script) both() (a, b *sock) {
	if s.af == endpoint.AF_UNIX {
		return s.upair()
	}
	return s.talk()
}
