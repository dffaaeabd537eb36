package netdev

import (
	"fmt"
	"net"
	"os"

	"usersock/stack/endpoint"
)

// FDConfig says how to use an inherited descriptor. Its zero value works.
type FDConfig struct {
	// MTU is the length of the longest IP packet in bytes, 68 to 65535. 0 asks
	// the host for that of the interface's name, or is 1500 where there is no
	// such name: the interface may be in another network namespace.
	MTU int

	// HardwareAddr is the stack's own address if the interface is a TAP, 6
	// bytes, that of one station; empty is a random one.
	HardwareAddr net.HardwareAddr
}

// OpenFD makes a link of descriptor fd, an open TUN or TAP interface that
// another process has set up (TUNSETIFF) and handed over: inherited, or sent
// through a socket (see [ReceiveFile]). It needs no privilege. The link owns fd
// from then on, and sets it non-blocking and close-on-exec; when OpenFD fails,
// fd is as it was. The kind of interface and its offloads are read off the
// descriptor; whether packets come with struct tun_pi the kernel tells only in
// the interface's own network namespace, elsewhere they must come without
// (IFF_NO_PI). On Linux only; elsewhere EOPNOTSUPP.
//
// EBADF is a descriptor that is not open, EINVAL one that is neither TUN nor
// TAP; the error says what it is.
func OpenFD(fd int, cfg FDConfig) (*TUN, error) {
	dev, err := openFD(fd, cfg)
	if err != nil {
		return nil, fmt.Errorf("netdev: descriptor %d: %w", fd, err)
	}
	return &TUN{dev}, nil
}

// check refuses what no descriptor could do.
func (cfg *FDConfig) check() error {
	if cfg.MTU != 0 && (cfg.MTU < minMTU || cfg.MTU > maxPacket) {
		return fmt.Errorf("MTU %d is not within %d to %d: %w", cfg.MTU, minMTU, maxPacket, endpoint.EINVAL)
	}
	return checkHardwareAddr(cfg.HardwareAddr)
}

// SendFile sends an open file over a Unix socket of the host (SCM_RIGHTS,
// unix(7)), with one byte of data. f stays open here. It is how a privileged
// parent gives the interface that it opened with [OpenTUNFile] to a child
// without privileges. EOPNOTSUPP where the system has no such thing.
func SendFile(c *net.UnixConn, f *os.File) error {
	if err := sendFile(c, f); err != nil {
		return fmt.Errorf("netdev: send %s: %w", f.Name(), errnoOf(err))
	}
	return nil
}

// ReceiveFile receives a file that [SendFile] has sent, close-on-exec. What to
// do with it: a link takes the descriptor over by
//
//	link, err := netdev.OpenFD(int(f.Fd()), netdev.FDConfig{})
//
// after which f must be neither used nor closed, or kept with a duplicate.
// [AdoptFile] does it without that care. EBADMSG is a message without exactly
// one file, io.EOF the end of the connection.
func ReceiveFile(c *net.UnixConn) (*os.File, error) {
	f, err := receiveFile(c)
	if err != nil {
		return nil, fmt.Errorf("netdev: receive a file: %w", errnoOf(err))
	}
	return f, nil
}

// AdoptFile is [OpenFD] of a duplicate of f; f is closed, also on failure.
func AdoptFile(f *os.File, cfg FDConfig) (*TUN, error) {
	defer f.Close()
	fd, err := duplicate(f)
	if err != nil {
		return nil, fmt.Errorf("netdev: duplicate %s: %w", f.Name(), errnoOf(err))
	}
	t, err := OpenFD(fd, cfg)
	if err != nil {
		closeFD(fd)
	}
	return t, err
}

// OpenTUNFile opens or makes a TUN interface as [OpenTUN] does, with the best
// offloads, and returns its descriptor and name instead of a link: to hand it to
// another process, which serves it by [OpenFD]. The interface exists for as
// long as a process has the descriptor. Queues must not be above 1. On Linux
// only.
func OpenTUNFile(name string, cfg TUNConfig) (*os.File, string, error) {
	err := checkTUN(name, cfg)
	if err == nil && cfg.Queues > 1 {
		err = fmt.Errorf("one descriptor is one queue, not %d: %w", cfg.Queues, endpoint.EINVAL)
	}
	if err != nil {
		return nil, "", tunError(name, err)
	}
	f, name, err := openTUNFile(name, cfg)
	if err != nil {
		return nil, "", tunError(name, err)
	}
	return f, name, nil
}
