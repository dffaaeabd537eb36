package inet

import (
	"encoding/binary"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

// Bounds of tcp(7)'s options, linux/net/tcp.h.
const (
	maxKeepTime  = 32767 // MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL, seconds
	maxKeepCount = 127
	maxSynCount  = 127
	minSegment   = 88    // TCP_MIN_MSS
	maxSegment   = 32767 // MAX_TCP_WINDOW
	maxLinger2   = 120   // TCP_FIN_TIMEOUT_MAX, seconds
	caNameMax    = 16    // TCP_CA_NAME_MAX
	maxRTO       = 120   // TCP_RTO_MAX, seconds
	minClamp     = recvBufferMin / 2
)

// notConnected is TCP_CLOSE of Linux: neither a connection, nor an attempt, nor a
// listener.
func (o target) notConnected() bool {
	state := tcp.EndpointState(o.raw.State())
	return state == tcp.StateInitial || state == tcp.StateBound || ended(state)
}

func tcpOptions() []option {
	const level = endpoint.IPPROTO_TCP
	return []option{
		{level: level, name: endpoint.TCP_NODELAY, symbol: "TCP_NODELAY", on: onStream,
			get: getBool(func(o target) bool { return !o.ops().GetDelayOption() }),
			set: setBool(func(o target, v bool) { o.ops().SetDelayOption(!v) })},
		{level: level, name: endpoint.TCP_MAXSEG, symbol: "TCP_MAXSEG", on: onStream,
			note: "of a connection the route's largest segment is reported, not the one negotiated",
			get: getInt(func(o target) int {
				user := o.storedInt(level, endpoint.TCP_MAXSEG, 0)
				if size, ok := o.segmentSize(); ok {
					if user != 0 {
						size = min(size, user)
					}
					return size
				}
				if user != 0 {
					return user
				}
				return header.TCPDefaultMSS
			}),
			set: setInt(func(o target, v int) error {
				if v < minSegment || v > maxSegment {
					if v == 0 && o.storedInt(level, endpoint.TCP_MAXSEG, 0) == 0 {
						return nil
					}
					return endpoint.EINVAL
				}
				if err := o.setSockInt(tcpip.MaxSegOption, v); err != nil {
					return err
				}
				o.store(level, endpoint.TCP_MAXSEG, v)
				return nil
			})},
		{level: level, name: endpoint.TCP_CORK, symbol: "TCP_CORK", on: onStream,
			get: getFlag(flagUserCork),
			set: setBool(func(o target, v bool) {
				o.socket.set(flagUserCork, v)
				if v || !o.has(flagMore) {
					o.ops().SetCorkOption(v)
				}
			})},
		secondsOption(endpoint.TCP_KEEPIDLE, "TCP_KEEPIDLE", maxKeepTime,
			func(o target) time.Duration {
				var v tcpip.KeepaliveIdleOption
				_ = o.raw.GetSockOpt(&v)
				return time.Duration(v)
			},
			func(o target, d time.Duration) tcpip.Error {
				v := tcpip.KeepaliveIdleOption(d)
				return o.raw.SetSockOpt(&v)
			}),
		secondsOption(endpoint.TCP_KEEPINTVL, "TCP_KEEPINTVL", maxKeepTime,
			func(o target) time.Duration {
				var v tcpip.KeepaliveIntervalOption
				_ = o.raw.GetSockOpt(&v)
				return time.Duration(v)
			},
			func(o target, d time.Duration) tcpip.Error {
				v := tcpip.KeepaliveIntervalOption(d)
				return o.raw.SetSockOpt(&v)
			}),
		{level: level, name: endpoint.TCP_KEEPCNT, symbol: "TCP_KEEPCNT", on: onStream,
			get: getInt(func(o target) int { return o.sockInt(tcpip.KeepaliveCountOption) }),
			set: setInt(func(o target, v int) error {
				if v < 1 || v > maxKeepCount {
					return endpoint.EINVAL
				}
				return o.setSockInt(tcpip.KeepaliveCountOption, v)
			})},
		{level: level, name: endpoint.TCP_SYNCNT, symbol: "TCP_SYNCNT", on: onStream,
			note: "for connect; more than 6 counts as 6, since netstack retries no more often",
			get:  getInt(func(o target) int { return o.storedInt(level, endpoint.TCP_SYNCNT, tcp.DefaultSynRetries) }),
			set: setInt(func(o target, v int) error {
				if v < 1 || v > maxSynCount {
					return endpoint.EINVAL
				}
				o.store(level, endpoint.TCP_SYNCNT, v)
				return nil
			})},
		{level: level, name: endpoint.TCP_LINGER2, symbol: "TCP_LINGER2", on: onStream,
			get: getInt(func(o target) int {
				var v tcpip.TCPLingerTimeoutOption
				_ = o.raw.GetSockOpt(&v)
				if v < 0 {
					return -1
				}
				return int(time.Duration(v) / time.Second)
			}),
			set: setInt(func(o target, v int) error {
				d := tcpip.TCPLingerTimeoutOption(time.Duration(min(v, maxLinger2)) * time.Second)
				return errno(o.raw.SetSockOpt(&d))
			})},
		{level: level, name: endpoint.TCP_DEFER_ACCEPT, symbol: "TCP_DEFER_ACCEPT", on: onStream,
			note: "rounded up to a number of retransmissions, as on Linux; more than 2 minutes count as 2 minutes",
			get: getInt(func(o target) int {
				var v tcpip.TCPDeferAcceptOption
				_ = o.raw.GetSockOpt(&v)
				if s := int(time.Duration(v) / time.Second); s != maxRTO {
					return s
				}
				return o.storedInt(level, endpoint.TCP_DEFER_ACCEPT, maxRTO)
			}),
			set: setInt(func(o target, v int) error {
				v = retransmissionTime(v)
				o.store(level, endpoint.TCP_DEFER_ACCEPT, v)
				d := tcpip.TCPDeferAcceptOption(time.Duration(min(v, maxRTO)) * time.Second)
				return errno(o.raw.SetSockOpt(&d))
			})},
		{level: level, name: endpoint.TCP_WINDOW_CLAMP, symbol: "TCP_WINDOW_CLAMP", on: onStream, status: Stored,
			note: "netstack takes the number and advertises what it likes",
			get:  getInt(func(o target) int { return o.storedInt(level, endpoint.TCP_WINDOW_CLAMP, 0) }),
			set: setInt(func(o target, v int) error {
				if v == 0 {
					if o.has(flagConnecting|flagConnected) || tcp.EndpointState(o.raw.State()) == tcp.StateListen {
						return endpoint.EINVAL
					}
				} else {
					v = max(v, minClamp)
				}
				o.store(level, endpoint.TCP_WINDOW_CLAMP, v)
				return nil
			})},
		{level: level, name: endpoint.TCP_INFO, symbol: "TCP_INFO", on: onStream,
			note: "state, congestion state, RTO, RTT and its variation, congestion window, slow start threshold, reordering, MSS and PMTU; the rest is 0",
			get:  func(o target, buf []byte) (int, error) { return copy(buf, o.tcpInfo()), nil }},
		storedBool(level, endpoint.TCP_QUICKACK, "TCP_QUICKACK", onStream, 1, "netstack acknowledges at once, always"),
		{level: level, name: endpoint.TCP_CONGESTION, symbol: "TCP_CONGESTION", on: onStream, least: 1,
			note: "reno and cubic; another name is ENOENT",
			get: func(o target, buf []byte) (int, error) {
				var v tcpip.CongestionControlOption
				if err := o.raw.GetSockOpt(&v); err != nil {
					return 0, errno(err)
				}
				var name [caNameMax]byte
				copy(name[:], v)
				return copy(buf, name[:]), nil
			},
			set: func(o target, value []byte) error {
				if len(value) < 1 {
					return endpoint.EINVAL
				}
				v := tcpip.CongestionControlOption(cString(value[:min(len(value), caNameMax-1)]))
				return errno(o.raw.SetSockOpt(&v))
			}},
		storedInt(level, endpoint.TCP_THIN_LINEAR_TIMEOUTS, "TCP_THIN_LINEAR_TIMEOUTS", onStream, 0, 0, 1, "netstack has no thin-stream mode"),
		{level: level, name: endpoint.TCP_THIN_DUPACK, symbol: "TCP_THIN_DUPACK", on: onStream, status: Stored,
			note: "0 or 1 is accepted and forgotten, as on Linux",
			get:  getInt(func(target) int { return 0 }),
			set: setInt(func(_ target, v int) error {
				if v != 0 && v != 1 {
					return endpoint.EINVAL
				}
				return nil
			})},
		{level: level, name: endpoint.TCP_USER_TIMEOUT, symbol: "TCP_USER_TIMEOUT", on: onStream,
			get: getInt(func(o target) int {
				var v tcpip.TCPUserTimeoutOption
				_ = o.raw.GetSockOpt(&v)
				return int(time.Duration(v) / time.Millisecond)
			}),
			set: setInt(func(o target, v int) error {
				if v < 0 {
					return endpoint.EINVAL
				}
				d := tcpip.TCPUserTimeoutOption(time.Duration(v) * time.Millisecond)
				return errno(o.raw.SetSockOpt(&d))
			})},
		{level: level, name: endpoint.TCP_FASTOPEN, symbol: "TCP_FASTOPEN", on: onStream, status: Stored,
			note: "netstack has no fast open; connections are made the usual way",
			get:  getInt(func(o target) int { return o.storedInt(level, endpoint.TCP_FASTOPEN, 0) }),
			set: setInt(func(o target, v int) error {
				if v < 0 {
					return endpoint.EINVAL
				}
				o.store(level, endpoint.TCP_FASTOPEN, min(v, endpoint.SOMAXCONN)) // as a backlog
				return nil
			})},
		{level: level, name: endpoint.TCP_FASTOPEN_CONNECT, symbol: "TCP_FASTOPEN_CONNECT", on: onStream, status: Stored,
			note: "netstack has no fast open; connect sends the SYN at once. EINVAL once the socket is more than bound, as on Linux",
			get:  getInt(func(o target) int { return o.storedInt(level, endpoint.TCP_FASTOPEN_CONNECT, 0) }),
			set: setInt(func(o target, v int) error {
				if v != 0 && v != 1 || !o.notConnected() {
					return endpoint.EINVAL
				}
				o.store(level, endpoint.TCP_FASTOPEN_CONNECT, v)
				return nil
			})},
		storedInt(level, endpoint.TCP_FASTOPEN_NO_COOKIE, "TCP_FASTOPEN_NO_COOKIE", onStream, 0, 0, 1, "netstack has no fast open"),
		{level: level, name: endpoint.TCP_NOTSENT_LOWAT, symbol: "TCP_NOTSENT_LOWAT", on: onStream,
			get: getInt(func(o target) int { return o.storedInt(level, endpoint.TCP_NOTSENT_LOWAT, 0) }),
			set: setInt(func(o target, v int) error {
				o.store(level, endpoint.TCP_NOTSENT_LOWAT, v)
				o.tcp.setNotSent(uint32(v))
				return nil
			})},
	}
}

// secondsOption is a time of 1 to most seconds.
func secondsOption(name int, symbol string, most int, get func(target) time.Duration, set func(target, time.Duration) tcpip.Error) option {
	return option{
		level: endpoint.IPPROTO_TCP, name: name, symbol: symbol, on: onStream,
		get: getInt(func(o target) int { return int(get(o) / time.Second) }),
		set: setInt(func(o target, v int) error {
			if v < 1 || v > most {
				return endpoint.EINVAL
			}
			return errno(set(o, time.Duration(v)*time.Second))
		}),
	}
}

// retransmissionTime returns how many seconds pass until as many
// retransmissions as it takes to cover the given seconds: 1, 3, 7, 15 and so
// on, each pause twice the last up to the largest RTO. It is what Linux keeps
// of TCP_DEFER_ACCEPT (secs_to_retrans and retrans_to_secs).
func retransmissionTime(seconds int) int {
	if seconds <= 0 {
		return 0
	}
	period, pause := 1, 1
	for n := 1; seconds > period && n < 255; n++ {
		pause = min(2*pause, maxRTO)
		period += pause
	}
	return period
}

// tcpInfo is struct tcp_info of linux/tcp.h as far as TCPI_OPT and the 32-bit
// counters go: 104 bytes, which is what programs read; a longer buffer gets
// these.
func (o target) tcpInfo() []byte {
	var info tcpip.TCPInfoOption
	_ = o.raw.GetSockOpt(&info)
	b := make([]byte, 104)
	put := func(offset int, v uint32) { binary.NativeEndian.PutUint32(b[offset:], v) }
	micros := func(d time.Duration) uint32 { return uint32(d / time.Microsecond) }

	state := tcp.EndpointState(info.State)
	if state > tcp.StateClosing || state == tcp.StateTimeWait { // the last is no state of a socket
		state = tcp.StateClose
	}
	b[0] = byte(state) // tcpi_state: the numbers are Linux's
	b[1] = congestionState(info.CcState)
	mss := header.TCPDefaultMSS
	if size, ok := o.segmentSize(); ok {
		mss = size
		b[5] = 1 << 0 // tcpi_options: timestamps
	}
	put(8, micros(info.RTO)) // tcpi_rto
	put(16, uint32(mss))     // tcpi_snd_mss
	put(20, uint32(mss))     // tcpi_rcv_mss
	put(68, micros(info.RTT))
	put(72, micros(info.RTTVar))
	put(76, info.SndSsthresh)
	put(80, info.SndCwnd)
	put(84, uint32(mss)) // tcpi_advmss
	reordering := uint32(3)
	put(88, reordering)
	if mtu, err := o.pathMTU(); err == nil {
		put(60, uint32(mtu)) // tcpi_pmtu
	}
	return b
}

// congestionState translates to enum tcp_ca_state.
func congestionState(s tcpip.CongestionControlState) byte {
	switch s {
	case tcpip.Disorder:
		return 1
	case tcpip.FastRecovery, tcpip.SACKRecovery:
		return 3
	case tcpip.RTORecovery:
		return 4
	}
	return 0
}

// bequeath gives an accepted connection what Linux lets it inherit from its
// listener: every option, set or only stored, but for SO_PRIORITY. Usually
// nothing was set.
func (t *tcpEndpoint) bequeath(c *tcpEndpoint) {
	dst := c.raw.Load()
	dst.SocketOptions().SetDelayOption(true)
	if !t.has(flagInherit) {
		return
	}
	const inherited = flagTimestamp | flagTimestampNS | flagSendBufSet | flagRecvBufSet | flagUserCork | flagLowWater |
		flagDontFrag | flagRecvErr4 | flagRecvErr6 | flagFreeBind | flagTransparent | flagNoRouter | flagNoPort | flagErrorPri |
		flagDropCount | flagInherit | flagReusePort
	c.flags.Or(t.flags.Load() & inherited)
	t.storedMu.Lock()
	stored := make(map[optionKey][]byte, len(t.stored))
	for k, v := range t.stored {
		if k != (optionKey{endpoint.SOL_SOCKET, endpoint.SO_PRIORITY}) {
			stored[k] = v
		}
	}
	t.storedMu.Unlock()
	c.stored = stored
	c.peekOff.Store(t.peekOff.Load())
	c.least.Store(t.least.Load())
	c.copyOptions(dst, t.raw.Load())
	c.setNotSent(uint32(c.storedInt(endpoint.IPPROTO_TCP, endpoint.TCP_NOTSENT_LOWAT, 0)))
}

// copyOptions gives dst what netstack keeps of the options of src. The
// receiver is the socket of dst.
func (t *tcpEndpoint) copyOptions(dst, src *tcp.Endpoint) {
	to, from := dst.SocketOptions(), src.SocketOptions()
	to.SetV6Only(from.GetV6Only()) // Bind sets it too
	if !t.has(flagInherit) {
		return
	}
	to.SetReuseAddress(from.GetReuseAddress())
	to.SetBroadcast(from.GetBroadcast())
	to.SetNoChecksum(from.GetNoChecksum())
	to.SetDelayOption(from.GetDelayOption())
	to.SetLinger(from.GetLinger())
	to.SetMark(from.GetMark())
	to.SetMulticastLoop(from.GetMulticastLoop())
	to.SetReceivePacketInfo(from.GetReceivePacketInfo())
	to.SetIPv6ReceivePacketInfo(from.GetIPv6ReceivePacketInfo())
	to.SetReceiveTTL(from.GetReceiveTTL())
	to.SetReceiveTOS(from.GetReceiveTOS())
	to.SetReceiveTClass(from.GetReceiveTClass())
	to.SetReceiveHopLimit(from.GetReceiveHopLimit())
	to.SetReceiveOriginalDstAddress(from.GetReceiveOriginalDstAddress())
	_ = to.SetBindToDevice(from.GetBindToDevice())
	if t.has(flagUserCork) {
		to.SetCorkOption(true)
	}
	if w := t.notSent.Load(); w != nil {
		to.SetSendBufferSize(w.size.Load(), true)
	} else if t.has(flagSendBufSet) {
		to.SetSendBufferSize(from.GetSendBufferSize(), true)
	}
	if t.has(flagRecvBufSet) {
		to.SetReceiveBufferSize(from.GetReceiveBufferSize(), true)
	}
	for _, name := range []tcpip.SockOptInt{
		tcpip.IPv4TOSOption, tcpip.IPv4TTLOption, tcpip.IPv6HopLimitOption,
		tcpip.MTUDiscoverOption, tcpip.KeepaliveCountOption,
	} {
		if v, err := src.GetSockOptInt(name); err == nil {
			_ = dst.SetSockOptInt(name, v)
		}
	}
	if v := t.storedInt(endpoint.IPPROTO_TCP, endpoint.TCP_MAXSEG, 0); v != 0 {
		_ = dst.SetSockOptInt(tcpip.MaxSegOption, v)
	}
	copyOption[tcpip.KeepaliveIdleOption](dst, src)
	copyOption[tcpip.KeepaliveIntervalOption](dst, src)
	copyOption[tcpip.TCPUserTimeoutOption](dst, src)
	copyOption[tcpip.CongestionControlOption](dst, src)
	copyOption[tcpip.TCPLingerTimeoutOption](dst, src)
	copyOption[tcpip.TCPDeferAcceptOption](dst, src)
	if from.GetKeepAlive() {
		to.SetKeepAlive(true)
	}
}

// copyOption copies an option that has a type of its own.
func copyOption[T any, P interface {
	*T
	tcpip.GettableSocketOption
	tcpip.SettableSocketOption
}](dst, src tcpip.Endpoint) {
	var v T
	if err := src.GetSockOpt(P(&v)); err == nil {
		_ = dst.SetSockOpt(P(&v))
	}
}
