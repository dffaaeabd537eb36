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
