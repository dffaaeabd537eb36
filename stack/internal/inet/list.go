package inet

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

// Info is what one socket looks like from outside, for a listing.
type Info struct {
	Family   int
	Type     int
	Protocol int
	Local    endpoint.Addr
	Peer     endpoint.Addr // family 0: none
	State    string        // as ss(8) names it: ESTAB, LISTEN, UNCONN
	RecvQ    int           // endpoint.Unknown if netstack does not say
	SendQ    int
	Cookie   uint64 // SO_COOKIE; 0 for what no program holds
	UID      uint32 // of who opened it; 0 for what no program holds
	Held     bool   // a program has a descriptor of it
	Device   int    // SO_BINDTODEVICE, an interface index; 0: none
	TCP      *TCPInfo
}

// TCPInfo is what netstack tells of a connection.
type TCPInfo struct {
	RTT, RTTVar, RTO time.Duration
	Cwnd, Ssthresh   uint32
	KeepAlive        bool
	Retransmits      uint64
}

// tcpList has the stream endpoints that programs hold, in no order. Netstack
// knows only those that have a port, and not whose they are.
type tcpList struct {
	mu      sync.Mutex // a leaf
	members map[*tcpEndpoint]struct{}
}

func (l *tcpList) add(t *tcpEndpoint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.members == nil {
		l.members = make(map[*tcpEndpoint]struct{})
	}
	l.members[t] = struct{}{}
}

func (l *tcpList) remove(t *tcpEndpoint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.members, t)
}

func (l *tcpList) all() []*tcpEndpoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]*tcpEndpoint, 0, len(l.members))
	for t := range l.members {
		list = append(list, t)
	}
	return list
}

// List tells of every socket: those that programs hold, connections that wait
// to be accepted, and closed ones that linger. No lock is held across the
// questions to netstack, so the list is of one moment for each socket only.
func (p *Protocols) List() []Info {
	var list []Info
	seen := make(map[gvstack.TransportEndpoint]bool)
	for _, t := range p.streams.all() {
		raw := t.raw.Load()
		seen[raw] = true
		in := t.info(raw)
		in.State = tcpState(raw.EndpointState())
		in.TCP = tcpInfo(raw)
		list = append(list, in)
	}
	for _, u := range p.datagrams.all() {
		if raw, ok := u.raw.(gvstack.TransportEndpoint); ok {
			seen[raw] = true
		}
		in := u.info(u.raw)
		in.State = udpState(u.state())
		list = append(list, in)
	}
	for _, ep := range append(p.stack.RegisteredEndpoints(), p.stack.CleanupEndpoints()...) {
		if seen[ep] {
			continue
		}
		seen[ep] = true
		raw, ok := ep.(*tcp.Endpoint)
		if !ok {
			continue // UDP that was closed just now
		}
		list = append(list, p.strangerInfo(raw))
	}
	slices.SortFunc(list, compareInfo)
	return list
}

// info is what TCP and UDP tell alike.
func (s *socket) info(raw tcpip.Endpoint) Info {
	in := Info{
		Family: int(s.af), Type: int(s.typ), Protocol: int(s.proto),
		RecvQ: endpoint.Unknown, SendQ: endpoint.Unknown,
		Cookie: s.cookie(), UID: s.uid, Held: !s.closed.Load(),
		Device: int(raw.SocketOptions().GetBindToDevice()),
	}
	if fa, err := raw.GetLocalAddress(); err == nil {
		in.Local = s.socketAddr(fa)
	}
	if fa, err := raw.GetRemoteAddress(); err == nil {
		in.Peer = s.socketAddr(fa)
	}
	if n, err := raw.GetSockOptInt(tcpip.ReceiveQueueSizeOption); err == nil {
		in.RecvQ = n
	}
	return in
}

// strangerInfo tells of a connection that no program holds.
func (p *Protocols) strangerInfo(raw *tcp.Endpoint) Info {
	s := socket{p: p, af: endpoint.AF_INET, typ: endpoint.SOCK_STREAM, proto: endpoint.IPPROTO_TCP}
	if id, ok := raw.Info().(*gvstack.TransportEndpointInfo); ok && id.NetProto == header.IPv6ProtocolNumber {
		s.af = endpoint.AF_INET6
	}
	s.closed.Store(true)
	in := s.info(raw)
	in.Cookie = 0
	in.State = tcpState(raw.EndpointState())
	in.TCP = tcpInfo(raw)
	return in
}

func tcpInfo(raw *tcp.Endpoint) *TCPInfo {
	switch raw.EndpointState() {
	case tcp.StateEstablished, tcp.StateFinWait1, tcp.StateFinWait2, tcp.StateCloseWait, tcp.StateClosing, tcp.StateLastAck:
	default:
		return nil
	}
	info := &TCPInfo{KeepAlive: raw.SocketOptions().GetKeepAlive()}
	var o tcpip.TCPInfoOption
	if err := raw.GetSockOpt(&o); err == nil {
		info.RTT, info.RTTVar, info.RTO = o.RTT, o.RTTVar, o.RTO
		info.Cwnd, info.Ssthresh = o.SndCwnd, o.SndSsthresh
	}
	if st, ok := raw.Stats().(*tcp.Stats); ok {
		info.Retransmits = st.SendErrors.Retransmits.Value()
	}
	return info
}

// tcpState names a state as ss(8) does.
func tcpState(s tcp.EndpointState) string {
	switch s {
	case tcp.StateListen:
		return "LISTEN"
	case tcp.StateConnecting, tcp.StateSynSent:
		return "SYN-SENT"
	case tcp.StateSynRecv:
		return "SYN-RECV"
	case tcp.StateEstablished:
		return "ESTAB"
	case tcp.StateFinWait1:
		return "FIN-WAIT-1"
	case tcp.StateFinWait2:
		return "FIN-WAIT-2"
	case tcp.StateTimeWait:
		return "TIME-WAIT"
	case tcp.StateCloseWait:
		return "CLOSE-WAIT"
	case tcp.StateLastAck:
		return "LAST-ACK"
	case tcp.StateClosing:
		return "CLOSING"
	}
	return "UNCONN"
}

func udpState(s transport.DatagramEndpointState) string {
	if s == transport.DatagramEndpointStateConnected {
		return "ESTAB"
	}
	return "UNCONN"
}

// compareInfo orders by protocol, address and who came first.
func compareInfo(a, b Info) int {
	return cmp.Or(
		cmp.Compare(b.Protocol, a.Protocol), // UDP first, as ss
		cmp.Compare(a.Family, b.Family),
		a.Local.IP.Compare(b.Local.IP),
		cmp.Compare(a.Local.Port, b.Local.Port),
		a.Peer.IP.Compare(b.Peer.IP),
		cmp.Compare(a.Peer.Port, b.Peer.Port),
		cmp.Compare(a.Cookie, b.Cookie),
	)
}


