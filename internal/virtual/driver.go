package virtual

import (
	"container/heap"
	"sync"
	"time"

	"usersock/stack/endpoint"
)

// Theory of the driver.
//
// A run repeats if nothing that reaches a packet depends on which goroutine was
// faster. The driver makes it so with the help of a bubble (testing/synctest),
// which can say when every goroutine waits, and in which time stands still
// until then. It is one goroutine, and its loop is:
//
//  1. Settle: let every goroutine run until it waits.
//  2. Pump the stacks that may have something queued; if there were any, the
//     goroutines that this woke come first: back to 1.
//  3. Flush: hand over the packets that were sent, in an order of their own.
//  4. If calls wait at the gate, admit the first by host and key; back to 1.
//  5. If an event is due, let it happen, pump its host; back to 1. Timers of one
//     host that are due in the same instant happen together, because the order
//     in which goroutines set them may differ from run to run.
//  6. Wait for the next event, or for anything that is new. If there is no
//     event, no timer is set: where nobody else has one either, the bubble
//     finds that all its goroutines are blocked, and reports the deadlock with
//     their stacks.
//
// What runs beside each other within one step 1 is free to race: transfers that
// finish at once are never parked, because programs hold mutexes across them
// and a goroutine that waits for a mutex does not count as waiting in a bubble.
// The packets of such calls are ordered by the flush; everything that draws from
// what sockets share (ports, random numbers, descriptors) passes the gate.
//
// The driver's lock is a leaf: stacks take it from inside their own locks. The
// driver holds it for its own fields only, never while it calls pump, deliver,
// a timer's function or Carry.

// Config says what a [Driver] is made of. Clock and Settle are required.
type Config struct {
	// Seed decides all random numbers of the hosts.
	Seed uint64

	// Clock is the time of the bubble: endpoint.SystemClock, called inside it.
	Clock endpoint.Clock

	// Settle returns when every goroutine of the bubble waits, except the
	// caller: synctest.Wait. Nobody else may call that while the driver runs.
	Settle func()

	// Carry takes each packet that a host sends and decides what arrives, by
	// calls of [Port.Deliver]. It runs on the driver's goroutine and must not
	// wait. A packet of a loopback port comes back by itself; Carry only sees
	// it. nil loses everything else.
	Carry func(Packet)
}

// Driver moves the virtual time of a network of hosts. Make it inside the
// bubble. It is used in this order: Node for each host, then the stacks and
// whatever one goroutine can set up, Start, the programs, Stop, and then the
// stacks are closed. A program that begins before Start is not held at the
// gate. A stack may also be made and closed between Start and Stop.
type Driver struct {
	cfg    Config
	origin time.Duration
	news   chan struct{} // holds one signal at most
	ended  chan struct{}

	mu      sync.Mutex // a leaf
	running bool
	stop    bool
	nodes   []*Node
	named   map[string]uint64 // how many hosts had the name
	events  events
	seq     uint64
	waiting []*waitingCall
	round   uint64
	stats   Stats
}

// Stats counts what a driver did.
type Stats struct {
	Packets  uint64 // handed to Carry
	Events   uint64 // packets that arrived and timers that ran out
	Pumps    uint64
	Admitted uint64 // calls that passed the gate
	Rounds   uint64 // calls of Settle

	// Ties counts the calls that were admitted although another with the same
	// key had come in the same round, so that chance decided between them. If
	// a run does not repeat, look here first.
	Ties uint64
}

// NewDriver returns a driver that does not run yet.
func NewDriver(cfg Config) *Driver {
	return &Driver{
		cfg:    cfg,
		origin: cfg.Clock.Monotonic(),
		news:   make(chan struct{}, 1),
		ended:  make(chan struct{}),
		named:  make(map[string]uint64),
	}
}

// Node adds a host. Its random numbers depend on the seed, its name, and how
// many hosts of that name there were before; its place in the order of events
// on how many hosts there are.
func (d *Driver) Node(name string) *Node {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := &Node{driver: d, name: name, index: len(d.nodes), source: NewSource(d.cfg.Seed, name, d.named[name])}
	d.named[name]++
	d.nodes = append(d.nodes, n)
	return n
}

// Now returns the virtual time since the driver was made.
func (d *Driver) Now() time.Duration { return d.now() }

// Stats returns what the driver did so far.
func (d *Driver) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats
}

// Start begins to move time, in a goroutine of its own that Stop ends.
func (d *Driver) Start() {
	d.mu.Lock()
	d.running = true
	d.mu.Unlock()
	go d.run()
}

// Stop ends the driver's goroutine: time stands still for all hosts, and
// nobody is parked at the gate any more. Call it when the programs have ended.
// The stacks are closed after it; what they still send goes nowhere. Stopping
// twice, or what was never started, is harmless.
func (d *Driver) Stop() {
	d.mu.Lock()
	started := d.running || d.stop
	d.stop = true
	d.mu.Unlock()
	if !started {
		return
	}
	d.wake()
	<-d.ended
}

func (d *Driver) now() time.Duration { return d.cfg.Clock.Monotonic() - d.origin }

// wake tells the loop that there is something new.
func (d *Driver) wake() {
	select {
	case d.news <- struct{}{}:
	default:
	}
}

// push adds an event. The driver is locked.
func (d *Driver) push(e *event) {
	d.seq++
	e.seq = d.seq
	heap.Push(&d.events, e)
}

func (d *Driver) all() []*Node {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.nodes
}

func (d *Driver) run() {
	defer close(d.ended)
	alarm := d.cfg.Clock.AfterFunc(time.Hour, d.wake)
	defer alarm.Stop()
	for {
		d.settle()
		d.flush()
		switch {
		case d.stopping():
			d.openGate()
			return
		case d.admitNext(), d.runDue():
		default:
			d.sleep(alarm)
		}
	}
}

// settle lets goroutines and stacks run until neither has anything to do.
func (d *Driver) settle() {
	for again := true; again; {
		d.mu.Lock()
		d.stats.Rounds++
		d.mu.Unlock()
		d.cfg.Settle()
		again = false
		for _, n := range d.all() {
			if n.dirty.Swap(false) && d.pump(n) {
				again = true
			}
		}
	}
}

// pump lets a stack process what is queued; false if the host has no stack.
func (d *Driver) pump(n *Node) bool {
	d.mu.Lock()
	pump := n.pump
	if pump != nil {
		d.stats.Pumps++
	}
	d.mu.Unlock()
	if pump == nil {
		return false
	}
	n.pumping.Store(true)
	pump()
	n.pumping.Store(false)
	return true
}

func (d *Driver) stopping() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stop {
		d.running = false
	}
	return d.stop
}

// runDue lets the first event happen if its time has come, and with a timer
// all timers of the same host and instant.
func (d *Driver) runDue() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.events) == 0 || d.events[0].at > d.now() {
		return false
	}
	d.round++
	first := d.take()
	node, at := first.node, first.at
	for e := first; ; e = d.take() {
		var deliver func([]byte)
		if !e.timer {
			deliver = e.port.deliver
		}
		d.mu.Unlock()
		if e.timer {
			e.call()
		} else if deliver != nil {
			deliver(e.packet)
		}
		d.mu.Lock()
		if !e.timer || len(d.events) == 0 {
			break
		}
		if next := d.events[0]; !next.timer || next.node != node || next.at != at {
			break
		}
	}
	node.dirty.Store(true)
	return true
}

// take removes the first event. The driver is locked.
func (d *Driver) take() *event {
	d.stats.Events++
	return heap.Pop(&d.events).(*event)
}

// sleep waits for the next event or for news.
func (d *Driver) sleep(alarm endpoint.Timer) {
	d.mu.Lock()
	left := time.Duration(-1)
	if len(d.events) > 0 {
		left = max(d.events[0].at-d.now(), 0)
	}
	d.mu.Unlock()
	if left >= 0 {
		alarm.Reset(left)
	} else {
		alarm.Stop()
	}
	<-d.news
}
