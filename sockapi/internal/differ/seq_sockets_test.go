package differ

import (
	"encoding/binary"
	"fmt"

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
					s.step(fmt.Sprintf("socket(%s, %s, %s)", familyText(family), typeText(typ), protoText(proto)), func() string {
						return s.describe(family, typ, proto)
					})
				}
				s.socketpair("b", "c", family, typ, 0)
			}})
		}
	}
	return qs
}

// describe opens a socket and tells what it says of itself.
func (s *script) describe(family, typ, proto int) string {
	h, err := s.net.socket(family, typ, proto)
	if err != nil {
		return errText(err)
	}
	defer s.net.close(h)
	text := "ok:"
	for _, o := range []option{soDomain, soType, soProtocol} {
		var b [4]byte
		_, err := s.net.getsockopt(h, o.level, o.number, b[:])
		s.must(err)
		text += fmt.Sprintf(" %s %d", o.name, int32(binary.NativeEndian.Uint32(b[:])))
	}
	k := &sock{s: s}
	return text + " named " + k.named(s.net.getsockname(h)) + " peer " + k.named(s.net.getpeername(h)) + " " + eventsText(s.net.poll(h))
}
