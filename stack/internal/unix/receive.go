package unix

import "usersock/stack/endpoint"

// Recv implements endpoint.Endpoint. A stream's call ends with the bytes of a
// message that had rights, with SO_PASSCRED where the credentials change, and
// before urgent data, which MSG_OOB receives. MSG_TRUNC on a stream means
// nothing. Errors: EINVAL on a stream that is not connected (ENOTCONN for
// sequenced packets), ECONNRESET; with MSG_OOB EINVAL when there is no urgent
// data, EOPNOTSUPP on messages.
func (e *Endpoint) Recv(req endpoint.RecvRequest) (endpoint.Received, error) {
	state := e.state.Load()
	urgent := req.Flags&endpoint.MSG_OOB != 0
	switch {
	case state == closed:
		return endpoint.Received{}, endpoint.EBADF
	case state != connected && e.typ == endpoint.SOCK_STREAM:
		return endpoint.Received{}, endpoint.EINVAL
	case state != connected && e.typ == endpoint.SOCK_SEQPACKET:
		return endpoint.Received{}, endpoint.ENOTCONN
	case urgent && e.typ != endpoint.SOCK_STREAM:
		return endpoint.Received{}, endpoint.EOPNOTSUPP
	}
	if e.typ != endpoint.SOCK_STREAM {
		if err := e.takeErr(); err != nil {
			return endpoint.Received{}, err
		}
	}
	h := how{
		size: req.Len(),
		peek: req.Flags&endpoint.MSG_PEEK != 0,
	}
	q := &e.in
	q.reading.Lock()
	// Whoever shuts down has sent before that, so the end is looked at before
	// the bytes.
	shut, failed := e.shut.Load(), e.err.Load() != 0
	if off := e.peekOff.Load(); h.peek && off >= 0 && !urgent {
		h.skip, h.at = int(off), true
	}
	var p portion
	var err error
	if urgent {
		p, err = q.takeUrgent(h)
	} else {
		p = q.take(h)
	}
	if err != nil {
		q.reading.Unlock()
		return endpoint.Received{}, err
	}
	q.copyOut(p, req.Bufs)
	var woken []*Endpoint
	if p.drop > 0 || !h.peek && p.found {
		woken = q.remove(p.drop)
	}
	if !urgent {
		e.movePeek(p, h.peek)
	}
	q.reading.Unlock()

	wake(woken)
	if p.unread > 0 || p.charge > 0 {
		p.from.release(int64(p.unread), int64(p.charge))
	}
	if p.lost != nil {
		p.from.land(q, p.lost)
		e.family.release(p.lost)
	}
	if !p.found {
		var r endpoint.Received
		err := e.nothing(shut, failed, req.Flags&endpoint.MSG_DONTWAIT == 0)
		if err == nil && e.typ == endpoint.SOCK_STREAM {
			e.control(&r, portion{}, req.Control) // nobody's credentials, as on Linux
		}
		return r, err
	}
	if !h.peek {
		p.from.land(q, p.rights)
	}
	r := endpoint.Received{N: p.n, Size: p.size, Stop: p.stop}
	if p.urgent {
		r.Flags |= endpoint.MSG_OOB
		return r, nil
	}
	if p.from.local.Load() != nil {
		r.From = p.from.addr()
	}
	if p.cut {
		r.Flags |= endpoint.MSG_TRUNC
	}
	e.control(&r, p, req.Control)
	return r, nil
}

// nothing says why there is nothing to receive: an error, the end (nil), or
// EAGAIN. A datagram endpoint that is shut down for reading tells its end to
// those who wait alone, as on Linux.
func (e *Endpoint) nothing(shut uint32, failed, wait bool) error {
	if failed {
		if err := e.takeErr(); err != nil {
			return err
		}
	}
	if shut&shutRead != 0 && (wait || e.typ != endpoint.SOCK_DGRAM) {
		return nil
	}
	return endpoint.EAGAIN
}

// movePeek keeps SO_PEEK_OFF at the same byte: further after a peek, nearer
// after a read.
func (e *Endpoint) movePeek(p portion, peek bool) {
	off := e.peekOff.Load()
	if off < 0 || !p.found {
		return
	}
	if peek {
		e.peekOff.Store(off + int32(p.n))
		return
	}
	read := p.n
	if e.typ != endpoint.SOCK_STREAM {
		read = p.drop
	}
	e.peekOff.Store(max(0, off-int32(read)))
}
