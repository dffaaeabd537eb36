package sockapi_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	. "usersock/sockapi"
	"usersock/stack/endpoint"
)

// kernelOption is setsockopt or getsockopt of a kernel socket with a buffer of
// some length.
func kernelOption(call uintptr, fd, level, name int, buf []byte) (int, error) {
	room := make([]byte, max(1, len(buf)))
	copy(room, buf)
	size := uintptr(len(buf))
	var errno unix.Errno
	if call == unix.SYS_GETSOCKOPT {
		length := int32(len(buf))
		_, _, errno = unix.Syscall6(call, uintptr(fd), uintptr(level), uintptr(name),
			uintptr(unsafe.Pointer(&room[0])), uintptr(unsafe.Pointer(&length)), 0)
		size = uintptr(length)
	} else {
		_, _, errno = unix.Syscall6(call, uintptr(fd), uintptr(level), uintptr(name), uintptr(unsafe.Pointer(&room[0])), size, 0)
	}
	if errno == 0 {
		return int(size), nil
	}
	if e, ok := endpoint.FromHost(errno); ok {
		return 0, e
	}
	return 0, errno
}

// TestOptionLengthsLikeKernel reads and sets each option of SOL_SOCKET and of the
// transport protocols that a socket has, with buffers of zeroes of every length from 0 to 256, on a new socket of the kernel's
// and one of ours each.
func TestOptionLengthsLikeKernel(t *testing.T) {
	if unix.Getuid() != 0 {
		t.Skip("some options are root's")
	}
	n := host(t)
	kinds := optionSockets(t, n)
	kernel := map[string][2]int{
		"TCP": {AF_INET, SOCK_STREAM}, "TCP over IPv6": {AF_INET6, SOCK_STREAM}, "UDP": {AF_INET, SOCK_DGRAM},
		"UDP over IPv6": {AF_INET6, SOCK_DGRAM}, "unix stream": {AF_UNIX, SOCK_STREAM}, "unix datagrams": {AF_UNIX, SOCK_DGRAM},
	}
	compared := 0
	for name, open := range kinds {
		for _, level := range []int{SOL_SOCKET, IPPROTO_TCP, IPPROTO_UDP} {
			for option := 1; option < 90; option++ {
				compared += optionLengths(t, name, open, kernel[name], level, option)
			}
		}
	}
	if compared < 100*256 && !raceEnabled {
		t.Errorf("%d calls were compared: too few", compared)
	}
}

func optionLengths(t *testing.T, name string, open func() *Socket, kind [2]int, level, option int) (compared int) {
	pair := func(f func(ours *Socket, theirs int)) {
		s := open()
		defer s.Close()
		fd, err := unix.Socket(kind[0], kind[1]|unix.SOCK_CLOEXEC, 0)
		check(t, err)
		defer unix.Close(fd)
		f(s, fd)
	}
	what := fmt.Sprintf("%s, level %d, option %d", name, level, option)
	if slices.Contains(optionsBeside[level], option) {
		return 0
	}
	var lines []string
	differ := func(call string, size int, got, want string) {
		if got != want {
			lines = append(lines, fmt.Sprintf("%s %d bytes: %s, the kernel %s", call, size, got, want))
		}
	}
	text := func(n int, err error) string {
		var e Errno
		switch {
		case err == nil:
			return fmt.Sprint(n)
		case errors.As(err, &e):
			return e.Name()
		}
		return err.Error()
	}
	known := false
	pair(func(s *Socket, fd int) {
		_, err := s.GetsockoptBytes(level, option, 64)
		_, kerr := kernelOption(unix.SYS_GETSOCKOPT, fd, level, option, make([]byte, 64))
		known = errnoOf(err) != endpoint.ENOPROTOOPT && errnoOf(kerr) != endpoint.ENOPROTOOPT
		if !known {
			return
		}
		for size := 1; size <= 256; size += step(size) {
			got, err := s.GetsockoptBytes(level, option, size)
			n, kerr := kernelOption(unix.SYS_GETSOCKOPT, fd, level, option, make([]byte, size))
			differ("get", size, text(len(got), err), text(n, kerr))
			compared++
		}
	})
	if !known {
		return 0
	}
	for size := 0; size <= 256; size += step(size) {
		pair(func(s *Socket, fd int) {
			err := s.SetsockoptBytes(level, option, make([]byte, size))
			_, kerr := kernelOption(unix.SYS_SETSOCKOPT, fd, level, option, make([]byte, size))
			differ("set", size, text(0, err), text(0, kerr))
			compared++
		})
	}
	for i, line := range lines {
		if i == 4 {
			t.Errorf("%s: and %d more", what, len(lines)-4)
			break
		}
		t.Errorf("%s: %s", what, line)
	}
	return compared
}

// optionsBeside are options whose values are not the kernel's.
var optionsBeside = map[int][]int{
	SOL_SOCKET:  {SO_PASSCRED}, // kernels of 2025 have it on AF_UNIX sockets alone
	IPPROTO_TCP: {TCP_INFO},    // a structure that grows with each kernel
}

// TestOptionNoneLikeKernel sets options to None with a length, which is a NULL
// buffer, on sockets of the kernel and on ours.
func TestOptionNoneLikeKernel(t *testing.T) {
	n := host(t)
	for _, c := range []struct {
		family, typ, level, name int
	}{
		{AF_INET, SOCK_STREAM, SOL_SOCKET, SO_REUSEADDR},
		{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_NODELAY},
		{AF_INET, SOCK_STREAM, IPPROTO_TCP, 99},
		{AF_INET, SOCK_STREAM, IPPROTO_IP, IP_TTL},
		{AF_INET, SOCK_STREAM, IPPROTO_IP, 99},
		{AF_INET, SOCK_STREAM, IPPROTO_IP, IP_ADD_MEMBERSHIP},
		{AF_INET, SOCK_STREAM, IPPROTO_IPV6, IPV6_V6ONLY},
		{AF_INET, SOCK_DGRAM, IPPROTO_TCP, TCP_NODELAY},
		{AF_INET, SOCK_DGRAM, IPPROTO_UDP, UDP_CORK},
		{AF_INET, SOCK_DGRAM, IPPROTO_UDP, 99},
		{AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_V6ONLY},
		{AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_RECVERR},
		{AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, 199},
		{AF_UNIX, SOCK_STREAM, SOL_SOCKET, SO_PASSCRED},
		{AF_UNIX, SOCK_STREAM, SOL_SOCKET, 999},
		{AF_UNIX, SOCK_STREAM, IPPROTO_TCP, TCP_NODELAY},
	} {
		for _, size := range []int{1, 3, 4, 8} {
			if c.name == IP_ADD_MEMBERSHIP && size < 8 {
				continue // ours takes it for EFAULT too
			}
			s := open(t, n, c.family, c.typ)
			fd, err := unix.Socket(c.family, c.typ|unix.SOCK_CLOEXEC, 0)
			check(t, err)
			_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(c.level), uintptr(c.name), 0, uintptr(size), 0)
			unix.Close(fd)
			want, _ := endpoint.FromHost(errno)
			got := errnoOf(s.SetsockoptNone(c.level, c.name, size))
			if got != want {
				t.Errorf("family %d, type %d, level %d, option %d, None of %d: %v, want %v", c.family, c.typ, c.level, c.name, size, got, want)
			}
			s.Close()
		}
	}
}
