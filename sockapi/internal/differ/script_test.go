package differ

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"time"

	"usersock/sockapi"
	"usersock/stack/endpoint"
)

// A sequence is a named program of calls.
type sequence struct {
	name string
	af   int // the family that its helpers use: AF_INET, AF_INET6 or AF_UNIX
	typ  int // and the type, for sequences that are played over several
	run  func(*script)
	wire bool // it needs the scripted peer

	patience time.Duration // 0: the usual one
}

// An entry is one step and what came of it.
type entry struct {
	call   string
	result string
	ready  string // sockets whose readiness changed, as "a:IN|OUT b:-"

	// loose is a pattern that stands for result and ready where ours may be one
	// of several, or that in other.
	loose, other string
}

func (e entry) String() string {
	line := e.call + " -> " + e.result
	if e.ready != "" {
		line += " {" + e.ready + "}"
	}
	return line
}

// outcome is what came of the step.
func (e entry) outcome() string { return strings.TrimPrefix(e.String(), e.call+" -> ") }

// is reports whether an entry is the expected one.
func (e entry) is(want entry) bool {
	if want.loose != "" {
		return e.call == want.call && (glob(want.loose, e.outcome()) || e.outcome() == want.other)
	}
	return e == want
}

func parseEntry(line string) (entry, bool) {
	call, rest, ok := strings.Cut(line, " -> ")
	if !ok {
		return entry{}, false
	}
	e := entry{call: call, result: rest}
	if i := strings.LastIndex(rest, " {"); i >= 0 && strings.HasSuffix(rest, "}") {
		e.result, e.ready = rest[:i], rest[i+2:len(rest)-1]
	}
	return e, true
}

// patience is how long a side may take to get to what is expected of it.
const patience = 5 * time.Second

// impatience is the same after the first difference in a sequence.
const impatience = 200 * time.Millisecond

// A script is a sequence while it is played on one side.
type script struct {
	net  sockets
	af   int
	typ  int
	want []entry // what is expected; nil if that is not known

	log      []entry
	socks    []*sock
	ports    map[uint16]string
	autos    map[string]string
	patience time.Duration
	differs  bool // a step had another outcome than expected
	filled   int  // bytes that fill sent
}

// A stop ends a script that cannot go on.
type stop struct{ reason string }

// play plays a sequence on a side.
func play(q sequence, side sockets, want []entry) (log []entry, err error) {
	s := &script{net: side, af: q.af, typ: q.typ, want: want, ports: map[uint16]string{0: "0"}, autos: map[string]string{}, patience: patience}
	if q.patience != 0 {
		s.patience = q.patience
	}
	if *table {
		s.patience = time.Second // much is about to differ
	}
	defer side.end()
	defer func() {
		switch r := recover().(type) {
		case nil:
		case stop:
			log, err = s.log, fmt.Errorf("after %d steps: %s", len(s.log), r.reason)
		default:
			panic(r)
		}
	}()
	q.run(s)
	return s.log, nil
}

func (s *script) broken(format string, args ...any) {
	panic(stop{fmt.Sprintf(format, args...)})
}

// A sock is a socket of a script by name.
type sock struct {
	s      *script
	name   string
	h      handle // −1 if it could not be opened
	closed bool
	stream bool
	ready  int // by the last look
	target int // what is expected
	looked bool
}

// add notes a new socket of that name; a later one of the same name takes its
// place in what is written down.
func (s *script) add(name string, h handle, stream bool) *sock {
	k := &sock{s: s, name: name, h: h, stream: stream}
	if h >= 0 {
		s.socks = append(s.socks, k)
	}
	return k
}

// step makes a call and notes it.
func (s *script) step(call string, do func() string) {
	var want *entry
	i := len(s.log)
	if i < len(s.want) && s.want[i].call == call && s.want[i].loose == "" {
		want = &s.want[i]
	}
	end := time.Now().Add(s.patience)
	result := do()
	for want != nil && again(result) && result != want.result && time.Now().Before(end) {
		s.pause(end)
		result = do()
	}
	e := entry{call: call, result: result}
	if want != nil {
		s.expect(want.ready)
		for !s.asExpected() && time.Now().Before(end) {
			s.hurry(end)
		}
	}
	s.settle() // also what changes no readiness is under way
	e.ready = s.changes()
	s.log = append(s.log, e)
	if want != nil && e != *want && !s.differs {
		s.differs, s.patience = true, impatience
	}
}

// again reports whether a result says that the call may have come too early.
func again(result string) bool {
	return strings.HasPrefix(result, "EAGAIN") || strings.HasPrefix(result, "EALREADY") || strings.HasPrefix(result, "state ")
}

// pause waits a little while nothing tells what to wait for.
func (s *script) pause(end time.Time) {
	runtime.Gosched()
	for _, k := range s.socks {
		if !k.closed && k.ready&sockapi.POLLIN == 0 {
			s.net.await(k.h, sockapi.POLLIN, min(time.Millisecond, time.Until(end)))
			return
		}
	}
}

// expect takes over what the golden file says of readiness.
func (s *script) expect(changes string) {
	for change := range strings.FieldsSeq(changes) {
		name, events, _ := strings.Cut(change, ":")
		for _, k := range s.socks {
			if k.name == name && !k.closed {
				k.target = parseEvents(events)
			}
		}
	}
}

func (s *script) asExpected() bool {
	for _, k := range s.socks {
		if !k.closed && s.net.poll(k.h) != k.target {
			return false
		}
	}
	return true
}

// hurry waits for one of the events that are still missing.
func (s *script) hurry(end time.Time) {
	for _, k := range s.socks {
		if k.closed {
			continue
		}
		if missing := k.target &^ s.net.poll(k.h); missing != 0 {
			s.net.await(k.h, missing, min(10*time.Millisecond, time.Until(end)))
			break
		}
	}
	runtime.Gosched()
}

// settle lets a side of which nothing is known come to rest: it is looked at
// until a few looks in a row see the same.
func (s *script) settle() {
	same := 0
	for last := ""; same < settleLooks; same++ {
		var b strings.Builder
		for _, k := range s.socks {
			if !k.closed {
				fmt.Fprint(&b, s.net.poll(k.h), " ")
			}
		}
		if now := b.String(); now != last {
			same, last = 0, now
		}
		runtime.Gosched()
	}
}

// settleLooks is how many looks in a row must see the same. The kernel's
// loopback has delivered when a call returns, nearly always.
const settleLooks = 20

// changes looks at every socket and says which changed.
func (s *script) changes() string {
	var b strings.Builder
	for _, k := range s.socks {
		if k.closed {
			continue
		}
		now := s.net.poll(k.h)
		if !k.looked || now != k.ready {
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			fmt.Fprintf(&b, "%s:%s", k.name, eventsText(now))
		}
		k.looked, k.ready = true, now
		k.target = now // what differs is told once
	}
	return b.String()
}

// nameIt gives a port a name before it is seen.
func (s *script) nameIt(port uint16, name string) { s.ports[port] = name }

func (s *script) portText(port uint16) string {
	name, ok := s.ports[port]
	if !ok && port < 1024 { // no side picks one of these
		return strconv.Itoa(int(port))
	}
	if !ok {
		n := 1
		for _, known := range s.ports {
			if strings.HasPrefix(known, "p") && known != "peer" {
				n++
			}
		}
		name = "p" + strconv.Itoa(n)
		s.ports[port] = name
	}
	return name
}

func (s *script) addrText(a endpoint.Addr) string {
	switch a.Family {
	case endpoint.AF_INET:
		return a.IP.String() + ":" + s.portText(a.Port)
	case endpoint.AF_INET6:
		text := "[" + a.IP.String()
		if a.Scope != 0 {
			text += fmt.Sprintf("%%%d", a.Scope)
		}
		text += "]:" + s.portText(a.Port)
		if a.Flowinfo != 0 {
			text += fmt.Sprintf(" flow %#x", a.Flowinfo)
		}
		return text
	case endpoint.AF_UNIX:
		return s.unixText(a.Path)
	}
	return "none"
}

func (s *script) unixText(path string) string {
	switch {
	case path == "":
		return "unnamed"
	case path[0] == 0:
		name := path[1:]
		if rest, ok := strings.CutPrefix(name, s.net.abstractPrefix()); ok && (s.net.abstractPrefix() != "" || !autobound(name)) {
			return "@" + shortened(rest)
		}
		if autobound(name) {
			if s.autos[name] == "" {
				s.autos[name] = fmt.Sprintf("@auto%d", len(s.autos)+1)
			}
			return s.autos[name]
		}
		return "@" + shortened(name)
	}
	if rest, ok := strings.CutPrefix(path, s.net.pathPrefix()); ok {
		return "D/" + shortened(rest)
	}
	return shortened(path)
}

// autobound reports whether a name looks like one of autobind, unix(7).
func autobound(name string) bool {
	if len(name) != 5 {
		return false
	}
	_, err := strconv.ParseUint(name, 16, 32)
	return err == nil
}

func shortened(text string) string {
	if len(text) <= 40 {
		return text
	}
	return fmt.Sprintf("%s…(%d bytes)", text[:8], len(text))
}

func dataText(b []byte) string {
	if len(b) <= 40 {
		return strconv.Quote(string(b))
	}
	same := true
	for _, c := range b {
		same = same && c == b[0]
	}
	if same {
		return fmt.Sprintf("%d×%q", len(b), b[:1])
	}
	return fmt.Sprintf("%q…(%d bytes)", b[:8], len(b))
}

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
	if !k.stream || flags&(endpoint.MSG_OOB|endpoint.MSG_ERRQUEUE) != 0 || i >= len(k.s.want) {
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

func (s *script) ip() netip.Addr {
	if s.af == endpoint.AF_INET6 {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

func at(ip string, port uint16) endpoint.Addr {
	return endpoint.Inet(netip.AddrPortFrom(netip.MustParseAddr(ip), port))
}

// lo is an address on the loopback interface, of the script's family.
func (s *script) lo(port uint16) endpoint.Addr {
	a := endpoint.Inet(netip.AddrPortFrom(s.ip(), port))
	a.Family = s.af
	return a
}

// any is the wildcard address of the script's family.
func (s *script) any(port uint16) endpoint.Addr {
	if s.af == endpoint.AF_INET6 {
		return at("::", port)
	}
	return at("0.0.0.0", port)
}

// foreign is an address that nobody has and that no route leads to.
func (s *script) foreign(port uint16) endpoint.Addr {
	if s.af == endpoint.AF_INET6 {
		return at("2001:db8:ffff::1", port)
	}
	return at("198.51.100.1", port)
}

// filtered is an address behind the interface from where nobody answers.
func (s *script) filtered(port uint16) endpoint.Addr {
	if s.af == endpoint.AF_INET6 {
		return at("2001:db8::77", port)
	}
	return at("192.0.2.77", port)
}

// closedPort is a port where no socket is.
func (s *script) closedPort(typ int) endpoint.Addr {
	h, err := s.net.socket(s.af, typ, 0)
	if err == nil {
		err = s.net.bind(h, s.lo(0))
	}
	if err != nil {
		s.broken("no closed port: %v", err)
	}
	a, _ := s.net.getsockname(h)
	s.net.close(h)
	s.nameIt(a.Port, "closed")
	return s.lo(a.Port)
}

// path and abstract are names of AF_UNIX.
func (s *script) path(name string) endpoint.Addr {
	return endpoint.Unix(s.net.pathPrefix() + name)
}

func (s *script) abstract(name string) endpoint.Addr {
	return endpoint.Unix("\x00" + s.net.abstractPrefix() + name)
}

func (s *script) unlink(name string) {
	s.step("unlink(D/"+name+")", func() string { return errText(s.net.unlink(s.net.pathPrefix() + name)) })
}

var unspec = endpoint.Addr{}

// listener is a socket l that listens on lo.
func (s *script) listener() *sock {
	l := s.stream("l")
	l.bind(s.lo(0))
	l.listen(8)
	return l
}

// pair is a connection over lo: c connected, p was accepted.
func (s *script) pair() (c, p *sock) {
	l := s.listener()
	c = s.stream("c")
	c.connect(l.addr())
	p = l.accept("p")
	l.close()
	return c, p
}
