package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"usersock/netdev"
	"usersock/sockapi"
	"usersock/stack"
)

// sock is a socket with the calls that the works use.
type sock struct{ *sockapi.Socket }

func (s sock) Read(p []byte) (int, error) {
	n, err := s.RecvInto(p, 0)
	if n == 0 && err == nil && s.Type() == sockapi.SOCK_STREAM {
		err = io.EOF
	}
	return n, err
}

func (s sock) Write(p []byte) (int, error) { return s.Send(p) }

// openSockapi uses this project's socket calls over its link in memory.
func openSockapi(int) (*system, error) {
	client, server, err := twoNets()
	if err != nil {
		return nil, err
	}
	address := sockapi.InetAddr{Host: "192.0.2.2", Port: port}
	open := func(n *sockapi.Net, typ int, use func(*sockapi.Socket) error) (sock, error) {
		s, err := n.Socket(sockapi.AF_INET, typ, 0)
		if err != nil {
			return sock{}, err
		}
		if err := use(s); err != nil {
			return sock{}, errors.Join(err, s.Close())
		}
		return sock{s}, nil
	}
	connect := func(s *sockapi.Socket) error { return s.Connect(address) }
	bind := func(s *sockapi.Socket) error { return s.Bind(address) }
	return &system{
		listen: func() (listener, error) {
			l, err := open(server, sockapi.SOCK_STREAM, func(s *sockapi.Socket) error {
				return errors.Join(s.Setsockopt(sockapi.SOL_SOCKET, sockapi.SO_REUSEADDR, 1), s.Bind(address), s.Listen(sockapi.SOMAXCONN))
			})
			if err != nil {
				return nil, err
			}
			return accepts[sock]{func() (sock, error) {
				s, _, err := l.Accept()
				return sock{s}, err
			}, l.Close}, nil
		},
		dial: func(listener) (conn, error) {
			return open(client, sockapi.SOCK_STREAM, func(s *sockapi.Socket) error {
				// As the other systems, which are package net's likeness.
				return errors.Join(s.Setsockopt(sockapi.IPPROTO_TCP, sockapi.TCP_NODELAY, 1), connect(s))
			})
		},
		datagrams: func() (conn, conn, error) {
			d, err := open(server, sockapi.SOCK_DGRAM, bind)
			if err != nil {
				return nil, nil, err
			}
			c, err := open(client, sockapi.SOCK_DGRAM, connect)
			if err != nil {
				return nil, nil, errors.Join(err, d.Close())
			}
			return c, d, nil
		},
		close: closeNets(client, server),
	}, nil
}

// openDialect uses this project's net.Conn over its link in memory.
func openDialect(int) (*system, error) {
	client, server, err := twoNets()
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("192.0.2.2:%d", port)
	return &system{
		listen: func() (listener, error) {
			l, err := server.Listen("tcp4", address)
			if err != nil {
				return nil, err
			}
			return accepts[net.Conn]{l.Accept, l.Close}, nil
		},
		dial: func(listener) (conn, error) { return client.Dial("tcp4", address) },
		datagrams: func() (conn, conn, error) {
			d, err := server.ListenPacket("udp4", address)
			if err != nil {
				return nil, nil, err
			}
			c, err := client.Dial("udp4", address)
			if err != nil {
				return nil, nil, errors.Join(err, d.Close())
			}
			return c, d.(*sockapi.PacketConn), nil
		},
		close: closeNets(client, server),
	}, nil
}

// twoNets makes two hosts on a link in memory.
func twoNets() (client, server *sockapi.Net, err error) {
	a, b := netdev.Pair(netdev.PairConfig{})
	client, err = newNet(a, "192.0.2.1/24")
	if err != nil {
		netdev.Close(b)
		return nil, nil, err
	}
	server, err = newNet(b, "192.0.2.2/24")
	if err != nil {
		return nil, nil, errors.Join(err, client.Stack().Close())
	}
	return client, server, nil
}

func closeNets(client, server *sockapi.Net) func() error {
	return func() error {
		return errors.Join(client.Close(), server.Close(), client.Stack().Close(), server.Stack().Close())
	}
}

// newNet makes a host with one interface, and a process on it.
func newNet(link netdev.Link, addr string) (*sockapi.Net, error) {
	s, err := stack.New(stack.Config{
		Interfaces: []stack.Interface{{Link: link, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}}},
	})
	if err != nil {
		return nil, err
	}
	n, err := sockapi.New(sockapi.Config{Stack: s})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return n, nil
}
