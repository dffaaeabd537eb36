package inet

import (
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

// Who has which TCP port, after inet_csk_get_port, inet_csk_bind_conflict and
// __inet_hash_connect of Linux.
//
// Netstack has such a table too, with other rules: who listens does not count
// there, a connection does not give up the addresses that it has no use for, and
// what was bound to any address and then connected is never taken out. So this
// table decides. Netstack is asked after it, by bindRaw alone, and told that every
// port may be shared. To netstack are left which endpoint a segment is for, and
// that no two connections have the same addresses and ports.
//
// An owner of a port is a socket, or a connection in TIME-WAIT that its socket
// goes on without (inet_timewait_sock). A socket's moves:
//
//	take     Bind, Connect and Listen of one that has no port: the port that is
//	         asked for, or one that is picked
//	inherit  Accept: the listener's port, whoever else has it
//	listen   Listen: may it have its port as a listener?
//	narrow   Connect: of its addresses it keeps the one that the route gave
//	renew    its connection, attempt or listening is over: it keeps the port
//	         if bind was given the number (SOCK_BINDPORT_LOCK); what is in
//	         TIME-WAIT is an owner by itself
//	settle   it was closed: it is an owner until netstack's endpoint has ended
//
// A connection may end without a call. So an owner that has none any more (gone)
// stays on the list until somebody looks at its port.
//
// A connection that waits to be accepted is no owner: its listener is, with the
// same address and more.
//
// # Races
//
// A port is taken here before netstack binds it, and given back if netstack
// cannot: who comes second gets EADDRINUSE. A socket has one port at most: of two
// calls that give it one, the second finds that it has. Close marks the socket
// before it settles, and nobody takes a port for a marked one.

// tcpPorts is the table.
type tcpPorts struct {
	mu    sync.Mutex // a leaf: of netstack only what is atomic is read under it
	ports map[uint16]*tcpPort
}

// tcpPort is a port that has an owner, inet_bind_bucket of Linux.
type tcpPort struct {
	number uint16
	owners *portOwner // the newest first
	kept   int        // owners that connect did not pick the port for

	// The last owner that came with SO_REUSEPORT, if none came without since
	// (FASTREUSEPORT_STRICT): who is like it is let in without a further look.
	group boundName
	uid   uint32
	open  bool
}

// portOwner is an owner, or a socket that has no port.
type portOwner struct {
	t          *tcpEndpoint
	raw        *tcp.Endpoint // whose state is the owner's
	port       *tcpPort      // nil: none
	prev, next *portOwner    // on the port's list
	left       *portOwner    // what the socket has left behind, a list by this field

	ip    [16]byte    // see boundName
	peer  [16]byte    // of a connection
	nic   tcpip.NICID // of a link-local address
	since uint32      // when TIME-WAIT of a closed socket was noticed, see second; 0: it was not

	peerPort  uint16
	only      bool // bound to an IPv6 address: so is IPV6_V6ONLY, in a moment
	picked    bool // by connect
	listening bool
	orphan    bool // a connection in TIME-WAIT that its socket has left behind
	reusePort bool // SO_REUSEPORT of an orphan
}

// A claim is what a socket asks for a port with.
type claim struct {
	port uint16 // 0: one that is picked
	ip   [16]byte
	nic  tcpip.NICID
	only bool // ip is an IPv6 address

	// For the choice of one.
	first, last uint16
	random      uint32

	// By connect.
	connect  bool
	peer     [16]byte
	peerPort uint16
	loopback bool   // the peer is
	now      uint32 // the second
}

// replaced is a connection in TIME-WAIT that another takes the place of: it has
// to be ended first. Its socket, if that is open, hears nothing of it.
type replaced struct {
	t   *tcpEndpoint // nil: there is none
	raw *tcp.Endpoint
}

func (r replaced) end() {
	if r.t != nil {
		r.raw.Abort()
		r.t.forget(r.raw, &tcpip.ErrAborted{})
	}
}

// take gives the socket a port, for raw. had reports that it had one already,
// which it keeps.
func (s *tcpPorts) take(t *tcpEndpoint, raw *tcp.Endpoint, c *claim) (port uint16, had bool, old replaced, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.closed.Load() {
		return 0, false, old, endpoint.EBADF
	}
	o := &t.owner
	if o.port != nil {
		if !ended(o.raw.EndpointState()) || t.has(flagPortLock) {
			if over(o.raw) {
				o.raw = raw
			}
			return o.port.number, true, old, nil
		}
		s.leave(o)
	}
	o.t, o.raw = t, raw
	o.ip, o.nic, o.only = c.ip, c.nic, c.only
	o.peer, o.peerPort, o.listening, o.since = c.peer, c.peerPort, false, 0
	o.picked = c.connect && c.port == 0
	number := c.port
	switch {
	case number == 0:
		number, old = s.pick(o, c)
		if number == 0 && c.connect {
			return 0, false, old, endpoint.EADDRNOTAVAIL
		}
		if number == 0 {
			return 0, false, old, endpoint.EADDRINUSE
		}
	default:
		if b := s.live(number); b != nil && !b.admits(o, false) {
			return 0, false, old, endpoint.EADDRINUSE
		}
	}
	s.add(o, number)
	if !o.picked {
		o.port.note(o)
	}
	return number, false, old, nil
}

// inherit gives an accepted socket the port of its listener l.
func (s *tcpPorts) inherit(t, l *tcpEndpoint, local, peer tcpip.FullAddress) {
	raw := t.raw.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &t.owner
	o.t, o.raw, o.nic = t, raw, l.owner.nic
	o.ip = nameIP(t.af, local.Addr)
	o.peer, o.peerPort = nameIP(t.af, peer.Addr), peer.Port
	s.add(o, local.Port)
}

// listen makes the socket's owner a listener: EADDRINUSE if others do not allow
// that.
func (s *tcpPorts) listen(t *tcpEndpoint) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &t.owner
	if o.port == nil {
		return endpoint.EINVAL // closed, or disconnected meanwhile
	}
	s.live(o.port.number)
	if o.port == nil {
		return endpoint.EINVAL // its netstack endpoint was ended
	}
	if !o.port.admits(o, false) {
		return endpoint.EADDRINUSE
	}
	o.listening = true
	o.port.note(o)
	return nil
}

// unlisten takes listen back.
func (s *tcpPorts) unlisten(t *tcpEndpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.owner.listening = false
}

// narrow notes the addresses of a connection, or an attempt, of raw.
func (s *tcpPorts) narrow(t *tcpEndpoint, raw *tcp.Endpoint, local tcpip.Address, c *claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := &t.owner; o.port != nil && o.raw == raw {
		o.ip = nameIP(t.af, local)
		o.peer, o.peerPort = c.peer, c.peerPort
	}
}

// replace is a connection in TIME-WAIT with the socket's port and that peer: on
// Linux a socket that is bound may take its place.
func (s *tcpPorts) replace(t *tcpEndpoint, c *claim) (old replaced) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &t.owner
	if o.port == nil {
		return old
	}
	me := o.name()
	for other := o.port.owners; other != nil; other = other.next {
		if other != o && other.peerPort == c.peerPort && other.peer == c.peer && other.timeWait() && (other.ip == o.ip || me.wild()) {
			return s.displace(other)
		}
	}
	return old
}

// displace takes a connection in TIME-WAIT out. A socket that is open keeps the
// port that it was given.
func (s *tcpPorts) displace(o *portOwner) replaced {
	old := replaced{o.t, o.raw}
	if o.closed() || !o.t.has(flagPortLock) {
		s.remove(o)
	} else {
		o.peerPort = 0
	}
	return old
}

// renew makes raw the netstack endpoint of the socket instead of old, which was
// closed. The socket keeps its port, now with the address at, if bind was given
// its number.
func (s *tcpPorts) renew(t *tcpEndpoint, old, raw *tcp.Endpoint, at tcpip.FullAddress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &t.owner
	if o.port == nil || o.raw != old {
		return
	}
	if !t.has(flagPortLock) {
		s.leave(o)
		return
	}
	s.leaveBehind(o)
	o.raw, o.listening = raw, false
	o.peer, o.peerPort = [16]byte{}, 0
	if at.Port != 0 {
		o.ip = nameIP(t.af, at.Addr)
	}
}

// leave takes the port from a socket. Its connection keeps it as long as
// netstack has it.
func (s *tcpPorts) leave(o *portOwner) {
	s.leaveBehind(o)
	s.remove(o)
}

// leaveBehind makes an owner of a connection in TIME-WAIT that its socket goes on
// without.
func (s *tcpPorts) leaveBehind(o *portOwner) {
	o.t.set(flagLeft, true) // first: from now on its end is not missed
	if over(o.raw) {
		return
	}
	r := *o
	r.orphan, r.reusePort = true, o.t.has(flagReusePort)
	o.left = &r
	s.add(&r, o.port.number)
}

// drop takes a port back that raw could not be bound to.
func (s *tcpPorts) drop(t *tcpEndpoint, raw *tcp.Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := &t.owner; o.port != nil && o.raw == raw {
		s.remove(o)
	}
}

// settle takes out what has ended of a closed socket, and of what it left behind.
// It may be called under netstack's locks.
func (s *tcpPorts) settle(t *tcpEndpoint) {
	now := uint32(0)
	if t.raw.Load().EndpointState() == tcp.StateTimeWait {
		now = t.p.second()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &t.owner
	if o.port != nil && o.closed() {
		switch {
		case over(o.raw):
			s.remove(o)
		case o.since == 0:
			o.since = now
		}
	}
	for at := &o.left; *at != nil; {
		if r := *at; over(r.raw) {
			*at = r.left
			s.remove(r)
		} else {
			at = &r.left
		}
	}
}

// live returns the port, without owners that are gone; nil if nobody has it.
func (s *tcpPorts) live(number uint16) *tcpPort {
	b := s.ports[number]
	if b == nil {
		return nil
	}
	for o := b.owners; o != nil; {
		next := o.next
		if o.gone() {
			s.remove(o)
		}
		o = next
	}
	return s.ports[number]
}

func (s *tcpPorts) add(o *portOwner, number uint16) {
	b := s.ports[number]
	if b == nil {
		b = &tcpPort{number: number}
		if s.ports == nil {
			s.ports = make(map[uint16]*tcpPort)
		}
		s.ports[number] = b
	}
	o.port, o.prev, o.next = b, nil, b.owners
	if b.owners != nil {
		b.owners.prev = o
	}
	b.owners = o
	if !o.picked {
		b.kept++
	}
}

func (s *tcpPorts) remove(o *portOwner) {
	b := o.port
	if b == nil {
		return
	}
	if o.prev != nil {
		o.prev.next = o.next
	} else {
		b.owners = o.next
	}
	if o.next != nil {
		o.next.prev = o.prev
	}
	if !o.picked {
		b.kept--
	}
	if b.kept == 0 {
		b.open = false
	}
	if b.owners == nil {
		delete(s.ports, b.number)
	}
	o.port, o.prev, o.next = nil, nil, nil
}
