package inet

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/stack/endpoint"
)

// way is how packets get to an address. Netstack has routes for sources alone
// that the outgoing interface has. A socket of Linux may be bound to an address of
// another interface, or (IP_FREEBIND, IP_TRANSPARENT) to one that the host has
// not, and sends from it: there the IP header is written here.
type way struct {
	*gvstack.Route
	foreign tcpip.Address // the source, if it is not the route's
}

// LocalAddress is the source of packets.
func (w way) LocalAddress() tcpip.Address {
	if w.foreign.Len() != 0 {
		return w.foreign
	}
	return w.Route.LocalAddress()
}

// RequiresTXTransportChecksum reports whether checksums are to be computed here.
func (w way) RequiresTXTransportChecksum() bool {
	return w.foreign.Len() != 0 || w.Route.RequiresTXTransportChecksum()
}

// router reports whether packets go by a router, which SO_DONTROUTE and
// MSG_DONTROUTE forbid over IPv4.
func (w way) router() bool {
	return w.NetProto() == header.IPv4ProtocolNumber && w.NextHop().Len() != 0
}

// findWay asks netstack for a route, and for one with another source where it has
// none. Errors are those of ip_route_output_flow of Linux.
func (d *datagram) findWay(key routeKey, net tcpip.NetworkProtocolNumber) (way, error) {
	r, err := d.p.stack.FindRoute(key.nic, key.local, key.remote, net, key.loop)
	if err == nil {
		return way{Route: r}, nil
	}
	failed := errno(err)
	if _, bad := err.(*tcpip.ErrBadLocalAddress); bad {
		failed = endpoint.ENETUNREACH
	}
	if key.local.Len() == 0 || header.IsV6LinkLocalUnicastAddress(key.local) {
		return way{}, failed
	}
	if r, err = d.p.stack.FindRoute(key.nic, tcpip.Address{}, key.remote, net, key.loop); err != nil {
		return way{}, failed
	}
	if net == header.IPv4ProtocolNumber {
		switch {
		case header.IsV4LoopbackAddress(key.local):
			failed = endpoint.EINVAL // it must not leave by any other interface than lo
		case d.has(flagTransparent), d.kind == kindRaw && d.has(flagHdrIncl),
			d.p.stack.CheckLocalAddress(0, net, key.local) != 0:
			failed = nil
		}
		if failed != nil {
			r.Release()
			return way{}, failed
		}
	}
	return way{r, key.local}, nil
}
