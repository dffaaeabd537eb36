//go:build linux

package interop

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"usersock/interop/netns"
	"usersock/sockapi"
	"usersock/tls"
)

// tlsPatience bounds each call of ours in these tests.
const tlsPatience = 30 * time.Second

// versions are those of TLS, with OpenSSL's flags for each alone.
var versions = []struct {
	name, flag string
	number     tls.TLSVersion
}{
	{"TLSv1", "-tls1", tls.TLSVersion_TLSv1},
	{"TLSv1.1", "-tls1_1", tls.TLSVersion_TLSv1_1},
	{"TLSv1.2", "-tls1_2", tls.TLSVersion_TLSv1_2},
	{"TLSv1.3", "-tls1_3", tls.TLSVersion_TLSv1_3},
}

// only narrows a context to one version.
func only(t *testing.T, ctx *tls.SSLContext, v tls.TLSVersion) {
	t.Helper()
	check(t, errors.Join(ctx.SetMinimumVersion(tls.TLSVersion_MINIMUM_SUPPORTED), ctx.SetMaximumVersion(v), ctx.SetMinimumVersion(v)))
}

// connectTLS connects a context of ours to a port of the kernel's. The error is
// the handshake's.
func connectTLS(t *testing.T, n *sockapi.Net, ctx *tls.SSLContext, port int, opts tls.WrapOptions) (*tls.SSLSocket, error) {
	t.Helper()
	plain, err := n.CreateConnection(sockapi.InetAddr{Host: kernel4, Port: port}, tlsPatience, nil)
	check(t, err)
	if opts.ServerHostname == "" && !opts.ServerSide {
		opts.ServerHostname = tlsName
	}
	s, err := ctx.WrapSocket(plain, opts)
	if err != nil {
		plain.Close()
		return nil, err
	}
	t.Cleanup(func() { s.Close() })
	return s, nil
}

// mustConnectTLS is connectTLS to a peer with which the handshake must work.
func mustConnectTLS(t *testing.T, n *sockapi.Net, ctx *tls.SSLContext, port int, opts tls.WrapOptions, peer *netns.Process) *tls.SSLSocket {
	t.Helper()
	s, err := connectTLS(t, n, ctx, port, opts)
	if err != nil {
		t.Fatalf("handshake: %v\n%s", err, peer.Printed())
	}
	return s
}

// listenTCP listens on a port of ours.
func listenTCP(t *testing.T, n *sockapi.Net, port int) *sockapi.Socket {
	t.Helper()
	l, err := n.CreateServer(sockapi.InetAddr{Host: ours4, Port: port}, sockapi.ServerConfig{})
	check(t, err)
	check(t, l.Settimeout(tlsPatience))
	t.Cleanup(func() { l.Close() })
	return l
}

// acceptTLS takes the next connection of a listening socket. The error is the
// handshake's.
func acceptTLS(t *testing.T, l *sockapi.Socket, ctx *tls.SSLContext, opts tls.WrapOptions, peer *netns.Process) (*tls.SSLSocket, error) {
	t.Helper()
	plain, _, err := l.Accept()
	if err != nil {
		t.Fatalf("accept: %v\n%s", err, peer.Printed())
	}
	check(t, plain.Settimeout(tlsPatience))
	opts.ServerSide = true
	s, err := ctx.WrapSocket(plain, opts)
	if err != nil {
		plain.Close()
		return nil, err
	}
	t.Cleanup(func() { s.Close() })
	return s, nil
}

func mustAcceptTLS(t *testing.T, l *sockapi.Socket, ctx *tls.SSLContext, opts tls.WrapOptions, peer *netns.Process) *tls.SSLSocket {
	t.Helper()
	s, err := acceptTLS(t, l, ctx, opts, peer)
	if err != nil {
		t.Fatalf("handshake: %v\n%s", err, peer.Printed())
	}
	return s
}

// say sends a line, hear wants the next bytes to be one.
func say(t *testing.T, s *tls.SSLSocket, line string, peer *netns.Process) {
	t.Helper()
	if err := s.Sendall([]byte(line + "\n")); err != nil {
		t.Fatalf("send %q: %v\n%s", line, err, peer.Printed())
	}
}

func hear(t *testing.T, s interface {
	Recv(int, ...int) ([]byte, error)
}, line string, peer *netns.Process) {
	t.Helper()
	want := line + "\n"
	for got := ""; got != want; {
		data, err := s.Recv(len(want) - len(got))
		got += string(data)
		if err != nil || len(data) == 0 || !strings.HasPrefix(want, got) {
			t.Fatalf("received %q and %v, want %q\n%s", got, err, want, peer.Printed())
		}
	}
}

// hearEnd wants the end of what the peer sends.
func hearEnd(t *testing.T, s interface {
	Recv(int, ...int) ([]byte, error)
}, peer *netns.Process) {
	t.Helper()
	if data, err := s.Recv(100); len(data) != 0 || err != nil {
		t.Fatalf("received %q and %v, want the end\n%s", data, err, peer.Printed())
	}
}

// unwrapTLS ends TLS on both sides, after which the peer closes the stream.
func unwrapTLS(t *testing.T, s *tls.SSLSocket, peer *netns.Process) {
	t.Helper()
	plain, err := s.Unwrap()
	if err != nil {
		t.Fatalf("unwrap: %v\n%s", err, peer.Printed())
	}
	hearEnd(t, plain, peer)
	check(t, plain.Close())
}

// wantSSLError wants an SSLError of a reason.
func wantSSLError(t *testing.T, err error, reason string, peer *netns.Process) {
	t.Helper()
	var e *tls.SSLError
	if !errors.As(err, &e) || e.Library != "SSL" || e.Reason != reason {
		t.Errorf("%T %v, want %s\n%s", err, err, reason, peer.Printed())
	}
}

// wantVerifyError wants the refusal of a certificate with one of OpenSSL's codes.
func wantVerifyError(t *testing.T, err error, code int, peer *netns.Process) {
	t.Helper()
	var e *tls.SSLCertVerificationError
	if !errors.As(err, &e) || e.VerifyCode != code {
		t.Errorf("%T %v, want the verify code %d\n%s", err, err, code, peer.Printed())
	}
}

func at(host string, port int) string { return fmt.Sprintf("%s:%d", host, port) }

// lineByLine starts a program that must not keep what it prints to itself.
func lineByLine(t *testing.T, name string, args ...string) *netns.Process {
	t.Helper()
	return netns.Talk(t, "stdbuf", append([]string{"-oL", name}, args...)...)
}

// sServer starts openssl s_server with an input that stays open, and waits until
// it listens.
func sServer(t *testing.T, port int, show pemPair, args ...string) *netns.Process {
	t.Helper()
	p := lineByLine(t, "openssl", append([]string{"s_server", "-accept", at(kernel4, port), "-cert", show.cert, "-key", show.key}, args...)...)
	p.Expect("ACCEPT")
	return p
}

// sClient starts openssl s_client towards a port of ours.
func sClient(t *testing.T, port int, ca *authority, args ...string) *netns.Process {
	t.Helper()
	return lineByLine(t, "openssl", append([]string{"s_client", "-connect", at(ours4, port), "-CAfile", ca.file, "-verify_return_error",
		"-verify_hostname", tlsName, "-servername", tlsName}, args...)...)
}
