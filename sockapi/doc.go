// Package sockapi is the socket API: the calls that Python's socket module
// documents, over a userspace stack, with Linux's errors and numbers. Go's own
// way of networking (net.Conn, Dial, Listen) stands beside it.
//
// Start with [New], which makes a [Net]: one process's view of a host, with
// its descriptors, default timeout and resolver. [Net.Socket] opens a
// [Socket], whose methods have the documented names (recvfrom_into is
// [Socket.RecvfromInto]). [Net.DialContext], [Net.Listen] and
// [Net.ListenPacket] are the Go dialect; [Socket.Conn] crosses over.
//
// The files follow the sections of the documents:
//
//	net.go, descriptor.go   Net, descriptors, fromfd, dup, detach
//	socket.go, connect.go   creation, bind, listen, accept, connect, close
//	transfer.go             send, recv and their family
//	message.go, mmsg.go     sendmsg, recvmsg and their family
//	cmsg.go, ancillary.go   ancillary data: its layout, its usual items
//	rights.go               descriptors in messages
//	sendfile.go, ioctl.go   sendfile; ioctl and fcntl
//	server.go               create_server
//	interfaces.go           if_nameindex and its sisters
//	options.go, timeout.go  options; the three modes
//	address.go, inet.go     addresses; inet_aton, htons and friends
//	names.go                getaddrinfo and the older functions
//	select.go, poll.go      readiness of many descriptors
//	poller.go               the same for any number of them: epoll
//	makefile*.go            buffered files
//	conn*.go, dial.go       net.Conn, net.Listener; Dial and Listen
//	packetconn.go           net.PacketConn, and messages in the Go dialect
//	wait.go                 the only place that waits
//
// Errors are [*Error] with an [Errno], [*Gaierror], [*Herror] or [*ValueError];
// a timeout is an Error that is [ErrTimeout]. A call on a closed socket is both
// EBADF and net.ErrClosed. docs/calls.md lists every documented call,
// docs/deviations.md every difference.
//
// What is not here: TLS (package tls), networks for tests (package testnet).
package sockapi
