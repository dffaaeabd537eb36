package differ

import (
	"usersock/stack/endpoint"
)

// socketSequences open every family with every type and the usual protocols.
func socketSequences() (qs []sequence) {
	protocols := []int{0, endpoint.IPPROTO_ICMP, endpoint.IPPROTO_TCP, endpoint.IPPROTO_UDP, endpoint.IPPROTO_ICMPV6,
		endpoint.IPPROTO_UDPLITE, endpoint.IPPROTO_RAW, -1, 256}
	for _, family := range []int{endpoint.AF_UNSPEC, endpoint.AF_UNIX, endpoint.AF_INET, endpoint.AF_INET6, 45, 1000, -1} {
		for _, typ := range []int{0, endpoint.SOCK_STREAM, endpoint.SOCK_DGRAM, endpoint.SOCK_RAW, endpoint.SOCK_RDM, endpoint.SOCK_SEQPACKET, 11, 100} {
			qs = append(qs, sequence{name: "sockets/" + familyText(family) + "/" + typeText(typ), af: family, typ: typ, run: func(s *script) {
				for _, proto := range protocols {
					a := s.open("a", family, typ, proto)
					if a.h < 0 {
						continue
					}
					a.get(soDomain)
					a.get(soType)
					a.get(soProtocol)
					a.sockname()
					a.peername()
					a.close()
				}
				s.socketpair("b", "c", family, typ, 0)
			}})
		}
	}
	return qs
}
