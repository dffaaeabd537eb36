package differ

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"usersock/stack/endpoint"
)

// A membership is what an option about groups is called with. The interface is
// that of an address (by), or of an index, or the one that a route names.
type membership struct {
	group  string
	by     string // IPv4, where the option has it
	index  int
	source string
}

func (m membership) String() string {
	text := m.group
	if m.source != "" {
		text += " from " + m.source
	}
	switch {
	case m.by != "":
		text += " by " + m.by
	case m.index != 0:
		text += fmt.Sprint(" on ", m.index)
	}
	return text
}

// The options about groups, and how their values are laid out.
const (
	layoutMreq        = iota // struct ip_mreq, ip_mreqn
	layoutMreq6              // struct ipv6_mreq
	layoutMreqSource         // struct ip_mreq_source
	layoutGroup              // struct group_req
	layoutGroupSource        // struct group_source_req
)

var (
	ipAddMember   = groupOption{option{"IP_ADD_MEMBERSHIP", endpoint.IPPROTO_IP, endpoint.IP_ADD_MEMBERSHIP}, layoutMreq}
	ipDropMember  = groupOption{option{"IP_DROP_MEMBERSHIP", endpoint.IPPROTO_IP, endpoint.IP_DROP_MEMBERSHIP}, layoutMreq}
	ipAddSource   = groupOption{option{"IP_ADD_SOURCE_MEMBERSHIP", endpoint.IPPROTO_IP, endpoint.IP_ADD_SOURCE_MEMBERSHIP}, layoutMreqSource}
	ipDropSource  = groupOption{option{"IP_DROP_SOURCE_MEMBERSHIP", endpoint.IPPROTO_IP, endpoint.IP_DROP_SOURCE_MEMBERSHIP}, layoutMreqSource}
	ipBlock       = groupOption{option{"IP_BLOCK_SOURCE", endpoint.IPPROTO_IP, endpoint.IP_BLOCK_SOURCE}, layoutMreqSource}
	ipUnblock     = groupOption{option{"IP_UNBLOCK_SOURCE", endpoint.IPPROTO_IP, endpoint.IP_UNBLOCK_SOURCE}, layoutMreqSource}
	ipv6Join      = groupOption{option{"IPV6_JOIN_GROUP", endpoint.IPPROTO_IPV6, endpoint.IPV6_JOIN_GROUP}, layoutMreq6}
	ipv6Leave     = groupOption{option{"IPV6_LEAVE_GROUP", endpoint.IPPROTO_IPV6, endpoint.IPV6_LEAVE_GROUP}, layoutMreq6}
	mcJoin        = groupOption{option{"MCAST_JOIN_GROUP", 0, endpoint.MCAST_JOIN_GROUP}, layoutGroup}
	mcLeave       = groupOption{option{"MCAST_LEAVE_GROUP", 0, endpoint.MCAST_LEAVE_GROUP}, layoutGroup}
	mcJoinSource  = groupOption{option{"MCAST_JOIN_SOURCE_GROUP", 0, endpoint.MCAST_JOIN_SOURCE_GROUP}, layoutGroupSource}
	mcLeaveSource = groupOption{option{"MCAST_LEAVE_SOURCE_GROUP", 0, endpoint.MCAST_LEAVE_SOURCE_GROUP}, layoutGroupSource}
	mcBlock       = groupOption{option{"MCAST_BLOCK_SOURCE", 0, endpoint.MCAST_BLOCK_SOURCE}, layoutGroupSource}
	mcUnblock     = groupOption{option{"MCAST_UNBLOCK_SOURCE", 0, endpoint.MCAST_UNBLOCK_SOURCE}, layoutGroupSource}
)

type groupOption struct {
	option
	layout int
}

const word = strconv.IntSize / 8

func four(text string) []byte {
	if text == "" {
		return make([]byte, 4)
	}
	return netip.MustParseAddr(text).AsSlice()
}

// storage is struct sockaddr_storage.
func storage(text string) []byte {
	b := make([]byte, 128)
	ip := netip.MustParseAddr(text)
	if ip.Is4() {
		binary.NativeEndian.PutUint16(b, endpoint.AF_INET)
		copy(b[4:], ip.AsSlice())
	} else {
		binary.NativeEndian.PutUint16(b, endpoint.AF_INET6)
		copy(b[8:], ip.AsSlice())
	}
	return b
}

func indexWord(index int) []byte {
	b := make([]byte, word)
	binary.NativeEndian.PutUint32(b, uint32(index))
	return b
}

func (o groupOption) value(m membership) []byte {
	switch o.layout {
	case layoutMreq:
		b := append(four(m.group), four(m.by)...)
		if m.index != 0 {
			b = append(b, intBytes(m.index)...)
		}
		return b
	case layoutMreq6:
		return append(netip.MustParseAddr(m.group).AsSlice(), intBytes(m.index)...)
	case layoutMreqSource:
		return append(append(four(m.group), four(m.by)...), four(m.source)...)
	case layoutGroup:
		return append(indexWord(m.index), storage(m.group)...)
	}
	return append(append(indexWord(m.index), storage(m.group)...), storage(m.source)...)
}

func (k *sock) group(o groupOption, m membership) {
	if o.level == 0 {
		o.level = endpoint.IPPROTO_IP
		if netip.MustParseAddr(m.group).Is6() {
			o.level = endpoint.IPPROTO_IPV6
		}
	}
	k.on(o.name+" "+m.String(), func() string {
		return errText(k.s.net.setsockopt(k.h, o.level, o.number, o.value(m)))
	})
}

// filter reads the filter of a group, by MCAST_MSFILTER.
func (k *sock) filter(m membership) {
	k.on("filter of "+m.String(), func() string {
		b := append(indexWord(m.index), storage(m.group)...)
		at := len(b)
		b = append(b, make([]byte, 8+4*128)...)
		binary.NativeEndian.PutUint32(b[at+4:], 4) // room for so many
		level := endpoint.IPPROTO_IP
		if netip.MustParseAddr(m.group).Is6() {
			level = endpoint.IPPROTO_IPV6
		}
		if _, err := k.s.net.getsockopt(k.h, level, endpoint.MCAST_MSFILTER, b); err != nil {
			return errText(err)
		}
		text := []string{"all but"}
		if binary.NativeEndian.Uint32(b[at:]) == endpoint.MCAST_INCLUDE {
			text[0] = "none but"
		}
		n := int(binary.NativeEndian.Uint32(b[at+4:]))
		for i := range min(n, 4) {
			s := b[at+8+i*128:]
			if level == endpoint.IPPROTO_IP {
				text = append(text, netip.AddrFrom4([4]byte(s[4:8])).String())
			} else {
				text = append(text, netip.AddrFrom16([16]byte(s[8:24])).String())
			}
		}
		return strings.Join(append(text, fmt.Sprintf("(%d)", n)), " ")
	})
}

// setFilter writes it.
func (k *sock) setFilter(m membership, mode int, sources ...string) {
	k.on(fmt.Sprintf("filter of %v = %d %v", m, mode, sources), func() string {
		b := append(indexWord(m.index), storage(m.group)...)
		b = append(append(b, intBytes(mode)...), intBytes(len(sources))...)
		for _, s := range sources {
			b = append(b, storage(s)...)
		}
		level := endpoint.IPPROTO_IP
		if netip.MustParseAddr(m.group).Is6() {
			level = endpoint.IPPROTO_IPV6
		}
		return errText(k.s.net.setsockopt(k.h, level, endpoint.MCAST_MSFILTER, b))
	})
}

const (
	groupA, groupB   = "239.1.1.1", "239.1.1.2"
	groupC, groupD   = "ff05::1:1", "ff05::1:2"
	nowhere, nobody6 = "198.51.100.9", "2001:db8:ffff::9"
)

// groupSequences join and leave groups, in all ways, on sockets of every type. An
// interface is named by index 1, which is lo.
func groupSequences() (qs []sequence) {
	for _, k := range []struct {
		name    string
		af, typ int
	}{
		{"tcp4", endpoint.AF_INET, endpoint.SOCK_STREAM},
		{"udp4", endpoint.AF_INET, endpoint.SOCK_DGRAM},
		{"tcp6", endpoint.AF_INET6, endpoint.SOCK_STREAM},
		{"udp6", endpoint.AF_INET6, endpoint.SOCK_DGRAM},
	} {
		qs = append(qs, over("groups/"+k.name, k.af, k.typ, groupsOf4)...)
		if k.af == endpoint.AF_INET6 {
			qs = append(qs, over("groups/"+k.name, k.af, k.typ, groupsOf6)...)
		}
	}
	return qs
}

var groupsOf4 = []sequence{
	{name: "join and leave", run: func(s *script) {
		a := s.own("a")
		a.group(ipDropMember, membership{group: "192.0.2.9"})
		a.group(ipDropMember, membership{group: nowhere})
		a.group(ipDropMember, membership{group: "127.0.0.1"})
		a.group(ipDropMember, membership{group: nowhere, index: 1})
		a.group(ipDropMember, membership{group: nowhere, by: own4})
		a.group(ipDropMember, membership{group: groupA})
		a.group(ipDropMember, membership{group: groupA, index: 1})
		a.group(ipDropMember, membership{group: groupA, index: 77})
		a.group(ipDropMember, membership{group: groupA, by: nowhere})
		a.group(ipDropMember, membership{group: groupA, by: own4})
		a.group(ipAddMember, membership{group: nowhere})
		a.group(ipAddMember, membership{group: groupA})
		a.group(ipAddMember, membership{group: groupA, by: nowhere})
		a.group(ipAddMember, membership{group: groupA, index: 77})
		a.group(ipAddMember, membership{group: groupA, by: own4})
		a.group(ipAddMember, membership{group: groupA, by: own4})
		a.group(ipAddMember, membership{group: groupA, index: 1})
		a.group(ipDropMember, membership{group: groupA, by: "127.0.0.1"})
		a.group(ipDropMember, membership{group: groupA, index: 1})
		a.group(ipDropMember, membership{group: groupA, index: 1})
		a.group(ipDropMember, membership{group: groupA, by: own4})
		a.group(ipAddMember, membership{group: groupB, by: own4})
		a.group(ipDropMember, membership{group: groupB})
		a.group(mcJoin, membership{group: groupA, index: 1})
		a.group(mcJoin, membership{group: groupA, index: 1})
		a.group(mcJoin, membership{group: groupA})
		a.group(mcJoin, membership{group: nowhere, index: 1})
		a.group(mcLeave, membership{group: groupB, index: 1})
		a.group(mcLeave, membership{group: nowhere})
		a.group(mcLeave, membership{group: groupA})
		a.group(mcLeave, membership{group: groupA, index: 1})
		a.close()
		a.group(mcJoin, membership{group: groupA, index: 1})
	}},
	{name: "sources", run: func(s *script) {
		a := s.own("a")
		here, there := "192.0.2.7", "192.0.2.8"
		a.group(ipBlock, membership{group: groupA, by: own4, source: here})
		a.group(ipUnblock, membership{group: groupA, by: own4, source: here})
		a.group(ipDropSource, membership{group: groupA, by: own4, source: here})
		a.group(ipAddSource, membership{group: groupA, source: here})
		a.group(ipAddSource, membership{group: nowhere, by: own4, source: here})
		a.group(ipAddSource, membership{group: groupA, by: own4, source: here})
		a.group(ipAddSource, membership{group: groupA, by: own4, source: here})
		a.group(ipAddSource, membership{group: groupA, by: own4, source: there})
		a.group(ipBlock, membership{group: groupA, by: own4, source: here})
		a.group(ipDropMember, membership{group: groupA, index: 1})
		a.group(ipDropSource, membership{group: groupA, by: own4, source: here})
		a.group(ipDropSource, membership{group: groupA, by: own4, source: here})
		a.group(ipDropSource, membership{group: groupA, by: own4, source: there})
		a.group(ipDropSource, membership{group: groupA, by: own4, source: there})
	}},
	{name: "sources by index", run: func(s *script) {
		a := s.own("a")
		here, there := "127.0.0.7", "127.0.0.8"
		on := membership{group: groupA, index: 1}
		from := func(source string) membership { return membership{group: groupA, index: 1, source: source} }
		a.filter(on)
		a.setFilter(on, endpoint.MCAST_INCLUDE, here)
		a.setFilter(on, endpoint.MCAST_INCLUDE)
		a.setFilter(on, endpoint.MCAST_EXCLUDE)
		a.group(mcBlock, from(here))
		a.group(mcJoinSource, membership{group: groupA, source: here})
		a.group(mcJoinSource, from(here))
		a.filter(on)
		a.group(mcJoinSource, from(there))
		a.filter(on)
		a.group(mcJoin, on)
		a.group(mcBlock, from(there))
		a.group(mcLeaveSource, from(here))
		a.filter(on)
		a.setFilter(on, endpoint.MCAST_EXCLUDE, here, there)
		a.filter(on)
		a.group(mcUnblock, from(here))
		a.group(mcUnblock, from(here))
		a.filter(on)
		a.group(mcBlock, from(here))
		a.group(mcJoinSource, from(here))
		a.setFilter(on, 7)
		a.setFilter(on, endpoint.MCAST_INCLUDE, here)
		a.group(mcLeaveSource, from(here))
		a.filter(on)
		a.group(mcJoin, on)
		a.group(mcBlock, from(here))
		a.group(mcUnblock, from(here))
		a.filter(on)
		a.group(mcJoinSource, from(here))
		a.setFilter(on, endpoint.MCAST_EXCLUDE)
		a.group(mcJoinSource, from(here))
		a.filter(on)
		a.setFilter(on, endpoint.MCAST_INCLUDE)
		a.filter(on)
		a.filter(membership{group: nowhere, index: 1})
		a.filter(membership{group: groupA, index: 77})
		a.filter(membership{group: groupA})
	}},
}

var groupsOf6 = []sequence{
	{name: "join and leave, IPv6", run: func(s *script) {
		a := s.own("a")
		a.group(ipv6Leave, membership{group: nobody6})
		a.group(ipv6Leave, membership{group: nobody6, index: 1})
		a.group(ipv6Leave, membership{group: groupC})
		a.group(ipv6Leave, membership{group: groupC, index: 1})
		a.group(ipv6Leave, membership{group: groupC, index: 77})
		a.group(ipv6Join, membership{group: nobody6, index: 1})
		a.group(ipv6Join, membership{group: groupC, index: 77})
		a.group(ipv6Join, membership{group: groupC, index: 1})
		a.group(ipv6Join, membership{group: groupC, index: 1})
		a.group(ipv6Leave, membership{group: groupC, index: 1})
		a.group(ipv6Leave, membership{group: groupC, index: 1})
		a.group(ipv6Join, membership{group: groupD, index: 1})
		a.group(ipv6Leave, membership{group: groupD})
		a.group(mcJoin, membership{group: groupC, index: 1})
		a.group(mcJoin, membership{group: groupC, index: 1})
		a.group(mcJoin, membership{group: nobody6, index: 1})
		a.group(mcLeave, membership{group: groupD, index: 1})
		a.group(mcLeave, membership{group: nobody6, index: 1})
		a.group(mcLeave, membership{group: groupC, index: 1})
	}},
	{name: "sources, IPv6", run: func(s *script) {
		a := s.own("a")
		here, there := "2001:db8::7", "2001:db8::8"
		on := membership{group: groupC, index: 1}
		from := func(source string) membership { return membership{group: groupC, index: 1, source: source} }
		a.filter(on)
		a.setFilter(on, endpoint.MCAST_INCLUDE, here)
		a.setFilter(on, endpoint.MCAST_INCLUDE)
		a.setFilter(on, endpoint.MCAST_EXCLUDE)
		a.group(mcBlock, from(here))
		a.group(mcLeaveSource, from(here))
		a.group(mcJoinSource, from(here))
		a.filter(on)
		a.group(mcJoinSource, from(there))
		a.filter(on)
		a.group(mcJoin, on)
		a.group(mcBlock, from(there))
		a.group(mcLeaveSource, from(here))
		a.filter(on)
		a.setFilter(on, endpoint.MCAST_EXCLUDE, here, there)
		a.filter(on)
		a.group(mcUnblock, from(here))
		a.group(mcUnblock, from(here))
		a.filter(on)
		a.group(mcBlock, from(here))
		a.group(mcJoinSource, from(here))
		a.setFilter(on, 7)
		a.setFilter(on, endpoint.MCAST_INCLUDE, here)
		a.group(mcLeaveSource, from(here))
		a.filter(on)
		a.group(mcJoin, on)
		a.group(mcBlock, from(here))
		a.group(mcUnblock, from(here))
		a.filter(on)
		a.group(mcJoinSource, from(here))
		a.setFilter(on, endpoint.MCAST_EXCLUDE)
		a.group(mcJoinSource, from(here))
		a.filter(on)
		a.setFilter(on, endpoint.MCAST_INCLUDE)
		a.filter(on)
		a.filter(membership{group: nobody6, index: 1})
		a.filter(membership{group: groupC, index: 77})
	}},
}
