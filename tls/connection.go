package tls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"

	"usersock/sockapi"
	"usersock/stack/endpoint"
)

// connection is what the shapes of a TLS connection have in common: the engine
// with its turns, and what the handshake found out.
type connection struct {
	e         *engine
	sock      *socketTransport // nil over MemoryBIOs
	clock     endpoint.Clock
	server    bool
	ignoreEOF bool
	hostname  string
	resume    *SSLSession
	ctx       atomic.Pointer[SSLContext] // a callback may change it during the handshake
	first     *SSLContext                // that it began with
	session   atomic.Pointer[SSLSession]
	shaken    atomic.Bool // the handshake is over, well or not
	outcome   error       // how; as convert made it
	closed    atomic.Bool

	// From here on written during the handshake alone.
	mode     int
	verifier verifier
	chain    []*x509.Certificate // verified
	shared   []CipherName
}

// connection makes a connection. over is the transport, sock the same or nil.
// sessions says whether the program can go on with the session later: without,
// a client asks for no tickets, which nobody may read before the socket is closed
// (and what is unread then makes TCP reset the connection).
func (c *SSLContext) connection(over transport, sock *socketTransport, clock endpoint.Clock, opts *WrapOptions, sessions bool) (*connection, error) {
	con := &connection{sock: sock, clock: clock, server: opts.ServerSide, hostname: opts.ServerHostname, resume: opts.Session, first: c}
	con.ctx.Store(c)
	cfg, err := c.config(con)
	if err != nil {
		return nil, err
	}
	if !sessions && c.base == nil {
		cfg.ClientSessionCache = nil
	}
	kind := tls.Client
	if opts.ServerSide {
		kind = tls.Server
	}
	con.e = newEngine(over, &c.bufs, kind, cfg)
	return con, nil
}

// verify is crypto/tls's question about the peer.
func (c *connection) verify(cs tls.ConnectionState) error {
	c.verifier.now = c.clock.Now()
	chain, err := c.verifier.connection(&cs, c.mode)
	c.chain = chain
	return err
}

// A limit says how long one call may wait.
type limit struct {
	now     bool            // not at all
	at      time.Time       // until then; zero for ever
	conn    *sockapi.Conn   // whose deadline it is
	expired <-chan struct{} // closed when a deadline of the Go dialect has passed; may be nil
	whole   bool            // what was encrypted counts as written: see Conn
}

// take waits for a turn. late is what is returned if it does not come in time.
func (c *connection) take(t turn, l *limit, block, late error) error {
	select {
	case <-l.expired: // nothing is begun after a deadline of the Go dialect
		return late
	default:
	}
	if t.try() {
		return nil
	}
	if l.now {
		return block
	}
	var over chan struct{}
	if !l.at.IsZero() {
		left := l.at.Sub(c.clock.Now())
		if left <= 0 {
			return late
		}
		over = make(chan struct{})
		timer := c.clock.AfterFunc(left, func() { close(over) })
		defer timer.Stop()
	}
	select {
	case t <- struct{}{}:
		return nil
	case <-over:
		return late
	case <-l.expired:
		return late
	}
}

func (c *connection) takeReading(l *limit) error {
	if err := c.take(c.e.reading, l, errWantRead, errReadTime); err != nil {
		return err
	}
	if c.sock != nil {
		c.sock.forReading(l)
	}
	return nil
}

func (c *connection) takeWriting(l *limit) error {
	if err := c.take(c.e.writing, l, errWantWrite, errWriteTime); err != nil {
		return err
	}
	if c.sock != nil {
		c.sock.forWriting(l)
	}
	return nil
}

// handshake shakes hands, or goes on with it. The error is as convert made it.
func (c *connection) handshake(op string, l *limit) error {
	if c.shaken.Load() {
		return c.outcome
	}
	if err := c.takeReading(l); err != nil {
		return convert(op, err)
	}
	if err := c.takeWriting(l); err != nil {
		c.e.reading.give()
		return convert(op, err)
	}
	err := c.goOn(op)
	c.e.writing.give()
	c.e.reading.give()
	if c.closed.Load() {
		c.abandon()
	}
	return err
}

func (c *connection) goOn(op string) error {
	if c.shaken.Load() {
		return c.outcome
	}
	begin, good := statConnect, statConnectGood
	if c.server {
		begin, good = statAccept, statAcceptGood
	}
	if c.e.next == nil {
		count(&c.first.stats[begin])
	}
	err := c.e.handshake()
	if !c.e.done {
		return convert(op, err)
	}
	if err == nil {
		count(&c.first.stats[good])
		if c.e.tls.ConnectionState().DidResume {
			count(&c.first.stats[statHits])
			c.session.CompareAndSwap(nil, c.resume) // until the server sends another, if it does
		}
	}
	c.outcome = convert(op, err)
	c.shaken.Store(true)
	return c.outcome
}

// abandon ends a handshake that nobody will go on with, unless somebody is at
// it, who then does so.
func (c *connection) abandon() {
	if c.shaken.Load() || !c.e.reading.try() {
		return
	}
	defer c.e.reading.give()
	if !c.e.writing.try() {
		return
	}
	defer c.e.writing.give()
	c.e.abandon()
}

// read reads plain text, after the handshake if that is not over. The end is
// io.EOF, also one without close_notify if the context takes that for one.
func (c *connection) read(op string, p []byte, l *limit) (int, error) {
	if err := c.handshake(op, l); err != nil {
		return 0, err
	}
	if err := c.live(op); err != nil || len(p) == 0 {
		return 0, err
	}
	if err := c.takeReading(l); err != nil {
		return 0, convert(op, err)
	}
	defer c.e.reading.give()
	for {
		n, err := c.e.read(p)
		switch {
		case n > 0:
			return n, nil
		case err == io.EOF, c.ignoreEOF && errors.Is(err, errRagged):
			return 0, io.EOF
		case err != nil:
			return 0, convert(op, err)
		}
	}
}

// write writes all of p, and says how many bytes before an error.
func (c *connection) write(op string, p []byte, l *limit) (n int, err error) {
	if err := c.handshake(op, l); err != nil {
		return 0, err
	}
	if err := c.live(op); err != nil || len(p) == 0 {
		return 0, err
	}
	if err := c.takeWriting(l); err != nil {
		return 0, convert(op, err)
	}
	defer c.e.writing.give()
	if l.whole {
		n, err = c.writeWhole(p)
		return n, convert(op, err)
	}
	for n < len(p) {
		m, err := c.e.write(p[n:])
		n += m
		if err != nil {
			if n > 0 && l.now {
				return n, nil // the rest is the next call's
			}
			return n, convert(op, err)
		}
	}
	return n, nil
}

// writeWhole counts what was encrypted as written: it goes out before anything
// else, with the next call at the latest.
func (c *connection) writeWhole(p []byte) (n int, err error) {
	if err := c.e.flush(); err != nil {
		return 0, err
	}
	for n < len(p) {
		m, err := c.e.write(p[n:])
		if err != nil {
			n += c.e.pendingWrite
			c.e.pendingWrite = 0
			return n, err
		}
		n += m
	}
	return n, nil
}

// live is the error of a socket that was closed.
func (c *connection) live(op string) error {
	if c.closed.Load() && c.sock != nil {
		_, err := c.sock.s.RecvInto(nil, 0)
		return convert(op, err)
	}
	return nil
}

// unwrap says the end and waits for the peer's.
func (c *connection) unwrap(l *limit) error {
	const op = "unwrap"
	if err := c.handshake(op, l); err != nil {
		return err
	}
	if err := c.takeWriting(l); err != nil {
		return convert(op, err)
	}
	err := c.e.closeNotify()
	c.e.writing.give()
	if err != nil {
		return convert(op, err)
	}
	if err := c.takeReading(l); err != nil {
		return convert(op, err)
	}
	defer c.e.reading.give()
	return convert(op, c.e.awaitClose())
}

// pending is how many bytes of plain text can be read without the socket.
func (c *connection) pending() int {
	if !c.e.reading.try() {
		return 0
	}
	defer c.e.reading.give()
	return len(c.e.plain)
}

// state is crypto/tls's, zero before the end of the handshake.
func (c *connection) state() tls.ConnectionState {
	if !c.shaken.Load() || c.outcome != nil {
		return tls.ConnectionState{}
	}
	return c.e.tls.ConnectionState()
}

func (c *connection) good() bool { return c.shaken.Load() && c.outcome == nil }

// socketTransport is the engine's way to a socket. Each direction belongs to who
// has the turn.
type socketTransport struct {
	s          *sockapi.Socket
	conn       *sockapi.Conn // private: its deadlines are those of the documented calls
	r, w       limit
	rSet, wSet bool // conn has a deadline
}

func (t *socketTransport) forReading(l *limit) {
	t.r = *l
	if l.conn == t.conn && !l.now && (t.rSet || !l.at.IsZero()) {
		t.rSet = !l.at.IsZero()
		_ = t.conn.SetReadDeadline(l.at) // fails if the socket is closed, as the read will
	}
}

func (t *socketTransport) forWriting(l *limit) {
	t.w = *l
	if l.conn == t.conn && !l.now && (t.wSet || !l.at.IsZero()) {
		t.wSet = !l.at.IsZero()
		_ = t.conn.SetWriteDeadline(l.at)
	}
}

func (t *socketTransport) recv(p []byte) (int, error) {
	if t.r.now {
		n, err := t.s.RecvInto(p, 0, sockapi.MSG_DONTWAIT)
		switch {
		case err == nil && n == 0:
			return 0, io.EOF
		case err != nil && errors.Is(err, endpoint.EAGAIN):
			return 0, errWantRead
		}
		return n, err
	}
	n, err := t.r.conn.Read(p)
	if err != nil && err != io.EOF && errors.Is(err, os.ErrDeadlineExceeded) {
		return n, errReadTime
	}
	return n, err
}

func (t *socketTransport) send(p []byte) (int, error) {
	if t.w.now {
		return t.trySend(p)
	}
	n, err := t.w.conn.Write(p)
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return n, errWriteTime
	}
	return n, err
}

func (t *socketTransport) trySend(p []byte) (int, error) {
	n, err := t.s.Send(p, sockapi.MSG_DONTWAIT)
	if err != nil && errors.Is(err, endpoint.EAGAIN) {
		return n, errWantWrite
	}
	return n, err
}
