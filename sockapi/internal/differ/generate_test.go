package differ

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"usersock/stack/endpoint"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "play the generated sequence of this seed alone, and print it")
	seedsFlag = flag.Uint64("seeds", 300, "play the generated sequences of the seeds from 1 to this")
	forFlag   = flag.Duration("for", 0, "play generated sequences of new seeds for so long")
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
}

var socketNames = []string{"a", "b", "c", "d"}

// generate makes the program of a seed. It begins with something that is worth
// calling on, and then calls what comes.
func generate(seed uint64) program {
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

// generators plays programs on both sides.
type generators struct {
	room  *room
	other bool // the kernel's buffers have other sizes than ours
	ours  func() (sockets, error)
	met   map[*difference]int // how often a line of ofGenerated or lasting served
}

// differing plays a program on both sides. It returns the records if they
// part at a step that is not listed; nil if they do not.
func (g generators) differing(p program, patience time.Duration) (kernel, ours []entry, at int) {
	q := p.sequence(patience)
	kernel, err := g.kernel(q)
	if err != nil {
		return []entry{{call: "kernel", result: err.Error()}}, nil, 0
	}
	o, err := g.ours()
	if err != nil {
		return kernel, []entry{{call: "ours", result: err.Error()}}, 0
	}
	ours, err = play(q, o, kernel)
	if err != nil {
		ours = append(ours, entry{call: "ours", result: err.Error()})
	}
	for i := range max(len(kernel), len(ours)) {
		if i < len(kernel) && i < len(ours) && kernel[i] == ours[i] {
			continue
		}
		if i < len(kernel) && i < len(ours) && g.known(p, kernel[:i+1], ours[i]) {
			return nil, nil, 0 // what follows may be its consequence
		}
		return kernel, ours, i
	}
	return nil, nil, 0
}

func (g generators) kernel(q sequence) (log []entry, err error) {
	g.room.do(func() {
		var k sockets
		if k, err = newKernel(g.room); err == nil {
			log, err = play(q, k, nil)
		}
	})
	return log, err
}

// known reports whether the difference in the last step is listed, or
// may come of a step before it.
func (g generators) known(p program, kernel []entry, ours entry) bool {
	where := fmt.Sprintf("%s/%s", familyText(p.af), typeText(p.typ))
	for _, e := range kernel[:len(kernel)-1] {
		for i := range lasting {
			d := &lasting[i]
			if glob(d.in, where) && glob(d.call, e.call) && glob(d.kernel, e.outcome()) {
				g.met[d]++
				return true
			}
		}
	}
	last := kernel[len(kernel)-1]
	for i := range ofGenerated {
		d := &ofGenerated[i]
		if glob(d.in, where) && glob(d.call, last.call) && glob(d.kernel, last.outcome()) && glob(d.ours, ours.outcome()) {
			g.met[d]++
			return true
		}
	}
	return false
}

// steady reports whether a difference is one: the kernel says the same again,
// and ours differs again.
func (g generators) steady(p program) (kernel, ours []entry, at int) {
	for range 3 {
		k, o, i := g.differing(p, patience)
		if k == nil || kernel != nil && !slices.Equal(k, kernel) {
			return nil, nil, 0
		}
		kernel, ours, at = k, o, i
	}
	return kernel, ours, at
}

// check plays a program and describes a difference at its shortest.
func (g generators) check(p program) string {
	p.other = g.other
	if k, _, _ := g.differing(p, impatience); k == nil {
		return ""
	}
	kernel, ours, at := g.steady(p)
	if kernel == nil {
		return ""
	}
	p.moves = p.moves[:len(p.moves):len(p.moves)]
	for again := true; again; {
		again = false
		for i := len(p.moves) - 1; i >= 0; i-- {
			shorter := p
			shorter.moves = slices.Delete(slices.Clone(p.moves), i, i+1)
			if k, o, n := g.differing(shorter, impatience); k != nil {
				p, kernel, ours, at, again = shorter, k, o, n, true
			}
		}
	}
	if k, o, n := g.steady(p); k != nil {
		kernel, ours, at = k, o, n
	}
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: the sides part:\n%s", p.seed, text(kernel[:min(at, len(kernel))]))
	for _, side := range []struct {
		name string
		log  []entry
	}{{"kernel", kernel}, {"ours", ours}} {
		if at < len(side.log) {
			fmt.Fprintf(&b, "%s\t%s\n", side.name, side.log[at])
		}
	}
	b.WriteString(p.source())
	return b.String()
}

// needGenerators makes generators with a room of their own.
func needGenerators(t testing.TB) generators {
	t.Helper()
	needKernel(t)
	r, err := newRoom()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.end)
	g := generators{room: r, ours: func() (sockets, error) { return newOurs() }, met: make(map[*difference]int)}
	r.do(func() {
		var k sockets
		if k, err = newKernel(r); err == nil {
			g.other = otherBuffers(k)
			k.end()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// lanes is how many programs are played at a time.
const lanes = 4

// TestGenerated plays the programs of the first seeds, of which -seeds says how
// many; of one seed with -seed, of new ones with -for.
func TestGenerated(t *testing.T) {
	needKernel(t)
	if *seedFlag != 0 {
		g, p := needGenerators(t), generate(*seedFlag)
		kernel, err := g.kernel(p.sequence(patience))
		t.Logf("%s\n%s%v", p.source(), text(kernel), err)
		if d := g.check(p); d != "" {
			t.Error(d)
		}
		return
	}
	t.Parallel()
	start := time.Now()
	seed := func(n uint64) (uint64, bool) { return n + 1, n < *seedsFlag }
	if *forFlag > 0 {
		seed = func(uint64) (uint64, bool) { return rand.Uint64(), time.Since(start) < *forFlag }
	}
	var played atomic.Uint64
	var all []generators
	t.Cleanup(func() {
		t.Logf("%d generated sequences in %v", played.Load(), time.Since(start).Round(time.Millisecond))
		tellMet(t, all, *forFlag >= long)
	})
	for i := range uint64(lanes) {
		g := needGenerators(t)
		all = append(all, g)
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			for n := i; ; n += lanes {
				s, more := seed(n)
				if !more {
					return
				}
				if d := g.check(generate(s)); d != "" {
					t.Error(d)
				}
				played.Add(1)
			}
		})
	}
}

// long is a time in which every difference that is listed is met.
const long = 10 * time.Minute

// tellMet tells how often each line of ofGenerated and lasting served. One that
// never does hides what it was not written for: after a long time that is an
// error.
func tellMet(t *testing.T, all []generators, must bool) {
	t.Helper()
	for _, list := range [][]difference{ofGenerated, lasting} {
		for i := range list {
			d, n := &list[i], 0
			for _, g := range all {
				n += g.met[d]
			}
			t.Logf("%4d times: %s %s: %s, ours %s (%s)", n, d.in, d.call, d.kernel, d.ours, d.why)
			if must && n == 0 {
				t.Errorf("no sequence met it: %+v", *d)
			}
		}
	}
}

// FuzzSequences plays the program of a seed. It is for those who look for
// differences, and no part of .ci/run: what it finds one day has nothing to do with
// the change of that day.
func FuzzSequences(f *testing.F) {
	for seed := range uint64(10) {
		f.Add(seed + 1)
	}
	g := needGenerators(f)
	f.Fuzz(func(t *testing.T, seed uint64) {
		if d := g.check(generate(seed)); d != "" {
			t.Error(d)
		}
	})
}
