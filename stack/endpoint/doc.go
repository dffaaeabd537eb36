// Package endpoint is the contract between address families and the socket
// API. A family (TCP and UDP over netstack, AF_UNIX, AF_NETLINK) implements
// it below; package sockapi, select, poll and TLS stand on it above. It is a
// leaf: it imports nothing of this project, and nothing of netstack shows.
//
// Start with [Endpoint]. Its rules in short:
//
//   - No method blocks. What cannot be done now returns [EAGAIN], or
//     [EINPROGRESS] for a connect that has been started.
//   - EAGAIN and EINPROGRESS are promises: the [Sink] is called once the cause
//     may have changed.
//   - There is one sink for the endpoint's life, not a registration for each
//     wait. [Endpoint.Ready] tells the state; the sink only says "look again".
//   - Errors are [Errno] values with Linux's numbers on every operating system.
//   - Addresses are the one comparable struct [Addr]: no pointer and no
//     interface, so that moving bytes allocates nothing.
//
// A family that is a [Lister] as well can be looked at, as ss(8) looks at the
// kernel.
//
// What is not here: waiting, timeouts, descriptors, names. They exist once,
// in package sockapi. Package endpointtest holds the tests that every family
// passes.
package endpoint
