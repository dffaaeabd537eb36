package unix

import (
	"fmt"
	"slices"
	"testing"

	"usersock/stack/endpoint"
)

// What Linux answers to users and privileges that the differential suite of
// sockapi cannot have: its sockets are those of one user.

var everyType = []int{endpoint.SOCK_STREAM, endpoint.SOCK_DGRAM, endpoint.SOCK_SEQPACKET}

func credItem(c endpoint.Cred) endpoint.Control {
	b := make([]byte, 12)
	endpoint.PutCred(b, c)
	return endpoint.Control{Level: endpoint.SOL_SOCKET, Type: endpoint.SCM_CREDENTIALS, Data: b}
}

// manyRights is SCM_RIGHTS with n rights.
func manyRights(n int) endpoint.Control {
	c := endpoint.Control{Level: endpoint.SOL_SOCKET, Type: endpoint.SCM_RIGHTS}
	for range n {
		c.Rights = append(c.Rights, nothing{})
	}
	return c
}

func message(text string, items ...endpoint.Control) endpoint.Message {
	return endpoint.Message{Bufs: [][]byte{[]byte(text)}, Control: items}
}

// came receives once, and tells what came with what credentials.
func came(e endpoint.Endpoint, size, flags int) string {
	buf := make([]byte, size)
	r, err := e.Recv(endpoint.RecvRequest{Bufs: [][]byte{buf}, Flags: flags, Control: true})
	if err != nil {
		return err.(endpoint.Errno).Name()
	}
	text := string(buf[:r.N])
	for _, c := range r.Control {
		if c.Type == endpoint.SCM_RIGHTS {
			text += fmt.Sprintf(" %d rights", len(c.Rights))
		} else {
			text += fmt.Sprintf(" of %x", c.Data[:1])
		}
	}
	return text
}

// TestForgedCredentials: user 0 may name any process, user and group that there
// can be, everybody else only its own.
func TestForgedCredentials(t *testing.T) {
	const nobody = ^uint32(0)
	root, user := endpoint.Cred{Pid: 7}, endpoint.Cred{Pid: 8, Uid: 1000, Gid: 1000}
	for _, typ := range everyType {
		for _, c := range []struct {
			sender, forged endpoint.Cred
			want           error
		}{
			{root, root, nil}, {root, endpoint.Cred{Pid: 1, Uid: 5, Gid: 6}, nil},
			{root, endpoint.Cred{}, endpoint.ESRCH}, {root, endpoint.Cred{Pid: -1}, endpoint.ESRCH},
			{root, endpoint.Cred{Pid: 7, Uid: nobody}, endpoint.EINVAL}, {root, endpoint.Cred{Pid: 7, Gid: nobody}, endpoint.EINVAL},
			{root, endpoint.Cred{Uid: nobody}, endpoint.EINVAL},
			{user, user, nil}, {user, endpoint.Cred{Pid: 1, Uid: 1000, Gid: 1000}, endpoint.EPERM},
			{user, endpoint.Cred{Pid: 8, Uid: 0, Gid: 1000}, endpoint.EPERM}, {user, endpoint.Cred{Pid: 8, Uid: 1000, Gid: 0}, endpoint.EPERM},
		} {
			a, b, err := New(Config{}).Pair(endpoint.Request{Type: typ, Cred: c.sender})
			if err != nil {
				t.Fatal(err)
			}
			b.SetOption(endpoint.SOL_SOCKET, endpoint.SO_PASSCRED, intOf(1))
			_, err = a.Send(message("x", credItem(c.forged)))
			got := came(b, 5, 0)
			want := fmt.Sprintf("x of %02x", c.forged.Pid)
			if c.want != nil {
				want = "EAGAIN"
			}
			if err != c.want || got != want {
				t.Errorf("type %d, %v sends %v: %v, want %v; came %q", typ, c.sender, c.forged, err, c.want, got)
			}
			a.Close()
			b.Close()
		}
	}
}

// TestCredentialsApart: a read of a stream ends where the sender changes, if the
// receiver asked who it is. The last of several items counts.
func TestCredentialsApart(t *testing.T) {
	own, other := endpoint.Cred{Pid: 7}, endpoint.Cred{Pid: 1, Uid: 5, Gid: 6}
	a, b, err := New(Config{}).Pair(endpoint.Request{Type: endpoint.SOCK_STREAM, Cred: own})
	if err != nil {
		t.Fatal(err)
	}
	for pass, want := range [][]string{
		{"xyx", "xyxyxyxyxyplain", "xyxyxyxyxyplain", "EAGAIN"},
		{"xyx of 07", "xyxy of 07", "xyxy of 07", "xyxy of 01", "xyplain of 07", "EAGAIN"},
	} {
		b.SetOption(endpoint.SOL_SOCKET, endpoint.SO_PASSCRED, intOf(pass))
		for _, c := range []endpoint.Cred{own, own, other, other, own} {
			mustSend(t, a, message("xy", credItem(c)))
		}
		mustSend(t, a, message("plain"))
		got := []string{came(b, 3, endpoint.MSG_PEEK), came(b, 20, endpoint.MSG_PEEK)}
		for len(got) < len(want) {
			got = append(got, came(b, 20, 0))
		}
		if !slices.Equal(got, want) {
			t.Errorf("SO_PASSCRED %d: %q, want %q", pass, got, want)
		}
	}
	for _, c := range []struct {
		m    endpoint.Message
		want string
	}{
		{message("last", credItem(other), credItem(own)), "last of 07"},
		{message("all", manyRights(1), credItem(own), manyRights(2)), "all of 07 3 rights"},
	} {
		mustSend(t, a, c.m)
		if got := came(b, 9, 0); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if _, err := a.Send(message("x", manyRights(1), credItem(endpoint.Cred{}))); err != endpoint.ESRCH {
		t.Errorf("rights and bad credentials: %v", err)
	}
}

// TestTooManyInFlight: a user other than 0 has a limit, and ETOOMANYREFS has its
// place among the other errors.
func TestTooManyInFlight(t *testing.T) {
	for _, typ := range everyType {
		f := New(Config{})
		for _, user := range []uint32{0, 1000} {
			request := endpoint.Request{Type: typ, Cred: endpoint.Cred{Pid: 1, Uid: user}}
			pair := func() (a, b endpoint.Endpoint) {
				a, b, err := f.Pair(request)
				if err != nil {
					t.Fatal(err)
				}
				return a, b
			}
			x, y := pair()
			sent, err := 0, error(nil)
			for ; sent < 8; sent++ {
				if _, err = x.Send(message("x", manyRights(maxRights))); err != nil {
					break
				}
			}
			// The message that goes beyond the limit is the last.
			if user == 0 && (err != nil || sent != 8) || user != 0 && (err != endpoint.ETOOMANYREFS || sent != 5) {
				t.Errorf("type %d, user %d: %d messages, %v", typ, user, sent, err)
			}
			if _, err := x.Send(message("x", manyRights(maxRights), manyRights(1))); err != endpoint.EINVAL {
				t.Errorf("more than a message may have: %v", err)
			}
			if _, err := x.Send(message("plain")); err != nil {
				t.Errorf("without rights: %v", err)
			}
			if user != 0 {
				unconnected, closed := error(endpoint.ENOTCONN), error(endpoint.EPIPE)
				if typ == endpoint.SOCK_DGRAM {
					unconnected, closed = endpoint.ETOOMANYREFS, endpoint.ETOOMANYREFS
				}
				one := message("x", manyRights(1))
				e := newOpen(t, f, request)
				if _, err := e.Send(one); err != unconnected {
					t.Errorf("type %d, unconnected: %v, want %v", typ, err, unconnected)
				}
				e.Close()
				c, d := pair()
				d.Close()
				if _, err := c.Send(one); err != closed {
					t.Errorf("type %d, to a closed peer: %v, want %v", typ, err, closed)
				}
				c.Close()
				if _, err := x.Send(one); err != endpoint.ETOOMANYREFS {
					t.Errorf("type %d: %v", typ, err)
				}
			}
			if got := came(y, 1, 0); got != fmt.Sprintf("x %d rights", maxRights) {
				t.Errorf("came %q", got)
			}
			if _, err := y.Send(message("after one was received", manyRights(1))); err != nil {
				t.Errorf("after one was received: %v", err)
			}
			x.Shutdown(endpoint.SHUT_WR)
			if _, err := x.Send(message("x", manyRights(1))); err != endpoint.EPIPE {
				t.Errorf("type %d, after shutdown: %v", typ, err)
			}
			x.Close()
			y.Close()
		}
		empty(t, f)
	}
}
