package inet

import (
	"io"
	"sync/atomic"
)

// transfer is the other side of netstack's Read and Write: a source or a
// destination of bytes made of several buffers. Each is used for one call and
// comes from the pool of the Protocols, so that a call allocates nothing.
type transfer struct {
	bufs [][]byte
	next int // index of the first buffer that is not used up
	off  int // bytes of it that are used
	left int // bytes to be read yet

	// skim lets Write take whatever comes and drop what does not fit: a
	// datagram is consumed whole. A stream takes no more than fits.
	skim bool
	// discard lets Write count bytes without keeping them: MSG_TRUNC of TCP.
	discard bool
	// pass lets Write pass over so many bytes first: SO_PEEK_OFF.
	pass int
	// moved is where the bytes of a stream may have gone: then Write takes none.
	moved *atomic.Pointer[unread]
	got   int // bytes copied, or discarded
}

func (p *Protocols) source(bufs [][]byte, n int) *transfer {
	t := p.transfers.Get().(*transfer)
	t.bufs, t.left = bufs, n
	return t
}

func (p *Protocols) destination(bufs [][]byte, n int) *transfer {
	return p.source(bufs, n)
}

func (p *Protocols) release(t *transfer) {
	*t = transfer{}
	p.transfers.Put(t)
}

// Len is part of tcpip.Payloader.
func (t *transfer) Len() int { return t.left }

// Read is part of tcpip.Payloader.
func (t *transfer) Read(b []byte) (n int, err error) {
	if t.left == 0 {
		return 0, io.EOF
	}
	if len(b) > t.left {
		b = b[:t.left]
	}
	for n < len(b) {
		src := t.current()
		c := copy(b[n:], src)
		t.off += c
		n += c
	}
	t.left -= n
	return n, nil
}

// Write takes bytes that netstack hands out.
func (t *transfer) Write(b []byte) (n int, err error) {
	if t.moved != nil && t.moved.Load() != nil {
		return 0, io.ErrShortWrite
	}
	want := len(b)
	passed := min(t.pass, len(b))
	t.pass -= passed
	b = b[passed:]
	if len(b) > t.left {
		b = b[:t.left]
	}
	if t.discard {
		n = len(b)
	} else {
		for n < len(b) {
			dst := t.current()
			c := copy(dst, b[n:])
			t.off += c
			n += c
		}
	}
	t.left -= n
	t.got += n
	switch {
	case t.skim, passed+n == want:
		return want, nil
	}
	return passed + n, io.ErrShortWrite
}

// current returns the unused rest of the first buffer that has any. There is
// one as long as left is not 0.
func (t *transfer) current() []byte {
	for t.off == len(t.bufs[t.next]) {
		t.next++
		t.off = 0
	}
	return t.bufs[t.next][t.off:]
}
