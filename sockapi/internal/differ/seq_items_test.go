package differ

import (
	"encoding/binary"
	"os"
	"strings"

	"usersock/stack/endpoint"
)

// copies is SCM_RIGHTS with a socket n times.
func copies(k *sock, n int) item {
	socks := make([]*sock, n)
	for i := range socks {
		socks[i] = k
	}
	return rights(socks...)
}

// ownCred is SCM_CREDENTIALS with this process.
func ownCred() item {
	b := binary.NativeEndian.AppendUint32(nil, uint32(os.Getpid()))
	return item{level: endpoint.SOL_SOCKET, typ: endpoint.SCM_CREDENTIALS, data: append(b, make([]byte, 8)...)}
}

func (k *sock) sendItems(text string, items ...item) { k.sendmsg([]string{text}, 0, items...) }

// itemSequences are about items among the bytes of AF_UNIX: descriptors,
// credentials, times; and about where a peek begins.
var itemSequences = []sequence{
	{name: "descriptors end a read", run: func(s *script) {
		a, b := s.upair()
		a.send("ab", 0)
		a.sendItems("cd", copies(a, 2))
		a.send("ef", 0)
		b.take(1, space, 0)
		b.take(10, space, 0)
		b.take(10, space, 0)
		b.take(10, space, 0)
	}},
	{name: "descriptors peeked at", run: func(s *script) {
		a, b := s.upair()
		a.sendItems("xyz", copies(a, 1))
		a.send("next", 0)
		b.take(1, space, peek)
		b.take(10, space, peek)
		b.take(10, 0, peek)
		b.take(1, space, 0)
		b.take(10, space, 0)
		b.take(10, space, 0)
	}},
	{name: "descriptors at the edge of a peek", run: func(s *script) {
		a, b := s.upair()
		a.send("ab", 0)
		a.sendItems("cd", copies(a, 2))
		b.take(2, space, peek)
		b.take(2, space, 0)
		b.take(2, space, 0)
	}},
	{name: "descriptors in two items", run: func(s *script) {
		a, b := s.upair()
		a.sendItems("lost", copies(a, 1))
		b.recv(10, 0)
		a.sendItems("joined", copies(a, 1), copies(b, 2))
		b.take(10, space, 0)
		a.sendItems("zero", copies(a, 1))
		b.take(0, space, 0)
		b.take(10, space, 0)
	}},
	{name: "descriptors keep bytes apart", run: func(s *script) {
		a, b := s.upair()
		a.send("1", 0)
		a.sendItems("2", copies(a, 1))
		a.sendItems("3", copies(a, 2))
		a.send("4", 0)
		a.sendItems(strings.Repeat("5", 50_000), copies(a, 3))
		a.send("6", 0)
		for _, n := range []int{1, 2, 3, 100} {
			b.take(n, space, peek)
		}
		b.take(10, 0, 0)
		b.take(10, space, 0)
		b.take(10, space, 0)
		b.take(10, space, peek)
		b.take(60_000, space, 0)
		b.take(60_000, space, 0)
	}},
	{name: "many descriptors", run: func(s *script) {
		a, b := s.upair()
		a.sendItems("most", copies(a, 253))
		b.take(10, 2*space, 0)
		a.sendItems("in two", copies(a, 200), copies(a, 53))
		b.take(10, 2*space, 0)
		a.sendItems("too many in two", copies(a, 200), copies(a, 54))
		a.sendItems("too many", copies(a, 254))
		a.sendItems("none", rights())
		b.take(5, space, 0)
		a.shutdown(wr)
		a.sendItems("x", copies(a, 254))
		a.sendItems("x", copies(a, 1))
	}},
	{name: "no descriptors wanted", run: func(s *script) {
		wanted := named("SO_PASSRIGHTS")
		a, b := s.upair()
		b.get(wanted)
		b.set(wanted, 0)
		a.sendItems("x", copies(a, 1))
		a.send("plain", 0)
		b.sendItems("the other way", copies(a, 1))
		b.take(10, space, 0)
		a.take(20, space, 0)
		b.set(wanted, 7)
		b.get(wanted)
		l := s.own("l")
		l.bind(s.path("l"))
		l.set(wanted, 0)
		l.listen(3)
		c := s.own("c")
		c.connect(s.path("l"))
		c.sendItems("x", copies(a, 1))
		l.accept("d").get(wanted)
		b.shutdown(rd)
		b.set(wanted, 0)
		a.sendItems("x", copies(a, 1))
	}},
	{name: "credentials of what waits", run: func(s *script) {
		a, b := s.upair()
		a.send("before", 0)
		b.set(soPasscred, 1)
		a.send("after", 0)
		b.take(20, space, 0)
		b.take(20, space, 0)
		a.send("one", 0)
		a.send("two", 0)
		b.take(20, 0, 0)
		b.take(20, space, 0)
		a.sendItems("own", ownCred())
		b.take(20, space, peek)
		a.sendItems("and rights", copies(a, 1))
		b.take(3, space, 0)
		b.take(20, space, 0)
		b.take(20, space, 0)
		a.sendItems("short", item{level: endpoint.SOL_SOCKET, typ: endpoint.SCM_CREDENTIALS, data: make([]byte, 4)})
		b.get(soPasscred)
		a.sockname()
	}},
	{name: "credentials and descriptors", run: func(s *script) {
		a, b := s.upair()
		b.set(soPasscred, 1)
		a.sendItems("x", copies(a, 1), item{level: endpoint.SOL_SOCKET, typ: endpoint.SCM_CREDENTIALS, data: make([]byte, 11)})
		a.sendItems("all", copies(a, 1), ownCred(), copies(a, 2))
		b.take(5, space, 0)
		a.sendItems("twice", ownCred(), ownCred())
		b.take(9, space, 0)
	}},
	{name: "credentials before accept", run: func(s *script) {
		l, c := s.own("l"), s.own("c")
		l.bind(s.path("l"))
		l.listen(5)
		c.connect(s.path("l"))
		c.send("early", 0)
		p := l.accept("p")
		c.send("late", 0)
		p.set(soPasscred, 1)
		p.take(20, space, 0)
		p.take(20, space, 0)
		l.set(soPasscred, 1)
		d := s.own("d")
		d.set(soPasscred, 1)
		d.connect(s.path("l"))
		l.accept("q").get(soPasscred)
	}},
	{name: "options of the accepted", run: func(s *script) {
		l, c := s.own("l"), s.own("c")
		l.bind(s.path("l"))
		l.listen(5)
		c.connect(s.path("l"))
		c.send("1", 0)
		l.set(soTimestamp, 1)
		l.set(soOobinline, 1)
		l.set(soPeekOff, 3)
		l.set(soRcvlowat, 3)
		l.set(soSndbuf, 5000)
		c.set(soPasscred, 1)
		c.send("2", 0)
		d := s.own("d")
		d.connect(s.path("l"))
		for _, name := range []string{"p", "q"} {
			p := l.accept(name)
			for _, o := range []option{soPasscred, soTimestamp, soOobinline, soPeekOff, soRcvlowat, soSndbuf, soAcceptconn} {
				p.get(o)
			}
			p.take(5, space, 0)
		}
	}},
	{name: "timestamps", run: func(s *script) {
		if s.typ == endpoint.SOCK_STREAM {
			return // it has none
		}
		a, b := s.upair()
		b.set(soTimestamp, 1)
		a.send("x", 0)
		b.take(5, space, 0)
		b.set(named("SO_TIMESTAMPNS"), 1)
		b.get(soTimestamp)
		a.send("x", 0)
		b.take(5, space, 0)
		b.set(soTimestamp, 0)
		a.send("x", 0)
		b.take(5, space, 0)
	}},
	{name: "peek offset over messages", run: func(s *script) {
		a, b := s.upair()
		b.set(soPeekOff, 0)
		a.send("abcdef", 0)
		a.send("ghi", 0)
		b.recv(2, peek)
		b.recv(3, peek)
		b.get(soPeekOff)
		b.recv(3, peek)
		b.recv(1, 0)
		b.get(soPeekOff)
		b.recv(9, peek)
		b.recv(9, peek)
		b.recv(20, 0)
		b.get(soPeekOff)
		b.set(soPeekOff, -1)
		b.recv(20, peek)
	}},
	{name: "peek offset and descriptors", run: func(s *script) {
		a, b := s.upair()
		b.set(soPeekOff, 2)
		a.send("abc", 0)
		a.sendItems("def", copies(a, 1))
		a.send("ghi", 0)
		b.take(3, space, peek)
		b.get(soPeekOff)
		b.take(20, space, peek)
		b.get(soPeekOff)
		b.take(20, space, peek|trunc)
		b.get(soPeekOff)
		b.take(1, space, 0)
		b.get(soPeekOff)
		b.take(20, space, 0)
		b.get(soPeekOff)
		b.set(soPeekOff, -7)
		b.get(soPeekOff)
		b.take(20, space, peek)
		b.set(soPeekOff, 1000)
		b.take(20, space, peek)
	}},
	{name: "several buffers of none", run: func(s *script) {
		a, b := s.upair()
		a.sendmsg([]string{"", "ab", "", "c"}, 0)
		b.recvmsg([]int{0, 1, 0, 5}, 0, 0)
		a.sendmsg(nil, 0)
		b.recvmsg(nil, 0, 0)
	}},
}
