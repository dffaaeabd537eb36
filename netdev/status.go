package netdev

import (
	"sync"

	"usersock/internal/wire"
)

// State is how a link is: whether packets can pass, and why not.
type State = wire.State

// Status returns how l is now. A link in memory is always up.
func Status(l Link) State {
	if status := l.Wire().Status; status != nil {
		return status()
	}
	return State{Up: true}
}

// status is the part of a link that says how it is. Its zero value is down.
// The fields of wire.End with these names have the rules.
type status struct {
	mu      sync.Mutex
	state   State
	changed func()
}

// set changes the state and tells the watcher, unless all is as before. What
// has ended with an error stays so.
func (s *status) set(st State) {
	s.mu.Lock()
	if s.state.Err != nil || s.state == st {
		s.mu.Unlock()
		return
	}
	s.state = st
	changed := s.changed
	s.mu.Unlock()
	if changed != nil {
		changed()
	}
}

// get is wire.End's Status.
func (s *status) get() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// watch is wire.End's Watch.
func (s *status) watch(changed func()) {
	s.mu.Lock()
	s.changed = changed
	s.mu.Unlock()
}
