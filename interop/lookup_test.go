//go:build linux

package interop

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"usersock/interop/netns"
)

// TestLookupProgram: userspace-echo lookup asks unbound over a TUN.
func TestLookupProgram(t *testing.T) {
	netns.Need(t, "nsd", "unbound", "ip")
	program := filepath.Join(t.TempDir(), "userspace-echo")
	if out, err := exec.Command("go", "build", "-o", program, "usersock/cmd/userspace-echo").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	netns.IP(t, "tuntap", "add", "mode", "tun", "dev", device)
	t.Cleanup(func() { exec.Command("ip", "link", "del", device).Run() })
	netns.IP(t, "addr", "add", kernel4+"/24", "dev", device)
	netns.IP(t, "addr", "add", kernel6+"/64", "dev", device, "nodad")
	netns.IP(t, "link", "set", device, "up")
	p := startNSD(t, signedZone)
	p.startUnbound(t, "iterator", "")
	for _, c := range []struct {
		args string
		exit int
		want []string // in this order
	}{
		{"-dns " + kernel4 + " alias.example", 0, []string{
			"files: no such name", "dns: www.example, also ",
			kernel4 + ":53 (udp) alias.example A: NOERROR, ", "203.0.113.1, in ", kernel4 + ":53 (udp) alias.example AAAA: NOERROR, ", "2001:db8:77::1, in ",
			"1. 2001:db8:77::1, cannot be reached", "rule 6", "2. 203.0.113.1, cannot be reached", "Name: www.example"}},
		{"-dns " + kernel4 + " -route default=" + kernel4 + " www.example", 0, []string{
			"1. 203.0.113.1, from " + ours4, "rule 1", "2. 2001:db8:77::1, cannot be reached"}},
		{"-dns " + kernel6 + " -search none.example,other only", 0, []string{
			"[" + kernel6 + "]:53 (udp) only.none.example A: NXDOMAIN", "only.other A: NOERROR, 203.0.113.22", "Name: only.other"}},
		{"-dns " + kernel4 + " many.example.", 0, []string{"(udp) many.example A: ", "(tcp) many.example A: NOERROR", "Name: many.example"}},
		{"-dns " + kernel4 + " -x 203.0.113.2", 0, []string{"2.113.0.203.in-addr.arpa PTR: NOERROR, ", "Name: mail.example"}},
		{"-dns " + kernel4 + " -json www.example.", 0, []string{`"source": "dns"`, `"rcode": "NOERROR"`, `"address": "2001:db8:77::1"`}},
		{"-dns " + kernel4 + ":54 www.example.", 1, []string{"no reply", "attempt 2", "userspace-echo: www.example.: Temporary failure in name resolution"}},
		{"-dns " + kernel4 + " nowhere.example.", 1, []string{"NXDOMAIN", "userspace-echo: nowhere.example.: Name or service not known"}},
		{"-dns " + kernel4 + " text.example.", 1, []string{"no", "userspace-echo: text.example.: No address associated with hostname"}},
		{"-dns " + kernel4 + " -x 203.0.113.9", 1, []string{"NXDOMAIN", "userspace-echo: 203.0.113.9: Name or service not known"}},
	} {
		args := append([]string{"lookup", "-link", "tun:" + device, "-addr", ours4 + "/24," + ours6 + "/64"}, strings.Fields(c.args)...)
		out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
		exit := 0
		var status *exec.ExitError
		if errors.As(err, &status) {
			exit = status.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if exit != c.exit {
			t.Errorf("lookup %s: exit %d, want %d", c.args, exit, c.exit)
		}
		rest := string(out)
		for _, want := range c.want {
			_, after, found := strings.Cut(rest, want)
			if !found {
				t.Errorf("lookup %s: no %q, or not in its place:\n%s", c.args, want, out)
				break
			}
			rest = after
		}
	}
}
