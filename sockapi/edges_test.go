package sockapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"testing"
	"time"

	. "usersock/sockapi"
	"usersock/stack/endpoint"
)

// TestLargeRecvFailsAtOnce: a receive that can never succeed does not wait,
// however large its buffer.
func TestLargeRecvFailsAtOnce(t *testing.T) {
	a, b := hosts(t)
	client, _ := connected(t, a, b, InetAddr{"192.0.2.2", 0})
	l := listener(t, b, InetAddr{"192.0.2.2", 0})
	ul := open(t, a, AF_UNIX, SOCK_STREAM)
	check(t, ul.Bind(UnixAddr{"\x00l"}))
	check(t, ul.Listen(1))
	p, _ := pair(t, a, SOCK_STREAM)
	for _, c := range []struct {
		name  string
		s     *Socket
		flags int
		want  endpoint.Errno
	}{
		{"urgent data", client, MSG_OOB, endpoint.EINVAL},
		{"listener", l, 0, endpoint.ENOTCONN},
		{"unix listener", ul, 0, endpoint.EINVAL},
		{"unix urgent data", p, MSG_OOB, endpoint.EINVAL},
	} {
		for _, n := range []int{1, 1 << 20} {
			check(t, c.s.Settimeout(10*time.Second))
			if _, err := c.s.Recv(n, c.flags); !errors.Is(err, c.want) {
				t.Errorf("%s, %d bytes: %v, want %v", c.name, n, err, c.want)
			}
		}
	}
}

// TestHugeRecv: a receive of more bytes than there is memory for takes what
// there is.
func TestHugeRecv(t *testing.T) {
	a, b := hosts(t)
	kinds := []func() (*Socket, *Socket){
		func() (*Socket, *Socket) { return connected(t, a, b, InetAddr{"192.0.2.2", 0}) },
		func() (*Socket, *Socket) { return pair(t, a, SOCK_STREAM) },
		func() (*Socket, *Socket) { return pair(t, a, SOCK_DGRAM) },
		func() (*Socket, *Socket) { return pair(t, a, SOCK_SEQPACKET) },
	}
	for _, make := range kinds {
		x, y := make()
		for _, flags := range []int{0, MSG_DONTWAIT, MSG_WAITALL, MSG_TRUNC, MSG_OOB, MSG_ERRQUEUE} {
			if _, err := y.Send([]byte("abc")); err != nil {
				t.Fatal(err)
			}
			if _, err := x.Wait(POLLIN, Forever); err != nil {
				t.Fatal(err)
			}
			name, stream := fmt.Sprintf("family %d, type %d, flags %#x", x.Family(), x.Type(), flags), x.Type() == SOCK_STREAM
			check(t, x.Settimeout(Forever))
			if flags == MSG_WAITALL && stream {
				check(t, x.Settimeout(time.Millisecond))
			}
			data, err := x.Recv(math.MaxInt, flags)
			switch {
			case err != nil && flags&(MSG_OOB|MSG_ERRQUEUE) == 0:
				t.Errorf("%s: %v", name, err)
			case err == nil && string(data) != "abc" && !(stream && flags == MSG_TRUNC):
				t.Errorf("%s: %q", name, data)
			case err != nil:
				if _, _, _, _, err = x.Recvmsg(math.MaxInt, 0); err != nil {
					t.Errorf("%s: recvmsg: %v", name, err)
				}
			}
		}
	}
}

// TestDeadlineBeyondCounting: a deadline that is farther than a Duration
// reaches is no deadline, and not one that has passed.
func TestDeadlineBeyondCounting(t *testing.T) {
	a, b := pair(t, host(t), SOCK_STREAM)
	c := a.Conn()
	for _, at := range []time.Time{time.Unix(1<<40, 0), time.Now().Add(math.MaxInt64)} {
		check(t, c.SetDeadline(at))
		sendText(t, b, "x")
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Errorf("deadline %v: %v", at, err)
		}
	}
}

// TestSeqpacketEnd: the end of a SOCK_SEQPACKET connection is io.EOF, as with
// package net.
func TestSeqpacketEnd(t *testing.T) {
	n := host(t)
	for name, read := range map[string]func(*Socket, []byte) error{
		"Conn":       func(s *Socket, p []byte) error { _, err := s.Conn().Read(p); return err },
		"PacketConn": func(s *Socket, p []byte) error { _, err := s.PacketConn().Read(p); return err },
		"ReadFrom":   func(s *Socket, p []byte) error { _, _, err := s.PacketConn().ReadFrom(p); return err },
	} {
		a, b := pair(t, n, SOCK_SEQPACKET)
		check(t, b.Close())
		if err := read(a, make([]byte, 8)); err != io.EOF {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBlockingSendtoTakesAll: on a stream in blocking mode sendto goes on
// until everything is taken, as send does.
func TestBlockingSendtoTakesAll(t *testing.T) {
	a, b := hosts(t)
	client, server := connected(t, a, b, InetAddr{"192.0.2.2", 0})
	peer, err := client.Getpeername()
	check(t, err)
	const size = 32 << 20
	got := make(chan int64, 1)
	go func() {
		n, _ := io.Copy(io.Discard, server.Conn())
		got <- n
	}()
	n, err := client.Sendto(make([]byte, size), peer)
	if n != size || err != nil {
		t.Errorf("sendto took %d of %d: %v", n, size, err)
	}
	check(t, client.Close())
	if n := <-got; n != size {
		t.Errorf("%d of %d bytes came", n, size)
	}
}

// TestContextCause: a dial that its context ended shows the cause, and is
// still the context's error.
func TestContextCause(t *testing.T) {
	n := host(t)
	why := errors.New("enough")
	canceled, cancel := context.WithCancelCause(bg)
	cancel(why)
	late, stop := context.WithDeadlineCause(bg, time.Unix(1, 0), why)
	defer stop()
	for ctx, want := range map[context.Context]error{canceled: context.Canceled, late: context.DeadlineExceeded} {
		_, err := n.DialContext(ctx, "tcp", "127.0.0.1:1")
		var ne net.Error
		if !errors.Is(err, why) || !errors.Is(err, want) || !errors.As(err, &ne) || ne.Timeout() != (want == context.DeadlineExceeded) {
			t.Errorf("%v: %v", want, err)
		}
	}
}

// TestConnectJoins: connect in blocking mode waits for the attempt that a
// non-blocking one began.
func TestConnectJoins(t *testing.T) {
	a, b := hosts(t)
	l := listener(t, b, InetAddr{"192.0.2.2", 0})
	name, err := l.Getsockname()
	check(t, err)
	for range 50 {
		s := open(t, a, AF_INET, SOCK_STREAM)
		check(t, s.Setblocking(false))
		if err := s.Connect(name); !errors.Is(err, endpoint.EINPROGRESS) {
			t.Fatal(err)
		}
		check(t, s.Setblocking(true))
		check(t, s.Connect(name))
		if err := s.Connect(name); !errors.Is(err, endpoint.EISCONN) {
			t.Errorf("once more: %v", err)
		}
		c, _, err := l.Accept()
		check(t, err)
		check(t, c.Close())
	}
}

// TestWaitallLeavesTheError: an error behind some bytes is the next call's.
func TestWaitallLeavesTheError(t *testing.T) {
	a, b := hosts(t)
	client, server := connected(t, a, b, InetAddr{"192.0.2.2", 0})
	sendText(t, server, "part")
	_, err := client.Recv(4, MSG_PEEK)
	check(t, err)
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result)
	go func() {
		data, err := client.Recv(100, MSG_WAITALL)
		done <- result{data, err}
	}()
	// The bytes are out of the queue once the receiver has taken them.
	for {
		if ev, err := client.Wait(POLLIN, 0); err == nil && ev == 0 {
			break
		}
	}
	check(t, server.SetsockoptBytes(SOL_SOCKET, SO_LINGER, []byte{1, 0, 0, 0, 0, 0, 0, 0}))
	check(t, server.Close())
	if r := <-done; string(r.data) != "part" || r.err != nil {
		t.Fatalf("%q, %v", r.data, r.err)
	}
	if _, err := client.Recv(1); !errors.Is(err, endpoint.ECONNRESET) {
		t.Errorf("the next call: %v", err)
	}
}

// TestListenForms: the addresses that net.Listen takes for "everything".
func TestListenForms(t *testing.T) {
	n := host(t)
	for _, address := range []string{"", ":0", "[::]:0"} {
		l, err := n.Listen("tcp", address)
		check(t, err)
		_, port, _ := net.SplitHostPort(l.Addr().String())
		for _, host := range []string{"127.0.0.1", "::1"} {
			c, err := n.Dial("tcp", net.JoinHostPort(host, port))
			if err != nil {
				t.Errorf("listening on %q: %v", address, err)
				continue
			}
			check(t, c.Close())
		}
		check(t, l.Close())
	}
	l, err := n.Listen("tcp", "localhost:0")
	check(t, err)
	defer l.Close()
	if ip := l.Addr().(*net.TCPAddr).IP; !ip.Equal(net.IPv4(127, 0, 0, 1)) {
		t.Errorf("localhost is %v", ip)
	}
}

// TestWriteToNoIP: a UDP address without IP is this host.
func TestWriteToNoIP(t *testing.T) {
	n := host(t)
	for _, network := range []string{"udp4", "udp6"} {
		p, err := n.ListenPacket(network, ":0")
		check(t, err)
		defer p.Close()
		_, err = p.WriteTo([]byte("x"), &net.UDPAddr{Port: p.LocalAddr().(*net.UDPAddr).Port})
		if err != nil {
			t.Errorf("%s: %v", network, err)
			continue
		}
		check(t, p.SetReadDeadline(time.Now().Add(10*time.Second)))
		if _, _, err := p.ReadFrom(make([]byte, 8)); err != nil {
			t.Errorf("%s: %v", network, err)
		}
	}
}

// TestCloseWithLingerAtOnce: where there is nothing to deliver, a lingering
// close does not wait.
func TestCloseWithLingerAtOnce(t *testing.T) {
	a, b := hosts(t)
	l := listener(t, b, InetAddr{"192.0.2.2", 0})
	fresh := open(t, a, AF_INET, SOCK_STREAM)
	unix, _ := pair(t, a, SOCK_STREAM)
	for name, s := range map[string]*Socket{"listener": l, "fresh": fresh, "unix": unix} {
		check(t, s.SetsockoptBytes(SOL_SOCKET, SO_LINGER, []byte{1, 0, 0, 0, 60, 0, 0, 0}))
		n, begun := s.Net(), time.Now()
		check(t, n.CloseFd(s.Fileno()))
		if d := time.Since(begun); d > 30*time.Second {
			t.Errorf("%s: %v", name, d)
		}
	}
}

// TestFromfdLies: a Socket that claims to be of another family or type has the
// adapters of what it is.
func TestFromfdLies(t *testing.T) {
	n := host(t)
	for _, typ := range []int{SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_RAW} {
		s := open(t, n, AF_UNIX, typ)
		for _, claim := range [][2]int{{AF_UNIX, -1}, {AF_UNIX, SOCK_RDM}, {AF_INET, SOCK_STREAM}, {math.MinInt, math.MinInt}} {
			lying, err := n.Fromfd(s.Fileno(), claim[0], claim[1], 0)
			check(t, err)
			want := map[int]string{SOCK_STREAM: "unix", SOCK_SEQPACKET: "unixpacket"}[typ]
			if want == "" {
				want = "unixgram"
			}
			if got := lying.Conn().LocalAddr().Network(); got != want {
				t.Errorf("type %d, which claims %v: %s", typ, claim, got)
			}
			check(t, lying.Close())
		}
	}
}

// TestUnlinkOnClose: the path of a listener goes with it, unless it is told to
// stay.
func TestUnlinkOnClose(t *testing.T) {
	n := host(t)
	for _, stays := range []bool{false, true} {
		l, err := n.Listen("unix", "/l")
		check(t, err)
		if stays {
			l.(*Listener).SetUnlinkOnClose(false)
		}
		check(t, l.Close())
		again, err := n.Listen("unix", "/l")
		if (err != nil) != stays {
			t.Errorf("stays %v: %v", stays, err)
		}
		if err == nil {
			check(t, again.Close())
		}
	}
}

// TestDialBroadcast: sockets of datagrams of the Go dialect may send to all, as
// those of package net.
func TestDialBroadcast(t *testing.T) {
	a, b := hosts(t)
	p := listenPacket(t, b, "udp4", "0.0.0.0:9")
	c, err := a.Dial("udp", "192.0.2.255:9")
	check(t, err)
	defer c.Close()
	_, err = c.Write([]byte("all"))
	check(t, err)
	buf := make([]byte, 32)
	check(t, p.SetReadDeadline(time.Now().Add(10*time.Second)))
	if n, _, err := p.ReadFrom(buf); string(buf[:n]) != "all" || err != nil {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

// TestLingerBeyondCounting: a time that is no C int is as long as one holds.
func TestLingerBeyondCounting(t *testing.T) {
	a, b := hosts(t)
	client, _ := connected(t, a, b, InetAddr{"192.0.2.2", 0})
	check(t, client.Conn().SetLinger(math.MaxInt))
	value, err := client.GetsockoptBytes(SOL_SOCKET, SO_LINGER, 8)
	check(t, err)
	if on, d, err := endpoint.Linger(value); !on || d < time.Hour || err != nil {
		t.Errorf("lingers %v for %v, %v", on, d, err)
	}
	check(t, client.Conn().SetLinger(-1))
}
