package sockapi

import (
	"bytes"

	"usersock/stack/endpoint"
)

func (f *File) beginWrite(op string) error {
	return fail(op, nil, f.begin(&f.writing, f.writable, "File not open for writing"))
}

// Write takes p into the buffer and sends what does not fit; without a buffer
// it sends all of p. It returns how many bytes of p it took: with an error,
// those that were sent or are in the buffer and will be sent by a later flush.
func (f *File) Write(p []byte) (int, error) {
	if err := f.beginWrite("write"); err != nil {
		return 0, err
	}
	defer f.writing.give()
	return f.write("write", p)
}

// Writelines writes the lines one after another, without adding anything and
// without a write of another goroutine in between. It returns how many bytes
// it took, as Write does.
func (f *File) Writelines(lines [][]byte) (int, error) {
	if err := f.beginWrite("writelines"); err != nil {
		return 0, err
	}
	defer f.writing.give()
	total := 0
	for _, line := range lines {
		n, err := f.write("writelines", line)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

func (f *File) write(op string, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(f.out)+len(p) <= f.size {
		f.out = append(f.out, p...)
		return len(p), f.flushLine(op, p)
	}
	n := 0
	err := f.flush(op)
	if err == nil && len(p) < f.size {
		f.out = append(f.out, p...)
		return len(p), f.flushLine(op, p)
	}
	if err == nil {
		n, err = f.sendAll(op, p)
	}
	if err == nil || errnoOf(err) != endpoint.EAGAIN {
		return n, err
	}
	// The socket takes no more for now: what fits is kept.
	more := min(len(p)-n, f.size-len(f.out))
	f.out = append(f.out, p[n:n+more]...)
	n += more
	if n == len(p) && !f.lines {
		err = nil
	}
	return n, err
}

// flushLine flushes if p, which was just written, ends a line that must not
// wait.
func (f *File) flushLine(op string, p []byte) error {
	if f.lines && bytes.IndexByte(p, '\n') >= 0 {
		return f.flush(op)
	}
	return nil
}

// Flush sends what is in the buffer. After an error the rest stays there. On
// a File that cannot be written it does nothing.
func (f *File) Flush() error {
	if !f.writable && !f.closing.Load() {
		return nil
	}
	if err := f.beginWrite("flush"); err != nil {
		return err
	}
	defer f.writing.give()
	return f.flush("flush")
}

func (f *File) flush(op string) error {
	n, err := f.sendAll(op, f.out)
	f.sent(n)
	return err
}

// sent removes the first n bytes from the writing buffer.
func (f *File) sent(n int) {
	f.out = f.out[:copy(f.out, f.out[n:])]
}

// sendAll sends p, for calls that Close may end.
func (f *File) sendAll(op string, p []byte) (sent int, err error) {
	f.sending.Store(true)
	defer f.sending.Store(false)
	for sent < len(p) && err == nil {
		if f.closing.Load() {
			// Either Close sees sending, or this sees closing.
			err = errClosed
			break
		}
		var n int
		n, err = f.send(p[sent:])
		sent += n
	}
	return sent, f.reason(op, err)
}

// send sends once, waiting as the mode says.
func (f *File) send(p []byte) (int, error) {
	return f.sock.sendRaw(p, endpoint.Addr{}, 0, f.sock.sendLimit(), false)
}
