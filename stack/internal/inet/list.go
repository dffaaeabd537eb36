package inet

import (
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

// What ss(8) shows. Our lists have the endpoints that programs hold; netstack's
// has the connections that nobody holds: those that wait to be accepted, and
// those that were closed and are not over. How long an accept queue is netstack
// does not tell, so the first of these are counted.
//
// No list is locked while an endpoint is asked.

var _ endpoint.Lister = (*family)(nil)

// List implements endpoint.Lister.
func (f *family) List() (list []endpoint.SocketInfo) {
	s := f.p.survey()
	for _, t := range s.streams {
		if int(t.af) != f.af {
			continue
		}
		info := t.info(t.raw.Load())
		if info.State == endpoint.SocketListen {
			info.RecvQ = s.waiting(info.Local)
		}
		list = append(list, info)
	}
	for _, t := range s.closing {
		if int(t.af) == f.af {
			info := t.info(t.raw.Load())
			info.Orphan = true
			list = append(list, info)
		}
	}
	for _, raw := range s.orphans {
		// An AF_INET6 socket's connection is IPv6 to netstack, whatever its packets.
		if raw.Info().(*gvstack.TransportEndpointInfo).NetProto == f.net {
			list = append(list, f.orphan(raw))
		}
	}
	for _, d := range f.p.datagrams.all() {
		if int(d.af) == f.af {
			list = append(list, d.info())
		}
	}
	return list
}

// Count returns how many endpoints programs hold.
func (p *Protocols) Count() (streams, datagrams int) { return p.streams.len(), p.datagrams.len() }

// survey is who is there, of both families.
type survey struct {
	streams, closing []*tcpEndpoint
	orphans          []*tcp.Endpoint // of which we know nothing

	// How many connections wait at a listening address, and how many listeners
	// share it (SO_REUSEPORT).
	queues    map[netip.AddrPort]int
	listeners map[netip.AddrPort]int
}

func (p *Protocols) survey() *survey {
	s := &survey{
		streams: p.streams.all(), closing: p.closing.all(),
		queues: make(map[netip.AddrPort]int), listeners: make(map[netip.AddrPort]int),
	}
	known := make(map[*tcp.Endpoint]bool)
	for _, t := range s.closing {
		known[t.raw.Load()] = true
	}
	for _, t := range s.streams {
		raw := t.raw.Load()
		known[raw] = true
		if raw.EndpointState() == tcp.StateListen {
			if a, err := t.LocalAddr(); err == nil {
				s.listeners[listening(a)]++
			}
		}
	}
	for _, eps := range [...][]gvstack.TransportEndpoint{p.stack.RegisteredEndpoints(), p.stack.CleanupEndpoints()} {
		for _, ep := range eps {
			raw, ok := ep.(*tcp.Endpoint)
			if !ok || known[raw] || over(raw) || raw.EndpointState() == tcp.StateListen {
				continue
			}
			known[raw] = true
			s.orphans = append(s.orphans, raw)
			if state := raw.EndpointState(); state == tcp.StateEstablished || state == tcp.StateCloseWait {
				s.enqueue(raw)
			}
		}
	}
	return s
}

// enqueue counts a connection where it waits: at the listener of its address, or
// of any.
func (s *survey) enqueue(raw *tcp.Endpoint) {
	local := raw.Info().(*gvstack.TransportEndpointInfo).ID
	ip := ipOf(local.LocalAddress)
	for _, at := range [...]netip.Addr{ip, anyOf(ip), netip.IPv6Unspecified()} {
		if key := netip.AddrPortFrom(at, local.LocalPort); s.listeners[key] > 0 {
			s.queues[key]++
			return
		}
	}
}

// waiting is the length of the accept queue at an address.
func (s *survey) waiting(local endpoint.Addr) int {
	key := listening(local)
	if s.listeners[key] > 1 {
		return endpoint.Unknown // netstack does not tell whose it is
	}
	return s.queues[key]
}

// listening is the key of an address that is listened to.
func listening(a endpoint.Addr) netip.AddrPort { return netip.AddrPortFrom(a.IP.Unmap(), a.Port) }

func ipOf(a tcpip.Address) netip.Addr {
	ip, _ := netip.AddrFromSlice(a.AsSlice())
	return ip.Unmap()
}

func anyOf(ip netip.Addr) netip.Addr {
	if ip.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// all returns the closed connections that are not delivered.
func (l *closingList) all() (list []*tcpEndpoint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.members {
		list = append(list, t)
	}
	return list
}

// info is what all endpoints tell.
func (s *socket) info(ops *tcpip.SocketOptions) endpoint.SocketInfo {
	return endpoint.SocketInfo{
		Family: int(s.af), Type: int(s.typ), Protocol: int(s.proto),
		Device: int(ops.GetBindToDevice()),
		RecvQ:  endpoint.Unknown, SendQ: endpoint.Unknown,
		ID: s.id, Owner: s.cred,
		V6Only: s.af == endpoint.AF_INET6 && ops.GetV6Only(),
	}
}

func (d *datagram) info() endpoint.SocketInfo {
	info := d.socket.info(&d.ops)
	info.State = endpoint.SocketClose
	if peer, err := d.PeerAddr(); err == nil {
		info.State, info.Peer = endpoint.SocketEstablished, peer
	}
	if local, err := d.LocalAddr(); err == nil {
		info.Local = local
	}
	info.RecvQ, _ = d.in.charged()
	info.SendQ = clampInt(d.inFlight.Load())
	info.Drops = uint64(d.in.drops())
	return info
}

func (t *tcpEndpoint) info(raw *tcp.Endpoint) endpoint.SocketInfo {
	info := t.socket.info(raw.SocketOptions())
	t.describe(&info, raw)
	if info.State == endpoint.SocketListen {
		info.RecvQ, info.SendQ = 0, int(t.backlog.Load())
	}
	if local, err := t.LocalAddr(); err == nil {
		info.Local = local
	}
	if info.RecvQ != endpoint.Unknown {
		info.RecvQ += t.unread.Load().size()
	}
	return info
}

// orphan describes a connection that no endpoint of ours stands for.
func (f *family) orphan(raw *tcp.Endpoint) endpoint.SocketInfo {
	s := socket{p: f.p, af: uint8(f.af), typ: endpoint.SOCK_STREAM, proto: endpoint.IPPROTO_TCP}
	info := s.info(raw.SocketOptions())
	info.Orphan = true
	s.describe(&info, raw)
	return info
}

// describe fills in what netstack knows of a connection.
func (s *socket) describe(info *endpoint.SocketInfo, raw *tcp.Endpoint) {
	id := raw.Info().(*gvstack.TransportEndpointInfo).ID
	local, err := raw.GetLocalAddress()
	if err == nil {
		info.Local = s.socketAddr(local)
	}
	state := raw.EndpointState()
	info.State = socketState(state)
	switch info.State {
	case endpoint.SocketClose, endpoint.SocketListen:
		return
	}
	info.Peer = s.socketAddr(tcpip.FullAddress{NIC: local.NIC, Addr: id.RemoteAddress, Port: id.RemotePort})
	if n, err := raw.GetSockOptInt(tcpip.ReceiveQueueSizeOption); err == nil {
		info.RecvQ = n
	}
	if info.SendQ = unacknowledged(raw); info.State == endpoint.SocketSynSent {
		info.SendQ = 1 // the SYN
	}
	info.TCP = connectionInfo(raw)
}

// socketState translates netstack's state: the numbers of the protocol's own
// states are Linux's.
func socketState(s tcp.EndpointState) endpoint.SocketState {
	switch s {
	case tcp.StateConnecting:
		return endpoint.SocketSynSent
	case tcp.StateInitial, tcp.StateBound, tcp.StateError:
		return endpoint.SocketClose
	}
	return endpoint.SocketState(s)
}

func connectionInfo(raw *tcp.Endpoint) *endpoint.TCPInfo {
	var (
		info   tcpip.TCPInfoOption
		cc     tcpip.CongestionControlOption
		user   tcpip.TCPUserTimeoutOption
		linger tcpip.TCPLingerTimeoutOption
	)
	for _, o := range [...]tcpip.GettableSocketOption{&info, &cc, &user, &linger} {
		_ = raw.GetSockOpt(o)
	}
	c := &endpoint.TCPInfo{
		RTO: info.RTO, RTT: info.RTT, RTTVar: info.RTTVar, Cwnd: info.SndCwnd, Ssthresh: info.SndSsthresh, Congestion: string(cc),
		UserTimeout: max(0, time.Duration(user)), Linger2Timeout: max(0, time.Duration(linger)),
	}
	if stats, ok := raw.Stats().(*tcp.Stats); ok {
		c.SegsIn, c.SegsOut = stats.SegmentsReceived.Value(), stats.SegmentsSent.Value()
		c.Retrans, c.Timeouts = stats.SendErrors.Retransmits.Value(), stats.SendErrors.Timeouts.Value()
	}
	if raw.SocketOptions().GetKeepAlive() {
		var idle tcpip.KeepaliveIdleOption
		var interval tcpip.KeepaliveIntervalOption
		_, _ = raw.GetSockOpt(&idle), raw.GetSockOpt(&interval)
		c.KeepAlive, c.KeepIdle, c.KeepIntvl = true, time.Duration(idle), time.Duration(interval)
	}
	return c
}
