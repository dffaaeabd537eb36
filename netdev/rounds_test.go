//go:build unix

package netdev

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// rounds is how often each kind of link is opened, attached and closed. The race
// detector makes that a matter of minutes.
func rounds() int {
	if raceEnabled {
		return 100
	}
	return 1000
}

// attachAndClose has links that belong together attached to stacks, which then
// end.
func attachAndClose(t *testing.T, links ...Link) {
	hosts := make([]*host, len(links))
	for i, l := range links {
		hosts[i] = makeHost(t)
		hosts[i].attach(l, []string{aliceNet, bobNet}[i%2])
	}
	for _, h := range hosts {
		h.end()
	}
}

// opened opens links by their names.
func opened(t *testing.T, specs ...string) (links []Link) {
	t.Helper()
	for _, s := range specs {
		l, err := Open(s)
		if err != nil {
			t.Error(err)
			t.FailNow()
		}
		links = append(links, l)
	}
	return links
}

// TestRounds: of 1,000 links of each kind nothing is left, neither a goroutine
// nor a descriptor nor a file; of those to the host's kernel no interface either
// (TestVnetRounds, TestAFPacketRounds).
func TestRounds(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir) // of vfkit's own socket
	path := filepath.Join(dir, "s")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String() // free from now on
	l.Close()
	for _, c := range []struct {
		kind string
		open func() []Link
	}{
		{"pair", func() []Link { a, b := Pair(PairConfig{}); return []Link{a, b} }},
		{"loopback", func() []Link { return []Link{Loopback()} }},
		{"qemu over a Unix socket", func() []Link { return opened(t, "qemu:"+path+"?listen", "qemu:"+path) }},
		{"qemu over TCP", func() []Link { return opened(t, "qemu:"+address+"?listen", "qemu:"+address) }},
		{"vfkit", func() []Link { return opened(t, "vfkit:"+path+"?listen", "vfkit:"+path) }},
	} {
		t.Run(c.kind, func(t *testing.T) {
			leavesNothing(t, rounds(), func() { attachAndClose(t, c.open()...) })
		})
	}
	t.Run("segment", func(t *testing.T) {
		leavesNothing(t, rounds(), func() {
			s := NewSegment(SegmentConfig{Hub: true})
			attachAndClose(t, join(t, s, PortConfig{}), join(t, s, PortConfig{}))
			s.Close()
		})
	})
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("files are left: %v, %v", files, err)
	}
}

// TestPasstRounds: of 50 links with a process behind them no process is left.
// Package interop does it with passt itself.
func TestPasstRounds(t *testing.T) {
	program := filepath.Join(t.TempDir(), "passt")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexec cat <&3 >/dev/null\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	leavesNothing(t, 50, func() { attachAndClose(t, opened(t, "passt:?path="+program)...) })
	if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); !errors.Is(err, syscall.ECHILD) {
		t.Errorf("a child is left: %d, %v", pid, err)
	}
}
