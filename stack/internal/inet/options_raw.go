package inet

import (
	"encoding/binary"

	"usersock/stack/endpoint"
)

// rawOptions are those of raw(7), icmp(7) and RFC 3542 that only raw sockets
// have.
func rawOptions() []option {
	return []option{
		{level: endpoint.SOL_RAW, name: endpoint.ICMP_FILTER, symbol: "ICMP_FILTER", on: onRaw | onInet4, least: 1,
			note: "EOPNOTSUPP unless the protocol is ICMP, as on Linux",
			get: func(o target, buf []byte) (int, error) {
				if o.proto != endpoint.IPPROTO_ICMP {
					return 0, endpoint.EOPNOTSUPP
				}
				r := o.dg.raw
				r.mu.Lock()
				defer r.mu.Unlock()
				return endpoint.PutInt(buf, int(int32(r.filter4))), nil
			},
			set: func(o target, value []byte) error {
				if o.proto != endpoint.IPPROTO_ICMP {
					return endpoint.EOPNOTSUPP
				}
				r := o.dg.raw
				r.mu.Lock()
				defer r.mu.Unlock()
				b := binary.NativeEndian.AppendUint32(nil, r.filter4)
				copy(b, value) // a short value changes the first bytes
				r.filter4 = binary.NativeEndian.Uint32(b)
				return nil
			}},
		{level: endpoint.SOL_ICMPV6, name: endpoint.ICMP6_FILTER, symbol: "ICMP6_FILTER", on: onRaw | onInet6, least: 1,
			note: "EOPNOTSUPP unless the protocol is ICMPv6, as on Linux",
			get: func(o target, buf []byte) (int, error) {
				if o.proto != endpoint.IPPROTO_ICMPV6 {
					return 0, endpoint.EOPNOTSUPP
				}
				r := o.dg.raw
				r.mu.Lock()
				defer r.mu.Unlock()
				return copy(buf, r.filter6[:]), nil
			},
			set: func(o target, value []byte) error {
				if o.proto != endpoint.IPPROTO_ICMPV6 {
					return endpoint.EOPNOTSUPP
				}
				r := o.dg.raw
				r.mu.Lock()
				defer r.mu.Unlock()
				copy(r.filter6[:], value)
				return nil
			}},
		checksumOption(endpoint.SOL_RAW),
		checksumOption(endpoint.IPPROTO_IPV6),
		{level: endpoint.IPPROTO_IP, name: endpoint.IP_HDRINCL, symbol: "IP_HDRINCL", on: onAll,
			note: "ENOPROTOOPT to set but on raw sockets, as on Linux",
			get:  getByte(func(o target) int { return number01(o.has(flagHdrIncl)) }),
			set: setByte(func(o target, v, _ int) error {
				if o.kind() != onRaw {
					return endpoint.ENOPROTOOPT
				}
				o.socket.set(flagHdrIncl, v != 0)
				return nil
			})},
		includedOption(endpoint.SOL_RAW),
		includedOption(endpoint.IPPROTO_IPV6),
		{level: endpoint.IPPROTO_IP, name: endpoint.IP_NODEFRAG, symbol: "IP_NODEFRAG", on: onAll, status: Stored,
			note: "what arrives is put together before anybody sees it; ENOPROTOOPT to set but on raw sockets, as on Linux",
			get:  getByte(func(o target) int { return o.storedInt(endpoint.IPPROTO_IP, endpoint.IP_NODEFRAG, 0) }),
			set: setByte(func(o target, v, _ int) error {
				if o.kind() != onRaw {
					return endpoint.ENOPROTOOPT
				}
				o.store(endpoint.IPPROTO_IP, endpoint.IP_NODEFRAG, number01(v != 0))
				return nil
			})},
	}
}

// checksumOption is IPV6_CHECKSUM: an even offset, or a negative number for
// none. RFC 3542, section 3.1: ICMPv6 has its checksum anyhow.
func checksumOption(level int) option {
	return option{
		level: level, name: endpoint.IPV6_CHECKSUM, symbol: "IPV6_CHECKSUM", on: onRaw | onInet6,
		note: "EINVAL to set at level IPPROTO_IPV6 where the protocol is ICMPv6, as on Linux",
		get: getInt(func(o target) int {
			r := o.dg.raw
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.checksum
		}),
		set: setInt(func(o target, v int) error {
			if o.proto == endpoint.IPPROTO_ICMPV6 && level == endpoint.IPPROTO_IPV6 || v > 0 && v%2 != 0 {
				return endpoint.EINVAL
			}
			r := o.dg.raw
			r.mu.Lock()
			defer r.mu.Unlock()
			r.checksum = max(v, -1)
			return nil
		}),
	}
}

// includedOption is IPV6_HDRINCL.
func includedOption(level int) option {
	return option{
		level: level, name: endpoint.IPV6_HDRINCL, symbol: "IPV6_HDRINCL", on: onRaw | onInet6,
		get: getFlag(flagHdrIncl), set: setFlag(flagHdrIncl),
	}
}
