package stack_test

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"

	"usersock/netdev"
	"usersock/stack"
	"usersock/stack/endpoint"
)

// unreachableNet is a wire that answers every packet of TCP over IPv4 with
// "host unreachable", from a goroutine of its own.
type unreachableNet struct {
	sent chan []byte
	done sync.WaitGroup
}

func (n *unreachableNet) MTU() int { return 1500 }

func (n *unreachableNet) Attach(deliver func([]byte)) {
	if deliver == nil {
		return
	}
	n.sent = make(chan []byte, 256)
	n.done.Go(func() {
		for packet := range n.sent {
			deliver(hostUnreachable(packet))
		}
	})
}

func (n *unreachableNet) Send(packet []byte) error {
	if packet[0]>>4 == 4 && packet[9] == endpoint.IPPROTO_TCP {
		n.sent <- append([]byte(nil), packet...)
	}
	return nil
}

func (n *unreachableNet) Close() error {
	close(n.sent)
	n.done.Wait()
	return nil
}

// hostUnreachable quotes a packet, as its destination would.
func hostUnreachable(packet []byte) []byte {
	b := make([]byte, 28, 28+len(packet))
	b = append(b, packet...)
	b[0], b[8], b[9] = 0x45, 64, endpoint.IPPROTO_ICMP
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	copy(b[12:16], packet[16:20])
	copy(b[16:20], packet[12:16])
	binary.BigEndian.PutUint16(b[10:], internetSum(b[:20]))
	b[20], b[21] = 3, 1
	binary.BigEndian.PutUint16(b[22:], internetSum(b[20:]))
	return b
}

func internetSum(b []byte) uint16 {
	sum := uint32(0)
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// An attempt that ICMP ends is told once and is once in the error queue, also
// while others look at the socket and it connects again and again.
func TestConnectUnreachable(t *testing.T) {
	net := netdev.FromDevice(new(unreachableNet), netdev.DeviceConfig{Direct: true})
	s, err := stack.New(stack.Config{Interfaces: []stack.Interface{{
		Name: "eth0", Link: net, Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	to := endpoint.Inet(netip.MustParseAddrPort("192.0.2.9:80"))
	var all sync.WaitGroup
	for range 4 {
		w := openOn(t, s, endpoint.AF_INET, endpoint.SOCK_STREAM, 0)
		all.Go(func() {
			var others sync.WaitGroup
			over := make(chan struct{})
			defer others.Wait()
			defer close(over)
			for range 2 {
				others.Go(func() {
					for {
						select {
						case <-over:
							return
						default:
							w.Ready(endpoint.In)
						}
					}
				})
			}
			for range 20 {
				if err := w.Connect(to); err != endpoint.EINPROGRESS {
					t.Errorf("connect: %v", err)
					return
				}
				w.await(endpoint.Hup)
				if err := w.Connect(to); err != endpoint.EHOSTUNREACH {
					t.Errorf("connect again: %v", err)
					return
				}
				if f := w.failure(); f.errno != endpoint.EHOSTUNREACH || f.to != to.AddrPort() || f.offender != to.IP {
					t.Errorf("error queue: %+v", f)
				}
				if got := w.get(endpoint.SOL_SOCKET, endpoint.SO_ERROR); got != 0 {
					t.Errorf("SO_ERROR: %v", endpoint.Errno(got))
				}
				if e := w.Ready(endpoint.In); e&endpoint.Err != 0 {
					t.Errorf("ready: %v", e)
				}
			}
			w.Close()
		})
	}
	all.Wait()
}
