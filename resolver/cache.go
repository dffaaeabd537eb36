package resolver

import (
	"context"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"usersock/stack/endpoint"
)

// What DNS said, remembered for as long as its records hold.
//
// The cache also makes concurrent identical questions share one flight:
// whoever asks first claims the question and asks the servers in its own
// goroutine and under its own context; the others wait for its answer. If it
// gives up because its context is done, the next one of the waiting claims
// the question. Nobody waits for a flight before having landed the own ones,
// so that two lookups cannot wait for each other.

// servfailTTL is how long "no server could answer" is remembered, so that a
// loop of retries does not become a storm (RFC 9520, section 3.2, wants one
// second at least). A missing reply is not remembered.
const servfailTTL = time.Second

// staleTTL is how long a stale answer is used before servers are asked again
// (RFC 8767, section 4).
const staleTTL = 30 * time.Second

const defaultMaxTTL = 24 * time.Hour

// cacheKey is a question. The name is in lower case and has no final dot.
type cacheKey struct {
	name string
	typ  dnsmessage.Type
}

// cacheItem is a link of the list that is ordered by last use.
type cacheItem struct {
	key        cacheKey
	ans        *answer
	expires    time.Duration // on the monotonic clock
	next, prev *cacheItem
}

// flight is a question that is being asked.
type flight struct {
	done  chan struct{}
	ans   *answer // set before done is closed; nil if whoever asked gave up
	round uint64  // the cache's when it was claimed
}

type cache struct {
	clock  endpoint.Clock
	size   int
	maxTTL time.Duration
	stale  time.Duration

	mu      sync.Mutex
	items   map[cacheKey]*cacheItem
	flights map[cacheKey]*flight
	round   uint64    // counts calls of renew
	list    cacheItem // root of the ring: next is the last used
}

func newCache(cfg Config, clock endpoint.Clock) *cache {
	c := &cache{
		clock:   clock,
		size:    cfg.CacheSize,
		maxTTL:  cfg.MaxTTL,
		stale:   max(cfg.ServeStale, 0),
		flights: map[cacheKey]*flight{},
	}
	if c.size == 0 {
		c.size = DefaultCacheSize
	}
	if c.maxTTL == 0 {
		c.maxTTL = defaultMaxTTL
	}
	c.clear()
	return c
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clearLocked()
}

func (c *cache) clearLocked() {
	c.items = map[cacheKey]*cacheItem{}
	c.list.next, c.list.prev = &c.list, &c.list
}

// renew forgets everything for good: questions that are being asked go on, and
// whoever waits for them is answered, but the answers are not remembered, and who
// asks from now on asks anew.
func (c *cache) renew() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clearLocked()
	c.flights = map[cacheKey]*flight{}
	c.round++
}

func (i *cacheItem) unlink() {
	i.prev.next, i.next.prev = i.next, i.prev
}

func (i *cacheItem) linkAfter(at *cacheItem) {
	i.prev, i.next = at, at.next
	at.next.prev, at.next = i, i
}

// get returns a remembered answer; or else whoever asks the question now and
// will answer; or else, with mine set, the flight that the caller has claimed
// and must land.
func (c *cache) get(key cacheKey) (ans *answer, f *flight, mine bool) {
	var now time.Duration
	if c.size > 0 {
		now = c.clock.Monotonic()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := c.items[key]; i != nil {
		if now < i.expires {
			i.unlink()
			i.linkAfter(&c.list)
			return i.ans, nil, false
		}
		if now >= i.expires+c.stale {
			i.unlink()
			delete(c.items, key)
		}
	}
	if f := c.flights[key]; f != nil {
		return nil, f, false
	}
	f = &flight{done: make(chan struct{}), round: c.round}
	c.flights[key] = f
	return nil, f, true
}

// land ends a claimed flight with an answer, or with nil. It returns the
// answer to use, which may be an older one when the new one is a failure.
func (c *cache) land(key cacheKey, f *flight, ans *answer) *answer {
	now := c.clock.Monotonic()
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.round == c.round {
		if ans != nil && c.size > 0 {
			ans = c.put(key, ans, now)
		}
		delete(c.flights, key)
	}
	f.ans = ans
	close(f.done)
	return ans
}

func (c *cache) put(key cacheKey, ans *answer, now time.Duration) *answer {
	ttl := min(ans.ttl, c.maxTTL)
	old := c.items[key]
	if old != nil && old.ans.err == nil && rank(ans.err) > rank(ErrNoData) {
		// Only an answer replaces an answer; a failure lets it live on.
		old.expires = now + staleTTL
		return old.ans
	}
	if old != nil {
		old.unlink()
		delete(c.items, key)
	}
	if ttl <= 0 {
		return ans
	}
	for len(c.items) >= c.size {
		last := c.list.prev
		last.unlink()
		delete(c.items, last.key)
	}
	i := &cacheItem{key: key, ans: ans, expires: now + ttl}
	i.linkAfter(&c.list)
	c.items[key] = i
	return ans
}

// FlushCache forgets all DNS answers. Questions that are being asked go on.
func (r *Resolver) FlushCache() { r.cache.clear() }

// ask returns the answers for name, one for each of types, from the cache or
// from the servers. name has no final dot. An error means that ctx is done.
func (r *Resolver) ask(ctx context.Context, name string, types []dnsmessage.Type, out []*answer) error {
	key := cacheKey{name: lower(name)}
	for i := range out {
		out[i] = nil
	}
	for {
		var claimed, foreign [2]*flight
		var open []dnsmessage.Type
		waiting := false
		for i, t := range types {
			if out[i] != nil {
				continue
			}
			key.typ = t
			ans, f, mine := r.cache.get(key)
			switch {
			case ans != nil:
				out[i] = ans
			case mine:
				claimed[i] = f
				open = append(open, t)
			default:
				foreign[i] = f
				waiting = true
			}
		}
		if open != nil {
			r.askClaimed(ctx, key, types, claimed, open, out)
		}
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
		if !waiting {
			return nil
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

// askClaimed asks the servers what this lookup has claimed, and lands the
// flights whatever happens.
func (r *Resolver) askClaimed(ctx context.Context, key cacheKey, types []dnsmessage.Type, claimed [2]*flight, open []dnsmessage.Type, out []*answer) {
	var answers []*answer
	defer func() {
		next := 0
		for i, f := range claimed {
			if f == nil {
				continue
			}
			var ans *answer
			if next < len(answers) {
				ans = answers[next]
			}
			next++
			key.typ = types[i]
			out[i] = r.cache.land(key, f, ans)
		}
	}()
	answers = r.askServers(ctx, key.name, open)
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
