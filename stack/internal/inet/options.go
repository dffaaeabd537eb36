package inet

import (
	"bytes"
	"math"
	"slices"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"

	"usersock/stack/endpoint"
)

// The option table. One row says all about one option: which sockets have it,
// what reads and writes it, and whether it does anything (Effective) or is
// only remembered (Stored). What has no row is ENOPROTOOPT. The rows of one
// level are in a file of their own:
//
//	options_socket.go   SOL_SOCKET
//	options_ip.go       IPPROTO_IP
//	options_ipv6.go     IPPROTO_IPV6
//	options_tcp.go      IPPROTO_TCP
//	options_udp.go      SOL_UDP and SOL_UDPLITE
//	options_raw.go      SOL_RAW and SOL_ICMPV6, IP_HDRINCL and its like
//	options_group.go    groups: multicast memberships and their filters
//
// Lengths follow Linux: a read is cut to the buffer; a value that is too short
// to write is EINVAL, except where IPPROTO_IP takes a single byte.

// Status says whether an option does anything.
type Status int

const (
	// Effective options change what the socket does, or report what it does.
	Effective Status = iota
	// Stored options are remembered and read back, and change nothing.
	Stored
)

// String returns the word that documents use.
func (s Status) String() string {
	if s == Effective {
		return "effective"
	}
	return "stored"
}

// OptionInfo describes one row of the table, for tests and documents.
type OptionInfo struct {
	Level, Name int
	Symbol      string // SO_REUSEADDR
	Stream      bool   // TCP sockets have it
	Datagram    bool   // UDP sockets have it
	Lite        bool   // UDP-Lite sockets have it
	Ping        bool   // ping sockets have it
	Raw         bool   // raw sockets have it
	Inet4       bool   // AF_INET sockets have it
	Inet6       bool   // AF_INET6 sockets have it
	Readable    bool
	Writable    bool
	Status      Status
	Note        string // why it is stored, or where it differs from Linux
}

// Options returns the table, by level and number.
func Options() []OptionInfo {
	var infos []OptionInfo
	for _, o := range optionTable() {
		infos = append(infos, OptionInfo{
			Level: o.level, Name: o.name, Symbol: o.symbol,
			Stream: o.on&onTCP != 0, Datagram: o.on&onUDP != 0, Lite: o.on&onLite != 0, Ping: o.on&onPing != 0, Raw: o.on&onRaw != 0,
			Inet4: o.on&onInet4 != 0, Inet6: o.on&onInet6 != 0,
			Readable: o.get != nil, Writable: o.set != nil,
			Status: o.status, Note: o.note,
		})
	}
	slices.SortStableFunc(infos, func(a, b OptionInfo) int {
		if a.Level != b.Level {
			return a.Level - b.Level
		}
		return a.Name - b.Name
	})
	return infos
}

// sockets is a set of socket kinds: one bit for each type and each family. An
// option is had by a socket both of whose bits are in it.
type sockets uint8

const (
	onTCP sockets = 1 << iota
	onUDP
	onLite
	onPing
	onRaw
	onInet4
	onInet6

	onPorts    = onUDP | onLite | onInet4 | onInet6
	onStream   = onTCP | onInet4 | onInet6
	onDatagram = onPorts | onPing | onRaw
	onAll      = onStream | onDatagram
	onAll6     = onAll &^ onInet4
	onDgram6   = onDatagram &^ onInet4
)

// option is one row.
type option struct {
	level, name int
	symbol      string
	on          sockets
	status      Status
	get         func(o target, buf []byte) (int, error) // nil: cannot be read
	set         func(o target, value []byte) error      // nil: cannot be written
	least       int                                     // bytes of a value that is no int; 0: it is one
	note        string
}

type optionKey struct{ level, name int }

// target is the socket that an option is applied to.
type target struct {
	*socket
	tcp *tcpEndpoint   // nil for the others
	raw tcpip.Endpoint // netstack's endpoint of it
	dg  *datagram      // nil for TCP
}

func (o target) ops() *tcpip.SocketOptions {
	if o.dg != nil {
		return &o.dg.ops
	}
	return o.raw.SocketOptions()
}

func optionTable() []option {
	return slices.Concat(socketOptions(), ipOptions(), ipv6Options(), tcpOptions(), udpOptions(), rawOptions(), groupOptions())
}

func indexOptions() map[optionKey]*option {
	rows := optionTable()
	index := make(map[optionKey]*option, len(rows))
	for i := range rows {
		index[optionKey{rows[i].level, rows[i].name}] = &rows[i]
	}
	return index
}

// find returns the row of an option that this socket has.
func (s *socket) find(level, name int) *option {
	o := s.p.options[optionKey{level, name}]
	kind := s.kind()
	if o == nil && kind&(onUDP|onLite) != 0 {
		// Either level serves both protocols, udp_setsockopt of Linux.
		switch level {
		case endpoint.SOL_UDP:
			o = s.p.options[optionKey{endpoint.SOL_UDPLITE, name}]
		case endpoint.SOL_UDPLITE:
			o = s.p.options[optionKey{endpoint.SOL_UDP, name}]
		}
	}
	if o == nil || level == endpoint.IPPROTO_IP && kind == onRaw && s.af == endpoint.AF_INET6 {
		return nil // a raw IPv6 socket meets no IPv4
	}
	family := onInet4
	if s.af == endpoint.AF_INET6 {
		family = onInet6
	}
	if o.on&kind == 0 || o.on&family == 0 {
		return nil
	}
	return o
}

func getOption(o target, level, name int, buf []byte) (int, error) {
	row := o.find(level, name)
	if row == nil || row.get == nil {
		if o.af == endpoint.AF_INET && level != endpoint.SOL_SOCKET && level != endpoint.SOL_IP && !o.ownLevel(level) {
			return 0, endpoint.EOPNOTSUPP // ip_getsockopt of Linux; an AF_INET6 socket says ENOPROTOOPT
		}
		if o.filtersNothing(level) {
			return 0, endpoint.EOPNOTSUPP
		}
		return 0, endpoint.ENOPROTOOPT
	}
	return row.get(o, buf)
}

func setOption(o target, level, name int, value []byte) error {
	row := o.find(level, name)
	if row == nil || row.set == nil {
		if o.filtersNothing(level) {
			return endpoint.EOPNOTSUPP
		}
		if len(value) < 4 && o.lengthFirst(level) && (level != endpoint.SOL_TCP || name != endpoint.TCP_ULP && name != endpoint.TCP_FASTOPEN_KEY) {
			return endpoint.EINVAL
		}
		return endpoint.ENOPROTOOPT
	}
	if err := row.set(o, value); err != nil {
		return err
	}
	o.socket.set(flagInherit, true)
	return nil
}

// setNull is setOption from a NULL pointer to n bytes. Linux tells EFAULT when it
// comes to look at them: after it has found the option and its length. At
// IPPROTO_IPV6 a NULL is the number 0.
func setNull(o target, level, name, n int) error {
	row := o.find(level, name)
	least := 0
	switch {
	case row != nil && row.set != nil:
		least = row.least
	case !o.lengthFirst(level):
		return setOption(o, level, name, make([]byte, min(n, 4)))
	}
	switch {
	case o.tcp != nil && least == inet6Request && n >= least:
		return endpoint.EPROTO
	case o.tcp != nil && least == inetRequest:
		return endpoint.EPROTO
	case least == 0 && level == endpoint.IPPROTO_IPV6, level == endpoint.IPPROTO_IPV6 && n < least:
		return setOption(o, level, name, make([]byte, min(n, 256)))
	case least == 0 && level == endpoint.IPPROTO_IP:
		least = 1
	case least == 0:
		least = 4
	}
	if n < least {
		return endpoint.EINVAL
	}
	return endpoint.EFAULT
}

func (t *tcpEndpoint) target() target {
	return target{socket: &t.socket, raw: t.raw.Load(), tcp: t}
}

func (d *datagram) target() target {
	return target{socket: &d.socket, dg: d}
}

// kind is the bit of the socket's protocol.
func (s *socket) kind() sockets {
	switch {
	case s.typ == endpoint.SOCK_STREAM:
		return onTCP
	case s.typ == endpoint.SOCK_RAW:
		return onRaw
	case s.proto == endpoint.IPPROTO_UDP:
		return onUDP
	case s.proto == endpoint.IPPROTO_UDPLITE:
		return onLite
	}
	return onPing
}

// ownLevel reports whether a level is that of the socket's protocol.
func (s *socket) ownLevel(level int) bool {
	switch s.kind() {
	case onTCP:
		return level == endpoint.SOL_TCP
	case onUDP, onLite:
		return level == endpoint.SOL_UDP || level == endpoint.SOL_UDPLITE
	case onRaw:
		return level == endpoint.SOL_RAW
	}
	return false
}

// lengthFirst reports whether Linux looks at the length of a value, and at its
// bytes, before it looks for the option: do_tcp_setsockopt, udp_lib_setsockopt
// and do_rawv6_setsockopt.
func (s *socket) lengthFirst(level int) bool {
	return s.ownLevel(level) && (level != endpoint.SOL_RAW || s.af == endpoint.AF_INET6)
}

// filtersNothing reports whether a level is that of ICMPv6's filter on a raw socket
// of another protocol, rawv6_setsockopt of Linux.
func (s *socket) filtersNothing(level int) bool {
	return level == endpoint.SOL_ICMPV6 && s.kind() == onRaw && s.af == endpoint.AF_INET6 && s.proto != endpoint.IPPROTO_ICMPV6
}

// number and setNumber are an option that a datagram socket keeps itself and
// netstack keeps for TCP.
func (o target) number(name tcpip.SockOptInt, at func(*ipSettings) *atomic.Int32) int {
	if o.dg != nil {
		return int(at(&o.dg.ip).Load())
	}
	return o.sockInt(name)
}

func (o target) setNumber(name tcpip.SockOptInt, at func(*ipSettings) *atomic.Int32, v int) error {
	if o.dg != nil {
		at(&o.dg.ip).Store(int32(v))
		return nil
	}
	return o.setSockInt(name, v)
}

// Option implements endpoint.Endpoint.
func (t *tcpEndpoint) Option(level, name int, buf []byte) (int, error) {
	return getOption(t.target(), level, name, buf)
}

// SetOption implements endpoint.Endpoint.
func (t *tcpEndpoint) SetOption(level, name int, value []byte) error {
	return setOption(t.target(), level, name, value)
}

// SetNull implements endpoint.NullSetter.
func (t *tcpEndpoint) SetNull(level, name, n int) error { return setNull(t.target(), level, name, n) }

// SetNull implements endpoint.NullSetter.
func (d *datagram) SetNull(level, name, n int) error { return setNull(d.target(), level, name, n) }

// Option implements endpoint.Endpoint.
func (d *datagram) Option(level, name int, buf []byte) (int, error) {
	return getOption(d.target(), level, name, buf)
}

// SetOption implements endpoint.Endpoint.
func (d *datagram) SetOption(level, name int, value []byte) error {
	return setOption(d.target(), level, name, value)
}

// getInt reads an int, cut to the buffer.
func getInt(f func(o target) int) func(target, []byte) (int, error) {
	return func(o target, buf []byte) (int, error) {
		return endpoint.PutInt(buf, f(o)), nil
	}
}

// getIntErr is getInt for what may fail.
func getIntErr(f func(o target) (int, error)) func(target, []byte) (int, error) {
	return func(o target, buf []byte) (int, error) {
		v, err := f(o)
		if err != nil {
			return 0, err
		}
		return endpoint.PutInt(buf, v), nil
	}
}

func getBool(f func(o target) bool) func(target, []byte) (int, error) {
	return getInt(func(o target) int { return number01(f(o)) })
}

func number01(v bool) int {
	if v {
		return 1
	}
	return 0
}

// setInt writes an int; fewer than four bytes are EINVAL.
func setInt(f func(o target, v int) error) func(target, []byte) error {
	return func(o target, value []byte) error {
		v, err := endpoint.Int(value)
		if err != nil {
			return err
		}
		return f(o, v)
	}
}

// setBool writes a flag: any int but 0 is on.
func setBool(f func(o target, v bool)) func(target, []byte) error {
	return setInt(func(o target, v int) error {
		f(o, v != 0)
		return nil
	})
}

// setFlag and getFlag are a bit of socket.flags.
func setFlag(bit uint64) func(target, []byte) error {
	return setBool(func(o target, v bool) { o.socket.set(bit, v) })
}

func getFlag(bit uint64) func(target, []byte) (int, error) {
	return getBool(func(o target) bool { return o.has(bit) })
}

// storedInt is a row for an int that is only remembered. An int outside lo to
// hi is EINVAL.
func storedInt(level, name int, symbol string, on sockets, initial, lo, hi int, note string) option {
	return option{
		level: level, name: name, symbol: symbol, on: on, status: Stored, note: note,
		get: getInt(func(o target) int { return o.storedInt(level, name, initial) }),
		set: setInt(func(o target, v int) error {
			if v < lo || v > hi {
				return endpoint.EINVAL
			}
			o.store(level, name, v)
			return nil
		}),
	}
}

// storedBool is a row for a flag that is only remembered.
func storedBool(level, name int, symbol string, on sockets, initial int, note string) option {
	return option{
		level: level, name: name, symbol: symbol, on: on, status: Stored, note: note,
		get: getInt(func(o target) int { return o.storedInt(level, name, initial) }),
		set: setInt(func(o target, v int) error {
			o.store(level, name, number01(v != 0))
			return nil
		}),
	}
}

const anyInt = math.MaxInt32

func (s *socket) storedInt(level, name, initial int) int {
	s.storedMu.Lock()
	defer s.storedMu.Unlock()
	if v, ok := s.stored[optionKey{level, name}]; ok {
		n, _ := endpoint.Int(v)
		return n
	}
	return initial
}

func (s *socket) store(level, name, v int) {
	s.storeBytes(level, name, intData(v))
}

func (s *socket) storeBytes(level, name int, v []byte) {
	s.storedMu.Lock()
	defer s.storedMu.Unlock()
	if s.stored == nil {
		s.stored = make(map[optionKey][]byte)
	}
	s.stored[optionKey{level, name}] = v
}

func (s *socket) storedBytes(level, name int) ([]byte, bool) {
	s.storedMu.Lock()
	defer s.storedMu.Unlock()
	v, ok := s.stored[optionKey{level, name}]
	return v, ok
}

// admin reports whether the socket's owner may do what Linux keeps for
// CAP_NET_ADMIN.
func (s *socket) admin() bool { return s.cred.Uid == 0 }

// cString returns the bytes up to the first NUL.
func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
