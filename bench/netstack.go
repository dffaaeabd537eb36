package main

import (
	"errors"
	"fmt"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/loopback"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"usersock/netdev"
)

const (
	port       = 5001
	bufferSize = 4 << 20
	backlog    = 128
)

// hosts are the two ends of a bare netstack; one stack may be both.
type hosts struct {
	client, server *gvstack.Stack
	addr           tcpip.Address // the server's
}

// newHost makes a netstack with one interface and the TCP options that this
// project's stacks have.
func newHost(link gvstack.LinkEndpoint, addr tcpip.Address) (*gvstack.Stack, error) {
	s := gvstack.New(gvstack.Options{
		NetworkProtocols:   []gvstack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []gvstack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	sack := tcpip.TCPSACKEnabled(true)
	recovery := tcpip.TCPRecovery(0)
	control := tcpip.CongestionControlOption("cubic")
	moderate := tcpip.TCPModerateReceiveBufferOption(false)
	for _, o := range []tcpip.SettableTransportProtocolOption{
		&sack, &recovery, &control, &moderate,
		&tcpip.TCPSendBufferSizeRangeOption{Min: 4096, Default: bufferSize, Max: 2 * bufferSize},
		&tcpip.TCPReceiveBufferSizeRangeOption{Min: 4096, Default: bufferSize, Max: 2 * bufferSize},
	} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return nil, fmt.Errorf("set TCP option %T: %s", o, err)
		}
	}
	if err := s.CreateNIC(1, link); err != nil {
		return nil, fmt.Errorf("attach the link: %s", err)
	}
	own := tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: addr, PrefixLen: 24},
	}
	if err := s.AddProtocolAddress(1, own, gvstack.AddressProperties{}); err != nil {
		return nil, fmt.Errorf("add the address: %s", err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}})
	return s, nil
}

// loopbackHost is one netstack on its own loopback link.
func loopbackHost() (*hosts, error) {
	addr := tcpip.AddrFrom4([4]byte{127, 0, 0, 1})
	s, err := newHost(loopback.New(), addr)
	if err != nil {
		return nil, err
	}
	return &hosts{s, s, addr}, nil
}

// pairHosts are two netstacks on this project's link.
func pairHosts() (*hosts, error) {
	a, b := netdev.Pair(netdev.PairConfig{})
	client, err := newHost(a.Wire().Endpoint, tcpip.AddrFrom4([4]byte{192, 0, 2, 1}))
	if err != nil {
		return nil, err
	}
	addr := tcpip.AddrFrom4([4]byte{192, 0, 2, 2})
	server, err := newHost(b.Wire().Endpoint, addr)
	if err != nil {
		return nil, err
	}
	return &hosts{client, server, addr}, nil
}

func (h *hosts) target() tcpip.FullAddress {
	return tcpip.FullAddress{NIC: 1, Addr: h.addr, Port: port}
}

func (h *hosts) close() error {
	h.client.Close()
	h.server.Close()
	h.client.RemoveNIC(1)
	h.server.RemoveNIC(1)
	h.client.Wait()
	h.server.Wait()
	return nil
}

// openGonet uses gVisor's adapter over netstack's own loopback link.
func openGonet(int) (*system, error) {
	h, err := loopbackHost()
	if err != nil {
		return nil, err
	}
	return &system{
		listen: func() (listener, error) {
			l, err := gonet.ListenTCP(h.server, h.target(), ipv4.ProtocolNumber)
			if err != nil {
				return nil, err
			}
			return accepts[conn]{func() (conn, error) { return l.Accept() }, l.Close}, nil
		},
		dial: func(listener) (conn, error) {
			return gonet.DialTCP(h.client, h.target(), ipv4.ProtocolNumber)
		},
		datagrams: func() (client, server conn, err error) {
			to := h.target()
			d, err := gonet.DialUDP(h.server, &to, nil, ipv4.ProtocolNumber)
			if err != nil {
				return nil, nil, err
			}
			c, err := gonet.DialUDP(h.client, nil, &to, ipv4.ProtocolNumber)
			if err != nil {
				return nil, nil, errors.Join(err, d.Close())
			}
			return c, d, nil
		},
		close: h.close,
	}, nil
}
