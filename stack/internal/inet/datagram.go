package inet

import (
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"usersock/stack/endpoint"
)

// datagram is an endpoint that sends and receives whole packets: UDP,
// UDP-Lite, a ping socket or a raw socket. Netstack has no endpoint behind it:
// it delivers packets to the protocols of datagram_protocol.go, and takes the
// packets that datagram_send.go makes.
//
// # State
//
// Where it is bound and connected is one immutable binding, replaced under the
// lock of its port table. The receive queue, the error queue, the multicast
// memberships, the held back datagram and the remembered route have a lock
// each, all of them leaves: none is held across a call into netstack, nor
// while another is taken.
type datagram struct {
	socket
	kind datagramKind
	ops  tcpip.SocketOptions
	ip   ipSettings

	where atomic.Pointer[binding]
	state atomic.Uint32 // stateOpen and so on

	in     receiveQueue
	errs   errorQueue
	groups memberships

	inFlight atomic.Int64 // what packets that no link has taken yet take of SO_SNDBUF
	full     atomic.Bool  // somebody was told that there is no room

	routeMu sync.Mutex
	route   knownRoute

	corkMu sync.Mutex
	corked *corkedDatagram // what MSG_MORE and UDP_CORK hold back; nil at first

	raw  *rawSettings  // of raw sockets
	lite *liteSettings // of UDP-Lite sockets

	live links[datagram]
}

var _ endpoint.Endpoint = (*datagram)(nil)

// datagramKind tells the sorts of datagram endpoints apart.
type datagramKind uint8

const (
	kindUDP datagramKind = iota
	kindUDPLite
	kindPing
	kindRaw
)

// ports reports whether addresses have a meaningful port.
func (k datagramKind) ports() bool { return k == kindUDP || k == kindUDPLite }

// The life of a datagram endpoint.
const (
	stateOpen  = iota
	stateEnded // by End or AbortLocal: every call is ENETDOWN
	stateClosed
)

// binding says where an endpoint is. It never changes.
type binding struct {
	nets  netSet
	local tcpip.Address // empty: any; four bytes for IPv4, also on AF_INET6 sockets
	nic   tcpip.NICID   // interface of a link-local address; 0: any
	port  uint16        // port, ICMP identifier, or IP protocol of a raw socket

	connected bool
	peer      tcpip.FullAddress // Addr as local has it

	// Chosen by Bind, hence kept when the peer is removed.
	boundAddr, boundPort bool
	noSource             bool // local is a group or a broadcast address, which nothing is sent from
}

// netSet is a set of network protocols.
type netSet uint8

const (
	net4 netSet = 1 << iota
	net6
)

func (n netSet) has(net tcpip.NetworkProtocolNumber) bool {
	if net == header.IPv4ProtocolNumber {
		return n&net4 != 0
	}
	return n&net6 != 0
}

func openUDP(f *family, req endpoint.Request) (endpoint.Endpoint, error) {
	return openDatagram(f, req, kindUDP, endpoint.IPPROTO_UDP), nil
}

func openUDPLite(f *family, req endpoint.Request) (endpoint.Endpoint, error) {
	d := openDatagram(f, req, kindUDPLite, endpoint.IPPROTO_UDPLITE)
	d.lite = new(liteSettings)
	return d, nil
}

func openDatagram(f *family, req endpoint.Request, kind datagramKind, proto int) *datagram {
	d := &datagram{
		socket: socket{
			p: f.p, af: uint8(f.af), typ: uint8(req.Type), proto: uint16(proto), cred: req.Cred, id: f.p.ids(),
		},
		kind: kind,
	}
	d.ops.InitHandler(&datagramHandler{d: d}, f.p.stack, tcpip.GetStackSendBufferLimits, tcpip.GetStackReceiveBufferLimits)
	d.ops.SetSendBufferSize(udpBuffer, false)
	d.ops.SetReceiveBufferSize(udpBuffer, false)
	d.ip.init(d.af)
	d.ops.SetReuseAddress(!kind.ports()) // INET_PROTOSW_REUSE
	d.where.Store(&f.p.unbound)
	f.p.datagrams.add(d)
	if f.p.ended.Load() {
		d.end(stateEnded)
	}
	return d
}

// datagramHandler is what netstack's table of options calls.
type datagramHandler struct {
	tcpip.DefaultSocketOptionsHandler
	d *datagram
}

// HasNIC implements tcpip.SocketOptionsHandler.
func (h *datagramHandler) HasNIC(id int32) bool { return h.d.p.stack.HasNIC(tcpip.NICID(id)) }

// WakeupWriters implements tcpip.SocketOptionsHandler.
func (h *datagramHandler) WakeupWriters() { h.d.tell(endpoint.Out) }

// device is the interface that the endpoint is bound to; 0: all.
func (d *datagram) device(b *binding) tcpip.NICID {
	if nic := d.ops.GetBindToDevice(); nic != 0 {
		return tcpip.NICID(nic)
	}
	return b.nic
}

// alive is nil unless the endpoint was closed, or ended with its stack.
func (d *datagram) alive() error {
	switch d.state.Load() {
	case stateOpen:
		return nil
	case stateEnded:
		return endpoint.ENETDOWN
	}
	return endpoint.EBADF
}

// Notify implements endpoint.Endpoint.
func (d *datagram) Notify(sink endpoint.Sink) {
	d.sink = sink
	d.ready.Store(&d.sink)
	sink.Event(endpoint.In | endpoint.Out | endpoint.Err | endpoint.Hup | endpoint.RdHup)
}

// Listen implements endpoint.Endpoint: a datagram socket does not.
func (d *datagram) Listen(int) error { return endpoint.EOPNOTSUPP }

// Accept implements endpoint.Endpoint: a datagram socket does not.
func (d *datagram) Accept() (endpoint.Endpoint, endpoint.Addr, error) {
	return nil, endpoint.Addr{}, endpoint.EOPNOTSUPP
}

// Shutdown implements endpoint.Endpoint. Without a peer it is ENOTCONN, and
// counts all the same, for good, inet_shutdown of Linux.
func (d *datagram) Shutdown(how int) error {
	if err := d.alive(); err != nil {
		return err
	}
	flags, err := shutdownFlags(how)
	if err != nil {
		return err
	}
	if flags&tcpip.ShutdownRead != 0 {
		d.set(flagShutRead, true)
	}
	if flags&tcpip.ShutdownWrite != 0 {
		d.set(flagShutWrite, true)
	}
	d.tell(endpoint.In | endpoint.Out | endpoint.Hup | endpoint.RdHup)
	if !d.where.Load().connected {
		return endpoint.ENOTCONN
	}
	return nil
}

// Close implements endpoint.Endpoint.
func (d *datagram) Close() error {
	if !d.closed.Swap(true) {
		d.end(stateClosed)
	}
	return nil
}

// end takes the endpoint off every list. Packets that are with a link still
// leave.
func (d *datagram) end(state uint32) {
	if state == stateEnded && !d.state.CompareAndSwap(stateOpen, state) {
		return
	}
	d.state.Store(state)
	d.p.datagrams.remove(d)
	d.unregister()
	d.in.close()
	d.groups.close(d.p.stack)
	d.forgetRoute()
	d.tell(endpoint.In | endpoint.Out | endpoint.Err | endpoint.Hup | endpoint.RdHup)
}

// LocalAddr implements endpoint.Endpoint.
func (d *datagram) LocalAddr() (endpoint.Addr, error) {
	b := d.where.Load()
	fa := tcpip.FullAddress{NIC: b.nic, Addr: b.local, Port: b.port}
	if b.local.Len() == 0 && d.has(flagBound4) {
		fa.Addr = mappedAny
	}
	return d.socketAddr(fa), nil
}

// PeerAddr implements endpoint.Endpoint. A peer with port 0 shows as none, as
// on Linux.
func (d *datagram) PeerAddr() (endpoint.Addr, error) {
	b := d.where.Load()
	if !b.connected || b.peer.Port == 0 {
		return endpoint.Addr{}, endpoint.ENOTCONN
	}
	return d.socketAddr(b.peer), nil
}

// Ready implements endpoint.Endpoint, after datagram_poll of Linux.
func (d *datagram) Ready(want endpoint.Events) endpoint.Events {
	var e endpoint.Events
	state, flags := d.state.Load(), d.flags.Load()
	if d.closed.Load() {
		flags |= flagShutRead | flagShutWrite
	}
	if d.pending.Load() != 0 || !d.errs.empty() {
		if e |= endpoint.Err; flags&flagErrorPri != 0 {
			e |= endpoint.Pri
		}
	}
	if !d.in.empty() || state != stateOpen {
		e |= endpoint.In
	}
	if d.writable() {
		e |= endpoint.Out
	}
	if flags&flagShutRead != 0 {
		e |= endpoint.In | endpoint.RdHup
		if flags&flagShutWrite != 0 {
			e |= endpoint.Hup
		}
	}
	return e & (want | endpoint.Always)
}

// writable is sock_writeable of Linux: half of SO_SNDBUF is free. If not, an
// event is to come.
func (d *datagram) writable() bool {
	if d.halfFree() {
		return true
	}
	d.full.Store(true)
	return d.halfFree()
}

func (d *datagram) halfFree() bool { return 2*d.inFlight.Load() < d.ops.GetSendBufferSize() }

// Queued implements endpoint.Endpoint: the length of the next datagram, and the
// memory of those that no link has taken yet.
func (d *datagram) Queued() (in, out int) {
	return d.in.next(d.length), clampInt(d.inFlight.Load())
}
