package wire

import "sync"

// Medium is the wire that both ends of a link share in one process: who
// joined it, and whether anyone observes it. It exists so that a path that
// moves bytes without packets can know when packets are not needed. It knows
// nothing of netstack.
type Medium struct {
	mu        sync.Mutex
	observers int
}

// Observed reports whether anyone wants to see the packets.
func (m *Medium) Observed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.observers > 0
}
