// Package dnszone is the DNS server of tests and demonstrations: it serves
// zones from master-file texts or from code, and it can misbehave on demand.
//
// Where to start: [Parse] makes a [Zone] of a text, [NewServer] a [Server] of
// zones. [Server.Respond] answers a message without any network;
// [Server.Serve] and [Server.ServeListener] put it on sockets, the stack's or
// any other. [Server.Intercept] is the seam where replies can be dropped,
// changed, forged or delayed.
//
// It answers for all its zones at once and follows aliases from one to the
// other, so that a stub resolver finds in it what a recursive server would
// say. It knows wildcards (RFC 4592), DNAME (RFC 6672), EDNS (RFC 6891),
// truncation and TCP. It does not recurse, delegate, sign, transfer zones, or
// take updates.
package dnszone
