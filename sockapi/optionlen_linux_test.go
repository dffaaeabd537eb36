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
