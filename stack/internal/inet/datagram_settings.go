package inet

import (
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/stack/endpoint"
)

// ipSettings are the options of levels IPPROTO_IP and IPPROTO_IPV6 that decide
// how a datagram endpoint sends. The two versions have each their own, as on
// Linux.
type ipSettings struct {
	tos, tclass    atomic.Int32
	ttl, hops      atomic.Int32 // −1: the stack's default
	mttl, mhops    atomic.Int32
	pmtu4, pmtu6   atomic.Int32 // IP_PMTUDISC_*
	loop4, loop6   atomic.Bool
	all4, all6     atomic.Bool
	least4, least6 atomic.Int32 // IP_MINTTL, IPV6_MINHOPCOUNT
	uni4, uni6     atomic.Int32 // IP_UNICAST_IF, IPV6_UNICAST_IF
	group6         atomic.Int32 // IPV6_MULTICAST_IF
	frag6          atomic.Int32 // IPV6_MTU; 0: not set
	segment        atomic.Int32 // UDP_SEGMENT

	mu     sync.Mutex // a leaf
	group4 multicastSource
}

// multicastSource is IP_MULTICAST_IF: the interface and the source address of
// datagrams to groups.
type multicastSource struct {
	nic  tcpip.NICID
	addr tcpip.Address
}

func (s *ipSettings) init(af uint8) {
	s.ttl.Store(-1)
	s.hops.Store(-1)
	s.mttl.Store(1)
	s.mhops.Store(1)
	s.pmtu4.Store(endpoint.IP_PMTUDISC_WANT)
	s.pmtu6.Store(endpoint.IPV6_PMTUDISC_WANT)
	s.loop4.Store(true)
	s.loop6.Store(true)
	s.all4.Store(af == endpoint.AF_INET)
	s.all6.Store(true)
}

func (s *ipSettings) minTTL(net tcpip.NetworkProtocolNumber) uint8 {
	if net == header.IPv4ProtocolNumber {
		return uint8(s.least4.Load())
	}
	return uint8(s.least6.Load())
}

func (s *ipSettings) multicastSource() multicastSource {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.group4
}

// class and hopsTo are the traffic class and the hop limit of a packet.
func (s *ipSettings) class(net tcpip.NetworkProtocolNumber) uint8 {
	if net == header.IPv4ProtocolNumber {
		return uint8(s.tos.Load())
	}
	return uint8(s.tclass.Load())
}

func (s *ipSettings) hopsTo(r *gvstack.Route, group bool) uint8 {
	four := r.NetProto() == header.IPv4ProtocolNumber
	var v int32
	switch {
	case group && four:
		v = s.mttl.Load()
	case group:
		v = s.mhops.Load()
	case four:
		v = s.ttl.Load()
	default:
		v = s.hops.Load()
	}
	if v < 0 {
		return r.DefaultTTL()
	}
	return uint8(v)
}

// discovery is the strategy of path MTU discovery.
func (s *ipSettings) discovery(net tcpip.NetworkProtocolNumber) int {
	if net == header.IPv4ProtocolNumber {
		return int(s.pmtu4.Load())
	}
	return int(s.pmtu6.Load())
}
