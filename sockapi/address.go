package sockapi

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"strings"

	"usersock/stack/endpoint"
)

// Addr is a socket address as the documents write it: [InetAddr],
// [Inet6Addr], [UnixAddr], [NetlinkAddr] or [UnspecAddr]. All are comparable.
type Addr interface {
	// Family returns AF_INET and so on.
	Family() int
	String() string
}

// InetAddr is the pair (host, port) of AF_INET. Host is a name, a dotted quad
// or one of inet_aton's other forms; "" is INADDR_ANY and "<broadcast>" is
// INADDR_BROADCAST. Port is 0 to 65535.
type InetAddr struct {
	Host string
	Port int
}

// Inet6Addr is the tuple (host, port, flowinfo, scopeid) of AF_INET6. Host is
// a name or a literal, with %name or %index after a link-local one; "" is ::.
// Flowinfo is 0 to 0xFFFFF. ScopeID is an interface index; if not 0 it wins
// over a scope in Host.
type Inet6Addr struct {
	Host     string
	Port     int
	Flowinfo uint32
	ScopeID  uint32
}

// UnixAddr is the address of AF_UNIX: a path in the Stack's own namespace, an
// abstract name if it starts with a NUL byte, "" if the socket has no name.
type UnixAddr struct{ Path string }

// NetlinkAddr is the pair (pid, groups) of AF_NETLINK.
type NetlinkAddr struct{ Pid, Groups uint32 }

// UnspecAddr dissolves the association of a datagram socket, as connect(2)
// does with AF_UNSPEC.
type UnspecAddr struct{}

func (InetAddr) Family() int    { return AF_INET }
func (Inet6Addr) Family() int   { return AF_INET6 }
func (UnixAddr) Family() int    { return AF_UNIX }
func (NetlinkAddr) Family() int { return AF_NETLINK }
func (UnspecAddr) Family() int  { return AF_UNSPEC }

func (a InetAddr) String() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.Port)) }

func (a Inet6Addr) String() string {
	host := a.Host
	if a.ScopeID != 0 && !strings.Contains(host, "%") {
		host += "%" + strconv.FormatUint(uint64(a.ScopeID), 10)
	}
	return net.JoinHostPort(host, strconv.Itoa(a.Port))
}

func (a UnixAddr) String() string {
	if a.Path != "" && a.Path[0] == 0 {
		return "@" + a.Path[1:]
	}
	return a.Path
}

func (a NetlinkAddr) String() string { return fmt.Sprintf("netlink (%d, %#x)", a.Pid, a.Groups) }
func (UnspecAddr) String() string    { return "AF_UNSPEC" }

// maxUnixPath is sizeof(sun_path), unix(7).
const maxUnixPath = 108

// maxFlowinfo is the largest flow label and traffic class that CPython takes.
const maxFlowinfo = 0xFFFFF

// target checks an address for a call on an open socket and resolves its name.
// Nothing has happened yet when it fails.
func (s *Socket) target(ctx context.Context, op string, addr Addr) (*desc, endpoint.Addr, error) {
	d, err := s.use()
	if err != nil {
		return nil, endpoint.Addr{}, fail(op, addr, err)
	}
	a, err := d.net.numeric(ctx, op, d.file.family, addr)
	runtime.KeepAlive(s)
	return d, a, err
}

// numeric turns an address into what endpoints take, by the resolver where it
// holds a name. It must be of the given family, or AF_UNSPEC.
func (n *Net) numeric(ctx context.Context, op string, family int, addr Addr) (endpoint.Addr, error) {
	switch a := addr.(type) {
	case nil:
		return endpoint.Addr{}, &ValueError{Op: op, Msg: "the address is nil"}
	case UnspecAddr:
		return endpoint.Addr{}, nil
	case InetAddr:
		if family != AF_INET {
			break
		}
		if err := checkPort(op, a.Port); err != nil {
			return endpoint.Addr{}, err
		}
		ip, err := n.host4(ctx, a.Host)
		if err != nil {
			return endpoint.Addr{}, fail(op, addr, err)
		}
		return endpoint.Addr{Family: AF_INET, IP: ip, Port: uint16(a.Port)}, nil
	case Inet6Addr:
		if family != AF_INET6 {
			break
		}
		if err := checkPort(op, a.Port); err != nil {
			return endpoint.Addr{}, err
		}
		if a.Flowinfo > maxFlowinfo {
			return endpoint.Addr{}, &ValueError{Op: op, Msg: "flowinfo must be 0-1048575"}
		}
		ip, scope, err := n.host6(ctx, a.Host)
		if err != nil {
			return endpoint.Addr{}, fail(op, addr, err)
		}
		if a.ScopeID != 0 {
			scope = a.ScopeID
		}
		return endpoint.Addr{Family: AF_INET6, IP: ip, Port: uint16(a.Port), Flowinfo: a.Flowinfo, Scope: scope}, nil
	case UnixAddr:
		if family != AF_UNIX {
			break
		}
		return unixAddr(op, a)
	case NetlinkAddr:
		if family == AF_NETLINK {
			return endpoint.Addr{Family: AF_NETLINK, Pid: a.Pid, Groups: a.Groups}, nil
		}
	default:
		return endpoint.Addr{}, &ValueError{Op: op, Msg: fmt.Sprintf("%T is no socket address", addr)}
	}
	return endpoint.Addr{}, &Error{Op: op, Addr: addr, Errno: endpoint.EAFNOSUPPORT}
}

func unixAddr(op string, a UnixAddr) (endpoint.Addr, error) {
	abstract := a.Path != "" && a.Path[0] == 0
	// A path needs room for the NUL byte behind it, an abstract name does not.
	if len(a.Path) > maxUnixPath || !abstract && len(a.Path) == maxUnixPath {
		return endpoint.Addr{}, &ValueError{Op: op, Msg: "AF_UNIX path too long"}
	}
	if !abstract && strings.IndexByte(a.Path, 0) >= 0 {
		return endpoint.Addr{}, &ValueError{Op: op, Msg: "embedded null byte"}
	}
	return endpoint.Unix(a.Path), nil
}

func checkPort(op string, port int) error {
	if port < 0 || port > 65535 {
		return &ValueError{Op: op, Msg: "port must be 0-65535."}
	}
	return nil
}

// host4 returns the IPv4 address of a host as the documents write it.
func (n *Net) host4(ctx context.Context, host string) (netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is4() {
		return ip, nil
	}
	a, err := n.resolver.ResolveAddr(ctx, host, AF_INET)
	return a.IP, err
}

// host6 returns the IPv6 address of a host and its scope.
func (n *Net) host6(ctx context.Context, host string) (netip.Addr, uint32, error) {
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() && ip.Zone() == "" {
		return ip, 0, nil
	}
	a, err := n.resolver.ResolveAddr(ctx, host, AF_INET6)
	return a.IP, a.Scope, err
}

// fromEndpoint writes an address the documents' way; nil for none.
func fromEndpoint(a endpoint.Addr) Addr {
	switch a.Family {
	case AF_INET:
		return InetAddr{Host: a.IP.String(), Port: int(a.Port)}
	case AF_INET6:
		return Inet6Addr{Host: a.IP.String(), Port: int(a.Port), Flowinfo: a.Flowinfo, ScopeID: a.Scope}
	case AF_UNIX:
		return UnixAddr{Path: a.Path}
	case AF_NETLINK:
		return NetlinkAddr{Pid: a.Pid, Groups: a.Groups}
	}
	return nil
}
