// Package resolver turns names into addresses and back, as the C library's
// resolver does: getaddrinfo(3), getnameinfo(3), the older gethostbyname(3)
// family, and the services and protocols databases. Its rules are glibc's
// unless a comment says otherwise. It also has the methods of [net.Resolver],
// and [Resolver.Exchange] for DNS messages of the caller's own.
//
// It knows no socket type and reads nothing from the machine it runs on. A
// [Config] hands it everything: a Dial function, the host's own addresses
// ([Host]), a clock, and the texts that other systems keep under /etc. Only
// [FromSystem] reads the machine's own files, and only when called.
//
// Where to start:
//
//   - [New] makes a [Resolver]; [Resolver.Getaddrinfo] and
//     [Resolver.Getnameinfo] are the two calls that matter, [Resolver.LookupHost]
//     and its sisters their likes in Go.
//   - The arguments: getaddrinfo.go, getnameinfo.go, hostent.go (the older
//     functions), lookup.go (Go's); inet.go and idna.go read literals and names,
//     services.go the databases.
//   - The sources: source.go has their order, hosts.go and dns.go two of them,
//     resolvconf.go, gaiconf.go and system.go the texts.
//   - DNS: dns.go has the search list; cache.go what is remembered and flight.go
//     who asks for several; exchange.go the conversation with name servers, which
//     servers.go keeps the health of; wire.go and records.go the messages; package
//     internal/stream the kept connections.
//   - order.go has the order of addresses (RFC 6724).
//   - Errors are [*Gaierror] and [*Herror], and from Go's methods
//     [*net.DNSError]; Unwrap leads to the cause. [Config.Trace] shows every
//     question, [Resolver.Stats] counts them.
//   - Packages dot and doh beside this one carry the questions over TLS and HTTPS.
//
// What it does not do: it is a stub resolver, so it does not recurse and does
// not validate DNSSEC; it does not read records of types other than A, AAAA,
// PTR, CNAME, MX, NS, SRV and TXT (Exchange brings any); it does not watch files
// for changes.
package resolver
