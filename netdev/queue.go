package netdev

import (
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Theory of the queue.
//
// Each end of a link has one queue of packets for its own stack. Packets that
// must not be handed over inside the sender's call wait in it; with queued
// delivery all packets do. The first packet that enters an idle queue starts a
// goroutine, the drainer, which delivers in order, batch by batch, and ends
// when it finds the queue empty. So an idle link has no goroutine, and there
// is never more than one drainer an end.
//
// The queue is bounded, in packets and in bytes, counting what the drainer has
// taken but not yet delivered; a packet that does not fit is dropped (the
// newest, as on a real interface).
//
// close empties the queue, refuses what comes later and waits for the drainer.
// It is never called with a lock of netstack held: a packet on its way up may
// need the stack's lock, which is why the link endpoints' Wait (called by
// netstack with that lock held) does not wait for the drainer, and Close does.
// The drainer must not close its own queue; nothing that netstack does with a
// packet closes a link.

const (
	// queuePackets is the default bound in packets.
	queuePackets = 4096
	// queueBytes is the bound in bytes. It holds several full windows of TCP.
	queueBytes = 32 << 20
	// keepSlots is how many slots of a slice an idle queue may keep.
	keepSlots = 64
)

type queue struct {
	deliver func(*stack.PacketBuffer) // takes ownership; set before first use
	limit   int                       // packets

	mu      sync.Mutex
	waiting []*stack.PacketBuffer
	spare   []*stack.PacketBuffer // the drainer's last batch, emptied
	packets int                   // waiting, and taken by the drainer
	bytes   int
	running bool
	closed  bool

	drainer sync.WaitGroup
}

// put takes ownership of pkt and reports whether it was queued. Its
// NetworkProtocolNumber says which protocol it is.
func (q *queue) put(pkt *stack.PacketBuffer) bool {
	size := pkt.Size()
	q.mu.Lock()
	if q.closed || q.packets >= q.limit || q.bytes+size > queueBytes {
		q.mu.Unlock()
		pkt.DecRef()
		return false
	}
	q.waiting = append(q.waiting, pkt)
	q.packets++
	q.bytes += size
	start := !q.running
	if start {
		q.running = true
		q.drainer.Add(1)
	}
	q.mu.Unlock()
	if start {
		go q.drain()
	}
	return true
}

func (q *queue) drain() {
	defer q.drainer.Done()
	var batch []*stack.PacketBuffer
	bytes := 0
	for {
		q.mu.Lock()
		q.packets -= len(batch)
		q.bytes -= bytes
		clear(batch)
		q.spare = batch[:0]
		if len(q.waiting) == 0 {
			q.running = false
			if cap(q.spare) > keepSlots {
				q.spare = nil
			}
			if cap(q.waiting) > keepSlots {
				q.waiting = nil
			}
			q.mu.Unlock()
			return
		}
		batch, q.waiting, q.spare = q.waiting, q.spare, nil
		q.mu.Unlock()

		bytes = 0
		for _, pkt := range batch {
			bytes += pkt.Size()
			q.deliver(pkt)
		}
	}
}

// close drops what waits, refuses what comes and waits for the drainer.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	dropped := q.waiting
	q.waiting = nil
	q.packets -= len(dropped)
	for _, pkt := range dropped {
		q.bytes -= pkt.Size()
	}
	q.mu.Unlock()
	for _, pkt := range dropped {
		pkt.DecRef()
	}
	q.drainer.Wait()
}
