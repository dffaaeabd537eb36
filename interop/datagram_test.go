//go:build linux

package interop

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"usersock/interop/netns"
	"usersock/sockapi"
)

func addressOf(host string, port int) sockapi.Addr {
	if netip.MustParseAddr(host).Is4() {
		return sockapi.InetAddr{Host: host, Port: port}
	}
	return sockapi.Inet6Addr{Host: host, Port: port}
}

func socketOf(t *testing.T, n *sockapi.Net, host string, typ, proto int) *sockapi.Socket {
	t.Helper()
	s, err := n.Socket(addressOf(host, 0).Family(), typ, proto)
	check(t, err)
	t.Cleanup(func() { s.Close() })
	check(t, s.Settimeout(10*time.Second))
	return s
}

// TestPingKernel: the kernel answers a ping socket and a raw socket of ours.
func TestPingKernel(t *testing.T) {
	each(t, nil, func(t *testing.T, n *sockapi.Net, _, kernel string) {
		proto, request, at := sockapi.IPPROTO_ICMP, byte(8), 20
		if netip.MustParseAddr(kernel).Is6() {
			proto, request, at = sockapi.IPPROTO_ICMPV6, 128, 0
		}
		message := []byte{request, 0, 0, 0, 0, 0, 0, 7, 'd', 'a', 't', 'a'}
		ping := socketOf(t, n, kernel, sockapi.SOCK_DGRAM, proto)
		_, err := ping.Sendto(message, addressOf(kernel, 0))
		check(t, err)
		reply, _, err := ping.Recvfrom(100)
		check(t, err)
		if string(reply[6:]) != string(message[6:]) {
			t.Errorf("the reply is %x", reply)
		}
		raw := socketOf(t, n, kernel, sockapi.SOCK_RAW, proto)
		own := append([]byte(nil), message...)
		binary.BigEndian.PutUint16(own[4:], 0xbeef)
		if at != 0 { // ICMPv6 gets its checksum from the socket
			sum := uint32(0)
			for i := 0; i < len(own); i += 2 {
				sum += uint32(binary.BigEndian.Uint16(own[i:]))
			}
			binary.BigEndian.PutUint16(own[2:], ^uint16(sum&0xffff+sum>>16))
		}
		_, err = raw.Sendto(own, addressOf(kernel, 0))
		check(t, err)
		for {
			packet, _, err := raw.Recvfrom(200)
			check(t, err)
			if len(packet) == at+len(own) && binary.BigEndian.Uint16(packet[at+4:]) == 0xbeef {
				break
			}
		}
	})
}

// TestUDPLiteKernel: datagrams with part of them covered pass both ways between
// the kernel's UDP-Lite and ours, with checksums that both compute.
func TestUDPLiteKernel(t *testing.T) {
	each(t, nil, func(t *testing.T, n *sockapi.Net, ours, kernel string) {
		af, to := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: port, Addr: netip.MustParseAddr(ours4).As4()})
		if netip.MustParseAddr(kernel).Is6() {
			af, to = unix.AF_INET6, &unix.SockaddrInet6{Port: port, Addr: netip.MustParseAddr(ours6).As16()}
		}
		fd, err := unix.Socket(af, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_UDPLITE)
		if err == unix.EPROTONOSUPPORT {
			netns.Skip(t, "the kernel has no UDP-Lite")
		}
		check(t, err)
		defer unix.Close(fd)
		check(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}))
		s := socketOf(t, n, kernel, sockapi.SOCK_DGRAM, sockapi.IPPROTO_UDPLITE)
		check(t, s.Bind(addressOf(ours, port)))
		for _, coverage := range []int{0, 8, 12, 13, 28, 500} {
			check(t, unix.SetsockoptInt(fd, sockapi.SOL_UDPLITE, sockapi.UDPLITE_SEND_CSCOV, coverage))
			check(t, s.Setsockopt(sockapi.SOL_UDPLITE, sockapi.UDPLITE_SEND_CSCOV, coverage))
			text := []byte("twenty bytes of data")
			check(t, unix.Sendto(fd, text, 0, to))
			got, from, err := s.Recvfrom(100)
			check(t, err)
			if string(got) != string(text) {
				t.Errorf("coverage %d: received %q", coverage, got)
			}
			_, err = s.Sendto(text, from)
			check(t, err)
			b := make([]byte, 100)
			k, _, err := unix.Recvfrom(fd, b, 0)
			check(t, err)
			if string(b[:k]) != string(text) {
				t.Errorf("coverage %d: the kernel received %q", coverage, b[:k])
			}
		}
		check(t, s.Setsockopt(sockapi.SOL_UDPLITE, sockapi.UDPLITE_RECV_CSCOV, 20))
		check(t, unix.SetsockoptInt(fd, sockapi.SOL_UDPLITE, sockapi.UDPLITE_SEND_CSCOV, 12))
		check(t, unix.Sendto(fd, []byte("too little of it is covered"), 0, to))
		check(t, unix.SetsockoptInt(fd, sockapi.SOL_UDPLITE, sockapi.UDPLITE_SEND_CSCOV, 20))
		check(t, unix.Sendto(fd, []byte("enough of it is covered"), 0, to))
		got, _, err := s.Recvfrom(100)
		check(t, err)
		if string(got) != "enough of it is covered" {
			t.Errorf("received %q", got)
		}
	})
}

// TestRefusedByKernel: a connected socket hears of the kernel's closed port.
func TestRefusedByKernel(t *testing.T) {
	each(t, nil, func(t *testing.T, n *sockapi.Net, _, kernel string) {
		for _, proto := range []int{sockapi.IPPROTO_UDP, sockapi.IPPROTO_UDPLITE} {
			s := socketOf(t, n, kernel, sockapi.SOCK_DGRAM, proto)
			check(t, s.Connect(addressOf(kernel, 9)))
			_, err := s.Send([]byte("x"))
			check(t, err)
			_, err = s.Recv(10)
			if !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("protocol %d: %v, want ECONNREFUSED", proto, err)
			}
		}
	})
}
