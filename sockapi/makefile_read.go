package sockapi

import (
	"bytes"
	"io"
	"iter"
)

// beginRead takes the reading turn; the caller gives it back if there is no
// error.
func (f *File) beginRead(op string) error {
	if err := f.begin(&f.reading, f.readable, "File not open for reading"); err != nil {
		return fail(op, nil, err)
	}
	if f.timedOut {
		f.reading.give()
		return fail(op, nil, errTimedOutFile)
	}
	return nil
}

// recv is one receive; the end of the stream is io.EOF.
func (f *File) recv(op string, buf []byte, flags int) (int, error) {
	n, _, err := f.sock.recvRaw(buf, flags, f.sock.recvLimit())
	switch {
	case err == nil && n == 0:
		return 0, io.EOF
	case err == ErrTimeout:
		f.timedOut = true
	}
	return n, f.reason(op, err)
}

// buffered returns how many bytes were received and not read yet.
func (f *File) buffered() int { return f.end - f.pos }

// fill receives once into the buffer, which then holds at most want bytes or,
// where the File is buffered, what the socket has.
func (f *File) fill(op string, want int) error {
	space := min(want-f.buffered(), maxFill)
	if f.size > 0 {
		space = max(space, min(f.size, maxFill))
	}
	n, err := f.recv(op, f.reserve(space), 0)
	f.end += n
	return err
}

// reserve returns the next n bytes of the buffer, which grows if need be: by
// doubling, so that adding up a long line stays linear.
func (f *File) reserve(n int) []byte {
	held := f.buffered()
	if len(f.buf)-f.end < n {
		to := f.buf
		if len(to)-held < n {
			to = make([]byte, max(held+n, 2*held))
		}
		copy(to, f.buf[f.pos:f.end])
		f.buf, f.pos, f.end = to, 0, held
	}
	return f.buf[f.end : f.end+n]
}

// take removes n bytes from the buffer and returns them in a slice of their
// own.
func (f *File) take(n int) []byte {
	if n == f.end && f.pos == 0 && n >= max(f.size, defaultBufsize) {
		// Large and all of it: no need for a copy.
		all := f.buf[:n:n]
		f.buf, f.pos, f.end = nil, 0, 0
		return all
	}
	data := make([]byte, n)
	f.skip(copy(data, f.buf[f.pos:f.end]))
	return data
}

// skip removes n bytes from the buffer.
func (f *File) skip(n int) {
	f.pos += n
	if f.pos < f.end {
		return
	}
	f.pos, f.end = 0, 0
	if len(f.buf) > max(f.size, maxKept) {
		f.buf = nil
	}
}

// Read reads what is there, at most len(p) bytes, and waits only if nothing
// is. The end of the stream is io.EOF. It is io.Reader's read; Python's is
// [File.ReadN].
func (f *File) Read(p []byte) (int, error) {
	if err := f.beginRead("read"); err != nil {
		return 0, err
	}
	defer f.reading.give()
	if len(p) == 0 {
		return 0, nil
	}
	if f.buffered() == 0 {
		if len(p) >= f.size {
			return f.recv("read", p, 0)
		}
		if err := f.fill("read", len(p)); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.buf[f.pos:f.end])
	f.skip(n)
	return n, nil
}

// ReadN reads n bytes, or fewer at the end of the stream; once nothing is left
// it is io.EOF. A negative n reads up to the end of the stream, which is no
// error then. It is Python's read(n).
func (f *File) ReadN(n int) ([]byte, error) {
	if err := f.beginRead("read"); err != nil {
		return nil, err
	}
	defer f.reading.give()
	for n < 0 || f.buffered() < n {
		want := n
		if n < 0 {
			want = f.buffered() + max(f.buffered(), defaultBufsize)
		}
		err := f.fill("read", want)
		if err == io.EOF && (n < 0 || f.buffered() > 0) {
			n = f.buffered()
			break
		}
		if err != nil {
			return nil, err
		}
	}
	return f.take(n), nil
}

// Readline reads a line with its newline. The last line of the stream may have
// none; after it Readline is io.EOF. A limit that is not negative bounds the
// bytes read; the rest of the line is then the next one.
func (f *File) Readline(limit int) ([]byte, error) {
	if err := f.beginRead("readline"); err != nil {
		return nil, err
	}
	defer f.reading.give()
	return f.readline("readline", limit)
}

func (f *File) readline(op string, limit int) ([]byte, error) {
	if limit == 0 {
		return []byte{}, nil
	}
	seen := 0
	for {
		if i := bytes.IndexByte(f.buf[f.pos+seen:f.end], '\n'); i >= 0 {
			end := seen + i + 1
			if limit > 0 {
				end = min(end, limit)
			}
			return f.take(end), nil
		}
		seen = f.buffered()
		if limit > 0 && seen >= limit {
			return f.take(limit), nil
		}
		err := f.fillLine(op, limit)
		if err == io.EOF && f.buffered() > 0 {
			return f.take(f.buffered()), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// fillLine receives more of a line. Without a buffer it looks first how far
// the line goes, so that nothing behind it is received.
func (f *File) fillLine(op string, limit int) error {
	if f.size > 0 {
		return f.fill(op, 0)
	}
	space := peekChunk
	if limit > 0 {
		space = min(space, limit-f.buffered())
	}
	chunk := f.reserve(space)
	n, err := f.recv(op, chunk, MSG_PEEK)
	if err != nil {
		return err
	}
	if i := bytes.IndexByte(chunk[:n], '\n'); i >= 0 {
		n = i + 1
	}
	n, err = f.recv(op, chunk[:n], 0)
	f.end += n
	return err
}

// Readlines reads all lines up to the end of the stream. A hint above 0 stops
// it once the lines have that many bytes. When it fails, the lines already
// read are returned beside the error.
func (f *File) Readlines(hint int) ([][]byte, error) {
	if err := f.beginRead("readlines"); err != nil {
		return nil, err
	}
	defer f.reading.give()
	var lines [][]byte
	for total := 0; ; {
		line, err := f.readline("readlines", -1)
		if err == io.EOF {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
		lines = append(lines, line)
		if total += len(line); hint > 0 && total >= hint {
			return lines, nil
		}
	}
}

// Lines iterates over the lines up to the end of the stream, each in a slice
// of its own. An error is its last pair.
func (f *File) Lines() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for {
			line, err := f.Readline(-1)
			if err == io.EOF || !yield(line, err) || err != nil {
				return
			}
		}
	}
}
