package endpoint

import (
	"fmt"
	"net/netip"
	"strconv"
)

// Addr is a numeric socket address of any family; which fields mean something
// depends on Family. It is comparable and holds no pointer that allocates.
// The zero Addr, of family AF_UNSPEC, means "no address".
type Addr struct {
	Family int

	// AF_INET, AF_INET6. IP carries no zone; Scope does.
	IP       netip.Addr
	Port     uint16
	Flowinfo uint32 // AF_INET6: 0 to 0xFFFFF
	Scope    uint32 // AF_INET6: interface index, 0 for none

	// AF_UNIX: "" is unnamed; a first NUL byte makes it abstract.
	Path string

	// AF_NETLINK.
	Pid    uint32
	Groups uint32
}

// Inet returns the AF_INET or AF_INET6 address of ap, by the kind of its IP.
// A zone is dropped: numeric interface indexes go into Scope.
func Inet(ap netip.AddrPort) Addr {
	a := Addr{Family: AF_INET, IP: ap.Addr().WithZone(""), Port: ap.Port()}
	if !a.IP.Is4() {
		a.Family = AF_INET6
	}
	return a
}

// Unix returns the AF_UNIX address of path.
func Unix(path string) Addr { return Addr{Family: AF_UNIX, Path: path} }

// AddrPort returns the IP and port, without the scope.
func (a Addr) AddrPort() netip.AddrPort { return netip.AddrPortFrom(a.IP, a.Port) }

// IsZero reports whether a is no address at all.
func (a Addr) IsZero() bool { return a.Family == AF_UNSPEC }

// String returns the form that error messages use: 192.0.2.1:80,
// [2001:db8::1%2]:80, a path, or @name for an abstract one.
func (a Addr) String() string {
	switch a.Family {
	case AF_UNSPEC:
		return "unspecified"
	case AF_INET, AF_INET6:
		ip := a.IP
		if a.Scope != 0 && ip.Is6() {
			ip = ip.WithZone(strconv.FormatUint(uint64(a.Scope), 10))
		}
		return netip.AddrPortFrom(ip, a.Port).String()
	case AF_UNIX:
		if a.Path != "" && a.Path[0] == 0 {
			return "@" + a.Path[1:]
		}
		return a.Path
	case AF_NETLINK:
		return fmt.Sprintf("netlink pid %d groups %#x", a.Pid, a.Groups)
	}
	return fmt.Sprintf("address of family %d", a.Family)
}
