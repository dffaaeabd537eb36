package testnet_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"testing"
	"time"

	"usersock/sockapi"
	"usersock/tls"
)

// certificate makes one that signs itself, and its key, as PEM text.
func certificate(t *testing.T, from, to time.Time) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "beta"}, DNSNames: []string{"beta"},
		NotBefore: from, NotAfter: to, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// TestTLSInVirtualTime: certificates are valid by the hosts' clock, a handshake
// takes its round trips over a bad link, and a timeout of an hour is over at
// once.
func TestTLSInVirtualTime(t *testing.T) {
	for _, c := range []struct {
		name     string
		from, to time.Time
		code     int // of the verification, 0 for good
	}{
		{"valid", time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), 0},
		{"expired", time.Date(1998, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), 10},
		{"not yet valid", time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2035, 1, 1, 0, 0, 0, 0, time.UTC), 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			cert, key := certificate(t, c.from, c.to)
			o := run(t, 8, lossy, func(w *world) { w.talkTLS(cert, key, c.code) })
			if c.code == 0 && o.elapsed < time.Hour {
				t.Errorf("over after %v of virtual time", o.elapsed)
			}
		})
	}
}

// talkTLS has host 1 echo one line over TLS to host 0, which then waits an hour
// for another.
func (w *world) talkTLS(cert, key []byte, code int) {
	l, err := listen(w.nets[1], sockapi.AF_INET, 443)
	if err != nil {
		w.t.Fatal(err)
	}
	w.task(1, "server", func(*sockapi.Net) {
		ctx, err := tls.NewSSLContext(tls.PROTOCOL_TLS_SERVER)
		if err == nil {
			err = ctx.LoadCertChainData(cert, key, nil)
		}
		s, _, aerr := l.Accept()
		if err = errors.Join(err, aerr); err != nil {
			w.t.Error("server:", err)
			return
		}
		over, err := ctx.WrapSocket(s, tls.WrapOptions{ServerSide: true})
		if err != nil {
			if code == 0 {
				w.t.Error("server:", err)
			}
			return
		}
		defer over.Close()
		for {
			data, err := over.Recv(100)
			if err != nil || len(data) == 0 {
				if code == 0 && err != nil {
					w.t.Error("server:", err)
				}
				return
			}
			if err := over.Sendall(data); err != nil {
				w.t.Error("server:", err)
			}
		}
	})
	w.task(0, "client", func(n *sockapi.Net) {
		ctx, err := tls.NewSSLContext(tls.PROTOCOL_TLS_CLIENT)
		if err == nil {
			err = ctx.LoadVerifyLocations("", "", cert)
		}
		s, serr := n.Socket(sockapi.AF_INET, sockapi.SOCK_STREAM, 0)
		if err = errors.Join(err, serr); err != nil {
			w.t.Error("client:", err)
			return
		}
		if err := s.Connect(sockapi.InetAddr{Host: "192.0.2.2", Port: 443}); err != nil {
			w.t.Error("client:", err)
			return
		}
		over, err := ctx.WrapSocket(s, tls.WrapOptions{ServerHostname: "beta"})
		var bad *tls.SSLCertVerificationError
		switch {
		case code != 0:
			if !errors.As(err, &bad) || bad.VerifyCode != code {
				w.t.Errorf("client: %v, want a verification error %d", err, code)
			}
			if err == nil {
				over.Close()
			}
			return
		case err != nil:
			w.t.Error("client:", err)
			return
		}
		defer over.Close()
		if err := over.Sendall([]byte("hello")); err != nil {
			w.t.Error("client:", err)
			return
		}
		if data, err := over.Recv(100); err != nil || string(data) != "hello" {
			w.t.Errorf("client: %q, %v", data, err)
		}
		if err := over.Settimeout(time.Hour); err != nil {
			w.t.Error("client:", err)
		}
		if data, err := over.Recv(100); !errors.Is(err, sockapi.ErrTimeout) {
			w.t.Errorf("client: %q, %v, want a timeout", data, err)
		}
	})
}
