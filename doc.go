// Package usersock is a userspace TCP/IP stack that serves the BSD socket API
// without the kernel's network stack: the calls of Python's socket and ssl
// modules, and Go's net, over gVisor's netstack.
//
// This package holds no code; the parts are:
//
//	sockapi         sockets, names, Go's net.Conn and friends: start here
//	stack           a host: interfaces, addresses, routes, families
//	stack/endpoint  the contract between families and sockets
//	netdev          links: memory, loopback, TUN
//	resolver        getaddrinfo and its family
//	testnet/dnszone a DNS server for tests
//	cmd/userspace-echo
//	                the documents' echo programs
//
// README.md says how to begin, docs/calls.md lists every documented call, and
// docs/deviations.md what differs.
package usersock
