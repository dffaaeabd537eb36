// Package dot carries DNS over TLS, RFC 7858, for a resolver: the method
// [Client.Exchange] goes into resolver.Config.Exchange.
//
// The client dials with the Dial function it is given and checks certificates
// at the time of the clock it is given. It sets no timers: the context of each
// call ends it. Connections are kept for further queries; one that the server
// has closed meanwhile is replaced. It does not fall back to plain DNS.
package dot

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"usersock/stack/endpoint"
)

// Port is the port of DNS over TLS.
const Port = 853

// maxIdle is the number of connections that wait for further queries: one
// lookup asks two questions at a time.
const maxIdle = 2

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

	// Clock gives the time at which certificates must be valid. Unset, the
	// machine's.
	Clock endpoint.Clock
}

// Client asks servers over TLS. Its methods may be called from any goroutine.
type Client struct {
	cfg Config

	mu     sync.Mutex
	closed bool
	idle   []net.Conn // the last used one last
}

// New returns a client for cfg. Dial, Servers and RootCAs are needed.
func New(cfg Config) (*Client, error) {
	switch {
	case cfg.Dial == nil:
		return nil, errors.New("dot: Config.Dial is not set")
	case len(cfg.Servers) == 0:
		return nil, errors.New("dot: Config.Servers is empty")
	case cfg.RootCAs == nil:
		return nil, errors.New("dot: Config.RootCAs is not set")
	}
	servers := make([]netip.AddrPort, len(cfg.Servers))
	for i, s := range cfg.Servers {
		if !s.Addr().IsValid() {
			return nil, fmt.Errorf("dot: Config.Servers[%d] is no address", i)
		}
		if s.Port() == 0 {
			s = netip.AddrPortFrom(s.Addr(), Port)
		}
		servers[i] = s
	}
	cfg.Servers = servers
	if cfg.Clock == nil {
		cfg.Clock = endpoint.SystemClock()
	}
	return &Client{cfg: cfg}, nil
}

// Exchange sends one DNS message and returns the reply.
func (c *Client) Exchange(ctx context.Context, query []byte) ([]byte, error) {
	if conn := c.take(); conn != nil {
		if reply, err := c.over(ctx, conn, query); err == nil || ctx.Err() != nil {
			return reply, err
		}
		// The server may have closed it while it was idle (RFC 7858, 3.4).
	}
	var failures []error
	for _, server := range c.cfg.Servers {
		conn, err := c.dial(ctx, server)
		if err == nil {
			var reply []byte
			if reply, err = c.over(ctx, conn, query); err == nil {
				return reply, nil
			}
		}
		failures = append(failures, fmt.Errorf("DNS over TLS with %v: %w", server, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(failures...)
}

func (c *Client) dial(ctx context.Context, server netip.AddrPort) (net.Conn, error) {
	raw, err := c.cfg.Dial(ctx, "tcp", server.String())
	if err != nil {
		return nil, err
	}
	name := c.cfg.ServerName
	if name == "" {
		name = server.Addr().WithZone("").String()
	}
	conn := tls.Client(raw, &tls.Config{
		RootCAs: c.cfg.RootCAs, ServerName: name, Time: c.cfg.Clock.Now,
		NextProtos: []string{"dot"}, MinVersion: tls.VersionTLS12,
	})
	defer watch(ctx, raw)()
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	return conn, nil
}

// over asks on one connection, which is then kept or closed.
func (c *Client) over(ctx context.Context, conn net.Conn, query []byte) ([]byte, error) {
	stop := watch(ctx, conn)
	reply, err := roundTrip(conn, query)
	stop()
	if err != nil || ctx.Err() != nil || !c.keep(conn) {
		conn.Close()
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return reply, err
}

func roundTrip(conn net.Conn, query []byte) ([]byte, error) {
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(query)), uint16(len(query)))
	if _, err := conn.Write(append(framed, query...)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	reply := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, reply); err != nil {
		return nil, err
	}
	return reply, nil
}

// watch lets the end of ctx wake whoever waits on conn, until stop is called.
func watch(ctx context.Context, conn net.Conn) (stop func()) {
	woken := make(chan struct{})
	unwatch := context.AfterFunc(ctx, func() {
		conn.SetDeadline(time.Unix(1, 0)) // in the past by any clock
		close(woken)
	})
	return func() {
		if !unwatch() {
			<-woken
		}
	}
}

func (c *Client) take() net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.idle)
	if n == 0 {
		return nil
	}
	conn := c.idle[n-1]
	c.idle = c.idle[:n-1]
	return conn
}

func (c *Client) keep(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.idle) >= maxIdle {
		return false
	}
	c.idle = append(c.idle, conn)
	return true
}

// Close closes the connections that no query uses; those in use are closed
// when their query ends. Exchange goes on working, without keeping any.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	idle := c.idle
	c.idle = nil
	c.mu.Unlock()
	var failures []error
	for _, conn := range idle {
		failures = append(failures, conn.Close())
	}
	return errors.Join(failures...)
}
