package sockapi

import (
	"context"
	"runtime"

	"usersock/stack/endpoint"
)

// The optional flags of these calls are MSG_* bits; several are or-ed
// together.
//
//	MSG_PEEK      leave what was received in the queue
//	MSG_TRUNC     a datagram's true length as the result; on TCP, discard
//	MSG_WAITALL   wait until the buffer is full
//	MSG_DONTWAIT  do not wait, whatever the mode: EAGAIN
//	MSG_NOSIGNAL  without effect: there are no signals, EPIPE is an error only
//	MSG_MORE      more will follow: TCP holds back a last small segment
//	MSG_ERRQUEUE  take an error from the error queue; never waits
//	MSG_OOB       on AF_UNIX streams the last byte is urgent data; TCP sends it
//	              in line, and receiving it is EINVAL

func joinFlags(flags []int) (all int) {
	for _, f := range flags {
		all |= f
	}
	return all
}

// recvFlags is the limit of one receiving call with flags.
func (s *Socket) recvFlags(flags int) limit {
	if flags&(MSG_DONTWAIT|MSG_ERRQUEUE) != 0 {
		return limit{until: atOnce} // Linux never waits for the error queue
	}
	return s.recvLimit()
}

// sendFlags is the limit of one sending call with flags.
func (s *Socket) sendFlags(flags int) limit {
	if flags&MSG_DONTWAIT != 0 {
		return limit{until: atOnce}
	}
	return s.sendLimit()
}

// How many bytes a receive makes room for, whatever it was asked for.
const (
	maxDatagram = 1 << 16 // a datagram of the Internet families
	maxMessage  = 1 << 19 // an AF_UNIX message by the largest SO_SNDBUF
	maxRecv     = 1 << 28 // anything else; Linux takes 2 GiB
)

// Recv receives at most n bytes, and at most 256 MiB. The end of a stream is an
// empty result. A datagram longer than n loses the rest. For n = 0 nothing is
// received, as in CPython.
func (s *Socket) Recv(n int, flags ...int) ([]byte, error) {
	if n == 0 {
		_, err := s.use()
		return nil, fail("recv", nil, err)
	}
	data, _, err := s.recvAlloc("recv", n, joinFlags(flags))
	return data, err
}

// Recvfrom is Recv with the sender's address: nil on a connected stream (that of an
// AF_UNIX one has the peer's name), and for a sender without a name.
func (s *Socket) Recvfrom(n int, flags ...int) ([]byte, Addr, error) {
	data, from, err := s.recvAlloc("recvfrom", n, joinFlags(flags))
	if err != nil {
		return nil, nil, err
	}
	return data, fromEndpoint(from), nil
}

// RecvInto receives into buf, at most nbytes; 0 means all of buf. It returns
// how many bytes came. Into no room nothing is received.
func (s *Socket) RecvInto(buf []byte, nbytes int, flags ...int) (int, error) {
	if len(buf) == 0 && nbytes == 0 {
		_, err := s.use()
		return 0, fail("recv_into", nil, err)
	}
	n, _, err := s.recvBuf("recv_into", buf, nbytes, joinFlags(flags))
	return n, err
}

// RecvfromInto is RecvInto with the sender's address.
func (s *Socket) RecvfromInto(buf []byte, nbytes int, flags ...int) (int, Addr, error) {
	n, from, err := s.recvBuf("recvfrom_into", buf, nbytes, joinFlags(flags))
	if err != nil {
		return 0, nil, err
	}
	return n, fromEndpoint(from), nil
}

func (s *Socket) recvBuf(op string, buf []byte, nbytes, flags int) (int, endpoint.Addr, error) {
	if nbytes < 0 {
		return 0, endpoint.Addr{}, &ValueError{Op: op, Msg: "negative buffersize in " + op}
	}
	if nbytes > len(buf) {
		return 0, endpoint.Addr{}, &ValueError{Op: op, Msg: "nbytes is greater than the length of the buffer"}
	}
	if nbytes > 0 {
		buf = buf[:nbytes]
	}
	return s.recv(op, buf, flags, s.recvFlags(flags))
}

// recv is recvRaw for the documented calls.
func (s *Socket) recv(op string, buf []byte, flags int, lim limit) (int, endpoint.Addr, error) {
	n, from, err := s.recvRaw(buf, flags, lim)
	if err != nil {
		return 0, endpoint.Addr{}, fail(op, nil, err)
	}
	return n, from, nil
}

// recvRaw is every receiving call with one buffer.
func (s *Socket) recvRaw(buf []byte, flags int, lim limit) (int, endpoint.Addr, error) {
	defer runtime.KeepAlive(s)
	d, err := s.use()
	if err != nil {
		return 0, endpoint.Addr{}, err
	}
	w := d.net.getWaiter()
	w.one[0] = buf
	got, err := d.receive(w, endpoint.RecvRequest{Bufs: w.one[:], Flags: flags}, lim)
	d.net.putWaiter(w)
	if err != nil {
		return 0, endpoint.Addr{}, err
	}
	if flags&MSG_TRUNC != 0 && d.file.typ != SOCK_STREAM {
		got.N = got.Size
	}
	return got.N, got.From, nil
}

// receive is every receiving call. A stream is received from until as much has
// come as SO_RCVLOWAT or MSG_WAITALL ask for; the buffer list is changed
// meanwhile. What came is reported before an error or the end of the wait that
// came after it.
func (d *desc) receive(w *waiter, req endpoint.RecvRequest, lim limit) (all endpoint.Received, err error) {
	f, flags, room := d.file, req.Flags, req.Len()
	req.Flags &^= MSG_WAITALL | MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_NOSIGNAL
	if lim.until == atOnce {
		req.Flags |= MSG_DONTWAIT
	}
	target := f.target(flags, room)
	peek := flags&MSG_PEEK != 0
	var got endpoint.Received
	try := func() (err error) {
		// Looked at before the bytes: what ends the stream comes after them.
		ended := !peek || target <= 1 || f.ep.Ready(endpoint.RdHup)&(endpoint.RdHup|endpoint.Always) != 0
		got, err = f.ep.Recv(req)
		if err == nil && !ended && got.N < target && !got.Stop {
			releaseAll(got.Control)
			got.Control = nil
			return endpoint.EAGAIN
		}
		return err
	}
	for err = f.takeLater(); err == nil; {
		err = d.wait(w, endpoint.In, lim, try)
		if err != nil {
			break
		}
		n := got.N
		if f.typ == SOCK_STREAM && flags&MSG_TRUNC != 0 {
			n = max(n, got.Size) // discarded
		}
		if all.N == 0 {
			all, all.N = got, n
		} else {
			join(&all, &got, n)
		}
		if n == 0 || peek || all.N >= target || got.Stop || hasRights(got.Control) {
			break
		}
		req.Bufs = advance(req.Bufs, n)
	}
	if err == endpoint.EAGAIN && room == 0 && lim.until != atOnce && f.typ == SOCK_STREAM && f.family != AF_UNIX {
		err = nil // SO_RCVTIMEO is over: tcp_recvmsg waited once, and has all that it was to get
	}
	if err != nil && all.N == 0 {
		if !peek || got.N == 0 || d.closed.Load() {
			return endpoint.Received{}, err
		}
		all, err = got, nil // fewer bytes to see than were to be waited for
	}
	f.keepLater(err)
	if all.N == 0 && room > 0 && d.closed.Load() {
		// Not the end of the stream: our own close.
		releaseAll(all.Control)
		return endpoint.Received{}, errClosed
	}
	return all, nil
}

// target is how many bytes a receive waits for: sock_rcvlowat of Linux.
func (f *file) target(flags, room int) int {
	switch {
	case f.typ != SOCK_STREAM || flags&(MSG_ERRQUEUE|MSG_OOB) != 0:
		return 1
	case flags&MSG_WAITALL != 0:
		return room
	}
	return min(int(f.lowat.Load()), room)
}

// advance takes n bytes off the front of a list of buffers, in place.
func advance(bufs [][]byte, n int) [][]byte {
	for len(bufs) > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	if n > 0 && len(bufs) > 0 {
		bufs[0] = bufs[0][n:]
	}
	return bufs
}

// recvAlloc receives into a buffer of its own. For a stream the buffer is no
// larger than what waits, so that a large n costs nothing.
func (s *Socket) recvAlloc(op string, n, flags int) ([]byte, endpoint.Addr, error) {
	if n < 0 {
		return nil, endpoint.Addr{}, &ValueError{Op: op, Msg: "negative buffersize in " + op}
	}
	lim := s.recvFlags(flags)
	size, err := s.recvSize(op, n, flags, lim)
	if err != nil {
		return nil, endpoint.Addr{}, err
	}
	buf := make([]byte, size)
	got, from, err := s.recv(op, buf, flags, lim)
	if err != nil {
		return nil, endpoint.Addr{}, err
	}
	return buf[:min(got, size)], from, nil
}

// recvSize is how large a buffer to make for a receive of n bytes.
func (s *Socket) recvSize(op string, n, flags int, lim limit) (int, error) {
	n = min(n, maxRecv)
	least := smallRecv
	switch {
	case s.typ != SOCK_STREAM && s.family != AF_UNIX:
		return min(n, maxDatagram), nil
	case flags&(MSG_OOB|MSG_ERRQUEUE) != 0:
		return min(n, maxMessage), nil
	case s.typ != SOCK_STREAM:
		least = maxMessage // more only with SO_SNDBUFFORCE
	case flags&(MSG_WAITALL|MSG_TRUNC) != 0:
		return n, nil
	}
	if n <= least {
		return n, nil
	}
	if lowat := int(s.desc.file.lowat.Load()); lowat > 1 {
		waiting, _ := s.desc.file.ep.Queued()
		return min(n, max(waiting, lowat, least)), nil
	}
	waiting, err := s.readable(op, lim)
	if err != nil || waiting == endpoint.Unknown {
		return n, err
	}
	return min(n, max(waiting, least)), nil
}

// smallRecv is a size for which it is not worth asking how much waits.
const smallRecv = 4096

// readable waits until something can be received, and tells how much.
func (s *Socket) readable(op string, lim limit) (int, error) {
	defer runtime.KeepAlive(s)
	d, err := s.use()
	if err != nil {
		return 0, fail(op, nil, err)
	}
	ep := d.file.ep
	if waiting, _ := ep.Queued(); waiting > 0 || lim.until == atOnce {
		return waiting, nil
	}
	// What is not connected never gets readable, and says so at once.
	if _, err := ep.Recv(endpoint.RecvRequest{Flags: MSG_PEEK}); err != nil && err != endpoint.EAGAIN {
		return 0, fail(op, nil, d.outcome(err))
	}
	w := d.net.getWaiter()
	defer d.net.putWaiter(w)
	err = d.wait(w, endpoint.In, lim, func() error {
		if ep.Ready(endpoint.In|endpoint.RdHup) == 0 {
			return endpoint.EAGAIN
		}
		return nil
	})
	waiting, _ := ep.Queued()
	return waiting, fail(op, nil, err)
}

// Send sends data and returns how many bytes were taken. A stream in blocking
// mode takes all of them; with a timeout, or without waiting, it may take
// fewer.
func (s *Socket) Send(data []byte, flags ...int) (int, error) {
	return s.send("send", nil, data, endpoint.Addr{}, joinFlags(flags))
}

func (s *Socket) send(op string, addr Addr, data []byte, to endpoint.Addr, flags int) (int, error) {
	lim := s.sendFlags(flags)
	n, err := s.sendRaw(data, to, flags, lim, lim.blocking)
	if n > 0 && err != errClosed {
		s.desc.file.keepLater(err)
		return n, nil
	}
	return n, fail(op, addr, err)
}

// Sendall sends all of data, within one timeout for the whole. After an error
// nobody can say how much was sent.
func (s *Socket) Sendall(data []byte, flags ...int) error {
	all := joinFlags(flags)
	_, err := s.sendRaw(data, endpoint.Addr{}, all, s.sendFlags(all), true)
	return fail("sendall", nil, err)
}

// Sendto sends data to an address, as one datagram. A name in the address is
// resolved first. On TCP the address counts for nothing, and it is Send.
func (s *Socket) Sendto(data []byte, addr Addr, flags ...int) (int, error) {
	_, to, err := s.target(context.Background(), "sendto", addr)
	if err != nil {
		return 0, err
	}
	return s.send("sendto", addr, data, to, joinFlags(flags))
}

// sendRaw is every sending call with one buffer. With whole set a stream goes
// on until everything is taken. It returns how much was, also with an error.
func (s *Socket) sendRaw(data []byte, to endpoint.Addr, flags int, lim limit, whole bool) (int, error) {
	defer runtime.KeepAlive(s)
	d, err := s.use()
	if err != nil {
		return 0, err
	}
	w := d.net.getWaiter()
	w.one[0] = data
	sent, err := d.transmit(w, endpoint.Message{Bufs: w.one[:], To: to, Flags: flags}, lim, whole)
	d.net.putWaiter(w)
	return sent, err
}

// transmit is every sending call. Control items go with the first bytes. The
// buffer list is changed if whole is set. With an error, or after one, the
// rights stay the caller's unless bytes were sent.
func (d *desc) transmit(w *waiter, msg endpoint.Message, lim limit, whole bool) (sent int, err error) {
	f, size := d.file, msg.Len()
	if f.virtual != nil && f.typ != SOCK_STREAM {
		d.gateDatagram(size)
	}
	msg.Flags &^= MSG_DONTWAIT | MSG_NOSIGNAL
	var n int
	try := func() (err error) {
		n, err = f.ep.Send(msg)
		return err
	}
	for err = f.takeLater(); err == nil; {
		n = 0
		err = d.wait(w, endpoint.Out, lim, try)
		sent += n
		if err != nil || !whole || sent >= size {
			break
		}
		msg.Bufs, msg.Control = advance(msg.Bufs, n), nil
	}
	return sent, err
}
