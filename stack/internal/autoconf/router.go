package autoconf

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Theory of the host's side of router advertisements.
//
//	Off ──Start──► Soliciting ──an advertisement of a router──► Listening
//	Listening ──the last router is gone──► Soliciting
//	any ──link came back──► Soliciting;  any ──Stop──► Off
//
// While Soliciting, a solicitation leaves at once, after 4 s, 8 s and so on up to
// an hour, ± 10 % (RFC 7559, section 2). Advertisements are heeded in both states.
//
// What they say is kept in tables, each entry with the moment when it ends: default
// routers, routes (RFC 4191), on-link prefixes, prefixes for addresses (RFC 4862,
// section 5.5.3), name servers and search domains (RFC 8106). An entry comes with
// the first advertisement that has it, is renewed by later ones, and goes when its
// time is over or a lifetime of 0 says so. One timer runs to the next such moment.
// What the host should have is made anew from the tables after every change; what
// is the same as before is not told.
//
// An address has states of its own:
//
//	tentative ──DAD──► preferred ──preferred lifetime──► deprecated ──valid lifetime──► gone
//	tentative ──a neighbour has it──► failed, until the prefix is gone
//
// The host does the detection of duplicates (DAD) and calls Duplicate.

// Preference is that of a router or a route, RFC 4191, section 2.1.
type Preference int8

// The preferences.
const (
	Low    Preference = -1
	Medium Preference = 0
	High   Preference = 1
)

// RouterAdvertisement is what a router said. Its packet was valid by RFC 4861,
// section 6.1.2. Lifetimes are in seconds as on the wire, 2³²−1 for ever.
type RouterAdvertisement struct {
	Router     netip.Addr // link-local
	Lifetime   uint16     // as a default router; 0: it is none
	Preference Preference
	Managed    bool // addresses are to be had by DHCPv6
	Other      bool // other things are to be had by DHCPv6
	MTU        uint32
	Prefixes   []AdvertisedPrefix
	Routes     []AdvertisedRoute
	Servers    []AdvertisedServers
	Domains    []AdvertisedDomains
}

// AdvertisedPrefix is a prefix information option.
type AdvertisedPrefix struct {
	Prefix           netip.Prefix
	OnLink, Auto     bool
	Valid, Preferred uint32
}

// AdvertisedRoute is a route information option.
type AdvertisedRoute struct {
	Dst        netip.Prefix
	Lifetime   uint32
	Preference Preference
}

// AdvertisedServers is an RDNSS option.
type AdvertisedServers struct {
	Lifetime uint32
	Addrs    []netip.Addr
}

// AdvertisedDomains is a DNSSL option.
type AdvertisedDomains struct {
	Lifetime uint32
	Domains  []string
}

// Advertised is what the host should have by the advertisements so far.
type Advertised struct {
	Addrs       []Address
	OnLink      []netip.Prefix
	Routes      []Route // one to each network
	NameServers []netip.Addr
	Search      []string
	MTU         int // 0: not said
}

// Address is an address of the host's. The moments are of the monotonic clock.
type Address struct {
	Prefix           netip.Prefix
	Deprecated       bool // not to be chosen as a source
	Preferred, Valid time.Duration
}

// Times of RFC 7559 and of RFC 4862, section 5.5.3. leastMTU6 is RFC 8200's.
const (
	firstSolicit = 4 * time.Second
	lastSolicit  = time.Hour
	twoHours     = 2 * time.Hour
	leastMTU6    = 1280
)

// RouterConfig is what a Router is made of.
type RouterConfig struct {
	Env

	// InterfaceID is the lower half of the host's addresses.
	InterfaceID [8]byte

	// MTU is the link's: more than that is not believed.
	MTU int

	// Solicit sends a router solicitation.
	Solicit func()

	// Stateless is called when a router says that there is something to be had
	// by DHCPv6.
	Stateless func()

	// Changed is called when Advertised returns something else.
	Changed func()
}

// Router is the host's side of router advertisements on one interface.
type Router struct {
	cfg     RouterConfig
	running bool
	tries   int
	solicit timer
	expiry  timer
	quiet   bool // the first solicitation was not answered
	heard   bool // some advertisement was
	managed bool // and told to ask for addresses, which was logged

	mtu      int
	routes   []routeEntry // default routes too
	onLink   []onLinkEntry
	prefixes []prefixEntry
	servers  []Named[netip.Addr]
	domains  []Named[string]

	last Advertised
}

type routeEntry struct {
	dst  netip.Prefix
	via  netip.Addr
	pref Preference
	end  time.Duration
}

type onLinkEntry struct {
	prefix netip.Prefix
	end    time.Duration
}

type prefixEntry struct {
	prefix           netip.Prefix
	addr             netip.Addr
	preferred, valid time.Duration
	failed           bool
}

// Named is a name server or a search domain, and when it ends on the monotonic
// clock.
type Named[T comparable] struct {
	Value T
	End   time.Duration
}

// NewRouter returns a Router that does nothing before Start.
func NewRouter(cfg RouterConfig) *Router {
	r := &Router{cfg: cfg}
	r.solicit.env, r.expiry.env = &r.cfg.Env, &r.cfg.Env
	return r
}

// Advertised returns what the host should have. Its slices are not to be
// changed.
func (r *Router) Advertised() Advertised { return r.last }

// Names returns the name servers and search domains with the moments when they
// end.
func (r *Router) Names() (servers []Named[netip.Addr], domains []Named[string]) {
	return slices.Clone(r.servers), slices.Clone(r.domains)
}

// Settled reports whether a router was heard, or none answered so far.
func (r *Router) Settled() bool { return r.heard || r.quiet }

// Start begins to look for routers.
func (r *Router) Start() {
	if !r.running {
		r.running = true
		r.ask()
	}
}

// LinkUp says that packets pass again, perhaps to another network.
func (r *Router) LinkUp() {
	if r.running {
		r.ask()
	}
}

// Stop forgets everything.
func (r *Router) Stop() {
	r.running, r.heard = false, false
	r.solicit.stop()
	r.expiry.stop()
	r.mtu, r.routes, r.onLink, r.prefixes, r.servers, r.domains = 0, nil, nil, nil, nil, nil
	r.update()
}

// ask begins to solicit.
func (r *Router) ask() {
	r.tries = 0
	r.sendSolicit()
}

func (r *Router) sendSolicit() {
	r.cfg.Solicit()
	wait := min(firstSolicit<<min(r.tries, 10), lastSolicit)
	r.tries++
	r.solicit.set(r.cfg.spread(wait, wait/10), func() {
		r.quiet = true
		r.sendSolicit()
	})
}

// Receive takes an advertisement.
func (r *Router) Receive(ra RouterAdvertisement) {
	if !r.running {
		return
	}
	now := r.cfg.Clock.Monotonic()
	r.heard = true
	if ra.Lifetime > 0 {
		r.solicit.stop()
	}
	r.route(now, AdvertisedRoute{netip.PrefixFrom(netip.IPv6Unspecified(), 0), uint32(ra.Lifetime), ra.Preference}, ra.Router)
	for _, o := range ra.Routes {
		r.route(now, o, ra.Router)
	}
	for _, p := range ra.Prefixes {
		if !p.Prefix.IsValid() || !p.Prefix.Addr().Is6() || p.Prefix.Addr().Is4In6() || p.Prefix.Addr().IsLinkLocalUnicast() || p.Prefix.Addr().IsMulticast() {
			continue
		}
		if p.OnLink {
			r.link(now, p)
		}
		if p.Auto {
			r.address(now, p)
		}
	}
	for _, o := range ra.Servers {
		for _, a := range o.Addrs {
			if a.Is6() && unicast(a) {
				keep(&r.servers, a, after(now, seconds(o.Lifetime)), now, maxServers)
			}
		}
	}
	for _, o := range ra.Domains {
		for _, d := range o.Domains {
			if isDomain(d) {
				keep(&r.domains, strings.ToLower(d), after(now, seconds(o.Lifetime)), now, maxDomains)
			}
		}
	}
	if mtu := ra.MTU; mtu >= leastMTU6 && int64(mtu) <= int64(r.cfg.MTU) {
		r.mtu = int(mtu)
	}
	if ra.Managed && !r.managed {
		r.managed = true
		r.cfg.Log.Info("router advertisement: addresses are to be had by DHCPv6, which is not done", "router", ra.Router)
	}
	if ra.Managed || ra.Other {
		r.cfg.Stateless()
	}
	r.sweep()
}

// route keeps a route by a router; the default route is that to ::/0.
func (r *Router) route(now time.Duration, o AdvertisedRoute, via netip.Addr) {
	if !o.Dst.IsValid() || o.Dst.Addr().IsLinkLocalUnicast() || o.Dst.Addr().IsMulticast() {
		return
	}
	e := routeEntry{o.Dst.Masked(), via, o.Preference, after(now, seconds(o.Lifetime))}
	i := slices.IndexFunc(r.routes, func(have routeEntry) bool { return have.dst == e.dst && have.via == via })
	switch {
	case i >= 0:
		r.routes[i] = e // a lifetime of 0 is over at once
	case o.Lifetime > 0 && len(r.routes) < maxRoutes && r.routers(via) <= maxRouters:
		r.routes = append(r.routes, e)
	}
}

// routers counts the routers known, via among them.
func (r *Router) routers(via netip.Addr) int {
	list := []netip.Addr{via}
	for _, e := range r.routes {
		list = appendNew(list, e.via)
	}
	return len(list)
}

// link keeps a prefix that is on the link (RFC 4861, section 6.3.4).
func (r *Router) link(now time.Duration, p AdvertisedPrefix) {
	e := onLinkEntry{p.Prefix.Masked(), after(now, seconds(p.Valid))}
	i := slices.IndexFunc(r.onLink, func(have onLinkEntry) bool { return have.prefix == e.prefix })
	switch {
	case i >= 0:
		r.onLink[i] = e
	case p.Valid > 0 && len(r.onLink) < maxPrefixes:
		r.onLink = append(r.onLink, e)
	}
}

// address makes or renews the address of a prefix (RFC 4862, section 5.5.3).
func (r *Router) address(now time.Duration, p AdvertisedPrefix) {
	if p.Preferred > p.Valid || p.Prefix.Bits() != 64 {
		return
	}
	prefix := p.Prefix.Masked()
	valid, preferred := seconds(p.Valid), seconds(p.Preferred)
	i := slices.IndexFunc(r.prefixes, func(have prefixEntry) bool { return have.prefix == prefix })
	if i < 0 {
		if p.Valid == 0 || len(r.prefixes) >= maxPrefixes {
			return
		}
		a := prefix.Addr().As16()
		copy(a[8:], r.cfg.InterfaceID[:])
		r.prefixes = append(r.prefixes, prefixEntry{prefix, netip.AddrFrom16(a), after(now, preferred), after(now, valid), false})
		return
	}
	// Nobody who can send a packet can end an address in less than two hours.
	e := &r.prefixes[i]
	e.preferred = after(now, preferred)
	switch left := e.valid - now; {
	case valid > twoHours || after(now, valid) > e.valid:
		e.valid = after(now, valid)
	case left > twoHours:
		e.valid = now + twoHours
	}
	// An address does not stay preferred longer than it is valid.
	e.preferred = min(e.preferred, e.valid)
}

// keep adds a name server or a search domain, or changes its end. A lifetime of
// 0 is over at once.
func keep[T comparable](list *[]Named[T], v T, end, now time.Duration, limit int) {
	i := slices.IndexFunc(*list, func(have Named[T]) bool { return have.Value == v })
	switch {
	case i >= 0:
		(*list)[i].End = end
	case end > now && len(*list) < limit:
		*list = append(*list, Named[T]{v, end})
	}
}

// Duplicate says that a neighbour has an address that the host should have
// taken.
func (r *Router) Duplicate(a netip.Addr) {
	for i := range r.prefixes {
		if r.prefixes[i].addr == a {
			r.cfg.Log.Warn("a neighbour has the address", "address", a)
			r.prefixes[i].failed = true
		}
	}
	r.update()
}

// sweep drops what has ended, and sets the timer to what ends next.
func (r *Router) sweep() {
	now := r.cfg.Clock.Monotonic()
	routers := len(r.routes)
	r.routes = slices.DeleteFunc(r.routes, func(e routeEntry) bool { return e.end <= now })
	r.onLink = slices.DeleteFunc(r.onLink, func(e onLinkEntry) bool { return e.end <= now })
	r.prefixes = slices.DeleteFunc(r.prefixes, func(e prefixEntry) bool { return e.valid <= now })
	r.servers = slices.DeleteFunc(r.servers, func(e Named[netip.Addr]) bool { return e.End <= now })
	r.domains = slices.DeleteFunc(r.domains, func(e Named[string]) bool { return e.End <= now })
	next := forever
	for _, e := range r.routes {
		next = min(next, e.end)
	}
	for _, e := range r.onLink {
		next = min(next, e.end)
	}
	for _, e := range r.prefixes {
		next = min(next, e.valid)
		if e.preferred > now {
			next = min(next, e.preferred)
		}
	}
	for _, e := range r.servers {
		next = min(next, e.End)
	}
	for _, e := range r.domains {
		next = min(next, e.End)
	}
	if next != forever {
		next -= now
	}
	r.expiry.set(next, r.sweep)
	r.update()
	if routers > 0 && len(r.routes) == 0 {
		r.ask()
	}
}

// update tells what the host should have, if that has changed.
func (r *Router) update() {
	now := r.cfg.Clock.Monotonic()
	a := Advertised{MTU: r.mtu}
	for _, e := range r.prefixes {
		if !e.failed {
			a.Addrs = append(a.Addrs, Address{netip.PrefixFrom(e.addr, 64), e.preferred <= now, e.preferred, e.valid})
		}
	}
	for _, e := range r.onLink {
		a.OnLink = append(a.OnLink, e.prefix)
	}
	a.Routes = r.best()
	for _, e := range r.servers {
		a.NameServers = append(a.NameServers, e.Value)
	}
	for _, e := range r.domains {
		a.Search = append(a.Search, e.Value)
	}
	same := slices.Equal(a.Addrs, r.last.Addrs) && slices.Equal(a.OnLink, r.last.OnLink) && slices.Equal(a.Routes, r.last.Routes) &&
		slices.Equal(a.NameServers, r.last.NameServers) && slices.Equal(a.Search, r.last.Search) && a.MTU == r.last.MTU
	if !same {
		r.last = a
		r.cfg.Changed()
	}
}

// best returns one route to each network: the most preferred, and of these the
// one known longest.
func (r *Router) best() []Route {
	var list []Route
	for i, e := range r.routes {
		worse := slices.ContainsFunc(r.routes[:i], func(o routeEntry) bool { return o.dst == e.dst && o.pref >= e.pref }) ||
			slices.ContainsFunc(r.routes[i+1:], func(o routeEntry) bool { return o.dst == e.dst && o.pref > e.pref })
		if !worse {
			list = append(list, Route{e.dst, e.via})
		}
	}
	return list
}
