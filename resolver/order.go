package resolver

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"

	"usersock/stack/endpoint"
)

// The order of addresses, RFC 6724. Each destination is paired with the
// source address that the host would use for it; ten rules then compare the
// pairs. Rule 7 (native transport) says nothing here: a stack has no tunnels
// that the resolver could know of.
//
// Beyond the RFC's text: prefixes are compared up to the source's own prefix
// length, for IPv4 as for IPv6; loopback addresses serve loopback
// destinations only; an IPv6 link-local destination without a scope cannot
// be used.

// The scopes of RFC 6724, section 3.1.
const (
	scopeLinkLocal = 0x2
	scopeSiteLocal = 0x5
	scopeGlobal    = 0xe
)

// Policy holds the tables that the order depends on. The zero value has the
// tables of RFC 6724, section 2.1.
type Policy struct {
	precedence []policyRow // longest prefix first; nil is the default
	labels     []policyRow
	scopes4    []policyRow // scopes of IPv4 addresses
}

type policyRow struct {
	prefix netip.Prefix // IPv6; IPv4 is under ::ffff:0:0/96
	value  int
	want   bits128 // prefix, masked
	mask   bits128
}

func row(prefix netip.Prefix, value int) policyRow {
	r := policyRow{prefix: prefix.Masked(), value: value}
	n := prefix.Bits()
	r.mask.hi = ^uint64(0) << max(64-n, 0)
	r.mask.lo = ^uint64(0) << (64 - max(n-64, 0))
	addr := bitsOf(prefix.Addr())
	r.want = bits128{addr.hi & r.mask.hi, addr.lo & r.mask.lo}
	return r
}

// bits128 is an IPv6 address, or an IPv4 address in its mapped form.
type bits128 struct{ hi, lo uint64 }

func bitsOf(ip netip.Addr) bits128 {
	b := ip.As16()
	return bits128{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func mapped(a, b, c, d byte, bits int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 12: a, b, c, d}), 96+bits)
}

func prefix6(hi uint16, lo uint16, bits int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{byte(hi >> 8), byte(hi), byte(lo >> 8), byte(lo)}), bits)
}

// The default tables, RFC 6724, sections 2.1 and 3.2, longest prefix first.
var (
	defaultPrecedence = []policyRow{
		row(netip.PrefixFrom(netip.IPv6Loopback(), 128), 50),
		row(mapped(0, 0, 0, 0, 0), 35),
		row(prefix6(0, 0, 96), 1),
		row(prefix6(0x2001, 0, 32), 5),
		row(prefix6(0x2002, 0, 16), 30),
		row(prefix6(0x3ffe, 0, 16), 1),
		row(prefix6(0xfec0, 0, 10), 1),
		row(prefix6(0xfc00, 0, 7), 3),
		row(prefix6(0, 0, 0), 40),
	}
	defaultLabels = []policyRow{
		row(netip.PrefixFrom(netip.IPv6Loopback(), 128), 0),
		row(mapped(0, 0, 0, 0, 0), 4),
		row(prefix6(0, 0, 96), 3),
		row(prefix6(0x2001, 0, 32), 5),
		row(prefix6(0x2002, 0, 16), 2),
		row(prefix6(0x3ffe, 0, 16), 12),
		row(prefix6(0xfec0, 0, 10), 11),
		row(prefix6(0xfc00, 0, 7), 13),
		row(prefix6(0, 0, 0), 1),
	}
	defaultScopes4 = []policyRow{
		row(mapped(169, 254, 0, 0, 16), scopeLinkLocal),
		row(mapped(127, 0, 0, 0, 8), scopeLinkLocal),
		row(mapped(0, 0, 0, 0, 0), scopeGlobal),
	}
)

func lookupPolicy(rows, otherwise []policyRow, ip bits128) int {
	if rows == nil {
		rows = otherwise
	}
	for i := range rows {
		if r := &rows[i]; ip.hi&r.mask.hi == r.want.hi && ip.lo&r.mask.lo == r.want.lo {
			return r.value
		}
	}
	return 0
}

// addRow inserts a row so that the longest prefix stays first; a row of the
// same prefix is replaced.
func addRow(rows []policyRow, row policyRow) []policyRow {
	for i := range rows {
		if rows[i].prefix == row.prefix {
			rows[i] = row
			return rows
		}
		if rows[i].prefix.Bits() < row.prefix.Bits() {
			return slices.Insert(rows, i, row)
		}
	}
	return append(rows, row)
}

func (p *Policy) scope(ip netip.Addr) int {
	switch {
	case ip.Is4() || ip.Is4In6():
		return lookupPolicy(p.scopes4, defaultScopes4, bitsOf(ip))
	case ip.IsMulticast():
		return int(ip.As16()[1] & 0xf)
	case ip.IsLinkLocalUnicast() || ip.IsLoopback():
		return scopeLinkLocal
	}
	if b := ip.As16(); b[0] == 0xfe && b[1]&0xc0 == 0xc0 {
		return scopeSiteLocal
	}
	return scopeGlobal
}

func (p *Policy) label(ip netip.Addr) int {
	return lookupPolicy(p.labels, defaultLabels, bitsOf(ip))
}

// SelectSource returns the address of addrs that RFC 6724, section 5, prefers
// as the source of packets to dst, and false when none can serve. A decimal
// zone of dst restricts the choice to that interface. Of equals the first
// one wins.
func (p *Policy) SelectSource(dst netip.Addr, addrs []Address) (Address, bool) {
	zone := dst.Zone()
	dst = dst.WithZone("").Unmap()
	best := -1
	for i := range addrs {
		a := &addrs[i]
		ip := a.Prefix.Addr()
		if ip.Is4() != dst.Is4() || a.Loopback != dst.IsLoopback() || zone != "" && zone != zoneOf(a.Index) {
			continue
		}
		if best < 0 || p.betterSource(dst, a, &addrs[best]) {
			best = i
		}
	}
	if best < 0 {
		return Address{}, false
	}
	return addrs[best], true
}

// betterSource reports whether a is strictly better than b.
func (p *Policy) betterSource(dst netip.Addr, a, b *Address) bool {
	ipA, ipB := a.Prefix.Addr(), b.Prefix.Addr()
	if (ipA == dst) != (ipB == dst) { // 1: same address
		return ipA == dst
	}
	if sa, sb, sd := p.scope(ipA), p.scope(ipB), p.scope(dst); sa != sb { // 2: appropriate scope
		if sa < sb {
			return sa >= sd
		}
		return sb < sd
	}
	if a.Deprecated != b.Deprecated { // 3
		return b.Deprecated
	}
	if a.CareOf != b.CareOf { // 4: home addresses
		return b.CareOf
	}
	label := p.label(dst)                                                 // 5 is the zone's work
	if ma, mb := p.label(ipA) == label, p.label(ipB) == label; ma != mb { // 6
		return ma
	}
	if a.Temporary != b.Temporary { // 7
		return a.Temporary
	}
	return commonPrefix(a.Prefix, dst) > commonPrefix(b.Prefix, dst) // 8
}

// commonPrefix is the number of leading bits that src and dst share, at most
// the length of src's prefix.
func commonPrefix(src netip.Prefix, dst netip.Addr) int {
	s, d := bitsOf(src.Addr()), bitsOf(dst)
	n := bits.LeadingZeros64(s.hi ^ d.hi)
	if n == 64 {
		n += bits.LeadingZeros64(s.lo ^ d.lo)
	}
	if dst.Is4() {
		n -= 96
	}
	return min(n, src.Bits())
}

// destination is an address to be sorted, with all that the rules ask.
type destination struct {
	ip    netip.Addr // without zone
	scope uint32     // interface index

	usable     bool
	mismatched bool // rule 2: scope differs from the source's
	deprecated bool
	careOf     bool
	labelled   bool // rule 5: label equals the source's
	precedence int
	reach      int // scope of RFC 6724
	common     int
	v4         bool
}

// sortAddrs puts the addresses in the order of RFC 6724, section 6, given the
// host's own addresses. Equals keep their order.
func (p *Policy) sortAddrs(host Host, list []destination) {
	if len(list) < 2 {
		return
	}
	own := host.Addresses()
	for i := range list {
		p.rate(host, own, &list[i])
	}
	slices.SortStableFunc(list, compareDestinations)
}

// sortedList is the sorted order of the addresses of one or two answers.
type sortedList struct {
	with    *answer // the second answer, or nil
	version uint64  // of the host
	list    []destination
}

// sortedOf returns the sorted addresses that DNS gave. While the host does not
// change (Versioned) the order is that of the last time: to find the source of
// each destination costs more than all the rest.
func (r *Resolver) sortedOf(e *entry) []destination {
	var version uint64
	if r.version != nil {
		version = r.version.Version()
		if s := e.from.sorted.Load(); s != nil && s.with == e.with && s.version == version {
			return s.list
		}
	}
	list := make([]destination, 0, len(e.a4)+len(e.a6))
	for _, ip := range e.a4 {
		list = append(list, destination{ip: ip})
	}
	for _, ip := range e.a6 {
		list = append(list, destination{ip: ip})
	}
	r.policy.sortAddrs(r.host, list)
	if r.version != nil {
		e.from.sorted.Store(&sortedList{e.with, version, list})
	}
	return list
}

func (p *Policy) rate(host Host, own []Address, d *destination) {
	ip := d.ip.Unmap()
	d.v4 = ip.Is4()
	d.reach = p.scope(ip)
	d.precedence = lookupPolicy(p.precedence, defaultPrecedence, bitsOf(ip))
	src, ok := sourceFor(host, d)
	if !ok {
		return
	}
	d.usable = true
	d.mismatched = p.scope(src) != d.reach
	d.labelled = p.label(src) == p.label(ip)
	prefix := netip.PrefixFrom(src, src.BitLen())
	for i := range own {
		if own[i].Prefix.Addr() == src {
			prefix = own[i].Prefix
			d.deprecated, d.careOf = own[i].Deprecated, own[i].CareOf
			break
		}
	}
	d.common = commonPrefix(prefix, ip)
}

// sourceFor is the address that a packet to d would come from, and false when
// there is none, or none that helps.
func sourceFor(host Host, d *destination) (netip.Addr, bool) {
	ip := d.ip.Unmap()
	target := ip
	if ip.Is6() && ip.IsLinkLocalUnicast() {
		if d.scope == 0 {
			return netip.Addr{}, false
		}
		target = ip.WithZone(zoneOf(d.scope))
	}
	src, ok := host.Source(target)
	if src = src.WithZone("").Unmap(); !ok || src.IsLoopback() && !ip.IsLoopback() {
		return netip.Addr{}, false
	}
	return src, true
}

func compareDestinations(a, b destination) int {
	c, _ := decide(&a, &b)
	return c
}

// decide compares two destinations and says by which rule.
func decide(a, b *destination) (int, Rule) {
	prefer := func(x, y bool) int { // -1 when only x holds
		switch {
		case x == y:
			return 0
		case x:
			return -1
		}
		return 1
	}
	if c := prefer(a.usable, b.usable); c != 0 {
		return c, 1
	}
	if a.usable {
		if c := prefer(!a.mismatched, !b.mismatched); c != 0 {
			return c, 2
		}
		if c := prefer(!a.deprecated, !b.deprecated); c != 0 {
			return c, 3
		}
		if c := prefer(!a.careOf, !b.careOf); c != 0 {
			return c, 4
		}
		if c := prefer(a.labelled, b.labelled); c != 0 {
			return c, 5
		}
	}
	if a.precedence != b.precedence {
		return b.precedence - a.precedence, 6
	}
	if a.reach != b.reach {
		return a.reach - b.reach, 8
	}
	if a.usable && a.v4 == b.v4 && a.common != b.common {
		return b.common - a.common, 9
	}
	return 0, 10
}

// family is the address family that d is returned as.
func (d *destination) family() int {
	if d.ip.Is4() {
		return endpoint.AF_INET
	}
	return endpoint.AF_INET6
}
