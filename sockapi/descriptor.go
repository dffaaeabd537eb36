package sockapi

import (
	"runtime"
	"sync/atomic"

	"usersock/stack/endpoint"
)

// desc is one descriptor: a row of a Net's table. The table holds the
// description and never a Socket, or the garbage collector could not close
// sockets that nobody uses any more.
type desc struct {
	net     *Net
	fd      int
	file    *file
	closed  atomic.Bool
	cloexec atomic.Bool      // FD_CLOEXEC; nothing looks at it
	calls   [3]atomic.Uint64 // for virtual time: calls by direction
}

// install puts f into the lowest free row. It takes over one reference.
func (n *Net) install(f *file) (*desc, error) { return n.installFrom(firstFd, f) }

// installFrom is install for the rows from least on.
func (n *Net) installFrom(least int, f *file) (*desc, error) {
	d := &desc{net: n, file: f}
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		f.Release()
		return nil, errClosed
	}
	d.fd = max(least, firstFd)
	if d.fd < n.free {
		d.fd = n.free
	}
	for d.fd < len(n.table) && n.table[d.fd] != nil {
		d.fd++
	}
	for d.fd >= len(n.table) {
		n.table = append(n.table, nil)
	}
	n.table[d.fd] = d
	if least <= n.free {
		n.free = d.fd + 1
	}
	n.mu.Unlock()
	return d, nil
}

// lookup returns an open descriptor, or EBADF.
func (n *Net) lookup(fd int) (*desc, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if fd < firstFd || fd >= len(n.table) || n.table[fd] == nil {
		return nil, endpoint.EBADF
	}
	return n.table[fd], nil
}

// retain returns the description behind a descriptor with a reference for the
// caller.
func (n *Net) retain(fd int) (*file, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if fd < firstFd || fd >= len(n.table) || n.table[fd] == nil {
		return nil, endpoint.EBADF
	}
	f := n.table[fd].file
	f.Retain()
	return f, nil
}

// retain is Net.retain for a descriptor whose number may have been closed and
// given out again.
func (d *desc) retain() (*file, error) {
	d.net.mu.Lock()
	defer d.net.mu.Unlock()
	if d.fd >= len(d.net.table) || d.net.table[d.fd] != d {
		return nil, errClosed
	}
	d.file.Retain()
	return d.file, nil
}

// close takes the descriptor out of its table and ends the calls made through
// it. It reports false if that had been done before.
func (d *desc) close() bool {
	n := d.net
	n.mu.Lock()
	if d.fd < len(n.table) && n.table[d.fd] == d {
		n.table[d.fd] = nil
		n.free = min(n.free, d.fd)
	}
	n.mu.Unlock()
	return d.end() != errClosed
}

// end marks the descriptor closed, wakes its calls and drops its reference.
func (d *desc) end() error {
	if d.closed.Swap(true) {
		return errClosed
	}
	d.file.wake(d)
	d.file.Release()
	return nil
}

// newSocket makes the Socket of a descriptor and lets the garbage collector
// close it when nobody holds it any more. In virtual time that is off, since
// the collector keeps no virtual time.
func newSocket(d *desc, family, typ, proto int) *Socket {
	s := &Socket{desc: d, family: family, typ: typ, proto: proto}
	if d.file.virtual == nil {
		s.cleanup = runtime.AddCleanup(s, func(d *desc) { d.close() }, d)
	}
	return s
}

// open makes a Socket of a new endpoint.
func (n *Net) open(ep endpoint.Endpoint, family, typ, proto int) (*Socket, error) {
	f := newFile(n.stack, ep, family, typ, proto, n.Getdefaulttimeout())
	f.refs.Store(1)
	d, err := n.install(f)
	if err != nil {
		return nil, err
	}
	return newSocket(d, family, typ, proto), nil
}

// Fromfd duplicates a descriptor of this Net and makes a Socket of the copy.
// Family, type and protocol are what the Socket will report; they are not
// checked, as the document says. The mode is shared with the original. EBADF
// if fd is not open.
func (n *Net) Fromfd(fd, family, typ, proto int) (*Socket, error) {
	n.gate(fd, nil, "fromfd")
	f, err := n.retain(fd)
	if err != nil {
		return nil, fail("fromfd", nil, err)
	}
	d, err := n.install(f)
	if err != nil {
		return nil, fail("fromfd", nil, err)
	}
	return newSocket(d, family, typ&^typeFlags, proto), nil
}

// Adopt makes a Socket of a descriptor without duplicating it, as
// socket.socket(fileno=fd) does: for what [Socket.Detach] returned. EBADF if fd
// is not open.
func (n *Net) Adopt(fd int) (*Socket, error) {
	d, err := n.lookup(fd)
	if err != nil {
		return nil, fail("socket", nil, err)
	}
	return newSocket(d, d.file.family, d.file.typ, d.file.proto), nil
}

// CloseFd closes a descriptor, os.close. SO_LINGER counts as in
// [Socket.Close]. EBADF if it is not open.
func (n *Net) CloseFd(fd int) error {
	d, err := n.lookup(fd)
	if err == nil && !d.closeLingering() {
		err = errClosed
	}
	return fail("close", nil, err)
}

// DupFd duplicates a descriptor into the lowest free one, dup(2). EBADF if it
// is not open. The copy lives until [Net.CloseFd] or [Net.Close].
func (n *Net) DupFd(fd int) (int, error) {
	n.gate(fd, nil, "dup")
	f, err := n.retain(fd)
	if err != nil {
		return -1, fail("dup", nil, err)
	}
	d, err := n.install(f)
	if err != nil {
		return -1, fail("dup", nil, err)
	}
	return d.fd, nil
}

// Fileno returns the socket's descriptor, −1 after Close or Detach.
func (s *Socket) Fileno() int {
	if s.ended.Load() || s.desc.closed.Load() {
		return -1
	}
	return s.desc.fd
}

// Dup makes another Socket for the same open socket, with a descriptor of its
// own. Mode and options are shared.
func (s *Socket) Dup() (*Socket, error) {
	defer runtime.KeepAlive(s)
	d, err := s.use()
	if err != nil {
		return nil, fail("dup", nil, err)
	}
	d.net.gate(d.fd, d, "dup")
	f, err := d.retain()
	if err != nil {
		return nil, fail("dup", nil, err)
	}
	copied, err := d.net.install(f)
	if err != nil {
		return nil, fail("dup", nil, err)
	}
	return newSocket(copied, s.family, s.typ, s.proto), nil
}

// Detach puts the Socket into the closed state without closing its
// descriptor, and returns that: it stays open until [Net.CloseFd], and can be
// given to [Net.Fromfd] or [Net.Adopt]. −1 if the Socket is closed already.
func (s *Socket) Detach() int {
	if s.desc.closed.Load() || s.ended.Swap(true) {
		return -1
	}
	s.cleanup.Stop()
	return s.desc.fd
}
