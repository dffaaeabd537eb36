package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"usersock/stack/endpoint"
)

// Source is a place where names can be looked up, beside the resolver's own.
// Its methods may be called from any goroutine and return when ctx is done.
//
// A failure is one of ErrNotFound, ErrNoData, ErrTryAgain, ErrNoRecovery and
// ErrUnavailable, or wraps one.
type Source interface {
	// Name is what the hosts line of an nsswitch.conf text calls the source.
	// "files", "dns" and "own" are taken.
	Name() string

	// LookupHost finds the addresses of name. family is AF_INET, AF_INET6, or
	// AF_UNSPEC for both. IPv6 addresses may carry a zone, the name or index
	// of an interface.
	LookupHost(ctx context.Context, name string, family int) (Entry, error)

	// LookupAddr finds the names of ip, which has no zone.
	LookupAddr(ctx context.Context, ip netip.Addr) (Entry, error)
}

// Entry is what a Source knows about a host: struct hostent.
type Entry struct {
	Name    string   // canonical name
	Aliases []string // other names
	Addrs   []netip.Addr
}

// families is a set of address families.
type families uint8

const (
	want4 families = 1 << iota
	want6
)

// entry is what the resolver's own sources return. Its slices are shared with
// caches: nobody writes to them.
type entry struct {
	name    string
	aliases []string
	a4, a6  []netip.Addr // a6 may hold zones

	from, with *answer // DNS: the last answer that had something, and one before
}

func (e *entry) empty() bool { return len(e.a4)+len(e.a6) == 0 }

// lookuper is a source of the resolver's own, or a Source behind an adapter.
type lookuper interface {
	lookupHost(ctx context.Context, name string, want families) (entry, error)
	lookupAddr(ctx context.Context, ip netip.Addr) (entry, error)
}

// status is the outcome of a source in the terms of nsswitch.conf(5).
type status uint8

const (
	statusSuccess status = iota
	statusNotFound
	statusUnavail
	statusTryAgain
	statuses
)

func statusOf(err error) status {
	switch {
	case err == nil:
		return statusSuccess
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrNoData):
		return statusNotFound
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrNoRecovery):
		return statusUnavail
	}
	return statusTryAgain
}

// step is one source in the order, and after which outcomes the order ends.
type step struct {
	name   string
	source lookuper
	stop   [statuses]bool
}

// makeOrder returns the sources in the order that cfg asks for. A name in
// cfg.Nsswitch that stands for no source is left out, as a service without a
// library is for glibc.
func (r *Resolver) makeOrder(cfg Config) []step {
	known := map[string]lookuper{
		"files": r.hosts,
		"dns":   dnsSource{r},
		"own":   ownSource{r},
	}
	names := []string{"files", "dns", "own"}
	for _, s := range cfg.Sources {
		known[s.Name()] = callerSource{s, r.host}
		names = append(names, s.Name())
	}
	if steps := parseNsswitch(cfg.Nsswitch); steps != nil {
		var order []step
		for _, s := range steps {
			if s.name == "myhostname" { // the usual name of the module that does this
				s.name = "own"
			}
			if s.source = known[s.name]; s.source != nil {
				order = append(order, s)
			}
		}
		return order
	}
	order := make([]step, len(names))
	for i, name := range names {
		order[i] = step{name: name, source: known[name], stop: [statuses]bool{statusSuccess: true}}
	}
	return order
}

// parseNsswitch reads the hosts line of an nsswitch.conf(5) text: names of
// sources, each with optional actions such as [NOTFOUND=return]. nil means
// that there is no such line. "merge" makes no sense for hosts and is read as
// "return", as glibc does.
func parseNsswitch(text string) []step {
	var steps []step
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		database, rest, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(database) != "hosts" {
			continue
		}
		steps = []step{}
		for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
			if rest[0] == '[' {
				actions, after, _ := strings.Cut(rest[1:], "]")
				if len(steps) > 0 {
					steps[len(steps)-1].act(actions)
				}
				rest = after
				continue
			}
			end := strings.IndexAny(rest, " \t\r\n[")
			if end < 0 {
				end = len(rest)
			}
			steps = append(steps, step{name: rest[:end], stop: [statuses]bool{statusSuccess: true}})
			rest = rest[end:]
		}
	}
	return steps
}

// act applies the actions between a pair of brackets.
func (s *step) act(actions string) {
	for _, field := range strings.Fields(actions) {
		cond, action, _ := strings.Cut(field, "=")
		negate := strings.HasPrefix(cond, "!")
		which := statuses
		switch strings.ToUpper(strings.TrimPrefix(cond, "!")) {
		case "SUCCESS":
			which = statusSuccess
		case "NOTFOUND":
			which = statusNotFound
		case "UNAVAIL":
			which = statusUnavail
		case "TRYAGAIN":
			which = statusTryAgain
		default:
			continue
		}
		stop := !strings.EqualFold(action, "continue")
		for i := range s.stop {
			if (status(i) == which) != negate {
				s.stop[i] = stop
			}
		}
	}
}

// lookupHost asks the sources in order for the addresses of an ASCII name.
func (r *Resolver) lookupHost(ctx context.Context, name string, want families) (entry, error) {
	var failure error
	for i := range r.order {
		s := &r.order[i]
		began := r.watch()
		e, err := s.source.lookupHost(ctx, name, want)
		if err == nil && e.empty() {
			err = ErrNoData
		}
		if r.traceSource != nil {
			r.consulted(s, name, &e, err, began)
		}
		if err == nil && s.stop[statusSuccess] {
			return e, nil
		}
		if ctx.Err() != nil {
			return entry{}, fmt.Errorf("looking up %s: %w: %w", quoteName(name), ErrTryAgain, context.Cause(ctx))
		}
		failure = worse(failure, err)
		if s.stop[statusOf(err)] {
			break
		}
	}
	if isLocalhost(name) {
		return loopbackEntry(name, want), nil
	}
	if failure == nil {
		failure = fmt.Errorf("%w: %w", ErrNotFound, errNoSource)
	}
	return entry{}, failure
}

// lookupAddr asks the sources in order for the names of ip.
func (r *Resolver) lookupAddr(ctx context.Context, ip netip.Addr) (entry, error) {
	var failure error
	for i := range r.order {
		s := &r.order[i]
		began := r.watch()
		e, err := s.source.lookupAddr(ctx, ip)
		if r.traceSource != nil {
			r.consulted(s, ip.String(), &e, err, began)
		}
		if err == nil && s.stop[statusSuccess] {
			return e, nil
		}
		if ctx.Err() != nil {
			return entry{}, fmt.Errorf("looking up %v: %w: %w", ip, ErrTryAgain, context.Cause(ctx))
		}
		failure = worse(failure, err)
		if s.stop[statusOf(err)] {
			break
		}
	}
	if failure == nil {
		failure = fmt.Errorf("%w: %w", ErrNotFound, errNoSource)
	}
	return entry{}, failure
}

// isLocalhost reports whether name always means the loopback addresses: RFC
// 6761, section 6.3, says so of localhost and all below it. The two names that
// hosts files usually have for ::1 are treated alike, so that a host without
// such a file does not send them to a name server.
func isLocalhost(name string) bool {
	name = strings.TrimSuffix(name, ".")
	if strings.EqualFold(name, "ip6-localhost") || strings.EqualFold(name, "ip6-loopback") {
		return true
	}
	const special = "localhost"
	if len(name) < len(special) || !strings.EqualFold(name[len(name)-len(special):], special) {
		return false
	}
	return len(name) == len(special) || name[len(name)-len(special)-1] == '.'
}

// neverSent reports whether name belongs to a domain that no name server is
// ever asked about: onion (RFC 7686) and invalid (RFC 6761, section 6.4).
func neverSent(name string) bool {
	name = strings.TrimSuffix(name, ".")
	top := name[strings.LastIndexByte(name, '.')+1:]
	return strings.EqualFold(top, "onion") || strings.EqualFold(top, "invalid")
}

func loopbackEntry(name string, want families) entry {
	e := entry{name: strings.TrimSuffix(name, ".")}
	if want&want4 != 0 {
		e.a4 = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	if want&want6 != 0 {
		e.a6 = []netip.Addr{netip.IPv6Loopback()}
	}
	return e
}

// callerSource is a Source of Config.Sources.
type callerSource struct {
	source Source
	host   Host
}

func (c callerSource) lookupHost(ctx context.Context, name string, want families) (entry, error) {
	family := endpoint.AF_UNSPEC
	switch want {
	case want4:
		family = endpoint.AF_INET
	case want6:
		family = endpoint.AF_INET6
	}
	found, err := c.source.LookupHost(ctx, name, family)
	if err != nil {
		return entry{}, fmt.Errorf("source %s: %w", c.source.Name(), err)
	}
	e := entry{name: found.Name, aliases: found.Aliases}
	if e.name == "" {
		e.name = name
	}
	for _, ip := range found.Addrs {
		switch {
		case ip.Is4() && want&want4 != 0:
			e.a4 = append(e.a4, ip)
		case ip.Is6() && want&want6 != 0:
			e.a6 = append(e.a6, ip)
		}
	}
	return e, nil
}

func (c callerSource) lookupAddr(ctx context.Context, ip netip.Addr) (entry, error) {
	found, err := c.source.LookupAddr(ctx, ip)
	if err == nil && found.Name == "" {
		err = ErrNotFound
	}
	if err != nil {
		return entry{}, fmt.Errorf("source %s: %w", c.source.Name(), err)
	}
	return entry{name: found.Name, aliases: found.Aliases}, nil
}

// ownSource answers for the machine itself: localhost, the host's name, and
// the reverse of its addresses.
type ownSource struct{ r *Resolver }

func (o ownSource) lookupHost(_ context.Context, name string, want families) (entry, error) {
	if isLocalhost(name) {
		return loopbackEntry(name, want), nil
	}
	if own := o.r.host.Hostname(); own == "" || !strings.EqualFold(strings.TrimSuffix(name, "."), own) {
		return entry{}, ErrNotFound
	}
	e := entry{name: o.r.host.Hostname()}
	any := false
	for _, a := range o.r.host.Addresses() {
		if a.Loopback {
			continue
		}
		any = true
		ip := a.Prefix.Addr()
		switch {
		case ip.Is4() && want&want4 != 0:
			e.a4 = append(e.a4, ip)
		case ip.Is6() && want&want6 != 0:
			if ip.IsLinkLocalUnicast() {
				ip = ip.WithZone(zoneOf(a.Index))
			}
			e.a6 = append(e.a6, ip)
		}
	}
	if !any {
		return loopbackEntry(e.name, want), nil
	}
	return e, nil
}

func (o ownSource) lookupAddr(_ context.Context, ip netip.Addr) (entry, error) {
	if ip.Unmap().IsLoopback() {
		return entry{name: "localhost"}, nil
	}
	own := o.r.host.Hostname()
	for _, a := range o.r.host.Addresses() {
		if own != "" && a.Prefix.Addr() == ip.Unmap() {
			return entry{name: own}, nil
		}
	}
	return entry{}, ErrNotFound
}
