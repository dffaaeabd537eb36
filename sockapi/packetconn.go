package sockapi

import (
	"io"
	"net"
	"net/netip"

	"usersock/stack/endpoint"
)

// Datagrams in the Go dialect, and messages with control data: what
// net.UDPConn, net.UnixConn and net.IPConn have beside net.PacketConn. The
// buffers named oob take control data in Linux's layout, see [PackControl] and
// [ParseControl].

func (c *endpointConn) readLimit() limit  { return limit{until: noLimit, deadline: &c.reading} }
func (c *endpointConn) writeLimit() limit { return limit{until: noLimit, deadline: &c.writing} }

// ReadFrom receives a datagram and its sender.
func (c *PacketConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := c.s.recvRaw(p, 0, c.readLimit())
	if err != nil {
		return 0, nil, c.opError("read", "recvfrom", nil, err)
	}
	if n == 0 && c.ends() && len(p) > 0 {
		return 0, nil, io.EOF
	}
	if f := c.s.desc.file; f.typ == SOCK_RAW && f.family == AF_INET {
		n = withoutHeader(p, n)
	}
	if from.IsZero() {
		return n, nil, nil
	}
	return n, c.goAddr(from), nil
}

// ReadFromUDPAddrPort is ReadFrom without allocation. An IPv4 sender is an
// IPv4 address, also on a dual-stack socket.
func (c *PacketConn) ReadFromUDPAddrPort(p []byte) (int, netip.AddrPort, error) {
	n, from, err := c.s.recvRaw(p, 0, c.readLimit())
	if err != nil {
		return 0, netip.AddrPort{}, c.opError("read", "recvfrom", nil, err)
	}
	return n, c.addrPort(from), nil
}

func (c *endpointConn) addrPort(from endpoint.Addr) netip.AddrPort {
	ip := from.IP.Unmap()
	if from.Scope != 0 {
		ip = ip.WithZone(c.s.desc.net.zone(from.Scope))
	}
	return netip.AddrPortFrom(ip, from.Port)
}

// WriteTo sends a datagram to an address of the network's own type, a
// *net.UDPAddr, *net.UnixAddr or *net.IPAddr. On a connected socket it is
// net.ErrWriteToConnected, and EISCONN.
func (c *PacketConn) WriteTo(p []byte, to net.Addr) (int, error) {
	a, err := c.fromGo(to)
	n, err := c.writeTo(p, a, err)
	return n, c.opError("write", "sendto", known(to), err)
}

// writeTo is every WriteTo; bad says that the address was no good.
func (c *PacketConn) writeTo(p []byte, to endpoint.Addr, bad error) (int, error) {
	switch {
	case c.remote != nil:
		return 0, errConnected
	case bad != nil:
		return 0, bad
	}
	return c.s.sendRaw(p, to, 0, c.writeLimit(), false)
}

// known is an address for an error, which has none for a nil pointer.
func known(a net.Addr) net.Addr {
	switch p := a.(type) {
	case *net.UDPAddr:
		if p == nil {
			return nil
		}
	case *net.IPAddr:
		if p == nil {
			return nil
		}
	case *net.UnixAddr:
		if p == nil {
			return nil
		}
	}
	return a
}

// WriteToUDPAddrPort is WriteTo without allocation.
func (c *PacketConn) WriteToUDPAddrPort(p []byte, to netip.AddrPort) (int, error) {
	a, err := c.s.desc.net.fromAddrPort(c.s.desc.file.family, to)
	n, err := c.writeTo(p, a, err)
	if err != nil {
		return n, c.opError("write", "sendto", net.UDPAddrFromAddrPort(to), err)
	}
	return n, nil
}

// ReadFromUDP is ReadFrom for a UDP socket.
func (c *PacketConn) ReadFromUDP(p []byte) (int, *net.UDPAddr, error) {
	n, from, err := c.ReadFromUDPAddrPort(p)
	if err != nil {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// WriteToUDP is WriteTo for a UDP socket.
func (c *PacketConn) WriteToUDP(p []byte, to *net.UDPAddr) (int, error) { return c.WriteTo(p, to) }

// ReadMsgUDP receives a datagram with its control data. flags has MSG_TRUNC if
// the datagram was longer than p, and MSG_CTRUNC if control data were lost.
func (c *PacketConn) ReadMsgUDP(p, oob []byte) (n, oobn, flags int, from *net.UDPAddr, err error) {
	n, oobn, flags, ap, err := c.ReadMsgUDPAddrPort(p, oob)
	if err == nil {
		from = net.UDPAddrFromAddrPort(ap)
	}
	return n, oobn, flags, from, err
}

// ReadMsgUDPAddrPort is ReadMsgUDP; it allocates nothing itself.
func (c *PacketConn) ReadMsgUDPAddrPort(p, oob []byte) (n, oobn, flags int, from netip.AddrPort, err error) {
	got, oobn, err := c.readMsg(p, oob)
	if err != nil {
		return 0, 0, 0, netip.AddrPort{}, err
	}
	return got.N, oobn, got.Flags, c.addrPort(got.From), nil
}

// WriteMsgUDP sends a datagram with control data. to is nil on a connected
// socket, and only there.
func (c *PacketConn) WriteMsgUDP(p, oob []byte, to *net.UDPAddr) (n, oobn int, err error) {
	if to == nil {
		return c.writeMsg(p, oob, nil)
	}
	return c.writeMsg(p, oob, to)
}

// WriteMsgUDPAddrPort is WriteMsgUDP; the zero AddrPort is no destination.
// Without control data it allocates nothing itself.
func (c *PacketConn) WriteMsgUDPAddrPort(p, oob []byte, to netip.AddrPort) (n, oobn int, err error) {
	if !to.IsValid() {
		return c.writeMsg(p, oob, nil)
	}
	a, err := c.s.desc.net.fromAddrPort(c.s.desc.file.family, to)
	if n, err = c.writeMsgTo(p, oob, a, true, err); err != nil {
		return n, 0, c.opError("write", "sendmsg", net.UDPAddrFromAddrPort(to), err)
	}
	return n, len(oob), nil
}

// ReadFromUnix is ReadFrom for an AF_UNIX socket.
func (c *PacketConn) ReadFromUnix(p []byte) (int, *net.UnixAddr, error) {
	n, from, err := c.ReadFrom(p)
	a, _ := from.(*net.UnixAddr)
	return n, a, err
}

// WriteToUnix is WriteTo for an AF_UNIX socket.
func (c *PacketConn) WriteToUnix(p []byte, to *net.UnixAddr) (int, error) { return c.WriteTo(p, to) }

// ReadMsgUnix receives a message of an AF_UNIX socket with its control data:
// descriptors ([Ancillary.Rights]) and credentials.
func (c *PacketConn) ReadMsgUnix(p, oob []byte) (n, oobn, flags int, from *net.UnixAddr, err error) {
	return c.readMsgUnix(p, oob)
}

// WriteMsgUnix sends a message of an AF_UNIX socket with control data, to nil
// for the peer.
func (c *PacketConn) WriteMsgUnix(p, oob []byte, to *net.UnixAddr) (n, oobn int, err error) {
	if to == nil {
		return c.writeMsg(p, oob, nil)
	}
	return c.writeMsg(p, oob, to)
}

// ReadMsgUnix receives bytes of an AF_UNIX stream with their control data.
func (c *Conn) ReadMsgUnix(p, oob []byte) (n, oobn, flags int, from *net.UnixAddr, err error) {
	return c.readMsgUnix(p, oob)
}

// WriteMsgUnix sends bytes over an AF_UNIX stream, with control data for the
// first. A stream has no destination: to is nil.
func (c *Conn) WriteMsgUnix(p, oob []byte, to *net.UnixAddr) (n, oobn int, err error) {
	if to != nil {
		return 0, 0, c.opError("write", "sendmsg", to, endpoint.EISCONN)
	}
	return c.writeMsg(p, oob, nil)
}

func (c *endpointConn) readMsgUnix(p, oob []byte) (n, oobn, flags int, from *net.UnixAddr, err error) {
	got, oobn, err := c.readMsg(p, oob)
	if err != nil {
		return 0, 0, 0, nil, err
	}
	if !got.From.IsZero() {
		from, _ = c.goAddr(got.From).(*net.UnixAddr)
	}
	return got.N, oobn, got.Flags, from, nil
}

// readMsg is every ReadMsg.
func (c *endpointConn) readMsg(p, oob []byte) (endpoint.Received, int, error) {
	room := controlRoom{left: len(oob), raw: oob}
	got, err := c.s.recvItems(nil, p, &room, 0, c.readLimit())
	if err == nil && got.N == 0 && len(p) > 0 && c.ends() {
		return got, 0, io.EOF
	}
	return got, room.used, c.opError("read", "recvmsg", nil, err)
}

// writeMsg is every WriteMsg. The control data go with the first byte.
func (c *endpointConn) writeMsg(p, oob []byte, to net.Addr) (n, oobn int, err error) {
	var a endpoint.Addr
	if to != nil {
		a, err = c.fromGo(to)
	}
	if n, err = c.writeMsgTo(p, oob, a, to != nil, err); err != nil {
		return n, 0, c.opError("write", "sendmsg", to, err)
	}
	return n, len(oob), nil
}

// writeMsgTo is writeMsg to an endpoint's address, if one was given at all; bad
// says that it was no good.
func (c *endpointConn) writeMsgTo(p, oob []byte, to endpoint.Addr, given bool, bad error) (int, error) {
	switch {
	case given && c.remote != nil:
		return 0, errConnected
	case bad != nil:
		return 0, bad
	case !given && c.remote == nil:
		return 0, errNoAddress
	case len(oob) > maxControl:
		return 0, endpoint.ENOBUFS
	}
	items, err := ParseControl(oob)
	return c.sendMsg(p, items, err, to)
}

func (c *endpointConn) sendMsg(p []byte, items []Ancillary, bad error, to endpoint.Addr) (int, error) {
	lim := c.writeLimit()
	if !c.stream() {
		return c.s.sendItems(nil, p, items, bad, to, 0, lim, false)
	}
	d := c.s.desc
	if err := d.file.writing.take(d.net, d, lim); err != nil {
		return 0, err
	}
	defer d.file.writing.give()
	return c.s.sendItems(nil, p, items, bad, to, 0, lim, true)
}

// ReadFromIP is ReadFrom for a raw socket: an IPv4 header is left out.
func (c *PacketConn) ReadFromIP(p []byte) (int, *net.IPAddr, error) {
	n, from, err := c.ReadFrom(p)
	a, _ := from.(*net.IPAddr)
	return n, a, err
}

// WriteToIP is WriteTo for a raw socket.
func (c *PacketConn) WriteToIP(p []byte, to *net.IPAddr) (int, error) { return c.WriteTo(p, to) }

// ReadMsgIP receives a packet of a raw socket, with its IPv4 header, and its
// control data.
func (c *PacketConn) ReadMsgIP(p, oob []byte) (n, oobn, flags int, from *net.IPAddr, err error) {
	got, oobn, err := c.readMsg(p, oob)
	if err != nil {
		return 0, 0, 0, nil, err
	}
	from, _ = c.goAddr(got.From).(*net.IPAddr)
	return got.N, oobn, got.Flags, from, nil
}

// WriteMsgIP sends a packet of a raw socket with control data. to is nil on a
// connected socket, and only there.
func (c *PacketConn) WriteMsgIP(p, oob []byte, to *net.IPAddr) (n, oobn int, err error) {
	if to == nil {
		return c.writeMsg(p, oob, nil)
	}
	return c.writeMsg(p, oob, to)
}

// withoutHeader moves the payload of an IPv4 packet to the front of p and returns
// its length, as package net does: a header that makes no sense stays.
func withoutHeader(p []byte, n int) int {
	if n < 20 || p[0]>>4 != 4 {
		return n
	}
	header := int(p[0]&0x0f) * 4
	if header < 20 || header > n {
		return n
	}
	return copy(p, p[header:n])
}

// CloseRead shuts down the receiving half of a SOCK_SEQPACKET connection.
func (c *PacketConn) CloseRead() error { return c.opError("close", "shutdown", nil, c.shut(SHUT_RD)) }

// CloseWrite shuts down the sending half of a SOCK_SEQPACKET connection: the
// peer reads io.EOF.
func (c *PacketConn) CloseWrite() error { return c.opError("close", "shutdown", nil, c.shut(SHUT_WR)) }
