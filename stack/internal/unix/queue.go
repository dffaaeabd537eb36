package unix

import (
	"sync"
	"sync/atomic"

	"usersock/stack/endpoint"
)

// Theory of operation.
//
// A queue belongs to the endpoint that receives from it. Its bytes lie one
// after the other in a list of chunks; a list of segments beside it says where
// one message ends and the next begins, who sent it, and what came with it. A
// stream has segments too, one for each piece that Linux would make of what was
// sent: a piece takes its part of the send buffer until its last byte is
// received.
//
// Copying is the slow part, and happens outside the lock. The two turns,
// reading and writing, let one receiver and one sender at a time copy, the two
// side by side:
//
//   - A sender adds to the last chunk beyond its end w, and to chunks of its
//     own; then, under mu, it moves w, links its chunks and enters the segment.
//     busy keeps the receiver from recycling the last chunk meanwhile.
//   - A receiver decides under mu what it takes, and takes that out of the
//     segments; copies; then frees the chunks under mu. It finds the end of a
//     chunk without looking at w: each but the last is full.
//
// The order of locks is reading, writing, mu. Family.mu is never held with any
// of them. Sinks are called, and rights released, with none of them held.
//
// Memory: an idle queue that has never been used has no chunk. A small one is
// kept once there has been need of it; large ones come from the family and go
// back as soon as they are read.

const (
	smallChunk = 4 << 10
	largeChunk = 32 << 10
)

type chunk struct {
	next *chunk
	buf  []byte
	r, w int // read and written up to here
}

// segment is one message, or a piece of a stream.
type segment struct {
	n      int32 // bytes not yet received
	charge int32 // what it takes of the sender's buffer until it is gone
	from   *Endpoint
	rights []endpoint.Right
	when   int64 // nanoseconds of Unix time, 0: not stamped
	cred   endpoint.Cred
	urgent urgency
	peeked bool // at an offset, see SO_PEEK_OFF
}

type queue struct {
	owner *Endpoint

	reading sync.Mutex // the receiver's turn
	writing sync.Mutex // the sender's turn

	mu          sync.Mutex
	busy        bool // a sender is copying
	first, last *chunk
	small       *chunk // the small chunk while it is not in the list
	hasSmall    bool   // it exists
	bytes       int    // of all segments
	segs        []segment
	head        int // index of the first segment
	waiters     []*Endpoint

	mark atomic.Bool // a segment is urgent
}

func (q *queue) records() bool { return q.owner.typ != endpoint.SOCK_STREAM }

// readable reports whether something waits.
func (q *queue) readable() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.head < len(q.segs)
}

// waiting is the number of bytes for SIOCINQ.
func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.owner.typ != endpoint.SOCK_DGRAM {
		return q.bytes
	}
	if q.head == len(q.segs) {
		return 0
	}
	return int(q.segs[q.head].n)
}

// put appends total bytes of src, as one message or in pieces of at most so
// many bytes; the first has the rights. The receiver has to be told, whatever waits
// for it already: with EPOLLET each arrival is an event. EPIPE: it is not there to
// read them; EPERM: it takes no rights. The caller has the turn of writing.
func (q *queue) put(s segment, total, piece int, src *cursor) (err error) {
	q.mu.Lock()
	q.busy = true
	last, room := q.last, 0
	if last != nil {
		room = min(len(last.buf)-last.w, total)
	}
	var more, end *chunk
	if rest := total - room; rest > 0 && rest <= smallChunk {
		more, q.small = q.small, nil
		if more == nil && !q.hasSmall {
			q.hasSmall = true
			more = &chunk{buf: make([]byte, smallChunk)}
		}
		end = more
	}
	q.mu.Unlock()

	if room > 0 {
		src.read(last.buf[last.w : last.w+room])
	}
	for rest := total - room; rest > 0; {
		c := more
		if c == nil || end.w > 0 {
			c = q.owner.family.chunks.Get().(*chunk)
			if more == nil {
				more = c
			} else {
				end.next = c
			}
			end = c
		}
		c.w = min(len(c.buf), rest)
		src.read(c.buf[:c.w])
		rest -= c.w
	}

	q.mu.Lock()
	q.busy = false
	switch {
	case q.owner.shut.Load()&shutRead != 0:
		err = endpoint.EPIPE
	case s.rights != nil && q.owner.noRights.Load():
		err = endpoint.EPERM
	}
	if err != nil {
		q.recycle(more)
		q.tidy()
		q.mu.Unlock()
		return err
	}
	if room > 0 {
		last.w += room
	}
	if more != nil {
		if q.last != nil {
			q.last.next = more
		} else {
			q.first = more
		}
		q.last = end
	}
	s.from.unread.Add(int64(total))
	q.enter(s, total, piece)
	q.mu.Unlock()
	return nil
}

// enter adds the segments of total bytes.
func (q *queue) enter(s segment, total, piece int) {
	if s.urgent == marked {
		q.setMark()
	}
	q.bytes += total
	for first := true; first || total > 0; first = false {
		n := min(total, piece)
		s.n, s.charge = int32(n), int32(q.cost(n))
		s.from.charged.Add(int64(s.charge))
		if q.head > 0 && len(q.segs) == cap(q.segs) {
			k := copy(q.segs, q.segs[q.head:])
			clear(q.segs[k:])
			q.segs, q.head = q.segs[:k], 0
		}
		q.segs = append(q.segs, s)
		s.rights = nil
		total -= n
	}
}

// cost is what a segment of n bytes takes of its sender's buffer.
func (q *queue) cost(n int) int {
	if q.records() {
		return messageCost(n)
	}
	return pieceCost(n)
}

// pop removes the first segment.
func (q *queue) pop() {
	q.segs[q.head] = segment{}
	if q.head++; q.head == len(q.segs) {
		q.segs, q.head = q.segs[:0], 0
	}
}

// portion is what one call receives.
type portion struct {
	first         *chunk
	skip, n, drop int  // bytes to pass over, to copy, and to remove with them
	size          int  // true length of the message
	cut           bool // the message is longer than the buffers
	found         bool
	gaps          []int // after how many of the bytes there is a gap, see urgent.go
	stop          bool  // the call ends here whatever follows, see Received.Stop
	urgent        bool  // the byte of MSG_OOB
	from          *Endpoint
	unread        int // bytes that are not the sender's to wait for any more
	charge        int // what they took of its buffer
	cred          endpoint.Cred
	rights        []endpoint.Right
	lost          []endpoint.Right // that nobody receives
	when          int64
}

// how is the manner of a receiving call.
type how struct {
	size int // room for so many bytes
	peek bool
	skip int  // bytes not to look at, SO_PEEK_OFF
	at   bool // skip counts: SO_PEEK_OFF is set
}

// take decides what a receiver gets, and takes it out of the segments unless
// it only peeks.
func (q *queue) take(h how) portion {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.records() {
		return q.takeMessage(h)
	}
	return q.takeBytes(h)
}

func (q *queue) takeMessage(h how) (p portion) {
	p.first = q.first
	i, skip := q.head, h.skip
	for ; i < len(q.segs) && h.at && skip >= int(q.segs[i].n) && (skip > 0 || q.segs[i].peeked); i++ {
		skip -= int(q.segs[i].n)
		p.skip += int(q.segs[i].n)
	}
	if i == len(q.segs) {
		return p
	}
	s := &q.segs[i]
	n := int(s.n)
	p.found, p.from, p.cred, p.rights, p.when = true, s.from, s.cred, s.rights, s.when
	p.skip += skip
	p.n, p.cut = min(h.size, n-skip), h.size < n-skip
	p.size = n - skip
	if h.peek {
		s.peeked = true
		p.rights = retainAll(p.rights)
	} else {
		p.drop, p.unread, p.charge = n, n, int(s.charge)
		q.bytes -= n
		q.pop()
	}
	return p
}

func (q *queue) takeBytes(h how) (p portion) {
	p.first = q.first
	if q.head == len(q.segs) {
		return p
	}
	glue, skip, skipped := !q.owner.passCred.Load(), h.skip, false
	for i := q.head; i < len(q.segs); {
		s := &q.segs[i]
		if s.urgent != plain && !skipped { // Linux does not look where SO_PEEK_OFF leads it
			switch q.pass(s, h.peek, p.n > 0) {
			case passStop:
				p.stop = true
				return q.taken(p, h)
			case passOver:
				p.found = p.n > 0 // Linux has found nothing until there are bytes
				p.pass(s)
				i++
				continue
			case passDrop:
				p.pass(s)
				p.charge += int(s.charge)
				p.unread += int(s.n)
				q.bytes -= int(s.n)
				p.from, p.lost = s.from, append(p.lost, s.rights...) // with the byte, as on Linux
				q.pop()
				i = q.head
				continue
			}
		}
		n := int(s.n)
		if skip >= n {
			skip -= n
			p.skip += s.span()
			i++
			skipped = true
			continue
		}
		skipped = false
		if p.found && !glue && s.cred != p.cred {
			p.stop = true // messages of different senders are not glued together
			break
		}
		if !p.found {
			p.found, p.from, p.cred = true, s.from, s.cred
		}
		n = min(n-skip, h.size-p.n)
		p.skip += skip
		p.n += n
		skip = 0
		withRights := s.rights != nil
		if h.peek {
			// Linux goes on, past the size, until there are rights.
			i++
			if withRights {
				p.rights = retainAll(s.rights)
				p.stop = true
				break
			}
			continue
		}
		if withRights {
			p.rights, s.rights = s.rights, nil
		}
		if s.n -= int32(n); s.n > 0 {
			break
		}
		p.charge += int(s.charge)
		q.pop()
		i = q.head
		if withRights {
			p.stop = true
			break
		}
		if p.n == h.size {
			break
		}
	}
	return q.taken(p, h)
}

// taken fills in what follows from the bytes that takeBytes has chosen.
func (q *queue) taken(p portion, h how) portion {
	p.size = p.n
	if !h.peek {
		p.drop = p.skip + p.n + len(p.gaps)
		p.unread += p.n
		q.bytes -= p.n
	}
	return p
}

// remove frees the bytes of a portion that has been copied, and returns who
// waits to send here if there is room now. The caller has the turn of reading.
func (q *queue) remove(n int) []*Endpoint {
	q.mu.Lock()
	defer q.mu.Unlock()
	for n > 0 {
		c := q.first
		k := min(n, len(c.buf)-c.r)
		c.r += k
		n -= k
		if c.r == len(c.buf) {
			q.first = c.next
			if q.first == nil {
				q.last = nil
			}
			c.next = nil
			q.recycle(c)
		}
	}
	q.tidy()
	if len(q.waiters) == 0 || q.full() {
		return nil
	}
	return q.takeWaiters()
}

// tidy gives the last chunk back when nothing is in it.
func (q *queue) tidy() {
	if c := q.first; c != nil && c.r == c.w && c.next == nil && !q.busy {
		q.first, q.last = nil, nil
		q.recycle(c)
	}
}

// recycle takes back a list of chunks.
func (q *queue) recycle(c *chunk) {
	for c != nil {
		next := c.next
		c.next, c.r, c.w = nil, 0, 0
		if len(c.buf) == smallChunk {
			q.small = c
		} else {
			q.owner.family.chunks.Put(c)
		}
		c = next
	}
}

// purge drops everything for good, and returns whether there was anything to
// receive and the rights to release.
func (q *queue) purge() (any bool, rights []endpoint.Right) {
	q.reading.Lock()
	q.writing.Lock()
	q.mu.Lock()
	segs := q.segs[q.head:]
	q.segs, q.head, q.bytes = nil, 0, 0
	q.mark.Store(false)
	q.recycle(q.first)
	q.first, q.last = nil, nil
	q.mu.Unlock()
	q.writing.Unlock()
	q.reading.Unlock()
	if len(segs) > 0 {
		// One segment of nothing does not count on connections: Linux takes an
		// empty record for a gap.
		any = len(segs) > 1 || segs[0].n > 0 || q.owner.typ == endpoint.SOCK_DGRAM
	}
	for _, s := range segs {
		s.from.release(int64(s.n), int64(s.charge))
		s.from.land(q, s.rights)
		rights = append(rights, s.rights...)
	}
	return any, rights
}
