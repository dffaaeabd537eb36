package inet

import (
	"context"
	"net/netip"
	"sync"
	"time"
	"weak"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

// A closed connection lives on until its last byte and its FIN have been
// acknowledged, or given up. Until then it is on this list, so that a
// lingering close and Drain can wait for it.
//
// Netstack notifies hang-up when a connection enters TIME-WAIT or CLOSED. It
// says nothing when the FIN is acknowledged while the peer keeps its own
// direction open (FIN-WAIT-2), which is delivered too. So while anybody waits,
// a timer of the clock looks at the list as well.

// Bounds of the pause between two looks.
const (
	firstLook = time.Millisecond
	lastLook  = 100 * time.Millisecond
)

// delivered reports whether nothing that was sent is under way any more.
func delivered(s tcp.EndpointState) bool {
	switch s {
	case tcp.StateEstablished, tcp.StateCloseWait, tcp.StateFinWait1, tcp.StateClosing, tcp.StateLastAck,
		tcp.StateConnecting, tcp.StateSynSent, tcp.StateSynRecv:
		return false
	}
	return true
}

// closingList is the closed connections that are not delivered.
type closingList struct {
	p *Protocols

	mu      sync.Mutex
	members map[*socket]*tcpEndpoint
	waiting int           // lingering members, plus calls of Drain
	empty   chan struct{} // closed when the list is empty; nil without a Drain
	looking bool          // a look is due
	pause   time.Duration // before the next one
}

func (l *closingList) init(p *Protocols) { l.p = p }

// Close implements endpoint.Endpoint. Netstack sends what is queued and then
// FIN; a reset instead if SO_LINGER is on with time 0, or if bytes were left
// unread.
func (t *tcpEndpoint) Close() error {
	if t.closed.Swap(true) {
		return nil
	}
	t.p.streams.remove(t)
	if m := t.groups.Load(); m != nil {
		m.close(t.p.stack)
	}
	raw := t.raw.Load()
	t.p.owners.remove(raw)
	defer t.p.aborted.Delete(weak.Make(raw))
	state := raw.EndpointState()
	if !over(raw) && (state != tcp.StateInitial && state != tcp.StateBound && state != tcp.StateListen) {
		t.watch() // for its end, which gives its port back
	}
	if synchronized(state) {
		linger := raw.SocketOptions().GetLinger()
		t.p.closing.add(t, linger.Enabled && linger.Timeout > 0)
		t.uncork(raw)
	}
	if t.unread.Load().size() > 0 && !ended(raw.EndpointState()) {
		raw.Abort() // bytes are left unread
	}
	raw.Close()
	if next := t.next.Swap(nil); next != nil {
		next.Close()
	}
	if delivered(t.raw.Load().EndpointState()) {
		t.p.closing.remove(&t.socket)
	}
	t.p.ports.settle(t)
	t.tell(endpoint.In | endpoint.Out | endpoint.Hup | endpoint.RdHup)
	return nil
}

// synchronized reports whether there is a connection that may have bytes
// under way.
func synchronized(s tcp.EndpointState) bool {
	switch s {
	case tcp.StateEstablished, tcp.StateCloseWait, tcp.StateFinWait1, tcp.StateClosing, tcp.StateLastAck:
		return true
	}
	return false
}

func (l *closingList) add(t *tcpEndpoint, lingers bool) {
	l.mu.Lock()
	if l.members == nil {
		l.members = make(map[*socket]*tcpEndpoint)
	}
	l.members[&t.socket] = t
	if lingers {
		t.set(flagLingers, true)
		l.waiting++
	}
	l.mu.Unlock()
	l.look()
}

// remove takes a connection off the list. It is called under netstack's locks
// and calls nothing.
func (l *closingList) remove(s *socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removeLocked(s)
}

func (l *closingList) removeLocked(s *socket) {
	if _, ok := l.members[s]; !ok {
		return
	}
	delete(l.members, s)
	if s.has(flagLingers) {
		l.waiting--
	}
	if len(l.members) == 0 && l.empty != nil {
		close(l.empty)
		l.empty = nil
	}
}

// look arranges the first look, if somebody waits and none is due. The clock
// is called without the list's lock: it has locks of its own.
func (l *closingList) look() {
	l.mu.Lock()
	begin := !l.looking && l.waiting > 0 && len(l.members) > 0
	if begin {
		l.looking = true
		l.pause = firstLook
	}
	l.mu.Unlock()
	if begin {
		l.p.clock.AfterFunc(firstLook, l.looked)
	}
}

// looked takes off the list what has been delivered in silence, and arranges
// the next look if somebody still waits.
func (l *closingList) looked() {
	var silent []*tcpEndpoint
	l.mu.Lock()
	for s, t := range l.members {
		if delivered(t.raw.Load().EndpointState()) {
			silent = append(silent, t)
			l.removeLocked(s)
		}
	}
	l.looking = l.waiting > 0 && len(l.members) > 0
	l.pause = min(2*l.pause, lastLook)
	again, pause := l.looking, l.pause
	l.mu.Unlock()
	if again {
		l.p.clock.AfterFunc(pause, l.looked)
	}
	for _, t := range silent {
		t.tell(endpoint.Hup | endpoint.Out | endpoint.In | endpoint.RdHup)
	}
}

// Drain waits until every closed connection has delivered its bytes and its
// FIN, or was given up, or until ctx ends, whose error it then returns.
func (p *Protocols) Drain(ctx context.Context) error {
	l := &p.closing
	l.mu.Lock()
	if len(l.members) == 0 {
		l.mu.Unlock()
		return nil
	}
	if l.empty == nil {
		l.empty = make(chan struct{})
	}
	empty := l.empty
	l.waiting++
	l.mu.Unlock()
	l.look()

	defer func() {
		l.mu.Lock()
		l.waiting--
		l.mu.Unlock()
	}()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stillborn ends what a call that overtook End, or came after it, has started.
func (p *Protocols) stillborn(raw tcpip.Endpoint) bool {
	if !p.ended.Load() {
		return false
	}
	raw.Abort()
	return true
}

// End resets every connection, and ends every listener and every
// datagram endpoint, of the stack: nothing is left that holds a port or a
// timer. What was queued is lost. Endpoints that a program still holds report
// hang-up, connections ECONNABORTED once, datagram endpoints ENETDOWN; a new
// connection or listener is ENETDOWN, for netstack would wait for its end.
func (p *Protocols) End() {
	p.ended.Store(true)
	for _, ep := range p.stack.RegisteredEndpoints() {
		ep.Abort()
	}
	for _, d := range p.datagrams.all() {
		d.end(stateEnded)
	}
	for _, ep := range p.stack.CleanupEndpoints() {
		ep.Abort()
	}
}

// AbortLocal ends the endpoints that have one of these local addresses, after
// their interface has gone: connections and listeners with ECONNABORTED,
// datagram endpoints with ENETDOWN. Those that are bound to no address stay.
func (p *Protocols) AbortLocal(own func(netip.Addr) bool) {
	for _, d := range p.datagrams.all() {
		if ip, ok := netip.AddrFromSlice(d.where.Load().local.AsSlice()); ok && own(ip) {
			d.end(stateEnded)
		}
	}
	for _, ep := range p.stack.RegisteredEndpoints() {
		e, ok := ep.(tcpip.Endpoint)
		if !ok {
			continue
		}
		local, err := e.GetLocalAddress()
		if err != nil {
			continue
		}
		if ip, ok := netip.AddrFromSlice(local.Addr.AsSlice()); ok && own(ip.Unmap()) {
			if raw, ok := ep.(*tcp.Endpoint); ok {
				p.aborted.Store(weak.Make(raw), nil)
			}
			ep.Abort()
		}
	}
}
