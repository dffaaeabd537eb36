package dnszone

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// String returns the zone as a master file that [Parse], and other servers, can
// read: full names, one record a line, the SOA record first and the rest in the
// canonical order of names (RFC 4034, section 6.1). Names without records are
// not in it.
func (z *Zone) String() string {
	z.mu.RLock()
	defer z.mu.RUnlock()
	var b strings.Builder
	for i, name := range z.names() {
		n := z.nodes[name]
		records := slices.Clone(n.records)
		if i == 0 { // SOA first, as BIND and NSD want it
			slices.SortStableFunc(records, func(a, b record) int { return b2i(b.typ == typeSOA) - b2i(a.typ == typeSOA) })
		}
		for _, r := range records {
			fmt.Fprintf(&b, "%v %d IN %s %s\n", n.owner, r.ttl, typeText(r.typ), r.text())
		}
	}
	return b.String()
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// names returns the names of all nodes in canonical order.
func (z *Zone) names() []wireName {
	names := make([]wireName, 0, len(z.nodes))
	for name := range z.nodes {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b wireName) int { return slices.Compare(a.labels(), b.labels()) })
	return names
}

// labels returns the labels of a name, the last one first.
func (n wireName) labels() (out []string) {
	for ; n != ""; n = n.parent() {
		out = append(out, n.label())
	}
	slices.Reverse(out)
	return out
}

// text is the rdata in presentation form; in that of RFC 3597 where its type is
// unknown or it is not what its type should be.
func (r record) text() string {
	var words []string
	rest := r.data
	for _, c := range shapes[r.typ] {
		word, n := presentField(c, rest)
		if n < 0 {
			words = nil
			break
		}
		words = append(words, word)
		rest = rest[n:]
	}
	if words == nil || len(rest) > 0 {
		return fmt.Sprintf(`\# %d %x`, len(r.data), r.data)
	}
	return strings.Join(words, " ")
}

// presentField reads a field of rdata, and says how long it is, or −1.
func presentField(shape rune, data []byte) (string, int) {
	width := map[rune]int{'1': 1, '2': 2, '4': 4, 'a': 4, '6': 16}[shape]
	if len(data) < width {
		return "", -1
	}
	switch shape {
	case 'a', '6':
		ip, _ := netip.AddrFromSlice(data[:width])
		return ip.String(), width
	case '1', '2', '4':
		var n uint32
		for _, b := range data[:width] {
			n = n<<8 | uint32(b)
		}
		return fmt.Sprint(n), width
	case 'h':
		if len(data) == 0 {
			return "", -1
		}
		return fmt.Sprintf("%x", data), len(data)
	case 'n':
		name, end, ok := readName(data, 0)
		if !ok || end != len(name)+1 { // or it is compressed
			return "", -1
		}
		return name.String(), end
	case 's':
		if len(data) == 0 || 1+int(data[0]) > len(data) {
			return "", -1
		}
		return quote(data[1 : 1+data[0]]), 1 + int(data[0])
	}
	// t: to the end.
	var texts []string
	for rest := data; len(rest) > 0; {
		text, n := presentField('s', rest)
		if n < 0 {
			return "", -1
		}
		texts = append(texts, text)
		rest = rest[n:]
	}
	if texts == nil {
		return "", -1
	}
	return strings.Join(texts, " "), len(data)
}

// quote writes a character string (RFC 1035, section 5.1).
func quote(s []byte) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
