package netdev

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"usersock/stack/endpoint"
)

// errnoOf turns an error of the host's kernel into our Errno, which matches
// the host's number too. Other errors stay as they are.
func errnoOf(err error) error {
	if e, ok := endpoint.FromHost(err); ok {
		return e
	}
	return err
}

// hostError returns the cause of an error of package net, as our Errno if the
// host gave a number.
func hostError(err error) error {
	var name *net.DNSError
	if errors.As(err, &name) {
		return fmt.Errorf("%w: %w", err, endpoint.EHOSTUNREACH)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		err = sys.Err
	}
	return errnoOf(err)
}

// endedBy says why a link that was open has ended: what, unless its descriptor
// was closed under it.
func endedBy(what string, err error) error {
	if err = hostError(err); errors.Is(err, endpoint.EBADF) {
		what = "its descriptor was closed by others"
	}
	return fmt.Errorf("%s: %w", what, err)
}

// explained is an error of the host with what to do about it.
func explained(what, advice string, err error) error {
	if advice == "" {
		return fmt.Errorf("%s: %w", what, errnoOf(err))
	}
	return fmt.Errorf("%s: %w (%s)", what, errnoOf(err), advice)
}

// longestPath is how many bytes a path of a Unix socket surely may have: Linux
// takes 107, others less (unix(7)).
const longestPath = 103

// explainSocket says what to do when a socket of the host cannot be had. verb
// is what was tried: "listen at", "bind to", "connect to" or "send to" at.
func explainSocket(verb, at string, err error) error {
	own := verb == "listen at" || verb == "bind to"
	advice := ""
	var errno endpoint.Errno
	switch err = hostError(err); {
	case !errors.As(err, &errno):
	case errno == endpoint.ENOENT && own:
		advice = "its folder does not exist"
	case errno == endpoint.ENOENT:
		advice = "nobody has made it yet: start the peer first, or have it connect here (listen)"
	case errno == endpoint.ECONNREFUSED:
		advice = "nobody listens there: start the peer first, or have it connect here (listen)"
	case errno == endpoint.EADDRINUSE:
		advice = "another process listens there, or has left its socket's file behind: end it, or remove the file"
	case errno == endpoint.EADDRNOTAVAIL:
		advice = "this machine has no such address"
	case errno == endpoint.EACCES:
		advice = "this user may not write to it, or to its folder"
	case errno == endpoint.EPROTOTYPE:
		advice = "it is a socket of the other kind: qemu: is for streams, vfkit: for datagrams"
	case errno == endpoint.EINVAL && len(at) > longestPath:
		advice = fmt.Sprintf("the path has %d bytes, and that of a socket at most about %d: use a shorter one", len(at), longestPath)
	}
	return explained(verb+" "+at, advice, err)
}

// checkHostPort refuses what is no HOST:PORT with a number.
func checkHostPort(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is neither the path of a socket, which has a slash, nor HOST:PORT: %w", addr, endpoint.EINVAL)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("%q: port %q is not a number from 1 to 65535: %w", addr, port, endpoint.EINVAL)
	}
	return nil
}

// noName refuses a name where a kind of link has none.
func noName(kind, arg string) error {
	if arg == "" {
		return nil
	}
	return fmt.Errorf("netdev: %s takes no name, and %q is one: options stand after a question mark: %w", kind, arg, endpoint.EINVAL)
}
