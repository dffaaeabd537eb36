package dnszone

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Fault is a way to misbehave, and for which queries. The zero Fault matches
// every query and changes nothing.
type Fault struct {
	Name string    // the name asked for; "*.example." for all below example.; "" for all names
	Type string    // mnemonic, or TYPE with a number; "" for all types
	Over Transport // how the query came

	Skip  int // how many matching queries are let pass first
	Times int // how many are then treated so; 0 means all

	Do    Action
	Delay time.Duration // how long every reply waits; needs Server.AfterFunc

	RCode  int           // Fail: the response code, below 4096; 0 means SERVFAIL
	Answer string        // Lie: the answer section as a master file; white space in place of an owner is the name asked for
	Bytes  int           // Cut: how many bytes remain, 0 means half; Garbage: how many, 0 means 64
	Every  time.Duration // Drip: the time for a byte; needs Server.AfterFunc

	// Then lets the honest reply follow the false one, at the same time.
	Then bool
}

// Transport is what a query came over.
type Transport uint8

// The transports.
const (
	AnyTransport Transport = iota
	UDP
	TCP
)

// Action is what a fault does to the reply.
type Action uint8

// The actions.
const (
	Honest    Action = iota // nothing: the reply is what the zones say
	Drop                    // no reply; a TCP connection stays open
	Hangup                  // no reply, and the end of a TCP connection
	Truncate                // TC is set, and no records
	Fail                    // a response code, and no records
	Lie                     // Fault.Answer
	Cut                     // the first bytes of the reply; over TCP the length before it promises all, and the connection ends
	Garbage                 // the query's ID, and bytes that are no message after it
	WrongID                 // the reply under another ID
	WrongName               // the reply with a question of another name
	WrongPort               // over UDP: the reply comes from Server.Elsewhere
	Drip                    // over TCP: one byte after the other
	actions
)

// Active is a fault of a server.
type Active struct {
	fault  Fault
	name   wireName // lower case
	below  bool     // all names below name
	all    bool     // all names
	typ    uint16   // 0: all
	server *Server
	seen   atomic.Int64
}

// AddFault lets the server misbehave. Of several faults that match a query the
// one that was added first counts, unless its Times are used up. A query that a
// fault treats is not given to Intercept. An error says what in f makes no
// sense.
func (s *Server) AddFault(f Fault) (*Active, error) {
	a := &Active{fault: f, server: s, all: f.Name == ""}
	if err := a.read(); err != nil {
		return nil, fmt.Errorf("dnszone: fault for %q: %w", f.Name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults[:len(s.faults):len(s.faults)], a)
	return a, nil
}

func (a *Active) read() (err error) {
	f := &a.fault
	text := f.Name
	if rest, ok := strings.CutPrefix(text, "*."); ok {
		a.below, text = true, rest
		if rest == "" {
			text = "."
		}
	}
	if !a.all {
		if a.name, err = parseName(text, ""); err != nil {
			return err
		}
		a.name = a.name.lower()
	}
	if f.Type != "" {
		var ok bool
		if a.typ, ok = parseType(f.Type); !ok && !questionOnly(a.typ) {
			return fmt.Errorf("no record type %q", f.Type)
		}
	}
	for _, c := range []struct {
		wrong bool
		why   string
	}{
		{f.Do >= actions, "no such action"},
		{f.Over > TCP, "no such transport"},
		{f.Skip < 0 || f.Times < 0 || f.Bytes < 0 || f.Delay < 0 || f.Every < 0, "a number is negative"},
		{f.RCode < 0 || f.RCode > 0xfff, "the response code has more than 12 bits"},
		{f.Bytes > 0xffff, "more bytes than a message has"},
		{f.RCode != 0 && f.Do != Fail, "RCode is for Fail alone"},
		{f.Bytes != 0 && f.Do != Cut && f.Do != Garbage, "Bytes is for Cut and Garbage alone"},
		{f.Answer != "" && f.Do != Lie, "Answer is for Lie alone"},
		{f.Every != 0 && f.Do != Drip, "Every is for Drip alone"},
		{f.Do == Drip && f.Every == 0, "Drip needs Every"},
		{f.Do == WrongPort && f.Over == TCP, "WrongPort is for UDP alone"},
		{f.Do == WrongPort && a.server.Elsewhere == nil, "WrongPort needs Server.Elsewhere"},
		{f.Do == Drip && f.Over == UDP, "Drip is for TCP alone"},
		{(f.Delay > 0 || f.Every > 0) && a.server.AfterFunc == nil, "a delay needs Server.AfterFunc"},
	} {
		if c.wrong {
			return errors.New(c.why)
		}
	}
	if f.Do == Lie {
		_, err = lies(f.Answer, "")
	}
	return err
}

// lies reads the text of a false answer about a name.
func lies(text string, name wireName) (answers []owned, err error) {
	p := parser{owner: name, owned: true, ttl: DefaultTTL, add: func(owner wireName, r record) error {
		answers = append(answers, owned{owner, r})
		return nil
	}}
	err = p.text(text)
	return answers, err
}

// Hits is how many queries the fault has treated.
func (a *Active) Hits() int {
	n := int(a.seen.Load()) - a.fault.Skip
	if a.fault.Times > 0 {
		n = min(n, a.fault.Times)
	}
	return max(n, 0)
}

// Remove ends the fault.
func (a *Active) Remove() {
	s := a.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = slices.DeleteFunc(slices.Clone(s.faults), func(b *Active) bool { return a == b })
}

// match reports whether the fault treats a query, and counts it.
func (a *Active) match(q *request, udp bool) bool {
	f := &a.fault
	name := q.name.lower()
	switch {
	case a.typ != 0 && a.typ != q.typ,
		f.Over == UDP && !udp, f.Over == TCP && udp,
		!a.all && !a.below && name != a.name,
		a.below && (name == a.name || !name.under(a.name)):
		return false
	}
	n := int(a.seen.Add(1))
	return n > f.Skip && (f.Times == 0 || n <= f.Skip+f.Times)
}

// misbehave returns the replies of the first fault that treats q.
func (s *Server) misbehave(q *request, udp bool, honest []byte) (replies []Reply, ok bool) {
	s.mu.RLock()
	faults := s.faults
	s.mu.RUnlock()
	for _, a := range faults {
		if !a.match(q, udp) {
			continue
		}
		// A copy, because a false reply may be made of the honest one in place.
		replies = a.replies(q, udp, slices.Clone(honest))
		if a.fault.Then && len(replies) > 0 {
			replies[0].End = false
			replies = append(replies, Reply{Message: honest})
		}
		for i := range replies {
			replies[i].After = a.fault.Delay
		}
		return replies, true
	}
	return nil, false
}

// replies makes the false reply.
func (a *Active) replies(q *request, udp bool, honest []byte) []Reply {
	f := &a.fault
	r := Reply{Message: honest}
	switch f.Do {
	case Drop:
		r.Message = nil
	case Hangup:
		r.Message, r.End = nil, true
	case Truncate:
		r.Message = q.reply(response{}, true, a.server.maxUDP())
	case Fail:
		rcode := f.RCode
		if rcode == 0 {
			rcode = rcodeServFail
		}
		r.Message = q.reply(response{rcode: rcode}, false, a.server.maxUDP())
	case Lie:
		answers, _ := lies(f.Answer, q.name) // AddFault has seen that it can be read
		r.Message = q.reply(response{answers: answers}, false, a.server.maxUDP())
	case Cut:
		n := f.Bytes
		if n == 0 {
			n = len(honest) / 2
		}
		r.Message, r.Length, r.End = honest[:min(n, len(honest))], len(honest), true
	case Garbage:
		n := f.Bytes
		if n == 0 {
			n = 64
		}
		r.Message = make([]byte, n)
		for i := range r.Message {
			r.Message[i] = byte(0xff - i*i)
		}
		copy(r.Message, honest[:2])
	case WrongID:
		binary.BigEndian.PutUint16(honest, q.id+1)
	case WrongName:
		if len(honest) > headerSize+1 && honest[headerSize] > 0 {
			honest[headerSize+1] ^= 0x01
		}
	case WrongPort:
		r.Elsewhere = udp
	case Drip:
		r.Every = f.Every
	}
	return []Reply{r}
}
