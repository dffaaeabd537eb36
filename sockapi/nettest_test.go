package sockapi_test

import (
	"net"
	"strings"
	"testing"

	"golang.org/x/net/nettest"

	. "usersock/sockapi"
)

// TestConn runs the conformance test of golang.org/x/net over every kind of
// connection.
func TestConn(t *testing.T) {
	for _, kind := range []struct{ name, network, address string }{
		{"tcp4", "tcp4", "192.0.2.2:0"},
		{"tcp6", "tcp6", "[2001:db8::2]:0"},
		{"unix", "unix", "/run/conn"},
		{"unixpacket", "unixpacket", "@conn"},
		{"pair of streams", "pair", "unix"},
		{"pair of sequenced packets", "pair", "unixpacket"},
	} {
		t.Run(kind.name, func(t *testing.T) {
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				return dialled(t, kind.network, kind.address)
			})
		})
	}
}

// dialled returns both ends of a connection between two new hosts, or within
// one for AF_UNIX.
func dialled(t testing.TB, network, address string) (a, b net.Conn, stop func(), err error) {
	na, nb := hosts(t)
	if network == "pair" || strings.HasPrefix(network, "unix") {
		na = nb
	}
	if network == "pair" {
		a, b, err = paired(nb, address)
	} else {
		a, b, err = accepted(na, nb, network, address)
	}
	return a, b, func() {
		a.Close()
		b.Close()
		for _, n := range []*Net{na, nb} {
			n.Close()
			n.Stack().Close()
		}
	}, err
}

func paired(n *Net, network string) (a, b net.Conn, err error) {
	if network == "unixpacket" {
		x, y, err := n.Socketpair(AF_UNIX, SOCK_SEQPACKET, 0)
		if err != nil {
			return nil, nil, err
		}
		return x.PacketConn(), y.PacketConn(), nil
	}
	x, y, err := n.Socketpair(AF_UNIX, SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, err
	}
	return x.Conn(), y.Conn(), nil
}

func accepted(na, nb *Net, network, address string) (a, b net.Conn, err error) {
	l, err := nb.Listen(network, address)
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if a, err = na.Dial(network, l.Addr().String()); err != nil {
		return nil, nil, err
	}
	b, err = l.Accept()
	return a, b, err
}
