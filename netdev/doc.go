// Package netdev is the wire: links that carry IP packets between stacks of
// this process, and between a stack and the world.
//
// A [Link] is what a stack attaches. These make one:
//
//   - [Pair]: two ends in memory, for two stacks of one process;
//   - [Loopback]: what a stack sends comes back to it;
//   - [NewSegment]: an Ethernet in memory, for any number of stacks;
//   - [OpenTUN], [OpenTAP], [OpenFD]: an interface of the host's kernel;
//   - [OpenAFPacket]: an Ethernet interface of the host's kernel, such as one
//     end of a veth pair;
//   - [OpenQEMU], [OpenVfkit], [OpenPasst]: frames over sockets of the host;
//   - [Auto]: the best that this process may have;
//   - [FromDevice]: any [Device], the small byte-level interface for links
//     that others write;
//   - [Open]: one of the above by its name, such as "tun:tun0".
//
// [Count] wraps a link and counts what passes, [Record] writes it as pcapng.
// [Describe] says what a link is, [Status] whether packets can pass. [Dropped] tells what a link
// lost, and why; [Close] ends a link that no stack has attached (a stack closes
// its own).
//
// A link carries whole IP packets, IPv4 or IPv6, with no link header; or Ethernet
// frames, if it has a hardware address, and then the stack resolves its
// neighbours by ARP and neighbour discovery. File ether.go has the rules.
//
// # Handing over
//
// A link in memory hands TCP and UDP packets to the other stack inside the
// call that sends them, which is what makes it fast. It cannot do that with the
// rest: an ICMP error that arrives inside Connect or Send needs the very lock
// of the TCP endpoint that sends, and would wait for it for ever. So ICMP,
// fragments and packets with extension headers go into a bounded queue, and a
// goroutine of the link that lives only while the queue is not empty delivers
// them. File queue.go has the rules.
//
// # Offloads
//
// The ends of a [Pair] leave TCP and UDP checksums out and pass segments of up
// to 64 KiB whatever the MTU is. Neither survives a router: where a stack that
// forwards is attached, the pair segments and completes checksums like a real
// wire. File offload.go has the rules. A TUN, on Linux, leaves both to the kernel:
// file vnet_linux.go.
//
// # What is not here
//
// Addresses, routes and the state "up" of the host's interfaces: this package
// reads the MTU of an interface that was opened by name, and configures
// nothing of the host.
package netdev
