package dnszone

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
)

// Zones from code: what Add says in text, for those who have addresses.

// NameServer is a name server of a zone.
type NameServer struct {
	Name  string       // presentation form
	Addrs []netip.Addr // glue; unneeded where another zone has the addresses
}

// Start gives the zone what every zone has: an SOA record and the NS records of
// its servers, with their addresses where those are in the zone. The first one
// is the SOA's MNAME. ttl, in seconds, is also that of negative answers.
func (z *Zone) Start(ttl uint32, servers ...NameServer) error {
	if len(servers) == 0 {
		return fmt.Errorf("dnszone: zone %v: no name servers", z.origin)
	}
	primary, err := parseName(servers[0].Name, z.origin)
	if err != nil {
		return fmt.Errorf("dnszone: zone %v: %w", z.origin, err)
	}
	soa := append(append([]byte(primary), 0), "\x0ahostmaster"...)
	soa = append(append(soa, z.origin...), 0)
	for _, n := range [...]uint32{1, 3600, 600, 86400, ttl} { // serial, refresh, retry, expire, minimum
		soa = binary.BigEndian.AppendUint32(soa, n)
	}
	if len(z.origin) > 254-11 {
		return fmt.Errorf("dnszone: zone %v: hostmaster of it: %w", z.origin, errName)
	}
	if err := z.add(z.origin, record{typeSOA, ttl, soa}); err != nil {
		return fmt.Errorf("dnszone: %w", err)
	}
	return z.Delegate("@", ttl, servers...)
}

// Delegate hands a name and all below it to other servers: their NS records,
// with glue. ttl is in seconds.
func (z *Zone) Delegate(child string, ttl uint32, servers ...NameServer) error {
	owner, err := parseName(child, z.origin)
	if err != nil {
		return fmt.Errorf("dnszone: delegation: %w", err)
	}
	for _, s := range servers {
		name, err := parseName(s.Name, z.origin)
		if err == nil {
			err = z.add(owner, record{typeNS, ttl, append([]byte(name), 0)})
		}
		if err != nil {
			return fmt.Errorf("dnszone: name server %s of %v: %w", s.Name, owner, err)
		}
		if !name.lower().under(z.origin) {
			continue // glue of another zone would be nobody's (RFC 2181, section 5.4.1)
		}
		if err := z.AddAddrs(name.String(), ttl, s.Addrs...); err != nil {
			return err
		}
	}
	return nil
}

// AddAddrs adds an A or AAAA record for each address. ttl is in seconds.
func (z *Zone) AddAddrs(owner string, ttl uint32, addrs ...netip.Addr) error {
	name, err := parseName(owner, z.origin)
	if err != nil {
		return fmt.Errorf("dnszone: owner: %w", err)
	}
	for _, ip := range addrs {
		if !ip.IsValid() || ip.Zone() != "" {
			return fmt.Errorf("dnszone: %v: %v is no address for a record", name, ip)
		}
		typ := uint16(typeAAAA)
		if ip.Is4() {
			typ = typeA
		}
		if err := z.add(name, record{typ, ttl, ip.AsSlice()}); err != nil {
			return fmt.Errorf("dnszone: %w", err)
		}
	}
	return nil
}

// AddPTR adds the name of an address to a zone that [Reverse] made. A name
// without a final dot is a full name all the same. ttl is in seconds.
func (z *Zone) AddPTR(ip netip.Addr, name string, ttl uint32) error {
	if !ip.IsValid() {
		return fmt.Errorf("dnszone: PTR %s: no address", name)
	}
	owner, err := parseName(reverseName(ip.Unmap(), ip.Unmap().BitLen()), "")
	if err != nil {
		return fmt.Errorf("dnszone: PTR of %v: %w", ip, err)
	}
	target, err := parseName(name, "")
	if err == nil {
		err = z.add(owner, record{typePTR, ttl, append([]byte(target), 0)})
	}
	if err != nil {
		return fmt.Errorf("dnszone: PTR of %v: %w", ip, err)
	}
	return nil
}

// Reverse returns an empty zone for the names of the addresses of a prefix,
// below in-addr.arpa (RFC 1035, section 3.5) or ip6.arpa (RFC 3596, section
// 2.5). Its length is a multiple of 8 bits, or of 4 for IPv6.
func Reverse(prefix netip.Prefix) (*Zone, error) {
	unit := 4
	if prefix.Addr().Is4() {
		unit = 8
	}
	if !prefix.IsValid() || prefix.Bits()%unit != 0 {
		return nil, fmt.Errorf("dnszone: reverse zone of %v: the length is no multiple of %d", prefix, unit)
	}
	return NewZone(reverseName(prefix.Addr().WithZone(""), prefix.Bits()))
}

// reverseName is the name of the first bits of an address.
func reverseName(ip netip.Addr, bits int) string {
	var name string
	b := ip.AsSlice()
	if ip.Is4() {
		for _, v := range b[:bits/8] {
			name = strconv.Itoa(int(v)) + "." + name
		}
		return name + "in-addr.arpa."
	}
	for i := range bits / 4 {
		digit := b[i/2] >> (4 * (1 - i%2)) & 0xf
		name = strconv.FormatInt(int64(digit), 16) + "." + name
	}
	return name + "ip6.arpa."
}
