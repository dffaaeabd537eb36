package sockapi

import (
	"context"
	"runtime"
	"slices"

	"usersock/stack/endpoint"
)

// This file has sendmsg(2) and recvmsg(2) as CPython shows them: several
// buffers, ancillary data, and the flags that came with a message. cmsg.go has
// the memory layout of ancillary data, ancillary.go its usual items, rights.go
// the descriptors that travel in it.

// maxBufs is how many buffers one call takes, UIO_MAXIOV of Linux.
const maxBufs = 1024

// maxControl is how many bytes of control data one call sends: the default of
// Linux's net.core.optmem_max.
const maxControl = 128 << 10

// Sendmsg sends the bytes of several buffers, one after the other, with items of
// ancillary data, and returns how many bytes were taken. addr is the
// destination, nil for the peer. As [Socket.Send] it sends all in blocking mode;
// the items go with the first byte.
//
// Errors beside those of [Socket.Sendto], all of them before anything is sent:
// EMSGSIZE for more than 1024 buffers, ENOBUFS for more than 128 KiB of
// ancillary data, EINVAL for an item that the family does not take or that is
// too short, EBADF for a descriptor in [Rights] that is not open.
func (s *Socket) Sendmsg(bufs [][]byte, ancdata []Ancillary, flags int, addr Addr) (int, error) {
	size := 0
	for _, it := range ancdata {
		if err := checkItem("sendmsg", it); err != nil {
			return 0, err
		}
		size += CmsgSpace(len(it.Data))
	}
	return s.sendmsg("sendmsg", bufs, ancdata, size, nil, flags, addr)
}

// SendmsgControl is [Socket.Sendmsg] with control data as they lie in memory,
// for example from [PackControl]. What [ParseControl] refuses is EINVAL.
func (s *Socket) SendmsgControl(bufs [][]byte, control []byte, flags int, addr Addr) (int, error) {
	if len(control) > maxControl {
		_, err := s.use()
		if err == nil {
			err = endpoint.ENOBUFS
		}
		return 0, fail("sendmsg", addr, err)
	}
	items, bad := ParseControl(control)
	return s.sendmsg("sendmsg", bufs, items, len(control), bad, flags, addr)
}

// sendmsg is both. bad says that the control data are no good behind items; the
// family says so when it comes to them, as Linux does.
func (s *Socket) sendmsg(op string, bufs [][]byte, items []Ancillary, size int, bad error, flags int, addr Addr) (int, error) {
	d, err := s.use()
	if err != nil {
		return 0, fail(op, addr, err)
	}
	switch {
	case len(bufs) > maxBufs:
		return 0, fail(op, addr, endpoint.EMSGSIZE)
	case size > maxControl:
		return 0, fail(op, addr, endpoint.ENOBUFS)
	}
	var to endpoint.Addr
	if addr != nil {
		if _, to, err = s.target(context.Background(), op, addr); err != nil {
			return 0, err
		}
	}
	lim := s.sendFlags(flags)
	whole := lim.blocking && d.file.typ == SOCK_STREAM
	if whole {
		bufs = slices.Clone(bufs) // transmit changes it
	}
	n, err := s.sendItems(bufs, nil, items, bad, to, flags, lim, whole)
	if n > 0 && err != errClosed {
		d.file.keepLater(err)
		return n, nil
	}
	return n, fail(op, addr, err)
}

// sendItems is every sending call with ancillary data, of the bytes of bufs or,
// where that is nil, of one.
func (s *Socket) sendItems(bufs [][]byte, one []byte, items []Ancillary, bad error, to endpoint.Addr, flags int, lim limit, whole bool) (int, error) {
	defer runtime.KeepAlive(s)
	d, err := s.use()
	if err != nil {
		return 0, err
	}
	control := d.outgoing(items)
	if bad != nil {
		control = append(control, endpoint.Control{Err: endpoint.EINVAL})
	}
	w := d.net.getWaiter()
	if bufs == nil {
		w.one[0] = one
		bufs = w.one[:]
	}
	n, err := d.transmit(w, endpoint.Message{Bufs: bufs, To: to, Flags: flags, Control: control}, lim, whole)
	d.net.putWaiter(w)
	if err != nil && n == 0 {
		releaseAll(control)
	}
	return n, err
}

// Recvmsg receives at most bufsize bytes and the ancillary data that fit into
// ancbufsize bytes ([CmsgLen], [CmsgSpace]; 0 for none). It returns the bytes,
// the items, the flags of the message (MSG_TRUNC: the datagram was longer;
// MSG_CTRUNC: ancillary data were lost or cut; MSG_EOR; MSG_ERRQUEUE) and the
// sender's address, nil on a connected stream.
//
// As on Linux the last item may be cut where the room ends. Descriptors that
// came are the lowest free ones of this Net, and the caller's to close; those
// that do not fit are closed. Negative sizes are a [*ValueError].
func (s *Socket) Recvmsg(bufsize, ancbufsize int, flags ...int) (data []byte, ancdata []Ancillary, msgFlags int, addr Addr, err error) {
	all := joinFlags(flags)
	if bufsize < 0 {
		return nil, nil, 0, nil, &ValueError{Op: "recvmsg", Msg: "negative buffer size in recvmsg()"}
	}
	if err := checkAncbufsize("recvmsg", ancbufsize); err != nil {
		return nil, nil, 0, nil, err
	}
	if _, err := s.use(); err != nil {
		return nil, nil, 0, nil, fail("recvmsg", nil, err)
	}
	lim := s.recvFlags(all)
	size, err := s.recvSize("recvmsg", bufsize, all, lim)
	if err != nil {
		return nil, nil, 0, nil, err
	}
	buf := make([]byte, size)
	room := controlRoom{left: ancbufsize}
	got, err := s.recvmsg("recvmsg", [][]byte{buf}, &room, all, lim)
	if err != nil {
		return nil, nil, 0, nil, err
	}
	return buf[:min(got.N, size)], room.items, got.Flags, fromEndpoint(got.From), nil
}

// RecvmsgInto is [Socket.Recvmsg] into several buffers, which are filled one
// after the other. It returns how many bytes came; with MSG_TRUNC a datagram's
// true length.
func (s *Socket) RecvmsgInto(bufs [][]byte, ancbufsize int, flags ...int) (nbytes int, ancdata []Ancillary, msgFlags int, addr Addr, err error) {
	if err := checkAncbufsize("recvmsg_into", ancbufsize); err != nil {
		return 0, nil, 0, nil, err
	}
	room := controlRoom{left: ancbufsize}
	all := joinFlags(flags)
	got, err := s.recvmsg("recvmsg_into", bufs, &room, all, s.recvFlags(all))
	if err != nil {
		return 0, nil, 0, nil, err
	}
	return got.N, room.items, got.Flags, fromEndpoint(got.From), nil
}

// RecvmsgControl is [Socket.RecvmsgInto] with control data as they lie in
// memory: they are written into control, and controllen says how many bytes
// they are, padding included. [ParseControl] reads them.
func (s *Socket) RecvmsgControl(bufs [][]byte, control []byte, flags ...int) (nbytes, controllen, msgFlags int, addr Addr, err error) {
	room := controlRoom{left: len(control), raw: control}
	all := joinFlags(flags)
	got, err := s.recvmsg("recvmsg", bufs, &room, all, s.recvFlags(all))
	if err != nil {
		return 0, 0, 0, nil, err
	}
	return got.N, room.used, got.Flags, fromEndpoint(got.From), nil
}

// checkAncbufsize refuses what CPython refuses.
func checkAncbufsize(op string, n int) error {
	if n < 0 || n > 1<<31-1 {
		return &ValueError{Op: op, Msg: "invalid ancillary data buffer length"}
	}
	return nil
}

// recvmsg is all of them. N in the result is what the call returns.
func (s *Socket) recvmsg(op string, bufs [][]byte, room *controlRoom, flags int, lim limit) (endpoint.Received, error) {
	d, err := s.use()
	if err == nil && len(bufs) > maxBufs {
		err = endpoint.EMSGSIZE
	}
	if err != nil {
		return endpoint.Received{}, fail(op, nil, err)
	}
	if d.file.target(flags, 2) > 1 {
		bufs = slices.Clone(bufs) // receive changes it
	}
	got, err := s.recvItems(bufs, nil, room, flags, lim)
	return got, fail(op, nil, err)
}

// recvItems is every receiving call with ancillary data, into bufs or, where
// that is nil, into one.
func (s *Socket) recvItems(bufs [][]byte, one []byte, room *controlRoom, flags int, lim limit) (endpoint.Received, error) {
	defer runtime.KeepAlive(s)
	d, err := s.use()
	if err != nil {
		return endpoint.Received{}, err
	}
	w := d.net.getWaiter()
	if bufs == nil {
		w.one[0] = one
		bufs = w.one[:]
	}
	got, err := d.receive(w, endpoint.RecvRequest{Bufs: bufs, Flags: flags, Control: room.left > 0}, lim)
	d.net.putWaiter(w)
	if err != nil {
		return endpoint.Received{}, err
	}
	if flags&MSG_TRUNC != 0 && d.file.typ != SOCK_STREAM || got.Flags&MSG_OOB != 0 {
		got.N = got.Size // urgent data count where there is no room for them, too
	}
	got.Flags |= flags & MSG_CMSG_CLOEXEC // as Linux
	d.incoming(got.Control, room, flags&MSG_CMSG_CLOEXEC != 0)
	if room.cut {
		got.Flags |= MSG_CTRUNC
	}
	return got, nil
}
