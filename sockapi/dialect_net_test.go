//go:build linux

package sockapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A way is package net, or ours, and what it said. The host's own network is
// used on loopback alone.
type way struct {
	dial         func(ctx context.Context, network, address string) (net.Conn, error)
	listen       func(network, address string) (net.Listener, error)
	listenPacket func(network, address string) (net.PacketConn, error)
	dir          string
	said         []string
}

// asPackageNet runs a program with package net and with a host of ours, and
// compares what it says.
func asPackageNet(t *testing.T, program func(w *way) error) {
	t.Helper()
	a := host(t)
	ways := []*way{
		{dial: new(net.Dialer).DialContext, listen: net.Listen, listenPacket: net.ListenPacket},
		{dial: a.DialContext, listen: a.Listen, listenPacket: a.ListenPacket},
	}
	dir := t.TempDir()
	for _, w := range ways {
		w.dir = dir
		if err := program(w); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range ways[0].said {
		if i >= len(ways[1].said) || ways[1].said[i] != want {
			t.Errorf("package net: %s\n        ours: %s", want, ways[1].said[min(i, len(ways[1].said)-1)])
		}
	}
}

// say notes results.
func (w *way) say(about string, results ...any) {
	for i, r := range results {
		switch r := r.(type) {
		case error:
			results[i] = inGo(r)
		case net.Addr:
			results[i] = fmt.Sprintf("%T %s %v", r, r.Network(), r)
		}
	}
	line := fmt.Sprint(about, ": ", results)
	w.said = append(w.said, regexp.MustCompile(`:\d{4,5}\b`).ReplaceAllString(line, ":PORT"))
}

// inGo is all that a Go program finds in an error: package net's ErrClosed and
// its like, which ours is besides its errno, but no errno that ours has
// besides.
func inGo(err error) string {
	text := fmt.Sprintf("%q", err)
	var op *net.OpError
	if errors.As(err, &op) {
		text += fmt.Sprintf(" %s %s %v %v timeout %v temporary %v", op.Op, op.Net, op.Source, op.Addr, op.Timeout(), op.Temporary())
	}
	for _, target := range []error{net.ErrClosed, net.ErrWriteToConnected, io.EOF, context.Canceled, context.DeadlineExceeded, os.ErrNotExist} {
		if errors.Is(err, target) {
			text += " is " + target.Error()
		}
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		text += fmt.Sprint(" by ", call.Syscall)
		var errno syscall.Errno
		if !errors.As(err, &errno) || !errors.Is(err, errno) {
			text += " without errno"
		}
		text += fmt.Sprint(" ", int(errno))
	}
	var name *net.DNSError
	if errors.As(err, &name) {
		text += fmt.Sprintf(" DNS %s %s %v", name.Name, name.Err, name.IsNotFound)
	}
	var addr *net.AddrError
	if errors.As(err, &addr) {
		text += fmt.Sprintf(" address %s %s", addr.Addr, addr.Err)
	}
	return text
}

// TestDialectOpens: what cannot be dialled or listened on.
func TestDialectOpens(t *testing.T) {
	long := strings.Repeat("x", 108)
	asPackageNet(t, func(w *way) error {
		cancelled, cancel := context.WithCancel(bg)
		cancel()
		late, cancel := context.WithDeadline(bg, time.Now())
		defer cancel()
		for _, c := range [][2]string{
			{"tcp", "127.0.0.1:1"}, {"tcp", "0.0.0.0:1"}, {"tcp", ""}, {"tcp", "host"}, {"tcp", "a:b:c"}, {"tcp", "[::1"}, {"tcp", "127.0.0.1:99999"}, {"udp", "127.0.0.1:-1"},
			{"tcp", "127.0.0.1:none"}, {"udp", "127.0.0.1:none"}, {"tcp6", "127.0.0.1:80"}, {"udp4", "[::1]:80"}, {"tcp5", "127.0.0.1:1"},
			{"ip", "127.0.0.1"}, {"ip:none", "127.0.0.1"}, {"ip6:icmp", "127.0.0.1"},
			{"unix", w.dir + "/none"}, {"unixgram", w.dir + "/none"}, {"unixpacket", "@none"}, {"unix", ""}, {"unix", long},
		} {
			conn, err := w.dial(bg, c[0], c[1])
			w.say(fmt.Sprint("dial ", c), conn, err)
		}
		conn, err := w.dial(cancelled, "tcp", "127.0.0.1:1")
		w.say("cancelled", conn, err)
		conn, err = w.dial(late, "unix", w.dir+"/none")
		w.say("late", conn, err)
		conn, err = w.dial(bg, "udp", ":9")
		if err != nil {
			return err
		}
		host, _, _ := net.SplitHostPort(conn.LocalAddr().String())
		w.say("from", host)
		conn.Close()
		for _, c := range [][2]string{
			{"tcp", "host"}, {"tcp", "127.0.0.1:99999"}, {"tcp6", "127.0.0.1:0"}, {"tcp4", "[::1]:0"}, {"tcp", "192.0.2.99:0"},
			{"none", "x"}, {"unix", long}, {"tcp", "127.0.0.1:0"}, {"unix", w.dir + "/l"}, {"unixpacket", "@l"},
		} {
			l, err := w.listen(c[0], c[1])
			w.say(fmt.Sprint("listen ", c), err)
			if err != nil {
				continue
			}
			w.say("listens", l.Addr())
			l2, err := w.listen(c[0], l.Addr().String())
			w.say("again", l2, err)
			l.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now())
			conn, err := l.Accept()
			w.say("accept", conn, err)
			w.say("close", l.Close(), l.Close())
			conn, err = l.Accept()
			w.say("accept", conn, err)
		}
		for _, c := range [][2]string{
			{"udp", "127.0.0.1:0"}, {"udp4", ":0"}, {"udp", "127.0.0.1:99999"}, {"udp", "192.0.2.99:0"}, {"udp", "224.0.0.251:5353"},
			{"unixgram", w.dir + "/g"}, {"unixgram", "@g"}, {"ip4:none", "127.0.0.1"},
		} {
			p, err := w.listenPacket(c[0], c[1])
			w.say(fmt.Sprint("listenPacket ", c), err)
			if err != nil {
				continue
			}
			w.say("listens", p.LocalAddr(), p.Close(), p.Close(), p.SetDeadline(time.Now()))
			n, from, err := p.ReadFrom(make([]byte, 1))
			w.say("read", n, from, err)
			n, err = p.WriteTo([]byte{1}, p.LocalAddr())
			w.say("write", n, err)
			os.Remove(c[1])
		}
		return nil
	})
}

// TestDialectFails: errors of connections.
func TestDialectFails(t *testing.T) {
	for _, network := range []string{"tcp4", "unix", "unixpacket"} {
		t.Run(network, func(t *testing.T) {
			asPackageNet(t, func(w *way) error {
				address := "127.0.0.1:0"
				if network != "tcp4" {
					address = w.dir + "/" + network
				}
				l, err := w.listen(network, address)
				if err != nil {
					return err
				}
				defer l.Close()
				c, err := w.dial(bg, network, l.Addr().String())
				if err != nil {
					return err
				}
				defer c.Close()
				p, err := l.Accept()
				if err != nil {
					return err
				}
				defer p.Close()
				w.say("addresses", c.LocalAddr(), c.RemoteAddr(), p.LocalAddr(), p.RemoteAddr())
				buf := make([]byte, 8)
				_, err = p.Write([]byte("hello"))
				w.say("write", err, c.SetDeadline(time.Unix(1, 0)))
				n, err := c.Read(buf)
				w.say("late read", n, err)
				n, err = c.Read(nil)
				w.say("late empty read", n, err)
				n, err = c.Write(buf)
				w.say("late write", n, err)
				w.say("in time", c.SetDeadline(time.Time{}))
				n, err = c.Read(buf)
				w.say("read", n, err)
				if network == "unixpacket" {
					w.say("close", c.Close(), c.Close())
				} else if err := dialectHalves(w, c, p); err != nil {
					return err
				}
				n, err = c.Read(buf)
				w.say("read", n, err)
				n, err = c.Read(nil)
				w.say("empty read", n, err)
				n, err = c.Write(buf)
				w.say("write", n, err, c.SetDeadline(time.Now()), c.(interface{ SetReadBuffer(int) error }).SetReadBuffer(9999))
				return nil
			})
		})
	}
}

func dialectHalves(w *way, c, p net.Conn) error {
	type halves interface {
		CloseRead() error
		CloseWrite() error
	}
	buf := make([]byte, 8)
	w.say("shut", c.(halves).CloseWrite())
	n, err := c.Write(buf)
	w.say("write", n, err)
	n, err = p.Read(buf)
	w.say("peer reads", n, err)
	w.say("shut", c.(halves).CloseRead())
	n, err = c.Read(buf)
	w.say("read", n, err, c.Close(), c.Close(), c.(halves).CloseWrite())
	if tcp, ok := p.(interface {
		io.ReaderFrom
		io.WriterTo
	}); ok && c.LocalAddr().Network() == "tcp" {
		k, err := tcp.ReadFrom(io.MultiReader(strings.NewReader("abc"), failingReader{}))
		w.say("readfrom", k, err)
		p.SetReadDeadline(time.Unix(1, 0))
		k, err = tcp.WriteTo(io.Discard)
		w.say("writeto", k, err)
	}
	return nil
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("no more") }

// TestDialectPackets: errors of datagrams.
func TestDialectPackets(t *testing.T) {
	asPackageNet(t, func(w *way) error {
		p, err := w.listenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer p.Close()
		for _, to := range []net.Addr{
			nil, (*net.UDPAddr)(nil), &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, &net.IPAddr{IP: net.IPv4(127, 0, 0, 1)},
			&net.UDPAddr{IP: net.ParseIP("::1"), Port: 1}, &net.UDPAddr{IP: net.IP{1, 2}, Port: 1},
			&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.UDPAddr{Port: p.LocalAddr().(*net.UDPAddr).Port}, p.LocalAddr(),
		} {
			n, err := p.WriteTo([]byte("x"), to)
			w.say(fmt.Sprint("to ", to), n, err)
		}
		n, err := p.WriteTo(make([]byte, 70000), p.LocalAddr())
		w.say("long", n, err)
		n, err = p.(io.Writer).Write([]byte("x"))
		w.say("nowhere", n, err)
		n, err = p.(io.Reader).Read(nil)
		w.say("read nothing", n, err)
		for range 2 {
			n, from, err := p.ReadFrom(make([]byte, 2))
			w.say("read", n, from, err)
		}
		c, err := w.dial(bg, "udp", p.LocalAddr().String())
		if err != nil {
			return err
		}
		defer c.Close()
		n, err = c.(net.PacketConn).WriteTo([]byte("x"), p.LocalAddr())
		w.say("connected", n, err)
		n, oobn, err := c.(interface {
			WriteMsgUDP(b, oob []byte, to *net.UDPAddr) (n, oobn int, err error)
		}).WriteMsgUDP([]byte("x"), nil, p.LocalAddr().(*net.UDPAddr))
		w.say("connected", n, oobn, err)
		raw, err := w.listenPacket("ip4:253", "127.0.0.1")
		if errors.Is(err, os.ErrPermission) {
			return nil // package net may not
		}
		if err != nil {
			return err
		}
		defer raw.Close()
		for _, to := range []net.Addr{&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.IPAddr{IP: net.ParseIP("::1")}, &net.IPAddr{}} {
			n, err := raw.WriteTo([]byte("x"), to)
			w.say(fmt.Sprint("to ", to), n, err)
		}
		return nil
	})
}
