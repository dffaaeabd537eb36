package resolver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"golang.org/x/net/dns/dnsmessage"
)

// Exchange puts a DNS message with one question to the name servers and returns
// a reply with the same ID. The query goes out as it is, with another ID, as
// safely as the resolver's own: from a fresh socket, over TCP when the reply is
// cut off, and to the next server when one fails. What comes back is the reply
// to the question, whatever it says; nothing is cached, sorted or left out.
// SERVFAIL and its like are returned when no server has anything better.
//
// A query that cannot be read, or has another number of questions, is an error
// that wraps ErrNoRecovery.
func (r *Resolver) Exchange(ctx context.Context, query []byte) ([]byte, error) {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	var asked dnsmessage.Question
	if err == nil {
		asked, err = p.Question()
	}
	if err == nil {
		if _, more := p.Question(); more != dnsmessage.ErrSectionDone || h.Response {
			err = errNotQuery
		}
	}
	if len(query) > math.MaxUint16 {
		err = errNotQuery
	}
	if err != nil {
		return nil, DNSError("", fmt.Errorf("reading the query: %w: %w", ErrNoRecovery, err))
	}
	r.current()
	questions := []question{{
		name: asked.Name, text: nameText(&asked.Name), typ: asked.Type, class: asked.Class, raw: query,
	}}
	r.rounds(ctx, questions, span{began: r.clock.Monotonic()})
	q := &questions[0]
	reply := q.last
	switch {
	case q.ans != nil:
		reply = q.ans.msg
	case ctx.Err() != nil:
		return nil, DNSError(q.text, fmt.Errorf("%w: %w", ErrTryAgain, context.Cause(ctx)))
	case reply == nil:
		return nil, DNSError(q.text, q.failure)
	}
	binary.BigEndian.PutUint16(reply, h.ID)
	return reply, nil
}

var errNotQuery = errors.New("it is no query with one question")
