//go:build unix

package netdev

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"usersock/stack/endpoint"
)

// Every failure names its cause and its remedy, and keeps its number. These
// tests have the proofs:
//
//	no /dev/net/tun, no driver     TestTUNErrors, TestAdvice
//	no permission                  TestTUNPermission, TestAFPacketErrors, TestAdvice, TestFailures (passt)
//	name taken, too long, none     TestTUNErrors, TestAFPacketErrors
//	device of the wrong kind       TestTUNErrors, TestTAPErrors, TestAFPacketErrors
//	address malformed, in use      TestFailures, TestAFPacketErrors
//	passt missing, ended, killed   TestFailures, TestPasstEnds, TestPasstKilled
//	peer gone                      TestPeerGone, TestPeerGoneDatagrams, TestPeerReset
//	descriptor not a TUN           TestFDErrors
//	descriptor closed under us     TestDescriptorClosed, TestSocketClosed
//	MTU out of range               TestFailures, TestTUNErrors, TestFDErrors, TestAFPacketErrors
//	a frame cut short              TestPeerGone, TestRunts, TestAFPacketMalformed
//	oversized, malformed packets   TestDeviceBadPackets, TestPairTooLong, TestRunts, TestAFPacketMalformed,
//	                               and the fuzz tests
//	not on this system             TestNotHere, which needs such a system
//
// That calls on a stack's sockets end with an errno is in package stack
// (TestLinkEnds) and in module interop (TestDeviceDeleted).

// TestFailures: what cannot be opened.
func TestFailures(t *testing.T) {
	dir := t.TempDir()
	stream, err := net.Listen("unix", dir+"/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	datagram, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: dir + "/datagram", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer datagram.Close()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	for name, mode := range map[string]os.FileMode{"noexec": 0o644, "garbage": 0o755} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte{0}, mode); err != nil {
			t.Fatal(err)
		}
	}
	long := dir + "/" + strings.Repeat("x", 120)
	for _, c := range []struct {
		spec string
		want endpoint.Errno
		text string
	}{
		{"qemu:" + dir + "/none", endpoint.ENOENT, "start the peer first"},
		{"qemu:" + dir + "/none/s?listen", endpoint.ENOENT, "its folder does not exist"},
		{"qemu:" + dir + "/stream?listen", endpoint.EADDRINUSE, "remove the file"},
		{"qemu:" + tcp.Addr().String() + "?listen", endpoint.EADDRINUSE, "another process listens"},
		{"qemu:192.0.2.1:9?listen", endpoint.EADDRNOTAVAIL, "this machine has no such address"},
		{"qemu:name", endpoint.EINVAL, "has a slash"},
		{"qemu:", endpoint.EINVAL, "nor HOST:PORT"},
		{"qemu:[::1", endpoint.EINVAL, "nor HOST:PORT"},
		{"qemu:127.0.0.1:65536", endpoint.EINVAL, "from 1 to 65535"},
		{"qemu:127.0.0.1:http", endpoint.EINVAL, "from 1 to 65535"},
		{"qemu:127.0.0.1:1", endpoint.ECONNREFUSED, "nobody listens there"},
		{"qemu:" + dir + "/datagram", endpoint.EPROTOTYPE, "vfkit: for datagrams"},
		{"qemu:" + long, endpoint.EINVAL, "use a shorter one"},
		{"qemu:" + long + "?listen", endpoint.EINVAL, "use a shorter one"},
		{"qemu:" + dir + "/stream?mtu=67", endpoint.EINVAL, "68 to 65535"},
		{"qemu:" + dir + "/stream?mtu=1e3", endpoint.EINVAL, "68 to 65535"},
		{"qemu:" + dir + "/stream?mac=01:00:00:00:00:01", endpoint.EINVAL, "group"},
		{"qemu:" + dir + "/stream?mac=02:00:00:00:00", endpoint.EINVAL, "invalid MAC address"},
		{"qemu:" + dir + "/stream?mac=00:00:00:00:00:00", endpoint.EINVAL, "is none"},
		{"qemu:" + dir + "/stream?listen=1", endpoint.EINVAL, "no value"},
		{"qemu:" + dir + "/stream?queues=1", endpoint.EINVAL, "unknown option"},
		{"vfkit:" + dir + "/none", endpoint.ENOENT, "start the peer first"},
		{"vfkit:" + dir + "/none/s?listen", endpoint.ENOENT, "its folder does not exist"},
		{"vfkit:" + dir + "/datagram?listen", endpoint.EADDRINUSE, "remove the file"},
		{"vfkit:" + dir + "/stream", endpoint.EPROTOTYPE, "qemu: is for streams"},
		{"vfkit:" + dir + "/noexec", endpoint.ECONNREFUSED, "nobody listens there"},
		{"vfkit:" + long, endpoint.EINVAL, "use a shorter one"},
		{"vfkit:", endpoint.EINVAL, "no path"},
		{"passt:?path=" + dir + "/none", endpoint.ENOENT, "no such program"},
		{"passt:?path=" + dir + "/noexec", endpoint.EACCES, "chmod +x"},
		{"passt:?path=" + dir + "/garbage", endpoint.ENOEXEC, "no program for this machine"},
		{"passt:eth0", endpoint.EINVAL, "after a question mark"},
		{"auto:eth0", endpoint.EINVAL, "after a question mark"},
	} {
		before := openDescriptors(t)
		link, err := Open(c.spec)
		if err == nil {
			Close(link)
			t.Errorf("opened %s", c.spec)
		} else if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %s and %q", c.spec, err, c.want.Name(), c.text)
		}
		if after := openDescriptors(t); after != before {
			t.Errorf("%s: %d descriptors before, %d after", c.spec, before, after)
		}
	}
	for _, mtu := range []int{-1, 67, 65536} {
		for _, open := range []func() (Link, error){
			func() (Link, error) { return OpenQEMU(dir+"/stream", SocketConfig{MTU: mtu}) },
			func() (Link, error) { return OpenVfkit(dir+"/datagram", SocketConfig{MTU: mtu}) },
			func() (Link, error) { return OpenPasst(PasstConfig{MTU: mtu}) },
		} {
			if _, err := open(); !errors.Is(err, endpoint.EINVAL) || !strings.Contains(err.Error(), fmt.Sprintf("MTU %d is not within 68 to 65535", mtu)) {
				t.Errorf("MTU %d: %v", mtu, err)
			}
		}
	}
	t.Setenv("PATH", dir)
	if _, err := Open("passt:"); !errors.Is(err, endpoint.ENOENT) || !strings.Contains(err.Error(), "apt-get install passt") {
		t.Errorf("without passt: %v", err)
	}
	err = hostError(&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "nowhere.example"}})
	if !errors.Is(err, endpoint.EHOSTUNREACH) || !strings.Contains(err.Error(), "nowhere.example") {
		t.Errorf("a host without an address: %v", err)
	}
}

// TestPeerGoneDatagrams: a peer whose socket is closed is missed with the next
// frame; one that listens waits for the next peer.
func TestPeerGoneDatagrams(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	peer, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	client, err := Open("vfkit:" + path)
	if err != nil {
		t.Fatal(err)
	}
	states := changes(client)
	if st := <-states; !st.Up {
		t.Errorf("at first: %+v", st)
	}
	h := newHost(t)
	h.attach(client, bobNet)
	s := h.udp("192.0.2.2:9")
	s.SocketOptions().SetBroadcast(true)
	peer.Close()
	s.sendTo([]byte("lost"), "192.0.2.255:9")
	if st := <-states; st.Up || !errors.Is(st.Err, endpoint.ECONNREFUSED) || !strings.Contains(st.Err.Error(), "the peer has gone") {
		t.Errorf("without the peer: %+v", st)
	}
	h.end()

	server, err := Open("vfkit:" + path + "2?listen")
	if err != nil {
		t.Fatal(err)
	}
	states = changes(server)
	<-states
	h = newHost(t)
	h.attach(server, bobNet)
	s = h.udp("192.0.2.2:9")
	s.SocketOptions().SetBroadcast(true)
	for i := range 3 {
		peer, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: fmt.Sprint(path, "peer", i), Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := peer.WriteToUnix([]byte(vfkitMagic), &net.UnixAddr{Name: path + "2", Net: "unixgram"}); err != nil {
			t.Fatal(err)
		}
		if st := <-states; !st.Up {
			t.Errorf("with a peer: %+v", st)
		}
		peer.Close()
		s.sendTo([]byte("lost"), "192.0.2.255:9")
		if st := <-states; st.Up || st.Err != nil {
			t.Errorf("without a peer: %+v", st)
		}
	}
}

// TestPeerReset: a peer over TCP that resets the connection.
func TestPeerReset(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	link, err := Open("qemu:" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	states := changes(link)
	<-states
	newHost(t).attach(link, bobNet)
	peer.(*net.TCPConn).SetLinger(0)
	peer.Close()
	if st := <-states; !errors.Is(st.Err, endpoint.ECONNRESET) || !strings.Contains(st.Err.Error(), "the peer has gone") {
		t.Errorf("%+v", st)
	}
}

// TestSocketClosed: somebody closes the descriptor of a link's socket. The next
// packet to send finds out, and the link says so and ends.
func TestSocketClosed(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", dir+"/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: dir + "/datagram", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	for _, spec := range []string{"qemu:" + dir + "/stream", "vfkit:" + dir + "/datagram"} {
		link := opened(t, spec)[0]
		var conn syscall.Conn
		switch d := link.(*deviceLink).dev.(type) {
		case *frameDevice:
			conn = d.conn.(syscall.Conn)
		case *datagramDevice:
			conn = d.conn
		}
		states := changes(link)
		<-states
		h := newHost(t)
		h.attach(link, bobNet)
		s := h.udp("192.0.2.2:9")
		s.SocketOptions().SetBroadcast(true)
		raw, err := conn.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) { syscall.Close(int(fd)) })
		s.sendTo([]byte("lost"), "192.0.2.255:9")
		if st := <-states; !errors.Is(st.Err, endpoint.EBADF) || !strings.Contains(st.Err.Error(), "its descriptor was closed by others") {
			t.Errorf("%s: %+v", spec, st)
		}
		h.end() // and does not wait for ever
	}
}

// TestPasstKilled: the link says how passt has ended.
func TestPasstKilled(t *testing.T) {
	program := filepath.Join(t.TempDir(), "passt")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexec sleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := OpenPasst(PasstConfig{Path: program})
	if err != nil {
		t.Fatal(err)
	}
	states := changes(l)
	<-states
	h := newHost(t)
	h.attach(l, bobNet)
	var pid int
	if _, err := fmt.Sscanf(Describe(l), "passt, process %d,", &pid); err != nil {
		t.Fatalf("%q: %v", Describe(l), err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if st := <-states; !errors.Is(st.Err, endpoint.EPIPE) || !strings.Contains(st.Err.Error(), "signal: killed") {
		t.Errorf("%+v", st)
	}
	h.end()
}
