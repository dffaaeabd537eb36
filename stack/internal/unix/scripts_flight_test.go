//go:build linux

package unix

import (
	"time"

	"usersock/stack/endpoint"
	"usersock/stack/internal/kernel"
)

// right returns a right that stands for e.
func (s *stage) right(e endpoint.Endpoint) endpoint.Right {
	if s.real {
		r, err := kernel.Right(e)
		if err != nil {
			s.t.Fatal(err)
		}
		return r
	}
	d := s.held[e]
	if d == nil {
		d = newDescription(e)
		s.held[e] = d
	}
	d.Retain()
	return d
}

// pass sends rights that stand for the endpoints.
func (s *stage) pass(from endpoint.Endpoint, to endpoint.Addr, es ...endpoint.Endpoint) {
	item := endpoint.Control{Level: endpoint.SOL_SOCKET, Type: endpoint.SCM_RIGHTS}
	for _, e := range es {
		item.Rights = append(item.Rights, s.right(e))
	}
	m := withItems(item)
	m.To = to
	s.sendMsg(from, m, "r")
}

// fetch receives rights, and gives the endpoints they stand for names.
func (s *stage) fetch(e endpoint.Endpoint, names ...string) (es []endpoint.Endpoint) {
	r, err := e.Recv(endpoint.RecvRequest{Bufs: [][]byte{make([]byte, 10)}, Control: true, Flags: endpoint.MSG_DONTWAIT})
	s.say("%s fetches: %d, %s", s.names[e], r.N, errName(err))
	for _, c := range r.Control {
		for i, right := range c.Rights {
			d := right.(endpoint.Description)
			x := d.Endpoint()
			s.names[x] = names[i]
			s.t.Cleanup(func() { x.Close() })
			es = append(es, x)
			s.say("it is %s", names[i])
		}
	}
	return es
}

// drop closes a descriptor.
func (s *stage) drop(es ...endpoint.Endpoint) {
	for _, e := range es {
		s.say("%s is dropped", s.names[e])
		if d := s.held[e]; d != nil {
			d.Release()
		} else {
			e.Close()
		}
	}
}

// hung waits until e hangs up: the kernel's collector runs beside, and only
// when some socket is closed; ours has to have run.
func (s *stage) hung(es ...endpoint.Endpoint) {
	if s.real {
		x, y, err := s.family.Pair(endpoint.Request{Type: endpoint.SOCK_STREAM})
		if err != nil {
			s.t.Fatal(err)
		}
		x.Close()
		y.Close()
		for _, e := range es {
			ev := make(waiter, 1)
			e.Notify(ev)
			limit := time.After(10 * time.Second)
			for e.Ready(0)&endpoint.Hup == 0 {
				select {
				case <-ev:
				case <-limit:
					s.say("%s: no hang-up came", s.names[e])
					return
				}
			}
		}
	}
	for _, e := range es {
		s.say("%s ready %#x", s.names[e], e.Ready(endpoint.In|endpoint.Out|endpoint.RdHup))
	}
}

// named returns a pair whose names have a prefix.
func (s *stage) named(prefix string) (a, b endpoint.Endpoint) {
	a, b = s.pair()
	s.names[a], s.names[b] = prefix+"a", prefix+"b"
	return a, b
}

// watched returns an endpoint that hangs up when the other is closed.
func (s *stage) watched() (watcher, x endpoint.Endpoint) {
	a, b, err := s.family.Pair(endpoint.Request{Type: endpoint.SOCK_STREAM, Cred: s.cred})
	s.track("watcher", a, err)
	s.track("watched", b, err)
	return a, b
}

var nowhere = endpoint.Addr{}

// flightScripts are about what happens to endpoints in flight.
var flightScripts = []script{
	{"a passed endpoint lives on", func(s *stage) {
		a, b := s.pair()
		c, d := s.named("x")
		s.pass(a, nowhere, c)
		s.drop(c)
		s.ready(d)
		s.send(d, "to one in flight")
		for _, e := range s.fetch(b, "c again") {
			s.recv(e, 20, 0)
			s.send(e, "answer")
			s.recv(d, 20, 0)
		}
	}},
	{"closed with the queue", func(s *stage) {
		a, b := s.pair()
		w, x := s.watched()
		s.pass(a, nowhere, x)
		s.drop(x)
		s.ready(w)
		s.drop(b)
		s.ready(w)
	}},
	{"closed with a queue in a queue", func(s *stage) {
		w, x := s.watched()
		for range 20 {
			a, b := s.pair()
			s.pass(a, nowhere, x, a)
			s.drop(x, a)
			x = b
		}
		s.ready(w)
		s.drop(x)
		s.hung(w)
	}},
	{"not received and not asked for", func(s *stage) {
		a, b := s.pair()
		w, x := s.watched()
		s.pass(a, nowhere, x)
		s.drop(x)
		s.recv(b, 10, peek)
		s.ready(w)
		s.recv(b, 10, 0)
		s.ready(w)
	}},
	{"in its own queue", func(s *stage) {
		a, b := s.pair()
		w, x := s.watched()
		s.pass(a, nowhere, b, x)
		s.drop(b, x)
		s.hung(w)
		if s.typ != endpoint.SOCK_DGRAM {
			s.hung(a)
		}
	}},
	{"both ends in one queue", func(s *stage) {
		a, b := s.pair()
		w, x := s.watched()
		s.pass(a, nowhere, a, b, x)
		s.drop(x, a, b)
		s.hung(w)
	}},
	{"circle of two", func(s *stage) {
		a, b := s.named("x")
		c, d := s.named("y")
		w, x := s.watched()
		s.pass(a, nowhere, d, x)
		s.pass(c, nowhere, b)
		s.drop(b, d, x)
		s.hung(w)
		s.send(a, "x")
		s.send(c, "x")
	}},
	{"circle of five", func(s *stage) {
		var fronts, backs []endpoint.Endpoint
		for range 5 {
			a, b := s.pair()
			fronts, backs = append(fronts, a), append(backs, b)
		}
		w, x := s.watched()
		for i := range fronts {
			s.pass(fronts[i], nowhere, backs[(i+1)%5])
		}
		s.pass(fronts[3], nowhere, x, backs[3], backs[0])
		s.drop(x)
		s.drop(fronts...)
		s.drop(backs...)
		s.hung(w)
	}},
	{"circle with a way in", func(s *stage) {
		a, b := s.named("x")
		c, d := s.named("y")
		e, f := s.named("z")
		w, x := s.watched()
		s.pass(a, nowhere, d, x)
		s.pass(c, nowhere, b)
		s.pass(e, nowhere, d)
		s.drop(b, d, x)
		s.ready(a, c, w)
		for _, d := range s.fetch(f, "d again") {
			for _, b := range s.fetch(d, "b again") {
				s.send(a, "through")
				got := s.fetch(b, "d once more", "x")
				s.recv(b, 20, 0)
				s.say("%d came", len(got))
				s.drop(b)
			}
		}
	}},
	{"circle whose way in is closed", func(s *stage) {
		a, b := s.named("x")
		c, d := s.named("y")
		e, f := s.named("z")
		w, x := s.watched()
		s.pass(a, nowhere, d, x)
		s.pass(c, nowhere, b)
		s.pass(e, nowhere, d)
		s.drop(b, d, x)
		s.ready(w)
		s.drop(f)
		s.hung(w)
	}},
	{"circle through a backlog", func(s *stage) {
		if s.typ == endpoint.SOCK_DGRAM {
			s.say("not of this type")
			return
		}
		l, c := s.open("l"), s.open("c")
		w, x := s.watched()
		s.bind(l, s.path("l"))
		s.listen(l, 5)
		s.connect(c, s.path("l"))
		s.pass(c, nowhere, l, x)
		s.ready(c)
		s.drop(x)
		s.ready(w)
		s.drop(l)
		s.hung(w, c)
		s.recv(c, 1, 0)
		s.recv(c, 1, 0)
	}},
	{"circle of accepted", func(s *stage) {
		if s.typ == endpoint.SOCK_DGRAM {
			s.say("not of this type")
			return
		}
		l, c := s.open("l"), s.open("c")
		w, x := s.watched()
		s.bind(l, s.path("l"))
		s.listen(l, 5)
		s.connect(c, s.path("l"))
		s.pass(c, nowhere, l, x)
		a := s.accept(l, "a")
		s.drop(l, x)
		s.ready(w, a)
		s.pass(c, nowhere, a)
		s.drop(a)
		s.hung(w)
	}},
	{"circle of datagrams to a name", func(s *stage) {
		if s.typ != endpoint.SOCK_DGRAM {
			s.say("not of this type")
			return
		}
		a, b, c := s.open("a"), s.open("b"), s.open("c")
		w, x := s.watched()
		s.bind(a, s.path("a"))
		s.bind(b, s.path("b"))
		s.connect(c, s.path("a"))
		s.pass(c, s.path("a"), b, x)
		s.pass(c, s.path("b"), a)
		s.drop(a, b, x)
		s.hung(w)
		s.send(c, "x")
		s.send(c, "x")
	}},
	{"flushed by a new peer", func(s *stage) {
		if s.typ != endpoint.SOCK_DGRAM {
			s.say("not of this type")
			return
		}
		a, b := s.pair()
		w, x := s.watched()
		s.pass(a, nowhere, x)
		s.drop(x)
		s.ready(w)
		s.connect(b, endpoint.Addr{})
		s.ready(w)
	}},
}
