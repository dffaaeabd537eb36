package inet

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/ports"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

// all tells who has a port, by number.
func (s *tcpPorts) all() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for number, b := range s.ports {
		kept := 0
		for o := b.owners; o != nil; o = o.next {
			if !o.picked {
				kept++
			}
			list = append(list, fmt.Sprintf("%d %v %v closed %v orphan %v", number, netip.AddrFrom16(o.ip), o.raw.EndpointState(), o.closed(), o.orphan))
		}
		if b.owners == nil || b.kept != kept || b.number != number {
			list = append(list, fmt.Sprintf("port %d is %+v", number, b))
		}
	}
	return list
}

// untilEmpty waits until nobody has a port.
func (s *tcpPorts) untilEmpty(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(patience); len(s.all()) != 0; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("ports that somebody has: %q", s.all())
		}
	}
}

// noneBelow fails if netstack's table has one of the ports.
func noneBelow(t *testing.T, p *Protocols, numbers []uint16) {
	t.Helper()
	for _, number := range numbers {
		all := ports.Reservation{
			Networks:  []tcpip.NetworkProtocolNumber{header.IPv4ProtocolNumber, header.IPv6ProtocolNumber},
			Transport: tcp.ProtocolNumber, Port: number,
		}
		if _, err := p.stack.ReservePort(p.stack.SecureRNG(), all, nil); err != nil {
			t.Errorf("netstack's table has port %d: %v", number, err)
			continue
		}
		p.stack.ReleasePort(all)
	}
}

// briefly makes the states in which a closed connection waits short.
func briefly(t *testing.T, p *Protocols) {
	t.Helper()
	wait, finWait := tcpip.TCPTimeWaitTimeoutOption(time.Millisecond), tcpip.TCPLingerTimeoutOption(time.Millisecond)
	must(t, p.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &wait))
	must(t, p.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &finWait))
}

// Whatever sockets do with a few ports, several goroutines to a socket: in the end
// nobody has one, in either table.
func TestPortsAreGivenBack(t *testing.T) {
	p := newProtocols(t, true, true)
	briefly(t, p)
	var helpers []*sock
	for _, a := range []endpoint.Addr{inet(lo4, 4000), inet(lo6, 4000)} {
		l := open(t, p, a.Family, endpoint.SOCK_STREAM)
		check(t, l.Bind(a))
		check(t, l.Listen(4096))
		helpers = append(helpers, l)
	}
	var mu sync.Mutex
	numbers := []uint16{4000, 5000, 5001, 5002}
	rounds := 300
	if raceEnabled {
		rounds = 100
	}
	any4, any6 := netip.IPv4Unspecified(), netip.IPv6Unspecified()
	act := func(r *rand.Rand, ep endpoint.Endpoint, af int) {
		at := []netip.Addr{any4, lo4, netip.MustParseAddr("127.0.0.2")}
		to := inet(lo4, 4000)
		if af == endpoint.AF_INET6 {
			at, to = []netip.Addr{any6, lo6, netip.AddrFrom16(lo4.As16())}, inet(lo6, 4000)
		}
		for range 1 + r.IntN(6) {
			switch r.IntN(10) {
			case 0, 1:
				_ = ep.Bind(inet(at[r.IntN(3)], uint16(5000+r.IntN(3))))
			case 2:
				_ = ep.Bind(inet(at[r.IntN(3)], 0))
			case 3:
				_ = ep.Listen(r.IntN(3))
			case 4, 5:
				_ = ep.Connect(to)
			case 6:
				_ = ep.Connect(endpoint.Addr{})
			case 7:
				_ = ep.Shutdown(r.IntN(3))
			case 8:
				to.Port = uint16(5000 + r.IntN(3))
				_ = ep.Connect(to)
			case 9:
				if c, _, err := ep.Accept(); err == nil {
					check(t, c.Close())
				}
			}
			if a, err := ep.LocalAddr(); err == nil && a.Port > 6000 {
				mu.Lock()
				numbers = append(numbers, a.Port)
				mu.Unlock()
			}
		}
	}
	var stop atomic.Bool
	var accepting, all sync.WaitGroup
	for _, l := range helpers {
		accepting.Go(func() {
			for !stop.Load() {
				if c, _, err := l.Accept(); err == nil {
					_ = c.Shutdown(endpoint.SHUT_WR)
					check(t, c.Close())
				}
				runtime.Gosched()
			}
		})
	}
	for i := range 4 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 5))
			for range rounds {
				af := []int{endpoint.AF_INET, endpoint.AF_INET6}[r.IntN(2)]
				ep, err := p.Family(af).Open(endpoint.Request{Type: endpoint.SOCK_STREAM})
				check(t, err)
				if r.IntN(2) == 0 {
					ep.Notify(newWaker())
				}
				for _, name := range []int{endpoint.SO_REUSEADDR, endpoint.SO_REUSEPORT} {
					check(t, ep.SetOption(endpoint.SOL_SOCKET, name, intData(r.IntN(2))))
				}
				if r.IntN(4) == 0 {
					check(t, ep.SetOption(endpoint.SOL_SOCKET, endpoint.SO_LINGER, append(intData(1), intData(0)...)))
				}
				other := rand.New(rand.NewPCG(r.Uint64(), 6))
				var users sync.WaitGroup
				users.Go(func() { act(other, ep, af) })
				act(r, ep, af)
				if r.IntN(2) == 0 {
					users.Wait()
				}
				check(t, ep.Close())
				users.Wait()
			}
		})
	}
	all.Wait()
	stop.Store(true)
	accepting.Wait()
	for _, l := range helpers {
		check(t, l.Close())
	}
	p.ports.untilEmpty(t)
	for end := time.Now().Add(patience); len(p.stack.RegisteredEndpoints())+len(p.stack.CleanupEndpoints()) != 0; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d endpoints of netstack are left", len(p.stack.RegisteredEndpoints()))
		}
	}
	slices.Sort(numbers)
	noneBelow(t, p, slices.Compact(numbers))
}

// Of several calls at once that want the same port one gets it.
func TestPortRaces(t *testing.T) {
	p := newProtocols(t, true, true)
	race := func(what string, calls [](func() error)) {
		t.Helper()
		var won atomic.Int32
		var all sync.WaitGroup
		for _, f := range calls {
			all.Go(func() {
				switch err := f(); err {
				case nil:
					won.Add(1)
				case endpoint.EADDRINUSE:
				default:
					t.Errorf("%s: %v", what, err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Fatalf("%s: %d of %d had it", what, won.Load(), len(calls))
		}
	}
	for range 100 {
		var calls [](func() error)
		var socks []*sock
		for i := range 4 {
			s := open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM)
			socks = append(socks, s)
			ip := []netip.Addr{lo4, netip.IPv4Unspecified()}[i%2]
			calls = append(calls, func() error { return s.Bind(inet(ip, 5000)) })
		}
		race("bind", calls)
		for _, s := range socks {
			check(t, s.Close())
		}
		calls, socks = nil, nil
		for i := range 4 {
			s := open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM)
			socks = append(socks, s)
			check(t, s.SetOption(endpoint.SOL_SOCKET, endpoint.SO_REUSEADDR, intData(1)))
			check(t, s.Bind(inet([]netip.Addr{lo4, netip.IPv4Unspecified()}[i%2], 5000)))
			calls = append(calls, func() error { return s.Listen(1) })
		}
		race("listen", calls)
		for _, s := range socks {
			check(t, s.Close())
		}
	}
	p.ports.untilEmpty(t)
}

// TestReusePortGroup has listeners that share a port take turns at its connections,
// and one with an address come before one without.
func TestReusePortGroup(t *testing.T) {
	p := newProtocols(t, true, true)
	listen := func(ip netip.Addr) *sock {
		l := open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM)
		check(t, l.SetOption(endpoint.SOL_SOCKET, endpoint.SO_REUSEPORT, intData(1)))
		check(t, l.Bind(inet(ip, 5000)))
		check(t, l.Listen(100))
		return l
	}
	// visit makes n connections and tells how many came to each listener.
	visit := func(ip netip.Addr, n int, listeners ...*sock) (got []int) {
		t.Helper()
		for range n {
			check(t, open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM).connect(inet(ip, 5000)))
		}
		got = make([]int, len(listeners))
		for end, sum := time.Now().Add(patience), 0; sum < n; runtime.Gosched() {
			for i, l := range listeners {
				if c, _, err := l.Accept(); err == nil {
					check(t, c.Close())
					got[i]++
					sum++
				}
			}
			if time.Now().After(end) {
				t.Fatalf("%d of %d connections came: %v", sum, n, got)
			}
		}
		return got
	}
	all := []*sock{listen(lo4), listen(lo4), listen(lo4), listen(netip.IPv4Unspecified())}
	if got := visit(lo4, 90, all...); min(got[0], got[1], got[2]) == 0 || got[3] != 0 {
		t.Errorf("connections to the address of three: %v", got)
	}
	if got := visit(netip.MustParseAddr("127.0.0.2"), 9, all...); got[3] != 9 {
		t.Errorf("connections to another address: %v", got)
	}
	check(t, all[0].Close())
	if got := visit(lo4, 60, all[1:]...); min(got[0], got[1]) == 0 || got[2] != 0 {
		t.Errorf("connections to the address of two: %v", got)
	}
}

// setClock is a clock whose seconds the test sets.
type setClock struct {
	endpoint.Clock
	now atomic.Int64
}

func (c *setClock) Monotonic() time.Duration { return time.Duration(c.now.Load()) }

// finish closes a connection, s last, and waits until the table knows that c is in
// TIME-WAIT.
func finish(t *testing.T, p *Protocols, c, s *sock) {
	t.Helper()
	check(t, c.Close())
	s.await(endpoint.RdHup)
	check(t, s.Close())
	o := &c.Endpoint.(*tcpEndpoint).owner
	for end := time.Now().Add(patience); ; runtime.Gosched() {
		p.ports.mu.Lock()
		done := o.since != 0
		p.ports.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(end) {
			t.Fatal("no TIME-WAIT")
		}
	}
}

// When every port that connect may pick has a connection to the same peer, one that
// is in TIME-WAIT is taken over, over loopback and after a second: tcp_tw_reuse.
func TestPickedOverTimeWait(t *testing.T) {
	eachIP(t, func(t *testing.T, _ *Protocols, ip netip.Addr) {
		clock := &setClock{Clock: endpoint.SystemClock()}
		p := New(Config{Stack: newStack(t, true, true), Clock: clock, IPv4: true, IPv6: true})
		must(t, p.stack.SetPortRange(6001, 6003))
		a := inet(ip, 5000)
		l := open(t, p, a.Family, endpoint.SOCK_STREAM)
		check(t, l.Bind(a))
		check(t, l.Listen(9))
		dial := func() (c, s *sock, err error) {
			c = open(t, p, a.Family, endpoint.SOCK_STREAM)
			if err := c.connect(a); err != nil {
				check(t, c.Close())
				return nil, nil, err
			}
			s, _ = l.accept()
			return c, s, nil
		}
		for range 3 {
			c, s, err := dial()
			check(t, err)
			finish(t, p, c, s)
		}
		_, _, err := dial()
		wantErrno(t, "a fourth connection at once", err, endpoint.EADDRNOTAVAIL)
		clock.now.Store(int64(time.Second))
		for range 3 {
			c, s, err := dial()
			check(t, err)
			_, err = c.send([]byte("anew"))
			check(t, err)
			if got, _, err := s.recv(9, 0); got != "anew" || err != nil {
				t.Error(got, err)
			}
		}
		_, _, err = dial()
		wantErrno(t, "connections that live", err, endpoint.EADDRNOTAVAIL)
		if n := len(p.ports.all()); n != 1+3+3 {
			t.Errorf("%d owners: %q", n, p.ports.all())
		}
	})
}

// A socket goes on while its connection is in TIME-WAIT, which has the port for
// itself then.
func TestLeftInTimeWait(t *testing.T) {
	p := newProtocols(t, true, true)
	l := open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM)
	check(t, l.Bind(inet(lo4, 5000)))
	check(t, l.Listen(9))
	c := open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM)
	check(t, c.connect(l.local()))
	s, _ := l.accept()
	first := c.local()
	check(t, c.Shutdown(endpoint.SHUT_WR))
	s.await(endpoint.RdHup)
	check(t, s.Close())
	c.await(endpoint.Hup)
	check(t, c.Connect(endpoint.Addr{}))
	other := open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM)
	wantErrno(t, "the port in TIME-WAIT", other.Bind(first), endpoint.EADDRINUSE)
	check(t, c.Bind(inet(lo4, 0)))
	check(t, c.connect(l.local()))
	raw := func() *tcp.Endpoint {
		p.ports.mu.Lock()
		defer p.ports.mu.Unlock()
		return c.Endpoint.(*tcpEndpoint).owner.left.raw
	}()
	raw.Abort() // as its timer does
	check(t, other.Bind(first))
	for _, k := range []*sock{c, l, other} {
		check(t, k.Close())
	}
	p.End()
	p.ports.untilEmpty(t)
}

// A call that comes after Close, though it began before, takes no port.
func TestNoPortAfterClose(t *testing.T) {
	p := newProtocols(t, true, true)
	c := open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM).Endpoint.(*tcpEndpoint)
	raw := c.raw.Load()
	check(t, c.Close())
	_, _, err := c.takePort(raw, tcpip.FullAddress{Port: 5000}, nil)
	wantErrno(t, "a port", err, endpoint.EBADF)
	p.ports.untilEmpty(t)
}
