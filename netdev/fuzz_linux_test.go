package netdev

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/netdev/internal/virtio"
)

// The address of the stacks of these tests, and a frame header to it.
var fuzzHeader = []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9}

// FuzzVnet: whatever a TUN, a TAP or a packet socket hands over, with a virtio
// header or without, is counted or goes up, and nothing panics.
func FuzzVnet(f *testing.F) {
	const ether, forwards, plain = 1, 2, 4
	tcp := ipv4Packet(6, append([]byte{0, 7, 0, 9, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 1, 0, 0, 0, 0, 0}, pattern(3000)...))
	udp := ipv4Packet(17, append([]byte{0, 7, 0, 9, 3000 >> 8, 3000 & 0xff, 0, 0}, pattern(2992)...))
	add := func(mode byte, h virtio.Header, packet []byte) {
		b := make([]byte, virtio.HeaderLen)
		h.Encode(b)
		f.Add(mode, append(b, packet...))
	}
	for _, mode := range []byte{0, ether, forwards, ether | forwards} {
		var frame []byte
		if mode&ether != 0 {
			frame = append(frame, fuzzHeader...)
			frame = append(frame, 8, 0)
		}
		start := uint16(len(frame) + header.IPv4MinimumSize)
		add(mode, virtio.Header{Flags: virtio.NeedsCsum, GSOType: virtio.GSOTCPv4, GSOSize: 1460, CsumStart: start, CsumOffset: 16}, append(frame, tcp...))
		add(mode, virtio.Header{Flags: virtio.NeedsCsum, GSOType: virtio.GSOUDPL4, GSOSize: 1000, CsumStart: start, CsumOffset: 6}, append(frame, udp...))
		add(mode, virtio.Header{Flags: virtio.NeedsCsum, GSOType: virtio.GSOUDPL4, GSOSize: 1, CsumStart: start, CsumOffset: 6},
			append(frame, ipv4Packet(17, []byte{0, 7, 0, 9, 0, 8, 0, 0})...)) // no data to cut
		add(mode, virtio.Header{Flags: virtio.NeedsCsum, GSOType: virtio.GSOTCPv4, GSOSize: 9, CsumStart: start, CsumOffset: 16}, append(frame, tcp[:40]...))
		add(mode, virtio.Header{}, append(frame, ipv4Packet(17, pattern(100))...))
	}
	f.Add(byte(plain), ipv4Packet(1, pattern(100)))
	f.Add(byte(plain|ether), append(append([]byte(nil), fuzzHeader...), 8, 6, 0, 1))

	var queues [8]*vnetQueue
	var counts [8]*Counters
	for mode := range byte(8) {
		r, w, err := os.Pipe()
		if err != nil {
			f.Fatal(err)
		}
		f.Cleanup(func() { w.Close() })
		cfg := vnetConfig{files: []*os.File{r}, mtu: 1500, header: virtio.HeaderLen, gso: true, down: tunDown}
		if mode&ether != 0 {
			cfg.mac = tcpip.LinkAddress(fuzzHeader[:6])
		}
		if mode&plain != 0 {
			cfg.header, cfg.gso = 0, false
		}
		e, err := newVnet(cfg)
		if err != nil {
			f.Fatal(err)
		}
		l, n := Count(e)
		h := newHost(f)
		if mode&forwards != 0 {
			h.forward()
		}
		h.attach(l, bobNet, bobNet6)
		h.listen("192.0.2.2:9")
		h.udp("[2001:db8::2]:9")
		queues[mode], counts[mode] = newQueue(e, nil, nil), n
	}
	f.Fuzz(func(t *testing.T, mode byte, b []byte) {
		mode %= 8
		q, n := queues[mode], counts[mode]
		head := b[:min(q.e.prefix, len(b))]
		packet := b[len(head):]
		copy(q.head[:], head)
		copy(q.view.AsSlice(), packet)
		if len(packet) > readSize {
			copy(q.spill[:], packet[readSize:])
		}
		before := n.RxPackets.Load()
		lost := rxDrops(q.e)
		q.take(min(len(b), q.e.prefix+readSize+spillSize))
		if n.RxPackets.Load() == before && rxDrops(q.e) == lost {
			t.Errorf("neither counted nor delivered: % x", b)
		}
	})
}

func rxDrops(l Link) uint64 {
	d := Dropped(l)
	return d.RxDown + d.RxForeign + d.RxMalformed + d.RxQueueFull + d.RxTooLong
}

// upward is a dispatcher that says what came.
type upward chan tcpip.NetworkProtocolNumber

func (u upward) DeliverNetworkPacket(p tcpip.NetworkProtocolNumber, _ *stack.PacketBuffer) { u <- p }
func (upward) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer)          {}

// FuzzVfkit: whatever datagram a peer sends, it is counted or goes up, once,
// and the next frame is received.
func FuzzVfkit(f *testing.F) {
	good := append(append([]byte(nil), fuzzHeader...), 8, 0)
	good = append(good, ipv4Packet(17, pattern(20))...)
	f.Add(good)
	f.Add([]byte{})
	f.Add([]byte(vfkitMagic))
	f.Add([]byte(vfkitMagic + "x"))
	f.Add(append(good, make([]byte, 4000)...))
	path := filepath.Join(f.TempDir(), "s")
	l, err := OpenVfkit(path, SocketConfig{Listen: true, HardwareAddr: net.HardwareAddr(fuzzHeader[:6])})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { Close(l) })
	up := make(upward, 10)
	l.Wire().Endpoint.Attach(up)
	peer, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { peer.Close() })
	marker := append(append([]byte(nil), fuzzHeader...), 8, 6) // ARP of no bytes
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > maxPacket+etherHeader {
			return
		}
		lost := rxDrops(l)
		for _, p := range [][]byte{b, marker} {
			if _, err := peer.Write(p); err != nil {
				t.Fatal(err)
			}
		}
		want := 1
		if string(b) == vfkitMagic {
			want = 0
		}
		got := 0
		isARP := len(b) >= etherHeader && string(b[12:14]) == "\x08\x06"
		for p := range up {
			if p == header.ARPProtocolNumber && (!isARP || got > 0 || rxDrops(l) > lost) {
				break // the marker
			}
			got++
		}
		if got += int(rxDrops(l) - lost); got != want {
			t.Errorf("% x came %d times, want %d", b, got, want)
		}
	})
}

// FuzzRecord: what a recorder does to packets whose checksums are partial and
// which are longer than the wire's.
func FuzzRecord(f *testing.F) {
	f.Add(ipv4Packet(17, pattern(100)), 0, 1500)
	tcp := append([]byte{0, 7, 0, 9, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 1, 0, 0, 0, 0, 0}, pattern(3000)...)
	f.Add(ipv4Packet(6, tcp), 0, 1500)
	f.Add(append(append(append([]byte(nil), fuzzHeader...), 8, 0), ipv4Packet(6, tcp)...), etherHeader, 100)
	v6 := append([]byte{0x60, 0, 0, 0, byte(len(tcp) >> 8), byte(len(tcp)), 6, 64}, make([]byte, 32)...)
	f.Add(append(v6, tcp...), 0, 1280)
	f.Fuzz(func(t *testing.T, b []byte, link, mtu int) {
		if link != 0 {
			link = min(etherHeader, len(b))
		}
		mtu = max(minMTU, min(mtu, maxPacket))
		completeChecksum(b[link:])
		super := superPacket(b, link, mtu)
		if super == nil {
			return
		}
		defer super.DecRef()
		bytes := 0
		segment(super, func(seg *stack.PacketBuffer) {
			if ipSize(seg) > mtu || linkLen(seg) != link {
				t.Errorf("%d bytes behind %d, want at most %d behind %d", ipSize(seg), linkLen(seg), mtu, link)
			}
			bytes += seg.Data().Size()
			v := seg.ToView()
			defer v.Release()
			if ip := v.AsSlice()[link:]; !checked(ip, seg.NetworkProtocolNumber) {
				t.Errorf("a wrong checksum: % x", ip)
			}
		})
		if want := super.Data().Size(); bytes != want {
			t.Errorf("%d bytes in segments, want %d", bytes, want)
		}
	})
}

// FuzzHostLink: whatever a message of rtnetlink has, the parsers survive it.
func FuzzHostLink(f *testing.F) {
	f.Add([]byte{})
	info := make([]byte, unix.SizeofIfInfomsg)
	f.Add(append(info, 8, 0, 3, 0, 'e', 't', 'h', 0))
	f.Add(append(info, 16, 0, 18, 0, 7, 0, 1, 0, 't', 'u', 'n', 0, 5, 0, 2, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, ok := parseHostLink(b); ok && l.mtu < 0 {
			t.Errorf("an MTU of %d", l.mtu)
		}
		parseHostTUN(b)
	})
}
