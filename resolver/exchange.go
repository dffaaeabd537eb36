package resolver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// The conversation with name servers.
//
// A lookup has one or two questions (A and AAAA). They go through rounds: in
// each attempt, each server in turn is asked the questions that have no
// answer yet. With one server a question passes through these states:
//
//	UDP ──TC, or 3 foreign datagrams──► TCP
//	UDP or TCP ──FORMERR──► the same without EDNS
//	any ──answer──► done
//	any ──failure, time-out──► next server
//
// Each arrow is taken once at most, so a visit ends after four passes. In a
// pass every question has its own fresh connected socket, hence its own
// random port, and its own random ID. Sockets are opened, written to and
// closed one after the other by the goroutine of the lookup, so that a run in
// virtual time repeats; only the reading happens side by side.
//
// Time: one timer of the Config's clock for a pass. It ends the pass's
// context, which the dialling obeys, and puts the sockets' deadlines into the
// past, which wakes the readers; deadlines of the future are never used,
// because they would be in the socket's idea of time.

// question is one question on its way.
type question struct {
	name dnsmessage.Name
	text string // the name without final dot
	typ  dnsmessage.Type
	id   uint16
	edns bool

	at      stage
	foreign int     // datagrams that were not ours, with this server
	ans     *answer // the result, once there is one
	failure error   // the worst of what went wrong before

	conn    net.Conn
	network string
	start   time.Duration
	rcode   dnsmessage.RCode
	replied bool
	why     error
}

// stage is where a question stands with the current server.
type stage uint8

const (
	stageUDP stage = iota
	stageTCP
	stageExchange
	stageNext // this server gave no answer
	stageDone
)

const maxForeign = 3

// inThePast is a deadline that has passed by any clock.
func inThePast() time.Time { return time.Unix(1, 0) }

// askServers asks about name (lower case, no final dot) and returns an answer
// for each type; nil entries mean that ctx is done.
func (r *Resolver) askServers(ctx context.Context, name string, types []dnsmessage.Type) []*answer {
	questions := make([]question, len(types))
	wire, err := dnsmessage.NewName(name + ".")
	for i := range questions {
		questions[i] = question{name: wire, text: name, typ: types[i], edns: true}
		if err != nil {
			questions[i].failure = &dnsError{name: name, typ: typeName(types[i]), kind: ErrNotFound, cause: err}
		}
	}
	if err == nil {
		r.rounds(ctx, questions)
	}
	answers := make([]*answer, len(types))
	for i := range questions {
		q := &questions[i]
		if q.ans == nil && ctx.Err() == nil {
			q.ans = &answer{err: q.failure}
			var e *dnsError
			if errors.As(q.failure, &e) && !e.transport {
				q.ans.ttl = servfailTTL
			}
		}
		answers[i] = q.ans
	}
	return answers
}

// rounds asks all servers, again and again, until every question has its
// answer or the attempts are used up.
func (r *Resolver) rounds(ctx context.Context, questions []question) {
	servers := r.whom.Load().servers
	first := stageUDP
	switch {
	case r.exchange != nil:
		servers, first = []server{{}}, stageExchange
	case r.conf.useVC:
		first = stageTCP
	}
	turn := 0
	if r.conf.rotate {
		turn = int(r.turn.Add(1)-1) % len(servers)
	}
	for attempt := 1; attempt <= r.conf.attempts; attempt++ {
		for i := range servers {
			s := &servers[(turn+i)%len(servers)]
			open := false
			for j := range questions {
				if q := &questions[j]; q.at != stageDone {
					q.at, q.foreign = first, 0
					open = true
				}
			}
			if !open || ctx.Err() != nil {
				return
			}
			r.visit(ctx, s, questions, attempt)
		}
	}
}

// visit takes the open questions through their stages with one server.
func (r *Resolver) visit(ctx context.Context, s *server, questions []question, attempt int) {
	var space [2]*question
	for again := true; again; {
		again = false
		for _, at := range [...]stage{stageUDP, stageTCP, stageExchange} {
			set := space[:0]
			for i := range questions {
				if questions[i].at == at {
					set = append(set, &questions[i])
				}
			}
			for len(set) > 0 && ctx.Err() == nil {
				n := len(set)
				if r.conf.singleRequest {
					n = 1
				}
				r.pass(ctx, s, set[:n], attempt)
				set = set[n:]
				again = true
			}
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// pass asks the questions of set, which stand at the same stage, once.
func (r *Resolver) pass(ctx context.Context, s *server, set []*question, attempt int) {
	passCtx, cancel := context.WithCancelCause(ctx)
	timer := r.clock.AfterFunc(r.conf.timeout, func() { cancel(errTimeout) })

	for _, q := range set {
		r.open(passCtx, s, q)
	}
	expired := make(chan struct{})
	stop := context.AfterFunc(passCtx, func() {
		for _, q := range set {
			if q.conn != nil {
				q.conn.SetDeadline(inThePast())
			}
		}
		close(expired)
	})
	var read chan struct{}
	for _, q := range set[1:] {
		if read == nil {
			read = make(chan struct{}, len(set)-1)
		}
		go func() {
			r.read(passCtx, q)
			read <- struct{}{}
		}()
	}
	r.read(passCtx, set[0])
	for range set[1:] {
		<-read
	}
	timer.Stop()
	if !stop() {
		<-expired
	}
	for _, q := range set {
		if q.conn != nil {
			q.conn.Close()
			q.conn = nil
		}
		r.judge(passCtx, s, q, attempt)
	}
	cancel(nil)
}

// open dials the server and sends the question. A failure is left in q.why.
func (r *Resolver) open(ctx context.Context, s *server, q *question) {
	q.start = r.clock.Monotonic()
	q.replied, q.why, q.rcode = false, nil, 0
	var id [2]byte
	if _, err := io.ReadFull(r.rand, id[:]); err != nil {
		q.why = fmt.Errorf("drawing a query ID: %w", err)
		return
	}
	q.id = binary.BigEndian.Uint16(id[:])
	switch q.at {
	case stageExchange:
		q.network = "exchange"
		return
	case stageUDP:
		q.network = "udp"
	case stageTCP:
		q.network = "tcp"
	}
	if r.dial == nil {
		q.why = errNoDial
		return
	}
	conn, err := r.dial(ctx, q.network, s.text)
	if err != nil {
		q.why = fmt.Errorf("dialling %s: %w", q.network, err)
		return
	}
	q.conn = conn
	var space [512]byte
	head := 0
	if q.at == stageTCP {
		head = 2
	}
	msg, err := appendQuery(space[:head], q, r.conf.trustAD)
	if err != nil {
		q.why = fmt.Errorf("making the query: %w", err)
		return
	}
	if head > 0 {
		binary.BigEndian.PutUint16(msg, uint16(len(msg)-head))
	}
	if _, err := conn.Write(msg); err != nil {
		q.why = fmt.Errorf("sending the query: %w", err)
	}
}

// read waits for the reply to q and moves q to its next stage.
func (r *Resolver) read(ctx context.Context, q *question) {
	if q.why != nil {
		q.at = stageNext
		return
	}
	switch q.at {
	case stageUDP:
		r.readUDP(q)
	case stageTCP:
		r.readTCP(q)
	case stageExchange:
		r.readExchange(ctx, q)
	}
}

func (r *Resolver) readUDP(q *question) {
	buf := r.buffers.Get().(*[udpBufferSize]byte)
	defer r.buffers.Put(buf)
	for {
		n, err := q.conn.Read(buf[:])
		if err != nil {
			q.at, q.why = stageNext, fmt.Errorf("waiting for the reply: %w", err)
			return
		}
		if r.take(q, buf[:n]) {
			return
		}
		if q.foreign++; q.foreign >= maxForeign {
			q.at = stageTCP
			return
		}
	}
}

func (r *Resolver) readTCP(q *question) {
	var size [2]byte
	_, err := io.ReadFull(q.conn, size[:])
	var msg []byte
	if err == nil {
		msg = make([]byte, binary.BigEndian.Uint16(size[:]))
		_, err = io.ReadFull(q.conn, msg)
	}
	if err != nil {
		q.at, q.why = stageNext, fmt.Errorf("waiting for the reply: %w", err)
		return
	}
	if !r.take(q, msg) {
		q.at, q.why = stageNext, errForeign
	}
}

func (r *Resolver) readExchange(ctx context.Context, q *question) {
	var space [512]byte
	msg, err := appendQuery(space[:0], q, r.conf.trustAD)
	if err == nil {
		msg, err = r.exchange(ctx, msg)
	}
	if err != nil {
		q.at, q.why = stageNext, err
		return
	}
	if !r.take(q, msg) {
		q.at, q.why = stageNext, errForeign
	}
}

var errForeign = errors.New("reply does not match the question")

// take looks at a message and reports whether it is the reply to q; if so, q
// has its next stage.
func (r *Resolver) take(q *question, msg []byte) bool {
	kind, ans, rcode, why := readReply(msg, q)
	if kind == replyForeign {
		return false
	}
	q.replied, q.rcode, q.why = true, rcode, why
	switch {
	case kind == replyAnswer:
		q.ans, q.at = ans, stageDone
	case kind == replyTruncated && q.at == stageUDP:
		q.at = stageTCP
	case kind == replyFormErr && q.edns:
		q.edns = false // and the same stage again
	default:
		q.at = stageNext
	}
	return true
}

// judge ends a pass for q: it records the failure, if there was one, and
// tells the trace.
func (r *Resolver) judge(ctx context.Context, s *server, q *question, attempt int) {
	if q.at == stageNext {
		e := &dnsError{name: q.text, typ: typeName(q.typ), server: s.text, kind: ErrTryAgain, cause: q.why, transport: !q.replied}
		if q.replied {
			var code errRCode
			if !errors.As(q.why, &code) || dnsmessage.RCode(code) == dnsmessage.RCodeFormatError {
				e.kind = ErrNoRecovery
			}
		} else if cause := context.Cause(ctx); cause != nil && q.why != nil {
			q.why, e.cause = cause, cause
		}
		q.failure = worse(q.failure, e)
	}
	if r.trace != nil {
		r.trace(r.event(s, q, attempt))
	}
}

func (r *Resolver) event(s *server, q *question, attempt int) Event {
	e := Event{
		Server: s.text, Network: q.network, Name: q.text, Type: typeName(q.typ),
		Attempt: attempt, Err: q.why, Elapsed: r.clock.Monotonic() - q.start,
	}
	if q.replied {
		e.RCode = rcodeName(q.rcode)
	}
	if q.at != stageDone {
		return e
	}
	if q.ans.err != nil {
		e.Err = ErrNoData
		if errors.Is(q.ans.err, ErrNotFound) {
			e.Err = ErrNotFound
		}
	}
	if q.ans.canon != "" {
		e.Answers = append(append(e.Answers, q.ans.aliases[1:]...), q.ans.canon)
	}
	for _, ip := range q.ans.addrs {
		e.Answers = append(e.Answers, ip.String())
	}
	if q.ans.name != "" {
		e.Answers = append(e.Answers, q.ans.name)
	}
	return e
}
