package sockapi_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "usersock/sockapi"
	"usersock/stack/endpoint"
)

func makefile(t testing.TB, s *Socket, mode string, bufsize int) *File {
	t.Helper()
	f, err := s.Makefile(mode, bufsize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// filePair opens a connected pair and a file of its first socket.
func filePair(t testing.TB, n *Net, mode string, bufsize int) (f *File, s, peer *Socket) {
	t.Helper()
	s, peer = pair(t, n, SOCK_STREAM)
	return makefile(t, s, mode, bufsize), s, peer
}

// wantRead checks one call that reads.
func wantRead(t *testing.T, what string, got []byte, err error, want string, wantErr error) {
	t.Helper()
	if string(got) != want || !errors.Is(err, wantErr) {
		t.Errorf("%s = %.60q, %v, want %.60q, %v", what, got, err, want, wantErr)
	}
}

// wantSent checks what a peer has received by now.
func wantSent(t *testing.T, peer *Socket, want string) {
	t.Helper()
	data, err := peer.Recv(1<<16, MSG_DONTWAIT)
	if want == "" {
		wantErrno(t, "recv", err, endpoint.EAGAIN)
	} else if string(data) != want || err != nil {
		t.Errorf("peer got %.60q, %v, want %.60q", data, err, want)
	}
}

func wantClosed(t *testing.T, what string, err error) {
	t.Helper()
	wantErrno(t, what, err, endpoint.EBADF)
	if !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "I/O operation on closed file") {
		t.Errorf("%s: %v, want the error of a closed file", what, err)
	}
}

var bufsizes = []int{-1, 0, 1, 2, 7, 4096}

func TestMakefileModes(t *testing.T) {
	n := host(t)
	s, _ := pair(t, n, SOCK_STREAM)
	for mode, rw := range map[string][2]bool{
		"": {true, false}, "r": {true, false}, "b": {true, false}, "rb": {true, false}, "w": {false, true},
		"wb": {false, true}, "rw": {true, true}, "wr": {true, true}, "rwb": {true, true}, "brw": {true, true},
	} {
		f := makefile(t, s, mode, -1)
		if f.Readable() != rw[0] || f.Writable() != rw[1] || f.Mode() != mode || f.Name() != "<socket>" {
			t.Errorf("mode %q: readable %v, writable %v, mode %q, name %q", mode, f.Readable(), f.Writable(), f.Mode(), f.Name())
		}
		if !rw[0] {
			_, err := f.Readline(-1)
			wantErrno(t, "reading from mode "+mode, err, endpoint.EBADF)
			if errors.Is(err, net.ErrClosed) {
				t.Errorf("%v is net.ErrClosed", err)
			}
		}
		if !rw[1] {
			_, err := f.Write([]byte("x"))
			wantErrno(t, "writing to mode "+mode, err, endpoint.EBADF)
			if err := f.Flush(); err != nil {
				t.Errorf("flush of mode %q: %v", mode, err)
			}
		}
	}
	for _, mode := range []string{"a", "r+", "x", "U", "rt", "R", "r,w", " "} {
		f, err := s.Makefile(mode, -1)
		wantValueError(t, "mode "+mode, err)
		if f != nil || err == nil || !strings.Contains(err.Error(), "invalid mode") {
			t.Errorf("mode %q: %v, %v", mode, f, err)
		}
	}
	s.Close()
	_, err := s.Makefile("r", -1)
	wantErrno(t, "makefile of a closed socket", err, endpoint.EBADF)
}

func TestMakefileReading(t *testing.T) {
	const text = "one\ntwo\r\n\nfour four four\nlast"
	lines := []string{"one\n", "two\r\n", "\n", "four four four\n", "last"}
	n := host(t)
	for _, size := range append(bufsizes, math.MaxInt) {
		start := func() *File {
			f, s, peer := filePair(t, n, "r", size)
			sendText(t, peer, text)
			peer.Close()
			s.Close()
			return f
		}
		f := start()
		for _, want := range lines {
			line, err := f.Readline(-1)
			wantRead(t, "Readline", line, err, want, nil)
		}
		for range 2 {
			line, err := f.Readline(-1)
			wantRead(t, "Readline at the end", line, err, "", io.EOF)
		}

		f = start()
		for _, c := range []struct {
			limit int
			want  string
		}{{0, ""}, {2, "on"}, {2, "e\n"}, {100, "two\r\n"}, {1, "\n"}, {5, "four "}, {-1, "four four\n"}, {100, "last"}} {
			line, err := f.Readline(c.limit)
			wantRead(t, fmt.Sprintf("Readline(%d)", c.limit), line, err, c.want, nil)
		}
		line, err := f.Readline(0)
		wantRead(t, "Readline(0) at the end", line, err, "", nil)

		var got []string
		for line, err := range start().Lines() {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(line))
		}
		if !slices.Equal(got, lines) {
			t.Errorf("bufsize %d: Lines = %q", size, got)
		}

		for hint, want := range map[int]int{-1: 5, 0: 5, 1: 1, 4: 1, 5: 2, 1000: 5} {
			all, err := start().Readlines(hint)
			got := strings.Split(strings.Trim(fmt.Sprintf("%q", all), "[]"), "\" \"")
			if err != nil || len(all) != want || string(bytes.Join(all, nil)) != strings.Join(lines[:want], "") {
				t.Errorf("bufsize %d: Readlines(%d) = %q, %v", size, hint, got, err)
			}
		}
		if all, err := f.Readlines(-1); len(all) != 0 || err != nil {
			t.Errorf("Readlines at the end = %q, %v", all, err)
		}

		f = start()
		for _, c := range []struct {
			n    int
			want string
			err  error
		}{{0, "", nil}, {1, "o", nil}, {7, text[1:8], nil}, {1000, text[8:], nil}, {1, "", io.EOF}, {0, "", nil}, {-1, "", nil}} {
			data, err := f.ReadN(c.n)
			wantRead(t, fmt.Sprintf("ReadN(%d)", c.n), data, err, c.want, c.err)
		}
		f = start()
		line, _ = f.Readline(-1)
		rest, err := f.ReadN(-1)
		wantRead(t, "ReadN(-1)", append(line, rest...), err, text, nil)
		all, err := io.ReadAll(start())
		wantRead(t, "io.ReadAll", all, err, text, nil)
	}
}

// TestMakefileLong reads what is larger than any buffer.
func TestMakefileLong(t *testing.T) {
	a, b := hosts(t)
	client, server := connected(t, a, b, Inet6Addr{Host: "2001:db8::2"})
	long := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	long = append(long, '\n')
	for _, size := range []int{-1, 0, 100, math.MaxInt} {
		w, r := makefile(t, client, "w", size), makefile(t, server, "r", size)
		done := make(chan error, 1)
		go func() {
			var errs []error
			for range 3 {
				_, err := w.Write(long)
				errs = append(errs, err)
			}
			done <- errors.Join(append(errs, w.Close())...)
		}()
		line, err := r.Readline(-1)
		if err != nil || !bytes.Equal(line, long) {
			t.Errorf("bufsize %d: Readline gave %d bytes, %v", size, len(line), err)
		}
		data, err := r.ReadN(len(long))
		if err != nil || !bytes.Equal(data, long) {
			t.Errorf("bufsize %d: ReadN gave %d bytes, %v", size, len(data), err)
		}
		if n, err := io.Copy(io.Discard, io.LimitReader(r, int64(len(long)))); n != int64(len(long)) || err != nil {
			t.Errorf("bufsize %d: copied %d bytes, %v", size, n, err)
		}
		if err := <-done; err != nil {
			t.Errorf("bufsize %d: %v", size, err)
		}
	}
}

// TestMakefileUnbuffered takes no more from the socket than was read.
func TestMakefileUnbuffered(t *testing.T) {
	f, s, peer := filePair(t, host(t), "r", 0)
	sendText(t, peer, "one\ntwo\nthree\n"+strings.Repeat("x", 1000)+"\nrest")
	line, err := f.Readline(-1)
	wantRead(t, "Readline", line, err, "one\n", nil)
	data, err := s.Recv(4)
	wantRead(t, "the socket", data, err, "two\n", nil)
	data, err = f.ReadN(3)
	wantRead(t, "ReadN", data, err, "thr", nil)
	data, err = f.Readline(1)
	wantRead(t, "Readline(1)", data, err, "e", nil)
	data, err = s.Recv(2)
	wantRead(t, "the socket", data, err, "e\n", nil)
	data, err = f.Readline(-1)
	wantRead(t, "Readline", data, err, strings.Repeat("x", 1000)+"\n", nil)
	data, err = s.Recv(100)
	wantRead(t, "the socket", data, err, "rest", nil)
}

func TestMakefileWriting(t *testing.T) {
	n := host(t)
	write := func(f *File, text string) {
		t.Helper()
		if n, err := f.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("Write(%q) = %d, %v", text, n, err)
		}
	}
	f, _, peer := filePair(t, n, "w", 0)
	write(f, "ab")
	wantSent(t, peer, "ab")

	f, _, peer = filePair(t, n, "w", 1)
	write(f, "ab")
	wantSent(t, peer, "")
	write(f, "c\nd")
	wantSent(t, peer, "abc\nd")
	write(f, strings.Repeat("x", 8192))
	wantSent(t, peer, "")
	write(f, "\n")
	wantSent(t, peer, strings.Repeat("x", 8192)+"\n")

	f, _, peer = filePair(t, n, "w", -1)
	write(f, strings.Repeat("\n", 8192))
	wantSent(t, peer, "")
	write(f, "")
	write(f, "ab")
	wantSent(t, peer, strings.Repeat("\n", 8192))
	if err := f.Flush(); err != nil {
		t.Error(err)
	}
	wantSent(t, peer, "ab")
	if err := f.Flush(); err != nil {
		t.Error(err)
	}
	wantSent(t, peer, "")

	f, s, peer := filePair(t, n, "rw", 4)
	write(f, "abc")
	if n, err := f.Writelines([][]byte{[]byte("de"), []byte("\n"), []byte("fghijklmn"), nil, []byte("o")}); n != 13 || err != nil {
		t.Errorf("Writelines = %d, %v", n, err)
	}
	wantSent(t, peer, "abcde\nfghijklmn")
	s.Close()
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	wantSent(t, peer, "o")
	if data, err := peer.Recv(1); len(data) != 0 || err != nil {
		t.Errorf("after the close of file and socket: %q, %v", data, err)
	}
}

func TestMakefileOutlivesSocket(t *testing.T) {
	n := host(t)
	f, s, peer := filePair(t, n, "rw", -1)
	if f.Fileno() == s.Fileno() || f.Fileno() < 0 {
		t.Errorf("descriptors %d and %d", f.Fileno(), s.Fileno())
	}
	s.Close()
	wantSent(t, peer, "") // not the end
	sendText(t, peer, "in\n")
	line, err := f.Readline(-1)
	wantRead(t, "Readline", line, err, "in\n", nil)
	if _, err := f.Write([]byte("out\n")); err != nil {
		t.Error(err)
	}
	if f.Closed() {
		t.Error("closed before Close")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	wantSent(t, peer, "out\n")
	if data, err := peer.Recv(1); len(data) != 0 || err != nil {
		t.Errorf("after the close of the file: %q, %v", data, err)
	}
	if err := f.Close(); err != nil || !f.Closed() || f.Fileno() != -1 {
		t.Errorf("second Close %v, closed %v, descriptor %d", err, f.Closed(), f.Fileno())
	}
	_, err = f.Read(make([]byte, 1))
	wantClosed(t, "Read", err)
	_, err = f.ReadN(-1)
	wantClosed(t, "ReadN", err)
	_, err = f.Readline(-1)
	wantClosed(t, "Readline", err)
	_, err = f.Readlines(-1)
	wantClosed(t, "Readlines", err)
	_, err = f.Write(nil)
	wantClosed(t, "Write", err)
	_, err = f.Writelines(nil)
	wantClosed(t, "Writelines", err)
	wantClosed(t, "Flush", f.Flush())
	count := 0
	for _, err := range f.Lines() {
		count++
		wantClosed(t, "Lines", err)
	}
	if count != 1 {
		t.Errorf("Lines of a closed file yielded %d times", count)
	}
	// The socket is no business of the file's Close.
	f, s, _ = filePair(t, n, "rw", -1)
	f.Close()
	if err := s.Sendall([]byte("x")); err != nil {
		t.Error(err)
	}
}

func TestMakefileTimeout(t *testing.T) {
	n := bubbleHost(t)
	synctest.Test(t, func(t *testing.T) {
		for _, size := range []int{-1, 0} {
			f, s, peer := filePair(t, n, "rw", size)
			if err := s.Settimeout(time.Minute); err != nil {
				t.Fatal(err)
			}
			go func() {
				time.Sleep(50 * time.Second)
				peer.Send([]byte("line\npart"))
			}()
			line, err := f.Readline(-1)
			wantRead(t, "Readline", line, err, "line\n", nil)
			before := time.Now()
			line, err = f.Readline(-1)
			wantRead(t, "Readline", line, err, "", ErrTimeout)
			if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(before) != time.Minute {
				t.Errorf("timeout after %v: %v", time.Since(before), err)
			}
			sendText(t, peer, "\n")
			for range 2 {
				_, err = f.Readline(-1)
				wantText(t, "Readline", err, "cannot read from timed out object")
				_, err = f.Read(make([]byte, 1))
				wantText(t, "Read", err, "cannot read from timed out object")
				s.Settimeout(Forever)
			}
			// Writing goes on, and so does another file.
			if _, err := f.Write([]byte("x")); err != nil {
				t.Error(err)
			}
			if err := f.Flush(); err != nil {
				t.Error(err)
			}
			wantSent(t, peer, "x")
			sendText(t, peer, "new\n")
			line, err = makefile(t, s, "r", -1).Readline(-1)
			if err != nil || !strings.HasSuffix(string(line), "\n") {
				t.Errorf("another file: %q, %v", line, err)
			}
		}
	})
}

// fillFile writes until the socket takes no more, and returns what it wrote.
func fillFile(t *testing.T, f *File) []byte {
	t.Helper()
	var all []byte
	source := rand.NewChaCha8([32]byte{1})
	for {
		data := make([]byte, 1000)
		source.Read(data)
		n, err := f.Write(data)
		all = append(all, data[:n]...)
		if err != nil {
			wantErrno(t, "write", err, endpoint.EAGAIN)
			return all
		}
		if n != len(data) {
			t.Fatalf("Write = %d without error", n)
		}
	}
}

func TestMakefileNonblocking(t *testing.T) {
	n := host(t)
	for _, size := range bufsizes {
		f, s, peer := filePair(t, n, "rw", size)
		s.Setblocking(false)
		line, err := f.Readline(-1)
		wantRead(t, "Readline", line, err, "", endpoint.EAGAIN)
		for _, part := range []string{"begin", " and", " mor"} {
			sendText(t, peer, part)
			line, err = f.Readline(-1)
			wantRead(t, "Readline", line, err, "", endpoint.EAGAIN)
		}
		sendText(t, peer, "e\nnext")
		line, err = f.Readline(-1)
		wantRead(t, "Readline", line, err, "begin and more\n", nil)
		data, err := f.ReadN(8)
		wantRead(t, "ReadN", data, err, "", endpoint.EAGAIN)
		data, err = f.ReadN(-1)
		wantRead(t, "ReadN", data, err, "", endpoint.EAGAIN)
		var buf [10]byte
		got, err := f.Read(buf[:])
		wantRead(t, "Read", buf[:got], err, "next", nil)
		_, err = f.Read(buf[:])
		wantErrno(t, "Read", err, endpoint.EAGAIN)

		// Everything that a Write took arrives once and in order.
		want := fillFile(t, f)
		wantErrnoIf(t, size != 0, f.Flush(), endpoint.EAGAIN)
		var received []byte
		for len(received) < len(want) {
			data, err := peer.Recv(1 << 16)
			if err != nil {
				t.Fatal(err)
			}
			received = append(received, data...)
			if err := f.Flush(); err != nil && !errors.Is(err, endpoint.EAGAIN) {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(received, want) {
			t.Errorf("bufsize %d: peer received %d bytes, not the %d written", size, len(received), len(want))
		}
		if err := f.Flush(); err != nil {
			t.Error(err)
		}
		wantSent(t, peer, "")
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		// Close with a full socket says what it could not send.
		if size > 1 {
			f := makefile(t, s, "w", size)
			fillFile(t, f)
			err := f.Close()
			wantErrno(t, "close", err, endpoint.EAGAIN)
			if err == nil || !strings.Contains(err.Error(), fmt.Sprint(size, " bytes were not sent")) {
				t.Errorf("bufsize %d: Close: %v", size, err)
			}
		}
	}
}

func wantErrnoIf(t *testing.T, some bool, err error, errno Errno) {
	t.Helper()
	if some {
		wantErrno(t, "flush", err, errno)
	} else if err != nil {
		t.Error(err)
	}
}

// TestMakefileClosed closes a file that others are in.
func TestMakefileClosed(t *testing.T) {
	n := bubbleHost(t)
	synctest.Test(t, func(t *testing.T) {
		f, s, peer := filePair(t, n, "rw", -1)
		errs := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := f.Readline(-1)
				errs <- err
			}()
		}
		synctest.Wait()
		if _, err := f.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		for range 2 {
			wantClosed(t, "Readline", <-errs)
		}
		wantSent(t, peer, "x")

		// A write that cannot end is put an end to.
		f = makefile(t, s, "w", 100)
		s.Setblocking(false)
		fillFile(t, f)
		s.Setblocking(true)
		for range 2 {
			go func() {
				_, err := f.Write(make([]byte, 1000))
				errs <- err
			}()
		}
		synctest.Wait()
		if err := f.Close(); err == nil || !strings.Contains(err.Error(), "100 bytes were not sent") {
			t.Errorf("Close: %v", err)
		}
		for range 2 {
			wantClosed(t, "Write", <-errs)
		}
	})
}

// TestMakefileTurns has goroutines wait for each other. A mutex would never
// let the bubble stand still.
func TestMakefileTurns(t *testing.T) {
	n := bubbleHost(t)
	synctest.Test(t, func(t *testing.T) {
		f, s, peer := filePair(t, n, "rw", -1)
		lines := make(chan string, 3)
		for range cap(lines) {
			go func() {
				line, err := f.Readline(-1)
				if err != nil {
					t.Error(err)
				}
				lines <- string(line)
			}()
			synctest.Wait()
		}
		sendText(t, peer, "a")
		synctest.Wait()
		sendText(t, peer, "\nb\nc\n")
		for _, want := range []string{"a\n", "b\n", "c\n"} {
			if line := <-lines; line != want {
				t.Errorf("line %q, want %q", line, want)
			}
		}
		// Whoever queues behind a call that waits without limit has a timeout
		// of its own, which does not spoil the file.
		go f.Readline(-1)
		synctest.Wait()
		s.Settimeout(time.Minute)
		before := time.Now()
		_, err := f.Readline(-1)
		if !errors.Is(err, ErrTimeout) || time.Since(before) != time.Minute {
			t.Errorf("queued: %v after %v", err, time.Since(before))
		}
		sendText(t, peer, "d\ne\n")
		synctest.Wait()
		line, err := f.Readline(-1)
		wantRead(t, "Readline", line, err, "e\n", nil)
	})
}

// TestMakefileConcurrent has many readers and writers on one connection.
func TestMakefileConcurrent(t *testing.T) {
	const writers, each = 4, 500
	a, b := hosts(t)
	client, server := connected(t, a, b, InetAddr{Host: "192.0.2.2"})
	for _, size := range []int{-1, 0, 1, 30} {
		w, r := makefile(t, client, "w", size), makefile(t, server, "r", size)
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				for j := range each {
					if _, err := fmt.Fprintf(w, "%d %d %s\n", i, j, strings.Repeat("x", j%50)); err != nil {
						t.Error(err)
						return
					}
				}
				if err := w.Flush(); err != nil {
					t.Error(err)
				}
			})
		}
		var mu sync.Mutex
		seen := make(map[string]bool)
		for range writers {
			wg.Go(func() {
				for range each {
					line, err := r.Readline(-1)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					seen[string(line)] = true
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		for i := range writers {
			for j := range each {
				if line := fmt.Sprintf("%d %d %s\n", i, j, strings.Repeat("x", j%50)); !seen[line] {
					t.Fatalf("bufsize %d: line %q is missing or torn", size, line)
				}
			}
		}
		if len(seen) != writers*each {
			t.Errorf("bufsize %d: %d lines, want %d", size, len(seen), writers*each)
		}
	}
}

// TestMakefileReset keeps what came before the connection broke.
func TestMakefileReset(t *testing.T) {
	a, b := hosts(t)
	client, server := connected(t, a, b, InetAddr{Host: "192.0.2.2"})
	f := makefile(t, server, "r", -1)
	sendText(t, client, "line\npart")
	line, err := f.Readline(-1)
	wantRead(t, "Readline", line, err, "line\n", nil)
	linger := make([]byte, 8)
	linger[0], linger[3] = 1, 1 // on in either byte order; the time stays 0
	if err := client.SetsockoptBytes(SOL_SOCKET, SO_LINGER, linger); err != nil {
		t.Fatal(err)
	}
	client.Close()
	_, err = f.Readline(-1)
	wantErrno(t, "Readline after a reset", err, endpoint.ECONNRESET)
	line, err = f.ReadN(4)
	wantRead(t, "ReadN after a reset", line, err, "part", nil)
}

func TestMakefileAllocs(t *testing.T) {
	n := host(t)
	s, peer := pair(t, n, SOCK_STREAM)
	w, r := makefile(t, s, "w", -1), makefile(t, peer, "r", -1)
	line := []byte("a line of text\n")
	buf := make([]byte, 100)
	readwrite := testing.AllocsPerRun(200, func() {
		w.Write(line)
		w.Flush()
		r.Read(buf)
	})
	readline := testing.AllocsPerRun(200, func() {
		w.Write(line)
		w.Flush()
		r.Readline(-1)
	})
	raw := testing.AllocsPerRun(200, func() {
		s.Send(line)
		peer.RecvInto(buf, 0)
	})
	if raceEnabled {
		t.Skip("the race detector empties pools")
	}
	if readwrite > raw || readline > raw+1 {
		t.Errorf("allocations: %v for write, flush and read, %v with readline; the socket alone has %v", readwrite, readline, raw)
	}
}

func BenchmarkFileReadline(b *testing.B) {
	n := host(b)
	s, peer := pair(b, n, SOCK_STREAM)
	w, r := makefile(b, s, "w", 1<<16), makefile(b, peer, "r", 1<<16)
	line := []byte("a line of text that is some sixty bytes long, with newline.\n")
	go func() {
		for {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	}()
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if got, err := r.Readline(-1); len(got) != len(line) || err != nil {
			b.Fatal(err)
		}
	}
	w.Close()
}

func BenchmarkFileWrite(b *testing.B) {
	n := host(b)
	s, peer := pair(b, n, SOCK_STREAM)
	w := makefile(b, s, "w", -1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1<<16)
		for {
			if n, err := peer.RecvInto(buf, 0); n == 0 || err != nil {
				return
			}
		}
	}()
	data := make([]byte, 100)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Write(data); err != nil {
			b.Fatal(err)
		}
	}
	w.Close()
	s.Close()
	<-done
}
