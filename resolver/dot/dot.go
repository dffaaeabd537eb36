// Package dot carries DNS over TLS, RFC 7858, for a resolver: the method
// [Client.Exchange] goes into resolver.Config.Exchange.
//
// The client dials with the Dial function it is given; time-outs and the
// validity of certificates go by the clock it is given. Each server has one
// connection at a time, on which queries are pipelined and which is kept for
// further ones until it was idle for ten seconds.
//
// Who the server is decides the Config: its name, certified by RootCAs; or a
// key of its own (Pins); or, with Opportunistic, nobody checks. Only then is
// there a way back to plain DNS, and only if Fallback is set.
package dot

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"usersock/resolver/internal/stream"
	"usersock/stack/endpoint"
)

// Port is the port of DNS over TLS.
const Port = 853

// idle is how long a connection is kept for further queries.
const idle = 10 * time.Second

// Config is what a Client works with.
type Config struct {
	// Dial opens a connection; network is always "tcp". It must return when
	// ctx is done.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Servers are tried in order. Port 0 means 853.
	Servers []netip.AddrPort

	// ServerName is the name in the servers' certificates; "" means that they
	// are issued for the server's address.
	ServerName string

	// RootCAs are the authorities that are trusted. There is no default,
	// because that would be the machine's own.
	RootCAs *x509.CertPool

	// Pins are SHA-256 hashes of the servers' public keys
	// (SubjectPublicKeyInfo), RFC 7858, section 4.2. A server must have one of
	// them, besides a certificate by RootCAs if those are set.
	Pins [][sha256.Size]byte

	// Opportunistic takes any certificate (RFC 7858, section 4.1): that keeps
	// listeners out, not a forger in between. RootCAs and Pins are not used.
	Opportunistic bool

	// Fallback, with Opportunistic, carries a query that no server could be
	// asked over TLS, such as the Exchange method of another resolver.
	Fallback func(ctx context.Context, query []byte) ([]byte, error)

	// Clock gives the time at which certificates must be valid, and the timers
	// of idle connections. Unset, the machine's.
	Clock endpoint.Clock
}

// Client asks servers over TLS. Its methods may be called from any goroutine.
type Client struct {
	cfg     Config
	streams []*stream.Client // one a server
	first   atomic.Uint32    // the server that answered last
}

// New returns a client for cfg. Dial and Servers are needed, and one of RootCAs,
// Pins and Opportunistic.
func New(cfg Config) (*Client, error) {
	switch {
	case cfg.Dial == nil:
		return nil, errors.New("dot: Config.Dial is not set")
	case len(cfg.Servers) == 0:
		return nil, errors.New("dot: Config.Servers is empty")
	case cfg.RootCAs == nil && len(cfg.Pins) == 0 && !cfg.Opportunistic:
		return nil, errors.New("dot: none of Config.RootCAs, Pins and Opportunistic is set")
	case cfg.Fallback != nil && !cfg.Opportunistic:
		return nil, errors.New("dot: Config.Fallback is for Opportunistic alone")
	}
	if cfg.Clock == nil {
		cfg.Clock = endpoint.SystemClock()
	}
	cfg.Servers = slices.Clone(cfg.Servers)
	c := &Client{cfg: cfg}
	for i, s := range cfg.Servers {
		if !s.Addr().IsValid() {
			return nil, fmt.Errorf("dot: Config.Servers[%d] is no address", i)
		}
		if s.Port() == 0 {
			s = netip.AddrPortFrom(s.Addr(), Port)
			cfg.Servers[i] = s
		}
		c.streams = append(c.streams, stream.New(stream.Config{
			Dial:  func(ctx context.Context) (net.Conn, error) { return c.dial(ctx, s) },
			Clock: cfg.Clock,
			Idle:  idle,
		}))
	}
	return c, nil
}

// Exchange sends one DNS message and returns the reply. It begins with the
// server that answered last; one that failed comes last the next time.
func (c *Client) Exchange(ctx context.Context, query []byte) ([]byte, error) {
	var failures []error
	n := uint32(len(c.streams))
	first := c.first.Load()
	for i := range n {
		at := (first + i) % n
		reply, err := c.streams[at].Exchange(ctx, query)
		if err == nil {
			c.first.Store(at)
			return reply, nil
		}
		failures = append(failures, fmt.Errorf("DNS over TLS with %v: %w", c.cfg.Servers[at], err))
		if ctx.Err() != nil {
			// Whoever comes next, or this caller again, begins elsewhere.
			c.first.CompareAndSwap(first, (at+1)%n)
			return nil, errors.Join(failures...)
		}
	}
	if c.cfg.Fallback != nil {
		return c.cfg.Fallback(ctx, query)
	}
	return nil, errors.Join(failures...)
}

func (c *Client) dial(ctx context.Context, server netip.AddrPort) (net.Conn, error) {
	raw, err := c.cfg.Dial(ctx, "tcp", server.String())
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, c.tlsConfig(server))
	if err := handshake(ctx, conn, raw); err != nil {
		raw.Close()
		return nil, err
	}
	return conn, nil
}

func (c *Client) tlsConfig(server netip.AddrPort) *tls.Config {
	name := c.cfg.ServerName
	if name == "" {
		name = server.Addr().WithZone("").String()
	}
	cfg := &tls.Config{
		RootCAs: c.cfg.RootCAs, ServerName: name, Time: c.cfg.Clock.Now,
		NextProtos: []string{"dot"}, MinVersion: tls.VersionTLS12,
	}
	if c.cfg.Opportunistic {
		cfg.InsecureSkipVerify = true
		return cfg
	}
	if len(c.cfg.Pins) > 0 {
		cfg.InsecureSkipVerify = c.cfg.RootCAs == nil // the pin alone says who it is
		cfg.VerifyConnection = c.checkPin
	}
	return cfg
}

// ErrPin says that a server has none of the keys of Config.Pins.
var ErrPin = errors.New("the server's key is none of those that are pinned")

func (c *Client) checkPin(state tls.ConnectionState) error {
	leaf := state.PeerCertificates[0] // crypto/tls lets no server have none
	if slices.Contains(c.cfg.Pins, sha256.Sum256(leaf.RawSubjectPublicKeyInfo)) {
		return nil
	}
	return ErrPin
}

// handshake ends with ctx: the deadline in the past wakes it.
func handshake(ctx context.Context, conn *tls.Conn, raw net.Conn) error {
	woken := make(chan struct{})
	unwatch := context.AfterFunc(ctx, func() {
		raw.SetDeadline(time.Unix(1, 0)) // in the past by any clock
		close(woken)
	})
	err := conn.HandshakeContext(ctx)
	if !unwatch() {
		<-woken
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause // the deadline may be set
	}
	return err
}

// Close closes the connections, and returns when nothing of the client runs any
// more. Exchange fails from then on.
func (c *Client) Close() error {
	for _, s := range c.streams {
		s.Close()
	}
	return nil
}
