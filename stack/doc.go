// Package stack is one host's network kernel: interfaces, addresses, routes
// and the table of address families, on gVisor's netstack.
//
// Start with [New]: the zero [Config] is a host with a loopback interface.
// Interfaces, addresses and routes can be added and taken away while it runs.
// [Stack.Open] makes endpoints, which know no waiting; sockets for people are
// in package sockapi.
//
// Every packet, those to the host's own addresses included, passes a link of
// package netdev. The exception is netstack's: a socket bound to a device
// that sends to an address of its own stack.
//
// [Stack.Snapshot] tells what ss(8), ip(8) and nstat(8) tell of a machine,
// [Stack.Metrics] the counters alone, and [Stack.Watch] each change of
// interfaces, addresses and routes.
//
// An interface can be configured by what its network tells, by DHCP and IPv6
// router advertisements: [Auto].
//
// What is not here: names (package resolver), descriptors and waiting
// (package sockapi).
package stack
