package inet

import (
	"io"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

// unread are the bytes that nobody had read when a connection was shut down
// both ways. Linux keeps them, and resets the connection when more comes.
// Netstack resets it at once if it has any, so they are taken out of it before.
//
// Netstack calls Write under the lock of its endpoint, so that of several
// readers one takes the bytes first. Those that come later find that there is
// an unread, and leave to it what netstack has (see transfer.moved): the bytes
// stay in order.
type unread struct {
	t *tcpEndpoint

	mu    sync.Mutex // a leaf: it is taken under netstack's locks
	b     []byte
	whole bool // no more are moved
}

// takeUnread moves what netstack has to t.unread. Who reads meanwhile is told to
// try again, and hears from Shutdown when.
func (t *tcpEndpoint) takeUnread(raw *tcp.Endpoint) {
	u := &unread{t: t}
	_, _ = raw.Read(u, tcpip.ReadOptions{})
	u.mu.Lock()
	defer u.mu.Unlock()
	u.whole = true
}

// Write is part of io.Writer, for netstack.
func (u *unread) Write(b []byte) (int, error) {
	if !u.t.unread.CompareAndSwap(nil, u) && u.t.unread.Load() != u {
		return 0, io.ErrShortWrite // another Shutdown was first
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.b = append(u.b, b...)
	return len(b), nil
}

// size is the number of bytes.
func (u *unread) size() int {
	if u == nil {
		return 0
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.b)
}

// recv is Recv from the bytes: from the offset of a peek. At their end is that
// of the connection.
func (u *unread) recv(raw *tcp.Endpoint, r endpoint.RecvRequest, off int) (endpoint.Received, error) {
	t, size, peek := u.t, r.Len(), r.Flags&endpoint.MSG_PEEK != 0
	u.mu.Lock()
	if len(u.b) <= off {
		whole := u.whole
		u.mu.Unlock()
		if !whole {
			return endpoint.Received{}, endpoint.EAGAIN
		}
		if over(raw) {
			t.drain(raw)
			return endpoint.Received{}, t.takePending()
		}
		return endpoint.Received{}, nil
	}
	dst := t.p.destination(r.Bufs, size)
	dst.discard = r.Flags&endpoint.MSG_TRUNC != 0
	dst.pass = off
	_, _ = dst.Write(u.b)
	n := dst.got
	if !peek {
		u.b = u.b[n:]
	}
	u.mu.Unlock()
	t.p.release(dst)
	t.movePeek(n, peek)
	return endpoint.Received{N: n, Size: n}, nil
}
