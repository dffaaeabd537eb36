package netdev

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"

	"usersock/stack/endpoint"
)

// TestVnetStreams moves enough bytes both ways that segments of 64 KiB are
// made, in one queue and several, bare and with Ethernet, at two MTUs.
func TestVnetStreams(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	needTUN(t)
	for _, spec := range []string{"tun:tun%d", "tap:tun%d", "tun:tun%d?queues=2"} {
		for _, mtu := range []string{"1500", "9000", "65520"} {
			l, err := Open(spec)
			if err != nil {
				t.Fatal(err)
			}
			name := l.(*TUN).Name()
			ip(t, "link set dev "+name+" mtu "+mtu)
			ip(t, "addr add 192.0.2.1/24 dev "+name)
			ip(t, "addr add 2001:db8::1/64 nodad dev "+name)
			ip(t, "link set up dev "+name)
			h := newHost(t)
			h.attach(l, bobNet, bobNet6)
			for _, at := range []string{"192.0.2.2:7", "[2001:db8::2]:7"} {
				stream(t, h, at)
			}
			if d := Dropped(l); d.RxMalformed+d.RxTooLong+d.TxTooLong > 0 {
				t.Errorf("%s, MTU %s: %+v", spec, mtu, d)
			}
			h.end()
		}
	}
}

// stream has the kernel send some megabytes to an echo server on h and wants
// them back.
func stream(t *testing.T, h *host, at string) {
	t.Helper()
	l := h.listen(at)
	go func() {
		s := l.accept()
		for b := make([]byte, 256<<10); ; {
			n := s.read(b)
			if n == 0 || !s.write(b[:n]) {
				s.Shutdown(tcpip.ShutdownWrite)
				return
			}
		}
	}()
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	data := bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstuvwxyz"), 8<<20/36)
	go func() {
		c.Write(data)
		c.(*net.TCPConn).CloseWrite()
	}()
	sum := sha256.New()
	n, err := io.Copy(sum, c)
	if err != nil || n != int64(len(data)) || [32]byte(sum.Sum(nil)) != sha256.Sum256(data) {
		t.Errorf("%s: %d of %d bytes came back, %v", at, n, len(data), err)
	}
}

// TestUSO: several datagrams that the kernel sends as one arrive one by one.
func TestUSO(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	needTUN(t)
	tun := openTestTUN(t, "tun0")
	if !strings.Contains(Describe(tun), "USO") {
		t.Skipf("the kernel has no USO for TUN: %s", Describe(tun))
	}
	ip(t, "addr add 192.0.2.1/24 dev tun0")
	ip(t, "addr add 2001:db8::1/64 nodad dev tun0")
	ip(t, "link set up dev tun0")
	h := newHost(t)
	h.attach(tun, bobNet, bobNet6)
	for _, at := range []string{"192.0.2.2:9", "[2001:db8::2]:9"} {
		segmentedDatagrams(t, h, at)
	}
}

// segmentedDatagrams has the kernel send several datagrams as one
// (UDP_SEGMENT, udp(7)).
func segmentedDatagrams(t *testing.T, h *host, at string) {
	t.Helper()
	s := h.udp(at)
	c, err := net.Dial("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conn, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	conn.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, 1000) })
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte("abcdefgh"), 10300/8)
	if _, err := c.Write(data); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for len(got) < len(data) {
		b := make([]byte, 65536)
		n := s.read(b)
		if n == 0 || n > 1000 {
			t.Fatalf("a datagram of %d bytes", n)
		}
		got = append(got, b[:n]...)
	}
	if !bytes.Equal(got, data) {
		t.Error("the bytes differ")
	}
}

// TestTUNLeavesAsItWas: an administrator's interface has its old flags after
// we had it, persists, and serves package water at once.
func TestTUNLeavesAsItWas(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	needTUN(t)
	for name, flags := range map[string]uint16{"one0": unix.IFF_TUN, "vnet0": unix.IFF_TUN | unix.IFF_VNET_HDR,
		"multi0": unix.IFF_TUN | unix.IFF_MULTI_QUEUE, "tap0": unix.IFF_TAP} {
		makeTUN(t, name, flags)
		before, _ := hostTUNOf(name)
		open := OpenTUN
		if flags&unix.IFF_TAP != 0 {
			open = OpenTAP
		}
		for range 2 {
			tun, err := open(name, TUNConfig{})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(Describe(tun), "TSO4") {
				t.Errorf("%s: %s", name, Describe(tun))
			}
			Close(tun)
			if after, ok := hostTUNOf(name); !ok || after != before {
				t.Errorf("%s: before %+v, after %+v", name, before, after)
			}
		}
	}
	water, err := Open("water:one0")
	if err != nil {
		t.Fatal(err)
	}
	ip(t, "addr add 192.0.2.1/24 dev one0")
	ip(t, "link set up dev one0")
	h := newHost(t)
	h.attach(water, bobNet)
	stream(t, h, "192.0.2.2:7") // it would get segments of 64 KiB without a header
}

// TestFD opens an interface that somebody else has set up.
func TestFD(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	needTUN(t)
	f, name, err := OpenTUNFile("tun%d", TUNConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ip(t, "addr add 192.0.2.1/24 dev "+name)
	ip(t, "link set up dev "+name)

	// Through a socket, as from a parent to a child.
	a, b := unixPair(t)
	go func() {
		defer f.Close()
		if err := SendFile(a, f); err != nil {
			t.Error(err)
		}
	}()
	got, err := ReceiveFile(b)
	if err != nil {
		t.Fatal(err)
	}
	tun, err := AdoptFile(got, FDConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(Describe(tun), "TSO4") || tun.Name() != name {
		t.Errorf("%s: %s", tun.Name(), Describe(tun))
	}
	h := newHost(t)
	h.attach(tun, bobNet)
	stream(t, h, "192.0.2.2:7")
	h.end()
	if exists(name) {
		t.Error("the interface outlives its link")
	}
	if _, err := b.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := ReceiveFile(a); !errors.Is(err, endpoint.EBADMSG) {
		t.Errorf("a message without a file: %v", err)
	}
}

// TestFDWithPI: a descriptor whose opener wanted struct tun_pi and no header.
func TestFDWithPI(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	needTUN(t)
	for _, flags := range []uint16{unix.IFF_TUN, unix.IFF_TAP, unix.IFF_TUN | unix.IFF_VNET_HDR} {
		f, name, err := openNode("", "tun%d", flags)
		if err != nil {
			t.Fatal(err)
		}
		ip(t, "addr add 192.0.2.1/24 dev "+name)
		ip(t, "link set up dev "+name)
		tun, err := AdoptFile(f, FDConfig{})
		if err != nil {
			t.Fatal(err)
		}
		h := newHost(t)
		h.attach(tun, bobNet)
		stream(t, h, "192.0.2.2:7")
		h.end()
	}
}

// TestFDErrors: what is no interface is named, and stays open.
func TestFDErrors(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	needTUN(t)
	file, err := os.Create(t.TempDir() + "/f")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	node, err := os.Open(tunPath)
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	sock, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(sock)
	before := openFiles(t)
	for _, c := range []struct {
		fd   int
		cfg  FDConfig
		want endpoint.Errno
		text string
	}{
		{-1, FDConfig{}, endpoint.EBADF, "descriptor -1: it is not open"},
		{100000, FDConfig{}, endpoint.EBADF, "not open"},
		{int(file.Fd()), FDConfig{}, endpoint.EINVAL, "a regular file, neither TUN nor TAP"},
		{int(r.Fd()), FDConfig{}, endpoint.EINVAL, "a pipe"},
		{int(node.Fd()), FDConfig{}, endpoint.EINVAL, "without an interface"},
		{sock, FDConfig{}, endpoint.EINVAL, "a Unix socket"},
		{sock, FDConfig{MTU: 5}, endpoint.EINVAL, "MTU 5"},
	} {
		tun, err := OpenFD(c.fd, c.cfg)
		if err == nil {
			Close(tun)
			t.Errorf("opened %d", c.fd)
		} else if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%d: %v, want %s and %q", c.fd, err, c.want.Name(), c.text)
		}
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	if _, err := Open("fd:x"); !errors.Is(err, endpoint.EINVAL) {
		t.Error(err)
	}
}

func unixPair(t *testing.T) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	conn := func(fd int) *net.UnixConn {
		f := os.NewFile(uintptr(fd), "pair")
		defer f.Close()
		c, err := net.FileConn(f)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c.(*net.UnixConn)
	}
	return conn(fds[0]), conn(fds[1])
}
