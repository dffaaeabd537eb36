package tls

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"go/ast"
	"go/parser"
	"go/token"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"usersock/netdev"
	"usersock/sockapi"
	"usersock/stack"
	"usersock/stack/endpoint"
)

// world is two hosts with a link between them: 192.0.2.1 and 192.0.2.2.
func world(t testing.TB) (client, server *sockapi.Net) {
	t.Helper()
	a, b := netdev.Pair(netdev.PairConfig{})
	var nets [2]*sockapi.Net
	for i, link := range []netdev.Link{a, b} {
		addr := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 24)
		st, err := stack.New(stack.Config{Interfaces: []stack.Interface{{Name: "eth0", Link: link, Addrs: []netip.Prefix{addr}}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { st.Close() })
		n, err := sockapi.New(sockapi.Config{Stack: st})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close() })
		nets[i] = n
	}
	return nets[0], nets[1]
}

// pair is a TCP connection between them, as plain sockets.
func pair(t testing.TB, client, server *sockapi.Net) (c, s *sockapi.Socket) {
	t.Helper()
	l := must(server.Socket(endpoint.AF_INET, endpoint.SOCK_STREAM, 0))(t)
	defer l.Close()
	if err := l.Bind(sockapi.InetAddr{Host: "192.0.2.2"}); err != nil {
		t.Fatal(err)
	}
	if err := l.Listen(1); err != nil {
		t.Fatal(err)
	}
	c = must(client.Socket(endpoint.AF_INET, endpoint.SOCK_STREAM, 0))(t)
	if err := c.Connect(must(l.Getsockname())(t)); err != nil {
		t.Fatal(err)
	}
	s, _, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c, s
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// issued is a certificate with its key.
type issued struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// issue makes a certificate, signed by parent or, for nil, by itself. adjust
// changes what a good one of a server would have.
func issue(t testing.TB, parent *issued, adjust func(*x509.Certificate)) *issued {
	t.Helper()
	return issueWith(t, parent, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t), adjust)
}

func issueWith(t testing.TB, parent *issued, key crypto.Signer, adjust func(*x509.Certificate)) *issued {
	t.Helper()
	serial := must(rand.Int(rand.Reader, big.NewInt(1<<62)))(t)
	now := time.Now()
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "server.example"}, DNSNames: []string{"server.example", "*.wild.example"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), BasicConstraintsValid: true,
	}
	if adjust != nil {
		adjust(c)
	}
	by := &issued{c, key}
	if parent != nil {
		by = parent
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by.cert, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{cert, key}
}

// authority makes a certificate that may sign others.
func authority(name string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject, c.DNSNames, c.IsCA = pkix.Name{CommonName: name}, nil, true
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
}

func (i *issued) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.cert.Raw})
}

func (i *issued) keyPEM(t testing.TB) []byte {
	t.Helper()
	der := must(x509.MarshalPKCS8PrivateKey(i.key))(t)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func chainPEM(list ...*issued) []byte {
	var b bytes.Buffer
	for _, i := range list {
		b.Write(i.pem())
	}
	return b.Bytes()
}

// contexts are a client's that trusts root and a server's that shows leaf and
// what follows it.
func contexts(t testing.TB, root *issued, chain ...*issued) (client, server *SSLContext) {
	t.Helper()
	client = must(NewSSLContext(PROTOCOL_TLS_CLIENT))(t)
	if err := client.LoadVerifyLocations("", "", root.pem()); err != nil {
		t.Fatal(err)
	}
	server = must(NewSSLContext(PROTOCOL_TLS_SERVER))(t)
	if err := server.LoadCertChainData(chainPEM(chain...), chain[0].keyPEM(t), nil); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// usual are the contexts of tests that are not about certificates.
func usual(t testing.TB) (client, server *SSLContext) {
	t.Helper()
	root := issue(t, nil, authority("root"))
	return contexts(t, root, issue(t, root, nil))
}

// usualAt are the usual ones of another time.
func usualAt(t testing.TB, now time.Time) (client, server *SSLContext) {
	t.Helper()
	then := func(adjust func(*x509.Certificate)) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			if adjust != nil {
				adjust(c)
			}
			c.NotBefore, c.NotAfter = now.Add(-time.Hour), now.Add(24*time.Hour)
		}
	}
	root := issue(t, nil, then(authority("root")))
	return contexts(t, root, issue(t, root, then(nil)))
}

// wrap puts TLS on both ends and shakes hands.
func wrap(t testing.TB, cctx, sctx *SSLContext, c, s *sockapi.Socket) (client, server *SSLSocket) {
	t.Helper()
	client, server, cerr, serr := tryWrap(cctx, sctx, c, s)
	if cerr != nil || serr != nil {
		t.Fatalf("client: %v; server: %v", cerr, serr)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func tryWrap(cctx, sctx *SSLContext, c, s *sockapi.Socket) (client, server *SSLSocket, cerr, serr error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		server, serr = sctx.WrapSocket(s, WrapOptions{ServerSide: true})
	}()
	client, cerr = cctx.WrapSocket(c, WrapOptions{ServerHostname: "server.example"})
	<-done
	return client, server, cerr, serr
}

func writeFile(t testing.TB, name string, data []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// declared are the names of the methods that this package declares for a type.
func declared(of string) (map[string]bool, error) {
	names := map[string]bool{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil {
				continue
			}
			if star, ok := f.Recv.List[0].Type.(*ast.StarExpr); ok {
				if id, ok := star.X.(*ast.Ident); ok && id.Name == of {
					names[f.Name.Name] = true
				}
			}
		}
	}
	return names, nil
}

func writeTo(name string, data []byte) error { return os.WriteFile(name, data, 0o600) }
