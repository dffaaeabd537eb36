package examples_test

import (
	"strconv"

	. "usersock/sockapi"
	"usersock/tls"
)

func sslClient(socket *Net, print func(...any)) error {
	s, err := socket.Socket(AF_INET, SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := s.Connect(InetAddr{Host: "www.verisign.com", Port: 443}); err != nil {
		return err
	}
	ssl_sock, err := tls.Ssl(s, "", "")
	if err != nil {
		return err
	}
	print(strconv.Quote(ssl_sock.Server()))
	print(strconv.Quote(ssl_sock.Issuer()))
	// Set a simple HTTP request -- use net/http in actual code.
	if _, err := ssl_sock.Write([]byte("GET / HTTP/1.0\r\n" +
		"Host: www.verisign.com\r\n\r\n")); err != nil {
		return err
	}
	// Without a number of bytes everything is read, until the server has ended.
	data, err := ssl_sock.Read()
	if err != nil {
		return err
	}
	// Note that you need to close the underlying socket, not the SSL object.
	s.Close()
	print("Read", len(data), "bytes")
	return nil
}
