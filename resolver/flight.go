package resolver

import (
	"context"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Flights: questions that are being asked.
//
// Whoever asks a question first claims it and asks the servers in its own
// goroutine and under its own context; the others wait for its answer. If it
// gives up because its context is done, the next one of the waiting claims
// the question. Nobody waits for a flight before having landed the own ones,
// so that two lookups cannot wait for each other.

// flight is a question that is being asked.
type flight struct {
	done  chan struct{} // made by the first who waits; guarded by the cache's mutex
	ans   *answer       // set before done is closed; nil if whoever asked gave up
	stale bool          // there is an answer past its end
}

// ask returns the answers for name, one for each of types, from the cache or
// from the servers. name has no final dot. began is when the lookup began. An
// error means that ctx is done.
func (r *Resolver) ask(ctx context.Context, name string, types []dnsmessage.Type, out []*answer, began time.Duration) error {
	key := cacheKey{name: lower(name)}
	for {
		var claimed, foreign [2]*flight
		if !r.look(key, types, out, &claimed, &foreign) {
			return ctx.Err()
		}
		r.askClaimed(ctx, key, types, claimed, out, began)
		for i, f := range foreign {
			if f == nil {
				continue
			}
			select {
			case <-f.done:
				out[i] = f.ans
			case <-ctx.Done():
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		missing := false
		for _, ans := range out {
			missing = missing || ans == nil
		}
		if !missing {
			return nil
		}
	}
}

// look takes from the cache what is there, claims what nobody asks and notes
// what others ask. It reports whether there is anything to wait for.
func (r *Resolver) look(key cacheKey, types []dnsmessage.Type, out []*answer, claimed, foreign *[2]*flight) (wait bool) {
	var anew [2]*flight
	c := r.cache
	now := c.clock.Monotonic()
	c.mu.Lock()
	for i, t := range types {
		if out[i] != nil {
			continue
		}
		key.typ = t
		ans, f, mine := c.find(key, now)
		out[i] = ans
		switch {
		case ans != nil:
			anew[i] = f
		case mine:
			claimed[i], wait = f, true
		default:
			foreign[i], wait = f, true
		}
	}
	c.mu.Unlock()
	for i, f := range anew {
		if f != nil {
			r.refresh(cacheKey{key.name, types[i]}, f)
		}
	}
	return wait
}

// refresh asks for a cached answer anew, in a goroutine that Close ends.
func (r *Resolver) refresh(key cacheKey, f *flight) {
	r.closing.Lock()
	defer r.closing.Unlock()
	if r.life.Err() != nil {
		r.cache.land(key, f, nil)
		return
	}
	r.background.Go(func() {
		var ans *answer
		defer func() { r.cache.land(key, f, ans) }()
		ans = r.askServers(r.life, key.name, []dnsmessage.Type{key.typ}, span{began: r.clock.Monotonic()})[0]
	})
}

// askClaimed asks the servers what this lookup has claimed, and lands the
// flights whatever happens.
func (r *Resolver) askClaimed(ctx context.Context, key cacheKey, types []dnsmessage.Type, claimed [2]*flight, out []*answer, began time.Duration) {
	var space [2]dnsmessage.Type
	open := space[:0]
	stale := false
	for i, f := range claimed {
		if f != nil {
			open = append(open, types[i])
			stale = stale || f.stale
		}
	}
	if len(open) == 0 {
		return
	}
	var answers [2]*answer // of open
	defer func() {
		next := 0
		for i, f := range claimed {
			if f == nil {
				continue
			}
			key.typ = types[i]
			out[i] = r.cache.land(key, f, answers[next])
			next++
		}
	}()
	when := span{began: began}
	if stale { // there is something to fall back on
		when.until = r.clock.Monotonic() + staleWait
	}
	answers = r.askServers(ctx, key.name, open, when)
}

// lower returns s in lower case; it allocates only if that changes s.
func lower(s string) string {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				if 'A' <= b[j] && b[j] <= 'Z' {
					b[j] |= 0x20
				}
			}
			return string(b)
		}
	}
	return s
}
