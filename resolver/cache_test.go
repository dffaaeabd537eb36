package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
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
	l.FlushCache()
	if got := asks("www.example"); got != 2 {
		t.Errorf("after a flush: %d questions", got)
	}
}

func TestCacheBound(t *testing.T) {
	l := newLab(t, func(c *Config) { c.CacheSize = 4 })
	for i := range 10 {
		l.lookup(fmt.Sprintf("h%d.wild.example", i))
		l.lookup("www.example") // in use, so that it stays
	}
	if n := len(l.cache.items); n != 4 {
		t.Errorf("%d items", n)
	}
	l.net.asked()
	l.lookup("www.example")
	l.lookup("h9.wild.example")
	if asked := l.net.asked(); len(asked) != 0 {
		t.Errorf("asked again: %q", asked)
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
