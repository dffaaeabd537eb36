package inet

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"usersock/stack/endpoint"
)

// noteAll receives once, and notes everything that came.
func (s *labSocket) noteAll(label string, size, flags int) {
	b := make([]byte, size)
	r, err := s.Recv(endpoint.RecvRequest{Bufs: [][]byte{b}, Flags: flags, Control: true})
	line := fmt.Sprintf("%d of %d flags %#x %s", r.N, r.Size, r.Flags, name(err))
	if err == nil {
		line += fmt.Sprintf(" from %s %x", host(r.From, nil), b[:min(r.N, 8)])
	}
	for _, c := range r.Control {
		line += fmt.Sprintf(" [%d %d %x]", c.Level, c.Type, c.Data)
	}
	s.l.note(label, "%s", line)
}

func (s *labSocket) noteItem(label string, to endpoint.Addr, size, level, typ int, data []byte) bool {
	n, err := s.Send(endpoint.Message{Bufs: [][]byte{make([]byte, size)}, To: to,
		Control: []endpoint.Control{{Level: level, Type: typ, Data: data}}})
	s.l.note(label, "%d %s", n, name(err))
	return err == nil
}

func (l *lab) four() bool { return l.af == endpoint.AF_INET }

// packetInfo makes struct in_pktinfo or in6_pktinfo.
func (l *lab) packetInfo(index int, ip netip.Addr) []byte {
	if l.four() {
		b := append(intData(index), ip.AsSlice()...)
		return append(b, 0, 0, 0, 0)
	}
	a := ip.As16()
	return append(a[:], intData(index)...)
}

func (l *lab) level() int {
	if l.four() {
		return endpoint.SOL_IP
	}
	return endpoint.SOL_IPV6
}

// pick returns the IPv4 name of an option, or the IPv6 one.
func (l *lab) pick(four, six int) int {
	if l.four() {
		return four
	}
	return six
}

var controlScenarios = []scenario{
	{name: "items of one datagram", run: func(l *lab) {
		a, b := l.datagram(), l.datagram()
		check(l.t, b.Bind(inet(l.any(), 0)))
		to := inet(l.ip, b.addr().Port)
		for _, o := range []int{
			l.pick(endpoint.IP_PKTINFO, endpoint.IPV6_RECVPKTINFO), l.pick(endpoint.IP_RECVTTL, endpoint.IPV6_RECVHOPLIMIT),
			l.pick(endpoint.IP_RECVTOS, endpoint.IPV6_RECVTCLASS),
		} {
			check(l.t, b.setInt(l.level(), o, 1))
		}
		send := func(label string, typ int, data []byte) {
			if a.noteItem(label, to, 3, l.level(), typ, data) {
				b.await(endpoint.In)
				b.noteAll(label+" got", 9, 0)
			}
		}
		info := l.pick(endpoint.IP_PKTINFO, endpoint.IPV6_PKTINFO)
		other := l.ip
		if l.four() {
			other = netip.MustParseAddr("127.0.0.9")
		}
		send("source", info, l.packetInfo(0, other))
		send("source and interface", info, l.packetInfo(1, other))
		send("interface", info, l.packetInfo(1, l.any()))
		send("no interface", info, l.packetInfo(77, l.any()))
		send("foreign source", info, l.packetInfo(0, l.foreign()))
		send("short", info, l.packetInfo(0, other)[:8])
		class := l.pick(endpoint.IP_TOS, endpoint.IPV6_TCLASS)
		send("class", class, intData(0x48))
		send("class of one byte", class, []byte{0x20})
		send("class 256", class, intData(256))
		send("class -1", class, intData(-1))
		send("class of two bytes", class, []byte{1, 0})
		hops := l.pick(endpoint.IP_TTL, endpoint.IPV6_HOPLIMIT)
		send("hops", hops, intData(7))
		send("hops 0", hops, intData(0))
		send("hops 256", hops, intData(256))
		a.noteSend("as before", 3, 0, to)
		b.await(endpoint.In)
		b.noteAll("as before got", 9, 0)
	}},
	{name: "error queue", run: func(l *lab) {
		closed := l.closedPort(endpoint.SOCK_DGRAM)
		recvErr := l.pick(endpoint.IP_RECVERR, endpoint.IPV6_RECVERR)
		a := l.datagram()
		check(l.t, a.setInt(l.level(), recvErr, 1))
		a.noteRecv("nothing", 9, endpoint.MSG_ERRQUEUE)
		a.noteSend("send", 12, 0, closed)
		a.await(endpoint.Err)
		a.noteReady("failed")
		a.noteAll("peek", 100, endpoint.MSG_ERRQUEUE|endpoint.MSG_PEEK)
		a.noteAll("taken", 100, endpoint.MSG_ERRQUEUE)
		a.noteReady("after")
		a.noteError("so_error after")
		a.noteSend("send again", 5, 0, closed)
		a.await(endpoint.Err)
		a.noteError("so_error first")
		a.noteReady("still in the queue")
		a.noteAll("cut", 3, endpoint.MSG_ERRQUEUE)
		a.noteSend("two", 5, 0, closed)
		a.await(endpoint.Err)
		a.noteSend("two more", 6, 0, closed) // is told of the first
		a.noteSend("two more yet", 6, 0, closed)
		a.await(endpoint.Err)
		a.noteRecv("recv is told", 9, 0)
		a.noteAll("first", 100, endpoint.MSG_ERRQUEUE)
		a.noteError("the next is pending")
		a.noteAll("second", 100, endpoint.MSG_ERRQUEUE)
		a.noteReady("empty")
		l.err("connect", a.Connect(closed))
		a.noteSend("connected", 5, 0)
		a.await(endpoint.Err)
		l.err("off", a.setInt(l.level(), recvErr, 0))
		a.noteRecv("purged", 9, endpoint.MSG_ERRQUEUE)
		a.noteError("pending still")
		b := l.datagram()
		b.noteSend("unasked", 5, 0, closed)
		b.noteReady("hears nothing")
	}},
	{name: "too long", run: func(l *lab) {
		a := l.datagram()
		to := l.closedPort(endpoint.SOCK_DGRAM)
		discover := l.pick(endpoint.IP_MTU_DISCOVER, endpoint.IPV6_MTU_DISCOVER)
		mtu := l.pick(endpoint.IP_MTU, endpoint.IPV6_MTU)
		read := func(label string) {
			var b [4]byte
			_, err := a.Option(l.level(), mtu, b[:])
			l.note(label, "%x %s", b, name(err))
		}
		read("mtu unconnected")
		for how := endpoint.IP_PMTUDISC_DONT; how <= endpoint.IP_PMTUDISC_OMIT; how++ {
			check(l.t, a.setInt(l.level(), discover, how))
			a.noteSend(fmt.Sprintf("strategy %d whole", how), l.pick(1472, 1452), 0, to)
			a.noteSend(fmt.Sprintf("strategy %d", how), 1473, 0, to)
		}
		check(l.t, a.setInt(l.level(), discover, endpoint.IP_PMTUDISC_DO))
		check(l.t, a.setInt(l.level(), l.pick(endpoint.IP_RECVERR, endpoint.IPV6_RECVERR), 1))
		a.noteSend("told in the queue", 3000, 0, to)
		a.noteReady("failed")
		a.noteAll("taken", 10, endpoint.MSG_ERRQUEUE)
		a.noteError("not so_error")
		l.err("connect", a.Connect(to))
		read("mtu")
		a.noteSend("connected", 3000, 0)
		a.noteAll("taken connected", 10, endpoint.MSG_ERRQUEUE)
		if !l.four() {
			b := l.datagram()
			check(l.t, b.setInt(endpoint.SOL_IPV6, endpoint.IPV6_DONTFRAG, 1))
			b.noteSend("dontfrag", 3000, 0, to)
			b.noteItem("dontfrag off for one", to, 3000, endpoint.SOL_IPV6, endpoint.IPV6_DONTFRAG, intData(0))
			check(l.t, b.setInt(endpoint.SOL_IPV6, endpoint.IPV6_DONTFRAG, 0))
			b.noteItem("dontfrag for one", to, 3000, endpoint.SOL_IPV6, endpoint.IPV6_DONTFRAG, intData(1))
		}
	}},
	{name: "reuse", run: func(l *lab) {
		type choice struct{ addr, port bool }
		choices := []choice{{false, false}, {true, false}, {false, true}, {true, true}}
		set := func(s *labSocket, c choice) {
			if c.addr {
				check(l.t, s.setInt(endpoint.SOL_SOCKET, endpoint.SO_REUSEADDR, 1))
			}
			if c.port {
				check(l.t, s.setInt(endpoint.SOL_SOCKET, endpoint.SO_REUSEPORT, 1))
			}
		}
		second := netip.MustParseAddr("127.0.0.2")
		if !l.four() {
			second = netip.MustParseAddr("::ffff:127.0.0.1")
		}
		ips := []netip.Addr{l.any(), l.ip, second}
		for _, first := range choices {
			for _, then := range choices {
				for i, one := range ips {
					for j, two := range ips {
						a, b := l.datagram(), l.datagram()
						set(a, first)
						set(b, then)
						check(l.t, a.Bind(inet6(l.af, one, 0)))
						l.err(fmt.Sprintf("%v %v %d %d", first, then, i, j), b.Bind(inet6(l.af, two, a.addr().Port)))
						a.close()
						b.close()
					}
				}
			}
		}
	}},
	{name: "who receives", run: func(l *lab) {
		// The newest of those that share by SO_REUSEADDR, the most exact of all.
		open := func(ip netip.Addr, port uint16) *labSocket {
			s := l.datagram()
			check(l.t, s.setInt(endpoint.SOL_SOCKET, endpoint.SO_REUSEADDR, 1))
			check(l.t, s.Bind(inet(ip, port)))
			return s
		}
		wide := open(l.any(), 0)
		port := wide.addr().Port
		older, newer := open(l.ip, port), open(l.ip, port)
		c := l.datagram()
		check(l.t, c.Bind(inet(l.ip, 0)))
		tell := func(label string) {
			c.noteSend(label, 4, 0, inet(l.ip, port))
			for i, s := range []*labSocket{wide, older, newer} {
				s.noteRecv(fmt.Sprintf("%s %d", label, i), 9, 0)
			}
		}
		tell("shared")
		check(l.t, older.Connect(c.addr()))
		tell("older connected")
		newer.close()
		check(l.t, older.Connect(inet(l.ip, 9)))
		newer = l.datagram()
		tell("connected elsewhere")
	}},
	{name: "reconnect", run: func(l *lab) {
		a, b, c := l.datagram(), l.datagram(), l.datagram()
		check(l.t, b.Bind(inet(l.ip, 0)))
		check(l.t, c.Bind(inet(l.ip, 0)))
		check(l.t, a.Bind(inet(l.any(), 0)))
		l.err("connect", a.Connect(b.addr()))
		l.note("sockname", "%s", host(a.LocalAddr()))
		l.err("again", a.Connect(c.addr()))
		l.err("disconnect", a.Connect(endpoint.Addr{}))
		l.note("sockname after", "%s", host(a.LocalAddr()))
		d := l.datagram()
		l.err("unbound connects", d.Connect(b.addr()))
		l.err("unbound disconnects", d.Connect(endpoint.Addr{}))
		l.note("unbound sockname", "%s", host(d.LocalAddr()))
		l.err("binds then", d.Bind(inet(l.ip, 0)))
		e := l.datagram()
		check(l.t, e.Bind(inet(l.ip, 0)))
		l.err("bound connects", e.Connect(b.addr()))
		l.err("bound disconnects", e.Connect(endpoint.Addr{}))
		l.note("bound sockname", "%s", host(e.LocalAddr()))
		l.err("to any", a.Connect(inet(l.any(), 9)))
		l.note("to any is", "%s", host(a.PeerAddr()))
	}},
	{name: "sources of a group", run: func(l *lab) {
		if !l.four() {
			return // a kernel's loopback interface does no IPv6 multicast
		}
		group, here, there := []byte{224, 0, 0, 200}, []byte{127, 0, 0, 1}, []byte{127, 0, 0, 2}
		mreq := append(append([]byte{}, group...), here...)
		from := func(source []byte) []byte { return append(append([]byte{}, mreq...), source...) }
		r := l.datagram()
		check(l.t, r.Bind(inet(l.any(), 0)))
		to := inet(netip.AddrFrom4([4]byte(group)), r.addr().Port)
		var senders []*labSocket
		for _, ip := range [][]byte{here, there} {
			s := l.datagram()
			check(l.t, s.Bind(inet(netip.AddrFrom4([4]byte(ip)), 0)))
			check(l.t, s.SetOption(endpoint.SOL_IP, endpoint.IP_MULTICAST_IF, here))
			senders = append(senders, s)
		}
		tell := func(label string) {
			for i, s := range senders {
				s.noteSend(fmt.Sprintf("%s send %d", label, i), 1+i, 0, to)
				r.noteRecv(fmt.Sprintf("%s from %d", label, i), 9, 0)
			}
		}
		set := func(label string, option int, value []byte) {
			l.err(label, r.SetOption(endpoint.SOL_IP, option, value))
		}
		check(l.t, r.setInt(endpoint.SOL_IP, endpoint.IP_MULTICAST_ALL, 0))
		tell("not joined")
		set("block unjoined", endpoint.IP_BLOCK_SOURCE, from(here))
		set("join", endpoint.IP_ADD_MEMBERSHIP, mreq)
		tell("joined")
		set("block", endpoint.IP_BLOCK_SOURCE, from(there))
		set("block again", endpoint.IP_BLOCK_SOURCE, from(there))
		tell("blocked")
		set("include while blocking", endpoint.IP_ADD_SOURCE_MEMBERSHIP, from(here))
		set("unblock", endpoint.IP_UNBLOCK_SOURCE, from(there))
		set("unblock again", endpoint.IP_UNBLOCK_SOURCE, from(there))
		tell("unblocked")
		set("leave", endpoint.IP_DROP_MEMBERSHIP, mreq)
		set("source", endpoint.IP_ADD_SOURCE_MEMBERSHIP, from(there))
		tell("one source")
		set("join what is joined", endpoint.IP_ADD_MEMBERSHIP, mreq)
		set("drop another", endpoint.IP_DROP_SOURCE_MEMBERSHIP, from(here))
		set("drop", endpoint.IP_DROP_SOURCE_MEMBERSHIP, from(there))
		set("drop again", endpoint.IP_DROP_SOURCE_MEMBERSHIP, from(there))
		tell("no source")
		set("short", endpoint.IP_ADD_SOURCE_MEMBERSHIP, mreq)
		req := func(source []byte) []byte { // struct group_source_req
			b := make([]byte, wordSize+256)
			binary.NativeEndian.PutUint32(b, 1)
			copy(b[wordSize:], sockaddrInBytes(group))
			copy(b[wordSize+128:], sockaddrInBytes(source))
			return b
		}
		set("join source", endpoint.MCAST_JOIN_SOURCE_GROUP, req(here))
		set("join source again", endpoint.MCAST_JOIN_SOURCE_GROUP, req(here))
		tell("by RFC 3678")
		filter := append(append(append([]byte{}, mreq...), intData(endpoint.MCAST_EXCLUDE)...), intData(1)...)
		set("filter", endpoint.IP_MSFILTER, append(filter, here...))
		tell("filtered")
		b := append(append([]byte{}, filter...), make([]byte, 12)...)
		binary.NativeEndian.PutUint32(b[12:], 3)
		n, err := r.Option(endpoint.SOL_IP, endpoint.IP_MSFILTER, b)
		l.note("filter read", "%x %s", b[:n], name(err))
		set("filter too short", endpoint.IP_MSFILTER, filter)
		set("leave source", endpoint.MCAST_LEAVE_SOURCE_GROUP, req(here))
		set("leave group", endpoint.MCAST_LEAVE_GROUP, req(here)[:wordSize+128])
		tell("gone")
		check(l.t, r.setInt(endpoint.SOL_IP, endpoint.IP_MULTICAST_ALL, 1))
		for i := range 21 {
			g := append([]byte{224, 0, 1, byte(i)}, here...)
			l.err(fmt.Sprintf("join %d", i), r.SetOption(endpoint.SOL_IP, endpoint.IP_ADD_MEMBERSHIP, g))
		}
	}},
	{name: "segments", run: func(l *lab) {
		a, b := l.datagram(), l.datagram()
		check(l.t, b.Bind(inet(l.ip, 0)))
		l.err("set", a.setInt(endpoint.SOL_UDP, endpoint.UDP_SEGMENT, 100))
		a.noteSend("send", 250, 0, b.addr())
		for i := range 4 {
			b.noteRecv(fmt.Sprintf("segment %d", i), 1000, 0)
		}
		l.err("off", a.setInt(endpoint.SOL_UDP, endpoint.UDP_SEGMENT, 0))
		a.noteItem("for one", b.addr(), 30, endpoint.SOL_UDP, endpoint.UDP_SEGMENT, []byte{10, 0})
		for i := range 4 {
			b.noteRecv(fmt.Sprintf("part %d", i), 1000, 0)
		}
		l.err("negative", a.setInt(endpoint.SOL_UDP, endpoint.UDP_SEGMENT, -1))
		l.err("too much", a.setInt(endpoint.SOL_UDP, endpoint.UDP_SEGMENT, 65536))
		check(l.t, a.setInt(endpoint.SOL_UDP, endpoint.UDP_SEGMENT, 1))
		a.noteSend("too many", 1000, 0, b.addr())
		check(l.t, a.setInt(endpoint.SOL_UDP, endpoint.UDP_SEGMENT, 2000))
		a.noteSend("longer than a packet", 4000, 0, b.addr())
	}},
}

func sockaddrInBytes(ip []byte) []byte {
	b := make([]byte, 16)
	binary.NativeEndian.PutUint16(b, endpoint.AF_INET)
	copy(b[4:], ip)
	return b
}

// inet6 is inet for addresses that are of the family already or become
// IPv4-mapped.
func inet6(af int, ip netip.Addr, port uint16) endpoint.Addr {
	return endpoint.Addr{Family: af, IP: ip, Port: port}
}
