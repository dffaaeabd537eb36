//go:build !linux

package netdev

import (
	"fmt"
	"net"
	"os"
	"runtime"

	"usersock/stack/endpoint"
)

// errNoFD is the error of what only Linux has.
func errNoFD() error {
	return fmt.Errorf("descriptors of TUN interfaces are not on %s: %w", runtime.GOOS, endpoint.EOPNOTSUPP)
}

func openFD(int, FDConfig) (tunDevice, error) { return nil, errNoFD() }

func openTUNFile(name string, _ TUNConfig) (*os.File, string, error) { return nil, name, errNoFD() }

func sendFile(*net.UnixConn, *os.File) error { return errNoFD() }

func receiveFile(*net.UnixConn) (*os.File, error) { return nil, errNoFD() }

func duplicate(*os.File) (int, error) { return -1, errNoFD() }

func closeFD(int) {}
