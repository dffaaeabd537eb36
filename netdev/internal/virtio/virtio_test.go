package virtio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// datagram returns an IPv4 or IPv6 packet with a UDP datagram of n bytes and a
// partial checksum behind a link header, and its header.
func datagram(version, link, n int) (Header, []byte) {
	hlen := map[int]int{4: ipv4Len, 6: ipv6Len}[version]
	p := make([]byte, link+hlen+udpLen+n)
	ip, u := p[link:], p[link+hlen:]
	if version == 4 {
		ip[0], ip[8], ip[9] = 0x45, 64, udp
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
		copy(ip[12:], []byte{192, 0, 2, 1, 192, 0, 2, 2})
	} else {
		ip[0], ip[6], ip[7] = 0x60, udp, 64
		binary.BigEndian.PutUint16(ip[4:], uint16(len(u)))
		copy(ip[8:], []byte{0x20, 1, 0x0d, 0xb8})
		copy(ip[24:], []byte{0x20, 1, 0x0d, 0xb8})
		ip[39] = 2
	}
	copy(u, []byte{0, 7, 0, 9})
	binary.BigEndian.PutUint16(u[4:], uint16(len(u)))
	for i := range u[udpLen:] {
		u[udpLen+i] = byte(i)
	}
	h := Header{Flags: NeedsCsum, CsumStart: uint16(link + hlen), CsumOffset: 6}
	binary.BigEndian.PutUint16(u[6:], fold(add(udp+uint64(len(u)), addresses(ip))))
	return h, p
}

func addresses(ip []byte) []byte {
	if ip[0]>>4 == 4 {
		return ip[12:20]
	}
	return ip[8:40]
}

// valid reports whether the datagram's checksum is right: all words add up to
// ones.
func valid(ip []byte) bool {
	hlen := map[byte]int{4: ipv4Len, 6: ipv6Len}[ip[0]>>4]
	if ip[0]>>4 == 4 && ip[10]|ip[11] != 0 && fold(add(0, ip[:hlen])) != 0xffff {
		return false
	}
	return fold(add(add(udp+uint64(len(ip)-hlen), addresses(ip)), ip[hlen:])) == 0xffff
}

func TestHeader(t *testing.T) {
	h := Header{1, 4, 54, 1448, 34, 16}
	b := bytes.Repeat([]byte{0xff}, 12)
	h.Encode(b)
	if b[10] != 0 || b[11] != 0 || Decode(b) != h {
		t.Errorf("% x is %+v, want %+v", b, Decode(b), h)
	}
}

func TestComplete(t *testing.T) {
	for _, version := range []int{4, 6} {
		for n := range 70 {
			h, p := datagram(version, 14, n)
			if err := h.Check(p, 14); err != nil {
				t.Fatal(err)
			}
			if h.Complete(p); !valid(p[14:]) {
				t.Errorf("IPv%d, %d bytes: checksum is wrong", version, n)
			}
		}
	}
}

func TestSplit(t *testing.T) {
	for _, version := range []int{4, 6} {
		for _, link := range []int{0, 14} {
			h, p := datagram(version, link, 2500)
			h.GSOType, h.GSOSize = GSOUDPL4, 1000
			if err := h.Check(p, link); err != nil {
				t.Fatal(err)
			}
			var got []byte
			n := 0
			if !h.Split(p, link, func(b []byte) {
				ip := b[link:]
				if !valid(ip) {
					t.Errorf("IPv%d: datagram %d has a wrong checksum", version, n)
				}
				if version == 4 && binary.BigEndian.Uint16(ip[4:]) != uint16(n) {
					t.Errorf("datagram %d has identification %d", n, binary.BigEndian.Uint16(ip[4:]))
				}
				got = append(got, b[int(h.CsumStart)+udpLen:]...)
				n++
			}) || n != 3 || !bytes.Equal(got, p[int(h.CsumStart)+udpLen:]) {
				t.Errorf("IPv%d: %d datagrams with %d bytes", version, n, len(got))
			}
			p = p[:len(p)-1]
			if h.Split(p, link, func([]byte) { t.Error("a packet that was cut short") }) {
				t.Error("a packet that was cut short passes")
			}
		}
	}
}

func TestCheck(t *testing.T) {
	_, p := datagram(4, 0, 100)
	for _, c := range []struct {
		h    Header
		want error
	}{
		{Header{}, nil},
		{Header{Flags: DataValid}, nil},
		{Header{Flags: NeedsCsum, CsumStart: 20, CsumOffset: 6}, nil},
		{Header{Flags: NeedsCsum, CsumStart: 20, CsumOffset: 107}, ErrChecksum},
		{Header{Flags: NeedsCsum, CsumStart: 19, CsumOffset: 6}, ErrChecksum},
		{Header{Flags: NeedsCsum, CsumStart: 0xffff, CsumOffset: 0xffff}, ErrChecksum},
		{Header{Flags: NeedsCsum, GSOType: GSOUDPL4, CsumStart: 20, CsumOffset: 6}, ErrGSOSize},
		{Header{Flags: NeedsCsum, GSOType: GSOTCPv4, GSOSize: 9, CsumStart: 20, CsumOffset: 16}, ErrGSO},
		{Header{Flags: NeedsCsum, GSOType: GSOTCPv6 | GSOECN, GSOSize: 9, CsumStart: 20, CsumOffset: 16}, ErrGSO},
		{Header{GSOType: GSOUDPL4, GSOSize: 9}, ErrGSO},
		{Header{Flags: NeedsCsum, GSOType: GSOUDP, GSOSize: 9, CsumStart: 20, CsumOffset: 6}, ErrGSOType},
	} {
		if err := c.h.Check(p, 0); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.h, err, c.want)
		}
	}
}

// FuzzCheck: whatever Check lets pass can be completed and split.
func FuzzCheck(f *testing.F) {
	for _, version := range []int{4, 6} {
		for _, link := range []int{0, 14} {
			h, p := datagram(version, link, 50)
			h.GSOType, h.GSOSize = GSOUDPL4, 20
			b := make([]byte, HeaderLen)
			h.Encode(b)
			f.Add(append(b, p...), link == 14)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, ether bool) {
		if len(b) < HeaderLen {
			return
		}
		h, packet, link := Decode(b), b[HeaderLen:], 0
		if ether {
			link = 14
		}
		if h.Check(packet, link) != nil {
			return
		}
		if h.GSOType&^GSOECN == GSOUDPL4 {
			total := 0
			h.Split(packet, link, func(d []byte) { total += len(d) })
			if most := len(packet) * (len(packet) + 1); total > most {
				t.Errorf("%d bytes made of %d", total, len(packet))
			}
		}
		h.Complete(packet)
	})
}
