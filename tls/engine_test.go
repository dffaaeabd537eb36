package tls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"testing"
	"time"
)

func selfSigned(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), DNSNames: []string{"test"}}, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// ends are a client and a server over memory, which nobody carries for.
func ends(t testing.TB, version uint16) (c, s *engine, toServer, toClient *MemoryBIO) {
	toServer, toClient = new(MemoryBIO), new(MemoryBIO)
	bufs := new(buffers)
	c = newEngine(bioTransport{toClient, toServer}, bufs, tls.Client, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
	s = newEngine(bioTransport{toServer, toClient}, bufs, tls.Server, &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}, MinVersion: tls.VersionTLS10})
	return c, s, toServer, toClient
}

// shake lets both ends go on until both are done.
func shake(t testing.TB, c, s *engine) {
	t.Helper()
	for range 100 {
		cerr, serr := c.handshake(), s.handshake()
		for _, err := range []error{cerr, serr} {
			if _, ok := wouldBlock(err); err != nil && !ok {
				t.Fatal(err)
			}
		}
		if cerr == nil && serr == nil {
			return
		}
	}
	t.Fatal("the handshake does not end")
}

// TestEngine: handshake, both directions, pending plain text, and an end after
// which plain text follows, without a call that waits.
func TestEngine(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS12, tls.VersionTLS13} {
		c, s, toServer, toClient := ends(t, version)
		shake(t, c, s)
		if got := c.tls.ConnectionState().Version; got != version {
			t.Fatalf("version %#x, want %#x", got, version)
		}
		buf := make([]byte, 20000)
		if _, err := s.read(buf); err != errWantRead {
			t.Fatalf("nothing to read: %v", err)
		}
		data := bytes.Repeat([]byte("0123456789"), 10000)
		for sent := 0; sent < len(data); {
			n, err := c.write(data[sent:])
			if err != nil {
				t.Fatal(err)
			}
			sent += n
		}
		var got []byte
		for size := 1; len(got) < len(data); size = size*3%20000 + 1 {
			n, err := s.read(buf[:size])
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, buf[:n]...)
		}
		if !bytes.Equal(got, data) {
			t.Fatal("other bytes")
		}
		// Both say the end, with plain text right behind it.
		if err := c.closeNotify(); err != nil {
			t.Fatal(err)
		}
		toServer.Write([]byte("plain from the client"))
		if err := s.awaitClose(); err != nil {
			t.Fatal(err)
		}
		if err := s.closeNotify(); err != nil {
			t.Fatal(err)
		}
		toClient.Write([]byte("plain from the server"))
		if err := c.awaitClose(); err != nil {
			t.Fatal(err)
		}
		if a, b := toServer.Read(-1), toClient.Read(-1); string(a) != "plain from the client" || string(b) != "plain from the server" {
			t.Fatalf("%q, %q", a, b)
		}
		if _, err := c.read(buf); err != io.EOF {
			t.Fatalf("after the end: %v", err)
		}
	}
}

// TestEngineByteByByte: a handshake and a record of which one byte comes at a
// time, and a cable that is cut.
func TestEngineByteByByte(t *testing.T) {
	c, s, toServer, toClient := ends(t, tls.VersionTLS13)
	slowServer, slowClient := new(MemoryBIO), new(MemoryBIO)
	c.over = bioTransport{slowClient, toServer}
	s.over = bioTransport{slowServer, toClient}
	step := func() {
		slowServer.Write(toServer.Read(1))
		slowClient.Write(toClient.Read(1))
	}
	for range 20000 {
		cerr, serr := c.handshake(), s.handshake()
		if cerr == nil && serr == nil {
			break
		}
		step()
	}
	if !c.done || !s.done || c.handshook != nil || s.handshook != nil {
		t.Fatal("not done: ", c.handshook, s.handshook)
	}
	if _, err := c.write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	for range 1000 {
		n, err := s.read(buf)
		if err == nil {
			if string(buf[:n]) != "hello" {
				t.Fatalf("%q", buf[:n])
			}
			break
		}
		if err != errWantRead {
			t.Fatal(err)
		}
		step()
	}
	slowServer.WriteEOF()
	if _, err := s.read(buf); !errors.Is(err, errRagged) {
		t.Fatalf("a cut cable: %v", err)
	}
}

// TestEngineAbandon: a handshake that nobody goes on with ends.
func TestEngineAbandon(t *testing.T) {
	c, _, _, _ := ends(t, tls.VersionTLS13)
	if err := c.handshake(); err != errWantRead {
		t.Fatal(err)
	}
	c.abandon()
	if err := c.handshake(); !errors.Is(err, errAbandoned) {
		t.Fatal(err)
	}
}
