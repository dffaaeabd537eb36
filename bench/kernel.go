package main

import (
	"fmt"
	"net"
)

// openKernel uses package net over the kernel's loopback. Each round has an
// address of its own, so that connections in TIME-WAIT take no ports from it.
func openKernel(round int) (*system, error) {
	host := "127.0.0.1"
	// Not on every system is all of 127/8 its own.
	if probe, err := net.ListenPacket("udp", "127.9.9.9:0"); err == nil {
		probe.Close()
		host = fmt.Sprintf("127.0.%d.%d", round/250%250, 1+round%250)
	}
	var address string
	return &system{
		listen: func() (listener, error) {
			l, err := net.Listen("tcp", host+":0")
			if err != nil {
				return nil, err
			}
			address = l.Addr().String()
			return accepts[net.Conn]{l.Accept, l.Close}, nil
		},
		dial: func(listener) (conn, error) { return net.Dial("tcp", address) },
		datagrams: func() (client, server conn, err error) {
			d, err := net.ListenPacket("udp", host+":0")
			if err != nil {
				return nil, nil, err
			}
			c, err := net.Dial("udp", d.LocalAddr().String())
			if err != nil {
				d.Close()
				return nil, nil, err
			}
			return c, d.(*net.UDPConn), nil
		},
		close: func() error { return nil },
	}, nil
}
