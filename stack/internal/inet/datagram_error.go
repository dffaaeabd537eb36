package inet

import (
	"encoding/binary"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"usersock/stack/endpoint"
)

// queuedError is an entry of the error queue, IP_RECVERR of ip(7).
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
}

// icmp reports whether the error came in a packet: it is in SO_ERROR as well.
func (e *queuedError) icmp() bool { return e.origin != endpoint.SO_EE_ORIGIN_LOCAL }

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
func (d *datagram) recvErr(net tcpip.NetworkProtocolNumber) bool {
	if net == header.IPv4ProtocolNumber {
		return d.has(flagRecvErr4)
	}
	return d.has(flagRecvErr6)
}

// fail makes an error pending, and tells.
func (d *datagram) fail(e endpoint.Errno) {
	d.pending.Store(int32(e))
	d.tell(endpoint.Err | endpoint.In | endpoint.Out)
}

// localError queues an error of this host, ip_local_error.
func (d *datagram) localError(net tcpip.NetworkProtocolNumber, e endpoint.Errno, to tcpip.FullAddress, info uint32) {
	if !d.recvErr(net) {
		return
	}
	switch b := d.where.Load(); {
	case !d.kind.ports():
		to.Port = 0
	case net == header.IPv4ProtocolNumber:
		to.Port = b.peer.Port // Linux tells the connected peer's port alone
	}
	d.errs.push(queuedError{errno: e, origin: endpoint.SO_EE_ORIGIN_LOCAL, info: info, to: to}, int(d.ops.GetReceiveBufferSize()))
	d.tell(endpoint.Err)
}

// recvError takes an error from the queue: Recv with MSG_ERRQUEUE, which
// MSG_PEEK does not change. The bytes are those of the packet that caused it,
// and the source address is where that was sent.
func (d *datagram) recvError(r endpoint.RecvRequest) (endpoint.Received, error) {
	e, next, more, ok := d.errs.pop()
	if !ok {
		return endpoint.Received{}, endpoint.EAGAIN
	}
	switch {
	case next != 0:
		d.pending.Store(int32(next))
	case e.icmp():
		d.pending.Store(0)
	}
	if more {
		d.tell(endpoint.Err)
	}
	dst := d.p.destination(r.Bufs, r.Len())
	dst.skim = true
	_, _ = dst.Write(e.data)
	got := endpoint.Received{
		N: dst.got, Size: dst.got, Flags: endpoint.MSG_ERRQUEUE,
		From: d.socketAddr(tcpip.FullAddress{NIC: e.nic, Addr: e.to.Addr, Port: e.to.Port}),
	}
	d.p.release(dst)
	if got.N < len(e.data) {
		got.Flags |= endpoint.MSG_TRUNC
	}
	if !r.Control {
		got.Flags |= endpoint.MSG_CTRUNC
		return got, nil
	}
	got.Control = []endpoint.Control{d.errorItem(&e)}
	return got, nil
}

// errorItem makes struct sock_extended_err and the address of the offender
// behind it.
func (d *datagram) errorItem(e *queuedError) endpoint.Control {
	b := make([]byte, 16, 44)
	binary.NativeEndian.PutUint32(b, uint32(e.errno))
	b[4], b[5], b[6] = e.origin, e.typ, e.code
	binary.NativeEndian.PutUint32(b[8:], e.info)
	if d.af == endpoint.AF_INET6 {
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

// icmpFailed is an ICMP error about a packet that this endpoint sent:
// __udp4_lib_err, __udp6_lib_err, ping_err and raw_err of Linux. It stays quiet
// unless the application asked for errors, or is connected and the error is
// hard.
func (d *datagram) icmpFailed(e *icmpError) {
	hard := e.hard
	if e.tooBig {
		how := d.ip.discovery(e.net)
		if how == endpoint.IP_PMTUDISC_DONT && e.net == header.IPv4ProtocolNumber {
			return
		}
		if how >= endpoint.IP_PMTUDISC_INTERFACE && e.net == header.IPv6ProtocolNumber {
			return
		}
		hard = how != endpoint.IP_PMTUDISC_DONT
	}
	if d.recvErr(e.net) {
		q := queuedError{
			errno: e.errno, origin: endpoint.SO_EE_ORIGIN_ICMP, typ: e.typ, code: e.code, info: e.info,
			to: tcpip.FullAddress{NIC: e.nic, Addr: e.remote}, offender: e.offender, nic: e.nic, data: e.transport,
		}
		if e.net == header.IPv6ProtocolNumber {
			q.origin = endpoint.SO_EE_ORIGIN_ICMP6
		}
		switch {
		case d.kind.ports():
			q.to.Port = e.rport
			q.data = e.transport[min(header.UDPMinimumSize, len(e.transport)):]
		case d.kind == kindRaw && d.has(flagHdrIncl):
			q.data = e.packet
		}
		d.errs.push(q, int(d.ops.GetReceiveBufferSize()))
	} else if !hard || !d.where.Load().connected {
		return
	}
	d.fail(e.errno)
}
