package inet

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

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
				if v := o.sockInt(tcpip.IPv6HopLimitOption); v >= 0 {
					return v
				}
				return o.p.defaultTTL(header.IPv6ProtocolNumber)
			}),
			set: setInt(func(o target, v int) error {
				if v < -1 || v > 255 {
					return endpoint.EINVAL
				}
				return o.setSockInt(tcpip.IPv6HopLimitOption, v)
			})},
		{level: level, name: endpoint.IPV6_MULTICAST_IF, symbol: "IPV6_MULTICAST_IF", on: onAll6,
			note: "ENOPROTOOPT to set on TCP sockets, as on Linux",
			get: getInt(func(o target) int {
				if o.tcp != nil {
					return 0
				}
				return o.sockInt(tcpip.IPv6MulticastInterfaceOption)
			}),
			set: setInt(func(o target, v int) error {
				switch {
				case o.tcp != nil:
					return endpoint.ENOPROTOOPT
				case v < 0:
					return endpoint.EINVAL
				case v != 0 && !o.p.stack.HasNIC(tcpip.NICID(v)):
					return endpoint.ENODEV
				}
				return o.setSockInt(tcpip.IPv6MulticastInterfaceOption, v)
			})},
		{level: level, name: endpoint.IPV6_MULTICAST_HOPS, symbol: "IPV6_MULTICAST_HOPS", on: onAll6,
			note: "one value serves IPv4 and IPv6 of a socket; ENOPROTOOPT to set on TCP sockets, as on Linux",
			get:  getInt(func(o target) int { return o.sockInt(tcpip.MulticastTTLOption) }),
			set: setInt(func(o target, v int) error {
				switch {
				case o.tcp != nil:
					return endpoint.ENOPROTOOPT
				case v < -1 || v > 255:
					return endpoint.EINVAL
				case v == -1:
					v = 1
				}
				return o.setSockInt(tcpip.MulticastTTLOption, v)
			})},
		{level: level, name: endpoint.IPV6_MULTICAST_LOOP, symbol: "IPV6_MULTICAST_LOOP", on: onAll6,
			note: "one value serves IPv4 and IPv6 of a socket",
			get:  getBool(func(o target) bool { return o.ops().GetMulticastLoop() }),
			set: setInt(func(o target, v int) error {
				if v != 0 && v != 1 {
					return endpoint.EINVAL
				}
				o.ops().SetMulticastLoop(v != 0)
				return nil
			})},
		{level: level, name: endpoint.IPV6_JOIN_GROUP, symbol: "IPV6_JOIN_GROUP", on: onAll6,
			note: "EPROTO on TCP sockets, as on Linux",
			set: func(o target, value []byte) error {
				m, err := o.membership6(value)
				if err != nil {
					return err
				}
				join := tcpip.AddMembershipOption(m)
				return o.join(&join)
			}},
		{level: level, name: endpoint.IPV6_LEAVE_GROUP, symbol: "IPV6_LEAVE_GROUP", on: onAll6,
			note: "EPROTO on TCP sockets, as on Linux",
			set: func(o target, value []byte) error {
				m, err := o.membership6(value)
				if err != nil {
					return err
				}
				leave := tcpip.RemoveMembershipOption(m)
				return errno(o.raw.SetSockOpt(&leave))
			}},
		groupOption(level, endpoint.MCAST_JOIN_GROUP, "MCAST_JOIN_GROUP", true),
		groupOption(level, endpoint.MCAST_LEAVE_GROUP, "MCAST_LEAVE_GROUP", false),
		{level: level, name: endpoint.IPV6_MTU_DISCOVER, symbol: "IPV6_MTU_DISCOVER", on: onAll6,
			note: "netstack has one strategy for IPv4 and IPv6 of a socket: the last one set",
			get:  getInt(func(o target) int { return o.pathMTUDiscovery(level, endpoint.IPV6_MTU_DISCOVER) }),
			set: setInt(func(o target, v int) error {
				return o.setPathMTUDiscovery(level, endpoint.IPV6_MTU_DISCOVER, v)
			})},
		{level: level, name: endpoint.IPV6_MTU, symbol: "IPV6_MTU", on: onAll6,
			note: "the interface's; what a path has taught is not known",
			get:  getIntErr(target.pathMTU)},
		storedBool(level, endpoint.IPV6_RECVERR, "IPV6_RECVERR", onAll6, 0, "there is no error queue yet: MSG_ERRQUEUE is EAGAIN"),
		storedInt(level, endpoint.IPV6_MULTICAST_ALL, "IPV6_MULTICAST_ALL", onAll6, 1, 0, 1, "netstack delivers a group's datagrams to every socket bound to the port"),
		storedBool(level, endpoint.IPV6_FLOWINFO_SEND, "IPV6_FLOWINFO_SEND", onAll6, 0, "netstack sends flow label 0"),
		storedBool(level, endpoint.IPV6_AUTOFLOWLABEL, "IPV6_AUTOFLOWLABEL", onAll6, 1, "netstack sends flow label 0"),
		recvFlag(level, endpoint.IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO", onAll6,
			(*tcpip.SocketOptions).GetIPv6ReceivePacketInfo, (*tcpip.SocketOptions).SetIPv6ReceivePacketInfo),
		recvFlag(level, endpoint.IPV6_RECVHOPLIMIT, "IPV6_RECVHOPLIMIT", onAll6,
			(*tcpip.SocketOptions).GetReceiveHopLimit, (*tcpip.SocketOptions).SetReceiveHopLimit),
		recvFlag(level, endpoint.IPV6_RECVTCLASS, "IPV6_RECVTCLASS", onAll6,
			(*tcpip.SocketOptions).GetReceiveTClass, (*tcpip.SocketOptions).SetReceiveTClass),
		storedBool(level, endpoint.IPV6_RECVHOPOPTS, "IPV6_RECVHOPOPTS", onAll6, 0, "extension headers are not kept"),
		storedBool(level, endpoint.IPV6_RECVRTHDR, "IPV6_RECVRTHDR", onAll6, 0, "extension headers are not kept"),
		storedBool(level, endpoint.IPV6_RECVDSTOPTS, "IPV6_RECVDSTOPTS", onAll6, 0, "extension headers are not kept"),
		storedBool(level, endpoint.IPV6_RECVPATHMTU, "IPV6_RECVPATHMTU", onAll6, 0, "what a path has taught is not known"),
		{level: level, name: endpoint.IPV6_DONTFRAG, symbol: "IPV6_DONTFRAG", on: onAll6,
			note: "a datagram larger than the interface's MTU is EMSGSIZE",
			get:  getFlag(flagDontFrag), set: setFlag(flagDontFrag)},
		{level: level, name: endpoint.IPV6_TCLASS, symbol: "IPV6_TCLASS", on: onAll6,
			note: "TCP sends no ECN bits; one value serves IPv4 and IPv6 of a TCP socket",
			get:  getInt(func(o target) int { return o.sockInt(tcpip.IPv6TrafficClassOption) }),
			set: setInt(func(o target, v int) error {
				if v < -1 || v > 255 {
					return endpoint.EINVAL
				}
				return o.setSockInt(tcpip.IPv6TrafficClassOption, max(v, 0))
			})},
		storedBool(level, endpoint.IPV6_FREEBIND, "IPV6_FREEBIND", onAll6, 0, "netstack binds its own addresses only"),
		recvFlag(level, endpoint.IPV6_RECVORIGDSTADDR, "IPV6_RECVORIGDSTADDR", onAll6,
			(*tcpip.SocketOptions).GetReceiveOriginalDstAddress, (*tcpip.SocketOptions).SetReceiveOriginalDstAddress),
	}
}

// hasPort reports whether the socket has a local port, by Bind or otherwise.
func (o target) hasPort() bool {
	if o.tcp != nil {
		s := tcp.EndpointState(o.raw.State())
		return s != tcp.StateInitial
	}
	a, err := o.raw.GetLocalAddress()
	return err == nil && a.Port != 0
}

// membership6 reads struct ipv6_mreq.
func (o target) membership6(value []byte) (tcpip.MembershipOption, error) {
	var m tcpip.MembershipOption
	if len(value) < 20 {
		return m, endpoint.EINVAL
	}
	if o.tcp != nil {
		return m, endpoint.EPROTO
	}
	m.MulticastAddr = tcpip.AddrFrom16Slice(value[:16])
	m.NIC = tcpip.NICID(binary.NativeEndian.Uint32(value[16:]))
	if !header.IsV6MulticastAddress(m.MulticastAddr) {
		return m, endpoint.EINVAL
	}
	if m.NIC != 0 && !o.p.stack.HasNIC(m.NIC) {
		return m, endpoint.ENODEV
	}
	return m, nil
}
