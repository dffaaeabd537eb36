package differ

import (
	"encoding/binary"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"usersock/netdev"
	"usersock/sockapi"
	"usersock/stack"
	"usersock/stack/endpoint"
)

// ours is the side of package sockapi: a host of its own with lo and one more
// interface, whose far end is the sequence's.
type ours struct {
	stack *stack.Stack
	net   *sockapi.Net
	socks []*sockapi.Socket
	dev   *device
	rests *sockapi.Socket // see rest
}

func newOurs() (*ours, error) {
	dev := newDevice()
	s, err := stack.New(stack.Config{
		Interfaces: []stack.Interface{{
			Name: "dt0",
			Link: netdev.FromDevice(dev, netdev.DeviceConfig{Direct: true}),
			Addrs: []netip.Prefix{
				netip.MustParsePrefix(own4 + "/24"),
				netip.MustParsePrefix(own6 + "/64"),
			},
		}},
		Routes: []stack.Route{
			{Dst: netip.MustParsePrefix(distant4 + "/25").Masked(), Via: netip.MustParseAddr(router4)},
			{Dst: netip.MustParsePrefix(distant6 + "/64").Masked(), Via: netip.MustParseAddr(router6)},
		},
		RawProtocols: []int{253, experiment},
		Cred:         endpoint.Cred{Pid: int32(os.Getpid())},
	})
	if err != nil {
		return nil, err
	}
	n, err := sockapi.New(sockapi.Config{Stack: s})
	if err != nil {
		s.Close()
		return nil, err
	}
	if err := n.Setdefaulttimeout(0); err != nil {
		return nil, err
	}
	return &ours{stack: s, net: n, dev: dev}, nil
}

func (o *ours) add(s *sockapi.Socket) handle {
	o.socks = append(o.socks, s)
	return handle(len(o.socks) - 1)
}

func (o *ours) socket(family, typ, proto int) (handle, error) {
	s, err := o.net.Socket(family, typ, proto)
	if err != nil {
		return -1, err
	}
	return o.add(s), nil
}

func (o *ours) socketpair(family, typ, proto int) (handle, handle, error) {
	a, b, err := o.net.Socketpair(family, typ, proto)
	if err != nil {
		return -1, -1, err
	}
	return o.add(a), o.add(b), nil
}

func (o *ours) dup(h handle) (handle, error) {
	s, err := o.socks[h].Dup()
	if err != nil {
		return -1, err
	}
	return o.add(s), nil
}

func toSockapi(a endpoint.Addr) sockapi.Addr {
	switch a.Family {
	case endpoint.AF_INET:
		return sockapi.InetAddr{Host: a.IP.String(), Port: int(a.Port)}
	case endpoint.AF_INET6:
		return sockapi.Inet6Addr{Host: a.IP.String(), Port: int(a.Port), Flowinfo: a.Flowinfo, ScopeID: a.Scope}
	case endpoint.AF_UNIX:
		return sockapi.UnixAddr{Path: a.Path}
	case endpoint.AF_NETLINK:
		return sockapi.NetlinkAddr{Pid: a.Pid, Groups: a.Groups}
	}
	return sockapi.UnspecAddr{}
}

func fromSockapi(addr sockapi.Addr) endpoint.Addr {
	switch a := addr.(type) {
	case sockapi.InetAddr:
		return endpoint.Addr{Family: endpoint.AF_INET, IP: netip.MustParseAddr(a.Host), Port: uint16(a.Port)}
	case sockapi.Inet6Addr:
		return endpoint.Addr{Family: endpoint.AF_INET6, IP: netip.MustParseAddr(a.Host), Port: uint16(a.Port), Flowinfo: a.Flowinfo, Scope: a.ScopeID}
	case sockapi.UnixAddr:
		return endpoint.Unix(a.Path)
	}
	return endpoint.Addr{}
}

func (o *ours) bind(h handle, a endpoint.Addr) error    { return o.socks[h].Bind(toSockapi(a)) }
func (o *ours) connect(h handle, a endpoint.Addr) error { return o.socks[h].Connect(toSockapi(a)) }
func (o *ours) listen(h handle, backlog int) error      { return o.socks[h].Listen(backlog) }

func (o *ours) accept(h handle) (handle, endpoint.Addr, error) {
	s, from, err := o.socks[h].Accept()
	if err != nil {
		return -1, endpoint.Addr{}, err
	}
	return o.add(s), fromSockapi(from), nil
}

func (o *ours) send(h handle, data []byte, flags int) (int, error) {
	defer o.rest(h)
	return o.socks[h].Send(data, flags)
}

func (o *ours) sendto(h handle, data []byte, flags int, to endpoint.Addr) (int, error) {
	defer o.rest(h)
	return o.socks[h].Sendto(data, toSockapi(to), flags)
}

// rest waits, after h has sent a datagram, until what the host answers itself
// has arrived, as it has on the kernel's loopback when the call returns. Here it
// goes through the queue of lo: a datagram of UDP-Lite that comes out of that was
// behind it.
func (o *ours) rest(h handle) {
	if o.socks[h].Type() != sockapi.SOCK_DGRAM || o.socks[h].Family() == sockapi.AF_UNIX {
		return
	}
	if o.rests == nil {
		s, err := o.net.Socket(sockapi.AF_INET, sockapi.SOCK_DGRAM, sockapi.IPPROTO_UDPLITE)
		if err != nil {
			panic(err)
		}
		must(s.Settimeout(patience))
		must(s.Bind(sockapi.InetAddr{Host: "127.0.0.1"}))
		self, err := s.Getsockname()
		must(err)
		must(s.Connect(self))
		o.rests = s
	}
	_, err := o.rests.Send(nil, 0)
	must(err)
	_, err = o.rests.RecvInto(make([]byte, 1), 0, 0)
	must(err)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (o *ours) recvfrom(h handle, buf []byte, flags int) (int, endpoint.Addr, error) {
	n, from, err := o.socks[h].RecvfromInto(buf, 0, flags)
	return n, fromSockapi(from), err
}

func (o *ours) sendmsg(h handle, bufs [][]byte, items []item, flags int, to endpoint.Addr) (int, error) {
	defer o.rest(h)
	var ancillary []sockapi.Ancillary
	for _, it := range items {
		if it.handles == nil {
			ancillary = append(ancillary, sockapi.Ancillary{Level: it.level, Type: it.typ, Data: it.data})
			continue
		}
		var fds []int
		for _, h := range it.handles {
			fds = append(fds, o.socks[h].Fileno())
		}
		ancillary = append(ancillary, sockapi.Rights(fds...))
	}
	var addr sockapi.Addr
	if to.Family != endpoint.AF_UNSPEC {
		addr = toSockapi(to)
	}
	if !slices.ContainsFunc(items, func(it item) bool { return it.broken }) {
		return o.socks[h].Sendmsg(bufs, ancillary, flags, addr)
	}
	var control []byte
	for i, it := range items {
		b, err := sockapi.PackControl(ancillary[i : i+1])
		if err != nil {
			return 0, err
		}
		if it.broken {
			if strconv.IntSize == 64 {
				binary.NativeEndian.PutUint64(b, 1<<16)
			} else {
				binary.NativeEndian.PutUint32(b, 1<<16)
			}
		}
		control = append(control, b...)
	}
	return o.socks[h].SendmsgControl(bufs, control, flags, addr)
}

func (o *ours) recvmsg(h handle, bufs [][]byte, control, flags int) (r received, err error) {
	n, ancillary, got, from, err := o.socks[h].RecvmsgInto(bufs, control, flags)
	if err != nil {
		return r, err
	}
	r.n, r.flags, r.from = n, got, fromSockapi(from)
	for _, a := range ancillary {
		it := item{level: a.Level, typ: a.Type, data: a.Data}
		if fds, ok := a.Rights(); ok {
			it.handles = []handle{}
			for _, fd := range fds {
				s, err := o.net.Adopt(fd)
				if err != nil {
					return r, err
				}
				it.handles = append(it.handles, o.add(s))
			}
		}
		r.items = append(r.items, it)
	}
	return r, nil
}

func (o *ours) shutdown(h handle, how int) error { return o.socks[h].Shutdown(how) }

func (o *ours) close(h handle) error {
	if o.socks[h].Fileno() < 0 {
		return endpoint.EBADF // the Socket's second Close is Python's, not close(2)
	}
	return o.socks[h].Close()
}

func (o *ours) getsockname(h handle) (endpoint.Addr, error) {
	a, err := o.socks[h].Getsockname()
	return fromSockapi(a), err
}

func (o *ours) getpeername(h handle) (endpoint.Addr, error) {
	a, err := o.socks[h].Getpeername()
	return fromSockapi(a), err
}

func (o *ours) getsockopt(h handle, level, name int, buf []byte) (int, error) {
	return o.socks[h].GetsockoptInto(level, name, buf)
}

func (o *ours) setsockopt(h handle, level, name int, value []byte) error {
	return o.socks[h].SetsockoptBytes(level, name, value)
}

func (o *ours) ioctl(h handle, request int) (int, error) { return o.socks[h].Ioctl(request, 0) }

func (o *ours) unlink(path string) error { return o.stack.Unlink(path) }

func (o *ours) blocking(h handle, on bool) error { return o.socks[h].Setblocking(on) }

func (o *ours) poll(h handle) int {
	p := o.net.Poll()
	fd := o.socks[h].Fileno()
	if fd < 0 {
		return sockapi.POLLNVAL
	}
	if err := p.Register(fd, allEvents); err != nil {
		panic(err)
	}
	got, err := p.Poll(0)
	if err != nil {
		panic(err)
	}
	if len(got) == 0 {
		return 0
	}
	return got[0].Events
}

func (o *ours) await(h handle, events int, d time.Duration) { _, _ = o.socks[h].Wait(events, d) }

func (o *ours) pathPrefix() string     { return "/tmp/differ/" }
func (o *ours) abstractPrefix() string { return "" }
func (o *ours) wire() wire             { return o.dev }

func (o *ours) silent() error {
	link, err := netdev.NewSegment(netdev.SegmentConfig{}).Join(netdev.PortConfig{})
	if err != nil {
		return err
	}
	return o.stack.Attach(stack.Interface{Name: "dn0", Link: link, Addrs: []netip.Prefix{
		netip.MustParsePrefix(silent4 + "/24"), netip.MustParsePrefix(silent6 + "/64"),
	}})
}

func (o *ours) end() {
	o.net.Close()
	o.stack.Close()
}

var _ sockets = (*ours)(nil)
