package inet

import (
	"errors"
	"slices"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"usersock/stack/endpoint"
)

// portTable knows which datagram endpoint has which port, and which of them a
// packet is for. The rules of sharing and of choosing are Linux's
// (udp_lib_get_port, compute_score, __udp4_lib_mcast_deliver), which is why
// netstack's own table does not serve: a dual-stack socket, a connected one and
// one that is bound to a device take part in one comparison here.
type portTable struct {
	mu    sync.RWMutex // a leaf
	ports map[uint16][]*datagram
}

// errMoved says that an endpoint was bound, connected or closed by another
// call meanwhile.
var errMoved = errors.New("bound meanwhile")

// table is where the endpoint's port is registered; nil for a raw socket.
func (d *datagram) table() *portTable {
	switch d.kind {
	case kindUDP:
		return &d.p.udp
	case kindUDPLite:
		return &d.p.udpLite
	case kindPing:
		if d.af == endpoint.AF_INET {
			return &d.p.ping4
		}
		return &d.p.ping6
	}
	return nil
}

// register makes b, which follows old, the endpoint's binding. Without a port
// it picks a free one. EADDRINUSE if the port is taken, or every ephemeral one
// is; errMoved if the binding is not old any more.
func (d *datagram) register(old, b *binding) error {
	t := d.table()
	if t == nil {
		if !d.where.CompareAndSwap(old, b) {
			return errMoved
		}
		return nil
	}
	if b.port != 0 {
		return t.put(d, old, b, false)
	}
	var result error = endpoint.EADDRINUSE
	_, err := d.p.stack.PickEphemeralPort(d.p.stack.SecureRNG(), func(port uint16) (bool, tcpip.Error) {
		b.port = port
		result = t.put(d, old, b, d.kind == kindPing)
		return result != endpoint.EADDRINUSE, nil
	})
	if err != nil {
		b.port = 0
		return endpoint.EADDRINUSE
	}
	return result
}

// put registers an endpoint. alone asks for a port that nobody has, even if it
// may be shared.
func (t *portTable) put(d *datagram, old, b *binding, alone bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d.where.Load() != old {
		return errMoved
	}
	if err := d.alive(); err != nil {
		return err
	}
	if old.port != b.port {
		for _, other := range t.ports[b.port] {
			if alone || d.conflicts(b, other) {
				return endpoint.EADDRINUSE
			}
		}
		if t.ports == nil {
			t.ports = make(map[uint16][]*datagram)
		}
		if old.port != 0 {
			t.take(d, old.port)
		}
		t.ports[b.port] = slices.Insert(t.ports[b.port], 0, d) // the newest is asked first
	}
	d.where.Store(b)
	return nil
}

func (t *portTable) take(d *datagram, port uint16) {
	list := slices.DeleteFunc(t.ports[port], func(o *datagram) bool { return o == d })
	if len(list) == 0 {
		delete(t.ports, port)
	} else {
		t.ports[port] = list
	}
}

// unregister gives the port back.
func (d *datagram) unregister() {
	t := d.table()
	if t == nil {
		d.unregisterRaw()
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	b := *d.where.Load()
	if b.port != 0 {
		t.take(d, b.port)
		b.port, b.connected, b.peer = 0, false, tcpip.FullAddress{}
		if !b.boundAddr {
			b.local, b.noSource = tcpip.Address{}, false
		}
		b.nic = 0
		d.where.Store(&b)
	}
}

// conflicts reports whether d cannot take the port of other, which has it.
func (d *datagram) conflicts(b *binding, other *datagram) bool {
	o := other.where.Load()
	if d.kind == kindPing {
		return !d.ops.GetReuseAddress() || !other.ops.GetReuseAddress()
	}
	if d.ops.GetReuseAddress() && other.ops.GetReuseAddress() {
		return false
	}
	mine, theirs := d.device(b), other.device(o)
	if mine != 0 && theirs != 0 && mine != theirs {
		return false
	}
	me, them := d.name(b), other.name(o)
	if !me.overlaps(&them, true) {
		return false
	}
	return !d.ops.GetReusePort() || !other.ops.GetReusePort() || d.cred.Uid != other.cred.Uid
}

// name is the endpoint's address as the rules of sharing see it.
func (d *datagram) name(b *binding) boundName {
	n := boundName{ip: nameIP(d.af, b.local), six: d.af == endpoint.AF_INET6, only: b.nets == net6}
	if b.nets == net4 && b.local.Len() == 0 {
		n.ip = nameIP(endpoint.AF_INET, b.local)
	}
	return n
}

// packetID is the addresses and ports of a packet that came in.
type packetID struct {
	net            tcpip.NetworkProtocolNumber
	nic            tcpip.NICID
	local, remote  tcpip.Address
	lport, rport   uint16
	toGroup, toAll bool // local is a multicast, a broadcast address
}

// score tells how well an endpoint fits a packet; −1 if it does not.
func (d *datagram) score(id *packetID) int {
	b := d.where.Load()
	if !b.nets.has(id.net) {
		return -1
	}
	score := 1
	if d.af == endpoint.AF_INET {
		score++
	}
	if b.local.Len() != 0 {
		if b.local != id.local {
			return -1
		}
		score += 16 // Linux asks those that are bound to an address first
	}
	if b.connected && d.kind != kindPing { // ping_lookup of Linux looks at no peer
		if b.peer.Addr != id.remote {
			return -1
		}
		score += 4
		if b.peer.Port != 0 && d.kind.ports() { // a peer without a port is any of its address
			if b.peer.Port != id.rport {
				return -1
			}
			score += 4
		}
	}
	if dev := d.device(b); dev != 0 {
		if dev != id.nic {
			return -1
		}
		score += 4
	}
	return score
}

// find returns the endpoint that a unicast packet, or an ICMP error about one
// that was sent, is for; nil if there is none. Of endpoints that share their
// port by SO_REUSEPORT the packet's addresses choose one.
func (t *portTable) find(id *packetID, seed func() uint32) *datagram {
	t.mu.RLock()
	defer t.mu.RUnlock()
	list := t.ports[id.lport]
	if len(list) == 1 { // nearly always
		if list[0].score(id) < 0 {
			return nil
		}
		return list[0]
	}
	var best *datagram
	top, group := -1, 0
	for _, d := range list {
		switch s := d.score(id); {
		case s > top:
			best, top, group = d, s, 1
		case s == top && s >= 0:
			group++
		}
	}
	if group < 2 || !best.ops.GetReusePort() || best.where.Load().connected {
		return best
	}
	n := uint32(0)
	for _, d := range list {
		if d.score(id) == top && d.ops.GetReusePort() {
			n++
		}
	}
	pick := uint32(uint64(id.hash(seed())) * uint64(n) >> 32)
	for _, d := range list {
		if d.score(id) == top && d.ops.GetReusePort() {
			if pick == 0 {
				return d
			}
			pick--
		}
	}
	return best
}

// each calls f for every endpoint that a packet to a group or a broadcast
// address is for.
func (t *portTable) each(id *packetID) (list []*datagram) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, d := range t.ports[id.lport] {
		if d.score(id) >= 0 && (!id.toGroup || d.groups.allow(d, id)) {
			list = append(list, d)
		}
	}
	return list
}

// hash mixes addresses and ports, FNV-1a with a last round of mixing.
func (id *packetID) hash(seed uint32) uint32 {
	h := uint32(2166136261) ^ seed
	add := func(b byte) { h = (h ^ uint32(b)) * 16777619 }
	local, remote := sixteen(id.local), sixteen(id.remote)
	for i := range local {
		add(local[i])
		add(remote[i])
	}
	for _, p := range [2]uint16{id.lport, id.rport} {
		add(byte(p))
		add(byte(p >> 8))
	}
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}

// packetAddresses reads the addresses of a packet's IP header.
func packetAddresses(net tcpip.NetworkProtocolNumber, h []byte) (src, dst tcpip.Address) {
	if net == header.IPv4ProtocolNumber {
		return header.IPv4(h).SourceAddress(), header.IPv4(h).DestinationAddress()
	}
	return header.IPv6(h).SourceAddress(), header.IPv6(h).DestinationAddress()
}

// sixteen returns the bytes of an address, those of an IPv4 one last.
func sixteen(a tcpip.Address) (b [16]byte) {
	s := a.AsSlice()
	copy(b[16-len(s):], s)
	return b
}
