package inet

import (
	"weak"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"usersock/stack/endpoint"
)

// Readiness of a TCP endpoint, after tcp_poll of Linux. Netstack's own answer
// serves only in the synchronized states; elsewhere it differs: a new socket
// is not writable there, one in TIME-WAIT has every event that one asks for,
// and a pending error cannot be looked at without taking it.

func connecting(s tcp.EndpointState) bool {
	return s == tcp.StateConnecting || s == tcp.StateSynSent || s == tcp.StateSynRecv
}

// over reports whether a netstack endpoint has ended.
func over(raw *tcp.Endpoint) bool {
	s := raw.EndpointState()
	return s == tcp.StateClose || s == tcp.StateError
}

// ended reports whether a socket of Linux would be in TCP_CLOSE again after a
// connection or an attempt: TIME-WAIT is no state of a socket.
func ended(s tcp.EndpointState) bool {
	return s == tcp.StateClose || s == tcp.StateError || s == tcp.StateTimeWait
}

// Ready implements endpoint.Endpoint.
func (t *tcpEndpoint) Ready(want endpoint.Events) endpoint.Events {
	return t.readyEvents() & (want | endpoint.Always)
}

func (t *tcpEndpoint) readyEvents() (e endpoint.Events) {
	const all = endpoint.In | endpoint.Out | endpoint.Hup | endpoint.RdHup
	raw := t.raw.Load()
	state := raw.EndpointState()
	if t.closed.Load() {
		if delivered(state) {
			return all
		}
		return endpoint.In | endpoint.Out
	}
	switch state {
	case tcp.StateInitial, tcp.StateBound:
		e = endpoint.Out | endpoint.Hup
		if t.has(flagShutRead) {
			e = all
		}
	case tcp.StateListen:
		return events(raw.Readiness(waiter.ReadableEvents)) & endpoint.In
	case tcp.StateConnecting, tcp.StateSynSent, tcp.StateSynRecv:
		if t.has(flagShutRead) {
			e = endpoint.In | endpoint.RdHup
			if t.has(flagShutWrite) {
				e |= endpoint.Hup
			}
		}
	case tcp.StateTimeWait:
		e = all
	case tcp.StateClose, tcp.StateError:
		t.drain(raw)
		e = all
	default:
		e = t.connectedEvents(raw, state)
	}
	if t.pending.Load() != 0 || t.hasErrors() {
		e |= endpoint.Err
	}
	return e
}

// connectedEvents answers for ESTABLISHED and the closing states.
func (t *tcpEndpoint) connectedEvents(raw *tcp.Endpoint, state tcp.EndpointState) endpoint.Events {
	mask := raw.Readiness(waiter.ReadableEvents | waiter.WritableEvents)
	e := endpoint.Events(mask) & (endpoint.In | endpoint.Out)
	peerClosed := mask&waiter.EventRdHUp != 0 || t.has(flagShutRead)
	if state == tcp.StateFinWait1 && e&endpoint.In != 0 && !peerClosed {
		// The peer's FIN is notified a moment before the state says so. Any
		// call that takes netstack's lock waits for that moment to pass.
		_, _ = raw.GetSockOptInt(tcpip.ReceiveQueueSizeOption)
		state = raw.EndpointState()
	}
	if e&endpoint.In != 0 && t.has(flagLowWater) && !t.enough(raw) {
		e &^= endpoint.In
	}
	weClosed := t.has(flagShutWrite)
	switch state {
	case tcp.StateCloseWait:
		peerClosed = true
	case tcp.StateFinWait1, tcp.StateFinWait2:
		weClosed = true
	case tcp.StateClosing, tcp.StateLastAck, tcp.StateTimeWait, tcp.StateClose, tcp.StateError:
		peerClosed, weClosed = true, true
	}
	if peerClosed {
		e |= endpoint.In | endpoint.RdHup
	}
	switch {
	case weClosed:
		e |= endpoint.Out
	case e&endpoint.Out != 0 && !t.maySend(raw):
		e &^= endpoint.Out
	}
	if peerClosed && weClosed {
		e |= endpoint.Hup
	}
	return e
}

// drain moves the error of a failed netstack endpoint to pending, once.
// Netstack keeps the same error in two places, which would report it twice.
//
// To look at the error is to take it, so whoever comes while another moves it
// has to wait, or would find none: a poll would make a connect that failed look
// like one that did not. drainMu is the one lock that is held across a call into
// netstack. raw has ended and is registered no more, so that the call sends
// nothing, and no notification takes drainMu.
func (t *tcpEndpoint) drain(raw *tcp.Endpoint) {
	if t.drained.Load() == raw {
		return
	}
	if !over(raw) {
		return // its error may be yet to come
	}
	t.drainMu.Lock()
	defer t.drainMu.Unlock()
	if t.drained.Load() == raw {
		return
	}
	err := raw.LastError()
	again := raw.LastError()
	if err == nil {
		err = again
	}
	if err != nil {
		t.pending.CompareAndSwap(0, int32(t.failure(err)))
	}
	t.drained.Store(raw)
}

// forget is drain for an error that is being reported right now.
func (t *tcpEndpoint) forget(raw *tcp.Endpoint, reported tcpip.Error) {
	if !over(raw) {
		return
	}
	t.drain(raw)
	t.pending.CompareAndSwap(int32(t.failure(reported)), 0)
}

// failure is number for an error that ended a connection.
func (t *tcpEndpoint) failure(err tcpip.Error) endpoint.Errno {
	switch err.(type) {
	case *tcpip.ErrAborted:
		if t.aborted() || t.p.ended.Load() {
			return endpoint.ECONNABORTED // by AbortLocal or End, as tcp_abort of Linux
		}
	case *tcpip.ErrConnectionRefused:
		if peerOpened(t.raw.Load()) {
			return endpoint.ECONNRESET // only an attempt in SYN-SENT is refused, see tcp_reset of Linux
		}
	case *tcpip.ErrConnectionAborted:
		return endpoint.ECONNRESET // data came after the end of both directions
	case *tcpip.ErrNoNet:
		if s := t.soft.Load(); s != nil {
			return s.errno // see abandon
		}
	case *tcpip.ErrTimeout:
		if s := t.soft.Load(); s != nil && s.raw == t.raw.Load() && s.fresh() {
			return s.errno
		}
	}
	return number(err)
}

// aborted reports whether AbortLocal has ended the endpoint.
func (t *tcpEndpoint) aborted() bool {
	_, ok := t.p.aborted.Load(weak.Make(t.raw.Load()))
	return ok
}

// takeError is SO_ERROR: the pending error, which is then forgotten.
func (t *tcpEndpoint) takeError() error {
	raw := t.raw.Load()
	t.drain(raw)
	if err := t.takePending(); err != nil {
		return err
	}
	return t.takeSoft(raw)
}

// enough reports whether as many bytes wait as SO_RCVLOWAT asks for.
func (t *tcpEndpoint) enough(raw *tcp.Endpoint) bool {
	n, err := raw.GetSockOptInt(tcpip.ReceiveQueueSizeOption)
	return err != nil || n >= t.storedInt(endpoint.SOL_SOCKET, endpoint.SO_RCVLOWAT, 1)
}
