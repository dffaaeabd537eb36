package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	. "usersock/sockapi" // as "from socket import *"
)

// The documents' programs. They differ from the originals in syntax alone,
// but that the servers are cut in two, so that the demo can start a client
// once the server listens.

const port = 50007 // Arbitrary non-privileged port

const hello = "Hello, world"

// listen4 is the first half of the IPv4 echo server.
func listen4(n *Net) (*Socket, error) {
	s, err := n.Socket(AF_INET, SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	if err = s.Bind(InetAddr{Host: "", Port: port}); err == nil {
		err = s.Listen(1)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// listenAny is the first half of the echo server for both versions of IP: it
// listens to the first address family available.
func listenAny(n *Net) (*Socket, error) {
	infos, err := n.Getaddrinfo(context.Background(), "", strconv.Itoa(port), AF_UNSPEC, SOCK_STREAM, 0, AI_PASSIVE)
	if err != nil {
		return nil, err
	}
	var s *Socket
	for _, res := range infos {
		s, err = n.Socket(res.Family, res.Type, res.Proto)
		if err != nil {
			s = nil
			continue
		}
		if err = s.Bind(res.Addr); err == nil {
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
		return nil, fmt.Errorf("could not open socket: %w", err)
	}
	return s, nil
}

// serveOne is the second half of both servers: it echoes to one client.
func serveOne(out io.Writer, s *Socket) error {
	conn, addr, err := s.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprintln(out, "Connected by", tuple(addr))
	for {
		data, err := conn.Recv(1024)
		if err != nil {
			return err
		}
		if len(data) == 0 {
			return conn.Close()
		}
		if _, err := conn.Send(data); err != nil {
			return err
		}
	}
}

// client4 is the IPv4 echo client.
func client4(out io.Writer, n *Net, host string) error {
	s, err := n.Socket(AF_INET, SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Connect(InetAddr{Host: host, Port: port}); err != nil {
		return err
	}
	return exchange(out, s, hello)
}

// clientAny is the echo client for both versions of IP: it tries every
// address of the name.
func clientAny(out io.Writer, n *Net, host string, port int, message string) error {
	infos, err := n.Getaddrinfo(context.Background(), host, strconv.Itoa(port), AF_UNSPEC, SOCK_STREAM, 0, 0)
	if err != nil {
		return err
	}
	var s *Socket
	for _, res := range infos {
		s, err = n.Socket(res.Family, res.Type, res.Proto)
		if err != nil {
			s = nil
			continue
		}
		if err = s.Connect(res.Addr); err != nil {
			s.Close()
			s = nil
			continue
		}
		break
	}
	if s == nil {
		return fmt.Errorf("could not open socket: %w", err)
	}
	defer s.Close()
	return exchange(out, s, message)
}

// A stream is a socket, with TLS or without.
type stream interface {
	Sendall(data []byte, flags ...int) error
	Recv(n int, flags ...int) ([]byte, error)
}

// exchange sends the message, prints what comes back, and checks it.
func exchange(out io.Writer, s stream, message string) error {
	if err := s.Sendall([]byte(message)); err != nil {
		return err
	}
	var data []byte
	for len(data) < len(message) {
		part, err := s.Recv(1024)
		if err != nil {
			return err
		}
		if len(part) == 0 {
			break
		}
		data = append(data, part...)
	}
	return received(out, data, message)
}

func received(out io.Writer, data []byte, want string) error {
	fmt.Fprintln(out, "Received", repr(string(data)))
	if string(data) != want {
		return fmt.Errorf("the reply is %q, not %q", data, want)
	}
	return nil
}

// tuple writes an address as Python prints it.
func tuple(addr Addr) string {
	switch a := addr.(type) {
	case InetAddr:
		return fmt.Sprintf("(%s, %d)", repr(a.Host), a.Port)
	case Inet6Addr:
		return fmt.Sprintf("(%s, %d, %d, %d)", repr(a.Host), a.Port, a.Flowinfo, a.ScopeID)
	}
	return fmt.Sprint(addr)
}

// repr writes a string as Python's repr does, for the usual ones.
func repr(s string) string {
	q := strconv.Quote(s)
	return "'" + q[1:len(q)-1] + "'"
}
