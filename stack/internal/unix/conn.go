package unix

import "usersock/stack/endpoint"

// Listen implements endpoint.Endpoint. The backlog is cut to SOMAXCONN, and a
// negative one is SOMAXCONN; as on Linux one connection more than the backlog
// fits. EOPNOTSUPP for datagrams, EINVAL for an endpoint without a name or one
// that is connected.
func (e *Endpoint) Listen(backlog int) error {
	if backlog < 0 || backlog > endpoint.SOMAXCONN {
		backlog = endpoint.SOMAXCONN
	}
	f := e.family
	f.mu.Lock()
	state := e.state.Load()
	var err error
	switch {
	case state == closed:
		err = endpoint.EBADF
	case e.typ == endpoint.SOCK_DGRAM:
		err = endpoint.EOPNOTSUPP
	case e.local.Load() == nil || state == connected:
		err = endpoint.EINVAL
	}
	if err != nil {
		f.mu.Unlock()
		return err
	}
	e.state.Store(listening)
	e.backlog = backlog
	e.peerCred = e.cred
	woken := e.takeWaiters()
	f.mu.Unlock()
	wake(woken)
	e.event(endpoint.In)
	return nil
}

// takeWaiters returns the endpoints to tell that Connect to e may have another
// outcome now, if that is so. Called with family.mu held.
func (e *Endpoint) takeWaiters() []*Endpoint {
	if len(e.waiters) == 0 {
		return nil
	}
	if e.state.Load() == listening && e.shut.Load()&shutRead == 0 && len(e.pending) > e.backlog {
		return nil
	}
	woken := e.waiters
	e.waiters = nil
	for _, w := range woken {
		w.waitingOn = nil
	}
	return woken
}

func wake(eps []*Endpoint) {
	for _, e := range eps {
		e.event(endpoint.Out)
	}
}

// waitFor puts e among the waiters of listener l. Called with family.mu held.
func (e *Endpoint) waitFor(l *Endpoint) {
	if e.waitingOn == l {
		return
	}
	e.stopWaiting()
	l.waiters = append(l.waiters, e)
	e.waitingOn = l
}

// stopWaiting undoes waitFor. Called with family.mu held.
func (e *Endpoint) stopWaiting() {
	l := e.waitingOn
	if l == nil {
		return
	}
	e.waitingOn = nil
	for i, w := range l.waiters {
		if w == e {
			l.waiters = append(l.waiters[:i], l.waiters[i+1:]...)
			return
		}
	}
}

// Connect implements endpoint.Endpoint. A stream or sequenced-packet endpoint
// is connected at once, before the listener accepts; EAGAIN means that the
// backlog is full. Errors: ENOENT and ECONNREFUSED when nobody listens,
// EPROTOTYPE, EISCONN, EINVAL, EAFNOSUPPORT, and for datagrams EPERM when the
// other endpoint is connected elsewhere.
func (e *Endpoint) Connect(to endpoint.Addr) error {
	if e.typ == endpoint.SOCK_DGRAM {
		return e.associate(to)
	}
	if to.IsZero() {
		return endpoint.EINVAL
	}
	n, err := parseName(to, e.typ)
	if err != nil {
		return err
	}
	f := e.family
	f.mu.Lock()
	l, err := e.connectLocked(n)
	f.mu.Unlock()
	if err != nil {
		return err
	}
	l.event(endpoint.In)
	e.event(endpoint.Out)
	return nil
}

// connectLocked makes the connection and returns the listener.
func (e *Endpoint) connectLocked(n name) (*Endpoint, error) {
	f := e.family
	if e.state.Load() == closed {
		return nil, endpoint.EBADF
	}
	if e.passCred.Load() {
		if err := f.autobind(e); err != nil {
			return nil, err
		}
	}
	l, err := f.find(n, e.typ)
	if err != nil {
		return nil, err
	}
	if l.state.Load() != listening || l.shut.Load()&shutRead != 0 {
		return nil, endpoint.ECONNREFUSED
	}
	if len(l.pending) > l.backlog {
		e.waitFor(l)
		return nil, endpoint.EAGAIN
	}
	switch e.state.Load() {
	case connected:
		return nil, endpoint.EISCONN
	case listening:
		return nil, endpoint.EINVAL
	}
	e.stopWaiting()
	s := f.newEndpoint(e.typ, l.cred)
	s.local.Store(l.local.Load())
	s.passCred.Store(l.passCred.Load())
	s.noRights.Store(l.noRights.Load())
	s.peerCred, e.peerCred = e.cred, l.peerCred
	s.listener.Store(l)
	s.peer.Store(e)
	s.state.Store(connected)
	e.peer.Store(s)
	e.state.Store(connected)
	l.pending = append(l.pending, s)
	return l, nil
}

// Accept implements endpoint.Endpoint. The peer may have sent already, and may
// even have closed. EINVAL on an endpoint that does not listen, or is shut down
// for reading and has no connection left; EOPNOTSUPP for datagrams.
func (e *Endpoint) Accept() (endpoint.Endpoint, endpoint.Addr, error) {
	f := e.family
	f.mu.Lock()
	s, err := e.acceptLocked()
	var woken []*Endpoint
	if err == nil {
		woken = e.takeWaiters()
	}
	f.mu.Unlock()
	if err != nil {
		return nil, endpoint.Addr{}, err
	}
	wake(woken)
	return s, s.peer.Load().addr(), nil
}

func (e *Endpoint) acceptLocked() (*Endpoint, error) {
	switch state := e.state.Load(); {
	case state == closed:
		return nil, endpoint.EBADF
	case e.typ == endpoint.SOCK_DGRAM:
		return nil, endpoint.EOPNOTSUPP
	case state != listening:
		return nil, endpoint.EINVAL
	case len(e.pending) == 0:
		if e.shut.Load()&shutRead != 0 {
			return nil, endpoint.EINVAL
		}
		return nil, endpoint.EAGAIN
	}
	s := e.pending[0]
	e.pending[0] = nil
	e.pending = e.pending[1:]
	if len(e.pending) == 0 {
		e.pending = nil
	}
	s.listener.Store(nil)
	return s, nil
}

// Shutdown implements endpoint.Endpoint. Like Linux it does not ask for a
// connection: what it closes stays closed. On a listener SHUT_RD refuses new
// connections and ends Accept. Only streams and sequenced packets close the
// peer's other direction with it.
func (e *Endpoint) Shutdown(how int) error {
	if how < endpoint.SHUT_RD || how > endpoint.SHUT_RDWR {
		return endpoint.EINVAL
	}
	bits := uint32(how + 1) // SHUT_RD is shutRead and so on
	f := e.family
	f.mu.Lock()
	if e.state.Load() == closed {
		f.mu.Unlock()
		return endpoint.EBADF
	}
	e.shut.Or(bits)
	peer := e.peer.Load()
	if e.typ == endpoint.SOCK_DGRAM {
		peer = nil
	}
	if peer != nil {
		peer.shut.Or(bits>>1&shutRead | bits<<1&shutWrite)
	}
	woken := e.takeWaiters()
	f.mu.Unlock()
	wake(woken)
	e.event(everything)
	e.wakeSenders()
	if peer != nil {
		peer.event(everything)
	}
	return nil
}

// Close implements endpoint.Endpoint. A peer that had sent what was never read
// gets ECONNRESET, once; connections that waited for Accept are reset too.
func (e *Endpoint) Close() error {
	f := e.family
	f.mu.Lock()
	if e.state.Load() == closed {
		f.mu.Unlock()
		return nil
	}
	e.state.Store(closed)
	e.shut.Store(shutRead | shutWrite)
	if e.typ == endpoint.SOCK_DGRAM {
		e.peer.Store(nil) // who sends here hears that it is closed, not EPERM
	}
	f.dropName(e)
	e.stopWaiting()
	pending := e.pending
	e.pending = nil
	woken := e.takeWaiters()
	f.mu.Unlock()

	f.dead(e)
	e.stopTrying()
	wake(woken)
	e.hangUp(false)
	for _, s := range pending {
		f.dead(s)
		f.mu.Lock()
		s.state.Store(closed)
		s.shut.Store(shutRead | shutWrite)
		f.mu.Unlock()
		s.hangUp(true)
	}
	e.event(everything &^ endpoint.Err)
	return nil
}

// hangUp drops what waits to be received by an endpoint that is closed
// already, and tells its peer and those who wait to send to it.
func (e *Endpoint) hangUp(reset bool) {
	unread, rights := e.in.purge()
	if peer := e.peer.Load(); peer != nil && e.typ != endpoint.SOCK_DGRAM {
		// The error comes first: who sees the end has to see it too.
		if unread || reset {
			peer.err.Store(int32(endpoint.ECONNRESET))
		}
		peer.shut.Store(shutRead | shutWrite)
		peer.event(everything)
	}
	e.wakeSenders()
	e.family.release(rights)
}
