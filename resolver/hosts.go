package resolver

import (
	"context"
	"net/netip"
	"strings"
)

// hostsTable is a hosts(5) text, indexed by name and by address.
type hostsTable struct {
	byName map[string][]*hostsLine // lower case; lines in order
	byAddr map[netip.Addr]*hostsLine
}

// hostsLine is one line: an address and its names, the canonical one first.
type hostsLine struct {
	ip    netip.Addr
	names []string
}

// parseHosts reads a hosts(5) text. As in glibc, an address is what
// inet_pton(3) takes: a line with a legacy form or a scope is ignored, and so
// is one without a name.
func parseHosts(text string) *hostsTable {
	t := &hostsTable{byName: map[string][]*hostsLine{}, byAddr: map[netip.Addr]*hostsLine{}}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.IndexByte(line, 0) >= 0 {
			continue
		}
		ip, err := netip.ParseAddr(fields[0])
		if err != nil || ip.Zone() != "" {
			continue
		}
		l := &hostsLine{ip, fields[1:]}
		if t.byAddr[ip] == nil {
			t.byAddr[ip] = l
		}
		for i, name := range l.names {
			key := strings.ToLower(name)
			if lines := t.byName[key]; i == 0 || len(lines) == 0 || lines[len(lines)-1] != l {
				t.byName[key] = append(lines, l)
			}
		}
	}
	return t
}

// lookupHost merges all lines of name. The canonical name is the first name of
// the first line that has an address of a wanted family.
//
// Like glibc's files service it takes ::1 for 127.0.0.1, and an IPv4-mapped
// address for the IPv4 address, when only AF_INET is wanted.
func (t *hostsTable) lookupHost(_ context.Context, name string, want families) (entry, error) {
	lines := t.byName[name]
	if lines == nil {
		if lines = t.byName[strings.ToLower(name)]; lines == nil {
			return entry{}, ErrNotFound
		}
	}
	var e entry
	for _, l := range lines {
		ip := l.ip
		if want == want4 && ip.Is6() {
			switch {
			case ip == netip.IPv6Loopback():
				ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
			case ip.Is4In6():
				ip = ip.Unmap()
			}
		}
		switch {
		case ip.Is4() && want&want4 != 0:
			e.a4 = appendNew(e.a4, ip)
		case ip.Is6() && want&want6 != 0:
			e.a6 = appendNew(e.a6, ip)
		default:
			continue
		}
		if e.name == "" {
			e.name, e.aliases = l.names[0], l.names[1:len(l.names):len(l.names)]
			continue
		}
		e.aliases = append(e.aliases, l.names[1:]...)
		if l.names[0] != e.name {
			e.aliases = append(e.aliases, l.names[0])
		}
	}
	if e.empty() {
		return entry{}, ErrNotFound
	}
	return e, nil
}

// lookupAddr returns the names of the first line with that address.
func (t *hostsTable) lookupAddr(_ context.Context, ip netip.Addr) (entry, error) {
	l := t.byAddr[ip]
	if l == nil && ip.Is4In6() {
		l = t.byAddr[ip.Unmap()]
	}
	if l == nil {
		return entry{}, ErrNotFound
	}
	return entry{name: l.names[0], aliases: l.names[1:]}, nil
}

func appendNew(list []netip.Addr, ip netip.Addr) []netip.Addr {
	for _, have := range list {
		if have == ip {
			return list
		}
	}
	return append(list, ip)
}
