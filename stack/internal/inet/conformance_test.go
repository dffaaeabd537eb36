package inet

import (
	"net/netip"
	"testing"

	"usersock/stack/endpoint"
	"usersock/stack/endpoint/endpointtest"
)

func TestConformance(t *testing.T) {
	for _, c := range []struct {
		name    string
		ip      netip.Addr
		typ     int
		proto   int
		longest int
	}{
		{"TCP over IPv4", lo4, endpoint.SOCK_STREAM, 0, 0},
		{"TCP over IPv6", lo6, endpoint.SOCK_STREAM, 0, 0},
		{"UDP over IPv4", lo4, endpoint.SOCK_DGRAM, 0, maxPayload4},
		{"UDP over IPv6", lo6, endpoint.SOCK_DGRAM, 0, maxPayload6},
		{"UDP-Lite over IPv4", lo4, endpoint.SOCK_DGRAM, endpoint.IPPROTO_UDPLITE, maxPayload4},
		{"UDP-Lite over IPv6", lo6, endpoint.SOCK_DGRAM, endpoint.IPPROTO_UDPLITE, maxPayload6},
	} {
		t.Run(c.name, func(t *testing.T) {
			endpointtest.Run(t, func(t *testing.T) endpointtest.Provider {
				p := newProtocols(t, true, true)
				return endpointtest.Provider{
					Family:  p.Family(inet(c.ip, 0).Family),
					Request: endpoint.Request{Type: c.typ, Protocol: c.proto},
					Bind:    func() endpoint.Addr { return inet(c.ip, 0) },
					Nobody:  func() endpoint.Addr { return inet(c.ip, 9) },
					Features: endpointtest.Features{
						Refused:     endpoint.ECONNREFUSED,
						MaxDatagram: c.longest,
					},
				}
			})
		})
	}
}
