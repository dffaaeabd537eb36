package differ

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
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

	mapped    bool          // the helpers' addresses are IPv4-mapped ones; af is AF_INET6
	truesized bool          // it tells the size of the kernel's buffers: see bufferSequences
	patience  time.Duration // 0: the usual one
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

// A pickedPort is the name of a port that the system chose.
var pickedPort = regexp.MustCompile(`\b(p[0-9]+|closed)\b`)

// butPorts is the entry where all picked ports have one name.
func (e entry) butPorts() string { return pickedPort.ReplaceAllString(e.String(), "p") }

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
	net    sockets
	af     int
	typ    int
	mapped bool
	want   []entry // what is expected; nil if that is not known
	again  bool    // what chance decides is played again

	log      []entry
	socks    []*sock
	ports    map[uint16]string
	since    map[uint16]int // the step that a port was named in, or first seen at a socket
	autos    map[string]string
	patience time.Duration
	differs  bool // a step had another outcome than expected
	filled   int  // bytes that fill sent

	far netip.Addr // the address of a farPeer
}

// A stop ends a script that cannot go on.
type stop struct{ reason string }

// errChance is why a sequence is played again: a port that was picked is one that
// had been seen before. Ports are known by the order in which they are seen.
var errChance = errors.New("a port was picked twice")

// play plays a sequence on a new side. What chance decides is tried again, and
// what comes of the last try counts.
func play(q sequence, side func() (sockets, error), want []entry) (log []entry, err error) {
	for try := 0; ; try++ {
		net, err := side()
		if err != nil {
			return nil, err
		}
		if log, err = playOn(q, net, want, try < 4); err != errChance {
			return log, err
		}
	}
}

// playOn plays a sequence on a side. With again, it ends with errChance where
// ports are in another order by chance.
func playOn(q sequence, side sockets, want []entry, again bool) (log []entry, err error) {
	s := &script{net: side, af: q.af, typ: q.typ, mapped: q.mapped, want: want, again: again, ports: map[uint16]string{0: "0"}, since: map[uint16]int{}, autos: map[string]string{}, patience: patience}
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
		case error:
			if r != errChance {
				panic(r)
			}
			log, err = s.log, errChance
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
	offset bool // SO_PEEK_OFF was set: to peek is no look from outside
	ready  int  // by the last look
	target int  // what is expected
	looked bool
	port   int // by the last look; −1 before the first, and if it has none
}

// add notes a new socket of that name; a later one of the same name takes its
// place in what is written down.
func (s *script) add(name string, h handle, stream bool) *sock {
	if strings.ContainsAny(name, " :") {
		s.broken("%q is no name of a socket", name)
	}
	k := &sock{s: s, name: name, h: h, stream: stream, port: -1}
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
	for want != nil && early(result) && result != want.result && time.Now().Before(end) {
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
	if chance := s.pickedTwice(call) || want != nil && e != *want && e.butPorts() == want.butPorts(); chance && s.again {
		panic(errChance)
	}
	s.log = append(s.log, e)
	if want != nil && e != *want && !s.differs {
		s.differs, s.patience = true, impatience
	}
}

// early reports whether a result says that the call may have come too early: ours
// gives a port back on another goroutine.
func early(result string) bool {
	return strings.HasPrefix(result, "EAGAIN") || result == "EADDRINUSE" || strings.HasPrefix(result, "EALREADY") || strings.HasPrefix(result, "state ") || strings.HasPrefix(result, "queues ")
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

// pickedTwice looks at the ports that sockets have got by a step, and reports
// whether one that was picked had been seen before.
func (s *script) pickedTwice(call string) bool {
	asked := strings.Contains(call, ".bind(") && !strings.Contains(call, ":0)") // for a known port
	twice := false
	for _, k := range s.socks {
		if k.closed {
			continue
		}
		a, err := s.net.getsockname(k.h)
		if err != nil || a.Family != endpoint.AF_INET && a.Family != endpoint.AF_INET6 {
			continue
		}
		port, before := int(a.Port), k.port
		k.port = port
		since, known := s.since[a.Port]
		switch {
		case port == 0: // none
		case known:
			twice = twice || port != before && before >= 0 && since < len(s.log) && !asked
		default:
			s.since[a.Port] = len(s.log)
		}
	}
	return twice
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

// nameIt gives a port a name before the step that shows it.
func (s *script) nameIt(port uint16, name string) {
	if old, ok := s.ports[port]; ok && old != name && s.again {
		panic(errChance)
	}
	s.ports[port], s.since[port] = name, len(s.log)-1
}

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
		s.ports[port], s.since[port] = name, len(s.log)
	}
	return name
}

func (s *script) addrText(a endpoint.Addr) string {
	switch a.Family {
	case endpoint.AF_INET:
		return s.ipText(a.IP) + ":" + s.portText(a.Port)
	case endpoint.AF_INET6:
		text := "[" + s.ipText(a.IP)
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

func (s *script) ipText(ip netip.Addr) string {
	if ip == s.far {
		return "far"
	}
	return ip.String()
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

func at(ip string, port uint16) endpoint.Addr {
	return endpoint.Inet(netip.AddrPortFrom(netip.MustParseAddr(ip), port))
}

// of is an address of the script's family: the IPv6 one, the IPv4 one, or that as a mapped one.
func (s *script) of(four, six string, port uint16) endpoint.Addr {
	switch {
	case s.mapped:
		return at("::ffff:"+four, port)
	case s.af == endpoint.AF_INET6:
		return at(six, port)
	}
	return at(four, port)
}

// lo is an address on the loopback interface, and for AF_UNIX the one of no name.
func (s *script) lo(port uint16) endpoint.Addr {
	a := s.of("127.0.0.1", "::1", port)
	a.Family = s.af
	return a
}

// any is the wildcard address.
func (s *script) any(port uint16) endpoint.Addr { return s.of("0.0.0.0", "::", port) }

// foreign is an address that nobody has and that no route leads to.
func (s *script) foreign(port uint16) endpoint.Addr {
	return s.of("198.51.100.1", "2001:db8:ffff::1", port)
}

// filtered is an address behind the interface from where nobody answers.
func (s *script) filtered(port uint16) endpoint.Addr {
	return s.of("192.0.2.77", "2001:db8::77", port)
}

// closedPort is a port where no socket is.
func (s *script) closedPort(typ int) endpoint.Addr { return s.unusedPort(typ, "closed") }

// unusedPort is a port where no socket is, by a name.
func (s *script) unusedPort(typ int, name string) endpoint.Addr {
	h, err := s.net.socket(s.af, typ, 0)
	if err == nil {
		err = s.net.bind(h, s.lo(0))
	}
	if err != nil {
		s.broken("no closed port: %v", err)
	}
	a, _ := s.net.getsockname(h)
	s.net.close(h)
	s.nameIt(a.Port, name)
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
