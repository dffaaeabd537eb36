package resolver

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/idna"

	"usersock/stack/endpoint"
)

// DefaultCacheSize is how many bytes of answers a resolver remembers when
// [Config.CacheSize] is 0: some thousand names.
const DefaultCacheSize = 1 << 20

// Config is what a Resolver works with. The zero value works: such a resolver
// knows literals, localhost, services and protocols, and answers EAI_AGAIN
// for every other name because it cannot ask anyone.
type Config struct {
	// Dial opens a connected socket to a name server; network is "udp" or
	// "tcp", address a literal with port such as "192.0.2.53:53" or
	// "[fe80::53%3]:53". It must return when ctx is done. Unset, no name
	// server is asked. The resolver closes what it dialled.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Exchange, when set, replaces Dial and the name servers: it carries one
	// DNS message to a server of its own choice and returns the reply, as DNS
	// over TLS (RFC 7858) or HTTPS (RFC 8484) do. The resolver checks the
	// reply as it checks any other. It must return when ctx is done and may
	// be called by several goroutines at once.
	Exchange func(ctx context.Context, query []byte) (reply []byte, err error)

	// Host is the machine that the resolver works for. Unset, it has no
	// addresses, no interfaces and no name.
	Host Host

	// Clock tells the time for time-outs and the cache. Unset, the machine's.
	Clock endpoint.Clock

	// Rand gives the query IDs. It must be safe for several goroutines.
	// Unset, crypto/rand.
	Rand io.Reader

	// The texts of hosts(5), resolv.conf(5), nsswitch.conf(5), gai.conf(5).
	// An empty text is what an empty file is: no hosts; the name server
	// 127.0.0.1; the order "files dns own" and then Sources (files is the Hosts
	// text, own the Host itself); the policy table of RFC 6724, section 2.1.
	Hosts      string
	ResolvConf string
	Nsswitch   string
	GaiConf    string

	// The texts of services(5) and protocols(5). They replace the embedded
	// tables; empty means the embedded ones.
	Services  string
	Protocols string

	// Servers replaces the nameserver lines of ResolvConf. Unlike those it
	// has no upper limit of three, and it can name ports other than 53.
	Servers []netip.AddrPort

	// Learned, when set, returns the name servers and search domains that the
	// network has told the host, as Servers and the search line would list
	// them. It is called for each lookup, so that what it returns may change; the
	// cache then forgets what other servers said. Servers and nameserver lines
	// win over its servers, domain and search lines over its domains; where it
	// returns none, what stands there counts. It must not block or call the
	// resolver, and its slices must not change.
	Learned func() (servers []netip.AddrPort, search []string)

	// Sources are further places to look names up. Nsswitch refers to them by
	// name; without Nsswitch they come last.
	Sources []Source

	// CacheSize bounds the remembered DNS answers, in bytes. 0 means
	// DefaultCacheSize, a negative number no cache.
	CacheSize int

	// MaxTTL bounds how long an answer is remembered. 0 means one day; RFC
	// 8767, section 4, recommends days at the most.
	MaxTTL time.Duration

	// ServeStale, when positive, is how long after its end an answer may
	// still be used if no server gives a new one within 1.8 seconds (RFC 8767).
	// 0 is off.
	ServeStale time.Duration

	// Prefetch lets an answer that is used in the last tenth of its life be
	// asked for anew meanwhile, in a goroutine that Close ends.
	Prefetch bool

	// Trace, when set, hears of every question put to a name server. It is
	// called from the goroutine of the lookup, with no lock held.
	Trace func(Event)

	// TraceSource, when set, hears of every source that a lookup consults,
	// after the events of its questions. It is called like Trace.
	TraceSource func(SourceEvent)
}

// Resolver answers questions about names. Its methods may be called at the
// same time from any goroutine. Between calls it has no goroutine, except for a
// connection to a name server that is kept for some seconds after an answer
// needed TCP; Close ends that at once.
type Resolver struct {
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	exchange func(ctx context.Context, query []byte) ([]byte, error)
	host     Host
	version  Versioned // host, if it is one
	clock    endpoint.Clock
	rand     io.Reader
	trace    func(Event)

	traceSource func(SourceEvent)

	hosts   *hostsTable
	conf    resolvConf
	learned func() ([]netip.AddrPort, []string)
	whom    atomic.Pointer[whom]
	order   []step // the sources, in order
	policy  *Policy
	cache   *cache
	idna    *idna.Profile
	turn    atomic.Uint32 // which server is first, for "rotate"

	buffers sync.Pool // *[udpBufferSize]byte
	stats   struct{ Queries, TCP, Foreign, Failures atomic.Uint64 }

	// What outlives calls: refresh begins it, Close ends it.
	life       context.Context
	stop       context.CancelFunc
	background sync.WaitGroup
	closing    sync.Mutex // between refresh and Close

	servicesText  string
	services      *serviceTable
	servicesOnce  sync.Once
	protocolsText string
	protocols     *protocolTable
	protocolsOnce sync.Once
}

// New returns a resolver for cfg. The texts of configuration files are read
// as their programs read them: lines that make no sense are skipped. An error
// says that a field of cfg itself is unusable.
func New(cfg Config) (*Resolver, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	r := &Resolver{
		dial:          cfg.Dial,
		exchange:      cfg.Exchange,
		host:          cfg.Host,
		clock:         cfg.Clock,
		rand:          cfg.Rand,
		trace:         cfg.Trace,
		traceSource:   cfg.TraceSource,
		hosts:         parseHosts(cfg.Hosts),
		idna:          newIDNA(),
		servicesText:  cfg.Services,
		protocolsText: cfg.Protocols,
	}
	if r.host == nil {
		r.host = StaticHost{}
	}
	if r.clock == nil {
		r.clock = endpoint.SystemClock()
	}
	if r.rand == nil {
		r.rand = rand.Reader
	}
	r.buffers.New = func() any { return new([udpBufferSize]byte) }
	r.conf = parseResolvConf(cfg.ResolvConf, r.host)
	if len(cfg.Servers) > 0 {
		r.conf.servers, r.conf.ownServers = cfg.Servers, true
	}
	r.life, r.stop = context.WithCancel(context.Background())
	r.version, _ = r.host.(Versioned)
	r.learned = cfg.Learned
	r.whom.Store(r.makeWhom(nil, nil, nil))
	r.policy = ParseGaiConf(cfg.GaiConf)
	r.cache = newCache(cfg, r.clock)
	r.order = r.makeOrder(cfg)
	return r, nil
}

func (cfg *Config) check() error {
	for i, s := range cfg.Servers {
		if !s.IsValid() || s.Port() == 0 {
			return fmt.Errorf("resolver: Config.Servers[%d] is %v, which is no address with a port", i, s)
		}
	}
	for i, s := range cfg.Sources {
		if s == nil {
			return fmt.Errorf("resolver: Config.Sources[%d] is nil", i)
		}
		switch name := s.Name(); name {
		case "files", "dns", "own", "":
			return fmt.Errorf("resolver: Config.Sources[%d] has the name %q, which is taken", i, name)
		}
	}
	if cfg.MaxTTL < 0 || cfg.ServeStale < 0 {
		return fmt.Errorf("resolver: MaxTTL %v and ServeStale %v must not be negative", cfg.MaxTTL, cfg.ServeStale)
	}
	return nil
}
