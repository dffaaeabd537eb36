package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"usersock/netdev"
	"usersock/sockapi"
)

// linkTable are the systems of -links: our stack at one end of a link to the
// kernel of this machine, whose own sockets are at the other. "out" means that
// our stack dials and sends, "in" that it listens and receives.
var linkTable = []systemKind{
	{"kernel", openKernel},
	{"water-out", openLink(0, "water", 1500, true)},
	{"wireguard-out", openLink(1, "wireguard", 1500, true)},
	{"tun-out", openLink(2, "tun", 1500, true)},
	{"water-in", openLink(3, "water", 1500, false)},
	{"wireguard-in", openLink(4, "wireguard", 1500, false)},
	{"tun-in", openLink(5, "tun", 1500, false)},
	{"water-65520-out", openLink(6, "water", 65520, true)},
	{"tun-65520-out", openLink(7, "tun", 65520, true)},
	{"water-65520-in", openLink(8, "water", 65520, false)},
	{"tun-65520-in", openLink(9, "tun", 65520, false)},
	{"afpacket-out", openLink(10, "afpacket", 1500, true)},
	{"afpacket-in", openLink(11, "afpacket", 1500, false)},
	{"tun-relay", openRelay(12, "tun", 1500)},
}

// insideVar marks the process that has a network namespace of its own.
const insideVar = "USERSOCK_BENCH_NETNS"

// inNamespace runs this program again in a user and network namespace, so that
// its TUN is none of the machine's, and reports whether it has.
func inNamespace(args []string) (done bool, err error) {
	if os.Getenv(insideVar) != "" {
		return false, ip("link set lo up")
	}
	self, err := os.Executable()
	if err != nil {
		return true, err
	}
	cmd := exec.Command(self, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideVar+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	runtime.LockOSThread() // the signal comes when the thread ends that started the child
	return true, cmd.Run()
}

func ip(args string) error {
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", args, err, out)
	}
	return nil
}

// linkSystems is how many of them have addresses of their own in a round.
const linkSystems = 13

// A tunnel is a TUN, or a veth pair, with the kernel at its one end.
type tunnel struct {
	link   netdev.Link
	remove func() error
}

// openTunnel makes a persistent TUN with an MTU, as an administrator would, or a
// veth pair, and opens it by that kind of link. Package wireguard-go makes its
// own TUN, which goes with its link.
func openTunnel(kind, name, kernel string, mtu int) (tunnel, error) {
	t := tunnel{remove: func() error { return nil }}
	var err error
	end := name
	switch kind {
	case "wireguard":
		t.link, err = openWireguard(name, mtu)
	case "afpacket":
		end = name + "p"
		err = ip(fmt.Sprintf("link add %s type veth peer name %s mtu %d", name, end, mtu))
	default:
		err = ip("tuntap add mode tun dev " + name)
	}
	if err != nil {
		return t, err
	}
	if kind != "wireguard" {
		t.remove = func() error { return ip("link del dev " + name) }
	}
	for _, args := range []string{fmt.Sprintf("link set dev %s mtu %d up", name, mtu), "link set dev " + end + " up", "addr add " + kernel + "/24 dev " + name} {
		if err := ip(args); err != nil {
			return t, errors.Join(err, t.close())
		}
	}
	if t.link == nil {
		if t.link, err = netdev.Open(kind + ":" + end); err != nil {
			return t, errors.Join(err, t.close())
		}
	}
	return t, nil
}

// close ends a tunnel that no stack has.
func (t tunnel) close() error {
	if t.link != nil {
		netdev.Close(t.link)
	}
	return t.remove()
}

// end closes the stack of a tunnel, and the tunnel with it. What the link has
// lost is an error: nothing that these works do may lose a packet on the way
// in.
func (t tunnel) end(n *sockapi.Net) error {
	err := errors.Join(n.Close(), n.Stack().Close(), t.remove())
	if d := netdev.Dropped(t.link); d.RxQueueFull+d.RxMalformed+d.RxTooLong > 0 {
		err = errors.Join(err, fmt.Errorf("lost on the link: %+v", d))
	}
	return err
}

// ends returns the two addresses of a system in a round, the kernel's and
// ours, in the network that begins with prefix. Each system has its own in
// each round, so that the kernel's connections in TIME-WAIT take no ports from
// it.
func ends(prefix string, round, number int) (kernel, ours string) {
	const half = 120
	host := 1 + (round*linkSystems+number)%half
	return fmt.Sprintf("%s%d", prefix, host), fmt.Sprintf("%s%d", prefix, host+half)
}

func openLink(number int, kind string, mtu int, out bool) func(int) (*system, error) {
	return func(round int) (*system, error) {
		kernel, ours := ends("192.0.2.", round, number)
		t, err := openTunnel(kind, "bench0", kernel, mtu)
		if err != nil {
			return nil, err
		}
		n, err := newNet(t.link, ours+"/24")
		if err != nil {
			return nil, errors.Join(err, t.remove())
		}
		listen, dial, at := net.Listen, n.Dial, kernel
		if !out {
			listen, dial, at = n.Listen, net.Dial, ours
		}
		address := fmt.Sprintf("%s:%d", at, port)
		return &system{
			listen: func() (listener, error) {
				l, err := listen("tcp4", address)
				if err != nil {
					return nil, err
				}
				return accepts[net.Conn]{l.Accept, l.Close}, nil
			},
			dial:      func(listener) (conn, error) { return dial("tcp4", address) },
			datagrams: noDatagrams,
			close:     func() error { return t.end(n) },
		}, nil
	}
}

func noDatagrams() (conn, conn, error) { return nil, nil, errors.New("not measured over links") }

// openRelay is two hosts of ours, each on a TUN of its own, in one process
// that passes on what comes: the kernel dials the one, and the other dials the
// kernel.
func openRelay(number int, kind string, mtu int) func(int) (*system, error) {
	return func(round int) (*system, error) {
		nearKernel, near := ends("192.0.2.", round, number)
		farKernel, far := ends("198.51.100.", round, number)
		a, err := openTunnel(kind, "bench0", nearKernel, mtu)
		if err != nil {
			return nil, err
		}
		in, err := newNet(a.link, near+"/24")
		if err != nil {
			return nil, errors.Join(err, a.remove())
		}
		b, err := openTunnel(kind, "bench1", farKernel, mtu)
		if err != nil {
			return nil, errors.Join(err, a.end(in))
		}
		out, err := newNet(b.link, far+"/24")
		if err != nil {
			return nil, errors.Join(err, a.end(in), b.remove())
		}
		from, to := fmt.Sprintf("%s:%d", near, port), fmt.Sprintf("%s:%d", farKernel, port)
		l, err := in.Listen("tcp4", from)
		if err != nil {
			return nil, errors.Join(err, a.end(in), b.end(out))
		}
		r := &relay{in: l, dial: func() (net.Conn, error) { return out.Dial("tcp4", to) }}
		r.tasks.Go(r.serve)
		return &system{
			listen: func() (listener, error) {
				l, err := net.Listen("tcp4", to)
				if err != nil {
					return nil, err
				}
				return accepts[net.Conn]{l.Accept, l.Close}, nil
			},
			dial:      func(listener) (conn, error) { return net.Dial("tcp4", from) },
			datagrams: noDatagrams,
			close: func() error {
				l.Close()
				r.tasks.Wait()
				return errors.Join(r.err, a.end(in), b.end(out))
			},
		}, nil
	}
}

// A relay passes on each connection that it accepts, both ways.
type relay struct {
	in    net.Listener
	dial  func() (net.Conn, error)
	tasks sync.WaitGroup

	mu  sync.Mutex
	err error // the first, but that of the listener's end
}

func (r *relay) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil && err != nil {
		r.err = fmt.Errorf("relay: %w", err)
	}
}

func (r *relay) serve() {
	for {
		c, err := r.in.Accept()
		if err != nil {
			return
		}
		r.tasks.Go(func() {
			defer c.Close()
			d, err := r.dial()
			if err != nil {
				r.fail(err)
				return
			}
			defer d.Close()
			var ways sync.WaitGroup
			for _, way := range [][2]net.Conn{{c, d}, {d, c}} {
				ways.Go(func() {
					_, err := io.CopyBuffer(struct{ io.Writer }{way[0]}, struct{ io.Reader }{way[1]}, make([]byte, readSize))
					r.fail(errors.Join(err, way[0].(*sockapi.Conn).CloseWrite()))
				})
			}
			ways.Wait()
		})
	}
}
