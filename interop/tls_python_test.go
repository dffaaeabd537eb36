//go:build linux

package interop

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"usersock/interop/netns"
	"usersock/sockapi"
	"usersock/tls"
)

// A pythonPeer is the ssl module of Python on the kernel's side, in a dialogue of
// testdata/tls_peer.py. Our side has the other role.
type pythonPeer struct {
	*netns.Process
	n        *sockapi.Net
	ctx      *tls.SSLContext
	listener *sockapi.Socket // where Python is the client
}

// plain is the next connection, on which nothing is said yet.
func (p *pythonPeer) plain(t *testing.T) *sockapi.Socket {
	t.Helper()
	var s *sockapi.Socket
	var err error
	if p.listener != nil {
		s, _, err = p.listener.Accept()
	} else {
		s, err = p.n.CreateConnection(sockapi.InetAddr{Host: kernel4, Port: tlsPort}, tlsPatience, nil)
	}
	if err != nil {
		t.Fatalf("connect: %v\n%s", err, p.Printed())
	}
	check(t, s.Settimeout(tlsPatience))
	t.Cleanup(func() { s.Close() })
	return s
}

// wrap puts TLS on a connection.
func (p *pythonPeer) wrap(t *testing.T, s *sockapi.Socket, opts tls.WrapOptions) *tls.SSLSocket {
	t.Helper()
	if opts.ServerSide = p.listener != nil; !opts.ServerSide {
		opts.ServerHostname = tlsName
	}
	wrapped, err := p.ctx.WrapSocket(s, opts)
	if err != nil {
		t.Fatalf("wrap: %v\n%s", err, p.Printed())
	}
	t.Cleanup(func() { wrapped.Close() })
	return wrapped
}

// unwrap ends TLS; the connection goes on.
func (p *pythonPeer) unwrap(t *testing.T, s *tls.SSLSocket) *sockapi.Socket {
	t.Helper()
	plain, err := s.Unwrap()
	if err != nil {
		t.Fatalf("unwrap: %v\n%s", err, p.Printed())
	}
	t.Cleanup(func() { plain.Close() })
	return plain
}

func (p *pythonPeer) send(t *testing.T, s interface {
	Sendall([]byte, ...int) error
}, line string) {
	t.Helper()
	if err := s.Sendall([]byte(line + "\n")); err != nil {
		t.Fatalf("send %q: %v\n%s", line, err, p.Printed())
	}
}

// withPython runs a dialogue with Python as the server and as the client, in both
// versions that go on with sessions.
func withPython(t *testing.T, dialogue string, f func(t *testing.T, p *pythonPeer)) {
	netns.Need(t, "python3")
	n := host(t, "tun")
	ca := newAuthority(t, "root")
	show := ca.issue("ecdsa", tlsName)
	for _, v := range tickets {
		for _, role := range []string{"server", "client"} {
			t.Run(v.name+"/"+role, func(t *testing.T) {
				p := &pythonPeer{n: n, ctx: ca.client(t)}
				at := kernel4
				if role == "client" {
					p.ctx, p.listener, at = ca.server(t, show), listenTCP(t, n, tlsPort), ours4
				}
				only(t, p.ctx, v.number)
				p.Process = netns.Start(t, "python3", script("tls_peer.py"), dialogue, role, at, fmt.Sprint(tlsPort), ca.file, show.cert, show.key)
				if role == "server" {
					p.Expect("Listening")
				}
				f(t, p)
				p.Expect("done")
				p.Wait()
			})
		}
	}
}

// TestPythonStartTLS: plain, TLS, plain, TLS and plain again on one connection,
// with either side the first to unwrap.
func TestPythonStartTLS(t *testing.T) {
	withPython(t, "starttls", func(t *testing.T, p *pythonPeer) {
		plain := p.plain(t)
		hear(t, plain, "ready", p.Process)
		p.send(t, plain, "STARTTLS")
		hear(t, plain, "go ahead", p.Process)
		s := p.wrap(t, plain, tls.WrapOptions{ReportRaggedEOFs: true})
		p.Expect(s.Version())
		p.send(t, s, "secret")
		hear(t, s, "secret too", p.Process)
		hearEnd(t, s, p.Process) // they first
		plain = p.unwrap(t, s)
		p.send(t, plain, "plain again")
		hear(t, plain, "and TLS again", p.Process)
		s = p.wrap(t, plain, tls.WrapOptions{ReportRaggedEOFs: true})
		p.send(t, s, "secret again")
		hear(t, s, "your turn", p.Process)
		plain = p.unwrap(t, s) // we first
		p.send(t, plain, "the last")
		hear(t, plain, "bye", p.Process)
		hearEnd(t, plain, p.Process)
	})
}

// TestPythonGlued: close_notify with plain text right behind it, in one segment.
func TestPythonGlued(t *testing.T) {
	withPython(t, "glued", func(t *testing.T, p *pythonPeer) {
		plain := p.plain(t)
		s := p.wrap(t, plain, tls.WrapOptions{ReportRaggedEOFs: true})
		p.send(t, s, "secret")
		p.Expect("sent in one piece")
		hear(t, s, "secret too", p.Process)
		plain = p.unwrap(t, s)
		hear(t, plain, "plain again", p.Process)
		p.send(t, plain, "as said")
		p.Expect(`after close_notify b'as said\n'`)
		hearEnd(t, plain, p.Process)
	})
}

// TestPythonNonBlocking: neither side blocks, and a megabyte goes there and back.
func TestPythonNonBlocking(t *testing.T) {
	withPython(t, "nonblocking", func(t *testing.T, p *pythonPeer) {
		plain := p.plain(t)
		check(t, plain.Setblocking(false))
		s := p.wrap(t, plain, tls.WrapOptions{NoHandshakeOnConnect: true, ReportRaggedEOFs: true})
		// run calls until the call does not want to be called again.
		run := func(what string, call func() error) {
			t.Helper()
			for {
				err := call()
				events := 0
				switch {
				case err == nil:
					return
				case errors.Is(err, tls.SSLWantReadError):
					events = sockapi.POLLIN
				case errors.Is(err, tls.SSLWantWriteError):
					events = sockapi.POLLOUT
				default:
					t.Fatalf("%s: %v\n%s", what, err, p.Printed())
				}
				if got, err := s.Wait(events, tlsPatience); err != nil || got == 0 {
					t.Fatalf("%s: waited for %d: %d, %v\n%s", what, events, got, err, p.Printed())
				}
			}
		}
		run("handshake", s.DoHandshake)
		data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		for sent := 0; sent < len(data); {
			run("send", func() error {
				n, err := s.Send(data[sent:])
				sent += n
				return err
			})
		}
		p.Expect("received 1048576")
		var back []byte
		for len(back) < len(data) {
			run("recv", func() error {
				some, err := s.Recv(1 << 20)
				if err == nil && len(some) == 0 {
					t.Fatalf("the end after %d bytes\n%s", len(back), p.Printed())
				}
				back = append(back, some...)
				return err
			})
		}
		if !bytes.Equal(back, data) {
			t.Error("other bytes came back")
		}
		run("unwrap", func() (err error) {
			plain, err = s.Unwrap()
			return err
		})
		p.Expect("waited to read")
	})
}

// TestPythonSessions: three connections, each with the session of the one before.
func TestPythonSessions(t *testing.T) {
	withPython(t, "sessions", func(t *testing.T, p *pythonPeer) {
		var session *tls.SSLSession
		for round := range 3 {
			s := p.wrap(t, p.plain(t), tls.WrapOptions{ReportRaggedEOFs: true, Session: session})
			hear(t, s, "hello", p.Process)
			p.send(t, s, "hello")
			if s.SessionReused() != (round > 0) {
				t.Errorf("round %d: reused %v\n%s", round, s.SessionReused(), p.Printed())
			}
			p.Expect("reused " + map[bool]string{true: "True", false: "False"}[round > 0])
			session = s.Session()
			unwrapTLS(t, s, p.Process)
		}
	})
}

// TestPythonHalf: after the close_notify of one side the other goes on sending.
func TestPythonHalf(t *testing.T) {
	withPython(t, "half", func(t *testing.T, p *pythonPeer) {
		s := p.wrap(t, p.plain(t), tls.WrapOptions{ReportRaggedEOFs: true})
		p.send(t, s, "hello")
		check(t, s.Conn().CloseWrite())
		hear(t, s, "more", p.Process)
		hear(t, s, "and more", p.Process)
		hearEnd(t, s, p.Process)
		unwrapTLS(t, s, p.Process)

		s = p.wrap(t, p.plain(t), tls.WrapOptions{ReportRaggedEOFs: true})
		hear(t, s, "hello", p.Process)
		p.send(t, s, "hello")
		p.Expect("shut")
		hearEnd(t, s, p.Process)
		p.send(t, s, "more")
		p.send(t, s, "and more")
		unwrapTLS(t, s, p.Process)
	})
}

// TestPythonRagged: an end without close_notify from either side, told and
// suppressed.
func TestPythonRagged(t *testing.T) {
	withPython(t, "ragged", func(t *testing.T, p *pythonPeer) {
		begin := func(report bool) *tls.SSLSocket {
			t.Helper()
			s := p.wrap(t, p.plain(t), tls.WrapOptions{ReportRaggedEOFs: report})
			hear(t, s, "hello", p.Process)
			p.send(t, s, "hello")
			p.Expect("got hello")
			return s
		}
		hearEnd(t, begin(false), p.Process)
		raggedEnd(t, begin(true), p.Process)
		check(t, begin(true).Close())
		p.Expect("end b''")
		check(t, begin(true).Close())
		p.Expect("ragged end")
	})
}
