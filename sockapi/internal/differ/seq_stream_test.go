package differ

import (
	"usersock/stack/endpoint"
)

// themes are all sequences.
func themes() []theme {
	return []theme{
		{"tcp4", over("tcp4", endpoint.AF_INET, endpoint.SOCK_STREAM, streamSequences)},
		{"tcp6", over("tcp6", endpoint.AF_INET6, endpoint.SOCK_STREAM, streamSequences)},
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
		a.sockname()
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
}
