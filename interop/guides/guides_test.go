//go:build linux

// Package guides runs the guides in docs/guides as they are written.
//
// The shell blocks of a guide are one program for bash, run in a network
// namespace of its own. The line before each block says what it is:
//
//	<!-- run -->              run, from the root of the repository
//	<!-- not run: REASON -->  only shown
//	<!-- prints -->           what the block before it prints: these lines, in this
//	                          order, others may stand between; … stands for anything
//
// A comment in the first lines says what a guide needs:
//
//	<!-- guide: as user -->   an ordinary user
//	<!-- guide: as root -->   root of the machine, and no other will do
//	<!-- guide: … needs a $B --> and the program a, and the variable B set
//
// testdata/NAME.sh, if there is one, is run before in the same shell: it stands
// for the surroundings that the guide presumes.
package guides

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	root    = "../.."
	folder  = root + "/docs/guides"
	patient = 5 * time.Minute // for one guide
)

// A guide is what a document asks to be run.
type guide struct {
	asRoot bool
	needs  []string
	steps  []step
}

// A step is one block to run and the lines that it has to print.
type step struct {
	line   int // in the document, from 1
	script string
	prints []string
}

var header = regexp.MustCompile(`(?m)^<!-- guide: as (user|root)(?:,? needs ([^>]+))? -->$`)

func parse(text string) (*guide, error) {
	g := &guide{}
	m := header.FindStringSubmatch(text)
	if m == nil {
		return nil, errors.New("no line <!-- guide: as user --> or <!-- guide: as root -->")
	}
	g.asRoot, g.needs = m[1] == "root", strings.Fields(m[2])
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		if !strings.HasPrefix(lines[i], "```") {
			continue
		}
		lang := lines[i][3:]
		end := slices.Index(lines[i+1:], "```")
		if end < 0 {
			return nil, fmt.Errorf("line %d: the block has no end", i+1)
		}
		mark := ""
		if i > 0 {
			mark = lines[i-1]
		}
		body := lines[i+1 : i+1+end]
		switch {
		case mark == "<!-- run -->":
			g.steps = append(g.steps, step{line: i + 1, script: strings.Join(body, "\n")})
		case mark == "<!-- prints -->":
			if len(g.steps) == 0 || len(g.steps[len(g.steps)-1].prints) > 0 {
				return nil, fmt.Errorf("line %d: nothing before it is run", i+1)
			}
			g.steps[len(g.steps)-1].prints = body
		case lang == "sh" && !strings.HasPrefix(mark, "<!-- not run: "):
			return nil, fmt.Errorf("line %d: the block has no mark", i+1)
		}
		i += end + 1
	}
	if len(g.steps) == 0 {
		return nil, errors.New("nothing is run")
	}
	return g, nil
}

// border stands in the output before what step i prints.
func border(i int) string { return fmt.Sprintf("-- step %d --", i) }

// program is one shell program of all steps.
func (g *guide) program(setup string) string {
	var b strings.Builder
	b.WriteString("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n")
	b.WriteString(setup)
	for i, s := range g.steps {
		fmt.Fprintf(&b, "\necho '%s'\n%s\n", border(i), s.script)
	}
	fmt.Fprintf(&b, "\necho '%s'\n", border(len(g.steps)))
	return b.String()
}

// check compares what was printed with what the guide says.
func (g *guide) check(output string) error {
	for i, s := range g.steps {
		_, out, ok := strings.Cut(output, border(i)+"\n")
		if !ok {
			return fmt.Errorf("line %d: the block was not reached", s.line)
		}
		out, _, ok = strings.Cut(out, border(i+1))
		if !ok {
			return fmt.Errorf("line %d: the block did not come to its end", s.line)
		}
		rest := strings.Split(out, "\n")
		for _, want := range s.prints {
			at := slices.IndexFunc(rest, func(have string) bool { return matches(have, want) })
			if at < 0 {
				return fmt.Errorf("line %d: it does not print %q, or not there", s.line, want)
			}
			rest = rest[at+1:]
		}
	}
	return nil
}

// matches compares a line with one in which … stands for anything.
func matches(have, want string) bool {
	parts := strings.Split(strings.TrimSpace(want), "…")
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	ok, _ := regexp.MatchString("^"+strings.Join(parts, ".*")+"$", strings.TrimSpace(have))
	return ok
}

func TestGuides(t *testing.T) {
	files, err := filepath.Glob(folder + "/*.md")
	if err != nil || len(files) == 0 {
		t.Fatal("no guides", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".md")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		g, err := parse(string(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if g.asRoot && os.Geteuid() != 0 {
			t.Logf("%s is for root alone", name)
			continue
		}
		t.Run(name, func(t *testing.T) { g.run(t, name) })
	}
}

// userNode puts the TUN node that an ordinary user may open, see package netns,
// in the place of the machine's, in the guide's own mount namespace.
const userNode = `[ -z "${USERSOCK_TUN:-}" ] || mount --bind "$USERSOCK_TUN" /dev/net/tun
`

func (g *guide) run(t *testing.T, name string) {
	for _, p := range append(g.needs, "unshare", "bash", "ip") {
		if v, ok := strings.CutPrefix(p, "$"); ok {
			if os.Getenv(v) == "" {
				skip(t, v+" is not set")
			}
			continue
		}
		if _, err := exec.LookPath(p); err != nil {
			skip(t, fmt.Sprintf("no program %s: %v", p, err))
		}
	}
	setup, err := os.ReadFile(filepath.Join("testdata", name+".sh"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	args := []string{"--net", "--mount", "--kill-child", "--fork", "--pid", "--mount-proc"}
	if !g.asRoot {
		args = append(args, "--user", "--map-root-user")
	}
	cmd := exec.CommandContext(ctx, "unshare", append(args, "bash", "-c", g.program(userNode+string(setup)))...)
	cmd.Dir = root
	cmd.Env = g.environment(t)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if cerr := g.check(out.String()); cerr != nil && err == nil {
		err = cerr
	} else if err != nil {
		err = fmt.Errorf("%w (%v)", err, cerr)
	}
	if err != nil {
		t.Fatalf("docs/guides/%s.md: %v\n%s", name, err, &out)
	}
}

// environment is that of a user who has nothing but Go, and its caches.
func (g *guide) environment(t *testing.T) []string {
	home := t.TempDir()
	if err := os.Chmod(filepath.Dir(home), 0o755); err != nil { // other users may look
		t.Fatal(err)
	}
	env := []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"}
	out, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE", "GOPROXY").Output()
	if err != nil {
		t.Fatal(err)
	}
	values := strings.Split(strings.TrimSpace(string(out)), "\n")
	for i, key := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY"} {
		env = append(env, key+"="+values[i])
	}
	if node := os.Getenv("USERSOCK_TUN"); node != "" {
		env = append(env, "USERSOCK_TUN="+node)
	}
	for _, key := range g.needs {
		if v, ok := strings.CutPrefix(key, "$"); ok {
			env = append(env, v+"="+os.Getenv(v))
		}
	}
	return append(env, "GOFLAGS=-buildvcs=false", "GOTOOLCHAIN=local")
}

func skip(t *testing.T, reason string) {
	t.Helper()
	if v := os.Getenv("USERSOCK_MUST_RUN"); v != "" && v != "0" {
		t.Fatal("must run, but:", reason)
	}
	t.Skip(reason)
}

// TestRunner: what is wrong in a guide is found.
func TestRunner(t *testing.T) {
	const ok = "<!-- guide: as user, needs bash -->\n<!-- run -->\n```sh\necho one; echo two 17 2\n```\n<!-- prints -->\n```text\ntwo …2\n```\n"
	for _, c := range []struct{ text, want string }{
		{"# nothing\n", "no line <!-- guide"},
		{"<!-- guide: as user -->\n", "nothing is run"},
		{"<!-- guide: as user -->\n```sh\nx\n```\n", "no mark"},
		{"<!-- guide: as user -->\n<!-- run -->\n```sh\nx\n", "no end"},
		{"<!-- guide: as user -->\n<!-- prints -->\n```text\nx\n```\n", "nothing before it"},
	} {
		if _, err := parse(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
	g, err := parse(ok)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("bash", "-c", g.program("")).Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.check(string(out)); err != nil {
		t.Error(err)
	}
	for _, wrong := range []string{"", "-- step 0 --\ntwo 17 2\n", "-- step 0 --\ntwo 3\n-- step 1 --\n"} {
		if g.check(wrong) == nil {
			t.Errorf("%q passes", wrong)
		}
	}
}
