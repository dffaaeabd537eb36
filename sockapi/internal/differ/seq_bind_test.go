package differ

import (
	"fmt"
	"strings"
	"sync/atomic"

	"usersock/stack/endpoint"
)

// A binding is an address to bind to, with the socket that it takes.
type binding struct {
	name   string
	family int
	v6only int // −1: not set
	ip     string
}

var bindings = []binding{
	{"0.0.0.0", endpoint.AF_INET, -1, "0.0.0.0"},
	{"127.0.0.1", endpoint.AF_INET, -1, "127.0.0.1"},
	{"127.0.0.2", endpoint.AF_INET, -1, "127.0.0.2"},
	{"[::]", endpoint.AF_INET6, 0, "::"},
	{"[::] alone", endpoint.AF_INET6, 1, "::"},
	{"[::1]", endpoint.AF_INET6, 0, "::1"},
	{"[::ffff:127.0.0.1]", endpoint.AF_INET6, 0, "::ffff:127.0.0.1"},
	{"[::ffff:0.0.0.0]", endpoint.AF_INET6, 0, "::ffff:0.0.0.0"},
}

// A boundState is what the first socket is when the second one binds.
type boundState struct {
	name  string
	typ   int
	reach func(s *script, first handle, b binding) // quietly
}

var boundStates = []boundState{
	{"TCP bound", endpoint.SOCK_STREAM, func(*script, handle, binding) {}},
	{"TCP listening", endpoint.SOCK_STREAM, func(s *script, h handle, _ binding) { s.must(s.net.listen(h, 1)) }},
	{"TCP connected", endpoint.SOCK_STREAM, func(s *script, h handle, b binding) { s.quietConnect(h, b) }},
	{"UDP bound", endpoint.SOCK_DGRAM, func(*script, handle, binding) {}},
	{"UDP connected", endpoint.SOCK_DGRAM, func(s *script, h handle, b binding) {
		s.must(s.net.connect(h, b.own(9)))
	}},
}

// bindSequences are the rules of re-use: the first socket's address and state
// by the second's address, under every combination of SO_REUSEADDR and
// SO_REUSEPORT on both. A line has 16 answers: for the first socket's options
// none, A, P and AP four of the second's each, in the same order.
func bindSequences() (qs []sequence) {
	for _, st := range boundStates {
		for _, first := range bindings {
			qs = append(qs, sequence{name: "bind/" + st.name + "/" + first.name, af: first.family, run: func(s *script) {
				for _, second := range bindings {
					s.step("then "+second.name, func() string { return s.reuse(st, first, second) })
				}
			}})
		}
	}
	for _, first := range bindings {
		if strings.HasPrefix(first.name, "[::ffff") {
			continue
		}
		qs = append(qs, sequence{name: "bind/TIME-WAIT/" + first.name, af: first.family, run: func(s *script) { s.timeWait(first) }})
	}
	for _, q := range portSequences {
		for _, af := range []int{endpoint.AF_INET, endpoint.AF_INET6} {
			if q.af == 0 || q.af == af {
				qs = append(qs, sequence{name: "bind/" + q.name + "/" + familyText(af), af: af, run: q.run})
			}
		}
	}
	return qs
}

// portSequences are who has a port, and for how long. Those without a family are
// played over both.
var portSequences = []sequence{
	{name: "two that share, one listens", run: func(s *script) {
		a, b := s.sharing("a"), s.sharing("b")
		a.bind(s.lo(0))
		b.bind(a.addr())
		b.listen(1)
		a.listen(1)
		a.sockname()
		c := s.sharing("c")
		c.bind(a.addr())
		b.close()
		a.listen(1)
		c.bind(a.addr())
	}},
	{name: "options that change later", run: func(s *script) {
		a, b := s.sharing("a"), s.sharing("b")
		a.bind(s.lo(0))
		a.set(soReuseaddr, 0)
		b.bind(a.addr())
		a.set(soReuseaddr, 1)
		b.bind(a.addr())
		c, d := s.stream("c"), s.stream("d")
		c.set(soReuseport, 1)
		d.set(soReuseport, 1)
		c.bind(s.lo(0))
		c.set(soReuseport, 0)
		d.bind(c.addr())
		e := s.stream("e")
		e.set(soReuseport, 1)
		e.bind(c.addr())
	}},
	{name: "what a listener accepted", run: func(s *script) {
		c, p := s.pair()
		a := s.stream("a")
		a.bind(p.addr())
		a.set(soReuseaddr, 1)
		a.bind(p.addr())
		to := p.addr()
		p.close()
		a.bind(to)
		c.closeReset()
		a.bind(to)
	}},
	{name: "a listener that is shut", run: func(s *script) {
		l := s.listener()
		c := s.stream("c")
		c.connect(l.addr())
		p := l.accept("p")
		l.shutdown(rd)
		a := s.stream("a")
		a.bind(p.addr())
		p.set(soReuseaddr, 1)
		a.set(soReuseaddr, 1)
		a.bind(p.addr())
		a.listen(1)
	}},
	{name: "a port that connect picked", run: func(s *script) {
		c, p := s.pair()
		a := s.stream("a")
		a.bind(s.any(c.addr().Port))
		a.set(soReuseaddr, 1)
		a.bind(s.any(c.addr().Port))
		p.close()
		c.connect(unspec)
		a.bind(s.any(c.addr().Port))
	}},
	{name: "again to the same listener", run: func(s *script) {
		l := s.listener()
		var port uint16
		for _, name := range []string{"a", "b", "c"} {
			c := s.sharing(name)
			c.bind(s.any(port))
			c.connect(l.addr())
			p := l.accept("p")
			port = c.addr().Port
			if name == "b" {
				d := s.sharing("d")
				d.bind(s.any(port))
				d.connect(l.addr())
			}
			c.shutdown(wr)
			p.close()
			c.state("CLOSE")
			if name == "a" {
				c.close()
			}
		}
	}},
	{name: "after an attempt to connect", run: func(s *script) {
		for _, port := range []uint16{0, freshPort()} {
			a, b := s.stream("a"), s.stream("b")
			a.bind(s.lo(port))
			a.connect(s.lo(7))
			a.errno()
			b.bind(a.addr())
			a.close()
			b.close()
		}
	}},
	{name: "the address that is left", run: func(s *script) {
		a := s.stream("a")
		a.bind(s.lo(0))
		a.connect(s.lo(7))
		a.errno()
		a.bind(s.foreign(0))
		a.sockname()
		l := s.listener()
		a.bind(l.addr())
		a.sockname()
	}},
	{name: "IPV6_V6ONLY of what is bound", af: endpoint.AF_INET6, run: func(s *script) {
		for _, typ := range []int{endpoint.SOCK_STREAM, endpoint.SOCK_DGRAM} {
			for _, ip := range []string{"::", "::1", "::ffff:127.0.0.1"} {
				a, b := s.open("a", s.af, typ, 0), s.open("b", s.af, typ, 0)
				a.bind(at(ip, 0))
				a.get(ipv6V6only)
				b.bind(a.addr())
				b.get(ipv6V6only)
				a.connect(at("::ffff:127.0.0.1", 7))
				a.close()
				b.close()
			}
		}
	}},
}

// sharing opens a socket with SO_REUSEADDR.
func (s *script) sharing(name string) *sock {
	k := s.stream(name)
	k.set(soReuseaddr, 1)
	return k
}

func (s *script) must(err error) {
	if err != nil {
		s.broken("%s", errText(err))
	}
}

func (s *script) quiet(b binding, typ, options int) handle {
	h, err := s.net.socket(b.family, typ, 0)
	s.must(err)
	if b.v6only >= 0 {
		s.must(s.net.setsockopt(h, ipv6V6only.level, ipv6V6only.number, intBytes(b.v6only)))
	}
	if options&1 != 0 {
		s.must(s.net.setsockopt(h, soReuseaddr.level, soReuseaddr.number, intBytes(1)))
	}
	if options&2 != 0 {
		s.must(s.net.setsockopt(h, soReuseport.level, soReuseport.number, intBytes(1)))
	}
	return h
}

// own is an address that a socket so bound can connect to.
func (b binding) own(port uint16) endpoint.Addr {
	switch {
	case b.family == endpoint.AF_INET:
		return at("127.0.0.1", port)
	case strings.HasPrefix(b.ip, "::ffff"):
		return at("::ffff:127.0.0.1", port)
	}
	return at("::1", port)
}

// quietConnect connects to a listener of its own.
func (s *script) quietConnect(h handle, b binding) {
	l := s.quiet(b, endpoint.SOCK_STREAM, 0)
	s.must(s.net.bind(l, b.own(0)))
	s.must(s.net.listen(l, 1))
	to, err := s.net.getsockname(l)
	s.must(err)
	if err := s.net.connect(h, to); err != nil && errText(err) != "EINPROGRESS" {
		s.broken("connect: %s", errText(err))
	}
	s.net.await(h, 4, s.patience) // POLLOUT
	s.net.await(l, 1, s.patience) // POLLIN
	p, _, err := s.net.accept(l)
	s.must(err)
	s.must(s.net.close(l))
	s.must(s.net.close(p))
}

// ports that no side picks by itself: what rests in TIME-WAIT from elsewhere
// would be in the way.
var freshPorts atomic.Uint32

func freshPort() uint16 { return uint16(5000 + freshPorts.Add(1)%10000) }

// reuse binds one pair under all combinations of options.
func (s *script) reuse(st boundState, first, second binding) string {
	var answers []string
	for a := range 4 {
		var four []string
		for b := range 4 {
			x, y := s.quiet(first, st.typ, a), s.quiet(second, st.typ, b)
			port := freshPort()
			s.must(s.net.bind(x, at(first.ip, port)))
			st.reach(s, x, first)
			answer := "ok"
			if err := s.net.bind(y, at(second.ip, port)); err != nil {
				answer = map[string]string{"EADDRINUSE": "no"}[errText(err)]
				if answer == "" {
					answer = errText(err)
				}
			} else if st.typ == endpoint.SOCK_STREAM {
				if err := s.net.listen(y, 1); err != nil { // a bind may be too much promised
					answer = "ok, listen " + errText(err)
				}
			}
			four = append(four, answer)
			_, _ = s.net.close(x), s.net.close(y)
		}
		answers = append(answers, strings.Join(four, " "))
	}
	return strings.Join(answers, " | ")
}

// timeWait binds to a port of which a connection rests in TIME-WAIT.
func (s *script) timeWait(first binding) {
	l := s.quiet(first, endpoint.SOCK_STREAM, 0)
	s.must(s.net.bind(l, first.own(0)))
	s.must(s.net.listen(l, 1))
	to, err := s.net.getsockname(l)
	s.must(err)
	for options := range 4 {
		for _, again := range []bool{false, true} {
			h := s.quiet(first, endpoint.SOCK_STREAM, options)
			port := freshPort()
			s.must(s.net.bind(h, at(first.ip, port)))
			if err := s.net.connect(h, to); err != nil && errText(err) != "EINPROGRESS" {
				s.broken("connect: %s", errText(err))
			}
			s.net.await(l, 1, s.patience)
			p, _, err := s.net.accept(l)
			s.must(err)
			s.net.await(h, 4, s.patience)
			s.must(s.net.shutdown(h, wr))
			s.net.await(p, 1, s.patience)
			s.must(s.net.shutdown(p, wr))
			s.net.await(h, 16, s.patience) // POLLHUP
			s.net.await(p, 16, s.patience)
			s.must(s.net.close(p))
			s.must(s.net.close(h))
			k := option{name: []string{"nothing", "SO_REUSEADDR", "SO_REUSEPORT", "both"}[options]}
			now := 0
			if again {
				now = 1
			}
			s.step(fmt.Sprintf("first with %s, then with SO_REUSEADDR %d", k.name, now), func() string {
				y := s.quiet(first, endpoint.SOCK_STREAM, now)
				defer s.net.close(y)
				if err := s.net.bind(y, at(first.ip, port)); err != nil {
					return errText(err)
				}
				if err := s.net.listen(y, 1); err != nil {
					return "ok, listen " + errText(err)
				}
				return "ok"
			})
		}
	}
}
