package resolver

import (
	"fmt"
	"net/netip"
	"slices"
)

// Rule is a rule of RFC 6724, section 6, by its number there.
type Rule int

// ruleTexts are short names of the rules.
var ruleTexts = [...]string{
	1:  "avoid destinations that cannot be reached",
	2:  "prefer a source of the destination's scope",
	3:  "avoid deprecated sources",
	4:  "prefer home addresses as sources",
	5:  "prefer a source of the destination's label",
	6:  "prefer the higher precedence",
	7:  "prefer native transport",
	8:  "prefer the smaller scope",
	9:  "prefer the longer prefix in common with the source",
	10: "leave the order as it is",
}

// String returns the number of the rule and what it says.
func (r Rule) String() string {
	if r < 1 || int(r) >= len(ruleTexts) {
		return fmt.Sprintf("rule %d", int(r))
	}
	return fmt.Sprintf("rule %d: %s", int(r), ruleTexts[r])
}

// Destination is an address in the order of RFC 6724, with what its rules ask.
type Destination struct {
	Addr   netip.Addr // with its zone
	Source netip.Addr // what packets to it would come from; not valid: it cannot be reached

	Scope, SourceScope int  // section 3.1: 2 link-local, 5 site-local, 14 global; of multicast addresses their own
	Label, SourceLabel int  // section 2.1
	Precedence         int  // section 2.1
	CommonPrefix       int  // bits that address and source share, at most the source's prefix length
	Deprecated         bool // the source is
	CareOf             bool // the source is a care-of address

	// Rule is what put this address before the next one of the list; 0 on
	// the last one.
	Rule Rule
}

// Order sorts addresses as Getaddrinfo does, and explains it. A zone is an
// interface's name or index; any other is dropped.
func (r *Resolver) Order(addrs ...netip.Addr) []Destination {
	p, own := r.policy, r.host.Addresses()
	list := make([]destination, len(addrs))
	zones := map[uint32]string{}
	for i, ip := range addrs {
		d := &list[i]
		d.ip = ip.WithZone("")
		if zone := ip.Zone(); zone != "" {
			if scope, ok := parseScope(d.ip, zone, r.host); ok {
				d.scope, zones[scope] = scope, zone
			}
		}
		p.rate(r.host, own, d)
	}
	slices.SortStableFunc(list, compareDestinations)
	out := make([]Destination, len(list))
	for i := range list {
		d := &list[i]
		ip := d.ip.Unmap()
		o := Destination{
			Addr: d.ip, Scope: d.reach, Label: p.label(ip), Precedence: d.precedence,
			CommonPrefix: d.common, Deprecated: d.deprecated, CareOf: d.careOf,
		}
		if d.ip.Is6() && d.scope != 0 {
			o.Addr = d.ip.WithZone(zones[d.scope])
		}
		if src, ok := sourceFor(r.host, d); ok {
			o.Source, o.SourceScope, o.SourceLabel = src, p.scope(src), p.label(src)
		}
		if i+1 < len(list) {
			_, o.Rule = decide(d, &list[i+1])
		}
		out[i] = o
	}
	return out
}
