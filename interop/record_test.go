//go:build linux

package interop

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"usersock/interop/netns"
	"usersock/netdev"
	"usersock/sockapi"
	"usersock/stack"
)

// recordedPair returns two hosts on a link that is recorded at the first.
func recordedPair(t *testing.T, file io.Writer, a, b netdev.Link) (_, _ *sockapi.Net, r *netdev.Recorder, end func() error) {
	t.Helper()
	r = netdev.NewRecorder(file, netdev.RecordConfig{})
	var nets []*sockapi.Net
	for i, l := range []netdev.Link{r.Link(a, "client0"), b} {
		st, err := stack.New(stack.Config{Interfaces: []stack.Interface{{Name: "eth0", Link: l, Addrs: []netip.Prefix{
			netip.MustParsePrefix(fmt.Sprintf("192.0.2.%d/24", i+1)), netip.MustParsePrefix(fmt.Sprintf("2001:db8::%d/64", i+1)),
		}}}})
		if err != nil {
			t.Fatal(err)
		}
		n, err := sockapi.New(sockapi.Config{Stack: st})
		if err != nil {
			t.Fatal(err)
		}
		nets = append(nets, n)
	}
	return nets[0], nets[1], r, func() error {
		err := r.Close() // before the stacks reset what is in TIME-WAIT
		for _, n := range nets {
			err = errors.Join(err, n.Close(), n.Stack().Shutdown(t.Context()))
		}
		return err
	}
}

// TestRecordTshark: tshark reads our captures without complaint, names the
// interfaces and directions, and follows a stream to the last byte.
func TestRecordTshark(t *testing.T) {
	netns.Need(t, "tshark")
	pair := func() (netdev.Link, netdev.Link) { return netdev.Pair(netdev.PairConfig{MTU: 1500}) }
	ethernet := func() (netdev.Link, netdev.Link) {
		seg := netdev.NewSegment(netdev.SegmentConfig{})
		a, _ := seg.Join(netdev.PortConfig{})
		b, _ := seg.Join(netdev.PortConfig{})
		return a, b
	}
	for name, links := range map[string]func() (netdev.Link, netdev.Link){"pair": pair, "ethernet": ethernet} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "capture.pcapng")
			file, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			a, b := links()
			client, server, r, end := recordedPair(t, file, a, b)
			r.Comment("the beginning")
			data := bytes.Repeat([]byte("0123456789abcdef"), 1<<20/16)
			for _, at := range []string{"192.0.2.2:7", "[2001:db8::2]:7"} {
				l, err := server.Listen("tcp", at)
				if err != nil {
					t.Fatal(err)
				}
				go func() {
					c, err := l.Accept()
					if err == nil {
						io.Copy(c, c)
						c.Close()
					}
				}()
				c, err := client.Dial("tcp", at)
				if err != nil {
					t.Fatal(err)
				}
				go func() {
					c.Write(data)
					c.(*sockapi.Conn).CloseWrite()
				}()
				if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, data) {
					t.Fatalf("%d bytes came back, %v", len(got), err)
				}
				c.Close()
				l.Close()
			}
			for _, at := range []string{"192.0.2.2:9", "[2001:db8::2]:9"} {
				echoFragments(t, client, server, at)
			}
			if err := end(); err != nil {
				t.Fatal(err)
			}
			checkCapture(t, path)

			// The stream of IPv4, as the client sent and received it.
			out := netns.Run(t, "tshark", "-r", path, "-Y", "frame.interface_name == client0 && tcp.stream == 0 && tcp.len > 0 && ip",
				"-T", "fields", "-e", "frame.packet_flags_direction", "-e", "tcp.len")
			var sum [3]int
			for line := range strings.Lines(out) {
				var direction, n int
				if _, err := fmt.Sscanf(line, "0x%x %d", &direction, &n); err != nil {
					fmt.Sscanf(line, "%d %d", &direction, &n)
				}
				sum[direction&3%3] += n
			}
			if sum[1] != len(data) || sum[2] != len(data) {
				t.Errorf("%d bytes in and %d out, want %d", sum[1], sum[2], len(data))
			}
			if out := netns.Run(t, "tshark", "-r", path, "-Y", "frame.comment", "-T", "fields", "-e", "frame.number", "-e", "frame.comment"); strings.TrimSpace(out) != "1\tthe beginning" {
				t.Errorf("comments: %q", out)
			}
			follow := netns.Run(t, "tshark", "-r", path, "-q", "-z", "follow,tcp,raw,0")
			if n := strings.Count(follow, fmt.Sprintf("%x", "0123456789abcdef")); n < len(data)/16 {
				t.Errorf("the followed stream has %d of %d pieces", n, len(data)/16)
			}
		})
	}
}

// echoFragments sends a datagram that is longer than the MTU there and back.
func echoFragments(t *testing.T, client, server *sockapi.Net, at string) {
	t.Helper()
	pc, err := server.ListenPacket("udp", at)
	check(t, err)
	c, err := client.Dial("udp", at)
	check(t, err)
	_, err = c.Write(make([]byte, 4000))
	check(t, err)
	buf := make([]byte, 5000)
	n, from, err := pc.ReadFrom(buf)
	check(t, err)
	_, err = pc.WriteTo(buf[:n], from)
	check(t, err)
	if n, err = c.Read(buf); n != 4000 || err != nil {
		t.Fatalf("%d bytes came back, %v", n, err)
	}
	check(t, c.Close())
	check(t, pc.Close())
}

// checkCapture fails if tshark finds a malformed packet or has a warning of
// its experts: a wrong checksum is one, if it is told to look.
func checkCapture(t *testing.T, path string) {
	t.Helper()
	look := []string{"-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"}
	if out := netns.Run(t, "tshark", append(look, "-r", path, "-Y", "_ws.malformed || _ws.expert.severity >= \"Warning\" || tcp.checksum.status == \"Bad\" || udp.checksum.status == \"Bad\" || ip.checksum.status == \"Bad\"")...); out != "" {
		t.Errorf("tshark complains about:\n%s", first(out, 20))
	}
	if out := netns.Run(t, "tshark", "-r", path, "-Y", "ip.len > 1500 || ipv6.plen > 1460"); out != "" {
		t.Errorf("longer than a wire would carry:\n%s", first(out, 5))
	}
}

func first(text string, n int) string {
	lines := strings.SplitN(text, "\n", n+1)
	return strings.Join(lines[:min(n, len(lines))], "\n")
}

// TestRecordKeys: with the keys in the file, tshark sees through TLS.
func TestRecordKeys(t *testing.T) {
	netns.Need(t, "tshark")
	path := filepath.Join(t.TempDir(), "capture.pcapng")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	a, b := netdev.Pair(netdev.PairConfig{MTU: 1500})
	client, server, r, end := recordedPair(t, file, a, b)
	l, err := server.Listen("tcp", "192.0.2.2:443")
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "a secret") }))
	web.Listener = l
	web.StartTLS()
	transport := &http.Transport{DialContext: client.DialContext, TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, KeyLogWriter: r.KeyLog(), MinVersion: tls.VersionTLS13,
	}}
	reply, err := (&http.Client{Transport: transport}).Get("https://192.0.2.2/hidden")
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, reply.Body)
	reply.Body.Close()
	transport.CloseIdleConnections()
	web.Close()
	if err := end(); err != nil {
		t.Fatal(err)
	}
	out := netns.Run(t, "tshark", "-r", path, "-Y", "http", "-T", "fields", "-e", "http.request.uri", "-e", "http.response.code")
	if !strings.Contains(out, "/hidden") || !strings.Contains(out, "200") {
		t.Errorf("tshark sees %q", out)
	}
}

// TestRecordLive: tshark reads from a pipe while packets pass.
func TestRecordLive(t *testing.T) {
	netns.Need(t, "tshark")
	fifo := filepath.Join(t.TempDir(), "live")
	netns.Run(t, "mkfifo", fifo)
	shark := netns.Start(t, "tshark", "-l", "-i", fifo, "-c", "1", "-T", "fields", "-e", "udp.payload")
	file, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	a, b := netdev.Pair(netdev.PairConfig{})
	client, server, _, end := recordedPair(t, file, a, b)
	pc, err := server.ListenPacket("udp", "192.0.2.2:9")
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Dial("udp", "192.0.2.2:9")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte{0xab, 0xcd}); err != nil {
		t.Fatal(err)
	}
	shark.Expect("abcd") // while the link and the pipe are open
	if _, _, err := pc.ReadFrom(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	shark.Wait()
	if err := end(); err != nil && !errors.Is(err, syscall.EPIPE) { // tshark has ended first
		t.Error(err)
	}
}
