package usersock_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A source is one Go file of the module.
type source struct {
	name string // its path within the module
	pkg  string // the import path of its folder within the module; "." is the root
	test bool
	fset *token.FileSet
	file *ast.File
}

func (s source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.name, s.fset.Position(n.Pos()).Line)
}

// readTree parses every Go file below the root, whatever its build tags,
// without modules inside and without testdata.
func readTree(t *testing.T, root fs.FS) []source {
	t.Helper()
	var tree []source
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			base := d.Name()
			if name != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "vendor") {
				return fs.SkipDir
			}
			if _, err := fs.Stat(root, path.Join(name, "go.mod")); err == nil && name != "." {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" || strings.HasPrefix(d.Name(), "_") || strings.HasPrefix(d.Name(), ".") {
			return nil
		}
		data, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, data, parser.ParseComments)
		if err != nil {
			return err
		}
		tree = append(tree, source{name, path.Dir(name), strings.HasSuffix(name, "_test.go"), fset, file})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(tree) == 0 {
		t.Fatal("found no Go file")
	}
	return tree
}

// find returns the layer of a package.
func find(table []layer, pkg string) (layer, bool) {
	for _, l := range table {
		folder, any := strings.CutSuffix(l.name, "/*")
		if l.name == pkg || any && strings.HasPrefix(pkg, folder+"/") {
			return l, true
		}
	}
	return layer{}, false
}

// checkTable fails where the table itself points up.
func checkTable(table []layer) (bad []string) {
	for i, l := range table {
		for _, imp := range l.imports {
			below := slices.ContainsFunc(table[:i], func(b layer) bool { return b.name == imp })
			if !below {
				bad = append(bad, fmt.Sprintf("layers: %s may import %s, which does not stand below it", l.name, imp))
			}
		}
	}
	return bad
}

// checkImports holds every import against the table.
func checkImports(tree []source, table []layer) (bad []string) {
	for _, src := range tree {
		from, known := find(table, src.pkg)
		if !known {
			bad = append(bad, fmt.Sprintf("%s: package %s is not in the table of layers", src.name, src.pkg))
			continue
		}
		for _, spec := range src.file.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				bad = append(bad, fmt.Sprintf("%s: %v", src.at(spec), err))
				continue
			}
			if why := refuse(from, src, imp); why != "" {
				bad = append(bad, fmt.Sprintf("%s: %s %s", src.at(spec), src.pkg, why))
			}
		}
	}
	return bad
}

// refuse says why a file must not import a package, "" if it may.
func refuse(from layer, src source, imp string) string {
	inModule, ours := strings.CutPrefix(imp, module+"/")
	switch {
	case imp == "C":
		return "must not use cgo"
	case within(imp, "gvisor.dev/gvisor"):
		if !from.gvisor {
			return "must not import gVisor"
		}
	case within(imp, "github.com/songgao/water"):
		if !from.water {
			return "must not import water"
		}
	case imp == module:
		return "must not import the module's root"
	case ours && !src.test && !slices.Contains(from.imports, inModule):
		return "must not import " + inModule
	}
	return ""
}

func within(imp, root string) bool { return imp == root || strings.HasPrefix(imp, root+"/") }

// checkState finds what makes a package have state: init functions, variables
// that a function writes, and variables that exist in order to change or that
// are a default instance of something.
func checkState(tree []source) (bad []string) {
	vars := map[string]map[string]bool{} // by package: its variables
	for _, src := range tree {
		if src.test {
			continue
		}
		for _, decl := range src.file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.Name == "init" {
					bad = append(bad, src.at(d)+": func init")
				}
			case *ast.GenDecl:
				if d.Tok != token.VAR {
					continue
				}
				for _, spec := range d.Specs {
					v := spec.(*ast.ValueSpec)
					for _, name := range v.Names {
						if name.Name == "_" {
							continue
						}
						if vars[src.pkg] == nil {
							vars[src.pkg] = map[string]bool{}
						}
						vars[src.pkg][name.Name] = true
					}
					if why := changeable(src, v); why != "" {
						bad = append(bad, fmt.Sprintf("%s: package variable %s %s", src.at(v), v.Names[0].Name, why))
					}
				}
			}
		}
	}
	for _, src := range tree {
		if !src.test {
			bad = append(bad, writes(src, vars[src.pkg])...)
		}
	}
	return bad
}

// changeable says why a package variable can only be state, by the types and
// functions that its declaration names.
func changeable(src source, v *ast.ValueSpec) (why string) {
	look := func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit, *ast.FuncType:
			return false // what runs later, or never
		case *ast.ChanType:
			why = "is a channel"
		case *ast.SelectorExpr:
			if p := imported(src, n.X); p == "sync" || p == "sync/atomic" {
				why = "is of " + p + "." + n.Sel.Name
			}
		case *ast.CallExpr:
			name, from := called(src, n.Fun)
			instance := strings.HasPrefix(name, "New") || strings.HasPrefix(name, "Open")
			if instance && from != "errors" && from != "strings" && from != "math/big" {
				why = "is a default instance, of " + name
			}
		}
		return true
	}
	if v.Type != nil {
		ast.Inspect(v.Type, look)
	}
	for _, value := range v.Values {
		ast.Inspect(value, look)
	}
	return why
}

func called(src source, fun ast.Expr) (name, from string) {
	switch f := fun.(type) {
	case *ast.Ident:
		return f.Name, ""
	case *ast.SelectorExpr:
		return f.Sel.Name, imported(src, f.X)
	}
	return "", ""
}

// imported returns the path of the package that x names in src, "" if it
// names none.
func imported(src source, x ast.Expr) string {
	id, ok := x.(*ast.Ident)
	if !ok || id.Obj != nil { // declared in the file: not an import
		return ""
	}
	for _, spec := range src.file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		name := path.Base(p)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if name == id.Name {
			return p
		}
	}
	return ""
}

// writes finds the places where a function of src writes one of its package's
// variables, or an element or field of one.
func writes(src source, vars map[string]bool) (bad []string) {
	written := func(x ast.Expr) {
		id := base(x)
		if id == nil || !vars[id.Name] {
			return
		}
		// The parser resolves names within a file: what it declares itself
		// must be the package variable, and not a local one of that name.
		if id.Obj != nil && src.file.Scope.Lookup(id.Name) != id.Obj {
			return
		}
		bad = append(bad, fmt.Sprintf("%s: writes package variable %s", src.at(x), id.Name))
	}
	ast.Inspect(src.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, x := range n.Lhs {
					written(x)
				}
			}
		case *ast.IncDecStmt:
			written(n.X)
		case *ast.SendStmt:
			written(n.Chan)
		case *ast.RangeStmt:
			if n.Tok == token.ASSIGN {
				written(n.Key)
				written(n.Value)
			}
		case *ast.CallExpr:
			name, from := called(src, n.Fun)
			builtin := from == "" && (name == "delete" || name == "clear" || name == "copy")
			if _, plain := n.Fun.(*ast.Ident); len(n.Args) > 0 && (builtin && plain || from == "maps" && name == "Copy") {
				written(n.Args[0])
			}
		}
		return true
	})
	return bad
}

// base returns the variable that x is, or is a part of.
func base(x ast.Expr) *ast.Ident {
	for {
		switch e := x.(type) {
		case *ast.Ident:
			return e
		case *ast.IndexExpr:
			x = e.X
		case *ast.SliceExpr:
			x = e.X
		case *ast.SelectorExpr:
			x = e.X
		case *ast.StarExpr:
			x = e.X
		case *ast.ParenExpr:
			x = e.X
		default:
			return nil
		}
	}
}

// checkBans finds uses of the standard library that library code must not
// make.
func checkBans(tree []source, bans []ban) (bad []string) {
	for _, src := range tree {
		if src.test || src.file.Name.Name == "main" {
			continue
		}
		ast.Inspect(src.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			from := imported(src, sel.X)
			for _, b := range bans {
				if from == b.path && slices.Contains(b.names, sel.Sel.Name) && !free(b, src.name) {
					bad = append(bad, fmt.Sprintf("%s: %s.%s: %s", src.at(sel), from, sel.Sel.Name, b.why))
				}
			}
			return true
		})
	}
	return bad
}

func free(b ban, file string) bool {
	return slices.ContainsFunc(b.free, func(f string) bool {
		return f == file || strings.HasSuffix(f, "/") && strings.HasPrefix(file, f)
	})
}

// loadExported type-checks the public packages for a target, "" being this
// system, from what the compiler exported.
func loadExported(t *testing.T, target string) []*types.Package {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Export,Name", "./...")
	if goos, goarch, ok := strings.Cut(target, "/"); ok {
		cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, &stderr)
	}
	files := map[string]string{}
	var public []string
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct{ ImportPath, Export, Name string }
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v: %v", cmd, err)
		}
		files[p.ImportPath] = p.Export
		if within(p.ImportPath, module) && p.Name != "main" && p.Export != "" && !internal(p.ImportPath) {
			public = append(public, p.ImportPath)
		}
	}
	from := importer.ForCompiler(token.NewFileSet(), "gc", func(p string) (io.ReadCloser, error) {
		if files[p] == "" {
			return nil, fmt.Errorf("no export data for %s", p)
		}
		return os.Open(files[p])
	})
	var pkgs []*types.Package
	for _, p := range public {
		pkg, err := from.Import(p)
		if err != nil {
			t.Fatalf("import %s: %v", p, err)
		}
		pkgs = append(pkgs, pkg)
	}
	return pkgs
}

func internal(p string) bool { return slices.Contains(strings.Split(p, "/"), "internal") }

// checkExported finds types of gVisor and water in what a package exports.
// It looks into the package's own types, and into types of internal packages
// that an exported alias makes its own, but stops where another package of
// the module begins: that one answers for itself, and what netdev hands to
// stack is a type of internal/wire.
func checkExported(pkg *types.Package, module string) (bad []string) {
	e := exportChecker{pkg: pkg, module: module, seen: map[types.Type]bool{}}
	for _, types := range []bool{true, false} { // a type is blamed under its own name
		for _, name := range pkg.Scope().Names() {
			obj := pkg.Scope().Lookup(name)
			if obj.Exported() && isType(obj) == types {
				e.look(obj.Type(), name)
			}
		}
	}
	slices.Sort(e.bad)
	return slices.Compact(e.bad)
}

func isType(obj types.Object) bool { _, ok := obj.(*types.TypeName); return ok }

type exportChecker struct {
	pkg    *types.Package
	module string
	seen   map[types.Type]bool
	bad    []string
}

// look walks a type; where is how a reader comes to it.
func (e *exportChecker) look(t types.Type, where string) {
	if t == nil || e.seen[t] {
		return
	}
	switch t := t.(type) {
	case *types.Alias:
		e.foreign(t.Obj(), where)
		if rhs, ok := types.Unalias(t).(*types.Named); ok && rhs.Obj().Pkg() != nil && internal(rhs.Obj().Pkg().Path()) &&
			within(rhs.Obj().Pkg().Path(), e.module) && t.Obj().Pkg() == e.pkg {
			e.named(rhs, where)
			return
		}
		e.look(t.Rhs(), where)
	case *types.Named:
		for i := range t.TypeArgs().Len() {
			e.look(t.TypeArgs().At(i), where)
		}
		e.foreign(t.Obj(), where)
		if t.Obj().Pkg() == e.pkg {
			e.named(t, where)
		}
	case *types.Pointer:
		e.look(t.Elem(), where)
	case *types.Slice:
		e.look(t.Elem(), where)
	case *types.Array:
		e.look(t.Elem(), where)
	case *types.Chan:
		e.look(t.Elem(), where)
	case *types.Map:
		e.look(t.Key(), where)
		e.look(t.Elem(), where)
	case *types.Tuple:
		for i := range t.Len() {
			e.look(t.At(i).Type(), where)
		}
	case *types.Signature:
		for i := range t.TypeParams().Len() {
			e.look(t.TypeParams().At(i).Constraint(), where)
		}
		e.look(t.Params(), where)
		e.look(t.Results(), where)
	case *types.Struct:
		for i := range t.NumFields() {
			if f := t.Field(i); f.Exported() || f.Embedded() {
				e.look(f.Type(), where+"."+f.Name())
			}
		}
	case *types.Interface:
		for i := range t.NumEmbeddeds() {
			e.look(t.EmbeddedType(i), where)
		}
		for i := range t.NumExplicitMethods() {
			if m := t.ExplicitMethod(i); m.Exported() {
				e.look(m.Type(), where+"."+m.Name())
			}
		}
	case *types.Union:
		for i := range t.Len() {
			e.look(t.Term(i).Type(), where)
		}
	}
}

// named walks what a named type of this package shows.
func (e *exportChecker) named(t *types.Named, where string) {
	if e.seen[t] {
		return
	}
	e.seen[t] = true
	for i := range t.TypeParams().Len() {
		e.look(t.TypeParams().At(i).Constraint(), where)
	}
	e.look(t.Underlying(), where)
	for i := range t.NumMethods() {
		if m := t.Method(i); m.Exported() {
			e.look(m.Type(), where+"."+m.Name())
		}
	}
}

func (e *exportChecker) foreign(obj *types.TypeName, where string) {
	if obj.Pkg() == nil {
		return
	}
	if p := obj.Pkg().Path(); within(p, "gvisor.dev/gvisor") || within(p, "github.com/songgao/water") {
		e.bad = append(e.bad, fmt.Sprintf("%s shows %s.%s", where, p, obj.Name()))
	}
}

// goMod is what `go mod edit -json` prints, as far as we look at it.
type goMod struct {
	Require []struct {
		Path     string
		Indirect bool
	}
	Replace []struct{ Old struct{ Path string } }
	Tool    []struct{ Path string }
}

func readGoMod(t *testing.T, file string) (m goMod) {
	t.Helper()
	out, err := exec.Command("go", "mod", "edit", "-json", file).Output()
	if err != nil {
		t.Fatalf("go mod edit -json %s: %v", file, err)
	}
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func checkRequirements(m goMod, direct []string) (bad []string) {
	var have []string
	for _, r := range m.Require {
		if !r.Indirect {
			have = append(have, r.Path)
			if !slices.Contains(direct, r.Path) {
				bad = append(bad, "go.mod requires "+r.Path)
			}
		}
	}
	for _, d := range direct {
		if !slices.Contains(have, d) {
			bad = append(bad, "go.mod does not require "+d+" directly")
		}
	}
	for _, r := range m.Replace {
		bad = append(bad, "go.mod replaces "+r.Old.Path+": whoever imports this module would not get that")
	}
	for _, tool := range m.Tool {
		bad = append(bad, "go.mod has the tool "+tool.Path+": it belongs into module tools")
	}
	return bad
}

// depguard renders the layers as rules of golangci-lint's depguard.
func depguard(table []layer) string {
	var b strings.Builder
	for _, l := range table {
		if l.name == "." || strings.HasSuffix(l.name, "/*") {
			continue
		}
		fmt.Fprintf(&b, "        %s:\n          list-mode: lax\n          files: [\"**/%s/*.go\", \"!$test\"]\n          allow:\n",
			strings.ReplaceAll(l.name, "/", "-"), l.name)
		for _, imp := range l.imports {
			fmt.Fprintf(&b, "            - %s/%s$\n", module, imp)
		}
		if len(l.imports) == 0 {
			b.WriteString("            - $gostd\n")
		}
		fmt.Fprintf(&b, "          deny:\n            - {pkg: %s/, desc: \"not a layer below %s\"}\n", module, l.name)
	}
	for _, p := range []struct {
		name, path string
		may        func(layer) bool
	}{
		{"gvisor", "gvisor.dev/gvisor", func(l layer) bool { return l.gvisor }},
		{"water", "github.com/songgao/water", func(l layer) bool { return l.water }},
	} {
		fmt.Fprintf(&b, "        %s:\n          files:\n            - $all\n", p.name)
		for _, l := range table {
			if p.may(l) {
				fmt.Fprintf(&b, "            - \"!**/%s/*.go\"\n", l.name)
			}
		}
		fmt.Fprintf(&b, "          deny:\n            - {pkg: %s, desc: \"only these packages may know %s\"}\n", p.path, p.name)
	}
	return b.String()
}

// replaceBetween puts body between the first begin and the end after it.
func replaceBetween(text, begin, end, body string) (string, error) {
	head, rest, ok := strings.Cut(text, begin)
	if !ok {
		return "", fmt.Errorf("no line %q", begin)
	}
	i := strings.Index(rest, end)
	if i < 0 {
		return "", fmt.Errorf("no line %q after %q", end, begin)
	}
	// The marker may be indented.
	if nl := strings.LastIndexByte(rest[:i], '\n'); nl >= 0 {
		i = cmp.Or(nl+1, i)
	} else {
		i = 0
	}
	return head + begin + body + rest[i:], nil
}
