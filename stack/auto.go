package stack

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/stack/endpoint"
	"usersock/stack/internal/autoconf"
)

// Auto says how an interface is configured by what the network tells. The zero
// value is not at all.
//
// What is learnt comes beside what was given: addresses and routes that exist
// already stay as they are. All of it goes when its time is over, and with the
// interface. [Stack.Configured] waits for it, [Stack.AutoState] shows it, and
// [Stack.NameServers] is what a resolver asks.
type Auto struct {
	// DHCPv4 asks for an IPv4 address, its routes, name servers, MTU and name
	// (RFC 2131). The address is used once no neighbour on an Ethernet answers
	// for it, which takes a second, and is given back when the interface is
	// detached or the Stack closed. UDP port 68 of the interface is the client's.
	DHCPv4 bool

	// RouterAdvertisements makes addresses, routes, name servers and the MTU of
	// what IPv6 routers say (RFC 4861, 4862, 4191, 8106). The lower half of the
	// addresses is that of the interface's link-local address, if Addrs has one;
	// else made of the hardware address; else, where there is none, random.
	RouterAdvertisements bool

	// DHCPv6 asks for name servers by DHCPv6 at once (RFC 8415, without
	// addresses). Without it, that is done where a router says so. UDP port 546
	// of an interface with router advertisements or this is the client's.
	DHCPv6 bool

	// ClientID identifies the host to a DHCPv4 server, 2 to 255 bytes: a type
	// and its value (RFC 2132, section 9.14). nil is the hardware address, or a
	// random one each time on a link that has none.
	ClientID []byte

	// Hostname is the name told to a DHCPv4 server; "" is the Stack's, or
	// nothing while that is localhost.
	Hostname string
}

func (c Auto) on() bool { return c.DHCPv4 || c.RouterAdvertisements || c.DHCPv6 }

func (cfg *Config) checkAuto(in Interface) error {
	c := in.Auto
	switch {
	case c.DHCPv4 && !cfg.serves(endpoint.AF_INET):
		return fmt.Errorf("interface %q: DHCPv4: IPv4 is not served: %w", in.Name, endpoint.EAFNOSUPPORT)
	case (c.RouterAdvertisements || c.DHCPv6) && !cfg.serves(endpoint.AF_INET6):
		return fmt.Errorf("interface %q: router advertisements, DHCPv6: IPv6 is not served: %w", in.Name, endpoint.EAFNOSUPPORT)
	case c.ClientID != nil && (len(c.ClientID) < 2 || len(c.ClientID) > 255):
		return fmt.Errorf("interface %q: a client identifier has 2 to 255 bytes, not %d: %w", in.Name, len(c.ClientID), endpoint.EINVAL)
	}
	if err := checkHostname(c.Hostname); err != nil {
		return fmt.Errorf("interface %q: host name for DHCP: %w", in.Name, err)
	}
	return nil
}

// auto configures one interface. Its machines and everything they bring about
// run as jobs, one at a time, in a goroutine that lives only while there are
// some; nothing is locked meanwhile.
type auto struct {
	s    *Stack
	id   tcpip.NICID
	name string
	cfg  Auto
	tap  *tap
	mac  net.HardwareAddr

	jobs    events
	waiting atomic.Int32 // packets among the jobs

	dhcp4  *autoconf.DHCPv4
	router *autoconf.Router
	dhcp6  *autoconf.DHCPv6

	// For jobs alone.
	dirty     bool // something else should be had
	closing   bool // nothing is wanted any more
	ended     bool
	own       netip.Prefix // the link-local address that a gives the interface
	linkLocal netip.Addr   // the one that can be used
	failed    bool         // a neighbour has the link-local address
	addrs     map[netip.Addr]*learntAddr
	routes    []learntRoute
	named     *string // the host's name, if it is by the lease
	uuid      [16]byte

	begun sync.Once // start
	once  sync.Once // stop
	shown snapshot  // under Stack.autoMu
}

// maxWaiting is how many packets of an interface wait for its machines at most.
const maxWaiting = 64

// newAuto makes what configures an interface. Its tap is what netstack gets
// instead of the link's end.
func (s *Stack) newAuto(id tcpip.NICID, name string, in Interface, end gvstack.LinkEndpoint) *auto {
	a := &auto{s: s, id: id, name: name, cfg: in.Auto, addrs: make(map[netip.Addr]*learntAddr)}
	a.cfg.ClientID = slices.Clone(in.Auto.ClientID)
	a.tap = &tap{LinkEndpoint: end, to: a}
	a.mac = hardwareAddr(end.LinkAddress())
	rng := s.net.SecureRNG()
	random := rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))
	for i := range a.uuid {
		a.uuid[i] = byte(random.Uint32())
	}
	a.uuid[6], a.uuid[8] = a.uuid[6]&0x0f|0x40, a.uuid[8]&0x3f|0x80 // version 4, RFC 9562
	env := autoconf.Env{Clock: s.clock, Do: a.do, Rand: random, Log: s.log.With("interface", name)}
	if a.cfg.DHCPv4 {
		a.dhcp4 = autoconf.NewDHCPv4(autoconf.DHCPv4Config{
			Env:          env,
			HardwareAddr: a.mac,
			ClientID:     a.clientID(),
			Hostname:     a.ownName(),
			MTU:          int(end.MTU()),
			Send:         a.send4,
			Probe:        a.probe4(),
			Changed:      a.changed,
		})
	}
	if a.cfg.RouterAdvertisements {
		a.router = autoconf.NewRouter(autoconf.RouterConfig{
			Env:         env,
			InterfaceID: a.interfaceID(in),
			MTU:         int(end.MTU()),
			Solicit:     a.solicit,
			Stateless:   func() { a.dhcp6.Start() },
			Changed:     a.changed,
		})
	}
	if a.cfg.RouterAdvertisements || a.cfg.DHCPv6 {
		a.dhcp6 = autoconf.NewDHCPv6(autoconf.DHCPv6Config{
			Env:          env,
			HardwareAddr: a.mac,
			UUID:         a.uuid,
			Send:         a.send6,
			Changed:      a.changed,
		})
	}
	return a
}

// clientID is option 61: the type of the hardware and its address, or type 0
// and what is unique enough.
func (a *auto) clientID() []byte {
	switch {
	case a.cfg.ClientID != nil:
		return a.cfg.ClientID
	case len(a.mac) > 0:
		return append([]byte{1}, a.mac...)
	}
	return append([]byte{0}, a.uuid[:]...)
}

// ownName is the name that a server is told.
func (a *auto) ownName() string {
	if name := a.s.Hostname(); a.cfg.Hostname == "" && name != defaultHostname {
		return name
	}
	return a.cfg.Hostname
}

// interfaceID is the lower half of the addresses.
func (a *auto) interfaceID(in Interface) (id [8]byte) {
	if i := slices.IndexFunc(in.Addrs, isLinkLocal6); i >= 0 {
		b := in.Addrs[i].Addr().As16()
		copy(id[:], b[8:])
		return id
	}
	if len(a.mac) > 0 {
		header.EthernetAdddressToModifiedEUI64IntoBuf(tcpip.LinkAddress(a.mac), id[:])
		return id
	}
	copy(id[:], a.uuid[8:]) // random but for two bits
	return id
}

func isLinkLocal6(p netip.Prefix) bool { return p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() }

// do queues a job. After stop it is dropped.
func (a *auto) do(job func()) {
	a.jobs.do(func() {
		if a.ended {
			return
		}
		job()
		if a.dirty {
			a.dirty = false
			a.apply()
		}
		a.show()
	})
}

// changed notes that a machine wants something else.
func (a *auto) changed() { a.dirty = true }

// admit reports whether one more packet may wait.
func (a *auto) admit() bool {
	if a.waiting.Add(1) > maxWaiting {
		a.waiting.Add(-1)
		return false
	}
	return true
}

func (a *auto) receive4(packet []byte, from net.HardwareAddr, checked bool) {
	if d, ok := datagram(packet, checked); ok && d.Src.Port() == autoconf.ServerPort4 {
		d.Link = from
		a.dhcp4.Receive(d)
	}
}

func (a *auto) receive6(packet []byte, _ net.HardwareAddr, checked bool) {
	if d, ok := datagram(packet, checked); ok {
		a.dhcp6.Receive(d.Payload)
	}
}

func (a *auto) receiveAdvert(packet []byte, _ net.HardwareAddr, checked bool) {
	if ra, ok := parseAdvert(packet, checked); ok {
		a.router.Receive(ra)
	}
}

// start begins. Starting twice is harmless.
func (a *auto) start() {
	a.begun.Do(func() {
		a.do(func() {
			if a.dhcp4 != nil {
				a.dhcp4.Start()
			}
			if a.dhcp6 != nil {
				a.startLinkLocal()
			}
		})
	})
}

// startLinkLocal gives the interface its link-local address, from which all
// else of IPv6 is asked for.
func (a *auto) startLinkLocal() {
	info, ok := a.s.net.SingleNICInfo(a.id)
	if !ok {
		return
	}
	have := prefixes(info)
	if i := slices.IndexFunc(have, isLinkLocal6); i >= 0 {
		a.start6(have[i].Addr())
		return
	}
	ll := [16]byte{0: 0xfe, 1: 0x80}
	id := a.interfaceID(Interface{})
	copy(ll[8:], id[:])
	a.own = netip.PrefixFrom(netip.AddrFrom16(ll), 64)
	a.dirty = true // goes on in assigned
}

// start6 begins what needs the link-local address.
func (a *auto) start6(linkLocal netip.Addr) {
	a.linkLocal = linkLocal
	if a.router != nil {
		a.router.Start()
	}
	if a.cfg.DHCPv6 {
		a.dhcp6.Start()
	}
}

// addAuto remembers what configures an interface.
func (s *Stack) addAuto(a *auto) {
	s.autoMu.Lock()
	s.autos = append(s.autos, a)
	s.autoMu.Unlock()
	if s.ended.Load() {
		// Close, which says so first, may have looked before it was there.
		s.stopAutos(a.name)
	}
}

func (s *Stack) listAutos() []*auto {
	s.autoMu.Lock()
	defer s.autoMu.Unlock()
	return slices.Clone(s.autos)
}

// startAutos begins what has not begun.
func (s *Stack) startAutos() {
	for _, a := range s.listAutos() {
		a.start()
	}
}

// stopAutos ends what configures an interface, or all with the name "", and
// forgets it. Two callers wait for the same end.
func (s *Stack) stopAutos(name string) {
	var ended []*auto
	for _, a := range s.listAutos() {
		if name == "" || a.name == name {
			a.stop()
			ended = append(ended, a)
		}
	}
	s.autoMu.Lock()
	defer s.autoMu.Unlock()
	s.autos = slices.DeleteFunc(s.autos, func(a *auto) bool { return slices.Contains(ended, a) })
}

// linkUp says that packets pass again.
func (a *auto) linkUp() {
	a.do(func() {
		if a.dhcp4 != nil {
			a.dhcp4.LinkUp()
		}
		if a.router != nil {
			a.router.LinkUp()
		}
		if a.dhcp6 != nil {
			a.dhcp6.LinkUp()
		}
	})
}

// stop gives back and withdraws everything, and returns when nothing of a runs
// any more. Stopping twice is harmless.
func (a *auto) stop() {
	a.once.Do(func() {
		up := a.s.linkUp(a.id)
		done := make(chan struct{})
		a.do(func() {
			a.closing = true
			if a.dhcp4 != nil {
				a.dhcp4.Stop(up)
			}
			if a.router != nil {
				a.router.Stop()
			}
			if a.dhcp6 != nil {
				a.dhcp6.Stop()
			}
			a.dirty = true
		})
		a.do(func() {
			a.ended = true
			close(done)
		})
		<-done
		a.jobs.close()
	})
}

// probe4 returns what asks the neighbours for an IPv4 address, nil where there
// are none.
func (a *auto) probe4() func(netip.Addr, func(bool)) {
	if len(a.mac) == 0 {
		return nil
	}
	return func(ip netip.Addr, done func(taken bool)) {
		detector := a.detector(header.ARPProtocolNumber, probes4, probeWait4)
		if detector == nil {
			done(false)
			return
		}
		answer := func(r gvstack.DADResult) { // under netstack's locks
			_, taken := r.(*gvstack.DADDupAddrDetected)
			a.do(func() { done(taken) })
		}
		if detector.CheckDuplicateAddress(address(ip), answer) == gvstack.DADDisabled {
			done(false)
		}
	}
}

// Of RFC 5227's three probes one to two seconds apart two are sent, half a
// second apart: a host that starts shall not wait for seconds. IPv6 is as RFC 4862
// has it.
const (
	probes4    = 2
	probeWait4 = 500 * time.Millisecond
	probes6    = 1
	probeWait6 = time.Second
)

// detector returns what finds duplicates of addresses on the interface, set to
// ask so often.
func (a *auto) detector(proto tcpip.NetworkProtocolNumber, transmits uint8, wait time.Duration) gvstack.DuplicateAddressDetector {
	ep, err := a.s.net.GetNetworkEndpoint(a.id, proto)
	if err != nil {
		return nil
	}
	d, ok := ep.(gvstack.DuplicateAddressDetector)
	if !ok {
		return nil
	}
	d.SetDADConfigurations(gvstack.DADConfigurations{DupAddrDetectTransmits: transmits, RetransmitTimer: wait})
	return d
}

// autoLinkUp passes on that the link of an interface is up again.
func (s *Stack) autoLinkUp(name string) {
	for _, a := range s.listAutos() {
		if a.name == name {
			a.linkUp()
		}
	}
}
