package inet

import (
	"encoding/binary"
	"fmt"

	"usersock/stack/endpoint"
)

// rawScenarios are those of the sockets that have no port, and of UDP-Lite.
var rawScenarios = []scenario{
	{name: "UDP-Lite", run: func(l *lab) {
		open := func() *labSocket { return l.proto(l.af, endpoint.SOCK_DGRAM, endpoint.IPPROTO_UDPLITE) }
		a, b := open(), open()
		check(l.t, b.Bind(inet(l.ip, 0)))
		read := func(label string, s *labSocket, option int) {
			var v [4]byte
			_, err := s.Option(endpoint.SOL_UDPLITE, option, v[:])
			l.note(label, "%x %s", v, name(err))
		}
		read("send coverage", a, endpoint.UDPLITE_SEND_CSCOV)
		read("recv coverage", b, endpoint.UDPLITE_RECV_CSCOV)
		sent := func(label string, size int) {
			a.noteSend(label, size, 0, b.addr())
			b.noteRecv(label+" got", 100, 0)
		}
		sent("default", 20)
		for _, v := range []int{0, 3, 8, 12, 20, 70000, -1} {
			l.err(fmt.Sprintf("set %d", v), a.setInt(endpoint.SOL_UDPLITE, endpoint.UDPLITE_SEND_CSCOV, v))
			read(fmt.Sprintf("set %d is", v), a, endpoint.UDPLITE_SEND_CSCOV)
			sent(fmt.Sprintf("coverage %d", v), 20)
		}
		check(l.t, a.setInt(endpoint.SOL_UDPLITE, endpoint.UDPLITE_SEND_CSCOV, 12))
		for _, v := range []int{12, 13, 0} {
			l.err(fmt.Sprintf("accept %d", v), b.setInt(endpoint.SOL_UDPLITE, endpoint.UDPLITE_RECV_CSCOV, v))
			sent(fmt.Sprintf("accepts %d", v), 20)
		}
		udp := l.datagram()
		l.err("not of UDP", udp.setInt(endpoint.SOL_UDPLITE, endpoint.UDPLITE_SEND_CSCOV, 8))
		l.err("apart from UDP", udp.Bind(b.addr()))
		l.err("level of UDP", a.setInt(endpoint.SOL_UDP, endpoint.UDPLITE_SEND_CSCOV, 0))
		closed := l.closedPort(endpoint.SOCK_DGRAM)
		check(l.t, a.Connect(closed))
		a.noteSend("nobody", 9, 0)
		a.await(endpoint.Err)
		a.noteError("refused")
	}},
	{name: "ping", run: func(l *lab) {
		proto := l.pick(endpoint.IPPROTO_ICMP, endpoint.IPPROTO_ICMPV6)
		s := l.proto(l.af, endpoint.SOCK_DGRAM, proto)
		request := []byte{byte(l.pick(8, 128)), 0, 0, 0, 9, 9, 0, 1, 'd', 'a', 't', 'a'}
		send := func(label string, b []byte, flags int) {
			n, err := s.Send(endpoint.Message{Bufs: [][]byte{b[:1], b[1:]}, To: inet(l.ip, 0), Flags: flags})
			l.note(label, "%d %s", n, name(err))
		}
		l.note("fresh", "%s", host(s.LocalAddr()))
		s.noteSend("no peer", 12, 0)
		send("short", request[:7], 0)
		send("reply", []byte{byte(l.pick(0, 129)), 0, 0, 0, 0, 0, 0, 0}, 0)
		send("code", []byte{request[0], 1, 0, 0, 0, 0, 0, 0}, 0)
		send("oob", request, endpoint.MSG_OOB)
		send("request", request, 0)
		l.note("bound", "%s", host(s.LocalAddr()))
		s.await(endpoint.In)
		b := make([]byte, 100)
		r, err := s.Recv(endpoint.RecvRequest{Bufs: [][]byte{b}})
		id := binary.BigEndian.Uint16(b[4:]) == s.addr().Port
		l.note("reply", "%d %s from %s type %d, %v, %x", r.N, name(err), host(r.From, nil), b[0], id, b[6:12])
		l.err("bind again", s.Bind(inet(l.ip, 7)))
		t := l.proto(l.af, endpoint.SOCK_DGRAM, proto)
		l.err("bind", t.Bind(inet(l.ip, 4711)))
		u := l.proto(l.af, endpoint.SOCK_DGRAM, proto)
		l.err("identifier in use", u.Bind(inet(l.ip, 4711)))
		l.err("foreign", u.Bind(inet(l.foreign(), 0)))
		l.err("connect", u.Connect(inet(l.ip, 0)))
		n, err := u.Send(endpoint.Message{Bufs: [][]byte{request}})
		l.note("connected", "%d %s", n, name(err))
		l.note("peer", "%s", host(u.PeerAddr()))
		_, err = l.opener(l.af, endpoint.SOCK_DGRAM, l.pick(endpoint.IPPROTO_ICMPV6, endpoint.IPPROTO_ICMP))
		l.err("the other's", err)
	}},
	{name: "raw", run: func(l *lab) {
		_, err := l.opener(l.af, endpoint.SOCK_RAW, 0)
		l.err("no protocol", err)
		raw := func(proto int) *labSocket { return l.proto(l.af, endpoint.SOCK_RAW, proto) }
		s := raw(endpoint.IPPROTO_UDP)
		l.note("fresh", "%s", host(s.LocalAddr()))
		u, v := l.datagram(), l.datagram()
		check(l.t, u.Bind(inet(l.ip, 0)))
		check(l.t, v.Bind(inet(l.ip, 0)))
		v.noteSend("udp", 5, 0, u.addr())
		shape := func(label string, s *labSocket) {
			b := make([]byte, 200)
			r, err := s.Recv(endpoint.RecvRequest{Bufs: [][]byte{b}})
			if err != nil {
				l.err(label, err)
				return
			}
			from := host(r.From, nil)
			if l.four() {
				// Without identification and checksum.
				copy(b[4:6], []byte{0, 0})
				copy(b[10:12], []byte{0, 0})
				l.note(label, "%d from %s header %x", r.N, from, b[:20])
				return
			}
			l.note(label, "%d from %s", r.N, from)
		}
		shape("copy", s)
		u.noteRecv("and the socket's", 9, 0)
		s.noteSend("no peer", 5, 0)
		l.err("bind elsewhere", s.Bind(inet(l.foreign(), 0)))
		l.err("bind", s.Bind(inet(l.ip, 77)))
		l.note("bound", "%s", host(s.LocalAddr()))
		l.err("bind once more", s.Bind(inet(l.ip, 0)))
		l.err("connect", s.Connect(inet(l.ip, 0)))
		l.err("bind connected", s.Bind(inet(l.ip, 0)))
		l.note("peer", "%s", host(s.PeerAddr()))
		v.noteSend("udp again", 6, 0, u.addr())
		shape("from the peer", s)

		// Any protocol, sent and received; more than a packet holds.
		e, f := raw(200), raw(200)
		e.noteSend("experiment", 30, 0, inet(l.ip, 0))
		shape("received", f)
		e.noteSend("with a port", 30, 0, inet(l.ip, 80))
		e.noteSend("fragments", 3000, 0, inet(l.ip, 0))
		f.await(endpoint.In)
		f.noteRecv("second", 5000, 0)
		f.noteRecv("reassembled", 5000, 0)
		f.noteRecv("no more", 5000, 0)
		e.noteSend("65536", 65536, 0, inet(l.ip, 0))
		e.noteSend("oob", 1, endpoint.MSG_OOB, inet(l.ip, 0))
		send := raw(endpoint.IPPROTO_RAW)
		send.noteRecv("sends only", 9, 0)
		if l.four() {
			packet := make([]byte, 25)
			copy(packet, []byte{0x45, 0x10, 0, 0, 0, 0, 0, 0, 33, 200, 0, 0})
			copy(packet[16:], l.ip.AsSlice())
			n, err := send.Send(endpoint.Message{Bufs: [][]byte{packet}, To: inet(l.ip, 0)})
			l.note("own header", "%d %s", n, name(err))
			f.await(endpoint.In)
			shape("own header received", f)
			n, err = send.Send(endpoint.Message{Bufs: [][]byte{packet[:19]}, To: inet(l.ip, 0)})
			l.note("short header", "%d %s", n, name(err))
			n, err = send.Send(endpoint.Message{Bufs: [][]byte{append(packet, make([]byte, 1500)...)}, To: inet(l.ip, 0)})
			l.note("longer than the link", "%d %s", n, name(err))
		}
	}},
	{name: "raw ICMP", run: func(l *lab) {
		proto := l.pick(endpoint.IPPROTO_ICMP, endpoint.IPPROTO_ICMPV6)
		s := l.proto(l.af, endpoint.SOCK_RAW, proto)
		level := l.pick(endpoint.SOL_RAW, endpoint.SOL_ICMPV6)
		b := make([]byte, 40)
		n, err := s.Option(level, 1, b)
		l.note("filter", "%x %s", b[:n], name(err))
		filter := make([]byte, l.pick(4, 32))
		for i := range filter {
			filter[i] = 0xff
		}
		filter[l.pick(0, 16)] = 0xfe // echo replies (0), echo requests (128)
		if !l.four() {
			filter[16] = 0xfd // echo replies (129)
		}
		l.err("set", s.SetOption(level, 1, filter))
		n, err = s.Option(level, 1, b)
		l.note("set filter", "%x %s", b[:n], name(err))
		request := []byte{byte(l.pick(8, 128)), 0, 0, 0, 0x12, 0x34, 0, 1}
		if l.four() {
			binary.BigEndian.PutUint16(request[2:], ^uint16(0x0800+0x1234+1))
		}
		n, err = s.Send(endpoint.Message{Bufs: [][]byte{request}, To: inet(l.ip, 0)})
		l.note("request", "%d %s", n, name(err))
		s.await(endpoint.In)
		r, err := s.Recv(endpoint.RecvRequest{Bufs: [][]byte{b}})
		at := l.pick(20, 0)
		l.note("reply alone", "%d %s type %d", r.N, name(err), b[at])
		s.noteRecv("no more", 100, 0)
		l.err("short filter", s.SetOption(level, 1, []byte{0}))
		n, err = s.Option(level, 1, b)
		l.note("short filter is", "%x %s", b[:n], name(err))
		udp := l.proto(l.af, endpoint.SOCK_RAW, endpoint.IPPROTO_UDP)
		l.err("not of UDP", udp.SetOption(level, 1, filter))
		_, err = udp.Option(level, 1, b)
		l.err("not read of UDP", err)
		l.err("not of a datagram socket", l.datagram().SetOption(level, 1, filter))
		if !l.four() {
			l.err("checksum of ICMPv6", s.setInt(endpoint.IPPROTO_IPV6, endpoint.IPV6_CHECKSUM, 2))
			for _, v := range []int{6, 5, -2, 0} {
				l.err(fmt.Sprintf("checksum %d", v), udp.setInt(endpoint.IPPROTO_IPV6, endpoint.IPV6_CHECKSUM, v))
				n, err = udp.Option(endpoint.IPPROTO_IPV6, endpoint.IPV6_CHECKSUM, b[:4])
				l.note(fmt.Sprintf("checksum %d is", v), "%x %s", b[:n], name(err))
			}
			check(l.t, udp.setInt(endpoint.IPPROTO_IPV6, endpoint.IPV6_CHECKSUM, 6))
			d := l.datagram()
			check(l.t, d.Bind(inet(l.ip, 0)))
			packet := make([]byte, 12)
			binary.BigEndian.PutUint16(packet, 4000)
			binary.BigEndian.PutUint16(packet[2:], d.addr().Port)
			packet[5] = 12
			n, err = udp.Send(endpoint.Message{Bufs: [][]byte{packet}, To: inet(l.ip, 0)})
			l.note("with a checksum", "%d %s", n, name(err))
			d.await(endpoint.In)
			d.noteRecv("taken by UDP", 9, 0)
			udp.noteSend("too short for it", 7, 0, inet(l.ip, 0))
		}
	}},
	{name: "raw errors", run: func(l *lab) {
		// Nobody serves protocol 253: an ICMP error comes back.
		s := l.proto(l.af, endpoint.SOCK_RAW, 254)
		check(l.t, s.setInt(l.level(), l.pick(endpoint.IP_RECVERR, endpoint.IPV6_RECVERR), 1))
		u := l.proto(l.af, endpoint.SOCK_RAW, endpoint.IPPROTO_UDP)
		check(l.t, u.setInt(l.level(), l.pick(endpoint.IP_RECVERR, endpoint.IPV6_RECVERR), 1))
		d := l.datagram()
		d.noteSend("udp to nobody", 7, 0, l.closedPort(endpoint.SOCK_DGRAM))
		u.await(endpoint.Err)
		u.noteReady("told")
		u.noteError("pending")
		b := make([]byte, 100)
		r, err := u.Recv(endpoint.RecvRequest{Bufs: [][]byte{b}, Flags: endpoint.MSG_ERRQUEUE, Control: true})
		l.note("error", "%d %s from %s %x", r.N, name(err), host(r.From, nil), r.Control)
	}},
}
