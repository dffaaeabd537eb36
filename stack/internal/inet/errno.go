package inet

import (
	"gvisor.dev/gvisor/pkg/tcpip"

	"usersock/stack/endpoint"
)

// errno returns Linux's number for an error of netstack, nil for nil. It is
// the one table of the package; a call whose answer differs on Linux corrects
// it beside the call.
func errno(err tcpip.Error) error {
	if err == nil {
		return nil
	}
	return number(err)
}

// Errno is errno for package stack.
func Errno(err tcpip.Error) error { return errno(err) }

func number(err tcpip.Error) endpoint.Errno {
	switch err.(type) {
	case *tcpip.ErrWouldBlock:
		return endpoint.EAGAIN
	case *tcpip.ErrAborted:
		// Reset after the peer's FIN, and local aborts: tcp_reset of Linux
		// answers EPIPE in CLOSE-WAIT.
		return endpoint.EPIPE
	case *tcpip.ErrAddressFamilyNotSupported:
		return endpoint.EAFNOSUPPORT
	case *tcpip.ErrAlreadyBound:
		return endpoint.EINVAL
	case *tcpip.ErrAlreadyConnected:
		return endpoint.EISCONN
	case *tcpip.ErrAlreadyConnecting:
		return endpoint.EALREADY
	case *tcpip.ErrBadAddress:
		return endpoint.EFAULT
	case *tcpip.ErrBadBuffer:
		return endpoint.EFAULT
	case *tcpip.ErrBadLocalAddress:
		return endpoint.EADDRNOTAVAIL
	case *tcpip.ErrBroadcastDisabled:
		return endpoint.EACCES
	case *tcpip.ErrClosedForReceive:
		return endpoint.ENOTCONN // Recv makes it the end of the stream
	case *tcpip.ErrClosedForSend:
		return endpoint.EPIPE
	case *tcpip.ErrConnectStarted:
		return endpoint.EINPROGRESS
	case *tcpip.ErrConnectionAborted:
		return endpoint.ECONNABORTED
	case *tcpip.ErrConnectionRefused:
		return endpoint.ECONNREFUSED
	case *tcpip.ErrConnectionReset:
		return endpoint.ECONNRESET
	case *tcpip.ErrDestinationRequired:
		return endpoint.EDESTADDRREQ
	case *tcpip.ErrDuplicateAddress:
		return endpoint.EEXIST
	case *tcpip.ErrDuplicateNICID:
		return endpoint.EEXIST
	case *tcpip.ErrEndpointBusy:
		return endpoint.EBUSY
	case *tcpip.ErrHostDown:
		return endpoint.EHOSTDOWN
	case *tcpip.ErrHostUnreachable:
		return endpoint.EHOSTUNREACH
	case *tcpip.ErrInvalidEndpointState:
		return endpoint.EINVAL
	case *tcpip.ErrInvalidNICID:
		return endpoint.ENODEV
	case *tcpip.ErrInvalidOptionValue:
		return endpoint.EINVAL
	case *tcpip.ErrInvalidPortRange:
		return endpoint.EINVAL
	case *tcpip.ErrMalformedHeader:
		return endpoint.EINVAL
	case *tcpip.ErrMessageTooLong:
		return endpoint.EMSGSIZE
	case *tcpip.ErrMissingRequiredFields:
		return endpoint.EINVAL
	case *tcpip.ErrMulticastInputCannotBeOutput:
		return endpoint.EINVAL
	case *tcpip.ErrNetworkUnreachable:
		return endpoint.ENETUNREACH
	case *tcpip.ErrNoBufferSpace:
		return endpoint.ENOBUFS
	case *tcpip.ErrNoNet:
		return endpoint.ENONET
	case *tcpip.ErrNoPortAvailable:
		return endpoint.EADDRNOTAVAIL
	case *tcpip.ErrNoSuchFile:
		return endpoint.ENOENT
	case *tcpip.ErrNotConnected:
		return endpoint.ENOTCONN
	case *tcpip.ErrNotPermitted:
		return endpoint.EPERM
	case *tcpip.ErrNotSupported:
		return endpoint.EOPNOTSUPP
	case *tcpip.ErrPortInUse:
		return endpoint.EADDRINUSE
	case *tcpip.ErrQueueSizeNotSupported:
		return endpoint.ENOTTY
	case *tcpip.ErrTimeout:
		return endpoint.ETIMEDOUT
	case *tcpip.ErrUnknownDevice:
		return endpoint.ENODEV
	case *tcpip.ErrUnknownNICID:
		return endpoint.ENODEV
	case *tcpip.ErrUnknownProtocol:
		return endpoint.ENETUNREACH // a stack without IPv4 has no route there
	case *tcpip.ErrUnknownProtocolOption:
		return endpoint.ENOPROTOOPT
	}
	return endpoint.EIO
}
