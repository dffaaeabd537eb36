package inet

import (
	"net/netip"

	"usersock/stack/endpoint"
)

var dualScenarios = []scenario{
	{name: "dual stack", run: func(l *lab) {
		if l.af == endpoint.AF_INET {
			return
		}
		mapped := func(a endpoint.Addr) endpoint.Addr {
			return inet(netip.AddrFrom16(lo4.As16()), a.Port)
		}
		ls := l.stream()
		check(l.t, ls.Bind(inet(l.any(), 0)))
		check(l.t, ls.Listen(4))
		c := l.open(endpoint.AF_INET, endpoint.SOCK_STREAM)
		l.err("v4 to v6", c.connect(inet(lo4, ls.addr().Port)))
		s := ls.accept()
		l.note("peername", "%s", host(s.PeerAddr()))
		l.note("sockname", "%s", host(s.LocalAddr()))
		d := l.stream()
		l.err("v6 to mapped", d.connect(mapped(ls.addr())))
		l.note("mapped sockname", "%s", host(d.LocalAddr()))
		l.note("mapped peername", "%s", host(d.PeerAddr()))

		four := l.open(endpoint.AF_INET, endpoint.SOCK_STREAM)
		l.err("v4 conflicts", four.Bind(inet(netip.IPv4Unspecified(), ls.addr().Port)))
		l.err("v4 address conflicts", four.Bind(inet(lo4, ls.addr().Port)))

		only := l.stream()
		check(l.t, only.setInt(endpoint.IPPROTO_IPV6, endpoint.IPV6_V6ONLY, 1))
		l.err("v6only to mapped", only.connect(mapped(ls.addr())))
		l.err("v6only bind mapped", only.Bind(mapped(endpoint.Addr{})))
		check(l.t, only.Bind(inet(l.any(), 0)))
		l.err("v6only after bind", only.setInt(endpoint.IPPROTO_IPV6, endpoint.IPV6_V6ONLY, 0))
		l.err("v4 beside v6only", four.Bind(inet(netip.IPv4Unspecified(), only.addr().Port)))

		m := l.stream()
		l.err("bind mapped", m.Bind(mapped(endpoint.Addr{})))
		l.note("bound mapped", "%s", host(m.LocalAddr()))
		l.err("bound mapped to v6", m.connect(inet(lo6, ls.addr().Port)))
		anyMapped := l.stream()
		l.err("bind mapped any", anyMapped.Bind(inet(netip.MustParseAddr("::ffff:0.0.0.0"), 0)))
		l.note("bound mapped any", "%s", host(anyMapped.LocalAddr()))
		um := l.datagram()
		l.err("udp bind mapped", um.Bind(mapped(endpoint.Addr{})))
		um.noteSend("udp bound mapped to v6", 1, 0, inet(lo6, 9))
		l.err("udp bound mapped connects to v6", um.Connect(inet(lo6, 9)))
		us := l.datagram()
		l.err("udp bind v6", us.Bind(inet(lo6, 0)))
		us.noteSend("udp bound v6 to mapped", 1, 0, mapped(inet(lo4, 9)))
		l.err("udp bound v6 connects to mapped", us.Connect(mapped(inet(lo4, 9))))
		six := l.stream()
		check(l.t, six.Bind(inet(lo6, 0)))
		l.err("bound v6 to mapped", six.connect(mapped(ls.addr())))

		u := l.datagram()
		check(l.t, u.Bind(inet(l.any(), 0)))
		v := l.open(endpoint.AF_INET, endpoint.SOCK_DGRAM)
		v.noteSend("udp v4 to v6", 3, 0, inet(lo4, u.addr().Port))
		u.await(endpoint.In)
		r, err := u.Recv(endpoint.RecvRequest{Bufs: [][]byte{make([]byte, 9)}})
		l.note("udp from", "%s", host(r.From, err))
		u.noteSend("udp back", 4, 0, r.From)
		v.await(endpoint.In)
		v.noteRecv("udp v4 got", 9, 0)
		uo := l.datagram()
		check(l.t, uo.setInt(endpoint.IPPROTO_IPV6, endpoint.IPV6_V6ONLY, 1))
		uo.noteSend("udp v6only to mapped", 3, 0, mapped(u.addr()))
		l.err("udp v6only connect", uo.Connect(mapped(u.addr())))
		uc := l.datagram()
		l.err("udp connect mapped", uc.Connect(mapped(u.addr())))
		l.note("udp mapped sockname", "%s", host(uc.LocalAddr()))
		l.note("udp mapped peername", "%s", host(uc.PeerAddr()))
		uc.noteSend("65508 to v4", 65508, 0)
	}},
	{name: "scope", run: func(l *lab) {
		if l.af == endpoint.AF_INET {
			return
		}
		ll := inet(netip.MustParseAddr("fe80::1"), 40009) // an ordinary user may bind it
		l.err("connect", l.stream().Connect(ll))
		l.err("bind", l.stream().Bind(ll))
		l.err("udp connect", l.datagram().Connect(ll))
		l.err("udp bind", l.datagram().Bind(ll))
		ll.Scope = 4711
		l.err("bind unknown", l.stream().Bind(ll))
	}},
}
