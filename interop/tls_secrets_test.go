//go:build linux

package interop

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"usersock/interop/netns"
	"usersock/tls"
)

// secretsOf are the lines of a key log, sorted; both ends write the same.
func secretsOf(t *testing.T, name string) []string {
	t.Helper()
	data, err := os.ReadFile(name)
	check(t, err)
	lines := slices.DeleteFunc(strings.Split(string(data), "\n"), func(l string) bool { return l == "" || strings.HasPrefix(l, "#") })
	slices.Sort(lines)
	return lines
}

// TestOpenSSLSecrets: both ends derive the same, by their key logs and their
// exporters, from certificates of every kind.
func TestOpenSSLSecrets(t *testing.T) {
	netns.Need(t, "openssl", "stdbuf")
	n := host(t, "tun")
	ca := newAuthority(t, "root")
	l := listenTCP(t, n, tlsPort)
	dir := t.TempDir()
	port := tlsPort
	for _, kind := range []string{"rsa", "ecdsa", "ed25519"} {
		show := ca.issue(kind, tlsName)
		for _, v := range tickets {
			port++
			same := func(ctx *tls.SSLContext, begin func(theirs string) (*tls.SSLSocket, *netns.Process)) {
				t.Helper()
				ours, theirs := filepath.Join(dir, fmt.Sprint("ours", port)), filepath.Join(dir, fmt.Sprint("theirs", port))
				check(t, os.RemoveAll(ours))
				check(t, os.RemoveAll(theirs))
				check(t, ctx.SetKeylogFilename(ours))
				s, peer := begin(theirs)
				state := s.ConnectionState()
				material, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32) // without a context, as theirs
				check(t, err)
				peer.Expect("Keying material: " + strings.ToUpper(hex.EncodeToString(material)))
				say(t, s, "logged", peer)
				peer.Expect("logged")
				if a, b := secretsOf(t, ours), secretsOf(t, theirs); len(a) == 0 || !slices.Equal(without(a, "EXPORTER_SECRET"), without(b, "EXPORTER_SECRET")) {
					t.Errorf("%s, %s: we log\n%s\nthey\n%s", kind, v.name, strings.Join(a, "\n"), strings.Join(b, "\n"))
				}
			}
			flags := []string{v.flag, "-keymatexport", "EXPORTER-Channel-Binding", "-keymatexportlen", "32", "-keylogfile"}
			ctx := ca.client(t)
			same(ctx, func(theirs string) (*tls.SSLSocket, *netns.Process) {
				server := sServer(t, port, show, append(slices.Clone(flags), theirs)...)
				return mustConnectTLS(t, n, ctx, port, tls.WrapOptions{}, server), server
			})
			ctx = ca.server(t, show)
			same(ctx, func(theirs string) (*tls.SSLSocket, *netns.Process) {
				client := sClient(t, tlsPort, ca, append(slices.Clone(flags), theirs)...)
				return mustAcceptTLS(t, l, ctx, tls.WrapOptions{}, client), client
			})
		}
	}
}

// without leaves out the lines that begin with a label: crypto/tls does not log
// all of OpenSSL's.
func without(lines []string, label string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.HasPrefix(l, label) })
}

// TestGnuTLSBindings: the channel bindings are those of GnuTLS.
func TestGnuTLSBindings(t *testing.T) {
	netns.Need(t, "gnutls-serv", "stdbuf")
	n := host(t, "tun")
	ca := newAuthority(t, "root")
	show := ca.issue("ecdsa", tlsName)
	server := lineByLine(t, "gnutls-serv", "--echo", "-p", fmt.Sprint(tlsPort), "--x509certfile", show.cert, "--x509keyfile", show.key)
	server.Expect(fmt.Sprintf("0.0.0.0 port %d...done", tlsPort))
	for _, v := range tickets {
		ctx := ca.client(t)
		only(t, ctx, v.number)
		s := mustConnectTLS(t, n, ctx, tlsPort, tls.WrapOptions{}, server)
		server.Expect("- Version: " + strings.Replace(v.name, "TLSv", "TLS", 1))
		for _, kind := range []string{"tls-unique", "tls-exporter"} { // as it prints them
			binding, err := s.GetChannelBinding(kind)
			check(t, err)
			want := "'" + kind + "': " + hex.EncodeToString(binding)
			if binding == nil {
				want = "'" + kind + "': not available"
			}
			server.Expect(want)
		}
		unwrapTLS(t, s, server)
	}
}

// TestOpenSSLGroups: each group of the key exchange, with a hello that is asked
// for again where the client has guessed another.
func TestOpenSSLGroups(t *testing.T) {
	netns.Need(t, "openssl", "stdbuf")
	n := host(t, "tun")
	ca := newAuthority(t, "root")
	show := ca.issue("rsa", tlsName) // up to TLS 1.2 an ECDSA key must be of a group that is offered
	l := listenTCP(t, n, tlsPort)
	port := tlsPort
	for _, c := range []struct{ name, says string }{
		{"X25519", "X25519"}, {"P-256", "ECDH, prime256v1"}, {"P-384", "ECDH, secp384r1"}, {"P-521", "ECDH, secp521r1"},
	} {
		for _, v := range tickets {
			port++
			args := []string{v.flag, "-groups", c.name}
			server := sServer(t, port, show, args...)
			ctx := ca.client(t)
			s := mustConnectTLS(t, n, ctx, port, tls.WrapOptions{}, server)
			say(t, s, "hello", server)
			server.Expect("hello")
			if got := fmt.Sprint(s.ConnectionState().CurveID); strings.ReplaceAll(got, "Curve", "") != strings.ReplaceAll(c.name, "-", "") {
				t.Errorf("%s, %s: we have %s\n%s", v.name, c.name, got, server.Printed())
			}
			unwrapTLS(t, s, server)

			// Its first guess is X25519, which our server does not take.
			groups := "X25519:" + c.name
			if c.name == "X25519" {
				groups = "P-256:X25519"
			}
			ctx = ca.server(t, show)
			check(t, ctx.SetECDHCurve(c.name))
			client := sClient(t, tlsPort, ca, v.flag, "-groups", groups)
			s = mustAcceptTLS(t, l, ctx, tls.WrapOptions{}, client)
			client.Expect("Temp Key: " + c.says)
			client.Say("hello\n")
			hear(t, s, "hello", client)
		}
	}
}

// TestOpenSSLStartTLS: s_client begins TLS in the middle of an SMTP dialogue with
// our server.
func TestOpenSSLStartTLS(t *testing.T) {
	netns.Need(t, "openssl", "stdbuf")
	n := host(t, "tun")
	ca := newAuthority(t, "root")
	ctx := ca.server(t, ca.issue("ecdsa", tlsName))
	l := listenTCP(t, n, tlsPort)
	client := sClient(t, tlsPort, ca, "-starttls", "smtp", "-name", "client.example")
	s, _, err := l.Accept()
	check(t, err)
	defer s.Close()
	check(t, s.Settimeout(tlsPatience))
	for _, step := range []struct{ reply, command string }{
		{"220 ready", "EHLO client.example"}, {"250-here\r\n250 STARTTLS", "STARTTLS"}, {"220 go ahead", ""},
	} {
		check(t, s.Sendall([]byte(step.reply+"\r\n")))
		if step.command != "" {
			hear(t, s, step.command+"\r", client)
		}
	}
	wrapped, err := ctx.WrapSocket(s, tls.WrapOptions{ServerSide: true, ReportRaggedEOFs: true})
	if err != nil {
		t.Fatalf("%v\n%s", err, client.Printed())
	}
	defer wrapped.Close()
	client.Expect("Verify return code: 0 (ok)")
	client.Say("NOOP\n")
	hear(t, wrapped, "NOOP", client)
	client.EndInput()
	hearEnd(t, wrapped, client)
	unwrapTLS(t, wrapped, client)
	client.Wait()
}
