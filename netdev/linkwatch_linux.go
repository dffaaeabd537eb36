package netdev

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"usersock/stack/endpoint"
)

// hostLink is what the kernel says of one of its interfaces (rtnetlink(7)).
type hostLink struct {
	name     string
	kind     string // "veth", "tun", …; "" for hardware
	index    int
	hardware uint16 // ARPHRD_ETHER, …
	up       bool   // by its administrator, and it has a carrier
	mtu      int
	mac      net.HardwareAddr
}

// hostLinkOf returns the interface of that name in this network namespace.
func hostLinkOf(name string) (*hostLink, error) {
	var found *hostLink
	err := eachHostLink(func(l *hostLink, _ []byte) {
		if l.name == name {
			found = l
		}
	})
	switch {
	case err != nil:
		return nil, errnoOf(err)
	case found == nil:
		return nil, errNoInterface()
	}
	return found, nil
}

// eachHostLink asks the kernel for its interfaces in this network namespace,
// and calls f for each with its attributes.
func eachHostLink(f func(l *hostLink, attrs []byte)) error {
	rib, err := syscall.NetlinkRIB(unix.RTM_GETLINK, unix.AF_UNSPEC)
	if err != nil {
		return err
	}
	msgs, err := syscall.ParseNetlinkMessage(rib)
	if err != nil {
		return err
	}
	for _, m := range msgs {
		if m.Header.Type != unix.RTM_NEWLINK {
			continue
		}
		if l, ok := parseHostLink(m.Data); ok {
			f(l, m.Data[unix.SizeofIfInfomsg:])
		}
	}
	return nil
}

// parseHostLink reads the body of an RTM_NEWLINK or RTM_DELLINK. It is not ok if
// that is cut short or is about another thing than the interface itself, such
// as its place in a bridge.
func parseHostLink(b []byte) (l *hostLink, ok bool) {
	if len(b) < unix.SizeofIfInfomsg || b[0] != unix.AF_UNSPEC {
		return nil, false
	}
	const running = unix.IFF_UP | unix.IFF_RUNNING
	l = &hostLink{
		hardware: binary.NativeEndian.Uint16(b[2:]),
		index:    int(int32(binary.NativeEndian.Uint32(b[4:]))),
		up:       binary.NativeEndian.Uint32(b[8:])&running == running,
	}
	eachAttr(b[unix.SizeofIfInfomsg:], func(typ int, v []byte) {
		switch typ {
		case unix.IFLA_IFNAME:
			l.name = text(v)
		case unix.IFLA_ADDRESS:
			l.mac = append(net.HardwareAddr(nil), v...)
		case unix.IFLA_MTU:
			if len(v) >= 4 {
				l.mtu = int(binary.NativeEndian.Uint32(v))
			}
		case unix.IFLA_LINKINFO:
			eachAttr(v, func(typ int, v []byte) {
				if typ == unix.IFLA_INFO_KIND {
					l.kind = text(v)
				}
			})
		}
	})
	return l, true
}

// linkWatch is told by the kernel how one interface is.
type linkWatch struct {
	file  *os.File // a netlink socket in the group RTNLGRP_LINK
	index int
	up    bool // when the watch began
	buf   []byte
}

// watchLink begins to watch an interface.
func watchLink(index int) (*linkWatch, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	w := &linkWatch{file: os.NewFile(uintptr(fd), "rtnetlink"), index: index, buf: make([]byte, 32<<10)}
	err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.RTNLGRP_LINK - 1)})
	if err == nil {
		err = w.ask()
	}
	for known := false; err == nil && !known; {
		err = w.next(func(up bool) { w.up, known = up, true })
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *linkWatch) close() { w.file.Close() }

// run calls set with each state of the interface until it is gone or the watch
// is closed, and returns why.
func (w *linkWatch) run(set func(up bool)) error {
	for {
		if err := w.next(set); err != nil {
			return err
		}
	}
}

// next waits for a message of the kernel. ENODEV says that the interface is
// gone.
func (w *linkWatch) next(set func(up bool)) error {
	n, err := w.file.Read(w.buf)
	if errors.Is(err, unix.ENOBUFS) {
		return w.ask() // messages were lost
	}
	if err != nil {
		return err
	}
	msgs, err := syscall.ParseNetlinkMessage(w.buf[:n])
	if err != nil {
		return w.ask() // one was cut short
	}
	for _, m := range msgs {
		switch m.Header.Type {
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			if l, ok := parseHostLink(m.Data); ok && l.index == w.index {
				if m.Header.Type == unix.RTM_DELLINK {
					return endpoint.ENODEV
				}
				set(l.up)
			}
		case unix.NLMSG_ERROR: // the answer to ask
			if len(m.Data) >= 4 {
				if e := -int32(binary.NativeEndian.Uint32(m.Data)); e != 0 {
					return errnoOf(syscall.Errno(e))
				}
			}
		}
	}
	return nil
}

// ask has the kernel tell how the interface is now.
func (w *linkWatch) ask() error {
	var b [unix.SizeofNlMsghdr + unix.SizeofIfInfomsg]byte
	binary.NativeEndian.PutUint32(b[0:], uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.RTM_GETLINK)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(b[unix.SizeofNlMsghdr+4:], uint32(w.index))
	_, err := w.file.Write(b[:])
	return err
}
