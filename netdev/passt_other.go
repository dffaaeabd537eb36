//go:build !unix

package netdev

import (
	"fmt"
	"runtime"

	"usersock/stack/endpoint"
)

func openPasst(PasstConfig) (Link, error) {
	return nil, fmt.Errorf("it is not on %s: %w", runtime.GOOS, endpoint.EOPNOTSUPP)
}
