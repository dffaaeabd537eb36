package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// dnsSource is the source "dns": the search list over questions to name
// servers.
type dnsSource struct{ r *Resolver }

// lookupHost tries name and its completions by the search list, in the order
// of resolv.conf(5): a name with at least ndots dots goes as given first, then
// with the list; others the other way round; one with a final dot goes as
// given only. The first that has an address wins.
//
// When all fail: a name that went first as given fails as it failed then,
// otherwise the failure that says most counts. If no server replies at all the
// search ends there, because the same servers would be asked the next name.
func (d dnsSource) lookupHost(ctx context.Context, name string, want families) (entry, error) {
	bare := strings.TrimSuffix(name, ".")
	switch {
	case isLocalhost(name):
		return loopbackEntry(name, want), nil
	case neverSent(name):
		return entry{}, fmt.Errorf("%s is never sent: %w", quoteName(name), ErrNotFound)
	case !isHostname(bare):
		return entry{}, fmt.Errorf("%w: %w", ErrNotFound, errNotName)
	}
	if d.r.conf.noAAAA {
		if want &^= want6; want == 0 {
			return entry{}, fmt.Errorf("AAAA is not asked for (no-aaaa): %w", ErrNoData)
		}
	}
	var e entry
	began := d.r.clock.Monotonic()
	err := d.r.search(ctx, name, func(full string) (err error) {
		e, err = d.r.resolve(ctx, full, want, began)
		return err
	})
	return e, err
}

// search calls ask for name and its completions by the search list until one
// succeeds.
func (r *Resolver) search(ctx context.Context, name string, ask func(full string) error) error {
	bare := strings.TrimSuffix(name, ".")
	search := r.current().search
	final := len(bare) < len(name)
	given := final || strings.Count(bare, ".") >= r.conf.ndots
	var failure error
	if given {
		err := ask(bare)
		if err == nil || final || ctx.Err() != nil || noReply(err) {
			return err
		}
		failure = err
	}
	asked := given
	var others error
	for _, domain := range search {
		full := bare
		if domain != "" {
			full = bare + "." + domain
		} else if asked {
			continue
		} else {
			asked = true
		}
		if checkLengths(full) != nil {
			continue
		}
		err := ask(full)
		if err == nil || ctx.Err() != nil {
			return err
		}
		others = worse(others, err)
		if noReply(err) {
			return others
		}
	}
	if !asked {
		err := ask(bare)
		if err == nil {
			return nil
		}
		others = worse(err, others)
	}
	if failure == nil {
		failure = others
	}
	return failure
}

// noReply reports whether a question failed because no server replied at all.
func noReply(err error) bool {
	var e *dnsError
	return errors.As(err, &e) && e.transport
}

// resolve asks for the addresses of a name that has no final dot. One family
// is enough: that the other cannot be had now is no failure.
func (r *Resolver) resolve(ctx context.Context, name string, want families, began time.Duration) (entry, error) {
	var types [2]dnsmessage.Type
	var answers [2]*answer
	n := 0
	if want&want4 != 0 {
		types[n] = dnsmessage.TypeA
		n++
	}
	if want&want6 != 0 {
		types[n] = dnsmessage.TypeAAAA
		n++
	}
	if err := r.ask(ctx, name, types[:n], answers[:n], began); err != nil {
		return entry{}, fmt.Errorf("%w: %w", ErrTryAgain, err)
	}
	e := entry{name: name}
	var failure error
	for i, ans := range answers[:n] {
		if ans.err != nil {
			failure = worse(failure, ans.err)
			continue
		}
		if types[i] == dnsmessage.TypeA {
			e.a4 = ans.addrs
		} else {
			e.a6 = ans.addrs
		}
		if ans.canon != "" {
			e.name, e.aliases = ans.canon, ans.aliases
		}
		e.from, e.with = ans, e.from
	}
	if e.empty() {
		return entry{}, failure
	}
	return e, nil
}

// lookupAddr asks for the PTR record of ip.
func (d dnsSource) lookupAddr(ctx context.Context, ip netip.Addr) (entry, error) {
	d.r.current()
	types := [1]dnsmessage.Type{dnsmessage.TypePTR}
	var answers [1]*answer
	if err := d.r.ask(ctx, reverseName(ip), types[:], answers[:], d.r.clock.Monotonic()); err != nil {
		return entry{}, fmt.Errorf("%w: %w", ErrTryAgain, err)
	}
	if err := answers[0].err; err != nil {
		return entry{}, err
	}
	if answers[0].name == "" {
		return entry{}, fmt.Errorf("the name of %v is unfit: %w", ip, ErrNoData)
	}
	return entry{name: answers[0].name, from: answers[0]}, nil
}

// reverseName is the name whose PTR record names ip: RFC 1035, section 3.5,
// and RFC 3596, section 2.5. An IPv4-mapped address is asked for as IPv4.
func reverseName(ip netip.Addr) string {
	ip = ip.Unmap()
	if ip.Is4() {
		b := ip.As4()
		return fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa", b[3], b[2], b[1], b[0])
	}
	const hex = "0123456789abcdef"
	var buf [72]byte
	b := ip.As16()
	name := buf[:0]
	for i := 15; i >= 0; i-- {
		name = append(name, hex[b[i]&15], '.', hex[b[i]>>4], '.')
	}
	return string(append(name, "ip6.arpa"...))
}
