package dnszone

import "encoding/binary"

// Response codes, RFC 1035, section 4.1.1, and RFC 6891.
const (
	rcodeSuccess  = 0
	rcodeFormErr  = 1
	rcodeServFail = 2
	rcodeNXDomain = 3
	rcodeNotImp   = 4
	rcodeRefused  = 5
	rcodeYXDomain = 6 // RFC 2136
	rcodeBadVers  = 16
)

const (
	headerSize = 12
	classIN    = 1
	classANY   = 255

	flagQR = 1 << 15
	flagAA = 1 << 10
	flagTC = 1 << 9
	flagRD = 1 << 8
	flagRA = 1 << 7

	flagDO = 1 << 15 // in the TTL of the OPT record

	// plainSize is what a client without EDNS can take in a datagram.
	plainSize = 512
)

// request is a query, taken apart.
type request struct {
	id       uint16
	flags    uint16
	question []byte // the question section as it came
	name     wireName
	typ      uint16
	class    uint16
	edns     bool
	version  byte
	dnssecOK bool // the DO bit, which a reply repeats (RFC 3225, section 3)
	udpSize  int
}

// readRequest takes a query apart. ok is false for what deserves no reply at
// all; rcode is not 0 for what deserves only that.
func readRequest(msg []byte) (q request, rcode int, ok bool) {
	if len(msg) < headerSize {
		return q, 0, false
	}
	q.id = binary.BigEndian.Uint16(msg)
	q.flags = binary.BigEndian.Uint16(msg[2:])
	q.udpSize = plainSize
	if q.flags&flagQR != 0 {
		return q, 0, false
	}
	if q.flags>>11&0xf != 0 {
		return q, rcodeNotImp, true
	}
	if binary.BigEndian.Uint16(msg[4:]) != 1 {
		return q, rcodeFormErr, true
	}
	name, end, ok := readName(msg, headerSize)
	// A pointer in the first name could only lead into the header.
	if !ok || end != headerSize+len(name)+1 || end+4 > len(msg) {
		return q, rcodeFormErr, true
	}
	q.name = name
	q.typ = binary.BigEndian.Uint16(msg[end:])
	q.class = binary.BigEndian.Uint16(msg[end+2:])
	q.question = msg[headerSize : end+4]
	off := end + 4
	records := 0
	for i := 6; i < headerSize; i += 2 {
		records += int(binary.BigEndian.Uint16(msg[i:]))
	}
	additional := records - int(binary.BigEndian.Uint16(msg[10:]))
	for i := range records {
		owner, end, ok := readName(msg, off)
		if !ok || end+10 > len(msg) {
			return q, rcodeFormErr, true
		}
		size := int(binary.BigEndian.Uint16(msg[end+8:]))
		if end+10+size > len(msg) {
			return q, rcodeFormErr, true
		}
		if binary.BigEndian.Uint16(msg[end:]) == typeOPT {
			if q.edns || owner != "" || i < additional { // RFC 6891, section 6.1.1
				return q, rcodeFormErr, true
			}
			q.edns = true
			q.udpSize = max(plainSize, int(binary.BigEndian.Uint16(msg[end+2:])))
			q.version = msg[end+5]
			q.dnssecOK = binary.BigEndian.Uint16(msg[end+6:])&flagDO != 0
		}
		off = end + 10 + size
	}
	if q.version > 0 {
		return q, rcodeBadVers, true
	}
	return q, 0, true
}

// readName reads a name, compressed or not, and returns the offset behind it.
func readName(msg []byte, off int) (name wireName, end int, ok bool) {
	var out []byte
	jumped := false
	for steps := 0; off < len(msg) && steps < 128; steps++ {
		n := int(msg[off])
		switch {
		case n == 0:
			if !jumped {
				end = off + 1
			}
			return wireName(out), end, true
		case n < 64:
			if off+1+n > len(msg) || len(out)+1+n > 254 {
				return "", 0, false
			}
			out = append(out, msg[off:off+1+n]...)
			off += 1 + n
		case n >= 0xc0 && off+1 < len(msg):
			to := (n&0x3f)<<8 | int(msg[off+1])
			if to >= off {
				return "", 0, false
			}
			if !jumped {
				end, jumped = off+2, true
			}
			off = to
		default:
			return "", 0, false
		}
	}
	return "", 0, false
}

// owned is a record with its owner.
type owned struct {
	owner wireName
	record
}

// writer makes a reply. Owner names are compressed.
type writer struct {
	buf   []byte
	names map[wireName]int // offsets of names, in lower case
}

// response is what a reply says, apart from the question.
type response struct {
	rcode      int
	answers    []owned
	authority  []owned
	additional []owned
	referral   bool // others know more (RFC 1034, section 4.3.2, step 3b)
}

// reply is the message for q. cut leaves the records out and sets TC. size is
// the largest datagram that an OPT record announces; 0 means no OPT record.
func (q *request) reply(r response, cut bool, size int) []byte {
	flags := q.flags&(flagRD|0x7800) | flagQR | uint16(r.rcode&0xf)
	if q.question != nil && r.rcode != rcodeRefused {
		// AA is about the owner of the first answer (RFC 1035, section 4.1.1).
		if !r.referral || len(r.answers) > 0 {
			flags |= flagAA
		}
		if !r.referral {
			flags |= flagRA
		}
	}
	if cut {
		flags |= flagTC
		r.answers, r.authority, r.additional = nil, nil, nil
	}
	w := writer{buf: make([]byte, headerSize, plainSize), names: map[wireName]int{}}
	binary.BigEndian.PutUint16(w.buf, q.id)
	binary.BigEndian.PutUint16(w.buf[2:], flags)
	if q.question != nil {
		binary.BigEndian.PutUint16(w.buf[4:], 1)
		w.learn(q.name, headerSize)
		w.buf = append(w.buf, q.question...)
	}
	for i, section := range [...][]owned{r.answers, r.authority, r.additional} {
		for _, rr := range section {
			w.record(rr)
		}
		binary.BigEndian.PutUint16(w.buf[6+2*i:], uint16(len(section)))
	}
	if q.edns && size > 0 {
		do := byte(0)
		if q.dnssecOK {
			do = flagDO >> 8
		}
		w.buf = append(w.buf, 0, 0, typeOPT, byte(size>>8), byte(size), byte(r.rcode>>4), 0, do, 0, 0, 0)
		binary.BigEndian.PutUint16(w.buf[10:], uint16(len(r.additional)+1))
	}
	return w.buf
}

// learn notes that name, and with it every name above, stands at off.
func (w *writer) learn(name wireName, off int) {
	for rest := name.lower(); rest != "" && off < 0x4000; rest = rest.parent() {
		if _, known := w.names[rest]; !known {
			w.names[rest] = off
		}
		off += 1 + int(rest[0])
	}
}

func (w *writer) name(name wireName) {
	start := len(w.buf)
	for rest := name; rest != ""; rest = rest.parent() {
		if off, known := w.names[rest.lower()]; known {
			w.buf = append(w.buf, byte(off>>8)|0xc0, byte(off))
			w.learn(name, start)
			return
		}
		w.buf = append(w.buf, rest[:1+rest[0]]...)
	}
	w.buf = append(w.buf, 0)
	w.learn(name, start)
}

func (w *writer) record(r owned) {
	w.name(r.owner)
	w.buf = binary.BigEndian.AppendUint16(w.buf, r.typ)
	w.buf = binary.BigEndian.AppendUint16(w.buf, classIN)
	w.buf = binary.BigEndian.AppendUint32(w.buf, r.ttl)
	w.buf = binary.BigEndian.AppendUint16(w.buf, uint16(len(r.data)))
	w.buf = append(w.buf, r.data...)
}
