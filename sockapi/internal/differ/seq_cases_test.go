package differ

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"usersock/stack/endpoint"
)

// caseKinds are the sockets that the option cases are played on: every kind.
var caseKinds = []struct {
	name           string
	af, typ, proto int
}{
	{"tcp4", endpoint.AF_INET, endpoint.SOCK_STREAM, 0},
	{"tcp6", endpoint.AF_INET6, endpoint.SOCK_STREAM, 0},
	{"udp4", endpoint.AF_INET, endpoint.SOCK_DGRAM, 0},
	{"udp6", endpoint.AF_INET6, endpoint.SOCK_DGRAM, 0},
	{"udplite4", endpoint.AF_INET, endpoint.SOCK_DGRAM, endpoint.IPPROTO_UDPLITE},
	{"udplite6", endpoint.AF_INET6, endpoint.SOCK_DGRAM, endpoint.IPPROTO_UDPLITE},
	{"ping4", endpoint.AF_INET, endpoint.SOCK_DGRAM, endpoint.IPPROTO_ICMP},
	{"ping6", endpoint.AF_INET6, endpoint.SOCK_DGRAM, endpoint.IPPROTO_ICMPV6},
	{"icmp4", endpoint.AF_INET, endpoint.SOCK_RAW, endpoint.IPPROTO_ICMP},
	{"icmp6", endpoint.AF_INET6, endpoint.SOCK_RAW, endpoint.IPPROTO_ICMPV6},
	{"raw4", endpoint.AF_INET, endpoint.SOCK_RAW, experiment},
	{"raw6", endpoint.AF_INET6, endpoint.SOCK_RAW, experiment},
	{"sending4", endpoint.AF_INET, endpoint.SOCK_RAW, endpoint.IPPROTO_RAW},
	{"unix-stream", endpoint.AF_UNIX, endpoint.SOCK_STREAM, 0},
	{"unix-dgram", endpoint.AF_UNIX, endpoint.SOCK_DGRAM, 0},
	{"unix-seqpacket", endpoint.AF_UNIX, endpoint.SOCK_SEQPACKET, 0},
}

// caseSequences read every option of every kind of socket as it is at first,
// and then set options, well and badly, and read them back. The options that
// are not of the socket's protocol belong to it: their errors are the same.
func caseSequences() (qs []sequence) {
	for _, k := range caseKinds {
		qs = append(qs,
			sequence{name: "cases/" + k.name + "/first values", af: k.af, typ: k.typ, run: func(s *script) {
				a := s.quietRaw(k.af, k.typ, k.proto)
				a.values(allOptions)
				if k.af == endpoint.AF_UNIX {
					a.values(unixOptions)
				}
			}},
			sequence{name: "cases/" + k.name + "/set and read", af: k.af, typ: k.typ, run: func(s *script) {
				a := s.quietRaw(k.af, k.typ, k.proto)
				for _, c := range optionCases {
					a.try(c)
				}
			}})
	}
	for _, k := range caseKinds {
		if k.af == endpoint.AF_UNIX {
			qs = append(qs, sequence{name: "cases/" + k.name + "/lives", af: k.af, typ: k.typ, run: func(s *script) {
				for _, o := range slices.Concat(allOptions, unixOptions) {
					if o.level == endpoint.SOL_SOCKET && o != named("SO_COOKIE") && o != named("SO_PEERCRED") {
						s.step("life of "+o.name, func() string { return s.life(o) })
					}
				}
			}})
		}
	}
	for _, k := range caseKinds[:2] {
		qs = append(qs, sequence{name: "cases/" + k.name + "/accepted", af: k.af, typ: k.typ, run: inherited})
	}
	return qs
}

// life is what happens to an option of a fresh socket when it is set to one
// value after the other.
func (s *script) life(o option) string {
	h, err := s.net.socket(s.af, s.typ, 0)
	s.must(err)
	k := &sock{s: s, h: h}
	defer s.quietClose(k)
	text := k.bytesOf(o, 64)
	for _, value := range [][]byte{
		{1, 0, 0}, intBytes(1), intBytes(2), intBytes(0), intBytes(7), intBytes(100_000), intBytes(-1),
		append(intBytes(1), intBytes(20_000)...), make([]byte, 8), make([]byte, 16),
	} {
		if (o == soSndbuf || o == soRcvbuf) && value[0] == 0xff {
			continue // the largest buffer is the machine's
		}
		text += fmt.Sprintf("; %x %s, %s", value, errText(s.net.setsockopt(h, o.level, o.number, value)), k.bytesOf(o, 64))
	}
	return text
}

// inherited reads every option of a socket that was accepted, by a listener
// that has many of them set.
func inherited(s *script) {
	l := s.stream("l")
	for _, o := range []struct {
		name string
		v    int
	}{
		{"SO_REUSEADDR", 1}, {"SO_REUSEPORT", 1}, {"SO_KEEPALIVE", 1}, {"SO_SNDBUF", 30000}, {"SO_RCVBUF", 40000}, {"SO_OOBINLINE", 1}, {"SO_PRIORITY", 3},
		{"TCP_NODELAY", 1}, {"TCP_KEEPIDLE", 11}, {"TCP_KEEPINTVL", 12}, {"TCP_KEEPCNT", 3}, {"TCP_USER_TIMEOUT", 5000}, {"TCP_LINGER2", 20},
		{"IP_TTL", 44}, {"IP_MTU_DISCOVER", 0},
	} {
		l.set(named(o.name), o.v)
	}
	l.linger(1, 6)
	l.setBytes(soRcvtimeo, timeval(2, 0))
	l.setBytes(tcpCongestion, []byte("reno"))
	l.bind(s.lo(0))
	l.listen(1)
	c := s.stream("c")
	c.connect(l.addr())
	p := l.accept("p")
	p.values(allOptions, "SO_INCOMING_CPU", "IP_PROTOCOL")
	p.lengths(tcpCongestion, 16)
}

// quietRaw opens a socket. The kernel sends ICMPv6 of its own: a socket of that is
// told not to receive it.
func (s *script) quietRaw(af, typ, proto int) *sock {
	if typ == endpoint.SOCK_RAW && proto == endpoint.IPPROTO_ICMPV6 {
		return s.deaf("a", proto, named("ICMP6_FILTER"), 32)
	}
	return s.open("a", af, typ, proto)
}

// deaf opens a raw socket and sets its filter, of size bytes, to let nothing in.
// What came in between, of others, is dropped.
func (s *script) deaf(name string, proto int, filter option, size int) *sock {
	var k *sock
	s.step(fmt.Sprintf("%s = socket(%s, SOCK_RAW, %s) that receives nothing", name, familyText(s.af), protoText(proto)), func() string {
		h, err := s.net.socket(s.af, endpoint.SOCK_RAW, proto)
		s.must(err)
		buf := make([]byte, size)
		n, err := s.net.getsockopt(h, filter.level, filter.number, buf)
		s.must(err)
		s.must(s.net.setsockopt(h, filter.level, filter.number, []byte(strings.Repeat("\xff", size))))
		for err == nil {
			_, _, err = s.net.recvfrom(h, make([]byte, 1), 0)
		}
		k = s.add(name, h, false)
		return fmt.Sprintf("its filter was %x", buf[:n])
	})
	return k
}

// values reads options into a buffer that is long enough, but for those whose
// value is the machine's or the socket's own, and some more.
func (k *sock) values(options []option, without ...string) {
	without = append(without, "TCP_CONGESTION", "TCP_INFO", "SO_COOKIE")
	for _, o := range options {
		if !slices.Contains(without, o.name) {
			k.on("getsockopt("+o.name+")", func() string { return k.bytesOf(o, 64) })
		}
	}
}

func (k *sock) bytesOf(o option, size int) string {
	buf := make([]byte, size)
	n, err := k.s.net.getsockopt(k.h, o.level, o.number, buf)
	if err != nil {
		return errText(err)
	}
	if n == 4 {
		return strconv.Itoa(int(int32(binary.NativeEndian.Uint32(buf))))
	}
	return fmt.Sprintf("%d bytes %x", n, buf[:min(n, size)])
}

// An optionCase sets an option and reads it back into a buffer of room bytes.
type optionCase struct {
	option
	value []byte
	room  int
}

func (k *sock) try(c optionCase) {
	k.on(fmt.Sprintf("setsockopt(%s, %x), getsockopt(%d bytes)", c.option.name, c.value, c.room), func() string {
		set := errText(k.s.net.setsockopt(k.h, c.level, c.number, c.value))
		if c.room == 0 {
			return set // it cannot be read
		}
		return set + ", " + k.bytesOf(c.option, c.room)
	})
}

// timeval is struct timeval.
func timeval(seconds, micros int) []byte {
	if strconv.IntSize == 32 {
		return append(intBytes(seconds), intBytes(micros)...)
	}
	b := binary.NativeEndian.AppendUint64(nil, uint64(seconds))
	return binary.NativeEndian.AppendUint64(b, uint64(micros))
}

// group6 is struct ipv6_mreq of ff02::fb.
func group6(index int) []byte {
	b := make([]byte, 16)
	b[0], b[1], b[15] = 0xff, 0x02, 0xfb
	return append(b, intBytes(index)...)
}

var optionCases = []optionCase{
	{named("SO_REUSEADDR"), intBytes(7), 4},
	{named("SO_REUSEADDR"), []byte{1}, 4},
	{named("SO_REUSEADDR"), nil, 2},
	{named("SO_REUSEPORT"), intBytes(1), 4},
	{named("SO_BROADCAST"), intBytes(1), 3},
	{named("SO_KEEPALIVE"), intBytes(2), 4},
	{named("SO_OOBINLINE"), intBytes(1), 4},
	{named("SO_DONTROUTE"), intBytes(5), 4},
	{named("SO_SNDBUF"), intBytes(50000), 4},
	{named("SO_SNDBUF"), intBytes(1), 4},
	{named("SO_RCVBUF"), intBytes(50000), 4},
	{named("SO_RCVBUF"), intBytes(0), 4},
	{named("SO_TYPE"), intBytes(1), 4},
	{named("SO_ERROR"), intBytes(1), 4},
	{named("SO_ACCEPTCONN"), intBytes(1), 4},
	{named("SO_PROTOCOL"), intBytes(1), 4},
	{named("SO_DOMAIN"), intBytes(1), 4},
	{named("SO_PRIORITY"), intBytes(6), 4},
	{named("SO_LINGER"), append(intBytes(1), intBytes(5)...), 8},
	{named("SO_LINGER"), append(intBytes(0), intBytes(9)...), 8},
	{named("SO_LINGER"), intBytes(1), 6},
	{named("SO_RCVLOWAT"), intBytes(9), 4},
	{named("SO_RCVLOWAT"), intBytes(0), 4},
	{named("SO_SNDLOWAT"), intBytes(9), 4},
	{named("SO_RCVTIMEO"), timeval(3, 500000), 16},
	{named("SO_RCVTIMEO"), timeval(3, 1000000), 16},
	{named("SO_RCVTIMEO"), intBytes(3), 8},
	{named("SO_SNDTIMEO"), timeval(-1, 0), 16},
	{named("SO_BINDTODEVICE"), []byte("nosuch0\x00"), 16},
	{named("SO_BINDTODEVICE"), []byte("lo"), 16},
	{named("SO_TIMESTAMP"), intBytes(1), 4},
	{option{"no such option", endpoint.SOL_SOCKET, 9999}, intBytes(1), 4},
	{named("IP_TOS"), intBytes(0x10), 4},
	{named("IP_TOS"), []byte{0x20}, 1},
	{named("IP_TTL"), intBytes(9), 4},
	{named("IP_TTL"), []byte{77}, 1},
	{named("IP_TTL"), nil, 2},
	{named("IP_TTL"), intBytes(0), 4},
	{named("IP_TTL"), intBytes(256), 4},
	{named("IP_TTL"), intBytes(-1), 4},
	{named("IP_PKTINFO"), intBytes(1), 4},
	{named("IP_RECVTTL"), []byte{1}, 4},
	{named("IP_RECVTOS"), intBytes(3), 4},
	{named("IP_RECVERR"), intBytes(1), 4},
	{named("IP_MTU_DISCOVER"), intBytes(5), 4},
	{named("IP_MTU_DISCOVER"), intBytes(2), 4},
	{named("IP_MTU_DISCOVER"), intBytes(6), 4},
	{named("IP_MTU"), intBytes(1500), 4},
	{named("IP_FREEBIND"), intBytes(1), 4},
	{named("IP_MULTICAST_TTL"), []byte{9}, 4},
	{named("IP_MULTICAST_TTL"), intBytes(-1), 4},
	{named("IP_MULTICAST_TTL"), intBytes(256), 4},
	{named("IP_MULTICAST_LOOP"), []byte{0}, 1},
	{named("IP_MULTICAST_LOOP"), nil, 4},
	{named("IP_MULTICAST_ALL"), intBytes(0), 4},
	{named("IP_MULTICAST_ALL"), intBytes(2), 4},
	{named("IP_MULTICAST_IF"), []byte{127, 0, 0, 1}, 4},
	{named("IP_MULTICAST_IF"), []byte{127, 0}, 4},
	{named("IP_ADD_MEMBERSHIP"), []byte{192, 0, 2, 1, 127, 0, 0, 1}, 0},
	{named("IP_ADD_MEMBERSHIP"), []byte{224, 0, 0, 251}, 0},
	{named("IP_ADD_MEMBERSHIP"), []byte{224, 0, 0, 251, 127, 0, 0, 1}, 0},
	{named("IP_ADD_MEMBERSHIP"), []byte{224, 0, 0, 251, 127, 0, 0, 1}, 0},
	{named("IP_DROP_MEMBERSHIP"), []byte{224, 0, 0, 251, 127, 0, 0, 1}, 0},
	{named("IP_DROP_MEMBERSHIP"), []byte{224, 0, 0, 251, 127, 0, 0, 1}, 0},
	{named("IP_OPTIONS"), nil, 4},
	{option{"no such option", endpoint.IPPROTO_IP, 9999}, intBytes(1), 4},
	{named("IPV6_V6ONLY"), intBytes(1), 4},
	{named("IPV6_V6ONLY"), []byte{1}, 4},
	{named("IPV6_UNICAST_HOPS"), intBytes(9), 4},
	{named("IPV6_UNICAST_HOPS"), intBytes(256), 4},
	{named("IPV6_UNICAST_HOPS"), intBytes(-1), 4},
	{named("IPV6_MULTICAST_HOPS"), intBytes(4), 4},
	{named("IPV6_MULTICAST_HOPS"), intBytes(-1), 4},
	{named("IPV6_MULTICAST_LOOP"), intBytes(0), 4},
	{named("IPV6_MULTICAST_LOOP"), intBytes(2), 4},
	{named("IPV6_MULTICAST_IF"), intBytes(1), 4},
	{named("IPV6_MULTICAST_IF"), intBytes(4711), 4},
	{named("IPV6_RECVPKTINFO"), intBytes(1), 4},
	{named("IPV6_RECVHOPLIMIT"), intBytes(1), 4},
	{named("IPV6_RECVTCLASS"), intBytes(1), 4},
	{named("IPV6_TCLASS"), intBytes(0x20), 4},
	{named("IPV6_TCLASS"), intBytes(256), 4},
	{named("IPV6_TCLASS"), intBytes(-1), 4},
	{named("IPV6_MTU_DISCOVER"), intBytes(2), 4},
	{named("IPV6_MTU_DISCOVER"), intBytes(6), 4},
	{named("IPV6_DONTFRAG"), intBytes(1), 4},
	{named("IPV6_JOIN_GROUP"), make([]byte, 16), 0},
	{named("IPV6_JOIN_GROUP"), make([]byte, 20), 0},
	{named("IPV6_JOIN_GROUP"), group6(1), 0},
	{named("IPV6_JOIN_GROUP"), group6(1), 0},
	{named("IPV6_JOIN_GROUP"), group6(4711), 0},
	{named("IPV6_LEAVE_GROUP"), group6(1), 0},
	{named("IPV6_LEAVE_GROUP"), group6(1), 0},
	{named("TCP_NODELAY"), intBytes(3), 4},
	{named("TCP_NODELAY"), []byte{1}, 2},
	{named("TCP_MAXSEG"), intBytes(1000), 4},
	{named("TCP_MAXSEG"), intBytes(87), 4},
	{named("TCP_MAXSEG"), intBytes(32768), 4},
	{named("TCP_CORK"), intBytes(1), 4},
	{named("TCP_KEEPIDLE"), intBytes(60), 4},
	{named("TCP_KEEPIDLE"), intBytes(0), 4},
	{named("TCP_KEEPIDLE"), intBytes(32768), 4},
	{named("TCP_KEEPINTVL"), intBytes(10), 4},
	{named("TCP_KEEPCNT"), intBytes(5), 4},
	{named("TCP_KEEPCNT"), intBytes(128), 4},
	{named("TCP_SYNCNT"), intBytes(3), 4},
	{named("TCP_SYNCNT"), intBytes(128), 4},
	{named("TCP_LINGER2"), intBytes(30), 4},
	{named("TCP_LINGER2"), intBytes(-5), 4},
	{named("TCP_LINGER2"), intBytes(0), 4},
	{named("TCP_LINGER2"), intBytes(1000), 4},
	{named("TCP_DEFER_ACCEPT"), intBytes(1), 4},
	{named("TCP_DEFER_ACCEPT"), intBytes(5), 4},
	{named("TCP_DEFER_ACCEPT"), intBytes(50), 4},
	{named("TCP_DEFER_ACCEPT"), intBytes(-1), 4},
	{named("TCP_WINDOW_CLAMP"), intBytes(70000), 4},
	{named("TCP_WINDOW_CLAMP"), intBytes(1), 4},
	{named("TCP_WINDOW_CLAMP"), intBytes(0), 4},
	{named("TCP_QUICKACK"), intBytes(0), 4},
	{named("TCP_CONGESTION"), []byte("reno"), 16},
	{named("TCP_CONGESTION"), []byte("cubic\x00"), 3},
	{named("TCP_CONGESTION"), []byte("carrier-pigeon"), 16},
	{named("TCP_CONGESTION"), nil, 16},
	{named("TCP_USER_TIMEOUT"), intBytes(1234), 4},
	{named("TCP_USER_TIMEOUT"), intBytes(-1), 4},
	{named("TCP_THIN_DUPACK"), intBytes(1), 4},
	{named("TCP_NOTSENT_LOWAT"), intBytes(70000), 4},
	{named("SO_INCOMING_CPU"), intBytes(0), 4},
	{named("SO_SELECT_ERR_QUEUE"), intBytes(5), 4},
	{named("SO_MAX_PACING_RATE"), intBytes(9000), 8},
	{named("SO_MAX_PACING_RATE"), intBytes(-1), 4},
	{named("SO_ZEROCOPY"), intBytes(1), 4},
	{named("SO_ZEROCOPY"), intBytes(2), 4},
	{named("SO_RXQ_OVFL"), intBytes(1), 4},
	{named("IP_HDRINCL"), intBytes(1), 4},
	{named("IP_NODEFRAG"), intBytes(1), 4},
	{named("IP_MINTTL"), intBytes(9), 4},
	{named("IP_MINTTL"), intBytes(256), 4},
	{named("IP_UNICAST_IF"), []byte{0, 0, 0, 1}, 4},
	{named("IP_UNICAST_IF"), []byte{0, 0, 9, 1}, 4},
	{named("IP_UNICAST_IF"), []byte{0, 1}, 4},
	{named("IP_RECVERR_RFC4884"), intBytes(1), 4},
	{named("IP_RECVERR_RFC4884"), intBytes(2), 4},
	{named("IPV6_RECVERR_RFC4884"), intBytes(1), 4},
	{named("IPV6_RECVERR_RFC4884"), intBytes(-1), 4},
	{named("IPV6_MULTICAST_ALL"), intBytes(2), 4},
	{named("IP_MULTICAST_IF"), []byte{255, 255, 255, 255}, 4},
	{named("IP_DROP_MEMBERSHIP"), []byte{224, 0, 0, 9, 0, 0, 0, 0, 99, 0, 0, 0}, 0},
	{named("IP_DROP_MEMBERSHIP"), []byte{224, 0, 0, 9, 192, 0, 2, 77}, 0},
	{named("IPV6_LEAVE_GROUP"), []byte{0: 0xff, 1: 2, 15: 9, 16: 99, 19: 0}, 0},
	{named("IP_MSFILTER"), []byte(strings.Repeat("\xff", 24)), 0},
	{named("MCAST_MSFILTER"), make([]byte, 144), 144},
	{named("MCAST_MSFILTER"), []byte(strings.Repeat("\xff", 256)), 0},
	{named("IPv6 MCAST_MSFILTER"), make([]byte, 144), 144},
	{named("IPv6 MCAST_MSFILTER"), []byte(strings.Repeat("\xff", 256)), 0},
	{option{"no such option", endpoint.IPPROTO_TCP, 9999}, []byte{1, 2, 3}, 0},
	{named("TCP_INFO"), nil, 0},
	{named("IP_RECVFRAGSIZE"), intBytes(1), 4},
	{named("IP_ADD_SOURCE_MEMBERSHIP"), []byte{224, 0, 0, 9}, 0},
	{named("IP_ADD_SOURCE_MEMBERSHIP"), []byte{224, 0, 0, 9, 127, 0, 0, 1, 127, 0, 0, 2}, 0},
	{named("IPV6_HDRINCL"), intBytes(1), 4},
	{named("IPV6_CHECKSUM"), intBytes(4), 4},
	{named("IPV6_CHECKSUM"), intBytes(3), 4},
	{named("IPV6_MINHOPCOUNT"), intBytes(9), 4},
	{named("IPV6_MINHOPCOUNT"), intBytes(256), 4},
	{named("IPV6_UNICAST_IF"), []byte{0, 0, 0, 1}, 4},
	{named("IPV6_UNICAST_IF"), []byte{0, 0, 9, 1}, 4},
	{named("IPV6_RECVERR"), intBytes(1), 4},
	{named("IPV6_FREEBIND"), intBytes(1), 4},
	{named("IPV6_MULTICAST_ALL"), intBytes(0), 4},
	{named("UDP_SEGMENT"), intBytes(1000), 4},
	{named("UDP_SEGMENT"), intBytes(-1), 4},
	{named("UDP_GRO"), intBytes(1), 4},
	{named("UDP_NO_CHECK6_RX"), intBytes(1), 4},
	{named("UDPLITE_SEND_CSCOV"), intBytes(9), 4},
	{named("UDPLITE_RECV_CSCOV"), intBytes(3), 4},
	{named("ICMP_FILTER"), intBytes(0x55), 4},
	{named("ICMP_FILTER"), nil, 2},
	{named("SOL_RAW IPV6_CHECKSUM"), intBytes(6), 4},
	{named("ICMP6_FILTER"), []byte(strings.Repeat("\xff", 40)), 40},
	{named("UDP_CORK"), intBytes(1), 4},
	{named("UDP_NO_CHECK6_TX"), intBytes(1), 4},
}
