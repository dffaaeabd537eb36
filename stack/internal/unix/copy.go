package unix

// The slow part of a queue's work, without its lock: see the theory in queue.go.

// copyOut copies a portion. The caller has the turn of reading.
func (q *queue) copyOut(p portion, bufs [][]byte) {
	if p.n == 0 {
		return
	}
	dst := cursor{bufs: bufs}
	at := place{c: p.first, off: p.first.r}
	at.read(p.skip, nil)
	done := 0
	for _, n := range p.gaps {
		at.read(n-done, &dst)
		at.read(1, nil)
		done = n
	}
	at.read(p.n-done, &dst)
}

// place is a place in the chunks.
type place struct {
	c   *chunk
	off int
}

// read goes on by n bytes, which go to dst if there is one. All chunks but the
// last are full, and of the last no more is asked for than was written. Its next
// is the sender's, so it does not look there before it has to.
func (p *place) read(n int, dst *cursor) {
	for n > 0 {
		if p.off == len(p.c.buf) {
			p.c, p.off = p.c.next, 0
		}
		b := p.c.buf[p.off:]
		b = b[:min(len(b), n)]
		if dst != nil {
			dst.write(b)
		}
		p.off += len(b)
		n -= len(b)
	}
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
