package resolver

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"usersock/stack/endpoint"
)

// AddrInfo is one answer of getaddrinfo(3): struct addrinfo.
type AddrInfo struct {
	Family int // AF_INET or AF_INET6
	Type   int // SOCK_*
	Proto  int // IPPROTO_*
	// Canonname is the canonical name, on the first answer and only where
	// AI_CANONNAME asked for it.
	Canonname string
	Addr      endpoint.Addr
}

// knownFlags are the flags that glibc accepts. The last two only relaxed
// checks of an older IDNA and mean nothing any more.
const knownFlags = endpoint.AI_PASSIVE | endpoint.AI_CANONNAME | endpoint.AI_NUMERICHOST |
	endpoint.AI_V4MAPPED | endpoint.AI_ALL | endpoint.AI_ADDRCONFIG | endpoint.AI_IDN |
	endpoint.AI_CANONIDN | endpoint.AI_NUMERICSERV | 0x100 | 0x200

// Getaddrinfo is getaddrinfo(3): the addresses of a host and a service, in
// the order in which they should be tried.
//
// host is a name, a numeric address (inet_aton's forms, or IPv6 with an
// optional scope), or "" for none: then the answers are the loopback
// addresses, or with AI_PASSIVE the wildcard addresses. port is a decimal
// number from 0 to 65535, a service name, or "" for none; "*" is "" too, as in
// glibc. At least one of the two is needed. family is AF_UNSPEC, AF_INET or
// AF_INET6; typ and proto are 0 for any; flags are AI_*.
//
// Non-ASCII names are mapped by IDNA (UTS 46, non-transitional) always, so
// that AI_IDN changes nothing.
//
// Errors are of type [*Gaierror]; a done ctx gives EAI_AGAIN with the
// context's error as the cause.
func (r *Resolver) Getaddrinfo(ctx context.Context, host, port string, family, typ, proto, flags int) ([]AddrInfo, error) {
	if host == "*" {
		host = ""
	}
	if port == "*" {
		port = ""
	}
	switch {
	case host == "" && port == "":
		return nil, gaiError(endpoint.EAI_NONAME, "", nil)
	case flags&^knownFlags != 0, flags&endpoint.AI_CANONNAME != 0 && host == "":
		return nil, gaiError(endpoint.EAI_BADFLAGS, host, nil)
	case family != endpoint.AF_UNSPEC && family != endpoint.AF_INET && family != endpoint.AF_INET6:
		return nil, gaiError(endpoint.EAI_FAMILY, host, nil)
	}
	family, err := r.narrow(host, family, flags)
	if err != nil {
		return nil, err
	}
	var kinds kindList
	if err := r.kinds(&kinds, port, typ, proto, flags); err != nil {
		return nil, err
	}
	if early, _ := ctx.Value(earlyInfos{}).(func([]AddrInfo)); early != nil {
		kinds := kinds // that of the usual way stays where it is
		var once sync.Once
		ctx = context.WithValue(ctx, earlyAnswer{}, func(ans *answer) {
			once.Do(func() { early(kinds.infos(r.sortedOf(&entry{from: ans, a4: ans.addrs}))) })
		})
	}
	var space [8]destination
	list, canon, err := r.addresses(ctx, space[:0], host, family, flags)
	if err != nil {
		return nil, err
	}
	infos := kinds.infos(list)
	if flags&endpoint.AI_CANONNAME != 0 {
		if flags&endpoint.AI_CANONIDN != 0 {
			canon = r.toUnicode(canon)
		}
		infos[0].Canonname = canon
	}
	return infos, nil
}

// earlyInfos and earlyAnswer are keys of contexts: what WithEarly was given, and
// what the conversation with name servers calls.
type (
	earlyInfos  struct{}
	earlyAnswer struct{}
)

// WithEarly returns a context for [Resolver.Getaddrinfo], for those who would
// begin with half of the addresses (RFC 8305, section 3): when a name server has
// said one family's addresses, early is called with them, from any goroutine,
// once at most and before Getaddrinfo returns. What it returns later has them
// too. early is not called where the answer is in the cache, or is asked for by
// another lookup already.
func WithEarly(ctx context.Context, early func([]AddrInfo)) context.Context {
	return context.WithValue(ctx, earlyInfos{}, early)
}

// infos makes the answers: each address with each socket type.
func (l *kindList) infos(list []destination) []AddrInfo {
	infos := make([]AddrInfo, 0, len(list)*l.n)
	for i := range list {
		d := &list[i]
		for _, k := range l.rows[:l.n] {
			infos = append(infos, AddrInfo{
				Family: d.family(), Type: k.typ, Proto: k.proto,
				Addr: endpoint.Addr{Family: d.family(), IP: d.ip, Port: k.port, Scope: d.scope},
			})
		}
	}
	return infos
}

// narrow applies AI_ADDRCONFIG: where the host has addresses of one family
// only, besides the loopback's, the other family is not asked for.
func (r *Resolver) narrow(host string, family, flags int) (int, error) {
	if flags&endpoint.AI_ADDRCONFIG == 0 {
		return family, nil
	}
	var has4, has6 bool
	for _, a := range r.host.Addresses() {
		if ip := a.Prefix.Addr(); !ip.IsLoopback() {
			has4 = has4 || ip.Is4()
			has6 = has6 || ip.Is6()
		}
	}
	if has4 == has6 {
		return family, nil
	}
	only := endpoint.AF_INET
	if has6 {
		only = endpoint.AF_INET6
	}
	if family != endpoint.AF_UNSPEC && family != only {
		return 0, gaiError(endpoint.EAI_NONAME, host, nil)
	}
	return only, nil
}

// addresses returns the sorted addresses of host, appended to list or in a
// list that nobody writes to, and its canonical name.
func (r *Resolver) addresses(ctx context.Context, list []destination, host string, family, flags int) ([]destination, string, error) {
	if host == "" {
		return nullHost(list, family, flags), "", nil
	}
	if strings.IndexByte(host, 0) >= 0 {
		return nil, "", gaiError(endpoint.EAI_NONAME, host, errNUL)
	}
	if lit, found, err := parseLiteral(host, r.host); err != nil {
		return nil, "", gaiError(endpoint.EAI_NONAME, host, err)
	} else if found {
		d, err := literalFor(host, lit, family, flags)
		return append(list, d), host, err
	}
	if flags&endpoint.AI_NUMERICHOST != 0 {
		return nil, "", gaiError(endpoint.EAI_NONAME, host, nil)
	}
	name, err := r.toASCII(host)
	if err != nil {
		return nil, "", gaiError(endpoint.EAI_NONAME, host, err)
	}
	want := want4 | want6
	mapping := false
	switch family {
	case endpoint.AF_INET:
		want = want4
	case endpoint.AF_INET6:
		mapping = flags&endpoint.AI_V4MAPPED != 0
		if !mapping {
			want = want6
		}
	}
	e, err := r.lookupHost(ctx, name, want)
	if err != nil {
		return nil, "", gaiFromLookup(host, err)
	}
	if e.from != nil && !mapping {
		return r.sortedOf(&e), e.name, nil
	}
	if mapping && len(e.a6) > 0 && flags&endpoint.AI_ALL == 0 {
		e.a4 = nil
	}
	for _, ip := range e.a4 {
		if mapping {
			ip = netip.AddrFrom16(ip.As16())
		}
		list = append(list, destination{ip: ip})
	}
	for _, ip := range e.a6 {
		d := destination{ip: ip}
		if zone := ip.Zone(); zone != "" {
			scope, ok := parseScope(ip.WithZone(""), zone, r.host)
			if !ok {
				continue
			}
			d.ip, d.scope = ip.WithZone(""), scope
		}
		list = append(list, d)
	}
	if len(list) == 0 {
		return nil, "", gaiError(endpoint.EAI_NONAME, host, errScope)
	}
	r.policy.sortAddrs(r.host, list)
	return list, e.name, nil
}

// nullHost appends what no host at all stands for. The order is glibc's.
func nullHost(list []destination, family, flags int) []destination {
	d4 := destination{ip: netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	d6 := destination{ip: netip.IPv6Loopback()}
	if flags&endpoint.AI_PASSIVE != 0 {
		d4.ip, d6.ip = netip.IPv4Unspecified(), netip.IPv6Unspecified()
	}
	switch {
	case family == endpoint.AF_INET:
		return append(list, d4)
	case family == endpoint.AF_INET6:
		return append(list, d6)
	case flags&endpoint.AI_PASSIVE != 0:
		return append(list, d4, d6)
	}
	return append(list, d6, d4)
}

// literalFor fits a literal to the family asked for.
func literalFor(host string, lit literal, family, flags int) (destination, error) {
	d := destination{ip: lit.ip, scope: lit.scope}
	switch {
	case family == endpoint.AF_INET && d.ip.Is6():
		if !d.ip.Is4In6() {
			return d, gaiError(endpoint.EAI_ADDRFAMILY, host, nil)
		}
		d.ip, d.scope = d.ip.Unmap(), 0
	case family == endpoint.AF_INET6 && d.ip.Is4():
		if flags&endpoint.AI_V4MAPPED == 0 {
			return d, gaiError(endpoint.EAI_ADDRFAMILY, host, nil)
		}
		d.ip = netip.AddrFrom16(d.ip.As16())
	}
	return d, nil
}

// kind is a socket type with its protocol and the port of the service there.
type kind struct {
	typ, proto int
	port       uint16
}

// kindList has room for every row of the table of kinds.
type kindList struct {
	rows [8]kind
	n    int
}

func (l *kindList) add(typ, proto int, port uint16) {
	l.rows[l.n] = kind{typ, proto, port}
	l.n++
}

// kindRow is a row of the table of socket types that getaddrinfo knows.
type kindRow struct {
	typ, proto int
	name       string // the protocol's name in services(5)
	usual      bool   // returned when neither type nor protocol is asked for
	raw        bool   // any protocol, and no service
}

// kindTable is glibc's, and so is its order.
var kindTable = [...]kindRow{
	{endpoint.SOCK_STREAM, endpoint.IPPROTO_TCP, "tcp", true, false},
	{endpoint.SOCK_DGRAM, endpoint.IPPROTO_UDP, "udp", true, false},
	{endpoint.SOCK_DCCP, endpoint.IPPROTO_DCCP, "dccp", false, false},
	{endpoint.SOCK_DGRAM, endpoint.IPPROTO_UDPLITE, "udplite", false, false},
	{endpoint.SOCK_STREAM, endpoint.IPPROTO_SCTP, "sctp", false, false},
	{endpoint.SOCK_SEQPACKET, endpoint.IPPROTO_SCTP, "sctp", false, false},
	{endpoint.SOCK_RAW, 0, "raw", true, true},
}

func (k *kindRow) fits(typ, proto int) bool {
	return (typ == 0 || typ == k.typ) && (proto == 0 || k.raw || proto == k.proto)
}

// kinds finds the socket types to return and the port for each.
func (r *Resolver) kinds(out *kindList, port string, typ, proto, flags int) error {
	number, isNumber, err := parsePort(port)
	if err != nil {
		return gaiError(endpoint.EAI_SERVICE, port, err)
	}
	if !isNumber && flags&endpoint.AI_NUMERICSERV != 0 {
		return gaiError(endpoint.EAI_NONAME, port, nil)
	}
	if typ != 0 || proto != 0 {
		for i := range kindTable {
			k := &kindTable[i]
			if !k.fits(typ, proto) {
				continue
			}
			if k.raw && port != "" {
				return gaiError(endpoint.EAI_SERVICE, port, nil)
			}
			if !isNumber {
				if number, err = r.servicePort(port, k.name); err != nil {
					return gaiError(endpoint.EAI_SERVICE, port, err)
				}
			}
			given := k.proto
			if k.raw {
				given = proto
			}
			out.add(k.typ, given, number)
			return nil
		}
		if typ != 0 {
			return gaiError(endpoint.EAI_SOCKTYPE, "", nil)
		}
		return gaiError(endpoint.EAI_SERVICE, port, nil)
	}
	for i := range kindTable {
		k := &kindTable[i]
		switch {
		case isNumber && k.usual:
			out.add(k.typ, k.proto, number)
		case !isNumber && !k.raw:
			if n, err := r.servicePort(port, k.name); err == nil {
				out.add(k.typ, k.proto, n)
			}
		}
	}
	if out.n == 0 {
		return gaiError(endpoint.EAI_SERVICE, port, ErrServiceNotFound)
	}
	return nil
}

func (r *Resolver) servicePort(name, proto string) (uint16, error) {
	port, err := r.Getservbyname(name, proto)
	return uint16(port), err
}

// parsePort reads a decimal port, with the leading white space and plus sign
// that strtoul(3) takes. A text that is no number is a service's name; a
// number that is no port is refused, where glibc wraps it round. "" is 0.
func parsePort(s string) (port uint16, isNumber bool, err error) {
	if strings.IndexByte(s, 0) >= 0 {
		return 0, false, errNUL
	}
	digits := strings.TrimLeft(s, " \t\n\v\f\r")
	negative := strings.HasPrefix(digits, "-")
	if negative || strings.HasPrefix(digits, "+") {
		digits = digits[1:]
	}
	if digits == "" {
		return 0, s == "", nil
	}
	value := 0
	for i := 0; i < len(digits); i++ {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, false, nil
		}
		value = min(value*10+int(digits[i]-'0'), 1<<20)
	}
	if value > 0xffff || negative && value > 0 {
		return 0, true, fmt.Errorf("port %s is outside 0 to 65535", strings.TrimSpace(s))
	}
	return uint16(value), true, nil
}
