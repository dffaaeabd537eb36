//go:build !linux && !darwin && !windows

package netdev

import (
	"fmt"
	"runtime"

	"usersock/stack/endpoint"
)

// errNotHere is the error of what this operating system does not have.
var errNotHere = fmt.Errorf("there are no TUN interfaces for us on %s: %w", runtime.GOOS, endpoint.EOPNOTSUPP)

func checkTUNName(string) error { return nil }

func checkWaterName(string) error { return nil }

func openTUN(string, TUNConfig) (tunDevice, error) { return nil, errNotHere }

func openTAP(string, TUNConfig) (tunDevice, error) { return nil, errNotHere }

func openWater(name string, _ TUNConfig) (tunFile, string, error) { return nil, name, errNotHere }

func hostMTU(string) (int, error) { return 0, errNotHere }
