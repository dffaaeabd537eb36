//go:build linux

package netns

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestMustRun runs tests of this program again, as where a namespace, the
// device or a program is missing, with and without USERSOCK_MUST_RUN.
func TestMustRun(t *testing.T) {
	if os.Getenv("NETNS_AGAIN") != "" {
		Need(t, "no-such-program")
		t.Log("went on")
		return
	}
	for _, c := range []struct {
		name string
		env  []string
		pass bool
		want []string
	}{
		{"skipped", []string{stateVar + "=no namespace: denied"}, true, []string{"--- SKIP", "no namespace: denied"}},
		{"not set", []string{stateVar + "=no namespace: denied", "USERSOCK_MUST_RUN=0"}, true, []string{"--- SKIP"}},
		{"must run", []string{stateVar + "=no namespace: denied", "USERSOCK_MUST_RUN=1"}, false, []string{"--- FAIL", "must run, but: no namespace: denied"}},
		{"no program or device", []string{stateVar + "=" + inside, "USERSOCK_MUST_RUN=1"}, false, []string{"--- FAIL", "must run, but: no "}},
	} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestMustRun$", "-test.v")
		cmd.Env = append(append(os.Environ(), "NETNS_AGAIN=1", "USERSOCK_MUST_RUN="), c.env...)
		out, err := cmd.CombinedOutput()
		if (err == nil) != c.pass {
			t.Errorf("%s: ended with %v:\n%s", c.name, err, out)
		}
		for _, want := range append(c.want, "TestMustRun") {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s: no %q in\n%s", c.name, want, out)
			}
		}
		if strings.Contains(string(out), "went on") {
			t.Errorf("%s: went on", c.name)
		}
	}
}
