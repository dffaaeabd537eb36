package unix

import (
	"sync"
	"sync/atomic"

	"usersock/stack/endpoint"
)

// Config is what a family needs. The zero value works.
type Config struct {
	// Clock stamps datagrams for SO_TIMESTAMP. Nil is the machine's.
	Clock endpoint.Clock

	// Random draws the first name that autobind tries. Nil: 0, and the next
	// name each time, so that a run repeats itself.
	Random func() uint64

	// IDs gives each endpoint its SO_COOKIE, another number at each call; nil
	// counts from 1.
	IDs func() uint64
}

// Family is one namespace of AF_UNIX endpoints: those of a Stack.
type Family struct {
	clock  endpoint.Clock
	random func() uint64
	ids    func() uint64

	options []option

	// chunks has the large chunks that no queue uses.
	chunks sync.Pool

	// mu guards the names, and the state of each endpoint that is not marked
	// as atomic. It is held for no transfer, and under no other lock.
	mu    sync.Mutex
	names map[name]*node
	auto  uint32 // the last name that autobind gave

	liveMu sync.Mutex // a leaf
	live   *Endpoint  // all endpoints not yet closed
	lives  int        // how many

	tryMu sync.Mutex // a leaf, under a queue's mu

	air air // rights in flight
}

var (
	_ endpoint.Family = (*Family)(nil)
	_ endpoint.Pairer = (*Family)(nil)
)

// New makes a namespace.
func New(c Config) *Family {
	f := &Family{clock: c.Clock, random: c.Random, ids: c.IDs, names: make(map[name]*node), options: options()}
	if f.clock == nil {
		f.clock = endpoint.SystemClock()
	}
	if f.ids == nil {
		last := new(atomic.Uint64)
		f.ids = func() uint64 { return last.Add(1) }
	}
	f.chunks.New = func() any { return &chunk{buf: make([]byte, largeChunk)} }
	return f
}

// Open implements endpoint.Family. SOCK_RAW is another name of SOCK_DGRAM, as
// on Linux; the protocol is 0 or PF_UNIX.
func (f *Family) Open(r endpoint.Request) (endpoint.Endpoint, error) {
	typ, err := check(r)
	if err != nil {
		return nil, err
	}
	return f.newEndpoint(typ, r.Cred), nil
}

// Pair implements endpoint.Pairer: socketpair(2).
func (f *Family) Pair(r endpoint.Request) (endpoint.Endpoint, endpoint.Endpoint, error) {
	typ, err := check(r)
	if err != nil {
		return nil, nil, err
	}
	a, b := f.newEndpoint(typ, r.Cred), f.newEndpoint(typ, r.Cred)
	a.peerCred, b.peerCred = r.Cred, r.Cred
	join(a, b)
	return a, b, nil
}

// check returns the type that a request stands for.
func check(r endpoint.Request) (int, error) {
	if r.Protocol != 0 && r.Protocol != endpoint.PF_UNIX {
		return 0, endpoint.EPROTONOSUPPORT
	}
	switch r.Type {
	case endpoint.SOCK_STREAM, endpoint.SOCK_DGRAM, endpoint.SOCK_SEQPACKET:
		return r.Type, nil
	case endpoint.SOCK_RAW:
		return endpoint.SOCK_DGRAM, nil
	}
	return 0, endpoint.ESOCKTNOSUPPORT
}

func (f *Family) newEndpoint(typ int, cred endpoint.Cred) *Endpoint {
	e := &Endpoint{family: f, typ: typ, cred: cred, id: f.ids(), peerCred: unknownPeer}
	e.in.owner = e
	e.sndbuf.Store(defaultBuffer)
	e.peekOff.Store(-1)
	f.liveMu.Lock()
	defer f.liveMu.Unlock()
	e.nextLive = f.live
	if f.live != nil {
		f.live.prevLive = e
	}
	f.live = e
	f.lives++
	return e
}

// dead takes an endpoint that was closed out of the list.
func (f *Family) dead(e *Endpoint) {
	f.liveMu.Lock()
	defer f.liveMu.Unlock()
	switch {
	case e.prevLive != nil:
		e.prevLive.nextLive = e.nextLive
	case f.live == e:
		f.live = e.nextLive
	default:
		return // it is out already
	}
	f.lives--
	if e.nextLive != nil {
		e.nextLive.prevLive = e.prevLive
	}
	e.prevLive, e.nextLive = nil, nil
}

// Close closes every endpoint, so that no call waits for a stack that is gone.
func (f *Family) Close() {
	for {
		f.liveMu.Lock()
		e := f.live
		f.liveMu.Unlock()
		if e == nil {
			return
		}
		e.Close()
		f.dead(e) // also if somebody else is closing it just now
	}
}

// join makes two endpoints that nobody knows yet each other's peer.
func join(a, b *Endpoint) {
	a.peer.Store(b)
	b.peer.Store(a)
	a.state.Store(connected)
	b.state.Store(connected)
}
