// Package endpointtest is the suite that every address family passes. One
// body is run over each kind of endpoint, so that the layers above may rely
// on the contract of package endpoint without knowing which family is below.
//
// A family's test calls [Run] with a function that returns a [Provider]: how
// to open an endpoint, which addresses to bind to, and what the family can do
// ([Features]). From that the suite makes connections and pairs by itself.
//
//	func TestConformance(t *testing.T) {
//		endpointtest.Run(t, func(t *testing.T) endpointtest.Provider {
//			return endpointtest.Provider{Family: family, Request: …}
//		})
//	}
//
// What is where: provider.go what a family says of itself, end.go endpoints
// that wait, for the suite's own use; conn.go connections and listeners,
// stream.go bytes, message.go datagrams, options.go options, control.go
// rights in flight, list.go what is listed, race.go many goroutines at once.
//
// Package kernel beside it puts the sockets of the Linux kernel behind the
// contract. On Linux the suite runs over those too, so that it asks for nothing
// that Linux does not do, and a family's own tests can play the same script
// there and here.
//
// It imports testing, and is imported by tests only. Errors that differ from
// one family to the next on Linux (receiving on an unconnected endpoint, say)
// are not its business but that of each family's own tests.
package endpointtest
