package unix

import (
	"sync"
	"time"

	"usersock/stack/endpoint"
)

// Theory of operation.
//
// A queue belongs to the endpoint that receives from it. Its bytes lie one
// after the other in a list of chunks; a list of segments beside it says where
// one message ends and the next begins, who sent it, and what came with it. A
// stream has segments too, but bytes of the same sender and credentials
// without rights are one segment however often they were sent, so that moving
// plain bytes makes no segment.
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

// segment is one message, or a part of a stream that is received with the same
// control items.
type segment struct {
	n      int // bytes not yet received
	charge int // what it takes of the sender's buffer; n itself on a stream
	from   *Endpoint
	cred   endpoint.Cred
	rights []endpoint.Right
	when   time.Time
}

type queue struct {
	owner *Endpoint

	reading sync.Mutex // the receiver's turn
	writing sync.Mutex // the sender's turn

	mu          sync.Mutex
	busy        bool // a sender is copying
	hungry      bool // Recv returned EAGAIN though something waits
	first, last *chunk
	small       *chunk // the small chunk while it is not in the list
	hasSmall    bool   // it exists
	bytes       int    // of all segments
	segs        []segment
	head        int // index of the first segment
	waiters     map[*Endpoint]struct{}
}

func (q *queue) records() bool { return q.owner.typ != endpoint.SOCK_STREAM }

// ready reports whether at least n bytes of a stream, or a message, can be
// received. The threshold gives way when the sender may be waiting itself.
// Called with mu held.
func (q *queue) ready(n int) bool {
	if q.records() {
		return q.head < len(q.segs)
	}
	if q.bytes == 0 || q.bytes >= n {
		return q.bytes > 0
	}
	sender := q.owner.peer.Load()
	return sender == nil || !sender.writable()
}

// readable is ready for the endpoint's own low-water mark.
func (q *queue) readable() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ready(int(q.owner.lowat.Load()))
}

// full reports whether a datagram of an endpoint that is not the peer has to
// wait. Called with mu held.
func (q *queue) full() bool { return len(q.segs)-q.head > maxDatagrams }

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
	return q.segs[q.head].n
}

// put appends the first s.n bytes of bufs. It reports whether the receiver has
// to be told, and whether it is there to read them. The caller has the turn of
// writing.
func (q *queue) put(s segment, bufs [][]byte) (tell, ok bool) {
	q.mu.Lock()
	q.busy = true
	last, room := q.last, 0
	if last != nil {
		room = min(len(last.buf)-last.w, s.n)
	}
	var more, end *chunk
	if rest := s.n - room; rest > 0 && rest <= smallChunk {
		more, q.small = q.small, nil
		if more == nil && !q.hasSmall {
			q.hasSmall = true
			more = &chunk{buf: make([]byte, smallChunk)}
		}
		end = more
	}
	q.mu.Unlock()

	src := cursor{bufs: bufs}
	if room > 0 {
		src.read(last.buf[last.w : last.w+room])
	}
	for rest := s.n - room; rest > 0; {
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
	if q.owner.shut.Load()&shutRead != 0 {
		q.recycle(more)
		q.tidy()
		q.mu.Unlock()
		return false, false
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
	lowat := int(q.owner.lowat.Load())
	tell = q.hungry || !q.ready(lowat)
	s.from.unread.Add(int64(s.n))
	s.from.charged.Add(int64(s.charge))
	q.enter(s)
	tell = tell && (q.hungry || q.ready(lowat))
	q.hungry = false
	q.mu.Unlock()
	return tell, true
}

// enter adds a segment, or makes the last one longer.
func (q *queue) enter(s segment) {
	q.bytes += s.n
	if n := len(q.segs); n > q.head && !q.records() && s.rights == nil {
		if t := &q.segs[n-1]; t.rights == nil && t.cred == s.cred {
			t.n += s.n
			return
		}
	}
	if q.head > 0 && len(q.segs) == cap(q.segs) {
		n := copy(q.segs, q.segs[q.head:])
		clear(q.segs[n:])
		q.segs, q.head = q.segs[:n], 0
	}
	q.segs = append(q.segs, s)
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
	from          *Endpoint
	charge        int
	cred          endpoint.Cred
	rights        []endpoint.Right
	when          time.Time
}

// take decides what a receiver with room for size bytes gets, and takes it out
// of the segments unless it only peeks, past the first skip bytes.
func (q *queue) take(size int, peek bool, skip int) portion {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.records() {
		return q.takeMessage(size, peek, skip)
	}
	return q.takeBytes(size, peek, skip)
}

func (q *queue) takeMessage(size int, peek bool, skip int) (p portion) {
	p.first = q.first
	i := q.head
	for ; i < len(q.segs) && skip > 0 && skip >= q.segs[i].n; i++ {
		skip -= q.segs[i].n
		p.skip += q.segs[i].n
	}
	if i == len(q.segs) {
		q.hungry = q.head < len(q.segs)
		return p
	}
	s := &q.segs[i]
	p.found, p.from, p.cred, p.rights, p.when = true, s.from, s.cred, s.rights, s.when
	p.skip += skip
	p.n, p.cut = min(size, s.n-skip), size < s.n-skip
	p.size, p.drop, p.charge = s.n-skip, s.n, s.charge
	if peek {
		p.rights = retainAll(p.rights)
	} else {
		q.bytes -= s.n
		q.pop()
	}
	return p
}

func (q *queue) takeBytes(size int, peek bool, skip int) (p portion) {
	p.first = q.first
	atOnce := peek || q.owner.shut.Load()&shutRead != 0 || q.owner.err.Load() != 0
	if q.bytes <= skip || !atOnce && !q.ready(min(size, int(q.owner.lowat.Load()))) {
		q.hungry = q.bytes > 0
		return p
	}
	glue := !q.owner.passCred.Load()
	for i := q.head; i < len(q.segs); {
		s := &q.segs[i]
		if skip >= s.n {
			skip -= s.n
			p.skip += s.n
			i++
			continue
		}
		if p.found && !glue && s.cred != p.cred {
			break // messages of different senders are not glued together
		}
		if !p.found {
			p.found, p.from, p.cred = true, s.from, s.cred
		}
		n := min(s.n-skip, size-p.n)
		p.skip += skip
		p.n += n
		skip = 0
		p.rights = s.rights
		if peek {
			p.rights = retainAll(p.rights)
			i++
		} else {
			s.rights = nil
			if s.n -= n; s.n == 0 {
				q.pop()
				i = q.head
			}
		}
		if p.rights != nil || p.n == size {
			break
		}
	}
	p.size, p.drop, p.charge = p.n, p.n, p.n
	if !peek {
		q.bytes -= p.n
	} else if p.n < size {
		q.hungry = true // who looks may wait for more: MSG_PEEK with MSG_WAITALL
	}
	return p
}

// copyOut copies a portion. The caller has the turn of reading.
func (q *queue) copyOut(p portion, bufs [][]byte) {
	dst := cursor{bufs: bufs}
	skip := p.skip
	c := p.first
	for left := p.n; left > 0; {
		// All chunks but the last are full, and of the last no more is asked
		// for than was written. Its next is the sender's, so do not look.
		b := c.buf[c.r:]
		if skip < len(b) {
			b = b[skip:]
			b = b[:min(len(b), left)]
			dst.write(b)
			if left -= len(b); left == 0 {
				return
			}
			skip = 0
		} else {
			skip -= len(b)
		}
		c = c.next
	}
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

// purge drops everything for good, and returns whether there was anything and
// the rights to release.
func (q *queue) purge() (any bool, rights []endpoint.Right) {
	q.reading.Lock()
	q.writing.Lock()
	q.mu.Lock()
	segs := q.segs[q.head:]
	q.segs, q.head, q.bytes = nil, 0, 0
	q.recycle(q.first)
	q.first, q.last = nil, nil
	q.mu.Unlock()
	q.writing.Unlock()
	q.reading.Unlock()
	for _, s := range segs {
		charge := s.charge
		if !q.records() {
			charge = s.n
		}
		s.from.release(int64(s.n), int64(charge))
		rights = append(rights, s.rights...)
	}
	return len(segs) > 0, rights
}

// await puts e among those who are told when there is room.
func (q *queue) await(e *Endpoint) {
	if q.waiters == nil {
		q.waiters = make(map[*Endpoint]struct{})
	}
	q.waiters[e] = struct{}{}
}

func (q *queue) takeWaiters() []*Endpoint {
	woken := make([]*Endpoint, 0, len(q.waiters))
	for w := range q.waiters {
		woken = append(woken, w)
	}
	q.waiters = nil
	return woken
}

// cursor goes through buffers.
type cursor struct {
	bufs [][]byte
	off  int
}

// read fills dst.
func (c *cursor) read(dst []byte) {
	for len(dst) > 0 {
		n := copy(dst, c.bufs[0][c.off:])
		dst = dst[n:]
		c.advance(n)
	}
}

// write empties src.
func (c *cursor) write(src []byte) {
	for len(src) > 0 {
		n := copy(c.bufs[0][c.off:], src)
		src = src[n:]
		c.advance(n)
	}
}

func (c *cursor) advance(n int) {
	if c.off += n; c.off == len(c.bufs[0]) {
		c.bufs, c.off = c.bufs[1:], 0
	}
}
