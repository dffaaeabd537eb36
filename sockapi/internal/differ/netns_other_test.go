//go:build !linux

package differ

import "errors"

const noKernel = "this system is not Linux"

// A room is where the kernel would be asked.
type room struct{}

func newRoom() (*room, error)          { return nil, errors.New(noKernel) }
func newKernel(*room) (sockets, error) { return nil, errors.New(noKernel) }
func (*room) do(func())                {}
func (*room) end()                     {}
