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
//	MSG_OOB       sent in line; receiving it is EINVAL

func joinFlags(flags []int) (all int) {
	for _, f := range flags {
		all |= f
	}
	return all
}

// callLimit is the limit of one call with flags.
func (s *Socket) callLimit(flags int) limit {
	if flags&(MSG_DONTWAIT|MSG_ERRQUEUE) != 0 {
		return limit{until: atOnce} // Linux never waits for the error queue
	}
	return s.limit()
}

// maxDatagram bounds a buffer for datagrams of the Internet families.
const maxDatagram = 1 << 16

// Recv receives at most n bytes. The end of a stream is an empty result. A
// datagram longer than n loses the rest. For n = 0 nothing is received, as in
// CPython.
func (s *Socket) Recv(n int, flags ...int) ([]byte, error) {
	if n == 0 {
		_, err := s.use()
		return nil, fail("recv", nil, err)
	}
	data, _, err := s.recvAlloc("recv", n, joinFlags(flags))
	return data, err
}

// Recvfrom is Recv with the sender's address, nil on a connected stream.
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
	return s.recv(op, buf, flags, s.callLimit(flags))
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
	n := d.net
	w := n.getWaiter()
	w.one[0] = buf
	req := endpoint.RecvRequest{Bufs: w.one[:], Flags: flags &^ (MSG_WAITALL | MSG_DONTWAIT)}
	var got endpoint.Received
	total := 0
	try := func() (err error) {
		got, err = d.file.ep.Recv(req)
		return err
	}
	for err = d.file.takeLater(); err == nil; {
		err = d.wait(w, endpoint.In, lim, try)
		if err != nil {
			break
		}
		total += got.N
		more := flags&(MSG_WAITALL|MSG_PEEK|MSG_DONTWAIT) == MSG_WAITALL && s.typ == SOCK_STREAM
		if !more || got.N == 0 || total == len(buf) {
			break
		}
		w.one[0] = buf[total:]
	}
	n.putWaiter(w)
	if err != nil && total == 0 {
		return 0, endpoint.Addr{}, err
	}
	d.file.keepLater(err) // what MSG_WAITALL has got comes first
	if total == 0 && len(buf) > 0 && d.closed.Load() {
		// Not the end of the stream: our own close.
		return 0, endpoint.Addr{}, errClosed
	}
	if flags&MSG_TRUNC != 0 && s.typ != SOCK_STREAM {
		total = got.Size
	} else if flags&MSG_TRUNC != 0 {
		total = max(total, got.Size)
	}
	return total, got.From, nil
}

// recvAlloc receives into a buffer of its own. For a stream the buffer is no
// larger than what waits, so that a large n costs nothing.
func (s *Socket) recvAlloc(op string, n, flags int) ([]byte, endpoint.Addr, error) {
	if n < 0 {
		return nil, endpoint.Addr{}, &ValueError{Op: op, Msg: "negative buffersize in " + op}
	}
	lim := s.callLimit(flags)
	size := n
	if s.typ == SOCK_STREAM && flags&(MSG_WAITALL|MSG_TRUNC|MSG_OOB) == 0 && n > smallRecv {
		waiting, err := s.readable(op, lim)
		if err != nil {
			return nil, endpoint.Addr{}, err
		}
		if waiting != endpoint.Unknown {
			size = min(n, max(waiting, smallRecv))
		}
	} else if s.family != AF_UNIX && s.typ != SOCK_STREAM {
		size = min(n, maxDatagram)
	}
	buf := make([]byte, size)
	got, from, err := s.recv(op, buf, flags, lim)
	if err != nil {
		return nil, endpoint.Addr{}, err
	}
	return buf[:min(got, size)], from, nil
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
	lim := s.callLimit(flags)
	n, err := s.sendRaw(data, to, flags, lim, lim.until == noLimit)
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
	_, err := s.sendRaw(data, endpoint.Addr{}, all, s.callLimit(all), true)
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
	if d.file.virtual != nil && s.typ != SOCK_STREAM {
		d.gateDatagram(len(data))
	}
	w := d.net.getWaiter()
	w.one[0] = data
	msg := endpoint.Message{Bufs: w.one[:], To: to, Flags: flags &^ (MSG_DONTWAIT | MSG_NOSIGNAL)}
	sent := 0
	try := func() error {
		n, err := d.file.ep.Send(msg)
		sent += n
		return err
	}
	for err = d.file.takeLater(); err == nil; {
		err = d.wait(w, endpoint.Out, lim, try)
		if err != nil || !whole || sent >= len(data) {
			break
		}
		w.one[0] = data[sent:]
	}
	d.net.putWaiter(w)
	return sent, err
}
