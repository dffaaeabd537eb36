package resolver

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"usersock/stack/endpoint"
	"usersock/testnet/dnszone"
)

func TestRetryAndServers(t *testing.T) {
	silent := &dnszone.Server{Intercept: func(dnszone.Query, []byte) []dnszone.Reply { return nil }}
	broken := &dnszone.Server{Intercept: func(q dnszone.Query, _ []byte) []dnszone.Reply { return send(withRcode(q.Message, 2)) }}
	good := dnszone.NewServer(mustZone(t, testZone, "example"))
	l := newLab(t, nil, silent, broken, good)
	l.want(t, "www.example", "2001:db8:1::1 192.0.2.1")
	if got := l.net.clock.Monotonic(); got != 5*time.Second {
		t.Errorf("took %v, want the 5s of one time-out", got)
	}
	want := []string{
		"udp www.example. A @192.0.2.53", "udp www.example. AAAA @192.0.2.53",
		"udp www.example. A @192.0.2.54", "udp www.example. AAAA @192.0.2.54",
		"udp www.example. A @192.0.2.55", "udp www.example. AAAA @192.0.2.55",
	}
	if got := l.net.asked(); !slices.Equal(got, want) {
		t.Errorf("asked %q", got)
	}

	l = newLab(t, func(c *Config) { c.ResolvConf += "options timeout:2 attempts:3\n" }, silent)
	_, err := l.Getaddrinfo(context.Background(), "www.example.", "80", 0, 0, 0, 0)
	var gai *Gaierror
	if !errors.As(err, &gai) || gai.Code != endpoint.EAI_AGAIN || !gai.Timeout() || !gai.Temporary() {
		t.Errorf("silent server: %v", err)
	}
	if got := l.net.clock.Monotonic(); got != 6*time.Second {
		t.Errorf("took %v, want three times 2s", got)
	}
}

func TestRotate(t *testing.T) {
	good := dnszone.NewServer(mustZone(t, testZone, "example"))
	l := newLab(t, func(c *Config) { c.ResolvConf += "options rotate\n"; c.CacheSize = -1 }, good, good)
	for range 3 {
		l.lookup("www.example")
	}
	var servers []string
	for _, q := range l.net.asked() {
		servers = append(servers, q[strings.IndexByte(q, '@'):])
	}
	a, b := "@192.0.2.53", "@192.0.2.54"
	if want := []string{a, a, b, b, a, a}; !slices.Equal(servers, want) {
		t.Errorf("asked %v", servers)
	}
}

// TestPortClosed: a server whose port is closed does not cost its time-out.
func TestPortClosed(t *testing.T) {
	l := newLab(t, func(c *Config) { c.ResolvConf = "nameserver 192.0.2.99\n" })
	_, err := l.Getaddrinfo(context.Background(), "www.example", "80", 0, 0, 0, 0)
	if !errors.Is(err, endpoint.ECONNREFUSED) || l.net.clock.Monotonic() != 0 {
		t.Errorf("%v after %v", errors.Unwrap(err), l.net.clock.Monotonic())
	}
}

func TestCancel(t *testing.T) {
	l := newLab(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	asked := make(chan struct{}, 2)
	l.cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		asked <- struct{}{}
		client, server := net.Pipe()
		go io.Copy(io.Discard, server) // takes the query and never answers
		return client, nil
	}
	l.cfg.Clock = nil // real: nothing steps the simulated one here
	r, err := New(l.cfg)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-asked
		<-asked
		cancel()
	}()
	_, err = r.Getaddrinfo(ctx, "www.example", "80", 0, 0, 0, 0)
	var gai *Gaierror
	if !errors.As(err, &gai) || gai.Code != endpoint.EAI_AGAIN || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v (%v)", err, errors.Unwrap(err))
	}
	if _, err := r.Getaddrinfo(ctx, "www.example", "80", 0, 0, 0, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
}

func TestTrace(t *testing.T) {
	var lines []string
	l := newLab(t, func(c *Config) { c.Trace = func(e Event) { lines = append(lines, e.String()) } })
	l.lookup("alias.example")
	l.lookup("nx.example.")
	want := []string{
		"asked 192.0.2.53:53 (udp) for alias.example A: www.example, 192.0.2.1",
		"asked 192.0.2.53:53 (udp) for alias.example AAAA: www.example, 2001:db8:1::1",
		"asked 192.0.2.53:53 (udp) for nx.example A: no such name",
		"asked 192.0.2.53:53 (udp) for nx.example AAAA: no such name",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got\n%s", strings.Join(lines, "\n"))
	}
}

func TestExchange(t *testing.T) {
	server := dnszone.NewServer(mustZone(t, testZone, "example"))
	l := newLab(t, func(c *Config) {
		c.Dial = nil
		c.Exchange = func(_ context.Context, query []byte) ([]byte, error) { return server.Answer(query, false), nil }
	})
	l.want(t, "www.example", "2001:db8:1::1 192.0.2.1")
}

func TestMixedFailures(t *testing.T) {
	// A fails for a time and there is no AAAA: the name may have an address.
	l := newLab(t, nil)
	l.server.Intercept = func(q dnszone.Query, honest []byte) []dnszone.Reply {
		if q.Type == "A" {
			return send(withRcode(q.Message, 2))
		}
		return send(honest)
	}
	l.want(t, "short.example.", "Temporary failure in name resolution")
	l.want(t, "www.example.", "2001:db8:1::1")
}

// TestSilentServerEndsSearch: a search list does not multiply the wait for a
// server that does not reply.
func TestSilentServerEndsSearch(t *testing.T) {
	silent := &dnszone.Server{Intercept: func(dnszone.Query, []byte) []dnszone.Reply { return nil }}
	for _, name := range []string{"host", "host.example"} {
		l := newLab(t, func(c *Config) { c.ResolvConf += "search a.example b.example\noptions timeout:1 attempts:2\n" }, silent)
		l.want(t, name, "Temporary failure in name resolution")
		if got := l.net.clock.Monotonic(); got != 2*time.Second {
			t.Errorf("%s took %v, want the 2s of one name", name, got)
		}
	}
}
