package inet

import (
	"math"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

// How much of what was sent is unacknowledged, and how much has not left yet:
// SIOCOUTQ and TCP_NOTSENT_LOWAT. See tcp_inside.go for where it is known.

// sendQueue is what waits in a connection's send queue, in bytes.
type sendQueue struct {
	used   int // not acknowledged
	unsent int // of it
}

// sendQueueOf looks at a connection; false if netstack does not show it, or
// there never was one.
func sendQueueOf(raw *tcp.Endpoint) (q sendQueue, ok bool) {
	if sendUsed == nil || senderUna == nil || senderNext == nil {
		return q, false
	}
	raw.LockUser()
	defer raw.UnlockUser()
	e := inside(raw)
	if e.FieldByIndex(sender).IsNil() {
		return q, false
	}
	q.used = max(0, int(e.FieldByIndex(sendUsed).Int())) // the end's acknowledgement counts as a byte there
	inFlight := uint32(e.FieldByIndex(senderNext).Uint()) - uint32(e.FieldByIndex(senderUna).Uint())
	q.unsent = max(0, q.used-int(inFlight))
	return q, true
}

// unacknowledged is SIOCOUTQ: the end of the stream counts as a byte.
func unacknowledged(raw *tcp.Endpoint) int {
	state := raw.EndpointState()
	switch state {
	case tcp.StateEstablished, tcp.StateCloseWait, tcp.StateFinWait1, tcp.StateClosing, tcp.StateLastAck:
	default:
		return 0
	}
	q, ok := sendQueueOf(raw)
	if !ok {
		return endpoint.Unknown
	}
	switch state {
	case tcp.StateFinWait1, tcp.StateClosing, tcp.StateLastAck:
		q.used++
	}
	return q.used
}

// Queued implements endpoint.Endpoint.
func (t *tcpEndpoint) Queued() (in, out int) {
	raw := t.raw.Load()
	in, err := raw.GetSockOptInt(tcpip.ReceiveQueueSizeOption)
	if err != nil {
		return endpoint.Unknown, endpoint.Unknown
	}
	return in + t.unread.Load().size(), unacknowledged(raw)
}

// notSent is TCP_NOTSENT_LOWAT of one socket: it is writable, and Send takes
// bytes, while fewer than low have not left yet (tcp_stream_memory_free of
// Linux).
//
// A sender that has to wait needs an event when an acknowledgement comes, for
// then more leaves. Netstack has one when the queue falls below half of the send
// buffer. So for as long as nobody may send, it is told a buffer of twice what is
// queued; the true size is kept here meanwhile.
type notSent struct {
	low  atomic.Uint32 // 0: no limit
	size atomic.Int64  // of the send buffer
}

// setNotSent sets the limit. Once it was set netstack lets the send buffer grow
// no more by itself.
func (t *tcpEndpoint) setNotSent(low uint32) {
	w := t.notSent.Load()
	if w == nil {
		if low == 0 {
			return
		}
		w = new(notSent)
		ops := t.raw.Load().SocketOptions()
		w.size.Store(ops.GetSendBufferSize())
		if !t.notSent.CompareAndSwap(nil, w) {
			w = t.notSent.Load()
		}
		ops.SetSendBufferSize(w.size.Load(), true)
	}
	if low == 0 {
		low = math.MaxUint32
	}
	w.low.Store(low)
	t.tell(endpoint.Out)
}

// sendBuffer is the size of the send buffer.
func (t *tcpEndpoint) sendBuffer() int64 {
	if w := t.notSent.Load(); w != nil {
		return w.size.Load()
	}
	return t.raw.Load().SocketOptions().GetSendBufferSize()
}

// maySend reports whether TCP_NOTSENT_LOWAT leaves room; if not, an event is to
// come.
func (t *tcpEndpoint) maySend(raw *tcp.Endpoint) bool {
	w := t.notSent.Load()
	if w == nil {
		return true
	}
	switch raw.EndpointState() {
	case tcp.StateEstablished, tcp.StateCloseWait:
	default:
		return true // whatever else there is to be said
	}
	ops := raw.SocketOptions()
	for {
		q, ok := sendQueueOf(raw)
		now := ops.GetSendBufferSize()
		if !ok || uint32(q.unsent) < w.low.Load() {
			if size := w.size.Load(); now != size {
				ops.SetSendBufferSize(size, false)
				t.tell(endpoint.Out) // who waits would not hear of it any more
			}
			return true
		}
		if now == 2*int64(q.used) {
			return false
		}
		// Once more: an acknowledgement that came meanwhile told nobody.
		ops.SetSendBufferSize(2*int64(q.used), false)
	}
}
