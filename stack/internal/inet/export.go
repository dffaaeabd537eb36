package inet

import "gvisor.dev/gvisor/pkg/tcpip"

// Errno returns Linux's number for an error of netstack; nil stays nil.
func Errno(err tcpip.Error) error { return errno(err) }
