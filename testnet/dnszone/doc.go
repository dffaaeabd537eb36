// Package dnszone is the DNS server of tests and demonstrations: it serves
// zones from master-file texts or from code, and it can misbehave on demand.
//
// Where to start: [Parse] makes a [Zone] of a text, [NewZone] an empty one for
// [Zone.Start], [Zone.Add], [Zone.AddAddrs] and [Zone.Delegate], [Reverse] one for
// the names of addresses; [NewServer] makes a [Server] of zones.
// [Server.Respond] answers a message without any network; [Server.Serve] and
// [Server.ServeListener] put it on sockets, the stack's or any other.
// [Server.AddFault] lets replies to some names be late, lost, cut, forged or
// false, some of the times; [Server.Intercept] is the seam for whatever else.
// [Zone.Check] finds what is against the rules in a zone.
//
// It answers for all its zones at once and follows aliases from one to the
// other, so that a stub resolver finds in it what a recursive server would
// say. It knows wildcards (RFC 4592), DNAME (RFC 6672), delegation with glue (RFC
// 1034, section 4.3.2), EDNS (RFC 6891), truncation and TCP (RFC 7766). The only
// time it knows is that of [Server.AfterFunc]. It does not recurse, sign, prove
// what is not there (NSEC), transfer zones, or take updates; of EDNS options it
// knows none.
package dnszone
