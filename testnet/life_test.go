package testnet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"usersock/sockapi"
	"usersock/stack/endpoint"
)

// TestSameTraceOfACrash closes a host's stack in the middle of a transfer,
// while time goes on, and starts the host again with the same address.
func TestSameTraceOfACrash(t *testing.T) {
	runs := 20
	if testing.Short() {
		runs = 5
	}
	data := payload(512<<10, 3)
	o := same(t, runs, func(t *testing.T) outcome {
		return run(t, 5, lossy, func(w *world) {
			begun := make(chan struct{})
			w.task(1, "victim", func(n *sockapi.Net) { w.readForEver(n, begun) })
			w.task(1, "crash", func(*sockapi.Net) {
				<-begun // however long the handshake takes on that link
				time.Sleep(500 * time.Millisecond)
				err := w.crash(1)
				if err == nil {
					err = w.boot(1)
				}
				if err != nil {
					w.t.Error(err)
					return
				}
				l, err := listen(w.nets[1], sockapi.AF_INET, 80)
				if err != nil {
					w.t.Error(err)
					return
				}
				w.accept(l, 1)
			})
			w.task(0, "client", func(n *sockapi.Net) {
				w.writeUntilReset(n)
				w.upload(n, sockapi.InetAddr{Host: "beta", Port: 80}, data)
			})
		})
	})
	if o.elapsed < 500*time.Millisecond || o.packets[0] < len(data)/1460 {
		t.Errorf("%v: the second transfer is missing", o)
	}
}

// readForEver takes one connection and what comes, until its host crashes. It
// closes begun once something has come.
func (w *world) readForEver(n *sockapi.Net, begun chan struct{}) {
	l, err := listen(n, sockapi.AF_INET, 80)
	if err != nil {
		w.t.Error(err)
		return
	}
	s, _, err := l.Accept()
	if err != nil {
		w.t.Error(err)
		return
	}
	for {
		b, err := s.Recv(1 << 16)
		if err != nil {
			return
		}
		if len(b) == 0 {
			w.t.Error("the transfer ended before the crash")
			return
		}
		if begun != nil {
			close(begun)
			begun = nil
		}
	}
}

func (w *world) writeUntilReset(n *sockapi.Net) {
	time.Sleep(time.Millisecond) // the other host listens by then
	c, err := n.Dial("tcp", "192.0.2.2:80")
	if err != nil {
		w.t.Error(err)
		return
	}
	defer c.Close()
	for chunk := make([]byte, 1<<16); err == nil; {
		_, err = c.Write(chunk)
	}
	if !errors.Is(err, endpoint.ECONNRESET) && !errors.Is(err, endpoint.EPIPE) {
		w.t.Errorf("write to a host that crashed: %v", err)
	}
}

// TestShutdownInVirtualTime lets a host end as soon as its last bytes have been
// acknowledged, which on a bad link takes a while of the virtual clock.
func TestShutdownInVirtualTime(t *testing.T) {
	data := payload(100<<10, 4)
	received := 0
	o := run(t, 6, lossy, func(w *world) {
		l, err := listen(w.nets[1], sockapi.AF_INET, 80)
		if err != nil {
			w.t.Fatal(err)
		}
		w.task(1, "server", func(*sockapi.Net) {
			s, _, err := l.Accept()
			if err != nil {
				w.t.Error(err)
				return
			}
			n, err := io.Copy(io.Discard, s.Conn())
			if received = int(n); err != nil {
				w.t.Error(err)
			}
			s.Close()
			l.Close()
		})
		w.task(0, "client", func(n *sockapi.Net) {
			c, err := n.Dial("tcp", "192.0.2.2:80")
			if err != nil {
				w.t.Error(err)
				return
			}
			c.Write(data)
			c.Close()
			ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
			defer cancel()
			if err := w.stacks[0].Shutdown(ctx); err != nil {
				w.t.Error("shutdown:", err)
			}
		})
	})
	if received != len(data) || o.elapsed < 100*time.Millisecond || o.elapsed > 10*time.Minute {
		t.Errorf("received %d of %d bytes, %v", received, len(data), o)
	}
}

// TestSameTraceOfHTTP has net/http, which knows nothing of all this, at both ends
// over keep-alive connections.
func TestSameTraceOfHTTP(t *testing.T) {
	runs := 20
	if testing.Short() {
		runs = 5
	}
	talk := func(t *testing.T) outcome {
		return run(t, 9, lossy, func(w *world) {
			w.task(1, "server", func(n *sockapi.Net) {
				l, err := n.Listen("tcp", "192.0.2.2:80")
				if err != nil {
					w.t.Error(err)
					return
				}
				server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					rw.Write(payload(20_000, byte(r.ContentLength)))
				})}
				time.AfterFunc(time.Minute, func() { server.Close() })
				if err := server.Serve(l); err != http.ErrServerClosed {
					w.t.Error("serve:", err)
				}
			})
			for i := range 3 {
				w.task(0, fmt.Sprint("client ", i), func(n *sockapi.Net) { w.get(n, i) })
			}
		})
	}
	same(t, runs, talk)
}

func (w *world) get(n *sockapi.Net, client int) {
	time.Sleep(time.Duration(client) * time.Millisecond)
	transport := &http.Transport{DialContext: n.DialContext}
	defer transport.CloseIdleConnections()
	c := http.Client{Transport: transport}
	for i := range 5 {
		r, err := c.Post("http://192.0.2.2/", "text/plain", io.LimitReader(zeros{}, int64(client*10+i)))
		if err != nil {
			w.t.Error(err)
			return
		}
		b, err := io.ReadAll(r.Body)
		r.Body.Close()
		if len(b) != 20_000 || err != nil {
			w.t.Errorf("%d bytes, %v", len(b), err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
