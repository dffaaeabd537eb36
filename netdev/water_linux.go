package netdev

import (
	"fmt"
	"net/netip"

	"github.com/songgao/water"
	"golang.org/x/sys/unix"

	"usersock/stack/endpoint"
)

func checkWaterName(name string) error { return checkInterfaceName(name) }

// openWater opens the interface with package water.
//
// water leaks a descriptor when it cannot set an interface up, and takes the
// persistence from one that it did not make. So the interface is opened and
// closed once by ourselves, which finds every error, and water is told to keep
// an interface persistent that was there before (one that was there and could
// be opened is persistent, or nobody would have kept it).
func openWater(name string, cfg TUNConfig) (tunFile, string, error) {
	if cfg.Path != "" || cfg.Network != (netip.Prefix{}) {
		return nil, name, fmt.Errorf("package water takes neither Path nor Network on Linux: %w", endpoint.EINVAL)
	}
	_, err := hostMTU(name)
	existed := name != "" && err == nil
	probe, _, err := openNode("", name, unix.IFF_TUN|unix.IFF_NO_PI)
	if err != nil {
		return nil, name, err
	}
	probe.Close()
	i, err := water.New(water.Config{
		DeviceType:             water.TUN,
		PlatformSpecificParams: water.PlatformSpecificParams{Name: name, Persist: existed},
	})
	if err != nil {
		return nil, name, fmt.Errorf("package water: %w", errnoOf(err))
	}
	return &waterFile{f: i}, i.Name(), nil
}
