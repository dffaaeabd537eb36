package tls

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"usersock/sockapi"
	"usersock/stack/endpoint"
)

// TestConn holds the adapter to what a net.Conn must be.
func TestConn(t *testing.T) {
	cn, sn := world(t)
	cctx, sctx := usual(t)
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		a, b := pair(t, cn, sn)
		c, s, cerr, serr := tryWrap(cctx, sctx, a, b)
		if err := errors.Join(cerr, serr); err != nil {
			return nil, nil, nil, err
		}
		// The tickets are read, or the client's close would be a reset.
		if _, err := exchangeOne(s, c); err != nil {
			return nil, nil, nil, err
		}
		c1, c2 = c.Conn(), s.Conn()
		return c1, c2, func() { c1.Close(); c2.Close() }, nil
	})
}

// TestConnHandshake: the first call shakes hands; a deadline interrupts, and the
// next call goes on; a context ends it for good.
func TestConnHandshake(t *testing.T) {
	cn, sn := world(t)
	cctx, sctx := usual(t)
	a, b := pair(t, cn, sn)
	c, s := must(cctx.Client(a.Conn(), "server.example"))(t), must(sctx.Server(b.Conn()))(t)
	c.SetDeadline(time.Now().Add(time.Millisecond))
	_, err := c.Read(make([]byte, 1))
	var ne net.Error
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
		t.Fatal(err)
	}
	c.SetDeadline(time.Time{})
	done := make(chan error)
	go func() {
		_, err := s.Write([]byte("hello"))
		done <- err
	}()
	buf := make([]byte, 10)
	if n, err := c.Read(buf); string(buf[:n]) != "hello" || err != nil {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if state := c.ConnectionState(); !state.HandshakeComplete || state.ServerName != "server.example" {
		t.Errorf("%+v", state)
	}
	// A half is closed, the other goes on.
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(buf); err != io.EOF {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("more")); err != nil {
		t.Fatal(err)
	}
	if n, err := io.ReadFull(c, buf[:4]); string(buf[:n]) != "more" || err != nil {
		t.Fatal(err)
	}
	c.Close()
	s.Close()
	if _, err := c.Read(buf); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}

	a, _ = pair(t, cn, sn)
	c = must(cctx.Client(a.Conn(), "server.example"))(t)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for c.con.e.reading.try() {
			c.con.e.reading.give()
			runtime.Gosched()
		}
		cancel()
	}()
	if err := c.HandshakeContext(ctx); err != context.Canceled {
		t.Error(err)
	}
}

// TestHTTP: http.Transport and http.Server over our connections, and HTTP/2 with
// crypto/tls over our sockets and the context's configuration.
func TestHTTP(t *testing.T) {
	cn, sn := world(t)
	root := issue(t, nil, authority("root"))
	cctx, sctx := contexts(t, root, issue(t, root, nil))
	serve := func(l net.Listener, protocol string) string {
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.TLS == nil || !r.TLS.HandshakeComplete || r.Proto != protocol {
				w.WriteHeader(500)
			}
			io.Copy(w, r.Body)
		})}
		go srv.Serve(l)
		t.Cleanup(func() { srv.Close() })
		_, port, _ := net.SplitHostPort(l.Addr().String())
		return "https://server.example:" + port
	}
	get := func(url string, tr *http.Transport, protocol string) {
		t.Helper()
		defer tr.CloseIdleConnections()
		client := &http.Client{Transport: tr}
		body := strings.Repeat("0123456789", 50000)
		for range 2 {
			resp, err := client.Post(url, "text/plain", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || string(data) != body || resp.StatusCode != 200 || resp.Proto != protocol {
				t.Fatalf("%d bytes, %s, %s, %v", len(data), resp.Status, resp.Proto, err)
			}
		}
	}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, _ := net.SplitHostPort(address)
		return cn.DialContext(ctx, network, "192.0.2.2:"+port)
	}
	url := serve(sctx.NewListener(must(sn.Listen("tcp", "192.0.2.2:0"))(t)), "HTTP/1.1")
	get(url, &http.Transport{DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		plain, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c, err := cctx.Client(plain.(*sockapi.Conn), "server.example")
		if err != nil {
			return nil, err
		}
		return c, c.HandshakeContext(ctx)
	}}, "HTTP/1.1")

	cctx.SetAlpnProtocols("h2", "http/1.1")
	sctx.SetAlpnProtocols("h2", "http/1.1")
	url = serve(tls.NewListener(must(sn.Listen("tcp", "192.0.2.2:0"))(t), must(sctx.Config(""))(t)), "HTTP/2.0")
	get(url, &http.Transport{DialContext: dial, TLSClientConfig: must(cctx.Config("server.example"))(t), ForceAttemptHTTP2: true}, "HTTP/2.0")
	// Refused: the context's verification, in crypto/tls's hands.
	other, _ := usual(t)
	resp, err := (&http.Client{Transport: &http.Transport{DialContext: dial, TLSClientConfig: must(other.Config("server.example"))(t)}}).Get(url)
	var verify *SSLCertVerificationError
	if !errors.As(err, &verify) || verify.VerifyCode != verifyNoLocalIssuer {
		t.Errorf("%v, %v", resp, err)
	}
	// By name, with the Net's own resolver.
	if _, err := cctx.DialTLSContext(cn)(context.Background(), "tcp", "192.0.2.2:1"); !errors.Is(err, endpoint.ECONNREFUSED) {
		t.Error(err)
	}
}

// TestSsl: the object of the 2.5 document.
func TestSsl(t *testing.T) {
	cn, sn := world(t)
	root := issue(t, nil, authority("root"))
	leaf := issue(t, root, nil)
	_, sctx := contexts(t, root, leaf)
	a, b := pair(t, cn, sn)
	served := make(chan error)
	got := make(chan []byte, 1)
	go func() {
		s, err := sctx.WrapSocket(b, WrapOptions{ServerSide: true})
		if err == nil {
			data, _ := s.Recv(100)
			got <- data
			s.Sendall(bytes.Repeat([]byte("0123456789"), 10000))
			err = s.Conn().Close()
		}
		served <- err
	}()
	o := must(Ssl(a, "", ""))(t)
	if o.Server() != "/CN=server.example" || o.Issuer() != "/CN=root" {
		t.Errorf("%q, %q", o.Server(), o.Issuer())
	}
	if n, err := o.Write([]byte("GET / HTTP/1.0\r\n\r\n")); n != 18 || err != nil || string(<-got) != "GET / HTTP/1.0\r\n\r\n" {
		t.Error(n, err)
	}
	if data, err := o.Read(5); err != nil || len(data) < 1 || len(data) > 5 {
		t.Errorf("%q, %v", data, err)
	} else if rest, err := o.Read(); err != nil || len(data)+len(rest) != 100000 {
		t.Errorf("%d bytes, %v", len(rest), err)
	}
	for _, n := range [][]int{{5}, {}, {-1}} {
		if data, err := o.Read(n...); len(data) != 0 || err != nil {
			t.Errorf("after the end: %q, %v", data, err)
		}
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if a.Fileno() < 0 {
		t.Error("the socket is closed")
	}
	for _, files := range [][2]string{{"key", ""}, {"", "cert"}} {
		if _, err := Ssl(a, files[0], files[1]); !errors.Is(err, endpoint.EINVAL) {
			t.Errorf("%v: %v", files, err)
		}
	}
	// A certificate to show, and the socket's timeout.
	client := issue(t, root, nil)
	sctx.SetVerifyMode(CERT_REQUIRED)
	sctx.LoadVerifyLocations("", "", root.pem())
	c, d := pair(t, cn, sn)
	go func() {
		s, err := sctx.WrapSocket(d, WrapOptions{ServerSide: true})
		if err == nil {
			defer s.Close()
			if der, _ := s.GetpeercertBinary(); !bytes.Equal(der, client.cert.Raw) {
				err = errors.New("another certificate")
			}
		}
		served <- err
	}()
	must(Ssl(c, writeFile(t, "key.pem", client.keyPEM(t)), writeFile(t, "cert.pem", client.pem())))(t)
	if err := <-served; err != nil {
		t.Error(err)
	}
	e, _ := pair(t, cn, sn)
	e.Settimeout(time.Millisecond)
	if _, err := Ssl(e, "", ""); !errors.Is(err, sockapi.ErrTimeout) || e.Fileno() < 0 {
		t.Error(err)
	}
	u := must(cn.Socket(endpoint.AF_INET, endpoint.SOCK_STREAM, 0))(t)
	defer u.Close()
	if _, err := Ssl(u, "", ""); !errors.Is(err, endpoint.ENOTCONN) {
		t.Error(err)
	}
}

// TestWrapSocketFunction: the module's wrap_socket, with files.
func TestWrapSocketFunction(t *testing.T) {
	cn, sn := world(t)
	root := issue(t, nil, authority("root"))
	leaf := issue(t, root, nil)
	cert, key, ca := writeFile(t, "cert.pem", leaf.pem()), writeFile(t, "key.pem", leaf.keyPEM(t)), writeFile(t, "ca.pem", root.pem())
	a, b := pair(t, cn, sn)
	done := make(chan error)
	go func() {
		s, err := WrapSocket(b, WrapConfig{ServerSide: true, Certfile: cert, Keyfile: key, Ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256", SSLVersion: PROTOCOL_TLSv1_2})
		if err == nil {
			defer s.Close()
		}
		done <- err
	}()
	c := must(WrapSocket(a, WrapConfig{CertReqs: CERT_REQUIRED, CACerts: ca}))(t)
	defer c.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if c.Cipher().Name != "ECDHE-ECDSA-AES128-GCM-SHA256" || c.Version() != "TLSv1.2" {
		t.Error(c.Cipher(), c.Version())
	}
	if cert := must(c.Getpeercert())(t); cert.Issuer[0][0].Value != "root" {
		t.Error(cert)
	}
}

// TestFunctions: the module's functions.
func TestFunctions(t *testing.T) {
	leaf := issue(t, nil, nil)
	text := DERCertToPEMCert(leaf.cert.Raw)
	if text != string(leaf.pem()) {
		t.Error(text)
	}
	if der, err := PEMCertToDERCert(text); err != nil || !bytes.Equal(der, leaf.cert.Raw) {
		t.Error(err)
	}
	for _, bad := range []string{"", "x" + text, strings.TrimSuffix(text, "-\n"), PEM_HEADER + "\n!\n" + PEM_FOOTER} {
		if _, err := PEMCertToDERCert(bad); !errors.Is(err, endpoint.EINVAL) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for text, want := range map[string]int64{"Jan  5 09:34:43 2018 GMT": 1515144883, "May  9 00:00:00 2007 GMT": 1178668800, "Feb 29 09:43:26 2012 GMT": 1330508606, "jan  5 09:34:43 2018 gmt": 1515144883} {
		if got, err := CertTimeToSeconds(text); got != want || err != nil {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "Jan  5 09:34:43 2018", "Jan 5 09:34 2018 GMT", "Foo  5 09:34:43 2018 GMT", "Jan  5 09:34:43 2018 UTC", "Feb 30 09:34:43 2018 GMT"} {
		if _, err := CertTimeToSeconds(bad); !errors.Is(err, endpoint.EINVAL) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	a, b := must(RANDBytes(16))(t), must(RANDBytes(16))(t)
	if len(a) != 16 || bytes.Equal(a, b) || RANDStatus() != 1 {
		t.Error(a, b)
	}
	if _, err := RANDBytes(-1); !errors.Is(err, endpoint.EINVAL) {
		t.Error(err)
	}
	RANDAdd(nil, 0)

	cn, sn := world(t)
	root := issue(t, nil, authority("root"))
	leaf = issue(t, root, nil)
	_, sctx := contexts(t, root, leaf)
	l := must(sn.Listen("tcp", "192.0.2.2:0"))(t)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := sctx.Server(c.(*sockapi.Conn))
			if err == nil {
				s.Handshake()
				s.Close()
			}
		}
	}()
	addr := sockapi.InetAddr{Host: "192.0.2.2", Port: l.Addr().(*net.TCPAddr).Port}
	for _, ca := range []string{"", writeFile(t, "ca.pem", root.pem())} {
		if text, err := GetServerCertificate(cn, addr, ca, time.Minute); err != nil || text != string(leaf.pem()) {
			t.Error(text, err)
		}
	}
	other := issue(t, nil, authority("root"))
	var verify *SSLCertVerificationError
	if _, err := GetServerCertificate(cn, addr, writeFile(t, "ca.pem", other.pem()), time.Minute); !errors.As(err, &verify) {
		t.Error(err)
	}
}

// TestMemoryBIO: the buffer by itself, and the ends of an object over two.
func TestMemoryBIO(t *testing.T) {
	b := new(MemoryBIO)
	b.Write([]byte("hello"))
	if got := b.Read(2); string(got) != "he" || b.Pending() != 3 || b.EOF() {
		t.Error(got, b.Pending())
	}
	b.WriteEOF()
	if b.EOF() {
		t.Error("the end before the bytes")
	}
	if got := b.Read(-1); string(got) != "llo" || !b.EOF() || len(b.Read(5)) != 0 {
		t.Error(got)
	}
	var ssl *SSLError
	if _, err := b.Write([]byte("x")); !errors.As(err, &ssl) {
		t.Error(err)
	}
	cctx, sctx := usual(t)
	x, y, carry := bioEnds(t, cctx, sctx, "server.example")
	exchange(t, x, y, carry)
	if _, err := x.Read(10); !errors.Is(err, SSLWantReadError) {
		t.Error(err)
	}
	if _, err := x.Read(-1); !errors.Is(err, endpoint.EINVAL) {
		t.Error(err)
	}
	if err := x.Unwrap(); !errors.Is(err, SSLWantReadError) {
		t.Error(err)
	}
	carry()
	if _, err := y.Read(10); !errors.Is(err, SSLZeroReturnError) {
		t.Error(err)
	}
	if err := y.Unwrap(); err != nil {
		t.Error(err)
	}
	carry()
	if err := x.Unwrap(); err != nil {
		t.Error(err)
	}
}

// FuzzCipherList: no list breaks the grammar, and what comes out is a list of
// suites, each once.
func FuzzCipherList(f *testing.F) {
	for _, s := range []string{"ALL", "DEFAULT:!RSA", "HIGH+ECDHE:@STRENGTH", "-ALL:+AES;@SECLEVEL=3", "SUITEB128", "!", "@", "A+", "ECDHE+AESGCM,CHACHA20"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := parseCipherList(text)
		seen := map[uint16]bool{}
		for _, s := range l.suites {
			if seen[s.id] || err != nil || suiteOf(s.id) == nil {
				t.Fatalf("%q: %s", text, s.name)
			}
			seen[s.id] = true
		}
		if l.level < 0 || l.level > 5 {
			t.Fatal(l.level)
		}
	})
}

// FuzzRecords: whatever a peer sends, in whatever pieces, is an error or a want,
// and never plain text.
func FuzzRecords(f *testing.F) {
	f.Add(record(22, 0x0301, 5, make([]byte, 5)), 1, true)
	f.Add(record(23, 0x0303, 0, nil), 3, false)
	f.Add(bytes.Repeat(record(21, 0x0303, 2, []byte{1, 0}), 3), 7, true)
	f.Add([]byte("GET / HTTP/1.0\r\n\r\n"), 100, true)
	root := issue(f, nil, authority("root"))
	cctx, sctx := contexts(f, root, issue(f, root, nil))
	f.Fuzz(func(t *testing.T, data []byte, size int, server bool) {
		ctx, opts := cctx, WrapOptions{ServerHostname: "server.example"}
		if server {
			ctx, opts = sctx, WrapOptions{ServerSide: true}
		}
		in := new(MemoryBIO)
		o := must(ctx.WrapBIO(in, new(MemoryBIO), opts))(t)
		defer o.Close()
		size = max(1, size)
		for len(data) > 0 {
			n := min(size, len(data))
			in.Write(data[:n])
			data = data[n:]
			plain, err := o.Read(100)
			if len(plain) > 0 || err == nil {
				t.Fatalf("plain text %q, %v", plain, err)
			}
			if !errors.Is(err, SSLWantReadError) {
				return
			}
		}
		in.WriteEOF()
		if plain, err := o.Read(100); len(plain) > 0 || err == nil || errors.Is(err, SSLWantReadError) {
			t.Fatalf("at the end %q, %v", plain, err)
		}
	})
}
