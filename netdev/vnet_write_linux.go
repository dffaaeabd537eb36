package netdev

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/netdev/internal/virtio"
)

// maxPieces is how many pieces of memory one writev takes. A packet in more
// pieces is copied first.
const maxPieces = 32

// piLen is the length of struct tun_pi in bytes.
const piLen = 4

// vnetWriter is one writev: made once and used again.
type vnetWriter struct {
	head  [piLen + maxVnetHeader]byte
	iov   [maxPieces]unix.Iovec
	n     int
	flat  *buffer.View
	errno syscall.Errno
	do    func(fd uintptr)
}

// maxVnetHeader is the longest virtio header that we write.
const maxVnetHeader = 32

func newWriter() *vnetWriter {
	w := &vnetWriter{}
	w.do = func(fd uintptr) {
		for {
			_, _, w.errno = unix.Syscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&w.iov[0])), uintptr(w.n))
			if w.errno != unix.EINTR {
				return
			}
		}
	}
	return w
}

// header makes what stands before pkt.
func (w *vnetWriter) header(e *vnetEnd, pkt *stack.PacketBuffer, gso bool) {
	b := w.head[:e.prefix]
	if e.cfg.pi {
		b[0], b[1] = 0, 0
		b[2], b[3] = byte(pkt.NetworkProtocolNumber>>8), byte(pkt.NetworkProtocolNumber)
		b = b[piLen:]
	}
	if len(b) > 0 {
		var h virtio.Header
		if gso {
			h.Flags = virtio.NeedsCsum
			h.CsumStart = uint16(linkLen(pkt) + len(pkt.NetworkHeader().Slice()))
			h.CsumOffset = pkt.GSOOptions.CsumOffset
			if isSuper(pkt) {
				h.GSOType = virtio.GSOTCPv4
				if pkt.NetworkProtocolNumber == header.IPv6ProtocolNumber {
					h.GSOType = virtio.GSOTCPv6
				}
				h.GSOSize = pkt.GSOOptions.MSS
				h.HdrLen = uint16(pkt.HeaderSize())
			}
		}
		h.Encode(b)
	}
	w.n = 0
	if e.prefix > 0 {
		w.piece(w.head[:e.prefix])
	}
}

func (w *vnetWriter) piece(b []byte) {
	w.iov[w.n].Base = &b[0]
	w.iov[w.n].SetLen(len(b))
	w.n++
}

// gather lists the packet's memory.
func (w *vnetWriter) gather(pkt *stack.PacketBuffer) {
	views, skip := pkt.AsViewList()
	if views.Len() > maxPieces-1 {
		w.flat = pkt.ToView()
		w.piece(w.flat.AsSlice())
		return
	}
	for v := views.Front(); v != nil; v = v.Next() {
		b := v.AsSlice()
		if skip >= len(b) {
			skip -= len(b)
			continue
		}
		w.piece(b[skip:])
		skip = 0
	}
}

func (w *vnetWriter) clear() {
	for i := range w.iov[:w.n] {
		w.iov[i].Base = nil
	}
	if w.flat != nil {
		w.flat.Release()
		w.flat = nil
	}
}

// flowHash tells packets of different flows apart.
func flowHash(pkt *stack.PacketBuffer) uint32 {
	h := uint32(2166136261)
	mix := func(b []byte) {
		for _, c := range b {
			h = (h ^ uint32(c)) * 16777619
		}
	}
	switch ip := pkt.NetworkHeader().Slice(); {
	case len(ip) >= header.IPv6MinimumSize && ip[0]>>4 == header.IPv6Version:
		mix(ip[8:40])
	case len(ip) >= header.IPv4MinimumSize:
		mix(ip[12:20])
	}
	if t := pkt.TransportHeader().Slice(); len(t) >= 4 {
		mix(t[:4]) // the ports
	}
	return h
}
