package differ

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"usersock/stack/endpoint"
)

// A move is one line of a generated sequence.
type move struct {
	op      string
	on, to  string // names of sockets
	n       int
	flags   int
	text    string
	what    option
	address string // own, any, or that of another socket
	cred    bool   // with credentials, or with room for ancillary data
}

// A program is a generated sequence.
type program struct {
	seed  uint64
	af    int
	typ   int
	moves []move
	other bool // without what depends on the size of the kernel's buffers
	ports bool // see generatePorts
}

var socketNames = []string{"a", "b", "c", "d"}

// generate makes the program of a seed: about ports, or one that begins with
// something that is worth calling on, and then calls what comes.
func generate(seed uint64) program {
	if seed%4 == 0 {
		return generatePorts(seed)
	}
	r := rand.New(rand.NewPCG(seed, 7))
	p := program{seed: seed}
	switch r.IntN(8) {
	case 0, 1, 2:
		p.af, p.typ = endpoint.AF_INET, endpoint.SOCK_STREAM
	case 3:
		p.af, p.typ = endpoint.AF_INET6, endpoint.SOCK_STREAM
	case 4:
		p.af, p.typ = []int{endpoint.AF_INET, endpoint.AF_INET6}[r.IntN(2)], endpoint.SOCK_DGRAM
	default:
		p.af, p.typ = endpoint.AF_UNIX, []int{endpoint.SOCK_STREAM, endpoint.SOCK_SEQPACKET, endpoint.SOCK_DGRAM}[r.IntN(3)]
	}
	p.prelude(r)
	for range 4 + r.IntN(14) {
		if p.af == endpoint.AF_UNIX && r.IntN(2) == 0 {
			p.moves = append(p.moves, p.nextUnix(r))
			continue
		}
		p.moves = append(p.moves, p.next(r))
	}
	return p
}

func (p *program) add(m ...move) { p.moves = append(p.moves, m...) }

func (p *program) prelude(r *rand.Rand) {
	connection := []move{{op: "open", on: "a"}, {op: "bind", on: "a", address: "own"}, {op: "listen", on: "a", n: 2},
		{op: "open", on: "b"}, {op: "connect", on: "b", to: "a"}, {op: "accept", on: "a", to: "c"}}
	switch {
	case p.typ == endpoint.SOCK_DGRAM && r.IntN(2) == 0:
		p.add(move{op: "open", on: "a"}, move{op: "bind", on: "a", address: "own"}, move{op: "open", on: "b"}, move{op: "bind", on: "b", address: "own"},
			move{op: "connect", on: "b", to: "a"}, move{op: "connect", on: "a", to: "b"})
	case p.af == endpoint.AF_UNIX && r.IntN(2) == 0:
		p.add(move{op: "pair", on: "a", to: "b"})
	case p.typ != endpoint.SOCK_DGRAM && r.IntN(4) != 0:
		p.add(connection...)
		if r.IntN(2) == 0 {
			p.add(move{op: "close", on: "a"})
		}
	default:
		p.add(move{op: "open", on: "a"})
		if r.IntN(2) == 0 {
			p.add(move{op: "bind", on: "a", address: "own"})
		}
		p.add(move{op: "open", on: "b"})
	}
}

func (p *program) next(r *rand.Rand) move {
	on, to := socketNames[r.IntN(4)], socketNames[r.IntN(4)]
	text := []string{"x", "abc", "", "hello", "0123456789"}[r.IntN(5)]
	switch r.IntN(30) {
	case 0:
		return move{op: "open", on: on}
	case 1:
		return move{op: "bind", on: on, address: []string{"own", "any"}[r.IntN(2)]}
	case 2:
		return move{op: "bind", on: on, to: to, address: "of"}
	case 3:
		return move{op: "listen", on: on, n: r.IntN(3)}
	case 4, 5:
		return move{op: "connect", on: on, to: to}
	case 6:
		return move{op: "disconnect", on: on}
	case 7:
		return move{op: "accept", on: on, to: to}
	case 8, 9, 10, 11, 12:
		return move{op: "send", on: on, text: text, flags: []int{0, 0, 0, endpoint.MSG_DONTWAIT, endpoint.MSG_EOR}[r.IntN(5)]}
	case 13:
		return move{op: "sendto", on: on, to: to, text: text}
	case 14, 15, 16, 17, 18:
		return move{op: "recv", on: on, n: []int{0, 1, 3, 9, 50}[r.IntN(5)], flags: []int{0, 0, 0, peek, peek | trunc, trunc}[r.IntN(6)]}
	case 19, 20, 21:
		return move{op: "shutdown", on: on, n: []int{rd, wr, rdwr}[r.IntN(3)]}
	case 22, 23:
		return move{op: "close", on: on}
	case 24:
		return move{op: "closeReset", on: on}
	case 25:
		return move{op: "names", on: on}
	case 26, 27:
		return move{op: "errno", on: on}
	case 28:
		return move{op: "get", on: on, what: []option{soType, soAcceptconn, soRcvlowat}[r.IntN(3)]}
	}
	return move{op: "set", on: on, what: []option{soReuseaddr, soReuseport, soKeepalive, soOobinline, soBroadcast}[r.IntN(5)], n: r.IntN(2)}
}

// A board is the sockets of a program while it is played.
type board struct {
	*script
	socks map[string]*sock
	addrs map[string]endpoint.Addr
}

// at is the first address that a socket had, or one where nobody is.
func (b *board) at(name string) endpoint.Addr {
	if a, ok := b.addrs[name]; ok {
		return a
	}
	if b.af == endpoint.AF_UNIX {
		return b.path("nobody")
	}
	return b.lo(7)
}

// remember notes the address of a socket that has one now.
func (b *board) remember(name string) {
	k := b.socks[name]
	if _, ok := b.addrs[name]; ok || k == nil || k.h < 0 || k.closed {
		return
	}
	if a, err := b.net.getsockname(k.h); err == nil && (a.Port != 0 || a.Path != "") {
		b.addrs[name] = a
	}
}

// move plays one line. One about a socket that there is not, is left out.
func (b *board) move(m move) {
	k := b.socks[m.on]
	fresh := func(name string, n *sock) {
		if n != nil && n.h >= 0 {
			b.socks[name] = n
			// What waits for an acknowledgement to be sent comes when it likes.
			_ = b.net.setsockopt(n.h, tcpNodelay.level, tcpNodelay.number, intBytes(1))
		}
	}
	switch m.op {
	case "open", "pair", "accept":
		// A name is used once: the sockets of a record differ by name.
		name := m.on
		if m.op == "accept" {
			name = m.to
		}
		if b.socks[name] != nil || m.op == "pair" && b.socks[m.to] != nil || m.op == "accept" && k == nil {
			return
		}
		switch m.op {
		case "open":
			fresh(m.on, b.own(m.on))
		case "pair":
			x, y := b.socketpair(m.on, m.to, b.af, b.typ, 0)
			fresh(m.on, x)
			fresh(m.to, y)
		case "accept":
			fresh(m.to, k.accept(m.to))
		}
		return
	}
	if k == nil || k.closed {
		return
	}
	switch m.op {
	case "bind":
		a := b.lo(0)
		switch {
		case m.address == "of":
			if of, ok := b.addrs[m.to]; ok {
				a = of
			}
		case b.af == endpoint.AF_UNIX && m.address == "own":
			a = b.path(m.on)
		case b.af == endpoint.AF_UNIX:
			a = b.abstract(m.on)
		case m.address == "any":
			a = b.any(0)
		}
		k.bind(a)
	case "listen":
		k.listen(m.n)
	case "connect":
		k.connect(b.at(m.to))
	case "disconnect":
		k.connect(unspec)
	case "send":
		k.send(m.text, m.flags)
	case "sendto":
		k.sendto(m.text, b.at(m.to), 0)
	case "recv":
		k.recv(m.n, m.flags)
	case "shutdown":
		k.shutdown(m.n)
	case "close":
		k.close()
	case "closeReset":
		k.closeReset()
	case "names":
		k.sockname()
		k.peername()
	case "errno":
		k.errno()
	case "get":
		k.get(m.what)
	case "set":
		k.set(m.what, m.n)
	default:
		b.unixMove(k, m)
	}
}

func (p program) sequence(patience time.Duration) sequence {
	if p.ports {
		return p.portSequence(patience)
	}
	return sequence{name: fmt.Sprintf("generated/%d", p.seed), af: p.af, typ: p.typ, patience: patience, run: func(s *script) {
		b := &board{script: s, socks: map[string]*sock{}, addrs: map[string]endpoint.Addr{}}
		for _, m := range p.moves {
			if p.other && (m.op == "stuff" || m.op == "memory" || m.what == soSndbuf) {
				continue
			}
			b.move(m)
			b.remember(m.on)
			b.remember(m.to)
		}
	}}
}

// source is the program as a sequence to be pasted into a file of sequences:
// the calls as they were made.
func (p program) source() string {
	if p.ports {
		return p.portSource()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "{name: \"found by seed %d\", run: func(s *script) { // %s, %s\n", p.seed, familyText(p.af), typeText(p.typ))
	for _, m := range p.moves {
		fmt.Fprintf(&b, "\t%s\n", m.source(p.af))
	}
	b.WriteString("}},\n")
	return b.String()
}

func (m move) source(af int) string {
	flags := fmt.Sprint(m.flags)
	target := fmt.Sprintf("%s.addr()", m.to)
	switch m.op {
	case "open":
		return fmt.Sprintf("%s := s.own(%q)", m.on, m.on)
	case "pair":
		return fmt.Sprintf("%s, %s := s.socketpair(%q, %q, s.af, s.typ, 0)", m.on, m.to, m.on, m.to)
	case "accept":
		return fmt.Sprintf("%s := %s.accept(%q)", m.to, m.on, m.to)
	case "bind":
		a := "s.lo(0)"
		switch {
		case m.address == "of":
			a = target
		case af == endpoint.AF_UNIX && m.address == "own":
			a = fmt.Sprintf("s.path(%q)", m.on)
		case af == endpoint.AF_UNIX:
			a = fmt.Sprintf("s.abstract(%q)", m.on)
		case m.address == "any":
			a = "s.any(0)"
		}
		return fmt.Sprintf("%s.bind(%s)", m.on, a)
	case "listen":
		return fmt.Sprintf("%s.listen(%d)", m.on, m.n)
	case "connect":
		return fmt.Sprintf("%s.connect(%s)", m.on, target)
	case "disconnect":
		return fmt.Sprintf("%s.connect(unspec)", m.on)
	case "send":
		return fmt.Sprintf("%s.send(%s, %s)", m.on, m.quoted(), flags)
	case "sendto":
		return fmt.Sprintf("%s.sendto(%q, %s, 0)", m.on, m.text, target)
	case "recv":
		return fmt.Sprintf("%s.recv(%d, %s)", m.on, m.n, flags)
	case "shutdown":
		return fmt.Sprintf("%s.shutdown(%s)", m.on, []string{"rd", "wr", "rdwr"}[m.n])
	case "close", "closeReset", "errno":
		return fmt.Sprintf("%s.%s()", m.on, m.op)
	case "names":
		return fmt.Sprintf("%s.sockname()\n\t%s.peername()", m.on, m.on)
	case "get":
		return fmt.Sprintf("%s.get(option{%q, %d, %d})", m.on, m.what.name, m.what.level, m.what.number)
	case "set":
		return fmt.Sprintf("%s.set(option{%q, %d, %d}, %d)", m.on, m.what.name, m.what.level, m.what.number, m.n)
	}
	return m.unixSource()
}
