package netdev

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/internal/wire"
	"usersock/netdev/internal/virtio"
)

// Theory of the fast path.
//
// A TUN, a TAP and a packet socket are descriptors that carry one packet a
// system call. What makes them fast is to make the packets larger than the wire
// would have them. With IFF_VNET_HDR (PACKET_VNET_HDR) every packet has a header
// before it, see package virtio, which says what is still to be done: fill in
// the checksum, cut into segments. So a TCP segment of 64 KiB crosses in one
// call, and the kernel cuts it, or never has to.
//
// Out: netstack hands over segments of up to 64 KiB with a partial checksum
// (GSO). The header is made from its GSO options, and one writev takes the header
// and the packet's own memory, in the goroutine that sends. What is not TCP gets
// its checksum here.
//
// In: one goroutine a queue reads into memory that netstack then keeps. Packets
// under keepFrom bytes are copied, so that they do not hold 64 KiB each. The
// kernel's own packets have partial checksums and are as good as checked. Those
// that the kernel only forwards are not: their checksums are looked at here,
// because a link with receive offload is believed. Several datagrams in one
// (USO) have no counterpart in netstack and are cut.
//
// A stack that forwards is offered no GSO, since what it forwards may leave by a
// link without (wire.End.Forwards). What comes in as one segment of 64 KiB is
// cut into its segments before it goes up.
//
// Several queues (IFF_MULTI_QUEUE) are several descriptors of one interface. The
// kernel spreads flows over them; packets of one flow leave by one queue, so
// that they keep their order.

const (
	// readSize is the memory for one packet: the largest that netstack's pools
	// hold. A TAP's longest frame has some bytes more; those are read behind it.
	readSize  = 64 << 10
	spillSize = 64

	// keepFrom is the length from which on a packet keeps the memory that it
	// was read into. Below it memory is worth more than the copy.
	keepFrom = readSize / 4
)

// vnetConfig describes descriptors that carry packets.
type vnetConfig struct {
	kind   string // "TUN": for people
	name   string // of the interface
	files  []*os.File
	mtu    int
	mac    tcpip.LinkAddress
	pi     bool   // four bytes of struct tun_pi come first
	header int    // length of the virtio header, 0: none
	gso    bool   // the kernel takes segments and partial checksums from us
	text   string // the offloads, for people

	// down says whether an error of a read or write means that the interface is
	// down and may come back. bad, if any, says whether an error of a read means
	// that the kernel has dropped a packet that it could not hand over.
	down, bad func(error) bool
	// watch, if any, knows the state of the interface, which then is its word
	// alone.
	watch *linkWatch
	// closing is called before the descriptors are closed, and closed after.
	closing func()
	closed  func()
}

// vnetEnd is the link endpoint behind a TUN, a TAP and a packet socket.
type vnetEnd struct {
	port
	cfg     vnetConfig
	prefix  int // length of all that stands before the packet
	queues  []*vnetQueue
	end     wire.End
	split   datagrams
	emit    func(*stack.PacketBuffer) // plain, bound once
	writers sync.Pool                 // of *vnetWriter

	isDown  atomic.Bool
	started atomic.Bool
	readers sync.WaitGroup
	done    chan struct{} // closed when the readers have ended
	failure atomic.Pointer[error]
}

var (
	_ stack.LinkEndpoint = (*vnetEnd)(nil)
	_ stack.GSOEndpoint  = (*vnetEnd)(nil)
)

// newVnet makes the link of open descriptors, which it owns also on failure.
func newVnet(cfg vnetConfig) (*vnetEnd, error) {
	e := &vnetEnd{cfg: cfg, done: make(chan struct{}), prefix: cfg.header}
	if cfg.pi {
		e.prefix += piLen
	}
	e.port.init(min(cfg.mtu, maxPacket), 0, nil)
	e.port.mac = cfg.mac
	e.emit = e.plain
	for _, f := range cfg.files {
		conn, err := f.SyscallConn()
		if err != nil {
			e.release()
			return nil, errnoOf(err)
		}
		e.queues = append(e.queues, newQueue(e, f, conn))
	}
	e.isDown.Store(cfg.watch != nil && !cfg.watch.up)
	e.status.set(State{Up: !e.isDown.Load()})
	e.end = wire.End{
		Endpoint: e,
		Forwards: e.setForwards,
		Drops:    e.drops.snapshot,
		Status:   e.status.get,
		Watch:    e.status.watch,
		Text:     fmt.Sprintf("%s, %s, MTU %d, %s", cfg.name, cfg.kind, cfg.mtu, cfg.text),
	}
	return e, nil
}

// release closes the descriptors.
func (e *vnetEnd) release() {
	closeFiles(e.cfg.files)
	if e.cfg.watch != nil {
		e.cfg.watch.close()
	}
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// Wire implements [Link].
func (e *vnetEnd) Wire() *wire.End { return &e.end }

func (e *vnetEnd) ifName() string { return e.cfg.name }

func (e *vnetEnd) err() error {
	if p := e.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// offers reports whether netstack may leave checksums and segmentation to the
// kernel.
func (e *vnetEnd) offers() bool { return e.cfg.gso && !e.forwards.Load() }

// Capabilities implements stack.LinkEndpoint.
func (e *vnetEnd) Capabilities() stack.LinkEndpointCapabilities {
	if e.offers() {
		return stack.CapabilityTXChecksumOffload | stack.CapabilityRXChecksumOffload | e.resolution()
	}
	return plainCapabilities(e.forwards.Load()) | e.resolution()
}

// gsoNeedless is the MTU from which on segmentation is not left to the kernel:
// a packet of its own is as long as an offload's then, and netstack spends more
// on putting segments together than that saves.
const gsoNeedless = 32 << 10

// SupportedGSO implements stack.GSOEndpoint.
func (e *vnetEnd) SupportedGSO() stack.SupportedGSO {
	if e.offers() && e.mtu.Load() < gsoNeedless {
		return stack.HostGSOSupported
	}
	return stack.GSONotSupported
}

// GSOMaxSize implements stack.GSOEndpoint.
func (e *vnetEnd) GSOMaxSize() uint32 { return gsoMaxSize }

// WritePackets implements stack.LinkWriter.
func (e *vnetEnd) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	offers := e.offers()
	for _, pkt := range pkts.AsSlice() {
		switch {
		case offers && needsChecksum(pkt) && pkt.TransportProtocolNumber == header.TCPProtocolNumber:
			e.write(pkt, true)
		case offers && !isSuper(pkt):
			e.split.complete(pkt, e.emit)
		default:
			e.split.finish(pkt, e.forwards.Load(), e.emit)
		}
	}
	return pkts.Len(), nil
}

func (e *vnetEnd) plain(pkt *stack.PacketBuffer) { e.write(pkt, false) }

// write sends one packet; gso says that the kernel finishes it.
func (e *vnetEnd) write(pkt *stack.PacketBuffer, gso bool) {
	if e.port.closed.Load() || e.failure.Load() != nil {
		e.drops.txDown.Add(1)
		return
	}
	if wireSize(pkt) > int(e.mtu.Load()) {
		e.drops.txTooLong.Add(1)
		return
	}
	w, _ := e.writers.Get().(*vnetWriter)
	if w == nil {
		w = newWriter()
	}
	w.header(e, pkt, gso)
	w.gather(pkt)
	q := e.queues[0]
	if len(e.queues) > 1 {
		q = e.queues[flowHash(pkt)%uint32(len(e.queues))]
	}
	err := q.conn.Control(w.do)
	if err == nil && w.errno != 0 {
		err = w.errno
	}
	w.clear()
	e.writers.Put(w)
	if err != nil {
		e.drops.txFailed.Add(1)
		switch {
		case e.cfg.down(err):
			e.noticed(false)
		case err == syscall.EBADF: // the reader hears nothing of that
			e.fail(err)
		}
	} else if e.isDown.Load() {
		e.noticed(true)
	}
}

// noticed is told by a read or a write whether packets pass.
func (e *vnetEnd) noticed(up bool) {
	if e.cfg.watch == nil {
		e.setUp(up)
	}
}

func (e *vnetEnd) setUp(up bool) {
	if e.isDown.Swap(!up) == up {
		e.status.set(State{Up: up})
	}
}

// Attach implements stack.LinkEndpoint. The readers start with the first
// stack.
func (e *vnetEnd) Attach(d stack.NetworkDispatcher) {
	e.port.Attach(d)
	if d == nil || e.started.Swap(true) {
		return
	}
	for _, q := range e.queues {
		e.readers.Go(q.run)
	}
	if w := e.cfg.watch; w != nil {
		e.readers.Go(func() {
			if err := w.run(e.setUp); !e.port.closed.Load() {
				e.fail(err)
			}
		})
	}
	go func() {
		e.readers.Wait()
		close(e.done)
	}()
}

// Close implements stack.LinkEndpoint. Use [Close].
func (e *vnetEnd) Close() {
	if !e.shut() {
		return
	}
	if e.cfg.closing != nil {
		e.cfg.closing()
	}
	e.release()
	if e.started.Swap(true) {
		<-e.done
	} else { // the readers will never run
		close(e.done)
	}
	for _, q := range e.queues {
		q.view.Release()
	}
	e.split.clear()
	if e.cfg.closed != nil {
		e.cfg.closed()
	}
}

// fail notes why the link has ended by itself.
func (e *vnetEnd) fail(err error) {
	err = fmt.Errorf("netdev: %s interface %q: %w", e.cfg.kind, e.cfg.name, endedBy("the interface is gone", err))
	if e.failure.CompareAndSwap(nil, &err) {
		e.status.set(State{Err: err})
	}
}

// vnetQueue reads one descriptor.
type vnetQueue struct {
	e     *vnetEnd
	conn  syscall.RawConn
	view  *buffer.View // where the next packet goes
	head  [piLen + maxVnetHeader]byte
	spill [spillSize]byte
	iov   [3]unix.Iovec
	n     int
	errno syscall.Errno
}

func newQueue(e *vnetEnd, _ *os.File, conn syscall.RawConn) *vnetQueue {
	q := &vnetQueue{e: e, conn: conn}
	q.renew()
	return q
}

// renew takes new memory for the next packet.
func (q *vnetQueue) renew() { q.view = buffer.NewViewSize(readSize) }

// run delivers packets until the descriptor ends. This goroutine holds no lock
// of an endpoint, so that every kind of packet goes straight up.
func (q *vnetQueue) run() {
	e := q.e
	read := q.read // bound once
	for !e.port.closed.Load() {
		err := q.conn.Read(read)
		if err == nil && q.errno != 0 {
			err = q.errno
		}
		switch {
		case err == nil:
			if e.isDown.Load() {
				e.noticed(true)
			}
			q.take(q.n)
		case e.port.closed.Load():
			return
		case e.cfg.down(err):
			e.noticed(false)
		case e.cfg.bad != nil && e.cfg.bad(err):
			e.drops.rxMalformed.Add(1)
		default:
			e.fail(err)
			return
		}
	}
}

// read reads one packet; it is called until it returns true, which says that
// there was one, or an error.
func (q *vnetQueue) read(fd uintptr) bool {
	iov := q.iov[:0]
	add := func(b []byte) {
		iov = iov[:len(iov)+1]
		iov[len(iov)-1].Base = &b[0]
		iov[len(iov)-1].SetLen(len(b))
	}
	if q.e.prefix > 0 {
		add(q.head[:q.e.prefix])
	}
	add(q.view.AsSlice())
	add(q.spill[:])
	for {
		n, _, errno := unix.Syscall(unix.SYS_READV, fd, uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
		switch errno {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		}
		q.n, q.errno = int(n), errno
		return true
	}
}

// take delivers what has been read: n bytes with all that stands before the
// packet.
func (q *vnetQueue) take(n int) {
	e := q.e
	n -= e.prefix
	if n <= 0 {
		e.drops.rxMalformed.Add(1)
		return
	}
	b := q.view.AsSlice()[:min(n, readSize)]
	if n > readSize {
		b = append(append(make([]byte, 0, n), b...), q.spill[:n-readSize]...)
	}
	var h virtio.Header
	if e.cfg.header > 0 {
		h = virtio.Decode(q.head[e.prefix-e.cfg.header:])
	}
	link := 0
	if e.mac != "" {
		link = etherHeader
	}
	if err := h.Check(b, link); err != nil {
		e.drops.rxMalformed.Add(1)
		return
	}
	forwards := e.forwards.Load()
	kind := h.GSOType &^ virtio.GSOECN
	mtu := int(e.mtu.Load())
	if kind != virtio.GSONone {
		mtu = maxPacket
	}
	a, ok := e.accept(b, mtu)
	switch {
	case !ok:
	case kind == virtio.GSOUDPL4:
		if !h.Split(b, link, func(d []byte) {
			e.port.up(packetOf(buffer.MakeWithView(buffer.NewViewWithData(d)), a))
		}) {
			e.drops.rxMalformed.Add(1)
		}
	case kind != virtio.GSONone && forwards:
		e.segments(b, a, &h)
	case h.Flags == 0 && e.cfg.gso && !forwards && !checked(b[link:], a.proto):
		e.drops.rxMalformed.Add(1)
	default:
		if forwards {
			h.Complete(b)
		}
		e.port.up(packetOf(q.keep(b), a))
	}
}

// keep returns b, which lies at the start of q's memory or in memory of its
// own, as a buffer: a copy if it is short, else the memory itself.
func (q *vnetQueue) keep(b []byte) buffer.Buffer {
	if len(b) < keepFrom || len(b) > readSize {
		return buffer.MakeWithView(buffer.NewViewWithData(b))
	}
	v := q.view
	v.CapLength(len(b))
	q.renew()
	return buffer.MakeWithView(v)
}

// segments cuts a long TCP segment for a stack that forwards.
func (e *vnetEnd) segments(b []byte, a arrival, h *virtio.Header) {
	if !atOnce(b[a.link:]) { // a fragment of something
		e.drops.rxMalformed.Add(1)
		return
	}
	p := transportOf(b[a.link:], a.proto) // without what may follow the packet
	tcp := 0
	if len(p.b) > header.TCPMinimumSize {
		tcp = int(header.TCP(p.b).DataOffset())
	}
	if tcp < header.TCPMinimumSize || tcp >= len(p.b) {
		e.drops.rxMalformed.Add(1)
		return
	}
	transport := a.link + p.at
	pkt := superOf(b[:transport+len(p.b)], a.link, transport, tcp, int(h.GSOSize))
	defer pkt.DecRef()
	segment(pkt, func(seg *stack.PacketBuffer) {
		if ipSize(seg) > int(e.mtu.Load()) {
			e.drops.rxTooLong.Add(1)
			return
		}
		v := seg.ToView()
		e.port.up(packetOf(buffer.MakeWithView(v), a))
	})
}

// checked reports whether the checksum of a whole TCP or UDP packet is right.
// Others are not looked at here.
func checked(ip []byte, proto tcpip.NetworkProtocolNumber) bool {
	if proto == header.ARPProtocolNumber || !atOnce(ip) {
		return true
	}
	p := transportOf(ip, proto)
	if p.proto == header.UDPProtocolNumber {
		if u := header.UDP(p.b); len(u) < header.UDPMinimumSize || u.Checksum() == 0 && proto == header.IPv4ProtocolNumber {
			return true // netstack decides
		}
	}
	return p.sum() == 0xffff
}

// The kernel's numbers that x/sys lacks.
const (
	tunFUSO4 = 0x20
	tunFUSO6 = 0x40
)

// offloads are what we ask the kernel for, best first: a kernel that does not
// know one of them refuses them all.
var offloads = [...]struct {
	flags int
	text  string
}{
	{unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | tunFUSO4 | tunFUSO6, "checksums, TSO4, TSO6, USO"},
	{unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6, "checksums, TSO4, TSO6"},
	{unix.TUN_F_CSUM | unix.TUN_F_TSO4, "checksums, TSO4"},
	{unix.TUN_F_CSUM, "checksums"},
}

// setOffloads asks for the best offloads that the kernel has, and says in a
// few words what it gave.
func setOffloads(fd int) string {
	for _, o := range offloads {
		if unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, o.flags) == nil {
			return o.text
		}
	}
	return "no offload inwards"
}

// tunDown says that a TUN or TAP is down: the kernel refuses to write to it.
func tunDown(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENETDOWN)
}
