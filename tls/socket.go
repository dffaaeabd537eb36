package tls

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"usersock/sockapi"
	"usersock/stack/endpoint"
)

// SSLSocket is a socket with TLS on it: ssl.SSLSocket. What it does not do
// itself (options, names, modes, Wait) is the socket's. Without TLS (it is not
// connected yet, or after Unwrap or Shutdown) its calls are the socket's too.
// All methods may be called from any goroutine; Close ends calls that other
// goroutines have blocked in.
//
// One timeout of the socket's mode bounds one call, however slowly the peer
// sends. A non-blocking socket gives SSLWantReadError or SSLWantWriteError,
// after which the same call is made again when the socket is ready, a write with
// the same bytes. A handshake that timed out goes on in the next call.
type SSLSocket struct {
	*sockapi.Socket
	opts WrapOptions
	ctx  *SSLContext
	tls  atomic.Pointer[connection]

	mu        sync.Mutex // a leaf
	connected bool
	resume    *SSLSession
}

// WrapOptions are the arguments of wrap_socket. The zero value is CPython's
// defaults.
type WrapOptions struct {
	ServerSide           bool
	ServerHostname       string // asked for by SNI, and verified where the context checks names
	NoHandshakeOnConnect bool   // do_handshake_on_connect=False
	ReportRaggedEOFs     bool   // suppress_ragged_eofs=False: an end without close_notify is SSLEOFError
	Session              *SSLSession
}

func (o *WrapOptions) check(c *SSLContext) error {
	switch {
	case o.ServerSide && o.ServerHostname != "":
		return valueError("wrap_socket", "server_hostname can only be specified in client mode")
	case o.ServerSide && o.Session != nil:
		return valueError("wrap_socket", "session can only be specified in client mode")
	case c.base == nil && c.CheckHostname() && o.ServerHostname == "":
		return valueError("wrap_socket", "check_hostname requires server_hostname")
	case strings.HasPrefix(o.ServerHostname, "."):
		return valueError("wrap_socket", "server_hostname cannot be an empty string or start with a leading dot.")
	case strings.ContainsFunc(o.ServerHostname, func(r rune) bool { return r <= ' ' || r > '~' }):
		return valueError("wrap_socket", "server_hostname must be ASCII, a name of other letters in its A-labels")
	case o.ServerSide && c.protocol == PROTOCOL_TLS_CLIENT:
		return valueError("wrap_socket", "Cannot create a server socket with a PROTOCOL_TLS_CLIENT context")
	case !o.ServerSide && c.protocol == PROTOCOL_TLS_SERVER:
		return valueError("wrap_socket", "Cannot create a client socket with a PROTOCOL_TLS_SERVER context")
	case o.Session != nil && o.Session.ctx != c:
		return valueError("wrap_socket", "Session refers to a different SSLContext.")
	}
	return nil
}

// WrapSocket puts TLS on a stream socket, which may be connected (then it shakes
// hands, unless told otherwise), not yet connected, or listening (then Accept
// does it). The socket's descriptor is the SSLSocket's from then on, and sock is
// as after Detach. After an error of the handshake it is closed.
func (c *SSLContext) WrapSocket(sock *sockapi.Socket, opts WrapOptions) (*SSLSocket, error) {
	if sock.Type() != sockapi.SOCK_STREAM {
		return nil, notImplemented("wrap_socket", "only stream sockets are supported")
	}
	if err := opts.check(c); err != nil {
		return nil, err
	}
	_, err := sock.Getpeername()
	connected := err == nil
	if err != nil && !errors.Is(err, endpoint.ENOTCONN) && !errors.Is(err, endpoint.EINVAL) {
		return nil, err
	}
	if connected && !opts.NoHandshakeOnConnect && sock.Gettimeout() == 0 {
		return nil, valueError("wrap_socket", "do_handshake_on_connect should not be specified for non-blocking sockets")
	}
	s := &SSLSocket{opts: opts, ctx: c, connected: connected, resume: opts.Session}
	var con *connection
	var transport *socketTransport
	if connected {
		transport = new(socketTransport)
		if con, err = c.connection(transport, transport, sock.Net().Stack().Clock(), &opts, true); err != nil {
			return nil, err
		}
	}
	if s.Socket, err = sock.Net().Adopt(sock.Detach()); err != nil {
		return nil, err
	}
	if !connected {
		return s, nil
	}
	transport.s, transport.conn = s.Socket, s.Socket.Conn()
	s.tls.Store(con)
	if !opts.NoHandshakeOnConnect {
		if err := s.DoHandshake(); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// start makes the connection of a socket that is about to be connected.
func (s *SSLSocket) start() (*connection, error) {
	t := &socketTransport{s: s.Socket, conn: s.Socket.Conn()}
	opts := s.opts
	s.mu.Lock()
	opts.Session = s.resume
	s.mu.Unlock()
	return s.ctx.connection(t, t, s.Net().Stack().Clock(), &opts, true)
}

// limit is how long a call may wait by the socket's mode.
func (s *SSLSocket) limit(con *connection) limit {
	l := limit{conn: con.sock.conn}
	switch timeout := s.Gettimeout(); {
	case timeout == 0:
		l.now = true
	case timeout > 0:
		l.at = con.clock.Now().Add(timeout)
	}
	return l
}

// DoHandshake shakes hands, or goes on with it: do_handshake. ENOTCONN on a
// socket without a peer.
func (s *SSLSocket) DoHandshake() error {
	con := s.tls.Load()
	if con == nil {
		if _, err := s.Getpeername(); err != nil {
			return err
		}
		return valueError("do_handshake", "No SSL wrapper around "+s.name())
	}
	l := s.limit(con)
	if err := con.live("do_handshake"); err != nil {
		return err
	}
	return con.handshake("do_handshake", &l)
}

func (s *SSLSocket) name() string { return fmt.Sprintf("SSLSocket of descriptor %d", s.Fileno()) }

// Connect connects the socket and shakes hands, unless told otherwise. An error
// of the handshake leaves it connected.
func (s *SSLSocket) Connect(addr sockapi.Addr) error {
	con, err := s.beginConnect()
	if err != nil {
		return err
	}
	if err := s.Socket.Connect(addr); err != nil {
		if !errors.Is(err, endpoint.EINPROGRESS) && !errors.Is(err, endpoint.EALREADY) {
			s.tls.CompareAndSwap(con, nil)
		}
		return err
	}
	return s.endConnect()
}

// ConnectEx is Connect with the error number of the connecting apart. The error
// beside it is the handshake's, or of what is no errno.
func (s *SSLSocket) ConnectEx(addr sockapi.Addr) (sockapi.Errno, error) {
	con, err := s.beginConnect()
	if err != nil {
		return 0, err
	}
	errno, err := s.Socket.ConnectEx(addr)
	switch {
	case err != nil || errno != 0 && errno != endpoint.EINPROGRESS && errno != endpoint.EALREADY:
		s.tls.CompareAndSwap(con, nil)
		return errno, err
	case errno != 0:
		return errno, nil
	}
	return 0, s.endConnect()
}

func (s *SSLSocket) beginConnect() (*connection, error) {
	if s.opts.ServerSide {
		return nil, valueError("connect", "can't connect in server-side mode")
	}
	s.mu.Lock()
	connected := s.connected
	s.mu.Unlock()
	con := s.tls.Load()
	switch {
	case connected:
		return nil, valueError("connect", "attempt to connect already-connected SSLSocket!")
	case con != nil:
		return con, nil // a connect that goes on
	}
	con, err := s.start()
	if err == nil {
		s.tls.Store(con)
	}
	return con, err
}

func (s *SSLSocket) endConnect() error {
	s.mu.Lock()
	s.connected = true
	s.mu.Unlock()
	if s.opts.NoHandshakeOnConnect {
		return nil
	}
	return s.DoHandshake()
}

// Accept accepts a connection on a listening socket and wraps it with the
// options of this one: the handshake is part of it unless told otherwise.
func (s *SSLSocket) Accept() (*SSLSocket, sockapi.Addr, error) {
	plain, addr, err := s.Socket.Accept()
	if err != nil {
		return nil, nil, err
	}
	opts := s.opts
	opts.ServerSide, opts.ServerHostname, opts.Session = true, "", nil
	wrapped, err := s.ctx.WrapSocket(plain, opts)
	if err != nil {
		plain.Close()
		return nil, nil, err
	}
	return wrapped, addr, nil
}

// readInto is every call that receives.
func (s *SSLSocket) readInto(op string, con *connection, p []byte) (int, error) {
	l := s.limit(con)
	n, err := con.read(op, p, &l)
	if err == io.EOF || errors.Is(err, SSLEOFError) && !s.opts.ReportRaggedEOFs && con.good() {
		return 0, nil
	}
	return n, err
}

// readAlloc is readInto with a buffer of its own.
func (s *SSLSocket) readAlloc(op string, con *connection, n int) ([]byte, error) {
	if n < 0 {
		return nil, valueError(op, "negative buffersize in "+op)
	}
	buf := make([]byte, min(n, recordMax))
	got, err := s.readInto(op, con, buf)
	if got == 0 {
		return nil, err
	}
	return buf[:got:got], err
}

// Read reads at most n bytes of plain text, and shakes hands first if that is
// not over. No bytes are the end.
func (s *SSLSocket) Read(n int) ([]byte, error) {
	con := s.tls.Load()
	if con == nil {
		return nil, valueError("read", "Read on closed or unwrapped SSL socket.")
	}
	return s.readAlloc("read", con, n)
}

// Write writes data and returns how many bytes: all, unless the socket is
// non-blocking.
func (s *SSLSocket) Write(data []byte) (int, error) {
	con := s.tls.Load()
	if con == nil {
		return 0, valueError("write", "Write on closed or unwrapped SSL socket.")
	}
	l := s.limit(con)
	return con.write("write", data, &l)
}

// Recv is [SSLSocket.Read]; flags other than 0 are refused.
func (s *SSLSocket) Recv(n int, flags ...int) ([]byte, error) {
	con := s.tls.Load()
	if con == nil {
		return s.Socket.Recv(n, flags...)
	}
	if err := noFlags("recv", flags); err != nil {
		return nil, err
	}
	return s.readAlloc("recv", con, n)
}

// RecvInto reads into buf, at most nbytes; 0 means all of buf.
func (s *SSLSocket) RecvInto(buf []byte, nbytes int, flags ...int) (int, error) {
	con := s.tls.Load()
	if con == nil {
		return s.Socket.RecvInto(buf, nbytes, flags...)
	}
	if err := noFlags("recv_into", flags); err != nil {
		return 0, err
	}
	switch {
	case nbytes < 0:
		return 0, valueError("recv_into", "negative buffersize in recv_into")
	case nbytes > len(buf):
		return 0, valueError("recv_into", "nbytes is greater than the length of the buffer")
	case nbytes > 0:
		buf = buf[:nbytes]
	}
	return s.readInto("recv_into", con, buf)
}

// Send is [SSLSocket.Write]; flags other than 0 are refused.
func (s *SSLSocket) Send(data []byte, flags ...int) (int, error) {
	con := s.tls.Load()
	if con == nil {
		return s.Socket.Send(data, flags...)
	}
	if err := noFlags("send", flags); err != nil {
		return 0, err
	}
	l := s.limit(con)
	return con.write("send", data, &l)
}

// Sendall sends all of data.
func (s *SSLSocket) Sendall(data []byte, flags ...int) error {
	con := s.tls.Load()
	if con == nil {
		return s.Socket.Sendall(data, flags...)
	}
	if err := noFlags("sendall", flags); err != nil {
		return err
	}
	l := s.limit(con)
	for len(data) > 0 {
		n, err := con.write("sendall", data, &l)
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// Sendfile sends what file has from offset on, count bytes of it at most or −1
// for all, and returns how many bytes that were. Other counts, a negative offset
// and non-blocking mode are a ValueError.
func (s *SSLSocket) Sendfile(file io.Reader, offset, count int64) (int64, error) {
	con := s.tls.Load()
	if con == nil {
		return s.Socket.Sendfile(file, offset, count)
	}
	if offset < 0 || count == 0 || count < -1 {
		return 0, valueError("sendfile", fmt.Sprintf("count must be a positive integer or -1 (got %d), and offset not negative (got %d)", count, offset))
	}
	if s.Gettimeout() == 0 {
		return 0, valueError("sendfile", "non-blocking sockets are not supported")
	}
	if offset > 0 {
		seeker, ok := file.(io.Seeker)
		if !ok {
			return 0, valueError("sendfile", "the file cannot be positioned")
		}
		if _, err := seeker.Seek(offset, io.SeekStart); err != nil {
			return 0, err
		}
	}
	if count > 0 {
		file = io.LimitReader(file, count)
	}
	return io.CopyBuffer(writerFunc(func(p []byte) (int, error) {
		l := s.limit(con)
		return con.write("sendfile", p, &l)
	}), struct{ io.Reader }{file}, make([]byte, recordMax))
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Unwrap ends TLS: it says so to the peer, waits until the peer says the same,
// and returns the socket, on which plain text goes on at the next byte.
// Non-blocking it is called until it succeeds. Bytes that were not read before
// are an error, APPLICATION_DATA_AFTER_CLOSE_NOTIFY, and so is an end without
// the peer's close_notify, SSLEOFError.
func (s *SSLSocket) Unwrap() (*sockapi.Socket, error) {
	con := s.tls.Load()
	if con == nil {
		return nil, valueError("unwrap", "No SSL wrapper around "+s.name())
	}
	l := s.limit(con)
	if err := con.unwrap(&l); err != nil {
		return nil, err
	}
	s.tls.CompareAndSwap(con, nil)
	return s.Socket, nil
}

// Shutdown is the socket's, without close_notify: TLS is off afterwards.
func (s *SSLSocket) Shutdown(how int) error {
	if err := s.Socket.Shutdown(how); err != nil {
		return err
	}
	if con := s.tls.Swap(nil); con != nil {
		con.abandon()
	}
	return nil
}

// Close closes the socket, without close_notify.
func (s *SSLSocket) Close() error {
	con := s.tls.Load()
	if con != nil {
		con.closed.Store(true)
	}
	err := s.Socket.Close()
	if con != nil {
		con.abandon()
	}
	return err
}

// Detach gives the descriptor away, without TLS.
func (s *SSLSocket) Detach() int {
	fd := s.Socket.Detach()
	if con := s.tls.Load(); con != nil {
		con.closed.Store(true)
		con.abandon()
	}
	return fd
}

// Pending returns how many bytes of plain text can be read without the socket.
// Select and poll do not know of them.
func (s *SSLSocket) Pending() int {
	if con := s.tls.Load(); con != nil {
		return con.pending()
	}
	return 0
}
