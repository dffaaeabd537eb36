package tls

import (
	"errors"
	"io"

	"usersock/sockapi"
)

// SSLObject is what the 2.5 document's ssl() returns. It has no Close: the
// socket is the program's, before and after, and is closed by it.
type SSLObject struct {
	con            *connection
	sock           *sockapi.Socket
	server, issuer string
}

// Ssl shakes hands with a server over a connected stream socket: socket.ssl. It
// verifies nothing. keyfile and certfile are PEM files with the private key and
// the certificate chain to show to servers that ask; "" is none, and one without
// the other is a ValueError. The socket's timeout bounds it, and each later call.
func Ssl(sock *sockapi.Socket, keyfile, certfile string) (*SSLObject, error) {
	if (keyfile == "") != (certfile == "") {
		return nil, valueError("ssl", "Both the key & certificate files must be specified")
	}
	if sock.Type() != sockapi.SOCK_STREAM {
		return nil, notImplemented("ssl", "only stream sockets are supported")
	}
	if _, err := sock.Getpeername(); err != nil {
		return nil, err
	}
	ctx, err := NewSSLContext(PROTOCOL_SSLv23)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(ctx.SetCiphers("ALL:@SECLEVEL=0"), ctx.SetMinimumVersion(TLSVersion_MINIMUM_SUPPORTED)); err != nil {
		return nil, err
	}
	if keyfile != "" {
		if err := ctx.LoadCertChain(certfile, keyfile, nil); err != nil {
			return nil, err
		}
	}
	t := &socketTransport{s: sock, conn: sock.Conn()}
	con, err := ctx.connection(t, t, sock.Net().Stack().Clock(), new(WrapOptions), false)
	if err != nil {
		return nil, err
	}
	o := &SSLObject{con: con, sock: sock}
	l := o.limit()
	if err := con.handshake("ssl", &l); err != nil {
		con.closed.Store(true)
		con.abandon() // nobody can go on with it
		return nil, err
	}
	if certs := con.state().PeerCertificates; len(certs) > 0 {
		if name, err := parseName(certs[0].RawSubject); err == nil {
			o.server = name.oneline(onelineMax)
		}
		if name, err := parseName(certs[0].RawIssuer); err == nil {
			o.issuer = name.oneline(onelineMax)
		}
	}
	return o, nil
}

func (o *SSLObject) limit() limit {
	s := SSLSocket{Socket: o.sock}
	return s.limit(o.con)
}

// Read reads from the connection: 1 to n bytes, none at its end; without n, or
// with a negative one, everything until the end.
func (o *SSLObject) Read(n ...int) ([]byte, error) {
	if len(n) > 0 && n[0] >= 0 {
		buf := make([]byte, min(n[0], recordMax))
		got, err := o.read(buf)
		return buf[:got:got], err
	}
	var all []byte
	buf := make([]byte, recordMax)
	for {
		got, err := o.read(buf)
		all = append(all, buf[:got]...)
		if err != nil || got == 0 {
			return all, err
		}
	}
}

func (o *SSLObject) read(p []byte) (int, error) {
	l := o.limit()
	n, err := o.con.read("read", p, &l)
	if err == io.EOF || errors.Is(err, SSLEOFError) {
		err = nil
	}
	return n, err
}

// Write writes data, and returns how many bytes.
func (o *SSLObject) Write(data []byte) (int, error) {
	l := o.limit()
	return o.con.write("write", data, &l)
}

// Server describes the server's certificate by the name of its subject, in
// OpenSSL's one-line form: "/C=US/O=Example/CN=www.example.com".
func (o *SSLObject) Server() string { return o.server }

// Issuer describes its issuer.
func (o *SSLObject) Issuer() string { return o.issuer }

// WrapConfig are the arguments of the module's wrap_socket. The zero value is
// its defaults: a client that verifies nothing.
type WrapConfig struct {
	Keyfile, Certfile    string
	ServerSide           bool
	ServerHostname       string
	CertReqs             int // CERT_*
	SSLVersion           int // PROTOCOL_*; 0 is PROTOCOL_TLS
	CACerts              string
	NoHandshakeOnConnect bool
	ReportRaggedEOFs     bool
	Ciphers              string
}

// WrapSocket is the module's wrap_socket: a context for one socket, then
// [SSLContext.WrapSocket].
func WrapSocket(sock *sockapi.Socket, cfg WrapConfig) (*SSLSocket, error) {
	switch {
	case cfg.ServerSide && cfg.Certfile == "":
		return nil, valueError("wrap_socket", "certfile must be specified for server-side operations")
	case cfg.Keyfile != "" && cfg.Certfile == "":
		return nil, valueError("wrap_socket", "certfile must be specified")
	case cfg.CertReqs != CERT_NONE && cfg.CACerts == "":
		return nil, valueError("wrap_socket", "ca_certs is needed to verify the peer's certificate")
	}
	protocol := cfg.SSLVersion
	if protocol == 0 {
		protocol = PROTOCOL_TLS
	}
	ctx, err := NewSSLContext(protocol)
	if err != nil {
		return nil, err
	}
	if protocol == PROTOCOL_TLS_CLIENT {
		ctx.SetCheckHostname(cfg.ServerHostname != "")
	}
	if err := ctx.SetVerifyMode(cfg.CertReqs); err != nil {
		return nil, err
	}
	if cfg.CACerts != "" {
		if err := ctx.LoadVerifyLocations(cfg.CACerts, "", nil); err != nil {
			return nil, err
		}
	}
	if cfg.Certfile != "" {
		if err := ctx.LoadCertChain(cfg.Certfile, cfg.Keyfile, nil); err != nil {
			return nil, err
		}
	}
	if cfg.Ciphers != "" {
		if err := ctx.SetCiphers(cfg.Ciphers); err != nil {
			return nil, err
		}
	}
	return ctx.WrapSocket(sock, WrapOptions{ServerSide: cfg.ServerSide, ServerHostname: cfg.ServerHostname,
		NoHandshakeOnConnect: cfg.NoHandshakeOnConnect, ReportRaggedEOFs: cfg.ReportRaggedEOFs})
}
