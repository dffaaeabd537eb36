package resolver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"usersock/stack/endpoint"
)

// Errors of the conversions between texts and packed addresses, with
// CPython's texts.
var (
	ErrInetAton   = errors.New("illegal IP address string passed to inet_aton")
	ErrInetPton   = errors.New("illegal IP address string passed to inet_pton")
	ErrInetNtoa   = errors.New("packed IP wrong length for inet_ntoa")
	ErrPackedSize = errors.New("invalid length of packed IP address string")
)

// InetAton is inet_aton(3) as glibc has it: one to four numbers, decimal,
// octal (leading 0) or hexadecimal (leading 0x), of which the last fills the
// bytes that are left. White space ends the address and what follows it is
// ignored. Anything else is ErrInetAton, an embedded NUL included.
func InetAton(s string) ([4]byte, error) {
	ip, rest, ok := scanAton(s)
	if !ok || rest != "" && !isSpace(rest[0]) || strings.IndexByte(s, 0) >= 0 {
		return [4]byte{}, ErrInetAton
	}
	return ip.As4(), nil
}

// parseAton takes inet_aton's forms, and nothing after the address.
func parseAton(s string) (netip.Addr, bool) {
	ip, rest, ok := scanAton(s)
	return ip, ok && rest == ""
}

func scanAton(s string) (ip netip.Addr, rest string, ok bool) {
	var bytes [4]byte
	for n := 0; ; n++ {
		value, rest, ok := scanNumber(s)
		if !ok {
			return ip, s, false
		}
		if rest != "" && rest[0] == '.' {
			if n == 3 || value > 0xff {
				return ip, s, false
			}
			bytes[n] = byte(value)
			s = rest[1:]
			continue
		}
		if n > 0 && value > 0xffffffff>>(8*n) {
			return ip, s, false
		}
		value |= uint64(binary.BigEndian.Uint32(bytes[:]))
		binary.BigEndian.PutUint32(bytes[:], uint32(value))
		return netip.AddrFrom4(bytes), rest, true
	}
}

// scanNumber reads a number of at most 32 bits as strtoul(3) with base 0
// does, but without sign and leading space.
func scanNumber(s string) (value uint64, rest string, ok bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, s, false
	}
	base := uint64(10)
	i := 0
	if s[0] == '0' {
		base = 8
		if len(s) > 2 && s[1]|0x20 == 'x' && digit(s[2]) < 16 {
			base, i = 16, 2
		}
	}
	for ; i < len(s); i++ {
		d := digit(s[i])
		if d >= base {
			break
		}
		if value = value*base + d; value > 0xffffffff {
			return 0, s, false
		}
	}
	return value, s[i:], true
}

// digit is the value of a hexadecimal digit, or 255.
func digit(c byte) uint64 {
	switch {
	case '0' <= c && c <= '9':
		return uint64(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return uint64(c|0x20-'a') + 10
	}
	return 255
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// InetNtoa is inet_ntoa(3). The packed address must have 4 bytes.
func InetNtoa(packed []byte) (string, error) {
	if len(packed) != 4 {
		return "", ErrInetNtoa
	}
	return netip.AddrFrom4([4]byte(packed)).String(), nil
}

// InetPton is inet_pton(3): strict, without legacy forms and without scopes.
// A family other than AF_INET and AF_INET6 is EAFNOSUPPORT.
func InetPton(family int, s string) ([]byte, error) {
	if family != endpoint.AF_INET && family != endpoint.AF_INET6 {
		return nil, fmt.Errorf("inet_pton of family %d: %w", family, endpoint.EAFNOSUPPORT)
	}
	ip, err := netip.ParseAddr(s)
	if err != nil || ip.Zone() != "" || ip.Is4() != (family == endpoint.AF_INET) {
		return nil, ErrInetPton
	}
	return ip.AsSlice(), nil
}

// InetNtop is inet_ntop(3), with IPv6 in the form of RFC 5952. A family other
// than AF_INET and AF_INET6 is EAFNOSUPPORT, a wrong length ErrPackedSize.
func InetNtop(family int, packed []byte) (string, error) {
	size := 4
	switch family {
	case endpoint.AF_INET:
	case endpoint.AF_INET6:
		size = 16
	default:
		return "", fmt.Errorf("inet_ntop of family %d: %w", family, endpoint.EAFNOSUPPORT)
	}
	ip, ok := netip.AddrFromSlice(packed)
	if !ok || len(packed) != size {
		return "", ErrPackedSize
	}
	return ip.String(), nil
}

// literal is a numeric address in a text.
type literal struct {
	ip    netip.Addr // without zone
	scope uint32
}

// parseLiteral reads a numeric address: inet_aton's forms, or IPv6 with an
// optional scope. found says that the text is one; err that its scope is bad.
func parseLiteral(s string, host Host) (lit literal, found bool, err error) {
	if s == "" || s[0] != ':' && digit(s[0]) > 15 {
		return lit, false, nil
	}
	colon := strings.IndexByte(s, ':')
	if colon < 0 {
		lit.ip, found = parseAton(s)
		return lit, found, nil
	}
	text, zone, scoped := strings.Cut(s, "%")
	lit.ip, err = netip.ParseAddr(text)
	if err != nil {
		return literal{}, false, nil
	}
	if scoped {
		lit.scope, found = parseScope(lit.ip, zone, host)
		if !found {
			return literal{}, true, errScope
		}
	}
	return lit, true, nil
}

// parseScope reads what follows the % of an address: an interface name where
// the address is link-local, or else a decimal number of 32 bits.
func parseScope(ip netip.Addr, zone string, host Host) (uint32, bool) {
	if ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast() {
		if index, ok := host.InterfaceIndex(zone); ok {
			return index, true
		}
	}
	if zone == "" || zone[0] < '0' || zone[0] > '9' {
		return 0, false
	}
	index, err := strconv.ParseUint(zone, 10, 32)
	return uint32(index), err == nil
}

// scopeText is the zone of a numeric address: the interface's name on
// link-local addresses, else the number.
func scopeText(ip netip.Addr, scope uint32, host Host) string {
	if ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast() {
		if name, ok := host.InterfaceName(scope); ok {
			return name
		}
	}
	return strconv.FormatUint(uint64(scope), 10)
}
