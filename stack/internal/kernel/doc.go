// Package kernel puts the sockets of the Linux kernel that runs the tests
// behind the contract of package endpoint. It is the oracle of tests: a
// script, or the suite of endpointtest, runs over it and over a family of
// ours, and both must do the same. On other systems the package is empty.
//
// It serves AF_UNIX, AF_INET and AF_INET6. What it hides: each EAGAIN of
// Connect, and of Send on a datagram socket, is followed by an event after a
// millisecond, because the kernel does not promise one; Accept of a listener
// that is shut down is EINVAL, which Linux says only to calls that block; after
// Close Ready says Hup at once. A right made by Right is a socket's descriptor,
// and so is one that comes; any other right is sent as a descriptor of
// /dev/null, and comes as an empty one.
package kernel
