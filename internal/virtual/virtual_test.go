package virtual

import (
	"bytes"
	"container/heap"
	"io"
	"math"
	"math/rand"
	"slices"
	"testing"
)

var (
	_ rand.Source64 = Source(nil)
	_ io.Reader     = Source(nil)
)

func draws(s Source) (list [4]uint64) {
	for i := range list {
		list[i] = s.Uint64()
	}
	return list
}

func TestSourceDependsOnSeedHostAndIncarnation(t *testing.T) {
	first := draws(NewSource(1, "alpha", 0))
	if again := draws(NewSource(1, "alpha", 0)); again != first {
		t.Errorf("the same source gives %x, then %x", first, again)
	}
	for name, s := range map[string]Source{
		"seed": NewSource(2, "alpha", 0), "host": NewSource(1, "beta", 0), "incarnation": NewSource(1, "alpha", 1),
	} {
		if draws(s) == first {
			t.Errorf("another %s gives the same numbers", name)
		}
	}
	s := NewSource(1, "alpha", 0)
	s.Seed(99)
	if draws(s) != first {
		t.Error("Seed changed the numbers")
	}
}

func TestSourceReads(t *testing.T) {
	whole := make([]byte, 32)
	if n, err := NewSource(1, "a", 0).Read(whole); n != 32 || err != nil {
		t.Fatal(n, err)
	}
	// A read that ends within a word takes all of it.
	s := NewSource(1, "a", 0)
	part := make([]byte, 5)
	s.Read(part)
	rest := make([]byte, 24)
	s.Read(rest)
	if !bytes.Equal(part, whole[:5]) || !bytes.Equal(rest, whole[8:]) {
		t.Errorf("read %x and %x of %x", part, rest, whole)
	}
	if n, err := s.Read(nil); n != 0 || err != nil {
		t.Errorf("read of nothing: %d, %v", n, err)
	}
}

// TestDrawIsPinned keeps traces comparable between versions of this package.
func TestDrawIsPinned(t *testing.T) {
	if got, want := Draw(1, 2, 1, 3, 4, 5), uint64(0x8e01e86ee3c0fc6d); got != want {
		t.Errorf("Draw(1, 2, 1, 3, 4, 5) = %#x, want %#x", got, want)
	}
	if got, want := NewSource(1, "alpha", 0).Uint64(), uint64(0x1b19e5c5f6e10507); got != want {
		t.Errorf("first number of a source is %#x, want %#x", got, want)
	}
}

func TestDrawDependsOnEverything(t *testing.T) {
	seen := map[uint64]string{Draw(1, 1, 1, 1, 1, 1): "itself"}
	for name, v := range map[string]uint64{
		"seed": Draw(2, 1, 1, 1, 1, 1), "link": Draw(1, 2, 1, 1, 1, 1), "direction": Draw(1, 1, 2, 1, 1, 1),
		"flow": Draw(1, 1, 1, 2, 1, 1), "number": Draw(1, 1, 1, 1, 2, 1), "kind": Draw(1, 1, 1, 1, 1, 2),
		"order": Draw(1, 2, 1, 1, 1, 2),
	} {
		if other, ok := seen[v]; ok {
			t.Errorf("another %s gives the same number as %s", name, other)
		}
		seen[v] = name
	}
}

func TestFractionIsUniform(t *testing.T) {
	if f := Fraction(math.MaxUint64); f >= 1 {
		t.Errorf("Fraction of the largest number is %v", f)
	}
	if f := Fraction(0); f != 0 {
		t.Errorf("Fraction(0) = %v", f)
	}
	var tenths [10]int
	const n = 100_000
	for i := range uint64(n) {
		tenths[int(10*Fraction(Draw(7, 0, 0, 42, i, 0)))]++
	}
	for i, count := range tenths {
		if count < n/10*95/100 || count > n/10*105/100 {
			t.Errorf("%d of %d numbers are in tenth %d", count, n, i)
		}
	}
}

func TestKeyOrder(t *testing.T) {
	keys := []Key{
		{Pid: 1, FD: -1, What: "a"},
		{Pid: 1, FD: -1, What: "b"},
		{Pid: 1, FD: 3, Dir: 0, Call: 9},
		{Pid: 1, FD: 3, Dir: 1, Call: 1},
		{Pid: 1, FD: 3, Dir: 1, Call: 2},
		{Pid: 1, FD: 3, Dir: 2, Call: 1},
		{Pid: 1, FD: 4, Dir: 0, Call: 1},
		{Pid: 2, FD: -1, What: "a"},
	}
	for i, k := range keys {
		for j, o := range keys {
			if got := k.Less(o); got != (i < j) {
				t.Errorf("%+v.Less(%+v) = %v", k, o, got)
			}
		}
	}
}

func TestEventOrder(t *testing.T) {
	a, b := &Node{index: 0}, &Node{index: 1}
	want := []*event{
		{at: 1, node: b, seq: 9},
		{at: 2, node: a, seq: 3},
		{at: 2, node: a, seq: 4},
		{at: 2, node: b, seq: 1},
		{at: 2, node: a, seq: 2, timer: true},
		{at: 2, node: b, seq: 1, timer: true},
		{at: 3, node: a, seq: 1},
	}
	for i, e := range want {
		for j, o := range want {
			if got := e.before(o); got != (i < j) {
				t.Errorf("event %d before event %d: %v", i, j, got)
			}
		}
	}
	shuffled := slices.Clone(want)
	rand.New(rand.NewSource(1)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	d := &Driver{}
	for _, e := range shuffled {
		seq := e.seq
		d.push(e)
		e.seq = seq
	}
	heap.Init(&d.events)
	for i, e := range want {
		if got := d.take(); got != e {
			t.Errorf("event %d is %+v, want %+v", i, got, e)
		}
	}
}
