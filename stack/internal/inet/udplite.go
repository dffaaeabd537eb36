package inet

import (
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/stack/endpoint"
)

// liteSettings are the options of udplite(7). A coverage of 0 is the whole
// packet; unset is −1 of the number kept, so that unset differs from 0.
type liteSettings struct {
	send, recv atomic.Int32 // the coverage plus one; 0: not set
}

// leastCoverage is that of the header: RFC 3828 forbids 1 to 7.
const leastCoverage = header.UDPMinimumSize

// setCoverage writes an option as udp_lib_setsockopt does: what is less than a
// header, and is not 0, becomes a header.
func setCoverage(at *atomic.Int32, v int) {
	if v != 0 {
		v = min(max(v, leastCoverage), 0xffff)
	}
	at.Store(int32(v) + 1)
}

func coverage(at *atomic.Int32) int { return max(int(at.Load())-1, 0) }

// covers reports whether enough of a packet is covered by its checksum,
// udp_queue_rcv_one_skb. Without the option any coverage will do.
func (l *liteSettings) covers(pkt *gvstack.PacketBuffer) bool {
	least := int(l.recv.Load()) - 1
	if least < 0 {
		return true
	}
	size := header.UDPMinimumSize + pkt.Data().Size()
	covered := int(header.UDP(pkt.TransportHeader().Slice()).Length())
	if covered == 0 || covered == size {
		return true
	}
	return least != 0 && covered >= least
}

// put writes coverage and checksum into the header of a packet.
func (l *liteSettings) put(h header.UDP, pkt *gvstack.PacketBuffer, r way, size uint16) {
	field, covered := size, int(size)
	if set := l.send.Load(); set != 0 && int(set)-1 < int(size) {
		if field = uint16(set - 1); field != 0 { // 0 means all of it
			covered = int(field)
		}
	}
	h.SetLength(field)
	h.SetChecksum(0)
	sum := header.PseudoHeaderChecksum(endpoint.IPPROTO_UDPLITE, r.LocalAddress(), r.RemoteAddress(), size)
	sum = checksum.Checksum(h, sum)
	if rest := covered - header.UDPMinimumSize; rest > 0 {
		if b, ok := pkt.Data().PullUp(rest); ok {
			sum = checksum.Combine(sum, checksum.Checksum(b, 0))
		}
	}
	if sum = ^sum; sum == 0 {
		sum = 0xffff
	}
	h.SetChecksum(sum)
}
