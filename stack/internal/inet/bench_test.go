package inet

import (
	"bytes"
	"io"
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"usersock/stack/endpoint"
)

// rawOf returns netstack's endpoint inside one of ours.
func rawOf(ep endpoint.Endpoint) tcpip.Endpoint {
	switch ep := ep.(type) {
	case *tcpEndpoint:
		return ep.raw.Load()
	}
	panic("not an endpoint of this package")
}

// streamTransfer returns a function that moves one message from one end of a
// connection to the other, through ours or through netstack alone.
func streamTransfer(tb testing.TB, size int, raw bool) func() {
	p := newProtocols(tb, true, true)
	c, s := pair(tb, p, lo4)
	out, in := make([]byte, size), make([]byte, size)
	bufs := [][]byte{nil}
	if raw {
		rc, rs := rawOf(c.Endpoint), rawOf(s.Endpoint)
		src := bytes.NewReader(out)
		dst := new(tcpip.SliceWriter)
		return func() {
			src.Reset(out)
			n, err := rc.Write(src, tcpip.WriteOptions{})
			if err != nil || int(n) != size {
				tb.Fatal(n, err)
			}
			for left := in; len(left) > 0; {
				*dst = left
				res, err := rs.Read(dst, tcpip.ReadOptions{})
				if _, wait := err.(*tcpip.ErrWouldBlock); wait {
					<-s.w.ch
					continue
				}
				if err != nil {
					tb.Fatal(err)
				}
				left = left[res.Count:]
			}
		}
	}
	sendBufs := [][]byte{out}
	return func() {
		n, err := c.Send(endpoint.Message{Bufs: sendBufs})
		if err != nil || n != size {
			tb.Fatal(n, err)
		}
		for left := in; len(left) > 0; {
			bufs[0] = left
			res, err := s.Recv(endpoint.RecvRequest{Bufs: bufs})
			if err == endpoint.EAGAIN {
				<-s.w.ch
				continue
			}
			if err != nil {
				tb.Fatal(err)
			}
			left = left[res.N:]
		}
	}
}

// netstackTransfer is datagramTransfer through netstack's own UDP endpoints.
func netstackTransfer(tb testing.TB, ip netip.Addr, size int) func() {
	s := newStackOf(tb, true, true, []gvstack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol})
	net := header.IPv4ProtocolNumber
	if ip.Is6() {
		net = header.IPv6ProtocolNumber
	}
	open := func() (tcpip.Endpoint, *waiter.Queue) {
		var wq waiter.Queue
		ep, err := s.NewEndpoint(udp.ProtocolNumber, net, &wq)
		must(tb, err)
		tb.Cleanup(ep.Close)
		return ep, &wq
	}
	c, _ := open()
	r, wq := open()
	must(tb, r.Bind(tcpip.FullAddress{Addr: tcpip.AddrFromSlice(ip.AsSlice())}))
	to, err := r.GetLocalAddress()
	must(tb, err)
	entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents)
	wq.EventRegister(&entry)
	out, in := make([]byte, size), make([]byte, size)
	src, dst := bytes.NewReader(out), new(tcpip.SliceWriter)
	return func() {
		src.Reset(out)
		n, err := c.Write(src, tcpip.WriteOptions{To: &to})
		if err != nil || int(n) != size {
			tb.Fatal(n, err)
		}
		for {
			*dst = in
			_, err := r.Read(dst, tcpip.ReadOptions{NeedRemoteAddr: true})
			if _, wait := err.(*tcpip.ErrWouldBlock); wait {
				<-ready
				continue
			}
			must(tb, err)
			return
		}
	}
}

// datagramTransfer is streamTransfer for UDP, with an address on each send and
// the source of each receive.
func datagramTransfer(tb testing.TB, ip netip.Addr, size int, raw bool) func() {
	if raw {
		return netstackTransfer(tb, ip, size)
	}
	p := newProtocols(tb, true, true)
	a := inet(ip, 0)
	c, s := open(tb, p, a.Family, endpoint.SOCK_DGRAM), open(tb, p, a.Family, endpoint.SOCK_DGRAM)
	check(tb, s.Bind(a))
	to := s.local()
	out, in := make([]byte, size), make([]byte, size)
	sendBufs, recvBufs := [][]byte{out}, [][]byte{in}
	return func() {
		n, err := c.Send(endpoint.Message{Bufs: sendBufs, To: to})
		if err != nil || n != size {
			tb.Fatal(n, err)
		}
		for {
			_, err := s.Recv(endpoint.RecvRequest{Bufs: recvBufs})
			if err == endpoint.EAGAIN {
				<-s.w.ch
				continue
			}
			check(tb, err)
			return
		}
	}
}

// Send and Recv add no allocation to netstack's own.
func TestTransferAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools drop things at random")
	}
	for _, c := range []struct {
		name string
		most float64 // of ours; 0 for no more than netstack's
		make func(raw bool) func()
	}{
		{"TCP", 0, func(raw bool) func() { return streamTransfer(t, 1000, raw) }},
		{"UDP over IPv4", 1, func(raw bool) func() { return datagramTransfer(t, lo4, 1000, raw) }},
		// Netstack's way through the extension headers that are not there.
		{"UDP over IPv6", 5, func(raw bool) func() { return datagramTransfer(t, lo6, 1000, raw) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := testing.AllocsPerRun(2000, c.make(true))
			ours := testing.AllocsPerRun(2000, c.make(false))
			t.Logf("netstack alone %v, ours %v", raw, ours)
			if ours > raw || c.most > 0 && ours > c.most {
				t.Errorf("ours allocates %v times a transfer, netstack alone %v times", ours, raw)
			}
		})
	}
}

func BenchmarkTransfer(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
		make func(b *testing.B, size int, raw bool) func()
	}{
		{"TCP64", 64, func(b *testing.B, size int, raw bool) func() { return streamTransfer(b, size, raw) }},
		{"TCP16K", 16 << 10, func(b *testing.B, size int, raw bool) func() { return streamTransfer(b, size, raw) }},
		{"TCP1M", 1 << 20, func(b *testing.B, size int, raw bool) func() { return streamTransfer(b, size, raw) }},
		{"UDP64", 64, func(b *testing.B, size int, raw bool) func() { return datagramTransfer(b, lo4, size, raw) }},
		{"UDP64v6", 64, func(b *testing.B, size int, raw bool) func() { return datagramTransfer(b, lo6, size, raw) }},
		{"UDP8K", 8 << 10, func(b *testing.B, size int, raw bool) func() { return datagramTransfer(b, lo4, size, raw) }},
	} {
		for _, kind := range []struct {
			name string
			raw  bool
		}{{"netstack", true}, {"ours", false}} {
			b.Run(c.name+"/"+kind.name, func(b *testing.B) {
				f := c.make(b, c.size, kind.raw)
				b.SetBytes(int64(c.size))
				b.ReportAllocs()
				for b.Loop() {
					f()
				}
			})
		}
	}
}

// BenchmarkOpenClose is what a socket costs that is never used.
func BenchmarkOpenClose(b *testing.B) {
	p := newProtocols(b, true, true)
	f := p.Family(endpoint.AF_INET)
	b.ReportAllocs()
	for b.Loop() {
		ep, err := f.Open(endpoint.Request{Type: endpoint.SOCK_STREAM})
		if err != nil {
			b.Fatal(err)
		}
		ep.Close()
	}
}

// BenchmarkReady is what poll asks of each connection.
func BenchmarkReady(b *testing.B) {
	p := newProtocols(b, true, true)
	c, _ := pair(b, p, lo4)
	b.ReportAllocs()
	for b.Loop() {
		if c.Ready(endpoint.In|endpoint.Out) != endpoint.Out {
			b.Fatal("not ready")
		}
	}
}

// A transfer across several buffers, each of another length, keeps every byte
// in its place.
func TestTransferBuffers(t *testing.T) {
	p := &Protocols{}
	p.transfers.New = func() any { return new(transfer) }
	text := []byte("abcdefghijklmnopqrstuvwxyz")
	src := p.source([][]byte{nil, text[:3], {}, text[3:4], text[4:26], nil}, 26)
	var got []byte
	for {
		b := make([]byte, 5)
		n, err := src.Read(b)
		got = append(got, b[:n]...)
		if err == io.EOF {
			break
		}
		check(t, err)
	}
	if string(got) != string(text) || src.Len() != 0 {
		t.Errorf("read %q, %d left", got, src.Len())
	}
	p.release(src)
	a, b := make([]byte, 7), make([]byte, 4)
	dst := p.source([][]byte{{}, a, nil, b}, 11)
	n, err := dst.Write(text[:5])
	if n != 5 || err != nil {
		t.Error(n, err)
	}
	n, err = dst.Write(text[5:])
	if n != 6 || err != io.ErrShortWrite {
		t.Error(n, err)
	}
	if string(a)+string(b) != string(text[:11]) || dst.got != 11 {
		t.Errorf("wrote %q %q", a, b)
	}
	p.release(dst)
	dst = p.source([][]byte{a}, 7)
	dst.skim = true
	if n, err = dst.Write(text); n != 26 || err != nil || dst.got != 7 {
		t.Error("a datagram is not consumed whole:", n, err, dst.got)
	}
}
