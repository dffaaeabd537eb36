package stack_test

import (
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"usersock/netdev"
	"usersock/sockapi"
	"usersock/stack"
	"usersock/stack/endpoint"
)

// metric returns the value of a metric by the form of its line,
// name{label="value"}, or by its Linux name.
func metric(t *testing.T, list []stack.Metric, name string) uint64 {
	t.Helper()
	for _, m := range list {
		if key, _, _ := strings.Cut(m.String(), " "); key == name || m.Linux == name {
			return m.Value
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// TestMetricsMove: the counters count what passes.
func TestMetricsMove(t *testing.T) {
	nets := ethernetHosts(t)
	before := nets[1].Stack().Metrics()
	delta := func(name string) uint64 {
		t.Helper()
		return metric(t, nets[1].Stack().Metrics(), name) - metric(t, before, name)
	}
	l := must(nets[1].Listen("tcp", "192.0.2.2:80"))(t)
	c := must(nets[0].Dial("tcp", "192.0.2.2:80"))(t)
	s := must(l.Accept())(t)
	must(c.Write(make([]byte, 5000)))(t)
	must(io.ReadFull(s, make([]byte, 5000)))(t)
	pc := must(nets[1].ListenPacket("udp", "[2001:db8::2]:53"))(t)
	u := must(nets[0].Dial("udp", "[2001:db8::2]:53"))(t)
	must(u.Write(make([]byte, 100)))(t)
	_, _, err := pc.ReadFrom(make([]byte, 100))
	check(t, err)
	// A datagram for nobody is answered with an error.
	nobody := must(nets[0].Dial("udp", "192.0.2.2:9"))(t)
	must(nobody.Write([]byte{1}))(t)
	if _, err := nobody.Read(make([]byte, 1)); err == nil {
		t.Error("an answer from nobody")
	}
	for name, want := range map[string]uint64{
		"TcpPassiveOpens": 1, "TcpActiveOpens": 0, "TcpRetransSegs": 0, "TcpInErrs": 0, "TcpCurrEstab": 1,
		"UdpInDatagrams": 1, "UdpNoPorts": 1, "UdpOutDatagrams": 0, "IcmpOutDestUnreachs": 1, "IpInHdrErrors": 0,
		`usersock_sockets{protocol="tcp"}`: 2, `usersock_sockets{protocol="udp"}`: 1, `usersock_sockets{protocol="unix"}`: 0,
		`usersock_network_receive_errs_total{device="eth0"}`: 0,
	} {
		if got := delta(name); got != want {
			t.Errorf("%s grew by %d, want %d", name, got, want)
		}
	}
	for name, least := range map[string]uint64{
		"TcpInSegs": 3, "TcpOutSegs": 2, "IpInReceives": 4, "IpInDelivers": 4, "IpOutRequests": 3, "Ip6InReceives": 2, "Ip6OutRequests": 1,
		"Icmp6InNeighborSolicits":                                1,
		`usersock_network_receive_bytes_total{device="eth0"}`:    5000 + 100,
		`usersock_network_receive_packets_total{device="eth0"}`:  6,
		`usersock_network_transmit_packets_total{device="eth0"}`: 4,
	} {
		if got := delta(name); got < least || got > 100*least {
			t.Errorf("%s grew by %d, want %d or some more", name, got, least)
		}
	}
	check(t, s.Close(), l.Close(), pc.Close())
	if got := delta(`usersock_sockets{protocol="tcp"}`); got != 0 {
		t.Errorf("%d sockets are open", got)
	}
}

// TestMetricsOfALossyLink: what TCP sends again is counted, for the host and for
// the connection, in virtual time.
func TestMetricsOfALossyLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		driver, stacks, nets, end := lossyHosts(t, 1)
		defer end()
		l := must(nets[1].Listen("tcp", "192.0.2.2:80"))(t)
		driver.Start()
		var receiver sync.WaitGroup
		receiver.Go(func() {
			s, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			if n, err := io.Copy(io.Discard, s); n != rackBytes || err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
			s.Close()
		})
		c := must(nets[0].Dial("tcp", "192.0.2.2:80"))(t)
		must(c.Write(make([]byte, rackBytes)))(t)
		c.(*sockapi.Conn).CloseWrite()
		must(io.ReadAll(c))(t)
		snap, metrics := stacks[0].Snapshot(), stacks[0].Metrics()
		again := metric(t, metrics, "TcpRetransSegs")
		if again == 0 || metric(t, metrics, "TcpOutSegs") <= again {
			t.Errorf("%d segments sent again", again)
		}
		if timeouts := metric(t, metrics, "TcpExtTCPTimeouts"); timeouts == 0 {
			t.Error("no timeout")
		}
		found := false
		for _, s := range snap.Sockets {
			if s.Peer == endpoint.Inet(netip.MustParseAddrPort("192.0.2.2:80")) {
				found = true
				if s.TCP == nil || s.TCP.Retrans == 0 || s.TCP.RTT < 2*rackDelay {
					t.Errorf("the connection: %+v", s.TCP)
				}
			}
		}
		if !found {
			t.Errorf("no connection in %+v", snap.Sockets)
		}
		c.Close()
		l.Close()
		receiver.Wait()
	})
}

// TestMetricsNeverGoBack: what an interface has counted stays in the totals of
// its host.
func TestMetricsNeverGoBack(t *testing.T) {
	nets := ethernetHosts(t)
	must(nets[1].ListenPacket("udp", "192.0.2.2:53"))(t)
	c := must(nets[0].Dial("udp", "192.0.2.2:53"))(t)
	must(c.Write([]byte{1}))(t)
	s := nets[0].Stack()
	sent := metric(t, s.Metrics(), "IpOutRequests")
	if sent == 0 {
		t.Fatal("nothing was sent")
	}
	check(t, s.Detach("eth0"))
	if now := metric(t, s.Metrics(), "IpOutRequests"); now < sent {
		t.Errorf("%d packets sent, then %d", sent, now)
	}
	for _, m := range s.Metrics() {
		if strings.Contains(m.Label, "eth0") {
			t.Errorf("%v of an interface that is gone", m)
		}
	}
}

// TestMetricsOfDrops: what the link loses is its interface's.
func TestMetricsOfDrops(t *testing.T) {
	a, b := netdev.Pair(netdev.PairConfig{})
	netdev.Close(b)
	s := must(stack.New(stack.Config{Interfaces: []stack.Interface{{Name: "eth0", Link: a, Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}}}}))(t)
	defer s.Close()
	n := must(sockapi.New(sockapi.Config{Stack: s}))(t)
	defer n.Close()
	c := must(n.Dial("udp", "192.0.2.2:53"))(t)
	for range 3 {
		must(c.Write([]byte{1}))(t)
	}
	if got := metric(t, s.Metrics(), `usersock_network_transmit_drop_total{device="eth0"}`); got != 3 {
		t.Errorf("%d packets dropped, want 3", got)
	}
	if in := s.Snapshot().Interfaces[1]; in.TxDropped != 3 || in.TxPackets != 3 || in.Drops.TxDown != 3 {
		t.Errorf("%+v", in)
	}
}

// TestMetricsOfAFamily: a host without IPv4 has no counters of it, and names are
// unique.
func TestMetricsOfAFamily(t *testing.T) {
	s := must(stack.New(stack.Config{Families: []int{endpoint.AF_INET6}}))(t)
	defer s.Close()
	seen := make(map[string]bool)
	for _, m := range s.Metrics() {
		if strings.HasPrefix(m.Linux, "IpIn") || strings.HasPrefix(m.Linux, "IcmpIn") {
			t.Errorf("%v of IPv4", m)
		}
		key, _, _ := strings.Cut(m.String(), " ")
		if seen[key] || m.Help == "" || m.Kind == 0 {
			t.Errorf("%+v: twice, or incomplete", m)
		}
		seen[key] = true
	}
	if !seen["usersock_netstat_Ip6_InReceives"] {
		t.Error("no counters of IPv6")
	}
}

// TestMetricsAllocations: sockets cost nothing.
func TestMetricsAllocations(t *testing.T) {
	s := must(stack.New(stack.Config{}))(t)
	defer s.Close()
	measure := func() float64 { return testing.AllocsPerRun(20, func() { s.Metrics() }) }
	few := measure()
	for range 500 {
		must(s.Open(endpoint.AF_INET, endpoint.Request{Type: endpoint.SOCK_STREAM}))(t)
		must(s.Open(endpoint.AF_UNIX, endpoint.Request{Type: endpoint.SOCK_STREAM}))(t)
	}
	if many := measure(); many > few || few > 5 {
		t.Errorf("%v allocations, with 1000 sockets %v", few, many)
	}
}

func BenchmarkMetrics(b *testing.B) {
	s, err := stack.New(stack.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.ReportAllocs()
	for b.Loop() {
		s.Metrics()
	}
}

func BenchmarkSnapshot1000(b *testing.B) {
	s, err := stack.New(stack.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for range 1000 {
		if _, err := s.Open(endpoint.AF_INET, endpoint.Request{Type: endpoint.SOCK_STREAM}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Snapshot()
	}
}

// TestWriteMetrics: each name has one head, whatever the number of interfaces.
func TestWriteMetrics(t *testing.T) {
	var text strings.Builder
	check(t, stack.WriteMetrics(&text, ethernetHosts(t)[0].Stack().Metrics()))
	heads := make(map[string]int)
	for line := range strings.Lines(text.String()) {
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			heads[name]++
			if heads[name] > 1 {
				t.Errorf("%q twice", line)
			}
		}
	}
	want := "# HELP usersock_network_receive_packets_total packets received\n# TYPE usersock_network_receive_packets_total counter\n" +
		"usersock_network_receive_packets_total{device=\"lo\"} 0\nusersock_network_receive_packets_total{device=\"eth0\"} "
	if !strings.Contains(text.String(), want) {
		t.Errorf("no %q in\n%s", want, &text)
	}
}

// TestMetricsOfARouter: what a router forwards, and what it may not.
func TestMetricsOfARouter(t *testing.T) {
	host := func(forwards bool, route string, links ...stack.Interface) *sockapi.Net {
		t.Helper()
		cfg := stack.Config{Forwarding: forwards, Interfaces: links}
		if route != "" {
			cfg.Routes = []stack.Route{{Dst: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr(route)}}
		}
		s := must(stack.New(cfg))(t)
		t.Cleanup(func() { s.Close() })
		n := must(sockapi.New(sockapi.Config{Stack: s}))(t)
		t.Cleanup(func() { n.Close() })
		return n
	}
	on := func(l netdev.Link, addr string) stack.Interface {
		return stack.Interface{Link: l, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}}
	}
	a, ra := netdev.Pair(netdev.PairConfig{})
	rb, b := netdev.Pair(netdev.PairConfig{})
	router := host(true, "", on(ra, "192.0.2.254/24"), on(rb, "198.51.100.254/24")).Stack()
	alice, bob := host(false, "192.0.2.254", on(a, "192.0.2.1/24")), host(false, "198.51.100.254", on(b, "198.51.100.1/24"))
	pc := must(bob.ListenPacket("udp", "198.51.100.1:53"))(t)
	c := must(alice.Socket(sockapi.AF_INET, sockapi.SOCK_DGRAM, 0))(t)
	check(t, c.Connect(sockapi.InetAddr{Host: "198.51.100.1", Port: 53}))
	const passed, expired = 3, 2
	for range passed {
		must(c.Send([]byte{1}))(t)
		_, _, err := pc.ReadFrom(make([]byte, 1))
		check(t, err)
	}
	check(t, c.Setsockopt(sockapi.IPPROTO_IP, sockapi.IP_TTL, 1))
	for range expired {
		must(c.Send([]byte{1}))(t)
	}
	m := router.Metrics()
	for name, want := range map[string]uint64{
		"IpInReceives": passed + expired, "IpInHdrErrors": expired, "IcmpOutTimeExcds": expired, "IpInDelivers": 0,
		"IpOutRequests": passed + expired, // what was forwarded, and the errors
	} {
		if got := metric(t, m, name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
	check(t, c.Close(), pc.Close())
}
