//go:build linux

package interop

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"usersock/interop/netns"
	"usersock/netdev"
)

// TestRecordKernel: on links to the kernel, where segments of 64 KiB pass without
// checksums in both directions, the record has what a wire would carry: over both
// versions of IP, TCP and UDP, fragments too.
func TestRecordKernel(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			netns.Need(t, "ip", "tshark")
			path := filepath.Join(t.TempDir(), "capture.pcapng")
			file, err := os.Create(path)
			check(t, err)
			defer file.Close()
			link, r := netdev.Record(open(t, kind), device, file, netdev.RecordConfig{})
			n := hostOn(t, link)
			var sent [2]int // by the kernel, by us
			for _, v := range []struct{ ours, kernel string }{{ours4, kernel4}, {ours6, kernel6}} {
				l, err := net.Listen("tcp", net.JoinHostPort(v.kernel, "0"))
				check(t, err)
				c, err := n.Dial("tcp", l.Addr().String())
				check(t, err)
				peer, err := l.Accept()
				check(t, err)
				// In turns, so that no window ever fills: that is a warning.
				piece := bytes.Repeat([]byte("0123456789abcdef"), 2000)
				for range 8 {
					for i, d := range []struct{ from, to net.Conn }{{peer, c}, {c, peer}} {
						_, err = d.from.Write(piece)
						check(t, err)
						_, err = io.ReadFull(d.to, make([]byte, len(piece)))
						check(t, err)
						sent[i] += len(piece)
					}
				}
				check(t, c.Close())
				check(t, peer.Close())
				check(t, l.Close())

				kernel, err := net.ListenPacket("udp", net.JoinHostPort(v.kernel, "0"))
				check(t, err)
				u, err := n.Dial("udp", kernel.LocalAddr().String())
				check(t, err)
				for _, size := range []int{100, 4000} {
					_, err = u.Write(bytes.Repeat([]byte{1}, size))
					check(t, err)
					buf := make([]byte, 5000)
					got, from, err := kernel.ReadFrom(buf)
					check(t, err)
					_, err = kernel.WriteTo(buf[:got], from)
					check(t, err)
					if got, err = u.Read(buf); got != size || err != nil {
						t.Fatalf("%d bytes came back of %d, %v", got, size, err)
					}
				}
				check(t, u.Close())
				check(t, kernel.Close())
			}
			check(t, r.Close())
			if _, missed := r.Packets(); missed != 0 {
				t.Errorf("%d packets are missing", missed)
			}
			checkCapture(t, path)
			for stream := range 2 {
				follow := netns.Run(t, "tshark", "-r", path, "-q", "-z", fmt.Sprintf("follow,tcp,raw,%d", stream))
				if n := strings.Count(follow, fmt.Sprintf("%x", "0123456789abcdef")); n < (sent[0]+sent[1])/2/16*9/10 {
					t.Errorf("stream %d has %d pieces", stream, n) // some are cut by an end of line
				}
			}
			for direction, name := range []string{"in", "out"} {
				out := netns.Run(t, "tshark", "-r", path, "-Y", fmt.Sprintf("frame.packet_flags_direction == %d && tcp.len > 0 && !tcp.analysis.retransmission && !tcp.analysis.spurious_retransmission", direction+1),
					"-T", "fields", "-e", "tcp.len", "-e", "frame.interface_name")
				sum := 0
				for line := range strings.Lines(out) {
					var size int
					var on string
					if _, err := fmt.Sscan(line, &size, &on); err != nil || on != device {
						t.Fatalf("%q: %v", line, err)
					}
					sum += size
				}
				if sum != sent[direction] {
					t.Errorf("%d bytes of TCP went %s, want %d", sum, name, sent[direction])
				}
			}
			// Times have nanoseconds: not all of many end in three noughts.
			times := netns.Run(t, "tshark", "-r", path, "-T", "fields", "-e", "frame.time_epoch")
			if !regexp.MustCompile(`(?m)\.\d{9}$`).MatchString(times) || !regexp.MustCompile(`(?m)\.\d{6}(\d[1-9]\d|[1-9]\d\d|\d\d[1-9])$`).MatchString(times) {
				t.Errorf("times:\n%s", first(times, 5))
			}
		})
	}
}
