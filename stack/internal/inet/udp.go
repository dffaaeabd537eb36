package inet

import (
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"usersock/stack/endpoint"
)

// udpEndpoint is a SOCK_DGRAM endpoint.
type udpEndpoint struct {
	socket
	raw tcpip.Endpoint

	corkMu sync.Mutex
	corked *corkedDatagram // what MSG_MORE and UDP_CORK hold back; nil at first

	live links[udpEndpoint]
}

var _ endpoint.Endpoint = (*udpEndpoint)(nil)

func openUDP(f *family, req endpoint.Request) (endpoint.Endpoint, error) {
	u := &udpEndpoint{socket: socket{
		p: f.p, af: uint8(f.af), typ: endpoint.SOCK_DGRAM, proto: endpoint.IPPROTO_UDP, cred: req.Cred,
		id: f.p.ids(), wq: new(waiter.Queue),
	}}
	raw, err := f.p.stack.NewEndpoint(udp.ProtocolNumber, f.net, u.wq)
	if err != nil {
		return nil, errno(err)
	}
	ops := raw.SocketOptions()
	ops.SetSendBufferSize(udpBuffer, false)
	ops.SetReceiveBufferSize(udpBuffer, false)
	u.raw = raw
	f.p.datagrams.add(u)
	return u, nil
}

func (u *udpEndpoint) state() transport.DatagramEndpointState {
	return transport.DatagramEndpointState(u.raw.State())
}

// Bind implements endpoint.Endpoint.
func (u *udpEndpoint) Bind(a endpoint.Addr) error {
	if u.closed.Load() {
		return endpoint.EBADF
	}
	fa, err := u.fullAddress(a)
	if err != nil {
		return err
	}
	if u.state() != transport.DatagramEndpointStateInitial {
		return endpoint.EINVAL
	}
	if err := u.checkLocal(fa, u.raw.SocketOptions()); err != nil {
		return err
	}
	if err := u.raw.Bind(fa); err != nil {
		return bindErrno(err)
	}
	u.bound(fa)
	return nil
}

// Connect implements endpoint.Endpoint: it sets the peer. AF_UNSPEC removes
// it, and is harmless where there is none.
func (u *udpEndpoint) Connect(a endpoint.Addr) error {
	if u.closed.Load() {
		return endpoint.EBADF
	}
	if a.Family == endpoint.AF_UNSPEC {
		err := u.raw.Disconnect()
		u.set(flagShutRead|flagShutWrite, false)
		return errno(err)
	}
	fa, err := u.fullAddress(a)
	if err != nil {
		return err
	}
	ops := u.raw.SocketOptions()
	if err := u.checkPeer(&fa, ops); err != nil {
		return err
	}
	if err := u.checkBroadcast(fa, ops); err != nil {
		return err
	}
	return errno(u.raw.Connect(fa))
}

// checkBroadcast refuses to connect to a broadcast address without
// SO_BROADCAST, as Linux does; netstack refuses only to send there.
func (u *udpEndpoint) checkBroadcast(fa tcpip.FullAddress, ops *tcpip.SocketOptions) error {
	if ops.GetBroadcast() {
		return nil
	}
	addr := fa.Addr
	if isMapped(addr) {
		addr = addr.To4()
	}
	if addr.Len() != header.IPv4AddressSize {
		return nil
	}
	if addr == header.IPv4Broadcast || u.p.stack.IsSubnetBroadcast(fa.NIC, header.IPv4ProtocolNumber, addr) {
		return endpoint.EACCES
	}
	return nil
}

// Listen implements endpoint.Endpoint: a datagram socket does not.
func (u *udpEndpoint) Listen(int) error { return endpoint.EOPNOTSUPP }

// Accept implements endpoint.Endpoint: a datagram socket does not.
func (u *udpEndpoint) Accept() (endpoint.Endpoint, endpoint.Addr, error) {
	return nil, endpoint.Addr{}, endpoint.EOPNOTSUPP
}

// Recv implements endpoint.Endpoint. A datagram that does not fit is cut, and
// MSG_TRUNC is set; Size is its true length. MSG_OOB means nothing here. After
// SHUT_RD it answers 0, which is what a blocking recv gets on Linux (one that
// does not wait gets EAGAIN there, and poll says that it is readable).
func (u *udpEndpoint) Recv(r endpoint.RecvRequest) (endpoint.Received, error) {
	if u.closed.Load() {
		return endpoint.Received{}, endpoint.EBADF
	}
	if r.Flags&endpoint.MSG_ERRQUEUE != 0 {
		return endpoint.Received{}, endpoint.EAGAIN
	}
	size := r.Len()
	dst := u.p.destination(r.Bufs, size)
	dst.skim = true
	res, err := u.raw.Read(dst, tcpip.ReadOptions{Peek: r.Flags&endpoint.MSG_PEEK != 0, NeedRemoteAddr: true})
	n := dst.got
	u.p.release(dst)
	if err != nil {
		if _, over := err.(*tcpip.ErrClosedForReceive); over {
			if u.closed.Load() {
				return endpoint.Received{}, endpoint.EBADF // closed during the call
			}
			if u.state() == transport.DatagramEndpointStateClosed {
				return endpoint.Received{}, endpoint.ENETDOWN // by End
			}
			return endpoint.Received{}, nil // shut down for reading
		}
		return endpoint.Received{}, errno(err)
	}
	got := endpoint.Received{N: n, Size: res.Total, From: u.socketAddr(res.RemoteAddr)}
	if n < res.Total {
		got.Flags |= endpoint.MSG_TRUNC
	}
	u.recvControl(&got, &res.ControlMessages, r.Control)
	return got, nil
}

// Shutdown implements endpoint.Endpoint.
func (u *udpEndpoint) Shutdown(how int) error {
	if u.closed.Load() {
		return endpoint.EBADF
	}
	flags, err := shutdownFlags(how)
	if err != nil {
		return err
	}
	if u.state() != transport.DatagramEndpointStateConnected {
		return endpoint.ENOTCONN
	}
	if err := u.raw.Shutdown(flags); err != nil {
		return errno(err)
	}
	if flags&tcpip.ShutdownRead != 0 {
		u.set(flagShutRead, true)
	}
	if flags&tcpip.ShutdownWrite != 0 {
		u.set(flagShutWrite, true)
	}
	u.tell(endpoint.In | endpoint.Out | endpoint.Hup | endpoint.RdHup)
	return nil
}

// Close implements endpoint.Endpoint.
func (u *udpEndpoint) Close() error {
	if !u.closed.Swap(true) {
		u.p.datagrams.remove(u)
		u.raw.Close()
	}
	return nil
}

// LocalAddr implements endpoint.Endpoint.
func (u *udpEndpoint) LocalAddr() (endpoint.Addr, error) {
	fa, err := u.raw.GetLocalAddress()
	if err != nil {
		return endpoint.Addr{}, errno(err)
	}
	if fa.Addr.Len() == 0 && u.has(flagBound4) {
		fa.Addr = mappedAny
	}
	return u.socketAddr(fa), nil
}

// PeerAddr implements endpoint.Endpoint.
func (u *udpEndpoint) PeerAddr() (endpoint.Addr, error) {
	fa, err := u.raw.GetRemoteAddress()
	if err != nil {
		return endpoint.Addr{}, errno(err)
	}
	return u.socketAddr(fa), nil
}

// Ready implements endpoint.Endpoint, after datagram_poll of Linux.
func (u *udpEndpoint) Ready(want endpoint.Events) endpoint.Events {
	mask := u.raw.Readiness(waiter.ReadableEvents | waiter.WritableEvents)
	e := endpoint.Events(mask) & (endpoint.In | endpoint.Out | endpoint.Err)
	flags := u.flags.Load()
	if u.closed.Load() {
		flags |= flagShutRead | flagShutWrite
	}
	if flags&flagShutRead != 0 {
		e |= endpoint.In | endpoint.RdHup
		if flags&flagShutWrite != 0 {
			e |= endpoint.Hup
		}
	}
	return e & (want | endpoint.Always)
}

// Queued implements endpoint.Endpoint: the length of the next datagram.
func (u *udpEndpoint) Queued() (in, out int) {
	n, err := u.raw.GetSockOptInt(tcpip.ReceiveQueueSizeOption)
	if err != nil {
		return endpoint.Unknown, endpoint.Unknown
	}
	return n, endpoint.Unknown
}
