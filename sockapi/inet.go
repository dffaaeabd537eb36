package sockapi

import (
	"encoding/binary"
	"fmt"

	"usersock/resolver"
)

// HasIPv6 reports whether AF_INET6 sockets can be opened, Python's has_ipv6.
// It is a property of the host: a Stack may be made without IPv6.
func (n *Net) HasIPv6() bool { return n.stack.Serves(AF_INET6) }

// InetAton packs an IPv4 address into 4 bytes, inet_aton(3) as glibc has it:
// one to four numbers, decimal, octal (leading 0) or hexadecimal (leading 0x);
// text after white space is ignored. Anything else is an [*Error] without
// errno.
func InetAton(s string) ([]byte, error) {
	packed, err := resolver.InetAton(s)
	if err != nil {
		return nil, fail("inet_aton", nil, err)
	}
	return packed[:], nil
}

// InetNtoa is the dotted quad of 4 packed bytes. Another length is an [*Error]
// without errno.
func InetNtoa(packed []byte) (string, error) {
	s, err := resolver.InetNtoa(packed)
	return s, fail("inet_ntoa", nil, err)
}

// InetPton packs an address of AF_INET (4 bytes) or AF_INET6 (16 bytes),
// strictly as inet_pton(3): no legacy forms, no scope. A bad text is an
// [*Error] without errno, another family EAFNOSUPPORT.
func InetPton(family int, s string) ([]byte, error) {
	packed, err := resolver.InetPton(family, s)
	return packed, fail("inet_pton", nil, err)
}

// InetNtop is the text of a packed address, inet_ntop(3), with IPv6 in the
// form of RFC 5952. A length that the family does not have is a [*ValueError],
// a family other than AF_INET and AF_INET6 EAFNOSUPPORT.
func InetNtop(family int, packed []byte) (string, error) {
	s, err := resolver.InetNtop(family, packed)
	if err == resolver.ErrPackedSize {
		return "", &ValueError{Op: "inet_ntop", Msg: err.Error()}
	}
	return s, fail("inet_ntop", nil, err)
}

// Htons turns a number of 16 bits from the host's byte order into the
// network's. A number that is negative or has more bits is a [*ValueError].
func Htons(x int64) (uint16, error) { return swap16("htons", x) }

// Ntohs turns a number of 16 bits from the network's byte order into the
// host's. A number that is negative or has more bits is a [*ValueError].
func Ntohs(x int64) (uint16, error) { return swap16("ntohs", x) }

// Htonl turns a number of 32 bits from the host's byte order into the
// network's. A number that is negative or has more bits is a [*ValueError].
func Htonl(x int64) (uint32, error) { return swap32("htonl", x) }

// Ntohl turns a number of 32 bits from the network's byte order into the
// host's. A number that is negative or has more bits is a [*ValueError].
func Ntohl(x int64) (uint32, error) { return swap32("ntohl", x) }

// swap16 is htons and ntohs, which are the same function on every host.
func swap16(op string, x int64) (uint16, error) {
	if err := checkUnsigned(op, x, 16); err != nil {
		return 0, err
	}
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], uint16(x))
	return binary.NativeEndian.Uint16(b[:]), nil
}

func swap32(op string, x int64) (uint32, error) {
	if err := checkUnsigned(op, x, 32); err != nil {
		return 0, err
	}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(x))
	return binary.NativeEndian.Uint32(b[:]), nil
}

func checkUnsigned(op string, x int64, bits int) error {
	switch {
	case x < 0:
		return &ValueError{Op: op, Msg: fmt.Sprintf("%d is negative, not a %d-bit unsigned integer", x, bits)}
	case x>>bits != 0:
		return &ValueError{Op: op, Msg: fmt.Sprintf("%d is too large for a %d-bit unsigned integer", x, bits)}
	}
	return nil
}
