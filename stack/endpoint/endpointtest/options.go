package endpointtest

import (
	"testing"

	"usersock/stack/endpoint"
)

// commonTests are the tests of every type of endpoint.
var commonTests = []test{
	{"NotifyCallsOnce", testNotifyCallsOnce},
	{"BindTwice", testBindTwice},
	{"BindInUse", testBindInUse},
	{"ForeignAddress", testForeignAddress},
	{"PeerAddrUnconnected", testPeerAddrUnconnected},
	{"CloseTwice", testCloseTwice},
	{"Options", testOptions},
	{"OptionBuffers", testOptionBuffers},
	{"UnknownOption", testUnknownOption},
}

func testNotifyCallsOnce(t *testing.T, p *Provider) {
	e := p.open(t)
	if calls, _ := e.seen(); calls != 1 {
		t.Errorf("Notify called the sink %d times, want once", calls)
	}
}

func testBindTwice(t *testing.T, p *Provider) {
	e, addr := p.bound(t)
	wantErr(t, "second Bind", e.Bind(p.Bind()), endpoint.EINVAL)
	if now, err := e.LocalAddr(); err != nil || now != addr {
		t.Errorf("LocalAddr after a refused Bind: %v, %v; was %v", now, err, addr)
	}
}

func testBindInUse(t *testing.T, p *Provider) {
	_, addr := p.bound(t)
	e := p.open(t)
	wantErr(t, "Bind to a used address", e.Bind(addr), endpoint.EADDRINUSE)
	if err := e.Bind(p.Bind()); err != nil {
		t.Errorf("Bind to a free address after a refused one: %v", err)
	}
}

func testForeignAddress(t *testing.T, p *Provider) {
	e := p.open(t)
	before, _ := e.LocalAddr()
	wantErr(t, "Bind", e.Bind(p.Foreign), endpoint.EAFNOSUPPORT)
	wantErr(t, "Connect", e.Connect(p.Foreign), endpoint.EAFNOSUPPORT)
	if p.Request.Type == endpoint.SOCK_DGRAM {
		m := message([]byte("x"))
		m.To = p.Foreign
		_, err := e.Send(m)
		wantErr(t, "Send", err, endpoint.EAFNOSUPPORT)
	}
	if after, _ := e.LocalAddr(); after != before {
		t.Errorf("the refused calls changed the local address from %v to %v", before, after)
	}
	must(t, "Bind to an own address afterwards", e.Bind(p.Bind()))
}

func testPeerAddrUnconnected(t *testing.T, p *Provider) {
	_, err := p.open(t).PeerAddr()
	wantErr(t, "PeerAddr", err, endpoint.ENOTCONN)
}

func testCloseTwice(t *testing.T, p *Provider) {
	e, addr := p.bound(t)
	must(t, "Close", e.Close())
	must(t, "second Close", e.Close())
	if e.Ready(endpoint.In|endpoint.Out)&^(endpoint.In|endpoint.Out|endpoint.Always|endpoint.RdHup) != 0 {
		t.Error("Ready after Close reports events that were not asked for")
	}
	if _, err := e.Recv(request(make([]byte, 1), 0)); err == nil {
		t.Error("Recv after Close succeeded")
	}
	if _, err := e.Send(message([]byte("x"))); err == nil {
		t.Error("Send after Close succeeded")
	}
	if err := e.Connect(addr); err == nil {
		t.Error("Connect after Close succeeded")
	}
}

func testOptions(t *testing.T, p *Provider) {
	e := p.open(t)
	for _, o := range []struct {
		name string
		opt  int
		want int
	}{
		{"SO_TYPE", endpoint.SO_TYPE, p.Request.Type},
		{"SO_ERROR", endpoint.SO_ERROR, 0},
		{"SO_ACCEPTCONN", endpoint.SO_ACCEPTCONN, 0},
		{"SO_DOMAIN", endpoint.SO_DOMAIN, p.Bind().Family},
	} {
		if got, err := e.optInt(endpoint.SOL_SOCKET, o.opt); err != nil || got != o.want {
			t.Errorf("%s: %d, %v; want %d", o.name, got, err, o.want)
		}
	}
	wantErr(t, "setting SO_TYPE", e.setInt(endpoint.SOL_SOCKET, endpoint.SO_TYPE, 1), endpoint.ENOPROTOOPT)
	for _, o := range []struct {
		name string
		opt  int
	}{{"SO_SNDBUF", endpoint.SO_SNDBUF}, {"SO_RCVBUF", endpoint.SO_RCVBUF}} {
		must(t, "setting "+o.name, e.setInt(endpoint.SOL_SOCKET, o.opt, 50000))
		if got, err := e.optInt(endpoint.SOL_SOCKET, o.opt); err != nil || got != 100000 {
			t.Errorf("%s after setting 50000: %d, %v; want the double", o.name, got, err)
		}
	}
}

func testOptionBuffers(t *testing.T, p *Provider) {
	e := p.open(t)
	want := make([]byte, 4)
	endpoint.PutInt(want, p.Request.Type)
	for size := range 9 {
		buf := []byte{0xEE, 0xEE, 0xEE, 0xEE, 0xEE, 0xEE, 0xEE, 0xEE}
		n, err := e.Option(endpoint.SOL_SOCKET, endpoint.SO_TYPE, buf[:size])
		if err != nil || n != min(size, 4) || string(buf[:n]) != string(want[:n]) {
			t.Errorf("SO_TYPE into %d bytes: % x, %d, %v; want the first bytes of % x", size, buf, n, err, want)
			continue
		}
		for _, b := range buf[n:] {
			if b != 0xEE {
				t.Errorf("SO_TYPE into %d bytes wrote past its result: % x", size, buf)
			}
		}
	}
	on := make([]byte, 8)
	endpoint.PutInt(on, 1)
	for size := range 9 {
		err := e.SetOption(endpoint.SOL_SOCKET, endpoint.SO_KEEPALIVE, on[:size])
		if size < 4 {
			wantErr(t, "SO_KEEPALIVE from a short buffer", err, endpoint.EINVAL)
		} else if err != nil {
			t.Errorf("SO_KEEPALIVE from %d bytes: %v", size, err)
		}
	}
}

func testUnknownOption(t *testing.T, p *Provider) {
	e := p.open(t)
	const unknown = 9999
	_, err := e.Option(endpoint.SOL_SOCKET, unknown, make([]byte, 4))
	wantErr(t, "Option", err, endpoint.ENOPROTOOPT)
	wantErr(t, "SetOption", e.setInt(endpoint.SOL_SOCKET, unknown, 1), endpoint.ENOPROTOOPT)
}
