package netdev

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestVnetRounds: of 1,000 links of each kind to an interface of the kernel
// nothing is left, and no interface.
func TestVnetRounds(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	needTUN(t)
	kinds := []func(name string) []Link{
		func(name string) []Link { return opened(t, "tun:"+name) },
		func(name string) []Link { return opened(t, "tap:"+name) },
		func(name string) []Link { return opened(t, "tun:"+name+"?queues=2") },
		func(name string) []Link {
			f, _, err := OpenTUNFile(name, TUNConfig{})
			if err != nil {
				t.Error(err)
				return nil
			}
			defer f.Close()
			fd, err := duplicate(f)
			if err != nil {
				t.Error(err)
				return nil
			}
			return opened(t, fmt.Sprintf("fd:%d", fd))
		},
	}
	leavesNothing(t, rounds(), func() { // all kinds beside each other: the kernel takes its time
		var work sync.WaitGroup
		for i, open := range kinds {
			work.Go(func() { attachAndClose(t, open(fmt.Sprintf("tun%d", i))...) })
		}
		work.Wait()
	})
	out, err := exec.Command("ip", "-br", "link").CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("tun")) {
		t.Errorf("interfaces: %s, %v", out, err)
	}
}

// TestAFPacketRounds: of 1,000 links nothing is left, and the interface is as it
// was.
func TestAFPacketRounds(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	makeVeth(t, "1500")
	leavesNothing(t, rounds(), func() {
		var work sync.WaitGroup
		for _, spec := range []string{"afpacket:veth1", "afpacket:veth1?share"} {
			work.Go(func() { attachAndClose(t, opened(t, spec)...) })
		}
		work.Wait()
	})
	out, err := exec.Command("ip", "-d", "link", "show", "dev", "veth1").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "promiscuity 0 ") || !strings.Contains(string(out), "allmulti 0 ") {
		t.Errorf("the interface is not as it was: %s, %v", out, err)
	}
}

// TestDescriptorClosed: somebody closes the descriptor of a link. The next packet
// to send finds out, and the link says so and ends.
func TestDescriptorClosed(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	needTUN(t)
	makeVeth(t, "1500")
	for _, spec := range []string{"tun:tun0", "tap:tun1", "afpacket:veth1"} {
		l := opened(t, spec)[0]
		states := changes(l)
		<-states
		h := newHost(t)
		h.attach(l, bobNet)
		e, ok := l.(*vnetEnd)
		if !ok {
			e = l.(*TUN).dev.(*vnetEnd)
		}
		conn, err := e.cfg.files[0].SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		conn.Control(func(fd uintptr) { unix.Close(int(fd)) })
		s := h.udp("192.0.2.2:9")
		s.SocketOptions().SetBroadcast(true)
		s.sendTo([]byte("lost"), "192.0.2.255:9")
		for st := range states {
			if st.Err == nil { // it has come up or gone down
				continue
			}
			if !strings.Contains(st.Err.Error(), "its descriptor was closed") || !strings.Contains(st.Err.Error(), "Bad file descriptor") {
				t.Errorf("%s: %+v", spec, st)
			}
			break
		}
		h.end() // and does not wait for ever
	}
}
