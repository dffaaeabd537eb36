package differ

import (
	"slices"

	"usersock/stack/endpoint"
)

// themes are all sequences.
func themes() []theme {
	return []theme{
		{"sockets", socketSequences()},
		{"tcp4", over("tcp4", endpoint.AF_INET, endpoint.SOCK_STREAM, streamSequences)},
		{"tcp6", over("tcp6", endpoint.AF_INET6, endpoint.SOCK_STREAM, streamSequences)},
		{"states4", over("states4", endpoint.AF_INET, endpoint.SOCK_STREAM, stateSequences())},
		{"wire4", over("wire4", endpoint.AF_INET, endpoint.SOCK_STREAM, wireSequences)},
		{"wire6", over("wire6", endpoint.AF_INET6, endpoint.SOCK_STREAM, wireSequences)},
		{"bind", bindSequences()},
		{"udp4", over("udp4", endpoint.AF_INET, endpoint.SOCK_DGRAM, datagramSequences)},
		{"udp6", over("udp6", endpoint.AF_INET6, endpoint.SOCK_DGRAM, datagramSequences)},
		{"dual", over("dual", endpoint.AF_INET6, endpoint.SOCK_STREAM, dualSequences)},
		{"unix-stream", over("unix-stream", endpoint.AF_UNIX, endpoint.SOCK_STREAM, unixSequences)},
		{"unix-seqpacket", over("unix-seqpacket", endpoint.AF_UNIX, endpoint.SOCK_SEQPACKET, unixSequences)},
		{"unix-dgram", over("unix-dgram", endpoint.AF_UNIX, endpoint.SOCK_DGRAM, unixSequences)},
		{"messages", slices.Concat(
			over("messages/tcp4", endpoint.AF_INET, endpoint.SOCK_STREAM, netMessages),
			over("messages/udp4", endpoint.AF_INET, endpoint.SOCK_DGRAM, netMessages),
			over("messages/udp6", endpoint.AF_INET6, endpoint.SOCK_DGRAM, netMessages),
			over("messages/unix-stream", endpoint.AF_UNIX, endpoint.SOCK_STREAM, messageSequences),
			over("messages/unix-seqpacket", endpoint.AF_UNIX, endpoint.SOCK_SEQPACKET, messageSequences),
			over("messages/unix-dgram", endpoint.AF_UNIX, endpoint.SOCK_DGRAM, messageSequences))},
		{"options", optionSequences()},
	}
}

// over gives sequences a family and a type.
func over(prefix string, af, typ int, qs []sequence) []sequence {
	out := make([]sequence, 0, len(qs))
	for _, q := range qs {
		q.name, q.af, q.typ = prefix+"/"+q.name, af, typ
		out = append(out, q)
	}
	return out
}

const (
	peek    = endpoint.MSG_PEEK
	trunc   = endpoint.MSG_TRUNC
	oob     = endpoint.MSG_OOB
	waitall = endpoint.MSG_WAITALL
	more    = endpoint.MSG_MORE
	eor     = endpoint.MSG_EOR
	errq    = endpoint.MSG_ERRQUEUE
)

const (
	rd   = endpoint.SHUT_RD
	wr   = endpoint.SHUT_WR
	rdwr = endpoint.SHUT_RDWR
)

// streamSequences are about TCP over lo.
var streamSequences = []sequence{
	{name: "fresh", run: func(s *script) {
		a := s.stream("a")
		a.state()
		a.send("x", 0)
		a.send("", 0)
		a.recv(1, 0)
		a.recv(0, 0)
		a.recv(1, peek)
		a.recv(1, errq)
		a.recv(1, oob)
		a.sockname()
		a.peername()
		a.accept("b")
		a.errno()
		a.shutdown(rd)
		a.shutdown(wr)
		a.shutdown(rdwr)
		a.shutdown(3)
		a.shutdown(-1)
		a.connect(unspec)
		a.close()
		a.close()
		a.send("x", 0)
		a.recv(1, 0)
		a.sockname()
		a.peername()
		a.listen(1)
		a.bind(s.lo(0))
		a.connect(s.lo(9))
		a.shutdown(rd)
		a.accept("c")
		a.errno()
	}},
	{name: "refused", run: func(s *script) {
		a := s.stream("a")
		closed := s.closedPort(endpoint.SOCK_STREAM)
		a.connect(closed)
		a.connect(closed)
		a.errno()
		a.send("x", 0)
		a.recv(1, 0)
		a.connect(closed)
		a.errno()
		a.errno()
		l := s.listener()
		a.connect(l.addr())
		a.connect(l.addr())
		a.connect(l.addr())
	}},
	{name: "refused, and its name", run: func(s *script) {
		a := s.stream("a")
		a.connect(s.closedPort(endpoint.SOCK_STREAM))
		a.errno()
		a.sockname()
	}},
	{name: "half close by the client", run: func(s *script) {
		c, p := s.pair()
		c.shutdown(wr)
		c.state("FIN-WAIT-2")
		c.send("x", 0)
		c.send("", 0)
		p.state()
		p.recv(1, 0)
		p.recv(0, 0)
		p.recv(1, 0)
		p.send("abc", 0)
		c.recv(10, 0)
		c.shutdown(wr)
		p.shutdown(wr)
		c.recv(1, 0)
		c.state()
		c.peername()
		c.sockname()
		c.shutdown(wr)
		c.send("x", 0)
		c.connect(s.lo(9))
		p.state()
		p.errno()
		p.peername()
		p.shutdown(wr)
		p.connect(s.lo(9))
		p.send("x", 0)
		p.recv(1, 0)
	}},
	{name: "half close by the server", run: func(s *script) {
		c, p := s.pair()
		p.send("bye", 0)
		p.shutdown(wr)
		p.recv(1, 0)
		c.recv(2, 0)
		c.recv(2, 0)
		c.recv(2, 0)
		c.send("last words", 0)
		p.recv(20, 0)
		c.close()
		p.recv(1, 0)
		p.state()
		p.close()
	}},
	{name: "closed both ways by one side", run: func(s *script) {
		c, p := s.pair()
		c.shutdown(rdwr)
		c.recv(1, 0)
		c.send("x", 0)
		p.recv(1, 0)
		p.send("into the void", 0)
		p.recv(1, 0)
		p.errno()
		c.errno()
	}},
	{name: "shut for reading", run: func(s *script) {
		c, p := s.pair()
		p.send("before", 0)
		c.shutdown(rd)
		c.recv(3, 0)
		c.recv(10, 0)
		c.recv(10, 0)
		c.send("still sends", 0)
		p.recv(20, 0)
		c.shutdown(rd)
		c.shutdown(wr)
		p.recv(1, 0)
		c.send("x", 0)
	}},
	{name: "shut for reading, then data comes", run: func(s *script) {
		c, p := s.pair()
		c.shutdown(rd)
		p.send("after", 0)
		c.recv(10, 0)
		p.recv(1, 0)
	}},
	{name: "both close at the same time", run: func(s *script) {
		c, p := s.pair()
		c.close()
		p.close()
	}},
	{name: "both shut down for writing", run: func(s *script) {
		c, p := s.pair()
		c.shutdown(wr)
		p.shutdown(wr)
		c.recv(1, 0)
		p.recv(1, 0)
		c.peername()
		p.peername()
		c.listen(1)
		p.bind(s.lo(0))
	}},
	{name: "reset with data before it", run: func(s *script) {
		c, p := s.pair()
		c.send("data", 0)
		c.closeReset()
		p.recv(10, 0)
		p.recv(10, 0)
		p.recv(10, 0)
		p.send("x", 0)
		p.errno()
		p.peername()
		p.connect(s.lo(9))
		p.shutdown(rdwr)
		p.listen(1)
		p.sockname()
	}},
	{name: "reset reported by send", run: func(s *script) {
		c, p := s.pair()
		c.closeReset()
		p.send("x", 0)
		p.send("x", 0)
		p.recv(1, 0)
	}},
	{name: "reset reported by SO_ERROR", run: func(s *script) {
		c, p := s.pair()
		c.closeReset()
		p.errno()
		p.errno()
		p.recv(1, 0)
		p.send("x", 0)
	}},
	{name: "reset reported by recv of nothing", run: func(s *script) {
		c, p := s.pair()
		c.closeReset()
		p.recv(0, 0)
		p.recv(0, 0)
		p.send("", 0)
	}},
	{name: "reset reported by peek", run: func(s *script) {
		c, p := s.pair()
		c.closeReset()
		p.recv(1, peek)
		p.recv(1, peek)
	}},
	{name: "reset reported by connect", run: func(s *script) {
		c, p := s.pair()
		c.closeReset()
		p.connect(s.lo(9))
		p.errno()
	}},
	{name: "reset reported by accept", run: func(s *script) {
		c, p := s.pair()
		c.closeReset()
		p.accept("x")
		p.errno()
	}},
	{name: "reset of a half-closed connection", run: func(s *script) {
		c, p := s.pair()
		p.shutdown(wr)
		c.closeReset()
		p.recv(1, 0)
		p.recv(1, 0)
		p.send("x", 0)
	}},
	{name: "reset after the peer's end was read", run: func(s *script) {
		c, p := s.pair()
		c.shutdown(wr)
		p.recv(1, 0)
		c.closeReset()
		p.recv(1, 0)
		p.send("x", 0)
		p.errno()
	}},
	{name: "closed with unread data", run: func(s *script) {
		c, p := s.pair()
		c.send("unread", 0)
		p.close()
		c.recv(1, 0)
		c.recv(1, 0)
		c.send("x", 0)
	}},
	{name: "closed with a part unread", run: func(s *script) {
		c, p := s.pair()
		c.send("a part is read", 0)
		p.send("waits", 0)
		p.recv(2, 0)
		p.close()
		c.recv(10, 0)
		c.recv(10, 0)
	}},
	{name: "send to the gone", run: func(s *script) {
		c, p := s.pair()
		p.close()
		c.send("first", 0)
		c.recv(1, 0)
		c.send("second", 0)
		c.send("third", 0)
		c.errno()
	}},
	{name: "send to the gone, then SO_ERROR", run: func(s *script) {
		c, p := s.pair()
		p.close()
		c.send("first", 0)
		c.errno()
		c.send("second", 0)
		c.recv(1, 0)
	}},
	{name: "linger 0 on the accepted side", run: func(s *script) {
		c, p := s.pair()
		p.linger(1, 0)
		p.close()
		c.recv(1, 0)
		c.recv(1, 0)
	}},
	{name: "linger with time, nothing sent", run: func(s *script) {
		c, p := s.pair()
		c.linger(1, 30)
		c.get(soLinger)
		c.getBytes(soLinger, 8)
		c.close()
		p.recv(1, 0)
		p.close()
	}},
	{name: "linger off with a time", run: func(s *script) {
		c, p := s.pair()
		c.linger(0, 30)
		c.getBytes(soLinger, 8)
		c.linger(-1, 7)
		c.getBytes(soLinger, 8)
		c.setBytes(soLinger, intBytes(1))
		c.linger(0, 0)
		c.send("x", 0)
		c.close()
		p.recv(9, 0)
		p.recv(9, 0)
	}},
	{name: "linger 0 on an unconnected socket", run: func(s *script) {
		a := s.stream("a")
		a.closeReset()
		l := s.listener()
		l.closeReset()
	}},
	{name: "linger 0 with data in flight both ways", run: func(s *script) {
		c, p := s.pair()
		c.send("to the server", 0)
		p.send("to the client", 0)
		p.closeReset()
		c.recv(4, 0)
		c.recv(99, 0)
		c.send("x", 0)
	}},
	{name: "linger 0 after shutdown for writing", run: func(s *script) {
		c, p := s.pair()
		c.shutdown(wr)
		c.closeReset()
		p.recv(1, 0)
		p.errno()
		p.send("x", 0)
	}},
	{name: "listener", run: func(s *script) {
		l := s.stream("l")
		l.listen(1)
		l.state()
		l.accept("x")
		l.connect(s.lo(9))
		l.bind(s.lo(0))
		l.send("x", 0)
		l.recv(1, 0)
		l.recv(0, 0)
		l.peername()
		l.errno()
		l.get(soAcceptconn)
		l.listen(5)
		l.listen(-1)
		l.listen(1 << 20)
		l.sockname()
		c := s.stream("c")
		a := l.addr()
		c.connect(s.lo(a.Port))
		p := l.accept("p")
		p.sockname()
		p.peername()
		p.get(soAcceptconn)
		l.shutdown(wr)
		l.shutdown(rd)
		l.accept("x")
		l.get(soAcceptconn)
		l.listen(3)
		l.sockname()
		c.send("x", 0)
		p.recv(9, 0)
	}},
	{name: "listener, unbound, disconnected", run: func(s *script) {
		l := s.listener()
		l.connect(unspec)
		l.accept("x")
		l.sockname()
		l.state()
		l.listen(1)
		l.sockname()
	}},
	{name: "listener with a connection waiting is shut down", run: func(s *script) {
		l := s.listener()
		c := s.stream("c")
		c.connect(l.addr())
		l.shutdown(rdwr)
		l.accept("p")
		c.recv(1, 0)
		c.recv(1, 0)
	}},
	{name: "listener with a connection waiting is closed", run: func(s *script) {
		l := s.listener()
		c := s.stream("c")
		c.connect(l.addr())
		l.close()
		c.recv(1, 0)
		c.recv(1, 0)
		c.errno()
	}},
	{name: "listener with a connection and data waiting is closed", run: func(s *script) {
		l := s.listener()
		c := s.stream("c")
		c.connect(l.addr())
		c.send("early", 0)
		l.close()
		c.send("x", 0)
		c.send("x", 0)
	}},
	{name: "data and end before accept", run: func(s *script) {
		l := s.listener()
		c := s.stream("c")
		c.connect(l.addr())
		c.send("early", 0)
		c.shutdown(wr)
		p := l.accept("p")
		p.recv(2, 0)
		p.recv(9, 0)
		p.recv(9, 0)
		p.send("late", 0)
		c.recv(9, 0)
	}},
	{name: "reset before accept", run: func(s *script) {
		l := s.listener()
		c := s.stream("c")
		c.connect(l.addr())
		c.closeReset()
		p := l.accept("p")
		p.recv(1, 0)
		p.send("x", 0)
		p.peername()
	}},
	{name: "closed before accept", run: func(s *script) {
		l := s.listener()
		c := s.stream("c")
		c.connect(l.addr())
		c.send("gone", 0)
		c.close()
		p := l.accept("p")
		p.recv(9, 0)
		p.recv(9, 0)
	}},
	{name: "backlog 0", run: func(s *script) { backlog(s, 0, 1) }},
	{name: "backlog 1", run: func(s *script) { backlog(s, 1, 2) }},
	{name: "backlog 3", run: func(s *script) { backlog(s, 3, 4) }},
	{name: "backlog made smaller and larger", run: func(s *script) {
		l := s.stream("l")
		l.bind(s.lo(0))
		l.listen(0)
		a := s.stream("a")
		a.connect(l.addr())
		l.listen(2)
		b := s.stream("b")
		b.connect(l.addr())
		l.listen(0)
		l.accept("p")
		l.accept("q")
		l.accept("r")
	}},
	{name: "a full backlog leaves a client waiting", run: func(s *script) {
		l := s.stream("l")
		l.bind(s.lo(0))
		l.listen(0)
		a := s.stream("a")
		a.connect(l.addr())
		b := s.stream("b")
		b.connect(l.addr())
		b.connect(l.addr())
		b.errno()
		b.state()
		b.send("x", 0)
		b.recv(1, 0)
		b.peername()
		b.close()
		l.accept("p")
	}},
	{name: "connect again while connecting", run: func(s *script) {
		a := s.stream("a")
		a.connect(s.filtered(7))
		a.connect(s.filtered(7))
		a.connect(s.lo(7))
		a.errno()
		a.send("x", 0)
		a.send("", 0)
		a.recv(1, 0)
		a.recv(0, 0)
		a.listen(1)
		a.bind(s.lo(0))
		a.accept("b")
		a.peername()
		a.shutdown(rd)
		a.recv(1, 0)
		a.shutdown(wr)
		a.state()
		a.connect(s.filtered(7))
	}},
	{name: "connect to a filtered port, closed meanwhile", run: func(s *script) {
		a := s.stream("a")
		a.connect(s.filtered(7))
		a.state()
		a.close()
	}},
	{name: "connect to where no route leads", run: func(s *script) {
		a := s.stream("a")
		a.connect(s.foreign(7))
		a.connect(s.foreign(7))
		a.errno()
		a.sockname()
		a.state()
	}},
	{name: "connect to port 0", run: func(s *script) {
		a := s.stream("a")
		a.connect(s.lo(0))
		a.errno()
		a.connect(s.lo(0))
	}},
	{name: "connect to the wildcard address", run: func(s *script) {
		l := s.stream("l")
		l.bind(s.any(0))
		l.listen(1)
		c := s.stream("c")
		c.connect(l.addr())
		c.peername()
		c.sockname()
		p := l.accept("p")
		p.sockname()
		l.sockname()
	}},
	{name: "connect to the interface's own address", run: func(s *script) {
		l := s.stream("l")
		l.bind(s.any(0))
		l.listen(1)
		c := s.stream("c")
		to := at(own4, l.addr().Port)
		if s.af == endpoint.AF_INET6 {
			to = at(own6, l.addr().Port)
		}
		c.connect(to)
		c.sockname()
		c.peername()
		p := l.accept("p")
		p.sockname()
		c.send("x", 0)
		p.recv(9, 0)
	}},
	{name: "connect to itself", run: func(s *script) {
		a := s.stream("a")
		a.bind(s.lo(0))
		a.connect(a.addr())
		a.state()
		a.peername()
		a.send("myself", 0)
		a.recv(9, 0)
		a.shutdown(wr)
		a.recv(1, 0)
	}},
	{name: "connect from a bound port", run: func(s *script) {
		l := s.listener()
		c := s.stream("c")
		c.bind(s.lo(0))
		c.sockname()
		c.connect(l.addr())
		c.sockname()
		p := l.accept("p")
		p.peername()
	}},
	{name: "connect from a bound wildcard", run: func(s *script) {
		l := s.listener()
		c := s.stream("c")
		c.bind(s.any(0))
		c.sockname()
		c.connect(l.addr())
		c.sockname()
	}},
	{name: "two connections from one port", run: func(s *script) {
		l, m := s.listener(), s.stream("m")
		m.bind(s.lo(0))
		m.listen(1)
		c := s.stream("c")
		c.set(soReuseaddr, 1)
		c.bind(s.lo(0))
		d := s.stream("d")
		d.set(soReuseaddr, 1)
		d.bind(c.addr())
		c.connect(l.addr())
		d.connect(l.addr())
		d.connect(m.addr())
		d.sockname()
	}},
	{name: "disconnect", run: func(s *script) {
		c, p := s.pair()
		c.connect(unspec)
		c.peername()
		c.sockname()
		c.errno()
		c.recv(1, 0)
		c.send("x", 0)
		c.state()
		p.recv(1, 0)
		p.recv(1, 0)
		l := s.listener()
		c.connect(l.addr())
		c.connect(l.addr())
		c.peername()
	}},
	{name: "disconnect with data", run: func(s *script) {
		c, p := s.pair()
		p.send("unread", 0)
		c.send("sent", 0)
		c.connect(unspec)
		c.recv(9, 0)
		p.recv(9, 0)
		p.recv(9, 0)
	}},
	{name: "disconnect while connecting", run: func(s *script) {
		a := s.stream("a")
		a.connect(s.filtered(7))
		a.connect(unspec)
		a.state()
		a.errno()
		l := s.listener()
		a.connect(l.addr())
		a.connect(l.addr())
	}},
	{name: "disconnect after the end", run: func(s *script) {
		c, p := s.pair()
		p.close()
		c.recv(1, 0)
		c.connect(unspec)
		c.state()
		c.errno()
		c.sockname()
	}},
	{name: "connected", run: func(s *script) {
		c, p := s.pair()
		c.state()
		c.connect(s.lo(9))
		c.listen(1)
		c.bind(s.lo(0))
		c.accept("x")
		c.sockname()
		c.peername()
		p.sockname()
		p.peername()
		c.recv(1, 0)
		c.recv(0, 0)
		c.send("", 0)
		c.sendto("to", s.foreign(9), 0)
		p.recv(9, 0)
		c.get(soType)
		c.get(soProtocol)
		c.get(soDomain)
		c.errno()
		c.shutdown(5)
	}},
	{name: "peek", run: func(s *script) {
		c, p := s.pair()
		p.recv(4, peek)
		c.send("abcdefgh", 0)
		p.recv(4, peek)
		p.recv(4, peek)
		p.recv(99, peek)
		p.recv(2, 0)
		p.recv(99, peek)
		p.recv(0, peek)
		p.recv(99, 0)
		p.recv(99, peek)
		c.shutdown(wr)
		p.recv(99, peek)
		p.recv(99, peek)
	}},
	{name: "trunc", run: func(s *script) {
		c, p := s.pair()
		c.send("abcdefgh", 0)
		p.recv(3, trunc)
		p.recv(2, trunc|peek)
		p.recv(99, 0)
	}},
	{name: "waitall", run: func(s *script) {
		c, p := s.pair()
		p.recv(4, waitall)
		c.send("ab", 0)
		p.recv(4, waitall)
		c.send("abcd", 0)
		p.recv(4, waitall)
		c.send("xyz", 0)
		p.recv(9, waitall|peek)
		c.shutdown(wr)
		p.recv(9, waitall)
		p.recv(9, waitall)
	}},
	{name: "pieces", run: func(s *script) {
		c, p := s.pair()
		c.send("one", 0)
		c.send("two", 0)
		c.send("three", 0)
		p.recv(4, 0)
		p.recv(99, 0)
	}},
	{name: "into no room", run: func(s *script) {
		c, p := s.pair()
		p.recv(0, 0)
		c.send("x", 0)
		p.recv(0, 0)
		p.recv(0, trunc)
		p.recv(1, 0)
		c.close()
		p.recv(0, 0)
	}},
	{name: "a socket that is full", run: func(s *script) {
		c, p := s.smallPair()
		c.fill()
		p.drain()
		c.send("x", 0)
	}},
	{name: "a socket that is full and shut", run: func(s *script) {
		c, p := s.smallPair()
		c.fill()
		c.shutdown(wr)
		c.send("x", 0)
		p.drain()
		p.recv(1, 0)
	}},
	{name: "the peer of a full socket is reset", run: func(s *script) {
		c, p := s.smallPair()
		c.fill()
		p.closeReset()
		c.send("x", 0)
		c.send("x", 0)
	}},
	{name: "cork", run: func(s *script) {
		c, p := s.pair()
		c.set(tcpCork, 1)
		c.send("held", 0)
		p.recv(9, 0)
		c.send(" back", 0)
		c.set(tcpCork, 0)
		p.recv(99, 0)
	}},
	{name: "more", run: func(s *script) {
		c, p := s.pair()
		c.send("held", more)
		p.recv(9, 0)
		c.send(" back", 0)
		p.recv(99, 0)
		c.send("until the end", more)
		c.shutdown(wr)
		p.recv(99, 0)
	}},
	{name: "flags that a stream does not mind", run: func(s *script) {
		c, p := s.pair()
		c.send("a", eor)
		c.send("b", endpoint.MSG_DONTROUTE)
		c.send("c", endpoint.MSG_CONFIRM)
		c.send("d", endpoint.MSG_NOSIGNAL|endpoint.MSG_DONTWAIT)
		p.recv(9, endpoint.MSG_DONTWAIT)
		p.recv(9, errq)
		c.recv(9, oob)
	}},
	{name: "urgent data", run: func(s *script) {
		c, p := s.pair()
		c.send("ab!", oob)
		p.recv(9, oob)
		p.recv(9, oob)
		p.recv(9, 0)
		p.recv(9, 0)
	}},
	{name: "urgent data in line", run: func(s *script) {
		c, p := s.pair()
		p.set(soOobinline, 1)
		c.send("ab!", oob)
		p.recv(9, oob)
		p.recv(9, 0)
		p.recv(9, 0)
	}},
	{name: "urgent data between others", run: func(s *script) {
		c, p := s.pair()
		c.send("before", 0)
		c.send("!", oob)
		c.send("after", 0)
		p.recv(3, 0)
		p.recv(3, 0)
		p.recv(9, oob|peek)
		p.recv(9, oob)
		p.recv(1, 0)
		p.recv(9, 0)
	}},
	{name: "dup", run: func(s *script) {
		c, p := s.pair()
		d := c.dup("d")
		c.close()
		d.send("x", 0)
		p.recv(9, 0)
		d.shutdown(wr)
		p.recv(9, 0)
		p.send("y", 0)
		d.recv(9, 0)
		d.close()
		p.send("z", 0)
		p.recv(9, 0)
	}},
	{name: "two dups of a listener", run: func(s *script) {
		l := s.listener()
		m := l.dup("m")
		a := l.addr()
		l.close()
		c := s.stream("c")
		c.connect(a)
		p := m.accept("p")
		m.close()
		p.send("x", 0)
		c.recv(9, 0)
		d := s.stream("d")
		d.connect(a)
		d.errno()
	}},
	{name: "low-water mark", run: func(s *script) {
		c, p := s.pair()
		p.get(soRcvlowat)
		p.set(soRcvlowat, 4)
		c.send("ab", 0)
		p.recv(1, peek)
		c.send("cd", 0)
		p.recv(9, 0)
		c.send("e", 0)
		c.shutdown(wr)
		p.recv(9, 0)
		p.set(soRcvlowat, 0)
		p.get(soRcvlowat)
	}},
	{name: "deferred accept", run: func(s *script) {
		l := s.stream("l")
		l.bind(s.lo(0))
		l.set(tcpDefer, 30)
		l.get(tcpDefer)
		l.listen(3)
		c := s.stream("c")
		c.connect(l.addr())
		c.state()
		l.accept("p")
		c.send("data", 0)
		p := l.accept("p")
		p.recv(9, 0)
	}},
	{name: "bind", run: func(s *script) {
		a := s.stream("a")
		a.bind(s.foreign(0))
		a.bind(s.lo(0))
		a.bind(s.lo(0))
		a.sockname()
		a.state()
		b := s.stream("b")
		b.bind(a.addr())
		b.bind(s.any(a.addr().Port))
		b.bind(s.any(0))
		b.sockname()
		b.connect(unspec)
		b.sockname()
	}},
	{name: "bind a port again after its socket is closed", run: func(s *script) {
		a := s.stream("a")
		a.bind(s.lo(0))
		to := a.addr()
		a.close()
		b := s.stream("b")
		b.bind(to)
		b.listen(1)
		b.close()
		c := s.stream("c")
		c.bind(to)
	}},
	{name: "listen where another listens", run: func(s *script) {
		a, b := s.stream("a"), s.stream("b")
		a.set(soReuseaddr, 1)
		b.set(soReuseaddr, 1)
		a.bind(s.lo(0))
		b.bind(a.addr())
		a.listen(1)
		b.listen(1)
		c := s.stream("c")
		c.set(soReuseaddr, 1)
		c.bind(a.addr())
		a.close()
		b.listen(1)
	}},
	{name: "connect from where another listens", run: func(s *script) {
		l := s.listener()
		a := s.stream("a")
		a.set(soReuseport, 1)
		a.bind(s.lo(0))
		b := s.stream("b")
		b.set(soReuseport, 1)
		b.bind(a.addr())
		a.listen(1)
		b.connect(l.addr())
		b.sockname()
	}},
	{name: "options of the accepted", run: func(s *script) {
		l := s.stream("l")
		l.set(soReuseaddr, 1)
		l.set(soKeepalive, 1)
		l.set(soPriority, 3)
		l.set(tcpNodelay, 1)
		l.set(tcpKeepidle, 11)
		l.set(tcpUserTimeout, 5000)
		l.linger(1, 6)
		l.bind(s.lo(0))
		l.listen(1)
		c := s.stream("c")
		c.connect(l.addr())
		p := l.accept("p")
		for _, o := range []option{soReuseaddr, soKeepalive, soPriority, tcpNodelay, tcpKeepidle, tcpUserTimeout} {
			p.get(o)
		}
		p.getBytes(soLinger, 8)
	}},
	{name: "socketpair", run: func(s *script) {
		s.socketpair("a", "b", s.af, endpoint.SOCK_STREAM, 0)
	}},
	{name: "addresses of other families", run: func(s *script) {
		a := s.stream("a")
		other := at("::1", 0)
		if s.af == endpoint.AF_INET6 {
			other = at("127.0.0.1", 0)
		}
		a.bind(other)
		other.Port = 9
		a.connect(other)
		a.sendto("x", other, 0)
		a.bind(s.path("x"))
		a.connect(s.path("x"))
	}},
}

// backlog fills the queue of a listener.
func backlog(s *script, n, fit int) {
	l := s.stream("l")
	l.bind(s.lo(0))
	l.listen(n)
	for i := range fit {
		c := s.stream(string(rune('a' + i)))
		c.connect(l.addr())
	}
	for range fit {
		l.accept("p")
	}
	l.accept("p")
}

// smallPair is pair with small buffers.
func (s *script) smallPair() (c, p *sock) {
	l := s.listener()
	l.set(soRcvbuf, 20000)
	c = s.stream("c")
	c.set(soSndbuf, 20000)
	c.connect(l.addr())
	p = l.accept("p")
	return c, p
}
