package dot

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usersock/resolver"
	"usersock/resolver/internal/stream"
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

// serve starts a server on the loopback of this machine's kernel, with a
// certificate for example.com.
func serve(t *testing.T) (addr netip.AddrPort, roots *x509.CertPool, listener net.Listener) {
	t.Helper()
	https := httptest.NewTLSServer(nil)
	t.Cleanup(https.Close)
	roots = x509.NewCertPool()
	roots.AddCert(https.Certificate())
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener = tls.NewListener(inner, &tls.Config{Certificates: https.TLS.Certificates, NextProtos: []string{"dot"}})
	zone, err := dnszone.Parse("@ SOA a b 1 2 3 4 60\nwww A 192.0.2.1\n", "test")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- dnszone.NewServer(zone).ServeListener(listener) }()
	t.Cleanup(func() {
		listener.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return inner.Addr().(*net.TCPAddr).AddrPort(), roots, listener
}

func TestResolver(t *testing.T) {
	addr, roots, _ := serve(t)
	var dials atomic.Int32
	cfg := Config{
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			dials.Add(1)
			return new(net.Dialer).DialContext(ctx, network, address)
		},
		Servers: []netip.AddrPort{addr}, ServerName: "example.com", RootCAs: roots,
	}
	lookup := func(cfg Config) error {
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
		for range 3 {
			ip, err := r.Gethostbyname(context.Background(), "www.test")
			if err != nil {
				return err
			}
			if ip.String() != "192.0.2.1" {
				t.Errorf("www.test is %v", ip)
			}
		}
		return nil
	}
	if err := lookup(cfg); err != nil || dials.Load() != 1 {
		t.Errorf("%v after %d dials, want one", err, dials.Load())
	}
	other := cfg
	other.ServerName = "elsewhere.test"
	var name x509.HostnameError
	if err := lookup(other); !errors.As(err, &name) {
		t.Errorf("another name: %v", errors.Unwrap(err))
	}
	late := cfg
	late.Clock = laterClock{endpoint.SystemClock(), 200 * 365 * 24 * time.Hour}
	var invalid x509.CertificateInvalidError
	if err := lookup(late); !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		t.Errorf("at a later time: %v", errors.Unwrap(err))
	}
	strangers := cfg
	strangers.RootCAs = x509.NewCertPool()
	var unknown x509.UnknownAuthorityError
	if err := lookup(strangers); !errors.As(err, &unknown) {
		t.Errorf("without the authority: %v", errors.Unwrap(err))
	}
	second := cfg
	second.Servers = []netip.AddrPort{netip.AddrPortFrom(addr.Addr(), 1), addr}
	if err := lookup(second); err != nil {
		t.Errorf("second server: %v", errors.Unwrap(err))
	}
}

// TestClosedWhileIdle: a kept connection that the server has closed is
// replaced without an error.
func TestClosedWhileIdle(t *testing.T) {
	addr, roots, _ := serve(t)
	var last net.Conn
	c, err := New(Config{
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			last = conn
			return conn, err
		},
		Servers: []netip.AddrPort{addr}, ServerName: "example.com", RootCAs: roots,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	query := []byte(question)
	for range 3 {
		if reply, err := c.Exchange(context.Background(), query); err != nil || !strings.Contains(string(reply), "\xc0\x00\x02\x01") {
			t.Errorf("% x, %v", reply, err)
		}
		last.Close()
	}
}

// TestPins: a server is known by its key, with a certificate by an authority or
// without.
func TestPins(t *testing.T) {
	addr, roots, _ := serve(t)
	leaf, err := tls.Dial("tcp", addr.String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	key := sha256.Sum256(leaf.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
	leaf.Close()
	other := key
	other[0]++
	for _, c := range []struct {
		what string
		cfg  Config
		want any // a type of error, ErrPin or nil
	}{
		{"the key", Config{Pins: [][32]byte{other, key}}, nil},
		{"another key", Config{Pins: [][32]byte{other}}, ErrPin},
		{"the key and the authority", Config{Pins: [][32]byte{key}, RootCAs: roots, ServerName: "example.com"}, nil},
		{"the key and another name", Config{Pins: [][32]byte{key}, RootCAs: roots, ServerName: "elsewhere.test"}, new(x509.HostnameError)},
		{"another key and the authority", Config{Pins: [][32]byte{other}, RootCAs: roots, ServerName: "example.com"}, ErrPin},
		{"opportunistic", Config{Opportunistic: true, Pins: [][32]byte{other}}, nil},
	} {
		c.cfg.Dial = new(net.Dialer).DialContext
		c.cfg.Servers = []netip.AddrPort{addr}
		client, err := New(c.cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Exchange(context.Background(), []byte(question))
		switch want := c.want.(type) {
		case nil:
			if err != nil {
				t.Errorf("%s: %v", c.what, err)
			}
		case error:
			if !errors.Is(err, want) && !errors.As(err, c.want) {
				t.Errorf("%s: %v", c.what, err)
			}
		}
		client.Close()
	}
}

// TestFallback: only who asked for it gets back to plain DNS.
func TestFallback(t *testing.T) {
	used := 0
	cfg := Config{
		Dial:    func(context.Context, string, string) (net.Conn, error) { return nil, endpoint.ECONNREFUSED },
		Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:0")}, Opportunistic: true,
	}
	for _, with := range []bool{false, true} {
		if with {
			cfg.Fallback = func(context.Context, []byte) ([]byte, error) { used++; return nil, nil }
		}
		c, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Exchange(context.Background(), []byte(question)); (err == nil) != with || (used > 0) != with {
			t.Errorf("with a way back %v: %v", with, err)
		}
		c.Close()
	}
	cfg.Opportunistic, cfg.RootCAs = false, x509.NewCertPool()
	if _, err := New(cfg); err == nil {
		t.Error("a strict client has a way back")
	}
}

// TestPipelined: many queries wait on one connection at the same time.
func TestPipelined(t *testing.T) {
	addr, roots, _ := serve(t)
	var dials atomic.Int32
	c, err := New(Config{
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			dials.Add(1)
			return new(net.Dialer).DialContext(ctx, network, address)
		},
		Servers: []netip.AddrPort{addr}, ServerName: "example.com", RootCAs: roots,
	})
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 64 {
		wait.Go(func() {
			// All of them have one ID, and each gets it back.
			reply, err := c.Exchange(context.Background(), []byte(question))
			if err != nil || reply[0] != 0 || reply[1] != 7 {
				t.Errorf("% x, %v", reply, err)
			}
		})
	}
	wait.Wait()
	if n := dials.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	c.Close()
	if _, err := c.Exchange(context.Background(), []byte(question)); !errors.Is(err, stream.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestCancel: a server that never answers is left when the context ends.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	c, err := New(Config{
		Dial: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go func() {
				server.Read(make([]byte, 1)) // the handshake has begun
				cancel()
				io.Copy(io.Discard, server)
			}()
			return client, nil
		},
		Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:0")}, RootCAs: x509.NewCertPool(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exchange(ctx, []byte(question)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestConfig(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("an empty Config works")
	}
	dial := func(context.Context, string, string) (net.Conn, error) { return nil, nil }
	server := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:0")}
	if _, err := New(Config{Dial: dial, Servers: server}); err == nil || !strings.Contains(err.Error(), "RootCAs") {
		t.Errorf("without RootCAs: %v", err)
	}
	c, err := New(Config{Dial: dial, Servers: server, RootCAs: x509.NewCertPool()})
	if err != nil || c.cfg.Servers[0].Port() != Port {
		t.Errorf("%v", err)
	}
}
