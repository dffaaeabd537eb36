package sockapi

import (
	"fmt"
	"runtime"

	"usersock/stack/endpoint"
)

// This file has ioctl(2) and fcntl(2) as far as they are about sockets. Other
// requests are ENOTTY, other commands EINVAL.

// Requests of ioctl(2), with the numbers that most machines have.
const (
	FIONREAD   = 0x541b // bytes to be received; of datagrams, of the next one
	SIOCINQ    = FIONREAD
	TIOCINQ    = FIONREAD
	TIOCOUTQ   = 0x5411 // bytes sent and not yet acknowledged (TCP), read (AF_UNIX) or taken by a link
	SIOCOUTQ   = TIOCOUTQ
	FIONBIO    = 0x5421 // non-blocking mode on, unless arg is 0
	FIONCLEX   = 0x5450 // FD_CLOEXEC off
	FIOCLEX    = 0x5451 // FD_CLOEXEC on
	SIOCATMARK = 0x8905 // whether urgent data comes next; over TCP never
)

// Commands and flags of fcntl(2).
const (
	F_DUPFD         = 0 // the lowest free descriptor that is not less than arg
	F_GETFD         = 1 // FD_CLOEXEC or 0
	F_SETFD         = 2
	F_GETFL         = 3 // O_RDWR, with O_NONBLOCK in the modes that are not blocking
	F_SETFL         = 4 // O_NONBLOCK counts, the other flags do not
	F_DUPFD_CLOEXEC = 1030

	FD_CLOEXEC = 1 // kept and told; there is no exec
	O_RDWR     = 2
	O_NONBLOCK = 0x800
)

// Ioctl is ioctl(2) with an argument that is a C int, and returns the int that
// it yields: FIONREAD and SIOCOUTQ (EINVAL on a listening socket), FIONBIO,
// SIOCATMARK, FIOCLEX and FIONCLEX. ENOTTY for anything else, EBADF for a
// descriptor that is not open.
func (n *Net) Ioctl(fd, request, arg int) (int, error) {
	d, err := n.lookup(fd)
	if err != nil {
		return 0, fail("ioctl", nil, err)
	}
	return d.ioctl(request, arg)
}

// Ioctl is [Net.Ioctl] of the socket's descriptor.
func (s *Socket) Ioctl(request, arg int) (int, error) {
	defer runtime.KeepAlive(s)
	d, err := s.use()
	if err != nil {
		return 0, fail("ioctl", nil, err)
	}
	return d.ioctl(request, arg)
}

func (d *desc) ioctl(request, arg int) (int, error) {
	switch request {
	case FIONREAD, SIOCOUTQ:
		n, err := d.file.queued(request == SIOCOUTQ)
		return n, fail("ioctl", nil, d.outcome(err))
	case FIONBIO:
		d.file.setNonblocking(arg != 0)
		return 0, nil
	case FIOCLEX, FIONCLEX:
		d.cloexec.Store(request == FIOCLEX)
		return 0, nil
	case SIOCATMARK:
		if m, ok := d.file.ep.(endpoint.Marker); ok {
			at, err := m.AtMark()
			if at {
				return 1, nil
			}
			return 0, fail("ioctl", nil, d.outcome(err))
		}
		if d.file.typ == SOCK_STREAM {
			return 0, nil
		}
	}
	return 0, fail("ioctl", nil, fmt.Errorf("request %#x: %w", request, endpoint.ENOTTY))
}

// listens is SO_ACCEPTCONN.
func (f *file) listens() bool { return f.intOption(SO_ACCEPTCONN) != 0 }

// pings reports whether it is a ping socket, which has no ioctls of its own.
func (f *file) pings() bool {
	if f.typ != SOCK_DGRAM || f.family == AF_UNIX {
		return false
	}
	proto := f.intOption(SO_PROTOCOL)
	return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6
}

// intOption is an option of SOL_SOCKET; 0 if there is none.
func (f *file) intOption(name int) int {
	var buf [4]byte
	if _, err := f.ep.Option(SOL_SOCKET, name, buf[:]); err != nil {
		return 0
	}
	v, _ := endpoint.Int(buf[:])
	return v
}

func (f *file) queued(out bool) (int, error) {
	switch {
	case f.listens():
		return 0, endpoint.EINVAL
	case f.pings():
		return 0, endpoint.ENOTTY
	}
	n, sent := f.ep.Queued()
	if out {
		n = sent
	}
	if n == endpoint.Unknown {
		return 0, fmt.Errorf("the number of bytes is not known: %w", endpoint.EOPNOTSUPP)
	}
	return n, nil
}

// setNonblocking is the mode by O_NONBLOCK, which a mode with a timeout has too,
// as in CPython: it stays when the flag is set, and goes when it is cleared.
func (f *file) setNonblocking(on bool) {
	if on {
		f.timeout.CompareAndSwap(int64(Forever), 0)
	} else {
		f.timeout.Store(int64(Forever))
	}
}

// Fcntl is fcntl(2): F_GETFL and F_SETFL, F_GETFD and F_SETFD, F_DUPFD and
// F_DUPFD_CLOEXEC. EINVAL for another command and for a negative number to
// duplicate to, EBADF for a descriptor that is not open.
func (n *Net) Fcntl(fd, cmd, arg int) (int, error) {
	d, err := n.lookup(fd)
	if err != nil {
		return -1, fail("fcntl", nil, err)
	}
	return d.fcntl(cmd, arg)
}

// Fcntl is [Net.Fcntl] of the socket's descriptor.
func (s *Socket) Fcntl(cmd, arg int) (int, error) {
	defer runtime.KeepAlive(s)
	d, err := s.use()
	if err != nil {
		return -1, fail("fcntl", nil, err)
	}
	return d.fcntl(cmd, arg)
}

// maxFd bounds the descriptors that F_DUPFD is asked for: the usual
// RLIMIT_NOFILE of a process that has raised it.
const maxFd = 1 << 20

func (d *desc) fcntl(cmd, arg int) (int, error) {
	switch cmd {
	case F_GETFL:
		flags := O_RDWR
		if d.file.timeout.Load() != int64(Forever) {
			flags |= O_NONBLOCK
		}
		return flags, nil
	case F_SETFL:
		d.file.setNonblocking(arg&O_NONBLOCK != 0)
		return 0, nil
	case F_GETFD:
		if d.cloexec.Load() {
			return FD_CLOEXEC, nil
		}
		return 0, nil
	case F_SETFD:
		d.cloexec.Store(arg&FD_CLOEXEC != 0)
		return 0, nil
	case F_DUPFD, F_DUPFD_CLOEXEC:
		if arg < 0 || arg >= maxFd {
			break
		}
		d.net.gate(d.fd, d, "fcntl")
		f, err := d.retain()
		if err != nil {
			return -1, fail("fcntl", nil, err)
		}
		copied, err := d.net.installFrom(arg, f)
		if err != nil {
			return -1, fail("fcntl", nil, err)
		}
		copied.cloexec.Store(cmd == F_DUPFD_CLOEXEC)
		return copied.fd, nil
	}
	return -1, fail("fcntl", nil, fmt.Errorf("command %d, %d: %w", cmd, arg, endpoint.EINVAL))
}
