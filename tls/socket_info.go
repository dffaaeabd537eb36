package tls

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"usersock/sockapi"
)

// ServerSide reports whether this is the server's end.
func (s *SSLSocket) ServerSide() bool { return s.opts.ServerSide }

// ServerHostname returns the name that a client asks for.
func (s *SSLSocket) ServerHostname() string { return s.opts.ServerHostname }

// Context returns the context of the connection, which a callback may have
// changed.
func (s *SSLSocket) Context() *SSLContext {
	if con := s.tls.Load(); con != nil {
		return con.ctx.Load()
	}
	return s.ctx
}

// facts is what is known of a connection, for all its shapes.
type facts struct{ of func() *connection }

func (s *SSLSocket) facts() facts { return facts{s.tls.Load} }

// Getpeercert returns the peer's certificate: empty where it was not verified,
// nil where it showed none. A ValueError before the end of the handshake.
func (s *SSLSocket) Getpeercert() (*Certificate, error) { return s.facts().peercert() }

// GetpeercertBinary returns it in DER, verified or not.
func (s *SSLSocket) GetpeercertBinary() ([]byte, error) { return s.facts().peercertBinary() }

// GetVerifiedChain returns the chain that was verified, in DER, the peer's own
// first; nil where nothing was.
func (s *SSLSocket) GetVerifiedChain() [][]byte { return s.facts().verifiedChain() }

// GetUnverifiedChain returns the certificates that the peer showed, in DER.
func (s *SSLSocket) GetUnverifiedChain() [][]byte { return s.facts().unverifiedChain() }

// Version returns "TLSv1.3" and so on, "" before the end of the handshake.
func (s *SSLSocket) Version() string { return s.facts().version() }

// Cipher returns the suite in use, nil before the end of the handshake.
func (s *SSLSocket) Cipher() *CipherName { return s.facts().cipher() }

// SharedCiphers returns the suites that a client offers and the server has, nil
// on a client.
func (s *SSLSocket) SharedCiphers() []CipherName { return s.facts().sharedCiphers() }

// Compression returns "": TLS has none.
func (s *SSLSocket) Compression() string { return "" }

// SelectedAlpnProtocol returns the protocol that both ends have in common, "" if
// none.
func (s *SSLSocket) SelectedAlpnProtocol() string { return s.facts().state().NegotiatedProtocol }

// SelectedNpnProtocol returns "": ALPN has taken its place.
func (s *SSLSocket) SelectedNpnProtocol() string { return "" }

// GetChannelBinding returns data that only the two ends know: "tls-unique" (RFC
// 5929; nil in TLS 1.3) or "tls-exporter" (RFC 9266). nil before the end of the
// handshake.
func (s *SSLSocket) GetChannelBinding(kind string) ([]byte, error) {
	return s.facts().channelBinding(kind)
}

// OCSPResponse returns what a server sent with its certificate, as it is; nil if
// nothing.
func (s *SSLSocket) OCSPResponse() []byte { return s.facts().state().OCSPResponse }

// ConnectionState returns what crypto/tls knows, zero before the end of the
// handshake.
func (s *SSLSocket) ConnectionState() tls.ConnectionState { return s.facts().state() }

// Session returns what a later connection can go on with. In TLS 1.3 the server
// sends it after the handshake: read first. A connection that goes on with an
// earlier session has that until the server sends another. nil if there is none,
// and on a server.
func (s *SSLSocket) Session() *SSLSession {
	con := s.tls.Load()
	if con == nil || con.server {
		return nil
	}
	return con.session.Load()
}

// SetSession is WrapOptions.Session of a socket that is not yet connected.
func (s *SSLSocket) SetSession(session *SSLSession) error {
	const op = "session"
	switch {
	case s.opts.ServerSide:
		return valueError(op, "Cannot set session for server-side SSLSocket.")
	case session != nil && session.ctx != s.ctx:
		return valueError(op, "Session refers to a different SSLContext.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	con := s.tls.Load()
	if con == nil {
		s.resume = session
		return nil
	}
	if con.shaken.Load() || !con.e.reading.try() {
		return valueError(op, "Cannot set session after handshake.")
	}
	defer con.e.reading.give()
	if con.e.next != nil {
		return valueError(op, "Cannot set session after handshake.")
	}
	con.resume = session
	return nil
}

// SessionReused reports whether the connection goes on with an earlier session.
func (s *SSLSocket) SessionReused() bool { return s.facts().state().DidResume }

func (f facts) state() tls.ConnectionState {
	if con := f.of(); con != nil {
		return con.state()
	}
	return tls.ConnectionState{}
}

func (f facts) done(op string) (*connection, error) {
	con := f.of()
	if con == nil || !con.good() {
		return nil, valueError(op, "handshake not done yet")
	}
	return con, nil
}

func (f facts) peercert() (*Certificate, error) {
	con, err := f.done("getpeercert")
	if err != nil {
		return nil, err
	}
	certs := con.state().PeerCertificates
	switch {
	case len(certs) == 0:
		return nil, nil
	case con.mode == CERT_NONE:
		return new(Certificate), nil
	}
	return describe(certs[0])
}

func (f facts) peercertBinary() ([]byte, error) {
	con, err := f.done("getpeercert")
	if err != nil {
		return nil, err
	}
	if certs := con.state().PeerCertificates; len(certs) > 0 {
		return certs[0].Raw, nil
	}
	return nil, nil
}

func (f facts) verifiedChain() (list [][]byte) {
	con, err := f.done("get_verified_chain")
	if err != nil {
		return nil
	}
	chain := con.chain
	if verified := con.state().VerifiedChains; len(chain) == 0 && len(verified) > 0 {
		chain = verified[0]
	}
	for _, c := range chain {
		list = append(list, c.Raw)
	}
	return list
}

func (f facts) unverifiedChain() (list [][]byte) {
	for _, c := range f.state().PeerCertificates {
		list = append(list, c.Raw)
	}
	return list
}

func (f facts) version() string { return versionName(f.state().Version) }

func (f facts) cipher() *CipherName {
	state := f.state()
	if state.Version == 0 {
		return nil
	}
	if s := suiteOf(state.CipherSuite); s != nil {
		name := s.cipherName()
		return &name
	}
	return &CipherName{Name: tls.CipherSuiteName(state.CipherSuite), Protocol: versionName(state.Version)} // of a tls.Config of the program's
}

func (f facts) sharedCiphers() []CipherName {
	con := f.of()
	if con == nil || !con.good() {
		return nil
	}
	return con.shared
}

func (f facts) channelBinding(kind string) ([]byte, error) {
	if kind != channelUnique && kind != channelExporter {
		return nil, valueError("get_channel_binding", quote(kind)+" channel binding type not implemented")
	}
	state := f.state()
	if state.Version == 0 {
		return nil, nil
	}
	if kind == channelUnique {
		return state.TLSUnique, nil
	}
	data, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32) // RFC 9266: a context of no bytes, which up to TLS 1.2 is not the same as none
	return data, convert("get_channel_binding", err)
}

// noFlags refuses flags as CPython does.
func noFlags(op string, flags []int) error {
	for _, f := range flags {
		if f != 0 {
			return valueError(op, "non-zero flags not allowed in calls to "+op+"() on SSLSocket")
		}
	}
	return nil
}

// notImplemented is CPython's NotImplementedError.
func notImplemented(op, msg string) error {
	return &sockapi.Error{Op: op, Err: fmt.Errorf("%s: %w", msg, errors.ErrUnsupported)}
}

func (s *SSLSocket) notAllowed(op string) error {
	return valueError(op, op+" not allowed on instances of SSLSocket")
}

// What TLS has no place for is refused, as in CPython: recvfrom and sendto while
// TLS is on, messages and duplicates always.

// Recvfrom is refused while TLS is on.
func (s *SSLSocket) Recvfrom(n int, flags ...int) ([]byte, sockapi.Addr, error) {
	if s.tls.Load() != nil {
		return nil, nil, s.notAllowed("recvfrom")
	}
	return s.Socket.Recvfrom(n, flags...)
}

// RecvfromInto is refused while TLS is on.
func (s *SSLSocket) RecvfromInto(buf []byte, nbytes int, flags ...int) (int, sockapi.Addr, error) {
	if s.tls.Load() != nil {
		return 0, nil, s.notAllowed("recvfrom_into")
	}
	return s.Socket.RecvfromInto(buf, nbytes, flags...)
}

// Sendto is refused while TLS is on.
func (s *SSLSocket) Sendto(data []byte, addr sockapi.Addr, flags ...int) (int, error) {
	if s.tls.Load() != nil {
		return 0, s.notAllowed("sendto")
	}
	return s.Socket.Sendto(data, addr, flags...)
}

func (s *SSLSocket) noMessages(op string) error {
	return notImplemented(op, op+" not allowed on instances of SSLSocket")
}

// Sendmsg is refused.
func (s *SSLSocket) Sendmsg([][]byte, []sockapi.Ancillary, int, sockapi.Addr) (int, error) {
	return 0, s.noMessages("sendmsg")
}

// SendmsgControl is refused.
func (s *SSLSocket) SendmsgControl([][]byte, []byte, int, sockapi.Addr) (int, error) {
	return 0, s.noMessages("sendmsg")
}

// Sendmmsg is refused.
func (s *SSLSocket) Sendmmsg([]sockapi.Message, ...int) (int, error) {
	return 0, s.noMessages("sendmmsg")
}

// SendFds is refused.
func (s *SSLSocket) SendFds([][]byte, []int, int, sockapi.Addr) (int, error) {
	return 0, s.noMessages("send_fds")
}

// Recvmsg is refused.
func (s *SSLSocket) Recvmsg(int, int, ...int) ([]byte, []sockapi.Ancillary, int, sockapi.Addr, error) {
	return nil, nil, 0, nil, s.noMessages("recvmsg")
}

// RecvmsgInto is refused.
func (s *SSLSocket) RecvmsgInto([][]byte, int, ...int) (int, []sockapi.Ancillary, int, sockapi.Addr, error) {
	return 0, nil, 0, nil, s.noMessages("recvmsg_into")
}

// RecvmsgControl is refused.
func (s *SSLSocket) RecvmsgControl([][]byte, []byte, ...int) (int, int, int, sockapi.Addr, error) {
	return 0, 0, 0, nil, s.noMessages("recvmsg")
}

// RecvFds is refused.
func (s *SSLSocket) RecvFds(int, int, ...int) ([]byte, []int, int, sockapi.Addr, error) {
	return nil, nil, 0, nil, s.noMessages("recv_fds")
}

// Recvmmsg is refused.
func (s *SSLSocket) Recvmmsg([]sockapi.Message, time.Duration, ...int) (int, error) {
	return 0, s.noMessages("recvmmsg")
}

// Dup is refused.
func (s *SSLSocket) Dup() (*sockapi.Socket, error) {
	return nil, notImplemented("dup", "Can't dup() SSLSocket instances")
}

// Makefile is refused: put a bufio.ReadWriter on [SSLSocket.Conn].
func (s *SSLSocket) Makefile(string, int) (*sockapi.File, error) {
	return nil, notImplemented("makefile", "use bufio over Conn")
}

// PacketConn is nil: TLS is no datagram protocol.
func (s *SSLSocket) PacketConn() *sockapi.PacketConn { return nil }
