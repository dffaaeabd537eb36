package resolver

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"usersock/stack/endpoint"
)

// The methods of net.Resolver, for Go programs: same names, arguments and
// results, by this resolver's sources and rules. Errors are *net.DNSError; in
// its chain are the Gaierror of the addresses' lookups and the resolver's
// outcomes (ErrNotFound, ErrNoData, ...).

// LookupHost returns the addresses of a host, in the order in which to try them
// (RFC 6724), with zones where they have one. A literal is its own address.
func (r *Resolver) LookupHost(ctx context.Context, host string) ([]string, error) {
	ips, err := r.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	list := make([]string, len(ips))
	for i, ip := range ips {
		list[i] = ip.String()
	}
	return list, nil
}

// LookupIP returns the addresses of a host for the network "ip", "ip4" or
// "ip6".
func (r *Resolver) LookupIP(ctx context.Context, network, host string) ([]net.IP, error) {
	ips, err := r.LookupNetIP(ctx, network, host)
	if err != nil {
		return nil, err
	}
	list := make([]net.IP, len(ips))
	for i, ip := range ips {
		list[i] = ip.AsSlice()
	}
	return list, nil
}

// LookupIPAddr returns the addresses of a host, with their zones.
func (r *Resolver) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	ips, err := r.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	list := make([]net.IPAddr, len(ips))
	for i, ip := range ips {
		list[i] = net.IPAddr{IP: ip.AsSlice(), Zone: ip.Zone()}
	}
	return list, nil
}

// LookupNetIP returns the addresses of a host for the network "ip", "ip4" or
// "ip6". Those of IPv4 are plain, where net.Resolver maps them into IPv6.
func (r *Resolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	family, ok := ipNetwork(network)
	if !ok {
		return nil, &net.DNSError{Err: net.UnknownNetworkError(network).Error(), Name: host, UnwrapErr: net.UnknownNetworkError(network)}
	}
	if host == "" {
		return nil, DNSError(host, ErrNotFound)
	}
	var space [8]destination
	found, _, err := r.addresses(ctx, space[:0], host, family, 0)
	if err != nil {
		return nil, DNSError(host, err)
	}
	list := make([]netip.Addr, len(found))
	for i := range found {
		list[i] = found[i].ip
		if scope := found[i].scope; scope != 0 {
			list[i] = list[i].WithZone(scopeText(list[i], scope, r.host))
		}
	}
	return list, nil
}

func ipNetwork(network string) (family int, ok bool) {
	switch network {
	case "ip":
		return endpoint.AF_UNSPEC, true
	case "ip4":
		return endpoint.AF_INET, true
	case "ip6":
		return endpoint.AF_INET6, true
	}
	return 0, false
}

// LookupPort returns the port of a service for the networks tcp and udp (also
// with 4 or 6 behind), or for "" and "ip" whichever has it, TCP's first. A number
// is itself.
func (r *Resolver) LookupPort(_ context.Context, network, service string) (int, error) {
	port, isNumber, err := parsePort(service)
	if isNumber || err != nil {
		if err != nil {
			return 0, &net.DNSError{Err: "invalid port", Name: network + "/" + service, IsNotFound: true, UnwrapErr: err}
		}
		return int(port), nil
	}
	protos := []string{"tcp", "udp"}
	switch network {
	case "tcp", "tcp4", "tcp6":
		protos = protos[:1]
	case "udp", "udp4", "udp6":
		protos = protos[1:]
	case "", "ip":
	default:
		return 0, &net.DNSError{Err: "unknown network", Name: network + "/" + service}
	}
	for _, proto := range protos {
		if n, err := r.Getservbyname(strings.ToLower(service), proto); err == nil {
			return n, nil
		}
	}
	return 0, &net.DNSError{Err: "unknown port", Name: network + "/" + service, IsNotFound: true, UnwrapErr: ErrServiceNotFound}
}

// LookupAddr returns the names of an address, each with a final dot: all that a
// hosts text has, or else all PTR records with a name that is fit to be shown.
func (r *Resolver) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	lit, found, err := parseLiteral(addr, r.host)
	if !found || err != nil {
		return nil, &net.DNSError{Err: "unrecognized address", Name: addr, UnwrapErr: err}
	}
	e, err := r.lookupAddr(ctx, lit.ip)
	if err != nil {
		return nil, DNSError(addr, err)
	}
	if e.from != nil {
		return absolutes(e.from.records), nil
	}
	names := make([]string, 0, 1+len(e.aliases))
	for _, name := range append(append(names, e.name), e.aliases...) {
		names = append(names, absolute(name))
	}
	return names, nil
}

// LookupCNAME returns the canonical name of a host, with a final dot: what is at
// the end of its CNAME records. The host must have an address.
func (r *Resolver) LookupCNAME(ctx context.Context, host string) (string, error) {
	if host == "" {
		return "", DNSError(host, ErrNotFound)
	}
	_, canon, err := r.addresses(ctx, nil, host, endpoint.AF_UNSPEC, 0)
	if err != nil {
		return "", DNSError(host, err)
	}
	return absolute(canon), nil
}

// LookupTXT returns the TXT records of a name, the strings of each joined. They
// are what the name's owner wrote: any bytes.
func (r *Resolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	records, _, err := r.lookupRecords(ctx, name, dnsmessage.TypeTXT)
	if err != nil {
		return nil, err
	}
	list := make([]string, len(records))
	for i := range records {
		list[i] = records[i].text
	}
	return list, nil
}

// LookupNS returns the name servers of a domain.
func (r *Resolver) LookupNS(ctx context.Context, name string) ([]*net.NS, error) {
	records, _, err := r.lookupRecords(ctx, name, dnsmessage.TypeNS)
	if err != nil {
		return nil, err
	}
	list := make([]*net.NS, len(records))
	for i := range records {
		list[i] = &net.NS{Host: absolute(records[i].text)}
	}
	return list, nil
}

// LookupMX returns the mail exchangers of a domain by preference; those of one
// preference in a random order (RFC 5321, section 5.1). The host "." says that
// there is none (RFC 7505).
func (r *Resolver) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	records, _, err := r.lookupRecords(ctx, name, dnsmessage.TypeMX)
	if err != nil {
		return nil, err
	}
	list := make([]*net.MX, len(records))
	for i := range records {
		list[i] = &net.MX{Host: absolute(records[i].text), Pref: records[i].numbers[0]}
	}
	if err := shuffle(r, list); err != nil {
		return nil, DNSError(name, err)
	}
	slices.SortStableFunc(list, func(a, b *net.MX) int { return cmp.Compare(a.Pref, b.Pref) })
	return list, nil
}

// LookupSRV returns the servers of a service: it asks for
// _service._proto.name, or for name alone if service and proto are empty. They
// are sorted by priority, and within one by chance according to their weights
// (RFC 2782). cname is the name at the end of the CNAME records.
func (r *Resolver) LookupSRV(ctx context.Context, service, proto, name string) (cname string, addrs []*net.SRV, err error) {
	target := name
	if service != "" || proto != "" {
		target = "_" + service + "._" + proto + "." + name
	}
	records, canon, err := r.lookupRecords(ctx, target, dnsmessage.TypeSRV)
	if err != nil {
		return "", nil, err
	}
	list := make([]*net.SRV, len(records))
	for i, rr := range records {
		list[i] = &net.SRV{Target: absolute(rr.text), Priority: rr.numbers[0], Weight: rr.numbers[1], Port: rr.numbers[2]}
	}
	if err := sortSRV(r, list); err != nil {
		return "", nil, DNSError(target, err)
	}
	return absolute(canon), list, nil
}

// lookupRecords asks DNS for records, along the search list.
func (r *Resolver) lookupRecords(ctx context.Context, name string, typ dnsmessage.Type) (records []record, canon string, err error) {
	ascii, err := r.toASCII(name)
	switch {
	case err != nil:
		return nil, "", DNSError(name, fmt.Errorf("%w: %w", ErrNotFound, err))
	case neverSent(ascii) || isLocalhost(ascii) || !isHostname(ascii):
		return nil, "", DNSError(name, fmt.Errorf("it is never sent: %w", ErrNotFound))
	}
	began := r.clock.Monotonic()
	err = r.search(ctx, ascii, func(full string) error {
		types := [1]dnsmessage.Type{typ}
		var answers [1]*answer
		if err := r.ask(ctx, full, types[:], answers[:], began); err != nil {
			return fmt.Errorf("%w: %w", ErrTryAgain, err)
		}
		canon = answers[0].canon
		if canon == "" {
			canon = full
		}
		records = answers[0].records
		return answers[0].err
	})
	if err != nil {
		return nil, "", DNSError(name, err)
	}
	return records, canon, nil
}

// absolute puts the final dot behind a name; "" is the root.
func absolute(name string) string {
	if strings.HasSuffix(name, ".") {
		return name
	}
	return name + "."
}

func absolutes(records []record) []string {
	list := make([]string, len(records))
	for i := range records {
		list[i] = absolute(records[i].text)
	}
	return list
}

// random returns a number from 0 to n−1. n is small.
func (r *Resolver) random(n int) (int, error) {
	var b [8]byte
	if _, err := io.ReadFull(r.rand, b[:]); err != nil {
		return 0, fmt.Errorf("drawing a random number: %w", err)
	}
	return int(binary.BigEndian.Uint64(b[:]) % uint64(n)), nil
}

func shuffle[T any](r *Resolver, list []T) error {
	for i := len(list) - 1; i > 0; i-- {
		j, err := r.random(i + 1)
		if err != nil {
			return err
		}
		list[i], list[j] = list[j], list[i]
	}
	return nil
}

// sortSRV is the order of RFC 2782.
func sortSRV(r *Resolver, list []*net.SRV) error {
	// Weight 0 first, so that it has a chance.
	slices.SortStableFunc(list, func(a, b *net.SRV) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Weight, b.Weight))
	})
	for from := 0; from < len(list); {
		to, sum := from, 0
		for ; to < len(list) && list[to].Priority == list[from].Priority; to++ {
			sum += int(list[to].Weight)
		}
		for ; to-from > 1 && sum > 0; from++ {
			mark, err := r.random(sum + 1)
			if err != nil {
				return err
			}
			i, passed := from, int(list[from].Weight)
			for passed < mark {
				i++
				passed += int(list[i].Weight)
			}
			chosen := list[i]
			copy(list[from+1:i+1], list[from:i])
			list[from] = chosen
			sum -= int(chosen.Weight)
		}
		from = to
	}
	return nil
}

// DNSError is the [*net.DNSError] of a failed look-up of a name, with
// net.Resolver's text where the name does not exist. Unwrap leads to err.
func DNSError(name string, err error) error {
	e := &net.DNSError{Name: name, UnwrapErr: err}
	var asked *dnsError
	if errors.As(err, &asked) {
		e.Server = asked.server
	}
	var gai *Gaierror
	switch {
	case rank(err) == rank(ErrNotFound), rank(err) == rank(ErrNoData),
		errors.As(err, &gai) && (gai.Code == endpoint.EAI_NONAME || gai.Code == endpoint.EAI_NODATA || gai.Code == endpoint.EAI_ADDRFAMILY):
		e.IsNotFound = true
		e.Err = "no such host"
		return e
	}
	e.Err = err.Error()
	if gai != nil && gai.Err != nil {
		e.Err = gai.Err.Error()
	}
	e.IsTimeout = isTimeout(err)
	e.IsTemporary = e.IsTimeout || errors.Is(err, ErrTryAgain)
	return e
}
