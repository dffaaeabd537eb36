package netdev

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"usersock/stack/endpoint"
)

// makeVeth makes a pair: veth0 is the kernel's, with its addresses, veth1 is
// for us. The kernel has no address on it, also not when it comes up.
func makeVeth(t *testing.T, mtu string) {
	t.Helper()
	path, err := exec.LookPath("ip")
	if err != nil {
		t.Skip("no ip(8) here to make a veth pair")
	}
	add := strings.Fields("link add veth0 mtu " + mtu + " type veth peer name veth1 mtu " + mtu)
	if out, err := exec.Command(path, add...).CombinedOutput(); err != nil && strings.Contains(string(out), "Unknown device type") {
		t.Skip("the kernel has no veth")
	} else if err != nil {
		t.Fatalf("ip %v: %v: %s", add, err, out)
	}
	ip(t, "link set dev veth1 addrgenmode none up")
	ip(t, "addr add 192.0.2.1/24 dev veth0")
	ip(t, "addr add 2001:db8::1/64 nodad dev veth0")
	ip(t, "link set dev veth0 up")
}

// openUp opens a link that is up or about to be: an interface takes a moment
// to have its carrier.
func openUp(t *testing.T, spec string) Link {
	t.Helper()
	l, err := Open(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close(l) })
	return l
}

// The kernel's TCP, UDP and ICMP against netstack's through a veth pair, with an
// address of the stack's own and with the interface's.
func TestAFPacketTraffic(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	for _, mtu := range []string{"1500", "9000"} {
		makeVeth(t, mtu)
		for _, spec := range []string{"afpacket:veth1", "afpacket:veth1?mac=02:00:00:00:00:07", "afpacket:veth1?share"} {
			l, count := Count(openUp(t, spec))
			h := newHost(t)
			h.attach(l, bobNet, bobNet6)
			for i, to := range []string{"192.0.2.2:7", "[2001:db8::2]:7"} {
				kernelToStack(t, h, to)
				stackToKernel(t, h, []string{"192.0.2.1:0", "[2001:db8::1]:0"}[i])
				echoDatagrams(t, h, []string{"192.0.2.2:9", "[2001:db8::2]:9"}[i])
				stream(t, h, []string{"192.0.2.2:17", "[2001:db8::2]:17"}[i])
			}
			ping(t, "192.0.2.2")
			// Packets longer than the interface's MTU have passed, and mostly they.
			tx, rx := count.TxBytes.Load()/count.TxPackets.Load(), count.RxBytes.Load()/count.RxPackets.Load()
			if mtu == "1500" && (tx < 1600 || rx < 1600) {
				t.Errorf("%s: %d bytes a packet out, %d in: not as with segmentation offload", spec, tx, rx)
			}
			if d := Dropped(l); d.RxMalformed+d.RxTooLong+d.TxTooLong > 0 {
				t.Errorf("%s: %+v", spec, d)
			}
			h.end()
			ip(t, "neigh flush dev veth0")
		}
		ip(t, "link del dev veth0")
	}
}

// A stack that forwards has no use for long segments and partial checksums:
// they are made whole.
func TestAFPacketRouter(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	makeVeth(t, "1500")
	ip(t, "route add 198.51.100.0/24 via 192.0.2.254 dev veth0")
	router, inside := newHost(t).forward(), newHost(t)
	a, b := Pair(PairConfig{})
	nic := inside.attach(a, "198.51.100.1/24")
	inside.via("0.0.0.0/0", "198.51.100.254", nic)
	router.attach(b, "198.51.100.254/24")
	router.attach(openUp(t, "afpacket:veth1"), "192.0.2.254/24")
	kernelToStack(t, inside, "198.51.100.1:7")
	stackToKernel(t, inside, "192.0.2.1:0")
	echoDatagrams(t, inside, "198.51.100.1:9")
	ping(t, "198.51.100.1")
}

// What the host itself sends by the interface, and what belongs to a VLAN, is
// not for the stack.
func TestAFPacketHears(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	makeVeth(t, "1500")
	ip(t, "addr add 203.0.113.1/24 dev veth1")
	const mac = "02:00:00:00:00:07"
	ip(t, "neigh add 192.0.2.2 lladdr "+mac+" dev veth1")
	l := openUp(t, "afpacket:veth1?mac="+mac)
	if text := Describe(l); !strings.Contains(text, "the kernel has 203.0.113.1/24") {
		t.Errorf("it describes itself as %q", text)
	}
	h := newHost(t)
	h.attach(l, bobNet)
	s := h.udp("192.0.2.2:9")
	send := func(by string) {
		d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
			c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), by) })
			return err
		}}
		c, err := d.Dial("udp", "192.0.2.2:9")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte(by)); err != nil {
			t.Fatal(err)
		}
	}
	send("veth1")
	raw := openRaw(t, "veth0")
	// A datagram from port 9 to port 9 without a checksum, in VLAN 5 and, which
	// is no VLAN, in "VLAN 0".
	udp := []byte{0, 9, 0, 9, 0, 12, 0, 0}
	tagged := func(vlan byte) []byte {
		data := append(udp, "tag"...)
		packet := ipv4Packet(17, append(data, '0'+vlan))
		return raw.frame([]byte{2, 0, 0, 0, 0, 7}, 0x8100, append([]byte{0x20, vlan, 8, 0}, packet...)...)
	}
	raw.send(t, tagged(5))
	raw.send(t, tagged(0))
	send("veth0")
	for _, want := range []string{"tag0", "veth0"} {
		b := make([]byte, 100)
		if n := s.read(b); string(b[:n]) != want {
			t.Errorf("heard %q, want %q", b[:n], want)
		}
	}
}

// rawSocket sends frames of any content by an interface of the kernel's.
type rawSocket struct {
	fd  int
	ifi *net.Interface
}

func openRaw(t *testing.T, name string) *rawSocket {
	t.Helper()
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return &rawSocket{fd, ifi}
}

func (r *rawSocket) frame(dst net.HardwareAddr, typ uint16, rest ...byte) []byte {
	b := append(append([]byte(nil), dst...), r.ifi.HardwareAddr...)
	return append(binary.BigEndian.AppendUint16(b, typ), rest...)
}

func (r *rawSocket) send(t *testing.T, frame []byte) {
	t.Helper()
	if err := unix.Sendto(r.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: r.ifi.Index}); err != nil {
		t.Fatalf("% x: %v", frame, err)
	}
}

// Datagrams that the kernel sends as one arrive one by one.
func TestAFPacketUSO(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	makeVeth(t, "1500")
	h := newHost(t)
	l := openUp(t, "afpacket:veth1")
	h.attach(l, bobNet, bobNet6)
	for _, at := range []string{"192.0.2.2:9", "[2001:db8::2]:9"} {
		segmentedDatagrams(t, h, at)
	}
	if d := Dropped(l); d.RxMalformed > 0 {
		t.Errorf("%+v", d)
	}
}

// Whatever stands on the wire is counted, and the link goes on.
func TestAFPacketMalformed(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	makeVeth(t, "1500")
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 7}
	l := openUp(t, "afpacket:veth1?mac="+mac.String())
	h := newHost(t)
	h.attach(l, bobNet)
	raw := openRaw(t, "veth0")
	zeros := make([]byte, 60)
	good := ipv4Packet(17, pattern(100))
	for _, f := range [][]byte{
		raw.frame(mac, 0x800),                                         // a header alone
		raw.frame(mac, 0x800, zeros...),                               // of no version
		raw.frame(mac, 0x800, 0x4f, 0, 0, 60),                         // cut in its header
		raw.frame(mac, 0x86dd, good...),                               // of another type
		raw.frame(mac, 0x800, good[:50]...),                           // cut in its data
		raw.frame(mac, 0x800, good...),                                // whole, with a wrong checksum of UDP
		raw.frame(net.HardwareAddr{2, 0, 0, 0, 0, 9}, 0x800, good...), // for another station
		raw.frame(mac, 0x88cc, zeros...),                              // another protocol
	} {
		raw.send(t, f)
	}
	echoDatagrams(t, h, "192.0.2.2:9") // behind them
	if d := Dropped(l); d.RxMalformed != 6 || d.RxForeign < 2 {
		t.Errorf("%+v, want 6 malformed and 2 foreign frames", d)
	}
}

// Every failure names its cause, its remedy and its number.
func TestAFPacketErrors(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	needTUN(t)
	makeVeth(t, "1500")
	makeTUN(t, "tun0", unix.IFF_TUN)
	makeTUN(t, "other0", unix.IFF_TUN)
	setHardware(t, "other0", unix.ARPHRD_PPP)
	own, err := net.InterfaceByName("veth0")
	if err != nil {
		t.Fatal(err)
	}
	before := openFiles(t)
	for _, c := range []struct {
		spec string
		want endpoint.Errno
		text string
	}{
		{"", endpoint.EINVAL, "no name"},
		{"none0", endpoint.ENODEV, "ip link lists them"},
		{"0123456789abcdef", endpoint.EINVAL, "15 bytes"},
		{"a/b", endpoint.EINVAL, "slash"},
		{"lo", endpoint.EINVAL, "loopback"},
		{"tun0", endpoint.EINVAL, "open it as tun:tun0"},
		{"other0", endpoint.EINVAL, "no Ethernet (ARPHRD 512"},
		{"veth1?mtu=67", endpoint.EINVAL, "68 to 65535"},
		{"veth1?mtu=1501", endpoint.EINVAL, "MTU 1501 is above the interface's 1500 (ip link set dev veth1 mtu 1501)"},
		{"veth1?mac=01:00:00:00:00:01", endpoint.EINVAL, "group"},
		{"veth1?mac=02:00:00:00:00:01&share", endpoint.EINVAL, "exclude each other"},
		{"veth1?share=1", endpoint.EINVAL, "no value"},
		{"veth1?queues=2", endpoint.EINVAL, "unknown option"},
		{"veth0?share", endpoint.EADDRINUSE, "the kernel has 192.0.2.1/24 and 2001:db8::1/64"},
		{"veth0?mac=" + own.HardwareAddr.String(), endpoint.EADDRINUSE, "ip addr flush dev veth0"},
	} {
		l, err := Open("afpacket:" + c.spec)
		if err == nil {
			Close(l)
			t.Errorf("opened %q", c.spec)
		} else if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%q: %v; want %s with %q", c.spec, err, c.want.Name(), c.text)
		}
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}

	runtime.LockOSThread() // for good: this thread has lost its privileges
	var none [2]unix.CapUserData
	if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
		t.Fatal(err)
	}
	_, err = OpenAFPacket("veth1", AFPacketConfig{})
	if !errors.Is(err, endpoint.EPERM) || !strings.Contains(err.Error(), "unshare -Urn") || !strings.Contains(err.Error(), "cap_net_raw") {
		t.Errorf("without privilege: %v", err)
	}
}

// setHardware makes a TUN one of another kind of hardware.
func setHardware(t *testing.T, name string, arphrd int) {
	t.Helper()
	f, _, err := openNode("", name, unix.IFF_TUN|unix.IFF_NO_PI)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.IoctlSetInt(int(f.Fd()), unix.TUNSETLINK, arphrd); err != nil {
		t.Fatal(err)
	}
}

// The link follows its interface: down, up again, without a carrier, gone.
func TestAFPacketDownAndGone(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	makeVeth(t, "1500")
	ip(t, "link set dev veth1 down")
	l := openUp(t, "afpacket:veth1")
	states := changes(l)
	want := func(what string, up bool) {
		t.Helper()
		if st := <-states; st.Up != up || st.Err != nil {
			t.Fatalf("%s: %+v", what, st)
		}
	}
	want("opened while it is down", false)
	h := newHost(t)
	h.attach(l, bobNet)
	s := h.udp("192.0.2.2:9")
	s.SocketOptions().SetBroadcast(true)
	for i := range 3 {
		s.sendTo([]byte("lost"), "192.0.2.255:9") // no neighbour is needed
		ip(t, "link set dev veth1 up")
		want("up", true)
		echoDatagrams(t, h, fmt.Sprintf("192.0.2.2:%d", 10+i))
		ip(t, "link set dev veth1 down")
		want("down", false)
	}
	ip(t, "link set dev veth1 up")
	want("up", true)
	ip(t, "link set dev veth0 down")
	want("without a carrier", false)
	ip(t, "link set dev veth0 up")
	want("with a carrier", true)
	echoDatagrams(t, h, "192.0.2.2:20")

	gone := func(how, with string) {
		t.Helper()
		ip(t, with)
		for st := range states {
			if st.Err == nil && !st.Up { // down comes first
				continue
			}
			if !errors.Is(st.Err, endpoint.ENODEV) || !strings.Contains(st.Err.Error(), `interface "veth1": the interface is gone`) {
				t.Errorf("%s: %+v", how, st)
			}
			break
		}
		before := Dropped(l).TxDown
		s.sendTo([]byte("lost"), "192.0.2.255:9")
		if got := Dropped(l).TxDown; got != before+1 {
			t.Errorf("%s: %d packets lost to the interface that is gone, want 1", how, got-before)
		}
		h.end()
	}
	gone("deleted", "link del dev veth1")

	makeVeth(t, "1500")
	l = openUp(t, "afpacket:veth1")
	states = changes(l)
	h = newHost(t)
	h.attach(l, bobNet)
	s = h.udp("192.0.2.2:9")
	s.SocketOptions().SetBroadcast(true)
	ip(t, "link set dev veth1 down")
	for st := range states {
		if !st.Up {
			break
		}
	}
	gone("deleted while it is down", "link del dev veth1") // of which the socket says nothing
}

// Writing adds no allocation.
func TestAFPacketWriteAllocs(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	makeVeth(t, "1500")
	e := openUp(t, "afpacket:veth1").(*vnetEnd)
	pkt := outgoing(t, 17, 1000)
	if n := testing.AllocsPerRun(1000, func() { e.plain(pkt) }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}
