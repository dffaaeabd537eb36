// Package kernel puts the sockets of the Linux kernel that runs the tests
// behind the contract of package endpoint. It is the oracle of the contract's
// own tests: the suite of endpointtest runs over it too. What calls answer is
// compared by the differential suite of package sockapi. On other systems the
// package is empty.
//
// It serves AF_UNIX, AF_INET and AF_INET6. What it hides: each EAGAIN of
// Connect, and of Send on a datagram socket, is followed by an event after a
// millisecond, because the kernel does not promise one; Accept of a listener
// that is shut down is EINVAL, which Linux says only to calls that block; after
// Close Ready says Hup at once. It carries no rights.
package kernel
