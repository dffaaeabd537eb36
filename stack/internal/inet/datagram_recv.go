package inet

import (
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/stack/endpoint"
)

// received is a packet that waits to be received. The rest (addresses, ports,
// TTL) is read from its headers when somebody asks. To read it may change how
// netstack holds it, so that one goroutine has it at a time: who takes it out of the
// queue, or who has the queue's lock. A peek gets a clone, which shares the bytes.
type received struct {
	buffer *gvstack.PacketBuffer // holds a reference; nil: no packet
	at     time.Time             // when it came; zero if no option wanted that
	peeked bool                  // empty, and a peek has seen it: see SO_PEEK_OFF
	cost   int32                 // what it takes of SO_RCVBUF
}

// receiveQueue is a ring of packets.
type receiveQueue struct {
	mu     sync.Mutex // a leaf
	ring   []received
	head   int
	count  int
	bytes  int // what waits takes of SO_RCVBUF
	lost   uint32
	closed bool
}

// push adds a packet and keeps a reference to it, unless it has no room. There is
// always room for one; whole says that there is for another only if all of it
// fits (UDP, __udp_enqueue_schedule_skb of Linux), else as long as any room is left
// (__sock_queue_rcv_skb).
func (q *receiveQueue) push(pkt *gvstack.PacketBuffer, at time.Time, cost, limit int, whole bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	if whole && q.count > 0 && q.bytes+cost > limit || !whole && q.bytes >= limit {
		q.lost++
		return false
	}
	if q.count == len(q.ring) {
		ring := make([]received, max(4, 2*len(q.ring)))
		for i := range q.count {
			ring[i] = q.ring[(q.head+i)%len(q.ring)]
		}
		q.ring, q.head = ring, 0
	}
	q.ring[(q.head+q.count)%len(q.ring)] = received{buffer: pkt.IncRef(), at: at, cost: int32(cost)}
	q.count++
	q.bytes += cost
	return true
}

// idleRing is how long an empty ring may stay.
const idleRing = 64

// pop takes the oldest packet out; its reference is the caller's.
func (q *receiveQueue) pop() received {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count == 0 {
		return received{}
	}
	r := q.ring[q.head]
	q.ring[q.head] = received{}
	q.head = (q.head + 1) % len(q.ring)
	q.count--
	q.bytes -= int(r.cost)
	if q.count == 0 && len(q.ring) > idleRing {
		q.ring, q.head = nil, 0
	}
	return r
}

// peek returns the oldest packet, and leaves it.
func (q *receiveQueue) peek() received {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count == 0 {
		return received{}
	}
	return q.ring[q.head].clone()
}

func (r received) clone() received {
	r.buffer = r.buffer.Clone()
	return r
}

// next is the size of the oldest packet, 0 if there is none.
func (q *receiveQueue) next(size func(*gvstack.PacketBuffer) int) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count == 0 {
		return 0
	}
	return size(q.ring[q.head].buffer)
}

// peekAt returns the packet that holds the byte at an offset from the front,
// and what the offset is in it, after __skb_try_recv_from_queue: an empty
// packet is seen once.
func (q *receiveQueue) peekAt(off int, size func(*gvstack.PacketBuffer) int) (received, int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.count {
		r := &q.ring[(q.head+i)%len(q.ring)]
		n := size(r.buffer)
		if off >= n && (off > 0 || r.peeked) {
			off -= n
			continue
		}
		r.peeked = n == 0
		return r.clone(), off
	}
	return received{}, 0
}

func (q *receiveQueue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count == 0
}

// charged returns what the waiting packets take, and how many had no room since
// the queue was made.
func (q *receiveQueue) charged() (bytes int, lost uint32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes, q.lost
}

func (q *receiveQueue) drops() uint32 {
	_, lost := q.charged()
	return lost
}

// close drops what waits, and whatever comes.
func (q *receiveQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for i := range q.count {
		q.ring[(q.head+i)%len(q.ring)].buffer.DecRef()
	}
	q.ring, q.head, q.count, q.bytes = nil, 0, 0, 0
}

// deliver queues a packet. It is called by netstack, with its checks done.
func (d *datagram) deliver(pkt *gvstack.PacketBuffer) {
	if least := d.ip.minTTL(pkt.NetworkProtocolNumber); least != 0 && hopLimit(pkt) < least {
		return
	}
	var at time.Time
	if d.has(flagTimestamp | flagTimestampNS) {
		at = d.p.clock.Now()
	}
	cost := d.packetCost(pkt.NetworkProtocolNumber, len(pkt.TransportHeader().Slice())+pkt.Data().Size())
	ok := d.in.push(pkt, at, cost, int(d.ops.GetReceiveBufferSize()), d.kind.ports())
	if d.kind == kindUDP {
		if stats := d.p.stack.Stats().UDP; ok {
			stats.PacketsReceived.Increment()
		} else {
			stats.ReceiveBufferErrors.Increment()
		}
	}
	if ok {
		d.tell(endpoint.In) // each time: edge-triggered, every datagram is an event
	}
}

// length is the number of bytes that the application receives of a packet.
func (d *datagram) length(pkt *gvstack.PacketBuffer) int {
	n := pkt.Data().Size()
	switch d.kind {
	case kindPing:
		n += len(pkt.TransportHeader().Slice())
	case kindRaw:
		n += len(pkt.TransportHeader().Slice())
		if d.af == endpoint.AF_INET {
			n += len(pkt.NetworkHeader().Slice())
		}
	}
	return n
}

// copyOut writes those bytes to dst, which takes what fits.
func (d *datagram) copyOut(pkt *gvstack.PacketBuffer, dst *transfer) {
	if d.kind == kindRaw && d.af == endpoint.AF_INET {
		_, _ = dst.Write(pkt.NetworkHeader().Slice())
	}
	if d.kind == kindRaw || d.kind == kindPing {
		_, _ = dst.Write(pkt.TransportHeader().Slice())
	}
	_, _ = pkt.Data().ReadTo(dst, true)
}

// Recv implements endpoint.Endpoint. A datagram that does not fit is cut, and
// MSG_TRUNC is set; Size is its true length. MSG_OOB means nothing to UDP, and is
// EOPNOTSUPP on raw and ping sockets. After
// SHUT_RD datagrams are received as before; where there is none, who waits gets 0
// and who does not (MSG_DONTWAIT) EAGAIN, although poll says that it is readable.
func (d *datagram) Recv(r endpoint.RecvRequest) (endpoint.Received, error) {
	if d.state.Load() == stateClosed {
		return endpoint.Received{}, endpoint.EBADF
	}
	if r.Flags&endpoint.MSG_OOB != 0 && !d.kind.ports() {
		return endpoint.Received{}, endpoint.EOPNOTSUPP
	}
	if r.Flags&endpoint.MSG_ERRQUEUE != 0 {
		return d.recvError(&d.errs, r, d.errorItems)
	}
	if err := d.takePending(); err != nil {
		return endpoint.Received{}, err
	}
	var pkt received
	peek, off := r.Flags&endpoint.MSG_PEEK != 0, 0
	if !peek {
		pkt = d.in.pop()
	} else if at, set := d.peekFrom(); set {
		pkt, off = d.in.peekAt(at, d.length)
	} else {
		pkt = d.in.peek()
	}
	if pkt.buffer == nil {
		if err := d.alive(); err != nil {
			return endpoint.Received{}, err
		}
		if d.has(flagShutRead) && r.Flags&endpoint.MSG_DONTWAIT == 0 {
			return endpoint.Received{}, nil
		}
		return endpoint.Received{}, endpoint.EAGAIN
	}
	room := r.Len()
	dst := d.p.destination(r.Bufs, room)
	dst.skim, dst.pass = true, off
	d.copyOut(pkt.buffer, dst)
	got := endpoint.Received{N: dst.got, Size: d.length(pkt.buffer), From: d.sender(pkt.buffer)}
	d.p.release(dst)
	if got.N < got.Size && room <= got.Size-off {
		got.Flags |= endpoint.MSG_TRUNC
	}
	if d.kind == kindPing {
		got.Size = got.N // ping_recvmsg of Linux tells no other length
	}
	if r.Flags&endpoint.MSG_TRUNC != 0 {
		d.movePeek(got.Size, peek)
	} else {
		d.movePeek(got.N, peek)
	}
	if d.wantsControl() {
		d.recvControl(&got, pkt, r.Control)
	}
	pkt.buffer.DecRef()
	return got, nil
}

// sender is the address that a packet came from.
func (d *datagram) sender(pkt *gvstack.PacketBuffer) endpoint.Addr {
	src, _ := packetAddresses(pkt.NetworkProtocolNumber, pkt.NetworkHeader().Slice())
	port := uint16(0)
	if d.kind.ports() {
		port = header.UDP(pkt.TransportHeader().Slice()).SourcePort()
	}
	return d.socketAddr(tcpip.FullAddress{NIC: pkt.NICID, Addr: src, Port: port})
}

// hopLimit is the TTL or hop limit that a packet came with.
func hopLimit(pkt *gvstack.PacketBuffer) uint8 {
	if pkt.NetworkProtocolNumber == header.IPv4ProtocolNumber {
		return header.IPv4(pkt.NetworkHeader().Slice()).TTL()
	}
	return header.IPv6(pkt.NetworkHeader().Slice()).HopLimit()
}

// trafficClass is the TOS or traffic class that a packet came with.
func trafficClass(pkt *gvstack.PacketBuffer) uint8 {
	if pkt.NetworkProtocolNumber == header.IPv4ProtocolNumber {
		tos, _ := header.IPv4(pkt.NetworkHeader().Slice()).TOS()
		return tos
	}
	tos, _ := header.IPv6(pkt.NetworkHeader().Slice()).TOS()
	return tos
}
