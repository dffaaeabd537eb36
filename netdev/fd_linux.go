package netdev

import (
	"fmt"
	"io"
	"net"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"usersock/stack/endpoint"
)

func openFD(fd int, cfg FDConfig) (tunDevice, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	old, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if fd < 0 || err != nil {
		return nil, fmt.Errorf("it is not open (the parent must pass it on, and not close it at exec): %w", endpoint.EBADF)
	}
	ifr, err := unix.NewIfreq("")
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.TUNGETIFF, ifr)
	}
	if err != nil {
		return nil, fmt.Errorf("it is %s, neither TUN nor TAP (OpenTUNFile opens one to pass on): %w", whatIs(fd, err), endpoint.EINVAL)
	}
	st := tunState{name: ifr.Name(), flags: ifr.Uint16()}
	// TUNGETIFF has another flag in the place of IFF_NO_PI. Where the interface
	// is in another network namespace there is nobody to ask.
	if t, ok := hostTUNOf(st.name); ok {
		st.pi = t.pi
	}
	if st.flags&unix.IFF_TAP != 0 && len(cfg.HardwareAddr) == 0 {
		cfg.HardwareAddr = RandomHardwareAddr()
	} else if st.flags&unix.IFF_TUN != 0 && len(cfg.HardwareAddr) > 0 {
		return nil, fmt.Errorf("%s is a TUN interface, which has no hardware address: %w", st.name, endpoint.EINVAL)
	}
	if cfg.MTU == 0 {
		if cfg.MTU, err = hostMTU(st.name); err != nil {
			cfg.MTU = 1500
		}
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, old|unix.O_NONBLOCK); err != nil {
		return nil, fmt.Errorf("set it non-blocking: %w", errnoOf(err))
	}
	unix.CloseOnExec(fd)
	// A duplicate, so that a failure below leaves fd open.
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate it: %w", errnoOf(err))
	}
	vc := vnetConfig{files: []*os.File{os.NewFile(uintptr(dup), st.name)}, down: tunDown}
	e, err := adopt(vc, st, cfg.MTU, cfg.HardwareAddr)
	if err != nil {
		unix.FcntlInt(uintptr(fd), unix.F_SETFL, old)
		return nil, err
	}
	unix.Close(fd)
	return e, nil
}

// whatIs says what a descriptor is that is no TUN; err is the kernel's answer
// to TUNGETIFF.
func whatIs(fd int, err error) string {
	if err == unix.EBADFD {
		return "the TUN driver's node without an interface (TUNSETIFF is missing)"
	}
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return "something unknown"
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "a regular file"
	case unix.S_IFDIR:
		return "a directory"
	case unix.S_IFIFO:
		return "a pipe"
	case unix.S_IFSOCK:
		switch domain, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); domain {
		case unix.AF_PACKET:
			return "a packet socket (open its interface as afpacket:NAME)"
		case unix.AF_UNIX:
			return "a Unix socket"
		default:
			return "a socket"
		}
	case unix.S_IFCHR:
		return "a device"
	}
	return "another kind of file"
}

func openTUNFile(name string, cfg TUNConfig) (*os.File, string, error) {
	flags := uint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if before, _ := hostTUNOf(name); before.multi {
		flags |= unix.IFF_MULTI_QUEUE
	}
	return openNode(cfg.Path, name, flags)
}

func sendFile(c *net.UnixConn, f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	if cerr := conn.Control(func(fd uintptr) {
		_, _, err = c.WriteMsgUnix([]byte{0}, unix.UnixRights(int(fd)), nil)
	}); cerr != nil {
		return cerr
	}
	return err
}

func receiveFile(c *net.UnixConn) (*os.File, error) {
	data, control := make([]byte, 1), make([]byte, unix.CmsgSpace(4*8))
	n, nc, flags, _, err := c.ReadMsgUnix(data, control)
	if err != nil {
		return nil, err
	}
	if n == 0 && nc == 0 {
		return nil, io.EOF
	}
	var fds []int
	msgs, err := unix.ParseSocketControlMessage(control[:nc])
	for _, m := range msgs {
		if list, err := unix.ParseUnixRights(&m); err == nil {
			fds = append(fds, list...)
		}
	}
	if err != nil || len(fds) != 1 || flags&unix.MSG_CTRUNC != 0 {
		for _, fd := range slices.Backward(fds) {
			unix.Close(fd)
		}
		return nil, fmt.Errorf("a message with %d files and not one: %w", len(fds), endpoint.EBADMSG)
	}
	unix.CloseOnExec(fds[0])
	return os.NewFile(uintptr(fds[0]), "received"), nil
}

func duplicate(f *os.File) (int, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	if cerr := conn.Control(func(d uintptr) {
		fd, err = unix.FcntlInt(d, unix.F_DUPFD_CLOEXEC, 0)
	}); cerr != nil {
		return -1, cerr
	}
	return fd, err
}

func closeFD(fd int) { unix.Close(fd) }
