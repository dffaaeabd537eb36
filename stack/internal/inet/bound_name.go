package inet

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"usersock/stack/endpoint"
)

// boundName is the address that a socket has, as the rules of sharing a port
// look at it.
type boundName struct {
	ip   [16]byte // an IPv4 address IPv4-mapped; all zero: any
	six  bool     // of an AF_INET6 socket
	only bool     // that socket is for IPv6 alone
}

var mappedPrefix = [12]byte{10: 0xff, 11: 0xff}

// nameIP is the bytes of boundName of an address as netstack has it, empty for
// any, on a socket of the family af.
func nameIP(af uint8, a tcpip.Address) (ip [16]byte) {
	if a.Len() == header.IPv6AddressSize {
		return a.As16()
	}
	if a.Len() != 0 || af == endpoint.AF_INET {
		copy(ip[:], mappedPrefix[:])
		copy(ip[12:], a.AsSlice())
	}
	return ip
}

func (n *boundName) mapped() bool { return [12]byte(n.ip[:12]) == mappedPrefix }

func (n *boundName) any() bool { return n.ip == [16]byte{} }

// wild reports whether it is any address, or any of IPv4.
func (n *boundName) wild() bool {
	ip, ok := n.four()
	return ip == 0 && ok
}

// four is the IPv4 address, 0 for any. An IPv6 address has none.
func (n *boundName) four() (ip uint32, ok bool) {
	return binary.BigEndian.Uint32(n.ip[12:]), n.mapped() || n.any()
}

// overlaps reports whether n, which asks for a port, is in the way of o, which
// has it: inet_rcv_saddr_equal of Linux. any says whether o's wildcard address
// stands for all addresses; n's always does. It is no matter of packets alone: a
// dual-stack socket that is connected over IPv6 receives no IPv4, and is in the
// way of IPv4's wildcard.
func (n *boundName) overlaps(o *boundName, any bool) bool {
	if !n.six || n.mapped() && o.mapped() {
		mine, ok := n.four()
		theirs, too := o.four()
		return !o.only && (mine == 0 && ok || too && (theirs == 0 && any || ok && mine == theirs))
	}
	switch {
	case n.any() && o.any():
		return true
	case o.any() && any && !(o.only && n.mapped()):
		return true
	case n.any() && !(n.only && o.mapped()):
		return true
	}
	return n.ip == o.ip
}
