package differ

import (
	"slices"
	"strings"
	"testing"
	"time"

	"usersock/sockapi"
	"usersock/stack/endpoint"
)

// The suite can fail: these tests play it on a side that answers wrongly.

// liar is ours with one wrong answer.
type liar struct {
	*ours
	shutdown1 bool // shutdown says EINVAL
	deaf      bool // poll never says POLLOUT
	short     bool // a receive says one byte less
	twice     bool // bind picks the port that it picked before

	picked uint16
}

func (l *liar) bind(h handle, a endpoint.Addr) error {
	picks := a.Port == 0
	if picks && l.twice {
		a.Port = l.picked
	}
	err := l.ours.bind(h, a)
	if now, e := l.getsockname(h); picks && e == nil {
		l.picked = now.Port
	}
	return err
}

func (l *liar) shutdown(h handle, how int) error {
	err := l.ours.shutdown(h, how)
	if l.shutdown1 {
		return endpoint.EINVAL
	}
	return err
}

func (l *liar) poll(h handle) int {
	events := l.ours.poll(h)
	if l.deaf {
		events &^= sockapi.POLLOUT
	}
	return events
}

func (l *liar) recvfrom(h handle, buf []byte, flags int) (int, endpoint.Addr, error) {
	n, from, err := l.ours.recvfrom(h, buf, flags)
	if l.short && n > 0 {
		n--
	}
	return n, from, err
}

// aSequence is one that all liars are caught by.
var aSequence = sequence{name: "proof", af: endpoint.AF_INET, typ: endpoint.SOCK_STREAM, patience: 50 * time.Millisecond, run: func(s *script) {
	c, p := s.pair()
	c.send("hello", 0)
	p.recv(9, 0)
	c.shutdown(wr)
	p.recv(9, 0)
}}

func playLiar(t *testing.T, q sequence, l liar, want []entry) []entry {
	t.Helper()
	o, err := newOurs()
	if err != nil {
		t.Fatal(err)
	}
	l.ours = o
	log, err := playOn(q, &l, want, false)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// anHonestLog is what an honest side makes of aSequence.
const anHonestLog = `l = socket(AF_INET, SOCK_STREAM, 0) -> ok {l:OUT|HUP}
l.bind(127.0.0.1:0) -> ok
l.listen(8) -> ok {l:-}
c = socket(AF_INET, SOCK_STREAM, 0) -> ok {c:OUT|HUP}
c.connect(127.0.0.1:p1) -> EINPROGRESS {l:IN c:OUT}
p = l.accept() -> from 127.0.0.1:p2 {l:- p:OUT}
l.close() -> ok
c.send("hello") -> 5 {p:IN|OUT}
p.recv(9) -> 5 "hello" {p:OUT}
c.shutdown(SHUT_WR) -> ok {p:IN|OUT|RDHUP}
p.recv(9) -> 0 ""`

func TestLiarsAreCaught(t *testing.T) {
	var want []entry
	for line := range strings.SplitSeq(anHonestLog, "\n") {
		e, ok := parseEntry(line)
		if !ok {
			t.Fatalf("%q is no entry", line)
		}
		want = append(want, e)
	}
	honest := aSequence
	honest.patience = time.Minute // it is slow on a busy machine, not wrong
	if got := playLiar(t, honest, liar{}, want); !slices.Equal(got, want) {
		t.Fatalf("an honest side differs from itself:\n%s\n%s", text(want), text(got))
	}
	for name, l := range map[string]liar{
		"errno":     {shutdown1: true},
		"readiness": {deaf: true},
		"bytes":     {short: true},
	} {
		if got := playLiar(t, aSequence, l, want); slices.Equal(got, want) {
			t.Errorf("a wrong %s is not noticed", name)
		}
	}
}

// A sequence is played again where a picked port has been seen before, and what
// comes of it every time counts.
func TestPortsPickedTwice(t *testing.T) {
	for name, run := range map[string]func(*script){
		"one that is closed": func(s *script) {
			a, closed := s.stream("a"), s.closedPort(endpoint.SOCK_STREAM)
			a.bind(s.lo(0))
			a.sockname()
			a.connect(closed)
		},
		"that of a socket that is gone": func(s *script) {
			a, b := s.stream("a"), s.stream("b")
			a.bind(s.lo(0))
			had := a.addr()
			a.close()
			b.bind(s.lo(0))
			b.sockname()
			c := s.stream("c")
			c.bind(had) // asked for, not picked
		},
	} {
		t.Run(name, func(t *testing.T) {
			q := sequence{name: "proof", af: endpoint.AF_INET, run: run}
			tries := 0
			side := func(twice int) func() (sockets, error) {
				tries = 0
				return func() (sockets, error) {
					tries++
					o, err := newOurs()
					return &liar{ours: o, twice: tries <= twice}, err
				}
			}
			want, err := play(q, side(0), nil)
			if err != nil || tries != 1 {
				t.Fatal(tries, err)
			}
			if log, err := play(q, side(2), want); err != nil || tries != 3 || !slices.Equal(log, want) {
				t.Errorf("%d tries, %v\n%s\nwant three and\n%s", tries, err, text(log), text(want))
			}
			if log, err := play(q, side(100), want); err != nil || slices.Equal(log, want) {
				t.Errorf("a port is picked twice every time, and nobody notices: %v\n%s", err, text(log))
			}
		})
	}
}

// So it is where only the names of ports differ: a socket that keeps its port by
// chance, or one that nobody looked at.
func TestOnlyPortsDiffer(t *testing.T) {
	q := sequence{name: "proof", af: endpoint.AF_INET, run: func(s *script) {
		a := s.stream("a")
		a.bind(s.lo(0))
		a.sockname()
	}}
	tries := 0
	side := func() (sockets, error) { tries++; return newOurs() }
	want, err := play(q, side, nil)
	if err != nil {
		t.Fatal(err)
	}
	for result, n := range map[string]int{want[2].result: 1, "127.0.0.1:p2": 5, "127.0.0.1:closed": 5, "127.0.0.2:p2": 1, "127.0.0.1:named": 1} {
		tries, want[2].result = 0, result
		log, err := play(q, side, want)
		if err != nil || tries != n || log[2].result != "127.0.0.1:p1" {
			t.Errorf("%q was expected: %d tries, %v, want %d\n%s", result, tries, err, n, text(log))
		}
	}
}

// A golden file is read as it was written.
func TestEntries(t *testing.T) {
	for _, e := range []entry{
		{call: "a.bind(127.0.0.1:0)", result: "ok"},
		{call: `a.recv(9)`, result: `4 "{ -}" from 127.0.0.1:p1`, ready: "a:OUT b:IN|OUT"},
		{call: "x = l.accept()", result: "EAGAIN", ready: "l:-"},
	} {
		if got, ok := parseEntry(e.String()); !ok || got != e {
			t.Errorf("%q is read as %#v", e.String(), got)
		}
	}
	if _, ok := parseEntry("no arrow"); ok {
		t.Error("a line without a result is an entry")
	}
}

// What is listed is expected, and nothing else.
func TestExpected(t *testing.T) {
	kernel := []entry{{call: "a.shutdown(SHUT_RD)", result: "ok"}, {call: "a.recv(1)", result: "1"}}
	list := []difference{
		{"seq/*", "a.shutdown(*)", "ok", "ENOTCONN {a:IN}", ""},
		{"other/*", "*", "*", "*", ""},
		{"seq/*", "a.recv(*)", "1", "E*", ""},
	}
	want, listed := expectedBy(list, "seq/one", kernel)
	if want[0] != (entry{call: "a.shutdown(SHUT_RD)", result: "ENOTCONN", ready: "a:IN"}) || listed[0] != &list[0] || listed[1] != &list[2] {
		t.Errorf("want %v, listed %v", want, listed)
	}
	for outcome, is := range map[string]bool{"EAGAIN": true, "1": true, "2": false} {
		if (entry{call: "a.recv(1)", result: outcome}).is(want[1]) != is {
			t.Errorf("%s: accepted is %v, want %v", outcome, !is, is)
		}
	}
}

// A difference is found, and made short.
func TestShrink(t *testing.T) {
	g := needGenerators(t)
	g.ours = func() (sockets, error) {
		o, err := newOurs()
		return &liar{ours: o, shutdown1: true}, err
	}
	p := program{seed: 1, af: endpoint.AF_UNIX, typ: endpoint.SOCK_STREAM, moves: []move{
		{op: "open", on: "d"}, {op: "pair", on: "a", to: "b"}, {op: "send", on: "a", text: "x"}, {op: "recv", on: "b", n: 9},
		{op: "errno", on: "a"}, {op: "shutdown", on: "b", n: wr}, {op: "send", on: "a", text: "y"},
	}}
	found := g.check(p)
	_, source, _ := strings.Cut(found, "func(s *script) {")
	if !strings.Contains(source, "b.shutdown(wr)") || strings.Count(source, "\n\t") != 2 {
		t.Errorf("a pair and a shutdown would do:\n%s", found)
	}
}
