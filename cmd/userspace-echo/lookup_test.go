package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var times = regexp.MustCompile(`in [0-9.]+(µs|ms|s)\n|in 0s\n`)

// runLookup runs the program and returns what it printed, times apart.
func runLookup(t *testing.T, args string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.Background(), append([]string{"lookup"}, strings.Fields(args)...), &out, &errs)
	return times.ReplaceAllString(out.String(), "in TIME\n"), errs.String(), code
}

// TestLookup compares lookups among the demo's names with the kept text. Run it
// with USERSOCK_UPDATE=1 to write that anew.
func TestLookup(t *testing.T) {
	golden := filepath.Join("testdata", "lookup.txt")
	var b strings.Builder
	for _, c := range []struct {
		args string
		code int
	}{
		{"daring.cwi.nl", 0},
		{"www.cwi.nl.", 0},
		{"mirrors.cwi.nl", 0},
		{"-search cwi.nl,example.com daring", 0},
		{"-x 2001:db8::2", 0},
		{"-x 192.0.2.2", 0},
		{"client", 0},
		{"localhost", 0},
		{"192.0.2.7", 0},
		{"nowhere.cwi.nl", 1},
		{"ns.cwi.nl.onion", 1},
		{"-x 192.0.2.9", 1},
	} {
		stdout, stderr, code := runLookup(t, c.args)
		if code != c.code {
			t.Errorf("lookup %s: exit %d, want %d: %s", c.args, code, c.code, stderr)
		}
		b.WriteString("$ userspace-echo lookup " + c.args + "\n" + stdout + stderr + "\n")
	}
	if os.Getenv("USERSOCK_UPDATE") != "" {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got, kept := strings.Split(b.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(got), len(kept)) {
		if i >= len(got) || i >= len(kept) || got[i] != kept[i] {
			t.Fatalf("%s, line %d, is not what is printed:\n%s", golden, i+1, &b)
		}
	}
	// The guide shows one of them.
	guide, err := os.ReadFile(filepath.Join("..", "..", "docs", "getting-started.md"))
	if err != nil {
		t.Fatal(err)
	}
	const command = "go run ./cmd/userspace-echo lookup mirrors.cwi.nl\n```\n\n```text\n"
	_, block, found := strings.Cut(string(guide), command)
	block, _, _ = strings.Cut(block, "```")
	if stdout, _, _ := runLookup(t, "mirrors.cwi.nl"); !found || times.ReplaceAllString(block, "in TIME\n") != stdout {
		t.Errorf("docs/getting-started.md shows\n%s\nbut this is printed\n%s", block, stdout)
	}
}

// TestLookupJSON: the same as JSON, also of a name that does not exist.
func TestLookupJSON(t *testing.T) {
	stdout, _, code := runLookup(t, "-json www.cwi.nl")
	var r report
	d := json.NewDecoder(strings.NewReader(stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil || code != 0 {
		t.Fatalf("exit %d, %v\n%s", code, err, stdout)
	}
	if len(r.Sources) != 2 || r.Sources[0].Source != "files" || r.Sources[0].Error == "" || len(r.Sources[1].Queries) != 2 || !r.Sources[1].Last {
		t.Errorf("sources %+v", r.Sources)
	}
	if q := r.Sources[1].Queries[1]; q.Server != "192.0.2.2:53" || q.Network != "udp" || q.Type != "AAAA" || q.RCode != "NOERROR" || len(q.Answers) != 2 || q.Seconds <= 0 {
		t.Errorf("second question %+v", q)
	}
	if len(r.Addresses) != 2 || r.Addresses[0].Address != "2001:db8::2" || r.Addresses[0].Rule != 6 || r.Addresses[0].Source != "2001:db8::1" ||
		r.Addresses[1].Precedence != 35 || r.Addresses[1].Rule != 0 {
		t.Errorf("addresses %+v", r.Addresses)
	}
	if len(r.Names) != 2 || r.Names[0] != "daring.cwi.nl" || r.Names[1] != "www.cwi.nl" || r.Error != nil {
		t.Errorf("names %v, error %v", r.Names, r.Error)
	}
	stdout, stderr, code := runLookup(t, "-json nowhere.cwi.nl")
	r = report{}
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 1 || r.Error == nil || *r.Error != (errorReport{-2, "Name or service not known"}) ||
		!strings.Contains(stdout, `"addresses": []`) || !strings.Contains(stderr, "nowhere.cwi.nl: Name or service not known") {
		t.Errorf("exit %d, %v\n%s%s", code, err, stdout, stderr)
	}
}
