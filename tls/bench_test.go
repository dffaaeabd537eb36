package tls

import (
	"crypto/tls"
	"errors"
	"io"
	"testing"

	"usersock/sockapi"
)

// The same work over a SSLSocket, over a Conn, and over tls.Conn straight on the
// same kind of socket.

// stacks are the ways to put TLS on a pair of sockets; both ends have shaken
// hands.
func stacks(b *testing.B) map[string]func(c, s *sockapi.Socket) (io.ReadWriteCloser, io.ReadWriteCloser) {
	cctx, sctx := usual(b)
	ccfg, scfg := must(cctx.Config("server.example"))(b), must(sctx.Config(""))(b)
	both := func(c, s interface{ Handshake() error }) {
		done := make(chan error)
		go func() { done <- s.Handshake() }()
		if err := errors.Join(c.Handshake(), <-done); err != nil {
			b.Fatal(err)
		}
	}
	return map[string]func(c, s *sockapi.Socket) (io.ReadWriteCloser, io.ReadWriteCloser){
		"straight": func(c, s *sockapi.Socket) (io.ReadWriteCloser, io.ReadWriteCloser) {
			x, y := tls.Client(c.Conn(), ccfg), tls.Server(s.Conn(), scfg)
			both(x, y)
			return x, y
		},
		"Conn": func(c, s *sockapi.Socket) (io.ReadWriteCloser, io.ReadWriteCloser) {
			x, y := must(cctx.Client(c.Conn(), "server.example"))(b), must(sctx.Server(s.Conn()))(b)
			both(x, y)
			return x, y
		},
		"SSLSocket": func(c, s *sockapi.Socket) (io.ReadWriteCloser, io.ReadWriteCloser) {
			x, y, cerr, serr := tryWrap(cctx, sctx, c, s)
			if err := errors.Join(cerr, serr); err != nil {
				b.Fatal(err)
			}
			if _, err := exchangeOne(y, x); err != nil { // the tickets are read, or the close would be a reset
				b.Fatal(err)
			}
			return sslStream{x}, sslStream{y}
		},
	}
}

// sslStream is the documented calls as a stream.
type sslStream struct{ *SSLSocket }

func (s sslStream) Read(p []byte) (int, error)  { return s.RecvInto(p, 0) }
func (s sslStream) Write(p []byte) (int, error) { return s.Send(p) }

func BenchmarkStream(b *testing.B) {
	cn, sn := world(b)
	ways := stacks(b)
	for _, name := range []string{"straight", "Conn", "SSLSocket"} {
		b.Run(name, func(b *testing.B) {
			a, c := pair(b, cn, sn)
			x, y := ways[name](a, c)
			defer x.Close()
			defer y.Close()
			buf := make([]byte, 1<<16)
			got := make([]byte, 1<<16)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			done := make(chan int)
			go func() {
				total := 0
				for {
					n, err := y.Read(got)
					if total += n; err != nil || n == 0 {
						done <- total
						return
					}
				}
			}()
			sent := 0
			for b.Loop() {
				n, err := x.Write(buf)
				if err != nil {
					b.Fatal(err)
				}
				sent += n
			}
			x.Close()
			if got := <-done; got != sent {
				b.Fatalf("%d bytes of %d", got, sent)
			}
		})
	}
}

func BenchmarkHandshake(b *testing.B) {
	cn, sn := world(b)
	ways := stacks(b)
	for _, name := range []string{"straight", "Conn", "SSLSocket"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				a, c := pair(b, cn, sn)
				x, y := ways[name](a, c)
				x.Close()
				y.Close()
			}
		})
	}
}
