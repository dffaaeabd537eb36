package inet

import (
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/ports"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

// takePort asks the table for the port that the socket shall have, and for one
// that is free if fa names none. peer is where a Connect goes, nil for others.
func (t *tcpEndpoint) takePort(raw *tcp.Endpoint, fa tcpip.FullAddress, peer *claim) (port uint16, had bool, err error) {
	c := claim{}
	if peer != nil {
		c = *peer
	}
	c.port, c.nic, c.ip = fa.Port, fa.NIC, nameIP(t.af, fa.Addr)
	if c.port == 0 {
		random := t.p.stack.SecureRNG()
		c.random = random.Uint32()
		c.first, c.last = t.p.stack.PortRange()
		if c.loopback {
			c.now = t.p.second()
		}
	}
	port, had, replaced, err := t.p.ports.take(t, raw, &c)
	if replaced != nil {
		replaced.Abort()
	}
	return port, had, err
}

// claimTo is what a Connect asks for a port with.
func (t *tcpEndpoint) claimTo(to tcpip.FullAddress) claim {
	ip := nameIP(t.af, to.Addr)
	return claim{connect: true, peer: ip, peerPort: to.Port, loopback: netip.AddrFrom16(ip).Unmap().IsLoopback()}
}

// second is the time in seconds, from 1 on.
func (p *Protocols) second() uint32 { return uint32(p.clock.Monotonic()/time.Second) + 1 }

// isOwn reports whether a socket may be bound to an address.
func (t *tcpEndpoint) isOwn(fa tcpip.FullAddress) bool {
	a := fa.Addr
	if isMapped(a) {
		a = tcpip.AddrFrom4Slice(a.AsSlice()[12:])
	}
	return a.Unspecified() || t.p.stack.CheckLocalAddress(fa.NIC, netOf(a), a) != 0
}

// bindRaw binds a netstack endpoint to a port that the table gave. Netstack's own
// table is told that all ports are shared, as SO_REUSEPORT means there, and
// forgets it again: of what is bound to any address and then connected it would
// give back another entry than it made.
func (t *tcpEndpoint) bindRaw(raw *tcp.Endpoint, fa tcpip.FullAddress) tcpip.Error {
	ops := raw.SocketOptions()
	only := ops.GetV6Only()
	ops.SetReusePort(true)
	if fa.Addr.Len() == header.IPv6AddressSize && !isMapped(fa.Addr) {
		ops.SetV6Only(true) // as __inet6_bind of Linux
	}
	if err := raw.Bind(fa); err != nil {
		ops.SetV6Only(only)
		return err
	}
	res := ports.Reservation{
		Networks:     []tcpip.NetworkProtocolNumber{t.network()},
		Transport:    tcp.ProtocolNumber,
		Addr:         fa.Addr,
		Port:         fa.Port,
		Flags:        ports.Flags{TupleOnly: ops.GetReuseAddress(), LoadBalanced: true},
		BindToDevice: tcpip.NICID(ops.GetBindToDevice()),
	}
	switch {
	case isMapped(fa.Addr):
		res.Networks[0] = header.IPv4ProtocolNumber
		res.Addr = tcpip.AddrFrom4Slice(fa.Addr.AsSlice()[12:])
		if res.Addr.Unspecified() {
			res.Addr = tcpip.Address{}
		}
	case t.af == endpoint.AF_INET6 && fa.Addr.Len() == 0:
		res.Networks = append(res.Networks, header.IPv4ProtocolNumber)
	}
	t.p.stack.ReleasePort(res)
	return nil
}
