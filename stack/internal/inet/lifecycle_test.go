package inet

import (
	"bytes"
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"usersock/stack/endpoint"
)

// Every error type of netstack has a line in the errno table.
func TestErrnoTableIsComplete(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "gvisor.dev/gvisor/pkg/tcpip").Output()
	if err != nil {
		t.Skipf("netstack's source cannot be found: %v", err)
	}
	fset := token.NewFileSet()
	parse := func(path string) *ast.File {
		f, err := parser.ParseFile(fset, path, nil, 0)
		check(t, err)
		return f
	}
	var want []string
	ast.Inspect(parse(filepath.Join(strings.TrimSpace(string(out)), "errors.go")), func(n ast.Node) bool {
		if s, ok := n.(*ast.TypeSpec); ok && strings.HasPrefix(s.Name.Name, "Err") && s.Name.Name != "Error" {
			want = append(want, s.Name.Name)
		}
		return true
	})
	if len(want) < 40 {
		t.Fatalf("only %d error types were found", len(want))
	}
	var have []string
	ast.Inspect(parse("errno.go"), func(n ast.Node) bool {
		if c, ok := n.(*ast.CaseClause); ok {
			for _, e := range c.List {
				if star, ok := e.(*ast.StarExpr); ok {
					have = append(have, star.X.(*ast.SelectorExpr).Sel.Name)
				}
			}
		}
		return true
	})
	for _, name := range want {
		if !slices.Contains(have, name) {
			t.Errorf("%s has no errno", name)
		}
	}
	if number(nil) != endpoint.EIO || errno(nil) != nil {
		t.Error("no error is not nil, or the unknown is not EIO")
	}
}

func TestOpen(t *testing.T) {
	p := newProtocols(t, true, true)
	for _, c := range []struct {
		typ, proto int
		want       error
	}{
		{endpoint.SOCK_STREAM, 0, nil},
		{endpoint.SOCK_STREAM, endpoint.IPPROTO_TCP, nil},
		{endpoint.SOCK_DGRAM, endpoint.IPPROTO_UDP, nil},
		{endpoint.SOCK_STREAM, endpoint.IPPROTO_UDP, endpoint.EPROTONOSUPPORT},
		{endpoint.SOCK_DGRAM, endpoint.IPPROTO_TCP, endpoint.EPROTONOSUPPORT},
		{endpoint.SOCK_RDM, 0, endpoint.ESOCKTNOSUPPORT},
		{endpoint.SOCK_SEQPACKET, 0, endpoint.ESOCKTNOSUPPORT},
		{-1, 0, endpoint.EINVAL},
		{11, 0, endpoint.EINVAL},
		{endpoint.SOCK_STREAM, -1, endpoint.EINVAL},
		{endpoint.SOCK_STREAM, 263, endpoint.EINVAL},
	} {
		ep, err := p.Family(endpoint.AF_INET).Open(endpoint.Request{Type: c.typ, Protocol: c.proto})
		if err != c.want {
			t.Errorf("type %d protocol %d: %v, want %v", c.typ, c.proto, err, c.want)
		}
		if err == nil {
			ep.Close()
		}
	}
}

// A stack of one family alone serves that family and refuses the other.
func TestOneFamily(t *testing.T) {
	t.Run("IPv6", func(t *testing.T) {
		p := newProtocols(t, false, true)
		if p.Family(endpoint.AF_INET) != nil {
			t.Error("AF_INET is served")
		}
		c, s := pair(t, p, lo6)
		_, err := c.send([]byte("six"))
		check(t, err)
		if got, _, err := s.recv(9, 0); got != "six" || err != nil {
			t.Error(got, err)
		}
		mapped := inet(netip.AddrFrom16(lo4.As16()), 9)
		wantErrno(t, "connect", open(t, p, endpoint.AF_INET6, endpoint.SOCK_STREAM).Connect(mapped), endpoint.ENETUNREACH)
		wantErrno(t, "bind", open(t, p, endpoint.AF_INET6, endpoint.SOCK_STREAM).Bind(mapped), endpoint.EADDRNOTAVAIL)
		u := open(t, p, endpoint.AF_INET6, endpoint.SOCK_DGRAM)
		wantErrno(t, "udp connect", u.Connect(mapped), endpoint.ENETUNREACH)
		_, err = u.Send(endpoint.Message{Bufs: [][]byte{{1}}, To: mapped})
		wantErrno(t, "udp send", err, endpoint.ENETUNREACH)
		u = open(t, p, endpoint.AF_INET6, endpoint.SOCK_DGRAM) // the first one has a port now
		wantErrno(t, "udp bind", u.Bind(mapped), endpoint.EADDRNOTAVAIL)
		check(t, u.Bind(inet(netip.IPv6Unspecified(), 0)))
		l := open(t, p, endpoint.AF_INET6, endpoint.SOCK_STREAM)
		check(t, l.Bind(inet(netip.IPv6Unspecified(), 0)))
		check(t, l.Listen(1))
		check(t, open(t, p, endpoint.AF_INET6, endpoint.SOCK_STREAM).connect(inet(lo6, l.local().Port)))
	})
	t.Run("IPv4", func(t *testing.T) {
		p := newProtocols(t, true, false)
		if p.Family(endpoint.AF_INET6) != nil || p.Family(endpoint.AF_UNIX) != nil {
			t.Error("another family is served")
		}
		pair(t, p, lo4)
	})
}

// An address of another family is refused before it has any effect.
func TestForeignFamily(t *testing.T) {
	p := newProtocols(t, true, true)
	for _, k := range kinds {
		other := inet(lo6, 9)
		if k.af == endpoint.AF_INET6 {
			other = inet(lo4, 9)
		}
		s := open(t, p, k.af, k.typ)
		wantErrno(t, k.name+" bind", s.Bind(other), endpoint.EAFNOSUPPORT)
		wantErrno(t, k.name+" connect", s.Connect(other), endpoint.EAFNOSUPPORT)
		_, err := s.Send(endpoint.Message{Bufs: [][]byte{{1}}, To: other})
		wantErrno(t, k.name+" send", err, endpoint.EAFNOSUPPORT)
		wantErrno(t, k.name+" bind to nothing", s.Bind(endpoint.Addr{}), endpoint.EAFNOSUPPORT)
		if a := s.local(); a.Port != 0 {
			t.Errorf("%s has an address: %v", k.name, a)
		}
	}
}

// handClock is a clock whose timers run when the test says.
type handClock struct {
	endpoint.Clock
	mu     sync.Mutex
	timers []*handTimer
	armed  chan struct{}
}

type handTimer struct {
	c *handClock
	f func()
}

func newHandClock() *handClock {
	return &handClock{Clock: endpoint.SystemClock(), armed: make(chan struct{}, 100)}
}

func (c *handClock) AfterFunc(d time.Duration, f func()) endpoint.Timer {
	t := &handTimer{c, f}
	t.Reset(d)
	return t
}

func (t *handTimer) Stop() bool { return false }

func (t *handTimer) Reset(time.Duration) {
	t.c.mu.Lock()
	t.c.timers = append(t.c.timers, t)
	t.c.mu.Unlock()
	t.c.armed <- struct{}{}
}

// tick waits for a timer and runs it.
func (c *handClock) tick(t *testing.T) {
	t.Helper()
	select {
	case <-c.armed:
	case <-time.After(patience):
		t.Fatal("no timer was set")
	}
	c.mu.Lock()
	timer := c.timers[0]
	c.timers = c.timers[1:]
	c.mu.Unlock()
	timer.f()
}

func (c *handClock) pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.timers)
}

// A lingering close hears of the acknowledged FIN although netstack says
// nothing, and the timer that looks for it ends with the last who waits.
func TestLingerFinWait2(t *testing.T) {
	clock := newHandClock()
	p := New(Config{Stack: newStack(t, true, true), Clock: clock, IPv4: true, IPv6: true})
	c, s := pair(t, p, lo4)
	check(t, c.SetOption(endpoint.SOL_SOCKET, endpoint.SO_LINGER, append(intData(1), intData(5)...)))
	_, err := c.send([]byte("last words"))
	check(t, err)
	check(t, c.Close())
	// The peer reads everything and its end, but does not close.
	got, _, err := s.recv(100, 0)
	if got != "last words" || err != nil {
		t.Fatal(got, err)
	}
	if got, _, err = s.recv(100, 0); got != "" || err != nil {
		t.Fatal(got, err)
	}
	for c.Ready(endpoint.Hup)&endpoint.Hup == 0 {
		clock.tick(t)
	}
	c.await(endpoint.Hup)
	// Drain finds nothing to wait for, and no timer is left.
	for clock.pending() > 0 {
		clock.tick(t)
	}
	check(t, p.Drain(context.Background()))
	if n := clock.pending(); n != 0 {
		t.Errorf("%d timers are left", n)
	}
}

// Drain waits for the bytes of a closed connection, and no longer.
func TestDrain(t *testing.T) {
	p := newProtocols(t, true, true)
	check(t, p.Drain(context.Background()))
	c, s := pair(t, p, lo6)
	check(t, s.SetOption(endpoint.SOL_SOCKET, endpoint.SO_RCVBUF, intData(0)))
	data := bytes.Repeat([]byte("0123456789"), 1<<17)
	n, err := c.Send(endpoint.Message{Bufs: [][]byte{data}})
	check(t, err)
	check(t, c.Close())
	if c.Ready(endpoint.Hup) != 0 {
		t.Error("hung up before the bytes were delivered")
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.Drain(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("Drain with bytes under way: %v", err)
	}
	drained := make(chan error, 1)
	go func() { drained <- p.Drain(context.Background()) }()
	total := 0
	for {
		got, _, err := s.recv(1<<16, 0)
		check(t, err)
		if got == "" {
			break
		}
		total += len(got)
	}
	if total != n {
		t.Errorf("%d bytes came of %d", total, n)
	}
	check(t, <-drained)
	if c.Ready(endpoint.Hup) != endpoint.Hup {
		t.Error("not hung up after Drain")
	}
	check(t, c.Close())
}

// End ends everything, whatever its state, and a holder is told.
func TestEndTellsHolders(t *testing.T) {
	p := newProtocols(t, true, true)
	c, s := pair(t, p, lo4)
	l := open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM)
	check(t, l.Bind(inet(lo4, 0)))
	check(t, l.Listen(5))
	addr := l.local()
	waiting := open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM)
	check(t, waiting.connect(addr))
	u := open(t, p, endpoint.AF_INET6, endpoint.SOCK_DGRAM)
	check(t, u.Bind(inet(lo6, 0)))
	closed, peer := pair(t, p, lo6)
	_, err := closed.Send(endpoint.Message{Bufs: [][]byte{make([]byte, 100)}})
	check(t, err)
	check(t, closed.Close())

	p.End()
	for _, e := range []*sock{c, s, waiting, peer, u} {
		e.await(endpoint.Hup | endpoint.Err | endpoint.In)
	}
	if _, _, err := c.recv(1, 0); err != endpoint.ECONNABORTED && err != endpoint.ECONNRESET {
		t.Errorf("an aborted connection: %v", err)
	}
	_, err = u.Recv(endpoint.RecvRequest{Bufs: [][]byte{{0}}})
	wantErrno(t, "an aborted datagram endpoint receives", err, endpoint.ENETDOWN)
	_, err = u.Send(endpoint.Message{Bufs: [][]byte{{0}}, To: inet(lo6, 9)})
	wantErrno(t, "an aborted datagram endpoint sends", err, endpoint.ENETDOWN)
	if _, _, err = l.Accept(); err == nil || err == endpoint.EAGAIN {
		t.Errorf("an aborted listener accepts: %v", err)
	}
	check(t, p.Drain(context.Background()))
	if left := p.stack.RegisteredEndpoints(); len(left) != 0 {
		t.Errorf("%d endpoints are left", len(left))
	}
	again := open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM)
	check(t, again.Bind(addr))
}

// A closed listener frees its port at once and resets who waits.
func TestListenerClose(t *testing.T) {
	p := newProtocols(t, true, true)
	l := open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM)
	check(t, l.Bind(inet(lo4, 0)))
	check(t, l.Listen(5))
	addr := l.local()
	c := open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM)
	check(t, c.connect(addr))
	l.await(endpoint.In)
	check(t, l.Close())
	c.await(endpoint.Err)
	if _, _, err := c.recv(1, 0); err != endpoint.ECONNRESET {
		t.Errorf("who waited to be accepted: %v", err)
	}
	l2 := open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM)
	check(t, l2.Bind(addr))
	check(t, l2.Listen(1))
}

// After a connect that failed, and whose error SO_ERROR took, the socket may be
// bound, says ECONNABORTED once, and connects anew, with its options.
func TestConnectFailed(t *testing.T) {
	p := newProtocols(t, true, true)
	l := open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM)
	check(t, l.Bind(inet(lo4, 0)))
	check(t, l.Listen(2))
	for _, bind := range []bool{true, false} {
		c := open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM)
		check(t, c.SetOption(endpoint.IPPROTO_TCP, endpoint.TCP_NODELAY, intData(1)))
		check(t, c.SetOption(endpoint.IPPROTO_TCP, endpoint.TCP_KEEPIDLE, intData(77)))
		wantErrno(t, "connect", c.connect(inet(lo4, 9)), endpoint.ECONNREFUSED)
		check(t, c.soError())
		if bind {
			check(t, c.Bind(inet(lo4, 0)))
		}
		wantErrno(t, "connect again", c.Connect(l.local()), endpoint.ECONNABORTED)
		port := c.local().Port
		check(t, c.connect(l.local()))
		if bind && c.local().Port != port {
			t.Errorf("port %d became %d", port, c.local().Port)
		}
		for name, want := range map[int]int{endpoint.TCP_NODELAY: 1, endpoint.TCP_KEEPIDLE: 77} {
			var b [4]byte
			_, err := c.Option(endpoint.IPPROTO_TCP, name, b[:])
			if got, _ := endpoint.Int(b[:]); err != nil || got != want {
				t.Errorf("option %d of the fresh endpoint is %d, want %d (%v)", name, got, want, err)
			}
		}
		s, _ := l.accept()
		_, err := c.send([]byte("anew"))
		check(t, err)
		if got, _, err := s.recv(9, 0); got != "anew" || err != nil {
			t.Error(got, err)
		}
	}
}

// A socket may be closed, disconnected, bound and connected anew by several
// goroutines at once: nothing is left open, and no port is left taken.
func TestRenewRaces(t *testing.T) {
	p := newProtocols(t, true, true)
	l := open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM)
	check(t, l.Bind(inet(lo4, 0)))
	check(t, l.Listen(4096))
	dead := inet(lo4, 9)
	for n := range 200 {
		ep, err := p.Family(endpoint.AF_INET).Open(endpoint.Request{Type: endpoint.SOCK_STREAM})
		check(t, err)
		ep.Notify(newWaker())
		check(t, ep.SetOption(endpoint.SOL_SOCKET, endpoint.SO_LINGER, append(intData(1), intData(0)...)))
		own := inet(lo4, uint16(5000+n))
		var wg sync.WaitGroup
		for _, f := range []func(){
			func() { _ = ep.Connect(dead); ep.Ready(endpoint.In); _ = ep.Connect(l.local()) },
			func() { _ = ep.Connect(endpoint.Addr{}) },
			func() { _ = ep.Connect(l.local()); _, _ = ep.Send(endpoint.Message{Bufs: [][]byte{{1}}}) },
			func() { _ = ep.Bind(own); _ = ep.Shutdown(endpoint.SHUT_RD); _ = ep.Bind(own) },
			func() { _ = ep.Listen(1); _ = ep.Shutdown(endpoint.SHUT_RDWR); _ = ep.Bind(inet(lo4, 0)) },
			func() { _, _ = ep.LocalAddr(); _ = ep.Close() },
		} {
			wg.Add(1)
			go func() {
				defer wg.Done()
				f()
			}()
		}
		wg.Wait()
		if s := ep.(*tcpEndpoint).raw.Load().EndpointState(); s == tcp.StateInitial || s == tcp.StateBound || s == tcp.StateListen {
			t.Fatalf("state %v after Close", s)
		}
		if ep.(*tcpEndpoint).next.Load() != nil {
			t.Fatal("a successor is left after Close")
		}
		again := open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM)
		check(t, again.Bind(own))
	}
}
