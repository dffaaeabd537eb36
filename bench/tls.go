package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	gotls "crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"

	"usersock/sockapi"
	"usersock/tls"
)

// secure is a TLS connection that has shaken hands.
type secure interface {
	conn
	Handshake() error
}

// openTLS uses this project's SSLSocket over its link in memory.
func openTLS(int) (*system, error) {
	client, server, err := tlsContexts()
	if err != nil {
		return nil, err
	}
	wrap := func(c *sockapi.Conn, ctx *tls.SSLContext, opts tls.WrapOptions) (secure, error) {
		opts.NoHandshakeOnConnect = true
		s, err := ctx.WrapSocket(c.Socket(), opts)
		return sslSock{s}, err
	}
	return overTLS(
		func(c *sockapi.Conn) (secure, error) {
			return wrap(c, client, tls.WrapOptions{ServerHostname: tlsName})
		},
		func(c *sockapi.Conn) (secure, error) { return wrap(c, server, tls.WrapOptions{ServerSide: true}) })
}

// openGoTLS uses crypto/tls straight over this project's net.Conn.
func openGoTLS(int) (*system, error) {
	client, server, err := tlsContexts()
	if err != nil {
		return nil, err
	}
	ccfg, err := client.Config(tlsName)
	if err != nil {
		return nil, err
	}
	scfg, err := server.Config("")
	if err != nil {
		return nil, err
	}
	return overTLS(
		func(c *sockapi.Conn) (secure, error) { return gotls.Client(c, ccfg), nil },
		func(c *sockapi.Conn) (secure, error) { return gotls.Server(c, scfg), nil })
}

const tlsName = "server.example"

// tlsContexts trust and show a certificate that was made for them. No tickets
// are given out: who closes with unread ones resets the connection.
func tlsContexts() (client, server *tls.SSLContext, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: tlsName}, DNSNames: []string{tlsName}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	var text bytes.Buffer
	pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	if server, err = tls.NewSSLContext(tls.PROTOCOL_TLS_SERVER); err != nil {
		return nil, nil, err
	}
	if client, err = tls.CreateDefaultContext(false, "", "", text.Bytes()); err != nil {
		return nil, nil, err
	}
	return client, server, errors.Join(server.LoadCertChainData(text.Bytes(), nil, nil), server.SetNumTickets(0))
}

// overTLS is openDialect with TLS on its connections.
func overTLS(client, server func(*sockapi.Conn) (secure, error)) (*system, error) {
	s, err := openDialect(0)
	if err != nil {
		return nil, err
	}
	shake := func(c conn, err error, with func(*sockapi.Conn) (secure, error)) (conn, error) {
		if err != nil {
			return nil, err
		}
		raw, ok := c.(*sockapi.Conn)
		if !ok {
			return nil, fmt.Errorf("a connection of type %T", c)
		}
		over, err := with(raw)
		if err == nil {
			err = over.Handshake()
		}
		if err != nil {
			return nil, errors.Join(err, raw.Close())
		}
		return over, nil
	}
	listen, dial := s.listen, s.dial
	s.listen = func() (listener, error) {
		l, err := listen()
		if err != nil {
			return nil, err
		}
		return accepts[conn]{func() (conn, error) {
			c, err := l.Accept()
			return shake(c, err, server)
		}, l.Close}, nil
	}
	s.dial = func(l listener) (conn, error) {
		c, err := dial(l)
		return shake(c, err, client)
	}
	return s, nil
}

// sslSock is an SSLSocket with the calls that the works use.
type sslSock struct{ *tls.SSLSocket }

func (s sslSock) Handshake() error { return s.DoHandshake() }

func (s sslSock) Read(p []byte) (int, error) {
	n, err := s.RecvInto(p, 0)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}
