package inet

import (
	"encoding/binary"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"
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
			get:  getByte(func(o target) int { return o.number(tcpip.IPv4TOSOption, tos4) }),
			set: setByte(func(o target, v, size int) error {
				return o.setNumber(tcpip.IPv4TOSOption, tos4, int(uint8(v)))
			})},
		{level: level, name: endpoint.IP_TTL, symbol: "IP_TTL", on: onAll,
			get: getByte(func(o target) int {
				if v := o.number(tcpip.IPv4TTLOption, ttl4); v > tcpip.UseDefaultIPv4TTL {
					return v
				}
				return o.p.defaultTTL(header.IPv4ProtocolNumber)
			}),
			set: setByte(func(o target, v, size int) error {
				switch {
				case size < 1 || v != -1 && (v < 1 || v > 255):
					return endpoint.EINVAL
				case v == -1 && o.tcp != nil:
					v = tcpip.UseDefaultIPv4TTL
				}
				return o.setNumber(tcpip.IPv4TTLOption, ttl4, v)
			})},
		{level: level, name: endpoint.IP_OPTIONS, symbol: "IP_OPTIONS", on: onAll,
			note: "netstack sends none: any but the empty list is EOPNOTSUPP, and EINVAL if no header could hold it",
			get:  func(target, []byte) (int, error) { return 0, nil },
			set: func(_ target, value []byte) error {
				if len(value) > header.IPv4MaximumHeaderSize-header.IPv4MinimumSize {
					return endpoint.EINVAL
				}
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
			note: "on TCP sockets INTERFACE and OMIT send as DONT does",
			get: getByte(func(o target) int {
				return o.pathMTUDiscovery(level, endpoint.IP_MTU_DISCOVER, discovery4)
			}),
			set: setByte(func(o target, v, size int) error {
				return o.setPathMTUDiscovery(level, endpoint.IP_MTU_DISCOVER, v, discovery4)
			})},
		{level: level, name: endpoint.IP_RECVERR, symbol: "IP_RECVERR", on: onAll,
			note: recvErrNote,
			get:  getByte(func(o target) int { return number01(o.has(flagRecvErr4)) }),
			set: setByte(func(o target, v, _ int) error {
				o.setRecvErr(flagRecvErr4, v != 0)
				return nil
			})},
		recvFlag(level, endpoint.IP_RECVTTL, "IP_RECVTTL", onAll,
			(*tcpip.SocketOptions).GetReceiveTTL, (*tcpip.SocketOptions).SetReceiveTTL),
		recvFlag(level, endpoint.IP_RECVTOS, "IP_RECVTOS", onAll,
			(*tcpip.SocketOptions).GetReceiveTOS, (*tcpip.SocketOptions).SetReceiveTOS),
		{level: level, name: endpoint.IP_MTU, symbol: "IP_MTU", on: onAll,
			note: "what the path has taught, at most the interface's",
			get:  getByteErr(target.pathMTU)},
		{level: level, name: endpoint.IP_FREEBIND, symbol: "IP_FREEBIND", on: onAll,
			note: freeBindNote,
			get:  getByte(func(o target) int { return number01(o.has(flagFreeBind)) }),
			set: setByte(func(o target, v, size int) error {
				if size < 1 {
					return endpoint.EINVAL
				}
				o.socket.set(flagFreeBind, v != 0)
				return nil
			})},
		{level: level, name: endpoint.IP_TRANSPARENT, symbol: "IP_TRANSPARENT", on: onAll,
			note: transparentNote,
			get:  getByte(func(o target) int { return number01(o.has(flagTransparent)) }),
			set: setByte(func(o target, v, size int) error {
				if v != 0 && !o.admin() {
					return endpoint.EPERM
				}
				if size < 1 {
					return endpoint.EINVAL
				}
				o.setTransparent(v != 0)
				return nil
			})},
		{level: level, name: endpoint.IP_MINTTL, symbol: "IP_MINTTL", on: onAll,
			note: leastHopsNote,
			get:  getByte(func(o target) int { return o.leastHops(header.IPv4ProtocolNumber) }),
			set: setByte(func(o target, v, size int) error {
				if size < 1 {
					return endpoint.EINVAL
				}
				return o.setLeastHops(header.IPv4ProtocolNumber, v)
			})},
		{level: level, name: endpoint.IP_UNICAST_IF, symbol: "IP_UNICAST_IF", on: onAll,
			note: "the index is in network byte order; datagram sockets, of a TCP socket it is only kept, as on Linux",
			get: getByte(func(o target) int {
				var b [4]byte
				binary.BigEndian.PutUint32(b[:], uint32(o.unicastInterface(level, endpoint.IP_UNICAST_IF, unicast4)))
				return int(int32(binary.NativeEndian.Uint32(b[:])))
			}),
			set: func(o target, value []byte) error {
				if len(value) != 4 {
					return endpoint.EINVAL
				}
				return o.setUnicastInterface(level, endpoint.IP_UNICAST_IF, unicast4, int(binary.BigEndian.Uint32(value)))
			}},
		recvFlag(level, endpoint.IP_RECVORIGDSTADDR, "IP_RECVORIGDSTADDR", onAll,
			(*tcpip.SocketOptions).GetReceiveOriginalDstAddress, (*tcpip.SocketOptions).SetReceiveOriginalDstAddress),
		{level: level, name: endpoint.IP_BIND_ADDRESS_NO_PORT, symbol: "IP_BIND_ADDRESS_NO_PORT", on: onAll,
			get: getByte(func(o target) int { return number01(o.has(flagNoPort)) }),
			set: setByte(func(o target, v, _ int) error {
				o.socket.set(flagNoPort, v != 0)
				return nil
			})},
		{level: level, name: endpoint.IP_MULTICAST_TTL, symbol: "IP_MULTICAST_TTL", on: onAll,
			note: "EINVAL to set on TCP sockets, as on Linux",
			get:  getByte(func(o target) int { return o.number(tcpip.MulticastTTLOption, mttl4) }),
			set: setByte(func(o target, v, size int) error {
				if v == -1 {
					v = 1
				}
				if o.tcp != nil || size < 1 || v < 0 || v > 255 {
					return endpoint.EINVAL
				}
				return o.setNumber(tcpip.MulticastTTLOption, mttl4, v)
			})},
		{level: level, name: endpoint.IP_MULTICAST_LOOP, symbol: "IP_MULTICAST_LOOP", on: onAll,
			note: "of a TCP socket one value serves IPv4 and IPv6, to no effect",
			get: getByte(func(o target) int {
				if o.dg != nil {
					return number01(o.dg.ip.loop4.Load())
				}
				return number01(o.ops().GetMulticastLoop())
			}),
			set: setByte(func(o target, v, size int) error {
				if size < 1 {
					return endpoint.EINVAL
				}
				if o.dg != nil {
					o.dg.ip.loop4.Store(v != 0)
				} else {
					o.ops().SetMulticastLoop(v != 0)
				}
				return nil
			})},
		{level: level, name: endpoint.IP_MULTICAST_ALL, symbol: "IP_MULTICAST_ALL", on: onAll,
			note: "datagram sockets; TCP has no groups",
			get: getByte(func(o target) int {
				if o.dg != nil {
					return number01(o.dg.ip.all4.Load())
				}
				return o.storedInt(level, endpoint.IP_MULTICAST_ALL, number01(o.af == endpoint.AF_INET))
			}),
			set: setByte(func(o target, v, size int) error {
				if size < 1 || v != 0 && v != 1 {
					return endpoint.EINVAL
				}
				if o.dg != nil {
					o.dg.ip.all4.Store(v != 0)
				} else {
					o.store(level, endpoint.IP_MULTICAST_ALL, v)
				}
				return nil
			})},
		{level: level, name: endpoint.IP_PROTOCOL, symbol: "IP_PROTOCOL", on: onAll,
			note: "the port, as on Linux, whatever the name says; of a raw socket the protocol",
			get:  getByte(func(o target) int { return o.localPort() })},
		{level: level, name: endpoint.IP_RECVERR_RFC4884, symbol: "IP_RECVERR_RFC4884", on: onAll, status: Stored, note: rfc4884Note,
			get: getByte(func(o target) int { return o.storedInt(level, endpoint.IP_RECVERR_RFC4884, 0) }),
			set: setByte(func(o target, v, _ int) error {
				if v != 0 && v != 1 {
					return endpoint.EINVAL
				}
				o.store(level, endpoint.IP_RECVERR_RFC4884, v)
				return nil
			})},
		{level: level, name: endpoint.IP_RECVFRAGSIZE, symbol: "IP_RECVFRAGSIZE", on: onAll, status: Stored,
			note: "netstack does not keep the size of fragments; EINVAL to set on TCP sockets, as on Linux",
			get:  getByte(func(o target) int { return o.storedInt(level, endpoint.IP_RECVFRAGSIZE, 0) }),
			set: setByte(func(o target, v, _ int) error {
				if o.tcp != nil {
					return endpoint.EINVAL
				}
				o.store(level, endpoint.IP_RECVFRAGSIZE, number01(v != 0))
				return nil
			})},
		ipFlag(endpoint.IP_CHECKSUM, "IP_CHECKSUM", "no item tells a datagram's checksum"),
		ipFlag(endpoint.IP_PASSSEC, "IP_PASSSEC", "there are no security labels"),
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
const rfc4884Note = "extensions of ICMP errors are handed out with the packet, unread"

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

func tos4(s *ipSettings) *atomic.Int32     { return &s.tos }
func ttl4(s *ipSettings) *atomic.Int32     { return &s.ttl }
func mttl4(s *ipSettings) *atomic.Int32    { return &s.mttl }
func unicast4(s *ipSettings) *atomic.Int32 { return &s.uni4 }

const recvErrNote = "on a TCP connection errors are pending at once; what ended an attempt to connect is in the error queue"

const leastHopsNote = "a TCP connection has it until its socket is closed"

// leastHops is IP_MINTTL or IPV6_MINHOPCOUNT.
func (o target) leastHops(net tcpip.NetworkProtocolNumber) int {
	if o.tcp != nil {
		return int(o.tcp.leastHops(net))
	}
	return int(o.dg.ip.minTTL(net))
}

func (o target) setLeastHops(net tcpip.NetworkProtocolNumber, v int) error {
	switch {
	case v < 0 || v > 255:
		return endpoint.EINVAL
	case o.tcp != nil:
		o.tcp.setLeastHops(net, uint8(v))
	case net == header.IPv4ProtocolNumber:
		o.dg.ip.least4.Store(int32(v))
	default:
		o.dg.ip.least6.Store(int32(v))
	}
	return nil
}

const (
	freeBindNote    = "a datagram socket may be bound to an address that the stack gets later, and over IPv6 sends from it; a TCP socket binds the stack's own alone"
	transparentNote = "a datagram socket may be bound to any address, and sends from it; of a TCP socket it is stored. No rule of the stack redirects to a socket. To set it is EPERM but for uid 0"
)

// setTransparent lets a datagram socket send from any address, or no longer.
func (o target) setTransparent(on bool) {
	o.socket.set(flagTransparent, on)
	if o.dg != nil {
		o.dg.forgetRoute()
	}
}

// setRecvErr switches the error queue of one version of IP. Off empties it.
func (o target) setRecvErr(bit uint64, on bool) {
	o.socket.set(bit, on)
	switch {
	case on:
	case o.dg != nil:
		o.dg.errs.purge()
	default:
		if q := o.tcp.errs.Load(); q != nil {
			q.purge()
		}
	}
}

// unicastInterface is IP_UNICAST_IF and IPV6_UNICAST_IF.
func (o target) unicastInterface(level, name int, at func(*ipSettings) *atomic.Int32) int {
	if o.dg != nil {
		return int(at(&o.dg.ip).Load())
	}
	return o.storedInt(level, name, 0)
}

func (o target) setUnicastInterface(level, name int, at func(*ipSettings) *atomic.Int32, nic int) error {
	if nic != 0 && !o.p.stack.HasNIC(tcpip.NICID(nic)) {
		return endpoint.EADDRNOTAVAIL
	}
	if nic != 0 && o.ops().GetBindToDevice() != 0 {
		return endpoint.EINVAL
	}
	if o.dg != nil {
		at(&o.dg.ip).Store(int32(nic))
	} else {
		o.store(level, name, nic)
	}
	return nil
}

// localPort is inet_num of Linux.
func (o target) localPort() int {
	if o.dg != nil {
		return int(o.dg.where.Load().port)
	}
	a, err := o.raw.GetLocalAddress()
	if err != nil {
		return 0
	}
	return int(a.Port)
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

// discovery4 and discovery6 are IP_MTU_DISCOVER and IPV6_MTU_DISCOVER.
func discovery4(s *ipSettings) *atomic.Int32 { return &s.pmtu4 }
func discovery6(s *ipSettings) *atomic.Int32 { return &s.pmtu6 }

// pathMTUDiscovery reads a strategy. Netstack numbers them differently and
// lacks the last two, so those of a TCP socket are remembered.
func (o target) pathMTUDiscovery(level, name int, at func(*ipSettings) *atomic.Int32) int {
	if o.dg != nil {
		return int(at(&o.dg.ip).Load())
	}
	return o.storedInt(level, name, endpoint.IP_PMTUDISC_WANT)
}

func (o target) setPathMTUDiscovery(level, name, v int, at func(*ipSettings) *atomic.Int32) error {
	if v < endpoint.IP_PMTUDISC_DONT || v > endpoint.IP_PMTUDISC_OMIT {
		return endpoint.EINVAL
	}
	if o.dg != nil {
		at(&o.dg.ip).Store(int32(v))
		return nil
	}
	strategy := tcpip.PMTUDiscoveryDont
	switch v {
	case endpoint.IP_PMTUDISC_WANT:
		strategy = tcpip.PMTUDiscoveryWant
	case endpoint.IP_PMTUDISC_DO:
		strategy = tcpip.PMTUDiscoveryDo
	case endpoint.IP_PMTUDISC_PROBE:
		strategy = tcpip.PMTUDiscoveryProbe
	}
	if err := o.setSockInt(tcpip.MTUDiscoverOption, int(strategy)); err != nil {
		return err
	}
	o.store(level, name, v)
	return nil
}

// pathMTU is IP_MTU and IPV6_MTU: of a connected socket, whichever protocol
// leads to its peer; ENOTCONN otherwise.
func (o target) pathMTU() (int, error) {
	if o.dg != nil {
		b := o.dg.where.Load()
		if !b.connected {
			return 0, endpoint.ENOTCONN
		}
		return o.p.routeMTU(b.peer.NIC, b.local, b.peer.Addr, netOf(b.peer.Addr))
	}
	local, err := o.raw.GetLocalAddress()
	if err != nil {
		return 0, endpoint.ENOTCONN
	}
	peer, err := o.raw.GetRemoteAddress()
	if err != nil {
		if !connecting(tcp.EndpointState(o.raw.State())) {
			return 0, endpoint.ENOTCONN
		}
		peer.Addr = o.raw.Info().(*gvstack.TransportEndpointInfo).ID.RemoteAddress
	}
	return o.p.routeMTU(local.NIC, local.Addr, peer.Addr, netOf(peer.Addr))
}

// routeMTU returns the MTU of the interface that leads to remote, its IP
// header included, or what the path has taught.
func (p *Protocols) routeMTU(nic tcpip.NICID, local, remote tcpip.Address, net tcpip.NetworkProtocolNumber) (int, error) {
	r, err := p.stack.FindRoute(nic, local, remote, net, false)
	if err != nil {
		return 0, errno(err)
	}
	defer r.Release()
	return p.knownMTU(remote, int(r.MTU())+headerSize(net)), nil
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
