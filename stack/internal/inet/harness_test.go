package inet

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/loopback"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

var (
	lo4 = netip.MustParseAddr("127.0.0.1")
	lo6 = netip.MustParseAddr("::1")
)

// newStack makes one host with a loopback interface, for the families given.
func newStack(tb testing.TB, v4, v6 bool) *gvstack.Stack {
	tb.Helper()
	return newStackOf(tb, v4, v6, append(RawProtocols([]int{200}), NewTCP, NewUDP, NewUDPLite))
}

func newStackOf(tb testing.TB, v4, v6 bool, protocols []gvstack.TransportProtocolFactory) *gvstack.Stack {
	tb.Helper()
	opts := gvstack.Options{TransportProtocols: protocols, HandleLocal: true}
	if v4 {
		opts.NetworkProtocols = append(opts.NetworkProtocols, NewIPv4)
		opts.TransportProtocols = append(opts.TransportProtocols, icmp.NewProtocol4)
	}
	if v6 {
		opts.NetworkProtocols = append(opts.NetworkProtocols, NewIPv6)
		opts.TransportProtocols = append(opts.TransportProtocols, icmp.NewProtocol6)
	}
	s := gvstack.New(opts)
	recovery := tcpip.TCPRecovery(0)
	cc := tcpip.CongestionControlOption("cubic")
	snd := tcpip.TCPSendBufferSizeRangeOption{Min: 4096, Default: 4 << 20, Max: 8 << 20}
	rcv := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4096, Default: 4 << 20, Max: 8 << 20}
	moderate := tcpip.TCPModerateReceiveBufferOption(false)
	for _, o := range []tcpip.SettableTransportProtocolOption{&recovery, &cc, &snd, &rcv, &moderate} {
		must(tb, s.SetTransportProtocolOption(tcp.ProtocolNumber, o))
	}
	must(tb, s.CreateNICWithOptions(1, loopback.New(), gvstack.NICOptions{Name: "lo"}))
	var routes []tcpip.Route
	add := func(proto tcpip.NetworkProtocolNumber, ip netip.Addr, bits int) {
		must(tb, s.AddProtocolAddress(1, tcpip.ProtocolAddress{Protocol: proto,
			AddressWithPrefix: tcpip.AddressWithPrefix{Address: tcpip.AddrFromSlice(ip.AsSlice()), PrefixLen: bits},
		}, gvstack.AddressProperties{}))
	}
	if v4 {
		add(ipv4.ProtocolNumber, lo4, 8)
		routes = append(routes, tcpip.Route{Destination: header.IPv4LoopbackSubnet, NIC: 1})
	}
	if v6 {
		add(ipv6.ProtocolNumber, lo6, 128)
		routes = append(routes, tcpip.Route{Destination: tcpip.AddressWithPrefix{Address: header.IPv6Loopback, PrefixLen: 128}.Subnet(), NIC: 1})
	}
	s.SetRouteTable(routes)
	tb.Cleanup(func() {
		s.Close()
		s.Wait()
	})
	return s
}

func newProtocols(tb testing.TB, v4, v6 bool) *Protocols {
	tb.Helper()
	return New(Config{Stack: newStack(tb, v4, v6), Clock: endpoint.SystemClock(), IPv4: v4, IPv6: v6})
}

func must(tb testing.TB, err tcpip.Error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func wantErrno(tb testing.TB, what string, err error, want endpoint.Errno) {
	tb.Helper()
	if e, ok := err.(endpoint.Errno); !ok || e != want {
		tb.Errorf("%s: got %v, want %s", what, err, want.Name())
	}
}

// waker is a sink that wakes one waiting test.
type waker struct {
	mu  sync.Mutex
	ch  chan struct{}
	got endpoint.Events
}

func newWaker() *waker { return &waker{ch: make(chan struct{}, 1)} }

func (w *waker) Event(e endpoint.Events) {
	w.mu.Lock()
	w.got |= e
	w.mu.Unlock()
	select {
	case w.ch <- struct{}{}:
	default:
	}
}

// sock is an endpoint with a sink, for tests that wait.
type sock struct {
	endpoint.Endpoint
	w  *waker
	tb testing.TB
}

func newSock(tb testing.TB, ep endpoint.Endpoint) *sock {
	s := &sock{Endpoint: ep, w: newWaker(), tb: tb}
	ep.Notify(s.w)
	return s
}

func open(tb testing.TB, p *Protocols, af, typ int) *sock {
	tb.Helper()
	ep, err := p.Family(af).Open(endpoint.Request{Type: typ})
	check(tb, err)
	s := newSock(tb, ep)
	tb.Cleanup(func() { ep.Close() })
	return s
}

const patience = 10 * time.Second

// until calls try until it does not say EAGAIN, once for each event.
func (s *sock) until(what string, try func() error) error {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := try()
		if err != endpoint.EAGAIN {
			return err
		}
		select {
		case <-s.w.ch:
		case <-ctx.Done():
			s.tb.Fatalf("%s: no event", what)
		}
	}
}

func (s *sock) await(want endpoint.Events) endpoint.Events {
	s.tb.Helper()
	var got endpoint.Events
	s.until("await", func() error {
		got = s.Ready(want)
		if got&want == 0 {
			return endpoint.EAGAIN
		}
		return nil
	})
	return got
}

func (s *sock) connect(a endpoint.Addr) error {
	s.tb.Helper()
	err := s.Connect(a)
	if err != endpoint.EINPROGRESS {
		return err
	}
	s.await(endpoint.Out | endpoint.Err | endpoint.Hup)
	return s.soError()
}

func (s *sock) soError() error {
	var b [4]byte
	_, err := s.Option(endpoint.SOL_SOCKET, endpoint.SO_ERROR, b[:])
	check(s.tb, err)
	v, _ := endpoint.Int(b[:])
	if v == 0 {
		return nil
	}
	return endpoint.Errno(v)
}

func (s *sock) accept() (*sock, endpoint.Addr) {
	s.tb.Helper()
	var ep endpoint.Endpoint
	var peer endpoint.Addr
	check(s.tb, s.until("accept", func() (err error) {
		ep, peer, err = s.Accept()
		return err
	}))
	s.tb.Cleanup(func() { ep.Close() })
	return newSock(s.tb, ep), peer
}

func (s *sock) send(b []byte) (int, error) {
	s.tb.Helper()
	sent := 0
	for {
		var n int
		err := s.until("send", func() (err error) {
			n, err = s.Send(endpoint.Message{Bufs: [][]byte{b[sent:]}})
			return err
		})
		sent += n
		if err != nil || sent == len(b) {
			return sent, err
		}
	}
}

func (s *sock) recv(n, flags int) (string, endpoint.Received, error) {
	s.tb.Helper()
	b := make([]byte, n)
	var r endpoint.Received
	err := s.until("recv", func() (err error) {
		r, err = s.Recv(endpoint.RecvRequest{Bufs: [][]byte{b}, Flags: flags, Control: true})
		return err
	})
	return string(b[:min(r.N, n)]), r, err
}

func inet(ip netip.Addr, port uint16) endpoint.Addr {
	return endpoint.Inet(netip.AddrPortFrom(ip, port))
}

func (s *sock) local() endpoint.Addr {
	s.tb.Helper()
	a, err := s.LocalAddr()
	check(s.tb, err)
	return a
}

// pair returns two connected streams.
func pair(tb testing.TB, p *Protocols, ip netip.Addr) (client, server *sock) {
	tb.Helper()
	a := inet(ip, 0)
	l := open(tb, p, a.Family, endpoint.SOCK_STREAM)
	check(tb, l.Bind(a))
	check(tb, l.Listen(4))
	client = open(tb, p, a.Family, endpoint.SOCK_STREAM)
	check(tb, client.connect(l.local()))
	server, _ = l.accept()
	check(tb, l.Close())
	return client, server
}

type kind struct {
	name string
	af   int
	typ  int
}

// ip is the loopback address of the kind's family.
func (k kind) ip() netip.Addr {
	if k.af == endpoint.AF_INET {
		return lo4
	}
	return lo6
}

// kinds are the four kinds of socket that most programs use.
var kinds = []kind{
	{"TCP over IPv4", endpoint.AF_INET, endpoint.SOCK_STREAM},
	{"TCP over IPv6", endpoint.AF_INET6, endpoint.SOCK_STREAM},
	{"UDP over IPv4", endpoint.AF_INET, endpoint.SOCK_DGRAM},
	{"UDP over IPv6", endpoint.AF_INET6, endpoint.SOCK_DGRAM},
}

type otherKind struct {
	name           string
	af, typ, proto int
}

// otherKinds are all others.
var otherKinds = []otherKind{
	{"UDP-Lite over IPv4", endpoint.AF_INET, endpoint.SOCK_DGRAM, endpoint.IPPROTO_UDPLITE},
	{"UDP-Lite over IPv6", endpoint.AF_INET6, endpoint.SOCK_DGRAM, endpoint.IPPROTO_UDPLITE},
	{"ping", endpoint.AF_INET, endpoint.SOCK_DGRAM, endpoint.IPPROTO_ICMP},
	{"ping over IPv6", endpoint.AF_INET6, endpoint.SOCK_DGRAM, endpoint.IPPROTO_ICMPV6},
	{"raw ICMP", endpoint.AF_INET, endpoint.SOCK_RAW, endpoint.IPPROTO_ICMP},
	{"raw ICMPv6", endpoint.AF_INET6, endpoint.SOCK_RAW, endpoint.IPPROTO_ICMPV6},
	{"raw", endpoint.AF_INET, endpoint.SOCK_RAW, 200},
	{"raw over IPv6", endpoint.AF_INET6, endpoint.SOCK_RAW, 200},
	{"sending", endpoint.AF_INET, endpoint.SOCK_RAW, endpoint.IPPROTO_RAW},
}

func group6(index int) []byte {
	b := make([]byte, 16)
	b[0], b[1], b[15] = 0xff, 0x02, 0xfb
	return append(b, intData(index)...)
}
