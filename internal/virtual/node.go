package virtual

import (
	"container/heap"
	"sync/atomic"
	"time"

	"usersock/stack/endpoint"
)

// Node is one host of a [Driver]: what a stack gets as its clock.
type Node struct {
	driver *Driver
	name   string
	index  int // in the order of creation
	source Source

	// dirty says that the stack may have something queued: it was given a
	// packet, a call was admitted, or it asked for the time.
	dirty atomic.Bool
	// pumping is set while the stack processes. What it asks for the time
	// then is no sign of anything queued; and no call of a program enters it,
	// because those that the pump wakes stop at the gate.
	pumping atomic.Bool

	// Guarded by the driver's lock.
	pump  func()
	out   []Packet
	ports int
}

var _ Looper = (*Node)(nil)

// Name returns the host's name.
func (n *Node) Name() string { return n.name }

// Index numbers the hosts in the order of their creation, from 0.
func (n *Node) Index() int { return n.index }

// Port returns a new end of a link for this host; mtu is in bytes.
func (n *Node) Port(mtu int) *Port { return n.newPort(mtu, false) }

// Loopback implements Looper.
func (n *Node) Loopback(mtu int) *Port { return n.newPort(mtu, true) }

func (n *Node) newPort(mtu int, loop bool) *Port {
	d := n.driver
	d.mu.Lock()
	defer d.mu.Unlock()
	p := &Port{node: n, index: n.ports, mtu: mtu, loop: loop, sent: make(map[Flow]uint64)}
	n.ports++
	return p
}

// Source implements Host.
func (n *Node) Source() Source { return n.source }

// AttachPump implements Host. stop passes the gate, so that the driver is not
// inside pump when it returns.
func (n *Node) AttachPump(pump func()) (stop func()) {
	n.setPump(pump)
	return func() {
		n.Admit(Key{FD: -1, What: "stack ends"})
		n.setPump(nil)
	}
}

func (n *Node) setPump(pump func()) {
	n.driver.mu.Lock()
	defer n.driver.mu.Unlock()
	n.pump = pump
}

// Admit implements Host. While the driver does not run, before Start and
// after Stop, nobody is parked.
func (n *Node) Admit(key Key) {
	d := n.driver
	d.mu.Lock()
	if !d.running {
		d.mu.Unlock()
		return
	}
	c := &waitingCall{node: n, key: key, round: d.round, admit: make(chan struct{})}
	d.waiting = append(d.waiting, c)
	d.mu.Unlock()
	d.wake()
	<-c.admit
	n.dirty.Store(true)
}

// touch notes that the stack asked for the time.
func (n *Node) touch() {
	if !n.pumping.Load() {
		n.dirty.Store(true)
	}
}

// Now implements endpoint.Clock.
func (n *Node) Now() time.Time {
	n.touch()
	return n.driver.cfg.Clock.Now()
}

// Monotonic implements endpoint.Clock.
func (n *Node) Monotonic() time.Duration {
	n.touch()
	return n.driver.now()
}

// AfterFunc implements endpoint.Clock. f runs on the driver's goroutine and
// must not wait for anything.
func (n *Node) AfterFunc(delay time.Duration, f func()) endpoint.Timer {
	t := &timer{event{node: n, timer: true, call: f, index: -1}}
	t.Reset(delay)
	return t
}

type timer struct{ event event }

// Stop implements endpoint.Timer.
func (t *timer) Stop() bool {
	d := t.event.node.driver
	d.mu.Lock()
	defer d.mu.Unlock()
	if t.event.index < 0 {
		return false
	}
	heap.Remove(&d.events, t.event.index)
	return true
}

// Reset implements endpoint.Timer.
func (t *timer) Reset(delay time.Duration) {
	n := t.event.node
	d := n.driver
	n.touch()
	d.mu.Lock()
	if t.event.index >= 0 {
		heap.Remove(&d.events, t.event.index)
	}
	t.event.at = d.now() + max(delay, 0)
	d.push(&t.event)
	d.mu.Unlock()
	d.wake()
}
