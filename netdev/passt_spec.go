package netdev

import (
	"fmt"
	"net"
)

// PasstConfig says how to start passt. Its zero value works.
type PasstConfig struct {
	// Path is the program; "" looks for passt in PATH.
	Path string

	// Args are further arguments, such as "--tcp-ports", "8080" to let the
	// outside in; passt(1).
	Args []string

	// MTU is the longest IP packet in bytes, 68 to 65535; 0 is 65520, which
	// costs passt the least.
	MTU int

	// HardwareAddr is the stack's own address; empty is a random one.
	HardwareAddr net.HardwareAddr
}

// OpenPasst starts passt and returns the link to it: the outside world for a
// process that has no privilege at all. The link owns the process and ends it.
// Addresses and routes come from passt by DHCP, DHCPv6 and router
// advertisements; it also takes any that are given by hand.
//
// passt gives up at once where the host has no default route; that, and
// whatever else it says, is the error of the link's [Status]. ENOENT means that
// passt is not installed.
func OpenPasst(cfg PasstConfig) (Link, error) {
	l, err := openPasst(cfg)
	if err != nil {
		return nil, fmt.Errorf("netdev: passt: %w", err)
	}
	return l, nil
}

func openPasstSpec(arg string, o SpecOptions) (Link, error) {
	if err := noName("passt:", arg); err != nil {
		return nil, err
	}
	return OpenPasst(PasstConfig{Path: o.Path, MTU: o.MTU, HardwareAddr: o.MAC})
}
