//go:build linux

package interop

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"usersock/interop/netns"
)

// TestTLSProgram: userspace-echo -tls in both roles, against openssl.
func TestTLSProgram(t *testing.T) {
	netns.Need(t, "openssl", "ip", "go")
	program := filepath.Join(t.TempDir(), "userspace-echo")
	if out, err := exec.Command("go", "build", "-o", program, "usersock/cmd/userspace-echo").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ca := newAuthority(t, "root")
	shown := ca.issue("ecdsa", tlsName)
	netns.IP(t, "tuntap", "add", "mode", "tun", "dev", device)
	t.Cleanup(func() { exec.Command("ip", "link", "del", device).Run() })
	netns.Up(t, device, kernel4+"/24")
	link := []string{"-link", "tun:" + device, "-addr", ours4 + "/24", "-tls"}
	end := func(p *netns.Process) {
		p.Interrupt()
		p.Wait()
	}
	ask := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "openssl", append([]string{"s_client", "-connect", at(ours4, port), "-alpn", "echo", "-no_ign_eof"}, args...)...)
		out, err := cmd.CombinedOutput() // without input it says close_notify at once
		if err != nil {
			t.Errorf("openssl s_client %v: %v: %s", args, err, out)
		}
		return string(out)
	}

	srv := netns.Start(t, program, append([]string{"serve"}, link...)...)
	srv.Expect("Ctrl-C")
	if out := ask("-servername", "server"); !strings.Contains(out, "CN = server") || !strings.Contains(out, "ALPN protocol: echo") || !strings.Contains(out, "self-signed certificate") {
		t.Errorf("a certificate made on the spot:\n%s", out)
	}
	end(srv)
	srv = netns.Start(t, program, append(append([]string{"serve"}, link...), "-cert", shown.cert, "-key", shown.key)...)
	srv.Expect("Ctrl-C")
	ask("-CAfile", ca.file, "-verify_return_error", "-verify_hostname", tlsName)
	end(srv)

	s := netns.Start(t, "openssl", "s_server", "-accept", at(kernel4, port), "-rev", "-cert", shown.cert, "-key", shown.key)
	s.Expect("ACCEPT")
	dial := func(args ...string) (string, error) {
		all := append(append([]string{"dial"}, link...), args...)
		out, err := exec.CommandContext(t.Context(), program, append(all, kernel4, "radar\n")...).CombinedOutput()
		return string(out), err
	}
	// A palindrome: what comes back is turned round, and the same.
	if out, err := dial("-cacert", ca.file, "-servername", tlsName); err != nil || !strings.Contains(out, "TLSv1.3, TLS_") ||
		!strings.Contains(out, "0: CN="+tlsName+", issued by CN=root") || !strings.Contains(out, `Received 'radar\n'`) {
		t.Errorf("%v: %s", err, out)
	}
	const why = "Verification failed: IP address mismatch, certificate is not valid for '192.0.2.1'. (error 64 at depth 0)"
	if out, err := dial("-cacert", ca.file); err == nil || !strings.Contains(out, why) {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := dial("-cacert", ca.file, "-insecure"); err != nil || !strings.Contains(out, why) || !strings.Contains(out, `Received 'radar\n'`) {
		t.Errorf("%v: %s", err, out)
	}
}
