package inet

import (
	"encoding/binary"
	"math"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

// Buffer sizes as Linux reports and bounds them, socket(7) and tcp(7): a value
// set is doubled, for its own bookkeeping, between a least and twice the
// system's maximum.
const (
	tcpSendBuffer = 16384   // tcp_wmem[1]
	tcpRecvBuffer = 131072  // tcp_rmem[1]
	udpBuffer     = 212992  // wmem_default and rmem_default
	bufferMax     = 4 << 20 // wmem_max and rmem_max, since Linux 6.17
	sendBufferMin = 4608    // SOCK_MIN_SNDBUF
	recvBufferMin = 2304    // SOCK_MIN_RCVBUF
)

func socketOptions() []option {
	const level = endpoint.SOL_SOCKET
	return []option{
		{level: level, name: endpoint.SO_DEBUG, symbol: "SO_DEBUG", on: onAll, status: Stored,
			note: "there is no kernel log to write to; to set it is EACCES but for uid 0",
			get:  getInt(func(o target) int { return o.storedInt(level, endpoint.SO_DEBUG, 0) }),
			set: setInt(func(o target, v int) error {
				if v != 0 && !o.admin() {
					return endpoint.EACCES
				}
				o.store(level, endpoint.SO_DEBUG, number01(v != 0))
				return nil
			})},
		{level: level, name: endpoint.SO_REUSEADDR, symbol: "SO_REUSEADDR", on: onAll,
			get: getBool(func(o target) bool { return o.ops().GetReuseAddress() }),
			set: setBool(func(o target, v bool) { o.ops().SetReuseAddress(v) })},
		{level: level, name: endpoint.SO_TYPE, symbol: "SO_TYPE", on: onAll,
			get: getInt(func(o target) int { return int(o.typ) })},
		{level: level, name: endpoint.SO_ERROR, symbol: "SO_ERROR", on: onAll,
			get: getInt(func(o target) int {
				var err error
				if o.tcp != nil {
					err = o.tcp.takeError()
				} else {
					err = o.dg.takePending()
				}
				e, _ := err.(endpoint.Errno)
				return int(e)
			})},
		{level: level, name: endpoint.SO_DONTROUTE, symbol: "SO_DONTROUTE", on: onAll,
			note: "over IPv4, as on Linux: what a router would have to carry is ENETUNREACH",
			get:  getFlag(flagNoRouter), set: setFlag(flagNoRouter)},
		{level: level, name: endpoint.SO_BROADCAST, symbol: "SO_BROADCAST", on: onAll,
			get: getBool(func(o target) bool { return o.ops().GetBroadcast() }),
			set: setBool(func(o target, v bool) { o.ops().SetBroadcast(v) })},
		{level: level, name: endpoint.SO_SNDBUF, symbol: "SO_SNDBUF", on: onAll,
			note: "a TCP socket's grows as needed until it is set; Linux's initial value is reported",
			get: getInt(func(o target) int {
				if o.tcp != nil && !o.has(flagSendBufSet) {
					return tcpSendBuffer
				}
				return clampInt(o.sendBuffer())
			}),
			set: setInt(func(o target, v int) error {
				o.setSendBuffer(min(uint(uint32(v)), bufferMax))
				return nil
			})},
		{level: level, name: endpoint.SO_RCVBUF, symbol: "SO_RCVBUF", on: onAll,
			note: "a TCP socket's grows as needed until it is set; Linux's initial value is reported",
			get: getInt(func(o target) int {
				if o.tcp != nil && !o.has(flagRecvBufSet) {
					return tcpRecvBuffer
				}
				return clampInt(o.ops().GetReceiveBufferSize())
			}),
			set: setInt(func(o target, v int) error {
				o.setRecvBuffer(min(uint(uint32(v)), bufferMax))
				return nil
			})},
		{level: level, name: endpoint.SO_SNDBUFFORCE, symbol: "SO_SNDBUFFORCE", on: onAll,
			note: "EPERM but for uid 0",
			set: setInt(func(o target, v int) error {
				if !o.admin() {
					return endpoint.EPERM
				}
				o.setSendBuffer(uint(max(v, 0)))
				return nil
			})},
		{level: level, name: endpoint.SO_RCVBUFFORCE, symbol: "SO_RCVBUFFORCE", on: onAll,
			note: "EPERM but for uid 0",
			set: setInt(func(o target, v int) error {
				if !o.admin() {
					return endpoint.EPERM
				}
				o.setRecvBuffer(uint(max(v, 0)))
				return nil
			})},
		{level: level, name: endpoint.SO_KEEPALIVE, symbol: "SO_KEEPALIVE", on: onAll,
			note: "stored on datagram sockets, as on Linux",
			get:  getBool(func(o target) bool { return o.ops().GetKeepAlive() }),
			set:  setBool(func(o target, v bool) { o.ops().SetKeepAlive(v) })},
		storedBool(level, endpoint.SO_OOBINLINE, "SO_OOBINLINE", onAll, 0, "there is no urgent data: it is always in line"),
		{level: level, name: endpoint.SO_NO_CHECK, symbol: "SO_NO_CHECK", on: onAll,
			note: "UDP over IPv4 sends no checksum; nothing else looks at it",
			get:  getBool(func(o target) bool { return o.ops().GetNoChecksum() }),
			set:  setBool(func(o target, v bool) { o.ops().SetNoChecksum(v) })},
		{level: level, name: endpoint.SO_PRIORITY, symbol: "SO_PRIORITY", on: onAll, status: Stored,
			note: "interfaces have one queue; outside 0 to 6 it is EPERM but for uid 0",
			get:  getInt(func(o target) int { return o.storedInt(level, endpoint.SO_PRIORITY, 0) }),
			set: setInt(func(o target, v int) error {
				if err := o.checkPriority(v); err != nil {
					return err
				}
				o.store(level, endpoint.SO_PRIORITY, v)
				return nil
			})},
		{level: level, name: endpoint.SO_LINGER, symbol: "SO_LINGER", on: onAll,
			note: "stored on datagram sockets, as on Linux",
			get: func(o target, buf []byte) (int, error) {
				l := o.ops().GetLinger()
				return endpoint.PutLinger(buf, l.Enabled, l.Timeout), nil
			},
			set: func(o target, value []byte) error {
				on, d, err := endpoint.Linger(value)
				if err != nil {
					return err
				}
				if d < 0 { // read unsigned: very long
					d = math.MaxInt32 * time.Second
				}
				if !on { // Linux keeps the time it had
					d = o.ops().GetLinger().Timeout
				}
				o.ops().SetLinger(tcpip.LingerOption{Enabled: on, Timeout: d})
				return nil
			}},
		{level: level, name: endpoint.SO_BSDCOMPAT, symbol: "SO_BSDCOMPAT", on: onAll, status: Stored,
			note: "not even kept, as on Linux",
			get:  getInt(func(target) int { return 0 }),
			set:  setInt(func(target, int) error { return nil })},
		{level: level, name: endpoint.SO_REUSEPORT, symbol: "SO_REUSEPORT", on: onAll,
			get: getBool(func(o target) bool {
				if o.tcp != nil {
					return o.has(flagReusePort) // netstack is told something else, see bindRaw
				}
				return o.ops().GetReusePort()
			}),
			set: setBool(func(o target, v bool) {
				if o.tcp != nil {
					o.socket.set(flagReusePort, v)
					return
				}
				o.ops().SetReusePort(v)
			})},
		{level: level, name: endpoint.SO_PASSCRED, symbol: "SO_PASSCRED", on: onAll,
			note: "EOPNOTSUPP, as on Linux from 6.16 on: credentials pass AF_UNIX sockets only",
			get:  getIntErr(func(target) (int, error) { return 0, endpoint.EOPNOTSUPP }),
			set:  setInt(func(target, int) error { return endpoint.EOPNOTSUPP })},
		{level: level, name: endpoint.SO_PEERCRED, symbol: "SO_PEERCRED", on: onAll,
			note: "an inet socket's peer has none: pid 0, uid and gid -1, as on Linux",
			get: func(_ target, buf []byte) (int, error) {
				return endpoint.PutCred(buf, endpoint.Cred{Uid: math.MaxUint32, Gid: math.MaxUint32}), nil
			}},
		{level: level, name: endpoint.SO_RCVLOWAT, symbol: "SO_RCVLOWAT", on: onAll,
			note: "TCP sockets: how many bytes poll(2) and select(2) wait for, and calls that wait",
			get:  getInt(func(o target) int { return o.storedInt(level, endpoint.SO_RCVLOWAT, 1) }),
			set: setInt(func(o target, v int) error {
				switch {
				case v < 0:
					v = math.MaxInt32
				case v == 0:
					v = 1
				}
				if o.tcp != nil { // what the buffer could never hold is not waited for
					v = min(v, clampInt(o.ops().GetReceiveBufferSize()/2))
				}
				o.store(level, endpoint.SO_RCVLOWAT, v)
				o.socket.set(flagLowWater, v > 1 && o.tcp != nil)
				o.tell(endpoint.In)
				return nil
			})},
		{level: level, name: endpoint.SO_SNDLOWAT, symbol: "SO_SNDLOWAT", on: onAll,
			note: "always 1, as on Linux",
			get:  getInt(func(target) int { return 1 })},
		{level: level, name: endpoint.SO_PEEK_OFF, symbol: "SO_PEEK_OFF", on: onAll,
			note: "EOPNOTSUPP on raw and ping sockets, as on Linux",
			get: getIntErr(func(o target) (int, error) {
				if o.kind()&(onPing|onRaw) != 0 {
					return 0, endpoint.EOPNOTSUPP
				}
				return int(o.peekOff.Load() - 1), nil
			}),
			set: setInt(func(o target, v int) error {
				if o.kind()&(onPing|onRaw) != 0 {
					return endpoint.EOPNOTSUPP
				}
				o.peekOff.Store(int64(v) + 1)
				return nil
			})},
		timeoutOption(endpoint.SO_RCVTIMEO, "SO_RCVTIMEO"),
		timeoutOption(endpoint.SO_SNDTIMEO, "SO_SNDTIMEO"),
		{level: level, name: endpoint.SO_BINDTODEVICE, symbol: "SO_BINDTODEVICE", on: onAll,
			get: func(o target, buf []byte) (int, error) {
				nic := o.ops().GetBindToDevice()
				if nic == 0 {
					return 0, nil
				}
				if len(buf) < ifNameSize {
					return 0, endpoint.EINVAL
				}
				name, ok := o.p.interfaceName(int(nic))
				if !ok {
					return 0, endpoint.ENODEV
				}
				return copy(buf, name+"\x00"), nil
			},
			set: func(o target, value []byte) error {
				value = value[:min(len(value), ifNameSize-1)]
				nic := 0
				if name := cString(value); name != "" {
					index, ok := o.p.interfaceIndex(name)
					if !ok {
						return endpoint.ENODEV
					}
					nic = index
				}
				return o.bindToDevice(nic)
			}},
		{level: level, name: endpoint.SO_TIMESTAMP, symbol: "SO_TIMESTAMP", on: onAll,
			note: "datagram sockets; netstack does not keep when a stream's bytes came",
			get:  getFlag(flagTimestamp),
			set: setBool(func(o target, v bool) {
				o.socket.set(flagTimestampNS, false)
				o.socket.set(flagTimestamp, v)
			})},
		{level: level, name: endpoint.SO_TIMESTAMPNS, symbol: "SO_TIMESTAMPNS", on: onAll,
			note: "datagram sockets; netstack does not keep when a stream's bytes came",
			get:  getFlag(flagTimestampNS),
			set: setBool(func(o target, v bool) {
				o.socket.set(flagTimestamp, false)
				o.socket.set(flagTimestampNS, v)
			})},
		{level: level, name: endpoint.SO_ACCEPTCONN, symbol: "SO_ACCEPTCONN", on: onAll,
			get: getBool(func(o target) bool {
				return o.tcp != nil && tcp.EndpointState(o.raw.State()) == tcp.StateListen
			})},
		{level: level, name: endpoint.SO_MARK, symbol: "SO_MARK", on: onAll, status: Stored,
			note: "no rule of the stack looks at marks; to set it is EPERM but for uid 0",
			get:  getInt(func(o target) int { return int(o.ops().GetMark()) }),
			set: setInt(func(o target, v int) error {
				if !o.admin() {
					return endpoint.EPERM
				}
				o.ops().SetMark(uint32(v))
				return nil
			})},
		{level: level, name: endpoint.SO_PROTOCOL, symbol: "SO_PROTOCOL", on: onAll,
			get: getInt(func(o target) int { return int(o.proto) })},
		{level: level, name: endpoint.SO_DOMAIN, symbol: "SO_DOMAIN", on: onAll,
			get: getInt(func(o target) int { return int(o.af) })},
		{level: level, name: endpoint.SO_RXQ_OVFL, symbol: "SO_RXQ_OVFL", on: onAll,
			note: "datagram sockets, whose queue can overflow",
			get:  getFlag(flagDropCount), set: setFlag(flagDropCount)},
		storedInt(level, endpoint.SO_BUSY_POLL, "SO_BUSY_POLL", onAll, 0, 0, anyInt, "there is no device queue to poll"),
		{level: level, name: endpoint.SO_SELECT_ERR_QUEUE, symbol: "SO_SELECT_ERR_QUEUE", on: onAll,
			note: "of all but TCP sockets, as on Linux: with an error there is POLLPRI too",
			get:  getFlag(flagErrorPri), set: setFlag(flagErrorPri)},
		storedInt(level, endpoint.SO_INCOMING_CPU, "SO_INCOMING_CPU", onAll, -1, math.MinInt32, anyInt, "packets are not steered to processors"),
		{level: level, name: endpoint.SO_INCOMING_NAPI_ID, symbol: "SO_INCOMING_NAPI_ID", on: onAll,
			note: "there is no device queue: 0",
			get:  getInt(func(target) int { return 0 })},
		{level: level, name: endpoint.SO_MAX_PACING_RATE, symbol: "SO_MAX_PACING_RATE", on: onAll, status: Stored,
			note: "netstack does not pace",
			get: func(o target, buf []byte) (int, error) {
				rate := uint64(math.MaxUint64)
				if b, ok := o.storedBytes(level, endpoint.SO_MAX_PACING_RATE); ok {
					rate = binary.NativeEndian.Uint64(b)
				}
				if len(buf) < wordSize || wordSize == 4 {
					return endpoint.PutInt(buf, int(int32(uint32(min(rate, math.MaxUint32))))), nil
				}
				binary.NativeEndian.PutUint64(buf, rate)
				return 8, nil
			},
			set: func(o target, value []byte) error {
				v, err := endpoint.Int(value)
				if err != nil {
					return err
				}
				rate := uint64(uint32(v))
				switch {
				case wordSize == 8 && len(value) == 8:
					rate = binary.NativeEndian.Uint64(value)
				case v == -1:
					rate = math.MaxUint64
				}
				o.storeBytes(level, endpoint.SO_MAX_PACING_RATE, binary.NativeEndian.AppendUint64(nil, rate))
				return nil
			}},
		{level: level, name: endpoint.SO_MEMINFO, symbol: "SO_MEMINFO", on: onAll,
			note: "buffer limits; of datagram sockets also what waits in them and how many were lost; the rest is 0",
			get:  func(o target, buf []byte) (int, error) { return copy(buf, o.memInfo()), nil }},
		{level: level, name: endpoint.SO_ZEROCOPY, symbol: "SO_ZEROCOPY", on: onAll, status: Stored,
			note: "MSG_ZEROCOPY copies, and no completion is queued; EOPNOTSUPP to set but on TCP and UDP sockets, as on Linux",
			get:  getInt(func(o target) int { return o.storedInt(level, endpoint.SO_ZEROCOPY, 0) }),
			set: setInt(func(o target, v int) error {
				switch {
				case o.kind()&(onTCP|onUDP) == 0:
					return endpoint.EOPNOTSUPP
				case v != 0 && v != 1:
					return endpoint.EINVAL
				}
				o.store(level, endpoint.SO_ZEROCOPY, v)
				return nil
			})},
		{level: level, name: endpoint.SO_COOKIE, symbol: "SO_COOKIE", on: onAll,
			get: func(o target, buf []byte) (int, error) {
				if len(buf) < 8 {
					return 0, endpoint.EINVAL
				}
				binary.NativeEndian.PutUint64(buf, o.id)
				return 8, nil
			}},
		{level: level, name: endpoint.SO_BINDTOIFINDEX, symbol: "SO_BINDTOIFINDEX", on: onAll,
			get: getInt(func(o target) int { return int(o.ops().GetBindToDevice()) }),
			set: setInt(func(o target, v int) error {
				if v < 0 {
					return endpoint.EINVAL
				}
				return o.bindToDevice(v)
			})},
	}
}

// checkPriority is sk_set_prio_allowed of Linux.
func (s *socket) checkPriority(v int) error {
	if (v < 0 || v > 6) && !s.admin() {
		return endpoint.EPERM
	}
	return nil
}

// ifNameSize is IFNAMSIZ, the terminating NUL included.
const ifNameSize = 16

func clampInt(v int64) int { return int(min(v, math.MaxInt32)) }

func (o target) setSendBuffer(v uint) {
	size := max(2*int64(min(v, math.MaxInt32/2)), sendBufferMin)
	o.ops().SetSendBufferSize(size, true)
	if o.tcp != nil {
		if w := o.tcp.notSent.Load(); w != nil {
			w.size.Store(size)
		}
	}
	o.socket.set(flagSendBufSet, true)
}

func (o target) sendBuffer() int64 {
	if o.tcp != nil {
		return o.tcp.sendBuffer()
	}
	return o.ops().GetSendBufferSize()
}

func (o target) setRecvBuffer(v uint) {
	o.ops().SetReceiveBufferSize(max(2*int64(min(v, math.MaxInt32/2)), recvBufferMin), true)
	o.socket.set(flagRecvBufSet, true)
}

func (o target) bindToDevice(nic int) error {
	if nic != 0 && !o.p.stack.HasNIC(tcpip.NICID(nic)) {
		return endpoint.ENODEV
	}
	if now := o.ops().GetBindToDevice(); now != 0 && int(now) != nic && !o.admin() {
		return endpoint.EPERM
	}
	return errno(o.ops().SetBindToDevice(int32(nic)))
}

// memInfo is the array of SK_MEMINFO_VARS words: bytes that wait in, their
// limit, bytes that wait out, their limit, four that the kernel keeps for
// itself, and the number of packets lost.
func (o target) memInfo() []byte {
	var words [9]int
	words[1], words[3] = clampInt(o.ops().GetReceiveBufferSize()), clampInt(o.sendBuffer())
	if o.tcp != nil {
		if !o.has(flagRecvBufSet) {
			words[1] = tcpRecvBuffer
		}
		if !o.has(flagSendBufSet) {
			words[3] = tcpSendBuffer
		}
	} else {
		var lost uint32
		words[0], lost = o.dg.in.charged()
		words[2], words[8] = clampInt(o.dg.inFlight.Load()), int(lost)
	}
	var b []byte
	for _, w := range words {
		b = binary.NativeEndian.AppendUint32(b, uint32(w))
	}
	return b
}

// timeoutOption is SO_RCVTIMEO or SO_SNDTIMEO.
func timeoutOption(name int, symbol string) option {
	const level = endpoint.SOL_SOCKET
	return option{
		level: level, name: name, symbol: symbol, on: onAll,
		note: "calls that wait; of it and the timeout of the open socket (settimeout) the shorter one counts",
		get: func(o target, buf []byte) (int, error) {
			var d time.Duration
			if b, ok := o.storedBytes(level, name); ok {
				d = time.Duration(binary.NativeEndian.Uint64(b))
			}
			return endpoint.PutTimeval(buf, d), nil
		},
		set: func(o target, value []byte) error {
			d, err := endpoint.Timeval(value)
			if err != nil {
				return err
			}
			o.storeBytes(level, name, binary.NativeEndian.AppendUint64(nil, uint64(max(d, 0))))
			return nil
		},
	}
}
