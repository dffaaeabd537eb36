package inet

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"usersock/stack/endpoint"
)

// The scenarios of this file run twice, on sockets of the kernel and on ours,
// and write down what they see. The two records must be the same, but for the
// lines that a scenario lists with the reason; a listed line that no longer
// differs fails too.

type scenario struct {
	name   string
	run    func(l *lab)
	differ map[string]string // label of a line: why ours differs
	// Lines that differ over one protocol alone.
	differ4, differ6 map[string]string
}

var scenarios = slices.Concat(streamScenarios, datagramScenarios, dualScenarios)

func TestLikeTheKernel(t *testing.T) {
	for _, ip := range []netip.Addr{lo4, lo6} {
		for _, sc := range scenarios {
			t.Run(ip.String()+"/"+sc.name, func(t *testing.T) {
				needKernel(t, ip)
				run := func(open func(af, typ, proto int) (endpoint.Endpoint, error)) []string {
					l := &lab{t: t, ip: ip, af: inet(ip, 0).Family, opener: open}
					sc.run(l)
					return l.log
				}
				kernel := run(func(af, typ, proto int) (endpoint.Endpoint, error) {
					ep, err := openKernel(af, typ, proto)
					if err != nil {
						return nil, err
					}
					return ep, nil
				})
				p := newProtocols(t, true, true)
				ours := run(func(af, typ, proto int) (endpoint.Endpoint, error) {
					return p.Family(af).Open(endpoint.Request{Type: typ, Protocol: proto, Cred: endpoint.Cred{Uid: 1000}})
				})
				differ := make(map[string]string)
				maps.Copy(differ, sc.differ)
				if ip == lo4 {
					maps.Copy(differ, sc.differ4)
				} else {
					maps.Copy(differ, sc.differ6)
				}
				compare(t, differ, kernel, ours)
			})
		}
	}
}

func compare(t *testing.T, differ map[string]string, kernel, ours []string) {
	t.Helper()
	if len(kernel) != len(ours) {
		t.Errorf("kernel wrote %d lines, ours %d:\n%s\n---\n%s", len(kernel), len(ours), strings.Join(kernel, "\n"), strings.Join(ours, "\n"))
		return
	}
	for i := range kernel {
		label, _, _ := strings.Cut(kernel[i], ": ")
		reason, listed := differ[label]
		switch same := kernel[i] == ours[i]; {
		case same && listed:
			t.Errorf("%s: listed as different (%s) and is not", label, reason)
		case !same && !listed:
			t.Errorf("kernel  %s\n   ours    %s", kernel[i], ours[i])
		}
	}
}

func (l *lab) note(label, format string, args ...any) {
	l.log = append(l.log, label+": "+fmt.Sprintf(format, args...))
}

func name(err error) string {
	if err == nil {
		return "ok"
	}
	if e, ok := err.(endpoint.Errno); ok {
		return e.Name()
	}
	return err.Error()
}

func (l *lab) err(label string, err error) { l.note(label, "%s", name(err)) }

func (s *labSocket) noteReady(label string) {
	e := s.Ready(allEvents)
	var names []string
	for _, n := range []struct {
		e endpoint.Events
		n string
	}{{endpoint.In, "IN"}, {endpoint.Out, "OUT"}, {endpoint.Err, "ERR"}, {endpoint.Hup, "HUP"}, {endpoint.RdHup, "RDHUP"}} {
		if e&n.e != 0 {
			names = append(names, n.n)
		}
	}
	s.l.note(label, "%s", strings.Join(names, "|"))
}

func (s *labSocket) noteSend(label string, size, flags int, to ...endpoint.Addr) {
	m := endpoint.Message{Bufs: [][]byte{make([]byte, size)}, Flags: flags}
	if len(to) > 0 {
		m.To = to[0]
	}
	n, err := s.Send(m)
	s.l.note(label, "%d %s", n, name(err))
}

func (s *labSocket) noteRecv(label string, size, flags int) {
	b := make([]byte, size)
	r, err := s.Recv(endpoint.RecvRequest{Bufs: [][]byte{b}, Flags: flags})
	s.l.note(label, "%d flags %#x %s", r.N, r.Flags, name(err))
}

func (s *labSocket) noteError(label string) {
	var b [4]byte
	_, err := s.Option(endpoint.SOL_SOCKET, endpoint.SO_ERROR, b[:])
	v, _ := endpoint.Int(b[:])
	if v != 0 {
		err = endpoint.Errno(v)
	}
	s.l.err(label, err)
}

func (s *labSocket) addr() endpoint.Addr {
	s.l.t.Helper()
	a, err := s.LocalAddr()
	check(s.l.t, err)
	return a
}

// host writes an address without its port, which chance picks.
func host(a endpoint.Addr, err error) string {
	if err != nil {
		return name(err)
	}
	port := "port"
	if a.Port == 0 {
		port = "0"
	}
	return fmt.Sprintf("%d %v %s scope %d", a.Family, a.IP, port, a.Scope)
}

func (l *lab) any() netip.Addr {
	if l.af == endpoint.AF_INET {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func (l *lab) foreign() netip.Addr {
	if l.af == endpoint.AF_INET {
		return netip.MustParseAddr("192.0.2.1")
	}
	return netip.MustParseAddr("2001:db8::1")
}

func (l *lab) listener() *labSocket {
	l.t.Helper()
	s := l.stream()
	check(l.t, s.Bind(inet(l.ip, 0)))
	check(l.t, s.Listen(8))
	return s
}

// connect makes a connection that is complete, as a blocking connect does.
func (s *labSocket) connect(a endpoint.Addr) error {
	s.l.t.Helper()
	err := s.Connect(a)
	if err != endpoint.EINPROGRESS {
		return err
	}
	s.await(endpoint.Out | endpoint.Err | endpoint.Hup)
	return s.Connect(a)
}

func (s *labSocket) accept() *labSocket {
	s.l.t.Helper()
	s.await(endpoint.In)
	ep, _, err := s.Accept()
	check(s.l.t, err)
	return s.l.wrap(ep)
}

func (l *lab) pair() (c, s *labSocket) {
	l.t.Helper()
	ls := l.listener()
	c = l.stream()
	check(l.t, c.connect(ls.addr()))
	s = ls.accept()
	ls.close()
	return c, s
}

// closedPort returns an address where nobody listens.
func (l *lab) closedPort(typ int) endpoint.Addr {
	s := l.open(l.af, typ)
	check(l.t, s.Bind(inet(l.ip, 0)))
	a := s.addr()
	s.close()
	return a
}

func (s *labSocket) setInt(level, name, v int) error {
	return s.SetOption(level, name, intData(v))
}

func linger(on, seconds int) []byte { return append(intData(on), intData(seconds)...) }
