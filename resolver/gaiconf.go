package resolver

import (
	"net/netip"
	"strconv"
	"strings"
)

// ParseGaiConf reads a gai.conf(5) text: precedence, label and scopev4 lines.
// As in glibc, one line of a kind replaces the whole default table of that
// kind; addresses that no line covers then have precedence 40, label 1, and
// global scope. Lines that make no sense are skipped, and so is reload: a
// text does not change.
func ParseGaiConf(text string) *Policy {
	p := new(Policy)
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue
		}
		prefix, ok := parsePolicyPrefix(fields[1])
		value, err := strconv.Atoi(fields[2])
		if !ok || err != nil || value < 0 {
			continue
		}
		r := row(prefix, value)
		switch fields[0] {
		case "precedence":
			p.precedence = addRow(p.precedence, r)
		case "label":
			p.labels = addRow(p.labels, r)
		case "scopev4":
			if prefix.Bits() >= 96 && prefix.Addr().Is4In6() {
				p.scopes4 = addRow(p.scopes4, r)
			}
		}
	}
	complete := func(rows *[]policyRow, root policyRow) {
		if n := len(*rows); n > 0 && (*rows)[n-1].prefix != root.prefix {
			*rows = append(*rows, root)
		}
	}
	complete(&p.precedence, row(prefix6(0, 0, 0), 40))
	complete(&p.labels, row(prefix6(0, 0, 0), 1))
	complete(&p.scopes4, row(mapped(0, 0, 0, 0, 0), scopeGlobal))
	return p
}

// parsePolicyPrefix reads an address with an optional prefix length; IPv4
// goes under ::ffff:0:0/96. Bits beyond the length are cleared.
func parsePolicyPrefix(text string) (netip.Prefix, bool) {
	addr, length, sized := strings.Cut(text, "/")
	ip, err := netip.ParseAddr(addr)
	if err != nil || ip.Zone() != "" {
		return netip.Prefix{}, false
	}
	n := ip.BitLen()
	if sized {
		if n, err = strconv.Atoi(length); err != nil || n < 0 || n > ip.BitLen() {
			return netip.Prefix{}, false
		}
	}
	if ip.Is4() {
		ip, n = netip.AddrFrom16(ip.As16()), n+96
	}
	return netip.PrefixFrom(ip, n).Masked(), true
}
