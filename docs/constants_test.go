package docs_test

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A number is a line of testdata/constants.txt: a constant that the documents
// promise, with Linux's value.
type number struct {
	name   string
	value  int64
	notYet bool
}

// parseNumbers reads "NAME VALUE" or "NAME VALUE not yet", a line each.
func parseNumbers(text string) (list []number, err error) {
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		rest, notYet := strings.CutSuffix(rest, " not yet")
		value, err := strconv.ParseInt(rest, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		list = append(list, number{name, value, notYet})
	}
	return list, lines.Err()
}

// constants returns the exported integer constants of package sockapi. Of the
// packages that it imports only endpoint's numbers are looked at.
func constants(t *testing.T) map[string]int64 {
	t.Helper()
	fset := token.NewFileSet()
	lenient := &types.Config{Error: func(error) {}, Importer: noImporter{}}
	below, _ := lenient.Check("usersock/stack/endpoint", fset, parseFolder(t, fset, "stack/endpoint"), nil)
	lenient.Importer = oneImporter{below}
	pkg, _ := lenient.Check("usersock/sockapi", fset, parseFolder(t, fset, "sockapi"), nil)
	values := make(map[string]int64)
	for _, name := range pkg.Scope().Names() {
		c, ok := pkg.Scope().Lookup(name).(*types.Const)
		if !ok || !c.Exported() {
			continue
		}
		if v, exact := constant.Int64Val(constant.ToInt(c.Val())); exact {
			values[name] = v
		}
	}
	return values
}

type noImporter struct{}

func (noImporter) Import(path string) (*types.Package, error) { return nil, os.ErrNotExist }

type oneImporter struct{ pkg *types.Package }

func (i oneImporter) Import(path string) (*types.Package, error) {
	if path == i.pkg.Path() {
		return i.pkg, nil
	}
	return nil, os.ErrNotExist
}

// parseFolder parses the files of a package that every system builds.
func parseFolder(t *testing.T, fset *token.FileSet, folder string) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(folder), "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no Go files in %s: %v", folder, err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if !constrained(file) {
			files = append(files, file)
		}
	}
	return files
}

// constrained reports whether a file has a build constraint.
func constrained(file *ast.File) bool {
	for _, group := range file.Comments {
		if group.Pos() > file.Package {
			break
		}
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, "//go:build") {
				return true
			}
		}
	}
	return false
}

// checkNumbers holds the constants of the code against the promised ones.
func checkNumbers(promised []number, have map[string]int64) (bad []string) {
	for _, p := range promised {
		value, ok := have[p.name]
		switch {
		case p.notYet && ok:
			bad = append(bad, p.name+" is said to be missing, and exists")
		case p.notYet:
		case !ok:
			bad = append(bad, p.name+" is missing")
		case value != p.value:
			bad = append(bad, fmt.Sprintf("%s is %d, on Linux %d", p.name, value, p.value))
		}
	}
	return bad
}

// numberTable writes the section of calls.md, a row for each prefix.
func numberTable(promised []number) string {
	rows := make(map[string][]string)
	for _, p := range promised {
		cell := "`" + p.name + "`"
		if p.notYet {
			cell += " " + notYetMark
		}
		rows[prefix(p.name)] = append(rows[prefix(p.name)], cell)
	}
	var table strings.Builder
	table.WriteString("| Documented | Constants |\n|---|---|\n")
	for _, p := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(&table, "| %s | %s |\n", p, strings.Join(rows[p], ", "))
	}
	return table.String()
}

func prefix(name string) string {
	if head, _, ok := strings.Cut(name, "_"); ok {
		return "`" + head + "_*`"
	}
	return "`" + name + "`"
}

// TestConstants fails if a documented constant is missing, has another value
// than on Linux, or is not listed in calls.md.
func TestConstants(t *testing.T) {
	promised, err := parseNumbers(readFile(t, "docs/testdata/constants.txt"))
	if err != nil {
		t.Fatal(err)
	}
	have := constants(t)
	if len(promised) < 150 || len(have) < 150 {
		t.Fatalf("%d constants promised, %d found: too few to be all", len(promised), len(have))
	}
	for _, b := range checkNumbers(promised, have) {
		t.Error(b)
	}
	const name = "docs/calls.md"
	text := readFile(t, name)
	want, err := between(text, "constants", numberTable(promised))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	sync(t, name, text, want)
}
