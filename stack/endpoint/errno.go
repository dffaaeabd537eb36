package endpoint

import (
	"errors"
	"io/fs"
	"strconv"
	"syscall"
)

// Errno is an error number of Linux, on every operating system. It never
// equals the host's syscall.Errno, whose numbers differ from one system to
// the next, but errors.Is matches the host's value of the same name, and
// errors.As finds it.
type Errno int

// Error returns glibc's strerror(3) text.
func (e Errno) Error() string {
	if text := e.info().text; text != "" {
		return text
	}
	return "Unknown error " + strconv.Itoa(int(e))
}

// Name returns the symbolic name, such as ECONNREFUSED, or errno N.
func (e Errno) Name() string {
	if name := e.info().name; name != "" {
		return name
	}
	return "errno " + strconv.Itoa(int(e))
}

func (e Errno) info() struct{ name, text string } {
	if e < 0 || int(e) >= len(errnoInfo) {
		return struct{ name, text string }{}
	}
	return errnoInfo[e]
}

// Is reports whether target is the host's syscall.Errno of the same name, or
// one of the portable errors of package io/fs and errors that syscall.Errno
// matches too.
func (e Errno) Is(target error) bool {
	if host, ok := target.(syscall.Errno); ok {
		want, known := hostErrno[e]
		return known && host == want
	}
	switch target {
	case fs.ErrPermission:
		return e == EACCES || e == EPERM
	case fs.ErrExist:
		return e == EEXIST || e == ENOTEMPTY
	case fs.ErrNotExist:
		return e == ENOENT
	case errors.ErrUnsupported:
		return e == ENOSYS || e == EOPNOTSUPP
	}
	return false
}

// As sets a *syscall.Errno to the host's number of the same name.
func (e Errno) As(target any) bool {
	host, ok := target.(*syscall.Errno)
	if !ok {
		return false
	}
	number, known := hostErrno[e]
	if known {
		*host = number
	}
	return known
}

// Timeout reports whether e says that something took too long or would have
// to wait, as syscall.Errno does.
func (e Errno) Timeout() bool { return e == EAGAIN || e == ETIMEDOUT }

// Temporary reports whether trying again may help, as syscall.Errno does.
func (e Errno) Temporary() bool {
	return e == EINTR || e == EMFILE || e == ENFILE || e.Timeout()
}

// FromHost returns our number for an error of the host's kernel, and whether
// err holds one that has a counterpart.
func FromHost(err error) (Errno, bool) {
	var own Errno
	var host syscall.Errno
	if errors.As(err, &own) || !errors.As(err, &host) { // an Errno is found as the host's too
		return 0, false
	}
	for e, h := range hostErrno {
		if h == host && errnoInfo[e].name != "" {
			return e, true
		}
	}
	return 0, false
}
