//go:build linux

package unix

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"usersock/stack/endpoint"
	"usersock/stack/internal/kernel"
)

// TestAgainstLinux runs each script over the kernel's sockets and over ours,
// and compares what they say, line by line.
func TestAgainstLinux(t *testing.T) {
	for _, typ := range []struct {
		name string
		typ  int
	}{
		{"stream", endpoint.SOCK_STREAM},
		{"dgram", endpoint.SOCK_DGRAM},
		{"seqpacket", endpoint.SOCK_SEQPACKET},
	} {
		for _, s := range all() {
			t.Run(typ.name+"/"+s.name, func(t *testing.T) {
				linux := newStage(t, typ.typ, kernel.Family{AF: endpoint.AF_UNIX}, true)
				s.play(linux)
				f := New(Config{})
				here := newStage(t, typ.typ, f, false)
				here.unlink = f.Unlink
				s.play(here)
				compare(t, linux.log, here.log)
			})
		}
	}
}

func compare(t *testing.T, linux, here []string) {
	if len(linux) == 0 {
		t.Fatal("the script said nothing")
	}
	for i := range max(len(linux), len(here)) {
		l, h := "(nothing)", "(nothing)"
		if i < len(linux) {
			l = linux[i]
		}
		if i < len(here) {
			h = here[i]
		}
		if l != h {
			t.Errorf("line %d:\nLinux: %s\nours:  %s", i+1, l, h)
		}
	}
}

// stage is where a script plays: a family, and the log of what it did.
type stage struct {
	t      *testing.T
	typ    int
	family interface {
		endpoint.Family
		endpoint.Pairer
	}
	cred   endpoint.Cred
	dir    string
	prefix string // of abstract names
	unlink func(string) error
	real   bool
	log    []string
	names  map[endpoint.Endpoint]string
	held   map[endpoint.Endpoint]*description
}

func newStage(t *testing.T, typ int, f interface {
	endpoint.Family
	endpoint.Pairer
}, real bool) *stage {
	s := &stage{t: t, typ: typ, family: f, real: real, names: make(map[endpoint.Endpoint]string),
		held: make(map[endpoint.Endpoint]*description)}
	s.cred = endpoint.Cred{Pid: int32(os.Getpid()), Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())}
	s.dir = "/run"
	s.unlink = func(path string) error {
		err := os.Remove(path)
		if e, ok := endpoint.FromHost(err); ok {
			return e
		}
		return err
	}
	if real {
		dir, err := os.MkdirTemp("", "u")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		s.dir = dir
	}
	s.prefix = fmt.Sprintf("\x00%d-%s-", os.Getpid(), t.Name())
	if len(s.prefix) > 60 {
		s.prefix = s.prefix[:60]
	}
	return s
}

// autobound is a name that autobind chose: which one does not matter.
var autobound = regexp.MustCompile(`@[0-9a-f]{5}\b`)

// say logs one line, without what differs by nature.
func (s *stage) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	line = strings.ReplaceAll(line, s.dir, "DIR")
	line = strings.ReplaceAll(line, "@"+s.prefix[1:], "@PREFIX-")
	line = autobound.ReplaceAllString(line, "")
	s.log = append(s.log, line)
}

func (s *stage) path(name string) endpoint.Addr { return endpoint.Unix(s.dir + "/" + name) }

func (s *stage) abstract(name string) endpoint.Addr { return endpoint.Unix(s.prefix + name) }

func errName(err error) string {
	var e endpoint.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &e):
		return e.Name()
	}
	return err.Error()
}

func (s *stage) track(name string, e endpoint.Endpoint, err error) endpoint.Endpoint {
	s.say("%s: %s", name, errName(err))
	if err == nil {
		s.names[e] = name
		s.t.Cleanup(func() { e.Close() })
	}
	return e
}

func (s *stage) open(name string) endpoint.Endpoint { return s.openType(name, s.typ, 0) }

func (s *stage) openType(name string, typ, proto int) endpoint.Endpoint {
	e, err := s.family.Open(endpoint.Request{Type: typ, Protocol: proto, Cred: s.cred})
	return s.track("open "+name, e, err)
}

func (s *stage) pair() (a, b endpoint.Endpoint) {
	a, b, err := s.family.Pair(endpoint.Request{Type: s.typ, Cred: s.cred})
	s.track("a", a, err)
	s.track("b", b, err)
	return a, b
}

func (s *stage) bind(e endpoint.Endpoint, a endpoint.Addr) {
	err := e.Bind(a)
	got, _ := e.LocalAddr()
	s.say("%s bind %v: %s, is %v", s.names[e], a, errName(err), got)
}

func (s *stage) connect(e endpoint.Endpoint, a endpoint.Addr) {
	err := e.Connect(a)
	peer, perr := e.PeerAddr()
	s.say("%s connect %v: %s, peer %v %s", s.names[e], a, errName(err), peer, errName(perr))
}

func (s *stage) listen(e endpoint.Endpoint, n int) {
	s.say("%s listen %d: %s", s.names[e], n, errName(e.Listen(n)))
}

func (s *stage) accept(e endpoint.Endpoint, name string) endpoint.Endpoint {
	n, from, err := e.Accept()
	s.track(fmt.Sprintf("%s accept from %v", name, from), n, err)
	if err == nil {
		s.names[n] = name
		local, _ := n.LocalAddr()
		peer, perr := n.PeerAddr()
		s.say("%s is %v, peer %v %s", name, local, peer, errName(perr))
	}
	return n
}

func (s *stage) send(e endpoint.Endpoint, text string) { s.sendMsg(e, endpoint.Message{}, text) }

func (s *stage) sendMsg(e endpoint.Endpoint, m endpoint.Message, text string) {
	m.Bufs = [][]byte{[]byte(text)}
	n, err := e.Send(m)
	if len(text) > 20 {
		text = fmt.Sprint(len(text), " bytes")
	}
	s.say("%s send %q to %v flags %#x, %d items: %d, %s", s.names[e], text, m.To, m.Flags, len(m.Control), n, errName(err))
}

func (s *stage) recv(e endpoint.Endpoint, size, flags int) { s.recvMsg(e, size, flags, false) }

func (s *stage) recvMsg(e endpoint.Endpoint, size, flags int, control bool) {
	buf := make([]byte, size)
	r, err := e.Recv(endpoint.RecvRequest{Bufs: [][]byte{buf}, Flags: flags | endpoint.MSG_DONTWAIT, Control: control})
	text := string(buf[:r.N])
	if len(text) > 20 {
		text = fmt.Sprint(len(text), " bytes")
	}
	line := fmt.Sprintf("%s recv %d flags %#x control %v: %q, %d of %d, flags %#x, from %v, %s",
		s.names[e], size, flags, control, text, r.N, r.Size, r.Flags, r.From, errName(err))
	for _, c := range r.Control {
		switch {
		case c.Type == endpoint.SCM_CREDENTIALS && bytes.Equal(c.Data, credBytes(s.cred)):
			line += ", own credentials"
		case c.Type == endpoint.SCM_TIMESTAMP || c.Type == endpoint.SCM_TIMESTAMPNS:
			line += fmt.Sprintf(", item %d of %d bytes", c.Type, len(c.Data))
		default:
			line += fmt.Sprintf(", item %d % x, %d rights", c.Type, c.Data, len(c.Rights))
		}
	}
	s.say("%s", line)
}

func (s *stage) shutdown(e endpoint.Endpoint, how int) {
	s.say("%s shutdown %d: %s", s.names[e], how, errName(e.Shutdown(how)))
}

func (s *stage) close(e endpoint.Endpoint) { s.say("%s close: %s", s.names[e], errName(e.Close())) }

func (s *stage) ready(es ...endpoint.Endpoint) {
	for _, e := range es {
		s.say("%s ready %#x", s.names[e], e.Ready(endpoint.In|endpoint.Out|endpoint.RdHup))
	}
}

func (s *stage) opt(e endpoint.Endpoint, name int) {
	buf := make([]byte, 16)
	n, err := e.Option(endpoint.SOL_SOCKET, name, buf)
	s.say("%s option %d: % x, %s", s.names[e], name, buf[:n], errName(err))
}

func (s *stage) set(e endpoint.Endpoint, name, v int) {
	var b [4]byte
	endpoint.PutInt(b[:], v)
	s.say("%s set option %d to %d: %s", s.names[e], name, v, errName(e.SetOption(endpoint.SOL_SOCKET, name, b[:])))
}

func (s *stage) cred4(e endpoint.Endpoint) {
	var buf [12]byte
	_, err := e.Option(endpoint.SOL_SOCKET, endpoint.SO_PEERCRED, buf[:])
	if bytes.Equal(buf[:], credBytes(s.cred)) {
		s.say("%s: SO_PEERCRED is ours, %s", s.names[e], errName(err))
	} else {
		s.say("%s: SO_PEERCRED % x, %s", s.names[e], buf, errName(err))
	}
}

func credBytes(c endpoint.Cred) []byte {
	b := make([]byte, 12)
	endpoint.PutCred(b, c)
	return b
}

func rightsItem(n int) endpoint.Control {
	c := endpoint.Control{Level: endpoint.SOL_SOCKET, Type: endpoint.SCM_RIGHTS}
	for range n {
		c.Rights = append(c.Rights, nothing{})
	}
	return c
}

func withItems(items ...endpoint.Control) endpoint.Message { return endpoint.Message{Control: items} }
