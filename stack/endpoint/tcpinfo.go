package endpoint

import (
	"encoding/binary"
	"time"
)

// TCPInfoValue is the value of TCP_INFO, struct tcp_info of linux/tcp.h, as far as
// its 32-bit counters go. What a stack does not know is 0.
type TCPInfoValue struct {
	State       uint8 // 1 is ESTABLISHED … 11 CLOSING: the kernel's TCP_* states
	CAState     uint8 // 0 open, 1 disorder, 2 CWR, 3 recovery, 4 loss
	Retransmits uint8
	Probes      uint8
	Backoff     uint8
	Options     uint8 // bits TCPI_OPT_*: 1 timestamps, 2 SACK, 4 window scaling, 8 ECN
	SndWscale   uint8 // shift of the peer's window, 0 to 14
	RcvWscale   uint8 // shift of the own one

	RTO    time.Duration // retransmission timeout
	ATO    time.Duration // delay of acknowledgements
	SndMSS uint32        // bytes
	RcvMSS uint32

	Unacked, Sacked, Lost, Retrans, Fackets uint32 // segments

	LastDataSent, LastAckSent, LastDataRecv, LastAckRecv time.Duration // ago

	PMTU        uint32 // bytes
	RcvSsthresh uint32
	RTT, RTTVar time.Duration
	SndSsthresh uint32 // segments
	SndCwnd     uint32 // segments
	AdvMSS      uint32 // bytes
	Reordering  uint32 // segments

	RcvRTT       time.Duration
	RcvSpace     uint32 // bytes
	TotalRetrans uint32 // segments
}

// TCPInfoSize is the length of the value that [ParseTCPInfo] reads.
const TCPInfoSize = 104

// ParseTCPInfo reads the value of TCP_INFO. What a short value lacks is 0;
// fewer than eight bytes are EINVAL. Bytes beyond TCPInfoSize are ignored.
func ParseTCPInfo(value []byte) (TCPInfoValue, error) {
	if len(value) < 8 {
		return TCPInfoValue{}, EINVAL
	}
	var b [TCPInfoSize]byte
	copy(b[:], value)
	word := func(offset int) uint32 { return binary.NativeEndian.Uint32(b[offset:]) }
	micros := func(offset int) time.Duration { return time.Duration(word(offset)) * time.Microsecond }
	millis := func(offset int) time.Duration { return time.Duration(word(offset)) * time.Millisecond }
	scales := b[6] // two fields of four bits, in the order of the host's bits
	i := TCPInfoValue{
		State: b[0], CAState: b[1], Retransmits: b[2], Probes: b[3], Backoff: b[4], Options: b[5],
		SndWscale: scales & 15, RcvWscale: scales >> 4,
		RTO: micros(8), ATO: micros(12), SndMSS: word(16), RcvMSS: word(20),
		Unacked: word(24), Sacked: word(28), Lost: word(32), Retrans: word(36), Fackets: word(40),
		LastDataSent: millis(44), LastAckSent: millis(48), LastDataRecv: millis(52), LastAckRecv: millis(56),
		PMTU: word(60), RcvSsthresh: word(64), RTT: micros(68), RTTVar: micros(72), SndSsthresh: word(76), SndCwnd: word(80),
		AdvMSS: word(84), Reordering: word(88), RcvRTT: micros(92), RcvSpace: word(96), TotalRetrans: word(100),
	}
	if bigEndian {
		i.SndWscale, i.RcvWscale = i.RcvWscale, i.SndWscale
	}
	return i, nil
}

var bigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1
