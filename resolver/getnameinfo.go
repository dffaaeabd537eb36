package resolver

import (
	"context"
	"net/netip"
	"strconv"
	"strings"

	"usersock/stack/endpoint"
)

// knownNameFlags are the flags that glibc accepts. The last two only relaxed
// checks of an older IDNA and mean nothing any more.
const knownNameFlags = endpoint.NI_NUMERICHOST | endpoint.NI_NUMERICSERV | endpoint.NI_NOFQDN |
	endpoint.NI_NAMEREQD | endpoint.NI_DGRAM | endpoint.NI_IDN | 0x40 | 0x80

// Getnameinfo is getnameinfo(3): the name of an address and of a port.
//
// Without a name, and with NI_NUMERICHOST, host is the numeric address, with
// its scope as a zone. Without a service, and with NI_NUMERICSERV, service is
// the decimal port. NI_NAMEREQD makes a missing name EAI_NONAME; NI_DGRAM
// looks for UDP services instead of TCP's; NI_NOFQDN cuts off the host's own
// domain; NI_IDN shows the name in Unicode.
//
// Errors are of type [*Gaierror]: a flag that does not exist is EAI_BADFLAGS,
// a family other than AF_INET and AF_INET6 EAI_FAMILY, and name servers that
// do not answer EAI_AGAIN, as in glibc even without NI_NAMEREQD.
func (r *Resolver) Getnameinfo(ctx context.Context, addr endpoint.Addr, flags int) (host, service string, err error) {
	if flags&^knownNameFlags != 0 {
		return "", "", gaiError(endpoint.EAI_BADFLAGS, "", nil)
	}
	if addr.Family != endpoint.AF_INET && addr.Family != endpoint.AF_INET6 || !addr.IP.IsValid() {
		return "", "", gaiError(endpoint.EAI_FAMILY, "", nil)
	}
	ip := addr.IP.WithZone("")
	if flags&endpoint.NI_NUMERICHOST == 0 {
		host, err = r.nameOf(ctx, ip, flags)
		if err != nil {
			return "", "", err
		}
	}
	if host == "" {
		if flags&endpoint.NI_NAMEREQD != 0 {
			return "", "", gaiError(endpoint.EAI_NONAME, ip.String(), nil)
		}
		host = numericHost(ip, addr.Scope, r.host)
	}
	if flags&endpoint.NI_NUMERICSERV == 0 {
		proto := "tcp"
		if flags&endpoint.NI_DGRAM != 0 {
			proto = "udp"
		}
		service, _ = r.Getservbyport(int(addr.Port), proto)
	}
	if service == "" {
		service = strconv.Itoa(int(addr.Port))
	}
	return host, service, nil
}

// nameOf returns the name of ip, or "" when it has none.
func (r *Resolver) nameOf(ctx context.Context, ip netip.Addr, flags int) (string, error) {
	e, err := r.lookupAddr(ctx, ip)
	if err != nil {
		if statusOf(err) == statusTryAgain {
			return "", gaiFromLookup(ip.String(), err)
		}
		return "", nil
	}
	name := e.name
	if flags&endpoint.NI_NOFQDN != 0 {
		if domain := r.ownDomain(ctx); domain != "" {
			if cut := len(name) - len(domain) - 1; cut > 0 && name[cut] == '.' && strings.EqualFold(name[cut+1:], domain) {
				name = name[:cut]
			}
		}
	}
	if flags&endpoint.NI_IDN != 0 {
		name = r.toUnicode(name)
	}
	return name, nil
}

// ownDomain is the domain of the host's own full name; "" without one.
func (r *Resolver) ownDomain(ctx context.Context) string {
	own := r.host.Hostname()
	if _, domain, ok := strings.Cut(own, "."); ok || own == "" {
		return domain
	}
	if e, err := r.lookupHost(ctx, own, want4|want6); err == nil {
		_, domain, _ := strings.Cut(e.name, ".")
		return domain
	}
	return ""
}

func numericHost(ip netip.Addr, scope uint32, host Host) string {
	if scope != 0 && ip.Is6() {
		return ip.String() + "%" + scopeText(ip, scope, host)
	}
	return ip.String()
}
