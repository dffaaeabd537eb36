package inet

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"usersock/stack/endpoint"
)

// inNamespace runs the rest of a test in a user and network namespace of its
// own, where this process may open raw sockets, and where the loopback
// interface, which is the only one, is up with an MTU of 1500. It reports
// whether this is there.
func inNamespace(t *testing.T) bool {
	t.Helper()
	const state = "USERSOCK_INET_NETNS"
	if os.Getenv(state) == t.Name() {
		furnish(t)
		return true
	}
	self, err := os.Executable()
	check(t, err)
	cmd := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), state+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	runtime.LockOSThread() // the signal comes when the thread ends
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	if _, exit := err.(*exec.ExitError); err != nil && !exit {
		t.Skipf("no namespace for the test: %v", err)
	}
	t.Logf("%s", out)
	if err != nil {
		t.Error("the test failed in its namespace")
	}
	return false
}

func furnish(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	check(t, err)
	defer unix.Close(fd)
	set := func(request uintptr, value uint32) {
		t.Helper()
		var req [40]byte // struct ifreq
		copy(req[:], "lo")
		*(*uint32)(unsafe.Pointer(&req[16])) = value
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&req))); e != 0 {
			t.Fatal(e)
		}
	}
	set(unix.SIOCSIFMTU, 1500)
	set(unix.SIOCSIFFLAGS, unix.IFF_UP|unix.IFF_RUNNING|unix.IFF_LOOPBACK|unix.IFF_MULTICAST)
	check(t, os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 0"), 0))
}

// Raw sockets, ping sockets, UDP-Lite and what else needs a kernel of one's
// own do what the kernel's do.
func TestLikeTheKernelAlone(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	for _, ip := range []netip.Addr{lo4, lo6} {
		for _, sc := range slices.Concat(controlScenarios, rawScenarios) {
			t.Run(ip.String()+"/"+sc.name, func(t *testing.T) {
				needKernel(t, ip)
				run := func(open func(af, typ, proto int) (endpoint.Endpoint, error)) []string {
					l := &lab{t: t, ip: ip, af: inet(ip, 0).Family, opener: open}
					sc.run(l)
					return l.log
				}
				kernel := run(func(af, typ, proto int) (endpoint.Endpoint, error) {
					ep, err := openKernel(af, typ, proto)
					if err != nil {
						return nil, err
					}
					return ep, nil
				})
				s := newStack(t, true, true)
				must(t, s.SetNICMTU(1, 1500))
				p := New(Config{Stack: s, Clock: endpoint.SystemClock(), IPv4: true, IPv6: true})
				ours := run(func(af, typ, proto int) (endpoint.Endpoint, error) {
					return p.Family(af).Open(endpoint.Request{Type: typ, Protocol: proto})
				})
				differ := sc.differ4
				if ip == lo6 {
					differ = sc.differ6
				}
				for k, v := range sc.differ {
					if differ == nil {
						differ = make(map[string]string)
					}
					differ[k] = v
				}
				compare(t, differ, kernel, ours)
			})
		}
	}
}

// proto opens a socket of a protocol, or skips where the kernel has none.
func (l *lab) proto(af, typ, proto int) *labSocket {
	l.t.Helper()
	ep, err := l.opener(af, typ, proto)
	if err == endpoint.EPROTONOSUPPORT {
		l.t.Skipf("no protocol %d", proto)
	}
	check(l.t, err)
	return l.wrap(ep)
}

// Every option of the table has the kernel's first value on these sockets too,
// and whatever has none here has none there. Setting them has the kernel's
// answers.
func TestOptionsAlone(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	p := newProtocols(t, true, true)
	for _, k := range aloneKinds {
		t.Run(k.name, func(t *testing.T) {
			kernel, err := openKernel(k.af, k.typ, k.proto)
			if err != nil {
				t.Skip(err)
			}
			defer kernel.Close()
			ours, err := p.Family(k.af).Open(endpoint.Request{Type: k.typ, Protocol: k.proto})
			check(t, err)
			defer ours.Close()
			for _, info := range Options() {
				if !info.Readable {
					continue
				}
				read := func(ep endpoint.Endpoint) string {
					buf := make([]byte, 64)
					n, err := ep.Option(info.Level, info.Name, buf)
					if err != nil {
						return name(err)
					}
					if info.Name == endpoint.SO_MEMINFO && info.Level == endpoint.SOL_SOCKET {
						clear(buf[:4]) // what waits: the kernel sends itself ICMPv6 when an interface comes up
					}
					return fmt.Sprintf("%d bytes %x", n, buf[:n])
				}
				want, got := read(kernel), read(ours)
				if _, listed := defaultsDiffer[info.Symbol]; want != got && !listed {
					t.Errorf("%s: kernel %s, ours %s", info.Symbol, want, got)
				}
			}
			for _, c := range optionCases {
				if path, machine := machineCases[c.symbol]; machine && machineDiffers(t, path) {
					continue
				}
				if want, got := c.try(kernel), c.try(ours); want != got {
					t.Errorf("%s: kernel %s, ours %s", c.symbol, want, got)
				}
			}
		})
	}
}
