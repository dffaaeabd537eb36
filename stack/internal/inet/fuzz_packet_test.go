package inet

import (
	"encoding/binary"
	"testing"

	"usersock/stack/endpoint"
)

// No packet of any protocol does more than fail: neither what UDP, UDP-Lite,
// ping and raw sockets receive, nor an ICMP error about what they sent. The
// packets come in by the loopback interface, as from any link.
func FuzzIncoming(f *testing.F) {
	udp := func(port uint16, length uint16, data string) []byte {
		b := binary.BigEndian.AppendUint16(nil, 4000)
		b = binary.BigEndian.AppendUint16(b, port)
		b = binary.BigEndian.AppendUint16(b, length)
		return append(append(b, 0, 0), data...)
	}
	f.Add(false, uint8(endpoint.IPPROTO_UDP), udp(7, 12, "data"))
	f.Add(true, uint8(endpoint.IPPROTO_UDP), udp(7, 4, "data"))
	f.Add(false, uint8(endpoint.IPPROTO_UDP), udp(7, 65535, ""))
	f.Add(true, uint8(endpoint.IPPROTO_UDPLITE), udp(7, 9, "data"))
	f.Add(false, uint8(endpoint.IPPROTO_UDPLITE), udp(7, 0, "data"))
	f.Add(false, uint8(200), []byte{})
	f.Add(true, uint8(200), []byte("x"))
	f.Add(true, uint8(endpoint.IPPROTO_FRAGMENT), []byte{17, 0, 0, 1, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add(true, uint8(endpoint.IPPROTO_DSTOPTS), append([]byte{200, 0, 1, 4, 0, 0, 0, 0}, "behind"...))
	quoted4 := append([]byte{0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1, 0, 7, 0, 9}, make([]byte, 8)...)
	for _, head := range [][]byte{{3, 3}, {3, 4}, {3, 2}, {11, 0}, {12, 0}, {0, 0}, {8, 0}} {
		f.Add(false, uint8(endpoint.IPPROTO_ICMP), append(append(head, make([]byte, 6)...), quoted4...))
	}
	quoted6 := make([]byte, 48)
	quoted6[0], quoted6[6], quoted6[23], quoted6[39], quoted6[41] = 0x60, 17, 1, 1, 7
	for _, head := range [][]byte{{1, 4}, {2, 0}, {3, 0}, {4, 1}, {129, 0}, {128, 0}} {
		f.Add(true, uint8(endpoint.IPPROTO_ICMPV6), append(append(head, make([]byte, 6)...), quoted6...))
	}
	p := newProtocols(f, true, true)
	var sockets []endpoint.Endpoint
	make4 := func(af, typ, proto int, port uint16) endpoint.Endpoint {
		ep, err := p.Family(af).Open(endpoint.Request{Type: typ, Protocol: proto})
		check(f, err)
		f.Cleanup(func() { ep.Close() })
		if typ == endpoint.SOCK_DGRAM {
			check(f, ep.Bind(inet(kind{af: af}.ip(), port)))
		}
		return ep
	}
	send := map[bool]endpoint.Endpoint{}
	for _, af := range []int{endpoint.AF_INET, endpoint.AF_INET6} {
		icmp := endpoint.IPPROTO_ICMP
		level, recvErr := endpoint.SOL_IP, endpoint.IP_RECVERR
		if af == endpoint.AF_INET6 {
			icmp, level, recvErr = endpoint.IPPROTO_ICMPV6, endpoint.SOL_IPV6, endpoint.IPV6_RECVERR
		}
		for _, s := range []endpoint.Endpoint{
			make4(af, endpoint.SOCK_DGRAM, endpoint.IPPROTO_UDP, 7), make4(af, endpoint.SOCK_DGRAM, endpoint.IPPROTO_UDPLITE, 7),
			make4(af, endpoint.SOCK_DGRAM, icmp, 7), make4(af, endpoint.SOCK_RAW, icmp, 0), make4(af, endpoint.SOCK_RAW, endpoint.IPPROTO_UDP, 0),
			make4(af, endpoint.SOCK_RAW, 200, 0),
		} {
			check(f, s.SetOption(level, recvErr, intData(1)))
			sockets = append(sockets, s)
		}
		send[af == endpoint.AF_INET6] = make4(af, endpoint.SOCK_RAW, endpoint.IPPROTO_RAW, 0)
	}
	f.Fuzz(func(t *testing.T, six bool, proto uint8, data []byte) {
		if len(data) > 1000 {
			return
		}
		var packet []byte
		to := inet(lo4, 0)
		if six {
			to = inet(lo6, 0)
			packet = append([]byte{0x60, 0, 0, 0, 0, 0, proto, 64}, make([]byte, 32)...)
			packet[23], packet[39] = 1, 1
		} else {
			packet = append([]byte{0x45, 0, 0, 0, 0, 1, 0, 0, 64, proto, 0, 0}, 127, 0, 0, 1, 127, 0, 0, 1)
		}
		at := len(packet)
		packet = append(packet, data...)
		fixChecksum(packet, at, proto, six)
		_, _ = send[six].Send(endpoint.Message{Bufs: [][]byte{packet}, To: to})
		buf := make([]byte, 2000)
		for _, s := range sockets {
			for _, flags := range []int{0, endpoint.MSG_ERRQUEUE} {
				for {
					r, err := s.Recv(endpoint.RecvRequest{Bufs: [][]byte{buf}, Flags: flags, Control: true})
					if err == endpoint.EAGAIN {
						break
					}
					if err == nil && (r.N > r.Size || r.N > len(buf)) {
						t.Fatalf("%d of %d bytes", r.N, r.Size)
					}
				}
			}
		}
	})
}

// fixChecksum makes the checksum of an ICMP message right, so that mutations
// pass it.
func fixChecksum(packet []byte, at int, proto uint8, six bool) {
	message := packet[at:]
	if len(message) < 4 || proto != endpoint.IPPROTO_ICMP && proto != endpoint.IPPROTO_ICMPV6 {
		return
	}
	message[2], message[3] = 0, 0
	sum := uint32(0)
	add := func(b []byte) {
		for i, v := range b {
			sum += uint32(v) << (8 * uint(1-i%2))
		}
	}
	add(message)
	if six {
		add(packet[8:40])
		sum += uint32(len(message)) + uint32(proto)
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(message[2:], ^uint16(sum))
}
