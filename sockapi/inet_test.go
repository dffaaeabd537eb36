package sockapi_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"testing"

	. "usersock/sockapi"
	"usersock/stack"
	"usersock/stack/endpoint"
)

const (
	badAton   = "illegal IP address string passed to inet_aton"
	badPton   = "illegal IP address string passed to inet_pton"
	badLength = "packed IP wrong length for inet_ntoa"
)

// wantText checks for an Error without errno.
func wantText(t *testing.T, what string, err error, text string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Errno != 0 || e.Err == nil || e.Err.Error() != text {
		t.Errorf("%s: error %v, want %q without errno", what, err, text)
	}
}

func wantValueError(t *testing.T, what string, err error) {
	t.Helper()
	var e *ValueError
	if !errors.As(err, &e) {
		t.Errorf("%s: error %v, want a ValueError", what, err)
	}
}

func wantErrno(t *testing.T, what string, err error, want Errno) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Errno != want || !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

func TestInetAton(t *testing.T) {
	for text, want := range map[string]string{
		"127.0.0.1": "7f000001", "1": "00000001", "0x7f.1": "7f000001", "0177.1": "7f000001",
		"1.2.3": "01020003", "1.2.65535": "0102ffff", "4294967295": "ffffffff", "0xffffffff": "ffffffff",
		"255.16777215": "ffffffff", "1.2.3.4 x": "01020304", "1.2.3.4\n": "01020304", "1.2.3.4\tfoo": "01020304",
		"1.65536.1": "", "1.2.3.256": "", "1.2.3.4x": "", " 1.2.3.4": "", "": "", "1.2.3.4.5": "", "0x": "", "08": "",
		"4294967296": "", "1.2.3.": "", "1..2": "", "0x100.1": "", "255.16777216": "", "-1": "", "+1": "", "1.2.65536": "",
		"1.2.3.4\x00": "",
	} {
		packed, err := InetAton(text)
		if want == "" {
			wantText(t, "inet_aton "+text, err, badAton)
		} else if got := hex.EncodeToString(packed); err != nil || got != want {
			t.Errorf("inet_aton(%q) = %s, %v, want %s", text, got, err, want)
		}
	}
}

func TestInetNtoa(t *testing.T) {
	if s, err := InetNtoa([]byte{192, 0, 2, 255}); s != "192.0.2.255" || err != nil {
		t.Errorf("inet_ntoa = %q, %v", s, err)
	}
	for _, packed := range [][]byte{nil, {1, 2, 3}, {1, 2, 3, 4, 5}, make([]byte, 16)} {
		_, err := InetNtoa(packed)
		wantText(t, hex.EncodeToString(packed), err, badLength)
	}
}

func TestInetPton(t *testing.T) {
	for _, c := range []struct {
		family     int
		text, want string
	}{
		{AF_INET, "1.2.3.4", "01020304"},
		{AF_INET, "1.2.3", ""},
		{AF_INET, "01.2.3.4", ""},
		{AF_INET, "1.2.3.4 ", ""},
		{AF_INET, "0x7f.0.0.1", ""},
		{AF_INET, "::1", ""},
		{AF_INET6, "::1", "00000000000000000000000000000001"},
		{AF_INET6, "::", "00000000000000000000000000000000"},
		{AF_INET6, "::ffff:1.2.3.4", "00000000000000000000ffff01020304"},
		{AF_INET6, "64:ff9b::192.0.2.33", "0064ff9b0000000000000000c0000221"},
		{AF_INET6, "1:2:3:4:5:6:7::", "00010002000300040005000600070000"},
		{AF_INET6, "::1:2:3:4:5:6:7", "00000001000200030004000500060007"},
		{AF_INET6, "fe80::1%1", ""},
		{AF_INET6, "1::2::3", ""},
		{AF_INET6, "1.2.3.4", ""},
		{AF_INET6, "12345::", ""},
		{AF_INET6, "", ""},
	} {
		packed, err := InetPton(c.family, c.text)
		if c.want == "" {
			wantText(t, "inet_pton "+c.text, err, badPton)
		} else if got := hex.EncodeToString(packed); err != nil || got != c.want {
			t.Errorf("inet_pton(%d, %q) = %s, %v, want %s", c.family, c.text, got, err, c.want)
		}
	}
	_, err := InetPton(AF_UNIX, "1.2.3.4")
	wantErrno(t, "inet_pton of AF_UNIX", err, endpoint.EAFNOSUPPORT)
}

func TestInetNtop(t *testing.T) {
	for _, c := range []struct {
		family       int
		packed, want string
	}{
		{AF_INET, "01020304", "1.2.3.4"},
		{AF_INET6, "00000000000000000000000000000000", "::"},
		{AF_INET6, "00000000000000000000000000000001", "::1"},
		{AF_INET6, "00000000000000000000ffff01020304", "::ffff:1.2.3.4"},
		{AF_INET6, "20010db8000000010001000100010001", "2001:db8:0:1:1:1:1:1"},
		{AF_INET6, "20010db8000000000001000000000001", "2001:db8::1:0:0:1"},
	} {
		packed, _ := hex.DecodeString(c.packed)
		if s, err := InetNtop(c.family, packed); s != c.want || err != nil {
			t.Errorf("inet_ntop(%d, %s) = %q, %v, want %q", c.family, c.packed, s, err, c.want)
		}
	}
	for family, size := range map[int]int{AF_INET: 16, AF_INET6: 4} {
		_, err := InetNtop(family, make([]byte, size))
		wantValueError(t, "inet_ntop of a wrong length", err)
	}
	_, err := InetNtop(AF_UNIX, []byte{1, 2, 3, 4})
	wantErrno(t, "inet_ntop of AF_UNIX", err, endpoint.EAFNOSUPPORT)
}

func TestInetByteOrder(t *testing.T) {
	var b [4]byte
	for _, x := range []int64{0, 1, 0x1234, 0x8000, 0xffff} {
		for name, f := range map[string]func(int64) (uint16, error){"htons": Htons, "ntohs": Ntohs} {
			got, err := f(x)
			binary.NativeEndian.PutUint16(b[:], got)
			if back := binary.BigEndian.Uint16(b[:]); err != nil || int64(back) != x {
				t.Errorf("%s(%#x) = %#x, %v: not in the other byte order", name, x, got, err)
			}
		}
	}
	for _, x := range []int64{0, 1, 0x12345678, 0x80000000, 0xffffffff} {
		for name, f := range map[string]func(int64) (uint32, error){"htonl": Htonl, "ntohl": Ntohl} {
			got, err := f(x)
			binary.NativeEndian.PutUint32(b[:], got)
			if back := binary.BigEndian.Uint32(b[:]); err != nil || int64(back) != x {
				t.Errorf("%s(%#x) = %#x, %v: not in the other byte order", name, x, got, err)
			}
		}
	}
	for _, x := range []int64{-1, -1 << 63, 1 << 16, 1 << 32, 1<<63 - 1} {
		_, err := Htons(x)
		wantValueError(t, "htons", err)
		_, err = Ntohs(x)
		wantValueError(t, "ntohs", err)
		if x == 1<<16 {
			continue
		}
		_, err = Htonl(x)
		wantValueError(t, "htonl", err)
		_, err = Ntohl(x)
		wantValueError(t, "ntohl", err)
	}
}

func TestInetHasIPv6(t *testing.T) {
	if !host(t).HasIPv6() {
		t.Error("a host with all families has no IPv6")
	}
	if hostOn(t, stack.Config{Families: []int{AF_INET, AF_UNIX}}).HasIPv6() {
		t.Error("a host without AF_INET6 has IPv6")
	}
}
