package netdev

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/internal/wire"
	"usersock/stack/endpoint"
)

// Theory of the segment.
//
// A segment is one Ethernet in memory for any number of stacks: a broadcast
// domain in which hosts find each other by ARP and neighbour discovery. A hub
// gives every frame to every other port, a switch to the port behind which its
// address was last seen, and to all while that is not known and when the
// address is a group's.
//
// Between stacks a frame is handed over by reference, as on a [Pair]: inside the
// call that sends it if it is TCP or UDP, else by way of the receiver's queue
// (file queue.go). The order of ports is that of joining. No lock is held while a
// frame is handed over: the ports stand in a slice that is replaced, never
// changed.
//
// Offloads are those of a pair (file offload.go): long TCP segments and partial
// checksums pass between stacks, until a stack that forwards or a device joins,
// since those see what a real wire would carry.

// SegmentConfig describes an Ethernet in memory. Its zero value is a switch.
type SegmentConfig struct {
	// Hub gives every frame to every port. Without it the segment is a switch
	// that learns.
	Hub bool

	// MTU is the longest IP packet in bytes, 68 to 65535, and at least 1280 for
	// IPv6; 0 is 1500.
	MTU int

	// Age is how long a switch remembers an address that sends nothing; 0 is 300
	// seconds (IEEE 802.1Q, table 8-6).
	Age time.Duration

	// TableSize is how many addresses a switch remembers; 0 is 4096. When that is
	// not enough, the one that was silent longest is forgotten.
	TableSize int

	// Clock is the time for Age; nil is the machine's.
	Clock endpoint.Clock
}

// Segment is an Ethernet in memory. Its methods may be called from any
// goroutine.
type Segment struct {
	cfg    SegmentConfig
	medium wire.Medium
	fdb    *fdb         // nil: a hub
	plain  atomic.Int32 // stacks that forward, and devices
	ports  atomic.Pointer[[]plug]

	mu     sync.Mutex // for the fields below, and for replacing ports
	last   uint32     // of the addresses that were given out
	taken  map[string]bool
	closed bool
}

// plug is a port of a segment.
type plug interface {
	// carry takes a frame from another port: pkt, with its link header, is the
	// sender's. It does not block.
	carry(pkt *stack.PacketBuffer)
}

// NewSegment returns an Ethernet without ports. It panics if the MTU is out of
// range.
func NewSegment(cfg SegmentConfig) *Segment {
	if cfg.MTU == 0 {
		cfg.MTU = 1500
	}
	if cfg.MTU < minMTU || cfg.MTU > maxPacket {
		panic(fmt.Sprintf("netdev: NewSegment: MTU %d is not within %d to %d", cfg.MTU, minMTU, maxPacket))
	}
	if cfg.Age <= 0 {
		cfg.Age = 300 * time.Second
	}
	if cfg.TableSize <= 0 {
		cfg.TableSize = 4096
	}
	if cfg.Clock == nil {
		cfg.Clock = endpoint.SystemClock()
	}
	s := &Segment{cfg: cfg, taken: make(map[string]bool)}
	if !cfg.Hub {
		s.fdb = &fdb{clock: cfg.Clock, age: cfg.Age, limit: cfg.TableSize, entries: make(map[tcpip.LinkAddress]fdbEntry)}
	}
	s.ports.Store(&[]plug{})
	return s
}

// PortConfig describes a port for a stack. Its zero value works.
type PortConfig struct {
	// HardwareAddr is the stack's address, 6 bytes, that of one station. Empty is
	// the next free one of 02:00:00:00:00:01, :02 and so on, in the order of
	// joining.
	HardwareAddr net.HardwareAddr

	// Queued and QueueLimit are those of [PairConfig].
	Queued     bool
	QueueLimit int
}

// Join returns a new port of the segment, for one stack. EADDRINUSE if another
// port has the hardware address, EINVAL if it is none of a station, ENETDOWN
// once the segment is closed.
func (s *Segment) Join(cfg PortConfig) (Link, error) {
	if err := checkHardwareAddr(cfg.HardwareAddr); err != nil {
		return nil, fmt.Errorf("netdev: join a segment: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("netdev: join a segment: it is closed: %w", endpoint.ENETDOWN)
	}
	mac := cfg.HardwareAddr
	for len(mac) == 0 || len(cfg.HardwareAddr) == 0 && s.taken[string(mac)] {
		s.last++
		mac = net.HardwareAddr{2, 0, byte(s.last >> 24), byte(s.last >> 16), byte(s.last >> 8), byte(s.last)}
	}
	if s.taken[string(mac)] {
		return nil, fmt.Errorf("netdev: join a segment: another port has the hardware address %v: %w", mac, endpoint.EADDRINUSE)
	}
	s.taken[string(mac)] = true
	p := &segmentPort{seg: s, queued: cfg.Queued}
	p.emit = func(pkt *stack.PacketBuffer) { s.forward(p, pkt) }
	p.port.init(s.cfg.MTU, cfg.QueueLimit, mac)
	kind := "switch"
	if s.cfg.Hub {
		kind = "hub"
	}
	p.end = wire.End{Endpoint: p, Forwards: p.setForwards, Medium: &s.medium, Drops: p.drops.snapshot,
		Text: fmt.Sprintf("port %v of a %s in memory, MTU %d", mac, kind, s.cfg.MTU)}
	s.add(p)
	return p, nil
}

// Plug puts a device that carries Ethernet frames on a port: another network,
// or a program that looks at frames or makes them. The segment owns dev until
// unplug is called, which closes it and returns its error; closing the segment
// does the same. What dev delivers is handed on inside its call, so that the
// rules of DeviceConfig.Direct hold for it.
func (s *Segment) Plug(dev Device) (unplug func() error, err error) {
	p := &devicePort{seg: s, dev: dev, mtu: dev.MTU()}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, errors.Join(fmt.Errorf("netdev: plug a device: the segment is closed: %w", endpoint.ENETDOWN), dev.Close())
	}
	s.plain.Add(1)
	s.add(p)
	s.mu.Unlock()
	dev.Attach(p.deliver)
	return p.unplug, nil
}

// add and remove replace the ports. They are called with s.mu held.
func (s *Segment) add(p plug) {
	list := append(slices.Clone(*s.ports.Load()), p)
	s.ports.Store(&list)
}

func (s *Segment) remove(p plug) {
	list := slices.DeleteFunc(slices.Clone(*s.ports.Load()), func(q plug) bool { return p == q })
	s.ports.Store(&list)
}

// Close unplugs the devices. Ports of stacks go on until their stacks close
// them, but nothing can join any more.
func (s *Segment) Close() error {
	s.mu.Lock()
	s.closed = true
	ports := *s.ports.Load()
	s.mu.Unlock()
	var errs []error
	for _, p := range ports {
		if d, ok := p.(*devicePort); ok {
			errs = append(errs, d.unplug())
		}
	}
	return errors.Join(errs...)
}

// forward hands a frame of the port from to those that it is for.
func (s *Segment) forward(from plug, pkt *stack.PacketBuffer) {
	eth := header.Ethernet(pkt.LinkHeader().Slice())
	if s.fdb != nil {
		s.fdb.learn(eth.SourceAddress(), from)
		if dst := eth.DestinationAddress(); dst[0]&1 == 0 {
			if to := s.fdb.where(dst); to != nil {
				if to != from {
					to.carry(pkt)
				}
				return
			}
		}
	}
	for _, to := range *s.ports.Load() {
		if to != from {
			to.carry(pkt)
		}
	}
}

// segmentPort is a port with a stack.
type segmentPort struct {
	port
	seg    *Segment
	queued bool
	end    wire.End
	split  datagrams
	emit   func(*stack.PacketBuffer) // forward, bound once
}

var (
	_ stack.LinkEndpoint = (*segmentPort)(nil)
	_ stack.GSOEndpoint  = (*segmentPort)(nil)
)

func (p *segmentPort) Wire() *wire.End { return &p.end }

func (p *segmentPort) setForwards(on bool) {
	if p.forwards.Swap(on) == on {
		return
	}
	if on {
		p.seg.plain.Add(1)
	} else {
		p.seg.plain.Add(-1)
	}
}

func (p *segmentPort) plain() bool { return p.seg.plain.Load() != 0 }

// WritePackets implements stack.LinkWriter.
func (p *segmentPort) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range pkts.AsSlice() {
		switch {
		case p.closed.Load():
			p.drops.txDown.Add(1)
		case wireSize(pkt) > int(p.mtu.Load()):
			p.drops.txTooLong.Add(1)
		case p.plain():
			p.split.finish(pkt, p.forwards.Load(), p.emit)
		default:
			p.emit(pkt)
		}
	}
	return pkts.Len(), nil
}

// carry implements plug.
func (p *segmentPort) carry(pkt *stack.PacketBuffer) {
	link := pkt.LinkHeader().Slice()
	a, ok := p.acceptFrame(link)
	switch {
	case !ok:
		return
	case p.down():
		p.drops.rxDown.Add(1)
		return
	case wireSize(pkt) > int(p.mtu.Load()):
		p.drops.rxTooLong.Add(1)
		return
	}
	ip := pkt.NetworkHeader().Slice()
	if a.proto != header.ARPProtocolNumber && len(ip) == 0 {
		p.drops.rxMalformed.Add(1)
		return
	}
	now := !p.queued && a.proto != header.ARPProtocolNumber && atOnce(ip)
	in := pkt.CloneToInbound()
	in.LinkHeader().Consume(len(link))
	in.NetworkProtocolNumber, in.PktType = a.proto, a.kind
	in.Mark = 0 // a mark does not leave its host
	p.receive(in, now)
}

// Capabilities implements stack.LinkEndpoint. See offload.go.
func (p *segmentPort) Capabilities() stack.LinkEndpointCapabilities {
	if !p.plain() {
		return stack.CapabilityRXChecksumOffload | stack.CapabilityTXChecksumOffload | p.resolution()
	}
	return plainCapabilities(p.forwards.Load()) | p.resolution()
}

// SupportedGSO implements stack.GSOEndpoint.
func (p *segmentPort) SupportedGSO() stack.SupportedGSO {
	if p.plain() {
		return stack.GSONotSupported
	}
	return stack.HostGSOSupported
}

// GSOMaxSize implements stack.GSOEndpoint.
func (p *segmentPort) GSOMaxSize() uint32 { return gsoMaxSize }

// Close implements stack.LinkEndpoint.
func (p *segmentPort) Close() {
	if !p.shut() {
		return
	}
	p.setForwards(false)
	s := p.seg
	s.mu.Lock()
	s.remove(p)
	delete(s.taken, string(p.mac))
	s.mu.Unlock()
	if s.fdb != nil {
		s.fdb.forget(p)
	}
	p.split.clear()
}

// devicePort is a port with a device.
type devicePort struct {
	seg  *Segment
	dev  Device
	mtu  int
	once sync.Once
	err  error
}

// carry implements plug. What the device does not take is lost, as on a wire.
func (p *devicePort) carry(pkt *stack.PacketBuffer) {
	if ipSize(pkt) > p.mtu {
		return
	}
	v := pkt.ToView()
	p.dev.Send(v.AsSlice())
	v.Release()
}

// deliver takes a frame from the device.
func (p *devicePort) deliver(frame []byte) {
	if len(frame) < etherHeader || frame[header.EthernetAddressSize]&1 != 0 {
		return
	}
	pkt := outsideFrame(frame)
	p.seg.forward(p, pkt)
	pkt.DecRef()
}

func (p *devicePort) unplug() error {
	p.once.Do(func() {
		s := p.seg
		s.mu.Lock()
		s.remove(p)
		s.mu.Unlock()
		if s.fdb != nil {
			s.fdb.forget(p)
		}
		p.dev.Attach(nil)
		p.err = p.dev.Close()
		s.plain.Add(-1)
	})
	return p.err
}
