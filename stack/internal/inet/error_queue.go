package inet

import (
	"encoding/binary"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"usersock/stack/endpoint"
)

// queuedError is an entry of a socket's error queue, IP_RECVERR of ip(7).
type queuedError struct {
	errno  endpoint.Errno
	origin uint8
	typ    uint8
	code   uint8
	info   uint32 // the MTU, or where a packet was malformed

	to       tcpip.FullAddress // where the packet was sent
	offender tcpip.Address     // who complains; empty: this host
	nic      tcpip.NICID
	data     []byte // of the packet

	at      time.Time // when it came; zero if no option wanted that
	message arrival   // the ICMP message, if it came in one
}

// icmp reports whether the error came in a packet: it is in SO_ERROR as well.
func (e *queuedError) icmp() bool { return e.origin != endpoint.SO_EE_ORIGIN_LOCAL }

// queued makes an entry of an error that came by ICMP. The bytes are all that
// came of the packet behind its IP header, without a port.
func (e *icmpError) queued() queuedError {
	q := queuedError{
		errno: e.errno, origin: endpoint.SO_EE_ORIGIN_ICMP, typ: e.typ, code: e.code, info: e.info,
		to: tcpip.FullAddress{NIC: e.nic, Addr: e.remote}, offender: e.offender, nic: e.nic, data: e.transport,
		message: e.message,
	}
	if e.net == header.IPv6ProtocolNumber {
		q.origin = endpoint.SO_EE_ORIGIN_ICMP6
	}
	return q
}

// packetCharge is what an error takes of SO_RCVBUF besides its bytes.
const packetCharge = 512

// errorQueue holds errors that the application asked for.
type errorQueue struct {
	mu    sync.Mutex // a leaf
	list  []queuedError
	bytes int
}

func (q *errorQueue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.list) == 0
}

func (q *errorQueue) push(e queuedError, limit int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.bytes >= limit {
		return false
	}
	q.list = append(q.list, e)
	q.bytes += len(e.data) + packetCharge
	return true
}

// pop takes the oldest error out. next is the errno of the one that follows, if
// it came by ICMP.
func (q *errorQueue) pop() (e queuedError, next endpoint.Errno, more, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 {
		return e, 0, false, false
	}
	e = q.list[0]
	q.bytes -= len(e.data) + packetCharge
	q.list[0] = queuedError{}
	if q.list = q.list[1:]; len(q.list) == 0 {
		q.list = nil
		return e, 0, false, true
	}
	if q.list[0].icmp() {
		next = q.list[0].errno
	}
	return e, next, true, true
}

func (q *errorQueue) purge() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list, q.bytes = nil, 0
}

// recvErr reports whether the socket asked for errors of packets of net.
func (s *socket) recvErr(net tcpip.NetworkProtocolNumber) bool {
	if net == header.IPv4ProtocolNumber {
		return s.has(flagRecvErr4)
	}
	return s.has(flagRecvErr6)
}

// fail makes an error pending, and tells.
func (s *socket) fail(e endpoint.Errno) {
	s.pending.Store(int32(e))
	s.tell(endpoint.Err | endpoint.In | endpoint.Out)
}

// recvError takes an error from a queue: Recv with MSG_ERRQUEUE, which MSG_PEEK
// does not change. The bytes are those of the packet that caused it, and the
// source address is where that was sent. items makes what else is to be told of
// the error, if anything. ip_recv_error and ipv6_recv_error of Linux.
func (s *socket) recvError(q *errorQueue, r endpoint.RecvRequest, items func(*queuedError) []endpoint.Control) (endpoint.Received, error) {
	e, next, more, ok := q.pop()
	if !ok {
		return endpoint.Received{}, endpoint.EAGAIN
	}
	switch {
	case next != 0:
		s.pending.Store(int32(next))
	case e.icmp():
		s.pending.Store(0)
	}
	if more {
		s.tell(endpoint.Err)
	}
	dst := s.p.destination(r.Bufs, r.Len())
	dst.skim = true
	_, _ = dst.Write(e.data)
	got := endpoint.Received{
		N: dst.got, Size: dst.got, Flags: endpoint.MSG_ERRQUEUE,
		From: s.socketAddr(tcpip.FullAddress{NIC: e.nic, Addr: e.to.Addr, Port: e.to.Port}),
	}
	s.p.release(dst)
	if got.N < len(e.data) {
		got.Flags |= endpoint.MSG_TRUNC
	}
	if !r.Control {
		got.Flags |= endpoint.MSG_CTRUNC
		return got, nil
	}
	if items != nil {
		got.Control = items(&e)
	}
	got.Control = append(got.Control, s.errorItem(&e))
	return got, nil
}

// errorItem makes struct sock_extended_err and the address of the offender
// behind it.
func (s *socket) errorItem(e *queuedError) endpoint.Control {
	b := make([]byte, 16, 44)
	binary.NativeEndian.PutUint32(b, uint32(e.errno))
	b[4], b[5], b[6] = e.origin, e.typ, e.code
	binary.NativeEndian.PutUint32(b[8:], e.info)
	if s.af == endpoint.AF_INET6 {
		if e.icmp() {
			b = append(b, sockaddrIn6(e.offender, 0, scopeOf(e.offender, e.nic))...)
		} else {
			b = append(b, make([]byte, 28)...)
		}
		return endpoint.Control{Level: endpoint.SOL_IPV6, Type: endpoint.IPV6_RECVERR, Data: b}
	}
	if e.icmp() {
		b = append(b, sockaddrIn(e.offender, 0)...)
	} else {
		b = append(b, make([]byte, 16)...)
	}
	return endpoint.Control{Level: endpoint.SOL_IP, Type: endpoint.IP_RECVERR, Data: b}
}
