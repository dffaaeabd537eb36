package resolver

import (
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"usersock/stack/endpoint"
)

// What DNS said, remembered for as long as its records hold, counted from the
// moment at which the question was sent.
//
// The cache also makes concurrent identical questions share one flight
// (flight.go). Its size is bounded in bytes: whoever was not used for longest
// goes first.

// servfailTTL is how long "no server could answer" is remembered, so that a
// loop of retries does not become a storm (RFC 9520, section 3.2, wants one
// second at least). A missing reply is not remembered.
const servfailTTL = time.Second

// RFC 8767, section 5: how long servers are waited for when there is a stale
// answer, and how long they are left alone after they failed.
const (
	staleWait  = 1800 * time.Millisecond
	staleRetry = 30 * time.Second
)

const (
	defaultMaxTTL = 24 * time.Hour

	// prefetchPart is the part of an answer's life, from its end, in which a
	// use lets it be asked for anew.
	prefetchPart = 10
)

// cacheKey is a question. The name is in lower case and has no final dot.
type cacheKey struct {
	name string
	typ  dnsmessage.Type
}

// cacheItem is a link of the list that is ordered by last use, and a part of its
// answer. Times are on the monotonic clock. The cache's mutex guards it.
type cacheItem struct {
	key        cacheKey
	ans        *answer
	size       int
	life       time.Duration
	expires    time.Duration
	retry      time.Duration // stale: used until then without asking
	next, prev *cacheItem
}

// cacheStats is guarded by the cache's mutex.
type cacheStats struct {
	hits, misses, shared, stale, prefetched, evicted uint64
}

type cache struct {
	clock    endpoint.Clock
	size     int // bytes; nothing is kept where it is negative
	maxTTL   time.Duration
	stale    time.Duration
	prefetch bool

	mu      sync.Mutex
	items   map[cacheKey]*cacheItem
	bytes   int
	flights map[cacheKey]*flight
	list    cacheItem // root of the ring: next is the last used
	stats   cacheStats
}

func newCache(cfg Config, clock endpoint.Clock) *cache {
	c := &cache{
		clock:    clock,
		size:     cfg.CacheSize,
		maxTTL:   cfg.MaxTTL,
		stale:    cfg.ServeStale,
		prefetch: cfg.Prefetch,
	}
	if c.size == 0 {
		c.size = DefaultCacheSize
	}
	if c.maxTTL == 0 {
		c.maxTTL = defaultMaxTTL
	}
	c.flush()
	return c
}

// flush forgets everything. Flights that are under way land without leaving
// anything here, and nobody joins them any more.
func (c *cache) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.items = map[cacheKey]*cacheItem{}
	c.flights = map[cacheKey]*flight{}
	c.bytes = 0
	c.list.next, c.list.prev = &c.list, &c.list
}

func (i *cacheItem) unlink() {
	i.prev.next, i.next.prev = i.next, i.prev
}

func (i *cacheItem) linkAfter(at *cacheItem) {
	i.prev, i.next = at, at.next
	at.next.prev, at.next = i, i
}

func (c *cache) remove(i *cacheItem) {
	i.unlink()
	delete(c.items, i.key)
	c.bytes -= i.size
}

// find returns a remembered answer; or else whoever asks the question now and
// will answer; or else, with mine set, the flight that the caller has claimed
// and must land. An answer may come with a flight that is the caller's: then it
// should be asked for anew, beside this lookup. The cache is locked.
func (c *cache) find(key cacheKey, now time.Duration) (ans *answer, f *flight, mine bool) {
	i := c.items[key]
	stale := false
	switch {
	case i == nil:
	case now < i.expires:
		i.unlink()
		i.linkAfter(&c.list)
		c.stats.hits++
		if c.prefetch && i.ans.err == nil && now >= i.expires-i.life/prefetchPart && now >= i.retry && c.flights[key] == nil {
			c.stats.prefetched++
			return i.ans, c.claim(key, false), true
		}
		return i.ans, nil, false
	case now >= i.expires+c.stale || i.ans.err != nil:
		c.remove(i)
	case now < i.retry:
		c.stats.stale++
		return i.ans, nil, false
	default:
		stale = true
	}
	if f := c.flights[key]; f != nil {
		if f.done == nil {
			f.done = make(chan struct{})
		}
		c.stats.shared++
		return nil, f, false
	}
	c.stats.misses++
	return nil, c.claim(key, stale), true
}

func (c *cache) claim(key cacheKey, stale bool) *flight {
	f := &flight{stale: stale}
	c.flights[key] = f
	return f
}

// land ends a claimed flight with an answer, or with nil. It returns the
// answer to use, which may be an older one when the new one is a failure.
func (c *cache) land(key cacheKey, f *flight, ans *answer) *answer {
	now := c.clock.Monotonic()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[key] == f { // there was no flush
		delete(c.flights, key)
		if ans != nil && c.size > 0 {
			ans = c.put(key, ans, now)
		}
	}
	f.ans = ans
	if f.done != nil {
		close(f.done)
	}
	return ans
}

func (c *cache) put(key cacheKey, ans *answer, now time.Duration) *answer {
	life := min(ans.ttl, c.maxTTL)
	if old := c.items[key]; old != nil {
		if old.ans.err == nil && rank(ans.err) > rank(ErrNoData) && now < old.expires+c.stale {
			// Only an answer replaces an answer; a failure lets it live on.
			old.retry = now + staleRetry
			if now >= old.expires {
				c.stats.stale++
			}
			return old.ans
		}
		c.remove(old)
	}
	i := &ans.item
	*i = cacheItem{key: key, ans: ans, life: life, expires: ans.asked + life, size: itemSize(key, ans)}
	if i.expires <= now || i.size > c.size {
		return ans
	}
	for c.bytes+i.size > c.size {
		c.remove(c.list.prev)
		c.stats.evicted++
	}
	i.linkAfter(&c.list)
	c.items[key] = i
	c.bytes += i.size
	return ans
}

// itemSize is what an answer takes in memory, roughly: its structures with
// their share of the maps, its texts, and its addresses, which are there once
// more when they have been sorted.
func itemSize(key cacheKey, ans *answer) int {
	const (
		fixed   = 400
		address = 24 + 88
		record  = 40
		text    = 16
	)
	n := fixed + len(key.name) + len(ans.canon) + len(ans.addrs)*address
	for _, alias := range ans.aliases {
		n += text + len(alias)
	}
	for _, rr := range ans.records {
		n += record + len(rr.text)
	}
	return n
}

// Stats are counters of a resolver since it was made, and what its cache holds.
type Stats struct {
	// Questions that lookups had, one for each type of record.
	Hits   uint64 // answered by the cache
	Misses uint64 // put to name servers
	Shared uint64 // answered by what another lookup was asking already
	Stale  uint64 // answered by a record past its end, see Config.ServeStale

	Prefetched uint64 // questions asked anew because of Config.Prefetch
	Evicted    uint64 // answers that left the cache for want of room
	Entries    int    // answers in the cache
	Bytes      int    // their size

	// What went over the wire.
	Queries  uint64 // messages sent to name servers
	TCP      uint64 // of those over TCP
	Foreign  uint64 // messages that were not the reply to the question
	Failures uint64 // queries without a usable reply
}

// Stats returns the counters.
func (r *Resolver) Stats() Stats {
	c := r.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{
		Hits: c.stats.hits, Misses: c.stats.misses, Shared: c.stats.shared, Stale: c.stats.stale,
		Prefetched: c.stats.prefetched, Evicted: c.stats.evicted, Entries: len(c.items), Bytes: c.bytes,
		Queries: r.stats.Queries.Load(), TCP: r.stats.TCP.Load(),
		Foreign: r.stats.Foreign.Load(), Failures: r.stats.Failures.Load(),
	}
}

// Flush forgets all DNS answers. Questions that are being asked go on, for
// whoever waits for them already.
func (r *Resolver) Flush() { r.cache.flush() }
