package tls

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"
	"time"

	"usersock/sockapi"
	"usersock/stack"
	"usersock/stack/endpoint"
)

// TestCutEverywhere: the stream ends after each byte of a whole conversation. It
// is never taken for its end.
func TestCutEverywhere(t *testing.T) {
	cctx, sctx := usual(t)
	for _, version := range []TLSVersion{TLSVersion_TLSv1_2, TLSVersion_TLSv1_3} {
		cctx.SetMaximumVersion(version)
		for cut := 0; ; cut++ {
			toServer, toClient := new(MemoryBIO), new(MemoryBIO)
			cin, sin := new(MemoryBIO), new(MemoryBIO)
			c := must(cctx.WrapBIO(cin, toServer, WrapOptions{ServerHostname: "server.example"}))(t)
			s := must(sctx.WrapBIO(sin, toClient, WrapOptions{ServerSide: true}))(t)
			passed, whole := 0, true
			carry := func() {
				sin.Write(toServer.Read(-1))
				part := toClient.Read(cut - passed)
				passed += len(part)
				cin.Write(part)
				if passed == cut && !cin.eof {
					whole = toClient.Pending() == 0
					cin.WriteEOF()
				}
			}
			cerr, _ := shakeBIO(c, s, carry)
			var data []byte
			if cerr == nil {
				if _, err := s.Write([]byte("0123456789")); err == nil {
					s.con.e.closeNotify()
				}
				carry()
				for cerr == nil {
					var part []byte
					part, cerr = c.Read(3)
					data = append(data, part...)
				}
			}
			c.Close()
			s.Close()
			if errors.Is(cerr, SSLZeroReturnError) {
				if string(data) != "0123456789" || passed < 500 {
					t.Fatalf("%#x: the end after %d bytes, with %q", version, passed, data)
				}
				if cut > passed+1 || whole {
					break
				}
				continue
			}
			if !errors.Is(cerr, SSLEOFError) {
				t.Fatalf("%#x: cut after %d bytes: %v", version, cut, cerr)
			}
		}
	}
}

// record is one of TLS with any header.
func record(kind byte, version uint16, length int, body []byte) []byte {
	r := []byte{kind}
	r = binary.BigEndian.AppendUint16(r, version)
	return append(binary.BigEndian.AppendUint16(r, uint16(length)), body...)
}

// TestHostileRecords: what a peer may send instead of a handshake, and behind
// one.
func TestHostileRecords(t *testing.T) {
	body := func(n int) []byte { return make([]byte, n) }
	for _, c := range []struct {
		name, reason string
		sent         []byte
	}{
		{"oversized", "DATA_LENGTH_TOO_LONG", record(22, 0x0301, 17000, body(17000))},
		{"longest", "PACKET_LENGTH_TOO_LONG", record(22, 0x0301, 65535, body(65535))},
		{"wrong version", "WRONG_VERSION_NUMBER", record(22, 0x9000, 5, body(5))},
		{"unknown type", "WRONG_VERSION_NUMBER", record(99, 0x0301, 5, body(5))},
		{"application data first", "WRONG_VERSION_NUMBER", record(23, 0x0301, 5, body(5))},
		{"finished first", "UNEXPECTED_MESSAGE", record(22, 0x0301, 16, append([]byte{20, 0, 0, 12}, body(12)...))},
		{"a message without end", "EXCESSIVE_MESSAGE_SIZE", record(22, 0x0301, 8, []byte{1, 0xff, 0xff, 0xff, 0, 0, 0, 0})},
		{"a hello of zeros", "", record(22, 0x0301, 44, append([]byte{1, 0, 0, 40}, body(40)...))},
		{"empty records without end", "", bytes.Repeat(record(22, 0x0301, 0, nil), 10000)},
		{"warnings without end", "", bytes.Repeat(record(21, 0x0301, 2, []byte{1, 90}), 10000)},
		{"an alert", "SSLV3_ALERT_HANDSHAKE_FAILURE", record(21, 0x0301, 2, []byte{2, 40})},
	} {
		_, sctx := usual(t)
		in := new(MemoryBIO)
		in.Write(c.sent)
		out := new(MemoryBIO)
		s := must(sctx.WrapBIO(in, out, WrapOptions{ServerSide: true}))(t)
		var ssl *SSLError
		err := s.DoHandshake()
		if !errors.As(err, &ssl) || ssl.Code != SSL_ERROR_SSL || c.reason != "" && ssl.Reason != c.reason {
			t.Errorf("%s: %v, want %s", c.name, err, c.reason)
		}
		if left := in.Pending(); c.name == "empty records without end" && left < 9000*5 {
			t.Errorf("%s: %d bytes were read", c.name, len(c.sent)-left)
		}
		if n := out.Pending(); n > 100 {
			t.Errorf("%s: %d bytes of answer", c.name, n)
		}
		if again := s.DoHandshake(); again == nil || again.Error() != err.Error() {
			t.Errorf("%s: then %v", c.name, again)
		}
	}
	for _, version := range []TLSVersion{TLSVersion_TLSv1_2, TLSVersion_TLSv1_3} {
		for name, sent := range map[string][]byte{
			"forged":            record(23, 0x0303, 64, body(64)),
			"empty":             record(23, 0x0303, 0, nil),
			"oversized":         record(23, 0x0303, 20000, body(20000)),
			"plain alert":       record(21, 0x0303, 2, []byte{1, 0}),
			"cipher change":     bytes.Repeat(record(20, 0x0303, 1, []byte{1}), 100),
			"handshake in text": record(22, 0x0303, 4, []byte{0, 0, 0, 0}),
		} {
			cctx, sctx := usual(t)
			cctx.SetMaximumVersion(version)
			c, s, carry := bioEnds(t, cctx, sctx, "server.example")
			exchange(t, c, s, carry)
			s.con.e.over.(bioTransport).in.Write(sent)
			data, err := s.Read(100)
			var ssl *SSLError
			if len(data) != 0 || !errors.As(err, &ssl) || ssl.Code != SSL_ERROR_SSL || ssl.Reason == "" {
				t.Errorf("%#x, %s: %q, %v", version, name, data, err)
			}
		}
	}
}

// TestOutOfOrder: records of a handshake exchanged.
func TestOutOfOrder(t *testing.T) {
	cctx, sctx := usual(t)
	cctx.SetMaximumVersion(TLSVersion_TLSv1_2)
	c, s, _ := bioEnds(t, cctx, sctx, "server.example")
	c.DoHandshake()
	s.con.e.over.(bioTransport).in.Write(c.con.e.over.(bioTransport).out.Read(-1))
	s.DoHandshake()
	flight := s.con.e.over.(bioTransport).out.Read(-1)
	var records [][]byte
	for len(flight) > 0 {
		n := 5 + int(binary.BigEndian.Uint16(flight[3:]))
		records = append(records, flight[:n])
		flight = flight[n:]
	}
	if len(records) < 2 {
		t.Fatal(len(records))
	}
	in := c.con.e.over.(bioTransport).in
	in.Write(records[1])
	in.Write(records[0])
	var ssl *SSLError
	if err := c.DoHandshake(); !errors.As(err, &ssl) || ssl.Reason != "UNEXPECTED_MESSAGE" {
		t.Error(err)
	}
}

// TestKeyUpdatesWithoutEnd: a peer that makes us answer and does not read costs
// a bounded amount of memory.
func TestKeyUpdatesWithoutEnd(t *testing.T) {
	cctx, sctx := usual(t)
	c, s, carry := bioEnds(t, cctx, sctx, "server.example")
	exchange(t, c, s, carry)
	s.con.e.over = stuck{s.con.e.over}
	s.con.e.out = append(s.con.e.out, make([]byte, outMax-10)...)
	if _, err := s.Write([]byte("one more record that would have to wait")); !errors.Is(err, errOutFull) {
		t.Error(err)
	}
}

// stuck is a way out that takes nothing.
type stuck struct{ transport }

func (stuck) send([]byte) (int, error)    { return 0, errWantWrite }
func (stuck) trySend([]byte) (int, error) { return 0, errWantWrite }

// TestSlowPeer: one byte a second does not stretch a timeout, in the handshake
// and in a read, and who waits for a turn has a timeout of its own. The time is
// the test's.
func TestSlowPeer(t *testing.T) {
	clock := &manualClock{now: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)}
	n := unixWorld(t, clock)
	cctx, sctx := usualAt(t, clock.now)
	// drip sends a byte and lets a second pass, until the call has ended.
	drip := func(s *sockapi.Socket, timeout time.Duration, call func() error) {
		t.Helper()
		begin := clock.Monotonic()
		var ended time.Duration
		done := make(chan error)
		go func() {
			err := call()
			ended = clock.Monotonic()
			done <- err
		}()
		for clock.waiting() == 0 {
			runtime.Gosched()
		}
		for _, x := range record(22, 0x0303, 16000, make([]byte, 16000)) {
			over := clock.Monotonic()-begin >= timeout+10*time.Second
			if _, err := s.Send([]byte{x}); err != nil || over { // the call has closed it
				err := <-done
				if took := ended - begin; !errors.Is(err, sockapi.ErrTimeout) || took < timeout || took > timeout+10*time.Second {
					t.Errorf("%v after %v, want %v", err, took, timeout)
				}
				return
			}
			clock.advance(time.Second)
			runtime.Gosched()
		}
	}
	c, s := must2(n.Socketpair(endpoint.AF_UNIX, endpoint.SOCK_STREAM, 0))(t)
	c.Settimeout(10 * time.Second)
	drip(s, 10*time.Second, func() error {
		_, err := cctx.WrapSocket(c, WrapOptions{ServerHostname: "server.example"})
		return err
	})
	s.Close()

	c, s = must2(n.Socketpair(endpoint.AF_UNIX, endpoint.SOCK_STREAM, 0))(t)
	client, server := wrap(t, cctx, sctx, c, s)
	if data, err := exchangeOne(server, client); err != nil || data != "x" { // and the tickets are read
		t.Fatal(data, err)
	}
	client.Settimeout(5 * time.Second)
	drip(server.Socket, 5*time.Second, func() error {
		_, err := client.Recv(1)
		return err
	})
	client.Settimeout(sockapi.Forever)
	first := make(chan error)
	go func() {
		_, err := client.Recv(1)
		first <- err
	}()
	for client.tls.Load().e.reading.try() {
		client.tls.Load().e.reading.give()
		runtime.Gosched()
	}
	client.Settimeout(3 * time.Second)
	second := make(chan error)
	go func() {
		_, err := client.Recv(1)
		second <- err
	}()
	for clock.waiting() == 0 {
		runtime.Gosched()
	}
	clock.advance(3 * time.Second)
	if err := <-second; !errors.Is(err, sockapi.ErrTimeout) {
		t.Error("in turn:", err)
	}
	client.Close()
	<-first
}

func exchangeOne(from, to *SSLSocket) (string, error) {
	if _, err := from.Send([]byte("x")); err != nil {
		return "", err
	}
	data, err := to.Recv(1)
	return string(data), err
}

// TestVirtualValidity: dates and sessions follow the stack's clock.
func TestVirtualValidity(t *testing.T) {
	clock := &manualClock{now: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)}
	n := unixWorld(t, clock)
	cctx, sctx := usualAt(t, clock.now) // for 24 hours from then
	try := func(session *SSLSession) (*SSLSession, bool, error) {
		a, b := must2(n.Socketpair(endpoint.AF_UNIX, endpoint.SOCK_STREAM, 0))(t)
		done := make(chan *SSLSocket)
		go func() {
			s, err := sctx.WrapSocket(b, WrapOptions{ServerSide: true})
			if err == nil {
				s.Send([]byte("x"))
			}
			done <- s
		}()
		c, err := cctx.WrapSocket(a, WrapOptions{ServerHostname: "server.example", Session: session})
		var reused bool
		if err == nil {
			c.Recv(1)
			session, reused = c.Session(), c.SessionReused()
			c.Close()
		}
		if s := <-done; s != nil {
			s.Close()
		}
		return session, reused, err
	}
	session, reused, err := try(nil)
	if err != nil || reused || session == nil || !session.Time.Equal(clock.Now()) {
		t.Fatal(session, reused, err)
	}
	if _, reused, err := try(session); err != nil || !reused {
		t.Error("at once:", reused, err)
	}
	clock.advance(25 * time.Hour)
	var verify *SSLCertVerificationError
	if _, _, err := try(nil); !errors.As(err, &verify) || verify.VerifyCode != verifyExpired {
		t.Error("a day later:", err)
	}
}

// TestNothingIsLeft: a thousand connections, a third of which are given up in
// their handshake, leave no goroutine and no socket.
func TestNothingIsLeft(t *testing.T) {
	cn, sn := world(t)
	cctx, sctx := usual(t)
	rounds := 1000
	if testing.Short() {
		rounds = 100
	}
	round := func(i int) {
		a, b := must2(cn.Socketpair(endpoint.AF_UNIX, endpoint.SOCK_STREAM, 0))(t)
		switch i % 3 {
		case 0:
			c, s, cerr, serr := tryWrap(cctx, sctx, a, b)
			if cerr != nil || serr != nil {
				t.Fatal(cerr, serr)
			}
			c.Conn().Close()
			s.Close()
		case 1:
			a.Setblocking(false)
			c := must(cctx.WrapSocket(a, WrapOptions{ServerHostname: "server.example", NoHandshakeOnConnect: true}))(t)
			if err := c.DoHandshake(); !errors.Is(err, SSLWantReadError) {
				t.Fatal(err)
			}
			c.Close()
			b.Close()
		case 2:
			b.Close()
			if _, err := cctx.WrapSocket(a, WrapOptions{ServerHostname: "server.example"}); err == nil {
				t.Fatal("a handshake with nobody")
			}
		}
	}
	round(0)
	before := runtime.NumGoroutine()
	for i := range rounds {
		round(i)
	}
	for range 1000 {
		if runtime.NumGoroutine() <= before {
			break
		}
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > before+2 {
		t.Errorf("%d goroutines, %d before", n, before)
	}
	if n := len(cn.Stack().Snapshot().Sockets) + len(sn.Stack().Snapshot().Sockets); n > 0 {
		t.Errorf("%d sockets are left", n)
	}
}

// unixWorld is a host without the Internet, in the test's time.
func unixWorld(t testing.TB, clock endpoint.Clock) *sockapi.Net {
	t.Helper()
	st := must(stack.New(stack.Config{Families: []int{endpoint.AF_UNIX}, Clock: clock}))(t)
	t.Cleanup(func() { st.Close() })
	n := must(sockapi.New(sockapi.Config{Stack: st}))(t)
	t.Cleanup(func() { n.Close() })
	return n
}

func must2[A, B any](a A, b B, err error) func(testing.TB) (A, B) {
	return func(t testing.TB) (A, B) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return a, b
	}
}

// TestIdleCost: an idle connection has no goroutine, and 4 KB more than tls.Conn
// straight over the same socket at most.
func TestIdleCost(t *testing.T) {
	cn, _ := world(t)
	cctx, sctx := usual(t)
	ccfg, scfg := must(cctx.Config("server.example"))(t), must(sctx.Config(""))(t)
	const n = 50
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var keep []any
	measure := func(open func(a, b *sockapi.Socket)) int {
		before := heap()
		for range n {
			a, b := must2(cn.Socketpair(endpoint.AF_UNIX, endpoint.SOCK_STREAM, 0))(t)
			open(a, b)
		}
		return int(heap()-before) / n / 2
	}
	straight := func(a, b *sockapi.Socket) {
		c, s := tls.Client(a.Conn(), ccfg), tls.Server(b.Conn(), scfg)
		done := make(chan error)
		go func() { done <- s.Handshake() }()
		if err := errors.Join(c.Handshake(), <-done); err != nil {
			t.Fatal(err)
		}
		keep = append(keep, c, s)
	}
	ours := func(a, b *sockapi.Socket) {
		c, s, cerr, serr := tryWrap(cctx, sctx, a, b)
		if cerr != nil || serr != nil {
			t.Fatal(cerr, serr)
		}
		keep = append(keep, c, s)
	}
	measure(straight)
	measure(ours)
	goroutines := runtime.NumGoroutine()
	x, y := measure(straight), measure(ours)
	t.Logf("an idle end costs %d bytes with tls.Conn, %d with SSLSocket", x, y)
	if y > x+4096 {
		t.Errorf("%d bytes more", y-x)
	}
	if runtime.NumGoroutine() > goroutines {
		t.Errorf("%d goroutines more", runtime.NumGoroutine()-goroutines)
	}
	for _, k := range keep {
		k.(interface{ Close() error }).Close()
	}
}
