package inet

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

// Listen implements endpoint.Endpoint. A negative backlog counts as a large
// one, as Linux reads it unsigned; more than SOMAXCONN counts as SOMAXCONN.
func (t *tcpEndpoint) Listen(backlog int) error {
	if t.closed.Load() {
		return endpoint.EBADF
	}
	if backlog < 0 || backlog > endpoint.SOMAXCONN {
		backlog = endpoint.SOMAXCONN
	}
	if t.has(flagConnecting | flagConnected | flagDisconnecting) {
		return endpoint.EINVAL
	}
	raw := t.raw.Load()
	if over(raw) {
		return endpoint.EINVAL
	}
	if t.p.ended.Load() {
		return endpoint.ENETDOWN
	}
	if err := t.bindLate(raw); err != nil {
		if e := t.renew(raw, tcpip.FullAddress{}, 0); e != nil {
			return e
		}
		return bindErrno(err)
	}
	// One more than asked for: Linux lets the queue grow past the backlog
	// by one, and netstack's does not.
	if err := raw.Listen(backlog + 1); err != nil {
		if raw.EndpointState() != tcp.StateListen {
			if over(raw) { // Netstack's endpoint ends with it, a socket keeps its port
				if e := t.renew(raw, t.name(raw), 0); e != nil {
					return e
				}
			}
			return bindErrno(err)
		}
		// Netstack refuses to go below what already waits. Linux takes any
		// value and turns newcomers away until the queue is short enough.
		for raw.EndpointState() == tcp.StateListen && err != nil && backlog < endpoint.SOMAXCONN {
			backlog++
			err = raw.Listen(backlog + 1)
		}
		if err != nil {
			return bindErrno(err)
		}
	}
	if t.p.stillborn(raw) {
		return endpoint.ENETDOWN
	}
	t.backlog.Store(int32(backlog))
	return nil
}

// Accept implements endpoint.Endpoint.
func (t *tcpEndpoint) Accept() (endpoint.Endpoint, endpoint.Addr, error) {
	if t.closed.Load() {
		return nil, endpoint.Addr{}, endpoint.EBADF
	}
	raw := t.raw.Load()
	var peer tcpip.FullAddress
	ep, wq, err := raw.Accept(&peer)
	if err != nil {
		if t.aborted() {
			return nil, endpoint.Addr{}, endpoint.ECONNABORTED
		}
		return nil, endpoint.Addr{}, errno(err)
	}
	c := &tcpEndpoint{socket: socket{
		p: t.p, af: t.af, typ: t.typ, proto: t.proto, cred: t.cred, id: t.p.ids(), wq: wq,
	}}
	shut := t.flags.Load() & (flagShutRead | flagShutWrite)
	c.flags.Store(flagConnected | flagAccepted | shut | t.flags.Load()&flagAddrLock)
	c.raw.Store(ep.(*tcp.Endpoint))
	t.bequeath(c)
	t.p.streams.add(c)
	t.p.owners.put(c, nil, c.raw.Load())
	if shut&flagShutWrite != 0 {
		raw := c.raw.Load()
		_ = c.shutdownBelow(raw, raw.EndpointState(), tcpip.ShutdownWrite)
	}
	return c, c.socketAddr(peer), nil
}
