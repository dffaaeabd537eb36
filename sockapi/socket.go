package sockapi

import (
	"runtime"
	"sync/atomic"
	"time"

	"usersock/stack/endpoint"
)

// Socket is an open socket of a Net. All methods may be called from any
// goroutine; Close ends calls that other goroutines have blocked in.
type Socket struct {
	desc    *desc
	family  int
	typ     int
	proto   int
	ended   atomic.Bool // closed or detached
	cleanup runtime.Cleanup
}

// SocketType is the type of sockets by the name that the documents use.
type SocketType = Socket

// typeFlags are the bits of socket(2)'s type argument that are no type, and
// typeMask those that are.
const (
	typeFlags = SOCK_NONBLOCK | SOCK_CLOEXEC
	typeMask  = 0xf
)

// Socket opens a socket. The type may carry SOCK_NONBLOCK (timeout 0) and
// SOCK_CLOEXEC (without effect: there is no exec). Errors are socket(2)'s:
// EAFNOSUPPORT, ESOCKTNOSUPPORT, EPROTONOSUPPORT, EINVAL.
func (n *Net) Socket(family, typ, proto int) (*Socket, error) {
	n.gate(-1, nil, "socket")
	return n.socket(family, typ, proto)
}

// socket is Socket behind the gate of virtual time.
func (n *Net) socket(family, typ, proto int) (*Socket, error) {
	nonblocking, cloexec := typ >= 0 && typ&SOCK_NONBLOCK != 0, typ >= 0 && typ&SOCK_CLOEXEC != 0
	if typ >= 0 {
		typ &^= typeFlags
	}
	if typ&^typeMask != 0 {
		return nil, fail("socket", nil, endpoint.EINVAL)
	}
	ep, err := n.stack.Open(family, endpoint.Request{Type: typ, Protocol: proto, Cred: n.cred})
	if err != nil {
		return nil, fail("socket", nil, err)
	}
	s, err := n.open(ep, family, typ, proto)
	if err != nil {
		return nil, fail("socket", nil, err)
	}
	if nonblocking {
		s.desc.file.timeout.Store(0)
	}
	s.desc.cloexec.Store(cloexec)
	return s, nil
}

// Socketpair opens two connected sockets; only AF_UNIX has pairs, any other
// family is EOPNOTSUPP.
func (n *Net) Socketpair(family, typ, proto int) (*Socket, *Socket, error) {
	n.gate(-1, nil, "socketpair")
	nonblocking, cloexec := typ >= 0 && typ&SOCK_NONBLOCK != 0, typ >= 0 && typ&SOCK_CLOEXEC != 0
	if typ >= 0 {
		typ &^= typeFlags
	}
	if typ&^typeMask != 0 {
		return nil, nil, fail("socketpair", nil, endpoint.EINVAL)
	}
	a, b, err := n.stack.Pair(family, endpoint.Request{Type: typ, Protocol: proto, Cred: n.cred})
	if err != nil {
		return nil, nil, fail("socketpair", nil, err)
	}
	sa, err := n.open(a, family, typ, proto)
	if err != nil {
		b.Close()
		return nil, nil, fail("socketpair", nil, err)
	}
	sb, err := n.open(b, family, typ, proto)
	if err != nil {
		sa.Close()
		return nil, nil, fail("socketpair", nil, err)
	}
	if nonblocking {
		sa.desc.file.timeout.Store(0)
		sb.desc.file.timeout.Store(0)
	}
	sa.desc.cloexec.Store(cloexec)
	sb.desc.cloexec.Store(cloexec)
	return sa, sb, nil
}

// Family returns the address family that the socket was opened with.
func (s *Socket) Family() int { return s.family }

// Type returns the type that the socket was opened with, without SOCK_NONBLOCK
// and SOCK_CLOEXEC.
func (s *Socket) Type() int { return s.typ }

// Proto returns the protocol that the socket was opened with.
func (s *Socket) Proto() int { return s.proto }

// Net returns the Net that the socket belongs to.
func (s *Socket) Net() *Net { return s.desc.net }

// use returns the descriptor of an open Socket.
func (s *Socket) use() (*desc, error) {
	if s.ended.Load() || s.desc.closed.Load() {
		return nil, errClosed
	}
	return s.desc, nil
}

// Close closes the socket: calls that other goroutines have blocked in
// return with an error that is both EBADF and net.ErrClosed, and so do all
// later ones. Bytes already sent are still delivered, then the peer sees the
// end; with SO_LINGER on and a time of 0 it sees a reset instead, and with a
// longer time Close waits until everything has been acknowledged, at most that
// long. Descriptors made by Dup stay open. Closing twice is harmless.
func (s *Socket) Close() error {
	if s.ended.Swap(true) {
		return nil
	}
	s.cleanup.Stop()
	s.desc.closeLingering()
	return nil
}

// closeLingering is close for a call of the program's, which waits where
// SO_LINGER says so.
func (d *desc) closeLingering() bool {
	linger := d.lingers()
	if !d.close() {
		return false
	}
	if linger > 0 {
		d.linger(linger)
	}
	return true
}

// lingers returns how long the close of this descriptor has to wait: not at
// all unless it is the last one and SO_LINGER says so.
func (d *desc) lingers() time.Duration {
	f := d.file
	if f.typ != SOCK_STREAM || f.refs.Load() != 1 {
		return 0
	}
	var value [8]byte
	if _, err := f.ep.Option(SOL_SOCKET, SO_LINGER, value[:]); err != nil {
		return 0
	}
	on, d2, err := endpoint.Linger(value[:])
	if err != nil || !on {
		return 0
	}
	return d2
}

// linger waits on a closed description until everything has been delivered,
// at most for limit.
func (d *desc) linger(limit time.Duration) {
	n, f := d.net, d.file
	w := n.getWaiter()
	defer n.putWaiter(w)
	lim := limitFor(n.clock, limit)
	key := d.waitKey(0)
	f.enlist(&w.watch, nil, 0)
	for f.ep.Ready(0)&endpoint.Hup == 0 && lim.over(n.clock) == nil {
		w.sleep(lim.end())
		f.gateWake(key)
	}
	f.delist(&w.watch)
	w.disarm()
}

// Shutdown closes one or both directions: SHUT_RD, SHUT_WR or SHUT_RDWR. On a
// listening socket it ends Accept. ENOTCONN if the socket is not connected,
// EINVAL for another number.
func (s *Socket) Shutdown(how int) error {
	defer runtime.KeepAlive(s)
	d, err := s.use()
	if err != nil {
		return fail("shutdown", nil, err)
	}
	if how < SHUT_RD || how > SHUT_RDWR {
		return fail("shutdown", nil, endpoint.EINVAL)
	}
	return fail("shutdown", nil, d.outcome(d.file.ep.Shutdown(how)))
}
