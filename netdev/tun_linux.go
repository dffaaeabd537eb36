package netdev

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"

	"usersock/netdev/internal/virtio"
	"usersock/stack/endpoint"
)

// tunPath is where the TUN driver's node usually is.
const tunPath = "/dev/net/tun"

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

func openTUN(name string, cfg TUNConfig) (tunDevice, error) {
	if len(cfg.HardwareAddr) > 0 {
		return nil, fmt.Errorf("HardwareAddr is for a TAP: %w", endpoint.EINVAL)
	}
	return openKernelTUN(name, unix.IFF_TUN, cfg)
}

func openTAP(name string, cfg TUNConfig) (tunDevice, error) {
	return openKernelTUN(name, unix.IFF_TAP, cfg)
}

// openKernelTUN opens or makes an interface of that mode, with the best that
// the kernel offers.
func openKernelTUN(name string, mode uint16, cfg TUNConfig) (l *vnetEnd, err error) {
	if cfg.Network != (netip.Prefix{}) {
		return nil, fmt.Errorf("Network is for Windows: %w", endpoint.EINVAL)
	}
	before, existed := hostTUNOf(name)
	if existed && cfg.Queues > 1 && !before.multi {
		return nil, fmt.Errorf("it was made for one queue: ip tuntap add with multi_queue makes the other kind: %w", endpoint.EINVAL)
	}
	flags := mode | unix.IFF_NO_PI | unix.IFF_VNET_HDR
	if cfg.Queues > 1 || before.multi {
		flags |= unix.IFF_MULTI_QUEUE
	}
	vc := vnetConfig{down: tunDown}
	if existed && !before.used {
		carrier := watchCarrier()
		defer func() {
			if err == nil {
				carrier.wait(name)
			}
			carrier.close()
		}()
	}
	for range max(cfg.Queues, 1) {
		f, got, err := openNode(cfg.Path, name, flags)
		if err != nil && flags&unix.IFF_VNET_HDR != 0 && len(vc.files) == 0 && errors.Is(err, unix.EINVAL) && !existed {
			flags &^= unix.IFF_VNET_HDR // a kernel from before 2.6.27
			f, got, err = openNode(cfg.Path, name, flags)
		}
		if err != nil {
			closeFiles(vc.files)
			return nil, err
		}
		name = got
		vc.files = append(vc.files, f)
	}
	if existed {
		vc.closed = func() { restore(cfg.Path, before) }
	}
	return adopt(vc, tunState{name: name, flags: flags}, cfg.MTU, cfg.HardwareAddr)
}

// tunState is what the kernel says of an open interface.
type tunState struct {
	name  string
	flags uint16
	pi    bool // struct tun_pi comes first
}

// adopt makes a link of descriptors of one interface, which it owns also on
// failure.
func adopt(vc vnetConfig, st tunState, mtu int, mac net.HardwareAddr) (_ *vnetEnd, err error) {
	files := vc.files
	defer func() {
		if err != nil {
			closeFiles(files)
		}
	}()
	vc.name, vc.mtu, vc.kind = st.name, mtu, "TUN"
	if vc.mtu == 0 {
		if vc.mtu, err = hostMTU(st.name); err != nil {
			return nil, fmt.Errorf("read its MTU: %w", errnoOf(err))
		}
	}
	if st.flags&unix.IFF_TAP != 0 {
		vc.kind, vc.mac = "TAP", tcpip.LinkAddress(mac)
	}
	vc.pi = st.pi
	vc.text = "no offload"
	fd := func(f func(fd int)) {
		if conn, err := files[0].SyscallConn(); err == nil {
			conn.Control(func(d uintptr) { f(int(d)) })
		}
	}
	if st.flags&unix.IFF_VNET_HDR != 0 {
		vc.header, vc.gso = virtio.HeaderLen, true
		fd(func(fd int) {
			if n, err := unix.IoctlGetInt(fd, unix.TUNGETVNETHDRSZ); err == nil {
				vc.header = n
			}
			vc.text = setOffloads(fd)
		})
		if vc.header < virtio.HeaderLen || vc.header > maxVnetHeader {
			return nil, fmt.Errorf("its virtio header has %d bytes, and %d to %d are known: %w", vc.header, virtio.HeaderLen, maxVnetHeader, endpoint.EINVAL)
		}
		// What comes without a header must not be left to others.
		vc.closing = func() { fd(func(fd int) { unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, 0) }) }
	}
	if n := len(files); n > 1 {
		vc.text += fmt.Sprintf(", %d queues", n)
	}
	return newVnet(vc)
}

// restore gives an administrator's interface the flags that it had: they are
// those of whoever opened it last.
func restore(path string, t hostTUN) {
	flags := uint16(unix.IFF_TUN)
	if t.tap {
		flags = unix.IFF_TAP
	}
	for flag, on := range map[uint16]bool{unix.IFF_NO_PI: !t.pi, unix.IFF_VNET_HDR: t.vnet, unix.IFF_MULTI_QUEUE: t.multi} {
		if on {
			flags |= flag
		}
	}
	if now, ok := hostTUNOf(t.name); !ok || now.used || now.pi == t.pi && now.vnet == t.vnet {
		return // it is gone, or somebody else's, or as it was
	}
	if f, _, err := openNode(path, t.name, flags); err == nil {
		f.Close()
	}
}

// openNode opens the driver's node as the interface name, and returns its
// final name.
func openNode(path, name string, flags uint16) (*os.File, string, error) {
	if path == "" {
		path = tunPath
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, name, explainOpen(path, err)
	}
	ifr, err := unix.NewIfreq(name)
	if err == nil {
		ifr.SetUint16(flags)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	}
	if err != nil {
		unix.Close(fd)
		return nil, name, explainSet(path, name, flags, err)
	}
	// Only now: an interface that is not yet set up is in error for the poller,
	// which would never wait for it.
	return os.NewFile(uintptr(fd), path), ifr.Name(), nil
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
func explainSet(path, name string, flags uint16, err error) error {
	if name == "" {
		name = "tun0"
	}
	advice := ""
	switch err {
	case unix.EPERM, unix.EACCES:
		advice = "this needs CAP_NET_ADMIN: run in a user and network namespace (unshare -Urn), or have an administrator make " +
			"an interface for you (ip tuntap add dev " + name + " mode tun user YOU)"
	case unix.EBUSY:
		advice = "another process has it open, or the name is taken: end that process, or choose another name"
	case unix.ENOTTY:
		advice = path + " is not the TUN driver's node"
	case unix.EINVAL:
		advice = kindOf(name, flags)
	}
	return explained("set up the interface", advice, err)
}

// kindOf says why the kernel finds the interface name unfit for these flags.
func kindOf(name string, flags uint16) string {
	t, ok := hostTUNOf(name)
	switch {
	case !ok:
		return "there is an interface of that name that is neither TUN nor TAP: choose another name"
	case t.tap && flags&unix.IFF_TUN != 0:
		return "it is a TAP interface, which carries Ethernet: open it as tap:" + name
	case !t.tap && flags&unix.IFF_TAP != 0:
		return "it is a TUN interface, which carries bare packets: open it as tun:" + name
	}
	return "the kernel refuses it"
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
