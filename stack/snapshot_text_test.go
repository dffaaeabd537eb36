package stack

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"usersock/netdev"
	"usersock/stack/endpoint"
)

// fixed is a host with one of everything that the text tells apart.
func fixed() *Snapshot {
	prefixes := func(list ...string) (out []netip.Prefix) {
		for _, p := range list {
			out = append(out, netip.MustParsePrefix(p))
		}
		return out
	}
	inet := func(at string) endpoint.Addr { return endpoint.Inet(netip.MustParseAddrPort(at)) }
	six := func(at string, scope uint32) endpoint.Addr {
		a := inet(at)
		a.Family, a.Scope = endpoint.AF_INET6, scope
		return a
	}
	tcp := endpoint.SocketInfo{Family: endpoint.AF_INET, Type: endpoint.SOCK_STREAM, Protocol: endpoint.IPPROTO_TCP, Owner: endpoint.Cred{Pid: 1}}
	udp := endpoint.SocketInfo{Family: endpoint.AF_INET, Type: endpoint.SOCK_DGRAM, Protocol: endpoint.IPPROTO_UDP, Owner: endpoint.Cred{Pid: 7, Uid: 1000}}
	with := func(s endpoint.SocketInfo, change func(*endpoint.SocketInfo)) endpoint.SocketInfo {
		change(&s)
		return s
	}
	return &Snapshot{
		Interfaces: []InterfaceStat{
			{Index: 1, Name: "lo", Addrs: prefixes("127.0.0.1/8", "::1/128"), MTU: 65536, Loopback: true, Up: true,
				InterfaceCounters: InterfaceCounters{RxPackets: 13, RxBytes: 729, TxPackets: 13, TxBytes: 729}},
			{Index: 2, Name: "eth0", HardwareAddr: "02:00:00:00:00:01", Addrs: prefixes("192.0.2.1/24", "2001:db8::1/64", "fe80::ff:fe00:1/64"), MTU: 1500, Up: true,
				Link: "segment, MTU 1500", Drops: netdev.Drops{RxQueueFull: 12345678},
				InterfaceCounters: InterfaceCounters{RxPackets: 12345678901, RxBytes: 1234567890123, RxErrors: 1, RxDropped: 2, RxMissed: 12345678, TxErrors: 3, TxDropped: 4}},
			{Index: 3, Name: "tun0", Addrs: prefixes("198.51.100.1/24"), MTU: 1400, Up: true},
			{Index: 4, Name: "tun1", MTU: 1500, Addrs: prefixes("203.0.113.1/30"), Error: "gone"},
		},
		Routes: []Route{
			{Dst: netip.MustParsePrefix("::1/128"), Dev: "lo"},
			{Dst: netip.MustParsePrefix("2001:db8::/64"), Dev: "eth0"},
			{Dst: netip.MustParsePrefix("192.0.2.77/32"), Dev: "tun0"},
			{Dst: netip.MustParsePrefix("203.0.113.0/30"), Dev: "tun1"},
			{Dst: netip.MustParsePrefix("198.51.100.0/24"), Dev: "tun0"},
			{Dst: netip.MustParsePrefix("192.0.2.0/24"), Dev: "eth0"},
			{Dst: netip.MustParsePrefix("203.0.113.128/25"), Dev: "eth0", Via: netip.MustParseAddr("192.0.2.253"), Src: netip.MustParseAddr("192.0.2.1"), MTU: 1300},
			{Dst: netip.MustParsePrefix("127.0.0.0/8"), Dev: "lo"},
			{Dst: netip.MustParsePrefix("::/0"), Dev: "eth0", Via: netip.MustParseAddr("2001:db8::ff")},
			{Dst: netip.MustParsePrefix("0.0.0.0/0"), Dev: "eth0", Via: netip.MustParseAddr("192.0.2.254")},
		},
		Neighbours: []Neighbour{
			{"eth0", netip.MustParseAddr("192.0.2.2"), "02:00:00:00:00:02", "REACHABLE"},
			{"eth0", netip.MustParseAddr("192.0.2.9"), "", "FAILED"},
		},
		Sockets: []endpoint.SocketInfo{
			{Family: endpoint.AF_UNIX, Type: endpoint.SOCK_STREAM, State: endpoint.SocketListen, Local: endpoint.Unix("/run/x"), RecvQ: 1, SendQ: 3, ID: 10},
			{Family: endpoint.AF_UNIX, Type: endpoint.SOCK_STREAM, State: endpoint.SocketEstablished, Local: endpoint.Unix("/run/x"), ID: 11, PeerID: 12, Orphan: true},
			{Family: endpoint.AF_UNIX, Type: endpoint.SOCK_DGRAM, State: endpoint.SocketClose, Local: endpoint.Unix("\x00abs"), ID: 13},
			with(tcp, func(s *endpoint.SocketInfo) {
				s.State, s.Local, s.SendQ, s.ID = endpoint.SocketListen, inet("0.0.0.0:80"), 4096, 1
			}),
			with(tcp, func(s *endpoint.SocketInfo) {
				s.State, s.Local, s.Peer, s.RecvQ, s.SendQ, s.ID = endpoint.SocketEstablished, inet("192.0.2.1:80"), inet("192.0.2.2:4001"), 5, endpoint.Unknown, 2
				s.TCP = &endpoint.TCPInfo{RTO: 204 * time.Millisecond, RTT: 1250 * time.Microsecond, RTTVar: time.Millisecond / 2, Cwnd: 10, Ssthresh: 7,
					Congestion: "cubic", SegsIn: 3, SegsOut: 4, Retrans: 1, KeepAlive: true, KeepIdle: 2 * time.Hour, KeepIntvl: 75 * time.Second}
			}),
			with(tcp, func(s *endpoint.SocketInfo) {
				s.State, s.Local, s.Peer, s.SendQ, s.Orphan = endpoint.SocketTimeWait, inet("192.0.2.1:4003"), inet("192.0.2.2:80"), endpoint.Unknown, true
				s.TCP = &endpoint.TCPInfo{Congestion: "cubic"}
			}),
			with(tcp, func(s *endpoint.SocketInfo) { s.State, s.Local = endpoint.SocketClose, inet("0.0.0.0:81") }),
			with(tcp, func(s *endpoint.SocketInfo) {
				s.Family, s.State, s.Local, s.SendQ, s.ID = endpoint.AF_INET6, endpoint.SocketListen, six("[::]:82", 0), 7, 3
			}),
			with(tcp, func(s *endpoint.SocketInfo) {
				s.Family, s.State, s.Local, s.SendQ, s.ID, s.V6Only = endpoint.AF_INET6, endpoint.SocketListen, six("[::]:83", 0), 7, 4, true
			}),
			with(tcp, func(s *endpoint.SocketInfo) {
				s.Family, s.State, s.Local, s.Peer, s.ID = endpoint.AF_INET6, endpoint.SocketCloseWait, six("[::ffff:192.0.2.1]:82", 0), six("[::ffff:192.0.2.2]:9", 0), 5
				s.TCP = &endpoint.TCPInfo{Congestion: "reno"}
			}),
			with(udp, func(s *endpoint.SocketInfo) {
				s.State, s.Local, s.Device, s.ID, s.Drops = endpoint.SocketClose, inet("0.0.0.0:53"), 2, 6, 9
			}),
			with(udp, func(s *endpoint.SocketInfo) {
				s.Family, s.State, s.Local, s.Peer, s.ID = endpoint.AF_INET6, endpoint.SocketEstablished, six("[fe80::1]:546", 2), six("[fe80::2]:547", 2), 7
			}),
			with(udp, func(s *endpoint.SocketInfo) { s.State, s.Local = endpoint.SocketClose, inet("0.0.0.0:0") }),
		},
		Counters: []Metric{{Linux: "TcpActiveOpens", Value: 3}, {Linux: "TcpRetransSegs", Value: 0}, {Linux: "TcpCurrEstab", Value: 1, Kind: Gauge}},
	}
}

// TestSnapshotText compares the text with testdata/snapshot.txt. Run it with
// USERSOCK_UPDATE=1 to write that anew.
func TestSnapshotText(t *testing.T) {
	s := fixed()
	got := s.String() + "# ss -ni\n" + s.SS(SSOptions{Info: true}) + "\n# ss -nl6\n" + s.SS(SSOptions{Listening: true, Families: []int{endpoint.AF_INET6}}) + "\n# nstat -a\n" + s.Nstat()
	file := filepath.Join("testdata", "snapshot.txt")
	if os.Getenv("USERSOCK_UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the text is not that of %s:\n%s", file, got)
	}
}
