package inet

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

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
	if over(raw) && !t.has(flagBound|flagConnected) {
		// A connect failed: the socket has no port, and may get one.
		t.drain(raw)
		if err := t.renew(raw); err != nil {
			return err
		}
		raw = t.raw.Load()
	}
	if t.has(flagBound | flagConnecting | flagConnected) {
		return endpoint.EINVAL
	}
	if err := t.checkLocal(fa, raw.SocketOptions()); err != nil {
		return err
	}
	if err := raw.Bind(fa); err != nil {
		if raw.EndpointState() == tcp.StateInitial {
			// Netstack's endpoint keeps the address that it could not have.
			if e := t.renew(raw); e != nil {
				return e
			}
		}
		return bindErrno(err)
	}
	if got, err := raw.GetLocalAddress(); err == nil {
		fa.Port = got.Port
	}
	t.local.Store(&fa)
	t.bound(fa)
	return nil
}

// bindErrno is errno for Bind and Listen: no free port is EADDRINUSE there.
func bindErrno(err tcpip.Error) error {
	if _, full := err.(*tcpip.ErrNoPortAvailable); full {
		return endpoint.EADDRINUSE
	}
	return errno(err)
}

// onLoopback4 reports whether the socket is bound to a loopback address of
// IPv4.
func (t *tcpEndpoint) onLoopback4() bool {
	local := t.local.Load()
	return local != nil && t.has(flagBound) && ipOf(local.Addr).Unmap().Is4() && ipOf(local.Addr).Unmap().IsLoopback()
}

// LocalAddr implements endpoint.Endpoint. A port that the socket has no more
// shows until it gets another one, as on Linux.
func (t *tcpEndpoint) LocalAddr() (endpoint.Addr, error) {
	fa, err := t.raw.Load().GetLocalAddress()
	if err != nil {
		return endpoint.Addr{}, errno(err)
	}
	if shown := t.shown.Load(); fa.Port == 0 && shown != nil {
		fa = *shown
	}
	if fa.Addr.Len() == 0 && t.has(flagBound4) {
		fa.Addr = mappedAny
	}
	return t.socketAddr(fa), nil
}
