package inet

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/stack/endpoint"
)

// A ping socket (SOCK_DGRAM, IPPROTO_ICMP or IPPROTO_ICMPV6; icmp(7)) sends
// echo requests and receives the replies to them. Its port is the identifier
// of the requests. Anybody may open one here: Linux asks ping_group_range.

func openPing4(f *family, req endpoint.Request) (endpoint.Endpoint, error) {
	if f.af != endpoint.AF_INET {
		return nil, endpoint.EPROTONOSUPPORT
	}
	return openDatagram(f, req, kindPing, endpoint.IPPROTO_ICMP), nil
}

func openPing6(f *family, req endpoint.Request) (endpoint.Endpoint, error) {
	if f.af != endpoint.AF_INET6 {
		return nil, endpoint.EPROTONOSUPPORT
	}
	d := openDatagram(f, req, kindPing, endpoint.IPPROTO_ICMPV6)
	d.ops.SetV6Only(true)
	return d, nil
}

// checkPingSize is the first that ping_common_sendmsg of Linux looks at.
func checkPingSize(size int) error {
	switch {
	case size > 0xffff:
		return endpoint.EMSGSIZE
	case size < header.ICMPv4MinimumSize:
		return endpoint.EINVAL
	}
	return nil
}

// checkPing refuses everything but an echo request, ping_supported of Linux.
func (d *datagram) checkPing(bufs [][]byte) error {
	var h [2]byte
	payload{bufs: bufs}.copyTo(h[:])
	want := uint8(header.ICMPv4Echo)
	if d.af == endpoint.AF_INET6 {
		want = uint8(header.ICMPv6EchoRequest)
	}
	if h[0] != want || h[1] != 0 {
		return endpoint.EINVAL
	}
	return nil
}

// putIdentifier writes identifier and checksum into an echo request.
func (d *datagram) putIdentifier(pkt *gvstack.PacketBuffer, r way, id uint16) {
	size := pkt.Data().Size()
	b, ok := pkt.Data().PullUp(size)
	if !ok {
		return // it has been checked: a message is never empty
	}
	binary.BigEndian.PutUint16(b[4:], id)
	checksum.Put(b[2:], 0)
	sum := uint16(0)
	if r.NetProto() == header.IPv6ProtocolNumber {
		pkt.TransportProtocolNumber = header.ICMPv6ProtocolNumber
		sum = header.PseudoHeaderChecksum(header.ICMPv6ProtocolNumber, r.LocalAddress(), r.RemoteAddress(), uint16(size))
	} else {
		pkt.TransportProtocolNumber = header.ICMPv4ProtocolNumber
	}
	checksum.Put(b[2:], ^checksum.Checksum(b, sum))
}
