package netdev

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"

	"usersock/netdev/internal/virtio"
	"usersock/stack/endpoint"
)

// Theory of packet sockets.
//
// With PACKET_VNET_HDR a packet socket carries what a TAP carries, and so it
// has the same link endpoint (vnet_linux.go). The header is no luxury: a veth
// hands over the packets of the kernel as they are, with partial checksums and
// in segments of 64 KiB, and without it nothing would tell.
//
// Three things differ from a TAP.
//
//   - The socket hears what the host itself sends by the interface, and frames
//     of VLANs, whose tag the kernel has taken off so that they look like any
//     other. A filter (socket(7), SO_ATTACH_FILTER) drops both.
//   - What the socket cannot hold is lost, so its buffers are as large as the
//     host allows.
//   - The socket says little of its interface: that it went down, once, and
//     nothing when it is up again, loses its carrier, or is deleted while it is
//     down. rtnetlink says all of it (linkwatch_linux.go).

// afpacketBuffer is what the socket may hold each way, in bytes, if the host
// lets us (net.core.rmem_max, net.core.wmem_max).
const afpacketBuffer = 8 << 20

func openAFPacket(name string, cfg AFPacketConfig) (_ Link, err error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if name == "" {
		return nil, fmt.Errorf("no name of an interface: %w", endpoint.EINVAL)
	}
	if err := checkInterfaceName(name); err != nil {
		return nil, err
	}
	dev, err := hostLinkOf(name)
	if err != nil {
		return nil, err
	}
	if err := dev.fits(&cfg); err != nil {
		return nil, err
	}
	own, text := cfg.HardwareAddr, "checksums, TSO4, TSO6, USO inwards"
	switch {
	case cfg.ShareAddr:
		own, text = dev.mac, text+", the interface's own hardware address"
	case len(own) == 0:
		own = RandomHardwareAddr()
	}
	if addrs := dev.addrs(net.IP.IsGlobalUnicast); len(addrs) > 0 {
		text += "; the kernel has " + strings.Join(addrs, " and ") + " there, not for the stack"
	}
	fd, err := openPacketSocket(dev, own, cfg.ShareAddr)
	if err != nil {
		return nil, err
	}
	vc := vnetConfig{
		kind:   "AF_PACKET",
		name:   name,
		files:  []*os.File{os.NewFile(uintptr(fd), name)},
		mtu:    cfg.MTU,
		mac:    tcpip.LinkAddress(own),
		header: virtio.HeaderLen,
		gso:    true,
		text:   text,
		down:   func(err error) bool { return errors.Is(err, unix.ENETDOWN) },
		bad:    func(err error) bool { return errors.Is(err, unix.EINVAL) },
	}
	if vc.watch, err = watchLink(dev.index); err != nil {
		closeFiles(vc.files)
		return nil, fmt.Errorf("watch it: %w", errnoOf(err))
	}
	return newVnet(vc)
}

// fits reports why the interface cannot be used so, and fills in what cfg
// leaves open.
func (dev *hostLink) fits(cfg *AFPacketConfig) error {
	const (
		none     = unix.ARPHRD_NONE
		loopback = unix.ARPHRD_LOOPBACK
	)
	switch {
	case dev.hardware == loopback:
		return fmt.Errorf("it is the loopback interface, where the kernel answers for itself; make a veth pair (ip link add type veth): %w", endpoint.EINVAL)
	case dev.hardware == none && dev.kind == "tun":
		return fmt.Errorf("it is a TUN interface, which carries bare packets: open it as tun:%s: %w", dev.name, endpoint.EINVAL)
	case dev.hardware != unix.ARPHRD_ETHER || len(dev.mac) != len(net.HardwareAddr{5: 0}):
		return fmt.Errorf("it is no Ethernet (ARPHRD %d of linux/if_arp.h): %w", dev.hardware, endpoint.EINVAL)
	}
	switch {
	case cfg.MTU == 0:
		cfg.MTU = dev.mtu
	case cfg.MTU > dev.mtu:
		return fmt.Errorf("MTU %d is above the interface's %d (ip link set dev %s mtu %d): %w", cfg.MTU, dev.mtu, dev.name, cfg.MTU, endpoint.EINVAL)
	}
	if string(cfg.HardwareAddr) == string(dev.mac) {
		cfg.ShareAddr = true
	}
	any := func(net.IP) bool { return true }
	if addrs := dev.addrs(any); cfg.ShareAddr && len(addrs) > 0 {
		return fmt.Errorf("the kernel has %s there and would reset our connections: take it away (ip addr flush dev %[2]s; ip link set dev %[2]s addrgenmode none), "+
			"or use another hardware address: %[3]w", strings.Join(addrs, " and "), dev.name, endpoint.EADDRINUSE)
	}
	return nil
}

// addrs returns those IP addresses that the kernel has on the interface.
func (dev *hostLink) addrs(which func(net.IP) bool) (list []string) {
	ifi, err := net.InterfaceByIndex(dev.index)
	if err != nil {
		return nil
	}
	addrs, _ := ifi.Addrs()
	for _, a := range addrs {
		if p, ok := a.(*net.IPNet); ok && which(p.IP) {
			list = append(list, p.String())
		}
	}
	return list
}

// openPacketSocket opens the socket and binds it to the interface.
func openPacketSocket(dev *hostLink, own net.HardwareAddr, share bool) (int, error) {
	// Protocol 0 hears nothing until it is bound.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, explainPacket(err)
	}
	if what, err := setPacketSocket(fd, dev, own, share); err != nil {
		unix.Close(fd)
		if err == unix.ENODEV { // it has just gone
			return -1, errNoInterface()
		}
		return -1, fmt.Errorf("%s: %w", what, errnoOf(err))
	}
	return fd, nil
}

// setPacketSocket makes a packet socket what a link needs. It says what
// failed.
func setPacketSocket(fd int, dev *hostLink, own net.HardwareAddr, share bool) (string, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
		return "leave checksums to the kernel (PACKET_VNET_HDR)", err
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, packetFilter()); err != nil {
		return "attach a filter", err
	}
	// It spares the copies that the filter would drop; a kernel before 4.20 has
	// none of it.
	unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	for force, plain := range map[int]int{unix.SO_RCVBUFFORCE: unix.SO_RCVBUF, unix.SO_SNDBUFFORCE: unix.SO_SNDBUF} {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, afpacketBuffer) != nil { // above the host's limit: for its administrator alone
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, afpacketBuffer)
		}
	}
	// Groups are the stack's, which joins others than the kernel. The kernel
	// undoes both at the close.
	join := unix.PacketMreq{Ifindex: int32(dev.index), Type: unix.PACKET_MR_ALLMULTI}
	if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &join); err != nil {
		return "listen to groups", err
	}
	if !share {
		join.Type, join.Alen = unix.PACKET_MR_UNICAST, uint16(len(own))
		copy(join.Address[:], own)
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &join); err != nil {
			return "listen to " + own.String(), err
		}
	}
	all := binary.NativeEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL}) // in the order of the wire
	return "bind", unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: dev.index})
}

// packetFilter is a program of the socket filter (bpf(4)) that lets pass what
// came from outside and belongs to no VLAN.
func packetFilter() *unix.SockFprog {
	// What the kernel tells of a packet beside its bytes (linux/filter.h).
	const (
		ancillary  = 0xfffff000 // SKF_AD_OFF, −0x1000
		packetType = ancillary + 4
		vlanTag    = ancillary + 44 // 0 without a tag
		vlanID     = 0xfff          // 0: a tag with a priority alone
		everything = 0xffffffff
	)
	load, equal := uint16(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS), uint16(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K)
	program := []unix.SockFilter{
		{Code: load, K: packetType},
		{Code: equal, K: unix.PACKET_OUTGOING, Jt: 4},
		{Code: load, K: vlanTag},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: vlanID},
		{Code: equal, K: 0, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: everything},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	return &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
}

// explainPacket says what to do when there is no packet socket.
func explainPacket(err error) error {
	advice := ""
	switch err {
	case unix.EPERM, unix.EACCES:
		advice = "this needs CAP_NET_RAW: run in a user and network namespace (unshare -Urn), or have an administrator allow it " +
			"to the program (setcap cap_net_raw+ep PROGRAM)"
	case unix.EAFNOSUPPORT, unix.ESOCKTNOSUPPORT:
		advice = "the kernel has no packet sockets loaded (modprobe af_packet)"
	}
	return explained("open a packet socket", advice, err)
}

func errNoInterface() error {
	return fmt.Errorf("there is none of that name in this network namespace (ip link lists them): %w", endpoint.ENODEV)
}
