package inet

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

// Who may share a port with whom. The table's mutex is held for all of these, and
// what they ask an endpoint for is atomic.

func (o *portOwner) closed() bool { return o.orphan || o.t.closed.Load() }

// gone reports whether an owner is one no more.
func (o *portOwner) gone() bool {
	return over(o.raw) && (o.closed() || !o.t.has(flagPortLock))
}

func (o *portOwner) listens() bool { return o.listening && !over(o.raw) }

func (o *portOwner) timeWait() bool { return o.raw.EndpointState() == tcp.StateTimeWait }

func (o *portOwner) name() boundName {
	return boundName{
		ip: o.ip, six: o.t.af == endpoint.AF_INET6,
		only: o.only || o.t.af == endpoint.AF_INET6 && o.raw.SocketOptions().GetV6Only(),
	}
}

func (o *portOwner) device() tcpip.NICID {
	if nic := o.raw.SocketOptions().GetBindToDevice(); nic != 0 {
		return tcpip.NICID(nic)
	}
	return o.nic
}

func (o *portOwner) reuse() bool { return o.raw.SocketOptions().GetReuseAddress() }

func (o *portOwner) sharesPort() bool {
	if o.orphan {
		return o.reusePort
	}
	return o.t.has(flagReusePort)
}

// conflicts reports whether o cannot have the port of other, which has it:
// inet_bind_conflict of Linux. What is picked is shared with nobody.
func (o *portOwner) conflicts(other *portOwner, pick bool) bool {
	mine, theirs := o.device(), other.device()
	if mine != 0 && theirs != 0 && mine != theirs {
		return false
	}
	me, them := o.name(), other.name()
	switch {
	case !me.overlaps(&them, true):
		return false
	case pick:
		return true
	case o.reuse() && other.reuse() && !other.listens():
		return false
	}
	return !o.sharesPort() || !other.sharesPort() || !other.timeWait() && o.t.cred.Uid != other.t.cred.Uid
}

// admits reports whether o may have the port, by bind or, if it is to be picked
// for it, pick.
func (b *tcpPort) admits(o *portOwner, pick bool) bool {
	if !pick && b.inGroup(o) {
		return true
	}
	for other := b.owners; other != nil; other = other.next {
		if other != o && o.conflicts(other, pick) {
			return false
		}
	}
	return true
}

// inGroup is sk_reuseport_match of Linux.
func (b *tcpPort) inGroup(o *portOwner) bool {
	me := o.name()
	return b.open && o.sharesPort() && b.uid == o.t.cred.Uid && b.group.overlaps(&me, false)
}

// note remembers who came last, inet_csk_update_fastreuse of Linux.
func (b *tcpPort) note(o *portOwner) {
	switch {
	case !o.sharesPort():
		b.open = false
	case !b.inGroup(o):
		b.open, b.group, b.uid = true, o.name(), o.t.cred.Uid
	}
}

// lets reports whether connect may pick the port: if all others have it from
// connect too, and none is connected to the same address and port. One such is no
// matter if it is in TIME-WAIT long enough (tcp_tw_reuse): old.
func (b *tcpPort) lets(c *claim) (ok bool, old *portOwner) {
	if b.kept > 0 {
		return false, nil
	}
	for o := b.owners; o != nil; o = o.next {
		if o.peer != c.peer || o.peerPort != c.peerPort {
			continue
		}
		if old != nil || !c.loopback || !o.timeWait() || o.since == 0 || c.now <= o.since {
			return false, nil
		}
		old = o
	}
	return true, old
}

// pick chooses a port, algorithm 1 of RFC 6056; 0 if there is none.
func (s *tcpPorts) pick(o *portOwner, c *claim) (number uint16, old replaced) {
	span := uint32(c.last) - uint32(c.first) + 1
	for i := range span {
		number = uint16(uint32(c.first) + (c.random+i)%span)
		if c.connect && number == c.peerPort {
			continue // it could meet itself
		}
		b := s.live(number)
		switch {
		case b == nil, !c.connect && b.admits(o, true):
			return number, old
		case !c.connect:
			continue
		}
		if ok, other := b.lets(c); ok {
			if other != nil {
				old = s.displace(other)
			}
			return number, old
		}
	}
	return 0, old
}
