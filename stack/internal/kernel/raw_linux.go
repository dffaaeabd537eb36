package kernel

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"

	"usersock/stack/endpoint"
)

// What package unix does not offer in bytes.

func getsockopt(fd, level, name int, buf []byte) (int, error) {
	size := uint32(len(buf))
	var p unsafe.Pointer
	if len(buf) > 0 {
		p = unsafe.Pointer(&buf[0])
	}
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name),
		uintptr(p), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, errno
	}
	return int(size), nil
}

func setsockopt(fd, level, name int, value []byte) error {
	var p unsafe.Pointer
	if len(value) > 0 {
		p = unsafe.Pointer(&value[0])
	}
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name),
		uintptr(p), uintptr(len(value)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// dissolve connects to an address of family AF_UNSPEC.
func dissolve(fd int) error {
	var sa [16]byte
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(len(sa)))
	if errno != 0 {
		return errno
	}
	return nil
}

// pack makes a control message, cmsg(3).
func pack(c endpoint.Control) []byte {
	b := make([]byte, unix.CmsgSpace(len(c.Data)))
	word := unix.SizeofPtr
	if word == 8 {
		binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(len(c.Data))))
	} else {
		binary.NativeEndian.PutUint32(b, uint32(unix.CmsgLen(len(c.Data))))
	}
	binary.NativeEndian.PutUint32(b[word:], uint32(c.Level))
	binary.NativeEndian.PutUint32(b[word+4:], uint32(c.Type))
	copy(b[unix.CmsgLen(0):], c.Data)
	return b
}

// sockaddr is a struct sockaddr_un with room for one byte more: package unix
// has no path of 108 bytes, and no NUL in a name.
type sockaddr struct {
	family uint16
	path   [109]byte
}

// named calls bind(2) or connect(2) with a name of AF_UNIX.
func named(call uintptr, fd int, name string) error {
	sa := sockaddr{family: unix.AF_UNIX}
	size := 2 + copy(sa.path[:], name)
	if name != "" && name[0] != 0 && len(name) < len(sa.path)-1 {
		size++ // the NUL
	}
	if _, _, errno := unix.Syscall(call, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(size)); errno != 0 {
		return errno
	}
	return nil
}

// nameOf calls getsockname(2) on AF_UNIX.
func nameOf(fd int) (endpoint.Addr, error) {
	var sa sockaddr
	size := uint32(unsafe.Sizeof(sa))
	_, _, errno := unix.Syscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		return endpoint.Addr{}, errno
	}
	name := sa.path[:size-2]
	if size > 2 && name[0] != 0 {
		name = name[:size-3] // without its NUL, which the kernel counts even where it does not fit
	}
	return endpoint.Unix(string(name)), nil
}
