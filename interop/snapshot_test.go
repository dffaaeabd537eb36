//go:build linux

package interop

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"usersock/interop/netns"
	"usersock/netdev"
	"usersock/sockapi"
	"usersock/stack"
)

// The same sockets are made on the kernel, by testdata/sockets.py, and on a host
// of ours. Then ss and ip print the kernel's, and a snapshot prints ours.

// snapHost is a host like the namespace: one Ethernet with the same addresses,
// and a neighbour on it.
func snapHost(t *testing.T) *sockapi.Net {
	t.Helper()
	seg := netdev.NewSegment(netdev.SegmentConfig{})
	var nets []*sockapi.Net
	for i := range 2 {
		link, err := seg.Join(netdev.PortConfig{})
		if err != nil {
			t.Fatal(err)
		}
		cfg := stack.Config{Interfaces: []stack.Interface{{Name: "snap0", Link: link, Addrs: []netip.Prefix{
			netip.MustParsePrefix(fmt.Sprintf("192.0.2.%d/24", i+1)), netip.MustParsePrefix(fmt.Sprintf("2001:db8::%d/64", i+1)),
		}}}}
		if i == 0 {
			cfg.Routes = []stack.Route{
				{Dst: netip.MustParsePrefix("198.51.100.0/24"), Via: netip.MustParseAddr("192.0.2.254"), Src: netip.MustParseAddr("192.0.2.1"), MTU: 1400},
				{Dst: netip.MustParsePrefix("2001:db8:1::/64"), Via: netip.MustParseAddr("2001:db8::ff")},
				{Dst: netip.MustParsePrefix("203.0.113.7/32"), Dev: "snap0"},
			}
		}
		st, err := stack.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { st.Close() })
		n, err := sockapi.New(sockapi.Config{Stack: st})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close() })
		nets = append(nets, n)
	}
	pc, err := nets[1].ListenPacket("udp", "192.0.2.2:9")
	if err != nil {
		t.Fatal(err)
	}
	c, err := nets[0].Dial("udp", "192.0.2.2:9")
	if err != nil {
		t.Fatal(err)
	}
	c.Write([]byte{1})
	if _, _, err := pc.ReadFrom(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	return nets[0]
}

// snapSockets does on n what testdata/sockets.py does on the kernel.
func snapSockets(t *testing.T, n *sockapi.Net, path string) (keep []*sockapi.Socket) {
	t.Helper()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const host, host6 = "192.0.2.1", "2001:db8::1"
	inet := func(host string, port int) sockapi.Addr { return sockapi.InetAddr{Host: host, Port: port} }
	inet6 := func(host string, port int) sockapi.Addr { return sockapi.Inet6Addr{Host: host, Port: port} }
	listen := func(backlog int) func(*sockapi.Socket) error {
		return func(s *sockapi.Socket) error { return s.Listen(backlog) }
	}
	connect := func(to sockapi.Addr) func(*sockapi.Socket) error {
		return func(s *sockapi.Socket) error { return s.Connect(to) }
	}
	only := func(v int) func(*sockapi.Socket) error {
		return func(s *sockapi.Socket) error { return s.Setsockopt(sockapi.IPPROTO_IPV6, sockapi.IPV6_V6ONLY, v) }
	}
	bind := func(to sockapi.Addr) func(*sockapi.Socket) error {
		return func(s *sockapi.Socket) error { return s.Bind(to) }
	}
	make := func(family, typ int, does ...func(*sockapi.Socket) error) *sockapi.Socket {
		t.Helper()
		s, err := n.Socket(family, typ, 0)
		ok(err)
		for _, do := range does {
			ok(do(s))
		}
		keep = append(keep, s)
		return s
	}
	accept := func(l *sockapi.Socket) *sockapi.Socket {
		t.Helper()
		s, _, err := l.Accept()
		ok(err)
		keep = append(keep, s)
		return s
	}
	const tcp, udp = sockapi.SOCK_STREAM, sockapi.SOCK_DGRAM
	const v4, v6, unix = sockapi.AF_INET, sockapi.AF_INET6, sockapi.AF_UNIX

	listener := make(v4, tcp, bind(inet(host, 7001)), listen(5))
	talker := make(v4, tcp, bind(inet(host, 7101)), connect(inet(host, 7001)))
	accepted := accept(listener)
	ok(talker.Sendall([]byte("hello")))
	_, err := accepted.Recv(5, sockapi.MSG_PEEK)
	ok(err)
	make(v4, tcp, bind(inet(host, 7102)), connect(inet(host, 7001)))
	_, _, _, err = n.Select([]int{listener.Fileno()}, nil, nil, sockapi.Forever)
	ok(err)
	both := make(v6, tcp, only(0), bind(inet6("::", 7002)), listen(7))
	half := make(v4, tcp, bind(inet(host, 7103)), connect(inet(host, 7002)))
	left := accept(both)
	ok(half.Shutdown(sockapi.SHUT_WR))
	_, err = left.Recv(1)
	ok(err)
	sixOnly := make(v6, tcp, only(1), bind(inet6("::", 7003)), listen(7))
	make(v6, tcp, bind(inet6(host6, 7104)), connect(inet6(host6, 7003)))
	accept(sixOnly)
	make(v4, tcp)
	make(v4, tcp, bind(inet(host, 7004)))

	make(v4, udp, bind(inet("", 7005)))
	make(v6, udp, bind(inet6("::1", 7006)))
	make(v4, udp, bind(inet(host, 7007)), connect(inet("192.0.2.9", 7999)))
	make(v4, udp, func(s *sockapi.Socket) error {
		return s.SetsockoptBytes(sockapi.SOL_SOCKET, sockapi.SO_BINDTODEVICE, []byte("snap0"))
	}, bind(inet("", 7008)))
	make(v6, udp, only(0), bind(inet6("::", 7009)))
	make(v6, udp, only(1), bind(inet6("::", 7010)))
	make(v4, udp)

	make(unix, tcp, bind(sockapi.UnixAddr{Path: path}), listen(3))
	make(unix, tcp, connect(sockapi.UnixAddr{Path: path}))
	a, b, err := n.Socketpair(unix, sockapi.SOCK_SEQPACKET, 0)
	ok(err)
	keep = append(keep, a, b)
	ok(a.Sendall([]byte("abc")))
	c, d, err := n.Socketpair(unix, udp, 0)
	ok(err)
	keep = append(keep, c, d)
	make(unix, udp, bind(sockapi.UnixAddr{Path: "\x00" + path}))
	return keep
}

// ssLines prepares what ss or a snapshot has printed: the lines of our ports, or
// of our process's AF_UNIX sockets, without what cannot be the same.
func ssLines(t *testing.T, text string, wanted *regexp.Regexp) []string {
	t.Helper()
	const columns = "Netid State Recv-Q Send-Q Local Address:Port Peer Address:Port Process"
	var lines []string
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) > 0 && f[0] == "Netid" {
			if strings.Join(f, "") != strings.ReplaceAll(columns, " ", "") {
				t.Errorf("the columns are %q", line)
			}
			continue
		}
		if !wanted.MatchString(line) || len(f) < 6 {
			continue
		}
		f = f[:min(len(f), 8)]
		if unix := strings.HasPrefix(f[0], "u_"); unix {
			f[5], f[7] = "inode", "inode"
		} else {
			f = f[:6]
		}
		lines = append(lines, strings.Join(f, " "))
	}
	slices.Sort(lines)
	return lines
}

// TestSnapshotLikeSS: our text of sockets is that of the kernel's ss.
func TestSnapshotLikeSS(t *testing.T) {
	netns.Need(t, "ss", "python3")
	netns.IP(t, "link", "add", "snap0", "type", "veth", "peer", "name", "snap1")
	defer netns.IP(t, "link", "del", "snap0")
	netns.IP(t, "link", "set", "snap1", "up")
	netns.Up(t, "snap0", "192.0.2.1/24", "2001:db8::1/64")
	path := filepath.Join(t.TempDir(), "socket")
	python := netns.Start(t, "python3", "testdata/sockets.py", "snap0", path)
	python.Expect("ready")
	n := snapHost(t)
	keep := snapSockets(t, n, path)
	ours := n.Stack().Snapshot()
	for name, c := range map[string]struct {
		flags string
		o     stack.SSOptions
	}{
		"all":       {"-anp", stack.SSOptions{All: true}},
		"listening": {"-lnp", stack.SSOptions{Listening: true}},
		"connected": {"-np", stack.SSOptions{}},
	} {
		t.Run(name, func(t *testing.T) {
			kernel := netns.Run(t, "ss", c.flags)
			inet := regexp.MustCompile(`^(tcp|udp).*:7[01]\d\d\b`)
			want, got := ssLines(t, kernel, inet), ssLines(t, ours.SS(c.o), inet)
			compareLines(t, got, want, 3)
			pid := regexp.MustCompile(`^u_.*"python3"`)
			compareLines(t, ssLines(t, ours.SS(c.o), regexp.MustCompile("^u_")), ssLines(t, kernel, pid), 1)
		})
	}
	if len(keep) == 0 {
		t.Error("no sockets") // they are open until here
	}
}

// compareLines fails if two texts differ, or have fewer lines than least.
func compareLines(t *testing.T, got, want []string, least int) {
	t.Helper()
	if !slices.Equal(got, want) || len(want) < least {
		t.Errorf("ours:\n%s\nthe kernel's:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// lacks is what the kernel's ip prints and a host of ours has not, and what
// differs in any case.
var lacks = regexp.MustCompile(`^\d+: | qdisc \S+| qlen \d+| metric \d+| pref medium| nodad`)

// ipLines are the lines of what ip prints, to compare.
func ipLines(text string) (lines []string) {
	for line := range strings.Lines(text) {
		line = strings.Replace(line, "snap0@snap1", "snap0", 1)
		line = lacks.ReplaceAllString(line, "")
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines
}

// about are the lines about the interface snap0, and those indented below.
func about(text string) string {
	var out strings.Builder
	ours := false
	head := regexp.MustCompile(`^\d+: snap0[:@]| dev snap0\b`)
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, " ") {
			ours = head.MatchString(line)
		}
		if ours {
			out.WriteString(line)
		}
	}
	return out.String()
}

// TestSnapshotLikeIP: our text of interfaces, routes and neighbours is that of
// the kernel's ip.
func TestSnapshotLikeIP(t *testing.T) {
	netns.Need(t, "ip")
	n := snapHost(t)
	snap := n.Stack().Snapshot()
	own, peer := snap.Interfaces[1].HardwareAddr, snap.Neighbours[0].HardwareAddr
	netns.IP(t, "link", "add", "snap0", "address", own, "type", "veth", "peer", "name", "snap1")
	defer netns.IP(t, "link", "del", "snap0")
	netns.IP(t, "link", "set", "snap1", "up")
	netns.Up(t, "snap0", "192.0.2.1/24", "2001:db8::1/64")
	netns.IP(t, "route", "add", "198.51.100.0/24", "via", "192.0.2.254", "dev", "snap0", "src", "192.0.2.1", "mtu", "1400")
	netns.IP(t, "route", "add", "203.0.113.7", "dev", "snap0")
	netns.IP(t, "route", "add", "2001:db8:1::/64", "via", "2001:db8::ff", "dev", "snap0")
	netns.IP(t, "neigh", "add", "192.0.2.2", "lladdr", peer, "dev", "snap0", "nud", "reachable")
	run := func(args ...string) string { return about(netns.Run(t, "ip", args...)) }
	numbers := regexp.MustCompile(`(?m)^( +[\d-]+)+ *$`) // counters
	for _, c := range []struct{ name, ours, kernel string }{
		{"addr", about(snap.IPAddr()), run("addr")},
		{"link", numbers.ReplaceAllString(about(snap.IPLink()), "numbers"), numbers.ReplaceAllString(run("-s", "link"), "numbers")},
		{"route", about(snap.IPRoute()), run("-4", "route") + run("-6", "route")},
		{"neigh", about(snap.IPNeigh()), run("-4", "neigh")},
	} {
		t.Run(c.name, func(t *testing.T) { compareLines(t, ipLines(c.ours), ipLines(c.kernel), 1) })
	}
}
