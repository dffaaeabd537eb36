//go:build linux

package interop

import (
	"context"
	gotls "crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"usersock/interop/netns"
	"usersock/sockapi"
	"usersock/tls"
)

// TestTLSCurl: curl with and without the authority and a certificate of its own,
// HTTP/1.1 over our connections and HTTP/2 over crypto/tls with our context.
func TestTLSCurl(t *testing.T) {
	netns.Need(t, "curl", "ip")
	ca, n := newAuthority(t, "root"), host(t, "tun")
	shown, own := ca.issue("ecdsa", tlsName), ca.issue("rsa", "client.example")
	ctx, h2 := ca.server(t, shown), ca.server(t, shown)
	check(t, h2.SetAlpnProtocols("h2", "http/1.1"))
	cfg, err := h2.Config("")
	check(t, err)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %v", r.Proto, len(r.TLS.PeerCertificates) > 0)
	})
	for at, wrapped := range map[string]func(net.Listener) net.Listener{
		":443": ctx.NewListener,
		":444": func(l net.Listener) net.Listener { return gotls.NewListener(l, cfg) },
	} {
		srv := &http.Server{Handler: handler}
		l, err := n.Listen("tcp", ours4+at)
		check(t, err)
		go srv.Serve(wrapped(l))
		t.Cleanup(func() { srv.Close() })
	}
	curl := func(port string, args ...string) (string, error) {
		url := "https://" + tlsName + ":" + port + "/"
		out, err := exec.CommandContext(t.Context(), "curl", append([]string{"--noproxy", "*", "-sS", "--resolve", tlsName + ":" + port + ":" + ours4, url}, args...)...).Output()
		return string(out), err
	}
	if out, err := curl("443", "--cacert", ca.file); err != nil || out != "HTTP/1.1 false" {
		t.Error(out, err)
	}
	if out, err := curl("444", "--cacert", ca.file); err != nil || out != "HTTP/2.0 false" {
		t.Error(out, err)
	}
	var exit *exec.ExitError
	if out, err := curl("443"); !errors.As(err, &exit) || exit.ExitCode() != 60 {
		t.Error("without the authority:", out, err)
	}
	check(t, ctx.SetVerifyMode(tls.CERT_REQUIRED))
	if out, err := curl("443", "--cacert", ca.file); err == nil {
		t.Error("without a certificate:", out)
	}
	if out, err := curl("443", "--cacert", ca.file, "--cert", own.cert, "--key", own.key); err != nil || out != "HTTP/1.1 true" {
		t.Error(out, err)
	}
}

// TestTLSNginx: our client, and crypto/tls with our context for HTTP/2, against
// nginx.
func TestTLSNginx(t *testing.T) {
	netns.Need(t, "nginx", "ip")
	ca, n := newAuthority(t, "root"), host(t, "tun")
	shown := ca.issue("ecdsa", tlsName)
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "small"), []byte("a few bytes"), 0o644))
	conf := filepath.Join(dir, "nginx.conf")
	check(t, os.WriteFile(conf, fmt.Appendf(nil, `user root; daemon off; master_process off; worker_processes 1; pid %[1]s/pid; error_log stderr notice;
events {}
http { access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
server { listen %[2]s:443 ssl http2; root %[1]s; ssl_certificate %[3]s; ssl_certificate_key %[4]s; } }
`, dir, kernel4, shown.cert, shown.key), 0o644))
	netns.Start(t, "nginx", "-c", conf, "-e", "stderr", "-p", dir).Expect("getrlimit")
	one, two := ca.client(t), ca.client(t)
	check(t, two.SetAlpnProtocols("h2", "http/1.1"))
	cfg, err := two.Config(tlsName)
	check(t, err)
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return n.DialContext(ctx, network, kernel4+":443")
	}
	for want, tr := range map[string]*http.Transport{
		"HTTP/2.0": {DialContext: dial, TLSClientConfig: cfg, ForceAttemptHTTP2: true},
		"HTTP/1.1": {DialTLSContext: func(ctx context.Context, network, at string) (net.Conn, error) {
			plain, err := dial(ctx, network, at)
			if err != nil {
				return nil, err
			}
			return one.Client(plain.(*sockapi.Conn), tlsName)
		}},
	} {
		for range 20 {
			reply, err := (&http.Client{Transport: tr}).Get("https://" + tlsName + "/small")
			check(t, err)
			text, err := io.ReadAll(reply.Body)
			reply.Body.Close()
			if err != nil || string(text) != "a few bytes" || reply.Proto != want {
				t.Fatalf("%q, %s, want %s, %v", text, reply.Proto, want, err)
			}
		}
		tr.CloseIdleConnections()
	}
}

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
