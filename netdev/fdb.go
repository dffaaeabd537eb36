package netdev

import (
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"

	"usersock/stack/endpoint"
)

// fdb is the forwarding database of a switch (IEEE 802.1Q, section 8.8): behind
// which port a hardware address was last seen. An entry is forgotten after a
// while without a frame from its address, when its port goes, and, the oldest
// first, when the table is full.
type fdb struct {
	clock endpoint.Clock
	age   time.Duration
	limit int

	mu      sync.RWMutex
	entries map[tcpip.LinkAddress]fdbEntry
}

type fdbEntry struct {
	at   plug
	seen time.Duration // on the monotonic clock
}

// fdbFresh is the part of the ageing time for which an entry is not written
// again: it keeps the lock of the table free of writers.
const fdbFresh = 16

// learn notes that addr was seen behind at.
func (f *fdb) learn(addr tcpip.LinkAddress, at plug) {
	now := f.clock.Monotonic()
	f.mu.RLock()
	e, ok := f.entries[addr]
	f.mu.RUnlock()
	if ok && e.at == at && now-e.seen < f.age/fdbFresh {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.entries[addr]; !ok && len(f.entries) >= f.limit {
		f.evict()
	}
	f.entries[addr] = fdbEntry{at, now}
}

// evict forgets the entry that was seen longest ago. It is called with f.mu
// held.
func (f *fdb) evict() {
	var oldest tcpip.LinkAddress
	for addr, e := range f.entries {
		if o, ok := f.entries[oldest]; !ok || e.seen < o.seen || e.seen == o.seen && addr < oldest {
			oldest = addr
		}
	}
	delete(f.entries, oldest)
}

// where returns the port behind which addr is, nil if that is not known.
func (f *fdb) where(addr tcpip.LinkAddress) plug {
	now := f.clock.Monotonic()
	f.mu.RLock()
	defer f.mu.RUnlock()
	if e, ok := f.entries[addr]; ok && now-e.seen < f.age {
		return e.at
	}
	return nil
}

// forget drops all entries of a port.
func (f *fdb) forget(at plug) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for addr, e := range f.entries {
		if e.at == at {
			delete(f.entries, addr)
		}
	}
}

// size returns the number of entries.
func (f *fdb) size() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.entries)
}
