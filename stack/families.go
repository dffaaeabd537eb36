package stack

import (
	"fmt"
	"slices"

	"usersock/stack/endpoint"
	"usersock/stack/internal/inet"
	"usersock/stack/internal/unix"
)

// families is the protocol switch of BSD: one line a family.
var families = [...]struct {
	number int
	name   string
	open   func(*Stack) endpoint.Family
}{
	{endpoint.AF_UNIX, "AF_UNIX", func(s *Stack) endpoint.Family { return s.unix }},
	{endpoint.AF_INET, "AF_INET", func(s *Stack) endpoint.Family { return s.inet.Family(endpoint.AF_INET) }},
	{endpoint.AF_INET6, "AF_INET6", func(s *Stack) endpoint.Family { return s.inet.Family(endpoint.AF_INET6) }},
}

// checkFamilies refuses numbers that the table lacks.
func checkFamilies(list []int) error {
	for _, number := range list {
		known := false
		for _, f := range families {
			known = known || f.number == number
		}
		if !known {
			return fmt.Errorf("stack: Families: address family %d: %w", number, endpoint.EAFNOSUPPORT)
		}
	}
	return nil
}

func (cfg *Config) serves(family int) bool {
	return cfg.Families == nil || slices.Contains(cfg.Families, family)
}

func (s *Stack) openFamilies() {
	s.families = make(map[int]endpoint.Family)
	if s.cfg.serves(endpoint.AF_UNIX) {
		s.unix = unix.New(unix.Config{Clock: s.clock, IDs: s.newID})
	}
	s.inet = inet.New(inet.Config{
		Stack: s.net,
		Clock: s.clock,
		IPv4:  s.cfg.serves(endpoint.AF_INET),
		IPv6:  s.cfg.serves(endpoint.AF_INET6),
		IDs:   s.newID,

		RawSockets: s.cfg.RawSockets,
	})
	for _, f := range families {
		if s.cfg.serves(f.number) {
			s.families[f.number] = f.open(s)
		}
	}
}

// sockMax and afMax bound the numbers that Linux looks at all:
// SOCK_MAX and NPROTO.
const (
	sockMax = 11
	afMax   = 46
)

// Serves reports whether sockets of the family can be opened.
func (s *Stack) Serves(family int) bool { return s.families[family] != nil }

// Open makes an endpoint, as socket(2): EAFNOSUPPORT for a family that is not
// served, EINVAL for a type out of range, ESOCKTNOSUPPORT and EPROTONOSUPPORT
// for what the family lacks. A closed stack gives ENETDOWN. A zero Cred is
// the stack's.
func (s *Stack) Open(family int, req endpoint.Request) (endpoint.Endpoint, error) {
	f, req, err := s.family(family, req)
	if err != nil {
		return nil, err
	}
	ep, err := f.Open(req)
	if err == nil && s.ended.Load() {
		ep.Close() // Close may have looked before it was there
		return nil, endpoint.ENETDOWN
	}
	return ep, err
}

// Pair makes two connected endpoints, as socketpair(2); EOPNOTSUPP for a
// family that has no pairs.
func (s *Stack) Pair(family int, req endpoint.Request) (a, b endpoint.Endpoint, err error) {
	f, req, err := s.family(family, req)
	if err != nil {
		return nil, nil, err
	}
	p, ok := f.(endpoint.Pairer)
	if !ok {
		// Linux opens both ends before it finds that they cannot be joined.
		ep, err := f.Open(req)
		if err != nil {
			return nil, nil, err
		}
		ep.Close()
		return nil, nil, endpoint.EOPNOTSUPP
	}
	a, b, err = p.Pair(req)
	if err == nil && s.ended.Load() {
		a.Close()
		b.Close()
		return nil, nil, endpoint.ENETDOWN
	}
	return a, b, err
}

func (s *Stack) family(family int, req endpoint.Request) (endpoint.Family, endpoint.Request, error) {
	if family < 0 || family >= afMax {
		return nil, req, endpoint.EAFNOSUPPORT
	}
	if req.Type < 0 || req.Type >= sockMax {
		return nil, req, endpoint.EINVAL
	}
	f := s.families[family]
	if f == nil {
		return nil, req, endpoint.EAFNOSUPPORT
	}
	if s.ended.Load() {
		return nil, req, endpoint.ENETDOWN
	}
	if req.Cred == (endpoint.Cred{}) {
		req.Cred = s.cfg.Cred
	}
	return f, req, nil
}

// Unlink removes the name of an AF_UNIX socket, as unlink(2) does with the
// file that a kernel's socket has: ENOENT if there is none.
func (s *Stack) Unlink(path string) error {
	if s.unix == nil {
		return endpoint.ENOENT
	}
	return s.unix.Unlink(path)
}
