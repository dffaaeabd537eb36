package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"usersock/stack/endpoint"
)

// query is a message of 16 bytes with an ID and a mark.
func query(id uint16, mark byte) []byte {
	m := make([]byte, 16)
	binary.BigEndian.PutUint16(m, id)
	m[15] = mark
	return m
}

// frame puts the length in front of a message.
func frame(m []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...) }

var bg = context.Background()

// lab is a client whose connections are pipes to serve.
type lab struct {
	*Client
	dials atomic.Int32
	wait  sync.WaitGroup
}

// in makes a client inside a bubble, in which goroutines that are left behind,
// and calls that wait for ever, fail the test.
func in(t *testing.T, serve func(net.Conn), body func(l *lab)) {
	synctest.Test(t, func(t *testing.T) {
		l := &lab{}
		l.Client = New(Config{
			Clock: endpoint.SystemClock(), Idle: 10 * time.Second,
			Dial: func(context.Context) (net.Conn, error) {
				l.dials.Add(1)
				client, server := net.Pipe()
				l.wait.Go(func() {
					defer server.Close()
					serve(server)
				})
				return client, nil
			},
		})
		body(l)
		l.Close()
		l.wait.Wait()
		if len(l.open) != 0 {
			t.Errorf("%d connections left open", len(l.open))
		}
	})
}

// echo answers each message with itself.
func echo(conn net.Conn) {
	for {
		m, err := ReadMessage(conn)
		if err != nil {
			return
		}
		conn.Write(frame(m))
	}
}

func TestReuseAndIdle(t *testing.T) {
	in(t, echo, func(l *lab) {
		for i := range 5 {
			q := query(7, byte(i))
			reply, err := l.Exchange(bg, q)
			if err != nil || !bytes.Equal(reply, q) {
				t.Fatalf("% x, %v", reply, err)
			}
			time.Sleep(9 * time.Second)
		}
		if n := l.dials.Load(); n != 1 {
			t.Errorf("%d connections for queries 9 s apart", n)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(l.open) != 0 {
			t.Error("open after 11 idle seconds")
		}
		if _, err := l.Exchange(bg, query(1, 1)); err != nil || l.dials.Load() != 2 {
			t.Errorf("later: %v, %d connections", err, l.dials.Load())
		}
	})
}

// TestPipelined: 100 queries with one ID wait at the same time; the replies come
// the other way round.
func TestPipelined(t *testing.T) {
	const n = 100
	serve := func(conn net.Conn) {
		var all [][]byte
		for range n {
			m, err := ReadMessage(conn)
			if err != nil {
				return
			}
			all = append(all, m)
		}
		for i := range all {
			conn.Write(frame(all[n-1-i]))
		}
		echo(conn)
	}
	in(t, serve, func(l *lab) {
		var wait sync.WaitGroup
		for i := range n {
			wait.Go(func() {
				q := query(65500, byte(i))
				if reply, err := l.Exchange(bg, q); err != nil || !bytes.Equal(reply, q) {
					t.Errorf("% x, %v", reply, err)
				}
			})
		}
		wait.Wait()
		if l.dials.Load() != 1 {
			t.Errorf("%d connections", l.dials.Load())
		}
	})
}

// TestManyWaiting: more than a connection takes go to another one.
func TestManyWaiting(t *testing.T) {
	serve := func(conn net.Conn) {
		r := make(chan []byte, 1000)
		go func() {
			defer close(r)
			for {
				m, err := ReadMessage(conn)
				if err != nil {
					return
				}
				r <- m
			}
		}()
		time.Sleep(time.Second) // of the bubble
		for m := range r {
			conn.Write(frame(m))
		}
	}
	in(t, serve, func(l *lab) {
		var wait sync.WaitGroup
		for i := range 300 {
			wait.Go(func() {
				if _, err := l.Exchange(bg, query(uint16(i), 1)); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if n := l.dials.Load(); n != 3 {
			t.Errorf("%d connections for 300 queries", n)
		}
	})
}

// TestServerCloses: a server that closes after each reply costs a connection a
// query and no error.
func TestServerCloses(t *testing.T) {
	serve := func(conn net.Conn) {
		if m, err := ReadMessage(conn); err == nil {
			conn.Write(frame(m))
		}
	}
	in(t, serve, func(l *lab) {
		for i := range 4 {
			if _, err := l.Exchange(bg, query(uint16(i), 1)); err != nil {
				t.Errorf("query %d: %v", i, err)
			}
		}
	})
}

// TestSilent: a query that was given up takes its connection out of use, and
// leaves the others that wait there alone.
func TestSilent(t *testing.T) {
	serve := func(conn net.Conn) {
		for {
			m, err := ReadMessage(conn)
			if err != nil {
				return
			}
			if m[15] != 0 {
				time.AfterFunc(time.Duration(m[15])*time.Second, func() { conn.Write(frame(m)) })
			}
		}
	}
	in(t, serve, func(l *lab) {
		var wait sync.WaitGroup
		wait.Go(func() {
			if _, err := l.Exchange(bg, query(1, 9)); err != nil {
				t.Errorf("the patient query: %v", err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(bg, 3*time.Second)
		defer cancel()
		if _, err := l.Exchange(ctx, query(2, 0)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the query without reply: %v", err)
		}
		if _, err := l.Exchange(bg, query(3, 1)); err != nil || l.dials.Load() != 2 {
			t.Errorf("the next query: %v, %d connections", err, l.dials.Load())
		}
		wait.Wait()
	})
}

// TestHostileStream: a server that would send 4 GB is cut off soon, before a
// query, after it and in place of its reply.
func TestHostileStream(t *testing.T) {
	for _, first := range []string{"reply", "other", "short"} {
		var sent atomic.Int64
		serve := func(conn net.Conn) {
			m, err := ReadMessage(conn)
			if err != nil {
				return
			}
			switch first {
			case "reply":
				conn.Write(frame(m))
			case "short":
				conn.Write(frame([]byte("x")))
			}
			flood := frame(make([]byte, 65535))
			flood[2] = 0xff
			for sent.Load() < 4<<30 {
				n, err := conn.Write(flood)
				sent.Add(int64(n))
				if err != nil {
					return
				}
			}
		}
		in(t, serve, func(l *lab) {
			_, err := l.Exchange(bg, query(1, 1))
			if (err == nil) != (first == "reply") {
				t.Errorf("%s: %v", first, err)
			}
			l.wait.Wait()
		})
		if n := sent.Load(); n > 1<<20 {
			t.Errorf("%s: took %d bytes", first, n)
		}
	}
}

// TestMemoryAsBytesCome: a length alone takes no memory.
func TestMemoryAsBytesCome(t *testing.T) {
	for _, n := range []int{0, 1, 1499, 1500, 1501, 6001, 65535} {
		want := bytes.Repeat([]byte{7}, n)
		got, err := ReadMessage(bytes.NewReader(frame(want)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %d, %v", n, len(got), err)
		}
	}
	r := io.MultiReader(bytes.NewReader([]byte{0xff, 0xff, 1}), eofReader{})
	if msg, err := ReadMessage(r); err == nil || cap(msg) > 1500 {
		t.Errorf("%d bytes for one that came, %v", cap(msg), err)
	}
}

type eofReader struct{}

func (eofReader) Read([]byte) (int, error) { return 0, io.EOF }

// TestClose: it fails who waits, and who comes later.
func TestClose(t *testing.T) {
	in(t, func(conn net.Conn) { io.Copy(io.Discard, conn) }, func(l *lab) {
		var wait sync.WaitGroup
		for i := range 3 {
			wait.Go(func() {
				if _, err := l.Exchange(bg, query(uint16(i), 1)); !errors.Is(err, ErrClosed) {
					t.Errorf("waiting: %v", err)
				}
			})
		}
		synctest.Wait()
		l.Close()
		wait.Wait()
		if _, err := l.Exchange(bg, query(9, 1)); !errors.Is(err, ErrClosed) {
			t.Errorf("later: %v", err)
		}
	})
}

// TestStuckWrite: a server that takes no bytes does not hold a caller.
func TestStuckWrite(t *testing.T) {
	in(t, func(conn net.Conn) { time.Sleep(time.Hour) }, func(l *lab) {
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		if _, err := l.Exchange(ctx, query(1, 1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}
