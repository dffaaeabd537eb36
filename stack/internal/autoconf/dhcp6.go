package autoconf

import (
	"bytes"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
)

// Theory of stateless DHCPv6: RFC 8415, sections 18.2.6 and 18.2.10.
//
//	Off ──Start──► Waiting, up to 1 s ──INFORMATION-REQUEST──► Asking
//	Asking ──REPLY──► Informed ──the refresh time is over──► Asking
//	any ──link came back──► Asking;  any ──Stop──► Off
//
// Requests leave again after 1 s, 2 s and so on up to an hour, ± 10 % each
// (section 15). What a reply said holds until the next reply: the refresh time is
// when to ask, not when to forget (section 21.23).

// Ports of DHCPv6.
const (
	ServerPort6 = 547
	ClientPort6 = 546
)

// Times of RFC 8415, section 7.6.
const (
	informMaxDelay  = time.Second
	informFirst     = time.Second
	informLast      = time.Hour
	informRefresh   = 24 * time.Hour
	informLeast     = 600 * time.Second
	elapsedTimeUnit = 10 * time.Millisecond
)

// Information is what a DHCPv6 server said.
type Information struct {
	NameServers []netip.Addr
	Search      []string
	Obtained    time.Time
	Refresh     time.Duration // when it is asked for again
}

// DHCPv6Config is what a client is made of.
type DHCPv6Config struct {
	Env

	HardwareAddr net.HardwareAddr // the client's identity, or else
	UUID         [16]byte         // this

	// Send sends a message to the servers and relays of the link, from the
	// link-local address.
	Send func(message []byte)

	// Changed is called when Information returns something else.
	Changed func()
}

// DHCPv6 asks for information on one interface.
type DHCPv6 struct {
	cfg     DHCPv6Config
	running bool
	asking  bool
	timer   timer
	id      [3]byte
	begun   time.Duration
	wait    time.Duration
	quiet   bool // the first request was not answered
	info    *Information
}

// NewDHCPv6 returns a client that does nothing before Start.
func NewDHCPv6(cfg DHCPv6Config) *DHCPv6 {
	c := &DHCPv6{cfg: cfg}
	c.timer.env = &c.cfg.Env
	return c
}

// Information returns what is known, nil for nothing.
func (c *DHCPv6) Information() *Information { return c.info }

// Running reports whether the client was started.
func (c *DHCPv6) Running() bool { return c.running }

// Settled reports whether there is nothing to wait for: an answer came, or
// nobody answered so far.
func (c *DHCPv6) Settled() bool { return !c.running || c.info != nil || c.quiet }

// Start begins to ask.
func (c *DHCPv6) Start() {
	if !c.running {
		c.running = true
		c.timer.set(time.Duration(c.cfg.Rand.Int64N(int64(informMaxDelay))), c.ask)
	}
}

// LinkUp says that packets pass again, perhaps to another network.
func (c *DHCPv6) LinkUp() {
	if c.running {
		c.ask()
	}
}

// Stop forgets everything.
func (c *DHCPv6) Stop() {
	c.running, c.asking = false, false
	c.timer.stop()
	if c.info != nil {
		c.info = nil
		c.cfg.Changed()
	}
}

func (c *DHCPv6) ask() {
	n := c.cfg.Rand.Uint32()
	c.id = [3]byte{byte(n), byte(n >> 8), byte(n >> 16)}
	c.begun, c.wait, c.asking = c.cfg.Clock.Monotonic(), informFirst, true
	c.send()
}

func (c *DHCPv6) send() {
	m := &dhcpv6.Message{MessageType: dhcpv6.MessageTypeInformationRequest, TransactionID: c.id}
	m.AddOption(dhcpv6.OptClientID(c.identity()))
	m.AddOption(dhcpv6.OptRequestedOption(dhcpv6.OptionDNSRecursiveNameServer, dhcpv6.OptionDomainSearchList, dhcpv6.OptionInformationRefreshTime))
	elapsed := min(c.cfg.Clock.Monotonic()-c.begun, 0xffff*elapsedTimeUnit)
	m.AddOption(dhcpv6.OptElapsedTime(elapsed))
	c.cfg.Send(m.ToBytes())
	c.timer.set(c.cfg.spread(c.wait, c.wait/10), func() {
		c.quiet = true
		c.send()
	})
	c.wait = min(2*c.wait, informLast)
}

func (c *DHCPv6) identity() dhcpv6.DUID {
	if len(c.cfg.HardwareAddr) > 0 {
		return &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: c.cfg.HardwareAddr}
	}
	return &dhcpv6.DUIDUUID{UUID: c.cfg.UUID}
}

// Receive takes what came to the client's port. Whatever is not an answer to
// what was asked changes nothing.
func (c *DHCPv6) Receive(message []byte) {
	if !c.asking || len(message) < dhcpv6.MessageHeaderSize || len(message) > maxMessage ||
		message[0] != byte(dhcpv6.MessageTypeReply) || !bytes.Equal(message[1:4], c.id[:]) {
		return
	}
	o, ok := readOptions(message[dhcpv6.MessageHeaderSize:])
	if !ok || !o.server || o.client != nil && !bytes.Equal(o.client, c.identity().ToBytes()) {
		return
	}
	info := &Information{NameServers: o.servers, Search: o.search, Obtained: c.cfg.Clock.Now(), Refresh: informRefresh}
	if o.refresh > 0 {
		info.Refresh = max(o.refresh, informLeast)
	}
	c.asking, c.info = false, info
	c.timer.set(info.Refresh, c.ask)
	c.cfg.Changed()
}

// replyOptions are the options of a reply that matter here.
type replyOptions struct {
	server  bool
	client  []byte
	servers []netip.Addr
	search  []string
	refresh time.Duration
}

// readOptions reads those options alone: the library's reader of whole messages
// refuses all of one when an option that does not matter is malformed, and
// expands compressed names without a limit.
func readOptions(b []byte) (o replyOptions, ok bool) {
	var list dhcpv6.Options
	err := list.FromBytesWithParser(b, func(code dhcpv6.OptionCode, data []byte) (dhcpv6.Option, error) {
		switch code {
		case dhcpv6.OptionServerID:
			o.server = len(data) > 0
		case dhcpv6.OptionClientID:
			o.client = bytes.Clone(data)
			if o.client == nil {
				o.client = []byte{}
			}
		case dhcpv6.OptionDomainSearchList:
			o.search = Domains(data)
		case dhcpv6.OptionDNSRecursiveNameServer, dhcpv6.OptionInformationRefreshTime:
			return dhcpv6.ParseOption(code, data)
		}
		return &dhcpv6.OptionGeneric{OptionCode: code}, nil
	})
	if err != nil {
		return o, false
	}
	m := dhcpv6.MessageOptions{Options: list}
	for _, a := range addrs(m.DNS(), maxServers) {
		if a.Is6() {
			o.servers = append(o.servers, a)
		}
	}
	o.refresh = m.InformationRefreshTime(0)
	if o.refresh == infinite*time.Second {
		o.refresh = forever
	}
	return o, true
}
