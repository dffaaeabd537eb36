package differ

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stateVar says in a child that it runs in namespaces of its own, or in this
// process why it does not.
const stateVar = "USERSOCK_DIFFER"

// noKernel says why the kernel cannot be asked; "" if it can.
var noKernel string

// TestMain runs the tests in a new user namespace, where they are root and
// a network namespace can be made for each theme. Where none can be made they
// run without, and the kernel is not asked.
func TestMain(m *testing.M) {
	if os.Getenv(stateVar) != "inside" {
		code, err := inNamespace()
		if err == nil {
			os.Exit(code)
		}
		noKernel = fmt.Sprintf("no namespace for the test: %v", err)
		os.Exit(m.Run())
	}
	r, err := newRoom()
	if err != nil {
		noKernel = fmt.Sprintf("no network namespace for the sequences: %v", err)
	} else {
		r.end()
	}
	os.Exit(m.Run())
}

// atATime is how many themes are played at a time if nobody says otherwise:
// most of their time they wait.
const atATime = "-test.parallel=4"

// inNamespace runs this program once more, in new namespaces.
func inNamespace() (code int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(self, append([]string{atATime}, os.Args[1:]...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), stateVar+"=inside")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	runtime.LockOSThread() // the signal comes when the thread ends that started the child
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	if code = cmd.ProcessState.ExitCode(); code < 0 {
		code = 1 // ended by a signal
	}
	return code, nil
}

// furnish prepares the network namespace of this thread: lo, ping sockets for
// everybody, and what differs from machine to machine, which a kernel may lack.
func furnish() error {
	if err := up("lo"); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	for name, value := range map[string]string{
		"ping_group_range": "0 0",
		"tcp_rmem":         "4096 131072 6291456",
		"tcp_wmem":         "4096 16384 4194304",
	} {
		_ = os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0o644)
	}
	return nil
}

// tunNode is the TUN driver's node.
func tunNode() string {
	if other := os.Getenv("USERSOCK_TUN"); other != "" {
		return other
	}
	return "/dev/net/tun"
}

// A room is a thread in a network namespace of its own. What sequences leave
// (ports in TIME-WAIT, connections that wait for acknowledgements) stays in it.
// To make one takes the kernel a while, so several sequences share it.
type room struct {
	work   chan func()
	tun    *tun
	silent *tun // nil until a sequence asks for it
}

func newRoom() (*room, error) {
	r := &room{work: make(chan func())}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = furnish()
		}
		if err != nil {
			made <- err
			return
		}
		if r.tun, err = openTUN("dt0", unix.IFF_TUN, own4, own6); err != nil {
			made <- fmt.Errorf("no TUN device: %w (USERSOCK_TUN may name another node of it)", err)
			return
		}
		if err := addRoutes(); err != nil {
			r.tun.end()
			made <- fmt.Errorf("routes to %s and %s: %w", distant4, distant6, err)
			return
		}
		made <- nil
		for f := range r.work {
			f()
		}
		r.tun.end()
		if r.silent != nil {
			r.silent.end()
		}
	}()
	return r, <-made
}

// do calls f on the room's thread.
func (r *room) do(f func()) {
	done := make(chan struct{})
	r.work <- func() {
		defer close(done)
		f()
	}
	<-done
}

func (r *room) end() { close(r.work) }

func withSocket(family int, f func(fd int) error) error {
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return f(fd)
}

func up(name string) error {
	return withSocket(unix.AF_INET, func(fd int) error {
		ifr, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
		return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
	})
}

// addSilent adds the silent interface to the room, once. Its neighbours are
// given up soon.
func (r *room) addSilent() error {
	if r.silent != nil {
		return nil
	}
	t, err := openTUN("dn0", unix.IFF_TAP, silent4, silent6)
	if err != nil {
		return err
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		if err := os.WriteFile("/proc/sys/net/"+family+"/neigh/dn0/retrans_time_ms", []byte("100"), 0o644); err != nil {
			t.end()
			return err
		}
	}
	r.silent = t
	return nil
}

// tun is the kernel's wire.
type tun struct{ fd int }

// openTUN makes an interface, IFF_TUN or IFF_TAP, with two addresses.
func openTUN(name string, kind uint16, ip4, ip6 string) (*tun, error) {
	fd, err := unix.Open(tunNode(), unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	t := &tun{fd}
	if err := t.set(name, kind, ip4, ip6); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return t, nil
}

func (t *tun) set(name string, kind uint16, ip4, ip6 string) error {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	ifr.SetUint16(kind | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(t.fd, unix.TUNSETIFF, ifr); err != nil {
		return err
	}
	// No link-local address and no duplicate address detection.
	conf := "/proc/sys/net/ipv6/conf/" + name
	if err := os.WriteFile(conf+"/addr_gen_mode", []byte("1"), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(conf+"/accept_dad", []byte("0"), 0o644); err != nil {
		return err
	}
	err = withSocket(unix.AF_INET, func(fd int) error {
		if err := setInet4(fd, name, unix.SIOCSIFADDR, ip4); err != nil {
			return err
		}
		return setInet4(fd, name, unix.SIOCSIFNETMASK, "255.255.255.0")
	})
	if err != nil {
		return err
	}
	if err := up(name); err != nil {
		return err
	}
	err = withSocket(unix.AF_INET6, func(fd int) error {
		ifr, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr); err != nil {
			return err
		}
		var in6 struct { // struct in6_ifreq
			addr   [16]byte
			prefix uint32
			index  int32
		}
		in6.addr, in6.prefix, in6.index = netip.MustParseAddr(ip6).As16(), 64, int32(ifr.Uint32())
		_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCSIFADDR, uintptr(unsafe.Pointer(&in6)))
		if e != 0 {
			return e
		}
		return nil
	})
	if err != nil {
		return err
	}
	// The kernel takes the address into use on a queue of its own.
	for end := time.Now().Add(patience); ; runtime.Gosched() {
		if source(ip6) == netip.MustParseAddr(ip6) {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is not in use after %v", ip6, patience)
		}
	}
}

// addRoutes leads to distant4 and distant6 by routers behind the interface.
func addRoutes() error {
	four := func(ip string) (sa unix.RawSockaddrInet4) {
		sa.Family, sa.Addr = unix.AF_INET, netip.MustParseAddr(ip).As4()
		return sa
	}
	rt := struct { // struct rtentry
		_                  uintptr
		dst, gateway, mask unix.RawSockaddrInet4
		flags, _           uint16
		_                  [2]uintptr
		metric             int16
		dev                *byte
		_                  [3]uintptr
	}{dst: four("198.51.100.128"), gateway: four(router4), mask: four("255.255.255.128"), flags: unix.RTF_UP | unix.RTF_GATEWAY}
	err := withSocket(unix.AF_INET, func(fd int) error {
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCADDRT, uintptr(unsafe.Pointer(&rt))); e != 0 {
			return e
		}
		return nil
	})
	if err != nil {
		return err
	}
	rt6 := struct { // struct in6_rtmsg
		dst, src, gateway [16]byte
		typ               uint32
		dstLen, srcLen    uint16
		metric            uint32
		_                 uintptr
		flags             uint32
		index             int32
	}{dst: netip.MustParseAddr("2001:db8:cafe::").As16(), gateway: netip.MustParseAddr(router6).As16(), dstLen: 64, metric: 1,
		flags: unix.RTF_UP | unix.RTF_GATEWAY}
	return withSocket(unix.AF_INET6, func(fd int) error {
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCADDRT, uintptr(unsafe.Pointer(&rt6))); e != 0 {
			return e
		}
		return nil
	})
}

// source is the address that the kernel sends to the one behind own from.
func source(own string) (ip netip.Addr) {
	_ = withSocket(unix.AF_INET6, func(fd int) error {
		to := netip.MustParseAddr(own).Next().As16()
		if err := unix.Connect(fd, &unix.SockaddrInet6{Port: 9, Addr: to}); err != nil {
			return err
		}
		sa, err := unix.Getsockname(fd)
		if a, ok := sa.(*unix.SockaddrInet6); ok {
			ip = netip.AddrFrom16(a.Addr)
		}
		return err
	})
	return ip
}

func setInet4(fd int, name string, request uint, ip string) error {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	a := netip.MustParseAddr(ip).As4()
	if err := ifr.SetInet4Addr(a[:]); err != nil {
		return err
	}
	return unix.IoctlIfreq(fd, request, ifr)
}

func (t *tun) end() { unix.Close(t.fd) }

func (t *tun) inject(packet []byte) {
	if _, err := unix.Write(t.fd, packet); err != nil {
		panic(fmt.Sprint("write to the TUN device: ", err))
	}
}

func (t *tun) next(d time.Duration) []byte {
	var b [2048]byte
	for end := time.Now().Add(d); ; {
		n, err := unix.Read(t.fd, b[:])
		if err == nil {
			return append([]byte(nil), b[:n]...)
		}
		left := time.Until(end)
		if left <= 0 {
			return nil
		}
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(t.fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
	}
}
