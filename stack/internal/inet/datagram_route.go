package inet

import (
	"errors"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/stack/endpoint"
)

// errStale says that a route's interface or source address has gone.
var errStale = errors.New("stale route")

// knownRoute is the last route that an endpoint used: to look for one costs
// more than the rest of a short datagram. It holds for one generation of the
// stack's routes and addresses.
type knownRoute struct {
	generation uint64
	key        routeKey
	route      way
}

// routeKey is what decides a route.
type routeKey struct {
	nic           tcpip.NICID
	local, remote tcpip.Address
	loop          bool
}

// RoutesChanged tells that routes, addresses or interfaces of the stack have
// changed: routes that endpoints remember are looked up anew.
func (p *Protocols) RoutesChanged() { p.generation.Add(1) }

// Generation is another number after each call of RoutesChanged.
func (p *Protocols) Generation() uint64 { return p.generation.Load() }

// findRoute returns the way to an address, to be released by the caller.
func (d *datagram) findRoute(b *binding, to tcpip.FullAddress, items outgoing) (way, error) {
	key := routeKey{nic: to.NIC, remote: to.Addr, local: b.local}
	net := netOf(to.Addr)
	if key.nic == 0 { // Send looks at the scope of an address first, whatever the device
		key.nic = d.device(b)
	}
	if items.nic != 0 {
		key.nic = items.nic
	}
	if key.local.Len() != to.Addr.Len() || b.noSource {
		if key.local.Len() != 0 && key.local.Len() != to.Addr.Len() { // of the other version
			if to.Addr.Len() == header.IPv6AddressSize {
				return way{}, endpoint.EAFNOSUPPORT // ip6_dst_lookup_tail
			}
			return way{}, endpoint.ENETUNREACH
		}
		key.local = tcpip.Address{}
	}
	if items.src.Len() != 0 {
		key.local = items.src
	}
	four := net == header.IPv4ProtocolNumber
	if isMulticast(to.Addr) {
		d.toGroup(&key, four)
	} else if key.nic == 0 {
		if four {
			key.nic = tcpip.NICID(d.ip.uni4.Load())
		} else {
			key.nic = tcpip.NICID(d.ip.uni6.Load())
		}
	}
	if key.local.Len() == 0 {
		key.local = loopbackSource(key.remote)
	}
	generation := d.p.generation.Load()
	d.routeMu.Lock()
	if k := &d.route; k.route.Route != nil && k.generation == generation && k.key == key {
		r := k.route
		r.Acquire() // counts, and calls nothing
		d.routeMu.Unlock()
		return r, nil
	}
	d.routeMu.Unlock()
	leaving := key
	if !four {
		if leaving.nic == 0 {
			leaving.nic = d.p.scope(key.remote)
		} else if !d.p.homes().leadsTo(leaving.nic, key.remote) {
			return way{}, endpoint.ENETUNREACH
		}
	}
	r, err := d.findWay(leaving, net)
	if err != nil {
		return way{}, err
	}
	r.Acquire()
	d.routeMu.Lock()
	old := d.route.route.Route
	d.route = knownRoute{generation, key, r}
	d.routeMu.Unlock()
	if old != nil {
		old.Release()
	}
	if d.state.Load() != stateOpen {
		d.forgetRoute()
	}
	return r, nil
}

// toGroup chooses interface, source and loop of a datagram to a group.
func (d *datagram) toGroup(key *routeKey, four bool) {
	if !four {
		key.loop = d.ip.loop6.Load()
		if key.nic == 0 {
			key.nic = tcpip.NICID(d.ip.group6.Load())
		}
		return
	}
	key.loop = d.ip.loop4.Load()
	source := d.ip.multicastSource()
	if key.nic == 0 {
		key.nic = source.nic
	}
	if key.local.Len() == 0 {
		key.local = source.addr
	}
}

// scope is the interface that an IPv6 address without a scope leads to, if it needs
// one or is a group: that of the oldest route on a link, as there is one of
// fe80::/64 and one of ff00::/8 for each interface of Linux. 0 if there is none.
func (p *Protocols) scope(a tcpip.Address) tcpip.NICID {
	if !needsScopeAddress(a) && !header.IsV6MulticastAddress(a) {
		return 0
	}
	for _, r := range p.stack.GetRouteTable() {
		if header.IsV6LinkLocalUnicastAddress(r.Destination.ID()) {
			return r.NIC
		}
	}
	return 0
}

// forgetRoute drops the remembered route.
func (d *datagram) forgetRoute() {
	d.routeMu.Lock()
	r := d.route.route.Route
	d.route = knownRoute{}
	d.routeMu.Unlock()
	if r != nil {
		r.Release()
	}
}

// pathTable is what ICMP has taught about the largest packets of paths.
type pathTable struct {
	mu    sync.Mutex // a leaf
	known map[tcpip.Address]pathEntry
}

type pathEntry struct {
	mtu   int
	until time.Time
}

// RFC 1191, section 6.3: what was learnt is forgotten after ten minutes.
const (
	pathLife = 10 * time.Minute
	maxPaths = 4096
)

// leastMTU is the least MTU of a path that is believed: Linux's min_pmtu, and
// that of RFC 8200.
func leastMTU(net tcpip.NetworkProtocolNumber) int {
	if net == header.IPv6ProtocolNumber {
		return header.IPv6MinimumMTU
	}
	return 552
}

// learnMTU notes that packets to remote must not be longer than mtu. What is
// known already holds until it is forgotten, if it is less.
func (p *Protocols) learnMTU(remote tcpip.Address, mtu int) {
	now := p.clock.Now()
	t := &p.paths
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil {
		t.known = make(map[tcpip.Address]pathEntry)
	}
	if len(t.known) >= maxPaths {
		clear(t.known) // a flood; each is learnt again when it matters
	}
	mtu = max(mtu, leastMTU(netOf(remote)))
	if e, ok := t.known[remote]; ok && e.mtu < mtu && !now.After(e.until) {
		return
	}
	t.known[remote] = pathEntry{mtu, now.Add(pathLife)}
	p.learnt.Store(true)
}

// knownMTU returns the largest packet that reaches remote, at most device.
func (p *Protocols) knownMTU(remote tcpip.Address, device int) int {
	if !p.learnt.Load() {
		return device
	}
	now := p.clock.Now()
	t := &p.paths
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.known[remote]
	if ok && now.After(e.until) {
		delete(t.known, remote)
		ok = false
	}
	if !ok {
		return device
	}
	return min(e.mtu, device)
}

// writeFragments sends a packet, in pieces if it does not fit a path (RFC 791 and
// RFC 8200, section 4.5): netstack knows the interface's MTU alone, and its routers
// cannot cut a fragment again.
func (p *Protocols) writeFragments(r way, params gvstack.NetworkHeaderParams, pkt *gvstack.PacketBuffer, mtu int) tcpip.Error {
	payload := gvstack.PayloadSince(pkt.TransportHeader())
	defer payload.Release()
	data := payload.AsSlice()
	four := r.NetProto() == header.IPv4ProtocolNumber
	overhead := headerSize(r.NetProto())
	whole := overhead+len(data) <= mtu
	if !four && !whole {
		overhead += header.IPv6FragmentHeaderSize
	}
	step := (mtu - overhead) &^ 7
	if whole {
		step = len(data)
	}
	id := p.seed() + p.fragmentID.Add(1)
	for off := 0; ; off += step {
		piece := data[off:min(off+step, len(data))]
		more := off+len(piece) < len(data)
		view := buffer.NewViewSize(overhead + len(piece))
		b := view.AsSlice()
		if four {
			putHeader4(b, r, &params, off, more, uint16(id))
		} else {
			putHeader6(b, r, &params)
		}
		if !four && !whole {
			b[6] = uint8(header.IPv6FragmentHeader)
			putFragmentHeader(b[header.IPv6MinimumSize:], uint8(params.Protocol), off, more, id)
		}
		copy(b[overhead:], piece)
		out := gvstack.NewPacketBuffer(gvstack.PacketBufferOptions{
			ReserveHeaderBytes: int(r.MaxHeaderLength()),
			Payload:            buffer.MakeWithView(view),
			OnRelease:          pkt.IncRef().DecRef, // which the socket's send buffer waits for
		})
		err := r.WriteHeaderIncludedPacket(out)
		out.DecRef()
		if err != nil || !more {
			return err
		}
	}
}

// putHeader4 writes an IPv4 header, of a whole packet or a fragment; netstack adds
// the checksum. An identification of 0 it would replace, differently in each piece.
func putHeader4(b []byte, r way, params *gvstack.NetworkHeaderParams, off int, more bool, id uint16) {
	flags := uint8(0)
	switch {
	case more:
		flags = header.IPv4FlagMoreFragments
	case params.DF && off == 0:
		flags = header.IPv4FlagDontFragment
	}
	header.IPv4(b).Encode(&header.IPv4Fields{
		TOS: params.TOS, TotalLength: uint16(len(b)), ID: max(id, 1), Flags: flags, FragmentOffset: uint16(off),
		TTL: params.TTL, Protocol: uint8(params.Protocol), SrcAddr: r.LocalAddress(), DstAddr: r.RemoteAddress(),
	})
}

// putHeader6 writes an IPv6 header.
func putHeader6(b []byte, r way, params *gvstack.NetworkHeaderParams) {
	header.IPv6(b).Encode(&header.IPv6Fields{
		PayloadLength: uint16(len(b) - header.IPv6MinimumSize), TransportProtocol: params.Protocol, TrafficClass: params.TOS,
		HopLimit: params.TTL, SrcAddr: r.LocalAddress(), DstAddr: r.RemoteAddress(),
	})
}

// putFragmentHeader writes the header of RFC 8200, section 4.5.
func putFragmentHeader(b []byte, next uint8, off int, more bool, id uint32) {
	b[0], b[1] = next, 0
	flags := uint16(off)
	if more {
		flags |= 1
	}
	b[2], b[3] = byte(flags>>8), byte(flags)
	b[4], b[5], b[6], b[7] = byte(id>>24), byte(id>>16), byte(id>>8), byte(id)
}
