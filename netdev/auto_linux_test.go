package netdev

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"usersock/stack/endpoint"
)

// TestHostTUNs compares with interfaces that ip(8) made.
func TestHostTUNs(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	needTUN(t)
	ip(t, "tuntap add dev tun7 mode tun user 0")
	ip(t, "tuntap add dev tap3 mode tap group 0 multi_queue")
	ip(t, "tuntap add dev any mode tun")
	ip(t, "link add veth0 type veth peer name veth1")
	want := []hostTUN{
		{name: "any", persistent: true, owner: -1, group: -1},
		{name: "tap3", persistent: true, tap: true, multi: true, owner: -1},
		{name: "tun7", persistent: true, group: -1},
	}
	got, err := hostTUNs()
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("%+v, %v, want %+v", got, err, want)
	}
	openTestTUN(t, "tun7")
	want[2].used, want[2].vnet = true, true
	if got, err = hostTUNs(); err != nil || !slices.Equal(got, want) {
		t.Errorf("while tun7 is open: %+v, %v, want %+v", got, err, want)
	}
}

// TestAuto takes what the host offers, in order, and leaves it as it was.
func TestAuto(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	needTUN(t)
	t.Setenv("PATH", "/nonexistent") // no passt, and no ip either
	want := func(prefix, contains string) {
		t.Helper()
		l, line, err := Auto()
		if err != nil {
			t.Fatal(err)
		}
		defer Close(l)
		if !strings.HasPrefix(line, prefix) || !strings.Contains(line, contains) {
			t.Errorf("%q, want %q and %q", line, prefix, contains)
		}
	}
	want("auto: memory", "no passt (it is not installed)")

	makeTUN(t, "mine0", unix.IFF_TUN)
	fd, err := unix.Open(tunPath, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ifr, _ := unix.NewIfreq("mine0")
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETOWNER, 0); err != nil {
		t.Fatal(err)
	}
	want("auto: memory", "mine0 in use")
	unix.Close(fd)
	want("auto: tun:mine0", AutoFD+" is not set")
	want("auto: tun:mine0", "") // again: it is still there
	if !exists("mine0") {
		t.Error("the interface has gone")
	}

	l, err := Open("auto")
	if err != nil {
		t.Fatal(err)
	}
	if text := Describe(l); !strings.Contains(text, "mine0") || strings.Contains(text, "\n") {
		t.Errorf("it describes itself as %q", text)
	}
	Close(l)

	t.Setenv(AutoFD, "1000000")
	if _, _, err := Auto(); !errors.Is(err, endpoint.EBADF) {
		t.Errorf("a descriptor that is not open: %v", err)
	}
}
