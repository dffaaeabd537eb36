package endpointtest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"usersock/stack/endpoint"
)

// messageTests are the tests of types that keep boundaries.
var messageTests = []test{
	{"Boundaries", testMessageBoundaries},
	{"Empty", testMessageEmpty},
	{"Truncation", testMessageTruncation},
	{"Peek", testMessagePeek},
	{"Buffers", testMessageBuffers},
	{"MessageRecvPromise", testMessageRecvPromise},
	{"MessageSendPromise", testMessageSendPromise},
	{"TooLong", testMessageTooLong},
	{"MessageQueued", testMessageQueued},
}

// datagramTests are the tests of SOCK_DGRAM alone.
var datagramTests = []test{
	{"From", testDatagramFrom},
	{"NotListening", testDatagramNotListening},
	{"Connected", testDatagramConnected},
	{"Dissolve", testDatagramDissolve},
	{"Refused", testDatagramRefused},
	{"CloseInUse", testDatagramCloseInUse},
	{"ManySenders", testDatagramManySenders},
}

func testMessageBoundaries(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	texts := []string{"one", "two and a half", "3", ""}
	for _, s := range texts {
		if n, err := a.send([]byte(s)); err != nil || n != len(s) {
			t.Fatalf("Send: %d, %v", n, err)
		}
	}
	for _, want := range texts {
		buf := make([]byte, 100)
		r, err := b.recvMsg(request(buf, 0))
		if err != nil || string(buf[:r.N]) != want || r.Size != len(want) || r.Flags != 0 {
			t.Fatalf("Recv: %q, %+v, %v; want %q", buf[:r.N], r, err, want)
		}
	}
	_, err := b.Recv(request(make([]byte, 1), 0))
	wantErr(t, "Recv with nothing left", err, endpoint.EAGAIN)
}

// testMessageEmpty: an empty message is a message.
func testMessageEmpty(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	for _, bufs := range [][][]byte{nil, {{}}, {nil, {}}} {
		next := b.next()
		_, err := b.Recv(request(make([]byte, 4), 0))
		wantErr(t, "Recv with nothing there", err, endpoint.EAGAIN)
		if n, err := a.sendMsg(endpoint.Message{Bufs: bufs}); n != 0 || err != nil {
			t.Fatalf("Send of an empty message: %d, %v", n, err)
		}
		if !wait(next) {
			t.Fatal("no event for an empty message")
		}
		must(t, "becoming readable", b.until(endpoint.In))
		r, err := b.recvMsg(request(make([]byte, 4), 0))
		if err != nil || r.N != 0 || r.Size != 0 || r.Flags != 0 {
			t.Errorf("Recv of an empty message: %+v, %v", r, err)
		}
	}
	if r := b.Ready(endpoint.In); r&endpoint.In != 0 {
		t.Errorf("ready are %#x after all was received", r)
	}
}

func testMessageTruncation(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	for _, flags := range []int{0, endpoint.MSG_TRUNC} {
		for size := range 7 {
			_, err := a.send([]byte("abcde"))
			must(t, "Send", err)
			_, err = a.send([]byte("next"))
			must(t, "Send", err)
			buf := []byte("........")
			r, err := b.recvMsg(request(buf[:size], flags))
			must(t, "Recv", err)
			want := min(size, 5)
			if r.N != want || r.Size != 5 || r.Flags&endpoint.MSG_TRUNC != 0 != (size < 5) ||
				string(buf[:want]) != "abcde"[:want] || buf[size] != '.' {
				t.Errorf("Recv of 5 bytes into %d: %q, %+v", size, buf, r)
			}
			if got, err := b.recv(9); err != nil || string(got) != "next" {
				t.Fatalf("Recv after a message that was cut: %q, %v", got, err)
			}
		}
	}
}

func testMessagePeek(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	_, err := a.send([]byte("abcde"))
	must(t, "Send", err)
	_, err = a.send([]byte("next"))
	must(t, "Send", err)
	for range 2 {
		buf := make([]byte, 3)
		r, err := b.recvMsg(request(buf, endpoint.MSG_PEEK))
		if err != nil || r.N != 3 || r.Size != 5 || r.Flags != endpoint.MSG_TRUNC || string(buf) != "abc" {
			t.Fatalf("peek: %q, %+v, %v", buf, r, err)
		}
	}
	for _, want := range []string{"abcde", "next"} {
		if got, err := b.recv(9); err != nil || string(got) != want {
			t.Fatalf("Recv after peeking: %q, %v; want %q", got, err, want)
		}
	}
}

func testMessageBuffers(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	n, err := a.sendMsg(endpoint.Message{Bufs: [][]byte{[]byte("ab"), nil, []byte("cdefg")}})
	if err != nil || n != 7 {
		t.Fatalf("Send: %d, %v", n, err)
	}
	x, y := make([]byte, 3), make([]byte, 9)
	r, err := b.recvMsg(endpoint.RecvRequest{Bufs: [][]byte{x, {}, y}})
	if err != nil || r.N != 7 || string(x) != "abc" || string(y[:4]) != "defg" {
		t.Errorf("Recv: %q %q, %+v, %v", x, y, r, err)
	}
}

func testMessageRecvPromise(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	for i := range 20 {
		next := b.next()
		_, err := b.Recv(request(make([]byte, 1), 0))
		wantErr(t, "Recv with nothing there", err, endpoint.EAGAIN)
		text := fmt.Sprint("message ", i)
		_, err = a.send([]byte(text))
		must(t, "Send", err)
		if !wait(next) {
			t.Fatal("a message came and the promised event did not")
		}
		if got, err := b.recv(100); err != nil || string(got) != text {
			t.Fatalf("Recv: %q, %v", got, err)
		}
	}
}

// testMessageSendPromise: where nothing is lost, a full queue makes Send
// return EAGAIN, and an emptied one calls the sink. Senders that are not the
// receiver's peer count too.
func testMessageSendPromise(t *testing.T, p *Provider) {
	if !p.Features.Reliable {
		t.Skip("datagrams that do not fit are lost")
	}
	check := func(name string, a, b *end, to endpoint.Addr) {
		sent := 0
		var promise <-chan struct{}
		for {
			promise = a.next()
			m := message([]byte(fmt.Sprint("message ", sent)))
			m.To = to
			_, err := a.Send(m)
			if errors.Is(err, endpoint.EAGAIN) {
				break
			}
			must(t, name+": Send", err)
			if sent++; sent > 1<<20 {
				t.Fatalf("%s: Send took %d messages that nobody reads", name, sent)
			}
		}
		for i := range sent {
			if got, err := b.recv(100); err != nil || string(got) != fmt.Sprint("message ", i) {
				t.Fatalf("%s: Recv: %q, %v; want message %d", name, got, err, i)
			}
		}
		if !wait(promise) {
			t.Fatalf("%s: the queue was emptied and the promised event did not come", name)
		}
		must(t, name+": becoming writable", a.until(endpoint.Out))
	}
	a, b := p.pair(t)
	check("a pair", a, b, endpoint.Addr{})
	if p.Request.Type != endpoint.SOCK_DGRAM {
		return
	}
	r, addr := p.bound(t)
	s := p.open(t)
	check("an unconnected sender", s, r, addr)
	must(t, "Connect", s.connect(addr))
	check("a connected sender", s, r, endpoint.Addr{})
}

func testMessageTooLong(t *testing.T, p *Provider) {
	if p.Features.MaxDatagram == 0 {
		t.Skip("no limit given")
	}
	a, b := p.pair(t)
	longest := pattern(p.Features.MaxDatagram + 1)
	_, err := a.Send(message(longest))
	wantErr(t, "Send of a message that is too long", err, endpoint.EMSGSIZE)
	longest = longest[:p.Features.MaxDatagram]
	if n, err := a.send(longest); err != nil || n != len(longest) {
		t.Fatalf("Send of %d bytes: %d, %v", len(longest), n, err)
	}
	got, err := b.recv(len(longest) + 1)
	if err != nil || !bytes.Equal(got, longest) {
		t.Errorf("Recv of the longest message: %d bytes, %v", len(got), err)
	}
}

func testMessageQueued(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	for _, n := range []int{100, 50} {
		_, err := a.send(make([]byte, n))
		must(t, "Send", err)
	}
	must(t, "becoming readable", b.until(endpoint.In))
	want := 100
	if p.Request.Type == endpoint.SOCK_SEQPACKET {
		want = 150 // as on Linux: the sum
	}
	if in, _ := b.Queued(); in != want && in != endpoint.Unknown {
		t.Errorf("Queued: %d bytes wait, want %d", in, want)
	}
	if _, out := a.Queued(); p.Features.QueuedOut && out != 150 {
		t.Errorf("Queued: %d bytes are under way, want 150", out)
	}
}

// testDatagramFrom: each datagram says where it came from.
func testDatagramFrom(t *testing.T, p *Provider) {
	r, to := p.bound(t)
	for i := range 3 {
		s, from := p.bound(t)
		m := message([]byte{byte(i)})
		m.To = to
		_, err := s.sendMsg(m)
		must(t, "Send", err)
		buf := make([]byte, 10)
		got, err := r.recvMsg(request(buf, 0))
		must(t, "Recv", err)
		if got.N != 1 || buf[0] != byte(i) || got.From != from {
			t.Errorf("Recv: %v, %+v; want %d from %v", buf[:got.N], got, i, from)
		}
		m = message([]byte("answer"))
		m.To = got.From
		_, err = r.sendMsg(m)
		must(t, "Send of an answer", err)
		if got, err := s.recv(10); err != nil || string(got) != "answer" {
			t.Errorf("Recv of the answer: %q, %v", got, err)
		}
	}
}

func testDatagramNotListening(t *testing.T, p *Provider) {
	e, _ := p.bound(t)
	wantErr(t, "Listen", e.Listen(1), endpoint.EOPNOTSUPP)
	_, _, err := e.Accept()
	wantErr(t, "Accept", err, endpoint.EOPNOTSUPP, endpoint.EINVAL)
}

func testDatagramConnected(t *testing.T, p *Provider) {
	a, addrA := p.bound(t)
	b, addrB := p.bound(t)
	must(t, "Connect", a.connect(addrB))
	if peer, err := a.PeerAddr(); err != nil || peer != addrB {
		t.Errorf("PeerAddr: %v, %v; want %v", peer, err, addrB)
	}
	if local, err := a.LocalAddr(); err != nil || local != addrA {
		t.Errorf("LocalAddr: %v, %v; want %v", local, err, addrA)
	}
	_, err := a.send([]byte("x"))
	must(t, "Send", err)
	if got, err := b.recv(1); err != nil || string(got) != "x" {
		t.Errorf("Recv: %q, %v", got, err)
	}
}

// testDatagramDissolve: a peer can be changed, and given up.
func testDatagramDissolve(t *testing.T, p *Provider) {
	a, _ := p.bound(t)
	b, addrB := p.bound(t)
	c, addrC := p.bound(t)
	for _, to := range []struct {
		addr endpoint.Addr
		e    *end
	}{{addrB, b}, {addrC, c}} {
		must(t, "Connect", a.connect(to.addr))
		_, err := a.send([]byte("x"))
		must(t, "Send", err)
		if got, err := to.e.recv(1); err != nil || string(got) != "x" {
			t.Errorf("Recv: %q, %v", got, err)
		}
	}
	must(t, "Connect to AF_UNSPEC", a.connect(endpoint.Addr{}))
	_, err := a.PeerAddr()
	wantErr(t, "PeerAddr after AF_UNSPEC", err, endpoint.ENOTCONN)
	if _, err := a.send([]byte("x")); err == nil {
		t.Error("Send without a peer succeeded")
	}
}

// testDatagramRefused: the error is reported once, by Connect or after Send.
func testDatagramRefused(t *testing.T, p *Provider) {
	if p.Features.Refused == 0 {
		t.Skip("datagrams to nobody vanish")
	}
	a, _ := p.bound(t)
	if err := a.connect(p.Nobody()); err != nil {
		wantErr(t, "Connect to nobody", err, p.Features.Refused)
	} else {
		_, err := a.send([]byte("x"))
		must(t, "Send", err)
		_, err = a.recv(1)
		wantErr(t, "Recv after a datagram to nobody", err, p.Features.Refused)
	}
	if pending, err := a.optInt(endpoint.SOL_SOCKET, endpoint.SO_ERROR); err != nil || pending != 0 {
		t.Errorf("SO_ERROR after the error was reported: %d, %v", pending, err)
	}
	_, err := a.Recv(request(make([]byte, 1), 0))
	wantErr(t, "Recv after the error was reported", err, endpoint.EAGAIN)
}

func testDatagramCloseInUse(t *testing.T, p *Provider) {
	a, _ := p.bound(t)
	received := make(chan error, 1)
	next := a.next()
	_, err := a.Recv(request(make([]byte, 1), 0))
	wantErr(t, "Recv", err, endpoint.EAGAIN)
	go func() {
		_, err := a.recv(1)
		received <- err
	}()
	must(t, "Close", a.Close())
	if !wait(next) {
		t.Error("no event for the close")
	}
	if err := <-received; err == nil {
		t.Error("Recv succeeded on an endpoint that was closed")
	}
}

// testDatagramManySenders: datagrams of several senders come whole, and each
// sender's in its order where none is lost.
func testDatagramManySenders(t *testing.T, p *Provider) {
	if !p.Features.Reliable {
		t.Skip("datagrams that do not fit are lost")
	}
	const senders, each = 4, 200
	r, to := p.bound(t)
	var finish []func(*testing.T, string) int
	for id := range senders {
		s, _ := p.bound(t)
		finish = append(finish, start(func() (int, error) {
			for i := range each {
				m := message(bytes.Repeat([]byte{byte(id), byte(i)}, 1+i*7%300))
				m.To = to
				if _, err := s.sendMsg(m); err != nil {
					return i, err
				}
			}
			return each, nil
		}))
	}
	var next [senders]int
	for range senders * each {
		got, err := r.recv(2000)
		must(t, "Recv", err)
		if len(got) < 2 || int(got[0]) >= senders {
			t.Fatalf("Recv: % x", got)
		}
		id, i := int(got[0]), next[got[0]]
		if want := bytes.Repeat([]byte{byte(id), byte(i)}, 1+i*7%300); !bytes.Equal(got, want) {
			t.Fatalf("sender %d: got % x, want its datagram %d", id, got, i)
		}
		next[id]++
	}
	for _, f := range finish {
		f(t, "sending")
	}
}
