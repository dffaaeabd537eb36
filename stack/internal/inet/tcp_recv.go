package inet

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

// Recv implements endpoint.Endpoint.
func (t *tcpEndpoint) Recv(r endpoint.RecvRequest) (endpoint.Received, error) {
	if t.closed.Load() {
		return endpoint.Received{}, endpoint.EBADF
	}
	if r.Flags&(endpoint.MSG_OOB|endpoint.MSG_ERRQUEUE) != 0 {
		if r.Flags&endpoint.MSG_ERRQUEUE != 0 {
			return t.recvQueued(r)
		}
		if t.raw.Load().EndpointState() == tcp.StateListen {
			return endpoint.Received{}, endpoint.ENOTCONN
		}
		return endpoint.Received{}, endpoint.EINVAL // no urgent data, or read in line
	}
	raw := t.raw.Load()
	size := r.Len()
	peek, off := r.Flags&endpoint.MSG_PEEK != 0, 0
	if peek {
		off, _ = t.peekFrom()
	}
	if u := t.unread.Load(); u != nil {
		return u.recv(raw, r, off)
	}
	if size == 0 {
		return t.recvNothing(raw, off)
	}
	dst := t.p.destination(r.Bufs, size)
	dst.moved = &t.unread
	dst.discard = r.Flags&endpoint.MSG_TRUNC != 0
	dst.pass = off
	_, err := raw.Read(dst, tcpip.ReadOptions{Peek: peek})
	n := dst.got
	t.p.release(dst)
	if err != nil {
		if u := t.unread.Load(); u != nil {
			return u.recv(raw, r, off) // moved during the call
		}
		return endpoint.Received{}, t.recvErrno(raw, err)
	}
	if n == 0 && off > 0 {
		return endpoint.Received{}, t.nothingBehind()
	}
	t.movePeek(n, peek)
	if t.p.moderate && !peek {
		raw.ModerateRecvBuf(n)
	}
	return endpoint.Received{N: n, Size: n}, nil
}

// nothingBehind answers a peek at an offset that all bytes lie before.
func (t *tcpEndpoint) nothingBehind() error {
	if t.Ready(endpoint.RdHup)&endpoint.RdHup == 0 {
		return endpoint.EAGAIN
	}
	return nil
}

// recvNothing answers a request for no bytes as tcp_recvmsg does: 0 as soon
// as a byte is there (which stays), else what any request would get. off is
// the offset of a peek.
func (t *tcpEndpoint) recvNothing(raw *tcp.Endpoint, off int) (endpoint.Received, error) {
	if off > 0 {
		if n, err := raw.GetSockOptInt(tcpip.ReceiveQueueSizeOption); err == nil && n > 0 && n <= off {
			return endpoint.Received{}, t.nothingBehind()
		}
	}
	var none noBytes
	_, err := raw.Read(none, tcpip.ReadOptions{Peek: true})
	if _, there := err.(*tcpip.ErrBadBuffer); there || err == nil {
		return endpoint.Received{}, nil
	}
	return endpoint.Received{}, t.recvErrno(raw, err)
}

// noBytes is a destination without room.
type noBytes struct{}

func (noBytes) Write([]byte) (int, error) { return 0, errNoRoom }

// recvErrno turns an error of netstack's Read into tcp_recvmsg's: nil at the
// end of the stream, after a pending error has been reported once.
func (t *tcpEndpoint) recvErrno(raw *tcp.Endpoint, err tcpip.Error) error {
	if raw.EndpointState() == tcp.StateError && !t.closed.Load() && peerEnded(raw) {
		t.drain(raw) // for SO_ERROR
		return nil   // the end is read for ever (SOCK_DONE of Linux)
	}
	switch err.(type) {
	case *tcpip.ErrWouldBlock:
		if e := t.takePending(); e != nil {
			return e
		}
		if t.has(flagShutRead) {
			return nil
		}
		return endpoint.EAGAIN
	case *tcpip.ErrClosedForReceive:
		if t.closed.Load() {
			return endpoint.EBADF // closed during the call
		}
		if raw.EndpointState() == tcp.StateError {
			t.drain(raw)
			return t.takePending() // nil: the end
		}
		switch raw.EndpointState() {
		case tcp.StateEstablished, tcp.StateFinWait1, tcp.StateFinWait2:
			return t.takePending() // nil: shut by this side
		}
		return nil
	case *tcpip.ErrNotConnected:
		state := raw.EndpointState()
		if state == tcp.StateListen {
			return endpoint.ENOTCONN
		}
		if e := t.takePending(); e != nil {
			return e
		}
		switch {
		case t.has(flagShutRead):
			return nil
		case state == tcp.StateSynRecv:
			return endpoint.EAGAIN
		}
		return endpoint.ENOTCONN
	}
	t.forget(raw, err)
	return t.failure(err)
}
