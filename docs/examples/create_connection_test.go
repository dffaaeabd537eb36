package examples_test

import (
	"strconv"

	. "usersock/sockapi"
)

// with socket.create_connection(("daring.cwi.nl", 50007)) as s: the socket is
// closed when the block ends, however it ends.
func withConnection(socket *Net, print func(...any)) error {
	return socket.WithConnection(InetAddr{Host: "daring.cwi.nl", Port: 50007}, socket.Getdefaulttimeout(), nil, func(s *Socket) error {
		if err := s.Sendall([]byte("Hello, world")); err != nil {
			return err
		}
		data, err := s.Recv(1024)
		print("Received", strconv.Quote(string(data)))
		return err
	})
}
