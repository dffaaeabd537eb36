package differ

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"time"

	"usersock/sockapi"
	"usersock/stack/endpoint"
)

// sockets is what a sequence runs on: the calls of sockets(7), non-blocking at
// first.
// A handle stays valid for calls after close, which are EBADF.
type sockets interface {
	socket(family, typ, proto int) (handle, error)
	socketpair(family, typ, proto int) (a, b handle, err error)
	dup(h handle) (handle, error)
	bind(h handle, a endpoint.Addr) error
	connect(h handle, a endpoint.Addr) error // AF_UNSPEC dissolves
	listen(h handle, backlog int) error
	accept(h handle) (handle, endpoint.Addr, error)
	send(h handle, data []byte, flags int) (int, error)
	sendto(h handle, data []byte, flags int, to endpoint.Addr) (int, error)
	recvfrom(h handle, buf []byte, flags int) (int, endpoint.Addr, error)
	sendmsg(h handle, bufs [][]byte, items []item, flags int, to endpoint.Addr) (int, error) // AF_UNSPEC: the peer
	recvmsg(h handle, bufs [][]byte, control, flags int) (received, error)
	shutdown(h handle, how int) error
	close(h handle) error
	getsockname(h handle) (endpoint.Addr, error)
	getpeername(h handle) (endpoint.Addr, error)
	getsockopt(h handle, level, name int, buf []byte) (int, error)
	setsockopt(h handle, level, name int, value []byte) error
	ioctl(h handle, request int) (int, error) // one that yields an int
	unlink(path string) error
	blocking(h handle, on bool) error // O_NONBLOCK, which every socket begins with

	// poll is what poll(2) says at once, of all events.
	poll(h handle) int

	// await returns when one of the events may hold on the socket, or after d.
	await(h handle, events int, d time.Duration)

	// pathPrefix begins every path of the side, abstractPrefix every abstract
	// name behind its NUL.
	pathPrefix() string
	abstractPrefix() string

	// wire is the far end of the side's interface.
	wire() wire

	// silent adds an interface, an Ethernet on which nobody answers.
	silent() error

	// end closes what is left.
	end()
}

type handle int

// An item is one of ancillary data: bytes, or descriptors.
type item struct {
	level, typ int
	data       []byte
	handles    []handle // SCM_RIGHTS
	broken     bool     // what is sent says that it is longer than the control data
}

// received is what recvmsg(2) returns.
type received struct {
	n, flags int
	from     endpoint.Addr
	items    []item
}

// The addresses of both sides. The interface beside lo has no neighbour but
// the scripted one.
const (
	own4, own6       = "192.0.2.1", "2001:db8::1"
	silent4, silent6 = "203.0.113.1", "2001:db8:77::1" // of the silent interface
	router4, router6 = "192.0.2.2", "2001:db8::2"      // the way to
	distant4         = "198.51.100.129"
	distant6         = "2001:db8:cafe::9"
)

// allEvents are the events that a sequence notes.
const allEvents = sockapi.POLLIN | sockapi.POLLPRI | sockapi.POLLOUT | sockapi.POLLERR | sockapi.POLLHUP | sockapi.POLLRDHUP

// decode reads a socket address.
func decode(b []byte) endpoint.Addr {
	if len(b) < 2 {
		return endpoint.Addr{}
	}
	switch binary.NativeEndian.Uint16(b) {
	case endpoint.AF_INET:
		return endpoint.Addr{Family: endpoint.AF_INET, Port: binary.BigEndian.Uint16(b[2:]), IP: netip.AddrFrom4([4]byte(b[4:8]))}
	case endpoint.AF_INET6:
		return endpoint.Addr{Family: endpoint.AF_INET6, Port: binary.BigEndian.Uint16(b[2:]), Flowinfo: binary.BigEndian.Uint32(b[4:]),
			IP: netip.AddrFrom16([16]byte(b[8:24])), Scope: binary.NativeEndian.Uint32(b[24:])}
	case endpoint.AF_UNIX:
		path := b[2:]
		if len(path) > 0 && path[0] != 0 {
			for i, c := range path {
				if c == 0 {
					path = path[:i]
					break
				}
			}
		}
		return endpoint.Unix(string(path))
	}
	return endpoint.Addr{}
}

func eventsText(e int) string {
	if e == 0 {
		return "-"
	}
	var names []string
	for _, n := range []struct {
		e int
		n string
	}{{sockapi.POLLIN, "IN"}, {sockapi.POLLPRI, "PRI"}, {sockapi.POLLOUT, "OUT"}, {sockapi.POLLERR, "ERR"},
		{sockapi.POLLHUP, "HUP"}, {sockapi.POLLRDHUP, "RDHUP"}, {sockapi.POLLNVAL, "NVAL"}} {
		if e&n.e != 0 {
			names = append(names, n.n)
		}
	}
	return strings.Join(names, "|")
}

func parseEvents(text string) (e int) {
	for name := range strings.SplitSeq(text, "|") {
		switch name {
		case "IN":
			e |= sockapi.POLLIN
		case "PRI":
			e |= sockapi.POLLPRI
		case "OUT":
			e |= sockapi.POLLOUT
		case "ERR":
			e |= sockapi.POLLERR
		case "HUP":
			e |= sockapi.POLLHUP
		case "RDHUP":
			e |= sockapi.POLLRDHUP
		case "NVAL":
			e |= sockapi.POLLNVAL
		}
	}
	return e
}

// errText names an error by its errno.
func errText(err error) string {
	if err == nil {
		return "ok"
	}
	var e endpoint.Errno
	if errors.As(err, &e) && e != 0 {
		return e.Name()
	}
	if errors.Is(err, endpoint.EINVAL) { // a *ValueError
		return "EINVAL"
	}
	return err.Error()
}
