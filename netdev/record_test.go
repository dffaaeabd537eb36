package netdev

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"usersock/stack/endpoint"
)

// captured reads the packets of a capture: interface, direction and bytes. It
// fails the test if the blocks do not hang together.
func captured(t *testing.T, file []byte) (list []capturedPacket) {
	t.Helper()
	for len(file) > 0 {
		if len(file) < 12 {
			t.Fatalf("%d bytes at the end", len(file))
		}
		n := int(binary.NativeEndian.Uint32(file[4:]))
		if n < 12 || n > len(file) || n%4 != 0 || int(binary.NativeEndian.Uint32(file[n-4:])) != n {
			t.Fatalf("a block of %d bytes", n)
		}
		body := file[8 : n-4]
		if binary.NativeEndian.Uint32(file) == 6 {
			size, whole := int(binary.NativeEndian.Uint32(body[12:])), int(binary.NativeEndian.Uint32(body[16:]))
			rest := body[20+(size+3)&^3:]
			list = append(list, capturedPacket{
				iface: binary.NativeEndian.Uint32(body), data: body[20 : 20+size], whole: whole,
				out: bytes.Contains(rest, []byte{2, 0, 4, 0, 2, 0, 0, 0}), options: rest,
			})
		}
		file = file[n:]
	}
	return list
}

type capturedPacket struct {
	iface   uint32
	data    []byte
	whole   int
	out     bool
	options []byte
}

// TestRecordWire: although a pair passes 64 KiB without checksums, the record
// has what a wire would carry, on both ends and over both versions of IP.
func TestRecordWire(t *testing.T) {
	var file bytes.Buffer
	r := NewRecorder(&file, RecordConfig{})
	a, b := Pair(PairConfig{MTU: 1500})
	seg := NewSegment(SegmentConfig{MTU: 1500})
	alice, bob := newHost(t), newHost(t)
	alice.attach(r.Link(a, "alice0"), aliceNet, aliceNet6)
	bob.attach(r.Link(b, "bob0"), bobNet, bobNet6)
	bob.attach(r.Link(join(t, seg, PortConfig{}), "bob1"), "198.51.100.2/24")
	carol := newHost(t)
	carol.attach(join(t, seg, PortConfig{}), "198.51.100.3/24")
	r.Comment("it begins")
	for _, at := range []string{"192.0.2.2:7", "[2001:db8::2]:7"} {
		transfer(t, alice, bob.listen(at), at, pattern(300<<10))
	}
	transfer(t, bob, carol.listen("198.51.100.3:7"), "198.51.100.3:7", pattern(300<<10))
	alice.end()
	bob.end()
	carol.end()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	packets := captured(t, file.Bytes())
	if !bytes.Contains(packets[0].options, []byte("it begins")) {
		t.Error("the comment is not at the first packet")
	}
	var bytesOut, arps int
	for i, p := range packets {
		ip := p.data
		if p.iface == 2 {
			if ip = ip[etherHeader:]; header.Ethernet(p.data).Type() == header.ARPProtocolNumber {
				arps++
				continue
			}
		}
		proto, ok := check(ip)
		if !ok || len(ip) > 1500 || p.whole != len(p.data) {
			t.Fatalf("packet %d has %d bytes: %v", i, len(ip), ok)
		}
		if !atOnce(ip) {
			continue
		}
		part := transportOf(ip, proto)
		if part.sum() != 0xffff {
			t.Fatalf("packet %d: the checksum is wrong", i)
		}
		if p.iface == 0 && p.out {
			bytesOut += len(part.b) - int(header.TCP(part.b).DataOffset())
		}
	}
	if recorded, missed := r.Packets(); int(recorded) != len(packets) || missed != 0 {
		t.Errorf("%d recorded, %d missed, %d in the file", recorded, missed, len(packets))
	}
	if bytesOut < 600<<10 || arps == 0 {
		t.Errorf("%d bytes of TCP left alice0, %d ARP packets", bytesOut, arps)
	}
}

// TestRecordFragments: the checksum of an IPv6 datagram in fragments, which a
// pair leaves out, is in the record of both ends.
func TestRecordFragments(t *testing.T) {
	var file bytes.Buffer
	r := NewRecorder(&file, RecordConfig{})
	a, b := Pair(PairConfig{MTU: 1500})
	alice, bob := newHost(t), newHost(t)
	alice.attach(r.Link(a, "alice0"), aliceNet6)
	bob.attach(r.Link(b, "bob0"), bobNet6)
	from, to := alice.udp("[2001:db8::1]:9"), bob.udp("[2001:db8::2]:9")
	const size = 4001
	if err := from.sendTo(pattern(size), "[2001:db8::2]:9"); err != nil {
		t.Fatal(err)
	}
	if n := to.read(make([]byte, 5000)); n != size {
		t.Fatalf("%d bytes arrived", n)
	}
	alice.end()
	bob.end()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	var datagrams [2][]byte
	var pseudo uint16
	for _, p := range captured(t, file.Bytes()) {
		if ip := header.IPv6(p.data); p.data[6] == fragmentHeader {
			datagrams[p.iface] = append(datagrams[p.iface], p.data[fragmentEnd:]...)
			pseudo = header.PseudoHeaderChecksum(header.UDPProtocolNumber, ip.SourceAddress(), ip.DestinationAddress(), size+header.UDPMinimumSize)
		}
	}
	for i, d := range datagrams {
		if len(d) != size+header.UDPMinimumSize {
			t.Fatalf("interface %d: %d bytes", i, len(d))
		}
		if binary.BigEndian.Uint16(d[udpChecksumAt:]) == 0 || checksum.Checksum(d, pseudo) != 0xffff {
			t.Errorf("interface %d: the checksum %x is wrong", i, d[udpChecksumAt:udpChecksumAt+2])
		}
	}
}

// stuck is a writer that waits for permission.
type stuck struct{ free chan struct{} }

func (w *stuck) Write(b []byte) (int, error) {
	<-w.free
	return len(b), nil
}

// TestRecordSlow: a reader that is too slow loses packets; the network does
// not wait.
func TestRecordSlow(t *testing.T) {
	w := &stuck{make(chan struct{})}
	a, b := Pair(PairConfig{})
	l, r := Record(a, "eth0", w, RecordConfig{QueueBytes: 1000, SnapLen: 100})
	alice, bob := newHost(t), newHost(t)
	alice.attach(l, aliceNet)
	bob.attach(b, bobNet)
	transfer(t, alice, bob.listen("192.0.2.2:7"), "192.0.2.2:7", pattern(3<<20))
	if _, missed := r.Packets(); missed == 0 {
		t.Error("nothing is missing")
	}
	close(w.free)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, endpoint.ENOSPC }

type shortWriter struct{}

func (shortWriter) Write(b []byte) (int, error) { return len(b) - 1, nil }

// TestRecordFails: the network goes on when the writer fails.
func TestRecordFails(t *testing.T) {
	for _, c := range []struct {
		w    io.Writer
		want error
	}{{failingWriter{}, endpoint.ENOSPC}, {shortWriter{}, io.ErrShortWrite}} {
		a, b := Pair(PairConfig{})
		l, r := Record(a, "eth0", c.w, RecordConfig{})
		alice, bob := newHost(t), newHost(t)
		alice.attach(l, aliceNet)
		bob.attach(b, bobNet)
		transfer(t, alice, bob.listen("192.0.2.2:7"), "192.0.2.2:7", pattern(100<<10))
		if err := r.Close(); !errors.Is(err, c.want) || !errors.Is(r.Err(), c.want) {
			t.Errorf("%v, want %v", err, c.want)
		}
		r.KeyLog().Write([]byte("late"))
		r.Close()
	}
}

// TestRecordObserves: while a link is recorded its medium is observed.
func TestRecordObserves(t *testing.T) {
	a, _ := Pair(PairConfig{})
	medium := a.Wire().Medium
	l, r := Record(a, "eth0", io.Discard, RecordConfig{})
	if !medium.Observed() || l.Wire().Medium != nil {
		t.Error("the medium is not observed, or not hidden")
	}
	Close(l)
	Close(l)
	if medium.Observed() {
		t.Error("the medium is observed after the close")
	}
	r.Close()
}

// BenchmarkRecord is a segment of 64 KiB on its way through a recorded link.
func BenchmarkRecord(b *testing.B) {
	a, peer := Pair(PairConfig{MTU: 1500})
	Close(peer)
	l, r := Record(a, "eth0", io.Discard, RecordConfig{})
	pkt := outgoing(b, 17, 1400)
	b.ReportAllocs()
	b.SetBytes(1400)
	for b.Loop() {
		send(l, pkt)
	}
	r.Close()
}
