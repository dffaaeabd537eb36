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
)

var (
	seedFlag  = flag.Uint64("seed", 0, "play the generated sequence of this seed alone, and print it")
	seedsFlag = flag.Uint64("seeds", 300, "play the generated sequences of the seeds from 1 to this")
	forFlag   = flag.Duration("for", 0, "play generated sequences of new seeds for so long")
)

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
	ours, err = play(q, g.ours, kernel)
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
		log, err = play(q, func() (sockets, error) { return newKernel(g.room) }, nil)
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
