package wire

import (
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// GuardForwarding repairs netstack's forwarding of IPv4 in s. Call it once for
// a stack that forwards, before its first interface.
//
// The pinned netstack reads the TTL of the packet it forwards after it has
// given the memory of that header back to a pool (forwardPacketWithRoute, after
// DeepCopyForForwarding), so that another packet's bytes may be read, and the
// race detector reports it. A hook that runs just before takes a reference on
// that memory and never gives it back: the garbage collector frees it instead
// of the pool, at the cost of one small allocation a forwarded packet. The hook
// is nftables', which is else unused here; every packet passes it.
//
// It also forwards a packet whose TTL is 1, with a TTL of 0, where a router must
// drop it and say so (RFC 1812, section 5.3.1); IPv6 does it right. Another of
// these hooks does that. Netstack counts neither the packet nor the message: expired
// returns how many packets there were, the messages are among those of s.
func GuardForwarding(s *stack.Stack) (expired func() uint64) {
	g := guard{stack: s, expired: new(atomic.Uint64)}
	s.SetNFTables(g)
	s.SetNFTablesConfigured(true)
	return g.expired.Load
}

// guard is a set of nftables hooks that accept every packet but those whose
// TTL ends here.
type guard struct {
	stack   *stack.Stack
	expired *atomic.Uint64
}

var _ stack.NFTablesInterface = guard{}

func (guard) CheckForward(pkt *stack.PacketBuffer, _ *stack.Route, af stack.AddressFamily) bool {
	if af == stack.IP {
		_ = pkt.NetworkHeader().View() // not released: see GuardForwarding
	}
	return true
}

func (g guard) CheckPrerouting(pkt *stack.PacketBuffer, _ *stack.Route, af stack.AddressFamily) bool {
	h := header.IPv4(pkt.NetworkHeader().Slice())
	if af != stack.IP || len(h) < header.IPv4MinimumSize || h.TTL() > 1 {
		return true
	}
	dst := h.DestinationAddress()
	if dst == header.IPv4Broadcast || header.IsV4MulticastAddress(dst) || g.stack.CheckLocalAddress(0, header.IPv4ProtocolNumber, dst) != 0 ||
		g.stack.IsSubnetBroadcast(pkt.NICID, header.IPv4ProtocolNumber, dst) {
		return true // it has arrived
	}
	g.expired.Add(1)
	g.timeExceeded(pkt, h)
	return false
}

// maxQuote is how much of a packet an error repeats: with its own headers it
// has at most 576 bytes (RFC 1812, section 4.3.2.3).
const maxQuote = 576 - header.IPv4MinimumSize - header.ICMPv4MinimumSize

// timeExceeded tells the sender of pkt that its TTL has come to an end (RFC
// 792), unless RFC 1812, section 4.3.2.7, forbids it.
func (g guard) timeExceeded(pkt *stack.PacketBuffer, h header.IPv4) {
	src := h.SourceAddress()
	if h.FragmentOffset() != 0 || src == header.IPv4Any || src == header.IPv4Broadcast || header.IsV4MulticastAddress(src) || !g.stack.AllowICMPMessage() {
		return
	}
	if h.TransportProtocol() == header.ICMPv4ProtocolNumber {
		t := pkt.TransportHeader().Slice()
		if len(t) == 0 {
			t, _ = pkt.Data().PullUp(1)
		}
		if len(t) == 0 || header.ICMPv4Type(t[0]) != header.ICMPv4Echo {
			return // no error about an error
		}
	}
	route, err := g.stack.FindRoute(pkt.NICID, tcpip.Address{}, src, header.IPv4ProtocolNumber, false)
	if err != nil {
		return
	}
	defer route.Release()
	whole := pkt.ToView()
	defer whole.Release()
	quote := whole.AsSlice()[len(pkt.LinkHeader().Slice()):]
	reply := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: int(route.MaxHeaderLength()) + header.ICMPv4MinimumSize,
		Payload:            buffer.MakeWithData(quote[:min(len(quote), maxQuote)]),
	})
	defer reply.DecRef()
	reply.TransportProtocolNumber = header.ICMPv4ProtocolNumber
	icmp := header.ICMPv4(reply.TransportHeader().Push(header.ICMPv4MinimumSize))
	icmp.SetType(header.ICMPv4TimeExceeded)
	icmp.SetCode(header.ICMPv4TTLExceeded)
	icmp.SetChecksum(header.ICMPv4Checksum(icmp, reply.Data().Checksum()))
	err = route.WritePacket(stack.NetworkHeaderParams{Protocol: header.ICMPv4ProtocolNumber, TTL: route.DefaultTTL(), TOS: stack.DefaultTOS}, reply)
	if sent := g.stack.Stats().ICMP.V4.PacketsSent; err == nil {
		sent.TimeExceeded.Increment()
	} else {
		sent.Dropped.Increment()
	}
}

func (guard) CheckInput(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool {
	return true
}

func (guard) CheckOutput(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool {
	return true
}

func (guard) CheckPostrouting(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool {
	return true
}

func (guard) CheckIngress(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool {
	return true
}

func (guard) CheckEgress(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool {
	return true
}
