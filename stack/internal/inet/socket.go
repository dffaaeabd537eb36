package inet

import (
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/waiter"

	"usersock/stack/endpoint"
)

// socket is what all endpoints have in common.
//
// Netstack notifies a TCP endpoint's queue; one entry of ours sits in it, from
// Notify (or Close) on, for the rest of the endpoint's life. A datagram
// endpoint has no queue: it calls its sink itself.
type socket struct {
	p     *Protocols
	af    uint8  // AF_INET or AF_INET6
	typ   uint8  // SOCK_STREAM, SOCK_DGRAM or SOCK_RAW
	proto uint16 // IPPROTO_TCP and so on

	closed   atomic.Bool
	watching atomic.Bool
	pending  atomic.Int32 // an errno to be reported once, as sk_err of Linux
	flags    atomic.Uint64

	peekOff atomic.Int64 // SO_PEEK_OFF and 1; 0: not set

	cred endpoint.Cred // who opened it: user 0 may do what CAP_NET_ADMIN allows
	id   uint64        // SO_COOKIE

	wq    *waiter.Queue
	entry waiter.Entry
	sink  endpoint.Sink
	ready atomic.Pointer[endpoint.Sink] // &sink once that is set

	storedMu sync.Mutex
	stored   map[optionKey][]byte // options that are only stored; nil at first
}

// Bits of socket.flags.
const (
	flagTimestamp     = 1 << iota // SO_TIMESTAMP
	flagTimestampNS               // SO_TIMESTAMPNS
	flagSendBufSet                // SO_SNDBUF was set: report what netstack has
	flagRecvBufSet                // SO_RCVBUF was set
	flagUserCork                  // TCP_CORK, or UDP_CORK
	flagMore                      // the last Send had MSG_MORE
	flagAddrLock                  // Bind was given an address, or that of the listener was
	flagPortLock                  // Bind was given a port
	flagUnnamed                   // a Bind failed after the connection was over
	flagConnecting                // Connect answered EINPROGRESS
	flagConnected                 // Connect succeeded, or accepted
	flagDisconnecting             // Shutdown after an attempt to connect had failed
	flagAccepted                  // made by Accept
	flagShutRead                  // also by a Shutdown without a connection
	flagShutWrite
	flagBound4    // an AF_INET6 endpoint, bound to an IPv4-mapped address
	flagScoped    // bound to a link-local address, hence to its interface
	flagLingers   // closed with SO_LINGER, on the closing list
	flagLowWater  // SO_RCVLOWAT above 1
	flagDontFrag  // IPV6_DONTFRAG
	flagInherit   // an option was set that accepted connections inherit
	flagRecvErr4  // IP_RECVERR
	flagRecvErr6  // IPV6_RECVERR
	flagReusePort // SO_REUSEPORT of a TCP socket
	flagNoRouter  // SO_DONTROUTE
	flagNoPort    // IP_BIND_ADDRESS_NO_PORT
	flagLeft      // it may have left a connection in TIME-WAIT behind

	// Of datagram sockets.
	flagFreeBind    // IP_FREEBIND or IPV6_FREEBIND
	flagTransparent // IP_TRANSPARENT or IPV6_TRANSPARENT
	flagNoCheck6TX  // UDP_NO_CHECK6_TX
	flagNoCheck6RX  // UDP_NO_CHECK6_RX
	flagDropCount   // SO_RXQ_OVFL
	flagErrorPri    // SO_SELECT_ERR_QUEUE
	flagHdrIncl     // IP_HDRINCL or IPV6_HDRINCL
)

func (s *socket) has(bit uint64) bool { return s.flags.Load()&bit != 0 }

func (s *socket) set(bit uint64, on bool) {
	if on {
		s.flags.Or(bit)
	} else {
		s.flags.And(^bit)
	}
}

// peekFrom is the offset that a peek begins at, and whether one is set.
func (s *socket) peekFrom() (off int, set bool) {
	v := s.peekOff.Load()
	return int(max(v-1, 0)), v > 0
}

// movePeek keeps SO_PEEK_OFF at the same byte: a peek moves it forward by n
// bytes, a read backward.
func (s *socket) movePeek(n int, peek bool) {
	if off, set := s.peekFrom(); set {
		if !peek {
			n = -n
		}
		s.peekOff.Store(int64(max(off+n, 0)) + 1)
	}
}

// takePending returns the pending error and forgets it; nil if there is none.
func (s *socket) takePending() error {
	if s.pending.Load() == 0 {
		return nil
	}
	if e := s.pending.Swap(0); e != 0 {
		return endpoint.Errno(e)
	}
	return nil
}

// watch queues the entry, once.
func (t *tcpEndpoint) watch() {
	if t.watching.CompareAndSwap(false, true) {
		t.entry.Init((*eventListener)(t), waiter.AllEvents)
		t.wq.EventRegister(&t.entry)
	}
}

// Notify implements endpoint.Endpoint.
func (t *tcpEndpoint) Notify(sink endpoint.Sink) {
	t.sink = sink
	t.ready.Store(&t.sink)
	t.watch()
	sink.Event(endpoint.In | endpoint.Out | endpoint.Err | endpoint.Hup | endpoint.RdHup)
}

// eventListener is the endpoint as netstack sees it.
type eventListener tcpEndpoint

// NotifyEvent implements waiter.EventListener. It comes under netstack's
// locks.
func (l *eventListener) NotifyEvent(mask waiter.EventMask) {
	t := (*tcpEndpoint)(l)
	if mask&waiter.EventHUp != 0 {
		closed := t.closed.Load()
		if closed {
			t.p.closing.remove(&t.socket)
		}
		if closed || t.has(flagLeft) {
			t.p.ports.settle(t)
		}
	}
	t.tell(events(mask))
}

// tell calls the sink, if there is one yet.
func (s *socket) tell(e endpoint.Events) {
	if sink := s.ready.Load(); sink != nil {
		(*sink).Event(e)
	}
}

// events translates netstack's events, whose numbers are poll(2)'s too. The
// end of a stream is notified as readable alone, so readable implies that the
// peer may have closed.
func events(mask waiter.EventMask) endpoint.Events {
	const known = endpoint.In | endpoint.Pri | endpoint.Out | endpoint.Err | endpoint.Hup | endpoint.RdHup
	e := endpoint.Events(mask) & known
	if e&(endpoint.In|endpoint.Hup) != 0 {
		e |= endpoint.RdHup
	}
	return e
}

// checkPeer refuses destinations that Linux refuses before it looks for a
// route: IPv4 from a socket that is IPv6 only, IPv6 from one that is bound to
// an IPv4 address, and a link-local address whose interface nobody named. To
// the unspecified address it gives the meaning that the binding asks for.
func (s *socket) checkPeer(fa *tcpip.FullAddress, ops *tcpip.SocketOptions) error {
	if s.af != endpoint.AF_INET6 {
		return nil
	}
	if isMapped(fa.Addr) {
		if ops.GetV6Only() || !s.p.ipv4 {
			return endpoint.ENETUNREACH
		}
		return nil
	}
	if s.has(flagBound4) {
		if fa.Addr.Len() != 0 {
			return endpoint.EAFNOSUPPORT
		}
		fa.Addr = mappedLoopback
		return nil
	}
	if fa.NIC == 0 && header.IsV6LinkLocalUnicastAddress(fa.Addr) && ops.GetBindToDevice() == 0 && !s.has(flagScoped) {
		return endpoint.EINVAL
	}
	return nil
}

// checkLocal refuses addresses that Linux refuses to bind before it looks
// whether they are its own.
func (s *socket) checkLocal(fa tcpip.FullAddress, ops *tcpip.SocketOptions) error {
	if s.af != endpoint.AF_INET6 {
		return nil
	}
	if isMapped(fa.Addr) {
		if ops.GetV6Only() {
			return endpoint.EINVAL
		}
		if !s.p.ipv4 {
			return endpoint.EADDRNOTAVAIL
		}
		return nil
	}
	if s.typ == endpoint.SOCK_STREAM && header.IsV6MulticastAddress(fa.Addr) {
		return endpoint.EINVAL
	}
	if needsScopeAddress(fa.Addr) {
		if fa.NIC == 0 {
			fa.NIC = tcpip.NICID(ops.GetBindToDevice())
		}
		if fa.NIC == 0 {
			return endpoint.EINVAL
		}
		if !s.p.stack.HasNIC(fa.NIC) {
			return endpoint.ENODEV
		}
	}
	return nil
}

// bound records what netstack forgets of a successful Bind.
func (s *socket) bound(fa tcpip.FullAddress) {
	var bits uint64
	if fa.Addr.Len() != 0 {
		bits |= flagAddrLock
	}
	if isMapped(fa.Addr) {
		bits |= flagBound4
	}
	if fa.NIC != 0 {
		bits |= flagScoped
	}
	s.set(flagBound4|flagScoped, false) // of an earlier Bind
	s.set(bits, true)
}
