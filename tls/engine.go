package tls

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"iter"
	"net"
	"strings"
	"sync"
	"time"
)

// Theory of operation.
//
// crypto/tls wants a net.Conn that waits. Python's ssl module wants more: calls
// that never wait and say what they lack (WANT_READ, WANT_WRITE), handshakes that
// go on after a timeout, an end of the stream that is told apart from a cut
// cable, and an unwrap after which the next byte of plain text is the next byte
// that the socket gives. So tls.Conn runs over a pipe, which is the engine, and
// the engine over a transport, which is a socket or a pair of MemoryBIOs.
//
// Reading. The engine hands tls.Conn the bytes of one record and no more: five of
// its header, then as many as that says. tls.Conn always asks for more than it
// needs, and would take the plain text that follows a close_notify. The bytes go
// from the transport straight into tls.Conn's buffer. Where the transport has
// none, tls.Conn is told of an error that is temporary; it keeps the part of the
// record that it has, and is called again when there is more.
//
// Writing. What tls.Conn writes is kept in out, and sent by whoever made it
// write. A temporary error on the way out would be the end of a tls.Conn, so it
// never sees one. A call that writes is over when out is empty; one that could
// not send all of it says WANT_WRITE, or that it timed out, and the next goes on
// with what is left before anything else: as with OpenSSL, the caller must come
// again with the same bytes.
//
// The handshake. tls.Conn cannot go on with a handshake that an error has
// interrupted. So it runs in a coroutine (iter.Pull), which the engine leaves
// where the transport would block, with the reason, and returns to in the next
// call. The coroutine is gone when the handshake is over. Nothing else has a
// goroutine.
//
// Turns. One call reads, one writes, one sends what is in out; others wait for
// their turn, on a channel and not on tls.Conn's mutexes, so that they heed
// their timeouts and virtual time sees that they wait. A call that reads may make
// tls.Conn write (an answer to a key update, an alert). It sends what it can
// without waiting, and leaves the rest to the next call that writes.

// A transport moves the bytes of records. Neither call waits longer than it was
// told to beforehand; then, or if it must not wait, the error is one that
// wouldBlock knows. The end of the stream is io.EOF.
type transport interface {
	recv(p []byte) (int, error)
	send(p []byte) (int, error)
	trySend(p []byte) (int, error) // without waiting
}

var (
	errWantRead  = &blockError{"the operation did not complete (read)"}
	errWantWrite = &blockError{"the operation did not complete (write)"}
	errReadTime  = &blockError{"the read operation timed out"}
	errWriteTime = &blockError{"the write operation timed out"}
	errRagged    = errors.New("EOF occurred in violation of protocol")
	errAbandoned = errors.New("the handshake was given up")
	errAfterEnd  = errors.New("application data after close notify")
	errOutFull   = errors.New("the peer asks for answers and does not read them")
)

// blockError is an error after which a call may be made again: to crypto/tls a
// temporary one.
type blockError struct{ text string }

var _ net.Error = (*blockError)(nil)

func (e *blockError) Error() string   { return e.text }
func (e *blockError) Timeout() bool   { return true }
func (e *blockError) Temporary() bool { return true }

// wouldBlock finds the reason in an error of tls.Conn.
func wouldBlock(err error) (*blockError, bool) {
	var b *blockError
	ok := errors.As(err, &b)
	return b, ok
}

const (
	recordHeader = 5
	recordAlert  = 21      // the type of an alert
	recordMax    = 1 << 14 // the most plain text in a record, RFC 8446, section 5.1
	sendSize     = 61440   // what is handed to tls.Conn, and sent, at a time: see docs/performance.md
)

// engine is one TLS connection.
type engine struct {
	tls  *tls.Conn
	over transport
	bufs *buffers

	reading, writing, flushing turn

	// The record that is being read. For whoever reads.
	header [recordHeader]byte
	have   int     // bytes of the header that have come
	left   int     // bytes of the record behind it that have not
	alert  [2]byte // the last record that is an alert in plain text: level and number

	// The handshake. For whoever has both turns, reading and writing.
	next      func() (error, bool)
	stop      func()
	suspend   func(error) bool // nil outside the coroutine
	handshook error            // its outcome
	done      bool

	// Plain text of a record that was larger than its reader's buffer.
	plain []byte
	whole *[]byte // the pooled buffer that plain lies in

	outMu sync.Mutex // a leaf
	out   []byte     // ciphertext that is not yet sent
	large *[]byte    // the pooled buffer that out lies in, or began in

	pendingWrite int   // bytes of plain text that out stands for, which the caller does not know sent
	readErr      error // how reading ended, for good
	closeSent    bool
}

// buffers are what the connections of a context share.
type buffers struct {
	plain sync.Pool // of *[]byte, recordMax long
	out   sync.Pool // of *[]byte, outSize long
}

// outSize has room for what sendSize bytes become: 16 KiB records with their
// headers, and a few small ones at the beginning of a connection.
const outSize = sendSize + 8<<10

// outMax bounds what waits to be sent for a peer that makes us answer and does
// not read.
const outMax = 1 << 20

func (b *buffers) get(p *sync.Pool, size int) *[]byte {
	if v, ok := p.Get().(*[]byte); ok {
		return v
	}
	fresh := make([]byte, size)
	return &fresh
}

// newEngine makes a connection's engine. make is tls.Client or tls.Server.
func newEngine(over transport, bufs *buffers, make func(net.Conn, *tls.Config) *tls.Conn, cfg *tls.Config) *engine {
	e := &engine{over: over, bufs: bufs, reading: newTurn(), writing: newTurn(), flushing: newTurn()}
	e.tls = make(pipe{e}, cfg)
	return e
}

// handshake goes on with the handshake as far as it can. The caller has the
// turns of reading and writing.
func (e *engine) handshake() error {
	if e.done {
		return e.handshook
	}
	if e.next == nil {
		e.next, e.stop = iter.Pull(func(yield func(error) bool) {
			e.suspend = yield
			err := e.tls.HandshakeContext(context.Background())
			e.suspend = nil
			e.handshook = e.refusal(err)
		})
	}
	if why, more := e.next(); more {
		return why
	}
	e.finish()
	return e.handshook
}

// refusal finds the alert of a client that refuses a certificate before it
// encrypts. OpenSSL's does so in TLS 1.3, and its server understands it; crypto/tls
// takes the alert for a record that does not decrypt. The connection is lost in
// either case: this is about the words.
func (e *engine) refusal(err error) error {
	var oe *net.OpError
	if e.alert[0] != 0 && errors.As(err, &oe) && oe.Op == "local error" && strings.Contains(oe.Err.Error(), "bad record MAC") {
		return &net.OpError{Op: "remote error", Err: tls.AlertError(e.alert[1])}
	}
	return err
}

func (e *engine) finish() {
	e.done = true
	e.next, e.stop = nil, nil
}

// abandon ends a handshake that will not go on. The caller has the turns of
// reading and writing.
func (e *engine) abandon() {
	if e.stop == nil {
		return
	}
	e.stop()
	e.finish()
}

// read is one read of plain text. The caller has the turn of reading, and the
// handshake is over.
func (e *engine) read(p []byte) (int, error) {
	if len(e.plain) > 0 {
		return e.readPlain(p), nil
	}
	if e.readErr != nil {
		return 0, e.readErr
	}
	if len(p) >= recordMax || len(p) == 0 {
		n, err := e.tls.Read(p)
		return n, e.readError(n, err)
	}
	// All of the record, so that what is left of it is known.
	e.whole = e.bufs.get(&e.bufs.plain, recordMax)
	n, err := e.tls.Read(*e.whole)
	e.plain = (*e.whole)[:n]
	if n > 0 {
		n, err = e.readPlain(p), nil // an error comes again
	} else {
		e.release()
	}
	return n, e.readError(n, err)
}

func (e *engine) readPlain(p []byte) int {
	n := copy(p, e.plain)
	e.plain = e.plain[n:]
	if len(e.plain) == 0 {
		e.release()
	}
	return n
}

func (e *engine) release() {
	if e.whole != nil {
		e.bufs.plain.Put(e.whole)
	}
	e.plain, e.whole = nil, nil
}

// readError keeps an error that is for good. What reading made tls.Conn write
// is sent if that needs no waiting.
func (e *engine) readError(n int, err error) error {
	e.tryFlush()
	if err == nil || n > 0 {
		return nil
	}
	if b, ok := wouldBlock(err); ok {
		return b
	}
	e.readErr = err
	return err
}

// write encrypts and sends p, at most sendSize bytes of it, and returns how many
// were sent. The caller has the turn of writing, and the handshake is over.
func (e *engine) write(p []byte) (int, error) {
	if e.pendingWrite == 0 {
		n, err := e.tls.Write(p[:min(len(p), sendSize)])
		if err != nil {
			return 0, err
		}
		e.pendingWrite = n
	}
	if err := e.flush(); err != nil {
		return 0, err
	}
	// Who came again with fewer bytes than before is told of no more than that.
	n := min(e.pendingWrite, len(p))
	e.pendingWrite = 0
	return n, nil
}

// flush sends what is in out, waiting as the transport does.
func (e *engine) flush() error {
	e.flushing <- struct{}{} // nobody has it for longer than a call that does not wait, but a writer
	defer e.flushing.give()
	return e.drain(e.over.send)
}

// tryFlush sends what can be sent at once, unless somebody is sending already,
// who then goes on until nothing is left.
func (e *engine) tryFlush() {
	if !e.pendingOut() || !e.flushing.try() {
		return
	}
	defer e.flushing.give()
	_ = e.drain(e.over.trySend) // what is left, the next call that writes sends or fails for
}

func (e *engine) drain(send func([]byte) (int, error)) error {
	for {
		e.outMu.Lock()
		b := e.out
		e.outMu.Unlock()
		if len(b) == 0 {
			return nil
		}
		n, err := send(b)
		e.outMu.Lock()
		e.out = e.out[n:]
		if len(e.out) == 0 {
			e.sent(b)
		}
		e.outMu.Unlock()
		if err != nil {
			return err
		}
	}
}

// sent keeps a small buffer for the next record, and lets a large one go: an
// idle connection costs little.
func (e *engine) sent(b []byte) {
	e.out = nil
	switch {
	case e.large != nil:
		e.bufs.out.Put(e.large)
		e.large = nil
	case cap(b) <= 2<<10:
		e.out = b[:0]
	}
}

func (e *engine) pendingOut() bool {
	e.outMu.Lock()
	defer e.outMu.Unlock()
	return len(e.out) > 0
}

// closeNotify says that nothing more is written, and sends that. The caller has
// the turn of writing, and the handshake is over.
func (e *engine) closeNotify() error {
	if !e.closeSent {
		if err := e.tls.CloseWrite(); err != nil {
			return err
		}
		e.closeSent = true
	}
	return e.flush()
}

// awaitClose reads until the peer's close_notify. The caller has the turn of
// reading.
func (e *engine) awaitClose() error {
	if len(e.plain) > 0 {
		return errAfterEnd
	}
	var b [1]byte
	switch n, err := e.read(b[:]); {
	case n > 0:
		return errAfterEnd
	case err == io.EOF:
		return nil
	default:
		return err
	}
}

// pipe is what tls.Conn has for a connection.
type pipe struct{ e *engine }

var _ net.Conn = pipe{}

// Read gives the bytes of one record, or what has come of them.
func (p pipe) Read(b []byte) (int, error) {
	e := p.e
	if e.left == 0 {
		b = b[:min(len(b), recordHeader-e.have)]
	} else {
		b = b[:min(len(b), e.left)]
	}
	for {
		n, err := e.over.recv(b)
		switch {
		case n > 0:
			e.passed(b[:n])
			return n, nil
		case err == io.EOF:
			return 0, errRagged
		}
		if _, ok := wouldBlock(err); !ok || e.suspend == nil {
			return 0, err
		}
		if !e.suspend(err) {
			return 0, errAbandoned
		}
	}
}

// passed follows the records.
func (e *engine) passed(b []byte) {
	if e.left > 0 {
		if e.header[0] == recordAlert && e.header[3] == 0 && e.header[4] == 2 {
			copy(e.alert[2-e.left:], b)
		}
		e.left -= len(b)
		return
	}
	e.have += copy(e.header[e.have:], b)
	if e.have == recordHeader {
		e.have = 0
		e.left = int(e.header[3])<<8 | int(e.header[4])
	}
}

// Write takes all of b. In the handshake it is sent at once.
func (p pipe) Write(b []byte) (int, error) {
	e := p.e
	e.outMu.Lock()
	if len(e.out)+len(b) > outMax {
		e.outMu.Unlock()
		return 0, errOutFull
	}
	if e.large == nil && cap(e.out)-len(e.out) < len(b) && len(e.out)+len(b) > 2<<10 {
		e.large = e.bufs.get(&e.bufs.out, outSize)
		e.out = append((*e.large)[:0], e.out...)
	}
	e.out = append(e.out, b...)
	e.outMu.Unlock()
	if e.suspend == nil {
		return len(b), nil
	}
	for {
		err := e.flush()
		if err == nil {
			return len(b), nil
		}
		if _, ok := wouldBlock(err); !ok {
			return 0, err
		}
		if !e.suspend(err) {
			return 0, errAbandoned
		}
	}
}

func (p pipe) Close() error                     { return nil }
func (p pipe) LocalAddr() net.Addr              { return pipeAddr{} }
func (p pipe) RemoteAddr() net.Addr             { return pipeAddr{} }
func (p pipe) SetDeadline(time.Time) error      { return nil }
func (p pipe) SetReadDeadline(time.Time) error  { return nil }
func (p pipe) SetWriteDeadline(time.Time) error { return nil }

// pipeAddr is the address of either end: crypto/tls uses it as the key of a
// session cache, where we have our own.
type pipeAddr struct{}

func (pipeAddr) Network() string { return "tls" }
func (pipeAddr) String() string  { return "tls" }

// A turn is had by one goroutine at a time.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) try() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

func (t turn) give() { <-t }
