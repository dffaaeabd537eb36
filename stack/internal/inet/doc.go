// Package inet serves AF_INET and AF_INET6 from netstack: TCP for SOCK_STREAM,
// UDP, UDP-Lite and ping sockets for SOCK_DGRAM, any protocol for SOCK_RAW, over
// IPv4 and IPv6.
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
//   - tcp.go, tcp_ready.go: a stream endpoint, and when it is ready. tcp_bind.go
//     knows which address and port it has, tcp_ports.go who else may have it,
//     tcp_renew.go how it becomes a fresh one after its connection
//   - datagram.go: an endpoint of every other kind. Netstack's own are not used,
//     because they lack what ip(7) and ipv6(7) promise; of netstack there remain
//     its network layer, its routes and its links. datagram_protocol.go is where
//     packets come in, datagram_ports.go whose they are, datagram_recv.go and
//     datagram_send.go move them, datagram_route.go knows routes and path MTUs
//   - icmp_tap.go, ip_protocol.go: errors, from the ICMP message, or the neighbour
//     that does not answer; datagram_error.go, tcp_error.go: what they do to a
//     socket; error_queue.go
//   - multicast.go, udplite.go, ping.go, raw.go, raw_protocol.go: what is special
//   - closing.go: what happens to a connection between Close and its last byte
//   - list.go: the endpoints as ss(8) lists them
//   - addr.go, errno.go, control.go: addresses, errors and ancillary items
//   - options.go and its neighbours: the one table of socket options
//
// What it does not do: it makes no stack, interface, address or route (package
// stack does), and it knows no descriptor and never waits (package sockapi does).
//
// # Locks
//
// No lock of this package is held across a call into netstack, but for one while
// the error of an ended connection is taken (see drain). A notification
// comes under netstack's locks: it is forwarded to the sink and, for a closed
// endpoint, takes it off the list in closing.go and, when it has ended, out of the
// table in tcp_ports.go; nothing else happens there.
// A packet comes in without a lock of netstack's or ours, and often inside the
// very Send that made it.
package inet
