package examples_test

// Echo client program
import (
	"strconv"

	. "usersock/sockapi"
)

func echoClient(socket *Net, print func(...any)) error {
	const HOST = "daring.cwi.nl" // The remote host
	const PORT = 50007           // The same port as used by the server
	s, err := socket.Socket(AF_INET, SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := s.Connect(InetAddr{Host: HOST, Port: PORT}); err != nil {
		return err
	}
	s.Send([]byte("Hello, world"))
	data, err := s.Recv(1024)
	if err != nil {
		return err
	}
	s.Close()
	print("Received", strconv.Quote(string(data)))
	return nil
}
