package netdev

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"

	"usersock/stack/endpoint"
)

func join(t *testing.T, s *Segment, cfg PortConfig) Link {
	t.Helper()
	l, err := s.Join(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestSegmentTraffic: three stacks on one Ethernet, every pair of them, over
// both versions of IP, on a hub and a switch, with and without a router that
// takes the offloads away.
func TestSegmentTraffic(t *testing.T) {
	for _, hub := range []bool{false, true} {
		for _, router := range []bool{false, true} {
			t.Run(fmt.Sprintf("hub %v router %v", hub, router), func(t *testing.T) {
				seg := NewSegment(SegmentConfig{Hub: hub})
				var hosts []*host
				for i := 1; i <= 3; i++ {
					h := newHost(t)
					if router && i == 3 {
						h.forward()
					}
					h.attach(join(t, seg, PortConfig{}), fmt.Sprintf("192.0.2.%d/24", i), fmt.Sprintf("2001:db8::%d/64", i))
					hosts = append(hosts, h)
				}
				for i, server := range hosts {
					for j, client := range hosts {
						if i == j {
							continue
						}
						for _, form := range []string{"192.0.2.%d:%d", "[2001:db8::%d]:%d"} {
							at := fmt.Sprintf(form, i+1, 7000+j)
							transfer(t, client, server.listen(at), at, pattern(1<<20))
						}
					}
				}
				if seg.fdb != nil && seg.fdb.size() != 3 {
					t.Errorf("the switch knows %d addresses", seg.fdb.size())
				}
				for _, h := range hosts {
					h.end()
				}
				if n := len(*seg.ports.Load()); n != 0 || seg.fdb != nil && seg.fdb.size() != 0 || seg.plain.Load() != 0 {
					t.Errorf("%d ports are left, plain %d", n, seg.plain.Load())
				}
			})
		}
	}
}

// TestSegmentBroadcast: datagrams to all and to a group reach everybody else.
func TestSegmentBroadcast(t *testing.T) {
	seg := NewSegment(SegmentConfig{})
	var hosts []*host
	for i := 1; i <= 4; i++ {
		h := newHost(t)
		h.attach(join(t, seg, PortConfig{}), fmt.Sprintf("192.0.2.%d/24", i), fmt.Sprintf("2001:db8::%d/64", i))
		hosts = append(hosts, h)
	}
	var socks, socks6 []*sock
	for _, h := range hosts[1:] {
		any, six := h.open(header.UDPProtocolNumber, ipv4.ProtocolNumber), h.open(header.UDPProtocolNumber, ipv6.ProtocolNumber)
		six.SocketOptions().SetV6Only(true)
		for _, s := range []*sock{any, six} {
			if err := s.Bind(tcpip.FullAddress{Port: 9}); err != nil {
				t.Fatal(err)
			}
		}
		socks = append(socks, any)
		group := tcpip.AddMembershipOption{NIC: 1, MulticastAddr: tcpip.AddrFrom16([16]byte{0xff, 2, 15: 0x77})}
		if err := six.SetSockOpt(&group); err != nil {
			t.Fatal(err)
		}
		socks6 = append(socks6, six)
	}
	s := hosts[0].open(header.UDPProtocolNumber, ipv4.ProtocolNumber)
	s.SocketOptions().SetBroadcast(true)
	if err := s.sendTo([]byte("to all"), "192.0.2.255:9"); err != nil {
		t.Fatal(err)
	}
	s6 := hosts[0].open(header.UDPProtocolNumber, ipv6.ProtocolNumber)
	if err := s6.Bind(tcpip.FullAddress{NIC: 1}); err != nil {
		t.Fatal(err)
	}
	to := tcpip.FullAddress{NIC: 1, Addr: tcpip.AddrFrom16([16]byte{0xff, 2, 15: 0x77}), Port: 9}
	if _, err := s6.Write(bytes.NewReader([]byte("to the group")), tcpip.WriteOptions{To: &to}); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	for i := range socks {
		if n := socks[i].read(b); string(b[:n]) != "to all" {
			t.Errorf("host %d: %q", i+2, b[:n])
		}
		if n := socks6[i].read(b); string(b[:n]) != "to the group" {
			t.Errorf("host %d: %q", i+2, b[:n])
		}
	}
}

// tapped is a device that keeps the frames it is sent.
type tapped struct {
	mu      sync.Mutex
	frames  [][]byte
	deliver func([]byte)
	closed  int
}

func (d *tapped) MTU() int { return 1500 }

func (d *tapped) Send(frame []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frames = append(d.frames, bytes.Clone(frame))
	return nil
}

func (d *tapped) Attach(deliver func([]byte)) { d.deliver = deliver }

func (d *tapped) Close() error {
	d.closed++
	return nil
}

// take returns the number of frames since the last call.
func (d *tapped) take() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := len(d.frames)
	d.frames = nil
	return n
}

func frameTo(dst, src byte) []byte {
	f := []byte{2, 0, 0, 0, 0, dst, 2, 0, 0, 0, 0, src, 0x88, 0xb5}
	if dst == 0xff {
		copy(f, header.EthernetBroadcastAddress)
	}
	return append(f, make([]byte, 46)...)
}

// TestSwitchLearns follows frames of unknown protocol between three devices.
func TestSwitchLearns(t *testing.T) {
	for _, hub := range []bool{false, true} {
		clock := &setClock{}
		seg := NewSegment(SegmentConfig{Hub: hub, Clock: clock, Age: time.Minute, TableSize: 3})
		var d [3]*tapped
		var unplug [3]func() error
		for i := range d {
			d[i] = &tapped{}
			var err error
			if unplug[i], err = seg.Plug(d[i]); err != nil {
				t.Fatal(err)
			}
		}
		step := func(what string, from int, frame []byte, want [3]int) {
			t.Helper()
			if hub { // a hub knows nothing
				want = [3]int{1, 1, 1}
				want[from] = 0
				if d[1].closed > 0 {
					want[1] = 0
				}
			}
			d[from].deliver(frame)
			if got := [3]int{d[0].take(), d[1].take(), d[2].take()}; got != want {
				t.Errorf("hub %v: %s: %v frames, want %v", hub, what, got, want)
			}
		}
		step("an unknown address", 0, frameTo(2, 1), [3]int{0, 1, 1})
		step("the answer", 1, frameTo(1, 2), [3]int{1, 0, 0})
		step("a known address", 0, frameTo(2, 1), [3]int{0, 1, 0})
		step("to all", 0, frameTo(0xff, 1), [3]int{0, 1, 1})
		if !hub {
			step("to the port it comes from", 0, frameTo(1, 9), [3]int{0, 0, 0})
		}
		step("the station has moved", 2, frameTo(1, 2), [3]int{1, 0, 0})
		step("to where it is now", 0, frameTo(2, 1), [3]int{0, 0, 1})
		clock.now += 2 * time.Minute
		step("it was silent for long", 0, frameTo(2, 1), [3]int{0, 1, 1})
		for i := byte(10); i < 20; i++ {
			d[1].deliver(frameTo(0xff, i))
		}
		if !hub && seg.fdb.size() != 3 {
			t.Errorf("a table of 3 has %d entries", seg.fdb.size())
		}
		for i := range d {
			d[i].take()
		}
		for _, bad := range [][]byte{nil, {1, 2, 3}, append([]byte{2, 0, 0, 0, 0, 1, 3}, make([]byte, 60)...)} {
			d[0].deliver(bad)
		}
		if d[1].take()+d[2].take() != 0 {
			t.Error("what is no frame was passed on")
		}
		if err := unplug[1](); err != nil || d[1].closed != 1 {
			t.Errorf("unplug: %v", err)
		}
		unplug[1]()
		step("without the second", 0, frameTo(0xff, 1), [3]int{0, 0, 1})
		if err := seg.Close(); err != nil {
			t.Error(err)
		}
		if d[0].closed+d[1].closed+d[2].closed != 3 {
			t.Error("a device is open, or was closed twice")
		}
		late := &tapped{}
		if _, err := seg.Plug(late); !errors.Is(err, endpoint.ENETDOWN) || late.closed != 1 {
			t.Errorf("a device after the close: %v", err)
		}
		if _, err := seg.Join(PortConfig{}); !errors.Is(err, endpoint.ENETDOWN) {
			t.Errorf("a stack after the close: %v", err)
		}
	}
}

// setClock is a clock that stands still.
type setClock struct {
	endpoint.Clock
	now time.Duration
}

func (c *setClock) Monotonic() time.Duration { return c.now }

// TestSegmentStranger: a host that is not there is unreachable, and frames for
// others do not go up.
func TestSegmentStranger(t *testing.T) {
	seg := NewSegment(SegmentConfig{Hub: true})
	alice, bob, carol := newHost(t), newHost(t), newHost(t)
	third := join(t, seg, PortConfig{})
	alice.attach(join(t, seg, PortConfig{}), aliceNet, aliceNet6)
	bob.attach(join(t, seg, PortConfig{}), bobNet, bobNet6)
	carol.attach(third, "192.0.2.3/24")
	transfer(t, alice, bob.listen("192.0.2.2:7"), "192.0.2.2:7", pattern(100<<10))
	if d := Dropped(third); d.RxForeign == 0 || d.RxMalformed != 0 {
		t.Errorf("the third host dropped %+v", d)
	}
	for _, to := range []string{"192.0.2.9:7", "[2001:db8::9]:7"} {
		_, err := alice.dial(to)
		if _, ok := err.(*tcpip.ErrHostUnreachable); !ok {
			t.Errorf("%s: %v, want host unreachable", to, err)
		}
	}
}

func TestSegmentAddresses(t *testing.T) {
	seg := NewSegment(SegmentConfig{})
	mac := func(l Link) string { return net.HardwareAddr(l.Wire().Endpoint.LinkAddress()).String() }
	join(t, seg, PortConfig{HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 2}})
	a, b := join(t, seg, PortConfig{}), join(t, seg, PortConfig{})
	if mac(a) != "02:00:00:00:00:01" || mac(b) != "02:00:00:00:00:03" {
		t.Errorf("given out: %s and %s", mac(a), mac(b))
	}
	for _, c := range []struct {
		mac  net.HardwareAddr
		want endpoint.Errno
	}{
		{net.HardwareAddr{2, 0, 0, 0, 0, 3}, endpoint.EADDRINUSE},
		{net.HardwareAddr{3, 0, 0, 0, 0, 3}, endpoint.EINVAL},
		{net.HardwareAddr{0, 0, 0, 0, 0, 0}, endpoint.EINVAL},
		{net.HardwareAddr{2, 0, 0, 0, 0}, endpoint.EINVAL},
	} {
		if _, err := seg.Join(PortConfig{HardwareAddr: c.mac}); !errors.Is(err, c.want) {
			t.Errorf("%v: %v, want %s", c.mac, err, c.want.Name())
		}
	}
	Close(b)
	if c := join(t, seg, PortConfig{HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 3}}); mac(c) != "02:00:00:00:00:03" {
		t.Error("an address that is free again")
	}
}

// TestSegmentBridge joins two segments over a socket of the host.
func TestSegmentBridge(t *testing.T) {
	a, b := NewSegment(SegmentConfig{}), NewSegment(SegmentConfig{})
	left, right := cablePair()
	for seg, dev := range map[*Segment]Device{a: left, b: right} {
		if _, err := seg.Plug(dev); err != nil {
			t.Fatal(err)
		}
	}
	alice, bob := newHost(t), newHost(t)
	alice.attach(join(t, a, PortConfig{HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 1, 1}}), aliceNet, aliceNet6)
	bob.attach(join(t, b, PortConfig{HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 1, 2}}), bobNet, bobNet6)
	for _, at := range []string{"192.0.2.2:7", "[2001:db8::2]:7"} {
		transfer(t, alice, bob.listen(at), at, pattern(2<<20))
	}
}

// wireEnd is one end of a device that crosses over to another by way of a
// goroutine.
type wireEnd struct {
	out, in chan []byte
	done    chan struct{}
	ended   sync.WaitGroup
}

func cablePair() (a, b *wireEnd) {
	x, y := make(chan []byte, 4096), make(chan []byte, 4096)
	return &wireEnd{out: x, in: y, done: make(chan struct{})}, &wireEnd{out: y, in: x, done: make(chan struct{})}
}

func (w *wireEnd) MTU() int { return 1500 }

func (w *wireEnd) Send(frame []byte) error {
	select {
	case w.out <- bytes.Clone(frame):
		return nil
	default:
		return endpoint.ENOBUFS
	}
}

func (w *wireEnd) Attach(deliver func([]byte)) {
	if deliver == nil {
		return
	}
	w.ended.Go(func() {
		for {
			select {
			case f := <-w.in:
				deliver(f)
			case <-w.done:
				return
			}
		}
	})
}

func (w *wireEnd) Close() error {
	close(w.done)
	w.ended.Wait()
	return nil
}

// FuzzFrame: whatever comes from outside is counted or goes up, and nothing
// panics, with Ethernet and without.
func FuzzFrame(f *testing.F) {
	f.Add(frameTo(1, 2), true)
	ip4 := append([]byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2}, 0, 7, 0, 9, 0, 8, 0, 0)
	f.Add(ip4, false)
	f.Add(append(append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}, 8, 0), ip4...), true)
	f.Add(append(append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 2}, 8, 6), make([]byte, 28)...), true)
	f.Fuzz(func(t *testing.T, b []byte, ether bool) {
		dev := &tapped{}
		cfg := DeviceConfig{Direct: true}
		if ether {
			cfg.HardwareAddr = net.HardwareAddr{2, 0, 0, 0, 0, 1}
		}
		h := newHost(t)
		h.attach(FromDevice(dev, cfg), bobNet, bobNet6)
		dev.deliver(b)
		seg := NewSegment(SegmentConfig{})
		other := &tapped{}
		seg.Plug(other)
		g := newHost(t)
		g.attach(join(t, seg, PortConfig{}), bobNet, bobNet6)
		other.deliver(b)
		h.end()
		g.end()
		seg.Close()
	})
}
