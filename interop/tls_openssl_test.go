//go:build linux

package interop

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"usersock/interop/netns"
	"usersock/sockapi"
	"usersock/tls"
)

const tlsPort = 4433

// TestOpenSSLCiphers: every version with every cipher that OpenSSL and crypto/tls
// have in common, our client with openssl s_server and openssl s_client with our
// server.
func TestOpenSSLCiphers(t *testing.T) {
	netns.Need(t, "openssl", "stdbuf")
	n := host(t, "tun")
	ca := newAuthority(t, "root")
	rsa, ecdsa := ca.issue("rsa", tlsName), ca.issue("ecdsa", tlsName)
	const all = "ALL:@SECLEVEL=0"

	// What both have, from the lists of both.
	ctx := ca.client(t)
	check(t, ctx.SetCiphers(all))
	ours := map[bool][]string{} // of TLS 1.3 or not
	for _, c := range ctx.GetCiphers() {
		of13 := c.Protocol == "TLSv1.3"
		ours[of13] = append(ours[of13], c.Name)
	}
	common := map[string][]string{}
	used := map[string]bool{}
	for _, v := range versions {
		theirs := strings.Split(strings.TrimSpace(netns.Run(t, "openssl", "ciphers", "-s", v.flag, all)), ":")
		for _, name := range ours[v.name == "TLSv1.3"] {
			if slices.Contains(theirs, name) {
				common[v.name] = append(common[v.name], name)
				used[name] = true
			}
		}
	}
	for _, name := range slices.Concat(ours[false], ours[true]) {
		if !used[name] {
			t.Errorf("OpenSSL has no %s in any version", name)
		}
	}

	t.Run("client", func(t *testing.T) {
		run := func(version tls.TLSVersion, name, suite string, server *netns.Process, port int) {
			ctx := ca.client(t)
			list := suite + ":@SECLEVEL=0"
			if name == "TLSv1.3" {
				list = all
			}
			check(t, ctx.SetCiphers(list))
			only(t, ctx, version)
			var session *tls.SSLSession
			for range 2 { // the second time with the session of the first
				s := mustConnectTLS(t, n, ctx, port, tls.WrapOptions{Session: session}, server)
				if c := s.Cipher(); c == nil || c.Name != suite || s.Version() != name || s.SessionReused() != (session != nil) {
					t.Errorf("%s %s: we have %v, %s, reused %v\n%s", name, suite, c, s.Version(), s.SessionReused(), server.Printed())
				}
				say(t, s, name, server)
				backwards := []byte(name)
				slices.Reverse(backwards)
				hear(t, s, string(backwards), server)
				server.Expect("Ciphersuite: " + suite)
				session = s.Session()
				unwrapTLS(t, s, server)
			}
		}
		server := sServer(t, tlsPort, rsa, "-dcert", ecdsa.cert, "-dkey", ecdsa.key, "-cipher", all, "-min_protocol", "TLSv1", "-rev")
		for i, v := range versions {
			for _, suite := range common[v.name] {
				if v.name != "TLSv1.3" {
					run(v.number, v.name, suite, server, tlsPort)
					continue
				}
				port := tlsPort + 1 + i + slices.Index(common[v.name], suite) // crypto/tls offers them all
				run(v.number, v.name, suite, sServer(t, port, ecdsa, "-ciphersuites", suite, "-rev"), port)
			}
			t.Logf("%s: %d ciphers", v.name, len(common[v.name]))
		}
	})
	t.Run("server", func(t *testing.T) {
		l := listenTCP(t, n, tlsPort)
		ctx := ca.server(t, rsa, ecdsa)
		check(t, errors.Join(ctx.SetCiphers(all), ctx.SetMinimumVersion(tls.TLSVersion_MINIMUM_SUPPORTED)))
		for _, v := range versions {
			for _, suite := range common[v.name] {
				flags := []string{"-cipher", suite + ":@SECLEVEL=0"}
				if v.name == "TLSv1.3" {
					flags = []string{"-ciphersuites", suite}
				}
				client := sClient(t, tlsPort, ca, append(flags, v.flag, "-brief")...)
				s := mustAcceptTLS(t, l, ctx, tls.WrapOptions{}, client)
				if c := s.Cipher(); c == nil || c.Name != suite || s.Version() != v.name {
					t.Errorf("%s %s: we have %v, %s\n%s", v.name, suite, c, s.Version(), client.Printed())
				}
				client.Expect("Ciphersuite: " + suite)
				client.Expect("Verification: OK")
				client.Say("hello\n")
				hear(t, s, "hello", client)
				say(t, s, "and back", client)
				client.Expect("and back")
				client.EndInput()
				hearEnd(t, s, client)
				unwrapTLS(t, s, client)
				client.Wait()
			}
		}
	})
}

// TestOpenSSLVersions: ends that have no version in common say so, and OpenSSL's
// usual security level refuses the old ones.
func TestOpenSSLVersions(t *testing.T) {
	netns.Need(t, "openssl", "stdbuf")
	n := host(t, "tun")
	ca := newAuthority(t, "root")
	show := ca.issue("ecdsa", tlsName)

	server := sServer(t, tlsPort, show, "-tls1_2")
	ctx := ca.client(t)
	only(t, ctx, tls.TLSVersion_TLSv1_3)
	_, err := connectTLS(t, n, ctx, tlsPort, tls.WrapOptions{})
	wantSSLError(t, err, "TLSV1_ALERT_PROTOCOL_VERSION", server)
	server.Expect("unsupported protocol")

	l := listenTCP(t, n, tlsPort)
	ctx = ca.server(t, show)
	only(t, ctx, tls.TLSVersion_TLSv1_3)
	client := sClient(t, tlsPort, ca, "-tls1_2")
	_, err = acceptTLS(t, l, ctx, tls.WrapOptions{}, client)
	wantSSLError(t, err, "UNSUPPORTED_PROTOCOL", client)
	client.Expect("alert protocol version")

	// The authority is not the one that is trusted.
	other := newAuthority(t, "other")
	server = sServer(t, tlsPort+1, show)
	_, err = connectTLS(t, n, other.client(t), tlsPort+1, tls.WrapOptions{})
	wantVerifyError(t, err, 20, server)
	_, err = connectTLS(t, n, ca.client(t), tlsPort+1, tls.WrapOptions{ServerHostname: "other.example"})
	wantVerifyError(t, err, 62, server)
	server.Expect("alert bad certificate")
	client = sClient(t, tlsPort, other)
	_, err = acceptTLS(t, l, ca.server(t, show), tls.WrapOptions{}, client)
	wantSSLError(t, err, "TLSV1_ALERT_UNKNOWN_CA", client)
	client.Expect("unable to get local issuer certificate")
}

// TestOpenSSLObject: the 2.5 document's object, which shows a certificate and
// never closes the socket, and get_server_certificate.
func TestOpenSSLObject(t *testing.T) {
	netns.Need(t, "openssl", "stdbuf")
	n := host(t, "tun")
	ca := newAuthority(t, "root")
	show, own := ca.issue("ecdsa", tlsName), ca.issue("rsa", "client.example")
	server := sServer(t, tlsPort, show, "-rev", "-Verify", "1", "-CAfile", ca.file, "-verify_return_error")
	sock, err := n.CreateConnection(sockapi.InetAddr{Host: kernel4, Port: tlsPort}, tlsPatience, nil)
	check(t, err)
	defer sock.Close()
	o, err := tls.Ssl(sock, own.key, own.cert)
	if err != nil {
		t.Fatalf("%v\n%s", err, server.Printed())
	}
	if o.Server() != "/CN="+tlsName || o.Issuer() != "/CN=root" {
		t.Errorf("the server is %q, by %q", o.Server(), o.Issuer())
	}
	server.Expect("client.example")
	for _, line := range []string{"abc\n", "CLOSE\n"} {
		if sent, err := o.Write([]byte(line)); sent != len(line) || err != nil {
			t.Fatalf("sent %d bytes, %v\n%s", sent, err, server.Printed())
		}
	}
	if all, err := o.Read(); string(all) != "cba\n" || err != nil {
		t.Errorf("read %q, %v\n%s", all, err, server.Printed())
	}
	if sock.Fileno() < 0 {
		t.Error("the socket is closed")
	}

	server = sServer(t, tlsPort+1, show, "-rev")
	want, err := os.ReadFile(show.cert)
	check(t, err)
	for _, trusted := range []string{"", ca.file} {
		got, err := tls.GetServerCertificate(n, sockapi.InetAddr{Host: kernel4, Port: tlsPort + 1}, trusted, tlsPatience)
		if err != nil || got != string(want) {
			t.Errorf("%s, %v, want\n%s\n%s", got, err, want, server.Printed())
		}
	}
	_, err = tls.GetServerCertificate(n, sockapi.InetAddr{Host: kernel4, Port: tlsPort + 1}, newAuthority(t, "other").file, tlsPatience)
	wantVerifyError(t, err, 20, server)
}
