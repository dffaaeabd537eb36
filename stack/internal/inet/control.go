package inet

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip"

	"usersock/stack/endpoint"
)

// Ancillary data in the layout of Linux: ip(7), ipv6(7), socket(7).

// checkSocketItem refuses an item of SOL_SOCKET. As on Linux descriptors and
// credentials mean nothing to an inet socket and do not disturb it.
func checkSocketItem(item *endpoint.Control) error {
	if item.Type == endpoint.SCM_RIGHTS || item.Type == endpoint.SCM_CREDENTIALS {
		return nil
	}
	return endpoint.EINVAL
}

// checkStreamControl refuses items that a TCP socket does not take. Those of
// other levels than SOL_SOCKET are ignored, as on Linux.
func checkStreamControl(items []endpoint.Control) error {
	for i := range items {
		if items[i].Level == endpoint.SOL_SOCKET {
			if err := checkSocketItem(&items[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// sendControl translates the items of one datagram. What netstack cannot do
// for a single datagram (IP_PKTINFO, IP_TOS, IPV6_TCLASS and others) is
// EINVAL. Items of levels that are not the socket's are ignored, as on Linux.
func (u *udpEndpoint) sendControl(items []endpoint.Control, out *tcpip.SendableControlMessages) error {
	for i := range items {
		item := &items[i]
		switch {
		case item.Level == endpoint.SOL_IP && item.Type == endpoint.IP_TTL:
			v, err := endpoint.Int(item.Data)
			if err != nil || v < 1 || v > 255 {
				return endpoint.EINVAL
			}
			out.HasTTL, out.TTL = true, uint8(v)
		case item.Level == endpoint.SOL_IPV6 && item.Type == endpoint.IPV6_HOPLIMIT && u.af == endpoint.AF_INET6:
			v, err := endpoint.Int(item.Data)
			if err != nil || v < -1 || v > 255 {
				return endpoint.EINVAL
			}
			if v >= 0 {
				out.HasHopLimit, out.HopLimit = true, uint8(v)
			}
		case item.Level == endpoint.SOL_IPV6 && item.Type == endpoint.IPV6_PKTINFO && u.af == endpoint.AF_INET6:
			if len(item.Data) < 20 {
				return endpoint.EINVAL
			}
			info := tcpip.IPv6PacketInfo{NIC: tcpip.NICID(binary.NativeEndian.Uint32(item.Data[16:]))}
			if addr := [16]byte(item.Data); addr != [16]byte{} {
				info.Addr = tcpip.AddrFrom16(addr)
			}
			if info.NIC != 0 && !u.p.stack.HasNIC(info.NIC) {
				return endpoint.ENODEV
			}
			out.HasIPv6PacketInfo, out.IPv6PacketInfo = true, info
		case item.Level == endpoint.SOL_SOCKET:
			if err := checkSocketItem(item); err != nil {
				return err
			}
		case item.Level == endpoint.SOL_IP && u.af == endpoint.AF_INET,
			item.Level == endpoint.SOL_IPV6 && u.af == endpoint.AF_INET6:
			return endpoint.EINVAL
		}
	}
	return nil
}

// recvControl makes the items that the socket's options ask for. wanted is
// whether the caller has room for any; MSG_CTRUNC says that some were lost.
func (u *udpEndpoint) recvControl(got *endpoint.Received, cm *tcpip.ReceivableControlMessages, wanted bool) {
	flags := u.flags.Load()
	stamp := flags & (flagTimestamp | flagTimestampNS)
	if stamp == 0 && !cm.HasIPPacketInfo && !cm.HasIPv6PacketInfo && !cm.HasTTL && !cm.HasTOS &&
		!cm.HasHopLimit && !cm.HasTClass && !cm.HasOriginalDstAddress {
		return
	}
	if !wanted {
		got.Flags |= endpoint.MSG_CTRUNC
		return
	}
	add := func(level, typ int, data []byte) {
		got.Control = append(got.Control, endpoint.Control{Level: level, Type: typ, Data: data})
	}
	// The order of sock_recv_cmsgs, ip_cmsg_recv and ip6_datagram_recv_ctl.
	if cm.HasTimestamp && stamp != 0 {
		if stamp&flagTimestampNS != 0 {
			add(endpoint.SOL_SOCKET, endpoint.SCM_TIMESTAMPNS, timeWords(cm.Timestamp.Unix(), int64(cm.Timestamp.Nanosecond())))
		} else {
			add(endpoint.SOL_SOCKET, endpoint.SCM_TIMESTAMP, timeWords(cm.Timestamp.Unix(), int64(cm.Timestamp.Nanosecond()/1000)))
		}
	}
	if cm.HasIPPacketInfo {
		b := make([]byte, 12) // struct in_pktinfo
		binary.NativeEndian.PutUint32(b, uint32(cm.PacketInfo.NIC))
		copy(b[4:], cm.PacketInfo.LocalAddr.AsSlice())
		copy(b[8:], cm.PacketInfo.DestinationAddr.AsSlice())
		add(endpoint.SOL_IP, endpoint.IP_PKTINFO, b)
	}
	if cm.HasTTL {
		add(endpoint.SOL_IP, endpoint.IP_TTL, intData(int(cm.TTL)))
	}
	if cm.HasTOS {
		add(endpoint.SOL_IP, endpoint.IP_TOS, []byte{cm.TOS})
	}
	if cm.HasOriginalDstAddress && cm.OriginalDstAddress.Addr.Len() == 4 {
		add(endpoint.SOL_IP, endpoint.IP_RECVORIGDSTADDR, sockaddrIn(cm.OriginalDstAddress))
	}
	if cm.HasIPv6PacketInfo {
		b := make([]byte, 20) // struct in6_pktinfo
		copy(b, cm.IPv6PacketInfo.Addr.AsSlice())
		binary.NativeEndian.PutUint32(b[16:], uint32(cm.IPv6PacketInfo.NIC))
		add(endpoint.SOL_IPV6, endpoint.IPV6_PKTINFO, b)
	}
	if cm.HasHopLimit {
		add(endpoint.SOL_IPV6, endpoint.IPV6_HOPLIMIT, intData(int(cm.HopLimit)))
	}
	if cm.HasTClass {
		add(endpoint.SOL_IPV6, endpoint.IPV6_TCLASS, intData(int(cm.TClass)))
	}
}

func intData(v int) []byte {
	b := make([]byte, 4)
	endpoint.PutInt(b, v)
	return b
}

// timeWords writes two C longs: struct timeval and struct timespec.
func timeWords(a, b int64) []byte {
	if wordSize == 4 {
		out := make([]byte, 8)
		binary.NativeEndian.PutUint32(out, uint32(a))
		binary.NativeEndian.PutUint32(out[4:], uint32(b))
		return out
	}
	out := make([]byte, 16)
	binary.NativeEndian.PutUint64(out, uint64(a))
	binary.NativeEndian.PutUint64(out[8:], uint64(b))
	return out
}

// wordSize is the size of a C long on this host.
const wordSize = 4 << (^uint(0) >> 63)

// sockaddrIn writes struct sockaddr_in.
func sockaddrIn(fa tcpip.FullAddress) []byte {
	b := make([]byte, 16)
	binary.NativeEndian.PutUint16(b, endpoint.AF_INET)
	binary.BigEndian.PutUint16(b[2:], fa.Port)
	copy(b[4:], fa.Addr.AsSlice())
	return b
}
