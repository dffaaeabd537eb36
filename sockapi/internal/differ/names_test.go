package differ

import (
	"fmt"
	"strings"

	"usersock/stack/endpoint"
)

var (
	soDebug        = named("SO_DEBUG")
	soReuseaddr    = named("SO_REUSEADDR")
	soReuseport    = named("SO_REUSEPORT")
	soType         = named("SO_TYPE")
	soError        = named("SO_ERROR")
	soDontroute    = named("SO_DONTROUTE")
	soBroadcast    = named("SO_BROADCAST")
	soSndbuf       = named("SO_SNDBUF")
	soRcvbuf       = named("SO_RCVBUF")
	soKeepalive    = named("SO_KEEPALIVE")
	soOobinline    = named("SO_OOBINLINE")
	soPriority     = named("SO_PRIORITY")
	soLinger       = named("SO_LINGER")
	soPasscred     = named("SO_PASSCRED")
	soRcvlowat     = named("SO_RCVLOWAT")
	soSndlowat     = named("SO_SNDLOWAT")
	soRcvtimeo     = named("SO_RCVTIMEO")
	soSndtimeo     = named("SO_SNDTIMEO")
	soAcceptconn   = named("SO_ACCEPTCONN")
	soProtocol     = named("SO_PROTOCOL")
	soDomain       = named("SO_DOMAIN")
	soTimestamp    = named("SO_TIMESTAMP")
	soPeekOff      = named("SO_PEEK_OFF")
	tcpNodelay     = named("TCP_NODELAY")
	tcpMaxseg      = named("TCP_MAXSEG")
	tcpCork        = named("TCP_CORK")
	tcpKeepidle    = named("TCP_KEEPIDLE")
	tcpKeepintvl   = named("TCP_KEEPINTVL")
	tcpKeepcnt     = named("TCP_KEEPCNT")
	tcpSyncnt      = named("TCP_SYNCNT")
	tcpLinger2     = named("TCP_LINGER2")
	tcpDefer       = named("TCP_DEFER_ACCEPT")
	tcpQuickack    = named("TCP_QUICKACK")
	tcpUserTimeout = named("TCP_USER_TIMEOUT")
	tcpCongestion  = named("TCP_CONGESTION")
	ipTTL          = named("IP_TTL")
	ipOptions      = named("IP_OPTIONS")
	ipFreebind     = named("IP_FREEBIND")
	ipUnicastIf    = named("IP_UNICAST_IF")
	ipMcJoin       = named("MCAST_JOIN_GROUP")
	ipv6McJoin     = named("IPv6 MCAST_JOIN_GROUP")
	ipv6McIf       = named("IPV6_MULTICAST_IF")
	ipv6MTU        = named("IPV6_MTU")
	ipv6Dontfrag   = named("IPV6_DONTFRAG")
	ipv6Autoflow   = named("IPV6_AUTOFLOWLABEL")
	ipMcIf         = named("IP_MULTICAST_IF")
	ipRFC4884      = named("IP_RECVERR_RFC4884")
	ipv6RFC4884    = named("IPV6_RECVERR_RFC4884")
	ipv6McAll      = named("IPV6_MULTICAST_ALL")
	soBsdcompat    = named("SO_BSDCOMPAT")
	tcpFastopen    = named("TCP_FASTOPEN")
	ipRecverr      = named("IP_RECVERR")
	ipv6Recverr    = named("IPV6_RECVERR")
	ipMTU          = named("IP_MTU")
	ipTOS          = named("IP_TOS")
	ipMTUDisc      = named("IP_MTU_DISCOVER")
	ipRecvttl      = named("IP_RECVTTL")
	ipPktinfo      = named("IP_PKTINFO")
	ipMcTTL        = named("IP_MULTICAST_TTL")
	ipMcLoop       = named("IP_MULTICAST_LOOP")
	ipv6V6only     = named("IPV6_V6ONLY")
	ipv6Hops       = named("IPV6_UNICAST_HOPS")
	ipv6McHops     = named("IPV6_MULTICAST_HOPS")
	ipv6McLoop     = named("IPV6_MULTICAST_LOOP")
	ipv6Tclass     = named("IPV6_TCLASS")
	ipv6Pktinfo    = named("IPV6_RECVPKTINFO")
	udpCork        = named("UDP_CORK")
)

func familyText(f int) string {
	switch f {
	case endpoint.AF_UNSPEC:
		return "AF_UNSPEC"
	case endpoint.AF_UNIX:
		return "AF_UNIX"
	case endpoint.AF_INET:
		return "AF_INET"
	case endpoint.AF_INET6:
		return "AF_INET6"
	case endpoint.AF_NETLINK:
		return "AF_NETLINK"
	}
	return fmt.Sprint("family ", f)
}

func typeText(t int) string {
	switch t {
	case endpoint.SOCK_STREAM:
		return "SOCK_STREAM"
	case endpoint.SOCK_DGRAM:
		return "SOCK_DGRAM"
	case endpoint.SOCK_RAW:
		return "SOCK_RAW"
	case endpoint.SOCK_RDM:
		return "SOCK_RDM"
	case endpoint.SOCK_SEQPACKET:
		return "SOCK_SEQPACKET"
	}
	return fmt.Sprint("type ", t)
}

func protoText(p int) string {
	switch p {
	case endpoint.IPPROTO_ICMP:
		return "IPPROTO_ICMP"
	case endpoint.IPPROTO_TCP:
		return "IPPROTO_TCP"
	case endpoint.IPPROTO_UDP:
		return "IPPROTO_UDP"
	case endpoint.IPPROTO_ICMPV6:
		return "IPPROTO_ICMPV6"
	case endpoint.IPPROTO_UDPLITE:
		return "IPPROTO_UDPLITE"
	case endpoint.IPPROTO_RAW:
		return "IPPROTO_RAW"
	}
	return fmt.Sprint(p)
}

var msgFlags = []struct {
	bit  int
	name string
}{
	{endpoint.MSG_OOB, "MSG_OOB"}, {endpoint.MSG_PEEK, "MSG_PEEK"}, {endpoint.MSG_DONTROUTE, "MSG_DONTROUTE"},
	{endpoint.MSG_TRUNC, "MSG_TRUNC"}, {endpoint.MSG_CTRUNC, "MSG_CTRUNC"}, {endpoint.MSG_DONTWAIT, "MSG_DONTWAIT"}, {endpoint.MSG_EOR, "MSG_EOR"},
	{endpoint.MSG_WAITALL, "MSG_WAITALL"}, {endpoint.MSG_ERRQUEUE, "MSG_ERRQUEUE"}, {endpoint.MSG_NOSIGNAL, "MSG_NOSIGNAL"},
	{endpoint.MSG_MORE, "MSG_MORE"}, {endpoint.MSG_CONFIRM, "MSG_CONFIRM"},
}

func msgText(flags int) string {
	var names []string
	for _, f := range msgFlags {
		if flags&f.bit != 0 {
			names = append(names, f.name)
			flags &^= f.bit
		}
	}
	if flags != 0 {
		names = append(names, fmt.Sprintf("%#x", flags))
	}
	return strings.Join(names, "|")
}
