package stack

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/internal/wire"
	"usersock/netdev"
)

// counters keeps what netstack counts for each interface where it can be read
// without a lock of netstack, and what interfaces that are gone have counted.
// Netstack's own totals are of both versions of IP together; Linux counts apart.
type counters struct {
	// expired is how many packets of IPv4 came to be forwarded at the end of their
	// TTL, which netstack does not count; nil if the host does not forward.
	expired func() uint64

	mu   sync.Mutex // a leaf
	live map[tcpip.NICID]*nicStats
	gone [2]ipCounts // IPv4, IPv6
}

// nicStats is where an interface's counters are. It does not change.
type nicStats struct {
	id    tcpip.NICID
	label string // of its metrics
	text  string
	nic   tcpip.NICStats
	ip    [2]*tcpip.IPStats // IPv4, IPv6; nil where it is not served
	drops func() wire.Drops // or nil
}

// attach begins with an interface that netstack has just made.
func (c *counters) attach(net *gvstack.Stack, id tcpip.NICID, end *wire.End) {
	info, ok := net.SingleNICInfo(id)
	if !ok {
		return
	}
	n := &nicStats{id: id, label: fmt.Sprintf("device=%q", info.Name), text: end.Text, nic: info.Stats, drops: end.Drops}
	for i, proto := range [...]tcpip.NetworkProtocolNumber{header.IPv4ProtocolNumber, header.IPv6ProtocolNumber} {
		if stats, ok := info.NetworkStats[proto].(gvstack.IPNetworkEndpointStats); ok {
			n.ip[i] = stats.IPStats()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live == nil {
		c.live = make(map[tcpip.NICID]*nicStats)
	}
	c.live[id] = n
}

// detach keeps what an interface that is gone has counted of IP, so that the
// totals never go back.
func (c *counters) detach(id tcpip.NICID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.live[id]; n != nil {
		for i := range n.ip {
			c.gone[i].add(n.ip[i])
		}
		delete(c.live, id)
	}
}

// all returns the interfaces by index.
func (c *counters) all() []*nicStats {
	c.mu.Lock()
	list := make([]*nicStats, 0, len(c.live))
	for _, n := range c.live {
		list = append(list, n)
	}
	c.mu.Unlock()
	slices.SortFunc(list, func(a, b *nicStats) int { return cmp.Compare(a.id, b.id) })
	return list
}

// totals returns what all interfaces have counted of IPv4 and IPv6.
func (c *counters) totals() [2]ipCounts {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := c.gone
	if c.expired != nil {
		sum[0].inHdrErrors += c.expired()
	}
	for _, n := range c.live {
		for i := range n.ip {
			sum[i].add(n.ip[i])
		}
	}
	return sum
}

// lost asks the link. It is called without a lock.
func (n *nicStats) lost() netdev.Drops {
	if n.drops == nil {
		return netdev.Drops{}
	}
	return n.drops()
}

// read sorts what netstack has counted, and what the link has lost, as
// ip-link(8) shows it.
func (n *nicStats) read(d *netdev.Drops) InterfaceCounters {
	return InterfaceCounters{
		RxPackets: n.nic.Rx.Packets.Value(),
		RxBytes:   n.nic.Rx.Bytes.Value(),
		RxErrors:  d.RxMalformed + d.RxTooLong,
		RxDropped: d.RxDown + d.RxForeign + n.nic.DisabledRx.Packets.Value(),
		RxMissed:  d.RxQueueFull,
		TxPackets: n.nic.Tx.Packets.Value(),
		TxBytes:   n.nic.Tx.Bytes.Value(),
		TxErrors:  d.TxTooLong + d.TxFailed,
		TxDropped: d.TxDown,
	}
}

// ipCounts are the counters of one version of IP that have a name on Linux.
type ipCounts struct {
	inReceives, inHdrErrors, inAddrErrors, inDelivers, inNoRoutes, inTooBig, outRequests, outDiscards uint64
}

func (c *ipCounts) add(s *tcpip.IPStats) {
	if s == nil {
		return
	}
	c.inReceives += s.PacketsReceived.Value()
	c.inHdrErrors += s.MalformedPacketsReceived.Value() + s.Forwarding.ExhaustedTTL.Value()
	c.inAddrErrors += s.InvalidDestinationAddressesReceived.Value() + s.InvalidSourceAddressesReceived.Value()
	c.inDelivers += s.PacketsDelivered.Value()
	c.inNoRoutes += s.Forwarding.Unrouteable.Value()
	c.inTooBig += s.Forwarding.PacketTooBig.Value()
	c.outRequests += s.PacketsSent.Value()
	c.outDiscards += s.OutgoingPacketErrors.Value()
}
