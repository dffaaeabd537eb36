package differ

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"usersock/stack/endpoint"
)

// ipOption is an option that both versions of IP have, by the number of each.
func (s *script) ipOption(name4 string, number4 int, name6 string, number6 int) option {
	if s.af == endpoint.AF_INET6 {
		return option{name6, endpoint.IPPROTO_IPV6, number6}
	}
	return option{name4, endpoint.IPPROTO_IP, number4}
}

func (s *script) recvErr() option {
	return s.ipOption("IP_RECVERR", endpoint.IP_RECVERR, "IPV6_RECVERR", endpoint.IPV6_RECVERR)
}

func (s *script) mtuDiscover() option {
	return s.ipOption("IP_MTU_DISCOVER", endpoint.IP_MTU_DISCOVER, "IPV6_MTU_DISCOVER", endpoint.IPV6_MTU_DISCOVER)
}

// packetInfo is struct in_pktinfo, or in6_pktinfo, as an item.
func (s *script) packetInfo(index int, ip netip.Addr) item {
	if s.af == endpoint.AF_INET6 {
		a := ip.As16()
		return item{level: endpoint.IPPROTO_IPV6, typ: endpoint.IPV6_PKTINFO, data: append(a[:], intBytes(index)...)}
	}
	return item{level: endpoint.IPPROTO_IP, typ: endpoint.IP_PKTINFO, data: append(append(intBytes(index), ip.AsSlice()...), 0, 0, 0, 0)}
}

// short is an item without its last bytes.
func (it item) short(n int) item {
	it.data = it.data[:n]
	return it
}

// ancillarySequences are about the ancillary data and the error queue of
// datagrams.
var ancillarySequences = []sequence{
	{name: "source and interface of one datagram", run: func(s *script) {
		a, b, told := s.teller()
		other := s.lo(0).IP
		if s.af == endpoint.AF_INET {
			other = netip.MustParseAddr("127.0.0.9")
		}
		told("source", s.packetInfo(0, other))
		told("source and interface", s.packetInfo(1, other))
		told("interface", s.packetInfo(1, s.any(0).IP))
		told("no interface", s.packetInfo(77, s.any(0).IP))
		told("neither", s.packetInfo(0, s.any(0).IP))
		told("foreign source", s.packetInfo(0, s.foreign(0).IP))
		told("short", s.packetInfo(0, other).short(8))
		told("a little short", s.packetInfo(0, other).short(16-4*len(other.AsSlice())/16))
		a.sendto("as before", s.lo(b.addr().Port), 0)
		b.recvmsg([]int{9}, space, 0)
	}},
	{name: "class and hops of one datagram", run: func(s *script) {
		a, b, told := s.teller()
		level, hops, class := endpoint.IPPROTO_IP, endpoint.IP_TTL, endpoint.IP_TOS
		if s.af == endpoint.AF_INET6 {
			level, hops, class = endpoint.IPPROTO_IPV6, endpoint.IPV6_HOPLIMIT, endpoint.IPV6_TCLASS
		}
		told("class", item{level: level, typ: class, data: intBytes(0x48)})
		told("class of one byte", item{level: level, typ: class, data: []byte{0x20}})
		told("class of two bytes", item{level: level, typ: class, data: []byte{1, 0}})
		told("hops", item{level: level, typ: hops, data: intBytes(7)})
		told("hops of one byte", item{level: level, typ: hops, data: []byte{7}})
		told("both", item{level: level, typ: hops, data: intBytes(9)}, item{level: level, typ: class, data: intBytes(0x20)})
		told("twice", item{level: level, typ: hops, data: intBytes(9)}, item{level: level, typ: hops, data: intBytes(8)})
		a.set(s.ipOption("IP_TTL", endpoint.IP_TTL, "IPV6_UNICAST_HOPS", endpoint.IPV6_UNICAST_HOPS), 33)
		a.set(s.ipOption("IP_TOS", endpoint.IP_TOS, "IPV6_TCLASS", endpoint.IPV6_TCLASS), 0x48)
		a.sendto("options", s.lo(b.addr().Port), 0)
		b.recvmsg([]int{9}, space, 0)
	}},
	{name: "items that are none", run: func(s *script) {
		_, _, told := s.teller()
		told("of the level", item{level: s.recvErr().level, typ: 99, data: intBytes(7)})
		told("of the socket", item{level: endpoint.SOL_SOCKET, typ: 99, data: intBytes(7)})
		told("of a level that is none", item{level: 77, typ: 1, data: intBytes(7)})
	}},
	{name: "timestamps", run: func(s *script) {
		a, b := s.datagram("a"), s.receiver("b")
		to := b.addr()
		a.sendto("none", to, 0)
		b.recvmsg([]int{9}, space, 0)
		b.set(soTimestamp, 1)
		a.sendto("micro", to, 0)
		b.recvmsg([]int{9}, space, 0)
		b.set(option{"SO_TIMESTAMPNS", endpoint.SOL_SOCKET, endpoint.SO_TIMESTAMPNS}, 1)
		b.get(soTimestamp)
		a.sendto("nano", to, 0)
		b.recvmsg([]int{9}, space, 0)
		b.set(soTimestamp, 0)
		a.sendto("none", to, 0)
		b.recvmsg([]int{9}, space, 0)
	}},
	{name: "error queue", run: func(s *script) {
		closed := s.closedPort(endpoint.SOCK_DGRAM)
		a := s.datagram("a")
		a.set(s.recvErr(), 1)
		a.recv(9, errq)
		a.sendto("twelve bytes", closed, 0)
		a.recvmsg([]int{100}, space, errq|peek)
		a.recvmsg([]int{100}, space, errq)
		a.errno()
		a.sendto("again", closed, 0)
		a.errno()
		a.recvmsg([]int{3}, space, errq)
		a.recvmsg([]int{3}, space, errq)
	}},
	{name: "two errors in the queue", run: func(s *script) {
		closed := s.closedPort(endpoint.SOCK_DGRAM)
		a := s.datagram("a")
		a.set(s.recvErr(), 1)
		a.sendto("one", closed, 0)
		a.sendto("is told of the first", closed, 0)
		a.sendto("two", closed, 0)
		a.recv(9, 0)
		a.recvmsg([]int{100}, space, errq)
		a.errno()
		a.recvmsg([]int{100}, 20, errq)
		a.recvmsg([]int{100}, space, errq)
	}},
	{name: "the error queue is turned off", run: func(s *script) {
		closed := s.closedPort(endpoint.SOCK_DGRAM)
		a := s.datagram("a")
		a.set(s.recvErr(), 1)
		a.connect(closed)
		a.send("x", 0)
		a.set(s.recvErr(), 0)
		a.recv(9, errq)
		a.errno()
		b := s.datagram("b")
		b.sendto("unasked", closed, 0)
		b.recv(9, errq)
		b.errno()
	}},
	{name: "longer than the link", run: func(s *script) {
		a := s.datagram("a")
		mtu := s.ipOption("IP_MTU", endpoint.IP_MTU, "IPV6_MTU", endpoint.IPV6_MTU)
		fits := 1472
		if s.af == endpoint.AF_INET6 {
			fits = 1452
		}
		to := s.filtered(9)
		a.get(mtu)
		for how := endpoint.IP_PMTUDISC_DONT; how <= endpoint.IP_PMTUDISC_OMIT; how++ {
			a.set(s.mtuDiscover(), how)
			a.sendto(strings.Repeat("x", fits), to, 0)
			a.sendto(strings.Repeat("x", fits+1), to, 0)
		}
		a.set(s.mtuDiscover(), endpoint.IP_PMTUDISC_DO)
		a.set(s.recvErr(), 1)
		a.sendto(strings.Repeat("x", 3000), to, 0)
		a.recvmsg([]int{10}, space, errq)
		a.errno()
		a.connect(to)
		a.get(mtu)
		a.send(strings.Repeat("x", 3000), 0)
		a.recvmsg([]int{10}, space, errq)
	}},
	{name: "IPV6_DONTFRAG", run: func(s *script) {
		if s.af == endpoint.AF_INET {
			return
		}
		a, to, long := s.datagram("a"), s.filtered(9), []string{strings.Repeat("x", 3000)}
		a.set(ipv6Dontfrag, 1)
		a.sendmsgTo(long, 0, to)
		a.sendmsgTo(long, 0, to, item{level: endpoint.IPPROTO_IPV6, typ: endpoint.IPV6_DONTFRAG, data: intBytes(0)})
		a.set(ipv6Dontfrag, 0)
		a.sendmsgTo(long, 0, to, item{level: endpoint.IPPROTO_IPV6, typ: endpoint.IPV6_DONTFRAG, data: intBytes(1)})
	}},
	{name: "segments", run: func(s *script) {
		segment := option{"UDP_SEGMENT", endpoint.SOL_UDP, endpoint.UDP_SEGMENT}
		a, b := s.datagram("a"), s.receiver("b")
		a.set(segment, 100)
		a.sendto(strings.Repeat("x", 250), b.addr(), 0)
		for range 4 {
			b.recv(1000, 0)
		}
		a.set(segment, 0)
		a.sendmsgTo([]string{strings.Repeat("x", 30)}, 0, b.addr(), item{level: endpoint.SOL_UDP, typ: endpoint.UDP_SEGMENT, data: []byte{10, 0}})
		for range 4 {
			b.recv(1000, 0)
		}
		a.set(segment, -1)
		a.set(segment, 65536)
		a.set(segment, 1)
		a.sendto(strings.Repeat("x", 1000), b.addr(), 0)
		a.set(segment, 2000)
		a.sendto(strings.Repeat("x", 4000), s.filtered(9), 0)
	}},
	{name: "sources of a group", run: func(s *script) {
		if s.af == endpoint.AF_INET {
			s.groupSources()
		}
	}},
	{name: "many groups", run: func(s *script) {
		if s.af == endpoint.AF_INET6 {
			return // lo does no multicast of IPv6
		}
		a := s.datagram("a")
		for i := range 21 {
			a.setBytes(named("IP_ADD_MEMBERSHIP"), []byte{224, 0, 1, byte(i), 127, 0, 0, 1})
		}
	}},
}

// teller returns a sender, a receiver that asks for all ancillary data, and
// what sends a datagram with items and receives it, if it went.
func (s *script) teller() (a, b *sock, told func(text string, items ...item)) {
	a, b = s.datagram("a"), s.datagram("b")
	b.bind(s.any(0))
	for _, o := range s.asked() {
		b.set(o, 1)
	}
	to := s.lo(b.addr().Port)
	return a, b, func(text string, items ...item) {
		a.sendmsgTo([]string{text}, 0, to, items...)
		if last := s.log[len(s.log)-1]; last.result == strconv.Itoa(len(text)) {
			b.recvmsg([]int{50}, space, 0)
		}
	}
}

// groupSources joins, blocks and leaves sources of a group, and shows each time
// which of two senders is heard.
func (s *script) groupSources() {
	group, here, there := []byte{224, 0, 0, 200}, []byte{127, 0, 0, 1}, []byte{127, 0, 0, 2}
	mreq := append(append([]byte{}, group...), here...)
	from := func(source []byte) []byte { return append(append([]byte{}, mreq...), source...) }
	r := s.datagram("r")
	r.bind(s.any(0))
	to := at("224.0.0.200", r.addr().Port)
	var senders []*sock
	for i, ip := range []string{"127.0.0.1", "127.0.0.2"} {
		k := s.datagram(fmt.Sprint("s", i+1))
		k.bind(at(ip, 0))
		k.setBytes(named("IP_MULTICAST_IF"), here)
		senders = append(senders, k)
	}
	heard := func() {
		for i, k := range senders {
			k.sendto(strings.Repeat("x", 1+i), to, 0)
			r.recv(9, 0)
		}
	}
	set := func(name string, value []byte) { r.setBytes(named(name), value) }
	all := named("IP_MULTICAST_ALL")
	r.set(all, 0)
	heard()
	set("IP_BLOCK_SOURCE", from(here))
	set("IP_ADD_MEMBERSHIP", mreq)
	heard()
	set("IP_BLOCK_SOURCE", from(there))
	set("IP_BLOCK_SOURCE", from(there))
	heard()
	set("IP_ADD_SOURCE_MEMBERSHIP", from(here))
	set("IP_UNBLOCK_SOURCE", from(there))
	set("IP_UNBLOCK_SOURCE", from(there))
	heard()
	set("IP_DROP_MEMBERSHIP", mreq)
	set("IP_ADD_SOURCE_MEMBERSHIP", from(there))
	heard()
	set("IP_ADD_MEMBERSHIP", mreq)
	set("IP_DROP_SOURCE_MEMBERSHIP", from(here))
	set("IP_DROP_SOURCE_MEMBERSHIP", from(there))
	set("IP_DROP_SOURCE_MEMBERSHIP", from(there))
	heard()
	set("IP_ADD_SOURCE_MEMBERSHIP", mreq)
	set("MCAST_JOIN_SOURCE_GROUP", groupSource(group, here))
	set("MCAST_JOIN_SOURCE_GROUP", groupSource(group, here))
	heard()
	filter := append(append(append([]byte{}, mreq...), intBytes(endpoint.MCAST_EXCLUDE)...), intBytes(1)...)
	set("IP_MSFILTER", append(append([]byte{}, filter...), here...))
	heard()
	set("IP_MSFILTER", filter)
	set("MCAST_LEAVE_SOURCE_GROUP", groupSource(group, here))
	set("MCAST_LEAVE_GROUP", groupSource(group, here)[:wordBytes+128])
	heard()
	r.set(all, 1)
	heard()
}

const wordBytes = strconv.IntSize / 8

// groupSource is struct group_source_req on interface 1.
func groupSource(group, source []byte) []byte {
	b := make([]byte, wordBytes+256)
	binary.NativeEndian.PutUint32(b, 1)
	for i, ip := range [][]byte{group, source} {
		sa := b[wordBytes+128*i:]
		binary.NativeEndian.PutUint16(sa, endpoint.AF_INET)
		copy(sa[4:], ip)
	}
	return b
}
