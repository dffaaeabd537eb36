package stack_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"usersock/netdev"
	"usersock/stack"
	"usersock/stack/endpoint"
)

// throughRouter makes two hosts with a router between them. The second network
// carries packets of 1400 bytes, the first of 1500.
func throughRouter(t *testing.T) (a, b *stack.Stack) {
	t.Helper()
	prefix := func(format string, args ...any) netip.Prefix {
		return netip.MustParsePrefix(fmt.Sprintf(format, args...))
	}
	l1, l2 := netdev.Pair(netdev.PairConfig{MTU: 1500})
	r1, r2 := netdev.Pair(netdev.PairConfig{MTU: 1400})
	host := func(cfg stack.Config) *stack.Stack {
		s, err := stack.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	on := func(l netdev.Link, n, h int) stack.Interface {
		return stack.Interface{Link: l, Addrs: []netip.Prefix{
			prefix("%s.%d/24", []string{"192.0.2", "198.51.100"}[n], h), prefix("2001:db8:%d::%d/64", n, h)}}
	}
	via := func(n int) []stack.Route {
		return []stack.Route{
			{Dst: prefix("0.0.0.0/0"), Via: prefix("%s.254/24", []string{"192.0.2", "198.51.100"}[n]).Addr()},
			{Dst: prefix("::/0"), Via: prefix("2001:db8:%d::254/64", n).Addr()},
		}
	}
	host(stack.Config{Interfaces: []stack.Interface{on(l2, 0, 254), on(r1, 1, 254)}, Forwarding: true})
	a = host(stack.Config{Interfaces: []stack.Interface{on(l1, 0, 1)}, Routes: via(0), RawProtocols: []int{99}})
	b = host(stack.Config{Interfaces: []stack.Interface{on(r2, 1, 1)}, Routes: via(1)})
	return a, b
}

// waiting is an endpoint that a test can wait for.
type waiting struct {
	endpoint.Endpoint
	t     *testing.T
	event chan struct{}
}

func (w *waiting) Event(endpoint.Events) {
	select {
	case w.event <- struct{}{}:
	default:
	}
}

func openOn(t *testing.T, s *stack.Stack, af, typ, proto int) *waiting {
	t.Helper()
	ep, err := s.Open(af, endpoint.Request{Type: typ, Protocol: proto})
	if err != nil {
		t.Fatal(err)
	}
	w := &waiting{ep, t, make(chan struct{}, 1)}
	ep.Notify(w)
	t.Cleanup(func() { ep.Close() })
	return w
}

func (w *waiting) await(want endpoint.Events) {
	w.t.Helper()
	late := time.After(10 * time.Second)
	for w.Ready(want)&want == 0 {
		select {
		case <-w.event:
		case <-late:
			w.t.Fatal("no event")
		}
	}
}

func (w *waiting) set(level, name, v int) {
	w.t.Helper()
	if err := w.SetOption(level, name, binary.NativeEndian.AppendUint32(nil, uint32(v))); err != nil {
		w.t.Fatal(err)
	}
}

func (w *waiting) get(level, name int) int {
	w.t.Helper()
	var b [4]byte
	if _, err := w.Option(level, name, b[:]); err != nil {
		w.t.Fatal(err)
	}
	return int(binary.NativeEndian.Uint32(b[:]))
}

func (w *waiting) sendTo(n int, to endpoint.Addr) error {
	_, err := w.Send(endpoint.Message{Bufs: [][]byte{make([]byte, n)}, To: to})
	return err
}

// failure is what the error queue tells.
type failure struct {
	errno     endpoint.Errno
	typ, code byte
	info      uint32
	offender  netip.Addr
	to        netip.AddrPort
	bytes     int
}

func (w *waiting) failure() failure {
	w.t.Helper()
	w.await(endpoint.Err)
	r, err := w.Recv(endpoint.RecvRequest{Bufs: [][]byte{make([]byte, 2000)}, Flags: endpoint.MSG_ERRQUEUE, Control: true})
	if err != nil || len(r.Control) != 1 {
		w.t.Fatalf("error queue: %v, %d items", err, len(r.Control))
	}
	b := r.Control[0].Data
	f := failure{
		errno: endpoint.Errno(binary.NativeEndian.Uint32(b)), typ: b[5], code: b[6], info: binary.NativeEndian.Uint32(b[8:]),
		to: r.From.AddrPort(), bytes: r.N,
	}
	switch binary.NativeEndian.Uint16(b[16:]) {
	case endpoint.AF_INET:
		f.offender = netip.AddrFrom4([4]byte(b[20:]))
	case endpoint.AF_INET6:
		f.offender = netip.AddrFrom16([16]byte(b[24:]))
	}
	return f
}

// version is what differs between IPv4 and IPv6.
type version struct {
	af                                     int
	router, peer, nowhere                  string
	level, recvErr, hops, discover, mtu    int
	exceeded, unreachable, port, protoType byte
}

var versions = []version{
	{endpoint.AF_INET, "192.0.2.254", "198.51.100.1", "203.0.113.1", endpoint.SOL_IP, endpoint.IP_RECVERR, endpoint.IP_TTL,
		endpoint.IP_MTU_DISCOVER, endpoint.IP_MTU, 11, 3, 3, 3},
	{endpoint.AF_INET6, "2001:db8::254", "2001:db8:1::1", "2001:db8:9::1", endpoint.SOL_IPV6, endpoint.IPV6_RECVERR, endpoint.IPV6_UNICAST_HOPS,
		endpoint.IPV6_MTU_DISCOVER, endpoint.IPV6_MTU, 3, 1, 4, 4},
}

func (v version) addr(host string, port uint16) endpoint.Addr {
	return endpoint.Inet(netip.AddrPortFrom(netip.MustParseAddr(host), port))
}

// The error queue of a socket that is not connected names who complained.
func TestErrorQueueOffender(t *testing.T) {
	a, _ := throughRouter(t)
	for _, v := range versions {
		for _, proto := range []int{endpoint.IPPROTO_UDP, endpoint.IPPROTO_UDPLITE} {
			u := openOn(t, a, v.af, endpoint.SOCK_DGRAM, proto)
			u.set(v.level, v.recvErr, 1)
			u.set(v.level, v.hops, 1)
			to := v.addr(v.peer, 9)
			if err := u.sendTo(20, to); err != nil {
				t.Fatal(err)
			}
			f := u.failure()
			if f.errno != endpoint.EHOSTUNREACH || f.typ != v.exceeded || f.offender.String() != v.router || f.to != to.AddrPort() || f.bytes != 20 {
				t.Errorf("one hop: %+v", f)
			}
			u.set(v.level, v.hops, 64)
			if err := u.sendTo(20, to); err != nil {
				t.Fatal(err)
			}
			f = u.failure()
			if f.errno != endpoint.ECONNREFUSED || f.typ != v.unreachable || f.code != v.port || f.offender.String() != v.peer {
				t.Errorf("closed port: %+v", f)
			}
			if err := u.sendTo(20, v.addr(v.nowhere, 9)); err != nil {
				t.Fatal(err)
			}
			if f = u.failure(); f.errno != endpoint.ENETUNREACH && f.errno != endpoint.EHOSTUNREACH || f.offender.String() != v.router {
				t.Errorf("no route: %+v", f)
			}
		}
	}
}

// What a router says about long packets is learnt: the next one is refused at
// once, or cut to what the path carries.
func TestPathMTU(t *testing.T) {
	a, b := throughRouter(t)
	for _, v := range versions {
		told, learnt := 1400, 1400
		if v.af == endpoint.AF_INET6 {
			// A router of netstack's says "too big" and 0, not how big; then the
			// least MTU of IPv6 is safe.
			told, learnt = 0, 1280
		}
		u, peer := openOn(t, a, v.af, endpoint.SOCK_DGRAM, 0), openOn(t, b, v.af, endpoint.SOCK_DGRAM, 0)
		if err := peer.Bind(v.addr(v.peer, 7)); err != nil {
			t.Fatal(err)
		}
		to := v.addr(v.peer, 7)
		u.set(v.level, v.recvErr, 1)
		u.set(v.level, v.discover, endpoint.IP_PMTUDISC_DO)
		if err := u.Connect(to); err != nil {
			t.Fatal(err)
		}
		if mtu := u.get(v.level, v.mtu); mtu != 1500 {
			t.Errorf("%s: MTU %d before", v.peer, mtu)
		}
		if err := u.sendTo(1420, endpoint.Addr{}); err != nil {
			t.Fatal(err)
		}
		if f := u.failure(); f.errno != endpoint.EMSGSIZE || f.info != uint32(told) || f.offender.String() != v.router {
			t.Errorf("%s: %+v", v.peer, f)
		}
		if mtu := u.get(v.level, v.mtu); mtu != learnt {
			t.Errorf("%s: MTU %d, want %d", v.peer, mtu, learnt)
		}
		if err := u.sendTo(1420, endpoint.Addr{}); err != endpoint.EMSGSIZE {
			t.Errorf("%s: the next one: %v, want EMSGSIZE", v.peer, err)
		}
		if f := u.failure(); f.info != uint32(learnt) {
			t.Errorf("%s: %+v", v.peer, f)
		}
		// PROBE looks beyond what was learnt.
		u.set(v.level, v.discover, endpoint.IP_PMTUDISC_PROBE)
		if err := u.sendTo(1420, endpoint.Addr{}); err != nil {
			t.Errorf("%s: probe: %v", v.peer, err)
		}
		if f := u.failure(); f.errno != endpoint.EMSGSIZE {
			t.Errorf("%s: probe: %+v", v.peer, f)
		}
		for _, how := range []int{endpoint.IP_PMTUDISC_WANT, endpoint.IP_PMTUDISC_DONT} {
			u.set(v.level, v.discover, how)
			for _, n := range []int{1420, 9000} {
				if err := u.sendTo(n, endpoint.Addr{}); err != nil {
					t.Fatal(err)
				}
				peer.await(endpoint.In)
				if r, err := peer.Recv(endpoint.RecvRequest{Bufs: [][]byte{make([]byte, 10000)}}); err != nil || r.N != n {
					t.Errorf("%s: strategy %d: %d of %d bytes, %v", v.peer, how, r.N, n, err)
				}
			}
		}
	}
}

// A packet of a protocol that no raw socket takes is answered, and the answer
// finds the raw socket that sent it; one that is taken is not.
func TestProtocolUnreachable(t *testing.T) {
	a, b := throughRouter(t)
	for _, v := range versions {
		for _, proto := range []int{254, 99} { // a number that b serves, and one that it does not
			s := openOn(t, a, v.af, endpoint.SOCK_RAW, proto)
			s.set(v.level, v.recvErr, 1)
			to := v.addr(v.peer, 0)
			if err := s.sendTo(20, to); err != nil {
				t.Fatal(err)
			}
			f := s.failure()
			want := endpoint.ENOPROTOOPT
			if v.af == endpoint.AF_INET6 {
				want = endpoint.EPROTO
			}
			if f.errno != want || f.typ != v.protoType || f.offender.String() != v.peer || f.bytes != 20 {
				t.Errorf("protocol %d: %+v", proto, f)
			}
			if v.af == endpoint.AF_INET6 && f.info != 6 {
				t.Errorf("protocol %d: pointer %d", proto, f.info)
			}
		}
		s, r := openOn(t, a, v.af, endpoint.SOCK_RAW, 254), openOn(t, b, v.af, endpoint.SOCK_RAW, 254)
		s.set(v.level, v.recvErr, 1)
		if err := s.sendTo(1000, v.addr(v.peer, 0)); err != nil {
			t.Fatal(err)
		}
		r.await(endpoint.In)
		got, err := r.Recv(endpoint.RecvRequest{Bufs: [][]byte{make([]byte, 4000)}})
		if size := map[int]int{endpoint.AF_INET: 1020, endpoint.AF_INET6: 1000}[v.af]; err != nil || got.N != size {
			t.Errorf("received %d bytes, %v, want %d", got.N, err, size)
		}
		if s.Ready(endpoint.Err) != 0 {
			t.Errorf("what was taken is answered: %+v", s.failure())
		}
	}
}

// A ping socket hears of errors about its own requests alone.
func TestPingErrors(t *testing.T) {
	a, _ := throughRouter(t)
	for _, v := range versions {
		proto, request := endpoint.IPPROTO_ICMP, byte(8)
		if v.af == endpoint.AF_INET6 {
			proto, request = endpoint.IPPROTO_ICMPV6, 128
		}
		s, other := openOn(t, a, v.af, endpoint.SOCK_DGRAM, proto), openOn(t, a, v.af, endpoint.SOCK_DGRAM, proto)
		for _, p := range []*waiting{s, other} {
			p.set(v.level, v.recvErr, 1)
			p.set(v.level, v.hops, 1)
			if err := p.Bind(v.addr(map[int]string{endpoint.AF_INET: "0.0.0.0", endpoint.AF_INET6: "::"}[v.af], 0)); err != nil {
				t.Fatal(err)
			}
		}
		_, err := s.Send(endpoint.Message{Bufs: [][]byte{{request, 0, 0, 0, 0, 0, 0, 1}}, To: v.addr(v.peer, 0)})
		if err != nil {
			t.Fatal(err)
		}
		if f := s.failure(); f.errno != endpoint.EHOSTUNREACH || f.offender.String() != v.router || f.bytes != 8 || f.to.Port() != 0 {
			t.Errorf("%+v", f)
		}
		if other.Ready(endpoint.Err) != 0 {
			t.Error("another socket hears of it")
		}
	}
}

// Who may open raw sockets is the host's to say; any other socket is not
// touched by it.
func TestRawSocketsPolicy(t *testing.T) {
	s, err := stack.New(stack.Config{RawSockets: func(c endpoint.Cred) bool { return c.Uid == 0 }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for uid, want := range map[uint32]error{0: nil, 1000: endpoint.EPERM} {
		cred := endpoint.Cred{Pid: 1, Uid: uid}
		ep, err := s.Open(endpoint.AF_INET, endpoint.Request{Type: endpoint.SOCK_RAW, Protocol: endpoint.IPPROTO_ICMP, Cred: cred})
		if err != want {
			t.Errorf("user %d: %v, want %v", uid, err, want)
		}
		if err == nil {
			ep.Close()
		}
		ep, err = s.Open(endpoint.AF_INET, endpoint.Request{Type: endpoint.SOCK_DGRAM, Protocol: endpoint.IPPROTO_ICMP, Cred: cred})
		if err != nil {
			t.Errorf("user %d: ping: %v", uid, err)
			continue
		}
		ep.Close()
	}
	if _, err := s.Open(endpoint.AF_INET, endpoint.Request{Type: endpoint.SOCK_RAW, Protocol: 99}); err != endpoint.EPROTONOSUPPORT {
		t.Errorf("a protocol that the host was not made with: %v", err)
	}
	if _, err := stack.New(stack.Config{RawProtocols: []int{255}}); !errors.Is(err, endpoint.EINVAL) {
		t.Errorf("protocol 255: %v", err)
	}
}

// A socket that has sent follows changes of routes and addresses.
func TestSendFollowsRoutes(t *testing.T) {
	a, b := throughRouter(t)
	for _, v := range versions {
		u, peer := openOn(t, a, v.af, endpoint.SOCK_DGRAM, 0), openOn(t, b, v.af, endpoint.SOCK_DGRAM, 0)
		to := v.addr(v.peer, 7)
		if err := peer.Bind(to); err != nil {
			t.Fatal(err)
		}
		arrives := func() netip.Addr {
			t.Helper()
			if err := u.sendTo(1, to); err != nil {
				t.Fatal(err)
			}
			peer.await(endpoint.In)
			r, err := peer.Recv(endpoint.RecvRequest{Bufs: [][]byte{{0}}})
			if err != nil {
				t.Fatal(err)
			}
			return r.From.IP
		}
		first := arrives()
		route := stack.Route{Dst: netip.PrefixFrom(netip.MustParseAddr(map[int]string{endpoint.AF_INET: "0.0.0.0", endpoint.AF_INET6: "::"}[v.af]), 0),
			Via: netip.MustParseAddr(v.router)}
		if err := a.RemoveRoute(route); err != nil {
			t.Fatal(err)
		}
		if err := u.sendTo(1, to); err != endpoint.ENETUNREACH {
			t.Errorf("%s without a route: %v", v.peer, err)
		}
		if err := a.AddRoute(route); err != nil {
			t.Fatal(err)
		}
		arrives()
		second := first.Next()
		bits := map[int]int{endpoint.AF_INET: 24, endpoint.AF_INET6: 64}[v.af]
		if err := a.AddAddr("eth0", netip.PrefixFrom(second, bits)); err != nil {
			t.Fatal(err)
		}
		if err := a.RemoveAddr("eth0", netip.PrefixFrom(first, bits)); err != nil {
			t.Fatal(err)
		}
		if got := arrives(); got != second {
			t.Errorf("%s: from %v, want %v", v.peer, got, second)
		}
	}
}
