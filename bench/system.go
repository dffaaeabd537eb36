package main

import (
	"fmt"
	"io"
)

// A conn is one end of a connection, or a connected datagram socket. Read and
// Write each have one user at a time; Close may be called twice.
type conn interface{ io.ReadWriteCloser }

// A listener accepts connections. Close ends Accept.
type listener interface {
	Accept() (conn, error)
	Close() error
}

// A system is a way to move bytes between two ends of this process.
type system struct {
	listen    func() (listener, error)
	dial      func(listener) (conn, error)
	datagrams func() (client, server conn, err error) // the client is connected
	close     func() error
}

// systemKind makes systems of one kind. The number of the round lets those
// that share something with earlier rounds (the kernel's ports) avoid it.
type systemKind struct {
	name string
	open func(round int) (*system, error)
}

func (k systemKind) title() string { return k.name }

var systemTable = []systemKind{
	{"kernel", openKernel},
	{"gonet", openGonet},
	{"raw", openRaw},
	{"sockapi", openSockapi},
	{"goconn", openDialect},
	{"gotls", openGoTLS},
	{"tls", openTLS},
}

func open(table []systemKind, name string, round int) (*system, error) {
	for _, k := range table {
		if k.name == name {
			return k.open(round)
		}
	}
	return nil, fmt.Errorf("no system %q", name)
}

// accepts turns the Accept of a listener of any type into ours.
type accepts[C conn] struct {
	accept func() (C, error)
	closed func() error
}

func (a accepts[C]) Accept() (conn, error) {
	c, err := a.accept()
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (a accepts[C]) Close() error { return a.closed() }
