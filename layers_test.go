// Package usersock_test keeps the house rules that can be read from the
// source: which package imports which, where gVisor may be named, what a public
// package may show, and that no package has state of its own.
//
// The policy is the data in this file. The rules that apply it, each with a
// test that shows it can fail, are in layers_rules_test.go. Do not change the
// data to make a build pass: it is the architecture.
package usersock_test

import (
	"os"
	"slices"
	"strings"
	"testing"
)

const module = "usersock"

// A layer is a package of this module, or with a last element of "*" all
// packages below a folder.
type layer struct {
	name    string   // import path within the module; "." is the root
	imports []string // packages of this module that it may import
	gvisor  bool     // may import gVisor
	water   bool     // may import water
}

// layers lists every package, from the bottom up: a package imports what
// stands above its own line, and of that only what it names. Tests are bound
// by the columns gvisor and water alone.
var layers = []layer{
	{name: "."},
	{name: "stack/endpoint"}, // the contract: a leaf that all may import
	{name: "internal/virtual", imports: []string{"stack/endpoint"}},
	{name: "internal/wire", imports: []string{"stack/endpoint", "internal/virtual"}, gvisor: true},
	{name: "stack/endpoint/endpointtest", imports: []string{"stack/endpoint"}},
	{name: "stack/internal/kernel", imports: []string{"stack/endpoint", "stack/endpoint/endpointtest"}},

	{name: "netdev/internal/framing"}, // formats of bytes: leaves that know no packet buffer
	{name: "netdev/internal/pcapng"},
	{name: "netdev/internal/virtio"},
	{name: "netdev", imports: []string{"stack/endpoint", "internal/virtual", "internal/wire",
		"netdev/internal/framing", "netdev/internal/pcapng", "netdev/internal/virtio"}, gvisor: true, water: true},

	{name: "stack/internal/inet", imports: []string{"stack/endpoint", "internal/virtual", "internal/wire"}, gvisor: true},
	{name: "stack/internal/unix", imports: []string{"stack/endpoint", "internal/virtual"}},
	{name: "stack/internal/netlink", imports: []string{"stack/endpoint", "internal/virtual"}},
	{name: "stack/internal/autoconf", imports: []string{"stack/endpoint"}},
	{name: "stack", imports: []string{"stack/endpoint", "internal/virtual", "internal/wire", "netdev",
		"stack/internal/inet", "stack/internal/unix", "stack/internal/netlink", "stack/internal/autoconf"}, gvisor: true},
	{name: "stack/expvarstat", imports: []string{"stack/endpoint", "stack"}}, // apart: expvar adds an HTTP handler

	{name: "resolver/internal/stream", imports: []string{"stack/endpoint"}}, // DNS over kept connections
	{name: "resolver", imports: []string{"stack/endpoint", "internal/virtual", "resolver/internal/stream"}},
	{name: "resolver/dot", imports: []string{"stack/endpoint", "internal/virtual", "resolver", "resolver/internal/stream"}},
	{name: "resolver/doh", imports: []string{"stack/endpoint", "internal/virtual", "resolver"}},

	{name: "sockapi", imports: []string{"stack/endpoint", "internal/virtual", "stack", "resolver"}},
	{name: "sockapi/internal/differ"}, // tests alone
	{name: "tls", imports: []string{"stack/endpoint", "internal/virtual", "sockapi"}},

	{name: "testnet/dnszone"},
	{name: "testnet", imports: []string{"stack/endpoint", "internal/virtual", "internal/wire",
		"netdev", "stack", "resolver", "sockapi", "testnet/dnszone"}},

	{name: "docs"},
	{name: "docs/examples"},
	{name: "cmd/*", imports: []string{"stack/endpoint", "netdev", "stack", "stack/expvarstat", "resolver", "resolver/dot", "resolver/doh",
		"sockapi", "tls", "testnet", "testnet/dnszone"}},
}

// direct is what go.mod may require directly, and nothing else.
var direct = []string{
	"github.com/insomniacslk/dhcp",
	"github.com/songgao/water",
	"golang.org/x/net",
	"golang.org/x/sys",
	"gvisor.dev/gvisor",
}

// A ban keeps library code away from functions of the standard library.
// Programs (package main) and tests are free.
type ban struct {
	why   string
	path  string
	names []string
	free  []string // files, or folders with a slash at the end, that may
}

var bans = []ban{
	{
		why:   "time comes from the endpoint.Clock that was handed in",
		path:  "time",
		names: []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"},
		free:  []string{"stack/endpoint/clock.go", "stack/endpoint/endpointtest/", "stack/internal/kernel/"},
	},
	{
		why:  "nothing is read from the host unless asked for by name",
		path: "os",
		names: []string{"Getenv", "LookupEnv", "Environ", "Hostname", "Getpid", "Getuid", "ReadFile", "ReadDir",
			"Open", "OpenFile", "Create", "Stat", "Lstat", "Readlink", "Stdin", "Stdout", "Stderr", "Args", "Exit"},
		free: []string{"netdev/", "resolver/", "stack/endpoint/endpointtest/", "stack/internal/kernel/",
			"tls/files.go"}, // the files that a program names
	},
	{
		why:  "the host's network is not ours",
		path: "net",
		names: []string{"Dial", "DialTimeout", "DialTCP", "DialUDP", "DialIP", "DialUnix", "Dialer",
			"Listen", "ListenPacket", "ListenTCP", "ListenUDP", "ListenIP", "ListenUnix", "ListenUnixgram", "ListenMulticastUDP", "ListenConfig",
			"Resolver", "DefaultResolver", "LookupHost", "LookupIP", "LookupAddr", "LookupCNAME", "LookupPort", "LookupSRV", "LookupTXT", "LookupMX", "LookupNS",
			"ResolveTCPAddr", "ResolveUDPAddr", "ResolveIPAddr", "Interfaces", "InterfaceAddrs", "InterfaceByName", "InterfaceByIndex"},
		free: []string{"netdev/"}, // the MTU of an interface that was opened by name
	},
}

// TestLayers reads every file of the module, whatever its build tags.
func TestLayers(t *testing.T) {
	tree := readTree(t, os.DirFS("."))
	report(t, checkTable(layers))
	report(t, checkImports(tree, layers))
	report(t, checkState(tree))
	report(t, checkBans(tree, bans))
}

// TestExported fails if a public package shows a type of gVisor or water in
// what it exports, on this system and on those that USERSOCK_TARGETS names
// ("windows/amd64 darwin/arm64"): compiling for them takes a while.
func TestExported(t *testing.T) {
	for _, target := range append([]string{""}, strings.Fields(os.Getenv("USERSOCK_TARGETS"))...) {
		pkgs := loadExported(t, target)
		if len(pkgs) == 0 {
			t.Fatalf("go list names no public package for target %q", target)
		}
		for _, pkg := range pkgs {
			for _, v := range checkExported(pkg, module) {
				t.Error(strings.TrimSpace(target+" "+pkg.Path()), v)
			}
		}
	}
}

// TestRequirements fails if go.mod requires anything else than what the
// architecture allows.
func TestRequirements(t *testing.T) {
	report(t, checkRequirements(readGoMod(t, "go.mod"), direct))
}

// TestLintConfig fails if the rules of depguard in .golangci.yml, which show a
// wrong import in an editor, are not those of this file. Run it with
// USERSOCK_UPDATE=1 to write them anew.
func TestLintConfig(t *testing.T) {
	const file = ".golangci.yml"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want, err := replaceBetween(string(data), "# BEGIN layers\n", "# END layers\n", depguard(layers))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if want == string(data) {
		return
	}
	if os.Getenv("USERSOCK_UPDATE") == "" {
		t.Fatalf("%s does not have the layers of layers_test.go: run USERSOCK_UPDATE=1 go test -run TestLintConfig .", file)
	}
	if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func report(t *testing.T, violations []string) {
	t.Helper()
	slices.Sort(violations)
	for _, v := range slices.Compact(violations) {
		t.Error(v)
	}
}
