//go:build darwin || windows

package netdev

import "net"

func checkTUNName(name string) error { return checkWaterName(name) }

func openTUN(name string, cfg TUNConfig) (tunFile, string, error) { return openWater(name, cfg) }

// hostMTU asks the host for the MTU of an interface.
func hostMTU(name string) (int, error) {
	in, err := net.InterfaceByName(name)
	if err != nil {
		return 0, err
	}
	return in.MTU, nil
}
