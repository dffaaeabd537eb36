package virtual

import (
	"encoding/binary"
	"testing"
)

// ip4 makes the beginning of an IPv4 packet. Its fragment field is in the form
// of the header.
func ip4(proto byte, src, dst byte, id, fragment uint16, ports ...uint16) []byte {
	p := make([]byte, 20, 28)
	p[0], p[9] = 0x45, proto
	binary.BigEndian.PutUint16(p[4:], id)
	binary.BigEndian.PutUint16(p[6:], fragment)
	copy(p[12:], []byte{192, 0, 2, src, 192, 0, 2, dst})
	for _, port := range ports {
		p = binary.BigEndian.AppendUint16(p, port)
	}
	return p
}

func ip6(proto byte, src, dst byte, ports ...uint16) []byte {
	p := make([]byte, 40, 48)
	p[0], p[6], p[23], p[39] = 0x60, proto, src, dst
	for _, port := range ports {
		p = binary.BigEndian.AppendUint16(p, port)
	}
	return p
}

func TestFlowsAreOneConversationOneWay(t *testing.T) {
	const dontFragment, moreFragments = 0x4000, 0x2000
	withOptions := append(ip4(6, 1, 2, 0, 0), 0, 0, 0, 0, 0, 7, 0, 80)
	withOptions[0] = 0x46
	base := ip4(6, 1, 2, 0, 0, 7, 80)
	for name, p := range map[string][]byte{
		"identification": ip4(6, 1, 2, 9, 0, 7, 80),
		"don't fragment": ip4(6, 1, 2, 0, dontFragment, 7, 80),
		"payload":        append(ip4(6, 1, 2, 0, 0, 7, 80), 1, 2, 3),
		"IP options":     withOptions,
	} {
		if FlowOf(p) != FlowOf(base) {
			t.Errorf("%s makes another flow", name)
		}
	}
	if FlowOf(ip4(17, 1, 2, 5, moreFragments, 7, 80)) != FlowOf(ip4(17, 1, 2, 5, 100)) {
		t.Error("fragments of one datagram are two flows")
	}
	seen := map[Flow]string{}
	for name, p := range map[string][]byte{
		"TCP":              base,
		"UDP":              ip4(17, 1, 2, 0, 0, 7, 80),
		"other way":        ip4(6, 2, 1, 0, 0, 80, 7),
		"other port":       ip4(6, 1, 2, 0, 0, 8, 80),
		"other address":    ip4(6, 1, 3, 0, 0, 7, 80),
		"fragment":         ip4(17, 1, 2, 5, moreFragments, 7, 80),
		"other's fragment": ip4(17, 1, 2, 6, moreFragments, 7, 80),
		"ICMP":             ip4(1, 1, 2, 0, 0),
		"cut short":        ip4(6, 1, 2, 0, 0),
		"IPv6":             ip6(6, 1, 2, 7, 80),
		"IPv6 other way":   ip6(6, 2, 1, 80, 7),
		"ICMPv6":           ip6(58, 1, 2),
		"nothing":          nil,
	} {
		f := FlowOf(p)
		if other, ok := seen[f]; ok {
			t.Errorf("%s and %s are the same flow", name, other)
		}
		seen[f] = name
	}
	for _, p := range [][]byte{{}, {0x45}, ip4(6, 1, 2, 0, 0)[:19], ip6(6, 1, 2)[:39], {0x10, 1, 2}} {
		if f := FlowOf(p); f != 0 {
			t.Errorf("FlowOf(%x) = %d, want 0", p, f)
		}
	}
}
