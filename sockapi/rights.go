package sockapi

import (
	"encoding/binary"

	"usersock/stack/endpoint"
)

// This file carries descriptors from one Net of a Stack to another, or to the
// same: SCM_RIGHTS of unix(7). What travels is the open file description, with
// a reference of its own; the receiver's Net gives it a descriptor.

// maxRights is how many descriptors one message carries, SCM_MAX_FD of Linux.
const maxRights = 253

// outgoing makes of ancillary data what endpoints take. Only an AF_UNIX socket
// looks at descriptors. An item with one that is not open is EBADF, and EINVAL
// the one with which they are too many; nothing of such an item is retained.
func (d *desc) outgoing(items []Ancillary) []endpoint.Control {
	if len(items) == 0 {
		return nil
	}
	list := make([]endpoint.Control, len(items))
	total := 0
	for i, it := range items {
		list[i] = endpoint.Control{Level: it.Level, Type: it.Type, Data: it.Data}
		if it.Level != SOL_SOCKET || it.Type != SCM_RIGHTS || d.file.family != AF_UNIX {
			continue
		}
		list[i].Data = nil
		if total += len(it.Data) / 4; total > maxRights {
			list[i].Err = endpoint.EINVAL
		} else {
			list[i].Rights, list[i].Err = d.net.retainAll(it.Data)
		}
		if list[i].Err != nil {
			return list[:i+1] // nobody looks further
		}
	}
	return list
}

// retainAll returns the open file descriptions of an array of C ints, each with
// a reference.
func (n *Net) retainAll(fds []byte) (rights []endpoint.Right, err error) {
	for ; len(fds) >= 4; fds = fds[4:] {
		f, err := n.retain(int(int32(binary.NativeEndian.Uint32(fds))))
		if err != nil {
			for _, r := range rights {
				r.Release()
			}
			return nil, err
		}
		rights = append(rights, f)
	}
	return rights, nil
}

// releaseAll lets go of the rights in control items.
func releaseAll(items []endpoint.Control) {
	for _, it := range items {
		for _, r := range it.Rights {
			r.Release()
		}
	}
}

func hasRights(items []endpoint.Control) bool {
	for i := range items {
		if len(items[i].Rights) > 0 {
			return true
		}
	}
	return false
}

// join adds what a further receive of the same call brought, n bytes. Of its
// items only rights are new.
func join(all, got *endpoint.Received, n int) {
	all.N += n
	all.Size += got.Size
	all.Flags |= got.Flags
	for _, it := range got.Control {
		if len(it.Rights) > 0 {
			all.Control = append(all.Control, it)
		}
	}
}

// incoming puts received items into the room that there is for them, and
// descriptors into the Net.
func (d *desc) incoming(items []endpoint.Control, room *controlRoom, cloexec bool) {
	for _, it := range items {
		if len(it.Rights) > 0 {
			d.install(it.Rights, room, cloexec)
		} else {
			room.put(it.Level, it.Type, it.Data)
		}
	}
}

// install is scm_detach_fds of Linux: as many descriptors as fit, the others
// are closed.
func (d *desc) install(rights []endpoint.Right, room *controlRoom, cloexec bool) {
	fit := min(room.descriptors(), len(rights))
	if fit > 0 {
		d.net.gate(d.fd, d, "recvmsg") // it makes descriptors
	}
	var data []byte
	for i, r := range rights {
		f, ok := r.(*file)
		if !ok || i >= fit {
			r.Release()
			room.cut = true
			continue
		}
		fd, err := d.net.install(f)
		if err != nil { // the Net was closed, and the reference dropped
			fit, room.cut = 0, true
			continue
		}
		fd.cloexec.Store(cloexec)
		data = binary.NativeEndian.AppendUint32(data, uint32(fd.fd))
	}
	if len(data) > 0 {
		room.add(Ancillary{SOL_SOCKET, SCM_RIGHTS, data})
	}
}

// SendFds sends the bytes of bufs and descriptors of this Net with them over an
// AF_UNIX socket, Python's send_fds. addr is nil for the peer. Errors are those
// of [Socket.Sendmsg].
func (s *Socket) SendFds(bufs [][]byte, fds []int, flags int, addr Addr) (int, error) {
	return s.Sendmsg(bufs, []Ancillary{Rights(fds...)}, flags, addr)
}

// RecvFds receives at most bufsize bytes and maxfds descriptors, Python's
// recv_fds. The descriptors are the caller's to close; [Net.Adopt] makes a
// Socket of one. Flags and address are those of [Socket.Recvmsg].
func (s *Socket) RecvFds(bufsize, maxfds int, flags ...int) (data []byte, fds []int, msgFlags int, addr Addr, err error) {
	room := -1
	if maxfds >= 0 && maxfds <= maxCmsg/4 {
		room = CmsgLen(4 * maxfds)
	}
	data, items, msgFlags, addr, err := s.Recvmsg(bufsize, room, flags...)
	for _, it := range items {
		more, _ := it.Rights()
		fds = append(fds, more...)
	}
	return data, fds, msgFlags, addr, err
}

// SendFds is [Socket.SendFds] as the module's function.
func SendFds(s *Socket, bufs [][]byte, fds []int, flags int, addr Addr) (int, error) {
	return s.SendFds(bufs, fds, flags, addr)
}

// RecvFds is [Socket.RecvFds] as the module's function.
func RecvFds(s *Socket, bufsize, maxfds int, flags ...int) (data []byte, fds []int, msgFlags int, addr Addr, err error) {
	return s.RecvFds(bufsize, maxfds, flags...)
}
