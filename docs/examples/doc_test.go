// Package examples_test has the example programs of the documents, and of what
// Python 3.2 added, in Go: they differ from the originals in syntax alone.
//
//	echo_server_test.go, echo_client_test.go              IPv4
//	echo_server_any_test.go, echo_client_any_test.go      IPv4 and IPv6
//	create_connection_test.go                             with create_connection() as s
//	ssl_client_test.go (ssl_server_test.go is its server)  TLS
//	detach_test.go                                        s.detach()
//
// Where Python imports the module socket, a program gets a Net of that name: the
// host that it runs on. What is printed goes to the function that stands for
// print. programs_test.go runs them, on two hosts where a DNS zone answers
// daring.cwi.nl and www.verisign.com.
package examples_test
