package sockapi

import (
	"runtime"

	"usersock/stack/endpoint"
)

// maxOptlen is the largest buffer that CPython takes for getsockopt.
const maxOptlen = 1024

// Getsockopt returns the value of an option that is a C int. ENOPROTOOPT for
// an option that the socket does not have; docs/calls.md lists the options,
// each as effective or stored.
func (s *Socket) Getsockopt(level, name int) (int, error) {
	var buf [4]byte
	n, err := s.getsockopt(level, name, buf[:])
	if err != nil {
		return 0, err
	}
	if n == 1 {
		return int(buf[0]), nil
	}
	return endpoint.Int(buf[:])
}

// GetsockoptBytes returns the value of an option as the bytes of its C
// structure, at most buflen of them (1 to 1024).
func (s *Socket) GetsockoptBytes(level, name, buflen int) ([]byte, error) {
	if buflen <= 0 || buflen > maxOptlen {
		return nil, &Error{Op: "getsockopt", Err: textError("getsockopt buflen out of range")}
	}
	buf := make([]byte, buflen)
	n, err := s.getsockopt(level, name, buf)
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}

// GetsockoptInto is getsockopt(2) with a buffer of the caller's, for the options
// whose value says what is asked for, such as MCAST_MSFILTER. It returns how many
// bytes of the buffer are the answer.
func (s *Socket) GetsockoptInto(level, name int, buf []byte) (int, error) {
	return s.getsockopt(level, name, buf)
}

func (s *Socket) getsockopt(level, name int, buf []byte) (int, error) {
	defer runtime.KeepAlive(s)
	d, err := s.use()
	if err != nil {
		return 0, fail("getsockopt", nil, err)
	}
	if level == SOL_SOCKET && name == SO_ERROR {
		if errno, ok := d.file.takeLater().(Errno); ok {
			return endpoint.PutInt(buf, int(errno)), nil
		}
	}
	n, err := d.file.ep.Option(level, name, buf)
	return n, fail("getsockopt", nil, d.outcome(err))
}

// Setsockopt sets an option that is a C int.
func (s *Socket) Setsockopt(level, name, value int) error {
	if int(int32(value)) != value {
		return &ValueError{Op: "setsockopt", Msg: "the value does not fit a C int"}
	}
	var buf [4]byte
	endpoint.PutInt(buf[:], value)
	return s.SetsockoptBytes(level, name, buf[:])
}

// SetsockoptBytes sets an option to the bytes of its C structure. EINVAL where
// they are too few.
func (s *Socket) SetsockoptBytes(level, name int, value []byte) error {
	return fail("setsockopt", nil, s.setRaw(level, name, value))
}

func (s *Socket) setRaw(level, name int, value []byte) error {
	defer runtime.KeepAlive(s)
	d, err := s.use()
	if err != nil {
		return err
	}
	if tooShort(level, name, len(value)) {
		return endpoint.EINVAL
	}
	if err := d.file.ep.SetOption(level, name, value); err != nil {
		return d.outcome(err)
	}
	d.file.noteOption(level, name, value)
	return nil
}

// tooShort reports whether Linux refuses a value of n bytes before it looks which
// option it is for: at SOL_SOCKET each has a C int at least, but for a name.
func tooShort(level, name, n int) bool {
	return level == SOL_SOCKET && name != SO_BINDTODEVICE && n < 4
}

// SetsockoptNone is setsockopt with None and a length: a NULL buffer, which
// Linux refuses with EFAULT except where the option takes none. The numbers of
// level IPPROTO_IPV6 are set to 0, as Linux does.
func (s *Socket) SetsockoptNone(level, name, optlen int) error {
	defer runtime.KeepAlive(s)
	d, err := s.use()
	if err != nil {
		return fail("setsockopt", nil, err)
	}
	if optlen < 0 || tooShort(level, name, optlen) {
		return fail("setsockopt", nil, endpoint.EINVAL)
	}
	ep := d.file.ep
	switch null, knows := ep.(endpoint.NullSetter); {
	case optlen == 0:
		err = ep.SetOption(level, name, nil)
	case level == SOL_SOCKET:
		err = endpoint.EFAULT
	case knows:
		err = null.SetNull(level, name, optlen)
	default:
		err = ep.SetOption(level, name, nil)
	}
	return fail("setsockopt", nil, d.outcome(err))
}

// textError is an error that is a text of the documents and nothing else.
type textError string

func (e textError) Error() string { return string(e) }
