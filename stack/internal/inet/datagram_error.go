package inet

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"usersock/stack/endpoint"
)

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
		q := e.queued()
		switch {
		case d.kind.ports():
			q.to.Port = e.rport
			q.data = e.transport[min(header.UDPMinimumSize, len(e.transport)):]
		case d.kind == kindRaw && d.has(flagHdrIncl):
			q.data = e.packet
		}
		if d.has(flagTimestamp | flagTimestampNS) {
			q.at = d.p.clock.Now()
		}
		d.errs.push(q, int(d.ops.GetReceiveBufferSize()))
	} else if !hard || !d.where.Load().connected {
		return
	}
	d.fail(e.errno)
}

// errorItems are the items that the options ask for, about the ICMP message that
// brought an error; one of this host has a time alone.
func (d *datagram) errorItems(e *queuedError) []endpoint.Control {
	list := d.stampItem(nil, e.at)
	if !e.icmp() {
		return list
	}
	a := e.message
	a.port, a.hasPort = d.where.Load().port, true
	if a.net == header.IPv6ProtocolNumber {
		a.nic = d.p.homes().arrivedBy(a.nic, a.dst)
	}
	return d.packetItems(list, &a)
}
