//go:build linux

package interop

import (
	"fmt"
	"slices"
	"testing"

	"usersock/interop/netns"
	"usersock/tls"
)

// gnuVersions are GnuTLS's words for one version alone. NORMAL has the old ones
// too.
var gnuVersions = []string{"TLS1.0", "TLS1.1", "TLS1.2", "TLS1.3"}

func gnuPriority(version string) string {
	return "NORMAL:-VERS-ALL:+VERS-" + version
}

// TestGnuTLSServer: our client with gnutls-serv: versions, ALPN, sessions, client
// certificates.
func TestGnuTLSServer(t *testing.T) {
	netns.Need(t, "gnutls-serv", "stdbuf")
	n := host(t, "tun")
	ca := newAuthority(t, "root")
	show, own, wrong := ca.issue("rsa", tlsName), ca.issue("ecdsa", "client.example"), newAuthority(t, "other").issue("ecdsa", "client.example")
	port := tlsPort
	serve := func(version string, args ...string) *netns.Process {
		t.Helper()
		port++
		server := lineByLine(t, "gnutls-serv", append([]string{"--echo", "--crlf", "-p", fmt.Sprint(port), "--x509certfile", show.cert, "--x509keyfile", show.key,
			"--x509cafile", ca.file, "--priority", gnuPriority(version), "--alpn", "h2"}, args...)...)
		server.Expect(fmt.Sprintf("0.0.0.0 port %d...done", port))
		return server
	}
	for i, v := range versions {
		server := serve(gnuVersions[i], "--disable-client-cert")
		ctx := ca.client(t)
		check(t, ctx.SetCiphers("ALL:@SECLEVEL=0"))
		check(t, ctx.SetMinimumVersion(tls.TLSVersion_MINIMUM_SUPPORTED))
		check(t, ctx.SetAlpnProtocols("spdy", "h2"))
		var session *tls.SSLSession
		for round := range 2 {
			s := mustConnectTLS(t, n, ctx, port, tls.WrapOptions{ReportRaggedEOFs: true, Session: session}, server)
			if s.Version() != v.name || s.SelectedAlpnProtocol() != "h2" || s.SessionReused() != (round > 0) {
				t.Errorf("round %d: %s, %q, reused %v\n%s", round, s.Version(), s.SelectedAlpnProtocol(), s.SessionReused(), server.Printed())
			}
			if round > 0 {
				server.Expect("*** This is a resumed session")
			}
			server.Expect("- Version: " + gnuVersions[i])
			say(t, s, "hello", server)
			hear(t, s, "hello", server)
			session = s.Session()
			unwrapTLS(t, s, server)
		}
	}
	for i, v := range versions {
		if !slices.Contains(tickets, v) {
			continue
		}
		server := serve(gnuVersions[i], "--require-client-cert", "--verify-client-cert")
		for _, c := range []struct {
			show   pemPair
			reason string
		}{
			{own, ""},
			{pemPair{}, map[string]string{"TLSv1.2": "TLSV1_ALERT_DECODE_ERROR", "TLSv1.3": "TLSV13_ALERT_CERTIFICATE_REQUIRED"}[v.name]},
			{wrong, "TLSV1_ALERT_ACCESS_DENIED"},
		} {
			ctx := ca.client(t)
			if c.show.cert != "" {
				check(t, ctx.LoadCertChain(c.show.cert, c.show.key, nil))
			}
			s, err := connectTLS(t, n, ctx, port, tls.WrapOptions{})
			if err == nil && c.reason != "" { // refused after our handshake
				_, err = s.Recv(100)
			}
			if c.reason != "" {
				wantSSLError(t, err, c.reason, server)
				continue
			}
			if err != nil {
				t.Fatalf("%s: %v\n%s", v.name, err, server.Printed())
			}
			server.Expect("Subject: CN=client.example")
			say(t, s, "hello", server)
			hear(t, s, "hello", server)
			unwrapTLS(t, s, server)
		}
	}
}

// TestGnuTLSClient is the other direction, with gnutls-cli.
func TestGnuTLSClient(t *testing.T) {
	netns.Need(t, "gnutls-cli", "stdbuf")
	n := host(t, "tun")
	ca, other := newAuthority(t, "root"), newAuthority(t, "other")
	show, own, wrong := ca.issue("rsa", tlsName), ca.issue("ecdsa", "client.example"), other.issue("ecdsa", "client.example")
	l := listenTCP(t, n, tlsPort)
	dial := func(ca *authority, version string, args ...string) *netns.Process {
		t.Helper()
		return lineByLine(t, "gnutls-cli", append([]string{"-p", fmt.Sprint(tlsPort), "--x509cafile", ca.file, "--sni-hostname", tlsName, "--verify-hostname", tlsName,
			"--priority", gnuPriority(version), "--alpn", "h2", ours4}, args...)...)
	}
	for i, v := range versions {
		ctx := ca.server(t, show)
		check(t, ctx.SetCiphers("ALL:@SECLEVEL=0"))
		check(t, ctx.SetMinimumVersion(tls.TLSVersion_MINIMUM_SUPPORTED))
		check(t, ctx.SetAlpnProtocols("spdy", "h2"))
		client := dial(ca, gnuVersions[i], "--resume", "--waitresumption")
		for round := range 2 {
			s := mustAcceptTLS(t, l, ctx, tls.WrapOptions{ReportRaggedEOFs: true}, client)
			if s.Version() != v.name || s.SelectedAlpnProtocol() != "h2" || s.SessionReused() != (round > 0) {
				t.Errorf("round %d: %s, %q, reused %v\n%s", round, s.Version(), s.SelectedAlpnProtocol(), s.SessionReused(), client.Printed())
			}
			client.Expect("- Application protocol: h2")
			if round > 0 {
				client.Expect("*** This is a resumed session")
				client.Expect("Simple Client Mode")
				client.Say("hello\n")
				hear(t, s, "hello", client)
				say(t, s, "and back", client)
				client.Expect("and back")
				client.EndInput()
			}
			hearEnd(t, s, client)
			unwrapTLS(t, s, client)
		}
		client.Wait()
	}
	for i, v := range versions {
		if !slices.Contains(tickets, v) {
			continue
		}
		for _, c := range []struct {
			show   pemPair
			reason string
		}{{own, ""}, {pemPair{}, "PEER_DID_NOT_RETURN_A_CERTIFICATE"}, {wrong, "CERTIFICATE_VERIFY_FAILED"}} {
			ctx := ca.server(t, show)
			check(t, ctx.SetVerifyMode(tls.CERT_REQUIRED))
			var args []string
			if c.show.cert != "" {
				args = []string{"--x509certfile", c.show.cert, "--x509keyfile", c.show.key}
			}
			client := dial(ca, gnuVersions[i], args...)
			s, err := acceptTLS(t, l, ctx, tls.WrapOptions{}, client)
			if c.reason != "" {
				wantSSLError(t, err, c.reason, client)
				client.Expect("alert")
				continue
			}
			if err != nil {
				t.Fatalf("%s: %v\n%s", v.name, err, client.Printed())
			}
			client.Say("hello\n")
			hear(t, s, "hello", client)
		}
		// It does not trust us.
		client := dial(other, gnuVersions[i])
		_, err := acceptTLS(t, l, ca.server(t, show), tls.WrapOptions{}, client)
		wantSSLError(t, err, "SSLV3_ALERT_BAD_CERTIFICATE", client)
		client.Expect("The certificate is NOT trusted")
		if client.End() == nil {
			t.Errorf("it goes on:\n%s", client.Printed())
		}
	}
}
