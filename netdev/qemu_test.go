//go:build unix

package netdev

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"usersock/stack/endpoint"
)

// changes delivers the states of a link, the present one first.
func changes(l Link) <-chan State {
	ch := make(chan State, 16)
	var mu sync.Mutex
	last := State{Err: io.EOF} // none yet
	note := func() {
		mu.Lock()
		defer mu.Unlock()
		if st := Status(l); st != last {
			last = st
			ch <- st
		}
	}
	l.Wire().Watch(note)
	note()
	return ch
}

// TestFrameSockets: two stacks over each kind of socket, both ways round.
func TestFrameSockets(t *testing.T) {
	for _, c := range []struct {
		name          string
		listen, other string
	}{
		{"qemu over a Unix socket", "qemu:%?listen", "qemu:%"},
		{"qemu, long packets", "qemu:%?listen&mtu=65520", "qemu:%?mtu=65520"},
		{"vfkit", "vfkit:%?listen", "vfkit:%"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			server, err := Open(strings.ReplaceAll(c.listen, "%", path))
			if err != nil {
				t.Fatal(err)
			}
			up := changes(server)
			if st := <-up; st.Up {
				t.Error("up without a peer")
			}
			alice := newHost(t)
			alice.attach(server, aliceNet, aliceNet6)
			client, err := Open(strings.ReplaceAll(c.other, "%", path))
			if err != nil {
				t.Fatal(err)
			}
			if st := <-up; !st.Up {
				t.Errorf("with a peer: %+v", st)
			}
			bob := newHost(t)
			bob.attach(client, bobNet, bobNet6)
			for _, at := range []string{"192.0.2.1:7", "[2001:db8::1]:7"} {
				transfer(t, bob, alice.listen(at), at, pattern(3<<20))
			}
			for _, at := range []string{"192.0.2.2:7", "[2001:db8::2]:7"} {
				transfer(t, alice, bob.listen(at), at, pattern(3<<20))
			}
			bob.end()
			alice.end()
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the socket's file is still there: %v", err)
			}
		})
	}
}

// TestPeerGone: a link that has connected ends, one that listens waits for the
// next peer.
func TestPeerGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	server, err := Open("qemu:" + path + "?listen")
	if err != nil {
		t.Fatal(err)
	}
	up := changes(server)
	<-up
	newHost(t).attach(server, aliceNet)
	for range 3 {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if st := <-up; !st.Up || st.Err != nil {
			t.Fatalf("with a peer: %+v", st)
		}
		c.Close()
		if st := <-up; st.Up || st.Err != nil {
			t.Fatalf("without a peer: %+v", st)
		}
	}

	l, err := net.Listen("unix", path+"2")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, c := range []struct {
		send []byte
		want endpoint.Errno
		text string
	}{
		{nil, endpoint.EPIPE, "the peer has closed"},
		{[]byte{0, 0, 0, 9, 1}, endpoint.EPIPE, "the peer has closed"},
		{[]byte{0, 0, 0, 0, 0xff, 0, 0, 0, 1}, endpoint.EPROTO, "a frame of 4278190080 bytes"},
	} {
		client, err := Open("qemu:" + path + "2")
		if err != nil {
			t.Fatal(err)
		}
		peer, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		up := changes(client)
		if st := <-up; !st.Up {
			t.Errorf("at first: %+v", st)
		}
		h := newHost(t)
		h.attach(client, bobNet)
		if _, err := peer.Write(c.send); err != nil {
			t.Fatal(err)
		}
		if c.want == endpoint.EPIPE {
			peer.Close()
		}
		if st := <-up; st.Up || !errors.Is(st.Err, c.want) || !strings.Contains(st.Err.Error(), c.text) {
			t.Errorf("%x: %+v, want %q", c.send, st, c.text)
		}
		peer.Close()
		h.end()
		if err := Status(client).Err; !errors.Is(err, c.want) {
			t.Errorf("after the close: %v", err)
		}
	}
}

// TestRunts: frames that are none are counted and the rest goes on.
func TestRunts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	link, err := OpenQEMU(path, SocketConfig{HardwareAddr: mac})
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	up := changes(link)
	<-up
	h := newHost(t)
	h.attach(link, bobNet)
	frame := func(dst string, typ uint16, n int) []byte {
		f := append([]byte(dst), 2, 0, 0, 0, 0, 9, byte(typ>>8), byte(typ))
		f = append(f, make([]byte, n)...)
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(f))), f...)
	}
	var all []byte
	all = append(all, 0, 0, 0, 0)                                      // empty
	all = append(all, 0, 0, 0, 3, 1, 2, 3)                             // a runt
	all = append(all, frame("\x02\x00\x00\x00\x00\x07", 0x800, 60)...) // for another station
	all = append(all, frame(string(mac), 0x86dd, 2000)...)             // malformed IPv6
	all = append(all, frame(string(mac), 0x8100, 60)...)               // a VLAN
	long := ipv4Packet(17, make([]byte, 1481))                         // one byte above the MTU
	f := frame(string(mac), 0x800, len(long))
	copy(f[len(f)-len(long):], long)
	all = append(all, f...)
	all = append(all, frame("\xff\xff\xff\xff\xff\xff", 0x806, 3)...)
	if _, err := peer.Write(all); err != nil {
		t.Fatal(err)
	}
	peer.Close()
	<-up // what came before has been read
	if d := Dropped(link); d.RxMalformed != 3 || d.RxForeign != 2 || d.RxTooLong != 1 {
		t.Errorf("%+v, want 3 malformed and 2 foreign frames, and one too long", d)
	}
}

// TestPasstEnds: a passt that ends says why.
func TestPasstEnds(t *testing.T) {
	program := filepath.Join(t.TempDir(), "passt")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho No routable interface >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := OpenPasst(PasstConfig{Path: program})
	if err != nil {
		t.Fatal(err)
	}
	up := changes(l)
	<-up
	h := newHost(t)
	h.attach(l, bobNet)
	if st := <-up; st.Err == nil || !strings.Contains(st.Err.Error(), "No routable interface") {
		t.Errorf("%+v", st)
	}
	h.end()
}
