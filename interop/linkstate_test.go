//go:build linux

package interop

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"usersock/interop/netns"
	"usersock/netdev"
	"usersock/sockapi"
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

// TestPasst: passt itself is started and ended 20 times, and nothing is left; and
// when it is killed, calls that wait end with an errno and the stack says why.
func TestPasst(t *testing.T) {
	netns.Need(t, "ip", "passt")
	pair(t) // passt wants a host with a default route
	netns.Up(t, device, kernel4+"/24")
	netns.IP(t, "route", "add", "default", "via", ours4)
	start := func() (*sockapi.Net, netdev.Link) {
		link, err := netdev.Open("passt:")
		check(t, err)
		s, err := stack.New(stack.Config{
			Interfaces: []stack.Interface{{Name: "eth0", Link: link, Addrs: []netip.Prefix{netip.MustParsePrefix(kernel4 + "/24")}}},
			Routes:     []stack.Route{{Dst: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr(ours4)}},
		})
		check(t, err)
		n, err := sockapi.New(sockapi.Config{Stack: s})
		check(t, err)
		return n, link
	}
	// What passt leads to: it takes what is for the router to the host itself.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	check(t, err)
	connect := func(n *sockapi.Net) (ours, theirs net.Conn) {
		c, err := n.Dial("tcp", net.JoinHostPort(ours4, port))
		check(t, err)
		peer, err := l.Accept()
		check(t, err)
		return c, peer
	}
	round := func() {
		n, _ := start()
		c, peer := connect(n)
		check(t, c.Close())
		check(t, peer.Close())
		check(t, n.Close())
		check(t, n.Stack().Close())
	}
	round()
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	for range 20 {
		round()
	}
	if after := openFiles(t); after != files {
		t.Errorf("%d descriptors before, %d after", files, after)
	}
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines; runtime.Gosched() {
		if time.Now().After(end) {
			t.Errorf("%d goroutines before, %d after", goroutines, runtime.NumGoroutine())
			break
		}
	}
	if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); !errors.Is(err, syscall.ECHILD) {
		t.Errorf("a child is left: %d, %v", pid, err)
	}

	n, link := start()
	defer func() {
		n.Close()
		n.Stack().Close()
	}()
	ended := make(chan error, 1)
	n.Stack().Watch(func(e stack.Event) {
		if e.Kind == stack.LinkEnded {
			ended <- e.Err
		}
	})
	c, peer := connect(n)
	defer c.Close()
	defer peer.Close()
	read := make(chan error, 1)
	go func() { _, err := c.Read(make([]byte, 10)); read <- err }()
	var pid int
	if _, err := fmt.Sscanf(netdev.Describe(link), "passt, process %d,", &pid); err != nil {
		t.Fatal(err)
	}
	check(t, syscall.Kill(pid, syscall.SIGKILL))
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("the stack says %v", err)
	}
	if err := <-read; !errors.Is(err, endpoint.ECONNABORTED) {
		t.Errorf("the connection: %v, want ECONNABORTED", err)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	check(t, err)
	return len(list)
}
