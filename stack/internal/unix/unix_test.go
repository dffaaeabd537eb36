package unix

import (
	"fmt"
	"sync/atomic"
	"testing"

	"usersock/stack/endpoint"
	"usersock/stack/endpoint/endpointtest"
)

// TestConformance runs the suite of the contract over each type, connected by
// path names, by abstract names, and as pairs.
func TestConformance(t *testing.T) {
	for _, typ := range []struct {
		name string
		typ  int
	}{
		{"stream", endpoint.SOCK_STREAM},
		{"dgram", endpoint.SOCK_DGRAM},
		{"seqpacket", endpoint.SOCK_SEQPACKET},
	} {
		for _, names := range []struct{ name, prefix string }{{"path", "/run/test"}, {"abstract", "\x00test"}} {
			t.Run(typ.name+"/"+names.name, func(t *testing.T) {
				endpointtest.Run(t, func(t *testing.T) endpointtest.Provider {
					return provider(typ.typ, names.prefix)
				})
			})
		}
		t.Run(typ.name+"/pair", func(t *testing.T) {
			endpointtest.Run(t, func(t *testing.T) endpointtest.Provider {
				p := provider(typ.typ, "/run/test")
				p.Pair = func() (a, b endpoint.Endpoint, err error) {
					return p.Family.(*Family).Pair(p.Request)
				}
				return p
			})
		})
	}
}

func provider(typ int, prefix string) endpointtest.Provider {
	var last atomic.Int32
	fresh := func() endpoint.Addr { return endpoint.Unix(fmt.Sprint(prefix, last.Add(1))) }
	p := endpointtest.Provider{
		Family:  New(Config{}),
		Request: endpoint.Request{Type: typ, Cred: endpoint.Cred{Pid: 7, Uid: 1000, Gid: 1000}},
		Bind:    fresh,
		Nobody:  fresh,
		Features: endpointtest.Features{
			Refused:           endpoint.ENOENT,
			FullBacklogBlocks: true,
			Reliable:          true,
			Rights:            true,
			QueuedOut:         true,
			MaxDatagram:       defaultBuffer - messageMargin,
		},
	}
	if prefix[0] == 0 {
		p.Features.Refused = endpoint.ECONNREFUSED
	}
	return p
}
