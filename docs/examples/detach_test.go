package examples_test

import (
	"strconv"

	. "usersock/sockapi"
)

// detach puts the socket object into closed state without closing the
// descriptor, which another one takes over.
func detach(socket *Net, print func(...any)) error {
	s, err := socket.CreateConnection(InetAddr{Host: "daring.cwi.nl", Port: 50007}, Forever, nil)
	if err != nil {
		return err
	}
	fd := s.Detach()
	print("Detached", s.Fileno())
	if _, err := s.Send([]byte("lost")); err == nil {
		print("a detached socket sends")
	}
	s, err = socket.Adopt(fd) // socket.socket(fileno=fd)
	if err != nil {
		return err
	}
	s.Send([]byte("Hello, world"))
	data, err := s.Recv(1024)
	if err != nil {
		return err
	}
	print("Received", strconv.Quote(string(data)))
	return s.Close()
}
