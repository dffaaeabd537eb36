//go:build !linux

package netdev

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"usersock/stack/endpoint"
)

// TestNotHere: what this system does not have is one error that says so.
func TestNotHere(t *testing.T) {
	for _, spec := range []string{"tap:tap0", "fd:3", "afpacket:eth0"} {
		l, err := Open(spec)
		if err == nil {
			Close(l)
			t.Errorf("opened %s", spec)
		} else if !errors.Is(err, endpoint.EOPNOTSUPP) || !strings.Contains(err.Error(), "on "+runtime.GOOS) {
			t.Errorf("%s: %v, want EOPNOTSUPP", spec, err)
		}
	}
}
