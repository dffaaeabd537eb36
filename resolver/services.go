package resolver

import (
	"strconv"
	"strings"
)

// serviceTable is a services(5) text, indexed.
type serviceTable struct {
	byName map[serviceKey]uint16 // proto "" is the first row of the name
	byPort map[portKey]string
}

type serviceKey struct{ name, proto string }

type portKey struct {
	port  uint16
	proto string
}

// parseServices reads a services(5) text: name, port/protocol, aliases. The
// first line of a name, and of a port, counts. Lines that make no sense are
// skipped. Several protocols may share a line, separated by commas, which the
// embedded table uses.
func parseServices(text string) *serviceTable {
	t := &serviceTable{byName: map[serviceKey]uint16{}, byPort: map[portKey]string{}}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		number, protos, ok := strings.Cut(fields[1], "/")
		port, err := strconv.ParseUint(number, 10, 16)
		if !ok || err != nil || protos == "" {
			continue
		}
		for proto := range strings.SplitSeq(protos, ",") {
			t.add(fields, uint16(port), proto)
		}
	}
	return t
}

func (t *serviceTable) add(fields []string, port uint16, proto string) {
	for i, name := range fields {
		if i == 1 {
			continue
		}
		for _, key := range [...]serviceKey{{name, proto}, {name, ""}} {
			if _, taken := t.byName[key]; !taken {
				t.byName[key] = port
			}
		}
	}
	for _, key := range [...]portKey{{port, proto}, {port, ""}} {
		if t.byPort[key] == "" {
			t.byPort[key] = fields[0]
		}
	}
}

// protocolTable is a protocols(5) text, indexed.
type protocolTable struct{ byName map[string]int }

// parseProtocols reads a protocols(5) text: name, number, aliases.
func parseProtocols(text string) *protocolTable {
	t := &protocolTable{map[string]int{}}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		number, err := strconv.ParseUint(fields[1], 10, 16)
		if err != nil {
			continue
		}
		for i, name := range fields {
			if _, taken := t.byName[name]; !taken && i != 1 {
				t.byName[name] = int(number)
			}
		}
	}
	return t
}

func (r *Resolver) serviceDB() *serviceTable {
	r.servicesOnce.Do(func() {
		text := r.servicesText
		if text == "" {
			text = serviceText
		}
		r.services = parseServices(text)
	})
	return r.services
}

func (r *Resolver) protocolDB() *protocolTable {
	r.protocolsOnce.Do(func() {
		text := r.protocolsText
		if text == "" {
			text = protocolText
		}
		r.protocols = parseProtocols(text)
	})
	return r.protocols
}

// Getservbyname is getservbyname(3): the port of a service or alias. proto is
// "tcp", "udp" and so on, or "" for the first of any. Names are case-sensitive.
// An unknown service is ErrServiceNotFound.
func (r *Resolver) Getservbyname(name, proto string) (port int, err error) {
	if n, ok := r.serviceDB().byName[serviceKey{name, proto}]; ok {
		return int(n), nil
	}
	return 0, ErrServiceNotFound
}

// Getservbyport is getservbyport(3): the name of the service at a port, 0 to
// 65535, in host byte order. proto is as for [Resolver.Getservbyname]. An
// unknown port is ErrPortNotFound, one out of range ErrPortRange.
func (r *Resolver) Getservbyport(port int, proto string) (name string, err error) {
	if port < 0 || port > 0xffff {
		return "", ErrPortRange
	}
	if name, ok := r.serviceDB().byPort[portKey{uint16(port), proto}]; ok {
		return name, nil
	}
	return "", ErrPortNotFound
}

// Getprotobyname is getprotobyname(3): the number of an IP protocol by its
// name or alias, case-sensitive. An unknown one is ErrProtocolNotFound.
func (r *Resolver) Getprotobyname(name string) (proto int, err error) {
	if n, ok := r.protocolDB().byName[name]; ok {
		return n, nil
	}
	return 0, ErrProtocolNotFound
}
