package stack

import (
	"net/netip"
	"slices"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/stack/endpoint"
	"usersock/stack/internal/autoconf"
	"usersock/stack/internal/inet"
)

// learntAddr is an address that the interface has by what it learnt.
type learntAddr struct {
	prefix    netip.Prefix
	lifetimes gvstack.AddressLifetimes
	assigned  bool // it can be used: no neighbour has it
	foreign   bool // the interface had it before: it is not ours to remove
}

// learntRoute is a route by what the interface learnt.
type learntRoute struct {
	tcpip.Route
	own bool // that of an address's network, which has no events
}

func (r learntRoute) same(o learntRoute) bool { return sameRoute(r.Route, o.Route) }

type wantedAddr struct {
	prefix    netip.Prefix
	lifetimes gvstack.AddressLifetimes
}

// apply makes the interface have what the machines say, and nothing else that
// was learnt. What goes goes first, so that the other of two routes to a network
// can take its place.
func (a *auto) apply() {
	addrs, routes := a.wanted()
	for ip, have := range a.addrs {
		if !slices.ContainsFunc(addrs, func(w wantedAddr) bool { return w.prefix == have.prefix }) {
			a.removeAddr(ip, have)
		}
	}
	a.routes = slices.DeleteFunc(a.routes, func(have learntRoute) bool {
		if slices.ContainsFunc(routes, have.same) {
			return false
		}
		gone := a.s.net.RemoveRoutes(func(r tcpip.Route) bool { return sameRoute(r, have.Route) })
		a.s.inet.RoutesChanged()
		if gone > 0 && !have.own {
			a.s.emit(Event{Kind: RouteRemoved, Route: a.s.routeOf(have.Route)})
		}
		return true
	})
	for _, w := range addrs {
		a.addAddr(w)
	}
	for _, w := range routes {
		a.addRoute(w)
	}
	a.learnMTU()
	a.learnHostname()
}

func (a *auto) lease() *autoconf.Lease {
	if a.dhcp4 == nil {
		return nil
	}
	return a.dhcp4.Lease()
}

func (a *auto) advertised() (adv autoconf.Advertised) {
	if a.router != nil {
		adv = a.router.Advertised()
	}
	return adv
}

// wanted lists what the interface should have.
func (a *auto) wanted() (addrs []wantedAddr, routes []learntRoute) {
	add := func(r tcpip.Route, own bool) {
		if !slices.ContainsFunc(routes, func(have learntRoute) bool { return have.Equal(r) }) {
			routes = append(routes, learntRoute{r, own})
		}
	}
	route := func(dst netip.Prefix, via netip.Addr) {
		add(tcpip.Route{Destination: subnet(dst), Gateway: address(via), NIC: a.id}, false)
	}
	if a.own.IsValid() && !a.closing {
		addrs = append(addrs, wantedAddr{prefix: a.own})
		add(prefixRoute(a.own, a.id), true)
	}
	if l := a.lease(); l != nil {
		addrs = append(addrs, wantedAddr{prefix: l.Addr})
		if !l.Addr.IsSingleIP() {
			add(prefixRoute(l.Addr, a.id), true)
		}
		for _, r := range l.Routes {
			route(r.Dst, r.Via)
		}
	}
	adv := a.advertised()
	for _, ip := range adv.Addrs {
		addrs = append(addrs, wantedAddr{ip.Prefix, gvstack.AddressLifetimes{
			Deprecated:     ip.Deprecated,
			PreferredUntil: tcpip.MonotonicTime{}.Add(ip.Preferred),
			ValidUntil:     tcpip.MonotonicTime{}.Add(ip.Valid),
		}})
	}
	for _, p := range adv.OnLink {
		route(p, netip.Addr{})
	}
	for _, r := range adv.Routes {
		route(r.Dst, r.Via)
	}
	return addrs, routes
}

func (a *auto) addAddr(w wantedAddr) {
	ip := w.prefix.Addr()
	if have := a.addrs[ip]; have != nil {
		if have.lifetimes != w.lifetimes {
			have.lifetimes = w.lifetimes
			a.s.net.SetAddressLifetimes(a.id, address(ip), w.lifetimes)
		}
		return
	}
	have := &learntAddr{prefix: w.prefix, lifetimes: w.lifetimes}
	a.addrs[ip] = have
	var detector gvstack.DuplicateAddressDetector
	if ip.Is6() && len(a.mac) > 0 {
		detector = a.detector(header.IPv6ProtocolNumber, probes6, probeWait6)
	}
	err := a.s.net.AddProtocolAddress(a.id, protocolAddress(w.prefix), gvstack.AddressProperties{
		Lifetimes: w.lifetimes,
		Disp:      addrWatch{a, ip},
	})
	if detector != nil {
		// Addresses that others give the interface are not looked for.
		detector.SetDADConfigurations(gvstack.DADConfigurations{})
	}
	if err != nil {
		have.foreign = true
		have.assigned = inet.Errno(err) == endpoint.EEXIST
		a.s.log.Warn("learnt address", "interface", a.name, "address", w.prefix, "error", inet.Errno(err))
	}
}

func (a *auto) removeAddr(ip netip.Addr, have *learntAddr) {
	delete(a.addrs, ip)
	if have.foreign || a.s.net.RemoveAddress(a.id, address(ip)) != nil {
		return
	}
	if have.assigned {
		a.s.emit(Event{Kind: AddrRemoved, Interface: a.name, Addr: have.prefix})
	}
}

// addrWatch hears of an address, under netstack's locks.
type addrWatch struct {
	a  *auto
	ip netip.Addr
}

func (w addrWatch) OnChanged(_ gvstack.AddressLifetimes, state gvstack.AddressAssignmentState) {
	w.a.s.inet.RoutesChanged() // it counts, and calls nothing
	if state == gvstack.AddressAssigned {
		w.a.do(func() { w.a.assigned(w.ip) })
	}
}

func (w addrWatch) OnRemoved(reason gvstack.AddressRemovalReason) {
	w.a.s.inet.RoutesChanged()
	if reason == gvstack.AddressRemovalDADFailed {
		w.a.do(func() { w.a.duplicate(w.ip) })
	}
}

// assigned says that an address can be used.
func (a *auto) assigned(ip netip.Addr) {
	have := a.addrs[ip]
	if have == nil || have.assigned {
		return
	}
	have.assigned = true
	a.s.emit(Event{Kind: AddrAdded, Interface: a.name, Addr: have.prefix})
	if have.prefix == a.own {
		a.start6(ip)
	}
}

// duplicate says that a neighbour has an address, which netstack has removed.
// Without a link-local address there is no IPv6 that configures itself (RFC
// 4862, section 5.4.5).
func (a *auto) duplicate(ip netip.Addr) {
	delete(a.addrs, ip)
	if ip == a.own.Addr() {
		a.s.log.Warn("a neighbour has the link-local address: IPv6 is not configured", "interface", a.name, "address", ip)
		a.own, a.failed, a.dirty = netip.Prefix{}, true, true
		return
	}
	a.router.Duplicate(ip)
}

func (a *auto) addRoute(w learntRoute) {
	if slices.ContainsFunc(a.s.net.GetRouteTable(), w.Equal) {
		return // ours already, or one that was given, which stays
	}
	a.s.net.AddRoute(w.Route)
	a.s.inet.RoutesChanged()
	a.routes = append(a.routes, w)
	if !w.own {
		a.s.emit(Event{Kind: RouteAdded, Route: a.s.routeOf(w.Route)})
	}
}

// learnMTU lets the interface send no longer packets than the network carries.
func (a *auto) learnMTU() {
	mtu := a.advertised().MTU
	if l := a.lease(); l != nil && l.MTU != 0 && (mtu == 0 || l.MTU < mtu) {
		if l.MTU >= minMTU6 || !a.s.cfg.serves(endpoint.AF_INET6) {
			mtu = l.MTU
		} else {
			a.s.log.Warn("DHCPv4: the MTU is too small for IPv6 and is not used", "interface", a.name, "MTU", l.MTU)
		}
	}
	a.tap.mtu.Store(uint32(mtu))
}

// learnHostname names a host that was not given a name.
func (a *auto) learnHostname() {
	name := defaultHostname
	if l := a.lease(); l != nil && l.Hostname != "" {
		name = l.Hostname
	}
	now := a.s.hostname.Load()
	if *now == name || now != a.named && *now != defaultHostname {
		return
	}
	if a.s.hostname.CompareAndSwap(now, &name) {
		a.named = &name
	}
}
