package virtual

// Flow tells apart the conversations whose packets share a link. Packets of
// one flow keep the order in which they were sent; the order among the flows
// of one instant is that of these numbers.
type Flow uint64

// Protocol numbers, of IANA's registry.
const (
	protoTCP = 6
	protoUDP = 17
)

// FlowOf returns the flow of an IP packet, one way: a hash of protocol,
// addresses and ports. Fragments go by their identification instead of ports,
// which only the first of them has, so that the fragments of one datagram stay
// together. What is no IP packet is flow 0.
func FlowOf(packet []byte) Flow {
	if len(packet) == 0 {
		return 0
	}
	switch packet[0] >> 4 {
	case 4:
		return flow4(packet)
	case 6:
		return flow6(packet)
	}
	return 0
}

func flow4(p []byte) Flow {
	const minHeader = 20
	if len(p) < minHeader {
		return 0
	}
	h := hashBytes(fnvBasis, p[9:10])
	h = hashBytes(h, p[12:20])
	header := int(p[0]&0x0f) * 4
	switch {
	case p[6]&0x3f|p[7] != 0: // more fragments, or an offset
		h = hashBytes(h, p[4:6])
	case hasPorts(p[9]) && len(p) >= header+4:
		h = hashBytes(h, p[header:header+4])
	}
	return Flow(h)
}

func flow6(p []byte) Flow {
	const header = 40
	if len(p) < header {
		return 0
	}
	h := hashBytes(fnvBasis, p[6:7])
	h = hashBytes(h, p[8:40])
	if hasPorts(p[6]) && len(p) >= header+4 {
		h = hashBytes(h, p[header:header+4])
	}
	return Flow(h)
}

func hasPorts(protocol byte) bool { return protocol == protoTCP || protocol == protoUDP }
