package inet

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"usersock/stack/endpoint"
)

// ipAddress returns netstack's form of ip: four bytes for AF_INET, sixteen for
// AF_INET6, where an IPv4 address becomes an IPv4-mapped one. The unspecified
// address is the empty one, which is how netstack spells "any".
func ipAddress(af int, ip netip.Addr) tcpip.Address {
	if !ip.IsValid() || ip.IsUnspecified() {
		return tcpip.Address{}
	}
	if af == endpoint.AF_INET {
		return tcpip.AddrFrom4(ip.As4())
	}
	return tcpip.AddrFrom16(ip.As16())
}

// fullAddress translates a socket address of the endpoint's own family.
// Another family's address is EAFNOSUPPORT, before any effect.
func (s *socket) fullAddress(a endpoint.Addr) (tcpip.FullAddress, error) {
	if a.Family != int(s.af) {
		return tcpip.FullAddress{}, endpoint.EAFNOSUPPORT
	}
	fa := tcpip.FullAddress{Port: a.Port}
	if s.af == endpoint.AF_INET {
		if a.IP.IsValid() && !a.IP.Is4() {
			return tcpip.FullAddress{}, endpoint.EAFNOSUPPORT
		}
		fa.Addr = ipAddress(endpoint.AF_INET, a.IP)
		return fa, nil
	}
	fa.Addr = ipAddress(endpoint.AF_INET6, a.IP)
	if a.IP.Is4() && a.IP.IsUnspecified() || isMappedAny(a.IP) {
		fa.Addr = mappedAny
	}
	if needsScope(a.IP) {
		fa.NIC = tcpip.NICID(a.Scope)
	}
	return fa, nil
}

// mappedAny is ::ffff:0.0.0.0, every IPv4 address of a dual-stack socket, and
// mappedLoopback ::ffff:127.0.0.1.
var (
	mappedAny      = tcpip.AddrFrom16([16]byte{10: 0xff, 11: 0xff})
	mappedLoopback = tcpip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1})
)

func isMappedAny(ip netip.Addr) bool {
	return ip.Is4In6() && ip.Unmap().IsUnspecified()
}

// needsScope reports whether an address means something on one interface
// only, RFC 4007: link-local unicast, and multicast of interface or link
// scope. Linux asks for a scope, and reports one, for these alone.
func needsScope(ip netip.Addr) bool {
	if !ip.Is6() || ip.Is4In6() {
		return false
	}
	return ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast() || ip.IsInterfaceLocalMulticast()
}

// socketAddr translates netstack's address into one of the endpoint's family.
// An IPv4 address on an AF_INET6 endpoint is shown IPv4-mapped.
func (s *socket) socketAddr(fa tcpip.FullAddress) endpoint.Addr {
	a := endpoint.Addr{Family: int(s.af), Port: fa.Port}
	switch fa.Addr.Len() {
	case header.IPv4AddressSize:
		a.IP = netip.AddrFrom4(fa.Addr.As4())
		if s.af == endpoint.AF_INET6 {
			a.IP = netip.AddrFrom16(a.IP.As16())
		}
	case header.IPv6AddressSize:
		a.IP = netip.AddrFrom16(fa.Addr.As16())
		if needsScope(a.IP) {
			a.Scope = uint32(fa.NIC)
		}
	default:
		a.IP = netip.IPv4Unspecified()
		if s.af == endpoint.AF_INET6 {
			a.IP = netip.IPv6Unspecified()
		}
	}
	return a
}

// isMapped reports whether an address leads an AF_INET6 endpoint to IPv4.
func isMapped(a tcpip.Address) bool {
	return a.Len() == header.IPv6AddressSize && header.IsV4MappedAddress(a)
}
