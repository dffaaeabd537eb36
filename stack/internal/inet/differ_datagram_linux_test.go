package inet

import (
	"fmt"
	"net/netip"

	"usersock/stack/endpoint"
)

var datagramScenarios = []scenario{
	{name: "datagrams", run: func(l *lab) {
		a, b := l.datagram(), l.datagram()
		a.noteReady("fresh")
		a.noteSend("no peer", 1, 0)
		a.noteRecv("recv", 1, 0)
		l.err("shutdown", a.Shutdown(endpoint.SHUT_RD))
		l.note("peername", "%s", host(a.PeerAddr()))
		check(l.t, b.Bind(inet(l.ip, 0)))
		a.noteSend("send", 10, 0, b.addr())
		l.note("sockname", "%s", host(a.LocalAddr()))
		l.err("bind after send", a.Bind(inet(l.ip, 0)))
		a.noteSend("empty", 0, 0, b.addr())
		b.await(endpoint.In)
		b.noteReady("data")
		b.noteRecv("errqueue", 4, endpoint.MSG_ERRQUEUE)
		b.noteRecv("peek", 4, endpoint.MSG_PEEK)
		b.noteRecv("peek nothing", 0, endpoint.MSG_PEEK)
		b.noteRecv("cut", 4, 0)
		b.await(endpoint.In)
		b.noteRecv("recv empty", 4, 0)
		b.noteRecv("no more", 4, 0)
		a.noteSend("two", 2, 0, b.addr())
		b.await(endpoint.In)
		b.noteRecv("oob recv", 4, endpoint.MSG_OOB)
		a.noteSend("other", 7, 0, b.addr())
		b.await(endpoint.In)
		b.noteRecv("into nothing", 0, 0)
		b.noteRecv("it is gone", 4, 0)
		a.noteSend("65536", 65536, 0, b.addr())
		a.noteSend("65528", 65528, 0, b.addr())
		a.noteSend("65508", 65508, 0, inet(l.ip, 9))
		a.noteSend("65507", 65507, 0, b.addr())
		b.await(endpoint.In)
		r, err := b.Recv(endpoint.RecvRequest{Bufs: [][]byte{make([]byte, 100), make([]byte, 70000)}})
		l.note("recv 65507", "%d %s", r.N, name(err))
		a.noteSend("to nowhere", 1, 0, inet(l.ip, l.closedPort(endpoint.SOCK_DGRAM).Port))
		a.noteError("not told")
		a.noteSend("oob", 1, endpoint.MSG_OOB, b.addr())
	}},
	{name: "connected datagrams", run: func(l *lab) {
		a, b, c := l.datagram(), l.datagram(), l.datagram()
		check(l.t, b.Bind(inet(l.ip, 0)))
		check(l.t, c.Bind(inet(l.ip, 0)))
		l.err("connect", a.Connect(b.addr()))
		l.note("peername", "%s", host(a.PeerAddr()))
		l.note("sockname", "%s", host(a.LocalAddr()))
		a.noteSend("send", 1, 0)
		a.noteSend("to another", 2, 0, c.addr())
		b.await(endpoint.In)
		b.noteRecv("b", 9, 0)
		c.await(endpoint.In)
		c.noteRecv("c", 9, 0)
		c.noteSend("not the peer", 3, 0, a.addr())
		b.noteSend("the peer", 4, 0, a.addr())
		a.await(endpoint.In)
		a.noteRecv("only the peer", 9, 0)
		l.err("reconnect", a.Connect(c.addr()))
		a.noteSend("send again", 5, 0)
		c.await(endpoint.In)
		c.noteRecv("c again", 9, 0)
		l.err("disconnect", a.Connect(endpoint.Addr{}))
		l.note("no peername", "%s", host(a.PeerAddr()))
		a.noteSend("no peer", 1, 0)
		l.err("disconnect again", a.Connect(endpoint.Addr{}))

		d := l.datagram()
		check(l.t, d.Connect(l.closedPort(endpoint.SOCK_DGRAM)))
		d.noteSend("to a closed port", 1, 0)
		d.await(endpoint.Err)
		d.noteReady("error")
		d.noteRecv("refused", 1, 0)
		d.noteRecv("once", 1, 0)
		d.noteSend("again", 1, 0)
		d.await(endpoint.Err)
		d.noteError("so_error")
		d.noteError("so_error once")
		d.noteSend("and again", 1, 0)
		d.await(endpoint.Err)
		d.noteSend("send is told", 1, 0)

		e := l.datagram()
		check(l.t, e.Connect(b.addr()))
		l.err("shut for reading", e.Shutdown(endpoint.SHUT_RD))
		e.noteReady("shut")
		e.noteRecv("end", 1, 0)
		e.noteSend("still sends", 1, 0)
		l.err("shut for writing", e.Shutdown(endpoint.SHUT_WR))
		e.noteReady("shut both")
		e.noteSend("no more", 1, 0)
		l.err("shut how", e.Shutdown(9))
	}, differ: map[string]string{
		"end": "who waits gets the end on Linux too; an endpoint cannot tell who waits",
	}},
	{name: "MSG_MORE", run: func(l *lab) {
		a, b := l.datagram(), l.datagram()
		check(l.t, b.Bind(inet(l.ip, 0)))
		a.noteSend("first", 3, endpoint.MSG_MORE, b.addr())
		a.noteSend("second", 4, endpoint.MSG_MORE)
		b.noteRecv("nothing yet", 100, 0)
		a.noteSend("last", 5, 0)
		b.await(endpoint.In)
		b.noteRecv("one datagram", 100, 0)
		check(l.t, a.setInt(endpoint.SOL_UDP, endpoint.UDP_CORK, 1))
		a.noteSend("corked", 3, 0, b.addr())
		a.noteSend("corked too", 3, 0, b.addr())
		b.noteRecv("held back", 100, 0)
		l.err("uncork", a.setInt(endpoint.SOL_UDP, endpoint.UDP_CORK, 0))
		b.await(endpoint.In)
		b.noteRecv("six", 100, 0)
		a.noteSend("no peer", 3, endpoint.MSG_MORE)
	}},
	{name: "broadcast", run: func(l *lab) {
		if l.af == endpoint.AF_INET6 {
			return
		}
		s := l.datagram()
		bc := inet(netip.MustParseAddr("127.255.255.255"), 9)
		s.noteSend("send", 1, 0, bc)
		l.err("connect", s.Connect(bc))
	}},
	{name: "control items", run: func(l *lab) {
		a, b := l.datagram(), l.datagram()
		check(l.t, b.Bind(inet(l.any(), 0)))
		to := inet(l.ip, b.addr().Port)
		show := func(label string, s *labSocket, request bool) {
			s.await(endpoint.In)
			r, err := s.Recv(endpoint.RecvRequest{Bufs: [][]byte{make([]byte, 9)}, Control: request})
			line := fmt.Sprintf("%d flags %#x %s", r.N, r.Flags, name(err))
			for _, c := range r.Control {
				data := fmt.Sprintf("%x", c.Data)
				if c.Level == endpoint.SOL_SOCKET {
					data = fmt.Sprintf("%d bytes", len(c.Data)) // a time
				}
				line += fmt.Sprintf(" [%d %d %s]", c.Level, c.Type, data)
			}
			l.note(label, "%s", line)
		}
		on := func(s *labSocket, level int, names ...int) {
			for _, n := range names {
				check(l.t, s.setInt(level, n, 1))
			}
		}
		a.noteSend("send", 3, 0, to)
		show("nothing asked", b, true)
		if l.af == endpoint.AF_INET {
			on(b, endpoint.SOL_IP, endpoint.IP_PKTINFO, endpoint.IP_RECVTTL, endpoint.IP_RECVTOS)
			check(l.t, a.setInt(endpoint.SOL_IP, endpoint.IP_TTL, 33))
			check(l.t, a.setInt(endpoint.SOL_IP, endpoint.IP_TOS, 0x48))
		} else {
			on(b, endpoint.SOL_IPV6, endpoint.IPV6_RECVPKTINFO, endpoint.IPV6_RECVHOPLIMIT, endpoint.IPV6_RECVTCLASS)
			check(l.t, a.setInt(endpoint.SOL_IPV6, endpoint.IPV6_UNICAST_HOPS, 33))
			check(l.t, a.setInt(endpoint.SOL_IPV6, endpoint.IPV6_TCLASS, 0x48))
		}
		a.noteSend("send again", 3, 0, to)
		show("all", b, true)
		a.noteSend("send a third", 3, 0, to)
		show("no room", b, false)
		on(b, endpoint.SOL_SOCKET, endpoint.SO_TIMESTAMP)
		a.noteSend("send a fourth", 3, 0, to)
		show("timestamp", b, true)
		on(b, endpoint.SOL_SOCKET, endpoint.SO_TIMESTAMPNS)
		a.noteSend("send a fifth", 3, 0, to)
		show("nanoseconds", b, true)

		withControl := func(label string, level, typ int, data []byte) {
			n, err := a.Send(endpoint.Message{Bufs: [][]byte{make([]byte, 2)}, To: to,
				Control: []endpoint.Control{{Level: level, Type: typ, Data: data}}})
			l.note(label, "%d %s", n, name(err))
			if err == nil {
				show(label+" got", b, true)
			}
		}
		if l.af == endpoint.AF_INET {
			withControl("ttl", endpoint.SOL_IP, endpoint.IP_TTL, intData(7))
			withControl("ttl 0", endpoint.SOL_IP, endpoint.IP_TTL, intData(0))
			withControl("ttl 256", endpoint.SOL_IP, endpoint.IP_TTL, intData(256))
			withControl("ttl short", endpoint.SOL_IP, endpoint.IP_TTL, []byte{7})
			withControl("unknown ip", endpoint.SOL_IP, 99, intData(7))
		} else {
			withControl("hops", endpoint.SOL_IPV6, endpoint.IPV6_HOPLIMIT, intData(7))
			withControl("hops -1", endpoint.SOL_IPV6, endpoint.IPV6_HOPLIMIT, intData(-1))
			withControl("hops 256", endpoint.SOL_IPV6, endpoint.IPV6_HOPLIMIT, intData(256))
			info := make([]byte, 20)
			withControl("pktinfo empty", endpoint.SOL_IPV6, endpoint.IPV6_PKTINFO, info)
			info[15] = 1
			withControl("pktinfo", endpoint.SOL_IPV6, endpoint.IPV6_PKTINFO, info)
			info[0] = 0x20
			withControl("pktinfo foreign", endpoint.SOL_IPV6, endpoint.IPV6_PKTINFO, info)
			withControl("pktinfo short", endpoint.SOL_IPV6, endpoint.IPV6_PKTINFO, info[:16])
			withControl("unknown ipv6", endpoint.SOL_IPV6, 99, intData(7))
		}
		withControl("unknown socket", endpoint.SOL_SOCKET, 99, intData(7))
		withControl("other level", 77, 1, intData(7))
	}},
	{name: "multicast", run: func(l *lab) {
		if l.af == endpoint.AF_INET6 {
			return // a kernel's loopback interface does no IPv6 multicast
		}
		group := inet(netip.MustParseAddr("224.0.0.251"), 0)
		join := []byte{224, 0, 0, 251, 127, 0, 0, 1}
		r, s := l.datagram(), l.datagram()
		check(l.t, r.Bind(inet(l.any(), 0)))
		group.Port = r.addr().Port
		l.err("join", r.SetOption(endpoint.SOL_IP, endpoint.IP_ADD_MEMBERSHIP, join))
		l.err("join again", r.SetOption(endpoint.SOL_IP, endpoint.IP_ADD_MEMBERSHIP, join))
		l.err("interface", s.SetOption(endpoint.SOL_IP, endpoint.IP_MULTICAST_IF, []byte{127, 0, 0, 1}))
		l.err("hops", s.setInt(endpoint.SOL_IP, endpoint.IP_MULTICAST_TTL, 3))
		s.noteSend("send", 4, 0, group)
		r.await(endpoint.In)
		r.noteRecv("recv", 9, 0)
		l.err("leave", r.SetOption(endpoint.SOL_IP, endpoint.IP_DROP_MEMBERSHIP, join))
		l.err("leave again", r.SetOption(endpoint.SOL_IP, endpoint.IP_DROP_MEMBERSHIP, join))
		l.err("tcp join", l.stream().SetOption(endpoint.SOL_IP, endpoint.IP_ADD_MEMBERSHIP, join))
	}},
}
