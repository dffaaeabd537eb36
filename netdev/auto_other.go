//go:build !linux

package netdev

import (
	"fmt"
	"runtime"

	"usersock/stack/endpoint"
)

func hostTUNs() ([]hostTUN, error) {
	return nil, fmt.Errorf("not on %s: %w", runtime.GOOS, endpoint.EOPNOTSUPP)
}
