package resolver

import (
	"fmt"
	"strings"

	"golang.org/x/net/idna"
)

// newIDNA returns the profile for lookups: UTS 46, non-transitional, with the
// bidi rule and DNS lengths checked, and with characters such as _ allowed.
func newIDNA() *idna.Profile {
	return idna.New(idna.MapForLookup(), idna.Transitional(false), idna.BidiRule(),
		idna.VerifyDNSLength(true), idna.StrictDomainName(false))
}

// toASCII returns the name that sources are asked for. ASCII names pass as
// they are; all must have the lengths of RFC 1035, section 2.3.4.
func (r *Resolver) toASCII(host string) (string, error) {
	name := host
	for i := 0; i < len(host); i++ {
		if host[i] < 0x80 {
			continue
		}
		bare := strings.TrimRight(host, ".\u3002\uff0e\uff61")
		ascii, err := r.idna.ToASCII(bare)
		if err != nil {
			return "", fmt.Errorf("%w: %w", errNotName, err)
		}
		name = ascii
		if len(bare) < len(host) {
			name += "."
		}
		break
	}
	return name, checkLengths(name)
}

// checkLengths wants labels of 1 to 63 bytes and 253 at most in all, besides
// one final dot.
func checkLengths(name string) error {
	name = strings.TrimSuffix(name, ".")
	if len(name) > 253 {
		return errTooLong
	}
	start := 0
	for i := 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '.' {
			continue
		}
		if i == start {
			return errNotName
		}
		if i-start > 63 {
			return errTooLong
		}
		start = i + 1
	}
	return nil
}

// toUnicode shows a name in Unicode; a name that cannot be is left alone.
func (r *Resolver) toUnicode(name string) string {
	if u, err := r.idna.ToUnicode(name); err == nil {
		return u
	}
	return name
}

// isHostname reports whether a name may be asked of DNS, or believed from it:
// letters, digits, - and _, with no hyphen in front. It keeps what a shell, a
// terminal or a log could trip over out of programs (glibc's res_hnok).
func isHostname(name string) bool {
	name = strings.TrimSuffix(name, ".")
	if name == "" || name[0] == '-' || len(name) > 253 {
		return false
	}
	start := 0
	for i := 0; i <= len(name); i++ {
		if i == len(name) || name[i] == '.' {
			if i == start || i-start > 63 {
				return false
			}
			start = i + 1
			continue
		}
		c := name[i]
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			continue
		}
		return false
	}
	return true
}

// isPeerName reports whether a name found for an address may be shown: a host
// name that does not look like an address itself.
func isPeerName(name string) bool {
	if !isHostname(name) {
		return false
	}
	_, numeric := parseAton(strings.TrimSuffix(name, "."))
	return !numeric
}
