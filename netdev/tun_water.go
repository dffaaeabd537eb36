//go:build darwin || windows

package netdev

import (
	"fmt"
	"net"
	"runtime"

	"usersock/stack/endpoint"
)

func checkTUNName(name string) error { return checkWaterName(name) }

func openTUN(name string, cfg TUNConfig) (tunDevice, error) {
	if cfg.Queues > 1 || len(cfg.HardwareAddr) > 0 {
		return nil, fmt.Errorf("Queues and HardwareAddr are for Linux: %w", endpoint.EOPNOTSUPP)
	}
	file, name, err := openWater(name, cfg)
	if err != nil {
		return nil, err
	}
	return newTUN(file, name, cfg.MTU)
}

func openTAP(string, TUNConfig) (tunDevice, error) {
	return nil, fmt.Errorf("TAP interfaces are not on %s: %w", runtime.GOOS, endpoint.EOPNOTSUPP)
}

// hostMTU asks the host for the MTU of an interface.
func hostMTU(name string) (int, error) {
	in, err := net.InterfaceByName(name)
	if err != nil {
		return 0, err
	}
	return in.MTU, nil
}
