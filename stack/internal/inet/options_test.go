package inet

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"usersock/stack/endpoint"
)

// What every option answers is in the differential suite of sockapi. Here is
// what the suite cannot ask: values that are a machine's, and options whose
// buffer is read before it is written.

// The largest buffers are those of Linux's first wmem_max and rmem_max.
func TestLargestBuffers(t *testing.T) {
	p := newProtocols(t, true, true)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			s := open(t, p, k.af, k.typ)
			lowWater := 1<<31 - 1
			if k.typ == endpoint.SOCK_STREAM {
				lowWater = bufferMax // half the buffer
			}
			for _, c := range []struct{ name, set, want int }{
				{endpoint.SO_SNDBUF, 1 << 30, 2 * bufferMax},
				{endpoint.SO_SNDBUF, -1, 2 * bufferMax},
				{endpoint.SO_RCVBUF, 1 << 30, 2 * bufferMax},
				{endpoint.SO_RCVLOWAT, -3, lowWater},
			} {
				check(t, s.SetOption(endpoint.SOL_SOCKET, c.name, intData(c.set)))
				var b [4]byte
				_, err := s.Option(endpoint.SOL_SOCKET, c.name, b[:])
				check(t, err)
				if got, _ := endpoint.Int(b[:]); got != c.want {
					t.Errorf("option %d set to %d is %d, want %d", c.name, c.set, got, c.want)
				}
			}
		})
	}
}

// A filter is read by the group and the interface in the buffer.
func TestReadFilter(t *testing.T) {
	s := open(t, newProtocols(t, true, false), endpoint.AF_INET, endpoint.SOCK_DGRAM)
	check(t, s.Bind(inet(netip.IPv4Unspecified(), 0)))
	// struct ip_msfilter: group, interface, mode, number of sources, sources
	filter := func(sources int, ips ...byte) []byte {
		b := []byte{224, 0, 0, 200, 127, 0, 0, 1}
		b = binary.NativeEndian.AppendUint32(b, endpoint.MCAST_EXCLUDE)
		b = binary.NativeEndian.AppendUint32(b, uint32(sources))
		return append(b, ips...)
	}
	check(t, s.SetOption(endpoint.SOL_IP, endpoint.IP_ADD_MEMBERSHIP, filter(0)[:8]))
	set := filter(1, 127, 0, 0, 1)
	check(t, s.SetOption(endpoint.SOL_IP, endpoint.IP_MSFILTER, set))
	b := filter(3, make([]byte, 12)...)
	n, err := s.Option(endpoint.SOL_IP, endpoint.IP_MSFILTER, b)
	check(t, err)
	if !bytes.Equal(b[:n], set) {
		t.Errorf("read %x, want %x", b[:n], set)
	}
	wantErrno(t, "a short buffer", func() error { _, err := s.Option(endpoint.SOL_IP, endpoint.IP_MSFILTER, filter(3)[:12]); return err }(), endpoint.EINVAL)
}
