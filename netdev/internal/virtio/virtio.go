// Package virtio reads and writes the header that the kernel puts before
// packets on TUN, TAP and packet sockets (virtio_net_hdr, VIRTIO 1.2, section
// 5.1.6), and does in software what a header promises.
//
// # Theory
//
// The header says what the sender has left for the receiver to do:
//
//   - NeedsCsum: the checksum of the transport header is partial. The 16 bits at
//     CsumStart+CsumOffset hold the sum of the pseudo header, and the sum of all
//     bytes from CsumStart on still has to be added. See [Complete].
//   - A GSO type: the packet stands for several, each with GSOSize bytes of what
//     follows the transport header. TCP segments netstack takes as they are;
//     UDP datagrams have bounds that a receiver sees, so [Split] cuts them.
//
// All fields are in the byte order of this machine, as the legacy interface
// has them. Nothing in a header is believed before [Header.Check] has held it
// against the packet: it may come from a program that opened the other side of
// a link with bad intentions. HdrLen is a hint and is not used.
package virtio

import (
	"encoding/binary"
	"errors"
)

// HeaderLen is the length of the header in bytes. A TUN may have a longer one
// (TUNSETVNETHDRSZ); what follows these bytes is zero.
const HeaderLen = 10

// Flags of a header.
const (
	NeedsCsum = 1 // the checksum is partial
	DataValid = 2 // the sender has checked it
)

// GSO types of a header.
const (
	GSONone  = 0
	GSOTCPv4 = 1
	GSOUDP   = 3 // fragmentation of UDP, not offered by kernels any more
	GSOTCPv6 = 4
	GSOUDPL4 = 5 // several datagrams in one
	GSOECN   = 0x80
)

// Header is a virtio_net_hdr without num_buffers.
type Header struct {
	Flags      uint8
	GSOType    uint8
	HdrLen     uint16 // of link, network and transport header, a hint
	GSOSize    uint16
	CsumStart  uint16 // from the start of the packet, link header included
	CsumOffset uint16 // from CsumStart
}

// Decode reads a header. b has at least HeaderLen bytes.
func Decode(b []byte) Header {
	return Header{
		Flags:      b[0],
		GSOType:    b[1],
		HdrLen:     binary.NativeEndian.Uint16(b[2:]),
		GSOSize:    binary.NativeEndian.Uint16(b[4:]),
		CsumStart:  binary.NativeEndian.Uint16(b[6:]),
		CsumOffset: binary.NativeEndian.Uint16(b[8:]),
	}
}

// Encode writes the header into b, which has at least HeaderLen bytes; those
// that follow become zero.
func (h *Header) Encode(b []byte) {
	clear(b)
	b[0], b[1] = h.Flags, h.GSOType
	binary.NativeEndian.PutUint16(b[2:], h.HdrLen)
	binary.NativeEndian.PutUint16(b[4:], h.GSOSize)
	binary.NativeEndian.PutUint16(b[6:], h.CsumStart)
	binary.NativeEndian.PutUint16(b[8:], h.CsumOffset)
}

// Errors of Check.
var (
	ErrChecksum = errors.New("virtio: the checksum lies outside the packet")
	ErrGSO      = errors.New("virtio: the packet is not of its GSO type")
	ErrGSOSize  = errors.New("virtio: segments of no bytes")
	ErrGSOType  = errors.New("virtio: unknown GSO type")
)

const (
	ipv4Len = 20
	ipv6Len = 40
	tcpLen  = 20
	udpLen  = 8
	tcp     = 6
	udp     = 17
)

// Check holds the header against the packet, whose link header has link bytes.
func (h *Header) Check(packet []byte, link int) error {
	if h.Flags&NeedsCsum != 0 {
		start, at := int(h.CsumStart), int(h.CsumStart)+int(h.CsumOffset)
		if start < link+ipv4Len || at+2 > len(packet) {
			return ErrChecksum
		}
	}
	kind := h.GSOType &^ GSOECN
	if kind == GSONone {
		return nil
	}
	if h.GSOSize == 0 {
		return ErrGSOSize
	}
	version, proto, transport := parse(packet, link)
	least := 0
	switch {
	case kind == GSOTCPv4 && version == 4 && proto == tcp, kind == GSOTCPv6 && version == 6 && proto == tcp:
		least = tcpLen
	case kind == GSOUDPL4 && proto == udp:
		least = udpLen
	case kind == GSOTCPv4, kind == GSOTCPv6, kind == GSOUDPL4:
		return ErrGSO
	default:
		return ErrGSOType
	}
	if transport+least > len(packet) || h.Flags&NeedsCsum == 0 || int(h.CsumStart) != transport {
		return ErrGSO
	}
	return nil
}

// parse returns the version of IP of a packet, the protocol that follows the
// IP header, and where that begins; version 0 if there is no whole IP header.
func parse(packet []byte, link int) (version, proto, transport int) {
	if len(packet) < link+ipv4Len {
		return 0, 0, 0
	}
	ip := packet[link:]
	switch ip[0] >> 4 {
	case 4:
		n := int(ip[0]&15) * 4
		if n < ipv4Len || n > len(ip) {
			return 0, 0, 0
		}
		return 4, int(ip[9]), link + n
	case 6:
		if len(ip) < ipv6Len {
			return 0, 0, 0
		}
		return 6, int(ip[6]), link + ipv6Len
	}
	return 0, 0, 0
}

// Complete fills in the partial checksum of a packet that Check has passed.
func (h *Header) Complete(packet []byte) {
	if h.Flags&NeedsCsum == 0 {
		return
	}
	sum := fold(add(0, packet[h.CsumStart:]))
	if sum = ^sum; sum == 0 {
		sum = 0xffff // in UDP zero means none; elsewhere both say the same
	}
	binary.BigEndian.PutUint16(packet[int(h.CsumStart)+int(h.CsumOffset):], sum)
}

// Split cuts a packet of type GSOUDPL4, which Check has passed, into its
// datagrams, complete with lengths, identifications and checksums, and hands
// each to emit, which does not keep it. It returns false without a call if the
// lengths in the headers do not fit the packet, or there is no data to cut.
func (h *Header) Split(packet []byte, link int, emit func([]byte)) bool {
	version, _, transport := parse(packet, link)
	data := transport + udpLen
	size := int(binary.BigEndian.Uint16(packet[transport+4:]))
	if size <= udpLen || transport+size > len(packet) {
		return false
	}
	rest := packet[data : transport+size]
	buf := make([]byte, data+min(int(h.GSOSize), len(rest)))
	for i := 0; len(rest) > 0; i++ {
		part := rest[:min(int(h.GSOSize), len(rest))]
		rest = rest[len(part):]
		b := buf[:data+len(part)]
		copy(b, packet[:data])
		copy(b[data:], part)
		ip, u := b[link:], b[transport:]
		var pseudo uint64
		if version == 4 {
			binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
			binary.BigEndian.PutUint16(ip[4:], binary.BigEndian.Uint16(ip[4:])+uint16(i))
			ip[10], ip[11] = 0, 0
			binary.BigEndian.PutUint16(ip[10:], ^fold(add(0, b[link:transport])))
			pseudo = add(0, ip[12:20])
		} else {
			binary.BigEndian.PutUint16(ip[4:], uint16(len(ip)-ipv6Len))
			pseudo = add(0, ip[8:40])
		}
		binary.BigEndian.PutUint16(u[4:], uint16(len(u)))
		u[6], u[7] = 0, 0
		sum := ^fold(add(pseudo+udp+uint64(len(u)), u))
		if sum == 0 {
			sum = 0xffff
		}
		binary.BigEndian.PutUint16(u[6:], sum)
		emit(b)
	}
	return true
}

// add adds the 16-bit words of b to a sum (RFC 1071); an odd byte at the end
// is the high half of a word.
func add(sum uint64, b []byte) uint64 {
	for len(b) >= 2 {
		sum += uint64(b[0])<<8 | uint64(b[1])
		b = b[2:]
	}
	if len(b) > 0 {
		sum += uint64(b[0]) << 8
	}
	return sum
}

func fold(sum uint64) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
