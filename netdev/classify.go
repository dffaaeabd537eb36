package netdev

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// atOnce reports whether the packet that begins with the IP header b may be
// handed to a stack from inside the call that sends it: it is TCP or UDP,
// whole (not a fragment), and its transport header follows the IP header
// directly. Everything else may end in an ICMP error's handler and must come
// from a goroutine that holds no lock of an endpoint. b may be anything.
func atOnce(b []byte) bool {
	if len(b) < header.IPv4MinimumSize {
		return false
	}
	switch b[0] >> 4 {
	case header.IPv4Version:
		// More-fragments and the offset, without don't-fragment and the
		// reserved bit (RFC 791, section 3.1).
		const moreOrOffset = 0x3fff
		return transport(b[9]) && binary.BigEndian.Uint16(b[6:])&moreOrOffset == 0
	case header.IPv6Version:
		return transport(b[6])
	}
	return false
}

func transport(protocol byte) bool {
	return protocol == uint8(header.TCPProtocolNumber) || protocol == uint8(header.UDPProtocolNumber)
}

// check returns the version of IP that b is a packet of, and whether its
// header is whole and its length fields lie within b. Bytes after the packet
// are allowed; netstack cuts them off.
func check(b []byte) (tcpip.NetworkProtocolNumber, bool) {
	if len(b) == 0 {
		return 0, false
	}
	switch b[0] >> 4 {
	case header.IPv4Version:
		if len(b) < header.IPv4MinimumSize {
			return 0, false
		}
		headerLen := int(b[0]&0x0f) * 4
		total := int(binary.BigEndian.Uint16(b[2:]))
		ok := headerLen >= header.IPv4MinimumSize && total >= headerLen && total <= len(b)
		return header.IPv4ProtocolNumber, ok
	case header.IPv6Version:
		if len(b) < header.IPv6MinimumSize {
			return 0, false
		}
		payload := int(binary.BigEndian.Uint16(b[4:]))
		return header.IPv6ProtocolNumber, header.IPv6MinimumSize+payload <= len(b)
	}
	return 0, false
}
