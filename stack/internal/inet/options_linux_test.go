package inet

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"usersock/stack/endpoint"
)

func (o OptionInfo) on(af, typ int) bool {
	return (typ == endpoint.SOCK_STREAM && o.Stream || typ == endpoint.SOCK_DGRAM && o.Datagram || typ == endpoint.SOCK_RAW && o.Raw) &&
		(af == endpoint.AF_INET && o.Inet4 || af == endpoint.AF_INET6 && o.Inet6)
}

// defaultsDiffer are the options whose first value is not the kernel's.
var defaultsDiffer = map[string]string{
	"TCP_INFO":       "104 bytes of it are served",
	"SO_COOKIE":      "a number that is unique by design",
	"SO_PASSCRED":    "kernels since 6.16 answer EOPNOTSUPP, older ones 0",
	"TCP_CONGESTION": "the machine's own default",
}

// Every option of the table has the kernel's value, and the kernel's length,
// on a new socket; and the kernel knows each on the same sockets.
func TestOptionDefaults(t *testing.T) {
	p := newProtocols(t, true, true)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			needKernel(t, k.ip())
			ours := open(t, p, k.af, k.typ)
			kernel, err := openKernel(k.af, k.typ, 0)
			check(t, err)
			defer kernel.Close()
			for _, info := range Options() {
				if !info.Readable || !info.on(k.af, k.typ) {
					continue
				}
				read := func(ep endpoint.Endpoint) string {
					buf := bytes.Repeat([]byte{0xaa}, 64)
					n, err := ep.Option(info.Level, info.Name, buf)
					if err != nil {
						return name(err)
					}
					return fmt.Sprintf("%d bytes %x", n, buf[:n])
				}
				want, got := read(kernel), read(ours)
				_, listed := defaultsDiffer[info.Symbol]
				if want != got && !listed {
					t.Errorf("%s: kernel %s, ours %s", info.Symbol, want, got)
				}
			}
		})
	}
}

type optionCase struct {
	level, name int
	symbol      string
	value       []byte
	room        int
}

func (c *optionCase) try(ep endpoint.Endpoint) string {
	set := ep.SetOption(c.level, c.name, c.value)
	buf := make([]byte, c.room)
	n, err := ep.Option(c.level, c.name, buf)
	if err != nil {
		return fmt.Sprintf("set %s, get %s", name(set), name(err))
	}
	return fmt.Sprintf("set %s, get %x", name(set), buf[:n])
}

// optionCases set an option and read it back on both. A nil value is no
// bytes.
var optionCases = []optionCase{
	{endpoint.SOL_SOCKET, endpoint.SO_REUSEADDR, "SO_REUSEADDR 7", intData(7), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_REUSEADDR, "SO_REUSEADDR short", []byte{1}, 4},
	{endpoint.SOL_SOCKET, endpoint.SO_REUSEADDR, "SO_REUSEADDR none", nil, 2},
	{endpoint.SOL_SOCKET, endpoint.SO_REUSEPORT, "SO_REUSEPORT", intData(1), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_BROADCAST, "SO_BROADCAST", intData(1), 3},
	{endpoint.SOL_SOCKET, endpoint.SO_KEEPALIVE, "SO_KEEPALIVE", intData(2), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_OOBINLINE, "SO_OOBINLINE", intData(1), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_DONTROUTE, "SO_DONTROUTE", intData(5), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_SNDBUF, "SO_SNDBUF", intData(50000), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_SNDBUF, "SO_SNDBUF small", intData(1), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_SNDBUF, "SO_SNDBUF negative", intData(-1), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_SNDBUF, "SO_SNDBUF huge", intData(1 << 30), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_RCVBUF, "SO_RCVBUF", intData(50000), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_RCVBUF, "SO_RCVBUF small", intData(0), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_RCVBUF, "SO_RCVBUF huge", intData(1 << 30), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_TYPE, "SO_TYPE", intData(1), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_ERROR, "SO_ERROR", intData(1), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_ACCEPTCONN, "SO_ACCEPTCONN", intData(1), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_PROTOCOL, "SO_PROTOCOL", intData(1), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_DOMAIN, "SO_DOMAIN", intData(1), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_PRIORITY, "SO_PRIORITY 6", intData(6), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_LINGER, "SO_LINGER on", linger(1, 5), 8},
	{endpoint.SOL_SOCKET, endpoint.SO_LINGER, "SO_LINGER off keeps", linger(0, 9), 8},
	{endpoint.SOL_SOCKET, endpoint.SO_LINGER, "SO_LINGER short", intData(1), 6},
	{endpoint.SOL_SOCKET, endpoint.SO_RCVLOWAT, "SO_RCVLOWAT", intData(9), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_RCVLOWAT, "SO_RCVLOWAT 0", intData(0), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_RCVLOWAT, "SO_RCVLOWAT negative", intData(-3), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_SNDLOWAT, "SO_SNDLOWAT", intData(9), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_RCVTIMEO, "SO_RCVTIMEO", timeWords(3, 500000), 16},
	{endpoint.SOL_SOCKET, endpoint.SO_RCVTIMEO, "SO_RCVTIMEO bad", timeWords(3, 1000000), 16},
	{endpoint.SOL_SOCKET, endpoint.SO_RCVTIMEO, "SO_RCVTIMEO short", intData(3), 8},
	{endpoint.SOL_SOCKET, endpoint.SO_SNDTIMEO, "SO_SNDTIMEO", timeWords(-1, 0), 16},
	{endpoint.SOL_SOCKET, endpoint.SO_BINDTODEVICE, "SO_BINDTODEVICE unknown", []byte("nosuch0\x00"), 16},
	{endpoint.SOL_SOCKET, endpoint.SO_BINDTODEVICE, "SO_BINDTODEVICE", []byte("lo"), 16},
	{endpoint.SOL_SOCKET, endpoint.SO_TIMESTAMP, "SO_TIMESTAMP", intData(1), 4},
	{endpoint.SOL_SOCKET, 9999, "no such", intData(1), 4},

	{endpoint.IPPROTO_IP, endpoint.IP_TOS, "IP_TOS", intData(0x10), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_TOS, "IP_TOS one byte", []byte{0x20}, 1},
	{endpoint.IPPROTO_IP, endpoint.IP_TTL, "IP_TTL", intData(9), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_TTL, "IP_TTL one byte", []byte{77}, 1},
	{endpoint.IPPROTO_IP, endpoint.IP_TTL, "IP_TTL none", nil, 2},
	{endpoint.IPPROTO_IP, endpoint.IP_TTL, "IP_TTL 0", intData(0), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_TTL, "IP_TTL 256", intData(256), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_TTL, "IP_TTL default", intData(-1), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_PKTINFO, "IP_PKTINFO", intData(1), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_RECVTTL, "IP_RECVTTL", []byte{1}, 4},
	{endpoint.IPPROTO_IP, endpoint.IP_RECVTOS, "IP_RECVTOS", intData(3), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_RECVERR, "IP_RECVERR", intData(1), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_MTU_DISCOVER, "IP_MTU_DISCOVER 5", intData(5), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_MTU_DISCOVER, "IP_MTU_DISCOVER 2", intData(2), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_MTU_DISCOVER, "IP_MTU_DISCOVER 6", intData(6), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_MTU, "IP_MTU", intData(1500), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_FREEBIND, "IP_FREEBIND", intData(1), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_MULTICAST_TTL, "IP_MULTICAST_TTL", []byte{9}, 4},
	{endpoint.IPPROTO_IP, endpoint.IP_MULTICAST_TTL, "IP_MULTICAST_TTL -1", intData(-1), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_MULTICAST_TTL, "IP_MULTICAST_TTL 256", intData(256), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_MULTICAST_LOOP, "IP_MULTICAST_LOOP", []byte{0}, 1},
	{endpoint.IPPROTO_IP, endpoint.IP_MULTICAST_LOOP, "IP_MULTICAST_LOOP none", nil, 4},
	{endpoint.IPPROTO_IP, endpoint.IP_MULTICAST_ALL, "IP_MULTICAST_ALL", intData(0), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_MULTICAST_ALL, "IP_MULTICAST_ALL 2", intData(2), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_MULTICAST_IF, "IP_MULTICAST_IF", []byte{127, 0, 0, 1}, 4},
	{endpoint.IPPROTO_IP, endpoint.IP_MULTICAST_IF, "IP_MULTICAST_IF short", []byte{127, 0}, 4},
	{endpoint.IPPROTO_IP, endpoint.IP_ADD_MEMBERSHIP, "IP_ADD_MEMBERSHIP not a group", []byte{192, 0, 2, 1, 127, 0, 0, 1}, 0},
	{endpoint.IPPROTO_IP, endpoint.IP_ADD_MEMBERSHIP, "IP_ADD_MEMBERSHIP short", []byte{224, 0, 0, 251}, 0},
	{endpoint.IPPROTO_IP, endpoint.IP_ADD_MEMBERSHIP, "IP_ADD_MEMBERSHIP", []byte{224, 0, 0, 251, 127, 0, 0, 1}, 0},
	{endpoint.IPPROTO_IP, endpoint.IP_ADD_MEMBERSHIP, "IP_ADD_MEMBERSHIP twice", []byte{224, 0, 0, 251, 127, 0, 0, 1}, 0},
	{endpoint.IPPROTO_IP, endpoint.IP_DROP_MEMBERSHIP, "IP_DROP_MEMBERSHIP", []byte{224, 0, 0, 251, 127, 0, 0, 1}, 0},
	{endpoint.IPPROTO_IP, endpoint.IP_DROP_MEMBERSHIP, "IP_DROP_MEMBERSHIP twice", []byte{224, 0, 0, 251, 127, 0, 0, 1}, 0},
	{endpoint.IPPROTO_IP, endpoint.IP_OPTIONS, "IP_OPTIONS", nil, 4},
	{endpoint.IPPROTO_IP, 9999, "no such", intData(1), 4},

	{endpoint.IPPROTO_IPV6, endpoint.IPV6_V6ONLY, "IPV6_V6ONLY", intData(1), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_V6ONLY, "IPV6_V6ONLY short", []byte{1}, 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_UNICAST_HOPS, "IPV6_UNICAST_HOPS", intData(9), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_UNICAST_HOPS, "IPV6_UNICAST_HOPS 256", intData(256), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_UNICAST_HOPS, "IPV6_UNICAST_HOPS -1", intData(-1), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_MULTICAST_HOPS, "IPV6_MULTICAST_HOPS", intData(4), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_MULTICAST_HOPS, "IPV6_MULTICAST_HOPS -1", intData(-1), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_MULTICAST_LOOP, "IPV6_MULTICAST_LOOP", intData(0), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_MULTICAST_LOOP, "IPV6_MULTICAST_LOOP 2", intData(2), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_MULTICAST_IF, "IPV6_MULTICAST_IF", intData(1), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_MULTICAST_IF, "IPV6_MULTICAST_IF unknown", intData(4711), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO", intData(1), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_RECVHOPLIMIT, "IPV6_RECVHOPLIMIT", intData(1), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_RECVTCLASS, "IPV6_RECVTCLASS", intData(1), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_TCLASS, "IPV6_TCLASS", intData(0x20), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_TCLASS, "IPV6_TCLASS 256", intData(256), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_TCLASS, "IPV6_TCLASS -1", intData(-1), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_MTU_DISCOVER, "IPV6_MTU_DISCOVER", intData(2), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_MTU_DISCOVER, "IPV6_MTU_DISCOVER 6", intData(6), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_DONTFRAG, "IPV6_DONTFRAG", intData(1), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_JOIN_GROUP, "IPV6_JOIN_GROUP short", make([]byte, 16), 0},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_JOIN_GROUP, "IPV6_JOIN_GROUP not a group", make([]byte, 20), 0},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_JOIN_GROUP, "IPV6_JOIN_GROUP", group6(1), 0},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_JOIN_GROUP, "IPV6_JOIN_GROUP twice", group6(1), 0},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_JOIN_GROUP, "IPV6_JOIN_GROUP unknown", group6(4711), 0},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_LEAVE_GROUP, "IPV6_LEAVE_GROUP", group6(1), 0},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_LEAVE_GROUP, "IPV6_LEAVE_GROUP twice", group6(1), 0},

	{endpoint.IPPROTO_TCP, endpoint.TCP_NODELAY, "TCP_NODELAY", intData(3), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_NODELAY, "TCP_NODELAY short", []byte{1}, 2},
	{endpoint.IPPROTO_TCP, endpoint.TCP_MAXSEG, "TCP_MAXSEG", intData(1000), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_MAXSEG, "TCP_MAXSEG 87", intData(87), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_MAXSEG, "TCP_MAXSEG 32768", intData(32768), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_CORK, "TCP_CORK", intData(1), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_KEEPIDLE, "TCP_KEEPIDLE", intData(60), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_KEEPIDLE, "TCP_KEEPIDLE 0", intData(0), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_KEEPIDLE, "TCP_KEEPIDLE 32768", intData(32768), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_KEEPINTVL, "TCP_KEEPINTVL", intData(10), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_KEEPCNT, "TCP_KEEPCNT", intData(5), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_KEEPCNT, "TCP_KEEPCNT 128", intData(128), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_SYNCNT, "TCP_SYNCNT", intData(3), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_SYNCNT, "TCP_SYNCNT 128", intData(128), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_LINGER2, "TCP_LINGER2", intData(30), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_LINGER2, "TCP_LINGER2 -5", intData(-5), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_LINGER2, "TCP_LINGER2 0", intData(0), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_LINGER2, "TCP_LINGER2 1000", intData(1000), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_DEFER_ACCEPT, "TCP_DEFER_ACCEPT 1", intData(1), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_DEFER_ACCEPT, "TCP_DEFER_ACCEPT 5", intData(5), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_DEFER_ACCEPT, "TCP_DEFER_ACCEPT 50", intData(50), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_DEFER_ACCEPT, "TCP_DEFER_ACCEPT -1", intData(-1), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_WINDOW_CLAMP, "TCP_WINDOW_CLAMP", intData(70000), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_WINDOW_CLAMP, "TCP_WINDOW_CLAMP small", intData(1), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_WINDOW_CLAMP, "TCP_WINDOW_CLAMP 0", intData(0), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_QUICKACK, "TCP_QUICKACK", intData(0), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_CONGESTION, "TCP_CONGESTION reno", []byte("reno"), 16},
	{endpoint.IPPROTO_TCP, endpoint.TCP_CONGESTION, "TCP_CONGESTION short room", []byte("cubic\x00"), 3},
	{endpoint.IPPROTO_TCP, endpoint.TCP_CONGESTION, "TCP_CONGESTION unknown", []byte("carrier-pigeon"), 16},
	{endpoint.IPPROTO_TCP, endpoint.TCP_CONGESTION, "TCP_CONGESTION none", nil, 16},
	{endpoint.IPPROTO_TCP, endpoint.TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT", intData(1234), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT -1", intData(-1), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_THIN_DUPACK, "TCP_THIN_DUPACK", intData(1), 4},
	{endpoint.IPPROTO_TCP, endpoint.TCP_NOTSENT_LOWAT, "TCP_NOTSENT_LOWAT", intData(70000), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_INCOMING_CPU, "SO_INCOMING_CPU", intData(0), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_SELECT_ERR_QUEUE, "SO_SELECT_ERR_QUEUE", intData(5), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_MAX_PACING_RATE, "SO_MAX_PACING_RATE", intData(9000), 8},
	{endpoint.SOL_SOCKET, endpoint.SO_MAX_PACING_RATE, "SO_MAX_PACING_RATE none", intData(-1), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_ZEROCOPY, "SO_ZEROCOPY", intData(1), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_ZEROCOPY, "SO_ZEROCOPY 2", intData(2), 4},
	{endpoint.SOL_SOCKET, endpoint.SO_RXQ_OVFL, "SO_RXQ_OVFL", intData(1), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_HDRINCL, "IP_HDRINCL", intData(1), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_NODEFRAG, "IP_NODEFRAG", intData(1), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_MINTTL, "IP_MINTTL", intData(9), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_MINTTL, "IP_MINTTL 256", intData(256), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_UNICAST_IF, "IP_UNICAST_IF", []byte{0, 0, 0, 1}, 4},
	{endpoint.IPPROTO_IP, endpoint.IP_UNICAST_IF, "IP_UNICAST_IF unknown", []byte{0, 0, 9, 1}, 4},
	{endpoint.IPPROTO_IP, endpoint.IP_UNICAST_IF, "IP_UNICAST_IF short", []byte{0, 1}, 4},
	{endpoint.IPPROTO_IP, endpoint.IP_RECVERR_RFC4884, "IP_RECVERR_RFC4884", intData(1), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_RECVERR_RFC4884, "IP_RECVERR_RFC4884 2", intData(2), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_RECVERR_RFC4884, "IPV6_RECVERR_RFC4884", intData(1), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_RECVERR_RFC4884, "IPV6_RECVERR_RFC4884 -1", intData(-1), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_MULTICAST_ALL, "IPV6_MULTICAST_ALL 2", intData(2), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_MULTICAST_IF, "IP_MULTICAST_IF broadcast", []byte{255, 255, 255, 255}, 4},
	{endpoint.IPPROTO_IP, endpoint.IP_DROP_MEMBERSHIP, "IP_DROP_MEMBERSHIP no interface", []byte{224, 0, 0, 9, 0, 0, 0, 0, 99, 0, 0, 0}, 0},
	{endpoint.IPPROTO_IP, endpoint.IP_DROP_MEMBERSHIP, "IP_DROP_MEMBERSHIP no address", []byte{224, 0, 0, 9, 192, 0, 2, 77}, 0},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_LEAVE_GROUP, "IPV6_LEAVE_GROUP no interface", []byte{0: 0xff, 1: 2, 15: 9, 16: 99, 19: 0}, 0},
	{endpoint.IPPROTO_IP, endpoint.IP_MSFILTER, "IP_MSFILTER too many", filled(24, 0xff), 0},
	{endpoint.IPPROTO_IP, endpoint.MCAST_MSFILTER, "MCAST_MSFILTER nothing", make([]byte, 144), 144},
	{endpoint.IPPROTO_IP, endpoint.MCAST_MSFILTER, "MCAST_MSFILTER too many", filled(256, 0xff), 0},
	{endpoint.IPPROTO_IPV6, endpoint.MCAST_MSFILTER, "MCAST_MSFILTER of IPv6, nothing", make([]byte, 144), 144},
	{endpoint.IPPROTO_IPV6, endpoint.MCAST_MSFILTER, "MCAST_MSFILTER of IPv6, too many", filled(256, 0xff), 0},
	{endpoint.IPPROTO_TCP, 9999, "no such of TCP, short", []byte{1, 2, 3}, 0},
	{endpoint.IPPROTO_TCP, endpoint.TCP_INFO, "TCP_INFO set, short", nil, 0},
	{endpoint.IPPROTO_IP, endpoint.IP_RECVFRAGSIZE, "IP_RECVFRAGSIZE", intData(1), 4},
	{endpoint.IPPROTO_IP, endpoint.IP_ADD_SOURCE_MEMBERSHIP, "IP_ADD_SOURCE_MEMBERSHIP short", []byte{224, 0, 0, 9}, 0},
	{endpoint.IPPROTO_IP, endpoint.IP_ADD_SOURCE_MEMBERSHIP, "IP_ADD_SOURCE_MEMBERSHIP", []byte{224, 0, 0, 9, 127, 0, 0, 1, 127, 0, 0, 2}, 0},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_HDRINCL, "IPV6_HDRINCL", intData(1), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_CHECKSUM, "IPV6_CHECKSUM", intData(4), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_CHECKSUM, "IPV6_CHECKSUM odd", intData(3), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_MINHOPCOUNT, "IPV6_MINHOPCOUNT", intData(9), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_MINHOPCOUNT, "IPV6_MINHOPCOUNT 256", intData(256), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_UNICAST_IF, "IPV6_UNICAST_IF", []byte{0, 0, 0, 1}, 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_UNICAST_IF, "IPV6_UNICAST_IF unknown", []byte{0, 0, 9, 1}, 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_RECVERR, "IPV6_RECVERR", intData(1), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_FREEBIND, "IPV6_FREEBIND", intData(1), 4},
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_MULTICAST_ALL, "IPV6_MULTICAST_ALL", intData(0), 4},
	{endpoint.SOL_UDP, endpoint.UDP_SEGMENT, "UDP_SEGMENT", intData(1000), 4},
	{endpoint.SOL_UDP, endpoint.UDP_SEGMENT, "UDP_SEGMENT -1", intData(-1), 4},
	{endpoint.SOL_UDP, endpoint.UDP_GRO, "UDP_GRO", intData(1), 4},
	{endpoint.SOL_UDP, endpoint.UDP_NO_CHECK6_RX, "UDP_NO_CHECK6_RX", intData(1), 4},
	{endpoint.SOL_UDPLITE, endpoint.UDPLITE_SEND_CSCOV, "UDPLITE_SEND_CSCOV", intData(9), 4},
	{endpoint.SOL_UDPLITE, endpoint.UDPLITE_RECV_CSCOV, "UDPLITE_RECV_CSCOV", intData(3), 4},
	{endpoint.SOL_RAW, endpoint.ICMP_FILTER, "ICMP_FILTER", intData(0x55), 4},
	{endpoint.SOL_RAW, endpoint.ICMP_FILTER, "ICMP_FILTER none", nil, 2},
	{endpoint.SOL_RAW, endpoint.IPV6_CHECKSUM, "IPV6_CHECKSUM of SOL_RAW", intData(6), 4},
	{endpoint.SOL_ICMPV6, endpoint.ICMP6_FILTER, "ICMP6_FILTER", make([]byte, 40), 40},
	{endpoint.SOL_UDP, endpoint.UDP_CORK, "UDP_CORK", intData(1), 4},
	{endpoint.SOL_UDP, endpoint.UDP_NO_CHECK6_TX, "UDP_NO_CHECK6_TX", intData(1), 4},
}

func filled(n int, with byte) []byte { return bytes.Repeat([]byte{with}, n) }

// casesDiffer are the cases where ours is meant to differ.
var casesDiffer = map[string]string{}

// machineCases depend on a setting of the machine, which may not be Linux's
// first value.
var machineCases = map[string]string{
	"SO_SNDBUF negative":   "/proc/sys/net/core/wmem_max",
	"SO_SNDBUF huge":       "/proc/sys/net/core/wmem_max",
	"SO_RCVBUF huge":       "/proc/sys/net/core/rmem_max",
	"SO_RCVLOWAT negative": "/proc/sys/net/core/rmem_max",
}

func machineDiffers(t *testing.T, path string) bool {
	b, err := os.ReadFile(path)
	if err != nil {
		return true
	}
	return strings.TrimSpace(string(b)) != strconv.Itoa(bufferMax)
}

// Setting an option, well and badly, has the kernel's answer, and reading it
// back gives the kernel's bytes.
func TestOptionsLikeTheKernel(t *testing.T) {
	p := newProtocols(t, true, true)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			needKernel(t, k.ip())
			ours, err := p.Family(k.af).Open(endpoint.Request{Type: k.typ, Cred: endpoint.Cred{Uid: 1000}})
			check(t, err)
			defer ours.Close()
			kernel, err := openKernel(k.af, k.typ, 0)
			check(t, err)
			defer kernel.Close()
			denied := -1
			for _, c := range optionCases {
				if path, machine := machineCases[c.symbol]; machine && machineDiffers(t, path) {
					continue
				}
				if c.name == denied {
					continue
				}
				want, got := c.try(kernel), c.try(ours)
				if os.Geteuid() != 0 && strings.Contains(want, "EPERM") {
					// The kernel's policy for ordinary users: from here on the
					// two have different values.
					denied = c.name
					continue
				}
				if _, listed := casesDiffer[c.symbol]; (want != got) != listed {
					t.Errorf("%s: kernel %s, ours %s (listed: %v)", c.symbol, want, got, listed)
				}
			}
		})
	}
}
