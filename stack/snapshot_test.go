package stack_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"usersock/netdev"
	"usersock/sockapi"
	"usersock/stack"
	"usersock/stack/endpoint"
)

// ethernetHosts are two hosts on an Ethernet: 192.0.2.1 and .2, 2001:db8::1 and
// ::2.
func ethernetHosts(t *testing.T) (nets [2]*sockapi.Net) {
	t.Helper()
	seg := netdev.NewSegment(netdev.SegmentConfig{})
	for i := range nets {
		link, err := seg.Join(netdev.PortConfig{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := stack.New(stack.Config{
			Hostname: fmt.Sprintf("host%d", i+1),
			Cred:     endpoint.Cred{Pid: int32(100 + i), Uid: 1000, Gid: 1000},
			Interfaces: []stack.Interface{{Name: "eth0", Link: link, Addrs: []netip.Prefix{
				netip.MustParsePrefix(fmt.Sprintf("192.0.2.%d/24", i+1)), netip.MustParsePrefix(fmt.Sprintf("2001:db8::%d/64", i+1)),
			}}},
			Routes: []stack.Route{{Dst: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("192.0.2.254")}},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		if nets[i], err = sockapi.New(sockapi.Config{Stack: s}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nets[i].Close() })
	}
	return nets
}

// must takes the value of a call that succeeds.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// readable waits until s is.
func readable(t *testing.T, n *sockapi.Net, s *sockapi.Socket) {
	t.Helper()
	_, _, _, err := n.Select([]int{s.Fileno()}, nil, nil, sockapi.Forever)
	check(t, err)
}

// fields returns the lines of a text with single blanks.
func fields(text string) (lines []string) {
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines
}

// TestSnapshotOfSockets: every kind of socket is there, with its state, queues
// and addresses.
func TestSnapshotOfSockets(t *testing.T) {
	nets := ethernetHosts(t)
	a, b := nets[0], nets[1]
	at := func(host string, port int) sockapi.Addr { return sockapi.InetAddr{Host: host, Port: port} }
	open := func(n *sockapi.Net, family, typ int) *sockapi.Socket {
		t.Helper()
		return must(n.Socket(family, typ, 0))(t)
	}

	l := open(b, sockapi.AF_INET, sockapi.SOCK_STREAM) // 1
	check(t, l.Bind(at("192.0.2.2", 80)), l.Listen(5))
	c := open(a, sockapi.AF_INET, sockapi.SOCK_STREAM)
	check(t, c.Bind(at("192.0.2.1", 4001)), c.Connect(at("192.0.2.2", 80)))
	accepted, _, err := l.Accept() // 2
	check(t, err)
	check(t, c.Sendall([]byte("hello")))
	must(accepted.Recv(100, sockapi.MSG_PEEK))(t)
	waiting := open(a, sockapi.AF_INET, sockapi.SOCK_STREAM)
	check(t, waiting.Bind(at("192.0.2.1", 4002)), waiting.Connect(at("192.0.2.2", 80)))
	readable(t, b, l)
	both := open(b, sockapi.AF_INET6, sockapi.SOCK_STREAM) // 3
	check(t, both.Bind(sockapi.Inet6Addr{Host: "::", Port: 81}), both.Listen(7))
	only := open(b, sockapi.AF_INET6, sockapi.SOCK_STREAM) // 4
	check(t, only.Setsockopt(sockapi.IPPROTO_IPV6, sockapi.IPV6_V6ONLY, 1))
	check(t, only.Bind(sockapi.Inet6Addr{Host: "::", Port: 82}), only.Listen(7))
	late := open(a, sockapi.AF_INET, sockapi.SOCK_STREAM)
	half := open(a, sockapi.AF_INET, sockapi.SOCK_STREAM)
	check(t, half.Bind(at("192.0.2.1", 4003)), half.Connect(at("192.0.2.2", 81)))
	left, _, err := both.Accept() // 5
	check(t, err)
	check(t, half.Shutdown(sockapi.SHUT_WR))
	must(left.Recv(1))(t)
	check(t, late.Bind(at("192.0.2.1", 4004)), late.Connect(at("192.0.2.2", 81)))
	readable(t, b, both)
	open(b, sockapi.AF_INET, sockapi.SOCK_STREAM) // 6: not shown by ss

	u := open(b, sockapi.AF_INET, sockapi.SOCK_DGRAM) // 7
	check(t, u.Bind(at("", 53)))
	for _, text := range []string{"12345", "123"} {
		must(open(a, sockapi.AF_INET, sockapi.SOCK_DGRAM).Sendto([]byte(text), at("192.0.2.2", 53)))(t)
	}
	readable(t, b, u)
	u6 := open(b, sockapi.AF_INET6, sockapi.SOCK_DGRAM) // 8
	check(t, u6.Bind(sockapi.Inet6Addr{Host: "2001:db8::2", Port: 54}))
	check(t, u6.Connect(sockapi.Inet6Addr{Host: "2001:db8::1", Port: 99}))
	dev := open(b, sockapi.AF_INET, sockapi.SOCK_DGRAM) // 9
	check(t, dev.SetsockoptBytes(sockapi.SOL_SOCKET, sockapi.SO_BINDTODEVICE, []byte("eth0")), dev.Bind(at("", 540)))

	x := open(b, sockapi.AF_UNIX, sockapi.SOCK_STREAM) // 10
	check(t, x.Bind(sockapi.UnixAddr{Path: "/run/x"}), x.Listen(3))
	y := open(b, sockapi.AF_UNIX, sockapi.SOCK_STREAM)                    // 11
	check(t, y.Connect(sockapi.UnixAddr{Path: "/run/x"}))                 // 12 waits
	p, _, err := b.Socketpair(sockapi.AF_UNIX, sockapi.SOCK_SEQPACKET, 0) // 13, 14
	check(t, err)
	check(t, p.Sendall([]byte("abc")))
	d := open(b, sockapi.AF_UNIX, sockapi.SOCK_DGRAM) // 15
	check(t, d.Bind(sockapi.UnixAddr{Path: "\x00abs"}))

	snap := b.Stack().Snapshot()
	want := []string{
		"Netid State Recv-Q Send-Q Local Address:Port Peer Address:Port Process",
		"u_str LISTEN 1 3 /run/x 10 * 0 users:((pid=101)) uid:1000 ino:10",
		"u_str ESTAB 0 0 * 11 * 12 users:((pid=101)) uid:1000 ino:11",
		"u_dgr UNCONN 0 0 @abs 15 * 0 users:((pid=101)) uid:1000 ino:15",
		"u_seq ESTAB 0 768 * 13 * 14 users:((pid=101)) uid:1000 ino:13",
		"u_seq ESTAB 3 0 * 14 * 13 users:((pid=101)) uid:1000 ino:14",
		"tcp LISTEN 1 5 192.0.2.2:80 0.0.0.0:* users:((pid=101)) uid:1000 ino:1",
		"tcp ESTAB 5 0 192.0.2.2:80 192.0.2.1:4001 users:((pid=101)) uid:1000 ino:2",
		"tcp ESTAB 0 0 192.0.2.2:80 192.0.2.1:4002 ino:0",
		"udp UNCONN 1664 0 0.0.0.0:53 0.0.0.0:* users:((pid=101)) uid:1000 ino:7",
		"udp UNCONN 0 0 0.0.0.0%eth0:540 0.0.0.0:* users:((pid=101)) uid:1000 ino:9",
		"tcp LISTEN 1 7 *:81 *:* users:((pid=101)) uid:1000 ino:3",
		"tcp LISTEN 0 7 [::]:82 [::]:* users:((pid=101)) uid:1000 ino:4",
		"tcp CLOSE-WAIT 0 0 [::ffff:192.0.2.2]:81 [::ffff:192.0.2.1]:4003 users:((pid=101)) uid:1000 ino:5",
		"tcp ESTAB 0 0 [::ffff:192.0.2.2]:81 [::ffff:192.0.2.1]:4004 ino:0",
		"udp ESTAB 0 0 [2001:db8::2]:54 [2001:db8::1]:99 users:((pid=101)) uid:1000 ino:8",
	}
	if got := fields(snap.SS(stack.SSOptions{All: true, Extended: true})); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := fields(snap.SS(stack.SSOptions{Listening: true, Families: []int{sockapi.AF_INET6}})); len(got) != 3 {
		t.Errorf("ss -6l: %q", got)
	}
	if got := fields(snap.SS(stack.SSOptions{Families: []int{sockapi.AF_INET}, Info: true})); len(got) != 5 || !strings.Contains(got[2], "cubic rto:") {
		t.Errorf("ss -4i: %q", got)
	}
	// Sockets that ss does not show are in the value.
	var fresh int
	for _, s := range snap.Sockets {
		if s.Protocol == sockapi.IPPROTO_TCP && s.State == endpoint.SocketClose {
			fresh++
		}
	}
	if fresh != 1 || len(snap.Sockets) != 17 {
		t.Errorf("%d unconnected TCP sockets of %d, want 1 of 17", fresh, len(snap.Sockets))
	}

	// A closed connection rests in TIME-WAIT, without an owner; a socket is gone
	// when it is closed.
	check(t, left.Close())
	must(half.Recv(1))(t)
	check(t, half.Close(), u.Close(), d.Close())
	text := strings.Join(fields(a.Stack().Snapshot().SS(stack.SSOptions{All: true})), "\n")
	if !strings.Contains(text, "tcp TIME-WAIT 0 0 192.0.2.1:4003 192.0.2.2:81") {
		t.Errorf("no trace of the closed connection:\n%s", text)
	}
	if text := b.Stack().Snapshot().SS(stack.SSOptions{All: true}); strings.Contains(text, ":53 ") || strings.Contains(text, "@abs") {
		t.Errorf("closed sockets are there:\n%s", text)
	}

	// The neighbour that was spoken to is known by its address.
	mac := a.Stack().Snapshot().Interfaces[1].HardwareAddr
	if neigh := b.Stack().Snapshot().IPNeigh(); !strings.Contains(neigh, "192.0.2.1 dev eth0 lladdr "+mac+" REACHABLE") {
		t.Errorf("ip neigh: %q", neigh)
	}
}

// TestSnapshotOfTrouble: a connection that is being made, listeners that share
// an address, datagrams that found no room.
func TestSnapshotOfTrouble(t *testing.T) {
	a, b := netdev.Pair(netdev.PairConfig{})
	netdev.Close(b)
	s := must(stack.New(stack.Config{Interfaces: []stack.Interface{{Link: a, Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}}}}))(t)
	defer s.Close()
	n := must(sockapi.New(sockapi.Config{Stack: s}))(t)
	defer n.Close()
	calling := must(n.Socket(sockapi.AF_INET, sockapi.SOCK_STREAM, 0))(t)
	check(t, calling.Bind(sockapi.InetAddr{Host: "192.0.2.1", Port: 4001}), calling.Setblocking(false))
	if err := calling.Connect(sockapi.InetAddr{Host: "192.0.2.9", Port: 80}); !errors.Is(err, endpoint.EINPROGRESS) {
		t.Fatal(err)
	}
	for range 2 {
		l := must(n.Socket(sockapi.AF_INET, sockapi.SOCK_STREAM, 0))(t)
		check(t, l.Setsockopt(sockapi.SOL_SOCKET, sockapi.SO_REUSEPORT, 1), l.Bind(sockapi.InetAddr{Host: "127.0.0.1", Port: 80}), l.Listen(1))
		defer l.Close()
	}
	full := must(n.Socket(sockapi.AF_INET, sockapi.SOCK_DGRAM, 0))(t)
	check(t, full.Setsockopt(sockapi.SOL_SOCKET, sockapi.SO_RCVBUF, 4096), full.Bind(sockapi.InetAddr{Host: "127.0.0.1", Port: 53}))
	from := must(n.Dial("udp", "127.0.0.1:53"))(t)
	for range 100 {
		must(from.Write(make([]byte, 1000)))(t)
	}
	text := strings.Join(fields(s.Snapshot().SS(stack.SSOptions{All: true, Extended: true})), "\n")
	for _, want := range []string{
		"tcp SYN-SENT 0 1 192.0.2.1:4001 192.0.2.9:80 users:((pid=1)) ino:1",
		"tcp LISTEN - 1 127.0.0.1:80 0.0.0.0:* users:((pid=1)) ino:2",
		"udp UNCONN 6912 0 127.0.0.1:53 0.0.0.0:* users:((pid=1)) ino:4 skmem:(d",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no line %q in\n%s", want, text)
		}
	}
	if metric(t, s.Metrics(), "UdpRcvbufErrors") == 0 {
		t.Error("no datagram was lost")
	}
	check(t, calling.Close(), full.Close())
}

// TestSnapshotJSON: nothing is lost on the way through JSON.
func TestSnapshotJSON(t *testing.T) {
	nets := ethernetHosts(t)
	l := must(nets[1].Listen("tcp", "192.0.2.2:80"))(t)
	must(nets[0].Dial("tcp", "192.0.2.2:80"))(t)
	must(l.Accept())(t)
	snap := nets[1].Stack().Snapshot()
	var again stack.Snapshot
	text := must(json.Marshal(snap))(t)
	check(t, json.Unmarshal(text, &again))
	if got, want := again.String(), snap.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if !strings.Contains(string(text), `"State":"LISTEN"`) || !strings.Contains(string(text), `"RTO":`) {
		t.Errorf("%s", text)
	}
}

// TestSnapshotWhileBusy: a snapshot may be taken while everything changes.
func TestSnapshotWhileBusy(t *testing.T) {
	nets := ethernetHosts(t)
	l := must(nets[1].Listen("tcp", "192.0.2.2:80"))(t)
	var servers, clients sync.WaitGroup
	servers.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			servers.Go(func() {
				io.Copy(c, c)
				c.Close()
			})
		}
	})
	for range 4 {
		clients.Go(func() {
			for range 30 {
				c, err := nets[0].Dial("tcp", "192.0.2.2:80")
				if err != nil {
					t.Error(err)
					return
				}
				c.Write(make([]byte, 10000))
				c.(*sockapi.Conn).CloseWrite()
				if n, err := io.Copy(io.Discard, c); n != 10000 || err != nil {
					t.Errorf("%d bytes, %v", n, err)
				}
				c.Close()
			}
		})
	}
	clients.Go(func() {
		for range 50 {
			link, other := netdev.Pair(netdev.PairConfig{})
			check := func(err error) {
				if err != nil {
					t.Error(err)
				}
			}
			check(nets[1].Stack().Attach(stack.Interface{Name: "brief", Link: link, Addrs: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/24")}}))
			check(nets[1].Stack().Detach("brief"))
			netdev.Close(other)
		}
	})
	over := make(chan struct{})
	go func() {
		clients.Wait()
		close(over)
	}()
	seen := 0
	for running := true; running; {
		select {
		case <-over:
			running = false
		default:
		}
		for _, n := range nets {
			for _, s := range n.Stack().Snapshot().Sockets {
				if s.State == endpoint.SocketEstablished {
					seen++
				}
			}
			n.Stack().Metrics()
		}
	}
	if seen == 0 {
		t.Error("no connection was ever seen")
	}
	l.Close()
	servers.Wait()
}

// TestSnapshotOfAClosedStack: it is empty, not a crash.
func TestSnapshotOfAClosedStack(t *testing.T) {
	n := ethernetHosts(t)[0]
	must(n.Listen("tcp", "192.0.2.1:80"))(t)
	must(n.Listen("unix", "/x"))(t)
	n.Close()
	n.Stack().Close()
	if snap := n.Stack().Snapshot(); len(snap.Sockets) != 0 || len(snap.Interfaces) != 0 {
		t.Errorf("%+v", snap)
	}
}
