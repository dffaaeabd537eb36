package doh

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"usersock/resolver"
	"usersock/stack/endpoint"
	"usersock/testnet/dnszone"
)

// laterClock is the machine's clock, moved.
type laterClock struct {
	endpoint.Clock
	by time.Duration
}

func (c laterClock) Now() time.Time { return c.Clock.Now().Add(c.by) }

const question = "\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x04test\x00\x00\x01\x00\x01"

func serve(t *testing.T, http2 bool, handler http.HandlerFunc) Config {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = http2
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return Config{
		Dial:    new(net.Dialer).DialContext,
		URL:     "https://example.com/dns-query",
		Servers: []netip.AddrPort{server.Listener.Addr().(*net.TCPAddr).AddrPort()},
		RootCAs: roots,
	}
}

// answer is a handler that answers from a zone.
func answer(t *testing.T, proto string) http.HandlerFunc {
	zone, err := dnszone.Parse("@ SOA a b 1 2 3 4 60\nwww A 192.0.2.1\n", "test")
	if err != nil {
		t.Fatal(err)
	}
	dns := dnszone.NewServer(zone)
	return func(w http.ResponseWriter, r *http.Request) {
		query, err := io.ReadAll(r.Body)
		contentType := mediaType
		if r.Method == "GET" {
			query, err = base64.RawURLEncoding.DecodeString(r.URL.Query().Get("dns"))
			contentType = ""
		}
		if err != nil || r.URL.Path != "/dns-query" || r.Host != "example.com" ||
			r.Header.Get("Content-Type") != contentType || r.Header.Get("Accept") != mediaType || r.Proto != proto || query[0] != 0 || query[1] != 0 {
			t.Errorf("%s %s %s %v, % x, %v", r.Proto, r.Method, r.URL, r.Header, query, err)
		}
		w.Header().Set("Content-Type", mediaType)
		w.Write(dns.Answer(query, false))
	}
}

func lookup(t *testing.T, cfg Config) (string, error) {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, err := resolver.New(resolver.Config{Exchange: c.Exchange, CacheSize: -1, ResolvConf: "options attempts:1\n"})
	if err != nil {
		t.Fatal(err)
	}
	var ip netip.Addr
	for range 3 {
		if ip, err = r.Gethostbyname(context.Background(), "www.test"); err != nil {
			return "", err
		}
	}
	return ip.String(), nil
}

func TestResolver(t *testing.T) {
	for _, kind := range []struct{ http2, get bool }{{true, false}, {false, false}, {true, true}, {false, true}} {
		http2 := kind.http2
		proto := "HTTP/1.1"
		if http2 {
			proto = "HTTP/2.0"
		}
		methods := map[string]int{}
		next := answer(t, proto)
		cfg := serve(t, http2, func(w http.ResponseWriter, r *http.Request) {
			methods[r.Method]++
			next(w, r)
		})
		cfg.Get = kind.get
		if kind.get {
			cfg.URL += "{?dns}"
		}
		var dials atomic.Int32
		cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			dials.Add(1)
			return new(net.Dialer).DialContext(ctx, network, address)
		}
		if ip, err := lookup(t, cfg); ip != "192.0.2.1" || err != nil || dials.Load() != 1 {
			t.Errorf("%s: %s, %v after %d dials", proto, ip, err, dials.Load())
		}
		want := map[string]int{"POST": 3}
		if kind.get {
			want = map[string]int{"GET": 3}
		}
		if !maps.Equal(methods, want) {
			t.Errorf("methods %v, want %v", methods, want)
		}
	}
}

func TestCertificates(t *testing.T) {
	cfg := serve(t, true, answer(t, "HTTP/2.0"))
	other := cfg
	other.URL = "https://elsewhere.test/dns-query"
	var name x509.HostnameError
	if _, err := lookup(t, other); !errors.As(err, &name) {
		t.Errorf("another name: %v", errors.Unwrap(err))
	}
	late := cfg
	late.Clock = laterClock{endpoint.SystemClock(), 200 * 365 * 24 * time.Hour}
	var invalid x509.CertificateInvalidError
	if _, err := lookup(t, late); !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		t.Errorf("at a later time: %v", errors.Unwrap(err))
	}
	second := cfg
	second.Servers = []netip.AddrPort{netip.AddrPortFrom(cfg.Servers[0].Addr(), 1), cfg.Servers[0]}
	if ip, err := lookup(t, second); ip != "192.0.2.1" {
		t.Errorf("second server: %s, %v", ip, err)
	}
}

// TestAge: what a cache on the way kept is older by that (RFC 8484, section 5.1).
func TestAge(t *testing.T) {
	zone, err := dnszone.Parse("@ SOA a b 1 2 3 4 60\nwww 100 A 192.0.2.1\nwww 20 A 192.0.2.2\n", "test")
	if err != nil {
		t.Fatal(err)
	}
	dns := dnszone.NewServer(zone)
	cfg := serve(t, true, func(w http.ResponseWriter, r *http.Request) {
		query, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", mediaType)
		w.Header().Set("Age", "30")
		w.Write(dns.Answer(query, false))
	})
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	reply, err := c.Exchange(context.Background(), []byte(question))
	if err != nil {
		t.Fatal(err)
	}
	var m dnsmessage.Message
	if err := m.Unpack(reply); err != nil {
		t.Fatal(err)
	}
	var ttls []uint32
	for _, rr := range m.Answers {
		ttls = append(ttls, rr.Header.TTL)
	}
	slices.Sort(ttls)
	if !slices.Equal(ttls, []uint32{0, 70}) {
		t.Errorf("TTLs %v, want 0 and 70", ttls)
	}
}

// FuzzGrow: no message makes it panic, and none is made longer lived.
func FuzzGrow(f *testing.F) {
	f.Add([]byte(question), uint32(3))
	f.Add([]byte("\x00\x07\x81\x80\x00\x00\x00\x01\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x09\x00\x01x"), uint32(3))
	f.Fuzz(func(t *testing.T, msg []byte, seconds uint32) {
		var before, after dnsmessage.Message
		first := before.Unpack(msg)
		if grow(msg, seconds) != nil || first != nil {
			return
		}
		if err := after.Unpack(msg); err != nil {
			t.Fatalf("cannot be read any more: %v", err)
		}
		for i, rr := range after.Answers {
			if rr.Header.Type != dnsmessage.TypeOPT && rr.Header.TTL != before.Answers[i].Header.TTL-min(before.Answers[i].Header.TTL, seconds) {
				t.Fatalf("TTL %d of %d after %d", rr.Header.TTL, before.Answers[i].Header.TTL, seconds)
			}
		}
	})
}

// TestIdle: connections are closed when the clock says that they were idle.
func TestIdle(t *testing.T) {
	cfg := serve(t, true, answer(t, "HTTP/2.0"))
	clock := &handClock{Clock: endpoint.SystemClock()}
	cfg.Clock = clock
	closed := make(chan struct{}, 1)
	dial := cfg.Dial
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return closeTeller{conn, closed}, err
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 {
		if _, err := c.Exchange(context.Background(), []byte(question)); err != nil {
			t.Fatal(err)
		}
		clock.fire()
		<-closed
	}
}

// handClock runs its last timer when it is told to.
type handClock struct {
	endpoint.Clock
	mu sync.Mutex
	f  func()
}

func (c *handClock) AfterFunc(_ time.Duration, f func()) endpoint.Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.f = f
	return handTimer{}
}

func (c *handClock) fire() {
	c.mu.Lock()
	f := c.f
	c.mu.Unlock()
	f()
}

type handTimer struct{}

func (handTimer) Stop() bool          { return true }
func (handTimer) Reset(time.Duration) {}

// closeTeller tells when it is closed.
type closeTeller struct {
	net.Conn
	closed chan struct{}
}

func (c closeTeller) Close() error {
	select {
	case c.closed <- struct{}{}:
	default:
	}
	return c.Conn.Close()
}

func TestBadReplies(t *testing.T) {
	for want, handler := range map[string]http.HandlerFunc{
		"says 404": http.NotFound,
		"says 302": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"of type":  func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) },
		"has 65536 bytes": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			w.Write(make([]byte, 1<<17))
		},
		"another ID": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			w.Write([]byte{0, 1, 0x80, 0})
		},
		"has 0 bytes": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", mediaType) },
	} {
		c, err := New(serve(t, true, handler))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Exchange(context.Background(), []byte(question)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		c.Close()
	}
}

// TestEndlessReply: a server that would send 4 GB is cut off.
func TestEndlessReply(t *testing.T) {
	for _, http2 := range []bool{true, false} {
		var sent atomic.Int64
		ended := make(chan struct{})
		cfg := serve(t, http2, func(w http.ResponseWriter, _ *http.Request) {
			defer close(ended)
			w.Header().Set("Content-Type", mediaType)
			block := make([]byte, 1<<16)
			for sent.Load() < 4<<30 {
				n, err := w.Write(block)
				sent.Add(int64(n))
				if err != nil {
					return
				}
			}
		})
		c, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Exchange(context.Background(), []byte(question)); err == nil || !strings.Contains(err.Error(), "has 65536 bytes") {
			t.Errorf("%v", err)
		}
		c.Close()
		<-ended
		if n := sent.Load(); n > 64<<20 {
			t.Errorf("HTTP/2 %v: took %d bytes", http2, n)
		}
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cfg := serve(t, true, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Exchange(ctx, []byte(question)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestConfig(t *testing.T) {
	good := Config{
		Dial: new(net.Dialer).DialContext, URL: "https://dns.example:8443/q",
		Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:0")}, RootCAs: x509.NewCertPool(),
	}
	c, err := New(good)
	if err != nil || c.cfg.Servers[0].Port() != 8443 {
		t.Errorf("%v", err)
	}
	for what, change := range map[string]func(*Config){
		"Dial": func(c *Config) { c.Dial = nil }, "URL": func(c *Config) { c.URL = "http://dns.example/" },
		"Servers": func(c *Config) { c.Servers = nil }, "RootCAs": func(c *Config) { c.RootCAs = nil },
	} {
		cfg := good
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("without %s: %v", what, err)
		}
	}
}
