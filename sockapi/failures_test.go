package sockapi_test

import (
	"errors"
	"math/bits"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	. "usersock/sockapi"
	e "usersock/stack/endpoint"
)

// failure is one call that must fail, and how.
type failure struct {
	name  string
	errno Errno  // 0: a ValueError, a Gaierror or a text without a number
	text  string // the whole text
	host  syscall.Errno
	call  func(f *field) error
}

// field is what the calls fail on.
type field struct {
	t       *testing.T
	a, b    *Net
	tcp     *Socket // new
	tcp6    *Socket // new
	udp     *Socket // new
	unix    *Socket // new
	conn    *Socket // connected to peer
	peer    *Socket
	bound   *Socket // TCP, bound to 192.0.2.1:7000
	listens *Socket // TCP on 192.0.2.2:7001
	closed  *Socket
}

func newField(t *testing.T) *field {
	f := &field{t: t}
	f.a, f.b = hosts(t)
	f.tcp, f.tcp6 = open(t, f.a, AF_INET, SOCK_STREAM), open(t, f.a, AF_INET6, SOCK_STREAM)
	f.udp, f.unix = open(t, f.a, AF_INET, SOCK_DGRAM), open(t, f.a, AF_UNIX, SOCK_STREAM)
	f.conn, f.peer = connected(t, f.a, f.b, InetAddr{"192.0.2.2", 0})
	f.bound = open(t, f.a, AF_INET, SOCK_STREAM)
	check(t, f.bound.Bind(InetAddr{"192.0.2.1", 7000}))
	f.listens = listener(t, f.b, InetAddr{"192.0.2.2", 7001})
	f.closed = open(t, f.a, AF_INET, SOCK_STREAM)
	f.closed.Close()
	return f
}

type foreignAddr struct{}

func (foreignAddr) Family() int    { return AF_INET }
func (foreignAddr) String() string { return "foreign" }

func second[T any](_ T, err error) error        { return err }
func third[T, U any](_ T, _ U, err error) error { return err }

// tooLarge is no C int; on a machine where int has 32 bits there is none.
var tooLarge = int64(1) << 32

var long = strings.Repeat("x", 108)

var failures = []failure{
	// Making sockets.
	{"socket of an unknown family", e.EAFNOSUPPORT, "socket: Address family not supported by protocol", syscall.EAFNOSUPPORT,
		func(f *field) error { return second(f.a.Socket(99, SOCK_STREAM, 0)) }},
	{"socket of a family not served", e.EAFNOSUPPORT, "socket: Address family not supported by protocol", syscall.EAFNOSUPPORT,
		func(f *field) error { return second(f.a.Socket(AF_PACKET, SOCK_STREAM, 0)) }},
	{"socket of a negative family", e.EAFNOSUPPORT, "socket: Address family not supported by protocol", syscall.EAFNOSUPPORT,
		func(f *field) error { return second(f.a.Socket(-1, SOCK_STREAM, 0)) }},
	{"socket of type RDM", e.ESOCKTNOSUPPORT, "socket: Socket type not supported", syscall.ESOCKTNOSUPPORT,
		func(f *field) error { return second(f.a.Socket(AF_INET, SOCK_RDM, 0)) }},
	{"socket of type SEQPACKET over IP", e.ESOCKTNOSUPPORT, "socket: Socket type not supported", syscall.ESOCKTNOSUPPORT,
		func(f *field) error { return second(f.a.Socket(AF_INET, SOCK_SEQPACKET, 0)) }},
	{"socket of a type out of range", e.EINVAL, "socket: Invalid argument", syscall.EINVAL,
		func(f *field) error { return second(f.a.Socket(AF_INET, 11, 0)) }},
	{"socket of a negative type", e.EINVAL, "socket: Invalid argument", syscall.EINVAL,
		func(f *field) error { return second(f.a.Socket(AF_INET, -1, 0)) }},
	{"stream socket of protocol UDP", e.EPROTONOSUPPORT, "socket: Protocol not supported", syscall.EPROTONOSUPPORT,
		func(f *field) error { return second(f.a.Socket(AF_INET, SOCK_STREAM, IPPROTO_UDP)) }},
	{"datagram socket of protocol TCP", e.EPROTONOSUPPORT, "socket: Protocol not supported", syscall.EPROTONOSUPPORT,
		func(f *field) error { return second(f.a.Socket(AF_INET6, SOCK_DGRAM, IPPROTO_TCP)) }},
	{"AF_UNIX socket of protocol TCP", e.EPROTONOSUPPORT, "socket: Protocol not supported", syscall.EPROTONOSUPPORT,
		func(f *field) error { return second(f.a.Socket(AF_UNIX, SOCK_STREAM, IPPROTO_TCP)) }},
	{"pair of TCP sockets", e.EOPNOTSUPP, "socketpair: Operation not supported", syscall.EOPNOTSUPP,
		func(f *field) error { return third(f.a.Socketpair(AF_INET, SOCK_STREAM, 0)) }},
	{"pair of an unknown family", e.EAFNOSUPPORT, "socketpair: Address family not supported by protocol", syscall.EAFNOSUPPORT,
		func(f *field) error { return third(f.a.Socketpair(99, SOCK_STREAM, 0)) }},
	{"fromfd of nothing", e.EBADF, "fromfd: Bad file descriptor", syscall.EBADF,
		func(f *field) error { return second(f.a.Fromfd(99, AF_INET, SOCK_STREAM, 0)) }},
	{"fromfd of a negative number", e.EBADF, "fromfd: Bad file descriptor", syscall.EBADF,
		func(f *field) error { return second(f.a.Fromfd(-1, AF_INET, SOCK_STREAM, 0)) }},
	{"close of nothing", e.EBADF, "close: Bad file descriptor", syscall.EBADF,
		func(f *field) error { return f.a.CloseFd(99) }},
	{"dup of nothing", e.EBADF, "dup: Bad file descriptor", syscall.EBADF,
		func(f *field) error { return second(f.a.DupFd(99)) }},
	{"dup of a closed socket", e.EBADF, "dup: Bad file descriptor", syscall.EBADF,
		func(f *field) error { return second(f.closed.Dup()) }},

	// Binding and listening.
	{"bind twice", e.EINVAL, "bind 192.0.2.1:7009: Invalid argument", syscall.EINVAL,
		func(f *field) error { return f.bound.Bind(InetAddr{"192.0.2.1", 7009}) }},
	{"bind to a port in use", e.EADDRINUSE, "bind 192.0.2.1:7000: Address already in use", syscall.EADDRINUSE,
		func(f *field) error { return f.tcp.Bind(InetAddr{"192.0.2.1", 7000}) }},
	{"bind to a port in use by any address", e.EADDRINUSE, "bind :7000: Address already in use", syscall.EADDRINUSE,
		func(f *field) error { return f.tcp.Bind(InetAddr{"", 7000}) }},
	{"bind to a foreign address", e.EADDRNOTAVAIL, "bind 198.51.100.1:80: Cannot assign requested address", syscall.EADDRNOTAVAIL,
		func(f *field) error { return f.tcp.Bind(InetAddr{"198.51.100.1", 80}) }},
	{"bind to a foreign IPv6 address", e.EADDRNOTAVAIL, "bind [2001:db8::99]:80: Cannot assign requested address", syscall.EADDRNOTAVAIL,
		func(f *field) error { return f.tcp6.Bind(Inet6Addr{Host: "2001:db8::99", Port: 80}) }},
	{"bind to a link-local address without scope", e.EINVAL, "bind [fe80::1]:80: Invalid argument", syscall.EINVAL,
		func(f *field) error { return f.tcp6.Bind(Inet6Addr{Host: "fe80::1", Port: 80}) }},
	{"bind to another family's address", e.EAFNOSUPPORT, "bind [2001:db8::1]:80: Address family not supported by protocol", syscall.EAFNOSUPPORT,
		func(f *field) error { return f.tcp.Bind(Inet6Addr{Host: "2001:db8::1", Port: 80}) }},
	{"bind to a path", e.EAFNOSUPPORT, "bind /run/x: Address family not supported by protocol", syscall.EAFNOSUPPORT,
		func(f *field) error { return f.tcp6.Bind(UnixAddr{"/run/x"}) }},
	{"bind of AF_UNIX to an IP", e.EAFNOSUPPORT, "bind 192.0.2.1:80: Address family not supported by protocol", syscall.EAFNOSUPPORT,
		func(f *field) error { return f.unix.Bind(InetAddr{"192.0.2.1", 80}) }},
	{"bind to a netlink address", e.EAFNOSUPPORT, "bind netlink (1, 0x0): Address family not supported by protocol", syscall.EAFNOSUPPORT,
		func(f *field) error { return f.tcp.Bind(NetlinkAddr{Pid: 1}) }},
	{"bind to nil", 0, "bind: the address is nil", 0,
		func(f *field) error { return f.tcp.Bind(nil) }},
	{"bind to a foreign type", 0, "bind: sockapi_test.foreignAddr is no socket address", 0,
		func(f *field) error { return f.tcp.Bind(foreignAddr{}) }},
	{"bind to a negative port", 0, "bind: port must be 0-65535.", 0,
		func(f *field) error { return f.tcp.Bind(InetAddr{"", -1}) }},
	{"bind to a port too large", 0, "bind: port must be 0-65535.", 0,
		func(f *field) error { return f.tcp6.Bind(Inet6Addr{Port: 65536}) }},
	{"bind with a flowinfo too large", 0, "bind: flowinfo must be 0-1048575", 0,
		func(f *field) error { return f.tcp6.Bind(Inet6Addr{Flowinfo: 1 << 20}) }},
	{"bind to a path too long", 0, "bind: AF_UNIX path too long", 0,
		func(f *field) error { return f.unix.Bind(UnixAddr{long}) }},
	{"bind to a path with a NUL byte", 0, "bind: embedded null byte", 0,
		func(f *field) error { return f.unix.Bind(UnixAddr{"a\x00b"}) }},
	{"bind to a name that does not exist", EAI_NONAME, "", 0,
		func(f *field) error { return f.tcp.Bind(InetAddr{"nothing.invalid", 80}) }},
	{"bind to <broadcast> over IPv6", 0, "bind <broadcast>:0: address family mismatched", 0,
		func(f *field) error { return f.tcp6.Bind(Inet6Addr{Host: "<broadcast>"}) }},
	{"bind of a closed socket", e.EBADF, "bind :0: Bad file descriptor", syscall.EBADF,
		func(f *field) error { return f.closed.Bind(InetAddr{}) }},
	{"listen on a datagram socket", e.EOPNOTSUPP, "listen: Operation not supported", syscall.EOPNOTSUPP,
		func(f *field) error { return f.udp.Listen(1) }},
	{"listen on a connected socket", e.EINVAL, "listen: Invalid argument", syscall.EINVAL,
		func(f *field) error { return f.conn.Listen(1) }},
	{"listen of AF_UNIX without a name", e.EINVAL, "listen: Invalid argument", syscall.EINVAL,
		func(f *field) error { return f.unix.Listen(1) }},
	{"accept without listen", e.EINVAL, "accept: Invalid argument", syscall.EINVAL,
		func(f *field) error { return third(f.bound.Accept()) }},
	{"accept on a datagram socket", e.EOPNOTSUPP, "accept: Operation not supported", syscall.EOPNOTSUPP,
		func(f *field) error { return third(f.udp.Accept()) }},
	{"accept with nobody there", e.EAGAIN, "accept: Resource temporarily unavailable", syscall.EAGAIN,
		func(f *field) error { f.listens.Setblocking(false); return third(f.listens.Accept()) }},
	{"accept that times out", 0, "accept: timed out", 0,
		func(f *field) error { f.listens.Settimeout(time.Millisecond); return third(f.listens.Accept()) }},

	// Connecting.
	{"connect refused", e.ECONNREFUSED, "connect 192.0.2.2:80: Connection refused", syscall.ECONNREFUSED,
		func(f *field) error { return f.tcp.Connect(InetAddr{"192.0.2.2", 80}) }},
	{"connect refused over IPv6", e.ECONNREFUSED, "connect [2001:db8::2]:80: Connection refused", syscall.ECONNREFUSED,
		func(f *field) error { return f.tcp6.Connect(Inet6Addr{Host: "2001:db8::2", Port: 80}) }},
	{"connect refused on loopback", e.ECONNREFUSED, "connect 127.0.0.1:80: Connection refused", syscall.ECONNREFUSED,
		func(f *field) error { return f.tcp.Connect(InetAddr{"127.0.0.1", 80}) }},
	{"connect without a route", e.ENETUNREACH, "connect 198.51.100.1:80: Network is unreachable", syscall.ENETUNREACH,
		func(f *field) error { return f.tcp.Connect(InetAddr{"198.51.100.1", 80}) }},
	{"connect without a route over IPv6", e.ENETUNREACH, "connect [2001:db8:1::1]:80: Network is unreachable", syscall.ENETUNREACH,
		func(f *field) error { return f.tcp6.Connect(Inet6Addr{Host: "2001:db8:1::1", Port: 80}) }},
	{"connect again", e.EISCONN, "connect 192.0.2.2:7001: Transport endpoint is already connected", syscall.EISCONN,
		func(f *field) error { return f.conn.Connect(InetAddr{"192.0.2.2", 7001}) }},
	{"connect in progress", e.EINPROGRESS, "connect 192.0.2.99:80: Operation now in progress", syscall.EINPROGRESS,
		func(f *field) error { f.tcp.Setblocking(false); return f.tcp.Connect(InetAddr{"192.0.2.99", 80}) }},
	{"connect already", e.EALREADY, "connect 192.0.2.99:80: Operation already in progress", syscall.EALREADY,
		func(f *field) error {
			f.tcp.Setblocking(false)
			f.tcp.Connect(InetAddr{"192.0.2.99", 80})
			return f.tcp.Connect(InetAddr{"192.0.2.99", 80})
		}},
	{"connect that times out", 0, "connect 192.0.2.99:80: timed out", 0,
		func(f *field) error {
			f.tcp.Settimeout(time.Millisecond)
			return f.tcp.Connect(InetAddr{"192.0.2.99", 80})
		}},
	{"connect to another family's address", e.EAFNOSUPPORT, "connect 192.0.2.2:80: Address family not supported by protocol", syscall.EAFNOSUPPORT,
		func(f *field) error { return f.tcp6.Connect(InetAddr{"192.0.2.2", 80}) }},
	{"connect to a negative port", 0, "connect: port must be 0-65535.", 0,
		func(f *field) error { return f.tcp.Connect(InetAddr{"192.0.2.2", -1}) }},
	{"connect to nil", 0, "connect: the address is nil", 0,
		func(f *field) error { return f.udp.Connect(nil) }},
	{"connect of a listening socket", e.EISCONN, "connect 192.0.2.1:80: Transport endpoint is already connected", syscall.EISCONN,
		func(f *field) error { return f.listens.Connect(InetAddr{"192.0.2.1", 80}) }},
	{"connect to broadcast without permission", e.EACCES, "connect 192.0.2.255:80: Permission denied", syscall.EACCES,
		func(f *field) error { return f.udp.Connect(InetAddr{"192.0.2.255", 80}) }},
	{"connect to <broadcast> without a route", e.ENETUNREACH, "connect <broadcast>:80: Network is unreachable", syscall.ENETUNREACH,
		func(f *field) error { return f.udp.Connect(InetAddr{"<broadcast>", 80}) }},
	{"connect to a path that is not there", e.ENOENT, "connect /run/none: No such file or directory", syscall.ENOENT,
		func(f *field) error { return f.unix.Connect(UnixAddr{"/run/none"}) }},
	{"connect to an abstract name that is not there", e.ECONNREFUSED, "connect @none: Connection refused", syscall.ECONNREFUSED,
		func(f *field) error { return f.unix.Connect(UnixAddr{"\x00none"}) }},
	{"connect of a closed socket", e.EBADF, "connect 192.0.2.2:80: Bad file descriptor", syscall.EBADF,
		func(f *field) error { return f.closed.Connect(InetAddr{"192.0.2.2", 80}) }},
	{"create_connection refused", e.ECONNREFUSED, "connect 192.0.2.2:80: Connection refused", syscall.ECONNREFUSED,
		func(f *field) error { return second(f.a.CreateConnection(InetAddr{"192.0.2.2", 80}, Forever, nil)) }},
	{"create_connection from a foreign address", e.EADDRNOTAVAIL, "bind 198.51.100.1:0: Cannot assign requested address", syscall.EADDRNOTAVAIL,
		func(f *field) error {
			return second(f.a.CreateConnection(InetAddr{"192.0.2.2", 7001}, Forever, InetAddr{"198.51.100.1", 0}))
		}},
	{"create_connection with a negative timeout", 0, "create_connection: timeout value out of range", 0,
		func(f *field) error { return second(f.a.CreateConnection(InetAddr{"192.0.2.2", 7001}, -5, nil)) }},

	// Names and shutdown.
	{"getpeername without a peer", e.ENOTCONN, "getpeername: Transport endpoint is not connected", syscall.ENOTCONN,
		func(f *field) error { return second(f.tcp.Getpeername()) }},
	{"getpeername of a datagram socket", e.ENOTCONN, "getpeername: Transport endpoint is not connected", syscall.ENOTCONN,
		func(f *field) error { return second(f.udp.Getpeername()) }},
	{"getsockname of a closed socket", e.EBADF, "getsockname: Bad file descriptor", syscall.EBADF,
		func(f *field) error { return second(f.closed.Getsockname()) }},
	{"shutdown without a connection", e.ENOTCONN, "shutdown: Transport endpoint is not connected", syscall.ENOTCONN,
		func(f *field) error { return f.tcp.Shutdown(SHUT_RDWR) }},
	{"shutdown of an unconnected datagram socket", e.ENOTCONN, "shutdown: Transport endpoint is not connected", syscall.ENOTCONN,
		func(f *field) error { return f.udp.Shutdown(SHUT_WR) }},
	{"shutdown in an unknown way", e.EINVAL, "shutdown: Invalid argument", syscall.EINVAL,
		func(f *field) error { return f.conn.Shutdown(3) }},
	{"shutdown in a negative way", e.EINVAL, "shutdown: Invalid argument", syscall.EINVAL,
		func(f *field) error { return f.conn.Shutdown(-1) }},

	// Moving bytes.
	{"send without a connection", e.EPIPE, "send: Broken pipe", syscall.EPIPE,
		func(f *field) error { return second(f.tcp.Send([]byte("x"))) }},
	{"send of a datagram to nobody", e.EDESTADDRREQ, "send: Destination address required", syscall.EDESTADDRREQ,
		func(f *field) error { return second(f.udp.Send([]byte("x"))) }},
	{"send after shutdown", e.EPIPE, "send: Broken pipe", syscall.EPIPE,
		func(f *field) error { check(f.t, f.peer.Shutdown(SHUT_WR)); return second(f.peer.Send([]byte("x"))) }},
	{"sendall of AF_UNIX without a connection", e.ENOTCONN, "sendall: Transport endpoint is not connected", syscall.ENOTCONN,
		func(f *field) error { return f.unix.Sendall([]byte("x")) }},
	{"datagram too long", e.EMSGSIZE, "sendto 192.0.2.2:9: Message too long", syscall.EMSGSIZE,
		func(f *field) error { return second(f.udp.Sendto(make([]byte, 65508), InetAddr{"192.0.2.2", 9})) }},
	{"datagram without a route", e.ENETUNREACH, "sendto 198.51.100.1:9: Network is unreachable", syscall.ENETUNREACH,
		func(f *field) error { return second(f.udp.Sendto([]byte("x"), InetAddr{"198.51.100.1", 9})) }},
	{"broadcast without permission", e.EACCES, "sendto 192.0.2.255:9: Permission denied", syscall.EACCES,
		func(f *field) error { return second(f.udp.Sendto([]byte("x"), InetAddr{"192.0.2.255", 9})) }},
	{"sendto nil", 0, "sendto: the address is nil", 0,
		func(f *field) error { return second(f.udp.Sendto([]byte("x"), nil)) }},
	{"sendto another family", e.EAFNOSUPPORT, "sendto [::1]:9: Address family not supported by protocol", syscall.EAFNOSUPPORT,
		func(f *field) error { return second(f.udp.Sendto([]byte("x"), Inet6Addr{Host: "::1", Port: 9})) }},
	{"recv without a connection", e.ENOTCONN, "recv: Transport endpoint is not connected", syscall.ENOTCONN,
		func(f *field) error { return second(f.tcp.Recv(1)) }},
	{"recv of AF_UNIX without a connection", e.EINVAL, "recv: Invalid argument", syscall.EINVAL,
		func(f *field) error { return second(f.unix.Recv(1)) }},
	{"recv with nothing there", e.EAGAIN, "recv: Resource temporarily unavailable", syscall.EAGAIN,
		func(f *field) error { return second(f.conn.Recv(1, MSG_DONTWAIT)) }},
	{"recv that times out", 0, "recv: timed out", 0,
		func(f *field) error { f.conn.Settimeout(time.Millisecond); return second(f.conn.Recv(1)) }},
	{"recv of a negative size", 0, "recv: negative buffersize in recv", 0,
		func(f *field) error { return second(f.conn.Recv(-1)) }},
	{"recvfrom of a negative size", 0, "recvfrom: negative buffersize in recvfrom", 0,
		func(f *field) error { return third(f.udp.Recvfrom(-1)) }},
	{"recv_into of a negative size", 0, "recv_into: negative buffersize in recv_into", 0,
		func(f *field) error { return second(f.conn.RecvInto(make([]byte, 4), -1)) }},
	{"recv_into of more than the buffer", 0, "recv_into: nbytes is greater than the length of the buffer", 0,
		func(f *field) error { return second(f.conn.RecvInto(make([]byte, 4), 5)) }},
	{"recvfrom_into of more than the buffer", 0, "recvfrom_into: nbytes is greater than the length of the buffer", 0,
		func(f *field) error { return third(f.conn.RecvfromInto(make([]byte, 4), 5)) }},
	{"recv of urgent data", e.EINVAL, "recv: Invalid argument", syscall.EINVAL,
		func(f *field) error { return second(f.conn.Recv(1, MSG_OOB)) }},
	{"recv after a reset", e.ECONNRESET, "recv: Connection reset by peer", syscall.ECONNRESET,
		func(f *field) error {
			check(f.t, f.peer.SetsockoptBytes(SOL_SOCKET, SO_LINGER, []byte{1, 0, 0, 0, 0, 0, 0, 0}))
			check(f.t, f.peer.Close())
			return second(f.conn.Recv(1))
		}},
	{"recv of a port that nobody has", e.ECONNREFUSED, "recv: Connection refused", syscall.ECONNREFUSED,
		func(f *field) error {
			check(f.t, f.udp.Connect(InetAddr{"192.0.2.2", 9}))
			if err := second(f.udp.Send([]byte("x"))); err != nil {
				return err
			}
			return second(f.udp.Recv(1))
		}},

	// Options and modes.
	{"option unknown", e.ENOPROTOOPT, "getsockopt: Protocol not available", syscall.ENOPROTOOPT,
		func(f *field) error { return second(f.tcp.Getsockopt(SOL_SOCKET, 999)) }},
	{"option unknown to set", e.ENOPROTOOPT, "setsockopt: Protocol not available", syscall.ENOPROTOOPT,
		func(f *field) error { return f.tcp.Setsockopt(IPPROTO_TCP, 999, 1) }},
	{"option that is read-only", e.ENOPROTOOPT, "setsockopt: Protocol not available", syscall.ENOPROTOOPT,
		func(f *field) error { return f.tcp.Setsockopt(SOL_SOCKET, SO_TYPE, 1) }},
	{"option of a short buffer", e.EINVAL, "setsockopt: Invalid argument", syscall.EINVAL,
		func(f *field) error { return f.tcp.SetsockoptBytes(SOL_SOCKET, SO_REUSEADDR, []byte{1}) }},
	{"option of a bad value", e.EINVAL, "setsockopt: Invalid argument", syscall.EINVAL,
		func(f *field) error { return f.tcp.Setsockopt(IPPROTO_IP, IP_TTL, 256) }},
	{"option of None and a length", e.EFAULT, "setsockopt: Bad address", syscall.EFAULT,
		func(f *field) error { return f.tcp.SetsockoptNone(SOL_SOCKET, SO_REUSEADDR, 4) }},
	{"getsockopt of a negative length", 0, "getsockopt: getsockopt buflen out of range", 0,
		func(f *field) error { return second(f.tcp.GetsockoptBytes(SOL_SOCKET, SO_TYPE, -1)) }},
	{"getsockopt of too long a buffer", 0, "getsockopt: getsockopt buflen out of range", 0,
		func(f *field) error { return second(f.tcp.GetsockoptBytes(SOL_SOCKET, SO_TYPE, 1025)) }},
	{"V6ONLY after bind", e.EINVAL, "setsockopt: Invalid argument", syscall.EINVAL,
		func(f *field) error {
			check(f.t, f.tcp6.Bind(Inet6Addr{}))
			return f.tcp6.Setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1)
		}},
	{"V6ONLY of an IPv4 socket", e.ENOPROTOOPT, "setsockopt: Protocol not available", syscall.ENOPROTOOPT,
		func(f *field) error { return f.tcp.Setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1) }},
	{"a value beyond a C int", 0, "setsockopt: the value does not fit a C int", 0,
		func(f *field) error { return f.tcp.Setsockopt(SOL_SOCKET, SO_REUSEADDR, int(tooLarge)) }},
	{"a negative timeout", 0, "settimeout: timeout value out of range", 0,
		func(f *field) error { return f.tcp.Settimeout(-2 * time.Second) }},
	{"a negative default timeout", 0, "setdefaulttimeout: timeout value out of range", 0,
		func(f *field) error { return f.a.Setdefaulttimeout(-2) }},
	{"a host name too long", e.EINVAL, "sethostname: ", syscall.EINVAL,
		func(f *field) error { return f.a.Sethostname(strings.Repeat("x", 65)) }},
}

// TestFailures makes each call of the table and looks at the error from every
// side; the failed call has opened nothing.
func TestFailures(t *testing.T) {
	for _, c := range failures {
		t.Run(c.name, func(t *testing.T) {
			if strings.Contains(c.name, "C int") && bits.UintSize == 32 {
				t.Skip("every int is a C int on this machine")
			}
			f := newField(t)
			before := nextFd(t, f.a)
			err := c.call(f)
			if err == nil {
				t.Fatal("no error")
			}
			if fd := nextFd(t, f.a); fd != before {
				t.Errorf("the next descriptor is %d, it was %d: something was left open", fd, before)
			}
			if c.text != "" && !strings.HasPrefix(err.Error(), c.text) || strings.HasSuffix(err.Error(), "\n") {
				t.Errorf("text %q, want %q", err, c.text)
			}
			var se *Error
			var ve *ValueError
			var ge *Gaierror
			switch {
			case c.errno < 0:
				if !errors.As(err, &ge) || ge.Code != int(c.errno) {
					t.Errorf("%T %v, want a Gaierror with code %d", err, err, c.errno)
				}
			case c.errno > 0:
				if !errors.As(err, &se) || se.Errno != c.errno || se.Op == "" {
					t.Errorf("%T %v, want an Error with %s", err, err, c.errno.Name())
				}
				if !errors.Is(err, c.errno) || !errors.Is(err, c.host) {
					t.Errorf("%v is not %s, or not the host's", err, c.errno.Name())
				}
				if errors.Is(err, e.ENOTTY) || errors.Is(err, syscall.ENOTTY) {
					t.Errorf("%v is any number", err)
				}
				if errors.Is(err, net.ErrClosed) != (c.errno == e.EBADF && strings.Contains(c.name, "closed")) {
					t.Errorf("%v: net.ErrClosed is %v", err, errors.Is(err, net.ErrClosed))
				}
			case strings.HasSuffix(c.text, "timed out"):
				if !errors.Is(err, ErrTimeout) || errors.Is(err, e.ETIMEDOUT) || !errors.As(err, &se) || !se.Timeout() {
					t.Errorf("%v is no timeout", err)
				}
			case errors.As(err, &ve):
				if !errors.Is(err, e.EINVAL) {
					t.Errorf("%v is not EINVAL", err)
				}
			case !errors.As(err, &se) || se.Errno != 0:
				t.Errorf("%T %v, want a ValueError or an Error without a number", err, err)
			}
		})
	}
}

// nextFd is the lowest free descriptor.
func nextFd(t *testing.T, n *Net) int {
	s, err := n.Socket(AF_INET, SOCK_DGRAM, 0)
	check(t, err)
	defer s.Close()
	return s.Fileno()
}
