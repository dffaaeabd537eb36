package sockapi

import (
	"context"
	"net"
	"net/netip"
	"strconv"

	"usersock/stack/endpoint"
)

// serverConn is a connected datagram socket to a name server. The resolver opens
// one for each question, so that it is a PacketConn with less around it: the
// Socket is inside, the collector does not look after it (the resolver closes
// what it dialled), and its addresses are found when somebody asks.
type serverConn struct {
	endpointConn
	socket Socket
}

var _ net.Conn = (*serverConn)(nil)

// dialServer connects to a name server by its address: no name is looked up
// on the way to look one up.
func (n *Net) dialServer(ctx context.Context, network, address string) (net.Conn, error) {
	server, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, &ValueError{Op: "dial", Msg: "name server " + strconv.Quote(address) + " is no address with a port"}
	}
	if network != "udp" {
		return n.DialContext(ctx, network, address)
	}
	c, err := n.dialDatagrams(ctx, server)
	if err != nil {
		return nil, dialError(network, net.UDPAddrFromAddrPort(server), err)
	}
	return c, nil
}

func (n *Net) dialDatagrams(ctx context.Context, server netip.AddrPort) (*serverConn, error) {
	if ctx.Err() != nil {
		return nil, ctxError(ctx)
	}
	family := AF_INET6
	ip := server.Addr().Unmap()
	if ip.Is4() {
		family = AF_INET
	}
	to, err := n.fromAddrPort(family, netip.AddrPortFrom(ip, server.Port()))
	if err != nil {
		return nil, err
	}
	if n.stack.Virtual() != nil {
		n.gate(-1, nil, "udp "+to.String())
	}
	ep, err := n.stack.Open(family, endpoint.Request{Type: SOCK_DGRAM, Cred: n.cred})
	if err != nil {
		return nil, fail("socket", nil, err)
	}
	f := newFile(n.stack, ep, family, SOCK_DGRAM, 0, Forever)
	f.refs.Store(1)
	d, err := n.install(f)
	if err != nil {
		return nil, fail("socket", nil, err)
	}
	c := &serverConn{socket: Socket{desc: d, family: family, typ: SOCK_DGRAM}}
	c.s, c.network = &c.socket, "udp"
	n.gate(d.fd, d, "connect")
	if err := d.outcome(ep.Connect(to)); err != nil {
		c.Close()
		return nil, fail("connect", nil, err)
	}
	return c, nil
}
