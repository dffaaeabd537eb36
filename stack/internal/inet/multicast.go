package inet

import (
	"slices"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/stack/endpoint"
)

// memberships are the groups that an endpoint has joined. The interfaces join
// and leave with them (netstack counts, and reports any-source memberships);
// which datagrams of a group an endpoint gets is decided here, RFC 3678. A TCP
// endpoint may join too, and gets nothing of it, as on Linux.
type memberships struct {
	mu   sync.Mutex // a leaf
	list []membership
	over bool // the endpoint is closed
}

// membership is one group on one interface, with its source filter: all but
// the sources (exclude), or the sources alone.
type membership struct {
	nic     tcpip.NICID
	by      tcpip.Address // the address that named the interface, if one did
	group   tcpip.Address
	exclude bool
	sources []tcpip.Address // nil: none was ever set, and the mode may change
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

// index finds a group on an interface, 0 for any; −1 if it is not joined.
func (m *memberships) index(nic tcpip.NICID, group tcpip.Address) int {
	return slices.IndexFunc(m.list, func(e membership) bool { return e.group == group && (nic == 0 || e.nic == nic) })
}

func (m *memberships) joined(nic tcpip.NICID, group tcpip.Address) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.index(nic, group) >= 0
}

func (m *memberships) find(nic tcpip.NICID, group tcpip.Address) *membership {
	if i := m.index(nic, group); i >= 0 {
		return &m.list[i]
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
func (m *memberships) join(s *gvstack.Stack, e membership) error {
	m.mu.Lock()
	four := 0
	for i := range m.list {
		if m.list[i].group.Len() == header.IPv4AddressSize {
			four++
		}
	}
	var err error
	switch {
	case m.over:
		err = endpoint.EBADF
	case m.find(e.nic, e.group) != nil:
		err = endpoint.EADDRINUSE
	case e.group.Len() == header.IPv4AddressSize && four >= maxGroups4:
		err = endpoint.ENOBUFS
	default:
		m.list = append(m.list, e)
	}
	m.mu.Unlock()
	if err != nil {
		return err
	}
	if err := s.JoinGroup(netOf(e.group), e.nic, e.group); err != nil {
		m.drop(e.nic, e.group)
		return errno(err)
	}
	m.mu.Lock()
	gone := m.find(e.nic, e.group) == nil
	m.mu.Unlock()
	if gone { // left, or closed, before the interface had joined
		_ = s.LeaveGroup(netOf(e.group), e.nic, e.group)
	}
	return nil
}

func (m *memberships) drop(nic tcpip.NICID, group tcpip.Address) (e membership, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.index(nic, group)
	if i < 0 {
		return e, false
	}
	e = m.list[i]
	m.list = slices.Delete(m.list, i, i+1)
	return e, true
}

// leave gives a group up, on the first interface for nic 0: EADDRNOTAVAIL if the
// endpoint has not joined it.
func (m *memberships) leave(s *gvstack.Stack, nic tcpip.NICID, group tcpip.Address) error {
	e, ok := m.drop(nic, group)
	if !ok {
		return endpoint.EADDRNOTAVAIL
	}
	// The interface may have gone, and with it what it had joined.
	_ = s.LeaveGroup(netOf(group), e.nic, group)
	return nil
}

// joinedBy is the interface on which a group was joined by an address that the
// host has no more; 0 if none.
func (m *memberships) joinedBy(by, group tcpip.Address) tcpip.NICID {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.list {
		if m.list[i].group == group && m.list[i].by == by {
			return m.list[i].nic
		}
	}
	return 0
}

// close leaves all groups for good.
func (m *memberships) close(s *gvstack.Stack) {
	m.mu.Lock()
	list := m.list
	m.list, m.over = nil, true
	m.mu.Unlock()
	for _, e := range list {
		_ = s.LeaveGroup(netOf(e.group), e.nic, e.group)
	}
}

// source adds a source to a filter or takes it out, ip_mc_source. include is
// the mode that the caller means; a filter that never had a source takes either.
func (m *memberships) source(s *gvstack.Stack, nic tcpip.NICID, group, source tcpip.Address, include, add bool) error {
	m.mu.Lock()
	e := m.find(nic, group)
	if e == nil || e.exclude == include && e.sources != nil {
		m.mu.Unlock()
		return endpoint.EINVAL
	}
	e.exclude = !include
	i := slices.Index(e.sources, source)
	switch {
	case !add && i < 0:
		m.mu.Unlock()
		return endpoint.EADDRNOTAVAIL
	case add && len(e.sources) >= maxSources(group):
		m.mu.Unlock()
		return endpoint.ENOBUFS
	case add && i >= 0:
		m.mu.Unlock()
		return endpoint.EADDRNOTAVAIL
	case add:
		e.sources = append(e.sources, source)
	case include && len(e.sources) == 1:
		m.mu.Unlock()
		return m.leave(s, nic, group) // of no source is to leave
	default:
		e.sources = slices.Delete(e.sources, i, i+1)
	}
	m.mu.Unlock()
	return nil
}

// setFilter replaces a whole filter, IP_MSFILTER and MCAST_MSFILTER. To
// include no source is to leave.
func (m *memberships) setFilter(s *gvstack.Stack, nic tcpip.NICID, group tcpip.Address, include bool, sources []tcpip.Address) error {
	if include && len(sources) == 0 {
		return m.leave(s, nic, group)
	}
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
func (m *memberships) filter(nic tcpip.NICID, group tcpip.Address) (include bool, sources []tcpip.Address, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.find(nic, group)
	if e == nil || nic == 0 {
		return false, nil, endpoint.EADDRNOTAVAIL
	}
	return !e.exclude, slices.Clone(e.sources), nil
}

// groupInterface returns the interface that an option means: by index, by one
// of its addresses, or the one that leads to the group. ENODEV if there is none.
func (p *Protocols) groupInterface(nic tcpip.NICID, by, group tcpip.Address) (tcpip.NICID, error) {
	if nic != 0 {
		if !p.stack.HasNIC(nic) {
			return 0, endpoint.ENODEV
		}
		return nic, nil
	}
	if by.Len() != 0 {
		if nic = p.stack.CheckLocalAddress(0, header.IPv4ProtocolNumber, by); nic == 0 {
			return 0, endpoint.ENODEV
		}
		return nic, nil
	}
	r, err := p.stack.FindRoute(p.scope(group), tcpip.Address{}, group, netOf(group), false)
	if err != nil {
		return 0, endpoint.ENODEV
	}
	defer r.Release()
	return r.NICID(), nil
}
