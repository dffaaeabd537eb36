package netdev

import (
	"net"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// port is what the link endpoints of this package have in common: the way up
// into the attached stack. The rest of stack.LinkEndpoint is theirs.
type port struct {
	dispatcher atomic.Pointer[stack.NetworkDispatcher] // nil: not attached
	mtu        atomic.Uint32                           // of IP packets
	mac        tcpip.LinkAddress                       // "": bare IP packets; see ether.go
	closed     atomic.Bool
	forwards   atomic.Bool // the attached stack forwards
	inbox      queue
	drops      drops
	status     status
}

// init prepares a port: mtu is that of IP packets, limit how many packets may
// wait (0: the usual), mac the hardware address, or empty for bare IP packets.
func (p *port) init(mtu, limit int, mac net.HardwareAddr) {
	if limit <= 0 {
		limit = queuePackets
	}
	p.mtu.Store(uint32(max(mtu, 0)))
	p.mac = tcpip.LinkAddress(mac)
	p.inbox.limit = limit
	p.inbox.deliver = p.up
}

// up hands pkt to the stack and takes ownership of it.
func (p *port) up(pkt *stack.PacketBuffer) {
	d := p.dispatcher.Load()
	if d == nil || p.closed.Load() {
		p.drops.rxDown.Add(1)
	} else {
		(*d).DeliverNetworkPacket(pkt.NetworkProtocolNumber, pkt)
	}
	pkt.DecRef()
}

// later puts pkt into the queue and takes ownership of it.
func (p *port) later(pkt *stack.PacketBuffer) {
	if p.closed.Load() {
		p.drops.rxDown.Add(1)
		pkt.DecRef()
		return
	}
	if !p.inbox.put(pkt) {
		p.drops.rxQueueFull.Add(1)
	}
}

// receive hands over pkt, now or later, and takes ownership of it.
func (p *port) receive(pkt *stack.PacketBuffer, now bool) {
	if now {
		p.up(pkt)
	} else {
		p.later(pkt)
	}
}

// down reports that no packet can reach the stack.
func (p *port) down() bool { return p.dispatcher.Load() == nil || p.closed.Load() }

// shut closes the way up and reports whether it was open. When it returns, the
// drainer is gone.
func (p *port) shut() bool {
	if p.closed.Swap(true) {
		return false
	}
	p.inbox.close()
	return true
}

func (p *port) setForwards(on bool) { p.forwards.Store(on) }

// Attach implements stack.LinkEndpoint. netstack calls it with the stack's lock
// held.
func (p *port) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		p.dispatcher.Store(nil)
		return
	}
	p.dispatcher.Store(&d)
}

// IsAttached implements stack.LinkEndpoint.
func (p *port) IsAttached() bool { return p.dispatcher.Load() != nil }

// MTU implements stack.LinkEndpoint.
func (p *port) MTU() uint32 { return p.mtu.Load() }

// SetMTU implements stack.LinkEndpoint.
func (p *port) SetMTU(mtu uint32) { p.mtu.Store(mtu) }

// Wait implements stack.LinkEndpoint. netstack calls it with the stack's lock
// held, so it does not wait for a delivery that may need that lock: Close
// does.
func (p *port) Wait() {}

// SetOnCloseAction implements stack.LinkEndpoint. A link that ends by itself
// stays attached and drops, as an interface without carrier does.
func (p *port) SetOnCloseAction(func()) {}

// drops has the counters behind Drops.
type drops struct {
	txDown, txTooLong, txFailed                 atomic.Uint64
	rxDown, rxQueueFull, rxMalformed, rxTooLong atomic.Uint64
	rxForeign                                   atomic.Uint64
}

func (d *drops) snapshot() Drops {
	return Drops{
		TxDown:      d.txDown.Load(),
		TxTooLong:   d.txTooLong.Load(),
		TxFailed:    d.txFailed.Load(),
		RxDown:      d.rxDown.Load(),
		RxQueueFull: d.rxQueueFull.Load(),
		RxMalformed: d.rxMalformed.Load(),
		RxTooLong:   d.rxTooLong.Load(),
		RxForeign:   d.rxForeign.Load(),
	}
}
