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

// Carry sends what, as a right in flight, through via.
func Carry(via, what *Socket) error {
	f, err := what.desc.retain()
	if err != nil {
		return err
	}
	_, err = via.desc.file.ep.Send(endpoint.Message{Bufs: [][]byte{{1}}, Control: []endpoint.Control{
		{Level: SOL_SOCKET, Type: endpoint.SCM_RIGHTS, Rights: []endpoint.Right{f}},
	}})
	if err != nil {
		f.Release()
	}
	return err
}

// Fetch receives one right through via, and makes a Socket of it in n.
func Fetch(n *Net, via *Socket) (*Socket, error) {
	r, err := via.desc.file.ep.Recv(endpoint.RecvRequest{Bufs: [][]byte{{0}}, Control: true})
	if err != nil {
		return nil, err
	}
	f := r.Control[0].Rights[0].(*file)
	d, err := n.install(f)
	if err != nil {
		return nil, err
	}
	return newSocket(d, f.family, f.typ, f.proto), nil
}
