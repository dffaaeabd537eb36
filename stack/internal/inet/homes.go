package inet

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// homes says which interface has an address of the stack, for one generation of
// its addresses. Netstack itself cannot: while a packet to an own address is on its
// way through lo, lo has that address too.
type homes struct {
	generation uint64
	lo         tcpip.NICID // 0: there is none
	of         map[tcpip.Address]tcpip.NICID
}

// homes returns them as they are now.
func (p *Protocols) homes() *homes {
	generation := p.generation.Load()
	if h := p.known.Load(); h != nil && h.generation == generation {
		return h
	}
	h := &homes{generation: generation, of: make(map[tcpip.Address]tcpip.NICID)}
	for nic, info := range p.stack.NICInfo() {
		for _, a := range info.ProtocolAddresses {
			addr := a.AddressWithPrefix.Address
			h.of[addr] = nic
			if info.Flags.Loopback && (addr == loopback4 || addr == header.IPv6Loopback) {
				h.lo = nic
			}
		}
	}
	p.known.Store(h)
	return h
}

// arrivedBy is the interface that a packet to dst came by, for those who ask: what is
// to an own address passes lo, and Linux names the interface that has the address.
func (h *homes) arrivedBy(nic tcpip.NICID, dst tcpip.Address) tcpip.NICID {
	if own := h.of[dst]; own != 0 && nic == h.lo {
		return own
	}
	return nic
}

// leadsTo refuses what netstack would do: ::1 by an interface other than lo, and
// link-local addresses by lo, which has none.
func (h *homes) leadsTo(nic tcpip.NICID, a tcpip.Address) bool {
	switch {
	case a == header.IPv6Loopback:
		return nic == h.lo
	case header.IsV6LinkLocalUnicastAddress(a):
		return nic != h.lo
	}
	return true
}
