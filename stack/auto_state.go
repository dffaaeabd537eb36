package stack

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"usersock/stack/endpoint"
	"usersock/stack/internal/autoconf"
)

// AutoState is what an interface has by what the network told it.
type AutoState struct {
	Interface string
	DHCPv4    string // where the client stands, such as "bound"; "" without one
	Lease     *Lease // nil: none

	Addrs       []LearntAddr // by router advertisements
	NameServers []NameServer // of the lease, the advertisements, DHCPv6, in this order
	Search      []SearchDomain
	MTU         int // 0: not told, or the link's
}

// Lease is what a DHCPv4 server gave.
type Lease struct {
	Addr   netip.Prefix // the address with the length of its subnet
	Server netip.Addr

	Routers     []netip.Addr // empty where there are classless routes
	NameServers []netip.Addr
	Search      []string
	Domain      string
	Hostname    string
	MTU         int // 0: not told

	// When the lease was asked for, how long it holds, and after what time it
	// is renewed with the server and with any. Duration, Renew and Rebind are 0
	// for a lease without end.
	Obtained                time.Time
	Duration, Renew, Rebind time.Duration
}

// LearntAddr is an IPv6 address made of an advertised prefix.
type LearntAddr struct {
	Addr       netip.Prefix
	Tentative  bool // it is not known yet whether a neighbour has it
	Deprecated bool // no new connection uses it by itself

	// How long from the moment of the state on; negative: for ever.
	Preferred, Valid time.Duration
}

// NameServer is one that the network named.
type NameServer struct {
	Addr    netip.Addr // with the interface's index as its zone, if it is link-local
	Expires time.Time  // zero: with the lease, or not at all
}

// SearchDomain is a domain to look names up in.
type SearchDomain struct {
	Domain  string
	Expires time.Time // zero: with the lease, or not at all
}

// snapshot is what one interface shows.
type snapshot struct {
	state      AutoState
	settled    bool // there is nothing more to wait for now
	configured bool // there is an address
	over       bool // and never will be
	lacking    string
}

// names is what all interfaces say, for the resolver. Nobody changes it.
type names struct {
	servers []netip.AddrPort
	search  []string
}

// dnsPort is that of name servers.
const dnsPort = 53

// NameServers returns the name servers and search domains that the network has
// told the host, those of the interfaces with a lower index first. The slices
// are shared: do not change them. It takes no lock.
func (s *Stack) NameServers() (servers []netip.AddrPort, search []string) {
	n := s.learnt.Load()
	if n == nil {
		return nil, nil
	}
	return n.servers, n.search
}

// AutoState returns what the network has told an interface; ok is false for
// one that does not configure itself.
func (s *Stack) AutoState(dev string) (state AutoState, ok bool) {
	s.autoMu.Lock()
	defer s.autoMu.Unlock()
	for _, a := range s.autos {
		if a.name == dev {
			return a.shown.state, true
		}
	}
	return AutoState{}, false
}

// autoStates returns the states of all interfaces, by index.
func (s *Stack) autoStates() (list []AutoState) {
	s.autoMu.Lock()
	defer s.autoMu.Unlock()
	for _, a := range slices.SortedFunc(slices.Values(s.autos), byIndex) {
		list = append(list, a.shown.state)
	}
	return list
}

func byIndex(a, b *auto) int { return int(a.id) - int(b.id) }

// Configured waits until every interface with an [Auto] has an address by it.
// Where an interface asks in several ways, the others are waited for as well as
// long as they may still be answered at first try, about four seconds. When ctx
// ends first, the error says which interface lacks what, and wraps ctx's. A Stack
// without such interfaces is configured. A closed one is ENETDOWN, and so is an
// interface whose link has ended.
func (s *Stack) Configured(ctx context.Context) error {
	for {
		s.autoMu.Lock()
		var lacking []string
		ready, over := true, false
		for _, a := range s.autos {
			over = over || a.shown.over
			ready = ready && a.shown.settled && a.shown.configured
			if !a.shown.configured {
				lacking = append(lacking, a.name+": "+cmp.Or(a.shown.lacking, "not begun"))
			}
		}
		changed := s.autoChanged
		s.autoMu.Unlock()
		if s.ended.Load() {
			return fmt.Errorf("stack: configured: %w", endpoint.ENETDOWN)
		}
		slices.Sort(lacking)
		switch {
		case over:
			return fmt.Errorf("stack: not configured: %s: %w", strings.Join(lacking, "; "), endpoint.ENETDOWN)
		case ready:
			return nil
		}
		select {
		case <-changed:
		case <-s.closed:
		case <-ctx.Done():
			if len(lacking) == 0 {
				return nil // an address is there: what else was waited for is not
			}
			return fmt.Errorf("stack: not configured: %s: %w", strings.Join(lacking, "; "), context.Cause(ctx))
		}
	}
}

// show publishes what a has now.
func (a *auto) show() {
	now := a.s.clock.Monotonic()
	shown := a.snapshot(now)
	s := a.s
	s.autoMu.Lock()
	told := shown.state.sameBut(a.shown.state)
	wake := shown.settled != a.shown.settled || shown.configured != a.shown.configured || shown.over != a.shown.over
	a.shown = shown
	before := s.learnt.Load()
	after := s.joinNames()
	newNames := before == nil || !slices.Equal(before.servers, after.servers) || !slices.Equal(before.search, after.search)
	if newNames {
		s.learnt.Store(after)
	}
	if wake {
		close(s.autoChanged)
		s.autoChanged = make(chan struct{})
	}
	s.autoMu.Unlock()
	if !told {
		s.emit(Event{Kind: AutoChanged, Interface: a.name})
	}
	if newNames && (before != nil || len(after.servers)+len(after.search) > 0) {
		s.emit(Event{Kind: NamesChanged, Interface: a.name})
	}
}

// sameBut reports whether two states are the same but for times that run.
func (st AutoState) sameBut(o AutoState) bool {
	sameLease := (st.Lease == nil) == (o.Lease == nil) && (st.Lease == nil || st.Lease.Obtained.Equal(o.Lease.Obtained))
	return st.DHCPv4 == o.DHCPv4 && sameLease && st.MTU == o.MTU &&
		slices.EqualFunc(st.Addrs, o.Addrs, func(a, b LearntAddr) bool {
			return a.Addr == b.Addr && a.Tentative == b.Tentative && a.Deprecated == b.Deprecated
		}) &&
		slices.EqualFunc(st.NameServers, o.NameServers, func(a, b NameServer) bool { return a.Addr == b.Addr }) &&
		slices.EqualFunc(st.Search, o.Search, func(a, b SearchDomain) bool { return a.Domain == b.Domain })
}

// joinNames makes one list of what all interfaces say. autoMu is held.
func (s *Stack) joinNames() *names {
	n := new(names)
	for _, a := range slices.SortedFunc(slices.Values(s.autos), byIndex) {
		for _, ns := range a.shown.state.NameServers {
			if ap := netip.AddrPortFrom(ns.Addr, dnsPort); !slices.Contains(n.servers, ap) {
				n.servers = append(n.servers, ap)
			}
		}
		for _, d := range a.shown.state.Search {
			if !slices.Contains(n.search, d.Domain) {
				n.search = append(n.search, d.Domain)
			}
		}
	}
	return n
}

func (a *auto) snapshot(now time.Duration) snapshot {
	sh := snapshot{settled: true, state: AutoState{Interface: a.name, MTU: int(a.tap.mtu.Load())}}
	if a.closing {
		sh.over, sh.lacking = true, "its link has ended, or it is detached"
		return sh
	}
	var lacking []string
	if a.dhcp4 != nil {
		sh.state.DHCPv4 = a.dhcp4.State().String()
		sh.settled = a.dhcp4.Settled()
		if l := a.dhcp4.Lease(); l != nil {
			sh.configured = sh.configured || a.addrs[l.Addr.Addr()].usable()
			sh.settled = sh.settled && a.addrs[l.Addr.Addr()].usable()
			sh.state.lease(l)
		} else {
			lacking = append(lacking, "no lease by DHCPv4 (it is "+sh.state.DHCPv4+")")
		}
	}
	if a.router != nil {
		sh.settled = sh.settled && (a.failed || a.router.Settled())
		adv := a.router.Advertised()
		for _, ip := range adv.Addrs {
			usable := a.addrs[ip.Prefix.Addr()].usable()
			sh.configured = sh.configured || usable
			sh.settled = sh.settled && usable
			sh.state.Addrs = append(sh.state.Addrs, LearntAddr{ip.Prefix, !usable, ip.Deprecated, left(now, ip.Preferred), left(now, ip.Valid)})
		}
		if len(adv.Addrs) == 0 {
			lacking = append(lacking, "no prefix by a router advertisement")
		}
		a.advertisedNames(&sh.state, now)
	}
	if a.dhcp6 != nil {
		sh.settled = sh.settled && a.dhcp6.Settled()
		info := a.dhcp6.Information()
		if info != nil {
			sh.state.nameServers(info.NameServers, a.zone())
			sh.state.search(info.Search)
		}
		if a.dhcp4 == nil && a.router == nil { // it brings no address
			sh.configured = info != nil
			lacking = append(lacking, "no answer by DHCPv6")
		}
	}
	sh.lacking = strings.Join(lacking, ", ")
	return sh
}

func (have *learntAddr) usable() bool { return have != nil && have.assigned }

// zone is that of link-local addresses on the interface.
func (a *auto) zone() string { return strconv.Itoa(int(a.id)) }

func (a *auto) advertisedNames(st *AutoState, now time.Duration) {
	wall := a.s.clock.Now()
	servers, domains := a.router.Names()
	for _, e := range servers {
		st.nameServer(NameServer{withZone(e.Value, a.zone()), at(wall, now, e.End)})
	}
	for _, e := range domains {
		st.domain(SearchDomain{e.Value, at(wall, now, e.End)})
	}
}

func (st *AutoState) lease(l *autoconf.Lease) {
	st.Lease = &Lease{
		Addr: l.Addr, Server: l.Server, Routers: l.Routers, NameServers: l.NameServers, Search: l.Search, Domain: l.Domain,
		Hostname: l.Hostname, MTU: l.MTU, Obtained: l.Obtained, Duration: l.Duration, Renew: l.Renew, Rebind: l.Rebind,
	}
	st.nameServers(l.NameServers, "")
	st.search(l.Search)
}

func (st *AutoState) nameServers(list []netip.Addr, zone string) {
	for _, ip := range list {
		st.nameServer(NameServer{Addr: withZone(ip, zone)})
	}
}

func (st *AutoState) search(list []string) {
	for _, d := range list {
		st.domain(SearchDomain{Domain: d})
	}
}

func (st *AutoState) nameServer(n NameServer) {
	if !slices.ContainsFunc(st.NameServers, func(have NameServer) bool { return have.Addr == n.Addr }) {
		st.NameServers = append(st.NameServers, n)
	}
}

func (st *AutoState) domain(d SearchDomain) {
	if !slices.ContainsFunc(st.Search, func(have SearchDomain) bool { return have.Domain == d.Domain }) {
		st.Search = append(st.Search, d)
	}
}

func withZone(ip netip.Addr, zone string) netip.Addr {
	if ip.Is6() && ip.IsLinkLocalUnicast() {
		return ip.WithZone(zone)
	}
	return ip
}

// never is where a moment of the monotonic clock stands for no end.
const never = time.Duration(1<<63 - 1)

// left is how long it is until a moment, negative for ever.
func left(now, end time.Duration) time.Duration {
	if end == never {
		return -1
	}
	return max(end-now, 0)
}

// at is a moment by the time of day, zero for never.
func at(wall time.Time, now, end time.Duration) time.Time {
	if end == never {
		return time.Time{}
	}
	return wall.Add(end - now)
}
