package netdev

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/waiter"

	"usersock/stack/endpoint"
)

// A connect that a router answers with "no route" fails, although the ICMP
// error comes back while Connect holds the endpoint's lock.
func TestConnectNoRoute(t *testing.T) {
	for _, to := range []string{"203.0.113.1:7", "[2001:db8:c::1]:7"} {
		t.Run(to, func(t *testing.T) {
			r := newRouted(t, 1500, 1500)
			_, err := r.alice.dial(to)
			switch err.(type) {
			case *tcpip.ErrHostUnreachable, *tcpip.ErrNetworkUnreachable:
			default:
				t.Errorf("dial: %v, want unreachable", err)
			}
		})
	}
}

// The same through a link of its own: an own address, and the answer to a
// datagram for a closed port comes from inside Write.
func TestLoopback(t *testing.T) {
	h := newHost(t)
	h.attach(Loopback(), "127.0.0.1/8", "::1/128")
	a, _ := Pair(PairConfig{})
	h.attach(a, aliceNet, aliceNet6)
	for _, to := range []string{"127.0.0.1:7", "[::1]:7", "192.0.2.1:7", "[2001:db8::1]:7"} {
		transfer(t, h, h.listen(to), to, pattern(1<<20))
	}
	if d := Dropped(a); d != (Drops{}) {
		t.Errorf("own addresses used the other link: %+v", d)
	}
	addr, proto := full("127.0.0.1:81")
	s := h.open(header.UDPProtocolNumber, proto)
	if err := s.Connect(addr); err != nil {
		t.Fatal(err)
	}
	s.write([]byte("?"))
	for s.Readiness(waiter.EventErr) == 0 {
		<-s.event
	}
	if _, ok := s.LastError().(*tcpip.ErrConnectionRefused); !ok {
		t.Error("a datagram to a closed port was not refused")
	}
	if _, err := h.dial("127.0.0.1:81"); err == nil {
		t.Error("connected to a closed port")
	}
}

// echo sends one ICMP echo request and waits for the reply.
func (h *host) echo(to string) {
	h.Helper()
	addr, proto := full(to)
	s := h.open(icmp.ProtocolNumber4, proto)
	if err := s.Connect(addr); err != nil {
		h.Fatal(err)
	}
	req := make([]byte, 8+1000)
	req[0] = byte(header.ICMPv4Echo)
	copy(req[8:], pattern(1000))
	if !s.write(req) {
		return
	}
	got := make([]byte, 2000)
	if n := s.read(got); n != len(req) || got[0] != byte(header.ICMPv4EchoReply) || string(got[8:n]) != string(req[8:]) {
		h.Errorf("echo: %d bytes % x", n, got[:8])
	}
}

// What goes through the queue is delivered by a goroutine that ends when the
// queue is empty.
func TestQueueGoroutineEnds(t *testing.T) {
	alice, bob := twoHosts(t, PairConfig{Queued: true})
	a := alice.GetLinkEndpointByName("").(*pairEnd)
	b := bob.GetLinkEndpointByName("").(*pairEnd)
	for range 100 {
		alice.echo("192.0.2.2:0")
	}
	for _, e := range []*pairEnd{a, b} {
		e.inbox.drainer.Wait() // or the test hangs
		e.inbox.mu.Lock()
		if e.inbox.running || e.inbox.packets != 0 || e.inbox.bytes != 0 {
			t.Errorf("an idle queue: running %v, %d packets, %d bytes", e.inbox.running, e.inbox.packets, e.inbox.bytes)
		}
		e.inbox.mu.Unlock()
	}
}

// blocked is a dispatcher that keeps every packet waiting until it is let go.
type blocked struct {
	entered chan struct{}
	release chan struct{}
	mu      sync.Mutex
	sizes   []int
}

func newBlocked() *blocked {
	return &blocked{entered: make(chan struct{}, 10000), release: make(chan struct{})}
}

func (b *blocked) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	b.entered <- struct{}{}
	<-b.release
	b.mu.Lock()
	b.sizes = append(b.sizes, pkt.Size())
	b.mu.Unlock()
}

func (b *blocked) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}

// outgoing is a packet as a stack hands it to a link.
func outgoing(t testing.TB, protocol byte, payload int) *stack.PacketBuffer {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: 40,
		Payload:            buffer.MakeWithData(pattern(payload)),
	})
	h := header.IPv4(pkt.NetworkHeader().Push(header.IPv4MinimumSize))
	h.Encode(&header.IPv4Fields{
		TotalLength: uint16(header.IPv4MinimumSize + payload), TTL: 64, Protocol: protocol,
		SrcAddr: tcpip.AddrFrom4([4]byte{192, 0, 2, 1}), DstAddr: tcpip.AddrFrom4([4]byte{192, 0, 2, 2}),
	})
	h.SetChecksum(^h.CalculateChecksum())
	pkt.NetworkProtocolNumber = header.IPv4ProtocolNumber
	t.Cleanup(pkt.DecRef)
	return pkt
}

func send(l Link, pkt *stack.PacketBuffer) {
	var list stack.PacketBufferList
	list.PushBack(pkt)
	l.Wire().Endpoint.WritePackets(list)
}

// The queue is bounded, keeps the order, and counts what it loses.
func TestQueueBound(t *testing.T) {
	a, b := Pair(PairConfig{QueueLimit: 10})
	d := newBlocked()
	b.Wire().Endpoint.Attach(d)
	for i := range 25 {
		send(a, outgoing(t, 1, i))
		if i == 0 {
			<-d.entered // the drainer has it, and it still counts
		}
	}
	if got := Dropped(b).RxQueueFull; got != 15 {
		t.Errorf("%d packets did not fit, want 15", got)
	}
	close(d.release)
	for range 9 {
		<-d.entered
	}
	b.(*pairEnd).inbox.drainer.Wait()
	for i, n := range d.sizes {
		if n != header.IPv4MinimumSize+i {
			t.Errorf("packet %d has %d bytes: order lost", i, n)
		}
	}
	if len(d.sizes) != 10 {
		t.Errorf("%d packets arrived, want 10", len(d.sizes))
	}
	Close(a)
	Close(b)
}

func TestQueueBytes(t *testing.T) {
	a, b := Pair(PairConfig{})
	d := newBlocked()
	b.Wire().Endpoint.Attach(d)
	pkt := outgoing(t, 1, 65000)
	for range queueBytes/65020 + 5 {
		send(a, pkt)
	}
	if got := Dropped(b).RxQueueFull; got != 5 {
		t.Errorf("%d packets did not fit, want 5", got)
	}
	close(d.release)
	Close(b)
	Close(a)
}

// Close waits for the delivery in progress, drops the rest, and packets that
// come later are dropped.
func TestCloseWaits(t *testing.T) {
	a, b := Pair(PairConfig{})
	d := newBlocked()
	b.Wire().Endpoint.Attach(d)
	for range 3 {
		send(a, outgoing(t, 1, 100))
	}
	<-d.entered
	closed := make(chan struct{})
	go func() { Close(b); close(closed) }()
	for !b.(*pairEnd).closed.Load() {
		runtime.Gosched()
	}
	select {
	case <-closed:
		t.Error("closed while a packet was being delivered")
	default:
	}
	close(d.release)
	<-closed
	if len(d.sizes) != 1 {
		t.Errorf("%d packets delivered, want 1", len(d.sizes))
	}
	Close(b) // again
	for _, protocol := range []byte{1, 17} {
		send(a, outgoing(t, protocol, 100))
	}
	if got := Dropped(a).TxDown; got != 2 {
		t.Errorf("%d packets lost to the closed end, want 2", got)
	}
	send(b, outgoing(t, 17, 100))
	if got := Dropped(b).TxDown; got != 1 {
		t.Errorf("the closed end sent")
	}
	Close(a)
}

// Too long for the other end, as with two interfaces of different MTU.
func TestPairTooLong(t *testing.T) {
	a, b := Pair(PairConfig{MTU: 1500})
	d := newBlocked()
	close(d.release)
	b.Wire().Endpoint.Attach(d)
	send(a, outgoing(t, 17, 1480))
	send(a, outgoing(t, 17, 1481))
	if got := Dropped(a).TxTooLong; got != 1 || len(d.sizes) != 1 {
		t.Errorf("%d too long, %d arrived; want 1 and 1", got, len(d.sizes))
	}
}

// Stacks end while the other one sends, in both orders and at once.
func TestCloseRaces(t *testing.T) {
	for i := range 30 {
		alice, bob := newHost(t), newHost(t)
		a, b := Pair(PairConfig{Queued: i%2 == 1, MTU: 1500})
		alice.attach(a, aliceNet)
		bob.attach(b, bobNet)
		l := bob.listen("192.0.2.2:7")
		c, err := alice.dial("192.0.2.2:7")
		if err != nil {
			t.Fatal(err)
		}
		s := l.accept()
		from := alice.udp("192.0.2.1:9")
		var work sync.WaitGroup
		flow := make(chan struct{})
		var once sync.Once
		work.Go(func() {
			for b := pattern(60000); ; {
				c.r.Reset(b)
				_, err := c.Endpoint.Write(&c.r, tcpip.WriteOptions{})
				if _, full := err.(*tcpip.ErrWouldBlock); err != nil && !full {
					return
				}
				runtime.Gosched()
			}
		})
		work.Go(func() {
			buf := make([]byte, 60000)
			for {
				s.w.b = buf
				_, err := s.Endpoint.Read(&s.w, tcpip.ReadOptions{})
				if _, empty := err.(*tcpip.ErrWouldBlock); err != nil && !empty {
					once.Do(func() { close(flow) })
					return
				}
				if err == nil {
					once.Do(func() { close(flow) })
				}
				runtime.Gosched()
			}
		})
		work.Go(func() {
			for range 300 { // nobody listens: ICMP errors come back
				from.sendTo(pattern(100), "192.0.2.2:82")
			}
		})
		<-flow
		// One end goes first, or both at once.
		switch i % 3 {
		case 0:
			alice.end()
			bob.end()
		case 1:
			bob.end()
			alice.end()
		default:
			work.Go(alice.end)
			work.Go(bob.end)
		}
		work.Wait()
	}
}

// What a device gets wrong is counted, and nothing else happens.
func TestDeviceBadPackets(t *testing.T) {
	dev, _ := newCable(1500)
	l := FromDevice(dev, DeviceConfig{})
	d := newBlocked()
	close(d.release)
	l.Wire().Endpoint.Attach(d)
	good := outgoing(t, 17, 100).ToView().ToSlice()
	long := outgoing(t, 17, 1481).ToView().ToSlice()
	for _, p := range [][]byte{nil, {}, {0x45}, {0x60}, {0x50, 1, 2}, good[:19], good[:119], make([]byte, 40), make([]byte, 3000)} {
		dev.deliver(p)
	}
	if got := Dropped(l).RxMalformed; got != 9 {
		t.Errorf("%d malformed, want 9", got)
	}
	dev.deliver(long)
	if got := Dropped(l).RxTooLong; got != 1 {
		t.Errorf("%d too long, want 1", got)
	}
	dev.deliver(append(good, make([]byte, 10)...)) // padding is no fault
	dev.deliver(good)
	if len(d.sizes) != 2 {
		t.Errorf("%d packets arrived, want 2", len(d.sizes))
	}
	deliver := dev.deliver
	Close(l)
	Close(l)
	deliver(good)
	if got := Dropped(l).RxDown; got != 1 {
		t.Errorf("%d packets after the close, want 1", got)
	}
	if dev.deliver != nil || dev.closed != 1 {
		t.Errorf("the device: deliver %v, closed %d times", dev.deliver != nil, dev.closed)
	}
}

// failing is a device that refuses every packet.
type failing struct{ *cable }

func (failing) Send([]byte) error { return errors.New("full") }

func TestDeviceRefuses(t *testing.T) {
	dev, _ := newCable(1500)
	l := FromDevice(failing{dev}, DeviceConfig{})
	l.Wire().Endpoint.Attach(newBlocked())
	send(l, outgoing(t, 17, 100))
	send(l, outgoing(t, 17, 1500))
	if got := Dropped(l); got != (Drops{TxFailed: 1, TxTooLong: 1}) {
		t.Errorf("drops %+v", got)
	}
	Close(l)
	send(l, outgoing(t, 17, 100))
	if got := Dropped(l).TxDown; got != 1 {
		t.Errorf("%d packets after the close, want 1", got)
	}
}

// Counters count, wrappers compose, and offloads pass through them.
func TestCount(t *testing.T) {
	a, b := Pair(PairConfig{MTU: 1500})
	inner, ca := Count(a)
	outer, cc := Count(inner)
	alice, bob := newHost(t), newHost(t)
	bl, cb := Count(b)
	alice.attach(outer, aliceNet)
	bob.attach(bl, bobNet)
	gso, ok := outer.Wire().Endpoint.(stack.GSOEndpoint)
	if !ok || gso.SupportedGSO() != stack.HostGSOSupported || gso.GSOMaxSize() != 65535 {
		t.Error("GSO does not pass through")
	}
	if outer.Wire().Medium != nil {
		t.Error("the medium shows through a counter")
	}
	transfer(t, alice, bob.listen("192.0.2.2:7"), "192.0.2.2:7", pattern(1<<20))
	bob.end()
	alice.end()
	if ca.TxPackets.Load() == 0 || ca.TxPackets.Load() > 400 {
		t.Errorf("%d packets for 1 MiB: not as with GSO", ca.TxPackets.Load())
	}
	if n := ca.TxBytes.Load(); n < 1<<20 {
		t.Errorf("%d bytes counted", n)
	}
	if ca.TxPackets.Load() != cc.TxPackets.Load() || ca.RxBytes.Load() != cc.RxBytes.Load() {
		t.Error("two counters on one link differ")
	}
	lost := Dropped(outer).TxDown + Dropped(bl).RxDown
	if got := cb.RxPackets.Load() + lost; got != ca.TxPackets.Load() {
		t.Errorf("%d sent, %d received or lost", ca.TxPackets.Load(), got)
	}
	if dev, _ := newCable(1500); true {
		l, _ := Count(FromDevice(dev, DeviceConfig{}))
		if _, ok := l.Wire().Endpoint.(stack.GSOEndpoint); ok {
			t.Error("a counter invents GSO")
		}
		l.Wire().Forwards(true)
		if l.Wire().Endpoint.Capabilities() != stack.CapabilityTXChecksumOffload {
			t.Error("Forwards does not pass through")
		}
		Close(l)
	}
}

func TestOpen(t *testing.T) {
	for _, c := range []struct{ spec, want string }{
		{"", "known are tun:NAME, tap:NAME, fd:N, afpacket:NAME, qemu:ADDRESS, vfkit:PATH, passt:, water:NAME, auto, mem"},
		{"eth:x", `"eth:x"`},
		{"mem", "two hosts"},
		{"tun:a/b", "slash"},
		{"water:0123456789abcdef", "15 bytes"},
	} {
		l, err := Open(c.spec)
		if l != nil || err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, endpoint.EINVAL) {
			t.Errorf("Open(%q): %v, %v; want EINVAL with %q", c.spec, l, err, c.want)
		}
	}
	for _, s := range Specs() {
		if !strings.HasPrefix(s.Form, s.Kind) || s.Text == "" || s.open == nil {
			t.Errorf("incomplete: %+v", s)
		}
	}
}

// The pair shares one medium; the loopback has its own.
func TestMedia(t *testing.T) {
	a, b := Pair(PairConfig{})
	c, _ := Pair(PairConfig{})
	lo := Loopback()
	m := a.Wire().Medium
	if m == nil || m != b.Wire().Medium || m == c.Wire().Medium || lo.Wire().Medium == nil || m == lo.Wire().Medium {
		t.Error("media are mixed up")
	}
	dev, _ := newCable(1500)
	if FromDevice(dev, DeviceConfig{}).Wire().Medium != nil {
		t.Error("a device has a medium")
	}
}

// FuzzInbound: whatever a device delivers, the classifier and netstack
// survive it, and nothing but whole TCP and UDP goes at once.
func FuzzInbound(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x45, 0, 0, 20, 0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2})
	f.Add([]byte{0x4f, 0, 0, 60, 0, 0, 0x20, 1, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2})
	f.Add(append([]byte{0x60, 0, 0, 0, 0, 8, 44, 64}, make([]byte, 40)...))
	f.Add(append([]byte{0x60, 0, 0, 0, 0, 8, 17, 64}, make([]byte, 40)...))
	dev, _ := newCable(1500)
	h := newHost(f)
	h.attach(FromDevice(dev, DeviceConfig{}), bobNet, bobNet6)
	h.udp("192.0.2.2:9")
	h.listen("[2001:db8::2]:7")
	f.Fuzz(func(t *testing.T, p []byte) {
		_, ok := check(p)
		if ok && atOnce(p) {
			switch {
			case p[0]>>4 == 4 && (p[9] == 6 || p[9] == 17) && p[6]&0x3f == 0 && p[7] == 0:
			case p[0]>>4 == 6 && (p[6] == 6 || p[6] == 17):
			default:
				t.Errorf("goes at once: % x", p)
			}
		}
		dev.deliver(p)
	})
}
