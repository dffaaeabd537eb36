package resolver

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// resolvConf is a resolv.conf(5) text.
type resolvConf struct {
	servers []netip.AddrPort
	search  []string // without final dots; "" is the root

	ownServers, ownSearch bool // said, and not made up

	ndots    int
	timeout  time.Duration // of one try with one server
	attempts int           // rounds over all servers

	rotate        bool
	useVC         bool // TCP only
	trustAD       bool // ask for the AD bit
	noAAAA        bool
	singleRequest bool // do not ask for A and AAAA at the same time
}

// Limits of resolv.conf(5).
const (
	maxServers  = 3
	maxNdots    = 15
	maxTimeout  = 30 * time.Second
	maxAttempts = 5
)

// parseResolvConf reads a resolv.conf(5) text. Unknown lines and options are
// skipped. Without a nameserver line the server is 127.0.0.1; without a
// domain or search line the list is the host name's own domain, if it has one.
// The last of several domain and search lines wins. The edns0 option is
// accepted and changes nothing: EDNS is always used.
func parseResolvConf(text string, host Host) resolvConf {
	c := resolvConf{ndots: 1, timeout: 5 * time.Second, attempts: 2}
	search := false
	for line := range strings.Lines(text) {
		if line[0] == '#' || line[0] == ';' {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			if lit, ok, err := parseLiteral(fields[1], host); ok && err == nil && len(c.servers) < maxServers {
				ip := lit.ip
				if lit.scope != 0 {
					ip = ip.WithZone(zoneOf(lit.scope))
				}
				c.servers = append(c.servers, netip.AddrPortFrom(ip, 53))
			}
		case "domain":
			c.search, search = fields[1:2], true
		case "search":
			c.search, search = fields[1:], true
		case "options":
			for _, option := range fields[1:] {
				c.option(option)
			}
		}
	}
	c.ownServers, c.ownSearch = len(c.servers) > 0, search
	if len(c.servers) == 0 {
		c.servers = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 53)}
	}
	if !search {
		if _, domain, ok := strings.Cut(host.Hostname(), "."); ok && domain != "" {
			c.search = []string{domain}
		}
	}
	clean := make([]string, 0, len(c.search))
	for _, domain := range c.search {
		clean = append(clean, strings.TrimSuffix(domain, "."))
	}
	c.search = clean
	return c
}

func (c *resolvConf) option(text string) {
	name, value, _ := strings.Cut(text, ":")
	number, err := strconv.Atoi(value)
	valid := err == nil && number >= 0
	switch {
	case name == "ndots" && valid:
		c.ndots = min(number, maxNdots)
	case name == "timeout" && valid:
		c.timeout = min(time.Duration(max(number, 1))*time.Second, maxTimeout)
	case name == "attempts" && valid:
		c.attempts = min(max(number, 1), maxAttempts)
	case name == "rotate":
		c.rotate = true
	case name == "use-vc":
		c.useVC = true
	case name == "trust-ad":
		c.trustAD = true
	case name == "no-aaaa":
		c.noAAAA = true
	case name == "single-request", name == "single-request-reopen":
		c.singleRequest = true
	}
}

func zoneOf(index uint32) string { return strconv.FormatUint(uint64(index), 10) }
