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
// timeout. Errors are *net.OpError with the errno inside.

// endpointConn is what the three have in common.
type endpointConn struct {
	s             *Socket
	network       string
	local, remote net.Addr // as they were when it was made
	reading       deadline
	writing       deadline
	closed        atomic.Bool
}

// Conn is a connected stream socket as a net.Conn.
type Conn struct{ endpointConn }

// PacketConn is a datagram socket as a net.PacketConn, and as a net.Conn if it
// is connected.
type PacketConn struct{ endpointConn }

// Listener is a listening socket as a net.Listener.
type Listener struct {
	endpointConn
	unlink string // the path to remove on Close
	tuned  bool   // accepted connections get what package net sets
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

func (c *endpointConn) init(s *Socket) {
	c.s = s
	switch s.family {
	case AF_UNIX:
		c.network = [...]string{SOCK_STREAM: "unix", SOCK_DGRAM: "unixgram", SOCK_SEQPACKET: "unixpacket"}[min(s.typ, SOCK_SEQPACKET)]
	default:
		switch s.typ {
		case SOCK_STREAM:
			c.network = "tcp"
		case SOCK_RAW:
			c.network = "ip"
		default:
			c.network = "udp"
		}
	}
	c.local, c.remote = c.now(s.localAddr), c.now(s.peerAddr)
}

func (c *endpointConn) now(of func() (endpoint.Addr, error)) net.Addr {
	a, err := of()
	if err != nil {
		return nil
	}
	return c.s.desc.net.goAddr(c.network, a)
}

// goAddr writes an address package net's way.
func (n *Net) goAddr(network string, a endpoint.Addr) net.Addr {
	if a.Family == AF_UNIX {
		return &net.UnixAddr{Name: a.String(), Net: network}
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
func (c *endpointConn) Socket() *Socket { return c.s }

// LocalAddr returns a *net.TCPAddr, *net.UDPAddr or *net.UnixAddr, also after
// Close.
func (c *endpointConn) LocalAddr() net.Addr {
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

// opError makes the error that package net would: nil stays nil, and the
// errno, ErrTimeout or net.ErrClosed can be found in it.
func (c *endpointConn) opError(op string, to net.Addr, err error) error {
	if err == nil {
		return nil
	}
	if to == nil {
		to = c.remote
	}
	return &net.OpError{Op: op, Net: c.network, Source: c.local, Addr: to, Err: goError(err)}
}

// goError gives a closed connection the text that Go programs look for.
func goError(err error) error {
	if err == errClosed {
		return errConnClosed
	}
	return err
}

var errConnClosed error = connClosedError{}

type connClosedError struct{ closedError }

func (connClosedError) Error() string { return net.ErrClosed.Error() }

// Read receives bytes, or one datagram. The end of a stream or of a
// SOCK_SEQPACKET connection is io.EOF.
func (c *endpointConn) Read(p []byte) (int, error) {
	stream := c.s.typ == SOCK_STREAM
	if len(p) == 0 && stream {
		_, err := c.s.use()
		return 0, c.opError("read", nil, err)
	}
	n, _, err := c.s.recvRaw(p, 0, c.readLimit())
	if err != nil {
		return 0, c.opError("read", nil, err)
	}
	if n == 0 && (stream || c.s.typ == SOCK_SEQPACKET && len(p) > 0) {
		return 0, io.EOF
	}
	return n, nil
}

// Write sends all of p, as one datagram on a datagram socket. Bytes of
// concurrent Writes do not mix.
func (c *endpointConn) Write(p []byte) (int, error) {
	n, err := c.write(p)
	return n, c.opError("write", nil, err)
}

func (c *endpointConn) write(p []byte) (int, error) {
	lim := c.writeLimit()
	if c.s.typ != SOCK_STREAM {
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
	_, err := c.s.use()
	if c.closed.Swap(true) || err != nil {
		return c.opError("close", nil, errClosed)
	}
	return c.s.Close()
}

// SetDeadline sets both deadlines; the zero time is none. Calls under way heed
// it too.
func (c *endpointConn) SetDeadline(t time.Time) error {
	return c.setDeadline(t, &c.reading, &c.writing)
}

// SetReadDeadline sets the deadline of Read and ReadFrom.
func (c *endpointConn) SetReadDeadline(t time.Time) error { return c.setDeadline(t, &c.reading) }

// SetWriteDeadline sets the deadline of Write and WriteTo.
func (c *endpointConn) SetWriteDeadline(t time.Time) error { return c.setDeadline(t, &c.writing) }

func (c *endpointConn) setDeadline(t time.Time, which ...*deadline) error {
	d, err := c.s.use()
	if err != nil {
		return c.opError("set", nil, err)
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
	return io.CopyBuffer(onlyWriter{c}, onlyReader{r}, make([]byte, copySize))
}

// WriteTo gives everything received to w, until the end of the stream.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	return io.CopyBuffer(onlyWriter{w}, onlyReader{c}, make([]byte, copySize))
}

// CloseRead shuts down the receiving half.
func (c *Conn) CloseRead() error { return c.opError("close", nil, c.shut(SHUT_RD)) }

// CloseWrite shuts down the sending half: the peer reads io.EOF.
func (c *Conn) CloseWrite() error { return c.opError("close", nil, c.shut(SHUT_WR)) }

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
func (c *endpointConn) SyscallConn() (syscall.RawConn, error) {
	return nil, c.opError("raw-control", nil, errors.ErrUnsupported)
}

func (c *endpointConn) fromGo(a net.Addr) (endpoint.Addr, error) {
	switch a := a.(type) {
	case *net.UDPAddr:
		if a == nil {
			return endpoint.Addr{}, endpoint.EDESTADDRREQ
		}
		ap := a.AddrPort()
		if len(a.IP) == 0 { // package net: this host
			ap = netip.AddrPortFrom(netip.IPv4Unspecified(), ap.Port())
			if c.s.family == AF_INET6 {
				ap = netip.AddrPortFrom(netip.IPv6Unspecified(), ap.Port())
			}
		}
		return c.s.desc.net.fromAddrPort(c.s.family, ap)
	case *net.IPAddr:
		if a == nil {
			return endpoint.Addr{}, endpoint.EDESTADDRREQ
		}
		ip, _ := netip.AddrFromSlice(a.IP)
		if c.s.family == AF_INET {
			ip = ip.Unmap()
		}
		return c.s.desc.net.fromAddrPort(c.s.family, netip.AddrPortFrom(ip.WithZone(a.Zone), 0))
	case *net.UnixAddr:
		if a == nil {
			return endpoint.Addr{}, endpoint.EDESTADDRREQ
		}
		return goUnix(a.Name)
	case nil:
		return endpoint.Addr{}, endpoint.EDESTADDRREQ
	}
	return endpoint.Addr{}, endpoint.EINVAL
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
	switch family {
	case AF_INET:
		a.IP = ip.Unmap()
		if !a.IP.Is4() {
			return endpoint.Addr{}, endpoint.EAFNOSUPPORT
		}
	case AF_INET6:
		if ip.Is4() {
			ip = netip.AddrFrom16(ip.As16())
		}
		if zone := ip.Zone(); zone != "" {
			index, err := n.scope(zone)
			if err != nil {
				return endpoint.Addr{}, err
			}
			a.Scope = index
		}
		a.IP = ip.WithZone("")
	default:
		return endpoint.Addr{}, endpoint.EAFNOSUPPORT
	}
	if !a.IP.IsValid() {
		return endpoint.Addr{}, endpoint.EDESTADDRREQ
	}
	return a, nil
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
	s, _, err := l.s.accept(l.readLimit())
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			err = e.Unwrap()
		}
		return nil, &net.OpError{Op: "accept", Net: l.network, Addr: l.local, Err: goError(err)}
	}
	if l.tuned {
		s.tune()
	}
	return s.Conn(), nil
}

// Addr returns the address that the listener is bound to.
func (l *Listener) Addr() net.Addr { return l.LocalAddr() }

// Close stops listening; connections not yet accepted are reset. The path of
// an AF_UNIX listener made by [Net.Listen] is removed, as package net does.
func (l *Listener) Close() error {
	err := l.endpointConn.Close()
	if err == nil && l.unlink != "" {
		l.s.desc.net.stack.Unlink(l.unlink)
	}
	return err
}
