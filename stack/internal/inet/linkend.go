package inet

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

// LinkEnded ends what an interface that is gone for good leaves behind: sockets
// bound to the device nic, or whose local address is among addrs. Connections,
// attempts and listeners end with ENETDOWN, and whoever waits hears it at once.
// A datagram socket reports ENETDOWN once and lives on, as one whose peer
// refused. Sockets bound to no address stay as they are. Call it when nic
// carries nothing any more.
func (p *Protocols) LinkEnded(nic int, addrs []tcpip.Address) {
	own := make(map[tcpip.Address]bool, len(addrs))
	for _, a := range addrs {
		own[a] = true
	}
	concerns := func(raw tcpip.Endpoint) bool {
		if dev := raw.SocketOptions().GetBindToDevice(); dev != 0 {
			return int(dev) == nic
		}
		fa, err := raw.GetLocalAddress()
		if err != nil || fa.Addr.Len() == 0 {
			return false
		}
		if isMapped(fa.Addr) {
			fa.Addr = fa.Addr.To4()
		}
		return own[fa.Addr]
	}
	for _, t := range p.streams.all() {
		if raw := t.raw.Load(); concerns(raw) {
			t.linkEnded(raw)
		}
	}
	for _, u := range p.datagrams.all() {
		if concerns(u.raw) {
			u.pending.CompareAndSwap(0, int32(endpoint.ENETDOWN))
			u.tell(endpoint.In | endpoint.Out | endpoint.Err)
		}
	}
	// Connections that nobody has accepted, and closed ones on their way out.
	for _, ep := range append(p.stack.RegisteredEndpoints(), p.stack.CleanupEndpoints()...) {
		if raw, ok := ep.(*tcp.Endpoint); ok && raw.EndpointState() != tcp.StateListen && concerns(raw) {
			raw.Abort()
		}
	}
}

// linkEnded ends one stream socket.
func (t *tcpEndpoint) linkEnded(raw *tcp.Endpoint) {
	state := raw.EndpointState()
	if state == tcp.StateInitial || state == tcp.StateBound || over(raw) {
		return
	}
	t.set(flagNetDown, true)
	if state != tcp.StateTimeWait && state != tcp.StateListen {
		t.pending.CompareAndSwap(0, int32(endpoint.ENETDOWN))
	}
	raw.Abort()
	t.tell(endpoint.In | endpoint.Out | endpoint.Err | endpoint.Hup | endpoint.RdHup)
}
