package sockapi

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"usersock/resolver"
	"usersock/stack/endpoint"
)

// network is one of the names that Dial, Listen and ListenPacket take.
type network struct {
	name   string
	family int // AF_UNSPEC: both versions of IP
	typ    int
	proto  int // of a raw socket
}

// networks is the table of them.
var networks = [...]network{
	{"tcp", AF_UNSPEC, SOCK_STREAM, 0},
	{"tcp4", AF_INET, SOCK_STREAM, 0},
	{"tcp6", AF_INET6, SOCK_STREAM, 0},
	{"udp", AF_UNSPEC, SOCK_DGRAM, 0},
	{"udp4", AF_INET, SOCK_DGRAM, 0},
	{"udp6", AF_INET6, SOCK_DGRAM, 0},
	{"unix", AF_UNIX, SOCK_STREAM, 0},
	{"unixgram", AF_UNIX, SOCK_DGRAM, 0},
	{"unixpacket", AF_UNIX, SOCK_SEQPACKET, 0},
	{"ip", AF_UNSPEC, SOCK_RAW, 0},
	{"ip4", AF_INET, SOCK_RAW, 0},
	{"ip6", AF_INET6, SOCK_RAW, 0},
}

// findNetwork knows the networks of package net: an "ip" has a protocol behind
// it, a number or a name, as in ip4:icmp.
func (n *Net) findNetwork(name string) (network, error) {
	base, proto, colon := strings.Cut(name, ":")
	for _, nw := range networks {
		if nw.name != base || colon != (nw.typ == SOCK_RAW) {
			continue
		}
		if !colon {
			return nw, nil
		}
		number, err := strconv.Atoi(proto)
		if err != nil {
			number, err = n.Getprotobyname(proto)
		}
		if err != nil || number < 0 || number > 255 {
			return network{}, unknownNetwork(name, "unknown IP protocol specified", proto)
		}
		nw.proto = number
		return nw, nil
	}
	return network{}, net.UnknownNetworkError(name)
}

// kind is the network without version and protocol, for addresses.
func (nw network) kind() string { return strings.TrimRight(nw.name, "46") }

// What package net sets on every TCP connection, in seconds and probes.
const (
	keepAliveIdle     = 15
	keepAliveInterval = 15
	keepAliveCount    = 9
)

// tune sets on a TCP connection what package net sets. A connection that has
// failed meanwhile reports that on its next use.
func (s *Socket) tune() {
	if s.family == AF_UNIX || s.typ != SOCK_STREAM {
		return
	}
	s.setInt(IPPROTO_TCP, TCP_NODELAY, 1)
	s.setInt(SOL_SOCKET, SO_KEEPALIVE, 1)
	s.setInt(IPPROTO_TCP, TCP_KEEPIDLE, keepAliveIdle)
	s.setInt(IPPROTO_TCP, TCP_KEEPINTVL, keepAliveInterval)
	s.setInt(IPPROTO_TCP, TCP_KEEPCNT, keepAliveCount)
}

// Dial is [Net.DialContext] without a context.
func (n *Net) Dial(network, address string) (net.Conn, error) {
	return n.DialContext(context.Background(), network, address)
}

// DialContext connects to an address, as (*net.Dialer).DialContext does. The
// networks are tcp, udp (also with 4 or 6 behind), unix, unixgram and
// unixpacket, and ip:proto, ip4:proto and ip6:proto of raw sockets, where the
// protocol is a number or a name and the address has no port. Names are resolved
// by this Net's resolver. Over TCP the next of their addresses is tried when the
// one before fails or after 250 ms, and the first connection wins (Happy Eyeballs,
// RFC 8305); the others take the first that connects. An empty host is the
// loopback address, IPv4's where it may be. The result is a [*Conn] or a [*PacketConn].
func (n *Net) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	nw, err := n.findNetwork(network)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	if address == "" {
		return nil, dialError(network, nil, errNoAddress)
	}
	if nw.family == AF_UNIX {
		a, err := goUnix(address)
		if err == nil {
			var s *Socket
			if s, err = n.dialOne(ctx, nw, a); err == nil {
				return s.goConn(nw, a), nil
			}
		}
		return nil, dialError(network, &net.UnixAddr{Name: address, Net: network}, err)
	}
	s, last, err := n.dialTo(ctx, nw, address)
	switch {
	case err == nil:
		s.tune()
		return s.goConn(nw, last), nil
	case last == (endpoint.Addr{}): // no attempt was made
		return nil, dialError(network, nil, err)
	}
	return nil, dialError(network, n.goAddr(nw.kind(), last), err)
}

// dialTo connects to host:port. The address is the one that was tried last.
func (n *Net) dialTo(ctx context.Context, nw network, address string) (*Socket, endpoint.Addr, error) {
	if _, err := netip.ParseAddrPort(address); err != nil && nw.typ == SOCK_STREAM {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, endpoint.Addr{}, err
		}
		return n.race(ctx, nw, func(ctx context.Context, early func([]endpoint.Addr)) ([]endpoint.Addr, error) {
			return n.lookUp(ctx, nw, host, port, 0, early)
		})
	}
	targets, err := n.targets(ctx, nw, address, 0)
	if err != nil {
		return nil, endpoint.Addr{}, err
	}
	return n.dialInOrder(ctx, nw, targets)
}

// dialInOrder tries one address after the other.
func (n *Net) dialInOrder(ctx context.Context, nw network, targets []endpoint.Addr) (s *Socket, last endpoint.Addr, err error) {
	var all []error
	for _, last = range targets {
		if s, err = n.dialOne(ctx, nw, last); err == nil {
			return s, last, nil
		}
		all = append(all, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, last, lastOf(all)
}

// goConn is the adapter that fits the type of a socket that was connected to an
// address. A raw socket does not tell its peer, for want of a port.
func (s *Socket) goConn(nw network, to endpoint.Addr) net.Conn {
	if s.typ == SOCK_STREAM {
		c := s.Conn()
		c.network = nw.name
		return c
	}
	c := s.PacketConn()
	c.network = nw.name
	if c.remote == nil {
		c.remote = c.goAddr(to)
	}
	return c
}

func (n *Net) dialOne(ctx context.Context, nw network, a endpoint.Addr) (*Socket, error) {
	if err := ctx.Err(); err != nil {
		return nil, ctxError(ctx)
	}
	if n.stack.Virtual() != nil {
		n.gate(-1, nil, nw.name+" "+a.String())
	}
	s, err := n.socket(a.Family, nw.typ, nw.proto)
	if err != nil {
		return nil, err
	}
	if a.Family != AF_UNIX && nw.typ != SOCK_STREAM {
		err = s.setInt(SOL_SOCKET, SO_BROADCAST, 1)
	}
	if err == nil {
		err = s.connect(s.desc, a, nil, limit{until: noLimit, ctx: ctx})
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// targets returns the addresses that host:port stands for, literals without a
// look-up.
func (n *Net) targets(ctx context.Context, nw network, address string, flags int) ([]endpoint.Addr, error) {
	if nw.typ == SOCK_RAW { // without a port
		address = net.JoinHostPort(strings.Trim(address, "[]"), "0")
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if ap, err := netip.ParseAddrPort(address); err == nil && ap.Addr().IsValid() {
		ip := ap.Addr().Unmap()
		family := AF_INET6
		if ip.Is4() {
			family = AF_INET
		}
		if nw.family == AF_UNSPEC || nw.family == family {
			a, err := n.fromAddrPort(family, netip.AddrPortFrom(ip, ap.Port()))
			return []endpoint.Addr{a}, err
		}
	}
	return n.lookUp(ctx, nw, host, port, flags, nil)
}

// lookUp asks the resolver for the addresses of a host, see lookupFunc.
func (n *Net) lookUp(ctx context.Context, nw network, host, port string, flags int, early func([]endpoint.Addr)) ([]endpoint.Addr, error) {
	if port == "" {
		port = "0"
	}
	if host == "" && flags&AI_PASSIVE == 0 {
		host = n.loopback(nw)
	}
	if early != nil {
		ctx = resolver.WithEarly(ctx, func(infos []resolver.AddrInfo) { early(addrsOf(infos)) })
	}
	typ := nw.typ
	if typ == SOCK_RAW {
		typ = SOCK_DGRAM // no service goes with it
	}
	infos, err := n.resolver.Getaddrinfo(ctx, host, port, nw.family, typ, 0, flags)
	if err == nil && len(infos) == 0 {
		err = &Gaierror{Code: EAI_NONAME, Name: host}
	}
	if err != nil {
		return nil, lookupError(nw, host, port, err)
	}
	return addrsOf(infos), nil
}

// loopback is the host that is dialled where none is named, IPv4's if it may be
// as with package net.
func (n *Net) loopback(nw network) string {
	if nw.family == AF_INET6 || !n.stack.Serves(AF_INET) {
		return "::1"
	}
	return "127.0.0.1"
}

func addrsOf(infos []resolver.AddrInfo) []endpoint.Addr {
	list := make([]endpoint.Addr, len(infos))
	for i, info := range infos {
		list[i] = info.Addr
	}
	return list
}

// Listen listens on a tcp, tcp4, tcp6, unix or unixpacket address, as
// net.Listen does: SO_REUSEADDR is set, the backlog is SOMAXCONN, and an empty
// host, or ::, with tcp listens on both versions of IP where both are served.
// Of a name's addresses it takes an IPv4 one if there is one. The result is a
// [*Listener].
func (n *Net) Listen(network, address string) (net.Listener, error) {
	l, err := n.listen(network, address)
	if err != nil {
		return nil, listenError(network, err)
	}
	return l, nil
}

func (n *Net) listen(network, address string) (*Listener, error) {
	nw, err := n.findNetwork(network)
	if err == nil && (nw.typ == SOCK_DGRAM || nw.typ == SOCK_RAW) {
		err = unknownNetwork(network, "unexpected address type", address)
	}
	if err != nil {
		return nil, err
	}
	s, err := n.bound(nw, address)
	if err != nil {
		return nil, err
	}
	if err := s.Listen(SOMAXCONN); err != nil {
		s.Close()
		return nil, err
	}
	l := s.Listener()
	l.network, l.tuned = nw.name, true
	if nw.family == AF_UNIX && address != "" && address[0] != '@' {
		l.path = address
		l.SetUnlinkOnClose(true)
	}
	return l, nil
}

// ListenPacket opens a udp, udp4, udp6, unixgram, ip:proto, ip4:proto or
// ip6:proto socket on an address, as net.ListenPacket does. For a group of
// multicast it listens on any address of this version of IP, and others may take
// the port too; joining is the caller's. The result is a [*PacketConn].
func (n *Net) ListenPacket(network, address string) (net.PacketConn, error) {
	nw, err := n.findNetwork(network)
	if err == nil && nw.typ != SOCK_DGRAM && nw.typ != SOCK_RAW {
		err = unknownNetwork(network, "unexpected address type", address)
	}
	var s *Socket
	if err == nil {
		s, err = n.bound(nw, address)
	}
	if err != nil {
		return nil, listenError(network, err)
	}
	c := s.PacketConn()
	c.network = nw.name
	return c, nil
}

// bound opens a socket and binds it.
func (n *Net) bound(nw network, address string) (*Socket, error) {
	if nw.family == AF_UNIX {
		a, err := goUnix(address)
		if err != nil {
			return nil, &Error{Op: "bind", Addr: UnixAddr{address}, Err: err}
		}
		return n.bindNew(nw, AF_UNIX, a, false)
	}
	host := strings.Trim(address, "[]")
	if nw.typ != SOCK_RAW {
		if address == "" { // package net: any address and port
			address = ":0"
		}
		var err error
		if host, _, err = net.SplitHostPort(address); err != nil {
			return nil, err
		}
	}
	targets, err := n.targets(context.Background(), nw, address, AI_PASSIVE)
	if err != nil {
		return nil, err
	}
	a := targets[0]
	for _, other := range targets {
		if !a.IP.Is4() && other.IP.Is4() {
			a = other // of a name's addresses package net takes an IPv4 one
		}
	}
	dual := (host == "" || a.IP == netip.IPv6Unspecified()) && nw.family == AF_UNSPEC && nw.typ != SOCK_RAW && n.stack.Serves(AF_INET6) && n.stack.Serves(AF_INET)
	if dual {
		a = endpoint.Addr{Family: AF_INET6, IP: netip.IPv6Unspecified(), Port: a.Port}
	}
	for _, other := range targets {
		// A family that is not served cannot be what the caller means.
		if !n.stack.Serves(a.Family) {
			a = other
		}
	}
	return n.bindNew(nw, a.Family, a, dual)
}

func (n *Net) bindNew(nw network, family int, a endpoint.Addr, dual bool) (*Socket, error) {
	s, err := n.Socket(family, nw.typ, nw.proto)
	if err != nil {
		return nil, err
	}
	if family == AF_INET6 && nw.typ != SOCK_RAW {
		err = s.setFlag(IPPROTO_IPV6, IPV6_V6ONLY, !dual)
	}
	group := nw.typ == SOCK_DGRAM && a.IP.IsMulticast()
	if group {
		a.IP = netip.IPv4Unspecified()
		if family == AF_INET6 {
			a.IP = netip.IPv6Unspecified()
		}
	}
	if err == nil && family != AF_UNIX && (nw.typ == SOCK_STREAM || group) {
		err = s.setInt(SOL_SOCKET, SO_REUSEADDR, 1)
	}
	if err == nil && family != AF_UNIX && nw.typ != SOCK_STREAM {
		err = s.setInt(SOL_SOCKET, SO_BROADCAST, 1)
	}
	if err == nil {
		err = s.bindTo(a)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// bindTo is Bind for a numeric address.
func (s *Socket) bindTo(a endpoint.Addr) error {
	d, err := s.use()
	if err != nil {
		return err
	}
	d.net.gate(d.fd, d, "bind")
	return fail("bind", fromEndpoint(a), d.outcome(d.file.ep.Bind(a)))
}
