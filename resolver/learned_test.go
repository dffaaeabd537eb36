package resolver

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"usersock/testnet/dnszone"
)

// learnable is what a network tells, which a test changes.
type learnable struct {
	servers []netip.AddrPort
	search  []string
}

func (l *learnable) get() ([]netip.AddrPort, []string) { return l.servers, l.search }

func (l *learnable) tell(search []string, servers ...string) {
	l.search, l.servers = search, nil
	for _, s := range servers {
		l.servers = append(l.servers, netip.MustParseAddrPort(s))
	}
}

// twoServers are two networks that disagree about www.
func twoServers(t *testing.T) []*dnszone.Server {
	var list []*dnszone.Server
	for _, ip := range []string{"192.0.2.1", "198.51.100.1"} {
		list = append(list, dnszone.NewServer(mustZone(t, "$TTL 300\n@ SOA a. b. 1 2 3 4 60\nwww A "+ip+"\n", "example"),
			mustZone(t, "$TTL 300\n@ SOA a. b. 1 2 3 4 60\nonly A 203.0.113.1\n", "lab"), mustZone(t, "@ 60 SOA a. b. 1 2 3 4 60\n", ".")))
	}
	return list
}

// TestLearned: servers and domains that the network tells are used from the
// next lookup on, and what the servers before said is forgotten.
func TestLearned(t *testing.T) {
	var told learnable
	l := newLab(t, func(c *Config) { c.ResolvConf, c.Learned = "", told.get }, twoServers(t)...)
	l.want(t, "www.example", "Temporary failure in name resolution") // 127.0.0.1 does not answer
	told.tell(nil, "192.0.2.53:53")
	l.want(t, "www.example", "192.0.2.1")
	l.net.asked()
	l.want(t, "www.example", "192.0.2.1") // the cache
	if asked := l.net.asked(); len(asked) != 0 {
		t.Errorf("asked again: %v", asked)
	}
	told.tell(nil, "192.0.2.54:53")
	l.want(t, "www.example", "198.51.100.1")
	l.want(t, "only", "Name or service not known")
	told.tell([]string{"lab"}, "192.0.2.54:53")
	l.want(t, "only", "203.0.113.1")
	l.net.asked()
	l.want(t, "www.example", "198.51.100.1") // another list of domains spoils no answer
	if asked := l.net.asked(); len(asked) != 0 {
		t.Errorf("asked again: %v", asked)
	}
	told.tell(nil)
	l.want(t, "www.example", "Temporary failure in name resolution")
}

// TestLearnedLoses: what is configured wins.
func TestLearnedLoses(t *testing.T) {
	var told learnable
	told.tell([]string{"lab"}, "192.0.2.54:53")
	for name, change := range map[string]func(*Config){
		"nameserver line": func(c *Config) { c.ResolvConf = "nameserver 192.0.2.53\nsearch example\n" },
		"Servers": func(c *Config) {
			c.ResolvConf, c.Servers = "domain example\n", []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, func(c *Config) { c.Learned = told.get; change(c) }, twoServers(t)...)
			l.want(t, "www", "192.0.2.1")
			l.want(t, "only", "Name or service not known")
		})
	}
	l := newLab(t, func(c *Config) { c.Learned = told.get; c.ResolvConf = "search example\n" }, twoServers(t)...)
	l.want(t, "www", "198.51.100.1")
}

// TestLearnedInFlight: an answer that was asked for before the servers changed
// is not remembered after it.
func TestLearnedInFlight(t *testing.T) {
	var told learnable
	told.tell(nil, "192.0.2.53:53")
	var l *lab
	moved := false
	l = newLab(t, func(c *Config) {
		c.ResolvConf, c.Learned = "", told.get
		inner := c.Dial
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if !moved {
				moved = true
				told.tell(nil, "192.0.2.54:53")
				l.want(t, "www.example", "198.51.100.1") // another lookup, meanwhile
			}
			return inner(ctx, network, address)
		}
	}, twoServers(t)...)
	l.want(t, "www.example", "192.0.2.1")
	l.want(t, "www.example", "198.51.100.1")
}
