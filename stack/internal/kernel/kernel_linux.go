package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"usersock/stack/endpoint"
)

// Family opens sockets of one address family of the kernel.
type Family struct {
	AF int // endpoint.AF_UNIX, AF_INET or AF_INET6
}

var _ endpoint.Family = Family{}

const flags = unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC

// Open implements endpoint.Family.
func (f Family) Open(r endpoint.Request) (endpoint.Endpoint, error) {
	fd, err := unix.Socket(f.AF, r.Type|flags, r.Protocol)
	if err != nil {
		return nil, ours(err)
	}
	return &socket{af: f.AF, typ: r.Type, fd: fd}, nil
}

// ours returns the endpoint.Errno of a system call's error.
func ours(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := endpoint.FromHost(err); ok {
		return e
	}
	return err
}

type socket struct {
	af, typ int

	// mu is held for reading around each call, so that Close does not give
	// the number to another file meanwhile.
	mu sync.RWMutex
	fd int // −1 when closed

	sinkMu  sync.Mutex
	sink    endpoint.Sink
	stop    *os.File // closing it ends watch
	stopped chan struct{}
}

// use calls f with the descriptor.
func (s *socket) use(f func(fd int) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.fd < 0 {
		return endpoint.EBADF
	}
	return ours(f(s.fd))
}

func (s *socket) sockaddr(a endpoint.Addr) (unix.Sockaddr, error) {
	if a.Family != s.af {
		return nil, endpoint.EAFNOSUPPORT
	}
	switch a.Family {
	case endpoint.AF_INET:
		return &unix.SockaddrInet4{Port: int(a.Port), Addr: a.IP.As4()}, nil
	case endpoint.AF_INET6:
		return &unix.SockaddrInet6{Port: int(a.Port), Addr: a.IP.As16(), ZoneId: a.Scope}, nil
	}
	return &unix.SockaddrUnix{Name: a.Path}, nil
}

func (s *socket) addr(sa unix.Sockaddr) endpoint.Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return endpoint.Inet(netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)))
	case *unix.SockaddrInet6:
		a := endpoint.Inet(netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)))
		a.Family, a.Scope = endpoint.AF_INET6, sa.ZoneId
		return a
	case *unix.SockaddrUnix:
		if sa.Name == "@" {
			return endpoint.Unix("") // how package unix shows an unnamed socket
		}
		if rest, ok := strings.CutPrefix(sa.Name, "@"); ok {
			return endpoint.Unix("\x00" + rest)
		}
		return endpoint.Unix(sa.Name)
	}
	if s.af == endpoint.AF_UNIX {
		return endpoint.Unix("")
	}
	return endpoint.Addr{}
}

func (s *socket) Bind(a endpoint.Addr) error {
	sa, err := s.sockaddr(a)
	if err != nil {
		return err
	}
	return s.use(func(fd int) error {
		if s.af == endpoint.AF_UNIX {
			return named(unix.SYS_BIND, fd, a.Path)
		}
		return unix.Bind(fd, sa)
	})
}

func (s *socket) Connect(a endpoint.Addr) error {
	if a.IsZero() {
		return s.use(func(fd int) error { return dissolve(fd) })
	}
	sa, err := s.sockaddr(a)
	if err != nil {
		return err
	}
	err = s.use(func(fd int) error {
		if s.af == endpoint.AF_UNIX {
			return named(unix.SYS_CONNECT, fd, a.Path)
		}
		return unix.Connect(fd, sa)
	})
	s.promise(err)
	return err
}

// promise calls the sink a little after EAGAIN.
func (s *socket) promise(err error) {
	if errors.Is(err, endpoint.EAGAIN) {
		time.AfterFunc(time.Millisecond, func() { s.event(endpoint.Out) })
	}
}

func (s *socket) Listen(backlog int) error {
	return s.use(func(fd int) error { return unix.Listen(fd, backlog) })
}

func (s *socket) Accept() (endpoint.Endpoint, endpoint.Addr, error) {
	var n *socket
	var from endpoint.Addr
	err := s.use(func(fd int) error {
		nfd, sa, err := unix.Accept4(fd, flags)
		if err == nil {
			n, from = &socket{af: s.af, typ: s.typ, fd: nfd}, s.addr(sa)
		}
		if err == unix.EAGAIN && poll(fd, endpoint.RdHup)&endpoint.RdHup != 0 {
			err = unix.EINVAL
		}
		return err
	})
	if err != nil {
		return nil, endpoint.Addr{}, err
	}
	return n, from, nil
}

func (s *socket) Send(m endpoint.Message) (n int, err error) {
	var to unix.Sockaddr
	if !m.To.IsZero() {
		if to, err = s.sockaddr(m.To); err != nil {
			return 0, err
		}
	}
	var oob []byte
	for _, c := range m.Control {
		oob = append(oob, pack(c)...)
	}
	err = s.use(func(fd int) error {
		n, err = unix.SendmsgBuffers(fd, m.Bufs, oob, to, m.Flags|unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		return err
	})
	if s.typ == endpoint.SOCK_DGRAM {
		s.promise(err)
	}
	if err != nil {
		return 0, err
	}
	return n, nil
}

func (s *socket) Recv(req endpoint.RecvRequest) (r endpoint.Received, err error) {
	var oob []byte
	if req.Control {
		oob = make([]byte, 4096)
	}
	err = s.use(func(fd int) error {
		how := req.Flags | unix.MSG_DONTWAIT | unix.MSG_CMSG_CLOEXEC
		if s.typ != endpoint.SOCK_STREAM {
			how |= unix.MSG_TRUNC
		}
		n, oobn, got, sa, err := unix.RecvmsgBuffers(fd, req.Bufs, oob, how)
		if err != nil {
			return err
		}
		r.N, r.Size = min(n, req.Len()), n
		r.Flags = got & (unix.MSG_TRUNC | unix.MSG_CTRUNC | unix.MSG_EOR | unix.MSG_ERRQUEUE | unix.MSG_OOB)
		if sa != nil && (s.typ != endpoint.SOCK_STREAM || s.af == endpoint.AF_UNIX) {
			r.From = s.addr(sa)
		}
		r.Control, err = unpack(oob[:oobn])
		return err
	})
	return r, err
}

func (s *socket) Shutdown(how int) error {
	return s.use(func(fd int) error { return unix.Shutdown(fd, how) })
}

func (s *socket) Close() error {
	s.mu.Lock()
	fd := s.fd
	s.fd = -1
	s.mu.Unlock()
	if fd < 0 {
		return nil
	}
	if s.stop != nil {
		s.stop.Close()
		<-s.stopped
	}
	err := unix.Close(fd)
	s.event(endpoint.In | endpoint.Out | endpoint.Hup)
	return ours(err)
}

func (s *socket) LocalAddr() (a endpoint.Addr, err error) {
	err = s.use(func(fd int) error {
		if s.af == endpoint.AF_UNIX {
			a, err = nameOf(fd)
			return err
		}
		sa, err := unix.Getsockname(fd)
		a = s.addr(sa)
		return err
	})
	return a, err
}

func (s *socket) PeerAddr() (a endpoint.Addr, err error) {
	err = s.use(func(fd int) error {
		sa, err := unix.Getpeername(fd)
		if err == nil {
			a = s.addr(sa)
		}
		return err
	})
	return a, err
}

func (s *socket) Option(level, name int, buf []byte) (n int, err error) {
	err = s.use(func(fd int) error {
		n, err = getsockopt(fd, level, name, buf)
		return err
	})
	return n, err
}

func (s *socket) SetOption(level, name int, value []byte) error {
	return s.use(func(fd int) error { return setsockopt(fd, level, name, value) })
}

func (s *socket) Ready(want endpoint.Events) endpoint.Events {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.fd < 0 {
		return want&(endpoint.In|endpoint.Out) | endpoint.Hup
	}
	return poll(s.fd, want)
}

func poll(fd int, want endpoint.Events) endpoint.Events {
	p := []unix.PollFd{{Fd: int32(fd), Events: int16(want)}}
	if _, err := unix.Poll(p, 0); err != nil {
		return endpoint.Err
	}
	return endpoint.Events(uint16(p[0].Revents))
}

func (s *socket) Queued() (in, out int) {
	in, out = endpoint.Unknown, endpoint.Unknown
	s.use(func(fd int) (err error) {
		if in, err = unix.IoctlGetInt(fd, unix.SIOCINQ); err != nil {
			in = endpoint.Unknown
		}
		return nil
	})
	return in, out
}

func (s *socket) event(ev endpoint.Events) {
	s.sinkMu.Lock()
	sink := s.sink
	s.sinkMu.Unlock()
	if sink != nil {
		sink.Event(ev)
	}
}

func (s *socket) Notify(sink endpoint.Sink) {
	s.sinkMu.Lock()
	s.sink = sink
	s.sinkMu.Unlock()
	s.use(s.watch)
	sink.Event(s.Ready(endpoint.In | endpoint.Out))
}

// watch starts the goroutine that turns edges of epoll(7) into events.
func (s *socket) watch(fd int) error {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		panic(fmt.Sprint("epoll_create1: ", err))
	}
	r, w, err := os.Pipe()
	if err != nil {
		panic(fmt.Sprint("pipe: ", err))
	}
	s.stop, s.stopped = w, make(chan struct{})
	const edges = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET
	stopFd := int32(r.Fd())
	for fd, events := range map[int32]uint32{int32(fd): edges & (1<<32 - 1), stopFd: unix.EPOLLIN} {
		if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{Events: events, Fd: fd}); err != nil {
			panic(fmt.Sprint("epoll_ctl: ", err))
		}
	}
	// The first edge is the state at registration, which Notify tells.
	var registration [1]unix.EpollEvent
	if _, err := unix.EpollWait(ep, registration[:], 0); err != nil {
		panic(fmt.Sprint("epoll_wait: ", err))
	}
	go func() {
		defer close(s.stopped)
		defer r.Close()
		defer unix.Close(ep)
		var events [2]unix.EpollEvent
		for {
			n, err := unix.EpollWait(ep, events[:], -1)
			if err != nil && !errors.Is(err, unix.EINTR) {
				panic(fmt.Sprint("epoll_wait: ", err))
			}
			for _, ev := range events[:max(n, 0)] {
				if ev.Fd == stopFd {
					return
				}
				s.event(endpoint.Events(ev.Events))
			}
		}
	}()
	return nil
}

// unpack reads control messages.
func unpack(oob []byte) ([]endpoint.Control, error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var items []endpoint.Control
	for _, m := range msgs {
		items = append(items, endpoint.Control{Level: int(m.Header.Level), Type: int(m.Header.Type), Data: m.Data})
	}
	return items, nil
}
