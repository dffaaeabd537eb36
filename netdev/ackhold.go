package netdev

import (
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/seqnum"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/stack/endpoint"
)

// Theory of the held acknowledgement.
//
// netstack acknowledges every segment at once. In a conversation of small
// questions and answers that makes four packets a round trip, and half of
// their cost is for acknowledgements that the answer repeats a moment later.
// So a synchronous pair does what TCP's delayed acknowledgement does
// (RFC 9293, section 3.8.6.3), only for a shorter time: a pure acknowledgement
// waits until data of the same connection leaves and takes its place, or
// holdTime passes.
//
// Waiting must not slow down anything else, so it happens only while the
// connection looks like a conversation: exactly one small segment came since
// this end last sent data, and the one before was answered by data before the
// time was over. A second segment without an answer, a large one, or the timer
// ends that, and the next answer may begin it again. One connection at a time
// is watched, the one that received last. Nothing is held while somebody
// observes the wire, towards a router, or on a stack whose clock is not the
// machine's.
//
// No lock is held across a delivery, so an acknowledgement whose time is over
// may be overtaken by the next packet of its connection. An old number does no
// harm, but netstack believes every window it is told: a stale window of zero
// would stop the sender until it probes, so one with a window of zero is never
// held.

const (
	holdTime  = 500 * time.Microsecond
	smallData = 1024 // bytes of a segment that may be a question
)

// talk names a TCP connection as one end of a link sees it.
type talk struct {
	local, remote         [16]byte
	localPort, remotePort uint16
}

// ackHold is the state of one end of a pair.
type ackHold struct {
	clock   endpoint.Clock // nil: nothing is ever held; set before the attachment
	deliver func(*stack.PacketBuffer)

	live atomic.Bool // there is something to look at: asked, polite or held

	mu     sync.Mutex // a leaf
	talk   talk
	asked  int  // small segments received since data was last sent
	polite bool // the last question was answered in time
	held   *stack.PacketBuffer
	ack    seqnum.Value // what held acknowledges
	timer  endpoint.Timer
	armed  bool
	closed bool
}

// tcpSegment is what of a TCP packet matters here.
type tcpSegment struct {
	talk  talk
	data  int
	flags header.TCPFlags
	ack   seqnum.Value
	full  bool // its sender has no room for data: the window is zero
}

// flip makes of a segment that leaves one end one that arrives at the other.
func (s *tcpSegment) flip() {
	t := &s.talk
	t.local, t.remote, t.localPort, t.remotePort = t.remote, t.local, t.remotePort, t.localPort
}

// parse reads a packet that leaves the end, and reports whether it is TCP.
func (s *tcpSegment) parse(pkt *stack.PacketBuffer) bool {
	ip, tcp := pkt.NetworkHeader().Slice(), header.TCP(pkt.TransportHeader().Slice())
	if len(tcp) < header.TCPMinimumSize || len(ip) == 0 {
		return false
	}
	var src, dst []byte
	switch {
	case ip[0]>>4 == 4 && len(ip) >= header.IPv4MinimumSize && ip[9] == uint8(header.TCPProtocolNumber):
		src, dst = ip[12:16], ip[16:20]
	case ip[0]>>4 == 6 && len(ip) == header.IPv6MinimumSize && ip[6] == uint8(header.TCPProtocolNumber):
		src, dst = ip[8:24], ip[24:40]
	default:
		return false
	}
	s.data, s.flags, s.ack = pkt.Data().Size(), tcp.Flags(), seqnum.Value(tcp.AckNumber())
	s.full = tcp.WindowSize() == 0
	copy(s.talk.local[:], src)
	copy(s.talk.remote[:], dst)
	s.talk.localPort, s.talk.remotePort = tcp.SourcePort(), tcp.DestinationPort()
	return true
}

// received notes a packet that arrives at this end.
func (h *ackHold) received(s *tcpSegment) {
	if s.data == 0 || s.data > smallData && !h.live.Load() {
		return
	}
	var free *stack.PacketBuffer
	h.mu.Lock()
	if s.talk != h.talk {
		// What is held belongs to the connection that is watched, always.
		free, h.held = h.held, nil
		h.talk, h.asked, h.polite = s.talk, 0, false
	}
	h.asked++
	if h.asked > 1 || s.data > smallData {
		h.asked, h.polite = 2, false
		if free == nil {
			free, h.held = h.held, nil
		}
	}
	h.live.Store(true)
	h.mu.Unlock()
	if free != nil {
		h.deliver(free)
	}
}

// sending looks at a packet that leaves this end, and reports whether it took
// clone (which the call makes) to hold it. What was held before is replaced
// by the packet, or delivered ahead of it.
func (h *ackHold) sending(s *tcpSegment, clone func() *stack.PacketBuffer) bool {
	if !h.live.Load() {
		return false
	}
	h.mu.Lock()
	old := h.held
	h.held = nil
	same := s.talk == h.talk
	replaces := same && s.flags.Contains(header.TCPFlagAck) && !s.ack.LessThan(h.ack)
	if same && s.data > 0 {
		h.polite = h.asked == 1
		h.asked = 0
	}
	hold := same && s.data == 0 && s.flags == header.TCPFlagAck && !s.full && h.polite && h.asked == 1 && old == nil && !h.closed
	if hold {
		h.held, h.ack = clone(), s.ack
		h.arm()
	}
	h.live.Store(h.polite || h.asked > 0 || hold)
	h.mu.Unlock()
	switch {
	case old == nil:
	case replaces:
		old.DecRef()
	default:
		h.deliver(old)
	}
	return hold
}

// arm sets the timer unless it runs already. The lock is held.
func (h *ackHold) arm() {
	switch {
	case h.armed:
		return
	case h.timer == nil:
		h.timer = h.clock.AfterFunc(holdTime, h.expire)
	default:
		h.timer.Reset(holdTime)
	}
	h.armed = true
}

// expire ends the wait. It may come early for an acknowledgement that took the
// place of the one it was set for, which costs that one's chance.
func (h *ackHold) expire() {
	h.mu.Lock()
	old := h.held
	h.held, h.armed = nil, false
	if old != nil {
		// The answer comes too late to make the next one polite.
		h.asked, h.polite = 2, false
	}
	h.mu.Unlock()
	if old != nil {
		h.deliver(old)
	}
}

// close drops what is held.
func (h *ackHold) close() {
	h.mu.Lock()
	old := h.held
	h.held, h.closed = nil, true
	if h.armed {
		h.timer.Stop()
	}
	h.mu.Unlock()
	if old != nil {
		old.DecRef()
	}
}
