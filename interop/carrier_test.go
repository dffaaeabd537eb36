//go:build linux

package interop

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"usersock/interop/netns"
	"usersock/netdev"
	"usersock/sockapi"
	"usersock/stack"
)

// TestFirstPacket: what the kernel sends as soon as an administrator's
// interface has been opened arrives. Its queue starts a moment after the
// interface has its carrier, and the kernel drops what it sends before.
func TestFirstPacket(t *testing.T) {
	netns.Need(t, "ip")
	for range 60 {
		netns.IP(t, "tuntap", "add", "mode", "tun", "dev", device)
		netns.IP(t, "link", "set", device, "up")
		netns.IP(t, "addr", "add", kernel4+"/24", "dev", device)
		link, err := netdev.Open("tun:" + device)
		check(t, err)
		s, err := stack.New(stack.Config{Interfaces: []stack.Interface{{Link: link, Addrs: []netip.Prefix{netip.MustParsePrefix(ours4 + "/24")}}}})
		check(t, err)
		n, err := sockapi.New(sockapi.Config{Stack: s})
		check(t, err)
		pc, err := n.ListenPacket("udp", ours4+":9")
		check(t, err)
		c, err := net.Dial("udp", pc.LocalAddr().String())
		check(t, err)
		_, err = c.Write([]byte("first"))
		check(t, err)
		check(t, pc.SetReadDeadline(time.Now().Add(10*time.Second)))
		if _, _, err := pc.ReadFrom(make([]byte, 10)); err != nil {
			t.Fatal("the first packet was lost:", err)
		}
		c.Close()
		n.Close()
		s.Close()
		netns.IP(t, "link", "del", device)
	}
}
