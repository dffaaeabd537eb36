// Package tools pins the programs that check this project, in a module of
// their own so that who imports the library does not get their requirements.
//
// They are named by the tool directives of go.mod. A tool works on the module
// of the folder it runs in, so build it here and run it there:
//
//	go -C tools build -o "$DIR" honnef.co/go/tools/cmd/staticcheck golang.org/x/perf/cmd/benchstat
//	"$DIR"/staticcheck ./...
//	"$DIR"/benchstat old.txt new.txt
//
// `go tool -modfile=tools/go.mod staticcheck ./...` does the same in one step
// from the root of any of the modules.
package tools
