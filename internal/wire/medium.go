package wire

import (
	"sync"
	"sync/atomic"
)

// Medium is the wire that both ends of a link share in one process: who
// joined it, and whether anyone observes it. It exists so that a path that
// moves bytes without packets can know when packets are not needed. It knows
// nothing of netstack.
//
// The zero value is a wire that nobody has joined. A Medium is safe for use by
// many goroutines and must not be copied after first use.
type Medium struct {
	observed atomic.Bool // observers > 0, for the fast path

	mu        sync.Mutex
	hosts     map[any]int // joined hosts, with the number of their interfaces here
	observers int
	watchers  map[*watcher]struct{}
}

type watcher struct{ changed func() }

// Join records that host has an interface on this wire. A host is any
// comparable value that stands for one stack; joining twice (both ends of a
// link in one stack) needs leaving twice.
func (m *Medium) Join(host any) {
	m.mu.Lock()
	if m.hosts == nil {
		m.hosts = make(map[any]int)
	}
	m.hosts[host]++
	m.mu.Unlock()
	m.notify()
}

// Leave takes one Join of host back. Leaving without having joined does
// nothing.
func (m *Medium) Leave(host any) {
	m.mu.Lock()
	n := m.hosts[host]
	switch {
	case n > 1:
		m.hosts[host] = n - 1
	case n == 1:
		delete(m.hosts, host)
	}
	m.mu.Unlock()
	if n > 0 {
		m.notify()
	}
}

// Joined reports whether host has an interface on this wire.
func (m *Medium) Joined(host any) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hosts[host] > 0
}

// Hosts returns the hosts that have joined, each once, in no order.
func (m *Medium) Hosts() []any {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]any, 0, len(m.hosts))
	for h := range m.hosts {
		list = append(list, h)
	}
	return list
}

// Observe says that someone wants to see every packet (a capture, an
// impairment, a raw or packet socket) until release is called. Calling
// release again does nothing.
func (m *Medium) Observe() (release func()) {
	m.observe(1)
	var once sync.Once
	return func() { once.Do(func() { m.observe(-1) }) }
}

func (m *Medium) observe(delta int) {
	m.mu.Lock()
	m.observers += delta
	m.observed.Store(m.observers > 0)
	m.mu.Unlock()
	m.notify()
}

// Observed reports whether anyone wants to see the packets. It takes no lock.
func (m *Medium) Observed() bool { return m.observed.Load() }

// Watch calls changed after every change of who has joined or who observes,
// until stop is called; a call that has begun by then may still be running
// when stop returns. changed is called without a lock held, by the goroutine
// that made the change and before that goroutine's Join, Leave, Observe or
// release returns. It must not block; it may call the Medium.
func (m *Medium) Watch(changed func()) (stop func()) {
	w := &watcher{changed}
	m.mu.Lock()
	if m.watchers == nil {
		m.watchers = make(map[*watcher]struct{})
	}
	m.watchers[w] = struct{}{}
	m.mu.Unlock()
	return func() {
		m.mu.Lock()
		delete(m.watchers, w)
		m.mu.Unlock()
	}
}

func (m *Medium) notify() {
	m.mu.Lock()
	list := make([]*watcher, 0, len(m.watchers))
	for w := range m.watchers {
		list = append(list, w)
	}
	m.mu.Unlock()
	for _, w := range list {
		w.changed()
	}
}
