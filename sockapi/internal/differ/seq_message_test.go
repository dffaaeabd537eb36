package differ

import (
	"encoding/binary"
	"os"

	"usersock/sockapi"
	"usersock/stack/endpoint"
)

const space = 1024 // for ancillary data

// messageSequences are about sendmsg and recvmsg on AF_UNIX, and descriptors in
// flight. c and d are the pair whose ends fly.
var messageSequences = []sequence{
	{name: "a descriptor is sent and used", run: func(s *script) {
		a, b := s.upair()
		c, d := s.flyer()
		a.sendmsg([]string{"take"}, 0, rights(c))
		e := b.recvmsg([]int{9}, space, 0, "e")[0]
		e.send("by the copy", 0)
		d.recv(20, 0)
		c.close()
		d.send("still open", 0)
		e.recv(20, 0)
		e.close()
		d.recv(1, 0)
	}},
	{name: "the sender closes first", run: func(s *script) {
		a, b := s.upair()
		c, d := s.flyer()
		a.sendmsg([]string{"take"}, 0, rights(c))
		c.close()
		d.send("in flight", 0)
		a.close()
		e := b.recvmsg([]int{9}, space, 0, "e")[0]
		e.recv(20, 0)
		b.recv(1, 0)
	}},
	{name: "closed with a descriptor in flight", run: func(s *script) {
		a, b := s.upair()
		c, d := s.flyer()
		a.sendmsg([]string{"take"}, 0, rights(c))
		c.close()
		b.close()
		d.until(sockapi.POLLHUP)
		a.send("x", 0)
	}},
	{name: "both ends closed with descriptors in flight both ways", run: func(s *script) {
		a, b := s.upair()
		c, d := s.flyer()
		e, f := s.socketpair("e", "f", endpoint.AF_UNIX, endpoint.SOCK_STREAM, 0)
		a.sendmsg([]string{"one"}, 0, rights(c))
		b.sendmsg([]string{"two"}, 0, rights(e))
		c.close()
		e.close()
		a.close()
		d.send("x", 0)
		b.close()
		d.until(sockapi.POLLHUP)
		f.until(sockapi.POLLHUP)
	}},
	{name: "a pair in its own queue", run: func(s *script) {
		a, b := s.upair()
		c, d := s.flyer()
		a.sendmsg([]string{"itself"}, 0, rights(b, c))
		s.closeUntil(d, c, b, a)
	}},
	{name: "two pairs in each other's queues", run: func(s *script) {
		a, b := s.upair()
		e, f := s.socketpair("e", "f", endpoint.AF_UNIX, s.typ, 0)
		c, d := s.flyer()
		a.sendmsg([]string{"x"}, 0, rights(f, c))
		e.sendmsg([]string{"y"}, 0, rights(b))
		s.closeUntil(d, a, b, c, e, f)
	}},
	{name: "in flight to a connection that is never accepted", run: func(s *script) {
		if s.typ == endpoint.SOCK_DGRAM {
			return
		}
		l, a := s.own("l"), s.own("a")
		l.bind(s.path("l"))
		l.listen(1)
		a.connect(s.path("l"))
		c, d := s.flyer()
		a.sendmsg([]string{"x"}, 0, rights(c))
		c.close()
		l.close()
		d.until(sockapi.POLLHUP)
	}},
	{name: "no space for descriptors", run: func(s *script) {
		a, b := s.upair()
		c, d := s.flyer()
		a.sendmsg([]string{"lost"}, 0, rights(c))
		c.close()
		b.recvmsg([]int{9}, 0, 0)
		d.until(sockapi.POLLHUP)
	}},
	{name: "received without ancillary data", run: func(s *script) {
		a, b := s.upair()
		c, d := s.flyer()
		a.sendmsg([]string{"lost"}, 0, rights(c))
		c.close()
		b.recv(9, 0)
		d.until(sockapi.POLLHUP)
	}},
	{name: "space for one of three", run: func(s *script) {
		a, b := s.upair()
		c, d := s.flyer()
		a.sendmsg([]string{"three"}, 0, rights(c, d, a))
		b.recvmsg([]int{9}, 20, 0, "e")
	}},
	{name: "peeked descriptors are copies", run: func(s *script) {
		a, b := s.upair()
		c, d := s.flyer()
		a.sendmsg([]string{"look"}, 0, rights(c))
		c.close()
		e := b.recvmsg([]int{9}, space, peek, "e")[0]
		f := b.recvmsg([]int{9}, space, 0, "f")[0]
		e.close()
		f.send("x", 0)
		d.recv(9, 0)
		f.close()
		d.recv(9, 0)
	}},
	{name: "between other bytes", run: func(s *script) {
		a, b := s.upair()
		c, _ := s.flyer()
		a.send("before", 0)
		a.sendmsg([]string{"with"}, 0, rights(c))
		a.send("after", 0)
		b.recvmsg([]int{50}, space, 0)
		b.recvmsg([]int{50}, space, 0, "e")
		b.recvmsg([]int{50}, space, 0)
	}},
	{name: "with no bytes", run: func(s *script) {
		a, b := s.upair()
		c, _ := s.flyer()
		a.sendmsg([]string{""}, 0, rights(c))
		b.recvmsg([]int{9}, space, 0, "e")
		a.sendmsg(nil, 0, rights(c))
		b.recvmsg([]int{9}, space, 0, "f")
	}},
	{name: "closed and too many descriptors", run: func(s *script) {
		a, b := s.upair()
		c, _ := s.flyer()
		c.close()
		a.sendmsg([]string{"x"}, 0, rights(c))
		a.sendmsg([]string{"x"}, 0, rights())
		b.recvmsg([]int{9}, space, 0)
		many := rights()
		for range 254 {
			many.handles = append(many.handles, a.h)
		}
		a.sendmsg([]string{"x"}, 0, many)
	}},
	{name: "several buffers", run: func(s *script) {
		a, b := s.upair()
		a.sendmsg([]string{"one ", "", "two ", "three"}, 0)
		b.recvmsg([]int{2, 0, 5, 9}, 0, 0)
		a.sendmsg(nil, 0)
		a.sendmsg([]string{"longer than that"}, 0)
		b.recvmsg([]int{2, 2}, 0, 0)
		b.recvmsg([]int{50}, 0, 0)
		a.sendmsg([]string{"cut"}, 0)
		b.recvmsg([]int{1}, 0, trunc)
		b.recvmsg(nil, 0, 0)
	}},
	{name: "the end of a record", run: func(s *script) {
		a, b := s.upair()
		a.sendmsg([]string{"record"}, eor)
		b.recvmsg([]int{9}, 0, 0)
		a.close()
		b.recvmsg([]int{9}, 0, 0)
	}},
	{name: "credentials on request", run: func(s *script) {
		a, b := s.upair()
		b.set(soPasscred, 1)
		a.send("who", 0)
		b.recvmsg([]int{9}, space, 0)
		b.recvmsg([]int{9}, space, 0)
		own := binary.NativeEndian.AppendUint32(nil, uint32(os.Getpid()))
		own = append(own, make([]byte, 8)...)
		a.sendmsg([]string{"me"}, 0, item{level: endpoint.SOL_SOCKET, typ: endpoint.SCM_CREDENTIALS, data: own})
		b.recvmsg([]int{9}, space, 0)
		a.send("cut", 0)
		b.recvmsg([]int{9}, 20, 0)
		a.send("none", 0)
		b.recvmsg([]int{9}, 0, 0)
	}},
	{name: "items that are none", run: func(s *script) {
		a, b := s.upair()
		a.sendmsg([]string{"x"}, 0, item{level: endpoint.SOL_SOCKET, typ: 77, data: make([]byte, 4)})
		a.sendmsg([]string{"x"}, 0, item{level: endpoint.IPPROTO_IP, typ: 1, data: make([]byte, 4)})
		a.sendmsg([]string{"x"}, 0, item{level: endpoint.SOL_SOCKET, typ: endpoint.SCM_CREDENTIALS, data: make([]byte, 4)})
		b.recvmsg([]int{9}, space, 0)
	}},
	{name: "to an address", run: func(s *script) {
		a, b := s.own("a"), s.own("b")
		a.bind(s.path("a"))
		b.bind(s.path("b"))
		a.sendmsgTo([]string{"x", "y"}, 0, s.path("b"))
		b.recvmsg([]int{9}, space, 0)
		a.sendmsgTo([]string{"x"}, 0, s.path("none"))
	}},
}

// flyer is a pair of which c is sent and d stays, to tell whether c is open.
func (s *script) flyer() (c, d *sock) {
	return s.socketpair("c", "d", endpoint.AF_UNIX, endpoint.SOCK_STREAM, 0)
}
