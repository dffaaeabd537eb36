package differ

import (
	"slices"
	"strings"

	"usersock/stack/endpoint"
)

// receiver is a datagram socket that is bound on lo.
func (s *script) receiver(name string) *sock {
	k := s.datagram(name)
	k.bind(s.lo(0))
	return k
}

// datagramSequences are about UDP over lo.
var datagramSequences = slices.Concat(datagramCalls, datagramPorts)

// datagramCalls are about sending, receiving, and connections.
var datagramCalls = []sequence{
	{name: "fresh", run: func(s *script) {
		a := s.datagram("a")
		a.send("x", 0)
		a.send("", 0)
		a.recv(1, 0)
		a.recv(0, 0)
		a.recv(1, peek)
		a.recv(1, oob)
		a.recv(1, errq)
		a.sockname()
		a.peername()
		a.errno()
		a.listen(1)
		a.accept("b")
		a.shutdown(rd)
		a.shutdown(wr)
		a.shutdown(rdwr)
		a.shutdown(3)
		a.connect(unspec)
		a.get(soType)
		a.get(soProtocol)
		a.get(soAcceptconn)
		a.close()
		a.send("x", 0)
		a.recv(1, 0)
	}},
	{name: "sendto and back", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		a.sendto("hello", b.addr(), 0)
		a.sockname()
		a.peername()
		b.recv(9, 0)
		b.sendto("back", s.lo(a.addr().Port), 0)
		a.recv(9, 0)
	}},
	{name: "several wait", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		a.sendto("one", b.addr(), 0)
		a.sendto("", b.addr(), 0)
		a.sendto("three", b.addr(), 0)
		b.recv(9, 0)
		b.recv(9, 0)
		b.recv(9, 0)
		b.recv(9, 0)
	}},
	{name: "of no length", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		a.sendto("", b.addr(), 0)
		b.recv(0, peek)
		b.recv(9, peek|trunc)
		b.recv(9, 0)
		a.sendto("", b.addr(), 0)
		b.recv(0, 0)
		b.recv(0, 0)
		a.connect(b.addr())
		a.send("", 0)
		b.recv(9, 0)
	}},
	{name: "cut", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		a.sendto("longer", b.addr(), 0)
		b.recv(2, peek)
		b.recv(2, peek|trunc)
		b.recv(2, 0)
		b.recv(9, 0)
		a.sendto("longer", b.addr(), 0)
		b.recv(2, trunc)
		b.recv(9, 0)
		a.sendto("longer", b.addr(), 0)
		b.recv(0, trunc)
		b.recv(9, 0)
		a.sendto("gone", b.addr(), 0)
		b.recv(0, 0)
		b.recv(9, 0)
	}},
	{name: "peek into no room", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		a.sendto("one", b.addr(), 0)
		b.recv(0, peek)
		b.recv(0, peek|trunc)
		b.recv(9, 0)
	}},
	{name: "peek", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		a.sendto("one", b.addr(), 0)
		a.sendto("two", b.addr(), 0)
		b.recv(9, peek)
		b.recv(9, peek)
		b.recv(9, 0)
		b.recv(9, peek)
		b.recv(9, 0)
		b.recv(9, peek)
	}},
	{name: "peek at an offset", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		b.set(soPeekOff, 0)
		a.sendto("abcd", b.addr(), 0)
		a.sendto("", b.addr(), 0)
		a.sendto("efgh", b.addr(), 0)
		b.recv(3, peek)
		b.get(soPeekOff)
		b.recv(3, peek)
		b.recv(3, peek)
		b.recv(3, peek)
		b.get(soPeekOff)
		b.recv(2, peek|trunc)
		b.recv(9, peek)
		b.recv(2, 0)
		b.get(soPeekOff)
		b.recv(9, peek)
		b.recv(9, 0)
		b.get(soPeekOff)
		b.set(soPeekOff, 1)
		b.recv(9, peek)
		b.recv(1, trunc)
		b.get(soPeekOff)
	}},
	{name: "a refusal, then shut down", run: func(s *script) {
		a := s.datagram("a")
		a.connect(s.closedPort(endpoint.SOCK_DGRAM))
		a.send("x", 0)
		a.shutdown(wr)
		a.send("y", 0)
		a.send("z", 0)
	}},
	{name: "waitall means nothing", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		a.sendto("one", b.addr(), 0)
		a.sendto("two", b.addr(), 0)
		b.recv(9, waitall)
		b.recv(9, waitall)
		b.recv(9, waitall)
	}},
	{name: "as long as can be", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		a.sendto(strings.Repeat("x", 65507), b.addr(), 0)
		b.recv(70000, 0)
		a.sendto(strings.Repeat("x", 65508), b.addr(), 0)
		b.recv(70000, 0)
		a.sendto(strings.Repeat("x", 65535), b.addr(), 0)
		a.sendto(strings.Repeat("x", 65536), b.addr(), 0)
		a.sendto(strings.Repeat("x", 100000), b.addr(), 0)
		a.sendto("x", b.addr(), 0)
	}},
	{name: "oob", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		a.sendto("x", b.addr(), oob)
		a.sendto("y", b.addr(), 0)
		b.recv(9, oob)
		b.recv(9, 0)
	}},
	{name: "flags", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		a.sendto("1", b.addr(), endpoint.MSG_CONFIRM)
		a.sendto("2", b.addr(), endpoint.MSG_DONTROUTE)
		a.sendto("3", b.addr(), eor)
		a.sendto("4", b.addr(), endpoint.MSG_DONTWAIT|endpoint.MSG_NOSIGNAL)
		b.recv(9, endpoint.MSG_DONTWAIT)
		b.recv(9, 0)
		b.recv(9, 0)
		b.recv(9, 0)
		b.recv(9, errq)
	}},
	{name: "connected", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		a.connect(b.addr())
		a.peername()
		a.sockname()
		a.send("x", 0)
		b.recv(9, 0)
		a.sendto("y", b.addr(), 0)
		b.recv(9, 0)
		a.connect(b.addr())
		a.bind(s.lo(0))
		a.listen(1)
	}},
	{name: "connected, and a stranger sends", run: func(s *script) {
		a, b, c := s.datagram("a"), s.receiver("b"), s.receiver("c")
		a.connect(b.addr())
		c.sendto("stranger", s.lo(a.addr().Port), 0)
		b.sendto("friend", s.lo(a.addr().Port), 0)
		a.recv(20, 0)
		a.recv(20, 0)
	}},
	{name: "connected, and sends to another", run: func(s *script) {
		a, b, c := s.datagram("a"), s.receiver("b"), s.receiver("c")
		a.connect(b.addr())
		a.sendto("elsewhere", c.addr(), 0)
		c.recv(20, 0)
		c.sendto("back", s.lo(a.addr().Port), 0)
		a.recv(20, 0)
		a.peername()
	}},
	{name: "what waited before connect stays", run: func(s *script) {
		a, b, c := s.receiver("a"), s.receiver("b"), s.receiver("c")
		c.sendto("early", a.addr(), 0)
		a.connect(b.addr())
		a.recv(20, 0)
	}},
	{name: "connected again", run: func(s *script) {
		a, b, c := s.datagram("a"), s.receiver("b"), s.receiver("c")
		a.connect(b.addr())
		a.send("to b", 0)
		a.connect(c.addr())
		a.send("to c", 0)
		a.peername()
		b.recv(9, 0)
		c.recv(9, 0)
	}},
	{name: "disconnected", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		a.connect(b.addr())
		a.connect(unspec)
		a.peername()
		a.sockname()
		a.send("x", 0)
		a.sendto("y", b.addr(), 0)
		a.sockname()
		a.connect(unspec)
		a.connect(b.addr())
		a.peername()
	}},
	{name: "bound, then disconnected", run: func(s *script) {
		a, b := s.receiver("a"), s.receiver("b")
		to := a.addr()
		a.sockname()
		a.connect(b.addr())
		a.connect(unspec)
		a.sockname()
		b.sendto("still here", to, 0)
		a.recv(20, 0)
	}},
	{name: "bound to the wildcard, connected, disconnected", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		a.bind(s.any(0))
		a.sockname()
		a.connect(b.addr())
		a.sockname()
		a.connect(unspec)
		a.sockname()
	}},
	{name: "bound again in vain", run: func(s *script) {
		a, b := s.receiver("a"), s.datagram("b")
		b.bind(s.lo(0))
		b.connect(unspec)
		b.sockname()
		b.bind(a.addr())
		b.sockname()
		b.connect(a.addr())
		b.sockname()
	}},
	{name: "to a closed port", run: func(s *script) {
		a := s.datagram("a")
		closed := s.closedPort(endpoint.SOCK_DGRAM)
		a.sendto("x", closed, 0)
		a.errno()
		a.connect(closed)
		a.send("x", 0)
		a.recv(1, 0)
		a.recv(1, 0)
		a.send("x", 0)
		a.errno()
		a.errno()
		a.send("x", 0)
		a.send("x", 0)
		a.send("x", 0)
		a.recv(1, peek)
		a.recv(1, 0)
	}},
	{name: "refusals and poll", run: func(s *script) {
		a := s.datagram("a")
		a.connect(s.closedPort(endpoint.SOCK_DGRAM))
		a.send("", 0)
		a.recv(0, 0)
		a.send("x", 0)
		a.connect(unspec)
		a.errno()
	}},
	{name: "a refusal, then data", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		to := b.addr()
		a.connect(to)
		b.close()
		a.send("nobody", 0)
		b = s.datagram("b")
		b.bind(to)
		b.sendto("somebody", s.lo(a.addr().Port), 0)
		a.recv(9, 0)
		a.recv(9, 0)
	}},
	{name: "shut down for reading", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		a.connect(b.addr())
		b.sendto("before", s.lo(a.addr().Port), 0)
		a.shutdown(rd)
		a.recv(9, 0)
		b.sendto("after", s.lo(a.addr().Port), 0)
		a.recv(9, 0)
		a.send("x", 0)
		b.recv(9, 0)
	}},
	{name: "shut down for writing", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		a.connect(b.addr())
		a.shutdown(wr)
		a.send("x", 0)
		a.sendto("x", b.addr(), 0)
		b.sendto("y", s.lo(a.addr().Port), 0)
		a.recv(9, 0)
		a.shutdown(rdwr)
		a.connect(b.addr())
		a.send("x", 0)
	}},
	{name: "shut down and disconnected", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		a.connect(b.addr())
		a.shutdown(rdwr)
		a.connect(unspec)
		a.sendto("x", b.addr(), 0)
		a.recv(9, 0)
	}},
	{name: "bind", run: func(s *script) {
		a := s.datagram("a")
		a.bind(s.foreign(0))
		a.bind(s.lo(0))
		a.bind(s.lo(0))
		a.sockname()
		b := s.datagram("b")
		b.bind(a.addr())
		b.bind(s.any(a.addr().Port))
		b.set(soReuseaddr, 1)
		b.bind(a.addr())
		b.bind(s.any(0))
		b.sockname()
		a.close()
		c := s.datagram("c")
		c.bind(s.any(0))
		c.sockname()
	}},
	{name: "port 0", run: func(s *script) {
		a := s.datagram("a")
		a.sendto("x", s.lo(0), 0)
		a.connect(s.lo(0))
		a.peername()
		a.sockname()
		a.send("x", 0)
	}},
	{name: "to the wildcard address", run: func(s *script) {
		a, b := s.datagram("a"), s.datagram("b")
		b.bind(s.any(0))
		a.sendto("x", b.addr(), 0)
		b.recv(9, 0)
		a.connect(b.addr())
		a.peername()
		a.sockname()
		a.send("y", 0)
		b.recv(9, 0)
	}},
	{name: "to itself", run: func(s *script) {
		a := s.receiver("a")
		a.sendto("myself", a.addr(), 0)
		a.recv(9, 0)
		a.connect(a.addr())
		a.send("again", 0)
		a.recv(9, 0)
		a.peername()
	}},
	{name: "to where no route leads", run: func(s *script) {
		a := s.datagram("a")
		a.sendto("x", s.foreign(9), 0)
		a.sockname()
		a.connect(s.foreign(9))
		a.peername()
		a.errno()
	}},
	{name: "bound to lo, sent elsewhere", run: func(s *script) {
		a := s.receiver("a")
		a.sendto("x", s.filtered(9), 0)
		a.connect(s.filtered(9))
	}},
	{name: "to a neighbour that is silent", run: func(s *script) {
		a := s.datagram("a")
		a.sendto("x", s.filtered(9), 0)
		a.connect(s.filtered(9))
		a.sockname()
		a.peername()
		a.send("y", 0)
		a.recv(9, 0)
	}},
	{name: "more", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		a.sendto("one", b.addr(), more)
		b.recv(9, 0)
		a.sendto(" two", b.addr(), more)
		a.sendto(" three", b.addr(), 0)
		b.recv(99, 0)
	}},
	{name: "more without an address", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		a.send("nobody", more)
		a.sendto("one", b.addr(), more)
		a.send(" two", more)
		b.recv(99, 0)
		a.send(" three", 0)
		b.recv(99, 0)
		a.set(udpCork, 1)
		a.sendto("four", b.addr(), 0)
		a.sendto(" five", b.addr(), 0)
		b.recv(99, 0)
		a.set(udpCork, 0)
		b.recv(99, 0)
		a.send("nobody", more)
	}},
	{name: "cork", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		a.connect(b.addr())
		a.set(udpCork, 1)
		a.get(udpCork)
		a.send("one", 0)
		a.send(" two", 0)
		b.recv(99, 0)
		a.set(udpCork, 0)
		b.recv(99, 0)
	}},
	{name: "a corked datagram is dropped by close", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		a.connect(b.addr())
		a.send("never", more)
		a.close()
		b.recv(9, 0)
	}},
	{name: "dup", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		c := b.dup("c")
		a.sendto("one", b.addr(), 0)
		b.close()
		c.recv(9, 0)
		a.sendto("two", c.addr(), 0)
		c.recv(9, 0)
	}},
	{name: "low-water mark means nothing", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		b.set(soRcvlowat, 10)
		a.sendto("x", b.addr(), 0)
		b.recv(9, 0)
	}},
	{name: "addresses of other families", run: func(s *script) {
		a := s.datagram("a")
		other := at("::1", 9)
		if s.af == endpoint.AF_INET6 {
			other = at("127.0.0.1", 9)
		}
		a.bind(other)
		a.connect(other)
		a.sendto("x", other, 0)
		a.bind(s.path("a name as long as an IPv6 address"))
		a.connect(s.path("a name as long as an IPv6 address"))
		a.sendto("x", s.path("a name as long as an IPv6 address"), 0)
	}},
	{name: "socketpair", run: func(s *script) {
		s.socketpair("a", "b", s.af, endpoint.SOCK_DGRAM, 0)
	}},
}
