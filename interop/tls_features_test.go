//go:build linux

package interop

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"usersock/interop/netns"
	"usersock/tls"
)

// tickets are the versions of TLS by how sessions go on.
var tickets = versions[2:]

// TestOpenSSLResumption: a second connection goes on with the session of the
// first, as both sides say.
func TestOpenSSLResumption(t *testing.T) {
	netns.Need(t, "openssl", "stdbuf")
	n := host(t, "tun")
	ca := newAuthority(t, "root")
	show := ca.issue("ecdsa", tlsName)
	l := listenTCP(t, n, tlsPort)
	for i, v := range tickets {
		t.Run(v.name+"/client", func(t *testing.T) {
			port := tlsPort + 1 + i
			server := sServer(t, port, show, v.flag)
			ctx := ca.client(t)
			var session *tls.SSLSession
			for round := range 3 {
				s := mustConnectTLS(t, n, ctx, port, tls.WrapOptions{Session: session}, server)
				if s.SessionReused() != (round > 0) {
					t.Errorf("round %d: reused %v\n%s", round, s.SessionReused(), server.Printed())
				}
				if round > 0 {
					server.Expect("Reused session-id")
				}
				if cert, err := s.Getpeercert(); err != nil || len(cert.SubjectAltName) == 0 || cert.SubjectAltName[0].Value != tlsName {
					t.Errorf("round %d: the certificate is %v, %v", round, cert, err)
				}
				line := fmt.Sprint("line ", round)
				say(t, s, line, server)
				server.Expect(line)
				server.Say("from the server\n") // with the tickets of TLS 1.3 before it
				hear(t, s, "from the server", server)
				if session = s.Session(); session == nil || !session.HasTicket {
					t.Fatalf("round %d: no session\n%s", round, server.Printed())
				}
				unwrapTLS(t, s, server)
				server.Expect("CONNECTION CLOSED")
			}
			if st := ctx.SessionStats(); st.Hits != 2 || st.ConnectGood != 3 {
				t.Errorf("counted %+v", st)
			}
		})
		t.Run(v.name+"/server", func(t *testing.T) {
			ctx := ca.server(t, show)
			file := filepath.Join(t.TempDir(), "session")
			for round, c := range []struct {
				options int64 // beside the usual
				args    []string
				says    string
				reused  bool
			}{
				{0, []string{"-sess_out", file}, "New, " + v.name, false},
				{0, []string{"-sess_in", file}, "Reused, " + v.name, true},
				{tls.OP_NO_TICKET, []string{"-sess_in", file}, "New, " + v.name, false},
			} {
				check(t, ctx.SetOptions(ctx.Options()|c.options))
				client := sClient(t, tlsPort, ca, append(c.args, v.flag)...)
				s := mustAcceptTLS(t, l, ctx, tls.WrapOptions{}, client)
				if s.SessionReused() != c.reused {
					t.Errorf("round %d: reused %v\n%s", round, s.SessionReused(), client.Printed())
				}
				client.Expect(c.says)
				say(t, s, "after the ticket", client)
				client.Expect("after the ticket")
				client.EndInput()
				hearEnd(t, s, client)
				unwrapTLS(t, s, client)
				client.Wait()
			}
			if st := ctx.SessionStats(); st.Hits != 1 || st.AcceptGood != 3 {
				t.Errorf("counted %+v", st)
			}
		})
	}
}

// TestOpenSSLALPN: a protocol in common, the server's choice of several, and
// none.
func TestOpenSSLALPN(t *testing.T) {
	netns.Need(t, "openssl", "stdbuf")
	n := host(t, "tun")
	ca := newAuthority(t, "root")
	show := ca.issue("ecdsa", tlsName)
	l := listenTCP(t, n, tlsPort)
	port := tlsPort
	for _, c := range []struct {
		ours         []string
		theirs       string
		client, serv string // what is agreed on, by who is the server
		refused      bool   // by OpenSSL's server; ours goes on, as Python's does
	}{
		{[]string{"h2", "http/1.1"}, "http/1.1,h2", "http/1.1", "h2", false}, // the server's order decides
		{[]string{"h2"}, "spdy,h2", "h2", "h2", false},
		{[]string{"h2"}, "spdy", "", "", true},
		{[]string{"h2"}, "", "", "", false},
		{nil, "h2", "", "", false},
	} {
		var args []string
		if c.theirs != "" {
			args = []string{"-alpn", c.theirs}
		}
		port++
		server := sServer(t, port, show, args...)
		ctx := ca.client(t)
		check(t, ctx.SetAlpnProtocols(c.ours...))
		s, err := connectTLS(t, n, ctx, port, tls.WrapOptions{})
		switch {
		case c.refused:
			wantSSLError(t, err, "TLSV1_ALERT_NO_APPLICATION_PROTOCOL", server)
		case err != nil || s.SelectedAlpnProtocol() != c.client:
			t.Errorf("our client with %+v: %v\n%s", c, err, server.Printed())
		case c.client != "":
			server.Expect("ALPN protocols selected: " + c.client)
		}

		client := sClient(t, tlsPort, ca, args...)
		ctx = ca.server(t, show)
		check(t, ctx.SetAlpnProtocols(c.ours...))
		s = mustAcceptTLS(t, l, ctx, tls.WrapOptions{}, client)
		if s.SelectedAlpnProtocol() != c.serv {
			t.Errorf("our server with %+v: %q\n%s", c, s.SelectedAlpnProtocol(), client.Printed())
		}
		if c.serv != "" {
			client.Expect("ALPN protocol: " + c.serv)
		} else {
			client.Expect("No ALPN negotiated")
		}
	}
}

// TestOpenSSLServerName: the name that a client asks for chooses the certificate.
func TestOpenSSLServerName(t *testing.T) {
	netns.Need(t, "openssl", "stdbuf")
	n := host(t, "tun")
	ca := newAuthority(t, "root")
	first, second := ca.issue("ecdsa", tlsName), ca.issue("rsa", "other.example")

	server := sServer(t, tlsPort, first, "-cert2", second.cert, "-key2", second.key, "-servername", "other.example", "-servername_fatal")
	for _, name := range []string{tlsName, "other.example", ""} {
		ctx := ca.client(t)
		opts := tls.WrapOptions{ServerHostname: name}
		if name == "" { // an address is not asked for
			ctx.SetCheckHostname(false)
			opts.ServerHostname, name = kernel4, tlsName
		}
		s, err := connectTLS(t, n, ctx, tlsPort, opts)
		if opts.ServerHostname == tlsName {
			wantSSLError(t, err, "TLSV1_UNRECOGNIZED_NAME", server)
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, server.Printed())
		}
		if cert, err := s.Getpeercert(); err != nil || cert.SubjectAltName[0].Value != name {
			t.Errorf("asked for %q: %v, %v\n%s", opts.ServerHostname, cert, err, server.Printed())
		}
		unwrapTLS(t, s, server)
	}

	l := listenTCP(t, n, tlsPort)
	ctx, other := ca.server(t, first), ca.server(t, second)
	var asked []string
	ctx.SetServernameCallback(func(name string, _ *tls.SSLContext) (*tls.SSLContext, error) {
		asked = append(asked, name)
		switch name {
		case "other.example":
			return other, nil
		case "bad.example":
			return nil, errors.New("nobody of that name")
		}
		return nil, nil
	})
	for _, v := range tickets {
		for _, c := range []struct{ flag, name, subject string }{
			{"-servername", tlsName, tlsName},
			{"-servername", "other.example", "other.example"},
			{"-noservername", "", tlsName},
			{"-servername", "bad.example", ""},
		} {
			args := []string{"s_client", "-connect", at(ours4, tlsPort), "-CAfile", ca.file, "-verify_return_error", v.flag, c.flag}
			if c.name != "" {
				args = append(args, c.name)
			}
			asked = nil
			client := lineByLine(t, "openssl", args...)
			s, err := acceptTLS(t, l, ctx, tls.WrapOptions{}, client)
			if len(asked) != 1 || asked[0] != c.name {
				t.Errorf("%s %s: the callback is asked for %q", c.flag, c.name, asked)
			}
			if c.subject == "" {
				wantSSLError(t, err, "CALLBACK_FAILED", client)
				client.Expect("alert internal error")
				continue
			}
			if err != nil {
				t.Fatalf("%s %s: %v\n%s", c.flag, c.name, err, client.Printed())
			}
			if want := map[bool]*tls.SSLContext{true: other, false: ctx}[c.subject == "other.example"]; s.Context() != want {
				t.Errorf("%s: another context", c.name)
			}
			client.Expect(c.subject)
			client.Expect("Verify return code: 0 (ok)")
		}
	}
}

// TestOpenSSLClientCertificates: required, optional, none and another
// authority's, both ways.
func TestOpenSSLClientCertificates(t *testing.T) {
	netns.Need(t, "openssl", "stdbuf")
	n := host(t, "tun")
	ca, other := newAuthority(t, "root"), newAuthority(t, "other")
	show := ca.issue("ecdsa", tlsName)
	none, good, wrong := pemPair{}, ca.issue("rsa", "client.example"), other.issue("ecdsa", "client.example")
	l := listenTCP(t, n, tlsPort)
	for i, v := range tickets {
		for _, c := range []struct {
			mode   int
			show   pemPair
			reason string // of our error; "" if there is none
			alert  string // as OpenSSL's client calls it
		}{
			{tls.CERT_REQUIRED, good, "", ""},
			{tls.CERT_REQUIRED, none, "PEER_DID_NOT_RETURN_A_CERTIFICATE", "alert"},
			{tls.CERT_REQUIRED, wrong, "CERTIFICATE_VERIFY_FAILED", "alert bad certificate"},
			{tls.CERT_OPTIONAL, good, "", ""},
			{tls.CERT_OPTIONAL, none, "", ""},
			{tls.CERT_OPTIONAL, wrong, "CERTIFICATE_VERIFY_FAILED", "alert bad certificate"},
		} {
			args := []string{v.flag}
			if c.show != none {
				args = append(args, "-cert", c.show.cert, "-key", c.show.key)
			}
			ctx := ca.server(t, show)
			check(t, ctx.SetVerifyMode(c.mode))
			client := sClient(t, tlsPort, ca, args...)
			s, err := acceptTLS(t, l, ctx, tls.WrapOptions{}, client)
			if c.reason != "" {
				wantSSLError(t, err, c.reason, client)
				if c.show == wrong {
					wantVerifyError(t, err, 20, client)
				}
				client.Expect(c.alert)
				continue
			}
			if err != nil {
				t.Fatalf("%s, %+v: %v\n%s", v.name, c, err, client.Printed())
			}
			cert, err := s.Getpeercert()
			switch {
			case err != nil, (cert != nil) != (c.show == good):
				t.Errorf("%s, %+v: %v, %v", v.name, c, cert, err)
			case cert != nil && cert.SubjectAltName[0].Value != "client.example":
				t.Errorf("%s: %v", v.name, cert)
			}
			client.Say("hello\n")
			hear(t, s, "hello", client)
		}

		for k, c := range []struct {
			flag   string
			show   pemPair
			reason map[string]string // of our error by version
		}{
			{"-Verify", good, nil},
			{"-Verify", none, map[string]string{"TLSv1.2": "SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSv1.3": "TLSV13_ALERT_CERTIFICATE_REQUIRED"}},
			{"-Verify", wrong, map[string]string{"TLSv1.2": "TLSV1_ALERT_UNKNOWN_CA", "TLSv1.3": "TLSV1_ALERT_UNKNOWN_CA"}},
			{"-verify", good, nil},
			{"-verify", none, nil},
			{"-verify", wrong, map[string]string{"TLSv1.2": "TLSV1_ALERT_UNKNOWN_CA", "TLSv1.3": "TLSV1_ALERT_UNKNOWN_CA"}},
		} {
			port := tlsPort + 1 + 10*i + k
			server := sServer(t, port, show, v.flag, c.flag, "1", "-CAfile", ca.file, "-verify_return_error", "-naccept", "1")
			ctx := ca.client(t)
			if c.show != none {
				check(t, ctx.LoadCertChain(c.show.cert, c.show.key, nil))
			}
			s, err := connectTLS(t, n, ctx, port, tls.WrapOptions{})
			if c.reason != nil {
				if v.name == "TLSv1.3" && err == nil { // it is refused after our handshake
					_, err = s.Recv(100)
				}
				wantSSLError(t, err, c.reason[v.name], server)
				continue
			}
			if err != nil {
				t.Fatalf("%s, %+v: %v\n%s", v.name, c, err, server.Printed())
			}
			say(t, s, "hello", server)
			if c.show == good {
				server.Expect("client.example")
			}
			server.Expect("hello")
			unwrapTLS(t, s, server)
		}
	}
}

// TestOpenSSLStaple: an OCSP response goes through as it is, both ways.
func TestOpenSSLStaple(t *testing.T) {
	netns.Need(t, "openssl", "stdbuf")
	n := host(t, "tun")
	ca := newAuthority(t, "root")
	show := ca.issue("ecdsa", tlsName)
	response := []byte{0x30, 3, 0x0a, 1, 6} // OCSPResponse of status unauthorized, RFC 6960, section 4.2.1
	file := filepath.Join(t.TempDir(), "response")
	check(t, os.WriteFile(file, response, 0o600))
	l := listenTCP(t, n, tlsPort)
	for i, v := range tickets {
		port := tlsPort + 1 + i
		server := sServer(t, port, show, v.flag, "-status_file", file)
		s := mustConnectTLS(t, n, ca.client(t), port, tls.WrapOptions{}, server)
		if !bytes.Equal(s.OCSPResponse(), response) {
			t.Errorf("%s: we got % x\n%s", v.name, s.OCSPResponse(), server.Printed())
		}
		ctx := ca.server(t, show)
		ctx.SetOCSPResponse(response)
		client := sClient(t, tlsPort, ca, v.flag, "-status")
		mustAcceptTLS(t, l, ctx, tls.WrapOptions{}, client)
		client.Expect("OCSP Response Status: unauthorized (0x6)")
	}
}
