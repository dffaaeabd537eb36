package differ

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"

	"usersock/stack/endpoint"
)

func (k *sock) credText() string {
	var b [12]byte
	n, err := k.s.net.getsockopt(k.h, endpoint.SOL_SOCKET, endpoint.SO_PEERCRED, b[:])
	if err != nil {
		return errText(err)
	}
	pid := fmt.Sprint(int32(binary.NativeEndian.Uint32(b[:])))
	if pid == fmt.Sprint(os.Getpid()) {
		pid = "PID"
	}
	return fmt.Sprintf("%d bytes: process %s user %d group %d", n, pid,
		int32(binary.NativeEndian.Uint32(b[4:])), int32(binary.NativeEndian.Uint32(b[8:])))
}

// optionSequences set and get every option of names_test.go with values of
// many lengths.
func optionSequences() (qs []sequence) {
	for _, k := range []struct {
		name    string
		af, typ int
		options []option
	}{
		{"tcp4", endpoint.AF_INET, endpoint.SOCK_STREAM, append(append([]option{ipTTL, ipTOS, ipMTUDisc, ipRecvttl, ipPktinfo, ipMcTTL, ipMcLoop, ipOptions, ipFreebind, ipUnicastIf, ipMcJoin, ipv6V6only}, socketOptions...), tcpOptions...)},
		{"udp4", endpoint.AF_INET, endpoint.SOCK_DGRAM, append([]option{ipTTL, ipTOS, ipMTUDisc, ipRecvttl, ipPktinfo, ipMcTTL, ipMcLoop, ipOptions, ipFreebind, ipUnicastIf, ipMcJoin, udpCork, tcpNodelay, ipMcIf, ipRFC4884, soBsdcompat}, socketOptions...)},
		{"tcp6", endpoint.AF_INET6, endpoint.SOCK_STREAM, []option{ipv6V6only, ipv6Hops, ipv6McHops, ipv6McLoop, ipv6McIf, ipv6MTU, ipv6Dontfrag, ipv6Autoflow, ipv6McJoin, ipFreebind, ipv6Tclass, ipv6Pktinfo, ipTTL, tcpNodelay}},
		{"udp6", endpoint.AF_INET6, endpoint.SOCK_DGRAM, []option{ipv6V6only, ipv6Hops, ipv6McHops, ipv6McLoop, ipv6McIf, ipv6MTU, ipv6Dontfrag, ipv6Autoflow, ipv6McJoin, ipFreebind, ipv6Tclass, ipv6Pktinfo, ipTTL, udpCork, ipv6RFC4884, ipv6McAll}},
		{"unix", endpoint.AF_UNIX, endpoint.SOCK_STREAM, append([]option{tcpNodelay, ipTTL}, socketOptions...)},
	} {
		for _, o := range k.options {
			qs = append(qs, sequence{name: "options/" + k.name + "/" + o.name, af: k.af, typ: k.typ, run: func(s *script) {
				a := s.own("a")
				a.lengths(o)
				for _, n := range []int{0, 1, 2, 3, 4, 5, 8, 16, 256} {
					a.setBytes(o, append(intBytes(1), make([]byte, 256)...)[:n])
				}
				a.lengths(o)
				for _, v := range []int{0, -1, 2, 255, 256, 1 << 30} {
					if o == soPriority && v > 6 || o == soRcvlowat && (v < 0 || v > 1<<20) {
						continue // needs a privilege over the first namespace; depends on the memory
					}
					a.set(o, v)
					a.lengths(o, 4)
				}
			}})
		}
	}
	qs = append(qs, sequence{name: "options/tcp4/TCP_CONGESTION", af: endpoint.AF_INET, typ: endpoint.SOCK_STREAM, run: func(s *script) {
		a := s.own("a") // its first value is the machine's
		a.setBytes(tcpCongestion, []byte("reno"))
		a.lengths(tcpCongestion)
		a.setBytes(tcpCongestion, []byte("reno\x00and more"))
		a.setBytes(tcpCongestion, []byte("nosuch"))
		a.setBytes(tcpCongestion, nil)
		a.setBytes(tcpCongestion, []byte("re"))
		a.lengths(tcpCongestion, 16)
	}})
	qs = append(qs, sequence{name: "options/unknown", af: endpoint.AF_INET, typ: endpoint.SOCK_STREAM, run: func(s *script) {
		a := s.own("a")
		for _, level := range []int{endpoint.SOL_SOCKET, endpoint.IPPROTO_IP, endpoint.IPPROTO_IPV6, endpoint.IPPROTO_TCP, endpoint.SOL_UDP, 77, -1} {
			o := option{fmt.Sprintf("level %d option 9999", level), level, 9999}
			a.set(o, 1)
			a.get(o)
		}
	}})
	return qs
}

var socketOptions = []option{soDebug, soReuseaddr, soReuseport, soType, soError, soDontroute, soBroadcast, soKeepalive, soOobinline,
	soPriority, soLinger, soPasscred, soRcvlowat, soSndlowat, soRcvtimeo, soSndtimeo, soAcceptconn, soProtocol, soDomain, soTimestamp, soPeekOff}

var tcpOptions = []option{tcpNodelay, tcpMaxseg, tcpCork, tcpKeepidle, tcpKeepintvl, tcpKeepcnt, tcpSyncnt, tcpLinger2, tcpDefer,
	tcpQuickack, tcpUserTimeout, tcpFastopen}

// lengths reads an option into buffers of several lengths, or of one.
func (k *sock) lengths(o option, sizes ...int) {
	if len(sizes) == 0 {
		sizes = []int{1, 2, 3, 4, 5, 8, 16, 256}
	}
	k.on(fmt.Sprintf("getsockopt(%s, buffers of %s)", o.name, strings.Trim(fmt.Sprint(sizes), "[]")), func() string {
		var texts []string
		for _, n := range sizes {
			buf := make([]byte, n)
			got, err := k.s.net.getsockopt(k.h, o.level, o.number, buf)
			if err != nil {
				texts = append(texts, errText(err))
				continue
			}
			texts = append(texts, fmt.Sprintf("%d:%x", got, buf[:min(got, n)]))
		}
		return strings.Join(texts, " ")
	})
}
