package resolver

import (
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
