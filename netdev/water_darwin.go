package netdev

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/songgao/water"

	"usersock/stack/endpoint"
)

// checkWaterName allows "" and utunN.
func checkWaterName(name string) error {
	if name == "" {
		return nil
	}
	number, ok := strings.CutPrefix(name, "utun")
	n, err := strconv.ParseUint(number, 10, 32)
	if !ok || err != nil || strconv.FormatUint(n, 10) != number {
		return fmt.Errorf("a TUN interface of macOS is called utun and a number: %w", endpoint.EINVAL)
	}
	return nil
}

// openWater opens the interface with package water, which leaks a descriptor
// when it fails: what can be known before is looked at before.
func openWater(name string, cfg TUNConfig) (tunFile, string, error) {
	if cfg.Path != "" || cfg.Network != (netip.Prefix{}) {
		return nil, name, fmt.Errorf("neither Path nor Network is for macOS: %w", endpoint.EINVAL)
	}
	if os.Geteuid() != 0 {
		return nil, name, explained("open", "macOS lets only root make an utun interface", endpoint.EPERM)
	}
	if name != "" {
		if _, err := net.InterfaceByName(name); err == nil {
			return nil, name, explained("open", "another process has it", endpoint.EBUSY)
		}
	}
	i, err := water.New(water.Config{
		DeviceType:             water.TUN,
		PlatformSpecificParams: water.PlatformSpecificParams{Name: name},
	})
	if err != nil {
		return nil, name, fmt.Errorf("package water: %w", errnoOf(err))
	}
	return &waterFile{f: i}, i.Name(), nil
}
