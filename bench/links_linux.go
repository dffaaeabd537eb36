package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"usersock/netdev"
)

// linkTable are the systems of -links: our stack at one end of a link to the
// kernel of this machine, whose own sockets are at the other. "out" means that
// our stack dials and sends, "in" that it listens and receives.
var linkTable = []systemKind{
	{"kernel", openKernel},
	{"water-out", openLink(0, "water", 1500, true)},
	{"tun-out", openLink(1, "tun", 1500, true)},
	{"water-in", openLink(2, "water", 1500, false)},
	{"tun-in", openLink(3, "tun", 1500, false)},
	{"water-65520-out", openLink(4, "water", 65520, true)},
	{"tun-65520-out", openLink(5, "tun", 65520, true)},
	{"water-65520-in", openLink(6, "water", 65520, false)},
	{"tun-65520-in", openLink(7, "tun", 65520, false)},
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

// openLink makes a persistent TUN with an MTU, as an administrator would, and
// opens it by that kind of link. Each system, by its number, has addresses of
// its own in each round, so that the kernel's connections in TIME-WAIT take no
// ports from it.
func openLink(number int, kind string, mtu int, out bool) func(int) (*system, error) {
	return func(round int) (*system, error) {
		const name, half = "bench0", 120
		host := 1 + (round*8+number)%half
		kernel, ours := fmt.Sprintf("192.0.2.%d", host), fmt.Sprintf("192.0.2.%d", host+half)
		remove := func() error { return ip("link del dev " + name) }
		for _, args := range []string{"tuntap add mode tun dev " + name, fmt.Sprintf("link set dev %s mtu %d up", name, mtu),
			"addr add " + kernel + "/24 dev " + name} {
			if err := ip(args); err != nil {
				return nil, err
			}
		}
		link, err := netdev.Open(kind + ":" + name)
		if err != nil {
			return nil, errors.Join(err, remove())
		}
		n, err := newNet(link, ours+"/24")
		if err != nil {
			return nil, errors.Join(err, remove())
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
			datagrams: func() (conn, conn, error) { return nil, nil, errors.New("not measured over links") },
			close:     func() error { return errors.Join(n.Close(), n.Stack().Close(), remove()) },
		}, nil
	}
}
