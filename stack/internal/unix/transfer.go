package unix

import "usersock/stack/endpoint"

const (
	// maxDatagrams: a queue with more than so many datagrams makes those wait
	// who are not its owner's peer, sysctl net.unix.max_dgram_qlen.
	maxDatagrams = 10

	// messageMargin: a message is at most the send buffer less this.
	messageMargin = 32
)

// Send implements endpoint.Endpoint.
//
// A stream takes what fits. Errors: ENOTCONN, EPIPE, EAGAIN, and with a
// destination EISCONN or EOPNOTSUPP. With MSG_OOB the last byte is urgent data,
// and to send none is EOPNOTSUPP. A message is taken whole: EMSGSIZE if it is
// longer than the send buffer less 32 bytes, ENOBUFS beyond about 4 MiB,
// EOPNOTSUPP with MSG_OOB, and for datagrams the errors of a lookup as from
// Connect, ECONNREFUSED if the peer has closed, EPERM if it is connected
// elsewhere. With rights: EINVAL for more than 253, ETOOMANYREFS when a user
// other than 0 has more than 1024 in flight, EPERM if the receiver has switched
// SO_PASSRIGHTS off.
func (e *Endpoint) Send(m endpoint.Message) (int, error) {
	if e.state.Load() == closed {
		return 0, endpoint.EBADF
	}
	if !m.To.IsZero() && m.To.Family != endpoint.AF_UNIX {
		return 0, endpoint.EAFNOSUPPORT
	}
	if e.typ == endpoint.SOCK_SEQPACKET {
		if err := e.takeErr(); err != nil {
			return 0, err
		}
		if e.state.Load() != connected {
			return 0, endpoint.ENOTCONN
		}
		m.To = endpoint.Addr{} // as on Linux it is not looked at
	}
	var a ancillary
	if len(m.Control) > 0 {
		var err error
		if a, err = e.parseControl(m.Control); err != nil {
			return 0, err
		}
	}
	if e.typ == endpoint.SOCK_STREAM {
		return e.sendBytes(m, a)
	}
	if m.Flags&endpoint.MSG_OOB != 0 {
		return 0, endpoint.EOPNOTSUPP
	}
	return e.sendMessage(m, a)
}

func (e *Endpoint) sendBytes(m endpoint.Message, a ancillary) (int, error) {
	n, urgent := m.Len(), m.Flags&endpoint.MSG_OOB != 0
	if urgent && n == 0 {
		return 0, endpoint.EOPNOTSUPP
	}
	if !m.To.IsZero() {
		if e.state.Load() == connected {
			return 0, endpoint.EISCONN
		}
		return 0, endpoint.EOPNOTSUPP
	}
	p := e.peer.Load()
	if p == nil {
		return 0, endpoint.ENOTCONN
	}
	if e.shut.Load()&shutWrite != 0 {
		return 0, endpoint.EPIPE
	}
	if n == 0 {
		e.family.release(a.rights) // as Linux: without a byte to go with they are lost
		return 0, nil
	}
	if err := e.takeErr(); err != nil {
		return 0, err
	}
	if err := e.mayFly(a.rights); err != nil {
		return 0, err
	}
	s := segment{from: e, cred: e.credFor(p, a), rights: a.rights}
	src := cursor{bufs: m.Bufs}
	if !urgent {
		return e.sendPieces(p, s, n, &src)
	}
	sent := 0
	if n > 1 {
		var err error
		if sent, err = e.sendPieces(p, s, n-1, &src); err != nil || sent < n-1 {
			return sent, err
		}
		s.rights = nil
	}
	s.urgent = marked
	k, err := e.sendPieces(p, s, 1, &src)
	if sent > 0 {
		err = nil
	}
	return sent + k, err
}

// sendPieces sends as many of total bytes as the send buffer has room for.
func (e *Endpoint) sendPieces(p *Endpoint, s segment, total int, src *cursor) (int, error) {
	q := &p.in
	e.board(q, s.rights)
	q.writing.Lock()
	limit, used := e.sndbuf.Load(), e.charged.Load()
	piece := int(min(limit/2-pieceMargin, maxPiece))
	n := 0
	for n < total && used < limit {
		k := min(total-n, piece)
		used += int64(pieceCost(k))
		n += k
	}
	err := error(endpoint.EAGAIN)
	if n > 0 {
		err = q.put(s, n, piece, src)
	}
	q.writing.Unlock()
	if err != nil {
		e.land(q, s.rights)
		return 0, err
	}
	ev := endpoint.In
	if s.urgent == marked {
		ev |= endpoint.Pri
	}
	p.event(ev)
	return n, nil
}

func (e *Endpoint) sendMessage(m endpoint.Message, a ancillary) (int, error) {
	var to name
	if !m.To.IsZero() {
		var err error
		if to, err = parseName(m.To, e.typ); err != nil {
			return 0, err
		}
	}
	if e.passCred.Load() && e.local.Load() == nil {
		if err := e.Bind(endpoint.Unix("")); err != nil {
			return 0, err
		}
	}
	n := m.Len()
	if int64(n) > e.sndbuf.Load()-messageMargin {
		return 0, endpoint.EMSGSIZE
	}
	if err := e.takeErr(); err != nil {
		return 0, err
	}
	if e.shut.Load()&shutWrite != 0 {
		return 0, endpoint.EPIPE
	}
	if e.charged.Load() >= e.sndbuf.Load() {
		return 0, endpoint.EAGAIN
	}
	if n > maxMessage {
		return 0, endpoint.ENOBUFS
	}
	if err := e.mayFly(a.rights); err != nil {
		return 0, err
	}
	if err := e.sendTo(to, m.Bufs, n, a); err != nil {
		return 0, err
	}
	return n, nil
}

// sendTo puts a message into the queue of the endpoint with the name, or of
// the peer.
func (e *Endpoint) sendTo(to name, bufs [][]byte, n int, a ancillary) error {
	p, err := e.destination(to)
	if err != nil {
		return err
	}
	if other := p.peer.Load(); other != nil && other != e && e.typ == endpoint.SOCK_DGRAM {
		return endpoint.EPERM
	}
	q := &p.in
	e.board(q, a.rights)
	q.writing.Lock()
	err = e.enterAt(p, bufs, n, a)
	q.writing.Unlock()
	if err != nil {
		e.land(q, a.rights)
	}
	switch {
	case err == endpoint.EPIPE:
		return e.lost(p)
	case err == nil:
		p.event(endpoint.In)
	}
	return err
}

// enterAt is sendTo with the turn of writing to p.
func (e *Endpoint) enterAt(p *Endpoint, bufs [][]byte, n int, a ancillary) error {
	deaf := func() bool { return p.shut.Load()&shutRead != 0 }
	switch {
	case deaf(): // put says so
	case a.rights != nil && p.noRights.Load():
		return endpoint.EPERM
	case e.typ == endpoint.SOCK_DGRAM && !e.roomAt(p) && !deaf():
		// Who is shut down or closes after this wakes those who wait for room.
		return endpoint.EAGAIN
	}
	s := segment{from: e, cred: e.credFor(p, a), rights: a.rights}
	if p.stamp.Load() != 0 {
		s.when = e.family.clock.Now().UnixNano()
	}
	src := cursor{bufs: bufs}
	return p.in.put(s, n, n, &src)
}

// destination returns the endpoint with a name, or the peer.
func (e *Endpoint) destination(to name) (*Endpoint, error) {
	if to.path == "" {
		if p := e.peer.Load(); p != nil {
			return p, nil
		}
		return nil, endpoint.ENOTCONN
	}
	e.family.mu.Lock()
	defer e.family.mu.Unlock()
	return e.family.find(to, e.typ)
}

// lost returns why p takes no message: it is shut down or closed. A datagram
// endpoint loses a peer that has closed, and what came from it.
func (e *Endpoint) lost(p *Endpoint) error {
	if e.typ == endpoint.SOCK_SEQPACKET || p.state.Load() != closed {
		return endpoint.EPIPE
	}
	if e.peer.CompareAndSwap(p, nil) {
		p.in.leave(e)
		_, rights := e.in.purge()
		e.wakeSenders()
		e.family.release(rights)
	}
	return endpoint.ECONNREFUSED
}

// peerHasRoom is roomAt for Ready.
func (e *Endpoint) peerHasRoom() bool {
	if e.typ != endpoint.SOCK_DGRAM {
		return true
	}
	p := e.peer.Load()
	return p == nil || e.roomAt(p)
}

// associate sets or dissolves a datagram endpoint's peer. What an earlier
// peer sent is dropped; if that peer was connected to e, it gets ECONNRESET.
func (e *Endpoint) associate(to endpoint.Addr) error {
	f := e.family
	f.mu.Lock()
	old, peer, err := e.associateLocked(to)
	f.mu.Unlock()
	if err != nil || old == nil {
		return err
	}
	if old != peer {
		old.in.leave(e)
		any, rights := e.in.purge()
		if any && old.state.Load() != closed && old.peer.Load() == e {
			old.err.Store(int32(endpoint.ECONNRESET))
			old.event(endpoint.Err)
		}
		e.wakeSenders()
		f.release(rights)
	}
	e.event(endpoint.Out)
	return nil
}

func (e *Endpoint) associateLocked(to endpoint.Addr) (old, peer *Endpoint, err error) {
	if e.state.Load() == closed {
		return nil, nil, endpoint.EBADF
	}
	if to.IsZero() {
		return e.peer.Swap(nil), nil, nil
	}
	n, err := parseName(to, e.typ)
	if err != nil {
		return nil, nil, err
	}
	if e.passCred.Load() {
		if err := e.family.autobind(e); err != nil {
			return nil, nil, err
		}
	}
	peer, err = e.family.find(n, e.typ)
	if err != nil {
		return nil, nil, err
	}
	if other := peer.peer.Load(); other != nil && other != e {
		return nil, nil, endpoint.EPERM
	}
	return e.peer.Swap(peer), peer, nil
}
