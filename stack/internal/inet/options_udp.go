package inet

import "usersock/stack/endpoint"

// udpOptions are those of udp(7). UDP_SEGMENT and UDP_GRO are absent on
// purpose: programs ask for them and do without on ENOPROTOOPT.
func udpOptions() []option {
	const level = endpoint.SOL_UDP
	return []option{
		{level: level, name: endpoint.UDP_CORK, symbol: "UDP_CORK", on: onDatagram,
			get: getFlag(flagUserCork),
			set: setInt(func(o target, v int) error {
				o.socket.set(flagUserCork, v != 0)
				if v == 0 {
					return o.udp.pushCorked()
				}
				return nil
			})},
		storedBool(level, endpoint.UDP_NO_CHECK6_TX, "UDP_NO_CHECK6_TX", onDatagram, 0, "netstack always sends a checksum over IPv6"),
		storedBool(level, endpoint.UDP_NO_CHECK6_RX, "UDP_NO_CHECK6_RX", onDatagram, 0, "netstack drops IPv6 datagrams without a checksum"),
	}
}
