package differ

import (
	"net/netip"

	"usersock/stack/endpoint"
)

// acceptedSequences are about what an accepted socket tells of its connection.
var acceptedSequences = []sequence{
	{name: "accepted, over lo", af: endpoint.AF_INET6, run: func(s *script) {
		for _, on := range []string{"::", "::1", "::ffff:0.0.0.0", "::ffff:127.0.0.1"} {
			l := s.stream("l")
			l.bind(at(on, 0))
			l.get(ipv6V6only)
			l.listen(1)
			to := l.addr()
			if ip := to.IP; ip.IsUnspecified() {
				to.IP = netip.IPv6Loopback()
			} else if ip.Unmap().IsUnspecified() {
				to.IP = netip.MustParseAddr("::ffff:127.0.0.1")
			}
			c := s.stream("c")
			c.connect(to)
			a := l.accept("a")
			for _, k := range []*sock{l, c, a} {
				k.get(ipv6V6only)
				k.get(ipv6McIf)
				k.get(ipv6McHops)
				k.get(ipMcTTL)
			}
			for _, k := range []*sock{l, c, a} {
				k.close()
			}
		}
	}},
	{name: "accepted, over the wire", af: endpoint.AF_INET6, run: func(s *script) {
		for _, only := range []int{0, 1} {
			l := s.stream("l")
			l.set(ipv6V6only, only)
			l.bind(s.any(0))
			l.listen(1)
			s.opened(l)
			a := l.accept("a")
			a.get(ipv6V6only)
			a.get(ipv6McIf)
			a.get(ipv6McHops)
			a.close()
			l.close()
		}
	}},
	{name: "IPV6_V6ONLY of datagram sockets", af: endpoint.AF_INET6, typ: endpoint.SOCK_DGRAM, run: func(s *script) {
		for _, on := range []string{"::", "::1", "::ffff:127.0.0.1", nobody6} {
			a := s.own("a")
			a.get(ipv6V6only)
			a.bind(at(on, 0))
			a.get(ipv6V6only)
			a.connect(at("::ffff:127.0.0.1", 9))
			a.get(ipv6V6only)
			a.close()
		}
	}},
}
