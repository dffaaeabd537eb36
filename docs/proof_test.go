package docs_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// The checks of this package fail when they should.

// sampleTree is a repository with one call and its test.
var sampleTree = fstest.MapFS{
	"sockapi/socket.go":      {Data: []byte("package sockapi\ntype Socket struct{}\nfunc (s *Socket) Accept() {}\nfunc hidden() {}\n")},
	"sockapi/other.go":       {Data: []byte("package sockapi\nconst AF_INET = 2\n")},
	"sockapi/socket_test.go": {Data: []byte("package sockapi\nfunc TestAccept() { new(Socket).Accept(); hidden() }\nfunc TestOther() { _ = AF_INET }\n")},
	"stack/stack_test.go":    {Data: []byte("package stack\nfunc TestStack() {}\n")},
	"sockapi/testdata/x.go":  {Data: []byte("this is no Go")},
}

const goodRow = "| `s.accept()` | `Socket.Accept` | sockapi/socket.go | TestAccept |"

func TestCheckCalls(t *testing.T) {
	c, err := readCode(sampleTree)
	if err != nil {
		t.Fatal(err)
	}
	const heading = "| Documented | Go | File | Test |\n|---|---|---|---|\n"
	for _, test := range []struct {
		name, rows, names, want string
	}{
		{"all is well", goodRow, "s.accept()", ""},
		{"not yet, and so it is", "| `s.recvmsg()` | `Socket.Recvmsg` | *not yet* | |", "s.recvmsg()", ""},
		{"a package that is not there yet", "| `ssl()` | `tls.Ssl` | *not yet* | |", "ssl()", ""},
		{"a row beyond the documents", "| Go's own | `AF_INET` | sockapi/other.go | TestOther |", "", ""},
		{"a call without a row", goodRow, "s.accept()\ns.bind()", "s.bind() has no row"},
		{"a row that is not documented", goodRow, "", "is not in names.txt"},
		{"a row twice", goodRow + "\n" + goodRow, "s.accept()", "has a row already"},
		{"a name twice", goodRow, "s.accept()\ns.accept()", "twice in names.txt"},
		{"no Go name", "| `s.accept()` | | sockapi/socket.go | TestAccept |", "s.accept()", "no Go name"},
		{"a Go name that does not exist", "| `s.accept()` | `Socket.Except` | sockapi/socket.go | TestAccept |", "s.accept()", "is not declared in"},
		{"another file", "| `s.accept()` | `Socket.Accept` | sockapi/other.go | TestAccept |", "s.accept()", "is not declared in"},
		{"a file too many", "| `s.accept()` | `Socket.Accept` | sockapi/socket.go, sockapi/other.go | TestAccept |", "s.accept()", "declares none of"},
		{"not exported", "| `s.accept()` | `hidden` | sockapi/socket.go | TestAccept |", "s.accept()", "is not exported"},
		{"an unknown package", "| `s.accept()` | `nowhere.Accept` | sockapi/socket.go | TestAccept |", "s.accept()", "unknown package"},
		{"no test", "| `s.accept()` | `Socket.Accept` | sockapi/socket.go | |", "s.accept()", "no file or no test"},
		{"a test that does not exist", "| `s.accept()` | `Socket.Accept` | sockapi/socket.go | TestNothing |", "s.accept()", "there is no TestNothing"},
		{"a test of something else", "| `s.accept()` | `Socket.Accept` | sockapi/socket.go | TestStack |", "s.accept()", "does not occur in the tests"},
		{"not yet, and it exists", "| `s.accept()` | `Socket.Accept` | *not yet* | |", "s.accept()", "is said not to exist"},
		{"not yet, and it exists in another spelling", "| `s.accept()` | `Socket.ACCEPT` | *not yet* | |", "s.accept()", "is said not to exist"},
		{"not yet, without a name to watch for", "| `s.accept()` | | *not yet* | |", "s.accept()", "no Go name"},
		{"a column too few", "| `s.accept()` | `Socket.Accept` | TestAccept |", "s.accept()", "has the columns"},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantProblem(t, checkCalls(parseRows(heading+test.rows+"\n"), parseNames(test.names), c), test.want)
		})
	}
}

// wantProblem wants one problem with a text, or none.
func wantProblem(t *testing.T, bad []string, want string) {
	t.Helper()
	if want == "" {
		if len(bad) > 0 {
			t.Errorf("%q, want no problem", bad)
		}
		return
	}
	if !slices.ContainsFunc(bad, func(b string) bool { return strings.Contains(b, want) }) {
		t.Errorf("%q, want %q", bad, want)
	}
}

func TestReadCodeFails(t *testing.T) {
	if _, err := readCode(fstest.MapFS{"a/b.go": {Data: []byte("no Go")}}); err == nil {
		t.Error("a file that is not Go was read")
	}
}

func TestCheckNumbers(t *testing.T) {
	promised, err := parseNumbers("# a comment\n\nAF_INET 2\nEAI_AGAIN -3\nNEW 7 not yet\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		have map[string]int64
		want string
	}{
		{"all is well", map[string]int64{"AF_INET": 2, "EAI_AGAIN": -3}, ""},
		{"another value", map[string]int64{"AF_INET": 3, "EAI_AGAIN": -3}, "AF_INET is 3, on Linux 2"},
		{"missing", map[string]int64{"AF_INET": 2}, "EAI_AGAIN is missing"},
		{"not yet, and it exists", map[string]int64{"AF_INET": 2, "EAI_AGAIN": -3, "NEW": 7}, "NEW is said to be missing"},
	} {
		t.Run(test.name, func(t *testing.T) { wantProblem(t, checkNumbers(promised, test.have), test.want) })
	}
	if _, err := parseNumbers("AF_INET two"); err == nil {
		t.Error("a value that is no number was read")
	}
	if table := numberTable(promised); !strings.Contains(table, "| `AF_*` | `AF_INET` |") || !strings.Contains(table, "`NEW` *not yet*") {
		t.Errorf("the table is\n%s", table)
	}
}

const sampleSource = `package docs_test

// shown is shown.
func shown() { helper() }

func helper() {}

func idle() {}

const text = 1

func Example_shown() {
	shown()
	_ = text
	// Output:
	// hello
}
`

func TestRequote(t *testing.T) {
	s, err := parseShown(sampleSource)
	if err != nil {
		t.Fatal(err)
	}
	const want = "<!-- code: shown helper -->\n```go\n// shown is shown.\nfunc shown() { helper() }\n\nfunc helper() {}\n```\n"
	for _, test := range []struct{ name, text, want, err string }{
		{"as it is", want, want, ""},
		{"out of date", "<!-- code: shown helper -->\n```go\nfunc shown()\n```\n", want, ""},
		{"output", "<!-- output: Example_shown -->\n```text\nbye\n```\n", "<!-- output: Example_shown -->\n```text\nhello\n```\n", ""},
		{"another language", "```sh\nls\n```\n", "```sh\nls\n```\n", ""},
		{"two blocks", "a\n" + want + "b\n" + want + "c\n", "a\n" + want + "b\n" + want + "c\n", ""},
		{"Go from nowhere", "```go\nx := 1\n```\n", "", "must say where it comes from"},
		{"a name that does not exist", "<!-- code: nothing -->\n```go\n```\n", "", "declares no"},
		{"code that nobody runs", "<!-- code: idle -->\n```go\n```\n", "", "no example of start_test.go runs"},
		{"an example that does not exist", "<!-- output: Example_none -->\n```text\n```\n", "", "has no example"},
		{"a block without an end", "```go\n", "", "has no end"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := requote(test.text, s)
			switch {
			case test.err == "" && (err != nil || got != test.want):
				t.Errorf("%q, %v, want %q", got, err, test.want)
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Errorf("%v, want %q", err, test.err)
			}
		})
	}
	if _, err := parseShown("no Go"); err == nil {
		t.Error("what is no Go was parsed")
	}
}

func TestProgramsAreFound(t *testing.T) {
	source, output, err := programs("<!-- program -->\n```go\npackage main\n```\nIt prints\n```text\nhello\n```\n")
	if err != nil || len(source) != 1 || source[0] != "package main\n" || output[0] != "hello\n" {
		t.Errorf("%q, %q, %v", source, output, err)
	}
	for _, text := range []string{
		"<!-- program -->\n```go\npackage main\n```\n",
		"<!-- program -->\n```sh\nls\n```\n```text\n```\n",
	} {
		if _, _, err := programs(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func TestBetween(t *testing.T) {
	got, err := between("a\n<!-- BEGIN x -->\nold\n<!-- END x -->\nb", "x", "new\n")
	if want := "a\n<!-- BEGIN x -->\nnew\n<!-- END x -->\nb"; got != want || err != nil {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	for _, text := range []string{"", "<!-- BEGIN x -->\n"} {
		if _, err := between(text, "x", ""); !errors.Is(err, errNoMark) {
			t.Errorf("%q: %v, want errNoMark", text, err)
		}
	}
}

func TestDifference(t *testing.T) {
	for _, c := range []struct{ have, want, text string }{
		{"a\nb", "a\nc", `line 2 is "b", not "c"`},
		{"a", "a\nc", "1 lines instead of 2"},
	} {
		if got := difference(c.have, c.want); got != c.text {
			t.Errorf("%q, want %q", got, c.text)
		}
	}
}

func TestCheckLinks(t *testing.T) {
	tree := fstest.MapFS{"docs/a.md": {Data: []byte("# A Title\ntext\n")}, "README.md": {Data: []byte("# Top\n")}}
	for _, c := range []struct{ text, want string }{
		{"[a](a.md) [b](a.md#a-title) [c](../README.md#top) [d](#a-title) [e](https://example.com/x.md)", ""},
		{"[a](b.md)", "the link to docs/b.md"},
		{"[a](../README.md#bottom)", "has no heading"},
		{"[a](#nothing)", "has no heading"},
	} {
		wantProblem(t, checkLinks(tree, "docs/a.md", c.text), c.want)
	}
}
