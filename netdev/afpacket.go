package netdev

import (
	"fmt"
	"net"

	"usersock/stack/endpoint"
)

// AFPacketConfig says how to use an interface of the host through a packet
// socket. Its zero value works.
type AFPacketConfig struct {
	// MTU is the length of the longest IP packet in bytes, 68 to that of the
	// interface; 0 is that of the interface.
	MTU int

	// HardwareAddr is the stack's own address, 6 bytes, that of one station;
	// empty is a random one. That of the interface is the same as ShareAddr.
	HardwareAddr net.HardwareAddr

	// ShareAddr uses the interface's own hardware address, for networks that let
	// no other pass: Wi-Fi, most clouds, macvlan. The kernel then hears all that
	// the stack hears, and resets connections that it does not know. So it must
	// have no IP address on the interface, now or later, its link-local IPv6
	// address included.
	ShareAddr bool
}

// OpenAFPacket opens a link through the interface called name of the host's
// kernel, by a packet socket (packet(7)): what the stack sends leaves by that
// interface, such as one end of a veth pair, and what arrives there the stack
// receives. Checksums and segmentation are left to the kernel. The interface
// must be an Ethernet, and is left as it was; the link is down while it is down or
// has no carrier, and ends with ENODEV when it is deleted or leaves the network
// namespace. On Linux only; elsewhere EOPNOTSUPP.
//
// The stack is a station of its own on that network: it has a hardware address
// beside that of the interface (PACKET_MR_UNICAST; interfaces that cannot listen
// to two are promiscuous meanwhile), and so the kernel's own addresses there are
// in nobody's way, as long as the stack uses others. The two do not hear each
// other, as with macvlan: the kernel is reached through the other end.
//
// Errors say what to do: EPERM without CAP_NET_RAW, ENODEV where there is no
// such interface, EADDRINUSE where the kernel has an address and ShareAddr is
// wanted, EINVAL for a name that is none, an interface that is no Ethernet and
// an MTU out of range.
func OpenAFPacket(name string, cfg AFPacketConfig) (Link, error) {
	l, err := openAFPacket(name, cfg)
	if err != nil {
		return nil, fmt.Errorf("netdev: packet socket on interface %q: %w", name, err)
	}
	return l, nil
}

// check refuses what no interface could do.
func (cfg *AFPacketConfig) check() error {
	if cfg.MTU != 0 && (cfg.MTU < minMTU || cfg.MTU > maxPacket) {
		return fmt.Errorf("MTU %d is not within %d to %d: %w", cfg.MTU, minMTU, maxPacket, endpoint.EINVAL)
	}
	if cfg.ShareAddr && len(cfg.HardwareAddr) > 0 {
		return fmt.Errorf("HardwareAddr and ShareAddr exclude each other: %w", endpoint.EINVAL)
	}
	return checkHardwareAddr(cfg.HardwareAddr)
}

func openAFPacketSpec(name string, o SpecOptions) (Link, error) {
	return OpenAFPacket(name, AFPacketConfig{MTU: o.MTU, HardwareAddr: o.MAC, ShareAddr: o.Share})
}
