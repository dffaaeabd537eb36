package stack

import (
	"encoding/binary"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"usersock/stack/internal/autoconf"
)

// Options of router advertisements that are read here: the others are
// netstack's to read.
const (
	advertMTU   = 5  // RFC 4861, section 4.6.4
	advertDNSSL = 31 // RFC 8106, section 5.2; netstack's reader refuses labels that begin with a digit
)

// parseAdvert reads a router advertisement out of an IPv6 packet; ok is false
// for one that RFC 4861, section 6.1.2, has dropped. checked says that its
// checksum is known to be right.
//
// An option that makes no sense is passed over; one that is cut short spoils the
// advertisement.
func parseAdvert(packet []byte, checked bool) (ra autoconf.RouterAdvertisement, ok bool) {
	ip := header.IPv6(packet)
	if !ip.IsValid(len(packet)) {
		return ra, false
	}
	src, dst := ip.SourceAddress(), ip.DestinationAddress()
	b := header.ICMPv6(packet[header.IPv6MinimumSize:][:ip.PayloadLength()])
	if ip.HopLimit() != header.NDPHopLimit || !header.IsV6LinkLocalUnicastAddress(src) ||
		len(b) < header.ICMPv6HeaderSize+header.NDPRAMinimumSize || b.Type() != header.ICMPv6RouterAdvert || b.Code() != 0 {
		return ra, false
	}
	if !checked && b.Checksum() != header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: b, Src: src, Dst: dst}) {
		return ra, false
	}
	h := header.NDPRouterAdvert(b.MessageBody())
	ra = autoconf.RouterAdvertisement{
		Router:     ipOf(src),
		Lifetime:   uint16(h.RouterLifetime() / time.Second),
		Preference: preference(h.DefaultRouterPreference()),
		Managed:    h.ManagedAddrConfFlag(),
		Other:      h.OtherConfFlag(),
	}
	for o := []byte(h.Options()); len(o) > 0; {
		if len(o) < 2 || o[1] == 0 || int(o[1])*8 > len(o) {
			return ra, false
		}
		one := o[:int(o[1])*8]
		o = o[len(one):]
		advertOption(&ra, one)
	}
	return ra, true
}

func advertOption(ra *autoconf.RouterAdvertisement, b []byte) {
	switch {
	case b[0] == advertMTU && len(b) == 8:
		ra.MTU = binary.BigEndian.Uint32(b[4:])
		return
	case b[0] == advertDNSSL:
		ra.Domains = append(ra.Domains, autoconf.AdvertisedDomains{
			Lifetime: binary.BigEndian.Uint32(b[4:]),
			Domains:  autoconf.Domains(b[8:]),
		})
		return
	}
	it, err := header.NDPOptions(b).Iter(false)
	if err != nil {
		return
	}
	o, done, err := it.Next()
	if err != nil || done {
		return
	}
	switch o := o.(type) {
	case header.NDPPrefixInformation:
		ra.Prefixes = append(ra.Prefixes, autoconf.AdvertisedPrefix{
			Prefix:    netip.PrefixFrom(ipOf(o.Prefix()), int(o.PrefixLength())),
			OnLink:    o.OnLinkFlag(),
			Auto:      o.AutonomousAddressConfigurationFlag(),
			Valid:     wireSeconds(o.ValidLifetime()),
			Preferred: wireSeconds(o.PreferredLifetime()),
		})
	case header.NDPRouteInformation:
		if o.RoutePreference() == header.ReservedRoutePreference {
			return // RFC 4191, section 2.3
		}
		dst, err := o.Prefix()
		if err != nil {
			return
		}
		ra.Routes = append(ra.Routes, autoconf.AdvertisedRoute{
			Dst:        netip.PrefixFrom(ipOf(dst.ID()), dst.Prefix()),
			Lifetime:   wireSeconds(o.RouteLifetime()),
			Preference: preference(o.RoutePreference()),
		})
	case header.NDPRecursiveDNSServer:
		list, err := o.Addresses()
		if err != nil {
			return
		}
		ra.Servers = append(ra.Servers, autoconf.AdvertisedServers{Lifetime: wireSeconds(o.Lifetime()), Addrs: ips(list)})
	}
}

// wireSeconds is a lifetime as it stood in the option.
func wireSeconds(d time.Duration) uint32 { return uint32(d / time.Second) }

func preference(p header.NDPRoutePreference) autoconf.Preference {
	switch p {
	case header.HighRoutePreference:
		return autoconf.High
	case header.LowRoutePreference:
		return autoconf.Low
	}
	return autoconf.Medium // the reserved value too: RFC 4191, section 2.2
}

func ips(list []tcpip.Address) []netip.Addr {
	out := make([]netip.Addr, len(list))
	for i, a := range list {
		out[i] = ipOf(a)
	}
	return out
}
