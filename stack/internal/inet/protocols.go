package inet

import (
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

// Config says what the families stand on. Stack and Clock are required.
type Config struct {
	// Stack is netstack, with NewTCP, NewUDP, NewUDPLite and RawProtocols in place
	// of its own, and with NewIPv4 and NewIPv6 as IPv4 and IPv6 say.
	Stack *gvstack.Stack

	// Clock is the clock that Stack runs on as well.
	Clock endpoint.Clock

	// IPv4 and IPv6 say which families are served.
	IPv4, IPv6 bool

	// RawSockets says who may open SOCK_RAW sockets; nil lets anybody. The
	// others get EPERM.
	RawSockets func(endpoint.Cred) bool

	// InterfaceName and InterfaceIndex translate between the index (which is
	// netstack's NICID) and the name of an interface, for SO_BINDTODEVICE and
	// its like. If nil, netstack's NIC names serve.
	InterfaceName  func(index int) (name string, ok bool)
	InterfaceIndex func(name string) (index int, ok bool)

	// IDs gives each endpoint its SO_COOKIE, another number at each call; nil
	// counts from 1.
	IDs func() uint64
}

// Protocols is what the two families of one stack share.
type Protocols struct {
	stack *gvstack.Stack
	clock endpoint.Clock
	ipv4  bool
	ipv6  bool

	interfaceName  func(int) (string, bool)
	interfaceIndex func(string) (int, bool)

	// moderate says whether netstack sizes receive buffers by itself and
	// wants to hear how much was read.
	moderate bool

	options   map[optionKey]*option
	transfers sync.Pool // of *transfer
	charges   sync.Pool // of *charge
	closing   closingList
	streams   liveList[tcpEndpoint]
	owners    ownerTable
	farChecks atomic.Bool // a TCP socket asked for IP_MINTTL or IPV6_MINHOPCOUNT
	ports     tcpPorts

	unbound      binding // of a new datagram endpoint
	datagrams    liveList[datagram]
	udp, udpLite portTable
	ping4, ping6 portTable
	raws         rawList
	anyRaw       atomic.Bool // a raw socket was ever opened
	rawSockets   func(endpoint.Cred) bool
	seed         func() uint32 // of the choice among SO_REUSEPORT sockets, and of fragmentID
	generation   atomic.Uint64 // of routes and addresses
	known        atomic.Pointer[homes]
	paths        pathTable
	learnt       atomic.Bool   // anything ever got into paths
	fragmentID   atomic.Uint32 // of packets that are cut here

	ended   atomic.Bool   // End was called
	aborted sync.Map      // of weak.Pointer[tcp.Endpoint]: ended by AbortLocal
	ids     func() uint64 // gives SO_COOKIE, another one each time
}

// New returns the families of one stack.
func New(cfg Config) *Protocols {
	p := &Protocols{
		stack:          cfg.Stack,
		clock:          cfg.Clock,
		ipv4:           cfg.IPv4,
		ipv6:           cfg.IPv6,
		interfaceName:  cfg.InterfaceName,
		interfaceIndex: cfg.InterfaceIndex,
		rawSockets:     cfg.RawSockets,
		options:        indexOptions(),
		ids:            cfg.IDs,
	}
	p.transfers.New = func() any { return new(transfer) }
	p.charges.New = func() any {
		c := new(charge)
		c.free = c.release
		return c
	}
	if p.rawSockets == nil {
		p.rawSockets = func(endpoint.Cred) bool { return true }
	}
	// Nothing is drawn before it is needed: what others draw of a seeded
	// stack's numbers does not move.
	p.seed = sync.OnceValue(func() uint32 {
		random := p.stack.SecureRNG()
		return random.Uint32()
	})
	p.closing.init(p)
	p.streams.of = func(t *tcpEndpoint) *links[tcpEndpoint] { return &t.live }
	p.datagrams.of = func(d *datagram) *links[datagram] { return &d.live }
	if p.ids == nil {
		last := new(atomic.Uint64)
		p.ids = func() uint64 { return last.Add(1) }
	}
	if p.interfaceName == nil {
		p.interfaceName = p.nicName
	}
	if p.interfaceIndex == nil {
		p.interfaceIndex = p.nicIndex
	}
	var moderate tcpip.TCPModerateReceiveBufferOption
	if err := p.stack.TransportProtocolOption(tcp.ProtocolNumber, &moderate); err == nil {
		p.moderate = bool(moderate)
	}
	p.attach()
	p.tap()
	return p
}

// Family returns AF_INET or AF_INET6, or nil for a family that the
// configuration does not enable (the caller's EAFNOSUPPORT).
func (p *Protocols) Family(af int) endpoint.Family {
	switch {
	case af == endpoint.AF_INET && p.ipv4:
		return &family{p, af, header.IPv4ProtocolNumber}
	case af == endpoint.AF_INET6 && p.ipv6:
		return &family{p, af, header.IPv6ProtocolNumber}
	}
	return nil
}

func (p *Protocols) nicName(index int) (string, bool) {
	if !p.stack.HasNIC(tcpip.NICID(index)) {
		return "", false
	}
	return p.stack.FindNICNameFromID(tcpip.NICID(index)), true
}

func (p *Protocols) nicIndex(name string) (int, bool) {
	for id, info := range p.stack.NICInfo() {
		if info.Name == name {
			return int(id), true
		}
	}
	return 0, false
}

// family is one of the two address families.
type family struct {
	p   *Protocols
	af  int
	net tcpip.NetworkProtocolNumber
}

// opener makes an endpoint of one transport protocol.
type opener func(*family, endpoint.Request) (endpoint.Endpoint, error)

// openers is the protocol switch: a socket type's protocols, the usual one
// first.
var openers = []struct {
	typ, proto int
	open       opener
}{
	{endpoint.SOCK_STREAM, endpoint.IPPROTO_TCP, openTCP},
	{endpoint.SOCK_DGRAM, endpoint.IPPROTO_UDP, openUDP},
	{endpoint.SOCK_DGRAM, endpoint.IPPROTO_UDPLITE, openUDPLite},
	{endpoint.SOCK_DGRAM, endpoint.IPPROTO_ICMP, openPing4},
	{endpoint.SOCK_DGRAM, endpoint.IPPROTO_ICMPV6, openPing6},
	{endpoint.SOCK_RAW, anyProtocol, openRaw},
}

// anyProtocol stands for every number but 0.
const anyProtocol = -1

// Limits of socket(2)'s arguments: SOCK_MAX of linux/net.h and IPPROTO_MAX of
// linux/in.h.
const (
	sockMax    = endpoint.SOCK_PACKET + 1
	ipprotoMax = endpoint.IPPROTO_MPTCP + 1
)

// Open implements endpoint.Family with the errors of inet_create in Linux:
// numbers out of range are EINVAL, an unknown type is ESOCKTNOSUPPORT, a
// protocol that the type does not have EPROTONOSUPPORT.
func (f *family) Open(req endpoint.Request) (endpoint.Endpoint, error) {
	if req.Type < 0 || req.Type >= sockMax || req.Protocol < 0 || req.Protocol >= ipprotoMax {
		return nil, endpoint.EINVAL
	}
	var err error = endpoint.ESOCKTNOSUPPORT
	for i := range openers {
		o := &openers[i]
		if o.typ != req.Type {
			continue
		}
		switch {
		case o.proto == anyProtocol:
			if req.Protocol != 0 {
				return o.open(f, req)
			}
		case req.Protocol == 0, req.Protocol == o.proto:
			return o.open(f, req)
		}
		err = endpoint.EPROTONOSUPPORT
	}
	return nil, err
}
