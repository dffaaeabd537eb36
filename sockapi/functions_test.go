package sockapi_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "usersock/sockapi"
	"usersock/stack"
	"usersock/stack/endpoint"
)

// TestInterfaces names the host's interfaces and numbers them.
func TestInterfaces(t *testing.T) {
	n, _ := hosts(t)
	list := n.IfNameindex()
	if len(list) != 2 || list[0].Name != "lo" || list[1] != (NameIndex{list[1].Index, "eth0"}) {
		t.Fatalf("%v", list)
	}
	for _, in := range list {
		if index, err := n.IfNametoindex(in.Name); index != in.Index || err != nil {
			t.Errorf("index of %s: %d, %v", in.Name, index, err)
		}
		if name, err := n.IfIndextoname(in.Index); name != in.Name || err != nil {
			t.Errorf("name of %d: %s, %v", in.Index, name, err)
		}
	}
	for _, name := range []string{"", "eth9", "a\x00", strings.Repeat("x", 300)} {
		_, err := n.IfNametoindex(name)
		wantErr(t, "if_nametoindex", err, endpoint.ENODEV)
	}
	for _, index := range []int{0, -1, 99, 1 << 30} {
		_, err := n.IfIndextoname(index)
		wantErr(t, "if_indextoname", err, endpoint.ENXIO)
	}
}

// TestCreateConnectionSource: a pair (host, port) is a source for either version
// of IP, as it is in Python.
func TestCreateConnectionSource(t *testing.T) {
	a, b := hosts(t)
	for _, to := range []Addr{InetAddr{"192.0.2.2", 0}, Inet6Addr{Host: "2001:db8::2"}} {
		l := listener(t, b, to)
		name, err := l.Getsockname()
		check(t, err)
		target, ok := name.(InetAddr)
		if v6, is6 := name.(Inet6Addr); is6 {
			target, ok = InetAddr{v6.Host, v6.Port}, true
		}
		if !ok {
			t.Fatal(name)
		}
		for port, source := range map[int]InetAddr{0: {"", 0}, 5550 + to.Family(): {"", 5550 + to.Family()}} {
			s, err := a.CreateConnection(target, Forever, source)
			if err != nil {
				t.Errorf("to %v from %v: %v", target, source, err)
				continue
			}
			own := s.Conn().LocalAddr().(*net.TCPAddr)
			if port != 0 && own.Port != port {
				t.Errorf("to %v from %v: %v", target, source, own)
			}
			check(t, s.Close())
		}
	}
}

// TestCreateServer makes servers of both families, and of both at once.
func TestCreateServer(t *testing.T) {
	a, b := hosts(t)
	port := func(s *Socket) int {
		name, err := s.Getsockname()
		check(t, err)
		if v4, ok := name.(InetAddr); ok {
			return v4.Port
		}
		return name.(Inet6Addr).Port
	}
	try := func(to Addr) error {
		c := open(t, a, to.Family(), SOCK_STREAM)
		defer c.Close()
		return c.Connect(to)
	}
	for _, c := range []struct {
		name     string
		addr     Addr
		cfg      ServerConfig
		v4, v6   bool
		reusable bool
	}{
		{"IPv4", InetAddr{"", 0}, ServerConfig{}, true, false, false},
		{"IPv6", Inet6Addr{}, ServerConfig{Backlog: 5}, false, true, false},
		{"IPv6 by a pair", InetAddr{"::", 0}, ServerConfig{Family: AF_INET6, Backlog: -1}, false, true, false},
		{"both", InetAddr{"", 0}, ServerConfig{Family: AF_INET6, DualstackIPv6: true}, true, true, false},
		{"reuse_port", InetAddr{"", 0}, ServerConfig{ReusePort: true}, true, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := b.CreateServer(c.addr, c.cfg)
			check(t, err)
			defer s.Close()
			if on, err := s.Getsockopt(SOL_SOCKET, SO_REUSEADDR); on != 1 || err != nil {
				t.Errorf("SO_REUSEADDR is %d, %v", on, err)
			}
			if err := try(InetAddr{"192.0.2.2", port(s)}); (err == nil) != c.v4 {
				t.Errorf("over IPv4: %v", err)
			}
			if err := try(Inet6Addr{Host: "2001:db8::2", Port: port(s)}); (err == nil) != c.v6 {
				t.Errorf("over IPv6: %v", err)
			}
			before := nextFd(t, b)
			again := c.cfg
			again.Family = s.Family()
			second, err := b.CreateServer(InetAddr{map[int]string{AF_INET: "", AF_INET6: "::"}[s.Family()], port(s)}, again)
			if c.reusable {
				check(t, err)
				second.Close()
			} else {
				wantErr(t, "the same port", err, endpoint.EADDRINUSE)
				if !strings.Contains(err.Error(), "while attempting to bind on address") {
					t.Errorf("the text is %q", err)
				}
			}
			if nextFd(t, b) != before {
				t.Error("something was left open")
			}
		})
	}
	if !a.HasDualstackIpv6() {
		t.Error("HasDualstackIpv6 is false")
	}
	only := hostOn(t, stack.Config{Families: []int{AF_INET6}})
	if only.HasDualstackIpv6() {
		t.Error("HasDualstackIpv6 is true without IPv4")
	}
	for _, err := range []error{
		second(only.CreateServer(Inet6Addr{}, ServerConfig{DualstackIPv6: true})),
		second(a.CreateServer(InetAddr{}, ServerConfig{DualstackIPv6: true})),
		second(a.CreateServer(InetAddr{Port: 70000}, ServerConfig{})),
		second(a.CreateServer(nil, ServerConfig{})),
	} {
		var ve *ValueError
		if !errors.As(err, &ve) {
			t.Errorf("%v, want a ValueError", err)
		}
	}
	wantErr(t, "another family", second(only.CreateServer(InetAddr{}, ServerConfig{})), endpoint.EAFNOSUPPORT)
	wantErr(t, "a path", second(a.CreateServer(UnixAddr{"x"}, ServerConfig{Family: AF_INET})), endpoint.EAFNOSUPPORT)
}

// TestIoctl asks how much waits, and changes the mode.
func TestIoctl(t *testing.T) {
	a, b := hosts(t)
	x, y := connected(t, a, b, InetAddr{"192.0.2.2", 0})
	check(t, x.Sendall([]byte("hello")))
	_, err := y.Wait(POLLIN, Forever)
	check(t, err)
	if n, err := y.Ioctl(FIONREAD, 0); n != 5 || err != nil {
		t.Errorf("FIONREAD: %d, %v", n, err)
	}
	u, v := pair(t, a, SOCK_DGRAM)
	for _, text := range []string{"abc", "defgh"} {
		_, err := u.Send([]byte(text))
		check(t, err)
	}
	if n, err := v.Ioctl(SIOCINQ, 0); n != 3 || err != nil {
		t.Errorf("SIOCINQ of datagrams: %d, %v", n, err)
	}
	s, r := pair(t, a, SOCK_STREAM)
	check(t, s.Sendall([]byte("abcd")))
	if n, err := s.Ioctl(SIOCOUTQ, 0); n < 4 || err != nil {
		t.Errorf("SIOCOUTQ: %d, %v", n, err)
	}
	_, err = r.Recv(4)
	check(t, err)
	if n, err := a.Ioctl(s.Fileno(), TIOCOUTQ, 0); n != 0 || err != nil {
		t.Errorf("TIOCOUTQ: %d, %v", n, err)
	}
	if n, err := y.Ioctl(SIOCATMARK, 0); n != 0 || err != nil {
		t.Errorf("SIOCATMARK: %d, %v", n, err)
	}
	_, err = s.Ioctl(FIONBIO, 1)
	check(t, err)
	_, err = s.Recv(1)
	wantErr(t, "recv after FIONBIO", err, endpoint.EAGAIN)
	_, err = s.Ioctl(FIONBIO, 0)
	check(t, err)
	if s.Gettimeout() != Forever {
		t.Error("FIONBIO 0 is not blocking mode")
	}
	l := listener(t, a, InetAddr{"", 0})
	_, err = l.Ioctl(FIONREAD, 0)
	wantErr(t, "FIONREAD of a listening socket", err, endpoint.EINVAL)
	_, err = l.Ioctl(0x5401, 0)
	wantErr(t, "TCGETS", err, endpoint.ENOTTY)
	_, err = u.Ioctl(SIOCATMARK, 0)
	wantErr(t, "SIOCATMARK of AF_UNIX datagrams", err, endpoint.EOPNOTSUPP)
	_, err = open(t, a, AF_INET, SOCK_DGRAM).Ioctl(SIOCATMARK, 0)
	wantErr(t, "SIOCATMARK of datagrams", err, endpoint.ENOTTY)
	l.Close()
	_, err = l.Ioctl(FIONBIO, 1)
	wantErr(t, "ioctl of a closed socket", err, endpoint.EBADF)
	_, err = a.Ioctl(99, FIONBIO, 1)
	wantErr(t, "ioctl of nothing", err, endpoint.EBADF)
}

// TestFcntl reads and changes flags, and duplicates.
func TestFcntl(t *testing.T) {
	n := host(t)
	s, err := n.Socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, 0)
	check(t, err)
	defer s.Close()
	want := func(what string, got int, err error, want int) {
		t.Helper()
		if got != want || err != nil {
			t.Errorf("%s: %#x, %v, want %#x", what, got, err, want)
		}
	}
	got, err := s.Fcntl(F_GETFD, 0)
	want("F_GETFD", got, err, FD_CLOEXEC)
	got, err = s.Fcntl(F_SETFD, 0)
	want("F_SETFD", got, err, 0)
	got, err = n.Fcntl(s.Fileno(), F_GETFD, 0)
	want("F_GETFD", got, err, 0)
	got, err = s.Fcntl(F_GETFL, 0)
	want("F_GETFL", got, err, O_RDWR|O_NONBLOCK)
	got, err = s.Fcntl(F_SETFL, got&^O_NONBLOCK)
	want("F_SETFL", got, err, 0)
	if s.Gettimeout() != Forever {
		t.Error("without O_NONBLOCK the mode is not blocking")
	}
	check(t, s.Settimeout(time.Second))
	got, err = s.Fcntl(F_GETFL, 0)
	want("F_GETFL with a timeout", got, err, O_RDWR|O_NONBLOCK)
	_, err = s.Fcntl(F_SETFL, O_NONBLOCK)
	check(t, err)
	if s.Gettimeout() != time.Second {
		t.Error("O_NONBLOCK takes the timeout away")
	}
	got, err = s.Fcntl(F_DUPFD, 40)
	want("F_DUPFD", got, err, 40)
	got, err = s.Fcntl(F_DUPFD_CLOEXEC, 40)
	want("F_DUPFD_CLOEXEC", got, err, 41)
	got, err = n.Fcntl(41, F_GETFD, 0)
	want("F_GETFD of the copy", got, err, FD_CLOEXEC)
	got, err = n.DupFd(41)
	want("dup takes the lowest", got, err, s.Fileno()+1)
	got, err = n.Fcntl(got, F_GETFD, 0)
	want("F_GETFD of a dup", got, err, 0)
	for _, bad := range [][2]int{{F_DUPFD, -1}, {F_DUPFD, 1 << 30}, {77, 0}, {-1, 0}} {
		_, err := s.Fcntl(bad[0], bad[1])
		wantErr(t, fmt.Sprint("fcntl ", bad), err, endpoint.EINVAL)
	}
	_, err = n.Fcntl(99, F_GETFL, 0)
	wantErr(t, "fcntl of nothing", err, endpoint.EBADF)
}

// plainReader is a reader that cannot seek.
type plainReader struct{ r io.Reader }

func (p plainReader) Read(b []byte) (int, error) { return p.r.Read(b) }

// TestSendfile sends files of every kind.
func TestSendfile(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 30_000)
	path := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(path, content, 0o600))
	for name, p := range streams(t) {
		a, b := p[0], p[1]
		for _, c := range []struct {
			name          string
			open          func() io.Reader
			offset, count int64
			want          []byte
			at            int64 // position afterwards; −1 for one that cannot seek
		}{
			{"a file", openFile(t, path, 0), 0, -1, content, 300_000},
			{"a file, whatever its position", openFile(t, path, 77), 0, -1, content, 300_000},
			{"a part of a file", openFile(t, path, 77), 5, 12, []byte("567890123456"), 17},
			{"a file beyond its end", openFile(t, path, 9), 1 << 40, -1, nil, 9},
			{"a reader that seeks", func() io.Reader { return bytes.NewReader(content) }, 3, 70_000, content[3:70_003], 70_003},
			{"a reader that seeks, from where it is", func() io.Reader {
				r := bytes.NewReader(content)
				r.Seek(1, io.SeekStart)
				return r
			}, 0, 2, content[1:3], 2},
			{"a reader", func() io.Reader { return plainReader{bytes.NewReader(content)} }, 0, 200_000, content[:200_000], -1},
		} {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				f := c.open()
				type result struct {
					n   int64
					err error
				}
				done := make(chan result, 1)
				go func() {
					n, err := a.Sendfile(f, c.offset, c.count)
					done <- result{n, err}
				}()
				got := make([]byte, len(c.want))
				if len(got) > 0 {
					_, err := b.RecvInto(got, 0, MSG_WAITALL)
					check(t, err)
				}
				r := <-done
				if r.n != int64(len(c.want)) || r.err != nil || !bytes.Equal(got, c.want) {
					t.Errorf("sent %d, %v, want %d", r.n, r.err, len(c.want))
				}
				if s, ok := f.(io.Seeker); ok {
					if at, err := s.Seek(0, io.SeekCurrent); at != c.at || err != nil {
						t.Errorf("the position is %d, %v, want %d", at, err, c.at)
					}
				}
			})
		}
		var ve *ValueError
		for _, bad := range [][2]int64{{0, 0}, {0, -2}, {-1, -1}} {
			if n, err := a.Sendfile(bytes.NewReader(content), bad[0], bad[1]); !errors.As(err, &ve) || n != 0 {
				t.Errorf("offset %d, count %d: %d, %v", bad[0], bad[1], n, err)
			}
		}
		_, err := a.Sendfile(plainReader{bytes.NewReader(content)}, 1, -1)
		wantErr(t, "an offset without a seek", err, endpoint.ESPIPE)
		// A timeout leaves the position where it was sent to.
		check(t, a.Settimeout(time.Millisecond))
		r := &endless{}
		n, err := a.Sendfile(r, 0, -1)
		if !errors.Is(err, ErrTimeout) || n <= 0 || r.at != n {
			t.Errorf("%s: sent %d, at %d, %v", name, n, r.at, err)
		}
		check(t, a.Settimeout(0))
		if _, err := a.Sendfile(bytes.NewReader(content), 0, -1); !errors.As(err, &ve) {
			t.Errorf("non-blocking: %v", err)
		}
		a.Close()
		_, err = a.Sendfile(bytes.NewReader(content), 0, -1)
		wantErr(t, "a closed socket", err, endpoint.EBADF)
	}
	var ve *ValueError
	if _, err := open(t, host(t), AF_INET, SOCK_DGRAM).Sendfile(bytes.NewReader(nil), 0, -1); !errors.As(err, &ve) {
		t.Errorf("a datagram socket: %v", err)
	}
	failing := errors.New("the disk burns")
	a, _ := pair(t, host(t), SOCK_STREAM)
	n, err := a.Sendfile(io.MultiReader(strings.NewReader("abc"), failReader{failing}), 0, -1)
	if n != 3 || !errors.Is(err, failing) {
		t.Errorf("%d, %v", n, err)
	}
}

func openFile(t *testing.T, path string, at int64) func() io.Reader {
	return func() io.Reader {
		f, err := os.Open(path)
		check(t, err)
		t.Cleanup(func() { f.Close() })
		_, err = f.Seek(at, io.SeekStart)
		check(t, err)
		var _ fs.File = f
		return f
	}
}

type failReader struct{ err error }

func (f failReader) Read([]byte) (int, error) { return 0, f.err }

// endless is a file without an end.
type endless struct{ at int64 }

func (e *endless) Read(b []byte) (int, error) { e.at += int64(len(b)); return len(b), nil }
func (e *endless) Seek(offset int64, _ int) (int64, error) {
	e.at = offset
	return offset, nil
}

// TestLowestDescriptor: whatever is closed in between, the lowest free
// descriptor is next.
func TestLowestDescriptor(t *testing.T) {
	n := host(t)
	s := open(t, n, AF_UNIX, SOCK_DGRAM)
	var fds []int
	for range 50 {
		fd, err := n.DupFd(s.Fileno())
		check(t, err)
		fds = append(fds, fd)
	}
	for _, i := range []int{40, 7, 8, 33, 0} {
		check(t, n.CloseFd(fds[i]))
	}
	high, err := s.Fcntl(F_DUPFD, fds[8]+1)
	check(t, err)
	var got []int
	for range 5 {
		fd, err := n.DupFd(s.Fileno())
		check(t, err)
		got = append(got, fd)
	}
	if want := []int{fds[0], fds[7], fds[8], fds[40], fds[49] + 1}; high != fds[33] || !slices.Equal(got, want) {
		t.Errorf("%d, then %v, want %d, then %v", high, got, fds[33], want)
	}
}
