package netdev

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// A persistent interface that an administrator has set up has no carrier until
// a process opens it, and the kernel throws away what it sends there. With the
// carrier the kernel's queue comes to life, but a moment later, in a worker of
// its own (linkwatch_event): the answer to a first packet, sent at once, is
// lost, and TCP tries again only after a second. So whoever opens such an
// interface waits for the kernel's word that it carries packets (RTM_NEWLINK of
// rtnetlink(7), which follows in that worker).

// That word comes within microseconds. A kernel that says nothing for
// carrierWait milliseconds, or so much about other interfaces, must not hold up
// the caller for good.
const (
	carrierWait     = 500
	carrierMessages = 100
)

// A carrierWatch hears of changes of the interfaces of this network namespace.
type carrierWatch struct{ fd int }

// watchCarrier begins to listen. Where that cannot be done, wait does not wait.
func watchCarrier() carrierWatch {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return carrierWatch{-1}
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err != nil {
		unix.Close(fd)
		return carrierWatch{-1}
	}
	return carrierWatch{fd}
}

func (c carrierWatch) close() {
	if c.fd >= 0 {
		unix.Close(c.fd)
	}
}

// wait returns when the interface name carries packets, if it is set up at
// all. It is called after the interface was opened.
func (c carrierWatch) wait(name string) {
	if c.fd < 0 {
		return
	}
	index, up := c.look(name)
	if !up {
		return
	}
	buf := make([]byte, 16<<10)
	for range carrierMessages {
		n, _, err := unix.Recvfrom(c.fd, buf, 0)
		switch err {
		case nil:
			if carries(buf[:n], index) {
				return
			}
		case unix.EINTR:
		case unix.EAGAIN:
			ready, err := unix.Poll([]unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}, carrierWait)
			if ready == 0 && err == nil || err != nil && err != unix.EINTR {
				return
			}
		default: // such as ENOBUFS: something was lost, perhaps that
			return
		}
	}
}

// look returns the index of an interface and whether it is set up.
func (c carrierWatch) look(name string) (index int32, up bool) {
	ifr, err := unix.NewIfreq(name)
	if err != nil || unix.IoctlIfreq(c.fd, unix.SIOCGIFFLAGS, ifr) != nil || ifr.Uint16()&unix.IFF_UP == 0 {
		return 0, false
	}
	if ifr, err = unix.NewIfreq(name); err != nil || unix.IoctlIfreq(c.fd, unix.SIOCGIFINDEX, ifr) != nil {
		return 0, false
	}
	return int32(ifr.Uint32()), true
}

// carries reports whether messages of the kernel say that an interface has its
// carrier, or that it is gone.
func carries(b []byte, index int32) bool {
	for len(b) >= unix.SizeofNlMsghdr+unix.SizeofIfInfomsg {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return false
		}
		kind := binary.NativeEndian.Uint16(b[4:])
		info := b[unix.SizeofNlMsghdr:] // struct ifinfomsg: index at 4, flags at 8
		if size >= unix.SizeofNlMsghdr+unix.SizeofIfInfomsg && int32(binary.NativeEndian.Uint32(info[4:])) == index {
			flags := binary.NativeEndian.Uint32(info[8:])
			if kind == unix.RTM_DELLINK || kind == unix.RTM_NEWLINK && (flags&unix.IFF_UP == 0 || flags&unix.IFF_RUNNING != 0) {
				return true
			}
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return false
}
