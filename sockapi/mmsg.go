package sockapi

import (
	"errors"
	"net"
	"time"
)

// Message is one message of [Socket.Sendmmsg] and [Socket.Recvmmsg], struct
// mmsghdr of recvmmsg(2).
type Message struct {
	Bufs    [][]byte    // to send from, or to fill
	Ancdata []Ancillary // to send, or what came
	Addr    Addr        // the destination, nil for the peer; or the sender

	// Ancbufsize is the room for ancillary data that may come, in bytes.
	Ancbufsize int

	N     int // bytes sent or received
	Flags int // of the received message: MSG_TRUNC, MSG_CTRUNC, …
}

// Sendmmsg sends several messages, at most 1024 in one call, and returns how
// many were; N of each is how many bytes. An error is reported when not even
// the first could be sent, as on Linux; otherwise the next call meets it.
func (s *Socket) Sendmmsg(msgs []Message, flags ...int) (int, error) {
	all := joinFlags(flags)
	if _, err := s.use(); err != nil {
		return 0, fail("sendmmsg", nil, err)
	}
	msgs = msgs[:min(len(msgs), maxBufs)]
	for i := range msgs {
		m := &msgs[i]
		n, err := s.Sendmsg(m.Bufs, m.Ancdata, all, m.Addr)
		if err != nil && i == 0 {
			return 0, err
		}
		if err != nil {
			return i, nil
		}
		m.N = n
	}
	return len(msgs), nil
}

// Recvmmsg receives several messages, at most 1024 in one call, and returns how
// many came. It waits for each as the socket's mode says; with MSG_WAITFORONE
// only for the first, then it takes what is there. timeout is [Forever] or how
// long to go on: as on Linux it is looked at after each message, so that it ends
// no wait. An error after the first message is reported by the next call. A
// negative timeout other than Forever and a negative Ancbufsize are a
// [*ValueError].
func (s *Socket) Recvmmsg(msgs []Message, timeout time.Duration, flags ...int) (int, error) {
	all := joinFlags(flags)
	if err := checkTimeout("recvmmsg", timeout); err != nil {
		return 0, err
	}
	d, err := s.use()
	if err != nil {
		return 0, fail("recvmmsg", nil, err)
	}
	msgs = msgs[:min(len(msgs), maxBufs)]
	for i := range msgs {
		if err := checkAncbufsize("recvmmsg", msgs[i].Ancbufsize); err != nil {
			return 0, err
		}
	}
	lim := limitFor(d.net.clock, max(timeout, 0))
	for i := range msgs {
		m := &msgs[i]
		room := controlRoom{left: m.Ancbufsize}
		got, err := s.recvmsg("recvmmsg", m.Bufs, &room, all&^MSG_WAITFORONE, s.recvFlags(all))
		if err != nil && i == 0 {
			return 0, err
		}
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				d.file.keepLater(errnoOf(err))
			}
			return i, nil
		}
		m.N, m.Ancdata, m.Addr, m.Flags = got.N, room.items, fromEndpoint(got.From), got.Flags
		if all&MSG_WAITFORONE != 0 {
			all |= MSG_DONTWAIT
		}
		if timeout == 0 || timeout > 0 && lim.over(d.net.clock) != nil {
			return i + 1, nil
		}
	}
	return len(msgs), nil
}
