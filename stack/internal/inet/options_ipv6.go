package inet

import (
	"encoding/binary"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"usersock/stack/endpoint"
)

// ipv6Options are those of ipv6(7) and RFC 3542. AF_INET sockets lack them.
func ipv6Options() []option {
	const level = endpoint.IPPROTO_IPV6
	return []option{
		{level: level, name: endpoint.IPV6_V6ONLY, symbol: "IPV6_V6ONLY", on: onAll6,
			note: "EINVAL once the socket is bound",
			get:  getBool(func(o target) bool { return o.ops().GetV6Only() }),
			set: setInt(func(o target, v int) error {
				if o.hasPort() {
					return endpoint.EINVAL
				}
				o.ops().SetV6Only(v != 0)
				return nil
			})},
		{level: level, name: endpoint.IPV6_UNICAST_HOPS, symbol: "IPV6_UNICAST_HOPS", on: onAll6,
			get: getInt(func(o target) int {
				if v := o.number(tcpip.IPv6HopLimitOption, hops6); v >= 0 {
					return v
				}
				return o.p.defaultTTL(header.IPv6ProtocolNumber)
			}),
			set: setInt(func(o target, v int) error {
				if v < -1 || v > 255 {
					return endpoint.EINVAL
				}
				return o.setNumber(tcpip.IPv6HopLimitOption, hops6, v)
			})},
		{level: level, name: endpoint.IPV6_MULTICAST_IF, symbol: "IPV6_MULTICAST_IF", on: onAll6,
			note: "ENOPROTOOPT to set on TCP sockets, as on Linux; an accepted one tells by which interface the connection came",
			get: getInt(func(o target) int {
				if o.dg != nil {
					return int(o.dg.ip.group6.Load())
				}
				if !o.has(flagAccepted) {
					return 0
				}
				local, _ := o.raw.GetLocalAddress()
				return int(local.NIC)
			}),
			set: setDatagramInt(func(o target, v int) error {
				if v != 0 && !o.p.stack.HasNIC(tcpip.NICID(v)) {
					return endpoint.ENODEV
				}
				if dev := o.ops().GetBindToDevice(); v != 0 && dev != 0 && int(dev) != v {
					return endpoint.EINVAL
				}
				o.dg.ip.group6.Store(int32(v))
				return nil
			})},
		{level: level, name: endpoint.IPV6_MULTICAST_HOPS, symbol: "IPV6_MULTICAST_HOPS", on: onAll6,
			note: "ENOPROTOOPT to set on TCP sockets, as on Linux",
			get:  getInt(func(o target) int { return o.number(tcpip.MulticastTTLOption, mhops6) }),
			set: setDatagramInt(func(o target, v int) error {
				switch {
				case v < -1 || v > 255:
					return endpoint.EINVAL
				case v == -1:
					v = 1
				}
				o.dg.ip.mhops.Store(int32(v))
				return nil
			})},
		{level: level, name: endpoint.IPV6_MULTICAST_LOOP, symbol: "IPV6_MULTICAST_LOOP", on: onAll6,
			note: "of a TCP socket one value serves IPv4 and IPv6, to no effect",
			get: getBool(func(o target) bool {
				if o.dg != nil {
					return o.dg.ip.loop6.Load()
				}
				return o.ops().GetMulticastLoop()
			}),
			set: setInt(func(o target, v int) error {
				if v != 0 && v != 1 {
					return endpoint.EINVAL
				}
				if o.dg != nil {
					o.dg.ip.loop6.Store(v != 0)
				} else {
					o.ops().SetMulticastLoop(v != 0)
				}
				return nil
			})},
		{level: level, name: endpoint.IPV6_MTU_DISCOVER, symbol: "IPV6_MTU_DISCOVER", on: onAll6,
			note: "of a TCP socket one strategy serves IPv4 and IPv6: the last one set",
			get: getInt(func(o target) int {
				return o.pathMTUDiscovery(level, endpoint.IPV6_MTU_DISCOVER, discovery6)
			}),
			set: setInt(func(o target, v int) error {
				return o.setPathMTUDiscovery(level, endpoint.IPV6_MTU_DISCOVER, v, discovery6)
			})},
		{level: level, name: endpoint.IPV6_MTU, symbol: "IPV6_MTU", on: onAll6,
			note: "what the path has taught, at most the interface's. Set: the largest packet, at least 1280, 0 for none; of a TCP socket it is stored",
			get:  getIntErr(target.pathMTU),
			set: setInt(func(o target, v int) error {
				switch {
				case v != 0 && v < header.IPv6MinimumMTU:
					return endpoint.EINVAL
				case o.dg != nil:
					o.dg.ip.frag6.Store(int32(v))
				default:
					o.store(level, endpoint.IPV6_MTU, v)
				}
				return nil
			})},
		{level: level, name: endpoint.IPV6_RECVERR, symbol: "IPV6_RECVERR", on: onAll6,
			note: recvErrNote,
			get:  getFlag(flagRecvErr6),
			set:  setBool(func(o target, v bool) { o.setRecvErr(flagRecvErr6, v) })},
		{level: level, name: endpoint.IPV6_MULTICAST_ALL, symbol: "IPV6_MULTICAST_ALL", on: onAll6,
			note: "datagram sockets; TCP has no groups",
			get: getInt(func(o target) int {
				if o.dg != nil {
					return number01(o.dg.ip.all6.Load())
				}
				return o.storedInt(level, endpoint.IPV6_MULTICAST_ALL, 1)
			}),
			set: setInt(func(o target, v int) error {
				if o.dg != nil {
					o.dg.ip.all6.Store(v != 0)
				} else {
					o.store(level, endpoint.IPV6_MULTICAST_ALL, number01(v != 0))
				}
				return nil
			})},
		{level: level, name: endpoint.IPV6_MINHOPCOUNT, symbol: "IPV6_MINHOPCOUNT", on: onAll6,
			note: leastHopsNote,
			get:  getInt(func(o target) int { return o.leastHops(header.IPv6ProtocolNumber) }),
			set:  setInt(func(o target, v int) error { return o.setLeastHops(header.IPv6ProtocolNumber, v) })},
		{level: level, name: endpoint.IPV6_UNICAST_IF, symbol: "IPV6_UNICAST_IF", on: onAll6,
			note: "the index is in network byte order; datagram sockets, of a TCP socket it is only kept, as on Linux",
			get: func(o target, buf []byte) (int, error) {
				var b [4]byte
				binary.BigEndian.PutUint32(b[:], uint32(o.unicastInterface(level, endpoint.IPV6_UNICAST_IF, unicast6)))
				return copy(buf, b[:]), nil
			},
			set: func(o target, value []byte) error {
				if len(value) != 4 {
					return endpoint.EINVAL
				}
				return o.setUnicastInterface(level, endpoint.IPV6_UNICAST_IF, unicast6, int(binary.BigEndian.Uint32(value)))
			}},
		{level: level, name: endpoint.IPV6_TRANSPARENT, symbol: "IPV6_TRANSPARENT", on: onAll6,
			note: transparentNote, get: getFlag(flagTransparent),
			set: setInt(func(o target, v int) error {
				if v != 0 && !o.admin() {
					return endpoint.EPERM
				}
				o.setTransparent(v != 0)
				return nil
			})},
		storedInt(level, endpoint.IPV6_RECVERR_RFC4884, "IPV6_RECVERR_RFC4884", onAll6, 0, 0, 1, rfc4884Note),
		anyLength(storedBool(level, endpoint.IPV6_RECVFRAGSIZE, "IPV6_RECVFRAGSIZE", onAll6, 0, "netstack does not keep the size of fragments")),
		storedBool(level, endpoint.IPV6_FLOWINFO_SEND, "IPV6_FLOWINFO_SEND", onAll6, 0, "netstack sends flow label 0"),
		anyLength(storedBool(level, endpoint.IPV6_AUTOFLOWLABEL, "IPV6_AUTOFLOWLABEL", onAll6, 1, "netstack sends flow label 0")),
		recvFlag(level, endpoint.IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO", onAll6,
			(*tcpip.SocketOptions).GetIPv6ReceivePacketInfo, (*tcpip.SocketOptions).SetIPv6ReceivePacketInfo),
		recvFlag(level, endpoint.IPV6_RECVHOPLIMIT, "IPV6_RECVHOPLIMIT", onAll6,
			(*tcpip.SocketOptions).GetReceiveHopLimit, (*tcpip.SocketOptions).SetReceiveHopLimit),
		recvFlag(level, endpoint.IPV6_RECVTCLASS, "IPV6_RECVTCLASS", onAll6,
			(*tcpip.SocketOptions).GetReceiveTClass, (*tcpip.SocketOptions).SetReceiveTClass),
		storedBool(level, endpoint.IPV6_RECVHOPOPTS, "IPV6_RECVHOPOPTS", onAll6, 0, "extension headers are not kept"),
		storedBool(level, endpoint.IPV6_RECVRTHDR, "IPV6_RECVRTHDR", onAll6, 0, "extension headers are not kept"),
		storedBool(level, endpoint.IPV6_RECVDSTOPTS, "IPV6_RECVDSTOPTS", onAll6, 0, "extension headers are not kept"),
		storedBool(level, endpoint.IPV6_RECVPATHMTU, "IPV6_RECVPATHMTU", onAll6, 0, "no item tells what a path has taught; IPV6_MTU and the error queue do"),
		{level: level, name: endpoint.IPV6_DONTFRAG, symbol: "IPV6_DONTFRAG", on: onAll6,
			note: "a datagram larger than the interface's MTU is EMSGSIZE",
			get:  getFlag(flagDontFrag), set: orZero(setFlag(flagDontFrag))},
		{level: level, name: endpoint.IPV6_TCLASS, symbol: "IPV6_TCLASS", on: onAll6,
			note: "TCP sends no ECN bits; one value serves IPv4 and IPv6 of a TCP socket",
			get:  getInt(func(o target) int { return o.number(tcpip.IPv6TrafficClassOption, tclass6) }),
			set: setInt(func(o target, v int) error {
				if v < -1 || v > 255 {
					return endpoint.EINVAL
				}
				return o.setNumber(tcpip.IPv6TrafficClassOption, tclass6, max(v, 0))
			})},
		{level: level, name: endpoint.IPV6_FREEBIND, symbol: "IPV6_FREEBIND", on: onAll6,
			note: freeBindNote, get: getFlag(flagFreeBind), set: setFlag(flagFreeBind)},
		recvFlag(level, endpoint.IPV6_RECVORIGDSTADDR, "IPV6_RECVORIGDSTADDR", onAll6,
			(*tcpip.SocketOptions).GetReceiveOriginalDstAddress, (*tcpip.SocketOptions).SetReceiveOriginalDstAddress),
	}
}

// setDatagramInt is setInt of an option that a TCP socket cannot set, whatever
// its length.
func setDatagramInt(f func(o target, v int) error) func(target, []byte) error {
	set := setInt(f)
	return func(o target, value []byte) error {
		if o.tcp != nil {
			return endpoint.ENOPROTOOPT
		}
		return set(o, value)
	}
}

// orZero takes a value that is too short for an int as 0, which
// do_ipv6_setsockopt does where it does not look at the length.
func orZero(set func(target, []byte) error) func(target, []byte) error {
	return func(o target, value []byte) error {
		if len(value) < 4 {
			value = make([]byte, 4)
		}
		return set(o, value)
	}
}

func anyLength(o option) option {
	o.set = orZero(o.set)
	return o
}

// hasPort reports whether the socket has a local port, by Bind or otherwise.
func (o target) hasPort() bool {
	if o.tcp != nil {
		return o.tcp.hasPort(o.tcp.raw.Load())
	}
	return o.dg.where.Load().port != 0
}

func hops6(s *ipSettings) *atomic.Int32    { return &s.hops }
func mhops6(s *ipSettings) *atomic.Int32   { return &s.mhops }
func tclass6(s *ipSettings) *atomic.Int32  { return &s.tclass }
func unicast6(s *ipSettings) *atomic.Int32 { return &s.uni6 }
