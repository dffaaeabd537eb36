package tls

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"testing"

	"usersock/sockapi"
	"usersock/stack/endpoint"
)

// exchange shakes hands and moves a few bytes both ways, so that tickets arrive.
func exchange(t *testing.T, c, s *BIOObject, carry func()) {
	t.Helper()
	if cerr, serr := shakeBIO(c, s, carry); cerr != nil || serr != nil {
		t.Fatalf("client: %v; server: %v", cerr, serr)
	}
	for _, way := range [][2]*BIOObject{{c, s}, {s, c}} {
		if n, err := way[0].Write([]byte("hello")); n != 5 || err != nil {
			t.Fatal(n, err)
		}
		carry()
		if data, err := way[1].Read(10); string(data) != "hello" || err != nil {
			t.Fatalf("%q, %v", data, err)
		}
	}
}

func TestALPN(t *testing.T) {
	for _, c := range []struct {
		client, server []string
		want           string
	}{
		{[]string{"h2", "http/1.1"}, []string{"http/1.1", "h2"}, "http/1.1"}, // the server's order
		{[]string{"a"}, []string{"b"}, ""},                                   // they go on without
		{nil, []string{"b"}, ""},
		{[]string{"a"}, nil, ""},
	} {
		cctx, sctx := usual(t)
		if err := errors.Join(cctx.SetAlpnProtocols(c.client...), sctx.SetAlpnProtocols(c.server...)); err != nil {
			t.Fatal(err)
		}
		a, b, carry := bioEnds(t, cctx, sctx, "server.example")
		exchange(t, a, b, carry)
		if a.SelectedAlpnProtocol() != c.want || b.SelectedAlpnProtocol() != c.want {
			t.Errorf("%v with %v: %q, %q", c.client, c.server, a.SelectedAlpnProtocol(), b.SelectedAlpnProtocol())
		}
	}
}

// TestSNI: a certificate for each name, no name, and a callback that refuses.
func TestSNI(t *testing.T) {
	root := issue(t, nil, authority("root"))
	cctx, sctx := contexts(t, root, issue(t, root, nil))
	_, other := contexts(t, root, issue(t, root, func(c *x509.Certificate) { c.DNSNames = []string{"other.example"} }))
	var asked []string
	sctx.SetServernameCallback(func(name string, ctx *SSLContext) (*SSLContext, error) {
		asked = append(asked, name)
		switch name {
		case "other.example":
			return other, nil
		case "bad.example":
			return nil, errors.New("nobody of that name")
		}
		return nil, nil
	})
	for _, name := range []string{"server.example", "other.example"} {
		a, b, carry := bioEnds(t, cctx, sctx, name)
		exchange(t, a, b, carry)
		if cert := must(a.Getpeercert())(t); cert.SubjectAltName[0].Value != name {
			t.Errorf("%s: %v", name, cert.SubjectAltName)
		}
		if want := map[bool]*SSLContext{true: other, false: sctx}[name == "other.example"]; b.Context() != want {
			t.Errorf("%s: another context", name)
		}
	}
	// The other context asks for no certificate, the first does.
	check := must(NewSSLContext(PROTOCOL_TLS_SERVER))(t)
	check.SetServernameCallback(sctx.SNICallback())
	if err := errors.Join(check.SetVerifyMode(CERT_REQUIRED), other.SetAlpnProtocols("x"), cctx.SetAlpnProtocols("x")); err != nil {
		t.Fatal(err)
	}
	x, y, carry := bioEnds(t, cctx, check, "other.example")
	var none *SSLError
	if _, err := shakeBIO(x, y, carry); !errors.As(err, &none) || none.Reason != "PEER_DID_NOT_RETURN_A_CERTIFICATE" || x.SelectedAlpnProtocol() != "x" {
		t.Error("a client slips through by another context:", err, x.SelectedAlpnProtocol())
	}
	asked = asked[:2]
	a, b, carry := bioEnds(t, cctx, sctx, "bad.example")
	cerr, serr := shakeBIO(a, b, carry)
	var ssl *SSLError
	if !errors.As(cerr, &ssl) || ssl.Reason != "TLSV1_ALERT_INTERNAL_ERROR" || !errors.As(serr, &ssl) || ssl.Reason != "CALLBACK_FAILED" {
		t.Errorf("refused: %v, %v", cerr, serr)
	}
	cctx.SetCheckHostname(false)
	a, b, carry = bioEnds(t, cctx, sctx, "192.0.2.1") // an address is no name
	exchange(t, a, b, carry)
	if got := strings.Join(asked, " "); got != "server.example other.example bad.example " {
		t.Errorf("asked for %q", got)
	}
}

// TestSessions: with a session the handshake is short, without tickets there is
// none.
func TestSessions(t *testing.T) {
	for _, version := range []TLSVersion{TLSVersion_TLSv1_2, TLSVersion_TLSv1_3} {
		cctx, sctx := usual(t)
		cctx.SetMaximumVersion(version)
		var session *SSLSession
		for i := range 3 {
			toServer, toClient := new(MemoryBIO), new(MemoryBIO)
			cin, sin := new(MemoryBIO), new(MemoryBIO)
			c := must(cctx.WrapBIO(cin, toServer, WrapOptions{ServerHostname: "server.example", Session: session}))(t)
			s := must(sctx.WrapBIO(sin, toClient, WrapOptions{ServerSide: true}))(t)
			exchange(t, c, s, func() {
				sin.Write(toServer.Read(-1))
				cin.Write(toClient.Read(-1))
			})
			if c.SessionReused() != (i > 0) || s.SessionReused() != (i > 0) {
				t.Errorf("%#x, round %d: reused %v, %v", version, i, c.SessionReused(), s.SessionReused())
			}
			if cert := must(c.Getpeercert())(t); len(cert.SubjectAltName) == 0 {
				t.Error("the certificate is forgotten")
			}
			session = c.Session()
			if session == nil || !session.HasTicket || len(session.ID) == 0 || session.Time.IsZero() || s.Session() != nil {
				t.Fatalf("session %+v", session)
			}
		}
		want := SessionStats{Connect: 3, ConnectGood: 3, Hits: 2}
		if got := cctx.SessionStats(); got != want {
			t.Errorf("client: %+v", got)
		}
		if got := sctx.SessionStats(); got != (SessionStats{Accept: 3, AcceptGood: 3, Hits: 2}) {
			t.Errorf("server: %+v", got)
		}
		// Another context's session.
		other, _ := usual(t)
		if _, err := other.WrapBIO(new(MemoryBIO), new(MemoryBIO), WrapOptions{ServerHostname: "x", Session: session}); !errors.Is(err, endpoint.EINVAL) {
			t.Error("another's session:", err)
		}
		// None are given out.
		for name, off := range map[string]func(){
			"OP_NO_TICKET": func() { sctx.SetOptions(sctx.Options() | OP_NO_TICKET) },
			"num_tickets":  func() { sctx.SetOptions(sctx.Options() &^ OP_NO_TICKET); sctx.SetNumTickets(0) },
		} {
			off()
			a, b, carry := bioEnds(t, cctx, sctx, "server.example")
			exchange(t, a, b, carry)
			if has := a.Session() != nil; has != (name == "num_tickets" && version == TLSVersion_TLSv1_2) {
				t.Errorf("%s, %#x: a session %v", name, version, has)
			}
			sctx.SetNumTickets(2)
		}
	}
}

// TestClientCertificates: required, optional, none, and a bad one.
func TestClientCertificates(t *testing.T) {
	root := issue(t, nil, authority("root"))
	good, bad := issue(t, root, nil), issue(t, nil, nil)
	for _, version := range []TLSVersion{TLSVersion_TLSv1_2, TLSVersion_TLSv1_3} {
		for _, c := range []struct {
			mode   int
			show   *issued
			reason string // of the server's error
			code   int
		}{
			{CERT_REQUIRED, good, "", 0},
			{CERT_REQUIRED, nil, "PEER_DID_NOT_RETURN_A_CERTIFICATE", 0},
			{CERT_REQUIRED, bad, "CERTIFICATE_VERIFY_FAILED", verifySelfSigned},
			{CERT_OPTIONAL, good, "", 0},
			{CERT_OPTIONAL, nil, "", 0},
			{CERT_OPTIONAL, bad, "CERTIFICATE_VERIFY_FAILED", verifySelfSigned},
			{CERT_NONE, bad, "", 0},
		} {
			cctx, sctx := contexts(t, root, issue(t, root, nil))
			cctx.SetMaximumVersion(version)
			if err := errors.Join(sctx.LoadVerifyLocations("", "", root.pem()), sctx.SetVerifyMode(c.mode)); err != nil {
				t.Fatal(err)
			}
			if c.show != nil {
				if err := cctx.LoadCertChainData(c.show.pem(), c.show.keyPEM(t), nil); err != nil {
					t.Fatal(err)
				}
			}
			a, b, carry := bioEnds(t, cctx, sctx, "server.example")
			if c.reason == "" {
				exchange(t, a, b, carry)
				cert := must(b.Getpeercert())(t)
				if shown := cert != nil && cert.Version != 0; shown != (c.show != nil && c.mode != CERT_NONE) {
					t.Errorf("%+v: the server has %+v", c, cert)
				}
				continue
			}
			_, serr := shakeBIO(a, b, carry)
			var ssl *SSLError
			if !errors.As(serr, &ssl) || ssl.Reason != c.reason {
				t.Errorf("%+v: %v", c, serr)
			}
			var verify *SSLCertVerificationError
			if c.code != 0 && (!errors.As(serr, &verify) || verify.VerifyCode != c.code) {
				t.Errorf("%+v: %v", c, serr)
			}
			// In TLS 1.3 the client hears of it when it reads.
			if data, err := a.Read(10); len(data) != 0 || !errors.As(err, &ssl) || !strings.Contains(ssl.Reason, "ALERT") {
				t.Errorf("%+v: the client reads %q, %v", c, data, err)
			}
		}
	}
}

// TestServerPreference: the list's order decides up to TLS 1.2, among several
// kinds of certificates too.
func TestServerPreference(t *testing.T) {
	root := issue(t, nil, authority("root"))
	ec, rsaCert := issue(t, root, nil), issueWith(t, root, must(rsa.GenerateKey(rand.Reader, 2048))(t), nil)
	for _, list := range []string{"ECDHE-ECDSA-AES256-SHA", "AES128-SHA256", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-GCM-SHA256"} {
		cctx, sctx := contexts(t, root, ec)
		if err := errors.Join(sctx.LoadCertChainData(rsaCert.pem(), rsaCert.keyPEM(t), nil), sctx.SetCiphers(list+":ALL:@SECLEVEL=0"),
			cctx.SetCiphers("ALL:@SECLEVEL=0"), cctx.SetMaximumVersion(TLSVersion_TLSv1_2)); err != nil {
			t.Fatal(err)
		}
		a, b, carry := bioEnds(t, cctx, sctx, "server.example")
		exchange(t, a, b, carry)
		if a.Cipher().Name != list {
			t.Errorf("%s is first, %s is used", list, a.Cipher().Name)
		}
		if b.SharedCiphers()[0].Name != list {
			t.Errorf("shared: %v", b.SharedCiphers())
		}
	}
}

// TestExtras: key log, OCSP response, groups, channel bindings.
func TestExtras(t *testing.T) {
	for _, version := range []TLSVersion{TLSVersion_TLSv1_2, TLSVersion_TLSv1_3} {
		cctx, sctx := usual(t)
		cctx.SetMaximumVersion(version)
		var log bytes.Buffer
		cctx.SetKeylog(&log)
		sctx.SetOCSPResponse([]byte("a response"))
		if err := sctx.SetECDHCurve("secp384r1"); err != nil {
			t.Fatal(err)
		}
		a, b, carry := bioEnds(t, cctx, sctx, "server.example")
		exchange(t, a, b, carry)
		if !strings.Contains(log.String(), map[TLSVersion]string{TLSVersion_TLSv1_2: "CLIENT_RANDOM ", TLSVersion_TLSv1_3: "CLIENT_TRAFFIC_SECRET_0 "}[version]) {
			t.Errorf("key log: %q", log.String())
		}
		if got := a.ConnectionState(); string(got.OCSPResponse) != "a response" || got.CurveID != tls.CurveP384 {
			t.Errorf("OCSP response %q, group %v", got.OCSPResponse, got.CurveID)
		}
		for _, kind := range []string{"tls-unique", "tls-exporter"} {
			x, y := must(a.GetChannelBinding(kind))(t), must(b.GetChannelBinding(kind))(t)
			if none := version == TLSVersion_TLSv1_3 && kind == "tls-unique"; !bytes.Equal(x, y) || (len(x) == 0) != none {
				t.Errorf("%s: %x, %x", kind, x, y)
			}
		}
		if _, err := a.GetChannelBinding("tls-none"); !errors.Is(err, endpoint.EINVAL) {
			t.Error(err)
		}
	}
	c := must(NewSSLContext(PROTOCOL_TLS_CLIENT))(t)
	name := writeFile(t, "keys", []byte("before\n"))
	if err := c.SetKeylogFilename(name); err != nil || c.KeylogFilename() != name {
		t.Fatal(err)
	}
	c.keylog.(io.Closer).Close()
}

// TestErrorTable: what goes wrong between two ends, in OpenSSL's words.
func TestErrorTable(t *testing.T) {
	for _, c := range []struct {
		name           string
		change         func(c, s *SSLContext)
		client, server string
	}{
		{"versions", func(c, s *SSLContext) {
			c.SetMaximumVersion(TLSVersion_TLSv1_2)
			s.SetMinimumVersion(TLSVersion_TLSv1_3)
		}, "TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL"},
		{"ciphers", func(c, s *SSLContext) {
			c.SetMaximumVersion(TLSVersion_TLSv1_2)
			c.SetCiphers("ECDHE-ECDSA-AES128-GCM-SHA256")
			s.SetCiphers("ECDHE-ECDSA-AES256-GCM-SHA384")
		}, "SSLV3_ALERT_HANDSHAKE_FAILURE", "NO_SHARED_CIPHER"},
		{"groups", func(c, s *SSLContext) { c.SetECDHCurve("P-256"); s.SetECDHCurve("P-384") }, "SSLV3_ALERT_HANDSHAKE_FAILURE", "NO_SUITABLE_KEY_SHARE"},
		{"no certificate", func(c, s *SSLContext) { s.chains = nil }, "TLSV1_UNRECOGNIZED_NAME", "NO_CERTIFICATE_SET"},
	} {
		cctx, sctx := usual(t)
		c.change(cctx, sctx)
		a, b, carry := bioEnds(t, cctx, sctx, "server.example")
		cerr, serr := shakeBIO(a, b, carry)
		var x, y *SSLError
		if !errors.As(cerr, &x) || !errors.As(serr, &y) || x.Reason != c.client || y.Reason != c.server || x.Library != "SSL" {
			t.Errorf("%s: %v; %v; want %s, %s", c.name, cerr, serr, c.client, c.server)
		}
	}
	// A peer that speaks something else.
	for said, want := range map[string]string{"SSH-2.0-x\r\n": "WRONG_VERSION_NUMBER", "GET / HTTP/1.0\r\n\r\n": "HTTP_REQUEST"} {
		_, sctx := usual(t)
		in := new(MemoryBIO)
		in.Write([]byte(said))
		s := must(sctx.WrapBIO(in, new(MemoryBIO), WrapOptions{ServerSide: true}))(t)
		var ssl *SSLError
		if err := s.DoHandshake(); !errors.As(err, &ssl) || ssl.Reason != want {
			t.Errorf("%q: %v", said, err)
		}
	}
	cctx, sctx := usual(t)
	in := new(MemoryBIO)
	in.WriteEOF()
	c := must(cctx.WrapBIO(in, new(MemoryBIO), WrapOptions{ServerHostname: "server.example"}))(t)
	if err := c.DoHandshake(); !errors.Is(err, SSLEOFError) || !strings.Contains(err.Error(), "EOF occurred in violation of protocol") {
		t.Error(err)
	}
	// OpenSSL's client refuses a certificate in TLS 1.3 by an alert that it does not
	// encrypt. The alert comes byte by byte.
	hello, sin := new(MemoryBIO), new(MemoryBIO)
	c = must(cctx.WrapBIO(new(MemoryBIO), hello, WrapOptions{ServerHostname: "server.example"}))(t)
	s := must(sctx.WrapBIO(sin, new(MemoryBIO), WrapOptions{ServerSide: true}))(t)
	defer c.Close()
	var refused *SSLError
	if err := c.DoHandshake(); !errors.Is(err, SSLWantReadError) {
		t.Fatal(err)
	}
	sin.Write(hello.Read(-1))
	err := s.DoHandshake()
	for _, b := range record(recordAlert, 0x0303, 2, []byte{2, 48}) {
		if !errors.Is(err, SSLWantReadError) {
			t.Fatal(err)
		}
		sin.Write([]byte{b})
		err = s.DoHandshake()
	}
	if !errors.As(err, &refused) || refused.Reason != "TLSV1_ALERT_UNKNOWN_CA" {
		t.Errorf("an alert that is not encrypted: %v", err)
	}
	// All alerts have words.
	for n := range 256 {
		if text := tls.AlertError(n).Error(); !strings.Contains(text, "alert(") && n != 0 {
			if _, ok := alertReason(n); !ok && n != 121 { // Encrypted ClientHello, of which OpenSSL 3.0 knows nothing
				t.Errorf("alert %d: %s", n, text)
			}
		}
	}
}

// TestContextFromConfig: a tls.Config decides, and comes out of a context.
func TestContextFromConfig(t *testing.T) {
	root := issue(t, nil, authority("root"))
	leaf := issue(t, root, nil)
	pool := x509.NewCertPool()
	pool.AddCert(root.cert)
	server := NewContextFromConfig(&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.cert.Raw}, PrivateKey: leaf.key}}, NextProtos: []string{"x"}})
	a, b, carry := bioEnds(t, NewContextFromConfig(&tls.Config{RootCAs: pool, NextProtos: []string{"x"}}), server, "server.example")
	exchange(t, a, b, carry)
	if cert := must(a.Getpeercert())(t); cert.Version != 3 || a.SelectedAlpnProtocol() != "x" {
		t.Error(cert, a.SelectedAlpnProtocol())
	}
	a, b, carry = bioEnds(t, NewContextFromConfig(&tls.Config{}), server, "server.example")
	cerr, _ := shakeBIO(a, b, carry)
	var verify *SSLCertVerificationError
	if !errors.As(cerr, &verify) || verify.VerifyCode != verifyNoLocalIssuer {
		t.Errorf("%T %v", cerr, cerr)
	}
	a, b, carry = bioEnds(t, NewContextFromConfig(&tls.Config{RootCAs: pool}), server, "other.example")
	cerr, _ = shakeBIO(a, b, carry)
	if !errors.As(cerr, &verify) || verify.VerifyCode != verifyHostname {
		t.Errorf("%T %v", cerr, cerr)
	}
}

// TestSocketSessions: the same on sockets, with a session that is set before
// connecting.
func TestSocketSessions(t *testing.T) {
	cn, sn := world(t)
	cctx, sctx := usual(t)
	l := must(sn.Socket(endpoint.AF_INET, endpoint.SOCK_STREAM, 0))(t)
	if err := errors.Join(l.Bind(sockapi.InetAddr{Host: "192.0.2.2"}), l.Listen(5)); err != nil {
		t.Fatal(err)
	}
	addr := must(l.Getsockname())(t)
	sl := must(sctx.WrapSocket(l, WrapOptions{ServerSide: true}))(t)
	defer sl.Close()
	if err := sl.SetSession(nil); !errors.Is(err, endpoint.EINVAL) {
		t.Error("a server's session:", err)
	}
	served := make(chan error)
	go func() {
		for range 2 {
			s, _, err := sl.Accept()
			if err == nil {
				_, err = s.Send([]byte("x"))
				defer s.Close()
			}
			served <- err
		}
	}()
	var session *SSLSession
	for i := range 2 {
		c := must(cctx.WrapSocket(must(cn.Socket(endpoint.AF_INET, endpoint.SOCK_STREAM, 0))(t), WrapOptions{ServerHostname: "server.example"}))(t)
		defer c.Close()
		if err := c.SetSession(new(SSLSession)); !errors.Is(err, endpoint.EINVAL) {
			t.Error("another context's:", err)
		}
		if err := errors.Join(c.SetSession(session), c.Connect(addr), <-served); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Recv(1); err != nil {
			t.Fatal(err)
		}
		if c.SessionReused() != (i == 1) || c.Session() == nil {
			t.Errorf("round %d: reused %v", i, c.SessionReused())
		}
		if err := c.SetSession(session); !errors.Is(err, endpoint.EINVAL) {
			t.Error("after the handshake:", err)
		}
		session = c.Session()
	}
}
