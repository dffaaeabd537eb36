package resolver

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"usersock/stack/endpoint"
	"usersock/testnet/dnszone"
)

// simClock is a clock that jumps to its next timer whenever a socket of
// fakeNet has nothing to read, so that tests of time-outs take no time.
type simClock struct {
	mu     sync.Mutex
	now    time.Duration
	timers []*simTimer
}

type simTimer struct {
	clock *simClock
	at    time.Duration
	f     func()
}

var _ endpoint.Clock = (*simClock)(nil)

func (c *simClock) Now() time.Time { return time.Unix(1<<30, 0).Add(c.Monotonic()) }

func (c *simClock) Monotonic() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *simClock) AfterFunc(d time.Duration, f func()) endpoint.Timer {
	t := &simTimer{clock: c, f: f}
	t.Reset(d)
	return t
}

func (t *simTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	i := slices.Index(t.clock.timers, t)
	if i >= 0 {
		t.clock.timers = slices.Delete(t.clock.timers, i, i+1)
	}
	return i >= 0
}

func (t *simTimer) Reset(d time.Duration) {
	t.Stop()
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	t.at = t.clock.now + d
	t.clock.timers = append(t.clock.timers, t)
}

// advance moves the clock by d without running timers.
func (c *simClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += d
}

// step jumps to the earliest timer and runs it.
func (c *simClock) step() bool {
	c.mu.Lock()
	var next *simTimer
	for _, t := range c.timers {
		if next == nil || t.at < next.at {
			next = t
		}
	}
	if next != nil {
		c.now = max(c.now, next.at)
		i := slices.Index(c.timers, next)
		c.timers = slices.Delete(c.timers, i, i+1)
	}
	c.mu.Unlock()
	if next != nil {
		next.f()
	}
	return next != nil
}

// fakeNet carries queries to dnszone servers by function call.
type fakeNet struct {
	clock   *simClock
	servers map[string]*dnszone.Server // by address with port; others refuse

	mu      sync.Mutex
	queries []string // "udp name. TYPE @server"
	open    int      // sockets not yet closed
	dials   int
	ops     int // dials, queries, and reads that wait
	onOp    func(n int)
}

// did counts an operation.
func (n *fakeNet) did() {
	n.mu.Lock()
	n.ops++
	ops, f := n.ops, n.onOp
	n.mu.Unlock()
	if f != nil {
		f(ops)
	}
}

func newFakeNet(servers map[string]*dnszone.Server) *fakeNet {
	return &fakeNet{clock: new(simClock), servers: servers}
}

func (n *fakeNet) dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.did()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := n.servers[address]
	if s == nil && network == "tcp" {
		return nil, &net.OpError{Op: "dial", Net: network, Err: endpoint.ECONNREFUSED}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open++
	n.dials++
	return &fakeConn{net: n, server: s, address: address, tcp: network == "tcp", wake: make(chan struct{}, 1)}, nil
}

// asked returns the queries seen so far, and forgets them.
func (n *fakeNet) asked() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	q := n.queries
	n.queries = nil
	return q
}

// fakeConn is a connected socket to one server. Data that has arrived is read
// even after the deadline has passed.
type fakeConn struct {
	net     *fakeNet
	server  *dnszone.Server
	address string
	tcp     bool
	wake    chan struct{}

	mu     sync.Mutex
	in     [][]byte
	due    int   // tcp: replies that are still to come; then a reader is not idle
	err    error // after all of in has been read
	past   bool  // the deadline has passed
	closed bool
}

func (c *fakeConn) Write(p []byte) (int, error) {
	msg := p
	if c.tcp {
		if len(p) < 2 || int(binary.BigEndian.Uint16(p)) != len(p)-2 {
			return 0, fmt.Errorf("TCP message of %d bytes is not framed", len(p))
		}
		msg = p[2:]
	}
	if c.server == nil {
		c.fail(&net.OpError{Op: "read", Net: "udp", Err: endpoint.ECONNREFUSED})
		return len(p), nil
	}
	c.net.record(c, msg)
	c.net.did()
	replies := c.server.Respond(msg, !c.tcp)
	if len(replies) == 0 && c.tcp {
		c.fail(io.EOF)
	}
	for _, r := range replies {
		data := r.Message
		if c.tcp {
			data = append(binary.BigEndian.AppendUint16(nil, uint16(len(data))), data...)
		}
		if r.After > 0 {
			c.mu.Lock()
			c.due++
			c.mu.Unlock()
			c.net.clock.AfterFunc(r.After, func() { c.arrive(data, 1) })
		} else {
			c.arrive(data, 0)
		}
	}
	return len(p), nil
}

func (c *fakeConn) arrive(data []byte, due int) {
	c.mu.Lock()
	c.in = append(c.in, data)
	c.due -= due
	c.mu.Unlock()
	c.poke()
}

func (c *fakeConn) fail(err error) {
	c.mu.Lock()
	c.err = err
	c.mu.Unlock()
	c.poke()
}

func (c *fakeConn) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *fakeConn) Read(p []byte) (int, error) {
	for {
		c.mu.Lock()
		if len(c.in) > 0 {
			n := copy(p, c.in[0])
			if c.tcp && n < len(c.in[0]) {
				c.in[0] = c.in[0][n:]
			} else {
				c.in = c.in[1:]
			}
			c.mu.Unlock()
			return n, nil
		}
		err := c.err
		idle := c.tcp && c.due <= 0 // a kept connection, which waits for nothing
		switch {
		case c.closed:
			err = net.ErrClosed
		case err == nil && c.past:
			err = os.ErrDeadlineExceeded
		}
		c.mu.Unlock()
		if err != nil {
			return 0, err
		}
		c.net.did()
		if idle || !c.net.clock.step() {
			<-c.wake
		}
	}
}

func (c *fakeConn) Close() error {
	c.mu.Lock()
	was := c.closed
	c.closed = true
	c.mu.Unlock()
	if !was {
		c.net.mu.Lock()
		c.net.open--
		c.net.mu.Unlock()
	}
	c.poke()
	return nil
}

func (c *fakeConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	c.past = !t.IsZero() && t.Before(c.net.clock.Now())
	c.mu.Unlock()
	c.poke()
	return nil
}

func (c *fakeConn) SetReadDeadline(t time.Time) error  { return c.SetDeadline(t) }
func (c *fakeConn) SetWriteDeadline(t time.Time) error { return c.SetDeadline(t) }
func (c *fakeConn) LocalAddr() net.Addr                { return nil }
func (c *fakeConn) RemoteAddr() net.Addr               { return nil }

func (n *fakeNet) record(c *fakeConn, msg []byte) {
	var p parsedQuestion
	p.read(msg)
	network := "udp"
	if c.tcp {
		network = "tcp"
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.queries = append(n.queries, fmt.Sprintf("%s %s %s @%s", network, p.name, p.typ, strings.TrimSuffix(c.address, ":53")))
}

// mustZone parses a master file.
func mustZone(t testing.TB, text, origin string) *dnszone.Zone {
	t.Helper()
	z, err := dnszone.Parse(text, origin)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// testHost is a host with addresses of both families and default routes.
func testHost() StaticHost {
	return StaticHost{
		Name: "client",
		Addrs: []Address{
			{Prefix: netip.MustParsePrefix("127.0.0.1/8"), Index: 1, Interface: "lo", Loopback: true},
			{Prefix: netip.MustParsePrefix("::1/128"), Index: 1, Interface: "lo", Loopback: true},
			{Prefix: netip.MustParsePrefix("192.0.2.10/24"), Index: 3, Interface: "v0"},
			{Prefix: netip.MustParsePrefix("2001:db8:1::10/64"), Index: 3, Interface: "v0"},
			{Prefix: netip.MustParsePrefix("fe80::10/64"), Index: 3, Interface: "v0"},
		},
		Routes: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
	}
}
