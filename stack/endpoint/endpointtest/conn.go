package endpointtest

import (
	"errors"
	"testing"

	"usersock/stack/endpoint"
)

// connTests are the tests of types that listen and connect.
var connTests = []test{
	{"Connect", testConnect},
	{"ConnectRefused", testConnectRefused},
	{"ConnectAgain", testConnectAgain},
	{"AcceptPromise", testAcceptPromise},
	{"AcceptNotListening", testAcceptNotListening},
	{"AcceptAfterShutdown", testAcceptAfterShutdown},
	{"AcceptAfterClose", testAcceptAfterClose},
	{"Backlog", testBacklog},
	{"BacklogClose", testBacklogClose},
	{"ListenerReady", testListenerReady},
	{"RecvPromise", testRecvPromise},
	{"RecvPromiseShutdown", testRecvPromiseShutdown},
	{"RecvPromiseClose", testRecvPromiseClose},
	{"SendPromise", testSendPromise},
	{"SendPromiseClose", testSendPromiseClose},
	{"HalfClose", testHalfClose},
	{"ShutdownRead", testShutdownRead},
	{"ShutdownHow", testShutdownHow},
	{"CloseDelivers", testCloseDelivers},
	{"CloseUnread", testCloseUnread},
	{"SendAfterPeerClose", testSendAfterPeerClose},
	{"ReadyAfterClose", testReadyAfterClose},
	{"CloseInUse", testCloseInUse},
}

// testConnect: both ends know each other's address, are writable, and carry
// bytes both ways.
func testConnect(t *testing.T, p *Provider) {
	l, addr := p.listen(t, 5)
	if on, err := l.optInt(endpoint.SOL_SOCKET, endpoint.SO_ACCEPTCONN); err != nil || on != 1 {
		t.Errorf("SO_ACCEPTCONN of a listener: %d, %v", on, err)
	}
	c := p.open(t)
	must(t, "Connect", c.connect(addr))
	ep, from, err := l.accept()
	must(t, "Accept", err)
	s := wrap(t, ep)
	cl, err := c.LocalAddr()
	must(t, "LocalAddr", err)
	cp, err := c.PeerAddr()
	must(t, "PeerAddr", err)
	sl, err := s.LocalAddr()
	must(t, "LocalAddr of the accepted end", err)
	sp, err := s.PeerAddr()
	must(t, "PeerAddr of the accepted end", err)
	if cp != addr || sl != addr || from != cl || sp != cl {
		t.Errorf("addresses do not agree: listener %v; connecting end %v to %v; accepted end %v to %v, said to come from %v",
			addr, cl, cp, sl, sp, from)
	}
	for _, e := range []*end{c, s} {
		must(t, "becoming writable", e.until(endpoint.Out))
		if r := e.Ready(endpoint.In | endpoint.Out | endpoint.RdHup); r != endpoint.Out {
			t.Errorf("a fresh connection is ready for %#x, want only Out", r)
		}
	}
	exchange(t, c, s)
	exchange(t, s, c)
}

// exchange sends a few bytes from one end to the other.
func exchange(t *testing.T, from, to *end) {
	t.Helper()
	const text = "over and out"
	must(t, "Send", from.sendAll([]byte(text)))
	got, err := to.recvFull(len(text))
	if err != nil || string(got) != text {
		t.Fatalf("received %q, %v; want %q", got, err, text)
	}
}

// testConnectRefused: the error is reported once.
func testConnectRefused(t *testing.T, p *Provider) {
	c := p.open(t)
	wantErr(t, "Connect to nobody", c.connect(p.Nobody()), p.Features.Refused)
	if pending, err := c.optInt(endpoint.SOL_SOCKET, endpoint.SO_ERROR); err != nil || pending != 0 {
		t.Errorf("SO_ERROR after the error was reported: %d, %v", pending, err)
	}
	_, err := c.PeerAddr()
	wantErr(t, "PeerAddr after a refused connection", err, endpoint.ENOTCONN)
}

func testConnectAgain(t *testing.T, p *Provider) {
	l, addr := p.listen(t, 5)
	c, _ := p.dial(t, l, addr)
	// Linux confirms a connection that was EINPROGRESS once before EISCONN.
	if err := c.Connect(addr); err != nil {
		wantErr(t, "Connect of a connected endpoint", err, endpoint.EISCONN)
	}
	wantErr(t, "Connect of a connected endpoint", c.Connect(addr), endpoint.EISCONN)
	wantErr(t, "Listen of a connected endpoint", c.Listen(1), endpoint.EINVAL)
	if err := l.Connect(addr); err == nil {
		t.Error("Connect of a listener succeeded")
	}
}

func testAcceptPromise(t *testing.T, p *Provider) {
	l, addr := p.listen(t, 5)
	next := l.next()
	_, _, err := l.Accept()
	wantErr(t, "Accept with nobody there", err, endpoint.EAGAIN)
	c := p.open(t)
	must(t, "Connect", c.connect(addr))
	if !wait(next) {
		t.Fatal("no event for a new connection")
	}
	ep, _, err := l.accept()
	must(t, "Accept", err)
	exchange(t, c, wrap(t, ep))
	_, _, err = l.Accept()
	wantErr(t, "second Accept", err, endpoint.EAGAIN)
}

func testAcceptNotListening(t *testing.T, p *Provider) {
	e, _ := p.bound(t)
	_, _, err := e.Accept()
	wantErr(t, "Accept of an endpoint that does not listen", err, endpoint.EINVAL)
}

// testAcceptAfterShutdown: SHUT_RD ends a listener's wait.
func testAcceptAfterShutdown(t *testing.T, p *Provider) {
	l, _ := p.listen(t, 5)
	next := l.next()
	_, _, err := l.Accept()
	wantErr(t, "Accept", err, endpoint.EAGAIN)
	must(t, "Shutdown", l.Shutdown(endpoint.SHUT_RD))
	if !wait(next) {
		t.Fatal("no event for the shutdown of a listener")
	}
	_, _, err = l.accept()
	wantErr(t, "Accept after SHUT_RD", err, endpoint.EINVAL)
}

// testAcceptAfterClose: who waits for a connection hears of the close, and
// does not hear EAGAIN again.
func testAcceptAfterClose(t *testing.T, p *Provider) {
	l, addr := p.listen(t, 5)
	waiting := l.next()
	_, _, err := l.Accept()
	wantErr(t, "Accept", err, endpoint.EAGAIN)
	must(t, "Close", l.Close())
	if !wait(waiting) {
		t.Error("no event for the close of a listener")
	}
	if _, _, err := l.Accept(); err == nil || errors.Is(err, endpoint.EAGAIN) {
		t.Errorf("Accept after Close: %v", err)
	}
	if err := p.open(t).connect(addr); err == nil {
		t.Error("Connect to a closed listener succeeded")
	}
}

// testBacklog: connections beyond the backlog wait for room, and get it from
// Accept and from a longer backlog.
func testBacklog(t *testing.T, p *Provider) {
	if !p.Features.FullBacklogBlocks {
		t.Skip("a full backlog makes connections wait on the wire")
	}
	l, addr := p.listen(t, 1)
	fill := func() *end {
		for range 10 {
			c := p.open(t)
			switch err := c.Connect(addr); {
			case errors.Is(err, endpoint.EAGAIN):
				return c
			case err != nil:
				t.Fatalf("Connect: %v", err)
			}
		}
		t.Fatal("ten connections fit into a backlog of 1")
		return nil
	}
	// The cause is the listener's: each of these makes room.
	for _, cause := range []struct {
		name string
		do   func() error
	}{
		{"Accept", func() error {
			ep, _, err := l.Accept()
			if err == nil {
				ep.Close()
			}
			return err
		}},
		{"Listen with a longer backlog", func() error { return l.Listen(3) }},
	} {
		c := fill()
		next := c.next()
		must(t, cause.name, cause.do())
		if !wait(next) {
			t.Fatalf("%s made room, and the waiting connection was not told", cause.name)
		}
		must(t, "Connect after "+cause.name, c.connect(addr))
	}
}

// testBacklogClose: a listener that closes frees those who wait for room, and
// resets those who wait for Accept.
func testBacklogClose(t *testing.T, p *Provider) {
	l, addr := p.listen(t, 1)
	first := p.open(t)
	must(t, "Connect", first.connect(addr))
	var waiting []*end
	var promises []<-chan struct{}
	if p.Features.FullBacklogBlocks {
		for range 5 {
			c := p.open(t)
			next := c.next()
			if err := c.Connect(addr); errors.Is(err, endpoint.EAGAIN) {
				waiting = append(waiting, c)
				promises = append(promises, next)
			}
		}
		if len(waiting) == 0 {
			t.Fatal("five more connections fit into a backlog of 1")
		}
	}
	must(t, "Close", l.Close())
	for i, c := range waiting {
		if !wait(promises[i]) {
			t.Fatal("the listener closed, and a waiting connection was not told")
		}
		if err := c.Connect(addr); err == nil || errors.Is(err, endpoint.EAGAIN) {
			t.Errorf("Connect after the listener closed: %v", err)
		}
	}
	_, err := first.recv(1)
	wantErr(t, "Recv on a connection that was never accepted", err, endpoint.ECONNRESET)
}

func testListenerReady(t *testing.T, p *Provider) {
	l, addr := p.listen(t, 5)
	if r := l.Ready(endpoint.In | endpoint.Out); r != 0 {
		t.Errorf("an idle listener is ready for %#x", r)
	}
	must(t, "Connect", p.open(t).connect(addr))
	must(t, "the listener becoming ready", l.until(endpoint.In))
	if r := l.Ready(endpoint.Out); r != 0 {
		t.Errorf("a listener is ready for %#x when asked for Out", r)
	}
}

// testRecvPromise: EAGAIN is followed by an event once bytes come, each time.
func testRecvPromise(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	for range 20 {
		if r := b.Ready(endpoint.In); r != 0 {
			t.Fatalf("an endpoint with nothing to receive is ready for %#x", r)
		}
		next := b.next()
		_, err := b.Recv(request(make([]byte, 1), 0))
		wantErr(t, "Recv with nothing there", err, endpoint.EAGAIN)
		must(t, "Send", a.sendAll([]byte("x")))
		if !wait(next) {
			t.Fatal("bytes came and the promised event did not")
		}
		must(t, "becoming readable", b.until(endpoint.In))
		if got, err := b.recv(10); err != nil || string(got) != "x" {
			t.Fatalf("Recv: %q, %v", got, err)
		}
	}
}

func testRecvPromiseShutdown(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	expectEnd(t, b, "the peer's SHUT_WR", func() error { return a.Shutdown(endpoint.SHUT_WR) })
}

// expectEnd has e wait for bytes, and checks that do ends that wait.
func expectEnd(t *testing.T, e *end, what string, do func() error) {
	t.Helper()
	next := e.next()
	_, err := e.Recv(request(make([]byte, 1), 0))
	wantErr(t, "Recv with nothing there", err, endpoint.EAGAIN)
	must(t, what, do())
	if !wait(next) {
		t.Fatalf("no event for %s", what)
	}
	if got, err := e.recv(1); err != nil || len(got) != 0 {
		t.Errorf("Recv after %s: %q, %v; want the end", what, got, err)
	}
}

func testRecvPromiseClose(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	expectEnd(t, b, "the peer's Close", a.Close)
	if r := b.Ready(endpoint.In | endpoint.RdHup); r&(endpoint.In|endpoint.RdHup) != endpoint.In|endpoint.RdHup {
		t.Errorf("after the peer's Close ready are %#x, want In and RdHup too", r)
	}
}

// fillUp sends until Send returns EAGAIN, and returns what it sent and the
// promise that came with EAGAIN.
func fillUp(t *testing.T, e *end, chunk int) (sent []byte, promise <-chan struct{}) {
	t.Helper()
	const tooMuch = 256 << 20
	for len(sent) < tooMuch {
		b := make([]byte, chunk)
		for i := range b {
			b[i] = byte((len(sent) + i) * 31 >> 3)
		}
		promise = e.next()
		n, err := e.Send(message(b))
		if errors.Is(err, endpoint.EAGAIN) {
			return sent, promise
		}
		if err != nil {
			t.Fatalf("Send: %v", err)
		}
		sent = append(sent, b[:n]...)
	}
	t.Fatalf("Send took %d bytes that nobody reads", len(sent))
	return nil, nil
}

// testSendPromise: a full queue is the peer's cause; all bytes arrive, in
// order, and Out comes back.
func testSendPromise(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	for range 3 {
		sent, promise := fillUp(t, a, 1<<14)
		if r := a.Ready(endpoint.Out); r&endpoint.Out != 0 {
			// What is under way may have arrived since.
			if _, err := a.Send(message([]byte("x"))); errors.Is(err, endpoint.EAGAIN) && a.Ready(endpoint.Out)&endpoint.Out != 0 {
				t.Error("Out is ready although Send returns EAGAIN")
			} else if err == nil {
				sent = append(sent, 'x')
			}
		}
		got, err := b.recvFull(len(sent))
		must(t, "Recv", err)
		if string(got) != string(sent) {
			t.Fatalf("received %d bytes that differ from the %d sent", len(got), len(sent))
		}
		if !wait(promise) {
			t.Fatal("the queue was emptied and the promised event did not come")
		}
		must(t, "becoming writable", a.until(endpoint.Out))
	}
}

// testSendPromiseClose: a sender that waits for room hears that the peer is
// gone.
func testSendPromiseClose(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	_, promise := fillUp(t, a, 1<<14)
	must(t, "Close", b.Close())
	if !wait(promise) {
		t.Fatal("the peer closed and the promised event did not come")
	}
	var err error
	for err == nil {
		_, err = a.send(make([]byte, 1<<14))
	}
	wantErr(t, "Send to a closed peer", err, endpoint.EPIPE, endpoint.ECONNRESET)
}

func testHalfClose(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	must(t, "Send", a.sendAll([]byte("last words")))
	must(t, "Shutdown", a.Shutdown(endpoint.SHUT_WR))
	_, err := a.Send(message([]byte("x")))
	wantErr(t, "Send after SHUT_WR", err, endpoint.EPIPE)
	if got, err := b.recvFull(10); err != nil || string(got) != "last words" {
		t.Fatalf("Recv before the end: %q, %v", got, err)
	}
	for range 3 {
		if got, err := b.recv(10); err != nil || len(got) != 0 {
			t.Fatalf("Recv at the end: %q, %v", got, err)
		}
	}
	r := b.Ready(endpoint.In | endpoint.Out | endpoint.RdHup)
	if r != endpoint.In|endpoint.Out|endpoint.RdHup {
		t.Errorf("half closed by the peer, ready are %#x; want In, Out, RdHup", r)
	}
	exchange(t, b, a) // the other direction goes on
	must(t, "Shutdown of the other direction", b.Shutdown(endpoint.SHUT_WR))
	if got, err := a.recv(10); err != nil || len(got) != 0 {
		t.Fatalf("Recv at the other end: %q, %v", got, err)
	}
	for _, e := range []*end{a, b} {
		must(t, "Hup after both directions were shut down", e.until(endpoint.Hup))
		if pending, err := e.optInt(endpoint.SOL_SOCKET, endpoint.SO_ERROR); err != nil || pending != 0 {
			t.Errorf("SO_ERROR after an orderly end: %d, %v", pending, err)
		}
	}
}

// testShutdownRead: SHUT_RD ends the own receiving, a waiting call too.
func testShutdownRead(t *testing.T, p *Provider) {
	a, _ := p.pair(t)
	expectEnd(t, a, "the own SHUT_RD", func() error { return a.Shutdown(endpoint.SHUT_RD) })
	if r := a.Ready(endpoint.In); r&endpoint.In == 0 {
		t.Errorf("after SHUT_RD ready are %#x, want In", r)
	}
}

func testShutdownHow(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	for _, how := range []int{-1, 3} {
		wantErr(t, "Shutdown", a.Shutdown(how), endpoint.EINVAL)
	}
	exchange(t, a, b)
}

// testCloseDelivers: what Send took arrives although the sender closes.
func testCloseDelivers(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	sent := []byte("a letter from the dead")
	must(t, "Send", a.sendAll(sent))
	must(t, "Close", a.Close())
	got, err := b.recvFull(len(sent))
	if err != nil || string(got) != string(sent) {
		t.Fatalf("Recv after the sender closed: %q, %v", got, err)
	}
	if got, err := b.recv(1); err != nil || len(got) != 0 {
		t.Errorf("Recv at the end: %q, %v", got, err)
	}
}

// testCloseUnread: a close that throws bytes away tells their sender, once.
func testCloseUnread(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	must(t, "Send", a.sendAll([]byte("never read")))
	must(t, "becoming readable", b.until(endpoint.In))
	must(t, "Close", b.Close())
	must(t, "Err after the peer threw bytes away", a.until(endpoint.Err))
	_, err := a.recv(1)
	wantErr(t, "Recv after the peer threw bytes away", err, endpoint.ECONNRESET)
	if pending, err := a.optInt(endpoint.SOL_SOCKET, endpoint.SO_ERROR); err != nil || pending != 0 {
		t.Errorf("SO_ERROR after the error was reported: %d, %v", pending, err)
	}
	if r := a.Ready(0); r&endpoint.Err != 0 {
		t.Errorf("ready are %#x after the error was reported", r)
	}
	if got, err := a.recv(1); err != nil || len(got) != 0 {
		t.Errorf("second Recv: %q, %v; want the end", got, err)
	}
	_, err = a.send([]byte("x"))
	wantErr(t, "Send", err, endpoint.EPIPE)
}

func testSendAfterPeerClose(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	must(t, "Close", b.Close())
	must(t, "the end", a.until(endpoint.RdHup))
	// A peer across a wire may have to be asked first.
	var err error
	for tries := 0; err == nil && tries < 3; tries++ {
		next := a.next()
		if _, err = a.send([]byte("x")); err == nil && tries == 0 {
			wait(next)
		}
	}
	wantErr(t, "Send to a closed peer", err, endpoint.EPIPE, endpoint.ECONNRESET)
}

// testReadyAfterClose: Ready and the sink outlive Close, and Hup comes when
// everything has been delivered.
func testReadyAfterClose(t *testing.T, p *Provider) {
	a, b := p.pair(t)
	must(t, "Send", a.sendAll([]byte("x")))
	must(t, "Close", a.Close())
	got, err := b.recvFull(1)
	if err != nil || len(got) != 1 {
		t.Fatalf("Recv: %q, %v", got, err)
	}
	must(t, "Close of the peer", b.Close())
	must(t, "Hup after Close", a.until(endpoint.Hup))
}

// testCloseInUse: calls in other goroutines end when the endpoint is closed
// under them: the sink is called, and a new try is not EAGAIN.
func testCloseInUse(t *testing.T, p *Provider) {
	a, _ := p.pair(t)
	fillUp(t, a, 1<<14)
	type outcome struct{ recv, send error }
	finish := start(func() (outcome, error) {
		received := make(chan error, 1)
		go func() {
			_, err := a.recv(1)
			received <- err
		}()
		var o outcome
		for o.send == nil {
			_, o.send = a.send(make([]byte, 1<<14))
		}
		o.recv = <-received
		return o, nil
	})
	must(t, "Close", a.Close())
	o := finish(t, "calls on an endpoint that was closed")
	if o.recv == nil {
		t.Error("Recv succeeded on an endpoint that was closed")
	}
}
