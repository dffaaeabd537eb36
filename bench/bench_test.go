package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestWorks does each work on each system for a moment and checks every byte.
// Figures are not judged.
func TestWorks(t *testing.T) {
	for _, k := range systemTable {
		for _, w := range works {
			t.Run(k.name+"/"+w.name, func(t *testing.T) {
				s, err := k.open(0)
				if err != nil {
					t.Fatal(err)
				}
				values, err := w.do(s, job{time: 50 * time.Millisecond, verify: true})
				if cerr := s.close(); cerr != nil {
					t.Error("close:", cerr)
				}
				if err != nil {
					t.Fatal(err)
				}
				if len(values) == 0 {
					t.Fatal("no figure")
				}
				for _, v := range values {
					// Stacks and losses may be nothing; the rest may not.
					if v.n <= 0 && v.unit != "KB of stacks" && v.unit != "lost %" && k.name != "kernel" {
						t.Errorf("%v %s", v.n, v.unit)
					}
				}
			})
		}
	}
}

// spoiled is a system whose connections damage what passes.
func spoiled(t *testing.T, spoil func(b []byte) []byte) *system {
	t.Helper()
	s, err := openKernel(0)
	if err != nil {
		t.Fatal(err)
	}
	dial, datagrams := s.dial, s.datagrams
	s.dial = func(l listener) (conn, error) {
		c, err := dial(l)
		return spoiler{c, spoil}, err
	}
	s.datagrams = func() (conn, conn, error) {
		c, d, err := datagrams()
		return spoiler{c, spoil}, d, err
	}
	return s
}

type spoiler struct {
	conn
	spoil func(b []byte) []byte
}

func (s spoiler) Write(b []byte) (int, error) {
	if _, err := s.conn.Write(s.spoil(bytes.Clone(b))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// TestWorksNoticeDamage shows that the works fail when bytes are wrong,
// missing or too many.
func TestWorksNoticeDamage(t *testing.T) {
	flip := func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
	short := func(b []byte) []byte { return b[:len(b)-1] }
	for _, c := range []struct {
		work, want string
		spoil      func([]byte) []byte
	}{
		{"stream", "wrong bytes", flip},
		{"stream", "wrong bytes", short},
		{"stream4", "wrong bytes", flip},
		{"pingpong", "back", flip},
		{"connect", "back", flip},
		{"udp", "not the one sent", flip},
		{"udp", "not the one sent", short},
		{"udp", "after", func(b []byte) []byte { clear(b[:8]); return b }},
	} {
		w := works[slices.IndexFunc(works, func(w work) bool { return w.name == c.work })]
		_, err := w.do(spoiled(t, c.spoil), job{time: 20 * time.Millisecond, verify: true})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", c.work, err, c.want)
		}
	}
	// A stream that loses whole blocks shows no wrong byte, but a wrong sum.
	n := 0
	drop := func(b []byte) []byte {
		if n++; n == 2 {
			return nil
		}
		return b
	}
	if _, err := stream(spoiled(t, drop), job{time: 20 * time.Millisecond, verify: true}, 1); err == nil || !strings.Contains(err.Error(), "received") {
		t.Errorf("stream that lost a block: %v", err)
	}
}

// TestJoinFails shows that a connection that cannot be made is an error and
// not a wait for ever.
func TestJoinFails(t *testing.T) {
	s, err := openKernel(0)
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.listen()
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	s.dial = func(listener) (conn, error) { return nil, refused }
	if _, _, err := join(s, l); !errors.Is(err, refused) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want %v and the end of Accept", err, refused)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		n    []float64
		want float64
	}{
		{[]float64{7}, 7},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		before := slices.Clone(c.n)
		if got := median(c.n); got != c.want || !slices.Equal(c.n, before) {
			t.Errorf("median(%v) = %v, want %v and the argument unchanged", before, got, c.want)
		}
	}
}

// TestRatios: the ratio is taken within each round, so a machine that is twice
// as slow in the second round changes nothing.
func TestRatios(t *testing.T) {
	kernel, ours := &series{n: []float64{100, 50, 80}}, &series{n: []float64{150, 75, 80}}
	if got, want := times(ours, kernel), "1.50 (1.00 to 1.50)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, c := range []struct{ s, base *series }{
		{kernel, kernel}, {kernel, nil}, {kernel, &series{n: []float64{1}}}, {kernel, &series{n: []float64{1, 0, 1}}},
	} {
		if got := times(c.s, c.base); got != "" {
			t.Errorf("ratio to %v is %q, want none", c.base, got)
		}
	}
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"-only", "udp,stream", "-systems=raw,k", "-rounds", "3", "-time", "2s"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"stream", "stream4", "udp"}; !slices.Equal(o.only, want) {
		t.Errorf("-only gives %q, want %q", o.only, want)
	}
	if want := []string{"kernel", "raw"}; !slices.Equal(o.systems, want) {
		t.Errorf("-systems gives %q, want %q", o.systems, want)
	}
	if o.rounds != 3 || o.time != 2*time.Second {
		t.Errorf("rounds %d, time %v", o.rounds, o.time)
	}
	for _, args := range [][]string{{"-only", "streams"}, {"-only", "udp,"}, {"-systems", "x"}, {"-rounds", "0"}, {"-time", "0s"}, {"udp"}, {"-x"}} {
		if _, err := parse(args, io.Discard); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}

// TestRun is the whole command, on the systems that need no privilege.
func TestRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lines.txt")
	var out bytes.Buffer
	args := []string{"-rounds", "2", "-time", "10ms", "-only", "pingpong,udp", "-systems", "kernel,raw", "-o", file}
	if err := run(args, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"pingpong: µs, less is better", "udp: kdatagram/s, more is better", "udp: lost %", "times kernel"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	lines, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(lines), "BenchmarkPingpong/system=raw 1 "); got != 2 {
		t.Errorf("%d lines for pingpong on raw, want 2:\n%s", got, lines)
	}
}

// TestNames is the measurement of names, in a moment.
func TestNames(t *testing.T) {
	var out bytes.Buffer
	if err := run([]string{"-names", "-rounds", "1", "-time", "10ms"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Go cold ", "LookupNetIP cold ", "Getaddrinfo cached "} {
		if strings.Count(out.String(), want) != len(callersOfNames) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}
