package endpoint

import (
	"encoding/binary"
	"time"
)

// Option values travel as the bytes that a C program would hand to
// getsockopt(2) and setsockopt(2), in the host's byte order.

// PutInt writes v as a C int, cut to the buffer, and returns the length
// written: a short buffer truncates, as on Linux.
func PutInt(buf []byte, v int) int {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], uint32(v))
	return copy(buf, b[:])
}

// Int reads a C int. Fewer than four bytes are EINVAL; more are ignored.
func Int(value []byte) (int, error) {
	if len(value) < 4 {
		return 0, EINVAL
	}
	return int(int32(binary.NativeEndian.Uint32(value))), nil
}

// PutCred writes c as struct ucred, unix(7).
func PutCred(buf []byte, c Cred) int {
	var b [12]byte
	binary.NativeEndian.PutUint32(b[0:], uint32(c.Pid))
	binary.NativeEndian.PutUint32(b[4:], c.Uid)
	binary.NativeEndian.PutUint32(b[8:], c.Gid)
	return copy(buf, b[:])
}

// PutLinger writes struct linger, socket(7).
func PutLinger(buf []byte, on bool, d time.Duration) int {
	var b [8]byte
	if on {
		binary.NativeEndian.PutUint32(b[0:], 1)
	}
	binary.NativeEndian.PutUint32(b[4:], uint32(d/time.Second))
	return copy(buf, b[:])
}

// Linger reads struct linger. Fewer than eight bytes are EINVAL.
func Linger(value []byte) (on bool, d time.Duration, err error) {
	if len(value) < 8 {
		return false, 0, EINVAL
	}
	on = binary.NativeEndian.Uint32(value) != 0
	d = time.Duration(int32(binary.NativeEndian.Uint32(value[4:]))) * time.Second
	return on, d, nil
}

// wordSize is the size of a C long on this host: 4 or 8.
const wordSize = 4 << (^uint(0) >> 63)

// PutTimeval writes d as struct timeval with this host's word size.
func PutTimeval(buf []byte, d time.Duration) int {
	var b [2 * wordSize]byte
	putWord(b[:wordSize], uint64(d/time.Second))
	putWord(b[wordSize:], uint64(d%time.Second/time.Microsecond))
	return copy(buf, b[:])
}

// Timeval reads struct timeval. Too few bytes are EINVAL, microseconds
// outside 0 to 999999 EDOM, as in sock_set_timeout of Linux.
func Timeval(value []byte) (time.Duration, error) {
	if len(value) < 2*wordSize {
		return 0, EINVAL
	}
	sec, usec := word(value), word(value[wordSize:])
	if usec < 0 || usec >= 1e6 {
		return 0, EDOM
	}
	const most = int64(1<<63-1) / int64(time.Second)
	if sec >= most {
		return 0, nil // as Linux: longer than it can count is for ever
	}
	sec = max(sec, -most)
	return time.Duration(sec)*time.Second + time.Duration(usec)*time.Microsecond, nil
}

func putWord(b []byte, v uint64) {
	if wordSize == 8 {
		binary.NativeEndian.PutUint64(b, v)
	} else {
		binary.NativeEndian.PutUint32(b, uint32(v))
	}
}

func word(b []byte) int64 {
	if wordSize == 8 {
		return int64(binary.NativeEndian.Uint64(b))
	}
	return int64(int32(binary.NativeEndian.Uint32(b)))
}
