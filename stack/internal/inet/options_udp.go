package inet

import (
	"math"
	"sync/atomic"

	"usersock/stack/endpoint"
)

// udpOptions are those of udp(7) and udplite(7).
func udpOptions() []option {
	const level = endpoint.SOL_UDP
	return []option{
		{level: level, name: endpoint.UDP_CORK, symbol: "UDP_CORK", on: onPorts,
			get: getFlag(flagUserCork),
			set: setInt(func(o target, v int) error {
				o.socket.set(flagUserCork, v != 0)
				if v == 0 {
					return o.dg.pushCorked()
				}
				return nil
			})},
		{level: level, name: endpoint.UDP_NO_CHECK6_TX, symbol: "UDP_NO_CHECK6_TX", on: onPorts,
			note: "on UDP-Lite sockets without effect, as on Linux",
			get:  getFlag(flagNoCheck6TX), set: setFlag(flagNoCheck6TX)},
		{level: level, name: endpoint.UDP_NO_CHECK6_RX, symbol: "UDP_NO_CHECK6_RX", on: onPorts,
			note: "on UDP-Lite sockets without effect, as on Linux",
			get:  getFlag(flagNoCheck6RX), set: setFlag(flagNoCheck6RX)},
		{level: level, name: endpoint.UDP_SEGMENT, symbol: "UDP_SEGMENT", on: onPorts,
			note: "a Send is cut into datagrams of this size; a UDP-Lite socket that has one sends nothing: EIO, as on Linux",
			get:  getInt(func(o target) int { return int(o.dg.ip.segment.Load()) }),
			set: setInt(func(o target, v int) error {
				if v < 0 || v > math.MaxUint16 {
					return endpoint.EINVAL
				}
				o.dg.ip.segment.Store(int32(v))
				return nil
			})},
		storedBool(level, endpoint.UDP_GRO, "UDP_GRO", onPorts, 0, "datagrams are never put together on the way in, as on a Linux interface without GRO"),
		coverageOption(endpoint.UDPLITE_SEND_CSCOV, "UDPLITE_SEND_CSCOV", "", func(l *liteSettings) *atomic.Int32 { return &l.send }),
		coverageOption(endpoint.UDPLITE_RECV_CSCOV, "UDPLITE_RECV_CSCOV", "the least coverage that is accepted; ",
			func(l *liteSettings) *atomic.Int32 { return &l.recv }),
	}
}

// coverageOption is an option of udplite(7), which a UDP socket can read.
func coverageOption(name int, symbol, note string, at func(*liteSettings) *atomic.Int32) option {
	return option{
		level: endpoint.SOL_UDPLITE, name: name, symbol: symbol, on: onPorts,
		note: note + "on UDP sockets 0, and ENOPROTOOPT to set, as on Linux",
		get: getInt(func(o target) int {
			if o.dg.lite == nil {
				return 0
			}
			return coverage(at(o.dg.lite))
		}),
		set: setInt(func(o target, v int) error {
			if o.dg.lite == nil {
				return endpoint.ENOPROTOOPT
			}
			setCoverage(at(o.dg.lite), v)
			return nil
		}),
	}
}
