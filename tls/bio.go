package tls

import (
	"io"
	"sync"
)

// MemoryBIO is a buffer of bytes between a TLS connection and whoever carries
// its records: ssl.MemoryBIO. The zero value is empty. All methods may be called
// from any goroutine.
type MemoryBIO struct {
	mu   sync.Mutex // a leaf
	data []byte
	eof  bool
}

// Read takes at most n bytes out, all for a negative n. It returns none when
// the buffer is empty; [MemoryBIO.EOF] tells whether more can come.
func (b *MemoryBIO) Read(n int) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n < 0 || n > len(b.data) {
		n = len(b.data)
	}
	out := append([]byte(nil), b.data[:n]...)
	b.drop(n)
	return out
}

// Write puts bytes in, and returns how many. After [MemoryBIO.WriteEOF] it is an
// error.
func (b *MemoryBIO) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.eof {
		return 0, &SSLError{Code: SSL_ERROR_SSL, Text: "cannot write() after write_eof()"}
	}
	b.data = append(b.data, p...)
	return len(p), nil
}

// WriteEOF says that nothing more will be written.
func (b *MemoryBIO) WriteEOF() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.eof = true
}

// Pending returns how many bytes are in the buffer.
func (b *MemoryBIO) Pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.data)
}

// EOF reports whether the buffer is empty and stays so.
func (b *MemoryBIO) EOF() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.eof && len(b.data) == 0
}

// drop takes n bytes off the front.
func (b *MemoryBIO) drop(n int) {
	if b.data = b.data[n:]; len(b.data) == 0 {
		b.data = nil
	}
}

// bioTransport is a connection over two of them.
type bioTransport struct{ in, out *MemoryBIO }

func (t bioTransport) recv(p []byte) (int, error) {
	t.in.mu.Lock()
	defer t.in.mu.Unlock()
	n := copy(p, t.in.data)
	t.in.drop(n)
	switch {
	case n > 0:
		return n, nil
	case t.in.eof:
		return 0, io.EOF
	}
	return 0, errWantRead
}

func (t bioTransport) send(p []byte) (int, error)    { return t.out.Write(p) }
func (t bioTransport) trySend(p []byte) (int, error) { return t.out.Write(p) }
