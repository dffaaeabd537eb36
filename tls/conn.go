package tls

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"usersock/sockapi"
	"usersock/stack/endpoint"
)

// The Go dialect. Programs that need a *tls.Conn itself (HTTP/2 in net/http)
// take [SSLContext.Config] and run crypto/tls over a [sockapi.Conn].

// Conn is a TLS connection as a net.Conn. It has its own deadlines and ignores
// the socket's timeout; the first Read or Write shakes hands. A handshake goes on
// after a deadline. A Write that its deadline ends counts what was encrypted as
// written: it goes out before anything that is written later.
type Conn struct {
	con      *connection
	raw      *sockapi.Conn
	ragged   bool // report an end without close_notify
	accepted bool // by a listener: ConnectionState shakes hands
	read     deadline
	write    deadline
}

var _ net.Conn = (*Conn)(nil)

// Client puts TLS on a connection that a sockapi.Net has dialed. The name is
// asked for by SNI, and verified where the context checks names. Close closes
// raw too.
func (c *SSLContext) Client(raw *sockapi.Conn, serverHostname string) (*Conn, error) {
	return c.overConn(raw, WrapOptions{ServerHostname: serverHostname})
}

// Server is the other end of Client.
func (c *SSLContext) Server(raw *sockapi.Conn) (*Conn, error) {
	return c.overConn(raw, WrapOptions{ServerSide: true})
}

func (c *SSLContext) overConn(raw *sockapi.Conn, opts WrapOptions) (*Conn, error) {
	if err := opts.check(c); err != nil {
		return nil, err
	}
	s := raw.Socket()
	t := &socketTransport{s: s, conn: s.Conn()}
	con, err := c.connection(t, t, s.Net().Stack().Clock(), &opts, false)
	if err != nil {
		return nil, err
	}
	return newConn(con, raw, false), nil
}

func newConn(con *connection, raw *sockapi.Conn, ragged bool) *Conn {
	c := &Conn{con: con, raw: raw, ragged: ragged}
	c.read.over, c.write.over = make(chan struct{}), make(chan struct{})
	return c
}

// Conn returns the connection as a net.Conn, with which it shares everything but
// timeouts. nil where there is no TLS on the socket.
func (s *SSLSocket) Conn() *Conn {
	con := s.tls.Load()
	if con == nil {
		return nil
	}
	return newConn(con, s.Socket.Conn(), s.opts.ReportRaggedEOFs)
}

// DialTLSContext returns a function for http.Transport's field of that name:
// what it dials is verified for the name in the address.
func (c *SSLContext) DialTLSContext(n *sockapi.Net) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		plain, err := n.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		raw, ok := plain.(*sockapi.Conn)
		if !ok {
			plain.Close()
			return nil, notImplemented("dial", "only stream sockets are supported")
		}
		conn, err := c.Client(raw, host)
		if err != nil {
			plain.Close()
			return nil, err
		}
		if err := conn.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		return conn, nil
	}
}

// NewListener returns a listener whose connections are this context's servers.
// They shake hands with the first Read or Write, or when ConnectionState is asked
// for first, as http.Server does: then for ten seconds at most.
func (c *SSLContext) NewListener(l net.Listener) net.Listener { return &listener{l, c} }

type listener struct {
	net.Listener
	ctx *SSLContext
}

func (l *listener) Accept() (net.Conn, error) {
	plain, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	raw, ok := plain.(*sockapi.Conn)
	if !ok {
		plain.Close()
		return nil, notImplemented("accept", "only connections of a sockapi.Listener are supported")
	}
	conn, err := l.ctx.Server(raw)
	if err != nil {
		plain.Close()
		return nil, err
	}
	conn.accepted = true
	return conn, nil
}

// Listener returns a listening socket as a net.Listener of TLS connections.
func (s *SSLSocket) Listener() net.Listener { return s.ctx.NewListener(s.Socket.Listener()) }

func (c *Conn) limit(d *deadline) limit { return limit{conn: c.raw, expired: d.wait(), whole: true} }

// Handshake shakes hands, or goes on with it. Both deadlines count.
func (c *Conn) Handshake() error {
	l := c.limit(&c.read)
	return c.con.handshake("handshake", &l)
}

// HandshakeContext is Handshake until the context ends, which closes the
// connection.
func (c *Conn) HandshakeContext(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	err := c.Handshake()
	if !stop() && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Read reads plain text. The end is io.EOF; one without close_notify too, unless
// the socket was wrapped with ReportRaggedEOFs.
func (c *Conn) Read(p []byte) (int, error) {
	l := c.limit(&c.read)
	n, err := c.con.read("read", p, &l)
	if !c.ragged && c.con.good() && errors.Is(err, SSLEOFError) {
		err = io.EOF
	}
	return n, err
}

// Write writes all of p.
func (c *Conn) Write(p []byte) (int, error) {
	l := c.limit(&c.write)
	return c.con.write("write", p, &l)
}

// CloseWrite sends close_notify: the peer reads the end, and may go on writing.
func (c *Conn) CloseWrite() error {
	l := c.limit(&c.write)
	if err := c.con.handshake("close", &l); err != nil {
		return err
	}
	if err := c.con.takeWriting(&l); err != nil {
		return convert("close", err)
	}
	defer c.con.e.writing.give()
	return convert("close", c.con.e.closeNotify())
}

// Close sends close_notify, and what else can be sent without waiting, and closes
// the socket. Reads and Writes that wait end with net.ErrClosed.
func (c *Conn) Close() error {
	if !c.con.closed.Swap(true) && c.con.good() {
		now := limit{now: true}
		if c.con.takeWriting(&now) == nil {
			_ = c.con.e.closeNotify()
			c.con.e.writing.give()
		}
	}
	err := c.raw.Close()
	c.con.abandon()
	c.read.stop()
	c.write.stop()
	return err
}

// LocalAddr returns the socket's.
func (c *Conn) LocalAddr() net.Addr { return c.raw.LocalAddr() }

// RemoteAddr returns the peer's.
func (c *Conn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// SetDeadline sets both deadlines; the zero time is none. Calls under way heed
// it too.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets the deadline of Read.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if err := c.raw.SetReadDeadline(t); err != nil {
		return err
	}
	c.read.set(c.con.clock, t)
	return nil
}

// SetWriteDeadline sets the deadline of Write.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if err := c.raw.SetWriteDeadline(t); err != nil {
		return err
	}
	c.write.set(c.con.clock, t)
	return nil
}

// NetConn returns the connection below.
func (c *Conn) NetConn() net.Conn { return c.raw }

// handshakeLimit is how long ConnectionState of an accepted connection waits.
const handshakeLimit = 10 * time.Second

// ConnectionState returns what crypto/tls knows, zero before the end of the
// handshake. A connection from [SSLContext.NewListener] shakes hands first: how
// that failed the next call says, and one that took too long goes on there.
func (c *Conn) ConnectionState() tls.ConnectionState {
	if c.accepted {
		_ = c.con.handshake("handshake", &limit{conn: c.con.sock.conn, at: c.con.clock.Now().Add(handshakeLimit)})
	}
	return c.con.state()
}

// Getpeercert is [SSLSocket.Getpeercert].
func (c *Conn) Getpeercert() (*Certificate, error) {
	return facts{func() *connection { return c.con }}.peercert()
}

// deadline is for calls that wait for their turn: the socket has its own.
type deadline struct {
	mu    sync.Mutex // a leaf
	timer endpoint.Timer
	over  chan struct{} // closed while the deadline has passed
}

func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}

func (d *deadline) set(clock endpoint.Clock, t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	select {
	case <-d.over:
		d.over = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return
	}
	over := d.over
	left := t.Sub(clock.Now())
	if left <= 0 {
		close(over)
		return
	}
	var timer endpoint.Timer
	timer = clock.AfterFunc(left, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.timer == timer { // else it was set anew meanwhile
			d.timer = nil
			close(over)
		}
	})
	d.timer = timer
}

func (d *deadline) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
