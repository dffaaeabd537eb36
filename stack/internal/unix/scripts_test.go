//go:build linux

package unix

import (
	"slices"
	"strings"

	"usersock/stack/endpoint"
)

const (
	peek   = endpoint.MSG_PEEK
	trunc  = endpoint.MSG_TRUNC
	oobMsg = endpoint.MSG_OOB
)

// A script is played over each type of socket, also where it makes little
// sense: the errors have to be the same.
type script struct {
	name string
	play func(*stage)
}

// all returns the scripts of all files.
func all() []script {
	return slices.Concat(scripts, bufferScripts, urgentScripts, flightScripts, datagramScripts, edgeScripts)
}

var scripts = []script{
	{"open", func(s *stage) {
		for _, typ := range []int{0, 1, 2, 3, 4, 5, 6, 10} {
			for _, proto := range []int{0, 1, 2} {
				if e, err := s.family.Open(endpoint.Request{Type: typ, Protocol: proto}); err == nil {
					s.say("open %d %d: ok", typ, proto)
					s.names[e] = "it"
					s.opt(e, endpoint.SO_TYPE)
					s.opt(e, endpoint.SO_PROTOCOL)
					s.opt(e, endpoint.SO_DOMAIN)
					e.Close()
				} else if typ != 0 && typ < 10 { // the rest is not the family's to refuse
					s.say("open %d %d: %s", typ, proto, errName(err))
				}
			}
		}
	}},
	{"bind", func(s *stage) {
		e, f := s.open("e"), s.open("f")
		s.bind(e, s.path("x"))
		s.bind(e, s.path("y"))
		s.bind(e, s.path("x"))
		s.bind(e, s.abstract("x"))
		s.bind(e, endpoint.Unix(""))
		s.bind(f, s.path("x"))
		s.bind(f, endpoint.Unix("/"+strings.Repeat("x", 120)))
		s.bind(f, endpoint.Unix("\x00"+strings.Repeat("x", 120)))
		s.bind(f, s.abstract("y"))
		s.bind(f, s.abstract("y"))
		g := s.open("g")
		s.bind(g, s.abstract("y"))
		s.bind(g, endpoint.Unix(""))
		s.bind(g, endpoint.Unix(""))
		s.bind(g, s.path("z"))
		s.close(f)
		s.bind(s.open("h"), s.abstract("y"))
		s.close(e)
		i := s.open("i")
		s.bind(i, s.path("x"))
		s.say("unlink: %s", errName(s.unlink(s.dir+"/x")))
		s.bind(i, s.path("x"))
		s.say("unlink of another: %s", errName(s.unlink(s.dir+"/none")))
		s.bind(s.openType("of another type", 1+s.typ%2, 0), s.path("x"))
		s.bind(s.openType("of another type", 1+s.typ%2, 0), s.abstract("y"))
	}},
	{"connect errors", func(s *stage) {
		e := s.open("e")
		s.connect(e, s.path("none"))
		s.connect(e, s.abstract("none"))
		s.connect(e, endpoint.Unix(""))
		s.connect(e, endpoint.Unix("/"+strings.Repeat("x", 120)))
		b := s.open("bound")
		s.bind(b, s.path("b"))
		s.connect(e, s.path("b"))
		other := s.openType("of another type", 1+s.typ%2, 0)
		s.connect(other, s.path("b"))
		a := s.open("abstract")
		s.bind(a, s.abstract("b"))
		s.connect(other, s.abstract("b"))
		s.close(b)
		f := s.open("f")
		s.connect(f, s.path("b"))
		s.close(a)
		s.connect(f, s.abstract("b"))
		s.ready(f)
	}},
	{"listen", func(s *stage) {
		e := s.open("e")
		s.listen(e, 1)
		s.accept(e, "none")
		s.bind(e, s.path("e"))
		s.listen(e, 0)
		s.ready(e)
		s.opt(e, endpoint.SO_ACCEPTCONN)
		s.cred4(e)
		s.accept(e, "none")
		s.connect(e, s.path("e"))
		s.send(e, "x")
		s.recv(e, 1, 0)
		s.listen(e, -1)
		c := s.open("c")
		s.connect(c, s.path("e"))
		s.ready(e, c)
		s.connect(e, s.path("e"))
		s.listen(c, 1)
		s.bind(c, s.path("late"))
		s.listen(c, 1)
		s.accept(c, "none")
		a := s.accept(e, "accepted")
		s.cred4(c)
		if a != nil {
			s.cred4(a)
			s.ready(a, c, e)
			s.bind(a, s.path("again"))
			s.send(a, "hello")
			s.recv(c, 10, 0)
		}
		s.connect(c, s.path("e"))
		s.close(e)
		s.send(c, "x")
	}},
	{"backlog", func(s *stage) {
		l := s.open("l")
		s.bind(l, s.path("l"))
		s.listen(l, 1)
		for range 4 {
			s.connect(s.open("c"), s.path("l"))
		}
		s.listen(l, 2)
		for range 2 {
			s.connect(s.open("c"), s.path("l"))
		}
		s.listen(l, 0)
		s.accept(l, "first")
		s.connect(s.open("c"), s.path("l"))
		s.accept(l, "second")
		s.accept(l, "third")
		c := s.open("c")
		s.connect(c, s.path("l"))
		s.shutdown(l, endpoint.SHUT_RD)
		s.ready(l)
		s.connect(s.open("c"), s.path("l"))
		s.accept(l, "fourth")
		s.accept(l, "fifth")
		s.close(l)
		s.ready(c)
		s.recv(c, 1, 0)
		s.recv(c, 1, 0)
	}},
	{"before accept", func(s *stage) {
		l, c := s.open("l"), s.open("c")
		s.bind(l, s.path("l"))
		s.listen(l, 5)
		s.connect(c, s.path("l"))
		s.send(c, "early")
		s.shutdown(c, endpoint.SHUT_WR)
		a := s.accept(l, "a")
		if a == nil {
			return
		}
		s.ready(a)
		s.recv(a, 10, 0)
		s.recv(a, 10, 0)
		s.send(a, "answer")
		s.recv(c, 10, 0)
		d := s.open("d")
		s.connect(d, s.path("l"))
		s.send(d, "gone")
		s.close(d)
		b := s.accept(l, "b")
		s.ready(b)
		s.recv(b, 2, 0)
		s.recv(b, 10, 0)
		s.send(b, "x")
		s.recv(b, 10, 0)
	}},
	{"unconnected", func(s *stage) {
		e := s.open("e")
		s.ready(e)
		s.send(e, "x")
		s.send(e, "")
		s.recv(e, 1, 0)
		s.sendMsg(e, endpoint.Message{To: s.path("none")}, "x")
		if s.typ != endpoint.SOCK_STREAM { // where Linux may have urgent data
			s.sendMsg(e, endpoint.Message{Flags: oobMsg}, "x")
		}
		s.shutdown(e, 5)
		s.shutdown(e, endpoint.SHUT_WR)
		s.ready(e)
		s.send(e, "x")
		s.cred4(e)
		s.shutdown(e, endpoint.SHUT_RD)
		s.ready(e)
	}},
	{"shutdown before connect", func(s *stage) {
		l, c := s.open("l"), s.open("c")
		s.bind(l, s.path("l"))
		s.listen(l, 5)
		s.shutdown(c, endpoint.SHUT_WR)
		s.connect(c, s.path("l"))
		s.send(c, "x")
		if a := s.accept(l, "a"); a != nil {
			s.ready(a, c)
			s.recv(a, 1, 0)
			s.send(a, "x")
			s.recv(c, 1, 0)
		}
	}},
	{"transfer", func(s *stage) {
		a, b := s.pair()
		s.ready(a, b)
		s.cred4(a)
		s.send(a, "one")
		s.send(a, "two")
		s.recv(b, 4, peek)
		s.recv(b, 2, peek|trunc)
		s.recv(b, 4, 0)
		s.recv(b, 10, trunc)
		s.recv(b, 1, 0)
		s.recv(b, 0, 0)
		s.send(a, "")
		s.ready(b)
		s.send(a, "three")
		s.recv(b, 0, 0)
		s.recv(b, 10, endpoint.MSG_DONTWAIT)
		s.recv(b, 10, 0)
		s.sendMsg(a, endpoint.Message{Flags: endpoint.MSG_EOR | endpoint.MSG_MORE | endpoint.MSG_DONTROUTE}, "flags")
		s.recv(b, 10, endpoint.MSG_ERRQUEUE)
		s.sendMsg(a, endpoint.Message{To: s.path("none")}, "to")
		s.recv(b, 10, 0)
		in, _ := b.Queued()
		s.say("queued %d", in)
		s.send(a, "four")
		s.send(a, "fives")
		in, _ = b.Queued()
		s.say("queued %d", in)
	}},
	{"shutdown", func(s *stage) {
		a, b := s.pair()
		s.send(a, "left")
		s.shutdown(a, endpoint.SHUT_WR)
		s.ready(a, b)
		s.send(a, "x")
		s.recv(b, 10, 0)
		if s.typ != endpoint.SOCK_DGRAM {
			s.recv(b, 10, 0)
		}
		s.send(b, "back")
		s.recv(a, 10, 0)
		s.shutdown(b, endpoint.SHUT_RD)
		s.ready(a, b)
		s.shutdown(b, endpoint.SHUT_WR)
		s.ready(a, b)
		s.send(b, "x")
		s.opt(a, endpoint.SO_ERROR)
	}},
	{"shutdown for reading", func(s *stage) {
		a, b := s.pair()
		s.send(a, "left")
		s.shutdown(b, endpoint.SHUT_RD)
		s.ready(a, b)
		s.send(a, "x")
		s.recv(b, 10, 0)
		s.send(b, "back")
		s.recv(a, 10, 0)
	}},
	{"close", func(s *stage) {
		a, b := s.pair()
		s.send(a, "unread")
		s.close(b)
		s.ready(a)
		s.send(a, "x")
		s.recv(a, 1, 0)
		s.ready(a)
		s.recv(a, 1, 0)
		s.send(a, "x")
		peer, err := a.PeerAddr()
		s.say("peer %v %s", peer, errName(err))
	}},
	{"close reported by SO_ERROR", func(s *stage) {
		a, b := s.pair()
		s.send(a, "unread")
		s.send(b, "kept")
		s.close(b)
		s.opt(a, endpoint.SO_ERROR)
		s.opt(a, endpoint.SO_ERROR)
		s.recv(a, 10, 0)
	}},
	{"close with everything read", func(s *stage) {
		a, b := s.pair()
		s.send(a, "read")
		s.recv(b, 10, 0)
		s.send(b, "kept")
		s.close(b)
		s.ready(a)
		s.recv(a, 2, peek)
		s.recv(a, 10, 0)
		if s.typ != endpoint.SOCK_DGRAM {
			s.recv(a, 10, 0)
		}
		s.send(a, "x")
		s.opt(a, endpoint.SO_ERROR)
	}},
	{"rights", func(s *stage) {
		a, b := s.pair()
		s.send(a, "ab")
		s.sendMsg(a, withItems(rightsItem(2)), "cd")
		s.send(a, "ef")
		s.recvMsg(b, 1, 0, true)
		s.recvMsg(b, 10, 0, true)
		s.recvMsg(b, 10, 0, true)
		s.recvMsg(b, 10, 0, true)

		s.sendMsg(a, withItems(rightsItem(1)), "xyz")
		s.send(a, "next")
		s.recvMsg(b, 1, peek, true)
		s.recvMsg(b, 10, peek, true)
		s.recvMsg(b, 10, peek, false)
		s.recvMsg(b, 1, 0, true)
		s.recvMsg(b, 10, 0, true)
		s.recvMsg(b, 10, 0, true)

		s.sendMsg(a, withItems(rightsItem(1)), "lost")
		s.recvMsg(b, 10, 0, false)
		s.sendMsg(a, withItems(rightsItem(1), rightsItem(2)), "joined")
		s.recvMsg(b, 10, 0, true)
		if s.typ == endpoint.SOCK_DGRAM { // otherwise package unix adds a byte to nothing
			s.sendMsg(a, withItems(rightsItem(1)), "")
			s.recvMsg(b, 10, 0, true)
			s.sendMsg(a, withItems(rightsItem(1)), "zero")
			s.recvMsg(b, 0, 0, true)
			s.recvMsg(b, 10, 0, true)
		}
		s.sendMsg(a, withItems(rightsItem(253)), "most")
		s.recvMsg(b, 10, 0, true)
		s.sendMsg(a, withItems(rightsItem(254)), "too many")
		s.sendMsg(a, withItems(endpoint.Control{Level: endpoint.SOL_SOCKET, Type: 77, Data: make([]byte, 4)}), "unknown")
		s.sendMsg(a, withItems(endpoint.Control{Level: endpoint.SOL_IP, Type: 1, Data: make([]byte, 4)}), "other level")
		s.recvMsg(b, 20, 0, true)
	}},
	{"rights at the edge of a peek", func(s *stage) {
		a, b := s.pair()
		s.send(a, "ab")
		s.sendMsg(a, withItems(rightsItem(2)), "cd")
		s.recvMsg(b, 2, peek, true)
		s.recvMsg(b, 2, 0, true)
		s.recvMsg(b, 2, 0, true)
	}},
	{"credentials", func(s *stage) {
		a, b := s.pair()
		s.send(a, "before")
		s.set(b, endpoint.SO_PASSCRED, 1)
		s.send(a, "after")
		s.recvMsg(b, 20, 0, true)
		s.recvMsg(b, 20, 0, true)
		s.send(a, "one")
		s.send(a, "two")
		s.recvMsg(b, 20, 0, false)
		s.recvMsg(b, 20, 0, true)
		s.sendMsg(a, withItems(endpoint.Control{Level: endpoint.SOL_SOCKET, Type: endpoint.SCM_CREDENTIALS, Data: credBytes(s.cred)}), "own")
		s.recvMsg(b, 20, peek, true)
		s.sendMsg(a, withItems(rightsItem(1)), "and rights")
		s.recvMsg(b, 3, 0, true)
		s.recvMsg(b, 20, 0, true)
		s.recvMsg(b, 20, 0, true)
		s.sendMsg(a, withItems(endpoint.Control{Level: endpoint.SOL_SOCKET, Type: endpoint.SCM_CREDENTIALS, Data: make([]byte, 4)}), "short")
		s.opt(b, endpoint.SO_PASSCRED)
		local, _ := a.LocalAddr()
		s.say("a is %v", local)
	}},
	{"credentials before accept", func(s *stage) {
		l, c := s.open("l"), s.open("c")
		s.bind(l, s.path("l"))
		s.listen(l, 5)
		s.connect(c, s.path("l"))
		s.send(c, "early")
		if a := s.accept(l, "a"); a != nil {
			s.send(c, "late")
			s.set(a, endpoint.SO_PASSCRED, 1)
			s.recvMsg(a, 20, 0, true)
			s.recvMsg(a, 20, 0, true)
		}
		s.set(l, endpoint.SO_PASSCRED, 1)
		d := s.open("d")
		s.set(d, endpoint.SO_PASSCRED, 1)
		s.connect(d, s.path("l"))
		if a := s.accept(l, "passing"); a != nil {
			s.opt(a, endpoint.SO_PASSCRED)
		}
	}},
	{"peek offset", func(s *stage) {
		a, b := s.pair()
		s.opt(b, endpoint.SO_PEEK_OFF)
		s.set(b, endpoint.SO_PEEK_OFF, 0)
		s.send(a, "abcdef")
		s.send(a, "ghi")
		s.recv(b, 2, peek)
		s.recv(b, 3, peek)
		s.opt(b, endpoint.SO_PEEK_OFF)
		s.recv(b, 3, peek)
		s.recv(b, 1, 0)
		s.opt(b, endpoint.SO_PEEK_OFF)
		s.recv(b, 9, peek)
		s.recv(b, 9, peek)
		s.recv(b, 20, 0)
		s.opt(b, endpoint.SO_PEEK_OFF)
		s.set(b, endpoint.SO_PEEK_OFF, -1)
		s.recv(b, 20, peek)
	}},
	{"timestamps", func(s *stage) {
		if s.typ == endpoint.SOCK_STREAM {
			s.say("none on a stream")
			return
		}
		a, b := s.pair()
		s.set(b, endpoint.SO_TIMESTAMP, 1)
		s.send(a, "x")
		s.recvMsg(b, 5, 0, true)
		s.set(b, endpoint.SO_TIMESTAMPNS, 1)
		s.opt(b, endpoint.SO_TIMESTAMP)
		s.send(a, "x")
		s.recvMsg(b, 5, 0, true)
		s.set(b, endpoint.SO_TIMESTAMP, 0)
		s.send(a, "x")
		s.recvMsg(b, 5, 0, true)
	}},
	{"datagrams", func(s *stage) {
		if s.typ != endpoint.SOCK_DGRAM {
			s.say("not of this type")
			return
		}
		a, b, c := s.open("a"), s.open("b"), s.open("c")
		s.bind(b, s.path("b"))
		s.sendMsg(a, endpoint.Message{To: s.path("b")}, "unnamed")
		s.recv(b, 10, 0)
		s.bind(a, s.path("a"))
		s.sendMsg(a, endpoint.Message{To: s.path("b")}, "named")
		s.recv(b, 10, 0)
		s.connect(b, s.path("a"))
		s.sendMsg(c, endpoint.Message{To: s.path("b")}, "not its peer")
		s.connect(c, s.path("b"))
		s.send(b, "from the peer")
		s.recv(a, 5, 0)
		s.connect(a, s.path("b"))
		s.send(b, "dropped")
		s.connect(a, endpoint.Addr{})
		s.recv(a, 10, 0)
		s.recv(b, 10, 0)
		s.opt(b, endpoint.SO_ERROR)
		s.close(a)
		s.ready(b)
		s.send(b, "x")
		s.send(b, "x")
		s.sendMsg(b, endpoint.Message{To: s.path("a")}, "x")
		s.bind(c, s.abstract("self"))
		s.connect(c, s.abstract("self"))
		s.send(c, "myself")
		s.recv(c, 10, 0)
	}},
	{"a closed peer's datagrams", func(s *stage) {
		a, b := s.pair()
		s.send(a, "kept until noticed")
		s.close(a)
		s.send(b, "x")
		s.ready(b)
		if s.typ == endpoint.SOCK_DGRAM {
			s.recv(b, 20, 0)
			s.send(b, "x")
		}
	}},
	{"full of datagrams", func(s *stage) {
		if s.typ != endpoint.SOCK_DGRAM {
			s.say("not of this type")
			return
		}
		a, b := s.open("a"), s.open("b")
		s.bind(b, s.path("b"))
		for range 12 {
			s.sendMsg(a, endpoint.Message{To: s.path("b")}, "x")
		}
		s.connect(a, s.path("b"))
		s.ready(a)
		s.send(a, "x")
		s.recv(b, 1, 0)
		s.ready(a)
		s.send(a, "x")
		s.send(a, "x")
		s.close(b)
		s.ready(a)
		s.send(a, "x")
	}},
	{"too long", func(s *stage) {
		if s.typ == endpoint.SOCK_STREAM {
			s.say("a stream takes a part")
			return
		}
		a, _ := s.pair()
		s.set(a, endpoint.SO_SNDBUF, 5000)
		for _, n := range []int{10000, 10000 - 31, 10000 - 32} {
			s.send(a, strings.Repeat("x", n))
		}
	}},
}
