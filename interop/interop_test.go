//go:build linux

package interop

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"usersock/interop/netns"
	"usersock/netdev"
	"usersock/sockapi"
	"usersock/stack"
)

func TestMain(m *testing.M) { netns.Main(m) }

// The kernel has the first address of each network, our stack the second.
const (
	kernel4, ours4 = "192.0.2.1", "192.0.2.2"
	kernel6, ours6 = "2001:db8::1", "2001:db8::2"
	device         = "tun0"  // the kernel's end
	peer           = "veth0" // ours, where there are two
	port           = 50007
)

// kinds are the links that lead to the kernel.
var kinds = []string{"tun", "water", "afpacket"}

// pair makes a veth pair, whose end called device is the kernel's.
func pair(t *testing.T) {
	t.Helper()
	netns.IP(t, "link", "add", device, "type", "veth", "peer", "name", peer)
	netns.IP(t, "link", "set", peer, "up")
	t.Cleanup(func() { exec.Command("ip", "link", "del", device).Run() }) // or the test has
}

// spec is the name of a link of a kind, whose other end is device.
func spec(kind string) string {
	if kind == "afpacket" {
		return kind + ":" + peer
	}
	return kind + ":" + device
}

// host makes a stack of ours that is joined to the kernel by a link of a kind.
func host(t *testing.T, kind string) *sockapi.Net {
	t.Helper()
	return hostOn(t, open(t, kind))
}

// open opens a link of a kind to the kernel's interface.
func open(t *testing.T, kind string) netdev.Link {
	t.Helper()
	if kind == "afpacket" {
		pair(t)
	}
	link, err := netdev.Open(spec(kind))
	if err != nil {
		t.Fatal(err)
	}
	return link
}

// hostOn is host with a link that is open.
func hostOn(t *testing.T, link netdev.Link) *sockapi.Net {
	t.Helper()
	netns.Up(t, device, kernel4+"/24", kernel6+"/64")
	s, err := stack.New(stack.Config{Interfaces: []stack.Interface{{
		Name:  device,
		Link:  link,
		Addrs: []netip.Prefix{netip.MustParsePrefix(ours4 + "/24"), netip.MustParsePrefix(ours6 + "/64")},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error("close the stack:", err)
		}
	})
	n, err := sockapi.New(sockapi.Config{Stack: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error("close the Net:", err)
		}
	})
	return n
}

// each runs a test over each kind of link and both versions of IP.
func each(t *testing.T, programs []string, f func(t *testing.T, n *sockapi.Net, ours, kernel string)) {
	for _, kind := range kinds {
		for _, v := range []struct{ name, ours, kernel string }{{"ipv4", ours4, kernel4}, {"ipv6", ours6, kernel6}} {
			t.Run(kind+"/"+v.name, func(t *testing.T) {
				netns.Need(t, append(programs, "ip")...)
				f(t, host(t, kind), v.ours, v.kernel)
			})
		}
	}
}

// check ends the test's goroutine on an error. It is not for other goroutines.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func script(name string) string { return filepath.Join("testdata", name) }

// serveEcho is the documents' server, after its call of listen.
func serveEcho(s *sockapi.Socket) error {
	conn, _, err := s.Accept()
	if err != nil {
		return err
	}
	for {
		data, err := conn.Recv(1024)
		if err != nil {
			return errors.Join(err, conn.Close())
		}
		if len(data) == 0 {
			return conn.Close()
		}
		if _, err := conn.Send(data); err != nil {
			return errors.Join(err, conn.Close())
		}
	}
}

// TestPythonClients runs the documents' clients against their server on our
// stack.
func TestPythonClients(t *testing.T) {
	each(t, []string{"python3"}, func(t *testing.T, n *sockapi.Net, ours, _ string) {
		scripts := []string{"echo_client.py"}
		family, any := sockapi.AF_INET6, sockapi.Addr(sockapi.Inet6Addr{Port: port})
		if ours == ours4 {
			scripts = append(scripts, "echo_client4.py")
			family, any = sockapi.AF_INET, sockapi.InetAddr{Port: port}
		}
		for _, name := range scripts {
			s, err := n.Socket(family, sockapi.SOCK_STREAM, 0)
			check(t, err)
			check(t, s.Setsockopt(sockapi.SOL_SOCKET, sockapi.SO_REUSEADDR, 1))
			check(t, s.Bind(any))
			check(t, s.Listen(1))
			served := make(chan error, 1)
			go func() { served <- serveEcho(s) }()
			if got, want := netns.Run(t, "python3", script(name), ours), "Received b'Hello, world'\n"; got != want {
				t.Errorf("%s printed %q, want %q", name, got, want)
			}
			check(t, <-served)
			check(t, s.Close())
		}
	})
}

// TestPythonServers runs the documents' servers against their client on our
// stack.
func TestPythonServers(t *testing.T) {
	each(t, []string{"python3"}, func(t *testing.T, n *sockapi.Net, ours, kernel string) {
		servers := [][]string{{script("echo_server.py"), "::"}}
		if ours == ours4 {
			servers = [][]string{{script("echo_server.py"), ""}, {script("echo_server4.py")}}
		}
		for _, args := range servers {
			server := netns.Start(t, "python3", args...)
			server.Expect("Listening")
			var data []byte
			err := n.WithConnection(sockapi.InetAddr{Host: kernel, Port: port}, sockapi.Forever, nil, func(s *sockapi.Socket) error {
				if _, err := s.Send([]byte("Hello, world")); err != nil {
					return err
				}
				var err error
				data, err = s.Recv(1024)
				return err
			})
			check(t, err)
			if string(data) != "Hello, world" {
				t.Errorf("%q came back", data)
			}
			if line := server.Expect("Connected by"); !strings.Contains(line, "'"+ours+"'") {
				t.Errorf("%s, want it to name %s", line, ours)
			}
			server.Wait()
		}
	})
}

// TestPythonDatagrams sends datagrams, some longer than the MTU, to our stack
// and back.
func TestPythonDatagrams(t *testing.T) {
	each(t, []string{"python3"}, func(t *testing.T, n *sockapi.Net, ours, _ string) {
		pc, err := n.ListenPacket("udp", net.JoinHostPort(ours, "0"))
		check(t, err)
		served := make(chan error, 1)
		go func() {
			buf := make([]byte, 65536)
			for {
				m, from, err := pc.ReadFrom(buf)
				if err == nil {
					_, err = pc.WriteTo(buf[:m], from)
				}
				if err != nil {
					served <- err
					return
				}
			}
		}()
		_, at, err := net.SplitHostPort(pc.LocalAddr().String())
		check(t, err)
		netns.Run(t, "python3", script("datagrams.py"), ours, at)
		check(t, pc.Close())
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

// TestPing: our stack answers the kernel's echo requests, short and longer
// than the MTU.
func TestPing(t *testing.T) {
	each(t, []string{"ping"}, func(t *testing.T, _ *sockapi.Net, ours, _ string) {
		for _, size := range []int{16, 1400, 4000} {
			out := netns.Run(t, "ping", "-n", "-c", "3", "-i", "0.2", "-W", "5", "-s", fmt.Sprint(size), ours)
			if !strings.Contains(out, "3 packets transmitted, 3 received, 0% packet loss") {
				t.Errorf("%d bytes:\n%s", size, out)
			}
		}
	})
}

// TestRefused: what is not there is refused at once, both ways.
func TestRefused(t *testing.T) {
	each(t, nil, func(t *testing.T, n *sockapi.Net, ours, kernel string) {
		if _, err := n.Dial("tcp", net.JoinHostPort(kernel, "9")); !errors.Is(err, sockapi.Errno(111)) {
			t.Errorf("our connection to a closed port of the kernel: %v", err)
		}
		if _, err := net.Dial("tcp", net.JoinHostPort(ours, "9")); !strings.Contains(fmt.Sprint(err), "refused") {
			t.Errorf("the kernel's connection to a closed port of ours: %v", err)
		}
	})
}

// TestProgram runs cmd/userspace-echo on a TUN interface, or a veth pair, that
// an administrator has made.
func TestProgram(t *testing.T) {
	netns.Need(t, "ip", "python3", "go")
	program := filepath.Join(t.TempDir(), "userspace-echo")
	if out, err := exec.Command("go", "build", "-o", program, "usersock/cmd/userspace-echo").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			if kind == "afpacket" {
				pair(t)
			} else {
				netns.IP(t, "tuntap", "add", "dev", device, "mode", "tun")
				t.Cleanup(func() { netns.IP(t, "link", "delete", device) })
			}
			netns.Up(t, device, kernel4+"/24", kernel6+"/64")
			options := []string{"-link", spec(kind), "-addr", ours4 + "/24", "-addr", ours6 + "/64"}

			server := netns.Start(t, program, append([]string{"serve"}, options...)...)
			server.Expect("Listening on " + ours4)
			for _, to := range []string{ours4, ours6} {
				if got, want := netns.Run(t, "python3", script("echo_client.py"), to), "Received b'Hello, world'\n"; got != want {
					t.Errorf("the client of %s printed %q, want %q", to, got, want)
				}
				netns.Run(t, "python3", script("datagrams.py"), to, fmt.Sprint(port))
			}
			server.Interrupt()
			server.Wait()
			netns.IP(t, "link", "show", "dev", device) // it was not ours to take away

			for _, c := range []struct{ host, kernel string }{{"", kernel4}, {"::", kernel6}} {
				peer := netns.Start(t, "python3", script("echo_server.py"), c.host)
				peer.Expect("Listening")
				out := netns.Run(t, program, append(append([]string{"dial"}, options...), c.kernel)...)
				if !strings.Contains(out, "Received") || !strings.Contains(out, "Hello, world") {
					t.Errorf("dial %s printed %q", c.kernel, out)
				}
				peer.Wait()
			}
		})
	}
}
