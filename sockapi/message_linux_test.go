package sockapi_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	. "usersock/sockapi"
	"usersock/stack/endpoint"
)

// controlSide is a pair of AF_UNIX sockets, the kernel's or ours.
type controlSide struct {
	send func(control []byte) error
	recv func(control []byte) (n, used, flags int, err error)
	fd   int // a descriptor to send
	end  func(fd int)
}

func kernelSide(t *testing.T, typ int, cred bool) controlSide {
	fds, err := unix.Socketpair(unix.AF_UNIX, typ|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	check(t, err)
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	if cred {
		check(t, unix.SetsockoptInt(fds[1], unix.SOL_SOCKET, unix.SO_PASSCRED, 1))
	}
	return controlSide{
		send: func(control []byte) error {
			_, err := unix.SendmsgN(fds[0], []byte{1}, control, nil, 0)
			if e, ok := endpoint.FromHost(err); ok {
				return e
			}
			return err
		},
		recv: func(control []byte) (n, used, flags int, err error) {
			n, used, flags, _, err = unix.Recvmsg(fds[1], make([]byte, 8), control, 0)
			if e, ok := endpoint.FromHost(err); ok {
				err = e
			}
			return n, used, flags, err
		},
		fd:  fds[0],
		end: func(fd int) { unix.Close(fd) },
	}
}

func ourSide(t *testing.T, typ int, cred bool) controlSide {
	n := host(t)
	a, b := pair(t, n, typ)
	if cred {
		check(t, b.Setsockopt(SOL_SOCKET, SO_PASSCRED, 1))
	}
	return controlSide{
		send: func(control []byte) error {
			_, err := a.SendmsgControl([][]byte{{1}}, control, MSG_DONTWAIT, nil)
			if err != nil {
				return errnoOf(err)
			}
			return nil
		},
		recv: func(control []byte) (n, used, flags int, err error) {
			n, used, flags, _, err = b.RecvmsgControl([][]byte{make([]byte, 8)}, control, MSG_DONTWAIT)
			if err != nil {
				err = errnoOf(err)
			}
			return n, used, flags, err
		},
		fd:  a.Fileno(),
		end: func(fd int) { n.CloseFd(fd) },
	}
}

// result is what one exchange showed, without the numbers of descriptors and
// processes.
func (s controlSide) result(control func(fd int) []byte, room int) string {
	if err := s.send(control(s.fd)); err != nil {
		_, _, _, after := s.recv(make([]byte, 100))
		return fmt.Sprint("refused: ", err, ", then ", after)
	}
	into := bytes.Repeat([]byte{0xee}, room)
	n, used, flags, err := s.recv(into)
	if err != nil {
		return err.Error()
	}
	items, err := ParseControl(into[:used])
	text := fmt.Sprintf("%d bytes, %d of %d, flags %#x, %v:", n, used, room, flags, err)
	for _, it := range items {
		fds, ok := it.Rights()
		for _, fd := range fds {
			s.end(fd)
		}
		text += fmt.Sprintf(" (%d, %d, %d bytes)", it.Level, it.Type, len(it.Data))
		if !ok && it.Type != SCM_CREDENTIALS {
			text += fmt.Sprintf(" %x", it.Data)
		}
	}
	return text
}

// TestControlLikeKernel sends control data of every kind, good and bad, and
// receives them into rooms of every size, on the kernel's sockets and on ours.
func TestControlLikeKernel(t *testing.T) {
	word := CmsgSpace(0) - 8
	if word == 4 {
		t.Skip("a 64-bit kernel reads the control data of a 32-bit program by rules of their own")
	}
	rights := func(n int) func(int) []byte {
		return func(fd int) []byte {
			fds := make([]int, n)
			for i := range fds {
				fds[i] = fd
			}
			b, err := PackControl([]Ancillary{Rights(fds...)})
			check(t, err)
			return b
		}
	}
	// length sets cmsg_len of the first item.
	length := func(n uint64, of func(int) []byte) func(int) []byte {
		return func(fd int) []byte {
			b := of(fd)
			binary.NativeEndian.PutUint64(b, n)
			return b
		}
	}
	items := func(list ...Ancillary) func(int) []byte {
		return func(int) []byte {
			b, err := PackControl(list)
			check(t, err)
			return b
		}
	}
	cut := func(n int, of func(int) []byte) func(int) []byte {
		return func(fd int) []byte { return of(fd)[:n] }
	}
	both := func(a, b func(int) []byte) func(int) []byte {
		return func(fd int) []byte { return append(a(fd), b(fd)...) }
	}
	type sent struct {
		name    string
		control func(fd int) []byte
	}
	bad := []sent{
		{"none", items()},
		{"zeroes", func(int) []byte { return make([]byte, 64) }},
		{"ones", func(int) []byte { return bytes.Repeat([]byte{255}, 64) }},
		{"length 0", length(0, rights(1))},
		{"length of less than the header", length(uint64(CmsgLen(0)-1), rights(1))},
		{"length of the header", length(uint64(CmsgLen(0)), rights(1))},
		{"length of half a descriptor", length(uint64(CmsgLen(2)), rights(1))},
		{"length of one and a half", length(uint64(CmsgLen(6)), rights(2))},
		{"length with the padding", length(uint64(CmsgSpace(4)), func(fd int) []byte {
			b := rights(1)(fd)
			for i := CmsgLen(4); i < len(b); i++ {
				b[i] = 0xff // -1, if it is taken for a descriptor
			}
			return b
		})},
		{"length beyond", length(uint64(CmsgSpace(4))+1, rights(1))},
		{"length of all there is", length(1<<63-1, rights(1))},
		{"length that is negative", length(1<<64-1, rights(1))},
		{"length that wraps", length(1<<64-8, rights(1))},
		{"254 descriptors", rights(254)},
		{"200 descriptors and 54", both(rights(200), rights(54))},
		{"a bad descriptor", items(Rights(-1))},
		{"no descriptors", items(Rights())},
		{"a good and a bad item", both(rights(1), length(3, rights(1)))},
		{"a bad descriptor and a bad item", both(items(Rights(-1)), length(3, rights(1)))},
		{"another level", items(Ancillary{IPPROTO_TCP, 1, []byte("abc")})},
		{"another level and type 0", items(Ancillary{0, 0, nil})},
		{"an unknown type", items(Ancillary{SOL_SOCKET, 99, []byte("abc")})},
		{"short credentials", items(Ancillary{SOL_SOCKET, SCM_CREDENTIALS, make([]byte, 11)})},
		{"long credentials", items(Ancillary{SOL_SOCKET, SCM_CREDENTIALS, make([]byte, 13)})},
		{"more than the option memory", items(Ancillary{0, 0, make([]byte, 1<<20)})},
	}
	for n := range CmsgSpace(4) {
		bad = append(bad, sent{fmt.Sprintf("cut to %d", n), cut(n, rights(1))})
		bad = append(bad, sent{fmt.Sprintf("two, the second cut to %d", n), cut(CmsgSpace(4)+n, both(rights(1), rights(1)))})
	}
	for _, typ := range []int{SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET} {
		theirs, ours := kernelSide(t, typ, false), ourSide(t, typ, false)
		for _, c := range bad {
			want, got := theirs.result(c.control, 200), ours.result(c.control, 200)
			if got != want {
				t.Errorf("type %d, %s:\n%s, the kernel's\n%s", typ, c.name, got, want)
			}
		}
		for _, cred := range []bool{false, true} {
			theirs, ours := kernelSide(t, typ, cred), ourSide(t, typ, cred)
			for n := range 4 {
				for room := range 100 {
					want, got := theirs.result(rights(n), room), ours.result(rights(n), room)
					if got != want {
						t.Errorf("type %d, %d descriptors, credentials %v:\n%s, the kernel's\n%s", typ, n, cred, got, want)
					}
				}
			}
		}
	}
}
