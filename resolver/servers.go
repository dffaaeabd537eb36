package resolver

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"usersock/resolver/internal/stream"
	"usersock/stack/endpoint"
)

const (
	// downTime is how long a server that did not reply is asked after the
	// others. It is asked all the same when they do not answer.
	downTime = 30 * time.Second

	// tcpIdle is how long a connection to a name server is kept for further
	// queries. RFC 7766, section 6.2.3, leaves it to the client; servers close
	// after some seconds.
	tcpIdle = 10 * time.Second
)

// server is a name server and what is known of its health.
type server struct {
	addr   netip.AddrPort
	text   string // as Dial wants it
	stream *stream.Client

	// When it did not reply last, on the monotonic clock and one more; 0 when
	// it replied since.
	down atomic.Int64
}

func (r *Resolver) newServer(addr netip.AddrPort) *server {
	s := &server{addr: addr, text: addr.String()}
	s.stream = stream.New(stream.Config{
		Dial: func(ctx context.Context) (net.Conn, error) {
			if r.life.Err() != nil { // the server was learnt after Close
				return nil, stream.ErrClosed
			}
			return r.dial(ctx, "tcp", s.text)
		},
		Clock: r.clock,
		Idle:  tcpIdle,
	})
	return s
}

// note keeps whether the server replied when it was last asked.
func (s *server) note(replied bool, clock endpoint.Clock) {
	switch {
	case !replied:
		s.down.Store(int64(clock.Monotonic()) + 1)
	case s.down.Load() != 0:
		s.down.Store(0)
	}
}

// inOrder appends the servers in the order in which to ask them: that of the
// configuration, turned by one for each call with "rotate", and with those last
// that did not reply a short while ago. What happened since the lookup began
// changes nothing, so that a search list asks one server after the other as
// resolv.conf(5) says.
func (r *Resolver) inOrder(list []*server, began time.Duration) []*server {
	servers := r.whom.Load().servers
	turn := 0
	if r.conf.rotate {
		turn = int(r.turn.Add(1)-1) % len(servers)
	}
	var late []*server
	for i := range servers {
		s := servers[(turn+i)%len(servers)]
		if down := time.Duration(s.down.Load() - 1); down >= 0 && down < began && began < down+downTime {
			late = append(late, s)
			continue
		}
		list = append(list, s)
	}
	return append(list, late...)
}

// Close ends what the resolver keeps between calls: connections to name
// servers, and lookups that refresh the cache. It returns when they have ended.
// Lookups go on working afterwards, except for what needs TCP to a name
// server. Closing twice is harmless.
func (r *Resolver) Close() error {
	r.closing.Lock()
	r.stop()
	r.closing.Unlock()
	for _, s := range r.whom.Load().servers {
		s.stream.Close()
	}
	r.background.Wait()
	return nil
}
