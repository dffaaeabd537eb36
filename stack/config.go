package stack

import (
	"log/slog"
	"net/netip"

	"usersock/netdev"
	"usersock/stack/endpoint"
)

// Config describes a host. The zero value is a host named localhost with a
// loopback interface, every family, the machine's clock and true randomness.
type Config struct {
	// Hostname is what gethostname(2) tells; "" is localhost.
	Hostname string

	// Interfaces are attached in this order, with indexes from 2 on: index 1
	// is the loopback interface "lo" (127.0.0.1/8 and ::1/128), which always
	// exists.
	Interfaces []Interface

	// Routes are added after the interfaces. Every address brings the route of
	// its own prefix with it.
	Routes []Route

	// Forwarding makes the host a router between its interfaces, for both
	// versions of IP. It cannot be changed later, because the links agree on
	// their offloads when they are attached.
	Forwarding bool

	// Families lists the address families to serve (AF_INET, AF_INET6,
	// AF_UNIX); nil means all. Opening a socket of another family is
	// EAFNOSUPPORT.
	Families []int

	// Cred is the identity of the host's processes, as SO_PEERCRED shows it.
	// The zero value means process 1 of user 0; it is never the real process.
	Cred endpoint.Cred

	// RawSockets says who may open SOCK_RAW sockets: EPERM for the others. nil
	// lets anybody, since the host is the caller's own. It is called from any
	// goroutine.
	RawSockets func(endpoint.Cred) bool

	// RawProtocols are IP protocols, 1 to 254, that SOCK_RAW sockets can be opened
	// of besides the usual ones: those that have a name in Linux (IPPROTO_*),
	// OSPF (89), VRRP (112), L2TP (115), and 253 and 254 for experiments. A number
	// costs the host about 400 bytes; a socket of one that is not served is
	// EPROTONOSUPPORT. IPPROTO_RAW can always send any.
	RawProtocols []int

	// LocalPorts are the ports that bind(2) of port 0 and connect(2) choose from:
	// sysctl net.ipv4.ip_local_port_range. The zero value is Linux's, 32768 to
	// 60999. A host can have that many TCP connections to one address and port,
	// counting those that it closed first within the last minute (TIME-WAIT), and
	// as many listeners and datagram sockets that name no port.
	LocalPorts PortRange

	// Clock is the time of everything on this host; nil is the machine's.
	Clock endpoint.Clock

	// Seed makes port numbers, sequence numbers and all other random choices of
	// the stack repeat. 0 means unpredictable. Never seed a stack that an
	// attacker may reach.
	Seed uint64

	// Log receives what happens to the host: its end at level Info, changes of
	// interfaces, addresses and routes at level Debug. nil is silent.
	Log *slog.Logger
}

// PortRange is the ports from First to Last, both included.
type PortRange struct{ First, Last uint16 }

// Interface is one network interface and how to set it up.
type Interface struct {
	// Name is the interface's name, 1 to 15 bytes; "" is ethN with the lowest
	// free N.
	Name string

	// Link is what packets leave and arrive by. The stack owns it from the
	// attachment on, also when that fails, and closes it.
	Link netdev.Link

	// Addrs are the addresses with the length of their prefix. On an Ethernet
	// an IPv6 link-local address is added, made of the hardware address, if none
	// is among them.
	Addrs []netip.Prefix

	// Auto adds what the network tells: DHCP and router advertisements.
	Auto Auto

	// MTU is the largest IP packet in bytes; 0 is the link's own. At least 68,
	// and 1280 where IPv6 is served (RFC 8200, section 5).
	MTU int
}

// Route says where packets go: to Dst, over the interface Dev, to the router
// Via. The longest prefix that holds the destination wins.
type Route struct {
	Dst netip.Prefix // 0.0.0.0/0 or ::/0 is the default route
	Via netip.Addr   // the next router; not set: Dst is on the link itself
	Dev string       // interface name; "" is the one whose longest prefix holds Via
	Src netip.Addr   // preferred source address; not set: chosen by RFC 6724
	MTU int          // 0 is the interface's
}
