//go:build linux

package interop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"usersock/tls"
)

// tlsName is whom the usual certificates are for.
const tlsName = "server.example"

// An authority makes certificates, in files that both sides read.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
	file string // its certificate
}

// A pemPair is the files of a certificate and its key.
type pemPair struct{ cert, key string }

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir(), key: newKey(t, "ecdsa")}
	c := template(t, name)
	c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	a.cert = c
	a.cert = a.sign(c, a.key.Public())
	a.file = a.write(name+".pem", "CERTIFICATE", a.cert.Raw)
	return a
}

// issue makes a certificate of a kind of key (rsa, ecdsa, ed25519) for a name,
// for servers and clients.
func (a *authority) issue(kind, name string) pemPair {
	a.t.Helper()
	key := newKey(a.t, kind)
	c := template(a.t, name)
	c.DNSNames = []string{name}
	c.KeyUsage = x509.KeyUsageDigitalSignature
	if kind == "rsa" {
		c.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	check(a.t, err)
	return pemPair{
		a.write(name+"-"+kind+".pem", "CERTIFICATE", a.sign(c, key.Public()).Raw),
		a.write(name+"-"+kind+".key", "PRIVATE KEY", der),
	}
}

func (a *authority) sign(c *x509.Certificate, key any) *x509.Certificate {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, key, a.key)
	check(a.t, err)
	cert, err := x509.ParseCertificate(der)
	check(a.t, err)
	return cert
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	check(a.t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}

func template(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	check(t, err)
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
}

func newKey(t *testing.T, kind string) (key crypto.Signer) {
	t.Helper()
	var err error
	switch kind {
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ecdsa":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		t.Fatalf("no kind of key %q", kind)
	}
	check(t, err)
	return key
}

// client is a context that trusts the authority and checks names.
func (a *authority) client(t *testing.T) *tls.SSLContext {
	t.Helper()
	ctx, err := tls.NewSSLContext(tls.PROTOCOL_TLS_CLIENT)
	check(t, err)
	check(t, ctx.LoadVerifyLocations(a.file, "", nil))
	return ctx
}

// server is a context with certificates to show. It trusts the authority about
// clients, and asks for none.
func (a *authority) server(t *testing.T, show ...pemPair) *tls.SSLContext {
	t.Helper()
	ctx, err := tls.NewSSLContext(tls.PROTOCOL_TLS_SERVER)
	check(t, err)
	for _, p := range show {
		check(t, ctx.LoadCertChain(p.cert, p.key, nil))
	}
	check(t, ctx.LoadVerifyLocations(a.file, "", nil))
	return ctx
}
