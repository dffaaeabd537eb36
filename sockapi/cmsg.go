package sockapi

import (
	"encoding/binary"

	"usersock/stack/endpoint"
)

// This file has control data as it lies in memory, cmsg(3): items one after the
// other, each a header (struct cmsghdr: a length, which is a C size_t, and two
// C ints) and its data, each padded to the size of a C long. Programs that
// write their C down again need it; the others give items to
// [Socket.Sendmsg] and get items from [Socket.Recvmsg].

// Ancillary is one item of ancillary data, Python's tuple (cmsg_level,
// cmsg_type, cmsg_data). ancillary.go makes and reads the usual ones.
type Ancillary struct {
	Level int // SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6
	Type  int // SCM_RIGHTS, IP_PKTINFO and so on
	Data  []byte
}

const (
	cmsgWord   = 4 << (^uint(0) >> 63) // sizeof(long) of this host
	cmsgHeader = cmsgWord + 8          // sizeof(struct cmsghdr)
)

// maxCmsg bounds what CmsgLen and CmsgSpace take, as CPython's SOCKLEN_T_LIMIT
// does: their results are a C int.
const maxCmsg = 1<<31 - 1 - cmsgHeader - cmsgWord

func cmsgAlign(n int) int { return (n + cmsgWord - 1) &^ (cmsgWord - 1) }

// CmsgLen is CMSG_LEN: the length of an item with n bytes of data, without
// padding behind it. It is what Recvmsg needs to take one such item alone. For
// an n that is negative, or too large for a C int, it is −1, which every call
// refuses.
func CmsgLen(n int) int {
	if n < 0 || n > maxCmsg {
		return -1
	}
	return cmsgHeader + n
}

// CmsgSpace is CMSG_SPACE: the length of an item with n bytes of data and the
// padding behind it, so that the spaces of several items add up. For an n that
// is negative, or too large for a C int, it is −1, which every call refuses.
func CmsgSpace(n int) int {
	if n < 0 || n > maxCmsg {
		return -1
	}
	return cmsgHeader + cmsgAlign(n)
}

// PackControl writes items as control data. Levels and types are C ints:
// others are a [*ValueError], as in CPython.
func PackControl(items []Ancillary) ([]byte, error) {
	size := 0
	for _, it := range items {
		if err := checkItem("packcontrol", it); err != nil {
			return nil, err
		}
		size += CmsgSpace(len(it.Data))
	}
	buf := make([]byte, size)
	at := buf
	for _, it := range items {
		putHeader(at, cmsgHeader+len(it.Data), it.Level, it.Type)
		copy(at[cmsgHeader:], it.Data)
		at = at[CmsgSpace(len(it.Data)):]
	}
	return buf, nil
}

func checkItem(op string, it Ancillary) error {
	switch {
	case int(int32(it.Level)) != it.Level || int(int32(it.Type)) != it.Type:
		return &ValueError{Op: op, Msg: "level and type of ancillary data do not fit a C int"}
	case len(it.Data) > maxCmsg:
		return &ValueError{Op: op, Msg: "ancillary data item too large"}
	}
	return nil
}

// ParseControl reads control data as the kernel reads a program's: EINVAL for
// an item whose length is less than its header or goes beyond the buffer,
// together with the items before it. Fewer bytes than a header behind the last
// item are ignored, and so is padding that is missing there. The data are parts
// of buf.
func ParseControl(buf []byte) ([]Ancillary, error) {
	var items []Ancillary
	for len(buf) >= cmsgHeader {
		n := cmsgLength(buf)
		if n < cmsgHeader || n > uint64(len(buf)) {
			return items, fail("parsecontrol", nil, endpoint.EINVAL)
		}
		items = append(items, itemAt(buf, int(n)))
		buf = buf[min(cmsgAlign(int(n)), len(buf)):]
	}
	return items, nil
}

// cmsgLength is cmsg_len of the header at the front of buf.
func cmsgLength(buf []byte) uint64 {
	if cmsgWord == 4 {
		return uint64(binary.NativeEndian.Uint32(buf))
	}
	return binary.NativeEndian.Uint64(buf)
}

// itemAt is the item at the front of buf, of n bytes with its header.
func itemAt(buf []byte, n int) Ancillary {
	return Ancillary{
		Level: int(int32(binary.NativeEndian.Uint32(buf[cmsgWord:]))),
		Type:  int(int32(binary.NativeEndian.Uint32(buf[cmsgWord+4:]))),
		Data:  buf[cmsgHeader:n:n],
	}
}

func putHeader(buf []byte, n, level, typ int) {
	if cmsgWord == 4 {
		binary.NativeEndian.PutUint32(buf, uint32(n))
	} else {
		binary.NativeEndian.PutUint64(buf, uint64(n))
	}
	binary.NativeEndian.PutUint32(buf[cmsgWord:], uint32(int32(level)))
	binary.NativeEndian.PutUint32(buf[cmsgWord+4:], uint32(int32(typ)))
}

// A controlRoom is the room that a receiver offers for control data. Items go
// into it as put_cmsg of Linux puts them into a program's buffer: the one that
// does not fit is cut, and what comes behind is lost.
type controlRoom struct {
	left int
	cut  bool // MSG_CTRUNC
	raw  []byte
	// items are what went in; raw, if not nil, has them as bytes too.
	items []Ancillary
	used  int
}

// put adds an item.
func (r *controlRoom) put(level, typ int, data []byte) {
	if r.left < cmsgHeader {
		r.cut = true
		return
	}
	if CmsgLen(len(data)) > r.left {
		r.cut = true
		data = data[:r.left-cmsgHeader]
	}
	r.add(Ancillary{level, typ, data})
}

// add is put for an item that fits.
func (r *controlRoom) add(it Ancillary) {
	if r.raw != nil {
		putHeader(r.raw[r.used:], CmsgLen(len(it.Data)), it.Level, it.Type)
		copy(r.raw[r.used+cmsgHeader:], it.Data)
	} else {
		r.items = append(r.items, it)
	}
	space := min(CmsgSpace(len(it.Data)), r.left)
	r.left -= space
	r.used += space
}

// descriptors is how many descriptors fit: scm_max_fds of Linux.
func (r *controlRoom) descriptors() int { return max(0, r.left-cmsgHeader) / 4 }
