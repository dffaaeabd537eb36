package inet

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// The address that a socket connects from when it has not been bound. Netstack
// would take the destination's own on lo, and keep the one of an attempt that
// failed at once.

// loopbackSource is the source for an address of 127/8: the one that lo has. For
// others there is none to be preferred.
func loopbackSource(remote tcpip.Address) tcpip.Address {
	if header.IsV4LoopbackAddress(remote) {
		return loopback4
	}
	return tcpip.Address{}
}

// connectFrom connects a netstack endpoint, from the right source.
func (t *tcpEndpoint) connectFrom(raw *tcp.Endpoint, to tcpip.FullAddress) tcpip.Error {
	if t.has(flagNoRouter) && !t.has(flagConnecting) && t.behindRouter(raw, to) {
		return &tcpip.ErrNetworkUnreachable{}
	}
	source := loopbackSource(unmap(to.Addr))
	if source.Len() == 0 || t.has(flagAddrLock) {
		return raw.Connect(to)
	}
	setSource(raw, tcpip.Address{}, source)
	err := raw.Connect(to)
	if _, begun := err.(*tcpip.ErrConnectStarted); !begun && err != nil {
		setSource(raw, source, tcpip.Address{})
	}
	return err
}

// behindRouter reports whether an address of IPv4 is reached by a router.
func (t *tcpEndpoint) behindRouter(raw *tcp.Endpoint, to tcpip.FullAddress) bool {
	remote := unmap(to.Addr)
	if remote.Len() != header.IPv4AddressSize {
		return false
	}
	nic := to.NIC
	if nic == 0 {
		nic = tcpip.NICID(raw.SocketOptions().GetBindToDevice())
	}
	r, err := t.p.stack.FindRoute(nic, tcpip.Address{}, remote, header.IPv4ProtocolNumber, false)
	if err != nil {
		return false
	}
	defer r.Release()
	return way{Route: r}.router()
}

// setSource replaces the source of an endpoint that is not connected.
func setSource(raw *tcp.Endpoint, old, source tcpip.Address) {
	raw.LockUser()
	defer raw.UnlockUser()
	switch id := &raw.TransportEndpointInfo.ID; raw.EndpointState() {
	case tcp.StateInitial, tcp.StateBound:
		if id.LocalAddress == old {
			id.LocalAddress = source
		}
	}
}
