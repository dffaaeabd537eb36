package inet

import (
	"slices"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"usersock/stack/endpoint"
)

// memberships are the groups that an endpoint has joined. The interfaces join
// and leave with them (netstack counts, and reports any-source memberships);
// which datagrams of a group an endpoint gets is decided here, RFC 3678.
type memberships struct {
	mu   sync.Mutex // a leaf
	list []membership
}

// membership is one group on one interface, with its source filter: all but
// the sources (exclude), or the sources alone.
type membership struct {
	nic     tcpip.NICID
	group   tcpip.Address
	exclude bool
	sources []tcpip.Address
}

// Limits of Linux: igmp_max_memberships, igmp_max_msf and mld_max_msf.
const (
	maxGroups4  = 20
	maxSources4 = 10
	maxSources6 = 64
)

func maxSources(group tcpip.Address) int {
	if group.Len() == header.IPv4AddressSize {
		return maxSources4
	}
	return maxSources6
}

func (m *memberships) find(nic tcpip.NICID, group tcpip.Address) *membership {
	for i := range m.list {
		if m.list[i].nic == nic && m.list[i].group == group {
			return &m.list[i]
		}
	}
	return nil
}

// allow reports whether a datagram to a group is for the endpoint,
// ip_mc_sf_allow and inet6_mc_check: what it has not joined itself it gets
// unless IP_MULTICAST_ALL is off.
func (m *memberships) allow(d *datagram, id *packetID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	four := id.net == header.IPv4ProtocolNumber
	for i := range m.list {
		e := &m.list[i]
		if e.group == id.local && (e.nic == id.nic || !four) {
			return slices.Contains(e.sources, id.remote) != e.exclude
		}
	}
	if four {
		return d.ip.all4.Load()
	}
	return d.ip.all6.Load()
}

// join adds a group, of any source or (include) of none yet. EADDRINUSE if the
// endpoint has joined it already, ENOBUFS for one too many.
func (d *datagram) join(nic tcpip.NICID, group tcpip.Address, include bool) error {
	m := &d.groups
	m.mu.Lock()
	four := 0
	for i := range m.list {
		if m.list[i].group.Len() == header.IPv4AddressSize {
			four++
		}
	}
	switch {
	case m.find(nic, group) != nil:
		m.mu.Unlock()
		return endpoint.EADDRINUSE
	case group.Len() == header.IPv4AddressSize && four >= maxGroups4:
		m.mu.Unlock()
		return endpoint.ENOBUFS
	}
	m.list = append(m.list, membership{nic: nic, group: group, exclude: !include})
	m.mu.Unlock()
	if err := d.p.stack.JoinGroup(netOf(group), nic, group); err != nil {
		m.drop(nic, group)
		return errno(err)
	}
	m.mu.Lock()
	gone := m.find(nic, group) == nil
	m.mu.Unlock()
	if gone { // left, or closed, before the interface had joined
		_ = d.p.stack.LeaveGroup(netOf(group), nic, group)
	}
	if d.state.Load() != stateOpen {
		d.leaveAll() // closed meanwhile
	}
	return nil
}

func (m *memberships) drop(nic tcpip.NICID, group tcpip.Address) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.list)
	m.list = slices.DeleteFunc(m.list, func(e membership) bool { return e.nic == nic && e.group == group })
	return len(m.list) < n
}

// leave gives a group up: EADDRNOTAVAIL if the endpoint has not joined it.
func (d *datagram) leave(nic tcpip.NICID, group tcpip.Address) error {
	if !d.groups.drop(nic, group) {
		return endpoint.EADDRNOTAVAIL
	}
	// The interface may have gone, and with it what it had joined.
	_ = d.p.stack.LeaveGroup(netOf(group), nic, group)
	return nil
}

// leaveAny gives up a group on whichever interface it was joined first.
func (d *datagram) leaveAny(group tcpip.Address) error {
	m := &d.groups
	m.mu.Lock()
	i := slices.IndexFunc(m.list, func(e membership) bool { return e.group == group })
	var nic tcpip.NICID
	if i >= 0 {
		nic = m.list[i].nic
	}
	m.mu.Unlock()
	if i < 0 {
		return endpoint.EADDRNOTAVAIL
	}
	return d.leave(nic, group)
}

func (d *datagram) leaveAll() {
	m := &d.groups
	m.mu.Lock()
	list := m.list
	m.list = nil
	m.mu.Unlock()
	for _, e := range list {
		_ = d.p.stack.LeaveGroup(netOf(e.group), e.nic, e.group)
	}
}

// source adds a source to a filter or takes it out, ip_mc_source. include is
// the mode that the caller means; an empty filter takes either.
func (d *datagram) source(nic tcpip.NICID, group, source tcpip.Address, include, add bool) error {
	m := &d.groups
	m.mu.Lock()
	e := m.find(nic, group)
	if e == nil || e.exclude == include && len(e.sources) != 0 {
		m.mu.Unlock()
		return endpoint.EINVAL
	}
	e.exclude = !include
	i := slices.Index(e.sources, source)
	switch {
	case add && i >= 0, !add && i < 0:
		m.mu.Unlock()
		return endpoint.EADDRNOTAVAIL
	case add && len(e.sources) >= maxSources(group):
		m.mu.Unlock()
		return endpoint.ENOBUFS
	case add:
		e.sources = append(e.sources, source)
	case include && len(e.sources) == 1:
		m.mu.Unlock()
		return d.leave(nic, group) // of no source is to leave
	default:
		e.sources = slices.Delete(e.sources, i, i+1)
	}
	m.mu.Unlock()
	return nil
}

// setFilter replaces a whole filter, IP_MSFILTER and MCAST_MSFILTER. To
// include no source is to leave.
func (d *datagram) setFilter(nic tcpip.NICID, group tcpip.Address, include bool, sources []tcpip.Address) error {
	if len(sources) > maxSources(group) {
		return endpoint.ENOBUFS
	}
	if include && len(sources) == 0 {
		return d.leave(nic, group)
	}
	m := &d.groups
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.find(nic, group)
	if e == nil {
		return endpoint.EINVAL
	}
	e.exclude, e.sources = !include, sources
	return nil
}

// filter reads a filter back: EADDRNOTAVAIL if the group is not joined.
func (d *datagram) filter(nic tcpip.NICID, group tcpip.Address) (include bool, sources []tcpip.Address, err error) {
	m := &d.groups
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.find(nic, group)
	if e == nil {
		return false, nil, endpoint.EADDRNOTAVAIL
	}
	return !e.exclude, slices.Clone(e.sources), nil
}

// groupInterface returns the interface that an option means: by index, by one
// of its addresses, or the one that leads to the group. ENODEV if there is none.
func (d *datagram) groupInterface(nic tcpip.NICID, by, group tcpip.Address) (tcpip.NICID, error) {
	s := d.p.stack
	if nic != 0 {
		if !s.HasNIC(nic) {
			return 0, endpoint.ENODEV
		}
		return nic, nil
	}
	if by.Len() != 0 {
		if nic = s.CheckLocalAddress(0, header.IPv4ProtocolNumber, by); nic != 0 {
			return nic, nil
		}
	}
	r, err := s.FindRoute(0, tcpip.Address{}, group, netOf(group), false)
	if err != nil {
		return 0, endpoint.ENODEV
	}
	defer r.Release()
	return r.NICID(), nil
}
