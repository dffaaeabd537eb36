package sockapi

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"

	"usersock/resolver"
	"usersock/stack/endpoint"
)

// The errors of the Go dialect are those of package net: a *net.OpError, in it
// an *os.SyscallError, a *net.DNSError, a *net.AddrError, "i/o timeout" or "use
// of closed network connection", with the texts that Go programs look for. The
// errno, [ErrTimeout], net.ErrClosed or the [*Gaierror] can be found in it too.

// opError is the error of an operation on c; call is the system call that an
// errno is from, "" for none. nil stays nil.
func (c *base) opError(op, call string, to net.Addr, err error) error {
	if err == nil {
		return nil
	}
	e := &net.OpError{Op: op, Net: c.network, Source: c.local, Addr: to, Err: goError(call, err)}
	if to == nil {
		e.Addr = c.remote
	}
	return e
}

// setError is the error of an operation that is about the socket alone.
func (c *base) setError(op, call string, err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: op, Net: c.network, Addr: c.local, Err: goError(call, err)}
}

func dialError(network string, addr net.Addr, err error) error {
	return &net.OpError{Op: "dial", Net: network, Addr: addr, Err: goError("connect", err)}
}

func listenError(network string, err error) error {
	var addr net.Addr
	if e, ok := err.(*Error); ok && e.Addr != nil {
		addr = textAddr{network, e.Addr.String()}
	}
	return &net.OpError{Op: "listen", Net: network, Addr: addr, Err: goError("bind", err)}
}

// textAddr is an address in an error.
type textAddr struct{ network, text string }

func (a textAddr) Network() string { return a.network }
func (a textAddr) String() string  { return a.text }

// goError says an error in package net's words. An [*Error] knows its call.
func goError(call string, err error) error {
	switch e := err.(type) {
	case *Error:
		if e.Err == nil {
			return goError(e.Op, e.Errno)
		}
		return goError(e.Op, e.Err)
	case *ValueError:
		return as(os.NewSyscallError(call, goErrno{endpoint.EINVAL}), e)
	case Errno:
		if call == "" {
			return goErrno{e}
		}
		return os.NewSyscallError(call, goErrno{e})
	case *attemptErrors:
		all := slices.Clone(e.all)
		for i := range all {
			all[i] = goError(call, all[i])
		}
		return lastOf(all)
	}
	switch err {
	case errClosed:
		return errConnClosed
	case ErrTimeout:
		return errTimedOut
	case contextTimeout{}:
		return as(errIOTimeout, err)
	case context.Canceled:
		return errCanceled
	}
	return err
}

// goErrno is an Errno with the text that package syscall has for it on Linux.
type goErrno struct{ Errno }

func (e goErrno) Error() string {
	text := e.Errno.Error()
	if len(text) > 1 && isUpper(text[0]) && !isUpper(text[1]) {
		return strings.ToLower(text[:1]) + text[1:]
	}
	return text
}

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }

// Unwrap gives the Errno, for those who compare.
func (e goErrno) Unwrap() error { return e.Errno }

var errConnClosed error = connClosedError{}

type connClosedError struct{ closedError }

func (connClosedError) Error() string { return net.ErrClosed.Error() }

// goText is an error in package net's words for something that is said otherwise
// here: errors.Is and errors.As find both.
type goText struct {
	net  error // to read
	ours error
}

func as(net, ours error) error { return &goText{net, ours} }

func (e *goText) Error() string   { return e.net.Error() }
func (e *goText) Unwrap() []error { return []error{e.net, e.ours} }

// Timeout and Temporary are for net.Error.
func (e *goText) Timeout() bool { return timeout(e.net) || timeout(e.ours) }

func (e *goText) Temporary() bool { return temporary(e.net) || temporary(e.ours) }

func timeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

func temporary(err error) bool {
	t, ok := err.(interface{ Temporary() bool })
	return ok && t.Temporary()
}

var (
	errIOTimeout = textError("i/o timeout")
	errTimedOut  = as(errIOTimeout, ErrTimeout)
	errCanceled  = as(textError("operation was canceled"), context.Canceled)
	errNoAddress = as(textError("missing address"), endpoint.EDESTADDRREQ)
	errConnected = as(net.ErrWriteToConnected, endpoint.EISCONN)
	errWrongType = goErrno{endpoint.EINVAL}
)

// unknownNetwork is the error of a network that cannot be had, for which package
// net has other words than for one that it does not know.
func unknownNetwork(network, text, addr string) error {
	return as(&net.AddrError{Err: text, Addr: addr}, net.UnknownNetworkError(network))
}

// lookupError is what package net says of a host and port that the resolver does
// not know.
func lookupError(nw network, host, port string, err error) error {
	var gai *Gaierror
	if !errors.As(err, &gai) {
		return err
	}
	switch gai.Code {
	case EAI_SERVICE:
		if strings.Trim(port, "+-0123456789") == "" {
			return as(&net.AddrError{Err: "invalid port", Addr: port}, err)
		}
		return &net.DNSError{Err: "unknown port", Name: nw.name + "/" + port, IsNotFound: true, UnwrapErr: err}
	case EAI_ADDRFAMILY:
		return as(&net.AddrError{Err: "no suitable address found", Addr: host}, err)
	}
	return resolver.DNSError(host, err)
}
