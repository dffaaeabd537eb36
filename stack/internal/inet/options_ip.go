package inet

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

// ipOptions are those of ip(7). An AF_INET6 socket has them too, for the IPv4
// traffic that passes it. One byte is enough to write a number, and a short
// buffer reads one byte where that holds the number (do_ip_getsockopt).
func ipOptions() []option {
	const level = endpoint.IPPROTO_IP
	return []option{
		{level: level, name: endpoint.IP_TOS, symbol: "IP_TOS", on: onAll,
			note: "TCP sends no ECN bits; one value serves IPv4 and IPv6 of a TCP socket",
			get:  getByte(func(o target) int { return o.sockInt(tcpip.IPv4TOSOption) }),
			set: setByte(func(o target, v, size int) error {
				return o.setSockInt(tcpip.IPv4TOSOption, int(uint8(v)))
			})},
		{level: level, name: endpoint.IP_TTL, symbol: "IP_TTL", on: onAll,
			get: getByte(func(o target) int {
				if v := o.sockInt(tcpip.IPv4TTLOption); v != tcpip.UseDefaultIPv4TTL {
					return v
				}
				return o.p.defaultTTL(header.IPv4ProtocolNumber)
			}),
			set: setByte(func(o target, v, size int) error {
				switch {
				case size < 1 || v != -1 && (v < 1 || v > 255):
					return endpoint.EINVAL
				case v == -1:
					v = tcpip.UseDefaultIPv4TTL
				}
				return o.setSockInt(tcpip.IPv4TTLOption, v)
			})},
		{level: level, name: endpoint.IP_OPTIONS, symbol: "IP_OPTIONS", on: onAll,
			note: "netstack sends none: any but the empty list is EOPNOTSUPP",
			get:  func(target, []byte) (int, error) { return 0, nil },
			set: func(_ target, value []byte) error {
				if len(value) != 0 {
					return endpoint.EOPNOTSUPP
				}
				return nil
			}},
		ipFlag(endpoint.IP_RECVOPTS, "IP_RECVOPTS", "received options are not kept"),
		ipFlag(endpoint.IP_RETOPTS, "IP_RETOPTS", "received options are not kept"),
		recvFlag(level, endpoint.IP_PKTINFO, "IP_PKTINFO", onAll,
			(*tcpip.SocketOptions).GetReceivePacketInfo, (*tcpip.SocketOptions).SetReceivePacketInfo),
		{level: level, name: endpoint.IP_MTU_DISCOVER, symbol: "IP_MTU_DISCOVER", on: onAll,
			note: "INTERFACE and OMIT send as DONT does",
			get:  getByte(func(o target) int { return o.pathMTUDiscovery(level, endpoint.IP_MTU_DISCOVER) }),
			set: setByte(func(o target, v, size int) error {
				return o.setPathMTUDiscovery(level, endpoint.IP_MTU_DISCOVER, v)
			})},
		ipFlag(endpoint.IP_RECVERR, "IP_RECVERR", "there is no error queue yet: MSG_ERRQUEUE is EAGAIN"),
		recvFlag(level, endpoint.IP_RECVTTL, "IP_RECVTTL", onAll,
			(*tcpip.SocketOptions).GetReceiveTTL, (*tcpip.SocketOptions).SetReceiveTTL),
		recvFlag(level, endpoint.IP_RECVTOS, "IP_RECVTOS", onAll,
			(*tcpip.SocketOptions).GetReceiveTOS, (*tcpip.SocketOptions).SetReceiveTOS),
		{level: level, name: endpoint.IP_MTU, symbol: "IP_MTU", on: onAll,
			note: "the interface's; what a path has taught is not known",
			get:  getByteErr(target.pathMTU)},
		ipFlag(endpoint.IP_FREEBIND, "IP_FREEBIND", "netstack binds its own addresses only"),
		recvFlag(level, endpoint.IP_RECVORIGDSTADDR, "IP_RECVORIGDSTADDR", onAll,
			(*tcpip.SocketOptions).GetReceiveOriginalDstAddress, (*tcpip.SocketOptions).SetReceiveOriginalDstAddress),
		ipFlag(endpoint.IP_BIND_ADDRESS_NO_PORT, "IP_BIND_ADDRESS_NO_PORT", "bind picks the port at once"),
		{level: level, name: endpoint.IP_MULTICAST_IF, symbol: "IP_MULTICAST_IF", on: onAll,
			note: "EINVAL to set on TCP sockets, as on Linux",
			get: func(o target, buf []byte) (int, error) {
				var b [4]byte
				if o.udp != nil {
					var v tcpip.MulticastInterfaceOption
					if err := o.raw.GetSockOpt(&v); err != nil {
						return 0, errno(err)
					}
					copy(b[:], v.InterfaceAddr.AsSlice())
				}
				return copy(buf, b[:]), nil
			},
			set: func(o target, value []byte) error {
				if o.tcp != nil {
					return endpoint.EINVAL
				}
				return o.setMulticastInterface(value)
			}},
		{level: level, name: endpoint.IP_MULTICAST_TTL, symbol: "IP_MULTICAST_TTL", on: onAll,
			note: "one value serves IPv4 and IPv6 of a socket; EINVAL to set on TCP sockets, as on Linux",
			get:  getByte(func(o target) int { return o.sockInt(tcpip.MulticastTTLOption) }),
			set: setByte(func(o target, v, size int) error {
				if v == -1 {
					v = 1
				}
				if o.tcp != nil || size < 1 || v < 0 || v > 255 {
					return endpoint.EINVAL
				}
				return o.setSockInt(tcpip.MulticastTTLOption, v)
			})},
		{level: level, name: endpoint.IP_MULTICAST_LOOP, symbol: "IP_MULTICAST_LOOP", on: onAll,
			note: "one value serves IPv4 and IPv6 of a socket",
			get:  getByte(func(o target) int { return number01(o.ops().GetMulticastLoop()) }),
			set: setByte(func(o target, v, size int) error {
				if size < 1 {
					return endpoint.EINVAL
				}
				o.ops().SetMulticastLoop(v != 0)
				return nil
			})},
		{level: level, name: endpoint.IP_MULTICAST_ALL, symbol: "IP_MULTICAST_ALL", on: onAll, status: Stored,
			note: "netstack delivers a group's datagrams to every socket bound to the port",
			get: getByte(func(o target) int {
				return o.storedInt(level, endpoint.IP_MULTICAST_ALL, number01(o.af == endpoint.AF_INET))
			}),
			set: setByte(func(o target, v, size int) error {
				if size < 1 || v != 0 && v != 1 {
					return endpoint.EINVAL
				}
				o.store(level, endpoint.IP_MULTICAST_ALL, v)
				return nil
			})},
		{level: level, name: endpoint.IP_ADD_MEMBERSHIP, symbol: "IP_ADD_MEMBERSHIP", on: onAll,
			note: "EPROTO on TCP sockets, as on Linux",
			set: func(o target, value []byte) error {
				m, err := o.membership4(value)
				if err != nil {
					return err
				}
				join := tcpip.AddMembershipOption(m)
				return o.join(&join)
			}},
		{level: level, name: endpoint.IP_DROP_MEMBERSHIP, symbol: "IP_DROP_MEMBERSHIP", on: onAll,
			note: "EPROTO on TCP sockets, as on Linux",
			set: func(o target, value []byte) error {
				m, err := o.membership4(value)
				if err != nil {
					return err
				}
				leave := tcpip.RemoveMembershipOption(m)
				return errno(o.raw.SetSockOpt(&leave))
			}},
		groupOption(level, endpoint.MCAST_JOIN_GROUP, "MCAST_JOIN_GROUP", true),
		groupOption(level, endpoint.MCAST_LEAVE_GROUP, "MCAST_LEAVE_GROUP", false),
	}
}

// getByte reads a number as do_ip_getsockopt does: a buffer too short for an
// int gets one byte if the number fits.
func getByte(f func(o target) int) func(target, []byte) (int, error) {
	return getByteErr(func(o target) (int, error) { return f(o), nil })
}

func getByteErr(f func(o target) (int, error)) func(target, []byte) (int, error) {
	return func(o target, buf []byte) (int, error) {
		v, err := f(o)
		if err != nil {
			return 0, err
		}
		if len(buf) > 0 && len(buf) < 4 && v >= 0 && v <= 255 {
			buf[0] = byte(v)
			return 1, nil
		}
		return endpoint.PutInt(buf, v), nil
	}
}

// setByte writes a number of four bytes, or of one; none at all is 0. size is
// the length of the value.
func setByte(f func(o target, v, size int) error) func(target, []byte) error {
	return func(o target, value []byte) error {
		v := 0
		switch {
		case len(value) >= 4:
			v, _ = endpoint.Int(value)
		case len(value) >= 1:
			v = int(value[0])
		}
		return f(o, v, len(value))
	}
}

// ipFlag is a stored flag of ip(7).
func ipFlag(name int, symbol, note string) option {
	const level = endpoint.IPPROTO_IP
	return option{
		level: level, name: name, symbol: symbol, on: onAll, status: Stored, note: note,
		get: getByte(func(o target) int { return o.storedInt(level, name, 0) }),
		set: setByte(func(o target, v, _ int) error {
			o.store(level, name, number01(v != 0))
			return nil
		}),
	}
}

// recvFlag asks for an ancillary item with each datagram. A TCP socket has the
// flag as well; nothing comes of it.
func recvFlag(level, name int, symbol string, on sockets, get func(*tcpip.SocketOptions) bool, set func(*tcpip.SocketOptions, bool)) option {
	o := option{
		level: level, name: name, symbol: symbol, on: on,
		note: "datagram sockets; a stream's bytes have no such thing",
	}
	if level == endpoint.IPPROTO_IP {
		o.get = getByte(func(o target) int { return number01(get(o.ops())) })
		o.set = setByte(func(o target, v, _ int) error {
			set(o.ops(), v != 0)
			return nil
		})
		return o
	}
	o.get = getBool(func(o target) bool { return get(o.ops()) })
	o.set = setBool(func(o target, v bool) { set(o.ops(), v) })
	return o
}

// sockInt reads an int of netstack's; what it does not have is 0.
func (o target) sockInt(name tcpip.SockOptInt) int {
	v, err := o.raw.GetSockOptInt(name)
	if err != nil {
		return 0
	}
	return v
}

func (o target) setSockInt(name tcpip.SockOptInt, v int) error {
	return errno(o.raw.SetSockOptInt(name, v))
}

func (p *Protocols) defaultTTL(net tcpip.NetworkProtocolNumber) int {
	var ttl tcpip.DefaultTTLOption
	if err := p.stack.NetworkProtocolOption(net, &ttl); err != nil {
		return 64
	}
	return int(ttl)
}

// pathMTUDiscovery reads IP_MTU_DISCOVER. Netstack numbers the strategies
// differently and lacks the last two.
func (o target) pathMTUDiscovery(level, name int) int {
	if v := o.storedInt(level, name, -1); v >= 0 {
		return v
	}
	return endpoint.IP_PMTUDISC_WANT
}

func (o target) setPathMTUDiscovery(level, name, v int) error {
	strategy := tcpip.PMTUDiscoveryDont
	switch v {
	case endpoint.IP_PMTUDISC_DONT, endpoint.IP_PMTUDISC_INTERFACE, endpoint.IP_PMTUDISC_OMIT:
	case endpoint.IP_PMTUDISC_WANT:
		strategy = tcpip.PMTUDiscoveryWant
	case endpoint.IP_PMTUDISC_DO:
		strategy = tcpip.PMTUDiscoveryDo
	case endpoint.IP_PMTUDISC_PROBE:
		strategy = tcpip.PMTUDiscoveryProbe
	default:
		return endpoint.EINVAL
	}
	if err := o.setSockInt(tcpip.MTUDiscoverOption, int(strategy)); err != nil {
		return err
	}
	o.store(level, name, v)
	whole := v == endpoint.IP_PMTUDISC_DO || v == endpoint.IP_PMTUDISC_PROBE
	if level == endpoint.IPPROTO_IP {
		o.socket.set(flagWhole4, whole)
	} else {
		o.socket.set(flagWhole6, whole)
	}
	return nil
}

// pathMTU is IP_MTU and IPV6_MTU: of a connected socket, whichever protocol
// leads to its peer; ENOTCONN otherwise.
func (o target) pathMTU() (int, error) {
	peer, err := o.raw.GetRemoteAddress()
	if err != nil {
		return 0, endpoint.ENOTCONN
	}
	local, err := o.raw.GetLocalAddress()
	if err != nil {
		return 0, endpoint.ENOTCONN
	}
	net := header.IPv6ProtocolNumber
	if peer.Addr.Len() == header.IPv4AddressSize {
		net = header.IPv4ProtocolNumber
	}
	return o.p.routeMTU(peer.NIC, local.Addr, peer.Addr, net)
}

// routeMTU returns the MTU of the interface that leads to remote, its IP
// header included.
func (p *Protocols) routeMTU(nic tcpip.NICID, local, remote tcpip.Address, net tcpip.NetworkProtocolNumber) (int, error) {
	r, err := p.stack.FindRoute(nic, local, remote, net, false)
	if err != nil {
		return 0, errno(err)
	}
	defer r.Release()
	overhead := header.IPv4MinimumSize
	if net == header.IPv6ProtocolNumber {
		overhead = header.IPv6MinimumSize
	}
	return int(r.MTU()) + overhead, nil
}

// membership4 reads struct ip_mreq or ip_mreqn.
func (o target) membership4(value []byte) (tcpip.MembershipOption, error) {
	var m tcpip.MembershipOption
	if o.tcp != nil {
		return m, endpoint.EPROTO
	}
	if len(value) < 8 {
		return m, endpoint.EINVAL
	}
	m.MulticastAddr = tcpip.AddrFrom4Slice(value[:4])
	if !header.IsV4MulticastAddress(m.MulticastAddr) {
		return m, endpoint.EINVAL
	}
	if [4]byte(value[4:]) != [4]byte{} {
		m.InterfaceAddr = tcpip.AddrFrom4Slice(value[4:8])
	}
	if len(value) >= 12 {
		m.NIC = tcpip.NICID(binary.NativeEndian.Uint32(value[8:]))
	}
	if m.NIC != 0 && !o.p.stack.HasNIC(m.NIC) {
		return m, endpoint.ENODEV
	}
	return m, nil
}

// join adds a membership; one that the socket has already is EADDRINUSE.
func (o target) join(m *tcpip.AddMembershipOption) error {
	return errno(o.raw.SetSockOpt(m))
}

// setMulticastInterface reads struct in_addr, ip_mreq or ip_mreqn.
func (o target) setMulticastInterface(value []byte) error {
	var v tcpip.MulticastInterfaceOption
	var addr []byte
	switch {
	case len(value) >= 12:
		v.NIC = tcpip.NICID(binary.NativeEndian.Uint32(value[8:]))
		addr = value[4:8]
	case len(value) >= 8:
		addr = value[4:8]
	case len(value) >= 4:
		addr = value[:4]
	default:
		return endpoint.EINVAL
	}
	if [4]byte(addr) != [4]byte{} {
		v.InterfaceAddr = tcpip.AddrFrom4Slice(addr)
	}
	return errno(o.raw.SetSockOpt(&v))
}

// groupOption is MCAST_JOIN_GROUP or MCAST_LEAVE_GROUP, RFC 3678: struct
// group_req, which holds an interface index and a sockaddr_storage.
func groupOption(level, name int, symbol string, join bool) option {
	return option{
		level: level, name: name, symbol: symbol, on: onAll,
		note: "EPROTO on TCP sockets, as on Linux",
		set: func(o target, value []byte) error {
			if o.tcp != nil {
				return endpoint.EPROTO
			}
			const offset = wordSize // the sockaddr is aligned to a word
			if len(value) < offset+128 {
				return endpoint.EINVAL
			}
			m := tcpip.MembershipOption{NIC: tcpip.NICID(binary.NativeEndian.Uint32(value))}
			sa := value[offset:]
			switch af := binary.NativeEndian.Uint16(sa); {
			case af == endpoint.AF_INET && level == endpoint.IPPROTO_IP:
				m.MulticastAddr = tcpip.AddrFrom4Slice(sa[4:8])
			case af == endpoint.AF_INET6 && level == endpoint.IPPROTO_IPV6:
				m.MulticastAddr = tcpip.AddrFrom16Slice(sa[8:24])
			case level == endpoint.IPPROTO_IPV6:
				return endpoint.EADDRNOTAVAIL
			default:
				return endpoint.EINVAL
			}
			if m.NIC != 0 && !o.p.stack.HasNIC(m.NIC) {
				return endpoint.ENODEV
			}
			if join {
				add := tcpip.AddMembershipOption(m)
				return o.join(&add)
			}
			remove := tcpip.RemoveMembershipOption(m)
			return errno(o.raw.SetSockOpt(&remove))
		},
	}
}

// segmentSize is the largest payload of a segment to the peer: what Linux
// reports as TCP_MAXSEG of a connection (with timestamps, which both ends of
// netstack use).
func (o target) segmentSize() (int, bool) {
	switch tcp.EndpointState(o.raw.State()) {
	case tcp.StateEstablished, tcp.StateCloseWait, tcp.StateFinWait1, tcp.StateFinWait2, tcp.StateClosing, tcp.StateLastAck:
	default:
		return 0, false
	}
	peer, err := o.raw.GetRemoteAddress()
	if err != nil {
		return 0, false
	}
	net := header.IPv6ProtocolNumber
	overhead := header.IPv6MinimumSize
	if peer.Addr.Len() == header.IPv4AddressSize {
		net, overhead = header.IPv4ProtocolNumber, header.IPv4MinimumSize
	}
	local, err := o.raw.GetLocalAddress()
	if err != nil {
		return 0, false
	}
	mtu, e := o.p.routeMTU(peer.NIC, local.Addr, peer.Addr, net)
	if e != nil {
		return 0, false
	}
	const timestamps = 12
	return mtu - overhead - header.TCPMinimumSize - timestamps, true
}
