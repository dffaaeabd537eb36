package inet

import (
	"errors"
	"weak"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

// A socket of Linux survives its connection: after a failed connect, and after
// connect to AF_UNSPEC, it is unconnected again and may connect anew, with its
// options and, if it was bound, its address. A netstack endpoint ends with
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
	if e := t.dissolve(raw); e != nil {
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
		t.peekOff.Store(0)
		t.set(flagShutRead|flagShutWrite, false)
		return nil
	case tcp.StateClose, tcp.StateError:
		t.drain(raw) // what is pending stays so
	case tcp.StateTimeWait: // over for the socket; the connection rests on
	default:
		raw.Abort()
	}
	if err := t.dissolve(raw); err != nil {
		return err
	}
	switch state {
	case tcp.StateEstablished, tcp.StateCloseWait, tcp.StateFinWait1, tcp.StateFinWait2, tcp.StateSynRecv, tcp.StateSynSent, tcp.StateConnecting:
		t.pending.Store(int32(endpoint.ECONNRESET))
	}
	t.tell(endpoint.In | endpoint.Out | endpoint.Err | endpoint.Hup | endpoint.RdHup)
	return nil
}

// dissolve makes the socket unconnected after old, keeping of its name what Bind
// was given.
func (t *tcpEndpoint) dissolve(old *tcp.Endpoint) error {
	t.peekOff.Store(0)
	t.unread.Store(nil)
	return t.renew(old, t.keepName(old), flagConnecting|flagConnected|flagDisconnecting|flagShutRead|flagShutWrite)
}

// renew replaces old, which it closes, by a new netstack endpoint that is bound to
// at, which the socket has, and takes the flags in forget away.
func (t *tcpEndpoint) renew(old *tcp.Endpoint, at tcpip.FullAddress, forget uint64) error {
	if t.closed.Load() {
		return nil
	}
	old.Close()
	t.p.aborted.Delete(weak.Make(old))
	raw := t.next.Swap(nil)
	if raw != nil {
		t.copyOptions(raw, old)
	} else {
		var err error
		if raw, err = t.successor(old); err != nil {
			return err
		}
		if at != (tcpip.FullAddress{}) {
			_ = t.bindRaw(raw, at) // if its address has gone, bindLate tells
		}
	}
	if !t.raw.CompareAndSwap(old, raw) {
		raw.Close()
		return nil
	}
	t.p.owners.put(t, old, raw)
	if !over(old) {
		t.watch() // what is in TIME-WAIT has the port until it ends
	}
	t.p.ports.renew(t, old, raw, at)
	t.soft.Store(nil)
	t.set(forget|flagUnnamed, false)
	if t.closed.Load() {
		t.p.owners.remove(raw)
		raw.Close()
		t.p.ports.settle(t)
	}
	return nil
}

// successor makes a netstack endpoint with the options of old.
func (t *tcpEndpoint) successor(old *tcp.Endpoint) (*tcp.Endpoint, error) {
	raw, err := t.newRaw()
	if err != nil {
		return nil, err
	}
	t.copyOptions(raw, old)
	return raw, nil
}

// network is the protocol that netstack is asked for.
func (t *tcpEndpoint) network() tcpip.NetworkProtocolNumber {
	if t.af == endpoint.AF_INET6 {
		return header.IPv6ProtocolNumber
	}
	return header.IPv4ProtocolNumber
}
