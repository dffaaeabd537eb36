package sockapi_test

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	. "usersock/sockapi"
	"usersock/stack/endpoint"
)

// bufsOf cuts a text into buffers of one byte and the rest, with empty ones
// between.
func bufsOf(text string) [][]byte {
	b := []byte(text)
	return [][]byte{nil, b[:1], {}, b[1:], nil}
}

func wantErr(t *testing.T, what string, err error, want Errno) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %s", what, err, want.Name())
	}
}

// TestMessages sends from several buffers and receives into several, over
// every kind of socket.
func TestMessages(t *testing.T) {
	a, b := hosts(t)
	for _, c := range []struct {
		name  string
		pair  func() (x, y *Socket)
		to    bool
		trunc bool
	}{
		{"TCP", func() (x, y *Socket) { return connected(t, a, b, InetAddr{"192.0.2.2", 0}) }, false, false},
		{"TCP over IPv6", func() (x, y *Socket) { return connected(t, a, b, Inet6Addr{Host: "2001:db8::2"}) }, false, false},
		{"UDP", func() (x, y *Socket) {
			x, y = open(t, a, AF_INET, SOCK_DGRAM), open(t, b, AF_INET, SOCK_DGRAM)
			check(t, y.Bind(InetAddr{"192.0.2.2", 0}))
			return x, y
		}, true, true},
		{"UDP over IPv6", func() (x, y *Socket) {
			x, y = open(t, a, AF_INET6, SOCK_DGRAM), open(t, b, AF_INET6, SOCK_DGRAM)
			check(t, y.Bind(Inet6Addr{Host: "2001:db8::2"}))
			return x, y
		}, true, true},
		{"AF_UNIX stream", func() (x, y *Socket) { return pair(t, a, SOCK_STREAM) }, false, false},
		{"AF_UNIX datagrams", func() (x, y *Socket) {
			x, y = open(t, a, AF_UNIX, SOCK_DGRAM), open(t, a, AF_UNIX, SOCK_DGRAM)
			check(t, x.Bind(UnixAddr{"x"}))
			check(t, y.Bind(UnixAddr{"y"}))
			return x, y
		}, true, true},
		{"AF_UNIX sequenced packets", func() (x, y *Socket) { return pair(t, a, SOCK_SEQPACKET) }, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, y := c.pair()
			var to Addr
			if c.to {
				var err error
				to, err = y.Getsockname()
				check(t, err)
			}
			send := func(text string) {
				t.Helper()
				n, err := x.Sendmsg(bufsOf(text), nil, 0, to)
				if err != nil || n != len(text) {
					t.Fatalf("Sendmsg: %d, %v", n, err)
				}
			}
			send("Hello, world")
			data, items, flags, from, err := y.Recvmsg(5, 0)
			want := 0
			if c.trunc {
				want = MSG_TRUNC
			}
			if string(data) != "Hello" || items != nil || flags != want || err != nil {
				t.Fatalf("Recvmsg: %q, %v, %#x, %v", data, items, flags, err)
			}
			name, err := x.Getsockname()
			check(t, err)
			if c.to != (from != nil && from.String() != "") {
				t.Errorf("from %v", from)
			}
			if c.to && c.name != "UDP" && c.name != "UDP over IPv6" && from != name {
				t.Errorf("from %v, want %v", from, name)
			}
			if c.trunc {
				send("Hello, world")
			} else {
				send("Hello")
			}
			one, two := make([]byte, 3), make([]byte, 6)
			n, items, flags, _, err := y.RecvmsgInto([][]byte{one, nil, two}, 0, MSG_TRUNC)
			if x.Family() != AF_UNIX && !c.trunc && n == 7 { // what was in one segment
				more, _, _, _, err := y.RecvmsgInto([][]byte{one[:2]}, 0, MSG_TRUNC)
				check(t, err)
				n += more
			}
			got := string(one) + string(two)
			switch {
			case err != nil || items != nil:
				t.Fatal(items, err)
			case c.trunc && (n != 12 || got != "Hello, wo" || flags != MSG_TRUNC):
				t.Errorf("RecvmsgInto: %d, %q, %#x", n, got, flags)
			case !c.trunc && (n != 9 || flags != 0):
				t.Errorf("RecvmsgInto: %d, %q, %#x", n, got, flags)
			case !c.trunc && x.Family() == AF_UNIX && got != ", worldHe":
				t.Errorf("RecvmsgInto: %q", got) // on TCP MSG_TRUNC discards
			}
			if !c.trunc {
				send("!")
				n, _, _, _, err := y.RecvmsgInto([][]byte{one, two[:1]}, 0, MSG_WAITALL)
				if got := string(one) + string(two[:1]); n != 4 || got != "llo!" || err != nil {
					t.Errorf("MSG_WAITALL: %d, %q, %v", n, got, err)
				}
			}
			_, _, _, _, err = y.Recvmsg(1, 0, MSG_DONTWAIT)
			wantErr(t, "Recvmsg of nothing", err, endpoint.EAGAIN)
			_, _, _, _, err = y.Recvmsg(1, 100, MSG_ERRQUEUE)
			wantErr(t, "Recvmsg of no error", err, endpoint.EAGAIN)
		})
	}
}

// TestRights sends descriptors from one Net of a Stack to another.
func TestRights(t *testing.T) {
	for _, typ := range []int{SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET} {
		n := host(t)
		other, err := New(Config{Stack: n.Stack()})
		check(t, err)
		t.Cleanup(func() { other.Close() })
		a, b := pair(t, n, typ)
		// Into the other Net by a descriptor: a right needs one to travel by.
		carrier := into(t, n, other, b)
		payload, far := pair(t, n, SOCK_STREAM)
		check(t, payload.Settimeout(7*time.Second))

		sent, err := a.SendFds([][]byte{[]byte("take these")}, []int{payload.Fileno(), payload.Fileno()}, 0, nil)
		if sent != 10 || err != nil {
			t.Fatalf("SendFds: %d, %v", sent, err)
		}
		payload.Close() // what is in flight keeps it open

		// A look gives descriptors too, of the same open sockets.
		data, fds, flags, _, err := carrier.RecvFds(100, 2, MSG_PEEK)
		if string(data) != "take these" || len(fds) != 2 || flags != 0 || err != nil {
			t.Fatalf("peek: %q, %v, %#x, %v", data, fds, flags, err)
		}
		for _, fd := range fds {
			check(t, other.CloseFd(fd))
		}
		free := nextFd(t, other)
		data, items, flags, _, err := carrier.Recvmsg(100, CmsgLen(4), MSG_CMSG_CLOEXEC)
		if string(data) != "take these" || flags != MSG_CTRUNC|MSG_CMSG_CLOEXEC || err != nil || len(items) != 1 {
			t.Fatalf("%q, %v, %#x, %v", data, items, flags, err)
		}
		fds, ok := items[0].Rights()
		if !ok || !slices.Equal(fds, []int{free}) {
			t.Fatalf("descriptors %v, want the lowest free, %d", fds, free)
		}
		got, err := other.Adopt(fds[0])
		check(t, err)
		if got.Gettimeout() != 7*time.Second {
			t.Errorf("the mode is %v: it belongs to the open socket", got.Gettimeout())
		}
		check(t, got.Sendall([]byte("through")))
		got.Close() // the last: the one that did not fit was closed
		text, err := far.Recv(100, MSG_WAITALL)
		if string(text) != "through" || err != nil {
			t.Errorf("%q, %v", text, err)
		}
	}
}

// into gives other a Socket of s, which leaves n.
func into(t *testing.T, n, other *Net, s *Socket) *Socket {
	t.Helper()
	// Both ends of a connection by name, one in each Net.
	l := open(t, other, AF_UNIX, SOCK_STREAM)
	check(t, l.Bind(UnixAddr{"\x00carrier"}))
	check(t, l.Listen(1))
	c := open(t, n, AF_UNIX, SOCK_STREAM)
	check(t, c.Connect(UnixAddr{"\x00carrier"}))
	in, _, err := l.Accept()
	check(t, err)
	_, err = SendFds(c, [][]byte{{0}}, []int{s.Fileno()}, 0, nil)
	check(t, err)
	_, fds, _, _, err := RecvFds(in, 1, 1)
	check(t, err)
	if len(fds) != 1 {
		t.Fatalf("descriptors %v", fds)
	}
	for _, end := range []*Socket{l, c, in, s} {
		end.Close()
	}
	got, err := other.Adopt(fds[0])
	check(t, err)
	t.Cleanup(func() { got.Close() })
	return got
}

// TestRightsRefused: what is wrong about descriptors is found before anything
// is sent, and nothing stays open by it.
func TestRightsRefused(t *testing.T) {
	n := host(t)
	a, b := pair(t, n, SOCK_DGRAM)
	p, far := pair(t, n, SOCK_STREAM)
	many := slices.Repeat([]int{p.Fileno()}, 254)
	for _, c := range []struct {
		name  string
		items []Ancillary
		want  Errno
	}{
		{"not open", []Ancillary{Rights(p.Fileno(), 99)}, endpoint.EBADF},
		{"negative", []Ancillary{Rights(p.Fileno(), -1)}, endpoint.EBADF},
		{"standard output", []Ancillary{Rights(1)}, endpoint.EBADF},
		{"too many", []Ancillary{Rights(many...)}, endpoint.EINVAL},
		{"too many in two items", []Ancillary{Rights(many[:200]...), Rights(many[:54]...)}, endpoint.EINVAL},
		{"another type of SOL_SOCKET", []Ancillary{Rights(p.Fileno()), {SOL_SOCKET, 77, nil}}, endpoint.EINVAL},
		{"short credentials", []Ancillary{Rights(p.Fileno()), {SOL_SOCKET, SCM_CREDENTIALS, make([]byte, 8)}}, endpoint.EINVAL},
		{"too much", []Ancillary{{IPPROTO_IP, 0, make([]byte, 128<<10)}}, endpoint.ENOBUFS},
	} {
		_, err := a.Sendmsg([][]byte{{1}}, c.items, 0, nil)
		wantErr(t, c.name, err, c.want)
		_, err = b.Recv(1, MSG_DONTWAIT)
		wantErr(t, "after "+c.name, err, endpoint.EAGAIN)
	}
	_, err := a.Sendmsg(make([][]byte, 1025), nil, 0, nil)
	wantErr(t, "1025 buffers", err, endpoint.EMSGSIZE)
	_, _, _, _, err = a.RecvmsgInto(make([][]byte, 1025), 0)
	wantErr(t, "1025 buffers", err, endpoint.EMSGSIZE)
	// 253 go, and are closed by a receiver that does not want them.
	_, err = a.SendFds([][]byte{{1}}, many[:253], 0, nil)
	check(t, err)
	_, _, flags, _, err := b.Recvmsg(1, 0)
	if flags != MSG_CTRUNC || err != nil {
		t.Errorf("%#x, %v", flags, err)
	}
	p.Close()
	if data, err := far.Recv(1); len(data) != 0 || err != nil {
		t.Errorf("%q, %v: something still holds the other end open", data, err)
	}
}

// TestCredentials sends who one is.
func TestCredentials(t *testing.T) {
	n := host(t)
	a, b := pair(t, n, SOCK_STREAM)
	check(t, b.Setsockopt(SOL_SOCKET, SO_PASSCRED, 1))
	want := Cred{Pid: 1, Uid: 33, Gid: 44}
	_, err := a.Sendmsg([][]byte{[]byte("x")}, []Ancillary{Credentials(want)}, 0, nil)
	check(t, err)
	_, items, flags, _, err := b.Recvmsg(1, CmsgSpace(12))
	check(t, err)
	if len(items) != 1 || flags != 0 {
		t.Fatalf("%v, %#x", items, flags)
	}
	if got, ok := items[0].Credentials(); !ok || got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestDatagramItems receives what a datagram came with.
func TestDatagramItems(t *testing.T) {
	a, b := hosts(t)
	x, y := open(t, a, AF_INET, SOCK_DGRAM), open(t, b, AF_INET, SOCK_DGRAM)
	check(t, y.Bind(InetAddr{"", 0}))
	name, err := y.Getsockname()
	check(t, err)
	check(t, x.Connect(InetAddr{"192.0.2.2", name.(InetAddr).Port}))
	for _, o := range []int{IP_PKTINFO, IP_RECVTTL, IP_RECVTOS} {
		check(t, y.Setsockopt(IPPROTO_IP, o, 1))
	}
	check(t, y.Setsockopt(SOL_SOCKET, SO_TIMESTAMPNS, 1))
	check(t, x.Setsockopt(IPPROTO_IP, IP_TOS, 0x10))
	before := time.Now()
	_, err = x.Sendmsg([][]byte{[]byte("x")}, []Ancillary{TTL(7)}, 0, nil)
	check(t, err)
	_, items, _, _, err := y.Recvmsg(1, 500)
	check(t, err)
	seen := 0
	for _, it := range items {
		if ts, ok := it.Timestamp(); ok && !ts.Before(before.Truncate(0)) && ts.Before(before.Add(time.Hour)) {
			seen++
		}
		if p, ok := it.PktInfo4(); ok && p.Ifindex > 0 && p.Addr == netip.MustParseAddr("192.0.2.2") {
			seen++
		}
		if ttl, ok := it.TTL(); ok && ttl == 7 {
			seen++
		}
		if tos, ok := it.TOS(); ok && tos == 0x10 {
			seen++
		}
	}
	if seen != 4 || len(items) != 4 {
		t.Errorf("%d of %d items of %v", seen, len(items), items)
	}

	x, y = open(t, a, AF_INET6, SOCK_DGRAM), open(t, b, AF_INET6, SOCK_DGRAM)
	check(t, y.Bind(Inet6Addr{}))
	name, err = y.Getsockname()
	check(t, err)
	for _, o := range []int{IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS} {
		check(t, y.Setsockopt(IPPROTO_IPV6, o, 1))
	}
	to := Inet6Addr{Host: "2001:db8::2", Port: name.(Inet6Addr).Port}
	src := netip.MustParseAddr("2001:db8::1")
	_, err = x.Sendmsg([][]byte{[]byte("x")}, []Ancillary{HopLimit(9), PktInfo6{Addr: src}.Ancillary()}, 0, to)
	check(t, err)
	_, items, _, from, err := y.Recvmsg(1, 500)
	check(t, err)
	seen = 0
	for _, it := range items {
		if p, ok := it.PktInfo6(); ok && p.Ifindex > 0 && p.Addr == netip.MustParseAddr("2001:db8::2") {
			seen++
		}
		if hops, ok := it.HopLimit(); ok && hops == 9 {
			seen++
		}
		if class, ok := it.TClass(); ok && class == 0 {
			seen++
		}
	}
	if seen != 3 || from.(Inet6Addr).Host != "2001:db8::1" {
		t.Errorf("%d of the items of %v, from %v", seen, items, from)
	}
	_, err = x.Sendmsg([][]byte{{1}}, []Ancillary{PktInfo4{SpecDst: src}.Ancillary()}, 0, to)
	if err != nil {
		t.Errorf("an item of another level: %v", err)
	}
	v4 := open(t, a, AF_INET, SOCK_DGRAM)
	_, err = v4.Sendmsg([][]byte{{1}}, []Ancillary{PktInfo4{SpecDst: src}.Ancillary()}, 0, InetAddr{"192.0.2.2", 9})
	wantErr(t, "IP_PKTINFO with an IPv6 address", err, endpoint.EINVAL)
}

// TestExtendedErr reads an error queue's item as Linux writes it.
func TestExtendedErr(t *testing.T) {
	packed := []byte{111: 0}[:16]
	endpoint.PutInt(packed, int(endpoint.ECONNREFUSED))
	packed[4], packed[5], packed[6] = SO_EE_ORIGIN_ICMP, 3, 3
	endpoint.PutInt(packed[8:], 1280)
	sa := make([]byte, 16)
	sa[endpoint.PutInt(make([]byte, 0), 0)] = 0
	copy(sa, []byte{0, 0, 0, 0, 192, 0, 2, 9})
	family := make([]byte, 4)
	endpoint.PutInt(family, AF_INET)
	if family[0] != 0 {
		copy(sa, family[:2])
	} else {
		copy(sa, family[2:])
	}
	e, ok := Ancillary{IPPROTO_IP, IP_RECVERR, append(packed, sa...)}.ExtendedErr()
	want := ExtendedErr{endpoint.ECONNREFUSED, SO_EE_ORIGIN_ICMP, 3, 3, 1280, 0, InetAddr{"192.0.2.9", 0}}
	if !ok || e != want {
		t.Errorf("%+v, want %+v", e, want)
	}
	if _, ok := (Ancillary{IPPROTO_IP, IP_RECVERR, packed[:15]}).ExtendedErr(); ok {
		t.Error("a cut item was read")
	}
}

// TestMmsg sends and receives several messages in a call.
func TestMmsg(t *testing.T) {
	n := host(t)
	a, b := pair(t, n, SOCK_DGRAM)
	sent, err := a.Sendmmsg([]Message{
		{Bufs: bufsOf("one")},
		{Bufs: bufsOf("three"), Ancdata: []Ancillary{Rights(a.Fileno())}},
		{Bufs: nil},
		{Bufs: bufsOf("bad"), Ancdata: []Ancillary{Rights(99)}},
	})
	if sent != 3 || err != nil {
		t.Fatalf("sent %d, %v", sent, err)
	}
	_, err = a.Sendmmsg([]Message{{Ancdata: []Ancillary{Rights(99)}}})
	wantErr(t, "a bad first message", err, endpoint.EBADF)
	in := make([]Message, 5)
	for i := range in {
		in[i] = Message{Bufs: [][]byte{make([]byte, 2), make([]byte, 2)}, Ancbufsize: 100}
	}
	got, err := b.Recvmmsg(in, Forever, MSG_WAITFORONE)
	if got != 3 || err != nil {
		t.Fatalf("received %d, %v", got, err)
	}
	fds, _ := in[1].Ancdata[0].Rights()
	if in[0].N != 3 || in[1].N != 4 || in[1].Flags != MSG_TRUNC || string(in[1].Bufs[1]) != "re" || len(fds) != 1 || in[2].N != 0 {
		t.Errorf("%+v", in)
	}
	check(t, n.CloseFd(fds[0]))
	_, err = a.Sendmmsg([]Message{{Bufs: bufsOf("1x")}, {Bufs: bufsOf("2x")}})
	check(t, err)
	if got, err := b.Recvmmsg(in, 0); got != 1 || err != nil {
		t.Errorf("with no time it took %d, %v", got, err)
	}
	_, err = b.Recvmmsg(in[:1], -5)
	wantErr(t, "a negative timeout", err, endpoint.EINVAL)
}

// TestControlBytes packs and parses control data.
func TestControlBytes(t *testing.T) {
	items := []Ancillary{TTL(7), TOS(1), {IPPROTO_IPV6, IPV6_PKTINFO, []byte("abc")}, {-1, -2, nil}}
	packed, err := PackControl(items)
	check(t, err)
	if want := 2*CmsgSpace(4) + CmsgSpace(3) + CmsgSpace(0); len(packed) != want {
		t.Errorf("%d bytes, want %d", len(packed), want)
	}
	got, err := ParseControl(packed)
	check(t, err)
	same := func(a, b Ancillary) bool {
		return a.Level == b.Level && a.Type == b.Type && bytes.Equal(a.Data, b.Data)
	}
	if !slices.EqualFunc(items, got, same) {
		t.Errorf("%v, want %v", got, items)
	}
	if got, err := ParseControl(packed[:len(packed)-1]); err != nil || len(got) != 3 {
		t.Errorf("with a cut header behind: %v, %v", got, err)
	}
	if got, err := ParseControl(packed[:CmsgSpace(4)+CmsgLen(4)-1]); !errors.Is(err, endpoint.EINVAL) || len(got) != 1 {
		t.Errorf("with cut data behind: %v, %v", got, err)
	}
	word := CmsgSpace(0) - 8
	if CmsgLen(0) != word+8 || CmsgLen(5) != word+13 || CmsgSpace(1) != 2*word+8 || CmsgLen(-1) != -1 || CmsgSpace(1<<31-1) != -1 {
		t.Error("CmsgLen or CmsgSpace")
	}
	_, err = PackControl([]Ancillary{{Level: int(tooLarge)}})
	if word == 8 {
		wantErr(t, "a level beyond a C int", err, endpoint.EINVAL)
	}
	a, _ := pair(t, host(t), SOCK_DGRAM)
	for _, n := range []int{-1, CmsgLen(-1), CmsgSpace(1<<31 - 1)} {
		_, _, _, _, err := a.Recvmsg(1, n)
		wantErr(t, "a negative room", err, endpoint.EINVAL)
	}
	_, _, _, _, err = a.Recvmsg(-1, 0)
	wantErr(t, "a negative size", err, endpoint.EINVAL)
	_, _, _, _, err = a.RecvFds(1, -1)
	wantErr(t, "a negative number of descriptors", err, endpoint.EINVAL)
}

// FuzzControl gives any bytes to the calls that take control data. None may
// panic, what is refused sends nothing, and what is parsed packs again.
func FuzzControl(f *testing.F) {
	packed, err := PackControl([]Ancillary{Rights(3, 4), TTL(1), Credentials(Cred{Pid: 1})})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed, 16)
	f.Add(packed[:20], 1)
	f.Add(make([]byte, 40), 0)
	f.Add(bytes.Repeat([]byte{0xff}, 40), 100)
	n := host(f)
	var sockets [4][2]*Socket
	sockets[0][0], sockets[0][1] = pair(f, n, SOCK_DGRAM)
	sockets[1][0], sockets[1][1] = pair(f, n, SOCK_STREAM)
	for i, any := range []Addr{InetAddr{"127.0.0.1", 0}, Inet6Addr{Host: "::1"}} {
		x, y := open(f, n, any.Family(), SOCK_DGRAM), open(f, n, any.Family(), SOCK_DGRAM)
		check(f, y.Bind(any))
		name, err := y.Getsockname()
		check(f, err)
		check(f, x.Connect(name))
		sockets[2+i] = [2]*Socket{x, y}
	}
	f.Fuzz(func(t *testing.T, control []byte, room int) {
		items, err := ParseControl(control)
		if err == nil {
			packed, err := PackControl(items)
			check(t, err)
			again, err := ParseControl(packed)
			if err != nil || len(again) != len(items) {
				t.Fatalf("%v became %v, %v", items, again, err)
			}
		}
		for i, p := range sockets {
			n, err := p[0].SendmsgControl([][]byte{{1}, {2}}, control, MSG_DONTWAIT, nil)
			if err != nil && (errnoOf(err) == 0 || n != 0) {
				t.Fatalf("%d: %d, %v: no errno", i, n, err)
			}
			into := make([]byte, max(0, min(room, 1<<10)))
			got, used, flags, _, rerr := p[1].RecvmsgControl([][]byte{make([]byte, 4)}, into, MSG_DONTWAIT)
			switch {
			case err != nil && !errors.Is(rerr, endpoint.EAGAIN):
				t.Fatalf("%d: refused with %v, and received %d, %v", i, err, got, rerr)
			case err == nil && (got != 2 || used > len(into) || flags&^MSG_CTRUNC != 0):
				t.Fatalf("%d: %d, %d of %d, %#x, %v", i, got, used, len(into), flags, rerr)
			}
			items, perr := ParseControl(into[:used])
			if perr != nil {
				t.Fatalf("%d: what was received is no control data: %x", i, into[:used])
			}
			for _, it := range items {
				fds, _ := it.Rights()
				for _, fd := range fds {
					check(t, sockets[0][0].Net().CloseFd(fd))
				}
			}
		}
	})
}

func errnoOf(err error) (e Errno) {
	errors.As(err, &e)
	return e
}
