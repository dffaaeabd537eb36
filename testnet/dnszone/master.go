package dnszone

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Master files, RFC 1035, section 5: one record a line; ( and ) let it go on
// over lines; ; begins a comment; a line that begins with white space has the
// owner of the line before; @ is the origin. $ORIGIN and $TTL (RFC 2308,
// section 4) work, $INCLUDE does not.

// token is a word of a line, with its escapes still in it.
type token struct {
	text   string
	quoted bool
}

// line is a logical line.
type line struct {
	tokens   []token
	indented bool // it began with white space
	number   int  // of its first line, from 1
}

// tokenize splits a text into logical lines without the empty ones.
func tokenize(text string) ([]line, error) {
	var lines []line
	cur := line{number: 1}
	number, depth := 1, 0
	atStart := true
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '\n':
			number++
			i++
			if depth == 0 {
				if len(cur.tokens) > 0 {
					lines = append(lines, cur)
				}
				cur = line{number: number}
				atStart = true
			}
			continue
		case c == ' ' || c == '\t' || c == '\r':
			if atStart && c != '\r' {
				cur.indented = true
			}
			i++
		case c == ';':
			for i < len(text) && text[i] != '\n' {
				i++
			}
		case c == '(':
			depth++
			i++
		case c == ')':
			if depth--; depth < 0 {
				return nil, fmt.Errorf("line %d: ) without (", number)
			}
			i++
		case c == '"':
			start := i + 1
			for i = start; i < len(text) && text[i] != '"' && text[i] != '\n'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			if i >= len(text) || text[i] == '\n' {
				return nil, fmt.Errorf("line %d: a quotation is not closed", number)
			}
			cur.tokens = append(cur.tokens, token{text[start:i], true})
			i++
		default:
			start := i
			for i < len(text) && !strings.ContainsRune(" \t\r\n;()\"", rune(text[i])) {
				if text[i] == '\\' {
					i++
				}
				i++
			}
			i = min(i, len(text))
			cur.tokens = append(cur.tokens, token{text[start:i], false})
		}
		atStart = false
	}
	if depth > 0 {
		return nil, fmt.Errorf("line %d: ( without )", cur.number)
	}
	if len(cur.tokens) > 0 {
		lines = append(lines, cur)
	}
	return lines, nil
}

// Parse reads a master file. origin is the zone's name and the first $ORIGIN.
func Parse(text, origin string) (*Zone, error) {
	apex, err := parseName(origin, "")
	if err != nil {
		return nil, fmt.Errorf("dnszone: origin: %w", err)
	}
	z := newZone(apex)
	p := parser{add: z.add, origin: apex, ttl: DefaultTTL}
	if err := p.text(text); err != nil {
		return nil, fmt.Errorf("dnszone: zone %v: %w", apex, err)
	}
	return z, nil
}

type parser struct {
	add    func(wireName, record) error
	origin wireName
	owner  wireName
	owned  bool // owner is set
	ttl    uint32
}

func (p *parser) text(text string) error {
	lines, err := tokenize(text)
	if err != nil {
		return err
	}
	for _, l := range lines {
		if err := p.line(l); err != nil {
			return fmt.Errorf("line %d: %w", l.number, err)
		}
	}
	return nil
}

func (p *parser) line(l line) error {
	tokens := l.tokens
	if first := tokens[0]; !first.quoted && strings.HasPrefix(first.text, "$") {
		return p.directive(tokens)
	}
	if !l.indented {
		owner, err := parseName(tokens[0].text, p.origin)
		if err != nil {
			return err
		}
		p.owner, p.owned = owner, true
		tokens = tokens[1:]
	}
	if !p.owned {
		return errors.New("the first record has no owner")
	}
	ttl := p.ttl
	for ; len(tokens) > 0; tokens = tokens[1:] { // TTL and class, in any order
		if n, ok := parseTTL(tokens[0].text); ok {
			ttl = n
			continue
		}
		if !strings.EqualFold(tokens[0].text, "IN") {
			break
		}
	}
	if len(tokens) == 0 {
		return errors.New("a record without type")
	}
	typ, ok := parseType(tokens[0].text)
	if !ok {
		return fmt.Errorf("no record type %q", tokens[0].text)
	}
	data, err := parseData(typ, tokens[1:], p.origin)
	if err != nil {
		return fmt.Errorf("%v %s: %w", p.owner, tokens[0].text, err)
	}
	return p.add(p.owner, record{typ, ttl, data})
}

func (p *parser) directive(tokens []token) error {
	if len(tokens) != 2 {
		return fmt.Errorf("%s needs one value", tokens[0].text)
	}
	value := tokens[1].text
	switch strings.ToUpper(tokens[0].text) {
	case "$ORIGIN":
		origin, err := parseName(value, p.origin)
		if err != nil {
			return err
		}
		p.origin = origin
	case "$TTL":
		ttl, ok := parseTTL(value)
		if !ok {
			return fmt.Errorf("$TTL %q is no TTL", value)
		}
		p.ttl = ttl
	default:
		return fmt.Errorf("no directive %s", tokens[0].text)
	}
	return nil
}

// parseTTL reads seconds, or numbers with units such as 1h30m.
func parseTTL(s string) (uint32, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	var total, number uint64
	pending := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		if '0' <= c && c <= '9' {
			number = number*10 + uint64(c-'0')
			pending = true
		} else {
			unit, ok := map[byte]uint64{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 604800}[c|0x20]
			if !ok || !pending {
				return 0, false
			}
			total += number * unit
			number, pending = 0, false
		}
		if total+number > 1<<31-1 {
			return 0, false
		}
	}
	return uint32(total + number), true
}

// Record types, RFC 1035, section 3.2.2, and later.
const (
	typeA     = 1
	typeNS    = 2
	typeCNAME = 5
	typeSOA   = 6
	typePTR   = 12
	typeMX    = 15
	typeTXT   = 16
	typeAAAA  = 28
	typeSRV   = 33
	typeHINFO = 13
	typeNAPTR = 35
	typeDNAME = 39
	typeOPT   = 41
	typeDS    = 43
	typeSSHFP = 44
	typeRRSIG = 46
	typeNSEC  = 47
	typeTLSA  = 52
	typeIXFR  = 251
	typeAXFR  = 252
	typeANY   = 255
)

// shape says what rdata consists of: n a name, 1, 2 and 4 numbers of that many
// bytes, a and 6 addresses, s a character string, t one or more of them, h hex
// digits, in any number of words, to the end.
var shapes = map[uint16]string{
	typeA: "a", typeAAAA: "6", typeNS: "n", typeCNAME: "n", typePTR: "n", typeDNAME: "n",
	typeSOA: "nn44444", typeMX: "2n", typeSRV: "222n", typeTXT: "t", typeHINFO: "ss",
	typeNAPTR: "22sssn", typeDS: "211h", typeSSHFP: "11h", typeTLSA: "111h",
}

var typeNames = map[string]uint16{
	"A": typeA, "NS": typeNS, "CNAME": typeCNAME, "SOA": typeSOA, "PTR": typePTR, "MX": typeMX,
	"TXT": typeTXT, "AAAA": typeAAAA, "SRV": typeSRV, "DNAME": typeDNAME, "OPT": typeOPT, "ANY": typeANY,
	"HINFO": typeHINFO, "NAPTR": typeNAPTR, "DS": typeDS, "SSHFP": typeSSHFP, "TLSA": typeTLSA,
	"IXFR": typeIXFR, "AXFR": typeAXFR,
}

func parseType(s string) (uint16, bool) {
	s = strings.ToUpper(s)
	if t, ok := typeNames[s]; ok {
		return t, !questionOnly(t)
	}
	if number, ok := strings.CutPrefix(s, "TYPE"); ok {
		n, err := strconv.ParseUint(number, 10, 16)
		return uint16(n), err == nil && n != 0 && !questionOnly(uint16(n))
	}
	return 0, false
}

// questionOnly says that no zone has records of a type: OPT, and those that
// RFC 6895, section 3.1, keeps for questions.
func questionOnly(t uint16) bool { return t == typeOPT || 128 <= t && t <= 255 }

// typeText is the mnemonic of a type, or TYPE with its number.
func typeText(t uint16) string {
	for name, n := range typeNames {
		if n == t {
			return name
		}
	}
	return "TYPE" + strconv.Itoa(int(t))
}

// parseData makes rdata of the words of a record.
func parseData(typ uint16, tokens []token, origin wireName) ([]byte, error) {
	if len(tokens) > 1 && tokens[0].text == `\#` {
		return parseRaw(tokens[1:])
	}
	shape, ok := shapes[typ]
	if !ok {
		return nil, fmt.Errorf(`type %s needs rdata in the \# form`, typeText(typ))
	}
	var data []byte
	if shape == "t" {
		if len(tokens) == 0 {
			return nil, errors.New("no text")
		}
		for _, t := range tokens {
			s, err := characterString(t.text)
			if err != nil {
				return nil, err
			}
			data = append(data, s...)
		}
		if len(data) > 0xffff {
			return nil, errors.New("rdata is longer than 65535 bytes")
		}
		return data, nil
	}
	if last := len(shape) - 1; shape[last] == 'h' && len(tokens) > last {
		var digits strings.Builder
		for _, t := range tokens[last:] {
			digits.WriteString(t.text)
		}
		tokens = append(slices.Clone(tokens[:last]), token{text: digits.String()})
	}
	if len(tokens) != len(shape) {
		return nil, fmt.Errorf("rdata has %d fields and needs %d", len(tokens), len(shape))
	}
	for i, t := range tokens {
		field, err := parseField(shape[i], t.text, typ, origin)
		if err != nil {
			return nil, err
		}
		data = append(data, field...)
	}
	if len(data) > 0xffff {
		return nil, errors.New("rdata is longer than 65535 bytes")
	}
	return data, nil
}

// parseField makes one field of rdata.
func parseField(shape byte, text string, typ uint16, origin wireName) ([]byte, error) {
	switch shape {
	case 'n':
		name, err := parseName(text, origin)
		return append([]byte(name), 0), err
	case 's':
		return characterString(text)
	case 'h':
		return hex.DecodeString(text)
	case '1', '2':
		bits := 8 * int(shape-'0')
		n, err := strconv.ParseUint(text, 10, bits)
		if err != nil {
			return nil, fmt.Errorf("%q is no number of %d bits", text, bits)
		}
		return binary.BigEndian.AppendUint16(nil, uint16(n))[2-bits/8:], nil
	case '4':
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			ttl, ok := parseTTL(text)
			if !ok {
				return nil, fmt.Errorf("%q is no number of 32 bits", text)
			}
			n = uint64(ttl)
		}
		return binary.BigEndian.AppendUint32(nil, uint32(n)), nil
	}
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Zone() != "" || ip.Is4() != (shape == 'a') {
		return nil, fmt.Errorf("%q is no address for type %s", text, typeText(typ))
	}
	return ip.AsSlice(), nil
}

// parseRaw reads the form of RFC 3597, section 5: a length and hex digits.
func parseRaw(tokens []token) ([]byte, error) {
	var digits strings.Builder
	for _, t := range tokens[1:] {
		digits.WriteString(t.text)
	}
	data, err := hex.DecodeString(digits.String())
	if err != nil {
		return nil, err
	}
	if n, err := strconv.Atoi(tokens[0].text); err != nil || n != len(data) || n > 0xffff {
		return nil, fmt.Errorf("%d bytes of rdata, but the length says %s", len(data), tokens[0].text)
	}
	return data, nil
}

// characterString is a text of at most 255 bytes after its length.
func characterString(text string) ([]byte, error) {
	out := []byte{0}
	for text != "" {
		if text[0] != '\\' {
			out = append(out, text[0])
			text = text[1:]
			continue
		}
		b, n, err := unescape(text)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
		text = text[n:]
	}
	if len(out) > 256 {
		return nil, errors.New("a text is longer than 255 bytes")
	}
	out[0] = byte(len(out) - 1)
	return out, nil
}
