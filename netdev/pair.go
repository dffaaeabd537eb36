package netdev

import (
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/internal/wire"
	"usersock/stack/endpoint"
)

// PairMTU is the MTU of a [Pair] in bytes unless PairConfig says otherwise:
// the longest packet of IPv4.
const PairMTU = 65535

// PairConfig describes a link in memory. Its zero value works.
type PairConfig struct {
	// MTU is the length of the longest IP packet in bytes; 0 is [PairMTU]. The
	// stack refuses less than 68, and less than 1280 where it has IPv6. TCP
	// between two stacks that do not forward sends longer segments than that,
	// as with the offloads of a real interface.
	MTU int

	// Queued puts every packet into the receiving end's queue, which a
	// goroutine of its own delivers. Without it, TCP and UDP packets are
	// delivered inside the call that sends them, which takes less time per
	// packet but no second processor; a TCP acknowledgement may then wait up to
	// 500 µs for data to carry it, see ackhold.go.
	Queued bool

	// QueueLimit is how many packets may wait for a stack, a direction; 0 is
	// 4096. What does not fit, or would exceed 32 MiB, is dropped and counted.
	QueueLimit int
}

// Pair returns the two ends of a link in memory, for two stacks of one
// process (or one stack). Packets are passed by reference. It runs no
// goroutine while no packet is on its way.
//
// When one end is closed the other stays usable; what it sends is dropped.
func Pair(cfg PairConfig) (a, b Link) {
	mtu := cfg.MTU
	if mtu == 0 {
		mtu = PairMTU
	}
	medium := new(wire.Medium)
	routers := new(atomic.Int32)
	ends := [2]*pairEnd{{queued: cfg.Queued, routers: routers}, {queued: cfg.Queued, routers: routers}}
	for i, e := range ends {
		e.port.init(mtu, cfg.QueueLimit, nil)
		e.peer, e.emit = ends[1-i], e.write
		e.medium, e.hold.deliver = medium, e.peer.up
		e.end = wire.End{Endpoint: e, Forwards: e.setForwards, Clock: e.setClock, Medium: medium, Drops: e.drops.snapshot}
	}
	return ends[0], ends[1]
}

type pairEnd struct {
	port
	peer    *pairEnd
	queued  bool
	routers *atomic.Int32 // how many of the two stacks forward; shared
	medium  *wire.Medium
	hold    ackHold
	end     wire.End
	split   datagrams
	emit    func(*stack.PacketBuffer) // write, bound once
}

var (
	_ stack.LinkEndpoint = (*pairEnd)(nil)
	_ stack.GSOEndpoint  = (*pairEnd)(nil)
)

func (e *pairEnd) Wire() *wire.End { return &e.end }

func (e *pairEnd) setForwards(on bool) {
	if e.forwards.Swap(on) == on {
		return
	}
	if on {
		e.routers.Add(1)
	} else {
		e.routers.Add(-1)
	}
}

func (e *pairEnd) setClock(c endpoint.Clock) { e.hold.clock = c }

// plain reports that the pair behaves like a real wire: one of its stacks
// forwards.
func (e *pairEnd) plain() bool { return e.routers.Load() != 0 }

// WritePackets implements stack.LinkWriter. It adds no allocation to those of
// netstack's clone.
func (e *pairEnd) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range pkts.AsSlice() {
		if e.plain() {
			e.split.finish(pkt, e.forwards.Load(), e.emit)
		} else {
			e.write(pkt)
		}
	}
	return pkts.Len(), nil
}

// write passes pkt on as it is. The caller keeps its reference.
func (e *pairEnd) write(pkt *stack.PacketBuffer) {
	peer := e.peer
	if e.closed.Load() || peer.down() {
		e.drops.txDown.Add(1)
		return
	}
	if wireSize(pkt) > int(peer.mtu.Load()) {
		e.drops.txTooLong.Add(1)
		return
	}
	now := !e.queued && atOnce(pkt.NetworkHeader().Slice())
	if now && e.hold.clock != nil && !e.plain() && !e.medium.Observed() && e.converse(pkt) {
		return
	}
	peer.receive(e.inbound(pkt), now)
}

// converse shows pkt to both ends of the conversation, and reports whether it
// is held back. See ackhold.go.
func (e *pairEnd) converse(pkt *stack.PacketBuffer) bool {
	var s tcpSegment
	if !s.parse(pkt) {
		return false
	}
	if e.hold.sending(&s, func() *stack.PacketBuffer { return e.inbound(pkt) }) {
		return true
	}
	if e.peer.hold.clock != nil {
		s.flip()
		e.peer.hold.received(&s)
	}
	return false
}

// inbound returns pkt as the other stack receives it.
func (e *pairEnd) inbound(pkt *stack.PacketBuffer) *stack.PacketBuffer {
	in := pkt.CloneToInbound()
	in.NetworkProtocolNumber = pkt.NetworkProtocolNumber
	in.Mark = 0 // a mark does not leave its host
	return in
}

// Capabilities implements stack.LinkEndpoint. See offload.go.
func (e *pairEnd) Capabilities() stack.LinkEndpointCapabilities {
	if !e.plain() {
		return stack.CapabilityRXChecksumOffload | stack.CapabilityTXChecksumOffload
	}
	return plainCapabilities(e.forwards.Load())
}

// SupportedGSO implements stack.GSOEndpoint.
func (e *pairEnd) SupportedGSO() stack.SupportedGSO {
	if e.plain() {
		return stack.GSONotSupported
	}
	return stack.HostGSOSupported
}

// GSOMaxSize implements stack.GSOEndpoint.
func (e *pairEnd) GSOMaxSize() uint32 { return gsoMaxSize }

// Close implements stack.LinkEndpoint. Packets that this end has sent and that
// wait for the other stack are still delivered.
func (e *pairEnd) Close() {
	if e.shut() {
		e.hold.close()
		e.split.clear()
	}
}
