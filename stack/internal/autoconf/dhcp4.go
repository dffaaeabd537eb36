package autoconf

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Theory of the DHCPv4 client: RFC 2131, figure 5, without INIT-REBOOT.
//
//	Off ──Start──► Init
//	Init ──DHCPDISCOVER, broadcast──► Selecting
//	Selecting ──the first good DHCPOFFER: DHCPREQUEST, broadcast──► Requesting
//	Requesting ──DHCPACK──► Probing ──nobody has the address──► Bound
//	Requesting ──DHCPNAK──► Init after a while; ──no answer in a minute──► Init
//	Probing ──somebody has it: DHCPDECLINE──► Init after 10 s
//	Bound ──T1: DHCPREQUEST to the server──► Renewing
//	Renewing ──T2: DHCPREQUEST, broadcast──► Rebinding
//	Bound, Renewing, Rebinding ──link came back: DHCPREQUEST, broadcast──► Rebinding
//	Renewing, Rebinding ──DHCPACK──► Bound, or Probing for another address
//	Renewing, Rebinding ──DHCPNAK, or the lease ends──► Init; the lease is withdrawn
//	any ──Stop──► Off; with a lease after DHCPRELEASE
//
// Discover and request are sent again after 4, 8, 16, 32 and then every 64
// seconds, each ± 1 s (section 4.1); renew and rebind after half of what is left
// until T2 and the end, at least 60 s (section 4.4.5). T1 and T2 are 0.5 and 0.875
// of the lease unless the server says otherwise. All are counted from the moment
// when the request was sent.
//
// On a link without hardware addresses nobody could address us before we have
// an address: the broadcast flag is set there, and the client identifier alone
// says who we are. With a hardware address the host sees frames to it whatever
// address they are for, so the flag stays clear.

// State is where a DHCPv4 client stands.
type State int

// The states.
const (
	Off State = iota
	Init
	Selecting
	Requesting
	Probing
	Bound
	Renewing
	Rebinding
)

var stateNames = [...]string{"off", "init", "selecting", "requesting", "probing", "bound", "renewing", "rebinding"}

func (s State) String() string { return stateNames[s] }

// Ports of DHCPv4.
const (
	ServerPort4 = 67
	ClientPort4 = 68
)

// Times of RFC 2131, sections 3.1, 4.1 and 4.4.5. leastLease keeps a server from
// having us renew without a pause.
const (
	firstWait    = 4 * time.Second
	lastWait     = 64 * time.Second
	waitSpread   = time.Second
	requestTries = 4
	declinePause = 10 * time.Second
	leastRenew   = 60 * time.Second
	leastLease   = 16 * time.Second
)

// DHCPv4Config is what a client is made of.
type DHCPv4Config struct {
	Env

	HardwareAddr net.HardwareAddr // empty on a link that has none
	ClientID     []byte           // option 61; required where there is no hardware address
	Hostname     string           // what to tell the server; "" tells nothing
	MTU          int              // of the link

	// Send sends a datagram, and is not told whether it went.
	Send func(Datagram)

	// Probe finds out whether a neighbour has the address, and calls done in
	// Do. nil: there are no neighbours to ask.
	Probe func(a netip.Addr, done func(taken bool))

	// Changed is called when Lease returns something else.
	Changed func()
}

// DHCPv4 is a client of one interface.
type DHCPv4 struct {
	cfg   DHCPv4Config
	state State
	timer timer

	xid     uint32
	begun   time.Duration // when this exchange began
	sent    time.Duration // when the last request left
	tries   int           // how often it was sent
	refused int           // DHCPNAKs since the last lease

	offered netip.Addr
	server  netip.Addr
	link    net.HardwareAddr // of the server, or of the relay in front of it

	pending *lease // acknowledged, while the address is probed
	probe   int    // counts probes, so that a late answer is known
	lease   *lease // what the host has
	quiet   bool   // an answer is missing for the first time's wait
}

// NewDHCPv4 returns a client that does nothing before Start.
func NewDHCPv4(cfg DHCPv4Config) *DHCPv4 {
	c := &DHCPv4{cfg: cfg}
	c.timer.env = &c.cfg.Env
	return c
}

// State tells where the client stands.
func (c *DHCPv4) State() State { return c.state }

// Lease returns what the host has, nil for nothing.
func (c *DHCPv4) Lease() *Lease {
	if c.lease == nil {
		return nil
	}
	return &c.lease.Lease
}

// Settled reports whether there is a lease, or nobody answered so far.
func (c *DHCPv4) Settled() bool { return c.lease != nil || c.quiet }

// Start begins to look for a server.
func (c *DHCPv4) Start() {
	if c.state == Off {
		c.discover()
	}
}

// LinkUp says that packets pass again, perhaps to another network.
func (c *DHCPv4) LinkUp() {
	switch c.state {
	case Bound, Renewing, Rebinding:
		c.rebind()
	case Off, Probing:
	default:
		c.discover()
	}
}

// Stop gives the lease back, if there is one and release says that the server
// can be reached, and ends the client.
func (c *DHCPv4) Stop(release bool) {
	if c.state == Off {
		return
	}
	c.timer.stop()
	c.probe++
	if c.lease != nil && release {
		c.xid = c.cfg.Rand.Uint32()
		c.begun = c.now()
		m := c.message(dhcpv4.MessageTypeRelease)
		m.ClientIPAddr = c.lease.Addr.Addr().AsSlice()
		m.UpdateOption(dhcpv4.OptServerIdentifier(c.lease.Server.AsSlice()))
		c.unicast(m, c.link)
	}
	c.state = Off
	c.withdraw()
}

func (c *DHCPv4) now() time.Duration { return c.cfg.Clock.Monotonic() }

func (c *DHCPv4) to(s State) {
	c.cfg.Log.Debug("DHCPv4", "from", c.state, "to", s)
	c.state = s
}

// discover begins from nothing.
func (c *DHCPv4) discover() {
	c.xid, c.begun, c.tries = c.cfg.Rand.Uint32(), c.now(), 0
	c.to(Selecting)
	c.sendDiscover()
}

func (c *DHCPv4) sendDiscover() {
	m := c.message(dhcpv4.MessageTypeDiscover)
	c.ask(m)
	c.broadcast(m, netip.IPv4Unspecified())
	c.timer.set(c.backoff(), func() {
		c.quiet = true
		c.sendDiscover()
	})
}

// request asks for what was offered.
func (c *DHCPv4) request() {
	c.tries = 0
	c.to(Requesting)
	c.sendRequest()
}

func (c *DHCPv4) sendRequest() {
	if c.tries == requestTries {
		c.discover()
		return
	}
	m := c.message(dhcpv4.MessageTypeRequest)
	c.ask(m)
	m.UpdateOption(dhcpv4.OptRequestedIPAddress(c.offered.AsSlice()))
	m.UpdateOption(dhcpv4.OptServerIdentifier(c.server.AsSlice()))
	c.sent = c.now()
	c.broadcast(m, netip.IPv4Unspecified())
	c.timer.set(c.backoff(), c.sendRequest)
}

// backoff is how long to wait for an answer to what is sent now.
func (c *DHCPv4) backoff() time.Duration {
	wait := min(firstWait<<min(c.tries, 4), lastWait)
	c.tries++
	return c.cfg.spread(wait, waitSpread)
}

// pause waits before it begins from nothing.
func (c *DHCPv4) pause(d time.Duration) {
	c.to(Init)
	c.timer.set(d, c.discover)
}

// renew asks the server to go on (T1).
func (c *DHCPv4) renew() {
	c.xid, c.begun = c.cfg.Rand.Uint32(), c.now()
	c.to(Renewing)
	c.sendRenew()
}

func (c *DHCPv4) sendRenew() {
	left := c.lease.rebind - c.now()
	if left <= 0 {
		c.rebind()
		return
	}
	c.sent = c.now()
	c.unicast(c.again(), nil)
	c.timer.set(min(left, max(left/2, leastRenew)), c.sendRenew)
}

// rebind asks every server to go on (T2).
func (c *DHCPv4) rebind() {
	c.xid, c.begun = c.cfg.Rand.Uint32(), c.now()
	c.to(Rebinding)
	c.sendRebind()
}

func (c *DHCPv4) sendRebind() {
	left := c.lease.end - c.now()
	if left <= 0 {
		c.cfg.Log.Warn("DHCPv4: the lease has ended", "address", c.lease.Addr)
		c.withdraw()
		c.discover()
		return
	}
	c.sent = c.now()
	c.broadcast(c.again(), c.lease.Addr.Addr())
	wait := max(left/2, leastRenew)
	if c.lease.end == forever {
		wait = lastWait
	}
	c.timer.set(min(left, wait), c.sendRebind)
}

// again is the request of Renewing and Rebinding.
func (c *DHCPv4) again() *dhcpv4.DHCPv4 {
	m := c.message(dhcpv4.MessageTypeRequest)
	c.ask(m)
	m.ClientIPAddr = c.lease.Addr.Addr().AsSlice()
	m.SetUnicast() // we can be reached
	return m
}

// Receive takes what came to the client's port. Whatever is not an answer to
// what was asked changes nothing.
func (c *DHCPv4) Receive(d Datagram) {
	if len(d.Payload) > maxMessage {
		return
	}
	m, err := dhcpv4.FromBytes(d.Payload)
	if err != nil || m.OpCode != dhcpv4.OpcodeBootReply || binary.BigEndian.Uint32(m.TransactionID[:]) != c.xid ||
		!slices.Equal(m.ClientHWAddr, c.cfg.HardwareAddr) {
		return
	}
	server, _ := netip.AddrFromSlice(m.ServerIdentifier().To4())
	switch m.MessageType() {
	case dhcpv4.MessageTypeOffer:
		c.offer(m, server, d.Link)
	case dhcpv4.MessageTypeAck:
		c.acknowledged(m, server, d.Link)
	case dhcpv4.MessageTypeNak:
		c.nak(m, server)
	}
}

func (c *DHCPv4) offer(m *dhcpv4.DHCPv4, server netip.Addr, link net.HardwareAddr) {
	a, _ := netip.AddrFromSlice(m.YourIPAddr.To4())
	if c.state != Selecting || !unicast(a) || !unicast(server) {
		return
	}
	c.offered, c.server, c.link = a, server, link
	c.request()
}

func (c *DHCPv4) acknowledged(m *dhcpv4.DHCPv4, server netip.Addr, link net.HardwareAddr) {
	switch c.state {
	case Requesting:
		if server.IsValid() && server != c.server {
			return
		}
		server = c.server
	case Renewing, Rebinding:
		if !unicast(server) {
			server = c.lease.Server
		}
	default:
		return
	}
	l, ok := c.read(m, server)
	if !ok || c.state == Requesting && l.Addr.Addr() != c.offered {
		c.cfg.Log.Warn("DHCPv4: an acknowledgement is of no use", "server", server)
		return
	}
	c.server, c.link = server, link
	if c.lease != nil && c.lease.Addr.Addr() == l.Addr.Addr() {
		c.bind(l)
		return
	}
	c.withdraw()
	if c.cfg.Probe == nil {
		c.bind(l)
		return
	}
	c.timer.stop()
	c.to(Probing)
	c.pending = l
	c.probe++
	probe := c.probe
	c.cfg.Probe(l.Addr.Addr(), func(taken bool) {
		switch {
		case c.probe != probe || c.state != Probing:
		case taken:
			c.decline()
		default:
			c.bind(c.pending)
		}
	})
}

// decline tells the server that somebody has the address (section 3.1, 5).
func (c *DHCPv4) decline() {
	c.cfg.Log.Warn("DHCPv4: a neighbour has the address", "address", c.pending.Addr, "server", c.pending.Server)
	m := c.message(dhcpv4.MessageTypeDecline)
	m.UpdateOption(dhcpv4.OptRequestedIPAddress(c.pending.Addr.Addr().AsSlice()))
	m.UpdateOption(dhcpv4.OptServerIdentifier(c.pending.Server.AsSlice()))
	c.broadcast(m, netip.IPv4Unspecified())
	c.pending = nil
	c.pause(declinePause)
}

func (c *DHCPv4) nak(m *dhcpv4.DHCPv4, server netip.Addr) {
	switch c.state {
	case Requesting:
		if server != c.server {
			return
		}
	case Renewing, Rebinding:
	default:
		return
	}
	c.cfg.Log.Warn("DHCPv4: refused", "server", server, "why", clean(m.Message()))
	c.withdraw()
	// At once the first time; a server that refuses what it offers is not asked
	// without a pause.
	wait := time.Duration(0)
	if c.refused > 0 {
		wait = min(firstWait<<min(c.refused-1, 4), lastWait)
	}
	c.refused++
	c.pause(wait)
}

func (c *DHCPv4) bind(l *lease) {
	c.pending, c.lease = nil, l
	c.refused, c.quiet = 0, false
	c.to(Bound)
	wait := forever
	if l.renew != forever {
		wait = l.renew - c.now()
	}
	c.timer.set(wait, c.renew)
	c.cfg.Changed()
}

// withdraw takes the lease from the host.
func (c *DHCPv4) withdraw() {
	c.pending = nil
	if c.lease != nil {
		c.lease = nil
		c.cfg.Changed()
	}
}
