package inet

import (
	"reflect"

	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// What netstack's TCP knows of a connection and has no call that tells: what is in
// its send queue, which ICMP errors are to be believed, and what had come before a
// reset.
//
// Its probe would tell, but copies the state of every connection at every segment.
// So the few numbers are read where they are, under the endpoint's lock, which is
// public: whoever does not ask pays nothing. A netstack that keeps them elsewhere
// makes the answers those that callers name; TestInsideIsThere fails then.

// Places of the numbers, from tcp.Endpoint on.
var (
	sendUsed       = fieldOf[tcp.Endpoint]("sndQueueInfo", "SndBufUsed")
	sender         = fieldOf[tcp.Endpoint]("snd")
	senderUna      = fieldOf[tcp.Endpoint]("snd", "SndUna")
	senderNext     = fieldOf[tcp.Endpoint]("snd", "SndNxt")
	receiver       = fieldOf[tcp.Endpoint]("rcv")
	receiverClosed = fieldOf[tcp.Endpoint]("rcv", "closed")
	attempt        = fieldOf[tcp.Endpoint]("h")
	attemptISS     = fieldOf[tcp.Endpoint]("h", "iss")
	attemptState   = fieldOf[tcp.Endpoint]("h", "state")
)

// attemptSynRecv is handshakeSynRcvd of netstack.
const attemptSynRecv = 1

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

// inside shows the fields of an endpoint, whose lock the caller has.
func inside(raw *tcp.Endpoint) reflect.Value { return reflect.ValueOf(raw).Elem() }

// underWay reports whether a segment with the sequence number seq may wait to be
// acknowledged, which tcp_v4_err of Linux asks (RFC 5927, section 4.1): it may where
// netstack does not show.
func underWay(raw *tcp.Endpoint, seq uint32) bool {
	if senderUna == nil || senderNext == nil || attemptISS == nil {
		return true
	}
	raw.LockUser()
	defer raw.UnlockUser()
	e := inside(raw)
	switch {
	case !e.FieldByIndex(sender).IsNil():
		una := uint32(e.FieldByIndex(senderUna).Uint())
		return seq-una <= uint32(e.FieldByIndex(senderNext).Uint())-una
	case !e.FieldByIndex(attempt).IsNil():
		return seq-uint32(e.FieldByIndex(attemptISS).Uint()) <= 1
	}
	return true
}

// peerEnded reports whether the end of what the peer sends has come, also of a
// connection that was reset since; it has not where netstack does not show.
func peerEnded(raw *tcp.Endpoint) bool {
	if receiverClosed == nil {
		return false
	}
	raw.LockUser()
	defer raw.UnlockUser()
	e := inside(raw)
	return !e.FieldByIndex(receiver).IsNil() && e.FieldByIndex(receiverClosed).Bool()
}

// peerOpened reports whether an attempt to connect has ended in SYN-RECV, where
// the peer had opened at the same time; it has not where netstack does not show.
func peerOpened(raw *tcp.Endpoint) bool {
	if attemptState == nil {
		return false
	}
	raw.LockUser()
	defer raw.UnlockUser()
	e := inside(raw)
	return !e.FieldByIndex(attempt).IsNil() && e.FieldByIndex(attemptState).Int() == attemptSynRecv
}
