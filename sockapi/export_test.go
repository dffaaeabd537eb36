package sockapi

import (
	"sync/atomic"

	"usersock/stack/endpoint"
)

// Waiting reports whether a call on s's open socket has tried and now waits.
func Waiting(s *Socket) bool { return s.desc.file.watching.Load() > 0 }

// CountReady counts how often a socket is asked for its readiness from now on.
// Nobody may use the socket meanwhile.
func CountReady(s *Socket) *atomic.Int64 {
	c := &countingEndpoint{Endpoint: s.desc.file.ep}
	s.desc.file.ep = c
	return &c.n
}

type countingEndpoint struct {
	endpoint.Endpoint
	n atomic.Int64
}

func (c *countingEndpoint) Ready(want endpoint.Events) endpoint.Events {
	c.n.Add(1)
	return c.Endpoint.Ready(want)
}
