package docs_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

// A row is a line of one of the tables of calls.md with the four columns
// Documented, Go, File and Test. Its first cell is a documented name in
// backquotes, or plain text for what the documents do not have.
type row struct {
	line       int
	name       string // "" for what the documents do not have
	idents     []string
	files      []string
	tests      []string
	notYet     bool
	constants  bool // a row of the generated table of constants
	incomplete bool
}

// notYetMark stands in the column File of a call that does not exist.
const notYetMark = "*not yet*"

// parseRows reads the tables of calls.md, without the option table.
func parseRows(text string) (rows []row) {
	if head, rest, ok := strings.Cut(text, "<!-- BEGIN options -->"); ok {
		_, tail, _ := strings.Cut(rest, "<!-- END options -->")
		text = head + tail
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		heading := i+1 < len(lines) && strings.HasPrefix(lines[i+1], "|--")
		if !strings.HasPrefix(line, "| ") || heading {
			continue
		}
		cells := strings.Split(strings.TrimSuffix(strings.TrimPrefix(line, "|"), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		r := row{line: i + 1}
		if quoted := inBackquotes(cells[0]); len(quoted) > 0 {
			r.name = quoted[0]
		}
		switch {
		case len(cells) == 2:
			r.constants = true
		case len(cells) == 4:
			r.idents = inBackquotes(cells[1])
			r.notYet = cells[2] == notYetMark
			if !r.notYet {
				r.files, r.tests = list(cells[2]), list(cells[3])
			}
		default:
			r.incomplete = true
		}
		rows = append(rows, r)
	}
	return rows
}

func inBackquotes(cell string) (quoted []string) {
	for i, part := range strings.Split(cell, "`") {
		if i%2 == 1 {
			quoted = append(quoted, part)
		}
	}
	return quoted
}

func list(cell string) []string {
	return strings.FieldsFunc(cell, func(r rune) bool { return r == ',' || r == ' ' })
}

// parseNames reads the list of documented names, one a line.
func parseNames(text string) (names []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			names = append(names, line)
		}
	}
	return names
}

// folders are the packages that a Go name of calls.md may be qualified with;
// a name without a package is one of sockapi's.
var folders = map[string]string{
	"sockapi":  "sockapi",
	"tls":      "tls",
	"stack":    "stack",
	"endpoint": "stack/endpoint",
	"netdev":   "netdev",
	"resolver": "resolver",
	"dot":      "resolver/dot",
	"doh":      "resolver/doh",
	"testnet":  "testnet",
	"dnszone":  "testnet/dnszone",
}

// place splits a Go name into the folder of its package and the rest.
func place(ident string) (folder, name string, ok bool) {
	first, rest, dotted := strings.Cut(ident, ".")
	if dotted && first == strings.ToLower(first) {
		folder, ok = folders[first]
		return folder, rest, ok
	}
	return "sockapi", ident, ident != ""
}

// A code is what calls.md is held against.
type code struct {
	idents map[string]map[string][]string // folder → Func, Type, Const or Type.Method → files
	tests  map[string][]string            // Test, Example or Fuzz function → folders
	used   map[string]map[string]bool     // folder → identifiers in its tests
}

// readCode parses every Go file of the repository, the modules inside it
// included, whatever its build tags.
func readCode(root fs.FS) (*code, error) {
	c := &code{
		idents: map[string]map[string][]string{},
		tests:  map[string][]string{},
		used:   map[string]map[string]bool{},
	}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); name != "." && (base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		data, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, data, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		if strings.HasSuffix(name, "_test.go") {
			c.addTests(path.Dir(name), file)
		} else {
			c.addIdents(name, file)
		}
		return nil
	})
	return c, err
}

func (c *code) addTests(folder string, file *ast.File) {
	if c.used[folder] == nil {
		c.used[folder] = map[string]bool{}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			c.used[folder][id.Name] = true
		}
		return true
	})
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Recv != nil {
			continue
		}
		for _, kind := range [...]string{"Test", "Example", "Fuzz"} {
			if strings.HasPrefix(f.Name.Name, kind) {
				c.tests[f.Name.Name] = append(c.tests[f.Name.Name], folder)
			}
		}
	}
}

func (c *code) addIdents(name string, file *ast.File) {
	folder := path.Dir(name)
	if c.idents[folder] == nil {
		c.idents[folder] = map[string][]string{}
	}
	add := func(ident string) { c.idents[folder][ident] = append(c.idents[folder][ident], name) }
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				add(d.Name.Name)
			} else if of := receiver(d.Recv.List[0].Type); of != "" {
				add(of + "." + d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					add(spec.Name.Name)
				case *ast.ValueSpec:
					for _, id := range spec.Names {
						add(id.Name)
					}
				}
			}
		}
	}
}

// receiver is the name of a method's type.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	case *ast.IndexExpr:
		return receiver(e.X)
	}
	return ""
}

// checkCalls holds the rows of calls.md against the documented names and the
// code.
func checkCalls(rows []row, names []string, c *code) (bad []string) {
	seen := map[string]bool{}
	for _, r := range rows {
		if r.name != "" {
			if seen[r.name] {
				bad = append(bad, fmt.Sprintf("line %d: %s has a row already", r.line, r.name))
			}
			if !slices.Contains(names, r.name) {
				bad = append(bad, fmt.Sprintf("line %d: %s is not in names.txt", r.line, r.name))
			}
			seen[r.name] = true
		}
		for _, problem := range checkRow(r, c) {
			bad = append(bad, fmt.Sprintf("line %d: %s", r.line, problem))
		}
	}
	for i, name := range names {
		if !seen[name] {
			bad = append(bad, name+" has no row")
		}
		if slices.Contains(names[:i], name) {
			bad = append(bad, name+" is twice in names.txt")
		}
	}
	return bad
}

func checkRow(r row, c *code) (bad []string) {
	switch {
	case r.incomplete:
		return []string{"a row has the columns Documented, Go, File and Test"}
	case r.constants:
		return nil // TestConstants
	case len(r.idents) == 0:
		return []string{"no Go name"}
	case !r.notYet && (len(r.files) == 0 || len(r.tests) == 0):
		return []string{"no file or no test"}
	}
	for _, ident := range r.idents {
		folder, name, ok := place(ident)
		if !ok {
			bad = append(bad, ident+" is of an unknown package")
			continue
		}
		if r.notYet {
			if have := c.alike(folder, name); have != "" {
				bad = append(bad, fmt.Sprintf("%s is said not to exist, and %s/%s does", ident, folder, have))
			}
			continue
		}
		if !ast.IsExported(name) {
			bad = append(bad, ident+" is not exported")
		}
		if !slices.ContainsFunc(c.idents[folder][name], func(f string) bool { return slices.Contains(r.files, f) }) {
			bad = append(bad, fmt.Sprintf("%s is not declared in %s", ident, strings.Join(r.files, ", ")))
		}
		last := name[strings.LastIndex(name, ".")+1:]
		if !slices.ContainsFunc(r.tests, func(t string) bool { return c.tested(t, last) }) {
			bad = append(bad, fmt.Sprintf("%s does not occur in the tests beside %s", ident, strings.Join(r.tests, ", ")))
		}
	}
	for _, f := range r.files {
		if !slices.ContainsFunc(r.idents, func(ident string) bool {
			folder, name, _ := place(ident)
			return slices.Contains(c.idents[folder][name], f)
		}) {
			bad = append(bad, fmt.Sprintf("%s declares none of %s", f, strings.Join(r.idents, ", ")))
		}
	}
	for _, t := range r.tests {
		if len(c.tests[t]) == 0 {
			bad = append(bad, "there is no "+t)
		}
	}
	return bad
}

// tested reports whether an identifier occurs in a test file of the folder
// that a test is in.
func (c *code) tested(test, ident string) bool {
	return slices.ContainsFunc(c.tests[test], func(folder string) bool { return c.used[folder][ident] })
}

// alike finds a name whatever its case: a call that came to exist may be
// spelled otherwise than foreseen.
func (c *code) alike(folder, name string) string {
	for have := range c.idents[folder] {
		if strings.EqualFold(have, name) && ast.IsExported(have) {
			return have
		}
	}
	return ""
}

// TestCalls fails if calls.md lacks a documented call, or names what does not
// exist, or says "not yet" of what does.
func TestCalls(t *testing.T) {
	c, err := readCode(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	rows := parseRows(readFile(t, "docs/calls.md"))
	names := parseNames(readFile(t, "docs/testdata/names.txt"))
	if len(names) < 120 {
		t.Fatalf("names.txt has %d names: too few to be all", len(names))
	}
	for _, b := range checkCalls(rows, names, c) {
		t.Error("docs/calls.md: " + b)
	}
}
