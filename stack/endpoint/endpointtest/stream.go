package endpointtest

import (
	"bytes"
	"testing"

	"usersock/stack/endpoint"
)

// streamTests are the tests of SOCK_STREAM.
var streamTests = []test{
	{"Peek", testStreamPeek},
	{"Buffers", testStreamBuffers},
	{"Boundaries", testStreamBoundaries},
	{"SendNothing", testStreamSendNothing},
	{"Queued", testStreamQueued},
	{"Large", testStreamLarge},
	{"SendTo", testStreamSendTo},
}

func testStreamPeek(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	next := b.next()
	_, err := b.Recv(request(make([]byte, 1), endpoint.MSG_PEEK))
	wantErr(t, "peek with nothing there", err, endpoint.EAGAIN)
	must(t, "Send", a.sendAll([]byte("abcdef")))
	if !wait(next) {
		t.Fatal("bytes came and the event promised to a peek did not")
	}
	must(t, "becoming readable", b.until(endpoint.In))
	for range 3 {
		buf := make([]byte, 4)
		r, err := b.recvMsg(request(buf, endpoint.MSG_PEEK))
		if err != nil || r.N != 4 || string(buf) != "abcd" {
			t.Fatalf("peek: %q, %+v, %v", buf, r, err)
		}
	}
	if in, _ := b.Queued(); in != 6 && in != endpoint.Unknown {
		t.Errorf("after peeking %d bytes wait, want 6", in)
	}
	got, err := b.recvFull(6)
	if err != nil || string(got) != "abcdef" {
		t.Fatalf("Recv after peeking: %q, %v", got, err)
	}
	must(t, "Shutdown", a.Shutdown(endpoint.SHUT_WR))
	must(t, "the end", b.until(endpoint.RdHup))
	if r, err := b.recvMsg(request(make([]byte, 1), endpoint.MSG_PEEK)); err != nil || r.N != 0 {
		t.Errorf("peek at the end: %+v, %v", r, err)
	}
}

// testStreamBuffers: bytes are gathered from and scattered over buffers, empty
// ones among them.
func testStreamBuffers(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	n, err := a.sendMsg(endpoint.Message{Bufs: [][]byte{nil, []byte("ab"), {}, []byte("cdefg"), nil, []byte("h")}})
	if err != nil || n != 8 {
		t.Fatalf("Send: %d, %v", n, err)
	}
	got := make([]byte, 9)
	for n := 0; n < 8; {
		rest := got[n:]
		k := min(3, len(rest))
		r, err := b.recvMsg(endpoint.RecvRequest{Bufs: [][]byte{{}, rest[:k], nil, rest[k:]}})
		if err != nil || r.N == 0 {
			t.Fatalf("Recv: %+v, %v", r, err)
		}
		if r.Size != r.N {
			t.Errorf("Recv: Size %d, N %d: equal on a stream", r.Size, r.N)
		}
		if !r.From.IsZero() && r.From.Family != endpoint.AF_UNIX {
			t.Errorf("Recv: From %v on a connected stream", r.From)
		}
		n += r.N
	}
	if string(got) != "abcdefgh\x00" {
		t.Errorf("received %q", got)
	}
}

// testStreamBoundaries: a stream has none.
func testStreamBoundaries(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	for _, s := range []string{"a", "bc", "def"} {
		must(t, "Send", a.sendAll([]byte(s)))
	}
	for _, want := range []string{"ab", "cd", "ef"} {
		if got, err := b.recvFull(2); err != nil || string(got) != want {
			t.Fatalf("Recv: %q, %v; want %q", got, err, want)
		}
	}
}

// testStreamSendNothing: no bytes are taken, none arrive, and the stream does
// not end.
func testStreamSendNothing(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	for _, bufs := range [][][]byte{nil, {}, {nil}, {{}, nil}} {
		if n, err := a.Send(endpoint.Message{Bufs: bufs}); n != 0 || err != nil {
			t.Errorf("Send of nothing: %d, %v", n, err)
		}
	}
	_, err := b.Recv(request(make([]byte, 1), 0))
	wantErr(t, "Recv after Send of nothing", err, endpoint.EAGAIN)
	exchange(t, a, b)
}

func testStreamQueued(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	if in, out := a.Queued(); in > 0 || out > 0 {
		t.Errorf("a fresh connection has %d bytes in and %d out", in, out)
	}
	must(t, "Send", a.sendAll(make([]byte, 1000)))
	must(t, "becoming readable", b.until(endpoint.In))
	if in, _ := b.Queued(); in != 1000 && in != endpoint.Unknown {
		t.Errorf("%d bytes wait, want 1000", in)
	}
	_, out := a.Queued()
	if p.Features.QueuedOut && out != 1000 {
		t.Errorf("%d bytes are under way, want 1000", out)
	} else if out < endpoint.Unknown || out > 1000 {
		t.Errorf("%d bytes are under way of 1000", out)
	}
	_, err := b.recvFull(600)
	must(t, "Recv", err)
	if in, _ := b.Queued(); in != 400 && in != endpoint.Unknown {
		t.Errorf("%d bytes wait after a part was received, want 400", in)
	}
	if _, out := a.Queued(); p.Features.QueuedOut && out != 400 {
		t.Errorf("%d bytes are under way after a part was received, want 400", out)
	}
}

// testStreamLarge moves more than any queue holds, from buffers of odd sizes
// into buffers of other odd sizes.
func testStreamLarge(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	sent := pattern(5<<20 + 12345)
	finish := start(func() ([]byte, error) {
		var got []byte
		for size := 1; ; size = size*5/3 + 1 {
			if size > 300_000 {
				size = 7
			}
			part, err := b.recv(size)
			if err != nil || len(part) == 0 {
				return got, err
			}
			got = append(got, part...)
		}
	})
	for rest, size := sent, 3; len(rest) > 0; size = size*7/4 + 1 {
		if size > 500_000 {
			size = 11
		}
		n, err := a.send(rest[:min(size, len(rest))])
		must(t, "Send", err)
		rest = rest[n:]
	}
	must(t, "Shutdown", a.Shutdown(endpoint.SHUT_WR))
	if got := finish(t, "receiving"); !bytes.Equal(got, sent) {
		t.Errorf("received %d bytes that differ from the %d sent", len(got), len(sent))
	}
}

// pattern returns bytes of which no two neighbourhoods look alike.
func pattern(n int) []byte {
	b := make([]byte, n)
	x := uint32(2463534242)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

// testStreamSendTo: a foreign destination is refused although a stream needs
// none.
func testStreamSendTo(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	m := message([]byte("x"))
	m.To = p.Foreign
	_, err := a.Send(m)
	wantErr(t, "Send to a foreign address", err, endpoint.EAFNOSUPPORT, endpoint.EISCONN)
	_, err = b.Recv(request(make([]byte, 1), 0))
	wantErr(t, "Recv", err, endpoint.EAGAIN)
}
