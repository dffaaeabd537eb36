package stack

import (
	"fmt"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"

	"usersock/stack/endpoint"
)

func (r Route) check() error {
	switch {
	case !r.Dst.IsValid() || r.Dst != r.Dst.Masked():
		return fmt.Errorf("destination %v is no network: %w", r.Dst, endpoint.EINVAL)
	case r.Via.IsValid() && r.Via.Is4() != r.Dst.Addr().Is4():
		return fmt.Errorf("route %v: router %v is of the other IP version: %w", r.Dst, r.Via, endpoint.EINVAL)
	case r.Src.IsValid() && r.Src.Is4() != r.Dst.Addr().Is4():
		return fmt.Errorf("route %v: source %v is of the other IP version: %w", r.Dst, r.Src, endpoint.EINVAL)
	case !r.Via.IsValid() && r.Dev == "":
		return fmt.Errorf("route %v names neither a router nor an interface: %w", r.Dst, endpoint.ENODEV)
	case r.MTU < 0:
		return fmt.Errorf("route %v: MTU %d: %w", r.Dst, r.MTU, endpoint.EINVAL)
	}
	return nil
}

// AddRoute adds a route. A router that no interface can reach is
// ENETUNREACH, a route that is there already EEXIST.
func (s *Stack) AddRoute(r Route) error {
	gr, err := s.route(r)
	if err != nil {
		return fmt.Errorf("stack: add route: %w", err)
	}
	for _, have := range s.net.GetRouteTable() {
		if have.Equal(gr) {
			return fmt.Errorf("stack: add route to %v: %w", r.Dst, endpoint.EEXIST)
		}
	}
	s.net.AddRoute(gr)
	s.inet.RoutesChanged()
	r.Dev = s.net.FindNICNameFromID(gr.NIC)
	s.emit(Event{Kind: RouteAdded, Route: r})
	return nil
}

// RemoveRoute takes a route away: one to Dst over the interface, and with the
// router, source address and MTU of r as far as they are set. ESRCH if there is
// none like it.
func (s *Stack) RemoveRoute(r Route) error {
	gr, err := s.route(r)
	if err != nil {
		return fmt.Errorf("stack: remove route: %w", err)
	}
	like := func(have tcpip.Route) bool {
		return have.Equal(gr) && (!r.Via.IsValid() || have.Gateway == gr.Gateway) &&
			(!r.Src.IsValid() || have.SourceHint == gr.SourceHint) && (r.MTU == 0 || have.MTU == gr.MTU)
	}
	for _, have := range s.net.GetRouteTable() {
		if like(have) {
			r.Dev = s.net.FindNICNameFromID(have.NIC)
		}
	}
	if s.net.RemoveRoutes(like) == 0 {
		return fmt.Errorf("stack: remove route to %v: %w", r.Dst, endpoint.ESRCH)
	}
	s.inet.RoutesChanged()
	s.emit(Event{Kind: RouteRemoved, Route: r})
	return nil
}

// Routes lists the routes, the longest prefixes first.
func (s *Stack) Routes() []Route {
	var list []Route
	for _, gr := range s.net.GetRouteTable() {
		list = append(list, s.routeOf(gr))
	}
	return list
}

// routeOf is the reverse of route.
func (s *Stack) routeOf(gr tcpip.Route) Route {
	return Route{
		Dst: netip.PrefixFrom(ipOf(gr.Destination.ID()), gr.Destination.Prefix()),
		Via: ipOf(gr.Gateway),
		Dev: s.net.FindNICNameFromID(gr.NIC),
		Src: ipOf(gr.SourceHint),
		MTU: int(gr.MTU),
	}
}

func (s *Stack) route(r Route) (tcpip.Route, error) {
	if err := r.check(); err != nil {
		return tcpip.Route{}, err
	}
	gr := tcpip.Route{
		Destination: subnet(r.Dst),
		Gateway:     address(r.Via),
		SourceHint:  address(r.Src),
		MTU:         uint32(r.MTU),
	}
	if r.Dev != "" {
		id, err := s.nic(r.Dev)
		gr.NIC = id
		return gr, err
	}
	longest := -1
	for _, in := range s.Interfaces() {
		for _, a := range in.Addrs {
			if a.Bits() > longest && a.Masked().Contains(r.Via.WithZone("")) {
				gr.NIC, longest = tcpip.NICID(in.Index), a.Bits()
			}
		}
	}
	if longest >= 0 {
		return gr, nil
	}
	return gr, fmt.Errorf("route to %v: no interface reaches router %v: %w", r.Dst, r.Via, endpoint.ENETUNREACH)
}

// sameRoute reports whether two routes go to the same network in the same way.
// Netstack's Equal looks at the network and the interface alone.
func sameRoute(a, b tcpip.Route) bool {
	return a.Equal(b) && a.Gateway == b.Gateway && a.SourceHint == b.SourceHint && a.MTU == b.MTU
}

// Source returns the address that a packet to dst would leave with, and
// whether dst can be reached at all. scope is the interface index of a
// link-local destination, otherwise 0.
func (s *Stack) Source(dst netip.Addr, scope int) (netip.Addr, bool) {
	if !dst.IsValid() {
		return netip.Addr{}, false
	}
	dst = dst.Unmap().WithZone("")
	if !s.net.CheckNetworkProtocol(protocol(dst)) {
		return netip.Addr{}, false
	}
	r, err := s.net.FindRoute(tcpip.NICID(scope), tcpip.Address{}, address(dst), protocol(dst), false)
	if err != nil {
		return netip.Addr{}, false
	}
	defer r.Release()
	src := ipOf(r.LocalAddress())
	return src, src.IsValid()
}
