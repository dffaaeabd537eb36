package resolver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"usersock/resolver/internal/stream"
	"usersock/stack/endpoint"
)

// The conversation with name servers.
//
// A lookup has one or two questions (A and AAAA). They go through rounds: in
// each attempt, each server in turn is asked the questions that have no
// answer yet. With one server a question passes through these states:
//
//	UDP ──TC, or 3 foreign datagrams──► TCP
//	UDP or TCP ──FORMERR──► the same without EDNS
//	TCP ──kept connection was dead──► TCP, on a new one
//	any ──answer──► done
//	any ──failure, time-out──► next server
//
// Each arrow is taken once at most, so a visit ends after five passes. In a
// pass every question over UDP has its own fresh connected socket, hence its
// own random port, and its own random ID. Questions over TCP share a kept
// connection with all other lookups (RFC 7766, package stream). All are sent
// before the first reply is awaited, one after the other by the goroutine of the
// lookup, so that a run in virtual time repeats; the same goroutine then reads
// the replies, one after the other, because it needs all of them. Side by side
// is waited for what Config.Exchange carries, and where the caller wants the
// addresses of one family before the other's (WithEarly).
//
// Time: one timer of the Config's clock for a pass. It ends the pass's
// context, which the dialling obeys, and puts the sockets' deadlines into the
// past, which wakes the reader; deadlines of the future are never used,
// because they would be in the socket's idea of time. The TTL of an answer
// counts from when its question was sent, so that it is not used too long
// wherever it waited.

// question is one question on its way.
type question struct {
	name dnsmessage.Name
	text string // the name without final dot
	typ  dnsmessage.Type
	raw  []byte // the whole query, in place of one of ours; it has class
	id   uint16
	edns bool

	class dnsmessage.Class

	at      stage
	foreign int     // datagrams that were not ours, with this server
	resent  bool    // a kept connection was dead
	ans     *answer // the result, once there is one
	failure error   // the worst of what went wrong before
	last    []byte  // raw: a reply that says that the server failed

	conn    net.Conn
	call    *stream.Call
	buf     *[udpBufferSize]byte
	network string
	start   time.Duration
	took    time.Duration
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

// span says when a lookup began and, unless it is 0, when it is to end.
type span struct{ began, until time.Duration }

func (s span) left(clock endpoint.Clock) time.Duration {
	if s.until == 0 {
		return math.MaxInt64
	}
	return s.until - clock.Monotonic()
}

// askServers asks about name (lower case, no final dot) and returns an answer
// for each type; nil entries mean that ctx is done.
func (r *Resolver) askServers(ctx context.Context, name string, types []dnsmessage.Type, when span) (answers [2]*answer) {
	var space [2]question
	questions := space[:len(types)]
	wire, err := dnsmessage.NewName(name + ".")
	for i := range questions {
		questions[i] = question{name: wire, text: name, typ: types[i], edns: true}
		if err != nil {
			questions[i].failure = &dnsError{name: name, typ: typeName(types[i]), kind: ErrNotFound, cause: err}
		}
	}
	if err == nil {
		r.rounds(ctx, questions, when)
	}
	for i := range questions {
		q := &questions[i]
		if q.ans == nil && ctx.Err() == nil {
			if q.failure == nil { // there was no time to ask anybody
				q.failure = &dnsError{name: name, typ: typeName(q.typ), kind: ErrTryAgain, cause: errTimeout, transport: true}
			}
			q.ans = &answer{err: q.failure, asked: r.clock.Monotonic()}
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
func (r *Resolver) rounds(ctx context.Context, questions []question, when span) {
	var space [4]*server
	servers := r.inOrder(space[:0], when.began)
	first := stageUDP
	switch {
	case r.exchange != nil:
		servers, first = []*server{{}}, stageExchange
	case r.conf.useVC, len(questions) == 1 && len(questions[0].raw) > ednsSize:
		first = stageTCP
	}
	for attempt := 1; attempt <= r.conf.attempts; attempt++ {
		for _, s := range servers {
			open := false
			for j := range questions {
				if q := &questions[j]; q.at != stageDone {
					q.at, q.foreign, q.resent = first, 0, false
					open = true
				}
			}
			if !open || ctx.Err() != nil || when.left(r.clock) <= 0 {
				return
			}
			r.visit(ctx, s, questions, attempt, when)
		}
	}
}

// visit takes the open questions through their stages with one server.
func (r *Resolver) visit(ctx context.Context, s *server, questions []question, attempt int, when span) {
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
				r.pass(ctx, s, set[:n], attempt, when)
				set = set[n:]
				again = true
			}
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// limit ends a pass: its context, and whoever reads from its sockets.
type limit struct {
	cancel context.CancelCauseFunc

	mu    sync.Mutex // held for the fields alone
	over  bool
	conns [2]net.Conn
	n     int
}

// watch lets the end of the pass wake a reader of conn.
func (l *limit) watch(conn net.Conn) {
	l.mu.Lock()
	l.conns[l.n] = conn
	l.n++
	over := l.over
	l.mu.Unlock()
	if over {
		conn.SetDeadline(inThePast())
	}
}

func (l *limit) end(cause error) {
	l.cancel(cause)
	l.mu.Lock()
	l.over = true
	conns := l.conns
	l.mu.Unlock()
	for _, conn := range conns {
		if conn != nil {
			conn.SetDeadline(inThePast())
		}
	}
}

// pass asks the questions of set, which stand at the same stage, once.
func (r *Resolver) pass(ctx context.Context, s *server, set []*question, attempt int, when span) {
	passCtx, cancel := context.WithCancelCause(ctx)
	lim := &limit{cancel: cancel}
	timer := r.clock.AfterFunc(min(r.conf.timeout, max(when.left(r.clock), 0)), func() { lim.end(errTimeout) })
	var unwatch func() bool
	if ctx.Done() != nil {
		unwatch = context.AfterFunc(ctx, func() { lim.end(context.Cause(ctx)) })
	}
	for _, q := range set {
		r.open(passCtx, s, q, lim)
	}
	early, _ := ctx.Value(earlyAnswer{}).(func(*answer))
	if set[0].at == stageExchange || early != nil {
		r.readAll(passCtx, set, early)
	} else {
		for _, q := range set {
			r.read(passCtx, q)
		}
	}
	timer.Stop()
	if unwatch != nil {
		unwatch()
	}
	replied := false
	for _, q := range set {
		if q.conn != nil {
			q.conn.Close() // a deadline that comes too late changes nothing
			q.conn = nil
		}
		if q.buf != nil {
			r.buffers.Put(q.buf)
			q.buf = nil
		}
		replied = replied || q.replied
		r.judge(passCtx, s, q, attempt)
	}
	if ctx.Err() == nil {
		s.note(replied, r.clock)
	}
	cancel(nil)
}

// open dials the server and sends the question. A failure is left in q.why.
func (r *Resolver) open(ctx context.Context, s *server, q *question, lim *limit) {
	q.start = r.clock.Monotonic()
	q.replied, q.why, q.rcode, q.call = false, nil, 0, nil
	var id [2]byte
	if _, err := io.ReadFull(r.rand, id[:]); err != nil {
		q.why = fmt.Errorf("drawing a query ID: %w", err)
		return
	}
	q.id = binary.BigEndian.Uint16(id[:])
	r.stats.Queries.Add(1)
	switch q.at {
	case stageExchange:
		q.network = "exchange"
		return
	case stageUDP:
		q.network = "udp"
	case stageTCP:
		q.network = "tcp"
		r.stats.TCP.Add(1)
	}
	if r.dial == nil {
		q.why = errNoDial
		return
	}
	q.buf = r.buffers.Get().(*[udpBufferSize]byte)
	msg, err := appendQuery(q.buf[:0], q, r.conf.trustAD)
	if err != nil {
		q.why = fmt.Errorf("making the query: %w", err)
		return
	}
	if q.at == stageTCP {
		q.call, q.why = s.stream.Send(ctx, msg)
		return
	}
	conn, err := r.dial(ctx, q.network, s.text)
	if err != nil {
		q.why = fmt.Errorf("dialling %s: %w", q.network, err)
		return
	}
	q.conn = conn
	lim.watch(conn)
	if _, err := conn.Write(msg); err != nil {
		q.why = fmt.Errorf("sending the query: %w", err)
	}
}

// read waits for the reply to q and moves q to its next stage.
func (r *Resolver) read(ctx context.Context, q *question) {
	switch {
	case q.at == stageExchange:
		r.readExchange(ctx, q)
	case q.at == stageTCP && q.call != nil:
		r.readTCP(ctx, q)
	case q.why != nil:
		q.at = stageNext
	default:
		r.readUDP(q)
	}
	q.took = r.clock.Monotonic() - q.start
}

func (r *Resolver) readUDP(q *question) {
	for {
		n, err := q.conn.Read(q.buf[:])
		if err != nil {
			q.at, q.why = stageNext, fmt.Errorf("waiting for the reply: %w", err)
			return
		}
		if r.take(q, q.buf[:n], n == len(q.buf)) {
			return
		}
		r.stats.Foreign.Add(1)
		if q.foreign++; q.foreign >= maxForeign {
			q.at = stageTCP
			return
		}
	}
}

func (r *Resolver) readTCP(ctx context.Context, q *question) {
	err := q.why
	var msg []byte
	if err == nil {
		msg, err = q.call.Wait(ctx)
	}
	switch {
	case err != nil && q.call.Reused && !q.resent && ctx.Err() == nil:
		q.resent, q.why = true, err // the same stage again
	case err != nil:
		q.at, q.why = stageNext, err
	case !r.take(q, msg, false):
		r.stats.Foreign.Add(1)
		q.call.Refuse()
		q.at, q.why = stageNext, errForeign
	}
}

// readAll waits for the replies side by side, and tells early of an answer with
// addresses, whether or not the other is still to come.
func (r *Resolver) readAll(ctx context.Context, set []*question, early func(*answer)) {
	read := func(q *question) {
		r.read(ctx, q)
		if early != nil && q.at == stageDone && len(q.ans.addrs) > 0 {
			early(q.ans)
		}
	}
	var others sync.WaitGroup
	for _, q := range set[1:] {
		others.Go(func() { read(q) })
	}
	read(set[0])
	others.Wait()
}

func (r *Resolver) readExchange(ctx context.Context, q *question) {
	err := q.why
	var msg []byte
	if err == nil {
		msg, err = appendQuery(make([]byte, 0, 512), q, r.conf.trustAD)
	}
	if err == nil {
		msg, err = r.exchange(ctx, msg)
	}
	switch {
	case err != nil:
		q.at, q.why = stageNext, err
	case !r.take(q, msg, false):
		r.stats.Foreign.Add(1)
		q.at, q.why = stageNext, errForeign
	}
}

var errForeign = errors.New("reply does not match the question")

// take looks at a message and reports whether it is the reply to q; if so, q
// has its next stage. cut says that there may have been more of it.
func (r *Resolver) take(q *question, msg []byte, cut bool) bool {
	kind, ans, rcode, why := readReply(msg, q)
	if kind == replyForeign {
		return false
	}
	if cut {
		kind, ans = replyTruncated, nil
	}
	q.replied, q.rcode, q.why = true, rcode, why
	switch {
	case kind == replyAnswer:
		ans.asked = q.start
		q.ans, q.at = ans, stageDone
	case kind == replyTruncated && q.at == stageUDP:
		q.at = stageTCP
	case kind == replyFormErr && q.edns:
		q.edns = false // and the same stage again
	default:
		if q.raw != nil {
			q.last = append([]byte(nil), msg...)
		}
		q.at = stageNext
	}
	return true
}

// judge ends a pass for q: it records the failure, if there was one, and
// tells the trace.
func (r *Resolver) judge(ctx context.Context, s *server, q *question, attempt int) {
	if q.at == stageNext {
		r.stats.Failures.Add(1)
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
		Attempt: attempt, Err: q.why, Elapsed: q.took,
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
	for _, rr := range q.ans.records {
		e.Answers = append(e.Answers, rr.String())
	}
	return e
}
