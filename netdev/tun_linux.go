package netdev

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"usersock/stack/endpoint"
)

// tunPath is where the TUN driver's node usually is.
const tunPath = "/dev/net/tun"

// tunFlags open a TUN interface (not TAP) without the four bytes of packet
// information. IFF_VNET_HDR would be added here.
const tunFlags = unix.IFF_TUN | unix.IFF_NO_PI

func checkTUNName(name string) error { return checkInterfaceName(name) }

// checkInterfaceName applies Linux's rules for names of interfaces. "" passes.
func checkInterfaceName(name string) error {
	const longest = 15 // IFNAMSIZ − 1, netdevice(7)
	switch {
	case len(name) > longest:
		return fmt.Errorf("a name has at most %d bytes: %w", longest, endpoint.EINVAL)
	case name == "." || name == "..":
		return fmt.Errorf("it is no name: %w", endpoint.EINVAL)
	case strings.ContainsAny(name, "/: \t\n\v\f\r\x00") || strings.IndexByte(name, 0xa0) >= 0: // white space by the kernel
		return fmt.Errorf("a name has no slash, colon, white space or zero byte: %w", endpoint.EINVAL)
	case strings.Contains(strings.Replace(name, "%d", "", 1), "%"):
		return fmt.Errorf("a name has no %% except one %%d: %w", endpoint.EINVAL)
	}
	return nil
}

// openTUN opens or makes the interface and returns its final name.
func openTUN(name string, cfg TUNConfig) (tunFile, string, error) {
	if cfg.Network != (netip.Prefix{}) {
		return nil, name, fmt.Errorf("Network is for Windows: %w", endpoint.EINVAL)
	}
	path := cfg.Path
	if path == "" {
		path = tunPath
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, name, explainOpen(path, err)
	}
	ifr, err := unix.NewIfreq(name)
	if err == nil {
		ifr.SetUint16(tunFlags)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	}
	if err != nil {
		unix.Close(fd)
		return nil, name, explainSet(path, name, err)
	}
	// Only now: an interface that is not yet set up is in error for the poller,
	// which would never wait for it.
	f := os.NewFile(uintptr(fd), path)
	conn, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, name, fmt.Errorf("%s: %w", path, errnoOf(err))
	}
	return &linuxTUN{f: f, conn: conn}, ifr.Name(), nil
}

// explainOpen says what to do when the driver's node cannot be opened.
func explainOpen(path string, err error) error {
	advice := ""
	switch err {
	case unix.ENOENT:
		advice = "load the driver (modprobe tun), or give the container the device (--device /dev/net/tun)"
	case unix.ENODEV, unix.ENXIO:
		advice = "the kernel has no TUN driver loaded (modprobe tun)"
	case unix.EACCES, unix.EPERM:
		advice = "it needs to be readable and writable (chmod 0666), or TUNConfig.Path names another node of the device"
	}
	return explained("open "+path, advice, err)
}

// explainSet says what to do when the interface cannot be had.
func explainSet(path, name string, err error) error {
	if name == "" {
		name = "tun0"
	}
	advice := ""
	switch err {
	case unix.EPERM, unix.EACCES:
		advice = "this needs CAP_NET_ADMIN: run in a user and network namespace (unshare -Urn), or have an administrator make " +
			"an interface for you (ip tuntap add dev " + name + " mode tun user YOU)"
	case unix.EBUSY:
		advice = "another process has it open, or the name is taken"
	case unix.ENOTTY:
		advice = path + " is not the TUN driver's node"
	case unix.EINVAL:
		advice = kindOf(name)
	}
	return explained("set up the interface", advice, err)
}

// kindOf says why the kernel finds the interface name unfit for a TUN.
func kindOf(name string) string {
	dir := "/sys/class/net/" + name
	if _, err := os.Stat(dir); err != nil { // no sysfs, or that of another network namespace
		return "there is an interface of that name and of another kind: a TAP, one with several queues, or no TUN at all"
	}
	b, err := os.ReadFile(dir + "/tun_flags")
	if err != nil {
		return "there is an interface of that name that is no TUN interface"
	}
	flags, _ := strconv.ParseUint(strings.TrimSpace(string(b)), 0, 32)
	switch {
	case flags&unix.IFF_TAP != 0:
		return "it is a TAP interface, which carries Ethernet: ip tuntap add mode tun makes the other kind"
	case flags&unix.IFF_MULTI_QUEUE != 0:
		return "it was made with several queues: ip tuntap add without multi_queue makes the other kind"
	}
	return "the kernel refuses it as a TUN interface"
}

// linuxTUN is an open TUN interface. Reads wait in Go's poller; writes go
// straight to the kernel, which takes each packet whole, several at a time.
type linuxTUN struct {
	f       *os.File
	conn    syscall.RawConn
	writers sync.Pool // of *tunWriter
}

// tunWriter is one write: a closure that is made once and used again.
type tunWriter struct {
	packet []byte
	err    error
	do     func(fd uintptr)
}

func (t *linuxTUN) Read(packet []byte) (int, error) { return t.f.Read(packet) }

func (t *linuxTUN) Write(packet []byte) error {
	w, _ := t.writers.Get().(*tunWriter)
	if w == nil {
		w = new(tunWriter)
		w.do = func(fd uintptr) {
			for {
				_, w.err = unix.Write(int(fd), w.packet)
				if w.err != unix.EINTR {
					return
				}
			}
		}
	}
	w.packet = packet
	err := t.conn.Control(w.do)
	if err == nil {
		err = w.err
	}
	w.packet, w.err = nil, nil
	t.writers.Put(w)
	return err
}

// Close wakes a Read that waits, and returns when no write is in progress.
func (t *linuxTUN) Close(<-chan struct{}) bool {
	t.f.Close()
	return true
}

// hostMTU asks the kernel for the MTU of an interface.
func hostMTU(name string) (int, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == unix.EAFNOSUPPORT { // a kernel without IPv4
		s, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	}
	if err != nil {
		return 0, err
	}
	defer unix.Close(s)
	if err := unix.IoctlIfreq(s, unix.SIOCGIFMTU, ifr); err != nil {
		return 0, err
	}
	return int(ifr.Uint32()), nil
}
