package dnszone

import (
	"fmt"
	"sync"
)

// DefaultTTL, in seconds, is the TTL of records in a master file that has no
// $TTL and states none.
const DefaultTTL = 3600

// Zone is the data of one zone. It may be changed while it is served.
type Zone struct {
	origin wireName // lower case

	mu    sync.RWMutex
	nodes map[wireName]*node // empty non-terminals included
}

// node is a name and its records, in the order of their addition.
type node struct {
	owner   wireName // in the case it was written in
	records []record
}

type record struct {
	typ  uint16
	ttl  uint32
	data []byte // names in it are not compressed
}

// NewZone returns an empty zone. origin is its name, with or without the
// final dot; "." is the root.
func NewZone(origin string) (*Zone, error) {
	name, err := parseName(origin, "")
	if err != nil {
		return nil, fmt.Errorf("dnszone: origin: %w", err)
	}
	return newZone(name), nil
}

func newZone(origin wireName) *Zone {
	return &Zone{origin: origin.lower(), nodes: map[wireName]*node{}}
}

// Add adds a record in presentation form. An owner, and a name in rdata,
// without a final dot continues with the zone's origin; "@" is the origin. typ
// is a mnemonic or TYPE with a number (RFC 3597, whose \# form of rdata works
// for every type). ttl is in seconds.
func (z *Zone) Add(owner, typ, rdata string, ttl uint32) error {
	name, err := parseName(owner, z.origin)
	if err != nil {
		return fmt.Errorf("dnszone: owner: %w", err)
	}
	entries, err := tokenize(rdata)
	if err != nil {
		return fmt.Errorf("dnszone: %s %s: %w", owner, typ, err)
	}
	var tokens []token
	for _, e := range entries {
		tokens = append(tokens, e.tokens...)
	}
	t, ok := parseType(typ)
	if !ok {
		return fmt.Errorf("dnszone: %s: no record type %q", owner, typ)
	}
	data, err := parseData(t, tokens, z.origin)
	if err != nil {
		return fmt.Errorf("dnszone: %s %s: %w", owner, typ, err)
	}
	if err := z.add(name, record{t, ttl, data}); err != nil {
		return fmt.Errorf("dnszone: %w", err)
	}
	return nil
}

func (z *Zone) add(owner wireName, r record) error {
	key := owner.lower()
	if !key.under(z.origin) {
		return fmt.Errorf("%v is not in zone %v", owner, z.origin)
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	n := z.nodes[key]
	if n == nil {
		n = &node{owner: owner}
		z.nodes[key] = n
		for up := key; up != z.origin; { // names above exist as well
			up = up.parent()
			if z.nodes[up] != nil {
				break
			}
			z.nodes[up] = &node{owner: owner[len(owner)-len(up):]}
		}
	}
	n.records = append(n.records, r)
	return nil
}

// Remove takes away all records of a name and type; typ "" means all types.
// The name itself goes on existing, without data.
func (z *Zone) Remove(owner, typ string) error {
	name, err := parseName(owner, z.origin)
	if err != nil {
		return fmt.Errorf("dnszone: owner: %w", err)
	}
	t, ok := parseType(typ)
	if !ok && typ != "" {
		return fmt.Errorf("dnszone: no record type %q", typ)
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if n := z.nodes[name.lower()]; n != nil {
		var kept []record
		for _, r := range n.records {
			if typ != "" && r.typ != t {
				kept = append(kept, r)
			}
		}
		n.records = kept
	}
	return nil
}

// find returns what the zone has for a name in lower case. The node is the
// name's own, that of a wildcard, or, with dname set, the one above whose
// DNAME record covers the name; nil if the name does not exist.
func (z *Zone) find(name wireName) (records []record, owner wireName, dname, exists bool) {
	z.mu.RLock()
	defer z.mu.RUnlock()
	if n := z.nodes[name]; n != nil {
		return n.records, n.owner, false, true
	}
	for up := name; up != z.origin; {
		up = up.parent()
		n := z.nodes[up]
		if n == nil {
			continue
		}
		for _, r := range n.records {
			if r.typ == typeDNAME {
				return []record{r}, n.owner, true, true
			}
		}
		// up is the closest encloser (RFC 4592, section 3.3.1).
		if n := z.nodes["\x01*"+up]; n != nil {
			return n.records, name, false, true
		}
		return nil, "", false, false
	}
	return nil, "", false, false
}

// soa returns the zone's SOA record.
func (z *Zone) soa() (record, wireName, bool) {
	z.mu.RLock()
	defer z.mu.RUnlock()
	if n := z.nodes[z.origin]; n != nil {
		for _, r := range n.records {
			if r.typ == typeSOA {
				return r, n.owner, true
			}
		}
	}
	return record{}, "", false
}
