package stack

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"

	"usersock/internal/wire"
	"usersock/netdev"
)

// EventKind says what an [Event] is about.
type EventKind int

// The kinds of events.
const (
	InterfaceAdded   EventKind = iota + 1 // Interface
	InterfaceRemoved                      // Interface
	LinkUp                                // Interface: packets can pass again
	LinkDown                              // Interface: packets are lost; it may come up again
	LinkEnded                             // Interface, Err: the link has ended by itself and for good
	AddrAdded                             // Interface, Addr
	AddrRemoved                           // Interface, Addr
	RouteAdded                            // Route
	RouteRemoved                          // Route
	AutoChanged                           // Interface: what the network told it is another, see Stack.AutoState
	NamesChanged                          // Interface: what Stack.NameServers returns is another by it
)

var eventNames = [...]string{"unknown event", "interface attached", "interface detached", "link up", "link down", "link ended",
	"address added", "address removed", "route added", "route removed", "configuration learnt", "name servers learnt"}

func (k EventKind) String() string {
	if k <= 0 || int(k) >= len(eventNames) {
		return fmt.Sprintf("event %d", int(k))
	}
	return eventNames[k]
}

// Event is a change of a host's interfaces, addresses or routes. The kind says
// which fields are set. The route that an address brings has no event of its
// own.
type Event struct {
	Kind      EventKind
	Interface string
	Addr      netip.Prefix
	Route     Route
	Err       error
}

// String says it in a line.
func (e Event) String() string {
	switch e.Kind {
	case AddrAdded, AddrRemoved:
		return fmt.Sprintf("%s: %v: %v", e.Interface, e.Kind, e.Addr)
	case RouteAdded, RouteRemoved:
		return fmt.Sprintf("%v: %v via %v dev %s", e.Kind, e.Route.Dst, e.Route.Via, e.Route.Dev)
	case LinkEnded:
		return fmt.Sprintf("%s: %v: %v", e.Interface, e.Kind, e.Err)
	}
	return fmt.Sprintf("%s: %v", e.Interface, e.Kind)
}

// attrs says what an event is about, for the log.
func (e Event) attrs() []any {
	switch e.Kind {
	case AddrAdded, AddrRemoved:
		return []any{"interface", e.Interface, "address", e.Addr}
	case RouteAdded, RouteRemoved:
		return []any{"to", e.Route.Dst, "via", e.Route.Via, "interface", e.Route.Dev}
	case LinkEnded:
		return []any{"interface", e.Interface, "error", e.Err}
	}
	return []any{"interface", e.Interface}
}

// Watch calls f for every change from now on, in order and one at a time, in a
// goroutine of the stack, without a lock held, until stop is called or the stack
// is closed. f may call the stack, but not Close or Shutdown. None is left out:
// what f is slow to take waits in memory. A call that has begun may still be
// running when stop returns; when Close returns none is.
//
// When a link ends by itself, its interface stays, without carrying packets,
// until it is detached. Connections and bound datagram sockets with an address
// of that interface end: ECONNABORTED and ENETDOWN.
func (s *Stack) Watch(f func(Event)) (stop func()) {
	w := &watcher{f}
	s.events.mu.Lock()
	s.events.watchers = append(s.events.watchers, w)
	s.events.mu.Unlock()
	return func() {
		s.events.mu.Lock()
		defer s.events.mu.Unlock()
		for i, have := range s.events.watchers {
			if have == w {
				s.events.watchers = append(s.events.watchers[:i:i], s.events.watchers[i+1:]...)
				return
			}
		}
	}
}

type watcher struct{ f func(Event) }

// events does things in order, in a goroutine that lives only while there is
// something to do.
type events struct {
	mu       sync.Mutex
	watchers []*watcher // replaced, never changed in place, but at its end
	todo     []func()
	running  bool
	closed   bool
	worker   sync.WaitGroup
}

// do lets job run after those before it. It does not block.
func (q *events) do(job func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.todo = append(q.todo, job)
	if !q.running {
		q.running = true
		q.worker.Go(q.run)
	}
}

func (q *events) run() {
	for {
		q.mu.Lock()
		if len(q.todo) == 0 {
			q.running = false
			q.mu.Unlock()
			return
		}
		job := q.todo[0]
		q.todo = q.todo[1:]
		q.mu.Unlock()
		job()
	}
}

// close drops what has not begun and waits for what has.
func (q *events) close() {
	q.mu.Lock()
	q.closed, q.todo = true, nil
	q.mu.Unlock()
	q.worker.Wait()
}

// emit tells the watchers and the log.
func (s *Stack) emit(e Event) {
	level := slog.LevelDebug
	if e.Kind == LinkEnded {
		level = slog.LevelWarn
	}
	s.log.Log(context.Background(), level, e.Kind.String(), e.attrs()...)
	s.events.mu.Lock()
	list := s.events.watchers
	list = list[:len(list):len(list)]
	s.events.mu.Unlock()
	if len(list) == 0 {
		return
	}
	s.events.do(func() {
		for _, w := range list {
			w.f(e)
		}
	})
}

// watchLink follows the state of an interface's link. The link may call at any
// time and under any lock, so that a worker looks; it is not that of Watch, so
// that a slow watcher does not keep a link that has ended alive.
func (s *Stack) watchLink(id tcpip.NICID, name string, end *wire.End) {
	if end.Watch == nil || end.Status == nil {
		return
	}
	last := netdev.State{Up: true}
	look := func() {
		st := end.Status()
		s.mu.Lock()
		gone := s.names[name] != id
		if !gone {
			s.links[id] = st
		}
		s.mu.Unlock()
		if st == last || gone {
			return
		}
		last = st
		s.linkChanged(id, name, st)
	}
	end.Watch(func() { s.looks.do(look) })
	s.looks.do(look)
}

func (s *Stack) linkChanged(id tcpip.NICID, name string, st netdev.State) {
	switch {
	case st.Err != nil:
		if info, ok := s.net.SingleNICInfo(id); ok {
			// Nothing finds a route by it from now on.
			s.net.DisableNIC(id)
			s.inet.RoutesChanged()
			own := make(map[netip.Addr]bool)
			for _, p := range prefixes(info) {
				own[p.Addr()] = true
			}
			s.inet.AbortLocal(func(a netip.Addr) bool { return own[a] })
		}
		for _, a := range s.listAutos() {
			if a.name == name {
				a.stop() // nobody tells this interface anything any more
			}
		}
		s.emit(Event{Kind: LinkEnded, Interface: name, Err: st.Err})
	case st.Up:
		s.emit(Event{Kind: LinkUp, Interface: name})
		s.autoLinkUp(name)
	default:
		s.emit(Event{Kind: LinkDown, Interface: name})
	}
}

// linkUp reports whether packets can pass the link of an interface.
func (s *Stack) linkUp(id tcpip.NICID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, ok := s.links[id]
	return !ok || st.Up
}
