package examples_test

// Echo client program
import (
	"context"
	"errors"
	"strconv"

	. "usersock/sockapi"
)

func echoClientAny(socket *Net, print func(...any)) error {
	const HOST = "daring.cwi.nl" // The remote host
	const PORT = 50007           // The same port as used by the server
	var s *Socket
	infos, err := socket.Getaddrinfo(context.Background(), HOST, strconv.Itoa(PORT), AF_UNSPEC, SOCK_STREAM, 0, 0)
	if err != nil {
		return err
	}
	for _, res := range infos {
		af, socktype, proto, sa := res.Family, res.Type, res.Proto, res.Addr
		s, err = socket.Socket(af, socktype, proto)
		if err != nil {
			s = nil
			continue
		}
		err = s.Connect(sa)
		if err != nil {
			s.Close()
			s = nil
			continue
		}
		break
	}
	if s == nil {
		return errors.New("could not open socket")
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
