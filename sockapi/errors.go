package sockapi

import (
	"errors"
	"net"
	"os"

	"usersock/resolver"
	"usersock/stack/endpoint"
)

// Errno is an error number of Linux, on every operating system. errors.Is
// matches it against itself and against the host's syscall.Errno of the same
// name, which errors.As finds.
type Errno = endpoint.Errno

// Gaierror is an error of getaddrinfo and getnameinfo: a code EAI_* and the
// text of gai_strerror(3).
type Gaierror = resolver.Gaierror

// Herror is an error of the older name functions: an h_errno and the text of
// hstrerror(3).
type Herror = resolver.Herror

// Error is what a failed socket call returns, Python's socket.error.
type Error struct {
	Op   string // the call, such as connect
	Addr Addr   // the address it was about; nil if none was
	// Errno is the error number; 0 where the documents have a text alone.
	Errno Errno
	Err   error // the cause, where it is more than Errno; may be nil
}

// Error returns a text like "connect 192.0.2.1:80: Connection refused".
func (e *Error) Error() string {
	text := e.Op
	if e.Addr != nil {
		if a := e.Addr.String(); a != "" {
			text += " " + a
		}
	}
	switch {
	case e.Err != nil:
		text += ": " + e.Err.Error()
	case e.Errno != 0:
		text += ": " + e.Errno.Error()
	}
	return text
}

// Unwrap gives the cause: Err, else Errno.
func (e *Error) Unwrap() error {
	if e.Err != nil {
		return e.Err
	}
	if e.Errno != 0 {
		return e.Errno
	}
	return nil
}

// Timeout reports whether the call ran into the socket's timeout, the
// deadline of a Conn, or the kernel's own time limit (ETIMEDOUT), or would
// have had to wait.
func (e *Error) Timeout() bool {
	if t, ok := e.Err.(interface{ Timeout() bool }); ok {
		return t.Timeout()
	}
	return e.Errno.Timeout()
}

// Temporary reports whether trying again may help.
func (e *Error) Temporary() bool {
	if t, ok := e.Err.(interface{ Temporary() bool }); ok {
		return t.Temporary()
	}
	return e.Errno.Temporary()
}

var _ net.Error = (*Error)(nil)

// ErrTimeout is the cause of an [Error] when the socket's timeout or a Conn's
// deadline ran out: Python's socket.timeout. It is os.ErrDeadlineExceeded,
// and it is not ETIMEDOUT.
var ErrTimeout error = timeoutError{}

type timeoutError struct{}

func (timeoutError) Error() string        { return "timed out" }
func (timeoutError) Timeout() bool        { return true }
func (timeoutError) Temporary() bool      { return true }
func (timeoutError) Is(target error) bool { return target == os.ErrDeadlineExceeded }

// errClosed is EBADF to a reader of the socket documents and net.ErrClosed to
// a Go programmer.
var errClosed error = closedError{}

type closedError struct{}

func (closedError) Error() string { return endpoint.EBADF.Error() }
func (closedError) Is(target error) bool {
	return target == net.ErrClosed || target == endpoint.EBADF || endpoint.EBADF.Is(target)
}

// As lets errors.As find the number too.
func (closedError) As(target any) bool {
	if e, ok := target.(*Errno); ok {
		*e = endpoint.EBADF
		return true
	}
	return false
}

// ValueError is an argument that no call was made with: Python's ValueError
// and OverflowError. errors.Is finds EINVAL in it.
type ValueError struct {
	Op  string
	Msg string
}

func (e *ValueError) Error() string { return e.Op + ": " + e.Msg }

// Unwrap gives EINVAL.
func (e *ValueError) Unwrap() error { return endpoint.EINVAL }

// fail makes the error of a call from what a lower layer returned. nil stays
// nil; an errno at the bottom is kept beside its cause.
func fail(op string, addr Addr, err error) error {
	if err == nil {
		return nil
	}
	switch err := err.(type) {
	case Errno:
		return &Error{Op: op, Addr: addr, Errno: err}
	case *Error, *ValueError, *Gaierror, *Herror:
		return err
	}
	e := &Error{Op: op, Addr: addr, Err: err}
	if err != ErrTimeout {
		errors.As(err, &e.Errno)
	}
	return e
}

// errnoOf returns the errno that an error holds, 0 if none.
func errnoOf(err error) Errno {
	var errno Errno
	errors.As(err, &errno)
	return errno
}
