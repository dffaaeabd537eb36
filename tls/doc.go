// Package tls is the ssl module: TLS over the sockets of package sockapi, with
// Python's calls, OpenSSL's names and numbers, and crypto/tls doing the work. It
// has no cryptography of its own.
//
// Start with [NewSSLContext] or [CreateDefaultContext], which say what is trusted
// and shown, and [SSLContext.WrapSocket], which makes an [SSLSocket] of a stream
// socket: connected, not yet connected, or listening. [Ssl] is the function of
// the 2.5 document. A Go program takes [SSLContext.Client], [SSLContext.Server]
// and [SSLContext.NewListener], which give a net.Conn, or [SSLContext.Config] for
// crypto/tls itself.
//
//	constants.go                  numbers; versions; what OPENSSL_VERSION says
//	errors.go, errortable.go      the exception tree; crypto/tls's errors in OpenSSL's words
//	context.go, certs.go          SSLContext; certificates, authorities, ciphers
//	config.go                     what a context makes of itself for crypto/tls; sessions
//	verify.go, verifycode.go      verification in OpenSSL's order, with its numbers
//	suites.go, cipherlist.go      cipher suites and OpenSSL's lists of them
//	keys.go, files.go             private keys; the only place that reads files
//	name.go, certificate.go       names and certificates as Python shows them
//	hostname.go                   match_hostname
//	engine.go                     how all this is possible over tls.Conn: read it first
//	connection.go                 what the shapes of a connection have in common
//	socket.go, socket_info.go     SSLSocket
//	bio.go, object.go             MemoryBIO and the object over two of them
//	ssl.go, functions.go          ssl() and wrap_socket(); the module's other functions
//	conn.go                       the Go dialect
//
// docs/calls.md lists the calls, docs/deviations.md what crypto/tls cannot do.
package tls
