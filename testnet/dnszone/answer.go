package dnszone

import (
	"encoding/binary"
	"slices"
)

// maxChain bounds the aliases that one answer follows.
const maxChain = 32

// zoneFor returns the zone that name, in lower case, belongs to: the deepest
// one, or, with above, the one above the zone of that very name.
func (s *Server) zoneFor(name wireName, above bool) *Zone {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var best, top *Zone // top has the name itself as its origin
	for _, z := range s.zones {
		switch {
		case !name.under(z.origin):
		case above && z.origin == name:
			top = z
		case best == nil || len(z.origin) > len(best.origin):
			best = z
		}
	}
	if best == nil {
		return top
	}
	return best
}

// resolve finds what to answer, following aliases through all zones.
func (s *Server) resolve(q *request) (r response) {
	if q.class != classIN && q.class != classANY || q.typ == typeIXFR || q.typ == typeAXFR {
		return response{rcode: rcodeRefused}
	}
	name := q.name
	atCut := q.typ == typeDS
	for range maxChain {
		z := s.zoneFor(name.lower(), atCut)
		if z == nil {
			if r.answers == nil {
				r.rcode = rcodeRefused
			}
			return r
		}
		found := z.find(name.lower(), atCut)
		switch found.kind {
		case findNothing: // of the last name of a chain (RFC 6604, section 3)
			r.rcode, r.authority = rcodeNXDomain, z.authority()
			return r
		case findCut:
			r.refer(z, found)
			return r
		case findDNAME:
			dname := found.records[0]
			r.add(found.owner, dname)
			alias, ok := substitute(name, found.owner, dname)
			if !ok {
				r.rcode = rcodeYXDomain
				return r
			}
			if looped := r.add(name, alias); looped || q.typ == typeCNAME {
				return r
			}
			name = targetOf(alias)
			continue
		}
		answered := false
		var alias *record
		for i := range found.records {
			rr := &found.records[i]
			if rr.typ == q.typ || q.typ == typeANY {
				r.add(name, *rr)
				answered = true
			} else if rr.typ == typeCNAME {
				alias = rr
			}
		}
		if answered {
			return r
		}
		if alias == nil {
			r.authority = z.authority()
			return r
		}
		if looped := r.add(name, *alias); looped {
			return r
		}
		name = targetOf(*alias)
	}
	return r
}

// add adds a record to the answers, unless it is among them, which it reports.
func (r *response) add(owner wireName, rr record) (known bool) {
	for _, a := range r.answers {
		if a.typ == rr.typ && a.owner.lower() == owner.lower() && string(a.data) == string(rr.data) {
			return true
		}
	}
	r.answers = append(r.answers, owned{owner, rr})
	return false
}

// refer says who knows more: the name servers of a delegation, with all their
// addresses that the zone has (RFC 9471).
func (r *response) refer(z *Zone, cut finding) {
	r.referral = true
	for _, ns := range cut.records {
		r.authority = append(r.authority, owned{cut.owner, ns})
		for _, glue := range z.glue(targetOf(ns).lower()) {
			if !slices.ContainsFunc(r.additional, func(o owned) bool {
				return o.owner == glue.owner && o.typ == glue.typ && string(o.data) == string(glue.data)
			}) {
				r.additional = append(r.additional, glue)
			}
		}
	}
}

// authority is the SOA record that a negative answer needs. Its TTL is that of
// the negative answer (RFC 2308, section 3).
func (z *Zone) authority() []owned {
	r, owner, ok := z.soa()
	if !ok {
		return nil
	}
	if n := len(r.data); n >= 4 {
		r.ttl = min(r.ttl, binary.BigEndian.Uint32(r.data[n-4:]))
	}
	return []owned{{owner, r}}
}

func targetOf(r record) wireName {
	name, _, _ := readName(r.data, 0)
	return name
}

// substitute makes the CNAME that a DNAME record at owner means for name
// (RFC 6672, section 2.2).
func substitute(name, owner wireName, dname record) (record, bool) {
	target := name[:len(name)-len(owner)] + targetOf(dname)
	if len(target) > 254 {
		return record{}, false
	}
	return record{typeCNAME, dname.ttl, append([]byte(target), 0)}, true
}
