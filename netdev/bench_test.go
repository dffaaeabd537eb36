package netdev

import (
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// sink is a stack that takes packets and looks at their IP header, as every
// stack does.
type sink struct{ bytes int }

func (s *sink) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	b, _ := pkt.Data().PullUp(header.IPv4MinimumSize)
	s.bytes += int(header.IPv4(b).TotalLength())
}

func (s *sink) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}

// discard is a device that drops what it is given.
type discard struct{ *cable }

func (discard) Send([]byte) error { return nil }

// paths are the ways of one packet out of a stack, and with them into another
// one, each with nothing but our part in it.
func paths() map[string]func(pkt *stack.PacketBuffer) {
	list := func(l Link) func(*stack.PacketBuffer) {
		var pkts stack.PacketBufferList
		ep := l.Wire().Endpoint
		return func(pkt *stack.PacketBuffer) {
			if pkts.Len() == 0 {
				pkts.PushBack(pkt)
			}
			ep.WritePackets(pkts)
		}
	}
	a, b := Pair(PairConfig{})
	b.Wire().Endpoint.Attach(&sink{})
	ra, rb := Pair(PairConfig{})
	ra.Wire().Forwards(true)
	rb.Wire().Endpoint.Attach(&sink{})
	lo := Loopback()
	lo.Wire().Endpoint.Attach(&sink{})
	cable1, _ := newCable(1500)
	out := FromDevice(discard{cable1}, DeviceConfig{})
	cable2, _ := newCable(1500)
	in := FromDevice(cable2, DeviceConfig{})
	in.Wire().Endpoint.Attach(&sink{})
	var bytes []byte
	return map[string]func(*stack.PacketBuffer){
		"pair":       list(a),
		"routerpair": list(ra),
		"loopback":   list(lo),
		"deviceout":  list(out),
		"devicein": func(pkt *stack.PacketBuffer) {
			if bytes == nil {
				v := pkt.ToView()
				bytes = v.ToSlice()
				v.Release()
			}
			cable2.deliver(bytes)
		},
	}
}

// No path adds an allocation to netstack's pools.
func TestPacketAllocs(t *testing.T) {
	for name, path := range paths() {
		pkt := outgoing(t, 17, 1000)
		for range 100 { // fill the pools
			path(pkt)
		}
		if n := testing.AllocsPerRun(2000, func() { path(pkt) }); n > 0 && !raceEnabled {
			t.Errorf("%s: %v allocations a packet", name, n)
		}
	}
}

func BenchmarkPacket(b *testing.B) {
	for name, path := range paths() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			pkt := outgoing(b, 17, 1000)
			for b.Loop() {
				path(pkt)
			}
		})
	}
}

// pingPong measures round trips of one byte.
func pingPong(b *testing.B, turn func()) {
	var times []time.Duration
	for b.Loop() {
		start := time.Now()
		turn()
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Nanoseconds()), "p50-ns")
}

func BenchmarkPingPong(b *testing.B) {
	b.Run("kernel", func(b *testing.B) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer l.Close()
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			for buf := make([]byte, 1); ; {
				if _, err := io.ReadFull(c, buf); err != nil {
					return
				}
				c.Write(buf)
			}
		}()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		buf := make([]byte, 1)
		pingPong(b, func() { c.Write(buf); io.ReadFull(c, buf) })
	})
	for _, queued := range []bool{false, true} {
		b.Run(fmt.Sprintf("pair/queued=%v", queued), func(b *testing.B) {
			alice, bob := twoHosts(b, PairConfig{Queued: queued})
			l := bob.listen("192.0.2.2:7")
			c, err := alice.dial("192.0.2.2:7")
			if err != nil {
				b.Fatal(err)
			}
			s := l.accept()
			done := make(chan struct{})
			go func() {
				defer close(done)
				for buf := make([]byte, 1); s.readFull(buf); {
					s.write(buf)
				}
			}()
			buf := make([]byte, 1)
			pingPong(b, func() { c.write(buf); c.readFull(buf) })
			c.Shutdown(tcpip.ShutdownWrite)
			<-done
		})
	}
}

func BenchmarkStream(b *testing.B) {
	const chunk = 60 << 10
	b.Run("kernel", func(b *testing.B) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer l.Close()
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			for buf := make([]byte, 256<<10); ; {
				if _, err := c.Read(buf); err != nil {
					return
				}
			}
		}()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(chunk)
		buf := make([]byte, chunk)
		for b.Loop() {
			c.Write(buf)
		}
		c.Close()
		<-done
	})
	for _, queued := range []bool{false, true} {
		for _, mtu := range []int{65535, 1500} {
			b.Run(fmt.Sprintf("pair/queued=%v/mtu=%d", queued, mtu), func(b *testing.B) {
				alice, bob := twoHosts(b, PairConfig{Queued: queued, MTU: mtu})
				l := bob.listen("192.0.2.2:7")
				c, err := alice.dial("192.0.2.2:7")
				if err != nil {
					b.Fatal(err)
				}
				s := l.accept()
				done := make(chan struct{})
				go func() {
					defer close(done)
					for buf := make([]byte, 256<<10); s.read(buf) > 0; {
					}
				}()
				b.SetBytes(chunk)
				buf := make([]byte, chunk)
				for b.Loop() {
					c.write(buf)
				}
				c.Shutdown(tcpip.ShutdownWrite)
				<-done
			})
		}
	}
}
