package tls

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"usersock/sockapi"
	"usersock/stack/endpoint"
)

// TestSocket: both ends, every version, all calls that move bytes.
func TestSocket(t *testing.T) {
	cn, sn := world(t)
	cctx, sctx := usual(t)
	for _, c := range []*SSLContext{cctx, sctx} {
		if err := c.SetCiphers("ALL:@SECLEVEL=0"); err != nil {
			t.Fatal(err)
		}
		c.SetMinimumVersion(TLSVersion_TLSv1)
	}
	for version, name := range map[TLSVersion]string{TLSVersion_TLSv1: "TLSv1", TLSVersion_TLSv1_1: "TLSv1.1", TLSVersion_TLSv1_2: "TLSv1.2", TLSVersion_TLSv1_3: "TLSv1.3"} {
		cctx.SetMaximumVersion(version)
		a, b := pair(t, cn, sn)
		c, s := wrap(t, cctx, sctx, a, b)
		if a.Fileno() != -1 {
			t.Error("the socket still has its descriptor")
		}
		if c.Version() != name || s.Version() != name || c.Cipher() == nil || *c.Cipher() != *s.Cipher() {
			t.Errorf("%s: versions %q, %q, ciphers %v, %v", name, c.Version(), s.Version(), c.Cipher(), s.Cipher())
		}
		cert, err := c.Getpeercert()
		if err != nil || len(cert.SubjectAltName) != 2 || cert.Subject[0][0].Value != "server.example" {
			t.Errorf("peer's certificate %+v, %v", cert, err)
		}
		if cert, err := s.Getpeercert(); cert != nil || err != nil {
			t.Errorf("the client's certificate: %v, %v", cert, err)
		}
		if len(c.GetVerifiedChain()) != 2 || len(c.GetUnverifiedChain()) != 1 {
			t.Errorf("chains of %d and %d", len(c.GetVerifiedChain()), len(c.GetUnverifiedChain()))
		}
		if len(s.SharedCiphers()) == 0 || c.SharedCiphers() != nil {
			t.Error("shared ciphers:", s.SharedCiphers(), c.SharedCiphers())
		}
		// More than the buffers of both ends hold.
		big := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
		sent := make(chan error)
		go func() { sent <- c.Sendall(big) }()
		var got []byte
		for len(got) < len(big) {
			data, err := s.Recv(100000)
			if err != nil || len(data) == 0 {
				t.Fatal(len(got), err)
			}
			got = append(got, data...)
		}
		if err := <-sent; err != nil || !bytes.Equal(got, big) {
			t.Fatal("other bytes", err)
		}
		// Parts of a record wait without the socket.
		if n, err := s.Send([]byte("hello")); n != 5 || err != nil {
			t.Fatal(n, err)
		}
		if version == TLSVersion_TLSv1 { // crypto/tls sends the first byte in a record of its own
			unwrapAfter(t, c, s, 5)
			continue
		}
		if data, err := c.Read(2); string(data) != "he" || err != nil || c.Pending() != 3 {
			t.Fatalf("%q, %v, %d pending", data, err, c.Pending())
		}
		buf := make([]byte, 10)
		if n, err := c.RecvInto(buf, 1); n != 1 || err != nil || buf[0] != 'l' {
			t.Fatal(n, err)
		}
		if n, err := c.RecvInto(buf, 0); n != 2 || err != nil || c.Pending() != 0 {
			t.Fatal(n, err)
		}
		if n, err := s.Sendfile(strings.NewReader("a file"), 2, -1); n != 4 || err != nil {
			t.Fatal(n, err)
		}
		if data, err := c.Recv(100); string(data) != "file" || err != nil {
			t.Fatalf("%q, %v", data, err)
		}
		unwrapBoth(t, c, s)
	}
}

func unwrapAfter(t *testing.T, c, s *SSLSocket, left int) {
	t.Helper()
	for left > 0 {
		data, err := c.Recv(left)
		if err != nil {
			t.Fatal(err)
		}
		left -= len(data)
	}
	unwrapBoth(t, c, s)
}

// unwrapBoth ends TLS on both ends and goes on in plain text.
func unwrapBoth(t *testing.T, c, s *SSLSocket) {
	t.Helper()
	done := make(chan error)
	go func() {
		plain, err := s.Unwrap()
		if err == nil {
			err = plain.Sendall([]byte("plain text of the server"))
		}
		done <- err
	}()
	plain, err := c.Unwrap()
	if err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if data, err := plain.Recv(100); string(data) != "plain text of the server" || err != nil {
		t.Fatalf("%q, %v", data, err)
	}
	// The SSLSocket is the socket now.
	if err := c.Sendall([]byte("and of the client")); err != nil {
		t.Fatal(err)
	}
	if data, err := s.Recv(100); string(data) != "and of the client" || err != nil {
		t.Fatalf("%q, %v", data, err)
	}
	if _, err := c.Read(1); !errors.Is(err, endpoint.EINVAL) {
		t.Fatal("read after unwrap:", err)
	}
	if _, err := c.Unwrap(); !errors.Is(err, endpoint.EINVAL) {
		t.Fatal("a second unwrap:", err)
	}
}

// TestSocketNonblocking: no call waits, from the handshake to the end.
func TestSocketNonblocking(t *testing.T) {
	cn, sn := world(t)
	cctx, sctx := usual(t)
	a, b := pair(t, cn, sn)
	a.Setblocking(false)
	b.Setblocking(false)
	if _, err := cctx.WrapSocket(a, WrapOptions{ServerHostname: "server.example"}); !errors.Is(err, endpoint.EINVAL) {
		t.Fatal("a handshake on a non-blocking socket:", err)
	}
	c := must(cctx.WrapSocket(a, WrapOptions{ServerHostname: "server.example", NoHandshakeOnConnect: true}))(t)
	s := must(sctx.WrapSocket(b, WrapOptions{ServerSide: true, NoHandshakeOnConnect: true}))(t)
	if _, err := c.Getpeercert(); !errors.Is(err, endpoint.EINVAL) || c.Version() != "" || c.Cipher() != nil {
		t.Fatal("before the handshake:", err)
	}
	if err := s.DoHandshake(); !errors.Is(err, SSLWantReadError) || errors.Is(err, SSLWantWriteError) {
		t.Fatal(err)
	}
	turnwise(t, func(x *SSLSocket) error { return x.DoHandshake() }, c, s)
	if _, err := s.Recv(10); !errors.Is(err, SSLWantReadError) {
		t.Fatal("nothing to read:", err)
	}
	// Fill the way until a write would wait; then all of it comes out.
	data := bytes.Repeat([]byte("x"), 1<<24)
	sent, got := 0, 0
	for {
		n, err := c.Send(data[sent:])
		if sent += n; errors.Is(err, SSLWantWriteError) {
			break
		}
		if err != nil || sent == len(data) {
			t.Fatal(sent, err)
		}
	}
	for got < len(data) {
		if sent < len(data) { // the same bytes again
			n, err := c.Send(data[sent:])
			if sent += n; err != nil && !errors.Is(err, SSLWantWriteError) {
				t.Fatal(err)
			}
		}
		part, err := s.Recv(1 << 16)
		got += len(part)
		if errors.Is(err, SSLWantReadError) {
			must(s.Wait(sockapi.POLLIN, time.Minute))(t)
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if got != len(data) || sent != len(data) {
		t.Fatalf("%d bytes of %d", got, sent)
	}
	turnwise(t, func(x *SSLSocket) error { _, err := x.Unwrap(); return err }, c, s)
}

// turnwise calls f on both sockets until both succeed.
func turnwise(t *testing.T, f func(*SSLSocket) error, list ...*SSLSocket) {
	t.Helper()
	for left := list; len(left) > 0; {
		var again []*SSLSocket
		for _, x := range left {
			switch err := f(x); {
			case errors.Is(err, SSLWantReadError):
				again = append(again, x)
			case err != nil:
				t.Fatal(err)
			}
		}
		if len(again) == len(left) && len(again) == 1 {
			must(again[0].Wait(sockapi.POLLIN, time.Minute))(t)
		}
		left = again
	}
}

// TestSocketTimeout: a handshake that times out goes on; reads and writes time
// out with CPython's words.
func TestSocketTimeout(t *testing.T) {
	cn, sn := world(t)
	cctx, sctx := usual(t)
	a, b := pair(t, cn, sn)
	a.Settimeout(time.Millisecond)
	c := must(cctx.WrapSocket(a, WrapOptions{ServerHostname: "server.example", NoHandshakeOnConnect: true}))(t)
	err := c.DoHandshake()
	if !errors.Is(err, sockapi.ErrTimeout) || !errors.Is(err, os.ErrDeadlineExceeded) || !strings.Contains(err.Error(), "The handshake operation timed out") {
		t.Fatal(err)
	}
	done := make(chan *SSLSocket)
	go func() {
		s, _ := sctx.WrapSocket(b, WrapOptions{ServerSide: true})
		done <- s
	}()
	c.Settimeout(sockapi.Forever)
	if err := c.DoHandshake(); err != nil {
		t.Fatal(err)
	}
	s := <-done
	c.Settimeout(time.Millisecond)
	if _, err := c.Recv(1); !errors.Is(err, sockapi.ErrTimeout) || !strings.Contains(err.Error(), "The read operation timed out") {
		t.Fatal(err)
	}
	for {
		if _, err = c.Send(make([]byte, 1<<20)); err != nil {
			break
		}
	}
	if !errors.Is(err, sockapi.ErrTimeout) || !strings.Contains(err.Error(), "The write operation timed out") {
		t.Fatal(err)
	}
	s.Close()
}

// TestSocketUnconnected: wrapped first, connected later; a listening socket.
func TestSocketUnconnected(t *testing.T) {
	cn, sn := world(t)
	cctx, sctx := usual(t)
	l := must(sn.Socket(endpoint.AF_INET, endpoint.SOCK_STREAM, 0))(t)
	if err := errors.Join(l.Bind(sockapi.InetAddr{Host: "192.0.2.2"}), l.Listen(5)); err != nil {
		t.Fatal(err)
	}
	addr := must(l.Getsockname())(t)
	sl := must(sctx.WrapSocket(l, WrapOptions{ServerSide: true}))(t)
	defer sl.Close()
	if err := sl.Connect(addr); !errors.Is(err, endpoint.EINVAL) {
		t.Fatal("connect of a server:", err)
	}
	served := make(chan error)
	go func() {
		for range 2 {
			s, from, err := sl.Accept()
			if err == nil {
				defer s.Close()
				_, err = s.Send([]byte("hello " + from.(sockapi.InetAddr).Host))
			}
			served <- err
		}
	}()
	for i := range 2 {
		plain := must(cn.Socket(endpoint.AF_INET, endpoint.SOCK_STREAM, 0))(t)
		c := must(cctx.WrapSocket(plain, WrapOptions{ServerHostname: "server.example"}))(t)
		defer c.Close()
		if err := c.DoHandshake(); !errors.Is(err, endpoint.ENOTCONN) {
			t.Fatal(err)
		}
		if _, err := c.Send([]byte("x")); !errors.Is(err, endpoint.EPIPE) && !errors.Is(err, endpoint.ENOTCONN) {
			t.Fatal("plain send without a connection:", err)
		}
		if i == 0 {
			if err := c.Connect(addr); err != nil {
				t.Fatal(err)
			}
		} else if errno, err := c.ConnectEx(addr); errno != 0 || err != nil {
			t.Fatal(errno, err)
		}
		if err := c.Connect(addr); !errors.Is(err, endpoint.EINVAL) {
			t.Fatal("connected twice:", err)
		}
		if err := <-served; err != nil {
			t.Fatal(err)
		}
		if data, err := c.Recv(100); string(data) != "hello 192.0.2.1" || err != nil {
			t.Fatalf("%q, %v", data, err)
		}
	}
	// Nobody listens there.
	c := must(cctx.WrapSocket(must(cn.Socket(endpoint.AF_INET, endpoint.SOCK_STREAM, 0))(t), WrapOptions{ServerHostname: "server.example"}))(t)
	defer c.Close()
	if errno, err := c.ConnectEx(sockapi.InetAddr{Host: "192.0.2.2", Port: 9}); errno != endpoint.ECONNREFUSED || err != nil {
		t.Fatal(errno, err)
	}
}

// TestSocketEnds: close_notify, an end without it, a reset, and our own close
// while others wait.
func TestSocketEnds(t *testing.T) {
	cn, sn := world(t)
	cctx, sctx := usual(t)
	open := func(opts WrapOptions) (*SSLSocket, *SSLSocket) {
		a, b := pair(t, cn, sn)
		s := make(chan *SSLSocket)
		go func() {
			x, _ := sctx.WrapSocket(b, WrapOptions{ServerSide: true})
			s <- x
		}()
		opts.ServerHostname = "server.example"
		c := must(cctx.WrapSocket(a, opts))(t)
		return c, <-s
	}
	c, s := open(WrapOptions{})
	s.Close()
	if data, err := c.Recv(10); len(data) != 0 || err != nil {
		t.Error("suppressed ragged end:", data, err)
	}
	c.Close()

	c, s = open(WrapOptions{ReportRaggedEOFs: true})
	s.Close()
	if _, err := c.Recv(10); !errors.Is(err, SSLEOFError) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("ragged end:", err)
	}
	c.Close()

	c, s = open(WrapOptions{ReportRaggedEOFs: true})
	s.Conn().Close()
	if data, err := c.Recv(10); len(data) != 0 || err != nil {
		t.Error("close_notify:", data, err)
	}
	if _, err := c.Unwrap(); err != nil {
		t.Error("unwrap after the peer's end:", err)
	}
	c.Close()

	c, s = open(WrapOptions{})
	s.Close()
	if _, err := c.Unwrap(); !errors.Is(err, SSLEOFError) {
		t.Error("unwrap without the peer's close_notify:", err)
	}
	c.Close()

	c, s = open(WrapOptions{})
	var linger [8]byte
	linger[0] = 1
	if err := s.SetsockoptBytes(endpoint.SOL_SOCKET, endpoint.SO_LINGER, linger[:]); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := c.Recv(10); !errors.Is(err, endpoint.ECONNRESET) {
		t.Error("reset:", err)
	}
	c.Close()

	c, s = open(WrapOptions{})
	errs := make(chan error)
	for range 2 { // one that reads, and one that waits for its turn
		go func() {
			_, err := c.Recv(10)
			errs <- err
		}()
	}
	for c.tls.Load().e.reading.try() {
		c.tls.Load().e.reading.give()
	}
	c.Close()
	for range 2 {
		if err := <-errs; !errors.Is(err, net.ErrClosed) || !errors.Is(err, endpoint.EBADF) {
			t.Error("closed while blocked:", err)
		}
	}
	if _, err := c.Send([]byte("x")); !errors.Is(err, net.ErrClosed) || !errors.Is(err, endpoint.EBADF) {
		t.Error("closed:", err)
	}
	if c.Close() != nil {
		t.Error("closed twice")
	}
	s.Close()
}

// TestSocketRefused: what TLS has no place for. Every method that the embedded
// socket lends must be known here, or bytes could pass TLS by.
func TestSocketRefused(t *testing.T) {
	cn, sn := world(t)
	cctx, sctx := usual(t)
	a, b := pair(t, cn, sn)
	c, _ := wrap(t, cctx, sctx, a, b)
	addr := sockapi.InetAddr{Host: "192.0.2.2", Port: 9}
	for name, call := range map[string]func() error{
		"recv with flags":      func() error { _, err := c.Recv(1, endpoint.MSG_PEEK); return err },
		"recv_into with flags": func() error { _, err := c.RecvInto(make([]byte, 1), 0, endpoint.MSG_PEEK); return err },
		"send with flags":      func() error { _, err := c.Send(nil, endpoint.MSG_DONTWAIT); return err },
		"sendall with flags":   func() error { return c.Sendall(nil, endpoint.MSG_DONTWAIT) },
		"sendto":               func() error { _, err := c.Sendto(nil, addr); return err },
		"recvfrom":             func() error { _, _, err := c.Recvfrom(1); return err },
		"recvfrom_into":        func() error { _, _, err := c.RecvfromInto(nil, 0); return err },
	} {
		if err := call(); !errors.Is(err, endpoint.EINVAL) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, call := range map[string]func() error{
		"sendmsg":      func() error { _, err := c.Sendmsg(nil, nil, 0, nil); return err },
		"sendmmsg":     func() error { _, err := c.Sendmmsg(nil); return err },
		"recvmsg":      func() error { _, _, _, _, err := c.Recvmsg(1, 1); return err },
		"recvmsg_into": func() error { _, _, _, _, err := c.RecvmsgInto(nil, 1); return err },
		"recvmmsg":     func() error { _, err := c.Recvmmsg(nil, 0); return err },
		"send_fds":     func() error { _, err := c.SendFds(nil, nil, 0, nil); return err },
		"recv_fds":     func() error { _, _, _, _, err := c.RecvFds(1, 1); return err },
		"dup":          func() error { _, err := c.Dup(); return err },
		"makefile":     func() error { _, err := c.Makefile("r", 0); return err },
	} {
		if err := call(); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	lent := map[string]bool{"Bind": true, "Family": true, "Fcntl": true, "Fileno": true, "Getblocking": true, "Getpeername": true,
		"Getsockname": true, "Getsockopt": true, "GetsockoptBytes": true, "GetsockoptInto": true, "Gettimeout": true, "Ioctl": true, "Listen": true, "Net": true,
		"Proto": true, "Setblocking": true, "Setsockopt": true, "SetsockoptBytes": true, "SetsockoptNone": true, "Settimeout": true,
		"Type": true, "Wait": true}
	own, err := declared("SSLSocket")
	if err != nil {
		t.Fatal(err)
	}
	for m := range reflect.TypeFor[*sockapi.Socket]().Methods() {
		if lent[m.Name] == own[m.Name] {
			t.Errorf("method %s of the socket: lent %v, own %v", m.Name, lent[m.Name], own[m.Name])
		}
	}
}

// TestSocketArguments: combinations that wrap_socket refuses before any effect.
func TestSocketArguments(t *testing.T) {
	cn, sn := world(t)
	cctx, sctx := usual(t)
	a, b := pair(t, cn, sn)
	for name, call := range map[string]func() (*SSLSocket, error){
		"server with a name": func() (*SSLSocket, error) {
			return sctx.WrapSocket(b, WrapOptions{ServerSide: true, ServerHostname: "x"})
		},
		"no name to check": func() (*SSLSocket, error) { return cctx.WrapSocket(a, WrapOptions{}) },
		"leading dot":      func() (*SSLSocket, error) { return cctx.WrapSocket(a, WrapOptions{ServerHostname: ".x"}) },
		"not ASCII":        func() (*SSLSocket, error) { return cctx.WrapSocket(a, WrapOptions{ServerHostname: "bücher.example"}) },
		"client's context on a server": func() (*SSLSocket, error) {
			return cctx.WrapSocket(b, WrapOptions{ServerSide: true})
		},
		"server's context on a client": func() (*SSLSocket, error) {
			return sctx.WrapSocket(a, WrapOptions{ServerHostname: "x"})
		},
		"server's session": func() (*SSLSocket, error) {
			return sctx.WrapSocket(b, WrapOptions{ServerSide: true, Session: new(SSLSession)})
		},
		"another context's": func() (*SSLSocket, error) {
			return cctx.WrapSocket(a, WrapOptions{ServerHostname: "x", Session: new(SSLSession)})
		},
		"module: no certificate":   func() (*SSLSocket, error) { return WrapSocket(b, WrapConfig{ServerSide: true}) },
		"module: key alone":        func() (*SSLSocket, error) { return WrapSocket(a, WrapConfig{Keyfile: "x"}) },
		"module: nothing to trust": func() (*SSLSocket, error) { return WrapSocket(a, WrapConfig{CertReqs: CERT_REQUIRED}) },
	} {
		if _, err := call(); !errors.Is(err, endpoint.EINVAL) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d := must(cn.Socket(endpoint.AF_INET, endpoint.SOCK_DGRAM, 0))(t)
	defer d.Close()
	if _, err := cctx.WrapSocket(d, WrapOptions{ServerHostname: "x"}); !errors.Is(err, errors.ErrUnsupported) {
		t.Error("a datagram socket:", err)
	}
	if a.Fileno() < 0 || b.Fileno() < 0 || d.Fileno() < 0 {
		t.Error("a refused call took the socket")
	}
}
