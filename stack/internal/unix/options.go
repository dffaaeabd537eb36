package unix

import (
	"encoding/binary"
	"math"
	"time"

	"usersock/stack/endpoint"
)

const (
	defaultBuffer = 212992  // net.core.wmem_default and rmem_default
	maxBuffer     = 4 << 20 // net.core.wmem_max and rmem_max, since Linux 6.17
	minSendBuffer = 4608
	minRecvBuffer = 2304
)

// option is one row of the table of options, all of level SOL_SOCKET. Reading
// or setting what has no get or set is ENOPROTOOPT.
type option struct {
	name  int
	label string
	kind  kind
	note  string
	get   func(e *Endpoint, buf []byte) (int, error)
	set   func(e *Endpoint, value []byte) error
}

// kind says what an option does.
type kind int

const (
	effective kind = iota // it does what socket(7) or unix(7) says
	keeping               // its value is checked, kept and told: on AF_UNIX it has nothing to act on
)

// OptionInfo tells a row of the table of options.
type OptionInfo struct {
	Level, Name int
	Label       string
	Effective   bool   // not merely stored
	Note        string // what it does, or why it does nothing
}

// Options returns the table of options.
func Options() []OptionInfo {
	table := options()
	list := make([]OptionInfo, len(table))
	for i, o := range table {
		list[i] = OptionInfo{endpoint.SOL_SOCKET, o.name, o.label, o.kind == effective, o.note}
	}
	return list
}

// Option implements endpoint.Endpoint: EOPNOTSUPP for a level other than
// SOL_SOCKET, ENOPROTOOPT for an unknown name.
func (e *Endpoint) Option(level, name int, buf []byte) (int, error) {
	if e.state.Load() == closed {
		return 0, endpoint.EBADF
	}
	if level != endpoint.SOL_SOCKET {
		return 0, endpoint.EOPNOTSUPP
	}
	if o := e.family.option(name); o != nil && o.get != nil {
		return o.get(e, buf)
	}
	return 0, endpoint.ENOPROTOOPT
}

// SetOption implements endpoint.Endpoint. A value shorter than an int is
// EINVAL, whatever the option.
func (e *Endpoint) SetOption(level, name int, value []byte) error {
	if e.state.Load() == closed {
		return endpoint.EBADF
	}
	if level != endpoint.SOL_SOCKET {
		return endpoint.EOPNOTSUPP
	}
	o := e.family.option(name)
	if name == endpoint.SO_BINDTODEVICE {
		return o.set(e, value)
	}
	if len(value) < 4 {
		return endpoint.EINVAL
	}
	if o != nil && o.set != nil {
		return o.set(e, value)
	}
	return endpoint.ENOPROTOOPT
}

func (f *Family) option(name int) *option {
	for i := range f.options {
		if f.options[i].name == name {
			return &f.options[i]
		}
	}
	return nil
}

// options makes the table.
func options() []option {
	const (
		noRoute = "there are no routes, devices or packets"
		limits  = "calls that wait; of it and the timeout of the open socket (settimeout) the shorter one counts"
	)
	return []option{
		{name: endpoint.SO_TYPE, label: "SO_TYPE", get: getInt(func(e *Endpoint) int { return e.typ })},
		{name: endpoint.SO_DOMAIN, label: "SO_DOMAIN", get: getInt(func(*Endpoint) int { return endpoint.AF_UNIX })},
		{name: endpoint.SO_PROTOCOL, label: "SO_PROTOCOL", note: "always 0",
			get: getInt(func(*Endpoint) int { return 0 })},
		{name: endpoint.SO_ERROR, label: "SO_ERROR", note: "told once",
			get: getInt(func(e *Endpoint) int { return int(e.err.Swap(0)) })},
		{name: endpoint.SO_ACCEPTCONN, label: "SO_ACCEPTCONN",
			get: getInt(func(e *Endpoint) int { return truth(e.state.Load() == listening) })},
		{name: endpoint.SO_SNDBUF, label: "SO_SNDBUF", note: "memory under way, as Linux counts it; the value set is doubled",
			get: getInt(func(e *Endpoint) int { return int(e.sndbuf.Load()) }),
			set: setInt(func(e *Endpoint, v int) error {
				e.setSendBuffer(2 * clampBuffer(v))
				return nil
			})},
		{name: endpoint.SO_SNDBUFFORCE, label: "SO_SNDBUFFORCE", note: "for user 0",
			set: setInt(func(e *Endpoint, v int) error {
				if e.cred.Uid != 0 {
					return endpoint.EPERM
				}
				e.setSendBuffer(2 * min(max(v, 0), math.MaxInt32/2))
				return nil
			})},
		{name: endpoint.SO_RCVBUF, label: "SO_RCVBUF", kind: keeping, note: "as on Linux only the sender's buffer counts",
			get: getStoredInt(endpoint.SO_RCVBUF, defaultBuffer),
			set: setInt(func(e *Endpoint, v int) error {
				e.storeInt(endpoint.SO_RCVBUF, max(2*clampBuffer(v), minRecvBuffer))
				return nil
			})},
		{name: endpoint.SO_RCVBUFFORCE, label: "SO_RCVBUFFORCE", kind: keeping, note: "for user 0",
			set: setInt(func(e *Endpoint, v int) error {
				if e.cred.Uid != 0 {
					return endpoint.EPERM
				}
				e.storeInt(endpoint.SO_RCVBUF, max(2*min(max(v, 0), math.MaxInt32/2), minRecvBuffer))
				return nil
			})},
		{name: endpoint.SO_RCVLOWAT, label: "SO_RCVLOWAT", note: "streams, for calls that wait; readiness does not look at it",
			get: getStoredInt(endpoint.SO_RCVLOWAT, 1),
			set: setInt(func(e *Endpoint, v int) error {
				switch {
				case v < 0:
					v = math.MaxInt32
				case v == 0:
					v = 1
				}
				e.storeInt(endpoint.SO_RCVLOWAT, v) // the layer above does the waiting
				return nil
			})},
		{name: endpoint.SO_SNDLOWAT, label: "SO_SNDLOWAT", note: "always 1", get: getInt(func(*Endpoint) int { return 1 })},
		{name: endpoint.SO_PASSCRED, label: "SO_PASSCRED",
			get: getInt(func(e *Endpoint) int { return truth(e.passCred.Load()) }),
			set: setInt(func(e *Endpoint, v int) error { e.passCred.Store(v != 0); return nil })},
		{name: endpoint.SO_PASSRIGHTS, label: "SO_PASSRIGHTS", note: "on at first; off, sending rights here is EPERM",
			get: getInt(func(e *Endpoint) int { return truth(!e.noRights.Load()) }),
			set: setInt(func(e *Endpoint, v int) error { e.noRights.Store(v == 0); return nil })},
		{name: endpoint.SO_PEERCRED, label: "SO_PEERCRED", note: "who connected, or who listened",
			get: func(e *Endpoint, buf []byte) (int, error) { return endpoint.PutCred(buf, e.peerCredentials()), nil }},
		{name: endpoint.SO_PEERGROUPS, label: "SO_PEERGROUPS", note: "an empty list: no groups are known",
			get: func(e *Endpoint, _ []byte) (int, error) {
				if e.peerCredentials() == unknownPeer {
					return 0, endpoint.ENODATA
				}
				return 0, nil
			}},
		{name: endpoint.SO_PEERNAME, label: "SO_PEERNAME", get: (*Endpoint).peerName},
		{name: endpoint.SO_COOKIE, label: "SO_COOKIE", get: func(e *Endpoint, buf []byte) (int, error) {
			if len(buf) < 8 {
				return 0, endpoint.EINVAL
			}
			binary.NativeEndian.PutUint64(buf, e.id)
			return 8, nil
		}},
		{name: endpoint.SO_MEMINFO, label: "SO_MEMINFO", note: "memory under way, and buffer sizes", get: (*Endpoint).memInfo},
		{name: endpoint.SO_PEEK_OFF, label: "SO_PEEK_OFF",
			get: getInt(func(e *Endpoint) int { return int(e.peekOff.Load()) }),
			set: setInt(func(e *Endpoint, v int) error { e.peekOff.Store(int32(v)); return nil })},
		stamping(endpoint.SO_TIMESTAMP, "SO_TIMESTAMP"),
		stamping(endpoint.SO_TIMESTAMPNS, "SO_TIMESTAMPNS"),
		{name: endpoint.SO_LINGER, label: "SO_LINGER", kind: keeping, note: "what was sent is the peer's at once",
			get: func(e *Endpoint, buf []byte) (int, error) {
				return e.getStored(endpoint.SO_LINGER, make([]byte, 8), buf), nil
			},
			set: func(e *Endpoint, value []byte) error {
				on, d, err := endpoint.Linger(value)
				if err != nil {
					return err
				}
				b := make([]byte, 8)
				if !on { // the time stays, as on Linux
					e.getStored(endpoint.SO_LINGER, b, b)
					_, d, _ = endpoint.Linger(b)
				}
				endpoint.PutLinger(b, on, d)
				e.store(endpoint.SO_LINGER, b)
				return nil
			}},
		timeout(endpoint.SO_RCVTIMEO, "SO_RCVTIMEO", limits),
		timeout(endpoint.SO_SNDTIMEO, "SO_SNDTIMEO", limits),
		{name: endpoint.SO_REUSEPORT, label: "SO_REUSEPORT", note: "cannot be set: EOPNOTSUPP",
			get: getInt(func(*Endpoint) int { return 0 }),
			set: setInt(refuseTrue)},
		{name: endpoint.SO_ZEROCOPY, label: "SO_ZEROCOPY", note: "cannot be set: EOPNOTSUPP",
			get: getInt(func(*Endpoint) int { return 0 }),
			set: setInt(func(*Endpoint, int) error { return endpoint.EOPNOTSUPP })},
		{name: endpoint.SO_BSDCOMPAT, label: "SO_BSDCOMPAT", kind: keeping, note: "not even kept, as on Linux",
			get: getInt(func(*Endpoint) int { return 0 }),
			set: setInt(func(*Endpoint, int) error { return nil })},
		{name: endpoint.SO_BINDTODEVICE, label: "SO_BINDTODEVICE", note: noRoute + ": any name is ENODEV",
			get: func(*Endpoint, []byte) (int, error) { return 0, nil },
			set: func(_ *Endpoint, value []byte) error {
				if len(value) > 0 && value[0] != 0 {
					return endpoint.ENODEV
				}
				return nil
			}},
		{name: endpoint.SO_INCOMING_NAPI_ID, label: "SO_INCOMING_NAPI_ID", note: noRoute,
			get: getInt(func(*Endpoint) int { return 0 })},
		{name: endpoint.SO_PRIORITY, label: "SO_PRIORITY", kind: keeping, note: noRoute,
			get: getStoredInt(endpoint.SO_PRIORITY, 0),
			set: setInt(func(e *Endpoint, v int) error {
				if (v < 0 || v > 6) && e.cred.Uid != 0 {
					return endpoint.EPERM
				}
				e.storeInt(endpoint.SO_PRIORITY, v)
				return nil
			})},
		{name: endpoint.SO_MARK, label: "SO_MARK", kind: keeping, note: noRoute + "; for user 0",
			get: getStoredInt(endpoint.SO_MARK, 0),
			set: setInt(func(e *Endpoint, v int) error {
				if e.cred.Uid != 0 {
					return endpoint.EPERM
				}
				e.storeInt(endpoint.SO_MARK, v)
				return nil
			})},
		{name: endpoint.SO_DEBUG, label: "SO_DEBUG", kind: keeping, note: "nothing is traced here; for user 0, else EACCES",
			get: getStoredInt(endpoint.SO_DEBUG, 0),
			set: setInt(func(e *Endpoint, v int) error {
				if v != 0 && e.cred.Uid != 0 {
					return endpoint.EACCES
				}
				e.storeInt(endpoint.SO_DEBUG, truth(v != 0))
				return nil
			})},
		flag(endpoint.SO_REUSEADDR, "SO_REUSEADDR", "a name that is taken stays taken"),
		flag(endpoint.SO_DONTROUTE, "SO_DONTROUTE", noRoute),
		flag(endpoint.SO_BROADCAST, "SO_BROADCAST", noRoute),
		flag(endpoint.SO_KEEPALIVE, "SO_KEEPALIVE", "a peer cannot vanish"),
		{name: endpoint.SO_OOBINLINE, label: "SO_OOBINLINE", note: "streams; the others have no urgent data",
			get: getInt(func(e *Endpoint) int { return truth(e.inline.Load()) }),
			set: setInt(func(e *Endpoint, v int) error { e.inline.Store(v != 0); return nil })},
		flag(endpoint.SO_NO_CHECK, "SO_NO_CHECK", noRoute),
		flag(endpoint.SO_RXQ_OVFL, "SO_RXQ_OVFL", "no datagram is dropped"),
		flag(endpoint.SO_WIFI_STATUS, "SO_WIFI_STATUS", noRoute),
		flag(endpoint.SO_NOFCS, "SO_NOFCS", noRoute),
		{name: endpoint.SO_SELECT_ERR_QUEUE, label: "SO_SELECT_ERR_QUEUE", note: "messages: with an error there is POLLPRI too",
			get: getInt(func(e *Endpoint) int { return truth(e.errPri.Load()) }),
			set: setInt(func(e *Endpoint, v int) error { e.errPri.Store(v != 0); return nil })},
		flag(endpoint.SO_RCVMARK, "SO_RCVMARK", noRoute),
		flag(endpoint.SO_RCVPRIORITY, "SO_RCVPRIORITY", noRoute),
		{name: endpoint.SO_BUSY_POLL, label: "SO_BUSY_POLL", kind: keeping, note: noRoute,
			get: getStoredInt(endpoint.SO_BUSY_POLL, 0),
			set: setInt(func(e *Endpoint, v int) error {
				if v < 0 {
					return endpoint.EINVAL
				}
				e.storeInt(endpoint.SO_BUSY_POLL, v)
				return nil
			})},
		{name: endpoint.SO_INCOMING_CPU, label: "SO_INCOMING_CPU", kind: keeping, note: noRoute,
			get: getStoredInt(endpoint.SO_INCOMING_CPU, -1),
			set: setInt(func(e *Endpoint, v int) error {
				e.storeInt(endpoint.SO_INCOMING_CPU, v)
				return nil
			})},
	}
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

func refuseTrue(_ *Endpoint, v int) error {
	if v != 0 {
		return endpoint.EOPNOTSUPP
	}
	return nil
}

func getInt(f func(*Endpoint) int) func(*Endpoint, []byte) (int, error) {
	return func(e *Endpoint, buf []byte) (int, error) { return endpoint.PutInt(buf, f(e)), nil }
}

func setInt(f func(*Endpoint, int) error) func(*Endpoint, []byte) error {
	return func(e *Endpoint, value []byte) error {
		v, err := endpoint.Int(value)
		if err != nil {
			return err
		}
		return f(e, v)
	}
}

// flag is an option that is on or off, and stored.
func flag(name int, label, note string) option {
	return option{name: name, label: label, kind: keeping, note: note,
		get: getStoredInt(name, 0),
		set: setInt(func(e *Endpoint, v int) error { e.storeInt(name, truth(v != 0)); return nil })}
}

// stamping is SO_TIMESTAMP or SO_TIMESTAMPNS, of which one is on at a time.
func stamping(name int, label string) option {
	return option{name: name, label: label, note: "for messages; a stream's bytes have no time",
		get: getInt(func(e *Endpoint) int { return truth(e.stamp.Load() == int32(name)) }),
		set: setInt(func(e *Endpoint, v int) error {
			e.stamp.Store(int32(name * truth(v != 0)))
			return nil
		})}
}

// timeout is SO_RCVTIMEO or SO_SNDTIMEO.
func timeout(name int, label, note string) option {
	return option{name: name, label: label, note: note,
		get: func(e *Endpoint, buf []byte) (int, error) {
			var zero [16]byte
			n := endpoint.PutTimeval(zero[:], 0)
			return e.getStored(name, zero[:n], buf), nil
		},
		set: func(e *Endpoint, value []byte) error {
			d, err := endpoint.Timeval(value)
			if err != nil {
				return err
			}
			var b [16]byte
			n := endpoint.PutTimeval(b[:], max(d, time.Duration(0)))
			e.store(name, b[:n])
			return nil
		}}
}

// clampBuffer cuts a buffer size as Linux does, which takes a negative one for
// a large one.
func clampBuffer(v int) int { return int(min(uint32(v), maxBuffer)) }

func (e *Endpoint) setSendBuffer(size int) {
	e.sndbuf.Store(int64(max(size, minSendBuffer)))
	e.event(endpoint.Out)
}

func (e *Endpoint) peerCredentials() endpoint.Cred {
	e.family.mu.Lock()
	defer e.family.mu.Unlock()
	return e.peerCred
}

// peerName writes the peer's struct sockaddr_un: EINVAL if that is shorter
// than the buffer.
func (e *Endpoint) peerName(buf []byte) (int, error) {
	peer, err := e.PeerAddr()
	if err != nil {
		return 0, err
	}
	b := binary.NativeEndian.AppendUint16(nil, endpoint.AF_UNIX)
	b = append(b, peer.Path...)
	if peer.Path != "" && peer.Path[0] != 0 {
		b = append(b, 0)
	}
	if len(b) < len(buf) {
		return 0, endpoint.EINVAL
	}
	return copy(buf, b), nil
}

// memInfo writes the nine words of SO_MEMINFO that Linux defines.
func (e *Endpoint) memInfo(buf []byte) (int, error) {
	var rcvbuf [4]byte
	endpoint.PutInt(rcvbuf[:], defaultBuffer)
	e.getStored(endpoint.SO_RCVBUF, rcvbuf[:], rcvbuf[:])
	var b []byte
	for _, v := range [9]uint32{
		1: binary.NativeEndian.Uint32(rcvbuf[:]),
		2: uint32(e.charged.Load()),
		3: uint32(e.sndbuf.Load()),
	} {
		b = binary.NativeEndian.AppendUint32(b, v)
	}
	return copy(buf, b), nil
}

func (e *Endpoint) store(name int, value []byte) {
	e.stored.mu.Lock()
	defer e.stored.mu.Unlock()
	if e.stored.values == nil {
		e.stored.values = make(map[int][]byte)
	}
	e.stored.values[name] = value
}

func (e *Endpoint) storeInt(name, v int) {
	b := make([]byte, 4)
	endpoint.PutInt(b, v)
	e.store(name, b)
}

// getStored copies the value of an option, or what it is if it was never set.
func (e *Endpoint) getStored(name int, unset, buf []byte) int {
	e.stored.mu.Lock()
	defer e.stored.mu.Unlock()
	if v, ok := e.stored.values[name]; ok {
		return copy(buf, v)
	}
	return copy(buf, unset)
}

func getStoredInt(name, unset int) func(*Endpoint, []byte) (int, error) {
	return func(e *Endpoint, buf []byte) (int, error) {
		var b [4]byte
		endpoint.PutInt(b[:], unset)
		return e.getStored(name, b[:], buf), nil
	}
}
