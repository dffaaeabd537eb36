//go:build linux

package unix

import (
	"strings"

	"usersock/stack/endpoint"
)

func credItem(pid int32, uid, gid uint32) endpoint.Control {
	return endpoint.Control{Level: endpoint.SOL_SOCKET, Type: endpoint.SCM_CREDENTIALS,
		Data: credBytes(endpoint.Cred{Pid: pid, Uid: uid, Gid: gid})}
}

// edgeScripts are about names, listening, credentials and items at their
// limits.
var edgeScripts = []script{
	{"lengths of names", func(s *stage) {
		for _, n := range []int{106, 107, 108, 109} {
			e := s.open("e")
			path := s.dir + "/" + strings.Repeat("n", n)
			path = path[:n]
			err := e.Bind(endpoint.Unix(path))
			got, _ := e.LocalAddr()
			s.say("path of %d: %s, is of %d", n, errName(err), len(got.Path))
			c := s.open("c")
			s.say("connect: %s", errName(c.Connect(endpoint.Unix(path))))
			name := s.prefix + strings.Repeat("n", n)
			name = name[:n]
			f := s.open("f")
			err = f.Bind(endpoint.Unix(name))
			got, _ = f.LocalAddr()
			s.say("name of %d: %s, is of %d", n, errName(err), len(got.Path))
		}
	}},
	{"names with NUL", func(s *stage) {
		e, f, g := s.open("e"), s.open("f"), s.open("g")
		s.bind(e, s.abstract("a\x00b"))
		s.bind(f, s.abstract("a"))
		s.bind(g, s.abstract("a\x00"))
		s.connect(s.open("c"), s.abstract("a\x00b\x00"))
		s.close(e)
		s.bind(s.open("h"), s.abstract("a\x00b"))
	}},
	{"listen again", func(s *stage) {
		l := s.open("l")
		s.bind(l, s.path("l"))
		s.listen(l, 0)
		s.connect(s.open("1"), s.path("l"))
		s.connect(s.open("2"), s.path("l"))
		s.listen(l, 2)
		s.connect(s.open("3"), s.path("l"))
		s.connect(s.open("4"), s.path("l"))
		s.connect(s.open("5"), s.path("l"))
		s.listen(l, 0)
		s.accept(l, "a1")
		s.connect(s.open("6"), s.path("l"))
		s.accept(l, "a2")
		s.accept(l, "a3")
		s.connect(s.open("7"), s.path("l"))
		s.accept(l, "a4")
		s.accept(l, "a5")
	}},
	{"the listener's end", func(s *stage) {
		l := s.open("l")
		s.bind(l, s.path("l"))
		s.listen(l, 5)
		c, d := s.open("c"), s.open("d")
		s.connect(c, s.path("l"))
		s.connect(d, s.path("l"))
		s.send(c, "never read")
		s.say("unlink: %s", errName(s.unlink(s.dir+"/l")))
		a := s.accept(l, "a")
		s.connect(s.open("e"), s.path("l"))
		s.close(l)
		s.ready(c, d)
		s.opt(d, endpoint.SO_ERROR)
		s.send(c, "more")
		if a != nil {
			s.recv(a, 10, 0)
			s.recv(a, 10, 0)
		}
	}},
	{"a client that is gone", func(s *stage) {
		l, c := s.open("l"), s.open("c")
		s.bind(l, s.path("l"))
		s.listen(l, 5)
		s.connect(c, s.path("l"))
		s.send(c, "1")
		s.send(c, "2")
		s.close(c)
		s.ready(l)
		a := s.accept(l, "a")
		if a == nil {
			return
		}
		s.cred4(a)
		s.ready(a)
		s.recv(a, 1, 0)
		s.recv(a, 5, 0)
		s.recv(a, 5, 0)
		s.send(a, "x")
		s.opt(a, endpoint.SO_ERROR)
		s.shutdown(a, endpoint.SHUT_RDWR)
		peer, err := a.PeerAddr()
		s.say("peer %v %s", peer, errName(err))
	}},
	{"both halves", func(s *stage) {
		for first := range 3 {
			for second := range 3 {
				a, b := s.pair()
				s.send(a, "to b")
				s.send(b, "to a")
				s.shutdown(a, first)
				s.ready(a, b)
				s.shutdown(b, second)
				s.ready(a, b)
				for _, e := range []endpoint.Endpoint{a, b} {
					s.recv(e, 10, 0)
					s.recv(e, 10, 0)
					s.send(e, "x")
				}
				s.close(a)
				s.ready(b)
				s.recv(b, 10, 0)
				s.opt(b, endpoint.SO_ERROR)
				s.close(b)
			}
		}
	}},
	{"credentials asked for later", func(s *stage) {
		l, c := s.open("l"), s.open("c")
		s.bind(l, s.path("l"))
		s.listen(l, 5)
		s.connect(c, s.path("l"))
		s.send(c, "1")
		s.set(l, endpoint.SO_TIMESTAMP, 1)
		s.set(l, endpoint.SO_OOBINLINE, 1)
		s.set(l, endpoint.SO_PEEK_OFF, 3)
		s.set(l, endpoint.SO_RCVLOWAT, 3)
		s.set(l, endpoint.SO_SNDBUF, 5000)
		s.set(c, endpoint.SO_PASSCRED, 1)
		s.send(c, "2")
		d := s.open("d")
		s.connect(d, s.path("l"))
		for _, name := range []string{"a", "b"} {
			if a := s.accept(l, name); a != nil {
				for _, o := range []int{endpoint.SO_PASSCRED, endpoint.SO_TIMESTAMP, endpoint.SO_OOBINLINE, endpoint.SO_PEEK_OFF,
					endpoint.SO_RCVLOWAT, endpoint.SO_SNDBUF, endpoint.SO_ACCEPTCONN} {
					s.opt(a, o)
				}
				s.recvMsg(a, 5, 0, true)
			}
		}
	}},
	{"an error that is urgent", func(s *stage) {
		a, b := s.pair()
		s.set(a, endpoint.SO_SELECT_ERR_QUEUE, 1)
		s.send(a, "unread")
		s.send(b, "unread")
		if s.typ == endpoint.SOCK_DGRAM {
			s.connect(b, endpoint.Addr{})
		} else {
			s.close(b)
		}
		s.readyPri(a)
		s.memory(a)
		s.opt(a, endpoint.SO_ERROR)
		s.readyPri(a)
	}},
	{"forged credentials", func(s *stage) {
		a, b := s.pair()
		s.set(b, endpoint.SO_PASSCRED, 1)
		for _, c := range []endpoint.Control{
			credItem(s.cred.Pid, s.cred.Uid, s.cred.Gid),
			credItem(0, s.cred.Uid, s.cred.Gid), credItem(-1, s.cred.Uid, s.cred.Gid),
			credItem(s.cred.Pid, ^uint32(0), s.cred.Gid), credItem(s.cred.Pid, s.cred.Uid, ^uint32(0)),
			credItem(0, ^uint32(0), 0), credItem(1, 5, 6),
		} {
			s.sendMsg(a, withItems(c), "x")
			s.recvMsg(b, 5, 0, true)
		}
		s.sendMsg(a, withItems(credItem(1, 5, 6), credItem(s.cred.Pid, s.cred.Uid, s.cred.Gid)), "last")
		s.recvMsg(b, 5, 0, true)
		s.sendMsg(a, withItems(rightsItem(1), credItem(0, 0, 0)), "x")
		s.sendMsg(a, withItems(rightsItem(1), credItem(s.cred.Pid, s.cred.Uid, s.cred.Gid), rightsItem(2)), "all")
		s.recvMsg(b, 5, 0, true)
	}},
	{"credentials keep bytes apart", func(s *stage) {
		a, b := s.pair()
		own, other := credItem(s.cred.Pid, s.cred.Uid, s.cred.Gid), credItem(1, 5, 6)
		for _, pass := range []int{0, 1} {
			s.set(b, endpoint.SO_PASSCRED, pass)
			for _, c := range []endpoint.Control{own, own, other, other, own} {
				s.sendMsg(a, withItems(c), "xy")
			}
			s.send(a, "plain")
			s.recvMsg(b, 3, peek, true)
			s.recvMsg(b, 20, peek, true)
			for range 6 {
				s.recvMsg(b, 20, 0, true)
			}
		}
	}},
	{"rights keep bytes apart", func(s *stage) {
		a, b := s.pair()
		s.send(a, "1")
		s.sendMsg(a, withItems(rightsItem(1)), "2")
		s.sendMsg(a, withItems(rightsItem(2)), "3")
		s.send(a, "4")
		s.sendMsg(a, withItems(rightsItem(3)), strings.Repeat("5", 50_000))
		s.send(a, "6")
		for _, n := range []int{1, 2, 3, 100} {
			s.recvMsg(b, n, peek, true)
		}
		s.recvMsg(b, 10, 0, false)
		s.recvMsg(b, 10, 0, true)
		s.recvMsg(b, 10, 0, true)
		s.recvMsg(b, 10, peek, true)
		s.recvMsg(b, 60_000, 0, true)
		s.recvMsg(b, 60_000, 0, true)
	}},
	{"too many rights", func(s *stage) {
		a, b := s.pair()
		s.sendMsg(a, withItems(rightsItem(253)), "x")
		s.recvMsg(b, 5, 0, true)
		s.sendMsg(a, withItems(rightsItem(200), rightsItem(53)), "x")
		s.recvMsg(b, 5, 0, true)
		s.sendMsg(a, withItems(rightsItem(200), rightsItem(54)), "x")
		s.sendMsg(a, withItems(rightsItem(254)), "x")
		s.sendMsg(a, withItems(rightsItem(0)), "none")
		s.recvMsg(b, 5, 0, true)
		s.shutdown(a, endpoint.SHUT_WR)
		s.sendMsg(a, withItems(rightsItem(254)), "x")
		s.sendMsg(a, withItems(rightsItem(1)), "x")
	}},
	{"no rights wanted", func(s *stage) {
		a, b := s.pair()
		if buf := make([]byte, 4); s.real {
			if _, err := b.Option(endpoint.SOL_SOCKET, endpoint.SO_PASSRIGHTS, buf); err != nil {
				s.t.Skip("this kernel has no SO_PASSRIGHTS")
			}
		}
		s.opt(b, endpoint.SO_PASSRIGHTS)
		s.set(b, endpoint.SO_PASSRIGHTS, 0)
		s.sendMsg(a, withItems(rightsItem(1)), "x")
		s.send(a, "plain")
		s.sendMsg(b, withItems(rightsItem(1)), "the other way")
		s.recvMsg(b, 10, 0, true)
		s.recvMsg(a, 20, 0, true)
		s.set(b, endpoint.SO_PASSRIGHTS, 7)
		s.opt(b, endpoint.SO_PASSRIGHTS)
		l := s.open("l")
		s.bind(l, s.path("l"))
		s.set(l, endpoint.SO_PASSRIGHTS, 0)
		s.listen(l, 3)
		c := s.open("c")
		s.connect(c, s.path("l"))
		s.sendMsg(c, withItems(rightsItem(1)), "x")
		if d := s.accept(l, "d"); d != nil {
			s.opt(d, endpoint.SO_PASSRIGHTS)
		}
		s.shutdown(b, endpoint.SHUT_RD)
		s.set(b, endpoint.SO_PASSRIGHTS, 0)
		s.sendMsg(a, withItems(rightsItem(1)), "x")
	}},
	{"several buffers of none", func(s *stage) {
		a, b := s.pair()
		n, err := a.Send(endpoint.Message{Bufs: [][]byte{{}, []byte("ab"), {}, []byte("c")}})
		s.say("send: %d %s", n, errName(err))
		x, y := make([]byte, 1), make([]byte, 5)
		r, err := b.Recv(endpoint.RecvRequest{Bufs: [][]byte{{}, x, {}, y}})
		s.say("recv: %d %d %q %q %s", r.N, r.Size, x, y, errName(err))
		n, err = a.Send(endpoint.Message{})
		s.say("send nothing: %d %s", n, errName(err))
		r, err = b.Recv(endpoint.RecvRequest{Flags: endpoint.MSG_DONTWAIT})
		s.say("recv nothing: %d %d %s", r.N, r.Size, errName(err))
	}},
	{"peek offset and more", func(s *stage) {
		a, b := s.pair()
		s.set(b, endpoint.SO_PEEK_OFF, 2)
		s.send(a, "abc")
		s.sendMsg(a, withItems(rightsItem(1)), "def")
		s.send(a, "ghi")
		s.recvMsg(b, 3, peek, true)
		s.opt(b, endpoint.SO_PEEK_OFF)
		s.recvMsg(b, 20, peek, true)
		s.opt(b, endpoint.SO_PEEK_OFF)
		s.recvMsg(b, 20, peek|trunc, true)
		s.opt(b, endpoint.SO_PEEK_OFF)
		s.recvMsg(b, 1, 0, true)
		s.opt(b, endpoint.SO_PEEK_OFF)
		s.recvMsg(b, 20, 0, true)
		s.opt(b, endpoint.SO_PEEK_OFF)
		s.set(b, endpoint.SO_PEEK_OFF, -7)
		s.opt(b, endpoint.SO_PEEK_OFF)
		s.recvMsg(b, 20, peek, true)
		s.set(b, endpoint.SO_PEEK_OFF, 1000)
		s.recvMsg(b, 20, peek, true)
	}},
}
