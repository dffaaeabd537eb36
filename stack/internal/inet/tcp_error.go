package inet

import (
	"encoding/binary"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

// ICMP errors about segments, after tcp_v4_err and tcp_v6_err of Linux. The tap
// and ip_protocol.go tell of them; netstack's TCP hears of narrow paths alone.
//
// An error ends an attempt to connect: it is in the error queue and in SO_ERROR.
// On a connection it is pending at once where IP_RECVERR or IPV6_RECVERR asks for
// errors. Else it is a soft error: what SO_ERROR tells if nothing else is pending,
// and what the connection ends with if it times out, until a segment comes.

// softError is sk_err_soft of Linux.
type softError struct {
	raw   *tcp.Endpoint
	errno endpoint.Errno
	heard uint64 // segments that had come by then
	hard  bool   // it ends an attempt to connect, and is told as such
}

// heard counts the segments that have come.
func heard(raw *tcp.Endpoint) uint64 {
	return raw.Stats().(*tcp.Stats).SegmentsReceived.Value()
}

// fresh reports whether nothing has come since the error.
func (s *softError) fresh() bool { return heard(s.raw) == s.heard }

// takeSoft returns the soft error of raw and forgets it. That of an attempt
// which has succeeded all the same is one.
func (t *tcpEndpoint) takeSoft(raw *tcp.Endpoint) error {
	s := t.soft.Load()
	if s == nil || s.raw != raw || s.hard && over(raw) || !t.soft.CompareAndSwap(s, nil) || !s.fresh() {
		return nil
	}
	return s.errno
}

// tcpFailed is an ICMP error about a segment, which must be one that is under way:
// others are forged, or late.
func (p *Protocols) tcpFailed(e *icmpError) {
	id := gvstack.TransportEndpointID{LocalPort: e.lport, LocalAddress: e.local, RemotePort: e.rport, RemoteAddress: e.remote}
	raw := p.connection(e.net, id, e.nic)
	if raw == nil || !e.own && !underWay(raw, binary.BigEndian.Uint32(e.transport[4:])) {
		return
	}
	state := raw.EndpointState()
	t := p.owners.find(raw)
	switch {
	case e.tooBig:
		if t.believesMTU(e.net, state) {
			p.learnMTU(e.remote, int(e.info))
		}
	case t == nil: // half open, or not accepted yet
		if connecting(state) && e.endsHandshake() {
			abandon(raw, e.net)
		}
	case connecting(state):
		t.attemptFailed(raw, e)
	case synchronized(state) || state == tcp.StateFinWait2:
		if t.recvErr(e.net) {
			t.fail(e.errno)
		} else {
			t.soft.Store(&softError{raw: raw, errno: e.errno, heard: heard(raw)})
		}
	}
}

// connection finds a connection, or an attempt to make one; nil if there is none.
func (p *Protocols) connection(net tcpip.NetworkProtocolNumber, id gvstack.TransportEndpointID, nic tcpip.NICID) *tcp.Endpoint {
	raw, ok := p.stack.FindTransportEndpoint(net, tcp.ProtocolNumber, id, nic).(*tcp.Endpoint)
	if !ok || raw.EndpointState() == tcp.StateListen { // which is found where there is no connection
		return nil
	}
	return raw
}

// believesMTU is ip6_sk_accept_pmtu, and tcp_v6_mtu_reduced while an attempt to
// connect is made, which no path is too narrow for; TCP over IPv4 has no such
// questions, and a connection without a socket asks none.
func (t *tcpEndpoint) believesMTU(net tcpip.NetworkProtocolNumber, state tcp.EndpointState) bool {
	return t == nil || net == header.IPv4ProtocolNumber ||
		!connecting(state) && t.storedInt(endpoint.IPPROTO_IPV6, endpoint.IPV6_MTU_DISCOVER, endpoint.IPV6_PMTUDISC_WANT) < endpoint.IPV6_PMTUDISC_INTERFACE
}

// endsHandshake reports whether the error ends a connection that a listener
// has not completed: what tcp_v4_err and tcp_v6_err tell tcp_req_err.
func (e *icmpError) endsHandshake() bool {
	if e.net == header.IPv6ProtocolNumber {
		return e.hard
	}
	return header.ICMPv4Type(e.typ) != header.ICMPv4DstUnreachable || header.ICMPv4Code(e.code) <= header.ICMPv4HostUnreachable
}

// attemptFailed ends an attempt to connect. Over IPv4 the error is queued
// whether it was asked for or not, as on Linux.
func (t *tcpEndpoint) attemptFailed(raw *tcp.Endpoint, e *icmpError) {
	if e.net == header.IPv4ProtocolNumber || t.recvErr(e.net) {
		q := e.queued()
		q.to.Port = e.rport
		t.queueError(q, raw)
	}
	t.soft.Store(&softError{raw: raw, errno: e.errno, heard: heard(raw), hard: true})
	abandon(raw, e.net)
	t.tell(endpoint.Err) // there is the queue, even if the attempt has succeeded meanwhile
}

func (t *tcpEndpoint) queueError(e queuedError, raw *tcp.Endpoint) {
	q := t.errs.Load()
	if q == nil {
		t.errs.CompareAndSwap(nil, new(errorQueue))
		q = t.errs.Load()
	}
	q.push(e, int(raw.SocketOptions().GetReceiveBufferSize()))
}

// hasErrors reports whether the error queue holds any.
func (t *tcpEndpoint) hasErrors() bool {
	q := t.errs.Load()
	return q != nil && !q.empty()
}

// recvQueued is Recv with MSG_ERRQUEUE.
func (t *tcpEndpoint) recvQueued(r endpoint.RecvRequest) (endpoint.Received, error) {
	t.drain(t.raw.Load()) // the pending error is the queue's first
	q := t.errs.Load()
	if q == nil {
		return endpoint.Received{}, endpoint.EAGAIN
	}
	return t.recvError(q, r, nil)
}

// abandon ends a netstack endpoint that is not connected yet, without a word
// to the peer. It takes the endpoint's lock, as netstack's own handling of such a
// message does.
func abandon(raw *tcp.Endpoint, net tcpip.NetworkProtocolNumber) {
	pkt := gvstack.NewPacketBuffer(gvstack.PacketBufferOptions{})
	defer pkt.DecRef()
	pkt.NetworkProtocolNumber = net
	raw.HandleError(abandoned{}, pkt)
}

// abandoned is an ICMP error that netstack makes an ErrNoNet of, as of nothing
// else that reaches its TCP.
type abandoned struct{}

// Origin, Type, Code and Info implement tcpip.SockErrorCause, and Kind
// stack.TransportError.
func (abandoned) Origin() tcpip.SockErrOrigin      { return tcpip.SockExtErrorOriginNone }
func (abandoned) Type() uint8                      { return 0 }
func (abandoned) Code() uint8                      { return 0 }
func (abandoned) Info() uint32                     { return 0 }
func (abandoned) Kind() gvstack.TransportErrorKind { return gvstack.SourceHostIsolatedTransportError }

// ownerTable knows whose a netstack endpoint is.
type ownerTable struct {
	mu   sync.RWMutex // a leaf
	list map[*tcp.Endpoint]*tcpEndpoint
}

func (o *ownerTable) find(raw *tcp.Endpoint) *tcpEndpoint {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.list[raw]
}

// put makes t the owner of raw instead of old, which may be nil.
func (o *ownerTable) put(t *tcpEndpoint, old, raw *tcp.Endpoint) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.list == nil {
		o.list = make(map[*tcp.Endpoint]*tcpEndpoint)
	}
	delete(o.list, old)
	o.list[raw] = t
}

func (o *ownerTable) remove(raw *tcp.Endpoint) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.list, raw)
}
