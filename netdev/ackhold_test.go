package netdev

import (
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/seqnum"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/stack/endpoint"
)

// lateClock fires its timers when it is told to.
type lateClock struct {
	endpoint.Clock
	mu    sync.Mutex
	armed []*lateTimer
}

type lateTimer struct {
	c *lateClock
	f func()
}

func (c *lateClock) AfterFunc(_ time.Duration, f func()) endpoint.Timer {
	t := &lateTimer{c, f}
	t.Reset(0)
	return t
}

func (t *lateTimer) Reset(time.Duration) {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	t.c.armed = append(t.c.armed, t)
}

func (t *lateTimer) Stop() bool {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	for i, other := range t.c.armed {
		if other == t {
			t.c.armed = append(t.c.armed[:i], t.c.armed[i+1:]...)
			return true
		}
	}
	return false
}

// fire ends every wait, and reports how many there were.
func (c *lateClock) fire() int {
	c.mu.Lock()
	due := c.armed
	c.armed = nil
	c.mu.Unlock()
	for _, t := range due {
		t.f()
	}
	return len(due)
}

// hold is one end's state with what it delivered.
type holdLab struct {
	*testing.T
	ackHold
	clock *lateClock
	sent  []*stack.PacketBuffer
}

func newHoldLab(t *testing.T) *holdLab {
	l := &holdLab{T: t, clock: new(lateClock)}
	l.ackHold.clock = l.clock
	l.deliver = func(pkt *stack.PacketBuffer) {
		l.sent = append(l.sent, pkt)
		pkt.DecRef()
	}
	return l
}

// in is a segment of n bytes that arrives from a peer.
func (l *holdLab) in(port uint16, n int) {
	s := tcpSegment{talk: talk{remotePort: port}, data: n, flags: header.TCPFlagAck}
	l.received(&s)
}

// out is a segment that leaves; it reports whether it was held.
func (l *holdLab) out(port uint16, n int, flags header.TCPFlags, ack int) bool {
	s := tcpSegment{talk: talk{remotePort: port}, data: n, flags: flags, ack: seqnum.Value(ack)}
	return l.sending(&s, func() *stack.PacketBuffer {
		return stack.NewPacketBuffer(stack.PacketBufferOptions{})
	})
}

func (l *holdLab) expect(delivered int) {
	l.Helper()
	if len(l.sent) != delivered {
		l.Errorf("%d acknowledgements were delivered, want %d", len(l.sent), delivered)
	}
}

const ackOnly = header.TCPFlagAck

// converse makes the end polite: one question was answered in time.
func (l *holdLab) converse() {
	l.in(7, 10)
	if l.out(7, 0, ackOnly, 1) {
		l.Error("held before there was a conversation")
	}
	l.out(7, 10, ackOnly|header.TCPFlagPsh, 1)
}

func TestAckHold(t *testing.T) {
	t.Run("data replaces it", func(t *testing.T) {
		l := newHoldLab(t)
		l.converse()
		for i := range 5 {
			l.in(7, 10)
			if !l.out(7, 0, ackOnly, i+2) {
				t.Error("not held")
			}
			l.out(7, 10, ackOnly|header.TCPFlagPsh, i+2)
		}
		l.expect(0)
	})
	t.Run("the time is over", func(t *testing.T) {
		l := newHoldLab(t)
		l.converse()
		l.in(7, 10)
		l.out(7, 0, ackOnly, 2)
		if l.clock.fire() != 1 {
			t.Error("no timer was set")
		}
		l.expect(1)
		l.in(7, 10)
		if l.out(7, 0, ackOnly, 3) {
			t.Error("held although the last question had no answer")
		}
	})
	t.Run("a second segment", func(t *testing.T) {
		l := newHoldLab(t)
		l.converse()
		l.in(7, 10)
		l.out(7, 0, ackOnly, 2)
		l.in(7, 10)
		l.expect(1)
		if l.out(7, 0, ackOnly, 3) {
			t.Error("held in a stream of segments")
		}
	})
	t.Run("a large segment", func(t *testing.T) {
		l := newHoldLab(t)
		l.converse()
		l.in(7, smallData+1)
		if l.out(7, 0, ackOnly, 2) {
			t.Error("held after a large segment")
		}
	})
	t.Run("another connection", func(t *testing.T) {
		l := newHoldLab(t)
		l.converse()
		l.in(7, 10)
		l.out(7, 0, ackOnly, 2)
		l.out(8, 10, ackOnly, 1)
		l.expect(1)
		if l.out(8, 0, ackOnly, 1) {
			t.Error("held for a connection that asked nothing")
		}
	})
	t.Run("another connection's question", func(t *testing.T) {
		l := newHoldLab(t)
		l.converse()
		l.in(7, 10)
		l.out(7, 0, ackOnly, 2)
		l.in(8, 10)
		l.expect(1)
		l.out(8, 10, ackOnly, 9) // a number of another connection, which says nothing of the first
		l.expect(1)
	})
	t.Run("another connection's large segment", func(t *testing.T) {
		l := newHoldLab(t)
		l.converse()
		l.in(7, 10)
		l.out(7, 0, ackOnly, 2)
		l.in(8, smallData+1)
		l.expect(1)
	})
	t.Run("an older acknowledgement does not replace it", func(t *testing.T) {
		l := newHoldLab(t)
		l.converse()
		l.in(7, 10)
		l.out(7, 0, ackOnly, 9)
		l.out(7, 10, ackOnly, 8)
		l.expect(1)
	})
	t.Run("FIN is not held, and replaces it", func(t *testing.T) {
		l := newHoldLab(t)
		l.converse()
		l.in(7, 10)
		l.out(7, 0, ackOnly, 2)
		if l.out(7, 0, ackOnly|header.TCPFlagFin, 2) {
			t.Error("a FIN was held")
		}
		l.expect(0)
	})
	t.Run("a window of zero", func(t *testing.T) {
		l := newHoldLab(t)
		l.converse()
		l.in(7, 10)
		s := tcpSegment{talk: talk{remotePort: 7}, flags: ackOnly, ack: 2, full: true}
		if l.sending(&s, func() *stack.PacketBuffer { return nil }) {
			t.Error("held")
		}
	})
	t.Run("close drops it and its timer", func(t *testing.T) {
		l := newHoldLab(t)
		l.converse()
		l.in(7, 10)
		l.out(7, 0, ackOnly, 2)
		l.close()
		if l.clock.fire() != 0 {
			t.Error("a timer is left")
		}
		l.expect(0)
		if l.out(7, 0, ackOnly, 2) {
			t.Error("held after close")
		}
	})
}

// TestPairHoldsAcks counts the packets of a conversation between two stacks:
// two a round trip where acknowledgements are held, four where not.
func TestPairHoldsAcks(t *testing.T) {
	const rounds = 200
	for _, c := range []struct {
		name    string
		clock   bool
		observe bool
		atMost  uint64
		atLeast uint64
	}{
		{"held", true, false, 2*rounds + 10, 2 * rounds},
		{"without a clock", false, false, 5 * rounds, 4 * rounds},
		{"observed", true, true, 5 * rounds, 4 * rounds},
	} {
		t.Run(c.name, func(t *testing.T) {
			alice, bob := newHost(t), newHost(t)
			a, b := Pair(PairConfig{})
			if c.clock {
				// The time is never over, so that a slow machine changes nothing.
				a.Wire().Clock(new(lateClock))
				b.Wire().Clock(new(lateClock))
			}
			if c.observe {
				defer a.Wire().Medium.Observe()()
			}
			alice.attach(a, aliceNet)
			bob.attach(b, bobNet)
			l := bob.listen("192.0.2.2:7")
			q, err := alice.dial("192.0.2.2:7")
			if err != nil {
				t.Fatal(err)
			}
			s := l.accept()
			done := make(chan struct{})
			go func() {
				defer close(done)
				for buf := make([]byte, 10); s.readFull(buf); {
					s.write(buf)
				}
			}()
			heard := func() uint64 {
				return alice.Stats().TCP.ValidSegmentsReceived.Value() + bob.Stats().TCP.ValidSegmentsReceived.Value()
			}
			before := heard()
			buf := pattern(10)
			for range rounds {
				q.write(buf)
				if !q.readFull(buf) {
					t.Fatal("the end of the stream")
				}
			}
			if n := heard() - before; n > c.atMost || n < c.atLeast-2 {
				t.Errorf("%d segments arrived in %d round trips, want %d to %d", n, rounds, c.atLeast, c.atMost)
			}
			q.Close()
			<-done
		})
	}
}
