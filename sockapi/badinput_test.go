package sockapi_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	. "usersock/sockapi"
	"usersock/stack/endpoint"
)

// TestBadInput gives every call what it cannot take. Each answers with Linux's
// errno, or a ValueError where CPython does not ask the system; nothing opens,
// nothing is sent, and the sockets work afterwards.
func TestBadInput(t *testing.T) {
	a, b := hosts(t)
	x, y := connected(t, a, b, InetAddr{"192.0.2.2", 0})
	dgram, un := open(t, a, AF_INET, SOCK_DGRAM), open(t, a, AF_UNIX, SOCK_DGRAM)
	six := open(t, a, AF_INET6, SOCK_DGRAM)
	closed := open(t, a, AF_INET, SOCK_STREAM)
	closed.Close()
	foreign := open(t, b, AF_INET, SOCK_DGRAM) // of another Net
	for range 10 {
		open(t, b, AF_INET, SOCK_DGRAM)
	}
	highest := open(t, b, AF_INET, SOCK_DGRAM).Fileno() // a number that a lacks
	const value = Errno(-1)                             // a ValueError
	long := strings.Repeat("p", 108)
	one := [][]byte{{1}}
	buf := make([]byte, 8)
	recvmsg := func(_ []byte, _ []Ancillary, _ int, _ Addr, err error) error { return err }
	into := func(_ int, _ []Ancillary, _ int, _ Addr, err error) error { return err }
	sent := func(n int, err error) error {
		if n != 0 {
			t.Errorf("%d bytes were sent, with %v", n, err)
		}
		return err
	}
	type call struct {
		name string
		want Errno
		f    func() error
	}
	var calls []call
	add := func(name string, want Errno, f func() error) { calls = append(calls, call{name, want, f}) }

	for _, s := range []*Socket{x, dgram, un, six} {
		name := fmt.Sprintf("family %d, type %d: ", s.Family(), s.Type())
		var own Addr
		switch s.Family() {
		case AF_INET:
			own = InetAddr{"192.0.2.2", 9}
		case AF_INET6:
			own = Inet6Addr{Host: "2001:db8::2", Port: 9}
		case AF_UNIX:
			own = UnixAddr{"there"}
		}
		for _, other := range []Addr{InetAddr{"192.0.2.2", 9}, Inet6Addr{Host: "2001:db8::2", Port: 9}, UnixAddr{"there"}, NetlinkAddr{}} {
			if other.Family() == s.Family() {
				continue
			}
			where := name + fmt.Sprint(other)
			add(where+" sendto", endpoint.EAFNOSUPPORT, func() error { return sent(s.Sendto([]byte{1}, other)) })
			add(where+" sendmsg", endpoint.EAFNOSUPPORT, func() error { return sent(s.Sendmsg(one, nil, 0, other)) })
			add(where+" connect", endpoint.EAFNOSUPPORT, func() error { return s.Connect(other) })
			add(where+" bind", endpoint.EAFNOSUPPORT, func() error { return s.Bind(other) })
		}
		for _, bad := range []Addr{InetAddr{"192.0.2.2", -1}, InetAddr{"192.0.2.2", 65536}, InetAddr{"192.0.2.2", math.MinInt},
			Inet6Addr{Host: "::1", Port: 1 << 16}, Inet6Addr{Host: "::1", Flowinfo: 1 << 20},
			UnixAddr{long}, UnixAddr{"\x00" + long}, UnixAddr{"a\x00b"}, foreignAddr{}} {
			if bad.Family() != s.Family() {
				continue
			}
			where := name + fmt.Sprintf("%.20q", fmt.Sprint(bad))
			add(where+" sendto", value, func() error { return sent(s.Sendto([]byte{1}, bad)) })
			add(where+" sendmsg", value, func() error { return sent(s.Sendmsg(one, nil, 0, bad)) })
			add(where+" connect", value, func() error { return s.Connect(bad) })
			add(where+" bind", value, func() error { return s.Bind(bad) })
		}
		for _, n := range []int{-1, math.MinInt} {
			add(name+"recv", value, func() error { return second(s.Recv(n)) })
			add(name+"recvfrom", value, func() error { return third(s.Recvfrom(n)) })
			add(name+"recv_into", value, func() error { return second(s.RecvInto(buf, n)) })
			add(name+"recvfrom_into", value, func() error { return third(s.RecvfromInto(buf, n)) })
			add(name+"recvmsg", value, func() error { return recvmsg(s.Recvmsg(n, 0)) })
			add(name+"recvmsg, ancbufsize", value, func() error { return recvmsg(s.Recvmsg(1, n)) })
			add(name+"recvmsg_into, ancbufsize", value, func() error { return into(s.RecvmsgInto([][]byte{buf}, n)) })
			add(name+"recv_fds", value, func() error {
				return second(func() (int, error) { _, _, _, _, err := s.RecvFds(1, n); return 0, err }())
			})
			add(name+"recvmmsg", value, func() error { return second(s.Recvmmsg([]Message{{Ancbufsize: n}}, Forever)) })
			add(name+"getsockopt", 0, func() error { return second(s.GetsockoptBytes(SOL_SOCKET, SO_TYPE, n)) })
			add(name+"setsockopt None", endpoint.EINVAL, func() error { return s.SetsockoptNone(SOL_SOCKET, SO_REUSEADDR, n) })
		}
		add(name+"recv_into beyond", value, func() error { return second(s.RecvInto(buf, 9)) })
		add(name+"recvfrom_into beyond", value, func() error { return third(s.RecvfromInto(buf, 9)) })
		add(name+"sendmsg of 1025 buffers", endpoint.EMSGSIZE, func() error { return sent(s.Sendmsg(make([][]byte, 1025), nil, 0, own)) })
		add(name+"control data cut", endpoint.EINVAL, func() error {
			var to Addr
			if s.Type() == SOCK_DGRAM {
				to = own
			}
			return sent(s.SendmsgControl(one, make([]byte, CmsgLen(0)), 0, to))
		})
		add(name+"control data too long", endpoint.ENOBUFS, func() error { return sent(s.SendmsgControl(one, make([]byte, 1<<20), 0, nil)) })
		add(name+"wait", value, func() error { return second(s.Wait(-1, 0)) })
		add(name+"wait", value, func() error { return second(s.Wait(1<<16, 0)) })
		add(name+"timeout", value, func() error { return s.Settimeout(-2) })
		add(name+"makefile", value, func() error { return second(s.Makefile("x", 0)) })
		add(name+"ioctl", endpoint.ENOTTY, func() error { return second(s.Ioctl(-1, 0)) })
		add(name+"fcntl", endpoint.EINVAL, func() error { return second(s.Fcntl(-1, 0)) })
		add(name+"shutdown", endpoint.EINVAL, func() error { return s.Shutdown(7) })
	}
	p, _ := pair(t, a, SOCK_STREAM)
	add("descriptor of another Net sent", endpoint.EBADF, func() error {
		return sent(p.SendFds(one, []int{highest}, 0, nil))
	})
	// Every call that takes a descriptor.
	for _, fd := range []int{-1, math.MinInt, 0, 2, highest, math.MaxInt, math.MaxInt32} {
		add(fmt.Sprint("fromfd ", fd), endpoint.EBADF, func() error { return second(a.Fromfd(fd, AF_INET, SOCK_STREAM, 0)) })
		add(fmt.Sprint("adopt ", fd), endpoint.EBADF, func() error { return second(a.Adopt(fd)) })
		add(fmt.Sprint("close ", fd), endpoint.EBADF, func() error { return a.CloseFd(fd) })
		add(fmt.Sprint("dup ", fd), endpoint.EBADF, func() error { return second(a.DupFd(fd)) })
		add(fmt.Sprint("ioctl ", fd), endpoint.EBADF, func() error { return second(a.Ioctl(fd, FIONREAD, 0)) })
		add(fmt.Sprint("fcntl ", fd), endpoint.EBADF, func() error { return second(a.Fcntl(fd, F_GETFL, 0)) })
		add(fmt.Sprint("epoll ", fd), endpoint.EBADF, func() error { return a.Poller().Add(fd, EPOLLIN, nil) })
		add(fmt.Sprint("select ", fd), endpoint.EBADF, func() error {
			_, _, _, err := a.Select([]int{fd}, nil, nil, 0)
			return err
		})
	}
	// Every call on a closed socket.
	for name, f := range map[string]func() error{
		"accept": func() error { return third(closed.Accept()) }, "bind": func() error { return closed.Bind(InetAddr{}) },
		"connect": func() error { return closed.Connect(InetAddr{"192.0.2.2", 9}) }, "listen": func() error { return closed.Listen(1) },
		"recv": func() error { return second(closed.Recv(1)) }, "recv 0": func() error { return second(closed.Recv(0)) },
		"recvmsg": func() error { return recvmsg(closed.Recvmsg(1, 9)) }, "recvmsg_into": func() error { return into(closed.RecvmsgInto(nil, 0)) },
		"send": func() error { return sent(closed.Send(nil)) }, "sendall": func() error { return closed.Sendall(nil) },
		"sendto": func() error { return sent(closed.Sendto(nil, InetAddr{"", 1})) }, "sendmsg": func() error { return sent(closed.Sendmsg(one, nil, 0, nil)) },
		"sendmmsg": func() error { return sent(closed.Sendmmsg(make([]Message, 1))) }, "recvmmsg": func() error { return second(closed.Recvmmsg(nil, 0)) },
		"getsockname": func() error { return second(closed.Getsockname()) }, "getpeername": func() error { return second(closed.Getpeername()) },
		"getsockopt": func() error { return second(closed.Getsockopt(SOL_SOCKET, SO_TYPE)) }, "setsockopt": func() error { return closed.Setsockopt(SOL_SOCKET, SO_REUSEADDR, 1) },
		"shutdown": func() error { return closed.Shutdown(SHUT_RD) }, "settimeout": func() error { return closed.Settimeout(0) },
		"setblocking": func() error { return closed.Setblocking(true) }, "makefile": func() error { return second(closed.Makefile("r", 0)) },
		"dup": func() error { return second(closed.Dup()) }, "wait": func() error { return second(closed.Wait(POLLIN, 0)) },
		"ioctl": func() error { return second(closed.Ioctl(FIONREAD, 0)) }, "fcntl": func() error { return second(closed.Fcntl(F_GETFL, 0)) },
	} {
		add("closed: "+name, endpoint.EBADF, f)
	}
	before := nextFd(t, a)
	for _, c := range calls {
		err := c.f()
		var ve *ValueError
		var se *Error
		switch {
		case err == nil:
			t.Errorf("%s: no error", c.name)
		case c.want == value && !errors.As(err, &ve):
			t.Errorf("%s: %T %v, want a ValueError", c.name, err, err)
		case c.want > 0 && !errors.Is(err, c.want):
			t.Errorf("%s: %v, want %s", c.name, err, c.want.Name())
		case c.want == 0 && (!errors.As(err, &se) || se.Errno != 0):
			t.Errorf("%s: %v, want a text without a number", c.name, err)
		}
	}
	if got := nextFd(t, a); got != before {
		t.Errorf("the next descriptor is %d, it was %d", got, before)
	}
	if n, err := y.Recv(100, MSG_DONTWAIT); !errors.Is(err, endpoint.EAGAIN) {
		t.Errorf("%d bytes arrived, %v", len(n), err)
	}
	check(t, x.Sendall([]byte("works")))
	if data, err := y.Recv(5, MSG_WAITALL); string(data) != "works" || err != nil {
		t.Errorf("%q, %v", data, err)
	}
	_ = foreign
}

// optionSockets are a socket of each kind that has options of its own.
func optionSockets(t testing.TB, n *Net) map[string]func() *Socket {
	kind := func(family, typ int) func() *Socket {
		return func() *Socket {
			s, err := n.Socket(family, typ, 0)
			check(t, err)
			return s
		}
	}
	return map[string]func() *Socket{
		"TCP": kind(AF_INET, SOCK_STREAM), "TCP over IPv6": kind(AF_INET6, SOCK_STREAM),
		"UDP": kind(AF_INET, SOCK_DGRAM), "UDP over IPv6": kind(AF_INET6, SOCK_DGRAM),
		"unix stream": kind(AF_UNIX, SOCK_STREAM), "unix datagrams": kind(AF_UNIX, SOCK_DGRAM),
	}
}

// step is 1; the race detector, which is slow, sees fewer of the longer lengths.
func step(size int) int {
	if raceEnabled && size >= 20 {
		return 59
	}
	return 1
}

var optionLevels = []int{SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE, SOL_RAW, IPPROTO_ICMPV6, 9999, -1}

// TestOptionBuffers reads and sets every option with buffers of every length from
// 0 to 256, of zeroes and of ones. Nothing panics, and a refusal has a number.
func TestOptionBuffers(t *testing.T) {
	n := host(t)
	for name, make1 := range optionSockets(t, n) {
		s := make1()
		for _, level := range optionLevels {
			for option := -1; option < 90; option++ {
				if n, err := s.GetsockoptBytes(level, option, 256); err != nil && errnoOf(err) == 0 || len(n) > 256 {
					t.Errorf("%s: get %d, %d: %v", name, level, option, err)
				}
				for _, fill := range []byte{0, 0xff} {
					value := make([]byte, 256)
					for i := range value {
						value[i] = fill
					}
					for size := 0; size <= 256; size += step(size) {
						err := s.SetsockoptBytes(level, option, value[:size])
						if err != nil && errnoOf(err) == 0 {
							t.Errorf("%s: set %d, %d to %d bytes: %v", name, level, option, size, err)
						}
						if got, err := s.GetsockoptInto(level, option, bytes.Clone(value[:size])); err != nil && errnoOf(err) == 0 || got > size {
							t.Errorf("%s: get %d, %d into %d bytes: %d, %v", name, level, option, size, got, err)
						}
						if errnoOf(err) == endpoint.ENOPROTOOPT {
							break // no such option, whatever the length
						}
					}
				}
				for size := 1; size <= 256; size += step(size) {
					got, err := s.GetsockoptBytes(level, option, size)
					if err != nil && errnoOf(err) == 0 || len(got) > size {
						t.Errorf("%s: get %d, %d of %d bytes: %d, %v", name, level, option, size, len(got), err)
					}
					if errnoOf(err) == endpoint.ENOPROTOOPT {
						break
					}
				}
			}
		}
		s.Close()
	}
}

// FuzzCalls makes calls of any bytes on a few sockets: of 4 bytes each, the
// call, the socket and two arguments. None may panic or wait, and each error has
// a number or is a ValueError.
func FuzzCalls(f *testing.F) {
	f.Add([]byte{0, 0, 1, 2, 1, 1, 200, 3, 2, 2, 0, 0, 3, 3, 255, 255})
	f.Add([]byte{10, 4, 1, 1, 11, 4, 0, 9, 12, 5, 3, 3, 13, 0, 0, 0})
	f.Add([]byte{4, 0, 0, 0, 5, 0, 8, 0, 6, 1, 7, 7, 7, 2, 1, 1, 8, 3, 3, 3, 9, 4, 4, 4})
	f.Fuzz(func(t *testing.T, program []byte) {
		n := host(t)
		var sockets []*Socket
		for _, k := range [][2]int{{AF_INET, SOCK_STREAM}, {AF_INET6, SOCK_STREAM}, {AF_INET, SOCK_DGRAM}, {AF_INET6, SOCK_DGRAM}, {AF_UNIX, SOCK_DGRAM}} {
			sockets = append(sockets, open(t, n, k[0], k[1]|SOCK_NONBLOCK))
		}
		p, q := pair(t, n, SOCK_STREAM)
		check(t, p.Setblocking(false))
		check(t, q.Setblocking(false))
		sockets = append(sockets, p, q)
		poller := n.Poller()
		defer poller.Close()
		for ; len(program) >= 4; program = program[4:] {
			s := sockets[int(program[1])%len(sockets)]
			x, y := int(int8(program[2])), int(int8(program[3]))
			if err := fuzzCall(n, s, poller, program[0], x, y); err != nil {
				var ve *ValueError
				var ge *Gaierror
				if errnoOf(err) == 0 && !errors.As(err, &ve) && !errors.As(err, &ge) && !strings.Contains(err.Error(), "out of range") {
					t.Fatalf("call %v: %T %v has no number", program[:4], err, err)
				}
			}
		}
	})
}

func fuzzCall(n *Net, s *Socket, poller *Poller, call byte, x, y int) error {
	addrs := []Addr{nil, InetAddr{"127.0.0.1", y}, Inet6Addr{Host: "::1", Port: y, ScopeID: uint32(x)}, UnixAddr{string(rune(y))},
		UnixAddr{strings.Repeat("x", max(y, 0))}, UnspecAddr{}, NetlinkAddr{}, InetAddr{"", 0}, Inet6Addr{}}
	addr := addrs[(x&0xff)%len(addrs)]
	data := make([]byte, max(0, y))
	control, _ := PackControl([]Ancillary{{x, y, data}, Rights(x, y), PktInfo4{Ifindex: x, Addr: netip.IPv4Unspecified()}.Ancillary()})
	flags := 1 << (x & 31)
	switch call % 30 {
	case 0:
		return s.Bind(addr)
	case 1:
		return s.Listen(x)
	case 2:
		return s.Connect(addr)
	case 3:
		c, _, err := s.Accept()
		if err == nil {
			c.Close()
		}
		return err
	case 4:
		return second(s.Send(data, flags))
	case 5:
		return second(s.Sendto(data, addr, flags))
	case 6:
		return second(s.Sendmsg([][]byte{data, nil}, []Ancillary{{x, y, data}}, flags, addr))
	case 7:
		return second(s.SendmsgControl([][]byte{data}, control[:max(0, len(control)-max(0, y))], flags, addr))
	case 8:
		return second(s.Recv(x, flags|MSG_DONTWAIT))
	case 9:
		return third(s.Recvfrom(x, flags))
	case 10:
		_, items, _, _, err := s.Recvmsg(x, y, flags)
		for _, it := range items {
			fds, _ := it.Rights()
			for _, fd := range fds {
				n.CloseFd(fd)
			}
		}
		return err
	case 11:
		_, _, _, _, err := s.RecvmsgControl([][]byte{data}, control, flags)
		return err
	case 12:
		return second(s.GetsockoptBytes(x, y, x))
	case 13:
		return s.SetsockoptBytes(optionLevels[(x&0xff)%len(optionLevels)], y, data)
	case 14:
		if optionLevels[(x&0xff)%len(optionLevels)] == SOL_SOCKET && y == SO_LINGER {
			return nil // a close would wait
		}
		return s.Setsockopt(optionLevels[(x&0xff)%len(optionLevels)], y, x*y)
	case 15:
		return s.Shutdown(x)
	case 16:
		return poller.Add(x, uint32(y), nil)
	case 17:
		return poller.Modify(x, uint32(y)<<24, nil)
	case 18:
		return poller.Remove(x)
	case 19:
		return second(poller.Wait(make([]PollerEvent, max(0, x)), 0))
	case 20:
		return second(s.Wait(x, 0))
	case 21:
		return second(n.Ioctl(x, []int{FIONREAD, SIOCOUTQ, SIOCATMARK, y}[x&3], y))
	case 22:
		return second(n.Fcntl(x, []int{F_GETFL, F_GETFD, F_SETFD, y}[x&3]&^F_SETFL, y))
	case 23:
		return second(s.Getpeername())
	case 24:
		return second(s.Getsockname())
	case 25:
		return second(n.Socket(x, y, x*y))
	case 26:
		return second(s.Sendmmsg([]Message{{Bufs: [][]byte{data}, Addr: addr}, {}}, flags))
	case 27:
		return second(s.Recvmmsg([]Message{{Bufs: [][]byte{data}, Ancbufsize: x}, {}}, time.Duration(y), flags))
	case 28:
		return second(s.SendFds([][]byte{data}, []int{x, y}, flags, nil))
	default:
		_, err := n.IfIndextoname(x)
		return err
	}
}
