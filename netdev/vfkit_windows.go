package netdev

import (
	"fmt"

	"usersock/stack/endpoint"
)

// OpenVfkit is not on Windows: EOPNOTSUPP.
func OpenVfkit(string, SocketConfig) (Link, error) {
	return nil, fmt.Errorf("netdev: vfkit: Unix datagram sockets are not on windows: %w", endpoint.EOPNOTSUPP)
}
