package inet

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

// Which address and port a socket has, after inet_bind, tcp_set_state and
// tcp_disconnect of Linux.
//
// A socket has a port from bind, connect or listen on. When its connection or its
// attempt is over, or a listener is disconnected, it loses the port, unless
// bind was given its number (SOCK_BINDPORT_LOCK); then it may be bound again.
// Its address goes when it is disconnected, unless bind was given that
// (SOCK_BINDADDR_LOCK). getsockname tells the lost port until there is another.
//
// A netstack endpoint that is bound keeps its port until it is closed. So what
// the socket has kept is in named, and the netstack endpoint is bound when the
// port is needed. The one that ended may have bytes to be read: what Bind gets
// meanwhile is held by its successor.

// Bind implements endpoint.Endpoint.
func (t *tcpEndpoint) Bind(a endpoint.Addr) error {
	if t.closed.Load() {
		return endpoint.EBADF
	}
	fa, err := t.fullAddress(a)
	if err != nil {
		return err
	}
	raw := t.raw.Load()
	if t.hasPort(raw) {
		return endpoint.EINVAL
	}
	if err := t.checkLocal(fa, raw.SocketOptions()); err != nil {
		return err
	}
	if !t.isOwn(fa) {
		return endpoint.EADDRNOTAVAIL
	}
	switch {
	case fa.Port == 0 && t.has(flagNoPort):
		t.bindAddress(raw, fa)
	case ended(raw.EndpointState()):
		err = t.bindNext(raw, fa)
	default:
		err = t.bindNow(raw, fa)
	}
	if err != nil {
		return err
	}
	t.bound(fa)
	if fa.Port != 0 {
		t.set(flagPortLock, true)
	}
	return nil
}

// hasPort reports whether the socket has a port, inet_num of Linux.
func (t *tcpEndpoint) hasPort(raw *tcp.Endpoint) bool {
	if t.has(flagPortLock) || t.next.Load() != nil {
		return true
	}
	state := raw.EndpointState()
	return state != tcp.StateInitial && !ended(state)
}

// bindAddress binds to an address and leaves the port to connect or listen, as
// IP_BIND_ADDRESS_NO_PORT asks.
func (t *tcpEndpoint) bindAddress(raw *tcp.Endpoint, fa tcpip.FullAddress) {
	t.named.Store(&fa)
	t.set(flagUnnamed, ended(raw.EndpointState())) // then the name of raw is the socket's no more
	if isSix(fa.Addr) {
		raw.SocketOptions().SetV6Only(true) // as __inet6_bind of Linux
	}
}

// bindNow binds a netstack endpoint that is fresh.
func (t *tcpEndpoint) bindNow(raw *tcp.Endpoint, fa tcpip.FullAddress) error {
	err := t.bindAnew(raw, fa)
	if err == endpoint.EADDRINUSE {
		t.unname(raw)
		t.set(flagUnnamed, false) // raw has no name that could be shown
	}
	return err
}

// bindNext binds the successor of old, which has ended.
func (t *tcpEndpoint) bindNext(old *tcp.Endpoint, fa tcpip.FullAddress) error {
	next, err := t.newRaw()
	if err != nil {
		return err
	}
	t.copyOptions(next, old)
	if !over(old) {
		t.watch() // as in renew
	}
	if err := t.bindAnew(next, fa); err != nil {
		next.Close()
		if err == endpoint.EADDRINUSE {
			t.unname(old)
		}
		return err
	}
	if !t.next.CompareAndSwap(nil, next) {
		t.p.ports.drop(t, next)
		next.Close()
		return endpoint.EINVAL
	}
	if (t.closed.Load() || t.raw.Load() != old) && t.next.CompareAndSwap(next, nil) {
		t.p.ports.drop(t, next)
		next.Close()
		return endpoint.EINVAL
	}
	return nil
}

// bindAnew binds raw for a socket that has no port. Of two calls of Bind one finds
// that it has.
func (t *tcpEndpoint) bindAnew(raw *tcp.Endpoint, fa tcpip.FullAddress) error {
	port, had, err := t.takePort(raw, fa, nil)
	if err != nil {
		return err
	}
	if had {
		return endpoint.EINVAL
	}
	fa.Port = port
	if err := t.bindRaw(raw, fa); err != nil {
		t.p.ports.drop(t, raw)
		return errno(err)
	}
	return nil
}

// bindLate gives a netstack endpoint that is fresh the port that it needs now:
// what the socket has kept, or one that is picked. to is where a Connect goes,
// nil for Listen. bound reports whether it had none before.
func (t *tcpEndpoint) bindLate(raw *tcp.Endpoint, to *claim) (bound bool, err error) {
	if raw.EndpointState() != tcp.StateInitial {
		return false, nil
	}
	var fa tcpip.FullAddress
	if named := t.named.Load(); named != nil {
		fa = t.asked(*named)
	}
	if !t.has(flagPortLock) {
		fa.Port = 0
	}
	port, had, err := t.takePort(raw, fa, to)
	if err != nil {
		return false, err
	}
	fa.Port = port
	switch err := t.bindRaw(raw, fa); err.(type) {
	case nil:
		return true, nil
	case *tcpip.ErrAlreadyBound: // by another call, to the same
		return false, nil
	default: // the address is none of the host's any more
		if !had {
			t.p.ports.drop(t, raw)
		}
		return false, errno(err)
	}
}

// asked is an address as Bind was given it: netstack knows no difference between
// any address and any of IPv4.
func (t *tcpEndpoint) asked(fa tcpip.FullAddress) tcpip.FullAddress {
	if fa.Addr.Len() == 0 && t.has(flagBound4) {
		fa.Addr = mappedAny
	}
	return fa
}

// keepName notes what remains of the name when the socket loses raw: what Bind
// was given, and a port to be shown. It returns what the next netstack endpoint
// is to be bound to at once.
func (t *tcpEndpoint) keepName(raw *tcp.Endpoint) (at tcpip.FullAddress) {
	named := t.name(raw)
	if !t.has(flagAddrLock) {
		named.Addr, named.NIC = tcpip.Address{}, 0
	}
	t.named.Store(&named)
	if t.has(flagPortLock) {
		at = t.asked(named)
	}
	return at
}

// unname forgets the address, as a bind that fails does, but not the port that
// is shown.
func (t *tcpEndpoint) unname(raw *tcp.Endpoint) {
	named := tcpip.FullAddress{Port: t.name(raw).Port}
	t.named.Store(&named)
	t.set(flagUnnamed, true)
	t.set(flagBound4|flagScoped, false)
}

// name is the local address as netstack spells it.
func (t *tcpEndpoint) name(raw *tcp.Endpoint) tcpip.FullAddress {
	if next := t.next.Load(); next != nil {
		raw = next
	}
	fa, err := raw.GetLocalAddress()
	named := t.named.Load()
	if named != nil && (err != nil || fa.Port == 0 || t.has(flagUnnamed) && ended(raw.EndpointState())) {
		return *named
	}
	return fa
}

// onLoopback4 reports whether the socket is bound to a loopback address of
// IPv4.
func (t *tcpEndpoint) onLoopback4() bool {
	ip := ipOf(t.name(t.raw.Load()).Addr)
	return ip.Is4() && ip.IsLoopback()
}

// LocalAddr implements endpoint.Endpoint.
func (t *tcpEndpoint) LocalAddr() (endpoint.Addr, error) {
	return t.socketAddr(t.asked(t.name(t.raw.Load()))), nil
}

// bindToConnect is bindLate for a Connect, which a socket that has a port may also
// make over its last connection to the same peer.
func (t *tcpEndpoint) bindToConnect(raw *tcp.Endpoint, to *claim) (late bool, err error) {
	if late, err = t.bindLate(raw, to); err != nil || raw.EndpointState() != tcp.StateBound {
		return late, err
	}
	if !late {
		t.p.ports.replace(t, to).end()
	}
	if at, err := raw.GetLocalAddress(); err == nil && at.Addr.Len() == 0 {
		t.forgetBelow(raw, at.Port)
	}
	return late, nil
}

// unbindAfter takes back what a connect that netstack refused with err has
// bound: all of it if the port could not be had, tcp_v4_connect of Linux; else
// what bindLate did.
func (t *tcpEndpoint) unbindAfter(raw *tcp.Endpoint, err tcpip.Error, late bool) error {
	if _, taken := err.(*tcpip.ErrBadLocalAddress); taken {
		return t.renew(raw, t.keepName(raw), 0)
	}
	if late && !t.has(flagPortLock) {
		return t.renew(raw, tcpip.FullAddress{}, 0)
	}
	return nil
}
