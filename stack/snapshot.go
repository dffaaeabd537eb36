package stack

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/netdev"
	"usersock/stack/endpoint"
)

// Snapshot is how a host is: what ss(8), ip(8) and nstat(8) tell of a machine.
// It is a plain value without ties to the stack, which encoding/json can
// encode. Its methods print it as those programs do.
type Snapshot struct {
	Time       time.Time // by the stack's clock
	Hostname   string
	Forwarding bool

	Interfaces []InterfaceStat // by index
	Auto       []AutoState     // of those that configure themselves
	Routes     []Route         // the longest prefixes first
	Neighbours []Neighbour     // by interface and address
	Sockets    []endpoint.SocketInfo
	Counters   []Metric // of the protocols: those of [Stack.Metrics] with a Linux name
}

// InterfaceStat is an interface with its link and counters. Counters start at
// the attachment.
type InterfaceStat struct {
	Index        int
	Name         string
	HardwareAddr string // "" where there is none
	Addrs        []netip.Prefix
	MTU          int
	Loopback     bool
	Up           bool // packets can pass

	Link  string // what the link says of itself, [netdev.Describe]
	Error string // why the link has ended, "" while it has not

	InterfaceCounters
	Drops netdev.Drops // what the link has lost, and why
}

// InterfaceCounters are what passed an interface. A packet that an offload
// carries in one piece counts once. Bytes are those of IP packets; on an Ethernet
// the header of the frame is counted on the way out alone.
type InterfaceCounters struct {
	RxPackets, RxBytes, RxErrors, RxDropped, RxMissed uint64
	TxPackets, TxBytes, TxErrors, TxDropped           uint64
}

// Neighbour is an entry of the ARP or neighbour discovery cache.
type Neighbour struct {
	Interface    string
	Addr         netip.Addr
	HardwareAddr string // "" while it is not known
	State        string // as ip-neighbour(8) says it: REACHABLE, STALE, FAILED, …
}

// Snapshot tells how the host is. Nothing is stopped for it: each interface,
// route, neighbour and socket is as it was at some moment of the call, but not all
// at the same one. So a connection may be seen at one end as established and at
// the other not yet, and a socket that is opened or closed meanwhile may be there
// or not. It may be called at any time and takes time in proportion to the number
// of sockets.
func (s *Stack) Snapshot() *Snapshot {
	snap := &Snapshot{
		Time:       s.clock.Now(),
		Hostname:   s.Hostname(),
		Forwarding: s.cfg.Forwarding,
		Interfaces: s.interfaceStats(),
		Auto:       s.autoStates(),
		Routes:     s.Routes(),
		Neighbours: s.neighbours(),
	}
	for _, f := range families {
		if lister, ok := s.families[f.number].(endpoint.Lister); ok {
			snap.Sockets = append(snap.Sockets, lister.List()...)
		}
	}
	slices.SortStableFunc(snap.Sockets, compareSockets)
	for _, m := range s.Metrics() {
		if m.Linux != "" {
			snap.Counters = append(snap.Counters, m)
		}
	}
	return snap
}

// compareSockets orders by family and type, listeners first, then by address.
func compareSockets(a, b endpoint.SocketInfo) int {
	listens := func(s *endpoint.SocketInfo) int {
		if s.State == endpoint.SocketListen {
			return 0
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(a.Family, b.Family), cmp.Compare(a.Type, b.Type), cmp.Compare(listens(&a), listens(&b)),
		cmp.Compare(a.Local.Path, b.Local.Path), a.Local.IP.Compare(b.Local.IP), cmp.Compare(a.Local.Port, b.Local.Port),
		a.Peer.IP.Compare(b.Peer.IP), cmp.Compare(a.Peer.Port, b.Peer.Port), cmp.Compare(a.ID, b.ID))
}

func (s *Stack) interfaceStats() (list []InterfaceStat) {
	counted := make(map[tcpip.NICID]*nicStats)
	for _, n := range s.counters.all() {
		counted[n.id] = n
	}
	for _, in := range s.Interfaces() {
		stat := InterfaceStat{
			Index: in.Index, Name: in.Name, Addrs: in.Addrs, MTU: in.MTU, Loopback: in.Loopback, Up: in.Up,
			HardwareAddr: in.HardwareAddr.String(),
		}
		if n := counted[tcpip.NICID(in.Index)]; n != nil {
			stat.Link, stat.Drops = n.text, n.lost()
			stat.InterfaceCounters = n.read(&stat.Drops)
		}
		s.mu.Lock()
		if st := s.links[tcpip.NICID(in.Index)]; st.Err != nil {
			stat.Error = st.Err.Error()
		}
		s.mu.Unlock()
		list = append(list, stat)
	}
	return list
}

func (s *Stack) neighbours() (list []Neighbour) {
	for _, in := range s.Interfaces() {
		for _, proto := range [...]tcpip.NetworkProtocolNumber{header.IPv4ProtocolNumber, header.IPv6ProtocolNumber} {
			entries, err := s.net.Neighbors(tcpip.NICID(in.Index), proto)
			if err != nil {
				continue // an interface without hardware addresses has none
			}
			for _, e := range entries {
				list = append(list, Neighbour{in.Name, ipOf(e.Addr), hardwareAddr(e.LinkAddr).String(), neighbourState(e.State)})
			}
		}
	}
	slices.SortFunc(list, func(a, b Neighbour) int {
		return cmp.Or(cmp.Compare(a.Interface, b.Interface), a.Addr.Compare(b.Addr))
	})
	return list
}

func neighbourState(s gvstack.NeighborState) string {
	switch s {
	case gvstack.Incomplete:
		return "INCOMPLETE"
	case gvstack.Reachable:
		return "REACHABLE"
	case gvstack.Stale:
		return "STALE"
	case gvstack.Delay:
		return "DELAY"
	case gvstack.Probe:
		return "PROBE"
	case gvstack.Static:
		return "PERMANENT"
	case gvstack.Unreachable:
		return "FAILED"
	}
	return "NONE"
}
