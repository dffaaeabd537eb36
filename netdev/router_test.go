package netdev

import (
	"fmt"
	"sync"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// cable is a Device whose packets come out of another one, inside Send. See
// inspect for what it demands of them.
type cable struct {
	mtu     int
	peer    *cable
	inspect func(packet []byte) // may change it; nil packets are not sent

	mu      sync.Mutex
	deliver func([]byte)
	closed  int
}

func newCable(mtu int) (a, b *cable) {
	a, b = &cable{mtu: mtu}, &cable{mtu: mtu}
	a.peer, b.peer = b, a
	return a, b
}

func (c *cable) MTU() int { return c.mtu }

func (c *cable) Send(p []byte) error {
	if c.inspect != nil {
		c.inspect(p)
	}
	c.peer.mu.Lock()
	deliver := c.peer.deliver
	c.peer.mu.Unlock()
	if deliver != nil {
		deliver(p)
	}
	return nil
}

func (c *cable) Attach(deliver func([]byte)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deliver = deliver
}

func (c *cable) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed++
	return nil
}

// valid fails the test unless p is a packet that a real wire may carry: at
// most mtu bytes, with a right IP header and, if it is whole, a right TCP or
// UDP checksum.
func valid(t testing.TB, mtu int, p []byte) {
	if len(p) > mtu {
		t.Errorf("%d bytes on a link with an MTU of %d", len(p), mtu)
	}
	proto, ok := check(p)
	if !ok {
		t.Errorf("malformed packet % x", p)
		return
	}
	var ip header.Network
	var payload []byte
	if proto == header.IPv6ProtocolNumber {
		ip, payload = header.IPv6(p), p[header.IPv6MinimumSize:]
	} else {
		v4 := header.IPv4(p)
		ip, payload = v4, p[v4.HeaderLength():]
		if !v4.IsChecksumValid() {
			t.Errorf("IPv4 header checksum of % x", p[:v4.HeaderLength()])
		}
		if int(v4.TotalLength()) != len(p) {
			t.Errorf("total length %d in a packet of %d bytes", v4.TotalLength(), len(p))
		}
	}
	if !atOnce(p) {
		return
	}
	if ip.TransportProtocol() == udp.ProtocolNumber && proto == header.IPv4ProtocolNumber && header.UDP(payload).Checksum() == 0 {
		return
	}
	sum := header.PseudoHeaderChecksum(ip.TransportProtocol(), ip.SourceAddress(), ip.DestinationAddress(), uint16(len(payload)))
	if checksum.Checksum(payload, sum) != 0xffff {
		t.Errorf("checksum of protocol %d is wrong in %d bytes: % x", ip.TransportProtocol(), len(p), p[:min(len(p), 60)])
	}
}

// routed is alice — router — bob. The near link is a pair; the far one is a
// cable whose packets are checked one by one.
type routed struct {
	alice, router, bob *host
	out                Link // the router's end of the cable
}

func newRouted(t testing.TB, nearMTU, farMTU int) *routed {
	r := &routed{alice: newHost(t), router: newHost(t).forward(), bob: newHost(t)}
	a, ra := Pair(PairConfig{MTU: nearMTU})
	rb, b := newCable(farMTU)
	rb.inspect = func(p []byte) { valid(t, farMTU, p) }
	b.inspect = rb.inspect
	r.out = FromDevice(rb, DeviceConfig{})
	nic := r.alice.attach(a, "192.0.2.1/24", "2001:db8:a::1/64")
	r.alice.via("0.0.0.0/0", "192.0.2.254", nic)
	r.alice.via("::/0", "2001:db8:a::ff", nic)
	r.router.attach(ra, "192.0.2.254/24", "2001:db8:a::ff/64")
	r.router.attach(r.out, "198.51.100.254/24", "2001:db8:b::ff/64")
	nic = r.bob.attach(FromDevice(b, DeviceConfig{}), "198.51.100.1/24", "2001:db8:b::1/64")
	r.bob.via("0.0.0.0/0", "198.51.100.254", nic)
	r.bob.via("::/0", "2001:db8:b::ff", nic)
	return r
}

var bobAt = []string{"198.51.100.1:7", "[2001:db8:b::1]:7"}

// A stream crosses a router in both directions with every checksum in place,
// and the MTU of the second link is found by its ICMP errors, which arrive
// while TCP sends.
func TestRouterStream(t *testing.T) {
	for _, mtus := range [][2]int{{1500, 1500}, {65535, 1500}, {1500, 1280}} {
		for _, to := range bobAt {
			t.Run(fmt.Sprint(mtus, to), func(t *testing.T) {
				r := newRouted(t, mtus[0], mtus[1])
				transfer(t, r.alice, r.bob.listen(to), to, pattern(1<<20))
				back := map[string]string{bobAt[0]: "192.0.2.1:8", bobAt[1]: "[2001:db8:a::1]:8"}[to]
				transfer(t, r.bob, r.alice.listen(back), back, pattern(1<<20))
			})
		}
	}
}

// What the router itself sends has its checksums too, the fragments of an
// IPv6 datagram included.
func TestRouterOwnTraffic(t *testing.T) {
	r := newRouted(t, 1500, 1500)
	for _, to := range bobAt {
		transfer(t, r.router, r.bob.listen(to), to, pattern(200_000))
	}
	for _, ends := range [][2]string{{"198.51.100.254:9", "198.51.100.1:9"}, {"[2001:db8:b::ff]:9", "[2001:db8:b::1]:9"}} {
		from, to := r.router.udp(ends[0]), r.bob.udp(ends[1])
		for _, n := range []int{1, 1400, 1453, 9001, 60000} {
			if err := from.sendTo(pattern(n), ends[1]); err != nil {
				t.Fatalf("send %d bytes: %v", n, err)
			}
			got := make([]byte, 65536)
			if g := to.read(got); string(got[:g]) != string(pattern(n)) {
				t.Fatalf("%s: got %d bytes of %d, or others", ends[1], g, n)
			}
		}
	}
	if n := len(r.out.(*deviceLink).split.open); n != 0 {
		t.Errorf("%d datagrams are still held", n)
	}
}

// Datagrams that were fragmented before the router, or by it, arrive whole.
func TestRouterFragments(t *testing.T) {
	for _, mtus := range [][2]int{{1500, 1500}, {65535, 1500}} {
		for _, ends := range [][2]string{{"192.0.2.1:9", "198.51.100.1:9"}, {"[2001:db8:a::1]:9", "[2001:db8:b::1]:9"}} {
			if mtus[0] > mtus[1] && ends[0][0] == '[' {
				continue // IPv6 routers do not fragment
			}
			t.Run(fmt.Sprint(mtus, ends[0]), func(t *testing.T) {
				r := newRouted(t, mtus[0], mtus[1])
				from, to := r.alice.udp(ends[0]), r.bob.udp(ends[1])
				if mtus[0] > mtus[1] { // without it the router refuses
					if err := from.SetSockOptInt(tcpip.MTUDiscoverOption, int(tcpip.PMTUDiscoveryDont)); err != nil {
						t.Fatal(err)
					}
				}
				for _, n := range []int{3000, 20000} {
					if err := from.sendTo(pattern(n), ends[1]); err != nil {
						t.Fatal(err)
					}
					got := make([]byte, 65536)
					if g := to.read(got); string(got[:g]) != string(pattern(n)) {
						t.Fatalf("got %d bytes of %d, or others", g, n)
					}
				}
			})
		}
	}
}

// A packet that is damaged before the router stays damaged behind it: the
// receiver drops it, TCP sends it again, and the stream is whole.
func TestRouterKeepsDamage(t *testing.T) {
	r := &routed{alice: newHost(t), router: newHost(t).forward(), bob: newHost(t)}
	a, ra := newCable(1500)
	n := 0
	a.inspect = func(p []byte) {
		if len(p) > 1000 {
			if n++; n%10 == 0 {
				p[len(p)-1] ^= 0x40
			}
		}
	}
	rb, b := Pair(PairConfig{MTU: 1500})
	nic := r.alice.attach(FromDevice(a, DeviceConfig{}), "192.0.2.1/24")
	r.alice.via("0.0.0.0/0", "192.0.2.254", nic)
	r.router.attach(FromDevice(ra, DeviceConfig{}), "192.0.2.254/24")
	r.router.attach(rb, "198.51.100.254/24")
	nic = r.bob.attach(b, "198.51.100.1/24")
	r.bob.via("0.0.0.0/0", "198.51.100.254", nic)
	transfer(t, r.alice, r.bob.listen(bobAt[0]), bobAt[0], pattern(300_000))
	if bad := r.bob.Stats().TCP.ChecksumErrors.Value(); bad == 0 {
		t.Error("no damaged packet has reached the receiver")
	}
}

// The offloads of a pair follow who forwards.
func TestPairAgrees(t *testing.T) {
	const rx, tx = stack.CapabilityRXChecksumOffload, stack.CapabilityTXChecksumOffload
	type offer struct {
		caps stack.LinkEndpointCapabilities
		gso  stack.SupportedGSO
	}
	for _, c := range []struct {
		a, b         bool
		wantA, wantB offer
	}{
		{false, false, offer{rx | tx, stack.HostGSOSupported}, offer{rx | tx, stack.HostGSOSupported}},
		{false, true, offer{0, stack.GSONotSupported}, offer{tx, stack.GSONotSupported}},
		{true, false, offer{tx, stack.GSONotSupported}, offer{0, stack.GSONotSupported}},
		{true, true, offer{tx, stack.GSONotSupported}, offer{tx, stack.GSONotSupported}},
		{false, false, offer{rx | tx, stack.HostGSOSupported}, offer{rx | tx, stack.HostGSOSupported}},
	} {
		a, b := Pair(PairConfig{})
		for range 2 { // saying it twice changes nothing
			a.Wire().Forwards(!c.a)
			a.Wire().Forwards(c.a)
			b.Wire().Forwards(c.b)
			b.Wire().Forwards(c.b)
		}
		for i, l := range []Link{a, b} {
			ep := l.Wire().Endpoint
			got := offer{ep.Capabilities(), ep.(stack.GSOEndpoint).SupportedGSO()}
			if want := []offer{c.wantA, c.wantB}[i]; got != want {
				t.Errorf("forwards %v %v: end %d offers %v, want %v", c.a, c.b, i, got, want)
			}
		}
	}
}

// A connection that began while the pair offered GSO and partial checksums
// goes on when the other stack turns out to be a router.
func TestGSOWithdrawn(t *testing.T) {
	for _, to := range []string{"192.0.2.2:7", "[2001:db8::2]:7"} {
		t.Run(to, func(t *testing.T) {
			alice, bob := newHost(t), newHost(t)
			a, b := Pair(PairConfig{MTU: 1500})
			alice.attach(a, aliceNet, aliceNet6)
			bob.attach(b, bobNet, bobNet6)
			l := bob.listen(to)
			c, err := alice.dial(to)
			if err != nil {
				t.Fatal(err)
			}
			s := l.accept()
			b.Wire().Forwards(true)
			if a.Wire().Endpoint.Capabilities() != 0 {
				t.Fatal("the offloads stayed")
			}
			data := pattern(1 << 20)
			go c.write(data)
			got := make([]byte, len(data))
			if !s.readFull(got) || string(got) != string(data) {
				t.Error("the stream was damaged")
			}
			if bad := bob.Stats().TCP.ChecksumErrors.Value(); bad != 0 {
				t.Errorf("%d segments with a wrong checksum", bad)
			}
		})
	}
}

// Every field of the segments that are cut in software.
func TestSegment(t *testing.T) {
	const mss, n = 1000, 3500
	for _, v := range []struct {
		proto tcpip.NetworkProtocolNumber
		typ   stack.GSOType
	}{{header.IPv4ProtocolNumber, stack.GSOTCPv4}, {header.IPv6ProtocolNumber, stack.GSOTCPv6}} {
		data := pattern(n)
		pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
			ReserveHeaderBytes: 100,
			Payload:            buffer.MakeWithData(data),
		})
		tcp := header.TCP(pkt.TransportHeader().Push(32))
		tcp.Encode(&header.TCPFields{SrcPort: 1, DstPort: 2, SeqNum: 0xfffffc18, AckNum: 7, DataOffset: 32,
			Flags: header.TCPFlagAck | header.TCPFlagPsh | header.TCPFlagFin | flagCWR, WindowSize: 9})
		pkt.TransportProtocolNumber = header.TCPProtocolNumber
		src, dst := gvAddr(mustAddr(v.proto, 1)), gvAddr(mustAddr(v.proto, 2))
		if v.proto == header.IPv4ProtocolNumber {
			h := header.IPv4(pkt.NetworkHeader().Push(20))
			h.Encode(&header.IPv4Fields{TotalLength: 20 + 32 + n, ID: 0xffff, Flags: header.IPv4FlagDontFragment, TTL: 3, Protocol: 6, SrcAddr: src, DstAddr: dst})
		} else {
			h := header.IPv6(pkt.NetworkHeader().Push(40))
			h.Encode(&header.IPv6Fields{PayloadLength: 32 + n, TransportProtocol: header.TCPProtocolNumber, HopLimit: 3, SrcAddr: src, DstAddr: dst})
		}
		pkt.NetworkProtocolNumber = v.proto
		pkt.GSOOptions = stack.GSO{Type: v.typ, NeedsCsum: true, MSS: mss}

		var got []byte
		i := 0
		segment(pkt, func(seg *stack.PacketBuffer) {
			view := seg.ToView()
			p := view.AsSlice()
			valid(t, 40+32+mss, p)
			h := header.TCP(seg.TransportHeader().Slice())
			if want := uint32(0xfffffc18) + uint32(i*mss); h.SequenceNumber() != want {
				t.Errorf("segment %d: sequence number %#x, want %#x", i, h.SequenceNumber(), want)
			}
			want := header.TCPFlagAck
			if i == 0 {
				want |= flagCWR
			}
			if i == 3 {
				want |= header.TCPFlagPsh | header.TCPFlagFin
			}
			if h.Flags() != want {
				t.Errorf("segment %d: flags %v, want %v", i, h.Flags(), want)
			}
			if h.AckNumber() != 7 || h.WindowSize() != 9 {
				t.Errorf("segment %d: acknowledgement or window changed", i)
			}
			if v.proto == header.IPv4ProtocolNumber {
				if id := header.IPv4(p).ID(); id != 0xffff+uint16(i) {
					t.Errorf("segment %d: ID %#x", i, id)
				}
			}
			got = append(got, p[seg.HeaderSize():]...)
			view.Release()
			i++
		})
		if i != 4 || string(got) != string(data) {
			t.Errorf("%d segments with %d bytes of payload", i, len(got))
		}
		pkt.DecRef()
	}
}
