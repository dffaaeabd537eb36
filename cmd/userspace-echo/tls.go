package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"time"

	"usersock/sockapi"
	"usersock/stack/endpoint"
	"usersock/tls"
)

// tlsOptions are those of serve and dial that are about TLS.
type tlsOptions struct {
	on         bool
	cert, key  string // serve: files; "" makes a certificate
	cacert     string // dial: the authorities; "" is the machine's
	servername string // dial: "" is the host's name
	insecure   bool   // dial: go on without verification
}

func (o *tlsOptions) flags(command string, flags *flag.FlagSet) {
	switch command {
	case "serve":
		flags.BoolVar(&o.on, "tls", false, "speak TLS on the TCP port, with a certificate made on the spot unless -cert names one")
		flags.StringVar(&o.cert, "cert", "", "with -tls: a PEM `file` with the certificate chain, and the private key unless -key names one")
		flags.StringVar(&o.key, "key", "", "with -tls: a PEM `file` with the private key")
	case "dial":
		flags.BoolVar(&o.on, "tls", false, "speak TLS, and print what was agreed and the server's chain")
		flags.StringVar(&o.cacert, "cacert", "", "with -tls: a PEM `file` with the authorities to trust, instead of this machine's")
		flags.StringVar(&o.servername, "servername", "", "with -tls: the `name` to ask for and to verify, instead of the host's")
		flags.BoolVar(&o.insecure, "insecure", false, "with -tls: say why verification failed, and go on without it")
	}
}

// alpnEcho is the protocol's name in ALPN.
const alpnEcho = "echo"

// serverContext is what serve -tls speaks with.
func (o *tlsOptions) serverContext(hostname string, addrs []netip.Prefix, now time.Time) (*tls.SSLContext, error) {
	ctx, err := tls.NewSSLContext(tls.PROTOCOL_TLS_SERVER)
	if err != nil {
		return nil, err
	}
	if o.cert != "" {
		err = ctx.LoadCertChain(o.cert, o.key, nil)
	} else {
		var chain, key []byte
		if chain, key, err = certificate(hostname, addrs, now); err == nil {
			err = ctx.LoadCertChainData(chain, key, nil)
		}
	}
	return ctx, errors.Join(err, ctx.SetAlpnProtocols(alpnEcho))
}

// certificate makes a self-signed one for a day.
func certificate(hostname string, addrs []netip.Prefix, now time.Time) (chain, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, nil, err
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: hostname}, DNSNames: []string{hostname},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
	for _, a := range addrs {
		c.IPAddresses = append(c.IPAddresses, net.IP(a.Addr().AsSlice()))
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), err
}

// clientContext is what dial -tls speaks with.
func (o *tlsOptions) clientContext() (*tls.SSLContext, error) {
	ctx, err := tls.CreateDefaultContext(false, o.cacert, "", nil)
	if err != nil {
		return nil, err
	}
	return ctx, ctx.SetAlpnProtocols(alpnEcho)
}

// dial is the echo client over TLS.
func (o *tlsOptions) dial(out io.Writer, n *sockapi.Net, host string, port int, message string) error {
	ctx, err := o.clientContext()
	if err != nil {
		return err
	}
	name := o.servername
	if name == "" {
		name = host
	}
	s, err := o.connect(n, ctx, host, port, name)
	var refused *tls.SSLCertVerificationError
	if errors.As(err, &refused) {
		fmt.Fprintf(out, "Verification failed: %s (error %d at depth %d)\n", refused.VerifyMessage, refused.VerifyCode, refused.Depth)
		if !o.insecure {
			return fmt.Errorf("%w; -cacert FILE trusts its issuer, -insecure goes on all the same", err)
		}
		ctx.SetCheckHostname(false)
		if err := ctx.SetVerifyMode(tls.CERT_NONE); err != nil {
			return err
		}
		s, err = o.connect(n, ctx, host, port, name)
	}
	if err != nil {
		return err
	}
	defer s.Close()
	describeTLS(out, s)
	return exchange(out, s, message)
}

func (o *tlsOptions) connect(n *sockapi.Net, ctx *tls.SSLContext, host string, port int, name string) (*tls.SSLSocket, error) {
	plain, err := n.CreateConnection(sockapi.InetAddr{Host: host, Port: port}, sockapi.Forever, nil)
	if err != nil {
		return nil, err
	}
	s, err := ctx.WrapSocket(plain, tls.WrapOptions{ServerHostname: name})
	if err != nil {
		plain.Close()
	}
	return s, err
}

// describeTLS prints what was agreed, and the server's chain in a line each.
func describeTLS(out io.Writer, s *tls.SSLSocket) {
	protocol := s.SelectedAlpnProtocol()
	if protocol == "" {
		protocol = "none"
	}
	fmt.Fprintf(out, "%s, %s, ALPN %s\n", s.Version(), s.Cipher().Name, protocol)
	for i, c := range s.ConnectionState().PeerCertificates {
		fmt.Fprintf(out, "  %d: %s, issued by %s, until %s\n", i, c.Subject, c.Issuer, c.NotAfter.UTC().Format(time.DateTime))
	}
}

// overTLS is the demo's exchange: the echo programs with TLS on their sockets.
func overTLS(out io.Writer, w *world) error {
	now := endpoint.SystemClock().Now()
	chain, key, err := certificate(demoName, nil, now)
	if err != nil {
		return err
	}
	server, err := tls.NewSSLContext(tls.PROTOCOL_TLS_SERVER)
	if err == nil {
		err = errors.Join(server.LoadCertChainData(chain, key, nil), server.SetAlpnProtocols(alpnEcho))
	}
	if err != nil {
		return err
	}
	client, err := tls.CreateDefaultContext(false, "", "", chain)
	if err == nil {
		err = client.SetAlpnProtocols(alpnEcho)
	}
	if err != nil {
		return err
	}
	plain, err := listen4(w.server)
	if err != nil {
		return err
	}
	l, err := server.WrapSocket(plain, tls.WrapOptions{ServerSide: true})
	if err != nil {
		plain.Close()
		return err
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		conn, addr, err := l.Accept()
		if err == nil {
			defer conn.Close()
			fmt.Fprintln(out, "Connected by", tuple(addr))
			var data []byte
			if data, err = conn.Recv(1024); err == nil {
				err = conn.Sendall(data)
			}
			if err == nil {
				_, err = conn.Unwrap()
			}
		}
		served <- err
	}()
	s, err := new(tlsOptions).connect(w.client, client, demoName, port, demoName)
	if err == nil {
		defer s.Close()
		describeTLS(out, s)
		err = exchange(out, s, hello)
	}
	if err == nil {
		_, err = s.Unwrap()
	}
	if err != nil {
		l.Close()
	}
	return errors.Join(err, <-served)
}

// listenTLS puts TLS on serve's listener.
func (o *options) listenTLS(n *sockapi.Net, l net.Listener) (net.Listener, error) {
	if !o.tls.on {
		return l, nil
	}
	c, err := o.tls.serverContext(n.Gethostname(), o.addrs, n.Stack().Clock().Now())
	if err != nil {
		return nil, fmt.Errorf("-tls: %w", err)
	}
	return c.NewListener(l), nil
}
