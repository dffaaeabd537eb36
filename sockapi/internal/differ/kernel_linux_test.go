package differ

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"usersock/sockapi"
	"usersock/stack/endpoint"
)

// kernel is the side of the Linux kernel, by the bare system calls: package
// unix would refuse addresses and lengths that the kernel is to refuse.
type kernel struct {
	fds    []int // −1 when closed
	folder string
	prefix string
	room   *room
}

// kernelRuns counts the sequences of this process, for names that are unique
// in the namespace.
var kernelRuns atomic.Int64

// newKernel makes a side in the room's namespace, of which it may be used only
// by what the room does.
func newKernel(r *room) (sockets, error) {
	dir, err := os.MkdirTemp("", "differ")
	if err != nil {
		return nil, err
	}
	return &kernel{folder: dir, prefix: fmt.Sprintf("%d.%d.", os.Getpid(), kernelRuns.Add(1)), room: r}, nil
}

const fdFlags = unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC

func errno(e unix.Errno) error {
	if e == 0 {
		return nil
	}
	return endpoint.Errno(e) // Linux's numbers are ours
}

func (k *kernel) add(fd int) handle {
	k.fds = append(k.fds, fd)
	return handle(len(k.fds) - 1)
}

func (k *kernel) fd(h handle) uintptr { return uintptr(k.fds[h]) }

func (k *kernel) socket(family, typ, proto int) (handle, error) {
	fd, _, e := unix.Syscall(unix.SYS_SOCKET, uintptr(family), uintptr(typ|fdFlags), uintptr(proto))
	if e != 0 {
		return -1, errno(e)
	}
	return k.add(int(fd)), nil
}

func (k *kernel) socketpair(family, typ, proto int) (handle, handle, error) {
	fds, err := unix.Socketpair(family, typ|fdFlags, proto)
	if err != nil {
		return -1, -1, errno(err.(unix.Errno))
	}
	return k.add(fds[0]), k.add(fds[1]), nil
}

func (k *kernel) dup(h handle) (handle, error) {
	fd, _, e := unix.Syscall(unix.SYS_FCNTL, k.fd(h), unix.F_DUPFD_CLOEXEC, 0)
	if e != 0 {
		return -1, errno(e)
	}
	return k.add(int(fd)), nil
}

// encode writes a socket address as bind(2) takes it, or one that is too long.
func encode(a endpoint.Addr) []byte {
	var b [256]byte
	binary.NativeEndian.PutUint16(b[:], uint16(a.Family))
	switch a.Family {
	case endpoint.AF_INET:
		binary.BigEndian.PutUint16(b[2:], a.Port)
		copy(b[4:], a.IP.AsSlice())
		return b[:16]
	case endpoint.AF_INET6:
		binary.BigEndian.PutUint16(b[2:], a.Port)
		binary.BigEndian.PutUint32(b[4:], a.Flowinfo)
		ip := a.IP.As16()
		copy(b[8:], ip[:])
		binary.NativeEndian.PutUint32(b[24:], a.Scope)
		return b[:28]
	case endpoint.AF_UNIX:
		n := 2 + copy(b[2:], a.Path)
		if a.Path != "" && a.Path[0] != 0 {
			n++
		}
		return b[:n]
	}
	return b[:16]
}

func (k *kernel) bind(h handle, a endpoint.Addr) error {
	b := encode(a)
	_, _, e := unix.Syscall(unix.SYS_BIND, k.fd(h), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return errno(e)
}

func (k *kernel) connect(h handle, a endpoint.Addr) error {
	b := encode(a)
	_, _, e := unix.Syscall(unix.SYS_CONNECT, k.fd(h), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return errno(e)
}

func (k *kernel) listen(h handle, backlog int) error {
	_, _, e := unix.Syscall(unix.SYS_LISTEN, k.fd(h), uintptr(backlog), 0)
	return errno(e)
}

func (k *kernel) accept(h handle) (handle, endpoint.Addr, error) {
	var b [128]byte
	size := uint32(len(b))
	fd, _, e := unix.Syscall6(unix.SYS_ACCEPT4, k.fd(h), uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&size)), fdFlags, 0, 0)
	if e != 0 {
		return -1, endpoint.Addr{}, errno(e)
	}
	return k.add(int(fd)), decode(b[:min(int(size), len(b))]), nil
}

func (k *kernel) send(h handle, data []byte, flags int) (int, error) {
	n, _, e := unix.Syscall6(unix.SYS_SENDTO, k.fd(h), uintptr(unsafe.Pointer(unsafe.SliceData(data))), uintptr(len(data)),
		uintptr(flags|unix.MSG_NOSIGNAL), 0, 0)
	if e != 0 {
		return 0, errno(e)
	}
	return int(n), nil
}

func (k *kernel) sendto(h handle, data []byte, flags int, to endpoint.Addr) (int, error) {
	b := encode(to)
	n, _, e := unix.Syscall6(unix.SYS_SENDTO, k.fd(h), uintptr(unsafe.Pointer(unsafe.SliceData(data))), uintptr(len(data)),
		uintptr(flags|unix.MSG_NOSIGNAL), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if e != 0 {
		return 0, errno(e)
	}
	return int(n), nil
}

func (k *kernel) recvfrom(h handle, buf []byte, flags int) (int, endpoint.Addr, error) {
	var b [128]byte
	size := uint32(len(b))
	n, _, e := unix.Syscall6(unix.SYS_RECVFROM, k.fd(h), uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)),
		uintptr(flags), uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&size)))
	if e != 0 {
		return 0, endpoint.Addr{}, errno(e)
	}
	return int(n), decode(b[:min(int(size), len(b))]), nil
}

func (k *kernel) message(bufs [][]byte, control []byte, name []byte) (*unix.Msghdr, []unix.Iovec) {
	var iov []unix.Iovec
	for _, b := range bufs {
		v := unix.Iovec{Base: unsafe.SliceData(b)}
		v.SetLen(len(b))
		iov = append(iov, v)
	}
	m := &unix.Msghdr{Name: unsafe.SliceData(name), Namelen: uint32(len(name)), Iov: unsafe.SliceData(iov), Control: unsafe.SliceData(control)}
	m.SetIovlen(len(iov))
	m.SetControllen(len(control))
	return m, iov
}

func (k *kernel) sendmsg(h handle, bufs [][]byte, items []item, flags int, to endpoint.Addr) (int, error) {
	var control, name []byte
	for _, it := range items {
		data := it.data
		for _, h := range it.handles {
			data = binary.NativeEndian.AppendUint32(data, uint32(k.fds[h]))
		}
		b := make([]byte, unix.CmsgSpace(len(data)))
		head := (*unix.Cmsghdr)(unsafe.Pointer(unsafe.SliceData(b)))
		head.Level, head.Type = int32(it.level), int32(it.typ)
		head.SetLen(unix.CmsgLen(len(data)))
		if it.broken {
			head.SetLen(1 << 16)
		}
		copy(b[unix.CmsgLen(0):], data)
		control = append(control, b...)
	}
	if to.Family != endpoint.AF_UNSPEC {
		name = encode(to)
	}
	m, iov := k.message(bufs, control, name)
	n, _, e := unix.Syscall(unix.SYS_SENDMSG, k.fd(h), uintptr(unsafe.Pointer(m)), uintptr(flags|unix.MSG_NOSIGNAL))
	runtime.KeepAlive(iov)
	if e != 0 {
		return 0, errno(e)
	}
	return int(n), nil
}

func (k *kernel) recvmsg(h handle, bufs [][]byte, control, flags int) (r received, err error) {
	room, name := make([]byte, control), make([]byte, 128)
	m, iov := k.message(bufs, room, name)
	n, _, e := unix.Syscall(unix.SYS_RECVMSG, k.fd(h), uintptr(unsafe.Pointer(m)), uintptr(flags|unix.MSG_CMSG_CLOEXEC))
	runtime.KeepAlive(iov)
	if e != 0 {
		return r, errno(e)
	}
	r.n, r.flags, r.from = int(n), int(m.Flags)&^unix.MSG_CMSG_CLOEXEC, decode(name[:m.Namelen])
	for room = room[:m.Controllen]; len(room) >= unix.CmsgLen(0); {
		head := (*unix.Cmsghdr)(unsafe.Pointer(unsafe.SliceData(room)))
		size := min(int(head.Len), len(room))
		it := item{level: int(head.Level), typ: int(head.Type), data: room[unix.CmsgLen(0):size]}
		if it.level == endpoint.SOL_SOCKET && it.typ == endpoint.SCM_RIGHTS {
			it.handles = []handle{}
			for d := it.data; len(d) >= 4; d = d[4:] {
				it.handles = append(it.handles, k.add(int(int32(binary.NativeEndian.Uint32(d)))))
			}
		}
		r.items = append(r.items, it)
		room = room[min(unix.CmsgSpace(size-unix.CmsgLen(0)), len(room)):]
	}
	return r, nil
}

func (k *kernel) shutdown(h handle, how int) error {
	_, _, e := unix.Syscall(unix.SYS_SHUTDOWN, k.fd(h), uintptr(how), 0)
	return errno(e)
}

func (k *kernel) close(h handle) error {
	fd := k.fds[h]
	k.fds[h] = -1
	_, _, e := unix.Syscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
	return errno(e)
}

func (k *kernel) named(call uintptr, h handle) (endpoint.Addr, error) {
	var b [128]byte
	size := uint32(len(b))
	_, _, e := unix.Syscall(call, k.fd(h), uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&size)))
	if e != 0 {
		return endpoint.Addr{}, errno(e)
	}
	return decode(b[:min(int(size), len(b))]), nil
}

func (k *kernel) getsockname(h handle) (endpoint.Addr, error) {
	return k.named(unix.SYS_GETSOCKNAME, h)
}
func (k *kernel) getpeername(h handle) (endpoint.Addr, error) {
	return k.named(unix.SYS_GETPEERNAME, h)
}

func (k *kernel) getsockopt(h handle, level, name int, buf []byte) (int, error) {
	size := uint32(len(buf))
	_, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, k.fd(h), uintptr(level), uintptr(name),
		uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(unsafe.Pointer(&size)), 0)
	if e != 0 {
		return 0, errno(e)
	}
	return int(size), nil
}

func (k *kernel) setsockopt(h handle, level, name int, value []byte) error {
	_, _, e := unix.Syscall6(unix.SYS_SETSOCKOPT, k.fd(h), uintptr(level), uintptr(name),
		uintptr(unsafe.Pointer(unsafe.SliceData(value))), uintptr(len(value)), 0)
	return errno(e)
}

func (k *kernel) ioctl(h handle, request int) (int, error) {
	var v int32
	_, _, e := unix.Syscall(unix.SYS_IOCTL, k.fd(h), uintptr(request), uintptr(unsafe.Pointer(&v)))
	return int(v), errno(e)
}

func (k *kernel) unlink(path string) error {
	if err := unix.Unlink(path); err != nil {
		return errno(err.(unix.Errno))
	}
	return nil
}

func (k *kernel) blocking(h handle, on bool) error {
	if err := unix.SetNonblock(k.fds[h], !on); err != nil {
		return errno(err.(unix.Errno))
	}
	return nil
}

func (k *kernel) pollFor(h handle, events int, millis int) int {
	if k.fds[h] < 0 {
		return sockapi.POLLNVAL
	}
	p := []unix.PollFd{{Fd: int32(k.fds[h]), Events: int16(events)}}
	for {
		_, err := unix.Poll(p, millis)
		if err != unix.EINTR {
			return int(uint16(p[0].Revents))
		}
	}
}

func (k *kernel) poll(h handle) int { return k.pollFor(h, allEvents, 0) }

func (k *kernel) await(h handle, events int, d time.Duration) {
	k.pollFor(h, events, int(d.Milliseconds())+1)
}

func (k *kernel) pathPrefix() string     { return k.folder + "/" }
func (k *kernel) abstractPrefix() string { return k.prefix }

func (k *kernel) wire() wire    { return k.room.tun }
func (k *kernel) silent() error { return k.room.addSilent() }

func (k *kernel) end() {
	for h := range k.fds {
		if k.fds[h] >= 0 {
			k.close(handle(h))
		}
	}
	os.RemoveAll(k.folder)
}
