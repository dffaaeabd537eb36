package examples_test

// Echo server program
import (
	"context"
	"errors"
	"strconv"

	. "usersock/sockapi"
)

func echoServerAny(socket *Net, print func(...any)) error {
	const HOST = ""    // Symbolic name meaning the local host
	const PORT = 50007 // Arbitrary non-privileged port
	var s *Socket
	infos, err := socket.Getaddrinfo(context.Background(), HOST, strconv.Itoa(PORT), AF_UNSPEC, SOCK_STREAM, 0, AI_PASSIVE)
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
		err = s.Bind(sa)
		if err == nil {
			err = s.Listen(1)
		}
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
	conn, addr, err := s.Accept()
	if err != nil {
		return err
	}
	print("Connected by", addr)
	for {
		data, err := conn.Recv(1024)
		if err != nil {
			return err
		}
		if len(data) == 0 {
			break
		}
		conn.Send(data)
	}
	return conn.Close()
}
