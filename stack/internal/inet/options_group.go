package inet

import (
	"encoding/binary"
	"slices"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"usersock/stack/endpoint"
)

// groupOptions are the multicast options of both levels: ip(7), RFC 3493 and
// RFC 3678. On a TCP socket the oldest are EPROTO, as on Linux; the others join,
// and nothing comes of it.
func groupOptions() []option {
	const four, six = endpoint.IPPROTO_IP, endpoint.IPPROTO_IPV6
	const note = "EPROTO on TCP sockets, as on Linux"
	const tcpNote = "a TCP socket may join, and receives nothing of it, as on Linux"
	const filterNote = "decides what is received; the network is asked for all sources"
	rows := []option{
		{level: four, name: endpoint.IP_MULTICAST_IF, symbol: "IP_MULTICAST_IF", on: onAll, least: 4,
			note: "EINVAL to set on TCP sockets, as on Linux",
			get: func(o target, buf []byte) (int, error) {
				var b [4]byte
				if o.dg != nil {
					source := o.dg.ip.multicastSource()
					copy(b[:], source.addr.AsSlice())
				}
				return copy(buf, b[:]), nil
			},
			set: func(o target, value []byte) error {
				if o.tcp != nil {
					return endpoint.EINVAL
				}
				return o.setMulticastInterface(value)
			}},
		{level: four, name: endpoint.IP_ADD_MEMBERSHIP, symbol: "IP_ADD_MEMBERSHIP", on: onAll, least: 8, note: note,
			set: func(o target, value []byte) error {
				g, err := o.mreq(value)
				if err != nil {
					return err
				}
				return g.join(o, false)
			}},
		{level: four, name: endpoint.IP_DROP_MEMBERSHIP, symbol: "IP_DROP_MEMBERSHIP", on: onAll, least: 8, note: note,
			set: func(o target, value []byte) error {
				g, err := o.mreq(value)
				if err != nil {
					return err
				}
				return g.leave(o)
			}},
		{level: six, name: endpoint.IPV6_JOIN_GROUP, symbol: "IPV6_JOIN_GROUP", on: onAll6, least: 20, note: note,
			set: func(o target, value []byte) error {
				g, err := o.mreq6(value)
				if err != nil {
					return err
				}
				return g.join(o, false)
			}},
		{level: six, name: endpoint.IPV6_LEAVE_GROUP, symbol: "IPV6_LEAVE_GROUP", on: onAll6, least: 20, note: note,
			set: func(o target, value []byte) error {
				g, err := o.mreq6(value)
				if err != nil {
					return err
				}
				return g.leave(o)
			}},
		filterOption(four, endpoint.IP_MSFILTER, "IP_MSFILTER", onAll, ipFilter),
		filterOption(four, endpoint.MCAST_MSFILTER, "MCAST_MSFILTER", onAll, groupFilter(four)),
		filterOption(six, endpoint.MCAST_MSFILTER, "MCAST_MSFILTER", onAll6, groupFilter(six)),
	}
	for _, c := range []struct {
		name         int
		symbol       string
		include, add bool
	}{
		{endpoint.IP_UNBLOCK_SOURCE, "IP_UNBLOCK_SOURCE", false, false},
		{endpoint.IP_BLOCK_SOURCE, "IP_BLOCK_SOURCE", false, true},
		{endpoint.IP_ADD_SOURCE_MEMBERSHIP, "IP_ADD_SOURCE_MEMBERSHIP", true, true},
		{endpoint.IP_DROP_SOURCE_MEMBERSHIP, "IP_DROP_SOURCE_MEMBERSHIP", true, false},
	} {
		rows = append(rows, option{level: four, name: c.name, symbol: c.symbol, on: onAll, least: 12, note: filterNote,
			set: func(o target, value []byte) error {
				if len(value) != 12 { // struct ip_mreq_source
					return endpoint.EINVAL
				}
				g := groupRequest{group: tcpip.AddrFrom4Slice(value[:4]), by: address4(value[4:8]), source: tcpip.AddrFrom4Slice(value[8:12])}
				return g.filter(o, c.include, c.add)
			}})
	}
	for _, at := range []struct {
		level int
		on    sockets
	}{{four, onAll}, {six, onAll6}} {
		level, on := at.level, at.on
		rows = append(rows,
			option{level: level, name: endpoint.MCAST_JOIN_GROUP, symbol: "MCAST_JOIN_GROUP", on: on, least: storageAt + storageSize, note: tcpNote,
				set: func(o target, value []byte) error {
					g, err := o.groupReq(level, value)
					if err != nil {
						return err
					}
					return g.join(o, false)
				}},
			option{level: level, name: endpoint.MCAST_LEAVE_GROUP, symbol: "MCAST_LEAVE_GROUP", on: on, least: storageAt + storageSize, note: tcpNote,
				set: func(o target, value []byte) error {
					g, err := o.groupReq(level, value)
					if err != nil {
						return err
					}
					return g.leave(o)
				}})
		for _, c := range []struct {
			name         int
			symbol       string
			include, add bool
		}{
			{endpoint.MCAST_BLOCK_SOURCE, "MCAST_BLOCK_SOURCE", false, true},
			{endpoint.MCAST_UNBLOCK_SOURCE, "MCAST_UNBLOCK_SOURCE", false, false},
			{endpoint.MCAST_JOIN_SOURCE_GROUP, "MCAST_JOIN_SOURCE_GROUP", true, true},
			{endpoint.MCAST_LEAVE_SOURCE_GROUP, "MCAST_LEAVE_SOURCE_GROUP", true, false},
		} {
			rows = append(rows, option{level: level, name: c.name, symbol: c.symbol, on: on, least: storageAt + 2*storageSize, note: filterNote,
				set: func(o target, value []byte) error {
					g, err := o.groupSourceReq(level, value)
					if err != nil {
						return err
					}
					return g.filter(o, c.include, c.add)
				}})
		}
	}
	return rows
}

// Sizes of struct ip_mreq and ipv6_mreq.
const (
	inetRequest  = 8
	inet6Request = 20
)

// groupRequest is what such an option says, whatever its structure.
type groupRequest struct {
	nic    tcpip.NICID   // 0: see by
	by     tcpip.Address // an address of the interface; empty: the route's
	group  tcpip.Address
	source tcpip.Address
}

// groups are the groups that a socket has joined.
func (o target) groups() *memberships {
	if o.dg != nil {
		return &o.dg.groups
	}
	return o.tcp.memberships()
}

// memberships of a TCP socket are made when they are first asked for.
func (t *tcpEndpoint) memberships() *memberships {
	m := t.groups.Load()
	if m == nil {
		t.groups.CompareAndSwap(nil, new(memberships))
		if m = t.groups.Load(); t.closed.Load() {
			m.close(t.p.stack)
		}
	}
	return m
}

func (g *groupRequest) join(o target, include bool) error {
	if !isMulticast(g.group) {
		return endpoint.EINVAL
	}
	m := o.groups()
	if g.group.Len() == header.IPv6AddressSize && m.joined(g.nic, g.group) {
		return endpoint.EADDRINUSE // on any interface, if none is named
	}
	nic, err := o.p.groupInterface(g.nic, g.by, g.group)
	if err != nil {
		return err
	}
	return m.join(o.p.stack, membership{nic: nic, by: g.by, group: g.group, exclude: !include})
}

// leave is ip_mc_leave_group and ipv6_sock_mc_drop: over IPv4 a route decides,
// where no interface is named, over IPv6 any will do.
func (g *groupRequest) leave(o target) error {
	m, nic := o.groups(), g.nic
	switch {
	case g.group.Len() == header.IPv6AddressSize:
		if !isMulticast(g.group) {
			return endpoint.EINVAL
		}
	case nic == 0:
		var err error
		if nic, err = o.p.groupInterface(0, g.by, g.group); err == nil {
			break
		}
		if g.by.Len() == 0 {
			return err
		}
		if nic = m.joinedBy(g.by, g.group); nic == 0 {
			return endpoint.EADDRNOTAVAIL
		}
	}
	return m.leave(o.p.stack, nic, g.group)
}

// filter changes the source filter. To include a source joins first.
func (g *groupRequest) filter(o target, include, add bool) error {
	if !isMulticast(g.group) {
		return endpoint.EINVAL
	}
	if include && add {
		if err := g.join(o, true); err != nil && err != endpoint.EADDRINUSE {
			return err
		}
	}
	nic, err := o.p.groupInterface(g.nic, g.by, g.group)
	if err != nil {
		return err
	}
	if g.group.Len() == header.IPv6AddressSize {
		nic = g.nic // any, if none is named
	}
	return o.groups().source(o.p.stack, nic, g.group, g.source, include, add)
}

func address4(b []byte) tcpip.Address {
	if [4]byte(b) == [4]byte{} {
		return tcpip.Address{}
	}
	return tcpip.AddrFrom4Slice(b)
}

// mreq reads struct ip_mreq or ip_mreqn.
func (o target) mreq(value []byte) (g groupRequest, err error) {
	if o.tcp != nil {
		return g, endpoint.EPROTO
	}
	if len(value) < inetRequest {
		return g, endpoint.EINVAL
	}
	g.group, g.by = tcpip.AddrFrom4Slice(value[:4]), address4(value[4:8])
	if len(value) >= 12 {
		g.nic = tcpip.NICID(binary.NativeEndian.Uint32(value[8:]))
	}
	return g, nil
}

// mreq6 reads struct ipv6_mreq.
func (o target) mreq6(value []byte) (g groupRequest, err error) {
	if len(value) < inet6Request {
		return g, endpoint.EINVAL
	}
	if o.tcp != nil {
		return g, endpoint.EPROTO
	}
	g.group, g.nic = tcpip.AddrFrom16Slice(value[:16]), tcpip.NICID(binary.NativeEndian.Uint32(value[16:]))
	return g, nil
}

// The structures of RFC 3678 hold an interface index and, aligned to a word,
// addresses in struct sockaddr_storage.
const (
	storageAt   = wordSize
	storageSize = 128
)

// storage reads a struct sockaddr_storage of the level's family.
func storage(level int, b []byte) (tcpip.Address, bool) {
	switch af := binary.NativeEndian.Uint16(b); {
	case af == endpoint.AF_INET && level == endpoint.IPPROTO_IP:
		return tcpip.AddrFrom4Slice(b[4:8]), true
	case af == endpoint.AF_INET6 && level == endpoint.IPPROTO_IPV6:
		return tcpip.AddrFrom16Slice(b[8:24]), true
	}
	return tcpip.Address{}, false
}

func putStorage(b []byte, a tcpip.Address) {
	if a.Len() == header.IPv4AddressSize {
		copy(b, sockaddrIn(a, 0))
		return
	}
	copy(b, sockaddrIn6(a, 0, 0))
}

// groupReq reads struct group_req.
func (o target) groupReq(level int, value []byte) (g groupRequest, err error) {
	if len(value) < storageAt+storageSize {
		return g, endpoint.EINVAL
	}
	g.nic = tcpip.NICID(binary.NativeEndian.Uint32(value))
	var ok bool
	if g.group, ok = storage(level, value[storageAt:]); !ok {
		if level == endpoint.IPPROTO_IPV6 {
			return g, endpoint.EADDRNOTAVAIL
		}
		return g, endpoint.EINVAL
	}
	return g, nil
}

// groupSourceReq reads struct group_source_req.
func (o target) groupSourceReq(level int, value []byte) (g groupRequest, err error) {
	if len(value) != storageAt+2*storageSize {
		return g, endpoint.EINVAL
	}
	g.nic = tcpip.NICID(binary.NativeEndian.Uint32(value))
	var ok, too bool
	g.group, ok = storage(level, value[storageAt:])
	g.source, too = storage(level, value[storageAt+storageSize:])
	if !ok || !too {
		return g, endpoint.EADDRNOTAVAIL
	}
	return g, nil
}

// setMulticastInterface reads struct in_addr, ip_mreq or ip_mreqn.
func (o target) setMulticastInterface(value []byte) error {
	var v multicastSource
	switch {
	case len(value) >= 12:
		v.nic, v.addr = tcpip.NICID(binary.NativeEndian.Uint32(value[8:])), address4(value[4:8])
	case len(value) >= 8:
		v.addr = address4(value[4:8])
	case len(value) >= 4:
		v.addr = address4(value[:4])
	default:
		return endpoint.EINVAL
	}
	switch s := o.p.stack; {
	case v.nic != 0:
		if !s.HasNIC(v.nic) {
			return endpoint.EADDRNOTAVAIL
		}
	case v.addr == header.IPv4Broadcast: // netstack has it on every interface
		return endpoint.EADDRNOTAVAIL
	case v.addr.Len() != 0:
		if v.nic = s.CheckLocalAddress(0, header.IPv4ProtocolNumber, v.addr); v.nic == 0 {
			return endpoint.EADDRNOTAVAIL
		}
	}
	if dev := o.ops().GetBindToDevice(); dev != 0 && v.nic != 0 && int(dev) != int(v.nic) {
		return endpoint.EINVAL
	}
	o.dg.ip.mu.Lock()
	o.dg.ip.group4 = v
	o.dg.ip.mu.Unlock()
	return nil
}

// filterLayout says where the parts of struct ip_msfilter or group_filter are.
type filterLayout struct {
	mode    int // offset of the mode, with the number of sources behind it
	sources int // offset of the sources
	size    int // of one source
	request func(value []byte, set bool) (groupRequest, error)
	address func(b []byte) (tcpip.Address, error) // of a source
}

// Modes of a filter, RFC 3678.
const (
	filterExclude = endpoint.MCAST_EXCLUDE
	filterInclude = endpoint.MCAST_INCLUDE
)

// filterOption is an option that reads and writes a whole filter. What is wrong
// is told in Linux's order: the lengths, the group, the mode, the interface.
func filterOption(level, name int, symbol string, on sockets, l filterLayout) option {
	locate := func(o target, value []byte, set bool, mode uint32) (tcpip.NICID, tcpip.Address, error) {
		g, err := l.request(value, set)
		switch {
		case err != nil:
			return 0, g.group, err
		case !isMulticast(g.group), mode != filterInclude && mode != filterExclude:
			return 0, g.group, endpoint.EINVAL
		}
		nic := g.nic
		if set || l.size == 4 { // struct ip_msfilter names it by address
			nic, err = o.p.groupInterface(g.nic, g.by, g.group)
		}
		return nic, g.group, err
	}
	most := maxSources4
	if level == endpoint.IPPROTO_IPV6 {
		most = maxSources6
	}
	return option{
		level: level, name: name, symbol: symbol, on: on, least: l.sources,
		note: "decides what is received; the network is asked for all sources",
		set: func(o target, value []byte) error {
			if len(value) < l.sources {
				return endpoint.EINVAL
			}
			mode, count := binary.NativeEndian.Uint32(value[l.mode:]), binary.NativeEndian.Uint32(value[l.mode+4:])
			n := int(min(count, uint32(most)+1))
			switch {
			case n > most:
				return endpoint.ENOBUFS
			case len(value) < l.sources+n*l.size:
				return endpoint.EINVAL
			}
			nic, group, err := locate(o, value, true, mode)
			if err != nil {
				return err
			}
			var sources []tcpip.Address
			for i := range n {
				a, err := l.address(value[l.sources+i*l.size:])
				if err != nil {
					return err
				}
				sources = append(sources, a)
			}
			return o.groups().setFilter(o.p.stack, nic, group, mode == filterInclude, slices.Compact(sources))
		},
		get: func(o target, buf []byte) (int, error) {
			if len(buf) < l.sources {
				return 0, endpoint.EINVAL
			}
			nic, group, err := locate(o, buf, false, filterInclude)
			if err != nil {
				return 0, err
			}
			room := int(binary.NativeEndian.Uint32(buf[l.mode+4:]))
			include, sources, err := o.groups().filter(nic, group)
			if err != nil {
				return 0, err
			}
			binary.NativeEndian.PutUint32(buf[l.mode:], uint32(number01(include)))
			binary.NativeEndian.PutUint32(buf[l.mode+4:], uint32(len(sources)))
			n := 0
			for ; n < min(room, len(sources)) && l.sources+(n+1)*l.size <= len(buf); n++ {
				b := buf[l.sources+n*l.size:]
				if l.size == 4 {
					copy(b, sources[n].AsSlice())
				} else {
					clear(b[:l.size])
					putStorage(b, sources[n])
				}
			}
			return l.sources + n*l.size, nil
		},
	}
}

// ipFilter is struct ip_msfilter.
var ipFilter = filterLayout{
	mode: 8, sources: 16, size: 4,
	request: func(value []byte, _ bool) (groupRequest, error) {
		return groupRequest{group: tcpip.AddrFrom4Slice(value[:4]), by: address4(value[4:8])}, nil
	},
	address: func(b []byte) (tcpip.Address, error) { return tcpip.AddrFrom4Slice(b[:4]), nil },
}

// groupFilter is struct group_filter. To set one at IPPROTO_IPV6, Linux does not
// look which family the addresses say they are of.
func groupFilter(level int) filterLayout {
	six := level == endpoint.IPPROTO_IPV6
	address := func(b []byte) (tcpip.Address, error) {
		if six {
			return tcpip.AddrFrom16Slice(b[8:24]), nil
		}
		a, ok := storage(level, b)
		if !ok {
			return a, endpoint.EADDRNOTAVAIL
		}
		return a, nil
	}
	const mode = storageAt + storageSize
	return filterLayout{
		mode: mode, sources: mode + 8, size: storageSize,
		request: func(value []byte, set bool) (g groupRequest, err error) {
			g.nic = tcpip.NICID(binary.NativeEndian.Uint32(value))
			g.group, err = address(value[storageAt:])
			if _, ok := storage(level, value[storageAt:]); !ok && !set {
				err = endpoint.EINVAL
				if six {
					err = endpoint.EADDRNOTAVAIL
				}
			}
			return g, err
		},
		address: address,
	}
}
