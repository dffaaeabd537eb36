package netdev

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"usersock/stack/endpoint"
)

// TestAdvice: each number of the kernel has its remedy, also those that no test
// can bring about.
func TestAdvice(t *testing.T) {
	none := func(err error) error { return explainSet(tunPath, "nowhere0", unix.IFF_TUN, err) }
	node := func(err error) error { return explainOpen(tunPath, err) }
	for _, c := range []struct {
		explain func(error) error
		err     syscall.Errno
		want    endpoint.Errno
		text    string
	}{
		{node, unix.ENOENT, endpoint.ENOENT, "--device /dev/net/tun"},
		{node, unix.ENODEV, endpoint.ENODEV, "modprobe tun"},
		{node, unix.ENXIO, endpoint.ENXIO, "modprobe tun"},
		{node, unix.EACCES, endpoint.EACCES, "chmod 0666"},
		{node, unix.EPERM, endpoint.EPERM, "chmod 0666"}, // a container's list of devices
		{node, unix.EMFILE, endpoint.EMFILE, "open /dev/net/tun"},
		{none, unix.EPERM, endpoint.EPERM, "ip tuntap add dev nowhere0 mode tun user YOU"},
		{none, unix.EBUSY, endpoint.EBUSY, "choose another name"},
		{none, unix.ENOTTY, endpoint.ENOTTY, "not the TUN driver's node"},
		{none, unix.EINVAL, endpoint.EINVAL, "choose another name"},
		{explainPacket, unix.EPERM, endpoint.EPERM, "setcap cap_net_raw+ep"},
		{explainPacket, unix.EAFNOSUPPORT, endpoint.EAFNOSUPPORT, "modprobe af_packet"},
		{explainPacket, unix.EMFILE, endpoint.EMFILE, "open a packet socket"},
	} {
		if err := c.explain(c.err); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%v: %v, want %q", c.err, err, c.text)
		}
	}
}

// TestTAPErrors: what is not a TAP.
func TestTAPErrors(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	needTUN(t)
	makeTUN(t, "tun0", unix.IFF_TUN)
	for _, c := range []struct {
		spec string
		text string
	}{
		{"tap:tun0", "it is a TUN interface, which carries bare packets: open it as tun:tun0"},
		{"tap:lo", "neither TUN nor TAP: choose another name"},
		{"tap:0123456789abcdef", "15 bytes"},
		{"tap:tap0?mtu=67", "68 to 65535"},
		{"tap:tap0?mac=03:00:00:00:00:01", "that of a group"},
	} {
		l, err := Open(c.spec)
		if err == nil {
			Close(l)
			t.Errorf("opened %s", c.spec)
		} else if !errors.Is(err, endpoint.EINVAL) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want EINVAL and %q", c.spec, err, c.text)
		}
	}
}
