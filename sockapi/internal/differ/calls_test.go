package differ

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	"usersock/sockapi"
	"usersock/stack/endpoint"
)

// The calls of a script. Each is made, and written down with its result.

// open opens a socket: socket(2).
func (s *script) open(name string, family, typ, proto int) *sock {
	var k *sock
	s.step(fmt.Sprintf("%s = socket(%s, %s, %s)", name, familyText(family), typeText(typ), protoText(proto)), func() string {
		h, err := s.net.socket(family, typ, proto)
		k = s.add(name, h, typ == endpoint.SOCK_STREAM && family != endpoint.AF_UNIX)
		return errText(err)
	})
	return k
}

// stream opens a stream socket of the script's family, datagram a datagram one.
func (s *script) stream(name string) *sock   { return s.open(name, s.af, endpoint.SOCK_STREAM, 0) }
func (s *script) datagram(name string) *sock { return s.open(name, s.af, endpoint.SOCK_DGRAM, 0) }

// own opens a socket of the script's family and type.
func (s *script) own(name string) *sock { return s.open(name, s.af, s.typ, 0) }

// socketpair is socketpair(2).
func (s *script) socketpair(a, b string, family, typ, proto int) (ka, kb *sock) {
	s.step(fmt.Sprintf("%s, %s = socketpair(%s, %s, %s)", a, b, familyText(family), typeText(typ), protoText(proto)), func() string {
		ha, hb, err := s.net.socketpair(family, typ, proto)
		ka, kb = s.add(a, ha, false), s.add(b, hb, false)
		return errText(err)
	})
	return ka, kb
}

// on makes a call on a socket and notes it.
func (k *sock) on(call string, do func() string) {
	k.s.step(k.name+"."+call, func() string {
		if k.h < 0 {
			return "no socket"
		}
		return do()
	})
}

func (k *sock) bind(a endpoint.Addr) {
	k.on("bind("+k.s.addrText(a)+")", func() string { return errText(k.s.net.bind(k.h, a)) })
}

func (k *sock) connect(a endpoint.Addr) {
	text := k.s.addrText(a)
	if a.Family == endpoint.AF_UNSPEC {
		text = "AF_UNSPEC"
	}
	k.on("connect("+text+")", func() string { return errText(k.s.net.connect(k.h, a)) })
}

func (k *sock) listen(backlog int) {
	k.on(fmt.Sprintf("listen(%d)", backlog), func() string { return errText(k.s.net.listen(k.h, backlog)) })
}

func (k *sock) accept(name string) *sock {
	var n *sock
	k.s.step(fmt.Sprintf("%s = %s.accept()", name, k.name), func() string {
		n = k.s.add(name, -1, k.stream)
		if k.h < 0 {
			return "no socket"
		}
		h, from, err := k.s.net.accept(k.h)
		if err != nil {
			return errText(err)
		}
		n = k.s.add(name, h, k.stream)
		return "from " + k.s.addrText(from)
	})
	return n
}

func (k *sock) dup(name string) *sock {
	var n *sock
	k.s.step(fmt.Sprintf("%s = dup(%s)", name, k.name), func() string {
		h, err := k.s.net.dup(k.h)
		n = k.s.add(name, h, k.stream)
		return errText(err)
	})
	return n
}

func flagsArg(flags int) string {
	if flags == 0 {
		return ""
	}
	return ", " + msgText(flags)
}

func (k *sock) send(data string, flags int) {
	k.on(fmt.Sprintf("send(%s%s)", dataText([]byte(data)), flagsArg(flags)), func() string {
		return count(k.s.net.send(k.h, []byte(data), flags))
	})
}

func (k *sock) sendto(data string, to endpoint.Addr, flags int) {
	k.on(fmt.Sprintf("sendto(%s, %s%s)", dataText([]byte(data)), k.s.addrText(to), flagsArg(flags)), func() string {
		return count(k.s.net.sendto(k.h, []byte(data), flags, to))
	})
}

func count(n int, err error) string {
	if err != nil {
		return errText(err)
	}
	return strconv.Itoa(n)
}

// recv is recvfrom(2).
func (k *sock) recv(size, flags int) {
	k.on(fmt.Sprintf("recv(%d%s)", size, flagsArg(flags)), func() string {
		k.untilThere(size, flags)
		buf := make([]byte, size)
		n, from, err := k.s.net.recvfrom(k.h, buf, flags)
		if err != nil {
			return errText(err)
		}
		text := fmt.Sprintf("%d %s", n, dataText(buf[:min(n, size)]))
		if from.Family != endpoint.AF_UNSPEC && !(from.Family == endpoint.AF_UNIX && from.Path == "") {
			text += " from " + k.s.addrText(from)
		}
		return text
	})
}

// untilThere waits until as many bytes of a stream are there as are expected:
// poll(2) does not tell how many.
func (k *sock) untilThere(size, flags int) {
	i := len(k.s.log)
	if !k.stream || k.offset || flags&(endpoint.MSG_OOB|endpoint.MSG_ERRQUEUE) != 0 || i >= len(k.s.want) {
		return
	}
	number, _, _ := strings.Cut(k.s.want[i].result, " ")
	n, err := strconv.Atoi(number)
	if err != nil || n == 0 || n > size {
		return
	}
	buf := make([]byte, n)
	for end := time.Now().Add(k.s.patience); time.Now().Before(end); {
		got, _, err := k.s.net.recvfrom(k.h, buf, endpoint.MSG_PEEK|endpoint.MSG_DONTWAIT)
		if got >= n || err != nil && errText(err) != "EAGAIN" {
			return
		}
		runtime.Gosched()
	}
}

// fill sends until no more goes for a while. How much that is, is each side's
// own; all of it is one letter.
func (k *sock) fill() {
	k.on("send until it is full", func() string {
		chunk := []byte(strings.Repeat("f", 2048))
		for {
			n, err := k.s.net.send(k.h, chunk, 0)
			if err != nil {
				n, err = k.s.net.send(k.h, chunk[:1], 0) // there may be room for less
			}
			k.s.filled += n
			if err != nil && errText(err) != "EAGAIN" {
				return errText(err)
			}
			if err != nil {
				// What is under way may make room yet.
				k.s.net.await(k.h, sockapi.POLLOUT, lull)
				if k.s.net.poll(k.h)&sockapi.POLLOUT == 0 {
					return errText(err)
				}
			}
		}
	})
}

// lull is how long a sender that is full has to stay so.
const lull = 250 * time.Millisecond // longer than an acknowledgement is delayed

// drain receives all that fill sent.
func (k *sock) drain() {
	k.on("recv all of it", func() string {
		buf := make([]byte, 1<<16)
		for end := time.Now().Add(k.s.patience); k.s.filled > 0; {
			n, _, err := k.s.net.recvfrom(k.h, buf[:min(len(buf), k.s.filled)], 0)
			k.s.filled -= n
			switch {
			case err != nil && errText(err) == "EAGAIN" && time.Now().Before(end):
				k.s.net.await(k.h, sockapi.POLLIN, time.Until(end))
			case err != nil:
				return errText(err)
			case n == 0:
				return "the end"
			}
		}
		return "ok"
	})
}

func (k *sock) shutdown(how int) {
	names := map[int]string{endpoint.SHUT_RD: "SHUT_RD", endpoint.SHUT_WR: "SHUT_WR", endpoint.SHUT_RDWR: "SHUT_RDWR"}
	text, ok := names[how]
	if !ok {
		text = strconv.Itoa(how)
	}
	k.on("shutdown("+text+")", func() string { return errText(k.s.net.shutdown(k.h, how)) })
}

func (k *sock) close() {
	k.on("close()", func() string {
		k.closed = true
		return errText(k.s.net.close(k.h))
	})
}

// closeReset is a close that sends a reset: SO_LINGER with a time of 0.
func (k *sock) closeReset() {
	k.linger(1, 0)
	k.close()
}

func (k *sock) sockname() {
	k.on("getsockname()", func() string { return k.named(k.s.net.getsockname(k.h)) })
}

func (k *sock) peername() {
	k.on("getpeername()", func() string { return k.named(k.s.net.getpeername(k.h)) })
}

func (k *sock) named(a endpoint.Addr, err error) string {
	if err != nil {
		return errText(err)
	}
	return k.s.addrText(a)
}

// addr is the socket's address, unnoted: what other calls name it by.
func (k *sock) addr() endpoint.Addr {
	if k.h < 0 {
		k.s.broken("%s has no address: it is no socket", k.name)
	}
	a, err := k.s.net.getsockname(k.h)
	if err != nil {
		k.s.broken("getsockname of %s: %v", k.name, err)
	}
	return a
}

func (k *sock) set(o option, value int) {
	k.offset = k.offset || o == soPeekOff
	k.on(fmt.Sprintf("setsockopt(%s, %d)", o.name, value), func() string {
		return errText(k.s.net.setsockopt(k.h, o.level, o.number, intBytes(value)))
	})
}

func (k *sock) setBytes(o option, value []byte) {
	k.on(fmt.Sprintf("setsockopt(%s, %x)", o.name, value), func() string {
		return errText(k.s.net.setsockopt(k.h, o.level, o.number, value))
	})
}

func (k *sock) linger(on, seconds int) {
	k.on(fmt.Sprintf("setsockopt(SO_LINGER, {%d, %d})", on, seconds), func() string {
		return errText(k.s.net.setsockopt(k.h, endpoint.SOL_SOCKET, endpoint.SO_LINGER, append(intBytes(on), intBytes(seconds)...)))
	})
}

func (k *sock) get(o option) {
	k.on(fmt.Sprintf("getsockopt(%s)", o.name), func() string {
		var buf [4]byte
		n, err := k.s.net.getsockopt(k.h, o.level, o.number, buf[:])
		if err != nil {
			return errText(err)
		}
		if n < 4 {
			return fmt.Sprintf("%x", buf[:n])
		}
		return strconv.Itoa(int(int32(binary.NativeEndian.Uint32(buf[:]))))
	})
}

// getBytes reads an option into a buffer of a length.
func (k *sock) getBytes(o option, size int) {
	k.on(fmt.Sprintf("getsockopt(%s, %d bytes)", o.name, size), func() string {
		buf := make([]byte, size)
		n, err := k.s.net.getsockopt(k.h, o.level, o.number, buf)
		if err != nil {
			return errText(err)
		}
		return fmt.Sprintf("%d: %x", n, buf[:min(n, size)])
	})
}

// errno is SO_ERROR, by name.
func (k *sock) errno() {
	k.on("getsockopt(SO_ERROR)", func() string {
		var buf [4]byte
		if _, err := k.s.net.getsockopt(k.h, endpoint.SOL_SOCKET, endpoint.SO_ERROR, buf[:]); err != nil {
			return errText(err)
		}
		if v := endpoint.Errno(binary.NativeEndian.Uint32(buf[:])); v != 0 {
			return "pending " + v.Name()
		}
		return "none"
	})
}

var tcpStates = []string{"0", "ESTABLISHED", "SYN-SENT", "SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSE", "CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING"}

// state is the state of TCP, by TCP_INFO. A state that is named is waited for:
// an acknowledgement that leads to it may be delayed.
func (k *sock) state(want ...string) {
	k.on("state of TCP", func() string {
		for end := time.Now().Add(k.s.patience); ; runtime.Gosched() {
			var buf [1]byte
			if _, err := k.s.net.getsockopt(k.h, endpoint.IPPROTO_TCP, endpoint.TCP_INFO, buf[:]); err != nil {
				return errText(err)
			}
			now := tcpStates[buf[0]]
			if len(want) == 0 || now == want[0] || time.Now().After(end) {
				return "state " + now
			}
		}
	})
}

func intBytes(v int) []byte {
	return binary.NativeEndian.AppendUint32(nil, uint32(v))
}

// blocking puts the open socket into blocking mode, or out of it.
func (k *sock) blocking(on bool) {
	k.on(fmt.Sprintf("blocking(%v)", on), func() string { return errText(k.s.net.blocking(k.h, on)) })
}

// patient puts the socket into blocking mode with a limit for each call.
func (k *sock) patient() {
	k.blocking(true)
	limit := timeval(0, 20_000)
	k.on("SO_RCVTIMEO and SO_SNDTIMEO of 20 ms", func() string {
		k.s.must(k.s.net.setsockopt(k.h, soRcvtimeo.level, soRcvtimeo.number, limit))
		return errText(k.s.net.setsockopt(k.h, soSndtimeo.level, soSndtimeo.number, limit))
	})
}
