package sockapi

import (
	"context"
	"net/netip"
	"strconv"
	"sync/atomic"

	"usersock/resolver"
	"usersock/stack/endpoint"
)

// AddrInfo is one of getaddrinfo's 5-tuples.
type AddrInfo struct {
	Family    int
	Type      int
	Proto     int
	Canonname string
	Addr      Addr
}

// Getaddrinfo resolves a host and a port into everything that Socket and
// Connect need, in the order in which to try. host is a name, a literal or ""
// for NULL; port a number, a service name or "" for NULL. Errors are
// [*Gaierror].
func (n *Net) Getaddrinfo(ctx context.Context, host, port string, family, typ, proto, flags int) ([]AddrInfo, error) {
	infos, err := n.resolver.Getaddrinfo(ctx, host, port, family, typ, proto, flags)
	if err != nil {
		return nil, err
	}
	list := make([]AddrInfo, len(infos))
	for i, info := range infos {
		list[i] = AddrInfo{info.Family, info.Type, info.Proto, info.Canonname, fromEndpoint(info.Addr)}
	}
	return list, nil
}

// Getnameinfo turns an address into a host and a service, by the NI_* flags.
func (n *Net) Getnameinfo(ctx context.Context, addr Addr, flags int) (host, service string, err error) {
	family := AF_INET
	if addr != nil {
		family = addr.Family()
	}
	if family != AF_INET && family != AF_INET6 {
		return "", "", &Gaierror{Code: EAI_FAMILY}
	}
	a, err := n.literal("getnameinfo", family, addr)
	if err != nil {
		return "", "", err
	}
	return n.resolver.Getnameinfo(ctx, a, flags)
}

// literal is numeric without a look-up: getnameinfo takes addresses alone.
func (n *Net) literal(op string, family int, addr Addr) (endpoint.Addr, error) {
	host := ""
	switch a := addr.(type) {
	case InetAddr:
		host = a.Host
	case Inet6Addr:
		host = a.Host
	}
	if addr != nil && host != "" && host != "<broadcast>" {
		infos, err := n.resolver.Getaddrinfo(context.Background(), host, "", family, SOCK_DGRAM, 0, AI_NUMERICHOST)
		if err != nil {
			return endpoint.Addr{}, err
		}
		if len(infos) == 0 {
			return endpoint.Addr{}, &Gaierror{Code: EAI_NONAME, Name: host}
		}
	}
	return n.numeric(context.Background(), op, family, addr)
}

// Gethostbyname returns the first IPv4 address of a name; a dotted quad comes
// back unchanged.
func (n *Net) Gethostbyname(ctx context.Context, name string) (string, error) {
	ip, err := n.resolver.Gethostbyname(ctx, name)
	if err != nil {
		return "", err
	}
	return ip.String(), nil
}

// GethostbynameEx returns the canonical name, the aliases and all IPv4
// addresses of a name.
func (n *Net) GethostbynameEx(ctx context.Context, name string) (canonical string, aliases, addrs []string, err error) {
	canonical, aliases, ips, err := n.resolver.GethostbynameEx(ctx, name)
	return canonical, aliases, texts(ips), err
}

// Gethostbyaddr returns the names of an address.
func (n *Net) Gethostbyaddr(ctx context.Context, addr string) (canonical string, aliases, addrs []string, err error) {
	canonical, aliases, ips, err := n.resolver.Gethostbyaddr(ctx, addr)
	return canonical, aliases, texts(ips), err
}

func texts(ips []netip.Addr) []string {
	var list []string
	for _, ip := range ips {
		list = append(list, ip.String())
	}
	return list
}

// Getfqdn returns the fully qualified name of a host; "" is this host.
func (n *Net) Getfqdn(ctx context.Context, name string) string { return n.resolver.Getfqdn(ctx, name) }

// Getservbyname returns the port of a service; proto is "tcp", "udp" or "" for
// any.
func (n *Net) Getservbyname(name, proto string) (int, error) {
	port, err := n.resolver.Getservbyname(name, proto)
	return port, fail("getservbyname", nil, err)
}

// Getservbyport returns the name of the service on a port; proto is "tcp",
// "udp" or "" for any.
func (n *Net) Getservbyport(port int, proto string) (string, error) {
	name, err := n.resolver.Getservbyport(port, proto)
	return name, fail("getservbyport", nil, err)
}

// Getprotobyname returns the number of an IP protocol.
func (n *Net) Getprotobyname(name string) (int, error) {
	proto, err := n.resolver.Getprotobyname(name)
	return proto, fail("getprotobyname", nil, err)
}

// newResolver fills in what the Net knows.
func (n *Net) newResolver(cfg resolver.Config) (*resolver.Resolver, error) {
	if cfg.Dial == nil {
		cfg.Dial = n.dialServer
	}
	if cfg.Host == nil {
		cfg.Host = &hostView{n: n}
	}
	if cfg.Clock == nil {
		cfg.Clock = n.clock
	}
	if cfg.Learned == nil {
		cfg.Learned = n.stack.NameServers
	}
	if cfg.Rand == nil {
		if v := n.stack.Virtual(); v != nil {
			cfg.Rand = gatedRand{n, v.Source()}
		}
	}
	return resolver.New(cfg)
}

// hostView is what the resolver sees of the stack. It keeps the list of addresses
// until the stack changes: netstack takes some forty allocations to make it.
type hostView struct {
	n    *Net
	last atomic.Pointer[hostAddresses]
}

type hostAddresses struct {
	version    uint64
	list       []resolver.Address
	has4, has6 bool // besides loopback addresses
}

var _ resolver.Versioned = (*hostView)(nil)

func (h *hostView) Hostname() string { return h.n.stack.Hostname() }

func (h *hostView) Version() uint64 { return h.n.stack.Version() }

func (h *hostView) Addresses() []resolver.Address { return h.addresses().list }

func (h *hostView) has(v4 bool) bool {
	if a := h.addresses(); v4 {
		return a.has4
	} else {
		return a.has6
	}
}

func (h *hostView) addresses() *hostAddresses {
	version := h.Version()
	if last := h.last.Load(); last != nil && last.version == version {
		return last
	}
	a := &hostAddresses{version: version}
	for _, in := range h.n.stack.Interfaces() {
		for _, p := range in.Addrs {
			a.has4 = a.has4 || !p.Addr().IsLoopback() && p.Addr().Is4()
			a.has6 = a.has6 || !p.Addr().IsLoopback() && p.Addr().Is6()
			a.list = append(a.list, resolver.Address{
				Prefix:    p,
				Index:     uint32(in.Index),
				Interface: in.Name,
				Loopback:  in.Loopback,
			})
		}
	}
	h.last.Store(a)
	return a
}

func (h *hostView) Source(dst netip.Addr) (netip.Addr, bool) {
	scope := 0
	if zone := dst.Zone(); zone != "" {
		scope, _ = strconv.Atoi(zone)
	}
	if !h.has(dst.Unmap().Is4()) && !dst.Unmap().IsLoopback() {
		return netip.Addr{}, false // what netstack finds in some ten allocations
	}
	return h.n.stack.Source(dst, scope)
}

func (h *hostView) InterfaceIndex(name string) (uint32, bool) {
	index, ok := h.n.stack.InterfaceIndex(name)
	return uint32(index), ok
}

func (h *hostView) InterfaceName(index uint32) (string, bool) {
	return h.n.stack.InterfaceName(int(index))
}
