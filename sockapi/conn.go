package sockapi

import (
	"errors"
	"io"
	"math"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"usersock/stack/endpoint"
)

// The Go dialect. A Conn, PacketConn or Listener shares a Socket: its Close
// closes the Socket, its deadlines are its own, and it ignores the Socket's
// timeout.

// base is what the three have in common.
type base struct {
	s             *Socket
	network       string   // as it was asked for, in errors: udp4
	local, remote net.Addr // as they were when it was made
	reading       deadline
	writing       deadline
	closed        atomic.Bool
}

// endpointConn is what those have in common that transfer bytes.
type endpointConn struct{ base }

// Conn is a connected stream socket as a net.Conn.
type Conn struct{ endpointConn }

// PacketConn is a datagram socket as a net.PacketConn, and as a net.Conn if it
// is connected.
type PacketConn struct{ endpointConn }

// Listener is a listening socket as a net.Listener.
type Listener struct {
	base
	unlink atomic.Pointer[string] // the path to remove on Close; nil for none
	path   string                 // of an AF_UNIX socket that Net.Listen made
	tuned  bool                   // accepted connections get what package net sets
}

var (
	_ net.Conn       = (*Conn)(nil)
	_ io.ReaderFrom  = (*Conn)(nil)
	_ io.WriterTo    = (*Conn)(nil)
	_ syscall.Conn   = (*Conn)(nil)
	_ net.Conn       = (*PacketConn)(nil)
	_ net.PacketConn = (*PacketConn)(nil)
	_ syscall.Conn   = (*PacketConn)(nil)
	_ net.Listener   = (*Listener)(nil)
	_ syscall.Conn   = (*Listener)(nil)
)

// Conn returns the connected stream socket as a net.Conn.
func (s *Socket) Conn() *Conn {
	c := &Conn{}
	c.init(s)
	return c
}

// PacketConn returns the datagram socket as a net.PacketConn.
func (s *Socket) PacketConn() *PacketConn {
	c := &PacketConn{}
	c.init(s)
	return c
}

// Listener returns the listening socket as a net.Listener.
func (s *Socket) Listener() *Listener {
	l := &Listener{}
	l.init(s)
	return l
}

func (c *base) init(s *Socket) {
	c.s = s
	c.network = s.desc.file.network()
	c.local, c.remote = c.now(s.localAddr), c.now(s.peerAddr)
}

// network is package net's name for what the open socket is.
func (f *file) network() string {
	switch {
	case f.family == AF_UNIX && f.typ == SOCK_STREAM:
		return "unix"
	case f.family == AF_UNIX && f.typ == SOCK_SEQPACKET:
		return "unixpacket"
	case f.family == AF_UNIX:
		return "unixgram"
	case f.typ == SOCK_STREAM:
		return "tcp"
	case f.typ == SOCK_RAW:
		return "ip"
	}
	return "udp"
}

func (c *base) stream() bool { return c.s.desc.file.typ == SOCK_STREAM }

// ends reports whether an empty receive is the end of what the peer sends.
func (c *base) ends() bool {
	typ := c.s.desc.file.typ
	return typ == SOCK_STREAM || typ == SOCK_SEQPACKET
}

func (c *base) now(of func() (endpoint.Addr, error)) net.Addr {
	a, err := of()
	if err != nil {
		return nil
	}
	return c.goAddr(a)
}

func (c *base) goAddr(a endpoint.Addr) net.Addr {
	return c.s.desc.net.goAddr(c.s.desc.file.network(), a)
}

// goAddr writes an address package net's way: an AF_UNIX socket without a name
// is "@".
func (n *Net) goAddr(network string, a endpoint.Addr) net.Addr {
	if a.Family == AF_UNIX {
		if a.Path == "" {
			return &net.UnixAddr{Name: "@", Net: network}
		}
		return &net.UnixAddr{Name: UnixAddr{a.Path}.String(), Net: network}
	}
	ip, zone := a.IP.Unmap(), ""
	if a.Scope != 0 {
		zone = n.zone(a.Scope)
	}
	switch network {
	case "tcp":
		return &net.TCPAddr{IP: ip.AsSlice(), Port: int(a.Port), Zone: zone}
	case "ip":
		return &net.IPAddr{IP: ip.AsSlice(), Zone: zone}
	}
	return &net.UDPAddr{IP: ip.AsSlice(), Port: int(a.Port), Zone: zone}
}

// zone returns the name of an interface, or its index in digits.
func (n *Net) zone(index uint32) string {
	if name, ok := n.stack.InterfaceName(int(index)); ok {
		return name
	}
	return strconv.FormatUint(uint64(index), 10)
}

// Socket returns the socket behind the adapter.
func (c *base) Socket() *Socket { return c.s }

// LocalAddr returns a *net.TCPAddr, *net.UDPAddr or *net.UnixAddr, also after
// Close.
func (c *base) LocalAddr() net.Addr {
	if a := c.now(c.s.localAddr); a != nil {
		return a
	}
	return c.local
}

// RemoteAddr returns the peer's address, also after Close; nil if there is no
// peer.
func (c *endpointConn) RemoteAddr() net.Addr {
	if c.remote != nil {
		return c.remote
	}
	return c.now(c.s.peerAddr)
}

// Read receives bytes, or one datagram. The end of a stream or of a
// SOCK_SEQPACKET connection is io.EOF. Into no room nothing is received, as
// with package net.
func (c *endpointConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		_, err := c.s.use()
		return 0, c.opError("read", "", nil, err)
	}
	n, _, err := c.s.recvRaw(p, 0, c.readLimit())
	if err != nil {
		return 0, c.opError("read", "read", nil, err)
	}
	if n == 0 && c.ends() {
		return 0, io.EOF
	}
	return n, nil
}

// Write sends all of p, as one datagram on a datagram socket. Bytes of
// concurrent Writes do not mix.
func (c *endpointConn) Write(p []byte) (int, error) {
	n, err := c.write(p)
	return n, c.opError("write", "write", nil, err)
}

func (c *endpointConn) write(p []byte) (int, error) {
	lim := c.writeLimit()
	if !c.stream() {
		return c.s.sendRaw(p, endpoint.Addr{}, 0, lim, false)
	}
	d := c.s.desc
	if err := d.file.writing.take(d.net, d, lim); err != nil {
		return 0, err
	}
	n, err := c.s.sendRaw(p, endpoint.Addr{}, 0, lim, true)
	d.file.writing.give()
	return n, err
}

// Close closes the Socket. The second time it is net.ErrClosed, as with
// package net.
func (c *endpointConn) Close() error {
	return c.opError("close", "close", nil, c.close())
}

func (c *base) close() error {
	_, err := c.s.use()
	if c.closed.Swap(true) || err != nil {
		return errClosed
	}
	return c.s.Close()
}

// SetDeadline sets both deadlines; the zero time is none. Calls under way heed
// it too.
func (c *base) SetDeadline(t time.Time) error {
	return c.setDeadline(t, &c.reading, &c.writing)
}

// SetReadDeadline sets the deadline of Read and ReadFrom.
func (c *endpointConn) SetReadDeadline(t time.Time) error { return c.setDeadline(t, &c.reading) }

// SetWriteDeadline sets the deadline of Write and WriteTo.
func (c *endpointConn) SetWriteDeadline(t time.Time) error { return c.setDeadline(t, &c.writing) }

func (c *base) setDeadline(t time.Time, which ...*deadline) error {
	d, err := c.s.use()
	if err != nil {
		return c.setError("set", "", err)
	}
	at := int64(0)
	if !t.IsZero() {
		clock := d.net.clock
		now, left := clock.Monotonic(), t.Sub(clock.Now())
		if left < math.MaxInt64-1-now { // else it is longer than can be counted: for ever
			at = max(1, int64(now+left)+1)
		}
	}
	for _, dl := range which {
		dl.at.Store(at)
	}
	d.file.wake(d)
	return nil
}

// copySize is the buffer of ReadFrom and WriteTo: as much as one segment of an
// in-memory link carries, without a small rest.
const copySize = 61440

// onlyWriter and onlyReader hide the fast paths from io.Copy, or it would call
// them again.
type onlyWriter struct{ io.Writer }
type onlyReader struct{ io.Reader }

// ReadFrom sends everything that r gives, until its end.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.CopyBuffer(onlyWriter{c}, onlyReader{r}, make([]byte, copySize))
	return n, c.opError("readfrom", "", nil, err)
}

// WriteTo gives everything received to w, until the end of the stream.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	n, err := io.CopyBuffer(onlyWriter{w}, onlyReader{c}, make([]byte, copySize))
	return n, c.opError("writeto", "", nil, err)
}

// CloseRead shuts down the receiving half.
func (c *Conn) CloseRead() error { return c.opError("close", "shutdown", nil, c.shut(SHUT_RD)) }

// CloseWrite shuts down the sending half: the peer reads io.EOF.
func (c *Conn) CloseWrite() error { return c.opError("close", "shutdown", nil, c.shut(SHUT_WR)) }

// MultipathTCP reports false: there is TCP alone.
func (c *Conn) MultipathTCP() (bool, error) { return false, nil }

func (c *endpointConn) shut(how int) error {
	d, err := c.s.use()
	if err != nil {
		return err
	}
	return d.outcome(d.file.ep.Shutdown(how))
}

func (s *Socket) setFlag(level, name int, on bool) error {
	value := 0
	if on {
		value = 1
	}
	return s.setInt(level, name, value)
}

func (s *Socket) setInt(level, name, value int) error {
	var buf [4]byte
	endpoint.PutInt(buf[:], value)
	return s.setRaw(level, name, buf[:])
}

// SyscallConn always fails: there is no descriptor of the host behind the
// connection, and programs that ask for one would use our number in calls to
// the kernel. Options are set through [Conn.Socket].
func (c *base) SyscallConn() (syscall.RawConn, error) {
	return nil, c.setError("raw-control", "", errors.ErrUnsupported)
}

// fromGo turns package net's address into one of the socket's family. Another
// type of address than its own is EINVAL.
func (c *base) fromGo(a net.Addr) (endpoint.Addr, error) {
	f := c.s.desc.file
	switch a := a.(type) {
	case *net.UDPAddr:
		switch {
		case f.family == AF_UNIX || f.typ == SOCK_RAW:
			return endpoint.Addr{}, errWrongType
		case a == nil:
			return endpoint.Addr{}, errNoAddress
		}
		return c.fromIP(a.IP, a.Zone, a.Port)
	case *net.IPAddr:
		switch {
		case f.family == AF_UNIX || f.typ != SOCK_RAW:
			return endpoint.Addr{}, errWrongType
		case a == nil:
			return endpoint.Addr{}, errNoAddress
		}
		return c.fromIP(a.IP, a.Zone, 0)
	case *net.UnixAddr:
		switch {
		case f.family != AF_UNIX:
			return endpoint.Addr{}, errWrongType
		case a == nil:
			return endpoint.Addr{}, errNoAddress
		}
		return goUnix(a.Name)
	}
	return endpoint.Addr{}, errWrongType
}

// fromIP takes no IP for this host, as package net does.
func (c *base) fromIP(ip net.IP, zone string, port int) (endpoint.Addr, error) {
	family := c.s.desc.file.family
	if port < 0 || port > 65535 {
		return endpoint.Addr{}, &net.AddrError{Err: "invalid port", Addr: strconv.Itoa(port)}
	}
	addr, ok := netip.AddrFromSlice(ip)
	if len(ip) == 0 {
		if addr, ok = netip.IPv4Unspecified(), true; family == AF_INET6 {
			addr = netip.IPv6Unspecified()
		}
	}
	if !ok {
		return endpoint.Addr{}, wrongIP(family, ip.String())
	}
	if addr.Is6() && !addr.Is4In6() {
		addr = addr.WithZone(zone)
	}
	return c.s.desc.net.fromAddrPort(family, netip.AddrPortFrom(addr, uint16(port)))
}

// goUnix turns package net's name of an AF_UNIX address into ours: a first @
// stands for the NUL byte of an abstract one.
func goUnix(name string) (endpoint.Addr, error) {
	if name != "" && name[0] == '@' {
		name = "\x00" + name[1:]
	}
	return unixAddr("unix", UnixAddr{name})
}

// fromAddrPort turns an IP and port into an address of a socket's family.
func (n *Net) fromAddrPort(family int, ap netip.AddrPort) (endpoint.Addr, error) {
	ip := ap.Addr()
	a := endpoint.Addr{Family: family, Port: ap.Port()}
	switch {
	case family == AF_INET && ip.Unmap().Is4():
		a.IP = ip.Unmap()
	case family == AF_INET6 && ip.IsValid():
		a.IP = netip.AddrFrom16(ip.As16())
		if zone := ip.Zone(); zone != "" {
			index, err := n.scope(zone)
			if err != nil {
				return endpoint.Addr{}, err
			}
			a.Scope = index
		}
	default:
		return endpoint.Addr{}, wrongIP(family, ip.String())
	}
	return a, nil
}

// wrongIP is the error of an address that a socket's family does not have.
func wrongIP(family int, addr string) error {
	text := "non-IPv4 address"
	if family == AF_INET6 {
		text = "non-IPv6 address"
	}
	return as(&net.AddrError{Err: text, Addr: addr}, endpoint.EAFNOSUPPORT)
}

// scope turns a zone, a name or an index in digits, into the index.
func (n *Net) scope(zone string) (uint32, error) {
	if index, ok := n.stack.InterfaceIndex(zone); ok {
		return uint32(index), nil
	}
	index, err := strconv.ParseUint(zone, 10, 32)
	if err != nil {
		return 0, endpoint.ENODEV
	}
	return uint32(index), nil
}

// Accept waits for a connection.
func (l *Listener) Accept() (net.Conn, error) {
	s, _, err := l.s.accept(limit{until: noLimit, deadline: &l.reading})
	if err != nil {
		return nil, l.setError("accept", "accept", err)
	}
	if l.tuned {
		s.tune()
	}
	c := s.Conn()
	c.network = l.network
	return c, nil
}

// Addr returns the address that the listener is bound to.
func (l *Listener) Addr() net.Addr { return l.LocalAddr() }

// SetUnlinkOnClose says whether Close removes the path of an AF_UNIX listener.
// It does if [Net.Listen] made the listener, unless told otherwise, and never
// else.
func (l *Listener) SetUnlinkOnClose(unlink bool) {
	l.unlink.Store(nil)
	if unlink && l.path != "" {
		l.unlink.Store(&l.path)
	}
}

// Close stops listening; connections not yet accepted are reset. The path of
// an AF_UNIX listener made by [Net.Listen] is removed, as package net does.
func (l *Listener) Close() error {
	if err := l.close(); err != nil {
		return l.setError("close", "close", err)
	}
	if path := l.unlink.Load(); path != nil {
		l.s.desc.net.stack.Unlink(*path)
	}
	return nil
}
