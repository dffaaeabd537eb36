//go:build linux

package unix

import (
	"strings"

	"usersock/stack/endpoint"
)

// sendTo sends text to an address.
func (s *stage) sendTo(e endpoint.Endpoint, to endpoint.Addr, text string) {
	s.sendMsg(e, endpoint.Message{To: to}, text)
}

// bound returns an endpoint with a path name.
func (s *stage) bound(name string) endpoint.Endpoint {
	e := s.open(name)
	s.bind(e, s.path(name))
	return e
}

// datagramScripts are about datagrams and who may send them where.
var datagramScripts = datagrams([]script{
	{"only the peer may send", func(s *stage) {
		a, b, c := s.bound("a"), s.bound("b"), s.bound("c")
		s.connect(a, s.path("b"))
		s.sendTo(c, s.path("a"), "x")
		s.connect(c, s.path("a"))
		s.sendTo(b, s.path("a"), "from the peer, unconnected")
		s.recv(a, 10, 0)
		s.send(a, "to b")
		s.sendTo(c, s.path("b"), "b takes all")
		s.recv(b, 10, 0)
		s.recv(b, 10, 0)
		s.connect(b, s.path("c"))
		s.send(a, "b has another")
		s.ready(a)
		s.connect(b, endpoint.Addr{})
		s.send(a, "b has none")
		s.recv(b, 20, 0)
		s.opt(a, endpoint.SO_ERROR)
		s.cred4(a)
	}},
	{"a new peer", func(s *stage) {
		a, b, c := s.bound("a"), s.bound("b"), s.bound("c")
		s.connect(a, s.path("b"))
		s.connect(b, s.path("a"))
		s.send(b, "1")
		s.send(b, "2")
		s.connect(a, s.path("b"))
		s.recv(a, 5, 0)
		s.connect(a, s.path("c"))
		s.recv(a, 5, 0)
		s.ready(b)
		s.opt(b, endpoint.SO_ERROR)
		s.sendTo(c, s.path("a"), "3")
		s.recv(a, 5, 0)
		s.connect(a, s.path("none"))
		s.connect(a, s.path("b"))
		s.sendTo(c, s.path("a"), "4")
		s.send(b, "5")
		s.send(b, "6")
		s.recv(a, 5, 0)
		s.connect(a, endpoint.Addr{})
		s.connect(a, endpoint.Addr{})
		s.send(b, "7")
		s.ready(b)
		s.send(b, "8")
		s.recv(a, 5, 0)
	}},
	{"an error and no peer", func(s *stage) {
		a, b := s.bound("a"), s.bound("b")
		s.connect(a, s.path("b"))
		s.connect(b, s.path("a"))
		s.send(b, "1")
		s.connect(a, endpoint.Addr{})
		s.connect(b, endpoint.Addr{})
		s.ready(b)
		s.send(b, "x")
		s.send(b, "x")
		s.recv(b, 5, 0)
		s.opt(b, endpoint.SO_ERROR)
	}},
	{"order of errors", func(s *stage) {
		a, b := s.bound("a"), s.bound("b")
		big := strings.Repeat("x", 300_000)
		s.send(a, big)
		s.sendTo(a, s.path("none"), big)
		s.sendTo(a, endpoint.Unix("/"+strings.Repeat("x", 200)), big)
		s.sendMsg(a, endpoint.Message{Flags: oobMsg}, big)
		s.connect(a, s.path("b"))
		s.send(a, big)
		s.connect(b, endpoint.Unix("\x00none-such"))
		s.shutdown(a, endpoint.SHUT_WR)
		s.send(a, big)
		s.send(a, "x")
		s.sendTo(a, s.path("none"), "x")
		s.shutdown(b, endpoint.SHUT_RD)
		c := s.open("c")
		s.sendTo(c, s.path("b"), "x")
		s.sendTo(c, s.path("b"), big)
		s.connect(c, s.path("b"))
		s.send(c, "x")
	}},
	{"a peer that closes", func(s *stage) {
		a, b := s.bound("a"), s.bound("b")
		s.connect(a, s.path("b"))
		s.connect(b, s.path("a"))
		s.send(b, "kept")
		s.close(b)
		s.ready(a)
		s.recv(a, 5, peek)
		s.sendTo(a, s.path("b"), "x")
		s.recv(a, 5, 0)
		s.send(a, "x")
		s.send(a, "x")
		s.sendTo(a, s.path("b"), "x")
		s.say("unlink: %s", errName(s.unlink(s.dir+"/b")))
		c := s.bound("b")
		s.sendTo(a, s.path("b"), "to the new one")
		s.recv(c, 20, 0)
	}},
	{"a peer with another name", func(s *stage) {
		a, b := s.bound("a"), s.bound("b")
		s.connect(a, s.path("b"))
		s.say("unlink: %s", errName(s.unlink(s.dir+"/b")))
		c := s.bound("b")
		s.send(a, "to the old one")
		s.sendTo(a, s.path("b"), "to the new one")
		s.recv(b, 20, 0)
		s.recv(c, 20, 0)
		s.connect(a, s.path("b"))
		s.send(a, "x")
		s.recv(c, 20, 0)
	}},
	{"itself", func(s *stage) {
		a, c := s.bound("a"), s.bound("c")
		for range 13 {
			s.sendTo(a, s.path("a"), "to itself")
		}
		s.ready(a)
		s.connect(a, s.path("a"))
		s.send(a, "x")
		s.ready(a)
		s.sendTo(c, s.path("a"), "x")
		s.shutdown(a, endpoint.SHUT_RD)
		s.send(a, "x")
		s.recv(a, 20, 0)
		s.connect(a, endpoint.Addr{})
		s.recv(a, 20, 0)
	}},
	{"room", func(s *stage) {
		a, b, c := s.open("a"), s.bound("b"), s.open("c")
		s.connect(a, s.path("b"))
		s.connect(c, s.path("b"))
		for range 12 {
			s.send(a, "x")
		}
		s.ready(a, c)
		s.send(c, "x")
		s.recv(b, 1, peek)
		s.ready(a, c)
		s.recv(b, 1, 0)
		s.ready(a, c)
		s.send(c, "x")
		s.ready(a, c)
		s.connect(a, endpoint.Addr{})
		s.ready(a, c)
		s.connect(c, s.path("b"))
		s.ready(c)
		s.shutdown(b, endpoint.SHUT_RD)
		s.ready(c)
		s.send(c, "x")
		s.connect(b, endpoint.Addr{})
		s.close(b)
		s.ready(c)
		s.send(c, "x")
	}},
	{"room for the peer alone", func(s *stage) {
		a, b, c := s.bound("a"), s.bound("b"), s.open("c")
		for range 12 {
			s.sendTo(c, s.path("b"), "x")
		}
		s.connect(a, s.path("b"))
		s.send(a, "x")
		s.connect(b, s.path("a"))
		s.ready(a)
		for range 3 {
			s.send(a, "x")
		}
		s.recv(b, 1, 0)
		s.sendTo(c, s.path("b"), "x")
	}},
	{"shut down for reading", func(s *stage) {
		a, b := s.pair()
		s.send(a, "left")
		s.shutdown(b, endpoint.SHUT_RD)
		s.recv(b, 10, 0)
		s.recv(b, 10, 0)
		s.ready(b)
		s.send(b, "answer")
		s.recv(a, 10, 0)
		s.shutdown(a, endpoint.SHUT_RDWR)
		s.ready(a, b)
		s.recv(a, 10, 0)
		s.send(b, "x")
	}},
	{"autobind", func(s *stage) {
		a, b := s.open("a"), s.bound("b")
		s.set(a, endpoint.SO_PASSCRED, 1)
		s.sendTo(a, s.path("none"), "x")
		local, _ := a.LocalAddr()
		s.say("a is %v", local)
		s.sendTo(a, s.path("b"), "x")
		s.recvMsg(b, 5, 0, true)
		s.connect(b, local)
		s.send(b, "back")
		s.recvMsg(a, 5, 0, true)
		c := s.open("c")
		s.set(c, endpoint.SO_PASSCRED, 1)
		s.connect(c, s.path("b"))
		local, _ = c.LocalAddr()
		s.say("c is %v", local)
		s.bind(c, s.path("later"))
		d := s.open("d")
		s.set(d, endpoint.SO_PASSCRED, 1)
		s.send(d, "unconnected")
		local, _ = d.LocalAddr()
		s.say("d is %v", local)
	}},
	{"nothing in datagrams", func(s *stage) {
		a, b := s.pair()
		s.send(a, "")
		s.send(a, "x")
		s.send(a, "")
		s.ready(b)
		s.set(b, endpoint.SO_PEEK_OFF, 0)
		for range 4 {
			s.recv(b, 5, peek)
		}
		s.recv(b, 0, 0)
		s.recv(b, 0, 0)
		s.opt(b, endpoint.SO_PEEK_OFF)
		s.recv(b, 5, peek)
		s.recv(b, 5, 0)
		s.recv(b, 5, 0)
	}},
})

// datagrams are played over datagrams alone.
func datagrams(list []script) []script {
	for i, sc := range list {
		list[i].play = func(s *stage) {
			if s.typ != endpoint.SOCK_DGRAM {
				s.say("not of this type")
				return
			}
			sc.play(s)
		}
	}
	return list
}
