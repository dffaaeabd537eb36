package netdev

import (
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/internal/wire"
)

// Counters counts what passes one end of a link, as the stack at that end
// sees it: a TCP segment that an offload carries in one piece is one packet,
// and what the link then loses was sent. It may be read while the link works.
type Counters struct {
	TxPackets, TxBytes atomic.Uint64 // sent by the stack
	RxPackets, RxBytes atomic.Uint64 // handed to the stack
}

// Count returns l with counters on it. It takes l's place: l itself is not
// attached any more. Offloads and losses are l's. The medium is hidden, because
// bytes that move without packets would not be counted.
func Count(l Link) (Link, *Counters) {
	inner := l.Wire()
	c := &counted{LinkEndpoint: inner.Endpoint, end: *inner}
	c.end.Endpoint, c.end.Medium = c, nil
	if gso, ok := inner.Endpoint.(stack.GSOEndpoint); ok {
		c.end.Endpoint = &countedGSO{c, gso}
	}
	return c, &c.n
}

// counted stands around a link endpoint: it sees what goes down in
// WritePackets, and what comes up as the dispatcher that the inner endpoint
// knows.
type counted struct {
	stack.LinkEndpoint
	n   Counters
	end wire.End
	up  atomic.Pointer[stack.NetworkDispatcher]
}

// countedGSO is counted around an endpoint with GSO: netstack asks for that
// by a type assertion.
type countedGSO struct {
	*counted
	stack.GSOEndpoint
}

var (
	_ stack.LinkEndpoint      = (*counted)(nil)
	_ stack.NetworkDispatcher = (*counted)(nil)
	_ stack.LinkEndpoint      = (*countedGSO)(nil)
	_ stack.GSOEndpoint       = (*countedGSO)(nil)
)

func (c *counted) Wire() *wire.End { return &c.end }

// WritePackets implements stack.LinkWriter.
func (c *counted) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range pkts.AsSlice() {
		c.n.TxPackets.Add(1)
		c.n.TxBytes.Add(uint64(pkt.Size()))
	}
	return c.LinkEndpoint.WritePackets(pkts)
}

// Attach implements stack.LinkEndpoint.
func (c *counted) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		c.LinkEndpoint.Attach(nil)
		c.up.Store(nil)
		return
	}
	c.up.Store(&d)
	c.LinkEndpoint.Attach(c)
}

// DeliverNetworkPacket implements stack.NetworkDispatcher.
func (c *counted) DeliverNetworkPacket(proto tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	if d := c.up.Load(); d != nil {
		c.n.RxPackets.Add(1)
		c.n.RxBytes.Add(uint64(pkt.Size()))
		(*d).DeliverNetworkPacket(proto, pkt)
	}
}

// DeliverLinkPacket implements stack.NetworkDispatcher.
func (c *counted) DeliverLinkPacket(proto tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	if d := c.up.Load(); d != nil {
		(*d).DeliverLinkPacket(proto, pkt)
	}
}
