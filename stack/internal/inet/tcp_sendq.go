package inet

import (
	"math"
	"reflect"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

// How much of what was sent is unacknowledged, and how much has not left yet:
// SIOCOUTQ, TCP_NOTSENT_LOWAT, and which ICMP errors are to be believed.
//
// Netstack knows and has no call that tells. Its probe would, but copies the
// state of every connection at every segment. So the three numbers are read
// where they are, under the endpoint's lock, which is public: whoever does not ask
// pays nothing. A netstack that keeps them elsewhere makes the answer Unknown and
// TCP_NOTSENT_LOWAT without effect; TestSendQueueIsThere fails then.

// Places of the numbers, from tcp.Endpoint on.
var (
	sendUsed   = fieldOf[tcp.Endpoint]("sndQueueInfo", "SndBufUsed")
	sender     = fieldOf[tcp.Endpoint]("snd")
	senderUna  = fieldOf[tcp.Endpoint]("snd", "SndUna")
	senderNext = fieldOf[tcp.Endpoint]("snd", "SndNxt")
	attempt    = fieldOf[tcp.Endpoint]("h")
	attemptISS = fieldOf[tcp.Endpoint]("h", "iss")
)

// fieldOf is the place of a field in nested structs, reached through pointers too;
// nil if there is none.
func fieldOf[T any](path ...string) (index []int) {
	for at := reflect.TypeFor[T](); len(path) > 0; path = path[1:] {
		if at.Kind() == reflect.Pointer {
			at = at.Elem()
		}
		f, ok := at.FieldByName(path[0])
		if !ok {
			return nil
		}
		index, at = append(index, f.Index...), f.Type
	}
	return index
}

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
	e := reflect.ValueOf(raw).Elem()
	if e.FieldByIndex(sender).IsNil() {
		return q, false
	}
	q.used = max(0, int(e.FieldByIndex(sendUsed).Int())) // the end's acknowledgement counts as a byte there
	inFlight := uint32(e.FieldByIndex(senderNext).Uint()) - uint32(e.FieldByIndex(senderUna).Uint())
	q.unsent = max(0, q.used-int(inFlight))
	return q, true
}

// underWay reports whether a segment with the sequence number seq may wait to be
// acknowledged, which tcp_v4_err of Linux asks (RFC 5927, section 4.1): it may where
// netstack does not show.
func underWay(raw *tcp.Endpoint, seq uint32) bool {
	if senderUna == nil || senderNext == nil || attemptISS == nil {
		return true
	}
	raw.LockUser()
	defer raw.UnlockUser()
	e := reflect.ValueOf(raw).Elem()
	switch {
	case !e.FieldByIndex(sender).IsNil():
		una := uint32(e.FieldByIndex(senderUna).Uint())
		return seq-una <= uint32(e.FieldByIndex(senderNext).Uint())-una
	case !e.FieldByIndex(attempt).IsNil():
		return seq-uint32(e.FieldByIndex(attemptISS).Uint()) <= 1
	}
	return true
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
