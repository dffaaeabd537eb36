package netdev

import (
	"fmt"
	"reflect"

	"github.com/songgao/water"
	"golang.org/x/sys/windows"

	"usersock/stack/endpoint"
)

// checkWaterName lets every name pass: an adapter's friendly name is free text.
func checkWaterName(string) error { return nil }

// openWater opens a TAP-Windows adapter (driver tap0901, as OpenVPN installs
// it) in its TUN mode with package water.
func openWater(name string, cfg TUNConfig) (tunFile, string, error) {
	if cfg.Path != "" {
		return nil, name, fmt.Errorf("Path is for Linux: %w", endpoint.EINVAL)
	}
	if !cfg.Network.IsValid() || !cfg.Network.Addr().Is4() {
		return nil, name, fmt.Errorf("Windows needs TUNConfig.Network, the interface's IPv4 address and prefix: %w", endpoint.EINVAL)
	}
	i, err := water.New(water.Config{
		DeviceType: water.TUN,
		PlatformSpecificParams: water.PlatformSpecificParams{
			ComponentID:   "tap0901",
			InterfaceName: name,
			Network:       cfg.Network.String(),
		},
	})
	if err != nil {
		return nil, name, explained("package water", "is the TAP-Windows driver of OpenVPN installed?", err)
	}
	return &waterFile{f: i, cancel: canceller(i)}, i.Name(), nil
}

// canceller returns a function that cancels what waits on water's handle. The
// handle is a field that water does not export; without it, nothing can be
// cancelled.
func canceller(i *water.Interface) func() error {
	var handle windows.Handle
	if v := reflect.Indirect(reflect.ValueOf(i.ReadWriteCloser)); v.Kind() == reflect.Struct {
		if fd := v.FieldByName("fd"); fd.IsValid() && fd.CanUint() {
			handle = windows.Handle(fd.Uint())
		}
	}
	return func() error {
		if handle == 0 {
			return fmt.Errorf("the handle is unknown: %w", endpoint.EBADF)
		}
		err := windows.CancelIoEx(handle, nil)
		if err == windows.ERROR_NOT_FOUND {
			return errNothingWaits
		}
		return err
	}
}
