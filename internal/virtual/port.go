package virtual

import (
	"slices"
	"time"
)

// Port is the end of a link at a host in virtual time. It has the methods of
// netdev's Device. What its stack sends is only copied and appended to a list;
// the driver takes the list when every goroutine waits. What arrives is an
// event of the driver, which delivers it from its own goroutine, with no lock
// held, so that a link made of a Port may deliver everything directly.
type Port struct {
	node  *Node
	index int // within the node
	mtu   int
	loop  bool

	// Guarded by the driver's lock.
	deliver func([]byte)
	sent    map[Flow]uint64 // packets by flow
}

// A Packet was sent on a port.
type Packet struct {
	From  *Port
	Flow  Flow
	Nth   uint64 // it is this one of its flow on this port, from 0
	Bytes []byte // the IP packet; it may be kept, not changed
}

// Node returns the host that the port belongs to.
func (p *Port) Node() *Node { return p.node }

// Index numbers the ports of a host in the order of their creation, from 0.
func (p *Port) Index() int { return p.index }

// IsLoopback reports whether the port gives back what is sent on it.
func (p *Port) IsLoopback() bool { return p.loop }

// MTU returns the length of the longest packet in bytes.
func (p *Port) MTU() int { return p.mtu }

// Send appends a copy of packet to what the host has sent. It never fails.
func (p *Port) Send(packet []byte) error {
	copied := Packet{From: p, Flow: FlowOf(packet), Bytes: slices.Clone(packet)}
	d := p.node.driver
	d.mu.Lock()
	p.node.out = append(p.node.out, copied)
	d.mu.Unlock()
	d.wake()
	return nil
}

// Attach sets what takes inbound packets; nil is nobody.
func (p *Port) Attach(deliver func(packet []byte)) {
	d := p.node.driver
	d.mu.Lock()
	p.deliver = deliver
	d.mu.Unlock()
}

// Close does nothing more than Attach(nil) did: packets under way to the port
// are dropped when they arrive.
func (p *Port) Close() error { return nil }

// Deliver lets packet arrive at the port when delay has passed. Packets that
// arrive at one port in the same instant do so in the order of these calls,
// which for that reason only come from the driver's goroutine, that is, from
// Config.Carry. packet must not be changed afterwards.
func (p *Port) Deliver(delay time.Duration, packet []byte) {
	d := p.node.driver
	d.mu.Lock()
	d.push(&event{at: d.now() + max(delay, 0), node: p.node, port: p, packet: packet})
	d.mu.Unlock()
	d.wake()
}

// flush takes what every host has sent since the last time and hands it to
// Config.Carry, in an order that does not depend on which goroutine was
// faster: by host, port and flow, and within a flow as it was sent.
func (d *Driver) flush() {
	for _, n := range d.all() {
		d.mu.Lock()
		out := n.out
		n.out = nil
		d.mu.Unlock()
		slices.SortStableFunc(out, func(a, b Packet) int {
			switch {
			case a.From.index != b.From.index:
				return a.From.index - b.From.index
			case a.Flow < b.Flow:
				return -1
			case a.Flow > b.Flow:
				return 1
			}
			return 0
		})
		for _, p := range out {
			d.mu.Lock()
			p.Nth = p.From.sent[p.Flow]
			p.From.sent[p.Flow]++
			d.stats.Packets++
			d.mu.Unlock()
			if d.cfg.Carry != nil {
				d.cfg.Carry(p)
			}
			if p.From.loop {
				p.From.Deliver(0, p.Bytes)
			}
		}
	}
}
