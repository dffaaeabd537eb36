package inet

import (
	"bytes"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport"

	"usersock/stack/endpoint"
)

// The longest payloads that fit into one IP packet, headers included, when it
// is fragmented: RFC 768 over RFC 791 and RFC 8200.
const (
	maxPayload4 = 65535 - header.IPv4MinimumSize - header.UDPMinimumSize
	maxPayload6 = 65535 - header.UDPMinimumSize
)

// Send implements endpoint.Endpoint. MSG_OOB is EOPNOTSUPP over IPv4 and means
// nothing over IPv6. MSG_MORE gathers one datagram out of several calls.
func (u *udpEndpoint) Send(m endpoint.Message) (int, error) {
	if u.closed.Load() {
		return 0, endpoint.EBADF
	}
	if m.Flags&endpoint.MSG_OOB != 0 && u.af == endpoint.AF_INET {
		return 0, endpoint.EOPNOTSUPP
	}
	if m.Flags&endpoint.MSG_MORE != 0 || u.has(flagUserCork|flagMore) {
		return u.sendCorked(m)
	}
	return u.sendNow(m)
}

func (u *udpEndpoint) sendNow(m endpoint.Message) (int, error) {
	var opts tcpip.WriteOptions
	if len(m.Control) != 0 {
		if err := u.sendControl(m.Control, &opts.ControlMessages); err != nil {
			return 0, err
		}
	}
	size := m.Len()
	src := u.p.source(m.Bufs, size)
	defer u.p.release(src)
	if !m.To.IsZero() {
		fa, err := u.destination(m.To)
		if err != nil {
			return 0, err
		}
		src.to = fa
		opts.To = &src.to
	}
	if size > maxPayload4 || u.has(flagWhole4|flagWhole6|flagDontFrag) {
		if err := u.checkSize(opts.To, size); err != nil {
			return 0, err
		}
	}
	n, terr := u.raw.Write(src, opts)
	if terr != nil {
		return 0, u.sendErrno(terr)
	}
	return int(n), nil
}

// destination translates and checks the address of one datagram.
func (u *udpEndpoint) destination(to endpoint.Addr) (tcpip.FullAddress, error) {
	fa, err := u.fullAddress(to)
	if err != nil {
		return fa, err
	}
	if fa.Port == 0 {
		return fa, endpoint.EINVAL
	}
	ops := u.raw.SocketOptions()
	if fa.Addr == header.IPv4Broadcast && !ops.GetBroadcast() {
		return fa, endpoint.EACCES
	}
	err = u.checkPeer(&fa, ops)
	return fa, err
}

// checkSize refuses what no packet can hold, and, where the socket forbids
// fragments, what one packet of the route's interface cannot: EMSGSIZE.
func (u *udpEndpoint) checkSize(to *tcpip.FullAddress, size int) error {
	if size > maxPayload6 {
		return endpoint.EMSGSIZE
	}
	var dst tcpip.FullAddress
	if to != nil {
		dst = *to
	} else {
		peer, err := u.raw.GetRemoteAddress()
		if err != nil {
			return nil // the write says what is wrong
		}
		dst = peer
	}
	net, overhead, whole := header.IPv6ProtocolNumber, header.IPv6MinimumSize, u.has(flagWhole6|flagDontFrag)
	if isMapped(dst.Addr) {
		dst.Addr = tcpip.AddrFrom4([4]byte(dst.Addr.AsSlice()[12:]))
	}
	if dst.Addr.Len() == header.IPv4AddressSize || dst.Addr.Len() == 0 && u.af == endpoint.AF_INET {
		if size > maxPayload4 {
			return endpoint.EMSGSIZE
		}
		net, overhead, whole = header.IPv4ProtocolNumber, header.IPv4MinimumSize, u.has(flagWhole4)
	}
	if !whole || dst.Addr.Len() == 0 {
		return nil
	}
	local, err := u.raw.GetLocalAddress()
	if err != nil {
		return nil
	}
	mtu, e := u.p.routeMTU(dst.NIC, local.Addr, dst.Addr, net)
	if e != nil {
		return nil // the write says what is wrong
	}
	if size+overhead+header.UDPMinimumSize > mtu {
		return endpoint.EMSGSIZE
	}
	return nil
}

// sendErrno turns an error of netstack's Write into udp_sendmsg's.
func (u *udpEndpoint) sendErrno(err tcpip.Error) error {
	switch err.(type) {
	case *tcpip.ErrBadLocalAddress:
		return endpoint.EINVAL // IPV6_PKTINFO with another host's address
	case *tcpip.ErrInvalidEndpointState:
		if u.state() == transport.DatagramEndpointStateClosed {
			if u.closed.Load() {
				return endpoint.EBADF // closed during the call
			}
			return endpoint.ENETDOWN // by End
		}
	}
	return errno(err)
}

// corkedDatagram is a datagram that is not complete.
type corkedDatagram struct {
	to      endpoint.Addr
	control []endpoint.Control
	data    []byte
	started bool
}

// sendCorked adds to the datagram that is held back, and sends it unless
// there is more to come, udp_sendmsg of Linux. The address and the control
// items of the first call count.
func (u *udpEndpoint) sendCorked(m endpoint.Message) (int, error) {
	n := m.Len()
	more := m.Flags&endpoint.MSG_MORE != 0 || u.has(flagUserCork)
	u.corkMu.Lock()
	c := u.corked
	if c == nil {
		c = new(corkedDatagram)
		u.corked = c
	}
	if !c.started {
		if err := u.checkCork(m); err != nil {
			u.corkMu.Unlock()
			return 0, err
		}
		c.started = true
		c.to = m.To
		c.control = c.control[:0]
		for _, item := range m.Control { // the caller keeps its buffers
			item.Data = bytes.Clone(item.Data)
			c.control = append(c.control, item)
		}
		c.data = c.data[:0]
	}
	limit := maxPayload6
	if u.af == endpoint.AF_INET {
		limit = maxPayload4
	}
	if len(c.data)+n > limit {
		c.started = false
		u.set(flagMore, false)
		u.corkMu.Unlock()
		return 0, endpoint.EMSGSIZE
	}
	for _, b := range m.Bufs {
		c.data = append(c.data, b...)
	}
	u.set(flagMore, more)
	u.corkMu.Unlock()
	if more {
		return n, nil
	}
	if err := u.pushCorked(); err != nil {
		return 0, err
	}
	return n, nil
}

// checkCork refuses at once what the write would refuse at the end.
func (u *udpEndpoint) checkCork(m endpoint.Message) error {
	if m.To.IsZero() {
		if u.state() != transport.DatagramEndpointStateConnected {
			return endpoint.EDESTADDRREQ
		}
		return nil
	}
	_, err := u.destination(m.To)
	return err
}

// pushCorked sends the datagram that is held back, if there is one.
func (u *udpEndpoint) pushCorked() error {
	u.corkMu.Lock()
	c := u.corked
	if c == nil || !c.started {
		u.corkMu.Unlock()
		return nil
	}
	u.corked = nil
	u.set(flagMore, false)
	u.corkMu.Unlock()
	_, err := u.sendNow(endpoint.Message{Bufs: [][]byte{c.data}, To: c.to, Control: c.control})
	return err
}
