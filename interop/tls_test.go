//go:build linux

package interop

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	gotls "crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usersock/interop/netns"
	"usersock/sockapi"
	"usersock/tls"
)

// pki is a root and what it has signed, in files: root.pem, and NAME.pem with
// certificate and key for ec, rsa, other and client.
type pki struct{ dir string }

func (p pki) file(name string) string { return filepath.Join(p.dir, name+".pem") }

func newPKI(t *testing.T) pki {
	t.Helper()
	p := pki{t.TempDir()}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	now := time.Now()
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign}
	write := func(name string, template *x509.Certificate, key crypto.Signer) {
		der, err := x509.CreateCertificate(rand.Reader, template, root, key.Public(), rootKey)
		check(t, err)
		pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
		check(t, err)
		var b bytes.Buffer
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der})
		pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
		check(t, os.WriteFile(p.file(name), b.Bytes(), 0o600))
	}
	write("root", root, rootKey)
	for i, name := range []string{"ec", "rsa", "other", "client"} {
		var key crypto.Signer
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if name == "rsa" {
			key, err = rsa.GenerateKey(rand.Reader, 2048)
		}
		check(t, err)
		host := map[bool]string{true: "other.example", false: "server.example"}[name == "other"]
		write(name, &x509.Certificate{SerialNumber: big.NewInt(int64(i) + 2), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
			NotBefore: root.NotBefore, NotAfter: root.NotAfter, BasicConstraintsValid: true}, key)
	}
	return p
}

// anything lets a context speak every version and suite.
func anything(t *testing.T, c *tls.SSLContext) *tls.SSLContext {
	t.Helper()
	check(t, errors.Join(c.SetCiphers("ALL:@SECLEVEL=0"), c.SetMinimumVersion(tls.TLSVersion_TLSv1)))
	return c
}

func (p pki) server(t *testing.T, names ...string) *tls.SSLContext {
	t.Helper()
	c, err := tls.NewSSLContext(tls.PROTOCOL_TLS_SERVER)
	check(t, err)
	for _, name := range names {
		check(t, c.LoadCertChain(p.file(name), "", nil))
	}
	check(t, c.LoadVerifyLocations(p.file("root"), "", nil))
	return anything(t, c)
}

func (p pki) client(t *testing.T) *tls.SSLContext {
	t.Helper()
	c, err := tls.CreateDefaultContext(false, p.file("root"), "", nil)
	check(t, err)
	return anything(t, c)
}

// serveLines echoes lines in capitals over TLS, until the peer's end, and says
// its own.
func serveLines(t *testing.T, n *sockapi.Net, ctx *tls.SSLContext) {
	t.Helper()
	l, err := n.Listen("tcp", net.JoinHostPort(ours4, fmt.Sprint(port)))
	check(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			plain, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer plain.Close()
				c, err := ctx.Server(plain.(*sockapi.Conn))
				if err != nil {
					return
				}
				defer c.Close()
				buf := make([]byte, 1000)
				for {
					k, err := c.Read(buf)
					if err != nil {
						return
					}
					if _, err := c.Write(bytes.ToUpper(buf[:k])); err != nil {
						return
					}
				}
			}()
		}
	}()
}

// sClient runs openssl s_client with lines to send and returns all that it
// printed, once it has printed want.
func sClient(t *testing.T, lines, want string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "openssl", append([]string{"s_client", "-connect", net.JoinHostPort(ours4, fmt.Sprint(port))}, args...)...)
	in, err := cmd.StdinPipe()
	check(t, err)
	read, write := io.Pipe()
	cmd.Stdout, cmd.Stderr = write, write
	check(t, cmd.Start())
	go func() {
		cmd.Wait()
		write.Close()
	}()
	lines, more, update := strings.Cut(lines, "K\n")
	if update { // s_client takes the command from a read of its own
		lines = "K\n"
	}
	io.WriteString(in, lines)
	var all bytes.Buffer
	buf := make([]byte, 10000)
	closed := false
	for {
		k, err := read.Read(buf)
		all.Write(buf[:k])
		if update && strings.Contains(all.String(), "KEYUPDATE") {
			io.WriteString(in, more)
			update = false
		}
		if !closed && (want == "" || strings.Contains(all.String(), want)) {
			in.Close() // it sends close_notify and ends
			closed = true
		}
		if err != nil {
			break
		}
	}
	if !strings.Contains(all.String(), want) {
		t.Errorf("openssl s_client %v printed no %q:\n%s", args, want, &all)
	}
	return all.String()
}

var tlsVersions = []struct {
	version      tls.TLSVersion
	name, option string
}{
	{tls.TLSVersion_TLSv1, "TLSv1", "-tls1"}, {tls.TLSVersion_TLSv1_1, "TLSv1.1", "-tls1_1"}, {tls.TLSVersion_TLSv1_2, "TLSv1.2", "-tls1_2"}, {tls.TLSVersion_TLSv1_3, "TLSv1.3", "-tls1_3"},
}

// suitesOf are the suites of a version that OpenSSL has too.
func suitesOf(t *testing.T, c *tls.SSLContext, version tls.TLSVersion) (names []string) {
	t.Helper()
	theirs := ":" + strings.TrimSpace(netns.Run(t, "openssl", "ciphers", "ALL:@SECLEVEL=0")) + ":"
	for _, s := range c.GetCiphers() {
		is13, needs12 := s.Protocol == "TLSv1.3", s.Protocol == "TLSv1.2"
		if is13 != (version == tls.TLSVersion_TLSv1_3) || needs12 && version < tls.TLSVersion_TLSv1_2 {
			continue
		}
		if !strings.Contains(theirs, ":"+s.Name+":") {
			t.Errorf("OpenSSL has no %s", s.Name)
			continue
		}
		names = append(names, s.Name)
	}
	return names
}

func cipherOption(name string) []string {
	if strings.HasPrefix(name, "TLS_") {
		return []string{"-ciphersuites", name}
	}
	return []string{"-cipher", name + ":@SECLEVEL=0"}
}

// TestTLSClients: openssl s_client against our server: versions and suites,
// resumption, ALPN, SNI, client certificates, key updates, no renegotiation.
func TestTLSClients(t *testing.T) {
	netns.Need(t, "openssl", "ip")
	p, n := newPKI(t), host(t, "tun")
	server, other := p.server(t, "ec", "rsa"), p.server(t, "other")
	check(t, server.SetAlpnProtocols("echo", "h2"))
	server.SetServernameCallback(func(name string, ctx *tls.SSLContext) (*tls.SSLContext, error) {
		if name == "other.example" {
			return other, nil
		}
		return nil, nil
	})
	serveLines(t, n, server)
	root := []string{"-CAfile", p.file("root"), "-verify_return_error"}
	args := func(more ...string) []string { return append(append([]string{}, root...), more...) }
	for _, v := range tlsVersions {
		for _, suite := range suitesOf(t, server, v.version) {
			out := sClient(t, "hello\n", "HELLO", args(append(cipherOption(suite), v.option, "-servername", "server.example", "-verify_hostname", "server.example")...)...)
			if !strings.Contains(out, "Cipher is "+suite) || !strings.Contains(out, "Verify return code: 0 (ok)") {
				t.Errorf("%s, %s:\n%s", v.name, suite, out)
			}
		}
	}
	for _, v := range tlsVersions[2:] {
		session := filepath.Join(t.TempDir(), "session")
		sClient(t, "hello\n", "HELLO", args(v.option, "-sess_out", session)...)
		if out := sClient(t, "hello\n", "HELLO", args(v.option, "-sess_in", session)...); !strings.Contains(out, "Reused, "+v.name) {
			t.Errorf("%s: not resumed:\n%s", v.name, out)
		}
	}
	for offered, want := range map[string]string{"h2,echo": "ALPN protocol: echo", "nothing": "No ALPN negotiated"} {
		if out := sClient(t, "hello\n", "HELLO", args("-alpn", offered)...); !strings.Contains(out, want) {
			t.Errorf("ALPN %s:\n%s", offered, out)
		}
	}
	if out := sClient(t, "hello\n", "HELLO", args("-servername", "other.example")...); !strings.Contains(out, "CN = other.example") {
		t.Errorf("SNI:\n%s", out)
	}
	sClient(t, "K\nhello\n", "HELLO", args("-tls1_3")...) // a key update that is to be answered
	sClient(t, "R\n", "alert unexpected message", args("-tls1_2")...)
	for _, v := range tlsVersions[2:] {
		check(t, server.SetVerifyMode(tls.CERT_OPTIONAL))
		sClient(t, "hello\n", "HELLO", args(v.option)...)
		check(t, server.SetVerifyMode(tls.CERT_REQUIRED))
		sClient(t, "hello\n", "HELLO", args(v.option, "-cert", p.file("client"), "-key", p.file("client"))...)
		sClient(t, "", "alert", args(v.option)...)
		check(t, server.SetVerifyMode(tls.CERT_NONE))
	}
}

// TestTLSServers: our client against openssl s_server, which turns lines round.
func TestTLSServers(t *testing.T) {
	netns.Need(t, "openssl", "ip")
	p, n := newPKI(t), host(t, "tun")
	at := sockapi.InetAddr{Host: kernel4, Port: port}
	try := func(ctx *tls.SSLContext, session *tls.SSLSession) (*tls.SSLSocket, error) {
		plain, err := n.CreateConnection(at, time.Minute, nil)
		if err != nil {
			return nil, err
		}
		s, err := ctx.WrapSocket(plain, tls.WrapOptions{ServerHostname: "server.example", Session: session, ReportRaggedEOFs: true})
		if err != nil {
			return nil, err
		}
		err = s.Sendall([]byte("hello\n"))
		var data []byte
		for err == nil && !bytes.HasSuffix(data, []byte("\n")) {
			var part []byte
			if part, err = s.Recv(100); len(part) == 0 && err == nil {
				err = fmt.Errorf("the end after %q", data)
			}
			data = append(data, part...)
		}
		if err == nil && string(data) != "olleh\n" {
			err = fmt.Errorf("%q", data)
		}
		return s, err
	}
	start := func(args ...string) *netns.Process {
		s := netns.Start(t, "openssl", append([]string{"s_server", "-accept", net.JoinHostPort(kernel4, fmt.Sprint(port)), "-rev"}, args...)...)
		s.Expect("ACCEPT")
		return s
	}
	end := func(s *netns.Process) {
		s.Interrupt()
		s.Ended()
	}
	srv := start("-cert", p.file("ec"), "-key", p.file("ec"), "-dcert", p.file("rsa"), "-dkey", p.file("rsa"), "-cipher", "ALL:@SECLEVEL=0", "-alpn", "echo", "-status_verbose")
	for _, v := range tlsVersions {
		for _, suite := range suitesOf(t, p.client(t), v.version) {
			any13 := v.version == tls.TLSVersion_TLSv1_3 // of those crypto/tls's order decides
			if any13 && suite != "TLS_AES_128_GCM_SHA256" {
				continue
			}
			ctx := p.client(t)
			check(t, errors.Join(ctx.SetMinimumVersion(v.version), ctx.SetMaximumVersion(v.version), ctx.SetAlpnProtocols("echo")))
			if !strings.HasPrefix(suite, "TLS_") {
				check(t, ctx.SetCiphers(suite+":@SECLEVEL=0"))
			}
			var session *tls.SSLSession
			for round := range 2 {
				s, err := try(ctx, session)
				if err != nil {
					t.Errorf("%s, %s: %v", v.name, suite, err)
					break
				}
				if s.Version() != v.name || s.Cipher().Name != suite && !any13 || s.SelectedAlpnProtocol() != "echo" || s.SessionReused() != (round == 1) {
					t.Errorf("%s, %s: %s, %v, %q, reused %v", v.name, suite, s.Version(), s.Cipher(), s.SelectedAlpnProtocol(), s.SessionReused())
				}
				session = s.Session()
				s.Close()
			}
		}
	}
	end(srv)
	for _, v := range tlsVersions[2:] {
		srv := start("-cert", p.file("ec"), "-key", p.file("ec"), "-Verify", "3", "-verify_return_error", "-CAfile", p.file("root"), v.option)
		ctx := p.client(t)
		var ssl *tls.SSLError
		if _, err := try(ctx, nil); !errors.As(err, &ssl) || !strings.Contains(ssl.Reason, "ALERT") {
			t.Errorf("%s without a certificate: %v", v.name, err)
		}
		check(t, ctx.LoadCertChain(p.file("client"), "", nil))
		if s, err := try(ctx, nil); err != nil {
			t.Errorf("%s with a certificate: %v", v.name, err)
		} else {
			s.Close()
		}
		end(srv)
	}
	srv = start("-cert", p.file("other"), "-key", p.file("other"))
	var verify *tls.SSLCertVerificationError
	if _, err := try(p.client(t), nil); !errors.As(err, &verify) || verify.VerifyCode != 62 {
		t.Errorf("another's certificate: %v", err)
	}
	end(srv)
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		check(t, err)
		return v
	}
}

// TestSTARTTLS: Python's ssl in a dialogue that is plain, TLS, and plain again,
// three times on one connection, in both roles.
func TestSTARTTLS(t *testing.T) {
	netns.Need(t, "python3", "ip")
	p, n := newPKI(t), host(t, "tun")
	line := func(s interface {
		Recv(int, ...int) ([]byte, error)
	}, want string) {
		t.Helper()
		var got []byte
		for !bytes.HasSuffix(got, []byte("\n")) {
			part, err := s.Recv(1)
			if err != nil || len(part) == 0 {
				t.Fatalf("%q, then %v", got, err)
			}
			got = append(got, part...)
		}
		if string(got) != want {
			t.Fatalf("%q, not %q", got, want)
		}
	}
	l := must(n.Socket(sockapi.AF_INET, sockapi.SOCK_STREAM, 0))(t)
	check(t, errors.Join(l.Bind(sockapi.InetAddr{Host: ours4, Port: port}), l.Listen(1)))
	py := netns.Start(t, "python3", script("starttls.py"), "client", ours4, fmt.Sprint(port), p.file("root"))
	s, _, err := l.Accept()
	check(t, err)
	server := p.server(t, "ec")
	for range 3 {
		line(s, "STARTTLS\n")
		check(t, s.Sendall([]byte("go\n")))
		w := must(server.WrapSocket(s, tls.WrapOptions{ServerSide: true}))(t)
		line(w, "secret\n")
		check(t, w.Sendall([]byte("SECRET\n")))
		s = must(w.Unwrap())(t)
		line(s, "plain\n")
		check(t, s.Sendall([]byte("PLAIN\n")))
	}
	py.Wait()
	s.Close()

	py = netns.Start(t, "python3", script("starttls.py"), "server", kernel4, fmt.Sprint(port), p.file("ec"))
	py.Expect("listening")
	s = must(n.CreateConnection(sockapi.InetAddr{Host: kernel4, Port: port}, time.Minute, nil))(t)
	client := p.client(t)
	for range 3 {
		check(t, s.Sendall([]byte("STARTTLS\n")))
		line(s, "go\n")
		w := must(client.WrapSocket(s, tls.WrapOptions{ServerHostname: "server.example"}))(t)
		check(t, w.Sendall([]byte("secret\n")))
		line(w, "SECRET\n")
		s = must(w.Unwrap())(t)
		check(t, s.Sendall([]byte("plain\n")))
		line(s, "PLAIN\n")
	}
	py.Wait()
	s.Close()
}

// TestTLSCurl: curl with and without the authority and a certificate of its own,
// HTTP/1.1 over our connections and HTTP/2 over crypto/tls with our context.
func TestTLSCurl(t *testing.T) {
	netns.Need(t, "curl", "ip")
	p, n := newPKI(t), host(t, "tun")
	ctx := p.server(t, "ec", "rsa")
	h2 := p.server(t, "ec")
	check(t, h2.SetAlpnProtocols("h2", "http/1.1"))
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %d", r.Proto, len(r.TLS.PeerCertificates))
	})
	for at, wrapped := range map[string]func(net.Listener) net.Listener{
		":443": ctx.NewListener,
		":444": func(l net.Listener) net.Listener { return gotls.NewListener(l, must(h2.Config(""))(t)) },
	} {
		srv := &http.Server{Handler: handler}
		l := must(n.Listen("tcp", ours4+at))(t)
		go srv.Serve(wrapped(l))
		t.Cleanup(func() { srv.Close() })
	}
	curl := func(port string, args ...string) (string, error) {
		out, err := exec.Command("curl", append([]string{"--noproxy", "*", "-sS", "--resolve", "server.example:" + port + ":" + ours4, "https://server.example:" + port + "/"}, args...)...).Output()
		return string(out), err
	}
	var exit *exec.ExitError
	if out, err := curl("443", "--cacert", p.file("root")); err != nil || out != "HTTP/1.1 0" {
		t.Error(out, err)
	}
	if out, err := curl("444", "--cacert", p.file("root")); err != nil || out != "HTTP/2.0 0" {
		t.Error(out, err)
	}
	if out, err := curl("443"); !errors.As(err, &exit) || exit.ExitCode() != 60 {
		t.Error("without the authority:", out, err)
	}
	check(t, ctx.SetVerifyMode(tls.CERT_REQUIRED))
	if out, err := curl("443", "--cacert", p.file("root")); err == nil {
		t.Error("without a certificate:", out, err)
	}
	if out, err := curl("443", "--cacert", p.file("root"), "--cert", p.file("client")); err != nil || out != "HTTP/1.1 0" {
		t.Error(out, err)
	}
}

// TestTLSNginx: our client, and crypto/tls with our context for HTTP/2, against
// nginx.
func TestTLSNginx(t *testing.T) {
	netns.Need(t, "nginx", "ip")
	p, n := newPKI(t), host(t, "tun")
	check(t, os.WriteFile(filepath.Join(p.dir, "small"), []byte("a few bytes"), 0o644))
	conf := filepath.Join(p.dir, "nginx.conf")
	check(t, os.WriteFile(conf, fmt.Appendf(nil, `user root; daemon off; master_process off; worker_processes 1; pid %[1]s/pid; error_log stderr notice;
events {}
http { access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
server { listen %[2]s:443 ssl http2; root %[1]s; ssl_certificate %[1]s/ec.pem; ssl_certificate_key %[1]s/ec.pem; } }
`, p.dir, kernel4), 0o644))
	netns.Start(t, "nginx", "-c", conf, "-e", "stderr", "-p", p.dir).Expect("getrlimit")
	client := p.client(t)
	check(t, client.SetAlpnProtocols("h2", "http/1.1"))
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return n.DialContext(ctx, network, kernel4+":443")
	}
	one := p.client(t)
	for want, tr := range map[string]*http.Transport{
		"HTTP/2.0": {DialContext: dial, TLSClientConfig: must(client.Config("server.example"))(t), ForceAttemptHTTP2: true},
		"HTTP/1.1": {DialTLSContext: func(ctx context.Context, network, at string) (net.Conn, error) {
			plain, err := dial(ctx, network, at)
			if err != nil {
				return nil, err
			}
			return one.Client(plain.(*sockapi.Conn), "server.example")
		}},
	} {
		for range 20 {
			reply, err := (&http.Client{Transport: tr}).Get("https://server.example/small")
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

// TestTLSGnuTLS: gnutls-cli and gnutls-serv.
func TestTLSGnuTLS(t *testing.T) {
	netns.Need(t, "gnutls-cli", "gnutls-serv", "ip")
	p, n := newPKI(t), host(t, "tun")
	serveLines(t, n, p.server(t, "ec"))
	for _, priority := range []string{"NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.3"} {
		cmd := exec.Command("gnutls-cli", "--x509cafile", p.file("root"), "--verify-hostname", "server.example", "--sni-hostname", "server.example", "--priority", priority, "-p", fmt.Sprint(port), ours4)
		in := must(cmd.StdinPipe())(t)
		out := must(cmd.StdoutPipe())(t)
		check(t, cmd.Start())
		io.WriteString(in, "hello\n")
		var all bytes.Buffer
		buf := make([]byte, 1000)
		for !strings.Contains(all.String(), "HELLO") {
			k, err := out.Read(buf)
			all.Write(buf[:k])
			if err != nil {
				break
			}
		}
		in.Close()
		io.Copy(&all, out)
		if err := cmd.Wait(); err != nil || !strings.Contains(all.String(), "HELLO") {
			t.Errorf("%s: %v\n%s", priority, err, &all)
		}
		srv := netns.Start(t, "gnutls-serv", "--echo", "--x509certfile", p.file("ec"), "--x509keyfile", p.file("ec"), "--priority", priority, "-p", "5556")
		srv.Expect("Echo Server listening on IPv4")
		plain := must(n.CreateConnection(sockapi.InetAddr{Host: kernel4, Port: 5556}, time.Minute, nil))(t)
		s := must(p.client(t).WrapSocket(plain, tls.WrapOptions{ServerHostname: "server.example"}))(t)
		check(t, s.Sendall([]byte("hello\n")))
		if data, err := s.Recv(100); err != nil || string(data) != "hello\n" {
			t.Errorf("%s: %q, %v", priority, data, err)
		}
		s.Close()
		srv.Interrupt()
		srv.Ended()
	}
}
