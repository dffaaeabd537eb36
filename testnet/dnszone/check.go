package dnszone

import (
	"fmt"
	"strings"
)

// Check returns what in the zone is against the rules, joined into one error,
// or nil. Parse and Add refuse none of it, because a test may want to serve it.
func (z *Zone) Check() error {
	z.mu.RLock()
	defer z.mu.RUnlock()
	var c checker
	c.zone = z
	apex := z.nodes[z.origin]
	if apex == nil {
		apex = new(node)
	}
	if n := len(apex.ofType(typeSOA)); n != 1 {
		c.wrong("%v has %d SOA records, not one (RFC 1035, section 5.2)", z.origin, n)
	}
	if len(apex.ofType(typeNS)) == 0 {
		c.wrong("%v has no NS records (RFC 1034, section 4.2.1)", z.origin)
	}
	for _, name := range z.names() {
		c.node(name, z.nodes[name])
	}
	return c.err()
}

type checker struct {
	zone *Zone
	bad  []string
}

func (c *checker) wrong(format string, args ...any) {
	c.bad = append(c.bad, fmt.Sprintf(format, args...))
}

func (c *checker) err() error {
	if c.bad == nil {
		return nil
	}
	return fmt.Errorf("dnszone: zone %v: %s", c.zone.origin, strings.Join(c.bad, "; "))
}

func (c *checker) node(name wireName, n *node) {
	z := c.zone
	count := map[uint16]int{}
	ttl := map[uint16]uint32{}
	for _, r := range n.records {
		if r.typ != typeRRSIG && r.typ != typeNSEC { // those may be anywhere (RFC 4034, sections 3 and 4)
			count[r.typ]++
		}
		if first, seen := ttl[r.typ]; seen && first != r.ttl {
			c.wrong("%v %s has more than one TTL (RFC 2181, section 5.2)", n.owner, typeText(r.typ))
		}
		ttl[r.typ] = r.ttl
		if shapes[r.typ] != "" && strings.HasPrefix(r.text(), `\#`) {
			c.wrong("%v %s has rdata that is not of its type", n.owner, typeText(r.typ))
			continue
		}
		switch target := targetOf(r).lower(); r.typ {
		case typeSOA:
			if name != z.origin {
				c.wrong("%v has an SOA record and is not the zone's top", n.owner)
			}
		case typeNS:
			c.server(name, n.owner, target)
		case typeMX:
			host, _, _ := readName(r.data, 2)
			c.noAlias(n.owner, "MX", host.lower())
		}
	}
	if count[typeCNAME] > 0 && len(count)+count[typeCNAME] > 2 {
		c.wrong("%v has other records beside a CNAME (RFC 1034, section 3.6.2)", n.owner)
	}
	if count[typeDNAME] > 1 {
		c.wrong("%v has %d DNAME records (RFC 6672, section 2.4)", n.owner, count[typeDNAME])
	}
	for up := name; up != z.origin; {
		up = up.parent()
		if above := z.nodes[up]; len(n.records) > 0 && above != nil && above.ofType(typeDNAME) != nil {
			c.wrong("%v is below the DNAME record of %v (RFC 6672, section 2.4)", n.owner, above.owner)
		}
	}
}

// server looks at the name server of a zone or a delegation.
func (c *checker) server(name, owner, target wireName) {
	c.noAlias(owner, "NS", target)
	// Only an address in the zone itself can be missing. Below a delegation
	// it must be here as glue, if it is the delegation's own.
	if !target.under(c.zone.origin) || name != c.zone.origin && !target.under(name) {
		return
	}
	n := c.zone.nodes[target]
	if n == nil || n.ofType(typeA) == nil && n.ofType(typeAAAA) == nil {
		c.wrong("%v has the name server %v, which has no address (RFC 1034, section 4.2.1)", owner, target)
	}
}

func (c *checker) noAlias(owner wireName, typ string, target wireName) {
	if n := c.zone.nodes[target]; n != nil && n.ofType(typeCNAME) != nil {
		c.wrong("%v %s is the alias %v (RFC 2181, section 10.3)", owner, typ, target)
	}
}
