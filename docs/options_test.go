package docs_test

import (
	"strings"
	"testing"
)

// TestOptionTable fails if the option table of calls.md is not the one in the
// code, which package stack keeps internal.
func TestOptionTable(t *testing.T) {
	table := goRun(t, "stack/internal/optiontable", readFile(t, "docs/testdata/optiontable.go.txt"))
	for _, row := range []string{"| `SO_REUSEADDR` |", "| `TCP_NODELAY` |", "| `IPV6_V6ONLY` |", "| stored |", "| effective |"} {
		if !strings.Contains(table, row) {
			t.Errorf("the program printed no row with %q", row)
		}
	}
	const name = "docs/calls.md"
	have := readFile(t, name)
	want, err := between(have, "options", table)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	sync(t, name, have, want)
}
