package resolver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"usersock/stack/endpoint"
	"usersock/testnet/dnszone"
)

// TestSingleFlight: callers of the same name at the same time ask once, and
// when the one who asks gives up, another takes over.
func TestSingleFlight(t *testing.T) {
	const callers = 20
	l := newLab(t, nil)
	var arrived atomic.Int32
	first := make(chan struct{})
	dial := l.cfg.Dial
	l.cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if arrived.Add(1) == 1 {
			close(first)
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return dial(ctx, network, address)
	}
	l.cfg.Clock = nil
	r, err := New(l.cfg)
	if err != nil {
		t.Fatal(err)
	}
	leader, giveUp := context.WithCancel(context.Background())
	led := make(chan error, 1)
	go func() {
		_, err := r.Getaddrinfo(leader, "www.example", "80", 0, 0, 0, 0)
		led <- err
	}()
	<-first
	var wait sync.WaitGroup
	for range callers {
		wait.Go(func() {
			infos, err := r.Getaddrinfo(context.Background(), "www.example", "80", endpoint.AF_INET, endpoint.SOCK_STREAM, 0, 0)
			if err != nil || len(infos) != 1 || infos[0].Addr.IP.String() != "192.0.2.1" {
				t.Errorf("%v, %v", infos, err)
			}
		})
	}
	giveUp()
	if err := <-led; !errors.Is(err, context.Canceled) {
		t.Errorf("leader: %v", err)
	}
	wait.Wait()
	if asked := l.net.asked(); len(asked) != 1 {
		t.Errorf("asked %q", asked)
	}
}

func TestCacheTTL(t *testing.T) {
	l := newLab(t, nil)
	asks := func(name string) int {
		t.Helper()
		l.net.asked()
		l.lookup(name)
		return len(l.net.asked())
	}
	for _, step := range []struct {
		name  string
		after time.Duration
		want  int
	}{
		{"short.example", 0, 2},
		{"SHORT.example", 0, 0},
		{"short.example", 4 * time.Second, 0},
		{"short.example", time.Second, 1}, // A has ended, NODATA of AAAA has not
		{"zero.example.", 0, 2},
		{"zero.example.", 0, 1}, // TTL 0 is not kept
		{"nx.example.", 0, 2},
		{"nx.example.", 59 * time.Second, 0},
		{"nx.example.", time.Second, 2}, // the SOA's MINIMUM, not its TTL
		{"www.example", 0, 2},
		{"alias.example", 0, 2},
		{"www.example", 300 * time.Second, 2},
	} {
		l.net.clock.advance(step.after)
		if got := asks(step.name); got != step.want {
			t.Errorf("%s after %v: %d questions, want %d", step.name, step.after, got, step.want)
		}
	}
	l.Flush()
	if got := asks("www.example"); got != 2 {
		t.Errorf("after a flush: %d questions", got)
	}
}

// TestCacheBound: the cache stays under its bytes, and what is used stays in it.
func TestCacheBound(t *testing.T) {
	const size = 8 << 10
	l := newLab(t, func(c *Config) { c.CacheSize = size })
	for i := range 100 {
		l.lookup(fmt.Sprintf("h%d.wild.example", i))
		l.lookup("www.example") // in use, so that it stays
		if s := l.Stats(); s.Bytes > size || s.Bytes < 0 {
			t.Fatalf("%d bytes after %d names", s.Bytes, i+2)
		}
	}
	s := l.Stats()
	bytes := 0
	for key, item := range l.cache.items {
		bytes += itemSize(key, item.ans)
	}
	if s.Bytes != bytes || s.Bytes < size/2 || s.Evicted == 0 || s.Entries != len(l.cache.items) {
		t.Errorf("%+v; the items have %d bytes", s, bytes)
	}
	l.net.asked()
	l.lookup("www.example")
	l.lookup("h99.wild.example")
	if asked := l.net.asked(); len(asked) != 0 {
		t.Errorf("asked again: %q", asked)
	}
	l.Flush()
	if s := l.Stats(); s.Bytes != 0 || s.Entries != 0 {
		t.Errorf("after a flush: %+v", s)
	}
}

func TestServfailCache(t *testing.T) {
	l := newLab(t, nil, &dnszone.Server{Intercept: func(q dnszone.Query, _ []byte) []dnszone.Reply {
		return send(withRcode(q.Message, 2))
	}})
	l.want(t, "www.example.", "Temporary failure in name resolution")
	n := len(l.net.asked())
	l.lookup("www.example.")
	if again := len(l.net.asked()); n != 4 || again != 0 {
		t.Errorf("%d questions, then %d", n, again)
	}
	l.net.clock.advance(servfailTTL)
	l.lookup("www.example.")
	if again := len(l.net.asked()); again != 4 {
		t.Errorf("later %d questions", again)
	}
}

func TestServeStale(t *testing.T) {
	for _, stale := range []time.Duration{0, time.Hour} {
		l := newLab(t, func(c *Config) { c.ServeStale = stale })
		down := false
		l.server.Intercept = func(q dnszone.Query, honest []byte) []dnszone.Reply {
			if down {
				return nil
			}
			return send(honest)
		}
		l.want(t, "www.example", "2001:db8:1::1 192.0.2.1")
		down = true
		l.net.clock.advance(301 * time.Second)
		want := "Temporary failure in name resolution"
		if stale > 0 {
			want = "2001:db8:1::1 192.0.2.1"
		}
		l.want(t, "www.example", want)
		if stale > 0 {
			l.net.asked()
			l.want(t, "www.example", want)
			if asked := l.net.asked(); len(asked) > 0 {
				t.Errorf("stale answer asks again at once: %q", asked)
			}
			l.net.clock.advance(2 * time.Hour)
			l.want(t, "www.example", "Temporary failure in name resolution")
		}
	}
}

// TestStaleEnds: failures do not lengthen the time in which an answer past its
// end may be used, and a lookup waits 1.8 seconds for a better one.
func TestStaleEnds(t *testing.T) {
	l := newLab(t, func(c *Config) { c.ServeStale = time.Hour })
	l.want(t, "short.example.", "192.0.2.2")
	l.server.Intercept = func(dnszone.Query, []byte) []dnszone.Reply { return nil }
	l.net.clock.advance(5 * time.Second)
	end := l.net.clock.Monotonic() + time.Hour
	for i := 0; ; i++ {
		began := l.net.clock.Monotonic()
		got := l.lookup("short.example.")
		took := l.net.clock.Monotonic() - began
		if began >= end {
			if got == "192.0.2.2" {
				t.Errorf("used %v after the end", began-end)
			}
			break
		}
		if got != "192.0.2.2" {
			t.Fatalf("%v before the end: %s", end-began, got)
		}
		if want := staleWait; i == 0 && took != want || took > want {
			t.Errorf("lookup %d took %v", i, took)
		}
		l.net.clock.advance(7 * time.Minute)
	}
	if s := l.Stats(); s.Stale == 0 {
		t.Errorf("%+v", s)
	}
}

// TestPrefetch: a use in the last tenth of an answer's life lets it be asked for
// anew, once and beside the lookup.
func TestPrefetch(t *testing.T) {
	l := newLab(t, func(c *Config) { c.Prefetch = true })
	lookup := func(asked int) {
		t.Helper()
		l.net.asked()
		if _, err := l.LookupNetIP(context.Background(), "ip4", "www.example."); err != nil {
			t.Error(err)
		}
		l.background.Wait()
		if got := l.net.asked(); len(got) != asked {
			t.Errorf("at %v asked %q, want %d", l.net.clock.Monotonic(), got, asked)
		}
	}
	lookup(1)
	l.net.clock.advance(269 * time.Second)
	lookup(0)
	l.net.clock.advance(time.Second)
	lookup(1)
	lookup(0)
	l.net.clock.advance(250 * time.Second) // the first answer would have ended
	lookup(0)
	if s := l.Stats(); s.Prefetched != 1 || s.Misses != 1 || s.Hits != 4 {
		t.Errorf("%+v", s)
	}
	// One that fails leaves the answer alone and is not repeated at once.
	l.server.Intercept = func(q dnszone.Query, _ []byte) []dnszone.Reply { return send(withRcode(q.Message, 2)) }
	l.net.clock.advance(25 * time.Second)
	lookup(2) // both attempts
	lookup(0)
	l.Close()
	l.net.clock.advance(4 * time.Second)
	lookup(0)
}

// TestTTLCountsFromTheQuestion: an answer that waited for another one is not
// kept for longer because of that.
func TestTTLCountsFromTheQuestion(t *testing.T) {
	l := newLab(t, nil)
	l.server.Intercept = func(q dnszone.Query, honest []byte) []dnszone.Reply {
		if q.Type == "AAAA" {
			return []dnszone.Reply{{Message: honest, After: 4 * time.Second}}
		}
		return send(honest)
	}
	l.server.AfterFunc = func(d time.Duration, f func()) func() bool { return l.net.clock.AfterFunc(d, f).Stop }
	l.want(t, "short.example.", "192.0.2.2") // TTL 5, and 4 of them are over
	l.net.clock.advance(999 * time.Millisecond)
	l.net.asked()
	l.lookup("short.example.")
	if asked := l.net.asked(); len(asked) != 0 {
		t.Errorf("asked %q within the TTL", asked)
	}
	l.net.clock.advance(time.Millisecond)
	l.lookup("short.example.")
	if asked := l.net.asked(); len(asked) != 1 {
		t.Errorf("asked %q past the TTL", asked)
	}
}

// TestTTLAlongTheSearchList: a lookup that has waited for one name of the list
// does not take the next one from the past.
func TestTTLAlongTheSearchList(t *testing.T) {
	l := newLab(t, func(c *Config) { c.ResolvConf += "search slow example\noptions timeout:9\n" })
	l.server.Intercept = func(q dnszone.Query, honest []byte) []dnszone.Reply {
		if strings.HasSuffix(q.Name, "slow.") {
			return []dnszone.Reply{{Message: withRcode(q.Message, 3), After: 6 * time.Second}}
		}
		return send(honest)
	}
	l.server.AfterFunc = func(d time.Duration, f func()) func() bool { return l.net.clock.AfterFunc(d, f).Stop }
	l.want(t, "short.example.", "192.0.2.2") // TTL 5
	l.net.asked()
	l.want(t, "short", "192.0.2.2")
	if asked := l.net.asked(); !slices.Contains(asked, "udp short.example. A @192.0.2.53") {
		t.Errorf("asked %q: an answer past its TTL was used", asked)
	}
}

// TestFlushDuringFlight: what was asked before a flush does not come into the
// cache after it, and whoever comes after it asks anew.
func TestFlushDuringFlight(t *testing.T) {
	l := newLab(t, nil)
	flushed := false
	l.server.Intercept = func(q dnszone.Query, honest []byte) []dnszone.Reply {
		if !flushed {
			flushed = true
			l.Flush()
		}
		return send(honest)
	}
	lookup := func() {
		if _, err := l.LookupNetIP(context.Background(), "ip4", "www.example."); err != nil {
			t.Error(err)
		}
	}
	lookup()
	if s := l.Stats(); s.Entries != 0 || len(l.cache.flights) != 0 {
		t.Errorf("%+v, %d flights", s, len(l.cache.flights))
	}
	lookup()
	if asked := l.net.asked(); len(asked) != 2 {
		t.Errorf("asked %q", asked)
	}
}

// TestManyCallersOneQuery: 64 callers of one name make one query, and none fails
// because another gives up.
func TestManyCallersOneQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(c *Config) { c.Clock = nil })
		release := make(chan struct{})
		l.net.onOp = func(n int) {
			if n == 1 {
				<-release
			}
		}
		const callers = 64
		var wait sync.WaitGroup
		for i := range callers {
			ctx, cancel := context.WithCancel(context.Background())
			wait.Go(func() {
				defer cancel()
				ips, err := l.LookupNetIP(ctx, "ip4", "www.example.")
				if gaveUp := i > 0 && i%4 == 0; gaveUp && !errors.Is(err, context.Canceled) || !gaveUp && (err != nil || len(ips) != 1) {
					t.Errorf("caller %d: %v, %v", i, ips, err)
				}
			})
			synctest.Wait() // the first one leads
			if i > 0 && i%4 == 0 {
				cancel()
			}
		}
		synctest.Wait()
		close(release)
		wait.Wait()
		if asked := l.net.asked(); len(asked) != 1 {
			t.Errorf("asked %q", asked)
		}
		if s := l.Stats(); s.Misses != 1 || s.Shared != callers-1 || len(l.cache.flights) != 0 {
			t.Errorf("%+v, %d flights", s, len(l.cache.flights))
		}
		l.Close()
	})
}

// TestCancelAnywhere cancels lookups before any dial, query or wait that they
// make, a thousand times: no goroutine, socket or flight is left, and the next
// lookup works.
func TestCancelAnywhere(t *testing.T) {
	rounds := 1000
	if testing.Short() {
		rounds = 100
	}
	synctest.Test(t, func(t *testing.T) { // which finds goroutines that are left
		l := newLab(t, func(c *Config) {
			c.CacheSize = -1
			c.Prefetch = true
			c.ResolvConf += "nameserver 192.0.2.54\nsearch a.example b.example\noptions timeout:1\n"
		})
		l.server.Intercept = func(q dnszone.Query, honest []byte) []dnszone.Reply {
			switch {
			case strings.HasPrefix(q.Name, "silent"):
				return nil
			case q.UDP && strings.HasPrefix(q.Name, "tcp"):
				honest[2] |= 2
			case q.UDP && strings.HasPrefix(q.Name, "forged"):
				bad := withRcode(q.Message, 0)
				bad[0] ^= 1
				return send(bad, bad, bad)
			}
			return send(honest)
		}
		names := []string{"www.example", "silent.wild.example", "tcp.wild.example", "forged.wild.example", "nx", "www.example."}
		random := rand.New(rand.NewPCG(1, 2))
		cancelled := 0
		for round := range rounds {
			ctx, cancel := context.WithCancel(context.Background())
			at := 1 + random.IntN(30)
			l.net.mu.Lock()
			l.net.ops = 0
			l.net.onOp = func(n int) {
				if n == at {
					cancel()
				}
			}
			l.net.mu.Unlock()
			var wait sync.WaitGroup
			for range 1 + random.IntN(3) {
				name := names[random.IntN(len(names))]
				wait.Go(func() {
					_, err := l.Getaddrinfo(ctx, name, "80", 0, endpoint.SOCK_STREAM, 0, 0)
					if ctx.Err() != nil && err != nil && !errors.Is(err, context.Canceled) {
						var gai *Gaierror
						if !errors.As(err, &gai) {
							t.Errorf("round %d: %v", round, err)
						}
					}
				})
			}
			wait.Wait()
			if ctx.Err() != nil {
				cancelled++
			}
			cancel()
			l.net.mu.Lock()
			l.net.onOp = nil
			open := l.net.open
			l.net.mu.Unlock()
			if n := len(l.cache.flights); n != 0 {
				t.Fatalf("round %d: %d flights", round, n)
			}
			if open > 1 { // the kept connection
				t.Fatalf("round %d: %d sockets", round, open)
			}
			if round%50 == 0 {
				l.want(t, "www.example.", "2001:db8:1::1 192.0.2.1")
			}
		}
		if cancelled < rounds/4 {
			t.Errorf("only %d of %d rounds were cancelled in time", cancelled, rounds)
		}
		l.Close()
		if l.net.open != 0 {
			t.Errorf("%d sockets", l.net.open)
		}
	})
}
