package differ

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
)

var (
	update = flag.Bool("update", os.Getenv("USERSOCK_UPDATE") != "", "ask the kernel and write the golden files anew")
	table  = flag.Bool("table", false, "print all differences of ours, listed or not, as lines of differences_test.go")
)

// A theme is the sequences of one golden file.
type theme struct {
	name      string
	sequences []sequence
}

func (h theme) file() string { return filepath.Join("testdata", h.name+".txt") }

func needKernel(t testing.TB) {
	t.Helper()
	if noKernel == "" {
		return
	}
	if v := os.Getenv("USERSOCK_MUST_RUN"); v != "" && v != "0" {
		t.Fatal("must run, but:", noKernel)
	}
	t.Skip(noKernel)
}

const goldenHead = `# What sockets of the Linux kernel answered. Written by
#     go test ./sockapi/internal/differ -update
# A line is a call, its result, and the sockets whose readiness changed since
# the line before.
`

// readGolden returns the answers of a theme's sequences.
func readGolden(t testing.TB, h theme) map[string][]entry {
	t.Helper()
	data, err := os.ReadFile(h.file())
	if err != nil {
		if *update {
			return map[string][]entry{}
		}
		t.Fatal(err)
	}
	golden := make(map[string][]entry)
	name := ""
	text := strings.TrimPrefix(strings.ReplaceAll(string(data), "\r\n", "\n"), goldenHead)
	for i, line := range strings.Split(text, "\n") {
		if line == "" {
			continue
		}
		if rest, ok := strings.CutPrefix(line, "== "); ok {
			name = rest
			golden[name] = []entry{}
			continue
		}
		e, ok := parseEntry(line)
		if !ok {
			t.Fatalf("%s: line %d of the sequences is none: %s", h.file(), i+1, line)
		}
		golden[name] = append(golden[name], e)
	}
	return golden
}

func writeGolden(t *testing.T, h theme, golden map[string][]entry) {
	t.Helper()
	var b strings.Builder
	b.WriteString(goldenHead)
	for _, q := range h.sequences {
		fmt.Fprintf(&b, "\n== %s\n", q.name)
		for _, e := range golden[q.name] {
			fmt.Fprintln(&b, e)
		}
	}
	if err := os.WriteFile(h.file(), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestKernel asks the kernel, whose answers must be those of the golden files.
func TestKernel(t *testing.T) {
	if !*update { // TestOurs reads what is written
		t.Parallel()
	}
	for _, h := range themes() {
		t.Run(h.name, func(t *testing.T) {
			needKernel(t)
			t.Parallel()
			golden := readGolden(t, h)
			r, err := newRoom()
			if err != nil {
				t.Fatal(err)
			}
			defer r.end()
			for _, q := range h.sequences {
				t.Run(shortName(h, q), func(t *testing.T) {
					want := golden[q.name]
					if *update {
						want = nil
					}
					log := playKernel(t, r, q, want)
					if !*update {
						compare(t, "golden", "kernel", want, log)
						return
					}
					// Once more: what chance decides is no golden answer.
					compare(t, "kernel first", "kernel then", log, playKernel(t, r, q, log))
					golden[q.name] = log
				})
			}
			if *update && !t.Failed() {
				writeGolden(t, h, golden)
			}
		})
	}
}

func shortName(h theme, q sequence) string { return strings.TrimPrefix(q.name, h.name+"/") }

func playKernel(t testing.TB, r *room, q sequence, want []entry) (log []entry) {
	t.Helper()
	var err error
	other := false
	r.do(func() {
		if q.truesized {
			var k sockets
			if k, err = newKernel(r); err != nil {
				return
			}
			other = otherBuffers(k)
			k.end()
		}
		if !other {
			log, err = play(q, func() (sockets, error) { return newKernel(r) }, want)
		}
	})
	if other {
		t.Skip("this kernel's buffers have other sizes")
	}
	if err != nil {
		t.Fatalf("kernel: %v\n%s", err, text(log))
	}
	return log
}

// TestOurs asks ours, whose answers must be those of the golden files but for
// the listed differences.
func TestOurs(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex // over both
	used := make(map[*difference]int)
	found := make(map[string][]string)
	t.Cleanup(func() { tellUnused(t, used, found) })
	for _, h := range themes() {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			golden := readGolden(t, h)
			for _, q := range h.sequences {
				t.Run(shortName(h, q), func(t *testing.T) {
					kernel := golden[q.name]
					if kernel == nil {
						t.Fatal("the golden file does not have it: run with -update where a kernel is")
					}
					want, listed := expected(q.name, kernel)
					log, err := play(q, func() (sockets, error) { return newOurs() }, want)
					if err != nil {
						t.Fatalf("ours: %v\n%s", err, text(log))
					}
					mu.Lock()
					defer mu.Unlock()
					if *table {
						collect(found, q.name, kernel, log)
						return
					}
					for i := range min(len(log), len(kernel)) {
						switch {
						case listed[i] == nil:
						case log[i] != kernel[i]:
							used[listed[i]]++
						case want[i].loose == "":
							t.Errorf("listed as different (%s) and is not: %s", listed[i].why, log[i])
						}
					}
					compare(t, "kernel", "ours", want, log)
				})
			}
		})
	}
}

// tellUnused reports the listed differences that no sequence had, or prints all that are there.
func tellUnused(t *testing.T, used map[*difference]int, found map[string][]string) {
	if *table {
		printTable(found)
		return
	}
	if f := flag.Lookup("test.run"); f != nil && strings.Contains(f.Value.String(), "/") {
		return // only some were played
	}
	for i := range differences {
		if used[&differences[i]] == 0 {
			t.Errorf("no sequence has the difference %+v", differences[i])
		}
	}
}

// expected is what ours has to answer: the kernel's answers with the listed
// differences in them.
func expected(name string, kernel []entry) (want []entry, listed []*difference) {
	return expectedBy(differences, name, kernel)
}

func expectedBy(differences []difference, name string, kernel []entry) (want []entry, listed []*difference) {
	want, listed = slices.Clone(kernel), make([]*difference, len(kernel))
	for i := range want {
		outcome := want[i].outcome()
		for j := range differences {
			d := &differences[j]
			if listed[i] == nil && glob(d.in, name) && glob(d.call, want[i].call) && glob(d.kernel, outcome) {
				e, _ := parseEntry(want[i].call + " -> " + d.ours)
				if strings.Contains(d.ours, "*") {
					e = entry{call: want[i].call, result: d.ours, loose: d.ours, other: outcome}
				}
				want[i], listed[i] = e, d
			}
		}
	}
	return want, listed
}

// compare reports where two records part.
func compare(t *testing.T, a, b string, want, got []entry) {
	t.Helper()
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(got):
			t.Errorf("%s ended after %d of %d steps", b, len(got), len(want))
			return
		case i >= len(want) || want[i].call != got[i].call:
			t.Errorf("step %d is new: %s (the golden file is out of date: run with -update)", i+1, got[i].call)
			return
		case !got[i].is(want[i]):
			t.Errorf("step %d of %d: %s\n\t%-8s %s\n\t%-8s %s", i+1, len(want), want[i].call, a, want[i].outcome(), b, got[i].outcome())
		}
	}
	if t.Failed() {
		t.Logf("%s:\n%s", b, text(got))
	}
}

func text(log []entry) string {
	var b strings.Builder
	for _, e := range log {
		fmt.Fprintf(&b, "\t%s\n", e)
	}
	return b.String()
}

// collect notes the differences of a record for printTable.
func collect(found map[string][]string, name string, kernel, ours []entry) {
	for i := range min(len(kernel), len(ours)) {
		if kernel[i] != ours[i] && kernel[i].call == ours[i].call {
			key := fmt.Sprintf("%q, %q, %q", kernel[i].call, kernel[i].outcome(), ours[i].outcome())
			found[key] = append(found[key], name)
		}
	}
}

func printTable(found map[string][]string) {
	var lines []string
	for key, names := range found {
		for _, n := range names {
			lines = append(lines, fmt.Sprintf("{%q, %s, \"\"},", n, key))
		}
	}
	sort.Strings(lines)
	for _, l := range lines {
		fmt.Println(l)
	}
}

// TestThemes checks that the names are unique, that the golden files hold
// nothing else, and that there are as many sequences as there have to be.
func TestThemes(t *testing.T) {
	seen := make(map[string]bool)
	for _, h := range themes() {
		for _, q := range h.sequences {
			if seen[q.name] {
				t.Errorf("two sequences have the name %s", q.name)
			}
			seen[q.name] = true
		}
		if *update {
			continue
		}
		for name := range readGolden(t, h) {
			if !seen[name] {
				t.Errorf("%s has %s, which is no sequence", h.file(), name)
			}
		}
	}
	const least = 300
	t.Logf("%d sequences", len(seen))
	if len(seen) < least {
		t.Errorf("%d sequences, and there have to be %d", len(seen), least)
	}
}
