package endpointtest_test

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"testing"

	"usersock/stack/endpoint"
	"usersock/stack/endpoint/endpointtest"
	"usersock/stack/internal/kernel"
)

// TestKernel runs the suite over the sockets of the kernel: what it asks for
// must be what Linux does.
func TestKernel(t *testing.T) {
	for _, typ := range []struct {
		name string
		typ  int
	}{
		{"stream", endpoint.SOCK_STREAM},
		{"dgram", endpoint.SOCK_DGRAM},
		{"seqpacket", endpoint.SOCK_SEQPACKET},
	} {
		t.Run("unix/"+typ.name, func(t *testing.T) {
			endpointtest.Run(t, func(t *testing.T) endpointtest.Provider {
				dir := t.TempDir()
				var last atomic.Int32
				fresh := func() endpoint.Addr {
					return endpoint.Unix(filepath.Join(dir, fmt.Sprint(last.Add(1))))
				}
				return endpointtest.Provider{
					Family:  kernel.Family{AF: endpoint.AF_UNIX},
					Request: endpoint.Request{Type: typ.typ},
					Bind:    fresh,
					Nobody:  fresh,
					Features: endpointtest.Features{
						Refused:           endpoint.ENOENT,
						FullBacklogBlocks: true,
						Reliable:          true,
						MaxDatagram:       212992 - 32, // net.core.wmem_default, less a margin
					},
				}
			})
		})
		if typ.typ == endpoint.SOCK_SEQPACKET {
			continue
		}
		for _, ip := range []string{"127.0.0.1", "::1"} {
			t.Run("inet/"+typ.name+"/"+ip, func(t *testing.T) {
				any := endpoint.Inet(netip.AddrPortFrom(netip.MustParseAddr(ip), 0))
				f := kernel.Family{AF: any.Family}
				e, err := f.Open(endpoint.Request{Type: typ.typ})
				if err == nil {
					err = e.Bind(any)
					e.Close()
				}
				if err != nil {
					t.Skipf("this machine has no %v: %v", any, err)
				}
				endpointtest.Run(t, func(t *testing.T) endpointtest.Provider {
					nobody := any
					nobody.Port = 1 // tcpmux: not served on any machine that tests run on
					return endpointtest.Provider{
						Family:   f,
						Request:  endpoint.Request{Type: typ.typ},
						Bind:     func() endpoint.Addr { return any },
						Nobody:   func() endpoint.Addr { return nobody },
						Features: endpointtest.Features{Refused: endpoint.ECONNREFUSED},
					}
				})
			})
		}
	}
}
