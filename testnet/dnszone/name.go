package dnszone

import (
	"errors"
	"fmt"
	"strings"
)

// wireName is a domain name as in messages, each label after its length, but
// without the zero that ends it: the root is "". As a map key it is in lower
// case. Any byte may be in a label, a dot and a NUL included.
type wireName string

var (
	errLabel = errors.New("label is empty or longer than 63 bytes")
	errName  = errors.New("name is longer than 255 bytes")
)

// parseName reads a name in presentation form (RFC 1035, section 5.1): \DDD
// is a byte, \X the character X, @ the origin, and a name without a final dot
// continues with the origin.
func parseName(text string, origin wireName) (wireName, error) {
	switch text {
	case "":
		return "", fmt.Errorf("name %q: %w", text, errLabel)
	case "@":
		return origin, nil
	case ".":
		return "", nil
	}
	var wire, label []byte
	rest := text
	for rest != "" {
		c := rest[0]
		switch c {
		case '.':
			if len(label) == 0 || len(label) > 63 {
				return "", fmt.Errorf("name %q: %w", text, errLabel)
			}
			wire = append(append(wire, byte(len(label))), label...)
			label = label[:0]
			rest = rest[1:]
			continue
		case '\\':
			b, n, err := unescape(rest)
			if err != nil {
				return "", fmt.Errorf("name %q: %w", text, err)
			}
			label = append(label, b)
			rest = rest[n:]
		default:
			label = append(label, c)
			rest = rest[1:]
		}
		if rest == "" { // no final dot
			if len(label) > 63 {
				return "", fmt.Errorf("name %q: %w", text, errLabel)
			}
			wire = append(append(wire, byte(len(label))), label...)
			wire = append(wire, origin...)
		}
	}
	if len(wire) > 254 {
		return "", fmt.Errorf("name %q: %w", text, errName)
	}
	return wireName(wire), nil
}

// unescape reads the escape that s begins with, and says how long it is.
func unescape(s string) (b byte, n int, err error) {
	if len(s) < 2 {
		return 0, 0, errors.New("a backslash ends the text")
	}
	if s[1] < '0' || s[1] > '9' {
		return s[1], 2, nil
	}
	value := 0
	for i := 1; i < 4; i++ {
		if i >= len(s) || s[i] < '0' || s[i] > '9' {
			return 0, 0, errors.New(`\DDD needs three digits`)
		}
		value = value*10 + int(s[i]-'0')
	}
	if value > 255 {
		return 0, 0, errors.New(`\DDD is beyond 255`)
	}
	return byte(value), 4, nil
}

// String returns the presentation form, with a final dot.
func (n wireName) String() string {
	if n == "" {
		return "."
	}
	var b strings.Builder
	for rest := n; rest != ""; rest = rest.parent() {
		for _, c := range []byte(rest.label()) {
			switch {
			case c == '.' || c == '\\' || c == '"' || c == ';' || c == '(' || c == ')' || c == '@' || c == '$':
				b.WriteByte('\\')
				b.WriteByte(c)
			case c <= ' ' || c >= 0x7f:
				fmt.Fprintf(&b, `\%03d`, c)
			default:
				b.WriteByte(c)
			}
		}
		b.WriteByte('.')
	}
	return b.String()
}

func (n wireName) label() string    { return string(n[1 : 1+n[0]]) }
func (n wireName) parent() wireName { return n[1+n[0]:] }

// lower returns the form that serves as a key (RFC 4343).
func (n wireName) lower() wireName {
	for i := 0; i < len(n); i++ {
		if 'A' <= n[i] && n[i] <= 'Z' {
			b := []byte(n)
			for i, c := range b {
				if 'A' <= c && c <= 'Z' { // a length is 63 at most, below 'A'
					b[i] = c | 0x20
				}
			}
			return wireName(b)
		}
	}
	return n
}

// under reports whether n is origin or lies below it; both in lower case.
func (n wireName) under(origin wireName) bool {
	for {
		if n == origin {
			return true
		}
		if len(n) <= len(origin) {
			return false
		}
		n = n.parent()
	}
}
