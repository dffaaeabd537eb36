// Package inet serves AF_INET and AF_INET6 from netstack: TCP for
// SOCK_STREAM, UDP for SOCK_DGRAM, over IPv4 and IPv6.
//
// It is the translation between two contracts. Above stands package endpoint:
// no call blocks, errors are Linux's numbers, options are Linux's bytes.
// Below stands netstack's tcpip.Endpoint: it does not block either, but it has
// its own errors, its own defaults, and holds its locks while it notifies.
//
// Where to start:
//
//   - protocols.go: [Config], [New], and the table of what can be opened
//   - socket.go: what TCP and UDP endpoints share; how notifications travel
//   - tcp.go, tcp_ready.go, tcp_renew.go: a stream endpoint, when it is ready,
//     and how it becomes a fresh one after a failed connect
//   - udp.go: a datagram endpoint
//   - closing.go: what happens to a connection between Close and its last byte
//   - list.go: the endpoints as ss(8) lists them
//   - addr.go, errno.go, control.go: addresses, errors and ancillary items
//   - options.go and its neighbours: the one table of socket options
//
// What it does not do: it makes no stack, interface, address or route (package
// stack does), it knows no descriptor and never waits (package sockapi does),
// and it serves no ICMP and no raw sockets yet.
//
// # Locks
//
// No lock of this package is held across a call into netstack, but for one while
// the error of an ended connection is taken (see drain). A notification
// comes under netstack's locks: it is forwarded to the sink and, for a closed
// endpoint, takes it off the list in closing.go; nothing else happens there.
package inet
