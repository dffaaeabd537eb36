package sockapi

import "fmt"

// ServerConfig is what [Net.CreateServer] may be told; the zero value is what
// CPython's create_server does without arguments.
type ServerConfig struct {
	// Family is AF_INET or AF_INET6; 0 is the address's own. An [InetAddr] with
	// AF_INET6 is the host and port of an IPv6 address.
	Family int

	// Backlog is listen's; 0 is 128, a negative one 0.
	Backlog int

	// ReusePort sets SO_REUSEPORT.
	ReusePort bool

	// DualstackIPv6 lets an AF_INET6 socket take connections over IPv4 too.
	// Otherwise it takes IPv6 alone.
	DualstackIPv6 bool
}

// defaultBacklog is the one of CPython's listen().
const defaultBacklog = 128

// CreateServer opens a TCP socket that listens on an address, with SO_REUSEADDR
// set, as create_server of CPython 3.8 and later does. Nothing stays open when
// it fails. The errors are those of the calls that it makes; that of bind says
// so. A [*ValueError] where DualstackIPv6 is asked for without AF_INET6, or on a
// host that does not serve both.
func (n *Net) CreateServer(addr Addr, cfg ServerConfig) (*Socket, error) {
	family := cfg.Family
	if family == 0 {
		family = AF_INET
		if addr != nil {
			family = addr.Family()
		}
	}
	addr = pairFor(family, addr)
	if cfg.DualstackIPv6 {
		if !n.HasDualstackIpv6() {
			return nil, &ValueError{Op: "create_server", Msg: "dualstack_ipv6 not supported on this platform"}
		}
		if family != AF_INET6 {
			return nil, &ValueError{Op: "create_server", Msg: "dualstack_ipv6 requires AF_INET6 family"}
		}
	}
	s, err := n.Socket(family, SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	if err := s.serve(addr, family, cfg); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// pairFor is an address for a socket of a family: in Python the pair (host, port)
// is one of either version of IP.
func pairFor(family int, addr Addr) Addr {
	if a, ok := addr.(InetAddr); ok && family == AF_INET6 {
		return Inet6Addr{Host: a.Host, Port: a.Port}
	}
	return addr
}

func (s *Socket) serve(addr Addr, family int, cfg ServerConfig) error {
	// An error is ignored, as in CPython: it is a convenience.
	_ = s.Setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
	if cfg.ReusePort {
		if err := s.Setsockopt(SOL_SOCKET, SO_REUSEPORT, 1); err != nil {
			return err
		}
	}
	if family == AF_INET6 {
		only := 1
		if cfg.DualstackIPv6 {
			only = 0
		}
		if err := s.Setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, only); err != nil {
			return err
		}
	}
	if err := s.Bind(addr); err != nil {
		if e, ok := err.(*Error); ok {
			return fail("create_server", nil, fmt.Errorf("%w (while attempting to bind on address %v)", e.Unwrap(), addr))
		}
		return err
	}
	backlog := max(cfg.Backlog, 0)
	if cfg.Backlog == 0 {
		backlog = defaultBacklog
	}
	return s.Listen(backlog)
}

// HasDualstackIpv6 reports whether a TCP socket of this host can take
// connections over IPv4 and IPv6 at once.
func (n *Net) HasDualstackIpv6() bool {
	return n.stack.Serves(AF_INET) && n.stack.Serves(AF_INET6)
}
