package docs_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

// Fenced blocks of Markdown, and how they are kept true. The line before a
// block of Go says where it comes from:
//
//	<!-- code: newHost fetch -->   declarations of start_test.go, word for word
//	<!-- program -->               a whole program, which is run; the block
//	                               after it is what it prints
//
// A block of text after <!-- output: Example_http --> is what that example
// prints. A block of Go without such a line is an error.

// documents are the files with Go code in them.
var documents = []string{"README.md", "docs/getting-started.md", "docs/calls.md", "docs/deviations.md", "CHANGELOG.md"}

// A block is one fenced block.
type block struct {
	line       int    // of the opening fence, from 0
	mark       string // the comment on the line before, without its frame
	lang, text string
}

// blocks finds the fenced blocks of a document.
func blocks(text string) (list []block, err error) {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		lang, ok := strings.CutPrefix(lines[i], "```")
		if !ok {
			continue
		}
		b := block{line: i, lang: lang}
		if i > 0 && strings.HasPrefix(lines[i-1], "<!-- ") && strings.HasSuffix(lines[i-1], " -->") {
			b.mark = strings.TrimSuffix(strings.TrimPrefix(lines[i-1], "<!-- "), " -->")
		}
		end := slices.Index(lines[i+1:], "```")
		if end < 0 {
			return nil, fmt.Errorf("line %d: the block has no end", i+1)
		}
		body := lines[i+1 : i+1+end]
		b.text = strings.Join(append(slices.Clone(body), ""), "\n")
		i += end + 1
		list = append(list, b)
	}
	return list, nil
}

// shown is the source that documents quote from.
type shown struct {
	decls    map[string]string   // text by name
	uses     map[string][]string // names that a declaration mentions
	examples map[string]string   // output by name
}

func parseShown(source string) (*shown, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "start_test.go", source, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	s := &shown{decls: map[string]string{}, uses: map[string][]string{}, examples: map[string]string{}}
	for _, d := range file.Decls {
		from, name := d.Pos(), ""
		switch d := d.(type) {
		case *ast.FuncDecl:
			name = d.Name.Name
			if d.Doc != nil {
				from = d.Doc.Pos()
			}
		case *ast.GenDecl:
			v, ok := d.Specs[0].(*ast.ValueSpec)
			if !ok {
				continue
			}
			name = v.Names[0].Name
			if d.Doc != nil {
				from = d.Doc.Pos()
			}
		}
		s.decls[name] = source[fset.Position(from).Offset:fset.Position(d.End()).Offset] + "\n"
		ast.Inspect(d, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && id.Name != name {
				s.uses[name] = append(s.uses[name], id.Name)
			}
			return true
		})
	}
	for _, e := range doc.Examples(file) {
		if e.Output != "" {
			s.examples["Example"+e.Name] = e.Output
		}
	}
	return s, nil
}

// run reports whether an example with an output runs a declaration.
func (s *shown) run(name string) bool {
	seen := map[string]bool{}
	var reach func(from string)
	reach = func(from string) {
		if seen[from] {
			return
		}
		seen[from] = true
		for _, next := range s.uses[from] {
			reach(next)
		}
	}
	for e := range s.examples {
		reach(e)
	}
	return seen[name]
}

// quote returns what a block with a mark has to say; ok is false if the mark
// says nothing about its text.
func (s *shown) quote(b block) (text string, ok bool, err error) {
	kind, names, _ := strings.Cut(b.mark, ": ")
	switch {
	case kind == "code" && b.lang == "go":
		var parts []string
		for _, name := range strings.Fields(names) {
			if s.decls[name] == "" {
				return "", false, fmt.Errorf("start_test.go declares no %q", name)
			}
			if !s.run(name) {
				return "", false, fmt.Errorf("no example of start_test.go runs %q", name)
			}
			parts = append(parts, s.decls[name])
		}
		return strings.Join(parts, "\n"), true, nil
	case kind == "output" && b.lang == "text":
		if s.examples[names] == "" {
			return "", false, fmt.Errorf("start_test.go has no example %q with an output", names)
		}
		return s.examples[names], true, nil
	case b.lang == "go" && b.mark != "program":
		return "", false, fmt.Errorf("the line before a block of Go must say where it comes from; it says %q", b.mark)
	}
	return "", false, nil
}

// requote returns a document with its quoted blocks replaced by what they
// have to say.
func requote(text string, s *shown) (string, error) {
	list, err := blocks(text)
	if err != nil {
		return "", err
	}
	lines := strings.Split(text, "\n")
	slices.SortFunc(list, func(a, b block) int { return cmp.Compare(b.line, a.line) }) // from the end
	for _, b := range list {
		want, ok, err := s.quote(b)
		if err != nil {
			return "", fmt.Errorf("line %d: %w", b.line+1, err)
		}
		if ok {
			end := b.line + 1 + strings.Count(b.text, "\n")
			lines = slices.Replace(lines, b.line+1, end, strings.Split(strings.TrimSuffix(want, "\n"), "\n")...)
		}
	}
	return strings.Join(lines, "\n"), nil
}

// programs returns the whole programs of a document and what each prints.
func programs(text string) (source, output []string, err error) {
	list, err := blocks(text)
	for i, b := range list {
		if b.mark != "program" {
			continue
		}
		if b.lang != "go" || i+1 == len(list) || list[i+1].lang != "text" || list[i+1].mark != "" {
			return nil, nil, fmt.Errorf("line %d: a program must be a block of Go with a block of text after it", b.line+1)
		}
		source = append(source, b.text)
		output = append(output, list[i+1].text)
	}
	return source, output, err
}

// links returns the targets of the links of a document that lead to another
// file of the repository, as paths from its root, with their anchors.
func links(name, text string) (targets []string) {
	for _, part := range strings.Split(text, "](")[1:] {
		target, _, ok := strings.Cut(part, ")")
		if !ok || strings.Contains(target, "://") {
			continue
		}
		file, anchor, _ := strings.Cut(target, "#")
		if file == "" {
			file = path.Base(name)
		}
		targets = append(targets, path.Join(path.Dir(name), file)+"#"+anchor)
	}
	return targets
}

// anchors returns the anchors of a document's headings.
func anchors(text string) (list []string) {
	for line := range strings.Lines(text) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && line[0] == '#' {
			list = append(list, strings.ReplaceAll(strings.ToLower(strings.TrimSpace(title)), " ", "-"))
		}
	}
	return list
}

// checkLinks returns the links that lead nowhere.
func checkLinks(root fs.FS, name, text string) (bad []string) {
	for _, target := range links(name, text) {
		file, anchor, _ := strings.Cut(target, "#")
		data, err := fs.ReadFile(root, file)
		switch {
		case err != nil:
			bad = append(bad, fmt.Sprintf("the link to %s: %v", file, err))
		case anchor != "" && !slices.Contains(anchors(string(data)), anchor):
			bad = append(bad, fmt.Sprintf("%s has no heading %q", file, anchor))
		}
	}
	return bad
}

// TestLinks fails if a link between documents leads nowhere.
func TestLinks(t *testing.T) {
	for _, name := range documents {
		for _, b := range checkLinks(os.DirFS(root), name, readFile(t, name)) {
			t.Errorf("%s: %s", name, b)
		}
	}
}

// TestBlocks fails if Go code or output in a document is not that of
// start_test.go, whose examples run with this test.
func TestBlocks(t *testing.T) {
	s, err := parseShown(readFile(t, "docs/start_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range documents {
		have := readFile(t, name)
		want, err := requote(have, s)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		sync(t, name, have, want)
	}
}

// TestPrograms runs the whole programs of the documents.
func TestPrograms(t *testing.T) {
	ran := 0
	for _, name := range documents {
		source, output, err := programs(readFile(t, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for i := range source {
			ran++
			if got := goRun(t, "docs/program", source[i]); got != output[i] {
				t.Errorf("%s, program %d printed\n%swant\n%s", name, i+1, got, output[i])
			}
		}
	}
	if ran < 2 {
		t.Errorf("%d programs: README.md and getting-started.md have one each", ran)
	}
}
