// Package resolver turns names into addresses and back, as the C library's
// resolver does: getaddrinfo(3), getnameinfo(3), the older gethostbyname(3)
// family, and the services and protocols databases. Its rules are glibc's
// unless a comment says otherwise.
//
// It knows no socket type and reads nothing from the machine it runs on. A
// [Config] hands it everything: a Dial function, the host's own addresses
// ([Host]), a clock, and the texts that other systems keep under /etc. Only
// [FromSystem] reads the machine's own files, and only when called.
//
// Where to start:
//
//   - [New] makes a [Resolver]; [Resolver.Getaddrinfo] and
//     [Resolver.Getnameinfo] are the two calls that matter.
//   - getaddrinfo.go holds the argument rules, source.go the order of the
//     sources (hosts, DNS, own name, the caller's), dns.go the search list,
//     exchange.go the conversation with name servers, wire.go the messages,
//     order.go the order of addresses (RFC 6724).
//   - Errors are [*Gaierror] and [*Herror]; Unwrap leads to the cause.
//
// What it does not do: it is a stub resolver, so it does not recurse and does
// not validate DNSSEC; it does not read answers of types other than A, AAAA,
// PTR and CNAME; it does not watch files for changes.
package resolver
