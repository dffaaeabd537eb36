package inet

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"usersock/stack/endpoint"
)

// What waits takes as much of SO_RCVBUF as in the kernel, and as many datagrams
// find room.
func TestDatagramCostLikeTheKernel(t *testing.T) {
	p := newProtocols(t, true, true)
	for _, k := range []struct {
		name       string
		ip         netip.Addr
		typ, proto int
	}{
		{"UDP over IPv4", lo4, endpoint.SOCK_DGRAM, endpoint.IPPROTO_UDP},
		{"UDP over IPv6", lo6, endpoint.SOCK_DGRAM, endpoint.IPPROTO_UDP},
		{"raw over IPv4", lo4, endpoint.SOCK_RAW, 200},
		{"raw over IPv6", lo6, endpoint.SOCK_RAW, 200},
	} {
		t.Run(k.name, func(t *testing.T) {
			needKernel(t, k.ip)
			af := inet(k.ip, 0).Family
			kernel := func() (endpoint.Endpoint, error) {
				s, err := openKernel(af, k.typ, k.proto)
				if err != nil {
					return nil, err
				}
				t.Cleanup(func() { s.Close() })
				return s, nil
			}
			ours := func() (endpoint.Endpoint, error) {
				s, err := p.Family(af).Open(endpoint.Request{Type: k.typ, Protocol: k.proto})
				if err == nil {
					t.Cleanup(func() { s.Close() })
				}
				return s, err
			}
			if _, err := kernel(); err == endpoint.EPERM {
				t.Skip("no privilege for raw sockets")
			}
			// fill sends datagrams until one is lost, and says what waits then.
			fill := func(open func() (endpoint.Endpoint, error), buffer, size, most int) string {
				from, err := open()
				check(t, err)
				to, err := open()
				check(t, err)
				defer from.Close()
				defer to.Close()
				check(t, to.SetOption(endpoint.SOL_SOCKET, endpoint.SO_RCVBUF, intData(buffer)))
				check(t, from.SetOption(endpoint.SOL_SOCKET, endpoint.SO_SNDBUF, intData(1<<20)))
				check(t, to.Bind(inet(k.ip, 0)))
				addr, err := to.LocalAddr()
				check(t, err)
				if k.typ == endpoint.SOCK_RAW {
					addr.Port = 0
				}
				var words [36]byte
				for n := 1; ; n++ {
					_, err := from.Send(endpoint.Message{Bufs: [][]byte{make([]byte, size)}, To: addr})
					check(t, err)
					_, err = to.Option(endpoint.SOL_SOCKET, endpoint.SO_MEMINFO, words[:])
					check(t, err)
					mem, lost := binary.NativeEndian.Uint32(words[:]), binary.NativeEndian.Uint32(words[32:])
					if lost > 0 || n == most {
						return fmt.Sprintf("%d datagrams take %d", n-int(lost), mem)
					}
				}
			}
			for _, size := range []int{0, 1, 184, 185, 197, 198, 205, 206, 632, 633, 645, 646, 1400, 1656, 1657, 1669, 1670, 3704, 3705, 3717, 3718,
				7800, 7801, 7813, 7814, 9000, 15991, 15992, 16004, 16005, 16012, 16013, 40000, 65000} {
				if want, got := fill(kernel, 1<<17, size, 1), fill(ours, 1<<17, size, 1); want != got {
					t.Errorf("%d bytes: kernel %s, ours %s", size, want, got)
				}
			}
			for _, buffer := range []int{0, 3000, 20_000} {
				for _, size := range []int{10, 500, 1400, 9000, 20_000} {
					if want, got := fill(kernel, buffer, size, 1000), fill(ours, buffer, size, 1000); want != got {
						t.Errorf("%d bytes, a buffer of %d: kernel %s, ours %s", size, buffer, want, got)
					}
				}
			}
		})
	}
}
