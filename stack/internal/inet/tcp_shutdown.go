package inet

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

// Shutdown implements endpoint.Endpoint.
func (t *tcpEndpoint) Shutdown(how int) error {
	if t.closed.Load() {
		return endpoint.EBADF
	}
	flags, err := shutdownFlags(how)
	if err != nil {
		return err
	}
	raw := t.raw.Load()
	state := raw.EndpointState()
	switch {
	case ended(state):
		if t.has(flagConnecting) {
			t.set(flagDisconnecting, true)
			t.set(flagConnecting, false)
		}
		return endpoint.ENOTCONN
	case state == tcp.StateInitial, state == tcp.StateBound:
		t.shut(flags) // refused, but it counts for the next connection
		return endpoint.ENOTCONN
	case state == tcp.StateListen:
		if flags&tcpip.ShutdownRead == 0 {
			return nil
		}
		return t.disconnect()
	case state == tcp.StateConnecting, state == tcp.StateSynSent:
		return t.disconnect()
	}
	if t.has(flagConnecting) && synchronized(state) {
		// For connect(2) the attempt has ended, inet_shutdown of Linux.
		t.set(flagConnecting, false)
		t.set(flagConnected, true)
	}
	if flags&tcpip.ShutdownWrite != 0 {
		t.uncork(raw)
	}
	if err := t.shutdownBelow(raw, state, flags); err != nil {
		return errno(err)
	}
	t.shut(flags)
	return nil
}

// shut remembers a Shutdown, sk_shutdown of Linux, and tells it.
func (t *tcpEndpoint) shut(flags tcpip.ShutdownFlags) {
	if flags&tcpip.ShutdownRead != 0 {
		t.set(flagShutRead, true)
	}
	if flags&tcpip.ShutdownWrite != 0 {
		t.set(flagShutWrite, true)
	}
	t.tell(endpoint.In | endpoint.Out | endpoint.Hup | endpoint.RdHup)
}

// shutdownBelow tells netstack of a shutdown of a connection. It has no use for
// the receiving direction before both are shut, and then may have no byte unread.
func (t *tcpEndpoint) shutdownBelow(raw *tcp.Endpoint, state tcp.EndpointState, flags tcpip.ShutdownFlags) tcpip.Error {
	if state == tcp.StateSynRecv {
		return raw.Shutdown(flags)
	}
	if flags&tcpip.ShutdownWrite != 0 {
		if err := raw.Shutdown(tcpip.ShutdownWrite); err != nil {
			return err
		}
	} else if !finished(state) {
		return nil
	}
	if flags&tcpip.ShutdownRead == 0 && !t.has(flagShutRead) {
		return nil
	}
	switch state {
	case tcp.StateEstablished, tcp.StateFinWait1, tcp.StateFinWait2:
		t.takeUnread(raw)
	default: // nothing more can come
		if in, _ := t.Queued(); in > 0 {
			return nil
		}
	}
	_ = raw.Shutdown(tcpip.ShutdownRead) // an error: the connection is over meanwhile
	return nil
}

// finished reports whether our FIN was sent or is to be.
func finished(state tcp.EndpointState) bool {
	return state != tcp.StateEstablished && state != tcp.StateCloseWait
}

// uncork lets go what MSG_MORE and TCP_CORK hold back: there is no more to
// come.
func (t *tcpEndpoint) uncork(raw *tcp.Endpoint) {
	if t.has(flagMore | flagUserCork) {
		raw.SocketOptions().SetCorkOption(false)
	}
}

// shutdownFlags translates SHUT_RD, SHUT_WR and SHUT_RDWR; anything else is
// EINVAL.
func shutdownFlags(how int) (tcpip.ShutdownFlags, error) {
	switch how {
	case endpoint.SHUT_RD:
		return tcpip.ShutdownRead, nil
	case endpoint.SHUT_WR:
		return tcpip.ShutdownWrite, nil
	case endpoint.SHUT_RDWR:
		return tcpip.ShutdownRead | tcpip.ShutdownWrite, nil
	}
	return 0, endpoint.EINVAL
}
