package wire

import "gvisor.dev/gvisor/pkg/tcpip/stack"

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
func GuardForwarding(s *stack.Stack) {
	s.SetNFTables(keepHeaders{})
	s.SetNFTablesConfigured(true)
}

// keepHeaders is a set of nftables hooks that accept every packet.
type keepHeaders struct{}

var _ stack.NFTablesInterface = keepHeaders{}

func (keepHeaders) CheckForward(pkt *stack.PacketBuffer, _ *stack.Route, af stack.AddressFamily) bool {
	if af == stack.IP {
		_ = pkt.NetworkHeader().View() // not released: see GuardForwarding
	}
	return true
}

func (keepHeaders) CheckPrerouting(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool {
	return true
}

func (keepHeaders) CheckInput(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool {
	return true
}

func (keepHeaders) CheckOutput(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool {
	return true
}

func (keepHeaders) CheckPostrouting(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool {
	return true
}

func (keepHeaders) CheckIngress(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool {
	return true
}

func (keepHeaders) CheckEgress(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool {
	return true
}
