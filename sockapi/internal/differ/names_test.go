package differ

import (
	"fmt"
	"strings"

	"usersock/stack/endpoint"
)

// An option by its name.
type option struct {
	name          string
	level, number int
}

var (
	soDebug      = option{"SO_DEBUG", endpoint.SOL_SOCKET, endpoint.SO_DEBUG}
	soReuseaddr  = option{"SO_REUSEADDR", endpoint.SOL_SOCKET, endpoint.SO_REUSEADDR}
	soReuseport  = option{"SO_REUSEPORT", endpoint.SOL_SOCKET, endpoint.SO_REUSEPORT}
	soType       = option{"SO_TYPE", endpoint.SOL_SOCKET, endpoint.SO_TYPE}
	soError      = option{"SO_ERROR", endpoint.SOL_SOCKET, endpoint.SO_ERROR}
	soDontroute  = option{"SO_DONTROUTE", endpoint.SOL_SOCKET, endpoint.SO_DONTROUTE}
	soBroadcast  = option{"SO_BROADCAST", endpoint.SOL_SOCKET, endpoint.SO_BROADCAST}
	soSndbuf     = option{"SO_SNDBUF", endpoint.SOL_SOCKET, endpoint.SO_SNDBUF}
	soRcvbuf     = option{"SO_RCVBUF", endpoint.SOL_SOCKET, endpoint.SO_RCVBUF}
	soKeepalive  = option{"SO_KEEPALIVE", endpoint.SOL_SOCKET, endpoint.SO_KEEPALIVE}
	soOobinline  = option{"SO_OOBINLINE", endpoint.SOL_SOCKET, endpoint.SO_OOBINLINE}
	soPriority   = option{"SO_PRIORITY", endpoint.SOL_SOCKET, endpoint.SO_PRIORITY}
	soLinger     = option{"SO_LINGER", endpoint.SOL_SOCKET, endpoint.SO_LINGER}
	soPasscred   = option{"SO_PASSCRED", endpoint.SOL_SOCKET, endpoint.SO_PASSCRED}
	soRcvlowat   = option{"SO_RCVLOWAT", endpoint.SOL_SOCKET, endpoint.SO_RCVLOWAT}
	soSndlowat   = option{"SO_SNDLOWAT", endpoint.SOL_SOCKET, endpoint.SO_SNDLOWAT}
	soRcvtimeo   = option{"SO_RCVTIMEO", endpoint.SOL_SOCKET, endpoint.SO_RCVTIMEO}
	soSndtimeo   = option{"SO_SNDTIMEO", endpoint.SOL_SOCKET, endpoint.SO_SNDTIMEO}
	soAcceptconn = option{"SO_ACCEPTCONN", endpoint.SOL_SOCKET, endpoint.SO_ACCEPTCONN}
	soProtocol   = option{"SO_PROTOCOL", endpoint.SOL_SOCKET, endpoint.SO_PROTOCOL}
	soDomain     = option{"SO_DOMAIN", endpoint.SOL_SOCKET, endpoint.SO_DOMAIN}
	soTimestamp  = option{"SO_TIMESTAMP", endpoint.SOL_SOCKET, endpoint.SO_TIMESTAMP}
	soPeekOff    = option{"SO_PEEK_OFF", endpoint.SOL_SOCKET, endpoint.SO_PEEK_OFF}

	tcpNodelay     = option{"TCP_NODELAY", endpoint.IPPROTO_TCP, endpoint.TCP_NODELAY}
	tcpMaxseg      = option{"TCP_MAXSEG", endpoint.IPPROTO_TCP, endpoint.TCP_MAXSEG}
	tcpCork        = option{"TCP_CORK", endpoint.IPPROTO_TCP, endpoint.TCP_CORK}
	tcpKeepidle    = option{"TCP_KEEPIDLE", endpoint.IPPROTO_TCP, endpoint.TCP_KEEPIDLE}
	tcpKeepintvl   = option{"TCP_KEEPINTVL", endpoint.IPPROTO_TCP, endpoint.TCP_KEEPINTVL}
	tcpKeepcnt     = option{"TCP_KEEPCNT", endpoint.IPPROTO_TCP, endpoint.TCP_KEEPCNT}
	tcpSyncnt      = option{"TCP_SYNCNT", endpoint.IPPROTO_TCP, endpoint.TCP_SYNCNT}
	tcpLinger2     = option{"TCP_LINGER2", endpoint.IPPROTO_TCP, endpoint.TCP_LINGER2}
	tcpDefer       = option{"TCP_DEFER_ACCEPT", endpoint.IPPROTO_TCP, endpoint.TCP_DEFER_ACCEPT}
	tcpQuickack    = option{"TCP_QUICKACK", endpoint.IPPROTO_TCP, endpoint.TCP_QUICKACK}
	tcpUserTimeout = option{"TCP_USER_TIMEOUT", endpoint.IPPROTO_TCP, endpoint.TCP_USER_TIMEOUT}
	tcpCongestion  = option{"TCP_CONGESTION", endpoint.IPPROTO_TCP, endpoint.TCP_CONGESTION}

	ipTTL        = option{"IP_TTL", endpoint.IPPROTO_IP, endpoint.IP_TTL}
	ipOptions    = option{"IP_OPTIONS", endpoint.IPPROTO_IP, endpoint.IP_OPTIONS}
	ipFreebind   = option{"IP_FREEBIND", endpoint.IPPROTO_IP, endpoint.IP_FREEBIND}
	ipUnicastIf  = option{"IP_UNICAST_IF", endpoint.IPPROTO_IP, endpoint.IP_UNICAST_IF}
	ipMcJoin     = option{"MCAST_JOIN_GROUP", endpoint.IPPROTO_IP, endpoint.MCAST_JOIN_GROUP}
	ipv6McJoin   = option{"IPv6 MCAST_JOIN_GROUP", endpoint.IPPROTO_IPV6, endpoint.MCAST_JOIN_GROUP}
	ipv6McIf     = option{"IPV6_MULTICAST_IF", endpoint.IPPROTO_IPV6, endpoint.IPV6_MULTICAST_IF}
	ipv6MTU      = option{"IPV6_MTU", endpoint.IPPROTO_IPV6, endpoint.IPV6_MTU}
	ipv6Dontfrag = option{"IPV6_DONTFRAG", endpoint.IPPROTO_IPV6, endpoint.IPV6_DONTFRAG}
	ipv6Autoflow = option{"IPV6_AUTOFLOWLABEL", endpoint.IPPROTO_IPV6, endpoint.IPV6_AUTOFLOWLABEL}
	ipRecverr    = option{"IP_RECVERR", endpoint.IPPROTO_IP, endpoint.IP_RECVERR}
	ipv6Recverr  = option{"IPV6_RECVERR", endpoint.IPPROTO_IPV6, endpoint.IPV6_RECVERR}
	ipMTU        = option{"IP_MTU", endpoint.IPPROTO_IP, endpoint.IP_MTU}
	ipTOS        = option{"IP_TOS", endpoint.IPPROTO_IP, endpoint.IP_TOS}
	ipMTUDisc    = option{"IP_MTU_DISCOVER", endpoint.IPPROTO_IP, endpoint.IP_MTU_DISCOVER}
	ipRecvttl    = option{"IP_RECVTTL", endpoint.IPPROTO_IP, endpoint.IP_RECVTTL}
	ipPktinfo    = option{"IP_PKTINFO", endpoint.IPPROTO_IP, endpoint.IP_PKTINFO}
	ipMcTTL      = option{"IP_MULTICAST_TTL", endpoint.IPPROTO_IP, endpoint.IP_MULTICAST_TTL}
	ipMcLoop     = option{"IP_MULTICAST_LOOP", endpoint.IPPROTO_IP, endpoint.IP_MULTICAST_LOOP}
	ipv6V6only   = option{"IPV6_V6ONLY", endpoint.IPPROTO_IPV6, endpoint.IPV6_V6ONLY}
	ipv6Hops     = option{"IPV6_UNICAST_HOPS", endpoint.IPPROTO_IPV6, endpoint.IPV6_UNICAST_HOPS}
	ipv6McHops   = option{"IPV6_MULTICAST_HOPS", endpoint.IPPROTO_IPV6, endpoint.IPV6_MULTICAST_HOPS}
	ipv6McLoop   = option{"IPV6_MULTICAST_LOOP", endpoint.IPPROTO_IPV6, endpoint.IPV6_MULTICAST_LOOP}
	ipv6Tclass   = option{"IPV6_TCLASS", endpoint.IPPROTO_IPV6, endpoint.IPV6_TCLASS}
	ipv6Pktinfo  = option{"IPV6_RECVPKTINFO", endpoint.IPPROTO_IPV6, endpoint.IPV6_RECVPKTINFO}
	udpCork      = option{"UDP_CORK", endpoint.SOL_UDP, endpoint.UDP_CORK}
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
