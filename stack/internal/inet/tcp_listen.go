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
	first := raw.EndpointState() != tcp.StateListen
	if first {
		if _, err := t.bindLate(raw, nil); err != nil {
			return err
		}
		if err := t.p.ports.listen(t); err != nil {
			return err
		}
	}
	// One more than asked for: Linux lets the queue grow past the backlog
	// by one, and netstack's does not.
	if err := raw.Listen(backlog + 1); err != nil {
		// Netstack refuses to go below what already waits. Linux takes any
		// value and turns newcomers away until the queue is short enough.
		for raw.EndpointState() == tcp.StateListen && err != nil && backlog < endpoint.SOMAXCONN {
			backlog++
			err = raw.Listen(backlog + 1)
		}
		if err != nil {
			if first {
				t.p.ports.unlisten(t)
			}
			return errno(err)
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
	if local, err := ep.GetLocalAddress(); err == nil {
		t.p.ports.inherit(c, t, local, peer)
	}
	if shut&flagShutWrite != 0 {
		raw := c.raw.Load()
		_ = c.shutdownBelow(raw, raw.EndpointState(), tcpip.ShutdownWrite)
	}
	return c, c.socketAddr(peer), nil
}
