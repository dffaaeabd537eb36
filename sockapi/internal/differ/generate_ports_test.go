package differ

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"time"

	"usersock/stack/endpoint"
)

// Generated sequences of TCP sockets of both families that want the same port, in
// every state that a socket may have it in.

// Kinds of sockets, the first part of a move's number; the other two bits are
// SO_REUSEADDR and SO_REUSEPORT.
var portKinds = []struct{ family, v6only int }{{endpoint.AF_INET, -1}, {endpoint.AF_INET6, 0}, {endpoint.AF_INET6, 1}}

// Addresses to bind to, by family.
var portAddresses = map[int][]string{
	endpoint.AF_INET:  {"0.0.0.0", "127.0.0.1", "127.0.0.2"},
	endpoint.AF_INET6: {"::", "::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0"},
}

// generatePorts makes the program of a seed.
func generatePorts(seed uint64) program {
	r := rand.New(rand.NewPCG(seed, 11))
	p := program{seed: seed, af: endpoint.AF_INET, typ: endpoint.SOCK_STREAM, ports: true}
	options := func() int { return []int{0, 1, 1, 1, 2, 3}[r.IntN(6)] }
	if r.IntN(2) == 0 { // without SO_REUSEPORT it is certain which listener a connection goes to
		options = func() int { return r.IntN(2) }
	}
	for _, name := range socketNames {
		p.add(move{op: "socket", on: name, n: 4*r.IntN(len(portKinds)) + options()})
	}
	for range 6 + r.IntN(20) {
		m := move{on: socketNames[r.IntN(len(socketNames))], n: r.IntN(12)}
		switch k := r.IntN(20); {
		case k < 6:
			m.op = "bind"
		case k < 9:
			m.op = "listen"
		case k < 12:
			m.op = "meet"
		case k < 13:
			m.op = "visit"
		case k < 14:
			m.op = "part"
		case k < 15:
			m.op = "disconnect"
		case k < 16:
			m.op = "shutdown"
		case k < 18:
			m.op = "set"
		default:
			m.op = "again"
			m.n = 4*r.IntN(len(portKinds)) + options()
		}
		p.add(m)
	}
	return p
}

// A shared is a socket of such a program.
type shared struct {
	*sock
	family int
	four   bool   // of AF_INET6, and was connected over IPv4: Linux can do nothing else with it then
	peer   handle // of its connection; −1: none
}

// A portBoard is the sockets of such a program while it is played.
type portBoard struct {
	*script
	port   uint16 // that they want
	socks  map[string]*shared
	helper map[int]handle // listeners by family, for meet
	shared bool           // a socket has SO_REUSEPORT, or had
}

func (p program) portSequence(patience time.Duration) sequence {
	return sequence{name: fmt.Sprintf("ports/%d", p.seed), af: p.af, typ: p.typ, patience: patience, run: func(s *script) {
		b := &portBoard{script: s, port: freshPort(), socks: map[string]*shared{}, helper: map[int]handle{}}
		for _, family := range []int{endpoint.AF_INET, endpoint.AF_INET6} {
			l := s.quiet(binding{family: family, v6only: -1}, endpoint.SOCK_STREAM, 0)
			s.must(s.net.bind(l, here(family, false, 0)))
			s.must(s.net.listen(l, 64))
			b.helper[family] = l
		}
		for _, m := range p.moves {
			b.move(m)
		}
	}}
}

// here is loopback, of IPv4 on a socket of IPv6 if mapped.
func here(family int, mapped bool, port uint16) endpoint.Addr {
	switch {
	case family == endpoint.AF_INET:
		return at("127.0.0.1", port)
	case mapped:
		return at("::ffff:127.0.0.1", port)
	}
	return at("::1", port)
}

func (b *portBoard) move(m move) {
	k := b.socks[m.on]
	if m.op == "again" { // another socket of that name
		if k != nil {
			if m.n%2 == 0 {
				k.closeReset()
			} else {
				k.close()
			}
			b.leave(k)
		}
		m.op, k = "socket", nil
	}
	if m.op == "socket" {
		b.fresh(m)
		return
	}
	if k == nil {
		return
	}
	switch m.op {
	case "bind":
		of := portAddresses[k.family]
		k.bind(at(of[m.n%len(of)], b.port))
	case "listen":
		k.listen(8)
	case "meet":
		b.meet(k, m.n%2 == 0)
	case "visit":
		if !b.shared {
			b.visit(k, m)
		}
	case "part":
		b.part(k, m.n%3)
	case "disconnect":
		k.connect(unspec)
		b.leave(k)
	case "shutdown":
		k.shutdown([]int{rd, wr, rdwr}[m.n%3])
	case "set":
		o := []option{soReuseaddr, soReuseport}[m.n%2]
		if o == soReuseport && m.n >= 6 {
			b.shared = true
		}
		k.set(o, m.n/6)
	}
	if !k.closed {
		k.sockname()
	}
}

func (b *portBoard) fresh(m move) {
	kind := portKinds[m.n/4%len(portKinds)]
	k := &shared{sock: b.open(m.on, kind.family, endpoint.SOCK_STREAM, 0), family: kind.family, peer: -1}
	if kind.v6only >= 0 {
		k.set(ipv6V6only, kind.v6only)
	}
	k.set(soReuseaddr, m.n&1)
	k.set(soReuseport, m.n>>1&1)
	b.shared = b.shared || m.n&2 != 0
	b.socks[m.on] = k
}

// meet connects a socket to a listener of its own, which accepts.
func (b *portBoard) meet(k *shared, mapped bool) {
	family := k.family
	if mapped = mapped || k.four; mapped {
		family = endpoint.AF_INET
	}
	to, err := b.net.getsockname(b.helper[family])
	b.must(err)
	k.on(fmt.Sprintf("connect(to a listener, %s)", familyText(family)), func() string {
		err := b.net.connect(k.h, here(k.family, mapped, to.Port))
		if errText(err) != "EINPROGRESS" {
			return errText(err)
		}
		b.leave(k)
		k.four = mapped
		b.net.await(k.h, 4, b.patience) // POLLOUT
		b.net.await(b.helper[family], 1, b.patience)
		k.peer, _, err = b.net.accept(b.helper[family])
		return "connected, " + errText(err)
	})
}

// visit connects to the port, to see whose connection it becomes; a socket that
// has it accepts it under the name of that which is left for it.
func (b *portBoard) visit(k *shared, m move) {
	family := k.family
	h := b.quiet(binding{family: family, v6only: -1}, endpoint.SOCK_STREAM, 0)
	kept := false
	b.step(fmt.Sprintf("connect(to the port, %s)", familyText(family)), func() string {
		if err := b.net.connect(h, here(family, m.n%2 == 0, b.port)); errText(err) != "EINPROGRESS" {
			return errText(err)
		}
		b.net.await(h, 4, b.patience)
		var buf [4]byte
		_, err := b.net.getsockopt(h, endpoint.SOL_SOCKET, endpoint.SO_ERROR, buf[:])
		b.must(err)
		return fmt.Sprintf("error %d", buf[0])
	})
	for _, name := range socketNames {
		l := b.socks[name]
		if l == nil || l.closed || l.ready&1 == 0 || kept {
			continue
		}
		if n := l.accept("v" + name); n != nil && n.h >= 0 {
			b.socks["v"+name] = &shared{sock: n, family: l.family, peer: h}
			kept = true
		}
	}
	if !kept {
		b.must(b.net.close(h))
	}
}

// part ends a connection: with the end from here first, from there first, or with
// a reset from there.
func (b *portBoard) part(k *shared, how int) {
	if k.peer < 0 || k.closed {
		return
	}
	switch how {
	case 0:
		k.shutdown(wr)
		b.net.await(k.peer, 1, b.patience)
	case 1:
		b.must(b.net.shutdown(k.peer, wr))
		b.net.await(k.h, 1, b.patience)
	default:
		b.must(b.net.setsockopt(k.peer, endpoint.SOL_SOCKET, endpoint.SO_LINGER, append(intBytes(1), intBytes(0)...)))
	}
	b.leave(k)
	if how == 1 {
		k.on("shutdown(SHUT_WR), or it was", func() string {
			_ = b.net.shutdown(k.h, wr)
			return "ok"
		})
	}
	for end := time.Now().Add(b.patience); time.Now().Before(end); {
		var state [1]byte
		if _, err := b.net.getsockopt(k.h, endpoint.IPPROTO_TCP, endpoint.TCP_INFO, state[:]); err != nil || tcpStates[state[0]] == "CLOSE" {
			return
		}
		runtime.Gosched()
	}
}

// leave closes the far end of a connection.
func (b *portBoard) leave(k *shared) {
	if k.peer >= 0 {
		b.must(b.net.close(k.peer))
		k.peer = -1
	}
}

// portSource is the program as it would be said.
func (p program) portSource() string {
	var b strings.Builder
	fmt.Fprintf(&b, "ports, seed %d:", p.seed)
	for _, m := range p.moves {
		fmt.Fprintf(&b, " %s %s %d;", m.on, m.op, m.n)
	}
	return b.String() + "\n"
}
