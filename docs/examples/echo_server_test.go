package examples_test

// Echo server program
import . "usersock/sockapi"

func echoServer(socket *Net, print func(...any)) error {
	const HOST = ""    // Symbolic name meaning the local host
	const PORT = 50007 // Arbitrary non-privileged port
	s, err := socket.Socket(AF_INET, SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := s.Bind(InetAddr{Host: HOST, Port: PORT}); err != nil {
		return err
	}
	if err := s.Listen(1); err != nil {
		return err
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
