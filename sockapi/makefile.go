package sockapi

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"usersock/stack/endpoint"
)

// This file has what makefile returns: a buffered file over a duplicate of the
// socket's descriptor.
//
// Bytes wait in two buffers, one a direction, which only the goroutine whose
// turn it is in that direction touches. A turn is a place in a queue and not
// a mutex, because the goroutine that has it may sleep in the socket, and
// virtual time takes no goroutine that waits for a mutex as waiting. A
// line or a read that is not complete stays in the reading buffer, which grows
// with it, when the socket has no more for now; the next call goes on with it.
//
// Close takes the writing turn, flushes, and closes the descriptor, which ends
// a read in another goroutine. A write that is in the socket at that moment is
// not waited for, as it may never end: the descriptor is closed under it, and
// Close says how much was left.

// Sizes in bytes.
const (
	defaultBufsize = 8192
	maxFill        = 1 << 20  // the most that one receive asks for
	peekChunk      = 256      // of a line without a buffer
	maxKept        = 64 << 10 // an empty buffer beyond this size is let go
)

// File is a socket as a file, Python's makefile: an io.ReadWriteCloser with
// lines. It has a descriptor of its own, which stays open when the Socket is
// closed. All methods may be called from any goroutine; calls of one direction
// take turns, so that neither lines nor writes are torn. A File that the
// garbage collector finds is closed without being flushed.
//
// Calls obey the mode of the open socket. In blocking mode they wait. In
// non-blocking mode they fail with EAGAIN and lose nothing: what has come stays
// in the buffer for the next call, and so does what could not be sent. In
// timeout mode each wait for the socket lasts up to the timeout, and then the
// call fails with [ErrTimeout]; from then on, reading fails with "cannot read
// from timed out object".
type File struct {
	sock     *Socket
	mode     string
	size     int  // of the buffers; 0 is unbuffered
	lines    bool // flush after each line
	readable bool
	writable bool

	closing atomic.Bool // Close was called
	sending atomic.Bool // a call other than Close may be waiting to send

	reading  turn
	buf      []byte // the reading buffer; made when needed
	pos, end int    // buf[pos:end] was received and not read yet
	timedOut bool

	writing turn
	out     []byte // written and not sent yet
}

var _ io.ReadWriteCloser = (*File)(nil)

// errFileClosed is what a File says after its Close: both EBADF and
// net.ErrClosed.
var errFileClosed error = fileClosedError{}

type fileClosedError struct{ closedError }

func (fileClosedError) Error() string { return "I/O operation on closed file" }

const errTimedOutFile = textError("cannot read from timed out object")

// Makefile makes a file of the socket. mode is made of "r" (also the meaning
// of ""), "w" and "b"; the last changes nothing, since a File has bytes alone.
// Any other mode is a [*ValueError]. bufsize is the size of its buffers in
// bytes: 0 has none, so that nothing is received that is not read and every
// write is sent at once; 1 flushes after each line; a negative one is 8192.
func (s *Socket) Makefile(mode string, bufsize int) (*File, error) {
	if strings.Trim(mode, "rwb") != "" {
		return nil, &ValueError{Op: "makefile", Msg: fmt.Sprintf("invalid mode %q (only r, w, b allowed)", mode)}
	}
	if _, err := s.use(); err != nil {
		return nil, fail("makefile", nil, err)
	}
	dup, err := s.Dup()
	if err != nil {
		return nil, err
	}
	f := &File{sock: dup, mode: mode, size: bufsize, lines: bufsize == 1}
	f.writable = strings.Contains(mode, "w")
	f.readable = strings.Contains(mode, "r") || !f.writable
	if bufsize < 0 || f.lines {
		f.size = defaultBufsize
	}
	return f, nil
}

// Mode returns the mode that the File was made with.
func (f *File) Mode() string { return f.mode }

// Name returns "<socket>".
func (f *File) Name() string { return "<socket>" }

// Fileno returns the File's own descriptor, −1 after Close.
func (f *File) Fileno() int { return f.sock.Fileno() }

// Closed reports whether Close was called.
func (f *File) Closed() bool { return f.closing.Load() }

// Readable reports whether the mode allows reading.
func (f *File) Readable() bool { return f.readable }

// Writable reports whether the mode allows writing.
func (f *File) Writable() bool { return f.writable }

// begin takes a turn, if the mode allows it. In timeout mode the turn must
// come within the timeout.
func (f *File) begin(t *turn, allowed bool, refusal string) error {
	if f.closing.Load() {
		return errFileClosed
	}
	if !allowed {
		return fmt.Errorf("%s: %w", refusal, endpoint.EBADF)
	}
	n := f.sock.desc.net
	lim := f.sock.modeLimit()
	if lim.until == atOnce {
		lim.until = noLimit // nobody keeps a turn for long in this mode
	}
	if err := t.take(n, nil, lim); err != nil {
		return err
	}
	if f.closing.Load() {
		t.give()
		return errFileClosed
	}
	return nil
}

// reason is the error of a call, which the File's own Close may explain.
func (f *File) reason(op string, err error) error {
	if err == errClosed && f.closing.Load() {
		err = errFileClosed
	}
	return fail(op, nil, err)
}

// Close flushes and closes the File's descriptor; the error is the flush's,
// and the descriptor is closed all the same. A read that another goroutine is
// in ends with an error that is EBADF and net.ErrClosed, as every later call
// does; so does a write that is being sent. Closing twice is harmless.
func (f *File) Close() error {
	if f.closing.Swap(true) {
		return nil
	}
	if f.sending.Load() {
		f.sock.Close()
	}
	// Without a limit: whoever has the turn is not in the socket, or was
	// just put out of it.
	f.writing.take(f.sock.desc.net, nil, limit{until: noLimit})
	defer f.writing.give()
	var err error
	for len(f.out) > 0 && err == nil {
		var n int
		n, err = f.send(f.out)
		f.sent(n)
	}
	if err != nil {
		err = fail("close", nil, fmt.Errorf("%d bytes were not sent: %w", len(f.out), err))
	}
	f.out = nil
	if cerr := f.sock.Close(); err == nil {
		err = cerr
	}
	return err
}
