// Package doh carries DNS over HTTPS, RFC 8484, for a resolver: the method
// [Client.Exchange] goes into resolver.Config.Exchange.
//
// The client dials with the Dial function it is given, to the addresses it is
// given, and checks certificates at the time of the clock it is given. It uses
// none of net/http's timers: the context of each call ends it, and a timer of
// the clock closes connections that were idle for ten seconds. Queries are POST
// requests, or GET requests, which caches on the way understand, over HTTP/2, or
// HTTP/1.1 where the server has nothing else. It follows no redirects, uses no
// proxy and does not fall back to plain DNS.
package doh

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"usersock/stack/endpoint"
)

const (
	mediaType  = "application/dns-message"
	maxMessage = 65535

	// idle is how long connections are kept for further queries.
	idle = 10 * time.Second
)

// Config is what a Client works with.
type Config struct {
	// Dial opens a connection; network is always "tcp". It must return when
	// ctx is done.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// URL is where queries go to, such as https://dns.example/dns-query; a
	// "{?dns}" at its end, as in a template, is left out. Its host is the name in
	// the certificate.
	URL string

	// Get sends GET requests, with the query in the URL. Unset, queries are
	// posted, which takes fewer bytes.
	Get bool

	// Servers are the addresses of that host, tried in order: to look it up
	// would take a resolver. Port 0 means the port of URL.
	Servers []netip.AddrPort

	// RootCAs are the authorities that are trusted. There is no default,
	// because that would be the machine's own.
	RootCAs *x509.CertPool

	// Clock gives the time at which certificates must be valid, and the timer
	// of idle connections. Unset, the machine's.
	Clock endpoint.Clock
}

// Client asks a server over HTTPS. Its methods may be called from any
// goroutine.
type Client struct {
	cfg       Config
	url       *url.URL
	transport *http.Transport

	mu     sync.Mutex
	active int            // calls of Exchange
	timer  endpoint.Timer // set while there is none; nil before the first call
	closed bool

	closing sync.WaitGroup // what closes idle connections; Close waits for it
}

// New returns a client for cfg. Dial, URL, Servers and RootCAs are needed.
func New(cfg Config) (*Client, error) {
	cfg.URL = strings.TrimSuffix(cfg.URL, "{?dns}")
	u, err := url.Parse(cfg.URL)
	switch {
	case cfg.Dial == nil:
		return nil, errors.New("doh: Config.Dial is not set")
	case err != nil:
		return nil, fmt.Errorf("doh: Config.URL: %w", err)
	case u.Scheme != "https" || u.Hostname() == "":
		return nil, fmt.Errorf("doh: Config.URL is %q and should be https://host/path", cfg.URL)
	case len(cfg.Servers) == 0:
		return nil, errors.New("doh: Config.Servers is empty")
	case cfg.RootCAs == nil:
		return nil, errors.New("doh: Config.RootCAs is not set")
	}
	port := uint16(443)
	if u.Port() != "" {
		ap, err := netip.ParseAddrPort("0.0.0.0:" + u.Port())
		if err != nil {
			return nil, fmt.Errorf("doh: the port of Config.URL: %w", err)
		}
		port = ap.Port()
	}
	servers := make([]netip.AddrPort, len(cfg.Servers))
	for i, s := range cfg.Servers {
		if !s.Addr().IsValid() {
			return nil, fmt.Errorf("doh: Config.Servers[%d] is no address", i)
		}
		if s.Port() == 0 {
			s = netip.AddrPortFrom(s.Addr(), port)
		}
		servers[i] = s
	}
	cfg.Servers = servers
	if cfg.Clock == nil {
		cfg.Clock = endpoint.SystemClock()
	}
	c := &Client{cfg: cfg, url: u}
	c.transport = &http.Transport{
		DialTLSContext:     c.dial,
		ForceAttemptHTTP2:  true,
		DisableCompression: true,
	}
	return c, nil
}

// dial connects to the first server that answers, whatever net/http asks for.
func (c *Client) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	var failures []error
	for _, server := range c.cfg.Servers {
		conn, err := c.dialServer(ctx, server)
		if err == nil {
			return conn, nil
		}
		failures = append(failures, fmt.Errorf("%v: %w", server, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(failures...)
}

func (c *Client) dialServer(ctx context.Context, server netip.AddrPort) (net.Conn, error) {
	raw, err := c.cfg.Dial(ctx, "tcp", server.String())
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, &tls.Config{
		RootCAs: c.cfg.RootCAs, ServerName: c.url.Hostname(), Time: c.cfg.Clock.Now,
		NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12,
	})
	woken := make(chan struct{})
	unwatch := context.AfterFunc(ctx, func() {
		raw.SetDeadline(time.Unix(1, 0)) // in the past by any clock
		close(woken)
	})
	err = conn.HandshakeContext(ctx)
	if !unwatch() {
		<-woken
	}
	if err == nil {
		err = context.Cause(ctx) // the deadline may be set
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	return conn, nil
}

// Exchange sends one DNS message and returns the reply. On the wire the
// message has the ID 0, so that caches on the way work (RFC 8484, section
// 4.1); the reply gets the query's ID back.
func (c *Client) Exchange(ctx context.Context, query []byte) ([]byte, error) {
	if len(query) < 2 || len(query) > maxMessage {
		return nil, fmt.Errorf("doh: a message of %d bytes", len(query))
	}
	id := [2]byte(query)
	request, err := c.request(ctx, append([]byte{0, 0}, query[2:]...))
	if err != nil {
		return nil, err
	}
	c.begin()
	defer c.end()
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("asking %s: %w", c.cfg.URL, err)
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("asking %s: server says %s", c.cfg.URL, response.Status)
	case response.Header.Get("Content-Type") != mediaType:
		return nil, fmt.Errorf("asking %s: reply is of type %q", c.cfg.URL, response.Header.Get("Content-Type"))
	}
	reply, err := io.ReadAll(io.LimitReader(response.Body, maxMessage+1))
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("reading the reply of %s: %w", c.cfg.URL, context.Cause(ctx))
	case err != nil:
		return nil, fmt.Errorf("reading the reply of %s: %w", c.cfg.URL, err)
	case len(reply) > maxMessage || len(reply) < 2:
		return nil, fmt.Errorf("reply of %s has %d bytes or more", c.cfg.URL, len(reply))
	case reply[0] != 0 || reply[1] != 0:
		return nil, fmt.Errorf("reply of %s has another ID than the query", c.cfg.URL)
	}
	copy(reply, id[:])
	if old := age(response.Header); old > 0 {
		if err := grow(reply, old); err != nil {
			return nil, fmt.Errorf("reply of %s: %w", c.cfg.URL, err)
		}
	}
	return reply, nil
}

// request is a POST request with the message as its body, or a GET request with
// the message in base64url as the variable dns (RFC 8484, section 4.1).
func (c *Client) request(ctx context.Context, message []byte) (*http.Request, error) {
	var request *http.Request
	var err error
	if c.cfg.Get {
		target := *c.url
		dns := "dns=" + base64.RawURLEncoding.EncodeToString(message)
		if target.RawQuery != "" {
			dns = target.RawQuery + "&" + dns
		}
		target.RawQuery = dns
		request, err = http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	} else {
		request, err = http.NewRequestWithContext(ctx, http.MethodPost, c.url.String(), bytes.NewReader(message))
	}
	if err != nil {
		return nil, err
	}
	if !c.cfg.Get {
		request.Header.Set("Content-Type", mediaType)
	}
	request.Header.Set("Accept", mediaType)
	request.Header.Set("User-Agent", "") // nothing that tells users apart
	return request, nil
}

func (c *Client) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.active++
	if c.timer != nil {
		c.timer.Stop()
	}
}

// end lets the last call that ends set the timer of idle connections.
func (c *Client) end() {
	c.mu.Lock()
	c.active--
	last, closed := c.active == 0, c.closed
	if last && !closed {
		if c.timer == nil {
			c.timer = c.cfg.Clock.AfterFunc(idle, c.idled)
		} else {
			c.timer.Reset(idle)
		}
	}
	c.mu.Unlock()
	if last && closed {
		c.transport.CloseIdleConnections()
	}
}

// idled runs on the clock's goroutine, which must not wait as the end of a TLS
// connection may.
func (c *Client) idled() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active == 0 && !c.closed {
		c.closing.Go(c.transport.CloseIdleConnections)
	}
}

// Close closes the connections that no query uses, and the others as soon as
// their queries have ended. Exchange goes on working, without keeping any.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	c.closing.Wait()
	c.transport.CloseIdleConnections()
	return nil
}
