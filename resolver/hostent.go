package resolver

import (
	"context"
	"errors"
	"net/netip"
	"strings"

	"usersock/stack/endpoint"
)

// Broadcast is the name that stands for 255.255.255.255 in socket addresses
// and in [Resolver.Gethostbyname].
const Broadcast = "<broadcast>"

// ErrFamilyMismatch: "<broadcast>" where an IPv6 address is needed.
var ErrFamilyMismatch = errors.New("address family mismatched")

// ResolveAddr returns the one address that host stands for in a socket
// address, with port 0: "" is the wildcard address, "<broadcast>" is
// 255.255.255.255, a literal is itself, and of a name it is the first address
// that [Resolver.Getaddrinfo] gives. family is AF_INET, AF_INET6, or AF_UNSPEC
// for either; then "" is ambiguous and gives ErrWildcard.
func (r *Resolver) ResolveAddr(ctx context.Context, host string, family int) (endpoint.Addr, error) {
	if family != endpoint.AF_UNSPEC && family != endpoint.AF_INET && family != endpoint.AF_INET6 {
		return endpoint.Addr{}, gaiError(endpoint.EAI_FAMILY, host, nil)
	}
	var d destination
	switch host {
	case "":
		switch family {
		case endpoint.AF_INET:
			d.ip = netip.IPv4Unspecified()
		case endpoint.AF_INET6:
			d.ip = netip.IPv6Unspecified()
		default:
			return endpoint.Addr{}, ErrWildcard
		}
	case Broadcast:
		if family == endpoint.AF_INET6 {
			return endpoint.Addr{}, ErrFamilyMismatch
		}
		d.ip = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	default:
		var space [8]destination
		list, _, err := r.addresses(ctx, space[:0], host, family, 0)
		if err != nil {
			return endpoint.Addr{}, err
		}
		d = list[0]
	}
	return endpoint.Addr{Family: d.family(), IP: d.ip, Scope: d.scope}, nil
}

// Gethostbyname returns the first IPv4 address of name, which may be anything
// that [Resolver.ResolveAddr] takes. Errors are of type [*Gaierror].
func (r *Resolver) Gethostbyname(ctx context.Context, name string) (netip.Addr, error) {
	addr, err := r.ResolveAddr(ctx, name, endpoint.AF_INET)
	return addr.IP, err
}

// GethostbynameEx returns the canonical name of a host, its aliases and all
// its IPv4 addresses, in the order of the source. A literal is its own name.
// Errors are of type [*Gaierror], or [*Herror] for "<broadcast>", which is no
// host.
func (r *Resolver) GethostbynameEx(ctx context.Context, name string) (canon string, aliases []string, addrs []netip.Addr, err error) {
	switch {
	case name == Broadcast:
		return "", nil, nil, &Herror{Code: HOST_NOT_FOUND, Name: name}
	case name == "":
		return "", nil, nil, gaiError(endpoint.EAI_NONAME, "", nil)
	case strings.IndexByte(name, 0) >= 0:
		return "", nil, nil, gaiError(endpoint.EAI_NONAME, name, errNUL)
	}
	if lit, found, err := parseLiteral(name, r.host); err != nil {
		return "", nil, nil, gaiError(endpoint.EAI_NONAME, name, err)
	} else if found {
		d, err := literalFor(name, lit, endpoint.AF_INET, 0)
		if err != nil {
			return "", nil, nil, err
		}
		return name, nil, []netip.Addr{d.ip}, nil
	}
	ascii, err := r.toASCII(name)
	if err != nil {
		return "", nil, nil, gaiError(endpoint.EAI_NONAME, name, err)
	}
	e, err := r.lookupHost(ctx, ascii, want4)
	if err != nil {
		return "", nil, nil, gaiFromLookup(name, err)
	}
	return e.name, clone(e.aliases), clone(e.a4), nil
}

// Gethostbyaddr returns the canonical name and the aliases of the host that
// has an address, and that address. A name is turned into an address first;
// if that fails the error is a [*Gaierror], or ErrWildcard for "". Other
// errors are of type [*Herror].
func (r *Resolver) Gethostbyaddr(ctx context.Context, host string) (canon string, aliases []string, addrs []netip.Addr, err error) {
	addr, err := r.ResolveAddr(ctx, host, endpoint.AF_UNSPEC)
	if err != nil {
		return "", nil, nil, err
	}
	e, err := r.lookupAddr(ctx, addr.IP)
	if err != nil {
		return "", nil, nil, herrorFromLookup(addr.IP.String(), err)
	}
	return e.name, clone(e.aliases), []netip.Addr{addr.IP}, nil
}

// Getfqdn returns a full name for name: the first one with a dot among the
// canonical name and the aliases of [Resolver.Gethostbyaddr], or else that
// canonical name. "", "0.0.0.0" and "::" mean the host itself. If the lookup
// fails the answer is name (or the host's name), which is CPython's rule.
func (r *Resolver) Getfqdn(ctx context.Context, name string) string {
	name = strings.TrimSpace(name)
	if name == "" || name == "0.0.0.0" || name == "::" {
		name = r.host.Hostname()
	}
	canon, aliases, _, err := r.Gethostbyaddr(ctx, name)
	if err != nil {
		return name
	}
	if strings.Contains(canon, ".") {
		return canon
	}
	for _, alias := range aliases {
		if strings.Contains(alias, ".") {
			return alias
		}
	}
	return canon
}

// clone copies what is shared with a cache; nil and empty give an empty slice.
func clone[T any](s []T) []T { return append(make([]T, 0, len(s)), s...) }
