package dnszone

import (
	"bytes"
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
// for every type). ttl is in seconds. A record that the zone has already is not
// added again.
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
	for _, old := range n.records {
		if old.typ == r.typ && bytes.Equal(old.data, r.data) {
			return nil // a duplicate says nothing (RFC 2181, section 5)
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

// finding is what a zone has for a name.
type finding struct {
	kind    findKind
	owner   wireName // of the records; the name itself where a wildcard gave them
	records []record
}

type findKind uint8

const (
	findNothing findKind = iota // the name does not exist
	findRecords                 // the name's own records or a wildcard's; none for an empty non-terminal
	findDNAME                   // the DNAME record above the name
	findCut                     // the NS records at or above the name, which delegate it
)

// find walks from the zone's top down to a name in lower case (RFC 1034,
// section 4.3.2, and RFC 6672, section 3.2). What lies below a delegation or a
// DNAME record is not found: it is glue, or not there at all. atCut says that
// the records at the cut itself are wanted, which the upper zone answers (RFC
// 4035, section 3.1.4.1).
func (z *Zone) find(name wireName, atCut bool) finding {
	z.mu.RLock()
	defer z.mu.RUnlock()
	var space [16]wireName
	path := space[:0] // from the name up
	for up := name; ; up = up.parent() {
		path = append(path, up)
		if up == z.origin {
			break
		}
	}
	for i := len(path) - 1; i >= 0; i-- {
		n := z.nodes[path[i]]
		if n == nil {
			if i == len(path)-1 {
				return finding{} // an empty zone
			}
			// path[i+1] is the closest encloser (RFC 4592, section 3.3.1).
			if n := z.nodes["\x01*"+path[i+1]]; n != nil {
				return finding{findRecords, name, n.records}
			}
			return finding{}
		}
		if i < len(path)-1 && !(i == 0 && atCut) {
			if ns := n.ofType(typeNS); ns != nil {
				return finding{findCut, n.owner, ns}
			}
		}
		if i > 0 {
			if d := n.ofType(typeDNAME); d != nil {
				return finding{findDNAME, n.owner, d[:1]}
			}
		}
	}
	n := z.nodes[name]
	return finding{findRecords, n.owner, n.records}
}

// ofType returns the node's records of a type.
func (n *node) ofType(typ uint16) (out []record) {
	for _, r := range n.records {
		if r.typ == typ {
			out = append(out, r)
		}
	}
	return out
}

// glue returns the addresses that the zone has for a name in lower case,
// below a delegation or not.
func (z *Zone) glue(name wireName) (out []owned) {
	z.mu.RLock()
	defer z.mu.RUnlock()
	n := z.nodes[name]
	if n == nil {
		return nil
	}
	for _, typ := range [...]uint16{typeA, typeAAAA} {
		for _, r := range n.ofType(typ) {
			out = append(out, owned{n.owner, r})
		}
	}
	return out
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
