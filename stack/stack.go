package stack

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/internal/virtual"
	"usersock/internal/wire"
	"usersock/netdev"
	"usersock/stack/endpoint"
	"usersock/stack/internal/inet"
	"usersock/stack/internal/unix"
)

// Stack is one host. All methods may be called from any goroutine.
type Stack struct {
	cfg      Config
	clock    endpoint.Clock
	realTime bool         // the clock is the machine's
	virtual  virtual.Host // nil unless a driver moves the time
	log      *slog.Logger
	net      *gvstack.Stack
	inet     *inet.Protocols
	unix     *unix.Family
	families map[int]endpoint.Family
	stopPump func()

	ended    atomic.Bool
	closed   chan struct{} // closed when Close has finished
	hostname atomic.Pointer[string]

	mu     sync.Mutex // for the names only; never held across a call into netstack
	names  map[string]tcpip.NICID
	lastID tcpip.NICID
	links  map[tcpip.NICID]netdev.State // of links that tell theirs

	counters counters
	lastSock atomic.Uint64 // the last SO_COOKIE given out

	autoMu      sync.Mutex // for what interfaces have learnt; never held across a call into netstack
	autos       []*auto    // of interfaces that configure themselves
	autoChanged chan struct{}
	learnt      atomic.Pointer[names]

	looks  events // at links whose state has changed
	events events // to tell the watchers
}

// New makes a host and attaches what the configuration names. When it fails,
// everything is closed again, the links of the configuration included.
func New(cfg Config) (*Stack, error) {
	realTime := cfg.Clock == nil
	// The caller may use its slices for another host.
	cfg.Interfaces, cfg.Families = slices.Clone(cfg.Interfaces), slices.Clone(cfg.Families)
	cfg.RawProtocols = slices.Clone(cfg.RawProtocols)
	if err := cfg.check(); err != nil {
		cfg.closeLinks()
		return nil, err
	}
	s := &Stack{
		cfg:      cfg,
		clock:    cfg.Clock,
		realTime: realTime,
		log:      cfg.Log,
		names:    make(map[string]tcpip.NICID),
		links:    make(map[tcpip.NICID]netdev.State),
		closed:   make(chan struct{}),

		autoChanged: make(chan struct{}),
	}
	s.virtual, _ = cfg.Clock.(virtual.Host)
	s.hostname.Store(&s.cfg.Hostname)
	s.net = gvstack.New(s.options())
	if err := s.tune(); err != nil {
		cfg.closeLinks()
		s.Close()
		return nil, err
	}
	s.standStill()
	s.openFamilies()
	if err := s.bringUp(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// check fills in the defaults and refuses what cannot work before anything
// is opened.
func (cfg *Config) check() error {
	if cfg.Hostname == "" {
		cfg.Hostname = defaultHostname
	}
	if cfg.Cred == (endpoint.Cred{}) {
		cfg.Cred = endpoint.Cred{Pid: 1}
	}
	if cfg.Clock == nil {
		cfg.Clock = endpoint.SystemClock()
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if err := checkHostname(cfg.Hostname); err != nil {
		return fmt.Errorf("stack: Hostname: %w", err)
	}
	if err := checkFamilies(cfg.Families); err != nil {
		return err
	}
	if cfg.LocalPorts == (PortRange{}) {
		cfg.LocalPorts = PortRange{32768, 60999}
	}
	if r := cfg.LocalPorts; r.First == 0 || r.First > r.Last {
		return fmt.Errorf("stack: LocalPorts: %d to %d is no range of ports: %w", r.First, r.Last, endpoint.EINVAL)
	}
	for i, n := range cfg.RawProtocols {
		if n < 1 || n >= endpoint.IPPROTO_RAW {
			return fmt.Errorf("stack: RawProtocols[%d]: %d is not 1 to 254: %w", i, n, endpoint.EINVAL)
		}
	}
	names := map[string]bool{loopbackName: true}
	for i, in := range cfg.Interfaces {
		if in.Name != "" && names[in.Name] {
			return fmt.Errorf("stack: Interfaces[%d]: name %q is taken: %w", i, in.Name, endpoint.EEXIST)
		}
		names[in.Name] = true
		if err := cfg.checkInterface(in); err != nil {
			return fmt.Errorf("stack: Interfaces[%d]: %w", i, err)
		}
	}
	for i := range cfg.Interfaces {
		// The others get what the named ones leave free.
		for n := 0; cfg.Interfaces[i].Name == ""; n++ {
			if free := fmt.Sprintf("eth%d", n); !names[free] {
				cfg.Interfaces[i].Name, names[free] = free, true
			}
		}
	}
	for i, r := range cfg.Routes {
		if err := r.check(); err != nil {
			return fmt.Errorf("stack: Routes[%d]: %w", i, err)
		}
	}
	return nil
}

func (cfg *Config) closeLinks() {
	for _, in := range cfg.Interfaces {
		if in.Link != nil {
			in.Link.Wire().Endpoint.Close()
		}
	}
}

// defaultHostname is the name of a host that was given none.
const defaultHostname = "localhost"

// hostNameMax is HOST_NAME_MAX of Linux, sethostname(2).
const hostNameMax = 64

func checkHostname(name string) error {
	if len(name) > hostNameMax {
		return fmt.Errorf("%q has more than %d bytes: %w", name, hostNameMax, endpoint.EINVAL)
	}
	for i := range len(name) {
		if name[i] == 0 {
			return fmt.Errorf("%q holds a NUL byte: %w", name, endpoint.EINVAL)
		}
	}
	return nil
}

// options chooses netstack's protocols: those of the families served.
func (s *Stack) options() gvstack.Options {
	o := gvstack.Options{
		TransportProtocols: []gvstack.TransportProtocolFactory{inet.NewTCP, inet.NewUDP, inet.NewUDPLite},
		Clock:              netClock{s.clock},
		HandleLocal:        true,
	}
	o.TransportProtocols = append(o.TransportProtocols, inet.RawProtocols(s.cfg.RawProtocols)...)
	if s.cfg.serves(endpoint.AF_INET) {
		o.NetworkProtocols = append(o.NetworkProtocols, inet.NewIPv4, arp.NewProtocol)
		o.TransportProtocols = append(o.TransportProtocols, icmp.NewProtocol4)
	}
	if s.cfg.serves(endpoint.AF_INET6) {
		o.NetworkProtocols = append(o.NetworkProtocols, inet.NewIPv6) // see auto.go for interfaces that heed advertisements
		o.TransportProtocols = append(o.TransportProtocols, icmp.NewProtocol6)
	}
	switch {
	case s.virtual != nil:
		o.RandSource, o.SecureRNG = s.virtual.Source(), s.virtual.Source()
	case s.cfg.Seed != 0:
		source := virtual.NewSource(s.cfg.Seed, "", 0)
		o.RandSource, o.SecureRNG = source, source
	}
	return o
}

// Buffers of TCP in bytes. The default is what a connection may use at most
// unless the application sets SO_SNDBUF or SO_RCVBUF; memory is taken only
// for bytes that wait.
const (
	tcpMinBuffer     = 4 << 10
	tcpDefaultBuffer = 4 << 20
	tcpMaxBuffer     = 8 << 20
)

// tune sets what differs from netstack's defaults, for all connections.
func (s *Stack) tune() error {
	// RACK stays off: with it a transfer over a link that loses packets can
	// stand still for ever, see TestStallWithRACK.
	recovery := tcpip.TCPRecovery(0)
	sack := tcpip.TCPSACKEnabled(true)
	control := tcpip.CongestionControlOption("cubic")
	moderate := tcpip.TCPModerateReceiveBufferOption(false)
	for _, o := range []tcpip.SettableTransportProtocolOption{
		&recovery, &sack, &control, &moderate,
		&tcpip.TCPSendBufferSizeRangeOption{Min: tcpMinBuffer, Default: tcpDefaultBuffer, Max: tcpMaxBuffer},
		&tcpip.TCPReceiveBufferSizeRangeOption{Min: tcpMinBuffer, Default: tcpDefaultBuffer, Max: tcpMaxBuffer},
	} {
		if err := s.net.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return fmt.Errorf("stack: set TCP option %T: %s", o, err)
		}
	}
	if err := s.net.SetPortRange(s.cfg.LocalPorts.First, s.cfg.LocalPorts.Last); err != nil {
		return fmt.Errorf("stack: LocalPorts: %w", inet.Errno(err))
	}
	if !s.cfg.Forwarding {
		return nil
	}
	s.counters.expired = wire.GuardForwarding(s.net)
	for _, f := range [...]struct {
		family int
		proto  tcpip.NetworkProtocolNumber
	}{{endpoint.AF_INET, ipv4.ProtocolNumber}, {endpoint.AF_INET6, ipv6.ProtocolNumber}} {
		if !s.cfg.serves(f.family) {
			continue
		}
		if err := s.net.SetForwardingDefaultAndAllNICs(f.proto, true); err != nil {
			return fmt.Errorf("stack: forwarding: %s", err)
		}
	}
	return nil
}

// standStill hands netstack's processing to the driver of virtual time, if
// there is one: the processors of TCP run only inside its pump.
func (s *Stack) standStill() {
	if s.virtual == nil {
		return
	}
	processors := s.net.TransportProtocolInstance(tcp.ProtocolNumber)
	processors.Pause()
	stop := s.virtual.AttachPump(func() {
		processors.Resume()
		processors.Pause()
	})
	s.stopPump = func() {
		stop()
		processors.Resume()
	}
}

// bringUp attaches the loopback interface and what the configuration names.
func (s *Stack) bringUp() error {
	lo := Interface{Name: loopbackName, Link: s.loopback()}
	if s.cfg.serves(endpoint.AF_INET) {
		lo.Addrs = append(lo.Addrs, netip.MustParsePrefix("127.0.0.1/8"))
	}
	if s.cfg.serves(endpoint.AF_INET6) {
		lo.Addrs = append(lo.Addrs, netip.MustParsePrefix("::1/128"))
	}
	err := s.Attach(lo)
	if err == nil {
		err = s.openLoopback()
	}
	if err != nil {
		s.cfg.closeLinks()
		return err
	}
	for i, in := range s.cfg.Interfaces {
		if err := s.attach(in); err != nil {
			rest := Config{Interfaces: s.cfg.Interfaces[i+1:]}
			rest.closeLinks()
			return err
		}
	}
	for _, r := range s.cfg.Routes {
		if err := s.AddRoute(r); err != nil {
			return err
		}
	}
	s.startAutos()
	return nil
}

// openLoopback lets lo take packets to the addresses of all interfaces, as
// Linux's does. Netstack gives lo such an address only for as long as the
// sender holds its route, and a packet that waits on its way may come later.
func (s *Stack) openLoopback() error {
	id, err := s.nic(loopbackName)
	if err != nil {
		return err
	}
	if err := s.net.SetPromiscuousMode(id, true); err != nil {
		return fmt.Errorf("stack: %s takes every own address: %w", loopbackName, inet.Errno(err))
	}
	return nil
}

// loopback returns the link of lo. In virtual time its packets wait for the
// driver, as all others do.
func (s *Stack) loopback() netdev.Link {
	if looper, ok := s.virtual.(virtual.Looper); ok {
		return netdev.LoopbackDevice(looper.Loopback(netdev.LoopbackMTU))
	}
	return netdev.Loopback()
}

// newID returns a number that no other endpoint of this host has.
func (s *Stack) newID() uint64 { return s.lastSock.Add(1) }

// Clock returns the clock of this host.
func (s *Stack) Clock() endpoint.Clock { return s.clock }

// Virtual returns the driver's view of this host, nil in real time.
func (s *Stack) Virtual() virtual.Host { return s.virtual }

// Cred returns the identity of the host's processes.
func (s *Stack) Cred() endpoint.Cred { return s.cfg.Cred }

// Hostname returns the host's name, gethostname(2).
func (s *Stack) Hostname() string { return *s.hostname.Load() }

// SetHostname changes the host's name, sethostname(2): EINVAL for more than
// 64 bytes.
func (s *Stack) SetHostname(name string) error {
	if err := checkHostname(name); err != nil {
		return err
	}
	s.hostname.Store(&name)
	return nil
}

// Shutdown lets what applications have closed be delivered, then closes the
// stack: it waits until every closed TCP connection has had its last byte and
// FIN acknowledged, or ctx ends, whose error it then returns. Sockets still
// open at that point are reset.
func (s *Stack) Shutdown(ctx context.Context) error {
	err := s.inet.Drain(ctx)
	if cerr := s.Close(); err == nil {
		err = cerr
	}
	return err
}

// Close resets every connection, closes every link and ends everything the
// stack runs. It returns when all of that is gone; closing twice is harmless.
func (s *Stack) Close() error {
	if s.ended.Swap(true) {
		<-s.closed
		return nil
	}
	defer close(s.closed)
	if s.stopPump != nil {
		s.stopPump()
	}
	s.looks.close()
	s.stopAutos("")
	s.events.close()
	if s.unix != nil {
		s.unix.Close()
	}
	if s.inet != nil {
		s.inet.End()
	}
	s.net.Close()
	for id := range s.net.NICInfo() {
		// Each link is closed here, and not inside Wait, which holds a lock
		// of netstack meanwhile.
		s.net.RemoveNIC(id)
	}
	s.net.Wait()
	s.log.Info("host closed", "host", s.Hostname())
	return nil
}
