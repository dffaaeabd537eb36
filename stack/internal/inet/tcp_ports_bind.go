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
	c.port, c.nic, c.ip, c.only = fa.Port, fa.NIC, nameIP(t.af, fa.Addr), isSix(fa.Addr)
	if c.port == 0 {
		random := t.p.stack.SecureRNG()
		c.random = random.Uint32()
		c.first, c.last = t.p.stack.PortRange()
		if c.loopback {
			c.now = t.p.second()
		}
	}
	port, had, old, err := t.p.ports.take(t, raw, &c)
	old.end()
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

// isSix reports whether an address is one of IPv6.
func isSix(a tcpip.Address) bool { return a.Len() == header.IPv6AddressSize && !isMapped(a) }

// bindRaw binds a netstack endpoint to a port that the table gave. Netstack's own
// table is told that all ports are shared, which is what SO_REUSEPORT means there.
func (t *tcpEndpoint) bindRaw(raw *tcp.Endpoint, fa tcpip.FullAddress) tcpip.Error {
	ops := raw.SocketOptions()
	only := ops.GetV6Only()
	ops.SetReusePort(true)
	if isSix(fa.Addr) {
		ops.SetV6Only(true) // as __inet6_bind of Linux
	}
	err := raw.Bind(fa)
	if err != nil {
		ops.SetV6Only(only)
	}
	return err
}

// forgetBelow takes the port of an endpoint that is bound to any address, and is
// about to be connected, out of netstack's table: in the end netstack looks for
// it at the address of the connection.
func (t *tcpEndpoint) forgetBelow(raw *tcp.Endpoint, port uint16) {
	ops := raw.SocketOptions()
	networks := [...]tcpip.NetworkProtocolNumber{header.IPv4ProtocolNumber, header.IPv6ProtocolNumber}
	n := 1
	if t.af == endpoint.AF_INET6 {
		n = 2
	}
	t.p.stack.ReleasePort(ports.Reservation{
		Networks:     networks[:n],
		Transport:    tcp.ProtocolNumber,
		Port:         port,
		Flags:        ports.Flags{TupleOnly: ops.GetReuseAddress(), LoadBalanced: true},
		BindToDevice: tcpip.NICID(ops.GetBindToDevice()),
	})
}
