// Package stream carries DNS messages over connections that are kept and
// shared: TCP as RFC 7766 wants it, and TLS (RFC 7858) by another dial
// function.
//
// A [Client] talks to one server. Queries are pipelined: each is written at
// once, and replies come in any order, told apart by their IDs. A connection
// that nobody has used for Config.Idle is closed by a timer of the clock.
//
// Theory of operation. A connection has one goroutine, which reads; it ends
// when the connection is closed, and [Client.Close] waits for it. A connection
// is current (new queries go there) or retired (it only serves those that
// wait); it is closed when it is retired and nobody waits. It retires
//
//   - when a query was given up, because then the server may be dead;
//   - when too many queries wait on it;
//   - when something came that nobody asked for, more often than maxForeign.
//
// The last one, and every error, fails all who wait. A query that fails on a
// connection which it did not open itself says so ([Call.Reused]): the server
// may have closed it while it was idle, and the query may be sent again.
package stream

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"usersock/stack/endpoint"
)

const (
	maxMessage = 65535
	maxWaiting = 128 // queries that wait on one connection
	maxTries   = 3   // how often Exchange sends a query
	maxForeign = 2   // messages nobody asked for that a connection may bring
)

// Errors that end queries.
var (
	ErrClosed  = errors.New("client is closed")
	errForeign = errors.New("server sends messages that nobody asked for")
	errIdle    = errors.New("connection was idle")
)

// Config is what a Client works with. All fields are needed.
type Config struct {
	// Dial opens a connection. It must return when ctx is done.
	Dial  func(ctx context.Context) (net.Conn, error)
	Clock endpoint.Clock
	Idle  time.Duration
}

// Client sends queries to one server. Its methods may be called from any
// goroutine.
type Client struct {
	cfg     Config
	dialing chan struct{} // holds the turn of whoever dials
	readers sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	current *conn
	open    map[*conn]struct{}
}

// conn is one connection. Its fields below raw are guarded by the Client's mu.
type conn struct {
	client *Client
	raw    net.Conn

	waiting map[uint16]*Call
	idle    endpoint.Timer
	retired bool
	closed  bool
	foreign int
}

// Call is a query that has been sent.
type Call struct {
	// Reused says that the connection had been opened for an earlier query.
	Reused bool

	conn     *conn
	id       uint16 // on the wire
	original uint16 // the caller's
	done     chan struct{}
	reply    []byte
	err      error
}

// New returns a client; it opens nothing yet.
func New(cfg Config) *Client {
	return &Client{cfg: cfg, dialing: make(chan struct{}, 1), open: map[*conn]struct{}{}}
}

// Exchange sends a query and waits for its reply; again where the connection
// turns out to be dead.
func (c *Client) Exchange(ctx context.Context, query []byte) (reply []byte, err error) {
	for range maxTries {
		var call *Call
		if call, err = c.Send(ctx, query); err == nil {
			reply, err = call.Wait(ctx)
		}
		if err == nil || call == nil || !call.Reused || ctx.Err() != nil {
			return reply, err
		}
	}
	return nil, err
}

// Send sends a query, and opens a connection for it if there is none. The
// query is not kept. With an error, the Call may still say Reused.
func (c *Client) Send(ctx context.Context, query []byte) (*Call, error) {
	if len(query) < 12 || len(query) > maxMessage {
		return nil, fmt.Errorf("a DNS message of %d bytes", len(query))
	}
	call := &Call{original: binary.BigEndian.Uint16(query), done: make(chan struct{})}
	if err := c.place(ctx, call); err != nil {
		return nil, err
	}
	framed := make([]byte, 2+len(query))
	binary.BigEndian.PutUint16(framed, uint16(len(query)))
	copy(framed[2:], query)
	binary.BigEndian.PutUint16(framed[2:], call.id)
	stop := context.AfterFunc(ctx, func() { c.end(call.conn, context.Cause(ctx)) })
	_, err := call.conn.raw.Write(framed) // one Write: a message stays in one piece
	stop()
	if err != nil {
		c.end(call.conn, fmt.Errorf("sending the query: %w", err))
		return call, call.failure(ctx)
	}
	return call, nil
}

// Wait returns the reply. When ctx ends first the query is given up.
func (call *Call) Wait(ctx context.Context) ([]byte, error) {
	select {
	case <-call.done:
	case <-ctx.Done():
		call.conn.client.abandon(call)
	}
	<-call.done
	if call.err != nil {
		return nil, call.failure(ctx)
	}
	binary.BigEndian.PutUint16(call.reply, call.original)
	return call.reply, nil
}

// Refuse says that the reply was not one to the query: the connection brings
// no further ones.
func (call *Call) Refuse() { call.conn.client.end(call.conn, errForeign) }

func (call *Call) failure(ctx context.Context) error {
	<-call.done
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return call.err
}

// place puts the call on a connection.
func (c *Client) place(ctx context.Context, call *Call) error {
	if c.join(call) {
		return nil
	}
	select {
	case c.dialing <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-c.dialing }()
	if c.join(call) {
		return nil // somebody else has dialled meanwhile
	}
	if c.isClosed() {
		return ErrClosed
	}
	raw, err := c.cfg.Dial(ctx)
	if err != nil {
		return err
	}
	n := &conn{client: c, raw: raw, waiting: map[uint16]*Call{}}
	c.mu.Lock()
	closed := c.closed
	if !closed {
		c.current = n
		c.open[n] = struct{}{}
		n.add(call)
		n.idle = c.cfg.Clock.AfterFunc(c.cfg.Idle, n.idled)
		c.readers.Go(n.read)
	}
	c.mu.Unlock()
	if closed {
		raw.Close()
		return ErrClosed
	}
	return nil
}

// join lets the call wait on the current connection, if there is one.
func (c *Client) join(call *Call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == nil {
		return false
	}
	call.Reused = true
	c.current.add(call)
	return true
}

// add lets the call wait, with an ID that nobody else here has. The Client is
// locked.
func (n *conn) add(call *Call) {
	call.conn, call.id = n, call.original
	for n.waiting[call.id] != nil {
		call.id++
	}
	n.waiting[call.id] = call
	if len(n.waiting) >= maxWaiting {
		n.retire()
	}
}

func (c *Client) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// abandon gives a query up.
func (c *Client) abandon(call *Call) {
	n := call.conn
	c.mu.Lock()
	if n.waiting[call.id] != call {
		c.mu.Unlock()
		return
	}
	delete(n.waiting, call.id)
	call.err = context.Canceled // Wait shows the context's own cause
	close(call.done)
	n.retire()
	last := len(n.waiting) == 0
	c.mu.Unlock()
	if last {
		c.end(n, errIdle)
	}
}

// retire lets no new query onto the connection. The Client is locked.
func (n *conn) retire() {
	n.retired = true
	if n.client.current == n {
		n.client.current = nil
	}
}

// end closes a connection and fails all who wait on it.
func (c *Client) end(n *conn, err error) {
	c.mu.Lock()
	if n.closed {
		c.mu.Unlock()
		return
	}
	n.closed = true
	n.retire()
	delete(c.open, n)
	for _, call := range n.waiting {
		call.err = err
		close(call.done)
	}
	n.waiting = nil
	c.mu.Unlock()
	n.idle.Stop()
	n.raw.Close()
}

// idled is called when the connection may have been idle for long enough. It
// runs on the clock's goroutine, which must not wait: the reader, woken by a
// deadline in the past, closes the connection.
func (n *conn) idled() {
	n.client.mu.Lock()
	used := len(n.waiting) > 0
	if !used {
		n.retire()
	}
	n.client.mu.Unlock()
	if !used {
		n.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

// read takes replies until the connection ends.
func (n *conn) read() {
	r := bufio.NewReaderSize(n.raw, 2048)
	for {
		msg, err := ReadMessage(r)
		if err == nil {
			err = n.deliver(msg)
		} else {
			err = fmt.Errorf("waiting for the reply: %w", err)
		}
		if err != nil {
			n.client.end(n, err)
			return
		}
	}
}

// deliver hands a message to whoever waits for it. An error ends the
// connection.
func (n *conn) deliver(msg []byte) error {
	c := n.client
	c.mu.Lock()
	defer c.mu.Unlock()
	var call *Call
	if len(msg) >= 12 {
		call = n.waiting[binary.BigEndian.Uint16(msg)]
	}
	if call == nil {
		// A retired connection may bring what was given up.
		if n.foreign++; n.foreign > maxForeign && !n.retired || n.foreign > maxWaiting {
			return errForeign
		}
		return nil
	}
	delete(n.waiting, call.id)
	call.reply = msg
	close(call.done)
	if len(n.waiting) > 0 {
		return nil
	}
	if n.retired {
		return errIdle
	}
	n.idle.Reset(c.cfg.Idle)
	return nil
}

// Close closes the connections, fails the queries that wait and returns when
// nothing of the client runs any more. Later queries fail with ErrClosed.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	var open []*conn
	for n := range c.open {
		open = append(open, n)
	}
	c.mu.Unlock()
	for _, n := range open {
		c.end(n, ErrClosed)
	}
	c.readers.Wait()
}

// ReadMessage reads one message with its length in front (RFC 1035, section
// 4.2.2). It takes memory as the bytes come, not as they are announced.
func ReadMessage(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	left := int(binary.BigEndian.Uint16(size[:]))
	msg := make([]byte, 0, min(left, 1500))
	for left > 0 {
		if len(msg) == cap(msg) {
			msg = append(make([]byte, 0, min(4*cap(msg), len(msg)+left)), msg...)
		}
		n, err := io.ReadFull(r, msg[len(msg):min(cap(msg), len(msg)+left)])
		msg, left = msg[:len(msg)+n], left-n
		if err != nil {
			return nil, err
		}
	}
	return msg, nil
}
