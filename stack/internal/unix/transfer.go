package unix

import "usersock/stack/endpoint"

const (
	// maxDatagrams: a queue with more than so many datagrams makes those wait
	// who are not its owner's peer, sysctl net.unix.max_dgram_qlen.
	maxDatagrams = 10

	// messageCost is charged for each message beside its bytes, so that empty
	// ones fill the send buffer too. Linux charges about as much.
	messageCost = 768

	// messageMargin: a message is at most the send buffer less this.
	messageMargin = 32
)

// Send implements endpoint.Endpoint. MSG_OOB is EOPNOTSUPP.
//
// A stream takes what fits. Errors: ENOTCONN, EPIPE, EAGAIN, and with a
// destination EISCONN or EOPNOTSUPP. A message is taken whole: EMSGSIZE if it
// is longer than the send buffer less 32 bytes, and for datagrams the errors
// of a lookup as from Connect, ECONNREFUSED if the peer has closed, EPERM if it
// is connected elsewhere.
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
	if m.Flags&endpoint.MSG_OOB != 0 {
		return 0, endpoint.EOPNOTSUPP
	}
	if e.typ == endpoint.SOCK_STREAM {
		return e.sendBytes(m, a)
	}
	return e.sendMessage(m, a)
}

func (e *Endpoint) sendBytes(m endpoint.Message, a ancillary) (int, error) {
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
	n := m.Len()
	if n == 0 {
		releaseAll(a.rights) // as Linux: without a byte to go with they are lost
		return 0, nil
	}
	if err := e.takeErr(); err != nil {
		return 0, err
	}
	q := &p.in
	q.writing.Lock()
	room := e.sndbuf.Load() - e.charged.Load()
	if room <= 0 {
		q.writing.Unlock()
		return 0, endpoint.EAGAIN
	}
	n = int(min(int64(n), room))
	s := segment{n: n, charge: n, from: e, cred: e.credFor(p, a), rights: a.rights}
	tell, ok := q.put(s, m.Bufs)
	q.writing.Unlock()
	if !ok {
		return 0, endpoint.EPIPE
	}
	if tell {
		p.event(endpoint.In)
	}
	return n, nil
}

func (e *Endpoint) sendMessage(m endpoint.Message, a ancillary) (int, error) {
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
	p, err := e.destination(m.To)
	if err != nil {
		return 0, err
	}
	if other := p.peer.Load(); other != nil && other != e && e.typ == endpoint.SOCK_DGRAM {
		return 0, endpoint.EPERM
	}
	q := &p.in
	q.writing.Lock()
	if e.typ == endpoint.SOCK_DGRAM && !e.roomAt(p) {
		q.writing.Unlock()
		return 0, endpoint.EAGAIN
	}
	s := segment{n: n, charge: n + messageCost, from: e, cred: e.credFor(p, a), rights: a.rights}
	if p.stamp.Load() != 0 {
		s.when = e.family.clock.Now()
	}
	tell, ok := q.put(s, m.Bufs)
	q.writing.Unlock()
	if !ok {
		return 0, e.lost(p)
	}
	if tell {
		p.event(endpoint.In)
	}
	return n, nil
}

// destination returns the endpoint that a message goes to.
func (e *Endpoint) destination(to endpoint.Addr) (*Endpoint, error) {
	if to.IsZero() {
		p := e.peer.Load()
		if p == nil {
			return nil, endpoint.ENOTCONN
		}
		return p, nil
	}
	n, err := parseName(to, e.typ)
	if err != nil {
		return nil, err
	}
	e.family.mu.Lock()
	defer e.family.mu.Unlock()
	return e.family.find(n, e.typ)
}

// lost returns why p takes no message: it is shut down or closed. A datagram
// endpoint loses a peer that has closed, and what came from it.
func (e *Endpoint) lost(p *Endpoint) error {
	if e.typ == endpoint.SOCK_SEQPACKET || p.state.Load() != closed {
		return endpoint.EPIPE
	}
	if e.peer.CompareAndSwap(p, nil) {
		_, rights := e.in.purge()
		releaseAll(rights)
		e.wakeSenders()
	}
	return endpoint.ECONNREFUSED
}

// roomAt reports whether p's queue has room for a datagram of e. If not, e
// hears when it has.
func (e *Endpoint) roomAt(p *Endpoint) bool {
	if p == e || p.peer.Load() == e {
		return true
	}
	q := &p.in
	q.mu.Lock()
	defer q.mu.Unlock()
	if p.shut.Load()&shutRead != 0 || !q.full() {
		return true
	}
	q.await(e)
	return false
}

// peerHasRoom is roomAt for Ready.
func (e *Endpoint) peerHasRoom() bool {
	if e.typ != endpoint.SOCK_DGRAM {
		return true
	}
	p := e.peer.Load()
	return p == nil || e.roomAt(p)
}

// wakeSenders tells those who wait for room in e's queue to look again.
func (e *Endpoint) wakeSenders() {
	e.in.mu.Lock()
	woken := e.in.takeWaiters()
	e.in.mu.Unlock()
	wake(woken)
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
		any, rights := e.in.purge()
		if any && old.state.Load() != closed && old.peer.Load() == e {
			old.err.Store(int32(endpoint.ECONNRESET))
			old.event(endpoint.Err)
		}
		releaseAll(rights)
		e.wakeSenders()
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

// Recv implements endpoint.Endpoint. A stream's call ends with the bytes of a
// message that had rights, and with SO_PASSCRED where the credentials change.
// MSG_TRUNC on a stream means nothing. Errors: EINVAL on a stream that is not
// connected (ENOTCONN for sequenced packets), ECONNRESET, EOPNOTSUPP for
// MSG_OOB.
func (e *Endpoint) Recv(req endpoint.RecvRequest) (endpoint.Received, error) {
	state := e.state.Load()
	switch {
	case state == closed:
		return endpoint.Received{}, endpoint.EBADF
	case state != connected && e.typ == endpoint.SOCK_STREAM:
		return endpoint.Received{}, endpoint.EINVAL
	case state != connected && e.typ == endpoint.SOCK_SEQPACKET:
		return endpoint.Received{}, endpoint.ENOTCONN
	case req.Flags&endpoint.MSG_OOB != 0:
		return endpoint.Received{}, endpoint.EOPNOTSUPP
	}
	if e.typ != endpoint.SOCK_STREAM {
		if err := e.takeErr(); err != nil {
			return endpoint.Received{}, err
		}
	}
	peek := req.Flags&endpoint.MSG_PEEK != 0

	q := &e.in
	q.reading.Lock()
	// Whoever shuts down has sent before that, so the end is looked at before
	// the bytes.
	shut, failed := e.shut.Load(), e.err.Load() != 0
	skip := 0
	if peek {
		skip = max(0, int(e.peekOff.Load()))
	}
	p := q.take(req.Len(), peek, skip)
	if !p.found {
		q.reading.Unlock()
		if failed {
			if err := e.takeErr(); err != nil {
				return endpoint.Received{}, err
			}
		}
		if shut&shutRead != 0 {
			return endpoint.Received{}, nil
		}
		return endpoint.Received{}, endpoint.EAGAIN
	}
	q.copyOut(p, req.Bufs)
	var woken []*Endpoint
	if !peek {
		woken = q.remove(p.drop)
	}
	e.movePeek(p, peek)
	q.reading.Unlock()

	wake(woken)
	if !peek {
		p.from.release(int64(p.drop), int64(p.charge))
	}
	r := endpoint.Received{N: p.n, Size: p.size}
	if e.typ != endpoint.SOCK_STREAM {
		r.From = p.from.addr()
		if p.cut {
			r.Flags |= endpoint.MSG_TRUNC
		}
	}
	e.control(&r, p, req.Control)
	return r, nil
}

// movePeek keeps SO_PEEK_OFF at the same byte: further after a peek, nearer
// after a read.
func (e *Endpoint) movePeek(p portion, peek bool) {
	off := e.peekOff.Load()
	if off < 0 {
		return
	}
	if peek {
		e.peekOff.Store(off + int32(p.n))
	} else {
		e.peekOff.Store(max(0, off-int32(p.drop)))
	}
}
