//go:build linux

package interop

import (
	"errors"
	"net"
	"strings"
	"testing"

	"usersock/interop/netns"
	"usersock/stack"
	"usersock/stack/endpoint"
)

// TestDeviceDeleted: when the kernel's interface is deleted, calls that wait on
// its connections end with an errno, and the stack says why.
func TestDeviceDeleted(t *testing.T) {
	for _, kind := range []string{"tun", "tap", "afpacket"} {
		t.Run(kind, func(t *testing.T) {
			netns.Need(t, "ip")
			n := host(t, kind)
			ended := make(chan error, 1)
			n.Stack().Watch(func(e stack.Event) {
				if e.Kind == stack.LinkEnded {
					ended <- e.Err
				}
			})
			l, err := net.Listen("tcp", kernel4+":0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			c, err := n.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			peer, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer peer.Close()
			pc, err := n.ListenPacket("udp", ours4+":9")
			if err != nil {
				t.Fatal(err)
			}
			defer pc.Close()
			stream, datagram := make(chan error, 1), make(chan error, 1)
			go func() { _, err := c.Read(make([]byte, 10)); stream <- err }()
			go func() { _, _, err := pc.ReadFrom(make([]byte, 10)); datagram <- err }()
			netns.IP(t, "link", "del", device)
			if err := <-ended; err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(spec(kind), kind+":")) {
				t.Errorf("the stack says %v", err)
			}
			if err := <-stream; !errors.Is(err, endpoint.ECONNABORTED) {
				t.Errorf("the connection: %v, want ECONNABORTED", err)
			}
			if err := <-datagram; !errors.Is(err, endpoint.ENETDOWN) {
				t.Errorf("the datagram socket: %v, want ENETDOWN", err)
			}
			if _, err := n.Dial("tcp", kernel4+":9"); !errors.Is(err, endpoint.ENETUNREACH) && !errors.Is(err, endpoint.EHOSTUNREACH) {
				t.Errorf("dial afterwards: %v", err)
			}
		})
	}
}

// TestDeviceDown: a connection outlives an interface that is down for a
// while.
func TestDeviceDown(t *testing.T) {
	for _, kind := range []string{"tun", "tap", "afpacket"} {
		t.Run(kind, func(t *testing.T) {
			netns.Need(t, "ip")
			n := host(t, kind)
			states := make(chan stack.EventKind, 10)
			n.Stack().Watch(func(e stack.Event) { states <- e.Kind })
			l, err := net.Listen("tcp", kernel4+":0")
			check(t, err)
			defer l.Close()
			c, err := n.Dial("tcp", l.Addr().String())
			check(t, err)
			defer c.Close()
			conn, err := l.Accept()
			check(t, err)
			defer conn.Close()
			ours := strings.TrimPrefix(spec(kind), kind+":")
			netns.IP(t, "link", "set", ours, "down")
			_, err = c.Write([]byte("hello"))
			check(t, err)
			if k := <-states; k != stack.LinkDown {
				t.Errorf("%v, want link down", k)
			}
			netns.IP(t, "link", "set", ours, "up")
			b := make([]byte, 10)
			if n, err := conn.Read(b); err != nil || string(b[:n]) != "hello" { // sent again by TCP
				t.Errorf("%q, %v", b[:n], err)
			}
			if k := <-states; k != stack.LinkUp {
				t.Errorf("%v, want link up", k)
			}
		})
	}
}
