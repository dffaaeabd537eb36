package autoconf

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/rfc1035label"

	"usersock/stack/endpoint"
)

// Env is what the machines need of their host. All fields are required.
type Env struct {
	Clock endpoint.Clock

	// Do runs jobs one at a time, in order; it need not wait for them.
	Do func(job func())

	// Rand gives transaction numbers and the spread of timers.
	Rand *rand.Rand

	Log *slog.Logger
}

// Datagram is a UDP datagram to send or that came in.
type Datagram struct {
	Src, Dst netip.AddrPort

	// Link is the hardware address of the next hop where it is known: that of
	// the sender of what came in. Empty: to be found out.
	Link net.HardwareAddr

	Payload []byte
}

// Limits of what is remembered of the network: more is left out. They keep a
// hostile neighbour from filling memory.
const (
	maxMessage  = 4096 // bytes of a DHCP message that is looked at
	maxServers  = 8    // name servers
	maxDomains  = 16   // of a search list
	maxRoutes   = 32
	maxRouters  = 8
	maxPrefixes = 16

	// A compressed list of names may stand for very many.
	maxNames = 512 // bytes of a list of domain names

	maxDomain   = 253
	maxHostname = 64
)

// forever is a moment or a duration that never comes.
const forever = time.Duration(1<<63 - 1)

// infinite is how protocols write for ever, in seconds.
const infinite = 1<<32 - 1

// seconds makes a duration of a lifetime on the wire.
func seconds(n uint32) time.Duration {
	if n == infinite {
		return forever
	}
	return time.Duration(n) * time.Second
}

// after is now + d.
func after(now, d time.Duration) time.Duration {
	if d > forever-now {
		return forever
	}
	return now + d
}

// timer is one pending call. Its methods and the call run in Do.
type timer struct {
	env   *Env
	t     endpoint.Timer
	round int
}

// set lets f run d from now, instead of what was set before.
func (t *timer) set(d time.Duration, f func()) {
	t.stop()
	if d == forever {
		return
	}
	round := t.round
	t.t = t.env.Clock.AfterFunc(max(d, 0), func() {
		t.env.Do(func() {
			if t.round == round { // not stopped since
				t.t = nil
				f()
			}
		})
	})
}

func (t *timer) stop() {
	t.round++
	if t.t != nil {
		t.t.Stop()
		t.t = nil
	}
}

// spread returns d moved by at most by, up or down.
func (e *Env) spread(d, by time.Duration) time.Duration {
	return d + time.Duration(e.Rand.Int64N(int64(2*by)+1)) - by
}

// Domains reads a list of domain names (RFC 1035, section 3.1). What is no name
// of a host's domain is left out, and all of a list that is malformed.
func Domains(data []byte) []string {
	if len(data) == 0 || len(data) > maxNames {
		return nil
	}
	labels, err := rfc1035label.FromBytes(bytes.Clone(data))
	if err != nil {
		return nil
	}
	return domains(labels.Labels)
}

func domains(names []string) []string {
	var list []string
	for _, name := range names {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if len(list) < maxDomains && isDomain(name) {
			list = appendNew(list, name)
		}
	}
	return list
}

// isDomain reports whether name is made of labels of letters, digits, hyphens
// and underscores, of at most 63 bytes each.
func isDomain(name string) bool {
	if name == "" || len(name) > maxDomain {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

// unicast reports whether a host may have the address.
func unicast(a netip.Addr) bool {
	return a.IsValid() && !a.Is4In6() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() &&
		(!a.Is4() || a.As4()[0] != 0 && a.As4()[0] < 240)
}

// addrs returns the usable ones of a list of addresses.
func addrs(list []net.IP, limit int) []netip.Addr {
	var out []netip.Addr
	for _, ip := range list {
		if a, ok := netip.AddrFromSlice(ip); ok && unicast(a) && len(out) < limit {
			out = appendNew(out, a)
		}
	}
	return out
}

func appendNew[T comparable](list []T, v T) []T {
	for _, have := range list {
		if have == v {
			return list
		}
	}
	return append(list, v)
}
