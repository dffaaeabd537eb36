package virtual

// A waitingCall is parked at the gate.
type waitingCall struct {
	node  *Node
	key   Key
	round uint64 // of the driver's loop, when it came
	admit chan struct{}
}

func (c *waitingCall) before(o *waitingCall) bool {
	if c.node != o.node {
		return c.node.index < o.node.index
	}
	return c.key.Less(o.key)
}

// admitNext lets the first of the waiting calls go on, and reports whether
// there was one.
func (d *Driver) admitNext() bool {
	d.mu.Lock()
	if len(d.waiting) == 0 {
		d.mu.Unlock()
		return false
	}
	first := 0
	for i, c := range d.waiting {
		if c.before(d.waiting[first]) {
			first = i
		}
	}
	next := d.waiting[first]
	for i, c := range d.waiting {
		if i != first && c.node == next.node && c.key == next.key && c.round == next.round {
			d.stats.Ties++
			break
		}
	}
	d.waiting = append(d.waiting[:first], d.waiting[first+1:]...)
	d.round++
	d.stats.Admitted++
	d.mu.Unlock()
	close(next.admit)
	return true
}

// openGate lets everybody go on who waits.
func (d *Driver) openGate() {
	d.mu.Lock()
	waiting := d.waiting
	d.waiting = nil
	d.mu.Unlock()
	for _, c := range waiting {
		close(c.admit)
	}
}
