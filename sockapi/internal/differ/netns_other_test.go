//go:build !linux

package differ

import "errors"

const noKernel = "this system is not Linux"

const noTUN = noKernel

func newKernel() (sockets, error) { return nil, errors.New(noKernel) }
