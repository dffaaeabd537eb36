package resolver

import (
	"net/netip"
	"strings"
	"time"
)

// Event is one question put to one name server and what came of it.
type Event struct {
	Server  string        // address with port; "" when Config.Exchange carried it
	Network string        // "udp", "tcp", or "exchange"
	Name    string        // the name asked for, without the final dot
	Type    string        // "A", "AAAA", "PTR" and so on
	Attempt int           // from 1; counts the rounds over all servers
	RCode   string        // "NOERROR", "NXDOMAIN" and so on; "" without a reply
	Answers []string      // addresses or names, the CNAME targets before them
	Err     error         // why there is no answer (ErrNotFound, ErrNoData, a cause); nil with one
	Elapsed time.Duration // from the question to the reply
}

// String returns one line without a line end, such as
// "asked 192.0.2.53:53 (udp) for daring.cwi.nl A: 192.0.2.1".
func (e Event) String() string {
	var b strings.Builder
	b.WriteString("asked ")
	if e.Server != "" {
		b.WriteString(e.Server)
		b.WriteByte(' ')
	}
	b.WriteByte('(')
	b.WriteString(e.Network)
	b.WriteString(") for ")
	b.WriteString(e.Name)
	b.WriteByte(' ')
	b.WriteString(e.Type)
	b.WriteString(": ")
	switch {
	case len(e.Answers) > 0:
		b.WriteString(strings.Join(e.Answers, ", "))
	case e.Err != nil:
		b.WriteString(e.Err.Error())
	default:
		b.WriteString(e.RCode)
	}
	return b.String()
}

// SourceEvent is one source that a lookup consulted and what it said.
type SourceEvent struct {
	Source  string        // "files", "dns", "own", or the name of one of Config.Sources
	Asked   string        // the name or address that was looked up
	Names   []string      // the canonical name, and aliases after it
	Addrs   []netip.Addr  // of a name
	Err     error         // why there is nothing: ErrNotFound, ErrNoData, ErrTryAgain or whatever wraps one
	Last    bool          // no further source is consulted
	Elapsed time.Duration // from the question to the answer
}

// watch is the time, if anybody wants to know how long a source takes.
func (r *Resolver) watch() time.Duration {
	if r.traceSource == nil {
		return 0
	}
	return r.clock.Monotonic()
}

// consulted tells TraceSource of a source.
func (r *Resolver) consulted(s *step, asked string, e *entry, err error, began time.Duration) {
	ev := SourceEvent{Source: s.name, Asked: asked, Err: err, Last: s.stop[statusOf(err)], Elapsed: r.clock.Monotonic() - began}
	if err == nil {
		ev.Names = append([]string{e.name}, e.aliases...)
		ev.Addrs = append(append(ev.Addrs, e.a4...), e.a6...)
	}
	r.traceSource(ev)
}
