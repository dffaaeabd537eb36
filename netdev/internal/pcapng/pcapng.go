// Package pcapng makes the blocks of a capture file (draft-ietf-opsawg-pcapng).
//
// # Theory
//
// A file is a sequence of blocks, each with its type, its length before and
// after, and a body padded to 4 bytes: one section header, a description of each
// interface before its first packet, then packets, secrets and statistics as
// they come. Options follow the fixed part of a block: a code, a length, the
// value padded to 4 bytes, and an end mark. Numbers are in the byte order of this
// machine; the section header says which that is.
//
// Each function appends one block to a slice, so that the caller decides where
// bytes go and when. The writers that exist for Go write no direction, no
// comment and no secrets; the format is small.
package pcapng

import "encoding/binary"

// Types of links (LINKTYPE_).
const (
	LinkEthernet = 1
	LinkRaw      = 101 // IPv4 or IPv6, told apart by the first bits
)

// Direction of a packet, as the lowest bits of its flags.
const (
	Inbound  = 1
	Outbound = 2
)

const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 6
	blockStats     = 5
	blockSecrets   = 10

	byteOrder   = 0x1a2b3c4d
	secretsTLS  = 0x544c534b // "TLSK"
	unknownSize = ^uint64(0)

	optEnd     = 0
	optComment = 1

	optSectionOS  = 3
	optSectionApp = 4

	optIfName  = 2
	optIfDesc  = 3
	optIfTsRes = 9

	optPacketFlags = 2

	optStatsReceived = 4
	optStatsDropped  = 5

	// nanoseconds is the resolution of all times: 10 to the minus 9.
	nanoseconds = 9
)

var order = binary.NativeEndian

// begin starts a block and returns where; end closes it.
func begin(b []byte, typ uint32) ([]byte, int) {
	at := len(b)
	b = order.AppendUint32(b, typ)
	return order.AppendUint32(b, 0), at
}

func end(b []byte, at int) []byte {
	n := uint32(len(b) - at + 4)
	order.PutUint32(b[at+4:], n)
	return order.AppendUint32(b, n)
}

func pad(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// option appends an option of at most 65535 bytes. The length of b, from the
// start of the file, is a multiple of 4.
func option[T string | []byte](b []byte, code uint16, value T) []byte {
	if len(value) == 0 {
		return b
	}
	value = value[:min(len(value), 0xffff)]
	b = order.AppendUint16(b, code)
	b = order.AppendUint16(b, uint16(len(value)))
	return pad(append(b, value...))
}

func endOptions(b []byte) []byte { return order.AppendUint32(b, optEnd) }

// AppendSection appends a section header; system and program may be empty.
func AppendSection(b []byte, system, program string) []byte {
	b, at := begin(b, blockSection)
	b = order.AppendUint32(b, byteOrder)
	b = order.AppendUint16(b, 1)
	b = order.AppendUint16(b, 0)
	b = order.AppendUint64(b, unknownSize)
	b = option(b, optSectionOS, system)
	b = option(b, optSectionApp, program)
	return end(endOptions(b), at)
}

// AppendInterface appends the description of an interface. The first one is
// number 0. snap is the longest that is kept of a packet, 0 for no bound.
func AppendInterface(b []byte, link uint16, snap uint32, name, text string) []byte {
	b, at := begin(b, blockInterface)
	b = order.AppendUint16(b, link)
	b = order.AppendUint16(b, 0)
	b = order.AppendUint32(b, snap)
	b = option(b, optIfName, name)
	b = option(b, optIfDesc, text)
	b = option(b, optIfTsRes, []byte{nanoseconds})
	return end(endOptions(b), at)
}

// AppendPacket appends a packet of which data is kept and whole was the length;
// nanos counts from 1970.
func AppendPacket(b []byte, iface uint32, nanos uint64, direction uint32, whole int, data []byte, comment string) []byte {
	b, at := begin(b, blockPacket)
	b = order.AppendUint32(b, iface)
	b = order.AppendUint32(b, uint32(nanos>>32))
	b = order.AppendUint32(b, uint32(nanos))
	b = order.AppendUint32(b, uint32(len(data)))
	b = order.AppendUint32(b, uint32(whole))
	b = pad(append(b, data...))
	b = option(b, optComment, comment)
	b = order.AppendUint16(b, optPacketFlags)
	b = order.AppendUint16(b, 4)
	b = order.AppendUint32(b, direction)
	return end(endOptions(b), at)
}

// AppendSecrets appends lines of a TLS key log (the format of SSLKEYLOGFILE).
func AppendSecrets(b, lines []byte) []byte {
	b, at := begin(b, blockSecrets)
	b = order.AppendUint32(b, secretsTLS)
	b = order.AppendUint32(b, uint32(len(lines)))
	return end(pad(append(b, lines...)), at)
}

// AppendStats appends how many packets an interface has seen, and how many of
// them are missing here.
func AppendStats(b []byte, iface uint32, nanos, received, dropped uint64) []byte {
	b, at := begin(b, blockStats)
	b = order.AppendUint32(b, iface)
	b = order.AppendUint32(b, uint32(nanos>>32))
	b = order.AppendUint32(b, uint32(nanos))
	for _, o := range [...]struct {
		code  uint16
		value uint64
	}{{optStatsReceived, received}, {optStatsDropped, dropped}} {
		b = order.AppendUint16(b, o.code)
		b = order.AppendUint16(b, 8)
		b = order.AppendUint64(b, o.value)
	}
	return end(endOptions(b), at)
}
