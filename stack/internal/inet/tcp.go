package inet

import (
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"usersock/stack/endpoint"
)

// tcpEndpoint is a SOCK_STREAM endpoint.
//
// It remembers what netstack's endpoint does not: how far the descriptor got
// (struct socket's state in Linux, which outlives the connection's), which
// directions it shut down, and an error that waits to be reported. The
// netstack endpoint itself may be replaced, see tcp_renew.go.
type tcpEndpoint struct {
	socket
	raw    atomic.Pointer[tcp.Endpoint]
	next   atomic.Pointer[tcp.Endpoint]      // what was bound after raw had ended; mostly nil
	named  atomic.Pointer[tcpip.FullAddress] // the name without a port of netstack's, see tcp_bind.go; nil at first
	unread atomic.Pointer[unread]            // what netstack may not have any more; mostly nil
	// drained is the netstack endpoint whose errors were moved to pending.
	drained atomic.Pointer[tcp.Endpoint]
	drainMu sync.Mutex // the turn of moving them, see drain

	errs atomic.Pointer[errorQueue] // nil until there is an error
	soft atomic.Pointer[softError]  // see tcp_error.go

	backlog atomic.Int32            // what Listen was asked for, cut to SOMAXCONN
	least   atomic.Uint32           // IP_MINTTL, and IPV6_MINHOPCOUNT from bit 8 on
	notSent atomic.Pointer[notSent] // nil until TCP_NOTSENT_LOWAT is set
	groups  atomic.Pointer[memberships]
	live    links[tcpEndpoint]
	owner   portOwner // guarded by the table of ports
}

var _ endpoint.Endpoint = (*tcpEndpoint)(nil)

func openTCP(f *family, req endpoint.Request) (endpoint.Endpoint, error) {
	t := &tcpEndpoint{socket: socket{
		p: f.p, af: uint8(f.af), typ: endpoint.SOCK_STREAM, proto: endpoint.IPPROTO_TCP, cred: req.Cred,
		id: f.p.ids(), wq: new(waiter.Queue),
	}}
	raw, err := t.newRaw()
	if err != nil {
		return nil, err
	}
	t.raw.Store(raw)
	f.p.streams.add(t)
	f.p.owners.put(t, nil, raw)
	return t, nil
}

// newRaw makes a netstack endpoint on the socket's queue, with the options
// that a socket of Linux starts with.
func (t *tcpEndpoint) newRaw() (*tcp.Endpoint, error) {
	ep, err := t.p.stack.NewEndpoint(tcp.ProtocolNumber, t.network(), t.wq)
	if err != nil {
		return nil, errno(err)
	}
	raw := ep.(*tcp.Endpoint)
	raw.SocketOptions().SetDelayOption(true) // TCP_NODELAY 0
	return raw, nil
}

// Connect implements endpoint.Endpoint. Its answers follow
// __inet_stream_connect of Linux: EINPROGRESS, then EALREADY, then success
// once, then EISCONN; after a failure the error once (ECONNABORTED if SO_ERROR
// took it), after which the socket may connect anew. AF_UNSPEC dissolves any
// connection with a reset.
func (t *tcpEndpoint) Connect(a endpoint.Addr) error {
	if t.closed.Load() {
		return endpoint.EBADF
	}
	if a.Family == endpoint.AF_UNSPEC {
		return t.disconnect()
	}
	fa, err := t.fullAddress(a)
	if err != nil {
		return err
	}
	if t.has(flagConnected) {
		return endpoint.EISCONN
	}
	if t.has(flagDisconnecting) {
		return endpoint.EINVAL
	}
	raw := t.raw.Load()
	state := raw.EndpointState()
	switch {
	case state == tcp.StateListen:
		return endpoint.EISCONN
	case ended(state):
		return t.connectFailed(raw)
	}
	if t.has(flagConnecting) { // whereto, is not looked at again
		if connecting(state) {
			return endpoint.EALREADY
		}
		t.set(flagConnecting, false)
		t.set(flagConnected, true)
		return nil
	}
	if err := t.checkPeer(&fa, raw.SocketOptions()); err != nil {
		return err
	}
	if t.p.ended.Load() {
		return endpoint.ENETDOWN
	}
	to := t.claimTo(fa)
	late, err := t.bindToConnect(raw, &to)
	if err != nil {
		return err
	}
	// A new attempt forgets the error of a disconnect, as tcp_connect_init of
	// Linux does.
	pending := t.pending.Swap(0)
	switch err := t.connectFrom(raw, fa); err.(type) {
	case nil:
		t.set(flagConnecting, false)
		t.set(flagConnected, true)
		return nil
	case *tcpip.ErrConnectStarted:
		if local, err := raw.GetLocalAddress(); err == nil {
			t.p.ports.narrow(t, raw, local.Addr, &to)
		}
		t.set(flagConnecting, true)
		t.limitSyns(raw)
		t.p.stillborn(raw) // its end is told as any other
		return endpoint.EINPROGRESS
	case *tcpip.ErrAlreadyConnecting:
		return endpoint.EALREADY
	case *tcpip.ErrAlreadyConnected:
		return endpoint.EISCONN
	default:
		if raw.EndpointState() == tcp.StateError {
			t.pending.CompareAndSwap(0, int32(t.failure(err)))
			return t.connectFailed(raw)
		}
		t.pending.CompareAndSwap(0, pending) // there was none
		e := t.connectErrno(err)
		if err := t.unbindAfter(raw, err, late); err != nil {
			return err
		}
		return e
	}
}

// connectErrno is errno for a connect that netstack refuses at once.
func (t *tcpEndpoint) connectErrno(err tcpip.Error) error {
	if _, bad := err.(*tcpip.ErrUnknownProtocol); bad {
		return endpoint.ENETUNREACH
	}
	if e := errno(err); e != endpoint.ENETUNREACH || !t.onLoopback4() {
		return e
	}
	return endpoint.EINVAL // a route of Linux may not begin there
}

// limitSyns ends an attempt to connect when TCP_SYNCNT retransmissions have had
// no answer. Netstack keeps the number and sends six, after 1, 3, 7 and so on
// seconds; a larger number changes nothing.
func (t *tcpEndpoint) limitSyns(raw *tcp.Endpoint) {
	if !t.has(flagInherit) {
		return // no option was ever set
	}
	n := t.storedInt(endpoint.IPPROTO_TCP, endpoint.TCP_SYNCNT, tcp.DefaultSynRetries)
	if n >= tcp.DefaultSynRetries {
		return
	}
	t.p.clock.AfterFunc(tcp.InitialRTO*time.Duration(1<<(n+1)-1), func() {
		if t.raw.Load() != raw || !connecting(raw.EndpointState()) {
			return
		}
		t.pending.CompareAndSwap(0, int32(endpoint.ETIMEDOUT))
		raw.Abort()
		t.tell(endpoint.In | endpoint.Out | endpoint.Err | endpoint.Hup)
	})
}

// maxWrite is the most that goes to netstack in one Write. A segment of a
// link with segmentation offload holds 65,535 bytes with its headers, so a
// larger write leaves a runt; and the receiver can begin while the rest is
// still being copied.
const maxWrite = 61440

// Send implements endpoint.Endpoint. An address of the own family is ignored,
// as Linux ignores it for TCP. MSG_FASTOPEN is EOPNOTSUPP. MSG_OOB sends in line: netstack has no urgent data. MSG_MORE
// holds a last partial segment back until a Send without it.
func (t *tcpEndpoint) Send(m endpoint.Message) (int, error) {
	if t.closed.Load() {
		return 0, endpoint.EBADF
	}
	raw := t.raw.Load()
	if !m.To.IsZero() && m.To.Family != int(t.af) {
		return 0, endpoint.EAFNOSUPPORT
	}
	if m.Flags&endpoint.MSG_FASTOPEN != 0 {
		return 0, endpoint.EOPNOTSUPP
	}
	if len(m.Control) != 0 {
		if bad := t.checkStreamControl(m.Control); bad != nil {
			// Linux looks at them where it would send: not without a connection.
			if _, err := t.Send(endpoint.Message{}); err != nil {
				return 0, err
			}
			return 0, bad
		}
	}
	if err := t.takePending(); err != nil {
		return 0, err
	}
	more := m.Flags&endpoint.MSG_MORE != 0
	if more && t.flags.Load()&(flagMore|flagUserCork) == 0 {
		t.set(flagMore, true)
		raw.SocketOptions().SetCorkOption(true)
	}
	total := m.Len()
	if t.has(flagShutWrite) && !connecting(raw.EndpointState()) {
		// Netstack does not know of a Shutdown before the connection.
		return 0, t.sendErrno(raw, &tcpip.ErrClosedForSend{}, m.Len())
	}
	src := t.p.source(m.Bufs, 0)
	sent := 0
	var err error
	for {
		if total > sent && !t.maySend(raw) {
			if sent == 0 {
				err = endpoint.EAGAIN
			}
			break
		}
		chunk := min(total-sent, maxWrite)
		src.left = chunk
		n, terr := raw.Write(src, tcpip.WriteOptions{})
		sent += int(n)
		if terr != nil {
			if sent == 0 {
				err = t.sendErrno(raw, terr, total)
			}
			break
		}
		if int(n) < chunk || sent == total {
			break
		}
	}
	t.p.release(src)
	if !more && t.has(flagMore) {
		t.set(flagMore, false)
		if !t.has(flagUserCork) {
			raw.SocketOptions().SetCorkOption(false)
		}
	}
	if err == nil && sent == 0 && total > 0 {
		// Another Send took the room between netstack's two looks.
		err = endpoint.EAGAIN
	}
	return sent, err
}

// sendErrno turns an error of netstack's Write into tcp_sendmsg's: a pending
// error first and once, then EPIPE.
func (t *tcpEndpoint) sendErrno(raw *tcp.Endpoint, err tcpip.Error, total int) error {
	switch err.(type) {
	case *tcpip.ErrWouldBlock:
		if total == 0 && !connecting(raw.EndpointState()) {
			return nil // nothing to queue needs no room
		}
		return endpoint.EAGAIN
	case *tcpip.ErrClosedForSend:
		t.drain(raw)
		if e := t.takePending(); e != nil {
			return e
		}
		return endpoint.EPIPE
	}
	t.forget(raw, err)
	return t.failure(err)
}

// PeerAddr implements endpoint.Endpoint.
func (t *tcpEndpoint) PeerAddr() (endpoint.Addr, error) {
	raw := t.raw.Load()
	if ended(raw.EndpointState()) {
		return endpoint.Addr{}, endpoint.ENOTCONN
	}
	fa, err := raw.GetRemoteAddress()
	if err != nil {
		if raw.EndpointState() != tcp.StateSynRecv {
			return endpoint.Addr{}, errno(err)
		}
		i := raw.Info().(*gvstack.TransportEndpointInfo) // both sides open: it is known
		fa = tcpip.FullAddress{NIC: i.BindNICID, Addr: i.ID.RemoteAddress, Port: i.ID.RemotePort}
	}
	return t.socketAddr(fa), nil
}
