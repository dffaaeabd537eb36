package unix

import "usersock/stack/endpoint"

// Urgent data, MSG_OOB: on streams only, and as Linux has it since 5.15.
//
// The last byte of a message that is sent with MSG_OOB is a segment of its own,
// and marked; a queue has one mark, and a later one makes an earlier byte a
// plain one. MSG_OOB receives the marked byte wherever it stands and leaves
// a gap of no bytes in its place. Other calls stop before the mark, and at a gap
// unless there is a mark; the next one loses the marked byte (or, with
// SO_OOBINLINE, begins with it), and a peek looks past it.

// urgency says what a segment of a stream has to do with urgent data.
type urgency uint8

const (
	plain  urgency = iota
	marked         // the byte that MSG_OOB receives
	gap            // such a byte, received: it is still in the chunk
)

// span is how many bytes of the chunks a segment with an urgency has.
func (s *segment) span() int {
	if s.urgent == gap {
		return 1
	}
	return int(s.n)
}

// setMark makes a byte that is still marked a plain one. Called with mu held.
func (q *queue) setMark() {
	if q.mark.Swap(true) {
		for i := q.head; i < len(q.segs); i++ {
			if q.segs[i].urgent == marked {
				q.segs[i].urgent = plain
			}
		}
	}
}

// What a call that receives plain bytes does with a segment with an urgency.
const (
	passTake = iota
	passStop // it ends before it
	passOver // it looks at what follows
	passDrop // it takes it out of the queue, unseen
)

// pass decides that for the call that has found bytes already, or not. Called
// with mu held.
func (q *queue) pass(s *segment, peek, found bool) int {
	inline := q.owner.inline.Load()
	switch {
	case found && (s.urgent == marked || !q.mark.Load()):
		return passStop
	case s.urgent == gap && peek:
		return passOver
	case s.urgent == gap:
		return passDrop
	case peek && inline:
		return passTake
	case peek:
		return passOver
	}
	q.mark.Store(false)
	s.urgent = plain
	if inline {
		return passTake
	}
	return passDrop
}

// takeUrgent takes the marked byte: EINVAL if there is none, or if it is
// received with the others.
func (q *queue) takeUrgent(h how) (p portion, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.mark.Load() || q.owner.inline.Load() {
		return p, endpoint.EINVAL
	}
	p.first = q.first
	for i := q.head; i < len(q.segs); i++ {
		s := &q.segs[i]
		if s.urgent != marked {
			p.skip += int(s.n)
			if s.urgent == gap {
				p.skip++
			}
			continue
		}
		p.found, p.urgent, p.from = true, true, s.from
		p.n, p.size = min(h.size, 1), 1
		if !h.peek {
			s.urgent = gap
			s.n = 0
			q.mark.Store(false)
			q.bytes--
			p.unread = 1
		}
		return p, nil
	}
	return p, endpoint.EINVAL
}

// AtMark implements endpoint.Marker.
func (e *Endpoint) AtMark() (bool, error) {
	if e.in.records() {
		return false, endpoint.EOPNOTSUPP
	}
	return e.in.atMark(), nil
}

// atMark reports whether the queue begins with the marked byte, perhaps behind
// gaps, or with a gap while there is no mark: unix_ioctl of Linux, which keeps one
// of several gaps side by side.
func (q *queue) atMark() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := q.head; i < len(q.segs); i++ {
		switch s := &q.segs[i]; {
		case s.urgent == marked:
			return true
		case s.urgent != gap:
			return false
		case !q.mark.Load():
			return true
		}
	}
	return false
}

// pass leaves the bytes of a segment out.
func (p *portion) pass(s *segment) {
	if p.n == 0 {
		p.skip += s.span()
	} else {
		p.gaps = append(p.gaps, p.n) // only a gap is passed when there are bytes before
	}
}
