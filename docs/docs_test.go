// Package docs_test keeps the documents true.
//
//	calls_test.go       calls.md names every documented call, and what it names exists
//	constants_test.go   the constants of calls.md have Linux's numbers; those
//	                    that python3 and the C headers have agree with them
//	                    (constants_system_test.go)
//	options_test.go     the option table of calls.md is the one in the code
//	blocks_test.go      the Go code in README.md and in this folder compiles,
//	                    runs, and prints what is written below it
//	start_test.go       the code that getting-started.md shows
//	uncovered_test.go   calls that no other test of the project makes; those
//	                    about names are in uncovered_names_test.go
//	deviations_test.go  rows of deviations.md that can be tried
//	proof_test.go       each check above can fail
//
// Parts of the documents are written by these tests. After a change run
//
//	USERSOCK_UPDATE=1 go test ./docs
//
// and read the difference. No test reads anything outside the repository,
// but for the constants that the machine's python3 and C headers are asked for.
package docs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// root is the module's folder, as tests of this package see it.
const root = ".."

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(data), "\r\n", "\n")
}

// sync fails if a document does not hold want, or writes it when
// USERSOCK_UPDATE is set.
func sync(t *testing.T, name, have, want string) {
	t.Helper()
	if have == want {
		return
	}
	if os.Getenv("USERSOCK_UPDATE") == "" {
		t.Errorf("%s is out of date (%s): run USERSOCK_UPDATE=1 go test ./docs", name, difference(have, want))
		return
	}
	if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(name)), []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// difference names the first line that differs.
func difference(have, want string) string {
	h, w := strings.Split(have, "\n"), strings.Split(want, "\n")
	for i := range min(len(h), len(w)) {
		if h[i] != w[i] {
			return fmt.Sprintf("line %d is %q, not %q", i+1, h[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines instead of %d", len(h), len(w))
}

// errNoMark says that a document lacks the place for a generated part.
var errNoMark = errors.New("no such mark")

// between replaces what stands between the marks of a generated part.
func between(text, name, part string) (string, error) {
	begin, end := "<!-- BEGIN "+name+" -->\n", "<!-- END "+name+" -->"
	head, rest, ok := strings.Cut(text, begin)
	if !ok {
		return "", fmt.Errorf("%q: %w", strings.TrimSpace(begin), errNoMark)
	}
	_, tail, ok := strings.Cut(rest, end)
	if !ok {
		return "", fmt.Errorf("%q: %w", end, errNoMark)
	}
	return head + begin + part + end + tail, nil
}

// goRun runs a program as if it stood in a folder of the module, without
// putting it there, and returns what it prints.
func goRun(t *testing.T, folder, source string) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("the go command is needed to run a program:", err)
	}
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "main.go")
	if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{
		"Replace": map[string]string{filepath.Join(top, filepath.FromSlash(folder), "main.go"): file},
	})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "run", "-overlay", list, "./"+folder)
	cmd.Dir = top
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go run: %v\n%s%s", err, out, complaints.String())
	}
	return string(out)
}
