package sockapi

import (
	"encoding/binary"
	"net/netip"
	"time"

	"usersock/stack/endpoint"
)

// This file makes and reads the items of ancillary data that Linux documents in
// unix(7), ip(7), ipv6(7) and socket(7), so that no program has to pack bytes.
// What makes an item is a function or a method Ancillary; what reads one is a
// method that also says whether the item is of that kind and long enough.

// Cred is the identity of a process, struct ucred of unix(7).
type Cred = endpoint.Cred

// Rights is SCM_RIGHTS: descriptors of this Net that an AF_UNIX socket sends
// along. The receiver gets new descriptors for the same open sockets.
func Rights(fds ...int) Ancillary {
	data := make([]byte, 0, 4*len(fds))
	for _, fd := range fds {
		if int(int32(fd)) != fd {
			fd = -1 // a number that no descriptor has: EBADF when it is sent
		}
		data = binary.NativeEndian.AppendUint32(data, uint32(int32(fd)))
	}
	return Ancillary{SOL_SOCKET, SCM_RIGHTS, data}
}

// Rights returns the descriptors of an SCM_RIGHTS item. A last one that was
// cut is left out.
func (a Ancillary) Rights() (fds []int, ok bool) {
	if a.Level != SOL_SOCKET || a.Type != SCM_RIGHTS {
		return nil, false
	}
	for data := a.Data; len(data) >= 4; data = data[4:] {
		fds = append(fds, int(int32(binary.NativeEndian.Uint32(data))))
	}
	return fds, true
}

// Credentials is SCM_CREDENTIALS: who sends, for an AF_UNIX socket. Others than
// the sender's own are EPERM but for user 0.
func Credentials(c Cred) Ancillary {
	data := make([]byte, 12)
	endpoint.PutCred(data, c)
	return Ancillary{SOL_SOCKET, SCM_CREDENTIALS, data}
}

// Credentials returns the sender of an SCM_CREDENTIALS item.
func (a Ancillary) Credentials() (c Cred, ok bool) {
	if !a.is(SOL_SOCKET, SCM_CREDENTIALS, 12) {
		return Cred{}, false
	}
	return Cred{
		Pid: int32(binary.NativeEndian.Uint32(a.Data)),
		Uid: binary.NativeEndian.Uint32(a.Data[4:]),
		Gid: binary.NativeEndian.Uint32(a.Data[8:]),
	}, true
}

// is reports the kind of an item with at least n bytes of data.
func (a Ancillary) is(level, typ, n int) bool {
	return a.Level == level && a.Type == typ && len(a.Data) >= n
}

// PktInfo4 is IP_PKTINFO, struct in_pktinfo of ip(7). To receive it set
// IP_PKTINFO.
type PktInfo4 struct {
	Ifindex int        // the interface it came by, or is to leave by; 0 is any
	SpecDst netip.Addr // the local address; to send, the source. The zero Addr is any
	Addr    netip.Addr // the destination in the header; nothing to send
}

// Ancillary makes the item. With an address that is not of IPv4 it is one that
// every call refuses with EINVAL.
func (p PktInfo4) Ancillary() Ancillary {
	spec, ok := as4(p.SpecDst)
	addr, ok2 := as4(p.Addr)
	if !ok || !ok2 || int(int32(p.Ifindex)) != p.Ifindex {
		return Ancillary{IPPROTO_IP, IP_PKTINFO, nil}
	}
	data := binary.NativeEndian.AppendUint32(nil, uint32(p.Ifindex))
	data = append(append(data, spec[:]...), addr[:]...)
	return Ancillary{IPPROTO_IP, IP_PKTINFO, data}
}

func as4(ip netip.Addr) (b [4]byte, ok bool) {
	if !ip.IsValid() {
		return b, true
	}
	if ip = ip.Unmap(); !ip.Is4() {
		return b, false
	}
	return ip.As4(), true
}

// PktInfo4 reads an IP_PKTINFO item.
func (a Ancillary) PktInfo4() (p PktInfo4, ok bool) {
	if !a.is(IPPROTO_IP, IP_PKTINFO, 12) {
		return p, false
	}
	return PktInfo4{
		Ifindex: int(int32(binary.NativeEndian.Uint32(a.Data))),
		SpecDst: netip.AddrFrom4([4]byte(a.Data[4:])),
		Addr:    netip.AddrFrom4([4]byte(a.Data[8:])),
	}, true
}

// PktInfo6 is IPV6_PKTINFO, struct in6_pktinfo of ipv6(7) and RFC 3542, section
// 6. To receive it set IPV6_RECVPKTINFO.
type PktInfo6 struct {
	Addr    netip.Addr // the destination; to send, the source. The zero Addr is any
	Ifindex int        // the interface it came by, or is to leave by; 0 is any
}

// Ancillary makes the item; an IPv4 address is mapped.
func (p PktInfo6) Ancillary() Ancillary {
	if int(int32(p.Ifindex)) != p.Ifindex {
		return Ancillary{IPPROTO_IPV6, IPV6_PKTINFO, nil} // EINVAL when it is sent
	}
	var addr [16]byte
	if p.Addr.IsValid() {
		addr = p.Addr.As16()
	}
	data := binary.NativeEndian.AppendUint32(addr[:], uint32(p.Ifindex))
	return Ancillary{IPPROTO_IPV6, IPV6_PKTINFO, data}
}

// PktInfo6 reads an IPV6_PKTINFO item.
func (a Ancillary) PktInfo6() (p PktInfo6, ok bool) {
	if !a.is(IPPROTO_IPV6, IPV6_PKTINFO, 20) {
		return p, false
	}
	return PktInfo6{
		Addr:    netip.AddrFrom16([16]byte(a.Data)),
		Ifindex: int(int32(binary.NativeEndian.Uint32(a.Data[16:]))),
	}, true
}

// TTL is IP_TTL, 1 to 255, of one datagram. To receive it set IP_RECVTTL.
func TTL(ttl int) Ancillary { return intItem(IPPROTO_IP, IP_TTL, ttl) }

// TTL reads an IP_TTL item.
func (a Ancillary) TTL() (ttl int, ok bool) { return a.number(IPPROTO_IP, IP_TTL, 4) }

// TOS is IP_TOS, 0 to 255, of one datagram. To receive it set IP_RECVTOS.
func TOS(tos int) Ancillary { return intItem(IPPROTO_IP, IP_TOS, tos) }

// TOS reads an IP_TOS item, which has one byte when it is received.
func (a Ancillary) TOS() (tos int, ok bool) { return a.number(IPPROTO_IP, IP_TOS, 1) }

// HopLimit is IPV6_HOPLIMIT, 0 to 255 or −1 for the usual one, of one datagram.
// To receive it set IPV6_RECVHOPLIMIT.
func HopLimit(hops int) Ancillary { return intItem(IPPROTO_IPV6, IPV6_HOPLIMIT, hops) }

// HopLimit reads an IPV6_HOPLIMIT item.
func (a Ancillary) HopLimit() (hops int, ok bool) { return a.number(IPPROTO_IPV6, IPV6_HOPLIMIT, 4) }

// TClass is IPV6_TCLASS, 0 to 255 or −1 for the usual one, of one datagram. To
// receive it set IPV6_RECVTCLASS.
func TClass(class int) Ancillary { return intItem(IPPROTO_IPV6, IPV6_TCLASS, class) }

// TClass reads an IPV6_TCLASS item.
func (a Ancillary) TClass() (class int, ok bool) { return a.number(IPPROTO_IPV6, IPV6_TCLASS, 4) }

func intItem(level, typ, v int) Ancillary {
	data := make([]byte, 4)
	endpoint.PutInt(data, v)
	return Ancillary{level, typ, data}
}

// number reads a C int, or a byte where that is all there is and enough.
func (a Ancillary) number(level, typ, least int) (int, bool) {
	switch {
	case !a.is(level, typ, least):
		return 0, false
	case len(a.Data) < 4:
		return int(a.Data[0]), true
	}
	return int(int32(binary.NativeEndian.Uint32(a.Data))), true
}

// Timestamp reads when a message came: SCM_TIMESTAMP in microseconds, or
// SCM_TIMESTAMPNS in nanoseconds. To receive it set SO_TIMESTAMP or
// SO_TIMESTAMPNS.
func (a Ancillary) Timestamp() (t time.Time, ok bool) {
	unit := int64(time.Microsecond)
	switch {
	case a.is(SOL_SOCKET, SCM_TIMESTAMPNS, 2*cmsgWord):
		unit = int64(time.Nanosecond)
	case !a.is(SOL_SOCKET, SCM_TIMESTAMP, 2*cmsgWord):
		return time.Time{}, false
	}
	return time.Unix(cWord(a.Data), cWord(a.Data[cmsgWord:])*unit), true
}

// cWord reads a C long.
func cWord(b []byte) int64 {
	if cmsgWord == 4 {
		return int64(int32(binary.NativeEndian.Uint32(b)))
	}
	return int64(binary.NativeEndian.Uint64(b))
}

// ExtendedErr is an error of the queue that MSG_ERRQUEUE reads, struct
// sock_extended_err of ip(7), IP_RECVERR.
type ExtendedErr struct {
	Errno    Errno
	Origin   int    // SO_EE_ORIGIN_*
	Type     int    // of the ICMP message
	Code     int    // of the ICMP message
	Info     uint32 // the MTU, for EMSGSIZE
	Data     uint32
	Offender Addr // who sent the ICMP message; nil if nobody did
}

// ExtendedErr reads an IP_RECVERR or IPV6_RECVERR item.
func (a Ancillary) ExtendedErr() (e ExtendedErr, ok bool) {
	if !a.is(IPPROTO_IP, IP_RECVERR, 16) && !a.is(IPPROTO_IPV6, IPV6_RECVERR, 16) {
		return e, false
	}
	e = ExtendedErr{
		Errno:  Errno(binary.NativeEndian.Uint32(a.Data)),
		Origin: int(a.Data[4]),
		Type:   int(a.Data[5]),
		Code:   int(a.Data[6]),
		Info:   binary.NativeEndian.Uint32(a.Data[8:]),
		Data:   binary.NativeEndian.Uint32(a.Data[12:]),
	}
	if of := sockaddr(a.Data[16:]); !of.IsZero() {
		e.Offender = fromEndpoint(of)
	}
	return e, true
}

// OrigDst reads an IP_RECVORIGDSTADDR or IPV6_RECVORIGDSTADDR item: the address
// that a datagram was sent to.
func (a Ancillary) OrigDst() (addr Addr, ok bool) {
	if !a.is(IPPROTO_IP, IP_RECVORIGDSTADDR, 16) && !a.is(IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 28) {
		return nil, false
	}
	addr = fromEndpoint(sockaddr(a.Data))
	return addr, addr != nil
}

// sockaddr reads struct sockaddr_in or sockaddr_in6; anything else, and what is
// too short, is no address.
func sockaddr(b []byte) (a endpoint.Addr) {
	if len(b) < 16 {
		return a
	}
	family, port := int(binary.NativeEndian.Uint16(b)), binary.BigEndian.Uint16(b[2:])
	switch {
	case family == AF_INET:
		a = endpoint.Addr{Family: family, IP: netip.AddrFrom4([4]byte(b[4:])), Port: port}
	case family == AF_INET6 && len(b) >= 28:
		a = endpoint.Addr{
			Family:   family,
			Port:     port,
			Flowinfo: binary.BigEndian.Uint32(b[4:]),
			IP:       netip.AddrFrom16([16]byte(b[8:])),
			Scope:    binary.NativeEndian.Uint32(b[24:]),
		}
	}
	return a
}
