package sockapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	. "usersock/sockapi"
	"usersock/stack/endpoint"
)

// epollSide is what a script does its steps with: the kernel's epoll and
// sockets, or ours. Sockets are known by letters.
type epollSide interface {
	pair(typ int, a, b string)
	tcp(a, b string)
	dup(from, to string)
	close(a string)
	send(a, text string)
	recv(a string, n int)
	shut(a string, how int)
	listen(a string)
	dial(a, to string)
	accept(from, a string)

	add(a string, events uint32, data int) error
	modify(a string, events uint32, data int) error
	remove(a string) error
	wait(room int) (events []PollerEvent, err error)
}

// pollScript is a script: its steps, and after each what is reported.
type pollScript struct {
	name string
	run  func(s epollSide, show func(string, error))
}

const (
	in, out, rdhup, et, one = EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLET, EPOLLONESHOT
)

var pollScripts = []pollScript{
	{"level", func(s epollSide, show func(string, error)) {
		s.pair(unix.SOCK_STREAM, "a", "b")
		show("add", s.add("a", in, 1))
		s.send("b", "xy")
		show("sent", nil)
		s.recv("a", 1)
		show("one read", nil)
		s.recv("a", 1)
		show("all read", nil)
		show("modify", s.modify("a", in|out, 2))
		show("remove", s.remove("a"))
		show("remove again", s.remove("a"))
	}},
	{"edge", func(s epollSide, show func(string, error)) {
		s.pair(unix.SOCK_STREAM, "a", "b")
		s.send("b", "xy")
		show("add", s.add("a", in|et, 1))
		show("nothing new", nil)
		s.send("b", "z")
		s.recv("a", 3)
		show("new and read", nil)
		s.send("b", "1")
		show("new", nil)
		show("modify", s.modify("a", in|et, 2))
		show("nothing new", nil)
	}},
	{"edge of datagrams", func(s epollSide, show func(string, error)) {
		s.pair(unix.SOCK_DGRAM, "a", "b")
		show("add", s.add("a", in|et, 1))
		s.send("b", "x")
		s.send("b", "y")
		show("two sent", nil)
		show("nothing new", nil)
		s.recv("a", 9)
		show("one read", nil)
		s.recv("a", 9)
		s.send("b", "z")
		show("a third", nil)
	}},
	{"edge of a datagram that joins others", func(s epollSide, show func(string, error)) {
		s.pair(unix.SOCK_DGRAM, "a", "b")
		show("add", s.add("a", in|et, 1))
		s.send("b", "x")
		show("sent", nil)
		s.send("b", "y")
		show("another sent", nil)
	}},
	{"one-shot", func(s epollSide, show func(string, error)) {
		s.pair(unix.SOCK_STREAM, "a", "b")
		show("add", s.add("a", in|one, 1))
		s.send("b", "x")
		show("sent", nil)
		s.send("b", "y")
		show("disabled", nil)
		show("modify", s.modify("a", in|out|one, 2))
		s.close("b")
		show("closed, and disabled", nil)
		show("modify", s.modify("a", one, 3))
	}},
	{"ends of a stream", func(s epollSide, show func(string, error)) {
		s.pair(unix.SOCK_STREAM, "a", "b")
		show("add", s.add("a", in|rdhup, 1))
		s.shut("b", unix.SHUT_WR)
		show("the other has shut", nil)
		show("without rdhup", s.modify("a", in, 1))
		show("with nothing", s.modify("a", 0, 1))
		s.shut("a", unix.SHUT_WR)
		show("both have shut", nil)
	}},
	{"ends of a TCP connection", func(s epollSide, show func(string, error)) {
		s.tcp("a", "b")
		show("add", s.add("a", in|out|rdhup, 1))
		s.send("b", "x")
		s.shut("b", unix.SHUT_WR)
		s.recv("a", 1)
		show("the other has shut", nil)
		s.shut("a", unix.SHUT_WR)
		show("both have shut", nil)
	}},
	{"a connection to accept", func(s epollSide, show func(string, error)) {
		s.listen("l")
		show("add", s.add("l", in, 1))
		s.dial("a", "l")
		show("one", nil)
		s.accept("l", "b")
		show("accepted", nil)
	}},
	{"duplicates", func(s epollSide, show func(string, error)) {
		s.pair(unix.SOCK_STREAM, "a", "b")
		s.dup("a", "c")
		show("add", s.add("a", in, 1))
		show("add again", s.add("a", in, 1))
		show("add the duplicate", s.add("c", in, 2))
		s.send("b", "x")
		show("both", nil)
		s.close("a")
		show("the first is closed", nil)
		show("modify it", s.modify("a", in, 9))
		show("remove it", s.remove("a"))
		s.close("c")
		show("all closed", nil)
	}},
	{"a number given out again", func(s epollSide, show func(string, error)) {
		s.pair(unix.SOCK_STREAM, "a", "b")
		s.dup("a", "c")
		show("add", s.add("a", in, 1))
		s.send("b", "x")
		s.close("a")
		s.dup("b", "a2") // takes the number
		show("it is not there", s.modify("a2", in, 2))
		show("add", s.add("a2", out, 2))
		s.close("c")
		show("the old one is gone", nil)
		show("remove", s.remove("a2"))
	}},
	{"nothing to add", func(s epollSide, show func(string, error)) {
		s.pair(unix.SOCK_STREAM, "a", "b")
		show("modify", s.modify("a", in, 1))
		show("modify to exclusive", s.modify("a", in|EPOLLEXCLUSIVE, 1))
		show("exclusive", s.add("a", in|EPOLLEXCLUSIVE|one, 1))
		show("exclusive", s.add("a", in|EPOLLEXCLUSIVE|et, 1))
		show("modify", s.modify("a", in, 1))
		show("remove", s.remove("a"))
		s.close("a")
		show("closed", s.add("a", in, 1))
	}},
	{"no room", func(s epollSide, show func(string, error)) {
		_, err := s.wait(0)
		show("wait", err)
		_, err = s.wait(-1)
		show("wait", err)
	}},
	{"many", func(s epollSide, show func(string, error)) {
		for i := range 5 {
			a := string(rune('a' + i))
			s.pair(unix.SOCK_DGRAM, a, strings.ToUpper(a))
			show("add", s.add(a, in, i))
		}
		for _, b := range []string{"D", "A", "C"} {
			s.send(b, "x")
		}
		for range 4 {
			events, err := s.wait(2)
			show(fmt.Sprint("two of ", dataOf(events)), err)
		}
	}},
}

func dataOf(events []PollerEvent) (list []int) {
	for _, e := range events {
		list = append(list, e.Data.(int))
	}
	return list
}

// TestPollerLikeEpoll runs the same scripts on the kernel's epoll and on a
// Poller.
func TestPollerLikeEpoll(t *testing.T) {
	for _, script := range pollScripts {
		t.Run(script.name, func(t *testing.T) {
			run := func(s epollSide) (lines []string) {
				script.run(s, func(what string, err error) {
					events, werr := s.wait(16)
					line := what
					if e := errnoOf(err); e != 0 {
						line += " " + e.Name()
					} else if err != nil {
						line += " " + err.Error()
					}
					for _, e := range events {
						line += fmt.Sprintf(", %d: %#x", e.Data, e.Events)
					}
					if werr != nil {
						line += " " + werr.Error()
					}
					lines = append(lines, line)
				})
				return lines
			}
			want, got := run(newKernelEpoll(t)), run(newOurPoller(t))
			if !slices.Equal(got, want) {
				t.Errorf("\n%s\nthe kernel:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

type kernelEpoll struct {
	t   *testing.T
	ep  int
	fds map[string]int
}

func newKernelEpoll(t *testing.T) *kernelEpoll {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	check(t, err)
	k := &kernelEpoll{t, ep, map[string]int{}}
	t.Cleanup(func() {
		unix.Close(ep)
		for _, fd := range k.fds {
			unix.Close(fd)
		}
	})
	return k
}

func (k *kernelEpoll) socket() int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	check(k.t, err)
	return fd
}

func (k *kernelEpoll) pair(typ int, a, b string) {
	fds, err := unix.Socketpair(unix.AF_UNIX, typ|unix.SOCK_CLOEXEC, 0)
	check(k.t, err)
	k.fds[a], k.fds[b] = fds[0], fds[1]
}
func (k *kernelEpoll) tcp(a, b string) {
	k.listen("listener")
	k.dial(a, "listener")
	k.accept("listener", b)
	k.close("listener")
}
func (k *kernelEpoll) listen(a string) {
	fd := k.socket()
	check(k.t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	check(k.t, unix.Listen(fd, 8))
	k.fds[a] = fd
}
func (k *kernelEpoll) dial(a, to string) {
	sa, err := unix.Getsockname(k.fds[to])
	check(k.t, err)
	k.fds[a] = k.socket()
	check(k.t, unix.Connect(k.fds[a], sa))
}
func (k *kernelEpoll) accept(from, a string) {
	fd, _, err := unix.Accept4(k.fds[from], unix.SOCK_CLOEXEC)
	check(k.t, err)
	k.fds[a] = fd
}
func (k *kernelEpoll) dup(from, to string) {
	// The lowest free one need not be the number that was closed: other tests
	// open files. So the script's number is asked for.
	fd, err := unix.Dup(k.fds[from])
	check(k.t, err)
	if old, ok := k.fds[strings.TrimSuffix(to, "2")]; ok && to != strings.TrimSuffix(to, "2") && fd != old {
		check(k.t, unix.Dup3(fd, old, unix.O_CLOEXEC))
		unix.Close(fd)
		fd = old
	}
	k.fds[to] = fd
}
func (k *kernelEpoll) close(a string) { check(k.t, unix.Close(k.fds[a])) }
func (k *kernelEpoll) send(a, text string) {
	_, err := unix.Write(k.fds[a], []byte(text))
	check(k.t, err)
}
func (k *kernelEpoll) recv(a string, n int) {
	_, _, err := unix.Recvfrom(k.fds[a], make([]byte, n), unix.MSG_WAITALL)
	check(k.t, err)
}
func (k *kernelEpoll) shut(a string, how int) { check(k.t, unix.Shutdown(k.fds[a], how)) }

func (k *kernelEpoll) ctl(op int, a string, events uint32, data int) error {
	err := unix.EpollCtl(k.ep, op, k.fds[a], &unix.EpollEvent{Events: events, Fd: int32(data)})
	if e, ok := endpoint.FromHost(err); ok {
		return e
	}
	return err
}
func (k *kernelEpoll) add(a string, events uint32, data int) error {
	return k.ctl(unix.EPOLL_CTL_ADD, a, events, data)
}
func (k *kernelEpoll) modify(a string, events uint32, data int) error {
	return k.ctl(unix.EPOLL_CTL_MOD, a, events, data)
}
func (k *kernelEpoll) remove(a string) error { return k.ctl(unix.EPOLL_CTL_DEL, a, 0, 0) }
func (k *kernelEpoll) wait(room int) (list []PollerEvent, err error) {
	if room <= 0 {
		return nil, endpoint.EINVAL // x/sys would not even ask
	}
	events := make([]unix.EpollEvent, room)
	n, err := unix.EpollWait(k.ep, events, 0)
	check(k.t, err)
	for _, e := range events[:n] {
		list = append(list, PollerEvent{Events: e.Events, Data: int(e.Fd)})
	}
	return list, nil
}

type ourPoller struct {
	t    *testing.T
	n    *Net
	p    *Poller
	ends map[string]*Socket
	fds  map[string]int
}

func newOurPoller(t *testing.T) *ourPoller {
	n := host(t)
	return &ourPoller{t, n, n.Poller(), map[string]*Socket{}, map[string]int{}}
}

func (o *ourPoller) name(a string, s *Socket) { o.ends[a], o.fds[a] = s, s.Fileno() }
func (o *ourPoller) pair(typ int, a, b string) {
	x, y := pair(o.t, o.n, typ)
	o.name(a, x)
	o.name(b, y)
}
func (o *ourPoller) tcp(a, b string) {
	x, y := connected(o.t, o.n, o.n, InetAddr{"127.0.0.1", 0})
	o.name(a, x)
	o.name(b, y)
}
func (o *ourPoller) listen(a string) { o.name(a, listener(o.t, o.n, InetAddr{"127.0.0.1", 0})) }
func (o *ourPoller) dial(a, to string) {
	name, err := o.ends[to].Getsockname()
	check(o.t, err)
	o.name(a, open(o.t, o.n, AF_INET, SOCK_STREAM))
	check(o.t, o.ends[a].Connect(name))
	_, err = o.ends[to].Wait(POLLIN, Forever) // the last packet of the handshake
	check(o.t, err)
}
func (o *ourPoller) accept(from, a string) {
	s, _, err := o.ends[from].Accept()
	check(o.t, err)
	o.t.Cleanup(func() { s.Close() })
	o.name(a, s)
}
func (o *ourPoller) dup(from, to string) {
	s, err := o.ends[from].Dup()
	check(o.t, err)
	o.t.Cleanup(func() { s.Close() })
	o.name(to, s)
}
func (o *ourPoller) close(a string) { check(o.t, o.ends[a].Close()) }
func (o *ourPoller) send(a, text string) {
	_, err := o.ends[a].Send([]byte(text))
	check(o.t, err)
}
func (o *ourPoller) recv(a string, n int) {
	_, err := o.ends[a].Recv(n, MSG_WAITALL)
	check(o.t, err)
}
func (o *ourPoller) shut(a string, how int) {
	check(o.t, o.ends[a].Shutdown(how))
	if o.ends[a].Family() == AF_INET { // the FIN is on its way
		for name, s := range o.ends {
			if name != a && s.Fileno() >= 0 {
				_, err := s.Wait(POLLRDHUP, Forever)
				check(o.t, err)
			}
		}
	}
}
func (o *ourPoller) add(a string, events uint32, data int) error {
	return o.p.Add(o.fds[a], events, data)
}
func (o *ourPoller) modify(a string, events uint32, data int) error {
	return o.p.Modify(o.fds[a], events, data)
}
func (o *ourPoller) remove(a string) error { return o.p.Remove(o.fds[a]) }
func (o *ourPoller) wait(room int) ([]PollerEvent, error) {
	events := make([]PollerEvent, max(room, 0))
	n, err := o.p.Wait(events, 0)
	if err != nil {
		return nil, errnoOf(err)
	}
	return events[:n], nil
}
