package endpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"syscall"
	"testing"
)

func TestErrnoNames(t *testing.T) {
	for _, c := range []struct {
		e          Errno
		n          int
		name, text string
	}{
		{EPERM, 1, "EPERM", "Operation not permitted"},
		{EAGAIN, 11, "EAGAIN", "Resource temporarily unavailable"},
		{EADDRINUSE, 98, "EADDRINUSE", "Address already in use"},
		{ECONNREFUSED, 111, "ECONNREFUSED", "Connection refused"},
		{EINPROGRESS, 115, "EINPROGRESS", "Operation now in progress"},
		{EOPNOTSUPP, 95, "EOPNOTSUPP", "Operation not supported"},
		{ERFKILL, 132, "ERFKILL", "Operation not possible due to RF-kill"},
		{Errno(9999), 9999, "errno 9999", "Unknown error 9999"},
		{Errno(-5), -5, "errno -5", "Unknown error -5"},
		{Errno(41), 41, "errno 41", "Unknown error 41"},
	} {
		if int(c.e) != c.n || c.e.Name() != c.name || c.e.Error() != c.text {
			t.Errorf("%d: name %q, text %q; want %d %q %q", int(c.e), c.e.Name(), c.e.Error(), c.n, c.name, c.text)
		}
	}
}

// TestErrnoAgainstHost: each number matches the host's error of that name, and
// no other.
func TestErrnoAgainstHost(t *testing.T) {
	if len(hostErrno) == 0 {
		t.Skipf("%s has no errors to compare with", runtime.GOOS)
	}
	for e, host := range hostErrno {
		if e.Name() == "errno "+fmt.Sprint(int(e)) {
			t.Errorf("%d has a host's number (%d) and no name", int(e), int(host))
		}
		if !errors.Is(e, host) || !errors.Is(fmt.Errorf("wrapped: %w", e), host) {
			t.Errorf("%s is not the host's %d", e.Name(), int(host))
		}
		for o, other := range hostErrno {
			if errors.Is(e, other) != (host == other) {
				t.Errorf("%s and the host's %s: Is says %v", e.Name(), o.Name(), errors.Is(e, other))
			}
		}
		if back, ok := FromHost(fmt.Errorf("wrapped: %w", host)); !ok || hostErrno[back] != host {
			t.Errorf("FromHost(%d): %v, %v; want %s", int(host), back, ok, e.Name())
		}
	}
	if _, ok := FromHost(errors.New("no number")); ok {
		t.Error("FromHost found a number in an error that has none")
	}
	if _, ok := FromHost(nil); ok {
		t.Error("FromHost found a number in nil")
	}
}

func TestErrnoPortable(t *testing.T) {
	portable := []error{fs.ErrPermission, fs.ErrExist, fs.ErrNotExist, errors.ErrUnsupported}
	want := map[Errno]error{
		EPERM: fs.ErrPermission, EACCES: fs.ErrPermission, EEXIST: fs.ErrExist, ENOTEMPTY: fs.ErrExist,
		ENOENT: fs.ErrNotExist, ENOSYS: errors.ErrUnsupported, EOPNOTSUPP: errors.ErrUnsupported,
	}
	for e := Errno(0); e < 140; e++ {
		for _, p := range portable {
			if got := errors.Is(e, p); got != (want[e] == p) {
				t.Errorf("%s is %v: %v", e.Name(), p, got)
			}
		}
	}
}

// TestErrnoBehaviour: Timeout and Temporary, as package net's users ask.
func TestErrnoBehaviour(t *testing.T) {
	for e := Errno(0); e < 140; e++ {
		timeout := e == EAGAIN || e == ETIMEDOUT
		temporary := timeout || e == EINTR || e == EMFILE || e == ENFILE
		if e.Timeout() != timeout || e.Temporary() != temporary {
			t.Errorf("%s: Timeout %v, Temporary %v", e.Name(), e.Timeout(), e.Temporary())
		}
	}
	if errors.Is(EAGAIN, EINTR) || !errors.Is(EAGAIN, EWOULDBLOCK) {
		t.Error("our own numbers do not compare as numbers")
	}
	if errors.Is(Errno(41), syscall.Errno(41)) {
		t.Error("a number without a name is the host's")
	}
}
