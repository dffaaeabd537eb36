package inet

import (
	"math/bits"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// What a datagram takes of SO_SNDBUF, and of SO_RCVBUF where it waits. Linux
// counts the memory that holds it and not its bytes (skb->truesize), so that a
// buffer holds few short datagrams. These are the sizes that a kernel has on a
// 64-bit machine for a datagram that went over lo; what comes over other links is
// counted in the same way.
const (
	bufferHead = 256 // struct sk_buff
	bufferTail = 320 // struct skb_shared_info, at the end of the linear part
	smallest   = 256 // the least linear part (skb_small_head_cache)
	largest    = 16384 - bufferTail

	// Room before the IP header: of a link header, and more over IPv4 to align
	// it, over IPv6 for a fragment header.
	headroom4 = 31
	headroom6 = 24
)

// packetCost is what a packet takes of which n bytes are behind the IP header. Of
// one that does not fit into the largest linear part the payload is in pages, and
// counted as it is.
func (d *datagram) packetCost(net tcpip.NetworkProtocolNumber, n int) int {
	headers := header.IPv4MinimumSize + headroom4
	if net == header.IPv6ProtocolNumber {
		headers = header.IPv6MinimumSize + headroom6
	}
	switch linear := headers + n; {
	case linear <= smallest:
		return bufferHead + smallest + bufferTail
	case linear < largest:
		return bufferHead + 1<<bits.Len(uint(linear+bufferTail-1))
	}
	if d.kind != kindRaw {
		n -= header.UDPMinimumSize // its header is in the linear part, as ICMP's
	}
	return bufferHead + smallest + bufferTail + n
}
