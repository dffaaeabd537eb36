package testnet_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"usersock/sockapi"
)

// lossy is a bad link: a lost packet in twenty, 40 ms there and back.
var lossy = wire{delay: 20 * time.Millisecond, loss: 0.05}

// payload is n bytes that depend on the stream's number.
func payload(n int, stream byte) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{stream}).Read(b)
	return b
}

// listen opens a listening TCP socket on every address of a family.
func listen(n *sockapi.Net, family, port int) (*sockapi.Socket, error) {
	l, err := n.Socket(family, sockapi.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	if err = l.Bind(anyAddr(family, port)); err == nil {
		err = l.Listen(64)
	}
	return l, err
}

func anyAddr(family, port int) sockapi.Addr {
	if family == sockapi.AF_INET6 {
		return sockapi.Inet6Addr{Port: port}
	}
	return sockapi.InetAddr{Port: port}
}

// serve takes count connections and sends back the SHA-256 of all that came,
// each in a goroutine of its own. It listens before any task begins.
func (w *world) serve(host, family, port, count int) {
	l, err := listen(w.nets[host], family, port)
	if err != nil {
		w.t.Fatal(err)
	}
	w.task(host, fmt.Sprint("server ", family, port), func(*sockapi.Net) { w.accept(l, count) })
}

func (w *world) accept(l *sockapi.Socket, count int) {
	defer l.Close()
	for range count {
		s, _, err := l.Accept()
		if err != nil {
			w.t.Error(err)
			break
		}
		w.tasks.Go(func() { w.digest(s) })
	}
}

func (w *world) digest(s *sockapi.Socket) {
	c := s.Conn()
	defer c.Close()
	h := sha256.New()
	if _, err := io.Copy(h, c); err != nil {
		w.t.Error("digest:", err)
	}
	if _, err := c.Write(h.Sum(nil)); err != nil {
		w.t.Error("digest:", err)
	}
}

// upload sends data to a server of serve and checks its answer.
func (w *world) upload(n *sockapi.Net, to sockapi.Addr, data []byte) {
	s, err := n.Socket(to.Family(), sockapi.SOCK_STREAM, 0)
	if err != nil {
		w.t.Error(err)
		return
	}
	defer s.Close()
	if err = s.Connect(to); err == nil {
		if err = s.Sendall(data); err == nil {
			err = s.Shutdown(sockapi.SHUT_WR)
		}
	}
	if err != nil {
		w.t.Error("upload:", err)
		return
	}
	got, err := s.Recv(sha256.Size, sockapi.MSG_WAITALL)
	if want := sha256.Sum256(data); err != nil || !bytes.Equal(got, want[:]) {
		w.t.Errorf("upload to %v: answer %x, %v; want %x", to, got, err, want)
	}
}

// TestSameTrace moves a megabyte over TCP and a lossy link, many times. Every
// packet must be the same in every run, to the byte and the nanosecond.
func TestSameTrace(t *testing.T) {
	runs := 100
	if testing.Short() {
		runs = 10
	}
	data := payload(1<<20, 1)
	transfer := func(t *testing.T, seed uint64) outcome {
		return run(t, seed, lossy, func(w *world) {
			w.serve(1, sockapi.AF_INET, 80, 1)
			w.task(0, "client", func(n *sockapi.Net) { w.upload(n, sockapi.InetAddr{Host: "beta", Port: 80}, data) })
		})
	}
	o := same(t, runs, func(t *testing.T) outcome { return transfer(t, 7) })
	if o.lost < 10 || o.packets[0] < 1<<20/1460 || o.elapsed < 100*time.Millisecond {
		t.Errorf("%v: that is no transfer of 1 MiB at 5 %% loss", o)
	}
	if other := transfer(t, 8); other.trace == o.trace {
		t.Error("another seed gives the same trace")
	}
}

// TestSameTraceOfManyConnections has eight transfers over the link at once, four
// each way, in both versions of IP, and one that the host has with itself.
func TestSameTraceOfManyConnections(t *testing.T) {
	runs := 20
	if testing.Short() {
		runs = 5
	}
	data := payload(64<<10, 2)
	transfers := func(t *testing.T, seed uint64) outcome {
		return run(t, seed, lossy, func(w *world) {
			for host := range 2 {
				w.serve(host, sockapi.AF_INET, 80, 2)
				w.serve(host, sockapi.AF_INET6, 86, 2)
				peer4 := sockapi.InetAddr{Host: addrs(1 - host)[0].Addr().String(), Port: 80}
				peer6 := sockapi.Inet6Addr{Host: addrs(1 - host)[1].Addr().String(), Port: 86}
				for i := range 2 {
					w.task(host, fmt.Sprint("client ", i), func(n *sockapi.Net) { w.upload(n, peer4, data[i:]) })
					w.task(host, fmt.Sprint("client six ", i), func(n *sockapi.Net) { w.upload(n, peer6, data[i:]) })
				}
			}
			w.serve(0, sockapi.AF_INET, 81, 2)
			w.task(0, "to itself", func(n *sockapi.Net) {
				w.upload(n, sockapi.InetAddr{Host: "127.0.0.1", Port: 81}, data)
				w.upload(n, sockapi.InetAddr{Host: "192.0.2.1", Port: 81}, data)
			})
		})
	}
	o := same(t, runs, func(t *testing.T) outcome { return transfers(t, 11) })
	if o.packets[0] < 200 || o.packets[1] < 200 || o.looped < 20 {
		t.Errorf("%v: that is less than the transfers take", o)
	}
	if other := transfers(t, 12); other.trace == o.trace {
		t.Error("another seed gives the same trace")
	}
}

// TestChanceIsCounted starts clients side by side that nothing tells apart: who
// gets which descriptor and port is chance, and the driver says so.
func TestChanceIsCounted(t *testing.T) {
	o := run(t, 1, wire{delay: time.Millisecond}, func(w *world) {
		w.serve(1, sockapi.AF_INET, 80, 4)
		w.task(0, "clients", func(n *sockapi.Net) {
			for range 4 {
				w.tasks.Go(func() { w.upload(n, sockapi.InetAddr{Host: "192.0.2.2", Port: 80}, nil) })
			}
		})
	})
	if o.stats.Ties == 0 {
		t.Error("no tie was counted")
	}
}

// TestDeadlock starts this test again in a process of its own, where a program
// waits for a packet that nobody sends: the bubble must say so.
func TestDeadlock(t *testing.T) {
	const asked = "USERSOCK_TEST_DEADLOCK"
	if os.Getenv(asked) != "" {
		run(t, 1, lossy, func(w *world) {
			w.task(0, "waits", waitForNothing)
		})
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Skip("no name of this program:", err)
	}
	cmd := exec.Command(self, "-test.run=^TestDeadlock$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), asked+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("the deadlock went unnoticed:\n%s", out)
	}
	for _, want := range []string{"deadlock: all goroutines in bubble are blocked", "waitForNothing"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the report does not say %q:\n%s", want, out)
		}
	}
}

func waitForNothing(n *sockapi.Net) {
	s, err := n.Socket(sockapi.AF_INET, sockapi.SOCK_DGRAM, 0)
	if err != nil {
		return
	}
	s.Recv(1)
}
