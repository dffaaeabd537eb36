package netdev

import (
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/waiter"
)

// A direct link delivers inside the device's call what other links queue.
func TestDirect(t *testing.T) {
	icmp := outgoing(t, 1, 100).ToView().ToSlice()
	for _, c := range []struct {
		cfg  DeviceConfig
		want int // inside the call
	}{
		{DeviceConfig{Direct: true}, 1},
		{DeviceConfig{}, 0},
		{DeviceConfig{Direct: true, Queued: true}, 0},
	} {
		dev, _ := newCable(1500)
		l := FromDevice(dev, c.cfg)
		d := newBlocked()
		if c.want > 0 {
			close(d.release) // else the link's own goroutine waits there
		}
		l.Wire().Endpoint.Attach(d)
		dev.deliver(icmp)
		d.mu.Lock()
		got := len(d.sizes)
		d.mu.Unlock()
		if got != c.want {
			t.Errorf("%+v: %d packets inside the call, want %d", c.cfg, got, c.want)
		}
		if c.want == 0 {
			close(d.release)
		}
		Close(l)
	}
}

// looped is a device that keeps what it is sent, to give it back later.
type looped struct {
	deliver func([]byte)
	kept    [][]byte
}

func (l *looped) MTU() int { return LoopbackMTU }

func (l *looped) Send(p []byte) error {
	l.kept = append(l.kept, append([]byte(nil), p...))
	return nil
}

func (l *looped) Attach(deliver func([]byte)) { l.deliver = deliver }

func (l *looped) Close() error { return nil }

// What a stack sends to itself passes the device, for 127/8, ::1 and the own
// addresses of other interfaces, and is taken without checksums.
func TestLoopbackDevice(t *testing.T) {
	dev := &looped{}
	lo := LoopbackDevice(dev)
	e := lo.Wire().Endpoint
	if e.Capabilities() != Loopback().Wire().Endpoint.Capabilities() || e.ARPHardwareType() != header.ARPHardwareLoopback {
		t.Errorf("capabilities %v, hardware %v", e.Capabilities(), e.ARPHardwareType())
	}
	h := newHost(t)
	id := h.attach(lo, "127.0.0.1/8", "::1/128")
	if err := h.SetPromiscuousMode(id, true); err != nil { // as package stack does
		t.Fatal(err)
	}
	other, _ := Pair(PairConfig{})
	h.attach(other, aliceNet, aliceNet6)
	dev.kept = nil // of the interface's own start
	for _, to := range []string{"127.0.0.1:7", "[::1]:8", "192.0.2.1:9", "[2001:db8::1]:10"} {
		// Bound to a port alone: bound to an address of another interface, UDP
		// takes netstack's short cut.
		addr, proto := full(to)
		s := h.open(header.UDPProtocolNumber, proto)
		if err := s.Bind(tcpip.FullAddress{Port: addr.Port}); err != nil {
			t.Fatal(to, err)
		}
		if err := s.sendTo([]byte("hello"), to); err != nil {
			t.Fatal(to, err)
		}
		if len(dev.kept) != 1 {
			t.Fatalf("%s: %d packets passed the device, want 1", to, len(dev.kept))
		}
		if s.Readiness(waiter.ReadableEvents) != 0 {
			t.Errorf("%s: the datagram came before the device gave it back", to)
		}
		dev.deliver(dev.kept[0])
		dev.kept = nil
		var buf [10]byte
		if n := s.read(buf[:]); string(buf[:n]) != "hello" {
			t.Errorf("%s: received %q", to, buf[:n])
		}
	}
	if d := Dropped(other); d != (Drops{}) {
		t.Errorf("own addresses used the other link: %+v", d)
	}
}

var _ stack.LinkEndpoint = (*loopbackDevice)(nil)
