package netdev

import (
	"bytes"
	"io"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"usersock/internal/wire"
)

// host is a netstack for the tests.
type host struct {
	testing.TB
	*stack.Stack
	next   tcpip.NICID
	router bool
	once   sync.Once
}

func newHost(t testing.TB) *host {
	h := makeHost(t)
	t.Cleanup(h.end)
	return h
}

// makeHost makes a host that its caller ends.
func makeHost(t testing.TB) *host {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
		HandleLocal:        true,
	})
	for _, o := range []tcpip.SettableTransportProtocolOption{
		&tcpip.TCPSendBufferSizeRangeOption{Min: 4096, Default: 4 << 20, Max: 8 << 20},
		&tcpip.TCPReceiveBufferSizeRangeOption{Min: 4096, Default: 4 << 20, Max: 8 << 20},
	} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			t.Fatal(err)
		}
	}
	recovery := tcpip.TCPRecovery(0)
	s.SetTransportProtocolOption(tcp.ProtocolNumber, &recovery)
	sack := tcpip.TCPSACKEnabled(true)
	s.SetTransportProtocolOption(tcp.ProtocolNumber, &sack)
	return &host{TB: t, Stack: s}
}

// forward makes the host a router. Call it before attach.
func (h *host) forward() *host {
	for _, p := range []tcpip.NetworkProtocolNumber{ipv4.ProtocolNumber, ipv6.ProtocolNumber} {
		if err := h.SetForwardingDefaultAndAllNICs(p, true); err != nil {
			h.Fatal(err)
		}
	}
	wire.GuardForwarding(h.Stack)
	h.router = true
	return h
}

// attach gives the host an interface with addresses and their routes.
func (h *host) attach(l Link, addrs ...string) tcpip.NICID {
	h.Helper()
	h.next++
	end := l.Wire()
	if end.Forwards != nil {
		end.Forwards(h.router)
	}
	if err := h.CreateNIC(h.next, end.Endpoint); err != nil {
		h.Fatal(err)
	}
	for _, a := range addrs {
		p := netip.MustParsePrefix(a)
		proto := ipv4.ProtocolNumber
		if p.Addr().Is6() {
			proto = ipv6.ProtocolNumber
		}
		pa := tcpip.ProtocolAddress{Protocol: proto, AddressWithPrefix: tcpip.AddressWithPrefix{Address: gvAddr(p.Addr()), PrefixLen: p.Bits()}}
		if err := h.AddProtocolAddress(h.next, pa, stack.AddressProperties{}); err != nil {
			h.Fatal(err)
		}
		h.AddRoute(tcpip.Route{Destination: pa.AddressWithPrefix.Subnet(), NIC: h.next})
	}
	return h.next
}

// via adds a route.
func (h *host) via(dst, gateway string, nic tcpip.NICID) {
	p := netip.MustParsePrefix(dst)
	r := tcpip.Route{Destination: tcpip.AddressWithPrefix{Address: gvAddr(p.Addr()), PrefixLen: p.Bits()}.Subnet(), NIC: nic}
	if gateway != "" {
		r.Gateway = gvAddr(netip.MustParseAddr(gateway))
	}
	h.AddRoute(r)
}

func gvAddr(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }

func full(ap string) (tcpip.FullAddress, tcpip.NetworkProtocolNumber) {
	p := netip.MustParseAddrPort(ap)
	proto := ipv4.ProtocolNumber
	if p.Addr().Is6() {
		proto = ipv6.ProtocolNumber
	}
	return tcpip.FullAddress{Addr: gvAddr(p.Addr()), Port: p.Port()}, proto
}

// sock is a blocking socket over a netstack endpoint.
type sock struct {
	testing.TB
	tcpip.Endpoint
	wq    *waiter.Queue
	entry waiter.Entry
	event chan struct{}
	r     bytes.Reader
	w     sliceWriter
}

func newSock(t testing.TB, ep tcpip.Endpoint, wq *waiter.Queue) *sock {
	s := &sock{TB: t, Endpoint: ep, wq: wq}
	s.entry, s.event = waiter.NewChannelEntry(waiter.EventIn | waiter.EventOut | waiter.EventErr | waiter.EventHUp)
	wq.EventRegister(&s.entry)
	t.Cleanup(ep.Close)
	return s
}

func (h *host) open(transport tcpip.TransportProtocolNumber, proto tcpip.NetworkProtocolNumber) *sock {
	h.Helper()
	wq := new(waiter.Queue)
	ep, err := h.NewEndpoint(transport, proto, wq)
	if err != nil {
		h.Fatal(err)
	}
	return newSock(h.TB, ep, wq)
}

func (h *host) listen(ap string) *sock {
	h.Helper()
	addr, proto := full(ap)
	s := h.open(tcp.ProtocolNumber, proto)
	if err := s.Bind(addr); err != nil {
		h.Fatal(err)
	}
	if err := s.Listen(64); err != nil {
		h.Fatal(err)
	}
	return s
}

func (s *sock) accept() *sock {
	s.Helper()
	for {
		ep, wq, err := s.Accept(nil)
		switch err.(type) {
		case nil:
			return newSock(s.TB, ep, wq)
		case *tcpip.ErrWouldBlock:
			<-s.event
		default:
			s.Errorf("accept: %v", err)
			return nil
		}
	}
}

// dial connects and returns the error of the connect.
func (h *host) dial(ap string) (*sock, tcpip.Error) {
	h.Helper()
	addr, proto := full(ap)
	s := h.open(tcp.ProtocolNumber, proto)
	err := s.Connect(addr)
	if _, started := err.(*tcpip.ErrConnectStarted); started {
		for s.Readiness(waiter.EventOut|waiter.EventErr|waiter.EventHUp) == 0 {
			<-s.event
		}
		err = s.LastError()
	}
	return s, err
}

func (h *host) udp(bind string) *sock {
	h.Helper()
	addr, proto := full(bind)
	s := h.open(udp.ProtocolNumber, proto)
	if err := s.Bind(addr); err != nil {
		h.Fatal(err)
	}
	return s
}

func (s *sock) sendTo(b []byte, ap string) tcpip.Error {
	addr, _ := full(ap)
	s.r.Reset(b)
	_, err := s.Endpoint.Write(&s.r, tcpip.WriteOptions{To: &addr})
	return err
}

type sliceWriter struct{ b []byte }

func (w *sliceWriter) Write(p []byte) (int, error) {
	n := copy(w.b, p)
	w.b = w.b[n:]
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

// read blocks for one read; an end of the stream is 0. It yields once before
// it sleeps.
func (s *sock) read(b []byte) int {
	for tries := 0; ; tries++ {
		s.w.b = b
		res, err := s.Endpoint.Read(&s.w, tcpip.ReadOptions{})
		switch err.(type) {
		case nil:
			return res.Count
		case *tcpip.ErrWouldBlock:
			if tries == 0 {
				runtime.Gosched()
				continue
			}
			<-s.event
		case *tcpip.ErrClosedForReceive:
			return 0
		default:
			s.Errorf("read: %v", err)
			return 0
		}
	}
}

func (s *sock) readFull(b []byte) bool {
	for len(b) > 0 {
		n := s.read(b)
		if n == 0 {
			return false
		}
		b = b[n:]
	}
	return true
}

func (s *sock) write(b []byte) bool {
	for len(b) > 0 {
		s.r.Reset(b)
		n, err := s.Endpoint.Write(&s.r, tcpip.WriteOptions{})
		b = b[n:]
		switch err.(type) {
		case nil:
		case *tcpip.ErrWouldBlock:
			<-s.event
		default:
			s.Errorf("write: %v", err)
			return false
		}
	}
	return true
}

// pattern returns n bytes that no shift of them equals.
func pattern(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// transfer sends data through a TCP connection from c to l and compares it.
func transfer(t testing.TB, c *host, l *sock, to string, data []byte) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s, err := c.dial(to)
		if err != nil {
			t.Errorf("dial %s: %v", to, err)
			return
		}
		s.write(data)
		s.Shutdown(tcpip.ShutdownWrite)
	}()
	got := make([]byte, len(data))
	s := l.accept()
	if !s.readFull(got) || !bytes.Equal(got, data) {
		t.Error("the stream was damaged")
	}
	if n := s.read(make([]byte, 1)); n != 0 {
		t.Error("bytes after the end")
	}
	<-done
}

// mustAddr is a documentation address of one version of IP.
func mustAddr(proto tcpip.NetworkProtocolNumber, last byte) netip.Addr {
	if proto == ipv6.ProtocolNumber {
		a := netip.MustParseAddr("2001:db8::").As16()
		a[15] = last
		return netip.AddrFrom16(a)
	}
	return netip.AddrFrom4([4]byte{192, 0, 2, last})
}

// end destroys the stack once.
func (h *host) end() { h.once.Do(h.Destroy) }

// leavesNothing does round once, and then n times, and fails if goroutines or
// descriptors have become more by that.
func leavesNothing(t *testing.T, n int, round func()) {
	t.Helper()
	round() // the poller's own descriptors, and what else is made once
	goroutines, files := runtime.NumGoroutine(), openDescriptors(t)
	for range n {
		round()
	}
	if after := openDescriptors(t); after != files {
		t.Errorf("%d descriptors before %d rounds, %d after", files, n, after)
	}
	goroutinesEnd(t, goroutines)
}

// goroutinesEnd fails unless there are soon as few goroutines as before:
// netstack's end a moment after their stack.
func goroutinesEnd(t *testing.T, before int) {
	t.Helper()
	for range 100_000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
	}
	buf := make([]byte, 1<<16)
	t.Errorf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
}

// openDescriptors counts the descriptors of this process, or returns 0 where the
// system does not tell.
func openDescriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/dev/fd")
	if err != nil {
		return 0
	}
	return len(list)
}

// ipv4Packet is one from 192.0.2.1 to 192.0.2.2.
func ipv4Packet(protocol byte, data []byte) []byte {
	b := make([]byte, header.IPv4MinimumSize)
	h := header.IPv4(b)
	h.Encode(&header.IPv4Fields{
		TotalLength: uint16(len(b) + len(data)), TTL: 64, Protocol: protocol,
		SrcAddr: tcpip.AddrFrom4([4]byte{192, 0, 2, 1}), DstAddr: tcpip.AddrFrom4([4]byte{192, 0, 2, 2}),
	})
	h.SetChecksum(^h.CalculateChecksum())
	return append(b, data...)
}
