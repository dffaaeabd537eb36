package inet

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"usersock/stack/endpoint"
)

// kernelSocket is a socket of the machine's kernel behind the contract, so
// that one scenario can run against both. It serves the differential tests
// alone: it has no sink, waiting is poll(2).
type kernelSocket struct {
	fd  int
	typ int
}

func openKernel(af, typ, proto int) (*kernelSocket, error) {
	fd, err := unix.Socket(af, typ|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return nil, fromKernel(err)
	}
	return &kernelSocket{fd, typ}, nil
}

// needKernel skips a test that the kernel of this machine cannot take part in.
func needKernel(t *testing.T, ip netip.Addr) {
	t.Helper()
	k, err := openKernel(inet(ip, 0).Family, endpoint.SOCK_DGRAM, 0)
	if err == nil {
		defer k.Close()
		err = k.Bind(inet(ip, 0))
	}
	if err != nil {
		t.Skipf("the kernel has no %v: %v", ip, err)
	}
}

func fromKernel(err error) error {
	if err == nil {
		return nil
	}
	return endpoint.Errno(err.(unix.Errno)) // Linux's numbers are ours
}

func toKernel(a endpoint.Addr) unix.Sockaddr {
	switch a.Family {
	case endpoint.AF_INET:
		return &unix.SockaddrInet4{Port: int(a.Port), Addr: a.IP.As4()}
	case endpoint.AF_INET6:
		return &unix.SockaddrInet6{Port: int(a.Port), Addr: a.IP.As16(), ZoneId: a.Scope}
	}
	return nil
}

func kernelAddr(sa unix.Sockaddr) endpoint.Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return endpoint.Addr{Family: endpoint.AF_INET, IP: netip.AddrFrom4(sa.Addr), Port: uint16(sa.Port)}
	case *unix.SockaddrInet6:
		return endpoint.Addr{Family: endpoint.AF_INET6, IP: netip.AddrFrom16(sa.Addr), Port: uint16(sa.Port), Scope: sa.ZoneId}
	}
	return endpoint.Addr{}
}

func (k *kernelSocket) Bind(a endpoint.Addr) error { return fromKernel(unix.Bind(k.fd, toKernel(a))) }

func (k *kernelSocket) Connect(a endpoint.Addr) error {
	if a.Family == endpoint.AF_UNSPEC {
		var sa unix.RawSockaddr
		_, _, e := unix.Syscall(unix.SYS_CONNECT, uintptr(k.fd), uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa))
		if e != 0 {
			return endpoint.Errno(e)
		}
		return nil
	}
	return fromKernel(unix.Connect(k.fd, toKernel(a)))
}

func (k *kernelSocket) Listen(n int) error { return fromKernel(unix.Listen(k.fd, n)) }

func (k *kernelSocket) Accept() (endpoint.Endpoint, endpoint.Addr, error) {
	fd, sa, err := unix.Accept4(k.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		return nil, endpoint.Addr{}, fromKernel(err)
	}
	return &kernelSocket{fd, k.typ}, kernelAddr(sa), nil
}

func (k *kernelSocket) Send(m endpoint.Message) (int, error) {
	var sa unix.Sockaddr
	if !m.To.IsZero() {
		sa = toKernel(m.To)
	}
	var oob []byte
	for _, c := range m.Control {
		b := make([]byte, unix.CmsgSpace(len(c.Data)))
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		h.Level, h.Type = int32(c.Level), int32(c.Type)
		h.SetLen(unix.CmsgLen(len(c.Data)))
		copy(b[unix.CmsgLen(0):], c.Data)
		oob = append(oob, b...)
	}
	n, err := unix.SendmsgBuffers(k.fd, m.Bufs, oob, sa, m.Flags|unix.MSG_NOSIGNAL)
	return max(n, 0), fromKernel(err)
}

func (k *kernelSocket) Recv(r endpoint.RecvRequest) (endpoint.Received, error) {
	var oob []byte
	if r.Control {
		oob = make([]byte, 512)
	}
	// By the bare call: the package turns a request for no bytes into one
	// for a byte when there is room for control items.
	var iov []unix.Iovec
	for _, b := range r.Bufs {
		v := unix.Iovec{Base: unsafe.SliceData(b)}
		v.SetLen(len(b))
		iov = append(iov, v)
	}
	var rsa unix.RawSockaddrAny
	msg := unix.Msghdr{Name: (*byte)(unsafe.Pointer(&rsa)), Namelen: unix.SizeofSockaddrAny}
	if len(iov) > 0 {
		msg.Iov = &iov[0]
		msg.SetIovlen(len(iov))
	}
	if len(oob) > 0 {
		msg.Control = &oob[0]
		msg.SetControllen(len(oob))
	}
	n, _, e := unix.Syscall(unix.SYS_RECVMSG, uintptr(k.fd), uintptr(unsafe.Pointer(&msg)), uintptr(r.Flags))
	runtime.KeepAlive(iov)
	runtime.KeepAlive(oob)
	if e != 0 {
		return endpoint.Received{}, endpoint.Errno(e)
	}
	got := endpoint.Received{N: int(n), Size: int(n), Flags: int(msg.Flags) &^ unix.MSG_CMSG_CLOEXEC}
	switch rsa.Addr.Family {
	case unix.AF_INET:
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&rsa))
		got.From = endpoint.Addr{Family: endpoint.AF_INET, IP: netip.AddrFrom4(sa.Addr), Port: binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:])}
	case unix.AF_INET6:
		sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(&rsa))
		got.From = endpoint.Addr{Family: endpoint.AF_INET6, IP: netip.AddrFrom16(sa.Addr), Port: binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:]), Scope: sa.Scope_id}
	}
	items, _ := unix.ParseSocketControlMessage(oob[:msg.Controllen])
	for _, item := range items {
		got.Control = append(got.Control, endpoint.Control{Level: int(item.Header.Level), Type: int(item.Header.Type), Data: item.Data})
	}
	return got, nil
}

func (k *kernelSocket) Shutdown(how int) error { return fromKernel(unix.Shutdown(k.fd, how)) }

func (k *kernelSocket) Close() error { return fromKernel(unix.Close(k.fd)) }

func (k *kernelSocket) LocalAddr() (endpoint.Addr, error) {
	sa, err := unix.Getsockname(k.fd)
	return kernelAddr(sa), fromKernel(err)
}

func (k *kernelSocket) PeerAddr() (endpoint.Addr, error) {
	sa, err := unix.Getpeername(k.fd)
	return kernelAddr(sa), fromKernel(err)
}

func (k *kernelSocket) Option(level, name int, buf []byte) (int, error) {
	size := uint32(len(buf))
	var one byte
	p := &one
	if len(buf) > 0 {
		p = &buf[0]
	}
	_, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(k.fd), uintptr(level), uintptr(name),
		uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(&size)), 0)
	if e != 0 {
		return 0, endpoint.Errno(e)
	}
	return int(size), nil
}

func (k *kernelSocket) SetOption(level, name int, value []byte) error {
	var one byte
	p := &one
	if len(value) > 0 {
		p = &value[0]
	}
	_, _, e := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(k.fd), uintptr(level), uintptr(name),
		uintptr(unsafe.Pointer(p)), uintptr(len(value)), 0)
	if e != 0 {
		return endpoint.Errno(e)
	}
	return nil
}

func (k *kernelSocket) poll(want endpoint.Events, millis int) endpoint.Events {
	fds := []unix.PollFd{{Fd: int32(k.fd), Events: int16(want)}}
	for {
		_, err := unix.Poll(fds, millis)
		if err != unix.EINTR {
			return endpoint.Events(uint16(fds[0].Revents))
		}
	}
}

func (k *kernelSocket) Ready(want endpoint.Events) endpoint.Events { return k.poll(want, 0) }

func (k *kernelSocket) Notify(endpoint.Sink) {}

func (k *kernelSocket) Queued() (in, out int) { return endpoint.Unknown, endpoint.Unknown }

var _ endpoint.Endpoint = (*kernelSocket)(nil)

// lab runs one scenario: on the kernel, or on ours.
type lab struct {
	t      *testing.T
	ip     netip.Addr
	af     int
	opener func(af, typ, proto int) (endpoint.Endpoint, error)
	log    []string
}

// labSocket is an endpoint of a scenario.
type labSocket struct {
	endpoint.Endpoint
	l *lab
	w *waker // ours
}

func (l *lab) wrap(ep endpoint.Endpoint) *labSocket {
	s := &labSocket{Endpoint: ep, l: l}
	if _, kernel := ep.(*kernelSocket); !kernel {
		s.w = newWaker()
		ep.Notify(s.w)
	}
	l.t.Cleanup(func() { s.close() })
	return s
}

func (s *labSocket) close() {
	if s.Endpoint != nil {
		s.Endpoint.Close()
		if _, kernel := s.Endpoint.(*kernelSocket); kernel {
			s.Endpoint = nil
		}
	}
}

func (l *lab) open(af, typ int) *labSocket {
	l.t.Helper()
	ep, err := l.opener(af, typ, 0)
	check(l.t, err)
	return l.wrap(ep)
}

func (l *lab) stream() *labSocket   { l.t.Helper(); return l.open(l.af, endpoint.SOCK_STREAM) }
func (l *lab) datagram() *labSocket { l.t.Helper(); return l.open(l.af, endpoint.SOCK_DGRAM) }

// await waits for one of the events, or fails the test.
func (s *labSocket) await(want endpoint.Events) endpoint.Events {
	s.l.t.Helper()
	if k, ok := s.Endpoint.(*kernelSocket); ok {
		got := k.poll(want, int(patience.Milliseconds()))
		if got == 0 {
			s.l.t.Fatalf("kernel: no event of %#x", want)
		}
		return got
	}
	ours := &sock{Endpoint: s.Endpoint, w: s.w, tb: s.l.t}
	return ours.await(want)
}

// settle waits until the connection has nothing under way: on the kernel's
// loopback it never has.
func (s *labSocket) settle() {
	s.l.t.Helper()
	s.await(endpoint.Hup)
	if t, ok := s.Endpoint.(*tcpEndpoint); ok {
		ours := &sock{Endpoint: s.Endpoint, w: s.w, tb: s.l.t}
		_ = ours.until("settle", func() error {
			if !delivered(t.raw.Load().EndpointState()) {
				return endpoint.EAGAIN
			}
			return nil
		})
	}
}

const allEvents = endpoint.In | endpoint.Out | endpoint.Err | endpoint.Hup | endpoint.RdHup
