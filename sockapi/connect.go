package sockapi

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strconv"
	"time"

	"usersock/stack/endpoint"
)

// Bind gives the socket its local address. Port 0 takes a free one, the empty
// host any address. EADDRINUSE, EADDRNOTAVAIL, EINVAL for a second bind,
// EAFNOSUPPORT for another family's address.
func (s *Socket) Bind(addr Addr) error {
	defer runtime.KeepAlive(s)
	d, a, err := s.target(context.Background(), "bind", addr)
	if err != nil {
		return err
	}
	d.net.gate(d.fd, d, "bind")
	return fail("bind", addr, d.outcome(d.file.ep.Bind(a)))
}

// Listen makes the socket accept connections, at most backlog of them
// waiting; called again it changes the backlog. 0 is allowed; more than
// SOMAXCONN, or a negative number, is SOMAXCONN.
func (s *Socket) Listen(backlog int) error {
	defer runtime.KeepAlive(s)
	d, err := s.use()
	if err != nil {
		return fail("listen", nil, err)
	}
	d.net.gate(d.fd, d, "listen")
	return fail("listen", nil, d.outcome(d.file.ep.Listen(backlog)))
}

// Accept waits for a connection and returns its Socket, with the default
// timeout of the Net, and the peer's address. EINVAL if the socket does not
// listen.
func (s *Socket) Accept() (*Socket, Addr, error) {
	conn, peer, err := s.accept(s.recvLimit())
	if err != nil {
		return nil, nil, err
	}
	return conn, fromEndpoint(peer), nil
}

// shutListener reports whether f is an AF_UNIX listener, of which Accept says
// EINVAL because it was shut down: unix_accept of Linux tells that to those
// alone who wait.
func (f *file) shutListener() bool {
	return f.family == AF_UNIX && f.listens() && f.ep.Ready(endpoint.RdHup)&endpoint.RdHup != 0
}

func (s *Socket) accept(lim limit) (*Socket, endpoint.Addr, error) {
	defer runtime.KeepAlive(s)
	d, err := s.use()
	if err != nil {
		return nil, endpoint.Addr{}, fail("accept", nil, err)
	}
	n := d.net
	n.gate(d.fd, d, "accept") // it makes a descriptor
	w := n.getWaiter()
	defer n.putWaiter(w)
	var ep endpoint.Endpoint
	var peer endpoint.Addr
	err = d.wait(w, endpoint.In, lim, func() (err error) {
		ep, peer, err = d.file.ep.Accept()
		if err == endpoint.EINVAL && lim.until == atOnce && d.file.shutListener() {
			err = endpoint.EAGAIN
		}
		return err
	})
	if err != nil {
		return nil, endpoint.Addr{}, fail("accept", nil, err)
	}
	conn, err := n.open(ep, s.family, s.typ, s.proto)
	if err != nil {
		return nil, endpoint.Addr{}, fail("accept", nil, err)
	}
	conn.desc.file.inherit(d.file)
	return conn, peer, nil
}

// Connect connects the socket, or sets a datagram socket's peer. A
// non-blocking socket returns EINPROGRESS: it becomes writable when the attempt
// has ended, and SO_ERROR tells how. [UnspecAddr] dissolves a datagram socket's
// association.
func (s *Socket) Connect(addr Addr) error {
	return s.connectTo(context.Background(), addr, s.sendLimit)
}

// ConnectEx is Connect with the errno as a result (0 for success). The error
// is for what has none: a name that does not resolve, a bad argument. A timeout
// is EAGAIN, as in CPython.
func (s *Socket) ConnectEx(addr Addr) (Errno, error) {
	err := s.Connect(addr)
	switch {
	case err == nil:
		return 0, nil
	case errors.Is(err, ErrTimeout):
		return endpoint.EAGAIN, nil
	}
	var e *Error
	if errors.As(err, &e) && e.Errno != 0 {
		return e.Errno, nil
	}
	return 0, err
}

// connectTo resolves the name first, which does not count against the limit.
func (s *Socket) connectTo(ctx context.Context, addr Addr, lim func() limit) error {
	defer runtime.KeepAlive(s)
	d, a, err := s.target(ctx, "connect", addr)
	if err != nil {
		return err
	}
	return s.connect(d, a, addr, lim())
}

func (s *Socket) connect(d *desc, a endpoint.Addr, addr Addr, lim limit) error {
	n, ep := d.net, d.file.ep
	n.gate(d.fd, d, "connect")
	d.file.later.Store(0)
	w := n.getWaiter()
	defer n.putWaiter(w)
	// EAGAIN (a full backlog of AF_UNIX) is waited out here, EINPROGRESS below.
	err := d.wait(w, endpoint.Out, lim, func() error { return ep.Connect(a) })
	// As Linux, a call in blocking mode joins an attempt that is under way.
	joins := err == endpoint.EALREADY && lim.blocking
	if !joins && err != endpoint.EINPROGRESS || lim.until == atOnce {
		return fail("connect", addr, err)
	}
	if lim.late != nil {
		lim.late = err // SO_SNDTIMEO: the attempt goes on
	}
	// Another connect tells how the attempt ended: nil, from where on it is
	// EISCONN, or the error, after which the socket may connect anew. Errors and
	// hang-up may be there before it has ended.
	err = d.wait(w, endpoint.Out, lim, func() error {
		if ep.Ready(endpoint.Out) == 0 {
			return endpoint.EAGAIN
		}
		err := ep.Connect(a)
		if err == endpoint.EALREADY {
			return endpoint.EAGAIN
		}
		return err
	})
	if joins && err == endpoint.EISCONN {
		err = nil // whoever began it was told
	}
	return fail("connect", addr, err)
}

// Getsockname returns the socket's own address.
func (s *Socket) Getsockname() (Addr, error) {
	a, err := s.localAddr()
	if err != nil {
		return nil, fail("getsockname", nil, err)
	}
	return fromEndpoint(a), nil
}

// Getpeername returns the address that the socket is connected to; ENOTCONN
// if it is not.
func (s *Socket) Getpeername() (Addr, error) {
	a, err := s.peerAddr()
	if err != nil {
		return nil, fail("getpeername", nil, err)
	}
	return fromEndpoint(a), nil
}

func (s *Socket) localAddr() (endpoint.Addr, error) {
	defer runtime.KeepAlive(s)
	d, err := s.use()
	if err != nil {
		return endpoint.Addr{}, err
	}
	a, err := d.file.ep.LocalAddr()
	return a, d.outcome(err)
}

func (s *Socket) peerAddr() (endpoint.Addr, error) {
	defer runtime.KeepAlive(s)
	d, err := s.use()
	if err != nil {
		return endpoint.Addr{}, err
	}
	a, err := d.file.ep.PeerAddr()
	return a, d.outcome(err)
}

// CreateConnection connects a TCP socket to the first address of a name that
// answers, trying each in the order of getaddrinfo. timeout is the new socket's
// (Forever, 0 or a duration; [Net.Getdefaulttimeout] for the default), source
// is bound first unless nil; an [InetAddr] is the host and port of either version
// of IP. When none works the last error is returned with all of them joined, and
// nothing stays open.
func (n *Net) CreateConnection(addr InetAddr, timeout time.Duration, source Addr) (*Socket, error) {
	if err := checkTimeout("create_connection", timeout); err != nil {
		return nil, err
	}
	if err := checkPort("create_connection", addr.Port); err != nil {
		return nil, err
	}
	infos, err := n.Getaddrinfo(context.Background(), addr.Host, strconv.Itoa(addr.Port), AF_UNSPEC, SOCK_STREAM, 0, 0)
	if err != nil {
		return nil, err
	}
	var all []error
	for _, info := range infos {
		s, err := n.connectOne(info, timeout, source)
		if err == nil {
			return s, nil
		}
		all = append(all, err)
	}
	if len(all) == 0 {
		return nil, &Error{Op: "create_connection", Addr: addr, Err: errors.New("getaddrinfo returns an empty list")}
	}
	return nil, lastOf(all)
}

func (n *Net) connectOne(info AddrInfo, timeout time.Duration, source Addr) (*Socket, error) {
	s, err := n.Socket(info.Family, info.Type, info.Proto)
	if err != nil {
		return nil, err
	}
	err = s.Settimeout(timeout)
	if err == nil && source != nil {
		err = s.Bind(pairFor(info.Family, source))
	}
	if err == nil {
		err = s.Connect(info.Addr)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// lastOf shows the last error and holds all of them.
func lastOf(all []error) error {
	if len(all) == 1 {
		return all[0]
	}
	return &attemptErrors{all}
}

// attemptErrors is the last of several errors to a reader, and any of them to
// errors.Is and errors.As, the last one first.
type attemptErrors struct{ all []error }

func (e *attemptErrors) Error() string { return e.all[len(e.all)-1].Error() }

func (e *attemptErrors) Unwrap() []error {
	list := make([]error, 0, len(e.all))
	for i := len(e.all) - 1; i >= 0; i-- {
		list = append(list, e.all[i])
	}
	return list
}

// Timeout reports whether the last attempt timed out.
func (e *attemptErrors) Timeout() bool { return timeout(e.all[len(e.all)-1]) }

// Temporary reports whether trying the last one again may help.
func (e *attemptErrors) Temporary() bool { return temporary(e.all[len(e.all)-1]) }

var _ net.Error = (*attemptErrors)(nil)

// WithConnection is [Net.CreateConnection] as a context manager: it calls use
// with the socket, always closes it, drops an error of that close, and returns
// what use returned.
func (n *Net) WithConnection(addr InetAddr, timeout time.Duration, source Addr, use func(*Socket) error) error {
	s, err := n.CreateConnection(addr, timeout, source)
	if err != nil {
		return err
	}
	defer s.Close()
	return use(s)
}
