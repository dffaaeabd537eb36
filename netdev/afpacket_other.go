//go:build !linux

package netdev

import (
	"fmt"
	"runtime"

	"usersock/stack/endpoint"
)

func openAFPacket(string, AFPacketConfig) (Link, error) {
	return nil, fmt.Errorf("packet sockets are not on %s: %w", runtime.GOOS, endpoint.EOPNOTSUPP)
}
