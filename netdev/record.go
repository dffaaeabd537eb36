package netdev

import (
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/internal/wire"
	"usersock/netdev/internal/pcapng"
	"usersock/stack/endpoint"
)

// Theory of recording.
//
// A recorded link stands around the link itself, as [Count] does. What it writes
// is what a wire would carry, not what passes here: a long TCP segment is cut into
// segments of its MSS (of the MTU on the way in, where the MSS is not known any
// more), and checksums that an offload has left out are filled in, on a copy; for
// that the fragments of an IPv6 datagram wait until the last one is there. So a
// reader sees neither packets above the MTU nor wrong checksums.
//
// The network never waits for the file. Blocks go into memory, up to a bound,
// and a goroutine that lives only while there is something to write writes them.
// A packet that does not fit is counted and not recorded.

// RecordConfig says how to record. Its zero value works.
type RecordConfig struct {
	// SnapLen is how many bytes of a packet are kept; 0 is all of it.
	SnapLen int

	// QueueBytes bounds the memory for what the writer has not yet taken; 0 is
	// 32 MiB.
	QueueBytes int

	// Program is named in the file as the one that wrote it; "" is usersock.
	Program string

	// Clock gives the times; nil is the machine's. Give the stack's own if that
	// is another.
	Clock endpoint.Clock
}

// Recorder writes what passes one or several links as pcapng, which Wireshark
// and tcpdump read. Its methods may be called from any goroutine.
type Recorder struct {
	w   io.Writer
	cfg RecordConfig

	packets, missed atomic.Uint64

	mu      sync.Mutex
	links   uint32
	head    []byte // blocks to write before those that wait
	waiting []byte
	hold    endpoint.Timer // while the record is held; else nil
	keys    bool           // KeyLog has been called
	comment string
	running bool
	closed  bool
	err     error
	idle    sync.Cond // mu; the writer has ended
}

// NewRecorder returns a recorder that writes to w: a file, or a pipe that
// Wireshark reads ("wireshark -k -i -"). Nothing else may write to w. Close ends
// it; w stays open.
func NewRecorder(w io.Writer, cfg RecordConfig) *Recorder {
	if cfg.QueueBytes <= 0 {
		cfg.QueueBytes = 32 << 20
	}
	if cfg.SnapLen <= 0 {
		cfg.SnapLen = maxPacket + etherHeader
	}
	if cfg.Program == "" {
		cfg.Program = "usersock"
	}
	if cfg.Clock == nil {
		cfg.Clock = endpoint.SystemClock()
	}
	r := &Recorder{w: w, cfg: cfg}
	r.idle.L = &r.mu
	r.head = pcapng.AppendSection(nil, runtime.GOOS, cfg.Program)
	r.mu.Lock()
	r.start()
	r.mu.Unlock()
	return r
}

// Record records a single link; see [NewRecorder] and [Recorder.Link].
func Record(l Link, name string, w io.Writer, cfg RecordConfig) (Link, *Recorder) {
	r := NewRecorder(w, cfg)
	return r.Link(l, name), r
}

// Link returns l with a recorder on it, as the interface called name. It takes
// l's place: l itself is not attached any more. The medium is observed until
// the link is closed, so that no bytes pass beside the packets.
func (r *Recorder) Link(l Link, name string) Link {
	inner := l.Wire()
	c := &recorded{LinkEndpoint: inner.Endpoint, r: r, end: *inner, ether: inner.Endpoint.LinkAddress() != ""}
	if inner.Medium != nil {
		c.release = inner.Medium.Observe()
	}
	c.end.Endpoint, c.end.Medium = c, nil
	if gso, ok := inner.Endpoint.(stack.GSOEndpoint); ok {
		c.end.Endpoint = &recordedGSO{c, gso}
	}
	kind := uint16(pcapng.LinkRaw)
	if c.ether {
		kind = pcapng.LinkEthernet
	}
	r.mu.Lock()
	c.number = r.links
	r.links++
	r.first(func(b []byte) []byte {
		return pcapng.AppendInterface(b, kind, uint32(r.cfg.SnapLen), name, inner.Text)
	})
	r.mu.Unlock()
	return c
}

// Comment puts text into the file, at the next packet.
func (r *Recorder) Comment(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.comment != "" {
		text = r.comment + "\n" + text
	}
	r.comment = text
}

// KeyLog returns a writer for [crypto/tls.Config].KeyLogWriter: with these keys
// in the file, Wireshark shows what TLS has encrypted. Whoever has the file can
// read it all. The writer never fails.
//
// Wireshark wants a connection's keys before the packets in which they are
// agreed, and they are known just after. So from the call on packets are held
// for a quarter of a second before they are written.
func (r *Recorder) KeyLog() io.Writer {
	r.mu.Lock()
	r.keys = true
	r.mu.Unlock()
	return keyLog{r}
}

// keyDelay is how long packets are held for the keys that belong to them.
const keyDelay = 250 * time.Millisecond

type keyLog struct{ r *Recorder }

func (k keyLog) Write(lines []byte) (int, error) {
	k.r.mu.Lock()
	defer k.r.mu.Unlock()
	k.r.first(func(b []byte) []byte { return pcapng.AppendSecrets(b, lines) })
	return len(lines), nil
}

// Packets returns how many packets have been recorded, and how many have not
// because the writer was too slow or has failed.
func (r *Recorder) Packets() (recorded, missed uint64) {
	return r.packets.Load(), r.missed.Load()
}

// Err returns why the writer has failed, nil if it has not. A recording that
// has failed stands still; its links go on.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Close writes what is left, waits for it, and ends the recording; the links
// go on. It returns the writer's error. Closing twice is harmless.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.release()
	for r.running {
		r.idle.Wait()
	}
	return r.err
}

// add appends a block; put does so with r.mu held.
func (r *Recorder) add(block func([]byte) []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put(block)
}

// put reports whether the block will be written.
func (r *Recorder) put(block func([]byte) []byte) bool {
	if r.closed || r.err != nil || len(r.waiting) > r.cfg.QueueBytes {
		return false
	}
	r.waiting = block(r.waiting)
	r.start()
	return true
}

// first appends a block to those that are written first. It is called with
// r.mu held.
func (r *Recorder) first(block func([]byte) []byte) {
	if r.closed || r.err != nil {
		return
	}
	r.head = block(r.head)
	r.start()
}

// start starts the writer, or the time after which it starts. It is called
// with r.mu held.
func (r *Recorder) start() {
	switch {
	case !r.running:
		r.running = true
		if r.keys && !r.closed {
			r.hold = r.cfg.Clock.AfterFunc(keyDelay, r.expired)
			return
		}
		go r.write()
	case len(r.waiting) > r.cfg.QueueBytes/2:
		r.release()
	}
}

// release ends the time that the record is held. It is called with r.mu held.
func (r *Recorder) release() {
	if r.hold != nil && r.hold.Stop() {
		r.hold = nil
		go r.write()
	}
}

// expired is called when the record has been held long enough.
func (r *Recorder) expired() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hold = nil
	go r.write()
}

// keepBytes is how much memory an idle recorder keeps.
const keepBytes = 1 << 20

// write writes what waits until nothing does.
func (r *Recorder) write() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.head)+len(r.waiting) > 0 && r.err == nil {
		b := r.head
		if r.head = nil; len(r.waiting) > 0 {
			b = append(b, r.waiting...)
			r.waiting = r.waiting[:0]
		}
		r.mu.Unlock()
		n, err := r.w.Write(b)
		if err == nil && n < len(b) {
			err = io.ErrShortWrite
		}
		r.mu.Lock()
		if r.head == nil && cap(b) <= keepBytes {
			r.head = b[:0]
		}
		if cap(r.waiting) > keepBytes && len(r.waiting) == 0 {
			r.waiting = nil
		}
		if err != nil {
			r.err = fmt.Errorf("netdev: record: %w", err)
		}
		if r.keys && !r.closed && len(r.head) == 0 {
			break // what came meanwhile is held in its turn
		}
	}
	r.running = false
	if len(r.waiting) > 0 && r.err == nil {
		r.start()
	}
	r.idle.Broadcast()
}

// packet records a packet of link number; b is what a wire would carry.
func (r *Recorder) packet(number, direction uint32, b []byte) {
	nanos := uint64(r.cfg.Clock.Now().UnixNano())
	r.mu.Lock()
	ok := r.put(func(buf []byte) []byte {
		return pcapng.AppendPacket(buf, number, nanos, direction, len(b), b[:min(len(b), r.cfg.SnapLen)], r.comment)
	})
	if ok {
		r.comment = ""
	}
	r.mu.Unlock()
	if ok {
		r.packets.Add(1)
	} else {
		r.missed.Add(1)
	}
}

// stats records what a link has seen in all.
func (r *Recorder) stats(number uint32, seen, missed uint64) {
	nanos := uint64(r.cfg.Clock.Now().UnixNano())
	r.add(func(b []byte) []byte { return pcapng.AppendStats(b, number, nanos, seen, missed) })
}

// recorded stands around a link endpoint.
type recorded struct {
	stack.LinkEndpoint
	r       *Recorder
	number  uint32
	ether   bool
	end     wire.End
	release func() // of the medium, or nil
	up      atomic.Pointer[stack.NetworkDispatcher]
	seen    atomic.Uint64
	once    sync.Once

	fragments [pcapng.Outbound + 1]datagrams // by direction, while their checksum is not known
}

// recordedGSO is recorded around an endpoint with GSO: netstack asks for that
// by a type assertion.
type recordedGSO struct {
	*recorded
	stack.GSOEndpoint
}

var (
	_ stack.LinkEndpoint      = (*recorded)(nil)
	_ stack.NetworkDispatcher = (*recorded)(nil)
	_ stack.GSOEndpoint       = (*recordedGSO)(nil)
)

func (c *recorded) Wire() *wire.End { return &c.end }

// WritePackets implements stack.LinkWriter.
func (c *recorded) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	partial := c.Capabilities()&stack.CapabilityTXChecksumOffload != 0
	for _, pkt := range pkts.AsSlice() {
		switch {
		case isSuper(pkt):
			segment(pkt, func(seg *stack.PacketBuffer) { c.record(pcapng.Outbound, seg, false) })
		default:
			c.record(pcapng.Outbound, pkt, partial && !pkt.NetworkPacketInfo.IsForwardedPacket)
		}
	}
	return c.LinkEndpoint.WritePackets(pkts)
}

// record writes one packet; partial says that its checksum may be missing.
func (c *recorded) record(direction uint32, pkt *stack.PacketBuffer, partial bool) {
	c.seen.Add(1)
	v := pkt.ToView()
	defer v.Release()
	b := v.AsSlice()
	ip := b
	if c.ether {
		ip = b[min(etherHeader, len(b)):]
	}
	if partial {
		if c.fragment(direction, b, len(b)-len(ip)) {
			return
		}
		completeChecksum(ip)
	}
	mtu := int(c.MTU())
	if len(ip) > mtu && direction == pcapng.Inbound {
		if super := superPacket(b, len(b)-len(ip), mtu); super != nil {
			segment(super, func(seg *stack.PacketBuffer) {
				v := seg.ToView()
				c.r.packet(c.number, direction, v.AsSlice())
				v.Release()
			})
			super.DecRef()
			return
		}
	}
	c.r.packet(c.number, direction, b)
}

// fragment takes a packet that may be a fragment without its checksum, and
// reports whether it did. link is the length of the Ethernet header.
func (c *recorded) fragment(direction uint32, b []byte, link int) bool {
	ip := b[link:]
	if len(ip) < fragmentEnd || ip[0]>>4 != header.IPv6Version || ip[6] != fragmentHeader {
		return false
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(b)})
	defer pkt.DecRef()
	if link > 0 {
		pkt.LinkHeader().Consume(link)
	}
	pkt.NetworkHeader().Consume(fragmentEnd)
	c.fragments[direction].complete(pkt, func(whole *stack.PacketBuffer) {
		v := whole.ToView()
		c.r.packet(c.number, direction, v.AsSlice())
		v.Release()
	})
	return true
}

// completeChecksum fills in the transport checksum of a whole TCP or UDP
// packet.
func completeChecksum(ip []byte) {
	proto, ok := check(ip)
	if !ok || !atOnce(ip) {
		return
	}
	p := transportOf(ip, proto)
	switch p.proto {
	case header.TCPProtocolNumber:
		if t := header.TCP(p.b); len(t) >= header.TCPMinimumSize {
			t.SetChecksum(0)
			t.SetChecksum(^p.sum())
		}
	case header.UDPProtocolNumber:
		if u := header.UDP(p.b); len(u) >= header.UDPMinimumSize {
			u.SetChecksum(0)
			u.SetChecksum(udpChecksum(p.sum()))
		}
	}
}

// superPacket makes a packet buffer of a TCP packet that is longer than the
// MTU, ready for segment; nil if b is something else. It copies b.
func superPacket(b []byte, link, mtu int) *stack.PacketBuffer {
	proto, ok := check(b[link:])
	if !ok || !atOnce(b[link:]) {
		return nil
	}
	p := transportOf(b[link:], proto)
	if p.proto != header.TCPProtocolNumber || len(p.b) < header.TCPMinimumSize {
		return nil
	}
	hlen := int(header.TCP(p.b).DataOffset())
	mss := mtu - p.at - hlen
	if hlen < header.TCPMinimumSize || hlen > len(p.b) || mss <= 0 {
		return nil
	}
	return superOf(b[:link+p.at+len(p.b)], link, link+p.at, hlen, mss)
}

// Attach implements stack.LinkEndpoint.
func (c *recorded) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		c.LinkEndpoint.Attach(nil)
		c.up.Store(nil)
		return
	}
	c.up.Store(&d)
	c.LinkEndpoint.Attach(c)
}

// DeliverNetworkPacket implements stack.NetworkDispatcher.
func (c *recorded) DeliverNetworkPacket(proto tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	if d := c.up.Load(); d != nil {
		c.record(pcapng.Inbound, pkt, c.Capabilities()&stack.CapabilityRXChecksumOffload != 0)
		(*d).DeliverNetworkPacket(proto, pkt)
	}
}

// DeliverLinkPacket implements stack.NetworkDispatcher.
func (c *recorded) DeliverLinkPacket(proto tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	if d := c.up.Load(); d != nil {
		(*d).DeliverLinkPacket(proto, pkt)
	}
}

// Close implements stack.LinkEndpoint.
func (c *recorded) Close() {
	c.LinkEndpoint.Close()
	for i := range c.fragments {
		c.fragments[i].clear()
	}
	c.once.Do(func() {
		if c.release != nil {
			c.release()
		}
		drops := Dropped(c)
		lost := drops.RxDown + drops.RxForeign + drops.RxMalformed + drops.RxQueueFull + drops.RxTooLong
		c.r.stats(c.number, c.seen.Load()+lost, lost)
	})
}
