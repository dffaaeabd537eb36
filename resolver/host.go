package resolver

import "net/netip"

// Host is the machine that a resolver works for: the addresses and interfaces
// of a stack. Its methods may be called from any goroutine and do not block.
type Host interface {
	// Hostname is the machine's name, gethostname(2); "" when it has none.
	Hostname() string

	// Addresses are the machine's own addresses, loopback included. The
	// resolver does not change the slice and does not keep it.
	Addresses() []Address

	// Source is the address that a packet to dst would come from, and false
	// when dst cannot be reached. A scoped dst carries its interface index as
	// a decimal zone. It is what connect(2) and getsockname(2) on a datagram
	// socket say; [Policy.SelectSource] helps to write one.
	Source(dst netip.Addr) (netip.Addr, bool)

	// InterfaceIndex is if_nametoindex(3).
	InterfaceIndex(name string) (index uint32, ok bool)

	// InterfaceName is if_indextoname(3).
	InterfaceName(index uint32) (name string, ok bool)
}

// Versioned is a [Host] that says whether it has changed. Without it the order
// of a name's addresses is worked out for every lookup.
type Versioned interface {
	Host
	// Version is another number after each change of what Addresses and Source
	// say.
	Version() uint64
}

// Address is one address of a [Host].
type Address struct {
	Prefix    netip.Prefix // the address and the length of its subnet's prefix
	Index     uint32       // index of its interface, from 1
	Interface string       // name of its interface
	Loopback  bool         // its interface is the loopback

	Deprecated bool // RFC 4862: not for new connections
	Temporary  bool // RFC 8981
	CareOf     bool // RFC 6275: a care-of address that is not a home address
}

// StaticHost is a Host that does not change: for tests, and for programs
// without a stack. The zero value has no name and no address.
type StaticHost struct {
	Name  string
	Addrs []Address

	// Routes are the prefixes that can be reached besides the subnets of
	// Addrs; 0.0.0.0/0 and ::/0 are default routes.
	Routes []netip.Prefix
}

var _ Versioned = StaticHost{}

// Version returns 0.
func (h StaticHost) Version() uint64 { return 0 }

// Hostname returns h.Name.
func (h StaticHost) Hostname() string { return h.Name }

// Addresses returns h.Addrs.
func (h StaticHost) Addresses() []Address { return h.Addrs }

// Source selects among h.Addrs by RFC 6724, section 5. Addresses of the
// loopback interface serve loopback destinations and those alone.
func (h StaticHost) Source(dst netip.Addr) (netip.Addr, bool) {
	bare := dst.WithZone("").Unmap()
	if !h.reaches(bare) {
		return netip.Addr{}, false
	}
	var policy Policy
	best, ok := policy.SelectSource(dst, h.Addrs)
	return best.Prefix.Addr(), ok
}

func (h StaticHost) reaches(dst netip.Addr) bool {
	for _, route := range h.Routes {
		if route.Contains(dst) {
			return true
		}
	}
	for i := range h.Addrs {
		a := &h.Addrs[i]
		if a.Prefix.Masked().Contains(dst) || a.Loopback && dst.IsLoopback() {
			return true
		}
	}
	return false
}

// InterfaceIndex looks name up in h.Addrs.
func (h StaticHost) InterfaceIndex(name string) (uint32, bool) {
	for i := range h.Addrs {
		if h.Addrs[i].Interface == name {
			return h.Addrs[i].Index, true
		}
	}
	return 0, false
}

// InterfaceName looks index up in h.Addrs.
func (h StaticHost) InterfaceName(index uint32) (string, bool) {
	for i := range h.Addrs {
		if h.Addrs[i].Index == index {
			return h.Addrs[i].Interface, true
		}
	}
	return "", false
}
