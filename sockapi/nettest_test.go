package sockapi_test

import (
	"net"
	"testing"

	"golang.org/x/net/nettest"

	. "usersock/sockapi"
)

// TestConn runs the conformance test of golang.org/x/net over every kind of
// stream.
func TestConn(t *testing.T) {
	for _, kind := range []struct{ name, network, address string }{
		{"tcp4", "tcp4", "192.0.2.2:0"},
		{"tcp6", "tcp6", "[2001:db8::2]:0"},
		{"unix", "unix", ""},
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
	if network == "unix" {
		na = nb
		sa, sb, err := nb.Socketpair(AF_UNIX, SOCK_STREAM, 0)
		if err != nil {
			return nil, nil, nil, err
		}
		a, b = sa.Conn(), sb.Conn()
	} else {
		l, err := nb.Listen(network, address)
		if err != nil {
			return nil, nil, nil, err
		}
		a, err = na.Dial(network, l.Addr().String())
		if err != nil {
			return nil, nil, nil, err
		}
		b, err = l.Accept()
		if err != nil {
			return nil, nil, nil, err
		}
		l.Close()
	}
	return a, b, func() {
		a.Close()
		b.Close()
		for _, n := range []*Net{na, nb} {
			n.Close()
			n.Stack().Close()
		}
	}, nil
}
