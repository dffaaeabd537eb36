package usersock_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// The tests in this file show that each rule of layers_rules_test.go finds
// what it is there to find, and is silent about what is allowed.

// proofTable is a small house: base below mid below top.
var proofTable = []layer{
	{name: "base"},
	{name: "mid", imports: []string{"base"}, gvisor: true, water: true},
	{name: "top", imports: []string{"mid"}},
	{name: "cmd/*", imports: []string{"top"}},
}

func TestCheckTable(t *testing.T) {
	expect(t, checkTable(proofTable))
	up := []layer{{name: "base", imports: []string{"top"}}, {name: "top"}}
	expect(t, checkTable(up), "base may import top")
	itself := []layer{{name: "base", imports: []string{"base"}}}
	expect(t, checkTable(itself), "base may import base")
	expect(t, checkTable([]layer{{name: "top", imports: []string{"bsae"}}}), "may import bsae")
}

func TestCheckImports(t *testing.T) {
	for _, c := range []struct {
		name, file, source string
		want               []string
	}{
		{"down", "top/a.go", `package top; import "usersock/mid"`, nil},
		{"up", "base/a.go", `package base; import "usersock/top"`, []string{"base/a.go:1: base must not import top"}},
		{"past a layer", "top/a.go", `package top; import "usersock/base"`, []string{"must not import base"}},
		{"a package below an allowed one", "top/a.go", `package top; import "usersock/mid/inner"`, []string{"must not import mid/inner"}},
		{"the root", "top/a.go", `package top; import "usersock"`, []string{"the module's root"}},
		{"up, for another system", "base/a_plan9.go", "//go:build plan9\n\npackage base; import \"usersock/top\"", []string{"base must not import top"}},
		{"up, never built", "base/a.go", "//go:build ignore\n\npackage base; import \"usersock/top\"", []string{"base must not import top"}},
		{"up, by another name", "base/a.go", `package base; import x "usersock/top"`, []string{"base must not import top"}},
		{"up, in a test", "base/a_test.go", `package base_test; import "usersock/top"`, nil},
		{"a program", "cmd/x/a.go", `package main; import "usersock/top"`, nil},
		{"a program that reaches too deep", "cmd/x/a.go", `package main; import "usersock/base"`, []string{"must not import base"}},
		{"unknown package", "attic/a.go", `package attic`, []string{"attic is not in the table"}},
		{"gVisor where it may be", "mid/a.go", `package mid; import "gvisor.dev/gvisor/pkg/tcpip"`, nil},
		{"gVisor elsewhere", "top/a.go", `package top; import "gvisor.dev/gvisor/pkg/tcpip"`, []string{"must not import gVisor"}},
		{"gVisor in a test", "top/a_test.go", `package top; import _ "gvisor.dev/gvisor/pkg/tcpip"`, []string{"must not import gVisor"}},
		{"water where it may be", "mid/a.go", `package mid; import "github.com/songgao/water"`, nil},
		{"water elsewhere", "top/a_test.go", `package top; import "github.com/songgao/water"`, []string{"must not import water"}},
		{"a name like it", "top/a.go", `package top; import "github.com/songgao/waterfall"`, nil},
		{"cgo", "mid/a.go", `package mid; import "C"`, []string{"must not use cgo"}},
		{"cgo in a test", "mid/a_test.go", `package mid; import "C"`, []string{"must not use cgo"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := readTree(t, fstest.MapFS{c.file: {Data: []byte(c.source)}})
			expect(t, checkImports(tree, proofTable), c.want...)
		})
	}
}

func TestReadTree(t *testing.T) {
	tree := readTree(t, fstest.MapFS{
		"go.mod":            {Data: []byte("module m")},
		"a.go":              {Data: []byte("package m")},
		"sub/b_windows.go":  {Data: []byte("package sub")},
		"sub/testdata/c.go": {Data: []byte("not Go")},
		"other/go.mod":      {Data: []byte("module other")},
		"other/d.go":        {Data: []byte("package other")},
		".hidden/e.go":      {Data: []byte("package hidden")},
		"_attic/f.go":       {Data: []byte("package attic")},
	})
	var names []string
	for _, src := range tree {
		names = append(names, src.name)
	}
	if want := []string{"a.go", "sub/b_windows.go"}; !slices.Equal(names, want) {
		t.Errorf("read %q, want %q", names, want)
	}
}

func TestCheckState(t *testing.T) {
	for _, c := range []struct {
		name, source string
		want         []string
	}{
		{"a table", `var table = map[int]string{1: "one"}; func f() string { return table[1] }`, nil},
		{"an error", `import "errors"; var ErrGone = errors.New("gone")`, nil},
		{"a promise", `type T struct{}; var _ interface{} = (*T)(nil)`, nil},
		{"a parsed literal", `import "net/netip"; var any = netip.MustParseAddr("192.0.2.1")`, nil},
		{"a function that makes one", `import "sync"; var make1 = func() *sync.Mutex { return new(sync.Mutex) }`, nil},
		{"a table of constructors", `import "sync"; var makers = []func() *sync.Pool{}`, nil},
		{"a method named init", `type T struct{}; func (T) init() {}`, nil},
		{"init", `func init() {}`, []string{"func init"}},
		{"a pool", `import "sync"; var pool sync.Pool`, []string{"pool is of sync.Pool"}},
		{"a pool by another name", `import s "sync"; var pool = s.Pool{}`, []string{"pool is of sync.Pool"}},
		{"a pointer to a pool", `import "sync"; var pool = &sync.Pool{}`, []string{"pool is of sync.Pool"}},
		{"a map for all", `import "sync"; var m sync.Map`, []string{"m is of sync.Map"}},
		{"a struct with a lock", `import "sync"; var reg struct { mu sync.Mutex }`, []string{"reg is of sync.Mutex"}},
		{"a counter", `import "sync/atomic"; var n atomic.Int64`, []string{"n is of sync/atomic.Int64"}},
		{"once", `import "sync"; var once = sync.OnceValue(f); func f() int { return 0 }`, []string{"once is of sync.OnceValue"}},
		{"a channel", `var ch = make(chan int)`, []string{"ch is a channel"}},
		{"a default instance", `func NewNet() int { return 0 }; var Default = NewNet()`, []string{"default instance, of NewNet"}},
		{"a default instance of another package", `import "usersock/stack"; var d, err = stack.New(stack.Config{})`, []string{"default instance, of New"}},
		{"a registry", `var reg = map[string]int{}; func Register(s string) { reg[s] = 1 }`, []string{"writes package variable reg"}},
		{"a registry that shrinks", `var reg = map[string]int{}; func f() { delete(reg, "a") }`, []string{"writes package variable reg"}},
		{"a list that grows", `var list []int; func f() { list = append(list, 1) }`, []string{"writes package variable list"}},
		{"a counted call", `var n int; func f() { n++ }`, []string{"writes package variable n"}},
		{"a field", `var cfg struct{ a struct{ b int } }; func f() { cfg.a.b = 1 }`, []string{"writes package variable cfg"}},
		{"in a closure", `var n int; var f = func() { n = 1 }`, []string{"writes package variable n"}},
		{"by range", `var n int; func f() { for n = range 3 {} }`, []string{"writes package variable n"}},
		{"a local of that name", `var n int; func f() { n := 0; n++ }`, nil},
		{"a parameter of that name", `var n int; func f(n int) { n++ }`, nil},
		{"a field of that name", `type T struct{ n int }; var n int; func (t *T) f() { t.n++ }`, nil},
		{"a new variable of that name", `var n int; func f() { n := 1; _ = n }`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := []byte("package p; " + c.source)
			tree := readTree(t, fstest.MapFS{"p/a.go": {Data: data}})
			expect(t, checkState(tree), c.want...)
			expect(t, checkState(readTree(t, fstest.MapFS{"p/a_test.go": {Data: data}}))) // tests are free
		})
	}
	two := fstest.MapFS{
		"p/a.go": {Data: []byte("package p; var reg = map[int]int{}")},
		"p/b.go": {Data: []byte("package p; func f() { reg[1] = 2 }")},
		"q/c.go": {Data: []byte("package q; func f(reg map[int]int) { reg[1] = 2 }")},
	}
	expect(t, checkState(readTree(t, two)), "p/b.go:1: writes package variable reg")
}

func TestCheckBans(t *testing.T) {
	rules := []ban{{why: "ask the clock", path: "time", names: []string{"Now"}, free: []string{"clock.go", "sim/"}}}
	const use = `package p; import "time"; var _ = time.Now`
	for _, c := range []struct {
		name, file, source string
		want               []string
	}{
		{"a call", "p/a.go", use, []string{"p/a.go:1: time.Now: ask the clock"}},
		{"by another name", "p/a.go", `package p; import t "time"; var _ = t.Now()`, []string{"time.Now"}},
		{"a file that may", "clock.go", use, nil},
		{"a folder that may", "sim/x/a.go", use, nil},
		{"a folder whose name begins alike", "simple/a.go", use, []string{"time.Now"}},
		{"a test", "p/a_test.go", use, nil},
		{"a program", "p/a.go", `package main; import "time"; var _ = time.Now`, nil},
		{"another function", "p/a.go", `package p; import "time"; var _ = time.Second`, nil},
		{"a method of that name", "p/a.go", `package p; type c struct{ time interface{ Now() int } }; func (c c) f() { c.time.Now() }`, nil},
		{"a variable of that name", "p/a.go", `package p; import "time"; var _ time.Time; func f(time interface{ Now() int }) { time.Now() }`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, checkBans(readTree(t, fstest.MapFS{c.file: {Data: []byte(c.source)}}), rules), c.want...)
		})
	}
}

func TestCheckExported(t *testing.T) {
	const head = `package p; import (g "gvisor.dev/gvisor/pkg/tcpip"; "m/internal/wire"; "m/other"); var _ g.T; var _ wire.End; var _ other.Shows;`
	for _, c := range []struct {
		name, source string
		want         []string
	}{
		{"a result", `func F() g.T { return g.T{} }`, []string{"F shows gvisor.dev/gvisor/pkg/tcpip.T"}},
		{"an argument", `func F(map[string][]*g.T) {}`, []string{"F shows"}},
		{"an inferred type", `var V = g.Make()`, []string{"V shows"}},
		{"a field", `type S struct{ F g.T }`, []string{"S.F shows"}},
		{"an embedded field", `type S struct{ g.T }`, []string{"S.T shows"}},
		{"an embedded type of the package", `type inner struct{ F g.T }; type S struct{ inner }`, []string{"S.inner.F shows"}},
		{"a method", `type S struct{}; func (*S) M() chan g.T { return nil }`, []string{"S.M shows"}},
		{"a method of a result", `type s struct{}; func (*s) M(g.T) {}; func F() *s { return nil }`, []string{"F.M shows"}},
		{"an interface", `type I interface{ M(func() g.T) }`, []string{"I.M shows"}},
		{"an embedded interface", `type I interface{ g.I }`, []string{"I shows"}},
		{"a defined type", `type D []g.T`, []string{"D shows"}},
		{"an alias", `type A = g.T`, []string{"A shows"}},
		{"an alias for an internal type", `type A = wire.End`, []string{"A.Endpoint shows"}},
		{"a type argument", `type L[T any] []T; type A = L[g.T]`, []string{"A shows"}},
		{"a constraint", `type N[T g.I] struct{}`, []string{"N shows"}},
		{"an anonymous struct", `var V struct{ F g.T }`, []string{"V.F shows"}},
		{"what is not exported", `type s struct{ f g.T }; func (s) m(g.T) {}; func f(g.T) {}; type S struct{ s *s; f g.T }; func (S) m(g.T) {}; var v g.T`, nil},
		{"an internal type as it is", `type L interface{ Wire() *wire.End }`, nil},
		{"another public package's type", `func F() other.Shows { return other.Shows{} }`, nil},
		{"a type that refers to itself", `type S struct{ Next *S; F func(S) S }`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, checkExported(compile(t, "m/p", head+c.source), "m"), c.want...)
		})
	}
}

// compile type-checks one file that may import three made-up packages.
func compile(t *testing.T, name, text string) *types.Package {
	t.Helper()
	made := map[string]*types.Package{}
	check := func(name, text string) *types.Package {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, "a.go", text, 0)
		if err != nil {
			t.Fatal(err)
		}
		cfg := types.Config{Importer: importMap(made)}
		pkg, err := cfg.Check(name, fset, []*ast.File{file}, nil)
		if err != nil {
			t.Fatal(err)
		}
		made[name] = pkg
		return pkg
	}
	check("gvisor.dev/gvisor/pkg/tcpip", `package tcpip; type T struct{}; func Make() T { return T{} }; type I interface{ M() }`)
	check("m/internal/wire", `package wire; import g "gvisor.dev/gvisor/pkg/tcpip"; type End struct{ Endpoint g.T }`)
	check("m/other", `package other; import g "gvisor.dev/gvisor/pkg/tcpip"; type Shows struct{ F g.T }`)
	return check(name, text)
}

type importMap map[string]*types.Package

func (m importMap) Import(p string) (*types.Package, error) {
	if m[p] == nil {
		return nil, fmt.Errorf("no package %s", p)
	}
	return m[p], nil
}

func TestCheckRequirements(t *testing.T) {
	for _, c := range []struct {
		name, mod string
		want      []string
	}{
		{"as it must be", `{"Require": [{"Path": "a"}, {"Path": "b"}, {"Path": "c", "Indirect": true}]}`, nil},
		{"one more", `{"Require": [{"Path": "a"}, {"Path": "b"}, {"Path": "c"}]}`, []string{"requires c"}},
		{"one less", `{"Require": [{"Path": "a"}, {"Path": "b", "Indirect": true}]}`, []string{"does not require b"}},
		{"a replacement", `{"Require": [{"Path": "a"}, {"Path": "b"}], "Replace": [{"Old": {"Path": "a"}}]}`, []string{"replaces a"}},
		{"a tool", `{"Require": [{"Path": "a"}, {"Path": "b"}], "Tool": [{"Path": "b/cmd"}]}`, []string{"tool b/cmd"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m goMod
			if err := json.Unmarshal([]byte(c.mod), &m); err != nil {
				t.Fatal(err)
			}
			expect(t, checkRequirements(m, []string{"a", "b"}), c.want...)
		})
	}
}

func TestReplaceBetween(t *testing.T) {
	got, err := replaceBetween("a\n  # B\nold\n  # E\nz\n", "# B\n", "# E\n", "new\n")
	if want := "a\n  # B\nnew\n  # E\nz\n"; got != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	for _, text := range []string{"", "# B\n", "# E\n# B\n"} {
		if got, err := replaceBetween(text, "# B\n", "# E\n", "new\n"); err == nil {
			t.Errorf("%q: got %q, want an error", text, got)
		}
	}
}

// expect fails unless there is one violation for each text, and it has that
// text in it.
func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("got %d violations %q, want %d with %q", len(got), got, len(want), want)
		return
	}
	for i, w := range want {
		if !strings.Contains(got[i], w) {
			t.Errorf("violation %q, want one with %q", got[i], w)
		}
	}
}
