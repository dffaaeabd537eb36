package netdev

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"usersock/stack/endpoint"
)

// namespaceEnv tells a test that it runs in namespaces of its own.
const namespaceEnv = "NETDEV_TEST_NAMESPACE"

// inNamespace runs the calling test again in a process with its own user,
// mount and (unless shared) network namespace, and reports whether this is
// that process. Where that is not possible the test is skipped, with the
// reason.
func inNamespace(t *testing.T, flags uintptr) bool {
	t.Helper()
	if os.Getenv(namespaceEnv) != "" {
		// The sysfs of this network namespace; only error texts need it.
		unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		unix.Mount("sysfs", "/sys", "sysfs", 0, "")
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), namespaceEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | flags,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	runtime.LockOSThread() // the signal comes when the thread ends that started the child
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		t.Skipf("no user and network namespaces here: %v", err)
	case err != nil:
		t.Fatalf("in its namespace: %v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP")):
		t.Skipf("%s", out)
	case !bytes.Contains(out, []byte("--- PASS: "+t.Name())):
		t.Fatalf("the test did not run in its namespace:\n%s", out)
	}
	return false
}

// needTUN skips a test where the driver's node cannot be opened.
func needTUN(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile(tunPath, os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no TUN driver here: %v", err)
	}
	f.Close()
}

func openTestTUN(t *testing.T, name string) *TUN {
	t.Helper()
	tun, err := OpenTUN(name, TUNConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close(tun) })
	return tun
}

// ip runs ip(8), or skips the test where it is missing.
func ip(t *testing.T, args string) {
	t.Helper()
	path, err := exec.LookPath("ip")
	if err != nil {
		t.Skip("no ip(8) here to set up the kernel's side")
	}
	if out, err := exec.Command(path, strings.Fields(args)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", args, err, out)
	}
}

// makeTUN makes a persistent interface as an administrator does.
func makeTUN(t *testing.T, name string, flags uint16) {
	t.Helper()
	fd, err := unix.Open(tunPath, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	ifr, _ := unix.NewIfreq(name)
	ifr.SetUint16(flags | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1); err != nil {
		t.Fatal(err)
	}
}

func exists(name string) bool {
	_, err := hostMTU(name)
	return err == nil
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// The kernel's TCP, UDP and ICMP against netstack's, over both versions of IP.
func TestTUNTraffic(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	needTUN(t)
	for _, spec := range []string{"tun:tun%d", "water:tun%d", "tap:tun%d", "tun:tun%d?queues=3", "tap:tun%d?queues=2"} {
		l, err := Open(spec)
		if err != nil {
			t.Fatal(err)
		}
		name := l.(*TUN).Name()
		if name != "tun0" {
			t.Fatalf("%s opened %q", spec, name)
		}
		ip(t, "addr add 192.0.2.1/24 dev "+name)
		ip(t, "addr add 2001:db8::1/64 nodad dev "+name)
		ip(t, "link set up dev "+name)
		h := newHost(t)
		h.attach(l, bobNet, bobNet6)
		for i, to := range []string{"192.0.2.2:7", "[2001:db8::2]:7"} {
			kernelToStack(t, h, to)
			stackToKernel(t, h, []string{"192.0.2.1:0", "[2001:db8::1]:0"}[i])
			echoDatagrams(t, h, []string{"192.0.2.2:9", "[2001:db8::2]:9"}[i])
		}
		ping(t, "192.0.2.2")
		h.end()
		if exists(name) {
			t.Errorf("%s: the interface outlives its link", spec)
		}
	}
}

func kernelToStack(t *testing.T, h *host, to string) {
	l := h.listen(to)
	data := pattern(2 << 20)
	go func() {
		c, err := net.Dial("tcp", to)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		if _, err := c.Write(data); err != nil {
			t.Error(err)
		}
	}()
	got := make([]byte, len(data))
	if s := l.accept(); !s.readFull(got) || !bytes.Equal(got, data) {
		t.Error("the kernel's stream was damaged")
	}
}

func stackToKernel(t *testing.T, h *host, at string) {
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	data := pattern(2 << 20)
	go func() {
		s, err := h.dial(l.Addr().String())
		if err != nil {
			t.Errorf("dial: %v", err)
			return
		}
		s.write(data)
		s.Shutdown(2)
	}()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("our stream was damaged: %d bytes, %v", len(got), err)
	}
}

// echoDatagrams sends datagrams both ways, fragmented ones too.
func echoDatagrams(t *testing.T, h *host, at string) {
	s := h.udp(at)
	// A router on the way may have to fragment.
	if err := s.SetSockOptInt(tcpip.MTUDiscoverOption, int(tcpip.PMTUDiscoveryDont)); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	local := c.LocalAddr().String()
	for _, n := range []int{1, 1400, 8000} {
		if _, err := c.Write(pattern(n)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 65536)
		if got := s.read(b); !bytes.Equal(b[:got], pattern(n)) {
			t.Fatalf("got %d bytes of %d, or others", got, n)
		}
		if err := s.sendTo(pattern(n), local); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Read(b); err != nil || !bytes.Equal(b[:got], pattern(n)) {
			t.Fatalf("back: %d bytes of %d, %v", got, n, err)
		}
	}
}

// ping is one echo request of the kernel's.
func ping(t *testing.T, to string) {
	c, err := net.Dial("ip4:icmp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	req := header.ICMPv4(append([]byte{byte(header.ICMPv4Echo), 0, 0, 0, 0, 7, 0, 1}, pattern(56)...))
	req.SetChecksum(header.ICMPv4Checksum(req, 0))
	if _, err := c.Write(req); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1500)
	n, err := c.Read(b)
	n = copy(b, b[min(n, header.IPv4MinimumSize):n]) // Read leaves the IP header
	if err != nil || n != len(req) || b[0] != byte(header.ICMPv4EchoReply) || !bytes.Equal(b[8:n], req[8:]) {
		t.Errorf("ping: %d bytes, %v", n, err)
	}
}

// A router between a pair and a TUN: what leaves for the kernel has its
// checksums, although the pair's hosts compute none among themselves.
func TestTUNRouter(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	needTUN(t)
	tun := openTestTUN(t, "tun0")
	ip(t, "addr add 192.0.2.1/24 dev tun0")
	ip(t, "link set up dev tun0")
	ip(t, "route add 198.51.100.0/24 via 192.0.2.254 dev tun0")
	router, inside := newHost(t).forward(), newHost(t)
	a, b := Pair(PairConfig{})
	nic := inside.attach(a, "198.51.100.1/24") // attached before the router is known
	inside.via("0.0.0.0/0", "198.51.100.254", nic)
	router.attach(b, "198.51.100.254/24")
	router.attach(tun, "192.0.2.254/24")
	kernelToStack(t, inside, "198.51.100.1:7")
	stackToKernel(t, inside, "192.0.2.1:0")
	echoDatagrams(t, inside, "198.51.100.1:9")
	ping(t, "198.51.100.1")
}

// What is persistent stays, with both ways to open it, and what was made for
// the link goes.
func TestTUNPersistent(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	needTUN(t)
	makeTUN(t, "keep0", unix.IFF_TUN)
	for _, kind := range []string{"tun:", "water:"} {
		for _, c := range []struct {
			name string
			stay bool
		}{{"keep0", true}, {"gone0", false}, {"keep0", true}} {
			l, err := Open(kind + c.name)
			if err != nil {
				t.Fatal(err)
			}
			if !exists(c.name) {
				t.Fatalf("%s%s is not there while it is open", kind, c.name)
			}
			Close(l)
			if exists(c.name) != c.stay {
				t.Errorf("%s%s: exists %v after the close, want %v", kind, c.name, !c.stay, c.stay)
			}
		}
	}
}

func TestTUNLeaks(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	needTUN(t)
	makeTUN(t, "tap0", unix.IFF_TAP)
	for kind, rounds := range map[string]int{"tun:": 200, "water:": 50} {
		round := func() {
			l, err := Open(kind + "tun%d")
			if err != nil {
				t.Fatal(err)
			}
			h := newHost(t)
			h.attach(l, bobNet)
			h.end()
			for _, bad := range []string{"tap0", "lo"} {
				if l, err := Open(kind + bad); err == nil {
					Close(l)
					t.Fatalf("opened %s", bad)
				}
			}
		}
		round() // the poller's own descriptors
		before := openFiles(t)
		for range rounds {
			round()
		}
		if after := openFiles(t); after != before {
			t.Errorf("%s: %d descriptors before, %d after %d rounds", kind, before, after, rounds)
		}
	}
	if exists("tun0") {
		t.Error("an interface was left behind")
	}
}

// Every failure names its cause, its remedy and its number.
func TestTUNErrors(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	needTUN(t)
	makeTUN(t, "tap0", unix.IFF_TAP)
	makeTUN(t, "one0", unix.IFF_TUN)
	openTestTUN(t, "busy0")
	for _, c := range []struct {
		name string
		cfg  TUNConfig
		want endpoint.Errno
		host syscall.Errno
		text string
	}{
		{"tap0", TUNConfig{}, endpoint.EINVAL, syscall.EINVAL, "it is a TAP interface"},
		{"one0", TUNConfig{Queues: 2}, endpoint.EINVAL, syscall.EINVAL, "multi_queue"},
		{"tun0", TUNConfig{Queues: 257}, endpoint.EINVAL, syscall.EINVAL, "257 queues"},
		{"tun0", TUNConfig{HardwareAddr: RandomHardwareAddr()}, endpoint.EINVAL, syscall.EINVAL, "for a TAP"},
		{"lo", TUNConfig{}, endpoint.EINVAL, syscall.EINVAL, "neither TUN nor TAP"},
		{"busy0", TUNConfig{}, endpoint.EBUSY, syscall.EBUSY, "another process has it open"},
		{"tun0", TUNConfig{Path: "/dev/null"}, endpoint.ENOTTY, syscall.ENOTTY, "not the TUN driver's node"},
		{"tun0", TUNConfig{Path: "/nowhere/tun"}, endpoint.ENOENT, syscall.ENOENT, "modprobe tun"},
		{"tun0", TUNConfig{MTU: 67}, endpoint.EINVAL, syscall.EINVAL, "MTU 67"},
		{"tun0", TUNConfig{MTU: 65536}, endpoint.EINVAL, syscall.EINVAL, "MTU 65536"},
		{"0123456789abcdef", TUNConfig{}, endpoint.EINVAL, syscall.EINVAL, "15 bytes"},
		{"a/b", TUNConfig{}, endpoint.EINVAL, syscall.EINVAL, "slash"},
		{"a:b", TUNConfig{}, endpoint.EINVAL, syscall.EINVAL, "colon"},
		{"a b", TUNConfig{}, endpoint.EINVAL, syscall.EINVAL, "white space"},
		{".", TUNConfig{}, endpoint.EINVAL, syscall.EINVAL, "no name"},
		{"..", TUNConfig{}, endpoint.EINVAL, syscall.EINVAL, "no name"},
		{"t%s", TUNConfig{}, endpoint.EINVAL, syscall.EINVAL, "%d"},
		{"t%d%d", TUNConfig{}, endpoint.EINVAL, syscall.EINVAL, "%d"},
	} {
		tun, err := OpenTUN(c.name, c.cfg)
		if err == nil {
			Close(tun)
			t.Errorf("opened %q", c.name)
			continue
		}
		if !errors.Is(err, c.want) || !errors.Is(err, c.host) || !strings.Contains(err.Error(), c.text) ||
			!strings.Contains(err.Error(), fmt.Sprintf("%q", c.name)) {
			t.Errorf("%q: %v; want %s with %q", c.name, err, c.want.Name(), c.text)
		}
	}
	tun := openTestTUN(t, "")
	if tun.Name() != "tun0" || tun.Wire().Endpoint.MTU() != 1500 {
		t.Errorf("the kernel's choice is %q with an MTU of %d", tun.Name(), tun.Wire().Endpoint.MTU())
	}
	if small, err := OpenTUN("tun%d", TUNConfig{MTU: 1280}); err != nil || small.Wire().Endpoint.MTU() != 1280 || small.Name() != "tun1" {
		t.Errorf("with an MTU of 1280: %v", err)
	} else {
		Close(small)
	}
}

// Without a network namespace of its own the process is not allowed to.
func TestTUNPermission(t *testing.T) {
	if !inNamespace(t, 0) {
		return
	}
	needTUN(t)
	_, err := OpenTUN("netdevtest%d", TUNConfig{})
	if !errors.Is(err, endpoint.EPERM) || !errors.Is(err, syscall.EPERM) ||
		!strings.Contains(err.Error(), "unshare -Urn") || !strings.Contains(err.Error(), "ip tuntap add") {
		t.Errorf("%v; want EPERM and what to do", err)
	}
}

// While the interface is down packets are lost; when it is up again the link
// works; when it is deleted the link ends and says so.
func TestTUNDownAndGone(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	needTUN(t)
	tun := openTestTUN(t, "tun0")
	h := newHost(t)
	h.attach(tun, bobNet)
	s := h.udp("192.0.2.2:9")
	if err := s.sendTo([]byte("lost"), "192.0.2.1:9"); err != nil {
		t.Fatal(err)
	}
	if got := Dropped(tun).TxFailed; got == 0 {
		t.Error("nothing was lost while the interface was down")
	}
	ip(t, "addr add 192.0.2.1/24 dev tun0")
	ip(t, "link set up dev tun0")
	echoDatagrams(t, h, "192.0.2.2:10")
	if err := tun.Err(); err != nil {
		t.Error(err)
	}
	ip(t, "link del dev tun0")
	<-tun.dev.(*vnetEnd).done
	if err := tun.Err(); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("after the deletion: %v", err)
	}
	before := Dropped(tun).TxDown
	s.sendTo([]byte("lost"), "192.0.2.1:9")
	if got := Dropped(tun).TxDown; got != before+1 {
		t.Errorf("%d packets lost to the interface that is gone, want 1", got-before)
	}
}

// Writing adds no allocation.
func TestTUNWriteAllocs(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	needTUN(t)
	tun := openTestTUN(t, "tun0")
	pkt := outgoing(t, 17, 1000)
	if n := testing.AllocsPerRun(1000, func() { tun.dev.(*vnetEnd).plain(pkt) }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}
