package inet

import (
	"errors"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

// A socket of Linux survives its connection: after a failed connect, and after
// connect to AF_UNSPEC, it is unconnected again and may connect anew, with its
// options and the address that it was bound to. A netstack endpoint ends with
// its connection. So the socket gets a new one, on the same queue.
//
// The exchange takes no lock. Whoever loses a race closes what it made; Close
// marks the socket first and closes what it finds, the exchange looks for the
// mark last, so nothing is left open.

var errNoRoom = errors.New("no room")

// connectFailed reports the end of a connection attempt, the error once, and
// makes the socket unconnected again.
func (t *tcpEndpoint) connectFailed(raw *tcp.Endpoint) error {
	t.drain(raw)
	err := t.takePending()
	if err == nil {
		err = endpoint.ECONNABORTED
	}
	if e := t.renew(raw); e != nil {
		return e
	}
	return err
}

// disconnect is connect(2) to AF_UNSPEC, tcp_disconnect of Linux: a reset for
// a connection, the end for a listener; ECONNRESET is left pending where
// something was lost.
func (t *tcpEndpoint) disconnect() error {
	raw := t.raw.Load()
	state := raw.EndpointState()
	switch state {
	case tcp.StateInitial, tcp.StateBound:
		t.set(flagShutRead, false)
		return nil
	case tcp.StateClose, tcp.StateError:
		t.drain(raw) // what is pending stays so
	}
	if state == tcp.StateTimeWait {
		raw.Close() // over for the socket; the connection rests on
	} else {
		raw.Abort()
	}
	if err := t.renew(raw); err != nil {
		return err
	}
	switch state {
	case tcp.StateEstablished, tcp.StateCloseWait, tcp.StateFinWait1, tcp.StateFinWait2, tcp.StateSynRecv, tcp.StateSynSent, tcp.StateConnecting:
		t.pending.Store(int32(endpoint.ECONNRESET))
	}
	t.tell(endpoint.In | endpoint.Out | endpoint.Err | endpoint.Hup | endpoint.RdHup)
	return nil
}

// renew replaces old, which has ended, by a new netstack endpoint.
func (t *tcpEndpoint) renew(old *tcp.Endpoint) error {
	if t.closed.Load() {
		return nil
	}
	raw, err := t.newRaw()
	if err != nil {
		return err
	}
	t.copyOptions(raw, old)
	if was, err := old.GetLocalAddress(); err == nil && was.Port != 0 {
		shown := tcpip.FullAddress{Port: was.Port}
		switch {
		case t.has(flagBound):
			shown.NIC, shown.Addr = t.local.Load().NIC, t.local.Load().Addr
		case t.has(flagHeir):
			shown.NIC, shown.Addr = was.NIC, was.Addr
		}
		t.shown.Store(&shown)
	}
	if t.has(flagBound) {
		// The port may have gone to someone else by now; the socket is
		// then unbound, and the next connect picks another.
		if err := raw.Bind(*t.local.Load()); err != nil {
			t.set(flagBound, false)
		}
	}
	if !t.raw.CompareAndSwap(old, raw) {
		raw.Close()
		return nil
	}
	t.set(flagConnecting|flagConnected|flagShutRead|flagShutWrite|flagListenShut, false)
	if t.closed.Load() {
		raw.Close()
	}
	return nil
}

// network is the protocol that netstack is asked for.
func (t *tcpEndpoint) network() tcpip.NetworkProtocolNumber {
	if t.af == endpoint.AF_INET6 {
		return header.IPv6ProtocolNumber
	}
	return header.IPv4ProtocolNumber
}
