package tls

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
)

// CertificateError is the error of a certificate that is not the host's.
type CertificateError struct{ Msg string }

func (e *CertificateError) Error() string { return e.Msg }

func certificateError(format string, args ...any) error {
	return &CertificateError{fmt.Sprintf(format, args...)}
}

// MatchHostname reports whether a certificate, as [Conn.Getpeercert] gives it, is
// that of a host: nil, or a [*CertificateError] that says whose it is. It is
// ssl.match_hostname of CPython 3.11 (RFC 2818, section 3.1; RFC 6125):
//
//   - an IP address is compared with the addresses in subjectAltName;
//   - a name is compared with the DNS names in subjectAltName, without regard to
//     case, and with commonName only if subjectAltName has neither DNS names nor
//     addresses;
//   - "*" stands for one whole label, the leftmost, and stands once.
//
// A nil or empty certificate is another error: the peer's was not verified.
func MatchHostname(cert *Certificate, hostname string) error {
	return matchHostname(cert, hostname, dnsNameMatches)
}

// MatchHostnameLegacy is MatchHostname as it was up to CPython 3.6, where "*" in
// the leftmost label may also stand for a part of it: "f*.example.com". RFC 6125,
// section 6.4.3, allows that outside of IDNA labels. Use it for certificates that
// need it, and for nothing else.
func MatchHostnameLegacy(cert *Certificate, hostname string) error {
	return matchHostname(cert, hostname, partialNameMatches)
}

func matchHostname(cert *Certificate, hostname string, matches func(pattern, hostname string) (bool, error)) error {
	if cert.empty() {
		return fmt.Errorf("tls: empty or no certificate, MatchHostname needs a context with CERT_OPTIONAL or CERT_REQUIRED")
	}
	ip, isIP := hostAddr(hostname)
	var names []string
	for _, alt := range cert.SubjectAltName {
		switch alt.Name {
		case "DNS":
			if !isIP {
				if ok, err := matches(alt.Value, hostname); ok || err != nil {
					return err
				}
			}
			names = append(names, alt.Value)
		case "IP Address":
			if isIP {
				a, ok := hostAddr(strings.TrimRight(alt.Value, " \t\n\r\v\f"))
				if !ok {
					return fmt.Errorf("tls: %s is no IP address, in the certificate's subjectAltName", quote(alt.Value))
				}
				if a == ip {
					return nil
				}
			}
			names = append(names, alt.Value)
		}
	}
	if len(names) == 0 {
		for _, rdn := range cert.Subject {
			for _, attr := range rdn {
				if attr.Name != "commonName" {
					continue
				}
				if ok, err := matches(attr.Value, hostname); ok || err != nil {
					return err
				}
				names = append(names, attr.Value)
			}
		}
	}
	switch len(names) {
	case 0:
		return certificateError("no appropriate commonName or subjectAltName fields were found")
	case 1:
		return certificateError("hostname %s doesn't match %s", quote(hostname), quote(names[0]))
	}
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quote(n)
	}
	return certificateError("hostname %s doesn't match either of %s", quote(hostname), strings.Join(quoted, ", "))
}

// hostAddr reads an address as inet_pton does.
func hostAddr(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(text)
	return a, err == nil && a.Zone() == ""
}

func dnsNameMatches(pattern, hostname string) (bool, error) {
	switch strings.Count(pattern, "*") {
	case 0:
		return pattern != "" && sameName(pattern, hostname), nil
	case 1:
	default:
		return false, certificateError("too many wildcards in certificate DNS name: %s.", quote(pattern))
	}
	left, rest, dot := strings.Cut(pattern, ".")
	switch {
	case strings.Contains(rest, "*"):
		return false, certificateError("wildcard can only be present in the leftmost label: %s.", quote(pattern))
	case !dot:
		return false, certificateError("sole wildcard without additional labels are not support: %s.", quote(pattern))
	case left != "*":
		return false, certificateError("partial wildcards in leftmost label are not supported: %s.", quote(pattern))
	}
	first, remainder, dot := strings.Cut(hostname, ".")
	return first != "" && dot && sameName(rest, remainder), nil
}

// partialNameMatches has RFC 6125's rules: one wildcard, in the leftmost label,
// and none within an A-label.
func partialNameMatches(pattern, hostname string) (bool, error) {
	left, rest, dot := strings.Cut(pattern, ".")
	switch wild := strings.Count(left, "*"); {
	case pattern == "":
		return false, nil
	case wild > 1:
		return false, certificateError("too many wildcards in certificate DNS name: %s", quote(pattern))
	case wild == 0:
		return sameName(pattern, hostname), nil
	}
	first, remainder, hasDot := strings.Cut(hostname, ".")
	if dot != hasDot || !sameName(rest, remainder) || first == "" {
		return false, nil
	}
	if left == "*" {
		return true, nil
	}
	left, first = fold(left), fold(first)
	if strings.HasPrefix(left, "xn--") || strings.HasPrefix(first, "xn--") {
		return left == first, nil
	}
	before, after, _ := strings.Cut(left, "*")
	return len(first) >= len(before)+len(after) && strings.HasPrefix(first, before) && strings.HasSuffix(first, after), nil
}

func sameName(a, b string) bool { return fold(a) == fold(b) }

// fold is Python's str.lower, near enough for names.
func fold(s string) string { return strings.Map(unicode.ToLower, s) }

// quote is Python's repr of a string.
func quote(s string) string {
	mark := '\''
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		mark = '"'
	}
	var b strings.Builder
	b.WriteRune(mark)
	for _, r := range s {
		switch {
		case r == mark || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case strconv.IsPrint(r):
			b.WriteRune(r)
		case r <= 0xff:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteRune(mark)
	return b.String()
}
