// Package autoconf is how a host configures an interface by what the network
// tells it: a DHCPv4 client (RFC 2131), the host's side of IPv6 router
// advertisements (RFC 4861, RFC 4862, RFC 8106) and the stateless part of DHCPv6
// (RFC 8415, section 18.2.6).
//
// Start with [DHCPv4], [Router] and [DHCPv6]; each file opens with its states.
// They know no packets below UDP and ICMPv6, and touch nothing: they are handed
// what came in, they hand out what to send, and they say what the host should
// have now ([Lease], [Advertised], [Information]). Package stack brings that
// about.
//
// They are not for several goroutines: all calls, those of their timers
// included, come one at a time, through [Env.Do].
//
// What is not here: addresses by DHCPv6, prefix delegation, INIT-REBOOT and
// DHCPINFORM, the random delay before the first solicitation, unreachable routers
// (RFC 4861, section 6.3.6), temporary addresses (RFC 8981).
package autoconf
